//! When two values are the same.

use std::collections::BTreeMap;

use magus_diff::{digest, meaning::is_absent, same};
use magus_model::{
    path::FieldPath,
    value::{FieldValue, SecretReference, SecretSource, Value},
};
use proptest::prelude::*;

use crate::world::{Any, kept, list, map, plain, secret};

fn text(text: &str) -> Value {
    Value::string(text)
}

/// Both directions, and the digest says the same as the comparison.
fn check(path: &str, left: impl Into<Any>, right: impl Into<Any>, expected: bool) {
    let path = FieldPath::from(path);
    let (left, right) = (plain(left), plain(right));
    assert_eq!(same(&path, &left, &right), expected, "{path}: {left:?} {right:?}");
    assert_eq!(same(&path, &right, &left), expected, "{path}: {right:?} {left:?}");
    assert_eq!(
        digest(&path, &left) == digest(&path, &right),
        expected,
        "digests of {path}: {left:?} {right:?}"
    );
}

#[test]
fn amounts_are_what_they_amount_to() {
    for path in
        ["container_config.resources.limits.cpu", "container_config.resources.requests[\"nvidia.com/gpu\"]"]
    {
        check(path, "1000m", "1", true);
        check(path, "1", 1, true);
        check(path, 0.5, "500m", true);
        check(path, "1024Mi", "1Gi", true);
        check(path, "1G", "1Gi", false);
        check(path, "much", "much", true);
        check(path, "much", "1", false);
        check(path, true, "1", false);
    }
    check("container_config.image", "1000m", "1", false);
    check(
        "container_config.resources.claims",
        list(&[map(&[("name", text("1"))])]),
        list(&[map(&[("name", text("1000m"))])]),
        false,
    );
    check("env.CPU", "1000m", "1", false);
    let volume = |size| list(&[map(&[("name", text("1")), ("emptyDir", map(&[("sizeLimit", text(size))]))])]);
    check("container_config.volumes", volume("1Gi"), volume("1024Mi"), true);
    check("container_config.volumes", volume("1Gi"), volume("1G"), false);
    let sidecar = |kind, cpu| list(&[map(&[("resources", map(&[(kind, map(&[("cpu", text(cpu))]))]))])]);
    for kind in ["limits", "requests"] {
        check("container_config.initContainers", sidecar(kind, "1"), sidecar(kind, "1000m"), true);
    }
    check("container_config.initContainers", sidecar("other", "1"), sidecar("other", "1000m"), false);
    let divisor =
        |divisor| map(&[("valueFrom", map(&[("resourceFieldRef", map(&[("divisor", text(divisor))]))]))]);
    check("env.CPU", divisor("1"), divisor("1000m"), true);
}

#[test]
fn storage_counts_gi_where_it_has_no_unit() {
    let path = "storage_request_size";
    for other in [Any::from(10), Any::from("10"), Any::from("10Gi"), Any::from(10.0), Any::from("10240Mi")] {
        check(path, 10, other, true);
    }
    check(path, 10, "10G", false);
    check(path, 10, "11", false);
    check(path, "1e3", "1k", true);
    check(path, "ten", "ten", true);
    check(path, "ten", 10, false);
}

#[test]
fn times_are_instants() {
    check("restarted_at", "2026-08-01T10:00:00Z", "2026-08-01T12:00:00+02:00", true);
    check("restarted_at", "2026-08-01T10:00:00Z", "2026-08-01T10:00:00.001Z", false);
    check("restarted_at", "soon", "soon", true);
    check("restarted_at", "soon", "later", false);
    check("env.AT", "2026-08-01T10:00:00Z", "2026-08-01T12:00:00+02:00", false);
}

#[test]
fn variables_are_text() {
    for path in ["env.A", "secrets.A"] {
        check(path, "1", 1, true);
        check(path, "true", true, true);
        check(path, "1.5", 1.5, true);
        check(path, "1", 1.0, true);
        check(path, "", Value::Null, false);
        check(path, "a", "a ", false);
    }
    check("environment", "1", 1, false);
    check("secretsname", "1", 1, false);
    check("container_config.x", "1", 1, false);
    check("container_config.x", "true", true, false);
}

