//! Against a real kube-apiserver and its StatefulSet controller: `tests/kube`, built by `cargo xtask test`. Where that was not
//! built, each test says that it was skipped.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use kube::core::{
    Request,
    params::{Patch, PatchParams, PostParams},
};
use magus_engine::{EngineErrorKind, PerformError};
use magus_model::value::Value;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::{Access, Growth, Kubernetes, Leaves, Limits, Retention, Rollout, VolumeClaim, Workload};

/// How long anything may take on a machine that also compiles.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running cluster, and this crate connected to it as an administrator.
struct Cluster {
    kubernetes: Kubernetes,
    /// The rules for pods, which are no Kubernetes and are spoken to as if they were.
    control: Kubernetes,
    kubeconfig: PathBuf,
    namespaces: AtomicU32,
    folder: TempDir,
    child: Child,
}

/// Ends the cluster; it would also end by itself when its standard input closes.
impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(kubeconfig: PathBuf, namespace: Option<&str>) -> Kubernetes {
    Kubernetes::connect(Access {
        kubeconfig: vec![kubeconfig],
        context: "magus-test".into(),
        namespace: namespace.map(Into::into),
        limits: Limits { look: Duration::from_millis(200), ..Limits::default() },
        proxy: &|_| None,
        now: jiff::Timestamp::now,
    })
    .unwrap()
}

/// One cluster for all tests that run at the same time; nothing where it was not built.
fn cluster(test: &str) -> Option<Arc<Cluster>> {
    static RUNNING: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(cluster) = running.upgrade() {
        return Some(cluster);
    }
    let binary = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/kube/magus-kube"));
    if !binary.exists() {
        #[expect(
            clippy::print_stderr,
            reason = "who reads the result has to see that it says nothing about this"
        )]
        {
            eprintln!("skipped: {test}: there is no {}", binary.display());
        }
        return None;
    }
    let cluster = Arc::new(start(binary));
    *running = Arc::downgrade(&cluster);
    Some(cluster)
}

