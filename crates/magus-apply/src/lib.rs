//! Walks an approved plan: waves in order of promotion, batches of restarts, and a report that is true whenever the
//! walk ends.
//!
//! This crate makes no decision that a plan should have made: it adds no step, changes none and leaves none out
//! without a result that says so. It knows no engine but through [`Perform`], reads no clock and no environment but
//! through its arguments, and prints nothing: what happens is told as [`Event`]s.

mod crew;
mod resolve;
mod schedule;
mod secrets;
mod walk;
mod waves;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use magus_engine::{CodeSource, Perform, PerformError, Task};
use magus_model::{
    Text,
    desired::{Code, Desired, Environment, Workspace},
    name::WorkspaceName,
    path::FieldPath,
    plan::{Action, Deploy, DeployBranch, FieldChange, MarkRefresh, Plan, Restarts, Step},
    report::{ApplyReport, ApplySummary, FORMAT_VERSION, Outcome, StepResult},
    value::FieldValue,
};
use magus_plan::ApprovedPlan;
use magus_secrets::{Resolver, SecretError};

use crate::{
    crew::{Compared, Ending, Job},
    secrets::{Comparison, comparisons},
    walk::{Surroundings, walk},
    waves::Environments,
};

pub use resolve::{ResolveRequest, UnresolvedSecret, resolve_secrets};

/// See [`ApplyRequest::move_branch`].
pub type MoveBranch<'a> = dyn Fn(BranchMove<'_>) -> Result<(), String> + Sync + 'a;

/// A deploy branch that is to move. Nothing on a side means that it does not exist there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BranchMove<'a> {
    /// The declared URL of its repository.
    pub repository: &'a Text,
    /// Its name.
    pub branch: &'a Text,
    /// The full number of the commit that it was seen at: it moves from there, and from nowhere else.
    pub from: Option<&'a Text>,
    /// The full number of the commit that it moves to.
    pub to: Option<&'a Text>,
}

impl BranchMove<'_> {
    fn back(self) -> Self {
        Self { from: self.to, to: self.from, ..self }
    }
}

/// What an apply needs besides the plan.
pub struct ApplyRequest<'a> {
    /// The engine of each cluster, by the cluster's name.
    pub engines: &'a BTreeMap<Text, &'a dyn Perform>,
    /// The declarations that the plan was made from: stages and rollouts are theirs.
    pub desired: &'a Desired,
    /// Where the values of secrets come from.
    pub secrets: &'a Resolver,
    /// The git directories of the pipelines' repositories, by their declared URLs.
    pub repositories: &'a BTreeMap<Text, PathBuf>,
    /// Moves the deploy branch of a workspace; why it did not move.
    pub move_branch: &'a MoveBranch<'a>,
    /// Whose secrets are compared with those that run: what a person selected, and nobody's where an apply is not
    /// about the declarations.
    pub selected: &'a dyn Fn(&Environment, &Workspace) -> bool,
    /// How many steps are under way at once, over all clusters; 0 counts as 1.
    pub jobs: usize,
    /// Asked before each wave: why nothing more may begin, such as a lock that is somebody else's by now.
    pub may_go_on: &'a dyn Fn() -> Result<(), String>,
    /// Set by a signal: what is under way ends without waiting to be seen done, nothing else begins.
    pub cancelled: &'a AtomicBool,
    /// What time it is.
    pub clock: &'a (dyn Fn() -> Timestamp + Sync),
    /// Told what happens, in order, by one thread.
    pub events: &'a (dyn Fn(Event<'_>) + Sync),
}

/// Something that happened.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The steps of one stage may begin.
    WaveStarted {
        /// Which one, from 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// The clusters and environments of the stage, in the plan's order.
        environments: &'a [(Text, Text)],
        /// How many steps it has.
        steps: usize,
    },
    /// A step begins.
    StepStarted {
        /// The step.
        step: &'a Step,
    },
    /// A step has its result: it ended, or will not begin.
    StepFinished {
        /// The step.
        step: &'a Step,
        /// How it ended.
        result: &'a StepResult,
    },
    /// The apply was cancelled and waits for what is under way.
    Interrupted {
        /// How many steps that are.
        running: usize,
    },
    /// Something that the reader should know; it is in the report as well.
    Note {
        /// What.
        text: &'a str,
    },
}

/// Does what a plan says, and reports one result for each of its steps, in its order.
///
/// It has no error: whatever goes wrong is the outcome of a step.
pub fn apply(approved: &ApprovedPlan, request: &ApplyRequest<'_>) -> ApplyReport {
    apply_plan(approved.plan(), request)
}

