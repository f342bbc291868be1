//! What runs, where Kubernetes may be asked: Mage reads back what it has stored, and that is another thing (MAGE.md 4.1).

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
};

use jiff::Timestamp;
use magus_diff::same;
use magus_engine::EngineError;
use magus_engine_kubernetes::{
    Access, Key, Kubernetes, Leaves, Limits, MARK_ANNOTATION, Stuck, Workload, reference_without_defaults,
};
use magus_model::{
    Text,
    desired::{Edition, KubernetesAccess},
    mage,
    name::WorkspaceName,
    observed::{MissingPart, ObservedOrphan, RunState},
    path::FieldPath,
    value::{FieldValue, Value},
};

use crate::{
    api::{ServerUrl, proxy},
    container::{CONTAINER, ENV},
    item::Item,
    mark::{self, Stored},
    parts::Parts,
};

/// Whether Mage gives this variable to workspaces by itself.
pub(crate) fn is_mages_own(path: &FieldPath) -> bool {
    let keys = path.keys().unwrap_or_default();
    matches!(&keys[..], [env, name] if env == ENV && mage::gives_by_itself(name))
}

/// Where the post-start command of `lifecycle_config` ends up.
const HOOKS: &str = "container_config.lifecycle";

/// The Kubernetes cluster below a Mage server.
pub(crate) struct Cluster {
    kubernetes: Kubernetes,
    edition: Edition,
    namespace: Option<Text>,
}

impl Cluster {
    /// A connection; a program that the kubeconfig names to log in with is run.
    pub(crate) fn connect(
        access: &KubernetesAccess,
        server_namespace: Option<&Text>,
        edition: Edition,
        variable: &dyn Fn(&str) -> Option<OsString>,
        now: fn() -> Timestamp,
    ) -> Result<Self, EngineError> {
        let KubernetesAccess { context, namespace } = access;
        let namespace = namespace.as_ref().or(server_namespace).cloned();
        let proxy = |url: &str| {
            let url = ServerUrl::parse(url.trim_end_matches('/')).ok()?;
            proxy::named(&url, variable)?.0.into_string().ok()
        };
        let kubernetes = Kubernetes::connect(Access {
            kubeconfig: kubeconfigs(variable),
            context: context.clone(),
            namespace: namespace.clone(),
            limits: Limits::default(),
            proxy: &proxy,
            now,
        })?;
        Ok(Self { kubernetes, edition, namespace })
    }

    /// The cluster itself.
    pub(crate) fn kubernetes(&self) -> &Kubernetes {
        &self.kubernetes
    }

    /// Whether it is known where the workspaces of this server are, and nobody else's.
    pub(crate) fn has_namespace(&self) -> bool {
        self.namespace.is_some()
    }

    /// Everything that is there, in one request.
    pub(crate) fn workloads(&self) -> Result<Workloads, EngineError> {
        Ok(Workloads::new(self.edition, self.kubernetes.workloads()?.into_values()))
    }

    /// What is there of one name, where Mage says it is, or else in the namespace that is looked at.
    pub(crate) fn workloads_of(
        &self,
        name: &WorkspaceName,
        namespace: Option<&Text>,
    ) -> Result<Workloads, EngineError> {
        let Some(namespace) = namespace.or(self.namespace.as_ref()) else { return self.workloads() };
        let found = self.kubernetes.workload(namespace, name.as_str())?;
        let asked_for = Some(Key { namespace: namespace.clone(), name: name.as_str().into() });
        Ok(Workloads { asked_for, ..Workloads::new(self.edition, found) })
    }
}

/// Those that `KUBECONFIG` names, else the one in the home folder, as `kubectl` does it.
fn kubeconfigs(variable: &dyn Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let paths = variable("KUBECONFIG").unwrap_or_default();
    let paths = paths.as_bytes().split(|byte| *byte == b':').filter(|path| !path.is_empty());
    let named: Vec<PathBuf> = paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect();
    if !named.is_empty() {
        return named;
    }
    variable("HOME").map(|home| PathBuf::from(home).join(".kube/config")).into_iter().collect()
}

