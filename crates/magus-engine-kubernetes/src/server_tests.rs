//! Servers that answer as nobody wishes, on loopback.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use magus_engine::PerformError;
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::Kubernetes;

const USER: &str = "{token: hunter2}";

/// A connection to a URL as a user of a kubeconfig.
fn connect(url: &str, user: &str, limits: Limits) -> Result<Kubernetes, EngineError> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config");
    let text = format!(
        "contexts:\n- {{name: c, context: {{cluster: c, user: u}}}}\n\
         clusters:\n- {{name: c, cluster: {{server: '{url}'}}}}\nusers:\n- {{name: u, user: {user}}}\n"
    );
    std::fs::write(&path, text).unwrap();
    Kubernetes::connect(Access {
        kubeconfig: vec![path],
        context: "c".into(),
        namespace: Some("mage".into()),
        limits,
        proxy: &|_| None,
        now: Timestamp::now,
    })
}

fn quick() -> Limits {
    Limits { request: Duration::from_millis(700), ..Limits::default() }
}

/// A server that gives each request in turn one of the answers, the last of them to all further ones; and how many it
/// was asked.
fn answering(answers: &[&str]) -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let answers: Vec<String> = answers.iter().map(ToString::to_string).collect();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let at = count.fetch_add(1, Ordering::SeqCst) as usize;
            answer(stream, &answers[at.min(answers.len() - 1)]);
        }
    });
    (url, asked)
}

fn answer(mut stream: TcpStream, answer: &str) {
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    while !seen.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(read) => seen.extend_from_slice(&buffer[..read]),
        }
    }
    let (head, body) = answer.split_once('\n').unwrap();
    let answer =
        format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    // A client that has gone away does not read it.
    let _ = stream.write_all(answer.as_bytes());
}

fn status(code: u16, reason: &str, message: &str) -> String {
    format!(
        "{code} X\n{{\"kind\":\"Status\",\"status\":\"Failure\",\"code\":{code},\"reason\":\"{reason}\",\"message\":\"{message}\"}}"
    )
}

const VERSION: &str = "200 OK\n{\"gitVersion\":\"v1.36.3\"}";

#[test]
fn reading_is_tried_again_and_writing_is_not() {
    let busy = status(503, "ServiceUnavailable", "busy");
    let (url, asked) = answering(&[&busy, "429 X\nslowly", VERSION]);
    let kubernetes = connect(&url, USER, Limits::default()).unwrap();
    assert_eq!(kubernetes.version().unwrap(), "v1.36.3");
    assert_eq!(asked.load(Ordering::SeqCst), 3);

    let (url, asked) = answering(&[&busy]);
    let kubernetes = connect(&url, USER, Limits::default()).unwrap();
    let error = kubernetes.version().unwrap_err();
    assert_eq!((error.kind, asked.load(Ordering::SeqCst)), (EngineErrorKind::Unreachable, TRIES));
    let request = Request::new("/x").create(&Default::default(), b"{}".to_vec());
    let error = kubernetes.server.write::<Value>(request).unwrap_err().perform();
    assert!(matches!(error, PerformError::Uncertain(_)), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), TRIES + 1);
}

#[test]
fn a_refusal_is_taken_at_once() {
    for code in [401, 403, 404, 422] {
        let (url, asked) = answering(&[&status(code, "Reason", "no")]);
        let error = connect(&url, USER, Limits::default()).unwrap().version().unwrap_err();
        assert_eq!(error.kind == EngineErrorKind::Refused, code <= 403, "{error}");
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{code}");
    }
}

#[test]
fn what_is_no_kubernetes_is_known_and_its_page_not_shown() {
    for page in
        ["502 X\n<html>hunter2</html>", "404 X\nhunter2 \"ana\" not found", "200 OK\n<html>hunter2</html>"]
    {
        let (url, _) = answering(&[page]);
        let kubernetes = connect(&url, USER, quick()).unwrap();
        let error = kubernetes.workload("mage", "ana").unwrap_err();
        let whole = format!("{error:?}");
        assert!(!whole.contains("hunter2"), "{whole}");
        assert!(whole.contains("kubernetes") || whole.contains("not understood"), "{whole}");
        assert!(
            whole.contains(&format!("GET {url}/apis/apps/v1/namespaces/mage/statefulsets/ana")),
            "{whole}"
        );
    }
}

