//! When two values mean the same, and the digest of what a value means.
//!
//! Both go through one normal form, so that values that are the same have the same digest. What a value means
//! depends on its path: `1` is text under `env`, an amount under `container_config.resources`, and a number of
//! Gi as `storage_request_size`. This module knows these few places and nothing of engines or their defaults.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac as _};
use magus_model::{
    Text,
    observed::DigestKey,
    path::FieldPath,
    quantity::Quantity,
    value::{FieldValue, SecretReference, SecretSource, Value},
};
use sha2::{Digest as _, Sha256};

/// Characters of a digest: 80 bits, which a [`Text`] holds without an allocation.
const DIGEST_LENGTH: usize = 20;

/// What is hashed for a secret that is kept.
const KEPT: &[u8] = b"kept";

/// Lists that Kubernetes reads as sets, by the key that holds them: their order, and what is there twice,
/// means nothing. Every other list is compared in order: `args`, `envFrom` (the last one wins), `env` of a
/// further container (later entries refer to earlier ones).
const SETS: &[&str] = &[
    "imagePullSecrets",
    "ports",
    "tolerations",
    "topologySpreadConstraints",
    "volumeDevices",
    "volumeMounts",
    "volumes",
];

/// Keys whose empty map selects everything, while their absence selects nothing or little.
const EMPTY_MEANS_ALL: &[&str] = &["labelSelector", "namespaceSelector"];

/// What a value means, as far as its path tells. The order is only there to sort sets.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Normal<'a> {
    /// Nothing, an empty list or an empty map.
    Absent,
    Bool(bool),
    Int(i64),
    /// The bits of a number with a fraction, or too large for [`Normal::Int`].
    Float(u64),
    Text(Cow<'a, str>),
    /// Billionths, as of [`Quantity`].
    Amount(i128),
    /// Nanoseconds since 1970.
    Instant(i128),
    List(Vec<Normal<'a>>),
    Map(Vec<(&'a str, Normal<'a>)>),
}

/// How the scalar at a path is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// As it is.
    Literal,
    /// As text, whatever its YAML type was.
    Text,
    /// As a quantity.
    Quantity,
    /// As a quantity that counts Gi where it has no unit (MAGE.md 3).
    Gibibytes,
    /// As a point in time.
    Instant,
}

/// Whether an observed value means the same as a desired one.
///
/// A secret is the same where source and version are. One with `keep` is the same as whatever is observed,
/// also a literal: that is what `keep` says.
pub fn same(path: &FieldPath, desired: &FieldValue, observed: &FieldValue) -> bool {
    match (desired, observed) {
        (FieldValue::Secret(desired), _) if desired.keep => true,
        (FieldValue::Secret(desired), FieldValue::Secret(observed)) => {
            desired.source == observed.source && desired.version == observed.version
        }
        (FieldValue::Plain(desired), FieldValue::Plain(observed)) => {
            desired == observed || normal(path, desired) == normal(path, observed)
        }
        _ => false,
    }
}

/// Whether one amount is more than another; not where either is none.
pub fn is_more(path: &FieldPath, value: &FieldValue, than: &FieldValue) -> bool {
    match (value, than) {
        (FieldValue::Plain(value), FieldValue::Plain(than)) => {
            matches!((normal(path, value), normal(path, than)), (Normal::Amount(value), Normal::Amount(than)) if value > than)
        }
        _ => false,
    }
}

/// Whether a value means the same as no value at all.
pub fn is_absent(path: &FieldPath, value: &FieldValue) -> bool {
    match value {
        // Most values are scalars, and none of these is absent.
        FieldValue::Plain(value @ (Value::List(_) | Value::Map(_) | Value::Null)) => {
            normal(path, value) == Normal::Absent
        }
        FieldValue::Plain(_) | FieldValue::Secret(_) => false,
    }
}

/// A digest of what a value means: [`same`] values have the same one, in every release.
///
/// Of a secret it covers the reference, never the value behind it; with `keep` it is one and the same digest,
/// because what is kept may be anything.
pub fn digest(path: &FieldPath, value: &FieldValue) -> Text {
    // Most values are short: one block of the hash, and no second allocation.
    let mut bytes = Vec::with_capacity(128);
    match value {
        FieldValue::Plain(value) => feed(&mut bytes, &normal(path, value)),
        FieldValue::Secret(reference) => feed_secret(&mut bytes, reference),
    }
    hex(&bytes)
}

