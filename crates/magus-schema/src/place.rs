//! Where in a document, and where in its schema, a violation lies.

use magus_model::{
    path::FieldPath,
    span::Span,
    tree::{Entry, Node, NodeKind},
};
use serde_json::Value;

/// A value of a document on the way from the root to a violation.
#[derive(Clone, Copy)]
pub(crate) struct Step<'a> {
    /// The value.
    pub node: &'a Node,
    /// Its key, where it stands in a map.
    pub entry: Option<&'a Entry>,
    /// Its place in a list, where it stands in one.
    pub index: Option<usize>,
    /// What the schema says about it, references followed; `null` where the schema says nothing.
    pub schema: &'a Value,
}

/// The way from the root to a violation; the root is the first step.
pub(crate) struct Place<'a> {
    steps: Vec<Step<'a>>,
}

impl<'a> Place<'a> {
    /// Walks down along a JSON pointer. The values decide what a part of it means: the validator's own reading takes
    /// the key `8080` for a place in a list and drops the empty key.
    pub fn find(root: &'a Node, schema: &'a Value, pointer: &str) -> Self {
        let mut last = Step { node: root, entry: None, index: None, schema };
        let mut steps = vec![last];
        for part in pointer.split('/').skip(1) {
            let next = match &last.node.kind {
                NodeKind::List(items) => part.parse().ok().and_then(|index: usize| {
                    let schema = follow(schema, &last.schema["items"]);
                    items.get(index).map(|node| Step { node, entry: None, index: Some(index), schema })
                }),
                _ => last.node.entry(&part.replace("~1", "/").replace("~0", "~")).map(|entry| Step {
                    node: &entry.value,
                    entry: Some(entry),
                    index: None,
                    schema: below(schema, last.schema, &entry.key),
                }),
            };
            let Some(next) = next else { break };
            steps.push(next);
            last = next;
        }
        Self { steps }
    }

    /// The value that the violation is about.
    pub fn last(&self) -> Step<'a> {
        self.steps[self.steps.len() - 1]
    }

    /// The steps above the last, nearest first.
    pub fn above(&self) -> impl Iterator<Item = Step<'a>> {
        self.steps.iter().rev().skip(1).copied()
    }

    /// The path as messages show it: `container_config.env[0].value`; empty for the root.
    pub fn path(&self) -> String {
        let mut text = FieldPath::default();
        for step in &self.steps {
            text = match (step.entry, step.index) {
                (Some(entry), _) => text.child(&entry.key),
                (None, Some(index)) => FieldPath::from(format!("{text}[{index}]").as_str()),
                (None, None) => text,
            };
        }
        text.as_str().to_owned()
    }

    /// What to underline for the value as a whole: the value where it is one word, else its key, because a map or
    /// list may reach over many lines and an empty value has no place.
    pub fn span(&self) -> Span {
        let Step { node, entry, .. } = self.last();
        let key_span = entry.map(|entry| entry.key_span);
        match node.kind {
            NodeKind::Map(_) | NodeKind::List(_) => {
                key_span.unwrap_or(Span { end: node.span.start, ..node.span })
            }
            _ if node.span.start == node.span.end => key_span.unwrap_or(node.span),
            _ => node.span,
        }
    }
}

/// What the schema of a map says about a key.
fn below<'a>(root: &'a Value, map: &'a Value, key: &str) -> &'a Value {
    follow(root, map["properties"].get(key).unwrap_or(&map["additionalProperties"]))
}

/// Follows a reference. Ours lead to definitions, which are no references themselves.
pub(crate) fn follow<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema["$ref"].as_str().and_then(|reference| root.pointer(reference.strip_prefix('#')?));
    target.unwrap_or(schema)
}

/// The known keys of a map with what the schema says about each, in order of their names.
pub(crate) fn known_keys<'a>(root: &'a Value, map: &'a Value) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let properties = map["properties"].as_object();
    properties.into_iter().flatten().map(move |(key, schema)| (key.as_str(), follow(root, schema)))
}
