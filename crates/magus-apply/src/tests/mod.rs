//! An engine in memory whose steps fail, panic or wait on request, and what an apply makes of it.

mod follows;
mod outcomes;
mod properties;
mod secrets;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
        mpsc,
    },
    time::Duration,
};

use jiff::Timestamp;
use magus_engine::{Perform, PerformError, Task};
use magus_model::{
    Text,
    desired::{
        Cluster, Desired, DesiredState, Engine, Environment, Field, Gates, Layer, MaxDeletes, Rollout,
        Workspace,
    },
    name::WorkspaceName,
    observed::Mark,
    path::FieldPath,
    plan::{Action, MarkRefresh, Overrides, Plan, Precondition, Restarts, Source, Step, Summary},
    report::{ApplyReport, Outcome},
    span::Span,
    value::{FieldValue, SecretReference, SecretSource},
};
use magus_secrets::Resolver;

use crate::{ApplyRequest, BranchMove, Event, MoveBranch, apply_plan};

/// What an engine does with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Fails,
    Uncertain,
    Moved,
    Waits,
    Panics,
}

/// How long a test waits for what has to come.
const DEADLINE: Duration = Duration::from_secs(30);

/// Does nothing but remember. Steps with a gate wait at it until the test lets one through.
#[derive(Default)]
struct Memory {
    faults: BTreeMap<Text, Fault>,
    gates: Mutex<BTreeMap<Text, mpsc::Receiver<()>>>,
    asked: Mutex<Vec<Text>>,
    done: Mutex<BTreeSet<Text>>,
    marks: Mutex<Vec<WorkspaceName>>,
    /// The running value of each secret.
    running: BTreeMap<(WorkspaceName, FieldPath), String>,
    /// Steps that were told to refresh secrets.
    refreshing: Mutex<Vec<Text>>,
}

impl Memory {
    fn fault(step: &str, fault: Fault) -> Self {
        Self::faults([(step, fault)])
    }

    fn faults<'a>(faults: impl IntoIterator<Item = (&'a str, Fault)>) -> Self {
        let faults = faults.into_iter().map(|(step, fault)| (step.into(), fault)).collect();
        Self { faults, ..Self::default() }
    }

    /// Makes a step wait until something is sent, or the sender is dropped.
    fn gate(&self, step: &str) -> mpsc::Sender<()> {
        let (sender, receiver) = mpsc::channel();
        self.gates.lock().unwrap().insert(step.into(), receiver);
        sender
    }

    fn answer(&self, id: &Text) -> Result<(), PerformError> {
        match self.faults.get(id) {
            None => Ok(()),
            Some(Fault::Fails) => Err(PerformError::Failed("the disk is full".into())),
            Some(Fault::Uncertain) => Err(PerformError::Uncertain("no answer within 30 s".into())),
            Some(Fault::Moved) => Err(PerformError::Moved("somebody else changed it".into())),
            Some(Fault::Waits) => Err(PerformError::NotStarted("it would interrupt 2 pipeline runs".into())),
            Some(Fault::Panics) => panic!("a fault that a test asked for"),
        }
    }
}

impl Perform for Memory {
    fn perform(&self, task: &Task<'_>) -> Result<(), PerformError> {
        let id = &task.step.id;
        self.asked.lock().unwrap().push(id.clone());
        if task.refresh_secrets {
            self.refreshing.lock().unwrap().push(id.clone());
        }
        let gate = self.gates.lock().unwrap().remove(id);
        if let Some(gate) = gate {
            let _ = gate.recv_timeout(DEADLINE);
        }
        (task.move_branch)().map_err(PerformError::Failed)?;
        self.answer(id)?;
        self.done.lock().unwrap().insert(id.clone());
        Ok(())
    }

    fn refresh_mark(&self, refresh: &MarkRefresh) -> Result<(), PerformError> {
        self.answer(&format!("mark/{}", refresh.workspace).into())?;
        self.marks.lock().unwrap().push(refresh.workspace.clone());
        Ok(())
    }

