//! Real Mage servers for tests.
//!
//! A server runs in a folder of its own, with its own HOME, database and keys, on a free port of loopback, and reaches
//! nothing beyond this machine. It ends with the test, however that ends. Starting one takes 6 to 10 seconds and some
//! 300 MB: tests that can share one take [`shared`], each with a namespace and names of its own, because a Mage server
//! knows every workspace by its bare name, whatever its namespace is.

mod ecs;
mod environment;
pub mod http;
mod kubernetes;
mod process;
mod shared;

use std::{
    ffi::OsString,
    fmt::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};

pub use ecs::EcsServer;
use environment::DATABASE;
pub use environment::{Missing, database, ecs_environment, environment, kube_apiserver};
use http::{Answer, send};
pub use kubernetes::{KubernetesServer, MAIN_NAMESPACE, MAIN_POD, kubeconfig_for};
use process::{Kept, Program, new_folder};
pub use shared::{Place, Shared, shared, shared_kubernetes};

use crate::repository;

/// The API key that ships with Mage, a constant in its `settings/server.py`: public, and the same everywhere.
pub const API_KEY: &str = "zkWlN0PkIKSN0C11CfUHUj84OT5XOJ6tDZ6bDRO2";

/// The first owner's address, where logins are on.
pub const OWNER_EMAIL: &str = "owner@magus.test";

/// The first owner's password: a value that a test can search for where it must not be.
pub const OWNER_PASSWORD: &str = "owner-canary-5e1f";

/// What stands for the folder of a server's project before anybody knows where it is.
pub const PROJECT: &str = "{project}";

/// How long one request may take: a list over many workspaces stops the whole server for that time.
const REQUEST: Duration = Duration::from_secs(120);

/// How long the request may take that tells whether errors are answered yet.
const ERROR: Duration = Duration::from_secs(2);

/// What Mage writes last before its start is over.
const LAST_OF_THE_START: &str = "Initializing block action object cache.";

/// How often a start is tried where somebody else took the port in between.
const STARTS: usize = 3;

/// What kind of server to start.
pub enum Mode<'a> {
    /// A workspace's own server: secrets, pipelines, runs.
    Standalone,
    /// The main server of a cluster on Kubernetes; the pod [`MAIN_POD`] has to exist in [`MAIN_NAMESPACE`].
    MainKubernetes {
        /// The text of the kubeconfig that Mage uses, as [`kubeconfig_for`] makes it. It may point at a proxy.
        kubeconfig: &'a str,
    },
    /// The main server of a cluster on ECS.
    MainEcs(&'a EcsServer),
}

/// Whether people have to log in.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub enum Logins {
    /// Everybody may do everything, and any API key is as good as none.
    #[default]
    Off,
    /// There is the owner [`OWNER_EMAIL`]; [`MageServer::add_user`] makes more.
    On,
}

/// How to start a server.
#[derive(Clone, Default)]
pub struct Options {
    /// Whether people have to log in.
    pub logins: Logins,
    /// The identity of its project, which Mage's image takes from `PROJECT_UUID` (`scripts/run_app.sh`).
    pub project_uuid: Option<String>,
    /// More variables of its environment; [`PROJECT`] in a value is the folder of its project.
    pub variables: Vec<(String, String)>,
}

/// A role, with the number of its row in Mage's database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// May do everything.
    Owner = 1,
    /// May look at users.
    Admin = 2,
    /// May change pipelines.
    Editor = 3,
    /// May look at workspaces.
    Viewer = 4,
}

/// Who sends a request.
#[derive(Clone, Default)]
pub struct Caller {
    fields: Vec<(&'static str, String)>,
}

/// A running server; dropping it ends it and removes its folder.
pub struct MageServer {
    kept: Kept,
    port: u16,
}

impl Caller {
    /// Somebody with the API key and nothing else.
    pub fn anonymous() -> Self {
        Self { fields: vec![("X-API-KEY", API_KEY.to_owned())] }
    }

