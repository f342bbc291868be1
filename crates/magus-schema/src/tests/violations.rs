//! What is said about what is wrong.

use magus_model::diagnostic::{Diagnostic, Fix};

use super::document;
use crate::{
    SchemaKind::{self, Cluster, Environment, Workspace},
    validate,
};

/// `CODE line:column-column message | help | line after the fix`.
fn shown(diagnostic: &Diagnostic, yaml: &str) -> String {
    let (_, sources) = document(yaml);
    let at = diagnostic.locate(&sources);
    let mut text = format!("{} {}:{}-{} {}", at.code, at.line, at.column, at.end_column, at.message);
    if let Some(help) = &diagnostic.help {
        text.push_str(" | ");
        text.push_str(help);
    }
    if let Some(Fix::Edit(edits)) = &diagnostic.fix {
        let [(span, new)] = &edits[..] else { panic!("one edit mends one thing") };
        let mut fixed = yaml.to_owned();
        fixed.replace_range(span.start as usize..span.end as usize, new);
        text.push_str(" | fix: ");
        text.push_str(fixed.lines().nth(at.line as usize - 1).unwrap_or("").trim_start());
    }
    text
}

fn check(kind: SchemaKind, yaml: &str, expected: &[&str]) {
    let (root, sources) = document(yaml);
    let found: Vec<String> = validate(kind, &root, &sources).iter().map(|d| shown(d, yaml)).collect();
    assert_eq!(found, expected, "{yaml}");
}

#[test]
fn unknown_keys_say_where_they_belong() {
    check(
        Workspace,
        "imge: x\nimage: x\ncontainerConfig: {}\npromotes_from: y\nenvironment: {}\n",
        &[
            "MG020 1:1-5 unknown key `imge` | did you mean `image` in `container_config`?",
            "MG020 2:1-6 unknown key `image` | `image` belongs in `container_config`",
            "MG020 3:1-16 unknown key `containerConfig` | did you mean `container_config`? | fix: container_config: {}",
            "MG020 4:1-14 unknown key `promotes_from` | `promotes_from` belongs in environment.yaml",
            "MG020 5:1-12 unknown key `environment` | run `magus schema workspace` for all keys that are known",
        ],
    );
    check(
        Workspace,
        "container_config:\n  env_from: []\n  imge: a:1\n  name: x\n  livenessProbe: {env: []}\n",
        &[
            "MG020 2:3-11 unknown key `env_from` in `container_config` | did you mean `envFrom`? | fix: envFrom: []",
            "MG020 3:3-7 unknown key `imge` in `container_config` | did you mean `image`? | fix: image: a:1",
            "MG020 5:19-22 unknown key `env` in `container_config.livenessProbe` | `env` belongs beside `livenessProbe`, not in it",
        ],
    );
    check(
        Workspace,
        "state: running\nstat: running\n",
        &["MG020 2:1-5 unknown key `stat` | did you mean `state`, which is already there?"],
    );
    check(
        Cluster,
        "requires: \">=0.1\"\nimage: x\nengine:\n  local: {path: x}\n  repository: {url: x}\ntemplates:\n  a: {imge: x}\n",
        &[
            "MG020 2:1-6 unknown key `image` | `image` belongs in `defaults.container_config`",
            "MG020 5:3-13 unknown key `repository` in `engine` | `repository` belongs beside `engine`, not in it",
            "MG020 7:7-11 unknown key `imge` in `templates.a` | did you mean `image` in `container_config`?",
        ],
    );
    for (yaml, home) in [
        ("engine: {mage: {url: x}}\nkubernetes: {}\n", "engine.mage"),
        ("engine: {}\nkubernetes: {}\n", "engine"),
    ] {
        let expected = format!("unknown key `kubernetes` | `kubernetes` belongs in `{home}`");
        let (root, sources) = document(yaml);
        let found = validate(Cluster, &root, &sources);
        assert!(found.iter().any(|finding| shown(finding, yaml).ends_with(&expected)), "{yaml}");
    }
    check(
        Cluster,
        "engine: {docker: {}}\n",
        &["MG020 1:10-16 unknown key `docker` in `engine` | known here: `kubernetes`, `local` and `mage`"],
    );
    check(
        Environment,
        "brnch: x\n\"protectd\": true\nname: x\n",
        &[
            "MG020 1:1-6 unknown key `brnch` | did you mean `branch`? | fix: branch: x",
            "MG020 2:1-11 unknown key `protectd` | did you mean `protected`? | fix: protected: true",
            "MG020 3:1-5 unknown key `name` | `name` belongs in `branch_workspaces`, cluster.yaml or a workspace's file",
        ],
    );
}

