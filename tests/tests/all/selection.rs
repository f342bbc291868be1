//! Names that select, and names that select nothing.

use crate::fixture::{sql, three_stages};

#[test]
fn a_name_that_nothing_has_is_wrong_usage_everywhere() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    for (arguments, expected) in [
        (&["plan", "-e", "stagin"][..], "did you mean `staging`?"),
        (&["apply", "--yes", "-w", "ingst"], "did you mean `ingest`?"),
        (&["status", "-w", "nothing-like-it"], "one of "),
        (&["explain", "staging/ingst"], "`ingest`"),
        (&["explain", "staging/ingest", "env.WORKER"], "`env.WORKERS`"),
        (&["explain", "ingest"], "`staging/ingest`"),
        (&["diff", "staging/ingest", "staging/ingst"], "did you mean `staging/ingest`?"),
        (
            &["plan", "-e", "staging", "-w", "ingest-production"],
            "no workspace `ingest-production` in `staging`",
        ),
    ] {
        let run = sandbox.expect(64, arguments);
        assert!(run.stderr.contains(expected), "{arguments:?}: {}", run.stderr);
        assert_eq!(run.stdout, "");
    }
    // What is managed, and not declared any more, is selected by the names of its mark.
    sandbox.remove("environments/staging/ingest.yaml");
    let run = sandbox.expect(0, &["plan", "-e", "staging", "-w", "ingest"]);
    assert!(run.stdout.contains("1 to delete"), "{}", run.stdout);
    // An environment may be empty.
    sandbox.write("environments/later/environment.yaml", "promotes_from: development\n");
    sandbox.expect(0, &["plan", "-e", "later"]);
}

#[test]
fn status_speaks_of_what_is_selected_alone() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes", "-e", "staging"]);
    let run = sandbox.expect(0, &["status", "-e", "staging"]);
    assert!(run.stdout.ends_with("2 workspaces: 2 as declared\n"), "{}", run.stdout);
    let run = sandbox.expect(0, &["status"]);
    assert!(run.stdout.ends_with("6 workspaces: 2 as declared, 4 with pending changes\n"), "{}", run.stdout);
    sql(&sandbox, "UPDATE workspaces SET record = '{' WHERE name = 'ingest-staging'");
    let run = sandbox.expect(5, &["status", "-w", "ingest-staging"]);
    assert!(run.stdout.ends_with("1 workspace: 0 as declared, 1 unknown\n"), "{}", run.stdout);
}

#[test]
fn a_flag_for_an_environment_that_nobody_knows_is_said() {
    let sandbox = three_stages();
    for command in [&["plan"][..], &["apply", "--yes"]] {
        let flag = [command, &["--allow-delete", "prodction"]].concat();
        let run = sandbox.expect(0, &flag);
        let expected =
            "no environment `prodction` for `--allow-delete`\n  help: did you mean `production`?\n";
        assert_eq!(run.stderr.matches(expected).count(), 1, "{}", run.stderr);
    }
    // The folder is gone, and the workspaces are not: the flag is for them.
    sandbox.remove("environments/production");
    let run = sandbox.expect(0, &["plan", "--allow-delete", "production", "--reason", "moved"]);
    assert_eq!(run.stderr, "");
}

#[test]
fn nothing_to_restart_or_delete_is_not_as_declared() {
    let sandbox = three_stages();
    let run = sandbox.expect(0, &["destroy", "-w", "ingest", "--yes"]);
    assert_eq!(run.stdout, "Nothing to delete: nothing managed is selected in the cluster.\n");
    sandbox.write("environments/staging/ingest.yaml", "state: stopped\n");
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.write("environments/staging/ingest.yaml", "env: {A: b}\nstate: stopped\n");
    let run = sandbox.expect(0, &["restart", "-w", "ingest-staging", "--yes"]);
    assert_eq!(run.stdout, "Nothing to restart: what is selected is stopped, or not in the cluster.\n");
}

#[test]
fn a_name_may_be_one_of_what_could_not_be_read() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    // Known by its mark alone, and the mark cannot be read.
    sandbox.remove("environments/staging/ingest.yaml");
    std::fs::write(sandbox.file("store/magus.db"), "no database").expect("a file");
    for command in [&["plan"][..], &["apply", "--yes"], &["status"]] {
        let run = sandbox.expect(5, &[command, &["-w", "ingest-staging"]].concat());
        let expected =
            "error: there is no workspace `ingest-staging`, as far as could be read: cluster `acme`: ";
        assert!(run.stderr.contains(expected), "{}", run.stderr);
        // What is declared is known all the same.
        let run = sandbox.expect(5, &[command, &["-w", "ingest-production"]].concat());
        assert!(!run.all().contains("there is no workspace"), "{}", run.all());
    }
}

#[test]
fn lint_speaks_of_what_is_selected_alone() {
    let sandbox = three_stages();
    // One finding in each kind of file, and in a file that declares nothing.
    for file in ["cluster.yaml", "staging/environment.yaml", "staging/ingest.yaml", "production/ingest.yaml"]
    {
        let text = sandbox.read(&format!("environments/{file}"));
        sandbox.write(&format!("environments/{file}"), format!("{text}nonsense: 1\n"));
    }
    sandbox.write("environments/staging/stray.txt", "");
    sandbox.write("environments/staging/stray.yml", "{}\n");
    let found = |code, arguments: &[&str]| -> Vec<String> {
        let run = sandbox.expect(code, &[&["lint", "--format", "json"], arguments].concat());
        let report: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
        let mut files: Vec<String> = report["diagnostics"]
            .as_array()
            .expect("findings")
            .iter()
            .map(|one| one["file"].as_str().expect("a file").replace("environments/", ""))
            .collect();
        files.dedup();
        files
    };
    let (cluster, staging) = ("cluster.yaml", "staging/environment.yaml");
    let all = found(1, &[]);
    assert!(all.contains(&"production/ingest.yaml".to_owned()), "{all:?}");
    let of_staging = found(1, &["-e", "staging"]);
    assert_eq!(of_staging, [cluster, staging, "staging/ingest.yaml", "staging/stray.yml"]);
    assert_eq!(found(1, &["-e", "staging", "-w", "ingest"]), [cluster, staging, "staging/ingest.yaml"]);
    assert_eq!(found(1, &["-w", "analytics-staging", "-e", "staging"]), [cluster, staging]);
    assert_eq!(found(1, &["-w", "ingest", "environments/production"]), ["production/ingest.yaml"]);
    // Only the layers of what is selected, wherever it is.
    assert_eq!(found(1, &["-w", "ingest-production"]), [cluster, "production/ingest.yaml"]);
    let run = sandbox.expect(64, &["lint", "-e", "stagin"]);
    assert!(run.stderr.contains("did you mean `staging`?"), "{}", run.stderr);
    sandbox.expect(64, &["lint", "-w", "nobody"]);
}
