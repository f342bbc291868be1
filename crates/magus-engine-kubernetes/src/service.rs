//! The Service that leads to a workspace. Mage makes it with the workspace and never again.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use kube::{
    Resource as _,
    core::{
        ObjectList, Request,
        params::{ListParams, PostParams},
    },
};
use magus_engine::{EngineError, PerformError};
use magus_model::Text;
use serde::de::IgnoredAny;
use serde_json::{Value as Json, json};

use crate::{
    Kubernetes,
    failure::{Failure, Trouble},
    workload::Key,
};

/// The label by which Mage knows the Services of its workspaces (`format_workloads` in
/// `cluster_manager/kubernetes/workload_manager.py` of 0.9.80): its lists leave out a workspace without such a Service.
const OF_MAGE: &str = "dev-instance";
/// The annotation that Mage copies from `KUBE_SERVICE_GCP_BACKEND_CONFIG` of the main server to each Service.
const BACKEND_CONFIG: &str = "cloud.google.com/backend-config";
/// The type of a Service if `KUBE_SERVICE_TYPE` of the main server does not name one.
const USUAL_TYPE: &str = "NodePort";
/// The port that Mage listens on.
const PORT: u16 = 6789;

/// What the main server's own environment says of the Services that it makes, as far as a Service shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceStyle {
    /// `NodePort`, `LoadBalancer` or `ClusterIP`.
    kind: Text,
    backend_config: Option<Text>,
}

impl Default for ServiceStyle {
    fn default() -> Self {
        Self { kind: Text::new_static(USUAL_TYPE), backend_config: None }
    }
}

/// The name of the Service of a workspace.
pub fn service_name(workspace: &str) -> String {
    format!("{workspace}-service")
}

impl Kubernetes {
    /// The Services that Mage has made, by namespace and name of the Service. One request: for the workspace `only`, or else in
    /// the namespace that is looked at, or in all.
    ///
    /// # Errors
    /// Where the cluster could not be read.
    pub fn services(&self, only: Option<&Key>) -> Result<BTreeMap<Key, ServiceStyle>, EngineError> {
        let namespace = only.map(|workload| workload.namespace.as_str()).or(self.namespace.as_deref());
        let all = ListParams::default().labels(OF_MAGE);
        let params = match only {
            Some(workload) => all.fields(&format!("metadata.name={}", service_name(&workload.name))),
            None => all,
        };
        let request = Request::new(Service::url_path(&(), namespace)).list(&params);
        let list: ObjectList<Service> = self.server.read(request).map_err(Trouble::engine)?;
        let named = |service: Service| {
            let key = Key {
                namespace: service.metadata.namespace.clone()?.into(),
                name: service.metadata.name.clone()?.into(),
            };
            Some((key, style(service)))
        };
        Ok(list.items.into_iter().filter_map(named).collect())
    }

    /// Makes the Service of a workspace as Mage makes it. One that is there by now is left as it is.
    ///
    /// # Errors
    /// [`PerformError::Failed`] where the cluster refuses; [`PerformError::Uncertain`] where it did not answer.
    pub fn create_service(&self, workload: &Key, style: &ServiceStyle) -> Result<(), PerformError> {
        let body = serde_json::to_vec(&service(&workload.name, style));
        let body = body.map_err(|error| PerformError::Failed(error.to_string()))?;
        let path = Service::url_path(&(), Some(&workload.namespace));
        self.create(Request::new(path).create(&PostParams::default(), body))
    }

    /// Sends a request that makes an object; one that is there already is as good as made.
    pub(crate) fn create(&self, request: crate::server::Built) -> Result<(), PerformError> {
        match self.server.write::<IgnoredAny>(request) {
            Ok(_) => Ok(()),
            Err(Trouble { failure: Failure::Status { code: 409, reason, .. }, .. })
                if reason == "AlreadyExists" =>
            {
                Ok(())
            }
            Err(trouble) => Err(trouble.perform()),
        }
    }
}

fn style(service: Service) -> ServiceStyle {
    let kind = service.spec.and_then(|spec| spec.type_);
    let annotations = service.metadata.annotations.unwrap_or_default();
    ServiceStyle {
        kind: kind.map_or(Text::new_static(USUAL_TYPE), Text::from),
        backend_config: annotations.get(BACKEND_CONFIG).map(|value| value.as_str().into()),
    }
}

/// The Service of a workspace as `create_workload` in Mage's `workload_manager.py` makes it.
pub fn service(workspace: &str, style: &ServiceStyle) -> Json {
    let ServiceStyle { kind, backend_config } = style;
    let mut metadata = json!({
        "name": service_name(workspace),
        "labels": { "app": workspace, OF_MAGE: "1" },
    });
    if let Some(config) = backend_config {
        metadata["annotations"] = json!({ BACKEND_CONFIG: config });
    }
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": kind,
            "selector": { "app": workspace },
            "ports": [{ "protocol": "TCP", "port": PORT }],
        },
    })
}
