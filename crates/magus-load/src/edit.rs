//! Applies the fixes of findings to a file: comments and layout stay as they are, and nothing else changes its meaning.
//!
//! A fix replaces ranges of the text. The result is parsed again and compared with what was there: only what a fix
//! touched may say something else. What a rule meant by its fix is not known here.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use magus_model::{
    diagnostic::{Diagnostic, Fix, Severity},
    span::{FileId, Span},
    tree::{Entry, Node, NodeKind},
};

use crate::yaml::parse;

/// A text after its fixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The new text.
    pub text: String,
    /// Which findings are mended, by their places in the list that was given. A finding whose fix overlaps that of
    /// an earlier one is not among them: the next run mends it.
    pub mended: Vec<usize>,
}

/// Why a file was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// A range that the text does not have.
    #[error("a fix does not fit the text that it was made for")]
    Range,
    /// Parsing the result gave something else than was meant.
    #[error("the fixes would change more than they say")]
    Meaning,
    /// The file is not as it was read.
    #[error("`{0}` was changed meanwhile")]
    Changed(String),
    /// The file is there already.
    #[error("`{0}` is there already")]
    Exists(String),
    /// The file may not be written.
    #[error("`{0}` is read-only")]
    ReadOnly(String),
    /// The file cannot be read.
    #[error("`{path}` cannot be read")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file or its folder cannot be written.
    #[error("`{path}` cannot be written, and is as it was")]
    Write {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Applies the edits that findings offer for this file to its text. Findings without one, or of another file, are
/// passed over.
///
/// # Errors
/// Where an edit does not fit the text, or the result would mean something else beyond the edited places.
pub fn apply(file: FileId, text: &str, diagnostics: &[&Diagnostic]) -> Result<Edited, EditError> {
    let mut accepted: Vec<(Span, &str)> = Vec::new();
    let mut mended = Vec::new();
    for (at, diagnostic) in diagnostics.iter().enumerate() {
        let Some(Fix::Edit(edits)) = &diagnostic.fix else { continue };
        if edits.is_empty() || edits.iter().any(|(span, _)| span.file != file) {
            continue;
        }
        for (span, _) in edits {
            if span.start > span.end || text.get(span.start as usize..span.end as usize).is_none() {
                return Err(EditError::Range);
            }
        }
        let known = |(span, new): &(Span, String)| accepted.contains(&(*span, new.as_str()));
        let free = |(span, _): &(Span, String)| !accepted.iter().any(|(taken, _)| overlap(*taken, *span));
        if edits.iter().all(|edit| known(edit) || free(edit)) {
            mended.push(at);
            let new: Vec<_> =
                edits.iter().filter(|edit| !known(edit)).map(|(span, new)| (*span, new.as_str())).collect();
            accepted.extend(new);
        }
    }
    accepted.sort_by_key(|(span, _)| (span.start, span.end));
    if accepted.windows(2).any(|pair| overlap(pair[0].0, pair[1].0)) {
        // Edits of one finding that overlap each other.
        return Err(EditError::Range);
    }
    let mut edited =
        String::with_capacity(text.len() + accepted.iter().map(|(_, new)| new.len()).sum::<usize>());
    let mut done = 0;
    for (span, new) in &accepted {
        edited.push_str(&text[done..span.start as usize]);
        edited.push_str(new);
        done = span.end as usize;
    }
    edited.push_str(&text[done..]);
    let spans: Vec<Span> = accepted.iter().map(|(span, _)| *span).collect();
    if means_the_same(file, text, &edited, &spans) {
        Ok(Edited { text: edited, mended })
    } else {
        Err(EditError::Meaning)
    }
}

/// Writes texts under keys at the top of a file, in the order in which they are given: a key that is there gets another
/// value in its place, the others come as lines of their own below `anchor`, or first. Comments and layout stay.
///
/// # Errors
/// Where the file is no mapping of keys, a key holds more than a word or a text, or a text has several lines.
pub fn set(file: FileId, text: &str, anchor: &str, texts: &[(&str, &str)]) -> Result<String, EditError> {
    let parsed = parse(file, text);
    let Some(root) = parsed.root.filter(|root| matches!(root.kind, NodeKind::Map(_))) else {
        return Err(EditError::Meaning);
    };
    let mut edits: Vec<(usize, usize, String)> = Vec::new();
    let mut missing: Vec<String> = Vec::new();
    for (key, value) in texts {
        let written = scalar(value).ok_or(EditError::Meaning)?;
        match root.entry(key) {
            None => missing.push(format!("{key}: {written}")),
            Some(entry) if matches!(entry.value.kind, NodeKind::List(_) | NodeKind::Map(_)) => {
                return Err(EditError::Meaning);
            }
            Some(Entry { key_span, value, .. }) => {
                let (start, end) = (value.span.start as usize, value.span.end as usize);
                // `key:` alone has no value that could be replaced.
                let after_key =
                    text[key_span.end as usize..].find(':').map(|at| key_span.end as usize + at + 1);
                match after_key.filter(|_| start == end) {
                    Some(colon) => edits.push((colon, colon, format!(" {written}"))),
                    None => edits.push((start, end, written)),
                }
            }
        }
    }
    if !missing.is_empty() {
        edits.push(inserted(text, &root, anchor, &missing));
    }
    edits.sort_by_key(|(start, end, _)| (*start, *end));
    let mut edited = String::with_capacity(text.len() + 256);
    let mut done = 0;
    for (start, end, new) in &edits {
        edited.push_str(text.get(done..*start).ok_or(EditError::Range)?);
        edited.push_str(new);
        done = *end;
    }
    edited.push_str(text.get(done..).ok_or(EditError::Range)?);
    let after = parse(file, &edited);
    let says = |key: &str, value: &str| {
        after.root.as_ref().and_then(|root| root.get(key)).and_then(Node::as_str) == Some(value)
    };
    let kept = |entry: &Entry| {
        texts.iter().any(|(key, _)| *key == entry.key.as_str())
            || after
                .root
                .as_ref()
                .and_then(|root| root.get(&entry.key))
                .is_some_and(|after| same(&entry.value, after, &[]))
    };
    let is_meant = texts.iter().all(|(key, value)| says(key, value))
        && root.entries().iter().all(kept)
        && after
            .root
            .as_ref()
            .is_some_and(|after| after.entries().len() == root.entries().len() + missing.len());
    if is_meant { Ok(edited) } else { Err(EditError::Meaning) }
}

/// Where new keys are written, and how.
fn inserted(text: &str, root: &Node, anchor: &str, keys: &[String]) -> (usize, usize, String) {
    let start = root.span.start as usize;
    if text[start..].starts_with('{') {
        let comma = if root.entries().is_empty() { "" } else { ", " };
        return (start + 1, start + 1, keys.join(", ") + comma);
    }
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let at = root.entry(anchor).or(root.entries().first());
    let line_of = |at: usize| text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let column = at.map_or(0, |entry| entry.key_span.start as usize - line_of(entry.key_span.start as usize));
    let lines = |keys: &[String]| -> String {
        keys.iter().map(|key| format!("{}{key}{newline}", " ".repeat(column))).collect()
    };
    match root.entry(anchor) {
        Some(entry) => {
            let end = entry.value.span.end.max(entry.key_span.end) as usize;
            match text[end..].find('\n') {
                Some(newline) => (end + newline + 1, end + newline + 1, lines(keys)),
                None => {
                    let lines = lines(keys);
                    (text.len(), text.len(), format!("{newline}{}", lines.trim_end()))
                }
            }
        }
        None => {
            let first = line_of(at.map_or(start, |entry| entry.key_span.start as usize));
            (first, first, lines(keys))
        }
    }
}

/// A text as YAML writes it: a plain word as it is, everything else in quotes. Nothing where it has several lines.
fn scalar(text: &str) -> Option<String> {
    if text.chars().any(char::is_control) {
        return None;
    }
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase());
    if plain && !["null", "true", "false"].contains(&text) {
        return Some(text.to_owned());
    }
    Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// Two insertions at one place overlap as well: nothing says which comes first.
fn overlap(a: Span, b: Span) -> bool {
    a.start < b.end && b.start < a.end || a.start == b.start
}

fn means_the_same(file: FileId, before: &str, after: &str, edited: &[Span]) -> bool {
    let (before, after) = (parse(file, before), parse(file, after));
    let errors = |diagnostics: &[Diagnostic]| {
        diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    };
    if errors(&after.diagnostics) > errors(&before.diagnostics) {
        return false;
    }
    match (&before.root, &after.root) {
        (None, None) => true,
        (Some(before), Some(after)) => same(before, after, edited),
        _ => false,
    }
}

/// Whether two trees say the same, except for the scalars and keys that an edit touched in the first.
fn same(before: &Node, after: &Node, edited: &[Span]) -> bool {
    let touched = |span: Span| edited.iter().any(|edit| edit.start <= span.end && span.start <= edit.end);
    match (&before.kind, &after.kind) {
        (NodeKind::List(before), NodeKind::List(after)) => {
            before.len() == after.len()
                && before.iter().zip(after).all(|(before, after)| same(before, after, edited))
        }
        (NodeKind::Map(before), NodeKind::Map(after)) => {
            before.len() == after.len()
                && before.iter().zip(after).all(|(before, after)| {
                    (before.key == after.key || touched(before.key_span))
                        && same(&before.value, &after.value, edited)
                })
        }
        (NodeKind::List(_) | NodeKind::Map(_), _) | (_, NodeKind::List(_) | NodeKind::Map(_)) => false,
        (NodeKind::Float(a), NodeKind::Float(b)) if a.is_nan() && b.is_nan() => true,
        (a, b) => a == b || touched(before.span),
    }
}

/// Puts a new text in the place of a file's old one: at once and as a whole, with the same permissions. A link stays a
/// link.
///
/// # Errors
/// Where the file does not hold `old` any more, or it or its folder cannot be written. Then it is as it was.
pub fn write(path: &Path, old: &str, new: &str) -> Result<(), EditError> {
    let shown = || path.display().to_string();
    let failed = |source| EditError::Write { path: shown(), source };
    let unread = |source| EditError::Read { path: shown(), source };
    let real = fs::canonicalize(path).map_err(unread)?;
    if fs::read(&real).map_err(unread)? != old.as_bytes() {
        return Err(EditError::Changed(shown()));
    }
    let metadata = fs::metadata(&real).map_err(unread)?;
    if metadata.permissions().readonly() {
        return Err(EditError::ReadOnly(shown()));
    }
    let folder = real.parent().unwrap_or(Path::new("/"));
    // A name that no walk takes for a declaration, should the process be killed here.
    let mut file =
        tempfile::Builder::new().prefix(".magus-").suffix(".tmp").tempfile_in(folder).map_err(failed)?;
    file.write_all(new.as_bytes()).map_err(failed)?;
    file.as_file().set_permissions(metadata.permissions()).map_err(failed)?;
    keep_owner(file.path(), &metadata);
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&real).map_err(|error| failed(error.error))?;
    Ok(())
}

/// As far as the system lets us: only root can give a file to somebody else.
#[cfg(unix)]
fn keep_owner(path: &Path, metadata: &fs::Metadata) {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let _ = chown(path, Some(metadata.uid()), Some(metadata.gid()));
}

#[cfg(not(unix))]
fn keep_owner(_: &Path, _: &fs::Metadata) {}

/// Gives a file another name in the same folder; its new path.
///
/// # Errors
/// Where something has that name, or the folder cannot be written.
pub fn rename(path: &Path, name: &str) -> Result<PathBuf, EditError> {
    let target = path.with_file_name(name);
    if fs::symlink_metadata(&target).is_ok() {
        return Err(EditError::Exists(target.display().to_string()));
    }
    fs::rename(path, &target)
        .map_err(|source| EditError::Write { path: path.display().to_string(), source })?;
    Ok(target)
}
