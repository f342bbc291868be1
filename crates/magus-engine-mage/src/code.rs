//! The code of a workspace. Its own server fetches it by Mage's git sync, from a branch that moves for it alone: when it starts, and
//! when it is asked to. The sync is a hard reset (MAGE.md 4.23): what people changed in files that git knows is gone after it, what
//! git does not know stays.
//!
//! Mage tells no commit. What is checked out stands in the reflog, a file of the repository, and Mage shows its files
//! (`api/resources/GitFileResource.py` of 0.9.80).

use std::{
    path::Path,
    sync::{PoisonError, atomic::AtomicBool},
    time::Instant,
};

use magus_engine::{CodeSource, PerformError, Task};
use magus_model::{
    Text,
    name::WorkspaceName,
    observed::{ObservedCode, RunState},
    path::FieldPath,
    plan::{Action, Deploy, Restarts, Step},
    source::Deployment,
};
use serde_json::Value;

use crate::{
    Mage,
    api::{Client, request},
    item::{Item, Known},
    mark::{Stored, StoredCode},
    own_server::Shut,
    perform::{Found, hide},
    wait::is_cancelled,
};

/// The variable with which a workspace fetches its code whenever it starts.
const SYNC_ON_START: &str = "GIT_SYNC_ON_START";
/// Where git writes down what was checked out.
const REFLOG: &str = ".git/logs/HEAD";
/// What is checked out: a commit, or a branch.
const HEAD: &str = ".git/HEAD";
/// What stands in the log of a repository that Mage has only set up: a clone of which it took nothing but this, or a new one
/// (`__setup_repo` in `data_preparation/git/__init__.py`).
const SET_UP: [&str; 2] = ["clone: from ", "commit (initial): Initial commit"];
/// What Mage itself writes into a project, and a sync writes anew (MAGE.md 4.24).
const OF_MAGE: &str = "triggers.yaml";
/// How many files of people are told.
const TOLD: usize = 20;
/// How many files that a commit brings are looked at one by one.
const LOOKED_AT: usize = 100;

/// A project as git sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Project {
    /// The full number of the commit that is checked out; nothing where the project is in no repository.
    head: Option<Text>,
    /// Whether nothing was ever checked out: the files are not those of the commit.
    only_set_up: bool,
    /// The files that differ from it, but for those that Mage writes itself.
    changed: Vec<Text>,
    /// Files and folders that git does not know; a folder ends with `/`.
    unknown: Vec<String>,
}

impl Project {
    fn look(server: &Client) -> Result<Self, String> {
        let ask = |request| server.send(&request).map_err(|error| error.to_string());
        let file = |path: &str| -> Result<String, String> {
            let answer = ask(request::git_file(path))?;
            Ok(answer["git_file"]["content"].as_str().unwrap_or_default().to_owned())
        };
        let reflog = file(REFLOG)?;
        let status = ask(request::git_status())?;
        let project = Self::read(&reflog, &status["git_branch"]);
        if project.head.is_some() {
            return Ok(project);
        }
        // Entries of the log go after some months.
        let checked_out = file(HEAD)?;
        let checked_out = checked_out.trim();
        let head = match checked_out.strip_prefix("ref: ") {
            Some(branch) => file(&format!(".git/{branch}"))?,
            None => checked_out.to_owned(),
        };
        let head = number(head.trim()).map(Text::from);
        Ok(Self { only_set_up: head.is_none(), head, ..project })
    }

    fn read(reflog: &str, status: &Value) -> Self {
        let list = |key: &str| {
            let items = status[key].as_array().map_or(&[][..], Vec::as_slice);
            items.iter().filter_map(Value::as_str)
        };
        let is_of_mage = |path: &&str| {
            path.starts_with("pipelines/") && path.rsplit('/').next().is_some_and(|name| name == OF_MAGE)
        };
        let mut changed: Vec<Text> = list("modified_files")
            .chain(list("staged_files"))
            .filter(|path| !is_of_mage(path))
            .map(Text::from)
            .collect();
        changed.sort();
        changed.dedup();
        Self {
            head: reflog.lines().next_back().and_then(commit_of).map(Text::from),
            only_set_up: reflog.lines().all(|line| {
                let what = line.split_once('\t').map_or("", |(_, what)| what);
                SET_UP.iter().any(|set_up| what.starts_with(set_up))
            }),
            changed,
            unknown: list("untracked_files").map(str::to_owned).collect(),
        }
    }

