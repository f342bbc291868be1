//! With `kubernetes:` what runs is seen: edits behind Mage's back, what a patch left behind, rollouts, and orphans.

use magus_tests::proxy::{Fault, Proxy};
use serde_json::{Value, json};

use super::{Bed, INGRESS, leads};

impl Bed {
    /// A bed whose declarations name the Kubernetes cluster too. The answer has what lies between Magus and that.
    pub(super) fn with_kubernetes(test: &str) -> Option<(Self, Proxy)> {
        let mut bed = Self::new(test)?;
        let proxy = Proxy::start(bed.shared.kubernetes.http_url());
        let kubeconfig = magus_tests::mage::kubeconfig_for(&proxy.url());
        bed.sandbox.write("kube config", kubeconfig);
        bed.sandbox.set("KUBECONFIG", bed.sandbox.file("kube config").to_str().expect("a path"));
        bed.sandbox.replace(
            "environments/cluster.yaml",
            &format!("namespace: {}", bed.place.namespace),
            &format!("namespace: {}, kubernetes: {{context: magus-test}}", bed.place.namespace),
        );
        Some((bed, proxy))
    }

    /// Changes the container in the StatefulSet as a person with `kubectl edit` does.
    pub(super) fn kubectl_edit(&self, name: &str, change: impl Fn(&mut Value)) {
        let mut container = self.container(name);
        change(&mut container);
        let patch = json!({ "spec": { "template": { "spec": { "containers": [container] } } } });
        let answer = self.shared.kubernetes.patch(&self.set_path(name), &patch);
        assert_eq!(answer.status, 200, "{}", answer.json);
    }

    /// Each field of the only step: path, before, after and reason.
    pub(super) fn fields(&self) -> Vec<String> {
        let plan = self.sandbox.plan(&[]);
        let steps = plan["steps"].as_array().expect("steps");
        assert_eq!(steps.len(), 1, "{plan:#}");
        let fields = steps[0]["fields"].as_array().expect("fields").iter();
        fields
            .map(|field| {
                let text = |key: &str| field[key].to_string().replace('"', "");
                format!("{}: {} -> {} {}", text("path"), text("before"), text("after"), text("reason"))
            })
            .collect()
    }

    pub(super) fn pod_uid(&self, name: &str) -> Value {
        let pod = format!("/api/v1/namespaces/{}/pods/{}-0", self.place.namespace, self.name(name));
        self.shared.kubernetes.send("GET", &pod, None).json["metadata"]["uid"].clone()
    }
}

