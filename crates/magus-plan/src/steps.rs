//! The steps of one workspace: what each sets, whether it restarts, what it waits for, and the mark it leaves.

use std::collections::BTreeMap;

use magus_diff::{Change, ClusterChanges, Update, WorkspaceChange, expected_mark, meaning::is_absent};
use magus_model::{
    desired::{DesiredState, Environment, Workspace},
    name::WorkspaceName,
    observed::{Capabilities, Mark, ObservedWorkspace, RunState},
    path::FieldPath,
    plan::{Action, FieldChange, FieldStatus, Precondition, Reason, Restarts, Step},
    value::{FieldValue, Value},
};

use crate::{planner::step_id, words};

/// A declared workspace and where it belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub changes: &'a ClusterChanges<'a>,
    pub environment: &'a Environment,
    pub workspace: &'a Workspace,
}

/// An action, why, whether it restarts, and what it sets.
type Part = (Action, String, Restarts, Vec<FieldChange>);

/// The mark of a workspace that can only become as declared by being deleted and created.
pub(crate) fn is_replaced<'a>(
    changes: &'a ClusterChanges<'a>,
    change: &'a WorkspaceChange<'a>,
) -> Option<&'a Mark> {
    let Change::Update(update) = &change.change else { return None };
    let capabilities = &changes.observation?.capabilities;
    let create_only = update.fields.iter().any(|field| capabilities.of(&field.path).create_only);
    let renamed = update.observed.name != change.workspace.name && !capabilities.rename;
    if create_only || renamed { update.observed.mark.as_ref() } else { None }
}

impl<'a> Place<'a> {
    /// A step with the mark of a workspace that is as declared.
    pub(crate) fn step(
        &self,
        action: Action,
        reason: String,
        restarts: Restarts,
        precondition: Precondition,
        fields: Vec<FieldChange>,
    ) -> Step {
        let cluster = &self.changes.cluster.name;
        Step {
            id: step_id(cluster, &self.workspace.name, action),
            cluster: cluster.clone(),
            environment: self.environment.name.clone(),
            workspace: self.workspace.name.clone(),
            action,
            reason,
            restarts,
            needs: Vec::new(),
            precondition,
            fields,
            deploy: None,
            renamed_from: None,
            mark: Some(expected_mark(self.changes.cluster, self.environment, self.workspace)),
        }
    }

    pub(crate) fn create(&self, fields: &[FieldChange], hint: Option<&WorkspaceName>) -> Step {
        self.step(Action::Create, words::create(hint), Restarts::No, Precondition::Absent, fields.to_vec())
    }

    pub(crate) fn adopt(&self, observed: &ObservedWorkspace) -> Step {
        let reason = "as declared, and managed by nobody yet".to_owned();
        self.step(Action::Adopt, reason, Restarts::No, revision(observed), Vec::new())
    }

    /// A replace carries everything: also what is as declared is lost with the old workspace, and sent again.
    pub(crate) fn replace(&self, update: &Update<'_>) -> Step {
        let Update { observed, fields: changed, state, restart } = update;
        let capabilities = self.capabilities();
        let is_create_only = |field: &&FieldChange| capabilities.of(&field.path).create_only;
        let create_only: Vec<_> = changed.iter().filter(is_create_only).cloned().collect();
        let reason = words::replace(&create_only, update);

        let mut fields: Vec<_> = changed.iter().chain(restart).chain(state).cloned().collect();
        if state.is_none() {
            let kept = match (self.workspace.state, observed.state) {
                (DesiredState::Stopped, _) | (DesiredState::Auto, RunState::Stopped) => "stopped",
                (DesiredState::Running | DesiredState::Auto, _) => "running",
            };
            fields.push(sent_again(&FieldPath::key("state"), FieldValue::Plain(Value::string(kept))));
        }
        fields.sort_by(|a, b| a.path.cmp(&b.path));
        let mut unchanged = Vec::new();
        for field in &self.workspace.fields {
            let is_there = fields.binary_search_by(|changed| changed.path.cmp(&field.path)).is_ok();
            if !is_there && !is_absent(&field.path, &field.value) {
                unchanged.push(sent_again(&field.path, field.value.clone()));
            }
        }
        fields.extend(unchanged);
        fields.sort_by(|a, b| a.path.cmp(&b.path));
        let restarts = if observed.state == RunState::Stopped { Restarts::No } else { Restarts::Yes };
        let step = self.step(Action::Replace, reason, restarts, revision(observed), fields);
        Step { renamed_from: self.old_name(observed), ..step }
    }

