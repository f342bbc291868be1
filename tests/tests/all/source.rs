//! The identity of code: repository, directory and commit decide together what a workspace runs.

use std::fs;

use magus_tests::Sandbox;

use crate::{
    deploy::{push, runs, sandbox},
    fixture,
};

const CLUSTER: &str = "environments/cluster.yaml";

/// Three environments that run the directory `mage` of their repository; the directory `etl` has other files.
fn two_directories() -> Sandbox {
    let sandbox = sandbox();
    for branch in ["main", "staging", "development"] {
        let files = [
            ("mage/x.py", "mage\n"),
            ("etl/x.py", "etl\n"),
            ("etl/pipelines/orders/metadata.yaml", "name: orders\n"),
        ];
        push(&sandbox, branch, "two projects", &files);
    }
    sandbox
}

fn file(sandbox: &Sandbox, workspace: &str) -> String {
    sandbox.read(&format!("store/workspaces/{workspace}/code/x.py"))
}

#[test]
fn another_directory_with_the_same_commit_is_a_deploy() {
    let sandbox = two_directories();
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(file(&sandbox, "ana-production"), "mage\n");
    let commit = runs(&sandbox, "ana-production");
    // Spellings of one directory, and the directory in which Magus runs, change nothing.
    sandbox.replace(CLUSTER, "directory: mage", "directory: ./mage/");
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    let elsewhere = sandbox.file("work");
    let absolute = sandbox.file("environments");
    let mut command =
        sandbox.command(&["plan", "--detailed-exitcode", "-C", absolute.to_str().expect("text")]);
    assert!(command.current_dir(elsewhere).status().expect("it runs").success());

    sandbox.replace(CLUSTER, "directory: ./mage/", "directory: etl");
    let run = sandbox.expect(2, &["plan", "--detailed-exitcode"]);
    assert!(
        run.stdout.contains("2 to deploy") && run.stdout.contains("directory: mage → etl"),
        "{}",
        run.stdout
    );
    for format in ["markdown", "html"] {
        let shown = sandbox.expect(0, &["plan", "--format", format]).stdout;
        assert!(shown.contains("directory: mage → etl"), "{format}: {shown}");
    }
    let plan = sandbox.plan(&["-e", "production"]);
    let step = &plan["steps"][0];
    assert_eq!(step["reason"], "`main`, same commit; the directory changes from `mage` to `etl`");
    let deploy = &step["deploy"];
    assert_eq!((&deploy["from"], &deploy["to"]), (&commit.as_str().into(), &commit.as_str().into()));
    assert_eq!(deploy["reason"], "declared");
    let source =
        |directory: &str| serde_json::json!({"repository": "../pipelines.git", "directory": directory});
    assert_eq!((&deploy["source"], &deploy["source_before"]), (&source("etl"), &source("mage")));

    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(
        (file(&sandbox, "ana-production"), runs(&sandbox, "ana-production")),
        ("etl\n".into(), commit)
    );
    let run = sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    assert!(run.stdout.contains("No changes"), "{}", run.stdout);
    let history: serde_json::Value =
        serde_json::from_str(&sandbox.expect(0, &["history", "--format", "json"]).stdout).expect("JSON");
    assert_eq!(history["entries"][0]["steps"][0]["deployed"]["source"], source("etl"), "{history}");
}

#[test]
fn a_plan_reviewed_with_one_directory_is_not_applied_with_another() {
    let sandbox = two_directories();
    sandbox.expect(0, &["plan", "--out", "first.json"]);
    sandbox.replace(CLUSTER, "directory: mage", "directory: etl");
    let run = sandbox.expect(4, &["apply", "first.json", "--yes"]);
    assert!(run.stderr.contains("the directory was `mage`, and now is `etl`"), "{}", run.stderr);
    assert!(!sandbox.file("store/workspaces/ana-production").exists(), "nothing was sent");

    // The same of a workspace that runs something already.
    sandbox.replace(CLUSTER, "directory: etl", "directory: mage");
    sandbox.expect(0, &["apply", "first.json", "--yes"]);
    push(&sandbox, "main", "more", &[("mage/x.py", "more\n"), ("etl/x.py", "more etl\n")]);
    sandbox.expect(0, &["plan", "--out", "next.json"]);
    sandbox.replace(CLUSTER, "directory: mage", "directory: etl");
    let run = sandbox.expect(4, &["apply", "next.json", "--yes"]);
    assert!(run.stderr.contains("the directory was `mage`, and now is `etl`"), "{}", run.stderr);
    assert_eq!(file(&sandbox, "ana-production"), "mage\n");

    // A plan file that does not say where the code comes from expects nothing that can be kept.
    sandbox.replace(CLUSTER, "directory: etl", "directory: mage");
    let mut plan: serde_json::Value = serde_json::from_str(&sandbox.read("next.json")).expect("JSON");
    plan["steps"][0]["deploy"].as_object_mut().expect("a deploy").remove("source");
    sandbox.write("old.json", plan.to_string());
    let run = sandbox.expect(4, &["apply", "old.json", "--yes"]);
    assert!(run.stderr.contains("does not say which repository and directory"), "{}", run.stderr);
    sandbox.expect(0, &["apply", "next.json", "--yes"]);
    assert_eq!(file(&sandbox, "ana-production"), "more\n");
}

#[test]
fn another_repository_with_the_same_commit_is_a_deploy() {
    let sandbox = two_directories();
    sandbox.expect(0, &["apply", "--yes"]);
    fs::rename(sandbox.file("pipelines.git"), sandbox.file("moved.git")).expect("it moves");
    sandbox.replace(CLUSTER, "../pipelines.git", "../moved.git");
    let run = sandbox.expect(2, &["plan", "--detailed-exitcode"]);
    assert!(run.stdout.contains("repository: ../pipelines.git → ../moved.git"), "{}", run.stdout);
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn uncommitted_changes_are_kept_if_only_the_directory_changes() {
    let sandbox = two_directories();
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.write("store/workspaces/ana-production/code/x.py", "mine\n");
    sandbox.replace(CLUSTER, "directory: mage", "directory: etl");
    let plan = sandbox.plan(&["-e", "production"]);
    assert_eq!(plan["steps"], serde_json::json!([]));
    assert_eq!(plan["withheld"][0]["action"], "deploy");
    sandbox.expect(4, &["apply", "--yes"]);
    assert_eq!(file(&sandbox, "ana-production"), "mine\n");
    assert_eq!(file(&sandbox, "ana-staging"), "etl\n");
}

#[test]
fn a_mark_without_a_source_gets_one_and_changes_nothing() {
    let sandbox = two_directories();
    sandbox.expect(0, &["apply", "--yes"]);
    // As a Magus left it that did not record where code comes from.
    fixture::sql(&sandbox, "UPDATE workspaces SET applied = json_remove(applied, '$.\"code.source\"')");
    let run = sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    assert!(run.stdout.contains("No changes"), "{}", run.stdout);
    sandbox.expect(0, &["drift"]);
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.replace(CLUSTER, "directory: mage", "directory: etl");
    let run = sandbox.expect(2, &["plan", "--detailed-exitcode"]);
    assert!(run.stdout.contains("directory: mage → etl"), "{}", run.stdout);
}
