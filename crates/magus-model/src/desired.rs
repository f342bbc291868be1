//! What should be: every cluster, environment and workspace with all layers applied, and the origin of each value.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};

use crate::{
    Text, diagnostic::Severity, name::WorkspaceName, path::FieldPath, plan::DeployBranch,
    source::ProjectSource, span::Span, value::FieldValue,
};

/// The variable with which a Mage workspace resets its code to its deploy branch whenever it starts (MAGE.md 5).
pub const SYNC_ON_START: &str = "GIT_SYNC_ON_START";

/// The variable that names the branch which it fetches.
pub const GIT_BRANCH: &str = "GIT_BRANCH";

/// Everything that is declared, over all clusters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Desired {
    /// The clusters, ordered by name.
    pub clusters: Vec<Cluster>,
}

/// A cluster and what is declared for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// Its name.
    pub name: Text,
    /// Who owns what is declared here; the mark in the cluster.
    pub managed_by: Text,
    /// How it is reached.
    pub engine: Engine,
    /// The branch of the declarations' repository from which alone it is changed, where one is declared.
    pub declared_on: Option<Text>,
    /// The remote of the declarations' repository that has its history and its lock, where one is declared.
    pub history: Option<Text>,
    /// How much may be deleted at once.
    pub max_deletes: MaxDeletes,
    /// Its environments, in order of promotion and then of name.
    pub environments: Vec<Environment>,
    /// Where the cluster is declared.
    pub span: Span,
}

/// How a cluster is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// Everything on this machine, in this folder: absolute, or relative to the working directory.
    Local {
        /// The folder that holds `magus.db`.
        path: Text,
    },
    /// A Mage server, through its own API.
    Mage(MageServer),
}

/// A Mage server, as it is declared. Nothing here is a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MageServer {
    /// Its address, as it was written.
    pub url: Text,
    /// The Kubernetes namespace of its workspaces; without one, those of every namespace are looked at.
    pub namespace: Option<Text>,
    /// What the server is said to be.
    pub edition: Edition,
    /// How what runs is seen; nothing where only the server itself is asked.
    pub kubernetes: Option<KubernetesAccess>,
}

/// The Kubernetes cluster below a Mage server, as it is declared. Nothing here is a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesAccess {
    /// The context in the kubeconfig of whoever runs Magus.
    pub context: Text,
    /// The namespace of the workspaces; without one, that of the server, and with neither every namespace.
    pub namespace: Option<Text>,
}

/// An edition of Mage. Nothing that a server says tells them apart (MAGE.md 6), so that a declaration has to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Edition {
    /// Open source.
    #[default]
    Oss,
    /// Mage Pro: what its documentation says of it counts, and is not seen to be so.
    Pro,
}

impl Edition {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Edition::Oss => "open source",
            Edition::Pro => "Pro",
        }
    }
}

impl Engine {
    /// The engine's name, as plans show it.
    pub fn kind(&self) -> &'static str {
        match self {
            Engine::Local { .. } => "local",
            Engine::Mage(_) => "mage",
        }
    }
}

/// The share or number of managed workspaces that one apply may delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MaxDeletes {
    /// At most so many.
    Count(u32),
    /// At most so many of a hundred, once there are ten.
    Percent(u32),
}

impl Default for MaxDeletes {
    fn default() -> Self {
        MaxDeletes::Percent(30)
    }
}

impl MaxDeletes {
    /// Reads `12` or `30%`; nothing for anything else, or more than 100 %.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|p| *p <= 100).map(MaxDeletes::Percent),
            None => text.parse().ok().map(MaxDeletes::Count),
        }
    }
}

impl std::fmt::Display for MaxDeletes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MaxDeletes::Count(count) => write!(f, "{count}"),
            MaxDeletes::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// An environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// Its name: that of its folder.
    pub name: Text,
    /// Its place in the order of promotion over all clusters: 0 for a first stage.
    pub stage: u32,
    /// The stage before.
    pub promotes_from: Option<Text>,
    /// Whether nothing here is deleted or replaced without a flag.
    pub protected: bool,
    /// How steps that change running workspaces are rolled out.
    pub rollout: Rollout,
    /// What has to hold before something is deployed or changed.
    pub gates: Gates,
    /// What a verification runs in its workspaces.
    pub verify: Verify,
    /// Why nothing is promoted to it for now.
    pub hold: Option<Text>,
    /// Which of its workspaces come and go with branches; nothing where none do.
    pub branch_workspaces: Option<BranchWorkspaces>,
    /// Its workspaces, ordered by their names in the cluster.
    pub workspaces: Vec<Workspace>,
    /// Where the environment is declared.
    pub span: Span,
}

