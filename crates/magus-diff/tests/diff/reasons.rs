//! One workspace: which fields differ, and who moved.

use magus_diff::diff;
use magus_model::{
    desired::{Desired, DesiredState},
    observed::{Capabilities, FieldCapability, RunState},
    value::{FieldValue, Value},
};

use crate::world::{
    cluster, environment, kept, list, mark, observation, observed, plain, secret, sources, told_of, workspace,
};

type Fields<'a> = &'a [(&'a str, FieldValue)];

fn capabilities() -> Capabilities {
    let usual = FieldCapability::default();
    Capabilities {
        rename: true,
        deploys: true,
        starts_from_branch: false,
        fields: vec![("hidden".into(), FieldCapability { readable: false, ..usual })],
        defaults: [("service_account_name".into(), Value::string("default")), ("nothing".into(), list(&[]))]
            .into(),
        refused: [].into(),
    }
}

/// What becomes of a workspace that was last applied as `last`, is declared as `desired` and is as `found`.
fn check(last: Option<Fields<'_>>, desired: Fields<'_>, found: Fields<'_>, expected: &str) {
    let mut mark = mark("a", last.unwrap_or_default());
    if last.is_none() {
        mark.applied.clear();
    }
    let observed = observed("a", found, Some(mark));
    let told = told_of(vec![workspace("a", desired)], observation(capabilities(), vec![observed]));
    assert_eq!(told, [format!("a: {expected}")]);
}

#[test]
fn three_sides_give_the_reason() {
    let (a, b, c) =
        (&[("env.A", plain("1"))][..], &[("env.A", plain("2"))][..], &[("env.A", plain("3"))][..]);
    let none = &[][..];
    check(Some(a), a, a, "unchanged");
    check(Some(none), none, none, "unchanged");
    check(Some(a), b, a, "update of a env.A: 1 → 2 declared");
    check(Some(a), a, b, "update of a env.A: 2 → 1 drift");
    check(Some(a), b, c, "update of a env.A: 3 → 2 both");
    check(None, a, b, "update of a env.A: 2 → 1 differs");
    check(Some(a), b, b, "stale");
    check(None, a, a, "stale");
    // Absence is a value too.
    check(Some(none), a, none, "update of a env.A: - → 1 declared");
    check(Some(a), none, a, "update of a env.A: 1 → - declared");
    check(Some(a), a, none, "update of a env.A: - → 1 drift");
    check(Some(none), none, a, "update of a env.A: 1 → - drift");
    check(Some(a), none, b, "update of a env.A: 2 → - both");
    check(Some(a), b, none, "update of a env.A: - → 2 both");
    check(Some(none), a, b, "update of a env.A: 2 → 1 both");
    check(Some(a), none, none, "stale");
    check(None, a, none, "update of a env.A: - → 1 differs");
    check(None, none, a, "update of a env.A: 1 → - differs");
}

#[test]
fn empty_is_absent_on_every_side() {
    let empty = &[("container_config.args", plain(list(&[])))][..];
    let full = &[("container_config.args", plain(list(&[Value::string("x")])))][..];
    check(Some(&[]), empty, &[], "unchanged");
    check(Some(&[]), &[], empty, "unchanged");
    check(Some(full), empty, full, "update of a container_config.args: [\"x\"] → - declared");
    check(Some(full), full, empty, "update of a container_config.args: - → [\"x\"] drift");
    check(Some(empty), &[], &[], "stale");
}

#[test]
fn the_same_by_meaning_is_the_same_on_every_side() {
    let path = "container_config.resources.limits.cpu";
    let (one, thousand, two) =
        (&[(path, plain(1))][..], &[(path, plain("1000m"))][..], &[(path, plain("2"))][..]);
    check(Some(thousand), one, one, "unchanged");
    check(Some(one), thousand, one, "unchanged");
    check(Some(one), two, thousand, "update of a container_config.resources.limits.cpu: 1000m → 2 declared");
    check(Some(one), thousand, two, "update of a container_config.resources.limits.cpu: 2 → 1000m drift");
}

#[test]
fn a_default_is_what_absence_means() {
    let path = "service_account_name";
    let (default, other) = (&[(path, plain("default"))][..], &[(path, plain("other"))][..]);
    let third = &[(path, plain("third"))][..];
    check(Some(&[]), &[], default, "unchanged");
    check(Some(default), default, &[], "unchanged");
    check(Some(&[]), default, &[], "stale");
    check(Some(&[]), &[], other, "update of a service_account_name: other → - drift");
    check(Some(default), &[], other, "update of a service_account_name: other → - drift");
    check(Some(other), &[], other, "update of a service_account_name: other → - declared");
    check(Some(&[]), other, default, "update of a service_account_name: default → other declared");
    check(Some(default), other, &[], "update of a service_account_name: - → other declared");
    check(Some(other), third, &[], "update of a service_account_name: - → third both");
    // A default that is empty is none.
    check(Some(&[]), &[("nothing", plain("x"))], &[], "update of a nothing: - → x declared");
}

#[test]
fn secrets_compare_by_reference_and_hide_what_they_replace() {
    let (one, two) = (&[("env.A", secret("A", Some(1)))][..], &[("env.A", secret("A", Some(2)))][..]);
    let literal = &[("env.A", plain("hunter2"))][..];
    check(Some(one), one, one, "unchanged");
    check(
        Some(one),
        two,
        one,
        "update of a env.A: (secret from env A, version 1) → (secret from env A, version 2) declared sensitive",
    );
    check(
        Some(one),
        one,
        literal,
        "update of a env.A: (hidden) → (secret from env A, version 1) drift sensitive",
    );
    check(
        Some(one),
        literal,
        one,
        "update of a env.A: (secret from env A, version 1) → hunter2 declared sensitive",
    );
    check(Some(one), &[], one, "update of a env.A: (secret from env A, version 1) → - declared sensitive");
    check(Some(&[]), one, &[], "update of a env.A: - → (secret from env A, version 1) declared sensitive");
    let telling = &[("env.MY_TOKEN", plain("hunter2"))][..];
    check(Some(&[]), &[], telling, "update of a env.MY_TOKEN: (hidden) → - drift sensitive");
    check(Some(literal), &[], literal, "update of a env.A: hunter2 → - declared");
}

#[test]
fn what_is_kept_is_left_alone() {
    let keep = &[("env.A", kept("A"))][..];
    for found in [&[][..], &[("env.A", plain("x"))], &[("env.A", secret("B", Some(7)))], keep] {
        check(Some(keep), keep, found, "unchanged");
        check(Some(&[]), keep, found, "stale");
        check(None, keep, found, "stale");
    }
    let one = &[("env.A", secret("A", Some(1)))][..];
    check(
        Some(keep),
        one,
        &[("env.A", plain("x"))],
        "update of a env.A: (hidden) → (secret from env A, version 1) declared sensitive",
    );
    check(Some(keep), &[], &[("env.A", plain("x"))], "update of a env.A: x → - declared");
    check(Some(keep), &[("hidden.a", kept("A"))], &[], "stale");
}

#[test]
fn what_cannot_be_read_differs_only_from_what_was_applied() {
    let (one, two) = (&[("hidden.a", plain("1"))][..], &[("hidden.a", plain("2"))][..]);
    check(Some(one), one, &[], "unchanged");
    check(Some(one), one, two, "unchanged");
    check(Some(one), two, two, "update of a hidden.a: - → 2 declared unverifiable");
    check(Some(one), two, &[], "update of a hidden.a: - → 2 declared unverifiable");
    check(Some(one), &[], &[], "update of a hidden.a: - → - declared unverifiable");
    check(Some(&[]), one, &[], "update of a hidden.a: - → 1 declared unverifiable");
    check(None, one, &[], "update of a hidden.a: - → 1 differs unverifiable");
    check(None, &[], one, "stale");
    check(Some(&[]), &[], one, "unchanged");
}

#[test]
fn only_a_later_time_restarts() {
    let at = |time: &'static str| [("restarted_at", plain(time))];
    let (ten, eleven, twelve) =
        (at("2026-08-01T10:00:00Z"), at("2026-08-01T11:00:00Z"), at("2026-08-01T12:00:00Z"));
    let ten_elsewhere = at("2026-08-01T12:00:00+02:00");
    check(Some(&ten), &ten, &ten_elsewhere, "unchanged");
    check(
        Some(&ten),
        &eleven,
        &ten,
        "update of a restarted_at: 2026-08-01T10:00:00Z → 2026-08-01T11:00:00Z declared",
    );
    check(
        Some(&eleven),
        &eleven,
        &ten,
        "update of a restarted_at: 2026-08-01T10:00:00Z → 2026-08-01T11:00:00Z drift",
    );
    check(
        Some(&ten),
        &twelve,
        &eleven,
        "update of a restarted_at: 2026-08-01T11:00:00Z → 2026-08-01T12:00:00Z both",
    );
    check(
        None,
        &twelve,
        &eleven,
        "update of a restarted_at: 2026-08-01T11:00:00Z → 2026-08-01T12:00:00Z differs",
    );
    check(Some(&eleven), &ten, &eleven, "stale");
    check(Some(&[]), &ten, &[], "update of a restarted_at: - → 2026-08-01T10:00:00Z declared");
    check(Some(&ten), &ten, &[], "update of a restarted_at: - → 2026-08-01T10:00:00Z drift");
    check(Some(&ten), &[], &ten, "stale");
    check(Some(&[]), &[], &ten, "unchanged");
    check(Some(&[]), &at("soon"), &at("later"), "update of a restarted_at: later → soon both");
    check(Some(&at("soon")), &at("soon"), &at("soon"), "unchanged");
}

#[test]
fn a_time_that_cannot_be_read_restarts_once() {
    let at = |time: &'static str| [("restarted_at", plain(time))];
    let (ten, eleven) = (at("2026-08-01T10:00:00Z"), at("2026-08-01T11:00:00Z"));
    let told = |last: Option<Fields<'_>>| {
        let mut mark = mark("a", last.unwrap_or_default());
        if last.is_none() {
            mark.applied.clear();
        }
        let blind = FieldCapability { readable: false, ..FieldCapability::default() };
        let capabilities =
            Capabilities { fields: vec![("restarted_at".into(), blind)], ..Capabilities::default() };
        told_of(
            vec![workspace("a", &eleven)],
            observation(capabilities, vec![observed("a", &[], Some(mark))]),
        )
    };
    let change =
        |reason| format!("a: update of a restarted_at: - → 2026-08-01T11:00:00Z {reason} unverifiable");
    assert_eq!(told(Some(&eleven)), ["a: unchanged"]);
    assert_eq!(told(Some(&ten)), [change("declared")]);
    assert_eq!(told(None), [change("differs")]);
}

#[test]
fn the_state_is_compared_with_what_is_wanted_of_it() {
    let told = |desired: DesiredState, found: RunState, last: Option<&'static str>| {
        let mut declared = workspace("a", &[]);
        declared.state = desired;
        let mut mark = mark("a", &last.map(|last| ("state", plain(last))).into_iter().collect::<Vec<_>>());
        if last.is_none() {
            mark.applied.clear();
        }
        let mut observed = observed("a", &[], Some(mark));
        observed.state = found;
        told_of(vec![declared], observation(capabilities(), vec![observed])).remove(0)
    };
    use DesiredState::{Auto, Running as Run, Stopped as Stop};
    use RunState::{Failed, Pending, Running, Stopped};
    for (desired, found, last, expected) in [
        (Run, Running, Some("running"), "unchanged"),
        (Run, Pending, Some("running"), "unchanged"),
        (Run, Failed, Some("running"), "unchanged"),
        (Run, Stopped, Some("running"), "update of a state: stopped → running drift"),
        (Run, Stopped, Some("stopped"), "update of a state: stopped → running declared"),
        (Run, Stopped, Some("auto"), "update of a state: stopped → running declared"),
        (Run, Stopped, None, "update of a state: stopped → running differs"),
        (Stop, Stopped, Some("stopped"), "unchanged"),
        (Stop, Running, Some("stopped"), "update of a state: running → stopped drift"),
        (Stop, Pending, Some("running"), "update of a state: pending → stopped declared"),
        (Stop, Failed, Some("running"), "update of a state: failed → stopped declared"),
        (Auto, Running, Some("auto"), "unchanged"),
        (Auto, Stopped, Some("auto"), "unchanged"),
        (Auto, Stopped, Some("running"), "stale"),
        (Run, Running, Some("auto"), "stale"),
    ] {
        assert_eq!(told(desired, found, last), format!("a: {expected}"), "{desired:?} {found:?} {last:?}");
    }
}

