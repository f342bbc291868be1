//! Runs pipelines on the server of a workspace itself, by their API triggers, and waits until they have ended.

use std::{
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use magus_engine::{PerformError, PipelineRun, Validate};
use magus_model::{name::WorkspaceName, observed::RunState};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    Mage,
    api::{Client, request},
    own_server::Shut,
    wait::is_cancelled,
};

/// Between two questions how a run is: pipelines take minutes.
const BETWEEN: Duration = Duration::from_secs(2);
/// How long a trigger is waited for: every ten seconds Mage reads what `triggers.yaml` says (`sync_schedules` in
/// `orchestration/pipeline_scheduler_original.py` of 0.9.80).
const TRIGGERS: Duration = Duration::from_secs(30);
/// How often in a row a server may give no answer while a run is under way.
const MISSES: u32 = 5;

#[derive(Deserialize)]
struct Trigger {
    id: u64,
    schedule_type: Option<String>,
    status: Option<String>,
}

#[derive(Deserialize)]
struct Run {
    id: u64,
    status: Option<String>,
}

impl Validate for Mage {
    fn run_pipeline(
        &self,
        workspace: &WorkspaceName,
        pipeline: &str,
        until: Instant,
        cancelled: &AtomicBool,
        told: &dyn Fn(&str),
    ) -> Result<PipelineRun, PerformError> {
        let failed = |why: String| PerformError::Failed(format!("`{pipeline}` in `{workspace}`: {why}"));
        let found = self.look(workspace)?.ok_or_else(|| failed("mage has no such workspace".to_owned()))?;
        if found.known.workspace.state != RunState::Running {
            let state = found.known.workspace.state.as_str();
            return Err(PerformError::NotStarted(format!("`{workspace}` is {state}, and runs no pipeline")));
        }
        let server = self.trusted_server(&found.item).map_err(Shut::reason).map_err(failed)?;
        let trigger = self.trigger(&server, pipeline, until.min(Instant::now() + TRIGGERS), cancelled);
        let trigger = trigger.map_err(failed)?.ok_or_else(|| {
            failed("it has no active API trigger: add one in mage, or in its triggers.yaml".to_owned())
        })?;
        let started = server.send(&request::start_run(trigger.id));
        let started =
            started.map_err(|error| PerformError::Uncertain(failed(error.to_string()).to_string()))?;
        let Run { id, .. } = part(&started, "pipeline_run").map_err(failed)?;
        let address = found.item.url.as_deref().unwrap_or_default().trim_end_matches('/');
        let url = format!("{address}/pipelines/{pipeline}/runs/{id}");
        told(&format!("{pipeline} in {workspace}: run {id} has begun"));
        self.wait_for_end(&server, id, until, cancelled, |status| {
            told(&format!("{pipeline} in {workspace}: {status}"));
        })
        .map(|status| PipelineRun { passed: status == "completed", status: status.into(), url: url.into() })
        .map_err(|why| PerformError::Uncertain(failed(format!("run {id} {why}")).to_string()))
    }
}

impl Mage {
    /// The active API trigger of a pipeline. One that has just come with its code is not there at once.
    fn trigger(
        &self,
        server: &Client,
        pipeline: &str,
        until: Instant,
        cancelled: &AtomicBool,
    ) -> Result<Option<Trigger>, String> {
        let is_active = |trigger: &Trigger| {
            trigger.schedule_type.as_deref() == Some("api") && trigger.status.as_deref() == Some("active")
        };
        loop {
            let answer = server.send(&request::triggers(pipeline)).map_err(|error| error.to_string())?;
            let triggers: Vec<Trigger> = part(&answer, "pipeline_schedules")?;
            let found = triggers.into_iter().find(is_active);
            if found.is_some() || Instant::now() >= until || is_cancelled(cancelled) {
                return Ok(found);
            }
            (self.sleep)(BETWEEN);
        }
    }

    /// The status with which a run ended; or why nobody saw it end.
    fn wait_for_end(
        &self,
        server: &Client,
        id: u64,
        until: Instant,
        cancelled: &AtomicBool,
        told: impl Fn(&str),
    ) -> Result<String, String> {
        let mut last = String::new();
        let mut misses = 0;
        loop {
            let answer = server.send(&request::run(id)).map_err(|error| error.to_string());
            match answer.and_then(|answer| part::<Run>(&answer, "pipeline_run")) {
                Ok(Run { status, .. }) => {
                    misses = 0;
                    let status = status.unwrap_or_default();
                    if status != last {
                        told(&status);
                    }
                    if ["completed", "failed", "cancelled"].contains(&status.as_str()) {
                        return Ok(status);
                    }
                    last = status;
                }
                Err(why) => {
                    misses += 1;
                    if misses >= MISSES {
                        return Err(format!("is not to be seen: {why}"));
                    }
                }
            }
            if is_cancelled(cancelled) {
                return Err("goes on: nobody waits for it any more".to_owned());
            }
            if Instant::now() >= until {
                return Err("has not ended in time".to_owned());
            }
            (self.sleep)(BETWEEN);
        }
    }
}

/// The part of an answer that is asked for; the rest, with tokens and variables, is not kept.
fn part<T: DeserializeOwned>(answer: &Value, key: &str) -> Result<T, String> {
    T::deserialize(&answer[key]).map_err(|_| format!("what mage says of `{key}` is not understood"))
}
