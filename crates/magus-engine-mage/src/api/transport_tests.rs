use std::{
    ffi::OsString,
    fs,
    net::TcpListener,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::*;
use crate::api::{
    Login, ServerUrl, request,
    testing::{Reply, Script, as_mage, certificate, client, identity, list, password, patch},
};

const EMPTY: &str = r#"{"workspaces":[],"workspace":{}}"#;
const LIST: &str = "GET /api/workspaces";
const PATCH: &str = "PUT /api/workspaces/a";

/// Answers with `first` for so many times, and then well.
fn in_the_end(times: usize, first: Reply) -> impl Fn() -> Reply + Send + Sync {
    let asked = AtomicUsize::new(0);
    move || if asked.fetch_add(1, Ordering::SeqCst) < times { first.clone() } else { Reply::ok(EMPTY) }
}

#[test]
fn only_what_reads_is_asked_again() {
    let busy = [408, 429, 502, 503, 504].map(|status| Reply::status(status, "{}"));
    for reply in [Reply::Close, Reply::Half].into_iter().chain(busy) {
        let (read, write) = (in_the_end(2, reply.clone()), reply.clone());
        let server = Script::mage(move |seen| if seen.what() == LIST { read() } else { write.clone() });
        let (client, waits) = server.client(password());
        client.send(&list()).unwrap_or_else(|error| panic!("{reply:?}: {error}"));
        assert_eq!(server.count(LIST), 3, "{reply:?}");
        let waits = std::mem::take(&mut *waits.lock().unwrap());
        assert_eq!(waits.len(), 2, "{reply:?}");
        assert!(waits[0] <= Duration::from_millis(500) && waits[1] <= Duration::from_secs(1), "{waits:?}");
        // A write is sent once, and where its answer is lost nobody knows what became of it.
        for write in [
            request::create_workspace(serde_json::Map::new()),
            patch(),
            request::stop_workspace("a", None),
            request::resume_workspace("a"),
            request::delete_workspace("a"),
        ] {
            let before = server.seen().len();
            let error = client.send(&write).unwrap_err();
            let let_in = !matches!(reply, Reply::Answer(429, ..));
            assert_eq!(error.uncertain, let_in, "{reply:?} {error}");
            assert_eq!(server.seen().len(), before + 1, "{reply:?}");
        }
    }
    // What nothing can be gained from is not asked again either.
    for reply in [Reply::status(500, "{}"), Reply::status(404, "{}"), Reply::ok("{}"), Reply::ok("<html>")] {
        let server = Script::mage(move |_| reply.clone());
        let (client, _) = server.client(password());
        client.send(&list()).unwrap_err();
        assert_eq!(server.count(LIST), 1);
    }
}

#[test]
fn a_read_is_given_up_in_the_end() {
    let server = Script::mage(|_| Reply::Close);
    let (client, waits) = server.client(password());
    let error = client.send(&list()).unwrap_err();
    assert_eq!((error.kind, error.uncertain), (ApiErrorKind::Lost, false));
    assert_eq!((server.count(LIST), waits.lock().unwrap().len()), (5, 4));
}

#[test]
fn a_server_that_asks_for_time_gets_it() {
    for (header, seconds) in [("7", 7), ("Sat, 01 Aug 2026 10:00:12 GMT", 12), ("900", 30)] {
        let header = format!("retry-after: {header}");
        let server = Script::mage(move |_| Reply::Answer(429, vec![header.clone()], "{}".to_owned()));
        let (client, waits) = server.client(password());
        assert_eq!(client.send(&list()).unwrap_err().kind, ApiErrorKind::Busy);
        assert_eq!(*waits.lock().unwrap(), [Duration::from_secs(seconds); 4]);
        assert_eq!(server.count(LIST), 5);
    }
}

#[test]
fn no_attempt_begins_after_the_time_for_all_of_them() {
    let server = Script::mage(|_| Reply::Answer(503, vec!["retry-after: 7".to_owned()], "{}".to_owned()));
    let limits = Limits { attempts: Duration::from_secs(15), ..Limits::default() };
    let (client, waits) = client(&server.url(), password(), |options| options.limits = limits);
    assert_eq!(client.send(&list()).unwrap_err().kind, ApiErrorKind::Busy);
    assert_eq!(*waits.lock().unwrap(), [Duration::from_secs(7); 2]);
}

#[test]
fn a_connection_is_kept_for_what_may_be_sent_again() {
    let server = Script::mage(|_| Reply::ok(EMPTY));
    let (client, _) = server.client(password());
    for request in [list(), patch(), list(), patch(), list()] {
        client.send(&request).unwrap();
    }
    let of = |what: &str| -> Vec<usize> {
        server.seen().iter().filter(|seen| seen.what() == what).map(|seen| seen.connection).collect()
    };
    assert_eq!(of("GET /api/statuses"), [0]);
    assert_eq!(of(LIST), [0; 3]);
    // A connection that waited may be closed by the time it is used, and a write must not meet such a one.
    assert_eq!(of(PATCH), [1, 2]);
}

#[test]
fn no_more_requests_are_under_way_than_allowed() {
    struct Now {
        under_way: usize,
        most: usize,
    }
    let now = Arc::new((Mutex::new(Now { under_way: 0, most: 0 }), Condvar::new()));
    let inside = Arc::clone(&now);
    let server = Script::mage(move |_| {
        let (state, changed) = &*inside;
        let mut state = state.lock().unwrap();
        state.under_way += 1;
        state.most = state.most.max(state.under_way);
        changed.notify_all();
        // Each waits for a third one, which comes only where too many are let through.
        let (mut state, _) =
            changed.wait_timeout_while(state, Duration::from_millis(100), |state| state.most < 3).unwrap();
        state.under_way -= 1;
        Reply::ok(EMPTY)
    });
    let (client, _) =
        client(&server.url(), password(), |options| options.at_once = NonZeroUsize::new(2).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| client.send(&list()).unwrap());
        }
    });
    assert_eq!((server.count(LIST), now.0.lock().unwrap().most), (6, 2));
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for() {
    let held = Arc::new(Mutex::new(()));
    let waits_for = Arc::clone(&held);
    let server = Script::mage(move |_| {
        drop(waits_for.lock().unwrap());
        Reply::Close
    });
    let short = Duration::from_millis(200);
    let limits = Limits { read: short, write: short, ..Limits::default() };
    let (client, waits) = client(&server.url(), password(), |options| options.limits = limits);
    client.rights().unwrap();
    let silent = held.lock().unwrap();
    for (request, uncertain) in [(list(), false), (patch(), true)] {
        let begin = Instant::now();
        let error = client.send(&request).unwrap_err();
        assert_eq!((error.kind, error.uncertain), (ApiErrorKind::Lost, uncertain), "{error}");
        assert_eq!(error.detail.as_deref(), Some("no answer in time"));
        assert!(begin.elapsed() < Duration::from_secs(2));
    }
    drop(silent);
    // It has its work already: asking again would give it the same twice.
    assert_eq!((server.count(LIST), server.count(PATCH), waits.lock().unwrap().len()), (1, 1, 0));
}

