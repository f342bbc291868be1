//! What the histories and the marks say of the past: which workspaces without a mark are ours, and which newer declarations were
//! applied.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use magus_diff::{Change, ChangeSet};
use magus_load::{LoadError, Standing};
use magus_model::{
    Text,
    desired::{Cluster, Desired},
    history::{Entry, EntryStep, Operation},
    name::WorkspaceName,
    observed::{Evidence, Observation, ObservedWorkspace, Recalled, Recollection},
    plan::{Action, Source},
    report::Outcome,
};
use magus_plan::Newer;

use crate::{arguments::Global, history};

/// The entries of a cluster, oldest first, or why they cannot be read.
type History = Result<Vec<Entry>, Text>;

/// The histories of clusters, each read when it is first asked for.
pub struct Histories<'a> {
    global: &'a Global,
    read: RefCell<BTreeMap<Text, Rc<History>>>,
}

impl<'a> Histories<'a> {
    /// Nothing is read yet.
    pub fn new(global: &'a Global) -> Self {
        Self { global, read: RefCell::default() }
    }

    /// The entries of a cluster, oldest first, or why they cannot be read.
    fn of(&self, cluster: &Cluster) -> Rc<History> {
        let known = self.read.borrow().get(&cluster.name).cloned();
        known.unwrap_or_else(|| {
            let read = history::open(self.global, cluster).map_err(Into::into);
            let read = read.and_then(|history| history.read(!self.global.offline));
            let entries = Rc::new(read.map_err(|why| Text::from(why.to_string())));
            self.read.borrow_mut().insert(cluster.name.clone(), Rc::clone(&entries));
            entries
        })
    }
}

/// The declared workspaces that have no mark, and that something else shows to be ours.
pub fn recollection(
    desired: &Desired,
    observations: &[Observation],
    histories: &Histories<'_>,
) -> Recollection {
    let mut recollection = Recollection::new();
    for cluster in &desired.clusters {
        let Some(observation) = observations.iter().find(|one| one.cluster == cluster.name) else { continue };
        let workspaces = cluster.environments.iter().flat_map(|environment| &environment.workspaces);
        let present = workspaces.filter_map(|workspace| observation.present.get(&workspace.name));
        let unmarked = present.filter(|observed| observed.mark.is_none());
        let recalled: BTreeMap<WorkspaceName, Recalled> = unmarked
            .filter_map(|observed| {
                let recalled = copied(cluster, observed).or_else(|| applied(cluster, observed, histories))?;
                Some((observed.name.clone(), recalled))
            })
            .collect();
        if !recalled.is_empty() {
            recollection.insert(cluster.name.clone(), recalled);
        }
    }
    recollection
}

/// What the second copy of the mark says, if that is ours.
fn copied(cluster: &Cluster, observed: &ObservedWorkspace) -> Option<Recalled> {
    let mark = observed.copy.as_ref()?;
    (mark.managed_by == cluster.managed_by).then(|| Recalled {
        evidence: Evidence::Copy,
        environment: mark.environment.clone(),
        protected: mark.protected,
        mark: Some(mark.clone()),
    })
}

/// What the history says: the last step that was done to a workspace of this name has to be one of ours, on this very workspace,
/// and not one that took it away.
fn applied(cluster: &Cluster, observed: &ObservedWorkspace, histories: &Histories<'_>) -> Option<Recalled> {
    let identity = observed.identity.as_ref()?;
    let read = histories.of(cluster);
    // Nothing is concluded from a history that cannot be read: the workspace stays unmanaged.
    let entries = read.as_ref().as_ref().ok()?;
    let mut steps =
        entries.iter().rev().flat_map(|entry| entry.steps.iter().rev().map(move |step| (entry, step)));
    let (entry, step) = steps.find(|(_, step)| {
        let EntryStep { workspace, outcome, identity, .. } = step;
        let is_known = identity.is_some() || matches!(step.action, Action::Delete | Action::Forget);
        *workspace == observed.name && *outcome == Outcome::Applied && is_known
    })?;
    let is_ours = entry.managed_by.as_ref() == Some(&cluster.managed_by)
        && step.identity.as_ref() == Some(identity)
        && !matches!(step.action, Action::Delete | Action::Forget);
    is_ours.then(|| Recalled {
        evidence: Evidence::History { entry: entry.id.clone(), at: entry.at.clone() },
        environment: step.environment.clone(),
        protected: step.protected,
        mark: None,
    })
}

/// Whether an apply would change anything in a cluster.
fn changes_anything(changes: &ChangeSet<'_>, cluster: &Cluster) -> bool {
    let of_it = changes.clusters.iter().filter(|one| one.cluster.name == cluster.name);
    of_it
        .flat_map(|one| one.workspaces.iter().map(|one| &one.change))
        .any(|change| !matches!(change, Change::Unchanged { stale: false, .. } | Change::Unknown(_)))
        || changes.clusters.iter().any(|one| one.cluster.name == cluster.name && !one.removed.is_empty())
}

