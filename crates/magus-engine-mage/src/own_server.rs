//! The server of a workspace itself: a Mage server of its own, at the address that Mage shows.
//!
//! Whoever may write to the Ingress decides where that address leads, and the owner of a workspace what answers there: a login
//! that is sent there can be collected. Without the environment naming the address, only what anybody may ask is asked there.

use std::{
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use magus_engine::PerformError;
use magus_model::{name::WorkspaceName, observed::RunState};

use crate::{
    Mage,
    api::{Client, Credentials, Limits, ServerUrl},
    item::Item,
    wait::is_cancelled,
};

/// How long an answer may take, with everything that is tried again for it.
const ANSWER: Duration = Duration::from_secs(30);

/// Why the server of a workspace is not to be used.
pub(crate) enum Shut {
    /// It may be in a moment: it does not answer yet, or Mage shows no address yet.
    Yet(String),
    /// It will not be, however long somebody waits.
    Always(String),
}

impl Shut {
    /// The reason.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Yet(reason) | Self::Always(reason) => reason,
        }
    }
}

impl Mage {
    /// A client that carries no credential; the reason where there is none.
    pub(crate) fn own_server(&self, item: &Item) -> Result<Client, String> {
        self.client_of(Credentials::none(address(item)?))
    }

    /// A client that may log in and send values; the reason where the address is not trusted, does not answer, or leads to
    /// the server of something else.
    pub(crate) fn trusted_server(&self, item: &Item) -> Result<Client, Shut> {
        let url = address(item).map_err(Shut::Yet)?;
        if !url.is_encrypted() && !url.is_loopback() {
            tracing::warn!(%url, "credentials and secrets go to this server of a workspace unencrypted; use `https`");
        }
        let credentials = self.client.credentials_of_workspace(url.clone()).ok_or_else(|| {
            let (origin, variable) = (url.origin(), self.client.workspaces_variable());
            Shut::Always(format!(
                "`{url}` gets no login; to send it one, name it where magus runs: `export {variable}={origin}`"
            ))
        })?;
        let client = self.client_of(credentials).map_err(Shut::Always)?;
        // Anybody may ask for it: no credential goes along.
        let project = client.server().map_err(|error| Shut::Yet(error.to_string()))?.project_uuid;
        match (&project, &item.project_uuid) {
            (Some(project), Some(expected)) if project == expected => Ok(client),
            (Some(_), Some(_)) => Err(Shut::Yet(format!("`{url}` leads to the server of another project"))),
            _ => Err(Shut::Yet(format!("`{url}` gets no login: it does not tell its project_uuid"))),
        }
    }

    /// The server of a workspace, once it answers. `what` it is needed for is told where it does not.
    ///
    /// # Errors
    /// [`PerformError::NotStarted`] where the workspace is stopped, [`PerformError::Failed`] where its server does not answer in
    /// time, or is not trusted.
    pub(crate) fn reach(
        &self,
        name: &WorkspaceName,
        what: &str,
        cancelled: &AtomicBool,
    ) -> Result<Client, PerformError> {
        let deadline = Instant::now() + self.patience.ready;
        loop {
            let found = self.look(name)?.ok_or_else(|| {
                PerformError::Failed(format!("`{name}` is gone from mage, and its {what} with it"))
            })?;
            if found.known.workspace.state == RunState::Stopped {
                return Err(PerformError::NotStarted(format!(
                    "`{name}` is stopped, and only a server that runs takes {what}: start it in mage and apply again"
                )));
            }
            let shut = match self.trusted_server(&found.item) {
                Ok(server) => return Ok(server),
                Err(shut) => shut,
            };
            let gives_up = Instant::now() >= deadline || is_cancelled(cancelled);
            if gives_up || matches!(shut, Shut::Always(_)) {
                let reason = shut.reason();
                return Err(PerformError::Failed(format!(
                    "the {what} of `{name}` cannot be reached: {reason}"
                )));
            }
            (self.sleep)(self.patience.look);
        }
    }

    fn client_of(&self, credentials: Credentials) -> Result<Client, String> {
        let limits = Limits { read: ANSWER, attempts: ANSWER, ..Limits::default() };
        self.way.options(credentials, limits).and_then(Client::new).map_err(|error| error.to_string())
    }
}

fn address(item: &Item) -> Result<ServerUrl, String> {
    let Some(url) = &item.url else {
        return Err("mage shows no address for the workspace, which needs an ingress".to_owned());
    };
    ServerUrl::parse(url).map_err(|fault| format!("the address that mage shows for the workspace {fault}"))
}
