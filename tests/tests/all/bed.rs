//! The test bed itself: real Mage servers, the cluster below them, and the proxy that makes faults.
//!
//! What is checked here is what other tests lean on, and the facts about Mage that the engine is designed on.

use std::{
    io::BufReader,
    net::TcpStream,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use magus_tests::{
    mage::{
        Caller, EcsServer, Logins, MageServer, Mode, Options, Place, Role, Shared, environment,
        http::{Headers, Message, read_answer, write},
        shared,
    },
    proxy::{Fault, Proxy},
    repository,
};
use serde_json::{Value, json};

/// The shared main server and a place in it; nothing where it cannot be started.
fn main_server(test: &str) -> Option<(&'static Shared, Place)> {
    match shared(Logins::Off) {
        Ok(shared) => Some((shared, shared.place())),
        Err(missing) => {
            missing.skip(test);
            None
        }
    }
}

fn start(test: &str, mode: &Mode<'_>, options: &Options) -> Option<MageServer> {
    MageServer::start(mode, options).map_err(|missing| missing.skip(test)).ok()
}

/// The names in a list of workspaces.
fn names(list: &Value) -> Vec<&str> {
    let list = list["workspaces"].as_array().expect("a list of workspaces");
    list.iter().filter_map(|item| item["name"].as_str()).collect()
}

/// The processes that have this text in their environment.
fn processes_with(text: &str) -> Vec<String> {
    let environment = |entry: std::fs::DirEntry| {
        let bytes = std::fs::read(entry.path().join("environ")).ok()?;
        let found = bytes.windows(text.len()).any(|part| part == text.as_bytes());
        found.then(|| entry.file_name().to_string_lossy().into_owned())
    };
    std::fs::read_dir("/proc")
        .map(|entries| entries.flatten().filter_map(environment).collect())
        .unwrap_or_default()
}

#[test]
fn a_server_ends_with_its_test_also_in_a_panic() {
    let test = "a_server_ends_with_its_test_also_in_a_panic";
    let options = Options { logins: Logins::On, ..Options::default() };
    let Some(mut server) = start(test, &Mode::Standalone, &options) else { return };
    let (address, project) = (server.address(), server.project());
    let home = project.with_file_name("home").display().to_string();
    assert!(home.contains(' '), "the path has a space");
    let status = server.get(&Caller::default(), "/api/statuses");
    assert_eq!(status["statuses"][0]["project_type"], "standalone");
    assert_eq!(status["statuses"][0]["require_user_authentication"], true);
    if Path::new("/proc/self/environ").exists() {
        assert!(processes_with(&home).len() >= 2, "the server and its scheduler");
    }

    // What it stored outlives a restart.
    let owner = server.owner();
    let secret = json!({ "secret": { "name": "kept", "value": "secret-canary-91ab" } });
    server.send(&owner, "POST", "/api/secrets", Some(&secret));
    server.stop();
    assert!(TcpStream::connect(&address).is_err(), "it is stopped");
    assert!(processes_with(&home).len() <= 1, "only its keeper is left");
    server.start_again();
    assert_eq!(server.get(&owner, "/api/secrets")["secrets"][0]["name"], "kept");

    let result = catch_unwind(AssertUnwindSafe(move || {
        let _server = server;
        panic!("a test that fails");
    }));
    assert!(result.is_err());
    assert!(TcpStream::connect(&address).is_err(), "it is gone");
    assert!(!project.exists() && !project.with_file_name("log").exists(), "and so is its folder");
    assert_eq!(processes_with(&home), Vec::<String>::new(), "and so are its processes");
}

#[test]
fn a_server_reaches_nothing_beyond_this_machine() {
    let environment = match environment() {
        Ok(environment) => environment,
        Err(missing) => return missing.skip("a_server_reaches_nothing_beyond_this_machine"),
    };
    // An address of RFC 5737, which leads nowhere, and a name of RFC 2606, which nobody has.
    for (host, expect) in
        [("192.0.2.1", "192.0.2.1: tests stay"), ("mage.example", "mage.example: tests stay")]
    {
        let run = Command::new(environment.join("bin/python"))
            .args(["-c", &format!("import socket; socket.create_connection(({host:?}, 80), timeout=30)")])
            .env("PYTHONPATH", repository().join("tests/mage/loopback"))
            .output()
            .expect("Python runs");
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(!run.status.success() && said.contains(expect), "{said}");
    }
}

#[test]
fn people_have_roles_and_tokens_end() {
    let test = "people_have_roles_and_tokens_end";
    let variables = vec![("DISABLE_NOTEBOOK_EDIT_ACCESS".to_owned(), "1".to_owned())];
    let Some(server) =
        start(test, &Mode::Standalone, &Options { logins: Logins::On, variables, ..Options::default() })
    else {
        return;
    };
    let status = server.get(&Caller::default(), "/api/statuses");
    assert_eq!(status["statuses"][0]["disable_pipeline_edit_access"], true, "it has its variables");
    let owner = server.owner();
    let viewer = server.add_user(&owner, "viewer@magus.test", "viewer-canary-03cd", Some(Role::Viewer));
    let nobody = server.add_user(&owner, "nobody@magus.test", "nobody-canary-03cd", None);
    let code = |caller: &Caller, path: &str| server.get(caller, path)["error"]["code"].clone();
    for (caller, users, secrets) in [
        (&owner, Value::Null, Value::Null),
        (&viewer, json!(403), Value::Null),
        (&nobody, json!(403), json!(403)),
        (&Caller::anonymous(), json!(403), json!(403)),
        (&Caller::default(), json!(401), json!(401)),
        (&Caller::with_token("wrong"), json!(401), json!(401)),
    ] {
        assert_eq!((code(caller, "/api/users"), code(caller, "/api/secrets")), (users, secrets));
    }
    // Logging out ends the token, for good.
    let token = owner.token().expect("a token");
    let out = json!({ "session": {} });
    let out = server.send(&owner, "PUT", &format!("/api/sessions/{token}"), Some(&out));
    assert_eq!(out.json["error"], Value::Null);
    let ended = server.send(&owner, "GET", "/api/secrets", None);
    assert_eq!((ended.status, &ended.json["error"]["type"]), (401, &json!("expired_oauth_token")));
}

#[test]
fn a_running_pipeline_is_seen() {
    let Some(server) = start("a_running_pipeline_is_seen", &Mode::Standalone, &Options::default()) else {
        return;
    };
    let activity = || {
        let status = server.get(&Caller::default(), "/api/statuses?_format=with_activity_details");
        status["statuses"][0]["active_pipeline_run_count"].clone()
    };
    assert_eq!(activity(), 0);
    let run = server.start_pipeline(&Caller::default(), 2);
    server.wait("the run begins", || (activity() == 1).then_some(()));
    server.wait("the run ends", || (activity() == 0).then_some(()));
    let run = server.get(&Caller::default(), &format!("/api/pipeline_runs/{run}"));
    assert_eq!(run["pipeline_run"]["status"], "completed");
}

#[test]
fn tests_on_one_server_have_places_of_their_own() {
    let test = "tests_on_one_server_have_places_of_their_own";
    let Some((shared, here)) = main_server(test) else { return };
    let there = shared.place();
    let nobody = Caller::default();
    let text = "# magus: a mark\nimage: mageai/mageai:0.9.80\n";
    for place in [&here, &there] {
        let name = format!("{}one", place.prefix);
        let workspace = json!({ "name": name, "namespace": place.namespace, "container_config": text });
        shared.mage.create_workspace(&nobody, &workspace);
    }
    for (place, other) in [(&here, &there), (&there, &here)] {
        let list = shared.mage.get(&nobody, &format!("/api/workspaces?namespace[]={}", place.namespace));
        assert_eq!(names(&list), [format!("{}one", place.prefix)]);
        assert_eq!(list["workspaces"][0]["container_config"], text);
        let set = format!("/apis/apps/v1/namespaces/{}/statefulsets/{}one", place.namespace, place.prefix);
        assert_eq!(shared.kubernetes.send("GET", &set, None).json["spec"]["replicas"], 1);
        // One server knows a name once, whatever the namespace is.
        let again =
            json!({ "workspace": { "name": format!("{}one", other.prefix), "namespace": place.namespace } });
        let answer = shared.mage.send(&nobody, "POST", "/api/workspaces", Some(&again)).json;
        assert_eq!(answer["error"]["code"], 400, "{answer}");
    }
    // A rule for pods shows in Mage.
    shared.kubernetes.rule(&here.namespace, &here.prefix, "pending");
    let detail = format!("/api/workspaces/{}one", here.prefix);
    shared.kubernetes.wait("the pod is pending", || {
        let status = shared.mage.get(&nobody, &detail)["workspace"]["instance"]["status"].clone();
        (status == "PENDING").then_some(())
    });
}

#[test]
fn faults_between_mage_and_kubernetes_stay_in_their_namespace() {
    let test = "faults_between_mage_and_kubernetes_stay_in_their_namespace";
    let Some((shared, broken)) = main_server(test) else { return };
    let whole = shared.place();
    let nobody = Caller::default();
    let workspace = |place: &Place, name: &str| json!({ "name": format!("{}{name}", place.prefix), "namespace": place.namespace });
    // The answer to the creation of the StatefulSet is lost: Mage reports a failure and removes its own file, and the
    // StatefulSet stays.
    shared.decide(&broken, |request| {
        match (request.method.as_str(), request.path.ends_with("/statefulsets")) {
            ("POST", true) => Fault::CutAfter,
            _ => Fault::Pass,
        }
    });
    shared.mage.create_workspace(&nobody, &workspace(&whole, "one"));
    let body = json!({ "workspace": workspace(&broken, "one") });
    let answer = shared.mage.send(&nobody, "POST", "/api/workspaces", Some(&body)).json;
    assert_eq!(answer["error"]["code"], 400, "{answer}");
    let detail = shared.mage.get(&nobody, &format!("/api/workspaces/{}one", broken.prefix));
    assert_eq!(detail["error"]["type"], "record_not_found");
    let set = format!("/apis/apps/v1/namespaces/{}/statefulsets/{}one", broken.namespace, broken.prefix);
    assert_eq!(shared.kubernetes.send("GET", &set, None).status, 200, "an orphan");
    let exchanges = shared.exchanges(&broken);
    let lost = exchanges.iter().find(|exchange| exchange.fault == Fault::CutAfter).expect("a fault");
    assert_eq!((lost.request.method.as_str(), lost.status()), ("POST", Some(201)));
    assert!(shared.exchanges(&whole).iter().all(|exchange| exchange.fault == Fault::Pass));

    // Kubernetes says that there are no Services: the workspace is in no list, and still there.
    shared.decide(&whole, |request| match request.path.ends_with("/services") {
        true => Fault::EmptyList,
        false => Fault::Pass,
    });
    let list = shared.mage.get(&nobody, &format!("/api/workspaces?namespace[]={}", whole.namespace));
    assert_eq!(names(&list), Vec::<&str>::new());
    let detail = shared.mage.get(&nobody, &format!("/api/workspaces/{}one", whole.prefix));
    assert_eq!(detail["workspace"]["instance"], Value::Null);
    shared.decide(&whole, |_| Fault::Pass);
    let list = shared.mage.get(&nobody, &format!("/api/workspaces?namespace[]={}", whole.namespace));
    assert_eq!(names(&list), [format!("{}one", whole.prefix)]);
}

#[test]
fn workspaces_on_ecs_are_tasks() {
    let test = "workspaces_on_ecs_are_tasks";
    let ecs = match EcsServer::start() {
        Ok(ecs) => ecs,
        Err(missing) => return missing.skip(test),
    };
    let Some(server) = start(test, &Mode::MainEcs(&ecs), &Options::default()) else { return };
    let nobody = Caller::default();
    let instance = || {
        let list = server.get(&nobody, "/api/workspaces");
        list["workspaces"][0]["instance"].clone()
    };
    let act = |body: Value| {
        server.send(&nobody, "PUT", "/api/workspaces/one", Some(&json!({ "workspace": body }))).json
    };
    server.create_workspace(&nobody, &json!({ "name": "one" }));
    let first = instance();
    assert_eq!(first["status"], "RUNNING");
    assert_eq!(act(json!({ "action": "stop" }))["error"]["code"], 400, "stop needs the task");
    act(json!({ "action": "stop", "task_arn": first["task_arn"] }));
    assert_eq!(instance(), json!({ "name": "one", "status": "STOPPED" }));
    act(json!({ "action": "resume" }));
    let second = instance();
    assert_eq!(second["status"], "RUNNING");
    assert_ne!(second["task_arn"], first["task_arn"]);
    assert_eq!(act(json!({ "action": "patch" }))["error"]["code"], 400, "there is no patch");
    server.send(&nobody, "DELETE", "/api/workspaces/one", None);
    assert_eq!(server.get(&nobody, "/api/workspaces")["workspaces"], json!([]));
}

/// A request as a client sends it that keeps its connection.
fn ask(stream: &mut TcpStream, method: &str, target: &str, body: Option<&Value>) -> std::io::Result<Message> {
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let mut headers = Headers::default();
    headers.set("Host", "mage.test");
    headers.set("Content-Type", "application/json");
    headers.set("Content-Length", body.len().to_string());
    write(stream, &Message { start: format!("{method} {target} HTTP/1.1"), headers, body })?;
    read_answer(&mut BufReader::new(stream), method)
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.url().trim_start_matches("http://")).expect("the proxy listens");
    stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a timeout");
    stream
}

