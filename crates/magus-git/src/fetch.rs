//! Runs git, to fetch into a mirror and otherwise: no prompt, no hook, no protocol that runs commands, and nothing of the
//! repository that the caller may be in.

use std::{path::Path, process::Command, time::Duration};

use magus_model::shell;
use magus_process::{Limits, Output, Stopped};

use crate::place::{Ssh, Unread, shown};

/// What would lead git to another repository than the mirror (`git rev-parse --local-env-vars`).
const OF_OTHERS: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// How many characters of what git says are shown.
const LONGEST: usize = 300;

/// Brings all branches and tags of a mirror to what they are there; what is gone there goes here.
pub(crate) fn fetch(mirror: &Path, url: &str, ssh: Ssh) -> Result<(), Unread> {
    let mut git = git(mirror, ssh);
    git.args([
        "fetch",
        // What it says is how a fetch that goes on is told from one that stalls.
        "--progress",
        "--force",
        "--prune",
        "--no-tags",
        "--no-recurse-submodules",
        "--update-head-ok",
    ]);
    git.args(["--", url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]);
    let output = run(&mut git, LARGE, url, "fetched")?;
    if output.status.success() {
        return Ok(());
    }
    Err(failure(url, "fetched", &without_progress(&String::from_utf8_lossy(&output.stderr))))
}

/// For what may be large: as long as it goes on.
pub(crate) const LARGE: Limits = Limits { total: None, silence: Some(Duration::from_secs(120)) };
/// For a few references and small records.
pub(crate) const SMALL: Limits = Limits { total: Some(Duration::from_secs(30)), silence: None };

/// Runs git to its end, or until its time is over.
pub(crate) fn run(git: &mut Command, limits: Limits, url: &str, what: &str) -> Result<Output, Unread> {
    magus_process::run(git, limits).map_err(|why| match why {
        Stopped::NotStarted(error) => no_git(&error),
        Stopped::TimedOut(_) | Stopped::Stalled(_) => Unread::Failed {
            message: format!("`{}` cannot be {what}: git was stopped, because {why}", shown(url)),
            help: format!("`git ls-remote {}` has to answer; check the network and its proxy", word(url)),
        },
        Stopped::Asked => Unread::Failed {
            message: format!("`{}` cannot be {what}: git was stopped, because {why}", shown(url)),
            help: without_prompt(url),
        },
        Stopped::Interrupted => Unread::Failed {
            message: format!("`{}` cannot be {what}: git was interrupted", shown(url)),
            help: "run the command again".to_owned(),
        },
    })
}

/// What git said without its progress: the last state of each line, and the lines that name a problem if there are any.
pub(crate) fn without_progress(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(|line| line.rsplit('\r').next().unwrap_or(line)).collect();
    let is_progress = |line: &&&str| {
        let line = line.strip_prefix("remote: ").unwrap_or(line);
        let starts =
            ["Enumerating", "Counting", "Compressing", "Total ", "Receiving", "Resolving", "Unpacking"];
        starts.iter().any(|start| line.starts_with(start))
            || line.starts_with("From ")
            || line.starts_with(" ")
    };
    lines.iter().filter(|line| !is_progress(line)).copied().collect::<Vec<_>>().join("\n")
}

/// Git for this repository: it asks nothing, runs nothing that is configured, and looks nowhere else.
pub(crate) fn git(directory: &Path, ssh: Ssh) -> Command {
    let mut git = Command::new("git");
    git.arg("--git-dir").arg(directory);
    for setting in [
        "core.hooksPath=/dev/null",
        "credential.interactive=false",
        "gc.auto=0",
        "maintenance.auto=false",
        // A transfer over HTTP below so many bytes a second, for so many seconds, has stalled.
        "http.lowSpeedLimit=1",
        "http.lowSpeedTime=120",
    ] {
        git.args(["-c", setting]);
    }
    git.env("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh").env("GIT_TERMINAL_PROMPT", "0");
    git.env("LC_ALL", "C");
    // Who has said how ssh is run, there or in the configuration, knows what it may ask.
    let configured = git2::Config::open_default().and_then(|config| config.get_string("core.sshcommand"));
    if ssh == Ssh::Usual && configured.is_err() {
        git.env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=30 -oServerAliveInterval=15");
    }
    for name in OF_OTHERS {
        git.env_remove(name);
    }
    git
}