#[test]
fn a_mark_with_other_words_is_stale() {
    let told = |edit: fn(&mut magus_model::observed::Mark)| {
        let mut mark = mark("a", &[]);
        edit(&mut mark);
        told_of(vec![workspace("a", &[])], observation(capabilities(), vec![observed("a", &[], Some(mark))]))
    };
    assert_eq!(told(|_| {}), ["a: unchanged"]);
    let moved = ["a: update of a environment: x → development declared"];
    assert_eq!(told(|mark| mark.environment = "x".into()), moved);
    assert_eq!(told(|mark| mark.workspace = "x".into()), ["a: stale"]);
    let unprotected = ["a: update of a protected: true → false declared"];
    assert_eq!(told(|mark| mark.protected = true), unprotected);
    assert_eq!(told(|mark| drop(mark.applied.insert("env.X".into(), "0".into()))), ["a: stale"]);
}

#[test]
fn a_change_says_where_it_was_written() {
    let desired = Desired {
        clusters: vec![cluster(vec![environment(
            "development",
            vec![workspace("a", &[("env.A", plain("1"))])],
        )])],
    };
    let observations = [observation(capabilities(), vec![])];
    let sources = sources();
    let changes = diff(&desired, &observations, &sources);
    let magus_diff::Change::Create(fields) = &changes.clusters[0].workspaces[0].change else {
        panic!("{changes:?}");
    };
    let lines: Vec<_> = fields.iter().map(|field| field.origin.as_ref().map(|origin| origin.line)).collect();
    assert_eq!(lines, [Some(12), Some(7)]);
}

