//! Names in the cluster.

use serde::{Deserialize, Serialize};

use crate::Text;

/// The longest name of a workspace, in bytes: its pods carry NAME plus 11 characters in the label
/// `controller-revision-hash`, and a label holds 63 (MAGE.md 4.13).
pub const LONGEST_WORKSPACE_NAME: usize = 52;

/// A workspace's name in the cluster: `^[a-z]([-a-z0-9]*[a-z0-9])?$`, at most [`LONGEST_WORKSPACE_NAME`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkspaceName(Text);

/// Why a text is no name of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameFault {
    /// Nothing is left after filling in.
    Empty,
    /// More than [`LONGEST_WORKSPACE_NAME`] bytes.
    TooLong,
    /// A character that a name cannot have at its place.
    Character(char),
}

impl WorkspaceName {
    /// Checks a name that is to be declared.
    ///
    /// # Errors
    /// The first fault of the text.
    pub fn parse(text: &str) -> Result<Self, NameFault> {
        check(text, LONGEST_WORKSPACE_NAME).map(|()| Self(text.into()))
    }

    /// A name that an engine reported. It may break the rule, because Mage checks no names (MAGE.md 4.13).
    pub fn observed(text: impl Into<Text>) -> Self {
        Self(text.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks a name by the same rule with another length, as for environments and clusters.
///
/// # Errors
/// The first fault of the text.
pub fn check(text: &str, longest: usize) -> Result<(), NameFault> {
    let (Some(first), Some(last)) = (text.chars().next(), text.chars().next_back()) else {
        return Err(NameFault::Empty);
    };
    if !first.is_ascii_lowercase() {
        return Err(NameFault::Character(first));
    }
    let wrong = |c: &char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-');
    if let Some(c) = text.chars().find(wrong) {
        return Err(NameFault::Character(c));
    }
    if last == '-' {
        return Err(NameFault::Character('-'));
    }
    if text.len() > longest { Err(NameFault::TooLong) } else { Ok(()) }
}

impl std::fmt::Display for WorkspaceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule() {
        for good in ["a", "a1", "analytics-production", &"a".repeat(52)] {
            assert!(WorkspaceName::parse(good).is_ok(), "{good}");
        }
        for (bad, fault) in [
            ("", NameFault::Empty),
            ("1a", NameFault::Character('1')),
            ("-a", NameFault::Character('-')),
            ("a-", NameFault::Character('-')),
            ("a_b", NameFault::Character('_')),
            ("A", NameFault::Character('A')),
            ("../evil", NameFault::Character('.')),
            ("ä", NameFault::Character('ä')),
            (&"a".repeat(53), NameFault::TooLong),
        ] {
            assert_eq!(WorkspaceName::parse(bad), Err(fault), "{bad}");
        }
    }
}
