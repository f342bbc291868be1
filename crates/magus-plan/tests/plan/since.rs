//! Plans of only what the commits after a revision changed.

use magus_model::{
    desired::{Cluster, Desired, DesiredState, Engine, Environment, Workspace},
    observed::{Refusal, RunState},
    plan::{Action, Guard, Restarts},
};
use magus_plan::Intent;

use crate::world::{
    World, apart, cluster, environment, fields, line, plain, set, steps, withheld, workspace,
};

/// A cluster that is as one declaration says, which is that of `main`, and another declaration for it.
fn changed(then: Vec<Environment>, now: Vec<Environment>) -> World {
    let mut world = World::applied(then);
    world.since = Some(world.desired.clone());
    world.declare(now);
    world
}

fn development(workspaces: Vec<Workspace>) -> Vec<Environment> {
    vec![environment("development", 0, workspaces)]
}

#[test]
fn drift_of_the_same_workspace_is_set_apart() {
    let then = set(set(workspace("a"), "env.A", plain("1")), "env.B", plain("1"));
    let now = set(then.clone(), "env.A", plain("2"));
    let mut world = changed(development(vec![then, workspace("b")]), development(vec![now, workspace("b")]));
    world.drift("a", "env.B", plain("by hand"));
    world.drift("b", "env.C", plain("by hand"));
    let plan = world.plan();
    assert_eq!(fields(&plan, "acme/a/update"), ["env.A: 1 → 2 declared"]);
    assert_eq!(plan.steps[0].reason, "1 field declared");
    assert_eq!(apart(&plan), ["~ a [env.B]", "~ b [env.C]"]);
    assert_eq!(plan.since.as_ref().map(|since| since.apart[0].reason.as_str()), Some("1 field drifted"));
    assert_eq!((plan.summary.update, plan.summary.unchanged), (1, 0));
    // It is for reading: it carries no mark, and its digest is not that of the whole.
    assert!(plan.steps.iter().all(|step| step.mark.is_none()) && plan.marks.is_empty());
    world.since = None;
    assert_ne!(world.plan().digest, plan.digest);
}

#[test]
fn what_was_declared_earlier_and_never_applied_is_set_apart() {
    let mut world = World::applied(development(vec![set(workspace("a"), "env.A", plain("1"))]));
    let earlier = set(set(workspace("a"), "env.A", plain("2")), "env.B", plain("1"));
    world.declare(development(vec![earlier.clone()]));
    world.since = Some(world.desired.clone());
    world.declare(development(vec![set(earlier, "env.B", plain("2"))]));
    let plan = world.plan();
    assert_eq!(fields(&plan, "acme/a/update"), ["env.B: - → 2 declared"]);
    assert_eq!(apart(&plan), ["~ a [env.A]"]);
}

#[test]
fn values_that_mean_the_same_are_no_change() {
    const CPU: &str = "container_config.resources.limits.cpu";
    let then = set(workspace("a"), CPU, plain("1"));
    let now = set(set(workspace("a"), CPU, plain("1000m")), "service_account_name", plain("default"));
    let mut world = changed(development(vec![then]), development(vec![now]));
    world.drift("a", CPU, plain("2")).drift("a", "service_account_name", plain("other"));
    assert_eq!(steps(&world.plan()), [""; 0]);
    assert_eq!(apart(&world.plan()), [format!("~ a [{CPU} service_account_name]")]);
}

#[test]
fn existence_is_a_change_where_it_was_declared_otherwise() {
    let all = |names: &[&str]| development(names.iter().map(|name| workspace(name)).collect());
    let mut world = World::applied(all(&["kept", "gone", "left"]));
    // `left` was removed before and is still there, `late` was declared before and is not.
    world.declare(all(&["kept", "gone", "late"]));
    world.since = Some(world.desired.clone());
    world.declare(development(vec![
        workspace("kept"),
        set(workspace("late"), "env.A", plain("1")),
        workspace("new"),
    ]));
    let plan = world.plan();
    assert_eq!(steps(&plan), ["+ acme/new", "- acme/gone"]);
    assert_eq!(apart(&plan), ["+ late [env.A state]", "- left []"]);
    let reasons: Vec<_> =
        plan.since.as_ref().expect("since").apart.iter().map(|one| one.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "declared at `main` too, and not in the cluster; 1 field declared otherwise since",
            "not declared, neither now nor at `main`"
        ]
    );
}

#[test]
fn state_and_restarts_are_split_like_fields() {
    let then = vec![workspace("a"), workspace("b"), workspace("c")];
    let stopped = |name: &str| {
        let mut declared = workspace(name);
        declared.state = DesiredState::Stopped;
        declared
    };
    let restarted = set(workspace("c"), "restarted_at", plain("2026-08-01T10:00:00Z"));
    let mut world = changed(development(then), development(vec![stopped("a"), workspace("b"), restarted]));
    world.edit("b", |observed| observed.state = RunState::Stopped);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["■ acme/a", "↻ acme/c"]);
    assert_eq!(apart(&plan), ["▶ b [state]"]);
    world.since = Some(world.desired.clone());
    assert_eq!(steps(&world.plan()), [""; 0]);
    assert_eq!(apart(&world.plan()), ["■ a [state]", "▶ b [state]", "↻ c [restarted_at]"]);
}

#[test]
fn only_what_these_commits_do_is_said_to_restart() {
    let then = set(workspace("a"), "env.A", plain("1"));
    let now = set(then.clone(), "lifecycle_config.x", plain("1"));
    let mut world = changed(development(vec![then]), development(vec![now]));
    world.drift("a", "env.A", plain("by hand"));
    assert_eq!(world.plan().steps[0].restarts, Restarts::No);
    world.since = None;
    assert_eq!(world.plan().steps[0].restarts, Restarts::Yes);
}

