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
    desired::{GIT_BRANCH, SYNC_ON_START},
    name::WorkspaceName,
    observed::{ObservedCode, RunState, Work},
    path::FieldPath,
    plan::{Action, Deploy, Restarts, Step},
    source::Deployment,
    value::{FieldValue, Value},
};
use serde_json::Value as Json;

use crate::{
    Mage,
    api::{Client, request},
    container::{ENV, Form},
    hidden::hide,
    item::{Item, Known, Surroundings},
    mark::{Stored, StoredCode},
    own_server::Shut,
    perform::Found,
    wait::is_cancelled,
};

/// Where git writes down what was checked out.
const REFLOG: &str = ".git/logs/HEAD";
/// What is checked out: a commit, or a branch.
const HEAD: &str = ".git/HEAD";
/// Where git keeps the commits of branches that have no file of their own.
const PACKED: &str = ".git/packed-refs";
/// What stands in the log of a repository that Mage has only set up: a clone of which it took nothing but this, or a new one
/// (`__setup_repo` in `data_preparation/git/__init__.py`).
const SET_UP: [&str; 2] = ["clone: from ", "commit (initial): Initial commit"];
/// What Mage itself writes into a project, and a sync writes anew (MAGE.md 4.24).
const OF_MAGE: &str = "triggers.yaml";
/// Whether the volume goes with a workspace: `Delete` or `Retain`.
const RETENTION: &str = "pvc_retention_policy";
/// Why uncommitted changes of a stopped workspace are not known.
const IS_STOPPED: Text = Text::new_static("it is stopped, and only its running server shows them");
/// How many changed files are told.
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
            Ok(content(&ask(request::git_file(path))?)?.unwrap_or_default().to_owned())
        };
        let reflog = file(REFLOG)?;
        let status = ask(request::git_status())?;
        let project = Self::read(&reflog, &status["git_branch"])?;
        if project.head.is_some() {
            return Ok(project);
        }
        // Entries of the log go after some months.
        let checked_out = file(HEAD)?;
        let checked_out = checked_out.trim();
        let head = match checked_out.strip_prefix("ref: ") {
            Some(branch) => match file(&format!(".git/{branch}"))? {
                // `git gc` packs references.
                unpacked if unpacked.trim().is_empty() => packed(&file(PACKED)?, branch).to_owned(),
                unpacked => unpacked,
            },
            None => checked_out.to_owned(),
        };
        let head = number(head.trim()).map(Text::from);
        Ok(Self { only_set_up: head.is_none(), head, ..project })
    }

    /// Reads the log of what was checked out, and what git finds changed.
    ///
    /// # Errors
    /// If Mage's answer says something else than which files: no file may be taken for unchanged then.
    fn read(reflog: &str, status: &Json) -> Result<Self, String> {
        let list = |key: &str| -> Result<Vec<&str>, String> {
            let paths = status[key].as_array().map(|items| items.iter().map(Json::as_str).collect());
            paths.flatten().ok_or_else(|| format!("Mage does not say which files are in `{key}`"))
        };
        let is_of_mage = |path: &&str| {
            path.starts_with("pipelines/") && path.rsplit('/').next().is_some_and(|name| name == OF_MAGE)
        };
        let changed = [list("modified_files")?, list("staged_files")?].concat();
        let mut changed: Vec<Text> =
            changed.into_iter().filter(|path| !is_of_mage(path)).map(Text::from).collect();
        changed.sort();
        changed.dedup();
        Ok(Self {
            head: reflog.lines().next_back().and_then(commit_of).map(Text::from),
            only_set_up: reflog.lines().all(|line| {
                let what = line.split_once('\t').map_or("", |(_, what)| what);
                SET_UP.iter().any(|set_up| what.starts_with(set_up))
            }),
            changed,
            unknown: list("untracked_files")?.into_iter().map(str::to_owned).collect(),
        })
    }

    /// What runs, and the uncommitted changes. Where Magus made the workspace and git only set up its project, there is nothing.
    fn code(mut self, stored: &StoredCode) -> ObservedCode {
        if self.only_set_up && stored.made {
            return ObservedCode { commit: None, work: Work::None };
        }
        if self.head.is_none() {
            // Without a commit to compare with, every file may be a person's.
            return ObservedCode { commit: None, work: Work::found(vec![Text::new_static(".")]) };
        }
        self.changed.truncate(TOLD);
        ObservedCode { commit: self.head, work: Work::found(self.changed) }
    }
}

