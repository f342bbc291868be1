//! Records as Magus writes them, and as people leave them.

use magus_model::value::{SecretReference, SecretSource};
use proptest::prelude::*;

use super::*;

fn fields(text: &str) -> Vec<(String, String)> {
    let record = parse(text).expect("a record");
    record.fields.iter().map(|field| (field.path.to_string(), field.value.to_string())).collect()
}

#[test]
fn a_record_is_read_as_sorted_leaves() {
    let text = r#"{"state": "stopped", "env": {"B": "2", "A": 1, "A-B": true, "gone": null},
        "container_config": {"args": ["x", {"y": null}], "nodeSelector": {"kubernetes.io/os": "linux"}, "resources": {}},
        "storage_request_size": 2.5, "namespace": null}"#;
    let expected = [
        ("container_config.args", r#"["x",{"y":null}]"#),
        ("container_config.nodeSelector[\"kubernetes.io/os\"]", "linux"),
        ("env.A", "1"),
        ("env.A-B", "true"),
        ("env.B", "2"),
        ("storage_request_size", "2.5"),
    ];
    assert_eq!(fields(text), expected.map(|(path, value)| (path.to_owned(), value.to_owned())));
    assert_eq!(parse(text).map(|record| record.state), Ok(RunState::Stopped));
    assert_eq!(parse("{}"), Ok(Record { state: RunState::Running, fields: Vec::new() }));
    // `a` and its children are not neighbours of `a-b` in the order of paths.
    let order: Vec<String> =
        fields(r#"{"env": {"a": {"x": 1}, "a-b": 2}}"#).into_iter().map(|field| field.0).collect();
    assert_eq!(order, ["env.a-b", "env.a.x"]);
}

#[test]
fn references_are_one_leaf_in_any_order_of_keys() {
    let reference = SecretReference { source: SecretSource::Env("X".into()), version: Some(2), keep: true };
    for text in [
        r#"{"env": {"K": {"keep": true, "secret": {"env": "X"}, "version": 2}}}"#,
        r#"{"env": {"K": {"version": 2, "keep": true, "secret": {"env": "X"}}}}"#,
    ] {
        let record = parse(text).expect("a record");
        assert_eq!(record.fields.len(), 1, "{text}");
        assert_eq!(record.fields[0].value, FieldValue::from(reference.clone()), "{text}");
    }
    let text = r#"{"env": {"A": {"valueFrom": {"secretKeyRef": {"name": "n", "key": "k"}}}, "B": "1"}, "secret": {"x": 1}}"#;
    let expected = [
        ("env.A", r#"{"valueFrom":{"secretKeyRef":{"key":"k","name":"n"}}}"#),
        ("env.B", "1"),
        ("secret", r#"{"secret":{"x":1}}"#),
    ];
    let found = fields(text);
    assert_eq!(
        found[..2],
        expected[..2].iter().map(|(p, v)| (p.to_string(), v.to_string())).collect::<Vec<_>>()
    );
    assert_eq!(fields(r#"{"env": {"A": {"valueFrom": "text", "secret": 1}}}"#).len(), 2, "no references");
}

#[test]
fn what_is_no_record_has_a_reason() {
    for text in [
        "",
        "{",
        "[]",
        "\"x\"",
        "{\"env\": {\"A\": \"x\"}} x",
        "{\"state\": \"x\"}",
        "{\"state\": 1}",
        "{\"env\": {\"A\": \"x\", \"A\": \"2\"}}",
        "{\"env\": {\"A\": x}}",
        &"[".repeat(10_000),
        &format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)),
    ] {
        let reason = parse(text).expect_err(text);
        assert!(reason.starts_with("its record"), "{reason}");
    }
}

#[test]
fn leaves_that_exclude_each_other_are_refused() {
    let plain = |path: &str| (FieldPath::from(path), FieldValue::Plain(Value::Int(1)));
    assert!(write(RunState::Running, &BTreeMap::from([plain("env"), plain("env.A")])).is_err());
    assert!(write(RunState::Running, &BTreeMap::from([plain("env.A"), plain("env.A.B")])).is_err());
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::Float),
        "\\PC{0,8}".prop_map(Value::string),
    ];
    prop_oneof![
        4 => scalar.clone(),
        1 => prop::collection::vec(scalar, 0..3).prop_map(Value::List),
        1 => Just(SecretReference {
            source: SecretSource::Command { words: vec!["sops".into(), "-d".into()], folder: "production".into() },
            version: Some(3),
            keep: false,
        }.to_value()),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        leaves in prop::collection::btree_map(prop::collection::vec("[a-c.\\[\"-]{0,3}", 2..4), value(), 0..12),
        stopped in any::<bool>(),
    ) {
        let state = if stopped { RunState::Stopped } else { RunState::Running };
        let mut fields = BTreeMap::new();
        for (keys, value) in leaves {
            let path = keys.iter().fold(FieldPath::key("env"), |path, key| path.child(key));
            // A value and a map at the same place cannot both be.
            let clash = |other: &FieldPath| path.is_within(other.as_str()) || other.is_within(path.as_str());
            if !fields.keys().any(clash) {
                fields.insert(path, FieldValue::from(value));
            }
        }
        let text = write(state, &fields).expect("it can be written");
        let record = parse(&text).expect("it reads back");
        prop_assert_eq!(record.state, state);
        let read: BTreeMap<_, _> = record.fields.into_iter().map(|field| (field.path, field.value)).collect();
        prop_assert_eq!(read, fields);
    }
}