#[test]
fn numbers_are_what_they_count() {
    let path = "lifecycle_config.x";
    check(path, 1, 1.0, true);
    check(path, 0, -0.0, true);
    check(path, 1, 1.5, false);
    check(path, f64::NAN, -f64::NAN, true);
    check(path, 1e300, 1e300, true);
    check(path, 1e300, 2e300, false);
    check(path, 9_007_199_254_740_992, 9_007_199_254_740_992.0, true);
    check(path, 9_007_199_254_740_994, 9_007_199_254_740_994.0, false);
    check(path, i64::MAX, i64::MAX as f64, false);
    check(path, 1, true, false);
    check(path, true, false, false);
    check(path, "1", true, false);
}

#[test]
fn empty_is_absent_and_null_too() {
    let path = "container_config.x";
    let absent = [Value::Null, list(&[]), map(&[]), map(&[("a", Value::Null)]), map(&[("a", list(&[]))])];
    for value in &absent {
        assert!(is_absent(&FieldPath::from(path), &plain(value.clone())), "{value:?}");
        check(path, Value::Null, value.clone(), true);
    }
    for value in
        [text(""), Value::Bool(false), Value::Int(0), list(&[Value::Null]), map(&[("a", Value::Int(0))])]
    {
        assert!(!is_absent(&FieldPath::from(path), &plain(value.clone())), "{value:?}");
        check(path, Value::Null, value, false);
    }
    assert!(!is_absent(&FieldPath::from(path), &secret("A", None)));
    let with = |extra: &[(&str, Value)]| list(&[map(&[&[("a", text("1"))], extra].concat())]);
    check(path, with(&[]), with(&[("b", Value::Null)]), true);
    check(path, with(&[]), with(&[("b", map(&[("c", Value::Null)]))]), true);
    check(path, with(&[]), with(&[("b", text(""))]), false);
    // To select everything is not to select nothing.
    for selector in ["labelSelector", "namespaceSelector"] {
        check(path, with(&[]), with(&[(selector, map(&[]))]), false);
        check(
            path,
            with(&[(selector, map(&[("matchLabels", map(&[]))]))]),
            with(&[(selector, map(&[]))]),
            true,
        );
        check(path, with(&[]), with(&[(selector, Value::Null)]), true);
        check(path, with(&[]), with(&[(selector, list(&[]))]), true);
    }
}

#[test]
fn lists_are_in_order_unless_kubernetes_reads_sets() {
    let (a, b) = (map(&[("name", text("a"))]), map(&[("name", text("b"))]));
    let (forward, back) = (list(&[a.clone(), b.clone()]), list(&[b, a.clone()]));
    for (key, is_set) in [
        ("tolerations", true),
        ("imagePullSecrets", true),
        ("ports", true),
        ("topologySpreadConstraints", true),
        ("volumeDevices", true),
        ("volumeMounts", true),
        ("volumes", true),
        ("securityContext.capabilities.add", true),
        ("securityContext.capabilities.drop", true),
        ("args", false),
        ("envFrom", false),
        ("command", false),
        ("add", false),
        ("securityContext.capabilities.other", false),
    ] {
        check(&format!("container_config.{key}"), forward.clone(), back.clone(), is_set);
        let nested = |inner: &Value| {
            let value = key.rsplit('.').fold(inner.clone(), |value, key| map(&[(key, value)]));
            list(&[value])
        };
        check("container_config.initContainers", nested(&forward), nested(&back), is_set);
    }
    check(
        "container_config.tolerations",
        list(&[a.clone(), a.clone()]),
        list(std::slice::from_ref(&a)),
        true,
    );
    check("container_config.args", list(&[a.clone(), a.clone()]), list(&[a]), false);
    check("container_config.args", list(&[text("1")]), list(&[Value::Int(1)]), false);
}

