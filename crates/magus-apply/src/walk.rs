//! The walk itself: one thread decides and reports, the others perform.
//!
//! All state belongs to the deciding thread, so events come in one order and no lock is held while an engine
//! works. It knows neither engines nor secrets: what a job does is a function that it is given.

use std::{
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
};

use jiff::Timestamp;
use magus_model::{
    plan::{Plan, Step},
    report::{Outcome, StepResult},
};

use crate::{
    Event,
    crew::{Crew, Ending, Job, with_crew},
    schedule::{Schedule, Skip, describe},
    secrets::{self, Comparison},
    waves::{Environments, Wave, waves},
};

/// What the walk is given besides the plan.
pub(crate) struct Surroundings<'a> {
    pub(crate) environments: &'a Environments<'a>,
    pub(crate) comparisons: &'a [Comparison<'a>],
    pub(crate) jobs: usize,
    pub(crate) may_go_on: &'a dyn Fn() -> Result<(), String>,
    pub(crate) cancelled: &'a AtomicBool,
    pub(crate) clock: &'a (dyn Fn() -> Timestamp + Sync),
    pub(crate) events: &'a (dyn Fn(Event<'_>) + Sync),
    /// Does one job. It may panic.
    pub(crate) work: &'a (dyn Fn(Job) -> Ending + Sync),
}

/// What became of everything.
pub(crate) struct Walked {
    pub(crate) results: Vec<StepResult>,
    pub(crate) interrupted: bool,
    pub(crate) notes: Vec<String>,
}

/// Walks a plan to its end, or until it is cancelled.
pub(crate) fn walk(plan: &Plan, around: &Surroundings<'_>) -> Walked {
    let most = plan.steps.len().max(plan.marks.len()).max(around.comparisons.len()).max(1);
    with_crew(around.jobs.clamp(1, most), around.work, |crew| {
        Walk { plan, around, crew, notes: Vec::new() }.run()
    })
}

/// The deciding thread's state.
struct Walk<'a> {
    plan: &'a Plan,
    around: &'a Surroundings<'a>,
    crew: Crew,
    notes: Vec<String>,
}

impl<'a> Walk<'a> {
    fn run(mut self) -> Walked {
        let steps: Vec<&Step> = self.plan.steps.iter().collect();
        let (schedule, impossible) = Schedule::new(&steps, self.around.environments);
        let mut run = Run::new(steps, schedule);
        run.skipped(impossible, self.around);
        let marked = (0..self.plan.marks.len()).map(|mark| self.mark_stage(mark));
        let compared = (0..self.around.comparisons.len()).map(|at| self.comparison_stage(at));
        let waves = waves(&self.plan.steps, self.around.environments, marked.chain(compared));
        let of = waves.iter().filter(|wave| !wave.steps.is_empty()).count();
        let mut number = 0;
        let mut stopped_by: Option<String> = None;
        let mut refused: Option<String> = None;
        for wave in &waves {
            if let Some(why) = &stopped_by {
                run.skip_all(wave.steps.clone(), why, self.around);
                continue;
            }
            if self.cancelled() {
                break;
            }
            if !wave.steps.is_empty() {
                if let Err(why) = (self.around.may_go_on)() {
                    refused = Some(why);
                    break;
                }
                number += 1;
                let (environments, steps) = (wave.environments.as_slice(), wave.steps.len());
                (self.around.events)(Event::WaveStarted { number, of, environments, steps });
            }
            run.perform(wave.steps.clone(), &self.crew, self.around);
            stopped_by = run.first_bad(wave.steps.clone());
            if stopped_by.is_none() {
                self.refresh_marks(wave);
                self.compare_secrets(wave);
            }
        }
        let cancelled = self.cancelled();
        // A lock that was lost interrupts as well, and is the reason.
        let refused = refused.or_else(|| cancelled.then(|| (self.around.may_go_on)().err()).flatten());
        let why = match &refused {
            Some(why) => why,
            None if cancelled => "interrupted before it began",
            None => "no thread could be started for it",
        };
        for at in run.left() {
            run.record(at, Outcome::NotStarted, Some(why.to_owned()), self.around);
        }
        let results = run.results();
        // What was under way may have ended early because of it as well.
        let is_open =
            |result: &StepResult| matches!(result.outcome, Outcome::NotStarted | Outcome::Uncertain);
        let interrupted = cancelled && results.iter().any(is_open);
        Walked { results, interrupted, notes: self.notes }
    }

    fn mark_stage(&self, at: usize) -> u32 {
        self.around.environments.stage(&self.plan.marks[at].mark.environment)
    }

    fn comparison_stage(&self, at: usize) -> u32 {
        self.around.environments.stage(self.around.comparisons[at].environment)
    }

    /// Bookkeeping that nobody waits for: what fails here is noted, and tried again by the next apply.
    fn refresh_marks(&mut self, wave: &Wave) {
        let jobs = (0..self.plan.marks.len()).filter(|at| self.mark_stage(*at) == wave.stage).map(Job::Mark);
        let mut endings = self.crew.all(jobs.collect(), || !self.cancelled());
        endings.sort_by_key(|(job, _)| *job);
        for (job, ending) in endings {
            if let (Job::Mark(at), Ending::Failed(why) | Ending::Uncertain(why) | Ending::NotStarted(why)) =
                (job, ending)
            {
                let workspace = &self.plan.marks[at].workspace;
                self.note(format!(
                    "the mark on `{workspace}` was not refreshed, the next apply tries again: {why}"
                ));
            }
        }
    }

