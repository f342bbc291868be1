//! Kubernetes itself: the StatefulSets that Mage makes, one for each workspace, read as they run.
//!
//! A Mage server reads back what it has stored, not what runs (MAGE.md 3, 4.1). This crate asks the cluster: [`Kubernetes`]
//! lists [`Workload`]s, waits until a change of one has come up, lets its volume grow, and says where its pod may run. Whoever calls it waits, as
//! with any other function, and may call it from several threads at once: that the client below is asynchronous does not
//! show. It knows no Mage server, no plan and no mark, and reads no environment: where the kubeconfig is, and which proxy
//! leads to a server, are arguments.
//!
//! What the login has to be allowed, in RBAC's words, in each namespace that is looked at:
//!
//! | for | verbs and resources |
//! |---|---|
//! | [`Kubernetes::workloads`] | `list` of `statefulsets.apps`, over all namespaces where none is given |
//! | [`Kubernetes::workload`] | `get` of `statefulsets.apps` |
//! | [`Kubernetes::wait_for_rollout`] | the same; to say why something does not come up, `list` of `pods` and `events` |
//! | [`Kubernetes::delete_workspace`] | `get` and `delete` of `statefulsets.apps`; `delete` of `services` and `configmaps` |
//! | [`Kubernetes::delete_rest`] | `delete` of `services` and `configmaps` |
//! | [`Kubernetes::stuck`] | `list` of `pods` |
//! | [`Kubernetes::services`] | `list` of `services` |
//! | [`Kubernetes::create_service`] | `create` of `services` |
//! | [`Kubernetes::volumes`] | `list` of `persistentvolumeclaims` |
//! | [`Kubernetes::create_volume`] | `create` of `persistentvolumeclaims` |
//! | [`Kubernetes::grow_volume`] | `get` and `patch` of `persistentvolumeclaims`; `get` of `storageclasses.storage.k8s.io` |
//! | [`Kubernetes::ingress_services`] | `get` of `ingresses.networking.k8s.io` |
//! | [`Kubernetes::schedule`], [`Kubernetes::annotate_mark`] | `patch` of `statefulsets.apps` |

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod access;
mod annotation;
mod container;
mod delete;
mod failure;
mod ingress;
mod login;
mod rollout;
mod scheduling;
mod server;
mod service;
mod set;
mod shown;
mod stuck;
mod volume;
mod wait;
mod workload;

#[cfg(test)]
mod real_tests;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{
    Resource as _,
    core::{Request, params::ListParams},
};
use magus_engine::EngineError;
use magus_model::Text;
use serde::Deserialize;

use crate::{
    failure::{Failure, Trouble},
    server::Server,
    set::{List, Set},
};

pub use access::{Access, Limits};
pub use annotation::MARK_ANNOTATION;
pub use container::{Leaves, reference_without_defaults};
pub use rollout::Rollout;
pub use scheduling::scheduling_of;
pub use service::{ServiceStyle, service, service_name};
pub use stuck::Stuck;
pub use volume::{Growth, Volume, claim_name};
pub use workload::{Counts, Key, Retention, VolumeClaim, Workload};

/// How many objects one answer holds: a cluster with less is read in one request.
const PAGE: u32 = 500;

/// A cluster, for one run.
pub struct Kubernetes {
    server: Server,
    namespace: Option<Text>,
}

impl Kubernetes {
    /// A connection. No request is made yet; a program that the kubeconfig names to log in with is run.
    ///
    /// # Errors
    /// Where the kubeconfig or the login that it describes cannot be used.
    pub fn connect(access: Access<'_>) -> Result<Self, EngineError> {
        let namespace = access.namespace.clone();
        Ok(Self { server: Server::connect(access)?, namespace })
    }

    /// The URL of the apiserver, for people.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// The version of Kubernetes, such as `v1.36.3`.
    ///
    /// # Errors
    /// Where the cluster cannot be asked.
    pub fn version(&self) -> Result<Text, EngineError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            git_version: Text,
        }
        let request = Request::new("").get("version", &Default::default());
        let version: Version = self.server.read(request).map_err(Trouble::engine)?;
        Ok(version.git_version)
    }

    /// The StatefulSets of the namespace, or of every namespace: one request for up to 500 of them. Also those that Mage
    /// did not make, because they take up names; see [`Workload::is_workspace`]. A namespace that does not exist has none, says
    /// Kubernetes.
    ///
    /// # Errors
    /// Where the cluster could not be read as a whole. Nothing is left out of a map that is returned.
    pub fn workloads(&self) -> Result<BTreeMap<Key, Workload>, EngineError> {
        match self.list(Some(PAGE)) {
            // The rest of a list is kept for minutes only. What comes in one piece cannot expire on the way.
            Err(Trouble { failure: Failure::Status { code: 410, .. }, .. }) => self.list(None),
            other => other,
        }
        .map_err(Trouble::engine)
    }

    fn list(&self, page: Option<u32>) -> Result<BTreeMap<Key, Workload>, Trouble> {
        let request = Request::new(StatefulSet::url_path(&(), self.namespace.as_deref()));
        let mut params = ListParams { limit: page, ..ListParams::default() };
        let mut found = BTreeMap::new();
        loop {
            let List { metadata, items } = self.server.read(request.list(&params))?;
            for set in items {
                let workload = Workload::from(set);
                found.insert(workload.key.clone(), workload);
            }
            match metadata.r#continue.filter(|token| !token.is_empty()) {
                None => return Ok(found),
                token => params.continue_token = token,
            }
        }
    }

    /// One StatefulSet; nothing where the cluster says that it does not exist.
    ///
    /// # Errors
    /// Where the cluster does not say.
    pub fn workload(&self, namespace: &str, name: &str) -> Result<Option<Workload>, EngineError> {
        self.look(namespace, name).map_err(Trouble::engine)
    }

    fn look(&self, namespace: &str, name: &str) -> Result<Option<Workload>, Trouble> {
        let set: Option<Set> = self.server.get::<StatefulSet, _>(Some(namespace), name)?;
        Ok(set.map(Workload::from))
    }
}
