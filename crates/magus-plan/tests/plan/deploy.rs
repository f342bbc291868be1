//! Code that moves: which steps there are, why, and what they leave.

use magus_model::{
    desired::{Code, DesiredState, Environment, Workspace},
    name::WorkspaceName,
    observed::ObservedCode,
    plan::{DeployBranch, Difference, Movement, Plan, Restarts},
};
use magus_plan::{Intent, Move, Movements, check};

use crate::world::{World, apart, code, environment, plain, set, steps, withheld, workspace};

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
    assert_eq!(check(&plan, &world.desired), Vec::<String>::new());
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
    let work = ObservedCode { commit: Some("1".into()), uncommitted: vec!["x.py".into()] };
    world.edit("a", |observed| observed.code = work.clone());
    assert_eq!(world.plan().withheld, [], "nothing would take it");
    world.declare(development(set(at("2"), "env.A", plain("1"))));
    let plan = world.plan();
    assert_eq!(
        (steps(&plan), withheld(&plan)),
        (vec!["~ acme/a".to_owned()], vec!["a deploy uncommitted-work".to_owned()])
    );
    assert!(plan.withheld[0].message.contains("somebody works in it: `x.py` would be lost"));
    // The mark still remembers the code that is there.
    let path = magus_diff::code_path();
    let mark = |plan: &Plan| plan.steps[0].mark.as_ref().and_then(|mark| mark.applied.get(&path).cloned());
    let observed = world.observations[0].present.get(&WorkspaceName::observed("a")).expect("it is there");
    assert_eq!(mark(&plan), observed.mark.as_ref().and_then(|mark| mark.applied.get(&path).cloned()));

    world.declare(vec![environment("development", 0, vec![workspace("b")])]);
    world.overrides.allow_empty = vec!["development".into()];
    assert_eq!(withheld(&world.plan()), ["a delete uncommitted-work"]);
    world.intent = Intent::Destroy;
    assert_eq!(withheld(&world.plan()), ["a delete uncommitted-work"]);
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
    world.edit("a", |observed| observed.code.uncommitted = vec!["code".into()]);
    assert_eq!((world.plan().steps.len(), world.plan().withheld.len()), (0, 0));
    world.declare(development(at("1")));
    assert_eq!(withheld(&world.plan()), ["a deploy uncommitted-work"]);
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
fn a_workspace_that_is_taken_over_gets_its_code_too() {
    let mut world = applied();
    world.edit("a", |observed| observed.mark = None);
    world.declare(development(at("2")));
    let plan = world.plan();
    assert_eq!(steps(&plan), ["← acme/a", "> acme/a"]);
    assert_eq!(plan.steps[1].deploy.as_ref().map(|deploy| deploy.reason.as_str()), Some("differs"));
    crate::simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    assert_eq!((world.plan().steps.len(), world.plan().marks.len()), (0, 0));
    world.edit("a", |observed| {
        observed.mark = None;
        observed.code = ObservedCode { commit: Some("1".into()), uncommitted: vec!["x.py".into()] };
    });
    assert_eq!(
        (steps(&world.plan()), withheld(&world.plan())),
        (vec!["← acme/a".to_owned()], vec!["a deploy uncommitted-work".to_owned()])
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
    assert_eq!(check(&plan, &world.desired), Vec::<String>::new());
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
    assert_eq!((steps(&plan), withheld(&plan)), (vec![], vec!["a deploy uncommitted-work".to_owned()]));
    assert!(plan.withheld[0].message.contains("`commit 3` would be lost"), "{}", plan.withheld[0].message);
    // A restart would take it away as well.
    world.declare(development(set(following("2", Some("1")), "env.A", plain("1"))));
    assert_eq!(withheld(&world.plan()), ["a deploy uncommitted-work", "a update uncommitted-work"]);
    movement(&mut world, "3", "2", Movement { ahead: 1, behind: 1, ..Movement::default() });
    assert_eq!(steps(&world.plan()), ["~ acme/a", "> acme/a"], "it is in the repository");
}

#[test]
fn what_starts_from_a_branch_is_not_restarted_over_work_of_people() {
    let mut world = synced();
    let work = ObservedCode { commit: Some("1".into()), uncommitted: vec!["x.py".into()] };
    world.edit("a", |observed| observed.code = work.clone());
    world.declare(development(set(following("1", Some("1")), "env.A", plain("1"))));
    let plan = world.plan();
    assert_eq!((steps(&plan), withheld(&plan)), (vec![], vec!["a update uncommitted-work".to_owned()]));
    assert_eq!(check(&plan, &world.desired), Vec::<String>::new());
    world.intent = Intent::Restart;
    assert_eq!(withheld(&world.plan()), ["a restart uncommitted-work"]);
    world.intent = Intent::Converge;
    // What restarts nothing goes on.
    let lifecycle = "lifecycle_config.termination_policy.max_idle_seconds";
    world.declare(development(set(following("1", Some("1")), lifecycle, plain("1"))));
    assert_eq!((steps(&world.plan()), world.plan().withheld.len()), (vec!["~ acme/a".to_owned()], 0));
}
