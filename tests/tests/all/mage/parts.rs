//! Parts of workspaces that Kubernetes lost, and pods that have not come up yet.

use magus_tests::proxy::Fault;
use serde_json::{Value, json};

use super::Bed;

impl Bed {
    fn core_path(&self, kind: &str, name: &str) -> String {
        format!("/api/v1/namespaces/{}/{kind}/{name}", self.place.namespace)
    }

    /// An object of the core; nothing where there is none.
    fn core(&self, kind: &str, name: &str) -> Option<Value> {
        let answer = self.shared.kubernetes.send("GET", &self.core_path(kind, name), None);
        (answer.status == 200).then_some(answer.json)
    }

    /// Deletes an object as with `kubectl`, and waits until it no longer exists.
    fn kubectl_delete(&self, path: &str) {
        let kubernetes = &self.shared.kubernetes;
        assert_eq!(kubernetes.send("DELETE", path, None).status, 200, "{path}");
        kubernetes.wait("it goes", || (kubernetes.send("GET", path, None).status == 404).then_some(()));
    }

    /// What the drift of the only workspace says.
    #[track_caller]
    fn drift(&self) -> Value {
        let run = self.sandbox.expect(2, &["drift", "--format", "json"]);
        let drift: Value = serde_json::from_str(&run.stdout).expect("json");
        assert_eq!(drift["workspaces"].as_array().map(Vec::len), Some(1), "{drift:#}");
        drift["workspaces"][0].clone()
    }
}

#[test]
fn a_missing_service_is_drift_and_comes_back() {
    let Some((bed, kubernetes)) = Bed::with_kubernetes("a_missing_service_is_drift_and_comes_back") else {
        return;
    };
    bed.declare("development", "one", "env: {A: \"1\"}\n");
    bed.apply_seen();
    let service = format!("{}-service", bed.name("one-development"));
    let essence = |service: &Value| {
        let spec = &service["spec"];
        json!([
            service["metadata"]["labels"],
            spec["type"],
            spec["selector"],
            spec["ports"][0]["port"],
            spec["ports"][0]["targetPort"]
        ])
    };
    let before = bed.core("services", &service).expect("a Service");
    let uid = bed.pod_uid("one-development");
    bed.kubectl_delete(&bed.core_path("services", &service));

    assert_eq!(bed.drift()["missing"], json!([{ "kind": "Service", "name": service }]));
    let run = bed.sandbox.expect(2, &["drift"]);
    assert!(run.stdout.contains(&format!("- Service {service}: missing")), "{}", run.stdout);
    let plan = bed.sandbox.plan(&[]);
    assert_eq!(plan["steps"][0]["restores"], json!([{ "kind": "Service", "name": service }]));
    assert_eq!(plan["steps"][0]["restarts"], json!(false));
    let run = bed.sandbox.expect(2, &["plan", "--detailed-exitcode"]);
    assert!(run.stdout.contains(&format!("restores the missing Service `{service}`")), "{}", run.stdout);
    let run = bed.sandbox.magus(&["status"]);
    assert!(run.stdout.contains("no Service"), "{}", run.stdout);

    // A login that may not make Services says so, and nothing else is done.
    kubernetes.decide(|request| match request.method.as_str() {
        "POST" => Fault::Status(
            403,
            r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","message":"cannot create","code":403}"#
                .into(),
        ),
        _ => Fault::Pass,
    });
    let run = bed.apply(3, &[]);
    assert!(
        run.all().contains("kubernetes does not allow it") && run.all().contains("failed"),
        "{}",
        run.all()
    );
    kubernetes.decide(|_| Fault::Pass);
    bed.apply_seen();
    assert_eq!(essence(&bed.core("services", &service).expect("a Service")), essence(&before));
    assert_eq!(bed.pod_uid("one-development"), uid, "nothing restarted");
    assert_eq!(bed.steps(), Vec::<String>::new());
    bed.sandbox.expect(0, &["drift"]);

    // One that may not look at them is told that they were not looked at.
    bed.kubectl_delete(&bed.core_path("services", &service));
    kubernetes.decide(|request| match request.path.ends_with("/services") {
        true => Fault::Status(
            403,
            r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","message":"cannot list","code":403}"#
                .into(),
        ),
        false => Fault::Pass,
    });
    let run = bed.sandbox.expect(0, &["plan"]);
    assert!(
        run.stdout.contains("the Services cannot be read: kubernetes does not allow it"),
        "{}",
        run.stdout
    );
}

