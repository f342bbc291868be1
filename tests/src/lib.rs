//! Shared by the integration tests: a hermetic place to run `magus` in.
//!
//! Every sandbox is a folder of its own with a space in its path, its own HOME and a cleared environment.

pub mod language_server;
pub mod mage;
pub mod proxy;
pub mod tunnel;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

/// A folder in which `magus` runs.
pub struct Sandbox {
    folder: tempfile::TempDir,
    variables: BTreeMap<OsString, OsString>,
}

/// What a run of `magus` left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The exit code; nothing where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Sandbox {
    /// An empty folder.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("magus test ").tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("home")).expect("a home folder");
        Self { folder, variables: BTreeMap::new() }
    }

    /// A folder with these files.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let sandbox = Self::new();
        for (path, text) in files {
            sandbox.write(path, text);
        }
        sandbox
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The path of a file in it.
    pub fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file, and the folders that it needs.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.file(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, text).expect("a file");
    }

    /// The text of a file.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Replaces a text in a file; it has to be there.
    pub fn replace(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "`{from}` is not in {path}:\n{text}");
        self.write(path, text.replacen(from, to, 1));
    }

    /// Removes a file or a folder with all that is in it.
    pub fn remove(&self, path: &str) {
        let path = self.file(path);
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
            .expect("removed");
    }

    /// Sets an environment variable for all later runs.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.into(), value.into());
    }

    /// The command `magus` with these arguments, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(binary());
        command.args(arguments);
        command
    }

    /// A program that runs in the folder, with its own HOME and a cleared environment; not yet started.
    pub fn program(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path()).stdin(Stdio::null());
        command
            .env_clear()
            .env("HOME", self.file("home"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(&self.variables);
        command
    }

    /// Runs `magus` to its end.
    pub fn magus(&self, arguments: &[&str]) -> Run {
        let Output { status, stdout, stderr } = self.command(arguments).output().expect("magus starts");
        Run { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Runs `magus`, which has to end with this code.
    #[track_caller]
    pub fn expect(&self, code: i32, arguments: &[&str]) -> Run {
        let run = self.magus(arguments);
        assert_eq!(run.code, Some(code), "magus {}\n{}\n{}", arguments.join(" "), run.stdout, run.stderr);
        run
    }

    /// Runs git in the folder.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> String {
        self.run_git(Stdio::null(), arguments)
    }

    /// The same, with a file of the folder as its input; without the end of the last line.
    #[track_caller]
    pub fn git_with(&self, input: &str, arguments: &[&str]) -> String {
        let file = std::fs::File::open(self.file(input)).expect("a file");
        self.run_git(file.into(), arguments).trim_end().to_owned()
    }

    #[track_caller]
    fn run_git(&self, input: Stdio, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=Test",
                "-c",
                "user.email=test@example.com",
                "-c",
                "init.defaultBranch=main",
            ])
            .args(arguments)
            .current_dir(self.path())
            .env("HOME", self.file("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(input)
            .output()
            .expect("git starts");
        assert!(output.status.success(), "git {arguments:?}: {}", text(output.stderr));
        text(output.stdout)
    }

    /// The plan as JSON.
    #[track_caller]
    pub fn plan(&self, arguments: &[&str]) -> serde_json::Value {
        let mut all = vec!["plan", "--format", "json"];
        all.extend(arguments);
        let run = self.magus(&all);
        serde_json::from_str(&run.stdout)
            .unwrap_or_else(|error| panic!("{error}: {:?}\n{}\n{}", run.code, run.stdout, run.stderr))
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Run {
    /// Both outputs.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("output is UTF-8")
}

/// The folder of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository")
}

/// The program under test, built once with the profile of the tests.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("MAGUS_BINARY") {
            return path.into();
        }
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "magus-cli", "--bin", "magus"])
            .current_dir(repository())
            .status()
            .expect("cargo starts");
        assert!(status.success(), "magus does not build");
        let test = std::env::current_exe().expect("the path of this test");
        test.ancestors().nth(2).expect("the profile's folder").join("magus")
    })
}

/// How many cases a repeated test runs: `small`, or with `MAGUS_CASES=full` the large number.
pub fn cases(small: usize, large: usize) -> usize {
    if std::env::var_os("MAGUS_CASES").is_some_and(|value| value == "full") { large } else { small }
}

/// Every file below a folder with its bytes, links not followed: to search for what must not be there.
pub fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            let kind = entry.file_type().expect("a type");
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push((entry.path(), std::fs::read(entry.path()).expect("a file")));
            }
        }
    }
    found
}

/// Whether `MAGUS_REQUIRE` names a program, so that its absence is a failure.
pub fn required(program: &str) -> bool {
    std::env::var("MAGUS_REQUIRE").is_ok_and(|required| required.split(',').any(|one| one == program))
}

/// Says that a test is skipped because a program is missing; where `MAGUS_REQUIRE` names it, that is a failure.
pub fn skip(test: &str, program: &str) {
    assert!(!required(program), "{test} needs `{program}`, which is required here");
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "skipped: {test} needs `{program}`");
}
