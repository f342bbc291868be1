//! A folder in which every change is written down as a shell script that makes it again.

use std::{fmt::Write as _, process::Stdio};

use magus_tests::{Run, Sandbox};

/// The store of the local engine.
pub const STORE: &str = "store/magus.db";

/// A sandbox and the script of what was done in it.
pub struct Recorder {
    /// The folder.
    pub sandbox: Sandbox,
    script: String,
}

impl Recorder {
    /// An empty folder; `preamble` is the part of the script that makes what is copied into it.
    pub fn new(preamble: &str) -> Self {
        Self { sandbox: Sandbox::new(), script: preamble.to_owned() }
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
        let run = self.sandbox.magus(arguments);
        let words: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
        let _ = writeln!(self.script, "magus {}  # exit code {:?}", words.join(" "), run.code);
        run
    }

    /// Runs a command that Magus printed, as a shell takes it, with `magus` on the path.
    pub fn shell(&mut self, command: &str) -> Run {
        let _ = writeln!(self.script, "{command}");
        shell(&self.sandbox, command)
    }

    /// Notes that a run was killed, which no script can repeat exactly.
    pub fn killed(&mut self, arguments: &[&str]) {
        let _ = writeln!(self.script, "timeout -s KILL 0.03 magus {}", arguments.join(" "));
    }
}

/// Runs a command line in a sandbox, with `magus` on the path and without a terminal.
pub fn shell(sandbox: &Sandbox, command: &str) -> Run {
    let folder = magus_tests::binary().parent().expect("the folder of the binary");
    let path = std::env::var("PATH").unwrap_or_default();
    let output = sandbox
        .program("sh")
        .args(["-c", command])
        .env("PATH", format!("{}:{path}", folder.display()))
        .stdin(Stdio::null())
        .output()
        .expect("a shell starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
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