#[test]
fn what_runs_is_compared_and_a_rollout_is_seen() {
    let Some((bed, kubernetes)) = Bed::with_kubernetes("what_runs_is_compared_and_a_rollout_is_seen") else {
        return;
    };
    bed.declare(
        "development",
        "one",
        "env:\n  A: \"1\"\n  KEY: {valueFrom: {secretKeyRef: {name: keys, key: k}}}\n\
         container_config:\n  resources: {limits: {cpu: \"1\", memory: 1024Mi}}\n  imagePullPolicy: IfNotPresent\n\
         lifecycle_config:\n  post_start: {command: [echo, started]}\n",
    );
    bed.apply_seen();
    kubernetes.clear();
    let run = bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    assert!(!run.stdout.contains("Not verified"), "{}", run.stdout);
    let asked: Vec<_> = kubernetes.exchanges().iter().map(|one| one.request.path.clone()).collect();
    let namespace = &bed.place.namespace;
    assert_eq!(
        asked,
        [
            format!("/apis/apps/v1/namespaces/{namespace}/statefulsets"),
            format!("/api/v1/namespaces/{namespace}/services"),
            format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims"),
        ],
        "three lists, and nothing for each workspace"
    );

    // Behind Mage's back, which goes on to show what it has stored.
    bed.kubectl_edit("one-development", |container| {
        container["image"] = "mageai/mageai:0.9.70".into();
        container["resources"]["limits"]["cpu"] = "2".into();
        let env = container["env"].as_array_mut().expect("variables");
        env.retain(|one| one["name"] != "KEY");
        env.push(json!({ "name": "HOTFIX", "value": "1" }));
    });
    assert_eq!(
        bed.fields(),
        [
            "container_config.image: mageai/mageai:0.9.70 -> mageai/mageai:0.9.80 drift",
            "container_config.resources.limits.cpu: 2 -> 1 drift",
            "env.HOTFIX: 1 -> null drift",
            "env.KEY: null -> {valueFrom:{secretKeyRef:{key:k,name:keys}}} drift",
        ]
    );
    bed.sandbox.expect(2, &["drift"]);
    let before = bed.pod_uid("one-development");
    // Seen to have come up, and not only stored: no more "its rollout was not observed".
    let run = bed.apply_seen();
    assert!(run.all().contains("Applied 1 step."), "{}", run.all());
    assert_ne!(bed.pod_uid("one-development"), before);
    let env = bed.env("one-development");
    assert!(
        !env.contains_key("HOTFIX") && env.contains_key("KEY") && env.contains_key("USER_CODE_PATH"),
        "{env:?}"
    );
    assert_eq!(bed.container("one-development")["image"], "mageai/mageai:0.9.80");
    assert_eq!(
        bed.container("one-development")["lifecycle"]["postStart"]["exec"]["command"],
        json!(["echo", "started"]),
        "mage's own stays"
    );
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);

    // What Mage's own page leaves behind (MAGE.md 4.1): it shows A no more, and A still runs.
    bed.edit("one-development", |text| text.replace("- name: A\n  value: \"1\"\n", ""));
    bed.sandbox.replace("environments/development/one.yaml", "  A: \"1\"\n", "");
    assert!(bed.fields().contains(&"env.A: 1 -> null declared".to_owned()), "{:?}", bed.fields());

    // Stopped by hand.
    let answer =
        bed.shared.kubernetes.patch(&bed.set_path("one-development"), &json!({ "spec": { "replicas": 0 } }));
    assert_eq!(answer.status, 200);
    assert_eq!(bed.steps(), ["update one-development", "start one-development"]);
    bed.apply_seen();
    assert!(!bed.env("one-development").contains_key("A"));
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    let run = bed.sandbox.expect(0, &["status", "-v"]);
    assert!(run.stdout.contains("kubernetes: v1."), "{}", run.stdout);
}

#[test]
fn what_runs_is_imported_and_adopted_without_a_restart() {
    let Some((bed, _kubernetes)) =
        Bed::with_kubernetes("what_runs_is_imported_and_adopted_without_a_restart")
    else {
        return;
    };
    let text = "# ours\nimage: mageai/mageai:0.9.80\nenv:\n- name: A\n  value: '1'\n";
    let names = ["plain-development", "as-stored-development", "edited-development"];
    bed.create(names[0], json!({}));
    bed.create(names[1], json!({ "container_config": text }));
    bed.create(names[2], json!({ "container_config": text }));
    bed.kubectl_edit(names[2], |container| {
        container["image"] = "mageai/mageai:0.9.79".into();
        container["env"].as_array_mut().expect("variables").push(json!({ "name": "HOTFIX", "value": "1" }));
    });
    // As people help themselves with open-source Mage.
    let pod = json!({ "nodeSelector": { "kubernetes.io/os": "linux" } });
    let patch = json!({ "spec": { "template": { "spec": pod } } });
    assert_eq!(bed.shared.kubernetes.patch(&bed.set_path(names[0]), &patch).status, 200);
    let generations = || names.map(|name| bed.generation(name));
    let before = generations();
    bed.sandbox.expect(0, &["import", "-e", "development"]);
    assert_eq!(bed.steps().iter().filter(|step| step.starts_with("adopt")).count(), 3, "{:?}", bed.steps());
    bed.apply(0, &[]);
    assert_eq!(generations(), before, "no pod restarts");
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    // What people wrote stays where it is what runs, and is what runs where it was not.
    let stored = |name: &str| bed.detail(name)["container_config"].as_str().expect("a text").to_owned();
    assert!(stored(names[1]).ends_with(text), "{}", stored(names[1]));
    assert!(stored(names[0]).contains("nodeSelector"), "{}", stored(names[0]));
    assert!(
        stored(names[2]).contains("0.9.79") && stored(names[2]).contains("HOTFIX"),
        "{}",
        stored(names[2])
    );
}