#[test]
fn guards_count_the_whole() {
    let all = |names: &[&str]| development(names.iter().map(|name| workspace(name)).collect());
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let mut world = World::applied(all(&names));
    world.declare(all(&names[..7]));
    world.since = Some(world.desired.clone());
    world.declare(all(&names[..6]));
    let plan = world.plan();
    // One delete is within the limit of 30 %, and four are not.
    assert_eq!(withheld(&plan), ["g delete max-deletes"]);
    assert!(plan.withheld[0].message.contains("4 of 10"), "{}", plan.withheld[0].message);
    assert_eq!(apart(&plan), ["- h []", "- i []", "- j []"]);
    let since = plan.since.as_ref().expect("since");
    assert!(since.apart.iter().all(|apart| apart.guard == Some(Guard::MaxDeletes)));
}

#[test]
fn what_only_a_creation_can_set_is_a_replace_where_it_was_changed() {
    let then = set(workspace("a"), "storage_class_name", plain("slow"));
    let now = set(then.clone(), "env.A", plain("1"));
    let mut world = changed(development(vec![then]), development(vec![now.clone()]));
    world.drift("a", "storage_class_name", plain("fast"));
    let plan = world.plan();
    assert_eq!(steps(&plan), ["~ acme/a"]);
    assert_eq!(apart(&plan), ["-/+ a [storage_class_name]"]);

    world.declare(development(vec![set(now, "storage_class_name", plain("faster"))]));
    let plan = world.plan();
    assert_eq!(steps(&plan), ["-/+ acme/a"]);
    assert_eq!(apart(&plan), [""; 0]);
    assert_eq!(magus_check::check(&plan, &world.desired), []);
}

#[test]
fn what_the_engine_refuses_is_said_of_what_is_set_apart() {
    let then = set(workspace("a"), "storage_class_name", plain("slow"));
    let mut world = changed(development(vec![then.clone()]), development(vec![then]));
    world.drift("a", "storage_class_name", plain("fast"));
    let refusal = Refusal { reason: "its files would be lost", instead: "move it by hand" };
    world.observations[0].capabilities.refused.insert(Action::Replace, refusal);
    let plan = world.plan();
    assert_eq!(plan.withheld, []);
    assert_eq!(plan.since.expect("since").apart[0].guard, Some(Guard::Engine));
}

#[test]
fn a_rename_belongs_to_the_commits_that_declared_it() {
    let mut moved = set(workspace("b"), "env.A", plain("1"));
    moved.moved_from = Some(("a".into(), line(2)));
    let world = changed(development(vec![workspace("a")]), development(vec![moved.clone()]));
    let plan = world.plan();
    assert_eq!(plan.steps[0].renamed_from.as_ref().map(|name| name.as_str()), Some("a"));
    assert_eq!(fields(&plan, "acme/b/update"), ["env.A: - → 1 declared"]);
    assert_eq!(apart(&plan), [""; 0]);

    let mut world = World::applied(development(vec![workspace("a")]));
    world.declare(development(vec![moved.clone()]));
    world.since = Some(world.desired.clone());
    world.declare(development(vec![set(moved, "env.B", plain("1"))]));
    let plan = world.plan();
    assert_eq!(fields(&plan, "acme/b/update"), ["env.B: - → 1 declared"]);
    assert_eq!(plan.steps[0].renamed_from, None);
    assert_eq!(apart(&plan), ["~ b [env.A]"]);
    let reason = plan.since.expect("since").apart[0].reason.clone();
    assert_eq!(reason, "renamed from `a`; 1 field declared");
}

#[test]
fn what_nobody_manages_is_theirs_who_touch_its_declaration() {
    let then = development(vec![workspace("a"), workspace("b"), workspace("c")]);
    let touched = set(workspace("b"), "env.A", plain("2"));
    let now = development(vec![workspace("a"), touched, workspace("c")]);
    let mut world = changed(then, now);
    for name in ["a", "b", "c"] {
        world.edit(name, |observed| observed.mark = None);
    }
    world.drift("c", "env.X", plain("by hand"));
    let plan = world.plan();
    assert_eq!(withheld(&plan), ["b adopt conflict"]);
    assert_eq!(apart(&plan), ["← a []", "← c []"]);
    let guards: Vec<_> = plan.since.expect("since").apart.iter().map(|apart| apart.guard).collect();
    assert_eq!(guards, [None, Some(Guard::Conflict)]);
}

#[test]
fn in_another_cluster_everything_is_new() {
    let then = Desired { clusters: vec![cluster("acme", development(vec![workspace("a")]))] };
    let now = &then.clusters[0];
    for now in [
        Cluster { name: "other".into(), ..now.clone() },
        Cluster { managed_by: "others".into(), ..now.clone() },
        Cluster { engine: Engine::Local { path: "elsewhere".into() }, ..now.clone() },
    ] {
        let mut world = World::empty(vec![now]);
        world.since = Some(then.clone());
        let plan = world.plan();
        assert_eq!((plan.summary.create, apart(&plan)), (1, Vec::new()));
    }
}

#[test]
fn a_filter_narrows_what_is_set_apart_too() {
    let then = development(vec![workspace("a"), workspace("b")]);
    let mut world = changed(then.clone(), then);
    world.drift("a", "env.X", plain("1")).drift("b", "env.X", plain("1"));
    world.filter.workspaces = vec!["b".into()];
    assert_eq!(apart(&world.plan()), ["~ b [env.X]"]);
    // A restart and a destroy are asked for, and not declared.
    world.intent = Intent::Restart;
    assert_eq!(steps(&world.plan()), ["↻ acme/b"]);
}
