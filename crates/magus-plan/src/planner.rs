//! From differences to a plan: which steps there are, in which order, and what is held back.

use std::{
    collections::{BTreeSet, HashMap},
    iter,
};

use magus_diff::{Change, ClusterChanges, Conflict, Removed, WorkspaceChange};
use magus_model::{
    Text,
    desired::{Desired, Environment, Workspace},
    name::WorkspaceName,
    observed::{Mark, ObservedOrphan, ObservedWorkspace, Refusal, RunState},
    plan::{
        Action, Apart, Guard, Incomplete, MarkRefresh, Orphan, Overrides, Plan, Precondition, Restarts, Step,
        Unknown, Unmanaged, Withheld,
    },
};

use crate::{
    branches::Gone,
    guards::{Danger, Guards, Held, enough},
    missing::incomplete,
    orphans::orphans,
    request::{Baseline, Intent, PlanRequest},
    shared_branch::{self, Branch},
    since::{Before, Split},
    steps::{Part, Place, is_gone, is_replaced, rest_on, unsettable},
    unblock, words,
    work::Loss,
};

/// Makes a plan. The same request gives the same plan, whatever the order of its lists.
pub fn plan(request: &PlanRequest<'_>) -> Plan {
    let overrides = normalized(&request.overrides);
    let mut draft = Draft::new(request, &overrides);
    let dangers: Vec<_> = request.changes.clusters.iter().map(|changes| draft.dangers(changes)).collect();
    let enough = enough(&dangers);
    let before =
        baseline(request).map(|baseline| Before::new(baseline, &request.movements, &request.readers));
    for (changes, dangers) in request.changes.clusters.iter().zip(&dangers) {
        let guards = Guards::new(changes, dangers, enough, &overrides, request.intent);
        let hints = changes.hints.iter().map(|hint| (hint.to, hint.from)).collect();
        draft.cluster(&Scope { changes, guards, hints, before: before.as_ref() });
    }
    draft.finish()
}

/// The place of an environment in the order of promotion. One that no cluster declares any more comes last, because
/// nobody can say what depends on it.
pub fn stage(desired: &Desired, environment: &str) -> u32 {
    let environments = desired.clusters.iter().flat_map(|cluster| &cluster.environments);
    environments
        .filter(|declared| declared.name == environment)
        .map(|declared| declared.stage)
        .max()
        .unwrap_or(u32::MAX)
}

/// Overrides in one order, so that the order of flags changes no digest.
fn normalized(overrides: &Overrides) -> Overrides {
    let sorted = |names: &[Text]| names.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let Overrides {
        allow_delete,
        allow_replace,
        allow_empty,
        allow_unprotect,
        adopt,
        allow_older,
        max_deletes,
        refresh_secrets,
        override_gate,
        discard_changes,
        reason,
    } = overrides;
    Overrides {
        allow_delete: sorted(allow_delete),
        allow_replace: sorted(allow_replace),
        allow_empty: sorted(allow_empty),
        allow_unprotect: sorted(allow_unprotect),
        adopt: sorted(adopt),
        allow_older: *allow_older,
        max_deletes: max_deletes.clone(),
        refresh_secrets: sorted(refresh_secrets),
        override_gate: sorted(override_gate),
        discard_changes: sorted(discard_changes),
        reason: reason.clone(),
    }
}

/// A cluster, and what the decisions about its workspaces need.
pub(crate) struct Scope<'a> {
    pub(crate) changes: &'a ClusterChanges<'a>,
    pub(crate) guards: Guards<'a>,
    /// For workspaces to be created, the names that they may have had.
    hints: HashMap<&'a WorkspaceName, &'a WorkspaceName>,
    /// What was declared before, where only what was declared since counts.
    before: Option<&'a Before<'a>>,
}

