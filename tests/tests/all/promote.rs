//! `magus promote`: from branch to branch, and never over what somebody else pushed.

use magus_tests::{Sandbox, skip};

use crate::{
    code::Daemon,
    deploy::{push, runs, sandbox},
};

fn head(sandbox: &Sandbox, branch: &str) -> String {
    let head = format!("refs/heads/{branch}");
    sandbox.git(&["--git-dir", "pipelines.git", "rev-parse", &head]).trim().to_owned()
}

/// Who commits a merge.
fn named(sandbox: &Sandbox) {
    sandbox.write("home/.gitconfig", "[user]\n\tname = Ana\n\temail = ana@example.com\n");
}

#[test]
fn a_promotion_moves_the_next_stage_alone() {
    let sandbox = sandbox();
    sandbox.expect(0, &["apply", "--yes"]);
    let main = head(&sandbox, "main");
    let next = push(&sandbox, "development", "second", &[("mage/requirements.txt", "pandas\n")]);
    let request = sandbox.expect(0, &["promote", "development", "staging", "--pull-request"]).stdout;
    assert!(request.starts_with("Promote development to staging: 1 commit\n\n"), "{request}");
    assert!(request.contains(&format!("- `+ {} second (Test)`", &next[..10])), "{request}");
    assert_eq!(head(&sandbox, "staging"), main, "that moves nothing");

    let run = sandbox.expect(0, &["promote", "development", "staging", "--yes"]);
    assert!(run.stdout.contains("requirement pandas comes"), "{}", run.stdout);
    assert!(run.stderr.contains("next: magus plan -e staging"), "{}", run.stderr);
    assert_eq!((head(&sandbox, "staging"), head(&sandbox, "main")), (next.clone(), main.clone()));
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!((runs(&sandbox, "ana-staging"), runs(&sandbox, "ana-production")), (next, main));
    let again = sandbox.expect(0, &["promote", "development", "staging", "--yes"]).stdout;
    assert!(again.contains("Nothing to promote: `staging` has every commit of `development`."), "{again}");
}

#[test]
fn a_hotfix_is_told_and_merged() {
    let sandbox = sandbox();
    named(&sandbox);
    let fix = push(&sandbox, "main", "hotfix", &[("mage/fix.py", "1\n")]);
    let staged = push(&sandbox, "staging", "second", &[("mage/x.py", "1\n")]);
    let run = sandbox.expect(0, &["promote", "staging", "production", "--yes", "--format", "json"]);
    let told: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!((&told["kind"], &told["hotfixes"][0]["id"]), (&"merge".into(), &fix.as_str().into()));
    let merged = head(&sandbox, "main");
    assert_eq!(told["pushed"], merged.as_str());
    let parents = sandbox.git(&["--git-dir", "pipelines.git", "log", "-1", "--format=%P|%an|%s", "main"]);
    assert_eq!(parents.trim(), format!("{fix} {staged}|Ana|Promote staging to production"));
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(runs(&sandbox, "ana-production"), merged);
    assert_eq!(sandbox.read("store/workspaces/ana-production/code/fix.py"), "1\n");
}

#[test]
fn a_conflict_names_files_and_keys_and_changes_nothing() {
    let sandbox = sandbox();
    let triggers = |cron: &str| format!("triggers:\n- name: daily\n  schedule_interval: '{cron}'\n");
    let path = "mage/pipelines/orders/triggers.yaml";
    push(&sandbox, "main", "triggers", &[(path, &triggers("0 1 * * *")), ("mage/x.py", "0\n")]);
    for branch in ["staging", "development"] {
        sandbox.git(&["-C", "work", "push", "--quiet", "--force", "origin", &format!("main:{branch}")]);
    }
    push(&sandbox, "development", "mine", &[(path, &triggers("0 2 * * *")), ("mage/x.py", "1\n")]);
    push(&sandbox, "staging", "theirs", &[(path, &triggers("0 3 * * *")), ("mage/x.py", "2\n")]);
    let before = head(&sandbox, "staging");
    let run = sandbox.expect(4, &["promote", "development", "staging", "--yes"]);
    let says = format!("conflict in {path}: triggers.daily.schedule_interval");
    assert!(run.stdout.contains(&says) && run.stdout.contains("conflict in mage/x.py"), "{}", run.stdout);
    assert!(run.stderr.contains("nothing was changed"), "{}", run.stderr);
    assert_eq!(head(&sandbox, "staging"), before);
}

