//! Whether a change of a workload has come up, and if not, why: judged from what the cluster says, without asking it.

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};

use crate::{shown::shown, workload::Workload};

/// How waiting for a rollout ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rollout {
    /// Every wanted pod has the last template and has been ready for long enough; or none is wanted and none is left.
    Done,
    /// A pod with an older template has failed, and Kubernetes does not replace it while it is not ready: it has to go first.
    Blocked {
        /// Why it has failed: lower case, no full stop.
        why: String,
    },
    /// That was not seen.
    NotSeen {
        /// What keeps it, as far as the cluster tells: lower case, no full stop.
        why: String,
    },
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    /// On its way, or stuck: the pods tell.
    Open,
    /// Nothing will come of waiting.
    Never(String),
}

/// What Mage puts on pods, and on everything else of a workspace.
pub(crate) const APP: &str = "app";
/// Which template a pod has (`apps.ControllerRevisionHashLabelKey`).
pub(crate) const REVISION: &str = "controller-revision-hash";

/// Judges by the status alone. A pod that was ready once is not enough: without a readiness probe, which Mage's
/// containers do not have, one that crashes is ready each time it starts. And equal revisions are not enough: they are so too
/// when a template that did not come up was taken back, and its pod is still there.
pub(crate) fn judge(workload: &Workload) -> Progress {
    let Workload { key, generation, wanted, deleting, waits_for_deletion, counts, .. } = workload;
    if *deleting {
        return Progress::Never(format!("the StatefulSet `{}` is being deleted", key.name));
    }
    if counts.observed_generation < *generation {
        return Progress::Open;
    }
    if *wanted == 0 {
        return if counts.pods == 0 { Progress::Done } else { Progress::Open };
    }
    let come_up =
        [counts.pods, counts.updated, counts.ready, counts.available].iter().all(|count| count == wanted);
    if come_up {
        return Progress::Done;
    }
    if *waits_for_deletion && counts.pods == *wanted && counts.updated < *wanted {
        return Progress::Never(format!(
            "the StatefulSet `{}` replaces a pod only when somebody deletes it (`updateStrategy: OnDelete`)",
            key.name
        ));
    }
    Progress::Open
}

/// Says what keeps it. `pods` and `events` are those of its namespace, or why they are not known.
pub(crate) fn why(workload: &Workload, pods: Result<&[Pod], &str>, events: &[Event]) -> String {
    let Workload { key, uid, generation, wanted, counts, .. } = workload;
    if counts.observed_generation < *generation {
        return "kubernetes has not begun with it: its controllers may be down".to_owned();
    }
    let pods = match pods {
        Ok(pods) => pods,
        Err(why) => return format!("{}; why is not known: {why}", come_up(workload)),
    };
    let mut own: Vec<&Pod> = pods.iter().filter(|pod| is_of(pod, uid)).collect();
    own.sort_by_key(|pod| pod.metadata.name.clone());
    if *wanted == 0 {
        return match own.as_slice() {
            [] => "its pod has just gone".to_owned(),
            [pod, ..] => format!("pod `{}` has not ended", name_of(pod)),
        };
    }
    if own.is_empty() {
        return match warning(events, "StatefulSet", &key.name) {
            Some(message) => format!("its pod cannot be made: {message}"),
            None => "its pod has not been made".to_owned(),
        };
    }
    let mut kept: Vec<String> = own.iter().filter_map(|pod| fault(pod, workload, events)).collect();
    if kept.is_empty() {
        return come_up(workload);
    }
    // One reason is enough to look into it; further ones are mostly the same.
    let more = kept.len() - 1;
    let first = kept.swap_remove(0);
    if more == 0 { first } else { format!("{first}; and {more} more") }
}

fn come_up(workload: &Workload) -> String {
    let Workload { wanted, counts, min_ready_seconds, .. } = workload;
    format!(
        "{} of {wanted} pods have been ready for {min_ready_seconds} seconds with what was sent",
        counts.available.min(counts.updated)
    )
}

/// What is wrong with a pod, or not yet right.
fn fault(pod: &Pod, workload: &Workload, events: &[Event]) -> Option<String> {
    let name = name_of(pod);
    if pod.metadata.deletion_timestamp.is_some() {
        return Some(format!("pod `{name}` is to end and has not: the node that it is on may not answer"));
    }
    let fault = scheduling(pod).or_else(|| containers(pod, events));
    let revision = pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION));
    if revision.is_some_and(|revision| *revision != workload.counts.update_revision.as_str()) {
        // MAGE.md 4.21, and "forced rollback" in Kubernetes' own documentation.
        return Some(match fault {
            Some(fault) => format!(
                "pod `{name}` still runs what was there before, and kubernetes does not replace a pod that is not ready: \
                 {fault}; `kubectl delete pod {name} --namespace {}` lets it go on",
                workload.key.namespace
            ),
            None => format!("pod `{name}` still runs what was there before"),
        });
    }
    fault.map(|fault| format!("pod `{name}`: {fault}"))
}

