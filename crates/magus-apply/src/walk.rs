//! The walk itself: one thread decides and reports, the others perform.
//!
//! All state belongs to the deciding thread, so events come in one order and no lock is held while an engine
//! works. It knows neither engines nor secrets: what a job does is a function that it is given.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use jiff::Timestamp;
use magus_model::{
    plan::{Plan, Step},
    report::{Outcome, StepResult},
};

use crate::{
    Event,
    schedule::{Schedule, Skip, describe},
    waves::{Environments, Wave, waves},
};

/// What a worker is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    /// Perform this step of the plan.
    Step(usize),
    /// Refresh this one of the plan's marks.
    Mark(usize),
}

/// How a job ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Done, and seen to be done.
    Done,
    /// Not done; why.
    Failed(String),
    /// Perhaps done; why nobody knows.
    Uncertain(String),
}

/// What the walk is given besides the plan.
pub(crate) struct Surroundings<'a> {
    pub(crate) environments: &'a Environments<'a>,
    pub(crate) jobs: usize,
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
    let work_to_do = plan.steps.len().max(plan.marks.len());
    let (to_workers, from_decider) = mpsc::channel();
    let (to_decider, from_workers) = mpsc::channel();
    let from_decider = Mutex::new(from_decider);
    thread::scope(|scope| {
        let from_decider = &from_decider;
        // Where the system gives no more threads, the walk goes on with those that it has.
        let workers = (0..around.jobs.clamp(1, work_to_do.max(1)))
            .map_while(|number| {
                let to_decider = to_decider.clone();
                let body = move || labour(from_decider, &to_decider, around);
                thread::Builder::new().name(format!("apply-{number}")).spawn_scoped(scope, body).ok()
            })
            .count();
        drop(to_decider);
        let (schedule, impossible) = Schedule::new(&plan.steps, around.environments);
        let walk = Walk {
            plan,
            around,
            workers,
            schedule,
            results: plan.steps.iter().map(|_| None).collect(),
            notes: Vec::new(),
            to_workers,
            from_workers,
        };
        walk.run(impossible)
    })
}

/// A worker: does one job after the other until the deciding thread has no more.
fn labour(jobs: &Mutex<Receiver<Job>>, done: &Sender<(Job, Ending)>, around: &Surroundings<'_>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        let ending = catch_unwind(AssertUnwindSafe(|| (around.work)(job))).unwrap_or_else(|panic| {
            // Whatever the panic says may hold a value that was being looked at; the panic hook names the place.
            drop(panic);
            Ending::Uncertain("the engine panicked, which is a fault of Magus".to_owned())
        });
        if done.send((job, ending)).is_err() {
            return;
        }
    }
}

/// The deciding thread's state.
struct Walk<'a> {
    plan: &'a Plan,
    around: &'a Surroundings<'a>,
    workers: usize,
    schedule: Schedule<'a>,
    results: Vec<Option<Progress>>,
    notes: Vec<String>,
    to_workers: Sender<Job>,
    from_workers: Receiver<(Job, Ending)>,
}

/// What is known of a step that has begun or will not begin.
enum Progress {
    Begun(Timestamp),
    Ended(StepResult),
}

