//! Who owns a workspace and whether it is protected: what would change of it, and what holds such a change back.
//!
//! The mark in the cluster says which environment a workspace belongs to and whether that is protected. The declarations of
//! this moment cannot take that back by themselves: a file that moves to another folder, or a line that is removed, would
//! otherwise lift every guard of the environment.

use std::collections::BTreeSet;

use magus_diff::{Claim, ClusterChanges, Conflict, Update, WorkspaceChange};
use magus_model::{
    Text,
    desired::Environment,
    name::WorkspaceName,
    observed::{Evidence, Mark, Recalled},
    plan::{
        Action, ENVIRONMENT, FieldChange, Guard, Overrides, Precondition, Refused, Restarts, Step, Withheld,
    },
};

use crate::{
    guards::{Danger, Guards, Held, has_reason},
    planner::{Draft, Scope, step_id},
    request::{Intent, Newer, PlanRequest},
    steps::{Place, is_gone, is_replaced, lacks_mark_to_replace},
    unblock::{self, Flag},
    words,
    work::Loss,
};

impl<'a> Draft<'a> {
    /// Holds back that a workspace loses its protection, or leaves a protected environment, and whether it does. Nothing else of
    /// the workspace goes on then: it would use the protection that it does not have yet.
    pub(crate) fn keeps_protection(
        &mut self,
        changes: &ClusterChanges<'_>,
        guards: &Guards<'_>,
        place: &Place<'a>,
        (change, update): (&WorkspaceChange<'_>, &Update<'a>),
    ) -> bool {
        let (name, environment) = (&place.workspace.name, place.environment);
        let held = update.claim.ownership().and_then(|was| guards.unprotect(name, was, environment));
        let Some(held) = held else { return false };
        let (mut held, mut action) = (vec![held], Action::Update);
        // One command lifts everything that holds it back.
        let is_gone = is_gone(update.missing);
        let is_done = |_: &&Mark| is_gone || place.refusal(Action::Replace).is_none();
        if let Some(mark) = is_replaced(changes, change).filter(is_done) {
            action = Action::Replace;
            held.extend(guards.holding(&Danger { action, environment: &environment.name, mark }));
            if is_gone {
                held.extend(guards.recreate(&environment.name, update.missing));
            }
            let loss = Loss::of(&update.observed.code.work);
            held.extend(loss.and_then(|loss| loss.held(name.as_str(), self.overrides)));
        }
        self.withhold(changes, &environment.name, name, action, held);
        true
    }

    /// Adopts an unmanaged workspace with all that differs, because a person asked for it.
    pub(crate) fn adopt(&mut self, changes: &ClusterChanges<'_>, place: &Place<'a>, update: &Update<'a>) {
        let environment = place.environment;
        let name = &place.workspace.name;
        if environment.protected && !has_reason(self.overrides) {
            let held = Held {
                guard: Guard::Protected,
                message: format!(
                    "guard `protected`: `{}` is protected, and a workspace is adopted there only with a reason; \
                     `--adopt {name}` needs `--reason` too",
                    environment.name
                ),
                flags: vec![Flag::Reason],
            };
            return self.withhold(changes, &environment.name, name, Action::Adopt, vec![held]);
        }
        self.hold_replace_without_mark(place, update);
        let refresh = self.overrides.refresh_secrets.contains(&environment.name);
        let branch = place.branch_after(update, self.overrides);
        let steps = place.update(update, branch, refresh);
        self.let_through(place, Some(update.observed), steps);
    }

    /// Lists a replace of a workspace without our mark: it needs the mark, which the rest of the change restores. If nothing
    /// of the workspace is left to carry a mark, only a person can delete it.
    pub(crate) fn hold_replace_without_mark(&mut self, place: &Place<'a>, update: &Update<'a>) {
        if !lacks_mark_to_replace(place.capabilities(), update) {
            return;
        }
        let Some(replace) = place.replace(update).into_iter().next() else { return };
        let (why, unblock) = if is_gone(update.missing) {
            let by_hand = format!("delete `{}` in the cluster by hand, then plan again", replace.workspace);
            ("its mark is missing, too, and without the mark Magus does not delete it", by_hand)
        } else {
            (
                "a replace needs the mark, which this plan restores",
                "apply this plan, then plan again".to_owned(),
            )
        };
        self.withheld.push(Withheld {
            message: format!("guard `conflict`: {}; {why}", replace.reason),
            unblock,
            cluster: replace.cluster,
            environment: replace.environment,
            workspace: replace.workspace,
            action: Action::Replace,
            guard: Guard::Conflict,
            opens_at: None,
        });
    }

