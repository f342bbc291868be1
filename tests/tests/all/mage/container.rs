//! Every field of a container is set, changed and removed, and then the StatefulSet is exactly as declared: as one that is made
//! anew with the same declaration.

use serde_json::{Value, json};

use super::Bed;

/// What `container_config` holds, step by step. Each line changes something in another way than the one before it.
const STEPS: &[(&str, &str)] = &[
    (
        "everything is set",
        r#"{
            "args": ["a", "b"], "command": ["c"],
            "envFrom": [{"prefix": "P_", "configMapRef": {"name": "m"}}, {"secretRef": {"name": "s", "optional": true}}],
            "imagePullPolicy": "Never",
            "lifecycle": {"preStop": {"exec": {"command": ["x"]}}, "postStart": {"httpGet": {"port": 81, "path": "/p"}}},
            "livenessProbe": {"httpGet": {"port": 80, "path": "/l", "httpHeaders": [{"name": "h", "value": "v"}]}, "periodSeconds": 7},
            "readinessProbe": {"exec": {"command": ["r"]}, "failureThreshold": 9},
            "startupProbe": {"tcpSocket": {"port": 82}, "initialDelaySeconds": 3},
            "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"}],
            "resources": {"limits": {"cpu": "2", "memory": "2Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}},
            "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
                "readOnlyRootFilesystem": true, "runAsGroup": 1, "runAsNonRoot": true, "runAsUser": 2,
                "seLinuxOptions": {"level": "s0:c1", "type": "t"}, "seccompProfile": {"type": "Localhost", "localhostProfile": "p"},
                "appArmorProfile": {"type": "RuntimeDefault"}
            },
            "stdin": true, "stdinOnce": true, "tty": true, "workingDir": "/w",
            "terminationMessagePath": "/t", "terminationMessagePolicy": "FallbackToLogsOnError"
        }"#,
    ),
    (
        "everything changes, and handlers give way to others",
        r#"{
            "args": ["a"], "command": ["d", "e"],
            "envFrom": [{"secretRef": {"name": "s"}}],
            "imagePullPolicy": "Always",
            "lifecycle": {"preStop": {"httpGet": {"port": 83}}, "postStart": {"exec": {"command": ["y"]}}},
            "livenessProbe": {"tcpSocket": {"port": 84}, "periodSeconds": 8},
            "readinessProbe": {"grpc": {"port": 85}, "failureThreshold": 8},
            "startupProbe": {"httpGet": {"port": 86, "scheme": "HTTPS"}, "initialDelaySeconds": 4},
            "resizePolicy": [{"resourceName": "memory", "restartPolicy": "RestartContainer"}],
            "resources": {"limits": {"cpu": "3", "memory": "3Gi"}, "requests": {"cpu": "2", "memory": "2Gi"}},
            "securityContext": {
                "allowPrivilegeEscalation": true, "capabilities": {"add": ["SYS_TIME"]},
                "readOnlyRootFilesystem": false, "runAsGroup": 3, "runAsNonRoot": false, "runAsUser": 4,
                "seLinuxOptions": {"level": "s0:c2"}, "seccompProfile": {"type": "RuntimeDefault"},
                "appArmorProfile": {"type": "Localhost", "localhostProfile": "q"}
            },
            "stdin": false, "stdinOnce": false, "tty": false, "workingDir": "/v",
            "terminationMessagePath": "/u", "terminationMessagePolicy": "File"
        }"#,
    ),
    (
        "one part of each object is removed",
        r#"{
            "lifecycle": {"postStart": {"exec": {"command": ["y"]}}},
            "livenessProbe": {"tcpSocket": {"port": 84}},
            "startupProbe": {"httpGet": {"port": 86}, "initialDelaySeconds": 0},
            "resources": {"limits": {"cpu": "3"}},
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, "runAsUser": 4}
        }"#,
    ),
    ("everything is removed", "{}"),
];