impl Walk<'_> {
    fn run(mut self, impossible: Vec<Skip>) -> Walked {
        self.record_skips(impossible);
        let waves = waves(&self.plan.steps, self.around.environments);
        let mut marks: Vec<usize> = (0..self.plan.marks.len()).collect();
        let mut stopped_by: Option<String> = None;
        for (number, wave) in waves.iter().enumerate() {
            if let Some(why) = &stopped_by {
                self.skip_wave(wave, why);
                continue;
            }
            if self.cancelled() {
                break;
            }
            (self.around.events)(Event::WaveStarted {
                number: number + 1,
                of: waves.len(),
                environments: &wave.environments,
                steps: wave.steps.len(),
            });
            self.perform_wave(wave);
            stopped_by = self.first_bad(wave);
            if stopped_by.is_none() {
                let (now, later) = marks.into_iter().partition(|mark| self.mark_stage(*mark) == wave.stage);
                self.refresh_marks(now);
                marks = later;
            }
        }
        if stopped_by.is_none() {
            self.refresh_marks(marks);
        }
        self.finish()
    }

    fn perform_wave(&mut self, wave: &Wave) {
        self.schedule.open(wave.steps.clone());
        loop {
            while !self.cancelled() && self.schedule.running() < self.workers {
                let Some(at) = self.schedule.begin() else { break };
                self.results[at] = Some(Progress::Begun((self.around.clock)()));
                (self.around.events)(Event::StepStarted { step: &self.plan.steps[at] });
                // The workers live as long as this sender does.
                let _ = self.to_workers.send(Job::Step(at));
            }
            if self.schedule.running() == 0 {
                return;
            }
            let Ok((job, ending)) = self.from_workers.recv() else { return };
            let Job::Step(at) = job else { continue };
            let (outcome, message) = match ending {
                Ending::Done => (Outcome::Applied, None),
                Ending::Failed(why) => (Outcome::Failed, Some(why)),
                Ending::Uncertain(why) => (Outcome::Uncertain, Some(why)),
            };
            self.record(at, outcome, message);
            let skips = self.schedule.end(at, outcome);
            self.record_skips(skips);
            if self.cancelled() {
                (self.around.events)(Event::Interrupted { running: self.schedule.running() });
            }
        }
    }

    /// Why no later wave may begin, where this one did not end well.
    fn first_bad(&self, wave: &Wave) -> Option<String> {
        wave.steps.clone().find_map(|at| match self.schedule.outcome(at) {
            Some(outcome @ (Outcome::Failed | Outcome::Uncertain)) => {
                let Step { id, environment, .. } = &self.plan.steps[at];
                Some(format!(
                    "`{id}` {}, and what comes after `{environment}` waits for it",
                    describe(outcome)
                ))
            }
            _ => None,
        })
    }

    fn skip_wave(&mut self, wave: &Wave, why: &str) {
        let mut skips = Vec::new();
        for at in wave.steps.clone() {
            self.schedule.skip(at, why.to_owned(), &mut skips);
        }
        self.record_skips(skips);
    }

    fn mark_stage(&self, mark: usize) -> Option<u32> {
        let refresh = &self.plan.marks[mark];
        self.around.environments.stage(&refresh.cluster, &refresh.mark.environment)
    }

    /// Bookkeeping that nobody waits for: what fails here is noted, and tried again by the next apply.
    fn refresh_marks(&mut self, marks: Vec<usize>) {
        let mut running = 0;
        let mut marks = marks.into_iter();
        let mut failures = Vec::new();
        loop {
            while running < self.workers && !self.cancelled() {
                let Some(mark) = marks.next() else { break };
                let _ = self.to_workers.send(Job::Mark(mark));
                running += 1;
            }
            if running == 0 {
                break;
            }
            let Ok((job, ending)) = self.from_workers.recv() else { break };
            running -= 1;
            if let (Job::Mark(mark), Ending::Failed(why) | Ending::Uncertain(why)) = (job, ending) {
                failures.push((mark, why));
            }
        }
        failures.sort_unstable();
        for (mark, why) in failures {
            let workspace = &self.plan.marks[mark].workspace;
            self.note(format!(
                "the mark on `{workspace}` was not refreshed, the next apply tries again: {why}"
            ));
        }
    }

    fn finish(mut self) -> Walked {
        let left = self.schedule.left(0..self.plan.steps.len());
        let interrupted = self.cancelled() && !left.is_empty();
        for at in left {
            let why =
                if interrupted { "interrupted before it began" } else { "no thread could be started for it" };
            self.record(at, Outcome::NotStarted, Some(why.to_owned()));
        }
        let results = self.results.into_iter().flatten().filter_map(|progress| match progress {
            Progress::Ended(result) => Some(result),
            Progress::Begun(_) => None,
        });
        Walked { results: results.collect(), interrupted, notes: self.notes }
    }

    fn record_skips(&mut self, skips: Vec<Skip>) {
        for Skip { step, why } in skips {
            self.record(step, Outcome::Skipped, Some(why));
        }
    }

    fn record(&mut self, at: usize, outcome: Outcome, message: Option<String>) {
        let step = &self.plan.steps[at];
        let duration_ms = match &self.results[at] {
            Some(Progress::Begun(since)) => {
                u64::try_from((self.around.clock)().duration_since(*since).as_millis()).unwrap_or(0)
            }
            _ => 0,
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
        (self.around.events)(Event::StepFinished { step, result: &result });
        self.results[at] = Some(Progress::Ended(result));
    }

    fn note(&mut self, note: String) {
        (self.around.events)(Event::Note { text: &note });
        self.notes.push(note);
    }

    fn cancelled(&self) -> bool {
        self.around.cancelled.load(Ordering::Relaxed)
    }
}
