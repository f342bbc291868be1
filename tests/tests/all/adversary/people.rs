//! Changes at a Mage server that Magus does not make: edits in Mage's own page, marks, and people who work in a workspace.

use std::sync::MutexGuard;

use serde_json::{Map, Value, json};

use super::{
    cluster::Snapshot,
    random::Random,
    real::Real,
    stand_in::{MARK, State, mark, with_text},
    world::{OWNER, World},
};

/// Makes one change.
pub fn interfere(world: &mut World<'_>, random: &mut Random) {
    let names: Vec<String> = Snapshot::of(world).rows.into_keys().collect();
    let Some(name) = random.any(&names) else { return };
    match random.below(12) {
        0..=3 => edit(world, &name, random),
        4 | 5 => ownership(world, &name, random),
        6 => create(world, &name, random),
        7 => move_branch(world, &name, random),
        8 => switch(world, &name, random),
        _ => work(world, &name, random),
    }
}

/// What people do through the API of a server.
enum Hands<'w> {
    InMemory(MutexGuard<'w, State>),
    Real(&'w Real),
}

impl Hands<'_> {
    fn text(&self, name: &str) -> Option<String> {
        match self {
            Self::InMemory(state) => state.workspaces.get(name).map(|workspace| workspace.text.clone()),
            Self::Real(real) => real.text(name),
        }
    }

    fn patch(&mut self, name: &str, text: &str) {
        match self {
            Self::InMemory(state) => state.patch(name, text).expect("a map"),
            Self::Real(real) => real.act(name, &json!({"action": "patch", "container_config": text})),
        }
    }

    fn stop(&mut self, name: &str) {
        match self {
            Self::InMemory(state) => state.stop(name),
            Self::Real(real) => real.act(name, &json!({"action": "stop"})),
        }
    }

    fn resume(&mut self, name: &str) {
        match self {
            Self::InMemory(state) => state.resume(name),
            Self::Real(real) => real.act(name, &json!({"action": "resume"})),
        }
    }

    fn delete(&mut self, name: &str) {
        match self {
            Self::InMemory(state) => state.delete(name),
            Self::Real(real) => real.delete(name),
        }
    }

    /// Makes one, unless it exists.
    fn create(&mut self, name: &str, settings: Map<String, Value>) {
        match self {
            Self::InMemory(state) => drop(state.create(name, settings)),
            Self::Real(real) => real.create(settings),
        }
    }
}

/// Does something at the server, and writes down what it was.
fn act(world: &mut World<'_>, what: &str, act: impl FnOnce(&mut Hands<'_>)) {
    world.recorder.comment(what);
    let mut hands = match (world.stand_in(), world.real()) {
        (Some(stand_in), _) => Hands::InMemory(stand_in.state()),
        (_, Some(real)) => Hands::Real(real),
        (None, None) => return,
    };
    act(&mut hands);
    match &mut hands {
        Hands::InMemory(state) => state.settle(),
        Hands::Real(real) => real.settle(),
    }
}

/// Saves another text, as Mage's page and scripts do.
fn save(world: &mut World<'_>, name: &str, what: &str, edit: impl FnOnce(&str) -> String) {
    act(world, &format!("{name}: {what}"), |hands| {
        if let Some(text) = hands.text(name) {
            hands.patch(name, &edit(&text));
        }
    });
    forget_work_that_is_reset(world, name);
}

/// Who restarts a workspace that syncs at its start has decided about what was in it.
fn forget_work_that_is_reset(world: &mut World<'_>, name: &str) {
    let Some(stand_in) = world.stand_in() else { return };
    let lost = std::mem::take(&mut stand_in.state().lost);
    world.work.retain(|path, text| {
        !path.starts_with(&format!("{name}:")) || !lost.iter().any(|lost| lost.contains(&format!("`{text}`")))
    });
}

/// Edits a configuration.
fn edit(world: &mut World<'_>, name: &str, random: &mut Random) {
    let set = |container: &mut Map<String, Value>, variable: &str, value: Option<&str>| {
        let entries = container.entry("env").or_insert_with(|| json!([]));
        let Some(entries) = entries.as_array_mut() else { return };
        entries.retain(|entry| entry["name"] != variable);
        entries.extend(value.map(|value| json!({"name": variable, "value": value})));
    };
    match random.below(6) {
        0 | 1 => save(world, name, "A is set to `drifted`", |text| {
            with_text(text, |container| set(container, "A", Some("drifted")))
        }),
        2 => save(world, name, "REGION is removed", |text| {
            with_text(text, |container| set(container, "REGION", None))
        }),
        3 => save(world, name, "the memory is set to 2048Mi", |text| {
            with_text(text, |container| {
                container.insert("resources".to_owned(), json!({"limits": {"memory": "2048Mi"}}));
            })
        }),
        4 => save(world, name, "arguments are added", |text| {
            with_text(text, |container| drop(container.insert("args".to_owned(), json!(["--by-hand"]))))
        }),
        _ => act(world, &format!("{name}: deleted"), |hands| hands.delete(name)),
    }
    forget_work_that_is_reset(world, name);
}

