//! `plan --at REV` and `plan --since REV` read the declarations from git objects, without a checkout.

use magus_tests::Sandbox;
use serde_json::json;

use crate::fixture::{sql, three_stages};

#[test]
fn a_plan_as_of_a_revision() {
    let sandbox = three_stages();
    sandbox.write(".gitignore", "store\nhome\n");
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "first"]);
    let first = sandbox.git(&["rev-parse", "HEAD"]).trim().to_owned();
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.replace("environments/staging/ingest.yaml", "WORKERS: \"4\"", "WORKERS: \"6\"");
    let plan = sandbox.plan(&[]);
    assert_eq!(plan["source"], json!({"path": "environments", "revision": first, "dirty": true}));
    assert_eq!(plan["summary"]["update"], 1);

    let plan = sandbox.plan(&["--at", "HEAD"]);
    assert_eq!(plan["source"], json!({"path": "environments", "revision": first, "dirty": false}));
    assert_eq!(plan["has_changes"], json!(false), "{plan:#}");

    sandbox.git(&["commit", "-qam", "second"]);
    sandbox.remove("environments");
    assert_eq!(sandbox.plan(&["--at", "main"])["summary"]["update"], 1);
    let run = sandbox.expect(1, &["plan", "--at", "no-such-branch"]);
    assert!(run.stderr.contains("no-such-branch"), "{}", run.stderr);
}

#[test]
fn outside_a_repository_there_is_no_revision() {
    let sandbox = three_stages();
    assert_eq!(sandbox.plan(&[])["source"]["revision"], json!(null));
    let run = sandbox.expect(1, &["plan", "--at", "HEAD"]);
    assert!(run.stderr.contains("git"), "{}", run.stderr);
}

/// [`three_stages`] as a commit that was applied.
fn committed() -> Sandbox {
    let sandbox = three_stages();
    sandbox.write(".gitignore", "store\nhome\n");
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "-qm", "first"]);
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox
}

#[test]
fn a_plan_of_what_changed_since_sets_drift_apart() {
    let sandbox = committed();
    sandbox.replace("environments/staging/ingest.yaml", "WORKERS: \"4\"", "WORKERS: \"6\"");
    sandbox.git(&["commit", "-qam", "second"]);
    sql(
        &sandbox,
        "UPDATE workspaces SET record = json_set(record, '$.env.BY_HAND', 'x') WHERE name LIKE 'ingest-%'",
    );
    let plan = sandbox.plan(&["--since", "HEAD~1"]);
    assert_eq!(plan["steps"].as_array().map(Vec::len), Some(1), "{plan:#}");
    assert_eq!(plan["steps"][0]["fields"].as_array().map(Vec::len), Some(1), "{plan:#}");
    assert_eq!(plan["steps"][0]["fields"][0]["path"], "env.WORKERS");
    let since = &plan["since"];
    assert_eq!(since["revision"], "HEAD~1");
    assert_eq!(since["commit"], sandbox.git(&["rev-parse", "HEAD~1"]).trim());
    let apart: Vec<_> = since["apart"].as_array().expect("a list").iter().collect();
    let names: Vec<_> = apart.iter().map(|one| one["workspace"].as_str().expect("a name")).collect();
    assert_eq!(names, ["ingest-development", "ingest-staging", "ingest-production"]);
    for one in apart {
        assert_eq!(one["fields"][0]["path"], "env.BY_HAND");
        assert_eq!(one["fields"][0]["reason"], "drift");
        assert_eq!((&one["action"], &one["guard"]), (&json!("update"), &json!(null)));
    }

    for format in ["text", "markdown", "html"] {
        let run = sandbox.expect(0, &["plan", "--since", "HEAD~1", "--format", format]);
        assert!(run.stdout.contains("3 set apart") && run.stdout.contains("BY_HAND"), "{}", run.stdout);
        assert!(!run.stdout.contains("magus apply"), "a part is not offered to be applied: {}", run.stdout);
    }
    let run = sandbox.expect(2, &["plan", "--since", "HEAD~1", "--detailed-exitcode"]);
    assert!(run.stdout.ends_with("an apply does the whole plan.\nNext: magus plan\n"), "{}", run.stdout);
    // What was not committed comes after HEAD, and the drift is nobody's commit.
    sandbox.expect(0, &["plan", "--since", "HEAD", "--detailed-exitcode"]);
    sandbox.replace("environments/staging/analytics.yaml", "WORKERS: \"4\"", "WORKERS: \"6\"");
    sandbox.expect(2, &["plan", "--since", "HEAD", "--detailed-exitcode"]);
    sandbox.expect(0, &["plan", "--since", "HEAD", "--at", "HEAD", "--detailed-exitcode"]);
    assert_eq!(sandbox.plan(&[]).get("since"), None, "a whole plan says nothing of it");
}

