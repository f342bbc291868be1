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
        params::{ListParams, Patch, PatchParams},
    },
};
use magus_engine::{EngineError, PerformError};
use magus_model::{Text, quantity::Quantity};
use serde_json::json;

use crate::{
    Kubernetes,
    failure::{Failure, Trouble},
    workload::{CLAIM, Key},
};

/// What became of a volume that was to grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// It already asks for as much.
    Already,
    /// It asks for that much now. The storage grows, then the file system, some of them only when the pod starts again.
    Asked,
}

impl Kubernetes {
    /// How much the volumes of workspaces ask for, by workspace: a quantity of Kubernetes, such as `2Gi`. One request, in the
    /// namespace that is looked at, or in all.
    ///
    /// # Errors
    /// Where the cluster could not be read.
    pub fn volumes(&self) -> Result<BTreeMap<Key, Text>, EngineError> {
        let path = PersistentVolumeClaim::url_path(&(), self.namespace.as_deref());
        let request = Request::new(path).list(&ListParams::default());
        let list: ObjectList<PersistentVolumeClaim> = self.server.read(request).map_err(Trouble::engine)?;
        let volume = |claim: PersistentVolumeClaim| {
            let name = claim.metadata.name?;
            let name = name.strip_prefix(CLAIM)?.strip_prefix('-')?.strip_suffix("-0")?;
            let key = Key { namespace: claim.metadata.namespace?.into(), name: name.into() };
            Some((key, requested(&claim.spec?)?.into()))
        };
        Ok(list.items.into_iter().filter_map(volume).collect())
    }

    /// How much the volume of one workspace asks for; nothing where it has none.
    ///
    /// # Errors
    /// Where the cluster does not say.
    pub fn volume(&self, namespace: &str, name: &str) -> Result<Option<Text>, EngineError> {
        let claim = self.server.get::<PersistentVolumeClaim, PersistentVolumeClaim>(
            Some(namespace),
            &format!("{CLAIM}-{name}-0"),
        );
        let claim = claim.map_err(Trouble::engine)?;
        Ok(claim.and_then(|claim| requested(&claim.spec?)).map(Text::from))
    }

    /// Lets the volume of a workspace ask for so many gibibytes (2³⁰ bytes): the claim `mage-data-NAME-0` of its only pod.
    ///
    /// # Errors
    /// [`PerformError::Failed`] where there is no such volume, where it is larger already, where its storage class does not let
    /// volumes grow, and where the cluster refuses; [`PerformError::Uncertain`] where it did not answer.
    pub fn grow_volume(&self, namespace: &str, name: &str, gibibytes: u32) -> Result<Growth, PerformError> {
        let claim_name = format!("{CLAIM}-{name}-0");
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

/// How much a claim asks for.
fn requested(spec: &PersistentVolumeClaimSpec) -> Option<String> {
    spec.resources.as_ref()?.requests.as_ref()?.get("storage").map(|size| size.0.clone())
}