    fn secret_changes(
        &self,
        workspace: &WorkspaceName,
        fields: &[(FieldPath, SecretReference)],
        secrets: &Resolver,
    ) -> Result<Vec<FieldPath>, PerformError> {
        self.answer(&format!("compare/{workspace}").into())?;
        let differs = |(path, reference): &&(FieldPath, SecretReference)| {
            let value = secrets.resolve(reference).unwrap();
            let running = self.running.get(&(workspace.clone(), path.clone()));
            running.is_some_and(|running| running != value.expose())
        };
        Ok(fields.iter().filter(differs).map(|(path, _)| path.clone()).collect())
    }
}

/// `acme` and `beta`, each with development, staging and production, with these rollouts everywhere.
fn desired(rollout: Rollout) -> Desired {
    let environment = |(stage, name): (u32, &str)| Environment {
        name: name.into(),
        stage,
        promotes_from: None,
        protected: false,
        rollout,
        gates: Gates::default(),
        verify: Default::default(),
        hold: None,
        branch_workspaces: None,
        workspaces: Vec::new(),
        span: Span::BUILT_IN,
    };
    let cluster = |name: &str| Cluster {
        name: name.into(),
        managed_by: name.into(),
        engine: Engine::Local { path: name.into() },
        declared_on: None,
        history: None,
        max_deletes: MaxDeletes::default(),
        environments: [(0, "development"), (1, "staging"), (2, "production")].map(environment).into(),
        span: Span::BUILT_IN,
    };
    Desired { clusters: vec![cluster("acme"), cluster("beta")] }
}

/// A workspace with one variable that comes from this reference.
fn with_secret(desired: &mut Desired, environment: usize, name: &str, reference: SecretReference) {
    let field = Field {
        path: "env.API_KEY".into(),
        value: FieldValue::from(reference),
        span: Span::BUILT_IN,
        layer: Layer::Workspace,
    };
    desired.clusters[0].environments[environment].workspaces.push(Workspace {
        name: WorkspaceName::observed(name),
        declared: name.into(),
        state: DesiredState::Running,
        state_span: Span::BUILT_IN,
        fields: vec![field],
        moved_from: None,
        code: None,
        provided: Vec::new(),
        owner: None,
        span: Span::BUILT_IN,
    });
}

fn from_env(name: &str) -> SecretReference {
    SecretReference { source: SecretSource::Env(name.into()), version: None, keep: false }
}

fn step(cluster: &str, environment: &str, workspace: &str, action: Action) -> Step {
    Step {
        id: format!("{cluster}/{workspace}/{}", action.as_str()).into(),
        cluster: cluster.into(),
        environment: environment.into(),
        workspace: WorkspaceName::observed(workspace),
        action,
        reason: String::new(),
        restarts: if action == Action::Restart { Restarts::Yes } else { Restarts::No },
        needs: Vec::new(),
        precondition: Precondition::Revision("sha256:1".into()),
        fields: Vec::new(),
        restores: Vec::new(),
        deploy: None,
        renamed_from: None,
        mark: None,
    }
}

/// Updates in `acme`, each `ENVIRONMENT/WORKSPACE`.
fn updates(places: &[&str]) -> Vec<Step> {
    let step = |place: &&str| {
        let (environment, workspace) = place.split_once('/').unwrap();
        step("acme", environment, workspace, Action::Update)
    };
    places.iter().map(step).collect()
}

fn plan(steps: Vec<Step>) -> Plan {
    Plan {
        format_version: 1,
        magus_version: "0.1.0".into(),
        clusters: Vec::new(),
        source: Source { path: "environments".into(), revision: None, dirty: false },
        created_at: "2026-01-01T00:00:00Z".into(),
        digest: "sha256:2".into(),
        has_changes: !steps.is_empty(),
        summary: Summary::default(),
        overrides: Overrides::default(),
        steps,
        withheld: Vec::new(),
        refused: Vec::new(),
        unmanaged: Vec::new(),
        heads: Vec::new(),
        orphans: Vec::new(),
        incomplete: Vec::new(),
        unknown: Vec::new(),
        diagnostics: Vec::new(),
        since: None,
        assumed: BTreeMap::new(),
        marks: Vec::new(),
    }
}