/// The same under a key, for a digest that leaves the machine: of a value that may be secret, a list of words could be tried
/// against a plain one.
pub fn keyed_digest(key: &DigestKey, path: &FieldPath, value: &FieldValue) -> Text {
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    let hash = Sha256::digest(key.bytes());
    block[..hash.len()].copy_from_slice(&hash);
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block);
    for part in ["magus plan", path.as_str(), &digest(path, value)] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("hmac-sha256:{hex}").into()
}

/// The start of the SHA-256 of these bytes, in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> Text {
    const CHARACTERS: &[u8; 16] = b"0123456789abcdef";
    let hash = Sha256::digest(bytes);
    let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(DIGEST_LENGTH);
    digits.map(|digit| char::from(CHARACTERS[usize::from(digit)])).collect()
}

/// The digest that a kept secret has.
pub(crate) fn kept() -> Text {
    hex(KEPT)
}

/// The point in time that a value names.
pub(crate) fn instant(value: &FieldValue) -> Option<jiff::Timestamp> {
    match value {
        FieldValue::Plain(Value::String(text)) => text.parse().ok(),
        _ => None,
    }
}

fn reading(path: &FieldPath) -> Reading {
    let text = path.as_str();
    match text.as_bytes().first() {
        Some(b'e') if path.is_within("env") => Reading::Text,
        Some(b's') if path.is_within("secrets") => Reading::Text,
        Some(b's') if text == "storage_request_size" => Reading::Gibibytes,
        Some(b'r') if text == "restarted_at" => Reading::Instant,
        Some(b'c') if is_amount(path) => Reading::Quantity,
        _ => Reading::Literal,
    }
}

fn is_amount(path: &FieldPath) -> bool {
    path.is_within("container_config.resources.limits")
        || path.is_within("container_config.resources.requests")
}

fn normal<'a>(path: &FieldPath, value: &'a Value) -> Normal<'a> {
    match value {
        Value::List(_) | Value::Map(_) | Value::Null => {
            // Only here do the last keys matter, and lists and maps are few.
            let mut keys = path.as_str().rsplit('.');
            let key = keys.next().unwrap_or_default();
            nested(keys.next().unwrap_or_default(), key, value)
        }
        scalar => read(reading(path), scalar),
    }
}

/// The normal form of what lies below a key, which lies below a parent.
fn nested<'a>(parent: &str, key: &str, value: &'a Value) -> Normal<'a> {
    match value {
        Value::List(items) if items.is_empty() => Normal::Absent,
        Value::List(items) => {
            let mut items: Vec<_> = items.iter().map(|item| nested(key, "", item)).collect();
            if SETS.contains(&key) || (parent == "capabilities" && matches!(key, "add" | "drop")) {
                items.sort_unstable();
                items.dedup();
            }
            Normal::List(items)
        }
        Value::Map(map) => {
            let entries: Vec<_> = map
                .iter()
                .map(|(name, value)| (name.as_str(), nested(key, name, value)))
                .filter(|(name, value)| {
                    *value != Normal::Absent
                        || (EMPTY_MEANS_ALL.contains(name) && matches!(map.get(*name), Some(Value::Map(_))))
                })
                .collect();
            if entries.is_empty() { Normal::Absent } else { Normal::Map(entries) }
        }
        scalar => {
            let amount = matches!(parent, "limits" | "requests") || matches!(key, "sizeLimit" | "divisor");
            read(if amount { Reading::Quantity } else { Reading::Literal }, scalar)
        }
    }
}

/// The normal form of a scalar. What does not read as its place wants is compared as it is written.
fn read(reading: Reading, value: &Value) -> Normal<'_> {
    let literal = || match value {
        Value::Bool(value) => Normal::Bool(*value),
        Value::Int(value) => Normal::Int(*value),
        Value::Float(value) => float(*value),
        Value::String(text) => Normal::Text(Cow::Borrowed(text)),
        Value::Null | Value::List(_) | Value::Map(_) => Normal::Absent,
    };
    if *value == Value::Null {
        return Normal::Absent;
    }
    let text = || match value {
        Value::String(text) => Cow::Borrowed(text.as_str()),
        // `Display` of a float never has an exponent, which a quantity could not read.
        Value::Float(value) => Cow::Owned(value.to_string()),
        other => Cow::Owned(other.to_string()),
    };
    match reading {
        Reading::Literal => literal(),
        Reading::Text => Normal::Text(text()),
        Reading::Quantity => {
            Quantity::parse(&text()).map_or_else(literal, |q| Normal::Amount(q.billionths()))
        }
        Reading::Gibibytes => {
            let text = text();
            Quantity::parse(&format!("{text}Gi"))
                .or_else(|| Quantity::parse(&text))
                .map_or_else(literal, |q| Normal::Amount(q.billionths()))
        }
        Reading::Instant => text()
            .parse::<jiff::Timestamp>()
            .map_or_else(|_| literal(), |time| Normal::Instant(time.as_nanosecond())),
    }
}

