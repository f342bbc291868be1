//! The checker finds what no plan may hold.

use magus_check::{Fault, Untouchable, check, check_owners};
use magus_model::{
    desired::{DesiredState, Environment},
    observed::{Evidence, Mark, Recalled},
    plan::{Action, Guard, MarkRefresh, Plan, Precondition, Unknown, UnknownCause, Unmanaged, Withheld},
};
use magus_plan::{digest, stage};

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

/// Edits a sound plan, seals it again, and wants this fault.
fn check_edited(edit: impl FnOnce(&mut Plan), wanted: Fault) {
    let world = world();
    let mut plan = world.plan();
    let ids: Vec<_> = plan.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(
        ids,
        ["acme/a/update", "acme/b/stop", "acme/b/update", "acme/y/create", "acme/x/delete", "acme/p/update"]
    );
    assert_eq!(check(&plan, &world.desired), []);
    edit(&mut plan);
    plan.digest = digest(&plan);
    let faults = check(&plan, &world.desired);
    assert!(faults.contains(&wanted), "{wanted:?}: {faults:?}");
}

fn check_summary(edit: impl FnOnce(&mut Plan)) {
    let counted = world().plan().summary;
    let mut edited = world().plan();
    edit(&mut edited);
    let stated = edited.summary;
    check_edited(|plan| plan.summary = stated, Fault::Summary { stated, counted });
}

fn touches(step: &str, workspace: &str, why: Untouchable) -> Fault {
    Fault::Touches { step: step.into(), workspace: name(workspace), why }
}

fn without_digest(path: &str) -> Fault {
    Fault::MarkWithoutDigest { step: "acme/a/update".into(), path: path.into() }
}

fn misfit(step: &str, precondition: Precondition) -> Fault {
    Fault::PreconditionMismatch { step: step.into(), precondition }
}

