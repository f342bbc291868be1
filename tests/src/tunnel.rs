//! A proxy as companies have them: it leads whoever asks for any host to one server.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// A running proxy. It ends with the process.
pub struct Tunnel {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Tunnel {
    /// A proxy that leads to this server, `host:port`.
    ///
    /// # Panics
    /// Where loopback has no free port.
    pub fn to(server: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
        let address = listener.local_addr().expect("an address");
        let sent = Arc::default();
        let (all, server) = (Arc::clone(&sent), server.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (all, server) = (Arc::clone(&all), server.clone());
                thread::spawn(move || lead(client, &server, &all));
            }
        });
        Self { address, sent }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All that went through it to the server, and the heads with which it was asked for.
    pub fn sent(&self) -> String {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&sent).into_owned()
    }
}

/// Answers `CONNECT`, and passes on what comes after it, both ways.
fn lead(client: TcpStream, server: &str, sent: &Mutex<Vec<u8>>) -> io::Result<()> {
    let note = |bytes: &[u8]| sent.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
    let mut head = BufReader::new(client.try_clone()?);
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n\r\n") {
        if head.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
    }
    note(&line);
    let mut to_server = TcpStream::connect(server)?;
    let (mut from_server, mut to_client) = (to_server.try_clone()?, client);
    to_client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let mut bytes = [0; 4096];
    loop {
        let count = head.read(&mut bytes)?;
        if count == 0 {
            return to_server.shutdown(Shutdown::Both);
        }
        note(&bytes[..count]);
        to_server.write_all(&bytes[..count])?;
    }
}
