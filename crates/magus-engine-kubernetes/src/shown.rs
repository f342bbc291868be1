//! Texts of a cluster, made fit to be shown: on one line, short, without what looks like a secret.

use magus_model::userinfo;

/// The longest that is shown, in characters.
const LONGEST: usize = 300;
/// A stretch of letters and digits that is shorter is a name more often than a secret.
const SHORTEST_TOKEN: usize = 32;

/// The text on one line, cut, with `***` for tokens and for users and passwords in URLs.
pub(crate) fn shown(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<String> = plain.split_whitespace().map(|word| hide_token(&hide_userinfo(word))).collect();
    let line = words.join(" ");
    let line = line.strip_suffix('.').unwrap_or(&line);
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// A URL without the user and password in it.
pub(crate) fn hide_userinfo(word: &str) -> String {
    match userinfo::split(word) {
        Some((before, after)) => format!("{before}***@{after}"),
        None => word.to_owned(),
    }
}

/// Hides stretches of capitals, small letters and digits, which tokens are. Digests and UUIDs have no capitals and stay,
/// and so do the names that Kubernetes makes.
fn hide_token(word: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+');
    let mut line = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        if end == 0 {
            line.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (part, after) = rest.split_at(end);
        line.push_str(if is_token(part) { "***" } else { part });
        rest = after;
    }
    line
}

fn is_token(part: &str) -> bool {
    let has = |test: fn(&u8) -> bool| part.bytes().any(|byte| test(&byte));
    let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    (part.len() >= SHORTEST_TOKEN && mixed) || (part.len() >= 8 && part.starts_with("eyJ"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_short_and_hold_no_secret() {
        for (text, expect) in [
            ("a plain message.", "a plain message"),
            ("line\u{1b}[31m one\r\n  two", "line [31m one two"),
            ("jwt eyJhbGciOi.eyJleHAi.sig", "jwt ***.***.sig"),
            ("key=zkWlN0PkIKSN0C11CfUHUj84OT5XOJ6tDZ6b!", "key=***!"),
            ("at https://ana:pw@host:1/x@y?z", "at https://***@host:1/x@y?z"),
            ("at https://host/x", "at https://host/x"),
            ("uuid 4bf6a1b2-c3d4-4e5f-8a9b-0c1d2e3f4a5b", "uuid 4bf6a1b2-c3d4-4e5f-8a9b-0c1d2e3f4a5b"),
            (
                "0/1 nodes are available: 1 Insufficient memory.",
                "0/1 nodes are available: 1 Insufficient memory",
            ),
        ] {
            assert_eq!(shown(text), expect, "{text}");
        }
        let long = shown(&"ü ".repeat(1000));
        assert_eq!(long.chars().count(), LONGEST + 1);
        assert!(long.ends_with('…'));
    }
}