#[test]
fn every_fault_is_found() {
    check_edited(|plan| plan.format_version = 2, Fault::FormatVersion { found: 2 });
    check_edited(|plan| plan.has_changes = false, Fault::HasChanges);
    check_edited(
        |plan| plan.steps[0].id = "acme/a/start".into(),
        Fault::StepId { step: "acme/a/start".into(), expected: "acme/a/update".into() },
    );
    check_edited(|plan| plan.steps[2] = plan.steps[1].clone(), Fault::DuplicateStep("acme/b/stop".into()));
    check_edited(
        |plan| plan.steps.swap(1, 2),
        Fault::MissingNeed { step: "acme/b/update".into(), need: "acme/b/stop".into() },
    );
    check_edited(
        |plan| plan.steps[3].needs = vec!["acme/a/update".into()],
        Fault::ForeignNeed { step: "acme/y/create".into(), need: "acme/a/update".into() },
    );
    check_edited(
        |plan| plan.steps[2].needs.clear(),
        misfit("acme/b/update", Precondition::Follows("acme/b/stop".into())),
    );
    check_edited(
        |plan| plan.steps[2].precondition = Precondition::Follows("acme/a/update".into()),
        misfit("acme/b/update", Precondition::Follows("acme/a/update".into())),
    );
    check_edited(
        |plan| plan.steps[0].precondition = Precondition::Absent,
        misfit("acme/a/update", Precondition::Absent),
    );
    check_edited(
        |plan| plan.steps[3].precondition = Precondition::Revision("x".into()),
        misfit("acme/y/create", Precondition::Revision("x".into())),
    );
    check_edited(
        |plan| plan.steps[2].precondition = Precondition::Revision("x".into()),
        misfit("acme/b/update", Precondition::Revision("x".into())),
    );
    let unknown = Unknown {
        cluster: "acme".into(),
        workspace: name("a"),
        message: String::new(),
        cause: UnknownCause::Workspace,
    };
    check_edited(|plan| plan.unknown.push(unknown), touches("acme/a/update", "a", Untouchable::Unknown));
    let unmanaged = Unmanaged { cluster: "acme".into(), name: name("x"), managed_by: None };
    check_edited(
        |plan| plan.unmanaged.push(unmanaged),
        touches("acme/x/delete", "x", Untouchable::Unmanaged),
    );
    let conflict = held("a", Action::Adopt, Guard::Conflict);
    check_edited(|plan| plan.withheld.push(conflict), touches("acme/a/update", "a", Untouchable::Conflict));
    let protected = held("x", Action::Delete, Guard::Protected);
    check_edited(|plan| plan.withheld.push(protected), Fault::StepAndWithheld("acme/x/delete".into()));
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
        Fault::Marks { workspace: name("z"), why: Untouchable::Unknown },
    );
    check_edited(|plan| plan.steps.swap(0, 5), Fault::Order);
    check_edited(|plan| plan.steps.swap(3, 4), Fault::Order);
    check_summary(|plan| plan.summary.update += 1);
    check_summary(|plan| plan.summary.withheld += 1);
    check_edited(
        |plan| plan.steps[4].environment = "production".into(),
        Fault::Unprotected { step: "acme/x/delete".into(), environment: "production".into() },
    );
    check_edited(
        |plan| {
            plan.steps[4].environment = "production".into();
            plan.overrides.allow_delete = names(&["production"]);
        },
        Fault::Unprotected { step: "acme/x/delete".into(), environment: "production".into() },
    );
    check_edited(
        |plan| {
            plan.steps[4].environment = "production".into();
            plan.overrides.reason = Some("agreed".into());
            plan.overrides.allow_replace = names(&["production"]);
        },
        Fault::Unprotected { step: "acme/x/delete".into(), environment: "production".into() },
    );
    check_edited(
        |plan| {
            plan.steps[4].environment = "production".into();
            plan.steps[4].action = Action::Replace;
            plan.overrides.reason = Some("agreed".into());
            plan.overrides.allow_delete = names(&["production"]);
        },
        Fault::Unprotected { step: "acme/x/delete".into(), environment: "production".into() },
    );
    check_edited(
        |plan| {
            let twice = plan.steps[0].fields[0].clone();
            plan.steps[0].fields.push(twice);
        },
        Fault::FieldOrder("acme/a/update".into()),
    );
    check_edited(
        |plan| {
            let mut second = plan.steps[0].fields[0].clone();
            second.path = "env.0".into();
            plan.steps[0].fields.push(second);
        },
        Fault::FieldOrder("acme/a/update".into()),
    );
    check_edited(
        |plan| plan.steps[4].fields = plan.steps[0].fields.clone(),
        Fault::SetsFields("acme/x/delete".into()),
    );
    check_edited(|plan| plan.steps[0].fields.clear(), Fault::ChangesNothing("acme/a/update".into()));
    check_edited(
        |plan| plan.steps[0].fields[0].after = Some(secret("S", 1)),
        Fault::SecretNotSensitive { step: "acme/a/update".into(), path: "env.A".into() },
    );
    check_edited(
        |plan| plan.steps[0].fields[0].before = Some(secret("S", 1)),
        Fault::SecretNotSensitive { step: "acme/a/update".into(), path: "env.A".into() },
    );
    check_edited(
        |plan| {
            plan.steps[0].fields[0].after = Some(secret("S", 1));
            plan.steps[0].fields[0].sensitive = true;
        },
        Fault::ShowsReplacedSecret { step: "acme/a/update".into(), path: "env.A".into() },
    );
    check_edited(
        |plan| {
            plan.steps[0].fields[0].before = Some(kept("S"));
            plan.steps[0].fields[0].after = Some(kept("S"));
            plan.steps[0].fields[0].sensitive = true;
        },
        Fault::SendsKeptSecret { step: "acme/a/update".into(), path: "env.A".into() },
    );
    check_edited(
        |plan| plan.steps[4].mark = plan.steps[0].mark.clone(),
        Fault::MarkOnDelete("acme/x/delete".into()),
    );
    check_edited(
        |plan| plan.steps[0].workspace = name("q"),
        Fault::UndeclaredWorkspace("acme/a/update".into()),
    );
    let edit_mark = |edit: fn(&mut magus_model::observed::Mark)| {
        move |plan: &mut Plan| edit(plan.steps[0].mark.as_mut().expect("a mark"))
    };
    check_edited(edit_mark(|mark| mark.managed_by = "x".into()), Fault::ForeignMark("acme/a/update".into()));
    check_edited(edit_mark(|mark| mark.environment = "x".into()), Fault::MarkOfOther("acme/a/update".into()));
    check_edited(edit_mark(|mark| mark.workspace = "x".into()), Fault::MarkOfOther("acme/a/update".into()));
    check_edited(edit_mark(|mark| mark.protected = true), Fault::MarkProtection("acme/a/update".into()));
    check_edited(
        edit_mark(|mark| mark.applied.retain(|path, _| path.as_str() == "state")),
        without_digest("env.A"),
    );
    check_edited(
        edit_mark(|mark| mark.applied.retain(|path, _| path.as_str() != "state")),
        without_digest("state"),
    );
    check_edited(
        edit_mark(|mark| drop(mark.applied.insert("env.A".into(), "".into()))),
        without_digest("env.A"),
    );
    check_edited(
        |plan| plan.steps[0].environment = "production".into(),
        Fault::ForeignEnvironment { step: "acme/a/update".into(), declared: "development".into() },
    );
    // A restart that sets the time of it leaves the mark of everything; one that sets nothing may leave an older one.
    let without_digests = |plan: &mut Plan| {
        plan.steps[0].mark.as_mut().expect("a mark").applied.clear();
        plan.steps[0].action = Action::Restart;
    };
    check_edited(without_digests, without_digest("env.A"));
    check_edited(
        |plan| {
            without_digests(plan);
            plan.steps[0].action = Action::Adopt;
            plan.steps[0].fields.clear();
        },
        without_digest("env.A"),
    );
}

