//! What an answer means: the one place that knows how Mage says no.
//!
//! Mage has three shapes of errors, two of them with HTTP status 200, and a `type` in only some. Codes and types decide;
//! a message is read only where Mage gives nothing else, and then only for words that it has had for years. Shapes and
//! texts are those of mage-ai 0.9.80, measured.

use std::collections::HashMap;

use serde::{Deserialize, de::DeserializeOwned, de::IgnoredAny};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    error::{ApiError, ApiErrorKind},
    redact,
    request::{Method, Repeat, Request},
};

/// What came back, as it came.
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// The header `Content-Type`.
    pub content_type: Option<String>,
    /// The host of the header `Location`.
    pub redirects_to: Option<String>,
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
}

/// What is needed to put an error into words.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What was asked.
    pub request: &'a Request,
    /// Where, without the query.
    pub url: &'a str,
    /// Takes known values out of a text.
    pub redact: &'a dyn Fn(&str) -> String,
}

impl Context<'_> {
    /// An error of this request. The text is made fit to be shown.
    pub(super) fn error(&self, kind: ApiErrorKind, status: Option<u16>, text: &str) -> ApiError {
        let detail = redact::shorten(&(self.redact)(text));
        ApiError {
            kind,
            method: self.request.method,
            url: self.url.to_owned(),
            status,
            detail: Some(detail).filter(|detail| !detail.is_empty()),
            uncertain: false,
        }
    }

    /// The same where the request may have been done, if it is one that writes.
    pub(super) fn open(&self, kind: ApiErrorKind, status: Option<u16>, text: &str) -> ApiError {
        let uncertain = self.request.repeat == Repeat::Never;
        ApiError { uncertain, ..self.error(kind, status, text) }
    }
}

/// Mage's error, in any of its shapes.
#[derive(Deserialize)]
struct Refusal {
    error: RefusalBody,
}

#[derive(Deserialize)]
struct RefusalBody {
    #[serde(default)]
    code: Value,
    #[serde(default, rename = "type")]
    kind: Value,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    exception: Value,
}

/// The answer as `T`, where it is a success: a status of 2xx, no `error`, and the key that was wanted.
///
/// # Errors
/// Everything else, classified.
pub fn read<T: DeserializeOwned>(answer: &Answer, context: Context<'_>) -> Result<T, ApiError> {
    let status = Some(answer.status);
    if (300..400).contains(&answer.status) {
        let target = answer.redirects_to.as_deref().unwrap_or("somewhere else");
        return Err(context.error(ApiErrorKind::NotMage, status, &format!("it redirects to {target}")));
    }
    let Ok(keys) = serde_json::from_slice::<HashMap<String, IgnoredAny>>(&answer.body) else {
        return Err(not_json(answer, context));
    };
    if keys.contains_key("error") {
        return Err(match serde_json::from_slice::<Refusal>(&answer.body) {
            Ok(Refusal { error }) => refusal(answer.status, &error, context),
            Err(_) => strange(answer, context, "its `error` is not an object"),
        });
    }
    let wanted = context.request.wanted;
    if !(200..300).contains(&answer.status) || !keys.contains_key(wanted) {
        return Err(strange(answer, context, &format!("JSON without `{wanted}`")));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|error| strange(answer, context, &format!("`{wanted}` is not what it was: {error}")))
}

/// JSON that is not Mage's, or of a Mage that nobody has seen.
fn strange(answer: &Answer, context: Context<'_>, text: &str) -> ApiError {
    let status = Some(answer.status);
    match by_gateway(answer.status) {
        // Too many requests: this one was not let in.
        Some(kind) if answer.status == 429 => context.error(kind, status, text),
        Some(kind) => context.open(kind, status, text),
        None => context.open(ApiErrorKind::NotMage, status, text),
    }
}

