//! What a plan is made from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use magus_diff::ChangeSet;
use magus_model::{
    Text,
    desired::{Desired, Workspace},
    diagnostic::LocatedDiagnostic,
    name::WorkspaceName,
    path::FieldPath,
    plan::{Movement, Overrides, Source},
};

use crate::evidence::Evidence;

/// What a plan is made from.
#[derive(Debug, Clone)]
pub struct PlanRequest<'a> {
    /// What should be, over all clusters.
    pub desired: &'a Desired,
    /// How it differs from what is.
    pub changes: &'a ChangeSet<'a>,
    /// Which steps are wanted.
    pub filter: Filter,
    /// The guards that flags lift.
    pub overrides: Overrides,
    /// Where the desired state was read from.
    pub source: Source,
    /// What is known of commits of the declarations that were applied and are not among those of the source.
    pub newer: Vec<Newer>,
    /// The time.
    pub now: Timestamp,
    /// The version of Magus.
    pub magus_version: Text,
    /// Findings about the declarations, to be shown with the plan.
    pub diagnostics: Vec<LocatedDiagnostic>,
    /// What the plan is to reach.
    pub intent: Intent,
    /// Where only what changed since counts: what was declared then.
    pub since: Option<Baseline<'a>>,
    /// The branches for which a person chose a commit, to see a plan of it.
    pub assumed: BTreeMap<Text, Text>,
    /// What lies between the commits of the code that moves.
    pub movements: Movements,
    /// Which pipelines of the code that is to run read what.
    pub readers: Readers,
    /// What is known of commits on the stages before, for the gates that look there.
    pub evidence: Evidence,
    /// The words of the command line, the program first: what lifts a guard is this command with more flags.
    pub command: Vec<String>,
}

/// A commit of the declarations that was applied to a cluster, and that the declarations of the plan lack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newer {
    /// The cluster.
    pub cluster: Text,
    /// The full number of the commit.
    pub commit: Text,
    /// Where that is known from: `entry `…` of the history, of …`.
    pub known_from: String,
}

/// What lies between commits, for each move of the code that the repositories know of.
#[derive(Debug, Clone, Default)]
pub struct Movements(BTreeMap<Move, Movement>);

/// A move of the code of a project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Move {
    /// The repository, as it is declared.
    pub repository: Text,
    /// The folder of the project in it.
    pub directory: Text,
    /// The commit that runs; nothing where none does.
    pub from: Option<Text>,
    /// The commit that is to run.
    pub to: Text,
}

impl FromIterator<(Move, Movement)> for Movements {
    fn from_iter<I: IntoIterator<Item = (Move, Movement)>>(moves: I) -> Self {
        Self(moves.into_iter().collect())
    }
}

impl Movements {
    /// What lies between the commits of a move.
    pub fn of(&self, wanted: &Move) -> Option<&Movement> {
        self.0.get(wanted)
    }
}

/// Which pipelines read which fields, by the code that they are of.
#[derive(Debug, Clone, Default)]
pub struct Readers(BTreeMap<Project, BTreeMap<FieldPath, Vec<Text>>>);

/// The code of a project: the repository, the folder of the project in it, and the commit.
pub type Project = (Text, Text, Text);

impl FromIterator<(Project, BTreeMap<FieldPath, Vec<Text>>)> for Readers {
    fn from_iter<I: IntoIterator<Item = (Project, BTreeMap<FieldPath, Vec<Text>>)>>(read: I) -> Self {
        Self(read.into_iter().collect())
    }
}

impl Readers {
    /// The pipelines of the code of a workspace that read a field.
    pub fn of(&self, workspace: &Workspace, path: &FieldPath) -> Vec<Text> {
        let code = workspace.code.as_ref();
        let key = code.and_then(|code| {
            Some((code.repository.clone(), code.source.directory.clone(), code.commit.as_ref().ok()?.clone()))
        });
        let read = key.and_then(|key| self.0.get(&key)?.get(path));
        read.cloned().unwrap_or_default()
    }
}

/// What was declared at a revision. A plan that converges then has steps only for what is declared otherwise now, and
/// sets everything else apart. Guards count the whole, as they do under a filter.
#[derive(Debug, Clone)]
pub struct Baseline<'a> {
    /// The revision as it was given.
    pub revision: Text,
    /// Its commit.
    pub commit: Text,
    /// What was declared.
    pub desired: &'a Desired,
}

/// Which steps are wanted. It narrows steps, never guards.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Names of environments; none for all.
    pub environments: Vec<Text>,
    /// Names of workspaces, in the declarations or in the cluster; none for all.
    pub workspaces: Vec<Text>,
}

impl Filter {
    /// Whether steps of this workspace are wanted.
    pub fn selects(&self, environment: &str, declared: &str, name: &WorkspaceName) -> bool {
        let Self { environments, workspaces } = self;
        let any = |names: &[Text], is: &dyn Fn(&Text) -> bool| names.is_empty() || names.iter().any(is);
        any(environments, &|wanted| wanted == environment)
            && any(workspaces, &|wanted| wanted == declared || wanted == name.as_str())
    }
}

/// What a plan is to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Intent {
    /// The clusters are as declared.
    #[default]
    Converge,
    /// The selected managed workspaces that run are restarted, and nothing else.
    Restart,
    /// The selected managed workspaces are deleted, later stages first, and nothing else.
    Destroy,
    /// What was left behind by creates and deletes that failed is removed, and nothing else.
    Orphans,
    /// The selected managed workspaces that are not declared lose their marks, and nothing else.
    Forget,
}
