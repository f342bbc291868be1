//! Unknown workspaces by what they are unknown for: one cause is one message, however many workspaces it is about.

use std::{borrow::Cow, collections::BTreeMap};

use magus_model::plan::Unknown;

/// What stands for the name of each workspace in a message that is about several.
const ANY: &str = "NAME";

/// So many names are listed where all of them would be too many.
pub(crate) const SHOWN: usize = 10;

/// A cause, and the workspaces of one cluster that are unknown for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cause<'a> {
    pub(crate) cluster: &'a str,
    /// With `NAME` for the names of the workspaces, if there are several.
    pub(crate) message: Cow<'a, str>,
    pub(crate) names: Vec<&'a str>,
}

impl Cause<'_> {
    /// The first names, as `show` writes each, and how many more there are.
    pub(crate) fn listed(&self, show: impl Fn(&str) -> String) -> String {
        listed(&self.names, show)
    }
}

/// The first names, as `show` writes each, and how many more there are.
pub(crate) fn listed(names: &[&str], show: impl Fn(&str) -> String) -> String {
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| show(name)).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The causes, ordered by cluster and message.
pub(crate) fn causes(unknown: &[Unknown]) -> Vec<Cause<'_>> {
    let mut causes: BTreeMap<(&str, Cow<'_, str>), Vec<&Unknown>> = BTreeMap::new();
    for one in unknown {
        let message = general(&one.message, one.workspace.as_str());
        causes.entry((one.cluster.as_str(), message)).or_default().push(one);
    }
    causes
        .into_iter()
        .map(|((cluster, general), about)| Cause {
            cluster,
            message: match about.as_slice() {
                [only] => Cow::Borrowed(only.message.as_str()),
                _ => general,
            },
            names: about.iter().map(|one| one.workspace.as_str()).collect(),
        })
        .collect()
}

/// A message with `NAME` for the name of the workspace that it is about.
pub(crate) fn general<'a>(message: &'a str, name: &str) -> Cow<'a, str> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let is_apart = |at: usize| {
        !message[..at].chars().next_back().is_some_and(is_part)
            && !message[at + name.len()..].chars().next().is_some_and(is_part)
    };
    if name.is_empty() || !message.contains(name) {
        return Cow::Borrowed(message);
    }
    let mut out = String::with_capacity(message.len());
    let mut end = 0;
    for (at, _) in message.match_indices(name).filter(|(at, _)| is_apart(*at)) {
        out.push_str(&message[end..at]);
        out.push_str(ANY);
        end = at + name.len();
    }
    out.push_str(&message[end..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use magus_model::name::WorkspaceName;

    use super::*;

    fn unknown(name: &str, message: &str) -> Unknown {
        Unknown {
            cluster: "acme".into(),
            workspace: WorkspaceName::observed(name),
            message: message.to_owned(),
            cause: magus_model::plan::UnknownCause::Workspace,
        }
    }

    #[test]
    fn one_cause_is_one_message_with_every_name() {
        let all = [
            unknown("a", "`GET /sets/a` timed out"),
            unknown("a-b", "`GET /sets/a-b` timed out"),
            unknown("c", "its record is damaged"),
            unknown("d", "`GET /sets/d` is refused"),
        ];
        let told: Vec<String> = causes(&all)
            .iter()
            .map(|cause| format!("{}: {}", cause.names.join(","), cause.message))
            .collect();
        assert_eq!(
            told,
            ["d: `GET /sets/d` is refused", "a,a-b: `GET /sets/NAME` timed out", "c: its record is damaged"]
        );
    }

    #[test]
    fn many_names_are_counted() {
        let all: Vec<Unknown> = (10..23).map(|number| unknown(&format!("w{number}"), "down")).collect();
        let [cause] = &causes(&all)[..] else { panic!("one cause") };
        assert_eq!(
            cause.listed(str::to_owned),
            "w10, w11, w12, w13, w14, w15, w16, w17, w18, w19 and 3 more"
        );
    }
}