fn apply_plan(plan: &Plan, request: &ApplyRequest<'_>) -> ApplyReport {
    let ApplyRequest {
        engines,
        desired,
        secrets,
        repositories,
        move_branch,
        selected,
        jobs,
        may_go_on,
        cancelled,
        clock,
        events,
    } = *request;
    let started_at = clock();
    let environments = Environments::new(desired);
    let comparisons = comparisons(plan, desired, engines, selected);
    let follows = plan.steps.iter().filter(|step| follows(step).is_some());
    let follows = follows.map(|step| ((&step.cluster, &step.workspace), step)).collect();
    let hands = Hands {
        engines,
        secrets,
        repositories,
        move_branch,
        follows,
        environments: &environments,
        cancelled,
        at_goal: Mutex::default(),
    };
    let work = |job| match job {
        Job::Step(at) => hands.perform(&plan.steps[at], plan),
        Job::Mark(at) => hands.refresh_mark(&plan.marks[at]),
        Job::Compare(at) => hands.compare(&comparisons[at]),
    };
    let comparisons = comparisons.as_slice();
    let around = Surroundings {
        environments: &environments,
        comparisons,
        jobs,
        may_go_on,
        cancelled,
        clock,
        events,
        work: &work,
    };
    let walked = walk(plan, &around);
    ApplyReport {
        format_version: FORMAT_VERSION,
        magus_version: plan.magus_version.clone(),
        plan_digest: plan.digest.clone(),
        started_at: started_at.to_string().into(),
        finished_at: clock().to_string().into(),
        interrupted: walked.interrupted,
        summary: summary(&walked.results),
        results: walked.results,
        notes: walked.notes,
    }
}

/// What reaches the outside world.
struct Hands<'a> {
    engines: &'a BTreeMap<Text, &'a dyn Perform>,
    secrets: &'a Resolver,
    repositories: &'a BTreeMap<Text, PathBuf>,
    move_branch: &'a MoveBranch<'a>,
    /// The steps that deploy to workspaces that follow a branch.
    follows: BTreeMap<(&'a Text, &'a WorkspaceName), &'a Step>,
    environments: &'a Environments<'a>,
    cancelled: &'a AtomicBool,
    /// The deploy branches that this apply moved, by repository and name.
    at_goal: Mutex<BTreeSet<(Text, Text)>>,
}

