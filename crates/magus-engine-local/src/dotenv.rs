//! The text of `.env` files. What is written here reads back as the same values, whatever is in them, and common
//! readers of such files read the same: text in single quotes is literal for all of them, so that double quotes are
//! used only where single ones cannot be.

use std::collections::HashMap;

use zeroize::Zeroizing;

/// Whether a name can stand before the `=`.
pub(crate) fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(first) && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// Appends a variable.
pub(crate) fn push_variable(text: &mut String, name: &str, value: &str) {
    let bare = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@' | '%' | '+' | ',')
    };
    text.push_str(name);
    text.push('=');
    if !value.is_empty() && value.chars().all(bare) {
        text.push_str(value);
    } else if !value.contains(['\'', '\\', '\r']) {
        text.push('\'');
        text.push_str(value);
        text.push('\'');
    } else {
        text.push('"');
        for c in value.chars() {
            match c {
                '"' | '\\' | '$' | '`' => text.extend(['\\', c]),
                '\r' => text.push_str("\\r"),
                c => text.push(c),
            }
        }
        text.push('"');
    }
    text.push('\n');
}

/// Appends a comment of one line.
pub(crate) fn push_comment(text: &mut String, comment: &str) {
    text.push_str("# ");
    text.extend(comment.chars().map(|c| if c.is_control() { ' ' } else { c }));
    text.push('\n');
}

/// Reads a file back; the line (from 1) at which it is none. Of a name that is there twice the last value counts.
pub(crate) fn parse(text: &str) -> Result<HashMap<&str, Zeroizing<String>>, usize> {
    let mut values = HashMap::new();
    let mut rest = text;
    let line_of = |rest: &str| text[..text.len() - rest.len()].matches('\n').count() + 1;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(values);
        }
        if rest.starts_with('#') {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
            continue;
        }
        let here = rest;
        let (name, after) = rest.split_once('=').ok_or_else(|| line_of(here))?;
        let name = name.trim_end();
        let name = name.strip_prefix("export ").map_or(name, str::trim_start);
        if !is_name(name) {
            return Err(line_of(here));
        }
        let (value, after) = value(after).ok_or_else(|| line_of(here))?;
        values.insert(name, value);
        rest = after;
    }
}

/// The value at the start of a text, and what follows it.
fn value(text: &str) -> Option<(Zeroizing<String>, &str)> {
    let (value, after) = if let Some(quoted) = text.strip_prefix('\'') {
        let (value, after) = quoted.split_once('\'')?;
        (Zeroizing::new(value.to_owned()), after)
    } else if let Some(quoted) = text.strip_prefix('"') {
        let mut value = Zeroizing::new(String::with_capacity(quoted.len()));
        let mut chars = quoted.char_indices();
        loop {
            match chars.next()? {
                (at, '"') => break (value, &quoted[at + 1..]),
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    'r' => value.push('\r'),
                    't' => value.push('\t'),
                    c => value.push(c),
                },
                (_, c) => value.push(c),
            }
        }
    } else {
        let end = text.find('\n').unwrap_or(text.len());
        let line = &text[..end];
        let value = line.find(" #").map_or(line, |comment| &line[..comment]).trim();
        return Some((Zeroizing::new(value.to_owned()), &text[end..]));
    };
    // Nothing but a comment may follow a closing quote.
    let line = after.split('\n').next().unwrap_or("").trim();
    (line.is_empty() || line.starts_with('#'))
        .then(|| (value, &after[after.find('\n').unwrap_or(after.len())..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: &str) -> String {
        let mut text = String::new();
        push_variable(&mut text, "A", value);
        text
    }

    #[test]
    fn quotes_only_where_they_are_needed() {
        assert_eq!(written("prod-warehouse.company.com:5432/db"), "A=prod-warehouse.company.com:5432/db\n");
        assert_eq!(written(""), "A=''\n");
        assert_eq!(written("a b #c $HOME \"q\""), "A='a b #c $HOME \"q\"'\n");
        assert_eq!(written("it's $1\\"), "A=\"it's \\$1\\\\\"\n");
        assert_eq!(written("a\r\nb"), "A=\"a\\r\nb\"\n");
    }

    #[test]
    fn files_that_people_edited_are_read() {
        let text = "# c\n\nexport A = \nB= x y # c\nC='1\n2' # c\r\nD=\"a\\nb\"\nB=z";
        let values = parse(text).expect("it is a .env file");
        let value = |name: &str| values.get(name).map(|value| value.as_str());
        assert_eq!(
            (value("A"), value("B"), value("C"), value("D")),
            (Some(""), Some("z"), Some("1\n2"), Some("a\nb"))
        );
        assert_eq!(parse("A=1\nnot a variable\n").err(), Some(2));
        assert_eq!(parse("A=1\nB='open").err(), Some(2));
        assert_eq!(parse("A='1' 2").err(), Some(1));
    }

    #[test]
    fn names_and_comments_stay_on_their_line() {
        assert!(["A", "_a.b-c9", "MAGE_SECRET_x"].iter().all(|name| is_name(name)));
        assert!(["", "9A", "A B", "A=B", "A\nB", "Ä", "A#"].iter().all(|name| !is_name(name)));
        let mut text = String::new();
        push_comment(&mut text, "a\nB=1");
        assert_eq!(text, "# a B=1\n");
    }

    proptest! {
        #[test]
        fn any_value_comes_back(values in prop::collection::vec("[\\x01-\\x7fäß€🦀\u{85}\u{2028}]{0,24}", 1..5)) {
            let mut text = String::from("# head\n");
            for (at, value) in values.iter().enumerate() {
                push_variable(&mut text, &format!("V{at}"), value);
                push_comment(&mut text, value);
            }
            let parsed = parse(&text).expect("it reads back");
            for (at, value) in values.iter().enumerate() {
                prop_assert_eq!(parsed.get(format!("V{at}").as_str()).map(|value| value.as_str()), Some(value.as_str()));
            }
        }
    }
}
