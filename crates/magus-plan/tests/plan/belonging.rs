//! Whose a workspace is: moves, adoption, what is not ours and what nobody knows.

use magus_model::{
    desired::DesiredState,
    name::WorkspaceName,
    observed::{Mark, ObservedOrphan},
    plan::{NO_ENVIRONMENT, Precondition, Restarts, Summary},
};
use magus_plan::Intent;

use crate::{
    simulate,
    world::{World, environment, line, names, plain, secret, set, steps, withheld, workspace},
};

const IMAGE: &str = "container_config.image";

/// One workspace `a` in `acme`, applied.
fn one(declared: magus_model::desired::Workspace) -> World {
    World::applied(vec![environment("development", 0, vec![declared])])
}

fn basic() -> magus_model::desired::Workspace {
    set(set(workspace("a"), "env.A", plain("1")), IMAGE, plain("mage:1"))
}

#[test]
fn a_move_keeps_the_workspace() {
    let mut world = one(basic());
    let mut moved = set(workspace("b"), "env.A", plain("2"));
    moved = set(moved, IMAGE, plain("mage:1"));
    moved.moved_from = Some(("a".into(), line(3)));
    world.declare(vec![environment("development", 0, vec![moved.clone()])]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["~ acme/b"]);
    assert_eq!(plan.steps[0].renamed_from.as_ref().map(|name| name.as_str()), Some("a"));
    assert_eq!(plan.steps[0].reason, "renamed from `a`; 1 field declared");
    assert_eq!(plan.steps[0].restarts, Restarts::Yes);
    simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    assert_eq!(steps(&world.plan()), [""; 0]);

    // Alone it restarts only where the engine says so.
    for (restarts, expected) in [(false, Restarts::No), (true, Restarts::Yes)] {
        let mut world = one(basic());
        let capability = magus_model::observed::FieldCapability { restarts, ..Default::default() };
        world.observations[0].capabilities.fields.push(("name".into(), capability));
        world.observations[0]
            .capabilities
            .fields
            .retain(|(path, c)| path.as_str() != "name" || c.restarts == restarts);
        let moved = set(moved.clone(), "env.A", plain("1"));
        world.declare(vec![environment("development", 0, vec![moved])]);
        let plan = world.plan();
        assert_eq!(plan.steps[0].reason, "renamed from `a`");
        assert_eq!(plan.steps[0].restarts, expected);
    }

    // To be stopped by its name it has to have it.
    let mut stopped = moved.clone();
    stopped.state = DesiredState::Stopped;
    let mut world = one(basic());
    world.declare(vec![environment("development", 0, vec![stopped])]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["~ acme/b", "■ acme/b"]);
    assert_eq!(plan.steps[0].restarts, Restarts::Yes);
    simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    assert_eq!(steps(&world.plan()), [""; 0]);
}

#[test]
fn where_an_engine_cannot_rename_a_move_replaces() {
    let mut world = one(basic());
    world.observations[0].capabilities.rename = false;
    let mut moved = set(set(workspace("b"), "env.A", plain("1")), IMAGE, plain("mage:1"));
    moved.moved_from = Some(("a".into(), line(3)));
    world.declare(vec![environment("development", 0, vec![moved])]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["-/+ acme/b"]);
    assert_eq!(plan.steps[0].reason, "renamed from `a`, which this engine cannot do in place");
    assert_eq!(plan.steps[0].renamed_from.as_ref().map(|name| name.as_str()), Some("a"));
    simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    assert_eq!(steps(&world.plan()), [""; 0]);

    world.desired.clusters[0].environments[0].protected = true;
    world.desired.clusters[0].environments[0].workspaces[0].name =
        magus_model::name::WorkspaceName::observed("c");
    world.desired.clusters[0].environments[0].workspaces[0].moved_from = Some(("b".into(), line(3)));
    let plan = world.plan();
    assert_eq!((steps(&plan), withheld(&plan)), (vec![], vec!["c replace protected".to_owned()]));
}

#[test]
fn what_looks_like_a_rename_is_only_said() {
    let mut world = World::applied(vec![environment("development", 0, vec![basic(), workspace("z")])]);
    let renamed = set(set(workspace("b"), "env.A", plain("1")), IMAGE, plain("mage:1"));
    world.declare(vec![environment("development", 0, vec![renamed, workspace("z")])]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["+ acme/b", "- acme/a"]);
    assert!(
        plan.steps[0].reason.ends_with("if it is the same workspace, add `moved_from: a`"),
        "{}",
        plan.steps[0].reason
    );
    assert_eq!(plan.steps[1].reason, "not declared any more in development");
}

