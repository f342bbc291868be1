//! Laying layers over one another, against a deep merge of trees that is written as plainly as possible.

use magus_model::{
    Text,
    path::FieldPath,
    value::{FieldValue, Value},
};
use proptest::prelude::*;

use super::builder::{find, load, resolve};

/// Keys that meet, and keys whose paths sort or quote in unusual ways.
fn key() -> impl Strategy<Value = Text> {
    prop::sample::select(vec!["a", "b", "a-b", "a.b", "", "a[", "a\"", "B", "é", "secret"])
        .prop_map(Text::from)
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        2 => Just(Value::Null),
        3 => (0i64..3).prop_map(Value::Int),
        2 => "[a-c]{0,2}".prop_map(Value::string),
        1 => Just(Value::List(vec![Value::Null, Value::Int(1)])),
        1 => Just(serde_json::from_str(r#"{"secret": {"env": "X"}, "version": 1}"#).unwrap()),
        1 => Just(serde_json::from_str(r#"{"valueFrom": {"a": "b"}}"#).unwrap()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop::collection::btree_map(key(), inner, 0..4).prop_map(Value::Map)
    })
}

fn layer() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(key(), tree(), 0..5).prop_map(Value::Map)
}

fn is_whole(value: &Value) -> bool {
    let map = value.as_map();
    let has = |key: &str| map.and_then(|map| map.get(key)).is_some_and(|value| value.as_map().is_some());
    has("secret") || has("valueFrom")
}

/// The oracle: `null` removes, maps merge, everything else replaces.
fn merge(below: Option<Value>, above: &Value) -> Option<Value> {
    match above {
        Value::Null => None,
        Value::Map(entries) if !is_whole(above) => {
            let mut merged = match below {
                Some(below) if is_whole(&below) => Default::default(),
                Some(Value::Map(map)) => map,
                _ => Default::default(),
            };
            for (key, value) in entries {
                let lower = merged.remove(key);
                if let Some(value) = merge(lower, value) {
                    merged.insert(key.clone(), value);
                }
            }
            Some(Value::Map(merged))
        }
        _ => Some(above.clone()),
    }
}

fn flatten(path: &FieldPath, value: &Value, into: &mut Vec<(String, FieldValue)>) {
    match value {
        Value::Null => {}
        Value::Map(map) if !is_whole(value) => {
            for (key, value) in map {
                flatten(&path.child(key), value, into);
            }
        }
        _ => into.push((path.to_string(), FieldValue::from(value.clone()))),
    }
}

fn text(value: &Value) -> String {
    serde_json::to_string(value).unwrap()
}

proptest! {
    #[test]
    fn layers_merge_as_trees_do(cluster in layer(), environment in layer(), template in layer(), own in layer()) {
        let layers = [&cluster, &environment, &template, &own];
        let mut expected = Vec::new();
        let merged = layers.iter().fold(None, |below, above| merge(below, above));
        let root = FieldPath::key("lifecycle_config");
        flatten(&root, &merged.unwrap_or(Value::Null), &mut expected);
        expected.sort_by(|a, b| a.0.cmp(&b.0));

        let cluster = format!(
            "name: c\nengine: {{local: {{path: x}}}}\ntemplates: {{t: {{lifecycle_config: {}}}}}\ndefaults: {{lifecycle_config: {}}}\n",
            text(&template), text(&cluster),
        );
        let environment = format!("defaults: {{lifecycle_config: {}}}\n", text(&environment));
        let own = format!("use: [t]\nlifecycle_config: {}\n", text(&own));
        let files = [("cluster.yaml", &*cluster), ("e/environment.yaml", &*environment), ("e/w.yaml", &*own)];
        let loaded = load(&files);
        let resolution = resolve(&loaded);
        let workspace = find(&resolution.desired, "w-e");
        let found: Vec<(String, FieldValue)> =
            workspace.fields.iter().map(|f| (f.path.to_string(), f.value.clone())).collect();
        prop_assert!(workspace.fields.is_sorted_by(|a, b| a.path < b.path), "ordered, and no path twice");
        let folder = |value: &FieldValue| match value {
            FieldValue::Secret(reference) => format!("{:?}", reference.source),
            FieldValue::Plain(value) => text(value),
        };
        let shown = |fields: &[(String, FieldValue)]| -> Vec<String> {
            fields.iter().map(|(path, value)| format!("{path} = {}", folder(value))).collect()
        };
        prop_assert_eq!(shown(&found), shown(&expected));
    }
}
