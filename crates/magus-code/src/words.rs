//! The words of files that may be names, in short: a name that stands somewhere in a project may be read there in a way that is not known.

/// The shortest and the longest word that is kept.
const SHORTEST: usize = 3;
const LONGEST: usize = 100;

/// The number of a text that may be a name of a variable or a secret; nothing for others. Two texts rarely have the same.
pub(crate) fn number(word: &str) -> Option<u32> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let is_name = (SHORTEST..=LONGEST).contains(&word.len()) && word.bytes().all(is_part);
    is_name.then(|| {
        // FNV-1a: the same in every build, because numbers are kept.
        word.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    })
}

/// The numbers of the words of a text, in ascending order. What follows a `#` at the start of a line is a comment.
pub(crate) fn of(text: &str) -> Vec<u32> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    // In running text, a word of small letters is no name.
    let is_name =
        |word: &&str| word.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte == b'-');
    let words = lines.flat_map(|line| line.split(move |c: char| !is_part(c))).filter(is_name);
    ordered(words.filter_map(number).collect())
}

/// In ascending order, and each once.
pub(crate) fn ordered(mut numbers: Vec<u32>) -> Vec<u32> {
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_may_be_names_are_kept() {
        for word in ["DB_HOST", "db-password", "api_key", "token"] {
            assert!(number(word).is_some(), "{word}");
        }
        for word in ["", "a", "DB HOST", "ÄÖÜ", &"A".repeat(101)] {
            assert!(number(word).is_none(), "{word}");
        }
        let kept = of("key <- Sys.getenv(\"API_KEY\")\n# OLD_KEY\nx = ${NEW_KEY} and more\n");
        // `Sys`, and the two.
        assert_eq!(kept.len(), 3);
        assert!(kept.contains(&number("API_KEY").unwrap()) && kept.contains(&number("NEW_KEY").unwrap()));
    }
}
