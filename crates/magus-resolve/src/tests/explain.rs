use super::builder::{load, resolve};
use crate::{ExplainError, explain};

const FILES: &[(&str, &str)] = &[
    (
        "cluster.yaml",
        "name: acme
engine: {local: {path: x}}
workspace_name: 'ws-${workspace}-${environment}'
templates: {t: {env: {A: template}}}
defaults:
  env: {A: cluster, B: cluster}
",
    ),
    ("dev/environment.yaml", "defaults: {env: {A: null}}\n"),
    ("dev/people/ana.yaml", "use: [t]\nenv:\n  A: own\n"),
    ("dev/ben.yaml", "name: ben\nstate: stopped\n"),
    ("prod/ben.yaml", "{}"),
    ("prod/broken.yaml", "a: [\n"),
];

fn lines(address: &str, key: Option<&str>) -> Result<Vec<String>, ExplainError> {
    let loaded = load(FILES);
    let explanation = explain(&resolve(&loaded), &loaded, address, key)?;
    Ok(explanation
        .entries
        .iter()
        .map(|entry| {
            let origin = |origin: &Option<magus_model::span::Origin>| {
                origin.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)
            };
            let lower: Vec<String> = entry
                .overridden
                .iter()
                .map(|lower| {
                    let value = lower.value.as_ref().map_or_else(|| "null".to_owned(), ToString::to_string);
                    format!(" < {value} ({}, {})", lower.layer, origin(&lower.origin))
                })
                .collect();
            format!(
                "{} = {} ({}, {}){}",
                entry.path,
                entry.value,
                entry.layer,
                origin(&entry.origin),
                lower.concat()
            )
        })
        .collect())
}

#[test]
fn every_value_has_its_layer_and_place_and_what_it_replaced() {
    assert_eq!(
        lines("dev/ana", None).unwrap(),
        [
            "env.A = own (workspace, environments/dev/people/ana.yaml:3:6) \
             < template (template t, environments/cluster.yaml:4:26) \
             < null (environment defaults, environments/dev/environment.yaml:1:21) \
             < cluster (cluster defaults, environments/cluster.yaml:6:12)",
            "env.B = cluster (cluster defaults, environments/cluster.yaml:6:24)",
            "name = ws-ana-dev (cluster defaults, environments/cluster.yaml:3:17)",
            "state = running (built in, -)",
        ]
    );
    let ben = lines("ben", Some("state"));
    assert!(
        matches!(&ben, Err(ExplainError::Ambiguous { help, .. }) if help == "there are `dev/ben`, `prod/ben`"),
        "{ben:?}"
    );
    assert_eq!(
        lines("dev/ben", Some("state")).unwrap(),
        ["state = stopped (workspace, environments/dev/ben.yaml:2:8)"]
    );
    assert_eq!(lines("ws-ana-dev", Some("env")).unwrap().len(), 2);
    assert_eq!(lines("dev/people/ana.yaml", Some("env")).unwrap().len(), 2);
}

#[test]
fn what_does_not_exist_says_what_was_probably_meant() {
    let help = |address, key| lines(address, key).map_err(|error| format!("{error}; {}", error.help()));
    assert_eq!(help("dve/ana", None).unwrap_err(), "there is no environment `dve`; did you mean `dev`?");
    assert_eq!(help("dev/anna", None).unwrap_err(), "there is no workspace `dev/anna`; did you mean `ana`?");
    assert_eq!(
        help("dev/ana", Some("env.C")).unwrap_err(),
        "`dev/ana` has no `env.C`; did you mean `env.A`?"
    );
    assert_eq!(
        help("prod/broken", None).unwrap_err(),
        "`environments/prod/broken.yaml` cannot be read as a workspace; `magus lint` says what is wrong with it"
    );
}

#[test]
fn the_json_form_is_the_documented_one() {
    let loaded = load(FILES);
    let explanation = explain(&resolve(&loaded), &loaded, "dev/ana", Some("env.A")).unwrap();
    assert_eq!(
        serde_json::to_string(&explanation).unwrap(),
        r#"{"workspace":"dev/ana","entries":[{"path":"env.A","value":"own","layer":"workspace","origin":{"file":"environments/dev/people/ana.yaml","line":3,"column":6}}]}"#
    );
}
