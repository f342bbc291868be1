//! Who owns a workspace and whether it is protected: nothing of it changes unseen.

use serde_json::{Value, json};

use magus_tests::Sandbox;

use crate::fixture::{sql, three_stages};

/// Workspace, action and guard of everything withheld.
fn withheld(plan: &Value) -> Vec<String> {
    let held = plan["withheld"].as_array().expect("withheld");
    let text = |one: &Value, key: &str| one[key].as_str().expect("a text").to_owned();
    held.iter()
        .map(|one| format!("{} {} {}", text(one, "workspace"), text(one, "action"), text(one, "guard")))
        .collect()
}

/// Workspace, action and paths of every step.
fn steps(plan: &Value) -> Vec<String> {
    let text = |one: &Value, key: &str| one[key].as_str().expect("a text").to_owned();
    let steps = plan["steps"].as_array().expect("steps");
    steps
        .iter()
        .map(|step| {
            let fields = step["fields"].as_array().expect("fields");
            let paths: Vec<String> = fields.iter().map(|field| text(field, "path")).collect();
            format!("{} {} {}", text(step, "workspace"), text(step, "action"), paths.join(","))
                .trim_end()
                .to_owned()
        })
        .collect()
}

/// What the store says of a workspace: environment, protection and record.
fn stored(sandbox: &Sandbox, name: &str) -> (String, bool, String) {
    let connection = rusqlite::Connection::open(sandbox.file("store/magus.db")).expect("opens");
    let query = "SELECT environment, protected, record FROM workspaces WHERE name = ?1";
    let row = connection.query_row(query, [name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    row.expect("a row")
}

/// Runs the command that a withheld step names, with `apply --yes` in the place of `plan`.
#[track_caller]
fn unblock(sandbox: &Sandbox, plan: &Value, code: i32) {
    let command = plan["withheld"][0]["unblock"].as_str().expect("a command");
    let words: Vec<&str> = command.split(' ').map(|word| word.trim_matches('\'')).collect();
    assert_eq!(words[..2], ["magus", "plan"], "{command}");
    let mut arguments = vec!["apply", "--yes"];
    arguments.extend(&words[2..]);
    sandbox.expect(code, &arguments);
}

#[test]
fn removing_the_protection_is_withheld_and_shown() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.replace("environments/production/environment.yaml", "protected: true\n", "");
    let plan = sandbox.plan(&[]);
    assert_eq!(
        withheld(&plan),
        ["analytics-production update protected", "ingest-production update protected"]
    );
    sandbox.expect(4, &["apply", "--yes"]);
    sandbox.expect(4, &["apply", "--yes", "--allow-unprotect", "production"]);
    assert!(stored(&sandbox, "ingest-production").1, "the mark still says that it is protected");
    for format in ["text", "markdown", "html"] {
        let shown = sandbox.expect(4, &["plan", "--format", format]).stdout;
        assert!(shown.contains("--allow-unprotect production"), "{format}: {shown}");
    }
    let status = sandbox.expect(0, &["status"]).stdout;
    assert!(status.contains("withheld by protected"), "{status}");
    let drift = sandbox.expect(0, &["drift"]).stdout;
    assert!(drift.contains("protected: true → false") && drift.ends_with("\nNo drift.\n"), "{drift}");

    // A second step does not use what the first was refused.
    sandbox.remove("environments/production/ingest.yaml");
    assert_eq!(
        withheld(&sandbox.plan(&[])),
        ["analytics-production update protected", "ingest-production delete protected"]
    );
    sandbox.expect(4, &["apply", "--yes", "--allow-empty", "production"]);
    sandbox.write(
        "environments/production/ingest.yaml",
        "env:\n  DATABASE_URL: production-warehouse.company.com\n  WORKERS: \"4\"\n",
    );

    let before = stored(&sandbox, "ingest-production").2;
    let flags = ["--allow-unprotect", "production", "--reason", "closed down"];
    let plan = sandbox.plan(&flags);
    assert_eq!(steps(&plan), ["analytics-production update protected", "ingest-production update protected"]);
    assert_eq!(plan["steps"][0]["restarts"], json!(false));
    unblock(&sandbox, &sandbox.plan(&[]), 0);
    assert_eq!(stored(&sandbox, "ingest-production"), ("production".into(), false, before));
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);

    sandbox.replace(
        "environments/production/environment.yaml",
        "promotes_from",
        "protected: true\npromotes_from",
    );
    let run = sandbox.expect(2, &["plan", "--detailed-exitcode"]);
    assert!(run.stdout.contains("protected: false → true"), "{}", run.stdout);
    sandbox.expect(0, &["apply", "--yes"]);
    assert!(stored(&sandbox, "ingest-production").1);
}

