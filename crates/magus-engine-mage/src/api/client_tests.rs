use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::SecretString;

use super::*;
use crate::api::{
    testing::{Reply, Script, Seen},
    transport::Limits,
};

const MAIN: &str =
    r#"{"statuses":[{"project_type":"main","instance_type":"k8s","require_user_authentication":true}]}"#;

fn password() -> Login {
    Login::Password { email: "ana@acme.dev".into(), password: SecretString::from("password-canary") }
}

/// The answer to a login with this token, as Mage gives it: a JWT around the token.
fn session(token: &str) -> Reply {
    let claims = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"token":"{token}"}}"#));
    Reply::ok(&format!(r#"{{"session":{{"token":"e.{claims}.s","user":{{"owner":true}}}}}}"#))
}

/// Answers like a main server with logins, and to everything but that as told.
fn mage(decide: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Script {
    let logins = AtomicUsize::new(0);
    Script::start(move |seen| match seen.what() {
        "GET /api/statuses" => Reply::ok(MAIN),
        "POST /api/sessions" => session(&format!("token-canary-{}", logins.fetch_add(1, Ordering::SeqCst))),
        _ => decide(seen),
    })
}

fn list() -> Request {
    request::workspaces(request::Namespaces::All)
}

#[test]
fn who_asks_is_told_only_where_it_is_needed() {
    let server = mage(|_| Reply::ok(r#"{"workspaces":[]}"#));
    let (client, _) = server.client(password());
    client.send(&list()).unwrap();
    client.send(&list()).unwrap();
    let told = |seen: &Seen| {
        (seen.header("x-api-key").map(str::to_owned), seen.header("oauth-token").map(str::to_owned))
    };
    let key = || Some("key-canary".to_owned());
    let seen = server.seen();
    assert_eq!(told(&seen[0]), (None, None), "{:?}", seen[0]);
    assert_eq!(told(&seen[1]), (key(), None));
    assert!(seen[1].body.contains("password-canary") && seen[1].what() == "POST /api/sessions");
    assert_eq!(told(&seen[2]), (key(), Some("token-canary-0".to_owned())));
    assert_eq!(told(&seen[3]), told(&seen[2]));
    assert_eq!(seen.len(), 4, "one look at the server and one login");
    // Reads share a connection.
    assert_eq!(seen[3].connection, seen[2].connection);
}

#[test]
fn many_at_once_log_in_once() {
    let server = mage(|_| Reply::ok(r#"{"workspaces":[]}"#));
    let (client, _) = server.client(password());
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| client.send(&list()).unwrap());
        }
    });
    let count = |what: &str| server.asked().iter().filter(|asked| *asked == what).count();
    assert_eq!((count("POST /api/sessions"), count("GET /api/statuses")), (1, 1));
    assert_eq!(count("GET /api/workspaces"), 16);
}

#[test]
fn a_session_that_ended_is_begun_again_once() {
    let ended = r#"{"error":{"code":401,"type":"expired_oauth_token","message":"no"}}"#;
    let server = mage(move |seen| match seen.header("oauth-token") {
        Some("token-canary-0") => Reply::Answer(401, Vec::new(), ended.to_owned()),
        _ => Reply::ok(r#"{"workspace":{}}"#),
    });
    let (client, _) = server.client(password());
    client.send(&request::patch_workspace("a", "{}", None)).unwrap();
    let put = "PUT /api/workspaces/a".to_owned();
    let login = "POST /api/sessions".to_owned();
    assert_eq!(server.asked()[1..], [login.clone(), put.clone(), login, put]);

    let server = mage(move |_| Reply::Answer(401, Vec::new(), ended.to_owned()));
    let (client, _) = server.client(password());
    let error = client.send(&list()).unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::ExpiredToken);
    assert_eq!(server.asked().iter().filter(|asked| *asked == "POST /api/sessions").count(), 2);
    // A token that somebody gave is not Magus' to begin again.
    let (client, _) = server.client(Login::Token("given-canary".into()));
    assert_eq!(client.send(&list()).unwrap_err().kind, ApiErrorKind::ExpiredToken);
    assert_eq!(server.asked().iter().filter(|asked| *asked == "POST /api/sessions").count(), 2);
}

#[test]
fn a_wrong_login_is_not_tried_again() {
    let server = Script::start(|seen| match seen.what() {
        "GET /api/statuses" => Reply::ok(MAIN),
        _ => Reply::ok(r#"{"error":{"code":404,"type":"record_not_found","message":"no"}}"#),
    });
    let (client, _) = server.client(password());
    for _ in 0..3 {
        assert_eq!(client.send(&list()).unwrap_err().kind, ApiErrorKind::WrongLogin);
    }
    assert_eq!(server.asked(), ["GET /api/statuses", "POST /api/sessions"]);
}

#[test]
fn only_what_reads_is_asked_again() {
    for reply in [Reply::Close, Reply::Half, Reply::Answer(503, Vec::new(), "{}".to_owned())] {
        let failures = Arc::new(AtomicUsize::new(0));
        let (counted, first) = (Arc::clone(&failures), reply.clone());
        let server = mage(move |seen| {
            if seen.what().starts_with("GET ") && counted.fetch_add(1, Ordering::SeqCst) >= 2 {
                return Reply::ok(r#"{"workspaces":[]}"#);
            }
            first.clone()
        });
        let (client, waits) = server.client(password());
        client.send(&list()).unwrap_or_else(|error| panic!("{reply:?}: {error}"));
        let waits = std::mem::take(&mut *waits.lock().unwrap());
        assert_eq!(waits.len(), 2, "{reply:?}");
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(1)), "{waits:?}");
        // A write whose answer is lost is sent once, and nobody knows what became of it.
        for write in [
            request::create_workspace(serde_json::Map::new()),
            request::patch_workspace("a", "{}", None),
            request::delete_workspace("a"),
        ] {
            let before = server.asked().len();
            let error = client.send(&write).unwrap_err();
            assert!(error.uncertain, "{reply:?} {error}");
            assert_eq!(server.asked().len(), before + 1, "{reply:?}");
        }
    }
}

#[test]
fn a_server_that_asks_for_time_gets_it() {
    let server = mage(|seen| match seen.header("oauth-token") {
        Some(_) => Reply::Answer(429, vec!["retry-after: 7".to_owned()], "{}".to_owned()),
        None => Reply::Close,
    });
    let (client, waits) = server.client(password());
    assert_eq!(client.send(&list()).unwrap_err().kind, ApiErrorKind::Busy);
    assert_eq!(*waits.lock().unwrap(), [Duration::from_secs(7); 4]);
    assert_eq!(server.asked().iter().filter(|asked| *asked == "GET /api/workspaces").count(), 5);
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Script::start(|_| Reply::ok(r#"{"workspaces":[]}"#));
    let target = format!("location: {}/login", elsewhere.url());
    let server = mage(move |_| Reply::Answer(302, vec![target.clone()], String::new()));
    let (client, _) = server.client(password());
    let error = client.send(&list()).unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::NotMage);
    assert!(error.to_string().contains("it redirects to 127.0.0.1"), "{error}");
    assert_eq!(elsewhere.seen().len(), 0);
}

#[test]
fn what_is_too_long_is_not_taken() {
    let server = mage(|_| Reply::ok(&format!(r#"{{"workspaces":["{}"]}}"#, "x".repeat(2000))));
    let limits = Limits { answer: 1000, ..Limits::default() };
    let (client, _) = server.client_with(password(), limits);
    let error = client.send(&list()).unwrap_err();
    assert_eq!((error.kind, error.uncertain), (ApiErrorKind::TooLarge, false));
}

/// Takes what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_secret_is_in_a_log_an_error_or_debug() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let told = tracing::subscriber::with_default(subscriber, || {
        // A server that repeats in its errors what it was sent.
        let server = mage(|seen| {
            let token = seen.header("oauth-token").unwrap_or_default();
            let text = format!("{} {token} key-canary password-canary", seen.body.replace('"', "'"));
            Reply::ok(&format!(r#"{{"error":{{"code":400,"type":"x","message":"{text}"}}}}"#))
        });
        let (client, _) = server.client(password());
        let secret = request::create_secret("slack", &SecretString::from("value-canary"));
        let resolver = Resolver::new(std::path::PathBuf::new(), Box::new(|_| Some("value-canary".into())));
        let reference = magus_model::value::SecretReference {
            source: magus_model::value::SecretSource::Env("X".into()),
            version: None,
            keep: false,
        };
        resolver.resolve(&reference).unwrap();
        // A place in the code that another test came to first may have been told that nobody listens.
        client.send(&list()).unwrap_err();
        tracing::callsite::rebuild_interest_cache();
        let errors = [client.send(&list()).unwrap_err(), client.send_with(&secret, &resolver).unwrap_err()];
        assert!(
            errors.iter().all(|error| error.detail.as_ref().is_some_and(|detail| detail.contains("***")))
        );
        format!("{errors:?} {} {} {client:?} {secret:?}", errors[0], errors[1])
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("/api/workspaces"), "something is logged: {log}");
    for text in [told, log] {
        assert!(!text.contains("canary"), "{text}");
    }
}
