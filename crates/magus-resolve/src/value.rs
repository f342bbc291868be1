//! From a node to the value of a field: placeholders filled in, secrets' paths made relative to the directory.

use magus_model::{
    Text,
    span::Sources,
    tree::{Node, NodeKind},
    value::{FieldValue, SecretReference, SecretSource, Value},
};

use crate::{
    layer::{Content, Setting},
    placeholder::{self, Variables},
};

/// What it takes to read a value.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    /// The texts, for variables that were written as numbers.
    pub(crate) sources: &'a Sources,
    /// The folder of each file by its id, relative to the directory; empty for the directory itself.
    pub(crate) folders: &'a [Text],
    /// What placeholders stand for.
    pub(crate) variables: Variables<'a>,
}

impl Reader<'_> {
    /// The value of a setting; `null` for one that removes.
    pub(crate) fn field_value(&self, setting: &Setting<'_>) -> FieldValue {
        let is_variable = || setting.path.is_within("env");
        match setting.content {
            Content::Leaf(node) => match &node.kind {
                NodeKind::Map(_) => self.reference(node),
                NodeKind::Bool(_) | NodeKind::Int(_) | NodeKind::Float(_) if is_variable() => {
                    FieldValue::Plain(Value::String(self.written(node)))
                }
                _ => FieldValue::Plain(self.value(node)),
            },
            Content::Item(item) => match item.get("valueFrom") {
                Some(source) => {
                    let map = [(Text::new_static("valueFrom"), self.value(source))];
                    FieldValue::Plain(Value::Map(map.into()))
                }
                None => FieldValue::Plain(Value::string("")),
            },
            Content::Empty | Content::Removed => FieldValue::Plain(Value::Null),
        }
    }

    /// A variable is always text: `8080` and `yes` reach the workspace as they are written.
    fn written(&self, node: &Node) -> Text {
        let written = self.sources.slice(node.span).trim();
        if written.is_empty() || written.starts_with(['&', '!']) {
            node.to_value().to_string().into()
        } else {
            written.into()
        }
    }

    fn value(&self, node: &Node) -> Value {
        match &node.kind {
            NodeKind::String(text) if placeholder::has_any(text) => {
                Value::String(placeholder::fill(text, &self.variables).into())
            }
            NodeKind::List(items) => Value::List(items.iter().map(|item| self.value(item)).collect()),
            NodeKind::Map(entries) => Value::Map(
                entries.iter().map(|entry| (entry.key.clone(), self.value(&entry.value))).collect(),
            ),
            _ => node.to_value(),
        }
    }

    /// `{secret: …}` or `{valueFrom: …}`. A secret's command is passed on exactly as it is written.
    fn reference(&self, node: &Node) -> FieldValue {
        let Some(mut reference) = SecretReference::from_value(&node.to_value()) else {
            return FieldValue::Plain(self.value(node));
        };
        let here = self.folders.get(node.span.file.0 as usize).map_or("", Text::as_str);
        match &mut reference.source {
            SecretSource::Env(name) => *name = placeholder::fill(name, &self.variables).into(),
            SecretSource::File(path) => *path = relative_to(here, &placeholder::fill(path, &self.variables)),
            SecretSource::Command { folder, .. } => *folder = here.into(),
        }
        FieldValue::from(reference)
    }
}

/// A path that is relative to a folder, as seen from where that folder's own path begins. Absolute ones stay.
pub(crate) fn relative_to(folder: &str, path: &str) -> Text {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = if absolute { Vec::new() } else { folder.split('/').collect() };
    parts.retain(|part| !matches!(*part, "" | "."));
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            _ => parts.push(part),
        }
    }
    match (absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")).into(),
        (false, true) => ".".into(),
        (false, false) => parts.join("/").into(),
    }
}

/// Whether any text in a node has a placeholder.
pub(crate) fn has_placeholder(node: &Node) -> bool {
    match &node.kind {
        NodeKind::String(text) => placeholder::has_any(text),
        NodeKind::List(items) => items.iter().any(has_placeholder),
        NodeKind::Map(entries) => entries.iter().any(|entry| has_placeholder(&entry.value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_seen_from_the_directory() {
        for (folder, path, expected) in [
            ("", "a.txt", "a.txt"),
            ("production", "a.txt", "production/a.txt"),
            ("production/people", "../_secrets.yaml", "production/_secrets.yaml"),
            ("production", "../../x", "../x"),
            ("production", "./../", "."),
            ("production", "/run/secrets/x", "/run/secrets/x"),
            ("../up", "x y", "../up/x y"),
            ("", "/../a", "/a"),
        ] {
            assert_eq!(relative_to(folder, path), expected, "{folder} {path}");
        }
    }
}
