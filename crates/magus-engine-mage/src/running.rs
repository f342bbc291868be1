//! What runs, where Kubernetes may be asked: Mage reads back what it has stored, and that is another thing (MAGE.md 4.1).

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
};

use magus_diff::same;
use magus_engine::EngineError;
use magus_engine_kubernetes::{
    Access, Key, Kubernetes, Leaves, Limits, Workload, reference_without_defaults,
};
use magus_model::{
    Text,
    desired::{Edition, KubernetesAccess},
    mage,
    name::WorkspaceName,
    observed::{ObservedOrphan, RunState},
    path::FieldPath,
    value::{FieldValue, Value},
};

use crate::{
    api::{ServerUrl, proxy},
    container::{CONTAINER, ENV},
    item::Item,
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
        Ok(Workloads::new(self.edition, self.kubernetes.workload(namespace, name.as_str())?))
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
    /// The sizes of volumes that may have grown.
    volumes: BTreeMap<Key, Text>,
    /// The Services that Ingresses lead to, of those that may have lost a path.
    ingresses: BTreeMap<Key, BTreeSet<Text>>,
}

impl Workloads {
    fn new(edition: Edition, all: impl IntoIterator<Item = Workload>) -> Self {
        let mut by_name: BTreeMap<Text, Vec<Workload>> = BTreeMap::new();
        for workload in all {
            by_name.entry(workload.key.name.clone()).or_default().push(workload);
        }
        Self { edition, by_name, volumes: BTreeMap::new(), ingresses: BTreeMap::new() }
    }

    fn all(&self) -> impl Iterator<Item = &Workload> {
        self.by_name.values().flatten()
    }

    /// The same with the sizes of volumes: for one workspace alone, or for all in one request.
    pub(crate) fn with_volumes(mut self, cluster: &Cluster) -> Result<Self, EngineError> {
        let only = self.all().next().filter(|_| self.all().nth(1).is_none());
        let volumes = match only {
            Some(Workload { key, .. }) => {
                let size = cluster.kubernetes.volume(&key.namespace, &key.name)?;
                size.map(|size| (key.clone(), size)).into_iter().collect()
            }
            None => cluster.kubernetes.volumes()?,
        };
        self.volumes = volumes;
        Ok(self)
    }

    /// The same with the paths of these Ingresses, one request for each. Where one cannot be read nothing is known to be lost.
    pub(crate) fn with_ingresses(mut self, cluster: &Cluster, names: BTreeSet<Key>) -> Self {
        for key in names {
            match cluster.kubernetes.ingress_services(&key.namespace, &key.name) {
                Ok(services) => self.ingresses.extend(services.map(|services| (key, services))),
                Err(error) => tracing::debug!(%error, ingress = %key.name, "not read"),
            }
        }
        self
    }

    /// What runs of a workspace that Mage shows; the reason where nobody can say.
    pub(crate) fn of(&self, item: &Item) -> Result<Running<'_>, String> {
        let name = item.name.as_str();
        let mut found = self.named(name).filter(|workload| {
            item.namespace.as_ref().is_none_or(|namespace| workload.key.namespace == *namespace)
        });
        let place = item.namespace.as_deref().map_or_else(String::new, |name| format!(" of `{name}`"));
        let Some(workload) = found.next() else {
            return Err(format!(
                "mage shows it, and kubernetes has no StatefulSet `{name}`{place}: it is being deleted, or somebody \
                 deleted it there"
            ));
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
        let services = item.unreached_ingress().and_then(|ingress| self.ingresses.get(&ingress));
        let has_lost_path = services.is_some_and(|services| !services.contains(&*format!("{name}-service")));
        Ok(Running {
            workload,
            edition: self.edition,
            volume: self.volumes.get(&workload.key),
            has_lost_path,
        })
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

/// A workspace as it runs.
#[derive(Clone, Copy)]
pub(crate) struct Running<'a> {
    workload: &'a Workload,
    edition: Edition,
    volume: Option<&'a Text>,
    /// Whether its Ingress is there and leads to it no more.
    pub(crate) has_lost_path: bool,
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

    /// Whether it runs, where Mage says that its pod is in this state.
    pub(crate) fn state(&self, of_pod: RunState) -> RunState {
        let Workload { wanted, counts, .. } = self.workload;
        if *wanted == 0 {
            RunState::Stopped
        } else if counts.available.min(counts.updated) >= *wanted {
            RunState::Running
        } else if of_pod == RunState::Failed {
            RunState::Failed
        } else {
            RunState::Pending
        }
    }

    /// What a step has to know of it.
    pub(crate) fn seen(&self) -> Seen {
        let Workload { key, uid, repeated, scheduling, .. } = self.workload;
        Seen {
            key: key.clone(),
            uid: uid.clone(),
            scheduling: scheduling.clone(),
            repeated: repeated.iter().map(|name| FieldPath::key(ENV).child(name)).collect(),
        }
    }

    /// Goes into the revision of a workspace: everything that is compared, and nothing of how far it has come. `leaves` are those
    /// of its workload, or what of them may be shown.
    pub(crate) fn content(&self, leaves: &Leaves) -> Vec<u8> {
        let Workload { uid, scheduling, repeated, wanted, .. } = self.workload;
        let whole = (uid, leaves, scheduling, repeated, *wanted == 0, self.volume, self.has_lost_path);
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
    /// Variables that stand in the container more than once: a patch reaches only the first, and the last one counts.
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
