//! The pipelines of the example: a git bundle, made from text files.
//!
//! `tests/fixtures/pipelines/history.json` lists the commits in order. Each begins where its branch is, or a new branch at
//! another one, and lays the files of a folder over what is there. Everything in it is fixed, so that the same files give the
//! same commits.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{Done, process::output, root};

/// Where the history and its files are, and what is made of them.
const SOURCE: &str = "tests/fixtures/pipelines";
const BUNDLE: &str = "tests/fixtures/pipelines.bundle";

/// When the first commit was made, in seconds since 1970; each is an hour after the one before.
const BEGIN: u64 = 1_780_300_800;

/// Writes the bundle where it does not hold these commits.
pub fn write() -> Done {
    let scratch = Scratch::new()?;
    let heads = scratch.commit_all()?;
    if heads_of(&root().join(BUNDLE)).is_ok_and(|present| present == heads) {
        return Ok(());
    }
    let made = scratch.folder.join("pipelines.bundle");
    let words = ["bundle", "create", "--quiet", "--version=2", &made.to_string_lossy(), "--branches"];
    scratch.git(&words, &[])?;
    fs::copy(&made, root().join(BUNDLE)).map_err(|error| format!("cannot write `{BUNDLE}`: {error}"))?;
    println!("wrote {BUNDLE}");
    Ok(())
}

/// Fails where the bundle does not hold these commits.
pub fn check() -> Done {
    let heads = Scratch::new()?.commit_all()?;
    match heads_of(&root().join(BUNDLE)) {
        Ok(present) if present == heads => Ok(()),
        _ => Err(format!("not as generated: {BUNDLE}; run `cargo xtask codegen` and commit")),
    }
}

/// The branches of a bundle with their commits, ordered.
fn heads_of(bundle: &Path) -> Result<Vec<String>, String> {
    let mut git = Command::new("git");
    git.args(["bundle", "list-heads"]).arg(bundle);
    Ok(sorted(&output(git)?))
}

fn sorted(lines: &str) -> Vec<String> {
    let mut lines: Vec<String> = lines.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// A bare repository below `target/`; it goes with this.
struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    fn new() -> Result<Self, String> {
        let folder = root().join("target").join(format!("pipelines-{}", std::process::id()));
        fs::create_dir_all(&folder)
            .map_err(|error| format!("cannot make `{}`: {error}", folder.display()))?;
        let scratch = Self { folder };
        scratch.git(&["init", "--quiet", "--bare", "--initial-branch=main", "."], &[])?;
        Ok(scratch)
    }

    /// Makes every commit; the branches with their commits, ordered.
    fn commit_all(&self) -> Result<Vec<String>, String> {
        let path = root().join(SOURCE).join("history.json");
        let text = fs::read_to_string(&path).map_err(|error| format!("cannot read the history: {error}"))?;
        let history: Vec<Value> =
            serde_json::from_str(&text).map_err(|error| format!("{SOURCE}: {error}"))?;
        for (number, commit) in history.iter().enumerate() {
            let field =
                |key: &str| commit[key].as_str().ok_or_else(|| format!("commit {number} has no `{key}`"));
            let (branch, title, author) = (field("branch")?, field("title")?, field("author")?);
            let start = commit["from"].as_str().unwrap_or(branch);
            let parent =
                self.git(&["rev-parse", "--verify", "--quiet", &format!("refs/heads/{start}")], &[]).ok();
            match &parent {
                Some(parent) => self.git(&["read-tree", parent], &[])?,
                None => self.git(&["read-tree", "--empty"], &[])?,
            };
            let folder = root().join(SOURCE).join(field("files")?);
            for file in files(&folder)? {
                let path = folder.join(&file);
                let blob = self.git(&["hash-object", "-w", "--no-filters", &path.to_string_lossy()], &[])?;
                self.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{file}")], &[])?;
            }
            let tree = self.git(&["write-tree"], &[])?;
            let mut words = vec!["commit-tree", &tree, "-m", title];
            words.extend(parent.iter().flat_map(|parent| ["-p", parent.as_str()]));
            let email = format!("{}@acme.dev", author.to_lowercase());
            let date = format!("{} +0000", BEGIN + 3600 * number as u64);
            let who = [
                ("GIT_AUTHOR_NAME", author),
                ("GIT_AUTHOR_EMAIL", &email),
                ("GIT_AUTHOR_DATE", &date),
                ("GIT_COMMITTER_NAME", author),
                ("GIT_COMMITTER_EMAIL", &email),
                ("GIT_COMMITTER_DATE", &date),
            ];
            let made = self.git(&words, &who)?;
            self.git(&["update-ref", &format!("refs/heads/{branch}"), &made], &[])?;
        }
        Ok(sorted(&self.git(&["for-each-ref", "--format=%(objectname) %(refname)", "refs/heads"], &[])?))
    }

    fn git(&self, words: &[&str], variables: &[(&str, &str)]) -> Result<String, String> {
        let mut git = Command::new("git");
        // Whoever signs commits, or has hooks, does so elsewhere.
        git.args(["-c", "commit.gpgSign=false", "-c", "core.hooksPath=/dev/null"]);
        git.args(words).current_dir(&self.folder).env("GIT_DIR", &self.folder);
        git.env_remove("GIT_INDEX_FILE").env_remove("GIT_WORK_TREE").envs(variables.iter().copied());
        Ok(output(git)?.trim_end().to_owned())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The files below a folder, relative to it with `/`, ordered.
fn files(folder: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let failed = |error| format!("cannot read `{}`: {error}", next.display());
        for entry in fs::read_dir(&next).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(below) = path.strip_prefix(folder) {
                found.push(below.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}
