//! Numbers and lists as people say them.

/// `1 workspace`, `2 workspaces`, `1,200 workspaces`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// A number with commas between thousands.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Words separated by commas and spaces, broken into lines of at most `width` columns where a word ends.
/// A word that is longer than a line has a line of its own.
pub(crate) fn wrap<'a>(words: impl IntoIterator<Item = &'a str>, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut columns = 0;
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let length = word.chars().count() + usize::from(words.peek().is_some());
        match lines.last_mut() {
            Some(line) if columns + 1 + length <= width => {
                line.push(' ');
                columns += 1;
            }
            _ => {
                lines.push(String::new());
                columns = 0;
            }
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(word);
            if words.peek().is_some() {
                line.push(',');
            }
        }
        columns += length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lists_read_well() {
        assert_eq!(count(1, "error"), "1 error");
        assert_eq!(count(0, "error"), "0 errors");
        assert_eq!(count(1_234_567, "error"), "1,234,567 errors");
        assert_eq!(wrap(["aa", "bb", "cc"], 7), ["aa, bb,", "cc"]);
        assert_eq!(wrap(["a-very-long-one", "b"], 5), ["a-very-long-one,", "b"]);
        assert!(wrap([], 5).is_empty());
    }
}
