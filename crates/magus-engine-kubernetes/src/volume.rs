//! Lets the volume of a workspace grow. Mage cannot: it sets the size when it makes the workspace, and the claim in the
//! StatefulSet cannot be changed at all. What can is the claim that the pod has.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec},
    storage::v1::StorageClass,
};
use kube::{
    Resource as _,
    core::{
        ObjectList, Request,
        params::{ListParams, Patch, PatchParams, PostParams},
    },
};
use magus_engine::{EngineError, PerformError};
use magus_model::{Text, quantity::Quantity};
use serde_json::json;

use crate::{
    Kubernetes,
    failure::{Failure, Trouble},
    rollout::APP,
    workload::{CLAIM, Key, VolumeClaim},
};

/// The volume of a workspace, as the claim of its pod says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Volume {
    /// How much it asks for, a quantity of Kubernetes: `2Gi`.
    pub size: Text,
    /// Whether the claim is being deleted: then it goes away with the pod that uses it.
    pub deleting: bool,
}

/// The name of the claim of a workspace's only pod.
pub fn claim_name(workspace: &str) -> String {
    format!("{CLAIM}-{workspace}-0")
}

/// What became of a volume that was to grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// It already asks for as much.
    Already,
    /// It asks for that much now. The storage grows, then the file system, some of them only when the pod starts again.
    Asked,
}

impl Kubernetes {
    /// The volumes of workspaces, by workspace. One request: for the workspace `only`, or else in the namespace that is looked
    /// at, or in all.
    ///
    /// # Errors
    /// Where the cluster could not be read.
    pub fn volumes(&self, only: Option<&Key>) -> Result<BTreeMap<Key, Volume>, EngineError> {
        let namespace = only.map(|workload| workload.namespace.as_str()).or(self.namespace.as_deref());
        let params = match only {
            Some(workload) => {
                ListParams::default().fields(&format!("metadata.name={}", claim_name(&workload.name)))
            }
            None => ListParams::default(),
        };
        let request = Request::new(PersistentVolumeClaim::url_path(&(), namespace)).list(&params);
        let list: ObjectList<PersistentVolumeClaim> = self.server.read(request).map_err(Trouble::engine)?;
        let volume = |claim: PersistentVolumeClaim| {
            let name = claim.metadata.name.as_deref()?;
            let name = name.strip_prefix(CLAIM)?.strip_prefix('-')?.strip_suffix("-0")?;
            let key = Key { namespace: claim.metadata.namespace.as_deref()?.into(), name: name.into() };
            Some((key, of_claim(&claim)?))
        };
        Ok(list.items.into_iter().filter_map(volume).collect())
    }

