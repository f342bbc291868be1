//! Which differences are the work of the commits after a revision, and which were there before them.
//!
//! What was declared then is held against what is declared now: where both say the same of a path, whatever differs in
//! the cluster is drift, or was declared earlier and never applied. Nothing here makes a step or leaves one out: a
//! difference is split in two, and the planner goes on with one half.

use std::collections::HashMap;

use magus_diff::{
    Change, Claim, ClusterChanges, Conflict, Removed, Update, WorkspaceChange, meaning::is_absent,
    same_declared,
};
use magus_model::{
    Text,
    desired::{Cluster, Desired, DesiredState, Environment, Workspace},
    name::WorkspaceName,
    observed::Capabilities,
    path::FieldPath,
    plan::{Action, Apart, FieldChange, Guard},
    value::FieldValue,
};

use crate::{
    guards::{Danger, Guards},
    ownership,
    request::{Baseline, Movements, Readers},
    steps::{Place, is_replaced},
    words,
};

/// What was declared at a revision, by name.
pub(crate) struct Before<'a> {
    revision: &'a Text,
    movements: &'a Movements,
    readers: &'a Readers,
    clusters: HashMap<&'a Text, (&'a Cluster, Workspaces<'a>)>,
}

type Workspaces<'a> = HashMap<&'a WorkspaceName, (&'a Environment, &'a Workspace)>;

/// One difference in two halves; both are there where an update is of both.
pub(crate) struct Split<'a> {
    /// What the commits did.
    pub since: Option<WorkspaceChange<'a>>,
    /// What was so before them.
    pub apart: Option<WorkspaceChange<'a>>,
}

