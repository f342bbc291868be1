//! Workspaces that come and go with branches: how many there may be, and what becomes of one whose branch is gone.

use jiff::{SignedDuration, Timestamp};
use magus_diff::{Change, ClusterChanges, Removed};
use magus_model::{
    desired::{BranchWorkspaces, Environment, Workspace, branch_of},
    observed::RunState,
    path::FieldPath,
    plan::{
        Action, FieldChange, FieldStatus, Guard, MarkRefresh, Precondition, Reason, Restarts, Step, Withheld,
    },
    value::{FieldValue, Value},
};

use crate::{
    planner::{Draft, step_id},
    words,
    work::{Loss, resets_at_start},
};

/// The path under which a mark remembers since when the branch of its workspace is gone.
const GONE_SINCE: &str = "gone_since";

/// What becomes of a workspace whose branch is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// It is stopped, and stays for good.
    Stop,
    /// It is stopped, and deleted at that time.
    Until(Timestamp),
    /// It is deleted.
    Delete,
}

/// What is declared of the workspaces of branches in an environment.
fn declared<'a>(
    changes: &ClusterChanges<'a>,
    environment: &str,
) -> Option<(&'a Environment, &'a BranchWorkspaces)> {
    let mut environments = changes.cluster.environments.iter();
    let declared = environments.find(|declared| declared.name == environment)?;
    Some((declared, declared.branch_workspaces.as_ref()?))
}

impl Draft<'_> {
    /// What becomes of a workspace because its branch is gone; nothing where it is not of a branch, or no workspace comes with
    /// branches any more.
    pub(crate) fn gone(&self, changes: &ClusterChanges<'_>, removed: &Removed<'_>) -> Option<Gone> {
        branch_of(&removed.mark.workspace)?;
        let (_, declared) = declared(changes, &removed.mark.environment)?;
        let Some(after) = declared.remove_after else {
            return Some(if declared.delete { Gone::Delete } else { Gone::Stop });
        };
        let after = SignedDuration::from_secs(i64::try_from(after).unwrap_or(i64::MAX));
        let since = removed.mark.applied.get(&FieldPath::key(GONE_SINCE));
        // One that is seen for the first time is gone since now.
        let since = since.and_then(|since| since.parse::<Timestamp>().ok()).unwrap_or(self.request.now);
        let until = since.saturating_add(after).unwrap_or(Timestamp::MAX);
        Some(if until <= self.request.now { Gone::Delete } else { Gone::Until(until) })
    }

    /// Stops a workspace whose branch is gone, where it runs, and remembers since when that is so.
    pub(crate) fn keep_gone(&mut self, changes: &ClusterChanges<'_>, removed: Removed<'_>, gone: Gone) {
        let Removed { observed, mark } = removed;
        let mut marked = mark.clone();
        let path = FieldPath::key(GONE_SINCE);
        let remembers = matches!(gone, Gone::Until(_)) && !mark.applied.contains_key(&path);
        if remembers {
            marked.applied.insert(path, self.request.now.to_string().into());
        }
        let cluster = &changes.cluster.name;
        if observed.state == RunState::Stopped {
            self.unchanged += 1;
            if remembers {
                self.marks.push(MarkRefresh {
                    cluster: cluster.clone(),
                    workspace: observed.name.clone(),
                    revision: observed.revision.clone(),
                    mark: marked,
                });
            }
            return;
        }
        // Its next start would reset the code.
        let loss = Loss::of(&observed.code.work).filter(|_| resets_at_start(observed));
        if let Some(held) = loss.as_ref().and_then(|loss| loss.held(observed.name.as_str(), self.overrides)) {
            return self.withhold(changes, &mark.environment, &observed.name, Action::Stop, vec![held]);
        }
        let discards = loss.map(|loss| loss.accepted()).unwrap_or_default();
        let until = match gone {
            Gone::Until(until) => format!("; it is deleted after {until:.0}"),
            Gone::Stop | Gone::Delete => String::new(),
        };
        let state = |state: &str| Some(FieldValue::Plain(Value::string(state)));
        let step = Step {
            id: step_id(cluster, &observed.name, Action::Stop),
            cluster: cluster.clone(),
            environment: mark.environment.clone(),
            workspace: observed.name.clone(),
            action: Action::Stop,
            reason: words::gone(&mark.workspace) + &until + &discards,
            restarts: Restarts::No,
            needs: Vec::new(),
            precondition: Precondition::Revision(observed.revision.clone()),
            fields: vec![FieldChange {
                path: FieldPath::key("state"),
                before: state(observed.state.as_str()),
                after: state("stopped"),
                sensitive: false,
                status: FieldStatus::Change,
                reason: Reason::Declared,
                origin: None,
                sealed: None,
                read_by: Vec::new(),
            }],
            restores: Vec::new(),
            deploy: None,
            renamed_from: None,
            mark: Some(marked),
        };
        let closed = self.untimely(changes, &step, Some(observed));
        if closed.is_empty() {
            return self.admit(changes, vec![step]);
        }
        self.wait(&step, &closed);
        if remembers {
            // The time counts from the removal of the branch, whenever the stop is let through.
            self.marks.extend(step.mark.map(|mark| MarkRefresh {
                cluster: cluster.clone(),
                workspace: observed.name.clone(),
                revision: observed.revision.clone(),
                mark,
            }));
        }
    }

    /// Whether a workspace of a branch that is to be created would be one too many: those that are there come first, then
    /// branches by name.
    pub(crate) fn is_over_limit(
        &self,
        changes: &ClusterChanges<'_>,
        environment: &Environment,
        workspace: &Workspace,
    ) -> bool {
        let limit = environment.branch_workspaces.as_ref().and_then(|declared| declared.limit);
        let (Some(limit), Some(_)) = (limit, branch_of(&workspace.declared)) else { return false };
        let present = changes.observation.into_iter().flat_map(|observation| observation.present.values());
        let marks = present.filter_map(|observed| observed.mark.as_ref());
        let there = marks.filter(|mark| {
            mark.managed_by == changes.cluster.managed_by
                && mark.environment == environment.name
                && branch_of(&mark.workspace).is_some()
        });
        let earlier = changes.workspaces.iter().filter(|change| {
            change.environment.name == environment.name
                && matches!(change.change, Change::Create(_))
                && branch_of(&change.workspace.declared).is_some()
                && change.workspace.declared < workspace.declared
        });
        there.count() + earlier.count() >= limit as usize
    }

    /// Lists the workspace of a branch that waits for another one to go.
    pub(crate) fn wait_for_branch(
        &mut self,
        changes: &ClusterChanges<'_>,
        environment: &Environment,
        workspace: &Workspace,
    ) {
        let limit = environment.branch_workspaces.as_ref().and_then(|declared| declared.limit).unwrap_or(0);
        self.withheld.push(Withheld {
            cluster: changes.cluster.name.clone(),
            environment: environment.name.clone(),
            workspace: workspace.name.clone(),
            action: Action::Create,
            guard: Guard::BranchLimit,
            message: format!(
                "guard `branch-limit`: `{}` may have {} of branches",
                environment.name,
                words::plural(limit as usize, "workspace")
            ),
            unblock: format!(
                "delete a branch, or raise `branch_workspaces.limit` in the environment.yaml of `{}`",
                environment.name
            ),
            opens_at: None,
        });
    }
}
