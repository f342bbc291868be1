use magus_model::desired::{DesiredState, Engine};

use crate::tests::builder::{CLUSTER, check, fields, find};

#[test]
fn layers_lie_over_one_another() {
    let resolution = check(
        &[
            (
                "cluster.yaml",
                "name: acme
engine: {local: {path: ../.magus/acme}}
templates:
  large: {container_config: {resources: {requests: {cpu: '4', memory: 16Gi}}}}
  gpu: {container_config: {nodeSelector: {gpu: 'yes'}}}
defaults:
  owner: platform
  env: {A: cluster, B: cluster, C: cluster, SELF: '${workspace} in ${environment} of ${cluster}'}
  container_config: {image: 'mageai/mageai:0.9.80', args: [a, b], resources: {requests: {cpu: 1, memory: 1Gi}}}
",
            ),
            (
                "production/environment.yaml",
                "branch: main
templates: {large: {env: {B: shadowed}}}
defaults: {env: {B: environment, BRANCH: '${branch}'}, container_config: {args: [c]}}
",
            ),
            (
                "production/analytics.yaml",
                "use: [large, gpu]
env: {A: null, C: {valueFrom: {secretKeyRef: {name: warehouse, key: c}}}, D: {secret: {file: _d.txt}, version: 2}}
state: stopped
",
            ),
            (
                "development/people/ana.yaml",
                "name: ana-dev
use: [large]
container_config: {env: [{name: A, value: own}, {name: E}, {name: F, valueFrom: {fieldRef: {fieldPath: x}}}]}
secrets: {hook: {secret: {command: [sops, '${workspace}']}, keep: true}}
",
            ),
        ],
        &[],
    );
    let desired = &resolution.desired;
    assert_eq!(desired.clusters.len(), 1);
    let cluster = &desired.clusters[0];
    assert_eq!(cluster.engine, Engine::Local { path: ".magus/acme".into() });
    assert_eq!((cluster.name.as_str(), cluster.managed_by.as_str()), ("acme", "acme"));
    assert_eq!(
        cluster.environments.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(),
        ["development", "production"]
    );
    assert_eq!(
        fields(desired, "analytics-production"),
        [
            "container_config.args = [\"c\"] (environment defaults)",
            "container_config.image = mageai/mageai:0.9.80 (cluster defaults)",
            "container_config.nodeSelector.gpu = yes (template gpu)",
            "container_config.resources.requests.cpu = 1 (cluster defaults)",
            "container_config.resources.requests.memory = 1Gi (cluster defaults)",
            "env.B = shadowed (template large)",
            "env.BRANCH = main (environment defaults)",
            "env.C = {\"valueFrom\":{\"secretKeyRef\":{\"key\":\"c\",\"name\":\"warehouse\"}}} (workspace)",
            "env.D = (secret from file production/_d.txt, version 2) (workspace)",
            "env.SELF = analytics in production of acme (cluster defaults)",
        ]
    );
    let analytics = find(desired, "analytics-production");
    assert_eq!((analytics.state, analytics.owner.as_deref()), (DesiredState::Stopped, Some("platform")));
    assert_eq!(
        fields(desired, "ana-dev"),
        [
            "container_config.args = [\"a\",\"b\"] (cluster defaults)",
            "container_config.image = mageai/mageai:0.9.80 (cluster defaults)",
            "container_config.resources.requests.cpu = 4 (template large)",
            "container_config.resources.requests.memory = 16Gi (template large)",
            "env.A = own (workspace)",
            "env.B = cluster (cluster defaults)",
            "env.C = cluster (cluster defaults)",
            "env.E = \"\" (workspace)",
            "env.F = {\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"x\"}}} (workspace)",
            "env.SELF = ana in development of acme (cluster defaults)",
            "secrets.hook = (secret from command sops ${workspace}, kept) (workspace)",
        ]
    );
    assert_eq!(find(desired, "ana-dev").state, DesiredState::Running);
}

