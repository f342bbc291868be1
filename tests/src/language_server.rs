//! The yaml-language-server over stdio, as an editor drives it.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        OnceLock,
        mpsc::{Receiver, channel},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// How long the server may take for anything; generous, because it starts on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Installs the pinned server under `target/`, once, and says where its program is. Nothing where node or npm is
/// missing.
///
/// # Panics
/// Where npm is there and fails.
pub fn install() -> Option<PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(install_once).clone()
}

fn install_once() -> Option<PathBuf> {
    let missing = |program: &str| Command::new(program).arg("--version").output().is_err();
    if missing("node") || missing("npm") {
        return None;
    }
    let source = crate::repository().join("tests/yaml-language-server");
    let target = crate::repository().join("target/yaml-language-server");
    let program = target.join("node_modules/yaml-language-server/bin/yaml-language-server");
    let lock = fs::read(source.join("package-lock.json")).expect("the lock file");
    // Written last: an installation that was interrupted is made again.
    let installed = target.join("installed.json");
    if fs::read(&installed).ok().as_ref() != Some(&lock) {
        fs::create_dir_all(&target).expect("a folder under target/");
        for file in ["package.json", "package-lock.json"] {
            fs::copy(source.join(file), target.join(file)).expect("a copy");
        }
        let npm = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(&target)
            .output()
            .expect("npm starts");
        assert!(npm.status.success(), "npm ci: {}", String::from_utf8_lossy(&npm.stderr));
        fs::write(&installed, lock).expect("a mark");
    }
    Some(program)
}

/// A running server.
pub struct LanguageServer {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    diagnostics: BTreeMap<String, Vec<Value>>,
    last_id: u64,
}

impl LanguageServer {
    /// Starts the server and greets it. It gets no settings but one that keeps it off the network: its catalogue of
    /// public schemas.
    pub fn start(program: &Path, folder: &Path) -> Self {
        let mut child = Command::new("node")
            .arg(program)
            .arg("--stdio")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts");
        let input = child.stdin.take().expect("its input");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            while let Some(message) = read_message(&mut output) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut server = Self { child, input, messages, diagnostics: BTreeMap::new(), last_id: 0 };
        server.request(
            "initialize",
            json!({
                "processId": null,
                "rootUri": null,
                "capabilities": {
                    "workspace": { "configuration": true },
                    "textDocument": {
                        "completion": { "completionItem": { "documentationFormat": ["markdown"], "snippetSupport": true } },
                        "hover": { "contentFormat": ["markdown"] },
                        "publishDiagnostics": {},
                    },
                },
            }),
        );
        server.notify("initialized", json!({}));
        server
    }

    /// Opens a file as it lies on disk and waits for what the server finds in it.
    pub fn open(&mut self, path: &Path) -> Vec<Value> {
        let (uri, text) = (uri(path), fs::read_to_string(path).expect("a file"));
        let document = json!({ "uri": uri, "languageId": "yaml", "version": 1, "text": text });
        self.notify("textDocument/didOpen", json!({ "textDocument": document }));
        let start = Instant::now();
        loop {
            if let Some(found) = self.diagnostics.remove(&uri) {
                return found;
            }
            let message = self.receive(start);
            self.handle(message);
        }
    }

    /// What the server offers at a place; lines and characters count from 0.
    pub fn complete(&mut self, path: &Path, line: u32, character: u32) -> Vec<Value> {
        let answer = self.request("textDocument/completion", at(path, line, character));
        let items = answer.get("items").unwrap_or(&answer);
        items.as_array().cloned().unwrap_or_default()
    }

    /// What the server shows at a place; lines and characters count from 0.
    pub fn hover(&mut self, path: &Path, line: u32, character: u32) -> String {
        let answer = self.request("textDocument/hover", at(path, line, character));
        answer["contents"]["value"].as_str().unwrap_or_default().to_owned()
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Panics
    /// Where the answer is an error, or does not come.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        let start = Instant::now();
        loop {
            let mut message = self.receive(start);
            if message.get("method").is_none() && message["id"] == id {
                assert!(message.get("error").is_none(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.handle(message);
        }
    }

    fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn send(&mut self, message: &Value) {
        let body = message.to_string();
        write!(self.input, "Content-Length: {}\r\n\r\n{body}", body.len()).expect("the server reads");
        self.input.flush().expect("the server reads");
    }

    fn receive(&self, start: Instant) -> Value {
        let left = DEADLINE.saturating_sub(start.elapsed());
        self.messages.recv_timeout(left).expect("the server answers in time")
    }

    /// Keeps what was found, and answers what the server asks.
    fn handle(&mut self, message: Value) {
        match message["method"].as_str() {
            Some("textDocument/publishDiagnostics") => {
                let params = &message["params"];
                let uri = params["uri"].as_str().unwrap_or_default().to_owned();
                self.diagnostics.insert(uri, params["diagnostics"].as_array().cloned().unwrap_or_default());
            }
            Some("workspace/configuration") => {
                let asked = message["params"]["items"].as_array().into_iter().flatten();
                let settings: Vec<Value> = asked
                    .map(|item| match item["section"].as_str() {
                        Some("yaml") => json!({ "schemaStore": { "enable": false } }),
                        _ => json!({}),
                    })
                    .collect();
                self.answer(&message["id"], Value::Array(settings));
            }
            Some(_) if message.get("id").is_some() => self.answer(&message["id"], Value::Null),
            _ => {}
        }
    }

    fn answer(&mut self, id: &Value, result: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "result": result }));
    }
}

impl Drop for LanguageServer {
    fn drop(&mut self) {
        // It may have ended by itself, and nobody waits for it.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn at(path: &Path, line: u32, character: u32) -> Value {
    json!({ "textDocument": { "uri": uri(path) }, "position": { "line": line, "character": character } })
}

/// The address of a file, with everything escaped that an address cannot hold.
fn uri(path: &Path) -> String {
    let mut uri = "file://".to_owned();
    for byte in path.to_str().expect("a path that is text").bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'~' => uri.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// The next message; nothing where the server has ended.
fn read_message(output: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            header => {
                if let Some(value) = header.strip_prefix("Content-Length: ") {
                    length = value.parse().ok()?;
                }
            }
        }
    }
    let mut body = vec![0; length];
    output.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