#[test]
fn a_removed_workspace_is_withheld_and_an_earlier_one_set_apart() {
    let sandbox = committed();
    sandbox.remove("environments/production/ingest.yaml");
    sandbox.git(&["commit", "-qam", "second"]);
    sandbox.remove("environments/production/analytics.yaml");
    sandbox.write("environments/production/new.yaml", "env: {A: b}\n");
    let plan = sandbox.plan(&["--since", "HEAD"]);
    assert_eq!(plan["withheld"].as_array().map(Vec::len), Some(1), "{plan:#}");
    assert_eq!(plan["withheld"][0]["workspace"], "analytics-production");
    assert_eq!(plan["since"]["apart"][0]["workspace"], "ingest-production");
    assert_eq!(plan["since"]["apart"][0]["guard"], "protected");
    assert_eq!(plan["summary"]["create"], 1);
    let run = sandbox.expect(4, &["plan", "--since", "HEAD"]);
    assert!(run.stdout.contains("withheld by `protected` in the whole plan too"), "{}", run.stdout);
}

#[test]
fn a_part_of_a_plan_is_not_applied() {
    let sandbox = committed();
    let run = sandbox.expect(64, &["plan", "--since", "HEAD", "--out", "plan.json"]);
    assert!(run.stderr.contains("an apply does the whole plan"), "{}", run.stderr);
    assert!(!sandbox.file("plan.json").exists());
    let run = sandbox.expect(0, &["plan", "--since", "HEAD", "--format", "json"]);
    sandbox.write("plan.json", run.stdout);
    let run = sandbox.expect(1, &["apply", "plan.json", "--yes"]);
    assert!(run.stderr.contains("only what changed since `HEAD`"), "{}", run.stderr);
    sandbox.expect(64, &["plan", "--since", "HEAD", "--refresh-secrets", "staging"]);
}

#[test]
fn what_a_revision_has_to_be() {
    let sandbox = committed();
    let first = sandbox.git(&["rev-parse", "HEAD"]).trim().to_owned();
    sandbox.git(&["checkout", "-qb", "other"]);
    sandbox.git(&["commit", "-qm", "elsewhere", "--allow-empty"]);
    sandbox.git(&["checkout", "-q", "main"]);
    sandbox.replace("environments/staging/ingest.yaml", "WORKERS: \"4\"", "WORKERS: 4\nwrong: 1\n#");
    sandbox.git(&["commit", "-qam", "second"]);
    sandbox.replace("environments/staging/ingest.yaml", "WORKERS: 4\nwrong: 1\n", "WORKERS: \"4\"\n");
    sandbox.git(&["commit", "-qam", "third"]);
    sandbox.git(&["checkout", "-q", "--orphan", "lonely"]);
    sandbox.git(&["commit", "-qm", "no history"]);
    sandbox.git(&["checkout", "-q", "main"]);
    let parts = format!("--since {first}");
    for (revision, expected) in [
        ("nowhere", "no revision `nowhere`"),
        ("other", parts.as_str()),
        ("lonely", "no commit in common"),
        ("HEAD~1", "the declarations at `HEAD~1` have errors"),
    ] {
        let run = sandbox.expect(1, &["plan", "--since", revision]);
        assert!(run.stderr.contains(expected), "{revision}: {}", run.stderr);
        assert_eq!(run.stdout, "");
    }
    let run = sandbox.expect(1, &["plan", "--at", "HEAD~1"]);
    assert!(run.stderr.contains("at `HEAD~1` have errors") && run.stderr.contains("wrong"), "{}", run.stderr);
}

