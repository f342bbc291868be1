//! Patterns of names, in which `*` stands for any text.

/// Whether a pattern names this.
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(name) = name.strip_prefix(start).and_then(|name| name.strip_suffix(end)) else { return false };
    // The first place of each part leaves the most for those after it.
    let mut rest = name;
    middle.split('*').all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, expected) in [
            ("A", "A", true),
            ("A", "AB", false),
            ("A*", "A", true),
            ("A*", "AB", true),
            ("A*", "BA", false),
            ("*_KEY", "API_KEY", true),
            ("*_KEY", "API_KEYS", false),
            ("A*B*C", "A1B2BC", true),
            ("A*B*C", "A1C2B", false),
            ("*", "", true),
            ("A*A", "A", false),
            ("A**B", "AB", true),
            ("*A*A*A*A*A*A*A*A*A*A*A*B", &"A".repeat(200), false),
            ("", "A", false),
            ("feature/*", "feature/x/y", true),
            ("feature/*", "feature", false),
            ("*-wip", "x-wip-not", false),
            ("a*ab", "ab", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
