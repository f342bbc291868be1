//! A whole cluster: who is declared, who is there, and whose they are.

use magus_diff::{ChangeSet, diff, expected_mark};
use magus_model::{
    desired::{Desired, DesiredState, Workspace},
    name::WorkspaceName,
    observed::{Capabilities, FieldCapability, Mark, Observation, RunState},
    value::Value,
};

use crate::world::{
    cluster, environment, line, list, mark, observation, observed, plain, secret, sources, told, told_of,
    workspace,
};

fn capabilities() -> Capabilities {
    Capabilities { rename: true, ..Capabilities::default() }
}

fn theirs(name: &str) -> Mark {
    Mark { managed_by: "others".into(), ..mark(name, &[]) }
}

fn moved(name: &str, from: &str) -> Workspace {
    Workspace { moved_from: Some((from.into(), line(3))), ..workspace(name, &[]) }
}

/// The names that would be deleted, are not ours, and look like renames.
fn others(changes: &ChangeSet<'_>) -> [Vec<String>; 4] {
    let cluster = &changes.clusters[0];
    [
        cluster.removed.iter().map(|removed| removed.observed.name.to_string()).collect(),
        cluster.unmanaged.iter().map(|observed| observed.name.to_string()).collect(),
        cluster.unknown.iter().map(|(name, reason)| format!("{name} {reason}")).collect(),
        cluster.hints.iter().map(|hint| format!("{} {}", hint.from, hint.to)).collect(),
    ]
}

fn desired(declared: Vec<Workspace>) -> Desired {
    Desired { clusters: vec![cluster(vec![environment("development", declared)])] }
}

#[test]
fn a_create_says_everything_but_what_is_absent() {
    let fields = [
        ("env.A", plain("1")),
        ("container_config.args", plain(list(&[]))),
        ("storage_class_name", plain("x")),
    ];
    let create = |state| {
        let declared = Workspace { state, ..workspace("a", &fields) };
        told_of(vec![declared], observation(capabilities(), vec![])).remove(0)
    };
    assert_eq!(
        create(DesiredState::Stopped),
        "a: create env.A: - → 1 declared, state: - → stopped declared, storage_class_name: - → x declared"
    );
    assert_eq!(
        create(DesiredState::Auto),
        "a: create env.A: - → 1 declared, storage_class_name: - → x declared"
    );
}

#[test]
fn what_is_unmarked_is_adopted_only_where_it_is_as_declared() {
    let blind = FieldCapability { readable: false, ..FieldCapability::default() };
    let capabilities = Capabilities {
        fields: vec![("secrets".into(), blind)],
        defaults: [("ingress_name".into(), Value::string("main"))].into(),
        ..Capabilities::default()
    };
    let adopt = |declared: Workspace, found: &[_], state| {
        let mut observed = observed("a", found, None);
        observed.state = state;
        told_of(vec![declared], observation(capabilities.clone(), vec![observed])).remove(0)
    };
    let declared = || workspace("a", &[("env.A", plain("1"))]);
    let found = [("env.A", plain(1)), ("ingress_name", plain("main"))];
    assert_eq!(adopt(declared(), &found, RunState::Running), "a: adopt");
    assert_eq!(adopt(declared(), &found, RunState::Stopped), "a: Differs([FieldPath(\"state\")])");
    let more = [found.as_slice(), &[("env.B", plain("x"))]].concat();
    assert_eq!(adopt(declared(), &more, RunState::Running), "a: Differs([FieldPath(\"env.B\")])");
    let secret = workspace("a", &[("env.A", plain("1")), ("secrets.s", secret("S", None))]);
    assert_eq!(
        adopt(secret.clone(), &found, RunState::Running),
        "a: Unverifiable([FieldPath(\"secrets.s\")])"
    );
    assert_eq!(adopt(secret, &more, RunState::Running), "a: Differs([FieldPath(\"env.B\")])");
    let restarted = workspace("a", &[("env.A", plain("1")), ("restarted_at", plain("2026-08-01T10:00:00Z"))]);
    assert_eq!(adopt(restarted, &found, RunState::Running), "a: Differs([FieldPath(\"restarted_at\")])");
}

