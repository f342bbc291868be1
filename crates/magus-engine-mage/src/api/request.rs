//! What can be asked of a Mage server. Pure: nothing here is sent.
//!
//! Paths, keys and their quirks are those of `MAGE.md` sections 2 and 3. One quirk decides the shape: only the first
//! `namespace[]` counts, so that a list is of one namespace or of all.

use std::fmt::Write as _;

use magus_model::source::Deployment;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

/// What is done with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read it.
    Get,
    /// Make it.
    Post,
    /// Change it.
    Put,
    /// Remove it.
    Delete,
}

impl Method {
    /// The word in the request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

/// Whether a request may be sent again when nobody knows what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It reads, or doing it twice is as good as once.
    Safe,
    /// It writes. A lost answer leaves open whether it was done, and only reading tells.
    Never,
}

/// What a request has to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: anybody may ask. No credential is sent.
    Open,
    /// The API key.
    Key,
    /// The API key, and a token where logins are on.
    Login,
}

/// One request. Its `Debug` leaves out the body and the values of the query.
#[derive(Clone, PartialEq)]
pub struct Request {
    /// What is done.
    pub method: Method,
    /// The path below the URL of the server, percent-encoded, beginning with `/api/`.
    pub path: String,
    /// Keys and values of the query, not yet encoded.
    pub query: Vec<(&'static str, String)>,
    /// The body, sent as JSON.
    pub body: Option<Value>,
    /// Whether it may be sent again.
    pub repeat: Repeat,
    /// What it carries.
    pub access: Access,
    /// The key of the answer without which it is not one.
    pub wanted: &'static str,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { method, path, query, body, repeat, access, wanted } = self;
        f.debug_struct("Request")
            .field("method", method)
            .field("path", path)
            .field("query", &query.iter().map(|(key, _)| *key).collect::<Vec<_>>())
            .field("body", &body.as_ref().map(|_| "***"))
            .field("repeat", repeat)
            .field("access", access)
            .field("wanted", wanted)
            .finish()
    }
}

impl Request {
    /// Path and query as they are sent.
    pub fn target(&self) -> String {
        let mut target = self.path.clone();
        for (at, (key, value)) in self.query.iter().enumerate() {
            target.push(if at == 0 { '?' } else { '&' });
            target.push_str(&encoded(key));
            target.push('=');
            target.push_str(&encoded(value));
        }
        target
    }

    fn new(method: Method, path: String, wanted: &'static str) -> Self {
        let repeat = if method == Method::Get { Repeat::Safe } else { Repeat::Never };
        // Without it Mage answers nearly every error with 200; with it, proxies and their logs see the truth too.
        let query = vec![("_http_error_codes", "1".to_owned())];
        Self { method, path, query, body: None, repeat, access: Access::Login, wanted }
    }

    fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
}

/// Which workspaces a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespaces<'a> {
    /// Those of every namespace.
    All,
    /// Those of one. Mage looks at one namespace for each request, whatever it is asked.
    One(&'a str),
}

/// `GET /api/statuses`: the kind of server, and whether it wants a login. Anybody may ask.
pub fn statuses() -> Request {
    Request { access: Access::Open, ..Request::new(Method::Get, "/api/statuses".into(), "statuses") }
}

/// `GET /api/statuses` with how many pipelines run, of a workspace's own server. Anybody may ask, and it does not count as
/// activity, so that it keeps no workspace from stopping by itself.
pub fn activity() -> Request {
    statuses().with("_format", "with_activity_details")
}

/// `GET /api/pipeline_runs` that are under way, of a workspace's own server. Asked without a credential: a server with
/// logins refuses.
pub fn running_pipelines() -> Request {
    let request = Request::new(Method::Get, "/api/pipeline_runs".into(), "pipeline_runs");
    Request { access: Access::Open, ..request }.with("status", "running")
}

/// `GET /api/pipelines/NAME/pipeline_schedules` of a workspace's own server: its triggers.
pub fn triggers(pipeline: &str) -> Request {
    let path = format!("/api/pipelines/{}/pipeline_schedules", segment(pipeline));
    Request::new(Method::Get, path, "pipeline_schedules")
}

