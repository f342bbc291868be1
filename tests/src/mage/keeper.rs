//! Keeps a server of a test, and ends it with the test.
//!
//! ```text
//! magus-test-keeper FOLDER PROGRAM [ARGUMENT…]
//! ```
//!
//! The program runs in FOLDER, its output goes to the files `output` and `log` there. When the keeper's standard input
//! closes, which happens however the test ended, also by a signal, every process that the program has left is killed
//! and FOLDER is removed. A server in a `static`, shared by all tests of a binary, needs that: nothing drops it.
//!
//! Lines on standard input: `stop` kills all processes and keeps the folder, `start` starts the program again. The
//! keeper answers each with a line, `started` or `stopped`, and says `ended` where the program ended by itself.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, BufRead, Write},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::Duration,
};

use rustix::process::{Pid, Signal};

/// How often the keeper looks whether its program still runs.
const LOOK: Duration = Duration::from_millis(50);

struct Keeper {
    folder: PathBuf,
    program: Vec<OsString>,
    running: Option<Child>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), program) = (arguments.next(), arguments.collect::<Vec<_>>()) else {
        return ExitCode::from(64);
    };
    if program.is_empty() {
        return ExitCode::from(64);
    }
    // What the program leaves behind becomes a child of the keeper, not of process 1, and can be found.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let mut keeper = Keeper { folder: folder.into(), program, running: None };
    let result = keeper.start().and_then(|()| keeper.run(&lines()));
    keeper.kill();
    remove(&keeper.folder);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "magus-test-keeper: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The lines of standard input; the sender goes away when it closes.
fn lines() -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            if line.is_ok_and(|line| sender.send(line).is_ok()) {
                continue;
            }
            break;
        }
    });
    receiver
}

impl Keeper {
    fn run(&mut self, lines: &Receiver<String>) -> io::Result<()> {
        loop {
            match lines.recv_timeout(LOOK) {
                Ok(line) if line == "start" => self.start()?,
                Ok(line) if line == "stop" => {
                    self.kill();
                    say("stopped");
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => self.look()?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    fn start(&mut self) -> io::Result<()> {
        self.kill();
        let file = |name: &str| -> io::Result<File> {
            OpenOptions::new().create(true).append(true).open(self.folder.join(name))
        };
        let child = Command::new(&self.program[0])
            .args(&self.program[1..])
            .current_dir(&self.folder)
            // Held open: programs that end when it closes are not to end now.
            .stdin(Stdio::piped())
            .stdout(file("output")?)
            .stderr(file("log")?)
            .process_group(0)
            .spawn()?;
        self.running = Some(child);
        say("started");
        Ok(())
    }

    fn look(&mut self) -> io::Result<()> {
        if let Some(child) = &mut self.running
            && child.try_wait()?.is_some()
        {
            self.kill();
            say("ended");
        }
        Ok(())
    }

    /// Kills the program's process group, and then whatever left the group.
    fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = rustix::process::kill_process_group(group, Signal::KILL);
            }
            let _ = child.wait();
        }
        loop {
            let left = children();
            for one in &left {
                let _ = rustix::process::kill_process(*one, Signal::KILL);
                let _ = rustix::process::waitpid(Some(*one), rustix::process::WaitOptions::empty());
            }
            if left.is_empty() {
                return;
            }
        }
    }
}

/// The children of this process. Where the system has no such list, the process group has to do.
fn children() -> Vec<Pid> {
    let own = rustix::process::getpid().as_raw_nonzero();
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{own}/task")) else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|one| one.parse().ok()).collect::<Vec<i32>>())
        .filter_map(Pid::from_raw)
        .collect()
}

/// Removes the folder; a file that a dying process wrote in the meantime takes another round.
fn remove(folder: &Path) {
    for _ in 0..20 {
        if std::fs::remove_dir_all(folder).is_ok() || !folder.exists() {
            return;
        }
        std::thread::sleep(LOOK);
    }
}

/// Tells the test; that nobody listens any more is no error.
fn say(word: &str) {
    let mut output = io::stdout().lock();
    let _ = writeln!(output, "{word}").and_then(|()| output.flush());
}
