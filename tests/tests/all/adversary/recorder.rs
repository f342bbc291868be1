//! A folder in which every change is written down as a shell script that makes it again.

use std::{
    fmt::Write as _,
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use magus_tests::{Run, Sandbox};

/// The store of the local engine.
pub const STORE: &str = "store/magus.db";

/// The time after which a command hangs: many times what the slowest one takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);

/// A sandbox and the script of what was done in it.
pub struct Recorder {
    /// The folder.
    pub sandbox: Sandbox,
    /// The first command that did not end in time.
    pub hung: Option<String>,
    script: String,
}

impl Recorder {
    /// An empty folder; `preamble` is the part of the script that makes what is copied into it.
    pub fn new(preamble: &str) -> Self {
        Self { sandbox: Sandbox::new(), hung: None, script: preamble.to_owned() }
    }

    /// The script so far.
    pub fn script(&self) -> &str {
        &self.script
    }

    /// A comment in the script.
    pub fn comment(&mut self, text: &str) {
        let _ = writeln!(self.script, "# {}", text.replace('\n', "\n# "));
    }

    /// Writes a file.
    pub fn write(&mut self, path: &str, text: &str) {
        self.sandbox.write(path, text);
        let folder = path.rsplit_once('/').map_or(".", |(folder, _)| folder);
        let _ = writeln!(
            self.script,
            "mkdir -p {} && printf %s {} > {}",
            quoted(folder),
            quoted(text),
            quoted(path)
        );
    }

    /// Removes a file or a folder, if it exists.
    pub fn remove(&mut self, path: &str) {
        if self.sandbox.file(path).symlink_metadata().is_ok() {
            self.sandbox.remove(path);
            let _ = writeln!(self.script, "rm -rf {}", quoted(path));
        }
    }

    /// Renames a file or a folder.
    pub fn rename(&mut self, from: &str, to: &str) {
        std::fs::rename(self.sandbox.file(from), self.sandbox.file(to)).expect("renamed");
        let _ = writeln!(self.script, "mv {} {}", quoted(from), quoted(to));
    }

    /// Makes a symbolic link, in the place of another one.
    pub fn link(&mut self, path: &str, target: &str) {
        let file = self.sandbox.file(path);
        let _ = std::fs::remove_file(&file);
        std::os::unix::fs::symlink(target, file).expect("a link");
        let _ = writeln!(self.script, "ln -sfn {} {}", quoted(target), quoted(path));
    }

    /// Runs a statement on the store, as a person with `sqlite3` would.
    pub fn sql(&mut self, statement: &str) {
        let connection = rusqlite::Connection::open(self.sandbox.file(STORE)).expect("the store opens");
        connection.busy_timeout(std::time::Duration::from_secs(10)).expect("a timeout");
        connection.execute_batch(statement).expect("the statement runs");
        let _ = writeln!(self.script, "sqlite3 {STORE} {}", quoted(statement));
    }

    /// Runs `magus` to its end.
    pub fn magus(&mut self, arguments: &[&str]) -> Run {
        let words: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
        let line = format!("magus {}", words.join(" "));
        let run = self.finish(self.sandbox.command(arguments), &line);
        let _ = writeln!(self.script, "{line}  # exit code {:?}", run.code);
        run
    }

    /// Runs a command that Magus printed, as a shell takes it, with `magus` on the path.
    pub fn shell(&mut self, line: &str) -> Run {
        let _ = writeln!(self.script, "{line}");
        let folder = magus_tests::binary().parent().expect("the folder of the binary");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = self.sandbox.program("sh");
        command.args(["-c", line]).env("PATH", format!("{}:{path}", folder.display()));
        self.finish(command, line)
    }

    /// Runs a command to its end, or kills it at the deadline.
    fn finish(&mut self, mut command: Command, line: &str) -> Run {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.expect("a command starts");
        let id = child.id().to_string();
        let (sender, receiver) = mpsc::channel();
        let waiter = std::thread::spawn(move || sender.send(child.wait_with_output()));
        let Ok(output) = receiver.recv_timeout(DEADLINE) else {
            // What the command started may hold its output open, so that the thread is not waited for.
            let _ = Command::new("kill").args(["-KILL", &id]).status();
            self.hung.get_or_insert_with(|| line.to_owned());
            return Run { code: None, stdout: String::new(), stderr: "hung".to_owned() };
        };
        waiter.join().expect("ended").expect("received");
        let output = output.expect("output");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Waits until no process is left that was started in the folder.
    pub fn wait_for_children(&self) {
        let home = format!("HOME={}", self.sandbox.file("home").display()).into_bytes();
        let is_ours = |entry: std::fs::DirEntry| {
            let environment = std::fs::read(entry.path().join("environ"));
            environment.is_ok_and(|bytes| bytes.split(|byte| *byte == 0).any(|one| one == home))
        };
        while std::fs::read_dir("/proc").is_ok_and(|mut all| all.any(|entry| entry.is_ok_and(is_ours))) {
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Notes that a run was killed, which no script can repeat exactly.
    pub fn killed(&mut self, arguments: &[&str]) {
        let _ = writeln!(self.script, "timeout -s KILL 0.03 magus {}", arguments.join(" "));
    }
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
