//! Gates: what they hold back, what goes on without it, and what opens them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil::Time, tz::TimeZone};
use magus_model::{
    Text,
    desired::{
        Code, CommitChoice, DesiredState, Environment, Gates, Verified, Window, WindowHolds, Workspace,
    },
    history::{Deployed, Ending, Entry, EntryStep, FORMAT_VERSION, Operation, Verification},
    name::WorkspaceName,
    observed::{RunState, Work},
    plan::{Action, Guard, Overrides, Plan, Precondition},
    report::Outcome,
    source::ProjectSource,
};
use magus_plan::{Evidence, Kinship, NotRunning, Proof, Runs, evidence};

use crate::world::{World, code, environment, plain, set, steps, workspace};

const HOUR: u64 = 60 * 60;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn running(name: &str, commit: &str) -> Workspace {
    Workspace { code: Some(code(commit)), ..workspace(name) }
}

/// Staging runs `s`, and production, behind these gates, `p`.
fn stages(gates: Gates, staging: &str, production: Workspace) -> Vec<Environment> {
    let before = environment("staging", 0, vec![running("s", staging)]);
    let after = environment("production", 1, vec![production]);
    vec![before, Environment { promotes_from: Some("staging".into()), gates, ..after }]
}

fn proof(verified: Option<(&str, bool)>, runs: Runs) -> Evidence {
    let verified = verified.map(|(time, passed)| (at(time), passed));
    Evidence::from_iter([(
        ("production".into(), "2".into()),
        Proof { verified, runs, ran_here: false, unread: None, incomparable: None },
    )])
}

fn not(why: NotRunning) -> Runs {
    Runs::Not { workspace: "s-staging".into(), why }
}

fn held(plan: &Plan) -> Vec<(&str, &str)> {
    plan.withheld.iter().map(|one| (one.guard.as_str(), one.message.as_str())).collect()
}

/// A world where production ran `1` and is to run `2`.
fn promoted(gates: Gates) -> World {
    let mut world = World::applied(stages(Gates::default(), "1", running("p", "1")));
    world.declare(stages(gates, "1", running("p", "2")));
    world
}

#[test]
fn a_deploy_waits_for_what_the_stage_before_has_to_show() {
    let verified = Gates { verified: Some(Verified { within: Some(24 * HOUR) }), ..Gates::default() };
    let soak = Gates { soak: Some(2 * HOUR), ..Gates::default() };
    let runs_before = Gates { runs_before: true, ..Gates::default() };
    let since = |time: &str| Runs::Since(Some(at(time)));
    // It is 2026-08-01T10:00:00Z.
    for (gates, known, message, opens) in [
        (
            &verified,
            proof(None, Runs::NotDeployed),
            "gate `verified`: `2` was not verified in `staging`: `magus verify staging`",
            None,
        ),
        (
            &verified,
            proof(Some(("2026-08-01T09:00:00Z", false)), Runs::NotDeployed),
            "gate `verified`: the last verification of `2` in `staging` failed, at 2026-08-01T09:00:00Z",
            None,
        ),
        (
            &verified,
            proof(Some(("2026-07-31T09:59:59Z", true)), Runs::NotDeployed),
            "gate `verified`: `2` was verified in `staging` at 2026-07-31T09:59:59Z, longer than 24h ago",
            None,
        ),
        (
            &soak,
            proof(None, not(NotRunning::OtherCommit)),
            "gate `soak`: `s-staging` of `staging` does not run `2`, where it has to run for 2h",
            None,
        ),
        (
            &soak,
            proof(None, Runs::Since(None)),
            "gate `soak`: the history does not show since when `2` runs in `staging`, where it has to run for 2h",
            None,
        ),
        (
            &soak,
            proof(None, since("2026-08-01T08:00:01Z")),
            "gate `soak`: `2` has run in `staging` since 2026-08-01T08:00:01Z; the 2h soak ends at 2026-08-01T10:00:01Z",
            Some("2026-08-01T10:00:01Z"),
        ),
        (
            &runs_before,
            proof(None, not(NotRunning::OtherCommit)),
            "gate `runs-before`: `s-staging` of `staging` does not run `2`",
            None,
        ),
        (
            &runs_before,
            proof(None, not(NotRunning::State(RunState::Stopped))),
            "gate `runs-before`: `s-staging` of `staging` is stopped",
            None,
        ),
        (
            &soak,
            proof(None, not(NotRunning::Missing)),
            "gate `soak`: `s-staging` of `staging` is not in the cluster, where it has to run for 2h",
            None,
        ),
        (
            &verified,
            proof(Some(("2026-08-01T09:00:00Z", true)), not(NotRunning::Unknown("no answer".into()))),
            "gate `verified`: the verification of `2` does not count: the state of `s-staging` of `staging` is unknown: no answer",
            None,
        ),
        (
            &runs_before,
            proof(None, not(NotRunning::OtherSource)),
            "gate `runs-before`: `s-staging` of `staging` runs the code of another repository or directory",
            None,
        ),
        (
            &runs_before,
            proof(None, Runs::NotDeployed),
            "gate `runs-before`: no workspace of `staging` is deployed to",
            None,
        ),
    ] {
        let mut world = promoted(gates.clone());
        world.evidence = known;
        let plan = world.plan();
        assert_eq!(plan.steps.len(), 0);
        assert_eq!(plan.withheld[0].message, message);
        assert_eq!(plan.withheld[0].opens_at.as_deref(), opens);
        assert!(plan.withheld[0].guard.is_gate());
    }
    for (gates, known) in [
        (&verified, proof(Some(("2026-07-31T10:00:00Z", true)), Runs::Since(None))),
        (&verified, proof(Some(("2026-07-31T10:00:00Z", true)), Runs::NotDeployed)),
        (&soak, proof(None, since("2026-08-01T08:00:00Z"))),
        (&runs_before, proof(None, Runs::Since(None))),
    ] {
        let mut world = promoted(gates.clone());
        world.evidence = known;
        assert_eq!(steps(&world.plan()), ["> acme/p"]);
    }
}

