use std::{
    ffi::OsString,
    sync::atomic::{AtomicUsize, Ordering},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use magus_engine::{EngineErrorKind, PerformError};
use magus_model::desired::{Edition, MageServer};

use super::*;
use crate::{
    Connect, Mage, Patience,
    api::{
        Role,
        testing::{MAIN, Reply, Script, Seen, list, listen, password, patch},
    },
};

const EMPTY: &str = r#"{"workspaces":[],"workspace":{}}"#;
const LOGIN: &str = "POST /api/sessions";

fn told(seen: &Seen) -> (Option<&str>, Option<&str>) {
    (seen.header("x-api-key"), seen.header("oauth-token"))
}

#[test]
fn who_asks_is_told_only_where_it_is_needed() {
    let server = Script::mage(|_| Reply::ok(EMPTY));
    let (client, _) = server.client(password());
    client.send(&list()).unwrap();
    client.send(&patch()).unwrap();
    let seen = server.seen();
    let asked: Vec<_> = seen.iter().map(|seen| (seen.what(), told(seen))).collect();
    let both = (Some("key-canary"), Some("token-canary-0"));
    assert_eq!(
        asked,
        [
            ("GET /api/statuses", (None, None)),
            (LOGIN, (Some("key-canary"), None)),
            ("GET /api/workspaces", both),
            ("PUT /api/workspaces/a", both),
        ]
    );
    // The password goes where one logs in, in the body, and nowhere else.
    let holds = |seen: &&Seen| format!("{seen:?}").contains("password-canary");
    let with_password: Vec<_> = seen.iter().filter(holds).collect();
    let [login] = &with_password[..] else { panic!("{with_password:?}") };
    assert!(login.what() == LOGIN && login.body.contains("password-canary"));
}

#[test]
fn a_server_without_logins_gets_no_login() {
    let open = MAIN.replace("true", "false");
    let server =
        Script::start(move |seen| Reply::ok(if seen.what() == "GET /api/statuses" { &open } else { EMPTY }));
    let (client, _) = server.client(password());
    client.send(&list()).unwrap();
    assert_eq!(client.rights(), Ok(Rights::Unrestricted));
    assert_eq!(server.asked(), ["GET /api/statuses", "GET /api/workspaces"]);
    assert_eq!(told(&server.seen()[1]), (Some("key-canary"), None));
}

#[test]
fn what_only_pretends_to_be_mage_sees_no_credential() {
    for reply in [
        Reply::ok("<html><title>Log in</title>"),
        Reply::ok("{}"),
        Reply::ok(r#"{"statuses":[]}"#),
        Reply::ok(r#"{"statuses":[{"project_type":"main"}]}"#),
        Reply::status(500, "{}"),
    ] {
        let server = Script::start(move |_| reply.clone());
        let (client, _) = server.client(password());
        client.send(&patch()).unwrap_err();
        let seen = server.seen();
        assert!(seen.iter().all(|seen| !format!("{seen:?}").contains("canary")), "{seen:?}");
        assert_eq!(server.asked(), ["GET /api/statuses"]);
    }
}

#[test]
fn a_server_that_is_not_trusted_gets_no_request() {
    let server = Script::mage(|_| Reply::ok(EMPTY));
    for trusted in [None, Some("http://127.0.0.1:1"), Some("https://mage.acme.dev")] {
        let variable = |name: &str| match name {
            "MAGE_URL" => trusted.map(OsString::from),
            "MAGE_TOKEN" | "MAGE_API_KEY" => Some(OsString::from("canary")),
            _ => None,
        };
        let connection = connect(&server.url(), &variable);
        let error = connection.err().unwrap();
        assert_eq!(error.kind, EngineErrorKind::Refused);
        assert!(error.message.contains("is not trusted"), "{error}");
    }
    assert_eq!(server.asked(), [""; 0]);
}

#[test]
fn many_at_once_log_in_once() {
    let ended = |seen: &Seen| seen.header("oauth-token") == Some("token-canary-0");
    let server = Script::mage(move |seen| match ended(seen) {
        true => Reply::error(401, "expired_oauth_token", "no"),
        false => Reply::ok(EMPTY),
    });
    let (client, _) = server.client(password());
    let all_at_once = || {
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| client.send(&list()).unwrap());
            }
        });
    };
    // All of them need a login, some meet its end, and one begins the next.
    all_at_once();
    assert_eq!((server.count(LOGIN), server.count("GET /api/statuses")), (2, 1));
    let refused = server.seen().iter().filter(|seen| ended(seen)).count();
    assert_eq!(server.count("GET /api/workspaces"), 16 + refused);
    all_at_once();
    assert_eq!(server.count(LOGIN), 2);
}

