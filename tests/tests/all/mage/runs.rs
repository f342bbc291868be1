//! Pipelines that run: only the workspace's own server knows of them, and a restart would end them.

use std::{
    io::{BufRead as _, BufReader, Read},
    process::Stdio,
    time::{Duration, Instant},
};

use magus_tests::{
    mage::{API_KEY, Caller, Logins, MageServer, Mode, OWNER_PASSWORD, Options},
    proxy::{Fault, Request},
    tunnel::Tunnel,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{Bed, INGRESS};

fn rollout(bed: &Bed, rollout: &str) {
    bed.sandbox.write(
        "environments/development/environment.yaml",
        format!("rollout: {{{rollout}}}\ndefaults:\n  env: {{ENV: dev}}\n"),
    );
}

#[test]
fn a_restart_waits_for_running_pipelines() {
    let Some(mut bed) = Bed::new("a_restart_waits_for_running_pipelines") else { return };
    let server = MageServer::start(&Mode::Standalone, &Options { logins: Logins::Off, ..Options::default() });
    let server = server.unwrap_or_else(|missing| panic!("{missing:?}"));
    let tunnel = Tunnel::to(&server.address());
    bed.sandbox.set("HTTP_PROXY", &tunnel.url());

    // How many questions came so far; then one more comes.
    let questions = || tunnel.sent().matches("with_activity_details").count();
    let await_question = || {
        let before = questions();
        server.wait("the apply asks what runs", || (questions() > before).then_some(()));
    };

    bed.make_ingress();
    rollout(&bed, "wait_for_runs: 1s");
    let ana = |number: u32| format!("env: {{NUMBER: \"{number}\"}}\ningress_name: {INGRESS}\n");
    bed.declare("development", "ana", &ana(1));
    bed.declare("development", "ben", "env: {NUMBER: \"1\"}\n");
    bed.declare("production", "ana", "{}\n");
    // Nothing runs in what is only made.
    bed.apply(0, &[]);
    bed.lead_to("ana-development");
    let (of_ana, of_ben) = (bed.generation("ana-development"), bed.generation("ben-development"));

    // What takes too long is left alone, and so is what nobody can be asked about; later stages wait.
    let user = Caller::anonymous();
    let run = server.start_pipeline(&user, 600);
    let running = |run: u64| {
        let runs = server.get(&user, "/api/pipeline_runs?status=running")["pipeline_runs"].clone();
        runs.as_array().expect("runs").iter().any(|one| one["id"] == run)
    };
    server.wait("the pipeline runs", || running(run).then_some(()));
    bed.declare("development", "ana", &ana(2));
    bed.declare("development", "ben", "env: {NUMBER: \"2\"}\n");
    bed.declare("production", "ana", "env: {NUMBER: \"2\"}\n");
    let apply = bed.apply(3, &["--format", "json"]);
    let report: Value = serde_json::from_str(&apply.stdout).expect("a report");
    let results: Vec<String> = report["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| format!("{}: {}", result["outcome"].as_str().expect("text"), result["message"]))
        .collect();
    let late = format!(
        "not_started: \"`rollout.wait_for_runs` is over, and it would interrupt 1 pipeline run: sleeps_600 (run {run})\""
    );
    assert_eq!(results[0], late);
    assert!(results[1].contains("mage shows no address for the workspace"), "{results:?}");
    assert!(results[2].starts_with("skipped: ") && results[2].contains("later stages wait"), "{results:?}");
    assert_eq!(report["interrupted"], false);
    assert_eq!((bed.generation("ana-development"), bed.generation("ben-development")), (of_ana, of_ben));

    // Who waits can be stopped.
    rollout(&bed, "wait_for_runs: 1h");
    bed.sandbox.remove("environments/development/ben.yaml");
    let mut command = bed.sandbox.command(&[
        "apply",
        "--yes",
        "--allow-delete",
        "development",
        "-w",
        &bed.name("ana-development"),
    ]);
    let mut apply = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("magus starts");
    await_question();
    kill_process(Pid::from_child(&apply), Signal::INT).expect("a signal");
    let mut text = String::new();
    apply.stdout.take().expect("piped").read_to_string(&mut text).expect("text");
    assert_eq!(apply.wait().expect("ended").code(), Some(3), "{text}");
    assert!(text.contains("interrupted while it waited for 1 pipeline run"), "{text}");

    // What ends in time is waited for; whoever changed the workspace meanwhile is not overrun.
    for (moved, said) in
        [(true, "is not as it was when the plan was made"), (false, "its rollout was not observed")]
    {
        let run = if moved { run } else { server.start_pipeline(&user, 601) };
        server.wait("the pipeline runs", || running(run).then_some(()));
        std::thread::scope(|scope| {
            let apply = scope.spawn(|| bed.apply(3, &["-w", &bed.name("ana-development")]));
            await_question();
            assert!(!apply.is_finished());
            if moved {
                bed.edit("ana-development", |text| format!("{text}# by hand\n"));
            }
            let stop = json!({ "pipeline_run": { "status": "cancelled" } });
            server.send(&user, "PUT", &format!("/api/pipeline_runs/{run}"), Some(&stop));
            let run = apply.join().expect("an apply");
            assert!(run.all().contains(said), "{}", run.all());
        });
        let number = if moved { "1" } else { "2" };
        assert_eq!(bed.env("ana-development")["NUMBER"], json!({ "value": number }));
    }

    // The workspace's own server is nobody that credentials are for.
    let sent = tunnel.sent().to_lowercase();
    for secret in [API_KEY, OWNER_PASSWORD, "oauth", "authorization", "cookie"] {
        assert!(!sent.contains(&secret.to_lowercase()), "{secret}");
    }
}

#[test]
fn second_signal_ends_a_request_that_was_sent() {
    let Some(bed) = Bed::new("second_signal_ends_a_request_that_was_sent") else { return };
    bed.declare("development", "ana", "{}\n");
    bed.declare("production", "ana", "{}\n");
    let is_create = |request: &Request| request.method == "POST" && request.path == "/api/workspaces";
    bed.proxy.decide(move |request| match is_create(request) {
        true => Fault::Delay(Duration::from_secs(600)),
        false => Fault::Pass,
    });
    let mut command = bed.sandbox.command(&["apply", "--yes", "--format", "json"]);
    let mut apply = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("magus starts");
    while bed.proxy.count(is_create) == 0 {
        assert_eq!(apply.try_wait().expect("a state"), None, "it ended");
        std::thread::yield_now();
    }
    let started = Instant::now();
    let mut said = BufReader::new(apply.stderr.take().expect("piped"));
    for expected in
        ["interrupted: finishing running steps", "interrupted again: stopping child processes and requests"]
    {
        kill_process(Pid::from_child(&apply), Signal::INT).expect("a signal");
        let mut line = String::new();
        while !line.contains(expected) {
            line.clear();
            assert!(said.read_line(&mut line).expect("a line") > 0, "it ended without `{expected}`");
        }
    }
    let mut text = String::new();
    apply.stdout.take().expect("piped").read_to_string(&mut text).expect("text");
    assert_eq!(apply.wait().expect("ended").code(), Some(3), "{text}");
    // The limit of a request that writes is three minutes.
    assert!(started.elapsed() < Duration::from_secs(60), "{text}");
    let report: Value = serde_json::from_str(&text).expect("a report");
    assert_eq!(report["interrupted"], true);
    let outcomes: Vec<_> =
        report["results"].as_array().expect("results").iter().map(|one| one["outcome"].clone()).collect();
    assert_eq!(outcomes, ["uncertain", "skipped"], "{report}");
    let message = report["results"][0]["message"].as_str().expect("a message");
    assert!(message.contains("interrupted"), "{message}");
}
