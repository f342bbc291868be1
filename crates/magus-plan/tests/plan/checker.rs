//! The checker finds what no plan may hold.

use magus_model::{
    desired::{DesiredState, Environment},
    plan::{Action, Guard, MarkRefresh, Plan, Precondition, Unknown, UnknownCause, Unmanaged, Withheld},
};
use magus_plan::{check, digest, stage};

use crate::world::{World, cluster, environment, kept, names, plain, secret, set, workspace};

/// Three updates, one after a stop, a create and a delete.
fn world() -> World {
    let environments = |value: &str, last: &str, state: DesiredState| -> Vec<Environment> {
        let a = set(workspace("a"), "env.A", plain(value));
        let mut b = set(workspace("b"), "env.A", plain(value));
        b.state = state;
        let mut production = environment("production", 1, vec![set(workspace("p"), "env.A", plain(value))]);
        production.protected = true;
        vec![environment("development", 0, vec![a, b, workspace(last)]), production]
    };
    let mut world = World::applied(environments("1", "x", DesiredState::Running));
    world.declare(environments("2", "y", DesiredState::Stopped));
    world
}

fn held(workspace: &str, action: Action, guard: Guard) -> Withheld {
    Withheld {
        cluster: "acme".into(),
        environment: "development".into(),
        workspace: magus_model::name::WorkspaceName::observed(workspace),
        action,
        guard,
        message: String::new(),
        unblock: String::new(),
        opens_at: None,
    }
}

fn name(text: &str) -> magus_model::name::WorkspaceName {
    magus_model::name::WorkspaceName::observed(text)
}

/// Edits a sound plan, seals it again, and wants a fault with these words.
fn check_edited(edit: impl FnOnce(&mut Plan), words: &str) {
    let world = world();
    let mut plan = world.plan();
    let ids: Vec<_> = plan.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(
        ids,
        ["acme/a/update", "acme/b/stop", "acme/b/update", "acme/y/create", "acme/x/delete", "acme/p/update"]
    );
    assert_eq!(check(&plan, &world.desired), [""; 0]);
    edit(&mut plan);
    plan.digest = digest(&plan);
    let faults = check(&plan, &world.desired);
    assert!(faults.iter().any(|fault| fault.contains(words)), "{words}: {faults:?}");
}