fn start(binary: PathBuf) -> Cluster {
    let folder = TempDir::new().unwrap();
    let mut child = Command::new(binary)
        .arg("--dir")
        .arg(folder.path().join("data"))
        .env("HOME", folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Json = serde_json::from_str(&line).expect("the cluster says where it is");
    let path = |key: &str| PathBuf::from(ready[key].as_str().unwrap());
    let control = folder.path().join("control");
    std::fs::write(&control, kubeconfig(ready["control"].as_str().unwrap(), &json!({}))).unwrap();
    Cluster {
        kubernetes: connect(path("http_kubeconfig"), None),
        control: connect(control, None),
        kubeconfig: path("kubeconfig"),
        namespaces: AtomicU32::new(0),
        folder,
        child,
    }
}

/// A kubeconfig for a URL, in JSON, which is YAML.
fn kubeconfig(url: &str, user: &Json) -> String {
    json!({
        "contexts": [{ "name": "magus-test", "context": { "cluster": "c", "user": "u" } }],
        "clusters": [{ "name": "c", "cluster": { "server": url } }],
        "users": [{ "name": "u", "user": user }],
    })
    .to_string()
}

impl Cluster {
    fn post(&self, path: &str, body: &Json) -> Json {
        let request = Request::new(path).create(&PostParams::default(), body.to_string().into_bytes());
        self.kubernetes.server.write(request).unwrap()
    }

    /// A namespace in which pods can be made.
    fn namespace(&self) -> String {
        let name = format!("test-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        self.post("/api/v1/namespaces", &json!({ "metadata": { "name": name } }));
        let account = format!("/api/v1/namespaces/{name}/serviceaccounts");
        wait_for("the service account", || {
            let request = Request::new(&account).get("default", &Default::default());
            self.kubernetes.server.read::<Json>(request).ok()
        });
        name
    }

    /// What Mage makes for a workspace, with this image; ready pods count after a second.
    fn create(&self, namespace: &str, name: &str, class: &str) {
        let container = json!({
            "name": format!("{name}-container"),
            "image": "mageai/mageai:0.9.79",
            "ports": [{ "containerPort": 6789, "name": "web" }],
            "volumeMounts": [{ "name": "mage-data", "mountPath": "/home/src" }],
            "env": [
                { "name": "A", "value": "first" },
                { "name": "A", "value": "second" },
                { "name": "EMPTY", "value": "" },
                { "name": "P", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
                { "name": "R", "valueFrom": { "resourceFieldRef": { "resource": "limits.cpu" } } },
            ],
            "resources": { "limits": { "cpu": "2", "memory": "4Gi" } },
            "livenessProbe": { "httpGet": { "port": 6789 } },
            "readinessProbe": { "grpc": { "port": 1 } },
            "lifecycle": { "postStart": { "exec": { "command": ["echo"] } }, "preStop": { "httpGet": { "port": 1 } } },
            "securityContext": { "runAsUser": 1, "capabilities": { "add": ["NET_ADMIN"] } },
        });
        self.post(
            &format!("/apis/apps/v1/namespaces/{namespace}/statefulsets"),
            &json!({
                "apiVersion": "apps/v1", "kind": "StatefulSet",
                "metadata": { "name": name, "labels": { "app": name } },
                "spec": {
                    "selector": { "matchLabels": { "app": name } }, "replicas": 1, "minReadySeconds": 1,
                    "template": {
                        "metadata": { "labels": { "app": name } },
                        "spec": {
                            "terminationGracePeriodSeconds": 10, "serviceAccountName": "default",
                            "nodeSelector": { "kubernetes.io/os": "linux" },
                            "containers": [container],
                        },
                    },
                    "volumeClaimTemplates": [{
                        "metadata": { "name": "mage-data" },
                        "spec": {
                            "accessModes": ["ReadWriteMany"], "storageClassName": class,
                            "resources": { "requests": { "storage": "2Gi" } },
                        },
                    }],
                    "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Retain" },
                },
            }),
        );
    }

    fn patch(&self, namespace: &str, name: &str, spec: &Json) {
        let request = Request::new(format!("/apis/apps/v1/namespaces/{namespace}/statefulsets")).patch(
            name,
            &PatchParams::default(),
            &Patch::Strategic(json!({ "spec": spec })),
        );
        self.kubernetes.server.write::<Json>(request).unwrap();
    }

    /// Changes the container as Mage does it.
    fn patch_container(&self, namespace: &str, name: &str, mut fields: Json) {
        fields["name"] = json!(format!("{name}-container"));
        self.patch(namespace, name, &json!({ "template": { "spec": { "containers": [fields] } } }));
    }

    /// What becomes of the pods of a namespace whose image holds this text.
    fn rule(&self, namespace: &str, image: &str, state: &str) {
        let rule = json!({ "namespace": namespace, "image": image, "state": state });
        let request = Request::new("/rules").create(&PostParams::default(), rule.to_string().into_bytes());
        self.control.server.write::<Json>(request).unwrap();
    }

    fn wait(&self, namespace: &str, name: &str, patience: Duration) -> Rollout {
        let deadline = Instant::now() + patience;
        self.kubernetes.wait_for_rollout(namespace, name, deadline, &AtomicBool::new(false)).unwrap()
    }

    fn workload(&self, namespace: &str, name: &str) -> Workload {
        self.kubernetes.workload(namespace, name).unwrap().unwrap()
    }
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} does not come");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn workloads_are_read_as_the_cluster_has_them() {
    let Some(cluster) = cluster("workloads_are_read_as_the_cluster_has_them") else { return };
    let namespace = cluster.namespace();
    cluster.create(&namespace, "ana", "default");
    let ana = cluster.workload(&namespace, "ana");
    assert!(ana.is_workspace && ana.created_at.is_some() && ana.generation == 1);
    let lines: Vec<String> = ana.leaves.iter().map(|(path, value)| format!("{path}={value}")).collect();
    assert_eq!(
        lines,
        [
            "container_config.image=mageai/mageai:0.9.79",
            "container_config.lifecycle.postStart.exec.command=[\"echo\"]",
            "container_config.lifecycle.preStop.httpGet.port=1",
            "container_config.livenessProbe.httpGet.port=6789",
            "container_config.readinessProbe.grpc.port=1",
            "container_config.resources.limits.cpu=2",
            "container_config.resources.limits.memory=4Gi",
            "container_config.securityContext.capabilities.add=[\"NET_ADMIN\"]",
            "container_config.securityContext.runAsUser=1",
            "env.A=second",
            "env.EMPTY=\"\"",
            "env.P={\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.podIP\"}}}",
            "env.R={\"valueFrom\":{\"resourceFieldRef\":{\"resource\":\"limits.cpu\"}}}",
        ],
        "what is no leaf here was not filled in by this version of kubernetes"
    );
    assert!(ana.defaults.contains_key(&"container_config.terminationMessagePath".into()));
    assert_eq!(ana.service_account_name.as_deref(), Some("default"));
    assert_eq!(ana.scheduling.len(), 1);
    let volume = VolumeClaim {
        storage_class: Some("default".into()),
        access_modes: vec!["ReadWriteMany".into()],
        size: Some("2Gi".into()),
    };
    assert_eq!(ana.volume, Some(volume));
    assert_eq!(ana.retention, Retention { when_deleted: "Retain".into(), when_scaled: "Retain".into() });

    cluster.create(&namespace, "ben", "default");
    let other = cluster.namespace();
    cluster.create(&other, "ana", "default");
    let all = cluster.kubernetes.workloads().unwrap();
    let names = |of: &str| {
        all.keys().filter(|key| key.namespace == of).map(|key| key.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!((names(&namespace), names(&other)), (vec!["ana", "ben"], vec!["ana"]));
    let one = connect(cluster.kubeconfig.clone(), Some(&other)).workloads().unwrap();
    assert_eq!(one.keys().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["ana"]);

    // In pages too, nothing is lost or there twice.
    let paged = cluster.kubernetes.list(Some(1)).unwrap();
    assert!(all.keys().all(|key| paged.contains_key(key)));

    assert_eq!(cluster.kubernetes.workload(&namespace, "nobody").unwrap(), None);
    assert_eq!(cluster.kubernetes.workload("nowhere", "ana").unwrap(), None);
    assert!(cluster.kubernetes.version().unwrap().starts_with("v1."));
}

#[test]
fn a_patch_of_a_repeated_variable_changes_nothing_that_runs() {
    let Some(cluster) = cluster("a_patch_of_a_repeated_variable_changes_nothing_that_runs") else { return };
    let namespace = cluster.namespace();
    cluster.create(&namespace, "ana", "default");
    let value = || {
        let workload = cluster.workload(&namespace, "ana");
        (workload.value(&"env.A".into()).cloned(), workload.repeated.len())
    };
    assert_eq!(value(), (Some(Value::string("second")), 1));
    cluster.patch_container(&namespace, "ana", json!({ "env": [{ "name": "A", "value": "patched" }] }));
    assert_eq!(value(), (Some(Value::string("second")), 1));
    cluster.patch_container(&namespace, "ana", json!({ "env": [{ "name": "A", "$patch": "delete" }] }));
    assert_eq!(value(), (None, 0));
}

#[test]
fn who_may_not_is_told_so() {
    let Some(cluster) = cluster("who_may_not_is_told_so") else { return };
    let namespace = cluster.namespace();
    let secure = connect(cluster.kubeconfig.clone(), None);
    assert!(secure.workloads().is_ok());
    let written = std::fs::read_to_string(&cluster.kubeconfig).unwrap();
    let as_user = |text: String, name: &str| {
        let path = cluster.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        connect(path, Some(&namespace))
    };
    let token_line = written.lines().find(|line| line.trim_start().starts_with("token:")).unwrap();
    let with_token = |token: &str| written.replace(token_line, &format!("    token: {token}"));

    let stranger = as_user(with_token("hunter2"), "stranger");
    let error = stranger.workloads().unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::Refused);
    assert!(error.message.contains("does not accept the login"), "{error}");

    let account = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default/token");
    let token = cluster.post(
        &account,
        &json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} }),
    );
    let guest = as_user(with_token(token["status"]["token"].as_str().unwrap()), "guest");
    let error = guest.workloads().unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::Refused);
    assert!(error.message.contains("does not allow it"), "{error}");
    assert!(error.source.unwrap().to_string().contains("cannot list resource \"statefulsets\""));
    let deadline = Instant::now() + PATIENCE;
    let waited = guest.wait_for_rollout(&namespace, "ana", deadline, &AtomicBool::new(false));
    assert_eq!(waited.unwrap_err().kind, EngineErrorKind::Refused);

    let trusting = as_user(kubeconfig(secure.url(), &json!({ "token": "hunter2" })), "trusting");
    let error = trusting.workloads().unwrap_err();
    assert!(error.message.contains("certificate"), "{error:?}");

    // The token of the administrator, from a program, for the certificate authority of the cluster.
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": { "token": token_line.trim_start().trim_start_matches("token: ") },
    });
    let file = cluster.folder.path().join("credential");
    std::fs::write(&file, credential.to_string()).unwrap();
    let program = format!(
        "    exec: {{apiVersion: client.authentication.k8s.io/v1, command: cat, args: [{}], interactiveMode: Never}}",
        json!(file)
    );
    let by_program = as_user(written.replace(token_line, &program), "program");
    assert!(by_program.workloads().is_ok());
}

