//! Values and their changes in a few words, never a secret.

use magus_diff::HunkKind;
use magus_model::{
    plan::{Action, FieldChange, FieldStatus},
    value::{FieldValue, Value},
};

use crate::escape;

/// Characters of one value that a line shows.
const LONGEST: usize = 300;
/// Characters around the difference of two long values.
const CONTEXT: usize = 24;
/// Length from which two one-line values are shown around their difference only.
const LONG: usize = 100;

/// A value on one line. Text is quoted where it would read as something else.
pub(crate) fn show(value: &FieldValue) -> String {
    let text = match value {
        FieldValue::Plain(value) => plain(value),
        FieldValue::Secret(reference) => escape::line(&reference.to_string()).into_owned(),
    };
    limit(text)
}

fn limit(text: String) -> String {
    match text.chars().count() {
        length if length <= LONGEST => text,
        length => format!("{} ({length} characters)", escape::shorten(&text, LONGEST)),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if reads_as_text(text) => escape::line(text).into_owned(),
        Value::String(text) => quoted(text),
        other => crate::json::compact(other),
    }
}

fn quoted(text: &str) -> String {
    crate::json::compact(&text)
}

/// Whether text without quotes cannot be taken for a number, a boolean, nothing, a list, or for our own words.
fn reads_as_text(text: &str) -> bool {
    let odd_edge = |c: char| c.is_whitespace() || "\"'[{(".contains(c);
    !(text.is_empty()
        || text.starts_with(odd_edge)
        || text.ends_with(char::is_whitespace)
        || text.contains(" → ")
        || text.chars().any(escape::is_dangerous)
        || matches!(text, "true" | "false" | "null" | "~")
        || text.parse::<f64>().is_ok())
}

/// Whether a replace only sends a field again because everything of the workspace is sent again.
pub(crate) fn is_sent_again(action: Action, field: &FieldChange) -> bool {
    action == Action::Replace && field.before == field.after
}

/// What happens to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// It comes into being with this value.
    Added(String),
    /// It goes away; its value was this.
    Removed(String),
    /// From one value to another.
    Changed(String, String),
    /// A text of many lines changes.
    Lines(Vec<DiffLine>),
    /// A text of many lines comes into being.
    AddedLines(Vec<String>),
}

/// A line of a line diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DiffLine {
    /// In both.
    Same(String),
    /// Only before.
    Removed(String),
    /// Only after.
    Added(String),
    /// So many equal lines are left out.
    Skipped(usize),
}

/// What a change looks like. Sensitive ones show references and never a plain value.
pub(crate) fn change(field: &FieldChange) -> Shown {
    if field.sensitive {
        return secret_change(field);
    }
    match (&field.before, &field.after) {
        (Some(before), Some(after)) => both(before, after),
        (None, Some(after)) => match long_text(after) {
            Some(text) => Shown::AddedLines(
                escape::lines(text.trim_end()).map(|line| limit(line.into_owned())).collect(),
            ),
            None => Shown::Added(show(after)),
        },
        (Some(before), None) => Shown::Removed(show(before)),
        (None, None) => Shown::Removed("nothing".to_owned()),
    }
}

fn secret_change(field: &FieldChange) -> Shown {
    let show = |value: &FieldValue| match value {
        FieldValue::Secret(reference) => limit(escape::line(&reference.to_string()).into_owned()),
        FieldValue::Plain(_) => "(a value that is not shown)".to_owned(),
    };
    match (&field.before, &field.after) {
        (Some(before), Some(after)) if before == after => {
            Shown::Changed("(secret)".to_owned(), "(secret, another value)".to_owned())
        }
        (Some(before), Some(after)) => Shown::Changed(show(before), show(after)),
        (None, Some(after)) => Shown::Added(show(after)),
        (Some(before), None) => Shown::Removed(show(before)),
        (None, None) => Shown::Removed("(secret)".to_owned()),
    }
}

fn both(before: &FieldValue, after: &FieldValue) -> Shown {
    let texts = (long_text(before), long_text(after));
    if let (Some(before), Some(after)) =
        (texts.0.or_else(|| any_text(before)), texts.1.or_else(|| any_text(after)))
        && (before.contains('\n') || after.contains('\n'))
    {
        return Shown::Lines(line_diff(&before, &after));
    }
    let (old, new) = match (before, after) {
        (FieldValue::Plain(before), FieldValue::Plain(after)) => (plain(before), plain(after)),
        _ => (show(before), show(after)),
    };
    if old.chars().count().max(new.chars().count()) > LONG {
        let (old, new) = around_the_difference(&old, &new);
        return Shown::Changed(limit(old), limit(new));
    }
    Shown::Changed(old, new)
}

/// A value that reads better over several lines: text with line ends, and a long list or map.
fn long_text(value: &FieldValue) -> Option<String> {
    match value {
        FieldValue::Plain(Value::String(text)) if text.trim_end().contains('\n') => Some(text.to_string()),
        FieldValue::Plain(value @ (Value::List(_) | Value::Map(_))) => {
            (crate::json::compact(value).len() > LONG).then(|| pretty(value))
        }
        _ => None,
    }
}

/// The form in which a short value is compared with a long one.
fn any_text(value: &FieldValue) -> Option<String> {
    match value {
        FieldValue::Plain(Value::String(text)) => Some(text.to_string()),
        FieldValue::Plain(value @ (Value::List(_) | Value::Map(_))) => Some(pretty(value)),
        _ => None,
    }
}

fn pretty(value: &Value) -> String {
    crate::json::pretty(value).trim_end().to_owned()
}