    /// Somebody with a token: the inner one, not the JWT around it.
    pub fn with_token(token: &str) -> Self {
        let mut caller = Self::anonymous();
        caller.fields.push(("OAUTH-TOKEN", token.to_owned()));
        caller
    }

    /// The token, where there is one.
    pub fn token(&self) -> Option<&str> {
        let (_, token) = self.fields.iter().find(|(name, _)| *name == "OAUTH-TOKEN")?;
        Some(token)
    }
}

impl MageServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// Where Mage cannot be installed here.
    ///
    /// # Panics
    /// Where it does not start; with the end of its log.
    pub fn start(mode: &Mode<'_>, options: &Options) -> Result<Self, Missing> {
        let (environment, database) = (environment()?, database()?);
        for _ in 0..STARTS {
            let folder = new_folder("mage");
            // Where Mage looks for the database of a project with the name of ours.
            let data = folder.join("home/.mage_data/project");
            std::fs::create_dir_all(&data).expect("a home folder");
            std::fs::copy(&database, data.join(DATABASE)).expect("a database");
            let port = free_port();
            let program = program(&environment, &folder, port, mode, options);
            let mut server = Self { kept: Kept::start(folder, &program), port };
            if server.wait_until_ready() {
                if !matches!(mode, Mode::Standalone) {
                    // Without it a list of workspaces is an error, until the first create makes it.
                    std::fs::create_dir_all(server.project().join("projects")).expect("a folder");
                }
                return Ok(server);
            }
        }
        panic!("no port stayed free during {STARTS} starts of Mage");
    }

    /// Waits for the first answer, and then until errors are answered as well. False where it is another server's:
    /// Mage takes the next port when its own is gone.
    ///
    /// A request that ends with an exception while Mage is still starting is never answered: its handler reports the
    /// exception in an event loop within the event loop, and the rest of the start, which never ends, runs in there
    /// (`write_error` in `server/api/base.py` and the end of `main` in `server/server.py` of 0.9.80).
    fn wait_until_ready(&mut self) -> bool {
        let answer = self.kept.wait("Mage gets ready", || {
            self.request(&Caller::default(), "GET", "/api/statuses", None)
                .ok()
                .filter(|answer| answer.status == 200)
        });
        let path = answer.json["statuses"][0]["repo_path_root"].as_str().map(Path::new);
        if path.is_none_or(|path| path.canonicalize().ok() != self.project().canonicalize().ok()) {
            return false;
        }
        let (address, no_map) = (self.address(), json!([]));
        self.kept.wait("Mage answers errors", || {
            let started = self.log().contains(LAST_OF_THE_START);
            started.then(|| send(&address, ("POST", "/api/statuses"), &[], Some(&no_map), ERROR).ok())?
        });
        true
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The folder of the project.
    pub fn project(&self) -> PathBuf {
        self.kept.folder().join("project")
    }

    /// What the server has written so far. It can hold what requests held.
    pub fn log(&self) -> String {
        self.kept.log()
    }

    /// Kills the server; its project and database stay.
    pub fn stop(&mut self) {
        self.kept.stop();
    }

    /// Starts it again on the same port, and waits until it answers.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start_again(&mut self) {
        self.kept.start_again();
        assert!(self.wait_until_ready(), "somebody else answers on Mage's port");
    }

