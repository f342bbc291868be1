//! A plan: every step with its reason, what was withheld and why, and what is in nobody's hands.
//!
//! The types serialize as DESIGN.md 4 says; the format is additive within a `format_version`.

mod code;
mod field;
mod guard;
mod incomplete;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    Text,
    diagnostic::LocatedDiagnostic,
    name::WorkspaceName,
    observed::{Mark, MissingPart},
    path::FieldPath,
    span::Origin,
    value::FieldValue,
};

pub use code::{Commit, Deploy, DeployBranch, Difference, Head, Movement, Schedule};
pub use guard::{Guard, Refused, Waiting, Withheld};
pub use incomplete::Incomplete;

/// Stands for the environment of what was left behind, which nothing declares. No environment can have this name.
pub const NO_ENVIRONMENT: &str = "-";

/// The version of the plan format.
pub const FORMAT_VERSION: u32 = 1;

/// What would change, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The Magus that made it.
    pub magus_version: Text,
    /// The clusters, ordered by name.
    pub clusters: Vec<PlanCluster>,
    /// What the desired state was read from.
    pub source: Source,
    /// When, RFC 3339 in UTC.
    pub created_at: Text,
    /// `sha256:…` over steps, preconditions, withheld, overrides, and the source and commit of code; not over time, revision,
    /// paths or version.
    pub digest: Text,
    /// Whether there is any step.
    pub has_changes: bool,
    /// The counts.
    pub summary: Summary,
    /// The guards that flags lifted.
    pub overrides: Overrides,
    /// What would be done, in the order in which it may begin.
    pub steps: Vec<Step>,
    /// What a guard holds back.
    pub withheld: Vec<Withheld>,
    /// Why an apply of the whole plan is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// Workspaces in the clusters that are not declared and not ours.
    pub unmanaged: Vec<Unmanaged>,
    /// Declared workspaces of which nobody can say whether they exist.
    pub unknown: Vec<Unknown>,
    /// The heads of the branches that are deployed, ordered: an apply of this plan goes on with them while they are on their
    /// branches, whatever was pushed since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<Head>,
    /// What was left in the clusters by creates and deletes that failed half-way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<Orphan>,
    /// The declared workspaces that lack parts in the cluster, whatever is done about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<Incomplete>,
    /// Findings about the declarations.
    pub diagnostics: Vec<LocatedDiagnostic>,
    /// Where the plan is only of what some commits changed: which, and what was set apart. Such a plan is for reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
    /// The branches for which `--assume` chose a commit, with the commit. Such a plan is for reading.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub assumed: BTreeMap<Text, Text>,
    /// Marks to be refreshed without any change of a workspace: bookkeeping that apply does and nobody needs to review.
    #[serde(skip)]
    pub marks: Vec<MarkRefresh>,
}

/// A cluster in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanCluster {
    /// Its name.
    pub name: Text,
    /// `local`, `mage` or `kubernetes`.
    pub engine: Text,
    /// Its environments in order of promotion.
    pub environments: Vec<Text>,
    /// What keeps two from changing it at once.
    #[serde(default)]
    pub lock: LockKind,
    /// The environments to which nothing is promoted for now, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub holds: BTreeMap<Text, Text>,
    /// What the plan takes for true of this cluster without having seen it; nothing where everything was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unverifiable: Option<Text>,
}

/// What keeps two from changing a cluster at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockKind {
    /// Nothing.
    #[default]
    None,
    /// A lock in the store of the engine.
    Store,
    /// A reference of a git remote.
    Remote,
}

/// What the desired state was read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The directory of the declarations, as it was given.
    pub path: Text,
    /// The commit that is checked out, or that `--at` named; nothing outside a git repository.
    pub revision: Option<Text>,
    /// Whether the declarations differ from that commit.
    pub dirty: bool,
}

/// Counts: of workspaces up to `unknown`, of steps after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Workspaces to create.
    pub create: usize,
    /// Workspaces to update.
    pub update: usize,
    /// Workspaces to replace.
    pub replace: usize,
    /// Workspaces to delete.
    pub delete: usize,
    /// Workspaces to adopt.
    pub adopt: usize,
    /// Workspaces that are as declared.
    pub unchanged: usize,
    /// Workspaces of which something is held back.
    pub withheld: usize,
    /// Workspaces of which nothing is known.
    pub unknown: usize,
    /// Steps that deploy.
    pub deploy: usize,
    /// Steps that start.
    pub start: usize,
    /// Steps that stop.
    pub stop: usize,
    /// Steps that restart on request; updates that restart are not counted here.
    pub restart: usize,
    /// Workspaces to forget.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub forget: usize,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// The guards that flags lifted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Overrides {
    /// `--allow-delete`.
    pub allow_delete: Vec<Text>,
    /// `--allow-replace`.
    pub allow_replace: Vec<Text>,
    /// `--allow-empty`.
    pub allow_empty: Vec<Text>,
    /// `--max-deletes`, as it was given.
    pub max_deletes: Option<Text>,
    /// `--allow-unprotect`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_unprotect: Vec<Text>,
    /// `--adopt`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopt: Vec<Text>,
    /// `--allow-older`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_older: bool,
    /// `--refresh-secrets`.
    pub refresh_secrets: Vec<Text>,
    /// `--override-gate`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub override_gate: Vec<Text>,
    /// `--discard-changes`: workspaces whose uncommitted changes may be lost, by their names in the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discard_changes: Vec<Text>,
    /// `--reason`.
    pub reason: Option<Text>,
}

