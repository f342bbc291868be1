//! A server on loopback that answers as a test says, and remembers what it was asked.

use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use jiff::Timestamp;

use super::{Client, Clock, Credentials, Limits, Login, Options, ServerUrl};

/// A request that came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Method and target.
    pub(super) line: String,
    /// Header fields, their names in small letters.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    /// Which connection it came on.
    pub(super) connection: usize,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Method and path.
    pub(super) fn what(&self) -> &str {
        self.line.split('?').next().unwrap_or_default()
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// A status with more header fields (each `name: value`), and a body of JSON.
    Answer(u16, Vec<String>, String),
    /// The connection is closed without a word.
    Close,
    /// Half of an answer, and then the connection is closed.
    Half,
}

impl Reply {
    pub(super) fn ok(body: &str) -> Self {
        Reply::Answer(200, Vec::new(), body.to_owned())
    }
}

type Decide = dyn Fn(&Seen) -> Reply + Send + Sync;

/// The server; it ends when it is dropped.
pub(super) struct Script {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    ended: Arc<AtomicBool>,
}

impl Script {
    pub(super) fn start(decide: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (seen, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let decide: Arc<Decide> = Arc::new(decide);
        let (all, stop) = (Arc::clone(&seen), Arc::clone(&ended));
        thread::spawn(move || {
            let count = AtomicUsize::new(0);
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (all, decide) = (Arc::clone(&all), Arc::clone(&decide));
                let connection = count.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || serve(&stream, connection, &all, &*decide));
            }
        });
        Self { address, seen, ended }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What came so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Methods and paths of what came so far.
    pub(super) fn asked(&self) -> Vec<String> {
        self.seen().iter().map(|seen| seen.what().to_owned()).collect()
    }

    /// A client of it, whose waits take no time and are written down.
    pub(super) fn client(&self, login: Login) -> (Client, Arc<Mutex<Vec<Duration>>>) {
        self.client_with(login, Limits::default())
    }

    pub(super) fn client_with(&self, login: Login, limits: Limits) -> (Client, Arc<Mutex<Vec<Duration>>>) {
        let waits = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&waits);
        let now: Timestamp = "2026-08-01T10:00:00Z".parse().unwrap();
        let clock = Clock::new(move || now).with_sleep(move |time| written.lock().unwrap().push(time));
        let url = ServerUrl::parse(&self.url()).unwrap();
        let credentials = Credentials { url, api_key: Some("key-canary".into()), login };
        (Client::new(Options { limits, ..Options::new(credentials, clock) }).unwrap(), waits)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the listener up.
        drop(TcpStream::connect(&self.address));
    }
}

fn serve(stream: &TcpStream, connection: usize, all: &Mutex<Vec<Seen>>, decide: &Decide) {
    let mut reader = BufReader::new(stream);
    while let Some(seen) = read(&mut reader, connection) {
        all.lock().unwrap_or_else(PoisonError::into_inner).push(seen.clone());
        let mut out = stream;
        let sent = match decide(&seen) {
            Reply::Close => return,
            Reply::Half => {
                let _ = out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"workspace");
                return;
            }
            Reply::Answer(status, headers, body) => {
                let mut text = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n");
                headers.iter().for_each(|header| text.push_str(&format!("{header}\r\n")));
                out.write_all(format!("{text}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>, connection: usize) -> Option<Seen> {
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
