//! Brings back what Kubernetes lost of a workspace: its parts one by one, or the whole of a workspace without a StatefulSet.

use std::collections::BTreeMap;

use magus_engine::{PerformError, Task};
use magus_engine_kubernetes::{Key, ServiceStyle};
use magus_model::{
    Text,
    name::WorkspaceName,
    observed::{MissingPart, PartKind},
    path::FieldPath,
    plan::{FieldChange, Step},
    value::FieldValue,
};

use crate::{Mage, api::request, perform::Found, running::Cluster};

/// The settings of a workspace that say where its objects are.
const NAMESPACE: &str = "namespace";

impl Mage {
    /// Makes the missing parts that a step restores, as Mage and Kubernetes make them; the workspace as it is then.
    pub(crate) fn restore(&self, step: &Step, found: &Found) -> Result<Found, PerformError> {
        let (Some(cluster), Some(seen)) = (&self.kubernetes, &found.known.seen) else {
            return Err(PerformError::Failed("only with `kubernetes` parts can be restored".to_owned()));
        };
        let kubernetes = cluster.kubernetes();
        let mut sent = false;
        for MissingPart { kind, name, by_hand: _ } in &step.restores {
            let made = match kind {
                PartKind::Service => {
                    usual_style(cluster).and_then(|style| kubernetes.create_service(&seen.key, &style))
                }
                PartKind::PersistentVolumeClaim => kubernetes.create_volume(&seen.key),
                PartKind::StatefulSet | PartKind::Ingress => {
                    Err(PerformError::Failed("it cannot be restored by itself".to_owned()))
                }
            };
            made.map_err(|error| {
                let error = error.map_message(|why| format!("{} `{name}`: {why}", kind.as_str()));
                if sent { PerformError::Uncertain(error.message().to_owned()) } else { error }
            })?;
            sent = true;
        }
        let now = self.look_after(&step.workspace)?;
        let is_there =
            |part: &&MissingPart| !now.known.workspace.missing.iter().any(|left| left.kind == part.kind);
        match step.restores.iter().find(|part| !is_there(part)) {
            None => Ok(now),
            Some(MissingPart { kind, name, by_hand: _ }) => Err(PerformError::Uncertain(format!(
                "sent, but the {} `{name}` is still missing",
                kind.as_str()
            ))),
        }
    }

    /// Creates a workspace again that has lost its StatefulSet: Mage forgets it first. Its volume stays, and the new one takes it
    /// by its name.
    pub(crate) fn recreate(&self, task: &Task<'_>, found: &Found) -> Result<(), PerformError> {
        let Task { step, .. } = *task;
        let name = &step.workspace;
        let (Some(cluster), true) = (&self.kubernetes, is_gone(&found.known.workspace.missing)) else {
            return Err(PerformError::Failed("Mage cannot replace a workspace".to_owned()));
        };
        let namespace = self.keeps_namespace(step, found)?;
        let sent = self.client.send(&request::delete_workspace(name.as_str()));
        // MAGE.md 4.9: Mage forgets it, and answers with an error, because there is no StatefulSet to delete.
        match (self.look(name), sent) {
            (Ok(None), _) => {}
            (Ok(Some(_)), Err(error)) => return Err(error.into()),
            (Ok(Some(_)), Ok(_)) => {
                return Err(PerformError::Uncertain(format!(
                    "mage said that `{name}` is deleted, and still shows it"
                )));
            }
            (Err(error), _) => return Err(PerformError::Uncertain(error.message().to_owned())),
        }
        let half = |error: PerformError| {
            PerformError::Uncertain(format!(
                "deleted, and not seen to be created again: {}; its volume is kept, and the next apply creates it",
                error.message()
            ))
        };
        cluster.kubernetes().delete_rest(&namespace, name.as_str()).map_err(half)?;
        self.create(task, found.code()).map_err(half)
    }

    /// The namespace of a workspace, which the new one has to be in too: its volume is there.
    fn keeps_namespace(&self, step: &Step, found: &Found) -> Result<Text, PerformError> {
        let is_namespace = |field: &&FieldChange| field.path == FieldPath::key(NAMESPACE);
        let declared = step.fields.iter().find(is_namespace).and_then(|field| match &field.after {
            Some(FieldValue::Plain(value)) => value.as_str().map(Text::from),
            _ => None,
        });
        let new = declared.or_else(|| self.namespace.clone());
        match (&found.item.namespace, new) {
            (Some(old), Some(new)) if *old == new => Ok(new),
            (old, new) => Err(PerformError::Failed(format!(
                "it was in the namespace `{}` and would be created in `{}`, without its volume; declare `namespace` as it was",
                old.as_deref().unwrap_or("unknown"),
                new.as_deref().unwrap_or("unknown"),
            ))),
        }
    }

    /// Deletes what a failed delete left in Kubernetes, if the StatefulSet was deleted; nothing if that is unknown.
    pub(crate) fn remove_rest(
        &self,
        name: &WorkspaceName,
        namespace: &str,
    ) -> Option<Result<(), PerformError>> {
        let kubernetes = self.kubernetes.as_ref()?.kubernetes();
        match kubernetes.workload(namespace, name.as_str()) {
            Ok(Some(workload)) if !workload.deleting => None,
            Ok(_) => Some(kubernetes.delete_rest(namespace, name.as_str()).map_err(|error| {
                PerformError::Uncertain(format!("mage has deleted it; {}", error.message()))
            })),
            Err(_) => None,
        }
    }
}

/// Whether a workspace certainly has no StatefulSet.
fn is_gone(missing: &[MissingPart]) -> bool {
    missing.iter().any(|part| part.kind == PartKind::StatefulSet)
}

/// How most Services of the cluster are made: what the main server's environment says of them, only its Services show.
fn usual_style(cluster: &Cluster) -> Result<ServiceStyle, PerformError> {
    let services: BTreeMap<Key, ServiceStyle> =
        cluster.kubernetes().services(None).map_err(|error| PerformError::Failed(error.to_string()))?;
    let mut counts: BTreeMap<ServiceStyle, usize> = BTreeMap::new();
    for style in services.into_values() {
        *counts.entry(style).or_default() += 1;
    }
    Ok(counts.into_iter().max_by_key(|(_, count)| *count).map(|(style, _)| style).unwrap_or_default())
}