/// Somebody pushes at the last moment: while the repository takes what is pushed, before it looks at the branch.
#[test]
fn a_race_is_lost_and_nothing_with_it() {
    let sandbox = sandbox();
    push(&sandbox, "development", "second", &[]);
    let theirs = push(&sandbox, "topic", "theirs", &[]);
    let hook = format!("#!/bin/sh\nenv -u GIT_QUARANTINE_PATH git update-ref refs/heads/staging {theirs}\n");
    sandbox.write("pipelines.git/hooks/pre-receive", hook);
    let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    std::fs::set_permissions(sandbox.file("pipelines.git/hooks/pre-receive"), mode).expect("a mode");
    let run = sandbox.expect(4, &["promote", "development", "staging", "--yes"]);
    assert!(run.stderr.contains("`staging` was moved by somebody else meanwhile"), "{}", run.stderr);
    assert_eq!(head(&sandbox, "staging"), theirs);
}

#[test]
fn a_pin_moves_with_its_comments_in_place() {
    let sandbox = sandbox();
    let first = head(&sandbox, "main");
    let environment = |commit: &str| {
        format!(
            "# production\npromotes_from: staging\nbranch: main\ndeploy: pinned\ncommit: {commit} # what runs\n"
        )
    };
    sandbox.write("environments/production/environment.yaml", environment(&first));
    let next = push(&sandbox, "staging", "second", &[]);
    sandbox.expect(0, &["promote", "staging", "production", "--yes"]);
    assert_eq!(head(&sandbox, "main"), next);
    let path = "environments/production/environment.yaml";
    assert_eq!(sandbox.read(path), environment(&format!("\"{next}\"")));
    // Killed between the push and the file: the next one does the rest.
    sandbox.write(path, environment(&first));
    sandbox.expect(0, &["promote", "staging", "production", "--yes"]);
    assert_eq!(sandbox.read(path), environment(&format!("\"{next}\"")));
    sandbox.expect(0, &["promote", "staging", "production", "--yes"]);
    assert_eq!(sandbox.read(path), environment(&format!("\"{next}\"")));
}

#[test]
fn what_is_no_promotion_is_refused() {
    let sandbox = sandbox();
    push(&sandbox, "development", "second", &[]);
    let before = head(&sandbox, "staging");
    for (words, says) in [
        (&["promote", "development", "stagin", "--yes"][..], "did you mean `staging`?"),
        (&["promote", "development", "production", "--yes"], "magus promote staging production"),
        (&["promote", "staging", "development", "--yes"], "magus promote development staging"),
        (&["promote", "development", "staging"], "pass `--yes`"),
        (&["promote", "development", "staging", "--yes", "--pull-request"], "cannot be used with"),
    ] {
        let run = sandbox.expect(64, words);
        assert!(run.stderr.contains(says), "{}", run.stderr);
    }
    sandbox.git(&["--git-dir", "pipelines.git", "bundle", "create", "--quiet", "code.bundle", "--all"]);
    sandbox.replace("environments/cluster.yaml", "../pipelines.git", "../code.bundle");
    let run = sandbox.expect(1, &["promote", "development", "staging", "--yes"]);
    assert!(run.stderr.contains("nobody can push to one"), "{}", run.stderr);
    sandbox.replace("environments/cluster.yaml", "../code.bundle", "../gone.git");
    let run = sandbox.expect(5, &["promote", "development", "staging", "--yes"]);
    assert!(run.stderr.contains("there is no repository at"), "{}", run.stderr);
    assert_eq!(head(&sandbox, "staging"), before);
}

#[test]
fn a_repository_on_the_network_is_pushed_to() {
    let sandbox = sandbox();
    named(&sandbox);
    sandbox.git(&["--git-dir", "pipelines.git", "config", "daemon.receivepack", "true"]);
    let Some(daemon) = Daemon::start(&sandbox) else {
        return skip("a_repository_on_the_network_is_pushed_to", "git-daemon");
    };
    sandbox.replace("environments/cluster.yaml", "../pipelines.git", &daemon.url("pipelines.git"));
    let next = push(&sandbox, "development", "second", &[("mage/x.py", "1\n")]);
    sandbox.expect(0, &["promote", "development", "staging", "--yes"]);
    assert_eq!(head(&sandbox, "staging"), next);
    push(&sandbox, "staging", "hotfix", &[("mage/fix.py", "1\n")]);
    push(&sandbox, "development", "third", &[("mage/y.py", "1\n")]);
    sandbox.expect(0, &["promote", "development", "staging", "--yes"]);
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(runs(&sandbox, "ana-staging"), head(&sandbox, "staging"));
    sandbox.git(&["--git-dir", "pipelines.git", "config", "daemon.receivepack", "false"]);
    push(&sandbox, "development", "fourth", &[]);
    let run = sandbox.expect(5, &["promote", "development", "staging", "--yes"]);
    assert!(run.stderr.contains("cannot be pushed to"), "{}", run.stderr);
}
