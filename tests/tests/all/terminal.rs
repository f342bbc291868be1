//! A person at a terminal: the question before anything is sent, and Ctrl-C.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

use magus_tests::Sandbox;
use serde_json::Value;

use crate::fixture::three_stages;

/// Runs `magus` on a terminal of its own, made by util-linux' `script`, and types an answer.
fn on_a_terminal(sandbox: &Sandbox, arguments: &str, answer: &str) -> (Option<i32>, String) {
    sandbox.write("answer", answer);
    let output = Command::new("script")
        .args(["-qec", &format!("'{}' {arguments}", magus_tests::binary().display()), "/dev/null"])
        .current_dir(sandbox.path())
        .env("HOME", sandbox.file("home"))
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .stdin(std::fs::File::open(sandbox.file("answer")).expect("the answer"))
        .stdout(Stdio::piped())
        .output()
        .expect("script starts");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_question_is_asked_and_only_yes_applies() {
    if Command::new("script").arg("--version").output().is_err() {
        magus_tests::skip("the_question_is_asked_and_only_yes_applies", "script");
        return;
    }
    let sandbox = three_stages();
    let (code, text) = on_a_terminal(&sandbox, "apply", "no\n");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("yes"), "the question says what to type: {text}");
    assert!(text.contains('\u{1b}'), "a terminal has colours");
    assert!(!sandbox.file("store/workspaces").exists());
    let (code, text) = on_a_terminal(&sandbox, "apply", "yes\n");
    assert_eq!(code, Some(0), "{text}");
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn an_apply_that_is_interrupted_before_its_first_step_sends_nothing_and_reports() {
    let sandbox = three_stages();
    // Resolving a secret holds the apply until the pipe is written, so that the signal meets it there.
    sandbox
        .write("environments/development/_wait.sh", "echo started > started\nread line < gate\necho value\n");
    sandbox
        .write("environments/development/ingest.yaml", "env: {TOKEN: {secret: {command: [sh, _wait.sh]}}}\n");
    let gate = sandbox.file("environments/development/gate");
    let started = sandbox.file("environments/development/started");
    for pipe in [&gate, &started] {
        assert!(Command::new("mkfifo").arg(pipe).status().expect("mkfifo").success());
    }
    let mut apply = sandbox
        .command(&["apply", "--yes", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut line = String::new();
    BufReader::new(std::fs::File::open(&started).expect("the pipe")).read_line(&mut line).expect("a line");
    let pid = apply.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
    // The signal is noticed before the secret is there: magus says so.
    let mut stderr = BufReader::new(apply.stderr.take().expect("piped"));
    let mut said = String::new();
    while !said.contains("interrupted") {
        assert!(stderr.read_line(&mut said).expect("a line") > 0, "{said}");
    }
    std::fs::write(&gate, "go\n").expect("the gate opens");
    let mut stdout = String::new();
    apply.stdout.take().expect("piped").read_to_string(&mut stdout).expect("the report");
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).expect("the rest");
    assert_eq!(apply.wait().expect("ends").code(), Some(3), "{stdout}{said}{rest}");
    let report: Value = serde_json::from_str(&stdout).expect("a whole report");
    assert_eq!(report["interrupted"], true);
    let outcomes: Vec<_> =
        report["results"].as_array().expect("results").iter().map(|r| r["outcome"].as_str()).collect();
    assert_eq!(outcomes, [Some("not_started"); 6]);
    assert!(!sandbox.file("store/workspaces/analytics-development").exists());
    sandbox.remove("environments/development/_wait.sh");
    sandbox.write("environments/development/_wait.sh", "echo value\n");
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}
