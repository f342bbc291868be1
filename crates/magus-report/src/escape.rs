//! Text from outside, made harmless for one line of a terminal or log.

use std::{borrow::Cow, fmt::Write as _};

/// Whether a character could move the cursor, change colours, reverse the reading order, break a line or hide.
///
/// C0 and C1 controls (U+009B alone begins an escape sequence on some terminals), line and paragraph separators,
/// the marks and overrides of text direction ("Trojan Source"), what has no width, and tag characters.
pub fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether nothing in the text is dangerous. Nearly all text is plain ASCII, which is told by its bytes.
pub(crate) fn is_harmless(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || !text.chars().any(is_dangerous)
}

/// The text as one harmless line: dangerous characters are written out, `\n`, `\t`, `\u{1b}`.
pub fn line(text: &str) -> Cow<'_, str> {
    if is_harmless(text) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        push(&mut escaped, c);
    }
    Cow::Owned(escaped)
}

/// The text with its own line ends and tabs, and everything else that is dangerous written out. For texts whose
/// place on the page is indented by the caller, line by line.
pub fn lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.split('\n').map(|line_text| line(line_text.strip_suffix('\r').unwrap_or(line_text)))
}

fn push(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if is_dangerous(c) => {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
        c => out.push(c),
    }
}

/// Shortens to so many characters, with `…` for what is left out. Escapes nothing.
pub fn shorten(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => Cow::Borrowed(text),
        Some(_) => {
            let end = text.char_indices().nth(most.saturating_sub(1)).map_or(0, |(at, _)| at);
            Cow::Owned(format!("{}…", &text[..end]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_dangerous_is_left() {
        assert_eq!(line("plain ü 漢 🎉"), "plain ü 漢 🎉");
        assert_eq!(
            line("a\u{1b}[31mb\r\nc\u{202e}d\u{9b}e\tf"),
            "a\\u{1b}[31mb\\r\\nc\\u{202e}d\\u{9b}e\\tf"
        );
        for c in ('\0'..='\u{ffff}').chain('\u{e0000}'..='\u{e00ff}') {
            let text = c.to_string();
            assert!(!line(&text).chars().any(is_dangerous), "{:x}", u32::from(c));
        }
    }

    #[test]
    fn shortening_keeps_characters_whole() {
        assert_eq!(shorten("äöü", 3), "äöü");
        assert_eq!(shorten("äöüß", 3), "äö…");
        assert_eq!(shorten("äöüß", 0), "…");
    }
}