    /// Stop, update, start and restart, as far as they are needed. A change that only a creation can make is left
    /// out: it is here only where the replace is held back.
    pub(crate) fn update(&self, update: &Update<'_>, refresh_secrets: bool) -> Vec<Step> {
        let Update { observed, fields: changed, state, restart } = update;
        let capabilities = self.capabilities();
        let renamed_from = self.old_name(observed);
        if renamed_from.is_some() && !capabilities.rename {
            return Vec::new();
        }
        let mut fields: Vec<_> =
            changed.iter().filter(|field| !capabilities.of(&field.path).create_only).cloned().collect();
        if refresh_secrets {
            fields.extend(self.secrets(&fields));
            fields.sort_by(|a, b| a.path.cmp(&b.path));
        }
        let stops = state.as_ref().filter(|_| self.workspace.state == DesiredState::Stopped);
        let starts = state.as_ref().filter(|_| self.workspace.state == DesiredState::Running);
        let runs = observed.state != RunState::Stopped;
        // A stop spares the workspace the restart, unless it has to be renamed before it can be stopped by its name.
        let stops_first = stops.is_some() && renamed_from.is_none();
        let mut restarts = if runs && !stops_first { restarts(capabilities, &fields) } else { Restarts::No };
        if renamed_from.is_some() && runs && capabilities.of(&FieldPath::key("name")).restarts {
            restarts = Restarts::Yes;
        }
        // What restarts anyway, starts, or ends up stopped, takes the time of the restart along.
        let is_absorbed = !runs || stops.is_some() || restarts == Restarts::Yes;
        if let Some(absorbed) = restart.as_ref().filter(|_| is_absorbed) {
            let at = fields.partition_point(|field| field.path < absorbed.path);
            fields.insert(at, absorbed.clone());
        }

        let stop =
            stops.map(|change| (Action::Stop, words::state(change), Restarts::No, vec![change.clone()]));
        let mut parts: Vec<_> = stop.into_iter().collect();
        if !fields.is_empty() || renamed_from.is_some() {
            let reason = words::update(&fields, renamed_from.as_ref());
            let at = if stops_first { parts.len() } else { 0 };
            parts.insert(at, (Action::Update, reason, restarts, fields));
        }
        if let Some(change) = starts {
            parts.push((Action::Start, words::state(change), Restarts::No, vec![change.clone()]));
        }
        if let Some(change) = restart.as_ref().filter(|_| !is_absorbed) {
            let reason = "`restarted_at` is later than the last restart".to_owned();
            parts.push((Action::Restart, reason, Restarts::Yes, vec![change.clone()]));
        }
        self.chain(update, parts, renamed_from)
    }

    /// An update that sends the secrets of a workspace again, though nothing says that they changed.
    pub(crate) fn refresh_secrets(&self, observed: &ObservedWorkspace) -> Option<Step> {
        let fields = self.secrets(&[]);
        if fields.is_empty() {
            return None;
        }
        let capabilities = self.capabilities();
        let restarts =
            if observed.state == RunState::Stopped { Restarts::No } else { restarts(capabilities, &fields) };
        let reason = "its secrets are sent again where their values changed".to_owned();
        Some(self.step(Action::Update, reason, restarts, revision(observed), fields))
    }

    /// The secrets that are sent and not among these changes.
    fn secrets(&self, changed: &[FieldChange]) -> Vec<FieldChange> {
        let is_sent = |value: &FieldValue| matches!(value, FieldValue::Secret(secret) if !secret.keep);
        let secrets = self.workspace.fields.iter().filter(|field| is_sent(&field.value));
        secrets
            .filter(|field| changed.iter().all(|changed| changed.path != field.path))
            .map(|field| FieldChange {
                status: FieldStatus::Unverifiable,
                ..sent_again(&field.path, field.value.clone())
            })
            .collect()
    }

    /// Strings the parts of a workspace's change together. Each leaves a mark that remembers only what is done by
    /// then, so that whoever looks after a step that failed still sees what was declared and what drifted.
    fn chain(&self, update: &Update<'_>, parts: Vec<Part>, renamed_from: Option<WorkspaceName>) -> Vec<Step> {
        let expected = expected_mark(self.changes.cluster, self.environment, self.workspace);
        let mut mark = expected.clone();
        let last = update.observed.mark.as_ref().map(|mark| &mark.applied);
        for pending in update.fields.iter().chain(&update.state).chain(&update.restart) {
            match last.and_then(|last| last.get(&pending.path)) {
                Some(digest) => mark.applied.insert(pending.path.clone(), digest.clone()),
                None => mark.applied.remove(&pending.path),
            };
        }
        let mut steps: Vec<Step> = Vec::new();
        for (action, reason, restarts, fields) in parts {
            for done in &fields {
                match expected.applied.get(&done.path) {
                    Some(digest) => mark.applied.insert(done.path.clone(), digest.clone()),
                    None => mark.applied.remove(&done.path),
                };
            }
            let previous = steps.last().map(|step| step.id.clone());
            let precondition =
                previous.clone().map_or_else(|| revision(update.observed), Precondition::Follows);
            let step = self.step(action, reason, restarts, precondition, fields);
            let renamed_from = renamed_from.clone().filter(|_| action == Action::Update);
            let needs = previous.into_iter().collect();
            steps.push(Step { needs, renamed_from, mark: Some(mark.clone()), ..step });
        }
        steps
    }

    fn capabilities(&self) -> &'a Capabilities {
        const NONE: &Capabilities =
            &Capabilities { rename: false, fields: Vec::new(), defaults: BTreeMap::new() };
        self.changes.observation.map_or(NONE, |observation| &observation.capabilities)
    }

    fn old_name(&self, observed: &ObservedWorkspace) -> Option<WorkspaceName> {
        (observed.name != self.workspace.name).then(|| observed.name.clone())
    }
}

fn revision(observed: &ObservedWorkspace) -> Precondition {
    Precondition::Revision(observed.revision.clone())
}

/// Whether a running workspace restarts when these fields are set. Where only fields change that cannot be read
/// back, they may be what they are to be, and then nothing restarts.
fn restarts(capabilities: &Capabilities, fields: &[FieldChange]) -> Restarts {
    let mut answer = Restarts::No;
    for field in fields.iter().filter(|field| capabilities.of(&field.path).restarts) {
        match field.status {
            FieldStatus::Change => return Restarts::Yes,
            FieldStatus::Unverifiable => answer = Restarts::Unknown,
        }
    }
    answer
}

/// A field that is as declared and sent nevertheless.
fn sent_again(path: &FieldPath, value: FieldValue) -> FieldChange {
    FieldChange {
        path: path.clone(),
        sensitive: value.is_sensitive(),
        before: Some(value.clone()),
        after: Some(value),
        status: FieldStatus::Change,
        reason: Reason::Declared,
        origin: None,
    }
}
