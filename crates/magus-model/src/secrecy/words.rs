//! Whether a value under the name of a secret is one, or only stands for one.

use super::{Certainty, NameKind, Resemblance};

/// What a text under the name of a secret looks like.
pub(super) fn under_name(kind: NameKind, text: &str, certainty: Certainty) -> Option<Resemblance> {
    let value = text.trim();
    if certainty == Certainty::Possible {
        return may_be_value(kind, value).then_some(what(kind));
    }
    if is_placeholder(value) || is_reference(value) || value.contains(char::is_whitespace) {
        return None;
    }
    let random = match kind {
        NameKind::Password => value.len() >= 6 && !is_words(value, 0) && classes(value) >= 2,
        NameKind::Key => {
            value.len() >= 12 && !is_words(value, 2) && classes(value) >= 2 && entropy(value) >= 3.0
        }
    };
    random.then_some(what(kind))
}

/// What a secret of this kind is called.
pub(super) fn what(kind: NameKind) -> Resemblance {
    match kind {
        NameKind::Password => "a password",
        NameKind::Key => "a key or token",
    }
}

/// Whether a value under the name of a secret may be one: everything that is not plainly something else.
pub(super) fn may_be_value(kind: NameKind, value: &str) -> bool {
    const SWITCHES: &[&str] =
        &["true", "false", "yes", "no", "on", "off", "none", "null", "default", "required"];
    let is_switch = value.len() <= 8 && SWITCHES.iter().any(|word| value.eq_ignore_ascii_case(word));
    let is_small_number = value.len() <= 4 && value.bytes().all(|b| b.is_ascii_digit());
    !is_switch
        && !stands_for_value(value)
        && !is_plain_reference(value)
        && (kind == NameKind::Password || !is_small_number)
}

/// Whether the whole text only refers to a value, or holds its place.
fn stands_for_value(text: &str) -> bool {
    text.bytes().all(|b| b == b'*')
        || text.len() >= 4 && text.bytes().all(|b| matches!(b, b'x' | b'X'))
        || is_variable(text)
        || [("${", "}"), ("$(", ")"), ("{{", "}}"), ("<", ">"), ("%", "%")]
            .iter()
            .any(|(open, close)| text.len() > 2 && text.starts_with(open) && text.ends_with(close))
        || ["changeme", "change-me", "change_me", "changeit", "(hidden)", "[redacted]", "redacted"]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word))
}

/// `$DB_PASSWORD`.
fn is_variable(text: &str) -> bool {
    text.strip_prefix('$').is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    })
}

/// A path of words, an address without a password, an ARN, or a reference of another tool.
fn is_plain_reference(text: &str) -> bool {
    let prefixed =
        ["arn:", "vault:", "ref+", "projects/", "env:", "file:"].iter().any(|begin| text.starts_with(begin));
    let path = ["/", "./", "../", "~/"].iter().any(|begin| text.starts_with(begin))
        && text.split('/').all(|part| part == "~" || is_words(part, 4));
    prefixed || path || is_address(text) || is_drive(text)
}

/// Whether a text only holds the place of a value, as examples and templates do, or is one character again and again.
fn is_placeholder(text: &str) -> bool {
    let same = text.chars().next().is_none_or(|first| text.chars().all(|c| c == first));
    same || is_template(text)
}

/// Whether a text only holds the place of a value, as examples and templates do.
pub(super) fn is_template(text: &str) -> bool {
    const MARKS: &[&str] = &[
        "${",
        "$(",
        "{{",
        "***",
        "...",
        "changeme",
        "changeit",
        "change-me",
        "change_me",
        "example",
        "placeholder",
        "dummy",
        "redacted",
        "your-",
        "your_",
        "replace",
        "xxxx",
        "todo",
    ];
    let lower = text.to_ascii_lowercase();
    let wrapped = |open, close| text.starts_with(open) && text.ends_with(close);
    is_variable(text)
        || wrapped('<', '>')
        || wrapped('[', ']')
        || wrapped('%', '%')
        || text.bytes().all(|b| b == b'*')
        || MARKS.iter().any(|mark| lower.contains(mark))
}

/// Whether a text says where something is: a path, an address, an ARN, a reference of another tool.
pub(super) fn is_reference(text: &str) -> bool {
    let begins = ["/", "./", "../", "~/", "arn:", "vault:", "ref+", "projects/", "env:", "file:"];
    let path = text.contains('/') && text.split('/').all(|part| part.is_empty() || is_words(part, 2));
    is_address(text) || path || is_drive(text) || begins.iter().any(|begin| text.starts_with(begin))
}

fn is_address(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty()
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    })
}

/// `C:\`.
fn is_drive(text: &str) -> bool {
    text.as_bytes().get(1..3) == Some(b":\\")
}

/// Whether a text is made of words and small numbers, as names are: `warehouse-prod`, `key_2`. A word may end in so
/// many digits.
pub(super) fn is_words(text: &str, digits: usize) -> bool {
    text.split(['-', '_', '.', ':', ',', ' ']).all(|part| {
        let letters = part.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = part.len() - letters.len();
        let word = letters.chars().all(char::is_alphabetic) && letters.chars().count() <= 20;
        let case = letters == letters.to_lowercase()
            || letters == letters.to_uppercase()
            || letters.chars().skip(1).filter(|c| c.is_uppercase()).count() * 4 <= letters.chars().count();
        let fits = if letters.is_empty() { number <= 4 } else { number <= digits };
        word && case && fits
    })
}

/// Whether a machine made a text: letters and digits without words, such as a token.
pub(super) fn is_random(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().any(|b| b.is_ascii_alphabetic())
        && !is_words(text, 4)
        && entropy(text) >= 3.0
}

/// How many of lower case, capitals, digits and everything else are there.
fn classes(text: &str) -> usize {
    let has = |class: fn(char) -> bool| usize::from(text.chars().any(class));
    has(char::is_lowercase)
        + has(char::is_uppercase)
        + has(|c| c.is_ascii_digit())
        + has(|c| !c.is_alphanumeric())
}

/// Bits for each character, by how often each occurs.
fn entropy(text: &str) -> f64 {
    let mut counts = [0u32; 256];
    for byte in text.bytes() {
        counts[usize::from(byte)] += 1;
    }
    let total = text.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / total)
        .map(|p| -p * p.log2())
        .sum()
}