/// The StatefulSets of a cluster.
pub(crate) struct Workloads {
    edition: Edition,
    /// By name: those of a name are one, but for namespaces that are looked at together.
    by_name: BTreeMap<Text, Vec<Workload>>,
    /// The parts of workspaces besides.
    parts: Parts,
    /// Whether what is not here is certain not to exist: it was asked for by its name, in its namespace.
    asked_for: Option<Key>,
    /// Those that have failed to come up.
    stuck: BTreeMap<Key, Stuck>,
    /// Why it is not known which of those that are not up have failed.
    unread_pods: Option<String>,
}

impl Workloads {
    fn new(edition: Edition, all: impl IntoIterator<Item = Workload>) -> Self {
        let mut by_name: BTreeMap<Text, Vec<Workload>> = BTreeMap::new();
        for workload in all {
            by_name.entry(workload.key.name.clone()).or_default().push(workload);
        }
        Self {
            edition,
            by_name,
            parts: Parts::default(),
            asked_for: None,
            stuck: BTreeMap::new(),
            unread_pods: None,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Workload> {
        self.by_name.values().flatten()
    }

    /// The same with what keeps those from coming up that are not up. Where the pods cannot be read, none is known to have
    /// failed.
    pub(crate) fn with_stuck(mut self, cluster: &Cluster) -> Self {
        match cluster.kubernetes.stuck(self.all()) {
            Ok(stuck) => self.stuck = stuck,
            Err(error) => self.unread_pods = Some(error.to_string()),
        }
        self
    }

    /// Why it is not known which of those that are not up have failed.
    pub(crate) fn unread_pods(&self) -> Option<String> {
        let why = self.unread_pods.as_ref()?;
        Some(format!("the pods of workspaces that are not up cannot be read: {why}"))
    }

    /// The same with the parts of workspaces, and with the paths of these Ingresses.
    ///
    /// # Errors
    /// Where Kubernetes does not answer.
    pub(crate) fn with_parts(
        mut self,
        cluster: &Cluster,
        ingresses: BTreeSet<Key>,
    ) -> Result<Self, EngineError> {
        self.parts = Parts::read(cluster, self.asked_for.as_ref())?.with_ingresses(cluster, ingresses)?;
        Ok(self)
    }

    /// What could not be read besides, and why.
    pub(crate) fn unread(&self) -> Option<String> {
        self.parts.unread()
    }

    /// Whether no StatefulSet of a workspace that Mage shows is among them. It may be elsewhere.
    pub(crate) fn lacks(&self, item: &Item) -> bool {
        self.of_item(item).next().is_none()
    }

    fn of_item<'a, 'i>(&'a self, item: &'i Item) -> impl Iterator<Item = &'a Workload> + use<'a, 'i> {
        self.named(&item.name).filter(|workload| {
            item.namespace.as_ref().is_none_or(|namespace| workload.key.namespace == *namespace)
        })
    }

    /// What runs of a workspace that Mage shows; the reason where nobody can say.
    pub(crate) fn of(&self, item: &Item) -> Result<InCluster<'_>, String> {
        let name = item.name.as_str();
        let place = item.namespace.as_deref().map_or_else(String::new, |name| format!(" of `{name}`"));
        let mut found = self.of_item(item);
        let Some(workload) = found.next() else {
            let key = self.asked_for.as_ref().filter(|key| item.namespace.as_ref() == Some(&key.namespace));
            return match key {
                Some(key) => Ok(InCluster::Gone(self.parts.missing_of_gone(key))),
                None => Err(format!("mage shows it, and kubernetes has no StatefulSet `{name}`{place}")),
            };
        };
        if found.next().is_some() {
            return Err(format!(
                "several namespaces have a StatefulSet `{name}`, and mage does not say which"
            ));
        }
        if workload.deleting {
            return Err(format!("its StatefulSet `{name}`{place} is being deleted"));
        }
        if !workload.is_workspace {
            return Err(format!("the StatefulSet `{name}`{place} is none that mage made"));
        }
        Ok(InCluster::Runs(Running {
            workload,
            edition: self.edition,
            volume: self.parts.volume(&workload.key).map(|volume| &volume.size),
            is_stuck: self.stuck.contains_key(&workload.key),
            has_lost_path: self.parts.has_lost_path(item),
            missing: self.parts.missing(item, workload),
        }))
    }