#[test]
fn a_workspace_without_a_service_is_none_that_was_left_behind() {
    let test = "a_workspace_without_a_service_is_none_that_was_left_behind";
    let Some((bed, _kubernetes)) = Bed::with_kubernetes(test) else { return };
    bed.declare("development", "one", "{}\n");
    bed.declare("development", "two", "{}\n");
    bed.apply_seen();
    let service = format!("{}-service", bed.name("one-development"));
    bed.kubectl_delete(&bed.core_path("services", &service));
    bed.sandbox.remove("environments/development/one.yaml");
    let plan = bed.sandbox.plan(&[]);
    assert_eq!(plan.get("orphans"), None, "{plan:#}");
    assert_eq!(bed.steps(), ["delete one-development"]);
    // Mage answers with an error, because there is no Service to delete.
    bed.apply_seen();
    bed.shared.kubernetes.wait("it goes", || bed.set("one-development").is_none().then_some(()));
    assert_eq!(bed.steps(), Vec::<String>::new());
}

#[test]
fn without_kubernetes_a_missing_service_is_drift_with_a_command() {
    let test = "without_kubernetes_a_missing_service_is_drift_with_a_command";
    let Some(bed) = Bed::new(test) else { return };
    bed.declare("development", "one", "{}\n");
    bed.apply_seen();
    let service = format!("{}-service", bed.name("one-development"));
    bed.kubectl_delete(&bed.core_path("services", &service));
    assert_eq!(bed.drift()["missing"][0]["name"], service.as_str());
    let plan = bed.sandbox.plan(&[]);
    let withheld = &plan["withheld"][0];
    assert_eq!((&withheld["action"], &withheld["guard"]), (&json!("update"), &json!("engine")), "{plan:#}");
    let unblock = withheld["unblock"].as_str().expect("a command");
    // `echo 'JSON' | kubectl -n NAMESPACE create -f -`
    let command = format!("' | kubectl -n {} create -f -", bed.place.namespace);
    let object = unblock.strip_prefix("echo '").and_then(|rest| rest.strip_suffix(&command));
    let object: Value = serde_json::from_str(object.unwrap_or_else(|| panic!("{unblock}"))).expect("json");
    let path = format!("/api/v1/namespaces/{}/services", bed.place.namespace);
    assert_eq!(bed.shared.kubernetes.send("POST", &path, Some(&object)).status, 201);
    assert_eq!(bed.sandbox.plan(&[])["withheld"], json!([]));
    bed.sandbox.expect(0, &["drift"]);
}

#[test]
fn a_missing_volume_of_a_stopped_workspace_is_drift() {
    let Some((bed, _kubernetes)) = Bed::with_kubernetes("a_missing_volume_of_a_stopped_workspace_is_drift")
    else {
        return;
    };
    bed.declare("development", "one", "storage_request_size: 3Gi\n");
    bed.apply_seen();
    bed.declare("development", "one", "storage_request_size: 3Gi\nstate: stopped\n");
    bed.apply_seen();
    let claim = format!("mage-data-{}-0", bed.name("one-development"));
    bed.kubectl_delete(&bed.core_path("persistentvolumeclaims", &claim));
    assert_eq!(bed.drift()["missing"], json!([{ "kind": "PersistentVolumeClaim", "name": claim }]));
    let run = bed.sandbox.expect(2, &["plan", "--detailed-exitcode"]);
    assert!(run.stdout.contains("which will be empty: the files in it are lost"), "{}", run.stdout);
    bed.apply_seen();
    let made = bed.core("persistentvolumeclaims", &claim).expect("a claim");
    assert_eq!(made["spec"]["resources"]["requests"]["storage"], "3Gi");
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    bed.declare("development", "one", "storage_request_size: 3Gi\n");
    bed.apply_seen();
}

#[test]
fn an_ingress_that_is_gone_is_drift_with_an_advice() {
    let Some((bed, _kubernetes)) = Bed::with_kubernetes("an_ingress_that_is_gone_is_drift_with_an_advice")
    else {
        return;
    };
    bed.make_ingress();
    bed.declare("development", "one", &format!("ingress_name: {}\n", super::INGRESS));
    bed.apply_seen();
    bed.kubectl_delete(&bed.ingress_path());
    assert_eq!(bed.drift()["missing"][0]["kind"], "Ingress");
    let plan = bed.sandbox.plan(&[]);
    assert_eq!((&plan["steps"], &plan["withheld"][0]["guard"]), (&json!([]), &json!("engine")), "{plan:#}");
    bed.make_ingress();
    bed.apply_seen();
    bed.sandbox.expect(0, &["drift"]);
}

