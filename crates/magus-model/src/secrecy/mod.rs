//! Decides whether a value may be a secret. Every command and every format asks here.
//!
//! There are two answers. [`resemblance`] is certain: rule MG301 reports an error, and says which secret the text looks
//! like. [`may_be_secret`] is wider, because a secret that is shown is worse than a harmless value that is hidden: it also
//! covers any text under a name such as `DB_PASSWORD`, and everything under `secrets`. Nothing here returns a part of a text.
//!
//! The time is linear in the length of the text: every look back or ahead is bounded.

mod address;
mod assignment;
mod form;
mod names;
mod words;

#[cfg(test)]
mod tests;

pub use names::{NameKind, kind_of_name};

use crate::{
    effort,
    path::FieldPath,
    value::{FieldValue, Value},
};

/// Stands for a value that is not shown.
pub const HIDDEN: &str = "(hidden)";

/// What a text looks like, with its article: `a GitHub token`.
pub type Resemblance = &'static str;

/// How certain an answer has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certainty {
    /// Enough for an error.
    Certain,
    /// Enough to hide the value.
    Possible,
}

/// No token, and no address with a password, is shorter.
const SHORTEST_TOKEN: usize = 12;

/// What a text looks like; `None` if it does not look like a secret. `name` is the variable or key that holds it.
pub fn resemblance(name: Option<&str>, text: &str) -> Option<Resemblance> {
    find(name, text, Certainty::Certain)
}

/// Whether a text under a name may be a secret.
pub fn text_may_be_secret(name: Option<&str>, text: &str) -> bool {
    find(name, text, Certainty::Possible).is_some()
}

/// Whether the value of a field may be a secret, or holds one anywhere.
pub fn may_be_secret(path: &FieldPath, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        _ if path.is_within("secrets") => true,
        _ => {
            // Taking a path apart allocates: most names need only their last part.
            let text = path.as_str();
            if text.ends_with(']') {
                let keys = path.keys().unwrap_or_default();
                value_may_be_secret(keys.last().map(String::as_str), value)
            } else {
                value_may_be_secret(text.rsplit('.').next(), value)
            }
        }
    }
}

/// The texts in the value of a field that may be secrets, each whole: a variable, a header, and of a list of arguments that
/// holds one every argument that is no flag. Where such a text is a part of a message, it is to be hidden.
pub fn secret_texts(path: &FieldPath, value: &Value) -> Vec<String> {
    /// A shorter argument is the name of a program or a mode more often than a secret.
    const SHORTEST_ARGUMENT: usize = 8;
    let is_argument = |text: &str| text.len() >= SHORTEST_ARGUMENT && !text.starts_with('-');
    let keys = path.keys().unwrap_or_default();
    let all = path.is_within("secrets");
    let mut found = Vec::new();
    any_scalar(keys.last().map(String::as_str), value, &mut |name, scalar| {
        if all || scalar_may_be_secret(name, scalar) {
            found.push(match scalar {
                Value::String(text) => text.to_string(),
                other => other.to_string(),
            });
        }
        false
    });
    if let Value::List(items) = value
        && !found.is_empty()
    {
        let arguments = items.iter().filter_map(Value::as_str).filter(|text| is_argument(text));
        found.extend(arguments.map(str::to_owned));
    }
    found
}

/// Whether a value under a name may be a secret, or holds one anywhere: in a list, after a flag such as `--password`, in an
/// item with `name` and `value`.
pub fn value_may_be_secret(name: Option<&str>, value: &Value) -> bool {
    any_scalar(name, value, &mut scalar_may_be_secret)
}

fn scalar_may_be_secret(name: Option<&str>, scalar: &Value) -> bool {
    match scalar {
        Value::Int(_) | Value::Float(_) => name.and_then(kind_of_name) == Some(NameKind::Password),
        Value::String(text) => text_may_be_secret(name, text),
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => false,
    }
}

/// Whether something is true of any scalar in a value, each with the name that says what it is.
fn any_scalar(
    name: Option<&str>,
    value: &Value,
    is_true: &mut dyn FnMut(Option<&str>, &Value) -> bool,
) -> bool {
    match value {
        Value::List(items) => {
            let mut flag = None;
            items.iter().any(|item| {
                let found = any_scalar(flag.take().or(name), item, is_true);
                flag = item.as_str().filter(|text| is_flag(text));
                found
            })
        }
        Value::Map(map) => {
            let variable = map.get("name").and_then(Value::as_str);
            map.iter().any(|(key, value)| {
                let name = variable.filter(|_| key == "value").unwrap_or(key);
                any_scalar(Some(name), value, is_true)
            })
        }
        scalar => is_true(name, scalar),
    }
}

/// Whether an item of a list is a flag whose value is the next item.
pub fn is_flag(text: &str) -> bool {
    text.starts_with("--") && !text.contains(['=', ' '])
}

/// The value of a field as it may be shown: [`HIDDEN`] if it may be a secret. References are shown.
pub fn shown(path: &FieldPath, value: &FieldValue) -> FieldValue {
    match value {
        FieldValue::Plain(plain) if may_be_secret(path, plain) => hidden(),
        other => other.clone(),
    }
}

/// [`HIDDEN`] as a value.
pub fn hidden() -> FieldValue {
    FieldValue::Plain(Value::string(HIDDEN))
}

fn find(name: Option<&str>, text: &str, certainty: Certainty) -> Option<Resemblance> {
    effort::spend(text.len());
    if text.len() >= SHORTEST_TOKEN
        && let Some(found) = form::find(text)
    {
        return Some(found);
    }
    if let Some(kind) = name.and_then(kind_of_name)
        && let Some(found) = words::under_name(kind, text, certainty)
    {
        return Some(found);
    }
    assignment::find(text, certainty)
}
