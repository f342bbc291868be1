//! References between variables, `$(NAME)`, as Kubernetes expands them (`third_party/forked/golang/expansion` of kubelet).
//!
//! A variable refers only to those that stand before it in the list of the container, in which Mage's own come first (MAGE.md 4.7), and to
//! those of Services. What `envFrom` gives, and what the image sets, is not expanded. `$$` stands for `$`; what does not expand stays as it is.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use crate::effort;

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text that stands for itself.
    Text(&'a str),
    /// `$$`, which stands for `$`.
    Escape,
    /// `$(NAME)`, without its signs.
    Reference(&'a str),
}

/// Returns the parts of a text, in order.
pub fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    let mut may_close = true;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let sign = rest.find('$').unwrap_or(rest.len());
        effort::spend(sign + 1);
        if sign > 0 {
            let (before, after) = rest.split_at(sign);
            rest = after;
            return Some(Piece::Text(before));
        }
        match rest.as_bytes().get(1) {
            Some(b'$') => {
                rest = &rest[2..];
                Some(Piece::Escape)
            }
            Some(b'(') => {
                let close = if may_close { rest.find(')') } else { None };
                effort::spend(close.unwrap_or(if may_close { rest.len() } else { 1 }));
                let Some(close) = close else {
                    // Nothing behind it closes either, so that no later scan is needed.
                    may_close = false;
                    let (open, after) = rest.split_at(2);
                    rest = after;
                    return Some(Piece::Text(open));
                };
                let name = &rest[2..close];
                rest = &rest[close + 1..];
                Some(Piece::Reference(name))
            }
            _ => {
                let (sign, after) = rest.split_at(1);
                rest = after;
                Some(Piece::Text(sign))
            }
        }
    })
}

/// Returns the names that a text refers to, in order. What cannot be the name of a variable, as in `$(date +%F)`, is text.
pub fn references(text: &str) -> impl Iterator<Item = &str> {
    let may_refer = text.contains("$(");
    pieces(if may_refer { text } else { "" }).filter_map(|piece| match piece {
        Piece::Reference(name) if is_name(name) => Some(name),
        _ => None,
    })
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// Expands a text with the values that `value` gives; what it gives no value for stays as it is.
pub fn expand<'a>(text: &'a str, value: impl Fn(&str) -> Option<&'a str>) -> Cow<'a, str> {
    if !text.contains("$$") && !text.contains("$(") {
        return Cow::Borrowed(text);
    }
    let mut expanded = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => expanded.push_str(text),
            Piece::Escape => expanded.push('$'),
            Piece::Reference(name) => match value(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.extend(["$(", name, ")"]),
            },
        }
    }
    Cow::Owned(expanded)
}

/// Names in an order in which each follows those that it refers to, and the circles that have none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ordered<'a> {
    /// All names: alphabetical, but what one refers to comes right before it.
    pub names: Vec<&'a str>,
    /// Names that refer to one another in a circle, each circle in the order of its references; the first few.
    pub circles: Vec<Vec<&'a str>>,
}

/// So many circles are told.
const MOST_CIRCLES: usize = 16;

/// Orders variables by what each refers to. No recursion: a chain may be as long as there are variables.
pub fn order<'a>(variables: &BTreeMap<&'a str, Vec<&'a str>>) -> Ordered<'a> {
    let mut ordered = Ordered { names: Vec::with_capacity(variables.len()), circles: Vec::new() };
    // Whether a name is done; one that is not is on the way to another one.
    let mut done: HashMap<&str, bool> = HashMap::with_capacity(variables.len());
    for name in variables.keys() {
        if done.contains_key(name) {
            continue;
        }
        done.insert(name, false);
        let mut open: Vec<(&'a str, usize)> = vec![(name, 0)];
        while let Some((name, next)) = open.last_mut() {
            effort::spend(1);
            let Some(reference) = variables.get(name).and_then(|references| references.get(*next)) else {
                done.insert(name, true);
                ordered.names.push(name);
                open.pop();
                continue;
            };
            *next += 1;
            match done.get(reference) {
                Some(true) => {}
                Some(false) if ordered.circles.len() < MOST_CIRCLES => {
                    let from = open.iter().position(|(name, _)| name == reference).unwrap_or(0);
                    ordered.circles.push(open[from..].iter().map(|(name, _)| *name).collect());
                }
                Some(false) => {}
                None if variables.contains_key(reference) => {
                    done.insert(reference, false);
                    open.push((reference, 0));
                }
                None => {}
            }
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_expand_as_kubelet_expands_them() {
        for (text, expected) in [
            ("", ""),
            ("$(A)", "1"),
            ("$(A)$(B)/$(A)", "12/1"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$$$$(A)", "$$(A)"),
            ("$(GONE)", "$(GONE)"),
            ("$(A", "$(A"),
            ("$($(A)", "$($(A)"),
            ("$A ${A} $", "$A ${A} $"),
            ("a$$b", "a$b"),
            ("$()", "$()"),
            ("$(date +%F) $(A)", "$(date +%F) 1"),
            ("ü$(A)ü", "ü1ü"),
        ] {
            let value = |name: &str| match name {
                "A" => Some("1"),
                "B" => Some("2"),
                _ => None,
            };
            assert_eq!(expand(text, value), expected, "{text}");
        }
        assert_eq!(references("$(A) $$(B) $(date +%F) $(1) $(_c.d-e)").collect::<Vec<_>>(), ["A", "_c.d-e"]);
    }

    #[test]
    fn what_is_referred_to_comes_first_and_the_rest_is_alphabetical() {
        let variables =
            |all: &[(&'static str, &[&'static str])]| -> BTreeMap<&'static str, Vec<&'static str>> {
                all.iter().map(|(name, references)| (*name, references.to_vec())).collect()
            };
        let of = |all| order(&variables(all));
        assert_eq!(of(&[("C", &[]), ("A", &[]), ("B", &[])]).names, ["A", "B", "C"]);
        let url =
            of(&[("DATABASE_URL", &["DB_USER", "DB_PASS", "GONE"]), ("DB_PASS", &[]), ("DB_USER", &[])]);
        assert_eq!(url.names, ["DB_USER", "DB_PASS", "DATABASE_URL"]);
        assert_eq!(of(&[("A", &["B"]), ("B", &["C"]), ("C", &[])]).names, ["C", "B", "A"]);
        let circle = of(&[("A", &["B"]), ("B", &["A"]), ("C", &["C"])]);
        assert_eq!(circle.circles, [vec!["A", "B"], vec!["C"]]);
        assert_eq!(circle.names.len(), 3);
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_is_ordered() {
        let names: Vec<String> = (0..100_000).map(|number| format!("V{number:06}")).collect();
        let mut variables: BTreeMap<&str, Vec<&str>> =
            names.windows(2).map(|pair| (pair[0].as_str(), vec![pair[1].as_str()])).collect();
        variables.insert(&names[99_999], Vec::new());
        assert_eq!(order(&variables).names.first(), Some(&names[99_999].as_str()));
    }
}