/// Why a pod has no node.
pub(crate) fn scheduling(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions
        .iter()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
    Some(match condition.message.as_deref().map(shown) {
        Some(message) if !message.is_empty() => format!("no node takes it: {message}"),
        _ => "no node takes it".to_owned(),
    })
}

/// What the containers say, the first one that has something to say.
pub(crate) fn containers(pod: &Pod, events: &[Event]) -> Option<String> {
    let Some(status) = &pod.status else { return Some("its node has not begun with it".to_owned()) };
    let initial = status.init_container_statuses.iter().flatten();
    let usual = status.container_statuses.iter().flatten();
    if let Some(found) = initial.chain(usual).find_map(container) {
        return Some(found);
    }
    let waits = status
        .container_statuses
        .iter()
        .flatten()
        .any(|status| status.state.as_ref().is_some_and(|state| state.waiting.is_some()));
    if waits || status.container_statuses.is_none() {
        return Some(match warning(events, "Pod", name_of(pod)) {
            Some(message) => format!("its containers are not made: {message}"),
            None => "its containers are being made".to_owned(),
        });
    }
    let unready = status.container_statuses.iter().flatten().find(|status| !status.ready)?;
    let name = &unready.name;
    Some(match times(unready) {
        Some(times) => format!("container `{name}` is not ready; it {times}"),
        None => format!("container `{name}` runs and does not say that it is ready"),
    })
}

/// What keeps one container from running, where that is more than time.
pub(crate) fn container(status: &ContainerStatus) -> Option<String> {
    let ContainerStatus { name, image, state, .. } = status;
    let state = state.as_ref()?;
    if let Some(terminated) = &state.terminated {
        // A container that prepares ends well and stays so.
        return (terminated.exit_code != 0)
            .then(|| format!("container `{name}` ended with exit code {}", terminated.exit_code));
    }
    let waiting = state.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().unwrap_or_default();
    let message = waiting.message.as_deref().map(shown).filter(|message| !message.is_empty());
    let because = message.map_or_else(String::new, |message| format!(": {message}"));
    match reason {
        "" | "ContainerCreating" | "PodInitializing" => None,
        "CrashLoopBackOff" => Some(match times(status) {
            Some(times) => format!("container `{name}` crashes again and again; it {times}"),
            None => format!("container `{name}` crashes again and again"),
        }),
        "ImagePullBackOff"
        | "ErrImagePull"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "RegistryUnavailable" => {
            Some(format!("the image `{image}` of container `{name}` cannot be pulled ({reason}){because}"))
        }
        _ => Some(format!("container `{name}` cannot start ({reason}){because}")),
    }
}

/// How often a container was started again, and how it ended the last time. What it said then is not shown: it is the
/// program's own text.
fn times(status: &ContainerStatus) -> Option<String> {
    if status.restart_count == 0 {
        return None;
    }
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let last = last.map_or_else(String::new, |ended| match ended.reason.as_deref() {
        Some(reason) if reason != "Error" => {
            format!(", the last time after exit code {} ({reason})", ended.exit_code)
        }
        _ => format!(", the last time after exit code {}", ended.exit_code),
    });
    let count = status.restart_count;
    Some(format!("was restarted {count} {}{last}", if count == 1 { "time" } else { "times" }))
}

/// The last warning about an object. Events are kept for an hour, so one of an earlier change may be among them: it is the last.
fn warning(events: &[Event], kind: &str, name: &str) -> Option<String> {
    let about = |event: &&Event| {
        event.type_.as_deref() == Some("Warning")
            && event.involved_object.kind.as_deref() == Some(kind)
            && event.involved_object.name.as_deref() == Some(name)
    };
    let time = |event: &Event| {
        event.last_timestamp.as_ref().map(|time| time.0).or(event.event_time.as_ref().map(|time| time.0))
    };
    let last = events.iter().filter(about).max_by_key(|event| time(event))?;
    Some(shown(last.message.as_deref()?)).filter(|message| !message.is_empty())
}

/// Whether a pod belongs to this StatefulSet, and not to an earlier one of its name or to something with the same label.
pub(crate) fn is_of(pod: &Pod, uid: &str) -> bool {
    pod.metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid)
}

fn name_of(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

#[cfg(test)]
#[path = "rollout_tests.rs"]
mod tests;
