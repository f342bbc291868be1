//! Files that Mage renders with Jinja before it looks at them: SQL, and YAML with its comments.

use magus_load::Parsed;
use magus_model::{Text, span::FileId, tree::Node};

use crate::{
    jinja,
    python::{Lines, ordered},
    reference::{Kind, Missing, Name, Reference},
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
    let mut at_profile = Vec::new();
    for entry in root.entries().iter().filter(|entry| !entry.value.entries().is_empty()) {
        found
            .profiles
            .push(Profile { name: entry.key.clone(), line: lines.place(entry.key_span.start as usize).0 });
        at_profile.push(entry);
    }
    for reference in &mut found.references {
        let here = |start: u32, end: u32| {
            let line = |byte: u32| lines.place(byte as usize).0;
            (line(start)..=line(end)).contains(&reference.line)
        };
        let Some(profile) = at_profile.iter().find(|entry| here(entry.key_span.start, entry.value.span.end))
        else {
            continue;
        };
        let key =
            profile.value.entries().iter().find(|entry| here(entry.key_span.start, entry.value.span.end));
        let (profile, key) = (profile.key.clone(), key.map(|entry| entry.key.clone()));
        (reference.profile, reference.key) = (Some(profile), key);
    }
    found
}

fn scan(text: &str, template: &jinja::Template, missing: impl Fn(usize) -> Missing) -> Scan {
    let lines = Lines::new(text);
    let one = |(at, kind, name, own): &(usize, Kind, Name, Missing)| {
        let (line, column) = lines.place(*at);
        let missing = match missing(*at) {
            Missing::Comment => Missing::Comment,
            _ => *own,
        };
        Reference { line, column, kind: *kind, name: name.clone(), missing, profile: None, key: None }
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
