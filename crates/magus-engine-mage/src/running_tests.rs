//! What is compared of what runs, without a cluster.

use magus_engine_kubernetes::{Counts, Retention, VolumeClaim};

use super::*;

fn leaves(pairs: &[(&str, &str)]) -> Leaves {
    pairs.iter().map(|(path, value)| (FieldPath::from(*path), serde_yaml::from_str(value).unwrap())).collect()
}

/// A workspace with one pod that has come up, running with this.
fn workload(running: &[(&str, &str)]) -> Workload {
    Workload {
        key: Key { namespace: "mage".into(), name: "ana".into() },
        uid: "u1".into(),
        resource_version: "1".into(),
        generation: 1,
        created_at: None,
        deleting: false,
        is_workspace: true,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        pod_annotations: BTreeMap::new(),
        leaves: leaves(running),
        defaults: leaves(&[("container_config.terminationMessagePolicy", "File")]),
        repeated: BTreeSet::new(),
        unexpanded: Default::default(),
        scheduling: leaves(&[("container_config.nodeSelector.disk", "ssd")]),
        service_account_name: None,
        volume: None::<VolumeClaim>,
        retention: Retention { when_deleted: "Retain".into(), when_scaled: "Retain".into() },
        sidecars: Vec::new(),
        wanted: 1,
        min_ready_seconds: 10,
        waits_for_deletion: false,
        counts: Counts { available: 1, updated: 1, ready: 1, pods: 1, ..Counts::default() },
    }
}

fn workloads(all: Vec<Workload>) -> Workloads {
    Workloads::new(Edition::Oss, all)
}

fn item(json: &str) -> Item {
    Item::read(serde_json::from_str(json).unwrap()).unwrap()
}

/// A workspace that lacks no part, as this edition of Mage has it.
fn running(workload: &Workload, edition: Edition) -> Running<'_> {
    Running { workload, edition, volume: None, is_stuck: false, has_lost_path: false, missing: Vec::new() }
}

/// The uid of the StatefulSet that is meant.
fn uid(workloads: &Workloads, item: &Item) -> Text {
    match workloads.of(item) {
        Ok(InCluster::Runs(running)) => running.workload.uid.clone(),
        Ok(InCluster::Gone(missing)) => panic!("{missing:?}"),
        Err(reason) => panic!("{reason}"),
    }
}

/// What is compared, as `PATH=VALUE`.
fn compared(
    edition: Edition,
    runs: &[(&str, &str)],
    stored: &[(&str, &str)],
    applied: &[&str],
) -> Vec<String> {
    let workload = workload(runs);
    let applied = applied.iter().map(|path| (FieldPath::from(*path), Text::from("0"))).collect();
    let found = running(&workload, edition).leaves(&leaves(stored), Some(&applied));
    found.iter().map(|(path, value)| format!("{path}={value}")).collect()
}

#[test]
fn what_runs_counts_in_the_form_in_which_it_is_stored() {
    for (running, stored, applied, expected) in [
        // The same, in the words of the stored text; defaults are the same as absent, and as themselves.
        (
            &[("container_config.resources.limits.cpu", "'1'")][..],
            &[
                ("container_config.resources.limits.cpu", "1000m"),
                ("container_config.terminationMessagePolicy", "File"),
            ][..],
            &[][..],
            &[
                "container_config.resources.limits.cpu=1000m",
                "container_config.terminationMessagePolicy=File",
            ][..],
        ),
        (
            &[("env.F", "{valueFrom: {fieldRef: {fieldPath: a}}}")],
            &[("env.F", "{valueFrom: {fieldRef: {fieldPath: a, apiVersion: v1}}}")],
            &[],
            &["env.F={\"valueFrom\":{\"fieldRef\":{\"apiVersion\":\"v1\",\"fieldPath\":\"a\"}}}"],
        ),
        // Another one, one that is gone, and one that somebody added.
        (
            &[("env.A", "'2'"), ("env.HOTFIX", "'1'")],
            &[("env.A", "'1'"), ("env.GONE", "'1'")],
            &[],
            &["env.A=2", "env.HOTFIX=1"],
        ),
        // What Mage adds is its own, until it was declared once.
        (
            &[
                ("env.PROJECT_UUID", "u"),
                ("env.REDIS_URL", "r"),
                ("container_config.lifecycle.postStart.exec.command", "[a]"),
            ],
            &[],
            &["env.REDIS_URL"],
            &["env.REDIS_URL=r"],
        ),
        // Declared hooks of the container are compared like anything else.
        (
            &[("container_config.lifecycle.preStop.exec.command", "[b]")],
            &[("container_config.lifecycle.preStop.exec.command", "[a]")],
            &[],
            &["container_config.lifecycle.preStop.exec.command=[\"b\"]"],
        ),
    ] {
        let mut found = compared(Edition::Oss, running, stored, applied);
        // Where the pod may run is compared too.
        let before = found.len();
        found.retain(|leaf| leaf != "container_config.nodeSelector.disk=ssd");
        assert_eq!(
            (found.len() + 1, found),
            (before, expected.iter().map(|leaf| (*leaf).to_owned()).collect())
        );
    }
    // A cluster of Pro hands on variables of whichever name.
    let runs = &[("env.HOTFIX", "'1'"), ("env.LEFT", "'1'"), ("container_config.tty", "true")];
    assert_eq!(
        compared(Edition::Pro, runs, &[], &["env.LEFT"]),
        ["container_config.nodeSelector.disk=ssd", "container_config.tty=true", "env.LEFT=1"]
    );
}