#[test]
fn a_gate_is_lifted_by_name_and_with_a_reason() {
    let gates = Gates { runs_before: true, soak: Some(HOUR), ..Gates::default() };
    let mut world = promoted(gates);
    let plan = world.plan();
    assert_eq!(plan.withheld[0].guard, Guard::Soak);
    assert_eq!(
        plan.withheld[0].unblock,
        "magus plan --override-gate runs-before --override-gate soak --reason 'WHY'"
    );
    world.overrides.override_gate = vec!["soak".into(), "runs-before".into()];
    assert_eq!(world.plan().steps.len(), 0);
    let without_reason = world.plan();
    assert_eq!(without_reason.withheld[0].unblock, "magus plan --reason 'WHY'");
    world.overrides.reason = Some("the outage".into());
    let lifted = world.plan();
    assert_eq!(steps(&lifted), ["> acme/p"]);
    // What was lifted is part of what is approved.
    world.overrides = Overrides { override_gate: Vec::new(), ..world.overrides };
    assert_ne!(world.plan().digest, lifted.digest);
}

#[test]
fn what_does_not_wait_goes_on_and_what_waited_follows() {
    let soak = Gates { soak: Some(HOUR), ..Gates::default() };
    let mut world = World::applied(stages(Gates::default(), "1", running("p", "1")));
    world.edit("p", |observed| observed.state = RunState::Stopped);
    world.declare(stages(soak, "1", set(running("p", "2"), "env.A", plain("1"))));
    let plan = world.plan();
    assert_eq!(steps(&plan), ["~ acme/p", "▶ acme/p"]);
    assert_eq!(held(&plan).len(), 1);
    assert_eq!(magus_check::check(&plan, &world.desired), []);
    assert_eq!(plan.steps[1].needs, [plan.steps[0].id.clone()]);
    assert_eq!(plan.steps[1].precondition, Precondition::Follows(plan.steps[0].id.clone()));
    crate::simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    // The mark does not say that the code was applied, so that this is still what was declared.
    world.evidence = proof(None, Runs::Since(Some(at("2026-08-01T09:00:00Z"))));
    let plan = world.plan();
    assert_eq!(steps(&plan), ["> acme/p"]);
    assert_eq!(plan.steps[0].deploy.as_ref().map(|deploy| deploy.reason.as_str()), Some("declared"));
    crate::simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    assert_eq!((world.plan().steps.len(), world.plan().withheld.len()), (0, 0));
}

