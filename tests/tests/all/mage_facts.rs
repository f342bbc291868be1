//! What Mage 0.9.80 does to a real Kubernetes, as far as the engine is designed on it. The numbers are those of
//! `MAGE.md`, section 4.
//!
//! No Magus takes part: where one of these tests fails after an update of Mage or Kubernetes, the engine has to change.

use std::sync::atomic::{AtomicBool, Ordering};

use magus_tests::{
    mage::{Caller, Logins, Place, Shared, shared},
    proxy::{Exchange, Fault, Request},
};
use serde_json::{Value, json};

const IMAGE: &str = "mageai/mageai:0.9.80";

/// A place on the shared main server without logins.
struct Facts {
    shared: &'static Shared,
    place: Place,
}

impl Facts {
    /// Nothing where the server cannot be started here.
    fn new(test: &str) -> Option<Self> {
        match shared(Logins::Off) {
            Ok(shared) => Some(Self { place: shared.place(), shared }),
            Err(missing) => {
                missing.skip(test);
                None
            }
        }
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.place.prefix)
    }

    fn mage(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.shared.mage.send(&Caller::default(), method, path, body).json
    }

    /// The answer to a creation, with its name and namespace added.
    fn try_create(&self, name: &str, mut workspace: Value) -> Value {
        workspace["name"] = self.name(name).into();
        workspace["namespace"] = self.place.namespace.clone().into();
        self.mage("POST", "/api/workspaces", Some(&json!({ "workspace": workspace })))
    }

    #[track_caller]
    fn create(&self, name: &str, workspace: Value) {
        let answer = self.try_create(name, workspace);
        assert_eq!(answer["workspace"]["success"], true, "{answer}");
    }

    /// The answer to a PUT.
    fn put(&self, name: &str, workspace: &Value) -> Value {
        let path = format!("/api/workspaces/{}", self.name(name));
        self.mage("PUT", &path, Some(&json!({ "workspace": workspace })))
    }

    /// Whether a patch with this container_config succeeds.
    fn patches(&self, name: &str, container_config: impl Into<Value>) -> bool {
        let answer =
            self.put(name, &json!({ "action": "patch", "container_config": container_config.into() }));
        assert!(answer["error"].is_null() || answer["error"]["code"] == 400, "{answer}");
        answer["error"].is_null()
    }

    fn detail(&self, name: &str) -> Value {
        self.mage("GET", &format!("/api/workspaces/{}", self.name(name)), None)
    }

    /// The text that Mage has stored.
    fn text(&self, name: &str) -> Value {
        self.detail(name)["workspace"]["container_config"].clone()
    }

    /// What Mage lists for a namespace: names without the prefix, and their texts.
    fn list(&self, query: &str) -> Vec<(String, Value)> {
        let list = self.mage("GET", &format!("/api/workspaces{query}"), None);
        let items = list["workspaces"].as_array().expect("a list").iter();
        items
            .filter_map(|item| {
                let name = item["name"].as_str()?.strip_prefix(&self.place.prefix)?;
                Some((name.to_owned(), item["container_config"].clone()))
            })
            .collect()
    }

    fn names(&self, query: &str) -> Vec<String> {
        self.list(query).into_iter().map(|(name, _)| name).collect()
    }

    /// The path of an object of this namespace: `apis/apps/v1` and the rest.
    fn path(&self, api: &str, rest: &str) -> String {
        format!("/{api}/namespaces/{}/{rest}", self.place.namespace)
    }

    /// An object of Kubernetes; nothing where there is none.
    fn object(&self, api: &str, rest: &str) -> Option<Value> {
        let answer = self.shared.kubernetes.send("GET", &self.path(api, rest), None);
        assert!(matches!(answer.status, 200 | 404), "{}", answer.json);
        (answer.status == 200).then_some(answer.json)
    }

    fn set(&self, name: &str) -> Value {
        self.object("apis/apps/v1", &format!("statefulsets/{}", self.name(name))).expect("a StatefulSet")
    }

    fn container(&self, name: &str) -> Value {
        self.set(name)["spec"]["template"]["spec"]["containers"][0].clone()
    }

    /// The entry of a variable in the StatefulSet.
    fn variable(&self, name: &str, variable: &str) -> Option<Value> {
        let container = self.container(name);
        let mut entries = container["env"].as_array().expect("variables").iter();
        entries.find(|entry| entry["name"] == variable).cloned()
    }

    fn pod(&self, name: &str) -> Option<Value> {
        self.object("api/v1", &format!("pods/{}-0", self.name(name)))
    }

    /// Which of its objects Kubernetes has.
    fn left(&self, name: &str) -> Vec<&'static str> {
        let name = self.name(name);
        [
            ("set", "apis/apps/v1", format!("statefulsets/{name}")),
            ("service", "api/v1", format!("services/{name}-service")),
            ("hooks", "api/v1", format!("configmaps/{name}-hooks")),
        ]
        .into_iter()
        .filter_map(|(what, api, rest)| self.object(api, &rest).map(|_| what))
        .collect()
    }

    /// What becomes of requests of that method for that kind of objects, between Mage and Kubernetes.
    fn fault(&self, method: &'static str, kind: &'static str, fault: Fault) {
        self.shared.decide(&self.place, move |request: &Request| {
            let hit = request.method == method && request.path.split('/').any(|word| word == kind);
            if hit { fault.clone() } else { Fault::Pass }
        });
    }

    /// Kubernetes answers 500 to requests of that method for that kind of objects.
    fn refuse(&self, method: &'static str, kind: &'static str) {
        self.fault(method, kind, Fault::Status(500, "{}".to_owned()));
    }

    /// What Kubernetes answered to the last patch of Mage.
    fn last_patch(&self) -> Option<u16> {
        let exchanges = self.shared.exchanges(&self.place);
        exchanges.iter().rev().find(|exchange| exchange.request.method == "PATCH")?.status()
    }

    fn wait<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        self.shared.kubernetes.wait(what, look)
    }
}

