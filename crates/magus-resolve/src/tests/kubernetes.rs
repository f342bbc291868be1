//! What Kubernetes refuses, or does not expand: MG206 to MG209, MG307, and `null` that removes nothing.

use super::builder::{CLUSTER, lines, load, resolve};

/// The findings without their places.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let loaded = load(files);
    assert_eq!(loaded.diagnostics, [], "the files do not parse");
    let lines = lines(&resolve(&loaded).diagnostics, &loaded);
    lines.iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
}

#[track_caller]
fn check(workspace: &str, expected: &[&str]) {
    assert_eq!(found(&[CLUSTER, ("dev/a.yaml", workspace)]), expected, "{workspace}");
}

#[test]
fn references_that_no_order_expands_are_found() {
    check("env: {URL: 'x://$(USER)@h', USER: u}\n", &[]);
    check("env: {URL: '$$(GONE) $(date +%F) $( $(', A: '$(URL)'}\n", &[]);
    check("env: {A: '$(PROJECT_UUID)/$(REDIS_URL)/$(DB_SERVICE_HOST)'}\n", &[]);
    check("provided: [WAREHOUSE_*]\nenv: {A: '$(WAREHOUSE_HOST)'}\n", &[]);
    check(
        "env: {URL: '$(USR) $(USR)', USER: u}\n",
        &["MG307 `$(USR)` in `URL` refers to a variable that the workspace does not have"],
    );
    check(
        "env: {PATH: '/x:$(PATH)', P: '$(HOME)'}\n",
        &[
            "MG307 `PATH` refers to itself",
            "MG307 `$(HOME)` in `P` is not expanded: the image sets `HOME`, and Kubernetes does not know it",
        ],
    );
    check(
        "env: {A: '$(B)', B: '$(C)', C: '$(A)'}\n",
        &["MG307 variables refer to one another in a circle: `A` → `B` → `C` → `A`"],
    );
    // Of a shared layer, each place is told once.
    let files = [
        ("cluster.yaml", "name: acme\nengine: {local: {path: x}}\ndefaults: {env: {A: '$(GONE)'}}\n"),
        ("dev/a.yaml", "{}"),
        ("dev/b.yaml", "{}"),
    ];
    assert_eq!(
        found(&files),
        ["MG307 `$(GONE)` in `A` refers to a variable that the workspace does not have"]
    );
}

#[test]
fn resources_that_kubernetes_refuses_are_found() {
    let limits = |limits: &str, expected: &[&str]| {
        check(&format!("container_config: {{resources: {{limits: {{{limits}}}}}}}\n"), expected);
    };
    limits("cpu: 500m, memory: 1Gi, nvidia.com/gpu: 1, hugepages-2Mi: 4Mi, kubernetes.io/x: 1", &[]);
    limits("gpu: 1", &["MG207 `gpu` in `resources.limits` is not a resource of a container"]);
    limits("nvidia.com/gpu: 0.5", &["MG207 `nvidia.com/gpu: 0.5` is not a whole number"]);
    limits("hugepages-2Mi: 4Mi", &["MG207 `hugepages-2Mi` without `cpu` or `memory`"]);
    limits("cpu: 1, hugepages-2Mi: 3Mi", &["MG207 `hugepages-2Mi: 3Mi` is not a multiple of the page size"]);
    limits("cpu: 1, hugepages-big: 3Mi", &["MG207 `hugepages-big` names no size of a page"]);
    limits("memory: 512m", &["MG209 `memory: 512m` has a fraction of a byte: `m` stands for a thousandth"]);
    check(
        "container_config: {resources: {requests: {nvidia.com/gpu: 1}}}\n",
        &["MG207 `nvidia.com/gpu` has a request and no limit"],
    );
    // Layers merge.
    let files = [
        (
            "cluster.yaml",
            "name: acme\nengine: {local: {path: x}}\ndefaults: {container_config: {resources: {limits: {nvidia.com/gpu: 2}}}}\n",
        ),
        ("dev/a.yaml", "container_config: {resources: {requests: {nvidia.com/gpu: 1}}}\n"),
    ];
    assert_eq!(
        found(&files),
        ["MG207 the request for `nvidia.com/gpu`, `1`, is not equal to its limit, `2`"]
    );
}

#[test]
fn probes_that_kubernetes_refuses_are_found() {
    let probe = |probe: &str, expected: &[&str]| {
        check(&format!("container_config: {{livenessProbe: {probe}}}\n"), expected);
    };
    probe("{httpGet: {path: /, port: 80}, periodSeconds: 5}", &[]);
    probe("{httpGet: {path: /, port: http}}", &[]);
    probe(
        "{httpGet: {path: /, port: '80'}}",
        &[
            "MG208 `livenessProbe.httpGet.port: \"80\"` is text, and Kubernetes takes text for the name of a port",
        ],
    );
    probe("{httpGet: {path: /}}", &["MG208 `livenessProbe.httpGet` has no `port`"]);
    probe("{periodSeconds: 5}", &["MG208 `livenessProbe` does not say what it does"]);
    probe(
        "{exec: {command: [a]}, httpGet: {port: 80}}",
        &["MG208 `livenessProbe` has two handlers, `exec` and `httpGet`"],
    );
    probe(
        "{exec: {command: [a]}, successThreshold: 2}",
        &["MG208 `livenessProbe.successThreshold` can only be 1"],
    );
    // Two layers give a handler each.
    let files = [
        (
            "cluster.yaml",
            "name: acme\nengine: {local: {path: x}}\ndefaults: {container_config: {readinessProbe: {httpGet: {port: 80}}}}\n",
        ),
        ("dev/a.yaml", "container_config: {readinessProbe: {exec: {command: [a]}}}\n"),
        ("dev/b.yaml", "container_config: {readinessProbe: {exec: {command: [a]}, httpGet: null}}\n"),
    ];
    assert_eq!(found(&files), ["MG208 `readinessProbe` has two handlers, `httpGet` and `exec`"]);
}

#[test]
fn invisible_characters_and_null_without_effect_are_named() {
    check(
        "env: {\"\u{a0}A\": x}\n",
        &[
            "MG206 `\\u{a0}A` cannot be a variable's name: it has the invisible character U+00A0 (no-break space)",
        ],
    );
    check("env: {EMPTY: }\n", &["MG708 `null` removes nothing here: no lower layer sets `env.EMPTY`"]);
    let defaults = ("cluster.yaml", "name: acme\nengine: {local: {path: x}}\ndefaults: {env: {A: x}}\n");
    assert_eq!(found(&[defaults, ("dev/a.yaml", "env: {A: null}\n")]), [""; 0]);
}
