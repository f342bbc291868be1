//! The text of a file that `magus import` writes: as serde_yaml writes it, but for what YAML 1.1 and 1.2 read differently.

use std::fmt::Write as _;

use magus_model::{Text, value::Value};
use serde::{Serialize, Serializer};

/// Writes keys with their values, in their order. Reading the text gives the same values, whatever characters are in them.
///
/// # Errors
/// If a value has no form in YAML, such as a map as a key.
pub fn write(keys: &[(Text, Value)]) -> Result<String, serde_yaml::Error> {
    let mut text = String::new();
    for (key, value) in keys {
        if is_plain(value) && is_plain_text(key) {
            text.push_str(&serde_yaml::to_string(&Single(key, value))?);
        } else {
            let _ = write!(text, "{}:", quoted(key));
            node(value, 0, &mut text)?;
        }
    }
    Ok(if text.is_empty() { "{}\n".to_owned() } else { text })
}

/// One key and its value.
struct Single<'a>(&'a str, &'a Value);

impl Serialize for Single<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.0, self.1)])
    }
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::String(text) => is_plain_text(text),
        Value::List(items) => items.iter().all(is_plain),
        Value::Map(map) => map.iter().all(|(key, value)| is_plain_text(key) && is_plain(value)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => true,
    }
}

/// Whether both versions of YAML read a text alike as serde_yaml writes it: YAML 1.1 breaks lines at U+0085, U+2028 and U+2029, a byte order
/// mark may be dropped, and a bare `<<` merges maps.
fn is_plain_text(text: &str) -> bool {
    text != "<<" && !text.chars().any(is_special)
}

fn is_special(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
        || c.is_control() && !matches!(c, '\n' | '\t')
}

fn node(value: &Value, depth: usize, text: &mut String) -> Result<(), serde_yaml::Error> {
    if let Value::Map(map) = value
        && !map.is_empty()
    {
        text.push('\n');
        for (key, value) in map {
            let _ = write!(text, "{:indent$}{}:", "", quoted(key), indent = 2 * depth + 2);
            node(value, depth + 1, text)?;
        }
        return Ok(());
    }
    text.push(' ');
    flow(value, text)?;
    text.push('\n');
    Ok(())
}

fn flow(value: &Value, text: &mut String) -> Result<(), serde_yaml::Error> {
    match value {
        Value::String(string) => text.push_str(&quoted(string)),
        Value::List(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at > 0 { ", " } else { "" });
                flow(item, text)?;
            }
            text.push(']');
        }
        Value::Map(map) => {
            text.push('{');
            for (at, (key, item)) in map.iter().enumerate() {
                let _ = write!(text, "{}{}: ", if at > 0 { ", " } else { "" }, quoted(key));
                flow(item, text)?;
            }
            text.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            text.push_str(serde_yaml::to_string(value)?.trim_end());
        }
    }
    Ok(())
}

/// A text without quotes if it is one word of letters, else in double quotes with its characters escaped.
fn quoted(text: &str) -> String {
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    // `yes` and `null` mean something else.
    if is_word && text.len() > 5 {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if is_special(c) => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use magus_model::{Text, span::FileId, value::Value};
    use proptest::prelude::*;

    use super::write;

    fn reads_back(keys: &[(Text, Value)]) {
        let text = write(keys).expect("it is written");
        let parsed = magus_load::parse(FileId(0), &text);
        assert!(parsed.diagnostics.is_empty(), "{text:?}: {:?}", parsed.diagnostics);
        let expected = Value::Map(keys.iter().cloned().collect());
        assert_eq!(parsed.root.map(|root| root.to_value()), Some(expected), "{text:?}");
    }

    #[test]
    fn ordinary_values_are_written_as_people_write_them() {
        let env = Value::Map(BTreeMap::from([
            ("A".into(), Value::string("b")),
            ("PORT".into(), Value::string("80")),
        ]));
        let keys = [("owner".into(), Value::string("ana")), ("env".into(), env)];
        assert_eq!(write(&keys).expect("it is written"), "owner: ana\nenv:\n  A: b\n  PORT: '80'\n");
        let env = Value::Map(BTreeMap::from([
            ("A".into(), Value::string("b\u{2028}c")),
            ("LONGER".into(), Value::Int(1)),
        ]));
        assert_eq!(
            write(&[("env".into(), env)]).expect("it is written"),
            "\"env\":\n  \"A\": \"b\\u2028c\"\n  LONGER: 1\n"
        );
    }

    proptest! {
        #[test]
        fn any_value_reads_back(
            texts in prop::collection::vec("[a-z\u{85}\u{2028}\u{2029}\u{feff}\u{7f}\r\n\t :#'\"\\\\<-]{0,12}|\\PC{0,12}|<<|yes|null", 1..6),
            number in any::<i64>(),
        ) {
            let map: BTreeMap<Text, Value> =
                texts.iter().map(|text| (Text::from(text.as_str()), Value::string(text.as_str()))).collect();
            let list = Value::List(texts.iter().map(|text| Value::string(text.as_str())).chain([Value::Int(number), Value::Map(map.clone())]).collect());
            reads_back(&[("env".into(), Value::Map(map)), ("list".into(), list), ("text".into(), Value::string(texts[0].as_str()))]);
        }
    }
}
