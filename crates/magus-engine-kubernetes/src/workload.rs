//! A StatefulSet as plain data: what of it a workspace declares, how far it has come, and whether it is one of Mage's.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::Timestamp;
use magus_model::{Text, path::FieldPath, value::Value};

use crate::{
    container::{self, Container, Leaves},
    set::{Claim, Metadata, PodSpec, RetentionPolicy, Set, Spec, Template, UpdateStrategy},
};

/// The volume claim that Mage gives every workspace (`cluster_manager/kubernetes/workload_manager.py`).
pub(crate) const CLAIM: &str = "mage-data";
/// Holds the whole object as it was last applied, values of variables too.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Which StatefulSet: its name is that of the workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The namespace.
    pub namespace: Text,
    /// The name.
    pub name: Text,
}

/// A StatefulSet as it is. Values of variables are part of it and are not shown by `Debug`.
#[derive(Clone, PartialEq)]
pub struct Workload {
    /// Which one it is.
    pub key: Key,
    /// `metadata.uid`: another one after it was deleted and made again.
    pub uid: Text,
    /// `metadata.resourceVersion`: changes with every write, that of the status included.
    pub resource_version: Text,
    /// `metadata.generation`: changes with every write of what is wanted.
    pub generation: i64,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether Mage made it, as far as it looks like that: its label `app` is its name, it has a container `NAME-container` and
    /// a volume claim `mage-data`. Where it does not, nothing of its containers is read.
    pub is_workspace: bool,
    /// `metadata.labels`.
    pub labels: BTreeMap<Text, Text>,
    /// `metadata.annotations`, without what `kubectl apply` remembers there: it holds values of variables.
    pub annotations: BTreeMap<Text, Text>,
    /// Annotations of the template, such as `kubectl.kubernetes.io/restartedAt`: a change of one restarts. Without what
    /// `kubectl apply` remembers.
    pub pod_annotations: BTreeMap<Text, Text>,
    /// What the container runs with, as `env.NAME` and below `container_config`. Without `name`, `ports` and
    /// `volumeMounts`, which are Mage's own, and without [`Workload::defaults`]. The variables that Mage adds are among it.
    pub leaves: Leaves,
    /// What the apiserver filled in, or would have, where nobody set anything. A declared field is compared with both maps
    /// ([`Workload::value`]); a field that nobody declared is missed only where it stands in `leaves`.
    pub defaults: Leaves,
    /// Variables that the container lists more than once; `leaves` has the last one, which is the one that counts. A patch
    /// reaches only the first and so changes nothing; one with `$patch: delete` removes all.
    pub repeated: BTreeSet<Text>,
    /// Variables that stand before one that they refer to: Kubernetes does not expand that reference. Each with the text that it
    /// has in the pod, in which such a reference is escaped.
    pub unexpanded: BTreeMap<Text, Text>,
    /// Where the pod may run: `nodeSelector`, `affinity` and `tolerations`, below `container_config`, where a
    /// workspace declares them (MAGE.md 6).
    pub scheduling: Leaves,
    /// `serviceAccountName` of the pod.
    pub service_account_name: Option<Text>,
    /// The claim `mage-data` as new pods get it. The volume that is there may have grown since.
    pub volume: Option<VolumeClaim>,
    /// What becomes of volumes.
    pub retention: Retention,
    /// Names of further containers, such as `cloud-sql-proxy`.
    pub sidecars: Vec<Text>,
    /// How many pods are wanted: 0 where it was stopped.
    pub wanted: u32,
    /// How long a pod has to be ready until it counts as available, in seconds; Mage sets 10.
    pub min_ready_seconds: u32,
    /// Whether a pod gets another template only once somebody deletes it (`updateStrategy` is `OnDelete`). Mage's do not.
    pub waits_for_deletion: bool,
    /// How far it has come.
    pub counts: Counts,
}

/// The status of a StatefulSet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// The generation that the rest is about.
    pub observed_generation: i64,
    /// Pods that exist.
    pub pods: u32,
    /// Pods that are ready.
    pub ready: u32,
    /// Pods that have been ready for [`Workload::min_ready_seconds`].
    pub available: u32,
    /// Pods of the last template.
    pub updated: u32,
    /// The revision of the last template that has come up everywhere.
    pub current_revision: Text,
    /// The revision of the last template.
    pub update_revision: Text,
}

/// What a volume is asked for with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeClaim {
    /// The storage class; nothing where it is the cluster's default.
    pub storage_class: Option<Text>,
    /// `ReadWriteMany` and so on; Mage asks for one.
    pub access_modes: Vec<Text>,
    /// How much, a quantity of Kubernetes: `2Gi`.
    pub size: Option<Text>,
}

/// `Retain` or `Delete`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// What becomes of the volume when the StatefulSet is deleted.
    pub when_deleted: Text,
    /// What becomes of it when it is stopped.
    pub when_scaled: Text,
}

