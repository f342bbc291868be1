//! The record of a workspace: its configuration as JSON, in the nested form of its fields.
//!
//! Reading goes straight from the text to sorted fields. People edit records, so that everything that JSON allows has
//! an answer here.

use std::{collections::BTreeMap, fmt};

use magus_model::{
    Text, exact,
    leaves::nest,
    observed::{ObservedField, RunState},
    path::{FieldPath, push_key},
    shared,
    value::{FieldValue, Value},
};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// A configuration and whether it runs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    /// `state`; a record without it runs.
    pub(crate) state: RunState,
    /// Everything else, ordered by path.
    pub(crate) fields: Vec<ObservedField>,
}

/// Reads a record; the reason where it is none. No value of a secret is ever in a record, so that a reason may quote it.
pub(crate) fn parse(text: &str) -> Result<Record, String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let record =
        deserializer.deserialize_any(TopLevel).and_then(|record| deserializer.end().map(|()| record));
    let mut record = record.map_err(|error| format!("its record is not valid: {error}"))?;
    record.fields = exact(record.fields);
    // Nested keys are nearly in the order of paths already: `a.b` comes after `a-b`, `a` before it.
    record.fields.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    if let Some(twice) = record.fields.windows(2).find(|pair| pair[0].path == pair[1].path) {
        return Err(format!("its record has `{}` twice", twice[0].path));
    }
    Ok(record)
}

/// Writes a record.
pub(crate) fn write(state: RunState, fields: &BTreeMap<FieldPath, FieldValue>) -> Result<String, String> {
    let values = fields.iter().map(|(path, value)| (path.clone(), Value::from(value.clone())));
    let values: Vec<_> = values.filter(|(_, value)| *value != Value::Null).collect();
    if let Some((path, _)) = values.iter().find(|(_, value)| !is_finite(value)) {
        return Err(format!("`{path}` is not a finite number"));
    }
    let mut record = nest(values)?;
    record.insert(Text::new_static("state"), Value::string(state.as_str()));
    serde_json::to_string(&record).map_err(|error| error.to_string())
}

/// JSON has no word for infinity.
fn is_finite(value: &Value) -> bool {
    match value {
        Value::Float(number) => number.is_finite(),
        Value::List(items) => items.iter().all(is_finite),
        Value::Map(map) => map.values().all(is_finite),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::String(_) => true,
    }
}

/// The record as a whole.
struct TopLevel;

impl<'de> Visitor<'de> for TopLevel {
    type Value = Record;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
        let mut record = Record { state: RunState::Running, fields: Vec::with_capacity(48) };
        let mut path = String::with_capacity(64);
        while map.next_key_seed(Key(&mut path))?.is_some() {
            if path == "state" {
                record.state = map.next_value()?;
            } else {
                map.next_value_seed(Below { path: &mut path, fields: &mut record.fields })?;
            }
            path.clear();
        }
        Ok(record)
    }
}

/// Appends a key to a path, as [`FieldPath::child`] does, and says whether its map may be a reference.
struct Key<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<&'static str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let Self(path) = self;
        push_key(path, key);
        Ok(["secret", "valueFrom"].into_iter().find(|word| *word == key))
    }
}

/// Everything below a path: its leaves are appended to the fields.
struct Below<'a> {
    path: &'a mut String,
    fields: &'a mut Vec<ObservedField>,
}

impl Below<'_> {
    fn leaf(self, value: Value) {
        let path = FieldPath::shared(self.path);
        self.fields.push(ObservedField { path, value: FieldValue::from(value) });
    }
}

impl<'de> DeserializeSeed<'de> for Below<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Below<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.leaf(Value::Bool(value));
        Ok(())
    }
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.leaf(Value::Int(value));
        Ok(())
    }
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.leaf(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int));
        Ok(())
    }
    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.leaf(Value::Float(value));
        Ok(())
    }
    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.leaf(Value::String(shared(text)));
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        self.leaf(Value::List(items));
        Ok(())
    }

    /// A map is flattened, but `{secret: {…}}` and `{valueFrom: {…}}` are one leaf, whatever the order of their keys.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (base, first) = (self.path.len(), self.fields.len());
        while let Some(reference) = map.next_key_seed(Key(self.path))? {
            let Some(key) = reference else {
                map.next_value_seed(Below { path: self.path, fields: self.fields })?;
                self.path.truncate(base);
                continue;
            };
            let value: Value = map.next_value()?;
            if !matches!(value, Value::Map(_)) {
                if value != Value::Null {
                    Below { path: self.path, fields: self.fields }.leaf(value);
                }
                self.path.truncate(base);
                continue;
            }
            self.path.truncate(base);
            let before = self.fields.drain(first..).map(|field| {
                let below = &field.path.as_str()[base..];
                (FieldPath::from(below.strip_prefix('.').unwrap_or(below)), Value::from(field.value))
            });
            let mut whole = nest(before).map_err(de::Error::custom)?;
            whole.insert(Text::new_static(key), value);
            while let Some((key, value)) = map.next_entry::<Text, Value>()? {
                whole.insert(key, value);
            }
            self.leaf(Value::Map(whole));
            return Ok(());
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
