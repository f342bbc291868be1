//! A stand-in for a Mage server and the Kubernetes cluster below it: it holds workspaces, takes its time, and records what
//! it is asked for. Only as much of both as a plan and an apply of plain workspaces ask for.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// The namespace of its workspaces.
pub(super) const NAMESPACE: &str = "bench";

/// A server on loopback; it ends with the process.
pub(super) struct StandIn {
    /// `http://127.0.0.1:PORT`, of both.
    pub(super) url: String,
    state: Arc<Mutex<State>>,
}

/// What it has and what it was asked for.
#[derive(Default)]
struct State {
    /// The stored text of each workspace.
    texts: BTreeMap<String, String>,
    /// Those whose pod is about to be replaced, with how often they are shown until then: first as they were, once as
    /// pending, and then as running.
    pending: BTreeMap<String, u8>,
    /// How often it was asked for what, such as `GET /api/workspaces/NAME`.
    asked: BTreeMap<String, usize>,
    /// How long the list of workspaces takes, and that of StatefulSets.
    lists: (Duration, Duration),
    /// The variables that every workspace runs with.
    variables: Vec<(String, String)>,
}

impl StandIn {
    /// Starts one whose workspaces run with these variables.
    pub(super) fn start(variables: Vec<(String, String)>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(Mutex::new(State { variables, ..State::default() }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A connection that breaks is the other side's business.
                thread::spawn(move || drop(serve(&stream, &state)));
            }
        });
        Ok(Self { url, state })
    }

    /// Lets the lists of workspaces and of StatefulSets take so long.
    pub(super) fn take_time(&self, workspaces: Duration, sets: Duration) {
        lock(&self.state).lists = (workspaces, sets);
    }

    /// What was asked for since the last time.
    pub(super) fn asked(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut lock(&self.state).asked)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers the requests of one connection.
fn serve(stream: &TcpStream, state: &Mutex<State>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(()) };
        let (method, path) = (method.to_owned(), target.split('?').next().unwrap_or_default().to_owned());
        let mut length = 0;
        loop {
            let mut field = String::new();
            reader.read_line(&mut field)?;
            if field.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = field.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let answer = answer(state, &method, &path, &body).to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        (&mut &*stream).write_all(&[head.as_bytes(), answer.as_bytes()].concat())?;
    }
}

fn answer(state: &Mutex<State>, method: &str, path: &str, body: &Value) -> Value {
    const WORKSPACES: &str = "/api/workspaces";
    let name = path.strip_prefix(WORKSPACES).and_then(|rest| rest.strip_prefix('/'));
    let asked =
        if name.is_some() { format!("{method} {WORKSPACES}/NAME") } else { format!("{method} {path}") };
    let mut held = lock(state);
    *held.asked.entry(asked).or_default() += 1;
    let fields = &body["workspace"];
    let text = || fields["container_config"].as_str().unwrap_or_default().to_owned();
    let not_found = || json!({ "error": { "code": 404, "type": "record_not_found", "message": "not here" } });
    match (method, path, name) {
        (_, "/api/statuses", _) => json!({ "statuses": [{
            "project_type": "main", "instance_type": "k8s", "require_user_authentication": true,
        }] }),
        (_, "/api/sessions", _) => {
            json!({ "session": { "token": "t", "user": { "owner": true, "project_access": 1 } } })
        }
        ("GET", WORKSPACES, _) => {
            let (time, items) =
                (held.lists.0, held.texts.iter().map(|(name, text)| item(name, text, "RUNNING")).collect());
            drop(held);
            thread::sleep(time);
            json!({ "workspaces": Value::Array(items) })
        }
        ("POST", WORKSPACES, _) => {
            held.texts.insert(fields["name"].as_str().unwrap_or_default().to_owned(), text());
            json!({ "workspace": { "success": true } })
        }
        ("GET", _, Some(name)) => {
            let left =
                held.pending.get_mut(name).map_or(0, |left| std::mem::replace(left, left.saturating_sub(1)));
            let status = if left == 1 { "PENDING" } else { "RUNNING" };
            held.texts
                .get(name)
                .map_or_else(not_found, |text| json!({ "workspace": item(name, text, status) }))
        }
        ("PUT", _, Some(name)) => {
            held.texts.insert(name.to_owned(), text());
            held.pending.insert(name.to_owned(), 2);
            json!({ "workspace": item(name, "{}", "RUNNING") })
        }
        ("GET", _, None) if path.ends_with("/statefulsets") => {
            let items = held.texts.keys().map(|name| stateful_set(name, &held.variables)).collect();
            let time = held.lists.1;
            drop(held);
            thread::sleep(time);
            json!({ "apiVersion": "apps/v1", "kind": "StatefulSetList", "metadata": {}, "items": Value::Array(items) })
        }
        _ => not_found(),
    }
}

/// A workspace as Mage shows it.
fn item(name: &str, text: &str, status: &str) -> Value {
    json!({
        "name": name, "project_uuid": name, "namespace": NAMESPACE, "container_config": text,
        "instance": { "name": name, "type": "ClusterIP", "status": status, "ip": null },
    })
}

/// A workspace as Kubernetes shows it.
fn stateful_set(name: &str, variables: &[(String, String)]) -> Value {
    let own = [("KUBE_NAMESPACE", NAMESPACE), ("USER_CODE_PATH", name)];
    let own = own.into_iter().map(|(name, value)| json!({ "name": name, "value": value }));
    let declared = variables.iter().map(|(name, value)| json!({ "name": name, "value": value }));
    json!({
        "metadata": {
            "name": name, "namespace": NAMESPACE, "uid": name, "resourceVersion": "1", "generation": 1,
            "labels": { "app": name },
        },
        "spec": {
            "replicas": 1, "minReadySeconds": 10,
            "template": { "metadata": { "labels": { "app": name } }, "spec": { "containers": [{
                "name": format!("{name}-container"), "image": super::mage::IMAGE,
                "env": own.chain(declared).collect::<Vec<_>>(),
            }] } },
            "volumeClaimTemplates": [{ "metadata": { "name": "mage-data" }, "spec": {
                "accessModes": ["ReadWriteMany"], "resources": { "requests": { "storage": "2Gi" } },
            } }],
        },
        "status": {
            "observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "updatedReplicas": 1,
            "currentRevision": "1", "updateRevision": "1",
        },
    })
}
