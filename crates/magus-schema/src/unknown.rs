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

/// Further down, a key means something else to most people.
const DEEPEST_GUESS: usize = 3;

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
    if let Some(word) = same.or_else(|| guess::word(key, known.iter().copied())) {
        let diagnostic = match map.node.entry(word) {
            Some(Entry { key_span, .. }) => diagnostic
                .related(*key_span, "already here")
                .help(format!("did you mean `{word}`, which is already there?")),
            None => with_fix(
                diagnostic.help(format!("did you mean `{word}`?")),
                replace_word(entry.key_span, key, word, sources),
            ),
        };
        return Some(Unknown { diagnostic, meant: Some(word.to_owned()) });
    }
    let help = match likely_below(schema, map.schema, key) {
        Some((home, word)) => format!("did you mean `{word}` in `{home}`?"),
        None if known.is_empty() || known.len() > MOST_LISTED => {
            format!("run `magus schema {}` for all keys that are known", kind.name())
        }
        None => format!("known here: {}", list(known, "and")),
    };
    Some(Unknown { diagnostic: diagnostic.help(help), meant: None })
}

/// A key one level down that is much like this one, and the key that it belongs to.
fn likely_below<'a>(schema: &'a Value, map: &'a Value, key: &str) -> Option<(&'a str, &'a str)> {
    let below: Vec<(&str, &str)> = known_keys(schema, map)
        .flat_map(|(home, child)| known_keys(schema, child).map(move |(word, _)| (home, word)))
        .collect();
    let word = guess::word(key, below.iter().map(|(_, word)| *word))?;
    below.into_iter().find(|(_, candidate)| *candidate == word)
}

/// Whether a map knows this very key. One without a type belongs to Mage, and is at home nowhere.
fn is_home(schema: &Value, map: &Value, key: &str) -> bool {
    known_keys(schema, map).any(|(known, value)| known == key && value.get("type").is_some())
}

/// The shortest way down to a map that knows this very key, dotted. Only maps whose keys are all known are entered:
/// everybody names what is in the others.
fn deeper<'a>(schema: &'a Value, map: &'a Value, key: &str) -> Option<String> {
    let mut level: Vec<(String, &Value)> = vec![(String::new(), map)];
    for _ in 0..DEEPEST_GUESS {
        level = level
            .iter()
            .flat_map(|(path, map)| {
                let separator = if path.is_empty() { "" } else { "." };
                known_keys(schema, map).map(move |(name, child)| (format!("{path}{separator}{name}"), child))
            })
            .collect();
        let found = level.iter().find(|(_, child)| is_home(schema, child, key));
        if let Some((path, _)) = found {
            return Some(path.clone());
        }
    }
    None
}

/// Where the very same key is known: one level down, up on the way to the root, or in another kind of file.
fn elsewhere(kind: SchemaKind, schema: &Value, place: &Place<'_>, key: &str) -> Option<String> {
    let knows = |map: &Value| is_home(schema, map, key);
    let map = place.last();
    let below = known_keys(schema, map.schema).find(|(_, child)| knows(child)).map(|(below, _)| below);
    let is_root = place.path().is_empty();
    if let Some(below) = below.filter(|_| !is_root) {
        return Some(format!("`{key}` belongs in `{below}`"));
    }
    for (step, child) in place.above().zip(std::iter::once(map).chain(place.above())) {
        if knows(step.schema)
            && let Some(beside) = child.entry
        {
            return Some(format!("`{key}` belongs beside `{}`, not in it", beside.key));
        }
    }
    if let Some(home) = deeper(schema, map.schema, key).filter(|_| below.is_none()) {
        return Some(format!("`{key}` belongs in `{home}`"));
    }
    if !is_root {
        return None;
    }
    let files = SchemaKind::ALL
        .into_iter()
        .filter(|other| *other != kind)
        .filter(|other| compiled(*other).schema["properties"].get(key).is_some())
        .map(|other| match other {
            SchemaKind::Cluster => "cluster.yaml",
            SchemaKind::Environment => "environment.yaml",
            SchemaKind::Workspace => "a workspace's file",
        });
    let below = below.map(|below| format!("`{below}`"));
    let mut homes: Vec<String> = below.into_iter().chain(files.map(str::to_owned)).collect();
    let last = homes.pop()?;
    Some(match homes.is_empty() {
        true => format!("`{key}` belongs in {last}"),
        false => format!("`{key}` belongs in {} or {last}", homes.join(", ")),
    })
}
