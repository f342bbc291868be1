//! Small things that would otherwise be found by users: helps, limits, and values at their edges.

use magus_model::{
    desired::{DesiredState, Edition, Engine, MageServer, MaxDeletes},
    diagnostic::{Diagnostic, Fix},
};

use super::builder::{CLUSTER, check, fields, find, load, resolve};
use crate::settle;

/// What is found: message, and help.
fn found(files: &[(&str, &str)]) -> Vec<(String, String)> {
    let loaded = load(files);
    let resolution = resolve(&loaded);
    let mut all = loaded.diagnostics.clone();
    all.extend(resolution.diagnostics.clone());
    let told = |one: Diagnostic| (one.message, one.help.unwrap_or_default());
    settle(all, &loaded, &resolution).diagnostics.into_iter().map(told).collect()
}

const RULE: &str =
    "a name is lower-case letters, digits and `-`, begins with a letter and does not end with `-`";

#[test]
fn a_wrong_name_is_explained_with_one_that_would_do() {
    let long = "a".repeat(60);
    for (name, why, mended) in [
        ("Ana", "it begins with `A`", Some("ana")),
        ("9ana", "it begins with `9`", Some("ana")),
        (" ana", "it begins with a space", Some("ana")),
        ("ana_maria", "`_` stands at character 4", Some("ana-maria")),
        ("ana maria", "a space stands at character 4", Some("ana-maria")),
        ("ana\\tmaria", "U+0009 stands at character 4", Some("ana-maria")),
        ("ana\\u00a0maria", "U+00A0 stands at character 4", Some("ana-maria")),
        ("ana-", "it ends with `-`", Some("ana")),
        ("9", "it begins with `9`", None),
        (&long, "it has 60 characters, and 52 fit", Some(&long[..52])),
    ] {
        let text = format!("name: \"{name}\"\n");
        let all = found(&[CLUSTER, ("dev/x.yaml", &text)]);
        assert_eq!(all.len(), 1, "{name}: {all:?}");
        assert!(all[0].0.ends_with(&format!("cannot be a workspace's name: {why}")), "{all:?}");
        let help = mended.map_or(RULE.to_owned(), |mended| format!("{RULE}: `name: {mended}` would do"));
        assert_eq!(all[0].1, help);
    }
    // A name that is made of the file's is mended at the file.
    let all = found(&[CLUSTER, ("dev/Ana.yaml", "{}")]);
    assert_eq!(all[0].1, format!("{RULE}: rename the file, or give it a name of its own, `name: ana-dev`"));
    let loaded = load(&[
        ("cluster.yaml", "name: a\nengine: {local: {path: x}}\nworkspace_name: '${workspace}'\n"),
        ("dev/Ana.yaml", "{}"),
        ("dev/b.yaml", "name: B\n"),
    ]);
    let related: Vec<usize> = resolve(&loaded).diagnostics.iter().map(|one| one.related.len()).collect();
    assert_eq!(related, [1, 0], "only a name that the pattern makes points at it");
    let all = found(&[CLUSTER, ("My_Env/a.yaml", "name: a\n")]);
    assert_eq!(all[0].1, format!("{RULE}: `my-env` would do"));
    // A pattern that cannot work is reported at the pattern.
    let dollar = "name: a\nengine: {local: {path: x}}\nworkspace_name: 'a$b-${workspace}'\n";
    let all = found(&[("cluster.yaml", dollar), ("dev/a.yaml", "{}")]);
    assert!(all[0].0.contains("filled in with `a`, `$` stands at character 2"), "{all:?}");
}

#[test]
fn limits_and_rollouts_are_read() {
    let of = |limits: &str, rollout: &str| {
        let cluster = format!("name: a\nengine: {{local: {{path: x}}}}\n{limits}");
        let resolution = check(
            &[("cluster.yaml", &cluster), ("dev/environment.yaml", rollout), ("dev/a.yaml", "{}")],
            &[],
        );
        let cluster = &resolution.desired.clusters[0];
        (cluster.max_deletes, cluster.environments[0].rollout.batch)
    };
    for (limits, wanted) in [
        ("", MaxDeletes::Percent(30)),
        ("limits: {max_deletes: 7}\n", MaxDeletes::Count(7)),
        ("limits: {max_deletes: 55%}\n", MaxDeletes::Percent(55)),
        ("limits: {max_deletes: '12'}\n", MaxDeletes::Count(12)),
    ] {
        assert_eq!(of(limits, "{}").0, wanted, "{limits}");
    }
    assert_eq!(of("", "rollout: {batch: 3}\n").1, Some(3));
    assert_eq!(of("", "rollout: {batch: 0}\n").1, None, "no batch of nothing");
}

