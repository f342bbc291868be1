//! What waits for its time, what opens it, and the way back.

use std::{
    thread,
    time::{Duration, Instant},
};

use magus_tests::Sandbox;

use crate::deploy::{push, runs, sandbox};

const PRODUCTION: &str = "environments/production/environment.yaml";

/// Production behind these gates, and a commit that staging runs and `main` has.
fn promoted(gates: &str) -> (Sandbox, String, String) {
    let sandbox = sandbox();
    sandbox.write(PRODUCTION, format!("promotes_from: staging\nbranch: main # of all\ngates: {gates}\n"));
    // The first deploy waits too, so that somebody has to let it through.
    let gates = ["--override-gate=verified", "--override-gate=soak", "--override-gate=runs-before"];
    sandbox.expect(0, &[&["apply", "--yes", "--reason", "first"][..], &gates[..]].concat());
    let first = runs(&sandbox, "ana-production");
    let next = push(&sandbox, "staging", "second", &[("mage/x.py", "1\n")]);
    sandbox.expect(0, &["apply", "--yes"]);
    (sandbox, first, next)
}

fn withheld(sandbox: &Sandbox) -> Vec<String> {
    let plan = sandbox.plan(&[]);
    let withheld = plan["withheld"].as_array().expect("a list").iter();
    withheld.map(|held| format!("{} {}", held["guard"].as_str().expect("a guard"), held["message"])).collect()
}

#[test]
fn a_deploy_waits_until_its_commit_was_verified_in_the_stage_before() {
    let (sandbox, first, next) = promoted("{verified: {within: 24h}, runs_before: true}");
    let run = sandbox.expect(0, &["promote", "staging", "production", "--yes"]);
    assert!(
        run.stdout.contains("waits for gate `verified`") && !run.stdout.contains("runs-before"),
        "{}",
        run.stdout
    );
    // Waiting is no failure, and nothing moves.
    let run = sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    assert!(run.stdout.contains("--override-gate verified --reason 'WHY'"), "{}", run.stdout);
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(runs(&sandbox, "ana-production"), first);
    let status = sandbox.expect(0, &["status"]).stdout;
    assert!(status.contains("production waits: gate `verified`"), "{status}");

    sandbox.expect(0, &["verify", "staging", "--result", "fail", "--note", "orders are empty"]);
    assert!(withheld(&sandbox)[0].contains("failed"), "{:?}", withheld(&sandbox));
    // Another stage opens nothing, and a commit that the stage does not run does not pass there.
    sandbox.expect(0, &["verify", "development", "--result", "pass"]);
    let run = sandbox.expect(4, &["verify", "staging", "--result", "pass", "--commit", &first]);
    assert!(
        run.stderr.contains(&format!("nothing was recorded: `staging` runs `{next}`, not `{first}`")),
        "{}",
        run.stderr
    );
    sandbox.expect(64, &["verify", "staging", "--result", "pass", "-w", "ana"]);
    assert_eq!(withheld(&sandbox).len(), 1);
    let run = sandbox.expect(0, &["verify", "staging", "--result", "pass", "--url", "https://ci.dev/7"]);
    assert_eq!(run.stdout, format!("Recorded: {} passed in staging.\n", &next[..10]));
    assert_eq!(withheld(&sandbox), [""; 0]);
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(runs(&sandbox, "ana-production"), next);
    let history = sandbox.expect(0, &["history", "-e", "staging"]).stdout;
    assert!(history.contains("(orders are empty)") && history.contains("(https://ci.dev/7)"), "{history}");

    for (arguments, says) in [
        (&["verify", "nowhere", "--result", "pass"][..], "there is no environment `nowhere`"),
        (&["verify", "staging"], "--result"),
    ] {
        let run = sandbox.expect(64, arguments);
        assert!(run.stderr.contains(says), "{}", run.stderr);
    }
    let run = sandbox.expect(1, &["verify", "staging", "--result", "pass", "--commit", "0000000"]);
    assert!(run.stderr.contains("no commit `0000000`"), "{}", run.stderr);
}

