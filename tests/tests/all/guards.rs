//! Nothing is deleted or replaced that nobody allowed, and every refusal says how to go on.

use serde_json::{Value, json};

use magus_tests::Sandbox;

use crate::fixture::{sql, three_stages};

/// Guard and workspace of everything withheld.
fn withheld(plan: &Value) -> Vec<(String, String)> {
    plan["withheld"]
        .as_array()
        .expect("withheld")
        .iter()
        .map(|item| {
            (
                item["guard"].as_str().expect("a guard").into(),
                item["workspace"].as_str().expect("a name").into(),
            )
        })
        .collect()
}

/// The names of the workspaces in the store.
fn names(sandbox: &Sandbox) -> Vec<String> {
    let connection = rusqlite::Connection::open(sandbox.file("store/magus.db")).expect("opens");
    let mut statement = connection.prepare("SELECT name FROM workspaces ORDER BY name").expect("prepares");
    statement.query_map([], |row| row.get(0)).expect("runs").map(|name| name.expect("a name")).collect()
}

#[test]
fn a_deleted_environment_folder_deletes_nothing() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    let before = names(&sandbox);
    sandbox.remove("environments/production");

    let run = sandbox.expect(4, &["plan"]);
    assert!(run.stdout.contains("--allow-delete production"), "{}", run.stdout);
    let plan = sandbox.plan(&[]);
    assert!(plan["steps"].as_array().is_some_and(Vec::is_empty), "{plan:#}");
    assert_eq!(withheld(&plan).len(), 2);
    sandbox.expect(4, &["apply", "--yes"]);
    assert_eq!(names(&sandbox), before);

    // Production was protected when it was last applied: a flag alone is not enough.
    sandbox.expect(4, &["apply", "--yes", "--allow-delete", "production"]);
    assert_eq!(names(&sandbox), before);
    let unblock = sandbox.plan(&[])["withheld"][0]["unblock"].as_str().expect("a command").to_owned();
    assert!(unblock.contains("--reason"), "{unblock}");
    sandbox.expect(0, &["apply", "--yes", "--allow-delete", "production", "--reason", "moved away"]);
    assert_eq!(names(&sandbox).len(), 4);
    let connection = rusqlite::Connection::open(sandbox.file("store/magus.db")).expect("opens");
    let recorded: u32 = connection
        .query_row(
            "SELECT count(*) FROM events WHERE action = 'delete' AND reason LIKE '%moved away'",
            [],
            |row| row.get(0),
        )
        .expect("runs");
    assert_eq!(recorded, 2, "the reason is recorded with each delete");
}

#[test]
fn the_cluster_is_observed_also_if_all_environment_folders_are_deleted() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    let before = names(&sandbox);
    for environment in ["development", "staging", "production"] {
        sandbox.remove(&format!("environments/{environment}"));
    }
    let plan = sandbox.plan(&[]);
    assert_eq!(withheld(&plan).len(), before.len(), "{plan:#}");
    assert!(withheld(&plan).iter().any(|(guard, _)| guard == "environment-removed"), "{plan:#}");
    sandbox.expect(4, &["apply", "--yes"]);
    assert_eq!(names(&sandbox), before);
    // A cluster that cannot be read has not been found without drift.
    sandbox.write("store/magus.db", "no database");
    sandbox.expect(5, &["drift"]);
}

#[test]
fn an_emptied_environment_deletes_nothing() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.remove("environments/development/analytics.yaml");
    sandbox.remove("environments/development/ingest.yaml");
    let plan = sandbox.plan(&[]);
    assert!(withheld(&plan).iter().all(|(guard, _)| guard == "empty-desired"), "{plan:#}");
    let run = sandbox.expect(4, &["apply", "--yes"]);
    assert!(run.all().contains("--allow-empty development"), "{}", run.all());
    assert_eq!(names(&sandbox).len(), 6);
    sandbox.expect(0, &["apply", "--yes", "--allow-empty", "development"]);
    assert_eq!(names(&sandbox).len(), 4);
}

#[test]
fn protection_removed_in_the_same_change_lifts_nothing() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.replace("environments/production/environment.yaml", "protected: true\n", "");
    sandbox.remove("environments/production/analytics.yaml");
    let plan = sandbox.plan(&[]);
    let both = ["analytics-production", "ingest-production"];
    assert_eq!(withheld(&plan), both.map(|name| ("protected".into(), name.into())), "{plan:#}");
    sandbox.expect(4, &["apply", "--yes"]);
    assert_eq!(names(&sandbox).len(), 6);
}

#[test]
fn the_unblocking_command_is_whole_and_works() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.remove("environments/production/analytics.yaml");
    let plan = sandbox.plan(&[]);
    let unblock = plan["withheld"][0]["unblock"].as_str().expect("a command");
    assert!(unblock.starts_with("magus "), "{unblock}");
    assert!(unblock.contains("--allow-delete production"), "{unblock}");
}