#[test]
fn a_pod_that_is_stuck_is_replaced_and_one_that_does_not_come_up_is_told() {
    let test = "a_pod_that_is_stuck_is_replaced_and_one_that_does_not_come_up_is_told";
    let Some((bed, _kubernetes)) = Bed::with_kubernetes(test) else { return };
    bed.declare("development", "one", "env: {A: \"1\"}\n");
    bed.apply_seen();
    bed.shared.kubernetes.rule_for_image(&bed.place.namespace, "broken", "pull");
    bed.declare(
        "development",
        "one",
        "env: {A: \"1\"}\ncontainer_config: {image: \"mageai/mageai:broken\"}\n",
    );
    let run = bed.sandbox.expect(3, &["apply", "--yes", "--timeout", "5"]);
    assert!(
        run.all().contains("was not seen to be running: pod") && run.all().contains("ImagePullBackOff"),
        "{}",
        run.all()
    );
    // A good template alone does not free it (MAGE.md 4.21).
    bed.declare("development", "one", "env: {A: \"1\"}\n");
    let plan = bed.sandbox.magus(&["plan"]).stdout;
    assert!(plan.contains("its pod has failed, and is stopped and started"), "{plan}");
    bed.apply_seen();
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn a_volume_grows_in_place_and_never_shrinks() {
    let Some((bed, _kubernetes)) = Bed::with_kubernetes("a_volume_grows_in_place_and_never_shrinks") else {
        return;
    };
    bed.declare("development", "one", "storage_request_size: 3Gi\n");
    bed.apply_seen();
    let generation = bed.generation("one-development");
    bed.declare("development", "one", "storage_request_size: 5Gi\n");
    assert_eq!(bed.fields(), ["storage_request_size: 3 -> 5Gi declared"]);
    let run = bed.sandbox.magus(&["plan"]);
    assert!(!run.stdout.contains("Restarts"), "{}", run.stdout);
    bed.apply_seen();
    let claim = format!(
        "/api/v1/namespaces/{}/persistentvolumeclaims/mage-data-{}-0",
        bed.place.namespace,
        bed.name("one-development")
    );
    let claim = bed.shared.kubernetes.send("GET", &claim, None).json;
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "5Gi");
    assert_eq!(bed.generation("one-development"), generation, "nothing restarted");
    // Mage goes on to show 3: the size of the claim counts from now on.
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    bed.declare("development", "one", "storage_request_size: 4Gi\n");
    let plan = bed.sandbox.plan(&[]);
    assert_eq!((&plan["steps"], &plan["withheld"][0]["action"]), (&json!([]), &json!("replace")));
}