    /// Takes the marks off the selected workspaces that are not declared. A declared one would be adopted again.
    pub(crate) fn forget(&mut self, scope: &Scope<'a>) {
        let Scope { changes, guards, .. } = scope;
        let declared =
            |name: &WorkspaceName| changes.workspaces.iter().any(|change| change.workspace.name == *name);
        let all: Vec<_> = self.doomed(changes).filter(|(observed, _)| !declared(&observed.name)).collect();
        for (observed, Danger { mark, environment, .. }) in all {
            let name = &observed.name;
            let is_protected = mark.protected || guards.protects(environment);
            let held = is_protected.then(|| {
                guards.unprotected(name, environment, "would lose its protection when it is forgotten")
            });
            if let Some(held) = held.flatten() {
                self.withhold(changes, environment, name, Action::Forget, vec![held]);
                continue;
            }
            let step = Step {
                id: step_id(&changes.cluster.name, name, Action::Forget),
                cluster: changes.cluster.name.clone(),
                environment: environment.clone(),
                workspace: name.clone(),
                action: Action::Forget,
                reason: "asked for by `magus forget`: the mark is removed, and nothing else changes"
                    .to_owned(),
                restarts: Restarts::No,
                needs: Vec::new(),
                precondition: Precondition::Revision(observed.revision.clone()),
                fields: Vec::new(),
                deploy: None,
                renamed_from: None,
                restores: Vec::new(),
                mark: None,
            };
            self.admit(changes, vec![step]);
        }
    }

    /// Lists a workspace that is not ours to change.
    pub(crate) fn conflict(
        &mut self,
        change: &WorkspaceChange<'_>,
        changes: &ClusterChanges<'_>,
        existing: &WorkspaceName,
        conflict: &Conflict<'_>,
        action: Action,
    ) {
        let ours = &changes.cluster.managed_by;
        let words = &self.request.command;
        let unblock = match conflict {
            Conflict::ManagedBy(owner) => format!(
                "declare it where `{owner}` declares it, give this workspace another `name`, or, if both are the \
                 same, set `managed_by: {owner}` in cluster.yaml"
            ),
            Conflict::Differs(_) | Conflict::Unverifiable(_) => {
                let needs_reason = change.environment.protected && !has_reason(self.overrides);
                let reason = needs_reason.then_some(Flag::Reason);
                let flags: Vec<_> =
                    std::iter::once(Flag::Adopt(existing.as_str().into())).chain(reason).collect();
                unblock::plan(words, self.overrides, &flags)
            }
            Conflict::OfBranch(_) => "run the command again: the name was taken while it ran".to_owned(),
            Conflict::MovedFrom => format!(
                "remove `moved_from: {existing}`, or first take it over with: {}",
                unblock::import(words, existing.as_str())
            ),
        };
        self.withheld.push(Withheld {
            cluster: changes.cluster.name.clone(),
            environment: change.environment.name.clone(),
            workspace: change.workspace.name.clone(),
            action,
            guard: Guard::Conflict,
            message: format!("guard `conflict`: {}", words::conflict(existing, ours, conflict)),
            unblock,
            opens_at: None,
        });
    }

    /// Lists a workspace whose mark an apply has to restore before anything else is asked for.
    pub(crate) fn without_mark(&mut self, changes: &ClusterChanges<'_>, change: &WorkspaceChange<'_>) {
        let name = &change.workspace.name;
        self.withheld.push(Withheld {
            cluster: changes.cluster.name.clone(),
            environment: change.environment.name.clone(),
            workspace: name.clone(),
            action: Action::Restart,
            guard: Guard::Conflict,
            message: format!(
                "guard `conflict`: the mark of `{name}` was removed, and an apply restores it first"
            ),
            unblock: unblock::plan(&self.request.command, self.overrides, &[]),
            opens_at: None,
        });
    }
}