    /// Those with this name, in whichever namespace.
    fn named(&self, name: &str) -> impl Iterator<Item = &Workload> {
        self.by_name.get(name).into_iter().flatten()
    }

    /// Why a workspace of this name cannot be made although Mage does not know it.
    pub(crate) fn left_of(&self, name: &WorkspaceName) -> Option<String> {
        let Key { namespace, name } = &self.named(name.as_str()).next()?.key;
        Some(format!(
            "mage does not know it, and kubernetes has a StatefulSet of its name: `kubectl -n {namespace} delete \
             statefulset/{name} service/{name}-service configmap/{name}-hooks --ignore-not-found` removes what was left"
        ))
    }

    /// The names of what looks like workspaces, is not being deleted, and that Mage does not show.
    pub(crate) fn not_shown(&self, shown: &dyn Fn(&WorkspaceName) -> bool) -> Vec<WorkspaceName> {
        self.orphans(shown).into_iter().map(|orphan| orphan.name).collect()
    }

    /// The workspaces that are there and that Mage does not show.
    pub(crate) fn orphans(&self, shown: &dyn Fn(&WorkspaceName) -> bool) -> Vec<ObservedOrphan> {
        let orphan = |workload: &Workload| {
            let Workload { key: Key { namespace, name }, uid, deleting, is_workspace, .. } = workload;
            let name = WorkspaceName::observed(name.as_str());
            let is_left = *is_workspace && !deleting && !shown(&name);
            is_left.then(|| ObservedOrphan {
                name,
                place: format!("the namespace {namespace}").into(),
                revision: format!("{ORPHAN}{namespace}/{uid}").into(),
            })
        };
        self.all().filter_map(orphan).collect()
    }
}

/// What the revision of an orphan begins with; the namespace and the `metadata.uid` of its StatefulSet follow.
const ORPHAN: &str = "orphan:";

/// The namespace and the uid in the revision of an orphan; nothing in another one.
pub(crate) fn orphan(revision: &str) -> Option<(&str, &str)> {
    revision.strip_prefix(ORPHAN)?.split_once('/')
}

/// A workspace as it is in the cluster.
pub(crate) enum InCluster<'a> {
    /// It has a StatefulSet.
    Runs(Running<'a>),
    /// It certainly has none; with what it lacks.
    Gone(Vec<MissingPart>),
}

/// A workspace as it runs.
pub(crate) struct Running<'a> {
    workload: &'a Workload,
    edition: Edition,
    volume: Option<&'a Text>,
    /// Whether Kubernetes says that its pod has failed.
    is_stuck: bool,
    /// Whether its Ingress is there and leads to it no more.
    pub(crate) has_lost_path: bool,
    /// The parts that it lacks.
    pub(crate) missing: Vec<MissingPart>,
}

