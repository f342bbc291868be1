//! Restarts a workspace: stops it and starts it again, and does not leave it stopped by accident.

use std::sync::atomic::AtomicBool;

use magus_engine::PerformError;
use magus_model::{
    name::WorkspaceName,
    observed::{Mark, RunState},
};

use crate::{
    Mage,
    api::request,
    code,
    mark::{Stored, StoredCode},
    perform::Found,
    wait::is_cancelled,
};

/// How often a workspace is started again that a step stopped, if Mage refuses.
const RESUMES: u32 = 5;

impl Mage {
    /// Stops a workspace and starts it again. Its mark says so first: whatever comes between, the next plan starts it.
    ///
    /// # Errors
    /// The error of the stop if the workspace still runs; after it, only [`PerformError::Uncertain`].
    pub(crate) fn stop_and_resume(&self, found: &Found, cancelled: &AtomicBool) -> Result<(), PerformError> {
        let name = found.name();
        let before = found.known.stored.clone();
        if let Some(stored) = before.clone() {
            let mark = Mark { resume: true, ..stored.mark };
            let code = StoredCode { clean: code::resets_at_start(&found.known), ..stored.code };
            self.put_mark_later(found, Stored { mark, code, ..stored })?;
        }
        if let Err(error) = self.send_write(&request::stop_workspace(name.as_str(), None))
            && let Ok(Some(now)) = self.look(name)
            && now.runs()
        {
            let unmarked = before.map_or(Ok(()), |stored| self.put_mark(&now, stored));
            return Err(if unmarked.is_ok() { error } else { error.after("its mark says that it restarts") });
        }
        let stopped = self.wait_until(name, RunState::Stopped, cancelled);
        self.resume(name, cancelled)?;
        stopped
    }

    /// Starts a workspace that this step stopped. Mage's `resume` starts what is stopped and does nothing else (MAGE.md 3): it is
    /// sent even if the workspace was not seen to stop, and again if it was refused.
    fn resume(&self, name: &WorkspaceName, cancelled: &AtomicBool) -> Result<(), PerformError> {
        let mut wait = self.patience.look;
        for attempt in 1.. {
            let Err(error) = self.client.send(&request::resume_workspace(name.as_str())) else { break };
            if self.look(name).is_ok_and(|found| found.is_some_and(|found| found.runs())) {
                break;
            }
            if attempt == RESUMES || is_cancelled(cancelled) {
                return Err(PerformError::Uncertain(format!(
                    "`{name}` was stopped and not started again: {error}; the next `magus apply` starts it"
                )));
            }
            (self.sleep)(wait);
            wait *= 2;
        }
        Ok(())
    }
}
