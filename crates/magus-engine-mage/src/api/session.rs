//! What a server is, who asks, and the token that says so.

use std::sync::{Condvar, Mutex, PoisonError};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::error::ApiError;

/// What a server says about itself to everybody (`GET /api/statuses`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its part in a cluster.
    pub project_type: ProjectType,
    /// What runs its workspaces; none where it has none.
    pub instance_type: Option<InstanceType>,
    /// Whether it wants logins. Without them everybody may do everything.
    pub logins: bool,
    /// The identity of its project.
    pub project_uuid: Option<String>,
    /// The folder of its project, as a path on the server.
    pub project_path: Option<String>,
}

/// The part of a server in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectType {
    /// It manages workspaces.
    Main,
    /// A server of its own.
    Standalone,
    /// It is a workspace.
    Sub,
    /// Something newer.
    Other(String),
}

impl InstanceType {
    /// Whether Mage makes workspaces on it and never changes them (`cluster_manager/workspace/ecs.py`, `cloud_run.py`).
    pub fn are_tasks(&self) -> bool {
        matches!(self, InstanceType::Ecs | InstanceType::CloudRun)
    }

    /// As it is shown.
    pub fn as_str(&self) -> &str {
        match self {
            InstanceType::Kubernetes => "kubernetes",
            InstanceType::Ecs => "ECS",
            InstanceType::CloudRun => "Cloud Run",
            InstanceType::Docker => "Docker",
            InstanceType::Other(name) => name,
        }
    }
}

/// What runs workspaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceType {
    /// Kubernetes.
    Kubernetes,
    /// Amazon's container service.
    Ecs,
    /// Google's.
    CloudRun,
    /// Docker, which Mage Pro knows.
    Docker,
    /// Something newer.
    Other(String),
}

/// What the one who asks may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Everything: the server has logins switched off.
    Unrestricted,
    /// What the role of the login allows.
    Role(Role),
    /// Nobody knows: a token was given, and Mage tells the role only at a login.
    Unknown,
}

/// The role of a user, the highest that they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// None: not even reading.
    None,
    /// Reads.
    Viewer,
    /// Reads workspaces, changes pipelines.
    Editor,
    /// Reads workspaces, changes pipelines and users.
    Admin,
    /// Everything, and the only one who changes workspaces.
    Owner,
}

/// `{"statuses": [...]}`.
#[derive(Deserialize)]
pub(super) struct Statuses {
    statuses: Vec<Status>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    project_type: Option<String>,
    #[serde(default)]
    instance_type: Option<String>,
    require_user_authentication: bool,
    #[serde(default)]
    project_uuid: Option<String>,
    #[serde(default)]
    repo_path_root: Option<String>,
}

impl Statuses {
    /// The one server that they are of.
    pub(super) fn server(self) -> Option<Server> {
        let Status { project_type, instance_type, require_user_authentication, project_uuid, repo_path_root } =
            self.statuses.into_iter().next()?;
        Some(Server {
            project_type: match project_type.as_deref() {
                Some("main") => ProjectType::Main,
                Some("sub") => ProjectType::Sub,
                Some("standalone") | None => ProjectType::Standalone,
                Some(other) => ProjectType::Other(other.to_owned()),
            },
            instance_type: instance_type.map(|name| match name.as_str() {
                "k8s" => InstanceType::Kubernetes,
                "ecs" => InstanceType::Ecs,
                "cloud_run" => InstanceType::CloudRun,
                "docker" => InstanceType::Docker,
                _ => InstanceType::Other(name),
            }),
            logins: require_user_authentication,
            project_uuid,
            project_path: repo_path_root,
        })
    }
}

/// `{"session": {...}}`, the answer to a login.
#[derive(Deserialize)]
pub(super) struct Login {
    session: LoginSession,
}

#[derive(Deserialize)]
struct LoginSession {
    token: SecretString,
    user: User,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    owner: bool,
    #[serde(default)]
    project_access: u64,
}

impl Login {
    /// The token to send, and the role of who logged in.
    pub(super) fn session(self) -> (SecretString, Role) {
        let User { owner, project_access } = self.session.user;
        (inner_token(&self.session.token), role(owner, project_access))
    }
}

/// The bits of `project_access`, as `mage_ai/orchestration/db/models/oauth.py` has them.
fn role(owner: bool, access: u64) -> Role {
    let has = |bit: u64| access & bit != 0;
    match () {
        () if owner || has(1) => Role::Owner,
        () if has(2) => Role::Admin,
        () if has(4) => Role::Editor,
        () if has(8) => Role::Viewer,
        () => Role::None,
    }
}

/// The token that Mage's headers want. A login gives a JWT around it, and people copy either.
pub(super) fn inner_token(token: &SecretString) -> SecretString {
    #[derive(Deserialize)]
    struct Claims {
        token: SecretString,
    }
    let claims = token.expose_secret().split('.').nth(1).and_then(|part| {
        let bytes = zeroize::Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?);
        serde_json::from_slice::<Claims>(&bytes).ok()
    });
    match claims {
        Some(Claims { token }) => token,
        None => token.clone(),
    }
}

