//! The engine of a Mage server, open source and Pro: workspaces through the API that Mage itself offers.
//!
//! [`api`] is the client: who is trusted, what is asked, what an answer means, and how it travels. Above it, this crate
//! reads workspaces and changes them one step at a time. It knows no plan and no order of steps, and reads no
//! environment: what it needs from there comes in as arguments.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod api;
mod capabilities;
mod code;
mod compose;
mod container;
mod hidden;
mod item;
mod mark;
mod observe;
mod own_server;
mod ownership;
mod parts;
mod perform;
mod restart;
mod restore;
mod running;
mod runs;
mod secrets;
mod tasks;
mod validate;
mod wait;
#[cfg(test)]
mod work_tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use magus_engine::{EngineError, EngineErrorKind};
use magus_model::{
    Text,
    desired::{Edition, MageServer},
    name::WorkspaceName,
    observed::ObservedWorkspace,
    path::FieldPath,
    source::Deployment,
};

use crate::{
    api::{Client, Clock, Credentials, Limits, Options, Proxy, Rights, Role, request::Namespaces},
    item::Known,
    mark::StoredSecret,
    perform::{Found, Memory},
    running::Cluster,
};

pub use wait::Patience;

/// A server, for one run: it is asked what it is once, and logged in to once.
pub struct Mage {
    client: Client,
    cluster: Text,
    namespace: Option<Text>,
    edition: Edition,
    kubernetes: Option<Cluster>,
    way: Way,
    patience: Patience,
    sleep: Sleep,
    memory: Mutex<BTreeMap<WorkspaceName, Memory>>,
    /// The workspaces that it made.
    made: Mutex<BTreeSet<WorkspaceName>>,
    /// The deployments that were asked for, each with its commit.
    deployments: Mutex<BTreeSet<(Deployment, Text)>>,
}

/// Waits.
pub type Sleep = Box<dyn Fn(Duration) + Send + Sync>;

/// How servers are reached, whichever they are.
struct Way {
    ca_file: Option<PathBuf>,
    /// The variables that name proxies.
    proxies: BTreeMap<String, OsString>,
    now: fn() -> Timestamp,
}

impl Way {
    fn options(&self, credentials: Credentials, limits: Limits) -> Result<Options, EngineError> {
        let proxy = Proxy::from_environment(&credentials.url, &|name| self.proxies.get(name).cloned())?;
        let ca_file = self.ca_file.clone();
        Ok(Options { ca_file, proxy, limits, ..Options::new(credentials, Clock::new(self.now)) })
    }
}

/// What a connection is made from.
pub struct Connect<'a> {
    /// The cluster's name, which is part of the names of variables.
    pub cluster: &'a Text,
    /// What is declared.
    pub server: &'a MageServer,
    /// Reads variables of the environment: credentials, proxies, and where the kubeconfig is.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Certificates in PEM: the only authorities that may vouch for the server.
    pub ca_file: Option<PathBuf>,
    /// How long steps wait.
    pub patience: Patience,
    /// What time it is.
    pub now: fn() -> Timestamp,
}

impl Mage {
    /// A connection. No request is made yet; where Kubernetes is to be asked, a program that the user's kubeconfig names to
    /// log in with is run.
    ///
    /// # Errors
    /// Where the environment does not name this server as trusted, or its credentials, its proxy, the file with
    /// certificates or the kubeconfig cannot be used.
    pub fn connect(connect: Connect<'_>) -> Result<Self, EngineError> {
        let Connect { cluster, server, variable, ca_file, patience, now } = connect;
        let MageServer { url, namespace, edition, kubernetes } = server;
        let credentials = Credentials::from_environment(url, cluster, variable)?;
        let server = &credentials.url;
        if !server.is_encrypted() && !server.is_loopback() {
            tracing::warn!(
                url = %server,
                "credentials, and the variables of workspaces, go to this server unencrypted; use `https`"
            );
        }
        let way = Way { ca_file, proxies: api::proxy::variables(variable), now };
        let client = Client::new(way.options(credentials, Limits::default())?)?;
        let kubernetes = kubernetes
            .as_ref()
            .map(|access| Cluster::connect(access, namespace.as_ref(), *edition, variable, now))
            .transpose()?;
        Ok(Self {
            client,
            cluster: cluster.clone(),
            namespace: namespace.clone(),
            edition: *edition,
            kubernetes,
            way,
            patience,
            sleep: Box::new(std::thread::sleep),
            memory: Mutex::default(),
            made: Mutex::default(),
            deployments: Mutex::default(),
        })
    }

    /// Remembers how a step left a workspace, for the step after it.
    fn remember(&self, name: &WorkspaceName, found: &Found) {
        self.memorize(&found.known, name);
    }

    fn memorize(&self, known: &Known, name: &WorkspaceName) {
        let secrets = known.stored.as_ref().map(|stored| stored.secrets.clone()).unwrap_or_default();
        let ObservedWorkspace { revision, identity, .. } = &known.workspace;
        let memory = Memory { revision: revision.clone(), secrets, identity: identity.clone() };
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), memory);
    }

    /// Whether this run made the workspace.
    fn has_made(&self, name: &WorkspaceName) -> bool {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    /// What is remembered of a workspace.
    fn memory(&self, name: &WorkspaceName) -> Option<Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Which variables of a workspace came from which secrets, when it was last looked at.
    fn remembered(&self, name: &WorkspaceName) -> BTreeMap<FieldPath, StoredSecret> {
        self.memory(name).map(|memory| memory.secrets).unwrap_or_default()
    }

    /// The revision that the last step left.
    fn revision_left(&self, name: &WorkspaceName) -> Option<Text> {
        self.memory(name).map(|memory| memory.revision)
    }

    /// Whether whoever asks may change workspaces: Mage lets only the owner (MAGE.md 2). With a token nobody can tell before.
    ///
    /// # Errors
    /// Where they may not, or the server does not say.
    pub fn check_rights(&self) -> Result<(), EngineError> {
        match self.client.rights()? {
            Rights::Unrestricted | Rights::Unknown | Rights::Role(Role::Owner) => Ok(()),
            Rights::Role(_) => Err(EngineError::new(
                EngineErrorKind::Refused,
                format!("the login at `{}` may look at workspaces and not change them", self.client.url()),
            )
            .help("log in as an owner of the main project, or let one make this login an owner")),
        }
    }

    /// The namespaces that are looked at.
    fn namespaces(&self) -> Namespaces<'_> {
        self.namespace.as_deref().map_or(Namespaces::All, Namespaces::One)
    }
}
