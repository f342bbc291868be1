//! Finds the differences, cluster by cluster: who is declared, who is there, and whose they are.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
};

use magus_model::{
    Text,
    desired::{Cluster, Desired, branch_of},
    name::WorkspaceName,
    observed::{Mark, Observation, ObservedWorkspace, Presence, Recalled, Recollection},
    span::Sources,
};
use rayon::prelude::*;

use crate::{
    change::{Change, ChangeSet, ClusterChanges, Conflict, Removed, WorkspaceChange},
    compare::Place,
    rename::{self, Move},
};

/// Compares everything that is declared with what the clusters answered. `sources` are only asked for the origins of
/// what changes. The result does not depend on the number of threads.
pub fn diff<'a>(desired: &'a Desired, observations: &'a [Observation], sources: &Sources) -> ChangeSet<'a> {
    const NOTHING: &Recollection = &Recollection::new();
    diff_recalled(desired, observations, NOTHING, sources)
}

/// As [`diff()`], with what is known of workspaces that lost their marks.
pub fn diff_recalled<'a>(
    desired: &'a Desired,
    observations: &'a [Observation],
    recollection: &'a Recollection,
    sources: &Sources,
) -> ChangeSet<'a> {
    let clusters = desired.clusters.iter().map(|cluster| {
        let observation = observations.iter().find(|observation| observation.cluster == cluster.name);
        compare_cluster(cluster, observation, recollection.get(&cluster.name), sources)
    });
    ChangeSet { clusters: clusters.collect() }
}

fn compare_cluster<'a>(
    cluster: &'a Cluster,
    observation: Option<&'a Observation>,
    recalled: Option<&'a BTreeMap<WorkspaceName, Recalled>>,
    sources: &Sources,
) -> ClusterChanges<'a> {
    let declared: Vec<_> = cluster
        .environments
        .iter()
        .flat_map(|environment| environment.workspaces.iter().map(move |workspace| (environment, workspace)))
        .collect();
    let Some(observation) = observation else {
        let workspaces = declared.into_iter().map(|(environment, workspace)| {
            let message = format!("the cluster `{}` was not observed", cluster.name);
            WorkspaceChange { environment, workspace, change: Change::Unknown(Cow::Owned(message)) }
        });
        return ClusterChanges {
            cluster,
            observation: None,
            workspaces: workspaces.collect(),
            removed: Vec::new(),
            unmanaged: Vec::new(),
            unknown: Vec::new(),
            hints: Vec::new(),
        };
    };
    let names: HashSet<_> = declared.iter().map(|(_, workspace)| &workspace.name).collect();
    let moves = rename::find(cluster, observation, &declared, &names);
    let capabilities = &observation.capabilities;
    let all_readable = capabilities.fields.iter().all(|(_, capability)| capability.readable);
    let workspaces: Vec<_> = declared
        .into_par_iter()
        .map(|(environment, workspace)| {
            let place = Place { cluster, environment, workspace, capabilities, all_readable, sources };
            let change = match observation.presence(&workspace.name) {
                Presence::Present(observed) => {
                    place.compare(observed, recalled.and_then(|recalled| recalled.get(&observed.name)))
                }
                Presence::Unknown(reason) => Change::Unknown(Cow::Borrowed(reason)),
                Presence::Absent => match moves.get(&workspace.name) {
                    None => place.create(),
                    Some(Move::Ours(observed)) => place.compare(observed, None),
                    Some(Move::NotOurs(observed)) => {
                        Change::Conflict { observed, conflict: Conflict::MovedFrom, adoption: None }
                    }
                    Some(Move::Unknown(reason)) => Change::Unknown(Cow::Owned(reason.clone())),
                },
            };
            WorkspaceChange { environment, workspace, change }
        })
        .collect();

    let sources_of_moves: HashSet<_> = moves.values().filter_map(Move::source).collect();
    let mut removed = Vec::new();
    let mut unmanaged = Vec::new();
    let mut unknown = Vec::new();
    for observed in observation.present.values().filter(|observed| !names.contains(&observed.name)) {
        match ours(cluster, observed) {
            Some(_) if sources_of_moves.contains(&observed.name) => {}
            Some(mark) => match unknown_branch(cluster, mark) {
                Some(why) => unknown.push((&observed.name, why.as_str())),
                None => removed.push(Removed { observed, mark }),
            },
            None => unmanaged.push(observed),
        }
    }
    let unread = observation.unknown.iter().filter(|(name, _)| !names.contains(name));
    unknown.extend(unread.map(|(name, reason)| (name, reason.as_str())));
    let hints = rename::hints(&workspaces, &removed, capabilities);
    ClusterChanges { cluster, observation: Some(observation), workspaces, removed, unmanaged, unknown, hints }
}

/// Why nobody can say whether the branch of a workspace is gone.
fn unknown_branch<'a>(cluster: &'a Cluster, mark: &Mark) -> Option<&'a Text> {
    branch_of(&mark.workspace)?;
    let environment = cluster.environments.iter().find(|declared| declared.name == mark.environment)?;
    environment.branch_workspaces.as_ref()?.unknown.as_ref()
}

/// The mark, where it is ours.
pub(crate) fn ours<'a>(cluster: &Cluster, observed: &'a ObservedWorkspace) -> Option<&'a Mark> {
    observed.mark.as_ref().filter(|mark| mark.managed_by == cluster.managed_by)
}
