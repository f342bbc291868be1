use std::collections::BTreeMap;

use magus_code::Projects;

use super::builder::{CLUSTER, lines, load, resolve};

/// What is found between environments, for the `defaults` of development, staging and production.
#[track_caller]
fn check(defaults: [&str; 3], expected: &[&str]) {
    let [development, staging, production] = defaults.map(|text| format!("defaults: {{{text}}}\n"));
    let staging = format!("promotes_from: development\n{staging}");
    let production = format!("promotes_from: staging\n{production}");
    let loaded = load(&[
        CLUSTER,
        ("development/environment.yaml", &development),
        ("development/ingest.yaml", "{}"),
        ("staging/environment.yaml", &staging),
        ("staging/ingest.yaml", "{}"),
        ("production/environment.yaml", &production),
        ("production/ingest.yaml", "{}"),
    ]);
    assert_eq!(loaded.diagnostics, [], "the files do not parse");
    let resolution = resolve(&loaded);
    let found =
        crate::check_code(&resolution.desired, &BTreeMap::new(), &Projects::default(), &loaded.sources);
    assert_eq!(lines(&found, &loaded), expected);
}

#[test]
fn a_secret_of_the_last_stage_is_its_own() {
    let one =
        "production/environment.yaml:2:23 MG305 `env.KEY` is one secret in `production` and in `development`";
    let own = "env: {KEY: {secret: {env: OWN}}}";
    let shared = "env: {KEY: {secret: {env: SHARED}}}";
    check([shared, own, shared], &[one]);
    // What two earlier stages share is nobody's business here.
    check([shared, shared, own], &[]);
    let kubernetes = |name: &str, key: &str| {
        format!("env: {{KEY: {{valueFrom: {{secretKeyRef: {{name: {name}, key: {key}}}}}}}}}")
    };
    let (db, other_key, other) = (kubernetes("db", "a"), kubernetes("db", "b"), kubernetes("other", "a"));
    check([&db, own, &db], &[one]);
    check([&other_key, &other, &db], &[]);
    // A Secret of the same name in another namespace is another one.
    let elsewhere = format!("{db}, namespace: elsewhere");
    check([&elsewhere, own, &db], &[]);
    check([&elsewhere, own, &elsewhere], &[one]);
    // A text that looks like one, under whichever name the other has it.
    let token = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
    let (here, there) = (format!("env: {{KEY: {token}}}"), format!("env: {{OTHER: {token}}}"));
    check([&there, own, &here], &[one]);
    check(["env: {KEY: info}", own, "env: {KEY: info}"], &[]);
    // The code is one repository.
    let login = "env: {GIT_ACCESS_TOKEN: {secret: {env: LOGIN}}}";
    check([login, own, login], &[]);
}

#[test]
fn a_value_that_differs_everywhere_but_once_is_told() {
    let url = |name: &str| format!("env: {{URL: https://{name}.acme.dev}}");
    let (development, staging, production) = (url("dev"), url("staging"), url("prod"));
    check([&development, &staging, &production], &[]);
    check([&development, &development, &development], &[]);
    check(
        [&development, &staging, &staging],
        &[
            "production/environment.yaml:2:23 MG306 `URL` differs in every environment, but `production` has that of `staging`",
        ],
    );
    // Two are no pattern.
    check([&staging, "", &staging], &[]);
}
