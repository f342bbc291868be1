//! What was probably meant.

use magus_model::effort;

/// A longer word is compared with no key: comparing costs the product of both lengths.
const LONGEST: usize = 128;

/// The one word among `words` that `written` is most likely to be; nothing where several are as likely, or none is.
pub(crate) fn word<'w>(written: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    if written.len() > LONGEST {
        return None;
    }
    let folded = fold(written);
    let allowed = (folded.chars().count() / 3).clamp(1, 3);
    let mut best: Option<(usize, &str)> = None;
    let mut tied = false;
    for candidate in words {
        let candidate_folded = fold(candidate);
        effort::spend(1 + folded.len());
        // A character has at most four bytes.
        if folded.len().abs_diff(candidate_folded.len()) / 4 > allowed {
            continue;
        }
        let distance = strsim::osa_distance(&folded, &candidate_folded);
        // A word of two letters is one letter away from too many others.
        if distance > allowed || (distance > 0 && candidate.len() < 3) {
            continue;
        }
        match best {
            Some((shortest, _)) if distance > shortest => {}
            Some((shortest, _)) if distance == shortest => tied = true,
            _ => (best, tied) = (Some((distance, candidate)), false),
        }
    }
    best.filter(|_| !tied).map(|(_, candidate)| candidate)
}

/// Whether two words differ in nothing but case, `_` and `-`.
pub(crate) fn is_same(written: &str, word: &str) -> bool {
    written.len() <= LONGEST && fold(written) == fold(word)
}

fn fold(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn the_likely_word_is_found() {
        let keys = ["image", "imagePullPolicy", "env", "envFrom", "container_config", "name", "url", "to"];
        for (written, meant) in [
            ("imge", Some("image")),
            ("containerConfig", Some("container_config")),
            ("conatiner_config", Some("container_config")),
            ("Image", Some("image")),
            ("enf", Some("env")),
            ("ot", None),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(word(written, keys), meant, "{written}");
        }
        assert_eq!(word("stat", ["state", "start"]), None, "both are one letter away");
    }
}
