//! What differs, as data: for each declared workspace what became of it, and what is there besides.
//!
//! It borrows from the desired state and the observations, so that what is unchanged costs nothing. It knows no
//! policy: a workspace that is [`Removed`] is a candidate for deletion, not a deletion.

use std::{borrow::Cow, collections::BTreeMap};

use magus_model::{
    Text,
    desired::{Cluster, Code, Environment, Workspace},
    name::WorkspaceName,
    observed::{Mark, MissingPart, Observation, ObservedCode, ObservedWorkspace, Recalled},
    path::FieldPath,
    plan::{FieldChange, Reason, UnknownCause},
    source::ProjectSource,
};

pub use magus_model::secrecy::HIDDEN;

/// The differences, cluster by cluster.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChangeSet<'a> {
    /// One for each declared cluster, in their order.
    pub clusters: Vec<ClusterChanges<'a>>,
}

/// The differences of one cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterChanges<'a> {
    /// The cluster as it is declared.
    pub cluster: &'a Cluster,
    /// What it answered; nothing where it was not asked, and then every workspace of it is unknown.
    pub observation: Option<&'a Observation>,
    /// The declared workspaces, in the order of the declaration.
    pub workspaces: Vec<WorkspaceChange<'a>>,
    /// The managed ones that are not declared any more, by name.
    pub removed: Vec<Removed<'a>>,
    /// The ones that are neither declared nor ours, by name.
    pub unmanaged: Vec<&'a ObservedWorkspace>,
    /// Names that are not declared and of which nobody can say whether they exist, with the reason.
    pub unknown: Vec<(&'a WorkspaceName, &'a str)>,
    /// Creates that look like renames.
    pub hints: Vec<RenameHint<'a>>,
}

/// What became of a declared workspace.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkspaceChange<'a> {
    /// Its environment.
    pub environment: &'a Environment,
    /// The workspace as it is declared.
    pub workspace: &'a Workspace,
    /// What became of it.
    pub change: Change<'a>,
}

/// What became of a declared workspace.
#[derive(Debug, Clone, PartialEq)]
pub enum Change<'a> {
    /// It does not exist. All that is to be set, `state` among it, ordered by path.
    Create(Vec<FieldChange>),
    /// It is ours and differs, or is to get another name.
    Update(Box<Update<'a>>),
    /// It is ours and as declared.
    Unchanged {
        /// As it is.
        observed: &'a ObservedWorkspace,
        /// Whether its mark says something else than it should.
        stale: bool,
    },
    /// It is unmanaged, and as declared.
    Adopt {
        /// As it is.
        observed: &'a ObservedWorkspace,
    },
    /// It is not ours to change.
    Conflict {
        /// As it is.
        observed: &'a ObservedWorkspace,
        /// Why.
        conflict: Conflict<'a>,
        /// What an adoption would change; nothing if it cannot be adopted.
        adoption: Option<Box<Update<'a>>>,
    },
    /// Nobody can say whether it exists; the reason.
    Unknown(Cow<'a, str>),
}

/// How a managed workspace differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Update<'a> {
    /// As it is.
    pub observed: &'a ObservedWorkspace,
    /// Why it may be changed.
    pub claim: Claim<'a>,
    /// The name that it has, where it is to be renamed.
    pub renamed_from: Option<&'a WorkspaceName>,
    /// What differs, without `state` and `restarted_at`, ordered by path.
    pub fields: Vec<FieldChange>,
    /// The difference of `state`.
    pub state: Option<FieldChange>,
    /// A `restarted_at` that is later than the observed one.
    pub restart: Option<FieldChange>,
    /// The difference of its code.
    pub code: Option<CodeChange<'a>>,
    /// The parts that it lacks in the cluster.
    pub missing: &'a [MissingPart],
    /// What the mark says otherwise of its environment and its protection, ordered by path.
    pub ownership: Vec<FieldChange>,
}

/// Other code than the one that runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CodeChange<'a> {
    /// What is declared.
    pub declared: &'a Code,
    /// The full number of the commit that is to run.
    pub to: &'a Text,
    /// What is there.
    pub observed: &'a ObservedCode,
    /// Where the code that is there came from, if it came from elsewhere than what is declared.
    pub source_before: Option<&'a ProjectSource>,
    /// Who moved.
    pub reason: Reason,
}

/// Why a workspace may be changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Claim<'a> {
    /// It has our mark.
    Mark(&'a Mark),
    /// It has no mark, and something else proves that Magus applied it.
    Recalled(&'a Recalled),
    /// It is unmanaged: only a person may have it adopted.
    Unmanaged,
}

impl<'a> Claim<'a> {
    /// The environment and the protection that hold until something else is applied; nothing if it belonged to none.
    pub fn ownership(&self) -> Option<(&'a Text, bool)> {
        match *self {
            Claim::Mark(Mark { environment, protected, .. })
            | Claim::Recalled(Recalled { environment, protected, .. }) => Some((environment, *protected)),
            Claim::Unmanaged => None,
        }
    }

    /// The mark that remembers what was last applied: that of the workspace, or a copy of it.
    pub fn mark(&self) -> Option<&'a Mark> {
        match *self {
            Claim::Mark(mark) => Some(mark),
            Claim::Recalled(recalled) => recalled.mark.as_ref(),
            Claim::Unmanaged => None,
        }
    }

    /// What was last applied; nothing if that is not known.
    pub fn applied(&self) -> Option<&'a BTreeMap<FieldPath, Text>> {
        self.mark().map(|mark| &mark.applied)
    }
}

impl<'a> Update<'a> {
    /// The mark that it has.
    pub fn mark(&self) -> Option<&'a Mark> {
        self.observed.mark.as_ref()
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        let Self { observed: _, claim: _, renamed_from, fields, state, restart, code, missing, ownership } =
            self;
        renamed_from.is_none()
            && fields.is_empty()
            && state.is_none()
            && restart.is_none()
            && code.is_none()
            && missing.is_empty()
            && ownership.is_empty()
    }
}

/// Why a workspace is not ours to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict<'a> {
    /// Somebody else manages it.
    ManagedBy(&'a Text),
    /// Nobody manages it, and these fields are not as declared.
    Differs(Vec<FieldPath>),
    /// Nobody manages it, all that can be read is as declared, and these fields cannot be read.
    Unverifiable(Vec<FieldPath>),
    /// `moved_from` names it, and it is not ours.
    MovedFrom,
    /// It is the workspace of this branch, and another branch would take it over.
    OfBranch(&'a str),
}

/// A workspace with our mark that is not declared any more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Removed<'a> {
    /// As it is.
    pub observed: &'a ObservedWorkspace,
    /// Its mark: the environment that declared it, and whether that was protected.
    pub mark: &'a Mark,
}

/// A workspace to be created and one that is not declared any more, with the same configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenameHint<'a> {
    /// The name that is declared.
    pub to: &'a WorkspaceName,
    /// The name that is not declared any more.
    pub from: &'a WorkspaceName,
}

impl ClusterChanges<'_> {
    /// Whether the reason why a workspace is unknown is that of the whole cluster.
    pub fn unknown_cause(&self, reason: &str) -> UnknownCause {
        match self.observation {
            Some(observation) if observation.incomplete.as_deref() != Some(reason) => UnknownCause::Workspace,
            Some(_) | None => UnknownCause::Cluster,
        }
    }
}
