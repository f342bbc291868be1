//! What `apply`, `explain`, `diff`, `status` and `drift` show.

use std::collections::BTreeMap;

use magus_model::{
    desired::*,
    name::WorkspaceName,
    observed::{Capabilities, Observation, ObservedCode, ObservedWorkspace, RunState},
    plan::{Action, FieldChange, Reason},
    report::{ApplyReport, ApplySummary, Outcome, StepResult},
    span::{FileId, SourceFile, Sources, Span},
    value::{FieldValue, Value},
};

use crate::{
    Styles, apply,
    apply::Listing,
    drift::{self, Drift, Drifted, Status},
    explain::{self, ExplainEntry, ExplainView, OverriddenEntry},
    plan::samples,
    side_by_side, stale, status,
    testing::without_styles,
};

fn result(workspace: &str, action: Action, outcome: Outcome, message: Option<&str>) -> StepResult {
    StepResult {
        step: format!("acme/{workspace}/{}", action.as_str()).into(),
        cluster: "acme".into(),
        environment: "production".into(),
        workspace: WorkspaceName::observed(workspace),
        action,
        outcome,
        message: message.map(str::to_owned),
        duration_ms: 1_234,
    }
}

fn report(results: Vec<StepResult>) -> ApplyReport {
    let count = |outcome| results.iter().filter(|result| result.outcome == outcome).count();
    ApplyReport {
        format_version: 1,
        magus_version: "0.1.0".into(),
        plan_digest: "sha256:00".into(),
        started_at: "2026-08-01T10:00:00Z".into(),
        finished_at: "2026-08-01T10:00:09Z".into(),
        interrupted: false,
        summary: ApplySummary {
            applied: count(Outcome::Applied),
            failed: count(Outcome::Failed),
            uncertain: count(Outcome::Uncertain),
            skipped: count(Outcome::Skipped),
            not_started: count(Outcome::NotStarted),
        },
        results,
        notes: Vec::new(),
    }
}

#[test]
fn steps_that_end_for_one_reason_are_one_message() {
    let down = |name: &str| format!("sent, but `{name}` cannot be read: `GET /sets/{name}` is down");
    let mut results: Vec<_> = (0..12)
        .map(|number| {
            let name = format!("w{number}");
            result(&name, Action::Create, Outcome::Uncertain, Some(&down(&name)))
        })
        .collect();
    results.insert(3, result("x", Action::Update, Outcome::Failed, Some("refused")));
    results.push(result("y", Action::Update, Outcome::Uncertain, Some(&down("y"))));
    let report = report(results);
    let shown = apply::text(&report, Listing::Problems, &Styles::plain());
    let expected =
        "  + 12 workspaces  create uncertain: sent, but `NAME` cannot be read: `GET /sets/NAME` is down
        w0, w1, w2, w3, w4, w5, w6, w7, w8, w9 and 2 more
  ~ x (production)  update failed in 1.2 s: refused
  ~ y (production)  update uncertain in 1.2 s: sent, but `y` cannot be read: `GET /sets/y` is down
";
    assert!(shown.starts_with(expected), "{shown}");
    let mut reasons = apply::Reasons::default();
    let lines: Vec<String> =
        report.results.iter().map(|result| reasons.step_line(result, &Styles::plain())).collect();
    assert!(lines[0].ends_with("`GET /sets/w0` is down"), "{}", lines[0]);
    assert!(lines[1].ends_with("create uncertain in 1.2 s: for the same reason as `w0`"), "{}", lines[1]);
    assert!(lines[3].ends_with(": refused"), "{}", lines[3]);
}