#[test]
fn variables_that_are_no_text_are_quoted_as_they_are_written() {
    check(
        Workspace,
        "env:\n  A: 1\n  B: true\n  C: 1.50 # a comment\n  D: 0x1F\n  \"\": 3\n  \"8080\": 5\n  a/b~c: 2\n  E: [a]\n  F: {}\n  G: \"1\"\n  H: yes\n  I: ~\n",
        &[
            "MG203 2:6-7 the value of `A` is a whole number, not text | quote it, because variables are text: run `magus lint --fix` | fix: A: \"1\"",
            "MG203 3:6-10 the value of `B` is a boolean, not text | quote it, because variables are text: run `magus lint --fix` | fix: B: \"true\"",
            "MG203 4:6-10 the value of `C` is a number, not text | quote it, because variables are text: run `magus lint --fix` | fix: C: \"1.50\" # a comment",
            "MG203 5:6-10 the value of `D` is a whole number, not text | quote it, because variables are text: run `magus lint --fix` | fix: D: \"0x1F\"",
            "MG203 6:7-8 the value of `` is a whole number, not text | quote it, because variables are text: run `magus lint --fix` | fix: \"\": \"3\"",
            "MG203 7:11-12 the value of `8080` is a whole number, not text | quote it, because variables are text: run `magus lint --fix` | fix: \"8080\": \"5\"",
            "MG203 8:10-11 the value of `a/b~c` is a whole number, not text | quote it, because variables are text: run `magus lint --fix` | fix: a/b~c: \"2\"",
            "MG021 9:3-4 `env.E` has to be text or a map, but is a list",
            "MG024 10:3-4 `env.F` is empty: exactly one of `secret` or `valueFrom` has to be given",
        ],
    );
    check(
        Workspace,
        "container_config:\n  env:\n    - {name: A, value: 8080}\n    - {name: B, value: x, valueFrom: {fieldRef: {fieldPath: a}}}\n    - {value: x}\n    - {nme: C}\n",
        &[
            "MG203 3:24-28 the value of `A` is a whole number, not text | quote it, because variables are text: run `magus lint --fix` | fix: - {name: A, value: \"8080\"}",
            "MG024 4:27-36 `valueFrom` beside `value`, where only one can be given | give exactly one of `value` or `valueFrom`",
            "MG022 5:7-7 `container_config.env[2]` has no `name` | add `name`: the variable's name",
            "MG020 6:8-11 unknown key `nme` in `container_config.env[3]` | did you mean `name`? | fix: - {name: C}",
        ],
    );
    check(
        Workspace,
        "env:\n  A: &port 8080\n  B: *port\n",
        &[
            "MG203 2:12-16 the value of `A` is a whole number, not text | quote it, because variables are text: run `magus lint --fix` | fix: A: &port \"8080\"",
        ],
    );
    check(
        Cluster,
        "defaults:\n  env: {A: 1}\ntemplates:\n  t:\n    env: {B: off, C: false}\n",
        &[
            "MG203 2:12-13 the value of `A` is a whole number, not text | quote it, because variables are text: run `magus lint --fix` | fix: env: {A: \"1\"}",
            "MG203 5:22-27 the value of `C` is a boolean, not text | quote it, because variables are text: run `magus lint --fix` | fix: env: {B: off, C: \"false\"}",
        ],
    );
}