/// A whole number is the same as the integer, and there is one zero and one NaN.
fn float<'a>(value: f64) -> Normal<'a> {
    // 2⁵³: up to here every whole number has a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        Normal::Int(value as i64)
    } else if value.is_nan() {
        Normal::Float(f64::NAN.to_bits())
    } else {
        Normal::Float(value.to_bits())
    }
}

/// Writes a normal form to be hashed: a tag, and lengths where they vary, so that no two forms give the same bytes.
fn feed(bytes: &mut Vec<u8>, normal: &Normal<'_>) {
    match normal {
        Normal::Absent => bytes.extend_from_slice(b"a"),
        Normal::Bool(value) => bytes.extend_from_slice(&[b'b', u8::from(*value)]),
        Normal::Int(value) => number(bytes, b'i', &value.to_le_bytes()),
        Normal::Float(bits) => number(bytes, b'f', &bits.to_le_bytes()),
        Normal::Text(text) => feed_text(bytes, text),
        Normal::Amount(amount) => number(bytes, b'q', &amount.to_le_bytes()),
        Normal::Instant(time) => number(bytes, b't', &time.to_le_bytes()),
        Normal::List(items) => {
            number(bytes, b'l', &length(items.len()));
            items.iter().for_each(|item| feed(bytes, item));
        }
        Normal::Map(entries) => {
            number(bytes, b'm', &length(entries.len()));
            for (key, value) in entries {
                feed_text(bytes, key);
                feed(bytes, value);
            }
        }
    }
}

fn feed_secret(bytes: &mut Vec<u8>, reference: &SecretReference) {
    let SecretReference { source, version, keep } = reference;
    if *keep {
        return bytes.extend_from_slice(KEPT);
    }
    bytes.extend_from_slice(b"secret");
    match source {
        SecretSource::Env(name) => {
            bytes.extend_from_slice(b"e");
            feed_text(bytes, name);
        }
        SecretSource::File(path) => {
            bytes.extend_from_slice(b"f");
            feed_text(bytes, path);
        }
        SecretSource::Command { words, folder } => {
            number(bytes, b'c', &length(words.len()));
            words.iter().for_each(|word| feed_text(bytes, word));
            feed_text(bytes, folder);
        }
    }
    match version {
        Some(version) => number(bytes, b'v', &version.to_le_bytes()),
        None => bytes.extend_from_slice(b"-"),
    }
}

fn feed_text(bytes: &mut Vec<u8>, text: &str) {
    number(bytes, b's', &length(text.len()));
    bytes.extend_from_slice(text.as_bytes());
}

fn number(bytes: &mut Vec<u8>, tag: u8, number: &[u8]) {
    bytes.push(tag);
    bytes.extend_from_slice(number);
}

fn length(length: usize) -> [u8; 8] {
    (length as u64).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path is known in full: what only begins like one that has a meaning is compared as it is written.
    #[test]
    fn a_path_is_read_as_what_it_is() {
        for (path, expected) in [
            ("env.A", Reading::Text),
            ("environment", Reading::Literal),
            ("secrets.a", Reading::Text),
            ("secrets_store", Reading::Literal),
            ("storage_request_size", Reading::Gibibytes),
            ("storage_class_name", Reading::Literal),
            ("restarted_at", Reading::Instant),
            ("restarted_by", Reading::Literal),
            ("container_config.resources.limits.cpu", Reading::Quantity),
            ("container_config.resources.requests.cpu", Reading::Quantity),
            ("container_config.resources.claims", Reading::Literal),
            ("container_config.image", Reading::Literal),
        ] {
            assert_eq!(reading(&FieldPath::from(path)), expected, "{path}");
        }
    }
}
