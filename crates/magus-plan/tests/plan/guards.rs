//! The guards: what each holds back, at which number, what it says, and that its command lifts it.

use magus_model::{
    Text,
    desired::{Environment, MaxDeletes, Workspace},
    observed::{FieldCapability, Refusal},
    plan::{Action, Guard, Overrides, Withheld},
};
use magus_plan::Intent;

use crate::{
    simulate,
    world::{World, cluster, environment, line, names, plain, set, steps, withheld, workspace},
};

fn many(prefix: &str, count: usize) -> Vec<Workspace> {
    (0..count).map(|at| workspace(&format!("{prefix}{at:03}"))).collect()
}

fn keep(workspaces: &[Workspace], count: usize) -> Vec<Workspace> {
    workspaces[..count].to_vec()
}

fn protected(mut environment: Environment) -> Environment {
    environment.protected = true;
    environment
}

/// The flags of a command that a person would paste, as the overrides that they mean.
pub fn lifted(overrides: &Overrides, unblock: &str) -> Overrides {
    let mut overrides = overrides.clone();
    let words: Vec<_> = unblock.split(' ').collect();
    for pair in words.windows(2) {
        let value = Text::from(pair[1].trim_matches('\''));
        match pair[0] {
            "--allow-delete" => overrides.allow_delete.push(value),
            "--allow-replace" => overrides.allow_replace.push(value),
            "--allow-empty" => overrides.allow_empty.push(value),
            "--allow-unprotect" => overrides.allow_unprotect.push(value),
            "--adopt" => overrides.adopt.push(value),
            "--max-deletes" => overrides.max_deletes = Some(value),
            "--discard-changes" => overrides.discard_changes.push(value),
            "--override-gate" => overrides.override_gate.push(value),
            "--reason" => overrides.reason = Some(value),
            _ => {}
        }
    }
    overrides
}

#[test]
fn protected_by_declaration_or_mark_needs_the_flag_and_a_reason() {
    let both = vec![workspace("a"), workspace("b")];
    for (declared, still_declared) in [(true, true), (true, false), (false, true)] {
        let with = |is: bool, workspaces| {
            let environment = environment("production", 0, workspaces);
            vec![if is { protected(environment) } else { environment }]
        };
        let mut world = World::applied(with(declared, both.clone()));
        world.declare(with(still_declared, keep(&both, 1)));
        // That the other one gains or loses its protection is told elsewhere.
        world.filter.workspaces = names(&["b"]);
        let case = format!("{declared} {still_declared}");
        let plan = world.plan_as(&["magus", "apply", "--yes"]);
        assert_eq!(
            (steps(&plan), withheld(&plan)),
            (vec![], vec!["b delete protected".to_owned()]),
            "{case}"
        );
        let held = &plan.withheld[0];
        assert_eq!(held.unblock, "magus apply --yes --allow-delete production --reason 'WHY'", "{case}");
        assert!(held.message.starts_with("guard `protected`: "), "{}", held.message);
        assert!(held.message.contains("nothing is deleted there"), "{}", held.message);
        assert!(
            held.message.ends_with("needs `--allow-delete production` and `--reason`"),
            "{}",
            held.message
        );
        let by_mark = held.message.contains("marked as protected in the cluster");
        assert_eq!(by_mark, !still_declared, "{}", held.message);

        world.overrides.allow_delete = names(&["production"]);
        for reason in [None, Some(""), Some("  ")] {
            world.overrides.reason = reason.map(Text::from);
            let plan = world.plan();
            assert_eq!(withheld(&plan), ["b delete protected"], "{case} {reason:?}");
            assert!(plan.withheld[0].message.ends_with("`--allow-delete production` needs `--reason` too"));
            assert_eq!(plan.withheld[0].unblock, "magus plan --reason 'WHY'");
        }
        world.overrides.reason = Some("agreed".into());
        world.overrides.allow_delete = names(&["staging"]);
        let plan = world.plan();
        assert!(plan.withheld[0].message.ends_with("needs `--allow-delete production`"));
        assert_eq!(plan.withheld[0].unblock, "magus plan --allow-delete production");
        world.overrides.allow_delete = names(&["production"]);
        let plan = world.plan();
        assert_eq!((steps(&plan), withheld(&plan)), (vec!["- acme/b".to_owned()], vec![]), "{case}");
    }
}