/// The content of a file that Mage was asked for; `None` if there is no such file.
///
/// # Errors
/// If Mage's answer is neither.
fn content(answer: &Json) -> Result<Option<&str>, String> {
    match &answer["git_file"] {
        Json::Object(file) => match file.get("content") {
            Some(Json::Null) => Ok(None),
            Some(Json::String(content)) => Ok(Some(content)),
            _ => Err("Mage does not say what is in a file".to_owned()),
        },
        _ => Err("Mage does not say what is in a file".to_owned()),
    }
}

/// The commit of a reference in `packed-refs`: lines of `COMMIT REFERENCE`.
fn packed<'a>(packed: &'a str, reference: &str) -> &'a str {
    let mut lines = packed.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(_, name)| *name == reference).map_or("", |(commit, _)| commit)
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

/// What is known of the code of a workspace whose server is not asked: the commit that it was told last. Its uncommitted changes
/// are never remembered.
pub(crate) fn remembered(stored: Option<&Stored>, work: Work) -> ObservedCode {
    ObservedCode { commit: stored.and_then(|stored| stored.code.at.clone()), work }
}

/// Whether a workspace resets its code to its deploy branch whenever it starts.
pub(crate) fn resets_at_start(known: &Known) -> bool {
    known.leaves.contains_key(&FieldPath::key(ENV).child(SYNC_ON_START))
}

/// Whether a delete loses what is in a workspace: its volume goes with it, it is on no volume of its own, or a workspace of the
/// same name resets its code when it starts.
pub(crate) fn is_lost_with(known: &Known, surroundings: &Surroundings) -> bool {
    let deletes_volume = known.workspace.fields.iter().any(|field| {
        field.path.as_str() == RETENTION
            && matches!(&field.value, FieldValue::Plain(value) if value.as_str() == Some("Delete"))
    });
    let is_deployed = known.stored.as_ref().is_some_and(|stored| stored.code.at.is_some());
    let on_kubernetes = surroundings.form == Form::Kubernetes && !surroundings.are_tasks;
    is_deployed || resets_at_start(known) || deletes_volume || !on_kubernetes
}

impl Mage {
    /// The code of a workspace; the reason if its server cannot tell.
    pub(crate) fn code_of(&self, item: &Item, known: &Known) -> Result<ObservedCode, String> {
        let stored = known.stored.as_ref();
        match known.workspace.state {
            RunState::Stopped => {
                let is_clean = stored.is_some_and(|stored| stored.code.clean);
                let work = if is_clean { Work::None } else { Work::Unknown(IS_STOPPED) };
                Ok(remembered(stored, work))
            }
            RunState::Running => {
                let server = self.trusted_server(item).map_err(Shut::reason)?;
                let stored = stored.map(|stored| stored.code.clone()).unwrap_or_default();
                Project::look(&server).map(|project| project.code(&stored))
            }
            state => Err(format!("it is {}", state.as_str())),
        }
    }

    /// Looks for uncommitted changes right before a step that would lose them.
    ///
    /// # Errors
    /// If there are any, or nothing shows that there are none, and the plan does not accept to lose them.
    pub(crate) fn keep_work(&self, task: &Task<'_>, found: &Found) -> Result<(), PerformError> {
        let Task { step, discard_changes, .. } = *task;
        if discard_changes || !self.loses_work(step, found)? {
            return Ok(());
        }
        let work = self.code_of(&found.item, &found.known).map(|code| code.work);
        refuse(&step.workspace, &work.unwrap_or_else(|why| Work::Unknown(why.into())))
    }