/// A plan in the making.
pub(crate) struct Draft<'a> {
    pub(crate) request: &'a PlanRequest<'a>,
    pub(crate) overrides: &'a Overrides,
    pub(crate) steps: Vec<Step>,
    pub(crate) withheld: Vec<Withheld>,
    pub(crate) unmanaged: Vec<Unmanaged>,
    pub(crate) orphans: Vec<Orphan>,
    pub(crate) unknown: Vec<Unknown>,
    pub(crate) marks: Vec<MarkRefresh>,
    pub(crate) apart: Vec<Apart>,
    pub(crate) incomplete: Vec<Incomplete>,
    pub(crate) unchanged: usize,
}

impl<'a> Draft<'a> {
    fn new(request: &'a PlanRequest<'a>, overrides: &'a Overrides) -> Self {
        Self {
            request,
            overrides,
            steps: Vec::new(),
            withheld: Vec::new(),
            unmanaged: Vec::new(),
            orphans: Vec::new(),
            unknown: Vec::new(),
            marks: Vec::new(),
            apart: Vec::new(),
            incomplete: Vec::new(),
            unchanged: 0,
        }
    }

    /// Everything in a cluster that would be destroyed if no guard were there, filter or not. A destroy asks for
    /// what it selects and for nothing else.
    fn dangers(&self, changes: &'a ClusterChanges<'a>) -> Vec<Danger<'a>> {
        match self.request.intent {
            Intent::Restart | Intent::Orphans | Intent::Forget => Vec::new(),
            Intent::Destroy => self.doomed(changes).map(|(_, danger)| danger).collect(),
            Intent::Converge => {
                let goes = |removed: &&Removed<'_>| {
                    self.gone(changes, removed).is_none_or(|gone| gone == Gone::Delete)
                };
                let removed = changes.removed.iter().filter(goes).map(|Removed { mark, .. }| Danger {
                    action: Action::Delete,
                    environment: &mark.environment,
                    mark,
                });
                let replaced = changes.workspaces.iter().filter_map(|change| {
                    let mark = is_replaced(changes, change)?;
                    Some(Danger { action: Action::Replace, environment: &change.environment.name, mark })
                });
                removed.chain(replaced).collect()
            }
        }
    }

    /// What a destroy deletes: the selected workspaces with our mark, declared or not.
    pub(crate) fn doomed(
        &self,
        changes: &'a ClusterChanges<'a>,
    ) -> impl Iterator<Item = (&'a ObservedWorkspace, Danger<'a>)> + use<'a> {
        let present = changes.observation.into_iter().flat_map(|observation| observation.present.values());
        let filter = &self.request.filter;
        let ours = &changes.cluster.managed_by;
        present.filter_map(move |observed| {
            let mark = observed.mark.as_ref().filter(|mark| mark.managed_by == *ours)?;
            let selected = filter.selects(&mark.environment, &mark.workspace, &observed.name);
            selected.then_some((
                observed,
                Danger { action: Action::Delete, environment: &mark.environment, mark },
            ))
        })
    }

    fn cluster(&mut self, scope: &Scope<'a>) {
        let Scope { changes, guards, hints: _, before } = scope;
        match self.request.intent {
            Intent::Converge => {
                let request = self.request;
                for change in changes.workspaces.iter().filter(|change| selects(request, change)) {
                    self.incomplete.extend(incomplete(changes, change));
                    let Some(before) = before else {
                        self.converge(scope, change);
                        continue;
                    };
                    let Split { since, apart } = before.split(changes, change);
                    since.iter().for_each(|change| self.converge(scope, change));
                    self.apart.extend(apart.and_then(|change| before.apart(guards, changes, &change)));
                }
                for removed @ Removed { observed, mark } in &changes.removed {
                    if !self.request.filter.selects(&mark.environment, &mark.workspace, &observed.name) {
                        continue;
                    }
                    let earlier = before.filter(|before| !before.removed(changes.cluster, &observed.name));
                    let gone = self.gone(changes, removed);
                    if let Some(kept) = gone.filter(|gone| *gone != Gone::Delete) {
                        self.keep_gone(changes, *removed, kept);
                        continue;
                    }
                    if let Some(before) = earlier {
                        self.apart.push(before.removed_before(guards, changes, *removed));
                    } else {
                        let reason = match guards.declares(&mark.environment) {
                            _ if gone.is_some() => words::gone(&mark.workspace),
                            true => format!("not declared any more in {}", mark.environment),
                            false => format!("the environment {} is not declared any more", mark.environment),
                        };
                        self.delete(scope, observed, mark, reason);
                    }
                }
            }
            Intent::Restart => changes.workspaces.iter().for_each(|change| self.restart(changes, change)),
            Intent::Destroy => {
                let doomed: Vec<_> = self.doomed(changes).collect();
                for (observed, Danger { mark, .. }) in doomed {
                    self.delete(scope, observed, mark, "asked for by `magus destroy`".to_owned());
                }
            }
            Intent::Orphans => return self.remove_orphans(changes),
            Intent::Forget => self.forget(scope),
        }
        self.bystanders(changes);
    }

    /// What is not ours, and what nobody knows.
    fn bystanders(&mut self, changes: &'a ClusterChanges<'a>) {
        let wanted = &self.request.filter.workspaces;
        let named =
            |name: &WorkspaceName| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name.as_str());
        let cluster = &changes.cluster.name;
        self.unmanaged.extend(changes.unmanaged.iter().filter(|observed| named(&observed.name)).map(
            |observed| Unmanaged {
                cluster: cluster.clone(),
                name: observed.name.clone(),
                managed_by: observed.mark.as_ref().map(|mark| mark.managed_by.clone()),
            },
        ));
        self.orphans.extend(orphans(changes).filter(|orphan| named(&orphan.name)).map(
            |ObservedOrphan { name, place, revision: _ }| Orphan {
                cluster: cluster.clone(),
                workspace: name.clone(),
                place: place.clone(),
            },
        ));
        self.unknown.extend(changes.unknown.iter().filter(|(name, _)| named(name)).map(|(name, reason)| {
            Unknown {
                cluster: cluster.clone(),
                workspace: (*name).clone(),
                message: (*reason).to_owned(),
                cause: changes.unknown_cause(reason),
            }
        }));
    }

    /// A declared workspace, and what its steps are made from.
    fn place(
        &self,
        changes: &'a ClusterChanges<'a>,
        environment: &'a Environment,
        workspace: &'a Workspace,
    ) -> Place<'a> {
        let PlanRequest { movements, readers, source, .. } = self.request;
        let declarations = source.revision.as_ref();
        Place { changes, movements, readers, environment, workspace, declarations }
    }

    fn converge(&mut self, scope: &Scope<'a>, change: &WorkspaceChange<'a>) {
        let Scope { changes, guards, hints, before: _ } = scope;
        let WorkspaceChange { environment, workspace, change: what } = change;
        let place = self.place(changes, environment, workspace);
        match what {
            Change::Create(_) if self.is_over_limit(changes, environment, workspace) => {
                self.wait_for_branch(changes, environment, workspace);
            }
            Change::Create(fields) => {
                self.let_through(&place, None, place.create(fields, hints.get(&workspace.name).copied()));
            }
            Change::Adopt { observed } => {
                self.let_through(&place, Some(observed), vec![place.adopt(observed)]);
            }
            Change::Unchanged { observed, stale } => {
                let refresh = self.overrides.refresh_secrets.contains(&environment.name);
                match refresh.then(|| place.refresh_secrets(observed)).flatten() {
                    Some(step) => self.let_through(&place, Some(observed), vec![step]),
                    None => {
                        self.unchanged += 1;
                        if *stale {
                            self.marks.push(MarkRefresh {
                                cluster: changes.cluster.name.clone(),
                                workspace: workspace.name.clone(),
                                revision: observed.revision.clone(),
                                mark: place.expected_mark(observed.mark.as_ref()),
                            });
                        }
                    }
                }
            }
            Change::Update(update) => {
                if self.keeps_protection(changes, guards, &place, (change, update)) {
                    return;
                }
                if let Some(mark) = is_replaced(changes, change) {
                    let danger = Danger { action: Action::Replace, environment: &environment.name, mark };
                    let mut held = guards.holding(&danger);
                    let loss = Loss::of(&update.observed.code.work);
                    held.extend(loss.and_then(|loss| loss.held(workspace.name.as_str(), self.overrides)));
                    let is_gone = is_gone(update.missing);
                    if is_gone {
                        held.extend(guards.recreate(&environment.name, update.missing));
                    }
                    let replace = place.replace(update);
                    if let Some(refusal) = place.refusal(Action::Replace).filter(|_| !is_gone) {
                        // No flag lifts this, so that what other guards say of it would only mislead.
                        if let Some(step) = replace.first() {
                            self.refuse(step, refusal.reason, refusal.instead.to_owned());
                        }
                    } else if held.is_empty() {
                        return self.let_through(&place, Some(update.observed), replace);
                    } else {
                        self.withhold(changes, &environment.name, &workspace.name, Action::Replace, held);
                    }
                    if is_gone {
                        return;
                    }
                }
                self.hold_replace_without_mark(&place, update);
                self.keep_by_hand(&place, update);
                let refresh = self.overrides.refresh_secrets.contains(&environment.name);
                let branch = place.branch_after(update, self.overrides);
                if branch == Branch::Shared {
                    self.wait_for_restart(&place);
                }
                let steps = place.update(update, branch, refresh);
                self.let_through(&place, Some(update.observed), steps);
            }
            Change::Conflict { observed, conflict, adoption } => {
                let is_asked = self.overrides.adopt.iter().any(|name| name == workspace.name.as_str());
                if let Some(update) = adoption.as_deref().filter(|_| is_asked) {
                    return self.adopt(changes, &place, update);
                }
                let action = if *conflict == Conflict::MovedFrom { Action::Update } else { Action::Adopt };
                self.conflict(change, changes, &observed.name, conflict, action);
            }
            Change::Unknown(reason) => self.unknown(changes, &workspace.name, reason),
        }
    }

    fn restart(&mut self, changes: &'a ClusterChanges<'a>, change: &'a WorkspaceChange<'a>) {
        if !selects(self.request, change) {
            return;
        }
        let WorkspaceChange { environment, workspace, change: what } = change;
        let observed = match what {
            Change::Unchanged { observed, .. } => observed,
            Change::Update(update) if update.mark().is_none() => return self.without_mark(changes, change),
            Change::Update(update) if is_gone(update.missing) => {
                return self.keep_missing(changes, change, update.missing);
            }
            Change::Update(update) if update.renamed_from.is_none() => update.observed,
            Change::Conflict { observed, conflict, adoption: _ } => {
                return self.conflict(change, changes, &observed.name, conflict, Action::Restart);
            }
            Change::Adopt { observed } => {
                let conflict = Conflict::Differs(Vec::new());
                return self.conflict(change, changes, &observed.name, &conflict, Action::Restart);
            }
            Change::Unknown(reason) => return self.unknown(changes, &workspace.name, reason),
            Change::Create(_) | Change::Update(_) => return,
        };
        if observed.state == RunState::Stopped {
            self.unchanged += 1;
            return;
        }
        let place = self.place(changes, environment, workspace);
        let precondition = Precondition::Revision(observed.revision.clone());
        let reason = "asked for by `magus restart`".to_owned();
        let part = Part::new(Action::Restart, reason, Restarts::Yes, Vec::new());
        let step = observed.mark.clone().map(|mark| place.step(part, precondition, mark));
        self.let_through(&place, Some(observed), step.into_iter().collect());
    }

    /// Takes those steps of a workspace into the plan that no gate holds back, and that lose no uncommitted changes.
    pub(crate) fn let_through(
        &mut self,
        place: &Place<'a>,
        observed: Option<&ObservedWorkspace>,
        steps: Vec<Step>,
    ) {
        let last = observed.and_then(|observed| observed.mark.as_ref());
        let environment = place.environment;
        let mut runs = observed.is_some_and(|observed| observed.state != RunState::Stopped);
        let mut passed: Vec<Step> = Vec::new();
        // Those that are held back, so that what comes after them rests on something else.
        let mut held: Vec<Step> = Vec::new();
        for mut step in steps {
            for before in &held {
                rest_on(&mut step, before, passed.last().and_then(|step| step.mark.as_ref()).or(last));
            }
            // Its code would come from the branch that it shares.
            if step.deploy.is_some() && held.iter().any(shared_branch::switches) {
                let update = self.withheld.last().cloned();
                self.withheld.extend(update.map(|update| Withheld { action: Action::Deploy, ..update }));
                held.push(step);
                continue;
            }
            if let Some(message) = place.outdated(&step) {
                self.hold_outdated(&step, &message);
                held.push(step);
                continue;
            }
            let mut closed = match &step.deploy {
                Some(deploy) => self.unproven(environment, deploy),
                None => Vec::new(),
            };
            closed.extend(self.untimely(place.changes, &step, observed.filter(|_| runs)));
            let loss = observed.and_then(|observed| place.loss(&step, observed));
            let kept = loss.as_ref().and_then(|loss| loss.held(step.workspace.as_str(), self.overrides));
            match (kept, closed.is_empty()) {
                (None, true) => {
                    step.reason.extend(loss.map(|loss| loss.accepted()));
                    runs = runs && step.action != Action::Stop;
                    passed.push(step);
                    continue;
                }
                (Some(mut held), _) => {
                    held.flags.extend(closed.iter().flat_map(|closed| closed.flags(self.overrides)));
                    let messages = closed.into_iter().map(|closed| closed.message);
                    held.message = iter::once(held.message).chain(messages).collect::<Vec<_>>().join("; ");
                    let name = &step.workspace;
                    self.withhold(place.changes, &environment.name, name, step.action, vec![held]);
                }
                (None, false) => self.wait(&step, &closed),
            }
            if !matches!(step.action, Action::Deploy | Action::Update) || step.renamed_from.is_some() {
                // What follows would rest on it.
                break;
            }
            held.push(step);
        }
        if held.iter().any(|step| step.deploy.is_some()) {
            place.keep_shared(&mut passed, last);
        }
        self.admit(place.changes, passed);
    }

    /// Takes the steps of one workspace into the plan, up to the first that the engine refuses: what comes after it
    /// would rest on it.
    pub(crate) fn admit(&mut self, changes: &ClusterChanges<'_>, steps: Vec<Step>) {
        let capabilities = changes.observation.map(|observation| &observation.capabilities);
        for step in steps {
            // An update of the mark alone is what an adoption does.
            let action = if step.changes_only_mark() { Action::Adopt } else { step.action };
            let refused = capabilities.and_then(|capabilities| capabilities.refused.get(&action));
            // What a replace would lose is lost already.
            if let Some(refusal) = refused.filter(|_| !is_gone(&step.restores)) {
                let Refusal { reason, instead } = *refusal;
                return self.refuse(&step, reason, instead.to_owned());
            }
            if let Some((reason, instead)) =
                capabilities.and_then(|all| unsettable(&step, all, &self.request.command))
            {
                return self.refuse(&step, &reason, instead);
            }
            self.steps.push(step);
        }
    }

    fn refuse(&mut self, step: &Step, reason: &str, instead: String) {
        self.withheld.push(Withheld {
            cluster: step.cluster.clone(),
            environment: step.environment.clone(),
            workspace: step.workspace.clone(),
            action: step.action,
            guard: Guard::Engine,
            message: format!("guard `engine`: {}; {reason}", step.reason),
            unblock: instead,
            opens_at: None,
        });
    }

    fn unknown(&mut self, changes: &ClusterChanges<'_>, name: &WorkspaceName, reason: &str) {
        self.unknown.push(Unknown {
            cluster: changes.cluster.name.clone(),
            workspace: name.clone(),
            message: reason.to_owned(),
            cause: changes.unknown_cause(reason),
        });
    }

    fn delete(&mut self, scope: &Scope<'_>, observed: &ObservedWorkspace, mark: &Mark, reason: String) {
        let Scope { changes, guards, hints: _, before: _ } = scope;
        let danger = Danger { action: Action::Delete, environment: &mark.environment, mark };
        let loss = Loss::of(&observed.code.work);
        let mut held = guards.holding(&danger);
        held.extend(loss.as_ref().and_then(|loss| loss.held(observed.name.as_str(), self.overrides)));
        if !held.is_empty() {
            return self.withhold(changes, &mark.environment, &observed.name, Action::Delete, held);
        }
        let place = (&observed.name, &observed.revision);
        let reason = reason + &loss.map(|loss| loss.accepted()).unwrap_or_default();
        let step = deletion(&changes.cluster.name, &mark.environment, place, reason);
        let closed = self.untimely(changes, &step, Some(observed));
        match closed.is_empty() {
            true => self.admit(changes, vec![step]),
            false => self.wait(&step, &closed),
        }
    }

    /// Lists a step that guards hold back: under the strongest one, with all that they say, and the one command
    /// that lifts them all.
    pub(crate) fn withhold(
        &mut self,
        changes: &ClusterChanges<'_>,
        environment: &Text,
        name: &WorkspaceName,
        action: Action,
        held: Vec<Held>,
    ) {
        let Some(guard) = held.first().map(|held| held.guard) else { return };
        let flags: Vec<_> = held.iter().flat_map(|held| held.flags.iter().cloned()).collect();
        let messages: Vec<_> = held.into_iter().map(|held| held.message).collect();
        self.withheld.push(Withheld {
            cluster: changes.cluster.name.clone(),
            environment: environment.clone(),
            workspace: name.clone(),
            action,
            guard,
            message: messages.join("; "),
            unblock: unblock::command(&self.request.command, self.overrides, &flags),
            opens_at: None,
        });
    }
}

