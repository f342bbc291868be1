//! Mage's own secrets of a workspace, which its own server holds. It tells their names and never a value, and knows no
//! change of one: another value means to delete the secret and to create it again (MAGE.md 5).

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::AtomicBool},
};

use magus_engine::PerformError;
use magus_model::{
    name::WorkspaceName,
    observed::{ObservedField, ObservedWorkspace, RunState},
    path::FieldPath,
    plan::{Action, FieldChange, Step},
    value::{FieldValue, SecretReference, Value},
};
use magus_secrets::{Resolver, SecretValue};
use secrecy::SecretString;
use serde::Deserialize;

use crate::{
    Mage,
    api::{Client, request},
    compose,
    item::Item,
    mark::{Stored, StoredSecret},
    own_server::Shut,
};

/// Their key in a declaration.
pub(crate) const SECRETS: &str = "secrets";

/// What is shown in place of a secret that Magus did not make.
const OF_PEOPLE: &str = "made in mage";

/// What becomes of one secret.
pub(crate) struct SecretChange {
    /// Its path: `secrets.NAME`.
    path: FieldPath,
    /// Its name on the server.
    name: String,
    /// Its value; nothing where it goes.
    value: Option<Arc<SecretValue>>,
    /// The value that it had, where its source is another one and still gives it.
    old: Option<Arc<SecretValue>>,
}

impl SecretChange {
    /// The change of a field below `secrets`, and the reference that was sent for it last. Nothing where what is there stays.
    pub(crate) fn of(
        change: &FieldChange,
        last: Option<&SecretReference>,
        resolver: &Resolver,
    ) -> Result<Option<Self>, PerformError> {
        let FieldChange { path, before, after, .. } = change;
        let name = path.keys().unwrap_or_default().into_iter().nth(1);
        let name = name.ok_or_else(|| PerformError::Failed(format!("`{path}` names no secret")))?;
        let value = match after {
            None => None,
            Some(FieldValue::Secret(reference)) if reference.keep && before.is_some() => return Ok(None),
            Some(FieldValue::Secret(reference)) => Some(compose::resolve(path, reference, resolver)?),
            Some(FieldValue::Plain(_)) => {
                return Err(PerformError::Failed(format!("`{path}` has to come from a secret")));
            }
        };
        // The same source gives the new value by now.
        let moved = last.filter(|last| match after {
            Some(FieldValue::Secret(reference)) => last.source != reference.source,
            _ => false,
        });
        let old = moved.and_then(|last| resolver.resolve(last).ok());
        Ok(Some(Self { path: path.clone(), name, value, old }))
    }

    /// What the mark remembers of it: where it came from, and nothing of its value, which viewers of the mark do not see.
    pub(crate) fn stored(change: &FieldChange) -> Option<StoredSecret> {
        let Some(FieldValue::Secret(reference)) = &change.after else { return None };
        Some(StoredSecret { reference: (**reference).clone(), check: None })
    }
}

/// Whether a step deletes a secret, be it only to create it again: pipelines that run then would miss it.
pub(crate) fn interrupts(step: &Step) -> bool {
    let changes = |field: &FieldChange| field.path.is_within(SECRETS) && field.before.is_some();
    step.action == Action::Update && step.fields.iter().any(changes)
}

/// The mark before its secrets are written: of these it says what it said before.
pub(crate) fn without(changes: &[SecretChange], stored: &Stored, before: Option<&Stored>) -> Stored {
    let mut early = stored.clone();
    for SecretChange { path, .. } in changes {
        early.mark.applied.remove(path);
        early.secrets.remove(path);
        if let Some(digest) = before.and_then(|before| before.mark.applied.get(path)) {
            early.mark.applied.insert(path.clone(), digest.clone());
        }
        if let Some(secret) = before.and_then(|before| before.secrets.get(path)) {
            early.secrets.insert(path.clone(), secret.clone());
        }
    }
    early
}

