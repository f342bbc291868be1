//! A cluster that cannot be read: one cause is one message, in every command and format.

use magus_tests::Sandbox;

/// Thirteen workspaces on a cluster whose store is damaged.
fn unreadable() -> Sandbox {
    let sandbox = Sandbox::with(&[
        ("environments/cluster.yaml", "name: acme\nengine: {local: {path: ../store}}\n"),
        ("environments/development/environment.yaml", "{}\n"),
        (
            "store/magus.db",
            "this is not a database, and long enough to be read as one: 0123456789 0123456789 0123456789",
        ),
    ]);
    for number in 10..23 {
        sandbox.write(&format!("environments/development/w{number}.yaml"), "{}\n");
    }
    sandbox
}

#[test]
fn one_cause_of_many_unknown_workspaces_is_told_once() {
    let sandbox = unreadable();
    let names = "`w10-development`, `w11-development`, `w12-development`, `w13-development`, `w14-development`, \
                 `w15-development`, `w16-development`, `w17-development`, `w18-development`, `w19-development` and 3 more";
    let run = sandbox.expect(5, &["drift"]);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines[0].starts_with("unknown: 13 workspaces: "), "{}", run.stdout);
    assert_eq!(lines[1].trim(), names);
    assert_eq!(lines.len(), 3, "{}", run.stdout);
    let cause = "is not a database";
    assert!(lines[0].ends_with(cause), "{}", run.stdout);
    for format in ["text", "markdown", "html"] {
        let told = sandbox.expect(5, &["plan", "--format", format]).stdout;
        assert_eq!(told.matches(cause).count(), 1, "{format}: {told}");
    }
    let plan = sandbox.plan(&[]);
    let unknown = plan["unknown"].as_array().expect("a list");
    assert_eq!(unknown.len(), 13);
    assert!(unknown.iter().all(|one| one["cause"] == "cluster"), "{unknown:#?}");
}