fn body(answer: &Message) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[test]
fn a_proxy_passes_on_keeps_connections_and_records() {
    let Some((shared, place)) = main_server("a_proxy_passes_on_keeps_connections_and_records") else {
        return;
    };
    let proxy = Proxy::start(&shared.mage.url());
    let mut stream = connect(&proxy);
    let list = format!("/api/workspaces?namespace[]={}", place.namespace);
    let name = format!("{}kept", place.prefix);
    let create = json!({ "workspace": { "name": name, "namespace": place.namespace } });
    for _ in 0..2 {
        let direct = shared.mage.get(&Caller::default(), &list);
        let passed = ask(&mut stream, "GET", &list, None).expect("an answer");
        assert_eq!((passed.status(), body(&passed)), (200, direct));
    }
    ask(&mut stream, "POST", "/api/workspaces", Some(&create)).expect("an answer on the same connection");
    let passed = ask(&mut stream, "GET", &list, None).expect("an answer");
    assert_eq!(names(&body(&passed)), [name.as_str()]);

    let exchanges = proxy.exchanges();
    assert_eq!(exchanges.len(), 4);
    assert!(exchanges.iter().all(|exchange| exchange.fault == Fault::Pass && exchange.status() == Some(200)));
    assert_eq!(proxy.count(|request| request.method == "POST" && request.path == "/api/workspaces"), 1);
    assert_eq!(exchanges[0].request.query_value("namespace[]"), Some(place.namespace.as_str()));
    assert_eq!(exchanges[2].request.json(), create);
    assert!(exchanges[2].sends(&name) && !exchanges[2].receives(&name));
    assert!(!exchanges[0].sends(&name) && exchanges[3].receives(&name));
    let shown = format!("{exchanges:?}");
    assert!(!shown.contains(&name) && !shown.contains(&place.namespace), "values are not shown: {shown}");
    proxy.clear();
    assert_eq!(proxy.exchanges().len(), 0);

    // Kubernetes answers in chunks where Mage tells the length.
    let proxy = Proxy::start(shared.kubernetes.http_url());
    let mut stream = connect(&proxy);
    let mut framings = Vec::new();
    for path in ["/version", "/openapi/v2", "/version"] {
        let answer = ask(&mut stream, "GET", path, None).expect("an answer");
        assert!(body(&answer).is_object());
        framings.push(answer.headers.has("transfer-encoding", "chunked"));
    }
    assert!(framings.contains(&true) && framings.contains(&false), "{framings:?}");
}

