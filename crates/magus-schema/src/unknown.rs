//! Unknown keys, and where they belong.

use magus_model::{diagnostic::Diagnostic, rules, span::Sources, tree::Entry};
use serde_json::Value;

use crate::{
    SchemaKind,
    explain::{list, replace_word, with_fix},
    guess,
    place::{Place, known_keys},
    validate::compiled,
};

/// Above this many, known keys are not listed.
const MOST_LISTED: usize = 12;

/// An unknown key explained.
pub(crate) struct Unknown {
    pub diagnostic: Diagnostic,
    /// The key of the same map that was probably meant.
    pub meant: Option<String>,
}

/// Explains a key that a map must not have.
pub(crate) fn explain(
    kind: SchemaKind,
    schema: &Value,
    place: &Place<'_>,
    key: &str,
    sources: &Sources,
) -> Option<Unknown> {
    let map = place.last();
    let entry = map.node.entry(key)?;
    let message = match place.path().as_str() {
        "" => format!("unknown key `{key}`"),
        path => format!("unknown key `{key}` in `{path}`"),
    };
    let diagnostic = Diagnostic::new(&rules::UNKNOWN_KEY, entry.key_span, message);

    let known: Vec<&str> = known_keys(schema, map.schema).map(|(known, _)| known).collect();
    let same = known.iter().copied().find(|known| guess::is_same(key, known));
    if same.is_none()
        && let Some(elsewhere) = elsewhere(kind, schema, place, key)
    {
        return Some(Unknown { diagnostic: diagnostic.help(elsewhere), meant: None });
    }
    Some(match same.or_else(|| guess::word(key, known.iter().copied())) {
        Some(word) => {
            let diagnostic = match map.node.entry(word) {
                Some(Entry { key_span, .. }) => diagnostic
                    .related(*key_span, "already here")
                    .help(format!("did you mean `{word}`? It is already there")),
                None => with_fix(
                    diagnostic.help(format!("did you mean `{word}`?")),
                    replace_word(entry.key_span, key, word, sources),
                ),
            };
            Unknown { diagnostic, meant: Some(word.to_owned()) }
        }
        None if known.is_empty() || known.len() > MOST_LISTED => {
            let help = format!("run `magus schema {}` for all keys that are known", kind.name());
            Unknown { diagnostic: diagnostic.help(help), meant: None }
        }
        None => {
            let help = format!("known here: {}", list(known, "and"));
            Unknown { diagnostic: diagnostic.help(help), meant: None }
        }
    })
}

/// Where the very same key is known: one level down, up on the way to the root, or in another kind of file.
fn elsewhere(kind: SchemaKind, schema: &Value, place: &Place<'_>, key: &str) -> Option<String> {
    let knows = |map: &Value| known_keys(schema, map).any(|(known, _)| known == key);
    let map = place.last();
    if let Some((below, _)) = known_keys(schema, map.schema).find(|(_, child)| knows(child)) {
        return Some(format!("`{key}` belongs in `{below}`"));
    }
    for (step, child) in place.above().zip(std::iter::once(map).chain(place.above())) {
        if knows(step.schema)
            && let Some(beside) = child.entry
        {
            return Some(format!("`{key}` belongs beside `{}`, not in it", beside.key));
        }
    }
    if !place.path().is_empty() {
        return None;
    }
    let homes: Vec<&str> = SchemaKind::ALL
        .into_iter()
        .filter(|other| *other != kind)
        .filter(|other| compiled(*other).schema["properties"].get(key).is_some())
        .map(|other| match other {
            SchemaKind::Cluster => "cluster.yaml",
            SchemaKind::Environment => "environment.yaml",
            SchemaKind::Workspace => "a workspace's file",
        })
        .collect();
    (!homes.is_empty()).then(|| format!("`{key}` belongs in {}", homes.join(" or ")))
}
