//! From the deploy branch of an environment to one for each workspace.

use magus_check::check;
use magus_model::{
    desired::{Code, DesiredState, Environment, Gates, Workspace},
    observed::{RunState, Work},
    plan::{DeployBranch, Plan, Restarts},
};

use crate::world::{World, code, environment, fields, plain, set, steps, withheld, workspace};

const SHARED: &str = "deploy/development";
const OWN: &str = "deploy/development+a";

/// `a`, which is to run this commit, and follows a branch that is at another one.
fn follows(commit: &str, branch: &str, at: Option<&str>) -> Workspace {
    let follows = Some(DeployBranch { name: branch.into(), from: at.map(Into::into) });
    let a = Workspace { code: Some(Code { follows, ..code(commit) }), ..workspace("a") };
    set(set(a, "env.GIT_BRANCH", plain(branch)), "env.GIT_SYNC_ON_START", plain("1"))
}

fn development(workspace: Workspace) -> Vec<Environment> {
    vec![environment("development", 0, vec![workspace])]
}

/// A cluster where `a` runs commit `1` of the shared branch.
fn sharing() -> World {
    let mut world = World::applied(development(follows("1", SHARED, Some("1"))));
    world.observations[0].capabilities.starts_from_branch = true;
    world
}

fn checked(world: &World) -> Plan {
    let plan = world.plan();
    assert_eq!(check(&plan, &world.desired), []);
    plan
}

#[test]
fn a_workspace_is_not_restarted_to_get_a_branch_of_its_own() {
    let mut world = sharing();
    world.declare(development(follows("1", OWN, None)));
    let plan = checked(&world);
    assert_eq!((steps(&plan), withheld(&plan)), (vec![], vec!["a deploy shared-branch".to_owned()]));
    assert!(plan.withheld[0].guard.is_gate(), "it waits, and is no failure");
    assert_eq!(
        plan.withheld[0].message,
        "gate `shared-branch`: `a` still follows `deploy/development`, and gets `deploy/development+a` with the next step \
         that restarts it"
    );
    assert_eq!(plan.withheld[0].unblock, "magus plan --override-gate shared-branch --reason 'WHY'");

    // What does not restart it goes on; what does takes the switch along.
    let lifecycle = "lifecycle_config.termination_policy.max_idle_seconds";
    world.declare(development(set(follows("1", OWN, None), lifecycle, plain("1"))));
    let plan = checked(&world);
    assert_eq!(
        (steps(&plan), withheld(&plan)),
        (vec!["~ acme/a".into()], vec!["a deploy shared-branch".into()])
    );
    assert_eq!(fields(&plan, "acme/a/update").len(), 1);
    world.declare(development(set(follows("1", OWN, None), "env.A", plain("1"))));
    let plan = checked(&world);
    assert_eq!((steps(&plan), withheld(&plan)), (vec!["~ acme/a".into(), "> acme/a".into()], vec![]));
    assert_eq!(plan.steps[1].reason, "creates `deploy/development+a`, which it follows from now on");

    // At once, if a flag says so.
    world.declare(development(follows("1", OWN, None)));
    world.overrides.override_gate = vec!["shared-branch".into()];
    world.overrides.reason = Some("tonight nobody works".into());
    let plan = checked(&world);
    assert_eq!(
        (steps(&plan), plan.steps[0].restarts),
        (vec!["~ acme/a".into(), "> acme/a".into()], Restarts::Yes)
    );
    crate::simulate::apply(&mut world.observations, &plan.steps).expect("applied");
    world.declare(development(follows("1", OWN, Some("1"))));
    assert_eq!((world.plan().steps.len(), world.plan().withheld.len()), (0, 0));
}

#[test]
fn a_deploy_leads_a_workspace_to_its_own_branch() {
    let mut world = sharing();
    world.declare(development(follows("2", OWN, None)));
    let plan = checked(&world);
    assert_eq!((steps(&plan), withheld(&plan)), (vec!["~ acme/a".into(), "> acme/a".into()], vec![]));
    assert_eq!(
        fields(&plan, "acme/a/update"),
        ["env.GIT_BRANCH: deploy/development → deploy/development+a declared"]
    );
    assert_eq!(plan.steps[0].restarts, Restarts::Yes, "and the plan says so");
    world.edit("a", |observed| observed.state = RunState::Stopped);
    world.declare(development(Workspace { state: DesiredState::Stopped, ..follows("2", OWN, None) }));
    let plan = checked(&world);
    assert_eq!(
        (steps(&plan), plan.steps[0].restarts),
        (vec!["~ acme/a".into(), "> acme/a".into()], Restarts::No)
    );
}

#[test]
fn without_its_deploy_a_workspace_stays_on_the_shared_branch() {
    let gated = |a: Workspace| {
        let gates = Gates { runs_before: true, ..Gates::default() };
        let gated = environment("development", 1, vec![a]);
        let before = environment("before", 0, vec![workspace("b")]);
        vec![before, Environment { gates, promotes_from: Some("before".into()), ..gated }]
    };
    let mut world = World::applied(vec![
        environment("before", 0, vec![workspace("b")]),
        environment("development", 1, vec![follows("1", SHARED, Some("1"))]),
    ]);
    world.observations[0].capabilities.starts_from_branch = true;
    world.declare(gated(set(follows("2", OWN, None), "env.A", plain("1"))));
    let plan = checked(&world);
    assert_eq!(
        (steps(&plan), withheld(&plan)),
        (vec!["~ acme/a".into()], vec!["a deploy runs-before".into()])
    );
    assert_eq!(fields(&plan, "acme/a/update"), ["env.A: - → 1 declared"]);
    let mark = plan.steps[0].mark.as_ref().expect("a mark");
    let path = magus_model::path::FieldPath::from("env.GIT_BRANCH");
    assert_eq!(mark.applied.get(&path), Some(&magus_diff::digest(&path, &plain(SHARED))));
    // Nothing is left of an update that was the switch alone.
    world.declare(gated(follows("2", OWN, None)));
    assert_eq!(steps(&checked(&world)), [""; 0]);
}

#[test]
fn code_is_not_fetched_from_the_shared_branch_while_the_restart_is_withheld() {
    let mut world = sharing();
    world.edit("a", |observed| observed.code.work = Work::Uncommitted(vec!["x.py".into()]));
    world.declare(development(follows("2", OWN, None)));
    let plan = checked(&world);
    let expect = ["a update uncommitted-changes", "a deploy uncommitted-changes"];
    assert_eq!((steps(&plan), withheld(&plan)), (vec![], expect.map(str::to_owned).to_vec()));
}