#[test]
fn adopting_what_is_as_declared_sets_only_the_mark() {
    let mut world = one(basic());
    world.edit("a", |observed| observed.mark = None);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["← acme/a"]);
    assert_eq!((plan.steps[0].fields.len(), plan.steps[0].restarts), (0, Restarts::No));
    assert_eq!(plan.steps[0].reason, "as declared, and unmanaged until now");
    assert_eq!(plan.summary, Summary { adopt: 1, ..Summary::default() });
    simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    assert_eq!(steps(&world.plan()), [""; 0]);
}

#[test]
fn what_is_not_ours_is_never_touched() {
    let theirs = |managed_by: &str| Mark {
        managed_by: managed_by.into(),
        environment: "development".into(),
        workspace: "a".into(),
        protected: false,
        source: None,
        applied: Default::default(),
        resume: false,
        declarations: None,
    };
    let mut world =
        World::applied(vec![environment("development", 0, vec![basic(), workspace("b"), workspace("c")])]);
    world.edit("a", |observed| observed.mark = Some(theirs("others")));
    world.edit("b", |observed| observed.mark = None);
    world.drift("b", "env.X", plain("1"));
    world.declare(vec![environment("development", 0, vec![basic(), workspace("b")])]);
    world.edit("c", |observed| observed.mark = None);
    let plan = world.plan_as(&["magus", "-C", "my envs", "plan"]);
    assert_eq!(steps(&plan), [""; 0]);
    assert_eq!(withheld(&plan), ["a adopt conflict", "b adopt conflict"]);
    assert_eq!(
        plan.withheld[0].message,
        "guard `conflict`: `a` exists and is managed by `others`, not by `team`"
    );
    assert!(
        plan.withheld[0].unblock.contains("`managed_by: others`")
            || plan.withheld[0].unblock.contains("managed_by: others")
    );
    assert_eq!(
        plan.withheld[1].message,
        "guard `conflict`: `b` exists unmanaged, and is not as declared in `env.X`"
    );
    assert_eq!(plan.withheld[1].unblock, "magus -C 'my envs' plan --adopt b");
    assert_eq!(plan.unmanaged.len(), 1);
    assert_eq!((plan.unmanaged[0].name.as_str(), &plan.unmanaged[0].managed_by), ("c", &None));
    assert_eq!(plan.summary, Summary { withheld: 2, ..Summary::default() });

    world.declare(vec![environment(
        "development",
        0,
        vec![set(workspace("c"), "secrets.s", secret("S", 1))],
    )]);
    let plan = world.plan();
    assert!(
        plan.withheld.iter().any(|held| held.message
            == "guard `conflict`: `c` exists unmanaged, and cannot be read to tell whether it is as declared in `secrets.s`"),
        "{:?}",
        plan.withheld
    );
    let mut moved = workspace("d");
    moved.moved_from = Some(("c".into(), line(1)));
    world.declare(vec![environment("development", 0, vec![moved])]);
    let plan = world.plan();
    assert!(withheld(&plan).contains(&"d update conflict".to_owned()), "{:?}", withheld(&plan));
    assert_eq!(steps(&plan), [""; 0]);
}

#[test]
fn a_replace_waits_until_the_mark_is_restored() {
    let class =
        |class| vec![environment("development", 0, vec![set(basic(), "storage_class_name", plain(class))])];
    for adopts in [false, true] {
        let mut world = World::applied(class("slow"));
        world.lose_mark("a").declare(class("fast"));
        if adopts {
            world.recollection.clear();
            world.overrides.adopt = names(&["a"]);
        }
        let plan = world.plan();
        assert_eq!(
            (steps(&plan), withheld(&plan)),
            (vec!["← acme/a".to_owned()], vec!["a replace conflict".to_owned()])
        );
        assert_eq!(
            plan.withheld[0].message,
            "guard `conflict`: `storage_class_name` can only be set when a workspace is created; a replace needs the \
             mark, which this plan restores"
        );
        simulate::apply(&mut world.observations, &plan.steps).expect("applied");
        assert_eq!(steps(&world.plan()), ["-/+ acme/a"]);
    }
}