/// How steps that change running workspaces are rolled out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rollout {
    /// How many running workspaces are changed at once, at least 1; without it as many as there are jobs.
    pub batch: Option<u32>,
    /// How long a step waits for running pipelines, in seconds.
    pub wait_for_runs: u64,
    /// Whether the first failure keeps the steps of this environment that have not begun from beginning.
    pub stop_on_failure: bool,
}

/// The workspaces of an environment that come and go with branches. Those whose branches are there are among its workspaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchWorkspaces {
    /// Why nobody can say which branches there are: then none of them is gone either.
    pub unknown: Option<Text>,
    /// How many there may be at most.
    pub limit: Option<u32>,
    /// How many seconds after its branch is gone one is deleted.
    pub remove_after: Option<u64>,
    /// Whether one is deleted as soon as its branch is gone, where `remove_after` says no time.
    pub delete: bool,
}

/// What the names in the declarations of workspaces that come with a branch begin with. No file is called like that.
const OF_BRANCH: &str = "branch:";

/// The name in the declarations of the workspace that comes with a branch.
pub fn declared_by_branch(branch: &str) -> Text {
    format!("{OF_BRANCH}{branch}").into()
}

/// The branch that a workspace comes and goes with, by its name in the declarations; nothing for one with a file.
pub fn branch_of(declared: &str) -> Option<&str> {
    declared.strip_prefix(OF_BRANCH)
}

/// What has to hold before something is deployed or changed. The first three look at the stage before, and hold deploys; the
/// others hold every step that changes, stops or deletes a running workspace.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Gates {
    /// Its commit was verified there, and how many seconds ago at most.
    pub verified: Option<Verified>,
    /// For how many seconds its commit has run there.
    pub soak: Option<u64>,
    /// Whether its commit, or one that follows it, has to run there.
    pub runs_before: bool,
    /// When running workspaces may be changed; always if there are none.
    pub windows: Vec<Window>,
    /// When no running workspace may be changed.
    pub freezes: Vec<Freeze>,
}

impl Gates {
    /// Whether a gate looks at the stage before.
    pub fn look_back(&self) -> bool {
        let Self { verified, soak, runs_before, windows: _, freezes: _ } = self;
        verified.is_some() || soak.is_some() || *runs_before
    }
}

/// What a verification runs in the workspaces of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verify {
    /// The pipelines, in the order in which they run.
    pub pipelines: Vec<Text>,
    /// How many seconds all of it may take.
    pub timeout: u64,
}

impl Default for Verify {
    fn default() -> Self {
        Self { pipelines: Vec::new(), timeout: 60 * 60 }
    }
}

/// How a commit has to be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// How many seconds ago at most.
    pub within: Option<u64>,
}

/// What a window holds outside of its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WindowHolds {
    /// Every step that changes, stops or deletes a running workspace, deploys included.
    #[default]
    Changes,
    /// Steps that restart a running workspace, and nothing else.
    Restarts,
}

/// A time of the week in which running workspaces may be changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// The days on which it begins; every day where there are none.
    pub days: Vec<Weekday>,
    /// When it begins.
    pub from: Time,
    /// When it ends: on the next day where it is not after `from`.
    pub to: Time,
    /// Where these times count.
    pub zone: TimeZone,
    /// What it holds.
    pub holds: WindowHolds,
}

/// Days on which no running workspace is changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Freeze {
    /// The first.
    pub from: Date,
    /// The last.
    pub to: Date,
    /// Where these days count.
    pub zone: TimeZone,
    /// Why.
    pub reason: Option<Text>,
}

/// A workspace with all layers applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Workspace {
    /// Its name in the cluster.
    pub name: WorkspaceName,
    /// Its name in the declarations: the file's stem.
    pub declared: Text,
    /// Whether it should run.
    pub state: DesiredState,
    /// Where `state` was written; built in where nobody wrote it.
    pub state_span: Span,
    /// Its configuration, ordered by path. Nothing that is `null`, and no empty map, is in it.
    pub fields: Vec<Field>,
    /// The old name, in the cluster or in the declarations of this environment.
    pub moved_from: Option<(Text, Span)>,
    /// A label for people.
    pub owner: Option<Text>,
    /// The code that it runs; nothing where nothing is deployed.
    pub code: Option<Code>,
    /// The variables and secrets that it has without their being declared: names, and patterns with `*`.
    pub provided: Vec<Text>,
    /// Where the workspace is declared: the start of its file.
    pub span: Span,
}