#[test]
fn a_file_that_moves_out_of_a_protected_environment_takes_nothing_along() {
    for renamed in [false, true] {
        let sandbox = three_stages();
        sandbox.expect(0, &["apply", "--yes"]);
        let text = sandbox.read("environments/production/ingest.yaml");
        sandbox.remove("environments/production/ingest.yaml");
        let key = if renamed { "moved_from: ingest-production\n" } else { "name: ingest-production\n" };
        sandbox.write("environments/development/moved.yaml", format!("{key}{text}"));
        let name = if renamed { "moved-development" } else { "ingest-production" };
        let before = stored(&sandbox, "ingest-production");
        let plan = sandbox.plan(&[]);
        assert_eq!(
            (steps(&plan), withheld(&plan)),
            (vec![], vec![format!("{name} update protected")]),
            "{plan:#}"
        );
        sandbox.expect(4, &["apply", "--yes"]);
        assert_eq!(stored(&sandbox, "ingest-production"), before);
        unblock(&sandbox, &plan, 0);
        let (environment, protected, _) = stored(&sandbox, name);
        assert_eq!((environment.as_str(), protected), ("development", false));
        sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    }
}

#[test]
fn a_file_that_moves_between_unprotected_environments_is_a_visible_change() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    let text = sandbox.read("environments/staging/ingest.yaml");
    sandbox.remove("environments/staging/ingest.yaml");
    sandbox.write("environments/development/moved.yaml", format!("name: ingest-staging\n{text}"));
    let plan = sandbox.plan(&[]);
    assert_eq!(steps(&plan), ["ingest-staging update env.ENV,environment"]);
    let shown = sandbox.expect(0, &["plan"]).stdout;
    assert!(shown.contains("moves from `staging` to `development`"), "{shown}");
    assert!(shown.contains("environment: staging → development"), "{shown}");
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(stored(&sandbox, "ingest-staging").0, "development");
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn a_workspace_that_was_deleted_in_the_cluster_is_drift() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(0, &["drift"]);
    sql(&sandbox, "DELETE FROM workspaces WHERE name = 'ingest-staging'");
    let run = sandbox.expect(2, &["drift"]);
    assert_eq!(
        run.stdout,
        "ingest-staging (acme, staging)\n    missing: declared, and not in the cluster\n\nDrift: 1 workspace.\n\
         Next: `magus plan` shows how an apply restores what is declared; to keep what is there, declare it\n"
    );
    let drift: Value =
        serde_json::from_str(&sandbox.expect(2, &["drift", "--format", "json"]).stdout).expect("JSON");
    assert_eq!(drift["workspaces"][0]["status"], "missing");
    sandbox.expect(0, &["drift", "-e", "production"]);
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(0, &["drift"]);
}

#[test]
fn drift_that_a_guard_withholds_is_still_drift() {
    let sandbox = three_stages();
    sandbox.write("environments/production/ingest.yaml", "storage_class_name: standard\n");
    sandbox.expect(0, &["apply", "--yes"]);
    sql(
        &sandbox,
        "UPDATE workspaces SET record = json_set(record, '$.storage_class_name', 'fast') WHERE name = 'ingest-production'",
    );
    assert_eq!(withheld(&sandbox.plan(&[])), ["ingest-production replace protected"]);
    let run = sandbox.expect(2, &["drift"]);
    assert!(run.stdout.contains("storage_class_name: fast → standard"), "{}", run.stdout);
}

/// Saves the configuration again as a script does: the mark is lost.
fn remove_mark(sandbox: &Sandbox, name: &str) {
    let columns = "managed_by = NULL, environment = NULL, workspace = NULL, protected = 0, applied = NULL";
    sql(sandbox, &format!("UPDATE workspaces SET {columns} WHERE name = '{name}'"));
}

/// The same, and a variable is changed by hand.
fn overwrite(sandbox: &Sandbox, name: &str) {
    remove_mark(sandbox, name);
    sql(
        sandbox,
        &format!(
            "UPDATE workspaces SET record = json_set(record, '$.env.WORKERS', '9') WHERE name = '{name}'"
        ),
    );
}

