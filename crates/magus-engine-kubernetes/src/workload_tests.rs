//! StatefulSets as an apiserver wrote them.

use serde_json::{Value as Json, json};

use super::*;
use crate::set::List;

/// What Mage makes for the workspace `ana`, as it comes back from a cluster.
pub(crate) fn mages_own() -> Json {
    json!({
        "metadata": {
            "name": "ana", "namespace": "mage", "uid": "u-1", "resourceVersion": "227", "generation": 2,
            "creationTimestamp": "2026-11-26T16:41:58Z",
            "labels": { "app": "ana" },
            "annotations": { LAST_APPLIED: "{\"value\":\"hunter2\"}", "note": "hunter2" },
            "managedFields": [{ "manager": "mage", "fieldsV1": { "f:spec": {} } }],
        },
        "spec": {
            "replicas": 1,
            "minReadySeconds": 10,
            "selector": { "matchLabels": { "app": "ana" } },
            "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } },
            "template": {
                "metadata": { "labels": { "app": "ana" }, "annotations": { "kubectl.kubernetes.io/restartedAt": "now" } },
                "spec": {
                    "serviceAccountName": "mage",
                    "nodeSelector": { "disk": "ssd" },
                    "containers": [
                        { "name": "cloud-sql-proxy", "image": "proxy:1", "env": [{ "name": "P", "value": "hunter2" }] },
                        {
                            "name": "ana-container", "image": "a:1", "fieldOfTomorrow": { "x": 1 },
                            "env": [{ "name": "A", "value": "hunter2" }],
                            "imagePullPolicy": "Always",
                        },
                    ],
                },
            },
            "volumeClaimTemplates": [{
                "metadata": { "name": "mage-data" },
                "spec": {
                    "accessModes": ["ReadWriteMany"], "storageClassName": "fast",
                    "resources": { "requests": { "storage": "2Gi" } },
                },
            }],
            "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Delete", "whenScaled": "Retain" },
        },
        "status": {
            "observedGeneration": 2, "replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "updatedReplicas": 1,
            "currentReplicas": 1, "currentRevision": "ana-1", "updateRevision": "ana-1", "collisionCount": 0,
        },
    })
}

fn workload(json: Json) -> Workload {
    serde_json::from_value::<Set>(json).unwrap().into()
}

/// The workload of what Mage makes, changed.
fn changed(change: impl FnOnce(&mut Json)) -> Workload {
    let mut json = mages_own();
    change(&mut json);
    workload(json)
}

#[test]
fn everything_that_matters_is_read() {
    let workload = workload(mages_own());
    assert_eq!(workload.key, Key { namespace: "mage".into(), name: "ana".into() });
    assert_eq!(
        (workload.uid.as_str(), workload.resource_version.as_str(), workload.generation),
        ("u-1", "227", 2)
    );
    assert_eq!(workload.created_at.map(|at| at.to_string()).as_deref(), Some("2026-11-26T16:41:58Z"));
    assert!(workload.is_workspace && !workload.deleting && !workload.waits_for_deletion);
    assert_eq!(workload.annotations, BTreeMap::from([("note".into(), "hunter2".into())]));
    assert_eq!(workload.pod_annotations.len(), 1);
    let leaves: Vec<_> = workload.leaves.keys().map(FieldPath::as_str).collect();
    assert_eq!(leaves, ["container_config.fieldOfTomorrow.x", "container_config.image", "env.A"]);
    for (path, value) in [
        ("env.A", "hunter2"),
        ("container_config.imagePullPolicy", "Always"),
        ("container_config.nodeSelector.disk", "ssd"),
    ] {
        assert_eq!(workload.value(&path.into()).and_then(Value::as_str), Some(value), "{path}");
    }
    assert_eq!(workload.value(&"env.P".into()), None);
    assert_eq!(workload.service_account_name.as_deref(), Some("mage"));
    assert_eq!(
        workload.volume,
        Some(VolumeClaim {
            storage_class: Some("fast".into()),
            access_modes: vec!["ReadWriteMany".into()],
            size: Some("2Gi".into()),
        })
    );
    assert_eq!(workload.retention, Retention { when_deleted: "Delete".into(), when_scaled: "Retain".into() });
    assert_eq!(workload.sidecars, ["cloud-sql-proxy"]);
    assert_eq!((workload.wanted, workload.min_ready_seconds), (1, 10));
    assert_eq!(
        workload.counts,
        Counts {
            observed_generation: 2,
            pods: 1,
            ready: 1,
            available: 1,
            updated: 1,
            current_revision: "ana-1".into(),
            update_revision: "ana-1".into(),
        }
    );
}

#[test]
fn what_mage_did_not_make_is_known_by_name_alone() {
    type Change = fn(&mut Json);
    let changes: [(&str, Change); 4] = [
        ("another label", |json| json["metadata"]["labels"]["app"] = json!("postgres")),
        ("no label", |json| json["metadata"]["labels"] = json!(null)),
        ("another container", |json| {
            json["spec"]["template"]["spec"]["containers"][1]["name"] = json!("ana")
        }),
        ("another claim", |json| json["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] = json!("data")),
    ];
    for (what, change) in changes {
        let mut json = mages_own();
        change(&mut json);
        if json["metadata"]["labels"].is_null() {
            json["metadata"].as_object_mut().unwrap().remove("labels");
        }
        let workload = workload(json);
        assert!(!workload.is_workspace, "{what}");
        assert!(workload.leaves.is_empty() && workload.defaults.is_empty() && workload.scheduling.is_empty());
    }
}

#[test]
fn what_a_young_or_old_cluster_leaves_out_is_as_kubernetes_has_it() {
    let workload = changed(|json| {
        json.as_object_mut().unwrap().remove("status");
        for key in ["replicas", "minReadySeconds", "updateStrategy", "persistentVolumeClaimRetentionPolicy"] {
            json["spec"].as_object_mut().unwrap().remove(key);
        }
    });
    assert_eq!(workload.counts, Counts::default());
    assert_eq!((workload.wanted, workload.min_ready_seconds, workload.waits_for_deletion), (1, 0, false));
    let retain = Retention { when_deleted: "Retain".into(), when_scaled: "Retain".into() };
    assert_eq!(workload.retention, retain);
}

#[test]
fn a_workload_that_goes_or_waits_says_so() {
    assert!(changed(|json| json["metadata"]["deletionTimestamp"] = json!("2026-11-26T16:41:58Z")).deleting);
    assert!(
        changed(|json| json["spec"]["updateStrategy"] = json!({ "type": "OnDelete" })).waits_for_deletion
    );
    assert_eq!(changed(|json| json["spec"]["replicas"] = json!(0)).wanted, 0);
}

#[test]
fn debug_shows_paths_and_no_values() {
    let shown = format!("{:?}", workload(mages_own()));
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("env.A") && shown.contains("\"note\"") && shown.contains("ana-1"), "{shown}");
}

#[test]
fn a_list_is_read_page_by_page() {
    let page = |token: Option<&str>| -> List {
        serde_json::from_value(json!({ "metadata": { "continue": token }, "items": [mages_own()] })).unwrap()
    };
    assert_eq!(page(Some("next")).metadata.r#continue.as_deref(), Some("next"));
    assert_eq!(page(None).items.len(), 1);
}
