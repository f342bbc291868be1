//! What is: the workspaces of a cluster as an engine read them, the marks on them, and what the engine can do.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    Text, name::WorkspaceName, path::FieldPath, plan::Action, source::ProjectSource, value::FieldValue,
    value::Value,
};

/// What one cluster answered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observation {
    /// The cluster's name.
    pub cluster: Text,
    /// What the engine can do, and how it treats each field.
    pub capabilities: Capabilities,
    /// What this observation shows without having seen it, for people; nothing where everything was seen.
    pub unverifiable: Option<Text>,
    /// The workspaces that are present.
    pub present: BTreeMap<WorkspaceName, ObservedWorkspace>,
    /// The workspaces of which nobody can say whether they exist, each with the reason.
    pub unknown: BTreeMap<WorkspaceName, String>,
    /// The reason why a name in neither map is *unknown* and not absent: the cluster could not be read as a whole.
    pub incomplete: Option<String>,
    /// What runs, and no workspace is known for: left by a create or a delete that failed half-way. Ordered by name.
    pub orphans: Vec<ObservedOrphan>,
    /// Keys the digests of desired values that a plan does not show; nothing where the cluster has no key yet.
    pub key: Option<DigestKey>,
}

/// A key of digests that leave the machine: made at random, kept in the cluster, and in no plan.
#[derive(Clone, PartialEq, Eq)]
pub struct DigestKey(Vec<u8>);

impl DigestKey {
    /// A key of these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DigestKey(***)")
    }
}

/// Something that runs as a workspace does, and that the server does not know.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedOrphan {
    /// Its name.
    pub name: WorkspaceName,
    /// Where it is, for people: `the namespace mage`.
    pub place: Text,
    /// What a step's precondition names: another one once it was deleted and made again.
    pub revision: Text,
}

/// What is known about one name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Presence<'a> {
    /// It exists.
    Present(&'a ObservedWorkspace),
    /// It was looked for and does not exist.
    Absent,
    /// Nobody can say; the reason.
    Unknown(&'a str),
}

impl Observation {
    /// What is known about a name.
    pub fn presence(&self, name: &WorkspaceName) -> Presence<'_> {
        if let Some(workspace) = self.present.get(name) {
            return Presence::Present(workspace);
        }
        match self.unknown.get(name).or(self.incomplete.as_ref()) {
            Some(reason) => Presence::Unknown(reason),
            None => Presence::Absent,
        }
    }
}

/// A workspace as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedWorkspace {
    /// Its name.
    pub name: WorkspaceName,
    /// Whether it runs.
    pub state: RunState,
    /// Its configuration, ordered by path, in the form of [`crate::desired::Workspace::fields`].
    pub fields: Vec<ObservedField>,
    /// What it was made with and does not have any more, ordered by path: this value alone can be given to it again in
    /// place, where the engine can set the field only at creation.
    pub lost: Vec<ObservedField>,
    /// Its parts that are not there any more, ordered; empty where the engine does not look for parts.
    pub missing: Vec<MissingPart>,
    /// The code that it has.
    pub code: ObservedCode,
    /// Who manages it; nothing if it is unmanaged.
    pub mark: Option<Mark>,
    /// What tells it from another workspace of the same name that was there before: Mage's `project_uuid`, or the `id` in the
    /// store of the local engine. Nothing if the engine knows none.
    pub identity: Option<Text>,
    /// A second copy of the mark that the engine keeps elsewhere. It counts only if the mark itself is missing.
    pub copy: Option<Mark>,
    /// The fields whose values come from a secret, or did when they were last applied. Their values are not shown.
    pub sensitive: BTreeSet<FieldPath>,
    /// Changes whenever anything that this observation holds changes: a keyed digest of it, or one in which values that may
    /// be secret do not count. What a step's precondition names.
    pub revision: Text,
}

/// A part of a workspace that is not there any more, and without which it cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MissingPart {
    /// Which part.
    pub kind: PartKind,
    /// Its name.
    pub name: Text,
    /// What a person does to bring it back, a whole command where one exists; nothing where an apply can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<Text>,
}

/// A part of a workspace, by the name of its kind in Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PartKind {
    /// It makes the pod. Without it the workspace can only be created again.
    StatefulSet,
    /// It leads to the pod.
    Service,
    /// Its volume, which holds all files of the workspace.
    PersistentVolumeClaim,
    /// The way to it from outside.
    Ingress,
}

impl PartKind {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            PartKind::StatefulSet => "StatefulSet",
            PartKind::Service => "Service",
            PartKind::PersistentVolumeClaim => "PersistentVolumeClaim",
            PartKind::Ingress => "Ingress",
        }
    }
}

/// The code of a workspace, as far as it was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedCode {
    /// The full number of the commit that it was deployed from; nothing where none was.
    pub commit: Option<Text>,
    /// The uncommitted changes in it.
    pub work: Work,
}

/// The uncommitted changes in a workspace: files that were changed there and are in no commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Work {
    /// They were not looked for: no step that the engine knows of can lose any.
    #[default]
    NotRead,
    /// There are none.
    None,
    /// These: paths below the code, ordered.
    Uncommitted(Vec<Text>),
    /// They were looked for and could not be read; the reason. They are assumed to exist.
    Unknown(Text),
}