/// Something that is found out once, by whoever needs it first, while all others wait for it. A failure is shared by
/// those who waited; whether later ones try again is decided by who asks.
pub(super) struct Shared<T> {
    state: Mutex<State<T>>,
    ended: Condvar,
}

struct State<T> {
    running: bool,
    /// How many attempts have ended.
    rounds: u64,
    outcome: Option<Result<T, ApiError>>,
}

impl<T: Clone> Shared<T> {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { running: false, rounds: 0, outcome: None }), ended: Condvar::new() }
    }

    /// What is known, where `good` says that it will do, and else what `find` finds, which runs once at a time.
    pub(super) fn get(
        &self,
        good: impl Fn(&Result<T, ApiError>) -> bool,
        find: impl FnOnce() -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let came = state.rounds;
        loop {
            if !state.running {
                match &state.outcome {
                    // Of an attempt that ended while we waited, or one that will do.
                    Some(outcome) if state.rounds > came || good(outcome) => return outcome.clone(),
                    _ => break,
                }
            }
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.running = true;
        drop(state);
        let mut running = Running { shared: self, outcome: None };
        let outcome = find();
        running.outcome = Some(outcome.clone());
        outcome
    }
}

/// An attempt that ends when this is dropped, also where it panicked.
struct Running<'a, T> {
    shared: &'a Shared<T>,
    outcome: Option<Result<T, ApiError>>,
}

impl<T> Drop for Running<'_, T> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running = false;
        if let Some(outcome) = self.outcome.take() {
            state.rounds += 1;
            state.outcome = Some(outcome);
        }
        drop(state);
        self.shared.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(body: &str) -> Option<Server> {
        serde_json::from_str::<Statuses>(body).unwrap().server()
    }

    #[test]
    fn a_server_says_what_it_is() {
        let main = server(
            r#"{"statuses":[{"is_instance_manager":true,"instance_type":"k8s","require_user_authentication":true,"project_type":"main","project_uuid":"4bf6","repo_path_root":"/home/src/main"}],"metadata":{}}"#,
        );
        let expect = Server {
            project_type: ProjectType::Main,
            instance_type: Some(InstanceType::Kubernetes),
            logins: true,
            project_uuid: Some("4bf6".into()),
            project_path: Some("/home/src/main".into()),
        };
        assert_eq!(main, Some(expect));
        let other = server(
            r#"{"statuses":[{"instance_type":"vm","require_user_authentication":false,"project_type":"x"}]}"#,
        )
        .unwrap();
        assert_eq!(other.project_type, ProjectType::Other("x".into()));
        assert_eq!(other.instance_type, Some(InstanceType::Other("vm".into())));
        assert_eq!(server(r#"{"statuses":[]}"#), None);
        // Whether it wants logins is never guessed.
        assert!(serde_json::from_str::<Statuses>(r#"{"statuses":[{"project_type":"main"}]}"#).is_err());
    }

    #[test]
    fn the_role_is_the_highest_bit() {
        for (owner, access, expect) in [
            (true, 0, Role::Owner),
            (false, 1, Role::Owner),
            (false, 2 | 8, Role::Admin),
            (false, 4 | 8, Role::Editor),
            (false, 8, Role::Viewer),
            (false, 0, Role::None),
        ] {
            assert_eq!(role(owner, access), expect, "{owner} {access}");
        }
        assert!(Role::Owner > Role::Admin && Role::Viewer > Role::None);
    }

    #[test]
    fn the_token_is_taken_out_of_a_jwt() {
        let claims = BASE64_URL_SAFE_NO_PAD.encode(r#"{"expires":1798130316.42,"token":"7YOp-inner_x"}"#);
        let strange = BASE64_URL_SAFE_NO_PAD.encode("{}");
        for (token, expect) in [
            (format!("eyJh.{claims}.c2ln"), "7YOp-inner_x".to_owned()),
            (format!("eyJh.{strange}.c2ln"), format!("eyJh.{strange}.c2ln")),
            ("7YOp-inner_x".to_owned(), "7YOp-inner_x".to_owned()),
            ("a.!.b".to_owned(), "a.!.b".to_owned()),
        ] {
            assert_eq!(inner_token(&SecretString::from(token)).expose_secret(), expect);
        }
    }

    #[test]
    fn an_attempt_that_panics_lets_the_next_one_in() {
        let shared = Shared::<u8>::new();
        std::thread::scope(|scope| {
            let lost = scope.spawn(|| shared.get(|_| true, || panic!("on purpose"))).join();
            assert!(lost.is_err());
        });
        assert_eq!(shared.get(|_| true, || Ok(7)), Ok(7));
        assert_eq!(shared.get(|_| true, || Ok(8)), Ok(7));
        assert_eq!(shared.get(|_| false, || Ok(8)), Ok(8));
    }
}
