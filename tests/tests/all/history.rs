//! What was done is recorded once and in one order, and one apply at a time changes a cluster.

use std::{
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use magus_tests::{Run, Sandbox, files_below};

/// What a history must never hold.
const CANARY: &str = "canary-of-a-secret";
/// How long anything may take here.
const DEADLINE: Duration = Duration::from_secs(60);
/// Whose first stage reads a secret by a command that ends when a file `go` is there.
const WAITING: &str = "env:\n  KEY:\n    secret:\n      command: [sh, -c, \"touch waiting; while ! test -e go; do sleep 0.02; done; echo canary-of-a-secret\"]\n";

fn declarations(history: &str) -> [(&'static str, String); 4] {
    [
        (
            "environments/cluster.yaml",
            format!("name: acme\nengine: {{local: {{path: ../store}}}}\n{history}"),
        ),
        ("environments/development/ana.yaml", "env: {A: \"1\"}\n".to_owned()),
        ("environments/staging/environment.yaml", "promotes_from: development\n".to_owned()),
        ("environments/staging/ana.yaml", "env: {A: \"1\"}\n".to_owned()),
    ]
}

/// A cluster whose declarations are in a repository with a remote that has its history.
fn with_remote() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.git(&["init", "--quiet", "--bare", "a remote.git"]);
    for (path, text) in declarations("history: {remote: origin}\n") {
        sandbox.write(path, text);
    }
    sandbox.git(&["init", "--quiet"]);
    sandbox.git(&["remote", "add", "origin", "./a remote.git"]);
    sandbox.git(&["add", "environments"]);
    sandbox.git(&["commit", "--quiet", "--message", "first"]);
    sandbox
}

fn entries(run: &Run) -> Vec<serde_json::Value> {
    let told: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    told["entries"].as_array().expect("entries").clone()
}

fn history(sandbox: &Sandbox) -> Vec<serde_json::Value> {
    entries(&sandbox.expect(0, &["history", "--format", "json"]))
}

#[track_caller]
fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < DEADLINE, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// An apply that waits in the middle of its first wave.
fn waiting(sandbox: &Sandbox) -> Child {
    sandbox.write("environments/development/ben.yaml", WAITING);
    let mut command = sandbox.command(&["apply", "--yes", "--reason", "slow"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("magus starts");
    wait_for("it never began", || sandbox.file("environments/development/waiting").exists());
    child
}

#[test]
fn what_was_applied_is_recorded_and_what_was_only_looked_at_is_not() {
    let mut sandbox = Sandbox::new();
    for (path, text) in declarations("") {
        sandbox.write(path, text);
    }
    sandbox.set("USER", "ana");
    assert_eq!(sandbox.expect(0, &["history"]).stdout, "Nothing was recorded.\n");
    sandbox.expect(0, &["plan"]);
    assert!(!sandbox.file("store").exists());
    sandbox.expect(0, &["apply", "--yes", "--reason", "the first"]);
    sandbox.expect(0, &["apply", "--yes"]);
    let all = history(&sandbox);
    assert_eq!(all.len(), 1);
    assert_eq!((&all[0]["operation"], &all[0]["result"]), (&"apply".into(), &"done".into()));
    assert_eq!(all[0]["reason"], "the first");
    assert!(all[0]["by"].as_str().expect("a name").starts_with("ana@"), "{}", all[0]["by"]);
    assert_eq!(all[0]["steps"].as_array().map(Vec::len), Some(2));

    sandbox.set("KEY", CANARY);
    sandbox.write("environments/development/ana.yaml", "env: {KEY: {secret: {env: KEY}}}\n");
    sandbox.write("environments/staging/ana.yaml", "env: {A: \"9\"}\n");
    sandbox.remove("store/workspaces/ana-staging");
    sandbox.write("store/workspaces/ana-staging", "a file where the folder has to be\n");
    sandbox.expect(3, &["apply", "--yes"]);
    sandbox.remove("store/workspaces/ana-staging");
    let run = sandbox.expect(0, &["history", "--limit", "1"]);
    assert!(
        run.stdout.contains("incomplete  development: 1 update; staging: 1 step not done"),
        "{}",
        run.stdout
    );
    assert_eq!(history(&sandbox)[0]["steps"][1]["outcome"], "uncertain");
    sandbox.expect(0, &["restart", "-w", "ana-development", "--yes"]);
    sandbox.expect(0, &["destroy", "-w", "ana-staging", "--yes"]);
    let operations: Vec<_> = history(&sandbox).iter().map(|entry| entry["operation"].clone()).collect();
    assert_eq!(operations, ["destroy", "restart", "apply", "apply"]);
    assert_eq!(entries(&sandbox.expect(0, &["history", "-e", "staging", "--format", "json"])).len(), 3);
    for (path, bytes) in files_below(&sandbox.file("store")) {
        let is_history = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("history"));
        assert!(!is_history || !contains(&bytes, CANARY), "{}", path.display());
    }
    // A history may be lost without harm.
    sandbox.remove("store/history.db");
    sandbox.expect(0, &["plan"]);
    assert_eq!(history(&sandbox).len(), 0);
    sandbox.write("store/history.db", "damaged, and long enough to be taken for a database\n".repeat(20));
    sandbox.expect(0, &["plan"]);
    let run = sandbox.expect(5, &["history"]);
    assert!(run.stderr.contains("the history of cluster `acme`"), "{}", run.stderr);
    sandbox.write("environments/staging/ana.yaml", "env: {A: \"2\"}\n");
    // Nothing shows that these declarations are the newest.
    let untold =
        "cannot tell whether these declarations are older than those that were applied to cluster `acme`";
    let run = sandbox.expect(0, &["plan"]);
    assert!(run.stderr.contains(untold), "{}", run.stderr);
    let run = sandbox.expect(0, &["apply", "--yes"]);
    assert!(run.stderr.contains("what was done is not in the history of cluster `acme`"), "{}", run.stderr);
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn another_clone_sees_the_history_and_who_holds_the_lock() {
    let sandbox = with_remote();
    let child = waiting(&sandbox);
    sandbox.git(&["push", "--quiet", "origin", "main"]);
    sandbox.git(&["clone", "--quiet", "a remote.git", "other"]);
    let refused = sandbox.expect(4, &["-C", "other/environments", "apply", "--yes"]);
    assert!(
        refused.stderr.contains("guard `lock`: cluster `acme` is being changed by `magus apply"),
        "{}",
        refused.stderr
    );
    let release = "magus lock release -C other/environments acme";
    assert!(refused.stderr.contains(release), "{}", refused.stderr);
    // A plan changes nothing, and needs no lock.
    sandbox.expect(0, &["-C", "other/environments", "plan"]);
    let listed = sandbox.expect(0, &["-C", "other/environments", "lock", "list"]).stdout;
    assert!(listed.contains("magus apply --reason slow"), "{listed}");
    sandbox.write("environments/development/go", "");
    let run = child.wait_with_output().expect("it ends");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(sandbox.expect(0, &["lock", "list"]).stdout, "Nobody holds a lock.\n");
    let seen = entries(&sandbox.expect(0, &["-C", "other/environments", "history", "--format", "json"]));
    assert_eq!((seen.len(), &seen[0]["reason"]), (1, &"slow".into()));
    sandbox.expect(0, &["-C", "other/environments", "apply", "--yes"]);
    assert_eq!(history(&sandbox).len(), 2);
    for (path, bytes) in files_below(sandbox.path()) {
        let is_secret_place = path.ends_with(".env")
            || path.ends_with("ben.yaml")
            || path.starts_with(sandbox.file("store/magus.db"));
        assert!(is_secret_place || !contains(&bytes, CANARY), "{}", path.display());
    }
}

#[test]
fn who_lost_the_lock_begins_no_other_wave() {
    let sandbox = with_remote();
    let child = waiting(&sandbox);
    sandbox.expect(64, &["lock", "release", "acme"]);
    sandbox.expect(64, &["lock", "release", "acne", "--yes"]);
    let run = sandbox.expect(0, &["lock", "release", "acme", "--yes"]);
    assert!(run.stderr.contains("released the lock of cluster `acme`"), "{}", run.stderr);
    sandbox.write("environments/development/go", "");
    let run = child.wait_with_output().expect("it ends");
    assert_eq!(run.status.code(), Some(3));
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(said.contains("the lock of cluster `acme` was taken away"), "{said}");
    assert!(!sandbox.file("store/workspaces/ana-staging").exists());
    assert_eq!(history(&sandbox)[0]["result"], "incomplete");
    sandbox.expect(0, &["apply", "--yes"]);
}

#[test]
fn lock_that_is_lost_between_two_steps_ends_the_apply_before_the_second() {
    let sandbox = with_remote();
    // The remote takes the lock away when it is renewed after the first workspace is there.
    let hook = format!(
        "#!/bin/sh\ncase $1 in refs/magus-locks/*) test ! -e '{}' || git update-ref -d $1;; esac\n",
        sandbox.file("store/workspaces/ana-development").display()
    );
    sandbox.write("a remote.git/hooks/update", hook);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(sandbox.file("a remote.git/hooks/update"), executable).expect("a mode");
    let run = sandbox.expect(3, &["apply", "--yes", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).expect("a report");
    let results: Vec<_> = report["results"].as_array().expect("results").iter().collect();
    let outcome = |at: usize| (results[at]["workspace"].clone(), results[at]["outcome"].clone());
    assert_eq!(outcome(0), ("ana-development".into(), "applied".into()), "{report}");
    assert_eq!(outcome(1), ("ana-staging".into(), "not_started".into()), "{report}");
    assert!(
        results[1]["message"]
            .as_str()
            .is_some_and(|said| said.contains("the lock of cluster `acme` was taken away")),
        "{report}"
    );
    assert!(!sandbox.file("store/workspaces/ana-staging").exists());
    sandbox.remove("a remote.git/hooks/update");
    assert_eq!(history(&sandbox)[0]["result"], "incomplete");
    sandbox.expect(0, &["apply", "--yes"]);
}

#[test]
fn the_lock_of_a_killed_apply_is_released_by_hand() {
    let sandbox = with_remote();
    let mut child = waiting(&sandbox);
    child.kill().expect("killed");
    child.wait().expect("it ends");
    sandbox.write("environments/development/go", "");
    sandbox.expect(4, &["apply", "--yes"]);
    // It would be over in some minutes; nobody waits that long here.
    sandbox.expect(4, &["apply", "--yes", "--lock-timeout", "1s"]);
    sandbox.expect(0, &["lock", "release", "acme", "--yes"]);
    sandbox.expect(0, &["apply", "--yes"]);
    let results: Vec<_> = history(&sandbox).iter().map(|entry| entry["result"].clone()).collect();
    assert_eq!(results, ["done", "interrupted"]);
}

#[test]
fn a_history_that_cannot_be_pushed_goes_with_the_next_one() {
    let sandbox = with_remote();
    let hook = "a remote.git/hooks/update";
    sandbox.write(hook, "#!/bin/sh\ncase $1 in refs/magus/*) echo 'not today' >&2; exit 1;; esac\n");
    let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    std::fs::set_permissions(sandbox.file(hook), mode).expect("a mode");
    let run = sandbox.expect(0, &["apply", "--yes"]);
    assert!(
        run.stderr.contains("is on this machine alone") && run.stderr.contains("not today"),
        "{}",
        run.stderr
    );
    assert_eq!(history(&sandbox).len(), 1);
    sandbox.remove(hook);
    sandbox.write("environments/staging/ana.yaml", "env: {A: \"2\"}\n");
    sandbox.expect(0, &["apply", "--yes"]);
    let log = sandbox.git(&["--git-dir", "a remote.git", "log", "--format=%s", "refs/magus/acme"]);
    assert_eq!(log, "apply\n".repeat(4), "each has an entry when it begins, and one when it ends");
    assert_eq!(history(&sandbox).len(), 2);
    // Without the remote nothing is changed, because nobody knows who else does.
    std::fs::rename(sandbox.file("a remote.git"), sandbox.file("away")).expect("renamed");
    let run = sandbox.expect(5, &["apply", "--yes"]);
    assert!(run.stderr.contains("the lock of cluster `acme` cannot be taken"), "{}", run.stderr);
    sandbox.expect(5, &["history"]);
    assert_eq!(entries(&sandbox.expect(0, &["history", "--offline", "--format", "json"])).len(), 2);
    sandbox.expect(0, &["plan"]);
    sandbox.replace("environments/cluster.yaml", "origin", "upstream");
    let run = sandbox.expect(5, &["apply", "--yes"]);
    assert!(run.stderr.contains("has no remote `upstream`"), "{}", run.stderr);
}

/// Ten people apply at once, each from a clone of their own; nothing but the remote keeps them apart.
#[test]
fn ten_appliers_take_turns_and_leave_ten_entries_in_one_order() {
    const MANY: usize = 10;
    let sandbox = with_remote();
    // Two at once would be seen: each makes a folder that the next may only make when it is gone.
    let turn = "mkdir ../../../turn && sleep 0.05 && rmdir ../../../turn && echo x";
    sandbox.write(
        "environments/development/ana.yaml",
        format!("env: {{KEY: {{secret: {{command: [sh, -c, {turn:?}]}}}}}}\n"),
    );
    sandbox.git(&["add", "environments"]);
    sandbox.git(&["commit", "--quiet", "--message", "second"]);
    sandbox.git(&["push", "--quiet", "origin", "main"]);
    let clones: Vec<String> = (0..MANY).map(|at| format!("clone {at}")).collect();
    for clone in &clones {
        sandbox.git(&["clone", "--quiet", "a remote.git", clone]);
    }
    let children: Vec<Child> = clones
        .iter()
        .map(|clone| {
            let dir = format!("{clone}/environments");
            let mut command =
                sandbox.command(&["-C", &dir, "apply", "--yes", "--lock-timeout", "5m", "--reason", clone]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("magus starts")
        })
        .collect();
    for child in children {
        let run = child.wait_with_output().expect("it ends");
        assert!(
            run.status.success(),
            "{}{}",
            String::from_utf8_lossy(&run.stdout),
            String::from_utf8_lossy(&run.stderr)
        );
    }
    let all = history(&sandbox);
    let mut reasons: Vec<&str> = all.iter().filter_map(|entry| entry["reason"].as_str()).collect();
    // Everybody sees the same order.
    let seen = entries(&sandbox.expect(0, &["-C", "clone 3/environments", "history", "--format", "json"]));
    assert_eq!(seen, all);
    let times: Vec<&str> = all.iter().rev().filter_map(|entry| entry["at"].as_str()).collect();
    assert!(times.is_sorted(), "{times:?}");
    reasons.sort_unstable();
    assert_eq!(reasons, clones);
    assert_eq!(sandbox.git(&["--git-dir", "a remote.git", "for-each-ref", "refs/magus-locks"]), "");
    assert!(!Path::new(&sandbox.file("turn")).exists());
}

#[test]
fn a_killed_apply_has_an_entry_that_the_next_one_ends() {
    let remote = with_remote();
    let local = Sandbox::new();
    for (path, text) in declarations("") {
        local.write(path, text);
    }
    for sandbox in [local, remote] {
        let mut child = waiting(&sandbox);
        child.kill().expect("killed");
        child.wait().expect("ended");
        let all = history(&sandbox);
        assert_eq!((all.len(), &all[0]["result"]), (1, &"running".into()));
        assert_eq!(all[0]["steps"].as_array().map(Vec::len), Some(3));
        assert_eq!(all[0]["steps"][0]["outcome"], "not_started");
        let status = sandbox.expect(0, &["status"]).stdout;
        assert!(status.contains("running or killed: apply of cluster `acme` by "), "{status}");
        // Another one may begin once the lock is free.
        if sandbox.file("a remote.git").exists() {
            sandbox.expect(0, &["lock", "release", "acme", "--yes"]);
        }
        sandbox.write("environments/development/go", "");
        sandbox.expect(0, &["apply", "--yes"]);
        let results: Vec<_> = history(&sandbox).iter().map(|entry| entry["result"].clone()).collect();
        assert_eq!(results, ["done", "interrupted"]);
        let interrupted = &history(&sandbox)[1];
        assert_eq!((&interrupted["closes"], &interrupted["reason"]), (&all[0]["id"], &"slow".into()));
        assert!(!sandbox.expect(0, &["status"]).stdout.contains("running or killed"));
    }
}
