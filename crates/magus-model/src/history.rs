//! The history of a cluster: what was done to it, when, by whom, from which revision, and how it ended.
//!
//! An entry is written once and never changed. It holds references and commits, and no value of anything.

use serde::{Deserialize, Serialize};

use crate::{
    Text,
    name::WorkspaceName,
    plan::{Action, Overrides},
    report::Outcome,
    source::ProjectSource,
};

/// The version of the format of an entry.
pub const FORMAT_VERSION: u32 = 1;

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The name of the entry: the first digits of a hash over the rest of it.
    pub id: Text,
    /// The cluster.
    pub cluster: Text,
    /// What was done.
    pub operation: Operation,
    /// When it ended, RFC 3339 in UTC.
    pub at: Text,
    /// By whom: `USER@HOST`.
    pub by: Text,
    /// How it ended.
    pub result: Ending,
    /// Why, where somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// The commit of the declarations; nothing outside a git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Text>,
    /// Whether the declarations differed from that commit.
    #[serde(default)]
    pub dirty: bool,
    /// The digest of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<Text>,
    /// The guards and gates that flags lifted.
    #[serde(default)]
    pub overrides: Overrides,
    /// One for each step, in the order of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<EntryStep>,
    /// What was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// Who owns the workspaces; nothing in an entry of an older Magus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<Text>,
    /// The number of the process on its machine, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<u32>,
    /// The entry that this one ends: it was written before the first step and said [`Ending::Running`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes: Option<Text>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// `magus apply`.
    Apply,
    /// `magus restart`.
    Restart,
    /// `magus destroy`.
    Destroy,
    /// `magus apply --orphans`.
    Orphans,
    /// `magus forget`.
    Forget,
    /// `magus verify`.
    Verify,
    /// Something that a later Magus does.
    #[serde(other)]
    Other,
}

impl Operation {
    /// As in the JSON form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Restart => "restart",
            Self::Destroy => "destroy",
            Self::Orphans => "orphans",
            Self::Forget => "forget",
            Self::Verify => "verify",
            Self::Other => "other",
        }
    }
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// Every step was done.
    Done,
    /// Some step was not.
    Incomplete,
    /// The verification passed.
    Passed,
    /// The verification failed.
    Failed,
    /// It began and has not ended yet, or its process was killed.
    Running,
    /// Its process was killed, or its machine was lost: which steps were done is unknown.
    Interrupted,
    /// An ending that only a later Magus knows.
    #[serde(other)]
    Other,
}

impl Ending {
    /// As in the JSON form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Incomplete => "incomplete",
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Other => "other",
        }
    }
}

/// A step and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryStep {
    /// The environment.
    pub environment: Text,
    /// The workspace's name in the cluster.
    pub workspace: WorkspaceName,
    /// What was to be done.
    pub action: Action,
    /// How it ended.
    pub outcome: Outcome,
    /// The code that it deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed: Option<Deployed>,
    /// Which workspace it was, as [`crate::observed::ObservedWorkspace::identity`]; nothing if the engine knows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Text>,
    /// Whether the mark that the step left says that the workspace is protected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
}

/// Code that a step deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// The branch.
    pub branch: Text,
    /// The full number of the commit that ran before; nothing where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Text>,
    /// The full number of the commit.
    pub to: Text,
    /// Where the code came from; nothing in an entry of a Magus that did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ProjectSource>,
}

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// The environment in which it was tried.
    pub environment: Text,
    /// The full number of the commit.
    pub commit: Text,
    /// Where the code came from; nothing in an entry of a Magus that did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ProjectSource>,
    /// Where more is told, such as the page of a CI job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<Text>,
    /// What somebody said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Text>,
}

/// Who changes a cluster at the time, as the lock of its history says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockRecord {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The cluster.
    pub cluster: Text,
    /// The person or machine.
    pub owner: Text,
    /// The machine.
    pub host: Text,
    /// The number of the process there.
    pub process: u32,
    /// The command.
    pub operation: Text,
    /// When it was taken, RFC 3339 in UTC.
    pub started_at: Text,
    /// Until when it holds, unless it is renewed.
    pub expires_at: Text,
}
