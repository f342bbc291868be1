//! A StatefulSet as the apiserver writes it: what of it is read, and nothing else.
//!
//! Not the type of the client library, because that knows the fields of one version of Kubernetes: a field of the container
//! that a newer cluster has would be lost, and would look as if nobody had set it.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSetStatus;
use magus_model::{Text, value::Value};
use serde::Deserialize;

/// A page of a list.
#[derive(Deserialize)]
pub(crate) struct List {
    pub(crate) metadata: ListMetadata,
    pub(crate) items: Vec<Set>,
}

#[derive(Deserialize)]
pub(crate) struct ListMetadata {
    /// Where the next page begins.
    pub(crate) r#continue: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Set {
    pub(crate) metadata: Metadata,
    pub(crate) spec: Spec,
    #[serde(default)]
    pub(crate) status: StatefulSetStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) name: Text,
    pub(crate) namespace: Text,
    pub(crate) uid: Text,
    pub(crate) resource_version: Text,
    #[serde(default)]
    pub(crate) generation: i64,
    pub(crate) creation_timestamp: Option<String>,
    pub(crate) deletion_timestamp: Option<String>,
    #[serde(default)]
    pub(crate) labels: BTreeMap<Text, Text>,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<Text, Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spec {
    pub(crate) replicas: Option<i32>,
    #[serde(default)]
    pub(crate) min_ready_seconds: i32,
    pub(crate) update_strategy: Option<UpdateStrategy>,
    pub(crate) template: Template,
    #[serde(default)]
    pub(crate) volume_claim_templates: Vec<Claim>,
    pub(crate) persistent_volume_claim_retention_policy: Option<RetentionPolicy>,
}

#[derive(Deserialize)]
pub(crate) struct UpdateStrategy {
    pub(crate) r#type: Option<Text>,
}

#[derive(Deserialize)]
pub(crate) struct Template {
    #[serde(default)]
    pub(crate) metadata: TemplateMetadata,
    pub(crate) spec: PodSpec,
}

#[derive(Default, Deserialize)]
pub(crate) struct TemplateMetadata {
    #[serde(default)]
    pub(crate) annotations: BTreeMap<Text, Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodSpec {
    /// Each as it is, so that no field is lost.
    pub(crate) containers: Vec<BTreeMap<Text, Value>>,
    pub(crate) service_account_name: Option<Text>,
    pub(crate) node_selector: Option<Value>,
    pub(crate) affinity: Option<Value>,
    pub(crate) tolerations: Option<Value>,
}

#[derive(Deserialize)]
pub(crate) struct Claim {
    pub(crate) metadata: ClaimMetadata,
    pub(crate) spec: ClaimSpec,
}

#[derive(Deserialize)]
pub(crate) struct ClaimMetadata {
    pub(crate) name: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClaimSpec {
    pub(crate) storage_class_name: Option<Text>,
    #[serde(default)]
    pub(crate) access_modes: Vec<Text>,
    #[serde(default)]
    pub(crate) resources: ClaimResources,
}

#[derive(Default, Deserialize)]
pub(crate) struct ClaimResources {
    #[serde(default)]
    pub(crate) requests: BTreeMap<Text, Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RetentionPolicy {
    pub(crate) when_deleted: Option<Text>,
    pub(crate) when_scaled: Option<Text>,
}
