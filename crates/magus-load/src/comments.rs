//! Comments that mean something to Magus: the modeline that names a schema, and `magus: ignore[…]`.
//!
//! What a rule's code means, and whether an ignore silences anything, is for others to say.

use magus_model::{Text, diagnostic::Diagnostic, rules, span::Span};

/// A comment that means something to Magus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// The comment, `#` included.
    pub span: Span,
    /// Its line, from 1.
    pub line: u32,
    /// The line that it speaks about, from 1: its own where something stands before it, else the next line that
    /// holds more than a comment.
    pub target: u32,
    /// What it says.
    pub kind: CommentKind,
}

/// What a comment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommentKind {
    /// `# yaml-language-server: $schema=…`.
    Modeline {
        /// The schema's path or address.
        schema: Text,
        /// Where that was written.
        span: Span,
    },
    /// `# magus: ignore[MG301, MG702] reason`.
    Ignore {
        /// The rules' codes, each with its place.
        codes: Vec<(Text, Span)>,
        /// Why, as it was written; may be empty.
        reason: Text,
    },
}

/// Whether a text may hold such a comment: most do not, and then the parser need not collect any.
pub(crate) fn may_hold(text: &str) -> bool {
    text.contains("magus:") || text.contains("yaml-language-server:")
}

/// Reads a comment of the parser. `text` is the whole file, `span` the comment with its `#`, `line` where it stands.
/// [`set_targets`] completes it.
pub(crate) fn read(text: &str, span: Span, line: u32, diagnostics: &mut Vec<Diagnostic>) -> Option<Comment> {
    let (start, end) = (span.start as usize, span.end as usize);
    let said = text.get(start..end)?.trim_start_matches('#').trim_start();
    let kind = if let Some(rest) = said.strip_prefix("yaml-language-server:") {
        modeline(rest, end - rest.len(), span)?
    } else if let Some(rest) = said.strip_prefix("magus:") {
        let Some(kind) = ignore(rest, end - rest.len(), span) else {
            diagnostics.push(
                Diagnostic::new(&rules::UNUSED_IGNORE, span, "this comment for Magus cannot be read").help(
                    "write `# magus: ignore[MG301] reason`, with one code or several between the brackets",
                ),
            );
            return None;
        };
        kind
    } else {
        return None;
    };
    Some(Comment { span, line, target: line, kind })
}

/// Fills in what each comment speaks about. From the last to the first, so that every line is looked at once.
pub(crate) fn set_targets(text: &str, comments: &mut [Comment]) {
    let mut below: Option<(usize, u32)> = None;
    for comment in comments.iter_mut().rev() {
        let (start, end) = (comment.span.start as usize, comment.span.end as usize);
        let before = text[..start].rsplit(['\n', '\r']).next().unwrap_or("");
        if before.trim_start_matches('\u{feff}').trim().is_empty() {
            let until = below.map_or(text.len(), |(start, _)| start);
            comment.target = next_line_with_content(&text[end..until], comment.line)
                .or(below.map(|(_, target)| target))
                .unwrap_or(comment.line + 1);
        }
        below = Some((start, comment.target));
    }
}

fn modeline(rest: &str, at: usize, comment: Span) -> Option<CommentKind> {
    let (found, key) = rest
        .match_indices("$schema=")
        .find(|(found, _)| rest[..*found].ends_with(char::is_whitespace) || *found == 0)?;
    let schema = rest[found + key.len()..].split_whitespace().next()?;
    Some(CommentKind::Modeline {
        schema: schema.into(),
        span: part(comment, at + found + key.len(), schema.len()),
    })
}

fn ignore(rest: &str, at: usize, comment: Span) -> Option<CommentKind> {
    let list = rest.trim_start().strip_prefix("ignore")?.trim_start().strip_prefix('[')?;
    let (list, reason) = list.split_once(']')?;
    let mut start = at + rest.find('[')? + 1;
    let mut codes = Vec::new();
    for item in list.split(',') {
        let code = item.trim();
        let valid = !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphanumeric());
        if !valid {
            return None;
        }
        codes.push((code.into(), part(comment, start + item.len() - item.trim_start().len(), code.len())));
        start += item.len() + 1;
    }
    Some(CommentKind::Ignore { codes, reason: reason.trim().into() })
}

/// A part of a comment; the file is at most 1 MiB long, so every offset fits.
fn part(comment: Span, start: usize, len: usize) -> Span {
    let start = u32::try_from(start).unwrap_or(comment.end);
    Span::new(comment.file, start, u32::try_from(len).map_or(comment.end, |len| start.saturating_add(len)))
}

/// The first line after `line` that is neither blank nor only a comment; nothing where the text ends before.
fn next_line_with_content(after: &str, line: u32) -> Option<u32> {
    let mut number = line;
    let mut rest = after;
    loop {
        let at = rest.find(['\n', '\r'])?;
        rest = rest[at..].strip_prefix("\r\n").unwrap_or(&rest[at + 1..]);
        number += 1;
        let content = rest.split(['\n', '\r']).next().unwrap_or("").trim();
        if !content.is_empty() && !content.starts_with('#') {
            return Some(number);
        }
    }
}
