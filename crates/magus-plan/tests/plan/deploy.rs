//! Code that moves: which steps there are, why, and what they leave.

use magus_model::{
    desired::{Code, DesiredState, Environment, Workspace},
    name::WorkspaceName,
    observed::{ObservedCode, Work},
    plan::{DeployBranch, Difference, Movement, Plan, Restarts},
};
use magus_plan::{Intent, Move, Movements};

use crate::{
    simulate,
    world::{World, apart, code, environment, plain, set, steps, withheld, workspace},
};

/// `a`, which is to run this commit of `main`.
fn at(commit: &str) -> Workspace {
    Workspace { code: Some(code(commit)), ..workspace("a") }
}

fn development(workspace: Workspace) -> Vec<Environment> {
    vec![environment("development", 0, vec![workspace])]
}

/// A cluster where `a` runs commit `1`.
fn applied() -> World {
    World::applied(development(at("1")))
}

fn reasons(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| format!("{} {}", step.action.symbol(), step.reason)).collect()
}

/// Says what lies between two commits.
fn movement(world: &mut World, from: &str, to: &str, movement: Movement) {
    let one =
        Move { repository: "code.git".into(), directory: ".".into(), from: Some(from.into()), to: to.into() };
    world.movements = Movements::from_iter([(one, movement)]);
}

#[test]
fn a_new_workspace_gets_its_code_and_what_runs_is_left() {
    let mut world = World::empty(vec![crate::world::cluster("acme", development(at("1")))]);
    let plan = world.plan();
    assert_eq!(steps(&plan), ["+ acme/a", "> acme/a"]);
    assert_eq!(plan.steps[1].reason, "`main`, for the first time");
    let path = magus_diff::code_path();
    let remembers =
        |at: usize| plan.steps[at].mark.as_ref().is_some_and(|mark| mark.applied.contains_key(&path));
    assert_eq!((remembers(0), remembers(1)), (false, true));
    crate::simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    let plan = world.plan();
    assert_eq!((plan.steps.len(), plan.marks.len(), plan.summary.unchanged), (0, 0, 1));
    assert_eq!(plan.heads.len(), 1);
}

#[test]
fn who_moved_the_code_is_told() {
    let mut world = applied();
    world.declare(development(at("2")));
    let declared = world.plan();
    assert_eq!(declared.steps[0].deploy.as_ref().map(|deploy| deploy.reason.as_str()), Some("declared"));
    let reason = |world: &World| {
        world.plan().steps[0].deploy.as_ref().map(|deploy| deploy.reason.as_str()).expect("a deploy")
    };
    world.edit("a", |observed| observed.code.commit = Some("3".into()));
    assert_eq!(reason(&world), "both");
    world.declare(development(at("1")));
    assert_eq!(reason(&world), "drift");
    world.edit("a", |observed| observed.code.commit = None);
    assert_eq!(reason(&world), "drift");
    world.edit("a", |observed| {
        observed.code.commit = Some("3".into());
        observed.mark.as_mut().expect("a mark").applied.remove(&magus_diff::code_path());
    });
    assert_eq!(reason(&world), "differs");
}

#[test]
fn how_far_it_moves_is_said_and_other_packages_restart() {
    let mut world = applied();
    world.declare(development(at("2")));
    let moved = |ahead, behind, requires: bool| {
        let pandas = Difference { name: "pandas".into(), before: None, after: Some("==2".into()) };
        let requirements = if requires { vec![pandas] } else { Vec::new() };
        Movement { ahead, behind, requirements, ..Movement::default() }
    };
    for (lies_between, says, restarts) in [
        (
            None,
            "`main`; what lies between is not known, because what runs is in no commit there",
            Restarts::Yes,
        ),
        (Some(moved(2, 0, false)), "`main` is 2 commits ahead", Restarts::No),
        (Some(moved(0, 1, false)), "rollback: `main` is 1 commit before what runs", Restarts::No),
        (
            Some(moved(1, 2, true)),
            "`main` is 1 commit ahead, and lacks 2 commits of what runs",
            Restarts::Yes,
        ),
    ] {
        world.movements = Movements::default();
        lies_between.into_iter().for_each(|one| movement(&mut world, "1", "2", one));
        let plan = world.plan();
        assert_eq!((plan.steps[0].reason.as_str(), plan.steps[0].restarts), (says, restarts));
    }
    world.edit("a", |observed| observed.state = magus_model::observed::RunState::Stopped);
    world.desired.clusters[0].environments[0].workspaces[0].state = DesiredState::Stopped;
    assert_eq!(world.plan().steps[0].restarts, Restarts::No);
}