#[test]
fn a_session_that_ended_is_begun_again_once() {
    // The request was refused before anything was done, so that a write is sent again too.
    let server = Script::mage(|seen| match seen.header("oauth-token") {
        Some("token-canary-0") => Reply::error(401, "expired_oauth_token", "no"),
        _ => Reply::ok(EMPTY),
    });
    let (client, _) = server.client(password());
    client.send(&patch()).unwrap();
    let put = "PUT /api/workspaces/a";
    assert_eq!(server.asked()[1..], [LOGIN, put, LOGIN, put]);

    for kind in ["expired_oauth_token", "invalid_oauth_token"] {
        let server = Script::mage(move |_| Reply::error(401, kind, "no"));
        let (client, _) = server.client(password());
        let error = client.send(&list()).unwrap_err();
        assert!(matches!(error.kind, ApiErrorKind::ExpiredToken | ApiErrorKind::InvalidToken));
        assert_eq!((server.count(LOGIN), server.count("GET /api/workspaces")), (2, 2), "not for ever");
        // A token that somebody gave is not Magus' to begin again.
        let (client, _) = server.client(Login::Token("given-canary".into()));
        client.send(&list()).unwrap_err();
        assert_eq!((server.count(LOGIN), server.count("GET /api/workspaces")), (2, 3));
        assert_eq!(server.seen().last().and_then(|seen| told(seen).1), Some("given-canary"));
    }
}

#[test]
fn a_login_that_failed_for_now_is_tried_again() {
    // The first session ends, the server is away for the next login, and is back for the one after it.
    let logins = AtomicUsize::new(0);
    let server = Script::start(move |seen| match (seen.what(), seen.header("oauth-token")) {
        ("GET /api/statuses", _) => Reply::ok(MAIN),
        (LOGIN, _) => match logins.fetch_add(1, Ordering::SeqCst) {
            1 => Reply::status(500, "{}"),
            login => Reply::session(&format!("token-canary-{login}")),
        },
        (_, Some("token-canary-0")) => Reply::error(401, "expired_oauth_token", "no"),
        _ => Reply::ok(EMPTY),
    });
    let (client, _) = server.client(password());
    assert_eq!(client.send(&list()).unwrap_err().kind, ApiErrorKind::ServerError);
    client.send(&list()).unwrap();
    client.send(&list()).unwrap();
    assert_eq!(server.count(LOGIN), 3);
}

#[test]
fn a_wrong_login_is_not_tried_again() {
    let wrong_key = Reply::error(401, "invalid_api_key", "no");
    let wrong_login = Reply::error(404, "record_not_found", "no");
    for (reply, kind) in [(wrong_login, ApiErrorKind::WrongLogin), (wrong_key, ApiErrorKind::WrongApiKey)] {
        let server = Script::start(move |seen| match seen.what() {
            "GET /api/statuses" => Reply::ok(MAIN),
            _ => reply.clone(),
        });
        let (client, _) = server.client(password());
        for _ in 0..3 {
            assert_eq!(client.send(&list()).unwrap_err().kind, kind);
        }
        assert_eq!(server.asked(), ["GET /api/statuses", LOGIN]);
        let (client, _) = server.client(Login::None);
        assert_eq!(client.send(&list()).unwrap_err().kind, ApiErrorKind::NoLogin);
        assert_eq!(server.count("GET /api/workspaces"), 0);
    }
}

