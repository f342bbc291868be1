//! The text of `container_config`: from what Mage stores to leaves, and back.
//!
//! Mage keeps the text as it is, comments too, reads it with a YAML 1.1 parser and sends what it says to Kubernetes as
//! a strategic merge patch (MAGE.md 4.1, 4.18). Everything that is written here therefore means the same in YAML 1.1
//! and 1.2: every string, and every value of a variable, stands in double quotes.

use std::{collections::BTreeMap, fmt::Write as _};

use magus_model::{
    Text, expansion,
    leaves::{flatten, nest},
    path::FieldPath,
    value::Value,
};

use zeroize::Zeroizing;

use crate::api::InstanceType;

/// The key under which fields of the container stand.
pub(crate) const CONTAINER: &str = "container_config";
/// The key under which variables stand.
pub(crate) const ENV: &str = "env";

/// The key under which variables stand for Docker, as a map.
const ENVIRONMENT: &str = "environment";

/// Who reads a text after Mage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// Kubernetes, as a patch of what it has.
    #[default]
    Kubernetes,
    /// Docker: variables are a map, and there is nothing that takes away (MAGE.md 3).
    Docker,
}

impl Form {
    /// How workspaces on this are written.
    pub(crate) fn of(instances: Option<&InstanceType>) -> Self {
        if instances == Some(&InstanceType::Docker) { Self::Docker } else { Self::Kubernetes }
    }

    /// The text that reaches the workspace as this value, whatever signs are in it: Kubernetes reads `$$` and `$(NAME)`.
    pub(crate) fn literal(self, value: &str) -> Zeroizing<String> {
        let is_read = self == Self::Kubernetes && (value.contains("$$") || value.contains("$("));
        Zeroizing::new(if is_read { value.replace('$', "$$") } else { value.to_owned() })
    }
}

/// The key of a directive in a strategic merge patch: `$patch: delete` removes an entry of a list.
const PATCH_DIRECTIVE: &str = "$patch";

/// Lists of a container whose entries a strategic merge patch adds to those that are there (`patchStrategy: merge` of
/// `Container` in Kubernetes' `core/v1/types.go`), besides `env` and those of Mage. All other lists are replaced.
const MERGED_LISTS: &[&str] = &["volumeDevices"];

/// Fields that a patch never takes away: Mage writes the first three itself, and Kubernetes refuses a container without an
/// image (MAGE.md 4.5, 4.6). They only leave the stored text.
const NEVER_REMOVED: &[&str] = &["name", "ports", "volumeMounts", "image"];

/// An object in which Mage has handlers of its own: each handler is removed by itself, and the object stays.
const SHARED_WITH_MAGE: &str = "lifecycle";

/// What a stored text says: its leaves ordered by path, variables as `env.NAME`.
pub(crate) type Leaves = BTreeMap<FieldPath, Value>;

/// Reads a stored text; the reason where it says nothing that Magus understands. The reason quotes nothing of the text,
/// which may hold secrets.
pub(crate) fn read(text: &str, form: Form) -> Result<Leaves, String> {
    let root: serde_yaml::Value = serde_yaml::from_str(text).map_err(|error| {
        let place = error
            .location()
            .map_or_else(String::new, |at| format!(" at line {}, column {}", at.line(), at.column()));
        format!("its container_config is no YAML{place}")
    })?;
    let Value::Map(mut root) = value(root)? else {
        return Err("its container_config is no map".to_owned());
    };
    let mut leaves = Leaves::new();
    if let Some(variables) = root.remove(ENV) {
        self::variables(variables, &mut leaves)?;
    }
    if form == Form::Docker
        && let Some(Value::Map(variables)) = root.remove(ENVIRONMENT)
    {
        let path = |name: &str| FieldPath::key(ENV).child(name);
        leaves.extend(variables.into_iter().map(|(name, value)| (path(&name), value)));
    }
    let mut rest = Vec::new();
    flatten(&FieldPath::key(CONTAINER), Value::Map(root), &mut rest);
    leaves.extend(rest);
    Ok(leaves)
}