#[test]
fn a_window_that_holds_restarts_lets_code_through() {
    let hour = |hour| Time::new(hour, 0, 0, 0).expect("an hour");
    let window = Window {
        days: Vec::new(),
        from: hour(20),
        to: hour(22),
        zone: TimeZone::UTC,
        holds: WindowHolds::Restarts,
    };
    let gates = Gates { windows: vec![window], ..Gates::default() };
    let mut world = World::applied(stages(Gates::default(), "1", running("p", "1")));
    world.declare(stages(gates, "1", set(running("p", "2"), "env.A", plain("1"))));
    let unknown_code = magus_model::plan::Movement { ahead: 1, ..Default::default() };
    let one = magus_plan::Move {
        repository: "code.git".into(),
        directory: ".".into(),
        from: Some("1".into()),
        to: "2".into(),
    };
    world.movements = magus_plan::Movements::from_iter([(one, unknown_code)]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["> acme/p"]);
    assert_eq!(
        held(&plan),
        [(
            "windows",
            "gate `windows`: no running workspace of `production` is changed at this time: until 2026-08-01T20:00:00Z"
        )]
    );
    assert_eq!(plan.withheld[0].opens_at.as_deref(), Some("2026-08-01T20:00:00Z"));
    assert!(matches!(plan.steps[0].precondition, Precondition::Revision(_)));
    assert_eq!(magus_check::check(&plan, &world.desired), []);
    let digest = plan.digest;
    crate::simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    assert_eq!(world.plan().steps.len(), 0);
    // A requested restart waits as well.
    world.intent = magus_plan::Intent::Restart;
    assert_eq!(held(&world.plan()).iter().map(|(gate, _)| *gate).collect::<Vec<_>>(), ["windows"]);
    world.intent = magus_plan::Intent::Converge;
    world.now = "2026-08-01T20:00:00Z";
    let plan = world.plan();
    // The mark does not say that it was applied: it is still what somebody declared, and no drift.
    assert_eq!(plan.steps[0].fields[0].reason.as_str(), "declared");
    assert_eq!(steps(&plan), ["~ acme/p"]);
    assert_ne!(plan.digest, digest);
    crate::simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    assert_eq!((world.plan().steps.len(), world.plan().withheld.len()), (0, 0));
}

/// Says how far `2` is from `1`.
fn moves(world: &mut World, movement: magus_model::plan::Movement) {
    let one = magus_plan::Move {
        repository: "code.git".into(),
        directory: ".".into(),
        from: Some("1".into()),
        to: "2".into(),
    };
    world.movements = magus_plan::Movements::from_iter([(one, movement)]);
}

#[test]
fn a_rollback_waits_for_no_stage_before_only_if_the_commit_ran_here() {
    let mut world = promoted(Gates { soak: Some(HOUR), runs_before: true, ..Gates::default() });
    moves(&mut world, magus_model::plan::Movement { behind: 2, ..Default::default() });
    let plan = world.plan();
    assert_eq!(plan.steps.len(), 0);
    let never_ran =
        "; `2` is older than what runs, and the history does not show that it ran in `production`";
    assert!(plan.withheld[0].message.ends_with(never_ran), "{}", plan.withheld[0].message);
    let proof =
        Proof { verified: None, runs: Runs::NotDeployed, ran_here: true, unread: None, incomparable: None };
    world.evidence = Evidence::from_iter([(("production".into(), "2".into()), proof)]);
    assert_eq!(steps(&world.plan()), ["> acme/p"]);
    // What ran before and does not go back is a deploy like any other.
    moves(&mut world, magus_model::plan::Movement { ahead: 1, ..Default::default() });
    assert_eq!(world.plan().steps.len(), 0);
}

#[test]
fn what_ran_here_is_told_by_the_history_of_the_environment() {
    let world = promoted(Gates { runs_before: true, ..Gates::default() });
    let at = "2026-08-01T01:00:00Z";
    let here = |commit: &str, outcome: Outcome, directory: Option<&str>| {
        let mut entry = deployed(at, "p", commit, outcome);
        entry.steps[0].environment = "production".into();
        let source =
            directory.map(|directory| ProjectSource { directory: directory.into(), ..code(commit).source });
        entry.steps[0].deployed.as_mut().expect("code").source = source;
        known(&world, vec![entry]).ran_here
    };
    assert!(here("2", Outcome::Applied, None) && here("2", Outcome::Applied, Some(".")));
    assert!(!here("2", Outcome::Applied, Some("etl")), "the same commit of another directory");
    assert!(!here("2", Outcome::Uncertain, None) && !here("1", Outcome::Applied, None));
    assert!(!known(&world, vec![deployed(at, "s", "2", Outcome::Applied)]).ran_here, "it ran elsewhere");
}

