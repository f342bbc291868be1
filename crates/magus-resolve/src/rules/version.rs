//! MG113: whether a version of Magus is one that `requires` asks for.

/// A version: major, minor, patch.
type Version = [u64; 3];

/// Whether `version` satisfies `requires`: comparisons separated by commas, such as `>=0.1, <0.3`. Without an
/// operator, a version stands for all that begin with it: `0.1` for every `0.1.z`. Nothing where the text is no
/// requirement.
pub(crate) fn satisfies(requires: &str, version: &str) -> Option<bool> {
    let (version, _) = parse(version.split(['-', '+']).next()?)?;
    let mut all = true;
    for part in requires.split(',') {
        let part = part.trim();
        let digits = part.find(|c: char| c.is_ascii_digit())?;
        let (operator, wanted) = part.split_at(digits);
        let (lowest, given) = parse(wanted)?;
        let beyond = next(lowest, given - 1);
        all &= match operator.trim_end() {
            ">=" => version >= lowest,
            ">" => version >= beyond,
            "<" => version < lowest,
            "<=" => version < beyond,
            "=" | "==" | "" => version >= lowest && version < beyond,
            "~" => version >= lowest && version < next(lowest, given.min(2) - 1),
            "^" => {
                let first = lowest[..given].iter().position(|number| *number > 0).unwrap_or(given - 1);
                version >= lowest && version < next(lowest, first)
            }
            _ => return None,
        };
    }
    Some(all)
}

/// A version with up to three numbers, and how many were given.
fn parse(text: &str) -> Option<(Version, usize)> {
    let mut version = [0; 3];
    let mut given = 0;
    for number in text.split('.') {
        let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        *version.get_mut(given)? = number.parse().ok().filter(|_| plain)?;
        given += 1;
    }
    Some((version, given))
}

/// The first version after all that agree with `version` up to the number at `at`.
fn next(version: Version, at: usize) -> Version {
    let mut next = [0; 3];
    next[..=at].copy_from_slice(&version[..=at]);
    next[at] = next[at].saturating_add(1);
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements() {
        for (requires, version, expected) in [
            (">=0.1", "0.1.0", true),
            (">=0.2", "0.1.9", false),
            (">= 0.1, < 0.3", "0.2.5", true),
            (">=0.1,<0.3", "0.3.0", false),
            (">0.1", "0.1.9", false),
            (">0.1", "0.2.0", true),
            ("<=0.1", "0.1.9", true),
            ("<=0.1.1", "0.1.2", false),
            ("0.1", "0.1.7", true),
            ("=0.1", "0.2.0", false),
            ("0.1.0", "0.1.1", false),
            ("^0.1", "0.1.9", true),
            ("^0.1", "0.2.0", false),
            ("^1.2", "1.9.0", true),
            ("^1.2", "2.0.0", false),
            ("^0.0.3", "0.0.4", false),
            ("~1.2.3", "1.2.9", true),
            ("~1.2.3", "1.3.0", false),
            (">=0.1", "0.1.0-dev+abc", true),
        ] {
            assert_eq!(satisfies(requires, version), Some(expected), "{requires} {version}");
        }
        for requires in ["", "latest", ">=", ">=0.1 <0.3", "!0.1", "0.1.2.3", ">=0.x", "0.1,", ">= v1"] {
            assert_eq!(satisfies(requires, "0.1.0"), None, "{requires}");
        }
    }
}
