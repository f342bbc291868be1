use magus_model::{
    plan::{FieldStatus, Reason},
    value::SecretSource,
};

use super::*;
use crate::container::Form;

fn change(path: &str, after: Option<FieldValue>) -> FieldChange {
    FieldChange {
        path: path.into(),
        before: None,
        after,
        sensitive: false,
        status: FieldStatus::Change,
        reason: Reason::Declared,
        origin: None,
        sealed: None,
        read_by: Vec::new(),
    }
}

fn text(text: &str) -> FieldValue {
    FieldValue::Plain(Value::string(text))
}

fn from_key() -> Value {
    let key = Value::Map(BTreeMap::from([(Text::from("key"), Value::string("k"))]));
    Value::Map(BTreeMap::from([(Text::from("valueFrom"), key)]))
}

fn secret(name: &str, keep: bool) -> SecretReference {
    SecretReference { source: SecretSource::Env(name.into()), version: None, keep }
}

/// Resolves a variable to its own name with `!`, and not the one called `GONE`.
fn resolver() -> Resolver {
    Resolver::new(
        std::path::PathBuf::new(),
        Box::new(|name| (name != "GONE").then(|| format!("{name}!").into())),
    )
}

fn name() -> WorkspaceName {
    WorkspaceName::observed("a")
}

fn composed(before: Before<'_>, changes: &[FieldChange]) -> Composed {
    compose(&name(), before, changes, &resolver()).unwrap_or_else(|error| panic!("{error}"))
}

fn before(leaves: &[(&str, Value)]) -> Before<'static> {
    Before {
        leaves: leaves.iter().map(|(path, value)| (FieldPath::from(*path), value.clone())).collect(),
        ..Before::default()
    }
}

fn paths(paths: &[FieldPath]) -> Vec<&str> {
    paths.iter().map(FieldPath::as_str).collect()
}

#[test]
fn what_goes_and_what_changes_its_kind_is_removed() {
    let leaves = [
        ("env.A", Value::string("1")),
        ("env.B", Value::string("1")),
        ("env.C", from_key()),
        ("container_config.image", Value::string("x")),
    ];
    let Composed { content, secrets, settings, own_secrets } = composed(
        before(&leaves),
        &[
            change("env.A", None),
            change("env.B", Some(FieldValue::Plain(from_key()))),
            change("env.C", Some(text("plain"))),
            change("env.NEVER", None),
            change("container_config.image", Some(FieldValue::Plain(Value::Null))),
            change("state", Some(text("running"))),
            change("restarted_at", Some(text("2026-08-01T10:00:00Z"))),
        ],
    );
    assert_eq!(paths(&content.removed), ["env.A", "env.B", "env.C", "container_config.image"]);
    let left: Vec<_> = content.leaves.keys().map(FieldPath::as_str).collect();
    assert_eq!(left, ["env.B", "env.C"]);
    assert!(secrets.is_empty() && settings.is_empty() && own_secrets.is_empty());
}

#[test]
fn a_secret_is_resolved_where_it_is_sent_and_remembered_by_its_check() {
    let changes = [change("env.KEY", Some(secret("KEY", false).into()))];
    let Composed { content, secrets, .. } = composed(Before::default(), &changes);
    assert_eq!(content.leaves[&FieldPath::from("env.KEY")], Value::string("KEY!"));
    let stored = &secrets[&FieldPath::from("env.KEY")];
    assert_eq!(stored.check, Some(mark::check(&name(), &"env.KEY".into(), "KEY!")));
    assert_eq!(stored.reference, secret("KEY", false));

    // What does not change is carried over as it runs; with `--refresh-secrets` it is resolved again.
    let stored = |refresh| Before {
        leaves: Leaves::from([("env.KEY".into(), Value::string("old"))]),
        secrets: BTreeMap::from([(
            FieldPath::from("env.KEY"),
            StoredSecret { reference: secret("KEY", false), check: Some("c".into()) },
        )]),
        refresh,
        ..Before::default()
    };
    let other = [change("env.A", Some(text("1")))];
    let value = |composed: &Composed| composed.content.leaves[&FieldPath::from("env.KEY")].clone();
    assert_eq!(value(&composed(stored(Refresh::None), &other)), Value::string("old"));
    let name = name();
    assert_eq!(value(&composed(stored(Refresh::All(&name)), &other)), Value::string("KEY!"));
    // A literal in its place is no secret any more.
    let literal = composed(stored(Refresh::None), &[change("env.KEY", Some(text("plain")))]);
    assert!(literal.secrets.is_empty());
}

#[test]
fn what_is_kept_stays_and_comes_from_its_source_where_nothing_runs() {
    let keep = [change("env.KEY", Some(secret("KEY", true).into()))];
    let kept = composed(before(&[("env.KEY", Value::string("runs"))]), &keep);
    assert_eq!(kept.content.leaves[&FieldPath::from("env.KEY")], Value::string("runs"));
    let made = composed(Before::default(), &keep);
    assert_eq!(made.content.leaves[&FieldPath::from("env.KEY")], Value::string("KEY!"));
    assert!(made.secrets.contains_key(&FieldPath::from("env.KEY")));
    let gone = [change("env.KEY", Some(secret("GONE", false).into()))];
    let error = compose(&name(), Before::default(), &gone, &resolver()).err().unwrap();
    assert!(matches!(&error, PerformError::Failed(message) if message.starts_with("`env.KEY`: ")), "{error}");
}

