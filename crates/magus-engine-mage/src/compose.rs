//! What a step sends: the content of a container_config text, and the other settings of a new workspace.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use magus_engine::PerformError;
use magus_model::{
    Text, expansion,
    leaves::nest,
    name::WorkspaceName,
    path::FieldPath,
    plan::FieldChange,
    quantity::Quantity,
    value::{FieldValue, SecretReference, Value},
};
use magus_secrets::{Resolver, SecretValue};
use serde_json::Map;

use crate::{
    container::{self, CONTAINER, Content, ENV, Form, Leaves},
    item::{SET_AT_CREATION, STORAGE},
    mark::{self, StoredSecret},
    secrets::{SECRETS, SecretChange},
};

/// Keys of a step that are done by other means than by being sent.
const NOT_SENT: &[&str] = &["restarted_at", "state"];

/// A container's content after a step, and which of its variables came from which secrets.
pub(crate) struct Composed {
    pub(crate) content: Content,
    pub(crate) secrets: BTreeMap<FieldPath, StoredSecret>,
    /// The settings beside container_config that change, by path.
    pub(crate) settings: BTreeMap<FieldPath, Value>,
    /// What changes on the workspace's own server.
    pub(crate) own_secrets: Vec<SecretChange>,
}

/// What a step starts from.
#[derive(Default)]
pub(crate) struct Before<'a> {
    pub(crate) leaves: Leaves,
    pub(crate) secrets: BTreeMap<FieldPath, StoredSecret>,
    /// Variables that the running container has more than once.
    pub(crate) repeated: BTreeSet<FieldPath>,
    /// Variables that Mage gave to the workspace: they come back where a declared value of them goes.
    pub(crate) own: Leaves,
    /// Who reads what is sent.
    pub(crate) form: Form,
    /// Whether secrets that the step does not change are sent with their current values too.
    pub(crate) refresh: Refresh<'a>,
}

/// Which secrets are resolved besides those that change.
#[derive(Default)]
pub(crate) enum Refresh<'a> {
    /// None.
    #[default]
    None,
    /// Those of the workspace.
    All(&'a WorkspaceName),
}

/// Applies the changes of a step to what is there. Resolves exactly the secrets that are sent.
pub(crate) fn compose(
    name: &WorkspaceName,
    before: Before<'_>,
    changes: &[FieldChange],
    resolver: &Resolver,
) -> Result<Composed, PerformError> {
    let Before { mut leaves, mut secrets, repeated, own, refresh, form } = before;
    let there: BTreeSet<FieldPath> = leaves.keys().filter(|path| path.is_within(ENV)).cloned().collect();
    let mut again = Vec::new();
    let mut removed = Vec::new();
    let mut replaced = Leaves::new();
    let mut settings = BTreeMap::new();
    let mut own_secrets = Vec::new();
    for change in changes {
        let FieldChange { path, after, .. } = change;
        let keys = path.keys().unwrap_or_default();
        match keys.first().map(String::as_str) {
            Some(ENV | CONTAINER) => {}
            Some(key) if NOT_SENT.contains(&key) => continue,
            Some(SECRETS) => {
                let last = secrets.get(path).map(|stored| &stored.reference);
                own_secrets.extend(SecretChange::of(change, last, resolver)?);
                secrets.remove(path);
                secrets.extend(SecretChange::stored(change).map(|stored| (path.clone(), stored)));
                continue;
            }
            _ => {
                let value = match after {
                    Some(FieldValue::Plain(value)) => value.clone(),
                    None => Value::Null,
                    Some(FieldValue::Secret(_)) => {
                        return Err(PerformError::Failed(format!("`{path}` cannot come from a secret")));
                    }
                };
                settings.insert(path.clone(), value);
                continue;
            }
        }
        let old = leaves.remove(path);
        if !matches!(after, Some(FieldValue::Secret(reference)) if reference.keep) {
            secrets.remove(path);
        }
        let new = match (after, &old) {
            (None | Some(FieldValue::Plain(Value::Null)), _) => {
                removed.extend(old.is_some().then(|| path.clone()));
                continue;
            }
            (Some(FieldValue::Plain(value)), _) => value.clone(),
            (Some(FieldValue::Secret(reference)), Some(runs)) if reference.keep => runs.clone(),
            // Where nothing runs that has a value, also one that is to be kept comes from its source.
            (Some(FieldValue::Secret(reference)), _) => {
                let value = resolve(path, reference, resolver)?;
                let sent = form.literal(value.expose());
                let check = mark::check(name, path, &sent);
                let reference = (**reference).clone();
                secrets.insert(path.clone(), StoredSecret { reference, check: Some(check) });
                Value::string(sent.as_str())
            }
        };
        // A text that becomes a reference, or the reverse, has to lose its other half (MAGE.md 4.2).
        match old {
            Some(old) if matches!(old, Value::Map(_)) != matches!(new, Value::Map(_)) => {
                removed.push(path.clone());
            }
            Some(old) if container::is_merged(path, &old, &new) => drop(replaced.insert(path.clone(), old)),
            _ => {}
        }
        if repeated.contains(path) {
            again.push(path.clone());
        }
        leaves.insert(path.clone(), new);
    }
    if let Refresh::All(name) = refresh {
        for (path, stored) in &mut secrets {
            let is_sent = !stored.reference.keep && !path.is_within(SECRETS);
            if !is_sent || changes.iter().any(|change| change.path == *path) {
                continue;
            }
            let value = resolve(path, &stored.reference, resolver)?;
            let sent = form.literal(value.expose());
            stored.check = Some(mark::check(name, path, &sent));
            leaves.insert(path.clone(), Value::string(sent.as_str()));
            if repeated.contains(path) {
                again.push(path.clone());
            }
        }
    }
    secrets.retain(|path, _| leaves.contains_key(path) || path.is_within(SECRETS));
    let mut restored = own;
    restored.retain(|path, _| removed.contains(path) && !leaves.contains_key(path));
    again.extend(out_of_order(&leaves, &there, &again, changes));
    let content = Content { leaves, removed, replaced, repeated: again, restored };
    Ok(Composed { content, secrets, settings, own_secrets })
}

