//! The files of a directory of declarations as people write them: the source of the JSON Schemas and of the typed form.
//!
//! The doc comments are the hover texts of the editors. Every key is optional in the type; what has to be there is
//! said by the schema. A layer may set anything to `null`, which removes what lower layers gave.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Text, diagnostic::Severity, value::Value};

/// `cluster.yaml`: the cluster, and defaults for everything in it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterFile {
    /// The versions of Magus that may use this directory, such as `>=0.1`.
    pub requires: Option<Text>,
    /// The cluster's name.
    pub name: Option<Text>,
    /// Who owns what is declared here: the mark on the workspaces in the cluster. Default: the name.
    pub managed_by: Option<Text>,
    /// How the cluster is reached: exactly one of the engines.
    pub engine: Option<EngineConfig>,
    /// The pipelines' code.
    pub repository: Option<Repository>,
    /// A workspace's name in the cluster; unique there. Default: `${workspace}-${environment}`.
    pub workspace_name: Option<Text>,
    /// Named layers that a workspace takes with `use`.
    pub templates: Option<BTreeMap<Text, LayerConfig>>,
    /// The lowest layer of every workspace.
    pub defaults: Option<LayerConfig>,
    /// How much one apply may do.
    pub limits: Option<Limits>,
    /// Severities of rules, by code: `MG702: error`.
    pub lint: Option<BTreeMap<Text, LintLevel>>,
}

/// How a cluster is reached: exactly one key.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineConfig {
    /// The embedded engine: everything on this machine.
    pub local: Option<LocalEngine>,
    /// A Mage server, through its own API.
    pub mage: Option<MageEngine>,
    /// A Kubernetes cluster, without a Mage server in between.
    pub kubernetes: Option<KubernetesEngine>,
}

/// The embedded engine.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalEngine {
    /// The folder of the store, relative to this file.
    pub path: Text,
}

/// A Mage server.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MageEngine {
    /// The server's address. Credentials never stand here.
    pub url: Text,
    /// The Kubernetes namespace of the workspaces.
    pub namespace: Option<Text>,
}

/// A Kubernetes cluster.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesEngine {
    /// The context in the user's kubeconfig.
    pub context: Text,
    /// The namespace of the workspaces.
    pub namespace: Option<Text>,
}

/// The pipelines' code.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// Any URL, path or bundle that git can fetch.
    pub url: Text,
    /// The folder of the Mage project in it. Default: `.`.
    pub directory: Option<Text>,
}

/// How much one apply may do.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// A number, or a share such as `30%` of the managed workspaces once there are ten, in the cluster and in each environment.
    pub max_deletes: Option<Value>,
}

/// The severity of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LintLevel {
    /// The rule is not checked.
    Off,
    /// Worth knowing.
    Hint,
    /// Probably not what was meant.
    Warning,
    /// Nothing is sent to a cluster while it is there.
    Error,
}

impl LintLevel {
    /// The severity; nothing for `off`.
    pub fn severity(self) -> Option<Severity> {
        match self {
            LintLevel::Off => None,
            LintLevel::Hint => Some(Severity::Hint),
            LintLevel::Warning => Some(Severity::Warning),
            LintLevel::Error => Some(Severity::Error),
        }
    }
}

/// `environment.yaml`: the branch, order, protection and defaults of an environment.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentFile {
    /// The branch that this environment deploys.
    pub branch: Option<Text>,
    /// The stage before this one.
    pub promotes_from: Option<Text>,
    /// What is deployed.
    pub deploy: Option<DeployMode>,
    /// With `deploy: pinned`, the commit or tag; it must be on `branch`.
    pub commit: Option<Text>,
    /// Nothing here is deleted or replaced without a flag on the command line.
    pub protected: Option<bool>,
    /// How steps that restart are rolled out.
    pub rollout: Option<RolloutConfig>,
    /// Whether a workspace may set `branch`, `commit` and `deploy` of its own. Default: only in a first stage.
    pub allow_branch_override: Option<bool>,
    /// What has to hold before something is deployed here.
    pub gates: Option<Gates>,
    /// The layer above the cluster's defaults.
    pub defaults: Option<LayerConfig>,
    /// Named layers that a workspace of this environment takes with `use`.
    pub templates: Option<BTreeMap<Text, LayerConfig>>,
}

/// What is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeployMode {
    /// The head of the branch.
    Head,
    /// The commit that `commit` names.
    Pinned,
    /// The head of the branch when the workspace is created, then hands off.
    Once,
    /// Nothing.
    None,
}

/// How steps that restart are rolled out.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutConfig {
    /// How many workspaces restart at once.
    pub batch: Option<u32>,
    /// How long to wait for running pipelines, such as `30m`.
    pub wait_for_runs: Option<Text>,
    /// Whether the first failure keeps the rest of this environment from beginning.
    pub stop_on_failure: Option<bool>,
}
