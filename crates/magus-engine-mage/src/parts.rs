//! The parts of a workspace in Kubernetes besides its StatefulSet: its Service, its volume, and the way to it from outside.
//! Mage makes them with the workspace and never again.

use std::collections::{BTreeMap, BTreeSet};

use magus_engine::{EngineError, EngineErrorKind};
use magus_engine_kubernetes::{Key, ServiceStyle, Volume, Workload, claim_name, service, service_name};
use magus_model::{
    Text,
    observed::{MissingPart, PartKind},
};

use crate::{item::Item, running::Cluster};

/// The parts of the workspaces of a cluster, as far as they could be read.
#[derive(Default)]
pub(crate) struct Parts {
    /// The Services that Mage has made, by their own names; nothing if they could not be read.
    services: Option<BTreeMap<Key, ServiceStyle>>,
    /// The volumes, by workspace; nothing if they could not be read.
    volumes: Option<BTreeMap<Key, Volume>>,
    /// The Services that Ingresses lead to, of those that may have lost a path; nothing for an Ingress that does not exist.
    ingresses: BTreeMap<Key, Option<BTreeSet<Text>>>,
    /// What could not be read, and why.
    unread: Vec<String>,
}

impl Parts {
    /// Reads those of all workspaces, or of one: two requests. What this login may not read is not known to be missing.
    ///
    /// # Errors
    /// Where Kubernetes does not answer: then nothing of the workspaces is known.
    pub(crate) fn read(cluster: &Cluster, only: Option<&Key>) -> Result<Self, EngineError> {
        let kubernetes = cluster.kubernetes();
        let mut unread = Vec::new();
        let services = known("the Services", kubernetes.services(only), &mut unread)?;
        let volumes = known("the PersistentVolumeClaims", kubernetes.volumes(only), &mut unread)?;
        Ok(Self { services, volumes, ingresses: BTreeMap::new(), unread })
    }

    /// The same with the paths of these Ingresses, one request for each.
    ///
    /// # Errors
    /// Where Kubernetes does not answer.
    pub(crate) fn with_ingresses(
        mut self,
        cluster: &Cluster,
        names: BTreeSet<Key>,
    ) -> Result<Self, EngineError> {
        for key in names {
            let services = cluster.kubernetes().ingress_services(&key.namespace, &key.name);
            let what = format!("the Ingress `{}`", key.name);
            if let Some(services) = known(&what, services, &mut self.unread)? {
                self.ingresses.insert(key, services);
            }
        }
        Ok(self)
    }

    /// What could not be read, and why.
    pub(crate) fn unread(&self) -> Option<String> {
        (!self.unread.is_empty()).then(|| self.unread.join("; "))
    }

    /// The volume of a workspace.
    pub(crate) fn volume(&self, workload: &Key) -> Option<&Volume> {
        self.volumes.as_ref()?.get(workload)
    }

    /// Whether the Ingress of a workspace is there and leads to it no more.
    pub(crate) fn has_lost_path(&self, item: &Item) -> bool {
        let ingress = item.unreached_ingress().and_then(|ingress| self.ingresses.get(&ingress)?.as_ref());
        ingress.is_some_and(|services| !services.contains(&*service_name(&item.name)))
    }

    /// The parts that a workspace with a StatefulSet lacks.
    pub(crate) fn missing(&self, item: &Item, workload: &Workload) -> Vec<MissingPart> {
        let Workload { key, wanted, counts, retention, .. } = workload;
        let service = Key { namespace: key.namespace.clone(), name: service_name(&key.name).into() };
        let has_service = self.services.as_ref().is_none_or(|services| services.contains_key(&service));
        let mut missing = Vec::new();
        if !has_service {
            missing.push(part(PartKind::Service, service.name, None));
        }
        // Kubernetes makes the claim right before the pod, and may be told to delete it when the workspace stops.
        let has_volume = if *wanted == 0 { retention.when_scaled == "Retain" } else { counts.pods > 0 };
        if has_volume {
            missing.extend(self.missing_volume(key));
        }
        if let Some(ingress) = item.unreached_ingress()
            && self.ingresses.get(&ingress) == Some(&None)
        {
            let Key { namespace, name } = ingress;
            let by_hand = format!(
                "create the Ingress `{name}` in the namespace `{namespace}` again; `magus apply` then adds the path of \
                 the workspace to it"
            );
            missing.push(part(PartKind::Ingress, name, Some(by_hand)));
        }
        missing
    }

    /// The parts that a workspace without a StatefulSet lacks. Its other parts are made with it.
    pub(crate) fn missing_of_gone(&self, workload: &Key) -> Vec<MissingPart> {
        let set = part(PartKind::StatefulSet, workload.name.clone(), None);
        std::iter::once(set).chain(self.missing_volume(workload)).collect()
    }

    fn missing_volume(&self, workload: &Key) -> Option<MissingPart> {
        let is_missing = self.volumes.as_ref().is_some_and(|volumes| !volumes.contains_key(workload));
        is_missing.then(|| part(PartKind::PersistentVolumeClaim, claim_name(&workload.name).into(), None))
    }
}

/// The Service of a workspace that Mage alone shows: it tells of an instance only where there is a Service.
pub(crate) fn missing_service(item: &Item) -> Option<MissingPart> {
    if item.has_service() {
        return None;
    }
    let namespace = item.namespace.as_deref().unwrap_or("NAMESPACE");
    let object = service(&item.name, &ServiceStyle::default());
    let by_hand = format!("echo '{object}' | kubectl -n {namespace} create -f -");
    Some(part(PartKind::Service, service_name(&item.name).into(), Some(by_hand)))
}

fn part(kind: PartKind, name: Text, by_hand: Option<String>) -> MissingPart {
    MissingPart { kind, name, by_hand: by_hand.map(Text::from) }
}

/// What was read, or nothing where that is refused, and then why.
fn known<T>(
    what: &str,
    read: Result<T, EngineError>,
    unread: &mut Vec<String>,
) -> Result<Option<T>, EngineError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind == EngineErrorKind::Refused => {
            unread.push(format!("{what} cannot be read: {error}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
