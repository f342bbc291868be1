//! How long it takes to compare and plan many workspaces: `cargo run --release -p magus-plan --example scale [COUNT]`.

use std::{io::Write, time::Instant};

use magus_diff::{diff, expected_mark};
use magus_model::{
    Text,
    desired::{
        Cluster, Desired, DesiredState, Engine, Environment, Field, Gates, Layer, MaxDeletes, Rollout,
        Workspace,
    },
    name::WorkspaceName,
    observed::{Capabilities, Observation, ObservedCode, ObservedField, ObservedWorkspace, RunState},
    path::FieldPath,
    plan::{Overrides, Plan, Source},
    span::{FileId, SourceFile, Sources, Span},
    value::{FieldValue, Value},
};
use magus_plan::{Evidence, Filter, Intent, PlanRequest, plan};

fn workspace(at: usize) -> Workspace {
    let mut fields: Vec<_> = (0..30)
        .map(|field| {
            let (path, value) = match field % 3 {
                0 => (format!("env.VARIABLE_{field:02}"), format!("value of {field} in workspace {at}")),
                1 => (format!("container_config.resources.limits.kind{field:02}"), format!("{field}000m")),
                _ => (format!("lifecycle_config.termination_policy.key{field:02}"), "shared".to_owned()),
            };
            let value = FieldValue::Plain(Value::string(value));
            Field {
                path: FieldPath::from(path.as_str()),
                value,
                span: Span::new(FileId(0), 4, 5),
                layer: Layer::Workspace,
            }
        })
        .collect();
    fields.sort_by(|a, b| a.path.cmp(&b.path));
    let name: Text = format!("workspace-{at:06}").into();
    Workspace {
        name: WorkspaceName::observed(name.clone()),
        declared: name,
        state: DesiredState::Running,
        state_span: Span::BUILT_IN,
        fields,
        moved_from: None,
        code: None,
        provided: Vec::new(),
        owner: None,
        span: Span::start_of(FileId(0)),
    }
}

fn observed(desired: &Desired) -> Observation {
    let cluster = &desired.clusters[0];
    let environment = &cluster.environments[0];
    let present = environment.workspaces.iter().map(|workspace| {
        let field = |field: &Field| ObservedField { path: field.path.clone(), value: field.value.clone() };
        let observed = ObservedWorkspace {
            name: workspace.name.clone(),
            state: RunState::Running,
            fields: workspace.fields.iter().map(field).collect(),
            lost: Vec::new(),
            sensitive: Default::default(),
            missing: Vec::new(),
            code: ObservedCode::default(),
            identity: None,
            copy: None,
            mark: Some(expected_mark(cluster, environment, workspace)),
            revision: "sha256:1".into(),
        };
        (workspace.name.clone(), observed)
    });
    let capabilities = Capabilities { rename: true, ..Capabilities::default() };
    Observation {
        cluster: cluster.name.clone(),
        capabilities,
        present: present.collect(),
        ..Observation::default()
    }
}

fn main() -> std::io::Result<()> {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(10_000);
    let environment = Environment {
        name: "development".into(),
        stage: 0,
        promotes_from: None,
        protected: false,
        rollout: Rollout::default(),
        gates: Gates::default(),
        verify: Default::default(),
        hold: None,
        branch_workspaces: None,
        workspaces: (0..count).map(workspace).collect(),
        span: Span::BUILT_IN,
    };
    let cluster = Cluster {
        name: "acme".into(),
        managed_by: "acme".into(),
        engine: Engine::Local { path: ".magus".into() },
        declared_on: None,
        history: None,
        max_deletes: MaxDeletes::default(),
        environments: vec![environment],
        span: Span::BUILT_IN,
    };
    let desired = Desired { clusters: vec![cluster] };
    let applied = [observed(&desired)];
    let mut empty = applied.clone();
    empty[0].present.clear();
    let mut drifted = applied.clone();
    for workspace in drifted[0].present.values_mut() {
        workspace.fields[0].value = FieldValue::Plain(Value::string("7"));
    }
    let sources = Sources::new(vec![SourceFile::new("a.yaml", "a: b\n".repeat(50))]);
    let mut out = std::io::stdout().lock();
    for (what, observations) in [("unchanged", &applied), ("all differ", &drifted), ("all new", &empty)] {
        for _ in 0..3 {
            let start = Instant::now();
            let changes = diff(&desired, observations, &sources);
            let compared = start.elapsed();
            let start = Instant::now();
            let plan = planned(&desired, &changes);
            let planned = start.elapsed();
            let start = Instant::now();
            let faults = magus_check::check(&plan, &desired).len();
            let (steps, checked) = (plan.steps.len(), start.elapsed());
            writeln!(
                out,
                "{what:10} diff {compared:>9.1?} plan {planned:>9.1?} check {checked:>9.1?} {steps} steps {faults}"
            )?;
        }
    }
    Ok(())
}

fn planned<'a>(desired: &'a Desired, changes: &'a magus_diff::ChangeSet<'a>) -> Plan {
    plan(&PlanRequest {
        desired,
        changes,
        filter: Filter::default(),
        overrides: Overrides::default(),
        newer: Vec::new(),
        source: Source { path: "environments".into(), revision: None, dirty: false },
        now: jiff::Timestamp::UNIX_EPOCH,
        magus_version: "0.1.0".into(),
        diagnostics: Vec::new(),
        intent: Intent::Converge,
        since: None,
        assumed: Default::default(),
        movements: magus_plan::Movements::default(),
        readers: magus_plan::Readers::default(),
        evidence: Evidence::default(),
        command: vec!["magus".to_owned(), "plan".to_owned()],
    })
}
