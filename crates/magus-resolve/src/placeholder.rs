//! Placeholders in string values: `${workspace}`, `${environment}`, `${cluster}`, `${branch}`, and `${branch_slug}` where a
//! workspace comes with its branch.
//!
//! `$${` stands for a literal `${`. What is not one of these is left as it is; whether that is a fault is the
//! caller's to say, because commands have `${…}` of their own.

use std::borrow::Cow;

use magus_model::effort;

/// The placeholders that are known.
pub(crate) const KNOWN: [&str; 4] = ["workspace", "environment", "cluster", "branch"];

/// The placeholder that is known where a workspace comes with its branch.
pub(crate) const BRANCH_SLUG: &str = "branch_slug";

/// What placeholders stand for; nothing where the value is not known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Variables<'a> {
    /// The workspace's name in the declarations.
    pub(crate) workspace: Option<&'a str>,
    /// The environment.
    pub(crate) environment: Option<&'a str>,
    /// The cluster's name.
    pub(crate) cluster: Option<&'a str>,
    /// The branch that is deployed.
    pub(crate) branch: Option<&'a str>,
    /// The branch as a part of a name, where the workspace comes with it.
    pub(crate) branch_slug: Option<&'a str>,
}

impl<'a> Variables<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        match name {
            "workspace" => self.workspace,
            "environment" => self.environment,
            "cluster" => self.cluster,
            "branch" => self.branch,
            BRANCH_SLUG => self.branch_slug,
            _ => None,
        }
    }
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Text that stands for itself.
    Text(&'a str),
    /// `${name}`, as it is written.
    Placeholder { name: &'a str, written: &'a str },
    /// A `${` that nothing closes before the next one; it stands for itself.
    Open(&'a str),
}

/// Whether filling in could change the text at all.
pub(crate) fn has_any(text: &str) -> bool {
    // Most texts have no `$` at all, and one byte is found faster than two.
    text.contains('$') && text.contains("${")
}

/// The parts of a text, in order.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(at) = rest.find("${") else {
            return Some(Piece::Text(std::mem::take(&mut rest)));
        };
        if at > 0 && rest.as_bytes()[at - 1] == b'$' {
            if at > 1 {
                let (before, after) = rest.split_at(at - 1);
                rest = after;
                return Some(Piece::Text(before));
            }
            let literal = &rest[1..3];
            rest = &rest[3..];
            return Some(Piece::Text(literal));
        }
        if at > 0 {
            let (before, after) = rest.split_at(at);
            rest = after;
            return Some(Piece::Text(before));
        }
        let Some(end) = closing(rest) else {
            let (open, after) = rest.split_at(2);
            rest = after;
            return Some(Piece::Open(open));
        };
        let (written, after) = rest.split_at(end + 1);
        rest = after;
        Some(Piece::Placeholder { name: &written[2..end], written })
    })
}

/// The `}` that closes the `${` at the beginning of a text. The search ends at the next `${`, so that a text of nothing but `${` is
/// read once.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 2;
    let found = loop {
        match bytes.get(at) {
            Some(b'}') => break Some(at),
            Some(b'$') if bytes.get(at + 1) == Some(&b'{') => break None,
            Some(_) => at += 1,
            None => break None,
        }
    };
    effort::spend(at);
    found
}

/// Fills in what is known and leaves the rest as it is.
pub(crate) fn fill<'a>(text: &'a str, variables: &Variables<'_>) -> Cow<'a, str> {
    if !has_any(text) {
        return Cow::Borrowed(text);
    }
    let mut filled = String::with_capacity(text.len() + 16);
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) | Piece::Open(text) => filled.push_str(text),
            Piece::Placeholder { name, written } => filled.push_str(variables.get(name).unwrap_or(written)),
        }
    }
    Cow::Owned(filled)
}

/// Whether a text has this placeholder.
pub(crate) fn uses(text: &str, name: &str) -> bool {
    has_any(text)
        && pieces(text).any(|piece| matches!(piece, Piece::Placeholder { name: found, .. } if found == name))
}

/// The text that fills in to `text`.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if has_any(text) { Cow::Owned(text.replace("${", "$${")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: Variables<'_> = Variables {
        workspace: Some("ana"),
        environment: Some("development"),
        cluster: Some("acme"),
        branch: Some("main"),
        branch_slug: Some("main-slug"),
    };

    #[test]
    fn known_ones_are_filled_in_and_the_rest_is_left() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("${workspace}-${environment}", "ana-development"),
            ("${cluster}/${branch}/", "acme/main/"),
            ("$${workspace}", "${workspace}"),
            ("a$${HOME}b${workspace}", "a${HOME}bana"),
            ("$$${workspace}", "$${workspace}"),
            ("${HOME}", "${HOME}"),
            ("${workspace", "${workspace"),
            ("${HOME:-${workspace}}", "${HOME:-ana}"),
            ("${}${ workspace }", "${}${ workspace }"),
            ("$workspace {workspace} $", "$workspace {workspace} $"),
            ("ü${workspace}ü", "üanaü"),
        ] {
            assert_eq!(fill(text, &ALL), expected, "{text}");
        }
        assert_eq!(fill("${branch}", &Variables { branch: None, ..ALL }), "${branch}");
    }

    proptest! {
        #[test]
        fn any_text_can_be_filled_and_an_escaped_one_comes_back(text in "[$a-c{}ü]{0,24}|\\PC{0,24}") {
            let _ = fill(&text, &ALL);
            let whole: String = pieces(&text).map(|piece| match piece {
                Piece::Text(text) | Piece::Open(text) => text,
                Piece::Placeholder { written, .. } => written,
            }).collect();
            prop_assert_eq!(whole, text.replace("$${", "${"));
        }

        #[test]
        fn an_escaped_text_comes_back(text in "[a-c{}ü]{0,6}(\\$\\{[a-z]{0,9}\\}?[a-c{}]{0,4}){0,4}") {
            let escaped = escape(&text);
            prop_assert_eq!(fill(&escaped, &ALL), text.as_str());
        }
    }
}
