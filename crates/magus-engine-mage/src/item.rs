//! A workspace as `/api/workspaces` shows it, and what of it Magus compares.

use std::collections::{BTreeMap, BTreeSet};

use magus_engine_kubernetes::Key;
use magus_model::{
    Text,
    leaves::flatten,
    name::WorkspaceName,
    observed::{MissingPart, ObservedCode, ObservedField, ObservedWorkspace, RunState},
    path::FieldPath,
    secrecy,
    value::{FieldValue, Value},
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{
    container::{self, ENV, Form, Leaves},
    mark::{self, Stored},
    parts,
    running::{InCluster, Running, Seen, Workloads},
};

/// Fields that Mage sets when it creates a workspace and never again (MAGE.md 3), apart from `lifecycle_config`.
pub(crate) const SET_AT_CREATION: &[&str] = &[
    INGRESS,
    "namespace",
    "pvc_retention_policy",
    "service_account_name",
    "storage_access_mode",
    "storage_class_name",
    STORAGE,
];
/// The Ingress that leads to it.
pub(crate) const INGRESS: &str = "ingress_name";
/// How large its volume is.
pub(crate) const STORAGE: &str = "storage_request_size";
/// The paths of hook scripts: Mage makes relative ones absolute (MAGE.md 4.15).
const HOOK_PATHS: &[&str] =
    &["lifecycle_config.pre_start_script_path", "lifecycle_config.post_start.hook_path"];

/// Why an unmanaged workspace without a StatefulSet is left alone.
const GONE: &str = "its StatefulSet was deleted, and it is unmanaged: delete the workspace in Mage, and `magus apply` creates it \
                    again if it is declared";

/// One item of the list, or a detail. What newer servers add is not looked at.
#[derive(Clone, Deserialize)]
pub(crate) struct Item {
    /// Its name.
    pub(crate) name: String,
    /// Made by the server; a detail without it is of something else that lies in `projects/`.
    pub(crate) project_uuid: Option<String>,
    /// Where its Kubernetes objects are.
    pub(crate) namespace: Option<Text>,
    /// The stored text; an object where somebody sent one, which was stored and not applied (MAGE.md 4.3).
    pub(crate) container_config: Option<Value>,
    /// The running instance: none where it has no Service, and nothing where the answer does not tell.
    #[serde(default, deserialize_with = "told")]
    pub(crate) instance: Option<Option<Instance>>,
    /// Where its own server answers; nothing where no ingress leads to it.
    pub(crate) url: Option<String>,
    pub(crate) lifecycle_config: Option<Value>,
    ingress_name: Option<Value>,
    pvc_retention_policy: Option<Value>,
    service_account_name: Option<Value>,
    storage_access_mode: Option<Value>,
    storage_class_name: Option<Value>,
    storage_request_size: Option<Value>,
}

/// The instance of a workspace.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Instance {
    /// The pod's phase in capitals, `STOPPED` or `UNAVAILABLE`.
    status: Option<String>,
    /// The task on ECS.
    task_arn: Option<String>,
}

/// Something that an answer tells, even that it is none.
fn told<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Instance>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// What the server says about all items.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Surroundings {
    /// The folder of the main project, which relative hook paths are below.
    pub(crate) project: Option<String>,
    /// Whether they are what Mage makes and never changes.
    pub(crate) are_tasks: bool,
    /// How their texts are written.
    pub(crate) form: Form,
}

impl Item {
    /// Reads an item; the reason where it is none.
    pub(crate) fn read(json: serde_json::Value) -> Result<Self, String> {
        serde_json::from_value(json).map_err(|error| {
            // What is said of a value is its type; the value itself may be a secret.
            format!("what mage says of it is not understood, line {}", error.line())
        })
    }

