//! Random declarations and random drift on the real local engine: an apply leaves nothing to do.

use std::collections::BTreeMap;

use magus_tests::{Sandbox, cases};
use proptest::{
    collection::btree_map,
    prelude::{Just, Strategy, prop_oneof},
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

/// A value of a variable: of any kind that breaks a quoting, a parser or a terminal.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        "\\PC{0,8}",
        prop_oneof![
            Just("null"),
            Just("~"),
            Just("no"),
            Just("012"),
            Just("1e3"),
            Just("0x1F"),
            Just(".inf"),
            Just("'"),
            Just("\""),
            Just("#"),
            Just(" lead"),
            Just("trail "),
            Just("a\nb\n"),
            Just("\ttab"),
            Just("$HOME"),
            Just("`id`"),
            Just("\\n"),
            Just("2001-01-01"),
            Just("{{ env_var('A') }}"),
            Just("ü€𝄞"),
            Just("="),
            Just("%s"),
            Just("!tag"),
            Just("&a"),
            Just("*a"),
        ]
        .prop_map(str::to_owned),
    ]
    // A placeholder of Magus means something; that is tested where it is filled in.
    .prop_map(|text| text.replace("${", "$("))
}

/// A workspace as JSON, which is YAML.
fn workspace() -> impl Strategy<Value = Value> {
    let env = btree_map("[A-Z][A-Z0-9_]{0,6}", text(), 0..5);
    let amounts = prop_oneof![Just(("500m", "1")), Just(("0.25", "2000m")), Just(("1", "1.5"))];
    let state = prop_oneof![Just("running"), Just("stopped"), Just("auto")];
    let extra = prop_oneof![
        Just(json!({})),
        Just(json!({"tolerations": [{"key": "gpu", "operator": "Exists"}]})),
        Just(json!({"args": ["--a", "b c"], "nodeSelector": {"kubernetes.io/os": "linux"}})),
    ];
    (env, amounts, state, extra, 1_u32..30).prop_map(|(env, (request, limit), state, extra, storage)| {
        let mut container = json!({"resources": {"requests": {"cpu": request}, "limits": {"cpu": limit}}});
        for (key, value) in extra.as_object().into_iter().flatten() {
            container[key] = value.clone();
        }
        json!({"env": env, "state": state, "container_config": container, "storage_request_size": storage})
    })
}

type Declared = BTreeMap<String, Value>;

fn write(sandbox: &Sandbox, declared: &Declared) {
    let folder = sandbox.file("environments/development");
    let _ = std::fs::remove_dir_all(&folder);
    sandbox.write("environments/development/environment.yaml", "{}\n");
    sandbox.write("environments/development/_keep.txt", "");
    for (name, workspace) in declared {
        sandbox.write(&format!("environments/development/{name}.yaml"), workspace.to_string());
    }
}

#[test]
fn after_an_apply_nothing_is_to_do_whatever_was_declared_or_drifted() {
    let declared = || btree_map("[a-z][a-z0-9]{0,5}", workspace(), 1..5);
    let drift = btree_map("[A-Z]{1,4}", text(), 0..4);
    let mut runner = TestRunner::new(Config {
        cases: cases(12, 200) as u32,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&(declared(), declared(), drift, text()), |(first, second, drift, reason)| {
            let sandbox = Sandbox::with(&[(
                "environments/cluster.yaml",
                "name: acme\nengine: {local: {path: ../store}}\nlimits: {max_deletes: 100%}\nlint: {MG301: off}\n",
            )]);
            for declared in [&first, &second] {
                write(&sandbox, declared);
                sandbox.expect(0, &["apply", "--yes", "-q", "--allow-empty", "development", "--reason", &format!("x{reason}")]);
                sandbox.expect(0, &["plan", "--detailed-exitcode"]);
            }
            {
                let connection = rusqlite::Connection::open(sandbox.file("store/magus.db")).expect("opens");
                for (name, value) in &drift {
                    connection
                        .execute(
                            "UPDATE workspaces SET record = json_set(record, '$.env.' || ?1, ?2, '$.state', 'stopped') \
                             WHERE rowid % 2 = length(?1) % 2",
                            [name, value],
                        )
                        .expect("drifts");
                }
            }
            // What is applied is what was planned, and the plan survives its own file.
            sandbox.magus(&["plan", "--out", "plan.json"]);
            sandbox.expect(0, &["apply", "plan.json", "--yes", "-q"]);
            sandbox.expect(0, &["plan", "--detailed-exitcode"]);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