    /// Whether a step, a deploy aside, loses the uncommitted changes of a workspace.
    fn loses_work(&self, step: &Step, found: &Found) -> Result<bool, PerformError> {
        let path = FieldPath::key(ENV).child(SYNC_ON_START);
        let begins = step.fields.iter().any(|field| field.path == path && field.after.is_some());
        let resets = resets_at_start(&found.known);
        let runs = found.known.workspace.state != RunState::Stopped;
        Ok(match step.action {
            Action::Create | Action::Replace | Action::Adopt | Action::Forget | Action::Deploy => false,
            Action::Delete => is_lost_with(&found.known, &self.surroundings_of_step()?),
            Action::Stop | Action::Start | Action::Restart => resets,
            Action::Update => begins && !resets || resets && runs && step.restarts != Restarts::No,
        })
    }

    /// Whether a workspace runs, once it has come up if it is on its way.
    fn settled(
        &self,
        name: &WorkspaceName,
        found: &Found,
        cancelled: &AtomicBool,
    ) -> Result<RunState, PerformError> {
        let state = found.known.workspace.state;
        if state != RunState::Pending {
            return Ok(state);
        }
        match self.wait_until(name, RunState::Running, cancelled) {
            Ok(()) => Ok(RunState::Running),
            Err(_) if is_cancelled(cancelled) => {
                Err(PerformError::NotStarted("interrupted while the workspace was starting".to_owned()))
            }
            Err(_) => Ok(RunState::Failed),
        }
    }

    /// Has a workspace fetch the code of a step, and looks whether it has it.
    pub(crate) fn deploy(&self, task: &Task<'_>, found: &Found) -> Result<(), PerformError> {
        let Task { step, cancelled, code, .. } = *task;
        let Step { workspace: name, restarts, .. } = step;
        let deploy = step.deploy.as_ref();
        let deploy =
            deploy.ok_or_else(|| PerformError::Failed("the step says no code to deploy".to_owned()))?;
        let code = CodeSource::of_step(code, deploy)?;
        if let Some(deployment) = &code.source.deployment {
            self.keep_work_of_deployment(task, found)?;
            self.ask_pro(deployment, deploy)?;
            let marked = self.put_mark(found, deployed(step, found, deploy)?);
            return marked.map_err(|error| error.after("the deployment was asked for"));
        }
        let move_branch = || (task.move_branch)().map_err(PerformError::Failed);
        follows(found, deploy)?;
        match self.settled(name, found, cancelled)? {
            RunState::Stopped => move_branch()?,
            RunState::Running => {
                let server = self.reach(name, "code", cancelled)?;
                let project = Project::look(&server).map_err(|why| magus_engine::unchecked(name, &why))?;
                if project.clone().code(&found.code()).commit.as_ref() == Some(&deploy.to) {
                    move_branch()?;
                } else {
                    check(task, found, (&server, project), deploy, code)?;
                    move_branch()?;
                    self.sync(name, &server, found, deploy, cancelled)?;
                    if *restarts != Restarts::No {
                        let restarted = self.stop_and_resume(found, cancelled);
                        restarted.map_err(|error| error.after("the code was fetched"))?;
                        self.wait_until(name, RunState::Running, cancelled)?;
                    }
                }
                self.wait_for_code(name, found, &deploy.to, cancelled)?;
            }
            // Its code may be what keeps it from coming up: another try fetches the new one.
            state @ (RunState::Pending | RunState::Failed) => {
                if !task.discard_changes {
                    refuse(name, &Work::Unknown(format!("it is {}", state.as_str()).into()))?;
                }
                move_branch()?;
                self.stop_and_resume(found, cancelled)?;
                self.wait_until(name, RunState::Running, cancelled)?;
                self.wait_for_code(name, found, &deploy.to, cancelled)?;
            }
        }
        let found = self.look_after(name)?;
        let marked = self.put_mark(&found, deployed(step, &found, deploy)?);
        marked.map_err(|error| error.after("the code was deployed"))
    }

