//! Servers that never answer: every child process ends, by its deadline or by a signal.

use std::{
    io::Read as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use magus_tests::Sandbox;

use crate::deploy::{push, sandbox};

/// A program in the place of ssh. It runs what it is asked for on this machine, and stalls at the command that the file `stalls`
/// names, once it has written its number to `stalled`.
const SSH: &str = "#!/bin/sh
for last; do :; done
case \"$last\" in
  \"$(cat \"$FOLDER/stalls\")\"*) echo $$ > \"$FOLDER/stalled\"; exec sleep 600;;
  *) exec sh -c \"$last\";;
esac
";

/// Replaces ssh, which stalls at this command of git.
fn stalls_at(sandbox: &mut Sandbox, command: &str) {
    sandbox.write("ssh", SSH);
    sandbox.write("stalls", command);
    let ssh = format!("sh '{}'", sandbox.file("ssh").display());
    let folder = sandbox.path().display().to_string();
    for (name, value) in [("GIT_SSH_COMMAND", &*ssh), ("GIT_SSH_VARIANT", "simple"), ("FOLDER", &folder)] {
        sandbox.set(name, value);
    }
}

/// The URL that leads to a folder of the sandbox over the program.
fn url(sandbox: &Sandbox, path: &str) -> String {
    format!("ssh://nowhere{}", sandbox.file(path).display())
}

struct Running {
    magus: Child,
    ssh: String,
}

impl Running {
    /// Starts Magus, and waits until the server stalls.
    fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let mut command = sandbox.command(arguments);
        let mut magus = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("magus starts");
        let stalled = sandbox.file("stalled");
        let number = || std::fs::read_to_string(&stalled).ok().filter(|number| number.ends_with('\n'));
        let ssh = wait(|| {
            assert_eq!(magus.try_wait().expect("a state"), None, "it ended");
            number()
        });
        Self { magus, ssh }
    }

    fn signal(&self) {
        let number = self.magus.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &number]).status().expect("kill").success());
    }

    /// Reads from stderr until a text has come.
    fn says(&mut self, text: &str) {
        let stderr = self.magus.stderr.as_mut().expect("a pipe");
        let mut said = Vec::new();
        while !String::from_utf8_lossy(&said).contains(text) {
            let mut byte = [0];
            assert_eq!(stderr.read(&mut byte).expect("a byte"), 1, "{}", String::from_utf8_lossy(&said));
            said.push(byte[0]);
        }
    }

    /// The exit code, once Magus has ended; nothing that it started runs any more.
    fn ends(mut self) -> (Option<i32>, String) {
        let status = wait(|| self.magus.try_wait().expect("a state"));
        let mut said = String::new();
        self.magus.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
        let stat = format!("/proc/{}/stat", self.ssh.trim());
        wait(|| std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z")).then_some(()));
        (status.code(), said)
    }
}

/// Waits for a condition, which has to hold long before any deadline of Magus.
#[track_caller]
fn wait<T>(mut holds: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(25);
    loop {
        if let Some(found) = holds() {
            return found;
        }
        assert!(Instant::now() < deadline, "it takes too long");
        std::thread::yield_now();
    }
}

#[test]
fn a_stalled_fetch_ends_with_the_first_signal() {
    let mut sandbox = sandbox();
    stalls_at(&mut sandbox, "git-upload-pack");
    let url = url(&sandbox, "pipelines.git");
    sandbox.replace("environments/cluster.yaml", "../pipelines.git", &url);
    let running = Running::start(&sandbox, &["plan"]);
    running.signal();
    assert_eq!(running.ends().0, Some(130));
}

/// A program in the place of ssh that asks whether the key of a host is right, as ssh does.
const ASKS: &str = "#!/bin/sh
printf 'Are you sure you want to continue connecting? ' > /dev/tty
read answer < /dev/tty
";

#[test]
fn ssh_that_asks_on_the_terminal_ends_at_once_and_says_what_to_do() {
    const TEST: &str = "ssh_that_asks_on_the_terminal_ends_at_once_and_says_what_to_do";
    if Command::new("script").arg("--version").output().is_err() {
        magus_tests::skip(TEST, "script");
        return;
    }
    let sandbox = sandbox();
    sandbox.write("ssh", ASKS);
    let url = url(&sandbox, "pipelines.git");
    sandbox.replace("environments/cluster.yaml", "../pipelines.git", &url);
    let started = Instant::now();
    let run = Command::new("script")
        .args(["-qec", &format!("'{}' plan", magus_tests::binary().display()), "/dev/null"])
        .current_dir(sandbox.path())
        .env("HOME", sandbox.file("home"))
        .env("GIT_SSH_COMMAND", format!("sh '{}'", sandbox.file("ssh").display()))
        .env("GIT_SSH_VARIANT", "simple")
        .stdin(Stdio::null())
        .output()
        .expect("script starts");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(said.contains("git was stopped, because it wanted to ask something on the terminal"), "{said}");
    assert!(said.contains(&format!("`git ls-remote '{url}'` has to work without a prompt")), "{said}");
    // Its deadline is two minutes.
    assert!(started.elapsed() < Duration::from_secs(60), "{said}");
}

#[test]
fn a_stalled_push_ends_with_the_first_signal_and_moves_nothing() {
    let mut sandbox = sandbox();
    let before = sandbox.git(&["--git-dir", "pipelines.git", "rev-parse", "staging"]);
    push(&sandbox, "development", "second", &[("mage/x.py", "1\n")]);
    stalls_at(&mut sandbox, "git-receive-pack");
    let url = url(&sandbox, "pipelines.git");
    sandbox.replace("environments/cluster.yaml", "../pipelines.git", &url);
    let running = Running::start(&sandbox, &["promote", "development", "staging", "--yes"]);
    running.signal();
    assert_eq!(running.ends().0, Some(130));
    assert_eq!(sandbox.git(&["--git-dir", "pipelines.git", "rev-parse", "staging"]), before);
}

/// Declarations whose history is at a remote that never answers.
fn with_stalled_history() -> Sandbox {
    let mut sandbox = sandbox();
    sandbox.git(&["init", "--quiet", "--bare", "declarations.git"]);
    sandbox.git(&["init", "--quiet"]);
    let url = url(&sandbox, "declarations.git");
    sandbox.git(&["remote", "add", "origin", &url]);
    let cluster = sandbox.read("environments/cluster.yaml");
    sandbox.write("environments/cluster.yaml", format!("{cluster}history: {{remote: origin}}\n"));
    stalls_at(&mut sandbox, "git-upload-pack");
    sandbox
}

#[test]
fn a_lock_that_stalls_ends_with_the_second_signal_and_nothing_is_sent() {
    let sandbox = with_stalled_history();
    let mut running = Running::start(&sandbox, &["apply", "--yes"]);
    running.signal();
    running.says("interrupted: finishing running steps; no new step will start");
    running.signal();
    let (code, said) = running.ends();
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("cannot be read: git was interrupted"), "{said}");
    assert!(!sandbox.file("store/workspaces").exists());
}

#[test]
fn a_lock_that_stalls_ends_by_its_deadline_and_nothing_is_sent() {
    let sandbox = with_stalled_history();
    let run = sandbox.expect(5, &["apply", "--yes"]);
    assert!(run.stderr.contains("git was stopped, because it did not end within 30 s"), "{}", run.stderr);
    assert!(run.stderr.contains("help: `git ls-remote "), "{}", run.stderr);
    assert!(!sandbox.file("store/workspaces").exists());
}
