//! Child processes that end: each has a group of its own, a deadline or a limit without progress, and [`stop_all`] ends them.
//!
//! This crate knows no program: [`run`] takes a [`Command`] that its caller has made, and [`Group`] watches a child that its
//! caller waits for. What else has to end then, such as a request, is told by [`on_stop`].

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]

use std::{
    collections::BTreeMap,
    io::{self, Read},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// How often a child is looked for.
const POLL: Duration = Duration::from_millis(10);
/// How long the output of an ended child is waited for: a process that left its group may hold the pipe.
const REST: Duration = Duration::from_secs(1);
/// After [`stop_all`], a new child gets so much time, so that a lock can still be released.
pub const AFTER_STOP: Duration = Duration::from_secs(5);
/// More output than this is not kept.
const LARGEST: u64 = 64 << 20;

/// How long a child may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In all; `None` if only progress counts, as for a large download.
    pub total: Option<Duration>,
    /// Without a byte of output; `None` for a program that says nothing while it works.
    pub silence: Option<Duration>,
}

/// What an ended child left.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

/// Why a child did not end by itself. Its whole group was killed.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// It was not started.
    #[error("it cannot be started: {0}")]
    NotStarted(io::Error),
    /// It took longer than it may.
    #[error("it did not end within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// It said nothing for longer than it may.
    #[error("it made no progress for {} s", .0.as_secs())]
    Stalled(Duration),
    /// [`stop_all`] ended it.
    #[error("it was interrupted")]
    Interrupted,
    /// It asked on the terminal, which a child in a process group of its own may not use.
    #[error("it wanted to ask something on the terminal")]
    Asked,
}

/// The groups of the children that run, by the number of their leader.
static RUNNING: Mutex<BTreeMap<i32, ()>> = Mutex::new(BTreeMap::new());
/// How often all were stopped.
static STOPS: AtomicU64 = AtomicU64::new(0);
/// Wakes those that sleep; used with [`RUNNING`].
static STOPPED: Condvar = Condvar::new();
/// What is called when all are stopped.
static CALLS: Mutex<BTreeMap<u64, Arc<dyn Fn() + Send + Sync>>> = Mutex::new(BTreeMap::new());
/// The number of the next call.
static NEXT_CALL: AtomicU64 = AtomicU64::new(0);

fn running() -> MutexGuard<'static, BTreeMap<i32, ()>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills every child that runs, with all that it started, and tells everything that waits for [`on_stop`]. A child that is
/// started later has only a few seconds.
pub fn stop_all() {
    STOPS.fetch_add(1, Ordering::SeqCst);
    running().keys().for_each(|group| kill(*group));
    STOPPED.notify_all();
    // None of them is called under the lock: it may drop what it belongs to.
    let calls: Vec<_> = calls().values().map(Arc::clone).collect();
    calls.iter().for_each(|call| call());
}

fn calls() -> MutexGuard<'static, BTreeMap<u64, Arc<dyn Fn() + Send + Sync>>> {
    CALLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What [`on_stop`] calls, as long as this is kept.
#[derive(Debug)]
pub struct OnStop(u64);

impl Drop for OnStop {
    fn drop(&mut self) {
        calls().remove(&self.0);
    }
}

/// Calls this when [`stop_all`] is called, and at once if it was called before.
pub fn on_stop(call: impl Fn() + Send + Sync + 'static) -> OnStop {
    let call: Arc<dyn Fn() + Send + Sync> = Arc::new(call);
    let kept = OnStop(NEXT_CALL.fetch_add(1, Ordering::Relaxed));
    calls().insert(kept.0, Arc::clone(&call));
    if STOPS.load(Ordering::SeqCst) > 0 {
        call();
    }
    kept
}

/// Sleeps, at most until the next [`stop_all`].
pub fn sleep(time: Duration) {
    let stops = STOPS.load(Ordering::SeqCst);
    let is_asleep = |_: &mut BTreeMap<i32, ()>| STOPS.load(Ordering::SeqCst) == stops;
    drop(STOPPED.wait_timeout_while(running(), time, is_asleep));
}

fn kill(group: i32) {
    if let Some(group) = Pid::from_raw(group) {
        // A group that has ended is as good.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// A child in a group of its own, as long as this is kept. [`stop_all`] ends it.
#[derive(Debug)]
pub struct Group {
    leader: i32,
    stops: u64,
}

impl Group {
    /// Starts a command in a group of its own.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn(command: &mut Command) -> io::Result<(Child, Self)> {
        let stops = STOPS.load(Ordering::SeqCst);
        let child = command.process_group(0).spawn()?;
        let leader = i32::try_from(child.id()).map_err(io::Error::other)?;
        running().insert(leader, ());
        Ok((child, Self { leader, stops }))
    }

    /// Whether all children were stopped since it was started.
    pub fn is_stopped(&self) -> bool {
        STOPS.load(Ordering::SeqCst) > self.stops
    }

    /// Ends the child, and everything that it started in its group.
    pub fn kill(&self, child: &mut Child) {
        kill(self.leader);
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        running().remove(&self.leader);
    }
}

/// Runs a command to its end, with nothing as its input, and keeps its output.
///
/// # Errors
/// If it was not started, or had to be killed.
pub fn run(command: &mut Command, limits: Limits) -> Result<Output, Stopped> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (mut child, group) = Group::spawn(command).map_err(Stopped::NotStarted)?;
    let heard = Arc::new(AtomicU64::new(0));
    let stdout = child.stdout.take().map(|pipe| Reading::start(pipe, &heard));
    let stderr = child.stderr.take().map(|pipe| Reading::start(pipe, &heard));
    let ended = wait(&mut child, &group, limits, &heard);
    if ended.is_err() {
        group.kill(&mut child);
    }
    let read = |reading: Option<Reading>| reading.map_or_else(Vec::new, Reading::end);
    let (stdout, stderr) = (read(stdout), read(stderr));
    Ok(Output { status: ended?, stdout, stderr })
}

