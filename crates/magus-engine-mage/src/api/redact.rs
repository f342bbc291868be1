//! Texts of a server, made fit to be shown: no known value, nothing that looks like a secret, no stack, no more than a
//! few lines.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt::Write as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use magus_model::value::{SecretReference, SecretSource};
use magus_secrets::Resolver;
use secrecy::{ExposeSecret, SecretString};

/// The longest that is shown, in characters.
pub(super) const LONGEST: usize = 300;
/// A stretch of letters and digits that is shorter is a name more often than a secret.
const SHORTEST_TOKEN: usize = 32;
/// What stands before a secret, in keys of JSON and Python, in headers and in queries.
const TELLTALE: [&str; 8] =
    ["password", "passwd", "secret", "token", "api_key", "apikey", "authorization", "credential"];

/// The values of this client that must not be shown. Finding them, in clear or encoded, is the business of
/// `magus-secrets`, which hides what it has resolved: they are handed to it as variables.
pub(super) struct Known {
    values: Arc<Mutex<BTreeMap<String, SecretString>>>,
    resolver: Resolver,
}

impl Known {
    pub(super) fn new() -> Self {
        let values = Arc::new(Mutex::new(BTreeMap::<String, SecretString>::new()));
        let lookup = Arc::clone(&values);
        let environment = move |name: &str| {
            let values = lookup.lock().unwrap_or_else(PoisonError::into_inner);
            values.get(name).map(|value| OsString::from(value.expose_secret()))
        };
        Self { values, resolver: Resolver::new(PathBuf::new(), Box::new(environment)) }
    }

    /// Hides one more value from now on.
    pub(super) fn add(&self, value: &SecretString) {
        let name = {
            let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
            if values.values().any(|known| known.expose_secret() == value.expose_secret()) {
                return;
            }
            let name = format!("credential {}", values.len());
            values.insert(name.clone(), value.clone());
            name
        };
        let source = SecretSource::Env(name.into());
        // What is not resolved is empty, or no text, and has nothing to hide.
        let _ = self.resolver.resolve(&SecretReference { source, version: None, keep: false });
    }

    /// The text without any of the values.
    pub(super) fn hide(&self, text: &str) -> String {
        self.resolver.redact(text)
    }
}

/// What of a server's text is shown: its last line where it is a stack, nothing of SQL, nothing that looks like a
/// secret, on one line, at most [`LONGEST`] characters. Known values have to be hidden before, while they are whole.
pub(super) fn shorten(text: &str) -> String {
    let text = text.split("[SQL:").next().unwrap_or_default();
    let text = text.split("[parameters:").next().unwrap_or_default();
    let text = match text.rfind("Traceback (most recent call last)") {
        Some(at) => last_line(&text[at..]),
        None => text,
    };
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let hidden = hide_lookalikes(&plain);
    let hidden = hidden.strip_suffix('.').unwrap_or(&hidden);
    match hidden.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &hidden[..end]),
        None => hidden.to_owned(),
    }
}

fn last_line(text: &str) -> &str {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim()
}

