//! What lint says of a `container_config`, held against what a real kube-apiserver says of its StatefulSet.

use magus_tests::{Sandbox, mage::shared_kubernetes};
use serde_json::{Value, json};

/// Each `container_config`, and whether Kubernetes accepts it.
fn configs() -> Vec<(bool, Value)> {
    let limits = |limits: Value| json!({"resources": {"limits": limits}});
    let both =
        |requests: Value, limits: Value| json!({"resources": {"requests": requests, "limits": limits}});
    let live = |probe: Value| json!({"livenessProbe": probe});
    let ready = |probe: Value| json!({"readinessProbe": probe});
    let get = |port: Value| json!({"httpGet": {"path": "/", "port": port}});
    let with = |mut probe: Value, key: &str, value: Value| {
        probe[key] = value;
        probe
    };
    let hook = |hook: Value| json!({"lifecycle": {"postStart": hook}});
    let env = |name: &str| json!({"env": [{"name": name, "value": "x"}]});
    vec![
        (true, json!({})),
        (true, limits(json!({"cpu": "500m", "memory": "1Gi"}))),
        (true, limits(json!({"cpu": "0.1", "ephemeral-storage": "1G"}))),
        (true, limits(json!({"memory": "512m"}))),
        (true, limits(json!({"memory": "1.5Gi"}))),
        (true, both(json!({"cpu": "1"}), json!({"cpu": "2"}))),
        (false, both(json!({"cpu": "2"}), json!({"cpu": "1"}))),
        (true, both(json!({"cpu": "1"}), json!({}))),
        (false, limits(json!({"cpu": "-1"}))),
        (false, limits(json!({"memory": "4GB"}))),
        (false, limits(json!({"gpu": "1"}))),
        (false, limits(json!({"storage": "1Gi"}))),
        (false, limits(json!({"CPU": "1"}))),
        (true, limits(json!({"nvidia.com/gpu": "1"}))),
        (true, both(json!({"nvidia.com/gpu": "1"}), json!({"nvidia.com/gpu": "1"}))),
        (false, both(json!({"nvidia.com/gpu": "1"}), json!({"nvidia.com/gpu": "2"}))),
        (false, both(json!({"nvidia.com/gpu": "2"}), json!({"nvidia.com/gpu": "1"}))),
        (false, both(json!({"nvidia.com/gpu": "1"}), json!({}))),
        (false, limits(json!({"nvidia.com/gpu": "0.5"}))),
        (false, limits(json!({"nvidia.com/gpu": "500m"}))),
        (true, limits(json!({"nvidia.com/gpu": "2k"}))),
        (true, limits(json!({"hugepages-2Mi": "4Mi", "memory": "1Gi"}))),
        (true, both(json!({"hugepages-2Mi": "4Mi", "cpu": "1"}), json!({"hugepages-2Mi": "4Mi"}))),
        (false, limits(json!({"hugepages-2Mi": "4Mi"}))),
        (false, limits(json!({"hugepages-2Mi": "3Mi", "memory": "1Gi"}))),
        (false, limits(json!({"hugepages-two": "4Mi", "memory": "1Gi"}))),
        (false, both(json!({"hugepages-2Mi": "2Mi", "memory": "1Gi"}), json!({"hugepages-2Mi": "4Mi"}))),
        (false, both(json!({"hugepages-2Mi": "2Mi", "memory": "1Gi"}), json!({}))),
        (true, live(get(json!(6789)))),
        (true, live(get(json!("http")))),
        (false, live(get(json!("6789")))),
        (false, live(get(json!("a-name-that-is-too-long")))),
        (false, live(get(json!("HTTP")))),
        (false, live(get(json!("a--b")))),
        (false, live(get(json!(0)))),
        (false, live(get(json!(70000)))),
        (false, live(json!({"httpGet": {"path": "/"}}))),
        (true, live(json!({"tcpSocket": {"port": 6789}}))),
        (false, live(json!({"tcpSocket": {"port": "6789"}}))),
        (true, live(json!({"grpc": {"port": 6789}}))),
        (true, live(json!({"exec": {"command": ["true"]}}))),
        (false, live(json!({"exec": {"command": []}}))),
        (false, live(json!({"periodSeconds": 10}))),
        (false, live(with(get(json!(80)), "exec", json!({"command": ["true"]})))),
        (false, live(with(get(json!(80)), "tcpSocket", json!({"port": 80})))),
        (false, live(with(get(json!(80)), "successThreshold", json!(2)))),
        (true, live(with(get(json!(80)), "successThreshold", json!(1)))),
        (true, ready(with(get(json!(80)), "successThreshold", json!(2)))),
        (false, ready(with(get(json!(80)), "terminationGracePeriodSeconds", json!(5)))),
        (true, live(with(get(json!(80)), "terminationGracePeriodSeconds", json!(5)))),
        (false, live(with(get(json!(80)), "periodSeconds", json!(-1)))),
        (false, json!({"startupProbe": with(get(json!(80)), "successThreshold", json!(3))})),
        (true, hook(json!({"exec": {"command": ["true"]}}))),
        (true, hook(json!({"sleep": {"seconds": 1}}))),
        (false, hook(json!({"exec": {"command": ["true"]}, "sleep": {"seconds": 1}}))),
        (false, hook(json!({"httpGet": {"path": "/", "port": "80"}}))),
        (true, env("A")),
        (true, env("a.b-c")),
        (false, env("A=B")),
        (false, json!({"imagePullPolicy": "Sometimes"})),
        (false, json!({"terminationMessagePolicy": "Never"})),
        (
            false,
            json!({"env": [{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}),
        ),
        (true, json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]})),
        (true, json!({"envFrom": [{"configMapRef": {"name": "c"}}]})),
        (true, json!({"command": ["a"], "args": ["b"], "workingDir": "/x", "stdin": true, "tty": true})),
        (true, json!({"securityContext": {"runAsUser": 1000, "allowPrivilegeEscalation": false}})),
    ]
}