/// Edits a mark. What is sent to Kubernetes is the same as before.
fn ownership(world: &mut World<'_>, name: &str, random: &mut Random) {
    let with = |text: &str, key: &str, value: Value| {
        let mut line = mark(name, text);
        if line.is_empty() {
            return text.to_owned();
        }
        line.insert(key.to_owned(), value);
        let rest: String = text.split_inclusive('\n').filter(|line| !line.starts_with(MARK)).collect();
        format!("{MARK}{}\n{rest}", Value::Object(line))
    };
    match random.below(4) {
        0 => save(world, name, "the mark is removed", |text| {
            text.split_inclusive('\n').filter(|line| !line.starts_with(MARK)).collect()
        }),
        1 => save(world, name, "marked by somebody else", |text| {
            with(text, "managed_by", json!("someone-else"))
        }),
        2 => save(world, name, "marked as ours", |text| with(text, "managed_by", json!(OWNER))),
        // An older Magus knew less of what it applied.
        _ => save(world, name, "the mark loses its digests", |text| with(text, "applied", json!({}))),
    }
}

/// Makes a workspace by hand, of a name that is new or was deleted a moment ago.
fn create(world: &mut World<'_>, name: &str, random: &mut Random) {
    let again = random.percent(30);
    let made = if again { name.to_owned() } else { world.unique("by-hand-") };
    act(world, &format!("{made}: made by hand"), |hands| {
        if again {
            hands.delete(name);
        }
        let settings =
            json!({"name": made, "container_config": "env: [{name: A, value: \"1\"}]\nimage: a\n"});
        hands.create(&made, settings.as_object().cloned().unwrap_or_default());
    });
    forget_work_that_is_reset(world, name);
}

/// Moves the branch that a workspace follows.
fn move_branch(world: &mut World<'_>, name: &str, random: &mut Random) {
    let branches = Snapshot::of(world).branches;
    let Some(branch) = branches.keys().find(|branch| branch.ends_with(&format!("+{name}"))) else { return };
    let commit = random.any(&world.template.commits).expect("commits");
    let path = format!("pipelines.git/refs/heads/deploy/{branch}");
    if world.recorder.sandbox.file(&path).exists() {
        world.recorder.write(&path, &format!("{commit}\n"));
    }
}

/// Stops a workspace, or starts it.
fn switch(world: &mut World<'_>, name: &str, random: &mut Random) {
    let stops = random.percent(60);
    act(world, &format!("{name}: {}", if stops { "stopped" } else { "started" }), |hands| {
        if stops { hands.stop(name) } else { hands.resume(name) }
    });
    forget_work_that_is_reset(world, name);
}

/// Changes files in a workspace that runs, or commits, and pushes nothing.
fn work(world: &mut World<'_>, name: &str, random: &mut Random) {
    world.names += 1;
    let (path, text) = match random.below(4) {
        0 | 1 => ("utils/value.py", format!("uncommitted {}", world.names)),
        2 => ("pipelines/orders/new.py", format!("uncommitted {}", world.names)),
        _ => (".git", format!("{:040x}", 0xabc0_0000_usize + world.names)),
    };
    let Some(stand_in) = world.stand_in() else { return };
    let mut state = stand_in.state();
    let runs = state.workspaces.get(name).is_some_and(|workspace| !workspace.is_stopped);
    let Some(project) = state.volumes.get_mut(name).filter(|project| runs && project.commit().is_some())
    else {
        return;
    };
    let old = match path {
        ".git" => {
            project.log.push((text.clone(), "commit: by hand".to_owned()));
            None
        }
        "utils/value.py" => project.changed.insert(path.to_owned(), text.clone()),
        _ => project.unknown.insert(path.to_owned(), text.clone()),
    };
    drop(state);
    world.recorder.comment(&format!("{name}: `{path}` is changed: {text}"));
    // Whoever overwrites a file has decided about what was in it.
    world.work.retain(|_, text| Some(&*text) != old.as_ref());
    world.work.insert(format!("{name}:{path}"), text);
}