#[test]
fn losing_the_protection_is_withheld_until_it_is_allowed() {
    let both = vec![workspace("a"), workspace("b")];
    let mut world = World::applied(vec![protected(environment("production", 0, both.clone()))]);
    world.declare(vec![environment("production", 0, both.clone())]);
    let plan = world.plan();
    assert_eq!((steps(&plan), plan.marks.len()), (vec![], 0));
    assert_eq!(withheld(&plan), ["a update protected", "b update protected"]);
    assert_eq!(
        plan.withheld[0].message,
        "guard `protected`: `a` would lose its protection, because `protected: true` was removed from `production`; \
         needs `--allow-unprotect production` and `--reason`"
    );
    assert_eq!(plan.withheld[0].unblock, "magus plan --allow-unprotect production --reason 'WHY'");
    // The mark still protects what is removed meanwhile.
    world.declare(vec![environment("production", 0, keep(&both, 1))]);
    assert_eq!(withheld(&world.plan()), ["a update protected", "b delete protected"]);
    world.declare(vec![environment("production", 0, both.clone())]);
    world.overrides = lifted(&world.overrides, &plan.withheld[0].unblock);
    let plan = world.plan();
    assert_eq!((steps(&plan), withheld(&plan)), (vec!["~ acme/a".to_owned(), "~ acme/b".to_owned()], vec![]));
    assert_eq!(plan.steps[0].reason, "is no longer protected; nothing restarts");
    assert_eq!(plan.steps[0].restarts, magus_model::plan::Restarts::No);
    simulate::apply(&mut world.observations, &plan.steps).expect("applies");
    world.overrides = Overrides::default();
    assert_eq!(steps(&world.plan()), [""; 0]);
    // Protection that is added is a change as well, and needs no flag.
    world.declare(vec![protected(environment("production", 0, both))]);
    let plan = world.plan();
    assert_eq!((steps(&plan).len(), withheld(&plan).len()), (2, 0));
    assert_eq!(plan.steps[0].reason, "becomes protected; nothing restarts");
}

#[test]
fn leaving_a_protected_environment_holds_everything_of_the_workspace_back() {
    let world_of = |moved: Vec<Workspace>| {
        let production = |workspaces| protected(environment("production", 1, workspaces));
        let both = vec![workspace("a"), workspace("b")];
        let mut world =
            World::applied(vec![environment("development", 0, vec![workspace("c")]), production(both)]);
        let mut development = vec![workspace("c")];
        development.extend(moved);
        world.declare(vec![environment("development", 0, development), production(vec![workspace("b")])]);
        world
    };
    let changed = set(workspace("a"), "env.A", plain("other"));
    for moved in [workspace("a"), changed] {
        let mut world = world_of(vec![moved]);
        let plan = world.plan();
        assert_eq!((steps(&plan), plan.marks.len()), (vec![], 0));
        assert_eq!(withheld(&plan), ["a update protected"]);
        assert!(
            plan.withheld[0]
                .message
                .contains("would leave the protected environment `production` for `development`"),
            "{}",
            plan.withheld[0].message
        );
        world.overrides = lifted(&world.overrides, &plan.withheld[0].unblock);
        let plan = world.plan();
        assert_eq!((steps(&plan), withheld(&plan)), (vec!["~ acme/a".to_owned()], vec![]));
        assert!(
            plan.steps[0]
                .reason
                .starts_with("moves from `production` to `development`, and is no longer protected")
        );
    }
}

#[test]
fn a_folder_that_is_gone_deletes_nothing() {
    let mut world = World::applied(vec![
        environment("development", 0, vec![workspace("a")]),
        environment("production", 1, vec![workspace("b"), workspace("c")]),
    ]);
    world.declare(vec![environment("development", 0, vec![workspace("a")])]);
    let plan = world.plan();
    assert_eq!(steps(&plan), [""; 0]);
    assert_eq!(withheld(&plan), ["b delete environment-removed", "c delete environment-removed"]);
    assert_eq!(
        plan.withheld[0].message,
        "guard `environment-removed`: the folder of `production` is gone from the declarations of cluster `acme`, and it \
         has 2 managed workspaces there; needs `--allow-delete production`, or the folder again"
    );
    assert_eq!(plan.withheld[0].unblock, "magus plan --allow-delete production");
    world.overrides.allow_delete = names(&["production"]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["- acme/b", "- acme/c"]);
    assert_eq!(plan.steps[0].reason, "the environment production is not declared any more");
}