#[test]
fn a_rollout_is_waited_for_until_it_is_seen() {
    let Some(cluster) = cluster("a_rollout_is_waited_for_until_it_is_seen") else { return };
    let namespace = cluster.namespace();
    cluster.create(&namespace, "ana", "default");
    assert_eq!(cluster.wait(&namespace, "ana", PATIENCE), Rollout::Done);
    let before = cluster.workload(&namespace, "ana").counts;
    cluster.patch_container(&namespace, "ana", json!({ "image": "mageai/mageai:0.9.80" }));
    assert_eq!(cluster.wait(&namespace, "ana", PATIENCE), Rollout::Done);
    let after = cluster.workload(&namespace, "ana").counts;
    assert!(after.update_revision != before.update_revision && after.updated == 1, "{after:?}");

    cluster.patch(&namespace, "ana", &json!({ "replicas": 0 }));
    assert_eq!(cluster.wait(&namespace, "ana", PATIENCE), Rollout::Done);
    assert_eq!(cluster.workload(&namespace, "ana").counts.pods, 0);

    let gone = cluster.wait(&namespace, "nobody", PATIENCE);
    assert!(matches!(gone, Rollout::NotSeen { why } if why.contains("does not exist")));
}

#[test]
fn what_keeps_a_rollout_is_said() {
    let Some(cluster) = cluster("what_keeps_a_rollout_is_said") else { return };
    let namespace = cluster.namespace();
    let sides = [
        (
            "crash",
            "container `ana-container` crashes again and again; it was restarted 1 time, the last time after exit code 1",
        ),
        (
            "pull",
            "the image `mageai/mageai:broken` of container `ana-container` cannot be pulled (ImagePullBackOff)",
        ),
        ("config", "container `ana-container` cannot start (CreateContainerConfigError): secret not found"),
        ("pending", "no node takes it: 0/1 nodes are available: 1 Insufficient memory"),
        ("starting", "container `ana-container` runs and does not say that it is ready"),
    ];
    cluster.create(&namespace, "ana", "default");
    assert_eq!(cluster.wait(&namespace, "ana", PATIENCE), Rollout::Done);
    for (state, expect) in sides {
        let stopped = json!({ "replicas": 0 });
        cluster.patch(&namespace, "ana", &stopped);
        assert_eq!(cluster.wait(&namespace, "ana", PATIENCE), Rollout::Done, "{state}");
        cluster.rule(&namespace, "broken", state);
        cluster.patch_container(&namespace, "ana", json!({ "image": "mageai/mageai:broken" }));
        cluster.patch(&namespace, "ana", &json!({ "replicas": 1 }));
        let seen = wait_for(expect, || match cluster.wait(&namespace, "ana", Duration::from_millis(500)) {
            Rollout::NotSeen { why } if why.contains(expect) => Some(why),
            _ => None,
        });
        assert!(seen.starts_with("pod `ana-0`: "), "{seen}");
    }
}