#[test]
fn a_workspace_runs_once_its_pod_is_available_with_the_last_template() {
    let state = |wanted, available, updated, is_stuck| {
        let counts = Counts { available, updated, ..Counts::default() };
        let workload = Workload { wanted, counts, ..workload(&[]) };
        Running { is_stuck, ..running(&workload, Edition::Oss) }.state()
    };
    for ((wanted, available, updated, is_stuck), expected) in [
        ((1, 1, 1, false), RunState::Running),
        // A pod that starts, and one of the old template.
        ((1, 0, 1, false), RunState::Pending),
        ((1, 1, 0, false), RunState::Pending),
        ((1, 0, 0, true), RunState::Failed),
        ((0, 0, 0, true), RunState::Stopped),
        ((0, 1, 1, false), RunState::Stopped),
    ] {
        assert_eq!(state(wanted, available, updated, is_stuck), expected);
    }
}

#[test]
fn a_statefulset_is_certainly_gone_only_if_it_was_asked_for_by_its_name() {
    let placed = item(r#"{"name": "ana", "project_uuid": "1", "namespace": "mage"}"#);
    let asked_for = Some(Key { namespace: "mage".into(), name: "ana".into() });
    let asked = Workloads { asked_for, ..workloads(vec![]) };
    assert!(matches!(asked.of(&placed), Ok(InCluster::Gone(missing)) if missing[0].name == "ana"));
    assert!(workloads(vec![]).of(&placed).is_err());
    // Where Mage does not say where it is, it may be elsewhere.
    let unplaced = item(r#"{"name": "ana", "project_uuid": "1", "namespace": null}"#);
    assert!(asked.of(&unplaced).is_err());
}

#[test]
fn nobody_guesses_which_statefulset_is_meant() {
    let here = workload(&[]);
    let elsewhere = Workload {
        key: Key { namespace: "other".into(), name: "ana".into() },
        uid: "u2".into(),
        ..here.clone()
    };
    let placed = item(r#"{"name": "ana", "project_uuid": "1", "namespace": "mage"}"#);
    let unplaced = item(r#"{"name": "ana", "project_uuid": "1", "namespace": null}"#);
    let reason = |workloads: Workloads, item: &Item| workloads.of(item).err().unwrap_or_default();
    assert_eq!(uid(&workloads(vec![elsewhere.clone(), here.clone()]), &placed), "u1");
    assert_eq!(uid(&workloads(vec![elsewhere.clone()]), &unplaced), "u2");
    for (all, item, expected) in [
        (vec![], &placed, "kubernetes has no StatefulSet `ana` of `mage`"),
        (vec![elsewhere.clone()], &placed, "kubernetes has no StatefulSet `ana` of `mage`"),
        (vec![elsewhere, here.clone()], &unplaced, "several namespaces"),
        (vec![Workload { deleting: true, ..here.clone() }], &placed, "is being deleted"),
        (vec![Workload { is_workspace: false, ..here }], &placed, "is none that mage made"),
    ] {
        let found = reason(workloads(all), item);
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn orphans_are_what_mage_made_and_does_not_show() {
    let here = workload(&[]);
    let named = |name: &str, change: &dyn Fn(&mut Workload)| {
        let mut workload =
            Workload { key: Key { namespace: "mage".into(), name: name.into() }, ..here.clone() };
        change(&mut workload);
        workload
    };
    let all = workloads(vec![
        named("known", &|_| {}),
        named("left", &|_| {}),
        named("database", &|workload| workload.is_workspace = false),
        named("going", &|workload| workload.deleting = true),
    ]);
    let orphans = all.orphans(&|name| name.as_str() == "known");
    let [left] = orphans.as_slice() else { panic!("{orphans:?}") };
    assert_eq!((left.name.as_str(), left.place.as_str()), ("left", "the namespace mage"));
    assert_eq!(orphan(&left.revision), Some(("mage", "u1")));
    assert_eq!(orphan("sha256:00"), None);
    assert!(
        all.left_of(&left.name)
            .unwrap()
            .contains("kubectl -n mage delete statefulset/left service/left-service")
    );
    assert_eq!(all.left_of(&WorkspaceName::observed("new")), None);
}

#[test]
fn the_revision_is_of_what_is_compared_and_not_of_how_far_it_has_come() {
    let digest = |change: &dyn Fn(&mut Workload)| {
        let mut workload = workload(&[("env.A", "'1'")]);
        change(&mut workload);
        running(&workload, Edition::Oss).content(&workload.leaves)
    };
    let before = digest(&|_| {});
    assert_eq!(digest(&|workload| (workload.counts.available, workload.generation) = (0, 9)), before);
    assert_ne!(digest(&|workload| workload.uid = "u2".into()), before);
    assert_ne!(digest(&|workload| workload.wanted = 0), before);
    assert_ne!(digest(&|workload| workload.leaves = leaves(&[("env.A", "'2'")])), before);
}

#[test]
fn the_kubeconfig_is_where_kubectl_looks() {
    let paths = |set: &[(&str, &str)]| {
        let lookup =
            |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        kubeconfigs(&lookup).iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(paths(&[("KUBECONFIG", "/a b:/c"), ("HOME", "/home/ana")]), ["/a b", "/c"]);
    assert_eq!(paths(&[("KUBECONFIG", ""), ("HOME", "/home/ana")]), ["/home/ana/.kube/config"]);
    assert!(paths(&[]).is_empty());
}