#[test]
fn references_are_exactly_one() {
    check(
        Workspace,
        "env:\n  A: {version: 2}\n  B: {valueFrom: {}}\n  C: {valueFrom: {fieldRef: {fieldPath: a}}, secret: {env: A}}\n  D: {valueFrom: {fieldRef: {fieldPath: a}}, version: 1}\n  E: {valueFrom: {secretKeyRef: {name: a}}}\n  F: {secret: {env: A}, version: 2, keep: true}\n",
        &[
            "MG022 2:7-14 `version` without `secret` | write the reference beside it, such as `secret: {env: NAME}`",
            "MG024 3:7-16 `env.B.valueFrom` is empty: exactly one of `configMapKeyRef`, `fieldRef`, `fileKeyRef`, `resourceFieldRef` or `secretKeyRef` has to be given",
            "MG024 4:46-52 `secret` beside `valueFrom`, where only one can be given | give exactly one of `secret` or `valueFrom`",
            "MG024 5:46-53 `version` beside `valueFrom`, where only one can be given | give exactly one of `secret` or `valueFrom`",
            "MG022 6:19-31 `env.E.valueFrom.secretKeyRef` has no `key` | add `key`: the key in it",
        ],
    );
    check(
        Workspace,
        "secrets:\n  a: {secret: {env: X, file: y}}\n  b: {secret: {envv: X}}\n  c: {}\n  d: {secret: {command: []}}\n  e: {secret: {env: X, vault: y}}\n  f: text\n",
        &[
            "MG024 2:24-28 `file` beside `env`, where only one can be given | give exactly one of `command`, `env` or `file`",
            "MG020 3:16-20 unknown key `envv` in `secrets.b.secret` | did you mean `env`? | fix: b: {secret: {env: X}}",
            "MG022 4:3-4 `secrets.c` has no `secret` | add `secret`: where apply gets the value: exactly one of `env`, `file` and `command`",
            "MG023 5:16-23 `secrets.d.secret.command` is empty | give it items: a program and its arguments, run without a shell in the folder of this file",
            "MG020 6:24-29 unknown key `vault` in `secrets.e.secret` | known here: `command`, `env` and `file`",
            "MG021 7:6-10 `secrets.f` has to be a map, but is text",
        ],
    );
    check(
        Cluster,
        "engine: {}\n",
        &["MG024 1:1-7 `engine` is empty: exactly one of `kubernetes`, `local` or `mage` has to be given"],
    );
    check(
        Cluster,
        "engine: {local: {}}\n",
        &[
            "MG022 1:10-15 `engine.local` has no `path` | add `path`: the folder of the store, relative to this file",
        ],
    );
    check(
        Cluster,
        "engine: {local: {pth: x}}\n",
        &[
            "MG020 1:18-21 unknown key `pth` in `engine.local` | did you mean `path`? | fix: engine: {local: {path: x}}",
        ],
    );
    check(
        Cluster,
        "engine: {local: {path: x}, mage: {url: y}}\n",
        &[
            "MG024 1:28-32 `mage` beside `local`, where only one can be given | give exactly one of `kubernetes`, `local` or `mage`",
        ],
    );
    check(
        Cluster,
        "engine: {local:}\n",
        &[
            "MG021 1:10-15 `engine.local` has no value, but has to be a map | give it a value, or remove the key",
        ],
    );
}