    /// What runs, and what people work on. Where Magus made the workspace and git only set up its project, that is nothing.
    fn code(mut self, stored: &StoredCode) -> ObservedCode {
        if self.only_set_up && stored.made {
            return ObservedCode::default();
        }
        if self.head.is_none() {
            // Nobody can say what in it is whose.
            return ObservedCode { commit: None, uncommitted: vec![Text::new_static(".")] };
        }
        self.changed.truncate(TOLD);
        ObservedCode { commit: self.head, uncommitted: self.changed }
    }
}

/// The commit after an entry of a reflog: `OLD NEW WHO TIME ZONE<tab>WHAT`.
fn commit_of(line: &str) -> Option<&str> {
    line.split(' ').nth(1).and_then(number)
}

/// The number of a commit, as git writes it.
fn number(text: &str) -> Option<&str> {
    let is_number = [40, 64].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_number.then_some(text)
}

/// What is known of the code of a workspace whose server is not asked: what it was told last.
pub(crate) fn remembered(stored: Option<&Stored>) -> ObservedCode {
    ObservedCode { commit: stored.and_then(|stored| stored.code.at.clone()), uncommitted: Vec::new() }
}

impl Mage {
    /// The code of a workspace; the reason where its server cannot tell.
    pub(crate) fn code_of(&self, item: &Item, known: &Known) -> Result<ObservedCode, String> {
        match known.workspace.state {
            // It takes what it was told last when it starts.
            RunState::Stopped => Ok(remembered(known.stored.as_ref())),
            RunState::Running => {
                let server = self.trusted_server(item).map_err(Shut::reason)?;
                let stored = known.stored.as_ref().map(|stored| stored.code.clone()).unwrap_or_default();
                Project::look(&server).map(|project| project.code(&stored))
            }
            state => Err(format!("it is {}", state.as_str())),
        }
    }

    /// Looks, right before a workspace restarts that then fetches its code, whether that takes work of people away.
    pub(crate) fn keep_work(&self, step: &Step, found: &Found) -> Result<(), PerformError> {
        let name = &step.workspace;
        let path = FieldPath::key("env").child(SYNC_ON_START);
        let is_set = found.known.leaves.contains_key(&path)
            || step.fields.iter().any(|field| field.path == path && field.after.is_some());
        let restarts = step.restarts != Restarts::No || step.action == Action::Restart;
        if !is_set || !restarts || found.known.workspace.state != RunState::Running {
            return Ok(());
        }
        let code = self.code_of(&found.item, &found.known).map_err(|why| {
            PerformError::NotStarted(format!(
                "it fetches its code when it restarts, and whether somebody works in `{name}` is not known: {why}"
            ))
        })?;
        refuse(name, &code.uncommitted)
    }

    /// Has a workspace fetch the code of a step, and looks whether it has it.
    pub(crate) fn deploy(&self, task: &Task<'_>, found: &Found) -> Result<(), PerformError> {
        let Task { step, cancelled, code, .. } = *task;
        let Step { workspace: name, restarts, .. } = step;
        let deploy = step.deploy.as_ref();
        let deploy =
            deploy.ok_or_else(|| PerformError::Failed("the step says no code to deploy".to_owned()))?;
        let code = CodeSource::of_step(code, deploy)?;
        let done = found.code().deployed(&deploy.to);
        if let Some(deployment) = &code.source.deployment {
            self.ask_pro(deployment, deploy)?;
            return self.put_mark(found, Stored { code: done, ..found.stored_by(step, found.secrets())? });
        }
        match found.known.workspace.state {
            RunState::Stopped => {}
            RunState::Running => {
                let server = self.reach(name, "code", cancelled)?;
                let project = Project::look(&server).map_err(|why| unread(name, &why))?;
                if project.clone().code(&found.code()).commit.as_ref() != Some(&deploy.to) {
                    check(name, found, (&server, project), deploy, code)?;
                    self.sync(name, &server, found, &deploy.to, cancelled)?;
                    if *restarts != Restarts::No {
                        self.stop_and_resume(name, cancelled)?;
                        self.wait_until(name, RunState::Running, cancelled)?;
                    }
                }
                self.wait_for_code(name, found, &deploy.to, cancelled)?;
            }
            // Its code may be what keeps it from coming up: another try fetches the new one.
            RunState::Pending | RunState::Failed => {
                self.stop_and_resume(name, cancelled)?;
                self.wait_until(name, RunState::Running, cancelled)?;
                self.wait_for_code(name, found, &deploy.to, cancelled)?;
            }
        }
        let found = self.look_after(name)?;
        let stored = Stored { code: done, ..found.stored_by(step, found.secrets())? };
        self.put_mark(&found, stored)
    }

