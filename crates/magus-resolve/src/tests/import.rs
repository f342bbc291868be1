use std::collections::BTreeMap;

use magus_model::{
    Text,
    name::WorkspaceName,
    observed::{ObservedCode, ObservedField, ObservedWorkspace, RunState},
    path::FieldPath,
    value::{FieldValue, SecretReference, SecretSource, Value},
};
use proptest::prelude::*;

use super::builder::{find, load, resolve};
use crate::{ImportError, Imported, import_layer};

const CLUSTER: (&str, &str) = (
    "cluster.yaml",
    "name: acme
engine: {local: {path: x}}
defaults:
  env: {A: a, B: '${workspace}', C: c, TOKEN: {secret: {env: T}, keep: true}}
  container_config: {image: 'mageai/mageai:1', resources: {limits: {cpu: 1, memory: 1Gi}}, args: [a]}
  lifecycle_config: {termination_policy: {max_idle_seconds: 60}}
",
);

fn observed(name: &str, state: RunState, fields: &[(&str, Value)]) -> ObservedWorkspace {
    let mut fields: Vec<ObservedField> = fields
        .iter()
        .map(|(path, value)| ObservedField {
            path: FieldPath::from(*path),
            value: FieldValue::from(value.clone()),
        })
        .collect();
    fields.sort_by(|a, b| a.path.cmp(&b.path));
    ObservedWorkspace {
        name: WorkspaceName::observed(name),
        state,
        fields,
        lost: Vec::new(),
        sensitive: Default::default(),
        missing: Vec::new(),
        code: ObservedCode::default(),
        identity: None,
        copy: None,
        mark: None,
        revision: "".into(),
    }
}

fn exactly(_: &FieldPath, a: &FieldValue, b: &FieldValue) -> bool {
    a == b
}

fn text(imported: &Imported) -> String {
    let lines: Vec<String> = imported
        .keys
        .iter()
        .map(|(key, value)| format!("{key}: {}\n", serde_json::to_string(value).unwrap()))
        .collect();
    lines.concat()
}

fn string(text: &str) -> Value {
    Value::string(text)
}