#[test]
fn a_workspace_that_lost_its_statefulset_is_created_again_if_allowed() {
    let test = "a_workspace_that_lost_its_statefulset_is_created_again_if_allowed";
    let Some((bed, _kubernetes)) = Bed::with_kubernetes(test) else { return };
    bed.make_ingress();
    bed.declare("development", "one", &format!("env: {{A: \"1\"}}\ningress_name: {}\n", super::INGRESS));
    bed.declare("development", "two", "{}\n");
    bed.apply_seen();
    let claim = format!("mage-data-{}-0", bed.name("one-development"));
    let volume = bed.core("persistentvolumeclaims", &claim).expect("a claim")["metadata"]["uid"].clone();
    let project = bed.detail("one-development")["project_uuid"].clone();
    bed.kubectl_delete(&bed.set_path("one-development"));

    let set = bed.name("one-development");
    assert_eq!(bed.drift()["missing"], json!([{ "kind": "StatefulSet", "name": set }]));
    let plan = bed.sandbox.plan(&[]);
    let withheld = &plan["withheld"][0];
    assert_eq!((&withheld["action"], &withheld["guard"]), (&json!("replace"), &json!("engine")), "{plan:#}");
    let message = withheld["message"].as_str().expect("a message");
    for part in ["keeps its volume", "loses its `project_uuid` and the permissions on it"] {
        assert!(message.contains(part), "{message}");
    }
    let unblock = withheld["unblock"].as_str().expect("a command");
    assert!(unblock.ends_with(" --allow-replace development"), "{unblock}");
    assert_eq!(bed.steps(), Vec::<String>::new(), "the other one is as declared");
    let run = bed.sandbox.magus(&["restart", "-w", "one", "--yes"]);
    assert!(run.all().contains("was deleted"), "{}", run.all());

    bed.sandbox.expect(0, &["apply", "--yes", "--timeout", "90", "--allow-replace", "development"]);
    assert_eq!(bed.env("one-development")["A"]["value"], "1");
    assert_ne!(bed.detail("one-development")["project_uuid"], project);
    let now = bed.core("persistentvolumeclaims", &claim).expect("a claim");
    assert_eq!(now["metadata"]["uid"], volume, "the volume is the same");
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    bed.sandbox.expect(0, &["drift"]);

    // Not declared any more, it is deleted as any other, and nothing is left.
    bed.kubectl_delete(&bed.set_path("two-development"));
    bed.sandbox.remove("environments/development/two.yaml");
    assert_eq!(bed.steps(), ["delete two-development"]);
    bed.apply_seen();
    assert_eq!(bed.core("services", &format!("{}-service", bed.name("two-development"))), None);
    assert_eq!(bed.steps(), Vec::<String>::new());
}

#[test]
fn a_statefulset_that_is_being_deleted_leaves_the_workspace_unknown() {
    let test = "a_statefulset_that_is_being_deleted_leaves_the_workspace_unknown";
    let Some((bed, _kubernetes)) = Bed::with_kubernetes(test) else { return };
    bed.declare("development", "one", "{}\n");
    bed.apply_seen();
    let finalizers = |list: Value| json!({ "metadata": { "finalizers": list } });
    let path = bed.set_path("one-development");
    let kept = bed.shared.kubernetes.patch(&path, &finalizers(json!(["magus.test/kept"])));
    assert_eq!(kept.status, 200, "{}", kept.json);
    assert_eq!(bed.shared.kubernetes.send("DELETE", &path, None).status, 200);
    let run = bed.sandbox.expect(5, &["plan", "--allow-replace", "development"]);
    assert!(run.stdout.contains("is being deleted"), "{}", run.stdout);
    assert_eq!(bed.shared.kubernetes.patch(&path, &finalizers(json!(null))).status, 200);
    bed.shared.kubernetes.wait("it goes", || bed.set("one-development").is_none().then_some(()));
}

#[test]
fn a_pod_that_is_starting_is_not_stopped() {
    let Some((bed, _kubernetes)) = Bed::with_kubernetes("a_pod_that_is_starting_is_not_stopped") else {
        return;
    };
    bed.declare("development", "one", "env: {A: \"1\"}\n");
    bed.apply_seen();
    // The next template takes its time, and is changed again meanwhile.
    bed.shared.kubernetes.rule_for_image(&bed.place.namespace, "0.9.79", "starting");
    let older = "env: {A: \"1\"}\ncontainer_config: {image: \"mageai/mageai:0.9.79\"}\n";
    bed.declare("development", "one", older);
    bed.apply(3, &[]);
    bed.sandbox.replace("environments/development/one.yaml", "A: \"1\"", "A: \"2\"");
    let run = bed.sandbox.expect(2, &["plan", "--detailed-exitcode"]);
    assert!(!run.stdout.contains("has failed"), "{}", run.stdout);
    let stops = |bed: &Bed| {
        let exchanges = bed.proxy.exchanges();
        let stops = |body: &[u8]| {
            serde_json::from_slice(body).is_ok_and(|body: Value| body["workspace"]["action"] == "stop")
        };
        exchanges.iter().filter(|one| stops(&one.request.body)).count()
    };
    let before = stops(&bed);
    bed.apply(3, &[]);
    assert_eq!(stops(&bed), before, "it is left to come up");
    bed.shared.kubernetes.rule_for_image(&bed.place.namespace, "0.9.79", "running");
    bed.shared.kubernetes.wait("it comes up", || {
        let set = bed.set("one-development")?;
        (set["status"]["availableReplicas"] == 1 && set["status"]["updatedReplicas"] == 1).then_some(())
    });
    assert_eq!(stops(&bed), before);
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}
