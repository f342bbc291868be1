//! What people are told.

use kube::core::Status;
use serde_json::json;

use super::*;

fn trouble(failure: Failure) -> Trouble {
    Trouble { asked: "GET https://k.dev/x".into(), failure }
}

fn status(code: u16, message: &str) -> Failure {
    let status: Status = serde_json::from_value(json!({
        "status": "Failure", "code": code, "reason": "Reason", "message": message,
    }))
    .unwrap();
    Failure::from(kube::Error::Api(Box::new(status)))
}

#[test]
fn every_failure_says_what_happened_and_what_to_do() {
    use EngineErrorKind::{Damaged, Refused, Unreachable};
    let forbidden = "statefulsets.apps is forbidden: User \"ci\" cannot list resource \"statefulsets\"";
    for (failure, kind, message, cause, help) in [
        (
            status(401, "Unauthorized"),
            Refused,
            "kubernetes does not accept the login: `GET https://k.dev/x` answered 401",
            Some("Unauthorized"),
            Some("auth whoami"),
        ),
        (
            status(403, forbidden),
            Refused,
            "kubernetes does not allow it: `GET https://k.dev/x` answered 403",
            Some(forbidden),
            Some("`namespace`"),
        ),
        (
            status(500, ""),
            Unreachable,
            "kubernetes did not do it: `GET https://k.dev/x` answered 500",
            None,
            None,
        ),
        (
            Failure::Strange { code: Some(502) },
            Unreachable,
            "what answers is not kubernetes: `GET https://k.dev/x` answered 502",
            None,
            Some("`server`"),
        ),
        (
            Failure::Strange { code: None },
            Damaged,
            "the answer to `GET https://k.dev/x` is not understood",
            None,
            None,
        ),
        (
            Failure::Login("it ended with exit status: 1".into()),
            Refused,
            "the login for `GET https://k.dev/x` cannot be made",
            Some("it ended with exit status: 1"),
            Some("log in again"),
        ),
        (
            Failure::Certificate("UnknownIssuer".into()),
            Unreachable,
            "the certificate behind `GET https://k.dev/x` is not trusted",
            Some("UnknownIssuer"),
            Some("`certificate-authority`"),
        ),
        (
            Failure::Slow(Duration::from_secs(30)),
            Unreachable,
            "`GET https://k.dev/x` was not answered within 30 seconds",
            None,
            Some("proxy"),
        ),
        (
            Failure::Unreachable("refused".into()),
            Unreachable,
            "kubernetes cannot be reached: `GET https://k.dev/x`",
            Some("refused"),
            Some("network"),
        ),
        (
            Failure::Unsendable("no name".into()),
            Damaged,
            "`GET https://k.dev/x` is no request",
            Some("no name"),
            None,
        ),
    ] {
        let error = trouble(failure).engine();
        assert_eq!((error.kind.clone(), error.message.as_str()), (kind, message));
        assert_eq!(error.source.as_ref().map(ToString::to_string).as_deref(), cause, "{message}");
        assert_eq!(error.help.is_some(), help.is_some(), "{message}");
        assert!(
            help.is_none_or(|part| error.help.as_deref().is_some_and(|help| help.contains(part))),
            "{error:?}"
        );
    }
}

#[test]
fn a_write_is_open_where_nobody_said_no() {
    for (failure, open) in [
        (status(422, "invalid"), false),
        (status(429, "slowly"), false),
        (status(504, "timeout"), true),
        (Failure::Strange { code: Some(502) }, true),
        (Failure::Strange { code: Some(404) }, false),
        // It was done, and what was said about it is not understood.
        (Failure::Strange { code: None }, true),
        (Failure::Slow(Duration::ZERO), true),
        (Failure::Unreachable(String::new()), true),
        (Failure::Login(String::new()), false),
        (Failure::Certificate(String::new()), false),
    ] {
        let error = trouble(failure.clone()).perform();
        assert_eq!(matches!(error, PerformError::Uncertain(_)), open, "{failure:?}");
    }
    let refused = trouble(status(422, "spec is immutable.")).perform();
    let expect = "kubernetes did not do it: `GET https://k.dev/x` answered 422: spec is immutable";
    assert_eq!(refused, PerformError::Failed(expect.into()));
}

#[test]
fn only_kubernetes_can_say_that_something_is_absent() {
    let answer = |reason: &str, message: &str| {
        trouble(Failure::Status {
            code: 404,
            reason: reason.into(),
            message: message.into(),
            retry_after: Duration::ZERO,
        })
    };
    assert!(answer("NotFound", "statefulsets.apps \"ana\" not found").is_absence_of("ana"));
    assert!(!answer("NotFound", "statefulsets.apps \"diana\" not found").is_absence_of("ana"));
    assert!(!answer("NotFound", "the server could not find the requested resource").is_absence_of("ana"));
    assert!(!answer("", "statefulsets.apps \"ana\" not found").is_absence_of("ana"));
    assert!(!trouble(Failure::Strange { code: Some(404) }).is_absence_of("ana"));
}

#[test]
fn what_a_login_program_printed_is_not_shown() {
    let out = std::process::Output {
        status: Default::default(),
        stdout: b"hunter2".to_vec(),
        stderr: b"hunter2".to_vec(),
    };
    let error = AuthError::AuthExecRun { cmd: "aws hunter2".into(), out: Box::new(out) };
    assert_eq!(login(&error), "it ended with exit status: 0");
    let missing = AuthError::AuthExecStart(std::io::ErrorKind::NotFound.into());
    assert_eq!(login(&missing), "it cannot be started: entity not found");
    assert_eq!(login(&AuthError::ExecPluginFailed), "what it printed is no credential");
    assert_eq!(login(&AuthError::AuthExec("hunter2".into())), "the credential is not understood");
}