#[test]
fn a_merge_of_what_was_verified_is_verified() {
    let (sandbox, _, next) = promoted("{verified: {}, soak: 0s, runs_before: true}");
    sandbox.expect(0, &["verify", "staging", "--result", "pass"]);
    // As the button of a pull request merges it.
    sandbox.git(&["-C", "work", "checkout", "--quiet", "-B", "main", "origin/main"]);
    sandbox.git(&["-C", "work", "merge", "--quiet", "--no-ff", "--message", "Merge", &next]);
    sandbox.git(&["-C", "work", "push", "--quiet", "origin", "main"]);
    sandbox.expect(0, &["apply", "--yes"]);
    let merged = runs(&sandbox, "ana-production");
    assert_ne!(merged, next);
    // A hotfix on top of it was verified by nobody.
    push(&sandbox, "main", "hotfix", &[("mage/x.py", "2\n")]);
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(runs(&sandbox, "ana-production"), merged);
    assert_eq!(withheld(&sandbox).len(), 1);
}

#[test]
fn a_soak_opens_by_itself() {
    let (sandbox, first, next) = promoted("{soak: 2s}");
    sandbox.expect(0, &["promote", "staging", "production", "--yes"]);
    let started = Instant::now();
    let mut waited = false;
    while runs(&sandbox, "ana-production") != next {
        assert!(started.elapsed() < Duration::from_secs(60), "it never opened");
        let plan = sandbox.plan(&[]);
        if let Some(held) = plan["withheld"].get(0) {
            assert_eq!(held["guard"], "soak");
            assert!(held["opens_at"].is_string(), "{held}");
            assert_eq!(runs(&sandbox, "ana-production"), first);
            waited = true;
        }
        thread::sleep(Duration::from_millis(100));
        sandbox.expect(0, &["apply", "--yes"]);
    }
    assert!(waited || started.elapsed() > Duration::from_secs(2));
    // What somebody else put there is in no history: nobody knows since when it runs.
    let third = push(&sandbox, "staging", "third", &[]);
    sandbox.remove("store/history.db");
    sandbox.expect(0, &["apply", "--yes", "-e", "staging"]);
    sandbox.remove("store/history.db");
    sandbox.expect(0, &["promote", "staging", "production", "--yes"]);
    sandbox.expect(0, &["apply", "--yes"]);
    assert_ne!(runs(&sandbox, "ana-production"), third);
    assert!(
        withheld(&sandbox)[0].contains("the history does not show since when"),
        "{:?}",
        withheld(&sandbox)
    );
}

#[test]
fn a_plan_whose_gate_has_closed_or_opened_is_not_the_one_that_was_reviewed() {
    let (sandbox, _, next) = promoted("{verified: {}}");
    sandbox.expect(0, &["promote", "staging", "production", "--yes"]);
    sandbox.expect(0, &["plan", "--out", "held.json"]);
    sandbox.expect(0, &["verify", "staging", "--result", "pass"]);
    sandbox.expect(4, &["apply", "held.json", "--yes"]);
    sandbox.expect(0, &["plan", "--out", "open.json"]);
    sandbox.expect(0, &["verify", "staging", "--result", "fail"]);
    let run = sandbox.expect(4, &["apply", "open.json", "--yes"]);
    assert!(run.stderr.contains("verified"), "{}", run.stderr);
    // A history that nobody can read opens nothing, and is said.
    sandbox.write("store/history.db", "damaged, and long enough to be taken for a database\n".repeat(20));
    let run = sandbox.expect(5, &["plan"]);
    assert!(run.stderr.contains("gates stay closed for what nobody knows"), "{}", run.stderr);
    // Commands keep the directory that was given.
    let run = sandbox.expect(5, &["-C", "./environments", "plan"]);
    assert!(run.stderr.contains("help: magus history -C ./environments\n"), "{}", run.stderr);
    assert!(run.stdout.contains("`magus verify -C ./environments staging`"), "{}", run.stdout);
    sandbox.remove("store/history.db");
    sandbox.expect(0, &["verify", "staging", "--result", "pass"]);
    sandbox.expect(0, &["apply", "open.json", "--yes"]);
    assert_eq!(runs(&sandbox, "ana-production"), next);
}

