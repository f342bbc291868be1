//! What the servers need and the repository does not hold: Mage from the package index, moto for AWS, and the
//! kube-apiserver built from `tests/kube`. Each is made once under `target/`, and again when its pins change.

use std::{
    ffi::OsStr,
    fmt,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::repository;

/// Pythons in the order in which they are tried; the pins were made with the first.
const PYTHONS: &[&str] = &["python3.11", "python3.12", "python3"];

/// What a Python must be able to do: be of a version that Mage and the pins take, and make environments.
const SUITABLE: &str =
    "import ensurepip, sys, venv; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 12) else 1)";

/// What Mage calls the file of its database.
pub(super) const DATABASE: &str = "mage-ai.db";

/// Why a real server cannot be started here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The word of `MAGUS_REQUIRE` that makes this a failure.
    pub tool: &'static str,
    /// What is not there, or what went wrong.
    pub why: String,
}

impl Missing {
    /// Skips the test by name; where `MAGUS_REQUIRE` names the tool, it fails instead.
    pub fn skip(&self, test: &str) {
        let _ = writeln!(std::io::stderr(), "{self}");
        crate::skip(test, self.tool);
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "no `{}`: {}", self.tool, self.why)
    }
}

/// The virtual environment with Mage; installs it the first time, which takes minutes.
///
/// # Errors
/// No suitable Python, or an installation that failed.
pub fn environment() -> Result<PathBuf, Missing> {
    static MADE: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    MADE.get_or_init(|| virtual_environment("mage", "mage-venv", "requirements.txt")).clone()
}

/// The database of a Mage server that has just been installed: all tables, and nothing in them.
///
/// A server makes it itself at its first start, but serves requests meanwhile, and fails where that takes longer than
/// it expects: on a busy machine, at random.
///
/// # Errors
/// Where Mage cannot be installed here.
pub fn database() -> Result<PathBuf, Missing> {
    static MADE: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    MADE.get_or_init(|| migrated(&repository().join("target/mage-database"))).clone()
}

/// The virtual environment with moto, see `tests/mage/ecs.py`.
///
/// # Errors
/// No suitable Python, or an installation that failed.
pub fn ecs_environment() -> Result<PathBuf, Missing> {
    static MADE: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    MADE.get_or_init(|| virtual_environment("mage", "ecs-venv", "requirements-ecs.txt")).clone()
}

/// The kube-apiserver for tests, see `tests/kube/main.go`; builds it the first time, which takes minutes.
///
/// # Errors
/// No Go, or a build that failed.
pub fn kube_apiserver() -> Result<PathBuf, Missing> {
    static MADE: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    MADE.get_or_init(|| build_kube_apiserver(&repository().join("target/kube"))).clone()
}

fn migrated(folder: &Path) -> Result<PathBuf, Missing> {
    const MIGRATE: &str = "from mage_ai.orchestration.db.database_manager import database_manager; database_manager.run_migrations()";
    let environment = environment()?;
    let missing = |why: String| Missing { tool: "mage", why };
    let pins = fs::read(repository().join("tests/mage/requirements.txt")).expect("the requirements");
    made_once(folder, &pins, || {
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(|error| missing(error.to_string()))?;
        }
        fs::create_dir(folder).map_err(|error| missing(error.to_string()))?;
        let mut python = Command::new(environment.join("bin/python"));
        python.args(["-c", MIGRATE]).current_dir(folder).env_clear().env("HOME", folder);
        python.env("PYTHONPATH", repository().join("tests/mage/loopback"));
        // A path in a URL would have to be escaped, a bare name does not.
        python.env("MAGE_DATABASE_CONNECTION_URL", format!("sqlite:///{DATABASE}"));
        run(&mut python).map_err(missing)
    })?;
    Ok(folder.join(DATABASE))
}

