//! The server of a workspace itself: a Mage server of its own, at the address that Mage shows.
//!
//! Whoever may write to the Ingress decides where that address leads. Only what anybody may ask is asked there without
//! the environment saying that it is trusted.

use std::time::Duration;

use crate::{
    Mage,
    api::{Client, Credentials, Limits, ServerUrl, WORKSPACES},
    item::Item,
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
            let origin = url.origin();
            Shut::Always(format!(
                "`{url}` is not trusted; if it is yours, say so where magus runs: `export {WORKSPACES}={origin}`"
            ))
        })?;
        let client = self.client_of(credentials).map_err(Shut::Always)?;
        let project = client.server().map_err(|error| Shut::Yet(error.to_string()))?.project_uuid;
        if project.is_some() && item.project_uuid.is_some() && project != item.project_uuid {
            return Err(Shut::Yet(format!("`{url}` leads to the server of another project")));
        }
        Ok(client)
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
