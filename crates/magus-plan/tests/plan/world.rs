//! Builds declarations and clusters in a few words.

use std::collections::BTreeMap;

use magus_diff::diff_recalled;
use magus_model::{
    Text,
    desired::{
        Cluster, Code, Desired, DesiredState, Engine, Environment, Field, Gates, Layer, MaxDeletes, Rollout,
        Workspace,
    },
    name::WorkspaceName,
    observed::{
        Capabilities, Evidence as MarkEvidence, FieldCapability, Observation, Recalled, Recollection,
    },
    path::FieldPath,
    plan::{Overrides, Plan, Source},
    source::ProjectSource,
    span::{FileId, SourceFile, Sources, Span},
    value::{FieldValue, SecretReference, SecretSource, Value},
};
use magus_plan::{Baseline, Evidence, Filter, Intent, Movements, PlanRequest, plan};

use crate::simulate;

/// What is declared, what is there, and how a plan is asked for.
#[derive(Debug, Clone)]
pub struct World {
    pub desired: Desired,
    pub observations: Vec<Observation>,
    /// What proves that workspaces without a mark are ours.
    pub recollection: Recollection,
    pub overrides: Overrides,
    pub filter: Filter,
    pub intent: Intent,
    /// What was declared at `main`, for plans of what changed since.
    pub since: Option<Desired>,
    /// What lies between commits.
    pub movements: Movements,
    pub evidence: Evidence,
    pub now: &'static str,
}

/// The file in which every test declares everything, one line for each line number.
pub fn sources() -> Sources {
    Sources::new(vec![SourceFile::new("environments/cluster.yaml", "x\n".repeat(100))])
}

/// The place of a line in it.
pub fn line(line: u32) -> Span {
    Span::new(FileId(0), (line - 1) * 2, (line - 1) * 2 + 1)
}

pub fn plain(text: &str) -> FieldValue {
    FieldValue::Plain(Value::string(text))
}

pub fn secret(name: &str, version: i64) -> FieldValue {
    FieldValue::from(SecretReference {
        source: SecretSource::Env(name.into()),
        version: Some(version),
        keep: false,
    })
}

pub fn kept(name: &str) -> FieldValue {
    FieldValue::from(SecretReference { source: SecretSource::Env(name.into()), version: None, keep: true })
}

/// A workspace that runs with nothing set.
pub fn workspace(name: &str) -> Workspace {
    Workspace {
        name: WorkspaceName::observed(name),
        declared: name.into(),
        state: DesiredState::Running,
        state_span: Span::BUILT_IN,
        fields: Vec::new(),
        moved_from: None,
        code: None,
        provided: Vec::new(),
        owner: None,
        span: line(1),
    }
}

/// The head of `main`, which is this commit.
pub fn code(commit: &str) -> Code {
    Code {
        repository: "code.git".into(),
        source: ProjectSource { repository: "./code.git".into(), directory: ".".into(), deployment: None },
        branch: "main".into(),
        pinned: None,
        once: false,
        follows: None,
        commit: Ok(commit.into()),
        choice: magus_model::desired::CommitChoice::Declared,
        span: line(3),
    }
}

/// The workspace with one more field, or another value of one.
pub fn set(mut workspace: Workspace, path: &str, value: impl Into<FieldValue>) -> Workspace {
    let field =
        Field { path: FieldPath::from(path), value: value.into(), span: line(12), layer: Layer::Workspace };
    workspace.fields.retain(|other| other.path != field.path);
    let at = workspace.fields.partition_point(|other| other.path < field.path);
    workspace.fields.insert(at, field);
    workspace
}

pub fn environment(name: &str, stage: u32, workspaces: Vec<Workspace>) -> Environment {
    Environment {
        name: name.into(),
        stage,
        promotes_from: None,
        protected: false,
        rollout: Rollout::default(),
        gates: Gates::default(),
        verify: Default::default(),
        hold: None,
        branch_workspaces: None,
        workspaces,
        span: line(1),
    }
}

pub fn cluster(name: &str, environments: Vec<Environment>) -> Cluster {
    Cluster {
        name: name.into(),
        managed_by: "team".into(),
        engine: Engine::Local { path: ".magus".into() },
        declared_on: None,
        history: None,
        max_deletes: MaxDeletes::default(),
        environments,
        span: line(1),
    }
}

/// An engine that renames, cannot change `storage_class_name` and cannot read `secrets` back, where `lifecycle_config`
/// changes without a restart and the server fills in a service account.
pub fn capabilities() -> Capabilities {
    let usual = FieldCapability::default();
    Capabilities {
        rename: true,
        deploys: true,
        starts_from_branch: false,
        fields: vec![
            (FieldPath::from("storage_class_name"), FieldCapability { create_only: true, ..usual }),
            (FieldPath::from("secrets"), FieldCapability { readable: false, ..usual }),
            (FieldPath::from("lifecycle_config"), FieldCapability { restarts: false, ..usual }),
            (FieldPath::from("name"), FieldCapability { restarts: false, ..usual }),
        ],
        defaults: BTreeMap::from([(FieldPath::from("service_account_name"), Value::string("default"))]),
        refused: BTreeMap::new(),
    }
}