#[test]
fn a_path_that_an_ingress_lost_comes_back_once() {
    let Some((bed, kubernetes)) = Bed::with_kubernetes("a_path_that_an_ingress_lost_comes_back_once") else {
        return;
    };
    bed.make_ingress();
    let path = bed.ingress_path();
    let services = || -> Vec<String> {
        let ingress = bed.shared.kubernetes.send("GET", &path, None).json;
        let paths = ingress["spec"]["rules"][0]["http"]["paths"].as_array().expect("paths").clone();
        let name = |path: &Value| path["backend"]["service"]["name"].as_str().expect("a name").to_owned();
        paths.iter().map(name).collect()
    };
    let service = format!("{}-service", bed.name("one-development"));
    bed.declare("development", "one", &format!("ingress_name: {INGRESS}\n"));
    bed.apply_seen();
    assert_eq!(services(), [service.as_str(), "main"]);
    let generation = bed.generation("one-development");

    // Somebody writes the Ingress anew.
    let answer = bed.shared.kubernetes.patch(&path, &json!({ "spec": leads("/main", "main") }));
    assert_eq!(answer.status, 200, "{}", answer.json);
    kubernetes.clear();
    assert_eq!(bed.fields(), [format!("ingress_name: null -> {INGRESS} drift")]);
    assert_eq!(kubernetes.exchanges().len(), 4, "the lists, and the one Ingress");
    bed.sandbox.expect(2, &["drift"]);
    bed.apply_seen();
    assert_eq!(services(), [service.as_str(), "main"]);
    assert_eq!(bed.generation("one-development"), generation, "nothing restarted");
    kubernetes.clear();
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    assert_eq!(kubernetes.exchanges().len(), 3, "who has an address is not asked for its Ingress");

    // Another Ingress would take a creation, whether the path is lost or not.
    bed.shared.kubernetes.patch(&path, &json!({ "spec": leads("/main", "main") }));
    bed.declare("development", "one", "ingress_name: other\n");
    let plan = bed.sandbox.plan(&[]);
    assert_eq!((&plan["steps"], &plan["withheld"][0]["action"]), (&json!([]), &json!("replace")));
}