#[test]
fn a_creation_is_as_mage_wants_it() {
    let settings = |entries: &[(&str, Value)]| {
        entries.iter().map(|(path, value)| (FieldPath::from(*path), value.clone())).collect()
    };
    let namespace = Text::from("mage");
    let body = creation(
        &name(),
        Some(&namespace),
        "image: x\n",
        settings(&[
            ("storage_request_size", Value::string("10Gi")),
            ("service_account_name", Value::string("mage")),
            ("lifecycle_config.termination_policy.enable_auto_termination", Value::Bool(true)),
        ]),
    )
    .unwrap();
    assert_eq!(
        serde_json::Value::from(body),
        serde_json::json!({
            "name": "a",
            "namespace": "mage",
            "container_config": "image: x\n",
            "storage_request_size": 10,
            "service_account_name": "mage",
            "lifecycle_config": { "termination_policy": { "enable_auto_termination": true } },
        })
    );
    for (size, wanted) in [
        (Value::Int(3), Some(3)),
        (Value::string("3"), Some(3)),
        (Value::string("2048Mi"), Some(2)),
        (Value::string("1Ti"), Some(1024)),
        (Value::string("1500Mi"), None),
        (Value::string("0Gi"), None),
        (Value::Int(-1), None),
        (Value::Bool(true), None),
        (Value::string(""), None),
    ] {
        assert_eq!(gibibytes(&size).ok(), wanted, "{size}");
    }
    let unknown = settings(&[("nonsense", Value::Int(1))]);
    assert!(creation(&name(), None, "", unknown).is_err());
}

#[test]
fn what_mage_gave_comes_back_where_a_declared_value_goes() {
    let path = |name: &str| FieldPath::from(format!("env.{name}").as_str());
    let before = Before {
        own: BTreeMap::from([
            (path("USER_CODE_PATH"), Value::string("a")),
            (path("PROJECT_TYPE"), Value::string("sub")),
            (path("PROJECT_UUID"), Value::string("u")),
        ]),
        ..before(&[
            ("env.OTHER", Value::string("x")),
            ("env.PROJECT_TYPE", Value::string("x")),
            ("env.USER_CODE_PATH", Value::string("x")),
        ])
    };
    let changes = [
        change("env.OTHER", None),
        change("env.PROJECT_TYPE", Some(text("y"))),
        change("env.USER_CODE_PATH", None),
    ];
    let content = composed(before, &changes).content;
    assert_eq!(
        crate::container::write(None, &content, Form::Kubernetes).unwrap(),
        "env:\n- name: \"OTHER\"\n  $patch: delete\n- name: \"PROJECT_TYPE\"\n  value: \"y\"\n\
         - name: \"USER_CODE_PATH\"\n  $patch: delete\n- name: \"USER_CODE_PATH\"\n  value: \"a\"\n"
    );
    let clean = crate::container::write(None, &content.clean(), Form::Kubernetes).unwrap();
    assert_eq!(clean, "env:\n- name: \"PROJECT_TYPE\"\n  value: \"y\"\n");
}

#[test]
fn variables_that_refer_to_others_come_after_them() {
    let written = |content: &Content| crate::container::write(None, content, Form::Kubernetes).unwrap();
    let names = |text: &str| -> Vec<String> {
        text.lines()
            .filter_map(|line| line.strip_prefix("- name: "))
            .map(|name| name.replace('"', ""))
            .collect()
    };
    let url = "postgresql://$(DB_USER):$(DB_PASS)@db/x";
    let changes = [
        change("env.DATABASE_URL", Some(text(url))),
        change("env.DB_PASS", Some(FieldValue::Plain(from_key()))),
        change("env.DB_USER", Some(text("mage"))),
        change("env.A", Some(text("1"))),
    ];
    let created = composed(Before::default(), &changes).content;
    assert!(!created.takes_away());
    assert_eq!(names(&written(&created)), ["A", "DB_USER", "DB_PASS", "DATABASE_URL"]);
    // A patch changes a variable in its place and appends a new one: the one that refers to it has to go and come again.
    let there = || before(&[("env.DATABASE_URL", Value::string(url)), ("env.DB_PASS", from_key())]);
    let added = composed(there(), &[change("env.DB_USER", Some(text("mage")))]).content;
    assert_eq!(paths(&added.repeated), ["env.DATABASE_URL"]);
    assert_eq!(names(&written(&added.clean())), ["DB_USER", "DB_PASS", "DATABASE_URL"]);
    // So has one that refers to that one.
    let chain = before(&[("env.B", Value::string("$(A)")), ("env.C", Value::string("$(B)"))]);
    let added = composed(chain, &[change("env.A", Some(text("1")))]).content;
    assert_eq!(paths(&added.repeated), ["env.B", "env.C"]);
    // A value that changes in its place moves nothing.
    let both = before(&[("env.B", Value::string("$(A)")), ("env.A", Value::string("1"))]);
    assert_eq!(
        composed(both, &[change("env.A", Some(text("2")))]).content.repeated,
        [""; 0].map(FieldPath::from)
    );
}

#[test]
fn a_secret_reaches_the_workspace_with_all_its_dollar_signs() {
    let resolver = Resolver::new(std::path::PathBuf::new(), Box::new(|_| Some("a$$b$(C)$".into())));
    let changes = [change("env.A", Some(FieldValue::from(secret("S", false))))];
    for (form, sent) in [(Form::Kubernetes, "a$$$$b$$(C)$$"), (Form::Docker, "a$$b$(C)$")] {
        let before = Before { form, ..Before::default() };
        let composed =
            compose(&name(), before, &changes, &resolver).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(composed.content.leaves.values().collect::<Vec<_>>(), [&Value::string(sent)]);
    }
}
