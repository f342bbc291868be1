//! A plan file is an expectation: apply plans again, and goes on only if nothing moved.

use serde_json::{Value, json};

use crate::fixture::{sql, three_stages};

#[test]
fn what_was_reviewed_is_what_runs() {
    let sandbox = three_stages();
    let run = sandbox.expect(0, &["plan", "--out", "plan.json"]);
    assert!(run.all().contains("magus apply plan.json"), "the next command is named: {}", run.all());
    let plan: Value = serde_json::from_str(&sandbox.read("plan.json")).expect("JSON");
    assert_eq!(plan["format_version"], json!(1));
    assert!(plan["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:")));
    sandbox.expect(0, &["apply", "plan.json", "--yes"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn a_declaration_that_moved_refuses() {
    let sandbox = three_stages();
    sandbox.expect(0, &["plan", "--out", "plan.json"]);
    sandbox.replace("environments/staging/ingest.yaml", "WORKERS: \"4\"", "WORKERS: \"6\"");
    let run = sandbox.expect(4, &["apply", "plan.json", "--yes"]);
    assert!(run.all().contains("env.WORKERS") && run.all().contains("declaration"), "{}", run.all());
    assert_eq!(run.stdout, "", "only what differs is said");
    assert!(!sandbox.file("store/magus.db").exists() || !run.stdout.contains("applied"), "nothing was sent");
}

#[test]
fn a_cluster_that_moved_refuses() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.replace("environments/staging/ingest.yaml", "WORKERS: \"4\"", "WORKERS: \"6\"");
    sandbox.expect(0, &["plan", "--out", "plan.json"]);
    sql(
        &sandbox,
        "UPDATE workspaces SET record = json_set(record, '$.env.OTHER', 'x') WHERE name = 'ingest-staging'",
    );
    let run = sandbox.expect(4, &["apply", "plan.json", "--yes"]);
    assert!(run.all().contains("cluster"), "{}", run.all());
    assert!(run.all().contains("ingest-staging"), "{}", run.all());
}

#[test]
fn flags_are_part_of_what_was_approved() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.remove("environments/development/ingest.yaml");
    sandbox.remove("environments/development/analytics.yaml");
    sandbox.expect(4, &["plan", "--out", "plan.json"]);
    sandbox.expect(4, &["apply", "plan.json", "--yes", "--allow-empty", "development"]);
    sandbox.expect(0, &["plan", "--out", "plan.json", "--allow-empty", "development"]);
    sandbox.expect(0, &["apply", "plan.json", "--yes", "--allow-empty", "development"]);
}

#[test]
fn a_file_that_is_no_plan_is_invalid() {
    let sandbox = three_stages();
    sandbox.write("plan.json", "{\"format_version\": 1");
    sandbox.expect(1, &["apply", "plan.json", "--yes"]);
    sandbox.write("plan.json", "{\"format_version\": 99}");
    let run = sandbox.expect(1, &["apply", "plan.json", "--yes"]);
    assert!(run.stderr.contains("99"), "{}", run.stderr);
    sandbox.expect(1, &["apply", "missing.json", "--yes"]);
}

#[test]
fn a_tampered_plan_changes_nothing_that_is_sent() {
    let sandbox = three_stages();
    sandbox.expect(0, &["plan", "--out", "plan.json"]);
    let text = sandbox.read("plan.json").replace("production-warehouse.company.com", "evil.example.com");
    sandbox.write("plan.json", text);
    let run = sandbox.magus(&["apply", "plan.json", "--yes"]);
    assert!(run.code == Some(4) || run.code == Some(1), "{run:?}");
    assert!(!sandbox.file("store/workspaces/analytics-production/.env").exists());
}

#[test]
fn a_plan_of_some_is_applied_with_the_same_names() {
    let sandbox = three_stages();
    sandbox.expect(0, &["plan", "--out", "plan.json", "-e", "staging"]);
    let run = sandbox.expect(4, &["apply", "plan.json", "--yes"]);
    assert!(run.stderr.contains("`-e` or `-w` is applied with the same names"), "{}", run.stderr);
    sandbox.expect(0, &["apply", "plan.json", "--yes", "-e", "staging"]);
    let run = sandbox.expect(4, &["apply", "plan.json", "--yes", "-e", "staging"]);
    assert!(!run.stderr.contains("the same names"), "they were: {}", run.stderr);
}

#[test]
fn what_a_plan_is_written_to_stays_what_it_is() {
    let sandbox = three_stages();
    sandbox.write("plans/old.json", "old");
    let link = sandbox.file("plan.json");
    std::os::unix::fs::symlink("plans/old.json", &link).expect("a link");
    sandbox.expect(0, &["plan", "--out", "plan.json"]);
    assert!(link.is_symlink(), "the link is kept");
    assert!(sandbox.read("plans/old.json").contains("sha256:"), "and what it leads to is written");

    let pipe = sandbox.file("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let reader = std::thread::spawn(move || std::fs::read_to_string(pipe).expect("the pipe"));
    sandbox.expect(0, &["plan", "--out", "pipe"]);
    // A pipe that was put out of the way would keep its reader waiting.
    assert!(!sandbox.file("pipe").is_file(), "the pipe is still one");
    let read: Value = serde_json::from_str(&reader.join().expect("read")).expect("a whole plan");
    assert_eq!(read["summary"]["create"], 6);
}
