//! What can go wrong between Magus and a cluster, in words for people. Nothing of a body is shown but the message of a Kubernetes
//! `Status`, and of no error more than its last cause: tokens and values may stand in the rest.

use std::{error::Error, time::Duration};

use kube::client::AuthError;
use magus_engine::{EngineError, EngineErrorKind, PerformError};

use crate::shown::shown;

/// A request that did not end well.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// Method and URL, without a query.
    pub(crate) asked: String,
    pub(crate) failure: Failure,
}

/// Why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Kubernetes answered with a `Status`.
    Status {
        code: u16,
        /// `NotFound`, `Forbidden` and so on; a word of Kubernetes.
        reason: String,
        message: String,
        /// How long it asks to wait.
        retry_after: Duration,
    },
    /// Something else answered, or what Kubernetes said is not understood.
    Strange { code: Option<u16> },
    /// The login that the kubeconfig describes cannot be made.
    Login(String),
    /// The certificate of the server is not to be trusted.
    Certificate(String),
    /// No connection, or one that broke.
    Unreachable(String),
    /// No answer in this time.
    Slow(Duration),
    /// Everything was stopped before it was answered.
    Interrupted,
    /// The request makes no sense, such as one with an empty name.
    Unsendable(String),
}

/// The reason that the client gives to an answer that is no `Status`.
const NO_STATUS: &str = "Failed to parse error data";

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.reason == NO_STATUS => {
                Failure::Strange { code: Some(status.code) }
            }
            // JSON of somebody in between, which says nothing of what kubernetes says.
            kube::Error::Api(status) if status.code == 0 => Failure::Strange { code: None },
            kube::Error::Api(status) => Failure::Status {
                code: status.code,
                reason: status.reason,
                message: status.message,
                retry_after: Duration::from_secs(
                    status.details.map_or(0, |details| details.retry_after_seconds).into(),
                ),
            },
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => Failure::Strange { code: None },
            kube::Error::BuildRequest(error) => Failure::Unsendable(shown(&error.to_string())),
            other => from_chain(&other),
        }
    }
}

/// Looks for what is known among the causes.
fn from_chain(error: &(dyn Error + 'static)) -> Failure {
    let mut cause = error;
    loop {
        if let Some(error) = cause.downcast_ref::<AuthError>() {
            return Failure::Login(login(error));
        }
        if let Some(rustls::Error::InvalidCertificate(_)) = tls(cause) {
            return Failure::Certificate(shown(&cause.to_string()));
        }
        match cause.source() {
            Some(next) => cause = next,
            None => return Failure::Unreachable(shown(&cause.to_string())),
        }
    }
}

/// The error of TLS that a cause is, or holds: errors of input and output do not tell the one in them as their source.
fn tls<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(error) = cause.downcast_ref() {
        return Some(error);
    }
    tls(cause.downcast_ref::<std::io::Error>()?.get_ref()?)
}

/// Why a login cannot be made. What a program printed is not shown: a token may be in it.
pub(crate) fn login(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { cmd: _, out } => format!("it ended with {}", out.status),
        AuthError::AuthExecStart(error) => format!("it cannot be started: {}", shown(&error.to_string())),
        AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed | AuthError::UnrefreshableTokenResponse => {
            "what it printed is no credential".to_owned()
        }
        AuthError::ReadTokenFile(error, path) => {
            format!("`{}` cannot be read: {}", path.display(), shown(&error.to_string()))
        }
        AuthError::MissingCommand => "no command is named".to_owned(),
        _ => "the credential is not understood".to_owned(),
    }
}

impl Failure {
    /// Whether the same request may fare better a moment later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Failure::Status { code, .. } => matches!(code, 429 | 500 | 502 | 503 | 504),
            Failure::Strange { code } => code.is_some_and(|code| matches!(code, 429 | 502 | 503 | 504)),
            Failure::Unreachable(_) | Failure::Slow(_) => true,
            Failure::Interrupted | Failure::Login(_) | Failure::Certificate(_) | Failure::Unsendable(_) => {
                false
            }
        }
    }

    /// Whether a write with this end may have been done all the same.
    fn leaves_open(&self) -> bool {
        match self {
            Failure::Slow(_) | Failure::Unreachable(_) | Failure::Interrupted => true,
            Failure::Status { code, .. } => *code >= 500,
            Failure::Strange { code } => code.is_none_or(|code| code >= 500),
            Failure::Login(_) | Failure::Certificate(_) | Failure::Unsendable(_) => false,
        }
    }
}

