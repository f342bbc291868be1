//! `cluster.yaml`.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{
    layer::LayerConfig,
    scalar::DeleteLimit,
    server::ServerFacts,
    variable::{Variable, one_of},
};
use crate::{
    Text,
    desired::Edition,
    diagnostic::Severity,
    rules::{RULES, Rule},
};

/// A cluster, and defaults for everything in it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterFile {
    /// The versions of Magus that may use this directory, such as `>=0.1`.
    #[schemars(extend("examples" = [">=0.1"]))]
    pub requires: Option<Text>,
    /// The cluster's name: small letters, digits and `-`.
    pub name: Option<Text>,
    /// Who owns what is declared here: the mark on the workspaces in the cluster. Without it, the cluster's name.
    pub managed_by: Option<Text>,
    /// How the cluster is reached: exactly one of `local`, `mage` and `kubernetes`.
    pub engine: Option<EngineConfig>,
    /// What is known of the main Mage server: what workspaces get from it that nobody declares for them.
    pub server: Option<ServerFacts>,
    /// Which declarations count, where they are in git.
    pub declarations: Option<Declarations>,
    /// Where else the history of what is done to the cluster is kept, and the lock that keeps two from changing it at once.
    pub history: Option<HistoryConfig>,
    /// The repository of the pipelines' code.
    pub repository: Option<Repository>,
    /// A workspace's name in the cluster, where it has to be unique. Without it, `${workspace}-${environment}`.
    #[schemars(extend("examples" = ["${workspace}-${environment}"]))]
    pub workspace_name: Option<Text>,
    /// Variables and secrets that every workspace has without a declaration: names, or patterns with `*`.
    #[schemars(extend("examples" = [["SENTRY_DSN", "AWS_*"]]))]
    pub provided: Option<Vec<Text>>,
    /// Named layers, which a workspace takes with `use`.
    pub templates: Option<BTreeMap<Text, Option<LayerConfig>>>,
    /// The lowest layer of every workspace in the cluster.
    pub defaults: Option<LayerConfig>,
    /// How much one apply may do.
    pub limits: Option<Limits>,
    /// The severities of rules by their codes, such as `MG702: error`.
    #[serde(default)]
    #[schemars(schema_with = "lint_schema")]
    pub lint: Option<BTreeMap<Text, Option<LintLevel>>>,
}

/// Names every rule, so that editors complete and explain them. Other codes are accepted, because a rule explains
/// them better.
fn lint_schema(generator: &mut SchemaGenerator) -> Schema {
    let level = Option::<LintLevel>::json_schema(generator);
    let rule = |rule: &&Rule| {
        let Rule { code, name, severity, summary } = rule;
        let description = format!("{name}: {summary}. Without it, `{}`.", severity.as_str());
        let levels = ["off", "hint", "warning", "error"];
        let levels = levels.iter().map(|level| Some(*level)).chain([None]).collect::<Vec<_>>();
        let schema = json_schema!({ "description": description, "type": ["string", "null"], "enum": levels });
        ((*code).to_owned(), schema)
    };
    let rules: BTreeMap<String, Schema> = RULES.iter().map(rule).collect();
    json_schema!({ "type": ["object", "null"], "properties": rules, "additionalProperties": level })
}

/// Which declarations count.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Declarations {
    /// The branch of their repository that is applied: `apply`, `restart` and `destroy` refuse from another.
    #[schemars(extend("examples" = ["main"]))]
    pub branch: Text,
}

/// Where else history and lock are kept.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryConfig {
    /// The remote of the declarations' own repository, by its name there: history on `refs/magus/CLUSTER`, the lock on
    /// `refs/magus-locks/CLUSTER`.
    #[schemars(extend("examples" = ["origin"]))]
    pub remote: Text,
}

one_of! {
    /// How the cluster is reached: exactly one of `local`, `mage` and `kubernetes`.
    pub struct EngineConfig "snake_case" {
        /// The embedded engine: everything on this machine.
        local: LocalEngine,
        /// A Mage server, through its own API.
        mage: MageEngine,
        /// A Kubernetes cluster, without a Mage server in between.
        kubernetes: KubernetesEngine,
    }
}

/// The embedded engine: everything on this machine.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalEngine {
    /// The folder of the store, relative to this file. Made by the first apply.
    pub path: Text,
}

/// A Mage server, through its own API.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MageEngine {
    /// The server's address. Credentials never stand here: they are read from MAGE_API_KEY and MAGE_TOKEN, or
    /// MAGE_EMAIL and MAGE_PASSWORD, and used only where MAGE_URL is this address.
    pub url: Text,
    /// The Kubernetes namespace of the workspaces. Without it, those of every namespace are looked at.
    pub namespace: Option<Text>,
    /// What the server is; without it, open source. Nothing that it says of itself tells.
    pub edition: Option<Edition>,
    /// The Kubernetes cluster that the workspaces run on. Mage tells what it has stored; with this, Magus compares what
    /// runs, and sees rollouts.
    pub kubernetes: Option<KubernetesAccess>,
}

/// The Kubernetes cluster that the workspaces of a Mage server run on, to see what runs.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesAccess {
    /// The context in the kubeconfig of whoever runs Magus.
    pub context: Text,
    /// The namespace of the workspaces. Without it, that of the server above.
    pub namespace: Option<Text>,
}

/// A Kubernetes cluster, without a Mage server in between.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesEngine {
    /// The context in the kubeconfig of whoever runs Magus.
    pub context: Text,
    /// The namespace of the workspaces.
    pub namespace: Option<Text>,
}

/// The repository of the pipelines' code.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// Any URL, path or bundle that git can fetch. A path is relative to this file.
    pub url: Text,
    /// The folder of the Mage project in it. Without it, the repository's root.
    pub directory: Option<Text>,
    /// How workspaces on a Mage server get the code: by Mage's git sync, from a branch `deploy/ENVIRONMENT+NAME` that Magus moves.
    /// Without it, no code is deployed to such a server.
    pub sync: Option<Sync>,
}

/// How workspaces on a Mage server reach the repository themselves.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sync {
    /// The repository's URL as workspaces reach it: `https://`, or as ssh takes it.
    pub url: Text,
    /// What they log in with.
    pub auth: Option<SyncAuth>,
}

/// What workspaces log in with to the repository. Each becomes a variable of theirs, and takes what a variable takes.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncAuth {
    /// The user, where the token is sent over `https`: `GIT_USERNAME`. Without it, `magus`.
    pub username: Option<Variable>,
    /// The token that is sent over `https`: `GIT_ACCESS_TOKEN`.
    pub access_token: Option<Variable>,
    /// The private key for ssh, in base64 as Mage takes it: `GIT_SSH_PRIVATE_KEY`.
    pub ssh_private_key: Option<Variable>,
    /// Its public key, in base64: `GIT_SSH_PUBLIC_KEY`.
    pub ssh_public_key: Option<Variable>,
}

/// How much one apply may do.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How many workspaces one apply may delete: a number, or a share such as `30%` of the managed ones, in the
    /// cluster and in each environment. Counts once there are ten. Without it, `30%`.
    pub max_deletes: Option<DeleteLimit>,
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
    /// Wrong: nothing is sent to a cluster while it is there.
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
