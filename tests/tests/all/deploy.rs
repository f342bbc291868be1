//! Code on its way into workspaces of the embedded engine: from real repositories, step by step and interrupted.

use std::fs;

use magus_tests::{Sandbox, cases, skip};

use crate::{code::Daemon, kill};

/// Three environments over a repository with a branch each, and a clone at `work` from which people push.
pub(crate) fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with(&[
        (
            "environments/cluster.yaml",
            "name: acme\nengine: {local: {path: ../store}}\nrepository: {url: ../pipelines.git, directory: mage}\n",
        ),
        ("environments/development/environment.yaml", "branch: development\n"),
        ("environments/development/ana.yaml", "{}\n"),
        ("environments/staging/environment.yaml", "promotes_from: development\nbranch: staging\n"),
        ("environments/staging/ana.yaml", "{}\n"),
        ("environments/production/environment.yaml", "promotes_from: staging\nbranch: main\n"),
        ("environments/production/ana.yaml", "{}\n"),
    ]);
    sandbox.git(&["init", "--quiet", "--bare", "pipelines.git"]);
    sandbox.git(&["clone", "--quiet", "pipelines.git", "work"]);
    push(&sandbox, "main", "first", &[("mage/pipelines/orders/metadata.yaml", "name: orders\n")]);
    for branch in ["staging", "development"] {
        sandbox.git(&["-C", "work", "push", "--quiet", "origin", &format!("main:{branch}")]);
    }
    sandbox
}

/// Pushes a commit with these files to a branch; its number.
pub(crate) fn push(sandbox: &Sandbox, branch: &str, title: &str, files: &[(&str, &str)]) -> String {
    sandbox.git(&["-C", "work", "fetch", "--quiet"]);
    let start = format!("origin/{branch}");
    let heads = sandbox.git(&["-C", "work", "branch", "--remotes"]);
    if heads.lines().any(|line| line.trim() == start) {
        sandbox.git(&["-C", "work", "checkout", "--quiet", "-B", branch, &start]);
    } else {
        sandbox.git(&["-C", "work", "checkout", "--quiet", "-B", branch]);
    }
    for (path, text) in files {
        sandbox.write(&format!("work/{path}"), text);
    }
    sandbox.git(&["-C", "work", "add", "."]);
    sandbox.git(&["-C", "work", "commit", "--quiet", "--allow-empty", "--message", title]);
    sandbox.git(&["-C", "work", "push", "--quiet", "--force", "origin", branch]);
    sandbox.git(&["-C", "work", "rev-parse", "HEAD"]).trim().to_owned()
}

fn code(workspace: &str) -> String {
    format!("store/workspaces/{workspace}/code")
}

/// The commit whose tree a workspace's link leads to.
pub(crate) fn runs(sandbox: &Sandbox, workspace: &str) -> String {
    let target = fs::read_link(sandbox.file(&code(workspace))).expect("a link");
    let name = target.file_name().expect("a tree").to_str().expect("text").to_owned();
    name.split_once('-').expect("a number").1.to_owned()
}

/// The steps of a plan, a line each.
fn steps(plan: &serde_json::Value) -> Vec<String> {
    let steps = plan["steps"].as_array().expect("steps").iter();
    let line = |step: &serde_json::Value| {
        format!(
            "{} {} ({}): {}",
            step["workspace"].as_str().expect("a name"),
            step["action"].as_str().expect("an action"),
            step["restarts"],
            step["reason"].as_str().expect("a reason")
        )
    };
    steps.map(line).collect()
}