#[test]
fn an_apply_that_went_wrong_says_what_to_do() {
    let mut report = report(vec![
        result("a", Action::Create, Outcome::Applied, None),
        result("b", Action::Update, Outcome::Failed, Some("the record\n\u{1b}[2J is read-only")),
        result("c", Action::Delete, Outcome::Uncertain, Some("no answer after it was sent")),
        result("d", Action::Start, Outcome::Skipped, Some("`b` failed")),
    ]);
    report.notes.push("the secret of `env.X` changed without a new `version`".into());
    let shown = apply::text(&report, Listing::Every, &Styles::plain());
    assert_eq!(
        shown,
        "  + a (production)  created in 1.2 s
  ~ b (production)  update failed in 1.2 s: the record\\n\\u{1b}[2J is read-only
  - c (production)  delete uncertain in 1.2 s: no answer after it was sent
  ▶ d (production)  start skipped: `b` failed

note: the secret of `env.X` changed without a new `version`
help: an uncertain step was sent and not seen to be done; `magus plan` looks again, and plans what is left
help: mend what failed, then run `magus apply` again: it does only what is left
Applied 1 step; 1 failed, 1 uncertain, 1 skipped.
"
    );
    let problems = apply::text(&report, Listing::Problems, &Styles::colored());
    assert_eq!(without_styles(&problems) + "", shown.split_once('\n').expect("lines").1);
    assert_eq!(serde_json::from_str::<ApplyReport>(&apply::json(&report)).expect("a report"), report);
}

#[test]
fn an_apply_that_went_well_is_short() {
    let done = report(vec![result("a", Action::Create, Outcome::Applied, None)]);
    assert_eq!(apply::text(&done, Listing::Problems, &Styles::plain()), "Applied 1 step.\n");
    assert_eq!(
        apply::text(&report(Vec::new()), Listing::Every, &Styles::plain()),
        "Applied nothing: there was nothing to do.\n"
    );
}

#[test]
fn durations_are_said_as_people_say_them() {
    for (milliseconds, said) in
        [(0, "0 ms"), (999, "999 ms"), (1_050, "1.0 s"), (59_999, "59.9 s"), (61_000, "1 min 1 s")]
    {
        assert_eq!(apply::duration(milliseconds), said);
    }
}

/// `KEY: VALUE` a line as the fields of a workspace, with places in file `file`.
fn workspace(name: &str, file: u32, text: &str) -> (Workspace, SourceFile) {
    let mut at = 0;
    let mut fields = Vec::new();
    for line in text.lines() {
        let (path, value) = line.split_once(": ").expect("KEY: VALUE");
        let start = at + path.len() as u32 + 2;
        fields.push(Field {
            path: path.into(),
            value: FieldValue::Plain(Value::string(value)),
            span: Span::new(FileId(file), start, start + value.len() as u32),
            layer: Layer::Workspace,
        });
        at += line.len() as u32 + 1;
    }
    let workspace = Workspace {
        name: WorkspaceName::parse(name).expect("a name"),
        declared: name.into(),
        state: DesiredState::Running,
        state_span: Span::BUILT_IN,
        fields,
        moved_from: None,
        code: None,
        provided: Vec::new(),
        owner: None,
        span: Span::start_of(FileId(file)),
    };
    (workspace, SourceFile::new(format!("{name}.yaml"), text))
}

#[test]
fn two_workspaces_stand_side_by_side() {
    let (left, left_file) = workspace("left", 0, "env.A: 1\nenv.B: dev.company.com\nenv.C: same\n");
    let (right, right_file) =
        workspace("right", 1, "env.B: prod.company.com\nenv.C: same\nenv.D: \u{1b}[2J\n");
    let sources = Sources::new(vec![left_file, right_file]);
    let view = side_by_side::compare(("dev/left", &left), ("prod/right", &right), &sources);
    assert_eq!(
        side_by_side::text(&view, 80, &Styles::plain()),
        "         dev/left         prod/right
  env.A  \"1\"              (none)
  env.B  dev.company.com  prod.company.com
  env.D  (none)           \"\\u001b[2J\"

3 values differ, 2 the same.
"
    );
    let document: serde_json::Value = serde_json::from_str(&side_by_side::json(&view)).expect("JSON");
    assert_eq!(
        document["rows"][1],
        serde_json::json!({
            "path": "env.B",
            "same": false,
            "left": "dev.company.com",
            "right": "prod.company.com",
            "left_origin": {"file": "left.yaml", "line": 2, "column": 8},
            "right_origin": {"file": "right.yaml", "line": 1, "column": 8},
        })
    );
    let same = side_by_side::compare(("a", &left), ("a", &left), &sources);
    assert_eq!(side_by_side::text(&same, 80, &Styles::plain()), "No differences: 4 values are the same.\n");
}

#[test]
fn a_value_is_explained_with_what_it_replaced() {
    let origin = |file: &str, line| Some(magus_model::span::Origin { file: file.into(), line, column: 3 });
    let view = ExplainView {
        workspace: "production/analytics".into(),
        entries: vec![
            ExplainEntry {
                path: "env.LOG".into(),
                value: FieldValue::Plain(Value::string("info")),
                layer: "workspace".into(),
                origin: origin("production/analytics.yaml", 7),
                overridden: vec![
                    OverriddenEntry {
                        value: None,
                        layer: "template quiet".into(),
                        origin: origin("cluster.yaml", 9),
                    },
                    OverriddenEntry {
                        value: Some(FieldValue::Plain(Value::string("debug"))),
                        layer: "cluster defaults".into(),
                        origin: origin("cluster.yaml", 4),
                    },
                ],
            },
            ExplainEntry {
                path: "state".into(),
                value: FieldValue::Plain(Value::string("running")),
                layer: "built in".into(),
                origin: None,
                overridden: Vec::new(),
            },
        ],
    };
    assert_eq!(
        explain::text(&view, 100, &Styles::plain()),
        "production/analytics
           value       layer             written at
  env.LOG  info        workspace         production/analytics.yaml:7:3
           over null   template quiet    cluster.yaml:9:3
           over debug  cluster defaults  cluster.yaml:4:3
  state    running     built in
"
    );
    let document: serde_json::Value = serde_json::from_str(&explain::json(&view)).expect("JSON");
    assert_eq!(
        document["entries"][0],
        serde_json::json!({
            "path": "env.LOG",
            "value": "info",
            "layer": "workspace",
            "origin": {"file": "production/analytics.yaml", "line": 7, "column": 3},
        })
    );
    assert_eq!(document["workspace"], "production/analytics");
}

fn drifted(workspace: &str, status: Status, fields: Vec<FieldChange>) -> Drifted {
    let managed_by = (status == Status::ManagedByOther).then(|| "others".into());
    let workspace = WorkspaceName::observed(workspace);
    let (cluster, environment) = ("acme".into(), "production".into());
    Drifted { cluster, environment, workspace, status, managed_by, fields, code: None, missing: Vec::new() }
}

#[test]
fn drift_names_what_happened_to_each_workspace() {
    let plan = samples::everything();
    let log_level = plan.steps.iter().flat_map(|step| &step.fields);
    let log_level: Vec<_> = log_level.filter(|field| field.reason == Reason::Drift).cloned().collect();
    let mut found = Drift {
        format_version: drift::FORMAT_VERSION,
        has_drift: true,
        workspaces: vec![
            drifted("analytics-production", Status::Differs, log_level),
            drifted("lost", Status::Missing, Vec::new()),
            drifted("overwritten", Status::Unmanaged, Vec::new()),
            drifted("taken", Status::ManagedByOther, Vec::new()),
        ],
        ownership: Vec::new(),
        unknown: plan.unknown.clone(),
        unverifiable: BTreeMap::from([("acme".into(), "the containers".into())]),
    };
    assert_eq!(
        drift::text(&found, &Styles::plain()),
        "analytics-production (acme, production)
    ~ env.LOG_LEVEL: debug → info  (drift, environments/cluster.yaml:14)

lost (acme, production)
    missing: declared, and not in the cluster

overwritten (acme, production)
    unmanaged: declared, and without a mark in the cluster

taken (acme, production)
    managed by `others`: declared here, and marked by another owner

unknown: `lost-production`: its record is damaged
unverifiable: cluster `acme`: the containers
Drift: 4 workspaces; 1 workspace unknown.
Next: `magus plan` shows how an apply restores what is declared; to keep what is there, declare it
"
    );
    let document: serde_json::Value = serde_json::from_str(&drift::json(&found)).expect("JSON");
    assert_eq!(document["has_drift"], true);
    assert_eq!(document["workspaces"][0]["fields"][0]["path"], "env.LOG_LEVEL");
    assert_eq!(document["workspaces"][3]["status"], "managed-by-other");
    found.workspaces.truncate(1);
    found.unknown.clear();
    let shown = drift::text(&found, &Styles::plain());
    assert!(shown.contains("\nDrift: 1 field of 1 workspace.\n"), "{shown}");
    found.workspaces.clear();
    found.has_drift = false;
    found.unverifiable.clear();
    assert_eq!(drift::text(&found, &Styles::plain()), "No drift.\n");
}

#[test]
fn status_names_state_drift_and_what_is_pending() {
    let environment = |name: &str, stage, workspaces: &[&str]| Environment {
        name: name.into(),
        stage,
        promotes_from: None,
        protected: false,
        rollout: Rollout::default(),
        gates: Gates::default(),
        verify: Default::default(),
        hold: None,
        branch_workspaces: None,
        workspaces: workspaces.iter().map(|name| workspace(name, 0, "").0).collect(),
        span: Span::BUILT_IN,
    };
    let desired = Desired {
        clusters: vec![Cluster {
            name: "acme".into(),
            managed_by: "acme".into(),
            engine: Engine::Local { path: ".magus".into() },
            declared_on: None,
            history: None,
            max_deletes: MaxDeletes::default(),
            environments: vec![
                environment("development", 0, &["ana-development", "zoe-development"]),
                environment("production", 1, &["analytics-production", "lost-production"]),
            ],
            span: Span::BUILT_IN,
        }],
    };
    let present = |name: &str, state| {
        let name = WorkspaceName::observed(name);
        let workspace = ObservedWorkspace {
            name: name.clone(),
            state,
            fields: Vec::new(),
            lost: Vec::new(),
            sensitive: Default::default(),
            missing: Vec::new(),
            code: ObservedCode::default(),
            mark: None,
            identity: None,
            copy: None,
            revision: "r".into(),
        };
        (name, workspace)
    };
    let observation = Observation {
        cluster: "acme".into(),
        capabilities: Capabilities::default(),
        present: BTreeMap::from([
            present("zoe-development", RunState::Stopped),
            present("analytics-production", RunState::Running),
            present("eve-development", RunState::Running),
        ]),
        unknown: BTreeMap::from([(WorkspaceName::observed("lost-production"), "damaged".to_owned())]),
        ..Observation::default()
    };
    let mut plan = samples::everything();
    let ours = ["ana-development", "eve-development", "analytics-production"];
    plan.steps.retain(|step| ours.contains(&step.workspace.as_str()) && step.action != Action::Deploy);
    let status = status::status(&desired, &[observation], &plan, &|_, _, _| true, &|_, _| None);
    assert_eq!(
        status::text(&status, jiff::Timestamp::UNIX_EPOCH, 100, &Styles::plain()),
        "acme
  environment  workspace             state    drift    pending
  development  ana-development       absent            create
               eve-development       running           delete
               zoe-development       stopped
  production   analytics-production  running  1 field  update
               lost-production       unknown
               old-production        absent            withheld by protected

6 workspaces: 1 as declared, 3 with pending changes, 1 held back, 1 drifted, 1 unknown, 2 not ours
"
    );
    let document: serde_json::Value = serde_json::from_str(&status::json(&status)).expect("JSON");
    assert_eq!(
        document["workspaces"][3],
        serde_json::json!({
            "cluster": "acme",
            "environment": "production",
            "workspace": "analytics-production",
            "state": "running",
            "drift": 1,
            "pending": ["update"],
            "withheld": [],
        })
    );
}

#[test]
fn a_stale_plan_says_which_side_moved() {
    let moved = vec![stale::Moved { side: "the cluster moved", message: "`a`: a step\nis new" }; 52];
    let shown = stale::text(&moved, &Styles::plain());
    assert!(shown.starts_with("  the cluster moved: `a`: a step\\nis new\n"), "{shown}");
    assert!(shown.ends_with("\n  and 2 more differences\n"), "{shown}");
}