#[test]
fn a_deploy_comes_after_an_update_and_before_a_start() {
    let mut world = applied();
    world.edit("a", |observed| observed.state = magus_model::observed::RunState::Stopped);
    world.declare(development(set(at("2"), "env.A", plain("1"))));
    let plan = world.plan();
    assert_eq!(steps(&plan), ["~ acme/a", "> acme/a", "▶ acme/a"]);
    assert_eq!(plan.steps[2].needs, ["acme/a/deploy"]);
    assert_eq!(magus_check::check(&plan, &world.desired), []);
    crate::simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    assert_eq!(world.plan().steps.len(), 0);

    // A volume outlives the workspace, and so does the code on it.
    let mut world = applied();
    world.declare(development(set(at("2"), "storage_class_name", plain("fast"))));
    assert_eq!(steps(&world.plan()), ["-/+ acme/a", "> acme/a"]);
}

#[test]
fn work_of_people_holds_back_what_would_take_it_and_nothing_else() {
    let mut world = applied();
    let work = ObservedCode { commit: Some("1".into()), work: Work::Uncommitted(vec!["x.py".into()]) };
    world.edit("a", |observed| observed.code = work.clone());
    assert_eq!(world.plan().withheld, [], "nothing would take it");
    world.declare(development(set(at("2"), "env.A", plain("1"))));
    let plan = world.plan();
    assert_eq!(
        (steps(&plan), withheld(&plan)),
        (vec!["~ acme/a".to_owned()], vec!["a deploy uncommitted-changes".to_owned()])
    );
    assert!(plan.withheld[0].message.contains("uncommitted changes would be lost: `x.py`"));
    // The mark still remembers the code that is there.
    let path = magus_diff::code_path();
    let mark = |plan: &Plan| plan.steps[0].mark.as_ref().and_then(|mark| mark.applied.get(&path).cloned());
    let observed = world.observations[0].present.get(&WorkspaceName::observed("a")).expect("it is there");
    assert_eq!(mark(&plan), observed.mark.as_ref().and_then(|mark| mark.applied.get(&path).cloned()));

    world.declare(vec![environment("development", 0, vec![workspace("b")])]);
    world.overrides.allow_empty = vec!["development".into()];
    assert_eq!(withheld(&world.plan()), ["a delete uncommitted-changes"]);
    world.intent = Intent::Destroy;
    assert_eq!(withheld(&world.plan()), ["a delete uncommitted-changes"]);
}

#[test]
fn what_is_deployed_once_is_left_to_people() {
    let once = |commit| {
        let code = code(commit);
        Workspace { code: Some(Code { once: true, ..code }), ..workspace("a") }
    };
    let mut world = World::applied(development(once("1")));
    world.declare(development(once("2")));
    assert_eq!((world.plan().steps.len(), world.plan().marks.len()), (0, 0));
    let unknown = Workspace {
        code: Some(Code { once: true, commit: Err("no answer".into()), ..code("1") }),
        ..workspace("a")
    };
    world.declare(development(unknown));
    assert_eq!(world.plan().unknown, []);
    world.declare(development(once("2")));
    world.edit("a", |observed| observed.code.commit = None);
    assert_eq!(reasons(&world.plan()), ["> `main`, for the first time"]);
    world.edit("a", |observed| observed.code.work = Work::Uncommitted(vec!["code".into()]));
    assert_eq!((world.plan().steps.len(), world.plan().withheld.len()), (0, 0));
    world.declare(development(at("1")));
    assert_eq!(withheld(&world.plan()), ["a deploy uncommitted-changes"]);
}