    /// The stored text, in which an object stands for itself.
    pub(crate) fn text(&self) -> Result<String, String> {
        match &self.container_config {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.to_string()),
            Some(Value::Map(_)) => serde_json::to_string(&self.container_config).map_err(|e| e.to_string()),
            Some(_) => Err("its container_config is no text".to_owned()),
        }
    }

    /// The variables that Mage gave to this workspace alone when it made it (`__populate_env_vars` in
    /// `cluster_manager/kubernetes/workload_manager.py` of 0.9.80): with their values, where these are known.
    pub(crate) fn own_variables(&self) -> Leaves {
        let base_path = self.ingress_name.as_ref().and_then(Value::as_str).map(|_| self.name.as_str());
        [
            ("KUBE_NAMESPACE", self.namespace.as_deref()),
            ("MAGE_BASE_PATH", base_path),
            ("PROJECT_TYPE", Some("sub")),
            ("PROJECT_UUID", self.project_uuid.as_deref()),
            ("USER_CODE_PATH", Some(self.name.as_str())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((FieldPath::key(ENV).child(name), Value::string(value?))))
        .collect()
    }

    /// The Ingress that may have lost its path: Mage shows no address, and it was made with one.
    pub(crate) fn unreached_ingress(&self) -> Option<Key> {
        let name = self.ingress_name.as_ref()?.as_str()?.into();
        let namespace = self.namespace.clone()?;
        self.url.is_none().then_some(Key { namespace, name })
    }

    /// The task that it is on ECS; nothing where none runs.
    pub(crate) fn task(&self) -> Option<&str> {
        self.instance.as_ref()?.as_ref()?.task_arn.as_deref()
    }

    /// Whether it has a Service, as far as Mage tells.
    pub(crate) fn has_service(&self) -> bool {
        !matches!(self.instance, Some(None))
    }

    /// Whether it runs, as far as Mage tells. A pod in a crash loop says RUNNING as well (MAGE.md 4.20); UNAVAILABLE is one whose
    /// pod has not been made, and of one without a Service Mage tells nothing: neither has failed.
    fn state(&self) -> RunState {
        let instance = self.instance.as_ref().and_then(Option::as_ref);
        let status = instance.and_then(|instance| instance.status.as_deref());
        match status.map(str::to_ascii_uppercase).as_deref() {
            Some("RUNNING") => RunState::Running,
            Some("STOPPED") => RunState::Stopped,
            None | Some("PENDING" | "UNAVAILABLE") => RunState::Pending,
            // Of tasks on ECS.
            Some("DEACTIVATING" | "STOPPING" | "DEPROVISIONING") => RunState::Stopped,
            Some("PROVISIONING" | "ACTIVATING") => RunState::Pending,
            // Of containers on Docker.
            Some("CREATED" | "EXITED" | "PAUSED") => RunState::Stopped,
            Some("RESTARTING") => RunState::Pending,
            _ => RunState::Failed,
        }
    }

    /// Changes whenever anything that is compared changes. That a pod comes up or fails is no change of the workspace.
    ///
    /// It stands in plan files. The digest is under the key of the mark; without a key, values that may be secret do not count,
    /// because a plain digest could be tried against a list of words.
    fn revision(
        &self,
        (running, missing): (Option<&Running<'_>>, &[MissingPart]),
        stored: Option<&Stored>,
        says: &Leaves,
    ) -> Text {
        let Self { name, project_uuid, namespace, container_config, .. } = self;
        let settings: Vec<_> = self.settings().collect();
        let stopped = running.is_none() && self.state() == RunState::Stopped;
        // Values and maps in order always have a JSON form; a float that has none is `null` in it.
        if let Some(key) = stored.and_then(|stored| stored.key.as_deref()) {
            let running = running.map(|running| running.content(running.all_leaves()));
            let whole =
                (name, project_uuid, namespace, container_config, settings, stopped, running, missing);
            let json = Zeroizing::new(serde_json::to_vec(&whole).unwrap_or_default());
            return format!("hmac-sha256:{}", mark::keyed(key, &json)).into();
        }
        let running = running.map(|running| running.content(&shown(running.all_leaves())));
        let settings: Vec<_> = settings
            .into_iter()
            .filter(|(key, value)| !secrecy::may_be_secret(&FieldPath::key(key), value))
            .collect();
        let line = stored.map(|stored| {
            mark::write(&WorkspaceName::observed(name.as_str()), &mark::without_values(stored))
        });
        let whole = (name, project_uuid, namespace, shown(says), line, settings, stopped, running, missing);
        let json = serde_json::to_vec(&whole).unwrap_or_default();
        format!("sha256:{}", mark::hex(&Sha256::digest(json))).into()
    }

    /// What a creation sets, by path.
    pub(crate) fn flat_settings(&self) -> Leaves {
        let mut flat = Vec::new();
        for (key, value) in self.settings() {
            flatten(&FieldPath::key(key), value.clone(), &mut flat);
        }
        flat.into_iter().collect()
    }

    /// What a creation sets, and nothing of the container: keys with their values.
    fn settings(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        let Self {
            name: _,
            project_uuid: _,
            namespace: _,
            container_config: _,
            instance: _,
            url: _,
            lifecycle_config,
            ingress_name,
            pvc_retention_policy,
            service_account_name,
            storage_access_mode,
            storage_class_name,
            storage_request_size,
        } = self;
        [
            (INGRESS, ingress_name),
            ("lifecycle_config", lifecycle_config),
            ("pvc_retention_policy", pvc_retention_policy),
            ("service_account_name", service_account_name),
            ("storage_access_mode", storage_access_mode),
            ("storage_class_name", storage_class_name),
            (STORAGE, storage_request_size),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_ref()?)))
    }
}

