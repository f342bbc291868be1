//! Why a request to Mage did not end well, in words with a next command.

use magus_engine::{EngineError, EngineErrorKind, PerformError};

use super::request::Method;

/// A request that did not end well. Holds no query, no body of the request and no known secret: fit for every log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.message())]
pub struct ApiError {
    /// What is wrong.
    pub kind: ApiErrorKind,
    /// What was asked.
    pub method: Method,
    /// Where, without the query.
    pub url: String,
    /// The code in Mage's answer, else the status of HTTP; none without an answer.
    pub status: Option<u16>,
    /// What the server, or the system, said: redacted, one line, at most 300 characters.
    pub detail: Option<String>,
    /// Whether the request may have been done, or done in part, all the same: it writes, and what came back does not
    /// exclude it. Only reading tells.
    pub uncertain: bool,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApiErrorKind {
    /// Mage does not know the API key.
    WrongApiKey,
    /// No such user, or another password.
    WrongLogin,
    /// The server wants a login, and there are no credentials.
    NoLogin,
    /// Mage does not know the token.
    InvalidToken,
    /// The token has ended.
    ExpiredToken,
    /// The user's role does not allow it.
    NotAllowed,
    /// There is no such thing.
    NotFound,
    /// The project is no main project: it has no workspaces.
    Ineligible,
    /// The main project has no folder `projects`. Mage makes it with the first workspace.
    NoProjectsFolder,
    /// Mage does not reach Kubernetes, or lost its answer.
    KubernetesDown,
    /// Kubernetes, or AWS, refused what Mage sent, with this status: 422 for an invalid object, 403 where Mage itself
    /// lacks a right, 404 where an object or the namespace is missing, 409 where an object is there already.
    KubernetesRefused(u16),
    /// Mage has one of that name already.
    AlreadyExists,
    /// Mage refused what was sent.
    BadRequest,
    /// Mage failed.
    ServerError,
    /// The server, or a proxy before it, wants to be left alone for now (429, 502, 503, 504).
    Busy,
    /// Something else answered than Mage: a page, a login of a company, another program.
    NotMage,
    /// The answer is longer than anything that Mage has to say.
    TooLarge,
    /// The request did not leave: no such host, nobody listens, no trust in the certificate, no connection in time.
    Unreachable,
    /// The request left, and no whole answer came back.
    Lost,
}

impl ApiErrorKind {
    /// The fact.
    fn fact(self) -> String {
        match self {
            ApiErrorKind::WrongApiKey => "mage does not accept the API key".into(),
            ApiErrorKind::WrongLogin => "mage does not accept the login".into(),
            ApiErrorKind::NoLogin => "mage wants a login, and none is given".into(),
            ApiErrorKind::InvalidToken => "mage does not accept the token".into(),
            ApiErrorKind::ExpiredToken => "the token has ended".into(),
            ApiErrorKind::NotAllowed => "the role of the login does not allow it".into(),
            ApiErrorKind::NotFound => "mage does not have it".into(),
            ApiErrorKind::Ineligible => "the server is not the main one of its cluster".into(),
            ApiErrorKind::NoProjectsFolder => "the main project has no folder `projects`".into(),
            ApiErrorKind::KubernetesDown => "mage got no answer from kubernetes".into(),
            ApiErrorKind::KubernetesRefused(status) => {
                format!("kubernetes refused what mage sent, with {status}")
            }
            ApiErrorKind::AlreadyExists => "it exists already".into(),
            ApiErrorKind::BadRequest => "mage refused the request".into(),
            ApiErrorKind::ServerError => "mage failed".into(),
            ApiErrorKind::Busy => "the server is not ready for requests".into(),
            ApiErrorKind::NotMage => "what answered is not the API of mage".into(),
            ApiErrorKind::TooLarge => "the answer is too long".into(),
            ApiErrorKind::Unreachable => "the server cannot be reached".into(),
            ApiErrorKind::Lost => "no whole answer came back".into(),
        }
    }

    /// What to do.
    fn help(self) -> Option<&'static str> {
        Some(match self {
            ApiErrorKind::WrongApiKey => {
                "set `MAGE_API_KEY` to the key of this server, or unset it for the one that ships with mage"
            }
            ApiErrorKind::WrongLogin => {
                "set `MAGE_EMAIL` and `MAGE_PASSWORD` to a login that works in mage's own pages"
            }
            ApiErrorKind::NoLogin => {
                "set `MAGE_EMAIL` and `MAGE_PASSWORD`, or `MAGE_TOKEN`, where magus runs"
            }
            ApiErrorKind::InvalidToken | ApiErrorKind::ExpiredToken => {
                "log in to mage again and set `MAGE_TOKEN` to the new token, or set `MAGE_EMAIL` and `MAGE_PASSWORD` in \
                 its place: magus then logs in by itself"
            }
            ApiErrorKind::NotAllowed => {
                "`magus plan`, `status`, `drift` and `import` need a viewer of the main project, `magus apply` needs its \
                 owner: let an owner change the role in mage, or log in as one"
            }
            ApiErrorKind::NotFound => "run `magus plan` to see what is there now",
            ApiErrorKind::Ineligible => {
                "take the URL of the server that manages the workspaces: its project is made with `mage init \
                 --project-type main`"
            }
            ApiErrorKind::NoProjectsFolder => {
                "make the folder `projects` in the project of the main server; mage makes it with the first workspace"
            }
            ApiErrorKind::KubernetesDown => {
                "look at the logs of the main server: its service account has to reach the API server of kubernetes"
            }
            ApiErrorKind::KubernetesRefused(403) => {
                "give the service account of the main server the right that is missing"
            }
            ApiErrorKind::KubernetesRefused(_) | ApiErrorKind::BadRequest => {
                "correct what is declared and run `magus plan`"
            }
            ApiErrorKind::AlreadyExists => {
                "run `magus plan` again; `magus import` takes over what nobody manages"
            }
            ApiErrorKind::ServerError => "look at the logs of the server for the stack of this failure",
            ApiErrorKind::Busy | ApiErrorKind::Lost => {
                "run `magus plan` to see what is there now, and the command again"
            }
            ApiErrorKind::NotMage => {
                "look at the URL: below it, `/api/statuses` has to answer with JSON, without the login of a proxy in \
                 between"
            }
            ApiErrorKind::Unreachable => {
                "look at the URL, the network and the proxy; a company's own certificate authority is given with \
                 `--ca-file`"
            }
            ApiErrorKind::TooLarge => return None,
        })
    }
}

