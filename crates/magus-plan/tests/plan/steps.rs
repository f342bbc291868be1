//! Which steps there are, in which order, with what in them.

use magus_model::{
    desired::DesiredState,
    observed::{FieldCapability, RunState},
    plan::{Action, FieldStatus, Precondition, Restarts, Summary},
    value::Value,
};
use magus_plan::Intent;

use crate::{
    simulate,
    world::{
        World, capabilities, cluster, environment, fields, kept, line, names, plain, secret, set, sources,
        steps, withheld, workspace,
    },
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
fn a_first_plan_creates_everything_that_is_declared() {
    let declared = set(set(basic(), "env.S", secret("S", 1)), "env.K", kept("K"));
    let world = World::empty(vec![cluster("acme", vec![environment("development", 0, vec![declared])])]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["+ acme/a"]);
    let step = &plan.steps[0];
    assert_eq!(step.id, "acme/a/create");
    assert_eq!(step.environment, "development");
    assert_eq!(step.precondition, Precondition::Absent);
    assert_eq!(step.restarts, Restarts::No);
    assert_eq!(step.reason, "declared, and not in the cluster");
    assert_eq!(
        fields(&plan, "acme/a/create"),
        [
            "container_config.image: - → mage:1 declared",
            "env.A: - → 1 declared",
            "env.K: - → (secret from env K, kept) declared",
            "env.S: - → (secret from env S, version 1) declared",
            "state: - → running declared",
        ]
    );
    assert_eq!(step.fields[1].origin, sources().origin(line(12)));
    let sensitive: Vec<_> = step.fields.iter().map(|field| field.sensitive).collect();
    assert_eq!(sensitive, [false, false, true, true, false]);
    let mark = step.mark.as_ref().expect("a mark");
    assert_eq!(
        (mark.managed_by.as_str(), mark.environment.as_str(), mark.workspace.as_str()),
        ("team", "development", "a")
    );
    assert_eq!(mark.applied.len(), 5);
    assert!(plan.has_changes);
    assert_eq!(plan.summary, Summary { create: 1, ..Summary::default() });
}

#[test]
fn with_auto_a_create_says_nothing_about_the_state() {
    let mut declared = basic();
    declared.state = DesiredState::Auto;
    let mut world = World::empty(vec![cluster("acme", vec![environment("development", 0, vec![declared])])]);
    let plan = world.plan();
    assert!(plan.steps[0].fields.iter().all(|field| field.path.as_str() != "state"));
    simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    world.edit("a", |observed| observed.state = RunState::Stopped);
    assert_eq!(steps(&world.plan()), [""; 0], "auto neither starts nor stops");
}

#[test]
fn what_is_applied_is_unchanged() {
    let plan = one(basic()).plan();
    assert_eq!(steps(&plan), [""; 0]);
    assert!(!plan.has_changes);
    assert_eq!(plan.summary, Summary { unchanged: 1, ..Summary::default() });
    assert_eq!(plan.marks, []);
}

#[test]
fn who_moved_is_in_the_reason() {
    let before = basic();
    let after = || vec![environment("development", 0, vec![set(basic(), "env.A", plain("2"))])];
    for (declare, drift, expected, words) in [
        (true, None, "env.A: 1 → 2 declared", "1 field declared"),
        (false, Some("3"), "env.A: 3 → 1 drift", "1 field drifted"),
        (true, Some("3"), "env.A: 3 → 2 both", "1 field declared and drifted"),
    ] {
        let mut world = one(before.clone());
        if declare {
            world.declare(after());
        }
        if let Some(value) = drift {
            world.drift("a", "env.A", plain(value));
        }
        let plan = world.plan();
        assert_eq!(fields(&plan, "acme/a/update"), [expected]);
        assert_eq!(plan.steps[0].reason, words);
        assert_eq!(plan.summary, Summary { update: 1, ..Summary::default() });
    }
    let mut world = one(before);
    world.declare(after()).drift("a", "env.B", plain("x")).drift("a", "env.C", plain("y"));
    let plan = world.plan();
    assert_eq!(
        fields(&plan, "acme/a/update"),
        ["env.A: 1 → 2 declared", "env.B: x → - drift", "env.C: y → - drift"]
    );
    assert_eq!(plan.steps[0].reason, "1 field declared, 2 drifted");
    assert_eq!(plan.steps[0].fields[0].origin, sources().origin(line(12)));
    assert_eq!(plan.steps[0].fields[1].origin, None, "nobody wrote a removal");
}

#[test]
fn a_mark_that_remembers_nothing_gives_no_blame() {
    let mut world = one(basic());
    world.drift("a", "env.A", plain("3"));
    world.edit("a", |observed| observed.mark.as_mut().expect("a mark").applied.clear());
    let plan = world.plan();
    assert_eq!(fields(&plan, "acme/a/update"), ["env.A: 3 → 1 differs"]);
    assert_eq!(plan.steps[0].reason, "1 field different");
}

#[test]
fn an_update_restarts_what_runs_and_only_for_fields_that_restart() {
    for (path, state, restarts) in [
        ("env.A", RunState::Running, Restarts::Yes),
        ("env.A", RunState::Pending, Restarts::Yes),
        ("env.A", RunState::Failed, Restarts::Yes),
        ("lifecycle_config.x", RunState::Running, Restarts::No),
        ("env.A", RunState::Stopped, Restarts::No),
        ("secrets.s", RunState::Running, Restarts::Unknown),
        ("secrets.s", RunState::Stopped, Restarts::No),
    ] {
        let mut declared = basic();
        declared.state = DesiredState::Auto;
        let mut world = one(declared.clone());
        world.edit("a", |observed| observed.state = state);
        world.declare(vec![environment("development", 0, vec![set(declared, path, secret("X", 2))])]);
        let plan = world.plan();
        assert_eq!(steps(&plan), ["~ acme/a"], "{path} {state:?}");
        assert_eq!(plan.steps[0].restarts, restarts, "{path} {state:?}");
    }
}

#[test]
fn what_cannot_be_read_is_sent_when_it_was_declared_and_said_so() {
    let mut world = one(set(basic(), "secrets.s", secret("S", 1)));
    assert_eq!(steps(&world.plan()), [""; 0]);
    world.declare(vec![environment("development", 0, vec![set(basic(), "secrets.s", secret("S", 2))])]);
    let plan = world.plan();
    assert_eq!(fields(&plan, "acme/a/update"), ["secrets.s: - → (secret from env S, version 2) declared"]);
    assert_eq!(plan.steps[0].fields[0].status, FieldStatus::Unverifiable);
    assert_eq!(plan.steps[0].reason, "1 field not to be read back");
    world.declare(vec![environment("development", 0, vec![basic()])]);
    assert_eq!(fields(&world.plan(), "acme/a/update"), ["secrets.s: - → - declared"]);
}

#[test]
fn a_stop_comes_before_the_update_and_a_start_after() {
    let mut stopped = set(basic(), "env.A", plain("2"));
    stopped.state = DesiredState::Stopped;
    let mut world = one(basic());
    world.declare(vec![environment("development", 0, vec![stopped])]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["■ acme/a", "~ acme/a"]);
    assert_eq!(plan.steps[0].reason, "declared stopped, and it is running");
    assert_eq!(plan.steps[1].restarts, Restarts::No, "it is stopped by then");
    assert_eq!(plan.steps[1].needs, ["acme/a/stop"]);
    assert_eq!(plan.steps[1].precondition, Precondition::Follows("acme/a/stop".into()));
    assert_eq!(plan.summary, Summary { update: 1, stop: 1, ..Summary::default() });
    simulate::apply(&mut world.observations, &plan.steps).expect("applied");

    world.declare(vec![environment("development", 0, vec![basic()])]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["~ acme/a", "▶ acme/a"]);
    assert_eq!(plan.steps[1].needs, ["acme/a/update"]);
    assert_eq!(fields(&plan, "acme/a/start"), ["state: stopped → running declared"]);
    assert_eq!(plan.summary, Summary { update: 1, start: 1, ..Summary::default() });
    simulate::apply(&mut world.observations, &plan.steps).expect("applied");

    world.edit("a", |observed| observed.state = RunState::Stopped);
    let plan = world.plan();
    assert_eq!(fields(&plan, "acme/a/start"), ["state: stopped → running drift"]);
    assert_eq!(plan.steps[0].reason, "it is stopped, though declared running before as now");
    for state in [RunState::Pending, RunState::Failed] {
        world.edit("a", |observed| observed.state = state);
        assert_eq!(steps(&world.plan()), [""; 0], "{state:?} is no drift");
    }
}

#[test]
fn each_step_leaves_a_mark_that_remembers_only_what_is_done_by_then() {
    let mut world = one(basic());
    world.edit("a", |observed| observed.state = RunState::Stopped);
    world.declare(vec![environment("development", 0, vec![set(basic(), "env.A", plain("2"))])]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["~ acme/a", "▶ acme/a"]);
    simulate::apply(&mut world.observations, &plan.steps[..1]).expect("half applied");
    world.drift("a", "env.A", plain("1"));
    assert_eq!(
        fields(&world.plan(), "acme/a/update"),
        ["env.A: 1 → 2 drift"],
        "the update was done, so who sets it back drifts"
    );
    assert_eq!(fields(&world.plan(), "acme/a/start"), ["state: stopped → running drift"]);

    // The declaration moved the state, and the first step was all that was done.
    let mut stopped = set(basic(), "env.A", plain("2"));
    stopped.state = DesiredState::Stopped;
    let mut world = one(basic());
    world.declare(vec![environment("development", 0, vec![stopped])]);
    let plan = world.plan();
    simulate::apply(&mut world.observations, &plan.steps[..1]).expect("half applied");
    assert_eq!(fields(&world.plan(), "acme/a/update"), ["env.A: 1 → 2 declared"]);
}

#[test]
fn a_later_restarted_at_restarts_once() {
    let at = |time: &str| set(basic(), "restarted_at", plain(time));
    let declare = |declared| vec![environment("development", 0, vec![declared])];
    let mut world = one(basic());
    world.declare(declare(at("2026-08-01T10:00:00Z")));
    let plan = world.plan();
    assert_eq!(steps(&plan), ["↻ acme/a"]);
    assert_eq!(plan.steps[0].restarts, Restarts::Yes);
    assert_eq!(plan.summary, Summary { restart: 1, ..Summary::default() });
    simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    for same in ["2026-08-01T12:00:00+02:00", "2026-08-01T09:59:59Z"] {
        world.declare(declare(at(same)));
        assert_eq!(steps(&world.plan()), [""; 0], "{same} is not later");
    }
    world.declare(declare(basic()));
    assert_eq!(steps(&world.plan()), [""; 0], "a time that is not declared any more asks for nothing");

    // An update that restarts takes it along; one that does not leaves it to a step of its own.
    world.declare(declare(set(at("2026-08-02T10:00:00Z"), "env.A", plain("2"))));
    let plan = world.plan();
    assert_eq!(steps(&plan), ["~ acme/a"]);
    assert_eq!(plan.steps[0].fields.len(), 2);
    world.declare(declare(set(at("2026-08-02T10:00:00Z"), "lifecycle_config.x", Value::Int(1))));
    let plan = world.plan();
    assert_eq!(steps(&plan), ["~ acme/a", "↻ acme/a"]);
    assert_eq!((plan.steps[0].restarts, plan.steps[1].restarts), (Restarts::No, Restarts::Yes));
    assert_eq!(plan.steps[1].needs, ["acme/a/update"]);

    // What starts, stops or does not run is not restarted: the time is only written down.
    world.edit("a", |observed| observed.state = RunState::Stopped);
    world.declare(declare(at("2026-08-02T10:00:00Z")));
    let plan = world.plan();
    assert_eq!(steps(&plan), ["~ acme/a", "▶ acme/a"]);
    assert_eq!(plan.steps[0].restarts, Restarts::No);
    let mut stopped = at("2026-08-02T10:00:00Z");
    stopped.state = DesiredState::Stopped;
    world.declare(declare(stopped.clone()));
    let plan = world.plan();
    assert_eq!((steps(&plan), plan.steps[0].restarts), (vec!["~ acme/a".to_owned()], Restarts::No));
    world.edit("a", |observed| observed.state = RunState::Running);
    world.declare(declare(stopped));
    assert_eq!(steps(&world.plan()), ["■ acme/a", "~ acme/a"]);
}

#[test]
fn a_field_of_creation_replaces_and_carries_everything() {
    let declared = set(set(basic(), "storage_class_name", plain("slow")), "secrets.s", secret("S", 1));
    let mut world = one(declared.clone());
    let faster = set(set(declared.clone(), "storage_class_name", plain("fast")), "env.A", plain("2"));
    world.declare(vec![environment("development", 0, vec![faster.clone()])]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["-/+ acme/a"]);
    assert_eq!(
        fields(&plan, "acme/a/replace"),
        [
            "container_config.image: mage:1 → mage:1 declared",
            "env.A: 1 → 2 declared",
            "secrets.s: (secret from env S, version 1) → (secret from env S, version 1) declared",
            "state: running → running declared",
            "storage_class_name: slow → fast declared",
        ]
    );
    assert_eq!(plan.steps[0].reason, "`storage_class_name` can only be set when a workspace is created");
    assert_eq!(plan.steps[0].restarts, Restarts::Yes);
    assert_eq!(plan.summary, Summary { replace: 1, ..Summary::default() });
    simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    assert_eq!(steps(&world.plan()), [""; 0]);

    // With `auto`, what is stopped stays stopped.
    let mut auto = set(faster, "storage_class_name", plain("slow"));
    auto.state = DesiredState::Auto;
    world.edit("a", |observed| observed.state = RunState::Stopped);
    world.declare(vec![environment("development", 0, vec![auto])]);
    let plan = world.plan();
    assert_eq!(plan.steps[0].action, Action::Replace);
    assert_eq!(plan.steps[0].restarts, Restarts::No);
    assert!(fields(&plan, "acme/a/replace").contains(&"state: stopped → stopped declared".to_owned()));
}

#[test]
fn a_replace_that_is_held_back_lets_the_rest_through() {
    let declared = set(basic(), "storage_class_name", plain("slow"));
    let mut production = environment("production", 0, vec![declared.clone()]);
    production.protected = true;
    let mut world = World::applied(vec![production.clone()]);
    production.workspaces =
        vec![set(set(declared, "storage_class_name", plain("fast")), "env.A", plain("2"))];
    world.declare(vec![production]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["~ acme/a"]);
    assert_eq!(withheld(&plan), ["a replace protected"]);
    let message = &plan.withheld[0].message;
    assert!(message.contains("nothing is replaced there"), "{message}");
    assert!(message.ends_with("needs `--allow-replace production` and `--reason`"), "{message}");
    assert_eq!(plan.withheld[0].unblock, "magus plan --allow-replace production --reason 'WHY'");
    assert_eq!(fields(&plan, "acme/a/update"), ["env.A: 1 → 2 declared"]);
    assert_eq!(plan.summary, Summary { update: 1, withheld: 1, ..Summary::default() });
    simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    let plan = world.plan();
    assert_eq!((steps(&plan), withheld(&plan)), (vec![], vec!["a replace protected".to_owned()]));
    assert!(!plan.has_changes);
    world.overrides.allow_replace = names(&["production"]);
    world.overrides.reason = Some("agreed".into());
    let plan = world.plan();
    assert!(fields(&plan, "acme/a/replace").contains(&"storage_class_name: slow → fast declared".to_owned()));
}

#[test]
fn a_filter_narrows_the_steps() {
    let two = |name: &str, value: &str| {
        let mut declared = set(workspace(name), "env.A", plain(value));
        declared.declared = name.split('-').next().expect("a stem").into();
        declared
    };
    let environments = |value: &str| {
        vec![
            environment("development", 0, vec![two("a-dev", value), two("b-dev", value)]),
            environment("production", 1, vec![two("a-prod", value)]),
        ]
    };
    let mut world = World::applied(environments("1"));
    world.declare(environments("2"));
    for (of_environments, of_workspaces, expected) in [
        (&[][..], &[][..], &["~ acme/a-dev", "~ acme/b-dev", "~ acme/a-prod"][..]),
        (&["production"], &[], &["~ acme/a-prod"]),
        (&[], &["a"], &["~ acme/a-dev", "~ acme/a-prod"]),
        (&[], &["a-dev"], &["~ acme/a-dev"]),
        (&["development"], &["a", "b-dev"], &["~ acme/a-dev", "~ acme/b-dev"]),
        (&["production"], &["b"], &[]),
    ] {
        world.filter.environments = names(of_environments);
        world.filter.workspaces = names(of_workspaces);
        assert_eq!(steps(&world.plan()), expected, "{of_environments:?} {of_workspaces:?}");
    }
}

#[test]
fn stages_come_in_order_over_all_clusters_and_deletes_last_in_each() {
    let declare = |value: &str, gone: bool| {
        let of = |cluster: &str| {
            let name = |stem: &str, stage: &str| format!("{stem}-{stage}-{cluster}");
            let stage = |stage: &str, at: u32| {
                let mut workspaces = vec![set(workspace(&name("z", stage)), "env.A", plain(value))];
                if !gone {
                    workspaces.insert(0, workspace(&name("a", stage)));
                }
                environment(&format!("{stage}-{cluster}"), at, workspaces)
            };
            vec![stage("dev", 0), stage("prod", 1)]
        };
        vec![cluster("eu", of("eu")), cluster("us", of("us"))]
    };
    let mut world = World::all_applied(declare("1", false));
    world.desired.clusters = declare("2", true);
    let expected = [
        "~ eu/z-dev-eu",
        "~ us/z-dev-us",
        "- eu/a-dev-eu",
        "- us/a-dev-us",
        "~ eu/z-prod-eu",
        "~ us/z-prod-us",
        "- eu/a-prod-eu",
        "- us/a-prod-us",
    ];
    let plan = world.plan();
    assert_eq!(steps(&plan), expected);
    assert_eq!(plan.clusters[1].environments, ["dev-us", "prod-us"]);
    world.desired.clusters.reverse();
    world.observations.reverse();
    assert_eq!(world.plan().digest, plan.digest, "the order of clusters means nothing");
}

#[test]
fn a_mark_that_says_something_else_is_refreshed_without_a_step() {
    let mut world = one(basic());
    world.edit("a", |observed| observed.mark.as_mut().expect("a mark").workspace = "z".into());
    let plan = world.plan();
    assert_eq!((steps(&plan), plan.marks.len(), plan.summary.unchanged), (vec![], 1, 1));
    let digest = plan.digest.clone();
    simulate::refresh(&mut world.observations, &plan.marks);
    let plan = world.plan();
    assert_eq!((plan.marks.len(), plan.digest), (0, digest), "bookkeeping is no decision");
}

#[test]
fn a_restart_restarts_what_is_selected_and_runs() {
    let all =
        || vec![environment("development", 0, vec![basic(), workspace("b"), workspace("c"), workspace("d")])];
    let mut world = World::applied(all());
    world.edit("b", |observed| observed.state = RunState::Stopped);
    world.edit("c", |observed| observed.mark = None);
    world.drift("a", "env.A", plain("9"));
    world.intent = Intent::Restart;
    let plan = world.plan();
    assert_eq!(steps(&plan), ["↻ acme/a", "↻ acme/d"]);
    assert_eq!(withheld(&plan), ["c restart conflict"]);
    assert_eq!(plan.steps[0].fields, []);
    assert_eq!(plan.summary.unchanged, 1, "what does not run is left as it is");
    simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    world.intent = Intent::Converge;
    assert_eq!(fields(&world.plan(), "acme/a/update"), ["env.A: 9 → 1 drift"], "the mark is as it was");
    world.intent = Intent::Restart;
    world.filter.workspaces = names(&["d"]);
    assert_eq!(steps(&world.plan()), ["↻ acme/d"]);
    // What is still to be renamed cannot be restarted by its new name.
    let renamed =
        magus_model::desired::Workspace { moved_from: Some(("d".into(), line(3))), ..workspace("e") };
    world.declare(vec![environment("development", 0, vec![renamed])]);
    world.filter.workspaces = names(&["e"]);
    assert_eq!(steps(&world.plan()), Vec::<String>::new());
}

#[test]
fn a_destroy_deletes_what_is_selected_later_stages_first() {
    let all = || {
        vec![
            environment("development", 0, vec![workspace("a"), workspace("b")]),
            environment("production", 1, vec![workspace("c")]),
        ]
    };
    let mut world = World::applied(all());
    world.edit("b", |observed| observed.mark = None);
    world.intent = Intent::Destroy;
    let plan = world.plan();
    assert_eq!(steps(&plan), ["- acme/c", "- acme/a"]);
    assert_eq!(plan.steps[0].reason, "asked for by `magus destroy`");
    assert_eq!(plan.steps[0].mark, None);
    assert_eq!(plan.steps[0].restarts, Restarts::No);
    world.filter.environments = names(&["development"]);
    assert_eq!(steps(&world.plan()), ["- acme/a"]);
    world.filter.environments = names(&["production"]);
    world.desired.clusters[0].environments[1].protected = true;
    let plan = world.plan();
    assert_eq!((steps(&plan), withheld(&plan)), (vec![], vec!["c delete protected".to_owned()]));
}

#[test]
fn refreshed_secrets_are_sent_again() {
    let declared = set(set(basic(), "env.S", secret("S", 1)), "env.K", kept("K"));
    let mut world = one(declared.clone());
    world.overrides.refresh_secrets = names(&["production"]);
    assert_eq!(steps(&world.plan()), [""; 0]);
    world.overrides.refresh_secrets = names(&["development"]);
    let plan = world.plan();
    let again = "env.S: (secret from env S, version 1) → (secret from env S, version 1) declared";
    assert_eq!(fields(&plan, "acme/a/update"), [again]);
    assert_eq!(plan.steps[0].restarts, Restarts::Unknown);
    world.declare(vec![environment("development", 0, vec![set(declared, "env.A", plain("2"))])]);
    assert_eq!(fields(&world.plan(), "acme/a/update"), ["env.A: 1 → 2 declared", again]);
    let mut plain_one = basic();
    plain_one.state = DesiredState::Running;
    world.declare(vec![environment("development", 0, vec![plain_one])]);
    world.drift("a", "env.S", plain("x"));
    world.edit("a", |observed| {
        observed.fields.retain(|field| !field.path.is_within("env.S") && !field.path.is_within("env.K"))
    });
    assert_eq!(steps(&world.plan()), [""; 0], "without a secret there is nothing to send");
}

#[test]
fn a_literal_where_a_secret_belongs_is_not_shown() {
    let mut world = one(set(basic(), "env.API", secret("API", 1)));
    world.drift("a", "env.API", plain("hunter2"));
    world.drift("a", "env.OTHER_PASSWORD", plain("hunter3"));
    let plan = world.plan();
    assert_eq!(
        fields(&plan, "acme/a/update"),
        [
            "env.API: (hidden) → (secret from env API, version 1) drift",
            "env.OTHER_PASSWORD: (hidden) → - drift"
        ]
    );
    assert!(plan.steps[0].fields.iter().all(|field| field.sensitive));
    assert!(!format!("{plan:?}").contains("hunter2") && !format!("{plan:?}").contains("hunter3"));
    assert_eq!(magus_check::check(&plan, &world.desired), []);
}

#[test]
fn the_server_s_defaults_are_no_drift() {
    let mut world = one(basic());
    assert!(world.observations[0].present.values().any(|observed| observed.fields.len() == 3), "filled in");
    world.declare(vec![environment(
        "development",
        0,
        vec![set(basic(), "service_account_name", plain("default"))],
    )]);
    assert_eq!(steps(&world.plan()), [""; 0]);
    world.drift("a", "service_account_name", plain("other"));
    assert_eq!(fields(&world.plan(), "acme/a/update"), ["service_account_name: other → default drift"]);
    assert!(capabilities().rename);
}

#[test]
fn what_can_grow_is_replaced_only_to_become_less() {
    const SIZE: &str = "storage_request_size";
    let mut world = one(set(basic(), SIZE, plain("3Gi")));
    let grows = FieldCapability { create_only: true, grows: true, restarts: false, ..Default::default() };
    world.observations[0].capabilities.fields.push((SIZE.into(), grows));
    for (size, expected) in
        [("5", "~ acme/a"), ("3073Mi", "~ acme/a"), ("2Gi", "-/+ acme/a"), ("much", "-/+ acme/a")]
    {
        world.declare(vec![environment("development", 0, vec![set(basic(), SIZE, plain(size))])]);
        let plan = world.plan();
        assert_eq!(steps(&plan), [expected], "{size}");
        assert_eq!(plan.steps[0].restarts == Restarts::Yes, expected.starts_with('-'), "{size}");
    }
    world.declare(vec![environment("development", 0, vec![basic()])]);
    assert_eq!(steps(&world.plan()), ["-/+ acme/a"], "without a size, the server has its own");
}

#[test]
fn a_workspace_whose_pod_has_failed_is_stopped_and_started() {
    for (state, is_told) in [(RunState::Running, false), (RunState::Pending, false), (RunState::Failed, true)]
    {
        let mut world = one(basic());
        world.edit("a", |observed| observed.state = state);
        world.declare(vec![environment("development", 0, vec![set(basic(), IMAGE, plain("mage:2"))])]);
        let plan = world.plan();
        assert_eq!(plan.steps[0].reason.contains("is stopped and started"), is_told, "{state:?}");
    }
    // What restarts nothing leaves it as it is.
    let mut world = one(basic());
    world.edit("a", |observed| observed.state = RunState::Failed);
    let idle = set(basic(), "lifecycle_config.termination_policy.max_idle_seconds", plain("60"));
    world.declare(vec![environment("development", 0, vec![idle])]);
    assert_eq!(world.plan().steps[0].reason, "1 field declared");
}

#[test]
fn an_image_that_goes_back_is_told() {
    for (declared, is_told) in [("mage:0", true), ("mage:2", false), ("other:0", false), ("mage:old", false)]
    {
        let mut world = one(basic());
        world.declare(vec![environment("development", 0, vec![set(basic(), IMAGE, plain(declared))])]);
        assert_eq!(
            world.plan().steps[0].reason.contains("is older than the one that runs"),
            is_told,
            "{declared}"
        );
    }
}