#[test]
fn only_workspaces_that_are_observed_running_are_evidence() {
    let gates = Gates { runs_before: true, ..Gates::default() };
    let mut world = World::applied(stages(Gates::default(), "2", running("p", "1")));
    world.declare(stages(gates, "2", running("p", "2")));
    let runs = |world: &World| known(world, Vec::new()).runs;
    assert_eq!(runs(&world), Runs::Since(None));
    let not = |why: NotRunning| Runs::Not { workspace: "s".into(), why };
    for state in [RunState::Stopped, RunState::Pending, RunState::Failed] {
        world.edit("s", |observed| observed.state = state);
        assert_eq!(runs(&world), not(NotRunning::State(state)));
    }
    world.edit("s", |observed| observed.state = RunState::Running);
    let mut remembered = world.clone();
    remembered.edit("s", |observed| observed.code.work = Work::Unknown("its server does not answer".into()));
    assert_eq!(runs(&remembered), not(NotRunning::Unknown("its server does not answer".into())));
    let mut other = world.clone();
    other.edit("s", |observed| {
        observed.mark.as_mut().expect("a mark").source =
            Some(ProjectSource { directory: "etl".into(), ..code("2").source });
    });
    assert_eq!(runs(&other), not(NotRunning::OtherSource));
    let observation = &mut world.observations[0];
    observation.present.remove(&WorkspaceName::observed("s"));
    assert_eq!(runs(&world), not(NotRunning::Missing));
    world.observations[0].unknown.insert(WorkspaceName::observed("s"), "no answer".into());
    assert_eq!(runs(&world), not(NotRunning::Unknown("no answer".into())));
    world.observations.clear();
    assert!(matches!(runs(&world), Runs::Not { why: NotRunning::Unknown(_), .. }));
}

#[test]
fn a_reviewed_commit_is_not_deployed_if_it_is_older_than_what_runs() {
    let reviewed = |choice: CommitChoice| {
        let mut production = running("p", "2");
        production.code.as_mut().expect("code").choice = choice;
        let mut world = promoted(Gates::default());
        world.declare(stages(Gates::default(), "1", production));
        world
    };
    let moved = CommitChoice::Reviewed { head: Some("3".into()) };
    for (ahead, behind, message) in [
        (
            0,
            2,
            "guard `stale-plan`: the reviewed commit `2` is older than `1`, which runs; `main` is at `3` now",
        ),
        (
            1,
            1,
            "guard `stale-plan`: the reviewed commit `2` lacks commits of `1`, which runs; `main` is at `3` now",
        ),
    ] {
        let mut world = reviewed(moved.clone());
        moves(&mut world, magus_model::plan::Movement { ahead, behind, ..Default::default() });
        let plan = world.plan();
        assert_eq!((plan.steps.len(), held(&plan)), (0, vec![("stale-plan", message)]));
        assert_eq!(plan.withheld[0].unblock, "magus plan --out FILE");
        let mut declared = reviewed(CommitChoice::Declared);
        declared.movements = world.movements.clone();
        let review = declared.plan();
        assert_eq!(steps(&review), ["> acme/p"], "the declaration itself may go back");
        let stale = magus_plan::approve(plan, Some(&review)).expect_err("it is not what was reviewed");
        assert!(stale.difference.lines()[0].contains("is older than") || behind == ahead, "{stale:?}");
    }
    assert_eq!(held(&reviewed(moved.clone()).plan())[0].0, "stale-plan", "they cannot be compared");
    let mut newer = reviewed(moved);
    moves(&mut newer, magus_model::plan::Movement { ahead: 1, ..Default::default() });
    assert_eq!(steps(&newer.plan()), ["> acme/p"]);
}

#[test]
fn a_create_that_waits_for_its_code_leaves_nothing_out_of_its_mark() {
    let mut world = World::empty(vec![crate::world::cluster(
        "acme",
        stages(Gates { runs_before: true, ..Gates::default() }, "1", running("p", "2")),
    )]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["+ acme/s", "> acme/s", "+ acme/p"]);
    crate::simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    assert_eq!(held(&world.plan()).len(), 1);
    world.evidence = proof(None, Runs::Since(None));
    assert_eq!(steps(&world.plan()), ["> acme/p"]);
}

