//! Steps in a store: what each does to the row and to the `.env` of a workspace.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, atomic::Ordering},
};

use magus_engine::{CodeSource, Perform, PerformError, Task};
use magus_model::{
    Text,
    name::WorkspaceName,
    observed::{ObservedCode, ObservedWorkspace, RunState, Work},
    path::FieldPath,
    plan::{Action, Deploy, FieldChange, MarkRefresh, Precondition, Step},
    value::{FieldValue, SecretReference, Value},
};
use magus_secrets::Resolver;
use rusqlite::OptionalExtension;

use crate::{
    code::{self, DeployRequest, Occupied},
    folders, record,
    row::RawRow,
    store::{self, Change, Event, FingerprintChange, Store},
    trouble::failed,
    variables::{self, EnvFile, EnvRequest},
};

type Fields = BTreeMap<FieldPath, FieldValue>;

impl Perform for Store {
    fn perform(&self, task: &Task<'_>) -> Result<(), PerformError> {
        let Step { workspace, action, .. } = task.step;
        let outcome = self.prepare(task).and_then(|change| {
            let Some(deploy) = &task.step.deploy else { return self.carry_out(&change) };
            self.deploy(task, deploy)?;
            self.carry_out(&change).map_err(|error| {
                let what = "the code was deployed, but the store does not record it";
                PerformError::Uncertain(format!("{what}: {}", error.message()))
            })
        });
        self.settle(outcome, workspace, action.as_str(), task.secrets)
    }

    fn lost_secrets(&self, step: &Step) -> Vec<(FieldPath, SecretReference)> {
        if !step.fields.iter().any(|change| variables::concerns(&change.path)) {
            return Vec::new();
        }
        let name = step.renamed_from.as_ref().unwrap_or(&step.workspace);
        let (Ok(Some(mut fields)), Ok(folder)) = (self.fields(name), self.folder(name)) else {
            return Vec::new();
        };
        for change in &step.fields {
            fields.remove(&change.path);
        }
        let lost = variables::missing(&fields, &folder.join(".env"));
        fields.retain(|path, _| lost.contains(path));
        let secrets = fields.into_iter().filter_map(|(path, value)| match value {
            FieldValue::Secret(reference) => Some((path, *reference)),
            FieldValue::Plain(_) => None,
        });
        secrets.collect()
    }

    fn refresh_mark(&self, refresh: &MarkRefresh) -> Result<(), PerformError> {
        let MarkRefresh { cluster: _, workspace, revision, mark } = refresh;
        let row = self.row(workspace)?.filter(|row| self.is_at(row, revision));
        let row = row.ok_or_else(|| store::moved(workspace))?;
        let after = row.with_mark(mark).map_err(PerformError::Failed)?;
        let change = Change {
            after: Some(after),
            action: "mark",
            ..Change::of(workspace, Some(row), "bookkeeping".to_owned())
        };
        self.carry_out(&change)
    }

    fn identity(&self, workspace: &WorkspaceName) -> Option<Text> {
        self.row(workspace).ok()??.identity()
    }

    fn secret_changes(
        &self,
        workspace: &WorkspaceName,
        fields: &[(FieldPath, SecretReference)],
        secrets: &Resolver,
    ) -> Result<Vec<FieldPath>, PerformError> {
        let outcome = self.find_secret_changes(workspace, fields, secrets);
        outcome.map_err(|error| error.map_message(|message| secrets.redact(&message)))
    }
}

impl Change {
    /// A change that changes nothing yet.
    fn of(name: &WorkspaceName, before: Option<RawRow>, reason: String) -> Self {
        Self {
            name: name.clone(),
            renamed_from: None,
            before,
            after: None,
            staged: None,
            fingerprints: FingerprintChange::default(),
            action: "",
            reason,
        }
    }
}

