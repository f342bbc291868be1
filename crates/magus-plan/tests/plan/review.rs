//! What a review approves, and how two plans differ.

use magus_model::{
    desired::{DesiredState, Environment},
    observed::RunState,
    plan::{Plan, Precondition},
};
use magus_plan::{Side, approve, compare, digest};

use crate::world::{World, environment, names, plain, secret, set, workspace};

fn declared(value: &str) -> Vec<Environment> {
    vec![environment("development", 0, vec![set(workspace("a"), "env.A", plain(value)), workspace("b")])]
}

/// A plan for a change of `a`, and the world that it is for.
fn reviewed() -> (World, Plan) {
    let mut world = World::applied(declared("1"));
    world.declare(declared("2"));
    let plan = world.plan();
    (world, plan)
}

/// The lines in which the current plan differs from the approved one.
fn differences(approved: &Plan, world: &World) -> Vec<String> {
    let current = world.plan();
    let difference = compare(approved, &current);
    let stale = approve(current, Some(approved));
    assert_eq!(stale.is_err(), !difference.differences.is_empty(), "a difference is what refuses");
    if let Err(stale) = stale {
        assert_eq!(*stale.difference, difference);
        assert_eq!(
            stale.to_string(),
            "guard `stale-plan`: the plan that was reviewed is not the current one"
        );
    }
    difference.lines()
}

#[test]
fn what_was_reviewed_is_approved_and_nothing_else() {
    let (mut world, plan) = reviewed();
    assert_eq!(differences(&plan, &world), [""; 0]);
    assert_eq!(approve(plan.clone(), None).expect("approved").plan(), &plan);
    assert_eq!(approve(world.plan(), Some(&plan)).expect("approved").plan().digest, plan.digest);

    world.declare(declared("3"));
    assert_eq!(
        differences(&plan, &world),
        ["`acme/a/update`: `env.A` was to become `2`, and now `3` (the declaration moved)"]
    );
    world.drift("a", "env.A", plain("9"));
    assert_eq!(
        differences(&plan, &world),
        ["`acme/a/update`: `env.A` was to become `2`, and now `3` (the cluster and the declaration moved)"]
    );
    world.declare(declared("2"));
    assert_eq!(
        differences(&plan, &world),
        ["`acme/a/update`: `env.A` was `1`, and now is `9` (the cluster moved)"]
    );
    world.drift("a", "env.A", plain("1")).drift("a", "env.Z", plain("z"));
    assert_eq!(
        differences(&plan, &world),
        ["`acme/a/update`: `env.Z` is changed too, to nothing (the cluster moved)"]
    );
}

#[test]
fn a_workspace_that_moved_without_a_visible_change_is_another_one() {
    let (mut world, plan) = reviewed();
    world.edit("a", |observed| observed.mark.as_mut().expect("a mark").workspace = "z".into());
    assert_eq!(
        differences(&plan, &world),
        ["`acme/a/update`: the workspace is not as it was when the plan was made (the cluster moved)"]
    );
    let (mut world, plan) = reviewed();
    world.edit("a", |observed| observed.state = RunState::Pending);
    assert_eq!(
        differences(&plan, &world),
        ["`acme/a/update`: the workspace is not as it was when the plan was made (the cluster moved)"]
    );
    world.edit("a", |observed| observed.state = RunState::Stopped);
    assert_eq!(
        differences(&plan, &world),
        [
            "`acme/a/update`: restarts differently (the cluster moved)",
            "`acme/a/start`: was not approved: it is stopped, though declared running before as now (the cluster moved)",
        ]
    );
}

