//! The order of promotion: `promotes_from` of every environment, over all clusters.

use std::collections::BTreeMap;

use magus_model::{
    Text,
    diagnostic::Diagnostic,
    rules,
    span::Span,
    tree::{Node, NodeKind},
};

use crate::{directory::Directory, suggest};

/// An environment's place in the order of promotion.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Stage {
    /// How many stages come before; 0 for a first one.
    pub(crate) depth: u32,
    /// The stage before, where it exists.
    pub(crate) promotes_from: Option<Text>,
    /// Whether it begins a chain of at least two stages.
    pub(crate) first: bool,
    /// Whether it ends one.
    pub(crate) last: bool,
}

/// The places of all environments, in the order of [`Directory::environments`], and what is wrong with them.
pub(crate) fn order(directory: &Directory<'_>, findings: &mut Vec<Diagnostic>) -> Vec<Stage> {
    let environments = &directory.environments;
    let index: BTreeMap<&str, usize> =
        environments.iter().enumerate().map(|(at, folder)| (folder.name.as_str(), at)).collect();
    let declared: Vec<Option<(&Text, Span)>> = environments
        .iter()
        .map(|folder| {
            let value = folder.environment?.root.as_ref()?.get("promotes_from")?;
            match value {
                Node { kind: NodeKind::String(name), span } => Some((name, *span)),
                _ => None,
            }
        })
        .collect();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(environments.len());
    for entry in &declared {
        let found = entry.and_then(|(name, span)| {
            let found = index.get(name.as_str()).copied();
            if found.is_none() {
                let none = "there is no other environment";
                findings.push(
                    Diagnostic::new(&rules::UNKNOWN_STAGE, span, format!("there is no environment `{name}`"))
                        .help(suggest::help(name, index.keys().copied(), none)),
                );
            }
            found
        });
        before.push(found);
    }
    cut_circles(directory, &declared, &mut before, findings);
    gaps(directory, &declared, &before, findings);

    let follows = |at: usize| before.contains(&Some(at));
    (0..environments.len())
        .map(|at| Stage {
            depth: u32::try_from(std::iter::successors(before[at], |stage| before[*stage]).count())
                .unwrap_or(0),
            promotes_from: before[at].map(|stage| environments[stage].name.clone()),
            first: before[at].is_none() && follows(at),
            last: before[at].is_some() && !follows(at),
        })
        .collect()
}

/// Reports each circle once, at its first environment, and cuts it there.
fn cut_circles(
    directory: &Directory<'_>,
    declared: &[Option<(&Text, Span)>],
    before: &mut [Option<usize>],
    findings: &mut Vec<Diagnostic>,
) {
    for start in 0..before.len() {
        let mut path = vec![start];
        while let Some(next) = path.last().and_then(|at| before[*at]) {
            if next == start {
                let names: Vec<String> = path
                    .iter()
                    .chain([&start])
                    .map(|at| format!("`{}`", directory.environments[*at].name))
                    .collect();
                let span = declared[start].map_or(Span::BUILT_IN, |(_, span)| span);
                let mut finding = Diagnostic::new(
                    &rules::STAGE_CYCLE,
                    span,
                    format!("`promotes_from` leads in a circle: {}", names.join(" ← ")),
                )
                .help("remove `promotes_from` from the first stage");
                for (at, name) in path.iter().zip(&names).skip(1) {
                    let span = declared[*at].map_or(Span::BUILT_IN, |(_, span)| span);
                    finding = finding.related(span, format!("{name} is part of the circle"));
                }
                findings.push(finding);
                before[start] = None;
                break;
            }
            if path.contains(&next) {
                break;
            }
            path.push(next);
        }
    }
}

/// Where some environments promote, one that does not is probably forgotten.
fn gaps(
    directory: &Directory<'_>,
    declared: &[Option<(&Text, Span)>],
    before: &[Option<usize>],
    findings: &mut Vec<Diagnostic>,
) {
    let environments = &directory.environments;
    let ordered = before.iter().flatten().count() > 0;
    let unread = environments.iter().any(|folder| folder.environment.is_some_and(|file| file.root.is_none()));
    if environments.len() < 2 || !ordered || unread {
        return;
    }
    for (at, folder) in environments.iter().enumerate() {
        let stands_alone = declared[at].is_none() && !before.contains(&Some(at));
        if stands_alone && folder.span() != Span::BUILT_IN {
            findings.push(
                Diagnostic::new(
                    &rules::STAGE_GAP,
                    folder.span(),
                    format!(
                        "environment `{}` neither promotes from another nor is promoted from",
                        folder.name
                    ),
                )
                .help("name the stage before it with `promotes_from`"),
            );
        }
    }
}
