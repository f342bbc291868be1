//! Import writes declarations for what exists, and the plan after it only adopts.

use serde_json::json;

use crate::fixture::{sql, three_stages};

#[test]
fn a_workspace_made_by_hand_is_imported_and_adopted() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sql(
        &sandbox,
        r#"INSERT INTO workspaces (name, record) VALUES
           ('reports-staging', '{"state": "running", "env": {"ENV": "other", "GREETING": "null", "NUMBER": "0123"}, "container_config": {"resources": {"limits": {"cpu": "1"}}}}'),
           ('Weird_Name', '{"state": "stopped", "env": {}}')"#,
    );
    let plan = sandbox.plan(&[]);
    let unmanaged: Vec<_> =
        plan["unmanaged"].as_array().expect("unmanaged").iter().map(|one| &one["name"]).collect();
    assert_eq!(unmanaged, [&json!("Weird_Name"), &json!("reports-staging")]);

    let run = sandbox.expect(0, &["import", "reports-staging"]);
    assert!(run.all().contains("environments/staging/reports.yaml"), "{}", run.all());
    sandbox.expect(0, &["lint", "--fail-on", "warning"]);
    let plan = sandbox.plan(&[]);
    let actions: Vec<_> =
        plan["steps"].as_array().expect("steps").iter().map(|step| &step["action"]).collect();
    assert_eq!(actions, [&json!("adopt")], "{plan:#}");
    assert_eq!(plan["steps"][0]["restarts"], json!(false));
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);

    // A name that cannot be declared is left alone, and said.
    let run = sandbox.magus(&["import", "Weird_Name", "-e", "development"]);
    assert_ne!(run.code, Some(0));
    assert!(run.stderr.contains("Weird_Name"), "{}", run.stderr);
    // Nothing is overwritten.
    let run = sandbox.magus(&["import", "reports-staging"]);
    assert_ne!(run.code, Some(0), "{}", run.all());
}