/// The step that deletes something as it was observed.
pub(crate) fn deletion(
    cluster: &Text,
    environment: &Text,
    (name, revision): (&WorkspaceName, &Text),
    reason: String,
) -> Step {
    Step {
        id: step_id(cluster, name, Action::Delete),
        cluster: cluster.clone(),
        environment: environment.clone(),
        workspace: name.clone(),
        action: Action::Delete,
        reason,
        restarts: Restarts::No,
        needs: Vec::new(),
        precondition: Precondition::Revision(revision.clone()),
        fields: Vec::new(),
        restores: Vec::new(),
        deploy: None,
        renamed_from: None,
        mark: None,
    }
}

/// What was declared before, where the plan is of what is declared: a restart and a destroy are asked for.
pub(crate) fn baseline<'r>(request: &'r PlanRequest<'_>) -> Option<&'r Baseline<'r>> {
    request.since.as_ref().filter(|_| request.intent == Intent::Converge)
}

/// Whether steps of a declared workspace are wanted.
fn selects(request: &PlanRequest<'_>, change: &WorkspaceChange<'_>) -> bool {
    let WorkspaceChange { environment, workspace, change: _ } = change;
    request.filter.selects(&environment.name, &workspace.declared, &workspace.name)
}

/// `CLUSTER/WORKSPACE/ACTION`.
pub(crate) fn step_id(cluster: &Text, workspace: &WorkspaceName, action: Action) -> Text {
    format!("{cluster}/{workspace}/{}", action.as_str()).into()
}