impl World {
    /// Clusters in which nothing is yet.
    pub fn empty(clusters: Vec<Cluster>) -> Self {
        let observations = clusters
            .iter()
            .map(|cluster| Observation {
                cluster: cluster.name.clone(),
                capabilities: capabilities(),
                ..Observation::default()
            })
            .collect();
        Self {
            desired: Desired { clusters },
            observations,
            recollection: Recollection::new(),
            overrides: Overrides::default(),
            filter: Filter::default(),
            intent: Intent::Converge,
            since: None,
            movements: Movements::default(),
            evidence: Evidence::default(),
            now: "2026-08-01T10:00:00Z",
        }
    }

    /// One cluster, `acme`, that is as declared.
    pub fn applied(environments: Vec<Environment>) -> Self {
        Self::all_applied(vec![cluster("acme", environments)])
    }

    /// Clusters that are as declared.
    pub fn all_applied(clusters: Vec<Cluster>) -> Self {
        let mut world = Self::empty(clusters);
        let plan = world.plan();
        assert_eq!(plan.withheld, []);
        simulate::apply(&mut world.observations, &plan.steps).expect("a first apply");
        world
    }

    pub fn plan(&self) -> Plan {
        self.plan_as(&["magus", "plan"])
    }

    pub fn plan_as(&self, command: &[&str]) -> Plan {
        let sources = sources();
        let changes = diff_recalled(&self.desired, &self.observations, &self.recollection, &sources);
        let plan = plan(&PlanRequest {
            desired: &self.desired,
            changes: &changes,
            filter: self.filter.clone(),
            overrides: self.overrides.clone(),
            newer: Vec::new(),
            source: Source { path: "environments".into(), revision: None, dirty: false },
            now: self.now.parse().expect("a time"),
            magus_version: "0.1.0".into(),
            diagnostics: Vec::new(),
            intent: self.intent,
            since: self.since.as_ref().map(|desired| Baseline {
                revision: "main".into(),
                commit: "3f2a9c1".into(),
                desired,
            }),
            assumed: BTreeMap::new(),
            movements: self.movements.clone(),
            readers: magus_plan::Readers::default(),
            evidence: self.evidence.clone(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
        });
        if self.since.is_none() {
            let faults =
                magus_check::check_owners(&plan, &self.desired, &self.observations, &self.recollection);
            assert_eq!(faults, []);
        }
        plan
    }

    /// Declares other environments for the first cluster.
    pub fn declare(&mut self, environments: Vec<Environment>) -> &mut Self {
        self.desired.clusters[0].environments = environments;
        self
    }

    /// Edits a workspace in the first cluster, as people do behind everybody's back.
    pub fn edit(
        &mut self,
        name: &str,
        edit: impl FnOnce(&mut magus_model::observed::ObservedWorkspace),
    ) -> &mut Self {
        let present = &mut self.observations[0].present;
        let observed = present.get_mut(&WorkspaceName::observed(name)).expect("a workspace to edit");
        edit(observed);
        observed.revision = simulate::revision(observed);
        self
    }

    /// Removes the mark of a workspace in the first cluster, which the history still knows.
    pub fn lose_mark(&mut self, name: &str) -> &mut Self {
        let recalled = Recalled {
            evidence: MarkEvidence::History { entry: "1".into(), at: "2026-07-01T10:00:00Z".into() },
            environment: self.desired.clusters[0].environments[0].name.clone(),
            protected: false,
            mark: None,
        };
        let cluster = self.desired.clusters[0].name.clone();
        self.recollection.entry(cluster).or_default().insert(WorkspaceName::observed(name), recalled);
        self.edit(name, |observed| observed.mark = None)
    }

    /// Sets a field of a workspace in the first cluster.
    pub fn drift(&mut self, name: &str, path: &str, value: FieldValue) -> &mut Self {
        self.edit(name, |observed| simulate::set(observed, &FieldPath::from(path), Some(value)))
    }
}

/// `~ acme/a` and the like: each step's symbol, cluster and workspace.
pub fn steps(plan: &Plan) -> Vec<String> {
    plan.steps
        .iter()
        .map(|step| format!("{} {}/{}", step.action.symbol(), step.cluster, step.workspace))
        .collect()
}

/// What is withheld: workspace, action and guard.
pub fn withheld(plan: &Plan) -> Vec<String> {
    let one = |held: &magus_model::plan::Withheld| {
        format!("{} {} {}", held.workspace, held.action.as_str(), held.guard.as_str())
    };
    plan.withheld.iter().map(one).collect()
}

/// What is set apart: action, workspace and paths.
pub fn apart(plan: &Plan) -> Vec<String> {
    let since = plan.since.as_ref().expect("a plan of what changed since a revision");
    let one = |apart: &magus_model::plan::Apart| {
        let paths: Vec<_> = apart.fields.iter().map(|field| field.path.as_str()).collect();
        format!("{} {} [{}]", apart.action.symbol(), apart.workspace, paths.join(" "))
    };
    since.apart.iter().map(one).collect()
}

/// The fields of a step: path, before, after and reason.
pub fn fields(plan: &Plan, id: &str) -> Vec<String> {
    let step = plan
        .steps
        .iter()
        .find(|step| step.id == id)
        .unwrap_or_else(|| panic!("no step {id}: {:?}", steps(plan)));
    let text =
        |value: &Option<FieldValue>| value.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let one = |field: &magus_model::plan::FieldChange| {
        format!("{}: {} → {} {}", field.path, text(&field.before), text(&field.after), field.reason.as_str())
    };
    step.fields.iter().map(one).collect()
}

pub fn names(names: &[&str]) -> Vec<Text> {
    names.iter().map(|name| Text::from(*name)).collect()
}