#[test]
fn a_variable_that_stands_twice_is_changed_where_it_counts() {
    let Some((bed, _kubernetes)) =
        Bed::with_kubernetes("a_variable_that_stands_twice_is_changed_where_it_counts")
    else {
        return;
    };
    // Mage's own comes first, and the one of the workspace after it (MAGE.md 4.7).
    bed.declare("development", "one", "env: {USER_CODE_PATH: mine}\n");
    bed.apply_seen();
    let count = |bed: &Bed| {
        let container = bed.container("one-development");
        let env = container["env"].as_array().expect("variables").clone();
        env.iter().filter(|one| one["name"] == "USER_CODE_PATH").count()
    };
    assert_eq!(count(&bed), 2);
    bed.declare("development", "one", "env: {USER_CODE_PATH: other}\n");
    bed.apply_seen();
    assert_eq!((count(&bed), &bed.env("one-development")["USER_CODE_PATH"]["value"]), (1, &json!("other")));
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn what_kubernetes_has_and_mage_does_not_is_named_and_never_run_over() {
    let test = "what_kubernetes_has_and_mage_does_not_is_named_and_never_run_over";
    let Some((bed, kubernetes)) = Bed::with_kubernetes(test) else { return };
    bed.declare("development", "one", "{}\n");
    bed.declare("development", "two", "{}\n");
    bed.apply_seen();
    // Kubernetes refuses to delete, and Mage forgets all the same (MAGE.md 4.9).
    bed.shared.decide(&bed.place, |request| match request.method.as_str() {
        "DELETE" => Fault::Status(500, "{}".into()),
        _ => Fault::Pass,
    });
    bed.sandbox.remove("environments/development/one.yaml");
    let run = bed.apply(3, &[]);
    assert!(run.all().contains("may still run"), "{}", run.all());
    bed.shared.decide(&bed.place, |_| Fault::Pass);
    let left = bed.name("one-development");
    let run = bed.sandbox.expect(0, &["status"]);
    assert!(
        run.stdout.contains(&format!("{left} was left in the namespace {}", bed.place.namespace)),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("1 left behind"), "{}", run.stdout);
    assert_eq!(bed.sandbox.plan(&[])["orphans"][0]["workspace"], left.as_str());
    // Declared again, it is neither absent nor ours: nobody makes a second one.
    bed.declare("development", "one", "{}\n");
    let run = bed.sandbox.expect(5, &["plan"]);
    assert!(run.stdout.contains("mage does not know it, and kubernetes has a StatefulSet"), "{}", run.stdout);
    // Only what was asked for, and only what is still what the plan saw.
    let run = bed.sandbox.expect(4, &["plan", "--orphans"]);
    let flags = format!("--discard-changes {left} --reason 'WHY'");
    assert!(run.stdout.contains(&format!("magus plan --orphans {flags}")), "{}", run.stdout);
    let given = ["--discard-changes", &left, "--reason", "it never came up"];
    let run = bed.sandbox.expect(2, &[&["plan", "--orphans", "--detailed-exitcode"][..], &given].concat());
    let next = format!("Next: magus apply --orphans --discard-changes {left} --reason 'it never came up'\n");
    assert!(run.stdout.ends_with(&next), "{}", run.stdout);
    let run = bed.apply(0, &[&["--orphans", "-w", &left][..], &given].concat());
    assert!(run.all().contains("Applied 1 step."), "{}", run.all());
    for (group, kind, suffix) in [("apis/apps/v1", "statefulsets", ""), ("api/v1", "services", "-service")] {
        let path = format!("/{group}/namespaces/{}/{kind}/{left}{suffix}", bed.place.namespace);
        bed.shared
            .kubernetes
            .wait("it goes", || (bed.shared.kubernetes.send("GET", &path, None).status == 404).then_some(()));
    }
    for run in [bed.apply(0, &["--orphans"]), bed.sandbox.expect(0, &["plan", "--orphans"])] {
        assert_eq!(run.stdout.trim(), "Nothing to remove: nothing that is selected was left behind.");
    }
    bed.apply_seen();

    // Without Kubernetes nothing is known, and nothing is done.
    for (body, says) in [
        (r#"{"kind":"Status","status":"Failure","reason":"ServiceUnavailable","code":503}"#, "answered 503"),
        ("{}", "not understood"),
    ] {
        kubernetes.decide(move |_| Fault::Status(503, body.into()));
        let run = bed.sandbox.expect(5, &["plan"]);
        assert!(run.stderr.contains(says), "{}", run.all());
    }
}

#[test]
fn where_a_pod_may_run_is_set_on_open_source_too() {
    let Some((bed, kubernetes)) = Bed::with_kubernetes("where_a_pod_may_run_is_set_on_open_source_too")
    else {
        return;
    };
    let pod = |bed: &Bed| {
        let set = bed.set("one-development").expect("a StatefulSet");
        let spec = &set["spec"]["template"]["spec"];
        (spec["nodeSelector"].clone(), spec["tolerations"].clone())
    };
    let declare = |scheduling: &str| {
        bed.declare(
            "development",
            "one",
            &format!("env: {{A: \"1\"}}\ncontainer_config:\n{scheduling}  tty: true\n"),
        );
    };
    const OS: &str = "\"kubernetes.io/os\": linux";
    const HOST: &str = "\"kubernetes.io/hostname\": magus-node";
    let toleration = |key: &str| json!([{ "key": key, "operator": "Exists" }]);
    declare(&format!("  nodeSelector: {{{OS}, {HOST}}}\n  tolerations: [{{key: gpu, operator: Exists}}]\n"));
    bed.apply_seen();
    let both = json!({ "kubernetes.io/os": "linux", "kubernetes.io/hostname": "magus-node" });
    assert_eq!(pod(&bed), (both, toleration("gpu")));
    assert!(
        bed.container("one-development").get("nodeSelector").is_none(),
        "nothing of it is in the container"
    );
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);

    // One value changes and one goes, and nothing else does.
    declare(&format!("  nodeSelector: {{{OS}}}\n  tolerations: [{{key: other, operator: Exists}}]\n"));
    let paths = |bed: &Bed| -> Vec<String> {
        bed.fields().iter().filter_map(|field| Some(field.split_once(": ")?.0.replace('\\', ""))).collect()
    };
    let both = ["container_config.nodeSelector[kubernetes.io/hostname]", "container_config.tolerations"];
    assert_eq!(paths(&bed), both);
    let before = bed.pod_uid("one-development");
    bed.apply_seen();
    let linux = json!({ "kubernetes.io/os": "linux" });
    assert_eq!(pod(&bed), (linux.clone(), toleration("other")));
    assert_ne!(bed.pod_uid("one-development"), before);
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);

    // By somebody with `kubectl edit`, and then the variable of the declaration too.
    let selector = json!({ "kubernetes.io/hostname": "magus-node" });
    let edit = json!({ "spec": { "template": { "spec": { "nodeSelector": selector, "tolerations": [] } } } });
    assert_eq!(bed.shared.kubernetes.patch(&bed.set_path("one-development"), &edit).status, 200);
    assert_eq!(paths(&bed), both);
    bed.sandbox.expect(2, &["drift"]);
    bed.sandbox.replace("environments/development/one.yaml", "A: \"1\"", "A: \"2\"");
    // A login that may not do it leaves all as it was.
    kubernetes.decide(|request| match request.method.as_str() {
        "PATCH" => Fault::Status(
            403,
            r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}"#
                .into(),
        ),
        _ => Fault::Pass,
    });
    let run = bed.apply(3, &[]);
    assert!(run.all().contains("kubernetes does not allow it"), "{}", run.all());
    assert_eq!(bed.env("one-development")["A"]["value"], "1");
    kubernetes.decide(|_| Fault::Pass);
    bed.apply_seen();
    assert_eq!(pod(&bed), (linux, toleration("other")));
    assert_eq!(bed.env("one-development")["A"]["value"], "2");

    // All of it goes; what is left is as Mage makes it.
    declare("");
    bed.apply_seen();
    assert_eq!(pod(&bed), (Value::Null, Value::Null));
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn a_kubeconfig_that_does_not_fit_is_told() {
    let Some((mut bed, _kubernetes)) = Bed::with_kubernetes("a_kubeconfig_that_does_not_fit_is_told") else {
        return;
    };
    bed.declare("development", "one", "{}\n");
    bed.sandbox.replace("environments/cluster.yaml", "context: magus-test", "context: magus-tset");
    let run = bed.sandbox.expect(5, &["plan"]);
    assert!(run.stderr.contains("did you mean `magus-test`?"), "{}", run.stderr);
    bed.sandbox.set("KUBECONFIG", "/nowhere");
    let run = bed.sandbox.expect(5, &["plan"]);
    assert!(run.stderr.contains("there is no kubeconfig at `/nowhere`"), "{}", run.stderr);
}

