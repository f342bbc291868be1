//! Changes that people make in the declarations and push to the pipelines' repository.

use super::{
    random::Random,
    template::COMMITS,
    world::{Deploy, Engine, STAGES, Workspace, World, branch_of, name_of, stem},
};

/// Makes one change.
pub fn change(world: &mut World<'_>, random: &mut Random) {
    let workspaces = world.workspaces();
    let environments: Vec<String> = world.environments.keys().cloned().collect();
    match random.below(10) {
        0 if random.percent(20) => {
            // The next change removes it again.
            world.declare();
            return world.recorder.write("environments/development/broken.yaml", "env: {A: b\n");
        }
        0..=3 => {
            if let Some(chosen) = random.any(&workspaces) {
                change_workspace(world, &chosen, random);
            }
        }
        4 | 5 => {
            if let Some(chosen) = random.any(&workspaces) {
                move_workspace(world, &chosen, random);
            }
        }
        6 | 7 => {
            if let Some(chosen) = random.any(&environments) {
                change_environment(world, &chosen, random);
            }
        }
        8 => change_cluster(world, random),
        _ if world.has_code => push(world, random),
        _ => change_cluster(world, random),
    }
    world.declare();
}

/// Changes the file of a workspace.
fn change_workspace(world: &mut World<'_>, chosen: &(String, String), random: &mut Random) {
    let is_real = world.engine() == Engine::Real;
    let workspace = world.workspace(chosen);
    match random.below(8) {
        0 | 1 => {
            let value = random.one(&["1", "2", "no", "a b", "${workspace}s", "it's"]);
            let value = value.replace("${workspace}", "pond");
            workspace.env.insert(random.one(&["A", "B", "ENV"]).to_owned(), Some(value));
        }
        2 => drop(workspace.env.insert(random.one(&["A", "REGION"]).to_owned(), None)),
        3 => workspace.state = random.one(&["running", "stopped", "auto"]),
        4 => workspace.is_large = !workspace.is_large,
        5 => workspace.cpu = random.one(&[None, Some("1"), Some("500m"), Some("1000m")]),
        6 => workspace.secret = random.one(&[None, Some(1), Some(2)]),
        _ => {
            workspace.storage = random.one(&[None, Some(10), Some(20)]);
            workspace.storage_class = random.one(&[None, None, Some("fast"), Some("slow")]);
            // A real cluster has classes of its own.
            if is_real {
                (workspace.storage, workspace.storage_class) = (None, None);
            }
        }
    }
}

/// Adds, removes, renames or moves the file of a workspace.
fn move_workspace(world: &mut World<'_>, chosen: &(String, String), random: &mut Random) {
    let (environment, path) = chosen;
    let others: Vec<String> =
        world.environments.keys().filter(|name| *name != environment).cloned().collect();
    let fresh = world.fresh();
    let remove = |world: &mut World<'_>| {
        let declared = world.environments.get_mut(environment).expect("declared");
        declared.workspaces.remove(path).expect("declared")
    };
    match random.below(7) {
        0 | 1 => {
            let declared = world.environments.get_mut(environment).expect("declared");
            declared.workspaces.insert(fresh, Workspace::new());
        }
        2 => drop(remove(world)),
        3 => {
            let moved = remove(world);
            let to = if path.contains('/') { stem(path).to_owned() } else { format!("people/{path}") };
            world.environments.get_mut(environment).expect("declared").workspaces.insert(to, moved);
        }
        4 => {
            // With `moved_from` it is a rename, without it another workspace.
            let mut moved = remove(world);
            let says_so = moved.name.is_none() && random.percent(70);
            moved.moved_from = says_so.then(|| stem(path).to_owned());
            world.environments.get_mut(environment).expect("declared").workspaces.insert(fresh, moved);
        }
        5 => {
            if let Some(to) = random.any(&others) {
                let mut moved = remove(world);
                moved.name = Some(name_of(environment, path, &moved));
                moved.moved_from = None;
                world.environments.get_mut(&to).expect("declared").workspaces.insert(fresh, moved);
            }
        }
        _ => {
            let workspace = world.workspace(chosen);
            workspace.name = random.percent(50).then(|| format!("named-{fresh}"));
            workspace.moved_from = None;
        }
    }
}

/// Changes an environment, removes its folder or restores it.
fn change_environment(world: &mut World<'_>, chosen: &str, random: &mut Random) {
    if random.percent(20) {
        match world.removed.pop_first() {
            Some((name, environment)) => drop(world.environments.insert(name, environment)),
            None if world.environments.len() > 1 => {
                let removed = world.environments.remove(chosen).expect("declared");
                world.removed.insert(chosen.to_owned(), removed);
            }
            None => {}
        }
        return;
    }
    let engine = world.engine();
    let environment = world.environments.get_mut(chosen).expect("declared");
    match random.below(5) {
        0 => environment.protected = !environment.protected,
        1 => {
            let value = random.one(&["1", "2"]).to_owned();
            environment.defaults.insert(random.one(&["LEVEL", "ENV"]).to_owned(), value);
        }
        2 => {
            environment.gates = random.one(&[
                None,
                Some("gates: {runs_before: true}"),
                Some("gates: {soak: 24h}"),
                Some("gates: {verified: {}}"),
                Some("gates: {freezes: [{from: 2000-01-01, to: 2999-01-01}]}"),
                Some("rollout: {batch: 1, stop_on_failure: true}"),
            ]);
        }
        3 => {
            environment.deploy =
                random.one(&[Deploy::Head, Deploy::Once, Deploy::None, Deploy::Pinned(1), Deploy::Pinned(3)]);
            environment.deploy = environment.deploy.on(engine);
        }
        _ => {
            environment.branch_workspaces =
                random.one(&[None, Some("limit: 1"), Some("on_gone: delete"), Some("on_gone: stop")]);
            if chosen != STAGES[0].0 {
                environment.branch_workspaces = None;
            }
        }
    }
}

fn change_cluster(world: &mut World<'_>, random: &mut Random) {
    match random.below(5) {
        0 => world.large = random.one(&["1Gi", "2Gi", "2048Mi"]),
        1 => world.max_deletes = random.one(&["30%", "0", "1", "100%"]),
        2 => {
            let directory = random.one(&["mage", "other"]);
            // Mage takes a repository as a whole.
            if world.engine() == Engine::Local {
                world.directory = directory;
            }
        }
        _ => {
            let value = random.one(&["eu", "us"]).to_owned();
            world.defaults.insert(random.one(&["REGION", "LEVEL"]).to_owned(), value);
        }
    }
}

/// Pushes, rewinds, rebases or deletes a branch.
fn push(world: &mut World<'_>, random: &mut Random) {
    if random.percent(if world.is_away { 60 } else { 5 }) {
        return world.take_away();
    }
    if random.percent(40) {
        let branch = random.one(&["feature/a", "feature/b", "feature/c"]);
        let commit = random.one(&[None, Some(7), Some(8), Some(9), Some(10)]);
        return world.set_branch(branch, commit);
    }
    let branch = branch_of(random.one(&STAGES).0);
    let commit = match random.below(10) {
        0 => None,
        1 => Some(1 + random.below(COMMITS)),
        _ => Some(world.branches.get(branch).map_or(2, |commit| (commit + 1).min(6))),
    };
    world.set_branch(branch, commit);
}