/// One action on one workspace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// `CLUSTER/WORKSPACE/ACTION`.
    pub id: Text,
    /// The cluster.
    pub cluster: Text,
    /// The environment; [`NO_ENVIRONMENT`] where what is done belongs to none.
    pub environment: Text,
    /// The workspace's name in the cluster.
    pub workspace: WorkspaceName,
    /// What is done.
    pub action: Action,
    /// Why, in words for people.
    pub reason: String,
    /// Whether a running workspace restarts.
    pub restarts: Restarts,
    /// The steps that have to be done before.
    pub needs: Vec<Text>,
    /// What has to be true when the step begins.
    pub precondition: Precondition,
    /// What it sets.
    pub fields: Vec<FieldChange>,
    /// The parts of the workspace that it brings back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restores: Vec<MissingPart>,
    /// The code that it deploys.
    pub deploy: Option<Deploy>,
    /// The old name, where the step renames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<WorkspaceName>,
    /// The mark that the workspace carries afterwards; nothing for a delete.
    #[serde(skip)]
    pub mark: Option<Mark>,
}

/// What is done to a workspace. The order is that in which one workspace's steps are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// `←`: put the mark on a workspace that is as declared.
    Adopt,
    /// `+`.
    Create,
    /// `-/+`: delete and create, because a field can only be set at creation.
    Replace,
    /// `■`. Before an update, which then restarts nothing.
    Stop,
    /// `~`.
    Update,
    /// `>`: switch to other code.
    Deploy,
    /// `▶`.
    Start,
    /// `↻`.
    Restart,
    /// `-`.
    Delete,
    /// `→`: remove the mark, and nothing else.
    Forget,
}

impl Action {
    /// Its symbol.
    pub fn symbol(self) -> &'static str {
        match self {
            Action::Adopt => "←",
            Action::Create => "+",
            Action::Replace => "-/+",
            Action::Update => "~",
            Action::Deploy => ">",
            Action::Start => "▶",
            Action::Stop => "■",
            Action::Restart => "↻",
            Action::Delete => "-",
            Action::Forget => "→",
        }
    }

    /// Its name, as in the JSON form.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Adopt => "adopt",
            Action::Create => "create",
            Action::Replace => "replace",
            Action::Update => "update",
            Action::Deploy => "deploy",
            Action::Start => "start",
            Action::Stop => "stop",
            Action::Restart => "restart",
            Action::Delete => "delete",
            Action::Forget => "forget",
        }
    }
}

/// Whether a running workspace restarts: `true`, `false` or `"unknown"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restarts {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// The engine cannot tell.
    Unknown,
}

impl Serialize for Restarts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Restarts::Yes => serializer.serialize_bool(true),
            Restarts::No => serializer.serialize_bool(false),
            Restarts::Unknown => serializer.serialize_str("unknown"),
        }
    }
}