/// `POST /api/pipeline_schedules/ID/pipeline_runs` of a workspace's own server: starts a pipeline by its API trigger. The token
/// of the trigger is not needed by who has a login.
pub fn start_run(trigger: u64) -> Request {
    let path = format!("/api/pipeline_schedules/{trigger}/pipeline_runs");
    Request::new(Method::Post, path, "pipeline_run").body(json!({ "pipeline_run": { "variables": {} } }))
}

/// `GET /api/pipeline_runs/ID` of a workspace's own server: how a run is.
pub fn run(id: u64) -> Request {
    Request::new(Method::Get, format!("/api/pipeline_runs/{id}"), "pipeline_run")
}

/// `GET /api/git_files/PATH` of a workspace's own server: a file of the repository that its project is in. The path is one part
/// of the address. Needs a viewer.
pub fn git_file(path: &str) -> Request {
    Request::new(Method::Get, format!("/api/git_files/{}", segment(path)), "git_file")
}

/// `GET /api/git_branches/current` of a workspace's own server: which files of its project git finds changed. Needs a viewer.
pub fn git_status() -> Request {
    Request::new(Method::Get, "/api/git_branches/current".into(), "git_branch")
}

/// `PUT /api/syncs/NAME` of a workspace's own server, whatever the name: fetches, resets to the branch, and installs packages.
/// Needs an editor.
pub fn sync() -> Request {
    Request::new(Method::Put, "/api/syncs/git".into(), "sync")
        .body(json!({ "sync": { "action_type": "sync_data" } }))
}

/// `POST /api/deployment_settings/SETTING/deployments` of Mage Pro: moves a branch to a commit, for the workspaces of an
/// environment (MAGE.md 6). Nobody has seen what it answers.
pub fn deployment(deployment: &Deployment, branch: &str, commit: &str, title: &str) -> Request {
    let Deployment { setting, branch: target, environment, target_directory } = deployment;
    let mut stage = json!({ "branch": { "name": target.as_str() }, "environment": environment.as_str() });
    if let Some(folder) = target_directory {
        stage["target_directory"] = folder.as_str().into();
    }
    let source = json!({ "head": { "name": branch }, "name": title, "version": commit });
    let path = format!("/api/deployment_settings/{}/deployments", segment(setting));
    Request::new(Method::Post, path, "deployment")
        .body(json!({ "deployment": { "source": source, "stage": stage } }))
}

/// `GET /api/secrets` of a workspace's own server: names and numbers, never a value. Needs a viewer.
pub fn secrets() -> Request {
    Request::new(Method::Get, "/api/secrets".into(), "secrets")
}

/// `POST /api/secrets` of a workspace's own server. A second one of a name fails with 500. Needs an editor.
pub fn create_secret(name: &str, value: &SecretString) -> Request {
    Request::new(Method::Post, "/api/secrets".into(), "secret")
        .body(json!({"secret": {"name": name, "value": value.expose_secret()}}))
}

/// `DELETE /api/secrets/NAME` of a workspace's own server. Needs an editor.
pub fn delete_secret(name: &str) -> Request {
    Request::new(Method::Delete, format!("/api/secrets/{}", segment(name)), "secret")
}

/// `POST /api/sessions`: a login. A second one does no harm.
pub fn session(email: &str, password: &SecretString) -> Request {
    Request {
        access: Access::Key,
        repeat: Repeat::Safe,
        ..Request::new(Method::Post, "/api/sessions".into(), "session")
    }
    .body(json!({"session": {"email": email, "password": password.expose_secret()}}))
}

/// `GET /api/projects`: the only place with the version of Mage. The answer also holds a key of an AI provider in
/// clear: take [`Client::version`](super::Client::version), which keeps nothing else.
pub fn projects() -> Request {
    Request::new(Method::Get, "/api/projects".into(), "projects")
}

/// `GET /api/workspaces`. Never cut by Mage, but without workspaces that have no Service.
pub fn workspaces(namespaces: Namespaces<'_>) -> Request {
    let namespace = match namespaces {
        Namespaces::All => "__all__",
        Namespaces::One(name) => name,
    };
    Request::new(Method::Get, "/api/workspaces".into(), "workspaces").with("namespace[]", namespace)
}

