//! A proxy that makes the faults of a network: between Magus and Mage, or between Mage and Kubernetes.
//!
//! A function decides about every request what becomes of it, and every exchange is recorded, so that a test can count
//! requests and search for values that must not be there. It speaks HTTP/1.1 with connections that stay open. Answers are
//! read whole before they go on; connections that change their protocol, and watches, do not pass.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, BufReader},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use serde_json::Value;

use crate::mage::http::{Headers, Message, read_answer, read_request, write, write_half};

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is passed on, and so is its answer.
    Pass,
    /// The connection is closed; the server never sees the request.
    CutBefore,
    /// The server answers, and the connection is closed instead of passing that on.
    CutAfter,
    /// It is passed on after that time. A proxy that is dropped does not wait for it.
    Delay(Duration),
    /// The server never sees it; this status and body are the answer.
    Status(u16, String),
    /// The head of the answer and half of its body are passed on, then the connection is closed.
    HalfAnswer,
    /// The answer is passed on with every list at its top level emptied.
    EmptyList,
}

/// A request, as the deciding function sees it.
#[derive(Clone)]
pub struct Request {
    /// How many requests came before it.
    pub number: usize,
    /// The method, in capitals.
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// The query, without the question mark.
    pub query: String,
    /// The header fields.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

/// A request and what became of it.
#[derive(Clone)]
pub struct Exchange {
    /// The request.
    pub request: Request,
    /// What was decided.
    pub fault: Fault,
    /// What the server answered, where it saw the request: not what the client got.
    pub answer: Option<Message>,
}

type Decide = dyn Fn(&Request) -> Fault + Send + Sync;

/// A running proxy; dropping it closes all connections.
pub struct Proxy {
    address: SocketAddr,
    inner: Arc<Inner>,
    listener: Option<JoinHandle<()>>,
}

struct Inner {
    server: String,
    decide: RwLock<Arc<Decide>>,
    record: Mutex<Record>,
    connections: Mutex<Connections>,
    ended: AtomicBool,
}

/// What passed.
#[derive(Default)]
struct Record {
    count: usize,
    exchanges: Vec<Exchange>,
}

/// Open connections by number, to be closed from outside, and the threads that serve them.
#[derive(Default)]
struct Connections {
    count: usize,
    open: BTreeMap<usize, TcpStream>,
    threads: Vec<JoinHandle<()>>,
    /// Each ends a delay when it is dropped.
    delays: Vec<Sender<()>>,
}

impl Request {
    /// The value of the first pair of that name in the query, as it was written.
    pub fn query_value(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// The body as JSON; `null` where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// Without query, values and body, which can be secrets.
impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} and {} bytes", self.method, self.path, self.body.len())
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.answer.as_ref().map(Message::status);
        write!(formatter, "{:?} → {:?} {status:?}", self.request, self.fault)
    }
}

impl Exchange {
    /// The status that the server answered.
    pub fn status(&self) -> Option<u16> {
        self.answer.as_ref().map(Message::status)
    }

    /// Whether a text is anywhere in the request: target, values of fields, body.
    pub fn sends(&self, text: &str) -> bool {
        let request = &self.request;
        let head = [&request.path, &request.query].into_iter().any(|part| part.contains(text));
        head || request.headers.0.iter().any(|(_, value)| value.contains(text)) || holds(&request.body, text)
    }