#[test]
fn every_state_is_read() {
    for (text, wanted) in [
        ("state: running\n", DesiredState::Running),
        ("state: stopped\n", DesiredState::Stopped),
        ("state: auto\n", DesiredState::Auto),
        ("{}", DesiredState::Running),
        // A state that is declared counts more than the default of auto-termination.
        (
            "state: running\nlifecycle_config: {termination_policy: {enable_auto_termination: true}}\n",
            DesiredState::Running,
        ),
        ("lifecycle_config: {termination_policy: {enable_auto_termination: true}}\n", DesiredState::Auto),
    ] {
        let resolution = check(&[CLUSTER, ("dev/a.yaml", text)], &[]);
        assert_eq!(find(&resolution.desired, "a-dev").state, wanted, "{text}");
    }
}

#[test]
fn a_mage_server_is_read_and_told_apart() {
    let files = |first: &'static str, second: &'static str| {
        [
            ("a/cluster.yaml", first),
            ("a/x.yaml", "container_config: {image: 'm:1'}"),
            ("b/cluster.yaml", second),
            ("b/x.yaml", "{}"),
        ]
    };
    let resolution = check(
        &files(
            "name: a\nengine: {mage: {url: 'https://m.dev', namespace: one, edition: pro}}\n",
            "name: b\nengine: {mage: {url: 'https://m.dev', namespace: two}}\n",
        ),
        &[],
    );
    let engines: Vec<_> = resolution.desired.clusters.iter().map(|cluster| cluster.engine.clone()).collect();
    let server = |namespace: &str, edition| {
        Engine::Mage(MageServer {
            url: "https://m.dev".into(),
            namespace: Some(namespace.into()),
            edition,
            kubernetes: None,
        })
    };
    assert_eq!(engines, [server("one", Edition::Pro), server("two", Edition::Oss)]);
    check(
        &files(
            "name: a\nengine: {mage: {url: 'https://m.dev'}}\n",
            "name: b\nengine: {mage: {url: 'https://m.dev/'}}\n",
        ),
        &["b/cluster.yaml:1:7 MG115 `b` and `a` are one cluster: they share an engine"],
    );
}

#[test]
fn variables_are_text_as_it_is_written() {
    let resolution = check(
        &[
            CLUSTER,
            (
                "dev/a.yaml",
                "env: {A: &anchor 8080, B: *anchor, C: !!str 012}\n\
                 container_config: {env: [{name: D, value: null}, {name: E}]}\n",
            ),
        ],
        &[],
    );
    assert_eq!(
        fields(&resolution.desired, "a-dev"),
        [
            "env.A = 8080 (workspace)",
            "env.B = 8080 (workspace)",
            "env.C = 012 (workspace)",
            "env.D = \"\" (workspace)",
            "env.E = \"\" (workspace)",
        ]
    );
}

