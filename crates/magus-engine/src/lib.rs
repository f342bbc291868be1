//! What an engine can do: read a cluster ([`Observe`]), do single steps in it ([`Perform`]) and, where a Mage runs, verify what
//! its pipelines do ([`Validate`]).
//!
//! The traits are object-safe and speak plain data. This crate knows no engine, no plan as a whole and no order of
//! steps: which step may begin when is decided before a [`Perform`] is asked, and what an answer means after it.

mod error;

use std::{
    path::Path,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use magus_model::{
    Text,
    name::WorkspaceName,
    observed::Observation,
    path::FieldPath,
    plan::{Deploy, MarkRefresh, Step},
    source::ProjectSource,
    value::SecretReference,
};
use magus_secrets::Resolver;

pub use error::{EngineError, EngineErrorKind, PerformError, unchecked, uncommitted};

/// Reads a cluster. Never changes anything in it, and needs no secret of a workspace.
pub trait Observe: Send + Sync {
    /// What is there. `declared` are the workspaces that the caller will ask about; an engine whose lists are known to
    /// omit some looks these up one by one. Where a workspace may be deleted, because it is not among them, an engine that
    /// keeps code looks for work of people in it.
    ///
    /// # Errors
    /// Where the cluster as a whole could not be read. A single workspace that could not is in
    /// [`Observation::unknown`].
    fn observe(&self, declared: &[Declared]) -> Result<Observation, EngineError>;

    /// What the cluster is, for people: names and values, such as `version` and `0.9.80`. May ask the cluster more
    /// than [`Observe::observe`] does.
    ///
    /// # Errors
    /// As of [`Observe::observe`].
    fn about(&self) -> Result<Vec<(&'static str, String)>, EngineError>;
}

/// What an observation has to know about a declared workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its name in the cluster.
    pub name: WorkspaceName,
    /// Whether to look for work of people in its code whatever it is to run: because it may be deleted although it is
    /// declared, or because somebody wants to know.
    pub look_for_work: bool,
    /// Whether it has secrets of its own, which only its own server knows.
    pub secrets: bool,
    /// The code that it is to run, where any is deployed to it.
    pub code: Option<DeclaredCode>,
}

/// What an observation has to know about the code of a declared workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredCode {
    /// The full number of the commit; nothing where nobody can say. Where another one runs, an engine also looks for work of
    /// people that a deploy would take away.
    pub commit: Option<Text>,
    /// Where the code comes from. If the code that runs came from elsewhere, an engine looks for uncommitted changes too.
    pub source: ProjectSource,
    /// Whether a deployment of Mage Pro puts it there, of which nobody is told what became.
    pub untold: bool,
}

/// Where the files of a step that deploys come from.
#[derive(Debug, Clone, Copy)]
pub struct CodeSource<'a> {
    /// The git directory of the pipelines' repository, or of its mirror.
    pub git: &'a Path,
    /// The project in it, as it is declared now. A step deploys from nowhere but the source that it names: see
    /// [`CodeSource::of_step`].
    pub source: &'a ProjectSource,
}

impl<'a> CodeSource<'a> {
    /// The source of a step's code.
    ///
    /// # Errors
    /// If the step names another source than the declared one, or none is known: then nothing may be deployed.
    pub fn of_step(code: Option<Self>, deploy: &Deploy) -> Result<Self, PerformError> {
        let code = code.ok_or_else(|| {
            PerformError::Failed("the repository of the step's code is not known".to_owned())
        })?;
        if *code.source == deploy.source {
            return Ok(code);
        }
        let (planned, declared) = (&deploy.source, code.source);
        Err(PerformError::Moved(format!(
            "the plan deploys from `{}` in `{}`, and `{}` in `{}` is declared now; plan again",
            planned.directory, planned.repository, declared.directory, declared.repository
        )))
    }
}

