//! The code that a plan deploys, and what lies between what runs and what will.

use serde::{Deserialize, Serialize};

use super::Reason;
use crate::{Text, name::WorkspaceName, source::ProjectSource};

/// The code that a step deploys. Commits are full numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// The branch.
    pub branch: Text,
    /// The commit that runs now; nothing where none does.
    pub from: Option<Text>,
    /// The commit that will run.
    pub to: Text,
    /// Where the code that will run comes from.
    #[serde(default)]
    pub source: ProjectSource,
    /// Where the code that runs now came from, if it came from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_before: Option<ProjectSource>,
    /// Who moved.
    pub reason: Reason,
    /// The branch that has to be at `to` for it, where workspaces follow one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<DeployBranch>,
    /// What lies between them; nothing where nobody can say, because the repository does not have `from` any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub movement: Option<Movement>,
}

/// A branch that one workspace follows, and that moves for it alone: `deploy/staging+analytics-staging`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeployBranch {
    /// Its name.
    pub name: Text,
    /// The full number of the commit that it is at; nothing where it does not exist.
    pub from: Option<Text>,
}

impl DeployBranch {
    /// What the names of all of them begin with.
    pub const PREFIX: &str = "deploy/";

    /// The name of the branch of a workspace. A `/` after the environment would collide with [`DeployBranch::shared`]: git keeps no
    /// branch below another one.
    pub fn of(environment: &str, workspace: &WorkspaceName) -> Text {
        format!("{}{environment}+{workspace}", Self::PREFIX).into()
    }

    /// The name of the branch that all workspaces of an environment followed before each had its own.
    pub fn shared(environment: &str) -> Text {
        format!("{}{environment}", Self::PREFIX).into()
    }
}

/// What lies between two commits, of which the first may be none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Movement {
    /// How many commits come.
    pub ahead: usize,
    /// How many commits go.
    pub behind: usize,
    /// The newest commits that come, newest first; where only some go, those. At most [`Movement::SHOWN`].
    pub commits: Vec<Commit>,
    /// How many files differ.
    pub files: usize,
    /// The pipelines that what differs belongs to, or is used by, ordered. These and what follows are told only where some code
    /// ran before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pipelines: Vec<Text>,
    /// The triggers that run at another time: `PIPELINE/TRIGGER`, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<Difference>,
    /// When the pipelines that it touches run by themselves, as the code says that comes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Schedule>,
    /// The Python packages of which another version is asked for, or which come or go: then the workspace restarts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<Difference>,
}

/// When a trigger runs by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// `PIPELINE/TRIGGER`.
    pub name: Text,
    /// The words of its schedule: `@daily`, or a cron expression.
    pub when: Text,
    /// The `ENV`s of the workspaces in which it runs; every one where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub envs: Vec<Text>,
    /// The next time, seen from when the plan was made; nothing where it never comes, or at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Text>,
    /// Why it starts as soon as it is deployed, or, where its schedule changes, at the sync after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<Text>,
}

/// Something of the code that is there otherwise than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What.
    pub name: Text,
    /// As it is; nothing where it comes.
    pub before: Option<Text>,
    /// As it will be; nothing where it goes.
    pub after: Option<Text>,
}

impl Movement {
    /// How many commits are told.
    pub const SHOWN: usize = 10;

    /// Whether it only goes back.
    pub fn is_rollback(&self) -> bool {
        self.ahead == 0 && self.behind > 0
    }
}

/// A commit, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its full number.
    pub id: Text,
    /// The first line of its message.
    pub title: Text,
    /// The name of its author.
    pub author: Text,
}

/// The head of a branch that a plan is made with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Head {
    /// The cluster whose workspaces run it.
    pub cluster: Text,
    /// The branch.
    pub branch: Text,
    /// The full number of its commit.
    pub commit: Text,
}