#[test]
fn a_copied_directory_of_another_owner_touches_nothing() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    let before = sandbox.plan(&[]);
    assert_eq!(before["has_changes"], json!(false));
    sandbox.replace("environments/cluster.yaml", "name: acme\n", "name: acme\nmanaged_by: somebody-else\n");
    sandbox.replace("environments/production/analytics.yaml", "WORKERS: \"4\"", "WORKERS: \"8\"");
    let plan = sandbox.plan(&[]);
    assert!(plan["steps"].as_array().is_some_and(Vec::is_empty), "{plan:#}");
    assert!(withheld(&plan).iter().all(|(guard, _)| guard == "conflict"), "{plan:#}");
    let run = sandbox.expect(4, &["apply", "--yes"]);
    assert!(run.all().contains("acme"), "the message names the owner: {}", run.all());
}

#[test]
fn a_copied_directory_with_other_workspaces_deletes_nothing() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    for workspace in ["analytics", "ingest"] {
        sandbox.remove(&format!("environments/development/{workspace}.yaml"));
    }
    sandbox.write("environments/development/example.yaml", "env: {A: b}\n");
    let plan = sandbox.plan(&[]);
    assert_eq!(withheld(&plan).len(), 2, "{plan:#}");
    sandbox.expect(4, &["apply", "--yes"]);
    assert_eq!(names(&sandbox).len(), 7);
}

#[test]
fn an_example_with_the_same_names_is_invalid() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.write("environments/copy/environment.yaml", "promotes_from: development\n");
    sandbox.write("environments/copy/analytics.yaml", "name: analytics-production\n");
    let run = sandbox.expect(1, &["apply", "--yes"]);
    assert!(run.all().contains("MG103"), "{}", run.all());
    assert_eq!(names(&sandbox).len(), 6);
}

#[test]
fn more_deletes_than_the_limit_are_withheld() {
    let sandbox = three_stages();
    for number in 0..10 {
        sandbox.write(&format!("environments/development/extra-{number}.yaml"), "env: {A: b}\n");
    }
    sandbox.expect(0, &["apply", "--yes"]);
    for number in 0..5 {
        sandbox.remove(&format!("environments/development/extra-{number}.yaml"));
    }
    // Five of twelve in development are more than 30 %, five of sixteen in the cluster as well.
    let plan = sandbox.plan(&[]);
    assert!(withheld(&plan).iter().all(|(guard, _)| guard == "max-deletes"), "{plan:#}");
    let run = sandbox.expect(4, &["apply", "--yes"]);
    assert!(run.all().contains("--max-deletes") && run.all().contains("limits.max_deletes"), "{}", run.all());
    // A filter narrows steps, never guards.
    sandbox.expect(4, &["apply", "--yes", "-w", "extra-0"]);
    assert_eq!(names(&sandbox).len(), 16);
    sandbox.expect(0, &["apply", "--yes", "--max-deletes", "5"]);
    assert_eq!(names(&sandbox).len(), 11);
}

#[test]
fn one_that_exists_and_differs_is_not_overwritten() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sql(
        &sandbox,
        "UPDATE workspaces SET managed_by = NULL, record = json_set(record, '$.env.BY_HAND', 'x') WHERE name = 'ingest-staging'",
    );
    // The history would show that it is ours.
    sandbox.remove("store/history.db");
    let plan = sandbox.plan(&[]);
    assert_eq!(withheld(&plan), [("conflict".into(), "ingest-staging".into())], "{plan:#}");
    sandbox.expect(4, &["apply", "--yes"]);
    // As declared again, it is adopted, and nothing restarts.
    sql(
        &sandbox,
        "UPDATE workspaces SET record = json_remove(record, '$.env.BY_HAND') WHERE name = 'ingest-staging'",
    );
    let plan = sandbox.plan(&[]);
    assert_eq!(
        (&plan["steps"][0]["action"], &plan["steps"][0]["restarts"]),
        (&json!("adopt"), &json!(false))
    );
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn a_rename_is_no_delete_and_create() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    let file = sandbox.read("environments/production/ingest.yaml");
    sandbox.remove("environments/production/ingest.yaml");
    sandbox.write("environments/production/loading.yaml", &file);
    let run = sandbox.expect(4, &["plan"]);
    assert!(run.stdout.contains("moved_from: ingest"), "the rename is found: {}", run.stdout);
    sandbox.write("environments/production/loading.yaml", format!("{file}moved_from: ingest\n"));
    let plan = sandbox.plan(&[]);
    assert_eq!(plan["steps"].as_array().map(Vec::len), Some(1), "{plan:#}");
    assert_eq!(plan["steps"][0]["action"], "update");
    sandbox.expect(0, &["apply", "--yes"]);
    assert!(names(&sandbox).contains(&"loading-production".to_owned()));
    assert!(!names(&sandbox).contains(&"ingest-production".to_owned()));
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn destroy_and_restart_stand_behind_the_same_guards() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(4, &["destroy", "-e", "production", "--yes"]);
    assert_eq!(names(&sandbox).len(), 6);
    sandbox.expect(0, &["destroy", "-e", "development", "--yes", "--allow-empty", "development"]);
    assert_eq!(names(&sandbox).len(), 4);
    let run = sandbox.expect(0, &["restart", "-w", "ingest-staging", "--yes"]);
    assert!(run.stdout.contains('↻'), "{}", run.stdout);
    sandbox.expect(64, &["restart", "--yes"]);
    sandbox.expect(64, &["destroy", "--yes"]);
}
