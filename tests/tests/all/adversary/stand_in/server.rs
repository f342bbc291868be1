//! The server around the state: HTTP on loopback, and the faults.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufReader},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use magus_tests::mage::http::{Message, read_request, write, write_half};
use serde_json::{Value, json};

use super::{
    Asked, Event, Fault, State,
    answers::{Answer, refused},
};

/// A running server. It ends when it is dropped.
pub struct StandIn {
    address: SocketAddr,
    inner: Arc<Inner>,
    listener: Option<JoinHandle<()>>,
}

struct Inner {
    state: Mutex<State>,
    open: Mutex<BTreeMap<usize, TcpStream>>,
    connections: AtomicUsize,
    ended: AtomicBool,
}

impl StandIn {
    /// Starts one whose workspaces fetch these commits from this repository.
    pub fn start(repository: PathBuf, commits: BTreeSet<String>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
        let address = listener.local_addr().expect("an address");
        let url = format!("http://{address}");
        let state = Mutex::new(State { repository, commits, url, ..State::default() });
        let inner = Arc::new(Inner {
            state,
            open: Mutex::default(),
            connections: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&inner);
        let listener = std::thread::spawn(move || accepting.accept(&listener));
        Self { address, inner, listener: Some(listener) }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it knows.
    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.inner.state)
    }

    /// Waits until no client is connected: the requests of a killed process are done then.
    pub fn wait_until_left(&self) {
        while !lock(&self.inner.open).is_empty() {
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.inner.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        for stream in lock(&self.inner.open).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            // Counted before the next one is accepted: whoever waits for all to leave sees it.
            let number = self.connections.fetch_add(1, Ordering::SeqCst);
            let Ok(clone) = stream.try_clone() else { continue };
            lock(&self.open).insert(number, clone);
            let serving = Arc::clone(self);
            std::thread::spawn(move || {
                // The client sees why: its connection ends.
                let _ = serving.serve(&stream);
                let _ = stream.shutdown(Shutdown::Both);
                lock(&serving.open).remove(&number);
            });
        }
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut writer = stream.try_clone()?;
        while let Some(message) = read_request(&mut reader, &mut writer)? {
            let (answer, fault) = self.exchange(&message);
            let Some((status, body)) = answer else { return Ok(()) };
            let mut answer = Message::answer(status, &body.to_string());
            // Magus waits for as long as it is asked to before it tries again.
            answer.headers.set("Retry-After", "0");
            if fault == Some(Fault::HalfAnswer) {
                return write_half(&mut writer, &answer);
            }
            write(&mut writer, &answer)?;
            if message.closes() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The answer to a request, and what happened to it; no answer if the connection is to be closed.
    fn exchange(&self, message: &Message) -> (Option<Answer>, Option<Fault>) {
        let mut words = message.start.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default().to_owned();
        let body: Value = serde_json::from_slice(&message.body).unwrap_or_default();
        let mut state = lock(&self.state);
        let looks_at = looked_at(&method, &path);
        let mut asked = Asked { method, path, event: None };
        let event = state.event(&asked, looks_at.as_deref());
        asked.event.clone_from(&event);
        state.asked.push(asked.clone());
        let fault = match event {
            Some(Event::Fault(fault)) => Some(fault),
            Some(Event::Act(act)) => {
                if let Some(name) = &looks_at {
                    state.act(name, act);
                }
                None
            }
            None => None,
        };
        let mut done = || state.answer(&asked.method, &asked.path, &body);
        let answer = match fault {
            None | Some(Fault::HalfAnswer) => Some(done()),
            Some(Fault::CutBefore) => None,
            Some(Fault::CutAfter) => {
                done();
                None
            }
            Some(Fault::Gateway) => Some((503, json!({}))),
            Some(Fault::GatewayAfter) => {
                done();
                Some((504, json!({})))
            }
            Some(Fault::Error) => Some(refused(500, "unknown", "it failed")),
            Some(Fault::ErrorAfter) => {
                done();
                Some(refused(500, "unknown", "it failed"))
            }
            Some(Fault::EmptyList) => Some(emptied(done())),
        };
        (answer, fault)
    }
}

/// The workspace that a request looks at, by itself.
fn looked_at(method: &str, path: &str) -> Option<String> {
    if method != "GET" {
        return None;
    }
    let own = path.strip_prefix("/ws/").and_then(|rest| rest.strip_suffix("/api/git_branches/current"));
    own.or_else(|| path.strip_prefix("/api/workspaces/")).map(str::to_owned)
}

fn emptied((status, mut body): Answer) -> Answer {
    if let Some(list) = body.get_mut("workspaces") {
        *list = json!([]);
    }
    (status, body)
}