/// Cuts what two long texts begin and end with alike, but for a few characters.
fn around_the_difference(old: &str, new: &str) -> (String, String) {
    let old: Vec<char> = old.chars().collect();
    let new: Vec<char> = new.chars().collect();
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let cut = |text: &[char]| {
        let from = if head > CONTEXT + 1 { head - CONTEXT } else { 0 };
        let to = if tail > CONTEXT + 1 { text.len() - tail + CONTEXT } else { text.len() };
        let mut shown = String::new();
        if from > 0 {
            shown.push('…');
        }
        shown.extend(&text[from..to]);
        if to < text.len() {
            shown.push('…');
        }
        shown
    };
    (cut(&old), cut(&new))
}

/// The difference of two texts, harmless and bounded.
fn line_diff(before: &str, after: &str) -> Vec<DiffLine> {
    let harmless = |text: &str| limit(escape::line(text).into_owned());
    // A last line end that both have is no line of its own.
    let (before, after) = match (before.strip_suffix('\n'), after.strip_suffix('\n')) {
        (Some(before), Some(after)) => (before, after),
        _ => (before, after),
    };
    magus_diff::line_diff(before, after)
        .into_iter()
        .map(|hunk| match hunk.kind {
            HunkKind::Same => DiffLine::Same(harmless(&hunk.text)),
            HunkKind::Removed => DiffLine::Removed(harmless(&hunk.text)),
            HunkKind::Added => DiffLine::Added(harmless(&hunk.text)),
            HunkKind::Skipped => DiffLine::Skipped(hunk.text.parse().unwrap_or(0)),
        })
        .collect()
}

/// How many pipelines that read a value are named.
const READERS: usize = 3;

/// `declared, environments/cluster.yaml:12`: why a field changes, and where its value was written. All fields of a
/// workspace that is created have one reason, so that only their places are named.
pub(crate) fn why(field: &FieldChange, action: Action) -> String {
    let mut parts = Vec::new();
    if !matches!(action, Action::Create | Action::Replace | Action::Delete) {
        parts.push(field.reason.as_str().to_owned());
    }
    if field.status == FieldStatus::Unverifiable {
        parts.push("unverifiable".to_owned());
    }
    if let Some(origin) = &field.origin {
        parts.push(format!("{}:{}", escape::line(&origin.file), origin.line));
    }
    if !field.read_by.is_empty() {
        let names: Vec<_> = field.read_by.iter().take(READERS).map(|name| escape::line(name)).collect();
        let more = match field.read_by.len().saturating_sub(READERS) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        parts.push(format!("read by {}{more}", names.join(", ")));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use magus_model::value::{SecretReference, SecretSource};

    use super::*;

    fn plain(text: &str) -> FieldValue {
        FieldValue::Plain(Value::string(text))
    }

    #[test]
    fn text_is_quoted_where_it_would_read_as_something_else() {
        for (value, shown) in [
            (Value::string("a b"), "a b"),
            (Value::string("5"), "\"5\""),
            (Value::Int(5), "5"),
            (Value::string("true"), "\"true\""),
            (Value::Bool(true), "true"),
            (Value::string(""), "\"\""),
            (Value::string(" a"), "\" a\""),
            (Value::string("(secret)"), "\"(secret)\""),
            (Value::string("a\u{1b}[0mb"), "\"a\\u001b[0mb\""),
            (Value::List(vec![Value::string("a"), Value::Int(1)]), "[\"a\",1]"),
        ] {
            assert_eq!(show(&FieldValue::Plain(value)), shown);
        }
    }

    #[test]
    fn long_lines_are_shown_around_their_difference() {
        let old = format!("{}OLD{}", "x".repeat(90), "y".repeat(90));
        let new = format!("{}NEWER{}", "x".repeat(90), "y".repeat(90));
        let Shown::Changed(old, new) = both(&plain(&old), &plain(&new)) else {
            panic!("a change of one line")
        };
        assert_eq!(old, format!("…{}OLD{}…", "x".repeat(24), "y".repeat(24)));
        assert_eq!(new, format!("…{}NEWER{}…", "x".repeat(24), "y".repeat(24)));
        let (a, b) = around_the_difference("aaaa", "aaaaaaaa");
        assert_eq!((a.as_str(), b.as_str()), ("aaaa", "aaaaaaaa"));
    }

    #[test]
    fn texts_of_many_lines_are_diffed_by_line() {
        let before: String = (1..=20).map(|n| format!("line {n}\n")).collect();
        let after = before.replace("line 10\n", "line ten\u{1b}\n");
        let Shown::Lines(lines) = both(&plain(&before), &plain(&after)) else { panic!("a line diff") };
        let same = |n: u32| DiffLine::Same(format!("line {n}"));
        assert_eq!(
            lines,
            [
                DiffLine::Skipped(7),
                same(8),
                same(9),
                DiffLine::Removed("line 10".into()),
                DiffLine::Added("line ten\\u{1b}".into()),
                same(11),
                same(12),
                DiffLine::Skipped(8),
            ]
        );
    }

    #[test]
    fn a_plain_value_that_becomes_a_secret_is_not_shown() {
        let secret = SecretReference { source: SecretSource::Env("X".into()), version: None, keep: false };
        let field = FieldChange {
            path: "env.X".into(),
            before: Some(plain("hunter2")),
            after: Some(FieldValue::from(secret)),
            sensitive: true,
            status: FieldStatus::Change,
            reason: magus_model::plan::Reason::Declared,
            origin: None,
            sealed: None,
            read_by: Vec::new(),
        };
        let shown = format!("{:?}", change(&field));
        assert!(!shown.contains("hunter2") && shown.contains("secret from env X"), "{shown}");
    }
}
