//! A server on loopback that answers as a test says, and remembers what it was asked.

use std::{
    cell::RefCell,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc, Mutex, Once, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use secrecy::SecretString;

use super::{
    Client, Clock, Credentials, Login, Options, Request, ServerUrl,
    request::{self, Namespaces},
};

/// What a main server with logins says of itself.
pub(crate) const MAIN: &str =
    r#"{"statuses":[{"project_type":"main","instance_type":"k8s","require_user_authentication":true}]}"#;

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Method and target.
    pub(crate) line: String,
    /// Header fields, their names in small letters.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// Which connection it came on.
    pub(crate) connection: usize,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Method and path.
    pub(crate) fn what(&self) -> &str {
        self.line.split('?').next().unwrap_or_default()
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A status with more header fields (each `name: value`), and a body of JSON.
    Answer(u16, Vec<String>, String),
    /// The connection is closed without a word.
    Close,
    /// Half of an answer, and then the connection is closed.
    Half,
    /// No answer, for as long as the client waits.
    Silence,
}

impl Reply {
    pub(crate) fn ok(body: &str) -> Self {
        Reply::status(200, body)
    }

    pub(crate) fn status(status: u16, body: &str) -> Self {
        Reply::Answer(status, Vec::new(), body.to_owned())
    }

    /// An error as Mage writes it.
    pub(crate) fn error(code: u16, kind: &str, message: &str) -> Self {
        let error = serde_json::json!({"error": {"code": code, "type": kind, "message": message}});
        Reply::status(code, &error.to_string())
    }

    /// The answer to a login with this token: a JWT around the token.
    pub(crate) fn session(token: &str) -> Self {
        let claims = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"token":"{token}"}}"#));
        Reply::ok(&format!(r#"{{"session":{{"token":"e.{claims}.s","user":{{"owner":true}}}}}}"#))
    }
}

type Decide = dyn Fn(&Seen) -> Reply + Send + Sync;
/// How long was waited between attempts.
pub(crate) type Waits = Arc<Mutex<Vec<Duration>>>;

/// The server; it ends when it is dropped.
pub(crate) struct Script {
    address: String,
    scheme: &'static str,
    seen: Arc<Mutex<Vec<Seen>>>,
    ended: Arc<AtomicBool>,
}

impl Script {
    pub(crate) fn start(decide: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(None, Arc::new(decide))
    }

    /// The same behind TLS.
    pub(crate) fn start_encrypted(
        identity: ServerConfig,
        decide: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(Arc::new(identity)), Arc::new(decide))
    }

    /// Answers like a main server with logins, and to everything but that as told. The tokens are `token-canary-0`,
    /// `token-canary-1`, and so on.
    pub(crate) fn mage(decide: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(as_mage(decide))
    }

    fn listen(identity: Option<Arc<ServerConfig>>, decide: Arc<Decide>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (seen, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let scheme = if identity.is_some() { "https" } else { "http" };
        let (all, stop) = (Arc::clone(&seen), Arc::clone(&ended));
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (all, decide, identity) = (Arc::clone(&all), Arc::clone(&decide), identity.clone());
                thread::spawn(move || match identity {
                    None => serve(stream, connection, &all, &*decide),
                    Some(identity) => {
                        let tls = ServerConnection::new(identity).unwrap();
                        serve(StreamOwned::new(tls, stream), connection, &all, &*decide);
                    }
                });
            }
        });
        Self { address, scheme, seen, ended }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// What came so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Methods and paths of what came so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.seen().iter().map(|seen| seen.what().to_owned()).collect()
    }

    /// How often this method and path came so far.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.asked().iter().filter(|asked| *asked == what).count()
    }

    /// A client of it, whose waits take no time and are written down.
    pub(crate) fn client(&self, login: Login) -> (Client, Waits) {
        client(&self.url(), login, |_| {})
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the listener up.
        drop(TcpStream::connect(&self.address));
    }
}

/// What a main server with logins decides; see [`Script::mage`].
pub(crate) fn as_mage(
    decide: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Seen) -> Reply + Send + Sync + 'static {
    let logins = AtomicUsize::new(0);
    move |seen| match seen.what() {
        "GET /api/statuses" => Reply::ok(MAIN),
        "POST /api/sessions" => {
            Reply::session(&format!("token-canary-{}", logins.fetch_add(1, Ordering::SeqCst)))
        }
        _ => decide(seen),
    }
}

