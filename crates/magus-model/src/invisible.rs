//! Characters that an editor does not show and that make two names differ.

/// The first invisible character of a text, with its name.
pub fn first(text: &str) -> Option<(char, &'static str)> {
    if text.is_ascii() {
        return None;
    }
    text.chars().find_map(|c| Some((c, name(c)?)))
}

/// The text without its invisible characters.
pub fn without(text: &str) -> String {
    text.chars().filter(|c| name(*c).is_none()).collect()
}

/// `U+00A0 (no-break space)`.
pub fn describe((c, name): (char, &str)) -> String {
    format!("U+{:04X} ({name})", u32::from(c))
}

fn name(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{85}' => "next line",
        '\u{a0}' => "no-break space",
        '\u{ad}' => "soft hyphen",
        '\u{1680}' => "ogham space mark",
        '\u{180e}' => "mongolian vowel separator",
        '\u{2000}'..='\u{200a}' => "wide or narrow space",
        '\u{200b}' => "zero width space",
        '\u{200c}' => "zero width non-joiner",
        '\u{200d}' => "zero width joiner",
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}' => {
            "direction mark"
        }
        '\u{2028}' => "line separator",
        '\u{2029}' => "paragraph separator",
        '\u{202f}' => "narrow no-break space",
        '\u{205f}' => "mathematical space",
        '\u{2060}' => "word joiner",
        '\u{3000}' => "ideographic space",
        '\u{feff}' => "byte order mark",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_named() {
        assert_eq!(first("image"), None);
        assert_eq!(first("ü 漢"), None);
        assert_eq!(first("\u{a0}image").map(describe).as_deref(), Some("U+00A0 (no-break space)"));
        assert_eq!(
            first("im\u{200b}age\u{feff}").map(describe).as_deref(),
            Some("U+200B (zero width space)")
        );
        assert_eq!(without("\u{a0}im\u{200b}age\u{feff}"), "image");
    }
}