impl Store {
    /// Everything that can fail before the commit, secrets among it.
    pub(crate) fn prepare(&self, task: &Task<'_>) -> Result<Change, PerformError> {
        let Task { step, secrets, refresh_secrets, .. } = *task;
        let Step {
            workspace: name, action, reason, precondition, fields: changes, renamed_from, mark, ..
        } = step;
        let old_name = renamed_from.as_ref().unwrap_or(name);
        self.folder(name)?;
        self.folder(old_name)?;
        let before = self.row(old_name)?;
        self.expect(precondition, old_name, before.as_ref())?;
        if before.is_some() == (*action == Action::Create) {
            return Err(store::moved(old_name));
        }
        if renamed_from.is_some() {
            if self.row(name)?.is_some() {
                return Err(store::taken(name));
            }
            let folder = self.folder(name)?;
            if folder.exists() {
                let what = "is there already, though no workspace has its name; move it away";
                return Err(PerformError::Failed(format!("`{}` {what}", folder.display())));
            }
        }
        let mut change = Change {
            renamed_from: renamed_from.clone(),
            action: action.as_str(),
            ..Change::of(name, before, secrets.redact(reason))
        };
        match action {
            Action::Delete => {
                self.code(task)?;
                return Ok(change);
            }
            Action::Forget => {
                change.after = change.before.as_ref().map(RawRow::without_mark);
                return Ok(change);
            }
            Action::Adopt
            | Action::Deploy
            | Action::Create
            | Action::Replace
            | Action::Stop
            | Action::Update
            | Action::Start
            | Action::Restart => {}
        }
        let observed = change.before.as_ref().map(|row| row.parse(Some(&self.key))).transpose();
        let observed = observed
            .map_err(|reason| PerformError::Failed(format!("`{old_name}` cannot be read: {reason}")))?;
        let (state, fields) = after(*action, observed.as_ref(), changes)?;
        let text = record::write(state, &fields).map_err(PerformError::Failed)?;
        let mark = mark.as_ref().or(observed.as_ref().and_then(|observed| observed.mark.as_ref()));
        let row = RawRow::new(name, text, mark).map_err(PerformError::Failed)?;
        // What replaces a workspace is another one.
        let before = change.before.as_ref().filter(|_| *action != Action::Replace);
        change.after = Some(row.with_id_of(before));

        let anew = matches!(action, Action::Create | Action::Replace);
        let refresh = refresh_secrets && *action == Action::Update;
        let concerned = |change: &&FieldChange| variables::concerns(&change.path);
        if anew || refresh || changes.iter().any(|change| concerned(&change)) {
            let changed = |path: &FieldPath| changes.iter().any(|change| change.path == *path);
            let send = |path: &FieldPath| *action == Action::Create || refresh || changed(path);
            let file = self.env_file(old_name, &fields, &send, secrets)?;
            change.fingerprints = FingerprintChange {
                clear: *action == Action::Create,
                forget: changes.iter().filter(concerned).map(|change| change.path.clone()).collect(),
                set: file.fingerprints,
            };
            change.staged = Some(self.stage(name, &file.text)?);
        }
        Ok(change)
    }

    /// Switches a workspace to other code, if it still has the one that the step expects. The store learns of it afterwards: the
    /// link in the folder is what counts.
    fn deploy(&self, task: &Task<'_>, deploy: &Deploy) -> Result<(), PerformError> {
        let name = &task.step.workspace;
        let found = self.code(task)?;
        let CodeSource { git, source } = CodeSource::of_step(task.code, deploy)?;
        // A new workspace takes over the folder that a deleted row left, whatever commit its link leads to.
        if !follows_create(task.step) {
            let is_there = found.commit.as_ref() == Some(&deploy.to);
            // The commit alone does not say from which directory its tree was written.
            if is_there && deploy.source_before.is_none() {
                return Ok(());
            }
            if !is_there && found.commit != deploy.from {
                return Err(store::moved(name));
            }
        }
        let directory = source.directory.as_str();
        let key = (git.to_owned(), directory.into(), deploy.to.clone());
        let trees = || self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        let like = trees().get(&key).cloned();
        let occupied = if task.discard_changes { Occupied::Discard } else { Occupied::Keep };
        let request = DeployRequest { git, directory, commit: &deploy.to, like, occupied };
        let tree = code::deploy(&self.folder(name)?, request);
        trees().insert(key, tree.map_err(PerformError::Failed)?);
        Ok(())
    }