#[test]
fn wrong_types_say_what_was_meant() {
    check(
        Workspace,
        "env:\n  - name: A\n    value: b\n",
        &[
            "MG021 1:1-4 `env` has to be a map, but is a list | write `NAME: value` for each variable; the list form belongs in `container_config`",
        ],
    );
    check(
        Workspace,
        "container_config:\n  env:\n    A: b\n",
        &[
            "MG021 2:3-6 `container_config.env` has to be a list, but is a map | write the variables under `env` of the workspace, beside `container_config`",
        ],
    );
    check(
        Workspace,
        "container_config: |\n  image: x\n",
        &[
            "MG021 1:19-11 `container_config` has to be a map, but is text | write it as YAML and not as a string: remove the `|` after the key",
        ],
    );
    check(
        Workspace,
        "state: 3\nuse: large\nstorage_request_size: 1.5\n",
        &[
            "MG021 1:8-9 `state` has to be a word, but is a whole number | it is one of `running`, `stopped` or `auto`",
            "MG021 2:6-11 `use` has to be a list, but is text | write it as a list, in `[` and `]` or with a `-` before each item",
            "MG021 3:23-26 `storage_request_size` has to be a whole number or text, but is a number | write it like `10Gi`",
        ],
    );
    check(
        Workspace,
        "use: [large, 3]\n",
        &[
            "MG021 1:14-15 `use[1]` has to be text, but is a whole number | put it into quotes | fix: use: [large, \"3\"]",
        ],
    );
    check(
        Workspace,
        "lifecycle_config:\n  termination_policy:\n    enable_auto_termination: yes\n    max_idle_seconds: \"1800\"\n  post_start: {command: echo}\n",
        &[
            "MG021 3:30-33 `lifecycle_config.termination_policy.enable_auto_termination` has to be `true` or `false`, but is text | write `true` | fix: enable_auto_termination: true",
            "MG021 4:23-29 `lifecycle_config.termination_policy.max_idle_seconds` has to be a whole number, but is text | write it without quotes | fix: max_idle_seconds: 1800",
            "MG021 5:25-29 `lifecycle_config.post_start.command` has to be a list, but is text | write it as a list, in `[` and `]` or with a `-` before each item",
        ],
    );
    check(
        Workspace,
        "container_config:\n  tolerations:\n    - {key: a, value: true}\n  nodeSelector: {a: 1}\n",
        &[
            "MG021 3:23-27 `container_config.tolerations[0].value` has to be text, but is a boolean | put it into quotes | fix: - {key: a, value: \"true\"}",
            "MG021 4:21-22 `container_config.nodeSelector.a` has to be text, but is a whole number | put it into quotes | fix: nodeSelector: {a: \"1\"}",
        ],
    );
    check(Workspace, "- a\n", &["MG021 1:1-1 a workspace has to be a map of keys, but is a list"]);
    check(Workspace, "text\n", &["MG021 1:1-5 a workspace has to be a map of keys, but is text"]);
    check(Workspace, "env:\nname:\nuse:\n", &[]);
    check(
        Cluster,
        "requires: 0.1\nrepository: git@x\n",
        &[
            "MG021 1:11-14 `requires` has to be text, but is a number | put it into quotes | fix: requires: \"0.1\"",
            "MG021 2:13-18 `repository` has to be a map, but is text",
        ],
    );
    check(
        Environment,
        "protected: yes\ngates: {soak: 1}\n",
        &[
            "MG021 1:12-15 `protected` has to be `true` or `false`, but is text | write `true` | fix: protected: true",
            "MG021 2:15-16 `gates.soak` has to be text, but is a whole number | write it like `30m`, `24h` or `7d`",
        ],
    );
}

