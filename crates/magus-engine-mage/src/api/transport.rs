//! The way to the server and back: connections, time limits, proxies, certificates, and when to ask again. It knows HTTP,
//! and not what Mage means by an answer.

use std::{
    cell::Cell,
    fs, io,
    num::NonZeroUsize,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use magus_engine::{EngineError, EngineErrorKind};
use magus_process::{AFTER_STOP, OnStop};
use secrecy::{ExposeSecret, SecretString};
use ureq::{
    Agent, Timeout,
    http::{self, HeaderMap, HeaderValue},
    tls::{PemItem, RootCerts, TlsConfig},
    unversioned::{
        resolver::DefaultResolver,
        transport::{
            Buffers, ConnectionDetails, Connector, DefaultConnector, Either, NextTimeout, Transport as Link,
        },
    },
};
use zeroize::Zeroizing;

use super::{
    answer::{Answer, Context},
    error::{ApiError, ApiErrorKind},
    pace::{ATTEMPTS, Clock, Gate, wait},
    proxy::Proxy,
    request::{Method, Repeat, Request},
    url::ServerUrl,
};

/// At `trace`, the HTTP client writes every byte that it sends to the log, as numbers that no redaction finds. The feature
/// of `log` that this crate asks for leaves no code of that behind, in whatever program it is built into.
const _: () = assert!(
    !matches!(log::STATIC_MAX_LEVEL, log::LevelFilter::Trace),
    "the crate `log` has to be built with `max_level_debug`"
);

/// What is waited for, and how long; and how much is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For the name of the host, and again for the connection with its encryption.
    pub connect: Duration,
    /// For the whole of a request that reads. Mage does one thing at a time and takes 30 ms for each workspace in a list:
    /// with a thousand of them, and its own look at all of them once a minute, a healthy server answers after more
    /// than one minute.
    pub read: Duration,
    /// For the whole of a request that writes: Mage answers when Kubernetes has.
    pub write: Duration,
    /// For all attempts of one request together: none begins after it.
    pub attempts: Duration,
    /// How many bytes an answer may have.
    pub answer: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(180),
            write: Duration::from_secs(180),
            attempts: Duration::from_secs(240),
            answer: 64 * 1024 * 1024,
        }
    }
}

/// What is needed to reach a server.
pub(super) struct Route<'a> {
    pub(super) url: &'a ServerUrl,
    pub(super) ca_file: Option<&'a Path>,
    pub(super) proxy: Option<&'a Proxy>,
    pub(super) at_once: NonZeroUsize,
    pub(super) limits: Limits,
    pub(super) clock: Clock,
}

/// Sends requests to one server.
pub(super) struct Transport {
    ways: Arc<Ways>,
    /// Ends the requests that are under way when everything is stopped.
    _on_stop: OnStop,
    base: String,
    gate: Gate,
    limits: Limits,
    clock: Clock,
}

/// What sends requests.
struct Ways {
    /// Keeps its connections for what may be sent again.
    reads: Agent,
    /// Keeps none. A connection that waited may have been closed at its other end just now, and a write that meets one
    /// leaves open whether it was done.
    writes: Agent,
    /// For what is still sent after everything was stopped: what a step stopped may be started again.
    late: Agent,
    is_stopped: AtomicBool,
}

impl Ways {
    /// Ends what is under way. From now on a request has only a moment.
    fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        self.reads.clone().shutdown();
        self.writes.clone().shutdown();
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    fn of(&self, request: &Request) -> &Agent {
        match request.repeat {
            _ if self.is_stopped() => &self.late,
            Repeat::Safe => &self.reads,
            Repeat::Never => &self.writes,
        }
    }
}

/// Headers that say who asks.
pub(super) type Headers<'a> = &'a [(&'static str, &'a SecretString)];

