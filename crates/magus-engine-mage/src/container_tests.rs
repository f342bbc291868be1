//! Texts that people and servers store, and texts that Magus writes.

use proptest::{collection::btree_map, prelude::*};

use super::*;

fn leaves(text: &str) -> Vec<String> {
    read(text, Form::Kubernetes).unwrap().iter().map(|(path, value)| format!("{path}={value}")).collect()
}

fn content(leaves: &[(&str, Value)], removed: &[&str]) -> Content {
    Content {
        leaves: leaves.iter().map(|(path, value)| (FieldPath::from(*path), value.clone())).collect(),
        removed: removed.iter().map(|path| FieldPath::from(*path)).collect(),
        ..Content::default()
    }
}

#[test]
fn stored_texts_are_read_by_meaning() {
    for (text, expected) in [
        ("{}", &[][..]),
        ("# only a comment\n{}\n", &[]),
        ("image: a:1\n", &["container_config.image=a:1"]),
        (
            "env:\n- name: A\n  value: \"1\"\n- {name: B, valueFrom: {secretKeyRef: {name: s, key: k}}}\nresources: {limits: {cpu: 2, memory: 1Gi}}\n",
            &[
                "container_config.resources.limits.cpu=2",
                "container_config.resources.limits.memory=1Gi",
                "env.A=1",
                "env.B={\"valueFrom\":{\"secretKeyRef\":{\"key\":\"k\",\"name\":\"s\"}}}",
            ],
        ),
        ("env: [{name: A, value: 1}, {name: A, value: \"2\"}]", &["env.A=2"]),
        ("env: [{name: A}, {name: B, $patch: delete}]", &["env.A=\"\""]),
        ("env: null\nargs: [x, 1]\nresources: null\n", &["container_config.args=[\"x\",1]"]),
        ("livenessProbe: {exec: {command: [a]}}", &["container_config.livenessProbe.exec.command=[\"a\"]"]),
    ] {
        assert_eq!(leaves(text), expected, "{text}");
    }
}

#[test]
fn what_is_not_understood_has_a_reason_that_quotes_no_value() {
    for (text, reason) in [
        ("", "its container_config is no map"),
        ("- hunter2", "its container_config is no map"),
        ("a: [hunter2", "its container_config is no YAML at line 1, column 12"),
        ("env: hunter2", "its variables are no list"),
        ("env: [hunter2]", "one of its variables is no map"),
        ("env: [{value: hunter2}]", "one of its variables has no name"),
        ("env: [{name: A, value: [hunter2]}]", "the value of its variable `A` is no text"),
        ("1: hunter2", "its container_config has a key that is no text"),
    ] {
        let found = read(text, Form::Kubernetes).unwrap_err();
        assert!(!found.contains("hunter2"), "{found}");
        // The column of a syntax error is the parser's business.
        let without_place = |text: &str| text.split(" at line").next().unwrap_or("").to_owned();
        assert_eq!(without_place(&found), without_place(reason), "{text}");
    }
}

#[test]
fn everything_is_quoted_and_the_mark_comes_first() {
    let secret = Value::Map(BTreeMap::from([(
        "valueFrom".into(),
        Value::Map(BTreeMap::from([(
            "fieldRef".into(),
            Value::Map(BTreeMap::from([("fieldPath".into(), Value::string("status.podIP"))])),
        )])),
    )]));
    let content = content(
        &[
            ("env.A", Value::string("on")),
            ("env.N", Value::Int(1)),
            ("env.P", secret),
            ("container_config.image", Value::string("a:1")),
            ("container_config.nodeSelector[\"kubernetes.io/os\"]", Value::string("linux")),
            ("container_config.args", Value::List(vec![Value::string("a\nb"), Value::Bool(true)])),
        ],
        &[],
    );
    assert_eq!(
        write(Some("# magus: x"), &content, Form::Kubernetes).unwrap(),
        "# magus: x\n\
         env:\n\
         - name: \"A\"\n  value: \"on\"\n\
         - name: \"N\"\n  value: \"1\"\n\
         - name: \"P\"\n  valueFrom:\n    fieldRef:\n      fieldPath: \"status.podIP\"\n\
         args: [\"a\\nb\", true]\n\
         image: \"a:1\"\n\
         nodeSelector:\n  \"kubernetes.io/os\": \"linux\"\n"
    );
    assert_eq!(write(None, &Content::default(), Form::Kubernetes).unwrap(), "{}\n");
    assert_eq!(write(Some("# magus: x"), &Content::default(), Form::Kubernetes).unwrap(), "# magus: x\n{}\n");
}

#[test]
fn what_is_removed_is_taken_away_by_the_patch() {
    let from = Value::Map(BTreeMap::from([(
        "valueFrom".into(),
        Value::Map(BTreeMap::from([("x".into(), Value::Int(1))])),
    )]));
    let content = content(
        &[("env.A", Value::string("a")), ("env.B", from)],
        &["env.A", "env.B", "env.C", "container_config.resources.limits"],
    );
    assert_eq!(
        write(None, &content, Form::Kubernetes).unwrap(),
        "env:\n\
         - name: \"A\"\n  value: \"a\"\n  valueFrom: null\n\
         - name: \"B\"\n  value: null\n  valueFrom:\n    x: 1\n\
         - name: \"C\"\n  $patch: delete\n\
         resources: null\n"
    );
}

