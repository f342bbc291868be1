//! Waits for running pipelines before something interrupts them. Only a workspace's own server knows which run; it is asked
//! without any credential.

use std::{
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use magus_engine::PerformError;
use magus_model::{
    observed::RunState,
    plan::{Action, Restarts, Step},
};

use crate::{Mage, api::Client, perform::Found, wait::is_cancelled};

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
    /// Waits until no pipeline runs in a workspace; where there is no time to wait, only looks.
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
        if found.known.workspace.state != RunState::Running {
            return Ok(Waited::No);
        }
        let because = match time.is_zero() {
            true => "secrets are not deleted under pipelines that run",
            false => "`rollout.wait_for_runs` is declared",
        };
        let unknown = |why: &str| {
            PerformError::NotStarted(format!("{because}, and nobody can say whether any runs: {why}"))
        };
        let client = self.own_server(&found.item).map_err(|reason| unknown(&reason))?;
        let begin = Instant::now();
        let mut waited = Waited::No;
        loop {
            let running = client.running_pipelines().map_err(|error| unknown(&error.to_string()))?;
            if running == 0 {
                return Ok(waited);
            }
            let late = begin.elapsed() >= time;
            if late || is_cancelled(cancelled) {
                let runs = named(&client, running);
                return Err(PerformError::NotStarted(if time.is_zero() {
                    format!("{because}, and there is {runs}; `rollout.wait_for_runs` lets an apply wait")
                } else if late {
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
