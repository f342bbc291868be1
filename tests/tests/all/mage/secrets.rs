//! Mage's own secrets of a workspace, on a real server of its own.

use std::{collections::BTreeMap, process::Command};

use magus_tests::{
    mage::{Caller, Logins, MageServer, Mode, OWNER_PASSWORD, Options, environment},
    proxy::{Fault, Proxy},
    tunnel::Tunnel,
};
use serde_json::{Value, json};

use super::{Bed, INGRESS};

/// Reads values as Mage's own code does, which tells them to nobody: the argument is the folder of the project.
const READ: &str = "
import json, os, sqlite3, sys
from cryptography.fernet import Fernet
files = [os.path.join(at, name) for at, _, names in os.walk(sys.argv[1] + '/..') for name in names]
one = lambda end: next(file for file in files if file.endswith(end))
key = Fernet(open(one('/secrets/key')).read())
rows = dict(sqlite3.connect(one('/mage-ai.db')).execute('select name, value from secret'))
print(json.dumps({name: key.decrypt(value.encode()).decode() for name, value in rows.items()}))
";

/// The secrets of a server, with their values.
fn held(server: &MageServer) -> BTreeMap<String, String> {
    let python = environment().unwrap_or_else(|missing| panic!("{missing:?}")).join("bin/python");
    let output =
        Command::new(python).args(["-c", READ]).arg(server.project()).output().expect("python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("secrets")
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A workspace's own server with logins, and this identity.
fn start(uuid: &str) -> MageServer {
    let options = Options { logins: Logins::On, project_uuid: Some(uuid.to_owned()), ..Options::default() };
    MageServer::start(&Mode::Standalone, &options).unwrap_or_else(|missing| panic!("{missing:?}"))
}

#[test]
fn secrets_are_written_to_the_server_of_the_workspace() {
    let Some(mut bed) = Bed::new("secrets_are_written_to_the_server_of_the_workspace") else { return };
    bed.make_ingress();
    let (first, second, old) = ("secret-canary-81aa", "secret-canary-92bb", "secret-canary-03cc");
    bed.sandbox.set("SLACK", first);
    bed.sandbox.set("OLD", old);
    let mut outputs = String::new();
    let ana = |more: &str| format!("env: {{N: \"1\"}}\ningress_name: {INGRESS}\n{more}");
    let slack = |more: &str| format!("secrets: {{slack: {{secret: {{env: SLACK}}{more}}}}}\n");

    // A server that nobody said is trusted gets no login and no value; what is made stays, and says what is missing.
    bed.declare("development", "ana", &ana(&slack("")));
    let run = bed.sandbox.expect(3, &["-vv", "apply", "--yes", "--timeout", "60"]);
    let looks =
        bed.proxy.count(|request| request.method == "GET" && request.path.starts_with("/api/workspaces/"));
    assert!(looks < 20, "no time makes it trusted, and nobody waits: {looks} looks");
    assert!(run.all().contains("MAGE_WORKSPACES_URL=http://workspaces.acme.test"), "{}", run.all());
    assert!(run.all().contains("created, and the secrets of"), "{}", run.all());
    outputs += &run.all();
    let uuid = bed.detail("ana-development")["project_uuid"].as_str().expect("a uuid").to_owned();

    let stranger = start("0123456789abcdef");
    let tunnel = Tunnel::to(&stranger.address());
    bed.sandbox.set("HTTP_PROXY", &tunnel.url());
    bed.lead_to("ana-development");
    bed.sandbox.set("MAGE_WORKSPACES_URL", "http://other.acme.test http://workspaces.acme.test/");
    let run = bed.apply(3, &["-vv"]);
    assert!(run.all().contains("leads to the server of another project"), "{}", run.all());
    outputs += &run.all();
    for canary in [first, OWNER_PASSWORD] {
        assert!(!tunnel.sent().contains(canary), "a stranger gets nothing");
    }
    drop(stranger);

    // The plan only asks for names; the apply creates, and the next plan finds nothing to do.
    let server = start(&uuid);
    let tunnel = Tunnel::to(&server.address());
    bed.sandbox.set("HTTP_PROXY", &tunnel.url());
    let owner = server.owner();
    let made = json!({ "secret": { "name": "of_people", "value": "theirs" } });
    server.send(&owner, "POST", "/api/secrets", Some(&made));
    assert_eq!(bed.steps(), ["update ana-development"]);
    assert!(!tunnel.sent().contains(first), "a plan resolves nothing");
    let generation = bed.generation("ana-development");
    outputs += &bed.apply(0, &["-vv"]).all();
    assert_eq!(held(&server), pairs(&[("of_people", "theirs"), ("slack", first)]));
    outputs += &bed.sandbox.expect(0, &["-vv", "plan", "--detailed-exitcode"]).all();
    assert_eq!(bed.generation("ana-development"), generation, "a secret restarts nothing");

    // A new version rotates, and not under a pipeline that runs.
    bed.sandbox.set("SLACK", second);
    bed.declare("development", "ana", &ana(&slack(", version: 2")));
    let run = server.start_pipeline(&owner, 600);
    let running = || server.get(&owner, "/api/pipeline_runs?status=running")["pipeline_runs"].clone();
    server.wait("the pipeline runs", || {
        running().as_array().is_some_and(|runs| !runs.is_empty()).then_some(())
    });
    let held_back = bed.apply(3, &["-vv"]);
    assert!(
        held_back.all().contains("secrets are not deleted under pipelines that run"),
        "{}",
        held_back.all()
    );
    assert_eq!(held(&server)["slack"], first);
    let stop = json!({ "pipeline_run": { "status": "cancelled" } });
    server.send(&owner, "PUT", &format!("/api/pipeline_runs/{run}"), Some(&stop));
    server.wait("nothing runs", || {
        let statuses = server.get(&Caller::default(), "/api/statuses?_format=with_activity_details");
        (statuses["statuses"][0]["active_pipeline_run_count"] == 0).then_some(())
    });
    outputs += &bed.apply(0, &["-vv"]).all();
    assert_eq!(held(&server)["slack"], second);

    // One that somebody deleted is drift, and is made again.
    server.send(&owner, "DELETE", "/api/secrets/slack", None);
    let drift = bed.sandbox.expect(2, &["-vv", "drift"]);
    assert!(drift.stdout.contains("secrets.slack"), "{}", drift.stdout);
    outputs += &drift.all();
    outputs += &bed.apply(0, &["-vv"]).all();
    assert_eq!(held(&server)["slack"], second);

    // A variable and a secret in one step. The rollout cannot be seen here: then the secret waits too, and follows.
    let both = ana(&slack(", version: 3")).replace("N: \"1\"", "N: \"2\"");
    bed.declare("development", "ana", &both);
    outputs += &bed.apply(3, &["-vv"]).all();
    assert_eq!(bed.env("ana-development")["N"], json!({ "value": "2" }));
    let plan = bed.sandbox.plan(&[]);
    let paths: Vec<&Value> =
        plan["steps"][0]["fields"].as_array().expect("fields").iter().map(|f| &f["path"]).collect();
    assert_eq!(paths, ["secrets.slack"]);
    outputs += &bed.apply(0, &["-vv"]).all();
    assert_eq!(bed.steps(), Vec::<String>::new());

    // What people made is theirs, unless it is declared: kept as it is, or set.
    let people = "secrets: {of_people: {secret: {env: OLD}, keep: true}}\n";
    bed.declare("development", "ana", &both.replace(&slack(", version: 3"), people));
    outputs += &bed.apply(0, &["-vv"]).all();
    assert_eq!(held(&server), pairs(&[("of_people", "theirs")]), "its own is deleted, the other one kept");
    bed.declare(
        "development",
        "ana",
        &both.replace(&slack(", version: 3"), &people.replace(", keep: true", "")),
    );
    outputs += &bed.apply(0, &["-vv"]).all();
    assert_eq!(held(&server), pairs(&[("of_people", old)]));
    assert_eq!(bed.steps(), Vec::<String>::new());

    // Where the server does not run, the mark is believed, and the plan says that nobody looked.
    let path = format!("/api/workspaces/{}", bed.name("ana-development"));
    bed.declare(
        "development",
        "ana",
        &(bed.sandbox.read("environments/development/ana.yaml") + "state: stopped\n"),
    );
    outputs += &bed.apply(0, &["-vv"]).all();
    let plan = bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    assert!(plan.all().contains("the secrets of") && plan.all().contains("it is stopped"), "{}", plan.all());
    // A rotation has to wait until it runs; nothing is wrong with it.
    bed.sandbox.replace(
        "environments/development/ana.yaml",
        "{secret: {env: OLD}}",
        "{secret: {env: OLD}, version: 2}",
    );
    let run = bed.apply(3, &["-vv"]);
    assert!(run.all().contains("only a server that runs takes secrets"), "{}", run.all());
    outputs += &run.all();
    let detail = bed.shared.mage.get(&bed.owner, &path).to_string();
    for canary in [first, second, old, OWNER_PASSWORD] {
        assert!(!outputs.contains(canary), "{canary} in {outputs}");
        assert!(!detail.contains(canary), "{canary} in what viewers see");
    }
}

#[test]
fn a_rotation_that_fails_says_what_is_left() {
    let Some(mut bed) = Bed::new("a_rotation_that_fails_says_what_is_left") else { return };
    bed.make_ingress();
    let (old, new) = ("secret-canary-14dd", "secret-canary-25ee");
    bed.sandbox.set("OLD", old);
    bed.sandbox.set("NEW", new);
    bed.sandbox.set("MAGE_WORKSPACES_URL", "http://workspaces.acme.test");
    let mut outputs = String::new();
    bed.declare("development", "ana", &format!("ingress_name: {INGRESS}\n"));
    bed.apply(0, &[]);
    let uuid = bed.detail("ana-development")["project_uuid"].as_str().expect("a uuid").to_owned();
    let server = start(&uuid);
    let proxy = Proxy::start(&server.url());
    let tunnel = Tunnel::to(proxy.url().trim_start_matches("http://"));
    bed.sandbox.set("HTTP_PROXY", &tunnel.url());
    bed.lead_to("ana-development");

    let declare = |source: &str| {
        let secrets = format!("secrets: {{slack: {{secret: {{env: {source}}}, version: 1}}}}");
        bed.declare("development", "ana", &format!("ingress_name: {INGRESS}\n{secrets}\n"));
    };

    // An answer that is lost is looked after: each was done.
    proxy.decide(|request| match (request.method.as_str(), request.path.starts_with("/api/secrets")) {
        ("POST" | "DELETE", true) => Fault::CutAfter,
        _ => Fault::Pass,
    });
    declare("OLD");
    outputs += &bed.apply(0, &["-vv"]).all();
    assert_eq!(held(&server), pairs(&[("slack", old)]));

    // The creation of the new one fails: the old one, whose source still has it, comes back.
    proxy.decide(move |request| match request.method.as_str() {
        "POST" if request.json()["secret"]["value"] == new => {
            Fault::Status(200, format!("{{\"error\": {{\"code\": 500, \"message\": \"no {new}\"}}}}"))
        }
        _ => Fault::Pass,
    });
    declare("NEW");
    let run = bed.apply(3, &["-vv"]);
    assert!(run.all().contains("could not be created again, and has its old value"), "{}", run.all());
    outputs += &run.all();
    assert_eq!(held(&server), pairs(&[("slack", old)]));

    // With nothing to put back, it is gone, and the next plan says so.
    proxy.decide(|request| match request.method.as_str() {
        "POST" if request.path == "/api/secrets" => Fault::Status(500, "{}".to_owned()),
        _ => Fault::Pass,
    });
    let run = bed.apply(3, &["-vv"]);
    assert!(run.all().contains("was deleted, and could not be created again"), "{}", run.all());
    outputs += &run.all();
    assert_eq!(held(&server), pairs(&[]));
    assert!(bed.sandbox.expect(2, &["plan", "--detailed-exitcode"]).stdout.contains("secrets.slack"));
    proxy.decide(|_| Fault::Pass);
    outputs += &bed.apply(0, &["-vv"]).all();
    assert_eq!(held(&server), pairs(&[("slack", new)]));
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    for canary in [old, new, OWNER_PASSWORD] {
        assert!(!outputs.contains(canary), "{canary} in {outputs}");
    }
}
