//! What becomes of workspaces: made, changed, healed, taken over, and deleted.

use magus_tests::{
    cases,
    mage::{Caller, Logins, shared},
};
use serde_json::{Value, json};

use super::Bed;

#[test]
fn a_workspace_is_created_changed_stopped_started_and_deleted() {
    let Some(bed) = Bed::new("a_workspace_is_created_changed_stopped_started_and_deleted") else { return };
    bed.declare(
        "development",
        "ana",
        "env:\n  GREETING: \"it's: #1\"\n  NUMBER: \"0123\"\n  KEY: {valueFrom: {secretKeyRef: {name: keys, key: k}}}\n\
         container_config:\n  resources: {limits: {cpu: \"1\", memory: 2Gi}}\n\
         storage_request_size: 3Gi\n\
         lifecycle_config:\n  termination_policy: {enable_auto_termination: true, max_idle_seconds: 1800}\n",
    );
    bed.declare("production", "ana", "{}\n");
    assert_eq!(bed.steps(), ["create ana-development", "create ana-production"]);
    bed.apply(0, &[]);
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);

    let set = bed.set("ana-development").expect("a StatefulSet");
    let claim = &set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"];
    assert_eq!((&set["spec"]["replicas"], claim), (&json!(1), &json!("3Gi")));
    assert_eq!(bed.container("ana-development")["image"], "mageai/mageai:0.9.80");
    assert_eq!(
        bed.container("ana-development")["resources"]["limits"],
        json!({ "cpu": "1", "memory": "2Gi" })
    );
    let env = bed.env("ana-development");
    assert_eq!(env["GREETING"], json!({ "value": "it's: #1" }));
    assert_eq!(env["NUMBER"], json!({ "value": "0123" }));
    assert_eq!(env["KEY"], json!({ "valueFrom": { "secretKeyRef": { "name": "keys", "key": "k" } } }));
    assert_eq!(env["ENV"], json!({ "value": "dev" }));

    // What is taken away leaves the running template too, and a text becomes a reference without rests (MAGE.md 4.1, 4.2).
    bed.declare(
        "development",
        "ana",
        "env:\n  NUMBER: {valueFrom: {secretKeyRef: {name: keys, key: n}}}\n  KEY: plain\n\
         container_config:\n  resources: {limits: {memory: 2Gi}}\n\
         storage_request_size: 3Gi\n\
         lifecycle_config:\n  termination_policy: {enable_auto_termination: true, max_idle_seconds: 1800}\n",
    );
    let run = bed.apply(3, &[]);
    assert!(run.all().contains("its rollout was not observed"), "{}", run.all());
    let env = bed.env("ana-development");
    assert!(!env.contains_key("GREETING"), "{env:?}");
    assert_eq!(env["NUMBER"], json!({ "valueFrom": { "secretKeyRef": { "name": "keys", "key": "n" } } }));
    assert_eq!(env["KEY"], json!({ "value": "plain" }));
    assert_eq!(bed.container("ana-development")["resources"]["limits"], json!({ "memory": "2Gi" }));
    let text = bed.detail("ana-development")["container_config"].to_string();
    assert!(!text.contains("$patch") && !text.contains("null"), "{text}");
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);

    // Only a creation could change the idle time: held back, with the reason and without a way around it.
    bed.sandbox.replace("environments/development/ana.yaml", "1800", "900");
    let plan = bed.sandbox.plan(&[]);
    assert_eq!(plan["steps"], json!([]));
    assert_eq!(plan["withheld"][0]["guard"], "engine");
    assert_eq!(plan["withheld"][0]["action"], "replace");
    assert!(
        plan["withheld"][0]["message"].as_str().expect("text").contains("lose the permissions"),
        "{plan:#}"
    );
    bed.sandbox.replace("environments/development/ana.yaml", "900", "1800");

    // What may stop by itself is as declared, whether it runs or not (MAGE.md 4.16).
    for (action, replicas) in [("stop", 0), ("resume", 1)] {
        let path = format!("/api/workspaces/{}", bed.name("ana-development"));
        let body = json!({ "workspace": { "action": action } });
        bed.shared.mage.send(&bed.owner, "PUT", &path, Some(&body));
        assert_eq!(bed.set("ana-development").expect("a set")["spec"]["replicas"], replicas);
        bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
        bed.sandbox.expect(0, &["drift"]);
    }

    // Stopped, changed without being started, and started again.
    bed.declare("production", "ana", "state: stopped\n");
    assert_eq!(bed.steps(), ["stop ana-production"]);
    bed.sandbox.expect(0, &["apply", "--yes", "--timeout", "60"]);
    assert_eq!(bed.set("ana-production").expect("a set")["spec"]["replicas"], 0);
    bed.declare("production", "ana", "state: stopped\nenv: {LATER: \"1\"}\n");
    bed.apply(0, &[]);
    assert_eq!(bed.env("ana-production")["LATER"], json!({ "value": "1" }));
    assert_eq!(bed.set("ana-production").expect("a set")["spec"]["replicas"], 0);
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    bed.declare("production", "ana", "env: {LATER: \"1\"}\n");
    assert_eq!(bed.steps(), ["start ana-production"]);
    bed.sandbox.expect(0, &["apply", "--yes", "--timeout", "60"]);
    assert_eq!(bed.set("ana-production").expect("a set")["spec"]["replicas"], 1);
    let uid = || {
        let pod = format!("/api/v1/namespaces/{}/pods/{}-0", bed.place.namespace, bed.name("ana-production"));
        bed.shared.kubernetes.send("GET", &pod, None).json["metadata"]["uid"].clone()
    };
    let before = uid();
    bed.sandbox.expect(0, &["restart", "-w", "ana", "-e", "production", "--yes", "--timeout", "60"]);
    assert_ne!(uid(), before, "another pod");
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);

    // Deleted, in Mage and in Kubernetes; production only with the flag.
    bed.sandbox.remove("environments/development/ana.yaml");
    bed.sandbox.remove("environments/production/ana.yaml");
    bed.apply(4, &["--allow-empty", "development"]);
    assert!(bed.set("ana-development").is_none() && bed.set("ana-production").is_some());
    let lifts = ["--allow-empty", "production", "--allow-delete", "production", "--reason", "test"];
    bed.apply(0, &lifts);
    assert!(bed.set("ana-production").is_none());
    assert_eq!(bed.detail("ana-production"), Value::Null);
}