/// `GET /api/workspaces/NAME`, in whichever namespace it is.
pub fn workspace(name: &str) -> Request {
    Request::new(Method::Get, workspace_path(name), "workspace")
}

/// `POST /api/workspaces` with the fields as Mage names them, `name` among them. The answer says that it was done, and
/// nothing of what was made.
pub fn create_workspace(fields: Map<String, Value>) -> Request {
    Request::new(Method::Post, "/api/workspaces".into(), "workspace").body(json!({ "workspace": fields }))
}

/// Action `patch` with a `container_config` text: the one thing that open source can change. Pro takes `lifecycle_config`
/// too (`MAGE.md` section 6). Not on ECS.
pub fn patch_workspace(name: &str, container_config: &str, lifecycle_config: Option<&Value>) -> Request {
    let mut fields = json!({"action": "patch", "container_config": container_config});
    if let Some(lifecycle_config) = lifecycle_config {
        fields["lifecycle_config"] = lifecycle_config.clone();
    }
    action(name, fields)
}

/// The same, with which Mage hands on the settings of the main server again: those that the text does not set.
pub fn patch_workspace_with_settings(
    name: &str,
    container_config: &str,
    lifecycle_config: Option<&Value>,
) -> Request {
    let mut request = patch_workspace(name, container_config, lifecycle_config);
    if let Some(body) = &mut request.body {
        body["workspace"]["update_workspace_settings"] = true.into();
    }
    request
}

/// Action `stop`; on ECS with the `task_arn` of the instance.
pub fn stop_workspace(name: &str, task_arn: Option<&str>) -> Request {
    action(
        name,
        match task_arn {
            Some(task) => json!({"action": "stop", "task_arn": task}),
            None => json!({"action": "stop"}),
        },
    )
}

/// Action `resume`. On ECS each one starts one more task.
pub fn resume_workspace(name: &str) -> Request {
    action(name, json!({"action": "resume"}))
}

/// Action `add_to_ingress`: one more path to the workspace in the Ingress that it was made with, each time.
pub fn add_to_ingress(name: &str) -> Request {
    action(name, json!({"action": "add_to_ingress"}))
}

/// `DELETE /api/workspaces/NAME`.
pub fn delete_workspace(name: &str) -> Request {
    Request::new(Method::Delete, workspace_path(name), "workspace")
}

fn action(name: &str, fields: Value) -> Request {
    Request::new(Method::Put, workspace_path(name), "workspace").body(json!({ "workspace": fields }))
}

fn workspace_path(name: &str) -> String {
    format!("/api/workspaces/{}", segment(name))
}

/// A name as one part of a path. Parts of dots alone are encoded too, which HTTP clients would else take for steps.
fn segment(name: &str) -> String {
    if name.bytes().all(|byte| byte == b'.') { "%2E".repeat(name.len()) } else { encoded(name) }
}