/// An item as it was understood. Without `Debug`: values of secrets are among the leaves.
pub(crate) struct Known {
    /// What is compared.
    pub(crate) workspace: ObservedWorkspace,
    /// What stands in the stored text; where Kubernetes was asked, what runs.
    pub(crate) leaves: Leaves,
    /// Whether the stored text says something else than what runs.
    pub(crate) is_outdated: bool,
    /// The mark in the stored text, whole.
    pub(crate) stored: Option<Stored>,
    /// What Kubernetes says besides, where it was asked.
    pub(crate) seen: Option<Seen>,
}

/// Understands an item, with what runs of it where Kubernetes was asked.
///
/// # Errors
/// The reason why nobody can say what it is. No value is in it.
pub(crate) fn understand(
    item: &Item,
    surroundings: &Surroundings,
    workloads: Option<&Workloads>,
) -> Result<Known, String> {
    let name = WorkspaceName::observed(item.name.as_str());
    if surroundings.are_tasks {
        let line = item.mark_of_task().unwrap_or_default();
        let stored = mark::read(&name, &line)?;
        let mark = stored.as_ref().map(|stored| stored.mark.clone());
        let (state, revision) = (item.state(), item.revision((None, &[]), stored.as_ref(), &Leaves::new()));
        let workspace = ObservedWorkspace {
            name,
            state,
            fields: Vec::new(),
            lost: Vec::new(),
            missing: Vec::new(),
            code: ObservedCode::default(),
            mark,
            sensitive: BTreeSet::new(),
            identity: item.project_uuid.as_ref().map(Text::from),
            copy: None,
            revision,
        };
        return Ok(Known { workspace, leaves: Leaves::new(), is_outdated: false, stored, seen: None });
    }
    let (running, missing) = match workloads.map(|workloads| workloads.of(item)).transpose()? {
        None if surroundings.form == Form::Kubernetes => {
            (None, parts::missing_service(item).into_iter().collect())
        }
        None => (None, Vec::new()),
        Some(InCluster::Runs(running)) => {
            let missing = running.missing.clone();
            (Some(running), missing)
        }
        Some(InCluster::Gone(missing)) => (None, missing),
    };
    let is_gone = workloads.is_some() && running.is_none();
    let text = item.text()?;
    let says =
        if text.trim().is_empty() { Leaves::new() } else { container::read(&text, surroundings.form)? };
    let in_text = mark::read(&name, &text)?;
    let mark = in_text.as_ref().map(|stored| stored.mark.clone());
    let copy = match &running {
        Some(running) if in_text.is_none() => running.copy_of_mark(&name),
        _ => None,
    };
    let of_copy = copy.as_ref().map(|stored| stored.mark.clone());
    // The copy knows which values came from secrets as well.
    let stored = in_text.or(copy);
    if is_gone && stored.is_none() {
        return Err(GONE.to_owned());
    }
    let revision = item.revision((running.as_ref(), &missing), stored.as_ref(), &says);
    let applied = stored.as_ref().map(|stored| &stored.mark.applied);
    let runs = running.as_ref().map(|running| running.leaves(&says, applied));
    let is_outdated = runs.as_ref().is_some_and(|runs| *runs != says);
    let leaves = runs.unwrap_or(says);
    let mut fields: Vec<ObservedField> = leaves
        .iter()
        .map(|(path, value)| ObservedField {
            path: path.clone(),
            value: from_secret(&name, path, value, stored.as_ref()).unwrap_or_else(|| {
                let in_pod = running.as_ref().and_then(|running| running.unexpanded(path));
                FieldValue::Plain(in_pod.unwrap_or_else(|| value.clone()))
            }),
        })
        .collect();
    let grown = running.as_ref().filter(|_| stored.as_ref().is_some_and(|stored| stored.grown));
    let size = grown.and_then(|running| running.volume());
    let mut others = Vec::new();
    for (key, value) in item.settings() {
        let value = match (key, size) {
            (STORAGE, Some(size)) => Value::String(size.clone()),
            _ => value.clone(),
        };
        flatten(&FieldPath::key(key), value, &mut others);
    }
    if let Some(namespace) = &item.namespace {
        others.push((FieldPath::key("namespace"), Value::String(namespace.clone())));
    }
    let has_lost_path = running.as_ref().is_some_and(|running| running.has_lost_path);
    let mut lost = Vec::new();
    for (path, value) in others {
        if has_lost_path && path.as_str() == INGRESS {
            lost.push(ObservedField { path, value: FieldValue::Plain(value) });
            continue;
        }
        let value = hook_path(&path, &value, surroundings, applied).unwrap_or(value);
        fields.push(ObservedField { path, value: FieldValue::Plain(value) });
    }
    fields.sort_by(|a, b| a.path.cmp(&b.path));
    let sensitive = sensitive(&fields, &leaves, stored.as_ref());
    let workspace = ObservedWorkspace {
        name,
        state: match &running {
            Some(running) => running.state(),
            None if is_gone => RunState::Failed,
            None => item.state(),
        },
        fields,
        lost,
        code: ObservedCode::default(),
        mark,
        identity: item.project_uuid.as_ref().map(Text::from),
        copy: of_copy,
        sensitive,
        revision,
        missing,
    };
    Ok(Known { workspace, leaves, is_outdated, stored, seen: running.map(|running| running.seen()) })
}