impl Hands<'_> {
    /// One step: its secrets first, so that one that does not resolve keeps the step from sending anything at all. They were
    /// resolved by [`resolve_secrets`], whose answers are used again.
    fn perform(&self, step: &Step, plan: &Plan) -> Ending {
        for field in &step.fields {
            if let Some(FieldValue::Secret(reference)) = &field.after
                && !reference.keep
                && let Err(error) = self.secrets.resolve(reference)
            {
                return Ending::Failed(self.unresolved(&field.path, &error));
            }
        }
        let refresh_secrets = plan.overrides.refresh_secrets.contains(&step.environment);
        let environment = self.environments.get(&step.cluster, &step.environment);
        let wait_for_runs = environment
            .map_or(Duration::ZERO, |environment| Duration::from_secs(environment.rollout.wait_for_runs));
        let (secrets, cancelled) = (self.secrets, self.cancelled);
        let code = environment.and_then(|environment| self.code(environment, step));
        let discard_changes =
            plan.overrides.discard_changes.iter().any(|given| given == step.workspace.as_str());
        let deploy_branch = match self.branch_move(step) {
            Ok(deploy_branch) => deploy_branch,
            Err(why) => return Ending::Failed(self.secrets.redact(&why)),
        };
        let moved = AtomicBool::new(false);
        let move_branch = || deploy_branch.map_or(Ok(()), |branch| self.move_branch(branch, &moved));
        let sent = without_mark_fields(step);
        let step = sent.as_ref().unwrap_or(step);
        let task = Task {
            step,
            secrets,
            code,
            refresh_secrets,
            discard_changes,
            move_branch: &move_branch,
            wait_for_runs,
            cancelled,
        };
        let ending = self.with(&step.cluster, |engine| engine.perform(&task).map(|()| Ending::Done));
        match deploy_branch.filter(|_| moved.into_inner()) {
            Some(branch) => self.or_move_back(branch, ending),
            None => ending,
        }
    }

    /// The branch that has to move before the workspace of a step first looks there: when it is made, when it restarts, or when it
    /// is asked to.
    fn branch_move(&self, step: &Step) -> Result<Option<BranchMove<'_>>, String> {
        let looks = match step.action {
            Action::Create | Action::Replace | Action::Deploy => true,
            Action::Update => step.restarts != Restarts::No,
            Action::Adopt
            | Action::Forget
            | Action::Delete
            | Action::Restart
            | Action::Start
            | Action::Stop => false,
        };
        let deploys = self.follows.get(&(&step.cluster, &step.workspace)).filter(|_| looks);
        let Some((DeployBranch { name, from }, deploy)) = deploys.and_then(|step| follows(step)) else {
            return Ok(None);
        };
        let environment = self.environments.get(&step.cluster, &step.environment);
        let code = environment.and_then(|environment| declared_code(environment, step));
        let code = code.ok_or_else(|| format!("`{}` declares no code", step.workspace))?;
        if code.source != deploy.source {
            return Err(format!(
                "the declared source of the code of `{}` is not that of the plan",
                step.workspace
            ));
        }
        let repository = &code.repository;
        Ok(Some(BranchMove { repository, branch: name, from: from.as_ref(), to: Some(&deploy.to) }))
    }

    fn move_branch(&self, branch: BranchMove<'_>, moved: &AtomicBool) -> Result<(), String> {
        let key = (branch.repository.clone(), branch.branch.clone());
        let at_goal = || self.at_goal.lock().unwrap_or_else(PoisonError::into_inner);
        if branch.from == branch.to || at_goal().contains(&key) {
            return Ok(());
        }
        (self.move_branch)(branch)?;
        at_goal().insert(key);
        moved.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The ending of a step that moved a branch. A step that changed nothing takes the branch back: the next start of its workspace
    /// is not to bring the code.
    fn or_move_back(&self, branch: BranchMove<'_>, ending: Ending) -> Ending {
        let why = match &ending {
            Ending::Failed(why) | Ending::NotStarted(why) => why,
            Ending::Done | Ending::Compared(_) | Ending::Uncertain(_) => return ending,
        };
        let key = (branch.repository.clone(), branch.branch.clone());
        self.at_goal.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        match (self.move_branch)(branch.back()) {
            Ok(()) => ending,
            Err(kept) => Ending::Uncertain(self.secrets.redact(&format!(
                "{why}; its deploy branch `{}` moved, and could not be moved back: {kept}",
                branch.branch
            ))),
        }
    }

    /// Where the code of a step that deploys comes from.
    fn code<'a>(&'a self, environment: &'a Environment, step: &Step) -> Option<CodeSource<'a>> {
        step.deploy.as_ref()?;
        let code = declared_code(environment, step)?;
        Some(CodeSource { git: self.repositories.get(&code.repository)?, source: &code.source })
    }

    fn refresh_mark(&self, refresh: &MarkRefresh) -> Ending {
        self.with(&refresh.cluster, |engine| engine.refresh_mark(refresh).map(|()| Ending::Done))
    }

    fn compare(&self, comparison: &Comparison<'_>) -> Ending {
        let Comparison { cluster, workspace, fields, .. } = comparison;
        let mut unresolved = Vec::new();
        let mut resolved = Vec::new();
        for (path, reference) in fields {
            match self.secrets.resolve(reference) {
                Ok(_) => resolved.push((path.clone(), reference.clone())),
                Err(error) => unresolved.push(self.secrets.redact(&error.explain())),
            }
        }
        if resolved.is_empty() {
            return Ending::Compared(Compared { changed: Vec::new(), unresolved });
        }
        self.with(cluster, |engine| {
            let changed = engine.secret_changes(workspace, &resolved, self.secrets)?;
            Ok(Ending::Compared(Compared { changed, unresolved }))
        })
    }

    fn unresolved(&self, path: &FieldPath, error: &SecretError) -> String {
        self.secrets.redact(&format!("secret `{path}`: {}", error.explain()))
    }

    /// Engines redact their messages; whatever slipped through ends here.
    fn with(&self, cluster: &Text, ask: impl FnOnce(&dyn Perform) -> Result<Ending, PerformError>) -> Ending {
        let Some(engine) = self.engines.get(cluster) else {
            return Ending::Failed(format!("no engine was opened for cluster `{cluster}`"));
        };
        match ask(*engine) {
            Ok(ending) => ending,
            Err(PerformError::Failed(why) | PerformError::Moved(why)) => {
                Ending::Failed(self.secrets.redact(&why))
            }
            Err(PerformError::Uncertain(why)) => Ending::Uncertain(self.secrets.redact(&why)),
            Err(PerformError::NotStarted(why)) => Ending::NotStarted(self.secrets.redact(&why)),
        }
    }
}

/// The step as an engine does it, if it changes what only the mark holds: that is no field of the workspace. A step that changes
/// nothing else puts the mark, and sends nothing.
fn without_mark_fields(step: &Step) -> Option<Step> {
    if !step.fields.iter().any(FieldChange::is_of_mark) {
        return None;
    }
    let action = if step.changes_only_mark() { Action::Adopt } else { step.action };
    let fields = step.fields.iter().filter(|field| !field.is_of_mark()).cloned().collect();
    Some(Step { action, fields, ..step.clone() })
}

/// The branch that has to be somewhere for a step that deploys.
fn follows(step: &Step) -> Option<(&DeployBranch, &Deploy)> {
    let deploy = step.deploy.as_ref()?;
    Some((deploy.follows.as_ref()?, deploy))
}

/// The code that the workspace of a step is to run.
fn declared_code<'a>(environment: &'a Environment, step: &Step) -> Option<&'a Code> {
    let at = environment.workspaces.binary_search_by(|one| one.name.cmp(&step.workspace)).ok()?;
    environment.workspaces[at].code.as_ref()
}

fn summary(results: &[StepResult]) -> ApplySummary {
    let mut summary = ApplySummary::default();
    for result in results {
        *match result.outcome {
            Outcome::Applied => &mut summary.applied,
            Outcome::Failed => &mut summary.failed,
            Outcome::Uncertain => &mut summary.uncertain,
            Outcome::Skipped => &mut summary.skipped,
            Outcome::NotStarted => &mut summary.not_started,
        } += 1;
    }
    summary
}
