//! Values that may be secrets, in every field that can hold one, are shown by no command and written into no file.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use magus_tests::{
    files_below,
    proxy::{Fault, Request},
};
use serde_json::{Value, json};

use super::Bed;

/// What no output may have. Base64 and percent-encoding hide nothing.
const CANARIES: [&str; 3] = ["kAnArY", "a0FuQXJZ", "kAn%41rY"];

/// Every field of a container, and of what is around it, that takes a text; each text has a canary.
const DECLARED: &str = r#"
env:
  DB_PASSWORD: kAnArY-literal
  DATABASE_URL: postgres://ana:kAnArY@db/x
  API_TOKEN: {secret: {env: TOKEN}}
  LINKED: {valueFrom: {secretKeyRef: {name: keys, key: ghp_kAnArYq9X2mZ7rT4bV1nK8wZ3dE5fG7hI9jK}}}
container_config:
  command: [sh, -c, "run --token=kAnArYq9X2mZ7rT4bV1nK8"]
  args: [--password, kAnArY-argument]
  workingDir: /home/src/ghp_kAnArYq9X2mZ7rT4bV1nK8wZ3dE5fG7hI9jK
  lifecycle:
    preStop: {exec: {command: [curl, -u, "ana:kAnArY", "https://ana:kAnArY@host/stop"]}}
  livenessProbe:
    httpGet:
      path: /health?api_key=kAnArYq9X2mZ7rT4bV1nK8
      port: 6789
      httpHeaders: [{name: Authorization, value: "Bearer kAnArYq9X2mZ7rT4bV1nK8"}]
  readinessProbe: {exec: {command: [curl, --password, kAnArY-probe]}}
  startupProbe: {tcpSocket: {port: 6789, host: ghp_kAnArYq9X2mZ7rT4bV1nK8wZ3dE5fG7hI9jK}}
  tolerations: [{key: gpu, operator: Equal, value: ghp_kAnArYq9X2mZ7rT4bV1nK8wZ3dE5fG7hI9jK}]
  nodeSelector: {db_password: kAnArY-selector}
lifecycle_config:
  post_start: {command: [curl, -H, "Authorization: Bearer kAnArYq9X2mZ7rT4bV1nK8", "https://ana:kAnArY@host/"]}
"#;

const READ_ONLY: [&[&str]; 15] = [
    &["-vv", "plan"],
    &["plan", "--format", "json"],
    &["plan", "--format", "markdown"],
    &["plan", "--format", "html"],
    &["-vv", "drift"],
    &["drift", "--format", "json"],
    &["-vv", "status"],
    &["status", "--format", "json"],
    &["status", "--format", "html"],
    &["explain", "development/one"],
    &["explain", "development/one", "--format", "json"],
    &["diff", "development/one", "development/two"],
    &["diff", "development/one", "development/two", "--format", "json"],
    &["history"],
    &["history", "--format", "json"],
];

#[track_caller]
fn no_canary(what: &str, text: &str) {
    for canary in CANARIES {
        let around = text.find(canary).map(|at| {
            let (from, to) = (at.saturating_sub(300), (at + 100).min(text.len()));
            String::from_utf8_lossy(&text.as_bytes()[from..to]).into_owned()
        });
        assert_eq!(around, None, "{canary} in {what}");
    }
}

impl Bed {
    #[track_caller]
    fn shows_no_canary(&self) {
        for arguments in READ_ONLY {
            let run = self.sandbox.magus(arguments);
            assert!(matches!(run.code, Some(0 | 2 | 4)), "{arguments:?}\n{}", run.all());
            no_canary(&arguments.join(" "), &run.all());
        }
        no_canary("plan --out", &self.sandbox.magus(&["-vv", "plan", "--out", "plan.json"]).all());
        self.writes_no_canary();
    }

    #[track_caller]
    fn writes_no_canary(&self) {
        for (path, bytes) in files_below(self.sandbox.path()) {
            let shown = path.strip_prefix(self.sandbox.path()).expect("a file").display().to_string();
            if !shown.starts_with("environments") {
                no_canary(&shown, &String::from_utf8_lossy(&bytes));
            }
        }
    }

    #[track_caller]
    fn applies_without_a_canary(&self, code: i32, more: &[&str]) {
        let mut arguments = vec!["-vv", "apply", "--yes", "--timeout", "90"];
        arguments.extend(more);
        let run = self.sandbox.expect(code, &arguments);
        no_canary("apply", &run.all());
        assert!(run.stderr.contains("PUT") || run.stderr.contains("POST"), "the log is on: {}", run.stderr);
    }
}

