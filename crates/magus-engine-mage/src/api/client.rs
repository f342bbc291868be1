//! Asks a Mage server: finds out what it is, logs in where it wants that, and sends what is asked.
//!
//! In that order: the first request carries no credential, so that what only pretends to be Mage never sees one.

use std::{num::NonZeroUsize, path::PathBuf};

use magus_engine::EngineError;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    answer::{self, Context},
    credentials::{Credentials, Login},
    error::{ApiError, ApiErrorKind},
    pace::Clock,
    proxy::Proxy,
    redact::Known,
    request::{self, Access, Request},
    session::{self, Rights, Server, Shared, Statuses},
    transport::{Limits, Route, Transport},
    url::ServerUrl,
};

/// How many requests are under way at once where nobody says otherwise. Mage does one at a time.
const AT_ONCE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);

/// What a client is made from.
#[derive(Debug)]
pub struct Options {
    /// Where, and as whom.
    pub credentials: Credentials,
    /// A file with certificates in PEM: the only authorities that may vouch for the server. Without it, those of the
    /// system.
    pub ca_file: Option<PathBuf>,
    /// The proxy on the way.
    pub proxy: Option<Proxy>,
    /// How many requests are under way at once.
    pub at_once: NonZeroUsize,
    /// Time limits and sizes.
    pub limits: Limits,
    /// Time.
    pub clock: Clock,
}

impl Options {
    /// Everything as usual.
    pub fn new(credentials: Credentials, clock: Clock) -> Self {
        Self { credentials, ca_file: None, proxy: None, at_once: AT_ONCE, limits: Limits::default(), clock }
    }
}

/// A client of one server, for one run. Shared by all threads; its `Debug` shows no value.
pub struct Client {
    credentials: Credentials,
    api_key: SecretString,
    pub(super) transport: Transport,
    known: Known,
    server: Shared<Server>,
    session: Shared<Session>,
    version: Shared<String>,
}

/// A login.
#[derive(Clone)]
struct Session {
    token: SecretString,
    rights: Rights,
}

impl Client {
    /// A client. No request is made yet.
    ///
    /// # Errors
    /// [`magus_engine::EngineErrorKind::Io`] where the file with certificates cannot be used.
    pub fn new(options: Options) -> Result<Self, EngineError> {
        let Options { credentials, ca_file, proxy, at_once, limits, clock } = options;
        let url = &credentials.url;
        let api_key = credentials.api_key();
        let known = Known::new();
        known.add(&api_key);
        match &credentials.login {
            Login::None => {}
            Login::Password { email: _, password } => known.add(password),
            Login::Token(token) => {
                known.add(token);
                known.add(&session::inner_token(token));
            }
        }
        if let Some(password) = proxy.as_ref().and_then(Proxy::password) {
            known.add(&password);
        }
        let route = Route { url, ca_file: ca_file.as_deref(), proxy: proxy.as_ref(), at_once, limits, clock };
        Ok(Self {
            transport: Transport::new(route)?,
            credentials,
            api_key,
            known,
            server: Shared::new(),
            session: Shared::new(),
            version: Shared::new(),
        })
    }

    /// The server.
    pub fn url(&self) -> &ServerUrl {
        &self.credentials.url
    }

    /// Who asks, for the server of a workspace; nothing where that is not trusted.
    pub fn credentials_of_workspace(&self, url: ServerUrl) -> Option<Credentials> {
        self.credentials.of_workspace(url)
    }

    /// The variable that names the servers of workspaces that get a login.
    pub fn workspaces_variable(&self) -> String {
        self.credentials.workspaces_variable()
    }

    /// Sends a request, after a login where one is needed, and gives its answer.
    ///
    /// # Errors
    /// See [`ApiErrorKind`]; of the server or the login where those fail.
    pub fn send(&self, request: &Request) -> Result<Value, ApiError> {
        self.exchange(request)
    }

    /// From now on this value is in no error of this client, wherever the server repeats it: what a request carries is
    /// told here before it is sent, because an error is cut short, and half of a value is found by nobody.
    pub fn hide(&self, value: &SecretString) {
        self.known.add(value);
    }

    /// The text without the values that [`Client::hide`] was told.
    pub fn redact(&self, text: &str) -> String {
        self.known.hide(text)
    }

    /// What the server is. Asked once.
    ///
    /// # Errors
    /// Where it does not answer, or is not Mage. Whoever asks later tries again.
    pub fn server(&self) -> Result<Server, ApiError> {
        self.server.get(Result::is_ok, || {
            let request = request::statuses();
            let statuses: Statuses = self.once(&request, None)?;
            let server = statuses.server().ok_or_else(|| self.strange(&request, "no status"))?;
            tracing::debug!(?server, "server");
            Ok(server)
        })
    }

    /// What the one who asks may do. Logs in, where that is needed to know.
    ///
    /// # Errors
    /// As [`send`](Client::send).
    pub fn rights(&self) -> Result<Rights, ApiError> {
        if !self.server()?.logins {
            return Ok(Rights::Unrestricted);
        }
        Ok(self.session(&request::statuses(), None)?.rights)
    }