fn wait(
    child: &mut Child,
    group: &Group,
    Limits { total, silence }: Limits,
    heard: &AtomicU64,
) -> Result<ExitStatus, Stopped> {
    let started = Instant::now();
    let total = if group.stops > 0 { Some(total.unwrap_or(AFTER_STOP).min(AFTER_STOP)) } else { total };
    let (mut last, mut at) = (0, started);
    loop {
        if let Some(status) = child.try_wait().map_err(Stopped::NotStarted)? {
            // One that was killed by `stop_all` has not failed by itself.
            return if group.is_stopped() && !status.success() {
                Err(Stopped::Interrupted)
            } else {
                Ok(status)
            };
        }
        if group.is_stopped() {
            return Err(Stopped::Interrupted);
        }
        if asks(child) {
            return Err(Stopped::Asked);
        }
        let now = heard.load(Ordering::Relaxed);
        if now != last {
            (last, at) = (now, Instant::now());
        }
        if let Some(total) = total.filter(|total| started.elapsed() >= *total) {
            return Err(Stopped::TimedOut(total));
        }
        if let Some(silence) = silence.filter(|silence| at.elapsed() >= *silence) {
            return Err(Stopped::Stalled(silence));
        }
        thread::sleep(POLL);
    }
}

/// Whether a child was stopped because it, or something that it started, used the terminal: a group of its own is in the
/// background, and would wait there until its deadline.
fn asks(child: &Child) -> bool {
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return false };
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let Ok(Some(status)) = waitid(WaitId::Pid(pid), options) else { return false };
    [Signal::TTIN, Signal::TTOU].iter().any(|signal| status.stopping_signal() == Some(signal.as_raw()))
}

/// A thread that reads a pipe to its end.
struct Reading {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Reading {
    fn start(mut pipe: impl Read + Send + 'static, heard: &Arc<AtomicU64>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (kept, heard) = (Arc::clone(&bytes), Arc::clone(heard));
        // Without the thread the writer waits for ever, and is then killed in time.
        let thread = thread::Builder::new().name("output".to_owned()).spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                heard.fetch_add(read as u64, Ordering::Relaxed);
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if (kept.len() as u64) < LARGEST {
                    kept.extend_from_slice(&buffer[..read]);
                }
            }
        });
        Self { bytes, thread: thread.ok() }
    }

    /// What was read. A process that left the group can hold the pipe for ever, and is not waited for.
    fn end(self) -> Vec<u8> {
        let deadline = Instant::now() + REST;
        if let Some(thread) = self.thread {
            while !thread.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
        }
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(300);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_status_are_kept() {
        let limits = Limits { total: Some(Duration::from_secs(60)), silence: None };
        let output = run(&mut shell("echo out; echo err >&2; exit 3"), limits).unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    }

    #[test]
    fn a_child_that_takes_too_long_is_killed_with_all_that_it_started() {
        let folder = std::env::temp_dir().join(format!("magus-process-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("pid");
        let script = format!("sleep 600 & echo $! > '{}'; wait", file.display());
        let limits = Limits { total: Some(SHORT), silence: None };
        assert!(matches!(run(&mut shell(&script), limits), Err(Stopped::TimedOut(SHORT))));
        let started = std::fs::read_to_string(&file).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let ended = || {
            let status = std::fs::read_to_string(format!("/proc/{}/stat", started.trim()));
            status.map_or(true, |status| status.contains(") Z"))
        };
        while !ended() {
            assert!(Instant::now() < deadline, "{started} still runs");
            thread::yield_now();
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn progress_keeps_a_child_alive_and_silence_ends_it() {
        let limits = Limits { total: None, silence: Some(SHORT * 3) };
        let talks = "for i in 1 2 3 4 5 6 7 8; do echo .; sleep 0.2; done";
        assert!(run(&mut shell(talks), limits).unwrap().status.success());
        assert!(matches!(run(&mut shell("echo .; sleep 600"), limits), Err(Stopped::Stalled(_))));
    }

    #[test]
    fn a_child_that_asks_on_the_terminal_is_killed_at_once() {
        // What the kernel sends to the group of a child in the background that reads from its terminal, or changes it.
        for signal in ["TTIN", "TTOU"] {
            let limits = Limits { total: Some(Duration::from_secs(60)), silence: None };
            let asks = shell(&format!("sleep 600 & kill -{signal} 0; wait"));
            let started = Instant::now();
            assert!(matches!(run(&mut { asks }, limits), Err(Stopped::Asked)), "{signal}");
            assert!(started.elapsed() < Duration::from_secs(30), "{signal}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_not_started() {
        let limits = Limits { total: None, silence: None };
        let mut missing = Command::new("/no/such/program");
        assert!(matches!(run(&mut missing, limits), Err(Stopped::NotStarted(_))));
    }
}