/// No JSON object at all. A page with 200, or with 4xx, comes from something that did not let the request through; with
/// 5xx that is open.
fn not_json(answer: &Answer, context: Context<'_>) -> ApiError {
    let text = page(answer);
    let status = Some(answer.status);
    let json = answer.content_type.as_deref().is_some_and(|kind| kind.contains("json"));
    match by_gateway(answer.status) {
        Some(_) => strange(answer, context, &text),
        None if json && (200..300).contains(&answer.status) => {
            context.open(ApiErrorKind::NotMage, status, "broken JSON")
        }
        None => context.error(ApiErrorKind::NotMage, status, &text),
    }
}

/// What servers and proxies in front of Mage say with a status alone.
fn by_gateway(status: u16) -> Option<ApiErrorKind> {
    match status {
        429 | 502 | 503 | 504 => Some(ApiErrorKind::Busy),
        500..=599 => Some(ApiErrorKind::ServerError),
        _ => None,
    }
}

/// What a page is about: its title, else its type.
fn page(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").map(|at| at + "<title>".len()).and_then(|start| {
        let length = lower[start..].find("</title>")?;
        text.get(start..start + length)
    });
    match (title, answer.content_type.as_deref()) {
        (Some(title), _) if !title.trim().is_empty() => format!("a page called \"{}\"", title.trim()),
        (_, Some(kind)) => format!("an answer of type {kind}"),
        (_, None) => "an answer without a type".to_owned(),
    }
}

/// An error that Mage itself made.
fn refusal(http: u16, error: &RefusalBody, context: Context<'_>) -> ApiError {
    let code = error.code.as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(http);
    let message = error.message.as_str().unwrap_or_default();
    let exception = error.exception.as_str().unwrap_or_default();
    let said = Said { message, exception };
    let kind = classify(code, error.kind.as_str().unwrap_or_default(), said, context.request);
    // The short text of a failure comes first; the message is then the whole stack.
    let text = if exception.is_empty() { message } else { exception };
    let status = Some(code);
    let open = may_be_done(kind, context.request.method, text) && code != 429;
    let text = match kind {
        ApiErrorKind::KubernetesRefused(_) => kubernetes_message(text),
        ApiErrorKind::KubernetesDown => no_connection(text),
        _ => None,
    }
    .unwrap_or_else(|| text.to_owned());
    if open { context.open(kind, status, &text) } else { context.error(kind, status, &text) }
}

/// Whether a write may have been done, or a part of it, although Mage says that it failed.
fn may_be_done(kind: ApiErrorKind, method: Method, text: &str) -> bool {
    match (kind, method) {
        // Mage writes first and fails afterwards often enough (`MAGE.md` section 5).
        (ApiErrorKind::ServerError | ApiErrorKind::Busy, _) => true,
        // A create makes several objects, and what was made before the failure stays (`MAGE.md` 4.8).
        (ApiErrorKind::KubernetesRefused(_) | ApiErrorKind::KubernetesDown, Method::Post) => true,
        // A delete that fails anywhere has deleted what came before, and Mage's own file in any case (`MAGE.md` 4.9).
        (
            ApiErrorKind::KubernetesRefused(_) | ApiErrorKind::KubernetesDown | ApiErrorKind::BadRequest,
            Method::Delete,
        ) => true,
        // Patch, stop and resume are one request to kubernetes each: without a connection it did not leave.
        (ApiErrorKind::KubernetesDown, Method::Put) => !text.contains("NewConnectionError("),
        _ => false,
    }
}

/// The texts of an error.
#[derive(Clone, Copy)]
struct Said<'a> {
    message: &'a str,
    exception: &'a str,
}

fn classify(code: u16, kind: &str, said: Said<'_>, request: &Request) -> ApiErrorKind {
    let login = request.wanted == "session" && request.method == Method::Post;
    match (code, kind) {
        (_, "invalid_api_key") => ApiErrorKind::WrongApiKey,
        (_, "invalid_oauth_token") => ApiErrorKind::InvalidToken,
        (_, "expired_oauth_token") => ApiErrorKind::ExpiredToken,
        (_, "unauthorized_access") | (403, _) => ApiErrorKind::NotAllowed,
        (_, "record_not_found") | (404, _) if login => ApiErrorKind::WrongLogin,
        (_, "record_not_found") | (404, _) => ApiErrorKind::NotFound,
        (401, _) => ApiErrorKind::InvalidToken,
        (429 | 502..=504, _) => ApiErrorKind::Busy,
        _ => by_words(code, said, request.method),
    }
}