#[test]
fn a_pod_that_cannot_be_made_is_explained_by_an_event() {
    let Some(cluster) = cluster("a_pod_that_cannot_be_made_is_explained_by_an_event") else { return };
    let namespace = cluster.namespace();
    cluster.create(&namespace, "ana", "default");
    assert_eq!(cluster.wait(&namespace, "ana", PATIENCE), Rollout::Done);
    cluster.patch(&namespace, "ana", &json!({ "template": { "spec": { "serviceAccountName": "nobody" } } }));
    let expect = "its pod cannot be made: Create Pod ana-0 in StatefulSet ana failed";
    let why = wait_for(expect, || match cluster.wait(&namespace, "ana", Duration::from_millis(500)) {
        Rollout::NotSeen { why } if why.starts_with(expect) => Some(why),
        _ => None,
    });
    assert!(why.contains("serviceaccount \"nobody\" not found"), "{why}");
}

#[test]
fn a_broken_template_is_stuck_until_its_pod_goes() {
    let Some(cluster) = cluster("a_broken_template_is_stuck_until_its_pod_goes") else { return };
    let namespace = cluster.namespace();
    cluster.create(&namespace, "ana", "default");
    assert_eq!(cluster.wait(&namespace, "ana", PATIENCE), Rollout::Done);
    cluster.rule(&namespace, "broken", "crash");
    cluster.patch_container(&namespace, "ana", json!({ "image": "mageai/mageai:broken" }));
    wait_for("the crash", || match cluster.wait(&namespace, "ana", Duration::from_millis(500)) {
        Rollout::NotSeen { why } if why.starts_with("pod `ana-0`: container") => Some(()),
        _ => None,
    });
    // Back to what ran before: equal revisions, and still the broken pod.
    cluster.patch_container(&namespace, "ana", json!({ "image": "mageai/mageai:0.9.79" }));
    let Rollout::NotSeen { why } = cluster.wait(&namespace, "ana", Duration::from_secs(3)) else {
        panic!("a broken pod passes for a good one")
    };
    let command = format!("`kubectl delete pod ana-0 --namespace {namespace}` lets it go on");
    assert!(why.contains("still runs what was there before") && why.ends_with(&command), "{why}");
    let counts = cluster.workload(&namespace, "ana").counts;
    assert_eq!(counts.current_revision, counts.update_revision);

    let request =
        Request::new(format!("/api/v1/namespaces/{namespace}/pods")).delete("ana-0", &Default::default());
    cluster.kubernetes.server.write::<Json>(request).unwrap();
    assert_eq!(cluster.wait(&namespace, "ana", PATIENCE), Rollout::Done);
}

