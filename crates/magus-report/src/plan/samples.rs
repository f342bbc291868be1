//! Plans for tests.

use std::collections::BTreeMap;

use magus_model::{
    diagnostic::{LocatedDiagnostic, Severity},
    name::WorkspaceName,
    plan::*,
    source::ProjectSource,
    span::Origin,
    value::{FieldValue, SecretReference, SecretSource, Value},
};

pub(crate) fn plan(steps: Vec<Step>) -> Plan {
    let mut summary = Summary { unchanged: 3, ..Summary::default() };
    for (action, number) in count(&steps) {
        match action {
            Action::Adopt => summary.adopt = number,
            Action::Create => summary.create = number,
            Action::Replace => summary.replace = number,
            Action::Stop => summary.stop = number,
            Action::Update => summary.update = number,
            Action::Deploy => summary.deploy = number,
            Action::Start => summary.start = number,
            Action::Restart => summary.restart = number,
            Action::Delete => summary.delete = number,
            Action::Forget => summary.forget = number,
        }
    }
    Plan {
        format_version: FORMAT_VERSION,
        magus_version: "0.1.0".into(),
        clusters: vec![PlanCluster {
            lock: LockKind::Store,
            holds: BTreeMap::new(),
            unverifiable: None,
            name: "acme".into(),
            engine: "local".into(),
            environments: vec!["development".into(), "staging".into(), "production".into()],
        }],
        source: Source { path: "environments".into(), revision: Some("3f2a9c1d0b".into()), dirty: true },
        created_at: "2026-08-01T10:00:00Z".into(),
        digest: "sha256:0011".into(),
        has_changes: !steps.is_empty(),
        summary,
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

pub(crate) fn step(action: Action, environment: &str, workspace: &str, fields: Vec<FieldChange>) -> Step {
    let restarts = match action {
        Action::Update | Action::Restart | Action::Replace => Restarts::Yes,
        _ => Restarts::No,
    };
    Step {
        id: format!("acme/{workspace}/{}", action.as_str()).into(),
        cluster: "acme".into(),
        environment: environment.into(),
        workspace: WorkspaceName::observed(workspace),
        action,
        reason: match action {
            Action::Create => "declared, and does not exist",
            Action::Delete => "no longer declared",
            Action::Start => "declared as running",
            Action::Adopt => "exists as declared, without a mark",
            Action::Replace => "`storage_class_name` can only be set at creation",
            _ => "the declaration changed",
        }
        .to_owned(),
        restarts,
        needs: Vec::new(),
        precondition: Precondition::Absent,
        fields,
        restores: Vec::new(),
        deploy: None,
        renamed_from: None,
        mark: None,
    }
}

pub(crate) fn words(value: &str) -> Option<FieldValue> {
    Some(FieldValue::Plain(Value::string(value)))
}

pub(crate) fn secret(name: &str, version: i64) -> Option<FieldValue> {
    let source = SecretSource::Env(name.into());
    Some(FieldValue::from(SecretReference { source, version: Some(version), keep: false }))
}

pub(crate) fn field(
    path: &str,
    before: Option<FieldValue>,
    after: Option<FieldValue>,
    origin: &str,
) -> FieldChange {
    let sensitive = [&before, &after].into_iter().flatten().any(FieldValue::is_sensitive);
    let origin = origin.rsplit_once(':').map(|(file, line)| Origin {
        file: file.into(),
        line: line.parse().expect("a line"),
        column: 5,
    });
    FieldChange {
        path: path.into(),
        before,
        after,
        sensitive,
        status: FieldStatus::Change,
        reason: Reason::Declared,
        origin,
        sealed: None,
        read_by: Vec::new(),
    }
}

/// A plan with something of everything.
pub(crate) fn everything() -> Plan {
    let image = || {
        field(
            "container_config.image",
            words("mageai/mageai:0.9.79"),
            words("mageai/mageai:0.9.80"),
            "environments/cluster.yaml:12",
        )
    };
    let file = "environments/production/analytics.yaml";
    let mut drift = field("env.LOG_LEVEL", words("debug"), words("info"), "environments/cluster.yaml:14");
    drift.reason = Reason::Drift;
    let script_before: String = (1..=9).map(|n| format!("echo {n}\n")).collect();
    let script_after = script_before.replace("echo 5", "echo five");
    let created = vec![
        field("container_config.image", None, words("mageai/mageai:0.9.80"), "environments/cluster.yaml:12"),
        field("container_config.resources.requests.cpu", None, words("500m"), "environments/cluster.yaml:13"),
        field("env.API_KEY", None, secret("DEV_API_KEY", 1), "environments/development/ana.yaml:4"),
        field(
            "env.DATABASE_URL",
            None,
            words("dev.company.com"),
            "environments/development/environment.yaml:3",
        ),
        field("state", None, words("running"), ""),
    ];
    let mut renamed = step(Action::Update, "staging", "ingest-staging", vec![image()]);
    renamed.renamed_from = Some(WorkspaceName::observed("old-ingest"));
    let mut deploy = step(Action::Deploy, "production", "analytics-production", Vec::new());
    deploy.deploy = Some(Deploy {
        branch: "main".into(),
        from: Some("3f2a9c1d0b3f2a9c1d0b3f2a9c1d0b3f2a9c1d0b".into()),
        to: "9c8d7e6f5a9c8d7e6f5a9c8d7e6f5a9c8d7e6f5a".into(),
        source: ProjectSource {
            repository: "git.company.com/pipelines".into(),
            directory: "etl".into(),
            deployment: None,
        },
        source_before: None,
        reason: Reason::Declared,
        follows: None,
        movement: Some(Movement {
            ahead: 12,
            behind: 1,
            commits: vec![Commit {
                id: "9c8d7e6f5a9c8d7e6f5a9c8d7e6f5a9c8d7e6f5a".into(),
                title: "Add refunds\u{1b}[31m".into(),
                author: "Ana".into(),
            }],
            files: 1,
            pipelines: vec!["orders".into()],
            triggers: vec![Difference {
                name: "orders/daily".into(),
                before: Some("0 5 * * *".into()),
                after: Some("@once".into()),
            }],
            schedules: Vec::new(),
            requirements: vec![Difference {
                name: "pandas".into(),
                before: None,
                after: Some("==2.2".into()),
            }],
        }),
    });
    let mut plan = plan(vec![
        step(Action::Create, "development", "ana-development", created),
        step(Action::Update, "development", "bob-development", vec![image()]),
        step(Action::Adopt, "development", "carl-development", Vec::new()),
        step(Action::Adopt, "development", "dora-development", Vec::new()),
        renamed,
        step(
            Action::Update,
            "production",
            "analytics-production",
            vec![
                image(),
                field(
                    "env.API_KEY",
                    secret("PROD_API_KEY", 1),
                    secret("PROD_API_KEY", 2),
                    &format!("{file}:9"),
                ),
                field(
                    "env.DATABASE_URL",
                    words("old.company.com"),
                    words("new.company.com"),
                    &format!("{file}:7"),
                ),
                drift,
                field("env.OLD", words("1"), None, ""),
                field(
                    "lifecycle_config.post_start.script",
                    words(&script_before),
                    words(&script_after),
                    &format!("{file}:20"),
                ),
            ],
        ),
        deploy,
        step(
            Action::Start,
            "production",
            "ingest-production",
            vec![field("state", words("stopped"), words("running"), "")],
        ),
        step(
            Action::Replace,
            "production",
            "volume-production",
            vec![field(
                "storage_class_name",
                words("standard"),
                words("fast"),
                "environments/production/volume.yaml:3",
            )],
        ),
        step(Action::Delete, "development", "eve-development", Vec::new()),
    ]);
    plan.withheld = vec![Withheld {
        cluster: "acme".into(),
        environment: "production".into(),
        workspace: WorkspaceName::observed("old-production"),
        action: Action::Delete,
        guard: Guard::Protected,
        message: "guard `protected`: `production` is protected".into(),
        unblock: "magus apply --allow-delete production --reason 'why it may go'".into(),
        opens_at: None,
    }];
    plan.summary.withheld = 1;
    plan.unmanaged = vec![
        Unmanaged { cluster: "acme".into(), name: WorkspaceName::observed("scratch"), managed_by: None },
        Unmanaged {
            cluster: "acme".into(),
            name: WorkspaceName::observed("theirs"),
            managed_by: Some("ml".into()),
        },
    ];
    plan.unknown = vec![Unknown {
        cluster: "acme".into(),
        workspace: WorkspaceName::observed("lost-production"),
        message: "its record is damaged".into(),
        cause: UnknownCause::Workspace,
    }];
    plan.summary.unknown = 1;
    plan.diagnostics = vec![LocatedDiagnostic {
        code: "MG701".into(),
        severity: Severity::Warning,
        message: "the image `mageai/mageai` has no tag".into(),
        file: "environments/cluster.yaml".into(),
        line: 12,
        column: 12,
        end_line: 12,
        end_column: 25,
        help: Some("name a version, `mageai/mageai:0.9.80`".into()),
        url: "https://magus.dev/rules/MG701".into(),
    }];
    plan.overrides = Overrides {
        allow_delete: vec!["development".into()],
        reason: Some("spring cleaning".into()),
        ..Overrides::default()
    };
    plan
}