/// The texts of a request after its mark, line by line in pieces that fit into an error.
fn pieces(request: &Request) -> Vec<String> {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let text = body["workspace"]["container_config"].as_str().unwrap_or_default();
    let text = text.split_once('\n').map_or("", |(_, rest)| rest);
    let mut pieces = vec![body["workspace"]["lifecycle_config"].to_string()];
    for line in text.lines() {
        match pieces.last_mut() {
            Some(last) if last.len() + line.len() < 280 => *last += &format!("\n{line}"),
            _ => pieces.push(line.to_owned()),
        }
    }
    pieces
}

#[test]
fn values_that_may_be_secrets_are_shown_nowhere() {
    let Some((mut bed, kubernetes)) = Bed::with_kubernetes("values_that_may_be_secrets_are_shown_nowhere")
    else {
        return;
    };
    bed.sandbox.set("TOKEN", "kAnArY-of-a-reference");
    bed.sandbox.replace(
        "environments/cluster.yaml",
        "name: acme\n",
        "name: acme\nlint: {MG301: \"off\", MG302: \"off\"}\n",
    );
    bed.declare("development", "two", "{}\n");
    bed.apply_seen();

    // Mage refuses, and quotes the request piece by piece.
    bed.declare("development", "one", DECLARED);
    bed.shows_no_canary();
    // Two plans that differ in nothing that is shown are two plans, also of a workspace that is created.
    let reviewed = bed.sandbox.plan(&[])["digest"].clone();
    bed.declare("development", "one", &DECLARED.replace("kAnArY-argument", "kAnArY-other"));
    assert_ne!(bed.sandbox.plan(&[])["digest"], reviewed);
    bed.sandbox.expect(4, &["apply", "plan.json", "--yes"]);
    bed.declare("development", "one", DECLARED);
    assert_eq!(bed.sandbox.plan(&[])["digest"], reviewed);
    let (said, number) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let (saying, at) = (Arc::clone(&said), Arc::clone(&number));
    bed.proxy.decide(move |request| match request.method.as_str() {
        "POST" | "PUT" if request.path.starts_with("/api/workspaces") => {
            let mut said = saying.lock().unwrap_or_else(PoisonError::into_inner);
            *said = pieces(request);
            let piece = said.get(at.load(Ordering::Relaxed)).cloned().unwrap_or_default();
            Fault::Status(200, json!({ "error": { "code": 400, "message": piece, "type": "x" } }).to_string())
        }
        _ => Fault::Pass,
    });
    let count = || said.lock().unwrap_or_else(PoisonError::into_inner).len();
    loop {
        bed.applies_without_a_canary(3, &[]);
        if number.fetch_add(1, Ordering::Relaxed) >= count() {
            break;
        }
    }
    assert!(count() > 4, "{}", count());
    bed.writes_no_canary();

    // Kubernetes refuses it through Mage, and where Magus asks itself.
    bed.proxy.decide(|_| Fault::Pass);
    bed.shared.decide(&bed.place, |request| match (request.method.as_str(), request.path.ends_with("/statefulsets")) {
        ("POST", true) => {
            let body = String::from_utf8_lossy(&request.body);
            let message = format!("StatefulSet is invalid: {}", &body[body.find("--password").unwrap_or(0)..]);
            Fault::Status(422, json!({ "kind": "Status", "status": "Failure", "reason": "Invalid", "message": message, "code": 422 }).to_string())
        }
        _ => Fault::Pass,
    });
    bed.applies_without_a_canary(3, &[]);
    bed.writes_no_canary();
    bed.shared.decide(&bed.place, |_| Fault::Pass);
    let quotes = |request: &Request| {
        let body = String::from_utf8_lossy(&request.body);
        let message = format!("StatefulSet is invalid: {}", &body[body.find("nodeSelector").unwrap_or(0)..]);
        json!({ "kind": "Status", "status": "Failure", "reason": "Invalid", "message": message, "code": 422 })
            .to_string()
    };
    kubernetes.decide(move |request| match request.method.as_str() {
        "PATCH" => Fault::Status(422, quotes(request)),
        _ => Fault::Pass,
    });
    bed.applies_without_a_canary(3, &[]);
    assert!(bed.set("one-development").is_some(), "it was made");
    kubernetes.decide(|_| Fault::Pass);
    bed.writes_no_canary();

    // It runs; then every value drifts, and goes.
    bed.sandbox.magus(&["apply", "--yes", "--timeout", "2"]);
    assert_eq!(bed.env("one-development")["DB_PASSWORD"]["value"], "kAnArY-literal");
    bed.shows_no_canary();
    bed.edit("one-development", |text| text.replace("kAnArY", "kAnArYdrifted"));
    bed.shows_no_canary();
    bed.declare("development", "one", "{}\n");
    bed.shows_no_canary();
    no_canary("apply", &bed.sandbox.magus(&["-vv", "apply", "--yes", "--timeout", "2"]).all());
    bed.writes_no_canary();
}
