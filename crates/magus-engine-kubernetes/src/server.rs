//! Requests to one apiserver, for callers that wait: the only place that knows that the client below is asynchronous.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use kube::{
    Client, Config, Resource,
    client::Body,
    core::{Request, params::GetParams, request},
};
use magus_engine::{EngineError, EngineErrorKind};
use magus_model::Text;
use magus_process::{AFTER_STOP, OnStop};
use serde::de::DeserializeOwned;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::watch,
    time::timeout,
};

use crate::{
    access::{Access, Chosen, Limits, choose, refused},
    failure::{Failure, Trouble, login},
    login::{LoggedIn, log_in},
    shown::hide_userinfo,
};

/// How long is waited before a request that reads is sent again, at first; then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How often a request that reads is sent at most.
const TRIES: u32 = 4;

/// A request, or why it makes none.
pub(crate) type Built = Result<http::Request<Vec<u8>>, request::Error>;

/// One apiserver.
pub(crate) struct Server {
    /// How to connect, with the program that logs in.
    config: Config,
    session: Mutex<Session>,
    now: fn() -> Timestamp,
    url: String,
    limits: Limits,
    /// Whether everything was stopped, for requests that are under way.
    stopped: Arc<watch::Sender<bool>>,
    _on_stop: OnStop,
    threads: Threads,
}

/// A client, for as long as its credential is good.
struct Session {
    client: Client,
    logged_in: LoggedIn,
}

/// The threads below the client.
struct Threads {
    handle: Handle,
    /// Behind an option for the end alone.
    runtime: Option<Runtime>,
}

impl Threads {
    /// One moves the bytes of all connections; a request is worked on by the thread that waits for it.
    fn start() -> Result<Self, EngineError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("magus-kubernetes")
            .enable_all()
            .build()
            .map_err(|error| {
                EngineError::new(EngineErrorKind::Io, "no thread for kubernetes can be started")
                    .caused_by(error)
            })?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.handle.block_on(future)
    }
}