    /// Looks for uncommitted changes right before Mage Pro deploys over them. A workspace that this apply made has none.
    fn keep_work_of_deployment(&self, task: &Task<'_>, found: &Found) -> Result<(), PerformError> {
        let name = &task.step.workspace;
        if task.discard_changes || self.has_made(name) {
            return Ok(());
        }
        let code = self.code_of(&found.item, &found.known);
        refuse(name, &code.map_or_else(|why| Work::Unknown(why.into()), |code| code.work))
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
        deploy: &Deploy,
        cancelled: &AtomicBool,
    ) -> Result<(), PerformError> {
        hide(server, &found.known.leaves, &found.secrets());
        let Err(error) = server.send(&request::sync()) else { return Ok(()) };
        if error.uncertain {
            return self.wait_for_code(name, found, &deploy.to, cancelled);
        }
        let refused = PerformError::Failed(format!("`{name}` cannot fetch its code: {error}"));
        match Project::look(server).map(|project| project.code(&found.code()).commit) {
            Ok(commit) if commit.as_ref() == Some(&deploy.to) => Ok(()),
            Ok(commit) if commit == deploy.from => Err(refused),
            Ok(_) | Err(_) => Err(refused.after("the sync was asked for")),
        }
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

/// Whether a workspace fetches its code from the branch that a deploy moves.
fn follows(found: &Found, deploy: &Deploy) -> Result<(), PerformError> {
    let branch = found.known.leaves.get(&FieldPath::key(ENV).child(GIT_BRANCH)).and_then(Value::as_str);
    match (branch, &deploy.follows) {
        (Some(branch), Some(follows)) if branch != follows.name.as_str() => Err(PerformError::Moved(
            format!("`{}` follows `{branch}`, and not `{}`; plan again", found.name(), follows.name),
        )),
        _ => Ok(()),
    }
}

/// The mark after a deploy.
fn deployed(step: &Step, found: &Found, deploy: &Deploy) -> Result<Stored, PerformError> {
    let mut stored = found.stored_by(step, found.secrets())?;
    stored.code.at = Some(deploy.to.clone());
    Ok(stored)
}

/// Whether the workspace is as the plan saw it, and no uncommitted change is lost that the plan does not accept to lose.
fn check(
    task: &Task<'_>,
    found: &Found,
    (server, project): (&Client, Project),
    deploy: &Deploy,
    CodeSource { git, source: _ }: CodeSource<'_>,
) -> Result<(), PerformError> {
    let name = &task.step.workspace;
    let unknown = project.unknown.clone();
    let code = project.code(&found.code());
    if !task.discard_changes {
        refuse(name, &code.work)?;
    }
    if code.commit != deploy.from {
        return Err(PerformError::Moved(format!(
            "`{name}` does not run what it ran when the plan was made; plan again"
        )));
    }
    // Over what Mage itself put there, anything may go.
    match code.commit {
        Some(_) if !task.discard_changes => {
            refuse(name, &Work::found(overwritten(server, git, deploy, &unknown)?))
        }
        _ => Ok(()),
    }
}

fn refuse(name: &WorkspaceName, work: &Work) -> Result<(), PerformError> {
    match work {
        Work::NotRead | Work::None => Ok(()),
        Work::Uncommitted(paths) => Err(magus_engine::uncommitted(name, paths)),
        Work::Unknown(reason) => Err(magus_engine::unchecked(name, reason)),
    }
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
            let there = there.map_err(|error| PerformError::NotStarted(error.to_string()))?;
            let there = self::content(&there).map_err(PerformError::NotStarted)?;
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

    fn status(modified: &[&str], staged: &[&str], unknown: &[&str]) -> Json {
        json!({"modified_files": modified, "staged_files": staged, "untracked_files": unknown})
    }

    #[test]
    fn what_runs_is_what_was_checked_out_last() {
        let made = StoredCode { made: true, at: Some(ONE.into()), clean: false };
        let synced = reflog(&[(ONE, "clone: from x"), (TWO, "reset: moving to mage-repo/deploy/dev")]);
        let project = Project::read(
            &synced,
            &status(&["pipelines/p/triggers.yaml", "utils/a.py"], &["b.py", "utils/a.py"], &["charts/"]),
        );
        let project = project.unwrap();
        let code = project.code(&made);
        assert_eq!(code.commit.as_deref(), Some(TWO));
        assert_eq!(code.work.paths(), ["b.py", "utils/a.py"]);
        // One of that name that is no file of Mage's.
        let project = Project::read(&synced, &status(&["triggers.yaml"], &[], &[])).unwrap();
        assert_eq!(project.changed, ["triggers.yaml"]);
        // What was synced months ago is not in the log any more, and what people did since is theirs.
        let project = Project::read(&reflog(&[(TWO, "commit: mine")]), &status(&["a.py"], &[], &[])).unwrap();
        assert_eq!(project.code(&made).work.paths(), ["a.py"]);
        for line in ["", "x", "a b c", &format!("{ONE} {}", "z".repeat(40))] {
            assert_eq!(commit_of(line), None, "{line}");
        }
    }

    #[test]
    fn answer_that_does_not_name_files_is_not_an_empty_list() {
        let synced = reflog(&[(ONE, "clone: from x"), (TWO, "reset: moving to mage-repo/deploy/dev")]);
        for answer in [
            Json::Null,
            json!({}),
            json!({"modified_files": null, "staged_files": [], "untracked_files": []}),
            json!({"modified_files": [{"name": "a.py"}], "staged_files": [], "untracked_files": []}),
            json!({"modified_files": [], "staged_files": []}),
        ] {
            assert!(Project::read(&synced, &answer).is_err(), "{answer}");
        }
        assert_eq!(content(&json!({"git_file": {"content": null}})), Ok(None));
        assert_eq!(content(&json!({"git_file": {"content": ""}})), Ok(Some("")));
        for answer in
            [json!({"git_file": {}}), json!({"git_file": null}), json!({"git_file": {"content": 1}})]
        {
            assert!(content(&answer).is_err(), "{answer}");
        }
    }

    #[test]
    fn packed_references_are_read() {
        let file = format!("# pack-refs with: peeled\n{ONE} refs/heads/a\n{TWO} refs/heads/main\n^{ONE}\n");
        assert_eq!(packed(&file, "refs/heads/main"), TWO);
        assert_eq!(packed(&file, "refs/heads/mai"), "");
        assert_eq!(packed("", "refs/heads/main"), "");
    }

    #[test]
    fn a_project_of_mage_is_nobodys_work_and_one_of_people_is() {
        let made = StoredCode { made: true, at: None, clean: false };
        for set_up in [
            reflog(&[(ONE, "clone: from x")]),
            reflog(&[(ONE, "commit (initial): Initial commit")]),
            String::new(),
        ] {
            let project = Project::read(&set_up, &status(&["io_config.yaml"], &[], &[])).unwrap();
            assert_eq!(project.clone().code(&made), ObservedCode { commit: None, work: Work::None });
            assert!(project.code(&StoredCode::default()).work.may_exist(), "it was not made by Magus");
        }
        let commit =
            Project::read(&reflog(&[(ONE, "clone: from x"), (TWO, "commit: mine")]), &status(&[], &[], &[]));
        let commit = commit.unwrap();
        assert_eq!(commit.code(&made).commit.as_deref(), Some(TWO));
    }
}