fn virtual_environment(tool: &'static str, name: &str, requirements: &str) -> Result<PathBuf, Missing> {
    let requirements = repository().join("tests/mage").join(requirements);
    let wanted = fs::read(&requirements).expect("the requirements");
    let folder = repository().join("target").join(name);
    let missing = |why: String| Missing { tool, why };
    made_once(&folder, &wanted, || {
        let python = PYTHONS
            .iter()
            .find(|name| {
                Command::new(name).args(["-c", SUITABLE]).output().is_ok_and(|run| run.status.success())
            })
            .ok_or_else(|| missing("it needs Python 3.11 or 3.12 with `venv`".to_owned()))?;
        note(&format!("installing {} under target/, once", requirements.display()));
        // What an older installation left would be found by the imports of the new one.
        if folder.join("bin").exists() {
            fs::remove_dir_all(&folder).map_err(|error| missing(error.to_string()))?;
        }
        run(Command::new(python).args(["-m", "venv"]).arg(&folder)).map_err(missing)?;
        let arguments =
            ["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "-r"];
        run(Command::new(folder.join("bin/python")).args(arguments).arg(&requirements)).map_err(missing)
    })?;
    Ok(folder)
}

fn build_kube_apiserver(folder: &Path) -> Result<PathBuf, Missing> {
    let source = repository().join("tests/kube");
    let missing = |why: String| Missing { tool: "kube", why };
    let mut names: Vec<_> = fs::read_dir(&source)
        .map_err(|error| missing(error.to_string()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| matches!(path.extension().and_then(OsStr::to_str), Some("go" | "mod" | "sum")))
        .collect();
    names.sort();
    let wanted: Vec<u8> = names.iter().flat_map(|path| fs::read(path).expect("a source")).collect();
    let modules = fs::read_to_string(source.join("go.mod")).map_err(|error| missing(error.to_string()))?;
    let version = modules
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
        .ok_or_else(|| missing("go.mod names no k8s.io/kubernetes".to_owned()))?;
    let binary = folder.join("magus-kube");
    made_once(folder, &wanted, || {
        note("building the kube-apiserver under target/, once");
        // The version that the server tells comes from the linker.
        let flags = format!("-s -w -X k8s.io/component-base/version.gitVersion={version}");
        let mut go = Command::new("go");
        // Nothing asks this program for its commit, and git refuses to tell it where somebody else owns the files.
        go.args(["build", "-buildvcs=false", "-ldflags", &flags, "-o"])
            .arg(&binary)
            .arg(".")
            .current_dir(&source);
        run(&mut go).map_err(missing)
    })?;
    Ok(binary)
}

/// Makes what lies in a folder unless it was made of the same pins. Tests run in several processes: the first makes
/// it, the others wait.
fn made_once(folder: &Path, pins: &[u8], make: impl FnOnce() -> Result<(), Missing>) -> Result<(), Missing> {
    // Beside the folder, which is removed and made anew, and written last: what was interrupted is made again.
    fs::create_dir_all(folder.parent().expect("target/")).expect("target/");
    let stamp = folder.with_extension("installed");
    let lock = File::create(folder.with_extension("lock")).expect("a lock under target/");
    lock.lock().expect("the lock");
    if fs::read(&stamp).is_ok_and(|made_of| made_of == pins) {
        return Ok(());
    }
    let _ = fs::remove_file(&stamp);
    make()?;
    fs::write(&stamp, pins).expect("a stamp under target/");
    Ok(())
}

/// Runs a program to its end; the error is the last lines of what it said.
fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("`{program}` does not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    Err(format!("`{program}` failed: {}", lines[lines.len().saturating_sub(8)..].join(" | ")))
}

/// Says why nothing seems to happen for minutes.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_made_again_only_when_its_pins_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("thing");
        let mut times = 0;
        let failed = || Err(Missing { tool: "mage", why: "no network".to_owned() });
        assert!(made_once(&target, b"1", failed).is_err());
        for (pins, expect) in [(b"1", 1), (b"1", 1), (b"2", 2), (b"2", 2)] {
            made_once(&target, pins, || {
                times += 1;
                Ok(())
            })
            .expect("made");
            assert_eq!(times, expect, "{pins:?}");
        }
        assert!(made_once(&target, b"3", failed).is_err());
        made_once(&target, b"2", || {
            times += 1;
            Ok(())
        })
        .expect("made");
        assert_eq!(times, 3, "what failed is not taken for what was there before");
    }

    #[test]
    fn a_program_that_fails_says_why() {
        let error = run(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).expect_err("it fails");
        assert_eq!(error, "`sh` failed: broken");
        assert!(
            run(&mut Command::new("no-such-program-here")).expect_err("it fails").contains("does not start")
        );
    }
}
