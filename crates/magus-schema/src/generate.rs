//! Makes the schemas from the types.
//!
//! schemars says one-of-these with `oneOf` and maybe-null with `anyOf`. Editors explain neither well, so both are
//! rewritten here: words become an `enum` with a description each, and `null` one more type.

use std::collections::BTreeMap;

use magus_model::files::{ClusterFile, EnvironmentFile, WorkspaceFile};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::SchemaKind;

/// From this many bytes on, what a schema says several times becomes a definition.
const WORTH_SHARING: usize = 500;

/// Makes the schema of a kind of file: the text that `schemas/` has to hold. It ends with a line end.
pub fn generate(kind: SchemaKind) -> String {
    let (mut schema, title) = match kind {
        SchemaKind::Cluster => (derive::<ClusterFile>(), "Magus: a cluster"),
        SchemaKind::Environment => (derive::<EnvironmentFile>(), "Magus: an environment"),
        SchemaKind::Workspace => (derive::<WorkspaceFile>(), "Magus: a workspace"),
    };
    simplify(&mut schema);
    let mut schema = sorted(schema);
    let mut repeated = BTreeMap::new();
    count(&mut schema, &mut repeated);
    repeated.retain(|_, times| *times > 1);
    let mut definitions = Definitions { repeated, names: BTreeMap::new(), bodies: BTreeMap::new() };
    share(None, &mut schema, &mut definitions);
    let Definitions { bodies: definitions, .. } = definitions;
    if let Value::Object(root) = &mut schema {
        root.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
        root.insert("title".to_owned(), json!(title));
        root.insert("x-magus-version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
        if !definitions.is_empty() {
            root.insert("definitions".to_owned(), json!(definitions));
        }
    }
    let mut text = format!("{:#}", sorted(schema));
    text.push('\n');
    text
}

fn derive<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// The schemas directly within a schema, each with the key of the property that it describes, if it does.
fn children(schema: &mut Value) -> Vec<(Option<&str>, &mut Value)> {
    let Value::Object(keywords) = schema else { return Vec::new() };
    let mut found: Vec<(Option<&str>, &mut Value)> = Vec::new();
    for (keyword, value) in keywords {
        match (keyword.as_str(), value) {
            ("properties" | "definitions", Value::Object(properties)) => {
                found.extend(properties.iter_mut().map(|(key, child)| (Some(key.as_str()), child)));
            }
            ("items" | "additionalProperties", child @ Value::Object(_)) => found.push((None, child)),
            ("oneOf" | "anyOf", Value::Array(options)) => {
                found.extend(options.iter_mut().map(|child| (None, child)))
            }
            _ => {}
        }
    }
    found
}

/// Rewrites words and `null` alternatives, and drops what says nothing, from the inside out.
fn simplify(schema: &mut Value) {
    for (_, child) in children(schema) {
        simplify(child);
    }
    let Value::Object(keywords) = schema else { return };
    if keywords.get("default") == Some(&Value::Null) {
        keywords.remove("default");
    }
    if let Some(Value::Array(words)) = keywords.remove("oneOf") {
        let part = |key: &str| words.iter().map(|word| word.get(key).cloned().unwrap_or_default()).collect();
        let (values, descriptions): (Vec<Value>, Vec<Value>) = (part("const"), part("description"));
        keywords.insert("type".to_owned(), json!("string"));
        keywords.insert("enum".to_owned(), Value::Array(values));
        keywords.insert("enumDescriptions".to_owned(), Value::Array(descriptions));
    }
    if let Some(Value::Array(mut options)) = keywords.remove("anyOf") {
        options.retain(|option| option.get("type") != Some(&json!("null")));
        if let Some(Value::Object(option)) = options.pop() {
            for (keyword, value) in option {
                keywords.entry(keyword).or_insert(value);
            }
        }
        allow_null(keywords);
    }
    // Where a doc comment breaks its lines means nothing to a hover text.
    if let Some(Value::String(description)) = keywords.get_mut("description") {
        *description = description.replace('\n', " ");
    }
    // A format such as `double` says how Rust holds a number, which nobody who writes YAML asks.
    let checked = [magus_model::files::DATE_FORMAT, magus_model::files::DATE_TIME_FORMAT];
    if keywords.get("format").is_some_and(|format| !checked.iter().any(|checked| format == checked)) {
        keywords.remove("format");
    }
}

fn allow_null(keywords: &mut Map<String, Value>) {
    if let Some(one @ Value::String(_)) = keywords.get_mut("type") {
        *one = json!([one.take(), "null"]);
    }
    if let Some(Value::Array(words)) = keywords.get_mut("enum") {
        words.push(Value::Null);
    }
    if let Some(Value::Array(descriptions)) = keywords.get_mut("enumDescriptions") {
        descriptions.push(json!("As if it were not there; removes what lower layers gave."));
    }
}

/// How often each large schema occurs. What lies in one that was met before is not counted again.
fn count(schema: &mut Value, times: &mut BTreeMap<String, usize>) {
    let text = schema.to_string();
    if text.len() >= WORTH_SHARING {
        let times = times.entry(text).or_default();
        *times += 1;
        if *times > 1 {
            return;
        }
    }
    for (_, child) in children(schema) {
        count(child, times);
    }
}

/// What a schema says several times.
struct Definitions {
    /// The schemas that become definitions, as texts.
    repeated: BTreeMap<String, usize>,
    /// The names they have got.
    names: BTreeMap<String, String>,
    /// What they say, by name.
    bodies: BTreeMap<String, Value>,
}

/// Moves what is repeated to the definitions, under the key where it was met first. Only what is the same to the
/// last word of its description is moved, because nothing may stand beside `$ref` in draft-07.
fn share(key: Option<&str>, schema: &mut Value, definitions: &mut Definitions) {
    let text = schema.to_string();
    if definitions.repeated.contains_key(&text) {
        let name = match definitions.names.get(&text) {
            Some(name) => name.clone(),
            None => {
                let wanted = key.unwrap_or("item");
                let taken = |name: &String| definitions.names.values().any(|other| other == name);
                let mut name = wanted.to_owned();
                for number in 2.. {
                    if !taken(&name) {
                        break;
                    }
                    name = format!("{wanted}{number}");
                }
                definitions.names.insert(text, name.clone());
                let mut body = schema.clone();
                share_children(&mut body, definitions);
                definitions.bodies.insert(name.clone(), body);
                name
            }
        };
        *schema = json!({ "$ref": format!("#/definitions/{name}") });
    } else {
        share_children(schema, definitions);
    }
}

fn share_children(schema: &mut Value, definitions: &mut Definitions) {
    let keyed: Vec<(Option<String>, &mut Value)> =
        children(schema).into_iter().map(|(key, child)| (key.map(str::to_owned), child)).collect();
    for (key, child) in keyed {
        share(key.as_deref(), child, definitions);
    }
}

/// Keys in the order of their names, whether or not serde_json keeps another.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map: BTreeMap<String, Value> = map.into_iter().collect();
            Value::Object(map.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
