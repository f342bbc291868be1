//! Validations that Magus runs itself, on a real server of a workspace.

use magus_tests::{
    Run,
    mage::{Logins, MageServer, Mode, OWNER_PASSWORD, Options},
    tunnel::Tunnel,
};
use serde_json::Value;

use super::{Bed, INGRESS};

/// What follows the stage that is verified: a cluster on this machine, behind a gate.
const RELEASED: [(&str, &str); 3] = [
    ("environments/released/cluster.yaml", "name: released\nengine: {local: {path: ../../store}}\n"),
    (
        "environments/released/environment.yaml",
        "promotes_from: development\nbranch: main\ndeploy: head\ngates: {verified: {within: 1h}}\n",
    ),
    ("environments/released/a.yaml", "{}\n"),
];

fn declare(bed: &Bed, verify: &str) {
    let text = format!("branch: main\nverify: {{{verify}}}\ndefaults:\n  env: {{ENV: dev}}\n");
    bed.sandbox.write("environments/development/environment.yaml", text);
}

fn verify(bed: &Bed, commit: &str, code: i32) -> Run {
    bed.sandbox.expect(code, &["verify", "development", "--run", "--commit", commit])
}

/// What the gate says, while it is closed.
fn held(bed: &Bed) -> Option<String> {
    let plan = bed.sandbox.plan(&["-e", "released"]);
    let withheld = plan["withheld"].as_array().expect("a list");
    let held = withheld.iter().find(|held| held["guard"] == "verified");
    held.map(|held| held["message"].as_str().expect("text").to_owned())
}

#[test]
fn only_a_pipeline_that_passes_opens_the_gate() {
    let Some(mut bed) = Bed::new("only_a_pipeline_that_passes_opens_the_gate") else { return };
    bed.make_ingress();
    bed.declare("development", "ana", &format!("env: {{N: \"1\"}}\ningress_name: {INGRESS}\n"));
    bed.apply(0, &[]);
    bed.lead_to("ana-development");
    let uuid = bed.detail("ana-development")["project_uuid"].as_str().expect("a uuid").to_owned();
    let options = Options { logins: Logins::On, project_uuid: Some(uuid), ..Options::default() };
    let server =
        MageServer::start(&Mode::Standalone, &options).unwrap_or_else(|missing| panic!("{missing:?}"));
    let tunnel = Tunnel::to(&server.address());
    bed.sandbox.set("HTTP_PROXY", &tunnel.url());
    let owner = server.owner();
    server.make_pipeline(&owner, "passes", "pass");
    let token = server.make_pipeline(&owner, "fails", "raise Exception('not today')")["token"].clone();
    server.make_pipeline(&owner, "takes_long", "import time; time.sleep(600)");

    // The commit that it is about.
    bed.sandbox.git(&["init", "--quiet", "--bare", "pipelines.git"]);
    bed.sandbox.git(&["clone", "--quiet", "pipelines.git", "work"]);
    bed.sandbox.git(&["-C", "work", "commit", "--quiet", "--allow-empty", "--message", "first"]);
    bed.sandbox.git(&["-C", "work", "push", "--quiet", "origin", "HEAD:main"]);
    let commit = bed.sandbox.git(&["-C", "work", "rev-parse", "HEAD"]).trim().to_owned();
    let cluster = bed.sandbox.read("environments/cluster.yaml");
    bed.sandbox
        .write("environments/cluster.yaml", format!("{cluster}repository: {{url: ../pipelines.git}}\n"));
    RELEASED.iter().for_each(|(path, text)| bed.sandbox.write(path, text));
    // A server that nobody said is trusted is asked for nothing.
    declare(&bed, "pipelines: [passes]");
    let run = verify(&bed, &commit, 5);
    assert!(run.stderr.contains("MAGE_WORKSPACES_URL=http://workspaces.acme.test"), "{}", run.stderr);
    assert!(!tunnel.sent().contains(OWNER_PASSWORD));
    let mut outputs = run.all();
    bed.sandbox.set("MAGE_WORKSPACES_URL", "http://workspaces.acme.test/");
    assert!(held(&bed).is_some_and(|message| message.contains("was not verified")), "{:?}", held(&bed));

    // One that fails is recorded as such, and the one after it does not run.
    declare(&bed, "pipelines: [fails, passes]");
    let run = verify(&bed, &commit, 3);
    assert!(run.stdout.contains("failed in development"), "{}", run.all());
    assert!(run.stderr.contains("fails in") && !run.stderr.contains("passes in"), "{}", run.stderr);
    outputs += &run.all();
    assert!(held(&bed).is_some_and(|message| message.contains("failed")), "{:?}", held(&bed));
    // So is one that takes too long; what cannot run at all is no verification.
    declare(&bed, "pipelines: [takes_long], timeout: 3s");
    outputs += &verify(&bed, &commit, 3).all();
    declare(&bed, "pipelines: [nothing]");
    let run = verify(&bed, &commit, 5);
    assert!(run.stderr.contains("nothing was recorded"), "{}", run.stderr);
    outputs += &run.all();
    assert!(held(&bed).is_some());

    declare(&bed, "pipelines: [passes]");
    let run = verify(&bed, &commit, 0);
    assert!(
        run.stdout.contains("passed in development") && run.stderr.contains("completed"),
        "{}",
        run.all()
    );
    outputs += &run.all();
    assert_eq!(held(&bed), None);
    let history = bed.sandbox.expect(0, &["history", "-e", "development", "--format", "json"]).stdout;
    let told: Value = serde_json::from_str(&history).expect("JSON");
    let entries = told["entries"].as_array().expect("entries");
    let results: Vec<&Value> = entries.iter().map(|entry| &entry["result"]).collect();
    assert_eq!(results, ["passed", "failed", "failed", "done"]);
    let url = entries[0]["verification"]["urls"][0].as_str().expect("an address");
    assert!(url.starts_with("http://workspaces.acme.test/pipelines/passes/runs/"), "{url}");
    assert!(
        entries[1]["verification"]["note"]
            .as_str()
            .is_some_and(|note| note.contains("has not ended in time")),
        "{}",
        entries[1]
    );
    outputs += &history;
    for secret in [OWNER_PASSWORD, token.as_str().expect("a token")] {
        assert!(!outputs.contains(secret), "{secret}");
    }
    bed.sandbox.expect(1, &["verify", "released", "--run"]);
}
