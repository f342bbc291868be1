//! Values of the wrong type, and what was probably meant.

use magus_model::{
    diagnostic::{Diagnostic, Fix},
    rules,
    span::Sources,
    tree::NodeKind,
};
use serde_json::Value;

use crate::{
    SchemaKind,
    explain::{Violation, kind_of, like_examples, list, replace_word, with_fix, with_help},
    place::{Place, Step},
};

/// Explains a value of the wrong type.
pub(crate) fn explain(kind: SchemaKind, violation: &Violation<'_>, sources: &Sources) -> Diagnostic {
    let place = &violation.place;
    let Step { node, schema, .. } = place.last();
    let expected = expected(schema);
    let path = place.path();
    if path.is_empty() {
        let message = format!("{} has to be a map of keys, but is {}", a_file(kind), kind_of(&node.kind));
        return Diagnostic::new(&rules::WRONG_TYPE, place.span(), message);
    }
    let scalar = matches!(node.kind, NodeKind::Int(_) | NodeKind::Float(_) | NodeKind::Bool(_));
    if scalar && is_variable(place) {
        let message = format!("the value of `{}` is {}, not text", variable_name(place), kind_of(&node.kind));
        return with_fix(
            Diagnostic::new(&rules::UNQUOTED_VARIABLE, place.span(), message)
                .help("quote it, because variables are text: run `magus lint --fix`"),
            quote(place, sources),
        );
    }
    let message = match node.kind {
        NodeKind::Null => format!("`{path}` has no value, but has to be {expected}"),
        _ => format!("`{path}` has to be {expected}, but is {}", kind_of(&node.kind)),
    };
    let (help, fix) = remedy(place, sources);
    with_fix(with_help(Diagnostic::new(&rules::WRONG_TYPE, place.span(), message), help), fix)
}

fn a_file(kind: SchemaKind) -> &'static str {
    match kind {
        SchemaKind::Cluster => "cluster.yaml",
        SchemaKind::Environment => "environment.yaml",
        SchemaKind::Workspace => "a workspace",
    }
}

/// The types that a schema names, without `null`.
fn types(schema: &Value) -> Vec<&str> {
    let named: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    named.into_iter().filter(|name| *name != "null").collect()
}

fn allows(schema: &Value, name: &str) -> bool {
    types(schema).contains(&name)
}

/// What has to stand there, in words.
fn expected(schema: &Value) -> String {
    let words: Vec<&str> = types(schema)
        .into_iter()
        .map(|name| match name {
            "string" if schema.get("enum").is_some() => "a word",
            "string" => "text",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "`true` or `false`",
            "array" => "a list",
            "object" => "a map",
            other => other,
        })
        .collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "something else".to_owned(),
    }
}

/// Whether the value is that of a variable: in the map form, or in Kubernetes' list form.
fn is_variable(place: &Place<'_>) -> bool {
    let map_form = place.last().schema["properties"].get("valueFrom").is_some();
    let list_form = place.last().entry.is_some_and(|entry| entry.key == "value")
        && place.above().next().is_some_and(|entry| entry.schema["properties"].get("valueFrom").is_some());
    map_form || list_form
}

/// The name of the variable whose value it is.
fn variable_name(place: &Place<'_>) -> String {
    let map_form =
        place.last().entry.filter(|_| place.last().schema["properties"].get("valueFrom").is_some());
    let list_form = || place.above().next().and_then(|entry| entry.node.get("name")?.as_str());
    match map_form {
        Some(entry) => entry.key.to_string(),
        None => list_form().map_or_else(|| place.path(), str::to_owned),
    }
}

/// What helps against a wrong type, and a change of the text where there is only one.
fn remedy(place: &Place<'_>, sources: &Sources) -> (Option<String>, Option<Fix>) {
    let Step { node, schema, entry, .. } = place.last();
    let key = entry.map_or("", |entry| entry.key.as_str());
    let say = |help: &str| Some(help.to_owned());
    match &node.kind {
        NodeKind::Int(_) | NodeKind::Float(_) | NodeKind::Bool(_) if allows(schema, "string") => {
            let is_any_text =
                types(schema) == ["string"] && schema.get("pattern").or(schema.get("format")).is_none();
            match schema["enum"].as_array() {
                Some(words) => {
                    let words = words.iter().filter_map(Value::as_str);
                    (Some(format!("it is one of {}", list(words, "or"))), None)
                }
                None if is_any_text => (say("put it into quotes"), quote(place, sources)),
                None => (like_examples(schema), None),
            }
        }
        NodeKind::String(text) if allows(schema, "boolean") => {
            let word = match text.to_lowercase().as_str() {
                "yes" | "on" | "true" | "y" => "true",
                "no" | "off" | "false" | "n" => "false",
                _ => return (None, None),
            };
            (Some(format!("write `{word}`")), replace_word(node.span, text, word, sources))
        }
        NodeKind::String(text) if allows(schema, "integer") && text.parse::<i64>().is_ok() => {
            (say("write it without quotes"), replace_word(node.span, text, text, sources))
        }
        NodeKind::String(_) if allows(schema, "array") && allows(&schema["items"], "string") => {
            // No fix: the editing of files lets a word become another word, and nothing else.
            (say("write it as a list, in `[` and `]` or with a `-` before each item"), None)
        }
        NodeKind::String(_) if key == "container_config" => {
            (say("write it as YAML and not as a string: remove the `|` after the key"), None)
        }
        NodeKind::List(_) if key == "env" => {
            (say("write `NAME: value` for each variable; the list form belongs in `container_config`"), None)
        }
        NodeKind::Map(_) if key == "env" && allows(schema, "array") => {
            (say("write the variables under `env` of the workspace, beside `container_config`"), None)
        }
        NodeKind::Null => (say("give it a value, or remove the key"), None),
        _ => (None, None),
    }
}

/// A change that quotes a number or boolean as it is written: `8080` becomes `"8080"`, and `0x1F` stays that.
fn quote(place: &Place<'_>, sources: &Sources) -> Option<Fix> {
    let span = place.last().node.span;
    let source = sources.slice(span);
    let plain = source.chars().all(|c| c.is_ascii_alphanumeric() || "+-._:".contains(c));
    (plain && !source.is_empty()).then(|| Fix::Edit(vec![(span, format!("\"{source}\""))]))
}