impl Guards<'_> {
    /// Why a workspace that belonged to an environment, protected or not, may not lose its protection by being declared in
    /// this one; nothing if it loses none, or if a person allowed it and said why.
    pub(crate) fn unprotect(
        &self,
        name: &WorkspaceName,
        (environment, protected): (&Text, bool),
        declared: &Environment,
    ) -> Option<Held> {
        let moves = *environment != declared.name;
        let was_protected = protected || (moves && self.protects(environment));
        if !was_protected || (declared.protected && !moves) {
            return None;
        }
        let what = if moves {
            format!("would leave the protected environment `{environment}` for `{}`", declared.name)
        } else {
            format!("would lose its protection, because `protected: true` was removed from `{environment}`")
        };
        self.unprotected(name, environment, &what)
    }

    /// Why a workspace of a protected environment may not lose its protection in this way, unless a person allowed it and said
    /// why.
    pub(crate) fn unprotected(&self, name: &WorkspaceName, environment: &Text, what: &str) -> Option<Held> {
        let overrides = self.overrides();
        let is_allowed = overrides.allow_unprotect.contains(environment);
        let is_explained = has_reason(overrides);
        let needs = match (is_allowed, is_explained) {
            (true, true) => return None,
            (false, true) => format!("needs `--allow-unprotect {environment}`"),
            (true, false) => format!("`--allow-unprotect {environment}` needs `--reason` too"),
            (false, false) => format!("needs `--allow-unprotect {environment}` and `--reason`"),
        };
        let flags = [
            (!is_allowed).then(|| Flag::AllowUnprotect(environment.clone())),
            (!is_explained).then_some(Flag::Reason),
        ];
        Some(Held {
            guard: Guard::Protected,
            message: format!("guard `protected`: `{name}` {what}; {needs}"),
            flags: flags.into_iter().flatten().collect(),
        })
    }
}

/// Why an apply is refused as a whole: each cluster that the plan changes, and that newer declarations were applied to.
pub(crate) fn refused(request: &PlanRequest<'_>, overrides: &Overrides, steps: &[Step]) -> Vec<Refused> {
    let is_lifted = overrides.allow_older && has_reason(overrides);
    let changed: BTreeSet<&Text> = steps.iter().map(|step| &step.cluster).collect();
    let applies = request.intent == Intent::Converge && !is_lifted;
    let newer = request.newer.iter().filter(|newer| applies && changed.contains(&newer.cluster));
    let mut flags = Vec::new();
    flags.extend((!overrides.allow_older).then_some(Flag::AllowOlder));
    flags.extend((!has_reason(overrides)).then_some(Flag::Reason));
    let refused = newer.map(|Newer { cluster, commit, known_from }| Refused {
        cluster: cluster.clone(),
        guard: Guard::OlderDeclarations,
        message: format!(
            "guard `older-declarations`: commit `{}` of the declarations was applied to cluster `{cluster}` \
             ({known_from}), and these declarations are older: what was changed since would be undone; needs a newer \
             checkout, or `--allow-older` and `--reason`",
            words::short(commit)
        ),
        unblock: unblock::command(&request.command, overrides, &flags),
    });
    refused.collect()
}

/// Why a workspace without our mark is changed; nothing if it has the mark.
pub(crate) fn reason(claim: Claim<'_>) -> Option<String> {
    match claim {
        Claim::Mark(_) => None,
        Claim::Unmanaged => Some("unmanaged until now; adopted because `--adopt` names it".to_owned()),
        Claim::Recalled(Recalled { evidence: Evidence::Copy, .. }) => {
            Some("its mark was removed, and the second copy of the mark says that it is ours".to_owned())
        }
        Claim::Recalled(Recalled { evidence: Evidence::History { entry, at }, .. }) => Some(format!(
            "its mark was removed, and entry `{entry}` of the history, of {at}, says that it is ours"
        )),
    }
}

/// What changes of the ownership of a workspace, in words for people; nothing if nothing does.
pub(crate) fn told(ownership: &[FieldChange]) -> Option<String> {
    let text = |value: &Option<_>| value.as_ref().map(ToString::to_string).unwrap_or_default();
    let told: Vec<String> = ownership
        .iter()
        .map(|field| match field.path.as_str() {
            ENVIRONMENT => format!("moves from `{}` to `{}`", text(&field.before), text(&field.after)),
            _ if text(&field.after) == "true" => "becomes protected".to_owned(),
            _ => "is no longer protected".to_owned(),
        })
        .collect();
    (!told.is_empty()).then(|| told.join(", and "))
}

/// Keeps what a mark said of the environment and the protection, as long as the step that changes them is not done.
pub(crate) fn keep(mark: &mut Mark, last: Option<(&Text, bool)>) {
    let Some((environment, protected)) = last else { return };
    mark.environment.clone_from(environment);
    mark.protected = protected;
}

/// What a mark says of the environment and the protection.
pub(crate) fn of(mark: &Mark) -> (&Text, bool) {
    (&mark.environment, mark.protected)
}