fn stateful_set(name: &str, config: &Value) -> Value {
    let mut container = config.clone();
    container["name"] = name.into();
    if container.get("image").is_none() {
        container["image"] = "mageai/mageai:0.9.80".into();
    }
    let labels = json!({"app": name});
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "serviceName": name,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    })
}

#[test]
fn lint_and_a_real_apiserver_agree_about_containers() {
    let kubernetes = match shared_kubernetes() {
        Ok(kubernetes) => kubernetes,
        Err(missing) => return missing.skip("lint_and_a_real_apiserver_agree_about_containers"),
    };
    let configs = configs();
    assert!(configs.len() >= 60, "{}", configs.len());
    let sandbox = Sandbox::with(&[
        ("environments/cluster.yaml", "name: acme\nengine: {local: {path: ../store}}\n"),
        ("environments/development/environment.yaml", "{}\n"),
    ]);
    for (number, (_, config)) in configs.iter().enumerate() {
        let mut config = config.clone();
        config["image"] = "mageai/mageai:0.9.80".into();
        sandbox.write(
            &format!("environments/development/w{number}.yaml"),
            json!({"container_config": config}).to_string() + "\n",
        );
    }
    let run = sandbox.magus(&["lint", "--format", "json"]);
    let lint: Value =
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.all()));
    let found = lint["diagnostics"].as_array().expect("findings");
    let namespace = kubernetes.namespace();
    let mut wrong = Vec::new();
    for (number, (accepted, config)) in configs.iter().enumerate() {
        let name = format!("w{number}");
        let path = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets?dryRun=All");
        let answer = kubernetes.send("POST", &path, Some(&stateful_set(&name, config)));
        let by_kubernetes = answer.status == 201;
        let own = found.iter().filter(|found| {
            found["severity"] == "error"
                && found["file"].as_str().is_some_and(|file| file.ends_with(&format!("/{name}.yaml")))
        });
        let errors: Vec<String> =
            own.map(|found| format!("{} {}", found["code"], found["message"])).collect();
        if by_kubernetes != *accepted || errors.is_empty() != by_kubernetes {
            wrong.push(format!(
                "{config}\n  expected {accepted}, kubernetes {} {}, lint {errors:?}",
                answer.status, answer.json["message"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
