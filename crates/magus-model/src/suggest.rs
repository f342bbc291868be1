//! "Did you mean": the known name that a misspelt one is closest to.

/// The candidate that `name` was probably meant to be; nothing where none is close.
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let tolerated = name.chars().count().div_ceil(3).clamp(1, 4) * 2;
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= tolerated)
        .min_by_key(|(distance, candidate)| (*distance, *candidate))
        .map(|(_, candidate)| candidate)
}

/// Whether one name may be a slip of the pen for the other: two edits at most.
pub fn is_slip(a: &str, b: &str) -> bool {
    distance(a, b) <= 4
}

/// Twice the edits between two names; a difference of case alone counts half of one, so that it wins over any other,
/// and an abbreviation of three letters or more counts one.
fn distance(a: &str, b: &str) -> usize {
    if a.eq_ignore_ascii_case(b) {
        usize::from(a != b)
    } else if a.len() >= 3 && b.starts_with(a) {
        2
    } else {
        2 * strsim::damerau_levenshtein(a, b)
    }
}

/// The help for a name that does not exist: the closest one, else all there are.
pub fn help<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str> + Clone, none: &str) -> String {
    if let Some(candidate) = closest(name, candidates.clone()) {
        return format!("did you mean `{candidate}`?");
    }
    let mut known: Vec<String> = candidates.into_iter().map(|name| format!("`{name}`")).collect();
    known.sort();
    let more = known.len().saturating_sub(10);
    known.truncate(10);
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
