//! Applying: the report, the exit codes, two at once, and what is refused before anything is sent.

use std::process::Stdio;

use serde_json::{Value, json};

use magus_tests::{Sandbox, repository};

use crate::fixture::{sql, three_stages};

/// Copies a folder of the repository to the same place in a sandbox.
fn copy(sandbox: &Sandbox, folder: &str) {
    let source = repository().join(folder);
    for (path, bytes) in magus_tests::files_below(&source) {
        let below = path.strip_prefix(&source).expect("below").to_str().expect("UTF-8").to_owned();
        sandbox.write(&format!("{folder}/{below}"), bytes);
    }
}

#[test]
fn the_worked_example_applies_and_then_nothing_is_to_do() {
    for directory in ["environments", "docs/examples/by-cluster/environments"] {
        let sandbox = Sandbox::new();
        copy(&sandbox, "schemas");
        copy(&sandbox, directory);
        copy(&sandbox, "tests/fixtures");
        let run =
            |code: i32, arguments: &[&str]| sandbox.expect(code, &[&["-C", directory], arguments].concat());
        let lint = run(0, &["lint", "--format", "concise"]);
        // What the example is to show: a feature that production is not ready for.
        let rest: Vec<&str> = lint
            .stdout
            .lines()
            .filter(|line| line.contains("MG") && !line.contains("ARCHIVE_BUCKET"))
            .collect();
        assert!(rest.is_empty(), "{directory}: {}", lint.stdout);
        let first = run(0, &["apply", "--yes"]);
        assert!(first.stdout.contains("to create"), "{}", first.stdout);
        let second = run(0, &["apply", "--yes"]);
        assert!(second.stdout.contains("No changes"), "{}", second.stdout);
        run(0, &["plan", "--detailed-exitcode"]);
        run(0, &["drift"]);
        let status = run(0, &["status"]);
        for environment in ["development", "staging", "production"] {
            assert!(status.stdout.contains(environment), "{}", status.stdout);
        }
    }
}

#[test]
fn without_a_terminal_yes_is_needed() {
    let sandbox = three_stages();
    let run = sandbox.expect(64, &["apply"]);
    assert!(run.stderr.contains("--yes"), "{}", run.stderr);
    assert!(!sandbox.file("store").exists(), "nothing was made");
}

#[test]
fn a_plan_creates_nothing() {
    let sandbox = three_stages();
    sandbox.expect(0, &["plan"]);
    sandbox.expect(0, &["status"]);
    // What is declared and missing is drift.
    sandbox.expect(2, &["drift"]);
    assert!(!sandbox.file("store").exists());
}

#[test]
fn production_is_not_touched_after_staging_did_not_end_well() {
    let sandbox = three_stages();
    sandbox.write("store/workspaces/ingest-staging", "a file where the folder has to be\n");
    let run = sandbox.expect(3, &["apply", "--yes", "--format", "json"]);
    let report: Value = serde_json::from_str(&run.stdout).expect("a report");
    assert_eq!(report["format_version"], json!(1));
    let outcome = |name: &str| {
        report["results"]
            .as_array()
            .expect("results")
            .iter()
            .find(|result| result["workspace"] == name)
            .map(|result| result["outcome"].as_str().expect("an outcome").to_owned())
    };
    assert_eq!(outcome("analytics-development").as_deref(), Some("applied"));
    assert_eq!(
        outcome("analytics-staging").as_deref(),
        Some("applied"),
        "independent steps of a stage go on"
    );
    assert_eq!(outcome("ingest-staging").as_deref(), Some("uncertain"));
    assert_eq!(outcome("analytics-production").as_deref(), Some("skipped"));
    assert_eq!(report["summary"]["applied"], json!(3));
    assert!(!sandbox.file("store/workspaces/analytics-production").exists());
    assert!(run.stdout.contains("the folder of `ingest-staging` does not yet"), "{}", run.stdout);
}

#[test]
fn an_unreadable_record_is_unknown_and_the_rest_goes_on() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sql(&sandbox, "UPDATE workspaces SET record = '{\"env\": ' WHERE name = 'ingest-staging'");
    sandbox.replace("environments/development/ingest.yaml", "WORKERS: \"4\"", "WORKERS: \"5\"");
    let run = sandbox.expect(5, &["plan"]);
    assert!(run.stdout.contains("ingest-staging"), "{}", run.stdout);
    let plan = sandbox.plan(&[]);
    assert_eq!(plan["unknown"].as_array().map(Vec::len), Some(1), "{plan:#}");
    assert_eq!(plan["summary"]["update"], 1);
    sandbox.expect(5, &["apply", "--yes"]);
    assert_eq!(sandbox.plan(&[])["summary"]["update"], 0);
    // Something withheld besides: 5 comes before 4.
    sandbox.remove("environments/production/ingest.yaml");
    sandbox.expect(5, &["apply", "--yes"]);
    // Something failed besides: 3 comes before both.
    sandbox.replace("environments/development/ingest.yaml", "WORKERS: \"5\"", "WORKERS: \"6\"");
    sandbox.remove("store/workspaces/ingest-development");
    sandbox.write("store/workspaces/ingest-development", "a file where the folder has to be\n");
    sandbox.expect(3, &["apply", "--yes"]);
    // A secret that does not resolve: nothing is sent at all.
    sandbox.write("environments/development/ingest.yaml", "env: {TOKEN: {secret: {env: NOT_SET}}}\n");
    sandbox.expect(1, &["apply", "--yes"]);
    // Something invalid besides: nothing is sent at all.
    sandbox.write("environments/development/analytics.yaml", "envv: {}\n");
    sandbox.expect(1, &["apply", "--yes"]);
}

