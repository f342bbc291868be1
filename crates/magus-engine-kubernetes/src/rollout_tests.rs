//! What a cluster says while a change comes up, and what is made of it.

use serde_json::{Value as Json, json};

use super::*;
use crate::{set::Set, workload::tests::mages_own};

/// The workload of what Mage makes, with another status.
fn with(counts: Json) -> Workload {
    let mut json = mages_own();
    for (key, value) in counts.as_object().unwrap() {
        json["status"][key] = value.clone();
    }
    serde_json::from_value::<Set>(json).unwrap().into()
}

/// One whose last template, `ana-2`, has not come up.
fn on_its_way() -> Workload {
    with(json!({ "updateRevision": "ana-2", "updatedReplicas": 0, "availableReplicas": 0 }))
}

/// The pod of it, with this revision and status.
fn pod(revision: &str, status: Json) -> Pod {
    serde_json::from_value(json!({
        "metadata": {
            "name": "ana-0", "namespace": "mage",
            "labels": { "app": "ana", "controller-revision-hash": revision },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "ana", "uid": "u-1" }],
        },
        "status": status,
    }))
    .unwrap()
}

/// The status of a pod with one container in this state.
fn state(state: Json) -> Json {
    let mut status =
        json!({ "name": "ana-container", "image": "a:2", "imageID": "", "ready": false, "restartCount": 0 });
    for (key, value) in state.as_object().unwrap() {
        status[key] = value.clone();
    }
    json!({ "conditions": [{ "type": "PodScheduled", "status": "True" }], "containerStatuses": [status] })
}

fn event(kind: &str, name: &str, time: &str, message: &str) -> Event {
    serde_json::from_value(json!({
        "metadata": {}, "type": "Warning", "lastTimestamp": time, "message": message,
        "involvedObject": { "kind": kind, "name": name },
    }))
    .unwrap()
}

#[test]
fn a_rollout_is_done_when_all_is_new_and_has_been_ready_for_long_enough() {
    assert_eq!(judge(&with(json!({}))), Progress::Done);
    for (what, counts) in [
        ("not looked at yet", json!({ "observedGeneration": 1 })),
        (
            "no pod",
            json!({ "replicas": 0, "readyReplicas": 0, "availableReplicas": 0, "updatedReplicas": 0 }),
        ),
        ("a pod too many", json!({ "replicas": 2 })),
        ("not ready", json!({ "readyReplicas": 0, "availableReplicas": 0 })),
        ("ready for a moment", json!({ "availableReplicas": 0 })),
        ("the old one is fine", json!({ "updateRevision": "ana-2", "updatedReplicas": 0 })),
        // The template that did not come up was taken back, and its pod is still there.
        ("revisions are equal again", json!({ "updatedReplicas": 0 })),
    ] {
        assert_eq!(judge(&with(counts)), Progress::Open, "{what}");
    }
}

#[test]
fn a_stopped_one_is_done_when_no_pod_is_left() {
    let stopped = |pods: u32| {
        let mut workload = with(json!({ "replicas": pods }));
        workload.wanted = 0;
        judge(&workload)
    };
    assert_eq!(stopped(0), Progress::Done);
    assert_eq!(stopped(1), Progress::Open);
}

#[test]
fn nothing_comes_of_waiting_for_what_nobody_will_do() {
    let mut waits = on_its_way();
    waits.waits_for_deletion = true;
    assert!(matches!(judge(&waits), Progress::Never(why) if why.contains("OnDelete")));
    let mut goes = on_its_way();
    goes.deleting = true;
    assert!(matches!(judge(&goes), Progress::Never(why) if why.contains("being deleted")));
    let mut stopped = with(json!({ "replicas": 0 }));
    stopped.waits_for_deletion = true;
    stopped.wanted = 0;
    assert_eq!(judge(&stopped), Progress::Done);
}