#[test]
fn an_emptied_environment_deletes_nothing() {
    let mut world = World::applied(vec![environment("development", 0, many("a", 2))]);
    world.declare(vec![environment("development", 0, vec![])]);
    let plan = world.plan();
    assert_eq!(withheld(&plan), ["a000 delete empty-desired", "a001 delete empty-desired"]);
    assert_eq!(
        plan.withheld[0].message,
        "guard `empty-desired`: `development` declares no workspace any more, and 2 workspaces would be deleted; needs \
         `--allow-empty development`, or the declarations again"
    );
    assert_eq!(plan.withheld[0].unblock, "magus plan --allow-empty development");
    world.overrides.allow_delete = names(&["development"]);
    assert_eq!(world.plan().withheld.len(), 2, "another flag");
    world.overrides.allow_empty = names(&["development"]);
    assert_eq!(steps(&world.plan()), ["- acme/a000", "- acme/a001"]);

    // Also where one of them was only moved to another environment.
    let mut world =
        World::applied(vec![environment("development", 0, many("a", 2)), environment("qa", 0, many("q", 1))]);
    let moved = [many("q", 1), many("a", 1)].concat();
    world.declare(vec![environment("development", 0, vec![]), environment("qa", 0, moved)]);
    assert_eq!(withheld(&world.plan()), ["a001 delete empty-desired"]);
}

#[test]
fn a_copied_folder_deletes_nothing_of_the_original() {
    let mut world = World::applied(vec![environment("development", 0, many("a", 3))]);
    world.declare(vec![environment("development", 0, many("b", 2))]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["+ acme/b000", "+ acme/b001"]);
    assert_eq!(plan.withheld.len(), 3);
    assert!(plan.withheld.iter().all(|held| held.guard == Guard::EmptyDesired));
    assert!(
        plan.withheld[0].message.contains(
            "`development` declares 2 workspaces, and none of the 3 managed ones there is among them: was the folder \
             copied, swapped or renamed?"
        ),
        "{}",
        plan.withheld[0].message
    );
    // One that stays is enough.
    let mut some = many("b", 2);
    some.insert(0, workspace("a000"));
    world.declare(vec![environment("development", 0, some)]);
    assert_eq!(steps(&world.plan()), ["+ acme/b000", "+ acme/b001", "- acme/a001", "- acme/a002"]);
}

#[test]
fn a_copied_example_touches_nothing_of_its_original() {
    let mut world = World::applied(vec![environment("development", 0, many("a", 3))]);
    world.desired.clusters[0].managed_by = "copy".into();
    let plan = world.plan();
    assert_eq!(steps(&plan), [""; 0]);
    assert_eq!(withheld(&plan), ["a000 adopt conflict", "a001 adopt conflict", "a002 adopt conflict"]);
}

#[test]
fn the_share_counts_from_ten_and_up_to_the_limit() {
    for (managed, gone, limit, held) in [
        (9, 8, MaxDeletes::Percent(30), false),
        (10, 3, MaxDeletes::Percent(30), false),
        (10, 4, MaxDeletes::Percent(30), true),
        (19, 5, MaxDeletes::Percent(30), false),
        (19, 6, MaxDeletes::Percent(30), true),
        (100, 30, MaxDeletes::Percent(30), false),
        (100, 31, MaxDeletes::Percent(30), true),
        (9, 2, MaxDeletes::Count(2), false),
        (9, 3, MaxDeletes::Count(2), true),
        (20, 5, MaxDeletes::Count(5), false),
        (20, 6, MaxDeletes::Count(5), true),
        (20, 1, MaxDeletes::Percent(0), true),
        (20, 19, MaxDeletes::Percent(100), false),
    ] {
        let all = many("a", managed);
        let mut world = World::applied(vec![environment("development", 0, all.clone())]);
        world.desired.clusters[0].max_deletes = limit;
        world.declare(vec![environment("development", 0, keep(&all, managed - gone))]);
        let plan = world.plan();
        let case = format!("{gone} of {managed}, {limit}");
        let (expected_steps, expected_held) = if held { (0, gone) } else { (gone, 0) };
        assert_eq!((plan.steps.len(), plan.withheld.len()), (expected_steps, expected_held), "{case}");
        for one in &plan.withheld {
            assert_eq!(one.guard, Guard::MaxDeletes);
            let wanted = format!(
                "guard `max-deletes`: {gone} of {managed} managed workspaces of cluster `acme` would be deleted, and the \
                 limit is {limit}; needs `--max-deletes {gone}`, or a higher `limits.max_deletes` in cluster.yaml"
            );
            assert_eq!(one.message, wanted, "{case}");
            assert_eq!(one.unblock, format!("magus plan --max-deletes {gone}"));
        }
    }
}

