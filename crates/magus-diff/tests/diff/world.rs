//! Builds declarations and clusters in a few words.

use std::collections::BTreeMap;

use magus_diff::{Change, ChangeSet, Update, diff, digest};
use magus_model::{
    Text,
    desired::{
        Cluster, Desired, DesiredState, Engine, Environment, Field, Gates, Layer, MaxDeletes, Rollout,
        Workspace,
    },
    name::WorkspaceName,
    observed::{Capabilities, Mark, Observation, ObservedCode, ObservedField, ObservedWorkspace, RunState},
    path::FieldPath,
    plan::FieldChange,
    span::{FileId, SourceFile, Sources, Span},
    value::{FieldValue, SecretReference, SecretSource, Value},
};

pub fn plain(value: impl Into<Any>) -> FieldValue {
    FieldValue::Plain(value.into().0)
}

/// A value that tests write as they like.
pub struct Any(pub Value);

impl From<&str> for Any {
    fn from(text: &str) -> Self {
        Self(Value::string(text))
    }
}

impl From<i64> for Any {
    fn from(value: i64) -> Self {
        Self(Value::Int(value))
    }
}

impl From<f64> for Any {
    fn from(value: f64) -> Self {
        Self(Value::Float(value))
    }
}

impl From<bool> for Any {
    fn from(value: bool) -> Self {
        Self(Value::Bool(value))
    }
}

impl From<Value> for Any {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

pub fn secret(name: &str, version: Option<i64>) -> FieldValue {
    FieldValue::from(SecretReference { source: SecretSource::Env(name.into()), version, keep: false })
}

pub fn kept(name: &str) -> FieldValue {
    FieldValue::from(SecretReference { source: SecretSource::Env(name.into()), version: None, keep: true })
}

pub fn list(items: &[Value]) -> Value {
    Value::List(items.to_vec())
}

pub fn map(entries: &[(&str, Value)]) -> Value {
    Value::Map(entries.iter().map(|(key, value)| (Text::from(*key), value.clone())).collect())
}

pub fn sources() -> Sources {
    Sources::new(vec![SourceFile::new("environments/a.yaml", "x\n".repeat(100))])
}

pub fn line(line: u32) -> Span {
    Span::new(FileId(0), (line - 1) * 2, (line - 1) * 2 + 1)
}

pub fn workspace(name: &str, fields: &[(&str, FieldValue)]) -> Workspace {
    let mut fields: Vec<_> = fields
        .iter()
        .map(|(path, value)| Field {
            path: FieldPath::from(*path),
            value: value.clone(),
            span: line(12),
            layer: Layer::Workspace,
        })
        .collect();
    fields.sort_by(|a, b| a.path.cmp(&b.path));
    Workspace {
        name: WorkspaceName::observed(name),
        declared: name.into(),
        state: DesiredState::Running,
        state_span: line(7),
        fields,
        moved_from: None,
        code: None,
        provided: Vec::new(),
        owner: None,
        span: line(1),
    }
}

pub fn environment(name: &str, workspaces: Vec<Workspace>) -> Environment {
    Environment {
        name: name.into(),
        stage: 0,
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

pub fn cluster(environments: Vec<Environment>) -> Cluster {
    Cluster {
        name: "acme".into(),
        managed_by: "team".into(),
        engine: Engine::Local { path: ".magus".into() },
        declared_on: None,
        history: None,
        max_deletes: MaxDeletes::default(),
        environments,
        span: line(1),
    }
}

/// A mark of ours that remembers these fields, and that it was to run.
pub fn mark(workspace: &str, applied: &[(&str, FieldValue)]) -> Mark {
    let mut applied: BTreeMap<_, _> = applied
        .iter()
        .map(|(path, value)| (FieldPath::from(*path), digest(&FieldPath::from(*path), value)))
        .collect();
    applied.entry("state".into()).or_insert_with(|| digest(&"state".into(), &plain("running")));
    Mark {
        managed_by: "team".into(),
        environment: "development".into(),
        workspace: workspace.into(),
        protected: false,
        source: None,
        applied,
        resume: false,
        declarations: None,
    }
}

pub fn observed(name: &str, fields: &[(&str, FieldValue)], mark: Option<Mark>) -> ObservedWorkspace {
    let mut fields: Vec<_> = fields
        .iter()
        .map(|(path, value)| ObservedField { path: FieldPath::from(*path), value: value.clone() })
        .collect();
    fields.sort_by(|a, b| a.path.cmp(&b.path));
    ObservedWorkspace {
        name: WorkspaceName::observed(name),
        state: RunState::Running,
        fields,
        lost: Vec::new(),
        sensitive: Default::default(),
        missing: Vec::new(),
        code: ObservedCode::default(),
        identity: None,
        copy: None,
        mark,
        revision: "sha256:1".into(),
    }
}

pub fn observation(capabilities: Capabilities, present: Vec<ObservedWorkspace>) -> Observation {
    Observation {
        cluster: "acme".into(),
        capabilities,
        present: present.into_iter().map(|observed| (observed.name.clone(), observed)).collect(),
        ..Observation::default()
    }
}

/// What became of each declared workspace, in a word or with its fields.
pub fn told(changes: &ChangeSet<'_>) -> Vec<String> {
    let all = changes.clusters.iter().flat_map(|cluster| &cluster.workspaces);
    all.map(|change| format!("{}: {}", change.workspace.name, tell(&change.change))).collect()
}

fn tell(change: &Change<'_>) -> String {
    match change {
        Change::Create(fields) => format!("create {}", shown(fields)),
        Change::Update(update) => {
            let Update { fields, state, restart, ownership, .. } = &**update;
            let all: Vec<_> = fields.iter().chain(state).chain(restart).chain(ownership).cloned().collect();
            format!("update of {} {}", update.observed.name, shown(&all))
        }
        Change::Unchanged { stale: false, .. } => "unchanged".to_owned(),
        Change::Unchanged { stale: true, .. } => "stale".to_owned(),
        Change::Adopt { .. } => "adopt".to_owned(),
        Change::Conflict { conflict, .. } => format!("{conflict:?}"),
        Change::Unknown(reason) => format!("unknown, {reason}"),
    }
}

pub fn shown(fields: &[FieldChange]) -> String {
    let text =
        |value: &Option<FieldValue>| value.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let one = |field: &FieldChange| {
        let sensitive = if field.sensitive { " sensitive" } else { "" };
        let status =
            if field.status == magus_model::plan::FieldStatus::Unverifiable { " unverifiable" } else { "" };
        let (before, after, reason) = (text(&field.before), text(&field.after), field.reason.as_str());
        format!("{}: {before} → {after} {reason}{sensitive}{status}", field.path)
    };
    fields.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The differences of one cluster with one environment.
pub fn told_of(declared: Vec<Workspace>, observation: Observation) -> Vec<String> {
    let desired = Desired { clusters: vec![cluster(vec![environment("development", declared)])] };
    told(&diff(&desired, &[observation], &sources()))
}
