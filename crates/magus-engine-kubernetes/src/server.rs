//! Requests to one apiserver, for callers that wait: the only place that knows that the client below is asynchronous.

use std::{
    thread,
    time::{Duration, Instant},
};

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use kube::{
    Client, Resource,
    client::Body,
    core::{Request, params::GetParams, request},
};
use magus_engine::{EngineError, EngineErrorKind};
use serde::de::DeserializeOwned;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    time::timeout,
};

use crate::{
    access::{Access, Chosen, Limits, choose, refused},
    failure::{Failure, Trouble, login},
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
    client: Client,
    url: String,
    limits: Limits,
    threads: Threads,
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
        let Access { context, limits, .. } = access;
        let url = hide_userinfo(config.cluster_url.to_string().trim_end_matches('/'));
        // Making the client runs the program that logs in, and waits for it without end.
        let made = threads.handle.spawn_blocking(move || Client::try_from(config));
        let made = threads.wait(async { timeout(limits.login, made).await });
        let by = program.map_or_else(String::new, |program| format!(" by `{program}`"));
        let failed = |why: String| {
            refused(format!("the login of the context `{context}`{by} cannot be made"))
                .help(format!(
                    "`kubectl --context {context} auth whoami` tells whether it works without Magus"
                ))
                .caused_by(why)
        };
        let client = match made {
            Ok(Ok(Ok(client))) => client,
            Ok(Ok(Err(kube::Error::Auth(error)))) => return Err(failed(login(&error))),
            Ok(Ok(Err(kube::Error::RustlsTls(_)))) => {
                return Err(failed("its certificates or keys are not understood".to_owned()));
            }
            Ok(Ok(Err(_))) => {
                return Err(refused(format!("the context `{context}` of the kubeconfig cannot be used")));
            }
            Ok(Err(_)) => return Err(failed("it ended in a panic".to_owned())),
            Err(_) => return Err(failed(format!("it is not done after {} seconds", limits.login.as_secs()))),
        };
        Ok(Self { client, url, limits, threads })
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
            thread::sleep(wait);
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
        let answer = async { timeout(self.limits.request, self.client.send(request)).await };
        let answer = self.threads.wait(answer).ok()?.ok()?;
        let date = answer.headers().get(http::header::DATE)?.to_str().ok()?;
        DateTimeParser::new().parse_timestamp(date).ok()
    }

    fn send(&self, request: http::Request<Vec<u8>>, limit: Duration) -> Result<String, Failure> {
        // The library's own way to objects would log a body that it does not understand.
        let answer = async { timeout(limit, self.client.request_text(request)).await };
        match self.threads.wait(answer) {
            Ok(answer) => answer.map_err(Failure::from),
            Err(_) => Err(Failure::Slow(limit)),
        }
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
