//! Looks again and again until a workspace is what a step made of it, for so long as a person is willing to wait.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use magus_engine::PerformError;
use magus_engine_kubernetes::{Key, Rollout};
use magus_model::{name::WorkspaceName, observed::RunState};

use crate::{Mage, perform::Found, running::Cluster};

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

/// Whether a signal says to stop waiting.
pub(crate) fn is_cancelled(cancelled: &AtomicBool) -> bool {
    cancelled.load(Ordering::Relaxed)
}

impl Mage {
    /// Waits until a workspace runs, or has stopped.
    pub(crate) fn wait_until(
        &self,
        name: &WorkspaceName,
        wanted: RunState,
        cancelled: &AtomicBool,
    ) -> Result<(), PerformError> {
        if let Some(cluster) = &self.kubernetes {
            return self.wait_for_pods(cluster, name, wanted, cancelled);
        }
        let last = self.watch(name, self.patience.ready, |state| state == wanted, cancelled)?;
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

    /// Waits until a workspace that ran has come back with what was sent. Where only Mage is asked, that is seen by its going
    /// away and coming back; where nobody saw that, nobody knows whether it runs with what was sent, because an old pod says
    /// RUNNING as well (MAGE.md 4.20).
    pub(crate) fn wait_for_rollout(
        &self,
        name: &WorkspaceName,
        cancelled: &AtomicBool,
    ) -> Result<(), PerformError> {
        let has_gone = |state| state != RunState::Running;
        if self.kubernetes.is_none() && self.watch(name, self.patience.gone, has_gone, cancelled)?.is_some() {
            return Err(PerformError::Uncertain(format!(
                "stored by mage, but its rollout was not observed: within {} seconds the workspace did not go away to \
                 come back",
                self.patience.gone.as_secs()
            )));
        }
        self.wait_until(name, RunState::Running, cancelled)
    }

    /// Waits until Kubernetes has done what it was sent, and says what keeps it where it has not.
    fn wait_for_pods(
        &self,
        cluster: &Cluster,
        name: &WorkspaceName,
        wanted: RunState,
        cancelled: &AtomicBool,
    ) -> Result<(), PerformError> {
        let not_seen = |why: String| Err(PerformError::Uncertain(format!("sent, and then not seen: {why}")));
        let Some(seen) = self.look_after(name)?.known.seen else {
            return not_seen("its StatefulSet was not found".to_owned());
        };
        let Key { namespace, name: set } = &seen.key;
        let deadline = Instant::now() + self.patience.ready;
        let mut rollout = cluster.kubernetes().wait_for_rollout(namespace, set, deadline, cancelled);
        if wanted == RunState::Running && matches!(rollout, Ok(Rollout::Blocked { .. })) {
            // Its pod failed while it was waited for, and Kubernetes does not replace it (MAGE.md 4.21).
            let before = self.look_after(name)?;
            self.stop_and_resume(&before, cancelled).map_err(|error| error.after("the change was sent"))?;
            if let Some(stored) = before.known.stored.clone() {
                self.put_mark_later(&before, stored).map_err(|error| error.after("it was restarted"))?;
            }
            let deadline = Instant::now() + self.patience.ready;
            rollout = cluster.kubernetes().wait_for_rollout(namespace, set, deadline, cancelled);
        }
        match rollout {
            Ok(Rollout::Done) => {}
            Ok(Rollout::NotSeen { why } | Rollout::Blocked { why }) => {
                return Err(PerformError::Uncertain(format!(
                    "sent, but the workspace was not seen to be {}: {why}",
                    wanted.as_str()
                )));
            }
            Err(error) => return not_seen(error.to_string()),
        }
        match self.look_after(name)?.known.workspace.state {
            state if state == wanted => Ok(()),
            state => Err(PerformError::Uncertain(format!(
                "sent, but the workspace is {} by now and not {}: somebody else may have changed it",
                state.as_str(),
                wanted.as_str()
            ))),
        }
    }

    /// Looks until the state is one that was waited for; the last one that was seen, where it never was.
    fn watch(
        &self,
        name: &WorkspaceName,
        time: Duration,
        good: impl Fn(RunState) -> bool,
        cancelled: &AtomicBool,
    ) -> Result<Option<RunState>, PerformError> {
        let begin = Instant::now();
        loop {
            let state = self.look_after(name)?.known.workspace.state;
            if good(state) {
                return Ok(None);
            }
            if begin.elapsed() >= time {
                return Ok(Some(state));
            }
            if is_cancelled(cancelled) {
                return Err(PerformError::Uncertain(
                    "sent, and interrupted before it was seen to be done".into(),
                ));
            }
            (self.sleep)(self.patience.look);
        }
    }

    /// The workspace after something was sent, remembered for the next step.
    pub(crate) fn look_after(&self, name: &WorkspaceName) -> Result<Found, PerformError> {
        let found = self.look(name).map_err(|error| {
            PerformError::Uncertain(format!("sent, and then not seen: {}", error.message()))
        })?;
        let found =
            found.ok_or_else(|| PerformError::Uncertain("sent, and then gone from mage".to_owned()))?;
        self.remember(name, &found);
        Ok(found)
    }
}