#[test]
fn steps_that_came_or_went_say_which_side_moved_as_far_as_two_plans_tell() {
    let (mut world, plan) = reviewed();
    world.drift("b", "env.X", plain("x"));
    assert_eq!(
        differences(&plan, &world),
        ["`acme/b/update`: was not approved: 1 field drifted (the cluster or the declaration moved)"]
    );
    let at = |plan: &Plan, dirty: bool| {
        let mut plan = plan.clone();
        plan.source.revision = Some("3f2a".into());
        plan.source.dirty = dirty;
        plan
    };
    let current = world.plan();
    for (approved_dirty, current_dirty, side) in
        [(false, false, Side::Cluster), (true, false, Side::Unknown), (false, true, Side::Unknown)]
    {
        let difference = compare(&at(&plan, approved_dirty), &at(&current, current_dirty));
        let sides: Vec<_> = difference.differences.iter().map(|one| one.side).collect();
        assert_eq!(sides, [side]);
    }
    // The same workspace, untouched, with another step: that was declared.
    let (mut world, plan) = reviewed();
    let mut stopped = set(workspace("a"), "env.A", plain("2"));
    stopped.state = DesiredState::Stopped;
    world.declare(vec![environment("development", 0, vec![stopped, workspace("b")])]);
    let lines = differences(&plan, &world);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(
        lines[1],
        "`acme/a/stop`: was not approved: declared stopped, and it is running (the declaration moved)"
    );
    // It is done by now.
    let (mut world, plan) = reviewed();
    crate::simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    assert_eq!(
        differences(&plan, &world),
        [
            "`acme/a/update`: was approved, and is not to be done any more (the cluster or the declaration moved)"
        ]
    );
    assert_eq!(compare(&plan, &plan).differences, []);
}

#[test]
fn a_reason_that_moved_is_a_difference() {
    let (mut world, plan) = reviewed();
    world.edit("a", |observed| observed.mark.as_mut().expect("a mark").applied.clear());
    assert_eq!(
        differences(&plan, &world),
        ["`acme/a/update`: `env.A` changes for another reason: was declared, is differs (the cluster moved)"]
    );
}

#[test]
fn flags_and_guards_are_part_of_what_was_reviewed() {
    let (mut world, plan) = reviewed();
    world.overrides.allow_delete = names(&["production"]);
    world.overrides.reason = Some("agreed".into());
    assert_eq!(
        differences(&plan, &world),
        [
            "`--allow-delete`: was nothing, and now is production (other flags were given)",
            "`--reason`: was nothing, and now is agreed (other flags were given)",
        ]
    );
    let approved = world.plan();
    world.overrides.allow_delete.insert(0, "production".into());
    assert_eq!(differences(&approved, &world), [""; 0], "twice is once");

    let (mut world, plan) = reviewed();
    world.edit("b", |observed| observed.mark = None);
    world.drift("b", "env.X", plain("x"));
    let lines = differences(&plan, &world);
    assert_eq!(
        lines,
        ["`acme/b/adopt`: is withheld by `conflict`, and was not (the cluster or the declaration moved)"]
    );
    let withheld = world.plan();
    world.drift("b", "env.X", plain("y"));
    assert_eq!(differences(&withheld, &world), [""; 0], "what is withheld is not done, whatever it is");
    let (world, _) = reviewed();
    let lines = differences(&withheld, &world);
    assert_eq!(
        lines,
        [
            "`acme/b/adopt`: was withheld by `conflict`, and is not any more (the cluster or the declaration moved)"
        ]
    );
    let mut other = withheld.clone();
    other.withheld[0].guard = magus_model::plan::Guard::Lock;
    assert_eq!(compare(&withheld, &other).lines().len(), 1);
    let mut other = withheld.clone();
    other.withheld[0].environment = "x".into();
    assert_eq!(compare(&withheld, &other).lines().len(), 1);
    let mut other = withheld.clone();
    other.withheld[0].unblock = "another command".to_owned();
    other.withheld[0].message = "other words".to_owned();
    assert_eq!(digest(&other), digest(&withheld));
}