#[test]
fn what_is_too_long_is_not_taken() {
    for (length, fits) in [(900, true), (1100, false)] {
        let server = Script::mage(move |_| {
            let text = "x".repeat(length);
            Reply::ok(&format!(r#"{{"workspaces":["{text}"],"workspace":{{}}}}"#))
        });
        let limits = Limits { answer: 1000, ..Limits::default() };
        let (client, _) = client(&server.url(), password(), |options| options.limits = limits);
        for request in [list(), patch()] {
            let uncertain = request.repeat == Repeat::Never;
            let error = client.send(&request).err().map(|error| (error.kind, error.uncertain));
            let too_large = Some((ApiErrorKind::TooLarge, uncertain));
            assert_eq!(error, if fits { None } else { too_large }, "{length}");
        }
        assert_eq!((server.count(LIST), server.count(PATCH)), (1, 1), "an answer came: nobody asks again");
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Script::start(|_| Reply::ok(EMPTY));
    for status in [301, 302, 303, 307, 308] {
        let target = format!("location: {}/login?token=canary", elsewhere.url());
        let server = Script::mage(move |_| Reply::Answer(status, vec![target.clone()], String::new()));
        let (client, _) = server.client(password());
        for request in [list(), patch()] {
            let error = client.send(&request).unwrap_err();
            assert_eq!(error.kind, ApiErrorKind::NotMage);
            assert!(error.to_string().ends_with("it redirects to 127.0.0.1"), "{error}");
        }
    }
    assert_eq!(elsewhere.asked(), [""; 0]);
}

#[test]
fn a_server_that_is_not_there_has_done_nothing() {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let (client, waits) = client(&format!("http://127.0.0.1:{port}"), password(), |_| {});
    let error = client.send(&patch()).unwrap_err();
    assert_eq!((error.kind, error.uncertain), (ApiErrorKind::Unreachable, false));
    assert!(error.to_string().contains("`GET http://127.0.0.1:"), "the server is looked at first: {error}");
    assert_eq!(waits.lock().unwrap().len(), 4);
}

/// A proxy in front of `mage.acme.test`, whose name only the proxy can know.
fn through(proxy: &Script, user: &str) -> impl FnOnce(&mut crate::api::Options) + use<> {
    let server = ServerUrl::parse("http://mage.acme.test").unwrap();
    let url = OsString::from(format!("http://{user}{}", proxy.address()));
    let proxy = Proxy::from_environment(&server, &|name| (name == "HTTP_PROXY").then(|| url.clone()));
    let proxy = proxy.unwrap();
    |options| options.proxy = proxy
}

#[test]
fn a_proxy_is_asked_for_a_way_and_told_nothing_else() {
    let behind = as_mage(|_| Reply::ok(EMPTY));
    let proxy = Script::start(move |seen| match seen.line.starts_with("CONNECT ") {
        true => Reply::ok(""),
        false => behind(seen),
    });
    let (client, _) = client("http://mage.acme.test", password(), through(&proxy, "ana:proxy-canary@"));
    client.send(&list()).unwrap();
    client.send(&patch()).unwrap();
    let connect = "CONNECT mage.acme.test:80";
    let (statuses, login) = ("GET /api/statuses", "POST /api/sessions");
    assert_eq!(proxy.asked(), [connect, statuses, login, LIST, connect, PATCH]);
    for seen in proxy.seen() {
        let told = |name: &str| seen.header(name).is_some();
        let way = seen.what() == connect;
        assert_eq!(told("proxy-authorization"), way, "{seen:?}");
        assert_eq!(told("x-api-key"), !way && seen.what() != statuses, "{seen:?}");
        assert_eq!(told("oauth-token"), [LIST, PATCH].contains(&seen.what()), "{seen:?}");
    }
    assert_eq!(
        proxy.seen()[0].header("proxy-authorization"),
        Some("Basic YW5hOnByb3h5LWNhbmFyeQ=="),
        "ana:proxy-canary"
    );
}

#[test]
fn a_write_that_has_not_left_may_be_sent() {
    // The way to the server is there for the reads, fails twice for the write, and is there again.
    let (ways, behind) = (AtomicUsize::new(0), as_mage(|_| Reply::ok(EMPTY)));
    let proxy = Script::start(move |seen| match seen.line.starts_with("CONNECT ") {
        true if [1, 2].contains(&ways.fetch_add(1, Ordering::SeqCst)) => Reply::status(503, ""),
        true => Reply::ok(""),
        false => behind(seen),
    });
    let (client, waits) = client("http://mage.acme.test", password(), through(&proxy, ""));
    client.send(&list()).unwrap();
    client.send(&patch()).unwrap();
    assert_eq!((proxy.count(PATCH), waits.lock().unwrap().len()), (1, 2));
}

#[test]
fn a_proxy_that_refuses_is_asked_once() {
    let proxy = Script::start(|_| Reply::status(407, ""));
    let (client, _) = client("http://mage.acme.test", password(), through(&proxy, "ana:proxy-canary@"));
    let error = client.send(&patch()).unwrap_err();
    assert_eq!((error.kind, error.uncertain), (ApiErrorKind::Unreachable, false));
    assert!(error.to_string().contains("407") && !error.to_string().contains("canary"), "{error}");
    assert_eq!(proxy.seen().len(), 1);
}

#[test]
fn a_company_vouches_for_its_own_server() {
    let server = Script::start_encrypted(identity(), as_mage(|_| Reply::ok(EMPTY)));
    let with = |url: &str, file: Option<&str>| {
        client(url, password(), |options| options.ca_file = file.map(certificate))
    };
    let (trusting, _) = with(&server.url(), Some("ours.pem"));
    trusting.send(&list()).unwrap();
    trusting.send(&patch()).unwrap();
    let seen = server.seen().len();
    assert_eq!(seen, 4);
    // The system's authorities, another company's, and a name that the certificate does not hold.
    let by_name = server.url().replace("127.0.0.1", "localhost");
    let (here, ours, other) = (server.url(), Some("ours.pem"), Some("other.pem"));
    for (url, file) in [(&here, None), (&here, other), (&by_name, ours)] {
        let (client, waits) = with(url, file);
        let error = client.send(&list()).unwrap_err();
        assert_eq!(error.kind, ApiErrorKind::Unreachable, "{error}");
        assert!(error.detail.as_ref().is_some_and(|detail| detail.contains("certificate")), "{error}");
        assert!(error.help().is_some_and(|help| help.contains("--ca-file")));
        assert_eq!(waits.lock().unwrap().len(), 0, "another attempt ends as this one: {error}");
    }
    assert_eq!(server.seen().len(), seen, "nothing was sent");
    // Who speaks without encryption to a port that wants it has sent something, and knows no more.
    let (client, _) = client(&server.url().replace("https", "http"), Login::None, |_| {});
    assert_ne!(client.send(&list()).unwrap_err().kind, ApiErrorKind::Unreachable);
}

fn fault(file: &Path) -> String {
    let error = certificates(file).unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::Io);
    assert!(error.help.is_some_and(|help| help.contains("--ca-file")));
    error.message
}

#[test]
fn a_file_of_authorities_holds_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    assert!(fault(&file).ends_with("cannot be read"));
    fs::write(&file, "hello\n").unwrap();
    assert!(fault(&file).ends_with("holds no certificate"));
    fs::write(&file, "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n").unwrap();
    assert!(fault(&file).ends_with("is not PEM"));
    fs::write(&file, "# ours\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(certificates(&file).is_ok());
}

#[test]
fn stop_ends_what_was_sent_and_a_write_is_then_uncertain() {
    let server = Script::mage(|_| Reply::Silence);
    for request in [list(), patch()] {
        let (client, _) = server.client(password());
        let before = server.seen().len();
        let started = Instant::now();
        let error = std::thread::scope(|scope| {
            let sent = scope.spawn(|| client.send(&request).unwrap_err());
            // The login comes first.
            while !server.seen()[before..].iter().any(|seen| [LIST, PATCH].contains(&seen.what())) {
                std::thread::yield_now();
            }
            client.transport.stop();
            sent.join().unwrap()
        });
        assert_eq!((error.kind, error.uncertain), (ApiErrorKind::Lost, request.repeat == Repeat::Never));
        assert!(error.to_string().contains("interrupted"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(30));
        if request.repeat == Repeat::Safe {
            // Nothing is sent again, and what is sent later has only a moment.
            let count = server.seen().len();
            let late = client.send(&list()).unwrap_err();
            assert!(late.to_string().contains("interrupted"), "{late}");
            assert_eq!(server.seen().len(), count + 1);
        }
    }
}