#[test]
fn a_plan_that_was_tampered_with_does_not_carry_its_digest() {
    let world = world();
    let mut plan = world.plan();
    plan.steps[0].fields[0].after = Some(plain("evil"));
    let (stated, computed) = (plan.digest.clone(), digest(&plan));
    assert_eq!(check(&plan, &world.desired), [Fault::Digest { stated, computed }]);
    // An empty digest is that of no plan.
    plan.digest = "".into();
    assert!(matches!(check(&plan, &world.desired)[..], [Fault::Digest { .. }]));
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

/// A world whose observations are edited after a sound plan was made; the faults of that plan then.
fn owners(edit: impl FnOnce(&mut World, &mut Plan)) -> Vec<Fault> {
    let mut world = world();
    let mut plan = world.plan();
    edit(&mut world, &mut plan);
    check_owners(&plan, &world.desired, &world.observations, &world.recollection)
}

fn mark(world: &mut World, name: &str, edit: impl FnOnce(&mut Mark)) {
    let observed = world.observations[0].present.get_mut(&self::name(name)).expect("a workspace");
    edit(observed.mark.as_mut().expect("a mark"));
}

#[test]
fn plan_that_takes_protection_without_the_flag_is_refused() {
    assert_eq!(owners(|_, _| {}), []);
    let loses = |step: &str| Fault::LosesProtection { step: step.into(), environment: "production".into() };
    // It moves out of the protected environment.
    let moved = |world: &mut World| mark(world, "a", |mark| mark.environment = "production".into());
    assert_eq!(owners(|world, _| moved(world)), [loses("acme/a/update")]);
    // `protected: true` was removed.
    let opened = |world: &mut World| {
        mark(world, "p", |mark| mark.protected = true);
        world.desired.clusters[0].environments[1].protected = false;
    };
    assert_eq!(owners(|world, _| opened(world)), [loses("acme/p/update")]);
    // It is forgotten.
    let forgotten = owners(|_, plan| plan.steps[5].action = Action::Forget);
    assert_eq!(forgotten, [loses("acme/p/update")]);
    // The flag alone is not enough, nor is it for another environment.
    let allowed = |flags: &[&str], reason: Option<&str>| {
        owners(|world, plan| {
            moved(world);
            plan.overrides.allow_unprotect = names(flags);
            plan.overrides.reason = reason.map(Into::into);
        })
    };
    assert_eq!(allowed(&["production"], None).len(), 1);
    assert_eq!(allowed(&["production"], Some(" ")).len(), 1);
    assert_eq!(allowed(&["development"], Some("agreed")).len(), 1);
    assert_eq!(allowed(&["production"], Some("agreed")), []);
}

#[test]
fn plan_that_changes_an_unmanaged_workspace_is_refused() {
    let unmark = |world: &mut World, name: &str| {
        world.observations[0].present.get_mut(&self::name(name)).expect("a workspace").mark = None;
    };
    let adopts = |step: &str| Fault::AdoptsWithoutFlag(step.into());
    assert_eq!(owners(|world, _| unmark(world, "a")), [adopts("acme/a/update")]);
    let adopted = |name: &str, reason: Option<&str>| {
        owners(|world, plan| {
            unmark(world, name);
            plan.overrides.adopt = names(&[name]);
            plan.overrides.reason = reason.map(Into::into);
        })
    };
    assert_eq!(adopted("a", None), []);
    // A protected environment needs a reason.
    assert_eq!(adopted("p", None), [adopts("acme/p/update")]);
    assert_eq!(adopted("p", Some("agreed")), []);
    // What the history knows is healed, and nothing is destroyed without the mark.
    let healed = |name: &str| {
        owners(|world, _| {
            unmark(world, name);
            world.recollection.entry("acme".into()).or_default().insert(
                self::name(name),
                Recalled {
                    evidence: Evidence::Copy,
                    environment: "development".into(),
                    protected: false,
                    mark: None,
                },
            );
        })
    };
    assert_eq!(healed("a"), []);
    assert_eq!(healed("x"), [Fault::WithoutMark("acme/x/delete".into())]);
    assert_eq!(owners(|world, _| unmark(world, "x")), [Fault::WithoutMark("acme/x/delete".into())]);
    // No flag allows a change of a workspace that is managed by another.
    let other = owners(|world, plan| {
        mark(world, "a", |mark| mark.managed_by = "others".into());
        plan.overrides.adopt = names(&["a"]);
        plan.overrides.reason = Some("agreed".into());
    });
    assert_eq!(other, [Fault::ManagedByOther { step: "acme/a/update".into(), owner: "others".into() }]);
    // What is as declared is adopted by itself, and nothing else comes with it.
    let alone = |action: Action| {
        owners(|world, plan| {
            unmark(world, "a");
            plan.steps[0].action = action;
        })
    };
    assert_eq!(alone(Action::Adopt), []);
    assert_eq!(alone(Action::Start), [adopts("acme/a/update")]);
}