/// Everything but letters, digits and `-._~` percent-encoded.
fn encoded(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            shown.push(byte.into());
        } else {
            // Writing to a string cannot fail.
            let _ = write!(shown, "%{byte:02X}");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn requests_are_what_mage_expects() {
        let password = SecretString::from("p");
        let none = Value::Null;
        for (request, line, body) in [
            (statuses(), "GET /api/statuses?_http_error_codes=1", none.clone()),
            (
                session("a@b", &password),
                "POST /api/sessions?_http_error_codes=1",
                json!({"session": {"email": "a@b", "password": "p"}}),
            ),
            (projects(), "GET /api/projects?_http_error_codes=1", none.clone()),
            (
                workspaces(Namespaces::All),
                "GET /api/workspaces?_http_error_codes=1&namespace%5B%5D=__all__",
                none.clone(),
            ),
            (
                workspaces(Namespaces::One("mage")),
                "GET /api/workspaces?_http_error_codes=1&namespace%5B%5D=mage",
                none.clone(),
            ),
            (workspace("a-b"), "GET /api/workspaces/a-b?_http_error_codes=1", none.clone()),
            (activity(), "GET /api/statuses?_http_error_codes=1&_format=with_activity_details", none.clone()),
            (running_pipelines(), "GET /api/pipeline_runs?_http_error_codes=1&status=running", none.clone()),
            (
                create_workspace(fields(json!({"name": "a", "storage_request_size": 10}))),
                "POST /api/workspaces?_http_error_codes=1",
                json!({"workspace": {"name": "a", "storage_request_size": 10}}),
            ),
            (
                patch_workspace("a", "# magus\nimage: x\n", None),
                "PUT /api/workspaces/a?_http_error_codes=1",
                json!({"workspace": {"action": "patch", "container_config": "# magus\nimage: x\n"}}),
            ),
            (
                patch_workspace_with_settings("a", "image: x\n", None),
                "PUT /api/workspaces/a?_http_error_codes=1",
                json!({"workspace": {
                    "action": "patch", "container_config": "image: x\n", "update_workspace_settings": true,
                }}),
            ),
            (
                stop_workspace("a", None),
                "PUT /api/workspaces/a?_http_error_codes=1",
                json!({"workspace": {"action": "stop"}}),
            ),
            (
                stop_workspace("a", Some("arn:x")),
                "PUT /api/workspaces/a?_http_error_codes=1",
                json!({"workspace": {"action": "stop", "task_arn": "arn:x"}}),
            ),
            (
                resume_workspace("a"),
                "PUT /api/workspaces/a?_http_error_codes=1",
                json!({"workspace": {"action": "resume"}}),
            ),
            (
                add_to_ingress("a"),
                "PUT /api/workspaces/a?_http_error_codes=1",
                json!({"workspace": {"action": "add_to_ingress"}}),
            ),
            (secrets(), "GET /api/secrets?_http_error_codes=1", none.clone()),
            (
                create_secret("a", &password),
                "POST /api/secrets?_http_error_codes=1",
                json!({"secret": {"name": "a", "value": "p"}}),
            ),
            (
                git_file(".git/logs/HEAD"),
                "GET /api/git_files/.git%2Flogs%2FHEAD?_http_error_codes=1",
                none.clone(),
            ),
            (
                deployment(
                    &Deployment {
                        setting: "a b".into(),
                        branch: "deploy".into(),
                        environment: "staging".into(),
                        target_directory: Some("mage".into()),
                    },
                    "main",
                    "3f2a",
                    "t",
                ),
                "POST /api/deployment_settings/a%20b/deployments?_http_error_codes=1",
                json!({"deployment": {
                    "source": {"head": {"name": "main"}, "name": "t", "version": "3f2a"},
                    "stage": {"branch": {"name": "deploy"}, "environment": "staging", "target_directory": "mage"},
                }}),
            ),
            (git_status(), "GET /api/git_branches/current?_http_error_codes=1", none.clone()),
            (sync(), "PUT /api/syncs/git?_http_error_codes=1", json!({"sync": {"action_type": "sync_data"}})),
            (delete_secret("a/b"), "DELETE /api/secrets/a%2Fb?_http_error_codes=1", none.clone()),
            (delete_workspace("a"), "DELETE /api/workspaces/a?_http_error_codes=1", none.clone()),
        ] {
            assert_eq!(format!("{} {}", request.method.as_str(), request.target()), line);
            assert_eq!(request.body.clone().unwrap_or_default(), body, "{line}");
            let login = line.starts_with("POST /api/sessions");
            let safe = line.starts_with("GET ") || login;
            assert_eq!(request.repeat == Repeat::Safe, safe, "{line}");
            let access = match line {
                _ if line.contains("/api/statuses") || line.contains("/api/pipeline_runs") => Access::Open,
                _ if login => Access::Key,
                _ => Access::Login,
            };
            assert_eq!(request.access, access, "{line}");
        }
    }

    #[test]
    fn a_name_stays_one_part_of_the_path() {
        for (name, expect) in [
            ("..", "/api/workspaces/%2E%2E"),
            ("../evil", "/api/workspaces/..%2Fevil"),
            ("a?b#c%d", "/api/workspaces/a%3Fb%23c%25d"),
            ("ü", "/api/workspaces/%C3%BC"),
        ] {
            assert_eq!(workspace(name).path, expect);
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let value = SecretString::from("canary");
        for request in [
            session("canary", &value),
            patch_workspace("a", "env: canary", None),
            create_secret("a", &value),
            workspaces(Namespaces::One("canary")),
        ] {
            assert!(!format!("{request:?}").contains("canary"), "{request:?}");
        }
    }
}
