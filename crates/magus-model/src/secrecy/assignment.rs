//! Secrets that a text assigns to a name: `--password=…`, `?user=u&password=p`, `PWD=…;`, `{"token": "…"}`.

use super::{
    Certainty, NameKind, Resemblance,
    address::first,
    names::{kind_of_name, may_be_telling},
    words,
};

/// Bytes of a name that are looked at.
const LONGEST_NAME: usize = 64;
/// Spaces between a name, `=` and a value.
const MOST_SPACES: usize = 4;
/// Bytes of a value that are looked at.
const LONGEST_VALUE: usize = 256;

/// The first assignment of a secret in a text.
pub(super) fn find(text: &str, certainty: Certainty) -> Option<Resemblance> {
    let bytes = text.as_bytes();
    let separators = bytes.iter().enumerate().filter(|(_, byte)| matches!(byte, b'=' | b':'));
    separators.filter_map(|(at, _)| Assignment::at(text, at)).find_map(|one| one.resembles(certainty))
}

/// A name, its value, and what it is part of.
struct Assignment<'a> {
    name: &'a str,
    value: &'a str,
    /// Whether it is part of an address or connection string: then its value is sent as it stands, however simple.
    is_connection: bool,
}

impl<'a> Assignment<'a> {
    /// The assignment whose `=` or `:` stands here.
    fn at(text: &'a str, at: usize) -> Option<Self> {
        let bytes = text.as_bytes();
        let is_quote = |byte: &u8| matches!(byte, b'"' | b'\'');
        // `password = "…"`.
        let spaces = bytes[..at].iter().rev().take(MOST_SPACES).take_while(|b| **b == b' ').count();
        let end = at - spaces;
        let end = if end > 0 && is_quote(&bytes[end - 1]) { end - 1 } else { end };
        let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let length = bytes[..end].iter().rev().take(LONGEST_NAME).take_while(is_name).count();
        let begin = end - length;
        let name = text[begin..end].trim_start_matches('-');
        if name.len() < 3 || !(may_be_telling(name) || is_signature(name)) {
            return None;
        }
        let before = begin.checked_sub(1).map(|at| bytes[at]);
        let mut from = at + 1;
        if bytes[at] == b':' {
            let is_key =
                before.is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'{' | b','));
            let follows = bytes.get(from).is_some_and(|b| *b == b' ' || is_quote(b));
            if !is_key || !follows {
                return None;
            }
        } else if bytes.get(from) == Some(&b'=') {
            return None;
        }
        from += bytes[from..].iter().take(MOST_SPACES).take_while(|b| **b == b' ').count();
        if bytes.get(from) == Some(&b'\\') && bytes.get(from + 1).is_some_and(is_quote) {
            from += 1;
        }
        let quote = bytes.get(from).filter(|byte| is_quote(byte));
        let rest = first(&text[from + usize::from(quote.is_some())..], LONGEST_VALUE);
        let end = match quote {
            Some(quote) => rest.bytes().position(|b| b == *quote || b == b'\\'),
            None if bytes[at] == b':' => rest.find(['\n', ',', '}', ']']),
            None => rest.find(|c: char| {
                c.is_whitespace() || matches!(c, '&' | ';' | ',' | '"' | '\'' | '`' | ')' | '}')
            }),
        };
        let value = rest[..end.unwrap_or(rest.len())].trim_end();
        let after = rest.as_bytes().get(value.len()).copied();
        let is_connection = bytes[at] == b'='
            && (matches!(before, Some(b'?' | b'&' | b';')) || after == Some(b';') || quote == Some(&b'"'));
        Some(Self { name, value, is_connection })
    }

    fn resembles(&self, certainty: Certainty) -> Option<Resemblance> {
        let Self { name, value, is_connection } = *self;
        if is_signature(name) {
            let is_long = value.len() >= 28 && words::is_random(value);
            return is_long.then_some("an address with a signature, which lets anybody in");
        }
        let kind = kind_of_name(name)?;
        // `password=os.environ["X"]`, `token=$(cat f)`.
        let is_code = value.contains(['(', '[', '{', '`', '<']) || value.starts_with('$');
        if value.is_empty() || is_code || words::is_template(value) {
            return None;
        }
        if is_connection && kind == NameKind::Password && words::may_be_value(kind, value) {
            return Some(words::what(kind));
        }
        match certainty {
            Certainty::Certain => words::under_name(kind, value, certainty),
            // In prose and code, a word after `token:` says nothing.
            Certainty::Possible if kind == NameKind::Key => {
                (value.len() >= 8 && !words::is_words(value, 2) && !words::is_reference(value))
                    .then_some(words::what(kind))
            }
            Certainty::Possible => words::under_name(kind, value, certainty),
        }
    }
}

/// The signature of an Azure SAS, or of a presigned address of AWS or Google.
fn is_signature(name: &str) -> bool {
    matches!(name, "sig" | "X-Amz-Signature" | "X-Goog-Signature")
}
