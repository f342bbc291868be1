//! The text of `.env` files. What is written here reads back as the same values, whatever is in them. bash reads the same (`set -a; . .env`),
//! and so does python-dotenv without interpolation, but for the few values that no text gives to both: those have a remark above them.
//! `docker run --env-file` takes quotes and line ends for parts of a value, so that it reads only the values without quotes alike.

use std::collections::HashMap;

use zeroize::Zeroizing;

/// Whether a name can stand before the `=`.
pub(crate) fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(first) && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    None,
    /// Literal in bash; python-dotenv reads a backslash before another one, and before a quote, as an escape.
    Single,
    /// Both read a backslash before another one, and before a quote, as an escape; before `$` and a backtick, only bash does.
    Double,
}

fn quotes(value: &str) -> Quotes {
    let bare = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@' | '%' | '+' | ',')
    };
    if !value.is_empty() && value.chars().all(bare) {
        Quotes::None
    } else if value.contains('\'') || !value.contains(['$', '`']) && escapes_in_single(value) {
        Quotes::Double
    } else {
        Quotes::Single
    }
}

/// Whether python-dotenv would find an escape in a value between single quotes.
fn escapes_in_single(value: &str) -> bool {
    value.contains("\\\\") || value.ends_with('\\')
}

/// Whether bash and python-dotenv read a value alike.
fn is_common(value: &str) -> bool {
    let is_common = match quotes(value) {
        Quotes::None => true,
        Quotes::Single => !escapes_in_single(value),
        Quotes::Double => !value.contains(['$', '`']),
    };
    // python-dotenv reads the file with every line end as a line feed.
    is_common && !value.contains('\r')
}

/// Appends a variable.
pub(crate) fn push_variable(text: &mut String, name: &str, value: &str) {
    if !is_common(value) {
        push_comment(text, &format!("{name}: bash reads this value, python-dotenv another one"));
    }
    text.push_str(name);
    text.push('=');
    match quotes(value) {
        Quotes::None => text.push_str(value),
        Quotes::Single => {
            text.push('\'');
            text.push_str(value);
            text.push('\'');
        }
        Quotes::Double => {
            text.push('"');
            for c in value.chars() {
                match c {
                    '"' | '\\' | '$' | '`' => text.extend(['\\', c]),
                    c => text.push(c),
                }
            }
            text.push('"');
        }
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
        assert_eq!(written("C:\\temp"), "A='C:\\temp'\n");
        assert_eq!(written("it's a\\"), "A=\"it's a\\\\\"\n");
        assert_eq!(written("\\\\server"), "A=\"\\\\\\\\server\"\n");
        let remark = "# A: bash reads this value, python-dotenv another one\n";
        assert_eq!(written("it's $1\\"), format!("{remark}A=\"it's \\$1\\\\\"\n"));
        assert_eq!(written("a\r\nb"), format!("{remark}A='a\r\nb'\n"));
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

    /// Values of every kind that shells and libraries read in ways of their own.
    fn values() -> Vec<String> {
        let parts = [
            "a", "$HOME", "${HOME}", "$(id)", "`id`", "'", "\"", "\\", "\\\\", "\\n", " # b", "\n",
            "\u{2028}", "ü", "!x", "~", "=",
        ];
        let pairs = parts.iter().flat_map(|one| parts.iter().map(move |other| format!("{one}{other}")));
        parts.iter().map(|part| (*part).to_owned()).chain(pairs).chain([String::new()]).collect()
    }

    /// A file of these values as `V0`, `V1` and so on.
    fn file(values: &[String]) -> (tempfile::TempDir, std::path::PathBuf) {
        let mut text = String::new();
        for (at, value) in values.iter().enumerate() {
            push_variable(&mut text, &format!("V{at}"), value);
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(".env");
        std::fs::write(&path, text).expect("it is written");
        (folder, path)
    }

    /// The values that a program prints, each with a NUL after it.
    fn printed(program: &str, arguments: &[&str]) -> Vec<String> {
        let output = std::process::Command::new(program).args(arguments).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn bash_reads_every_value() {
        let mut values = values();
        values.push("a\r\nb".to_owned());
        let (_folder, path) = file(&values);
        let script = format!(
            "set -eu; . {}; for ((at = 0; at < {}; at++)); do name=V$at; printf '%s\\0' \"${{!name}}\"; done",
            path.display(),
            values.len()
        );
        assert_eq!(printed("bash", &["-c", &script]), values);
    }

    #[test]
    #[ignore = "needs python-dotenv"]
    fn python_dotenv_reads_every_value_without_a_remark() {
        let values: Vec<String> = values().into_iter().filter(|value| is_common(value)).collect();
        assert!(values.len() > 200, "{}", values.len());
        let (_folder, path) = file(&values);
        let script = format!(
            "import dotenv, sys\nv = dotenv.dotenv_values({:?}, interpolate=False)\n\
             sys.stdout.buffer.write(b''.join(v[f'V{{at}}'].encode() + b'\\0' for at in range({})))",
            path.display().to_string(),
            values.len()
        );
        assert_eq!(printed("python3", &["-c", &script]), values);
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