#[test]
fn where_nothing_was_declared_everything_is_new() {
    let sandbox = three_stages();
    sandbox.write(".gitignore", "store\nhome\n");
    sandbox.git(&["init", "-q"]);
    sandbox.git(&["add", ".gitignore"]);
    sandbox.git(&["commit", "-qm", "nothing yet"]);
    let run = sandbox.expect(0, &["plan", "--since", "HEAD"]);
    assert!(run.stdout.contains("6 to create"), "{}", run.stdout);
    assert!(run.stderr.contains("there is no `environments` at `HEAD`"), "{}", run.stderr);
}

#[test]
fn a_cluster_is_changed_from_its_branch_alone() {
    let sandbox = crate::fixture::three_stages();
    let text = sandbox.read("environments/cluster.yaml");
    sandbox.write("environments/cluster.yaml", format!("{text}declarations: {{branch: main}}\n"));
    let says = |code: i32, words: &[&str], says: &str| {
        let run = sandbox.expect(code, words);
        assert!(run.all().contains(says), "{}", run.all());
    };
    says(1, &["apply", "--yes"], "is not in a git repository");
    sandbox.git(&["init", "--quiet"]);
    says(4, &["apply", "--yes"], "a branch without a commit");
    sandbox.git(&["add", "environments"]);
    sandbox.git(&["commit", "--quiet", "--message", "first"]);
    sandbox.git(&["checkout", "--quiet", "-b", "topic/main"]);
    for command in [
        &["apply", "--yes"][..],
        &["restart", "-e", "staging", "--yes"],
        &["destroy", "-e", "staging", "--yes"],
    ] {
        says(4, command, "these declarations are those of the branch `topic/main`");
    }
    sandbox.expect(0, &["plan"]);
    assert!(!sandbox.file("store").exists());
    sandbox.git(&["commit", "--quiet", "--allow-empty", "--message", "second"]);
    sandbox.git(&["checkout", "--quiet", "--detach"]);
    says(4, &["apply", "--yes"], "those of the commit `");
    // As CI checks it out: a commit of the branch, and the branch only as it was fetched.
    sandbox.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    sandbox.git(&["branch", "--quiet", "-D", "main"]);
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.git(&["checkout", "--quiet", "-B", "main", "topic/main"]);
    sandbox.expect(0, &["apply", "--yes"]);
}

#[test]
fn without_a_revision_the_pull_request_of_ci_counts() {
    let mut sandbox = committed();
    let run = sandbox.expect(64, &["plan", "--since"]);
    assert!(run.stderr.contains("CI names no pull request"), "{}", run.stderr);
    let base = sandbox.git(&["rev-parse", "HEAD"]).trim().to_owned();
    sandbox.git(&["checkout", "-q", "-b", "topic"]);
    sandbox.replace("environments/staging/ingest.yaml", "WORKERS: \"4\"", "WORKERS: \"6\"");
    sandbox.git(&["commit", "-qam", "second"]);
    // The target went on meanwhile.
    sandbox.git(&["checkout", "-q", "main"]);
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "third"]);
    sandbox.git(&["update-ref", "refs/remotes/origin/main", "main"]);
    sandbox.git(&["checkout", "-q", "topic"]);
    sandbox.set("GITHUB_BASE_REF", "main");
    let plan = sandbox.plan(&["--since"]);
    assert_eq!((&plan["since"]["commit"], &plan["summary"]["update"]), (&json!(base), &json!(1)));
    sandbox.set("GITHUB_BASE_REF", "");
    sandbox.set("CI_MERGE_REQUEST_DIFF_BASE_SHA", &base);
    assert_eq!(sandbox.plan(&["--since"])["since"]["commit"], json!(base));
}

#[test]
fn a_shallow_clone_says_what_it_lacks() {
    let sandbox = committed();
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
    let url = format!("file://{}", sandbox.path().display());
    sandbox.git(&["clone", "-q", "--depth", "1", &url, "home/shallow"]);
    for arguments in [&["plan", "--since", "HEAD~1"][..], &["plan", "--at", "HEAD~1"]] {
        let run = sandbox.expect(1, &[&["-C", "home/shallow/environments"], arguments].concat());
        assert!(
            run.stderr.contains("in this shallow clone") && run.stderr.contains("fetch-depth: 0"),
            "{}",
            run.stderr
        );
    }
    let run = sandbox.magus(&["-C", "home/shallow/environments", "plan", "--since", "HEAD"]);
    assert_eq!(run.code, Some(0), "{}", run.all());
}
