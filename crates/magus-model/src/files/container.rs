//! `container_config`: the fields of a Kubernetes container (`v1.Container`), and those of its pod that Mage takes there.
//!
//! Layers may give parts of a map, so no key of a map that is merged has to be there; keys of list items do.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::{
    lifecycle::{ContainerLifecycle, Probe},
    scalar::Amount,
    scheduling::{Affinity, Toleration},
    security::SecurityContext,
    variable::{ValueFrom, present},
};
use crate::{Text, value::Value};

/// The container: Kubernetes' own fields, and those of the pod that Mage takes here.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ContainerConfig {
    /// The image, with a tag or digest, such as `mageai/mageai:0.9.80`.
    pub image: Option<Text>,
    /// The tag of the image alone, where the cluster gives the image. Mage Pro only.
    #[serde(rename = "image_tag")]
    pub image_tag: Option<Text>,
    /// When the image is pulled. Without it, `Always` for the tag `latest`, else `IfNotPresent`.
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// The program that runs instead of the image's entrypoint, with its first arguments.
    pub command: Option<Vec<Text>>,
    /// The arguments that replace the image's own.
    pub args: Option<Vec<Text>>,
    /// The folder in which the program runs.
    pub working_dir: Option<Text>,
    /// Environment variables in Kubernetes' form, accepted for pasting. The `env` of the workspace is the better place.
    pub env: Option<Vec<EnvEntry>>,
    /// ConfigMaps and Secrets of which every key becomes an environment variable.
    pub env_from: Option<Vec<EnvFromEntry>>,
    /// CPU, memory and other resources.
    pub resources: Option<Resources>,
    /// Whether a change of a resource restarts the container.
    pub resize_policy: Option<Vec<ContainerResize>>,
    /// Restarts the container where it fails.
    pub liveness_probe: Option<Probe>,
    /// Keeps traffic away where it fails.
    pub readiness_probe: Option<Probe>,
    /// Holds back the other probes until it succeeds.
    pub startup_probe: Option<Probe>,
    /// What Kubernetes does after the start and before the end of the container.
    pub lifecycle: Option<ContainerLifecycle>,
    /// The rights of the container.
    pub security_context: Option<SecurityContext>,
    /// The file from which Kubernetes reads why the container ended. Without it, `/dev/termination-log`.
    pub termination_message_path: Option<Text>,
    /// Where the message about the end comes from.
    pub termination_message_policy: Option<TerminationMessagePolicy>,
    /// Whether the container has a standard input.
    pub stdin: Option<bool>,
    /// Whether the standard input closes after the first client.
    pub stdin_once: Option<bool>,
    /// Whether the container has a terminal.
    pub tty: Option<bool>,
    /// Raw block devices of the pod's volumes.
    pub volume_devices: Option<Vec<VolumeDevice>>,
    /// Whether the container starts again after it has ended.
    pub restart_policy: Option<RestartPolicy>,
    /// Labels that a node must have. Mage passes it on to the pod.
    pub node_selector: Option<BTreeMap<Text, Option<Text>>>,
    /// Rules about the nodes, and the other pods there. Mage passes it on to the pod.
    pub affinity: Option<Affinity>,
    /// Taints of nodes that the pod puts up with. Mage passes it on to the pod.
    pub tolerations: Option<Vec<Toleration>>,
    /// Secrets with the credentials of the image's registry. Mage passes it on to the pod.
    pub image_pull_secrets: Option<Vec<ImagePullSecret>>,
    /// Folders of the machine in the workspace, by their path on the machine. Mage Pro on Docker only.
    pub volumes: Option<BTreeMap<Text, Option<DockerVolume>>>,
    /// The address of the workspace. Mage Pro on Docker only.
    #[serde(rename = "public_url")]
    pub public_url: Option<Text>,
    /// Belongs to Mage: setting it breaks the workspace (MG201).
    pub name: Option<OfMage>,
    /// Belongs to Mage: setting it breaks the workspace (MG201).
    pub ports: Option<OfMage>,
    /// Belongs to Mage: setting it loses /home/src (MG201).
    pub volume_mounts: Option<OfMage>,
}