impl Workload {
    /// What runs, whoever set it.
    pub fn value(&self, path: &FieldPath) -> Option<&Value> {
        self.leaves.get(path).or_else(|| self.defaults.get(path)).or_else(|| self.scheduling.get(path))
    }
}

impl From<Set> for Workload {
    fn from(set: Set) -> Self {
        let Set { metadata, spec, status } = set;
        let Metadata {
            name,
            namespace,
            uid,
            resource_version,
            generation,
            creation_timestamp,
            deletion_timestamp,
            labels,
            annotations,
        } = metadata;
        let Spec {
            replicas,
            min_ready_seconds,
            update_strategy,
            template: Template { metadata: pod, spec: pod_spec },
            volume_claim_templates,
            persistent_volume_claim_retention_policy: retention,
        } = spec;
        let PodSpec { containers, service_account_name, node_selector, affinity, tolerations } = pod_spec;

        let main = format!("{name}-container");
        let (mut mains, others): (Vec<_>, Vec<_>) =
            containers.into_iter().partition(|container| name_of(container) == Some(&main));
        let volume = volume_claim_templates.into_iter().find(|claim| claim.metadata.name == CLAIM);
        let is_workspace = labels.get("app") == Some(&name) && !mains.is_empty() && volume.is_some();
        let (container, scheduling) = match mains.pop() {
            Some(container) if is_workspace => {
                let scheduling = container::scheduling([
                    ("nodeSelector", node_selector),
                    ("affinity", affinity),
                    ("tolerations", tolerations),
                ]);
                (container::read(container), scheduling)
            }
            _ => (Container::default(), Leaves::new()),
        };
        let Container { leaves, defaults, repeated, unexpanded } = container;
        Self {
            key: Key { namespace, name },
            uid,
            resource_version,
            generation,
            created_at: creation_timestamp.and_then(|text| text.parse().ok()),
            deleting: deletion_timestamp.is_some(),
            is_workspace,
            labels,
            annotations: without_last_applied(annotations),
            pod_annotations: without_last_applied(pod.annotations),
            leaves,
            defaults,
            repeated,
            unexpanded,
            scheduling,
            service_account_name,
            volume: volume.map(VolumeClaim::from),
            retention: Retention::from(retention),
            sidecars: others.iter().filter_map(name_of).map(Text::from).collect(),
            // Kubernetes' own default, which the apiserver fills in.
            wanted: replicas.map_or(1, count),
            min_ready_seconds: count(min_ready_seconds),
            waits_for_deletion: update_strategy
                .is_some_and(|UpdateStrategy { r#type }| r#type.is_some_and(|kind| kind == "OnDelete")),
            counts: Counts {
                observed_generation: status.observed_generation.unwrap_or_default(),
                pods: count(status.replicas),
                ready: status.ready_replicas.map_or(0, count),
                available: status.available_replicas.map_or(0, count),
                updated: status.updated_replicas.map_or(0, count),
                current_revision: status.current_revision.unwrap_or_default().into(),
                update_revision: status.update_revision.unwrap_or_default().into(),
            },
        }
    }
}

/// A number of Kubernetes that is never negative.
fn count(number: i32) -> u32 {
    number.try_into().unwrap_or(0)
}

fn name_of(container: &BTreeMap<Text, Value>) -> Option<&str> {
    container.get("name").and_then(Value::as_str)
}

fn without_last_applied(mut annotations: BTreeMap<Text, Text>) -> BTreeMap<Text, Text> {
    annotations.remove(LAST_APPLIED);
    annotations
}

impl From<Claim> for VolumeClaim {
    fn from(Claim { metadata: _, spec }: Claim) -> Self {
        Self {
            storage_class: spec.storage_class_name,
            access_modes: spec.access_modes,
            size: spec.resources.requests.get("storage").cloned(),
        }
    }
}

impl From<Option<RetentionPolicy>> for Retention {
    fn from(policy: Option<RetentionPolicy>) -> Self {
        let (when_deleted, when_scaled) =
            policy.map_or((None, None), |policy| (policy.when_deleted, policy.when_scaled));
        // What clusters did before the field existed.
        let retain = || Text::new_static("Retain");
        Self {
            when_deleted: when_deleted.unwrap_or_else(retain),
            when_scaled: when_scaled.unwrap_or_else(retain),
        }
    }
}

/// Paths instead of leaves, and keys of annotations, because values may be secrets.
impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = |leaves: &Leaves| leaves.keys().map(FieldPath::to_string).collect::<Vec<_>>();
        f.debug_struct("Workload")
            .field("key", &self.key)
            .field("uid", &self.uid)
            .field("resource_version", &self.resource_version)
            .field("generation", &self.generation)
            .field("is_workspace", &self.is_workspace)
            .field("wanted", &self.wanted)
            .field("counts", &self.counts)
            .field("labels", &self.labels)
            .field("annotations", &self.annotations.keys())
            .field("leaves", &paths(&self.leaves))
            .field("defaults", &paths(&self.defaults))
            .field("volume", &self.volume)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "workload_tests.rs"]
pub(crate) mod tests;