#[test]
fn an_object_is_removed_as_a_whole() {
    let written = |leaves: &[(&str, Value)], removed: &[&str]| {
        write(None, &content(leaves, removed), Form::Kubernetes).unwrap()
    };
    let probe =
        ["container_config.livenessProbe.httpGet.path", "container_config.livenessProbe.httpGet.port"];
    assert_eq!(written(&[], &probe), "livenessProbe: null\n");
    // Another handler takes the place of the first.
    let other = [("container_config.livenessProbe.tcpSocket.port", Value::Int(80))];
    assert_eq!(written(&other, &probe), "livenessProbe:\n  httpGet: null\n  tcpSocket:\n    port: 80\n");
    let delay = [("container_config.livenessProbe.httpGet.port", Value::Int(80))];
    assert_eq!(written(&delay, &probe[..1]), "livenessProbe:\n  httpGet:\n    path: null\n    port: 80\n");
    // Mage may have the other handler of `lifecycle`.
    assert_eq!(
        written(&[], &["container_config.lifecycle.preStop.exec.command"]),
        "lifecycle:\n  preStop: null\n"
    );
    // These are only left out of the text: without them there is no container.
    let never = ["name", "ports", "volumeMounts", "image"].map(|key| format!("container_config.{key}"));
    assert_eq!(written(&[], &never.each_ref().map(String::as_str)), "{}\n");
}

#[test]
fn what_a_patch_would_merge_is_replaced() {
    let value = |yaml: &str| -> Value { serde_yaml::from_str(yaml).unwrap() };
    let before = value("{valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}");
    let after = value("{valueFrom: {secretKeyRef: {name: s, key: l}}}");
    let path = FieldPath::from("env.A");
    assert!(is_merged(&path, &before, &after) && !is_merged(&path, &after, &after));
    let devices = FieldPath::from("container_config.volumeDevices");
    let [one, two] = ["[{devicePath: /a, name: a}]", "[{devicePath: /b, name: b}]"].map(value);
    assert!(is_merged(&devices, &one, &two));
    assert!(!is_merged(&FieldPath::from("container_config.args"), &one, &two), "it is replaced anyway");
    let content = Content {
        replaced: Leaves::from([(path.clone(), before), (devices.clone(), one)]),
        leaves: Leaves::from([(path, after), (devices, two)]),
        ..Content::default()
    };
    assert!(content.takes_away() && !content.clean().takes_away());
    assert_eq!(
        write(None, &content, Form::Kubernetes).unwrap(),
        "env:\n- name: \"A\"\n  valueFrom:\n    secretKeyRef:\n      key: \"l\"\n      name: \"s\"\n      optional: null\n\
         volumeDevices: [{\"$patch\": \"replace\"}, {devicePath: \"/b\", name: \"b\"}]\n"
    );
}

#[test]
fn paths_of_other_fields_are_refused() {
    for path in ["ingress_name", "env", "container_config", "env.A.b"] {
        assert!(write(None, &content(&[(path, Value::Int(1))], &[]), Form::Kubernetes).is_err(), "{path}");
    }
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1e300..1e300f64).prop_map(Value::Float),
        "\\PC{0,12}".prop_map(Value::string),
        any::<String>().prop_map(Value::string),
        prop::sample::select(vec!["no", "1_000", "0o7", "1:30", "~", "", "null", "=", "<<", "2001-01-01"])
            .prop_map(Value::string),
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Value::List),
            btree_map("[a-z./\"$ ]{0,6}".prop_map(Text::from), inner, 1..4).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        variables in btree_map("[A-Z_.]{1,8}", any::<String>(), 0..6),
        fields in btree_map("[a-z]{1,8}", tree(), 0..6),
    ) {
        let mut content = Content::default();
        for (name, text) in &variables {
            content.leaves.insert(FieldPath::key(ENV).child(name), Value::string(text));
        }
        let mut leaves = Vec::new();
        for (key, value) in fields {
            if key != ENV {
                flatten(&FieldPath::key(CONTAINER).child(&key), value, &mut leaves);
            }
        }
        content.leaves.extend(leaves);
        let text = write(Some("# magus: {\"a\": \"b # c\"}"), &content, Form::Kubernetes).unwrap();
        prop_assert_eq!(read(&text, Form::Kubernetes).unwrap(), content.leaves, "{}", text);
    }

    #[test]
    fn no_text_makes_reading_panic(text in "\\PC{0,40}") {
        let _ = read(&text, Form::Kubernetes);
    }
}

#[test]
fn on_docker_variables_are_a_map_and_nothing_is_taken_away() {
    let leaves = [
        ("env.A", Value::string("on")),
        ("env.N", Value::Int(1)),
        ("container_config.image", Value::string("mage-pro:1")),
        ("container_config.volumes[\"/data/a.b\"].bind", Value::string("/home/src")),
    ];
    let text = write(Some("# magus: x"), &content(&leaves, &["env.GONE"]), Form::Docker).unwrap();
    assert_eq!(
        text,
        "# magus: x\n\
         environment:\n  \"A\": \"on\"\n  \"N\": \"1\"\n\
         image: \"mage-pro:1\"\n\
         volumes:\n  \"/data/a.b\":\n    bind: \"/home/src\"\n"
    );
    let read = read(&text, Form::Docker).unwrap();
    assert_eq!(read[&FieldPath::from("env.N")], Value::string("1"));
    assert_eq!(read.len(), leaves.len());
    let from = Value::Map(BTreeMap::from([("valueFrom".into(), Value::Map(BTreeMap::new()))]));
    let refused = write(None, &content(&[("env.A", from)], &[]), Form::Docker).unwrap_err();
    assert!(refused.contains("`env.A`") && refused.contains("{secret: …}"), "{refused}");
}
