//! Looks again and again until a workspace is what a step made of it, for so long as a person is willing to wait.

use std::time::{Duration, Instant};

use magus_engine::PerformError;
use magus_model::{name::WorkspaceName, observed::RunState};

use crate::Mage;

/// How long is waited, and how often is looked.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until a workspace runs, or has stopped.
    pub ready: Duration,
    /// Until a pod that is to be replaced goes away. Kubernetes gives it ten seconds to end (`terminationGracePeriodSeconds`
    /// in Mage's own template).
    pub gone: Duration,
    /// Between two looks.
    pub look: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { ready: Duration::from_secs(300), gone: Duration::from_secs(60), look: Duration::from_secs(1) }
    }
}

impl Mage {
    /// Waits until a workspace runs, or has stopped.
    pub(crate) fn wait_for_state(&self, name: &WorkspaceName, wanted: RunState) -> Result<(), PerformError> {
        let last = self.watch(name, self.patience.ready, |state| state == wanted)?;
        match last {
            None => Ok(()),
            Some(last) => Err(PerformError::Uncertain(format!(
                "sent, but the workspace is {} after {} seconds and not {}: its pod tells why",
                last.as_str(),
                self.patience.ready.as_secs(),
                wanted.as_str(),
            ))),
        }
    }

    /// Waits until a workspace that ran went away and came back. Where nobody saw that, nobody knows whether it runs with
    /// what was sent, because an old pod says RUNNING as well (MAGE.md 4.20).
    pub(crate) fn wait_for_rollout(&self, name: &WorkspaceName) -> Result<(), PerformError> {
        if self.watch(name, self.patience.gone, |state| state != RunState::Running)?.is_some() {
            return Err(PerformError::Uncertain(format!(
                "stored by mage, but its rollout was not observed: within {} seconds the workspace did not go away to \
                 come back",
                self.patience.gone.as_secs()
            )));
        }
        self.wait_for_state(name, RunState::Running)
    }

    /// Looks until the state is one that was waited for; the last one that was seen, where it never was.
    fn watch(
        &self,
        name: &WorkspaceName,
        time: Duration,
        good: impl Fn(RunState) -> bool,
    ) -> Result<Option<RunState>, PerformError> {
        let begin = Instant::now();
        loop {
            let found = self.look(name).map_err(|error| {
                PerformError::Uncertain(format!("sent, and then not seen: {}", error.message()))
            })?;
            let Some(found) = found else {
                return Err(PerformError::Uncertain("sent, and then gone from mage".to_owned()));
            };
            let state = found.known.workspace.state;
            self.remember(name, &found);
            if good(state) {
                return Ok(None);
            }
            if begin.elapsed() >= time {
                return Ok(Some(state));
            }
            (self.sleep)(self.patience.look);
        }
    }
}