#[test]
fn a_secret_is_its_source_and_version() {
    let path = FieldPath::from("env.A");
    let reference = |source, version| FieldValue::from(SecretReference { source, version, keep: false });
    let command = |words: &[&str], folder: &str| SecretSource::Command {
        words: words.iter().map(|word| (*word).into()).collect(),
        folder: folder.into(),
    };
    let all = [
        plain("A"),
        secret("A", None),
        secret("B", None),
        secret("A", Some(1)),
        secret("A", Some(2)),
        reference(SecretSource::File("A".into()), None),
        reference(command(&["A"], ""), None),
        reference(command(&["A"], "x"), None),
        reference(command(&["A", ""], ""), None),
        reference(command(&["AB"], ""), None),
        reference(command(&["A", "B"], ""), None),
    ];
    for (at, left) in all.iter().enumerate() {
        for (other, right) in all.iter().enumerate() {
            assert_eq!(same(&path, left, right), at == other, "{left} {right}");
            assert_eq!(digest(&path, left) == digest(&path, right), at == other, "{left} {right}");
        }
        assert!(same(&path, &kept("K"), left), "what is kept may be anything");
        assert!(!same(&path, left, &kept("K")), "but not the other way round");
    }
    assert_eq!(digest(&path, &kept("A")), digest(&path, &kept("B")));
    assert_ne!(digest(&path, &kept("A")), digest(&path, &secret("A", None)));
    let mut observed = kept("A");
    if let FieldValue::Secret(reference) = &mut observed {
        reference.version = Some(1);
    }
    assert!(same(&path, &secret("A", Some(1)), &observed));
}

/// These are in the marks of people's clusters: they must be the same in every release.
#[test]
fn digests_are_stable_across_releases() {
    let of = |path: &str, value: FieldValue| digest(&FieldPath::from(path), &value).to_string();
    let all = [
        of("env.A", plain("1")),
        of("container_config.resources.limits.cpu", plain("500m")),
        of("storage_request_size", plain(10)),
        of("restarted_at", plain("2026-08-01T10:00:00Z")),
        of("lifecycle_config.x", plain(1.5)),
        of("lifecycle_config.x", plain(true)),
        of("lifecycle_config.x", plain(-7)),
        of("container_config.args", plain(list(&[text("a"), map(&[("b", Value::Int(1))])]))),
        of("container_config.args", plain(Value::Null)),
        of("env.S", secret("S", Some(3))),
        of("env.S", kept("S")),
    ];
    assert_eq!(
        all,
        [
            "f413fad1b2997bf42179",
            "d954de5edac389f2cc8c",
            "917790e97eb10eda8693",
            "56e76c619d5fa5822795",
            "586bae06ef42a1345d4c",
            "0ffaac099f9b22205f96",
            "97f3c57aa2f6c5e3563c",
            "983ae1d783c19da88197",
            "ca978112ca1bbdcafac2",
            "4ea1b282c28a61c76d7d",
            "79f076abdd19a752db72",
        ]
    );
}

#[test]
fn a_digest_is_short_hexadecimal() {
    let digest = digest(&FieldPath::from("env.A"), &plain("x"));
    assert_eq!(digest.len(), 20);
    assert!(digest.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)), "{digest}");
    assert!(!digest.is_heap_allocated());
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-2..3i64).prop_map(Value::Int),
        prop_oneof![Just(0.0), Just(1.0), Just(1.5)].prop_map(Value::Float),
        prop_oneof!["", "1", "1000m", "a", "2026-08-01T10:00:00Z"]
            .prop_map(|text| Value::string(text.as_str())),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let key = prop_oneof!["a", "limits", "sizeLimit", "tolerations", "labelSelector"]
            .prop_map(|key| key.as_str().into());
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
            prop::collection::vec((key, inner), 0..3)
                .prop_map(|entries| Value::Map(entries.into_iter().collect::<BTreeMap<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_the_same_has_the_same_digest_and_the_reverse(
        path in prop_oneof![
            "env.A", "container_config.tolerations", "container_config.resources.limits.cpu", "storage_request_size",
            "restarted_at", "lifecycle_config.x"
        ],
        left in value(),
        right in value(),
    ) {
        let path = FieldPath::from(path.as_str());
        let (left, right) = (FieldValue::Plain(left), FieldValue::Plain(right));
        prop_assert!(same(&path, &left, &left));
        let equal = same(&path, &left, &right);
        prop_assert_eq!(equal, same(&path, &right, &left));
        prop_assert_eq!(equal, digest(&path, &left) == digest(&path, &right));
        prop_assert!(!equal || is_absent(&path, &left) == is_absent(&path, &right));
    }
}
