//! What holds for every declaration and every cluster.

use std::collections::{BTreeMap, BTreeSet};

use magus_model::{
    desired::{Code, Desired, DesiredState, Environment, Freeze, Workspace},
    name::WorkspaceName,
    observed::{Mark, Observation, RunState, Work},
    path::FieldPath,
    plan::{Action, Guard, Overrides, Plan},
    value::{FieldValue, Value},
};
use magus_plan::{Intent, approve};
use proptest::{collection::vec, option, prelude::*, sample::subsequence};

use crate::{
    guards::lifted,
    simulate,
    world::{World, cluster, code, environment, kept, line, names, plain, secret, set, steps, workspace},
};

const ENVIRONMENTS: [&str; 3] = ["development", "staging", "production"];
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Values that are the same by meaning are among them, and those that need every kind of step.
fn field() -> impl Strategy<Value = (&'static str, FieldValue)> {
    prop_oneof![
        prop_oneof!["1", "2", "x"].prop_map(|text| ("env.A", plain(&text))),
        (0..4usize)
            .prop_map(|at| ("env.S", [secret("S", 1), secret("S", 2), kept("S"), plain("x")][at].clone())),
        Just(("env.N", FieldValue::Plain(Value::Int(1)))),
        (0..3usize).prop_map(|at| ("container_config.resources.limits.cpu", plain(["1", "1000m", "2"][at]))),
        (0..2usize).prop_map(|at| ("container_config.args", FieldValue::Plain(list(&["", "x"][..at])))),
        (0..3usize).prop_map(|at| ("lifecycle_config.x", FieldValue::Plain(Value::Float(at as f64)))),
        (0..3usize).prop_map(|at| (
            "restarted_at",
            plain(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-01T01:00:00+01:00"][at])
        )),
        (0..2usize).prop_map(|at| ("secrets.s", secret("X", at as i64))),
        (0..2usize).prop_map(|at| ("service_account_name", plain(["default", "mage"][at]))),
        (0..2usize).prop_map(|at| ("storage_class_name", plain(["slow", "fast"][at]))),
    ]
}

fn list(items: &[&str]) -> Value {
    Value::List(items.iter().map(|item| Value::string(*item)).collect())
}

fn state() -> impl Strategy<Value = DesiredState> {
    prop_oneof![
        3 => Just(DesiredState::Running),
        1 => Just(DesiredState::Stopped),
        1 => Just(DesiredState::Auto),
    ]
}

/// Code that follows a branch, that is left to people, and that nobody knows.
fn code_of() -> impl Strategy<Value = Option<Code>> {
    let commit = || (0..3usize).prop_map(|at| ["1", "2", "3"][at]);
    prop_oneof![
        4 => Just(None),
        4 => commit().prop_map(|commit| Some(code(commit))),
        1 => commit().prop_map(|commit| Some(Code { once: true, ..code(commit) })),
        1 => Just(Some(Code { commit: Err("nobody knows".into()), ..code("1") })),
    ]
}

fn one(name: &'static str) -> impl Strategy<Value = Workspace> {
    let moved_from = option::weighted(0.3, (0..NAMES.len()).prop_map(|at| NAMES[at]));
    (vec(field(), 0..5), state(), moved_from, code_of()).prop_map(move |(fields, state, moved_from, code)| {
        let mut declared = workspace(name);
        declared.code = code;
        declared.state = state;
        declared.moved_from = moved_from.filter(|old| *old != name).map(|old| (old.into(), line(2)));
        fields.into_iter().fold(declared, |declared, (path, value)| set(declared, path, value))
    })
}

/// Some of the names, each in one of the environments; some of the folders may be missing.
fn declarations() -> impl Strategy<Value = Vec<Environment>> {
    let workspaces = subsequence(&NAMES, 0..=NAMES.len())
        .prop_flat_map(|names| names.into_iter().map(|name| (one(name), 0..3usize)).collect::<Vec<_>>());
    (workspaces, vec(any::<bool>(), 3), vec(prop::bool::weighted(0.8), 3)).prop_map(
        |(workspaces, protected, exists)| {
            let mut environments = Vec::new();
            for (at, name) in ENVIRONMENTS.into_iter().enumerate() {
                let here: Vec<_> =
                    workspaces.iter().filter(|(_, place)| *place == at).map(|(one, _)| one.clone()).collect();
                if exists[at] || !here.is_empty() {
                    let mut environment = environment(name, at as u32, here);
                    environment.protected = protected[at];
                    environments.push(environment);
                }
            }
            environments
        },
    )
}

/// What happens to a cluster behind everybody's back.
#[derive(Debug, Clone)]
enum Event {
    Set(&'static str, FieldValue),
    Remove(&'static str),
    State(RunState),
    Code(Option<&'static str>),
    Work,
    Unmark,
    MarkedByOthers,
    Forget,
    Unknown,
}

fn event() -> impl Strategy<Value = (&'static str, Event)> {
    let what = prop_oneof![
        4 => field().prop_filter("a secret never reads back plainly", |(path, _)| *path != "secrets.s")
            .prop_map(|(path, value)| Event::Set(path, value)),
        2 => field().prop_map(|(path, _)| Event::Remove(path)),
        2 => prop_oneof![
            Just(RunState::Running), Just(RunState::Stopped), Just(RunState::Pending), Just(RunState::Failed)
        ].prop_map(Event::State),
        1 => (0..4usize).prop_map(|at| Event::Code([None, Some("1"), Some("2"), Some("9")][at])),
        1 => Just(Event::Work),
        1 => Just(Event::Unmark),
        1 => Just(Event::MarkedByOthers),
        1 => Just(Event::Forget),
        1 => Just(Event::Unknown),
    ];
    ((0..NAMES.len()).prop_map(|at| NAMES[at]), what)
}

/// A cluster that was as one declaration says, then lived, and another declaration for it.
fn world() -> impl Strategy<Value = World> {
    let capabilities = (prop::bool::weighted(0.7), any::<bool>());
    (declarations(), declarations(), vec(event(), 0..8), capabilities).prop_map(
        |(before, after, events, (rename, readable))| {
            let mut world = World::empty(vec![cluster("acme", before)]);
            world.observations[0].capabilities.rename = rename;
            if readable {
                world.observations[0].capabilities.fields.retain(|(_, capability)| capability.readable);
            }
            let plan = world.plan();
            simulate::apply(&mut world.observations, &plan.steps).expect("a first apply");
            for (name, event) in events {
                happen(&mut world.observations[0], &WorkspaceName::observed(name), event);
            }
            world.declare(after);
            world
        },
    )
}

fn happen(observation: &mut Observation, name: &WorkspaceName, event: Event) {
    if matches!(event, Event::Unknown) {
        observation.present.remove(name);
        observation.unknown.insert(name.clone(), "nobody knows".to_owned());
        return;
    }
    let Some(observed) = observation.present.get_mut(name) else { return };
    match event {
        Event::Set(path, value) => simulate::set(observed, &FieldPath::from(path), Some(value)),
        Event::Remove(path) => simulate::set(observed, &FieldPath::from(path), None),
        Event::State(state) => observed.state = state,
        Event::Code(commit) => observed.code.commit = commit.map(Into::into),
        Event::Work => observed.code.work = Work::Uncommitted(vec!["x.py".into()]),
        Event::Unmark => observed.mark = None,
        Event::MarkedByOthers => {
            let mark = |mark: Mark| Mark { managed_by: "others".into(), ..mark };
            observed.mark = observed.mark.take().map(mark);
        }
        Event::Forget => {
            if let Some(mark) = &mut observed.mark {
                mark.applied.clear();
            }
        }
        Event::Unknown => {}
    }
    observed.revision = simulate::revision(observed);
}

fn everything() -> Overrides {
    Overrides {
        allow_delete: names(&ENVIRONMENTS),
        allow_replace: names(&ENVIRONMENTS),
        allow_empty: names(&ENVIRONMENTS),
        allow_unprotect: names(&ENVIRONMENTS),
        adopt: Vec::new(),
        allow_older: false,
        max_deletes: Some("100%".into()),
        refresh_secrets: Vec::new(),
        override_gate: Vec::new(),
        discard_changes: Vec::new(),
        reason: Some("agreed".into()),
    }
}

/// What nobody may touch: it is unknown, unmarked and different, or marked by others.
fn bystanders(world: &World, plan: &Plan) -> BTreeMap<String, String> {
    let touched: Vec<_> = plan
        .steps
        .iter()
        .flat_map(|step| [Some(&step.workspace), step.renamed_from.as_ref()])
        .flatten()
        .collect();
    let present = world.observations.iter().flat_map(|observation| observation.present.values());
    present
        .filter(|observed| observed.mark.as_ref().is_none_or(|mark| mark.managed_by != "team"))
        .filter(|observed| observed.mark.is_some() || !touched.contains(&&observed.name))
        .map(|observed| (observed.name.to_string(), format!("{observed:?}")))
        .collect()
}

fn converge(world: &mut World) -> Plan {
    let plan = world.plan();
    assert_eq!(magus_check::check(&plan, &world.desired), []);
    simulate::apply(&mut world.observations, &plan.steps).expect("a plan that can be applied");
    simulate::refresh(&mut world.observations, &plan.marks);
    plan
}

/// Every workspace that a plan speaks of, but for those that are as declared.
fn named(plan: &Plan) -> BTreeSet<&str> {
    let apart = plan.since.iter().flat_map(|since| &since.apart).map(|apart| apart.workspace.as_str());
    let steps = plan.steps.iter().map(|step| step.workspace.as_str());
    steps.chain(plan.withheld.iter().map(|held| held.workspace.as_str())).chain(apart).collect()
}

/// Every change of a field that a plan shows, in steps and apart, but for what a replace only sends again.
fn shown(plan: &Plan) -> BTreeSet<(&str, &str)> {
    let apart =
        plan.since.iter().flat_map(|since| &since.apart).map(|apart| (&apart.workspace, &apart.fields));
    let steps = plan.steps.iter().map(|step| (&step.workspace, &step.fields));
    let fields = steps.chain(apart).flat_map(|(name, fields)| fields.iter().map(move |field| (name, field)));
    let changes = fields.filter(|(_, field)| field.before != field.after);
    changes.map(|(name, field)| (name.as_str(), field.path.as_str())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn after_an_apply_there_is_nothing_to_do(mut world in world()) {
        world.overrides = everything();
        let first = converge(&mut world);
        let second = world.plan();
        prop_assert_eq!(steps(&second), Vec::<String>::new(), "after {:?}", steps(&first));
        prop_assert_eq!(second.marks, vec![]);
        let no_flag_lifts = [Guard::Conflict, Guard::UncommittedChanges];
        prop_assert!(second.withheld.iter().all(|held| no_flag_lifts.contains(&held.guard)));
    }

    /// Whatever was declared before: what is set apart and what is not are the whole.
    #[test]
    fn nothing_is_lost_where_something_is_set_apart(mut world in world(), then in declarations()) {
        world.overrides = everything();
        let whole = world.plan();
        world.since = Some(Desired { clusters: vec![cluster("acme", then)] });
        let part = world.plan();
        prop_assert_eq!(named(&part), named(&whole));
        let lost: Vec<_> = shown(&whole).difference(&shown(&part)).map(|one| format!("{one:?}")).collect();
        prop_assert_eq!(lost, Vec::<String>::new());
        prop_assert_eq!(part.summary.unchanged, whole.summary.unchanged);

        world.since = Some(world.desired.clone());
        let nothing = world.plan();
        prop_assert_eq!((steps(&nothing), &nothing.withheld), (Vec::new(), &Vec::new()));
        world.since = Some(Desired::default());
        let everything = world.plan();
        prop_assert_eq!(&everything.digest, &whole.digest);
        prop_assert_eq!(everything.since.map(|since| since.apart), Some(Vec::new()));
    }

    /// Gates only put off: what they hold back is done once they are open, and nothing of it before.
    #[test]
    fn what_gates_hold_back_is_done_when_they_open(
        mut world in world(),
        closed in any::<bool>(),
        looks_back in any::<bool>(),
        part in 0..100usize,
    ) {
        world.overrides = everything();
        let mut before: Option<magus_model::Text> = None;
        for environment in &mut world.desired.clusters[0].environments {
            environment.promotes_from = before.replace(environment.name.clone());
            environment.gates.runs_before = looks_back;
            if closed {
                let date = "2026-08-01".parse().expect("a day");
                let zone = jiff::tz::TimeZone::UTC;
                environment.gates.freezes = vec![Freeze { from: date, to: date, zone, reason: None }];
            }
        }
        let first = world.desired.clusters[0].environments.first().map(|environment| environment.name.clone());
        let held = world.plan();
        prop_assert_eq!(magus_check::check(&held, &world.desired), []);
        let environments = &world.desired.clusters[0].environments;
        let is_declared = |name: &str| environments.iter().any(|environment| environment.name == name);
        let runs = |step: &magus_model::plan::Step| {
            let name = step.renamed_from.as_ref().unwrap_or(&step.workspace);
            let observed = world.observations.iter().find_map(|observation| observation.present.get(name));
            observed.is_some_and(|observed| observed.state != RunState::Stopped)
        };
        for step in &held.steps {
            let is_no_change = matches!(step.action, Action::Adopt | Action::Create | Action::Start);
            let spares = is_no_change || step.changes_only_mark();
            prop_assert!(!closed || spares || !runs(step) || !is_declared(&step.environment), "{}", step.id);
            let waits = looks_back && Some(&step.environment) != first.as_ref();
            prop_assert!(!waits || step.action != Action::Deploy, "{}", step.id);
        }
        for gate in held.withheld.iter().filter(|held| held.guard.is_gate()) {
            let is_step = |step: &magus_model::plan::Step| (&step.workspace, step.action) == (&gate.workspace, gate.action);
            prop_assert!(!held.steps.iter().any(is_step), "{:?}", gate);
        }
        let done = part * held.steps.len() / 100;
        simulate::apply(&mut world.observations, &held.steps[..done]).expect("a prefix can be applied");
        let again = world.plan();
        simulate::apply(&mut world.observations, &again.steps).expect("the rest can be applied");
        prop_assert_eq!(steps(&world.plan()), Vec::<String>::new(), "after {:?}", steps(&again));
        world.overrides.override_gate = names(&["freezes", "runs-before"]);
        converge(&mut world);
        prop_assert_eq!(steps(&world.plan()), Vec::<String>::new());
    }

    #[test]
    fn every_prefix_of_an_apply_converges(world in world()) {
        let mut world = world;
        world.overrides = everything();
        let plan = world.plan();
        for done in 0..plan.steps.len() {
            let mut crashed = world.clone();
            simulate::apply(&mut crashed.observations, &plan.steps[..done]).expect("a prefix can be applied");
            converge(&mut crashed);
            prop_assert_eq!(steps(&crashed.plan()), Vec::<String>::new(), "after {} of {:?}", done, steps(&plan));
        }
    }

    #[test]
    fn nothing_that_is_protected_unknown_or_not_ours_is_touched(mut world in world()) {
        let before = world.clone();
        let plan = converge(&mut world);
        for step in plan.steps.iter().filter(|step| matches!(step.action, Action::Delete | Action::Replace)) {
            let environments = &world.desired.clusters[0].environments;
            let declared = environments.iter().find(|environment| environment.name == step.environment);
            prop_assert!(!declared.is_some_and(|environment| environment.protected), "{}", step.id);
            prop_assert!(step.action == Action::Replace || declared.is_some(), "{}", step.id);
            let name = step.renamed_from.as_ref().unwrap_or(&step.workspace);
            let mark = before.observations[0].present[name].mark.as_ref();
            prop_assert!(!mark.is_none_or(|mark| mark.protected), "{}", step.id);
        }
        for unknown in before.observations[0].unknown.keys() {
            prop_assert!(plan.steps.iter().all(|step| step.workspace != *unknown));
            prop_assert!(!world.observations[0].present.contains_key(unknown));
        }
        let untouched = bystanders(&before, &plan);
        let after = bystanders(&world, &plan);
        for (name, was) in &untouched {
            prop_assert_eq!(Some(was), after.get(name));
        }
    }

    #[test]
    fn what_unblock_says_lifts_the_guard(world in world()) {
        let plan = world.plan();
        // What others have, no flag lets go.
        let liftable = |held: &&magus_model::plan::Withheld| held.guard != Guard::Conflict;
        for held in plan.withheld.iter().filter(liftable) {
            let mut lifted_world = world.clone();
            lifted_world.overrides = lifted(&world.overrides, &held.unblock);
            let now = lifted_world.plan();
            let is_it = |step: &magus_model::plan::Step| step.workspace == held.workspace && step.action == held.action;
            prop_assert!(now.steps.iter().any(is_it), "{} lifts nothing of {:?}", held.unblock, held);
        }
    }

    #[test]
    fn a_plan_is_the_same_as_json_and_whatever_the_order_of_its_input(mut world in world(), flip in any::<bool>()) {
        world.overrides = if flip { everything() } else { Overrides::default() };
        let plan = world.plan();
        let json = serde_json::to_string(&plan).expect("json");
        let read: Plan = serde_json::from_str(&json).expect("a plan");
        prop_assert_eq!(serde_json::to_string(&read).expect("json"), json);
        prop_assert_eq!(magus_check::check(&read, &world.desired), []);

        world.overrides.allow_delete.reverse();
        let again = world.plan_as(&["magus", "apply", "--yes"]);
        prop_assert_eq!(&again.digest, &plan.digest);
        prop_assert!(approve(again, Some(&read)).is_ok());
    }

    #[test]
    fn a_filter_only_leaves_out(mut world in world(), wanted in subsequence(&NAMES, 1..3), environment in 0..4usize) {
        world.overrides.max_deletes = Some("100%".into());
        let whole = world.plan();
        world.filter.workspaces = names(&wanted);
        world.filter.environments = ENVIRONMENTS.get(environment).map(|name| names(&[name])).unwrap_or_default();
        let part = world.plan();
        let selected = |name: &WorkspaceName, of: &str| {
            wanted.contains(&name.as_str()) && ENVIRONMENTS.get(environment).is_none_or(|name| *name == of)
        };
        let steps: Vec<_> = whole.steps.into_iter().filter(|step| selected(&step.workspace, &step.environment)).collect();
        let withheld: Vec<_> = whole.withheld.into_iter().filter(|held| selected(&held.workspace, &held.environment)).collect();
        prop_assert_eq!(part.steps, steps);
        prop_assert_eq!(part.withheld, withheld);
    }

    #[test]
    fn a_destroy_or_a_restart_does_nothing_else(mut world in world(), destroy in any::<bool>()) {
        world.intent = if destroy { Intent::Destroy } else { Intent::Restart };
        let plan = converge(&mut world);
        let only = if destroy { Action::Delete } else { Action::Restart };
        prop_assert!(plan.steps.iter().all(|step| step.action == only && step.fields.is_empty()));
        prop_assert_eq!(plan.marks, vec![]);
    }
}