#[test]
fn what_the_server_chooses_is_as_declared_unless_it_is_declared() {
    let chosen = FieldCapability { chosen_by_server: true, ..FieldCapability::default() };
    let capabilities =
        || Capabilities { fields: vec![("namespace".into(), chosen)], ..Capabilities::default() };
    let found = || observed("a", &[("namespace", plain("mage"))], Some(mark("a", &[])));
    let told = |declared| told_of(vec![declared], observation(capabilities(), vec![found()]));
    assert_eq!(told(workspace("a", &[])), ["a: unchanged"]);
    assert_eq!(told(workspace("a", &[("namespace", plain("mage"))])), ["a: stale"]);
    assert_eq!(
        told(workspace("a", &[("namespace", plain("other"))])),
        ["a: update of a namespace: mage → other both"]
    );
}

#[test]
fn what_people_set_too_is_left_to_them_unless_it_is_declared_or_was_applied() {
    let shared = FieldCapability { keeps_unmanaged: true, ..FieldCapability::default() };
    let capabilities =
        || Capabilities { fields: vec![("secrets".into(), shared)], ..Capabilities::default() };
    let found = |applied: &[(&str, FieldValue)]| {
        observed("a", &[("secrets.x", plain("theirs"))], Some(mark("a", applied)))
    };
    let told = |declared, applied: &[(&str, FieldValue)]| {
        told_of(vec![declared], observation(capabilities(), vec![found(applied)]))
    };
    let other = ("env.A", plain("1"));
    assert_eq!(told(workspace("a", &[]), &[]), ["a: unchanged"]);
    let set = told(workspace("a", &[("secrets.x", plain("ours"))]), &[]).join("\n");
    assert!(set.contains("update") && set.contains("secrets.x"), "{set}");
    let applied = [other, ("secrets.x", plain("theirs"))];
    let goes = told(workspace("a", &[("env.A", plain("1"))]), &applied).join("\n");
    assert!(goes.contains("secrets.x"), "{goes}");
}