fn config(variables: &str) -> String {
    format!("image: {IMAGE}\nenv:\n{variables}")
}

#[test]
fn fact_1_what_a_text_leaves_out_stays() {
    let Some(facts) = Facts::new("fact_1_what_a_text_leaves_out_stays") else { return };
    let text =
        "resources: {limits: {cpu: \"1\"}}\nenv:\n- {name: A, value: \"1\"}\n- {name: B, value: \"1\"}\n";
    facts.create("one", json!({ "container_config": format!("image: mage:first\n{text}") }));
    let less = "env:\n- {name: A, value: \"2\"}\n";
    assert!(facts.patches("one", less));
    assert_eq!(facts.text("one"), less, "Mage shows it as converged");
    assert_eq!(facts.variable("one", "A"), Some(json!({ "name": "A", "value": "2" })));
    assert_eq!(facts.variable("one", "B"), Some(json!({ "name": "B", "value": "1" })));
    let container = facts.container("one");
    assert_eq!(container["resources"], json!({ "limits": { "cpu": "1" } }));
    // Fact 5, of the open source server.
    assert_eq!(container["image"], "mage:first");
}

#[test]
fn fact_2_a_value_and_a_reference_exclude_each_other() {
    let Some(facts) = Facts::new("fact_2_a_value_and_a_reference_exclude_each_other") else { return };
    let value = config("- {name: A, value: \"1\"}\n");
    let reference = config("- {name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}\n");
    for (name, first, second) in [("one", &value, &reference), ("two", &reference, &value)] {
        facts.create(name, json!({ "container_config": first }));
        let before = facts.set(name);
        assert!(!facts.patches(name, second.as_str()));
        assert_eq!(facts.last_patch(), Some(422));
        assert_eq!(facts.text(name), *first, "Kubernetes is asked first");
        assert_eq!(facts.set(name)["spec"], before["spec"]);
    }
}