/// A client of any URL, whose waits take no time and are written down. It is 2026-08-01, 10:00 in Greenwich.
pub(crate) fn client(url: &str, login: Login, change: impl FnOnce(&mut Options)) -> (Client, Waits) {
    let waits = Waits::default();
    let written = Arc::clone(&waits);
    let now: Timestamp = "2026-08-01T10:00:00Z".parse().unwrap();
    let clock = Clock::new(move || now).with_sleep(move |time| written.lock().unwrap().push(time));
    let url = ServerUrl::parse(url).unwrap();
    let credentials = Credentials {
        url,
        api_key: Some("key-canary".into()),
        login,
        workspaces: None,
        suffix: String::new(),
    };
    let mut options = Options::new(credentials, clock);
    change(&mut options);
    (Client::new(options).unwrap(), waits)
}

pub(crate) fn password() -> Login {
    Login::Password { email: "ana@acme.dev".into(), password: SecretString::from("password-canary") }
}

/// Something that reads.
pub(crate) fn list() -> Request {
    request::workspaces(Namespaces::All)
}

/// Something that writes.
pub(crate) fn patch() -> Request {
    request::patch_workspace("a", "{}", None)
}

fn serve<S: Read + Write>(stream: S, connection: usize, all: &Mutex<Vec<Seen>>, decide: &Decide) {
    let mut reader = BufReader::new(stream);
    while let Some(seen) = read(&mut reader, connection) {
        all.lock().unwrap_or_else(PoisonError::into_inner).push(seen.clone());
        let out = reader.get_mut();
        let sent = match decide(&seen) {
            Reply::Close => return,
            Reply::Silence => {
                let _ = reader.read(&mut [0]);
                return;
            }
            Reply::Half => {
                let _ = out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"workspace");
                let _ = out.flush();
                return;
            }
            Reply::Answer(status, headers, body) => {
                let mut text = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n");
                headers.iter().for_each(|header| text.push_str(&format!("{header}\r\n")));
                text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead, connection: usize) -> Option<Seen> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = Vec::new();
    loop {
        let mut field = String::new();
        reader.read_line(&mut field).ok()?;
        match field.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let mut seen = Seen { line, headers, body: String::new(), connection };
    let length = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    seen.body = String::from_utf8(body).ok()?;
    Some(seen)
}

/// A file in `testdata`: authorities of two companies, `ours.pem` and `other.pem`, whose keys nobody has, and what a server at
/// 127.0.0.1 is that the first one vouches for until 2126, `server.pem` with its key. Nothing else trusts any of them.
pub(crate) fn certificate(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/api/testdata").join(name)
}

/// What the server is that our authority vouches for.
pub(crate) fn identity() -> ServerConfig {
    let chain = CertificateDer::from_pem_file(certificate("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(certificate("server.key")).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap()
}

thread_local! {
    /// What this thread has logged, while somebody listens.
    static LOG: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Everything that this thread says while something runs: through `tracing` at every level, and through `log`, which the
/// HTTP client and the encryption write to.
pub(crate) fn listen<T>(run: impl FnOnce() -> T) -> (T, String) {
    static LOGGER: Once = Once::new();
    LOGGER.call_once(|| {
        log::set_logger(&Listener).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
    LOG.set(Some(String::new()));
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(|| Listener)
        .finish();
    let outcome = tracing::subscriber::with_default(subscriber, || {
        // A place in the code that another test came to first may have been told that nobody listens.
        tracing::callsite::rebuild_interest_cache();
        run()
    });
    (outcome, LOG.take().unwrap())
}

struct Listener;

impl Listener {
    fn hear(text: &str) {
        LOG.with_borrow_mut(|log| log.iter_mut().for_each(|log| log.push_str(text)));
    }
}

impl Write for Listener {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Self::hear(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl log::Log for Listener {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        Self::hear(&format!("{} {}: {}\n", record.level(), record.target(), record.args()));
    }

    fn flush(&self) {}
}