#[test]
fn a_proxy_makes_faults() {
    let Some((shared, place)) = main_server("a_proxy_makes_faults") else { return };
    let proxy = Proxy::start(&shared.mage.url());
    let list = format!("/api/workspaces?namespace[]={}", place.namespace);
    let create = |name: &str| {
        let name = format!("{}{name}", place.prefix);
        json!({ "workspace": { "name": name, "namespace": place.namespace } })
    };
    let there = || names(&shared.mage.get(&Caller::default(), &list)).len();

    proxy.decide(|_| Fault::CutBefore);
    assert!(ask(&mut connect(&proxy), "POST", "/api/workspaces", Some(&create("one"))).is_err());
    assert_eq!(there(), 0, "the server has not seen it");
    proxy.decide(|_| Fault::CutAfter);
    assert!(ask(&mut connect(&proxy), "POST", "/api/workspaces", Some(&create("one"))).is_err());
    assert_eq!(there(), 1, "the server has done it");

    proxy.decide(|_| Fault::HalfAnswer);
    let error = ask(&mut connect(&proxy), "GET", &list, None).expect_err("half an answer");
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);

    let mut stream = connect(&proxy);
    proxy.decide(|_| Fault::EmptyList);
    let answer = ask(&mut stream, "GET", &list, None).expect("an answer");
    assert_eq!(body(&answer), json!({ "workspaces": [], "metadata": {} }));
    proxy.decide(|_| Fault::Status(503, r#"{"busy": true}"#.to_owned()));
    let answer = ask(&mut stream, "GET", &list, None).expect("an answer on the same connection");
    assert_eq!((answer.status(), body(&answer)), (503, json!({ "busy": true })));
    proxy.decide(|request| if request.number % 2 == 0 { Fault::Pass } else { Fault::CutBefore });
    let even = proxy.exchanges().len().is_multiple_of(2);
    assert_eq!(ask(&mut connect(&proxy), "GET", &list, None).is_ok(), even, "requests are counted");
    assert_eq!(ask(&mut connect(&proxy), "GET", &list, None).is_ok(), !even, "requests are counted");

    let time = Duration::from_millis(300);
    proxy.decide(move |_| Fault::Delay(time));
    let start = Instant::now();
    ask(&mut connect(&proxy), "GET", "/api/statuses", None).expect("an answer");
    assert!(start.elapsed() >= time, "{:?}", start.elapsed());

    let faults: Vec<_> = proxy.exchanges().into_iter().map(|one| (one.fault.clone(), one.status())).collect();
    assert_eq!(faults[0], (Fault::CutBefore, None));
    assert_eq!(faults[1], (Fault::CutAfter, Some(200)));
    assert_eq!(faults[4], (Fault::Status(503, r#"{"busy": true}"#.to_owned()), None));

    // A proxy that goes away ends what it holds back, and does not wait for it.
    proxy.decide(|_| Fault::Delay(Duration::from_secs(600)));
    let count = proxy.exchanges().len();
    let mut stream = connect(&proxy);
    let waiting = std::thread::spawn(move || ask(&mut stream, "GET", "/api/statuses", None));
    while proxy.exchanges().len() == count {
        assert!(start.elapsed() < Duration::from_secs(60), "the request arrives");
        std::thread::yield_now();
    }
    let start = Instant::now();
    drop(proxy);
    let _ = waiting.join().expect("it does not panic");
    assert!(start.elapsed() < Duration::from_secs(60), "it waited {:?}", start.elapsed());
}