#[test]
fn every_difference_of_a_digest_has_words() {
    let mut world = World::applied(declared("1"));
    let mut renamed = set(workspace("c"), "env.A", plain("2"));
    renamed.moved_from = Some(("a".into(), crate::world::line(2)));
    renamed.state = DesiredState::Stopped;
    world.declare(vec![environment("development", 0, vec![renamed, workspace("b"), workspace("d")])]);
    let plan = world.plan();
    assert_eq!(plan.steps.len(), 3);
    let edits: [fn(&mut Plan); 12] = [
        |plan| plan.format_version = 2,
        |plan| plan.steps[0].environment = "x".into(),
        |plan| plan.steps[0].renamed_from = None,
        |plan| plan.steps[0].restarts = magus_model::plan::Restarts::Unknown,
        |plan| plan.steps[1].needs.clear(),
        |plan| plan.steps[0].precondition = Precondition::Absent,
        |plan| {
            plan.steps[0].deploy = Some(magus_model::plan::Deploy {
                branch: "main".into(),
                from: None,
                to: "3f2a".into(),
                source: magus_model::source::ProjectSource::default(),
                source_before: None,
                reason: magus_model::plan::Reason::Declared,
                follows: None,
                movement: None,
            });
        },
        |plan| plan.steps[0].fields[0].sensitive = true,
        |plan| plan.steps[0].fields[0].status = magus_model::plan::FieldStatus::Unverifiable,
        |plan| drop(plan.steps[0].fields.pop()),
        |plan| plan.steps.swap(0, 2),
        |plan| drop(plan.steps.pop()),
    ];
    for (at, edit) in edits.into_iter().enumerate() {
        let mut edited = plan.clone();
        edit(&mut edited);
        assert_ne!(digest(&edited), plan.digest, "{at}");
        let lines = compare(&edited, &plan).lines();
        assert!(!lines.is_empty(), "{at}");
        assert!(
            approve(plan.clone(), Some(&edited)).is_err(),
            "the digest that a file carries is not believed: {at}"
        );
    }
    let mut edited = plan.clone();
    edited.created_at = "later".into();
    edited.magus_version = "9".into();
    edited.source.path = "elsewhere".into();
    edited.source.revision = Some("x".into());
    edited.steps[0].reason = "other words".to_owned();
    edited.steps[0].fields[0].origin = None;
    edited.digest = "sha256:0".into();
    assert_eq!(digest(&edited), plan.digest);
    assert!(approve(plan, Some(&edited)).is_ok());
}

#[test]
fn no_difference_shows_a_secret() {
    let with = |version| {
        vec![environment("development", 0, vec![set(workspace("a"), "env.S", secret("S", version))])]
    };
    let mut world = World::applied(with(1));
    world.declare(with(2));
    let plan = world.plan();
    world.drift("a", "env.S", plain("hunter2"));
    let lines = differences(&plan, &world);
    assert_eq!(
        lines,
        [
            "`acme/a/update`: `env.S` was (secret from env S, version 1), and now is a secret (the cluster moved)"
        ]
    );
}

#[test]
fn the_json_form_is_as_documented() {
    let (world, plan) = reviewed();
    let json = serde_json::to_value(&plan).expect("json");
    let step = &json["steps"][0];
    assert_eq!(step["id"], "acme/a/update");
    assert_eq!(step["restarts"], true);
    assert_eq!(step["precondition"]["revision"], plan_revision(&plan));
    assert_eq!(step["fields"][0]["origin"]["line"], 12);
    assert_eq!(step["fields"][0]["reason"], "declared");
    assert_eq!(step["deploy"], serde_json::Value::Null);
    assert_eq!(json["clusters"][0]["engine"], "local");
    assert_eq!(json["created_at"], "2026-08-01T10:00:00Z");
    assert!(
        json["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:") && digest.len() == 71)
    );
    assert_eq!(world.desired.clusters.len(), 1);
}

fn plan_revision(plan: &Plan) -> String {
    match &plan.steps[0].precondition {
        Precondition::Revision(revision) => revision.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_one_of_both_calls_a_secret_is_one() {
    let (_, plan) = reviewed();
    for (approved_says, current_says) in [(true, false), (false, true), (true, true)] {
        for edit in [
            |field: &mut magus_model::plan::FieldChange| field.before = Some(plain("hunter2")),
            |field: &mut magus_model::plan::FieldChange| field.after = Some(plain("hunter2")),
        ] {
            let (mut approved, mut current) = (plan.clone(), plan.clone());
            approved.steps[0].fields[0].sensitive = approved_says;
            current.steps[0].fields[0].sensitive = current_says;
            edit(&mut current.steps[0].fields[0]);
            for lines in [compare(&approved, &current).lines(), compare(&current, &approved).lines()] {
                // Two values that are both hidden look the same, here as in the digest.
                if approved_says && current_says {
                    assert_eq!(lines, [""; 0]);
                    continue;
                }
                assert_eq!(lines.len(), 1);
                assert!(!lines[0].contains("hunter2") && lines[0].contains("a secret"), "{lines:?}");
            }
        }
    }
}