#[test]
fn what_is_unknown_is_neither_created_nor_deleted() {
    let mut world =
        World::applied(vec![environment("development", 0, vec![basic(), workspace("b"), workspace("z")])]);
    let observation = &mut world.observations[0];
    for name in ["a", "b"] {
        let name = magus_model::name::WorkspaceName::observed(name);
        observation.present.remove(&name);
        observation.unknown.insert(name, "its record cannot be read".to_owned());
    }
    world.declare(vec![environment("development", 0, vec![basic(), workspace("c"), workspace("z")])]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["+ acme/c"], "the rest of the plan is there");
    let unknown: Vec<_> =
        plan.unknown.iter().map(|unknown| (unknown.workspace.as_str(), unknown.message.as_str())).collect();
    assert_eq!(unknown, [("a", "its record cannot be read"), ("b", "its record cannot be read")]);
    assert_eq!(plan.summary, Summary { create: 1, unchanged: 1, unknown: 2, ..Summary::default() });

    world.observations[0].incomplete = Some("the store cannot be read".to_owned());
    assert_eq!(steps(&world.plan()), [""; 0]);
    world.observations.clear();
    let plan = world.plan();
    assert_eq!((steps(&plan).len(), plan.summary.unknown), (0, 3));
    assert_eq!(plan.unknown[0].message, "the cluster `acme` was not observed");
}

#[test]
fn what_is_not_ours_or_unknown_is_named_where_it_was_asked_for() {
    let mut world =
        World::applied(vec![environment("development", 0, ["a", "c", "d", "z"].map(workspace).to_vec())]);
    for name in ["c", "d"] {
        world.edit(name, |observed| observed.mark = None);
    }
    for name in ["u", "v"] {
        let name = magus_model::name::WorkspaceName::observed(name);
        world.observations[0].unknown.insert(name, "no answer".to_owned());
    }
    world.declare(vec![environment("development", 0, ["a", "z"].map(workspace).to_vec())]);
    for (wanted, unmanaged, unknown) in [
        (&[][..], &["c", "d"][..], &["u", "v"][..]),
        (&["a"], &[], &[]),
        (&["c", "v"], &["c"], &["v"]),
        (&["d", "z"], &["d"], &[]),
    ] {
        world.filter.workspaces = names(wanted);
        let plan = world.plan();
        let found: Vec<_> = plan.unmanaged.iter().map(|other| other.name.as_str()).collect();
        assert_eq!(found, unmanaged, "{wanted:?}");
        let found: Vec<_> = plan.unknown.iter().map(|unknown| unknown.workspace.as_str()).collect();
        assert_eq!(found, unknown, "{wanted:?}");
    }
}

#[test]
fn what_was_left_behind_is_named_and_removed_only_when_asked_for() {
    let mut world = one(basic());
    let left = |name: &str| ObservedOrphan {
        name: WorkspaceName::observed(name),
        place: "the namespace mage".into(),
        revision: format!("orphan:{name}").into(),
    };
    world.observations[0].orphans = vec![left("old-b"), left("old-a")];
    let plan = world.plan();
    assert_eq!(steps(&plan), [""; 0]);
    let named = |plan: &magus_model::plan::Plan| -> Vec<String> {
        plan.orphans.iter().map(|orphan| orphan.workspace.to_string()).collect()
    };
    assert_eq!(named(&plan), ["old-a", "old-b"]);

    // No mark says whose they are: no environment, no guard, and nothing else in such a plan.
    world.declare(vec![environment("development", 0, vec![workspace("a"), workspace("new")])]);
    world.intent = Intent::Orphans;
    world.overrides.discard_changes = crate::world::names(&["old-a", "old-b"]);
    world.overrides.reason = Some("they never came up".into());
    let plan = world.plan();
    assert_eq!(steps(&plan), ["- acme/old-a", "- acme/old-b"]);
    assert_eq!(magus_check::check(&plan, &world.desired), []);
    let step = &plan.steps[0];
    assert_eq!((step.environment.as_str(), &step.mark), (NO_ENVIRONMENT, &None));
    assert_eq!(step.precondition, Precondition::Revision("orphan:old-a".into()));
    let discards = "; discards uncommitted changes, which cannot be checked: no server knows it any more";
    assert_eq!(step.reason, format!("left in the namespace mage, and known to no server{discards}"));

    world.filter.workspaces = vec!["old-b".into()];
    assert_eq!(steps(&world.plan()), ["- acme/old-b"]);
    world.filter.workspaces = Vec::new();
    world.filter.environments = vec!["development".into()];
    assert_eq!(steps(&world.plan()), [""; 0]);
}
