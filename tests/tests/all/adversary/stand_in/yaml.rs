//! The text of a `container_config`, and how Kubernetes merges it into a container.

use serde_json::{Map, Value, json};

/// What a line of a mark begins with.
pub const MARK: &str = "# magus: ";

/// The mark of a workspace; nothing in it if its text has none that was made for it.
pub fn mark(name: &str, text: &str) -> Map<String, Value> {
    let line = text.lines().find_map(|line| line.strip_prefix(MARK));
    let mark: Option<Map<String, Value>> = line.and_then(|line| serde_json::from_str(line).ok());
    mark.filter(|mark| mark.get("name").is_some_and(|of| of == name)).unwrap_or_default()
}

/// A text as a map; nothing if it is none.
pub fn container(text: &str) -> Option<Value> {
    let value: Value = serde_yaml::from_str(text).ok()?;
    value.is_object().then_some(value)
}

/// A text after an edit by a person who keeps the comments in its first lines.
pub fn with_text(text: &str, edit: impl FnOnce(&mut Map<String, Value>)) -> String {
    let comments: String = text.split_inclusive('\n').take_while(|line| line.starts_with('#')).collect();
    let mut value = container(text).unwrap_or_else(|| json!({}));
    edit(value.as_object_mut().expect("a map"));
    // JSON is YAML.
    format!("{comments}{value}\n")
}

/// A container after a strategic merge patch: variables are merged by name, maps by key, and other lists replaced.
pub fn merged(container: &Value, patch: &Value) -> Value {
    let mut merged = container.as_object().cloned().unwrap_or_default();
    for (key, value) in patch.as_object().into_iter().flatten() {
        let before = merged.get(key).cloned().unwrap_or_default();
        let after = match (key.as_str(), value) {
            (_, Value::Null) => None,
            ("env", Value::Array(entries)) => Some(variables(&before, entries)),
            (_, Value::Object(map)) => match map.get("$patch").and_then(Value::as_str) {
                Some("delete") => None,
                Some(_) => Some(merge(&json!({}), value)),
                None => Some(merge(&before, value)),
            },
            (_, value) => Some(value.clone()),
        };
        match after {
            Some(after) => drop(merged.insert(key.clone(), after)),
            None => drop(merged.remove(key)),
        }
    }
    Value::Object(merged)
}

fn merge(before: &Value, patch: &Value) -> Value {
    let mut after = merged(before, patch);
    if let Some(map) = after.as_object_mut() {
        map.remove("$patch");
    }
    after
}

fn variables(before: &Value, entries: &[Value]) -> Value {
    let mut all = before.as_array().cloned().unwrap_or_default();
    let (removed, set): (Vec<&Value>, Vec<&Value>) =
        entries.iter().partition(|entry| entry["$patch"] == "delete");
    all.retain(|one| !removed.iter().any(|entry| entry["name"] == one["name"]));
    for entry in set {
        match all.iter_mut().find(|one| one["name"] == entry["name"]) {
            Some(one) => *one = merge(one, entry),
            None => all.push(merge(&json!({}), entry)),
        }
    }
    Value::Array(all)
}