#[test]
fn helps_of_lint_and_of_comments_lead_on() {
    let cluster = |lint: &str| format!("name: a\nengine: {{local: {{path: x}}}}\nlint: {{{lint}}}\n");
    let help = |lint: &str, comment: &str| {
        let workspace = format!("# a\n# magus: ignore[{comment}]\n{{}}\n");
        let all = found(&[("cluster.yaml", &cluster(lint)), ("dev/a.yaml", &workspace)]);
        all.into_iter().map(|(_, help)| help).collect::<Vec<_>>()
    };
    assert_eq!(help("image-tag: off", "MG701")[0], "rules are set by their codes: `MG701`");
    assert_eq!(help("nonsense-at-all: off", "MG701")[0], "`docs/rules/README.md` lists the rules");
    assert_eq!(help("", "MG701"), ["remove it; `magus lint --fix` does"]);
    assert_eq!(help("", "MG101"), ["while it is there, not everything that is declared is known: mend it"]);
    // A comment that has a line of its own goes with it, and nothing else does.
    let text = "env:\n  # magus: ignore[MG301] old\n  A: x\n";
    let loaded = load(&[CLUSTER, ("dev/a.yaml", text)]);
    let resolution = resolve(&loaded);
    let settled = settle(resolution.diagnostics.clone(), &loaded, &resolution);
    let Some(Fix::Edit(edits)) = &settled.diagnostics[0].fix else { panic!("no edit") };
    let span = edits[0].0;
    assert_eq!(&text[span.start as usize..span.end as usize], "  # magus: ignore[MG301] old\n");
}

#[test]
fn names_that_no_variable_has_and_amounts_that_are_none_are_explained() {
    let workspace = |line: &str| format!("env: {{\"{line}\": x}}\n");
    for (name, why) in [
        ("", "a variable without a name"),
        ("A=B", "has a `=`"),
        ("A\\0B", "has a NUL character"),
        ("A B", "has a space or line break"),
        ("A\\u0007B", "has the character U+0007"),
        ("Ä", "has a `Ä`"),
        ("9A", "begins with a digit"),
        ("..a", "begins like a path"),
        (".", "begins like a path"),
    ] {
        let all = found(&[CLUSTER, ("dev/a.yaml", &workspace(name))]);
        assert!(all.iter().any(|(message, _)| message.contains(why)), "{name}: {all:?}");
    }
    for name in ["A", "_a", "a.b-c"] {
        assert_eq!(found(&[CLUSTER, ("dev/a.yaml", &workspace(name))]), [], "{name}");
    }

    let amount = |text: &str| {
        let workspace = format!("container_config: {{resources: {{limits: {{memory: \"{text}\"}}}}}}\n");
        found(&[CLUSTER, ("dev/a.yaml", &workspace)]).into_iter().map(|(_, help)| help).next()
    };
    for (text, mended) in [
        ("4GB", "4Gi"),
        ("4 gib", "4Gi"),
        ("512mb", "512Mi"),
        ("64kb", "64Ki"),
        ("1tb", "1Ti"),
        ("500mcpu", "500m"),
        ("2cores", "2"),
    ] {
        assert_eq!(amount(text).as_deref(), Some(format!("did you mean `{mended}`?").as_str()), "{text}");
    }
    let rule = "an amount is a number with a suffix such as `m`, `Mi` or `Gi`: `500m`, `2`, `4Gi`";
    for text in ["much", "Gi", "-4Gi", "4Foo"] {
        assert_eq!(amount(text).as_deref(), Some(rule), "{text}");
    }
    assert_eq!(amount("4Gi"), None);
}

#[test]
fn placeholders_are_filled_in_wherever_they_stand() {
    let resolution = check(
        &[
            CLUSTER,
            (
                "dev/a.yaml",
                "container_config:\n  livenessProbe: {httpGet: {path: '/${workspace}', port: 1}}\n  \
                 envFrom: [{prefix: '${environment}_', secretRef: {name: '$${plain}'}}]\n",
            ),
        ],
        &[],
    );
    assert_eq!(
        fields(&resolution.desired, "a-dev"),
        [
            r#"container_config.envFrom = [{"prefix":"dev_","secretRef":{"name":"${plain}"}}] (workspace)"#,
            "container_config.livenessProbe.httpGet.path = /a (workspace)",
            "container_config.livenessProbe.httpGet.port = 1 (workspace)",
        ]
    );
}

#[test]
fn what_a_cluster_lacks_is_shown_as_it_would_be_written() {
    let all = found(&[("cluster.yaml", "defaults: {}\n"), ("dev/a.yaml", "{}")]);
    let helps: Vec<&str> = all.iter().map(|(_, help)| help.as_str()).collect();
    assert_eq!(
        helps,
        ["say how it is reached: `engine: {local: {path: ../.magus/NAME}}`", "give it a name: `name: NAME`",]
    );
}