    /// The code of a workspace, right before a step that loses its uncommitted changes: refused if there are any that the plan does
    /// not accept to lose.
    fn code(&self, task: &Task<'_>) -> Result<ObservedCode, PerformError> {
        let name = &task.step.workspace;
        let found = code::observe(&self.folder(name)?, true);
        match &found.work {
            _ if task.discard_changes => Ok(found),
            Work::NotRead | Work::None => Ok(found),
            Work::Uncommitted(paths) => Err(magus_engine::uncommitted(name, paths)),
            Work::Unknown(reason) => Err(magus_engine::unchecked(name, reason)),
        }
    }

    fn find_secret_changes(
        &self,
        name: &WorkspaceName,
        wanted: &[(FieldPath, SecretReference)],
        secrets: &Resolver,
    ) -> Result<Vec<FieldPath>, PerformError> {
        let Some(fields) = self.fields(name)? else { return Ok(Vec::new()) };
        let mut changed = Vec::new();
        let mut missing = None;
        for (path, reference) in wanted {
            if reference.keep || !holds(&fields, path, reference) {
                continue;
            }
            let Some(known) = self.fingerprint(name, path)? else { continue };
            let value = variables::resolve(path, reference, secrets)?;
            // A file that was lost, for instance with the power, needs its values again.
            let missing = match &mut missing {
                Some(missing) => missing,
                None => missing.insert(variables::missing(&fields, &self.folder(name)?.join(".env"))),
            };
            if missing.contains(path) || self.key.fingerprint(path, &value).0[..] != known[..] {
                changed.push(path.clone());
            }
        }
        Ok(changed)
    }

    /// Commits a change, and does in the folders what it says.
    fn carry_out(&self, change: &Change) -> Result<(), PerformError> {
        match self.commit(change) {
            Ok(Some(intent)) => self.finish(&intent),
            Ok(None) => Ok(()),
            Err(error) => {
                if let Some(staged) = &change.staged {
                    // What stays is removed when the store is opened again.
                    let _ = folders::remove(&self.folders.staging().join(staged));
                }
                Err(error)
            }
        }
    }

    /// Redacts the message of a failure and puts it among the events.
    fn settle(
        &self,
        outcome: Result<(), PerformError>,
        workspace: &WorkspaceName,
        action: &str,
        secrets: &Resolver,
    ) -> Result<(), PerformError> {
        let error = match outcome {
            Ok(()) => return Ok(()),
            Err(error) => error.map_message(|message| secrets.redact(&message)),
        };
        let outcome = match &error {
            PerformError::Failed(_) => "failed",
            PerformError::Uncertain(_) => "uncertain",
            PerformError::Moved(_) => "moved",
            PerformError::NotStarted(_) => "not started",
        };
        let event = Event { workspace, action, outcome, reason: error.message() };
        if let Err(error) = self.write_event(&self.connection(), &event) {
            tracing::debug!(%error, "an event was not written");
        }
        Err(error)
    }

    /// Whether the workspace is as the step expects it. The commit looks once more whether it still is.
    fn expect(
        &self,
        precondition: &Precondition,
        name: &WorkspaceName,
        row: Option<&RawRow>,
    ) -> Result<(), PerformError> {
        let revision = row.map(|row| row.revision(Some(&self.key)));
        match precondition {
            Precondition::Absent if revision.is_some() => Err(store::taken(name)),
            Precondition::Absent => Ok(()),
            Precondition::Revision(expected) if row.is_some_and(|row| self.is_at(row, expected)) => Ok(()),
            // The step before is one of this apply, so that what it wrote is known.
            Precondition::Follows(_) if self.written(name) == Some(revision) => Ok(()),
            Precondition::Revision(_) | Precondition::Follows(_) => Err(store::moved(name)),
        }
    }

    /// Whether a row is at a revision. A store that had no key when it was read gave one without a key.
    fn is_at(&self, row: &RawRow, expected: &str) -> bool {
        row.revision(Some(&self.key)) == *expected || row.revision(None) == *expected
    }