/// Adds to a workspace what is known of its secrets: the names where they were read, else what the mark says.
pub(crate) fn show(
    workspace: &mut ObservedWorkspace,
    stored: Option<&Stored>,
    names: Option<&BTreeSet<String>>,
) {
    let below = |path: &&FieldPath| path.is_within(SECRETS);
    let marked = stored.into_iter().flat_map(|stored| stored.mark.applied.keys()).filter(below).cloned();
    let paths: Vec<FieldPath> = match names {
        Some(names) => names.iter().map(|name| FieldPath::key(SECRETS).child(name)).collect(),
        None => marked.collect(),
    };
    for path in paths {
        let made = stored.and_then(|stored| stored.secrets.get(&path));
        let value = match made {
            Some(secret) => FieldValue::from(secret.reference.clone()),
            None => FieldValue::Plain(Value::string(OF_PEOPLE)),
        };
        workspace.fields.push(ObservedField { path, value });
    }
    workspace.fields.sort_by(|a, b| a.path.cmp(&b.path));
}

/// Whether a mark says that Magus looks after secrets of this workspace.
pub(crate) fn is_keeper(stored: Option<&Stored>) -> bool {
    stored.is_some_and(|stored| stored.mark.applied.keys().any(|path| path.is_within(SECRETS)))
}

impl Mage {
    /// The names of the secrets of a workspace; the reason where its server cannot tell.
    pub(crate) fn names_of_secrets(&self, item: &Item, state: RunState) -> Result<BTreeSet<String>, String> {
        if state != RunState::Running {
            return Err(format!("it is {}", state.as_str()));
        }
        names(&self.trusted_server(item).map_err(Shut::reason)?)
    }

    /// Writes secrets, and looks whether they are there.
    ///
    /// # Errors
    /// [`PerformError::NotStarted`] where the workspace is stopped, [`PerformError::Failed`] where nothing was written,
    /// [`PerformError::Uncertain`] where some may be.
    pub(crate) fn write_secrets(
        &self,
        name: &WorkspaceName,
        changes: &[SecretChange],
        cancelled: &AtomicBool,
    ) -> Result<(), PerformError> {
        let server = self.reach(name, "secrets", cancelled)?;
        let failed = |reason: String| {
            PerformError::Failed(format!("the secrets of `{name}` cannot be read: {reason}"))
        };
        let there = names(&server).map_err(failed)?;
        for value in changes.iter().flat_map(|change| change.value.iter().chain(&change.old)) {
            server.hide(&SecretString::from(value.expose()));
        }
        for change in changes {
            write(&server, change, there.contains(&change.name)).map_err(PerformError::Uncertain)?;
        }
        Ok(())
    }
}

fn names(server: &Client) -> Result<BTreeSet<String>, String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let answer = server.send(&request::secrets()).map_err(|error| error.to_string())?;
    let all: Vec<Named> = serde_json::from_value(answer[SECRETS].clone())
        .map_err(|_| "what it says of secrets is not understood".to_owned())?;
    Ok(all.into_iter().map(|one| one.name).collect())
}

/// Writes one secret; what is left where that fails.
fn write(server: &Client, change: &SecretChange, exists: bool) -> Result<(), String> {
    let SecretChange { path, name, value, old } = change;
    if exists && let Err(error) = server.send(&request::delete_secret(name)) {
        // Whether it is gone all the same, only the server knows.
        if names(server).map_or(true, |names| names.contains(name)) {
            return Err(format!("`{path}` may be as it was: {error}"));
        }
    }
    let Some(value) = value else { return Ok(()) };
    let Err(error) = create(server, name, value) else { return Ok(()) };
    match old {
        Some(old) if exists && create(server, name, old).is_ok() => {
            Err(format!("`{path}` could not be created again, and has its old value: {error}"))
        }
        _ if exists => Err(format!("`{path}` was deleted, and could not be created again: {error}")),
        _ => Err(format!("`{path}` could not be created: {error}")),
    }
}

