//! Workspaces that lost parts in the cluster: what an apply brings back, what takes a flag, and what takes a person.

use magus_check::{Fault, check};
use magus_model::{
    desired::Environment,
    name::WorkspaceName,
    observed::{MissingPart, PartKind, Refusal},
    plan::{Action, Guard, Restarts},
};
use magus_plan::Intent;

use crate::{
    guards::lifted,
    simulate,
    world::{World, environment, plain, set, steps, withheld, workspace},
};

fn part(kind: PartKind, name: &str, by_hand: Option<&str>) -> MissingPart {
    MissingPart { kind, name: name.into(), by_hand: by_hand.map(Into::into) }
}

/// Two workspaces, of which `a` lacks these parts, in a cluster that replaces nothing.
fn lacking(missing: Vec<MissingPart>) -> World {
    lacking_in(environment("dev", 0, Vec::new()), missing)
}

/// The same two workspaces, applied in this environment.
fn lacking_in(environment: Environment, missing: Vec<MissingPart>) -> World {
    let a = set(workspace("a"), "env.A", plain("1"));
    let mut world = World::applied(vec![Environment { workspaces: vec![a, workspace("b")], ..environment }]);
    let refusal = Refusal { reason: "it loses permissions", instead: "do it by hand" };
    world.observations[0].capabilities.refused.insert(Action::Replace, refusal);
    let observed = world.observations[0].present.get_mut(&WorkspaceName::observed("a")).expect("it is there");
    observed.missing = missing;
    observed.revision = simulate::revision(observed);
    world
}

#[test]
fn a_missing_part_is_restored_by_an_update_that_restarts_nothing() {
    let service = part(PartKind::Service, "a-service", None);
    let mut world = lacking(vec![service.clone()]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["~ acme/a"]);
    let step = &plan.steps[0];
    assert_eq!((&step.restores, step.restarts), (&vec![service.clone()], Restarts::No));
    assert_eq!(step.reason, "restores the missing Service `a-service`");
    assert_eq!((plan.incomplete[0].workspace.as_str(), &plan.incomplete[0].missing), ("a", &vec![service]));
    let without = lacking(Vec::new()).plan();
    assert_ne!(plan.digest, without.digest);
    simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    let plan = world.plan();
    assert_eq!((steps(&plan), plan.incomplete), (vec![], vec![]));
}

#[test]
fn a_part_that_no_apply_restores_is_withheld_with_what_a_person_does() {
    let ingress = part(PartKind::Ingress, "web", Some("create it"));
    let plan = lacking(vec![ingress]).plan();
    assert_eq!(steps(&plan), [""; 0]);
    let held = &plan.withheld[0];
    assert_eq!(
        (held.action, held.guard, held.unblock.as_str()),
        (Action::Update, Guard::Engine, "create it")
    );
    assert_eq!(held.message, "guard `engine`: the Ingress `web` is missing, and Magus cannot restore it");
    assert_eq!(plan.incomplete.len(), 1);
}

#[test]
fn a_workspace_without_a_statefulset_is_created_again_only_with_the_flag() {
    let gone = || vec![part(PartKind::StatefulSet, "a", None)];
    for (missing, protected, says) in [
        (gone(), false, "keeps its volume"),
        (gone(), true, "keeps its volume"),
        (
            [gone(), vec![part(PartKind::PersistentVolumeClaim, "mage-data-a-0", None)]].concat(),
            false,
            "loses its files: the PersistentVolumeClaim `mage-data-a-0` is missing too",
        ),
    ] {
        let mut world = lacking_in(Environment { protected, ..environment("dev", 0, Vec::new()) }, missing);
        let plan = world.plan();
        assert_eq!((steps(&plan).len(), withheld(&plan).len()), (0, 1), "{plan:#?}");
        let held = &plan.withheld[0];
        assert_eq!(held.action, Action::Replace);
        assert!(held.message.contains(says), "{}", held.message);
        world.overrides = lifted(&world.overrides, &held.unblock);
        let plan = world.plan();
        assert_eq!(steps(&plan), ["-/+ acme/a"]);
        assert!(plan.steps[0].fields.iter().any(|field| field.path.as_str() == "env.A"), "all of it is sent");
        let mut without = plan.clone();
        without.overrides.allow_replace.clear();
        without.digest = magus_plan::digest(&without);
        let faults = check(&without, &world.desired);
        assert!(faults.iter().any(|fault| matches!(fault, Fault::RecreatesWithoutFlag(_))), "{faults:?}");
        simulate::apply(&mut world.observations, &plan.steps).expect("applied");
        assert_eq!(steps(&world.plan()), [""; 0]);
    }
}

#[test]
fn a_workspace_without_a_statefulset_and_without_a_mark_is_left_to_a_person() {
    let mut world = lacking(vec![part(PartKind::StatefulSet, "a", None)]);
    world.lose_mark("a");
    let plan = world.plan();
    assert_eq!((steps(&plan), withheld(&plan)), (vec![], vec!["a replace conflict".to_owned()]));
    assert_eq!(plan.withheld[0].unblock, "delete `a` in the cluster by hand, then plan again");
}

#[test]
fn nothing_is_left_to_restart_without_a_statefulset() {
    let mut world = lacking(vec![part(PartKind::StatefulSet, "a", None)]);
    world.intent = Intent::Restart;
    let plan = world.plan_as(&["magus", "-C", "envs", "restart", "-w", "a"]);
    assert_eq!(steps(&plan), ["↻ acme/b"]);
    assert_eq!(plan.withheld[0].unblock, "magus -C envs plan -w a");
}

#[test]
fn a_missing_part_is_no_work_of_a_commit() {
    let mut world = lacking(vec![part(PartKind::Service, "a-service", None)]);
    world.since = Some(world.desired.clone());
    let plan = world.plan();
    assert_eq!(steps(&plan), [""; 0]);
    assert_eq!(plan.since.expect("a part").apart[0].reason, "restores the missing Service `a-service`");
}