    fn env_file(
        &self,
        current: &WorkspaceName,
        fields: &Fields,
        send: &dyn Fn(&FieldPath) -> bool,
        secrets: &Resolver,
    ) -> Result<EnvFile, PerformError> {
        let current = self.folder(current)?.join(".env");
        variables::env_file(&EnvRequest { fields, current: &current, send, secrets, key: &self.key })
    }

    fn stage(&self, name: &WorkspaceName, text: &str) -> Result<String, PerformError> {
        let staged = format!("{name}.{}", self.staged.fetch_add(1, Ordering::Relaxed));
        let path = self.folders.staging().join(&staged);
        let written = folders::write_new(&path, text.as_bytes());
        written.map_err(|error| failed(format!("`{}` cannot be written", path.display()), &error))?;
        Ok(staged)
    }

    fn folder(&self, name: &WorkspaceName) -> Result<std::path::PathBuf, PerformError> {
        let folder = self.folders.workspace(name);
        folder.ok_or_else(|| {
            PerformError::Failed(format!("`{name}` is no name that a workspace's folder can have"))
        })
    }

    fn row(&self, name: &WorkspaceName) -> Result<Option<RawRow>, PerformError> {
        store::row(&self.connection(), name)
            .map_err(|error| failed(format!("`{name}` cannot be read"), &error))
    }

    /// The fields of a workspace.
    fn fields(&self, name: &WorkspaceName) -> Result<Option<Fields>, PerformError> {
        let Some(row) = self.row(name)? else { return Ok(None) };
        let observed = row
            .parse(Some(&self.key))
            .map_err(|reason| PerformError::Failed(format!("`{name}` cannot be read: {reason}")))?;
        Ok(Some(observed.fields.into_iter().map(|field| (field.path, field.value)).collect()))
    }

    fn fingerprint(&self, name: &WorkspaceName, path: &FieldPath) -> Result<Option<Vec<u8>>, PerformError> {
        let connection = self.connection();
        let query = || {
            connection
                .prepare_cached("SELECT fingerprint FROM fingerprints WHERE workspace = ?1 AND path = ?2")?
                .query_row([name.as_str(), path.as_str()], |row| row.get(0))
                .optional()
        };
        query().map_err(|error| failed(format!("the fingerprint of `{path}` cannot be read"), &error))
    }
}

/// Whether a step completes a workspace that the step before it created.
fn follows_create(step: &Step) -> bool {
    matches!(&step.precondition, Precondition::Follows(before) if before.ends_with("/create"))
}

/// Whether a workspace holds this reference in this version.
fn holds(fields: &Fields, path: &FieldPath, reference: &SecretReference) -> bool {
    match fields.get(path) {
        Some(FieldValue::Secret(held)) => {
            held.source == reference.source && held.version == reference.version
        }
        _ => false,
    }
}

/// What a workspace is after a step.
fn after(
    action: Action,
    observed: Option<&ObservedWorkspace>,
    changes: &[FieldChange],
) -> Result<(RunState, Fields), PerformError> {
    let mut state = observed.map_or(RunState::Running, |observed| observed.state);
    let mut fields: Fields = observed
        .map(|observed| {
            observed.fields.iter().map(|field| (field.path.clone(), field.value.clone())).collect()
        })
        .unwrap_or_default();
    match action {
        Action::Start => state = RunState::Running,
        Action::Stop => state = RunState::Stopped,
        _ => {}
    }
    for FieldChange { path, after, .. } in changes {
        match after {
            Some(FieldValue::Plain(Value::String(text))) if path.as_str() == "state" => match text.as_str() {
                "running" => state = RunState::Running,
                "stopped" => state = RunState::Stopped,
                // A new workspace runs, an old one goes on as it does.
                "auto" => {}
                other => return Err(PerformError::Failed(format!("`state` cannot be set to `{other}`"))),
            },
            None | Some(FieldValue::Plain(Value::Null)) => drop(fields.remove(path)),
            Some(value) => drop(fields.insert(path.clone(), value.clone())),
        }
    }
    Ok((state, fields))
}

#[cfg(test)]
#[path = "perform_tests.rs"]
mod tests;
