//! What an apply did: one result a step, true even after an interruption.

use serde::{Deserialize, Serialize};

use crate::{Text, name::WorkspaceName, plan::Action};

/// The version of the report format.
pub const FORMAT_VERSION: u32 = 1;

/// What an apply did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyReport {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The Magus that applied.
    pub magus_version: Text,
    /// The digest of the plan that was approved.
    pub plan_digest: Text,
    /// When it began, RFC 3339 in UTC.
    pub started_at: Text,
    /// When it ended.
    pub finished_at: Text,
    /// Whether a person or a signal stopped it.
    pub interrupted: bool,
    /// The counts of outcomes.
    pub summary: ApplySummary,
    /// One result for each step of the plan, in its order.
    pub results: Vec<StepResult>,
    /// What the reader should know besides: secrets that changed without a new version, and the like.
    pub notes: Vec<String>,
}

/// How many steps ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApplySummary {
    /// Done, and seen to be done.
    pub applied: usize,
    /// Not done.
    pub failed: usize,
    /// Sent, and not seen to be done.
    pub uncertain: usize,
    /// Not begun, because a step that it needs was not done, or a stage before failed.
    pub skipped: usize,
    /// Not begun, because the apply ended before, or what they have to wait for took too long.
    pub not_started: usize,
}

/// How one step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepResult {
    /// The step's id.
    pub step: Text,
    /// The cluster.
    pub cluster: Text,
    /// The environment.
    pub environment: Text,
    /// The workspace.
    pub workspace: WorkspaceName,
    /// What was to be done.
    pub action: Action,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, where it is not `applied`; redacted.
    pub message: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done, and seen to be done.
    Applied,
    /// Not done.
    Failed,
    /// Sent, and not seen to be done: the next run looks again.
    Uncertain,
    /// Not begun, because a step that it needs was not done, or a stage before failed.
    Skipped,
    /// Not begun, because the apply ended before, or what it has to wait for took too long.
    NotStarted,
}

impl Outcome {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Applied => "applied",
            Outcome::Failed => "failed",
            Outcome::Uncertain => "uncertain",
            Outcome::Skipped => "skipped",
            Outcome::NotStarted => "not started",
        }
    }
}
