//! A `repository` that is a clone: what it lacks exists elsewhere, and is never taken for gone.

use magus_tests::Sandbox;

use crate::deploy::{push, sandbox};

const DEVELOPMENT: &str = "environments/development/environment.yaml";
const CLUSTER: &str = "environments/cluster.yaml";

/// Three environments over a clone at `clone`, with a workspace for each branch below `feature/`.
fn over_a_clone() -> Sandbox {
    let sandbox = sandbox();
    sandbox.replace(CLUSTER, "../pipelines.git", "../clone");
    sandbox.write(
        DEVELOPMENT,
        "branch: development\nbranch_workspaces:\n  match: \"feature/*\"\n  name: dev-${branch_slug}\n  on_gone: delete\n",
    );
    push(&sandbox, "feature/x", "first", &[("mage/x.py", "1\n")]);
    clone(&sandbox, &[]);
    sandbox
}

/// Clones the repository again.
fn clone(sandbox: &Sandbox, options: &[&str]) {
    if sandbox.file("clone").exists() {
        sandbox.remove("clone");
    }
    let url = format!("file://{}", sandbox.file("pipelines.git").display());
    sandbox.git(&[&["clone", "--quiet", "--branch", "main"], options, &[url.as_str(), "clone"]].concat());
}

fn actions(plan: &serde_json::Value) -> Vec<String> {
    let steps = plan["steps"].as_array().expect("steps").iter();
    steps.map(|step| format!("{} {}", step["workspace"], step["action"]).replace('"', "")).collect()
}

#[test]
fn remote_tracking_branches_of_a_fresh_clone_count_as_branches() {
    let sandbox = over_a_clone();
    let plan = sandbox.plan(&[]);
    assert_eq!(plan["unknown"].as_array().map(Vec::len), Some(0), "{plan:#}");
    sandbox.expect(0, &["apply", "--yes"]);
    clone(&sandbox, &[]);
    let run = sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    assert!(run.stdout.starts_with("No changes"), "{}", run.stdout);
}

#[test]
fn a_branch_that_a_clone_lacks_is_unknown_and_its_workspace_stays() {
    let sandbox = over_a_clone();
    sandbox.expect(0, &["apply", "--yes"]);
    for options in [&["--single-branch"][..], &["--depth", "1"]] {
        clone(&sandbox, options);
        let plan = sandbox.plan(&[]);
        assert_eq!(actions(&plan), [""; 0], "{options:?}");
        let unknown = plan["unknown"].to_string();
        assert!(unknown.contains("dev-feature-x") && unknown.contains("clone"), "{options:?}: {unknown}");
        let run = sandbox.expect(5, &["apply", "--yes"]);
        assert!(run.all().contains("dev-feature-x"), "{}", run.all());
        assert!(sandbox.file("store/workspaces/dev-feature-x/code/x.py").exists());
    }
    // The branch was deleted in the repository, which the clone cannot know.
    sandbox.git(&["-C", "work", "push", "--quiet", "origin", "--delete", "feature/x"]);
    clone(&sandbox, &[]);
    let plan = sandbox.plan(&[]);
    assert_eq!(actions(&plan), [""; 0]);
    let unknown = plan["unknown"].to_string();
    assert!(unknown.contains("fetch --prune origin"), "{unknown}");
    // The repository itself knows that the branch was deleted. For the others, the code has another source now.
    sandbox.replace(CLUSTER, "../clone", "../pipelines.git");
    assert_eq!(
        actions(&sandbox.plan(&[])),
        ["dev-feature-x delete", "ana-staging deploy", "ana-production deploy"]
    );
}

#[test]
fn a_branch_that_is_behind_its_remote_tracking_branch_is_said() {
    let sandbox = over_a_clone();
    sandbox.expect(0, &["apply", "--yes"]);
    let next = push(&sandbox, "main", "second", &[("mage/x.py", "2\n")]);
    sandbox.git(&["-C", "clone", "fetch", "--quiet"]);
    let text = sandbox.expect(0, &["lint"]).all();
    assert!(text.contains("`main` in `clone` is behind `origin/main`, and `origin/main` is used"), "{text}");
    let plan = sandbox.plan(&["-e", "production"]);
    assert_eq!(actions(&plan), ["ana-production deploy"]);
    assert_eq!(plan["steps"][0]["deploy"]["to"], next.as_str());
    // A local commit that was not pushed: the local branch counts.
    sandbox.git(&["-C", "clone", "commit", "--quiet", "--allow-empty", "--message", "mine"]);
    let text = sandbox.expect(0, &["lint"]).all();
    assert!(text.contains("has commits that `origin/main` lacks, and `main` is used"), "{text}");
}