/// The variable `V` in all its forms, one after the other.
const VARIABLE: &[&str] = &[
    "{}",
    r#"{"V": {"valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": true}}}}"#,
    r#"{"V": {"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}}"#,
    r#"{"V": {"valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}}"#,
    r#"{"V": {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}}"#,
    r#"{"V": {"valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}}"#,
    r#"{"V": "text"}"#,
    r#"{"V": {"valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}}"#,
    "{}",
];

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("json")
}

/// The container with its variables by name: their order is that in which they came.
fn by_name(mut container: Value) -> Value {
    let variables = container["env"].take();
    let named = variables.as_array().into_iter().flatten().map(|one| {
        let name = one["name"].as_str().expect("a name").to_owned();
        (name, one.clone())
    });
    container["env"] = Value::Object(named.collect());
    container
}

impl Bed {
    /// The container that Kubernetes makes of a StatefulSet like this one with this declaration, without keeping it.
    fn made_anew(&self, mut set: Value, declared: &Value, variables: &Value) -> Value {
        let name = format!("{}-anew", set["metadata"]["name"].as_str().expect("a name"));
        let labels = set["metadata"]["labels"].clone();
        set["metadata"] = json!({ "name": name, "labels": labels });
        set["status"] = Value::Null;
        let container = &mut set["spec"]["template"]["spec"]["containers"][0];
        for (key, value) in declared.as_object().expect("fields") {
            container[key] = value.clone();
        }
        let list = container["env"].as_array_mut().expect("variables");
        for (name, value) in variables.as_object().expect("variables") {
            list.push(match value {
                Value::String(text) => json!({ "name": name, "value": text }),
                other => json!({ "name": name, "valueFrom": other["valueFrom"] }),
            });
        }
        let path = format!("/apis/apps/v1/namespaces/{}/statefulsets?dryRun=All", self.place.namespace);
        let answer = self.shared.kubernetes.send("POST", &path, Some(&set));
        assert_eq!(answer.status, 201, "{}", answer.json);
        answer.json["spec"]["template"]["spec"]["containers"][0].clone()
    }

    /// Declares `one`, which is stopped so that no rollout takes time.
    fn declare_one(&self, declared: &Value, variables: &Value) {
        let text = json!({ "state": "stopped", "container_config": declared, "env": variables });
        self.declare("development", "one", &text.to_string());
    }
}

#[test]
fn every_field_of_a_container_is_set_changed_and_removed() {
    let test = "every_field_of_a_container_is_set_changed_and_removed";
    let Some((bed, _kubernetes)) = Bed::with_kubernetes(test) else { return };
    bed.declare_one(&json!({}), &json!({}));
    bed.apply_seen();
    let first = bed.set("one-development").expect("a StatefulSet");
    for (what, declared) in STEPS {
        let declared = parsed(declared);
        bed.declare_one(&declared, &json!({}));
        bed.apply_seen();
        let expected = bed.made_anew(first.clone(), &declared, &json!({}));
        let mut found = by_name(bed.container("one-development"));
        // Mage has handlers of its own in this object, so that it stays when the last of ours is removed.
        if found["lifecycle"] == json!({}) {
            found.as_object_mut().expect("fields").remove("lifecycle");
        }
        assert_eq!(found, by_name(expected), "{what}");
        let stored = bed.detail("one-development")["container_config"].as_str().expect("a text").to_owned();
        assert!(!stored.contains("null") && !stored.contains("$patch"), "{what}: {stored}");
        bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    }
}

#[test]
fn a_variable_takes_every_form_after_every_other() {
    let Some((bed, _kubernetes)) = Bed::with_kubernetes("a_variable_takes_every_form_after_every_other")
    else {
        return;
    };
    bed.declare_one(&json!({}), &json!({}));
    bed.apply_seen();
    let first = bed.set("one-development").expect("a StatefulSet");
    for variables in VARIABLE {
        let variables = parsed(variables);
        bed.declare_one(&json!({}), &variables);
        bed.apply_seen();
        let expected = bed.made_anew(first.clone(), &json!({}), &variables);
        assert_eq!(by_name(bed.container("one-development")), by_name(expected), "{variables}");
        bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    }
}