/// Creates a secret; a second time where the first was lost. What matters is whether it is there.
fn create(server: &Client, name: &str, value: &SecretValue) -> Result<(), String> {
    let request = request::create_secret(name, &SecretString::from(value.expose()));
    let mut last = String::new();
    for _ in 0..2 {
        let Err(error) = server.send(&request) else { return Ok(()) };
        last = error.to_string();
        match names(server) {
            Ok(names) if names.contains(name) => return Ok(()),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use magus_model::observed::Mark;

    use super::*;

    fn reference(name: &str) -> SecretReference {
        let json = format!(r#"{{"secret": {{"env": "{name}"}}}}"#);
        SecretReference::from_value(&serde_json::from_str(&json).unwrap()).unwrap()
    }

    fn stored(names: &[&str], digest: &str) -> Stored {
        let path = |name: &&str| FieldPath::key(SECRETS).child(name);
        let applied =
            names.iter().map(|name| (path(name), digest.into())).chain([("env.A".into(), "a".into())]);
        let secret = |name: &&str| (path(name), StoredSecret { reference: reference(name), check: None });
        Stored {
            mark: Mark {
                managed_by: "acme".into(),
                environment: "development".into(),
                workspace: "ana".into(),
                protected: false,
                source: None,
                applied: applied.collect(),
                resume: false,
                declarations: None,
            },
            secrets: names.iter().map(secret).collect(),
            grown: false,
            code: crate::mark::StoredCode::default(),
            key: None,
        }
    }

    fn change(name: &str) -> SecretChange {
        SecretChange { path: FieldPath::key(SECRETS).child(name), name: name.into(), value: None, old: None }
    }

    #[test]
    fn what_is_not_written_yet_is_in_no_mark() {
        let changes = [change("new"), change("rotated"), change("gone")];
        let (before, after) =
            (stored(&["rotated", "gone", "same"], "1"), stored(&["new", "rotated", "same"], "2"));
        let early = without(&changes, &after, Some(&before));
        let applied: BTreeMap<_, _> =
            early.mark.applied.iter().map(|(path, digest)| (path.as_str(), digest.as_str())).collect();
        let wanted = [("env.A", "a"), ("secrets.gone", "1"), ("secrets.rotated", "1"), ("secrets.same", "2")];
        assert_eq!(applied, BTreeMap::from(wanted));
        let secrets: Vec<_> = early.secrets.keys().map(FieldPath::as_str).collect();
        assert_eq!(secrets, ["secrets.gone", "secrets.rotated", "secrets.same"]);
        let made = without(&changes, &after, None);
        assert_eq!(made.mark.applied.len(), 2, "what does not change is not among the changes");
    }

    #[test]
    fn names_that_were_read_count_and_else_the_mark() {
        let shown = |stored: Option<&Stored>, names: Option<&[&str]>| -> Vec<String> {
            let mut workspace = ObservedWorkspace {
                name: WorkspaceName::observed("ana"),
                state: RunState::Running,
                fields: Vec::new(),
                lost: Vec::new(),
                sensitive: Default::default(),
                missing: Vec::new(),
                code: magus_model::observed::ObservedCode::default(),
                mark: None,
                identity: None,
                copy: None,
                revision: "".into(),
            };
            let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            show(&mut workspace, stored, names.as_ref());
            let of = |field: &ObservedField| match &field.value {
                FieldValue::Secret(_) => format!("{} ours", field.path),
                FieldValue::Plain(value) => format!("{} {value}", field.path),
            };
            workspace.fields.iter().map(of).collect()
        };
        let marked = stored(&["a", "b"], "1");
        assert_eq!(shown(Some(&marked), None), ["secrets.a ours", "secrets.b ours"]);
        let read = shown(Some(&marked), Some(&["b", "z"]));
        assert_eq!(read, ["secrets.b ours", "secrets.z made in mage"]);
        assert_eq!(shown(None, None), Vec::<String>::new());
        assert!(is_keeper(Some(&marked)) && !is_keeper(Some(&stored(&[], "1"))) && !is_keeper(None));
    }
}
