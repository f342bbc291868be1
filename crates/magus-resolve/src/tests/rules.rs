use super::builder::{CLUSTER, check, lines, load, resolve};
use crate::{SchemaFile, check_modelines};

#[test]
fn two_workspaces_cannot_have_one_name_in_a_cluster() {
    check(
        &[
            ("cluster.yaml", "name: acme\nengine: {local: {path: x}}\nworkspace_name: '${workspace}'\n"),
            ("dev/ana.yaml", "{}"),
            ("dev/people/ben.yaml", "name: ana\n"),
            ("prod/ana.yaml", "{}"),
        ],
        &[
            "dev/people/ben.yaml:1:7 MG103 `ana` is also the name of `dev/ana` in the cluster",
            "prod/ana.yaml:1:1 MG103 `ana` is also the name of `dev/ana` in the cluster",
        ],
    );
    check(
        &[CLUSTER, ("dev/ana.yaml", "name: one\n"), ("dev/people/ana.yaml", "name: two\n")],
        &["dev/people/ana.yaml:1:1 MG103 `dev/ana` is declared twice: in `dev/ana.yaml` too"],
    );
    let own = "name: acme\nengine: {local: {path: ../store}}\n";
    check(
        &[
            ("a/cluster.yaml", own),
            ("b/cluster.yaml", own),
            ("a/x.yaml", "name: x\n"),
            ("b/x.yaml", "name: x\n"),
        ],
        &["b/x.yaml:1:7 MG103 `x` is also the name of `a/x` in the cluster"],
    );
    let elsewhere = "name: other\nengine: {local: {path: elsewhere}}\n";
    check(
        &[
            ("a/cluster.yaml", own),
            ("b/cluster.yaml", elsewhere),
            ("a/x.yaml", "name: x\n"),
            ("b/x.yaml", "name: x\n"),
        ],
        &[],
    );
}

#[test]
fn one_engine_has_one_name_and_one_name_one_engine() {
    check(
        &[
            CLUSTER,
            ("a/cluster.yaml", "name: acme-eu\n"),
            ("a/x.yaml", "{}"),
            ("b/cluster.yaml", "engine: {local: {path: b}}\n"),
            ("b/x.yaml", "{}"),
            ("c/cluster.yaml", "managed_by: somebody\n"),
            ("c/x.yaml", "{}"),
            ("d/x.yaml", "{}"),
        ],
        &[
            "a/cluster.yaml:1:7 MG115 `acme-eu` and `acme` are one cluster: they share an engine",
            "b/cluster.yaml:1:10 MG115 `acme` has two engines",
            "c/cluster.yaml:1:13 MG115 `acme` is managed by `acme` and by `somebody`",
        ],
    );
}

#[test]
fn every_environment_needs_a_whole_cluster() {
    check(
        &[("dev/a.yaml", "{}"), ("prod/cluster.yaml", "name: p\n"), ("prod/a.yaml", "{}")],
        &[
            "dev/a.yaml:1:1 MG108 environment `dev` has no cluster",
            "prod/cluster.yaml:1:1 MG022 the cluster of environment `prod` has no `engine`",
        ],
    );
    check(
        &[("cluster.yaml", "defaults: {}\n")],
        &[
            "cluster.yaml:1:1 MG022 the cluster has no `engine`",
            "cluster.yaml:1:1 MG022 the cluster has no `name`",
        ],
    );
    check(
        &[
            ("cluster.yaml", "name: A_b\nengine: {kubernetes: {context: x}}\nrequires: '>=99'\n"),
            ("Dev/a.yaml", "name: a\n"),
        ],
        &[
            "Dev/a.yaml:1:1 MG101 `Dev` cannot be an environment's name: it begins with `D`",
            "cluster.yaml:1:7 MG101 `A_b` cannot be a cluster's name: it begins with `A`",
            "cluster.yaml:2:10 MG116 the engine `kubernetes` is not in this version of Magus",
            "cluster.yaml:3:11 MG113 this directory needs Magus `>=99`, and this is 0.1.0",
        ],
    );
    check(
        &[("cluster.yaml", "name: a\nengine: {mage: {url: 'mage.acme.dev'}}\n")],
        &["cluster.yaml:2:22 MG023 `mage.acme.dev` is no address of a server"],
    );
    check(
        &[("cluster.yaml", "name: a\nengine: {local: {path: x}}\nrequires: latest\n")],
        &["cluster.yaml:3:11 MG023 `latest` is no requirement of a version"],
    );
}

