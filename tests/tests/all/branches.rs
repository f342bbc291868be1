//! Workspaces that come with a branch, follow its head, and go with it.

use magus_tests::Sandbox;

use crate::deploy::{push, runs, sandbox};

const DEVELOPMENT: &str = "environments/development/environment.yaml";

/// Development, with a workspace for each branch below `feature/`.
fn with_branches(more: &str) -> Sandbox {
    let sandbox = sandbox();
    let own = format!(
        "branch: development\nbranch_workspaces:\n  match: \"feature/*\"\n  name: dev-${{branch_slug}}\n  workspace:\n    env: {{OF: \"${{branch}}\", SLUG: \"${{branch_slug}}\"}}\n{more}"
    );
    sandbox.write(DEVELOPMENT, own);
    sandbox
}

fn lines(plan: &serde_json::Value, key: &str) -> Vec<String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let all = plan[key].as_array().expect("a list").iter();
    all.map(|one| format!("{} {}", text(&one["workspace"]), text(&one["action"])).trim().to_owned()).collect()
}

fn gone(sandbox: &Sandbox, branch: &str) {
    sandbox.git(&["-C", "work", "push", "--quiet", "origin", "--delete", branch]);
}

#[test]
fn each_branch_gets_a_workspace_that_follows_its_head() {
    let sandbox = with_branches("");
    sandbox.expect(0, &["lint"]);
    let first = push(&sandbox, "feature/Orders_Backfill", "first", &[("mage/x.py", "1\n")]);
    push(&sandbox, "topic", "not matched", &[]);
    let plan = sandbox.plan(&["-e", "development"]);
    assert_eq!(
        lines(&plan, "steps"),
        [
            "ana-development create",
            "ana-development deploy",
            "dev-feature-orders-backfill create",
            "dev-feature-orders-backfill deploy"
        ]
    );
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(runs(&sandbox, "dev-feature-orders-backfill"), first);
    let variables = sandbox.read("store/workspaces/dev-feature-orders-backfill/.env");
    assert!(
        variables.contains("feature/Orders_Backfill") && variables.contains("SLUG=feature-orders-backfill"),
        "{variables}"
    );
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    let status = sandbox.expect(0, &["status"]).stdout;
    assert!(status.contains("feature/Orders_Backfill"), "{status}");

    let next = push(&sandbox, "feature/Orders_Backfill", "second", &[("mage/x.py", "2\n")]);
    sandbox.expect(0, &["apply", "--yes", "-w", "dev-feature-orders-backfill"]);
    assert_eq!(runs(&sandbox, "dev-feature-orders-backfill"), next);
    // Two branches whose names look the same, and one that is too long.
    push(&sandbox, "feature/orders/backfill", "third", &[]);
    let long = format!("feature/{}", "long-".repeat(20));
    push(&sandbox, &long, "fourth", &[]);
    let creates = lines(&sandbox.plan(&[]), "steps");
    let created: Vec<&str> = creates.iter().filter_map(|line| line.strip_suffix(" create")).collect();
    assert_eq!(created.len(), 2, "{created:?}");
    let cut = created.iter().find(|name| name.starts_with("dev-feature-long")).expect("the long one");
    assert!(cut.len() <= 52, "{cut}");
    let other =
        created.iter().find(|name| name.starts_with("dev-feature-orders-backfill-")).expect("the other");
    assert_eq!(other.len(), "dev-feature-orders-backfill-".len() + 6);
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    // What a branch brings is no work of the declarations' commits.
    sandbox.git(&["init", "--quiet"]);
    sandbox.git(&["add", "environments"]);
    sandbox.git(&["commit", "--quiet", "--message", "first"]);
    sandbox.expect(0, &["destroy", "--yes", "-w", "dev-feature-orders-backfill"]);
    let plan = sandbox.plan(&["--since", "HEAD"]);
    assert_eq!(lines(&plan, "steps"), [""; 0]);
    assert_eq!(plan["since"]["apart"][0]["workspace"], "dev-feature-orders-backfill");
}