/// The variables, each as text or as `{valueFrom: …}`. Kubernetes lets the last of equal names win.
fn variables(list: Value, leaves: &mut Leaves) -> Result<(), String> {
    let items = match list {
        Value::Null => return Ok(()),
        Value::List(items) => items,
        _ => return Err("its variables are no list".to_owned()),
    };
    for item in items {
        let Value::Map(mut entry) = item else { return Err("one of its variables is no map".to_owned()) };
        let Some(Value::String(name)) = entry.remove("name") else {
            return Err("one of its variables has no name".to_owned());
        };
        if entry.contains_key(PATCH_DIRECTIVE) {
            continue;
        }
        let value = match (entry.remove("value"), entry.remove("valueFrom")) {
            (_, Some(from @ Value::Map(_))) => {
                Value::Map(BTreeMap::from([(Text::new_static("valueFrom"), from)]))
            }
            // What is unquoted is refused by Kubernetes, or became text on its way there.
            (Some(value @ (Value::String(_) | Value::Bool(_) | Value::Int(_) | Value::Float(_))), _) => value,
            // A variable without a value is an empty one.
            (None | Some(Value::Null), _) => Value::string(""),
            (Some(_), _) => return Err(format!("the value of its variable `{name}` is no text")),
        };
        leaves.insert(FieldPath::key(ENV).child(&name), value);
    }
    Ok(())
}

/// What is written: the leaves of variables and of the container, and what is to go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    /// The values, by path, as [`read`] gives them.
    pub(crate) leaves: Leaves,
    /// Paths that the running container still has and that are to go: only a patch takes them away, a text without
    /// them does not (MAGE.md 4.1).
    pub(crate) removed: Vec<FieldPath>,
    /// Values that other ones replace as a whole, as they run: a patch would add the new one to the old one. References of
    /// variables, and lists that Kubernetes merges.
    pub(crate) replaced: Leaves,
    /// Variables that go before they come again, because the running container has them more than once: a patch would
    /// change only the first of equal names, and the last one counts.
    pub(crate) repeated: Vec<FieldPath>,
    /// What Mage itself sets some of those variables to that are to go: they come back with these values.
    pub(crate) restored: Leaves,
}

impl Content {
    /// What stays once everything that is to go has gone.
    pub(crate) fn clean(&self) -> Self {
        Self { leaves: self.leaves.clone(), ..Self::default() }
    }

    /// Whether something has to go first.
    pub(crate) fn takes_away(&self) -> bool {
        !self.removed.is_empty() || !self.replaced.is_empty() || !self.repeated.is_empty()
    }

    /// What a patch sets to `null` so that a removed field is removed with the object that it leaves empty: the highest
    /// object below which nothing stays. Kubernetes refuses an object that has lost its fields one by one, such as a probe
    /// without a port. Nothing for a field that is never removed.
    fn highest_removed(&self, path: &FieldPath) -> Option<FieldPath> {
        let keys = path.keys()?;
        let (key, lowest) = (keys.get(1)?.as_str(), keys.len());
        if NEVER_REMOVED.contains(&key) {
            return None;
        }
        let first = if key == SHARED_WITH_MAGE { 3 } else { 2 };
        let whole =
            |length: usize| keys[..length].iter().fold(FieldPath::default(), |path, key| path.child(key));
        let is_empty = |object: &FieldPath| !self.leaves.keys().any(|leaf| leaf.is_within(object.as_str()));
        Some((first..lowest).map(whole).find(is_empty).unwrap_or_else(|| path.clone()))
    }
}