#[test]
fn a_partial_clone_hides_no_finding_and_caches_none() {
    let sandbox = over_a_clone();
    sandbox.write("environments/production/ana.yaml", "env: {NEVER_READ: \"1\"}\n");
    let code = [
        ("mage/pipelines/orders/metadata.yaml", "blocks:\n- {uuid: a, type: custom}\n"),
        ("mage/custom/a.py", "import os\nos.environ['DATABASE']\n"),
    ];
    push(&sandbox, "main", "code", &code);
    sandbox.git(&["--git-dir", "pipelines.git", "config", "uploadpack.allowFilter", "true"]);
    clone(&sandbox, &[]);
    let whole = sandbox.magus(&["lint", "--format", "concise"]).stdout;
    assert!(whole.contains("MG502") && whole.contains("`DATABASE`"), "{whole}");
    sandbox.remove("home");
    for filter in ["--filter=blob:none", "--filter=tree:0"] {
        clone(&sandbox, &["--no-checkout", filter]);
        let partial = sandbox.magus(&["lint", "--format", "concise"]).stdout;
        assert!(partial.contains("MG406") && partial.contains("partial clone"), "{filter}: {partial}");
        assert!(!partial.contains("MG502") && !partial.contains("too large"), "{filter}: {partial}");
        let refs = sandbox.expect(5, &["refs"]).all();
        assert!(refs.contains("partial clone"), "{filter}: {refs}");
        // The help, as printed, makes it whole; nothing of the partial look was kept.
        let help = sandbox.magus(&["lint"]).all();
        let (_, command) = help.split_once("`git -C clone fetch ").expect("a command");
        let (command, _) = command.split_once('`').expect("its end");
        let words: Vec<&str> =
            ["-C", "clone", "fetch", "--quiet"].into_iter().chain(command.split(' ')).collect();
        sandbox.git(&words);
        assert_eq!(sandbox.magus(&["lint", "--format", "concise"]).stdout, whole, "{filter}");
        sandbox.remove("home");
    }
}

#[test]
fn a_shallow_clone_leads_to_no_error_and_no_conflict() {
    let sandbox = over_a_clone();
    for number in ["2", "3"] {
        push(&sandbox, "development", number, &[("mage/x.py", number)]);
    }
    clone(&sandbox, &["--depth", "1", "--no-single-branch"]);
    let said = sandbox.expect(0, &["lint", "--format", "concise"]).stdout;
    assert!(!said.contains("warning[MG405]") && said.contains("hint[MG406]"), "{said}");
    sandbox.git(&["-C", "clone", "branch", "--quiet", "--no-track", "staging", "origin/staging"]);
    let run = sandbox.expect(5, &["promote", "development", "staging", "--yes"]);
    assert!(run.stderr.contains("is a shallow clone"), "{}", run.stderr);
    assert!(run.stderr.contains("git -C clone fetch --unshallow"), "{}", run.stderr);
    // A commit that the clone lacks may exist.
    sandbox.write(
        "environments/production/environment.yaml",
        format!("promotes_from: staging\nbranch: main\ndeploy: pinned\ncommit: \"{}\"\n", "1".repeat(40)),
    );
    let said = sandbox.expect(0, &["lint", "--format", "concise"]).stdout;
    assert!(!said.contains("error") && said.contains("whether the commit"), "{said}");
    sandbox.git(&["-C", "clone", "fetch", "--quiet", "--unshallow"]);
    let said = sandbox.magus(&["lint", "--format", "concise"]).stdout;
    assert!(!said.contains("shallow"), "{said}");
}