#[test]
fn a_branch_that_is_gone_stops_its_workspace_and_takes_it_along_in_time() {
    let sandbox = with_branches("  remove_after: 7d\n");
    push(&sandbox, "feature/x", "first", &[("mage/x.py", "1\n")]);
    sandbox.expect(0, &["apply", "--yes"]);
    gone(&sandbox, "feature/x");
    let run = sandbox.expect(0, &["plan"]);
    assert!(run.stdout.contains("its branch `feature/x` is gone; it is deleted after 20"), "{}", run.stdout);
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    let status = sandbox.expect(0, &["status"]).stdout;
    let line = status.lines().find(|line| line.contains("dev-feature-x")).expect("a line");
    assert!(line.contains("stopped"), "{line}");
    // A branch that comes back starts it again.
    let next = push(&sandbox, "feature/x", "again", &[("mage/x.py", "2\n")]);
    assert_eq!(lines(&sandbox.plan(&[]), "steps"), ["dev-feature-x deploy", "dev-feature-x start"]);
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(runs(&sandbox, "dev-feature-x"), next);
    gone(&sandbox, "feature/x");
    sandbox.expect(0, &["apply", "--yes"]);
    // Its time has come, but somebody has work in it that no commit has.
    sandbox.replace(DEVELOPMENT, "7d", "0s");
    sandbox.write("store/workspaces/dev-feature-x/code/mine.py", "1\n");
    let run = sandbox.expect(4, &["apply", "--yes"]);
    assert!(
        run.stdout.contains("guard `uncommitted-changes`") && run.stdout.contains("`mine.py`"),
        "{}",
        run.stdout
    );
    sandbox.remove("store/workspaces/dev-feature-x/code/mine.py");
    let run = sandbox.expect(0, &["apply", "--yes"]);
    assert!(run.stdout.contains("its branch `feature/x` is gone"), "{}", run.stdout);
    assert!(!sandbox.file("store/workspaces/dev-feature-x").exists());
}

#[test]
fn a_branch_more_than_the_limit_waits_for_another_to_go() {
    let sandbox = with_branches("  limit: 1\n  on_gone: delete\n");
    push(&sandbox, "feature/b", "first", &[]);
    sandbox.expect(0, &["apply", "--yes"]);
    // The one that is there stays, whatever the others are called.
    push(&sandbox, "feature/a", "second", &[]);
    let run = sandbox.expect(0, &["apply", "--yes"]);
    assert!(run.stdout.contains("guard `branch-limit`"), "{}", run.stdout);
    assert!(!sandbox.file("store/workspaces/dev-feature-a").exists());
    gone(&sandbox, "feature/b");
    sandbox.expect(0, &["apply", "--yes"]);
    assert!(!sandbox.file("store/workspaces/dev-feature-b").exists());
    sandbox.expect(0, &["apply", "--yes"]);
    assert!(sandbox.file("store/workspaces/dev-feature-a").exists());
}

#[test]
fn a_repository_that_nobody_can_read_takes_no_workspace_away() {
    let sandbox = with_branches("  on_gone: delete\n");
    push(&sandbox, "feature/x", "first", &[]);
    sandbox.expect(0, &["apply", "--yes"]);
    std::fs::rename(sandbox.file("pipelines.git"), sandbox.file("away")).expect("renamed");
    let plan = sandbox.plan(&[]);
    assert_eq!(lines(&plan, "steps"), [""; 0]);
    assert!(lines(&plan, "unknown").contains(&"dev-feature-x".to_owned()), "{plan}");
    sandbox.expect(5, &["apply", "--yes"]);
    assert!(sandbox.file("store/workspaces/dev-feature-x").exists());
    std::fs::rename(sandbox.file("away"), sandbox.file("pipelines.git")).expect("renamed");
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    // Declared no more: they are removed like every other workspace.
    sandbox.write(DEVELOPMENT, "branch: development\n");
    let plan = sandbox.plan(&[]);
    assert_eq!(lines(&plan, "steps"), ["dev-feature-x delete"]);
    assert_eq!(plan["steps"][0]["reason"], "not declared any more in development");
}