#[test]
fn a_removed_mark_is_drift_and_the_next_apply_restores_it() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    let before = stored(&sandbox, "ingest-production");
    overwrite(&sandbox, "ingest-production");
    let drift = sandbox.expect(2, &["drift"]).stdout;
    assert!(
        drift.contains("mark removed: Magus applied it")
            && drift.contains("env.WORKERS: \"9\" → \"4\"  (drift"),
        "{drift}"
    );
    let plan = sandbox.plan(&[]);
    assert_eq!(
        (steps(&plan), withheld(&plan)),
        (
            vec!["ingest-production adopt".to_owned(), "ingest-production update env.WORKERS".to_owned()],
            vec![]
        )
    );
    let reason = plan["steps"][0]["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("its mark was removed, and entry `"), "{reason}");
    // Nothing is deleted or restarted without the mark itself.
    sandbox.expect(4, &["restart", "-w", "ingest-production", "--yes"]);
    let nothing = sandbox.expect(0, &["destroy", "-w", "ingest-production", "--yes"]).stdout;
    assert!(nothing.contains("Nothing to delete"), "{nothing}");
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(stored(&sandbox, "ingest-production"), before);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    sandbox.expect(0, &["drift"]);
}

#[test]
fn a_removed_mark_takes_no_protection_away() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    remove_mark(&sandbox, "ingest-production");
    let text = sandbox.read("environments/production/ingest.yaml");
    sandbox.remove("environments/production/ingest.yaml");
    sandbox.write("environments/development/moved.yaml", format!("name: ingest-production\n{text}"));
    assert_eq!(withheld(&sandbox.plan(&[])), ["ingest-production update protected"]);
    sandbox.expect(4, &["apply", "--yes"]);
}

#[test]
fn another_workspace_of_the_same_name_is_not_ours() {
    for lost in ["the history", "the workspace"] {
        let sandbox = three_stages();
        sandbox.expect(0, &["apply", "--yes"]);
        overwrite(&sandbox, "ingest-production");
        if lost == "the history" {
            sandbox.remove("store/history.db");
        } else {
            // Deleted and created again, with the same configuration.
            sql(
                &sandbox,
                "CREATE TEMP TABLE kept AS SELECT name, record FROM workspaces WHERE name = 'ingest-production';
                 DELETE FROM workspaces WHERE name = 'ingest-production';
                 INSERT INTO workspaces (name, record) SELECT name, record FROM kept;",
            );
        }
        let plan = sandbox.plan(&[]);
        assert_eq!(
            (steps(&plan), withheld(&plan)),
            (vec![], vec!["ingest-production adopt conflict".to_owned()]),
            "{lost}"
        );
        let drift = sandbox.expect(2, &["drift"]).stdout;
        assert!(
            drift.contains("unmanaged: declared") && drift.contains("env.WORKERS: \"9\" → \"4\""),
            "{drift}"
        );
        sandbox.expect(4, &["apply", "--yes"]);

        // Every command leads to the one that adopts it.
        assert_eq!(plan["withheld"][0]["unblock"], "magus plan --adopt ingest-production --reason 'WHY'");
        let import = sandbox.expect(1, &["import", "ingest-production"]).stderr;
        assert!(import.contains("magus plan --adopt ingest-production --reason 'WHY'"), "{import}");
        let restart = sandbox.expect(4, &["restart", "-w", "ingest-production", "--yes"]).stdout;
        assert!(restart.contains("magus plan --adopt ingest-production --reason 'WHY'"), "{restart}");
        sandbox.expect(4, &["apply", "--yes", "--adopt", "ingest-production"]);
        sandbox.expect(64, &["apply", "--yes", "--adopt", "ingest-prod"]);
        let adopted = sandbox.plan(&["--adopt", "ingest-production", "--reason", "lost"]);
        assert_eq!(steps(&adopted), ["ingest-production adopt", "ingest-production update env.WORKERS"]);
        let shown = sandbox.expect(0, &["plan", "--adopt", "ingest-production", "--reason", "lost"]).stdout;
        assert!(shown.contains("←~ ingest-production"), "{shown}");
        unblock(&sandbox, &plan, 0);
        sandbox.expect(0, &["plan", "--detailed-exitcode"]);
        sandbox.expect(0, &["drift"]);
    }
}

#[test]
fn the_mark_of_another_owner_is_drift_and_never_adopted() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sql(&sandbox, "UPDATE workspaces SET managed_by = 'others' WHERE name = 'ingest-staging'");
    let drift = sandbox.expect(2, &["drift"]).stdout;
    assert!(drift.contains("managed by `others`"), "{drift}");
    let plan = sandbox.plan(&["--adopt", "ingest-staging"]);
    assert_eq!((steps(&plan), withheld(&plan)), (vec![], vec!["ingest-staging adopt conflict".to_owned()]));
    sandbox.expect(4, &["apply", "--yes", "--adopt", "ingest-staging"]);
}

#[test]
fn what_is_forgotten_stays_as_it_is_and_is_not_managed() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(64, &["forget", "-w", "ingest-staging", "--yes"]);
    sandbox.expect(64, &["forget", "--reason", "why", "--yes"]);
    let refused = sandbox.expect(4, &["forget", "-w", "ingest-staging", "--reason", "why", "--yes"]).stderr;
    assert!(refused.contains("is declared: it is `staging/ingest`"), "{refused}");

    let record = stored(&sandbox, "ingest-staging").2;
    sandbox.remove("environments/staging/ingest.yaml");
    let shown =
        sandbox.expect(0, &["forget", "-w", "ingest-staging", "--reason", "theirs now", "--yes"]).stdout;
    assert!(shown.contains("→ ingest-staging"), "{shown}");
    let marked: Option<String> = rusqlite::Connection::open(sandbox.file("store/magus.db"))
        .expect("opens")
        .query_row(
            "SELECT managed_by FROM workspaces WHERE name = 'ingest-staging' AND record = ?1",
            [&record],
            |row| row.get(0),
        )
        .expect("it is as it was");
    assert_eq!(marked, None);
    let history: Value =
        serde_json::from_str(&sandbox.expect(0, &["history", "--format", "json"]).stdout).expect("JSON");
    let entry = &history["entries"][0];
    assert_eq!((&entry["operation"], &entry["reason"]), (&json!("forget"), &json!("theirs now")));
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    // Declared again, it is a workspace like any other that is unmanaged: the history says that it was given up.
    sandbox.write("environments/staging/ingest.yaml", "env: {OTHER: value}\n");
    assert_eq!(withheld(&sandbox.plan(&[])), ["ingest-staging adopt conflict"]);
}

#[test]
fn forgetting_needs_the_same_flag_as_any_other_loss_of_protection() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.remove("environments/production/ingest.yaml");
    let forget = ["forget", "-w", "ingest-production", "--reason", "sold", "--yes"];
    let held = sandbox.expect(4, &forget).stdout;
    assert!(held.contains("--allow-unprotect production"), "{held}");
    assert!(stored(&sandbox, "ingest-production").1);
    sandbox.expect(0, &[&forget[..], &["--allow-unprotect", "production"]].concat());
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}

/// Declarations in a repository, with two commits of which the second was applied.
pub fn two_commits() -> Sandbox {
    let sandbox = three_stages();
    sandbox.git(&["init", "--quiet"]);
    sandbox.git(&["add", "environments"]);
    sandbox.git(&["commit", "--quiet", "--message", "first"]);
    sandbox.replace("environments/staging/ingest.yaml", "WORKERS: \"4\"", "WORKERS: \"8\"");
    sandbox.git(&["commit", "--quiet", "--all", "--message", "second"]);
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox
}

#[test]
fn older_declarations_undo_nothing() {
    let sandbox = two_commits();
    sandbox.git(&["checkout", "--quiet", "HEAD~1"]);
    let refused = "guard `older-declarations`: commit `";
    let shown = sandbox.expect(4, &["plan"]).stdout;
    assert!(shown.contains(refused) && shown.contains("--allow-older --reason 'WHY'"), "{shown}");
    assert_eq!(sandbox.plan(&[])["refused"][0]["guard"], "older-declarations");
    for format in ["markdown", "html"] {
        let shown = sandbox.expect(4, &["plan", "--format", format]).stdout;
        assert!(shown.contains("older-declarations"), "{format}: {shown}");
    }
    let before = stored(&sandbox, "ingest-staging");
    let run = sandbox.expect(4, &["apply", "--yes"]);
    assert!(run.stderr.contains(refused), "{}", run.all());
    sandbox.expect(4, &["apply", "--yes", "--allow-older"]);
    assert_eq!(stored(&sandbox, "ingest-staging"), before);
    sandbox.expect(0, &["apply", "--yes", "--allow-older", "--reason", "the second was wrong"]);
    assert!(stored(&sandbox, "ingest-staging").2.contains("\"4\""));
    // It was given up on purpose, so that these declarations are the latest now.
    sandbox.replace("environments/staging/ingest.yaml", "WORKERS: \"4\"", "WORKERS: \"5\"");
    sandbox.expect(0, &["apply", "--yes"]);
}

#[test]
fn the_marks_know_newer_declarations_if_the_history_is_lost() {
    let sandbox = two_commits();
    sandbox.remove("store/history.db");
    sandbox.git(&["checkout", "--quiet", "HEAD~1"]);
    let run = sandbox.expect(4, &["apply", "--yes"]);
    assert!(run.stderr.contains("guard `older-declarations`"), "{}", run.all());
}

#[test]
fn a_clone_that_cannot_tell_whether_it_is_older_warns() {
    let sandbox = two_commits();
    sandbox.git(&["branch", "--quiet", "old", "HEAD~1"]);
    sandbox.git(&["clone", "--quiet", "--no-local", "--single-branch", "--branch", "old", ".", "clone"]);
    sandbox.replace("clone/environments/cluster.yaml", "../store", "../../store");
    let run = sandbox.expect(0, &["-C", "clone/environments", "plan"]);
    assert!(
        run.stderr.contains("cannot tell whether these declarations are older than commit `")
            && run.stderr.contains("this clone does not have it"),
        "{}",
        run.stderr
    );
}