#[test]
fn another_directory_is_a_deploy_also_if_the_code_was_deployed_only_once_or_left_alone_in_between() {
    let declared = |once, directory: &str, level: &str| {
        let mut code = Code { once, ..code("1") };
        code.source.directory = directory.into();
        set(Workspace { code: Some(code), ..workspace("a") }, "env.LEVEL", plain(level))
    };
    let nothing = |level| Workspace { code: None, ..declared(true, ".", level) };
    for (first, then) in [
        (declared(true, ".", "1"), None),
        (declared(true, ".", "1"), Some(declared(true, ".", "2"))),
        (declared(true, ".", "1"), Some(declared(true, "other", "1"))),
        (declared(false, ".", "1"), Some(declared(true, ".", "2"))),
        (declared(false, ".", "1"), Some(nothing("2"))),
        (declared(false, ".", "1"), Some(nothing("1"))),
    ] {
        let mut world = World::applied(development(first));
        if let Some(then) = then {
            world.declare(development(then));
            let plan = world.plan();
            simulate::apply(&mut world.observations, &plan.steps).expect("applied");
            simulate::refresh(&mut world.observations, &plan.marks);
        }
        world.declare(development(declared(false, "other", "2")));
        let plan = world.plan();
        let deploy = plan.steps.iter().find_map(|step| step.deploy.as_ref()).expect("a deploy");
        assert_eq!(deploy.source_before.as_ref().map(|before| before.directory.as_str()), Some("."));
        simulate::apply(&mut world.observations, &plan.steps).expect("applied");
        assert_eq!(steps(&world.plan()), [""; 0]);
    }
}

#[test]
fn what_nobody_can_say_is_left_alone() {
    let unknown =
        Workspace { code: Some(Code { commit: Err("no answer".into()), ..code("1") }), ..workspace("a") };
    let mut world = applied();
    world.declare(development(set(unknown.clone(), "env.A", plain("1"))));
    let plan = world.plan();
    assert_eq!((plan.steps.len(), plan.unknown[0].message.as_str()), (0, "no answer"));
    let world = World::empty(vec![crate::world::cluster("acme", development(unknown))]);
    assert_eq!((world.plan().steps.len(), world.plan().unknown.len()), (0, 1));
}

#[test]
fn what_was_pushed_is_no_work_of_the_declarations_commits() {
    let mut world = applied();
    world.since = Some(world.desired.clone());
    world.declare(development(at("2")));
    let plan = world.plan();
    assert_eq!((plan.steps.len(), apart(&plan)), (0, vec!["> a []".to_owned()]));
    let pinned = Workspace { code: Some(Code { pinned: Some("v2".into()), ..code("2") }), ..workspace("a") };
    world.declare(development(pinned));
    assert_eq!(
        reasons(&world.plan()),
        ["> `v2` of `main`; what lies between is not known, because what runs is in no commit there"]
    );
    assert_eq!(apart(&world.plan()), Vec::<String>::new());
}

#[test]
fn code_of_an_unmanaged_workspace_is_changed_only_if_it_is_adopted_by_name() {
    let mut world = applied();
    world.edit("a", |observed| observed.mark = None);
    assert_eq!(steps(&world.plan()), ["← acme/a"], "it is as declared");
    world.declare(development(at("2")));
    let plan = world.plan();
    assert_eq!((steps(&plan), withheld(&plan)), (vec![], vec!["a adopt conflict".to_owned()]));
    assert!(plan.withheld[0].message.ends_with("is not as declared in `code`"), "{:?}", plan.withheld);
    world.overrides.adopt = vec!["a".into()];
    let plan = world.plan();
    assert_eq!(steps(&plan), ["← acme/a", "> acme/a"]);
    assert_eq!(plan.steps[1].deploy.as_ref().map(|deploy| deploy.reason.as_str()), Some("differs"));
    simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    assert_eq!((world.plan().steps.len(), world.plan().marks.len()), (0, 0));
    world.edit("a", |observed| {
        observed.mark = None;
        observed.code =
            ObservedCode { commit: Some("1".into()), work: Work::Uncommitted(vec!["x.py".into()]) };
    });
    assert_eq!(
        (steps(&world.plan()), withheld(&world.plan())),
        (vec!["← acme/a".to_owned()], vec!["a deploy uncommitted-changes".to_owned()])
    );
}

/// `a`, which is to run this commit, and follows a branch that is at another one.
fn following(commit: &str, branch: Option<&str>) -> Workspace {
    let follows = DeployBranch { name: "deploy/development".into(), from: branch.map(Into::into) };
    Workspace { code: Some(Code { follows: Some(follows), ..code(commit) }), ..workspace("a") }
}

/// A cluster where `a` runs commit `1`, and whatever starts takes its code from a branch.
fn synced() -> World {
    let mut world = World::applied(development(following("1", Some("1"))));
    world.observations[0].capabilities.starts_from_branch = true;
    world
}