impl<'de> Deserialize<'de> for Restarts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Restarts;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false or \"unknown\"")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Restarts, E> {
                Ok(if value { Restarts::Yes } else { Restarts::No })
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Restarts, E> {
                match text {
                    "unknown" => Ok(Restarts::Unknown),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// What has to be true when a step begins: checked again right before the write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precondition {
    /// The workspace does not exist.
    Absent,
    /// The workspace is exactly as it was observed: its [`crate::observed::ObservedWorkspace::revision`].
    Revision(Text),
    /// The step follows another step of the same workspace, whose precondition counts.
    Follows(Text),
}

/// A field that a step sets or removes. Its plain values are written as `(hidden)` if it is sensitive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "field::Written")]
pub struct FieldChange {
    /// Its path.
    pub path: FieldPath,
    /// The observed value; nothing where there is none.
    pub before: Option<FieldValue>,
    /// The desired value; nothing where it is removed.
    pub after: Option<FieldValue>,
    /// Whether a secret is behind it, or may be one of its values.
    pub sensitive: bool,
    /// Whether the difference was seen.
    pub status: FieldStatus,
    /// Who moved.
    pub reason: Reason,
    /// A keyed digest of the desired value where that is not shown, so that two plans which differ in it alone are two plans.
    /// Nothing where the value or its reference is shown, or where the cluster has no key yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Text>,
    /// Where the desired value was written; nothing where it is removed or built in.
    pub origin: Option<Origin>,
    /// The pipelines whose code reads it, where it is a variable or a secret; of what a workspace is created with, nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read_by: Vec<Text>,
}

/// The path of the environment in a mark: a workspace that moves to another environment shows it as a changed field.
pub const ENVIRONMENT: &str = "environment";

/// The path of the protection in a mark.
pub const PROTECTED: &str = "protected";

impl FieldChange {
    /// Whether only the mark holds this field: no engine sends it.
    pub fn is_of_mark(&self) -> bool {
        matches!(self.path.as_str(), ENVIRONMENT | PROTECTED)
    }
}

impl Step {
    /// Its symbol: that of its action, or `←~` if it brings an adopted workspace to what is declared.
    pub fn symbol(&self) -> &'static str {
        match &self.precondition {
            Precondition::Follows(id) if self.action == Action::Update && id.ends_with("/adopt") => "←~",
            _ => self.action.symbol(),
        }
    }

    /// Whether the step changes the mark and nothing else.
    pub fn changes_only_mark(&self) -> bool {
        self.action == Action::Update
            && self.renamed_from.is_none()
            && self.restores.is_empty()
            && !self.fields.is_empty()
            && self.fields.iter().all(FieldChange::is_of_mark)
    }
}

/// Whether a difference was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldStatus {
    /// The observed value is another one.
    Change,
    /// The engine cannot read the field back.
    Unverifiable,
}

/// Who moved: three-way comparison of last applied, desired and observed, all by meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// Nothing is known of what was last applied.
    Differs,
    /// The declaration changed.
    Declared,
    /// The cluster changed.
    Drift,
    /// Both changed.
    Both,
}

impl Reason {
    /// As in the JSON form.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Differs => "differs",
            Reason::Declared => "declared",
            Reason::Drift => "drift",
            Reason::Both => "both",
        }
    }
}

/// Something that runs as a workspace does, and that the server does not know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Orphan {
    /// The cluster.
    pub cluster: Text,
    /// Its name in the cluster.
    pub workspace: WorkspaceName,
    /// Where it is, for people: `the namespace mage`.
    pub place: Text,
}

/// A workspace that is not ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unmanaged {
    /// The cluster.
    pub cluster: Text,
    /// Its name.
    pub name: WorkspaceName,
    /// Who manages it; nothing where nobody does.
    pub managed_by: Option<Text>,
}

/// A workspace of which nothing is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// The cluster.
    pub cluster: Text,
    /// Its name.
    pub workspace: WorkspaceName,
    /// Why.
    pub message: String,
    /// What the message is about.
    #[serde(default)]
    pub cause: UnknownCause,
}

/// What keeps a workspace unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownCause {
    /// The cluster could not be read: the same message holds for all of its workspaces.
    Cluster,
    /// The workspace itself.
    #[default]
    Workspace,
}

/// What a plan of only some commits says of the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Since {
    /// The revision as it was given; the commits after it count.
    pub revision: Text,
    /// Its commit.
    pub commit: Text,
    /// What the whole plan does besides: one for each workspace, in order of promotion.
    pub apart: Vec<Apart>,
}

/// What differs of a workspace without being the work of the commits that a plan is of: it drifted, or was declared
/// before and never applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Apart {
    /// The cluster.
    pub cluster: Text,
    /// The environment.
    pub environment: Text,
    /// The workspace's name in the cluster.
    pub workspace: WorkspaceName,
    /// What the whole plan does to it, or most of it where that is several things.
    pub action: Action,
    /// Why, in words for people.
    pub reason: String,
    /// What differs.
    pub fields: Vec<FieldChange>,
    /// The guard that holds it back in the whole plan too.
    pub guard: Option<Guard>,
}

/// A mark to be refreshed where nothing else changes.
#[derive(Debug, Clone, PartialEq)]
pub struct MarkRefresh {
    /// The cluster.
    pub cluster: Text,
    /// The workspace.
    pub workspace: WorkspaceName,
    /// The revision on which the refresh rests; where it moved, the mark is left alone.
    pub revision: Text,
    /// The mark.
    pub mark: Mark,
}

/// Steps by action, for summaries.
pub fn count(steps: &[Step]) -> BTreeMap<Action, usize> {
    let mut counts = BTreeMap::new();
    for step in steps {
        *counts.entry(step.action).or_default() += 1;
    }
    counts
}