impl ApiError {
    /// Fact, request and detail, in one line.
    pub fn message(&self) -> String {
        let Self { kind, method, url, status, detail, uncertain: _ } = self;
        let mut text = format!("{}: `{} {url}`", kind.fact(), method.as_str());
        if let Some(status) = status {
            text.push_str(&format!(" answered {status}"));
        }
        if let Some(detail) = detail {
            text.push_str(": ");
            text.push_str(detail);
        }
        text
    }

    /// What to do about it.
    pub fn help(&self) -> Option<&'static str> {
        self.kind.help()
    }
}

/// A cluster that could not be used.
impl From<ApiError> for EngineError {
    fn from(error: ApiError) -> Self {
        let kind = match error.kind {
            ApiErrorKind::WrongApiKey
            | ApiErrorKind::WrongLogin
            | ApiErrorKind::NoLogin
            | ApiErrorKind::InvalidToken
            | ApiErrorKind::ExpiredToken
            | ApiErrorKind::NotAllowed
            | ApiErrorKind::Ineligible => EngineErrorKind::Refused,
            ApiErrorKind::NotFound
            | ApiErrorKind::NoProjectsFolder
            | ApiErrorKind::KubernetesDown
            | ApiErrorKind::KubernetesRefused(_)
            | ApiErrorKind::AlreadyExists
            | ApiErrorKind::BadRequest
            | ApiErrorKind::ServerError
            | ApiErrorKind::Busy
            | ApiErrorKind::NotMage
            | ApiErrorKind::TooLarge
            | ApiErrorKind::Unreachable
            | ApiErrorKind::Lost => EngineErrorKind::Unreachable,
        };
        let message = EngineError::new(kind, error.message());
        match error.help() {
            Some(help) => message.help(help),
            None => message,
        }
    }
}

/// A step that did not end well. What of it was done is open exactly where [`ApiError::uncertain`] says so.
impl From<ApiError> for PerformError {
    fn from(error: ApiError) -> Self {
        let mut message = error.message();
        if let Some(help) = error.help() {
            message.push_str("; ");
            message.push_str(help);
        }
        if error.uncertain { PerformError::Uncertain(message) } else { PerformError::Failed(message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ApiErrorKind, uncertain: bool) -> ApiError {
        ApiError {
            kind,
            method: Method::Put,
            url: "https://m.dev/api/workspaces/a".into(),
            status: Some(403),
            detail: Some("no".into()),
            uncertain,
        }
    }

    #[test]
    fn every_kind_says_what_to_do_and_which_exit_code_it_is() {
        use ApiErrorKind::*;
        for (kind, refused, part) in [
            (WrongApiKey, true, "`MAGE_API_KEY`"),
            (WrongLogin, true, "`MAGE_PASSWORD`"),
            (NoLogin, true, "`MAGE_TOKEN`"),
            (InvalidToken, true, "`MAGE_TOKEN`"),
            (ExpiredToken, true, "`MAGE_TOKEN`"),
            (NotAllowed, true, "`magus apply` needs its owner"),
            (Ineligible, true, "--project-type main"),
            (NotFound, false, "`magus plan`"),
            (NoProjectsFolder, false, "`projects`"),
            (KubernetesDown, false, "service account"),
            (KubernetesRefused(403), false, "service account"),
            (KubernetesRefused(422), false, "correct what is declared"),
            (AlreadyExists, false, "`magus import`"),
            (BadRequest, false, "`magus plan`"),
            (ServerError, false, "logs"),
            (Busy, false, "again"),
            (NotMage, false, "`/api/statuses`"),
            (Unreachable, false, "`--ca-file`"),
            (Lost, false, "`magus plan`"),
        ] {
            let engine = EngineError::from(error(kind, false));
            assert_eq!(engine.kind == EngineErrorKind::Refused, refused, "{kind:?}");
            assert!(engine.help.as_deref().is_some_and(|help| help.contains(part)), "{kind:?}: {engine:?}");
            assert!(
                engine.message.ends_with(": `PUT https://m.dev/api/workspaces/a` answered 403: no"),
                "{engine}"
            );
        }
        assert_eq!(EngineError::from(error(TooLarge, false)).help, None);
    }

    #[test]
    fn a_step_is_uncertain_where_the_error_is() {
        let failed = PerformError::from(error(ApiErrorKind::BadRequest, false));
        assert_eq!(
            failed,
            PerformError::Failed(
                "mage refused the request: `PUT https://m.dev/api/workspaces/a` answered 403: no; correct what is \
                 declared and run `magus plan`"
                    .into()
            )
        );
        let uncertain = PerformError::from(error(ApiErrorKind::TooLarge, true));
        assert!(
            matches!(uncertain, PerformError::Uncertain(message) if message.ends_with("answered 403: no"))
        );
    }
}