#[test]
fn a_rollback_pins_and_holds_until_somebody_lets_go_on() {
    let (sandbox, first, next) = promoted("{runs_before: true}");
    sandbox.expect(0, &["promote", "staging", "production", "--yes"]);
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(runs(&sandbox, "ana-production"), next);
    let before = sandbox.read(PRODUCTION);
    sandbox.expect(64, &["rollback", "production"]);
    assert_eq!(sandbox.read(PRODUCTION), before);
    let why = "orders \"twice\"";
    let run = sandbox.expect(0, &["rollback", "production", "--yes", "--reason", why]);
    assert!(
        run.stdout.contains(&format!("production: {} → {}", &next[..10], &first[..10])),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains(" second (Test)"), "{}", run.stdout);
    let pinned = format!(
        "branch: main # of all\ndeploy: pinned\ncommit: \"{first}\"\nhold: \"orders \\\"twice\\\"\"\ngates:"
    );
    assert!(sandbox.read(PRODUCTION).contains(&pinned), "{}", sandbox.read(PRODUCTION));
    sandbox.expect(0, &["lint"]);
    // The gates look at the stage before, and let what ran here before through.
    let plan = sandbox.expect(0, &["plan"]).stdout;
    assert!(plan.contains("rollback") && plan.contains("Held: nothing is promoted to production"), "{plan}");
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(runs(&sandbox, "ana-production"), first);
    let status = sandbox.expect(0, &["status"]).stdout;
    assert!(status.contains("production is held: orders \"twice\""), "{status}");

    push(&sandbox, "staging", "third", &[]);
    let main = sandbox.git(&["--git-dir", "pipelines.git", "rev-parse", "main"]);
    let run = sandbox.expect(4, &["promote", "staging", "production", "--yes"]);
    assert!(run.stderr.contains("`production` is held"), "{}", run.stderr);
    assert_eq!(sandbox.git(&["--git-dir", "pipelines.git", "rev-parse", "main"]), main);
    sandbox.write(PRODUCTION, before);
    sandbox.expect(0, &["promote", "staging", "production", "--yes"]);

    // By the name of a release, by a commit, and by what is neither.
    let releases: serde_json::Value =
        serde_json::from_str(&sandbox.expect(0, &["history", "-e", "production", "--format", "json"]).stdout)
            .expect("JSON");
    let release = releases["entries"][1]["id"].as_str().expect("a name").to_owned();
    let run = sandbox.expect(0, &["rollback", "production", "--yes", "--to", &release, "--format", "json"]);
    let told: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(
        (&told["to"]["commit"], &told["to"]["entry"]),
        (&next.as_str().into(), &release.as_str().into())
    );
    sandbox.expect(0, &["rollback", "production", "--yes", "--to", &first]);
    let run = sandbox.expect(1, &["rollback", "production", "--yes", "--to", "nothing"]);
    assert!(run.stderr.contains("no release in the history, and no commit"), "{}", run.stderr);
    let topic = push(&sandbox, "topic", "elsewhere", &[]);
    let run = sandbox.expect(1, &["rollback", "production", "--yes", "--to", &topic]);
    assert!(run.stderr.contains("is not on `main`"), "{}", run.stderr);
    let run = sandbox.expect(1, &["rollback", "development", "--yes"]);
    assert!(run.stderr.contains("no release of `development` before"), "{}", run.stderr);
}