    fn compare_secrets(&mut self, wave: &Wave) {
        let all = self.around.comparisons;
        let jobs = (0..all.len()).filter(|at| self.comparison_stage(*at) == wave.stage).map(Job::Compare);
        let mut endings = self.crew.all(jobs.collect(), || !self.cancelled());
        endings.sort_by_key(|(job, _)| *job);
        let mut answers = Vec::new();
        for (job, ending) in &endings {
            let Job::Compare(at) = job else { continue };
            match ending {
                Ending::Compared(compared) => answers.push((&all[*at], compared)),
                Ending::Failed(why) | Ending::Uncertain(why) | Ending::NotStarted(why) => {
                    let workspace = all[*at].workspace;
                    self.note(format!("whether the secrets of `{workspace}` changed is not known: {why}"));
                }
                Ending::Done => {}
            }
        }
        for note in secrets::notes(&answers) {
            self.note(note);
        }
    }

    fn note(&mut self, note: String) {
        (self.around.events)(Event::Note { text: &note });
        self.notes.push(note);
    }

    fn cancelled(&self) -> bool {
        self.around.cancelled()
    }
}

impl Surroundings<'_> {
    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// A list of steps on its way to results.
struct Run<'a> {
    steps: Vec<&'a Step>,
    schedule: Schedule<'a>,
    progress: Vec<Progress>,
}

enum Progress {
    Waits,
    Begun(Timestamp),
    Ended(StepResult),
}

impl<'a> Run<'a> {
    fn new(steps: Vec<&'a Step>, schedule: Schedule<'a>) -> Self {
        let progress = steps.iter().map(|_| Progress::Waits).collect();
        Self { steps, schedule, progress }
    }

    /// Performs what can be performed of a wave, until all of it ended or nothing more may begin.
    fn perform(&mut self, wave: Range<usize>, crew: &Crew, around: &Surroundings<'_>) {
        self.schedule.open(wave);
        let mut under_way = 0;
        loop {
            while under_way < crew.size && !around.cancelled() {
                let Some(at) = self.schedule.begin() else { break };
                self.progress[at] = Progress::Begun((around.clock)());
                (around.events)(Event::StepStarted { step: self.steps[at] });
                crew.give(Job::Step(at));
                under_way += 1;
            }
            if under_way == 0 {
                return;
            }
            let Some((job, ending)) = crew.next() else { return };
            under_way -= 1;
            let Job::Step(at) = job else { continue };
            let (outcome, message) = match ending {
                Ending::Done | Ending::Compared(_) => (Outcome::Applied, None),
                Ending::Failed(why) => (Outcome::Failed, Some(why)),
                Ending::Uncertain(why) => (Outcome::Uncertain, Some(why)),
                Ending::NotStarted(why) => (Outcome::NotStarted, Some(why)),
            };
            self.record(at, outcome, message, around);
            let skips = self.schedule.end(at, outcome);
            self.skipped(skips, around);
            if around.cancelled() {
                (around.events)(Event::Interrupted { running: under_way });
            }
        }
    }

    /// Why nothing of a later stage may begin, where these steps did not end well.
    fn first_bad(&self, wave: Range<usize>) -> Option<String> {
        wave.into_iter().find_map(|at| match self.schedule.outcome(at) {
            Some(outcome @ (Outcome::Failed | Outcome::Uncertain | Outcome::NotStarted)) => {
                let Step { id, environment, .. } = self.steps[at];
                Some(format!("`{id}` {}, and later stages wait for `{environment}`", describe(outcome)))
            }
            _ => None,
        })
    }

    fn skip_all(&mut self, wave: Range<usize>, why: &str, around: &Surroundings<'_>) {
        let mut skips = Vec::new();
        for at in wave {
            self.schedule.skip(at, why.to_owned(), &mut skips);
        }
        self.skipped(skips, around);
    }

    fn skipped(&mut self, skips: Vec<Skip>, around: &Surroundings<'_>) {
        for Skip { step, why } in skips {
            self.record(step, Outcome::Skipped, Some(why), around);
        }
    }

    fn record(&mut self, at: usize, outcome: Outcome, message: Option<String>, around: &Surroundings<'_>) {
        let step = self.steps[at];
        let duration_ms = match &self.progress[at] {
            Progress::Begun(since) => {
                u64::try_from((around.clock)().duration_since(*since).as_millis()).unwrap_or(0)
            }
            Progress::Waits | Progress::Ended(_) => 0,
        };
        let result = StepResult {
            step: step.id.clone(),
            cluster: step.cluster.clone(),
            environment: step.environment.clone(),
            workspace: step.workspace.clone(),
            action: step.action,
            outcome,
            message,
            duration_ms,
        };
        (around.events)(Event::StepFinished { step, result: &result });
        self.progress[at] = Progress::Ended(result);
    }

    /// The steps without a result.
    fn left(&self) -> Vec<usize> {
        self.schedule.left(0..self.steps.len())
    }

    /// One result for each step, in their order.
    fn results(self) -> Vec<StepResult> {
        let ended = self.progress.into_iter().filter_map(|progress| match progress {
            Progress::Ended(result) => Some(result),
            Progress::Waits | Progress::Begun(_) => None,
        });
        ended.collect()
    }
}
