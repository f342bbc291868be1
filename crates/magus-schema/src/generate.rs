//! Makes the schemas from the types.
//!
//! schemars says one-of-these with `oneOf` and maybe-null with `anyOf`. Editors explain neither well, so both are
//! rewritten here: words become an `enum` with a description each, and `null` one more type.

use std::collections::BTreeMap;

use magus_model::files::{ClusterFile, EnvironmentFile, WorkspaceFile};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::SchemaKind;

/// Large parts that a schema says once, by a key that only they have.
const SHARED: [(&str, &str); 8] = [
    ("Affinity", "podAntiAffinity"),
    ("Container", "livenessProbe"),
    ("LabelSelector", "matchLabels"),
    ("Layer", "container_config"),
    ("NodeSelectorTerm", "matchFields"),
    ("PodAffinityTerm", "topologyKey"),
    ("Probe", "failureThreshold"),
    ("ValueFrom", "configMapKeyRef"),
];

/// Makes the schema of a kind of file: the text that `schemas/` has to hold. It ends with a line end.
pub fn generate(kind: SchemaKind) -> String {
    let (mut schema, title) = match kind {
        SchemaKind::Cluster => (derive::<ClusterFile>(), "Magus: a cluster"),
        SchemaKind::Environment => (derive::<EnvironmentFile>(), "Magus: an environment"),
        SchemaKind::Workspace => (derive::<WorkspaceFile>(), "Magus: a workspace"),
    };
    simplify(&mut schema);
    let mut definitions = BTreeMap::new();
    for (_, child) in children(&mut schema) {
        share(child, &mut definitions);
    }
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
    describe_words(keywords);
    // A format such as `double` says how Rust holds a number, which nobody who writes YAML asks.
    if keywords.get("format").is_some_and(|format| format != magus_model::files::DATE_TIME_FORMAT) {
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

/// Editors show the description of an enum where they do not show those of its words.
fn describe_words(keywords: &mut Map<String, Value>) {
    let (Some(Value::Array(words)), Some(Value::Array(descriptions)), Some(Value::String(description))) =
        (keywords.get("enum"), keywords.get("enumDescriptions"), keywords.get("description"))
    else {
        return;
    };
    let mut text = format!("{description}\n");
    for (word, meaning) in words.iter().zip(descriptions) {
        if let (Some(word), Some(meaning)) = (word.as_str(), meaning.as_str()) {
            text.push_str(&format!("\n- `{word}`: {meaning}"));
        }
    }
    keywords.insert("markdownDescription".to_owned(), Value::String(text));
}

/// Moves large parts to the definitions. Draft-07 ignores what stands beside `$ref`, but a description there is
/// no constraint, and editors show it.
fn share(schema: &mut Value, definitions: &mut BTreeMap<String, Value>) {
    for (_, child) in children(schema) {
        share(child, definitions);
    }
    let known =
        |key: &str| schema.pointer("/properties").is_some_and(|properties| properties.get(key).is_some());
    let Some((name, _)) = SHARED.iter().find(|(_, key)| known(key)) else { return };
    let Value::Object(keywords) = schema else { return };
    let description = keywords.remove("description");
    let shared = Value::Object(std::mem::take(keywords));
    let definition = definitions.entry((*name).to_owned()).or_insert_with(|| shared.clone());
    let mut described = match *definition == shared {
        true => Map::from_iter([("$ref".to_owned(), json!(format!("#/definitions/{name}")))]),
        // Another one with the same keys, such as one that cannot be `null`, stays where it is.
        false => Map::from_iter(shared.as_object().cloned().unwrap_or_default()),
    };
    described.extend(description.map(|description| ("description".to_owned(), description)));
    *schema = Value::Object(described);
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