    /// Makes the claim of a workspace's pod, as the StatefulSet controller does when it makes the pod
    /// (`getPersistentVolumeClaims` in Kubernetes' `pkg/controller/statefulset/stateful_set_utils.go`). The volume is empty.
    ///
    /// # Errors
    /// [`PerformError::Failed`] where the StatefulSet asks for no volume, and where the cluster refuses;
    /// [`PerformError::Uncertain`] where it did not answer.
    pub fn create_volume(&self, workload: &Key) -> Result<(), PerformError> {
        let Key { namespace, name } = workload;
        let set =
            self.look(namespace, name).map_err(|trouble| failed(trouble.perform().message().to_owned()))?;
        let Some(VolumeClaim { storage_class, access_modes, size }) = set.and_then(|set| set.volume) else {
            return Err(failed(format!(
                "the StatefulSet `{name}` in `{namespace}` asks for no volume `{CLAIM}`"
            )));
        };
        let claim = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": { "name": claim_name(name), "labels": { APP: name } },
            "spec": {
                "accessModes": access_modes,
                "storageClassName": storage_class,
                "resources": { "requests": { "storage": size } },
            },
        });
        let body = serde_json::to_vec(&claim).map_err(|error| failed(error.to_string()))?;
        let path = PersistentVolumeClaim::url_path(&(), Some(namespace));
        self.create(Request::new(path).create(&PostParams::default(), body))
    }

    /// Lets the volume of a workspace ask for so many gibibytes (2³⁰ bytes): the claim `mage-data-NAME-0` of its only pod.
    ///
    /// # Errors
    /// [`PerformError::Failed`] where there is no such volume, where it is larger already, where its storage class does not let
    /// volumes grow, and where the cluster refuses; [`PerformError::Uncertain`] where it did not answer.
    pub fn grow_volume(&self, namespace: &str, name: &str, gibibytes: u32) -> Result<Growth, PerformError> {
        let claim_name = claim_name(name);
        let read = |trouble: Trouble| PerformError::Failed(trouble.perform().message().to_owned());
        let claim: Option<PersistentVolumeClaim> =
            self.server.get::<PersistentVolumeClaim, _>(Some(namespace), &claim_name).map_err(read)?;
        let Some(spec) = claim.and_then(|claim| claim.spec) else {
            return Err(failed(format!(
                "the workspace has no volume `{claim_name}` in the namespace `{namespace}`"
            )));
        };
        let size = format!("{gibibytes}Gi");
        match requested(&spec).as_deref().and_then(|now| Some((now, Quantity::compare(now, &size)?))) {
            Some((_, std::cmp::Ordering::Equal)) => return Ok(Growth::Already),
            Some((now, std::cmp::Ordering::Greater)) => {
                return Err(failed(format!(
                    "the volume `{claim_name}` has {now} and cannot shrink to {size}: kubernetes lets volumes only grow"
                )));
            }
            _ => {}
        }
        self.check_class(&claim_name, &spec)?;
        let patch = json!({ "spec": { "resources": { "requests": { "storage": size } } } });
        let request = Request::new(PersistentVolumeClaim::url_path(&(), Some(namespace))).patch(
            &claim_name,
            &PatchParams::default(),
            &Patch::Merge(patch),
        );
        let _: PersistentVolumeClaim = self.server.write(request).map_err(Trouble::perform)?;
        Ok(Growth::Asked)
    }

    /// Whether the storage class lets volumes grow. Where it may not be looked at, the cluster itself will say.
    fn check_class(&self, claim: &str, spec: &PersistentVolumeClaimSpec) -> Result<(), PerformError> {
        let Some(class_name) = spec.storage_class_name.as_deref().filter(|name| !name.is_empty()) else {
            return Err(failed(format!(
                "the volume `{claim}` cannot grow: it has no storage class, so somebody made it by hand"
            )));
        };
        let class: Option<StorageClass> = match self.server.get::<StorageClass, _>(None, class_name) {
            Ok(class) => class,
            Err(Trouble { failure: Failure::Status { code: 403, .. }, .. }) => return Ok(()),
            Err(trouble) => return Err(failed(trouble.perform().message().to_owned())),
        };
        match class {
            Some(StorageClass { allow_volume_expansion: Some(true), .. }) => Ok(()),
            Some(_) => Err(failed(format!(
                "the volume `{claim}` cannot grow: its storage class `{class_name}` does not have `allowVolumeExpansion: true`"
            ))),
            None => Err(failed(format!(
                "the volume `{claim}` cannot grow: its storage class `{class_name}` does not exist"
            ))),
        }
    }
}

fn failed(message: String) -> PerformError {
    PerformError::Failed(message)
}

fn of_claim(claim: &PersistentVolumeClaim) -> Option<Volume> {
    let size = requested(claim.spec.as_ref()?)?.into();
    Some(Volume { size, deleting: claim.metadata.deletion_timestamp.is_some() })
}

/// How much a claim asks for.
fn requested(spec: &PersistentVolumeClaimSpec) -> Option<String> {
    spec.resources.as_ref()?.requests.as_ref()?.get("storage").map(|size| size.0.clone())
}
