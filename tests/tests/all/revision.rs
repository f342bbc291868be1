//! `plan --at REV` reads the declarations from git objects, without a checkout.

use serde_json::json;

use crate::fixture::three_stages;

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