#[test]
fn everybody_is_one_thing() {
    let mut seen = observation(
        capabilities(),
        vec![
            observed("b", &[], Some(mark("b", &[]))),
            observed("c", &[], Some(theirs("c"))),
            observed("m", &[], Some(mark("m", &[]))),
            observed("n", &[], None),
            observed("o", &[], Some(theirs("o"))),
        ],
    );
    for name in ["d", "p"] {
        seen.unknown.insert(WorkspaceName::observed(name), "no answer".to_owned());
    }
    let all = ["a", "b", "c", "d"].map(|name| workspace(name, &[])).to_vec();
    let desired = desired(all);
    let sources = sources();
    let observations = [Observation { cluster: "other".into(), ..seen.clone() }, seen.clone()];
    let changes = diff(&desired, &observations, &sources);
    assert_eq!(
        told(&changes),
        [
            "a: create state: - → running declared",
            "b: unchanged",
            "c: ManagedBy(\"others\")",
            "d: unknown, no answer"
        ]
    );
    assert_eq!(others(&changes), [vec!["m"], vec!["n", "o"], vec!["p no answer"], vec!["m a"]]);
    assert_eq!(changes.clusters[0].removed[0].mark.environment, "development");

    seen.incomplete = Some("half of it".to_owned());
    let observations = [seen];
    let changes = diff(&desired, &observations, &sources);
    assert_eq!(told(&changes)[0], "a: unknown, half of it");
    assert_eq!(told(&changes)[3], "d: unknown, no answer");
    let changes = diff(&desired, &[], &sources);
    assert_eq!(told(&changes)[1], "b: unknown, the cluster `acme` was not observed");
    assert_eq!(others(&changes), [const { Vec::<String>::new() }; 4]);
}

#[test]
fn a_move_finds_the_old_name_in_the_cluster_or_the_declarations() {
    let ours = |name: &str, declared: &str| observed(name, &[], Some(mark(declared, &[])));
    let check = |declared: Vec<Workspace>, seen: Observation, expected: &[&str], removed: &[&str]| {
        let desired = desired(declared);
        let observations = [seen];
        let sources = sources();
        let changes = diff(&desired, &observations, &sources);
        let short: Vec<_> = told(&changes)
            .iter()
            .map(|told| told.replace("create state: - → running declared", "create"))
            .collect();
        assert_eq!(short, expected);
        assert_eq!(others(&changes)[0], removed);
    };
    let seen = |present| observation(capabilities(), present);
    check(vec![moved("b", "a")], seen(vec![ours("a", "a")]), &["b: update of a "], &[]);
    check(vec![moved("b", "a")], seen(vec![ours("a-dev", "a")]), &["b: update of a-dev "], &[]);
    check(vec![moved("b", "a")], seen(vec![]), &["b: create"], &[]);
    // The name in the cluster counts first, and a name that is taken or declared is free for nobody.
    check(vec![moved("b", "a")], seen(vec![ours("a", "x"), ours("y", "a")]), &["b: update of a "], &["y"]);
    check(vec![moved("b", "a")], seen(vec![ours("a", "a"), ours("b", "b")]), &["b: unchanged"], &["a"]);
    check(
        vec![workspace("a", &[]), moved("b", "a")],
        seen(vec![ours("a", "a")]),
        &["a: unchanged", "b: create"],
        &[],
    );
    check(
        vec![workspace("a", &[]), moved("b", "a")],
        seen(vec![ours("a", "a"), ours("z", "a")]),
        &["a: unchanged", "b: update of z "],
        &[],
    );
    check(
        vec![moved("b", "a"), moved("c", "a")],
        seen(vec![ours("a", "a")]),
        &["b: update of a ", "c: create"],
        &[],
    );
    check(
        vec![moved("b", "a"), moved("c", "a")],
        seen(vec![ours("x", "a"), ours("y", "a")]),
        &["b: update of x ", "c: update of y "],
        &[],
    );
    // Neither what is nobody's nor what nobody knows is moved.
    check(vec![moved("b", "a")], seen(vec![observed("a", &[], None)]), &["b: MovedFrom"], &[]);
    check(vec![moved("b", "a")], seen(vec![observed("a", &[], Some(theirs("a")))]), &["b: MovedFrom"], &[]);
    check(
        vec![moved("b", "a")],
        seen(vec![observed("a", &[], None), ours("z", "a")]),
        &["b: update of z "],
        &[],
    );
    let mut elsewhere = mark("a", &[]);
    elsewhere.environment = "production".into();
    check(vec![moved("b", "a")], seen(vec![observed("z", &[], Some(elsewhere))]), &["b: create"], &["z"]);
    check(vec![moved("b", "a")], seen(vec![observed("z", &[], Some(theirs("a")))]), &["b: create"], &[]);
    let mut unsure = seen(vec![]);
    unsure.unknown.insert(WorkspaceName::observed("a"), "no answer".to_owned());
    check(
        vec![moved("b", "a")],
        unsure.clone(),
        &["b: unknown, its old name `a` is unknown: no answer"],
        &[],
    );
    check(
        vec![workspace("a", &[]), moved("b", "a")],
        unsure.clone(),
        &["a: unknown, no answer", "b: create"],
        &[],
    );
    unsure.unknown.insert(WorkspaceName::observed("b"), "silence".to_owned());
    check(vec![moved("b", "a")], unsure, &["b: unknown, silence"], &[]);
}