#[test]
fn the_limit_holds_in_each_environment_and_over_everything() {
    // 4 of 10 in one environment, 4 of 40 in the cluster.
    let (few, most) = (many("a", 10), many("b", 30));
    let mut world =
        World::applied(vec![environment("development", 0, few.clone()), environment("qa", 0, most.clone())]);
    world.declare(vec![environment("development", 0, keep(&few, 6)), environment("qa", 0, keep(&most, 29))]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["- acme/b029"], "an environment's limit holds back that environment");
    assert_eq!(plan.withheld.len(), 4);
    assert!(plan.withheld[0].message.contains("4 of 10 managed workspaces of environment `development`"));
    assert_eq!(
        plan.withheld[0].unblock, "magus plan --max-deletes 5",
        "nothing else may stop at the new limit"
    );

    // A filter narrows the steps and not the count.
    world.declare(vec![environment("development", 0, keep(&few, 4)), environment("qa", 0, keep(&most, 20))]);
    world.filter.workspaces = names(&["b029"]);
    let plan = world.plan();
    assert_eq!((steps(&plan), withheld(&plan)), (vec![], vec!["b029 delete max-deletes".to_owned()]));
    assert!(plan.withheld[0].message.contains("16 of 40 managed workspaces of cluster `acme`"));
}

#[test]
fn the_flag_replaces_the_limit() {
    let all = many("a", 20);
    let mut world = World::applied(vec![environment("development", 0, all.clone())]);
    world.declare(vec![environment("development", 0, keep(&all, 10))]);
    for (flag, held) in [("9", true), ("10", false), ("49%", true), ("50%", false), ("nonsense", true)] {
        world.overrides.max_deletes = Some(flag.into());
        assert_eq!(!world.plan().withheld.is_empty(), held, "{flag}");
    }
    world.overrides.max_deletes = Some("3".into());
    let plan = world.plan_as(&["magus", "plan", "--max-deletes", "3"]);
    assert_eq!(plan.withheld[0].unblock, "magus plan --max-deletes 10");
    assert!(plan.withheld[0].message.contains("the limit is 3;"));
}

#[test]
fn a_replace_destroys_too() {
    let declare =
        |class: &str| many("a", 10).into_iter().map(|w| set(w, "storage_class_name", plain(class))).collect();
    let mut world = World::applied(vec![environment("development", 0, declare("slow"))]);
    world.declare(vec![environment("development", 0, declare("fast"))]);
    let plan = world.plan();
    assert_eq!((plan.steps.len(), plan.withheld.len()), (0, 10));
    assert!(
        plan.withheld[0]
            .message
            .contains("10 of 10 managed workspaces of cluster `acme` would be deleted or replaced")
    );
    world.overrides = lifted(&world.overrides, &plan.withheld[0].unblock);
    assert_eq!(world.plan().summary.replace, 10);
}

#[test]
fn several_guards_hold_one_step_and_one_command_lifts_them() {
    let all = many("a", 12);
    let mut world = World::applied(vec![protected(environment("production", 0, all))]);
    world.declare(vec![environment("production", 0, vec![])]);
    let plan = world.plan();
    assert_eq!(plan.withheld.len(), 12, "each workspace once");
    assert_eq!(plan.withheld[0].guard, Guard::Protected, "the strongest");
    for guard in ["`protected`", "`empty-desired`", "`max-deletes`"] {
        assert!(plan.withheld[0].message.contains(guard), "{}", plan.withheld[0].message);
    }
    assert_eq!(
        plan.withheld[0].unblock,
        "magus plan --allow-delete production --allow-empty production --max-deletes 12 --reason 'WHY'"
    );
    world.overrides = lifted(&world.overrides, &plan.withheld[0].unblock);
    assert_eq!(world.plan().summary.delete, 12);
}

#[test]
fn a_destroy_is_held_by_protection_and_number_only() {
    let mut world = World::applied(vec![environment("development", 0, many("a", 10))]);
    world.declare(vec![]);
    world.intent = Intent::Destroy;
    world.filter.workspaces = names(&["a000", "a001", "a002"]);
    assert_eq!(world.plan().summary.delete, 3);
    world.filter.workspaces = names(&["a000", "a001", "a002", "a003"]);
    let plan = world.plan();
    assert_eq!((plan.summary.delete, plan.summary.withheld), (0, 4));
    world.overrides = lifted(&world.overrides, &plan.withheld[0].unblock);
    assert_eq!(world.plan().summary.delete, 4);
}