/// Commits of the declarations that were applied and that the declarations of `source` lack, and what cannot be told, in words for
/// people.
pub fn newer(
    global: &Global,
    desired: &Desired,
    source: &Source,
    changes: &ChangeSet<'_>,
    histories: &Histories<'_>,
) -> (Vec<Newer>, Vec<String>) {
    let (mut newer, mut notes) = (Vec::new(), Vec::new());
    for cluster in desired.clusters.iter().filter(|cluster| changes_anything(changes, cluster)) {
        let read = histories.of(cluster);
        if let Err(why) = read.as_ref() {
            notes.push(format!(
                "cannot tell whether these declarations are older than those that were applied to cluster `{}`: {why}",
                cluster.name
            ));
        }
        let known = applied_commits(cluster, changes, read.as_deref().unwrap_or_default());
        let commits: BTreeSet<String> = known.iter().map(|(commit, _)| commit.to_string()).collect();
        let Some(now) = source.revision.as_ref() else {
            if let Some((commit, known_from)) = known.first() {
                notes.push(untold(
                    cluster,
                    commit,
                    known_from,
                    "these declarations are in no git repository",
                ));
            }
            continue;
        };
        let standings = magus_load::standings(&global.dir, now, &commits);
        for (commit, known_from) in known {
            let standing = match &standings {
                Ok(standings) => standings.get(commit.as_str()),
                Err(why) => {
                    notes.push(unread(cluster, &commit, &known_from, why));
                    break;
                }
            };
            match standing {
                // What was applied before it is part of these declarations, or was given up on purpose.
                Some(Standing::Contained) | None => break,
                Some(Standing::Newer) => {
                    newer.push(Newer { cluster: cluster.name.clone(), commit, known_from });
                    break;
                }
                Some(Standing::Apart) => notes.push(format!(
                    "commit `{}` of the declarations was applied to cluster `{}` ({known_from}) and is not part of \
                     these: what it changed may be undone\n  help: merge it, or look through the plan",
                    short(&commit),
                    cluster.name
                )),
                Some(Standing::Missing) => {
                    notes.push(untold(cluster, &commit, &known_from, "this clone does not have it"));
                    break;
                }
                Some(Standing::Untold) => {
                    notes.push(untold(cluster, &commit, &known_from, "the history of this clone is incomplete"));
                    break;
                }
            }
        }
    }
    (newer, notes)
}

fn untold(cluster: &Cluster, commit: &Text, known_from: &str, why: &str) -> String {
    format!("{}\n  help: git fetch --unshallow || git fetch", cannot_tell(cluster, commit, known_from, why))
}

/// A note about declarations whose repository cannot be read.
fn unread(cluster: &Cluster, commit: &Text, known_from: &str, why: &LoadError) -> String {
    let note = cannot_tell(cluster, commit, known_from, &why.to_string());
    why.help().map_or_else(|| note.clone(), |help| format!("{note}\n  help: {help}"))
}

fn cannot_tell(cluster: &Cluster, commit: &Text, known_from: &str, why: &str) -> String {
    let (name, commit) = (&cluster.name, short(commit));
    format!(
        "cannot tell whether these declarations are older than commit `{commit}`, which was applied to cluster `{name}` \
         ({known_from}): {why}"
    )
}

fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

/// The commits of the declarations that were applied to a cluster, the latest first, each with where that is known from. Marks are
/// asked only if the history says nothing: they also remember what was given up on purpose since.
fn applied_commits(cluster: &Cluster, changes: &ChangeSet<'_>, entries: &[Entry]) -> Vec<(Text, String)> {
    let mut known: Vec<(Text, String)> = Vec::new();
    for entry in entries.iter().rev().filter(|entry| entry.operation == Operation::Apply) {
        let Some(commit) = &entry.revision else { continue };
        if known.iter().all(|(known, _)| known != commit) {
            known.push((commit.clone(), format!("entry `{}` of its history, of {}", entry.id, entry.at)));
        }
    }
    if !known.is_empty() {
        return known;
    }
    let observation = changes.clusters.iter().filter(|one| one.cluster.name == cluster.name);
    let present = observation.filter_map(|one| one.observation).flat_map(|one| one.present.values());
    for observed in present {
        let Some(mark) = observed.mark.as_ref().filter(|mark| mark.managed_by == cluster.managed_by) else {
            continue;
        };
        let Some(commit) = &mark.declarations else { continue };
        if known.iter().all(|(known, _)| known != commit) {
            known.push((commit.clone(), format!("the mark of `{}`", observed.name)));
        }
    }
    known
}