    /// Sends a request, which has to be answered in some way.
    ///
    /// # Panics
    /// Where the server does not answer.
    pub fn send(&self, caller: &Caller, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.request(caller, method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Sends a request without a body.
    ///
    /// # Panics
    /// Where the server does not answer.
    pub fn get(&self, caller: &Caller, path: &str) -> Value {
        self.send(caller, "GET", path, None).json
    }

    fn request(
        &self,
        caller: &Caller,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> std::io::Result<Answer> {
        let fields: Vec<_> = caller.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        send(&self.address(), (method, path), &fields, body, REQUEST)
    }

    /// Logs in.
    ///
    /// # Panics
    /// Where the login is refused.
    pub fn log_in(&self, email: &str, password: &str) -> Caller {
        let body = json!({ "session": { "email": email, "password": password } });
        let answer = self.send(&Caller::anonymous(), "POST", "/api/sessions", Some(&body)).json;
        let token = answer["session"]["token"].as_str().expect("a session");
        Caller::with_token(&inner_token(token))
    }

    /// Logs in as the first owner.
    ///
    /// # Panics
    /// Where logins are off.
    pub fn owner(&self) -> Caller {
        self.log_in(OWNER_EMAIL, OWNER_PASSWORD)
    }

    /// Makes a user with one role, or with none, and logs in as that user.
    ///
    /// # Panics
    /// Where that fails.
    pub fn add_user(&self, owner: &Caller, email: &str, password: &str, role: Option<Role>) -> Caller {
        let name = email.split('@').next().unwrap_or_default();
        let roles: Vec<i32> = role.map(|role| role as i32).into_iter().collect();
        let user = json!({
            "email": email,
            "username": name,
            "password": password,
            "password_confirmation": password,
            "roles_new": roles,
        });
        // The answer is an error although the user is made: what counts is that the login works.
        self.send(owner, "POST", "/api/users", Some(&json!({ "user": user })));
        self.log_in(email, password)
    }

    /// Makes a workspace.
    ///
    /// # Panics
    /// Where Mage refuses.
    pub fn create_workspace(&self, caller: &Caller, workspace: &Value) {
        let body = json!({ "workspace": workspace });
        let answer = self.send(caller, "POST", "/api/workspaces", Some(&body)).json;
        assert_eq!(answer["workspace"]["success"], json!(true), "{}", answer["error"]["message"]);
    }

    /// Makes a pipeline with one block, which runs for that many seconds, and starts it. The answer is the number
    /// of the run.
    ///
    /// # Panics
    /// Where Mage refuses.
    pub fn start_pipeline(&self, caller: &Caller, seconds: u32) -> u64 {
        let name = format!("sleeps_{seconds}");
        let trigger = self.make_pipeline(caller, &name, &format!("import time; time.sleep({seconds})"));
        let (id, token) = (&trigger["id"], trigger["token"].as_str().expect("a trigger"));
        let path = format!("/api/pipeline_schedules/{id}/pipeline_runs/{token}");
        let run =
            self.send(caller, "POST", &path, Some(&json!({ "pipeline_run": { "variables": {} } }))).json;
        run["pipeline_run"]["id"].as_u64().expect("a run")
    }

    /// Makes a pipeline with one block that runs this line of Python, and an active API trigger for it. The answer is the
    /// trigger.
    ///
    /// # Panics
    /// Where Mage refuses.
    pub fn make_pipeline(&self, caller: &Caller, name: &str, line: &str) -> Value {
        let project = self.project();
        std::fs::create_dir_all(project.join("pipelines").join(name)).expect("a folder");
        std::fs::create_dir_all(project.join("custom")).expect("a folder");
        let block = format!("@custom\ndef run(*args, **kwargs):\n    {line}\n");
        std::fs::write(project.join(format!("custom/{name}.py")), block).expect("a file");
        let mut text =
            String::from("blocks:\n- all_upstream_blocks_executed: true\n  downstream_blocks: []\n");
        let _ = write!(text, "  executor_type: local_python\n  language: python\n  name: {name}\n");
        let _ =
            write!(text, "  status: not_executed\n  type: custom\n  upstream_blocks: []\n  uuid: {name}\n");
        let _ = write!(text, "name: {name}\ntype: python\nuuid: {name}\n");
        std::fs::write(project.join(format!("pipelines/{name}/metadata.yaml")), text).expect("a file");

        let trigger =
            json!({ "pipeline_schedule": { "name": name, "schedule_type": "api", "status": "active" } });
        let path = format!("/api/pipelines/{name}/pipeline_schedules");
        self.send(caller, "POST", &path, Some(&trigger)).json["pipeline_schedule"].clone()
    }

    /// Waits until a look finds what is waited for.
    ///
    /// # Panics
    /// Where that does not happen.
    pub fn wait<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        self.kept.wait(what, look)
    }
}

/// What starts a server.
fn program(environment: &Path, folder: &Path, port: u16, mode: &Mode<'_>, options: &Options) -> Program {
    let binaries = environment.join("bin");
    let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    let mut command = vec![binaries.join("mage").into(), "start".into(), folder.join("project").into()];
    command.extend(words(&["--host", "127.0.0.1", "--port", &port.to_string()]));
    let mut variables: Vec<(String, OsString)> = vec![
        ("HOME".to_owned(), folder.join("home").into()),
        ("PATH".to_owned(), format!("{}:/usr/bin:/bin", binaries.display()).into()),
        ("PYTHONPATH".to_owned(), repository().join("tests/mage/loopback").into()),
        ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".into()),
        ("JWT_SECRET".to_owned(), "jwt-canary-7c02".into()),
        ("DISABLE_AUTO_BROWSER_OPEN".to_owned(), "1".into()),
        ("INITIAL_METADATA".to_owned(), r#"{"help_improve_mage": false}"#.into()),
        ("DEFAULT_OWNER_EMAIL".to_owned(), OWNER_EMAIL.into()),
        ("DEFAULT_OWNER_USERNAME".to_owned(), "owner".into()),
        ("DEFAULT_OWNER_PASSWORD".to_owned(), OWNER_PASSWORD.into()),
    ];
    if let Some(uuid) = &options.project_uuid {
        command.extend(words(&["--project-uuid", uuid]));
    }
    let logins = if options.logins == Logins::On { "1" } else { "0" };
    variables.push(("REQUIRE_USER_AUTHENTICATION".to_owned(), logins.into()));
    match mode {
        Mode::Standalone => {}
        Mode::MainKubernetes { kubeconfig } => {
            command.extend(words(&["--project-type", "main", "--cluster-type", "k8s"]));
            let path = folder.join("kubeconfig");
            std::fs::write(&path, kubeconfig).expect("a kubeconfig");
            variables.push(("KUBECONFIG".to_owned(), path.into()));
            variables.push(("KUBE_NAMESPACE".to_owned(), MAIN_NAMESPACE.into()));
            variables.push(("HOSTNAME".to_owned(), MAIN_POD.into()));
        }
        Mode::MainEcs(ecs) => {
            command.extend(words(&["--project-type", "main", "--cluster-type", "ecs"]));
            variables.extend(ecs.variables().into_iter().map(|(name, value)| (name, value.into())));
        }
    }
    let project = folder.join("project");
    let project = project.to_str().expect("a path");
    let more = options.variables.iter();
    variables.extend(more.map(|(name, value)| (name.clone(), value.replace(PROJECT, project).into())));
    Program {
        words: command,
        variables: variables.into_iter().map(|(name, value)| (name.into(), value)).collect(),
    }
}

/// A port that is free at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
    listener.local_addr().expect("an address").port()
}

/// The token inside the JWT that a login answers: that one goes into header fields.
fn inner_token(jwt: &str) -> String {
    let claims = jwt.split('.').nth(1).expect("a JWT");
    let claims: Value = serde_json::from_slice(&base64_url(claims)).expect("claims");
    claims["token"].as_str().expect("a token").to_owned()
}

/// Base64 with the alphabet for URLs and without padding.
fn base64_url(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let six = alphabet.iter().position(|one| *one == letter).expect("base64");
        bits = (bits << 6) | u32::try_from(six).expect("six bits");
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).expect("eight bits"));
        }
    }
    bytes
}