fn mark(environment: &str, workspace: &str) -> MarkRefresh {
    MarkRefresh {
        cluster: "acme".into(),
        workspace: WorkspaceName::observed(workspace),
        revision: "sha256:1".into(),
        mark: Mark {
            managed_by: "acme".into(),
            environment: environment.into(),
            workspace: workspace.into(),
            protected: true,
            source: None,
            applied: BTreeMap::new(),
            resume: false,
            declarations: None,
        },
    }
}

/// An event, as tests compare it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Wave(usize, usize, Vec<String>),
    Began(String),
    Ended(String, Outcome),
    Interrupted(usize),
    Note(String),
}

impl From<Event<'_>> for Told {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::WaveStarted { number, of, environments, .. } => {
                let names =
                    environments.iter().map(|(cluster, environment)| format!("{cluster}/{environment}"));
                Told::Wave(number, of, names.collect())
            }
            Event::StepStarted { step } => Told::Began(step.id.to_string()),
            Event::StepFinished { step, result } => Told::Ended(step.id.to_string(), result.outcome),
            Event::Interrupted { running } => Told::Interrupted(running),
            Event::Note { text } => Told::Note(text.to_owned()),
        }
    }
}

/// The surroundings of an apply, to be changed before it runs.
struct Scene<'a> {
    desired: Desired,
    jobs: usize,
    cancelled: AtomicBool,
    variables: BTreeMap<&'static str, &'static str>,
    /// Told each event as well, while the apply runs.
    listen: &'a (dyn Fn(&Told, &AtomicBool) + Sync),
    /// Asked before each wave.
    may_go_on: &'a (dyn Fn() -> Result<(), String> + Sync),
    /// Moves the branches that workspaces follow.
    move_branch: &'a MoveBranch<'a>,
}

impl Default for Scene<'_> {
    fn default() -> Self {
        let desired = desired(Rollout::default());
        Self {
            desired,
            jobs: 4,
            cancelled: false.into(),
            variables: BTreeMap::new(),
            listen: &|_, _| (),
            may_go_on: &|| Ok(()),
            move_branch: &|_| Ok(()),
        }
    }
}

impl Scene<'_> {
    /// Applies a plan to the engine, which serves both clusters.
    fn run(&self, plan: &Plan, engine: &Memory) -> (ApplyReport, Vec<Told>) {
        let engine: &dyn Perform = engine;
        let engines = BTreeMap::from([("acme".into(), engine), ("beta".into(), engine)]);
        let variables = self.variables.clone();
        let environment = move |name: &str| variables.get(name).map(OsString::from);
        let secrets = Resolver::new(PathBuf::from("/nowhere"), Box::new(environment));
        let told = Mutex::new(Vec::new());
        let second = AtomicI64::new(0);
        let report = apply_plan(
            plan,
            &ApplyRequest {
                engines: &engines,
                desired: &self.desired,
                secrets: &secrets,
                repositories: &BTreeMap::new(),
                move_branch: self.move_branch,
                selected: &|_, _| true,
                jobs: self.jobs,
                may_go_on: self.may_go_on,
                cancelled: &self.cancelled,
                clock: &|| Timestamp::from_second(second.fetch_add(1, Ordering::Relaxed)).unwrap(),
                events: &|event| {
                    let event = Told::from(event);
                    (self.listen)(&event, &self.cancelled);
                    told.lock().unwrap().push(event);
                },
            },
        );
        (report, told.into_inner().unwrap())
    }
}

fn outcomes(report: &ApplyReport) -> Vec<Outcome> {
    report.results.iter().map(|result| result.outcome).collect()
}

fn message(report: &ApplyReport, at: usize) -> &str {
    report.results[at].message.as_deref().unwrap_or_default()
}