    /// Has Mage Pro deploy a commit, once for all workspaces that take it.
    fn ask_pro(&self, deployment: &Deployment, deploy: &Deploy) -> Result<(), PerformError> {
        let mut asked = self.deployments.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (deployment.clone(), deploy.to.clone());
        if !asked.contains(&key) {
            let title =
                format!("magus: {} {}", deployment.environment, deploy.to.get(..10).unwrap_or(&deploy.to));
            self.send_write(&request::deployment(deployment, &deploy.branch, &deploy.to, &title))?;
            asked.insert(key);
        }
        Ok(())
    }

    /// Asks for the sync. It blocks the server while it fetches and installs packages: what counts is what is there in the end.
    fn sync(
        &self,
        name: &WorkspaceName,
        server: &Client,
        found: &Found,
        to: &Text,
        cancelled: &AtomicBool,
    ) -> Result<(), PerformError> {
        hide(server, &found.known.leaves, &found.secrets());
        let Err(error) = server.send(&request::sync()) else { return Ok(()) };
        if error.uncertain {
            return self.wait_for_code(name, found, to, cancelled);
        }
        Err(PerformError::Failed(format!("`{name}` cannot fetch its code: {error}")))
    }

    /// Waits until a workspace runs a commit.
    fn wait_for_code(
        &self,
        name: &WorkspaceName,
        found: &Found,
        to: &Text,
        cancelled: &AtomicBool,
    ) -> Result<(), PerformError> {
        let deadline = Instant::now() + self.patience.ready;
        loop {
            let server = self.reach(name, "code", cancelled).map_err(|error| {
                PerformError::Uncertain(format!("asked for, and then not seen: {}", error.message()))
            })?;
            let seen = Project::look(&server).map(|project| project.code(&found.code()).commit);
            if seen.as_ref().is_ok_and(|commit| commit.as_ref() == Some(to)) {
                return Ok(());
            }
            if Instant::now() >= deadline || is_cancelled(cancelled) {
                let what = match seen {
                    Ok(Some(commit)) => format!("it runs {commit}"),
                    Ok(None) => "nothing was fetched".to_owned(),
                    Err(why) => why,
                };
                return Err(PerformError::Uncertain(format!(
                    "asked for, and not seen: {what}; the log of its server says why"
                )));
            }
            (self.sleep)(self.patience.look);
        }
    }
}

/// Whether the workspace is as the plan saw it, and nothing of people is lost.
fn check(
    name: &WorkspaceName,
    found: &Found,
    (server, project): (&Client, Project),
    deploy: &Deploy,
    CodeSource { git, source: _ }: CodeSource<'_>,
) -> Result<(), PerformError> {
    let unknown = project.unknown.clone();
    let code = project.code(&found.code());
    refuse(name, &code.uncommitted)?;
    if code.commit != deploy.from {
        return Err(PerformError::Moved(format!(
            "`{name}` does not run what it ran when the plan was made; plan again"
        )));
    }
    // Over what Mage itself put there, anything may go.
    match code.commit {
        Some(_) => refuse(name, &overwritten(server, git, deploy, &unknown)?),
        None => Ok(()),
    }
}

fn unread(name: &WorkspaceName, why: &str) -> PerformError {
    PerformError::Failed(format!("the code of `{name}` cannot be read: {why}"))
}