impl Workspace {
    /// The field with this path.
    pub fn field(&self, path: &str) -> Option<&Field> {
        self.fields.binary_search_by(|field| field.path.as_str().cmp(path)).ok().map(|at| &self.fields[at])
    }
}

/// The code that a workspace runs, as it is declared, and what that is at the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The pipelines' repository: a URL, or a path that is absolute or relative to the working directory.
    pub repository: Text,
    /// Where the code comes from, in comparable form.
    pub source: ProjectSource,
    /// The branch that is deployed.
    pub branch: Text,
    /// The commit or tag that is deployed instead of the head of the branch, as it is declared.
    pub pinned: Option<Text>,
    /// Whether it is deployed to a workspace without any, and left to people from then on.
    pub once: bool,
    /// The branch that the workspace follows, where it fetches its code itself.
    pub follows: Option<DeployBranch>,
    /// The full number of the commit; or, where nobody can say, why.
    pub commit: Result<Text, Text>,
    /// What chose the commit.
    pub choice: CommitChoice,
    /// Where the branch, or what is pinned, was declared.
    pub span: Span,
}

/// What chose the commit that is to run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CommitChoice {
    /// The declaration: the head of the branch, or the pinned commit.
    #[default]
    Declared,
    /// A plan file that was reviewed before the branch moved. Such a commit may not be older than what runs.
    Reviewed {
        /// The head of the branch now.
        head: Option<Text>,
    },
    /// A person, to see a plan of it.
    Assumed,
}

impl Code {
    /// Whether the same is declared, whatever it is at the time and wherever it was written.
    pub fn is_declared_as(&self, other: &Self) -> bool {
        let Self { repository, source, branch, pinned, once, follows, commit: _, choice: _, span: _ } = self;
        let name = |follows: &Option<DeployBranch>| follows.as_ref().map(|branch| branch.name.clone());
        (repository, source, branch, pinned, once)
            == (&other.repository, &other.source, &other.branch, &other.pinned, &other.once)
            && name(follows) == name(&other.follows)
    }
}

/// Whether a workspace should run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DesiredState {
    /// It runs.
    Running,
    /// It does not run.
    Stopped,
    /// Left as it is; the default where auto-termination is on.
    Auto,
}

impl DesiredState {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            DesiredState::Running => "running",
            DesiredState::Stopped => "stopped",
            DesiredState::Auto => "auto",
        }
    }
}

/// A leaf of the configuration: a scalar, a list, or a `{valueFrom: …}` or `{secret: …}` as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its path, such as `env.DATABASE_URL`.
    pub path: FieldPath,
    /// Its value.
    pub value: FieldValue,
    /// Where the value was written.
    pub span: Span,
    /// The layer that gave it.
    pub layer: Layer,
}

/// A layer of configuration, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    /// Built into Magus.
    BuiltIn,
    /// What the main server hands on to workspaces, whatever is declared.
    MainServer,
    /// What `repository.sync` of a cluster.yaml comes to.
    Sync,
    /// What Mage Pro fills in for every workspace.
    ServerDefaults,
    /// `defaults` of a cluster.yaml.
    ClusterDefaults,
    /// `defaults` of an environment.yaml.
    EnvironmentDefaults,
    /// A template taken with `use`.
    Template(Text),
    /// The workspace's own file.
    Workspace,
    /// What Mage Pro gives every workspace, whatever is declared.
    ServerEnforced,
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Layer::BuiltIn => f.write_str("built in"),
            Layer::MainServer => f.write_str("main server"),
            Layer::Sync => f.write_str("git sync"),
            Layer::ServerDefaults => f.write_str("server defaults"),
            Layer::ClusterDefaults => f.write_str("cluster defaults"),
            Layer::EnvironmentDefaults => f.write_str("environment defaults"),
            Layer::Template(name) => write!(f, "template {name}"),
            Layer::Workspace => f.write_str("workspace"),
            Layer::ServerEnforced => f.write_str("enforced by the server"),
        }
    }
}

/// The severities that `lint` sets, by rule code, with the place of each; `None` is `off`.
pub type LintSettings = BTreeMap<Arc<str>, (Option<Severity>, Span)>;