#[test]
fn a_server_says_its_version_and_a_login_its_role() {
    let server = Script::mage(|_| {
        Reply::ok(r#"{"projects":[{"version":"0.9.80","openai_api_key":"canary","name":"main"}]}"#)
    });
    let (client, _) = server.client(password());
    assert_eq!(client.version().as_deref(), Ok("0.9.80"));
    assert_eq!(client.version().as_deref(), Ok("0.9.80"));
    assert_eq!(client.rights(), Ok(Rights::Role(Role::Owner)));
    assert_eq!((server.count("GET /api/projects"), server.count(LOGIN)), (1, 1));
}

#[test]
fn no_secret_is_in_a_log_an_error_or_debug() {
    let secret = request::patch_workspace("a", "env: [{name: A, value: value-canary}]", None);
    let encoded = BASE64_STANDARD.encode("token-canary-0");
    let ((shown, errors), log) = listen(|| {
        // A server that repeats in its errors what it was sent, in clear and encoded, and without the words by which a
        // value would be taken for a secret that nobody knows.
        let repeats = |seen: &Seen| {
            let (key, token) = told(seen);
            let (key, token) = (key.unwrap_or_default(), token.unwrap_or_default());
            let body = seen.body.replace("password\":", "").replace('"', "'");
            format!("{key} {token} {} {body}", BASE64_STANDARD.encode(token))
        };
        let server = Script::mage(move |seen| match seen.what() {
            "GET /api/projects" => Reply::ok(&format!(r#"{{"projects":"{}"}}"#, repeats(seen))),
            "GET /api/workspaces" => Reply::error(500, "x", &repeats(seen)),
            _ => Reply::error(400, "x", &repeats(seen)),
        });
        let (client, _) = server.client(password());
        client.hide(&"value-canary".into());
        let errors = [
            client.send(&list()).unwrap_err(),
            client.send(&secret).unwrap_err(),
            client.version().unwrap_err(),
        ];
        // The same at the login, and with a token that was given.
        let refusing = Script::start(move |seen| match seen.what() {
            "GET /api/statuses" => Reply::ok(MAIN),
            _ => Reply::error(404, "record_not_found", &repeats(seen)),
        });
        let refused = [password(), Login::Token("token-canary-0".into())].map(|login| {
            let (client, _) = refusing.client(login);
            client.send(&list()).unwrap_err()
        });
        let errors: Vec<_> = errors.into_iter().chain(refused).collect();
        let mut shown = format!("{client:?} {secret:?} {errors:?}");
        for error in &errors {
            let (engine, step) = (EngineError::from(error.clone()), PerformError::from(error.clone()));
            shown.push_str(&format!(" {error} {engine:?} {step}"));
        }
        (shown, errors)
    });
    for error in errors {
        assert!(error.detail.as_ref().is_some_and(|detail| detail.contains("***")), "{error}");
    }
    assert!(log.contains("/api/workspaces") && log.contains("ureq"), "everybody is heard: {log}");
    for text in [shown, log] {
        for secret in ["canary", &encoded] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}

#[test]
fn a_long_text_is_cut_after_its_secrets_are_hidden() {
    // Wherever the value lies, no part of it is left by the cut.
    for before in 280..=300 {
        let text = format!("{}value-canary", ".".repeat(before));
        let server = Script::mage(move |_| Reply::error(400, "x", &text));
        let (client, _) = server.client(password());
        client.hide(&"value-canary".into());
        let error = client.send(&patch()).unwrap_err();
        let detail = error.detail.unwrap();
        assert!(detail.chars().count() <= 301 && !detail.contains('v'), "{before}: {detail}");
    }
}

#[test]
fn a_workspace_tells_its_runs_and_gets_no_credential() {
    let server = Script::start(|seen| match seen.what() {
        "GET /api/statuses" => Reply::ok(r#"{"statuses":[{"active_pipeline_run_count":7}]}"#),
        "GET /api/pipeline_runs" => Reply::ok(
            r#"{"pipeline_runs":[{"id":12,"pipeline_uuid":"orders\u001b[2J","variables":{"token":"canary"}}]}"#,
        ),
        what => panic!("{what}"),
    });
    let (client, _) = server.client(password());
    assert_eq!(client.running_pipelines().unwrap(), 7);
    assert_eq!(client.names_of_runs().unwrap(), ["orders[2J (run 12)"]);
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| told(seen) == (None, None)), "{seen:?}");

    let silent = Script::start(|_| Reply::ok(MAIN));
    let (client, _) = silent.client(password());
    assert_eq!(client.running_pipelines().unwrap_err().kind, ApiErrorKind::NotMage);
}

#[test]
fn a_way_without_encryption_is_warned_about() {
    for (url, warns) in
        [("http://mage.acme.test", true), ("https://mage.acme.test", false), ("http://127.0.0.1:1", false)]
    {
        let variable = |name: &str| match name {
            "MAGE_URL" => Some(OsString::from(url)),
            "MAGE_TOKEN" => Some(OsString::from("canary")),
            _ => None,
        };
        let (connection, log) = listen(|| connect(url, &variable));
        assert!(connection.is_ok());
        assert_eq!(log.contains("unencrypted"), warns, "{url}: {log}");
        assert!(!log.contains("canary"));
    }
}

fn connect(url: &str, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Mage, EngineError> {
    let declared = MageServer { url: url.into(), namespace: None, edition: Edition::Oss, kubernetes: None };
    Mage::connect(Connect {
        cluster: &"acme".into(),
        server: &declared,
        variable,
        ca_file: None,
        patience: Patience::default(),
        now: jiff::Timestamp::now,
    })
}