#[test]
fn every_fault_is_found() {
    check_edited(|plan| plan.format_version = 2, "format_version is 2");
    check_edited(|plan| plan.has_changes = false, "has_changes");
    check_edited(|plan| plan.steps[0].id = "acme/a/start".into(), "should have the id `acme/a/update`");
    check_edited(|plan| plan.steps[2] = plan.steps[1].clone(), "is there twice");
    check_edited(|plan| plan.steps.swap(1, 2), "needs `acme/b/stop`, which does not come before it");
    check_edited(|plan| plan.steps[3].needs = vec!["acme/a/update".into()], "of another workspace");
    check_edited(|plan| plan.steps[2].needs.clear(), "does not fit");
    check_edited(
        |plan| plan.steps[2].precondition = Precondition::Follows("acme/a/update".into()),
        "does not fit",
    );
    check_edited(|plan| plan.steps[0].precondition = Precondition::Absent, "does not fit");
    check_edited(|plan| plan.steps[3].precondition = Precondition::Revision("x".into()), "does not fit");
    check_edited(|plan| plan.steps[2].precondition = Precondition::Revision("x".into()), "does not fit");
    let unknown = Unknown {
        cluster: "acme".into(),
        workspace: name("a"),
        message: String::new(),
        cause: UnknownCause::Workspace,
    };
    check_edited(|plan| plan.unknown.push(unknown), "touches `a`, which is unknown");
    let unmanaged = Unmanaged { cluster: "acme".into(), name: name("x"), managed_by: None };
    check_edited(|plan| plan.unmanaged.push(unmanaged), "touches `x`, which is not ours");
    let conflict = held("a", Action::Adopt, Guard::Conflict);
    check_edited(|plan| plan.withheld.push(conflict), "touches `a`, which is in conflict");
    let protected = held("x", Action::Delete, Guard::Protected);
    check_edited(|plan| plan.withheld.push(protected), "`acme/x/delete` is withheld and a step");
    check_edited(
        |plan| {
            plan.unknown.push(Unknown {
                cluster: "acme".into(),
                workspace: name("z"),
                message: String::new(),
                cause: UnknownCause::Workspace,
            });
            let mark = plan.steps[0].mark.clone().expect("a mark");
            plan.marks.push(MarkRefresh {
                cluster: "acme".into(),
                workspace: name("z"),
                revision: "r".into(),
                mark,
            });
        },
        "the mark of `z` would be set, which is unknown",
    );
    check_edited(|plan| plan.steps.swap(0, 5), "not in the order of promotion");
    check_edited(|plan| plan.steps.swap(3, 4), "not in the order of promotion");
    check_edited(|plan| plan.summary.update += 1, "the summary says");
    check_edited(|plan| plan.summary.withheld += 1, "the summary says");
    check_edited(
        |plan| plan.steps[4].environment = "production".into(),
        "destroys in the protected environment",
    );
    check_edited(
        |plan| {
            plan.steps[4].environment = "production".into();
            plan.overrides.allow_delete = names(&["production"]);
        },
        "destroys in the protected environment",
    );
    check_edited(
        |plan| {
            plan.steps[4].environment = "production".into();
            plan.overrides.reason = Some("agreed".into());
            plan.overrides.allow_replace = names(&["production"]);
        },
        "destroys in the protected environment",
    );
    check_edited(
        |plan| {
            plan.steps[4].environment = "production".into();
            plan.steps[4].action = Action::Replace;
            plan.overrides.reason = Some("agreed".into());
            plan.overrides.allow_delete = names(&["production"]);
        },
        "destroys in the protected environment",
    );
    check_edited(
        |plan| {
            let twice = plan.steps[0].fields[0].clone();
            plan.steps[0].fields.push(twice);
        },
        "are not in order",
    );
    check_edited(
        |plan| {
            let mut second = plan.steps[0].fields[0].clone();
            second.path = "env.0".into();
            plan.steps[0].fields.push(second);
        },
        "are not in order",
    );
    check_edited(|plan| plan.steps[4].fields = plan.steps[0].fields.clone(), "`acme/x/delete` sets fields");
    check_edited(|plan| plan.steps[0].fields.clear(), "`acme/a/update` changes nothing");
    check_edited(|plan| plan.steps[0].fields[0].after = Some(secret("S", 1)), "not marked so");
    check_edited(|plan| plan.steps[0].fields[0].before = Some(secret("S", 1)), "not marked so");
    check_edited(
        |plan| {
            plan.steps[0].fields[0].after = Some(secret("S", 1));
            plan.steps[0].fields[0].sensitive = true;
        },
        "shows what a secret replaces",
    );
    check_edited(
        |plan| {
            plan.steps[0].fields[0].before = Some(kept("S"));
            plan.steps[0].fields[0].after = Some(kept("S"));
            plan.steps[0].fields[0].sensitive = true;
        },
        "a secret that is to be kept",
    );
    check_edited(|plan| plan.steps[4].mark = plan.steps[0].mark.clone(), "deletes and leaves a mark");
    check_edited(|plan| plan.steps[0].workspace = name("q"), "nobody declares");
    let edit_mark = |edit: fn(&mut magus_model::observed::Mark)| {
        move |plan: &mut Plan| edit(plan.steps[0].mark.as_mut().expect("a mark"))
    };
    check_edited(edit_mark(|mark| mark.managed_by = "x".into()), "another owner");
    check_edited(edit_mark(|mark| mark.environment = "x".into()), "the mark of another workspace");
    check_edited(edit_mark(|mark| mark.workspace = "x".into()), "the mark of another workspace");
    check_edited(edit_mark(|mark| mark.protected = true), "another protection");
    check_edited(
        edit_mark(|mark| mark.applied.retain(|path, _| path.as_str() == "state")),
        "digest of `env.A`",
    );
    check_edited(
        edit_mark(|mark| mark.applied.retain(|path, _| path.as_str() != "state")),
        "digest of `state`",
    );
    check_edited(
        edit_mark(|mark| drop(mark.applied.insert("env.A".into(), "0".into()))),
        "digest of `env.A`",
    );
    check_edited(
        |plan| plan.steps[0].environment = "production".into(),
        "another environment than the declared",
    );
    // A restart that sets the time of it leaves the mark of everything; one that sets nothing may leave an older one.
    let without_digests = |plan: &mut Plan| {
        plan.steps[0].mark.as_mut().expect("a mark").applied.clear();
        plan.steps[0].action = Action::Restart;
    };
    check_edited(without_digests, "digest of `env.A`");
    check_edited(
        |plan| {
            without_digests(plan);
            plan.steps[0].action = Action::Adopt;
            plan.steps[0].fields.clear();
        },
        "digest of `env.A`",
    );
}

#[test]
fn a_plan_that_was_tampered_with_does_not_carry_its_digest() {
    let world = world();
    let mut plan = world.plan();
    plan.steps[0].fields[0].after = Some(plain("evil"));
    assert_eq!(check(&plan, &world.desired), ["the digest is not that of the content"]);
}

#[test]
fn the_last_stage_is_that_of_nobody() {
    let desired = World::empty(vec![
        cluster("eu", vec![environment("development", 0, vec![]), environment("production", 2, vec![])]),
        cluster("us", vec![environment("production", 3, vec![])]),
    ])
    .desired;
    assert_eq!((stage(&desired, "development"), stage(&desired, "production")), (0, 3));
    assert_eq!(stage(&desired, "gone"), u32::MAX);
}