/// Codes 400 and 500 are of one type each, whatever happened.
fn by_words(code: u16, said: Said<'_>, method: Method) -> ApiErrorKind {
    let Said { message, exception } = said;
    let says = |words: &str| exception.contains(words) || message.contains(words);
    if says("ineligible for workspace management") {
        return ApiErrorKind::Ineligible;
    }
    if let Some(status) = kubernetes_status(message).or_else(|| kubernetes_status(exception)) {
        return ApiErrorKind::KubernetesRefused(status);
    }
    // The client of kubernetes gave up, or got no whole answer to what it does not repeat; and what a create says where it
    // did (`MAGE.md` section 1).
    let no_answer = ["('Connection aborted.'", "('Connection broken:"];
    if (says("Max retries exceeded with url") && says("/api"))
        || no_answer.iter().any(|words| message.starts_with(words) || exception.starts_with(words))
        || (code == 400 && message == "'NoneType' object has no attribute 'metadata'")
    {
        return ApiErrorKind::KubernetesDown;
    }
    if says("No such file or directory") && exception.trim_end().ends_with("/projects'") {
        return ApiErrorKind::NoProjectsFolder;
    }
    if message.starts_with("Project with name ") && message.trim_end().ends_with("already exists") {
        return ApiErrorKind::AlreadyExists;
    }
    // Kubernetes has the patch, and Mage could not write its file (`MAGE.md` 4.4): nothing that a declaration could mend.
    if method == Method::Put && message.starts_with("[Errno ") {
        return ApiErrorKind::ServerError;
    }
    if (400..500).contains(&code) { ApiErrorKind::BadRequest } else { ApiErrorKind::ServerError }
}

/// The status in what the client of kubernetes says: `(409)`, a line end, `Reason: Conflict`.
fn kubernetes_status(text: &str) -> Option<u16> {
    let (status, rest) = text.trim_start().strip_prefix('(')?.split_once(')')?;
    rest.trim_start().starts_with("Reason:").then(|| status.parse().ok())?
}

/// What kubernetes itself said, without the headers around it.
fn kubernetes_message(text: &str) -> Option<String> {
    let (_, body) = text.split_once("HTTP response body: ")?;
    let status: Value = serde_json::Deserializer::from_str(body).into_iter().next()?.ok()?;
    Some(status.get("message")?.as_str()?.to_owned())
}

/// Which server did not answer and why, out of what the client of kubernetes says: `HTTPSConnectionPool(host='k', port=443): Max
/// retries exceeded with url: /api (Caused by NewConnectionError('…: [Errno 111] Connection refused'))`. `None` for anything else.
fn no_connection(text: &str) -> Option<String> {
    let (_, pool) = text.split_once("ConnectionPool(host='")?;
    let (host, rest) = pool.split_once('\'')?;
    let port = rest.strip_prefix(", port=").map_or("", |rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        &rest[..end]
    });
    let server = if port.is_empty() { format!("`{host}`") } else { format!("`{host}:{port}`") };
    let is_end = |c: char| matches!(c, '\'' | '"' | ')' | '(');
    // The innermost error is the last one, and only it says something about the network.
    let cause = rest.split_once("(Caused by ").map(|(_, cause)| cause).and_then(|cause| {
        let reason = match cause.rsplit_once("[Errno ") {
            Some((_, error)) => error.split_once("] ").map(|(_, reason)| reason),
            None if cause.contains("certificate verify failed") => {
                cause.find("certificate verify failed").map(|at| &cause[at..])
            }
            // The last text in quotes.
            None => cause
                .trim_end_matches([')', ' ', ','])
                .trim_end_matches(['\'', '"'])
                .rsplit(['\'', '"'])
                .next(),
        }?;
        let reason = reason.split(is_end).next()?.trim();
        (!reason.is_empty()).then_some(reason)
    });
    Some(format!("{server}: {}", cause.unwrap_or("no answer")))
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