impl Transport {
    /// Nothing is sent yet.
    pub(super) fn new(route: Route<'_>) -> Result<Self, EngineError> {
        let roots = match route.ca_file {
            Some(file) => certificates(file)?,
            None => RootCerts::PlatformVerifier,
        };
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = |time: Duration, idle: usize| {
            let config = Agent::config_builder()
                .tls_config(tls.clone())
                // Always set: without it the client looks for proxies in the environment by itself.
                .proxy(route.proxy.map(|proxy| proxy.inner.clone()))
                .user_agent(concat!("magus/", env!("CARGO_PKG_VERSION")))
                .accept("application/json")
                .http_status_as_error(false)
                .max_redirects(0)
                .timeout_resolve(Some(route.limits.connect))
                .timeout_connect(Some(route.limits.connect))
                .timeout_global(Some(time))
                .max_idle_connections(idle)
                .max_idle_connections_per_host(idle)
                .build();
            let marker = MarkSent { host: route.url.host().to_owned(), port: route.url.port() };
            Agent::with_parts(config, DefaultConnector::new().chain(marker), DefaultResolver::default())
        };
        let ways = Arc::new(Ways {
            reads: agent(route.limits.read, route.at_once.get()),
            writes: agent(route.limits.write, 0),
            late: agent(AFTER_STOP, 0),
            is_stopped: AtomicBool::new(false),
        });
        let stopped = Arc::clone(&ways);
        Ok(Self {
            ways,
            _on_stop: magus_process::on_stop(move || stopped.stop()),
            base: route.url.as_str().to_owned(),
            gate: Gate::new(route.at_once),
            limits: route.limits,
            clock: route.clock,
        })
    }

    /// The answer, whatever its status. What may be repeated is, while it is worth it: where no connection came
    /// about, where one broke, and where the server asks for it (408, 429, 502, 503, 504). A write is repeated only
    /// where no connection came about: nothing of it has left then. After everything was stopped, nothing is repeated.
    ///
    /// # Errors
    /// Where no whole answer came back.
    pub(super) fn send(&self, headers: Headers<'_>, context: Context<'_>) -> Result<Answer, ApiError> {
        let begin = Instant::now();
        let mut slept = Duration::ZERO;
        let mut attempt = 1;
        loop {
            let outcome = {
                let _place = self.gate.enter();
                self.once(headers, context)
            };
            let safe = context.request.repeat == Repeat::Safe;
            let (again, retry_after) = match &outcome {
                Ok((answer, retry_after)) => {
                    (safe && matches!(answer.status, 408 | 429 | 502 | 503 | 504), retry_after.as_deref())
                }
                Err(failure) => (failure.again && (safe || !failure.sent), None),
            };
            tracing::debug!(
                method = context.request.method.as_str(),
                path = context.request.path,
                attempt,
                status = outcome.as_ref().ok().map(|(answer, _)| answer.status),
                "request"
            );
            let pause = wait(attempt, retry_after, &self.clock);
            // What was slept counts also where a clock only says that it sleeps.
            let in_time = begin.elapsed().max(slept) + pause < self.limits.attempts;
            if !(again && attempt < ATTEMPTS && in_time) || self.ways.is_stopped() {
                return outcome.map(|(answer, _)| answer).map_err(|failure| failure.error);
            }
            self.clock.sleep(pause);
            slept += pause;
            attempt += 1;
        }
    }

    /// Ends what is under way, as when everything is stopped.
    #[cfg(test)]
    pub(super) fn stop(&self) {
        self.ways.stop();
    }

    /// One attempt: the answer with its `Retry-After`.
    fn once(&self, headers: Headers<'_>, context: Context<'_>) -> Result<(Answer, Option<String>), Failure> {
        SENT.set(false);
        let response =
            self.exchange(context.request, headers).map_err(|error| self.failure(&error, context))?;
        let (parts, mut body) = response.into_parts();
        let bytes = body
            .with_config()
            .limit(self.limits.answer)
            .read_to_vec()
            .map(Zeroizing::new)
            .map_err(|error| self.failure(&error, context))?;
        let answer = Answer {
            status: parts.status.as_u16(),
            content_type: header(&parts.headers, "content-type"),
            redirects_to: header(&parts.headers, "location")
                .and_then(|target| target.parse::<http::Uri>().ok()?.host().map(str::to_owned)),
            body: bytes,
        };
        Ok((answer, header(&parts.headers, "retry-after")))
    }