#[test]
fn the_branch_that_a_workspace_follows_has_to_be_where_it_is_said() {
    let mut world = synced();
    assert_eq!(world.plan().steps.len(), 0);
    world.declare(development(following("1", Some("2"))));
    let plan = world.plan();
    assert_eq!(
        reasons(&plan),
        ["> `deploy/development` was moved to `2`, which it would take when it starts"]
    );
    assert_eq!(magus_check::check(&plan, &world.desired), []);
    let digest = plan.digest;
    world.declare(development(following("1", None)));
    let plan = world.plan();
    assert_eq!(
        reasons(&plan),
        ["> `deploy/development` is gone, and it would not find its code when it starts"]
    );
    assert_ne!(plan.digest, digest, "who reviewed it saw another branch");
    world.declare(development(following("2", Some("1"))));
    world.edit("a", |observed| observed.state = magus_model::observed::RunState::Stopped);
    let stopped = world.plan().steps[0].reason.clone();
    assert!(stopped.ends_with("; it is stopped, and takes it when it starts"), "{stopped}");
}

#[test]
fn commits_of_people_are_work_where_a_sync_would_take_them_away() {
    let mut world = synced();
    world.declare(development(following("2", Some("1"))));
    assert_eq!(steps(&world.plan()), ["> acme/a"], "what Magus deployed is nobody's, wherever it went");
    world.edit("a", |observed| observed.code.commit = Some("3".into()));
    let plan = world.plan();
    assert_eq!((steps(&plan), withheld(&plan)), (vec![], vec!["a deploy uncommitted-changes".to_owned()]));
    assert!(plan.withheld[0].message.contains("would be lost: `commit 3`"), "{}", plan.withheld[0].message);
    // A restart would take it away as well.
    world.declare(development(set(following("2", Some("1")), "env.A", plain("1"))));
    assert_eq!(withheld(&world.plan()), ["a update uncommitted-changes", "a deploy uncommitted-changes"]);
    movement(&mut world, "3", "2", Movement { ahead: 1, behind: 1, ..Movement::default() });
    assert_eq!(steps(&world.plan()), ["~ acme/a", "> acme/a"], "it is in the repository");
}

#[test]
fn what_starts_from_a_branch_is_not_restarted_over_work_of_people() {
    let mut world = synced();
    let work = ObservedCode { commit: Some("1".into()), work: Work::Uncommitted(vec!["x.py".into()]) };
    world.edit("a", |observed| observed.code = work.clone());
    world.declare(development(set(following("1", Some("1")), "env.A", plain("1"))));
    let plan = world.plan();
    assert_eq!((steps(&plan), withheld(&plan)), (vec![], vec!["a update uncommitted-changes".to_owned()]));
    assert_eq!(magus_check::check(&plan, &world.desired), []);
    world.intent = Intent::Restart;
    assert_eq!(withheld(&world.plan()), ["a restart uncommitted-changes"]);
    world.intent = Intent::Converge;
    // What restarts nothing goes on.
    let lifecycle = "lifecycle_config.termination_policy.max_idle_seconds";
    world.declare(development(set(following("1", Some("1")), lifecycle, plain("1"))));
    assert_eq!((steps(&world.plan()), world.plan().withheld.len()), (vec!["~ acme/a".to_owned()], 0));
}

/// What is withheld of a workspace whose uncommitted changes are these, and the commands that lift it.
fn unblocks(world: &World) -> Vec<(String, String)> {
    let plan = world.plan_as(&["magus", "apply"]);
    assert_eq!(magus_check::check(&plan, &world.desired), []);
    withheld(&plan).into_iter().zip(plan.withheld.iter().map(|held| held.unblock.clone())).collect()
}