#[test]
fn fact_3_what_is_no_text_of_a_map() {
    let Some(facts) = Facts::new("fact_3_what_is_no_text_of_a_map") else { return };
    let text = config("- {name: A, value: \"1\"}\n");
    facts.create("one", json!({ "container_config": text }));
    let generation = facts.set("one")["metadata"]["generation"].clone();
    assert_eq!(facts.put("one", &json!({ "action": "patch" }))["error"], Value::Null);
    assert_eq!(facts.text("one"), text);
    for refused in ["", "# only a comment\n", "- a\n- list\n", "env: [\n", "env:\n- {name: A, value: 1}\n"] {
        assert!(!facts.patches("one", refused), "{refused:?}");
        assert_eq!(facts.text("one"), text, "{refused:?}");
    }
    assert!(facts.patches("one", "{}\n"));
    assert_eq!(facts.text("one"), "{}\n");
    // Stored, and not applied.
    let object = json!({ "image": "mage:other" });
    assert!(facts.patches("one", object.clone()));
    assert_eq!(facts.text("one"), object);
    assert_eq!(facts.container("one")["image"], IMAGE);
    assert!(facts.patches("one", Value::Null));
    assert_eq!(facts.text("one"), object, "null changes nothing");
    assert_eq!(facts.set("one")["metadata"]["generation"], generation);
}

#[test]
fn fact_4_kubernetes_is_changed_before_the_stored_text() {
    let Some(facts) = Facts::new("fact_4_kubernetes_is_changed_before_the_stored_text") else { return };
    let (first, second) = (config("- {name: A, value: \"1\"}\n"), config("- {name: A, value: \"2\"}\n"));
    facts.create("one", json!({ "container_config": first }));
    facts.fault("PATCH", "statefulsets", Fault::CutAfter);
    assert!(!facts.patches("one", second.as_str()));
    assert_eq!(facts.text("one"), first);
    assert_eq!(facts.variable("one", "A"), Some(json!({ "name": "A", "value": "2" })));
}

#[test]
fn fact_8_a_create_that_fails_leaves_what_it_made() {
    let Some(facts) = Facts::new("fact_8_a_create_that_fails_leaves_what_it_made") else { return };
    let hook = facts.shared.mage.project().join("fact_8.sh");
    std::fs::write(&hook, "true\n").expect("a hook");
    let hooks = json!({ "lifecycle_config": { "post_start": { "hook_path": "fact_8.sh" } } });
    for (name, kind, left) in
        [("one", "statefulsets", &["hooks"][..]), ("two", "services", &["set", "hooks"])]
    {
        facts.refuse("POST", kind);
        assert_eq!(facts.try_create(name, hooks.clone())["error"]["code"], 400);
        assert_eq!(facts.left(name), left);
        assert_eq!(facts.detail(name)["error"]["type"], "record_not_found");
        facts.shared.decide(&facts.place, |_| Fault::Pass);
        let again = facts.try_create(name, hooks.clone());
        assert!(again["error"]["message"].as_str().expect("a message").contains("(409)"), "{again}");
        assert_eq!(facts.left(name), left, "a retry repairs nothing");
    }
    // The ingress is the last step, and the only one that is rolled back.
    let mut ingress = hooks;
    ingress["ingress_name"] = "missing".into();
    assert_eq!(facts.try_create("three", ingress)["error"]["code"], 400);
    assert_eq!(facts.left("three"), [""; 0]);
}

