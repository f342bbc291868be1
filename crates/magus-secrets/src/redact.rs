//! Finds values in texts. It knows nothing of where either comes from.

use std::{collections::HashMap, fmt::Write as _};

use zeroize::Zeroizing;

/// What is shorter is in every text, and replacing it would tell what it is.
const SHORTEST: usize = 4;
/// A line of a longer value, or a part of an encoded one, that is shorter is no secret of its own.
const SHORTEST_PART: usize = 8;

/// The texts to be replaced, by their first four bytes: one look for each place of a text, however many there are.
#[derive(Default)]
pub(crate) struct Redactions {
    by_start: HashMap<[u8; SHORTEST], Vec<Zeroizing<Vec<u8>>>>,
}

impl Redactions {
    /// Adds a value in all the forms in which it may turn up.
    pub(crate) fn add(&mut self, value: &str) {
        self.insert(value.as_bytes(), SHORTEST);
        self.insert_forms(value);
        if value.contains(['\n', '\r']) {
            for line in value.split(['\n', '\r']).map(str::trim).filter(|line| line.len() >= SHORTEST_PART) {
                self.insert(line.as_bytes(), SHORTEST_PART);
                self.insert_forms(line);
            }
        }
    }

    fn insert_forms(&mut self, value: &str) {
        for (keep_spaces, upper) in [(false, true), (false, false), (true, true), (true, false)] {
            self.insert(percent_encoded(value, keep_spaces, upper).as_bytes(), SHORTEST);
        }
        self.insert(json_escaped(value).as_bytes(), SHORTEST);
        self.insert(Zeroizing::new(value.escape_debug().to_string()).as_bytes(), SHORTEST);
        // Where a value lies in the middle of what was encoded, its place modulo three decides the letters.
        for shift in 0..3 {
            for alphabet in [STANDARD, URL_SAFE] {
                self.insert(&base64_core(value.as_bytes(), shift, alphabet), SHORTEST_PART);
            }
        }
    }

    fn insert(&mut self, pattern: &[u8], shortest: usize) {
        let Some(start) = pattern.first_chunk().filter(|_| pattern.len() >= shortest) else { return };
        let patterns = self.by_start.entry(*start).or_default();
        if patterns.iter().all(|known| known.as_slice() != pattern) {
            patterns.push(Zeroizing::new(pattern.to_vec()));
        }
    }

    /// The text with `***` for every stretch that any pattern covers.
    pub(crate) fn apply(&self, text: &str) -> String {
        let bytes = text.as_bytes();
        let mut shown = String::with_capacity(text.len());
        let mut covered = 0;
        for at in 0..bytes.len() {
            let Some(patterns) = bytes[at..].first_chunk().and_then(|start| self.by_start.get(start)) else {
                continue;
            };
            let found = patterns
                .iter()
                .filter(|pattern| bytes[at..].starts_with(pattern))
                .map(|pattern| pattern.len());
            let Some(longest) = found.max() else { continue };
            if at >= covered {
                shown.push_str(text.get(covered..at).unwrap_or_default());
                shown.push_str("***");
            }
            covered = covered.max(at + longest);
        }
        shown.push_str(text.get(covered..).unwrap_or_default());
        shown
    }
}

/// As in a URL, or in a form, where a space becomes `+`.
fn percent_encoded(value: &str, plus_for_space: bool, upper: bool) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(value.len() * 3));
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(byte.into()),
            b' ' if plus_for_space => text.push('+'),
            // Writing to a string cannot fail.
            _ if upper => drop(write!(text, "%{byte:02X}")),
            _ => drop(write!(text, "%{byte:02x}")),
        }
    }
    text
}

/// As inside the quotes of a JSON string.
fn json_escaped(value: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(value.len() * 2));
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            c if u32::from(c) < 0x20 => drop(write!(text, "\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The letters of base64 that depend on the value alone, where `shift` other bytes (0, 1 or 2) stand before it.
fn base64_core(value: &[u8], shift: usize, alphabet: &[u8; 64]) -> Zeroizing<Vec<u8>> {
    let byte = |at: usize| at.checked_sub(shift).and_then(|at| value.get(at)).copied().unwrap_or(0);
    let first = (shift * 8).div_ceil(6);
    let end = (shift + value.len()) * 8 / 6;
    let letter = |at: usize| {
        let (index, bit) = (at * 6 / 8, at * 6 % 8);
        let pair = u16::from_be_bytes([byte(index), byte(index + 1)]);
        alphabet[usize::from(pair >> (10 - bit) & 63)]
    };
    Zeroizing::new((first..end).map(letter).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(values: &[&str], text: &str) -> String {
        let mut redactions = Redactions::default();
        values.iter().for_each(|value| redactions.add(value));
        redactions.apply(text)
    }

    #[test]
    fn every_form_of_a_value_is_replaced() {
        let value = "s3cr\"et pä/ss+w0rd";
        for text in [
            "s3cr\"et pä/ss+w0rd",
            "s3cr%22et%20p%C3%A4%2Fss%2Bw0rd",
            "s3cr%22et%20p%c3%a4%2fss%2bw0rd",
            "s3cr%22et+p%C3%A4%2Fss%2Bw0rd",
            "s3cr\\\"et pä/ss+w0rd",
        ] {
            assert_eq!(redacted(&[value], &format!("<{text}>")), "<***>", "{text}");
        }
        // base64 of `user:hunter2-hunter2`, of the value alone, and of `x:` with it.
        assert_eq!(redacted(&["hunter2-hunter2"], "dXNlcjpodW50ZXIyLWh1bnRlcjI="), "dXNlcjp***I=");
        assert_eq!(redacted(&["hunter2-hunter2"], "aHVudGVyMi1odW50ZXIy"), "***");
        assert_eq!(redacted(&["hunter2-hunter2"], "eDpodW50ZXIyLWh1bnRlcjI="), "eDp***I=");
    }

    #[test]
    fn lines_of_a_long_value_are_replaced_one_by_one() {
        let key = "-----BEGIN KEY-----\r\nMIIEvgIBADAN\r\nshort\r\n-----END KEY-----\r\n";
        assert_eq!(redacted(&[key], "bad line: MIIEvgIBADAN (short)"), "bad line: *** (short)");
    }

    #[test]
    fn overlapping_values_leave_nothing_of_either() {
        assert_eq!(redacted(&["abcdef", "defghi"], "xabcdefghix"), "x***x");
        assert_eq!(redacted(&["abcd", "abcdefgh"], "abcdefgh abcd"), "*** ***");
        assert_eq!(redacted(&["abcdefgh", "abcd"], "abcdabcdefgh."), "******.");
    }

    #[test]
    fn short_values_and_other_texts_stay() {
        assert_eq!(redacted(&["abc", "1"], "abc 1 ünï"), "abc 1 ünï");
        assert_eq!(redacted(&[], "nothing"), "nothing");
    }

    proptest! {
        #[test]
        fn no_value_survives(value in "\\PC{4,20}", before in "\\PC{0,10}", after in "\\PC{0,10}") {
            let shown = redacted(&[&value], &format!("{before}{value}{after}"));
            prop_assert!(!shown.contains(&*value) || "***".contains(&*value));
        }
    }
}
