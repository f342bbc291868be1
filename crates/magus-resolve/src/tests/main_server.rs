//! `server` of a cluster.yaml: what workspaces get from the main server.

use magus_model::{diagnostic::Severity, span::Origin};

use super::builder::{fields, lines, load, resolve};
use crate::explain;

const OSS: &str = "name: acme\nengine: {mage: {url: 'https://m.test'}}\n";
const PRO: &str = "name: acme\nengine: {mage: {url: 'https://m.test', edition: pro}}\n";

/// What `explain` shows of `dev/a`: path, value, layer, line in cluster.yaml, and what it replaced.
fn explained(cluster: &str, workspace: &str) -> Vec<String> {
    let loaded =
        load(&[("cluster.yaml", cluster), ("dev/environment.yaml", "{}\n"), ("dev/a.yaml", workspace)]);
    let explanation = explain(&resolve(&loaded), &loaded, "dev/a", None).unwrap();
    let line =
        |origin: &Option<Origin>| origin.as_ref().map_or_else(|| "-".to_owned(), |o| o.line.to_string());
    let entries =
        explanation.entries.iter().filter(|entry| !["name", "state"].contains(&entry.path.as_str()));
    entries
        .map(|entry| {
            let lower = entry.overridden.iter().map(|lower| {
                let value = lower.value.as_ref().map_or_else(|| "null".to_owned(), ToString::to_string);
                format!(" < {value} ({}, {})", lower.layer, line(&lower.origin))
            });
            let lower: String = lower.collect();
            format!("{} = {} ({}, {}){lower}", entry.path, entry.value, entry.layer, line(&entry.origin))
        })
        .collect()
}

/// The findings of a cluster with these workspaces in `dev`.
fn findings(cluster: &str, workspaces: &[(&str, &str)]) -> Vec<String> {
    let files = [&[("cluster.yaml", cluster), ("dev/environment.yaml", "{}\n")], workspaces].concat();
    let loaded = load(&files);
    lines(&resolve(&loaded).diagnostics, &loaded)
}

#[test]
fn open_source_hands_on_its_settings_and_its_database() {
    let cluster = format!(
        "{OSS}server:
  env:
    REDIS_URL: redis://r
    CONNECTION_URL_SECRETS_NAME: mage-db
    DB_SECRETS_NAME: sql
    OKTA_CLIENT_SECRET: {{secret: {{env: OKTA}}}}
"
    );
    assert_eq!(
        explained(&cluster, "env: {REDIS_URL: redis://own}\n"),
        [
            r#"env.DB_NAME = {"valueFrom":{"secretKeyRef":{"key":"database","name":"sql"}}} (main server, 7)"#,
            r#"env.DB_PASS = {"valueFrom":{"secretKeyRef":{"key":"password","name":"sql"}}} (main server, 7)"#,
            r#"env.DB_USER = {"valueFrom":{"secretKeyRef":{"key":"username","name":"sql"}}} (main server, 7)"#,
            r#"env.MAGE_DATABASE_CONNECTION_URL = {"valueFrom":{"secretKeyRef":{"key":"connection_url","name":"mage-db"}}} (main server, 6)"#,
            "env.OKTA_CLIENT_SECRET = (secret from env OKTA) (main server, 8)",
            "env.REDIS_URL = redis://own (workspace, 1) < redis://r (main server, 5)",
        ]
    );
    // An address of its own comes after the reference, and counts.
    let both = format!(
        "{OSS}server: {{env: {{MAGE_DATABASE_CONNECTION_URL: 'x://db', CONNECTION_URL_SECRETS_NAME: s}}}}\n"
    );
    assert_eq!(explained(&both, "{}\n"), ["env.MAGE_DATABASE_CONNECTION_URL = x://db (main server, 3)"]);
    // What only Pro knows, and a Secret without a name, give nothing.
    let nothing = format!(
        "{OSS}server:\n  env: {{INHERIT_ENV_VARS: '1', A: x, WORKSPACE_ENV_PATTERN: x, DB_SECRETS_NAME: ''}}\n  \
         workspace_defaults: {{service_account_name: sa}}\n"
    );
    assert_eq!(explained(&nothing, "{}\n"), [""; 0]);
    // What is handed on is nothing that Magus would set.
    let loaded =
        load(&[("cluster.yaml", &cluster), ("dev/environment.yaml", "{}\n"), ("dev/a.yaml", "{}\n")]);
    assert_eq!(fields(&resolve(&loaded).desired, "a-dev"), [""; 0]);
}