impl<'a> Before<'a> {
    pub(crate) fn new(baseline: &'a Baseline<'_>, movements: &'a Movements, readers: &'a Readers) -> Self {
        let Baseline { revision, commit: _, desired } = baseline;
        let Desired { clusters } = desired;
        let workspaces = |cluster: &'a Cluster| {
            let environments = cluster.environments.iter();
            let workspaces = environments.flat_map(|environment| {
                environment
                    .workspaces
                    .iter()
                    .map(move |workspace| (&workspace.name, (environment, workspace)))
            });
            workspaces.collect()
        };
        let clusters = clusters.iter().map(|cluster| (&cluster.name, (cluster, workspaces(cluster))));
        Self { revision, movements, readers, clusters: clusters.collect() }
    }

    /// The workspaces of a cluster at that time. Nothing where it was another cluster, or another owner's: whatever
    /// differs there then does so because of the commits.
    fn of(&self, now: &Cluster) -> Option<&Workspaces<'a>> {
        let (then, workspaces) = self.clusters.get(&now.name)?;
        (then.engine == now.engine && then.managed_by == now.managed_by).then_some(workspaces)
    }

    /// Whether a workspace is not declared any more because of the commits.
    pub(crate) fn removed(&self, cluster: &Cluster, name: &WorkspaceName) -> bool {
        self.of(cluster).is_none_or(|then| then.contains_key(name))
    }

    /// Splits what became of a declared workspace.
    pub(crate) fn split<'b>(&self, changes: &ClusterChanges<'b>, change: &WorkspaceChange<'b>) -> Split<'b> {
        let WorkspaceChange { environment, workspace, change: what } = change;
        let since = || Split { since: Some(change.clone()), apart: None };
        let Some(workspaces) = self.of(changes.cluster) else { return since() };
        let then = workspaces.get(&workspace.name).or_else(|| match what {
            Change::Update(update) => workspaces.get(update.renamed_from?),
            _ => None,
        });
        let Some(then) = then else { return since() };
        let twice = Twice::new(changes, *then, (*environment, *workspace));
        match what {
            Change::Update(update) if !matches!(update.claim, Claim::Mark(_)) => {
                Split { since: None, apart: Some(change.clone()) }
            }
            Change::Update(update) => {
                let half = |update: Update<'b>| {
                    let is_empty = update.is_empty();
                    let change = Change::Update(Box::new(update));
                    (!is_empty).then_some(WorkspaceChange { environment, workspace, change })
                };
                let (since, apart) = twice.split(update);
                Split { since: half(since), apart: half(apart) }
            }
            Change::Create(_) => Split { since: None, apart: Some(change.clone()) },
            Change::Adopt { .. } | Change::Conflict { .. } if !twice.differ() => {
                Split { since: None, apart: Some(change.clone()) }
            }
            Change::Adopt { .. }
            | Change::Conflict { .. }
            | Change::Unchanged { .. }
            | Change::Unknown(_) => since(),
        }
    }

    /// Lists a declared workspace, or a half of what differs of it, with what the whole plan does about it.
    pub(crate) fn apart(
        &self,
        guards: &Guards<'_>,
        changes: &ClusterChanges<'_>,
        change: &WorkspaceChange<'_>,
    ) -> Option<Apart> {
        let WorkspaceChange { environment, workspace, change: what } = change;
        let (action, reason, fields, guard) = match what {
            Change::Create(fields) => {
                let then = self.of(changes.cluster).and_then(|then| then.get(&workspace.name));
                let twice = then.map(|then| Twice::new(changes, *then, (*environment, *workspace)));
                let changed = fields
                    .iter()
                    .filter(|field| twice.as_ref().is_some_and(|twice| twice.differs(&field.path)));
                let reason = words::created_before(self.revision, changed.count());
                (Action::Create, reason, fields.clone(), None)
            }
            Change::Adopt { .. } => (
                Action::Adopt,
                format!("as declared, at `{}` too, and unmanaged until now", self.revision),
                Vec::new(),
                None,
            ),
            Change::Conflict { observed, conflict, adoption: _ } => {
                let action = if *conflict == Conflict::MovedFrom { Action::Update } else { Action::Adopt };
                let reason = words::conflict(&observed.name, &changes.cluster.managed_by, conflict);
                (action, reason, Vec::new(), Some(Guard::Conflict))
            }
            Change::Update(update) => {
                let place = Place {
                    changes,
                    movements: self.movements,
                    readers: self.readers,
                    environment,
                    workspace,
                    declarations: None,
                };
                let Update {
                    observed,
                    claim,
                    renamed_from,
                    fields,
                    state,
                    restart,
                    code,
                    missing,
                    ownership,
                } = &**update;
                let replaced = is_replaced(changes, change);
                let action = match (replaced, state) {
                    _ if !matches!(claim, Claim::Mark(_)) => Action::Adopt,
                    (Some(_), _) => Action::Replace,
                    (None, _)
                        if renamed_from.is_some()
                            || !fields.is_empty()
                            || !missing.is_empty()
                            || !ownership.is_empty() =>
                    {
                        Action::Update
                    }
                    (None, None) if restart.is_none() && code.is_some() => Action::Deploy,
                    (None, None) => Action::Restart,
                    (None, Some(_)) if workspace.state == DesiredState::Stopped => Action::Stop,
                    (None, Some(_)) => Action::Start,
                };
                let held = replaced.and_then(|mark| {
                    guards.first(&Danger { action: Action::Replace, environment: &environment.name, mark })
                });
                let loses = action == Action::Deploy && place.lost_by_deploy(observed).is_some();
                let work = loses.then_some(Guard::UncommittedChanges);
                let unprotected = observed.mark.as_ref().filter(|_| !ownership.is_empty());
                let unprotected = unprotected
                    .and_then(|mark| guards.unprotect(&workspace.name, ownership::of(mark), environment));
                let held = held.or(unprotected.map(|held| held.guard));
                let guard = place.refusal(action).map(|_| Guard::Engine).or(held).or(work);
                let mut fields: Vec<FieldChange> =
                    fields.iter().chain(state).chain(restart).chain(ownership).cloned().collect();
                fields.sort_by(|a, b| a.path.cmp(&b.path));
                let reason = match code {
                    Some(change) if action == Action::Deploy => place.deploy_reason(*change),
                    _ if action == Action::Adopt => ownership::reason(*claim).unwrap_or_default(),
                    _ => words::update(&fields, *renamed_from, missing),
                };
                (action, reason, fields, guard)
            }
            Change::Unchanged { .. } | Change::Unknown(_) => return None,
        };
        Some(Apart {
            cluster: changes.cluster.name.clone(),
            environment: environment.name.clone(),
            workspace: workspace.name.clone(),
            action,
            reason,
            fields,
            guard,
        })
    }

    /// Lists a managed workspace that was not declared at that time either.
    pub(crate) fn removed_before(
        &self,
        guards: &Guards<'_>,
        changes: &ClusterChanges<'_>,
        Removed { observed, mark }: Removed<'_>,
    ) -> Apart {
        let danger = Danger { action: Action::Delete, environment: &mark.environment, mark };
        let refused = changes
            .observation
            .is_some_and(|observation| observation.capabilities.refused.contains_key(&Action::Delete));
        Apart {
            cluster: changes.cluster.name.clone(),
            environment: mark.environment.clone(),
            workspace: observed.name.clone(),
            action: Action::Delete,
            reason: format!("not declared, neither now nor at `{}`", self.revision),
            fields: Vec::new(),
            guard: guards.first(&danger).or(refused.then_some(Guard::Engine)),
        }
    }
}

