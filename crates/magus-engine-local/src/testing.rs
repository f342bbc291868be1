//! What the tests of this crate share: stores in temporary folders, and steps without much writing.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use jiff::Timestamp;
use magus_engine::{EngineError, Observe, Perform, PerformError, Task};
use magus_model::{
    name::WorkspaceName,
    observed::{Mark, Observation, ObservedWorkspace},
    path::FieldPath,
    plan::{Action, FieldChange, FieldStatus, Precondition, Reason, Restarts, Step},
    value::{FieldValue, SecretReference, SecretSource, Value},
};
use magus_secrets::Resolver;
use tempfile::TempDir;

use crate::{Holder, OpenRequest, Store};

/// A folder for a store.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().expect("a temporary folder") }
    }

    /// A path with everything in it that a URI or a shell would trip over.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("a store ?#%41'ü")
    }

    pub(crate) fn try_open(&self) -> Result<Store, EngineError> {
        Store::open(OpenRequest {
            path: &self.path(),
            holder: Holder { actor: "ana".into(), host: "laptop".into(), operation: "magus apply".into() },
            wait: Duration::ZERO,
            clock: Box::new(|| Timestamp::UNIX_EPOCH),
            reason: None,
        })
    }

    pub(crate) fn open(&self) -> Store {
        self.try_open().expect("the store opens")
    }

    pub(crate) fn try_observe(&self) -> Result<Observation, EngineError> {
        Store::observer("acme", &self.path()).observe(&[])
    }

    pub(crate) fn observe(&self) -> Observation {
        self.try_observe().expect("the store is readable")
    }

    pub(crate) fn workspace(&self, name: &str) -> Option<ObservedWorkspace> {
        self.observe().present.remove(&WorkspaceName::observed(name))
    }

    pub(crate) fn env(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path().join("workspaces").join(name).join(".env")).ok()
    }

    /// Changes the store as people do.
    pub(crate) fn sql(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.path().join("magus.db")).expect("a database");
        connection.execute_batch(sql).expect("valid SQL");
    }

    /// Every file with its content, `-shm` apart: that is SQLite's memory, not its store.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(path.clone(), fs::read(&path).expect("a file"));
                }
            }
        }
        found
    }
}

pub(crate) fn name(text: &str) -> WorkspaceName {
    WorkspaceName::observed(text)
}

pub(crate) fn mark(workspace: &str) -> Mark {
    Mark {
        managed_by: "platform".into(),
        environment: "production".into(),
        workspace: workspace.into(),
        protected: true,
        source: None,
        applied: BTreeMap::from([(FieldPath::from("env.A"), "d1".into())]),
        resume: false,
        declarations: None,
    }
}

/// A step that sets fields (`None` removes one), under any precondition that is given afterwards.
pub(crate) fn step(action: Action, workspace: &str, fields: &[(&str, Option<FieldValue>)]) -> Step {
    let change = |(path, after): &(&str, Option<FieldValue>)| FieldChange {
        path: FieldPath::from(*path),
        before: None,
        after: after.clone(),
        sensitive: false,
        status: FieldStatus::Change,
        reason: Reason::Declared,
        origin: None,
        sealed: None,
        read_by: Vec::new(),
    };
    Step {
        id: format!("acme/{workspace}/{}", action.as_str()).into(),
        cluster: "acme".into(),
        environment: "production".into(),
        workspace: name(workspace),
        action,
        reason: "declared".to_owned(),
        restarts: Restarts::No,
        needs: Vec::new(),
        precondition: Precondition::Absent,
        fields: fields.iter().map(change).collect(),
        restores: Vec::new(),
        deploy: None,
        renamed_from: None,
        mark: (action != Action::Delete).then(|| mark(workspace)),
    }
}

pub(crate) fn text(value: &str) -> Option<FieldValue> {
    Some(FieldValue::Plain(Value::string(value)))
}

pub(crate) fn secret(variable: &str) -> SecretReference {
    SecretReference { source: SecretSource::Env(variable.into()), version: None, keep: false }
}

pub(crate) fn field(reference: &SecretReference) -> Option<FieldValue> {
    Some(FieldValue::from(reference.clone()))
}

/// Resolves variables from a list.
pub(crate) fn resolver(values: &[(&str, &str)]) -> Resolver {
    let values: BTreeMap<String, String> =
        values.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Resolver::new(PathBuf::from("/nonexistent"), Box::new(move |name| values.get(name).map(Into::into)))
}

/// Performs a step on the workspace as it is now.
pub(crate) fn now(place: &Place, mut step: Step) -> Step {
    let observed = place.workspace(step.renamed_from.as_ref().unwrap_or(&step.workspace).as_str());
    step.precondition =
        observed.map_or(Precondition::Absent, |observed| Precondition::Revision(observed.revision));
    step
}

pub(crate) fn perform(store: &Store, step: &Step, secrets: &Resolver) -> Result<(), PerformError> {
    store.perform(&Task::new(step, secrets))
}

/// A field of a workspace, as it is shown.
pub(crate) fn shown(workspace: &ObservedWorkspace, path: &str) -> Option<String> {
    workspace.fields.iter().find(|field| field.path.as_str() == path).map(|field| field.value.to_string())
}