#[test]
fn pro_hands_on_what_its_switches_say() {
    let server = |env: &str| format!("{PRO}server: {{env: {{{env}}}}}\n");
    let names = |env: &str, workspace: &str| -> Vec<String> {
        let shown = explained(&server(env), workspace);
        let handed_on = shown.iter().filter_map(|line| {
            let (name, rest) = line.split_once(" = ")?;
            rest.split(" < ").next()?.contains("(main server,").then(|| name.to_owned())
        });
        handed_on.collect()
    };
    let some = |names: &[&str]| -> Vec<String> { names.iter().map(|name| format!("env.{name}")).collect() };
    const ALL: &str = "A_1: x, A_2: x, B_1: x, SENTRY_DSN: x";
    // Without the switch, what open source hands on.
    assert_eq!(names(ALL, "{}\n"), some(&["SENTRY_DSN"]));
    assert_eq!(names(&format!("{ALL}, INHERIT_ENV_VARS: '0'"), "{}\n"), some(&["SENTRY_DSN"]));
    // Without a list, all of them.
    assert_eq!(
        names(&format!("{ALL}, INHERIT_ENV_VARS: '1'"), "{}\n"),
        some(&["A_1", "A_2", "B_1", "INHERIT_ENV_VARS", "SENTRY_DSN"])
    );
    assert_eq!(
        names(&format!("{ALL}, INHERIT_ENV_VARS: '1', USER_DEFINED_VARS: null"), "{}\n"),
        some(&["A_1", "A_2", "B_1", "INHERIT_ENV_VARS", "SENTRY_DSN"])
    );
    let listed = format!("{ALL}, INHERIT_ENV_VARS: 'true', USER_DEFINED_VARS: 'A_*, X'");
    assert_eq!(names(&listed, "{}\n"), some(&["A_1", "A_2", "SENTRY_DSN"]));
    // What a workspace declares is its own.
    assert_eq!(names(&listed, "env: {A_1: own}\n"), some(&["A_2", "SENTRY_DSN"]));
    let by_env = format!(
        "{ALL}, INHERIT_ENV_VARS: '1', USER_DEFINED_VARS__ENV__dev: 'B_*', USER_DEFINED_VARS__ENV__x_a-dev: A_2"
    );
    assert_eq!(names(&by_env, "{}\n"), some(&["SENTRY_DSN"]));
    assert_eq!(names(&by_env, "env: {ENV: dev}\n"), some(&["B_1", "SENTRY_DSN"]));
    let pattern = format!("{by_env}, WORKSPACE_ENV_PATTERN: 'x_{{workspace_name}}'");
    assert_eq!(names(&pattern, "{}\n"), some(&["A_2", "ENV", "SENTRY_DSN"]));
    assert_eq!(names(&pattern, "env: {ENV: dev}\n"), some(&["B_1", "SENTRY_DSN"]));
    let shown = explained(
        &server("WORKSPACE_ENV_PATTERN: 'x_{workspace_name}', WORKSPACE_DEFAULT_RESOURCE_LIMITS_CPU: '4'"),
        "{}\n",
    );
    assert_eq!(
        shown,
        ["container_config.resources.limits.cpu = 4 (main server, 3)", "env.ENV = x_a-dev (main server, 3)"]
    );
}

#[test]
fn the_defaults_of_pro_are_a_layer_below_or_above_all_others() {
    let cluster = |policy: &str| {
        format!(
            "{PRO}server:
  workspace_defaults:
{policy}    service_account_name: sa
    container_config:
      image: 'm:1'
      env: [{{name: A, value: server}}]
defaults: {{env: {{A: declared}}}}
"
        )
    };
    let own = "container_config: {image: 'm:2'}\n";
    for filled in ["", "    enforce: false\n", "    enabled: true\n"] {
        let at = |line: usize| line + filled.lines().count();
        assert_eq!(
            explained(&cluster(filled), own),
            [
                format!("container_config.image = m:2 (workspace, 1) < m:1 (server defaults, {})", at(7)),
                format!(
                    "env.A = declared (cluster defaults, {}) < server (server defaults, {})",
                    at(9),
                    at(8)
                ),
                format!("service_account_name = sa (server defaults, {})", at(5)),
            ]
        );
        assert_eq!(findings(&cluster(filled), &[("dev/a.yaml", own)]), [""; 0]);
    }
    let enforced = cluster("    enforce: true\n");
    assert_eq!(
        explained(&enforced, own),
        [
            "container_config.image = m:1 (enforced by the server, 8) < m:2 (workspace, 1)",
            "env.A = server (enforced by the server, 9) < declared (cluster defaults, 10)",
            "service_account_name = sa (enforced by the server, 6)",
        ]
    );
    // Once for all that inherit it.
    assert_eq!(
        findings(&enforced, &[("dev/a.yaml", own), ("dev/b.yaml", "{}\n")]),
        [
            "cluster.yaml:10:21 MG710 `env.A` is set by the main server to something else",
            "dev/a.yaml:1:27 MG710 `container_config.image` is set by the main server to something else",
        ]
    );
    assert_eq!(
        findings(&enforced, &[("dev/a.yaml", "env: {A: server}\ncontainer_config: {image: 'm:1'}\n")]),
        [""; 0]
    );
    let loaded = load(&[("cluster.yaml", &enforced), ("dev/environment.yaml", "{}\n"), ("dev/a.yaml", own)]);
    assert_eq!(
        fields(&resolve(&loaded).desired, "a-dev"),
        [
            "container_config.image = m:1 (enforced by the server)",
            "env.A = server (enforced by the server)",
            "service_account_name = sa (enforced by the server)",
        ]
    );
    assert_eq!(
        explained(&cluster("    enabled: false\n    enforce: true\n"), own),
        ["container_config.image = m:2 (workspace, 1)", "env.A = declared (cluster defaults, 11)"]
    );
    // They are checked as any other layer is.
    assert_eq!(
        findings(&enforced.replace("m:1", "m"), &[]),
        ["cluster.yaml:8:14 MG701 the image `m` has no tag"]
    );
}

