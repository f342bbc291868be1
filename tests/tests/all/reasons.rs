//! Who moved: `declared`, `drift` and `both`, in one cluster and in three.

use serde_json::{Value, json};

use crate::fixture::{sql, three_stages};

/// The fields of the only step of a plan.
#[track_caller]
fn only_step(plan: &Value) -> &Value {
    let steps = plan["steps"].as_array().expect("steps");
    assert_eq!(steps.len(), 1, "{plan:#}");
    &steps[0]
}

#[test]
fn a_variable_declared_drifted_and_both() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);

    sandbox.replace("environments/production/analytics.yaml", "WORKERS: \"4\"", "WORKERS: \"8\"");
    let plan = sandbox.plan(&[]);
    let step = only_step(&plan);
    assert_eq!((&step["action"], &step["workspace"]), (&json!("update"), &json!("analytics-production")));
    assert_eq!(
        step["fields"],
        json!([{
            "path": "env.WORKERS", "before": "4", "after": "8", "sensitive": false, "status": "change",
            "reason": "declared",
            "origin": {"file": "environments/production/analytics.yaml", "line": 3, "column": 12},
        }])
    );
    let text = sandbox.expect(0, &["plan"]).stdout;
    assert!(
        text.contains("\"4\" → \"8\"") && text.contains("environments/production/analytics.yaml:3"),
        "{text}"
    );
    sandbox.expect(2, &["plan", "--detailed-exitcode"]);
    sandbox.expect(0, &["drift"]);

    sandbox.replace("environments/production/analytics.yaml", "WORKERS: \"8\"", "WORKERS: \"4\"");
    sql(
        &sandbox,
        "UPDATE workspaces SET record = json_set(record, '$.env.WORKERS', '16') WHERE name = 'analytics-production'",
    );
    let plan = sandbox.plan(&[]);
    let field = &only_step(&plan)["fields"][0];
    assert_eq!(
        (&field["reason"], &field["before"], &field["after"]),
        (&json!("drift"), &json!("16"), &json!("4"))
    );
    let drift = sandbox.expect(2, &["drift"]);
    assert!(drift.stdout.contains("env.WORKERS"), "{}", drift.stdout);

    sandbox.replace("environments/production/analytics.yaml", "WORKERS: \"4\"", "WORKERS: \"8\"");
    let plan = sandbox.plan(&[]);
    assert_eq!(only_step(&plan)["fields"][0]["reason"], "both");

    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn the_same_in_three_clusters() {
    let sandbox = three_stages();
    sandbox.remove("environments/cluster.yaml");
    for environment in ["development", "staging", "production"] {
        sandbox.write(
            &format!("environments/{environment}/cluster.yaml"),
            format!(
                "name: acme-{environment}\nengine: {{local: {{path: ../../store-{environment}}}}}\ndefaults:\n  container_config: {{image: \"mageai/mageai:0.9.80\"}}\n"
            ),
        );
    }
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    let plan = sandbox.plan(&[]);
    assert_eq!(plan["clusters"].as_array().map(Vec::len), Some(3), "{plan:#}");

    sandbox.replace("environments/development/ingest.yaml", "WORKERS: \"4\"", "WORKERS: \"5\"");
    for (environment, declared) in [("staging", false), ("production", true)] {
        let connection = rusqlite::Connection::open(sandbox.file(&format!("store-{environment}/magus.db")))
            .expect("opens");
        let changed = connection
            .execute("UPDATE workspaces SET record = json_set(record, '$.env.WORKERS', '9') WHERE name LIKE 'ingest-%'", [])
            .expect("runs");
        assert_eq!(changed, 1);
        if declared {
            sandbox.replace(
                &format!("environments/{environment}/ingest.yaml"),
                "WORKERS: \"4\"",
                "WORKERS: \"5\"",
            );
        }
    }
    let plan = sandbox.plan(&[]);
    let reasons: Vec<_> = plan["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| {
            (
                step["cluster"].as_str().expect("a name"),
                step["fields"][0]["reason"].as_str().expect("a reason"),
            )
        })
        .collect();
    assert_eq!(
        reasons,
        [("acme-development", "declared"), ("acme-staging", "drift"), ("acme-production", "both")]
    );
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn a_stopped_workspace_is_drift_unless_its_state_is_auto() {
    let sandbox = three_stages();
    sandbox.write(
        "environments/development/analytics.yaml",
        "lifecycle_config: {termination_policy: {enable_auto_termination: true, max_idle_seconds: 1800}}\n",
    );
    sandbox.expect(0, &["apply", "--yes"]);
    sql(
        &sandbox,
        "UPDATE workspaces SET record = json_set(record, '$.state', 'stopped') WHERE environment = 'development'",
    );
    let plan = sandbox.plan(&[]);
    let step = only_step(&plan);
    assert_eq!(
        (&step["action"], &step["workspace"]),
        (&json!("start"), &json!("ingest-development")),
        "{plan:#}"
    );
    assert_eq!(
        (&step["fields"][0]["path"], &step["fields"][0]["reason"]),
        (&json!("state"), &json!("drift"))
    );
    assert_eq!(plan["summary"]["start"], 1);
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn what_means_the_same_is_no_difference() {
    let sandbox = three_stages();
    sandbox.write(
        "environments/development/analytics.yaml",
        "container_config: {resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {cpu: \"2\", memory: 2Gi}}}\nstorage_request_size: 10\n",
    );
    sandbox.expect(0, &["apply", "--yes"]);
    sql(
        &sandbox,
        "UPDATE workspaces SET record = json_set(record, '$.container_config.resources.requests.cpu', '0.5', \
         '$.container_config.resources.requests.memory', '1024Mi', '$.container_config.resources.limits.cpu', 2, \
         '$.storage_request_size', '10Gi', '$.container_config.args', json('[]')) WHERE name = 'analytics-development'",
    );
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}
