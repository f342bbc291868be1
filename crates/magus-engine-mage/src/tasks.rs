//! Workspaces that Mage makes and never changes: tasks on ECS, and services on Cloud Run. They get what the main server's
//! own task has, and what can be said of one is that it is there and, on ECS, whether it runs.
//!
//! Mage stores one free text for them, a command for after the start, and only workspaces on Kubernetes run it: the mark
//! stands there. It is set when the workspace is made and stays as it is.

use std::collections::BTreeMap;

use magus_engine::{PerformError, Task};
use magus_model::{
    name::WorkspaceName,
    observed::RunState,
    plan::{Action, Step},
};
use serde_json::{Map, json};

use crate::{
    Mage,
    api::{ApiError, request},
    item::Item,
    mark::{self, Stored},
    perform::{Found, is_made_stopped, mark_of},
};

impl Mage {
    /// Whether the workspaces of this server are such ones.
    pub(crate) fn makes_tasks(&self) -> Result<bool, ApiError> {
        let server = self.client.server()?;
        Ok(server.instance_type.is_some_and(|instances| instances.are_tasks()))
    }

    /// Makes such a workspace.
    pub(crate) fn create_task(&self, task: &Task<'_>) -> Result<(), PerformError> {
        let Task { step, cancelled, .. } = *task;
        let Step { workspace: name, .. } = step;
        self.send_task(step)?;
        if is_made_stopped(step) {
            let stopped = self.stop_task(&self.look_after(name)?);
            stopped.map_err(|error| error.after("created, and it runs"))?;
            return self.wait_until(name, RunState::Stopped, cancelled);
        }
        self.wait_until(name, RunState::Running, cancelled)
    }

    /// Does one step with such a workspace, which was just found.
    pub(crate) fn change_task(&self, task: &Task<'_>, found: &Found) -> Result<(), PerformError> {
        let Task { step: Step { workspace: name, action, .. }, cancelled, .. } = *task;
        match action {
            Action::Stop => {
                self.stop_task(found)?;
                self.wait_until(name, RunState::Stopped, cancelled)
            }
            Action::Start => {
                self.resume_task(name)?;
                self.wait_until(name, RunState::Running, cancelled)
            }
            Action::Restart => {
                self.stop_task(found)?;
                // A second task would run beside one that has not ended.
                self.wait_until(name, RunState::Stopped, cancelled)?;
                self.resume_task(name).map_err(|error| error.after("it was stopped"))?;
                self.wait_until(name, RunState::Running, cancelled)
            }
            Action::Delete => {
                let deleted = self.client.send(&request::delete_workspace(name.as_str()));
                let now = self.look(name).map_err(|error| error.after("perhaps deleted"))?;
                match (deleted, now) {
                    // Mage forgets a workspace only after its task was stopped.
                    (_, None) => Ok(()),
                    (Ok(_), Some(_)) => Err(PerformError::Uncertain(format!(
                        "mage said that `{name}` is deleted, and still shows it"
                    ))),
                    (Err(error), Some(_)) => Err(error.into()),
                }
            }
            other => Err(PerformError::Failed(format!("Mage cannot {} such a workspace", other.as_str()))),
        }
    }

    fn send_task(&self, step: &Step) -> Result<(), PerformError> {
        let Step { workspace: name, .. } = step;
        if self.look(name)?.is_some() {
            return Err(PerformError::Moved(format!("`{name}` exists by now; plan again")));
        }
        let stored = Stored {
            mark: mark_of(step)?,
            secrets: BTreeMap::new(),
            grown: false,
            code: Default::default(),
            key: mark::new_key(),
        };
        let line = mark::write(name, &stored).map_err(PerformError::Failed)?;
        let mut body = Map::new();
        body.insert("name".into(), name.as_str().into());
        body.insert("lifecycle_config".into(), json!({ "post_start": { "command": [line] } }));
        let created = self.client.send(&request::create_workspace(body));
        let now = self.look(name).map_err(|error| error.after("perhaps created"))?;
        match (created, now) {
            (_, Some(found)) if found.known.stored.as_ref() == Some(&stored) => {
                self.remember(name, &found);
                Ok(())
            }
            (Ok(_), Some(_)) => Err(PerformError::Uncertain(
                "sent, but mage shows another mark than the one that was sent".into(),
            )),
            (Ok(_), None) => {
                Err(PerformError::Uncertain("sent, but mage does not show the workspace".into()))
            }
            (Err(error), _) if error.uncertain => Err(PerformError::Uncertain(format!(
                "{error}; its task may run: look for one whose tag `name` is `{name}`, and stop it"
            ))),
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Mage stops the task that it is told to, and not the one of the workspace.
    fn stop_task(&self, found: &Found) -> Result<(), PerformError> {
        let name = &found.known.workspace.name;
        let Some(task) = found.item.task() else {
            return Err(PerformError::Failed(format!("mage does not tell which task `{name}` is")));
        };
        self.send_write(&request::stop_workspace(name.as_str(), Some(task)))
    }

    /// Each `resume` starts one more task: it is sent once, to a workspace that was just seen to have none.
    fn resume_task(&self, name: &WorkspaceName) -> Result<(), PerformError> {
        let state = self.look_after(name)?.known.workspace.state;
        if state != RunState::Stopped {
            return Err(PerformError::Moved(format!("`{name}` is {} by now; plan again", state.as_str())));
        }
        let Err(error) = self.client.send(&request::resume_workspace(name.as_str())) else { return Ok(()) };
        match self.look_after(name)?.known.workspace.state {
            RunState::Stopped => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Item {
    /// The mark's line of such a workspace.
    pub(crate) fn mark_of_task(&self) -> Option<String> {
        let lifecycle = serde_json::to_value(self.lifecycle_config.as_ref()?).ok()?;
        lifecycle["post_start"]["command"][0].as_str().map(str::to_owned)
    }
}
