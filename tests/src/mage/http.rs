//! HTTP/1.1 messages over plain TCP: as much as the fault proxy and the tests' own requests need.
//!
//! A body is read whole before anything else happens, so an answer that does not end (a watch of Kubernetes) cannot
//! pass here. Reading knows `Content-Length`, chunks, and a body that ends with the connection; writing keeps the kind.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

/// No message of a test is larger; it keeps a broken peer from filling the memory.
const LARGEST_BODY: usize = 256 << 20;

/// Header fields in their order, names as they were written.
#[derive(Clone, Default)]
pub struct Headers(pub Vec<(String, String)>);

/// A request or an answer.
#[derive(Clone)]
pub struct Message {
    /// The first line, without its end.
    pub start: String,
    /// The header fields.
    pub headers: Headers,
    /// The body, without chunks.
    pub body: Vec<u8>,
}

impl Headers {
    /// The value of the first field of that name; case does not count.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(field, _)| field.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// Replaces all fields of that name by one.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.0.push((name.to_owned(), value.into()));
    }

    /// Removes all fields of that name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(field, _)| !field.eq_ignore_ascii_case(name));
    }

    /// Whether a list-valued field holds this word.
    pub fn has(&self, name: &str, word: &str) -> bool {
        self.get(name).is_some_and(|value| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
    }
}

/// Names only: values can be keys and tokens.
impl fmt::Debug for Headers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Without values and body, which can be secrets.
impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.start.split('?').next().unwrap_or_default();
        write!(formatter, "{start} {:?} and {} bytes", self.headers, self.body.len())
    }
}

impl Message {
    /// An answer with a JSON body.
    pub fn answer(status: u16, body: &str) -> Self {
        let headers =
            [("Content-Type", "application/json".to_owned()), ("Content-Length", body.len().to_string())];
        Self {
            start: format!("HTTP/1.1 {status} Fault"),
            headers: Headers(headers.map(|(name, value)| (name.to_owned(), value)).to_vec()),
            body: body.as_bytes().to_vec(),
        }
    }

    /// The status of an answer; 0 where the first line is not one.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    /// Whether the sender closes the connection after this message.
    pub fn closes(&self) -> bool {
        let old = self.start.contains("HTTP/1.0");
        self.headers.has("connection", "close") || (old && !self.headers.has("connection", "keep-alive"))
    }
}