impl Trouble {
    /// Kind, fact and cause.
    fn parts(&self) -> (EngineErrorKind, String, Option<String>) {
        use EngineErrorKind::{Damaged, Refused, Unreachable};
        let asked = &self.asked;
        match &self.failure {
            Failure::Status { code: 401, message, .. } => (
                Refused,
                format!("kubernetes does not accept the login: `{asked}` answered 401"),
                said(message),
            ),
            Failure::Status { code: 403, message, .. } => {
                (Refused, format!("kubernetes does not allow it: `{asked}` answered 403"), said(message))
            }
            Failure::Status { code, message, .. } => {
                (Unreachable, format!("kubernetes did not do it: `{asked}` answered {code}"), said(message))
            }
            Failure::Strange { code: Some(code) } => {
                (Unreachable, format!("what answers is not kubernetes: `{asked}` answered {code}"), None)
            }
            Failure::Strange { code: None } => {
                (Damaged, format!("the answer to `{asked}` is not understood"), None)
            }
            Failure::Login(why) => {
                (Refused, format!("the login for `{asked}` cannot be made"), Some(why.clone()))
            }
            Failure::Certificate(why) => {
                (Unreachable, format!("the certificate behind `{asked}` is not trusted"), Some(why.clone()))
            }
            Failure::Unreachable(why) => {
                (Unreachable, format!("kubernetes cannot be reached: `{asked}`"), Some(why.clone()))
            }
            Failure::Slow(limit) => {
                (Unreachable, format!("`{asked}` was not answered within {} seconds", limit.as_secs()), None)
            }
            Failure::Interrupted => (Unreachable, format!("`{asked}` was interrupted"), None),
            Failure::Unsendable(why) => (Damaged, format!("`{asked}` is no request"), Some(why.clone())),
        }
    }

    fn help(&self) -> Option<&'static str> {
        Some(match &self.failure {
            Failure::Status { code: 401, .. } | Failure::Login(_) => {
                "log in again as the user of this context; `kubectl --context NAME auth whoami` tells whether that worked"
            }
            Failure::Status { code: 403, .. } => {
                "let somebody who administers the cluster grant it, or declare the `namespace` in which it is granted"
            }
            Failure::Certificate(_) => {
                "`certificate-authority` of this cluster in the kubeconfig has to be the one that signed the server's certificate"
            }
            Failure::Unreachable(_) | Failure::Slow(_) => {
                "look at the network and the proxy, and at `server` and `proxy-url` of this cluster in the kubeconfig"
            }
            Failure::Strange { code: Some(_) } => {
                "look at `server` of this cluster in the kubeconfig, and at what stands between here and there"
            }
            Failure::Status { .. }
            | Failure::Strange { code: None }
            | Failure::Interrupted
            | Failure::Unsendable(_) => return None,
        })
    }

    /// A cluster that could not be used.
    pub(crate) fn engine(self) -> EngineError {
        let (kind, message, cause) = self.parts();
        let mut error = EngineError::new(kind, message);
        if let Some(help) = self.help() {
            error = error.help(help);
        }
        match cause {
            Some(cause) => error.caused_by(cause),
            None => error,
        }
    }

    /// A write that did not end well. What became of it is open where it was sent and nobody said no.
    pub(crate) fn perform(self) -> PerformError {
        let (_, message, cause) = self.parts();
        let message = match cause {
            Some(cause) => format!("{message}: {cause}"),
            None => message,
        };
        if self.failure.leaves_open() {
            PerformError::Uncertain(message)
        } else {
            PerformError::Failed(message)
        }
    }

    /// Whether Kubernetes said that there is no such object, and not only that it knows no such path: a proxy in between
    /// says 404 as well.
    pub(crate) fn is_absence_of(&self, name: &str) -> bool {
        matches!(&self.failure, Failure::Status { code: 404, reason, message, .. }
            if reason == "NotFound" && message.contains(&format!("\"{name}\" not found")))
    }
}

fn said(message: &str) -> Option<String> {
    let message = shown(message);
    (!message.is_empty()).then_some(message)
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