    /// Whether a text is anywhere in the answer of the server.
    pub fn receives(&self, text: &str) -> bool {
        self.answer.as_ref().is_some_and(|answer| {
            answer.headers.0.iter().any(|(_, value)| value.contains(text)) || holds(&answer.body, text)
        })
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    !text.is_empty() && bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

impl Proxy {
    /// Starts a proxy for the server at `http://HOST:PORT`; it passes everything on until told otherwise.
    ///
    /// # Panics
    /// Where the URL is another kind, or loopback has no free port.
    pub fn start(server: &str) -> Self {
        let server = server.trim_end_matches('/').strip_prefix("http://").expect("plain HTTP").to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
        let address = listener.local_addr().expect("an address");
        let inner = Arc::new(Inner {
            server,
            decide: RwLock::new(Arc::new(|_: &Request| Fault::Pass)),
            record: Mutex::default(),
            connections: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&inner);
        let listener = std::thread::spawn(move || accepting.accept(&listener));
        Self { address, inner, listener: Some(listener) }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Decides about all requests that come from now on.
    pub fn decide(&self, decide: impl Fn(&Request) -> Fault + Send + Sync + 'static) {
        *self.inner.decide.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(decide);
    }

    /// What passed so far, in the order of arrival.
    pub fn exchanges(&self) -> Vec<Exchange> {
        lock(&self.inner.record).exchanges.clone()
    }

    /// How many requests of this kind came so far.
    pub fn count(&self, kind: impl Fn(&Request) -> bool) -> usize {
        lock(&self.inner.record).exchanges.iter().filter(|exchange| kind(&exchange.request)).count()
    }

    /// Forgets what passed so far.
    pub fn clear(&self) {
        lock(&self.inner.record).exchanges.clear();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.inner.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        let mut connections = lock(&self.inner.connections);
        connections.delays.clear();
        for stream in connections.open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let threads = std::mem::take(&mut connections.threads);
        drop(connections);
        for thread in threads {
            let _ = thread.join();
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
            let serving = Arc::clone(self);
            let thread = std::thread::spawn(move || {
                let Some(number) = serving.open(&stream) else { return };
                // The client sees why: its connection ends.
                let _ = serving.serve(&stream);
                let _ = stream.shutdown(Shutdown::Both);
                serving.close(number);
            });
            let threads = &mut lock(&self.connections).threads;
            // One that has ended keeps its stack until nobody holds it any more, and there are many.
            threads.retain(|thread| !thread.is_finished());
            threads.push(thread);
        }
    }

    /// Keeps a connection, so that dropping the proxy can close it. Nothing where it is being dropped.
    fn open(&self, stream: &TcpStream) -> Option<usize> {
        let clone = stream.try_clone().ok()?;
        let mut connections = lock(&self.connections);
        if self.ended.load(Ordering::SeqCst) {
            return None;
        }
        connections.count += 1;
        let number = connections.count;
        connections.open.insert(number, clone);
        Some(number)
    }

    fn close(&self, number: usize) {
        lock(&self.connections).open.remove(&number);
    }

    /// Serves one connection until it ends, or a fault ends it.
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut writer = stream.try_clone()?;
        while let Some(message) = read_request(&mut reader, &mut writer)? {
            let closes = message.closes();
            let (number, fault) = self.arrive(&message)?;
            if let Fault::Delay(time) = fault {
                self.delay(time);
            }
            let answer = match &fault {
                Fault::CutBefore => return Ok(()),
                Fault::Status(status, body) => Message::answer(*status, body),
                _ => self.forward(&message)?,
            };
            if !matches!(fault, Fault::Status(..)) {
                self.amend(number, |exchange| exchange.answer = Some(answer.clone()));
            }
            match fault {
                Fault::CutAfter => return Ok(()),
                Fault::HalfAnswer => return write_half(&mut writer, &answer),
                Fault::EmptyList => write(&mut writer, &emptied(answer.clone()))?,
                _ => write(&mut writer, &answer)?,
            }
            if closes || answer.closes() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Records a request and decides about it.
    fn arrive(&self, message: &Message) -> io::Result<(usize, Fault)> {
        let mut words = message.start.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Request {
            number: 0,
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: message.headers.clone(),
            body: message.body.clone(),
        };
        let decide = Arc::clone(&self.decide.read().unwrap_or_else(PoisonError::into_inner));
        let mut record = lock(&self.record);
        request.number = record.count;
        record.count += 1;
        record.exchanges.push(Exchange { request: request.clone(), fault: Fault::Pass, answer: None });
        // The deciding function may look at the record.
        drop(record);
        let fault = decide(&request);
        self.amend(request.number, |exchange| exchange.fault = fault.clone());
        Ok((request.number, fault))
    }

    /// Adds to the record of a request, unless that was cleared in the meantime.
    fn amend(&self, number: usize, amend: impl FnOnce(&mut Exchange)) {
        let mut record = lock(&self.record);
        if let Some(exchange) = record.exchanges.iter_mut().rev().find(|one| one.request.number == number) {
            amend(exchange);
        }
    }

    /// Passes a request on, over a connection of its own.
    fn forward(&self, request: &Message) -> io::Result<Message> {
        let mut stream = TcpStream::connect(&self.server)?;
        let number = self.open(&stream).ok_or(io::ErrorKind::ConnectionAborted)?;
        let mut request = request.clone();
        let method = request.start.split(' ').next().unwrap_or_default().to_owned();
        // The connection to the server ends with the answer; the one to the client is another matter.
        request.headers.set("Connection", "close");
        request.headers.remove("Expect");
        let answer =
            write(&mut stream, &request).and_then(|()| read_answer(&mut BufReader::new(&stream), &method));
        self.close(number);
        let mut answer = answer?;
        answer.headers.remove("Connection");
        let framed = answer.headers.get("content-length").is_some()
            || answer.headers.has("transfer-encoding", "chunked")
            || matches!(answer.status(), 204 | 304);
        if !framed {
            // It ended with the connection, which for the client goes on.
            answer.headers.set("Content-Length", answer.body.len().to_string());
        }
        Ok(answer)
    }

    /// Waits, unless the proxy is dropped.
    fn delay(&self, time: Duration) {
        let (sender, receiver): (Sender<()>, Receiver<()>) = channel();
        lock(&self.connections).delays.push(sender);
        let _ = receiver.recv_timeout(time);
    }
}

/// The answer with every list at the top level of its JSON emptied.
fn emptied(mut answer: Message) -> Message {
    if let Ok(Value::Object(mut object)) = serde_json::from_slice(&answer.body) {
        for value in object.values_mut().filter(|value| value.is_array()) {
            *value = Value::Array(Vec::new());
        }
        answer.body = Value::Object(object).to_string().into_bytes();
        if !answer.headers.has("transfer-encoding", "chunked") {
            answer.headers.set("Content-Length", answer.body.len().to_string());
        }
    }
    answer
}