#[test]
fn null_scalars_and_references_take_the_place_of_whole_subtrees() {
    let resolution = check(
        &[
            (
                "cluster.yaml",
                "name: acme
engine: {local: {path: x}}
defaults:
  env: {A: {secret: {env: X}, version: 3}, B: {secret: {env: X}, version: 3}, C: plain}
  container_config: {lifecycle: {preStop: {exec: {command: [a]}}}, workingDir: /a, resources: {limits: {cpu: 1, memory: 1Gi}}}
  lifecycle_config: {termination_policy: {enable_auto_termination: true, max_idle_seconds: 60}}
",
            ),
            (
                "dev/a.yaml",
                "env: {A: {secret: {file: y}}, B: {valueFrom: {fieldRef: {fieldPath: z}}}, C: {secret: {env: C}}}
container_config: {lifecycle: null, workingDir: {}, resources: {limits: {cpu: null}, requests: null}}
",
            ),
            ("dev/b.yaml", "env: null\ncontainer_config: null\nlifecycle_config: {}\n"),
        ],
        &["dev/a.yaml:2:96 MG708 `null` removes nothing here: no lower layer sets `container_config.resources.requests`"],
    );
    assert_eq!(
        fields(&resolution.desired, "a-dev"),
        [
            "container_config.resources.limits.memory = 1Gi (cluster defaults)",
            "env.A = (secret from file dev/y) (workspace)",
            "env.B = {\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"z\"}}} (workspace)",
            "env.C = (secret from env C) (workspace)",
            "lifecycle_config.termination_policy.enable_auto_termination = true (cluster defaults)",
            "lifecycle_config.termination_policy.max_idle_seconds = 60 (cluster defaults)",
        ]
    );
    assert_eq!(find(&resolution.desired, "a-dev").state, DesiredState::Auto);
    assert_eq!(
        fields(&resolution.desired, "b-dev"),
        [
            "lifecycle_config.termination_policy.enable_auto_termination = true (cluster defaults)",
            "lifecycle_config.termination_policy.max_idle_seconds = 60 (cluster defaults)",
        ]
    );
}

#[test]
fn the_nearer_cluster_wins_as_a_whole_and_its_layers_lie_over_the_roots() {
    let resolution = check(
        &[
            (
                "cluster.yaml",
                "name: acme
managed_by: platform
engine: {local: {path: ../.magus/acme}}
limits: {max_deletes: 5}
workspace_name: '${workspace}'
templates: {t: {env: {T: root, U: root}}}
defaults: {env: {A: root, B: root}}
",
            ),
            (
                "production/cluster.yaml",
                "name: acme-eu
engine: {local: {path: eu}}
templates: {t: {env: {T: near}}}
defaults: {env: {B: near}}
",
            ),
            ("production/a.yaml", "use: [t]\n"),
            ("development/a.yaml", "use: [t]\n"),
        ],
        &[],
    );
    let names: Vec<_> =
        resolution.desired.clusters.iter().map(|c| (c.name.as_str(), c.managed_by.as_str())).collect();
    assert_eq!(names, [("acme", "platform"), ("acme-eu", "platform")]);
    assert_eq!(
        resolution.desired.clusters[1].engine,
        Engine::Local { path: "environments/production/eu".into() }
    );
    assert_eq!(
        resolution.desired.clusters[1].environments[0].workspaces[0]
            .fields
            .iter()
            .map(|f| f.value.to_string())
            .collect::<Vec<_>>(),
        ["root", "near", "near", "root"]
    );
}

#[test]
fn variables_are_text_as_it_is_written() {
    let resolution = check(
        &[CLUSTER, ("dev/a.yaml", "env: {A: 8080, B: 0x1F, C: true, D: 1.50, E: &e 7, F: *e, G: ''}\n")],
        &[],
    );
    assert_eq!(
        fields(&resolution.desired, "a-dev"),
        [
            "env.A = 8080 (workspace)",
            "env.B = 0x1F (workspace)",
            "env.C = true (workspace)",
            "env.D = 1.50 (workspace)",
            "env.E = 7 (workspace)",
            "env.F = 7 (workspace)",
            "env.G = \"\" (workspace)",
        ]
    );
}