/// The variables that have to go before they come again, because they would stand before one that they refer to: a patch changes a variable
/// in its place and appends a new one, and Kubernetes expands only what stands before (MAGE.md 4.28).
fn out_of_order(
    leaves: &Leaves,
    there: &BTreeSet<FieldPath>,
    again: &[FieldPath],
    changes: &[FieldChange],
) -> Vec<FieldPath> {
    let path = |name: &str| FieldPath::key(ENV).child(name);
    let referring: BTreeMap<&str, Vec<&str>> = leaves
        .iter()
        .filter_map(|(at, value)| Some((at.as_str().strip_prefix("env.")?, value)))
        .map(|(name, value)| (name, value.as_str().into_iter().flat_map(expansion::references).collect()))
        .collect();
    let changed: BTreeSet<&FieldPath> = changes.iter().map(|change| &change.path).collect();
    // What is appended, and then each that refers to it.
    let mut moved: BTreeSet<FieldPath> = again.iter().cloned().collect();
    moved.extend(leaves.keys().filter(|at| at.is_within(ENV) && !there.contains(*at)).cloned());
    let mut found = Vec::new();
    for name in expansion::order(&referring).names {
        let at = path(name);
        let references = referring.get(name).map_or(&[][..], Vec::as_slice);
        let refers_behind = references.iter().any(|reference| moved.contains(&path(reference)));
        // One that changes may refer to what stands behind it by now.
        if references.is_empty() || moved.contains(&at) || !(refers_behind || changed.contains(&at)) {
            continue;
        }
        moved.insert(at.clone());
        found.push(at);
    }
    found
}

/// Resolves the secret of a field.
pub(crate) fn resolve(
    path: &FieldPath,
    reference: &SecretReference,
    resolver: &Resolver,
) -> Result<Arc<SecretValue>, PerformError> {
    resolver
        .resolve(reference)
        .map_err(|error| PerformError::Failed(format!("`{path}`: {}", error.explain())))
}

/// The fields of `POST /workspaces`, as Mage names them (MAGE.md 3).
pub(crate) fn creation(
    name: &WorkspaceName,
    namespace: Option<&Text>,
    container_config: &str,
    settings: BTreeMap<FieldPath, Value>,
) -> Result<Map<String, serde_json::Value>, PerformError> {
    let mut fields = Map::new();
    fields.insert("name".into(), name.as_str().into());
    if let Some(namespace) = namespace {
        fields.insert("namespace".into(), namespace.as_str().into());
    }
    fields.insert("container_config".into(), container_config.into());
    for (key, value) in nest(settings).map_err(PerformError::Failed)? {
        let value = match key.as_str() {
            STORAGE => gibibytes(&value)?.into(),
            "lifecycle_config" => json(&value)?,
            known if SET_AT_CREATION.contains(&known) => json(&value)?,
            unknown => return Err(PerformError::Failed(format!("Mage has no setting `{unknown}`"))),
        };
        fields.insert(key.to_string(), value);
    }
    Ok(fields)
}

/// The settings of a patch that Pro takes besides container_config (MAGE.md 6).
pub(crate) fn lifecycle(
    settings: BTreeMap<FieldPath, Value>,
) -> Result<Option<serde_json::Value>, PerformError> {
    match nest(settings).map_err(PerformError::Failed)?.get("lifecycle_config") {
        None => Ok(None),
        Some(value) => json(value).map(Some),
    }
}

fn json(value: &Value) -> Result<serde_json::Value, PerformError> {
    serde_json::to_value(value).map_err(|error| PerformError::Failed(error.to_string()))
}

/// A size as the whole number of Gi that Mage wants.
pub(crate) fn gibibytes(value: &Value) -> Result<u32, PerformError> {
    const GIBI: i128 = (1 << 30) * 1_000_000_000;
    let whole = match value {
        Value::Int(count) => u32::try_from(*count).ok(),
        Value::String(text) => {
            let text = text.as_str();
            let counts = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let amount = if counts { Quantity::parse(&format!("{text}Gi")) } else { Quantity::parse(text) };
            let billionths = amount.map(Quantity::billionths).filter(|amount| amount % GIBI == 0);
            billionths.and_then(|amount| u32::try_from(amount / GIBI).ok())
        }
        _ => None,
    };
    whole.filter(|size| *size > 0).ok_or_else(|| {
        PerformError::Failed(format!(
            "`{STORAGE}: {value}` is not a whole number of Gi, which is what Mage takes"
        ))
    })
}

#[cfg(test)]
#[path = "compose_tests.rs"]
mod tests;