/// Does single steps. Called from several threads at once, never twice at once for the same workspace.
pub trait Perform: Send + Sync {
    /// Does one step: checks its precondition right before the write, sends exactly its fields, leaves its mark.
    ///
    /// # Errors
    /// See [`PerformError`]: only [`PerformError::Uncertain`] leaves open whether the step was done.
    fn perform(&self, task: &Task<'_>) -> Result<(), PerformError>;

    /// The secrets that a step sends although it does not change them, because the workspace has lost their values. They are
    /// resolved before the first step begins.
    fn lost_secrets(&self, _step: &Step) -> Vec<(FieldPath, SecretReference)> {
        Vec::new()
    }

    /// Writes a mark where nothing else changes. Never restarts anything.
    ///
    /// # Errors
    /// [`PerformError::Moved`] where the workspace is no longer the one that was observed; its mark is then as before.
    fn refresh_mark(&self, refresh: &MarkRefresh) -> Result<(), PerformError>;

    /// What tells a workspace from another one of the same name that was there before, as
    /// [`magus_model::observed::ObservedWorkspace::identity`]: of one that a step made or changed. Nothing if it is not known.
    fn identity(&self, workspace: &WorkspaceName) -> Option<Text> {
        let _ = workspace;
        None
    }

    /// Which of these secrets of a workspace have another value than the one that runs, although the workspace holds
    /// the same reference with the same version. Resolves each of them; kept ones, those that the workspace does
    /// not hold and those whose running value is not known are left out.
    ///
    /// # Errors
    /// [`PerformError::Failed`] where a secret cannot be resolved or the workspace cannot be read.
    fn secret_changes(
        &self,
        workspace: &WorkspaceName,
        fields: &[(FieldPath, SecretReference)],
        secrets: &Resolver,
    ) -> Result<Vec<FieldPath>, PerformError>;
}

/// Runs pipelines in workspaces, to verify what they run.
pub trait Validate: Send + Sync {
    /// Starts the API trigger of a pipeline, and waits until the run has ended. `told` hears what happens meanwhile.
    ///
    /// # Errors
    /// [`PerformError::NotStarted`] and [`PerformError::Failed`] where nothing was started, [`PerformError::Uncertain`] where
    /// nobody saw how it ended.
    fn run_pipeline(
        &self,
        workspace: &WorkspaceName,
        pipeline: &str,
        until: Instant,
        cancelled: &AtomicBool,
        told: &dyn Fn(&str),
    ) -> Result<PipelineRun, PerformError>;
}

/// A run of a pipeline that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineRun {
    /// Whether every block of it succeeded.
    pub passed: bool,
    /// How it ended, in the engine's word: `completed`.
    pub status: Text,
    /// Where people see it.
    pub url: Text,
}

/// See [`Task::move_branch`]; the error is why the branch did not move.
pub type MoveBranch<'a> = dyn Fn() -> Result<(), String> + Sync + 'a;

/// One step, and what is needed to do it.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// The step.
    pub step: &'a Step,
    /// Where the values of its secrets come from.
    pub secrets: &'a Resolver,
    /// Where the code comes from, where it deploys.
    pub code: Option<CodeSource<'a>>,
    /// Whether the step also sends the current values of the secrets that it does not change: `--refresh-secrets`
    /// names its environment. One restart is then enough for both.
    pub refresh_secrets: bool,
    /// Whether the plan accepts that the step loses uncommitted changes: `--discard-changes` names its workspace.
    pub discard_changes: bool,
    /// Moves the deploy branch of the workspace to the commit of the plan. An engine whose workspaces follow one calls it once the
    /// preconditions of the step hold, right before the request after which the workspace looks there.
    pub move_branch: &'a MoveBranch<'a>,
    /// How long a step that would interrupt running pipelines waits for them, as `rollout.wait_for_runs` of its
    /// environment says; nothing to wait for where it is zero.
    pub wait_for_runs: Duration,
    /// Set by a signal: who waits for something stops waiting, and says what is not known.
    pub cancelled: &'a AtomicBool,
}

impl<'a> Task<'a> {
    /// A step that waits for no pipeline, in an apply that nobody stops.
    pub fn new(step: &'a Step, secrets: &'a Resolver) -> Self {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Self {
            step,
            secrets,
            code: None,
            refresh_secrets: false,
            discard_changes: false,
            move_branch: &|| Ok(()),
            wait_for_runs: Duration::ZERO,
            cancelled: &NEVER,
        }
    }
}