/// Writes the text: the mark's line, and the content. Other paths than those of variables and of the container are
/// refused.
pub(crate) fn write(mark: Option<&str>, content: &Content, form: Form) -> Result<String, String> {
    let Content { leaves, removed, replaced, repeated, restored } = content;
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    let mut container: BTreeMap<FieldPath, Value> = BTreeMap::new();
    let present = leaves.iter().map(|(path, value)| (path, Some(value).filter(|_| !repeated.contains(path))));
    let gone = removed.iter().filter(|path| !leaves.contains_key(*path)).map(|path| (path, None));
    for (path, value) in present.chain(gone) {
        let keys = path.keys().ok_or_else(|| format!("`{path}` is no path of a field"))?;
        match keys.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [ENV, name] => {
                let entry = match value {
                    None => Entry::Removed { comes_back: restored.get(path).map(text_of) },
                    Some(Value::Map(map)) => match map.get("valueFrom") {
                        // What was a text before has to lose it: Kubernetes refuses both at once (MAGE.md 4.2).
                        Some(from) => Entry::From {
                            from: without(from, replaced.get(path).and_then(reference)),
                            was_text: removed.contains(path),
                        },
                        None => return Err(format!("`{path}` is no value of a variable")),
                    },
                    Some(value) => {
                        Entry::Text { text: text_of(value), was_reference: removed.contains(path) }
                    }
                };
                entries.insert(name.to_owned(), entry);
            }
            [CONTAINER, _, ..] => {
                let (path, value) = match value {
                    Some(value) => (Some(path.clone()), with_directive(value, replaced.get(path))),
                    None => (content.highest_removed(path), Value::Null),
                };
                let keys = path.as_ref().and_then(FieldPath::keys).unwrap_or_default();
                if let Some((_, keys)) = keys.split_first() {
                    let below = keys.iter().fold(FieldPath::default(), |path, key| path.child(key));
                    container.insert(below, value);
                }
            }
            _ => return Err(format!("`{path}` is no part of container_config")),
        }
    }
    let mut text = String::new();
    if let Some(mark) = mark {
        text.push_str(mark);
        text.push('\n');
    }
    let empty = container.is_empty() && entries.is_empty();
    if !entries.is_empty() {
        match form {
            Form::Kubernetes => text.push_str("env:\n"),
            Form::Docker => {
                let _ = writeln!(text, "{ENVIRONMENT}:");
            }
        }
        // Kubernetes expands a reference only to what stands before it (MAGE.md 4.28).
        let references: BTreeMap<&str, Vec<&str>> =
            entries.iter().map(|(name, entry)| (name.as_str(), entry.references())).collect();
        for name in expansion::order(&references).names {
            let Some(entry) = entries.get(name) else { continue };
            match form {
                Form::Kubernetes => entry.write(name, &mut text),
                Form::Docker => entry.write_for_docker(name, &mut text)?,
            }
        }
    }
    mapping(&nest(container)?, 0, &mut text);
    if empty {
        // A text of nothing but a comment is refused by Mage.
        text.push_str("{}\n");
    }
    Ok(text)
}

/// The reference of a variable.
fn reference(value: &Value) -> Option<&Value> {
    let Value::Map(map) = value else { return None };
    map.get("valueFrom")
}

/// A map in the place of another one, with `null` for everything that only the other one has: a patch merges maps.
fn without(value: &Value, before: Option<&Value>) -> Value {
    let (Value::Map(map), Some(Value::Map(before))) = (value, before) else { return value.clone() };
    let mut whole = map.clone();
    for (key, old) in before {
        let new = map.get(key).map_or(Value::Null, |new| without(new, Some(old)));
        whole.insert(key.clone(), new);
    }
    Value::Map(whole)
}

/// A list in the place of another one, with the directive that replaces it where Kubernetes would merge the two.
fn with_directive(value: &Value, before: Option<&Value>) -> Value {
    let (Value::List(items), Some(Value::List(_))) = (value, before) else { return value.clone() };
    let replace = Value::Map(BTreeMap::from([(Text::new_static(PATCH_DIRECTIVE), Value::string("replace"))]));
    Value::List(std::iter::once(replace).chain(items.iter().cloned()).collect())
}

/// Whether a value has to replace the one that runs as a whole, because a patch would merge the two.
pub(crate) fn is_merged(path: &FieldPath, before: &Value, after: &Value) -> bool {
    let keys = path.keys().unwrap_or_default();
    let [first, key] = &keys[..] else { return false };
    match (before, after) {
        (Value::Map(_), Value::Map(_)) => first == ENV && without(after, Some(before)) != *after,
        (Value::List(_), Value::List(_)) => {
            first == CONTAINER && MERGED_LISTS.contains(&key.as_str()) && before != after
        }
        _ => false,
    }
}

/// A variable in the list.
enum Entry {
    Text { text: String, was_reference: bool },
    From { from: Value, was_text: bool },
    Removed { comes_back: Option<String> },
}

impl Entry {
    /// The variables that the value refers to.
    fn references(&self) -> Vec<&str> {
        match self {
            Entry::Text { text, .. } => expansion::references(text).collect(),
            Entry::From { .. } | Entry::Removed { .. } => Vec::new(),
        }
    }

