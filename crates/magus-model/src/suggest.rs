//! "Did you mean": the known name that a misspelt one is closest to.

use std::collections::BTreeSet;

use crate::effort;

/// A longer name is compared with no other: comparing costs the product of both lengths.
const LONGEST: usize = 128;
/// Only so many candidates are compared with a name, so that many misspelt names among many known ones are told in time.
const MOST_CANDIDATES: usize = 1_000;

/// The candidate that `name` was probably meant to be; nothing where none is close.
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    let tolerated = name.chars().count().div_ceil(3).clamp(1, 4) * 2;
    candidates
        .into_iter()
        .take(MOST_CANDIDATES)
        .filter_map(|candidate| Some((distance(name, candidate, tolerated)?, candidate)))
        .filter(|(distance, _)| *distance <= tolerated)
        .min_by_key(|(distance, candidate)| (*distance, *candidate))
        .map(|(_, candidate)| candidate)
}

/// Whether one name may be a slip of the pen for the other: two edits at most.
pub fn is_slip(a: &str, b: &str) -> bool {
    distance(a, b, 4).is_some_and(|distance| distance <= 4)
}

/// Twice the edits between two names; a difference of case alone counts half of one, so that it wins over any other,
/// and an abbreviation of three letters or more counts one. Returns nothing for names of which the lengths alone are further apart than
/// `tolerated`, or that are too long.
fn distance(a: &str, b: &str, tolerated: usize) -> Option<usize> {
    effort::spend(1);
    if a.eq_ignore_ascii_case(b) {
        return Some(usize::from(a != b));
    }
    if a.len() >= 3 && b.starts_with(a) {
        return Some(2);
    }
    // A character has at most four bytes.
    if 2 * (a.len().abs_diff(b.len()) / 4) > tolerated || a.len().max(b.len()) > LONGEST {
        return None;
    }
    effort::spend(a.len() * b.len());
    Some(2 * strsim::damerau_levenshtein(a, b))
}

/// So many known names are listed, and so much of each is shown, in characters.
const MOST_LISTED: usize = 10;
const LONGEST_LISTED: usize = 80;

fn shown(name: &str) -> &str {
    name.char_indices().nth(LONGEST_LISTED).map_or(name, |(end, _)| &name[..end])
}

/// The help for a name that does not exist: the closest one, else all there are.
pub fn help<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str> + Clone, none: &str) -> String {
    if let Some(candidate) = closest(name, candidates.clone()) {
        return format!("did you mean `{candidate}`?");
    }
    let mut first: BTreeSet<&str> = BTreeSet::new();
    let mut more = 0_usize;
    for candidate in candidates {
        if first.insert(candidate) && first.len() > MOST_LISTED {
            first.pop_last();
            more += 1;
        }
    }
    let known: Vec<String> = first.iter().map(|name| format!("`{}`", shown(name))).collect();
    match (known.is_empty(), more) {
        (true, _) => none.to_owned(),
        (false, 0) => format!("there are {}", known.join(", ")),
        (false, more) => format!("there are {} and {more} more", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_found_and_far_ones_are_not() {
        assert_eq!(closest("larg", ["large", "small"]), Some("large"));
        assert_eq!(closest("Large", ["large", "barge"]), Some("large"));
        assert_eq!(closest("prod", ["production", "development"]), Some("production"));
        assert_eq!(closest("gpu", ["large", "small"]), None);
        assert_eq!(closest("", []), None);
        assert!(is_slip("API_TOKN", "API_TOKEN") && !is_slip("SNOW_PASSWORD", "DB_PASSWORD"));
        assert_eq!(help("gpu", ["small", "large"], "none"), "there are `large`, `small`");
        assert_eq!(help("gpu", [], "there is none"), "there is none");
    }
}
