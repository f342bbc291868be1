//! Containers as an apiserver wrote them.

use serde_json::json;

use super::*;

fn container(json: serde_json::Value) -> Container {
    read(serde_json::from_value(json).unwrap())
}

fn lines(leaves: &Leaves) -> Vec<String> {
    leaves.iter().map(|(path, value)| format!("{path}={value}")).collect()
}

/// Defaults without the values that Kubernetes does not write.
fn filled_in(mut defaults: Leaves) -> Leaves {
    defaults.retain(|_, value| !matches!(value, Value::Bool(false) | Value::Int(0)));
    defaults
}

#[test]
fn a_value_that_kubernetes_leaves_out_is_there() {
    let Container { leaves, defaults, .. } =
        container(json!({ "tty": true, "livenessProbe": { "exec": { "command": ["a"] } } }));
    assert_eq!(leaves.len(), 2);
    assert_eq!(
        lines(&defaults),
        [
            "container_config.livenessProbe.initialDelaySeconds=0",
            "container_config.stdin=false",
            "container_config.stdinOnce=false",
        ]
    );
}

#[test]
fn variables_and_fields_have_the_form_of_a_stored_text() {
    let Container { leaves, defaults, repeated, unexpanded: _ } = container(json!({
        "name": "ana-container",
        "image": "mageai/mageai:0.9.80",
        "ports": [{ "containerPort": 6789, "name": "web", "protocol": "TCP" }],
        "volumeMounts": [{ "name": "mage-data", "mountPath": "/home/src" }],
        "env": [
            { "name": "A", "value": "1" },
            { "name": "EMPTY" },
            { "name": "S", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
        ],
        "args": ["a", 1],
        "resources": { "limits": { "cpu": "2", "memory": "4Gi" }, "requests": {} },
    }));
    assert_eq!(
        lines(&leaves),
        [
            "container_config.args=[\"a\",1]",
            "container_config.image=mageai/mageai:0.9.80",
            "container_config.resources.limits.cpu=2",
            "container_config.resources.limits.memory=4Gi",
            "env.A=1",
            "env.EMPTY=\"\"",
            "env.S={\"valueFrom\":{\"secretKeyRef\":{\"key\":\"k\",\"name\":\"s\"}}}",
        ]
    );
    assert!(filled_in(defaults).is_empty() && repeated.is_empty());
}

#[test]
fn of_a_repeated_variable_the_last_counts() {
    let Container { leaves, repeated, .. } = container(json!({ "env": [
        { "name": "A", "value": "first" },
        { "name": "B", "value": "b" },
        { "name": "A", "value": "second" },
    ] }));
    assert_eq!(lines(&leaves), ["env.A=second", "env.B=b"]);
    assert_eq!(repeated, BTreeSet::from(["A".into()]));
}

#[test]
fn what_the_apiserver_filled_in_stands_apart() {
    let Container { leaves, defaults, .. } = container(json!({
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        "livenessProbe": {
            "httpGet": { "path": "/", "port": 6789, "scheme": "HTTP" },
            "timeoutSeconds": 1, "periodSeconds": 30, "successThreshold": 1, "failureThreshold": 3,
        },
        "readinessProbe": { "grpc": { "port": 1, "service": "" } },
        "lifecycle": { "preStop": { "httpGet": { "path": "/bye", "port": 1, "scheme": "HTTP" } } },
    }));
    assert_eq!(
        lines(&leaves),
        [
            "container_config.lifecycle.preStop.httpGet.path=/bye",
            "container_config.lifecycle.preStop.httpGet.port=1",
            "container_config.livenessProbe.httpGet.port=6789",
            "container_config.livenessProbe.periodSeconds=30",
            "container_config.readinessProbe.grpc.port=1",
        ]
    );
    assert_eq!(
        lines(&filled_in(defaults)),
        [
            "container_config.imagePullPolicy=IfNotPresent",
            "container_config.lifecycle.preStop.httpGet.scheme=HTTP",
            "container_config.livenessProbe.failureThreshold=3",
            "container_config.livenessProbe.httpGet.path=/",
            "container_config.livenessProbe.httpGet.scheme=HTTP",
            "container_config.livenessProbe.successThreshold=1",
            "container_config.livenessProbe.timeoutSeconds=1",
            "container_config.readinessProbe.grpc.service=\"\"",
            "container_config.terminationMessagePath=/dev/termination-log",
            "container_config.terminationMessagePolicy=File",
        ]
    );
}

#[test]
fn what_an_apiserver_never_fills_in_was_set() {
    let Container { leaves, defaults, .. } = container(json!({
        "imagePullPolicy": "Never",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "terminationMessagePath": "/tmp/end",
        "startupProbe": { "failureThreshold": 30 },
    }));
    assert_eq!(lines(&filled_in(defaults)), [""; 0]);
    assert_eq!(leaves.len(), 4);
}

#[test]
fn references_are_compared_without_defaults() {
    let reference = |json: serde_json::Value| -> Value { serde_json::from_value(json).unwrap() };
    for (written, plain) in [
        (
            json!({ "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "status.podIP" } } }),
            json!({ "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } }),
        ),
        (
            json!({ "valueFrom": { "resourceFieldRef": { "divisor": "0", "resource": "limits.cpu" } } }),
            json!({ "valueFrom": { "resourceFieldRef": { "resource": "limits.cpu" } } }),
        ),
        (
            json!({ "valueFrom": { "resourceFieldRef": { "divisor": "1m", "resource": "limits.cpu" } } }),
            json!({ "valueFrom": { "resourceFieldRef": { "divisor": "1m", "resource": "limits.cpu" } } }),
        ),
        (
            json!({ "valueFrom": { "secretKeyRef": { "name": "v1", "key": "apiVersion" } } }),
            json!({ "valueFrom": { "secretKeyRef": { "name": "v1", "key": "apiVersion" } } }),
        ),
        (json!("v1"), json!("v1")),
    ] {
        assert_eq!(reference_without_defaults(reference(written)), reference(plain));
    }
    let Container { leaves, .. } = container(json!({ "env": [
        { "name": "P", "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "status.podIP" } } },
    ] }));
    assert_eq!(lines(&leaves), ["env.P={\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.podIP\"}}}"]);
}

#[test]
fn scheduling_stands_where_a_workspace_declares_it() {
    let value = |json: serde_json::Value| Some(serde_json::from_value(json).unwrap());
    let leaves = scheduling([
        ("nodeSelector", value(json!({ "kubernetes.io/os": "linux" }))),
        ("affinity", None),
        ("tolerations", value(json!([{ "key": "a", "operator": "Exists" }]))),
    ]);
    assert_eq!(
        lines(&leaves),
        [
            "container_config.nodeSelector[\"kubernetes.io/os\"]=linux",
            "container_config.tolerations=[{\"key\":\"a\",\"operator\":\"Exists\"}]",
        ]
    );
}

#[test]
fn a_reference_to_what_stands_behind_it_is_plain_text() {
    let unexpanded = |variables: &[(&str, &str)]| -> Vec<(String, String)> {
        let entry = |(name, value): &(&str, &str)| {
            Value::Map(BTreeMap::from([
                ("name".into(), Value::string(*name)),
                ("value".into(), Value::string(*value)),
            ]))
        };
        let list = Value::List(variables.iter().map(entry).collect());
        let container = read(BTreeMap::from([("env".into(), list)]));
        let pair = |(name, text): (Text, Text)| (name.to_string(), text.to_string());
        container.unexpanded.into_iter().map(pair).collect()
    };
    let says = |name: &str, text: &str| vec![(name.to_owned(), text.to_owned())];
    assert_eq!(unexpanded(&[("B", "b"), ("A", "x$(B)")]), []);
    assert_eq!(unexpanded(&[("A", "x$(B)"), ("B", "b")]), says("A", "x$$(B)"));
    // What is nowhere is not expanded at any place, nor is what is escaped.
    assert_eq!(unexpanded(&[("A", "$(C) $$(B) $(date)"), ("B", "b")]), []);
    assert_eq!(
        unexpanded(&[("B", "b"), ("A", "$(B) $$ $(C)$(D) $("), ("C", "c")]),
        says("A", "$(B) $$ $$(C)$(D) $(")
    );
    // The first of equal names is there to be expanded; a variable that refers to itself stays as it is.
    assert_eq!(unexpanded(&[("B", "1"), ("A", "$(B)"), ("B", "2")]), []);
    assert_eq!(unexpanded(&[("A", "$(A)"), ("B", "b")]), []);
}