    fn exchange(
        &self,
        request: &Request,
        headers: Headers<'_>,
    ) -> Result<http::Response<ureq::Body>, ureq::Error> {
        let method = match request.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
            Method::Put => http::Method::PUT,
            Method::Delete => http::Method::DELETE,
        };
        let mut call =
            http::Request::builder().method(method).uri(format!("{}{}", self.base, request.target()));
        for (name, value) in headers {
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(http::Error::from)?;
            value.set_sensitive(true);
            call = call.header(*name, value);
        }
        let agent = self.ways.of(request);
        match &request.body {
            Some(body) => {
                let bytes = Zeroizing::new(serde_json::to_vec(body).map_err(io::Error::other)?);
                agent.run(call.header("content-type", "application/json").body(bytes.as_slice())?)
            }
            None => agent.run(call.body(())?),
        }
    }

    fn failure(&self, error: &ureq::Error, context: Context<'_>) -> Failure {
        use ureq::Error;

        let sent = SENT.get();
        let text = match error {
            _ if self.ways.is_stopped() => "interrupted".to_owned(),
            Error::Timeout(Timeout::Resolve) => "the name of the host was not found in time".to_owned(),
            Error::Timeout(Timeout::Connect) => format!("no connection within {:?}", self.limits.connect),
            Error::Timeout(_) if sent => "no answer in time".to_owned(),
            Error::Timeout(_) => "no connection in time".to_owned(),
            Error::HostNotFound => "no such host".to_owned(),
            Error::Io(error) => error.to_string(),
            // Its text is all of the certificate's story; the others name what they are.
            Error::Rustls(error) => error.to_string(),
            // What it says can be a line of the answer, or a URL with what is in it.
            Error::Http(_) | Error::BadUri(_) | Error::InvalidProxyUrl => "it cannot be sent".to_owned(),
            Error::BodyExceedsLimit(_) => format!("more than {} bytes", self.limits.answer),
            error => error.to_string(),
        };
        let untrusted = match error {
            Error::Io(error) => error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()),
            error => matches!(error, Error::Rustls(_) | Error::Tls(_) | Error::Pem(_)),
        };
        let (kind, again) = match error {
            Error::BodyExceedsLimit(_) => (ApiErrorKind::TooLarge, false),
            Error::Protocol(_) | Error::LargeResponseHeader(..) if sent => (ApiErrorKind::NotMage, false),
            // Asking a server again that has not even answered yet gives it the same work twice.
            Error::Timeout(_) if sent => (ApiErrorKind::Lost, false),
            _ if sent => (ApiErrorKind::Lost, true),
            Error::Http(_) | Error::BadUri(_) | Error::InvalidProxyUrl => (ApiErrorKind::Unreachable, false),
            // A proxy that refuses a password is not asked again: some lock whoever tries too often.
            Error::ConnectProxyFailed(said) if said.contains("responded 4") => {
                (ApiErrorKind::Unreachable, false)
            }
            _ => (ApiErrorKind::Unreachable, !untrusted),
        };
        let error = if sent { context.open(kind, None, &text) } else { context.error(kind, None, &text) };
        Failure { error, sent, again }
    }
}

/// An attempt without an answer.
struct Failure {
    error: ApiError,
    /// Whether anything of the request has left.
    sent: bool,
    /// Whether another attempt may end otherwise.
    again: bool,
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The only authorities that are trusted then, as with `curl --cacert`: who names a file means that one, and no other
/// authority can vouch for the server.
fn certificates(file: &Path) -> Result<RootCerts, EngineError> {
    let shown = file.display();
    let unreadable = |what: String| {
        EngineError::new(EngineErrorKind::Io, what)
            .help("give a file with certificates in PEM: `--ca-file /etc/ssl/certs/company.pem`")
    };
    let text =
        fs::read(file).map_err(|error| unreadable(format!("`{shown}` cannot be read")).caused_by(error))?;
    let mut found = Vec::new();
    for item in ureq::tls::parse_pem(&text) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(unreadable(format!("`{shown}` is not PEM")).caused_by(error)),
        }
    }
    if found.is_empty() {
        return Err(unreadable(format!("`{shown}` holds no certificate")));
    }
    Ok(RootCerts::from(found))
}

thread_local! {
    /// Whether the request of this thread has begun to leave. A request is sent by the thread that wants it, and
    /// what comes after this moment is no longer known not to have been done.
    static SENT: Cell<bool> = const { Cell::new(false) };
}

/// Notes when the first byte of a request goes to the server: after all that belongs to the connection itself, to the
/// proxy and to the encryption. The errors of the client do not tell.
#[derive(Debug)]
struct MarkSent {
    host: String,
    port: u16,
}

impl<In: Link> Connector<In> for MarkSent {
    type Out = Either<In, MarkedLink<In>>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let default_port = if details.needs_tls() { 443 } else { 80 };
        let port = details.uri.port_u16().unwrap_or(default_port);
        // The way to a proxy is made with the same connectors.
        let to_server = port == self.port && details.uri.host() == Some(&self.host);
        Ok(chained.map(|link| if to_server { Either::B(MarkedLink(link)) } else { Either::A(link) }))
    }
}

#[derive(Debug)]
struct MarkedLink<In>(In);

impl<In: Link> Link for MarkedLink<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        SENT.set(true);
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.0.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
