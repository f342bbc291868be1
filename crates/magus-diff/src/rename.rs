//! Renames: those that `moved_from` declares, and those that only look like one.

use std::collections::{BTreeMap, HashMap, HashSet};

use magus_model::{
    Text,
    desired::{Cluster, Environment, Workspace},
    name::WorkspaceName,
    observed::{Capabilities, Observation, ObservedWorkspace, Presence},
    path::FieldPath,
    value::FieldValue,
};

use crate::{
    change::{Change, Removed, RenameHint, WorkspaceChange},
    diff::ours,
    meaning::{digest, hex, is_absent, same},
};

/// What `moved_from` of a workspace that does not exist under its own name leads to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Move<'a> {
    /// A workspace of ours under its old name.
    Ours(&'a ObservedWorkspace),
    /// One that is not ours.
    NotOurs(&'a ObservedWorkspace),
    /// Nobody can say whether the old one exists; the reason.
    Unknown(String),
}

impl<'a> Move<'a> {
    /// The old name, where it is to be given up.
    pub(crate) fn source(&self) -> Option<&'a WorkspaceName> {
        match self {
            Move::Ours(observed) => Some(&observed.name),
            Move::NotOurs(_) | Move::Unknown(_) => None,
        }
    }
}

/// Finds the renames of a cluster by `moved_from`: the old name in the cluster, or else that in the declarations of
/// the same environment. A name that is still declared, or that another workspace took, is no old name.
pub(crate) fn find<'a>(
    cluster: &Cluster,
    observation: &'a Observation,
    declared: &[(&'a Environment, &'a Workspace)],
    names: &HashSet<&WorkspaceName>,
) -> HashMap<&'a WorkspaceName, Move<'a>> {
    let wishes: Vec<_> = declared
        .iter()
        .filter_map(|(environment, workspace)| {
            Some((*environment, *workspace, &workspace.moved_from.as_ref()?.0))
        })
        .filter(|(_, workspace, _)| observation.presence(&workspace.name) == Presence::Absent)
        .collect();
    if wishes.is_empty() {
        return HashMap::new();
    }
    let mut by_mark: HashMap<(&Text, &Text), Vec<&ObservedWorkspace>> = HashMap::new();
    for observed in observation.present.values() {
        if let Some(mark) = ours(cluster, observed) {
            by_mark.entry((&mark.environment, &mark.workspace)).or_default().push(observed);
        }
    }
    let mut taken = HashSet::new();
    let mut moves = HashMap::new();
    for (environment, workspace, old) in wishes {
        let name = WorkspaceName::observed(old.clone());
        let free = |name: &WorkspaceName| !names.contains(name) && !taken.contains(name);
        let marked = || {
            let candidates = by_mark.get(&(&environment.name, old))?;
            candidates.iter().copied().find(|observed| free(&observed.name)).map(Move::Ours)
        };
        let found = match observation.presence(&name) {
            Presence::Present(observed) if !free(&observed.name) => marked(),
            Presence::Present(observed) if ours(cluster, observed).is_some() => Some(Move::Ours(observed)),
            Presence::Present(observed) => marked().or(Some(Move::NotOurs(observed))),
            Presence::Absent => marked(),
            Presence::Unknown(_) if !free(&name) => marked(),
            Presence::Unknown(reason) => {
                let message = format!("its old name `{name}` is unknown: {reason}");
                marked().or(Some(Move::Unknown(message)))
            }
        };
        if let Some(found) = found {
            taken.extend(found.source().cloned());
            moves.insert(&workspace.name, found);
        }
    }
    moves
}

/// Pairs creates with workspaces of the same environment and configuration that are not declared any more.
pub(crate) fn hints<'a>(
    workspaces: &[WorkspaceChange<'a>],
    removed: &[Removed<'a>],
    capabilities: &Capabilities,
) -> Vec<RenameHint<'a>> {
    if removed.is_empty() {
        return Vec::new();
    }
    let mut free: BTreeMap<(&Text, Text), Vec<&WorkspaceName>> = BTreeMap::new();
    // The last in a list is taken first, so that they are taken in order of their names.
    for Removed { observed, mark } in removed.iter().rev() {
        let key = fingerprint(observed.fields.iter().map(|field| (&field.path, &field.value)), capabilities);
        free.entry((&mark.environment, key)).or_default().push(&observed.name);
    }
    let creates = workspaces.iter().filter(|change| matches!(change.change, Change::Create(_)));
    creates
        .filter_map(|WorkspaceChange { environment, workspace, .. }| {
            let key =
                fingerprint(workspace.fields.iter().map(|field| (&field.path, &field.value)), capabilities);
            let from = free.get_mut(&(&environment.name, key))?.pop()?;
            Some(RenameHint { to: &workspace.name, from })
        })
        .collect()
}

/// One digest for a whole configuration, as far as it can be seen: without the server's defaults, and without what
/// cannot be read back. When it was restarted last says nothing about what it is.
fn fingerprint<'a>(
    fields: impl Iterator<Item = (&'a FieldPath, &'a FieldValue)>,
    capabilities: &Capabilities,
) -> Text {
    let is_default = |path: &FieldPath, value: &FieldValue| {
        let default = capabilities.defaults.get(path).map(|default| FieldValue::Plain(default.clone()));
        default.is_some_and(|default| same(path, &default, value))
    };
    let mut bytes = Vec::new();
    for (path, value) in fields {
        let silent = path.as_str() == "restarted_at" || is_absent(path, value) || is_default(path, value);
        if !silent && capabilities.of(path).readable {
            bytes.extend_from_slice(path.as_str().as_bytes());
            bytes.push(0);
            bytes.extend_from_slice(digest(path, value).as_bytes());
        }
    }
    hex(&bytes)
}
