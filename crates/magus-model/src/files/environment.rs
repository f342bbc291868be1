//! `environment.yaml`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    layer::{BranchWorkspace, LayerConfig},
    scalar::{Date, Duration, TimeOfDay, Whole},
};
use crate::Text;

/// The branch, order, protection and defaults of an environment.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentFile {
    /// The branch that this environment deploys.
    pub branch: Option<Text>,
    /// The environment before this one in the order of promotion.
    pub promotes_from: Option<Text>,
    /// What is deployed. Without it, `head`, and `once` in a first stage that another one follows; without a repository, `none`.
    pub deploy: Option<DeployMode>,
    /// With `deploy: pinned`, the commit or tag that is deployed. It has to be on `branch`.
    pub commit: Option<Text>,
    /// On Mage Pro: the deployment with which Mage puts the commit into the workspaces of this environment.
    pub deployments: Option<Deployments>,
    /// Never delete or replace a workspace here without `--allow-delete` or `--allow-replace`.
    pub protected: Option<bool>,
    /// How steps that change running workspaces are rolled out, deploys included.
    pub rollout: Option<RolloutConfig>,
    /// Whether a workspace may set `branch`, `commit` and `deploy` of its own. Without it, only in a first stage.
    pub allow_branch_override: Option<bool>,
    /// What has to hold before something is deployed or restarted here. What does not hold yet waits; it is no failure.
    pub gates: Option<Gates>,
    /// What `magus verify --run` runs here.
    pub verify: Option<VerifyConfig>,
    /// Why nothing is promoted to this environment for now. `magus rollback` writes it, and who removes it lets go on.
    #[schemars(extend("examples" = ["rolled back: orders were counted twice"]))]
    pub hold: Option<Text>,
    /// A workspace for each branch that matches, as long as the branch is there.
    pub branch_workspaces: Option<BranchWorkspaces>,
    /// Variables and secrets that every workspace here has without a declaration: names, or patterns with `*`.
    #[schemars(extend("examples" = [["SENTRY_DSN", "AWS_*"]]))]
    pub provided: Option<Vec<Text>>,
    /// The layer above the cluster's defaults, for every workspace of this environment.
    pub defaults: Option<LayerConfig>,
    /// Named layers, which a workspace of this environment takes with `use`.
    pub templates: Option<BTreeMap<Text, Option<LayerConfig>>>,
}

/// A deployment of Mage Pro: Mage moves a branch of its own, and tells nothing of what became of it.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deployments {
    /// The deployment settings in Mage: their number, or name, in its address.
    pub setting: Text,
    /// The branch that Mage deploys to.
    pub branch: Text,
    /// The folder of the project there, where Mage does not know it.
    pub target_directory: Option<Text>,
}

/// A workspace for each branch that matches, deployed from its head.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BranchWorkspaces {
    /// Which branches, such as `feature/*`: `*` stands for anything. Those that an environment deploys are left out.
    #[serde(rename = "match")]
    #[schemars(extend("examples" = ["feature/*"]))]
    pub pattern: Text,
    /// What the workspaces are called in the cluster, such as `dev-${branch_slug}`. Without it, as `workspace_name` says, with
    /// the branch for the workspace.
    #[schemars(extend("examples" = ["dev-${branch_slug}"]))]
    pub name: Option<Text>,
    /// How many there may be at most; a branch more waits. Without it, any number.
    pub limit: Option<Whole<1, 10_000>>,
    /// How long after its branch is gone a workspace is deleted, such as `7d`. Until then it is stopped.
    pub remove_after: Option<Duration>,
    /// What happens once a branch is gone, where `remove_after` says no time. Without it, `stop`.
    pub on_gone: Option<OnGone>,
    /// What every one of them is made from, above the layers of the environment.
    pub workspace: Option<BranchWorkspace>,
}

/// What happens to a workspace whose branch is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnGone {
    /// It is stopped, and stays.
    #[default]
    Stop,
    /// It is deleted, unless somebody has work in it that no commit has.
    Delete,
}

/// What is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeployMode {
    /// The head of the branch.
    Head,
    /// The commit or tag that `commit` names.
    Pinned,
    /// The head of the branch when the workspace is created, then hands off.
    Once,
    /// Nothing.
    None,
}

impl DeployMode {
    /// Reads the word for one; nothing for any other.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "head" => Some(Self::Head),
            "pinned" => Some(Self::Pinned),
            "once" => Some(Self::Once),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}

/// How steps that restart a workspace are rolled out.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutConfig {
    /// How many running workspaces are changed at once.
    pub batch: Option<Whole<1, 10_000>>,
    /// How long a restart waits for running pipelines, such as `30m`.
    pub wait_for_runs: Option<Duration>,
    /// Whether the first failure keeps the rest of this environment from beginning.
    pub stop_on_failure: Option<bool>,
}

/// What has to hold before something is deployed, or a running workspace is changed.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gates {
    /// The commit was verified in the stage before, with `magus verify`, and every workspace there runs it. Holds deploys.
    pub verified: Option<Verified>,
    /// How long the commit has run in every workspace of the stage before, such as `24h`. Holds deploys.
    pub soak: Option<Duration>,
    /// Whether every workspace of the stage before has to run the commit, or one that follows it. Holds deploys.
    pub runs_before: Option<bool>,
    /// When running workspaces may be changed. Without any, always. Holds every step that changes, stops or deletes a running
    /// workspace, deploys included.
    pub windows: Option<Vec<Window>>,
    /// Days on which no running workspace may be changed. Holds the same steps as `windows`.
    pub freezes: Option<Vec<Freeze>>,
}

/// What `magus verify --run` runs in every workspace of the environment.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyConfig {
    /// The pipelines, in the order in which they run. Each needs an active API trigger.
    pub pipelines: Option<Vec<Text>>,
    /// How long all of it may take, such as `30m`. Without it, an hour.
    pub timeout: Option<Duration>,
}

/// The commit was verified in the stage before.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verified {
    /// How old the verification may be, such as `24h`. Without it, any age.
    pub within: Option<Duration>,
}

/// A time of the week in which running workspaces may be changed.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The days on which it begins; without them, every day.
    pub days: Option<Vec<Weekday>>,
    /// When it begins, such as `09:00`.
    pub from: TimeOfDay,
    /// When it ends, such as `17:00`; not after `from` means on the next day.
    pub to: TimeOfDay,
    /// The time zone, such as `Europe/Berlin`. Without it, `UTC`.
    pub time_zone: Option<Text>,
    /// What the window holds outside of its time. Without it, `changes`.
    pub holds: Option<WindowHolds>,
}

/// What a window holds outside of its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WindowHolds {
    /// Every step that changes, stops or deletes a running workspace, deploys included.
    #[default]
    Changes,
    /// Steps that restart a running workspace, and nothing else.
    Restarts,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// Days on which no running workspace is changed.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// The first day, such as `2026-12-20`.
    pub from: Date,
    /// The last day.
    pub to: Date,
    /// The time zone of the days, such as `Europe/Berlin`. Without it, `UTC`.
    pub time_zone: Option<Text>,
    /// Why, for those who have to wait.
    pub reason: Option<Text>,
}