#[test]
fn equal_configurations_are_a_hint() {
    let blind = FieldCapability { readable: false, ..FieldCapability::default() };
    let capabilities = Capabilities {
        fields: vec![("secrets".into(), blind)],
        defaults: [("ingress_name".into(), Value::string("main"))].into(),
        ..Capabilities::default()
    };
    let hints = |declared: Vec<Workspace>, found: Vec<(&str, &[(&str, magus_model::value::FieldValue)])>| {
        let present =
            found.into_iter().map(|(name, fields)| observed(name, fields, Some(mark(name, &[])))).collect();
        let desired = desired(declared);
        let observations = [observation(capabilities.clone(), present)];
        let sources = sources();
        others(&diff(&desired, &observations, &sources))[3].clone()
    };
    let one = [("env.A", plain("1"))];
    let same_by_meaning = [
        ("env.A", plain(1)),
        ("ingress_name", plain("main")),
        ("restarted_at", plain("2026-08-01T10:00:00Z")),
        ("container_config.args", plain(list(&[]))),
    ];
    let blind_too = [one.as_slice(), &[("secrets.s", secret("S", None))]].concat();
    assert_eq!(hints(vec![workspace("b", &blind_too)], vec![("a", &same_by_meaning)]), ["a b"]);
    assert_eq!(hints(vec![workspace("b", &one)], vec![("a", &[])]), [""; 0]);
    assert_eq!(hints(vec![workspace("b", &one)], vec![("a", &[("env.A", plain("2"))])]), [""; 0]);
    assert_eq!(hints(vec![workspace("b", &one)], vec![("a", &[("env.B", plain("1"))])]), [""; 0]);
    let three = ["x", "y", "z"].map(|name| workspace(name, &one)).to_vec();
    assert_eq!(hints(three, vec![("a", &one), ("b", &one)]), ["a x", "b y"], "each is one old name");
}

#[test]
fn the_expected_mark_remembers_what_is_declared() {
    let mut production = environment(
        "production",
        vec![workspace("a", &[("env.A", plain("1")), ("container_config.args", plain(list(&[])))])],
    );
    production.protected = true;
    production.workspaces[0].declared = "analytics".into();
    let cluster = cluster(vec![production]);
    let found = expected_mark(&cluster, &cluster.environments[0], &cluster.environments[0].workspaces[0]);
    let mut expected = mark("analytics", &[("env.A", plain("1"))]);
    expected.environment = "production".into();
    expected.protected = true;
    assert_eq!(found, expected);
}
