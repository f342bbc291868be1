//! Passwords and tokens in addresses.

use super::{Resemblance, words};

/// Bytes of a password or user that are looked at.
const LONGEST: usize = 256;

/// Schemes in which the part before `@` is a container, as in `abfss://container@account.dfs.core.windows.net`.
const CONTAINERS: &[&str] = &["abfs", "abfss", "wasb", "wasbs"];

/// The addresses of a text, from left to right.
///
/// The end of the word in which an address stands, and its last `@`, are looked for once a word: a text of a million `://`
/// without a space costs no more than any other.
pub(super) struct Addresses<'a> {
    text: &'a str,
    word_end: usize,
    last_at: Option<usize>,
}

impl<'a> Addresses<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, word_end: 0, last_at: None }
    }

    /// What the address looks like whose `://` stands here. Positions have to increase.
    pub(super) fn at(&mut self, colon: usize) -> Option<Resemblance> {
        let begin = colon + "://".len();
        if begin > self.word_end || self.word_end == 0 {
            let rest = &self.text[begin..];
            self.word_end = begin + rest.find(char::is_whitespace).unwrap_or(rest.len());
            self.last_at = self.text[begin..self.word_end].rfind('@').map(|at| begin + at);
        }
        let last_at = self.last_at.filter(|at| *at >= begin)?;
        let word = &self.text[begin..self.word_end];
        let end = word.find(['/', '?', '#', '"', '\'', ',', '>']).unwrap_or(word.len());
        if let Some(at) = word[..end].rfind('@') {
            let scheme = scheme(&self.text[..colon]);
            let host = &word[at + 1..end];
            return user_with_secret(scheme, &word[..at], host);
        }
        // A password may hold any of these characters, if it was not escaped.
        user_with_secret("", &self.text[begin..last_at], "").filter(|what| *what == WITH_PASSWORD)
    }
}

const WITH_PASSWORD: Resemblance = "an address with a password";
const WITH_TOKEN: Resemblance = "an address with a token";

/// The scheme that ends here.
fn scheme(before: &str) -> &str {
    let bytes = before.as_bytes();
    let length = bytes.iter().rev().take(16).take_while(|b| b.is_ascii_alphanumeric()).count();
    &before[before.len() - length..]
}

/// What `user:password` or `user` before the `@` of an address looks like.
fn user_with_secret(scheme: &str, user: &str, host: &str) -> Option<Resemblance> {
    let Some((user, password)) = user.split_once(':') else {
        // The key of a Sentry address is public.
        let is_public = CONTAINERS.contains(&scheme) || host.contains("sentry");
        let is_token = (16..=LONGEST).contains(&user.len())
            && user.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~'))
            && words::is_random(user);
        return (is_token && !is_public).then_some(WITH_TOKEN);
    };
    // `host:8080/path@…`, and `host/a:b@…`.
    let port = password.split_once('/').is_some_and(|(port, _)| port.bytes().all(|b| b.is_ascii_digit()));
    let is_path = port || user.contains(['/', '?', '#']);
    // A word such as `password` is one too: it is sent as it stands.
    let begin = first(password, LONGEST);
    (!password.is_empty() && !is_path && !words::is_template(begin)).then_some(WITH_PASSWORD)
}

/// At most so many bytes of a text.
pub(super) fn first(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
