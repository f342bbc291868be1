//! Workspaces that lack parts in the cluster: what an apply brings back is a step of theirs, and the rest is listed here.

use magus_diff::{Change, ClusterChanges, Update, WorkspaceChange};
use magus_model::{
    observed::MissingPart,
    plan::{Action, Guard, Incomplete, Withheld},
};

use crate::{
    planner::Draft,
    steps::{Place, is_gone},
    unblock, words,
};

impl Draft<'_> {
    /// Lists the parts of a workspace that no apply brings back, each with what a person does.
    pub(crate) fn keep_by_hand(&mut self, place: &Place<'_>, update: &Update<'_>) {
        if is_gone(update.missing) {
            return;
        }
        for part in update.missing {
            let Some(by_hand) = &part.by_hand else { continue };
            self.withheld.push(Withheld {
                cluster: place.changes.cluster.name.clone(),
                environment: place.environment.name.clone(),
                workspace: place.workspace.name.clone(),
                action: Action::Update,
                guard: Guard::Engine,
                message: format!("guard `engine`: {}", words::missing(part)),
                unblock: by_hand.to_string(),
                opens_at: None,
            });
        }
    }

    /// Lists a workspace of which nothing is left to restart.
    pub(crate) fn keep_missing(
        &mut self,
        changes: &ClusterChanges<'_>,
        change: &WorkspaceChange<'_>,
        missing: &[MissingPart],
    ) {
        let name = &change.workspace.name;
        self.withheld.push(Withheld {
            cluster: changes.cluster.name.clone(),
            environment: change.environment.name.clone(),
            workspace: name.clone(),
            action: Action::Restart,
            guard: Guard::Engine,
            message: format!("guard `engine`: {}", words::recreate(missing)),
            unblock: unblock::same_place(&self.request.command, &["plan", "-w", name.as_str()]),
            opens_at: None,
        });
    }
}

/// A declared workspace that lacks parts.
pub(crate) fn incomplete(changes: &ClusterChanges<'_>, change: &WorkspaceChange<'_>) -> Option<Incomplete> {
    let WorkspaceChange { environment, workspace, change } = change;
    let Change::Update(update) = change else { return None };
    (!update.missing.is_empty()).then(|| Incomplete {
        cluster: changes.cluster.name.clone(),
        environment: environment.name.clone(),
        workspace: workspace.name.clone(),
        missing: update.missing.to_vec(),
    })
}