impl Bed {
    /// Applies and waits for what it takes to be seen.
    #[track_caller]
    pub(super) fn apply_seen(&self) -> magus_tests::Run {
        self.sandbox.expect(0, &["apply", "--yes", "--timeout", "90"])
    }
}

#[test]
fn a_wrong_order_of_variables_is_drift_where_it_matters() {
    let Some((bed, _kubernetes)) =
        Bed::with_kubernetes("a_wrong_order_of_variables_is_drift_where_it_matters")
    else {
        return;
    };
    let text = "env:\n  A_URL: x://$(DB_USER)@db\n  DB_USER: ana\n  OTHER: \"1\"\n  WHOLE: \"<$(A_URL)>\"\n";
    bed.declare("development", "one", text);
    bed.apply_seen();
    let names = |bed: &Bed| -> Vec<String> {
        let env = bed.container("one-development")["env"].as_array().expect("variables").clone();
        env.iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
    };
    let reorder = |first: &'static str| {
        bed.kubectl_edit("one-development", move |container| {
            let env = container["env"].as_array_mut().expect("variables");
            let at = env.iter().position(|one| one["name"] == first).expect("a variable");
            let moved = env.remove(at);
            env.insert(0, moved);
        });
        assert_eq!(names(&bed)[0], first);
    };
    reorder("OTHER");
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    reorder("A_URL");
    assert_eq!(bed.fields(), ["env.A_URL: x://$$(DB_USER)@db -> x://$(DB_USER)@db drift"]);
    bed.sandbox.expect(2, &["drift"]);
    bed.apply_seen();
    let order = names(&bed);
    let place = |name: &str| order.iter().position(|one| one == name);
    assert!(place("DB_USER") < place("A_URL") && place("A_URL") < place("WHOLE"), "{order:?}");
    assert_eq!(bed.env("one-development")["A_URL"]["value"], "x://$(DB_USER)@db");
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    bed.sandbox.expect(0, &["drift"]);
}