#[test]
fn a_freeze_holds_what_restarts_and_says_until_when() {
    let sandbox = Sandbox::with(&[
        ("environments/cluster.yaml", "name: acme\nengine: {local: {path: ../store}}\n"),
        (
            "environments/production/environment.yaml",
            "gates:\n  freezes:\n  - {from: 2000-01-01, to: 2999-12-31, reason: an age}\n",
        ),
        ("environments/production/a.yaml", "env: {A: \"1\"}\n"),
    ]);
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.write("environments/production/a.yaml", "env: {A: \"2\"}\n");
    let run = sandbox.expect(0, &["apply", "--yes"]);
    assert!(run.stdout.contains("(an age): until 3000-01-01T00:00:00Z"), "{}", run.stdout);
    // What has drifted has, whatever the time.
    sandbox.write("environments/production/a.yaml", "env: {A: \"1\"}\n");
    sandbox.expect(0, &["drift"]);
    crate::fixture::sql(&sandbox, "UPDATE workspaces SET record = json_set(record, '$.env.A', 'x')");
    sandbox.expect(2, &["drift"]);
    sandbox.write("environments/production/a.yaml", "env: {A: \"2\"}\n");
    for format in ["markdown", "html"] {
        let shown = sandbox.expect(0, &["plan", "--format", format]).stdout;
        assert!(shown.contains("2999-12-31"), "{shown}");
    }
    let run = sandbox.expect(0, &["restart", "-w", "a", "--yes"]);
    assert!(run.stdout.contains("gate `freezes`"), "{}", run.stdout);
    sandbox.expect(0, &["apply", "--yes", "--override-gate", "freezes", "--reason", "the outage"]);
    sandbox.expect(64, &["apply", "--yes", "--override-gate", "frost", "--reason", "x"]);
    let entry = sandbox.expect(0, &["history", "--format", "json"]).stdout;
    assert!(entry.contains("\"override_gate\"") && entry.contains("the outage"), "{entry}");
}

/// Production and staging over one branch each, and a commit before the one that production runs.
fn two_releases(gates: &str) -> (Sandbox, String, String) {
    let sandbox = sandbox();
    let old = sandbox.git(&["--git-dir", "pipelines.git", "rev-parse", "main"]).trim().to_owned();
    for branch in ["staging", "main"] {
        push(&sandbox, branch, "second", &[("mage/x.py", "1\n")]);
    }
    sandbox.write(PRODUCTION, format!("promotes_from: staging\nbranch: main\n{gates}"));
    let gates = ["--override-gate=verified", "--override-gate=soak", "--override-gate=runs-before"];
    sandbox.expect(0, &[&["apply", "--yes", "--reason", "first"][..], &gates[..]].concat());
    let runs = runs(&sandbox, "ana-production");
    (sandbox, old, runs)
}

#[test]
fn a_plan_with_an_assumed_commit_is_not_applied() {
    let (sandbox, old, second) = two_releases("");
    let assume = format!("main={old}");
    let run = sandbox.expect(0, &["plan", "--assume", &assume, "--out", "old.json"]);
    let notice = format!("For reading: made with --assume main={old}; an apply refuses this plan");
    assert!(run.stdout.contains(&notice) && !run.stdout.contains("Next:"), "{}", run.stdout);
    let run = sandbox.expect(4, &["apply", "old.json", "--yes"]);
    assert!(run.stderr.contains("such a plan is for reading"), "{}", run.stderr);
    assert!(run.stderr.contains("magus plan --out old.json"), "{}", run.stderr);
    // A file that hides it chooses no older commit either.
    let mut plan: serde_json::Value = serde_json::from_str(&sandbox.read("old.json")).expect("JSON");
    plan.as_object_mut().expect("a plan").remove("assumed");
    sandbox.write("old.json", plan.to_string());
    let run = sandbox.expect(4, &["apply", "old.json", "--yes"]);
    assert!(run.stderr.contains("is older than"), "{}", run.stderr);
    assert_eq!(runs(&sandbox, "ana-production"), second);
    // The head of the branch may go back, as declared, and a file of that is a review of it.
    sandbox.git(&["-C", "work", "push", "--quiet", "--force", "origin", &format!("{old}:main")]);
    sandbox.expect(0, &["plan", "--out", "back.json"]);
    sandbox.expect(0, &["apply", "back.json", "--yes"]);
    assert_eq!(runs(&sandbox, "ana-production"), old);
}