    fn write(&self, name: &str, text: &mut String) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "- name: {}", quoted(name));
        match self {
            Entry::Text { text: value, was_reference } => {
                let _ = writeln!(text, "  value: {}", quoted(value));
                if *was_reference {
                    text.push_str("  valueFrom: null\n");
                }
            }
            Entry::From { from, was_text } => {
                if *was_text {
                    text.push_str("  value: null\n");
                }
                if let Value::Map(from) = from {
                    text.push_str("  valueFrom:\n");
                    mapping(from, 2, text);
                }
            }
            Entry::Removed { comes_back } => {
                let _ = writeln!(text, "  {PATCH_DIRECTIVE}: delete");
                // What removes is done first, wherever it stands in a list.
                if let Some(value) = comes_back {
                    let _ = writeln!(text, "- name: {}\n  value: {}", quoted(name), quoted(value));
                }
            }
        }
    }
}

impl Entry {
    fn write_for_docker(&self, name: &str, text: &mut String) -> Result<(), String> {
        match self {
            Entry::Text { text: value, .. } => {
                let _ = writeln!(text, "  {}: {}", quoted(name), quoted(value));
            }
            Entry::Removed { .. } => {}
            Entry::From { .. } => {
                return Err(format!(
                    "`env.{name}`: Docker holds no secrets to refer to; give it as `{{secret: …}}`"
                ));
            }
        }
        Ok(())
    }
}

/// A scalar as text: what Kubernetes wants as the value of a variable.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        other => other.to_string(),
    }
}

fn mapping(map: &BTreeMap<Text, Value>, depth: usize, text: &mut String) {
    for (key, value) in map {
        let _ = write!(text, "{:indent$}{}:", "", key_text(key), indent = depth * 2);
        node(value, depth, text);
    }
}

/// A value behind `key:` or `-`, and the end of its last line.
fn node(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Map(map) if !map.is_empty() => {
            text.push('\n');
            mapping(map, depth + 1, text);
        }
        // Lists are short, and the flow style spares every question of indentation.
        other => {
            text.push(' ');
            flow(other, text);
            text.push('\n');
        }
    }
}

fn flow(value: &Value, text: &mut String) {
    match value {
        Value::String(string) => text.push_str(&quoted(string)),
        Value::List(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push_str(", ");
                }
                flow(item, text);
            }
            text.push(']');
        }
        Value::Map(map) => {
            text.push('{');
            for (at, (key, item)) in map.iter().enumerate() {
                if at > 0 {
                    text.push_str(", ");
                }
                let _ = write!(text, "{}: ", key_text(key));
                flow(item, text);
            }
            text.push('}');
        }
        Value::Null => text.push_str("null"),
        Value::Bool(value) => {
            let _ = write!(text, "{value}");
        }
        Value::Int(value) => {
            let _ = write!(text, "{value}");
        }
        // YAML 1.1 wants a point and a sign in the exponent of a number: `1.0e+300`.
        Value::Float(value) => {
            let number = format!("{value:?}");
            match number.split_once('e') {
                None => text.push_str(&number),
                Some((digits, exponent)) => {
                    let point = if digits.contains('.') { "" } else { ".0" };
                    let sign = if exponent.starts_with('-') { "" } else { "+" };
                    let _ = write!(text, "{digits}{point}e{sign}{exponent}");
                }
            }
        }
    }
}

/// A key without quotes where both versions of YAML read it as this text.
fn key_text(key: &str) -> String {
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(|c| c.is_ascii_alphanumeric())
        && !["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
            .contains(&key.to_ascii_lowercase().as_str());
    if plain { key.to_owned() } else { quoted(key) }
}

/// A text in double quotes that both versions of YAML read alike: what YAML 1.1 does not allow in a stream, or breaks
/// lines at, is escaped.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => {
                let _ = write!(quoted, "\\x{:02X}", u32::from(c));
            }
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn value(yaml: serde_yaml::Value) -> Result<Value, String> {
    Ok(match yaml {
        serde_yaml::Value::Null => Value::Null,
        serde_yaml::Value::Bool(value) => Value::Bool(value),
        serde_yaml::Value::Number(number) => match number.as_i64() {
            Some(number) => Value::Int(number),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_yaml::Value::String(text) => Value::String(text.into()),
        serde_yaml::Value::Sequence(items) => {
            Value::List(items.into_iter().map(value).collect::<Result<_, _>>()?)
        }
        serde_yaml::Value::Mapping(map) => {
            let mut entries = BTreeMap::new();
            for (key, item) in map {
                let serde_yaml::Value::String(key) = key else {
                    return Err("its container_config has a key that is no text".to_owned());
                };
                entries.insert(Text::from(key), value(item)?);
            }
            Value::Map(entries)
        }
        serde_yaml::Value::Tagged(tagged) => value(tagged.value)?,
    })
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