#[test]
fn a_damaged_or_newer_store_is_refused_and_left_as_it_is() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sql(&sandbox, "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA user_version = 9999;");
    let path = sandbox.file("store/magus.db");
    let before = std::fs::read(&path).expect("the store");
    let run = sandbox.expect(5, &["plan"]);
    assert!(run.all().contains("newer"), "{}", run.all());
    sandbox.expect(5, &["apply", "--yes"]);
    assert_eq!(std::fs::read(&path).expect("the store"), before);

    for damage in [&b"this is no database, and long enough to be looked at as one"[..], &before[..5000]] {
        std::fs::write(&path, damage).expect("damaged");
        let _ = std::fs::remove_file(sandbox.file("store/magus.db-wal"));
        let run = sandbox.expect(5, &["plan"]);
        assert!(run.all().contains("magus.db"), "{}", run.all());
        sandbox.expect(5, &["apply", "--yes"]);
        assert_eq!(std::fs::read(&path).expect("the store"), damage);
    }
}

#[test]
fn two_applies_at_once_do_not_corrupt() {
    let sandbox = three_stages();
    for number in 0..60 {
        sandbox.write(&format!("environments/development/ws-{number}.yaml"), "env: {A: \"1\"}\n");
    }
    let children: Vec<_> = (0..4)
        .map(|_| {
            let mut command = sandbox.command(&["apply", "--yes"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts")
        })
        .collect();
    let mut codes = Vec::new();
    for child in children {
        let output = child.wait_with_output().expect("ends");
        let code = output.status.code();
        if code == Some(4) {
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(text.contains("apply") && text.contains("process"), "names the holder: {text}");
        }
        codes.push(code);
    }
    assert!(codes.contains(&Some(0)), "{codes:?}");
    assert!(codes.iter().all(|code| matches!(code, Some(0 | 4))), "{codes:?}");
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn filters_narrow_the_steps() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes", "-e", "development"]);
    assert_eq!(sandbox.plan(&[])["summary"]["create"], 4);
    sandbox.expect(0, &["apply", "--yes", "-w", "ingest"]);
    assert_eq!(sandbox.plan(&[])["summary"]["create"], 2);
    sandbox.expect(0, &["apply", "--yes", "-w", "analytics-staging"]);
    assert_eq!(sandbox.plan(&[])["summary"]["create"], 1);
    let run = sandbox.expect(64, &["plan", "-e", "produktion"]);
    assert!(run.stderr.contains("production"), "did you mean: {}", run.stderr);
    let run = sandbox.expect(64, &["plan", "-w", "ingets"]);
    assert!(run.stderr.contains("ingest"), "did you mean: {}", run.stderr);
}

#[test]
fn the_environment_file_round_trips_through_a_shell() {
    let sandbox = three_stages();
    let odd = "a b\"c'd$HOME`x`\\n #no\n  second line ü";
    let yaml = serde_json::to_string(odd).expect("JSON is YAML");
    sandbox.write("environments/development/ingest.yaml", format!("env: {{ODD: {yaml}}}\n"));
    sandbox.expect(0, &["apply", "--yes"]);
    let output = std::process::Command::new("sh")
        .args(["-c", "set -a; . ./.env; printf %s \"$ODD\""])
        .current_dir(sandbox.file("store/workspaces/ingest-development"))
        .output()
        .expect("a shell");
    assert_eq!(String::from_utf8_lossy(&output.stdout), odd);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn a_cluster_that_cannot_be_opened_says_what_to_do() {
    let sandbox = three_stages();
    // Nobody can lock a folder, whoever they are.
    sandbox.write("store/magus.lock/file", "");
    let run = sandbox.expect(3, &["apply", "--yes"]);
    let expected =
        "error: cluster `acme` cannot be changed\n  caused by: `store/magus.lock` cannot be written\n";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    assert!(run.stderr.contains("\n  help: look at the permissions"), "{}", run.stderr);
}