#[test]
fn what_is_wrong_with_them_is_a_finding() {
    let sandbox = with_branches("  limit: 0\n  on_gone: vanish\n  nmae: x\n");
    let run = sandbox.expect(1, &["lint", "--format", "concise"]);
    for part in ["`branch_workspaces.limit`", "vanish", "nmae"] {
        assert!(run.stdout.contains(part), "{part}: {}", run.stdout);
    }
    sandbox.write(DEVELOPMENT, "branch: development\nbranch_workspaces: {match: \"*\", name: \"${branch_slug}\", workspace: {use: [nothing], env: {A: \"${slug}\"}}}\ndefaults: {env: {B: \"${branch_slug}\"}}\n");
    let run = sandbox.expect(1, &["lint", "--format", "concise"]);
    for part in ["there is no template `nothing`", "there is no placeholder `${slug}`", "`${branch_slug}`"] {
        assert!(run.stdout.contains(part), "{part}: {}", run.stdout);
    }
    // What people call their branches is never an error.
    sandbox.write(DEVELOPMENT, "branch: development\nbranch_workspaces: {match: \"*\", name: same}\n");
    push(&sandbox, "1", "first", &[]);
    push(&sandbox, "ü", "second", &[]);
    let run = sandbox.expect(0, &["lint"]);
    assert!(run.all().contains("gets no workspace"), "{}", run.all());
    sandbox.expect(0, &["apply", "--yes"]);
}

#[test]
fn a_workspace_keeps_its_branch_and_a_newcomer_gets_a_hashed_name() {
    // One sorts before the branch that came first, the other after it.
    for (older, newer) in [("feature/b_x", "feature/b-x"), ("feature/b-x", "feature/b_x")] {
        let sandbox = with_branches("");
        let first = push(&sandbox, older, "first", &[("mage/x.py", "1\n")]);
        sandbox.expect(0, &["apply", "--yes"]);
        let second = push(&sandbox, newer, "second", &[("mage/x.py", "2\n")]);
        let plan = sandbox.plan(&[]);
        let steps = lines(&plan, "steps");
        let hashed = steps[0].strip_suffix(" create").expect("a create").to_owned();
        assert!(hashed.starts_with("dev-feature-b-x-"), "{steps:?}");
        assert_eq!(steps, [format!("{hashed} create"), format!("{hashed} deploy")], "{older}");
        // The same in the next plan, and after the apply.
        assert_eq!(lines(&sandbox.plan(&[]), "steps"), steps);
        sandbox.expect(0, &["apply", "--yes"]);
        sandbox.expect(0, &["plan", "--detailed-exitcode"]);
        assert_eq!(runs(&sandbox, "dev-feature-b-x"), first);
        assert_eq!(runs(&sandbox, &hashed), second);

        // The older branch is deleted, and its workspace is kept: the newcomer keeps its own name.
        gone(&sandbox, older);
        sandbox.expect(0, &["apply", "--yes"]);
        sandbox.expect(0, &["plan", "--detailed-exitcode"]);
        assert_eq!(runs(&sandbox, "dev-feature-b-x"), first);
        assert_eq!(runs(&sandbox, &hashed), second);
    }
}

#[test]
fn a_newcomer_does_not_take_over_the_workspace_of_a_deleted_branch() {
    let sandbox = with_branches("");
    let first = push(&sandbox, "feature/b_x", "first", &[("mage/x.py", "1\n")]);
    sandbox.expect(0, &["apply", "--yes"]);
    gone(&sandbox, "feature/b_x");
    sandbox.expect(0, &["apply", "--yes"]);
    push(&sandbox, "feature/b-x", "second", &[("mage/x.py", "2\n")]);
    let steps = lines(&sandbox.plan(&[]), "steps");
    assert_eq!(steps.len(), 2, "{steps:?}");
    assert!(steps.iter().all(|step| step.starts_with("dev-feature-b-x-")), "{steps:?}");
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(runs(&sandbox, "dev-feature-b-x"), first);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}
