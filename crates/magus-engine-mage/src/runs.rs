//! Waits for running pipelines before something interrupts them. Only a workspace's own server knows which run.
//!
//! It is asked without any credential: Mage shows its address, and whoever may write to the Ingress can change that.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use magus_engine::PerformError;
use magus_model::{
    observed::RunState,
    plan::{Action, Restarts, Step},
};

use crate::{
    Mage,
    api::{Client, Credentials, Limits, ServerUrl},
    perform::Found,
};

/// How long an answer may take, with everything that is tried again for it.
const ANSWER: Duration = Duration::from_secs(30);
/// Between two questions: a workspace has better things to do, and pipelines take minutes.
const BETWEEN: Duration = Duration::from_secs(5);
/// How many runs are named.
const NAMED: usize = 5;

/// Whether nothing had to be waited for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Nothing ran.
    No,
    /// Something ran, and has ended: the workspace may be another one by now.
    Yes,
}

/// Whether a step ends the pipelines that run in a workspace.
pub(crate) fn interrupts(step: &Step) -> bool {
    match step.action {
        Action::Stop | Action::Restart | Action::Delete => true,
        _ => step.restarts != Restarts::No,
    }
}

impl Mage {
    /// Waits until no pipeline runs in a workspace.
    ///
    /// # Errors
    /// [`PerformError::NotStarted`] where some still run after that time, or nobody can say whether any does.
    pub(crate) fn wait_for_runs(
        &self,
        found: &Found,
        time: Duration,
        cancelled: &AtomicBool,
    ) -> Result<Waited, PerformError> {
        // A server that does not run, or does not come up, runs no pipelines.
        if time.is_zero() || found.known.workspace.state != RunState::Running {
            return Ok(Waited::No);
        }
        let unknown = |why: &str| {
            PerformError::NotStarted(format!(
                "`rollout.wait_for_runs` is declared, and nobody can say whether pipelines run: {why}"
            ))
        };
        let Some(url) = &found.item.url else {
            return Err(unknown("mage shows no address for the workspace, which needs an ingress"));
        };
        let url = ServerUrl::parse(url)
            .map_err(|fault| unknown(&format!("the address that mage shows for the workspace {fault}")))?;
        let limits = Limits { read: ANSWER, attempts: ANSWER, ..Limits::default() };
        let options = self.way.options(Credentials::none(url), limits);
        let client = options.and_then(Client::new).map_err(|error| unknown(&error.to_string()))?;
        let begin = Instant::now();
        let mut waited = Waited::No;
        loop {
            let running = client.running_pipelines().map_err(|error| unknown(&error.to_string()))?;
            if running == 0 {
                return Ok(waited);
            }
            let late = begin.elapsed() >= time;
            if late || cancelled.load(Ordering::Relaxed) {
                let runs = named(&client, running);
                return Err(PerformError::NotStarted(if late {
                    format!("`rollout.wait_for_runs` is over, and it would interrupt {runs}")
                } else {
                    format!("interrupted while it waited for {runs}")
                }));
            }
            waited = Waited::Yes;
            (self.sleep)(BETWEEN);
        }
    }
}

/// How many runs there are, and their names where the server tells them without a login.
fn named(client: &Client, running: u64) -> String {
    let count = if running == 1 { "1 pipeline run".to_owned() } else { format!("{running} pipeline runs") };
    let mut runs = client.names_of_runs().unwrap_or_default();
    runs.truncate(NAMED);
    if runs.is_empty() {
        return count;
    }
    let more = match running.saturating_sub(runs.len() as u64) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{count}: {}{more}", runs.join(", "))
}