#[test]
fn values_that_are_not_allowed() {
    check(
        Workspace,
        "state: runing\n",
        &[
            "MG023 1:8-14 `runing` is no value of `state` | did you mean `running`? it is one of `running`, `stopped` or `auto` | fix: state: running",
        ],
    );
    check(
        Workspace,
        "state: Stopped\n",
        &[
            "MG023 1:8-15 `Stopped` is no value of `state` | did you mean `stopped`? it is one of `running`, `stopped` or `auto` | fix: state: stopped",
        ],
    );
    check(
        Workspace,
        "restarted_at: 2026-13-01\ndeploy: now\n",
        &[
            "MG023 1:15-25 `2026-13-01` is no value of `restarted_at` | write it like `2026-08-01T10:00:00Z`",
            "MG023 2:9-12 `now` is no value of `deploy` | it is one of `head`, `pinned`, `once` or `none`",
        ],
    );
    check(
        Workspace,
        "container_config:\n  resources:\n    requests: {cpu: -1, memory: .inf, x: true}\n  livenessProbe:\n    httpGet: {port: 0}\n    periodSeconds: 0\n",
        &[
            "MG023 3:21-23 `container_config.resources.requests.cpu` is too small | it may be 0 or more",
            "MG023 3:33-37 `container_config.resources.requests.memory` is no finite number | it may be 0 or more",
            "MG021 3:42-46 `container_config.resources.requests.x` has to be text or a number, but is a boolean | write it like `500m` or `4Gi`",
            "MG023 5:21-22 `container_config.livenessProbe.httpGet.port` is too small | it may be from 1 to 65535",
            "MG023 6:20-21 `container_config.livenessProbe.periodSeconds` is too small | it may be 1 or more",
        ],
    );
    check(
        Cluster,
        "limits: {max_deletes: 200%}\n",
        &["MG023 1:23-27 `200%` is no value of `limits.max_deletes` | write it like `10` or `30%`"],
    );
    check(
        Cluster,
        "limits: {max_deletes: -1}\n",
        &["MG023 1:23-25 `limits.max_deletes` is too small | it may be 0 or more"],
    );
    check(
        Cluster,
        "lint: {MG702: fatal, MG999: off}\n",
        &[
            "MG023 1:15-20 `fatal` is no value of `lint.MG702` | it is one of `off`, `hint`, `warning` or `error`",
        ],
    );
    check(
        Environment,
        "rollout: {batch: 0, wait_for_runs: 30 minutes}\n",
        &[
            "MG023 1:18-19 `rollout.batch` is too small | it may be from 1 to 10000",
            "MG023 1:36-46 `30 minutes` is no value of `rollout.wait_for_runs` | write it like `30m`, `24h` or `7d`",
        ],
    );
    check(
        Environment,
        "gates:\n  windows:\n    - {days: [monday], from: 9:00, to: \"17:00\"}\n    - {from: \"09:00\"}\n  freezes:\n    - {from: 2026-02-30, to: x}\n",
        &[
            "MG023 3:15-21 `monday` is no value of `gates.windows[0].days[0]` | it is one of `mon`, `tue`, `wed`, `thu`, `fri`, `sat` or `sun`",
            "MG023 3:30-34 `9:00` is no value of `gates.windows[0].from` | write it like `09:00` or `17:30`",
            "MG022 4:7-7 `gates.windows[1]` has no `to` | add `to`: when it ends, such as `17:00`; not after `from` means on the next day",
            "MG023 6:14-24 `2026-02-30` is no value of `gates.freezes[0].from` | write it like `2026-12-20`",
            "MG023 6:30-31 `x` is no value of `gates.freezes[0].to` | write it like `2026-12-20`",
        ],
    );
}

#[test]
fn keys_of_the_pod_and_invisible_characters_lead_to_the_right_key() {
    for (text, message, help) in [
        (
            "container_config: {\"\u{a0}image\": x}\n",
            "the key `image` begins with the invisible character U+00A0 (no-break space)",
            "write `image` without it",
        ),
        (
            "\"en\u{200b}v\": {}\n",
            "the key `env` holds the invisible character U+200B (zero width space)",
            "write `env` without it",
        ),
        (
            "container_config: {serviceAccountName: x}\n",
            "unknown key `serviceAccountName` in `container_config`",
            "it belongs to the pod: write `service_account_name` beside `container_config`",
        ),
        (
            "container_config: {containers: []}\n",
            "unknown key `containers` in `container_config`",
            "`container_config` is the container itself: write the keys of the container right below it",
        ),
    ] {
        let (root, sources) = super::document(text);
        let found = crate::validate(crate::SchemaKind::Workspace, &root, &sources);
        let found: Vec<_> =
            found.iter().map(|found| (found.message.as_str(), found.help.as_deref())).collect();
        assert_eq!(found, [(message, Some(help))]);
    }
}