#[test]
fn broken_documents_are_skipped_and_the_rest_is_resolved() {
    let loaded = crate::tests::builder::load(&[
        CLUSTER,
        ("dev/a.yaml", "a: [\n"),
        ("dev/b.yaml", "env: {A: b}\n"),
        ("dev/c.yaml", "- x\n"),
    ]);
    let resolution = crate::tests::builder::resolve(&loaded);
    assert_eq!(fields(&resolution.desired, "b-dev"), ["env.A = b (workspace)"]);
}

#[test]
fn stages_follow_promotion_over_all_clusters() {
    let resolution = check(
        &[
            CLUSTER,
            ("development/environment.yaml", "branch: development\n"),
            ("staging/environment.yaml", "promotes_from: development\n"),
            ("production/cluster.yaml", "name: prod\nengine: {local: {path: p}}\n"),
            (
                "production/environment.yaml",
                "promotes_from: staging\nprotected: true\nrollout: {batch: 5, wait_for_runs: 30m, stop_on_failure: true}\n",
            ),
        ],
        &[],
    );
    let production = &resolution.desired.clusters[1].environments[0];
    assert_eq!(
        (production.stage, production.promotes_from.as_deref(), production.protected),
        (2, Some("staging"), true)
    );
    assert_eq!(
        (production.rollout.batch, production.rollout.wait_for_runs, production.rollout.stop_on_failure),
        (Some(5), 1800, true)
    );
    let stages: Vec<_> =
        resolution.desired.clusters[0].environments.iter().map(|e| (e.name.as_str(), e.stage)).collect();
    assert_eq!(stages, [("development", 0), ("staging", 1)]);
}

#[test]
fn templates_that_do_not_exist_are_found() {
    check(
        &[
            ("cluster.yaml", "name: a\nengine: {local: {path: x}}\ntemplates: {large: {}}\n"),
            ("dev/a.yaml", "use:\n  - larg\n  - large\n"),
        ],
        &["dev/a.yaml:2:5 MG104 there is no template `larg`"],
    );
}

#[test]
fn the_order_of_promotion_is_checked() {
    check(
        &[
            CLUSTER,
            ("a/environment.yaml", "promotes_from: c\n"),
            ("b/environment.yaml", "promotes_from: a\n"),
            ("c/environment.yaml", "promotes_from: b\n"),
            ("d/environment.yaml", "promotes_from: d\n"),
            ("e/environment.yaml", "promotes_from: aa\n"),
            ("f/environment.yaml", "promotes_from: b\n"),
            ("g/environment.yaml", "branch: g\n"),
        ],
        &[
            "a/environment.yaml:1:16 MG106 `promotes_from` leads in a circle: `a` ← `c` ← `b` ← `a`",
            "d/environment.yaml:1:16 MG106 `promotes_from` leads in a circle: `d` ← `d`",
            "e/environment.yaml:1:16 MG105 there is no environment `aa`",
            "g/environment.yaml:1:1 MG107 environment `g` neither promotes from another nor is promoted from",
        ],
    );
    check(&[CLUSTER, ("a/environment.yaml", "branch: a\n"), ("b/environment.yaml", "branch: b\n")], &[]);
}

#[test]
fn names_that_the_cluster_would_refuse_are_found() {
    let long = "a".repeat(50);
    check(
        &[
            CLUSTER,
            ("dev/my_workspace.yaml", "{}"),
            ("dev/b.yaml", "name: B\n"),
            ("dev/c.yaml", "name: '${workspace}-'\n"),
            ("dev/d.yaml", &format!("name: {long}-${{workspace}}x\n")),
            ("dev/e.yaml", "name: ''\n"),
            ("dev/f.yaml", "name: f\n"),
        ],
        &[
            "dev/b.yaml:1:7 MG101 `B` cannot be a workspace's name: it begins with `B`",
            "dev/c.yaml:1:7 MG101 `c-` cannot be a workspace's name: it ends with `-`",
            &format!(
                "dev/d.yaml:1:7 MG101 `{long}-dx` cannot be a workspace's name: it has 53 characters, and 52 fit"
            ),
            "dev/e.yaml:1:7 MG101 `` cannot be a workspace's name: it is empty",
            "dev/my_workspace.yaml:1:1 MG101 `my_workspace-dev` cannot be a workspace's name: `_` stands at character 3",
        ],
    );
}