#[test]
fn one_volume_for_all_leaves_nothing_to_say_about_storage() {
    let cluster = |engine: &str| {
        format!(
            "{engine}server: {{env: {{WORKSPACE_PVC_NAME: shared}}}}\ndefaults: {{storage_class_name: s, container_config: {{image: \"m:1\"}}}}\n"
        )
    };
    let workspaces = [("dev/a.yaml", "storage_request_size: 5\n"), ("dev/b.yaml", "{}\n")];
    assert_eq!(
        findings(&cluster(PRO), &workspaces),
        [
            "cluster.yaml:4:32 MG710 `storage_class_name` has no effect: the main server has one volume for all workspaces",
            "dev/a.yaml:1:23 MG710 `storage_request_size` has no effect: the main server has one volume for all workspaces",
        ]
    );
    assert_eq!(
        findings(&cluster(OSS), &workspaces),
        ["cluster.yaml:3:16 MG708 `WORKSPACE_PVC_NAME` has no effect: open-source Mage does not hand it on"]
    );
}

#[test]
fn what_says_nothing_about_the_server_at_hand_has_no_effect() {
    let facts = "defaults: {container_config: {image: 'm:1'}}\nserver: {env: {REDIS_URL: x, INHERIT_ENV_VARS: '1', GONE: null}, workspace_defaults: {enforce: true}}\n";
    let workspaces =
        [("dev/a.yaml", "{}\n"), ("prod/environment.yaml", "promotes_from: dev\n"), ("prod/a.yaml", "{}\n")];
    assert_eq!(
        findings(&format!("{OSS}{facts}"), &workspaces),
        [
            "cluster.yaml:4:30 MG708 `INHERIT_ENV_VARS` has no effect: open-source Mage does not hand it on",
            "cluster.yaml:4:53 MG708 `GONE` has no effect: open-source Mage does not hand it on",
            "cluster.yaml:4:66 MG708 `workspace_defaults` has no effect: open-source Mage has none",
        ]
    );
    assert_eq!(findings(&format!("{PRO}{facts}"), &workspaces), [""; 0]);
    let local = format!("name: acme\nengine: {{local: {{path: x}}}}\n{facts}");
    assert_eq!(
        findings(&local, &workspaces),
        [
            "cluster.yaml:4:1 MG708 `server` has no effect: it is about a Mage server, and the engine is `local`"
        ]
    );
    assert_eq!(explained(&local, "{}\n"), ["container_config.image = m:1 (cluster defaults, 3)"]);
}

#[test]
fn whether_workspaces_share_a_database_is_known_where_the_server_is() {
    let found = |env: &str, workspaces: &[(&str, &str)]| {
        let cluster = format!("{OSS}server: {{env: {{{env}}}}}\n");
        let files =
            [&[("cluster.yaml", cluster.as_str()), ("dev/environment.yaml", "{}\n")], workspaces].concat();
        let loaded = load(&files);
        let resolution = resolve(&loaded);
        let severities: Vec<Severity> = resolution.diagnostics.iter().map(|found| found.severity).collect();
        (lines(&resolution.diagnostics, &loaded), severities)
    };
    let a = "env: {USER_CODE_PATH: p}\ncontainer_config: {image: 'm:1'}\n";
    let b = "env: {USER_CODE_PATH: p}\ncontainer_config: {image: 'm:2'}\n";
    let workspaces = [("dev/a.yaml", a), ("dev/b.yaml", b)];
    for env in ["MAGE_DATABASE_CONNECTION_URL: 'x://db'", "CONNECTION_URL_SECRETS_NAME: db"] {
        assert_eq!(
            found(env, &workspaces),
            (
                vec![
                    "dev/b.yaml:1:23 MG303 `a-dev` and `b-dev` have one database and one `USER_CODE_PATH`, `p`: each runs \
                     the triggers of all"
                        .to_owned(),
                    "dev/b.yaml:2:27 MG304 `b-dev` runs `m:2` on the database of `a-dev`, which runs `m:1`: a Mage that \
                     starts changes its tables to its own version"
                        .to_owned(),
                ],
                vec![Severity::Error, Severity::Error]
            )
        );
    }
    // A server without one leaves each workspace a file of its own.
    assert_eq!(found("REDIS_URL: x", &workspaces), (vec![], vec![]));
    // One of its own is not that of the server.
    let own = "env: {USER_CODE_PATH: p, MAGE_DATABASE_CONNECTION_URL: 'x://other'}\n";
    assert_eq!(
        found("MAGE_DATABASE_CONNECTION_URL: 'x://db'", &[("dev/a.yaml", a), ("dev/b.yaml", own)]),
        (vec![], vec![])
    );
}