#[test]
fn the_reason_is_what_the_pod_says() {
    let ended = |code: i32, reason: &str| json!({ "terminated": { "exitCode": code, "reason": reason, "message": "hunter2" } });
    let waiting = |reason: &str, message: &str| {
        state(json!({ "state": { "waiting": { "reason": reason, "message": message } } }))
    };
    for (status, expect) in [
        (
            json!({ "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/1 nodes are available: 1 Insufficient memory.",
            }] }),
            "pod `ana-0`: no node takes it: 0/1 nodes are available: 1 Insufficient memory",
        ),
        (
            state(json!({
                "restartCount": 5, "lastState": ended(137, "OOMKilled"),
                "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 5m0s" } },
            })),
            "pod `ana-0`: container `ana-container` crashes again and again; it was restarted 5 times, the last time \
             after exit code 137 (OOMKilled)",
        ),
        (
            state(json!({ "restartCount": 1, "lastState": ended(1, "Error"), "state": { "running": {} } })),
            "pod `ana-0`: container `ana-container` is not ready; it was restarted 1 time, the last time after exit code 1",
        ),
        (
            state(json!({ "state": ended(2, "Error") })),
            "pod `ana-0`: container `ana-container` ended with exit code 2",
        ),
        (
            waiting("ImagePullBackOff", "Back-off pulling image \"a:2\""),
            "pod `ana-0`: the image `a:2` of container `ana-container` cannot be pulled (ImagePullBackOff): Back-off \
             pulling image \"a:2\"",
        ),
        (
            waiting("CreateContainerConfigError", "secret \"s\" not found"),
            "pod `ana-0`: container `ana-container` cannot start (CreateContainerConfigError): secret \"s\" not found",
        ),
        (waiting("ContainerCreating", ""), "pod `ana-0`: its containers are being made"),
        (
            state(json!({ "state": { "running": {} } })),
            "pod `ana-0`: container `ana-container` runs and does not say that it is ready",
        ),
        (
            state(json!({ "ready": true, "state": { "running": {} } })),
            "0 of 1 pods have been ready for 10 seconds with what was sent",
        ),
        (
            json!({ "initContainerStatuses": [
                { "name": "ana-pre-start", "image": "p", "imageID": "", "ready": false, "restartCount": 0, "state": ended(3, "Error") },
            ] }),
            "pod `ana-0`: container `ana-pre-start` ended with exit code 3",
        ),
        (json!({}), "pod `ana-0`: its containers are being made"),
    ] {
        assert_eq!(why(&on_its_way(), Ok(&[pod("ana-2", status.clone())]), &[]), expect, "{status}");
    }
}

#[test]
fn an_old_pod_that_is_not_ready_has_to_go_first() {
    let crash = state(json!({ "state": { "waiting": { "reason": "CrashLoopBackOff" } } }));
    assert_eq!(
        why(&on_its_way(), Ok(&[pod("ana-1", crash)]), &[]),
        "pod `ana-0` still runs what was there before, and kubernetes does not replace a pod that is not ready: container \
         `ana-container` crashes again and again; `kubectl delete pod ana-0 --namespace mage` lets it go on"
    );
    let fine = state(json!({ "ready": true, "state": { "running": {} } }));
    let expect = "pod `ana-0` still runs what was there before";
    assert_eq!(why(&on_its_way(), Ok(&[pod("ana-1", fine)]), &[]), expect);
}

#[test]
fn a_pod_that_does_not_end_is_named() {
    let mut leaving = pod("ana-1", json!({}));
    leaving.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-11-26T16:41:58Z")).unwrap());
    let expect = "pod `ana-0` is to end and has not: the node that it is on may not answer";
    assert_eq!(why(&on_its_way(), Ok(&[leaving.clone()]), &[]), expect);
    let mut stopped = on_its_way();
    stopped.wanted = 0;
    assert_eq!(why(&stopped, Ok(&[leaving]), &[]), "pod `ana-0` has not ended");
    assert_eq!(why(&stopped, Ok(&[]), &[]), "its pod has just gone");
}

#[test]
fn events_tell_where_pods_cannot() {
    let events = [
        event("StatefulSet", "ana", "2026-01-01T00:00:00Z", "an old one"),
        event(
            "StatefulSet",
            "ana",
            "2026-01-02T00:00:00Z",
            "Create Pod ana-0 in StatefulSet ana failed error: exceeded quota",
        ),
        event("StatefulSet", "other", "2026-01-03T00:00:00Z", "not ours"),
        event("Pod", "ana-0", "2026-01-01T00:00:00Z", "configmap \"ana-hooks\" not found"),
    ];
    let workload = on_its_way();
    let expect = "its pod cannot be made: Create Pod ana-0 in StatefulSet ana failed error: exceeded quota";
    assert_eq!(why(&workload, Ok(&[]), &events), expect);
    assert_eq!(why(&workload, Ok(&[]), &[]), "its pod has not been made");
    let creating = state(json!({ "state": { "waiting": { "reason": "ContainerCreating" } } }));
    let expect = "pod `ana-0`: its containers are not made: configmap \"ana-hooks\" not found";
    assert_eq!(why(&workload, Ok(&[pod("ana-2", creating)]), &events), expect);
}

#[test]
fn pods_of_others_do_not_count_and_unknown_ones_are_said_to_be() {
    let mut foreign = pod("ana-2", json!({}));
    foreign.metadata.owner_references = None;
    assert_eq!(why(&on_its_way(), Ok(&[foreign]), &[]), "its pod has not been made");
    assert_eq!(
        why(&on_its_way(), Err("kubernetes does not allow it"), &[]),
        "0 of 1 pods have been ready for 10 seconds with what was sent; why is not known: kubernetes does not allow it"
    );
    let unseen = with(json!({ "observedGeneration": 1 }));
    assert!(why(&unseen, Ok(&[]), &[]).starts_with("kubernetes has not begun"));
}