/// The text with `***` for what looks like a secret: what follows a telling key, a user and password in a URL, and long
/// stretches of mixed letters and digits.
fn hide_lookalikes(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if let Some(start) = value_start(word, after) {
            shown.push_str(word);
            shown.push_str(&after[..start]);
            let value = &after[start..];
            let length = value_length(value);
            shown.push_str("***");
            rest = &value[length..];
            continue;
        }
        if looks_random(word) {
            shown.push_str("***");
        } else {
            shown.push_str(word);
        }
        rest = after;
        if let Some(behind) = rest.strip_prefix("://") {
            shown.push_str("://");
            let end =
                behind.find(|c: char| c.is_whitespace() || "/?#\"'".contains(c)).unwrap_or(behind.len());
            rest = match behind[..end].rfind('@') {
                Some(at) => {
                    shown.push_str("***");
                    &behind[at..]
                }
                None => behind,
            };
        } else if let Some(c) = rest.chars().next() {
            let _ = shown.write_char(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    shown
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+')
}

/// Where the value begins that belongs to a telling key, counted from the end of the key: behind quotes, `=` or `:`.
fn value_start(word: &str, after: &str) -> Option<usize> {
    let key = word.to_ascii_lowercase().replace('-', "_");
    if !TELLTALE.iter().any(|telling| key.ends_with(telling)) {
        return None;
    }
    let unquoted = after.trim_start_matches(['"', '\'', '\\', ' ']);
    let value = unquoted.strip_prefix([':', '='])?.trim_start_matches([' ', '"', '\'', '\\']);
    // `invalid token: ` at the end, and `token://`, have nothing behind them.
    (!value.is_empty() && !value.starts_with('/')).then_some(after.len() - value.len())
}

/// How long a value is. `Bearer x` and `Basic x` are two words and one value.
fn value_length(value: &str) -> usize {
    let word =
        |text: &str| text.find(|c: char| c.is_whitespace() || "\"',;&)}]".contains(c)).unwrap_or(text.len());
    let first = word(value);
    let scheme = value[..first].to_ascii_lowercase();
    if matches!(scheme.as_str(), "bearer" | "basic") && value[first..].starts_with(' ') {
        return first + 1 + word(&value[first + 1..]);
    }
    first
}

/// Long, and of capitals, small letters and digits: a token, a key, a part of a JWT, something encrypted. Digests in
/// hexadecimal and UUIDs have no capitals and stay.
fn looks_random(word: &str) -> bool {
    let has = |test: fn(&u8) -> bool| word.bytes().any(|byte| test(&byte));
    let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    (word.len() >= SHORTEST_TOKEN && mixed) || (word.len() >= 8 && word.starts_with("eyJ"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_hidden() {
        for (text, expect) in [
            ("a plain message", "a plain message"),
            ("Project two was not found.", "Project two was not found"),
            ("{'password': 'hunter2', 'name': 'a'}", "{'password': '***', 'name': 'a'}"),
            ("{\"session\":{\"token\":\"abc\",\"id\":1}}", "{\"session\":{\"token\":\"***\",\"id\":1}}"),
            ("{\\\"db_password\\\": \\\"x\\\"}", "{\\\"db_password\\\": \\\"***\"}"),
            ("url /api?api_key=abc&x=1", "url /api?api_key=***&x=1"),
            ("X-API-KEY: abc def", "X-API-KEY: *** def"),
            ("Authorization: Bearer abc next", "Authorization: *** next"),
            ("Invalid OAuth token", "Invalid OAuth token"),
            ("no token: ", "no token:"),
            (
                "connect to postgresql://mage:pw@db:5432/x failed",
                "connect to postgresql://***@db:5432/x failed",
            ),
            ("see http://host/x", "see http://host/x"),
            ("jwt eyJhbGciOi.eyJleHAi.sig", "jwt ***.***.sig"),
            ("key zkWlN0PkIKSN0C11CfUHUj84OT5XOJ6tDZ6bDRO2!", "key ***!"),
            ("uuid 4bf6a1b2-c3d4-4e5f-8a9b-0c1d2e3f4a5b", "uuid 4bf6a1b2-c3d4-4e5f-8a9b-0c1d2e3f4a5b"),
            ("line\u{1b}[31m one\r\n two", "line [31m one two"),
        ] {
            assert_eq!(shorten(text), expect, "{text}");
        }
    }

    #[test]
    fn stacks_and_sql_are_cut() {
        assert_eq!(
            shorten(
                "x\nTraceback (most recent call last):\n  File \"a.py\", line 1, in f\nKeyError: 'action'\n"
            ),
            "KeyError: 'action'"
        );
        assert_eq!(
            shorten(
                "(sqlite3.IntegrityError) UNIQUE constraint failed: secret.name\n[SQL: INSERT …]\n[parameters: ('n', 'gAAA')]"
            ),
            "(sqlite3.IntegrityError) UNIQUE constraint failed: secret.name"
        );
        assert_eq!(shorten("a [parameters: ('canary')]"), "a");
    }

    #[test]
    fn long_texts_are_cut_between_letters() {
        let shown = shorten(&"ü ".repeat(1000));
        assert_eq!(shown.chars().count(), LONGEST + 1);
        assert!(shown.ends_with('…'));
    }

    #[test]
    fn known_values_are_hidden_in_every_form() {
        let known = Known::new();
        known.add(&SecretString::from("pä ss\"word"));
        known.add(&SecretString::from("pä ss\"word"));
        known.add(&SecretString::from("other-value"));
        known.add(&SecretString::from(""));
        assert_eq!(
            known.hide("pä ss\"word, p%C3%A4%20ss%22word, pä ss\\\"word, other-value"),
            "***, ***, ***, ***"
        );
    }
}
