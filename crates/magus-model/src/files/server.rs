//! `server` of a `cluster.yaml`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{container::ContainerConfig, layer::LifecycleConfig, variable::Variable};
use crate::Text;

/// What is known of the main Mage server: what workspaces get from it that nobody declares for them. Magus changes
/// nothing of it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerFacts {
    /// The variables of the server's own environment that reach workspaces, and those that decide it, such as
    /// `INHERIT_ENV_VARS`. Where it is given, it is taken for all that workspaces can get from there.
    pub env: Option<BTreeMap<Text, Option<Variable>>>,
    /// What Mage Pro gives to every workspace: the content of the file that WORKSPACE_DEFAULT_CONFIG_PATH names.
    pub workspace_defaults: Option<WorkspaceDefaults>,
}

/// What Mage Pro gives to every workspace, in the words of its own file.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceDefaults {
    /// Whether the server applies them. Without it, it does.
    pub enabled: Option<bool>,
    /// Whether they win over what workspaces declare. Without it, they only fill in what nobody declares.
    pub enforce: Option<bool>,
    /// The container: Kubernetes' own fields, written as YAML and not as a string.
    pub container_config: Option<ContainerConfig>,
    /// What happens when a workspace starts, and when it stops by itself.
    pub lifecycle_config: Option<LifecycleConfig>,
    /// The Kubernetes service account of workspaces.
    pub service_account_name: Option<Text>,
}