    /// The version of Mage, such as `0.9.80`. Asked once.
    ///
    /// # Errors
    /// As [`send`](Client::send).
    pub fn version(&self) -> Result<String, ApiError> {
        #[derive(Deserialize)]
        struct Projects {
            projects: Vec<Project>,
        }
        // The rest, with a key of an AI provider in clear, is not even read out of the bytes, which are wiped.
        #[derive(Deserialize)]
        struct Project {
            version: String,
        }
        self.version.get(Result::is_ok, || {
            let request = request::projects();
            let answer: Projects = self.exchange(&request)?;
            let first = answer.projects.into_iter().next();
            Ok(first.ok_or_else(|| self.strange(&request, "no project"))?.version)
        })
    }

    /// How many pipelines run, at a workspace's own server.
    ///
    /// # Errors
    /// As [`send`](Client::send); also where it does not say.
    pub fn running_pipelines(&self) -> Result<u64, ApiError> {
        #[derive(Deserialize)]
        struct Statuses {
            statuses: Vec<Status>,
        }
        #[derive(Deserialize)]
        struct Status {
            active_pipeline_run_count: Option<u64>,
        }
        let request = request::activity();
        let answer: Statuses = self.once(&request, None)?;
        let count = answer.statuses.first().and_then(|status| status.active_pipeline_run_count);
        count.ok_or_else(|| self.strange(&request, "no number of running pipelines"))
    }

    /// The pipelines that run, as `orders (run 12)`, at a workspace's own server.
    ///
    /// # Errors
    /// As [`send`](Client::send); also where the server wants a login for it.
    pub fn names_of_runs(&self) -> Result<Vec<String>, ApiError> {
        #[derive(Deserialize)]
        struct Runs {
            pipeline_runs: Vec<Run>,
        }
        // The rest, with variables and the token of the trigger, is not even read out of the bytes.
        #[derive(Deserialize)]
        struct Run {
            id: u64,
            pipeline_uuid: String,
        }
        let answer: Runs = self.once(&request::running_pipelines(), None)?;
        let name = |Run { id, pipeline_uuid }: Run| format!("{} (run {id})", plain(&pipeline_uuid));
        Ok(answer.pipeline_runs.into_iter().map(name).collect())
    }

    fn exchange<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ApiError> {
        if request.access != Access::Login || !self.server()?.logins {
            return self.once(request, None);
        }
        let session = self.session(request, None)?;
        match self.once(request, Some(&session.token)) {
            // The request was refused before anything was done: it may be sent again, whatever it is.
            Err(error) if has_ended(&error) && matches!(self.credentials.login, Login::Password { .. }) => {
                tracing::debug!("the session has ended");
                let session = self.session(request, Some(&session.token))?;
                self.once(request, Some(&session.token))
            }
            outcome => outcome,
        }
    }

    /// A login that is not known to have ended; `ended` is the token of one that has.
    fn session(&self, request: &Request, ended: Option<&SecretString>) -> Result<Session, ApiError> {
        let good = |outcome: &Result<Session, ApiError>| match outcome {
            Ok(session) => ended.is_none_or(|token| session.token.expose_secret() != token.expose_secret()),
            // Wrong today, wrong for the whole run: nobody gets locked out by a hundred tries.
            Err(error) => {
                matches!(
                    error.kind,
                    ApiErrorKind::WrongLogin | ApiErrorKind::WrongApiKey | ApiErrorKind::NoLogin
                )
            }
        };
        self.session.get(good, || {
            let (email, password) = match &self.credentials.login {
                Login::Password { email, password } => (email, password),
                Login::Token(token) => {
                    let token = session::inner_token(token);
                    return Ok(Session { token, rights: Rights::Unknown });
                }
                Login::None => return Err(self.unsent(request, ApiErrorKind::NoLogin, "")),
            };
            let request = request::session(email, password);
            let login: session::Login = self.once(&request, None)?;
            let (token, role) = login.session();
            self.known.add(&token);
            tracing::debug!(?role, "logged in");
            Ok(Session { token, rights: Rights::Role(role) })
        })
    }

    /// One request with what it has to carry.
    fn once<T: DeserializeOwned>(
        &self,
        request: &Request,
        token: Option<&SecretString>,
    ) -> Result<T, ApiError> {
        let url = self.url_of(request);
        let hide = |text: &str| self.known.hide(text);
        let context = Context { request, url: &url, redact: &hide };
        let key = ("X-API-KEY", &self.api_key);
        let headers = match (request.access, token) {
            (Access::Open, _) => vec![],
            (Access::Login, Some(token)) => vec![key, ("OAUTH-TOKEN", token)],
            (Access::Key | Access::Login, _) => vec![key],
        };
        let answer = self.transport.send(&headers, context)?;
        answer::read(&answer, context)
    }

    fn url_of(&self, request: &Request) -> String {
        format!("{}{}", self.credentials.url, request.path)
    }

    /// An answer that is Mage's by its form, and not by what it holds.
    fn strange(&self, request: &Request, text: &str) -> ApiError {
        self.unsent(request, ApiErrorKind::NotMage, text)
    }

    /// An error that this client makes by itself.
    fn unsent(&self, request: &Request, kind: ApiErrorKind, text: &str) -> ApiError {
        Context { request, url: &self.url_of(request), redact: &str::to_owned }.error(kind, None, text)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

/// A name of somebody's choice, without what a terminal would take for a command.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// Whether the server no longer knows the token.
fn has_ended(error: &ApiError) -> bool {
    matches!(error.kind, ApiErrorKind::InvalidToken | ApiErrorKind::ExpiredToken)
}

/// All threads of a run share one client.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Client>();
};

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