#[test]
fn only_what_differs_is_written() {
    let loaded = load(&[CLUSTER, ("prod/environment.yaml", "{}")]);
    let fields = [
        ("container_config.image", string("mageai/mageai:2")),
        ("container_config.args", Value::List(vec![string("a")])),
        (
            "container_config.command",
            Value::List(vec![string("echo ${HOME} ${workspace}"), string("${HOME}")]),
        ),
        ("container_config.resources.limits.cpu", Value::Int(1)),
        ("env.B", string("ingest")),
        ("env.C", string("${x}")),
        ("env.TOKEN", string("anything")),
        ("env.DB_PASSWORD", string("hunter2!")),
        ("env.OTHER", serde_json::from_str(r#"{"secret": {"env": "UNKNOWN"}, "version": 3}"#).unwrap()),
        ("secrets.web-hook", serde_json::from_str(r#"{"secret": {"file": "x"}}"#).unwrap()),
        ("ingress_name", string("main")),
    ];
    let imported =
        import_layer(&loaded, "prod", &observed("ingest-prod", RunState::Stopped, &fields), &exactly)
            .unwrap();
    assert_eq!(imported.stem, "ingest");
    assert_eq!(
        text(&imported),
        r#"state: "stopped"
env: {"A":null,"C":"$${x}","DB_PASSWORD":{"keep":true,"secret":{"env":"DB_PASSWORD"}},"OTHER":{"keep":true,"secret":{"env":"OTHER"}}}
secrets: {"web-hook":{"keep":true,"secret":{"env":"WEB_HOOK"}}}
container_config: {"command":["echo $${HOME} $${workspace}","${HOME}"],"image":"mageai/mageai:2","resources":{"limits":{"memory":null}}}
lifecycle_config: null
ingress_name: "main"
"#
    );
    let kept: Vec<&str> = imported.kept.iter().map(FieldPath::as_str).collect();
    assert_eq!(kept, ["env.DB_PASSWORD", "env.OTHER", "secrets.web-hook"]);
}

#[test]
fn names_that_the_pattern_does_not_make_are_written() {
    let loaded = load(&[CLUSTER, ("prod/ingest.yaml", "{}"), ("prod/other.yaml", "{}")]);
    let import = |name| import_layer(&loaded, "prod", &observed(name, RunState::Running, &[]), &exactly);
    let stem = |name| {
        import(name).map(|imported| (imported.stem, imported.keys.first().map(|(key, _)| key.clone())))
    };
    assert_eq!(stem("report-prod"), Ok(("report".into(), Some("env".into()))));
    assert_eq!(stem("report"), Ok(("report".into(), Some("name".into()))));
    assert_eq!(stem("ingest-prod"), Ok(("ingest-prod".into(), Some("name".into()))));
    assert_eq!(stem("cluster-prod"), Ok(("cluster-prod".into(), Some("name".into()))));
    assert_eq!(stem("other"), Err(ImportError::Taken { environment: "prod".into(), stem: "other".into() }));
    assert_eq!(stem("No_Name"), Err(ImportError::Name { name: WorkspaceName::observed("No_Name") }));
    let gone = import_layer(&loaded, "prd", &observed("a", RunState::Running, &[]), &exactly);
    assert_eq!(
        gone,
        Err(ImportError::NoEnvironment { name: "prd".into(), help: "did you mean `prod`?".into() })
    );
}

#[test]
fn a_state_is_written_only_where_the_declaration_would_change_it() {
    let stops = [("lifecycle_config.termination_policy.enable_auto_termination", Value::Bool(true))];
    for (defaults, state, fields, expected) in [
        ("", RunState::Running, &[][..], None),
        ("", RunState::Failed, &[], None),
        ("", RunState::Stopped, &[], Some("stopped")),
        ("", RunState::Stopped, &stops, None),
        ("state: stopped", RunState::Running, &[], Some("running")),
        ("state: stopped", RunState::Stopped, &[], None),
        ("state: auto", RunState::Running, &[], None),
    ] {
        let environment = format!("defaults: {{{defaults}}}\n");
        let loaded = load(&[
            ("cluster.yaml", "name: a\nengine: {local: {path: x}}\n"),
            ("e/environment.yaml", &environment),
        ]);
        let imported = import_layer(&loaded, "e", &observed("w-e", state, fields), &exactly).unwrap();
        let written =
            imported.keys.iter().find(|(key, _)| key == "state").map(|(_, value)| value.to_string());
        assert_eq!(written.as_deref(), expected, "{defaults} {state:?}");
    }
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0i64..3).prop_map(Value::Int),
        "[a-c]{0,2}|\\$\\{workspace\\}|\\$\\$\\{a\\}|\\$\\{".prop_map(Value::string),
        Just(Value::List(vec![string("${environment}"), Value::Int(1)])),
        Just(serde_json::from_str(r#"{"valueFrom": {"a": "b"}}"#).unwrap()),
    ]
}

/// Random nested configuration without `null`s or empty maps, flat.
fn fields() -> impl Strategy<Value = BTreeMap<String, Value>> {
    let key = prop::sample::select(vec!["a", "b", "a-b", "x.y"]);
    let path = prop::collection::vec(key, 1..4);
    prop::collection::vec((path, leaf()), 0..8).prop_map(|leaves| {
        let mut flat: BTreeMap<String, Value> = BTreeMap::new();
        for (keys, value) in leaves {
            let root = FieldPath::key("lifecycle_config");
            let path = keys.iter().fold(root, |path, key| path.child(key));
            let clash = flat.keys().any(|other| {
                path.is_within(other) || FieldPath::from(other.as_str()).is_within(path.as_str())
            });
            if !clash {
                flat.insert(path.to_string(), value);
            }
        }
        flat
    })
}

fn nested(flat: &BTreeMap<String, Value>) -> Value {
    let mut root = BTreeMap::new();
    for (path, value) in flat {
        let keys = FieldPath::from(path.as_str()).keys().unwrap();
        let (last, above) = keys.split_last().unwrap();
        let mut map = &mut root;
        for key in above {
            let below = map.entry(Text::from(key.as_str())).or_insert_with(|| Value::Map(BTreeMap::new()));
            let Value::Map(next) = below else { panic!("a leaf lies above another") };
            map = next;
        }
        map.insert(last.as_str().into(), value.clone());
    }
    Value::Map(root)
}

proptest! {
    #[test]
    fn what_is_imported_resolves_to_what_was_observed(lower in fields(), there in fields(), shared in any::<bool>()) {
        let mut there = there;
        if shared {
            // Some of what is there is what the layers give.
            for (path, value) in lower.iter().take(3) {
                let clash = there.keys().any(|other| {
                    FieldPath::from(path.as_str()).is_within(other) || FieldPath::from(other.as_str()).is_within(path)
                });
                if !clash {
                    there.insert(path.clone(), value.clone());
                }
            }
        }
        let defaults = format!("defaults: {}\n", serde_json::to_string(&nested(&lower)).unwrap());
        let cluster = ("cluster.yaml", "name: acme\nengine: {local: {path: x}}\n");
        let loaded = load(&[cluster, ("e/environment.yaml", &defaults)]);
        let flat: Vec<(&str, Value)> = there.iter().map(|(path, value)| (path.as_str(), value.clone())).collect();
        let workspace = observed("w-e", RunState::Running, &flat);
        let imported = import_layer(&loaded, "e", &workspace, &exactly).unwrap();
        let file = text(&imported);
        let again = load(&[cluster, ("e/environment.yaml", &defaults), ("e/w.yaml", if file.is_empty() { "{}" } else { &file })]);
        let resolution = resolve(&again);
        let found: Vec<(String, FieldValue)> =
            find(&resolution.desired, "w-e").fields.iter().map(|f| (f.path.to_string(), f.value.clone())).collect();
        let expected: Vec<(String, FieldValue)> =
            workspace.fields.iter().map(|f| (f.path.to_string(), f.value.clone())).collect();
        prop_assert_eq!(found, expected, "{}\n{}", defaults, file);
    }
}

#[test]
fn a_reference_that_is_the_inherited_one_is_left_out() {
    let loaded = load(&[
        (
            "cluster.yaml",
            "name: a\nengine: {local: {path: x}}\ndefaults: {env: {K: {secret: {env: K}, version: 1}}}\n",
        ),
        ("e/environment.yaml", "{}"),
    ]);
    let mut workspace = observed("w-e", RunState::Running, &[]);
    let reference = SecretReference { source: SecretSource::Env("K".into()), version: Some(1), keep: false };
    workspace.fields.push(ObservedField { path: "env.K".into(), value: FieldValue::from(reference) });
    let imported = import_layer(&loaded, "e", &workspace, &exactly).unwrap();
    assert_eq!(imported.keys, []);
}