#[test]
fn three_environments_run_three_branches_and_each_moves_alone() {
    let sandbox = sandbox();
    let staged = push(&sandbox, "staging", "second", &[("mage/x.py", "1\n")]);
    let shown = sandbox.expect(0, &["apply", "--yes"]).stdout;
    assert!(shown.contains("`staging`, for the first time") && shown.contains("+ "), "{shown}");
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    let main = runs(&sandbox, "ana-production");
    assert_eq!(runs(&sandbox, "ana-development"), main);
    assert_eq!(runs(&sandbox, "ana-staging"), staged);
    assert_eq!(sandbox.read(&format!("{}/x.py", code("ana-staging"))), "1\n");
    assert!(
        !sandbox.file(&code("ana-staging")).join("mage").exists(),
        "only the project's folder is deployed"
    );

    let next = push(
        &sandbox,
        "staging",
        "third \u{1b}[31m `x`",
        &[("mage/x.py", "2\n"), ("mage/requirements.txt", "pandas\n"), ("other", "")],
    );
    let run = sandbox.expect(2, &["plan", "--detailed-exitcode"]);
    assert!(run.stdout.contains("1 to deploy; 2 unchanged"), "{}", run.stdout);
    assert!(
        run.stdout.contains(&format!("+ {} third \\u{{1b}}[31m `x` (Test)", &next[..10])),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("requirement pandas comes"), "{}", run.stdout);
    let plan = sandbox.plan(&[]);
    assert_eq!(steps(&plan), ["ana-staging deploy (true): `staging` is 1 commit ahead"]);
    let deploy = &plan["steps"][0]["deploy"];
    assert_eq!((deploy["from"].as_str(), deploy["to"].as_str()), (Some(&*staged), Some(&*next)));
    assert_eq!((&deploy["reason"], &deploy["movement"]["files"]), (&"declared".into(), &2.into()));
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!((runs(&sandbox, "ana-staging"), runs(&sandbox, "ana-production")), (next, main));
    assert_eq!(sandbox.read(&format!("{}/x.py", code("ana-staging"))), "2\n");

    // Where people edit in place, nothing follows what is pushed.
    push(&sandbox, "development", "fourth", &[("mage/x.py", "3\n")]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    sandbox.write("environments/development/environment.yaml", "branch: development\ndeploy: head\n");
    assert_eq!(
        steps(&sandbox.plan(&[])),
        ["ana-development deploy (false): `development` is 1 commit ahead"]
    );
}

#[test]
fn what_was_reviewed_is_deployed_whatever_was_pushed_since() {
    let sandbox = sandbox();
    sandbox.expect(0, &["apply", "--yes"]);
    let reviewed = push(&sandbox, "main", "reviewed", &[("mage/x.py", "1\n")]);
    sandbox.expect(0, &["plan", "--out", "plan.json"]);
    push(&sandbox, "main", "later", &[("mage/x.py", "2\n")]);
    push(&sandbox, "staging", "elsewhere", &[]);
    sandbox.expect(0, &["apply", "plan.json", "--yes"]);
    assert_eq!(runs(&sandbox, "ana-production"), reviewed);
    assert_eq!(steps(&sandbox.plan(&[])).len(), 2);

    // A branch that no longer has the commit does not get it.
    sandbox.expect(0, &["plan", "--out", "plan.json"]);
    let before = runs(&sandbox, "ana-staging");
    sandbox.git(&["-C", "work", "push", "--quiet", "--force", "origin", "origin/staging~1:staging"]);
    push(&sandbox, "staging", "other", &[]);
    let refused = sandbox.expect(4, &["apply", "plan.json", "--yes"]);
    assert!(refused.stderr.contains("acme/ana-staging/deploy"), "{}", refused.stderr);
    assert_eq!(runs(&sandbox, "ana-staging"), before);
}

#[test]
fn back_is_called_a_rollback_and_a_pin_holds() {
    let sandbox = sandbox();
    let first = runs_after_apply(&sandbox, "ana-production");
    let second = push(&sandbox, "main", "second", &[("mage/x.py", "1\n")]);
    assert_eq!(runs_after_apply(&sandbox, "ana-production"), second);
    let pinned = "promotes_from: staging\nbranch: main\ndeploy: pinned\ncommit: ";
    sandbox.write("environments/production/environment.yaml", format!("{pinned}\"{}\"\n", &first[..8]));
    let plan = sandbox.plan(&[]);
    let expect = format!(
        "ana-production deploy (false): rollback: `{}` of `main` is 1 commit before what runs",
        &first[..8]
    );
    assert_eq!(steps(&plan), [expect]);
    let shown = sandbox.expect(0, &["plan"]).stdout;
    assert!(shown.contains(&format!("- {} second (Test)", &second[..10])), "{shown}");
    assert_eq!(runs_after_apply(&sandbox, "ana-production"), first);
    push(&sandbox, "main", "third", &[]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);

    let staged = push(&sandbox, "staging", "not on main", &[]);
    sandbox.write("environments/production/environment.yaml", format!("{pinned}\"{staged}\"\n"));
    let run = sandbox.expect(1, &["apply", "--yes"]);
    assert!(run.all().contains("MG403"), "{}", run.all());
    sandbox.write(
        "environments/production/environment.yaml",
        "promotes_from: staging\nbranch: main\ndeploy: none\n",
    );
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(runs(&sandbox, "ana-production"), first);
}

fn runs_after_apply(sandbox: &Sandbox, workspace: &str) -> String {
    sandbox.expect(0, &["apply", "--yes"]);
    runs(sandbox, workspace)
}

#[test]
fn a_push_can_be_planned_before_it_is_there() {
    let sandbox = sandbox();
    sandbox.expect(0, &["apply", "--yes"]);
    let next = push(&sandbox, "topic", "next", &[("mage/x.py", "1\n")]);
    let assume = format!("main={}", &next[..9]);
    let plan = sandbox.plan(&["--assume", &assume]);
    assert_eq!(plan["steps"][0]["deploy"]["to"], next.as_str());
    assert_eq!(steps(&plan), ["ana-production deploy (false): `main` is 1 commit ahead"]);
    sandbox.expect(0, &["plan", "--assume", &assume, "--out", "plan.json"]);
    sandbox.expect(4, &["apply", "plan.json", "--yes"]);
    for (wrong, says) in [
        ("mian=3f2a91c", "did you mean `main`?"),
        ("main", "write the branch, `=` and the commit"),
        ("=x", "write the branch, `=` and the commit"),
    ] {
        let run = sandbox.expect(64, &["plan", "--assume", wrong]);
        assert!(run.stderr.contains(says), "{}", run.stderr);
    }
    let run = sandbox.expect(5, &["plan", "--assume", "main=0123456789"]);
    assert!(run.stdout.contains("no commit `0123456789`, which `--assume` names"), "{}", run.stdout);
}

#[test]
fn nobodys_work_is_lost() {
    let sandbox = sandbox();
    sandbox.expect(0, &["apply", "--yes"]);
    push(&sandbox, "staging", "second", &[("mage/x.py", "1\n")]);
    let mine = format!("{}/data_loaders/mine.py", code("ana-staging"));
    sandbox.write(&mine, "mine");
    sandbox.write("environments/staging/ana.yaml", "env: {A: \"1\"}\n");
    let run = sandbox.expect(4, &["apply", "--yes"]);
    assert!(
        run.stdout.contains("uncommitted changes would be lost: `data_loaders/mine.py`"),
        "{}",
        run.stdout
    );
    assert!(sandbox.read("store/workspaces/ana-staging/.env").contains("A=1"), "the rest is applied");
    assert_eq!(sandbox.read(&mine), "mine");
    sandbox.remove("environments/staging/ana.yaml");
    for command in
        [&["apply", "--yes", "--allow-empty", "staging"][..], &["destroy", "-e", "staging", "--yes"]]
    {
        let run = sandbox.expect(4, command);
        assert!(run.stdout.contains("uncommitted-changes"), "{}", run.stdout);
        assert_eq!(sandbox.read(&mine), "mine");
    }
    // As declared, and to be deleted all the same.
    sandbox.write("environments/staging/ana.yaml", "env: {A: \"1\"}\n");
    sandbox.remove(&mine);
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.write(&mine, "mine");
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    let plan = sandbox.expect(4, &["destroy", "-e", "staging", "--yes"]).stdout;
    let flags = "--discard-changes ana-staging --reason 'WHY'";
    assert!(plan.contains(&format!("magus destroy -e staging {flags}")), "{plan}");
    // Neither without a reason nor for another workspace.
    for given in
        [&["--discard-changes", "ana-staging"][..], &["--discard-changes", "ana-production", "--reason", "x"]]
    {
        sandbox.expect(4, &[&["destroy", "-e", "staging", "--yes"], given].concat());
        assert_eq!(sandbox.read(&mine), "mine");
    }
    let given = ["--discard-changes", "ana-staging", "--reason", "agreed with Ana"];
    let run = sandbox.expect(0, &[&["destroy", "-e", "staging", "--yes"][..], &given].concat());
    assert!(run.stdout.contains("discards uncommitted changes: `data_loaders/mine.py`"), "{}", run.stdout);
    assert!(!sandbox.file("store/workspaces/ana-staging").exists());
}

#[test]
fn a_folder_that_nobody_deployed_is_left_alone() {
    let sandbox = sandbox();
    sandbox.replace("environments/cluster.yaml", "repository", "# repository");
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.write(&format!("{}/x.py", code("ana-staging")), "mine");
    sandbox.write(&format!("{}/x.py", code("ana-development")), "mine");
    sandbox.replace("environments/cluster.yaml", "# repository", "repository");
    let plan = sandbox.plan(&[]);
    // In the first stage the code is people's from the beginning.
    assert_eq!(steps(&plan), ["ana-production deploy (false): `main`, for the first time"]);
    assert_eq!(plan["withheld"][0]["guard"], "uncommitted-changes");
    sandbox.expect(4, &["apply", "--yes"]);
    assert_eq!(sandbox.read(&format!("{}/x.py", code("ana-staging"))), "mine");
    assert_eq!(sandbox.read(&format!("{}/x.py", code("ana-development"))), "mine");
    // A plan that accepts the loss is applied only with the same flags.
    let given = ["--discard-changes", "ana-staging", "--reason", "it was a trial"];
    sandbox.expect(0, &[&["plan", "--out", "plan.json"][..], &given].concat());
    sandbox.expect(4, &["apply", "plan.json", "--yes"]);
    assert_eq!(sandbox.read(&format!("{}/x.py", code("ana-staging"))), "mine");
    sandbox.expect(0, &[&["apply", "plan.json", "--yes"][..], &given].concat());
    assert!(!sandbox.file(&code("ana-staging")).join("x.py").exists());
}

#[test]
fn code_that_cannot_be_read_is_neither_deployed_over_nor_deleted() {
    let sandbox = sandbox();
    let first = runs_after_apply(&sandbox, "ana-staging");
    push(&sandbox, "staging", "second", &[("mage/x.py", "1\n")]);
    // A loop of links is unreadable to everybody, root too.
    let tree = sandbox.file(&format!("store/workspaces/ana-staging/trees/1-{first}"));
    fs::remove_dir_all(&tree).expect("removed");
    std::os::unix::fs::symlink(&tree, &tree).expect("linked");
    sandbox.write("environments/staging/ana.yaml", "env: {A: \"1\"}\n");
    let run = sandbox.expect(4, &["apply", "--yes"]);
    assert!(run.stdout.contains("uncommitted changes cannot be checked"), "{}", run.stdout);
    assert!(sandbox.read("store/workspaces/ana-staging/.env").contains("A=1"), "the rest is applied");
    sandbox.expect(4, &["destroy", "-e", "staging", "--yes"]);
    assert!(fs::symlink_metadata(&tree).is_ok(), "nothing was touched");
    let given = ["--discard-changes", "ana-staging", "--reason", "the disk is broken"];
    sandbox.expect(0, &[&["destroy", "-e", "staging", "--yes"][..], &given].concat());
}

#[test]
fn other_code_that_somebody_put_there_is_drift() {
    let sandbox = sandbox();
    let first = runs_after_apply(&sandbox, "ana-production");
    push(&sandbox, "main", "second", &[("mage/x.py", "1\n")]);
    let second = runs_after_apply(&sandbox, "ana-production");
    let link = sandbox.file(&code("ana-production"));
    fs::remove_file(&link).expect("removed");
    std::os::unix::fs::symlink(format!("trees/1-{first}"), &link).expect("linked");
    assert_eq!(
        steps(&sandbox.plan(&[])),
        ["ana-production deploy (false): `main` is 1 commit ahead; somebody deployed other code"]
    );
    let drift = sandbox.expect(2, &["drift"]).stdout;
    assert!(drift.contains("ana-production") && drift.contains(&first[..10]), "{drift}");
    assert_eq!(runs_after_apply(&sandbox, "ana-production"), second);
    sandbox.expect(0, &["drift"]);
}

#[test]
fn a_new_workspace_takes_over_the_folder_of_a_deleted_row_unless_it_has_uncommitted_changes() {
    let sandbox = sandbox();
    sandbox.expect(0, &["apply", "--yes"]);
    let second = push(&sandbox, "development", "second", &[("mage/data_loaders/b.py", "B = 2\n")]);
    let delete_row = || {
        let connection = rusqlite::Connection::open(sandbox.file("store/magus.db")).expect("the store");
        connection.execute("DELETE FROM workspaces WHERE name = 'ana-development'", []).expect("deleted");
    };

    delete_row();
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(runs(&sandbox, "ana-development"), second);

    // The commit alone does not say from which directory the folder's code was written.
    let other =
        [("other/value.py", "OTHER = 1\n"), ("other/pipelines/orders/metadata.yaml", "name: orders\n")];
    for branch in ["main", "staging"] {
        push(&sandbox, branch, "other", &other);
    }
    let third = push(&sandbox, "development", "third", &other);
    sandbox.expect(0, &["apply", "--yes"]);
    delete_row();
    sandbox.replace("environments/cluster.yaml", "directory: mage", "directory: other");
    sandbox.expect(0, &["apply", "--yes", "-e", "development"]);
    assert_eq!(runs(&sandbox, "ana-development"), third);
    assert_eq!(sandbox.read("store/workspaces/ana-development/code/value.py"), "OTHER = 1\n");

    delete_row();
    sandbox.write("store/workspaces/ana-development/code/value.py", "OTHER = 2\n");
    let run = sandbox.expect(5, &["apply", "--yes", "-e", "development"]);
    assert!(run.all().contains("has uncommitted changes: `value.py`; move the folder away"), "{run:?}");
    assert_eq!(sandbox.read("store/workspaces/ana-development/code/value.py"), "OTHER = 2\n");
    std::fs::rename(sandbox.file("store/workspaces/ana-development"), sandbox.file("kept")).expect("moved");
    sandbox.expect(0, &["apply", "--yes", "-e", "development"]);
}

#[test]
fn without_the_repository_nothing_is_guessed() {
    let sandbox = sandbox();
    sandbox.expect(0, &["apply", "--yes"]);
    fs::rename(sandbox.file("pipelines.git"), sandbox.file("away.git")).expect("moved");
    let run = sandbox.expect(5, &["plan"]);
    assert!(run.stdout.contains("there is no repository at"), "{}", run.stdout);
    let plan = sandbox.plan(&[]);
    assert_eq!((steps(&plan).len(), plan["unknown"].as_array().map(Vec::len)), (0, Some(2)));
    sandbox.expect(5, &["apply", "--yes"]);
    sandbox.expect(0, &["restart", "-w", "ana-production", "--yes"]);
    sandbox.expect(0, &["destroy", "-w", "ana-development", "--yes"]);
}

#[test]
fn a_repository_on_the_network_is_fetched_once_and_can_do_without() {
    let sandbox = sandbox();
    let Some(daemon) = Daemon::start(&sandbox) else {
        return skip("a_repository_on_the_network_is_fetched_once_and_can_do_without", "git-daemon");
    };
    sandbox.replace("environments/cluster.yaml", "../pipelines.git", &daemon.url("pipelines.git"));
    sandbox.expect(0, &["apply", "--yes"]);
    let next = push(&sandbox, "main", "second", &[("mage/x.py", "1\n")]);
    sandbox.expect(0, &["plan", "--offline", "--detailed-exitcode"]);
    sandbox.expect(2, &["plan", "--detailed-exitcode"]);
    let before = daemon.fetches();
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(daemon.fetches() - before, 1);
    assert_eq!(runs(&sandbox, "ana-production"), next);
    drop(daemon);
    let run = sandbox.expect(5, &["plan"]);
    assert!(run.all().contains("cannot be fetched"), "{}", run.all());
    sandbox.expect(0, &["plan", "--offline", "--detailed-exitcode"]);
}

#[test]
fn status_says_what_runs_where_and_what_is_in_no_commit() {
    let sandbox = sandbox();
    assert!(sandbox.expect(0, &["status"]).stdout.contains("absent"));
    sandbox.expect(0, &["apply", "--yes"]);
    push(&sandbox, "development", "second", &[]);
    push(&sandbox, "development", "third \u{1b}[31m", &[]);
    sandbox.write(&format!("{}/mine.py", code("ana-production")), "");
    let shown = sandbox.expect(0, &["status"]).stdout;
    let line = |name: &str| shown.lines().find(|line| line.contains(name)).expect("a line").to_owned();
    let first = runs(&sandbox, "ana-production");
    for name in ["ana-development", "ana-staging", "ana-production"] {
        assert!(line(name).contains(&format!("{} first", &first[..10])), "{shown}");
    }
    assert!(line("ana-development").contains("2 behind"), "left to people, and behind: {shown}");
    assert!(line("ana-production").contains("1 file not committed"), "{shown}");
    let json = sandbox.expect(0, &["status", "--format", "json"]).stdout;
    let status: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let code = &status["workspaces"][2]["code"];
    assert_eq!((&code["branch"], &code["behind"]), (&"main".into(), &0.into()));
    assert_eq!((&code["commit"]["title"], &code["uncommitted"][0]), (&"first".into(), &"mine.py".into()));
}

#[test]
fn a_link_that_leads_outside_is_not_written() {
    let sandbox = sandbox();
    let before = runs_after_apply(&sandbox, "ana-production");
    std::os::unix::fs::symlink("/etc", sandbox.file("work/mage/etc")).expect("linked");
    push(&sandbox, "main", "link", &[]);
    let run = sandbox.expect(3, &["apply", "--yes"]);
    assert!(run.stdout.contains("`etc` is a link that leads outside of the code"), "{}", run.all());
    assert_eq!(runs(&sandbox, "ana-production"), before);
}

#[test]
fn killed_at_random_moments_of_deploys() {
    const WORKSPACES: usize = 20;
    const FILES: usize = 50;
    let sandbox = sandbox();
    sandbox.write("environments/development/environment.yaml", "branch: development\ndeploy: head\n");
    for number in 0..WORKSPACES {
        sandbox.write(&format!("environments/development/ws-{number}.yaml"), "{}\n");
    }
    let release = |round: usize| {
        let text = format!("{round}\n");
        let paths: Vec<String> =
            (0..FILES).map(|number| format!("mage/p{}/f{number}.py", number % 7)).collect();
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), text.as_str())).collect();
        push(&sandbox, "development", &text, &files);
    };
    release(0);
    let (_, mut whole) = kill::applied_until(&sandbox, None);
    let wanted = cases(8, 30);
    let (mut killed, mut round) = (0, 0);
    while killed < wanted {
        round += 1;
        assert!(round <= 4 * wanted, "only {killed} of {round} applies were killed before their end");
        release(round);
        let moment = whole.mul_f64((round as f64 * 0.618_034).fract());
        match kill::applied_until(&sandbox, Some(moment)) {
            (true, _) => killed += 1,
            (false, took) => whole = whole.min(took),
        }
        for number in 0..WORKSPACES {
            let tree = sandbox.file(&code(&format!("ws-{number}-development")));
            let found = magus_tests::files_below(&fs::canonicalize(tree).expect("a tree"));
            let of = |text: String| found.iter().filter(|(_, bytes)| *bytes == text.as_bytes()).count();
            let whole_tree = of(format!("{round}\n")) == FILES || of(format!("{}\n", round - 1)) == FILES;
            assert!(whole_tree, "after kill {round}: {found:?}");
        }
        sandbox.expect(0, &["apply", "--yes"]);
        sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    }
    // What was killed after it had switched the link is as declared: its old trees go with the next deploy.
    release(round + 1);
    sandbox.expect(0, &["apply", "--yes"]);
    for number in 0..WORKSPACES {
        let trees = sandbox.file(&format!("store/workspaces/ws-{number}-development/trees"));
        let count = fs::read_dir(trees).expect("trees").count();
        assert_eq!(count, 10, "five trees and their manifests, and nothing that was left over");
    }
}
