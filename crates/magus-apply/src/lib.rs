//! Walks an approved plan: waves in order of promotion, batches of restarts, and a report that is true whenever the
//! walk ends.
//!
//! This crate makes no decision that a plan should have made: it adds no step, changes none and leaves none out
//! without a result that says so. It knows no engine but through [`Perform`], reads no clock and no environment but
//! through its arguments, and prints nothing: what happens is told as [`Event`]s.

mod schedule;
mod walk;
mod waves;

use std::{collections::BTreeMap, sync::atomic::AtomicBool};

use jiff::Timestamp;
use magus_engine::{Perform, PerformError, Task};
use magus_model::{
    Text,
    desired::Desired,
    plan::{MarkRefresh, Plan, Step},
    report::{ApplyReport, ApplySummary, FORMAT_VERSION, Outcome, StepResult},
    value::FieldValue,
};
use magus_secrets::Resolver;

use crate::{
    walk::{Ending, Job, Surroundings, walk},
    waves::Environments,
};

/// What an apply needs besides the plan.
pub struct ApplyRequest<'a> {
    /// The engine of each cluster, by the cluster's name.
    pub engines: &'a BTreeMap<Text, &'a dyn Perform>,
    /// The declarations that the plan was made from: stages and rollouts are theirs.
    pub desired: &'a Desired,
    /// Where the values of secrets come from.
    pub secrets: &'a Resolver,
    /// How many steps are under way at once, over all clusters; 0 counts as 1.
    pub jobs: usize,
    /// Set by a signal: what is under way ends, nothing else begins.
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
pub fn apply(plan: &Plan, request: &ApplyRequest<'_>) -> ApplyReport {
    let ApplyRequest { engines, desired, secrets, jobs, cancelled, clock, events } = *request;
    let started_at = clock();
    let environments = Environments::new(desired);
    let work = |job| match job {
        Job::Step(at) => perform(&plan.steps[at], plan, engines, secrets),
        Job::Mark(at) => refresh_mark(&plan.marks[at], engines, secrets),
    };
    let around = Surroundings { environments: &environments, jobs, cancelled, clock, events, work: &work };
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

/// One step: its secrets first, so that one that does not resolve keeps the step from sending anything at all.
fn perform(step: &Step, plan: &Plan, engines: &BTreeMap<Text, &dyn Perform>, secrets: &Resolver) -> Ending {
    let Some(engine) = engines.get(&step.cluster) else {
        return Ending::Failed(format!("no engine was opened for cluster `{}`", step.cluster));
    };
    for field in &step.fields {
        if let Some(FieldValue::Secret(reference)) = &field.after
            && !reference.keep
            && let Err(error) = secrets.resolve(reference)
        {
            return Ending::Failed(secrets.redact(&format!("`{}`: {}", field.path, error.explain())));
        }
    }
    let refresh_secrets = plan.overrides.refresh_secrets.contains(&step.environment);
    ending(engine.perform(&Task { step, secrets, refresh_secrets }), secrets)
}

fn refresh_mark(refresh: &MarkRefresh, engines: &BTreeMap<Text, &dyn Perform>, secrets: &Resolver) -> Ending {
    match engines.get(&refresh.cluster) {
        Some(engine) => ending(engine.refresh_mark(refresh), secrets),
        None => Ending::Failed(format!("no engine was opened for cluster `{}`", refresh.cluster)),
    }
}

/// Engines redact their messages; whatever slipped through ends here.
fn ending(performed: Result<(), PerformError>, secrets: &Resolver) -> Ending {
    match performed {
        Ok(()) => Ending::Done,
        Err(PerformError::Failed(why) | PerformError::Moved(why)) => Ending::Failed(secrets.redact(&why)),
        Err(PerformError::Uncertain(why)) => Ending::Uncertain(secrets.redact(&why)),
    }
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
