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
    // Another stage, or another commit, opens nothing.
    sandbox.expect(0, &["verify", "development", "--result", "pass"]);
    sandbox.expect(0, &["verify", "staging", "--result", "pass", "--commit", &first]);
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
    assert!(withheld(&sandbox)[0].contains("nobody knows since when"), "{:?}", withheld(&sandbox));
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