impl Work {
    /// What was found: these paths, or nothing.
    pub fn found(paths: Vec<Text>) -> Self {
        if paths.is_empty() { Self::None } else { Self::Uncommitted(paths) }
    }

    /// The paths that are known.
    pub fn paths(&self) -> &[Text] {
        match self {
            Self::Uncommitted(paths) => paths,
            Self::NotRead | Self::None | Self::Unknown(_) => &[],
        }
    }

    /// Whether there are uncommitted changes, or may be.
    pub fn may_exist(&self) -> bool {
        matches!(self, Self::Uncommitted(_) | Self::Unknown(_))
    }
}

/// A leaf of the observed configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedField {
    /// Its path.
    pub path: FieldPath,
    /// Its value; for a variable that came from a secret, the reference that it was last set from.
    pub value: FieldValue,
}

/// Whether a workspace runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// It runs.
    Running,
    /// It was stopped, by a person, by Magus or by auto-termination.
    Stopped,
    /// It is on its way up.
    Pending,
    /// It should run and does not.
    Failed,
}

impl RunState {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Stopped => "stopped",
            RunState::Pending => "pending",
            RunState::Failed => "failed",
        }
    }
}

/// The mark on a managed workspace. It never shows as a difference, and setting it never restarts anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Who owns it.
    pub managed_by: Text,
    /// The environment that declares it.
    pub environment: Text,
    /// Its name in the declarations.
    pub workspace: Text,
    /// Whether its environment was protected when it was last applied.
    pub protected: bool,
    /// Where the code that was last deployed came from; nothing if none was deployed, or if a Magus deployed it that did
    /// not record it. Then the source is taken for the declared one, and the next apply records that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ProjectSource>,
    /// What was last applied: a digest for each field (`magus_diff::digest`), `state` among them.
    pub applied: BTreeMap<FieldPath, Text>,
    /// Whether a step stopped the workspace to start it again, and is not known to have started it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resume: bool,
    /// The commit of the declarations that were applied when the mark was written; nothing outside a git repository. It does not
    /// make a mark outdated: it is written along with what else changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declarations: Option<Text>,
}

/// What proves that a workspace without a mark is one that Magus applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recalled {
    /// Where it is written.
    pub evidence: Evidence,
    /// The environment that declared it.
    pub environment: Text,
    /// Whether its environment was protected.
    pub protected: bool,
    /// The whole mark; nothing if only the fact is known.
    pub mark: Option<Mark>,
}

/// Where it is written that Magus applied a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// An entry of the history: its id and its time, RFC 3339 in UTC.
    History {
        /// [`crate::history::Entry::id`].
        entry: Text,
        /// When that was.
        at: Text,
    },
    /// The second copy of the mark.
    Copy,
}

/// The workspaces of each cluster that lost their marks and are known to be ours, by name.
pub type Recollection = BTreeMap<Text, BTreeMap<WorkspaceName, Recalled>>;

/// What an engine can do.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Capabilities {
    /// Whether a workspace can be given another name without losing it.
    pub rename: bool,
    /// Whether it puts code into workspaces; where not, their code is nobody's business here.
    pub deploys: bool,
    /// Whether a workspace takes what its deploy branch is at whenever it starts, over what people changed in it.
    pub starts_from_branch: bool,
    /// How the engine treats fields. The longest prefix decides; [`FieldCapability::default`] where none fits.
    pub fields: Vec<(FieldPath, FieldCapability)>,
    /// What the server fills in where nothing is declared: absent and this value are the same.
    pub defaults: BTreeMap<FieldPath, Value>,
    /// What cannot be done with any workspace, each with the reason and, after it, what to do instead.
    pub refused: BTreeMap<Action, Refusal>,
}

/// Why an engine does not do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The fact: lower case, no full stop.
    pub reason: &'static str,
    /// What a person can do instead.
    pub instead: &'static str,
}

/// How an engine treats a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldCapability {
    /// Whether it can only be set when the workspace is created, so that a change means replace.
    pub create_only: bool,
    /// Whether it can become more in place although it is [`FieldCapability::create_only`]: only less means replace.
    pub grows: bool,
    /// Whether it can be read back; what cannot is `unverifiable`.
    pub readable: bool,
    /// Whether a change restarts a running workspace.
    pub restarts: bool,
    /// Whether the server chooses a value where none is declared: then any value is as declared.
    pub chosen_by_server: bool,
    /// Whether it can be set at all.
    pub settable: bool,
    /// Whether what is neither declared nor was applied is unmanaged, and left alone: people set such fields too.
    pub keeps_unmanaged: bool,
}

impl Default for FieldCapability {
    fn default() -> Self {
        Self {
            create_only: false,
            grows: false,
            readable: true,
            restarts: true,
            chosen_by_server: false,
            settable: true,
            keeps_unmanaged: false,
        }
    }
}

impl Capabilities {
    /// How the engine treats this field.
    pub fn of(&self, path: &FieldPath) -> FieldCapability {
        self.fields
            .iter()
            .filter(|(prefix, _)| path.is_within(prefix.as_str()))
            .max_by_key(|(prefix, _)| prefix.as_str().len())
            .map_or_else(FieldCapability::default, |(_, capability)| *capability)
    }
}