fn entry(time: &str, steps: Vec<EntryStep>, verification: Option<(Verification, bool)>) -> Entry {
    let result = match &verification {
        Some((_, true)) => Ending::Passed,
        Some((_, false)) => Ending::Failed,
        None => Ending::Done,
    };
    Entry {
        format_version: FORMAT_VERSION,
        id: "1".into(),
        cluster: "acme".into(),
        operation: Operation::Apply,
        at: time.into(),
        by: "ana".into(),
        result,
        reason: None,
        revision: None,
        dirty: false,
        plan_digest: None,
        overrides: Overrides::default(),
        steps,
        verification: verification.map(|(verification, _)| verification),
        managed_by: None,
        process: None,
        closes: None,
    }
}

fn deployed(time: &str, workspace: &str, to: &str, outcome: Outcome) -> Entry {
    let deployed = Deployed { branch: "main".into(), from: None, to: to.into(), source: None };
    let step = EntryStep {
        environment: "staging".into(),
        workspace: WorkspaceName::observed(workspace),
        action: Action::Deploy,
        outcome,
        deployed: Some(deployed),
        identity: None,
        protected: false,
    };
    entry(time, vec![step], None)
}

fn verified(time: &str, environment: &str, commit: &str, passed: bool) -> Entry {
    let verification = Verification {
        environment: environment.into(),
        commit: commit.into(),
        source: None,
        urls: Vec::new(),
        note: None,
    };
    entry(time, Vec::new(), Some((verification, passed)))
}

/// What is known of the commit that production is to run. A later number follows an earlier one; `2` and `2m` have the
/// same files.
fn known(world: &World, entries: Vec<Entry>) -> Proof {
    let number =
        |commit: &str| commit.trim_end_matches('m').parse::<u32>().map_err(|_| Text::from("a shallow clone"));
    let kinship = Kinship {
        same: &|_: &Code, one: &str, other: &str| Ok(number(one)? == number(other)?),
        follows: &|_: &Code, one: &str, other: &str| Ok(number(one)? > number(other)?),
    };
    let histories = BTreeMap::from([(Text::from("acme"), Ok(entries))]);
    let wanted = BTreeSet::from([("production".into(), "2".into())]);
    let evidence = evidence(&world.desired, &wanted, &world.observations, &histories, &kinship);
    evidence.of(&"production".into(), &"2".into()).cloned().expect("a proof")
}

#[test]
fn since_when_a_commit_runs_is_told_by_what_was_deployed() {
    let gates = Gates { soak: Some(HOUR), ..Gates::default() };
    let world = |staging: &str| {
        let mut world = World::applied(stages(Gates::default(), staging, running("p", "1")));
        world.declare(stages(gates.clone(), staging, running("p", "2")));
        world
    };
    let name = "s";
    let (one, two, three) = ("2026-08-01T01:00:00Z", "2026-08-01T02:00:00Z", "2026-08-01T03:00:00Z");
    let since = |time: &str| Runs::Since(Some(at(time)));
    let done = Outcome::Applied;
    let runs = |staging: &str, entries: Vec<Entry>| known(&world(staging), entries).runs;
    assert_eq!(
        runs("1", vec![deployed(one, name, "1", done)]),
        Runs::Not { workspace: name.into(), why: NotRunning::OtherCommit }
    );
    assert_eq!(runs("2", vec![deployed(one, name, "1", done), deployed(two, name, "2", done)]), since(two));
    // A merge of the same files is the same.
    assert_eq!(runs("2m", vec![deployed(two, name, "2m", done)]), since(two));
    // What follows carries it on.
    assert_eq!(runs("3", vec![deployed(two, name, "2", done), deployed(three, name, "3", done)]), since(two));
    // It was away in between.
    let away = vec![
        deployed(one, name, "2", done),
        deployed(two, name, "1", done),
        deployed(three, name, "2", done),
    ];
    assert_eq!(runs("2", away), since(three));
    // What failed did not run, and what somebody else deployed is in no history.
    assert_eq!(runs("2", vec![deployed(two, name, "2", Outcome::Failed)]), Runs::Since(None));
    assert_eq!(
        runs("2", vec![deployed(one, name, "2", done), deployed(two, name, "3", done)]),
        Runs::Since(None)
    );
    assert_eq!(runs("2", Vec::new()), Runs::Since(None));
}

