//! The threads that perform. They hold no state: each takes the next job, does it, and sends back how it ended.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use magus_model::path::FieldPath;

/// What a worker is asked to do. The numbers are indexes into what the walk was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Job {
    /// Perform this step of the plan.
    Step(usize),
    /// Refresh this one of the plan's marks.
    Mark(usize),
    /// See which secrets of this comparison have other values than those that run.
    Compare(usize),
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Done, and seen to be done.
    Done,
    /// A comparison's answer.
    Compared(Compared),
    /// Not done; why.
    Failed(String),
    /// Perhaps done; why nobody knows.
    Uncertain(String),
    /// Not begun, for a reason that passes.
    NotStarted(String),
}

/// Which secrets of a workspace have other values than those that run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Compared {
    /// These have.
    pub(crate) changed: Vec<FieldPath>,
    /// Why nobody knows it of the others.
    pub(crate) unresolved: Vec<String>,
}

/// The threads, as the deciding one sees them.
pub(crate) struct Crew {
    /// How many there are: as many jobs may be under way.
    pub(crate) size: usize,
    to_workers: Sender<Job>,
    from_workers: Receiver<(Job, Ending)>,
}

impl Crew {
    /// Hands out a job. No more than [`Crew::size`] should be under way, so that none waits unseen.
    pub(crate) fn give(&self, job: Job) {
        // The workers live as long as this sender, so that it always has a receiver.
        let _ = self.to_workers.send(job);
    }

    /// Waits for a job to end; nothing where no worker is left.
    pub(crate) fn next(&self) -> Option<(Job, Ending)> {
        self.from_workers.recv().ok()
    }

    /// Does all of these jobs in any order, until `go_on` says no, and answers with what was done.
    pub(crate) fn all(&self, jobs: Vec<Job>, go_on: impl Fn() -> bool) -> Vec<(Job, Ending)> {
        let mut jobs = jobs.into_iter();
        let mut under_way = 0;
        let mut endings = Vec::new();
        loop {
            while under_way < self.size && go_on() {
                let Some(job) = jobs.next() else { break };
                self.give(job);
                under_way += 1;
            }
            if under_way == 0 {
                return endings;
            }
            let Some(ending) = self.next() else { return endings };
            under_way -= 1;
            endings.push(ending);
        }
    }
}

/// Lets `decide` run with a crew of up to `size` threads that do jobs with `work`. Where the system gives fewer
/// threads, the crew is smaller.
pub(crate) fn with_crew<T>(
    size: usize,
    work: &(dyn Fn(Job) -> Ending + Sync),
    decide: impl FnOnce(Crew) -> T,
) -> T {
    let (to_workers, jobs) = mpsc::channel();
    let (done, from_workers) = mpsc::channel();
    let jobs = Mutex::new(jobs);
    thread::scope(|scope| {
        let jobs = &jobs;
        let size = (0..size)
            .map_while(|number| {
                let done = done.clone();
                let body = move || labour(jobs, &done, work);
                thread::Builder::new().name(format!("apply-{number}")).spawn_scoped(scope, body).ok()
            })
            .count();
        drop(done);
        decide(Crew { size, to_workers, from_workers })
    })
}

/// A worker: does one job after the other until the deciding thread has no more.
fn labour(jobs: &Mutex<Receiver<Job>>, done: &Sender<(Job, Ending)>, work: &(dyn Fn(Job) -> Ending + Sync)) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // What a panic says may hold a value that was being looked at: the panic hook names the place, and that
        // has to do.
        let ending = catch_unwind(AssertUnwindSafe(|| work(job))).unwrap_or_else(|_| {
            Ending::Uncertain("the engine panicked, which is a fault of Magus".to_owned())
        });
        if done.send((job, ending)).is_err() {
            return;
        }
    }
}