pub(crate) fn no_git(error: &std::io::Error) -> Unread {
    Unread::Failed {
        message: format!("git cannot be started: {error}"),
        help: "install git, and let it be found in `PATH`".to_owned(),
    }
}

/// What lets git log in by itself.
fn without_prompt(url: &str) -> String {
    let agent = if url.starts_with("http") { "" } else { "; `ssh-add` loads a key that has a passphrase" };
    format!("`git ls-remote {}` has to work without a prompt{agent}", word(url))
}

/// A URL without a password, as a shell takes it.
fn word(url: &str) -> String {
    shell::word(&shown(url))
}

/// The path in git's message about a repository of another user: `… in repository at 'PATH'`.
fn distrusted(said: &str) -> Option<&str> {
    let (_, path) = said.split_once("dubious ownership in repository at '")?;
    path.split_once("';").or_else(|| path.split_once('\'')).map(|(path, _)| path)
}

/// What git said, in one line and without a password, and what to do about it.
pub(crate) fn failure(url: &str, what: &str, stderr: &str) -> Unread {
    // Git may spell the URL in its own way: every word is looked at.
    let clean = |line: &str| line.split_whitespace().map(shown).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = stderr.lines().map(clean).filter(|line| !line.is_empty()).collect();
    let said = lines.join("; ");
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let help = if has(&[
        "Authentication failed",
        "could not read Username",
        "Permission denied",
        "terminal prompts disabled",
        " 403",
        "HTTP Basic: Access denied",
    ]) {
        format!("git has no credentials for it, or they are refused: {}", without_prompt(url))
    } else if has(&["Host key verification failed"]) {
        format!(
            "its host key is unknown, or has changed: compare its fingerprint, and accept it once with `git ls-remote {}`",
            word(url)
        )
    } else if has(&[
        "does not appear to be a git repository",
        "not found",
        "does not exist",
        "Repository not found",
    ]) {
        "check its URL, and that the login may read it".to_owned()
    } else if let Some(path) = distrusted(&said) {
        let path = shell::word(path);
        format!(
            "it belongs to another user; if you trust it: `git config --global --add safe.directory {path}`"
        )
    } else if has(&[
        "Could not resolve host",
        "Connection refused",
        "timed out",
        "Network is unreachable",
        "Failed to connect",
        "Could not read from remote",
    ]) {
        "check the network and its proxy; without `--fetch`, what was fetched before is used".to_owned()
    } else {
        format!("`git ls-remote {}` tells more", word(url))
    };
    let mut told: String = said.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    if told.len() < said.len() {
        told.push('…');
    }
    Unread::Failed { message: format!("`{}` cannot be {what}: {told}", shown(url)), help }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_said_is_one_line_without_a_password_and_with_what_to_do() {
        let url = "https://ana:canary@a.dev/b";
        let failed = |said: &str| match failure(url, "fetched", said) {
            Unread::Failed { message, help } => (message, help),
            other => panic!("{other:?}"),
        };
        let (message, help) = failed(
            "fatal: unable to access 'https://ana:canary@a.dev/b/':\n  Could not resolve host: a.dev\n",
        );
        assert_eq!(
            message,
            "`https://a.dev/b` cannot be fetched: fatal: unable to access 'https://a.dev/b/':; Could not resolve host: a.dev"
        );
        assert!(help.contains("check the network"), "{help}");
        for (said, does) in [
            (
                "fatal: could not read Username for 'https://ANA:canary@a.dev': terminal prompts disabled",
                "no credentials",
            ),
            ("ERROR: Repository not found.", "check its URL"),
            (
                "Host key verification failed.\nfatal: Could not read from remote repository.",
                "its host key is unknown, or has changed",
            ),
            ("git@a.dev: Permission denied (publickey).", "has to work without a prompt"),
            (
                "fatal: detected dubious ownership in repository at '/x y'\nTo add an exception",
                "`git config --global --add safe.directory '/x y'`",
            ),
            ("something else", "`git ls-remote https://a.dev/b` tells more"),
        ] {
            let (message, help) = failed(said);
            assert!(help.contains(does), "{said}: {help}");
            assert!(!format!("{message}{help}").contains("canary"), "{message} {help}");
        }
        assert_eq!(word("/a b/it's"), "'/a b/it'\\''s'");
        let (message, _) = failed(&"x".repeat(LONGEST + 1));
        assert!(message.ends_with("x…"), "{message}");
    }
}
