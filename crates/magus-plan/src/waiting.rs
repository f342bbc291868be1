//! Steps that wait: for evidence from the stage before, for their time, or for a review of what is declared now.

use magus_diff::ClusterChanges;
use magus_model::{
    desired::Environment,
    observed::{ObservedWorkspace, RunState},
    plan::{Action, Deploy, Guard, Movement, Restarts, Step, Withheld},
};

use crate::{
    gates::{Closed, Effect, Keeper},
    planner::Draft,
    unblock, words,
};

impl Draft<'_> {
    /// The gates that look at the stage before and hold a deploy back. A rollback to code that ran here needs no proof from
    /// elsewhere, if the history shows that it did.
    pub(crate) fn unproven(&self, environment: &Environment, deploy: &Deploy) -> Vec<Closed> {
        let request = self.request;
        let goes_back = deploy.movement.as_ref().is_some_and(Movement::is_rollback);
        let proof = request.evidence.of(&environment.name, &deploy.to);
        if goes_back && proof.is_some_and(|proof| proof.ran_here) {
            return Vec::new();
        }
        let keeper = Keeper::new(request.now, &request.evidence, self.overrides);
        let mut closed = keeper.deploy(environment, &deploy.to);
        if let Some(last) = closed.last_mut().filter(|_| goes_back) {
            last.message.push_str(&words::no_release(&environment.name, words::short(&deploy.to)));
        }
        closed
    }

    /// The gates of time that hold back a step on a running workspace: those of the environment of the step, and of the one
    /// that the workspace belongs to.
    pub(crate) fn untimely(
        &self,
        changes: &ClusterChanges<'_>,
        step: &Step,
        running: Option<&ObservedWorkspace>,
    ) -> Vec<Closed> {
        let running = running.filter(|observed| observed.state != RunState::Stopped && changes_running(step));
        let Some(observed) = running else { return Vec::new() };
        let effect = match (step.restarts, step.action) {
            (Restarts::No, action) if action != Action::Replace => Effect::Changes,
            _ => Effect::Restarts,
        };
        let belongs = observed.mark.as_ref().map(|mark| &mark.environment);
        let keeper = Keeper::new(self.request.now, &self.request.evidence, self.overrides);
        let environments = changes.cluster.environments.iter();
        environments
            .filter(|declared| declared.name == step.environment || Some(&declared.name) == belongs)
            .flat_map(|declared| keeper.change(declared, effect))
            .collect()
    }

    /// Lists a deploy of a reviewed commit that may not be deployed any more.
    pub(crate) fn hold_outdated(&mut self, step: &Step, message: &str) {
        self.withheld.push(Withheld {
            cluster: step.cluster.clone(),
            environment: step.environment.clone(),
            workspace: step.workspace.clone(),
            action: step.action,
            guard: Guard::StalePlan,
            message: format!("guard `stale-plan`: {message}"),
            unblock: unblock::plan_file(&self.request.command),
            opens_at: None,
        });
    }

    /// Lists a step that gates hold back.
    pub(crate) fn wait(&mut self, step: &Step, closed: &[Closed]) {
        let Some(first) = closed.first() else { return };
        let flags: Vec<_> = closed.iter().flat_map(|closed| closed.flags(self.overrides)).collect();
        // It opens when the last of them does, if anybody can tell of all.
        let opens: Option<Vec<_>> = closed.iter().map(|closed| closed.opens_at).collect();
        let messages: Vec<&str> = closed.iter().map(|closed| closed.message.as_str()).collect();
        self.withheld.push(Withheld {
            cluster: step.cluster.clone(),
            environment: step.environment.clone(),
            workspace: step.workspace.clone(),
            action: step.action,
            guard: first.gate,
            message: messages.join("; "),
            unblock: unblock::command(&self.request.command, self.overrides, &flags),
            opens_at: opens.and_then(|all| all.into_iter().max()).map(|at| at.to_string().into()),
        });
    }
}

/// Whether a step changes, stops or deletes a workspace. A mark alone is no change of the workspace.
fn changes_running(step: &Step) -> bool {
    match step.action {
        Action::Create | Action::Start | Action::Forget => false,
        Action::Update if step.changes_only_mark() => false,
        Action::Adopt => !step.fields.is_empty(),
        Action::Replace
        | Action::Stop
        | Action::Update
        | Action::Deploy
        | Action::Restart
        | Action::Delete => true,
    }
}