#[test]
fn a_server_that_is_silent_or_gone_is_unreachable() {
    // Connections wait in the queue of a listener that nobody serves.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let error = connect(&url, USER, quick()).unwrap().version().unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::Unreachable);
    drop(silent);
    let error = connect(&url, USER, quick()).unwrap().version().unwrap_err();
    assert_eq!(error.message, format!("kubernetes cannot be reached: `GET {url}/version`"));
    assert!(error.source.unwrap().to_string().contains("refused"));
}

#[test]
fn a_list_that_expires_on_the_way_is_read_in_one_piece() {
    let page = "200 OK\n{\"metadata\":{\"continue\":\"next\"},\"items\":[]}";
    let expired = status(410, "Expired", "too old");
    let (url, asked) = answering(&[page, &expired, "200 OK\n{\"metadata\":{},\"items\":[]}"]);
    let kubernetes = connect(&url, USER, Limits::default()).unwrap();
    assert!(kubernetes.workloads().unwrap().is_empty());
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[test]
fn a_name_that_makes_another_path_is_the_name_of_nothing() {
    let (url, asked) = answering(&[VERSION]);
    let kubernetes = connect(&url, USER, Limits::default()).unwrap();
    for (namespace, name) in
        [("mage", "../evil"), ("mage", ""), ("mage", "a?b"), ("../x", "ana"), ("mage", "Ana")]
    {
        assert_eq!(kubernetes.workload(namespace, name).unwrap(), None);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert!(is_name("a.b-1") && !is_name("-a") && !is_name("a-") && !is_name(&"a".repeat(254)));
}

#[test]
fn one_connection_serves_several_threads() {
    let (url, _) = answering(&[VERSION]);
    let kubernetes = connect(&url, USER, Limits::default()).unwrap();
    let versions: Vec<_> = thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| kubernetes.version().unwrap())).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    assert!(versions.iter().all(|version| version == "v1.36.3"));
}

/// A user whose credential comes from a line of shell.
fn program(line: &str) -> String {
    format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, args: ['-c', '{line}'], interactiveMode: Never}}}}"
    )
}

#[test]
fn a_login_that_cannot_be_made_says_so_and_shows_nothing() {
    let failure = |line: &str, limits: Limits| {
        let Err(error) = connect("http://127.0.0.1:1", &program(line), limits) else { panic!("{line}") };
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        assert_eq!(error.kind, EngineErrorKind::Refused);
        assert_eq!(error.message, "the login of the context `c` by `sh` cannot be made");
        error.source.unwrap().to_string()
    };
    assert_eq!(failure("echo hunter2; exit 3", Limits::default()), "it ended with exit status: 3");
    assert_eq!(failure("echo hunter2", Limits::default()), "what it printed is no credential");
    // It would end in a minute; Magus neither waits for it nor hangs when it ends.
    let started = Instant::now();
    let impatient = Limits { login: Duration::from_millis(100), ..Limits::default() };
    assert!(failure("exec sleep 60", impatient).starts_with("it is not done after"));
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn stop_ends_a_request_that_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let kubernetes = connect(&url, USER, Limits::default()).unwrap();
    let started = Instant::now();
    let error = thread::scope(|scope| {
        let asking = scope.spawn(|| kubernetes.version().unwrap_err());
        // It is sent, and never answered.
        let (mut connection, _) = listener.accept().unwrap();
        assert_eq!(connection.read(&mut [0]).unwrap(), 1);
        kubernetes.server.stopped.send_replace(true);
        asking.join().unwrap()
    });
    assert!(error.message.ends_with("was interrupted"), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(20));
}