#[test]
fn a_promotion_moves_no_branch_that_a_clone_only_tracks() {
    let sandbox = over_a_clone();
    push(&sandbox, "development", "second", &[("mage/x.py", "2\n")]);
    clone(&sandbox, &[]);
    let run = sandbox.expect(1, &["promote", "development", "staging", "--yes"]);
    assert!(run.stderr.contains("only as the remote-tracking branch `origin/staging`"), "{}", run.stderr);
    sandbox.git(&["-C", "clone", "branch", "--quiet", "--no-track", "staging", "origin/staging"]);
    sandbox.expect(0, &["promote", "development", "staging", "--yes"]);
    let moved = sandbox.git(&["-C", "clone", "rev-parse", "staging", "origin/development"]);
    let moved: Vec<&str> = moved.lines().collect();
    assert_eq!(moved[0], moved[1]);
}

#[test]
fn a_local_repository_needs_neither_home_nor_cache() {
    let sandbox = sandbox();
    let run = |arguments: &[&str]| {
        let output = sandbox.command(arguments).env_remove("HOME").output().expect("magus starts");
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("UTF-8"));
        (output.status.code(), text.concat())
    };
    for arguments in [&["lint"][..], &["apply", "--yes"], &["plan", "--detailed-exitcode"], &["status"]] {
        let (code, said) = run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        assert!(!said.contains("MG406") && !said.contains("cache"), "{said}");
    }
}

/// The command that a help names: `help: if you trust it: `git config …``.
fn trusting(said: &str) -> &str {
    let (_, command) = said.split_once("if you trust it: `").unwrap_or_else(|| panic!("{said}"));
    command.split_once('`').expect("its end").0
}

#[test]
fn help_for_a_repository_of_another_user_works_when_it_is_pasted() {
    use std::os::unix::fs::chown;
    let mut sandbox = over_a_clone();
    sandbox.git(&["init", "--quiet", "it's declared/"]);
    std::fs::rename(sandbox.file("environments"), sandbox.file("it's declared/environments"))
        .expect("a folder");
    std::fs::rename(sandbox.file("clone"), sandbox.file("it's declared/clone")).expect("a folder");
    sandbox.git(&["-C", "it's declared", "remote", "add", "origin", "../declarations.git"]);
    sandbox.git(&["init", "--quiet", "--bare", "declarations.git"]);
    let cluster = format!("it's declared/{CLUSTER}");
    let text = sandbox.read(&cluster).replace("../store", "../../store");
    sandbox.write(&cluster, format!("{text}history: {{remote: origin}}\n"));
    sandbox.git(&["-C", "it's declared", "add", "environments"]);
    sandbox.git(&["-C", "it's declared", "commit", "--quiet", "--message", "first"]);
    for path in ["it's declared", "it's declared/.git", "it's declared/clone", "it's declared/clone/.git"] {
        if chown(sandbox.file(path), Some(12_345), Some(12_345)).is_err() {
            // Only root can give a folder away.
            return;
        }
    }
    sandbox.set("HOME", &sandbox.file("home").display().to_string());
    let above: &[&str] = &["-C", "./it's declared/environments"];
    let mut pasted_commands = 0;
    // Git compares whole paths: each command ends its error, wherever it was said.
    for (arguments, code) in
        [(&["plan", "--at", "HEAD"][..], 1), (&["promote", "development", "staging"], 5), (&["plan"], 0)]
    {
        let arguments = [above, arguments].concat();
        let run = sandbox.magus(&arguments);
        let said = run.all();
        if !said.contains("belongs to another user") && !said.contains("if you trust it") {
            assert_eq!(run.code, Some(0), "{arguments:?}: {said}");
            continue;
        }
        assert_eq!(run.code, Some(code), "{arguments:?}: {said}");
        let command = trusting(&said).to_owned();
        let pasted = std::process::Command::new("sh")
            .args(["-c", &command])
            .current_dir("/")
            .env("HOME", sandbox.file("home"))
            .status();
        assert!(pasted.expect("a shell").success(), "{command}");
        pasted_commands += 1;
        let again = sandbox.magus(&arguments).all();
        assert!(!again.contains(&command), "{arguments:?}: {again}");
    }
    assert_eq!(pasted_commands, 2, "one for the declarations, and one for the clone");
}