#[test]
fn settings_of_rules_are_checked() {
    check(
        &[(
            "cluster.yaml",
            "name: a
engine: {local: {path: x}}
lint:
  MG702: error
  MG7O2: error
  secret-literal: off
  MG101: warning
  MG001: error
  MG107: off
",
        )],
        &[
            "cluster.yaml:5:3 MG023 there is no rule `MG7O2`",
            "cluster.yaml:6:3 MG023 there is no rule `secret-literal`",
            "cluster.yaml:7:10 MG023 `MG101` is always an error",
        ],
    );
}

#[test]
fn a_pattern_that_makes_no_name_is_reported_once() {
    check(
        &[
            (
                "cluster.yaml",
                "name: a\nengine: {local: {path: x}}\nworkspace_name: '${environment}_${workspace}'\n",
            ),
            ("dev/a.yaml", "{}"),
            ("dev/b.yaml", "{}"),
            ("prod/c.yaml", "name: fine\n"),
        ],
        &[
            "cluster.yaml:3:17 MG101 `${environment}_${workspace}` makes names that the cluster refuses: filled in with `a`, `_` stands at character 2",
        ],
    );
}

#[test]
fn placeholders_that_are_not_known_are_found_where_they_would_be_filled_in() {
    check(
        &[
            (
                "cluster.yaml",
                "name: a
engine: {local: {path: '${x}'}}
repository: {url: 'https://git/${x}.git'}   # magus: ignore[MG708]
defaults:
  env:
    A: ${workspce} ${HOME}
    B: $${HOME} ${environment}
    C: ${open
    DB_PASSWORD: ${d3f}
    D: {valueFrom: {secretKeyRef: {name: '${env}', key: x}}}
    E: {secret: {command: [echo, '${E}']}}
    F: {secret: {file: '${F}.txt'}}
  container_config: {command: [sh, -c, 'echo ${HOME}'], args: ['${X}'], workingDir: '/${dir}'}
",
            ),
            ("dev/a.yaml", "name: ${nam}\nmoved_from: ${x}\n"),
        ],
        &[
            "cluster.yaml:6:8 MG109 there is no placeholder `${HOME}`",
            "cluster.yaml:6:8 MG109 there is no placeholder `${workspce}`",
            "cluster.yaml:8:8 MG109 a placeholder `${` is not closed",
            "cluster.yaml:9:18 MG109 there is no such placeholder as this `${…}`",
            "cluster.yaml:10:42 MG109 there is no placeholder `${env}`",
            "cluster.yaml:12:24 MG109 there is no placeholder `${F}`",
            "cluster.yaml:13:85 MG109 there is no placeholder `${dir}`",
            "dev/a.yaml:1:7 MG101 `${nam}` cannot be a workspace's name: it begins with `$`",
            "dev/a.yaml:1:7 MG109 there is no placeholder `${nam}`",
        ],
    );
}

#[test]
fn a_branch_that_does_not_exist_cannot_be_filled_in() {
    check(
        &[
            (
                "cluster.yaml",
                "name: a\nengine: {local: {path: x}}\ndefaults: {env: {B: '${branch}', C: {secret: {command: ['${branch}']}}}}\n",
            ),
            ("dev/environment.yaml", "branch: dev\n"),
            ("dev/a.yaml", "env: {X: '${branch}'}\n"),
            ("sandbox/a.yaml", "env: {X: '${branch} $${branch}'}\n"),
            ("sandbox/b.yaml", "{}"),
            ("sandbox/c.yaml", "branch: c\nenv: {X: '${branch}'}\n"),
        ],
        &[
            "cluster.yaml:3:21 MG109 `${branch}` stands for nothing: environment `sandbox` has no branch",
            "sandbox/a.yaml:1:10 MG109 `${branch}` stands for nothing: environment `sandbox` has no branch",
        ],
    );
}

#[test]
fn a_variable_in_both_forms_of_env_is_found() {
    check(
        &[
            CLUSTER,
            (
                "dev/a.yaml",
                "env: {A: x, B: y}
container_config:
  env:
    - {name: A, value: y}
    - {name: B, value: y}
    - {name: C, value: y}
    - {name: C, value: z}
",
            ),
        ],
        &[
            "dev/a.yaml:4:14 MG110 `A` is written in `env` and in `container_config.env`",
            "dev/a.yaml:5:14 MG110 `B` is written in `env` and in `container_config.env`",
            "dev/a.yaml:7:14 MG110 `C` is written twice in `container_config.env`",
        ],
    );
}

#[test]
fn a_branch_of_its_own_needs_permission() {
    check(
        &[
            CLUSTER,
            ("dev/environment.yaml", "branch: d\n"),
            ("dev/a.yaml", "branch: feature\n"),
            ("prod/environment.yaml", "promotes_from: dev\n"),
            ("prod/a.yaml", "branch: feature\ndeploy: none\n"),
            ("test/environment.yaml", "promotes_from: dev\nallow_branch_override: true\n"),
            ("test/a.yaml", "branch: feature\n"),
            ("x/environment.yaml", "allow_branch_override: false\n"),
            ("x/a.yaml", "branch: feature\n"),
            ("y/environment.yaml", "promotes_from: x\n"),
        ],
        &[
            "prod/a.yaml:1:1 MG111 a workspace of `prod` cannot have its own `branch`",
            "prod/a.yaml:2:1 MG111 a workspace of `prod` cannot have its own `deploy`",
            "x/a.yaml:1:1 MG111 a workspace of `x` cannot have its own `branch`",
        ],
    );
}

#[test]
fn keys_without_effect_are_named_once() {
    check(
        &[
            ("cluster.yaml", "name: a\nengine: {local: {path: x}}\nrepository: {url: x}\n"),
            ("dev/environment.yaml", "commit: abc\nbranch: d\n"),
            ("dev/a.yaml", "deploy: none\n"),
            ("dev/b.yaml", "deploy: head\n"),
        ],
        &["dev/environment.yaml:1:1 MG708 `commit` has no effect: only `deploy: pinned` deploys it"],
    );
}

#[test]
fn gates_need_a_stage_before_and_times_that_exist() {
    let frozen = "gates:\n  soak: null\n  runs_before: false\n  freezes:\n  - {from: 2026-12-24, to: 2026-12-23}\n  - {from: 2026-12-24, to: 2026-12-24}\n";
    let windows = "promotes_from: x\ngates:\n  windows:\n  - {from: \"09:00\", to: \"17:00\", time_zone: Europe/Berln}\n  - {from: \"09:00\", to: \"17:00\", time_zone: Europe/Berlin}\n";
    check(
        &[
            CLUSTER,
            ("dev/environment.yaml", "gates: {soak: 1h, verified: {}, runs_before: true}\n"),
            ("next/environment.yaml", "promotes_from: dev\ngates: {soak: 1h, verified: {within: 1h}}\n"),
            ("x/environment.yaml", frozen),
            ("y/environment.yaml", windows),
        ],
        &[
            "dev/environment.yaml:1:9 MG410 `soak` looks at the stage before, and this environment has none",
            "dev/environment.yaml:1:19 MG410 `verified` looks at the stage before, and this environment has none",
            "dev/environment.yaml:1:33 MG410 `runs_before` looks at the stage before, and this environment has none",
            "x/environment.yaml:5:28 MG023 the freeze ends on 2026-12-23, before it begins on 2026-12-24",
            "y/environment.yaml:4:45 MG023 there is no time zone `Europe/Berln`",
        ],
    );
}

#[test]
fn moves_name_workspaces_that_are_gone() {
    check(
        &[
            CLUSTER,
            ("dev/a.yaml", "moved_from: a\n"),
            ("dev/b.yaml", "moved_from: b-dev\n"),
            ("dev/c.yaml", "moved_from: d\n"),
            ("dev/d.yaml", "moved_from: gone\n"),
            ("dev/e.yaml", "moved_from: gone\n"),
            ("dev/f.yaml", "moved_from: d-dev\n"),
            ("prod/g.yaml", "moved_from: gone\n"),
        ],
        &[
            "dev/a.yaml:1:13 MG114 `moved_from: a` names the workspace itself",
            "dev/b.yaml:1:13 MG114 `moved_from: b-dev` names the workspace itself",
            "dev/c.yaml:1:13 MG114 `moved_from: d` names a workspace that is still declared",
            "dev/e.yaml:1:13 MG114 `moved_from: gone` is claimed by two workspaces",
            "dev/f.yaml:1:13 MG114 `moved_from: d-dev` names a workspace that is still declared",
        ],
    );
}

#[test]
fn containers_are_checked_in_every_layer() {
    let resolution = check(
        &[
            (
                "cluster.yaml",
                "name: a
engine: {local: {path: x}}
templates:
  big: {container_config: {ports: [], resources: {requests: {cpu: 4 cores, memory: 4GB}}}}
defaults:
  container_config:
    name: x
    image: mageai/mageai
    resources: {limits: {memory: 2Gi}}
  storage_request_size: -1Gi
",
            ),
            ("dev/a.yaml", "container_config:\n  volumeMounts: []\n  resources: {requests: {memory: 3Gi}}\n"),
            (
                "dev/b.yaml",
                "container_config: {name: null, resources: {requests: {memory: 2048Mi, nvidia.com/gpu: 2}, limits: {nvidia.com/gpu: 1}}}\n",
            ),
            ("dev/c.yaml", "container_config: {resources: {limits: {cpu: 500m}, requests: {cpu: 1}}}\n"),
        ],
        &[
            "cluster.yaml:4:28 MG201 `ports` in `container_config` breaks the workspace",
            "cluster.yaml:4:67 MG204 `cpu: 4 cores` is no amount",
            "cluster.yaml:4:84 MG204 `memory: 4GB` is no amount",
            "cluster.yaml:7:5 MG201 `name` in `container_config` breaks the workspace",
            "cluster.yaml:8:12 MG701 the image `mageai/mageai` has no tag",
            "cluster.yaml:10:25 MG204 `storage_request_size: -1Gi` is less than nothing",
            "dev/a.yaml:2:3 MG201 `volumeMounts` in `container_config` breaks the workspace",
            "dev/a.yaml:3:34 MG202 the request for memory, `3Gi`, is larger than its limit, `2Gi`",
            "dev/b.yaml:1:87 MG202 the request for nvidia.com/gpu, `2`, is larger than its limit, `1`",
            "dev/c.yaml:1:69 MG202 the request for cpu, `1`, is larger than its limit, `500m`",
        ],
    );
    let help = |code: &str| {
        resolution
            .diagnostics
            .iter()
            .filter(|d| d.rule.code == code)
            .map(|d| d.help.clone().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(help("MG204")[1..], ["did you mean `4`?", "did you mean `4Gi`?"]);
}

#[test]
fn what_a_shared_layer_causes_is_reported_there_once() {
    check(
        &[
            (
                "cluster.yaml",
                "name: a
engine: {local: {path: x}}
defaults:
  container_config: {resources: {requests: {cpu: 2}, limits: {cpu: 1}}}
  lifecycle_config: {termination_policy: {enable_auto_termination: true}}
",
            ),
            ("dev/a.yaml", "{}"),
            ("prod/a.yaml", "{}"),
            ("prod/b.yaml", "{}"),
            ("safe/environment.yaml", "protected: true\n"),
            ("safe/a.yaml", "{}"),
            ("prod/c.yaml", "lifecycle_config: {termination_policy: {enable_auto_termination: false}}\n"),
        ],
        &[
            "cluster.yaml:4:50 MG202 the request for cpu, `2`, is larger than its limit, `1`",
            "cluster.yaml:5:68 MG702 auto-termination is on in production: `prod` is production",
        ],
    );
}

#[test]
fn production_is_a_name_a_protection_or_the_last_stage() {
    let on = "lifecycle_config: {termination_policy: {enable_auto_termination: true}}\n";
    check(
        &[
            CLUSTER,
            ("dev/a.yaml", on),
            ("dev/environment.yaml", "branch: d\n"),
            ("live/a.yaml", on),
            ("live/environment.yaml", "promotes_from: dev\n"),
            ("safe/a.yaml", on),
            ("safe/environment.yaml", "protected: true\npromotes_from: dev\n"),
            ("after/environment.yaml", "promotes_from: safe\n"),
            ("after/a.yaml", "lifecycle_config: {termination_policy: {enable_auto_termination: false}}\n"),
        ],
        &[
            "live/a.yaml:1:66 MG702 auto-termination is on in production: `live` is the last stage",
            "safe/a.yaml:1:66 MG702 auto-termination is on in production: `safe` is protected",
        ],
    );
}

#[test]
fn images_have_a_tag_that_stays() {
    let layer = |image: &str| format!("container_config: {{image: '{image}'}}\n");
    for (image, fault) in [
        ("mageai/mageai:0.9.80", None),
        ("mageai/mageai@sha256:abc", None),
        ("registry:5000/mageai:${environment}", None),
        ("${cluster}.registry:5000/mage:1", None),
        ("", None),
        ("registry:5000/mageai", Some("has no tag")),
        ("mageai:", Some("has no tag")),
        ("mageai/mageai:latest", Some("is whatever was pushed last")),
    ] {
        let layer = layer(image);
        let loaded = load(&[CLUSTER, ("dev/a.yaml", &layer)]);
        let found = lines(&resolve(&loaded).diagnostics, &loaded);
        let expected = fault.map(|fault| format!("dev/a.yaml:1:27 MG701 the image `{image}` {fault}"));
        assert_eq!(found, Vec::from_iter(expected), "{image}");
    }
    check(
        &[CLUSTER, ("dev/a.yaml", "container_config: {image: mageai, image_tag: latest}\n")],
        &["dev/a.yaml:1:46 MG701 the image's tag `latest` is whatever was pushed last"],
    );
}

#[test]
fn names_of_variables_are_checked_in_both_forms() {
    check(
        &[
            CLUSTER,
            (
                "dev/a.yaml",
                "env: {'': x, 1A: x, A=B: x, 'A B': x, A-B.c: x, ü: x, ..x: x, KUBE_NAMESPACE: x, USER_CODE_PATH: x}
container_config: {env: [{name: PROJECT_UUID, value: x}, {name: 'a/b', value: x}]}
",
            ),
        ],
        &[
            "dev/a.yaml:1:7 MG206 a variable without a name",
            "dev/a.yaml:1:14 MG206 `1A` cannot be a variable's name: it begins with a digit",
            "dev/a.yaml:1:21 MG206 `A=B` cannot be a variable's name: it has a `=`",
            "dev/a.yaml:1:29 MG206 `A B` cannot be a variable's name: it has a space or line break",
            "dev/a.yaml:1:49 MG206 `\\u{fc}` cannot be a variable's name: it has a `ü`",
            "dev/a.yaml:1:55 MG206 `..x` cannot be a variable's name: it begins like a path",
            "dev/a.yaml:1:63 MG205 `KUBE_NAMESPACE` is a variable that Mage sets itself",
            "dev/a.yaml:2:33 MG205 `PROJECT_UUID` is a variable that Mage sets itself",
            "dev/a.yaml:2:65 MG206 `a/b` cannot be a variable's name: it has a `/`",
        ],
    );
}

#[test]
fn secrets_are_found_wherever_they_stand_and_never_repeated() {
    let token = ["gh", "p_1234567890abcdefghijABCDEFGHIJ123456"].concat();
    let workspace = format!(
        "owner: data
env:
  DATABASE_URL: postgresql://mage:s3cr3t@db/x
  DB_PASSWORD: hunter2!
  OTHER: {token}
  FINE: {{secret: {{env: DB_PASSWORD}}, version: 2}}
container_config:
  env: [{{name: API_TOKEN, value: q9X2mZ7rT4bV1nK8}}]
  args: [--password, q9X2mZ!, --token={token}]
lifecycle_config: {{post_start: {{command: [curl, -H, 'Authorization: {token}']}}}}
secrets: {{hook: {{secret: {{command: [echo, '{token}']}}}}}}
"
    );
    let cluster = "name: a\nengine: {mage: {url: 'https://admin:s3cr3t@mage.acme.dev'}}\n";
    let resolution = check(
        &[("cluster.yaml", cluster), ("dev/a.yaml", &workspace)],
        &[
            "cluster.yaml:2:22 MG301 `url` holds what looks like an address with a password",
            "dev/a.yaml:3:17 MG301 `DATABASE_URL` holds what looks like an address with a password",
            "dev/a.yaml:4:16 MG301 `DB_PASSWORD` holds what looks like a password",
            "dev/a.yaml:5:10 MG301 `OTHER` holds what looks like a GitHub token",
            "dev/a.yaml:6:9 MG302 every viewer of the server can read the value of `env.FINE`",
            "dev/a.yaml:8:34 MG301 `API_TOKEN` holds what looks like a key or token",
            "dev/a.yaml:9:22 MG301 `--password` holds what looks like a password",
            "dev/a.yaml:9:31 MG301 an item of `args` holds what looks like a GitHub token",
            "dev/a.yaml:10:53 MG301 an item of `command` holds what looks like a GitHub token",
            "dev/a.yaml:11:17 MG117 `secrets.hook` cannot be set: the workspace's own server has no address",
            "dev/a.yaml:11:43 MG301 an item of `command` holds what looks like a GitHub token",
        ],
    );
    let shown = format!("{:?}", resolution.diagnostics);
    for part in ["s3cr3t", "hunter2", "1234567890abcdef", "q9X2mZ"] {
        assert!(!shown.contains(part), "{part} is shown: {shown}");
    }
}

#[test]
fn modelines_are_held_against_the_schemas_that_they_name() {
    let modeline = |schema: &str| format!("# yaml-language-server: $schema={schema}\nenv: {{}}\n");
    let (here, there, net) = (
        modeline("../.schemas/workspace.json"),
        modeline("../../.schemas/old.json"),
        modeline("https://x/y.json"),
    );
    let loaded = load(&[
        CLUSTER,
        ("dev/a.yaml", &here),
        ("dev/b.yaml", &here),
        ("dev/people/c.yaml", &there),
        ("dev/d.yaml", &net),
        ("dev/people/e.yaml", &here),
    ]);
    let asked = std::cell::RefCell::new(Vec::new());
    let found = check_modelines(&loaded, &resolve(&loaded), |path| {
        asked.borrow_mut().push(path.display().to_string());
        match path.to_str().unwrap() {
            "environments/dev/../.schemas/workspace.json" => SchemaFile::Version(Some("0.1.0".to_owned())),
            "environments/dev/people/../../.schemas/old.json" => {
                SchemaFile::Version(Some("0.0.9".to_owned()))
            }
            _ => SchemaFile::Missing,
        }
    });
    assert_eq!(
        lines(&found, &loaded),
        [
            "dev/people/c.yaml:1:33 MG704 the schema `../../.schemas/old.json` is of Magus 0.0.9, and this is 0.1.0",
            "dev/people/e.yaml:1:33 MG703 the schema `../.schemas/workspace.json` does not exist",
        ]
    );
    assert_eq!(asked.borrow().len(), 3, "each file once: {asked:?}");
}

#[test]
fn what_a_mage_server_cannot_do_or_shows_is_said() {
    let workspace = "\
env:
  TOKEN: {secret: {env: TOKEN}}
  REFERENCE: {valueFrom: {secretKeyRef: {name: a, key: b}}}
secrets: {slack: {secret: {env: SLACK}}}
container_config:
  nodeSelector: {disk: ssd}
  tolerations: [{key: gpu}]
";
    let cluster = |engine: &str| format!("name: a\nengine: {{{engine}}}\n");
    let found = |cluster: &str, environment: &str| -> Vec<String> {
        let all =
            [("cluster.yaml", cluster), ("dev/environment.yaml", environment), ("dev/a.yaml", workspace)];
        let loaded = load(&all);
        let resolution = resolve(&loaded);
        let told =
            resolution.diagnostics.iter().map(|one| format!("{} {}", one.severity.as_str(), one.rule.code));
        told.collect()
    };
    let oss = cluster("mage: {url: 'https://m.dev'}");
    assert_eq!(found(&oss, "{}\n"), ["error MG117", "error MG117", "warning MG302", "error MG117"]);
    assert_eq!(found(&oss, "protected: true\n")[2], "error MG302");
    let below = cluster("mage: {url: 'https://m.dev', kubernetes: {context: c}}");
    assert_eq!(found(&below, "{}\n"), ["warning MG302", "error MG117"]);
    assert_eq!(found(&below, "defaults: {ingress_name: i}\n"), ["warning MG302"]);
    let pro = cluster("mage: {url: 'https://m.dev', edition: pro}");
    assert_eq!(found(&pro, "{}\n"), ["warning MG711", "warning MG302"]);
    let seen = cluster("mage: {url: 'https://m.dev', edition: pro, kubernetes: {context: c}}");
    assert_eq!(found(&seen, "{}\n"), ["warning MG302"], "what runs is sent again");
    assert_eq!(found(&cluster("local: {path: x}"), "protected: true\n"), Vec::<String>::new());
    let of_pro =
        "defaults: {ingress_name: i, container_config: {volumes: {/a: {bind: /b}}, public_url: c}}\n";
    assert_eq!(found(&below, of_pro), ["error MG117", "error MG117", "warning MG302"]);
    assert_eq!(found(&pro, of_pro), ["warning MG711", "warning MG302"]);
    let tag = of_pro.replace("{volumes", "{image_tag: '1', volumes");
    assert_eq!(found(&pro, &tag), ["warning MG302"]);
}