/// Leaves without values that may be secret.
fn shown(leaves: &Leaves) -> Leaves {
    let shown = |path: &FieldPath, value: &Value| match secrecy::may_be_secret(path, value) {
        true => Value::string(secrecy::HIDDEN),
        false => value.clone(),
    };
    leaves.iter().map(|(path, value)| (path.clone(), shown(path, value))).collect()
}

/// The fields that came from a secret when they were last applied, and those that repeat the value of one: a person may have
/// copied it into an argument.
fn sensitive(fields: &[ObservedField], leaves: &Leaves, stored: Option<&Stored>) -> BTreeSet<FieldPath> {
    /// A shorter value may stand anywhere by chance.
    const SHORTEST: usize = 6;
    let Some(stored) = stored else { return BTreeSet::new() };
    let values: Vec<&str> = stored
        .secrets
        .keys()
        .filter_map(|path| leaves.get(path)?.as_str())
        .filter(|value| value.len() >= SHORTEST)
        .collect();
    let repeats = |field: &&ObservedField| match &field.value {
        FieldValue::Plain(value) => values.iter().any(|secret| holds(value, secret)),
        FieldValue::Secret(_) => false,
    };
    let repeating = fields.iter().filter(repeats).map(|field| field.path.clone());
    repeating.chain(stored.secrets.keys().cloned()).collect()
}

/// Whether a text is anywhere in a value.
fn holds(value: &Value, text: &str) -> bool {
    match value {
        Value::String(value) => value.contains(text),
        Value::List(items) => items.iter().any(|item| holds(item, text)),
        Value::Map(map) => map.values().any(|value| holds(value, text)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => false,
    }
}

/// The reference that a variable was set from, as long as nobody changed its value.
fn from_secret(
    name: &WorkspaceName,
    path: &FieldPath,
    value: &Value,
    stored: Option<&Stored>,
) -> Option<FieldValue> {
    let secret = stored?.secrets.get(path)?;
    let text = value.as_str()?;
    (Some(mark::check(name, path, text)) == secret.check).then(|| FieldValue::from(secret.reference.clone()))
}

/// A hook path below the main project as a relative one, unless it is the absolute one that was applied.
fn hook_path(
    path: &FieldPath,
    value: &Value,
    surroundings: &Surroundings,
    applied: Option<&BTreeMap<FieldPath, Text>>,
) -> Option<Value> {
    if !HOOK_PATHS.contains(&path.as_str()) {
        return None;
    }
    let project = surroundings.project.as_ref()?.trim_end_matches('/');
    let relative = value.as_str()?.strip_prefix(project)?.strip_prefix('/')?;
    let as_it_is = magus_diff::meaning::digest(path, &FieldValue::Plain(value.clone()));
    if applied.and_then(|applied| applied.get(path)) == Some(&as_it_is) {
        return None;
    }
    Some(Value::string(relative))
}

/// Whether a detail is of a workspace, and not of another file in `projects/`.
pub(crate) fn is_workspace(json: &serde_json::Value) -> bool {
    json.get("project_uuid").is_some_and(|uuid| !uuid.is_null())
}