/// Reads a request; nothing where the peer closed the connection instead of sending one.
///
/// # Errors
/// A connection that breaks off within, and what is no HTTP/1.1.
pub fn read_request(reader: &mut impl BufRead, answers: &mut impl Write) -> io::Result<Option<Message>> {
    let Some((start, headers)) = read_head(reader)? else { return Ok(None) };
    if headers.has("expect", "100-continue") {
        answers.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let body = read_body(reader, &headers, Some(0))?;
    Ok(Some(Message { start, headers, body }))
}

/// Reads the answer to a request of that method, past interim answers.
///
/// # Errors
/// A connection that breaks off before the answer is complete, and what is no HTTP/1.1.
pub fn read_answer(reader: &mut impl BufRead, method: &str) -> io::Result<Message> {
    loop {
        let (start, headers) = read_head(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut answer = Message { start, headers, body: Vec::new() };
        match answer.status() {
            100..=199 => {}
            204 | 304 => return Ok(answer),
            _ if method == "HEAD" => return Ok(answer),
            _ => {
                answer.body = read_body(reader, &answer.headers, None)?;
                return Ok(answer);
            }
        }
    }
}

/// Writes a message with the framing that its header fields tell.
///
/// # Errors
/// A peer that is gone.
pub fn write(writer: &mut impl Write, message: &Message) -> io::Result<()> {
    let mut bytes = head(message);
    if message.headers.has("transfer-encoding", "chunked") {
        if !message.body.is_empty() {
            bytes.extend(format!("{:x}\r\n", message.body.len()).into_bytes());
            bytes.extend(&message.body);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
    } else {
        bytes.extend(&message.body);
    }
    writer.write_all(&bytes)?;
    writer.flush()
}

/// Writes the head, which promises the whole body, and the first half of the body.
///
/// # Errors
/// A peer that is gone.
pub fn write_half(writer: &mut impl Write, message: &Message) -> io::Result<()> {
    let mut bytes = head(message);
    if message.headers.has("transfer-encoding", "chunked") {
        bytes.extend(format!("{:x}\r\n", message.body.len().max(1)).into_bytes());
    }
    bytes.extend(&message.body[..message.body.len() / 2]);
    writer.write_all(&bytes)?;
    writer.flush()
}

fn head(message: &Message) -> Vec<u8> {
    let mut text = format!("{}\r\n", message.start);
    for (name, value) in &message.headers.0 {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

fn read_head(reader: &mut impl BufRead) -> io::Result<Option<(String, Headers)>> {
    let Some(start) = read_line(reader)? else { return Ok(None) };
    let mut headers = Headers::default();
    loop {
        let line = read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(Some((start, headers)));
        }
        let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        headers.0.push((name.to_owned(), value.trim().to_owned()));
    }
}

/// A line without its end; nothing at the end of the connection.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if reader.by_ref().take(1 << 16).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let line = line.strip_suffix('\n').ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(Some(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

/// `unknown` is the length where no field tells one; without it the body ends with the connection.
fn read_body(reader: &mut impl BufRead, headers: &Headers, unknown: Option<usize>) -> io::Result<Vec<u8>> {
    if headers.has("transfer-encoding", "chunked") {
        return read_chunks(reader);
    }
    let told = headers.get("content-length").map(|value| value.parse::<usize>());
    match told.transpose().map_err(|_| io::ErrorKind::InvalidData)?.or(unknown) {
        Some(length) => read_exactly(reader, length),
        None => {
            let mut body = Vec::new();
            reader.take(LARGEST_BODY as u64).read_to_end(&mut body)?;
            Ok(body)
        }
    }
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
        if size == 0 {
            // Trailers, which nobody here sends, and the empty line.
            while read_line(reader)?.is_some_and(|line| !line.is_empty()) {}
            return Ok(body);
        }
        body.extend(read_exactly(reader, size)?);
        read_line(reader)?;
        if body.len() > LARGEST_BODY {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
}

fn read_exactly(reader: &mut impl BufRead, length: usize) -> io::Result<Vec<u8>> {
    if length > LARGEST_BODY {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; `null` where it is no JSON.
    pub json: Value,
}

/// Sends one request over a connection of its own.
///
/// `address` is `host:port`, `target` the path with its query.
///
/// # Errors
/// A server that is not there, breaks off or takes longer than `deadline`.
pub fn send(
    address: &str,
    (method, target): (&str, &str),
    fields: &[(&str, &str)],
    body: Option<&Value>,
    deadline: Duration,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(deadline))?;
    let mut headers = Headers::default();
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    for (name, value) in [("Host", address), ("Connection", "close"), ("Content-Type", "application/json")] {
        headers.set(name, value);
    }
    headers.set("Content-Length", body.len().to_string());
    for (name, value) in fields {
        headers.set(name, *value);
    }
    write(&mut stream, &Message { start: format!("{method} {target} HTTP/1.1"), headers, body })?;
    let answer = read_answer(&mut BufReader::new(stream), method)?;
    Ok(Answer { status: answer.status(), json: serde_json::from_slice(&answer.body).unwrap_or(Value::Null) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_answer(bytes: &str, method: &str, expect: Option<(u16, &str, &str)>) {
        let mut reader = BufReader::new(bytes.as_bytes());
        let found = read_answer(&mut reader, method).ok().map(|answer| {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            (answer.status(), body)
        });
        let rest = io::read_to_string(&mut reader).expect("text");
        let found = found.as_ref().map(|(status, body)| (*status, body.as_str(), rest.as_str()));
        assert_eq!(found, expect, "{bytes}");
    }

    #[test]
    fn answers_are_read_to_their_end_and_no_further() {
        check_answer(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcnext",
            "GET",
            Some((200, "abc", "next")),
        );
        check_answer(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\nnext",
            "GET",
            Some((200, "abcde", "next")),
        );
        check_answer("HTTP/1.1 200 OK\r\n\r\nall of it", "GET", Some((200, "all of it", "")));
        check_answer("HTTP/1.1 204 No Content\r\n\r\nnext", "DELETE", Some((204, "", "next")));
        check_answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnext", "HEAD", Some((200, "", "next")));
        check_answer(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx",
            "POST",
            Some((201, "x", "")),
        );
    }

    #[test]
    fn answers_that_break_off_are_errors() {
        for bytes in [
            "",
            "HTTP/1.1 200 OK\r\nContent-Le",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nabc",
        ] {
            assert!(read_answer(&mut BufReader::new(bytes.as_bytes()), "GET").is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_written_reads_the_same() {
        for framing in [("Content-Length", "3"), ("Transfer-Encoding", "chunked")] {
            let headers = Headers(vec![(framing.0.to_owned(), framing.1.to_owned())]);
            let message = Message { start: "HTTP/1.1 200 OK".to_owned(), headers, body: b"abc".to_vec() };
            let (mut whole, mut half) = (Vec::new(), Vec::new());
            write(&mut whole, &message).expect("written");
            write_half(&mut half, &message).expect("written");
            let read = read_answer(&mut BufReader::new(whole.as_slice()), "GET").expect("an answer");
            assert_eq!((read.body.as_slice(), &read.headers.0), (b"abc".as_slice(), &message.headers.0));
            assert!(half.len() < whole.len() && whole.starts_with(&half), "a beginning of it");
            assert!(read_answer(&mut BufReader::new(half.as_slice()), "GET").is_err(), "{framing:?}");
        }
    }

    #[test]
    fn debug_output_holds_no_values() {
        let headers = Headers(vec![("X-API-KEY".to_owned(), "canary".to_owned())]);
        let start = "GET /api/workspaces?api_key=canary HTTP/1.1".to_owned();
        let shown = format!("{:?}", Message { start, headers, body: b"canary".to_vec() });
        assert_eq!(shown, r#"GET /api/workspaces ["X-API-KEY"] and 6 bytes"#);
    }
}
