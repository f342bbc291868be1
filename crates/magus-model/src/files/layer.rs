//! A layer of configuration, and a workspace's own file, which is the highest layer and a few keys more.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::{
    container::ContainerConfig,
    environment::DeployMode,
    scalar::{Timestamp, Whole},
    variable::{SecretSetting, Variable},
};
use crate::{Text, desired::DesiredState};

/// The keys of every layer stand here once; serde's `flatten` would lose the spans and the list of known keys.
macro_rules! layers {
    (
        layer { $($(#[$layer_doc:meta])* $layer_key:ident: $layer_type:ty,)+ }
        workspace { $($(#[$key_doc:meta])* $key:ident: $type:ty,)+ }
    ) => {
        /// Values for workspaces. Maps of several layers are merged, lists and everything else replace what lower
        /// layers gave, and `null` removes it.
        #[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct LayerConfig {
            $($(#[$layer_doc])* pub $layer_key: Option<$layer_type>,)+
        }

        /// A workspace as every branch that matches gets one.
        #[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct BranchWorkspace {
            /// Templates to take, each one a layer above those before it.
            #[serde(rename = "use")]
            pub templates: Option<Vec<Text>>,
            $($(#[$layer_doc])* pub $layer_key: Option<$layer_type>,)+
        }

        /// A workspace. The folder names its environment, the file's stem the workspace.
        #[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct WorkspaceFile {
            $($(#[$key_doc])* pub $key: Option<$type>,)+
            $($(#[$layer_doc])* pub $layer_key: Option<$layer_type>,)+
        }
    };
}

layers! {
    layer {
        /// A label for people: who is asked about the workspace. It reaches no cluster.
        owner: Text,
        /// Whether the workspace runs. Without it, `auto` where auto-termination is on, else `running`.
        state: DesiredState,
        /// Environment variables by name. `null` removes an inherited one.
        env: BTreeMap<Text, Option<Variable>>,
        /// Mage's own secrets in the workspace, by name: read in pipelines with `mage_secret_var`.
        secrets: BTreeMap<Text, Option<SecretSetting>>,
        /// Variables and secrets that are there without being declared, because they come from elsewhere: names, or patterns with `*`.
        #[schemars(extend("examples" = [["SENTRY_DSN", "AWS_*"]]))]
        provided: Vec<Text>,
        /// The container: Kubernetes' own fields, written as YAML and not as a string.
        container_config: ContainerConfig,
        /// What happens when the workspace starts, and when it stops by itself.
        lifecycle_config: LifecycleConfig,
        /// The Kubernetes service account of the workspace. Set when the workspace is created.
        service_account_name: Text,
        /// The Kubernetes storage class of the volume. Set when the workspace is created.
        storage_class_name: Text,
        /// How the volume may be mounted. Set when the workspace is created.
        storage_access_mode: StorageAccessMode,
        /// The size of the volume: a number of Gi, or an amount such as `10Gi`. Set when the workspace is created.
        storage_request_size: StorageSize,
        /// What happens to the volume when the workspace is deleted. Set when the workspace is created.
        pvc_retention_policy: PvcRetentionPolicy,
        /// The Kubernetes Ingress that gets a path to the workspace. Set when the workspace is created.
        ingress_name: Text,
        /// The Kubernetes namespace of the workspace. Set when the workspace is created.
        namespace: Text,
        /// A time later than the last start restarts the workspace, such as `2026-08-01T10:00:00Z`.
        restarted_at: Timestamp,
    }
    workspace {
        /// What the workspace is called in the cluster, where the cluster's `workspace_name` does not fit.
        name: Text,
        /// Templates to take, each one a layer above those before it.
        #[serde(rename = "use")]
        templates: Vec<Text>,
        /// The branch to deploy instead of the environment's, where `allow_branch_override` permits.
        branch: Text,
        /// What is deployed instead of the environment's, where `allow_branch_override` permits.
        deploy: DeployMode,
        /// With `deploy: pinned`, the commit or tag that is deployed, where `allow_branch_override` permits.
        commit: Text,
        /// The name that the workspace had before: a rename, and not a deletion and a creation.
        moved_from: Text,
    }
}

/// How a volume may be mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum StorageAccessMode {
    /// Read and written by one node.
    ReadWriteOnce,
    /// Read by many nodes.
    ReadOnlyMany,
    /// Read and written by many nodes.
    ReadWriteMany,
    /// Read and written by one pod.
    ReadWriteOncePod,
}

/// What happens to the volume when the workspace is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum PvcRetentionPolicy {
    /// It stays, and a new workspace of the same name gets its data back.
    Retain,
    /// It is deleted with everything on it.
    Delete,
}

/// The size of a volume: a whole number of Gi, or an amount as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageSize {
    /// So many Gi.
    Gi(u32),
    /// An amount such as `10Gi`. Whether it is one is a rule of its own (MG204).
    Text(Text),
}

impl<'de> Deserialize<'de> for StorageSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = StorageSize;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number of Gi, or an amount such as `10Gi`")
            }
            fn visit_str<E>(self, text: &str) -> Result<StorageSize, E> {
                Ok(StorageSize::Text(text.into()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<StorageSize, E> {
                match u32::try_from(number) {
                    Ok(number @ 1..) => Ok(StorageSize::Gi(number)),
                    _ => Err(E::custom(format_args!("`{number}` is not between 1 and {}", u32::MAX))),
                }
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for StorageSize {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "StorageSize".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "minimum": 1, "maximum": u32::MAX, "examples": ["10Gi"] })
    }
}

/// What happens when the workspace starts, and when it stops by itself.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LifecycleConfig {
    /// When the workspace stops by itself.
    pub termination_policy: Option<TerminationPolicy>,
    /// A Python script on the Mage server that may change the container's configuration before the start.
    pub pre_start_script_path: Option<Text>,
    /// What runs in the container after the start.
    pub post_start: Option<PostStart>,
}

/// When the workspace stops by itself.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TerminationPolicy {
    /// Whether it stops when nobody uses it.
    pub enable_auto_termination: Option<bool>,
    /// After how many seconds without use.
    pub max_idle_seconds: Option<Whole<0, { i32::MAX as i64 }>>,
}

/// What runs in the container after the start.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostStart {
    /// A program and its arguments.
    pub command: Option<Vec<Text>>,
    /// A script on the Mage server, which is copied into the container.
    pub hook_path: Option<Text>,
}
