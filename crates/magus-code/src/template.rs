//! Files that Mage renders with Jinja before it looks at them: SQL, and YAML with its comments.

use magus_load::Parsed;
use magus_model::{
    Text,
    span::FileId,
    tree::{Entry, Node},
};

use crate::{
    jinja,
    python::{LONGEST_LINE, Lines, ordered},
    reference::{Missing, Reference},
    scan::{Fault, Profile, Scan},
};

/// Reads a file of which nothing but its template matters, such as SQL.
pub(crate) fn text(text: &str) -> Scan {
    scan(text, &jinja::read(text), |_| Missing::Fails)
}

/// Reads a YAML file.
pub(crate) fn yaml(text: &str) -> Scan {
    let template = jinja::read(text);
    let shown = rendered(text, &template);
    let mut found =
        scan(text, &template, |at| if is_comment(&shown, at) { Missing::Comment } else { Missing::Fails });
    if found.fault.is_none() {
        found.fault = fault(&parse(&shown), &Lines::new(text));
    }
    found
}

/// Reads an `io_config.yaml`, with its profiles.
pub(crate) fn io_config(text: &str) -> Scan {
    let mut found = yaml(text);
    let template = jinja::read(text);
    let shown = rendered(text, &template);
    let Some(root) = parse(&shown).root else { return found };
    let lines = Lines::new(text);
    // The lines of an entry, from its key to the end of its value.
    let lines_of = |entry: &Entry| {
        let line = |byte: u32| lines.place(byte as usize).0;
        (line(entry.key_span.start), line(entry.value.span.end))
    };
    let within = |entries: &[Entry]| -> Vec<((u32, u32), Text)> {
        entries.iter().map(|entry| (lines_of(entry), entry.key.clone())).collect()
    };
    let mut profiles = Vec::new();
    for entry in root.entries().iter().filter(|entry| !entry.value.entries().is_empty()) {
        let (first, last) = lines_of(entry);
        found.profiles.push(Profile { name: entry.key.clone(), line: first });
        profiles.push(((first, last), entry.key.clone(), within(entry.value.entries())));
    }
    for reference in &mut found.references {
        let line = reference.line;
        let before = profiles.partition_point(|((first, _), ..)| *first <= line);
        let Some(((_, last), name, keys)) = before.checked_sub(1).map(|at| &profiles[at]) else { continue };
        if *last < line {
            continue;
        }
        reference.profile = Some(name.clone());
        let before = keys.partition_point(|((first, _), _)| *first <= line);
        let key = before.checked_sub(1).map(|at| &keys[at]).filter(|((_, last), _)| *last >= line);
        reference.key = key.map(|(_, key)| key.clone());
    }
    found
}

fn scan(text: &str, template: &jinja::Template, missing: impl Fn(usize) -> Missing) -> Scan {
    let lines = Lines::new(text);
    let one = |(at, kind, name, own, fallback): &jinja::Found| {
        let (line, column) = lines.place(*at);
        let missing = match missing(*at) {
            Missing::Comment => Missing::Comment,
            _ => *own,
        };
        Reference {
            line,
            column,
            kind: *kind,
            name: name.clone(),
            missing,
            alternatives: Vec::new(),
            any_case: false,
            fallback: fallback.clone(),
            pattern: None,
            profile: None,
            key: None,
        }
    };
    let fault = template.fault.as_ref().map(|(at, what)| {
        let (line, column) = lines.place(*at);
        Fault { line, column, what: what.clone() }
    });
    Scan { references: ordered(template.references.iter().map(one).collect()), fault, ..Scan::default() }
}

/// The text as YAML, byte for byte at its place: a tag that leaves something behind is a word, and the others are blanks.
pub(crate) fn rendered(text: &str, template: &jinja::Template) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (start, end, leaves) in &template.tags {
        for byte in &mut bytes[*start..*end] {
            match (leaves, *byte) {
                (true, _) => *byte = b'x',
                (false, b'\n' | b'\r') => {}
                (false, _) => *byte = b' ',
            }
        }
    }
    // Tags begin and end at characters.
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Parses a YAML text that lies nowhere.
pub(crate) fn parse(text: &str) -> Parsed {
    magus_load::parse(FileId(0), text)
}

/// What keeps a text from being YAML.
pub(crate) fn fault(parsed: &Parsed, lines: &Lines<'_>) -> Option<Fault> {
    if parsed.root.is_some() {
        return None;
    }
    let first = parsed.diagnostics.iter().find(|found| found.rule.code == "MG001")?;
    let (line, column) = lines.place(first.span.start as usize);
    Some(Fault { line, column, what: Text::new_static("it is no valid YAML") })
}

/// The text of a value, if it is one.
pub(crate) fn text_of<'n>(node: &'n Node, key: &str) -> Option<&'n Text> {
    match &node.get(key)?.kind {
        magus_model::tree::NodeKind::String(text) => Some(text),
        _ => None,
    }
}

/// Whether a byte of a YAML text is in a comment: after a `#` at the start of its line or after a blank, outside of quotes.
fn is_comment(text: &str, at: usize) -> bool {
    let start = text[..at].rfind('\n').map_or(0, |line| line + 1);
    if at - start > LONGEST_LINE {
        return false;
    }
    let (mut quote, mut before) = (None, ' ');
    for sign in text[start..at].chars() {
        match (quote, sign) {
            (None, '#') if before.is_whitespace() => return true,
            // A quote opens a text only where a value may begin.
            (None, '\'' | '"') if !before.is_alphanumeric() => quote = Some(sign),
            (Some(open), sign) if open == sign => quote = None,
            _ => {}
        }
        before = sign;
    }
    false
}