impl<'a> Running<'a> {
    /// The size of its volume, where that was asked for.
    pub(crate) fn volume(&self) -> Option<&'a Text> {
        self.volume
    }

    /// What is compared: what runs, in the form in which it was stored where that means the same. What Mage adds by itself is
    /// not among it, unless it was once applied (`applied`): then it is left over.
    pub(crate) fn leaves(&self, stored: &Leaves, applied: Option<&BTreeMap<FieldPath, Text>>) -> Leaves {
        let mut leaves = Leaves::new();
        for (path, value) in stored {
            let Some(runs) = self.workload.value(path) else { continue };
            leaves.insert(path.clone(), if means(path, value, runs) { value } else { runs }.clone());
        }
        let of_mage = |path: &FieldPath| {
            !applied.is_some_and(|applied| applied.contains_key(path)) && self.is_of_mage(path)
        };
        let Workload { leaves: running, scheduling, .. } = self.workload;
        for (path, value) in running.iter().chain(scheduling) {
            if !stored.contains_key(path) && !of_mage(path) {
                leaves.insert(path.clone(), value.clone());
            }
        }
        leaves
    }

    /// What a variable is in the pod, where that is not what it would be at another place of the list.
    pub(crate) fn unexpanded(&self, path: &FieldPath) -> Option<Value> {
        let unexpanded = &self.workload.unexpanded;
        if unexpanded.is_empty() || !path.is_within(ENV) {
            return None;
        }
        let keys = path.keys()?;
        unexpanded.get(keys.last()?.as_str()).map(|text| Value::String(text.clone()))
    }

    /// Whether something that is not stored may come from Mage.
    fn is_of_mage(&self, path: &FieldPath) -> bool {
        if path.is_within(HOOKS) {
            return true;
        }
        let keys = path.keys().unwrap_or_default();
        match keys.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            // Pro's clusters hand on whatever they are set to (MAGE.md 6).
            [ENV, _] => self.edition == Edition::Pro || is_mages_own(path),
            [CONTAINER, ..] => false,
            _ => true,
        }
    }

    /// Whether it runs. One whose pod has not failed is on its way up, however young or old it is.
    pub(crate) fn state(&self) -> RunState {
        let Workload { wanted, counts, .. } = self.workload;
        if *wanted == 0 {
            RunState::Stopped
        } else if counts.available.min(counts.updated) >= *wanted {
            RunState::Running
        } else if self.is_stuck {
            RunState::Failed
        } else {
            RunState::Pending
        }
    }

    /// The second copy of the mark, which outlives a container_config that is overwritten.
    pub(crate) fn copy_of_mark(&self, name: &WorkspaceName) -> Option<Stored> {
        let line = self.workload.annotations.get(MARK_ANNOTATION)?;
        mark::read(name, line).ok().flatten()
    }

    /// What a step has to know of it.
    pub(crate) fn seen(&self) -> Seen {
        let Workload { key, uid, repeated, unexpanded, scheduling, .. } = self.workload;
        Seen {
            key: key.clone(),
            uid: uid.clone(),
            scheduling: scheduling.clone(),
            repeated: repeated
                .iter()
                .chain(unexpanded.keys())
                .map(|name| FieldPath::key(ENV).child(name))
                .collect(),
        }
    }

    /// Goes into the revision of a workspace: everything that is compared, and nothing of how far it has come. `leaves` are those
    /// of its workload, or what of them may be shown.
    pub(crate) fn content(&self, leaves: &Leaves) -> Vec<u8> {
        let Workload { uid, scheduling, repeated, unexpanded, wanted, .. } = self.workload;
        let repeated: Vec<_> = repeated.iter().chain(unexpanded.keys()).collect();
        let parts = (self.volume, self.has_lost_path, &self.missing);
        let whole = (uid, leaves, scheduling, repeated, *wanted == 0, parts);
        serde_json::to_vec(&whole).unwrap_or_default()
    }

    /// What runs, as Kubernetes tells it.
    pub(crate) fn all_leaves(&self) -> &'a Leaves {
        &self.workload.leaves
    }
}

/// What only Kubernetes tells of a workspace, and a step has to know.
pub(crate) struct Seen {
    /// Which object it is.
    pub(crate) key: Key,
    /// `metadata.uid` of it.
    pub(crate) uid: Text,
    /// Where its pod may run.
    pub(crate) scheduling: Leaves,
    /// Variables that stand in the container more than once, of which a patch reaches only the first and the last one counts, and
    /// those that stand before one that they refer to: each has to go before it comes again.
    pub(crate) repeated: BTreeSet<FieldPath>,
}

/// Whether a stored value means what runs.
fn means(path: &FieldPath, stored: &Value, runs: &Value) -> bool {
    let stored = reference_without_defaults(stored.clone());
    same(path, &FieldValue::Plain(stored), &FieldValue::Plain(runs.clone()))
}

#[cfg(test)]
#[path = "running_tests.rs"]
mod tests;