#[test]
fn waiting_ends_when_it_is_cancelled() {
    let Some(cluster) = cluster("waiting_ends_when_it_is_cancelled") else { return };
    let namespace = cluster.namespace();
    cluster.rule(&namespace, "", "pending");
    cluster.create(&namespace, "ana", "default");
    let cancelled = AtomicBool::new(false);
    let started = Instant::now();
    let end = thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            cluster.kubernetes.wait_for_rollout(&namespace, "ana", started + PATIENCE, &cancelled).unwrap()
        });
        cancelled.store(true, Ordering::Relaxed);
        waiting.join().unwrap()
    });
    assert_eq!(end, Rollout::NotSeen { why: "waiting for it was cancelled".into() });
    assert!(started.elapsed() < PATIENCE / 2);
}

#[test]
fn volumes_grow_where_their_class_lets_them() {
    let Some(cluster) = cluster("volumes_grow_where_their_class_lets_them") else { return };
    let namespace = cluster.namespace();
    cluster.create(&namespace, "ana", "default");
    cluster.create(&namespace, "ben", "fixed");
    for name in ["ana", "ben"] {
        assert_eq!(cluster.wait(&namespace, name, PATIENCE), Rollout::Done);
    }
    let grow = |name: &str, size: u32| cluster.kubernetes.grow_volume(&namespace, name, size);
    assert_eq!(grow("ana", 2), Ok(Growth::Already));
    assert_eq!(grow("ana", 5), Ok(Growth::Asked));
    assert_eq!(grow("ana", 5), Ok(Growth::Already));
    let failure = |name: &str, size: u32| match grow(name, size) {
        Err(PerformError::Failed(message)) => message,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        failure("ana", 3),
        "the volume `mage-data-ana-0` has 5Gi and cannot shrink to 3Gi: kubernetes lets volumes only grow"
    );
    assert_eq!(
        failure("ben", 3),
        "the volume `mage-data-ben-0` cannot grow: its storage class `fixed` does not have `allowVolumeExpansion: true`"
    );
    assert!(failure("nobody", 3).starts_with("the workspace has no volume `mage-data-nobody-0`"));
    // What new pods get is as before: that cannot be changed.
    let size = cluster.workload(&namespace, "ana").volume.and_then(|volume| volume.size);
    assert_eq!(size.as_deref(), Some("2Gi"));
}