#[test]
fn fact_9_a_delete_that_fails_leaves_an_orphan() {
    let Some(facts) = Facts::new("fact_9_a_delete_that_fails_leaves_an_orphan") else { return };
    for (name, kind, left) in
        [("one", "statefulsets", &["set", "service"][..]), ("two", "services", &["service"])]
    {
        facts.create(name, json!({}));
        facts.refuse("DELETE", kind);
        let path = format!("/api/workspaces/{}", facts.name(name));
        assert_eq!(facts.mage("DELETE", &path, None)["error"]["code"], 400);
        facts.shared.decide(&facts.place, |_| Fault::Pass);
        assert_eq!(facts.left(name), left);
        assert_eq!(facts.mage("DELETE", &path, None)["error"]["code"], 404);
        let again = facts.try_create(name, json!({}));
        assert!(again["error"]["message"].as_str().expect("a message").contains("(409)"), "{again}");
    }
    assert_eq!(facts.left("two"), ["set", "service"], "and the create has left one more");

    // Mage's client repeats a delete whose answer is lost, and takes the 404 of the second one for a failure.
    facts.create("three", json!({}));
    let (path, cut) = (format!("/api/workspaces/{}", facts.name("three")), AtomicBool::new(false));
    facts.shared.decide(&facts.place, move |request| {
        let first = request.method == "DELETE" && !cut.swap(true, Ordering::SeqCst);
        if first { Fault::CutAfter } else { Fault::Pass }
    });
    assert_eq!(facts.mage("DELETE", &path, None)["error"]["code"], 400);
    let set = facts.path("apis/apps/v1", &format!("statefulsets/{}", facts.name("three")));
    let answers: Vec<_> = facts
        .shared
        .exchanges(&facts.place)
        .iter()
        .filter(|exchange| exchange.request.method == "DELETE" && exchange.request.path == set)
        .map(Exchange::status)
        .collect();
    assert_eq!(answers, [Some(200), Some(404)]);
    assert_eq!(facts.left("three"), ["service"]);
}

#[test]
fn fact_11_the_same_name_gets_the_old_data() {
    let Some(facts) = Facts::new("fact_11_the_same_name_gets_the_old_data") else { return };
    let claim = || {
        let path = format!("persistentvolumeclaims/mage-data-{}-0", facts.name("one"));
        facts.wait("the claim", || facts.object("api/v1", &path))["metadata"]["uid"].clone()
    };
    facts.create("one", json!({}));
    let (old, project) = (claim(), facts.detail("one")["workspace"]["project_uuid"].clone());
    facts.mage("DELETE", &format!("/api/workspaces/{}", facts.name("one")), None);
    facts.wait("the pod goes", || facts.pod("one").is_none().then_some(()));
    facts.create("one", json!({}));
    facts.wait("the pod comes", || facts.pod("one"));
    assert_eq!(claim(), old);
    assert_ne!(facts.detail("one")["workspace"]["project_uuid"], project);
}

#[test]
fn fact_12_lists_omit() {
    let Some(facts) = Facts::new("fact_12_lists_omit") else { return };
    for name in ["one", "two", "three"] {
        facts.create(name, json!({}));
    }
    let namespace = &facts.place.namespace;
    let other = facts.shared.place().namespace;
    let here = format!("?namespace[]={namespace}");
    let all = |names: Vec<String>| names.into_iter().collect::<std::collections::BTreeSet<_>>();
    let three = all(["one", "three", "two"].map(str::to_owned).to_vec());
    assert_eq!(facts.names(""), [""; 0], "the main server's own namespace");
    assert_eq!(all(facts.names(&here)), three);
    assert_eq!(all(facts.names("?namespace[]=__all__")), three);
    // Of several namespaces, the first.
    assert_eq!(all(facts.names(&format!("{here}&namespace[]={other}"))), three);
    assert_eq!(facts.names(&format!("?namespace[]={other}&namespace[]={namespace}")), [""; 0]);

    let service = facts.path("api/v1", &format!("services/{}-service", facts.name("two")));
    assert_eq!(facts.shared.kubernetes.send("DELETE", &service, None).status, 200);
    let file = facts.shared.mage.project().join(format!("projects/{}.yaml", facts.name("three")));
    std::fs::write(&file, "{").expect("a file");
    assert_eq!(facts.names(&here), ["one"]);
    let two = facts.detail("two");
    assert_eq!(
        (&two["workspace"]["name"], &two["workspace"]["instance"]),
        (&facts.name("two").into(), &Value::Null)
    );
    assert_eq!(facts.detail("three")["error"]["code"], 500);
    std::fs::remove_file(&file).expect("removed");
}