#[test]
fn a_workspace_that_moves_between_clusters_is_guarded_in_the_old_one() {
    let production = || environment("production", 1, vec![workspace("a")]);
    let mut world = World::all_applied(vec![
        cluster("eu", vec![environment("development", 0, vec![workspace("d")]), production()]),
        cluster("us", vec![]),
    ]);
    world.desired.clusters[0].environments.pop();
    world.desired.clusters[1].environments.push(production());
    let plan = world.plan();
    assert_eq!(steps(&plan), ["+ us/a"]);
    assert_eq!(withheld(&plan), ["a delete environment-removed"]);
    let mut moved = workspace("b");
    moved.moved_from = Some(("a".into(), line(1)));
    world.desired.clusters[1].environments[0].workspaces = vec![moved];
    assert_eq!(steps(&world.plan()), ["+ us/b"], "a move stays within a cluster");
}

#[test]
fn what_an_engine_refuses_is_held_back_and_the_rest_goes_on() {
    let declared = |image: &str, class: &str| {
        let a = set(
            set(workspace("a"), "container_config.image", plain(image)),
            "storage_class_name",
            plain(class),
        );
        vec![environment("development", 0, vec![a, workspace("b")])]
    };
    let mut world = World::applied(declared("mage:1", "slow"));
    let refusal = Refusal { reason: "it would lose everything", instead: "do it by hand" };
    world.observations[0].capabilities.refused = [(Action::Replace, refusal)].into();
    world.declare(declared("mage:2", "fast"));
    let plan = world.plan();
    assert_eq!(
        (steps(&plan), withheld(&plan)),
        (vec!["~ acme/a".to_owned()], vec!["a replace engine".to_owned()])
    );
    assert_eq!(
        plan.withheld[0].message,
        "guard `engine`: `storage_class_name` can only be set when a workspace is created; it would lose everything"
    );
    assert_eq!(plan.withheld[0].unblock, "do it by hand");
    // No flag lifts it, whatever else a flag would have to lift.
    world.desired.clusters[0].environments[0].protected = true;
    world.overrides.allow_replace = names(&["development"]);
    world.overrides.reason = Some("agreed".into());
    assert_eq!(withheld(&world.plan()), ["a replace engine"]);

    // What comes after a step that is refused would rest on it.
    let mut world = World::applied(declared("mage:1", "slow"));
    world.observations[0].capabilities.refused =
        [(Action::Update, refusal), (Action::Delete, refusal)].into();
    let mut environments = declared("mage:2", "slow");
    environments[0].workspaces.pop();
    environments[0].workspaces[0].state = magus_model::desired::DesiredState::Stopped;
    world.declare(environments);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["■ acme/a"]);
    assert_eq!(withheld(&plan), ["a update engine", "b delete engine"]);
    assert_eq!(magus_check::check(&plan, &world.desired), []);
}

#[test]
fn what_no_workspace_can_be_given_holds_back_its_creation() {
    let mut world = World::applied(vec![environment("development", 0, vec![workspace("a")])]);
    let unsettable = FieldCapability { settable: false, readable: false, ..FieldCapability::default() };
    world.observations[0].capabilities.fields.push(("container_config".into(), unsettable));
    let b = set(workspace("b"), "container_config.image", plain("mage:1"));
    world.declare(vec![environment("development", 0, vec![workspace("a"), b, workspace("c")])]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["+ acme/c"]);
    assert_eq!(withheld(&plan), ["b create engine"]);
    let Withheld { message, unblock, .. } = &plan.withheld[0];
    assert!(
        message.ends_with("no workspace of this cluster can be given `container_config.image`"),
        "{message}"
    );
    assert!(unblock.contains("`magus explain development/b container_config.image`"), "{unblock}");
    assert_eq!(magus_check::check(&plan, &world.desired), []);
}

#[test]
fn what_was_not_seen_is_said_of_its_cluster() {
    let mut world = World::applied(vec![environment("development", 0, vec![workspace("a")])]);
    assert_eq!(world.plan().clusters[0].unverifiable, None);
    let seen = world.plan().digest;
    world.observations[0].unverifiable = Some("what runs".into());
    let plan = world.plan();
    assert_eq!(plan.clusters[0].unverifiable.as_deref(), Some("what runs"));
    assert_eq!(plan.digest, seen, "it changes no decision");
}
