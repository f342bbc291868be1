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

#[test]
fn what_cannot_be_imported_keeps_no_other_from_it() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sql(
        &sandbox,
        r#"INSERT INTO workspaces (name, record) VALUES
           ('reports-staging', '{"state": "running", "env": {"A": "b"}}'),
           ('Weird_Name', '{"state": "stopped", "env": {}}')"#,
    );
    let run = sandbox.expect(1, &["import"]);
    assert_eq!(run.stdout, "wrote environments/staging/reports.yaml\n");
    assert!(run.stderr.contains("`Weird_Name` cannot be declared"), "{}", run.stderr);
    // What is declared is not imported once more, and said where it was asked for.
    let run = sandbox.expect(1, &["import"]);
    assert!(run.stdout.is_empty() && !run.stderr.contains("reports-staging"), "{}", run.all());
    let run = sandbox.expect(1, &["import", "reports-staging"]);
    assert!(run.stderr.contains("declared already: it is `staging/reports`"), "{}", run.stderr);
    sql(&sandbox, "DELETE FROM workspaces WHERE name = 'Weird_Name'");
    let run = sandbox.expect(0, &["import"]);
    assert!(run.stderr.contains("nothing to import"), "{}", run.stderr);
}

#[test]
fn what_is_no_valid_declaration_is_not_imported() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sql(
        &sandbox,
        r#"INSERT INTO workspaces (name, record) VALUES
           ('odd-staging', '{"state": "running", "env": {}, "strange": {"key": 1}}'),
           ('lost-staging', '{')"#,
    );
    let run = sandbox.expect(1, &["import", "odd-staging"]);
    assert!(run.stderr.contains("MG020") && run.stderr.contains("no file was written"), "{}", run.stderr);
    assert!(!sandbox.file("environments/staging/odd.yaml").exists());
    let run = sandbox.expect(5, &["import", "lost-staging"]);
    assert!(run.stderr.contains("nobody can say how `lost-staging` is"), "{}", run.stderr);
}

#[test]
fn without_an_environment_a_cluster_is_observed_and_import_says_what_to_make() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sql(&sandbox, r#"UPDATE workspaces SET managed_by = NULL, environment = NULL, workspace = NULL"#);
    for environment in ["development", "staging", "production"] {
        sandbox.remove(&format!("environments/{environment}"));
    }
    let plan = sandbox.plan(&[]);
    assert!(!plan["unmanaged"].as_array().expect("unmanaged").is_empty(), "{plan:#}");
    for arguments in [&["import"][..], &["import", "-e", "team a"]] {
        let run = sandbox.expect(1, arguments);
        assert_eq!(run.stderr.matches("error:").count(), 1, "{}", run.stderr);
        let command = run.stderr.split("make its folder first: ").nth(1).expect("a command").trim();
        let made = sandbox.program("sh").args(["-c", command]).status().expect("a shell");
        assert!(made.success(), "{command}");
        assert!(!sandbox.magus(arguments).stderr.contains("make its folder"));
        std::fs::remove_dir_all(sandbox.file("environments/development")).ok();
    }
}

#[test]
fn characters_that_break_lines_are_imported_as_they_are() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    let values =
        ["a\u{2028}b", "\u{2029}", "a\u{85}b\u{85}", "\u{feff}first", "last\u{feff}", "\u{2028}: # \u{85}- "];
    let env: serde_json::Map<String, serde_json::Value> =
        values.iter().enumerate().map(|(at, value)| (format!("V{at}"), json!(value))).collect();
    let record = json!({"state": "running", "env": env, "container_config": {"command": values}});
    sql(&sandbox, &format!("INSERT INTO workspaces (name, record) VALUES ('reports-staging', '{record}')"));
    sandbox.expect(0, &["import", "reports-staging"]);
    let written = sandbox.read("environments/staging/reports.yaml");
    for c in ['\u{2028}', '\u{2029}', '\u{85}', '\u{feff}'] {
        assert!(!written.contains(c), "an editor may show `{}` as a line: {written}", c.escape_unicode());
    }
    // It is as declared, to the last character.
    let explained = sandbox.expect(0, &["explain", "reports-staging", "--format", "json"]).stdout;
    let explained: serde_json::Value = serde_json::from_str(&explained).expect("JSON");
    let shown = explained.to_string();
    for value in values {
        assert!(shown.contains(&json!(value).to_string()), "{value:?}: {shown}");
    }
    let plan = sandbox.plan(&[]);
    let actions: Vec<_> =
        plan["steps"].as_array().expect("steps").iter().map(|step| &step["action"]).collect();
    assert_eq!(actions, [&json!("adopt")], "{plan:#}");
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}
