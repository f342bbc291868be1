//! Workspaces that still follow the deploy branch of their environment, together with others.
//!
//! Each gets a branch of its own, which its variable `GIT_BRANCH` names. A change of a variable restarts a workspace, so that the switch
//! waits for a step that restarts it anyway. A deploy cannot wait: the shared branch must not move for one of those that follow it.

use magus_diff::Update;
use magus_model::{
    desired::GIT_BRANCH,
    observed::{Mark, RunState},
    path::FieldPath,
    plan::{Action, DeployBranch, FieldChange, Guard, Overrides, Restarts, Step, Withheld},
};

use crate::{
    planner::Draft,
    steps::{Place, rest_on, restarts, takes_creation},
    unblock::{self, Flag},
    words,
};

/// Which branch a workspace follows after its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Branch {
    /// The one that is declared.
    Declared,
    /// For now the shared one, because nothing restarts the workspace.
    Shared,
}

fn path() -> FieldPath {
    FieldPath::key("env").child(GIT_BRANCH)
}

/// Whether a change leads a workspace from the shared branch to its own.
fn is_switch(change: &FieldChange, environment: &str) -> bool {
    let shared = DeployBranch::shared(environment);
    let before = change.before.as_ref();
    change.path == path() && change.after.is_some() && before.is_some_and(|before| before.is_text(&shared))
}

/// Whether a step leads its workspace from the shared branch to its own.
pub(crate) fn switches(step: &Step) -> bool {
    step.action == Action::Update && step.fields.iter().any(|field| is_switch(field, &step.environment))
}

impl Place<'_> {
    /// Which branch the workspace follows after an update.
    pub(crate) fn branch_after(&self, update: &Update<'_>, overrides: &Overrides) -> Branch {
        let Update { observed, renamed_from, fields, state, restart, code, .. } = update;
        let environment = &self.environment.name;
        let runs_declared = code.is_none_or(|code| {
            code.observed.commit.as_ref() == Some(code.to) && code.source_before.is_none()
        });
        let capabilities = self.capabilities();
        let others: Vec<FieldChange> = fields
            .iter()
            .filter(|field| !is_switch(field, environment) && !takes_creation(capabilities, observed, field))
            .cloned()
            .collect();
        let is_free = observed.state == RunState::Stopped || state.is_some();
        let restarts_anyway = restart.is_some() || renamed_from.is_some();
        let restarts_anyway = restarts_anyway || restarts(capabilities, &others) == Restarts::Yes;
        let waits = fields.iter().any(|field| is_switch(field, environment)) && runs_declared;
        match waits && !is_free && !restarts_anyway && !flags(overrides).is_empty() {
            true => Branch::Shared,
            false => Branch::Declared,
        }
    }

    /// The changes of an update without the switch, if it waits.
    pub(crate) fn without_switch<'f>(
        &self,
        fields: &'f [FieldChange],
        branch: Branch,
    ) -> impl Iterator<Item = &'f FieldChange> + use<'f> {
        let environment = self.environment.name.clone();
        fields.iter().filter(move |field| branch == Branch::Declared || !is_switch(field, &environment))
    }

    /// Takes the switch out of the steps of a workspace whose deploy is held back: its own branch would not be there.
    pub(crate) fn keep_shared(&self, steps: &mut Vec<Step>, last: Option<&Mark>) {
        let Some(at) = steps.iter().position(switches) else { return };
        for mark in steps.iter_mut().skip(at).filter_map(|step| step.mark.as_mut()) {
            match last.and_then(|last| last.applied.get(&path())) {
                Some(digest) => mark.applied.insert(path(), digest.clone()),
                None => mark.applied.remove(&path()),
            };
        }
        let step = &mut steps[at];
        step.fields.retain(|field| !is_switch(field, &self.environment.name));
        if step.restarts != Restarts::No {
            step.restarts = restarts(self.capabilities(), &step.fields);
        }
        step.reason = words::update(&step.fields, step.renamed_from.as_ref(), &step.restores);
        if step.fields.is_empty() && step.renamed_from.is_none() && step.restores.is_empty() {
            let removed = steps.remove(at);
            steps.iter_mut().skip(at).for_each(|step| rest_on(step, &removed, last));
        }
    }
}

impl Draft<'_> {
    /// Lists a workspace that still follows the shared branch.
    pub(crate) fn wait_for_restart(&mut self, place: &Place<'_>) {
        let (environment, workspace) = (&place.environment.name, &place.workspace.name);
        self.withheld.push(Withheld {
            cluster: place.changes.cluster.name.clone(),
            environment: environment.clone(),
            workspace: workspace.clone(),
            // What is missing to it is the deploy that creates its branch.
            action: Action::Deploy,
            guard: Guard::SharedBranch,
            message: words::shared_branch(environment, workspace),
            unblock: unblock::command(&self.request.command, self.overrides, &flags(self.overrides)),
            opens_at: None,
        });
    }
}

/// The flags that make the switch at once, and that are not given yet.
fn flags(overrides: &Overrides) -> Vec<Flag> {
    let gate = Guard::SharedBranch.as_str();
    let mut flags = Vec::new();
    if !overrides.override_gate.iter().any(|given| given == gate) {
        flags.push(Flag::OverrideGate(gate));
    }
    if overrides.reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
        flags.push(Flag::Reason);
    }
    flags
}