#[test]
fn unknown_changes_withhold_every_step_that_may_lose_them() {
    const FLAGS: &str = "--discard-changes a --reason 'WHY'";
    let unknown = Work::Unknown("its server does not answer".into());
    let syncs = |workspace: Workspace| set(workspace, "env.GIT_SYNC_ON_START", plain("1"));
    let at_one = || syncs(following("1", Some("1")));
    let mut applied = World::applied(development(at_one()));
    applied.observations[0].capabilities.starts_from_branch = true;
    applied.edit("a", |observed| observed.code.work = unknown.clone());
    assert_eq!(applied.plan().withheld, [], "nothing would lose them");

    let stopped = Workspace { state: DesiredState::Stopped, ..at_one() };
    let gone = vec![environment("development", 0, vec![workspace("b")])];
    for (declared, action) in [
        (development(syncs(following("2", Some("1")))), "deploy"),
        (development(set(at_one(), "env.A", plain("1"))), "update"),
        (development(set(at_one(), "storage_class_name", plain("fast"))), "replace"),
        (development(stopped), "stop"),
        (gone, "delete"),
    ] {
        let mut world = applied.clone();
        world.overrides.allow_empty = vec!["development".into()];
        world.declare(declared);
        let expect = (format!("a {action} uncommitted-changes"), format!("magus apply {FLAGS}"));
        assert_eq!(unblocks(&world), [expect]);
        let message = world.plan().withheld[0].message.clone();
        assert_eq!(
            message,
            "guard `uncommitted-changes`: uncommitted changes cannot be checked: its server does not answer"
        );
        world.overrides.discard_changes = vec!["a".into()];
        assert_eq!(
            unblocks(&world)[0].1,
            "magus apply --reason 'WHY'",
            "{action}: the flag alone is not enough"
        );
        world.overrides.reason = Some("agreed with Ana".into());
        let plan = world.plan();
        assert_eq!(withheld(&plan), Vec::<String>::new());
        let step = plan.steps.iter().find(|step| step.action.as_str() == action).expect("the step");
        let discards = "; discards uncommitted changes, which cannot be checked: its server does not answer";
        assert!(step.reason.ends_with(discards), "{}", step.reason);
        assert_eq!(magus_check::check(&plan, &world.desired), []);
    }
    applied.intent = Intent::Restart;
    assert_eq!(withheld(&applied.plan()), ["a restart uncommitted-changes"]);
    applied.intent = Intent::Destroy;
    assert_eq!(withheld(&applied.plan()), ["a delete uncommitted-changes"]);
}

#[test]
fn changes_that_were_not_looked_for_are_unknown_to_a_deploy() {
    let mut world = applied();
    world.declare(development(at("2")));
    world.edit("a", |observed| observed.code.work = Work::NotRead);
    assert_eq!(withheld(&world.plan()), ["a deploy uncommitted-changes"]);
}

#[test]
fn the_first_update_that_makes_a_stopped_workspace_reset_its_code_is_withheld() {
    let mut world = World::applied(development(Workspace { state: DesiredState::Stopped, ..workspace("a") }));
    world.observations[0].capabilities.starts_from_branch = true;
    world.edit("a", |observed| observed.code.work = Work::Unknown("it is stopped".into()));
    let follows = set(following("1", Some("1")), "env.GIT_SYNC_ON_START", plain("1"));
    world.declare(development(Workspace { state: DesiredState::Stopped, ..follows }));
    assert_eq!(withheld(&world.plan()), ["a update uncommitted-changes", "a deploy uncommitted-changes"]);
}

#[test]
fn a_workspace_that_a_restart_left_stopped_is_started_also_if_its_state_is_auto() {
    let auto = || development(Workspace { state: DesiredState::Auto, ..workspace("a") });
    let mut world = World::applied(auto());
    world.edit("a", |observed| observed.state = magus_model::observed::RunState::Stopped);
    assert_eq!(world.plan().steps, [], "a person may stop it");
    world.edit("a", |observed| observed.mark.as_mut().expect("a mark").resume = true);
    let plan = world.plan();
    assert_eq!(reasons(&plan), ["▶ a step stopped it to restart it, and did not start it again"]);
    assert_eq!(magus_check::check(&plan, &world.desired), []);
    crate::simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    assert_eq!((world.plan().steps.len(), world.plan().marks.len()), (0, 0));
    // Whoever declares it stopped means it.
    world.edit("a", |observed| {
        observed.state = magus_model::observed::RunState::Stopped;
        observed.mark.as_mut().expect("a mark").resume = true;
    });
    world.declare(development(Workspace { state: DesiredState::Stopped, ..workspace("a") }));
    assert_eq!((world.plan().steps.len(), world.plan().marks.len()), (0, 1));
}

#[test]
fn an_orphan_is_removed_only_if_its_changes_may_be_lost() {
    let mut world = applied();
    world.observations[0].orphans = vec![magus_model::observed::ObservedOrphan {
        name: WorkspaceName::observed("lost"),
        place: "the namespace mage".into(),
        revision: "1".into(),
    }];
    world.intent = Intent::Orphans;
    let plan = world.plan_as(&["magus", "apply", "--orphans"]);
    assert_eq!((steps(&plan), withheld(&plan)), (vec![], vec!["lost delete uncommitted-changes".to_owned()]));
    assert_eq!(plan.withheld[0].unblock, "magus apply --orphans --discard-changes lost --reason 'WHY'");
    world.overrides.discard_changes = vec!["lost".into()];
    world.overrides.reason = Some("looked into its pod".into());
    assert_eq!(steps(&world.plan()), ["- acme/lost"]);
}