#[test]
fn a_rollout_that_is_seen_is_done() {
    let Some(bed) = Bed::new("a_rollout_that_is_seen_is_done") else { return };
    bed.declare("development", "one", "{}\n");
    bed.apply(0, &[]);
    // The pod of the next template takes its time.
    let kubernetes = bed.shared.kubernetes;
    kubernetes.rule(&bed.place.namespace, &bed.name("one"), "pending");
    bed.declare("development", "one", "env: {A: \"1\"}\n");
    let run = std::thread::scope(|scope| {
        let apply = scope.spawn(|| bed.sandbox.expect(0, &["apply", "--yes", "--timeout", "60"]));
        // Two looks after the patch have to see it: before that it does not come up.
        let looks = || {
            let patched = bed.proxy.exchanges().iter().rposition(|one| one.request.method == "PUT");
            patched.map_or(0, |at| bed.proxy.exchanges().len() - at)
        };
        kubernetes.wait("the apply looks", || (looks() > 3).then_some(()));
        kubernetes.rule(&bed.place.namespace, &bed.name("one"), "running");
        apply.join().expect("the apply ends")
    });
    assert!(run.all().contains("Applied 1 step."), "{}", run.all());
}

#[test]
fn drift_is_told_apart_and_healed() {
    let Some(bed) = Bed::new("drift_is_told_apart_and_healed") else { return };
    bed.declare("development", "one", "env: {A: \"1\", B: \"1\"}\n");
    bed.declare("development", "two", "env: {A: \"1\"}\n");
    bed.apply(0, &[]);
    bed.edit("one-development", |text| text.replace("value: \"1\"", "value: \"9\""));
    bed.sandbox.replace("environments/development/one.yaml", "B: \"1\"", "B: \"2\"");
    let plan = bed.sandbox.plan(&[]);
    let fields = plan["steps"][0]["fields"].as_array().expect("fields");
    let told: Vec<_> = fields
        .iter()
        .map(|field| format!("{} {} {} {}", field["path"], field["before"], field["after"], field["reason"]))
        .collect();
    assert_eq!(told, [r#""env.A" "9" "1" "drift""#, r#""env.B" "9" "2" "both""#]);
    bed.sandbox.expect(2, &["drift"]);
    bed.apply(3, &[]);
    assert_eq!(bed.env("one-development")["A"], json!({ "value": "1" }));
    assert_eq!(bed.env("one-development")["B"], json!({ "value": "2" }));
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);

    // Somebody stops a workspace.
    let stop = json!({ "workspace": { "action": "stop" } });
    let path = format!("/api/workspaces/{}", bed.name("two-development"));
    bed.shared.mage.send(&bed.owner, "PUT", &path, Some(&stop));
    bed.shared.kubernetes.wait("it stops", || {
        (bed.detail("two-development")["instance"]["status"] == "STOPPED").then_some(())
    });
    assert_eq!(bed.steps(), ["start two-development"]);
    // With auto-termination it stops by itself, and that is no drift.
    bed.sandbox.replace(
        "environments/cluster.yaml",
        "defaults:\n",
        "defaults:\n  lifecycle_config: {termination_policy: {enable_auto_termination: true, max_idle_seconds: 60}}\n",
    );
    let plan = bed.sandbox.plan(&[]);
    assert_eq!(plan["steps"], json!([]), "{plan:#}");
}

#[test]
fn workspaces_made_by_hand_are_imported_and_adopted_without_a_restart() {
    let Some(bed) = Bed::new("workspaces_made_by_hand_are_imported_and_adopted_without_a_restart") else {
        return;
    };
    // As people make them: without an image, without anything, with comments, passwords, numbers, lists, flow style.
    let odd = [
        json!({}),
        json!({ "container_config": "# ours\nimage: mageai/mageai:latest\n" }),
        json!({ "container_config": "env:\n- name: DB_PASSWORD\n  value: canary-hand-71c0\n- {name: N, value: '01'}\n" }),
        json!({ "container_config": "{image: 'mageai/mageai:0.9.80', resources: {requests: {cpu: 0.5, memory: 512Mi}}}" }),
        json!({ "container_config": "env:\n  - name: KEY\n    valueFrom:\n      secretKeyRef: {name: keys, key: k}\n", "storage_request_size": 4 }),
        json!({ "container_config": "args: [\"a\", 'b c']\nworkingDir: /home/src\n", "pvc_retention_policy": "Delete" }),
        json!({ "lifecycle_config": { "termination_policy": { "enable_auto_termination": true, "max_idle_seconds": 600 } } }),
        json!({ "container_config": "resources:\r\n  limits:\r\n    cpu: \"2\"\r\n" }),
        json!({ "container_config": "env:\n- name: MULTI\n  value: |\n    one\n    two\n- name: EMPTY\n  value: ''\n" }),
        json!({ "container_config": "livenessProbe: {httpGet: {path: /api/statuses, port: 6789}, periodSeconds: 30}\n" }),
    ];
    let count = cases(12, 60);
    let names: Vec<String> = (0..count)
        .map(|at| match at % 3 {
            0 => format!("w{at}-development"),
            1 => format!("team-{at}"),
            _ => format!("x{at}y-prod-2"),
        })
        .collect();
    for (at, name) in names.iter().enumerate() {
        bed.create(name, odd[at % odd.len()].clone());
    }
    let generations: Vec<_> = names.iter().map(|name| bed.generation(name)).collect();
    let before: Vec<_> = names.iter().map(|name| bed.detail(name)["container_config"].clone()).collect();
    let run = bed.sandbox.expect(0, &["import", "-e", "development"]);
    assert!(!run.all().contains("canary-hand-71c0"));
    let plan = bed.sandbox.plan(&[]);
    let actions: Vec<_> =
        plan["steps"].as_array().expect("steps").iter().map(|step| &step["action"]).collect();
    assert_eq!(actions, vec![&json!("adopt"); count], "{plan:#}");
    assert_eq!(plan["withheld"], json!([]));
    bed.apply(0, &[]);
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    assert_eq!(
        names.iter().map(|name| bed.generation(name)).collect::<Vec<_>>(),
        generations,
        "no pod restarts"
    );
    for (name, before) in names.iter().zip(before) {
        let after = bed.detail(name)["container_config"].as_str().expect("a text").to_owned();
        let before = before.as_str().unwrap_or("{}\n").to_owned();
        let (mark, rest) = after.split_once('\n').expect("a mark and a rest");
        assert!(mark.starts_with("# magus: {") && rest == before, "{name}: {rest:?} was {before:?}");
    }
}

#[test]
fn requests_are_few() {
    let Some(bed) = Bed::new("requests_are_few") else { return };
    let count = cases(6, 40);
    for at in 0..count {
        bed.declare("development", &format!("w{at}"), "env: {A: \"1\"}\n");
    }
    bed.apply(0, &[]);
    bed.proxy.clear();
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    let asked: Vec<_> = bed.proxy.exchanges().iter().map(|one| one.request.path.clone()).collect();
    assert_eq!(asked, ["/api/statuses", "/api/sessions", "/api/workspaces"]);

    bed.sandbox.replace("environments/development/environment.yaml", "ENV: dev", "ENV: other");
    bed.proxy.clear();
    bed.sandbox.magus(&["apply", "--yes", "--timeout", "0", "-j", "8"]);
    let of =
        |method: &str| bed.proxy.count(|request| request.method == method && request.path != "/api/sessions");
    assert_eq!((of("PUT"), of("POST"), of("DELETE")), (count, 0, 0));
    // Before each change a look, after it one that reads back and one that polls, or a second one where the pod was just
    // seen to go; and the probe and the list.
    let asked = of("GET");
    assert!((3 * count + 2..=4 * count + 2).contains(&asked), "{asked} for {count} changes");
    assert_eq!(bed.proxy.count(|request| request.path == "/api/sessions"), 1);
}

#[test]
fn environments_in_clusters_of_their_own_are_planned_and_applied_together() {
    let test = "environments_in_clusters_of_their_own_are_planned_and_applied_together";
    let Some(mut bed) = Bed::new(test) else { return };
    let Ok(other) = shared(Logins::Off) else { panic!("it is there where the first one is") };
    let place = other.place();
    // Production lives on a server of its own, which needs no login.
    bed.sandbox.write(
        "environments/production/cluster.yaml",
        format!(
            "name: acme-prod\nengine: {{mage: {{url: \"{}\", namespace: {}}}}}\n",
            other.mage.url(),
            place.namespace
        ),
    );
    bed.sandbox.set("MAGE_URL_ACME_PROD", &other.mage.url());
    bed.declare("development", "one", "env: {A: \"1\"}\n");
    bed.declare("production", "one", "env: {A: \"1\"}\n");
    let plan = bed.sandbox.plan(&[]);
    let steps: Vec<_> =
        plan["steps"].as_array().expect("steps").iter().map(|step| &step["cluster"]).collect();
    assert_eq!(steps, ["acme", "acme-prod"], "in order of promotion, whatever the clusters' names");
    bed.apply(0, &[]);
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    let name = bed.name("one-production");
    let in_production = other.mage.get(&Caller::anonymous(), &format!("/api/workspaces/{name}"));
    assert_eq!(in_production["workspace"]["namespace"], place.namespace.as_str());
    assert_eq!(bed.detail("one-production"), Value::Null, "and not on the first server");

    // One that cannot be reached leaves its own workspaces unknown, and the rest goes on.
    let gone = "http://127.0.0.1:1";
    bed.sandbox.replace("environments/production/cluster.yaml", &other.mage.url(), gone);
    bed.sandbox.set("MAGE_URL_ACME_PROD", gone);
    bed.declare("development", "one", "env: {A: \"2\"}\n");
    let run = bed.sandbox.expect(5, &["plan", "--format", "json"]);
    let plan: Value = serde_json::from_str(&run.stdout).expect("a plan");
    assert_eq!(plan["steps"].as_array().expect("steps").len(), 1);
    assert_eq!(plan["unknown"][0]["workspace"], name.as_str());
    let run = bed.sandbox.magus(&["apply", "--yes", "--timeout", "1"]);
    assert_eq!(run.code, Some(3), "{}", run.all());
    assert_eq!(bed.env("one-development")["A"], json!({ "value": "2" }));
}

/// Mage gives every workspace some variables of its own. A declared value takes the place of one, and when it goes, the
/// workspace is not to be without: without `USER_CODE_PATH`, it would come up with an empty project.
#[test]
fn what_mage_gives_by_itself_comes_back_where_a_declared_value_goes() {
    let Some(bed) = Bed::new("what_mage_gives_by_itself_comes_back_where_a_declared_value_goes") else {
        return;
    };
    // Of the workspace alone, and one that the main server hands on.
    let (of_workspace, handed_on) =
        (["PROJECT_TYPE", "PROJECT_UUID", "USER_CODE_PATH"], "REQUIRE_USER_AUTHENTICATION");
    let names = [&of_workspace[..], &[handed_on]].concat();
    let overrides: String = names.iter().map(|name| format!("  {name}: other\n")).collect();
    let entries = |workspace: &str, name: &str| -> Vec<Value> {
        let container = bed.container(workspace);
        let all = container["env"].as_array().expect("variables");
        all.iter().filter(|entry| entry["name"] == name).map(|entry| entry["value"].clone()).collect()
    };
    bed.declare("development", "later", "env: {A: a}\n");
    bed.declare("development", "first", &format!("env:\n  A: a\n{overrides}"));
    bed.declare("production", "none", "{}\n");
    bed.apply(0, &[]);
    let given = |workspace: &str, name: &str| match name {
        "PROJECT_TYPE" => json!("sub"),
        "PROJECT_UUID" => bed.detail(workspace)["project_uuid"].clone(),
        "USER_CODE_PATH" => bed.name(workspace).into(),
        _ => json!("1"),
    };
    let (first, later) = ("first-development", "later-development");
    for name in &names {
        assert_eq!(entries(later, name), [given(later, name)], "{name}");
        assert_eq!(entries(first, name), [given(first, name), "other".into()], "{name}");
    }
    bed.declare("development", "later", &format!("env:\n  A: a\n{overrides}"));
    bed.apply(3, &[]);
    for name in &names {
        assert_eq!(entries(later, name), ["other"], "{name}");
    }

    for workspace in ["later", "first"] {
        bed.declare("development", workspace, "env: {A: a}\n");
    }
    bed.apply(3, &[]);
    for workspace in [first, later] {
        let text = bed.detail(workspace)["container_config"].to_string();
        for name in &names {
            assert_eq!(entries(workspace, name), [given(workspace, name)], "{workspace}: {name}");
            assert!(!text.contains(name), "{text}");
        }
    }
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}
