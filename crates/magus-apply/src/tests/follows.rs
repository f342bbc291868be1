//! Branches that workspaces follow.

use magus_model::{
    desired::Code,
    plan::{Deploy, DeployBranch, Reason},
    source::ProjectSource,
};

use super::*;

fn source() -> ProjectSource {
    ProjectSource { repository: "./code.git".into(), directory: ".".into(), deployment: None }
}

/// A plan that makes a workspace, deploys to it and starts another one.
fn made_and_deployed(desired: &mut Desired) -> Plan {
    let follows = Some(DeployBranch { name: "deploy/staging+a".into(), from: Some("1".into()) });
    let code = Code {
        repository: "code.git".into(),
        source: source(),
        branch: "main".into(),
        pinned: None,
        once: false,
        follows: follows.clone(),
        commit: Ok("2".into()),
        choice: magus_model::desired::CommitChoice::Declared,
        span: Span::BUILT_IN,
    };
    with_secret(desired, 1, "a", from_env("KEY"));
    let workspace = desired.clusters[0].environments[1].workspaces.last_mut().unwrap();
    workspace.fields.clear();
    workspace.code = Some(code);
    let create = step("acme", "staging", "a", Action::Create);
    let mut deploy = step("acme", "staging", "a", Action::Deploy);
    deploy.needs = vec![create.id.clone()];
    deploy.deploy = Some(Deploy {
        branch: "main".into(),
        from: None,
        to: "2".into(),
        source: source(),
        source_before: None,
        reason: Reason::Declared,
        follows,
        movement: None,
    });
    plan(vec![create, deploy, step("acme", "staging", "b", Action::Start)])
}

#[test]
fn a_branch_moves_before_the_workspace_looks_there() {
    let moved = Mutex::new(Vec::new());
    let engine = Memory::default();
    let move_branch = |branch: BranchMove<'_>| {
        let BranchMove { repository, branch, from, to } = branch;
        let asked = engine.asked.lock().unwrap().iter().any(|id| id.as_str() == "acme/a/create");
        moved.lock().unwrap().push(format!("{repository} {branch} {from:?} {to:?} {asked}"));
        Ok(())
    };
    let mut scene = Scene { move_branch: &move_branch, jobs: 1, ..Scene::default() };
    let plan = made_and_deployed(&mut scene.desired);
    let (report, _) = scene.run(&plan, &engine);
    assert_eq!(outcomes(&report), [Outcome::Applied; 3]);
    // Within the step that makes the workspace, and once.
    assert_eq!(moved.into_inner().unwrap(), ["code.git deploy/staging+a Some(\"1\") Some(\"2\") true"]);
}

#[test]
fn a_step_that_changes_nothing_leaves_no_branch_moved() {
    for (fault, outcome, kept) in [
        (Fault::Fails, Outcome::Failed, false),
        (Fault::Moved, Outcome::Failed, false),
        (Fault::Waits, Outcome::NotStarted, false),
        (Fault::Uncertain, Outcome::Uncertain, true),
    ] {
        let at = Mutex::new(Some("1".to_owned()));
        let engine = Memory::fault("acme/a/create", fault);
        let move_branch = |branch: BranchMove<'_>| {
            let mut at = at.lock().unwrap();
            assert_eq!(*at, branch.from.map(ToString::to_string));
            *at = branch.to.map(ToString::to_string);
            Ok(())
        };
        let mut scene = Scene { move_branch: &move_branch, ..Scene::default() };
        let plan = made_and_deployed(&mut scene.desired);
        let (report, _) = scene.run(&plan, &engine);
        assert_eq!(outcomes(&report)[..2], [outcome, Outcome::Skipped]);
        assert_eq!(at.into_inner().unwrap().as_deref(), Some(if kept { "2" } else { "1" }), "{outcome:?}");
    }
}

#[test]
fn where_the_branch_does_not_move_nothing_is_made() {
    let engine = Memory::default();
    let refuse = |_: BranchMove<'_>| Err("it is protected".to_owned());
    let mut scene = Scene { move_branch: &refuse, ..Scene::default() };
    let plan = made_and_deployed(&mut scene.desired);
    let (report, _) = scene.run(&plan, &engine);
    assert_eq!(outcomes(&report), [Outcome::Failed, Outcome::Skipped, Outcome::Applied]);
    assert_eq!(message(&report, 0), "it is protected");
    assert_eq!(*engine.done.lock().unwrap(), ["acme/b/start".into()].into());
}
