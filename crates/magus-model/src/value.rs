//! Values without spans: what is compared, sent, stored and shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Text;

/// A value as YAML and JSON have it. Maps are ordered by key.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that fits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    String(Text),
    /// A list.
    List(Vec<Value>),
    /// A map.
    Map(BTreeMap<Text, Value>),
}

impl Value {
    /// Text.
    pub fn string(text: impl Into<Text>) -> Self {
        Self::String(text.into())
    }

    /// The text, where the value is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The entries, where the value is a map.
    pub fn as_map(&self) -> Option<&BTreeMap<Text, Value>> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Whether it is a map or list without any content, or `null`: what Kubernetes treats like an absent field.
    pub fn is_empty(&self) -> bool {
        match self {
            Value::Null => true,
            Value::List(items) => items.is_empty(),
            Value::Map(map) => map.is_empty(),
            _ => false,
        }
    }
}

/// Shows a value as compact JSON; a string without quotes where nothing needs them.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::String(text) if text.is_empty() => f.write_str("\"\""),
            Value::String(text) if text.chars().any(char::is_control) || text.trim() != text.as_str() => {
                f.write_str(&serde_json::to_string(text.as_str()).map_err(|_| std::fmt::Error)?)
            }
            Value::String(text) => f.write_str(text),
            other => f.write_str(&serde_json::to_string(other).map_err(|_| std::fmt::Error)?),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::Float(value) => serializer.serialize_f64(*value),
            Value::String(text) => serializer.serialize_str(text),
            Value::List(items) => serializer.collect_seq(items),
            Value::Map(map) => serializer.collect_map(map),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Value;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("any value")
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_none<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(Value::Int(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(Value::Float(value))
            }
            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::String(text.into()))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut items = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(1024));
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Value::List(items))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<Text, Value>()? {
                    entries.insert(key, value);
                }
                Ok(Value::Map(entries))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// The value of a configuration field: plain, or a reference to a secret that only apply resolves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
pub enum FieldValue {
    /// What is written is what is sent.
    Plain(Value),
    /// A reference; the value behind it is never part of this type. In a box, because few fields are secrets and every
    /// field pays for the largest.
    Secret(Box<SecretReference>),
}

/// A reference to a secret: `{secret: {env: NAME}, version: 2}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretReference {
    /// Where apply gets the value.
    pub source: SecretSource,
    /// Declared by people; a new version is how a rotation is declared.
    pub version: Option<i64>,
    /// Leave the running value as it is.
    pub keep: bool,
}

/// Where the value of a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecretSource {
    /// An environment variable of the process that applies.
    Env(Text),
    /// A file, relative to the directory of the declarations; its content without one final line end.
    File(Text),
    /// A program that is run without a shell; its standard output without one final line end.
    Command {
        /// The program and its arguments.
        words: Vec<Text>,
        /// Where it runs: the folder of the file that names it, relative to the directory of the declarations; empty for that directory.
        folder: Text,
    },
}

impl FieldValue {
    /// Whether the value behind it must never be shown.
    pub fn is_sensitive(&self) -> bool {
        matches!(self, FieldValue::Secret(_))
    }
}

/// `{secret: …}` is a reference; everything else is plain.
impl FieldValue {
    /// Whether it is this text.
    pub fn is_text(&self, wanted: &str) -> bool {
        matches!(self, FieldValue::Plain(Value::String(text)) if text == wanted)
    }
}

impl From<Value> for FieldValue {
    fn from(value: Value) -> Self {
        SecretReference::from_value(&value).map_or(FieldValue::Plain(value), FieldValue::from)
    }
}

impl From<SecretReference> for FieldValue {
    fn from(reference: SecretReference) -> Self {
        FieldValue::Secret(Box::new(reference))
    }
}

impl From<FieldValue> for Value {
    fn from(value: FieldValue) -> Self {
        match value {
            FieldValue::Plain(value) => value,
            FieldValue::Secret(reference) => reference.to_value(),
        }
    }
}

impl SecretReference {
    /// Reads `{secret: {env | file | command}, version?, keep?}`; nothing where the value has another shape.
    pub fn from_value(value: &Value) -> Option<Self> {
        let map = value.as_map()?;
        let secret = map.get("secret")?.as_map()?;
        let source = match (secret.get("env"), secret.get("file"), secret.get("command")) {
            (Some(Value::String(name)), None, None) => SecretSource::Env(name.clone()),
            (None, Some(Value::String(path)), None) => SecretSource::File(path.clone()),
            (None, None, Some(Value::List(items))) => SecretSource::Command {
                words: items.iter().map(|item| item.as_str().map(Text::from)).collect::<Option<_>>()?,
                folder: secret.get("folder").and_then(Value::as_str).unwrap_or("").into(),
            },
            _ => return None,
        };
        let version = match map.get("version") {
            Some(Value::Int(version)) => Some(*version),
            _ => None,
        };
        Some(Self { source, version, keep: map.get("keep") == Some(&Value::Bool(true)) })
    }

    /// The reference as it is declared, and a command's `folder` beside it.
    pub fn to_value(&self) -> Value {
        let mut secret = BTreeMap::new();
        match &self.source {
            SecretSource::Env(name) => {
                secret.insert("env".into(), Value::String(name.clone()));
            }
            SecretSource::File(path) => {
                secret.insert("file".into(), Value::String(path.clone()));
            }
            SecretSource::Command { words, folder } => {
                secret.insert(
                    "command".into(),
                    Value::List(words.iter().cloned().map(Value::String).collect()),
                );
                if !folder.is_empty() {
                    secret.insert("folder".into(), Value::String(folder.clone()));
                }
            }
        }
        let mut map = BTreeMap::from([(Text::from("secret"), Value::Map(secret))]);
        if let Some(version) = self.version {
            map.insert("version".into(), Value::Int(version));
        }
        if self.keep {
            map.insert("keep".into(), Value::Bool(true));
        }
        Value::Map(map)
    }
}

impl std::fmt::Display for FieldValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FieldValue::Plain(value) => value.fmt(f),
            FieldValue::Secret(reference) => reference.fmt(f),
        }
    }
}

impl std::fmt::Display for SecretReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.source {
            SecretSource::Env(name) => write!(f, "(secret from env {name}")?,
            SecretSource::File(path) => write!(f, "(secret from file {path}")?,
            SecretSource::Command { words, .. } => write!(f, "(secret from command {}", words.join(" "))?,
        }
        if let Some(version) = self.version {
            write!(f, ", version {version}")?;
        }
        if self.keep {
            f.write_str(", kept")?;
        }
        f.write_str(")")
    }
}
