//! Guards, and what they hold back or refuse.

use serde::{Deserialize, Serialize};

use super::Action;
use crate::{Text, name::WorkspaceName};

/// A guard: what refuses, or holds back, a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// The environment is protected, as declared or as marked in the cluster, or a workspace would lose its protection.
    Protected,
    /// The environment's folder was removed.
    EnvironmentRemoved,
    /// More deletes than the limit.
    MaxDeletes,
    /// The environment declares no workspace any more.
    EmptyDesired,
    /// The approved plan is not the current one.
    StalePlan,
    /// Another apply holds the lock.
    Lock,
    /// The workspace has uncommitted changes, or nothing shows that it has none.
    UncommittedChanges,
    /// The workspace exists and is not ours.
    Conflict,
    /// The declarations are older than those that were applied last.
    OlderDeclarations,
    /// The engine cannot do it, or not without a loss that is not declared.
    Engine,
    /// As many workspaces of branches as there may be.
    BranchLimit,
    /// A gate: it follows the deploy branch of its environment together with others, until something restarts it.
    SharedBranch,
    /// A gate: its commit was not verified in the stage before.
    Verified,
    /// A gate: its commit has not run long enough in the stage before.
    Soak,
    /// A gate: its commit does not run in the stage before.
    RunsBefore,
    /// A gate: it is not the time of the week.
    Windows,
    /// A gate: these are days on which nothing restarts.
    Freezes,
}

impl Guard {
    /// As in the JSON form.
    pub fn as_str(self) -> &'static str {
        match self {
            Guard::Protected => "protected",
            Guard::EnvironmentRemoved => "environment-removed",
            Guard::MaxDeletes => "max-deletes",
            Guard::EmptyDesired => "empty-desired",
            Guard::StalePlan => "stale-plan",
            Guard::Lock => "lock",
            Guard::UncommittedChanges => "uncommitted-changes",
            Guard::Conflict => "conflict",
            Guard::OlderDeclarations => "older-declarations",
            Guard::Engine => "engine",
            Guard::BranchLimit => "branch-limit",
            Guard::SharedBranch => "shared-branch",
            Guard::Verified => "verified",
            Guard::Soak => "soak",
            Guard::RunsBefore => "runs-before",
            Guard::Windows => "windows",
            Guard::Freezes => "freezes",
        }
    }

    /// Whether it opens by itself: a step that it holds back waits, and has not failed.
    pub fn is_gate(self) -> bool {
        matches!(
            self,
            Self::BranchLimit
                | Self::SharedBranch
                | Self::Verified
                | Self::Soak
                | Self::RunsBefore
                | Self::Windows
                | Self::Freezes
        )
    }
}

/// What a guard holds back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// The cluster.
    pub cluster: Text,
    /// The environment.
    pub environment: Text,
    /// The workspace's name in the cluster.
    pub workspace: WorkspaceName,
    /// What would have been done.
    pub action: Action,
    /// The guard.
    pub guard: Guard,
    /// What it saw, and its limit.
    pub message: String,
    /// The whole command that lifts it, or what to change where no flag does.
    pub unblock: String,
    /// When a gate opens by itself, RFC 3339 in UTC, as far as anybody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<Text>,
}

/// Why an apply is refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refused {
    /// The cluster that it is about.
    pub cluster: Text,
    /// The guard.
    pub guard: Guard,
    /// What it saw.
    pub message: String,
    /// What to do, or the whole command that lifts it.
    pub unblock: String,
}

/// A gate that is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// The gate.
    pub gate: Guard,
    /// What it waits for.
    pub message: String,
    /// When it opens by itself, RFC 3339 in UTC, as far as anybody can tell.
    pub opens_at: Option<Text>,
}