fn refuse(name: &WorkspaceName, work: &[Text]) -> Result<(), PerformError> {
    let Some(first) = work.first() else { return Ok(()) };
    let more = match work.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Err(PerformError::Moved(format!(
        "somebody works in `{name}`: `{first}`{more} would be lost; commit and push it there, or take it out"
    )))
}

/// The files that git does not know and a commit brings with another content.
fn overwritten(
    server: &Client,
    git: &Path,
    deploy: &Deploy,
    unknown: &[String],
) -> Result<Vec<Text>, PerformError> {
    let mut lost = Vec::new();
    for path in unknown {
        let files = magus_git::files_at(git, &deploy.to, path.trim_end_matches('/'), LOOKED_AT);
        let files = files.map_err(|error| PerformError::Failed(error.to_string()))?;
        if files.len() >= LOOKED_AT {
            lost.push(path.as_str().into());
            continue;
        }
        for (path, content) in files {
            let there = server.send(&request::git_file(&path));
            let there = there.map_err(|error| PerformError::Failed(error.to_string()))?;
            let there = there["git_file"]["content"].as_str();
            // Mage fills new projects with empty files.
            if there.is_some_and(|there| !there.is_empty() && there.as_bytes() != content) {
                lost.push(path.into());
            }
        }
    }
    Ok(lost)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ONE: &str = "3a5746628fb7ca6541ee2069d93f6c9373885772";
    const TWO: &str = "b6e514460965aca1bb956bcc224563ea55144292";

    fn reflog(lines: &[(&str, &str)]) -> String {
        let line =
            |(commit, what): &(&str, &str)| format!("{ONE} {commit} a b <a@b> 1795907529 +0000\t{what}\n");
        lines.iter().map(line).collect()
    }

    fn status(modified: &[&str], staged: &[&str], unknown: &[&str]) -> Value {
        json!({"modified_files": modified, "staged_files": staged, "untracked_files": unknown})
    }

    #[test]
    fn what_runs_is_what_was_checked_out_last() {
        let made = StoredCode { made: true, at: Some(ONE.into()) };
        let synced = reflog(&[(ONE, "clone: from x"), (TWO, "reset: moving to mage-repo/deploy/dev")]);
        let project = Project::read(
            &synced,
            &status(&["pipelines/p/triggers.yaml", "utils/a.py"], &["b.py", "utils/a.py"], &["charts/"]),
        );
        let code = project.code(&made);
        assert_eq!(code.commit.as_deref(), Some(TWO));
        assert_eq!(code.uncommitted, ["b.py", "utils/a.py"]);
        // One of that name that is no file of Mage's.
        let project = Project::read(&synced, &status(&["triggers.yaml"], &[], &[]));
        assert_eq!(project.changed, ["triggers.yaml"]);
        // What was synced months ago is not in the log any more, and what people did since is theirs.
        let project = Project::read(&reflog(&[(TWO, "commit: mine")]), &status(&["a.py"], &[], &[]));
        assert_eq!(project.code(&made).uncommitted, ["a.py"]);
        for line in ["", "x", "a b c", &format!("{ONE} {}", "z".repeat(40))] {
            assert_eq!(commit_of(line), None, "{line}");
        }
    }

    #[test]
    fn a_project_of_mage_is_nobodys_work_and_one_of_people_is() {
        let made = StoredCode { made: true, at: None };
        for set_up in [
            reflog(&[(ONE, "clone: from x")]),
            reflog(&[(ONE, "commit (initial): Initial commit")]),
            String::new(),
        ] {
            let project = Project::read(&set_up, &status(&["io_config.yaml"], &[], &[]));
            assert_eq!(project.clone().code(&made), ObservedCode::default());
            assert!(!project.code(&StoredCode::default()).uncommitted.is_empty(), "somebody else made it");
        }
        let commit =
            Project::read(&reflog(&[(ONE, "clone: from x"), (TWO, "commit: mine")]), &status(&[], &[], &[]));
        assert_eq!(commit.code(&made).commit.as_deref(), Some(TWO));
    }
}
