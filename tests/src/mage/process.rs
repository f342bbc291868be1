//! A server that runs beside a test and never outlives it: the test's side of the keeper (`keeper.rs`).

use std::{
    ffi::OsString,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, channel},
    },
    time::{Duration, Instant},
};

/// How long a server may take to start or to end; generous, because the machine may be building meanwhile.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);

/// How often a condition is looked at while it is waited for.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// What to run.
pub(crate) struct Program {
    /// The program and its arguments.
    pub(crate) words: Vec<OsString>,
    /// Its whole environment.
    pub(crate) variables: Vec<(OsString, OsString)>,
}

/// A program that runs in a folder of its own; dropping it kills all its processes and removes the folder.
pub(crate) struct Kept {
    keeper: Child,
    input: Option<ChildStdin>,
    answers: Mutex<Receiver<String>>,
    folder: PathBuf,
}

impl Kept {
    /// Starts the program in a folder that exists already.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub(crate) fn start(folder: PathBuf, program: &Program) -> Self {
        let mut keeper = Command::new(keeper())
            .arg(&folder)
            .args(&program.words)
            .env_clear()
            .envs(program.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the keeper starts");
        let input = keeper.stdin.take();
        let output = BufReader::new(keeper.stdout.take().expect("its output"));
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let kept = Self { keeper, input, answers: Mutex::new(answers), folder };
        kept.expect("started");
        kept
    }

    /// The folder in which the program runs.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Kills all processes; the folder stays.
    pub(crate) fn stop(&mut self) {
        self.tell("stop");
        self.expect("stopped");
    }

    /// Starts the program again, after [`Kept::stop`].
    pub(crate) fn start_again(&mut self) {
        self.tell("start");
        self.expect("started");
    }

    /// Waits until a look finds what is waited for.
    ///
    /// # Panics
    /// Where the program ends before, or the deadline is over; with the end of its log.
    pub(crate) fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            let said = self.answers.lock().unwrap_or_else(PoisonError::into_inner).try_recv();
            let ended = said.is_ok_and(|word| word == "ended");
            assert!(!ended, "{what}: the program ended\n{}", self.end_of_log());
            assert!(start.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}\n{}", self.end_of_log());
            std::thread::sleep(LOOK);
        }
    }

    /// What the program wrote to its outputs.
    pub(crate) fn log(&self) -> String {
        let read = |name: &str| std::fs::read(self.folder.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&[read("output"), read("log")].concat()).into_owned()
    }

    fn end_of_log(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn tell(&mut self, word: &str) {
        let input = self.input.as_mut().expect("the keeper listens until this is dropped");
        writeln!(input, "{word}").and_then(|()| input.flush()).expect("the keeper listens");
    }

    /// Waits for an answer; that the program ended meanwhile is no answer.
    fn expect(&self, word: &str) {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        while answers.recv_timeout(DEADLINE).expect("the keeper answers") != word {}
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // The end of its input is what the keeper waits for; it then takes a moment.
        drop(self.input.take());
        let start = Instant::now();
        while start.elapsed() < DEADLINE {
            if !matches!(self.keeper.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.keeper.kill();
    }
}

/// A new folder for a server, with a space in its path. It belongs to the keeper, which removes it.
pub(crate) fn new_folder(what: &str) -> PathBuf {
    tempfile::Builder::new().prefix(&format!("magus {what} ")).tempdir().expect("a temporary folder").keep()
}

/// The program of `keeper.rs`, which cargo builds together with the tests.
fn keeper() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let keeper = test.ancestors().nth(2).expect("the profile's folder").join("magus-test-keeper");
    assert!(keeper.is_file(), "{} is missing: `cargo test -p magus-tests` builds it", keeper.display());
    keeper
}