#[test]
fn fact_15_hooks() {
    let Some(facts) = Facts::new("fact_15_hooks") else { return };
    let project = facts.shared.mage.project();
    std::fs::write(project.join("fact_15.sh"), "true\n").expect("a hook");
    let hook = |path: &str| json!({ "lifecycle_config": { "post_start": { "hook_path": path } } });
    facts.create("one", hook("fact_15.sh"));
    let read = facts.detail("one")["workspace"]["lifecycle_config"]["post_start"]["hook_path"].clone();
    assert_eq!(read, project.join("fact_15.sh").display().to_string());
    for refused in [hook("missing.sh"), json!({ "lifecycle_config": { "unknown": 1 } })] {
        assert_eq!(facts.try_create("two", refused.clone())["error"]["code"], 400, "{refused}");
        assert_eq!((facts.left("two"), &facts.detail("two")["error"]["code"]), (vec![], &json!(404)));
    }
    // One level deeper nothing is refused, and what stands beside the unknown key is lost with it.
    let mut lost = hook("fact_15.sh");
    lost["lifecycle_config"]["post_start"]["unknown"] = 1.into();
    lost["lifecycle_config"]["termination_policy"] = json!({ "max_idle_seconds": 60, "unknown": 1 });
    facts.create("three", lost);
    let lifecycle = facts.detail("three")["workspace"]["lifecycle_config"].clone();
    assert_eq!((&lifecycle["post_start"], &lifecycle["termination_policy"]), (&Value::Null, &Value::Null));
    assert_eq!(facts.left("three"), ["set", "service"]);
}

#[test]
fn fact_18_a_comment_is_kept_and_changes_nothing() {
    let Some(facts) = Facts::new("fact_18_a_comment_is_kept_and_changes_nothing") else { return };
    let first = config("- {name: A, value: \"1\"}\n");
    // What a YAML library could change on the way: long lines, other characters, spaces and lines at the end, CRLF.
    let long = "x".repeat(4000);
    let texts = [
        format!("# magus: {{\"a\": \"{long} {long}\"}}\n{first}"),
        format!("# ä €\u{1f600} \\ \" ' : # \t end  \n\n{first}# the end, without a line's end"),
        format!("{first}\n\n\n# later\n\n"),
        format!("# one\r\n{}", first.replace('\n', "\r\n")),
        "# magus: {}\n{}\n".to_owned(),
    ];
    for (at, text) in texts.iter().enumerate() {
        let name = format!("c{at}");
        facts.create(&name, json!({ "container_config": text }));
        assert_eq!(facts.text(&name), *text, "after a create");
    }
    facts.create("one", json!({ "container_config": first }));
    for text in &texts {
        let before = facts.set("one");
        assert!(facts.patches("one", text.as_str()));
        let after = facts.set("one");
        assert_eq!(after["metadata"]["generation"], before["metadata"]["generation"]);
        assert_eq!(after["spec"], before["spec"]);
        for (action, replicas) in [("stop", 0), ("resume", 1)] {
            facts.put("one", &json!({ "action": action }));
            assert_eq!(facts.set("one")["spec"]["replicas"], replicas);
            assert_eq!(facts.text("one"), *text, "after {action}");
        }
        let list = facts.list(&format!("?namespace[]={}", facts.place.namespace));
        assert!(list.contains(&("one".to_owned(), text.as_str().into())), "{text:?}");
    }
}