/// A folder of the machine in a workspace on Docker.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerVolume {
    /// The path in the workspace, such as `/home/src`.
    pub bind: Option<Text>,
    /// Whether the workspace may write there. Without it, it may.
    pub mode: Option<DockerVolumeMode>,
}

/// What a workspace on Docker may do with a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DockerVolumeMode {
    /// Read and write.
    Rw,
    /// Read.
    Ro,
}

/// The value of a key that belongs to Mage: anything, so that a rule can explain it instead of a type.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct OfMage(pub Value);

impl JsonSchema for OfMage {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "OfMage".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "deprecationMessage": "belongs to Mage: setting it breaks the workspace (MG201)" })
    }
}

/// When the image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// At every start.
    Always,
    /// Where the node does not have it yet.
    IfNotPresent,
    /// Never; the node has to have it.
    Never,
}

/// Where the message about the end of the container comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TerminationMessagePolicy {
    /// From the file alone.
    File,
    /// From the file, and from the end of the log where the file is empty after a failure.
    FallbackToLogsOnError,
}

/// Whether the container starts again after it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum RestartPolicy {
    /// Whenever it has ended.
    Always,
    /// Where it has failed.
    OnFailure,
    /// Never.
    Never,
}

/// An environment variable in Kubernetes' form: a name, and `value` or `valueFrom`.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, rename_all = "camelCase", extend("dependencies" = { "valueFrom": { "maxProperties": 2 } }))]
pub struct EnvEntry {
    /// The variable's name.
    pub name: Text,
    /// The variable's value. Numbers and booleans have to be quoted.
    #[schemars(default, with = "Text")]
    pub value: Option<Text>,
    /// Where Kubernetes gets the value: exactly one reference, passed on and never read.
    #[schemars(default, with = "ValueFrom")]
    pub value_from: Option<ValueFrom>,
}

impl<'de> Deserialize<'de> for EnvEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        struct Keys {
            name: Text,
            #[serde(default, deserialize_with = "present")]
            value: Option<Text>,
            #[serde(default, deserialize_with = "present")]
            value_from: Option<ValueFrom>,
        }

        let Keys { name, value, value_from } = Keys::deserialize(deserializer)?;
        if value.is_some() && value_from.is_some() {
            return Err(de::Error::custom("only one of `value` and `valueFrom` can be given"));
        }
        Ok(Self { name, value, value_from })
    }
}

/// A ConfigMap or Secret of which every key becomes an environment variable.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EnvFromEntry {
    /// What is put before every name.
    pub prefix: Option<Text>,
    /// The ConfigMap.
    pub config_map_ref: Option<NamedSource>,
    /// The Secret.
    pub secret_ref: Option<NamedSource>,
}

/// A ConfigMap or Secret as a whole.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedSource {
    /// Its name.
    pub name: Text,
    /// Whether the workspace also starts without it.
    pub optional: Option<bool>,
}

/// CPU, memory and other resources.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// What is set aside for the container, such as `{cpu: 500m, memory: 2Gi}`. Without it, the limits.
    pub requests: Option<BTreeMap<Text, Option<Amount>>>,
    /// What the container cannot go beyond, such as `{cpu: "2", memory: 4Gi}`.
    pub limits: Option<BTreeMap<Text, Option<Amount>>>,
    /// Resource claims of the pod that the container uses.
    pub claims: Option<Vec<ResourceClaim>>,
}

/// A resource claim of the pod.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceClaim {
    /// Its name.
    pub name: Text,
    /// The one request of it that is meant.
    pub request: Option<Text>,
}

/// Whether a change of a resource restarts the container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ContainerResize {
    /// The resource: `cpu` or `memory`.
    pub resource_name: Text,
    /// Whether its change restarts the container.
    pub restart_policy: ResizePolicy,
}

/// Whether a change of a resource restarts the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ResizePolicy {
    /// It does not.
    NotRequired,
    /// It does.
    RestartContainer,
}

/// A raw block device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct VolumeDevice {
    /// The persistent volume claim in the pod.
    pub name: Text,
    /// The path of the device in the container.
    pub device_path: Text,
}

/// A Secret with credentials of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImagePullSecret {
    /// Its name.
    pub name: Text,
}