/// A workspace as it was declared then and as it is declared now.
struct Twice<'a> {
    then: &'a Workspace,
    now: &'a Workspace,
    capabilities: Option<&'a Capabilities>,
    /// Whether it belonged to the same environment, as much protected.
    same_ownership: bool,
}

impl<'a> Twice<'a> {
    fn new(
        changes: &ClusterChanges<'a>,
        (environment_then, then): (&'a Environment, &'a Workspace),
        (environment_now, now): (&'a Environment, &'a Workspace),
    ) -> Self {
        let capabilities = changes.observation.map(|observation| &observation.capabilities);
        let same_ownership = environment_then.name == environment_now.name
            && environment_then.protected == environment_now.protected;
        Self { then, now, capabilities, same_ownership }
    }

    /// Whether something else is declared for a path; nothing is the server's default, as everywhere.
    fn differs(&self, path: &FieldPath) -> bool {
        if path.as_str() == "state" {
            return self.then.state != self.now.state;
        }
        let default = self.capabilities.and_then(|known| known.defaults.get(path));
        let default = default.map(|value| FieldValue::Plain(value.clone()));
        let declared = |workspace: &'a Workspace| {
            let value = workspace.field(path.as_str()).map(|field| &field.value);
            value.filter(|value| !is_absent(path, value)).or(default.as_ref()).cloned()
        };
        match (declared(self.then), declared(self.now)) {
            (Some(then), Some(now)) => !same_declared(path, &then, &now),
            (then, now) => then.is_some() != now.is_some(),
        }
    }

    /// Whether anything else is declared for the workspace.
    fn differ(&self) -> bool {
        let Self { then, now, capabilities: _, same_ownership: _ } = self;
        let old_name = |workspace: &Workspace| workspace.moved_from.as_ref().map(|(name, _)| name.clone());
        let mut fields = then.fields.iter().chain(&now.fields);
        then.state != now.state
            || old_name(then) != old_name(now)
            || fields.any(|field| self.differs(&field.path))
    }

    /// What is declared otherwise, and the rest.
    fn split<'b>(&self, update: &Update<'b>) -> (Update<'b>, Update<'b>) {
        let Update { observed, claim, renamed_from, fields, state, restart, code, missing, ownership } =
            update;
        let differs = |field: &FieldChange| self.differs(&field.path);
        let is_new_name = self.then.name != self.now.name;
        // What was pushed to the branch is no work of the declarations' commits.
        let is_declared_anew = match (&self.then.code, &self.now.code) {
            (Some(then), Some(now)) => !now.is_declared_as(then),
            (then, _) => then.is_none(),
        };
        let half = |is_since: bool| Update {
            observed,
            claim: *claim,
            renamed_from: renamed_from.filter(|_| is_new_name == is_since),
            fields: fields.iter().filter(|field| differs(field) == is_since).cloned().collect(),
            state: state.clone().filter(|field| differs(field) == is_since),
            restart: restart.clone().filter(|field| differs(field) == is_since),
            code: code.filter(|_| is_declared_anew == is_since),
            // No commit takes a part away.
            missing: if is_since { &[] } else { missing },
            ownership: if self.same_ownership != is_since { ownership.clone() } else { Vec::new() },
        };
        (half(true), half(false))
    }
}