/// A program that logs in and does not end must not keep Magus from ending.
impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Server {
    /// Reads the kubeconfig, and logs in where that takes a program.
    pub(crate) fn connect(access: Access<'_>) -> Result<Self, EngineError> {
        let threads = Threads::start()?;
        let Chosen { config, program } = threads.wait(choose(&access))?;
        let Access { context, limits, now, .. } = access;
        let url = hide_userinfo(config.cluster_url.to_string().trim_end_matches('/'));
        let session = Session::begin(&config, limits, &threads);
        let session = session.map_err(|why| why.engine(&context, program.as_deref()))?;
        let stopped = Arc::new(watch::Sender::new(false));
        let told = Arc::clone(&stopped);
        let on_stop = magus_process::on_stop(move || {
            told.send_replace(true);
        });
        let session = Mutex::new(session);
        Ok(Self { config, session, now, url, limits, stopped, _on_stop: on_stop, threads })
    }

    /// The client. Once its credential ends, the program logs in again.
    fn client(&self) -> Result<Client, Failure> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if session.logged_in.is_over((self.now)()) {
            *session =
                Session::begin(&self.config, self.limits, &self.threads).map_err(NoSession::failure)?;
        }
        Ok(session.client.clone())
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Sends a request that reads, several times where it may fare better, and understands the answer.
    pub(crate) fn read<T: DeserializeOwned>(&self, request: Built) -> Result<T, Trouble> {
        self.read_within(request, self.limits.request)
    }

    pub(crate) fn read_within<T: DeserializeOwned>(
        &self,
        request: Built,
        limit: Duration,
    ) -> Result<T, Trouble> {
        let request = self.checked(request)?;
        let end = Instant::now() + limit;
        let mut pause = FIRST_PAUSE;
        let mut tries = 0;
        loop {
            tries += 1;
            let failure = match self.send(request.clone(), end.saturating_duration_since(Instant::now())) {
                Ok(text) => return self.understood(&request, &text),
                // Of several tries, the last is given less than the whole.
                Err(Failure::Slow(_)) => Failure::Slow(limit),
                Err(failure) => failure,
            };
            let wait = match &failure {
                Failure::Status { retry_after, .. } => pause.max(*retry_after),
                _ => pause,
            };
            if tries == TRIES || Instant::now() + wait >= end || !failure.may_pass() {
                return Err(self.trouble(&request, failure));
            }
            magus_process::sleep(wait);
            pause *= 2;
        }
    }

    /// An object; nothing where Kubernetes says that there is none.
    pub(crate) fn get<K, T>(&self, namespace: Option<&str>, name: &str) -> Result<Option<T>, Trouble>
    where
        K: Resource<DynamicType = ()>,
        T: DeserializeOwned,
    {
        self.get_within::<K, T>(namespace, name, self.limits.request)
    }

    pub(crate) fn get_within<K, T>(
        &self,
        namespace: Option<&str>,
        name: &str,
        limit: Duration,
    ) -> Result<Option<T>, Trouble>
    where
        K: Resource<DynamicType = ()>,
        T: DeserializeOwned,
    {
        // Mage checks no names (MAGE.md 4.13), and a path is made of this one. Kubernetes has no such objects.
        if !is_name(name) || !namespace.is_none_or(is_name) {
            return Ok(None);
        }
        let request = Request::new(K::url_path(&(), namespace)).get(name, &GetParams::default());
        match self.read_within(request, limit) {
            Ok(object) => Ok(Some(object)),
            Err(trouble) if trouble.is_absence_of(name) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// Sends a request that writes, once, and understands the answer.
    pub(crate) fn write<T: DeserializeOwned>(&self, request: Built) -> Result<T, Trouble> {
        let request = self.checked(request)?;
        match self.send(request.clone(), self.limits.request) {
            Ok(text) => self.understood(&request, &text),
            Err(failure) => Err(self.trouble(&request, failure)),
        }
    }

    /// The time of the apiserver, as the head of its answers tells it; nothing where it does not.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        let request = http::Request::get("/version").body(Body::empty()).ok()?;
        let client = self.client().ok()?;
        let answer = self.within(self.limits.request, client.send(request)).ok()?.ok()?;
        let date = answer.headers().get(http::header::DATE)?.to_str().ok()?;
        DateTimeParser::new().parse_timestamp(date).ok()
    }

    fn send(&self, request: http::Request<Vec<u8>>, limit: Duration) -> Result<String, Failure> {
        let client = self.client()?;
        // The library's own way to objects would log a body that it does not understand.
        self.within(limit, client.request_text(request))?.map_err(Failure::from)
    }

    /// Waits for an answer until its time is over, or everything is stopped. Later requests have only a moment.
    fn within<T>(&self, limit: Duration, answer: impl Future<Output = T>) -> Result<T, Failure> {
        let mut stopped = self.stopped.subscribe();
        let is_late = *stopped.borrow();
        let limit = if is_late { limit.min(AFTER_STOP) } else { limit };
        self.threads.wait(async {
            let (mut answer, mut stop) = (pin!(timeout(limit, answer)), pin!(stopped.wait_for(|stop| *stop)));
            poll_fn(|context| match answer.as_mut().poll(context) {
                Poll::Ready(answer) => Poll::Ready(answer.map_err(|_| Failure::Slow(limit))),
                Poll::Pending if !is_late && stop.as_mut().poll(context).is_ready() => {
                    Poll::Ready(Err(Failure::Interrupted))
                }
                Poll::Pending => Poll::Pending,
            })
            .await
        })
    }

    fn checked(&self, request: Built) -> Result<http::Request<Vec<u8>>, Trouble> {
        request.map_err(|error| Trouble {
            asked: self.url.clone(),
            failure: Failure::from(kube::Error::BuildRequest(error)),
        })
    }

    /// What an answer says. What is not understood is not shown either.
    fn understood<T: DeserializeOwned>(
        &self,
        request: &http::Request<Vec<u8>>,
        text: &str,
    ) -> Result<T, Trouble> {
        serde_json::from_str(text).map_err(|_| self.trouble(request, Failure::Strange { code: None }))
    }

    fn trouble(&self, request: &http::Request<Vec<u8>>, failure: Failure) -> Trouble {
        Trouble { asked: format!("{} {}{}", request.method(), self.url, request.uri().path()), failure }
    }
}

/// Why there is no client.
enum NoSession {
    /// The login cannot be made.
    Login(String),
    /// The kubeconfig cannot be used.
    Unusable,
}

impl Session {
    /// Logs in, if that takes a program, and makes a client.
    fn begin(config: &Config, limits: Limits, threads: &Threads) -> Result<Self, NoSession> {
        let logged_in = log_in(config, limits.login).map_err(NoSession::Login)?;
        let _inside = threads.handle.enter();
        let client = Client::try_from(logged_in.config.clone()).map_err(|error| match error {
            kube::Error::Auth(error) => NoSession::Login(login(&error)),
            kube::Error::RustlsTls(_) => {
                NoSession::Login("its certificates or keys are not understood".to_owned())
            }
            _ => NoSession::Unusable,
        })?;
        Ok(Self { client, logged_in })
    }
}

impl NoSession {
    /// What is said when the first client is made.
    fn engine(self, context: &Text, program: Option<&str>) -> EngineError {
        let by = program.map_or_else(String::new, |program| format!(" by `{program}`"));
        match self {
            Self::Login(why) => refused(format!("the login of the context `{context}`{by} cannot be made"))
                .help(format!(
                    "`kubectl --context {context} auth whoami` tells whether it works without Magus"
                ))
                .caused_by(why),
            Self::Unusable => refused(format!("the context `{context}` of the kubeconfig cannot be used")),
        }
    }

    /// What is said when a later one is made.
    fn failure(self) -> Failure {
        Failure::Login(match self {
            Self::Login(why) => why,
            Self::Unusable => "the kubeconfig cannot be used".to_owned(),
        })
    }
}

/// Whether Kubernetes has objects of such a name: letters, digits, `-` and `.` (RFC 1123), begun and ended by one of the former.
fn is_name(name: &str) -> bool {
    let is_end = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.len() <= 253
        && bytes.first().is_some_and(|c| is_end(*c))
        && bytes.last().is_some_and(|c| is_end(*c))
        && bytes.iter().all(|c| is_end(*c) || matches!(c, b'-' | b'.'))
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
