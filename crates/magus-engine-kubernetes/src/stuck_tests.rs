//! What a pod says while it starts, and after it has failed.

use serde_json::{Value as Json, json};

use super::*;

const CREATED: &str = "2026-08-01T10:00:00Z";

/// A pod that was made at [`CREATED`], with this status.
fn pod(status: Json) -> Pod {
    let metadata = json!({ "name": "ana-0", "creationTimestamp": CREATED });
    serde_json::from_value(json!({ "metadata": metadata, "status": status })).unwrap()
}

/// The status of a pod whose container waits for this reason.
fn waits(reason: &str) -> Json {
    json!({ "phase": "Pending", "containerStatuses": [{
        "name": "c", "image": "a:2", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "waiting": { "reason": reason } },
    }] })
}

/// The status of a pod with this condition since then.
fn condition(kind: &str, status: &str, since: &str) -> Json {
    json!({ "conditions": [{ "type": kind, "status": status, "lastTransitionTime": since, "reason": "Unschedulable" }] })
}

fn at(time: &str) -> Option<Timestamp> {
    Some(time.parse().unwrap())
}

#[test]
fn a_pod_has_failed_once_kubernetes_says_so() {
    for (reason, expected) in [
        ("ContainerCreating", false),
        ("PodInitializing", false),
        // The first failure of a pull: the kubelet tries again, and says ImagePullBackOff after the next one.
        ("ErrImagePull", false),
        ("ImagePullBackOff", true),
        ("InvalidImageName", true),
        ("CrashLoopBackOff", true),
        ("CreateContainerConfigError", true),
    ] {
        assert_eq!(terminal(&pod(waits(reason))).is_some(), expected, "{reason}");
    }
    let mut goes = pod(waits("CrashLoopBackOff"));
    goes.metadata.deletion_timestamp = goes.metadata.creation_timestamp.clone();
    assert_eq!(terminal(&goes), None, "it is on its way out");
}

#[test]
fn a_pod_that_starts_is_late_by_the_time_of_the_cluster_alone() {
    let starting = || waits("ContainerCreating");
    for (status, now, expected) in [
        (starting(), at("2026-08-01T10:00:02Z"), false),
        (starting(), at("2026-08-01T10:09:59Z"), false),
        (starting(), at("2026-08-01T10:10:00Z"), true),
        (json!({}), at("2026-08-01T10:10:00Z"), true),
        // The clock of this machine does not count.
        (starting(), None, false),
        (condition("PodScheduled", "False", CREATED), at("2026-08-01T10:05:00Z"), false),
        (condition("PodScheduled", "False", CREATED), at("2026-08-01T10:10:00Z"), true),
        // It ran for days, and is not ready for a moment.
        (condition("Ready", "False", "2026-08-05T12:00:00Z"), at("2026-08-05T12:05:00Z"), false),
        (condition("Ready", "False", "2026-08-05T12:00:00Z"), at("2026-08-05T12:10:00Z"), true),
        (condition("Ready", "True", CREATED), at("2026-08-05T12:10:00Z"), false),
    ] {
        assert_eq!(late(&pod(status.clone()), now).is_some(), expected, "{status} at {now:?}");
    }
    let why = late(&pod(condition("PodScheduled", "False", CREATED)), at("2026-08-01T10:12:30Z"));
    assert_eq!(why.as_deref(), Some("no node takes it, for 12 minutes"));
}