#[test]
fn fact_19_only_a_directive_takes_away() {
    let Some(facts) = Facts::new("fact_19_only_a_directive_takes_away") else { return };
    let reference = "valueFrom: {secretKeyRef: {name: s, key: k}}";
    let text = format!(
        "resources: {{limits: {{cpu: \"1\", memory: 1Gi}}}}\n{}",
        config(&format!(
            "- {{name: A, value: \"1\"}}\n- {{name: B, value: \"1\"}}\n- {{name: C, {reference}}}\n"
        ))
    );
    facts.create("one", json!({ "container_config": text }));
    let count = facts.container("one")["env"].as_array().map(Vec::len);
    let directives = format!(
        "resources: {{limits: {{cpu: null}}}}\n{}",
        config(&format!(
            "- {{name: A, $patch: delete}}\n- {{name: B, value: null, {reference}}}\n- {{name: C, value: \"2\", valueFrom: null}}\n"
        ))
    );
    // The second time there is nothing left to take away, and that is no error.
    for _ in 0..2 {
        assert!(facts.patches("one", directives.as_str()));
        assert_eq!(facts.variable("one", "A"), None);
        let secret = json!({ "secretKeyRef": { "name": "s", "key": "k" } });
        assert_eq!(facts.variable("one", "B"), Some(json!({ "name": "B", "valueFrom": secret })));
        assert_eq!(facts.variable("one", "C"), Some(json!({ "name": "C", "value": "2" })));
        let container = facts.container("one");
        assert_eq!(
            container["env"].as_array().map(Vec::len),
            count.map(|count| count - 1),
            "Mage's own stay"
        );
        assert_eq!(container["resources"], json!({ "limits": { "memory": "1Gi" } }));
    }
    // The clean text after it restarts nothing more.
    let generation = facts.set("one")["metadata"]["generation"].clone();
    let clean = config(&format!("- {{name: B, {reference}}}\n- {{name: C, value: \"2\"}}\n"));
    assert!(facts.patches("one", clean));
    assert_eq!(facts.set("one")["metadata"]["generation"], generation);
}

#[test]
fn fact_20_a_status_is_the_phase_of_a_pod() {
    let Some(facts) = Facts::new("fact_20_a_status_is_the_phase_of_a_pod") else { return };
    let kubernetes = facts.shared.kubernetes;
    let status = || facts.detail("one")["workspace"]["instance"]["status"].clone();
    facts.create("one", json!({ "container_config": config("- {name: A, value: \"1\"}\n") }));
    facts.wait("it runs", || (status() == "RUNNING").then_some(()));
    kubernetes.rule(&facts.place.namespace, &facts.name("one"), "crash");
    facts.wait("it crashes", || {
        let waiting = facts.pod("one")?["status"]["containerStatuses"][0]["state"]["waiting"].clone();
        (waiting["reason"] == "CrashLoopBackOff").then_some(())
    });
    assert_eq!(status(), "RUNNING");
    // Its node does not answer: the old pod stays, and says what it said.
    kubernetes.rule(&facts.place.namespace, &facts.name("one"), "lost");
    let uid = facts.pod("one").expect("a pod")["metadata"]["uid"].clone();
    assert!(facts.patches("one", config("- {name: A, value: \"2\"}\n")));
    facts.wait("the controller has seen the patch", || {
        let set = facts.set("one");
        (set["status"]["observedGeneration"] == set["metadata"]["generation"]).then_some(())
    });
    assert_eq!(facts.pod("one").expect("the old pod")["metadata"]["uid"], uid);
    assert_eq!(status(), "RUNNING");
}

#[test]
fn fact_21_a_good_patch_does_not_free_a_stuck_pod() {
    let Some(facts) = Facts::new("fact_21_a_good_patch_does_not_free_a_stuck_pod") else { return };
    let kubernetes = facts.shared.kubernetes;
    kubernetes.rule_for_image(&facts.place.namespace, "broken", "pull");
    let image = |image: &str| format!("image: mage:{image}\n");
    let is = |wanted: &str| {
        let pod = facts.pod("one")?;
        let ready = pod["status"]["containerStatuses"][0]["ready"] == true;
        let found = pod["spec"]["containers"][0]["image"] == format!("mage:{wanted}");
        (found && ready == (wanted != "broken")).then_some(pod["metadata"]["uid"].clone())
    };
    facts.create("one", json!({ "container_config": image("broken") }));
    let stuck = facts.wait("it is stuck", || is("broken"));
    assert!(facts.patches("one", image("good")));
    facts.wait("the controller has seen the patch", || {
        let set = facts.set("one");
        (set["status"]["observedGeneration"] == set["metadata"]["generation"]).then_some(())
    });
    assert_eq!(is("broken"), Some(stuck));
    let pod = facts.path("api/v1", &format!("pods/{}-0", facts.name("one")));
    assert_eq!(kubernetes.send("DELETE", &pod, None).status, 200);
    facts.wait("it recovers", || is("good"));
}
