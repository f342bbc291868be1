//! Which workloads have failed to come up, as opposed to being on their way: judged by what Kubernetes says of their pods.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::core::v1::{ContainerStatus, Pod},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Resource as _,
    core::{ObjectList, Request, params::ListParams},
};
use magus_engine::EngineError;

use crate::{
    Kubernetes,
    failure::Trouble,
    rollout::{self, APP, Progress, REVISION, is_of, judge},
    workload::{Key, Workload},
};

/// How long a pod may take to become ready: what Kubernetes gives a Deployment by default (`progressDeadlineSeconds`). A
/// StatefulSet has no such field.
const PROGRESS_DEADLINE: SignedDuration = SignedDuration::from_secs(600);

/// Reasons of a waiting container that the kubelet gives after it has failed, and that time alone does not remove
/// (`pkg/kubelet/images/types.go` and `pkg/kubelet/container/sync_result.go`). `ErrImagePull` is not among them: it is the first
/// failure, and `ImagePullBackOff` follows the second.
const TERMINAL: &[&str] = &[
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// A pod that has failed to come up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// Why, for people: lower case, no full stop.
    pub why: String,
    /// Whether the pod has an older template than the last one. Kubernetes does not replace it while it is not ready.
    pub is_outdated: bool,
}

impl Kubernetes {
    /// The workloads among these that should run and whose pod has failed. One request for the pods if a workload is not up, and
    /// one for the time of the cluster if an answer depends on it.
    ///
    /// # Errors
    /// Where the pods could not be read.
    pub fn stuck<'a>(
        &self,
        workloads: impl IntoIterator<Item = &'a Workload>,
    ) -> Result<BTreeMap<Key, Stuck>, EngineError> {
        let waiting: Vec<&Workload> =
            workloads.into_iter().filter(|workload| !workload.is_settled()).collect();
        let pods = match waiting[..] {
            [] => return Ok(BTreeMap::new()),
            [one] => self.pods(Some(&one.key.namespace), Some(&one.key.name)),
            _ => self.pods(self.namespace.as_deref(), None),
        };
        let pods = pods.map_err(Trouble::engine)?;
        let mut now = None;
        let mut found = BTreeMap::new();
        for workload in waiting {
            for pod in pods.iter().filter(|pod| is_of(pod, &workload.uid)) {
                let why = terminal(pod).or_else(|| late(pod, *now.get_or_insert_with(|| self.server.now())));
                if let Some(why) = why {
                    let stuck = Stuck { why, is_outdated: is_outdated(pod, workload) };
                    found.insert(workload.key.clone(), stuck);
                }
            }
        }
        Ok(found)
    }

    fn pods(&self, namespace: Option<&str>, app: Option<&str>) -> Result<Vec<Pod>, Trouble> {
        let params = match app {
            Some(app) => ListParams::default().labels(&format!("{APP}={app}")),
            None => ListParams::default(),
        };
        let list: ObjectList<Pod> =
            self.server.read(Request::new(Pod::url_path(&(), namespace)).list(&params))?;
        Ok(list.items)
    }
}

impl Workload {
    /// Whether nothing is to be expected of its pods: it is up, or it is not to run.
    fn is_settled(&self) -> bool {
        !self.is_workspace || self.deleting || self.wanted == 0 || judge(self) == Progress::Done
    }
}

/// Why a pod has failed for good; nothing if it has not, or is on its way out.
fn terminal(pod: &Pod) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let status = pod.status.as_ref()?;
    let initial = status.init_container_statuses.iter().flatten();
    let all = initial.chain(status.container_statuses.iter().flatten());
    all.filter(|status| is_terminal(status)).find_map(rollout::container)
}

fn is_terminal(status: &ContainerStatus) -> bool {
    let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
    reason.is_some_and(|reason| TERMINAL.contains(&reason))
}

/// Why a pod is over its deadline. Without the time of the cluster no pod is: the clock of this machine may be wrong.
fn late(pod: &Pod, now: Option<Timestamp>) -> Option<String> {
    let now = now?;
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.into_iter().flatten().find(|condition| condition.type_ == "Ready");
    if ready.is_some_and(|ready| ready.status == "True") {
        return None;
    }
    let since = ready.and_then(|ready| ready.last_transition_time.as_ref());
    let Time(since) = since.or(pod.metadata.creation_timestamp.as_ref())?;
    let waited = now.duration_since(Timestamp::from_second(since.as_second()).ok()?);
    if waited < PROGRESS_DEADLINE {
        return None;
    }
    let why = rollout::scheduling(pod).or_else(|| rollout::containers(pod, &[]));
    let why = why.unwrap_or_else(|| "it is not ready".to_owned());
    Some(format!("{why}, for {} minutes", waited.as_mins()))
}

fn is_outdated(pod: &Pod, workload: &Workload) -> bool {
    let revision = pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION));
    revision.is_some_and(|revision| *revision != workload.counts.update_revision.as_str())
}

#[cfg(test)]
#[path = "stuck_tests.rs"]
mod tests;