#[test]
fn where_a_pod_may_run_is_set_as_a_whole() {
    let Some(cluster) = cluster("where_a_pod_may_run_is_set_as_a_whole") else { return };
    let namespace = cluster.namespace();
    cluster.create(&namespace, "ana", "default");
    let ana = cluster.workload(&namespace, "ana");
    let shown = || -> Vec<String> {
        let scheduling = cluster.workload(&namespace, "ana").scheduling;
        scheduling.iter().map(|(path, value)| format!("{path}={value}")).collect()
    };
    assert_eq!(shown(), ["container_config.nodeSelector[\"kubernetes.io/os\"]=linux"]);
    let leaves = |entries: &[(&str, Json)]| -> Leaves {
        let value = |json: &Json| serde_json::from_value(json.clone()).unwrap();
        entries.iter().map(|(path, json)| ((*path).into(), value(json))).collect()
    };
    let label = json!([{ "matchExpressions": [{ "key": "zone", "operator": "Exists" }] }]);
    const TERMS: &str = "container_config.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    let wanted = leaves(&[
        ("container_config.nodeSelector[\"kubernetes.io/hostname\"]", json!("magus-node")),
        ("container_config.tolerations", json!([{ "key": "gpu", "operator": "Exists" }])),
        (TERMS, label),
    ]);
    cluster.kubernetes.schedule(&ana.key, &ana.uid, &wanted).unwrap();
    assert_eq!(cluster.workload(&namespace, "ana").scheduling, wanted, "the old label is gone");
    assert_eq!(cluster.wait(&namespace, "ana", PATIENCE), Rollout::Done);
    let wanted =
        leaves(&[("container_config.tolerations", json!([{ "key": "other", "operator": "Exists" }]))]);
    cluster.kubernetes.schedule(&ana.key, &ana.uid, &wanted).unwrap();
    assert_eq!(cluster.workload(&namespace, "ana").scheduling, wanted);
    cluster.kubernetes.schedule(&ana.key, &ana.uid, &Leaves::new()).unwrap();
    assert_eq!(shown(), [""; 0]);
    let other = cluster.kubernetes.schedule(&ana.key, "00000000-0000-0000-0000-000000000000", &wanted);
    assert!(matches!(other, Err(PerformError::Moved(_))), "{other:?}");
    let refused =
        leaves(&[("container_config.tolerations", json!([{ "key": "a b", "operator": "Exists" }]))]);
    let refused = cluster.kubernetes.schedule(&ana.key, &ana.uid, &refused);
    assert!(matches!(refused, Err(PerformError::Failed(_))), "{refused:?}");
    assert_eq!(shown(), [""; 0]);
}
