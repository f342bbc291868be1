//! Real answers of mage-ai 0.9.80, and what they mean.

use serde_json::json;

use super::{
    super::request::{self, Namespaces},
    *,
};

fn outcome(request: &Request, status: u16, content_type: &str, body: &str) -> Result<Value, ApiError> {
    let answer = Answer {
        status,
        content_type: Some(content_type.into()).filter(|kind: &String| !kind.is_empty()),
        redirects_to: (status == 302).then(|| "login.acme.dev".to_owned()),
        body: Zeroizing::new(body.as_bytes().to_vec()),
    };
    let redact = |text: &str| text.replace("canary", "***");
    read(&answer, Context { request, url: "https://m.dev/api/x", redact: &redact })
}

/// Kind, whether it is open, and the detail.
fn judged(request: &Request, status: u16, body: &str) -> (ApiErrorKind, bool, String) {
    let error = outcome(request, status, "application/json", body).unwrap_err();
    (error.kind, error.uncertain, error.detail.unwrap_or_default())
}

fn list() -> Request {
    request::workspaces(Namespaces::All)
}

fn patch() -> Request {
    request::patch_workspace("two", "{}", None)
}

fn create() -> Request {
    request::create_workspace(serde_json::Map::new())
}

#[test]
fn a_success_has_its_key_and_no_error() {
    let body = r#"{"workspaces":[{"name":"two"}],"metadata":{}}"#;
    assert_eq!(
        outcome(&list(), 200, "application/json; charset=UTF-8", body),
        Ok(json!({"workspaces": [{"name": "two"}], "metadata": {}}))
    );
    let body = r#"{"workspace":{"success":true},"metadata":null}"#;
    assert!(outcome(&create(), 200, "", body).is_ok());
    // Another resource, no object, a status that is none of success, an `error` beside the key.
    for (status, body) in [
        (200, r#"{"workspaces":[]}"#),
        (200, "[]"),
        (200, "null"),
        (201, "{}"),
        (404, r#"{"workspace":{}}"#),
        (200, r#"{"workspace":{},"error":"no"}"#),
    ] {
        let (kind, uncertain, _) = judged(&create(), status, body);
        assert_eq!((kind, uncertain), (ApiErrorKind::NotMage, true), "{status} {body}");
        assert_eq!(judged(&list(), status, &body.replace("workspaces", "x")).0, ApiErrorKind::NotMage);
    }
}

#[test]
fn codes_and_types_decide() {
    use ApiErrorKind::*;
    let session = request::session("a", &secrecy::SecretString::from("p"));
    let delete = request::delete_workspace("two");
    for (request, status, body, kind, detail) in [
        (
            list(),
            401,
            r#"{"error":{"code":401,"message":"Invalid API key.","type":"invalid_api_key"},"status":200}"#,
            WrongApiKey,
            "Invalid API key",
        ),
        (
            list(),
            401,
            r#"{"error":{"code":401,"message":"Invalid OAuth token.","type":"invalid_oauth_token"},"status":200}"#,
            InvalidToken,
            "Invalid OAuth token",
        ),
        (
            list(),
            401,
            r#"{"error":{"code":401,"message":"Expired OAuth token.","type":"expired_oauth_token"},"status":200}"#,
            ExpiredToken,
            "Expired OAuth token",
        ),
        (
            list(),
            200,
            r#"{"error":{"code":403,"message":"Private access for list only, invalid scope.","type":"unauthorized_access"},"status":200}"#,
            NotAllowed,
            "Private access for list only, invalid scope",
        ),
        (
            create(),
            403,
            r#"{"error":{"code":403,"message":"Unauthorized operation create on workspaces, failed condition.","type":"unauthorized_access"},"status":403}"#,
            NotAllowed,
            "Unauthorized operation create on workspaces, failed condition",
        ),
        (
            delete.clone(),
            200,
            r#"{"error":{"code":404,"message":"Project nope was not found.","type":"record_not_found"},"status":200}"#,
            NotFound,
            "Project nope was not found",
        ),
        // The text of later 404s after one failed login: no reason to think of the login.
        (
            delete,
            404,
            r#"{"error":{"code":404,"message":"Email/username and/or password invalid.","type":"record_not_found"},"status":404}"#,
            NotFound,
            "Email/username and/or password invalid",
        ),
        (
            session,
            404,
            r#"{"error":{"code":404,"message":"Email/username and/or password invalid.","type":"record_not_found"},"status":404}"#,
            WrongLogin,
            "Email/username and/or password invalid",
        ),
        (
            create(),
            400,
            r#"{"error":{"code":400,"message":"'action'","type":"api_resource_error"},"status":400}"#,
            BadRequest,
            "'action'",
        ),
        // ECS speaks of no kubernetes.
        (
            create(),
            400,
            r#"{"error":{"code":400,"message":"An error occurred (ClientException) when calling the RunTask operation: x","type":"api_resource_error"},"status":400}"#,
            BadRequest,
            "An error occurred (ClientException) when calling the RunTask operation: x",
        ),
    ] {
        assert_eq!(judged(&request, status, body), (kind, false, detail.to_owned()), "{body}");
    }
}

#[test]
fn words_decide_where_there_is_nothing_else() {
    use ApiErrorKind::*;
    let refused = |message: &str| {
        json!({"error": {"code": 400, "message": message, "type": "api_resource_error"}, "status": 400})
            .to_string()
    };
    let crashed = |exception: &str| {
        json!({"error": {"code": 500, "errors": ["a", "b"], "exception": exception,
            "message": format!("Traceback (most recent call last):\n  File \"x.py\"\n{exception}\n")},
            "url_parameters": {"resource": "workspaces"}})
        .to_string()
    };
    let exists = "(409)\nReason: Conflict\nHTTP response headers: HTTPHeaderDict({'Content-Type': 'x'})\nHTTP response body: \
                  {\"kind\":\"Status\",\"message\":\"statefulsets.apps \\\"two\\\" already exists\",\"reason\":\"AlreadyExists\"}\n\n";
    let invalid = "(422)\nReason: Unprocessable Entity\nHTTP response body: {\"message\":\"env[0].value: \\\"canary\\\"\"}\n";
    for (request, body, kind, uncertain, detail) in [
        (
            list(),
            refused("This project is ineligible for workspace management."),
            Ineligible,
            false,
            "This project is ineligible for workspace management",
        ),
        (
            create(),
            refused("Project with name two already exists"),
            AlreadyExists,
            false,
            "Project with name two already exists",
        ),
        (create(), refused(exists), KubernetesRefused(409), true, "statefulsets.apps \"two\" already exists"),
        (patch(), refused(invalid), KubernetesRefused(422), false, "env[0].value: \"***\""),
        (
            create(),
            refused("(404)\nReason: Not Found\nno body"),
            KubernetesRefused(404),
            true,
            "(404) Reason: Not Found no body",
        ),
        (
            create(),
            refused("'NoneType' object has no attribute 'metadata'"),
            KubernetesDown,
            true,
            "'NoneType' object has no attribute 'metadata'",
        ),
        (
            create(),
            refused("'NoneType' object is not a mapping"),
            BadRequest,
            false,
            "'NoneType' object is not a mapping",
        ),
        (
            list(),
            crashed(
                "HTTPConnectionPool(host='k'): Max retries exceeded with url: /api/v1/namespaces/default/services (x)",
            ),
            KubernetesDown,
            false,
            "`k`: no answer",
        ),
        (
            request::delete_workspace("two"),
            crashed("HTTPConnectionPool(host='k'): Max retries exceeded with url: /api/v1/x"),
            KubernetesDown,
            true,
            "`k`: no answer",
        ),
        (
            list(),
            crashed("[Errno 2] No such file or directory: '/srv/proj/projects'"),
            NoProjectsFolder,
            false,
            "[Errno 2] No such file or directory: '/srv/proj/projects'",
        ),
        (
            list(),
            crashed("[Errno 2] No such file or directory: '/srv/proj/other'"),
            ServerError,
            false,
            "[Errno 2] No such file or directory: '/srv/proj/other'",
        ),
        (
            create(),
            crashed("'NoneType' object has no attribute 'id'"),
            ServerError,
            true,
            "'NoneType' object has no attribute 'id'",
        ),
    ] {
        assert_eq!(judged(&request, 200, &body), (kind, uncertain, detail.to_owned()), "{body}");
    }
}

/// A write that failed between Mage and Kubernetes: what was done of it depends on how far Mage came.
#[test]
fn what_a_failed_write_may_have_done() {
    use ApiErrorKind::*;
    let delete = request::delete_workspace("two");
    let stop = request::stop_workspace("two", None);
    let refused = "(403)\nReason: Forbidden\n";
    let missing = "(404)\nReason: Not Found\n";
    let unreachable = "HTTPConnectionPool(host='k', port=443): Max retries exceeded with url: /apis/apps/v1/x (Caused by \
                       NewConnectionError(\"HTTPConnection(host='k', port=443): Failed to establish a new connection\"))";
    let given_up = "HTTPConnectionPool(host='k', port=443): Max retries exceeded with url: /apis/apps/v1/x (Caused by \
                    ProtocolError('Connection aborted.', RemoteDisconnected('Remote end closed connection')))";
    let lost = "('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))";
    let broken =
        "('Connection broken: IncompleteRead(3 bytes read, 97 more expected)', IncompleteRead(3 bytes read))";
    let ingress = "Failed to delete workspace path from ingress, you may need to manually delete it";
    let full = "[Errno 28] No space left on device: '/srv/main/projects/two.yaml'";
    let hook = "[Errno 2] No such file or directory: '/srv/main/hook.sh'";
    for (request, message, kind, uncertain) in [
        (patch(), refused, KubernetesRefused(403), false),
        (create(), refused, KubernetesRefused(403), true),
        // Mage's client repeats a delete whose answer is lost, and takes what the second one finds for a failure.
        (delete.clone(), missing, KubernetesRefused(404), true),
        (patch(), unreachable, KubernetesDown, false),
        (stop.clone(), unreachable, KubernetesDown, false),
        (create(), unreachable, KubernetesDown, true),
        (delete.clone(), unreachable, KubernetesDown, true),
        (patch(), lost, KubernetesDown, true),
        (stop, broken, KubernetesDown, true),
        (create(), lost, KubernetesDown, true),
        (delete.clone(), given_up, KubernetesDown, true),
        (delete.clone(), ingress, BadRequest, true),
        (patch(), full, ServerError, true),
        (create(), hook, BadRequest, false),
        (create(), "the container config can not be empty", BadRequest, false),
        (delete, "This project is ineligible for workspace management.", Ineligible, false),
    ] {
        let body = json!({"error": {"code": 400, "message": message, "type": "api_resource_error"}});
        let (judged, open, _) = judged(&request, 400, &body.to_string());
        assert_eq!((judged, open), (kind, uncertain), "{:?} {message}", request.method);
        // Whoever only looks has done nothing.
        assert!(!outcome(&list(), 400, "application/json", &body.to_string()).unwrap_err().uncertain);
    }
}

#[test]
fn a_stack_without_an_exception_is_cut_to_its_last_line() {
    let body = json!({"error": {"code": 500, "message":
        "Traceback (most recent call last):\n  File \"/srv/a.py\", line 3\nKeyError: 'name'\n"}});
    let (kind, uncertain, detail) = judged(&create(), 200, &body.to_string());
    assert_eq!((kind, uncertain, detail.as_str()), (ApiErrorKind::ServerError, true, "KeyError: 'name'"));
}

#[test]
fn what_is_not_mage_is_recognised() {
    use ApiErrorKind::*;
    let page = "<!DOCTYPE html><HTML><head><title>\n Sign in · ACME </title></head>canary";
    for (status, content_type, body, kind, open, detail) in [
        (302, "", "", NotMage, false, "it redirects to login.acme.dev"),
        (307, "text/html", page, NotMage, false, "it redirects to somewhere else"),
        (200, "text/html; charset=utf-8", page, NotMage, false, "a page called \"Sign in · ACME\""),
        (403, "text/html", "<html>no title", NotMage, false, "an answer of type text/html"),
        (404, "", "404 page not found", NotMage, false, "an answer without a type"),
        (200, "application/json", "{\"workspace\": {", NotMage, true, "broken JSON"),
        (502, "text/html", "<title>502 Bad Gateway</title>", Busy, true, "a page called \"502 Bad Gateway\""),
        (504, "", "", Busy, true, "an answer without a type"),
        (503, "application/json", "{\"message\":\"no\"}", Busy, true, "JSON without `workspace`"),
        (429, "text/plain", "slow down", Busy, false, "an answer of type text/plain"),
        (429, "application/json", "{\"message\":\"no\"}", Busy, false, "JSON without `workspace`"),
        (500, "text/html", "<title></title>", ServerError, true, "an answer of type text/html"),
    ] {
        let error = outcome(&create(), status, content_type, body).unwrap_err();
        assert_eq!(error.status, Some(status));
        let shown = (error.kind, error.uncertain, error.detail.unwrap_or_default());
        assert_eq!(shown, (kind, open, detail.to_owned()), "{status} {content_type}");
        assert!(!outcome(&list(), status, content_type, body).unwrap_err().uncertain, "{status}");
    }
}

#[test]
fn errors_of_strange_shapes_are_errors() {
    for (body, kind) in [
        (r#"{"error":{}}"#, ApiErrorKind::ServerError),
        (r#"{"error":{"code":"404","message":7,"type":null}}"#, ApiErrorKind::ServerError),
        (r#"{"error":{"code":404}}"#, ApiErrorKind::NotFound),
        (r#"{"error":{"code":429,"message":"x"}}"#, ApiErrorKind::Busy),
        (r#"{"error":{"code":70000,"message":"x"}}"#, ApiErrorKind::ServerError),
        (r#"{"error":null}"#, ApiErrorKind::NotMage),
        (r#"{"error":"no"}"#, ApiErrorKind::NotMage),
    ] {
        assert_eq!(judged(&list(), 200, body).0, kind, "{body}");
    }
    assert!(!judged(&create(), 200, r#"{"error":{"code":429}}"#).1, "what is too much was not let in");
}

#[test]
fn an_answer_of_the_session_is_read_into_what_is_asked_for() {
    #[derive(Deserialize)]
    struct Wanted {
        workspaces: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        name: String,
    }
    let answer = |body: &str| Answer {
        status: 200,
        content_type: None,
        redirects_to: None,
        body: Zeroizing::new(body.into()),
    };
    let request = list();
    let context = Context { request: &request, url: "u", redact: &str::to_owned };
    let wanted: Wanted = read(&answer(r#"{"workspaces":[{"name":"a","x":1}]}"#), context).unwrap();
    assert_eq!(wanted.workspaces.iter().map(|item| item.name.as_str()).collect::<Vec<_>>(), ["a"]);
    let error = read::<Wanted>(&answer(r#"{"workspaces":[{}]}"#), context).err().unwrap();
    assert_eq!(error.kind, ApiErrorKind::NotMage);
}

#[test]
fn of_a_chain_of_errors_the_server_and_the_last_reason_are_kept() {
    let pool = "HTTPSConnectionPool(host='10.0.0.1', port=6443): Max retries exceeded with url: /apis/apps/v1/x (Caused by ";
    for (cause, expect) in [
        (
            "NewConnectionError('<urllib3.connection.HTTPSConnection object at 0x7f>: Failed to establish a new \
             connection: [Errno 111] Connection refused'))",
            "`10.0.0.1:6443`: Connection refused",
        ),
        (
            "NameResolutionError(\"<urllib3.connection.HTTPSConnection object at 0x7f>: Failed to resolve 'k' ([Errno -2] \
             Name or service not known)\"))",
            "`10.0.0.1:6443`: Name or service not known",
        ),
        (
            "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed \
             certificate (_ssl.c:1006)')))",
            "`10.0.0.1:6443`: certificate verify failed: self-signed certificate",
        ),
        (
            "ProtocolError('Connection aborted.', RemoteDisconnected('Remote end closed connection without response')))",
            "`10.0.0.1:6443`: Remote end closed connection without response",
        ),
        ("", "`10.0.0.1:6443`: no answer"),
    ] {
        assert_eq!(no_connection(&format!("{pool}{cause}")).as_deref(), Some(expect));
    }
    assert_eq!(no_connection("something else"), None);
}