#[test]
fn a_pinned_commit_that_never_ran_waits_for_the_gates() {
    const GATES: &str = "gates: {runs_before: true, verified: {}}\n";
    const LIFTED: [&str; 4] = ["apply", "--yes", "--override-gate=runs-before", "--override-gate=verified"];
    let (sandbox, old, second) = two_releases(GATES);
    let pin = |commit: &str| {
        let pin = format!("deploy: pinned\ncommit: \"{commit}\"\n{GATES}");
        sandbox.write(PRODUCTION, format!("promotes_from: staging\nbranch: main\n{pin}"));
    };
    pin(&old);
    let held = withheld(&sandbox);
    assert!(held[0].contains("the history does not show that it ran in `production`"), "{held:?}");
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(runs(&sandbox, "ana-production"), second);
    // Once it ran here, the way back to it is free.
    sandbox.expect(0, &[&LIFTED[..], &["--reason", "once"]].concat());
    pin(&second);
    sandbox.expect(0, &[&LIFTED[..], &["--reason", "again"]].concat());
    assert_eq!(runs(&sandbox, "ana-production"), second);
    pin(&old);
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(runs(&sandbox, "ana-production"), old);
}

#[test]
fn a_stage_that_does_not_run_is_no_evidence() {
    let (sandbox, first, _) = promoted("{verified: {}, runs_before: true}");
    sandbox.expect(0, &["verify", "staging", "--result", "pass"]);
    sandbox.expect(0, &["promote", "staging", "production", "--yes"]);
    assert_eq!(withheld(&sandbox), [""; 0]);
    let state = |state: &str| {
        let set = format!("json_set(record, '$.state', '{state}')");
        let sql = format!("UPDATE workspaces SET record = {set} WHERE name = 'ana-staging'");
        crate::fixture::sql(&sandbox, &sql);
    };
    state("stopped");
    let plan = sandbox.plan(&["-e", "production"]);
    let message = plan["withheld"][0]["message"].as_str().expect("a message");
    assert!(message.contains("`ana-staging` of `staging` is stopped"), "{message}");
    sandbox.expect(0, &["apply", "--yes", "-e", "production"]);
    assert_eq!(runs(&sandbox, "ana-production"), first);
    let run = sandbox.expect(4, &["verify", "staging", "--result", "pass"]);
    let says = "nothing was recorded: `ana-staging` of `staging` is stopped";
    assert!(run.stderr.contains(says), "{}", run.stderr);
    state("running");
    sandbox.expect(0, &["apply", "--yes", "-e", "production"]);
    assert_ne!(runs(&sandbox, "ana-production"), first);
}

#[test]
fn a_freeze_holds_stops_deletes_and_code() {
    let freeze = "gates:\n  freezes:\n  - {from: 2000-01-01, to: 2999-12-31}\n";
    let (sandbox, _, second) = two_releases("");
    sandbox.write("environments/production/bo.yaml", "{}\n");
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.write(PRODUCTION, format!("promotes_from: staging\nbranch: main\n{freeze}"));
    push(&sandbox, "main", "third", &[("mage/x.py", "3\n")]);
    sandbox.remove("environments/production/bo.yaml");
    let held = |sandbox: &Sandbox| -> Vec<String> {
        let plan = sandbox.plan(&["-e", "production"]);
        assert_eq!(plan["steps"], serde_json::json!([]));
        let withheld = plan["withheld"].as_array().expect("a list").iter();
        withheld.map(|held| format!("{} {} {}", held["workspace"], held["action"], held["guard"])).collect()
    };
    let waits = |name: &str, action: &str| format!("\"{name}-production\" \"{action}\" \"freezes\"");
    assert_eq!(held(&sandbox), [waits("ana", "deploy"), waits("bo", "delete")]);
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(runs(&sandbox, "ana-production"), second);
    assert_eq!(runs(&sandbox, "bo-production"), second);
    sandbox.write("environments/production/ana.yaml", "state: stopped\n");
    assert_eq!(held(&sandbox)[0], waits("ana", "stop"));
    // A window can be narrowed to restarts: then the rest goes on outside of its time.
    let window = "gates:\n  windows:\n  - {days: [mon], from: \"00:00\", to: \"00:01\", holds: restarts}\n";
    sandbox.write(PRODUCTION, format!("promotes_from: staging\nbranch: main\n{window}"));
    sandbox.expect(0, &["lint"]);
    let plan = sandbox.plan(&["-e", "production"]);
    assert_eq!(plan["withheld"], serde_json::json!([]), "{plan}");
}
