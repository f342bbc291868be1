//! Container images: which of two is older, as far as their tags tell.

use std::cmp::Ordering;

/// How two images of one name are to one another, by the numbers in their tags: `mageai/mageai:0.9.79` is less than
/// `mageai/mageai:0.9.80`. Nothing where the names differ, or a tag is no version.
pub fn compare(left: &str, right: &str) -> Option<Ordering> {
    let ((left_name, left), (right_name, right)) = (parts(left)?, parts(right)?);
    (left_name == right_name).then(|| left.cmp(&right))
}

/// The name and the numbers of the tag. A digest says nothing of a version, and a word behind the numbers (`0.9.80-alpine`)
/// makes another kind of image, which is part of the name.
fn parts(image: &str) -> Option<((&str, &str), Vec<u64>)> {
    let (name, tag) = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))?;
    if name.contains('@') {
        return None;
    }
    let tag = tag.strip_prefix('v').unwrap_or(tag);
    let end = tag.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(tag.len());
    let (numbers, kind) = tag.split_at(end);
    let numbers = numbers.split('.').map(|number| number.parse().ok()).collect::<Option<Vec<u64>>>()?;
    Some(((name, kind), numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_by_their_numbers() {
        for (left, right, expected) in [
            ("mageai/mageai:0.9.79", "mageai/mageai:0.9.80", Some(Ordering::Less)),
            ("mageai/mageai:0.10.0", "mageai/mageai:0.9.80", Some(Ordering::Greater)),
            ("mage:v1.2", "mage:1.2", Some(Ordering::Equal)),
            ("registry:5000/mage:1", "registry:5000/mage:2", Some(Ordering::Less)),
            ("mage:0.9.79-alpine", "mage:0.9.80-alpine", Some(Ordering::Less)),
            ("mage:0.9.79-alpine", "mage:0.9.80", None),
            ("mage:0.9.79", "other:0.9.80", None),
            ("mage:latest", "mage:0.9.80", None),
            ("mage:1..2", "mage:1.2", None),
            ("mage", "mage:1", None),
            ("registry:5000/mage", "registry:5000/mage", None),
            ("mage@sha256:00", "mage@sha256:11", None),
        ] {
            assert_eq!(compare(left, right), expected, "{left} {right}");
        }
    }
}