#[test]
fn the_newest_verification_of_the_same_files_counts() {
    let world = promoted(Gates { verified: Some(Verified { within: None }), ..Gates::default() });
    let (one, two) = ("2026-08-01T01:00:00Z", "2026-08-01T02:00:00Z");
    assert_eq!(known(&world, Vec::new()).verified, None);
    let passed = verified(one, "staging", "2m", true);
    assert_eq!(known(&world, vec![passed.clone()]).verified, Some((at(one), true)));
    let failed = verified(two, "staging", "2", false);
    assert_eq!(known(&world, vec![passed, failed]).verified, Some((at(two), false)));
    let others = vec![verified(one, "development", "2", true), verified(two, "staging", "3", true)];
    assert_eq!(known(&world, others).verified, None);
}

#[test]
fn verification_that_cannot_be_compared_hides_no_failure() {
    let gates = Gates { verified: Some(Verified { within: None }), ..Gates::default() };
    let mut world = World::applied(stages(Gates::default(), "2", running("p", "1")));
    world.declare(stages(gates, "2", running("p", "2")));
    let (one, two) = ("2026-08-01T01:00:00Z", "2026-08-01T02:00:00Z");
    let passed = || verified(one, "staging", "2", true);
    // Whether the newest verification, which failed, is one of this commit is unknown.
    let unknown = known(&world, vec![passed(), verified(two, "staging", "cut", false)]);
    assert_eq!((unknown.verified, unknown.incomparable.as_deref()), (None, Some("a shallow clone")));
    let damaged = known(&world, vec![passed(), verified("some time", "staging", "2", false)]);
    assert_eq!(damaged.verified, None);
    world.evidence = Evidence::from_iter([(("production".into(), "2".into()), damaged)]);
    let plan = world.plan();
    let message = &plan.withheld[0].message;
    assert!(message.contains("cannot be compared: the time of entry `1` cannot be read"), "{message}");
    // So is what runs, if it cannot be compared.
    let elsewhere = World::applied(stages(Gates::default(), "cut", running("p", "1")));
    let mut elsewhere = World { desired: world.desired.clone(), ..elsewhere };
    elsewhere.now = world.now;
    let not = known(&elsewhere, vec![passed()]).runs;
    assert_eq!(not, Runs::Not { workspace: "s".into(), why: NotRunning::Unknown("a shallow clone".into()) });
}

#[test]
fn a_window_holds_every_change_of_a_running_workspace() {
    let hour = |hour| Time::new(hour, 0, 0, 0).expect("an hour");
    let window = Window {
        days: Vec::new(),
        from: hour(20),
        to: hour(22),
        zone: TimeZone::UTC,
        holds: WindowHolds::Changes,
    };
    let gates = || Gates { windows: vec![window.clone()], ..Gates::default() };
    let plan = |world: &World| {
        let plan = world.plan();
        let held =
            plan.withheld.iter().map(|held| format!("{} {}", held.action.symbol(), held.guard.as_str()));
        (held.collect::<Vec<_>>(), steps(&plan).len())
    };
    let start = || World::applied(stages(Gates::default(), "1", running("p", "1")));
    let waits = |symbol: &str| (vec![format!("{symbol} windows")], 0);
    // A stop, code without a restart, a delete and a field without a restart.
    let mut world = start();
    let stopped = Workspace { state: DesiredState::Stopped, ..running("p", "1") };
    world.declare(stages(gates(), "1", stopped));
    assert_eq!(plan(&world), waits("■"));
    let mut world = start();
    world.declare(stages(gates(), "1", running("p", "2")));
    moves(&mut world, magus_model::plan::Movement { ahead: 1, ..Default::default() });
    assert_eq!(plan(&world), waits(">"));
    world.edit("p", |observed| observed.state = RunState::Stopped);
    let (held, count) = plan(&world);
    assert_eq!((held.len(), count), (0, 2), "a stopped workspace takes its code and is started");
    let mut world = start();
    world.declare(stages(gates(), "1", running("q", "1")));
    world.overrides.allow_empty = vec!["production".into()];
    assert_eq!(plan(&world).0, ["- windows"]);
    let mut world = start();
    world.intent = magus_plan::Intent::Destroy;
    world.filter.environments = vec!["production".into()];
    world.declare(stages(gates(), "1", running("p", "1")));
    assert_eq!(plan(&world), waits("-"));
    // It is let through by name, and in its time.
    world.overrides = Overrides {
        override_gate: vec!["windows".into()],
        reason: Some("the outage".into()),
        ..Overrides::default()
    };
    assert_eq!(plan(&world).1, 1);
    world.overrides = Overrides::default();
    world.now = "2026-08-01T20:00:00Z";
    assert_eq!(plan(&world).1, 1);
}
