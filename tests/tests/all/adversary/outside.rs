//! Changes in the cluster that Magus does not make: drift, marks, and people who work in a workspace.

use std::collections::BTreeSet;

use super::{
    cluster::Snapshot,
    people,
    random::Random,
    recorder::STORE,
    world::{OWNER, World},
};

/// Makes one change. A store that does not exist yet stays so.
pub fn interfere(world: &mut World<'_>, random: &mut Random) {
    if world.is_mage() {
        return people::interfere(world, random);
    }
    if !world.recorder.sandbox.file(STORE).exists() {
        return;
    }
    let snapshot = Snapshot::of(world);
    let names: Vec<String> = snapshot.rows.keys().cloned().collect();
    let Some(name) = random.any(&names) else { return };
    match random.below(11) {
        0..=3 => drift(world, &name, random),
        4 | 5 => ownership(world, &name, random),
        6 => {
            let name = if random.percent(50) { name } else { format!("by-hand-{}", world.names) };
            world.recorder.sql(&format!(
                "INSERT OR IGNORE INTO workspaces (name, record) VALUES ('{name}', '{{\"env\": {{\"A\": \"1\"}}}}')"
            ));
        }
        7 => lead_elsewhere(world, &snapshot, &name, random),
        _ => work(world, &snapshot, &name, random),
    }
}

/// Leads the link of the code to another tree that the workspace still has.
fn lead_elsewhere(world: &mut World<'_>, snapshot: &Snapshot, name: &str, random: &mut Random) {
    let files = snapshot.folders.get(name).into_iter().flat_map(|files| files.keys());
    let trees: BTreeSet<&str> =
        files.filter_map(|path| Some(path.strip_prefix("trees/")?.split_once('/')?.0)).collect();
    let trees: Vec<&str> = trees.into_iter().collect();
    if let Some(tree) = random.any(&trees) {
        world.recorder.link(&format!("store/workspaces/{name}/code"), &format!("trees/{tree}"));
    }
}

/// Edits a record.
fn drift(world: &mut World<'_>, name: &str, random: &mut Random) {
    let edit = match random.below(9) {
        0 | 1 => "json_set(record, '$.env.A', 'drifted')",
        2 => "json_remove(record, '$.env.REGION')",
        3 => "json_set(record, '$.state', 'stopped')",
        4 => "json_set(record, '$.state', 'running')",
        5 => "json_set(record, '$.container_config.resources.limits.memory', '2048Mi')",
        6 => "json_set(record, '$.storage_class_name', 'slow')",
        7 => "json_set(record, '$.container_config.args', json('[\"--by-hand\"]'))",
        _ => "'{'",
    };
    let guard = if edit == "'{'" { "" } else { " AND json_valid(record)" };
    world.recorder.sql(&format!("UPDATE workspaces SET record = {edit} WHERE name = '{name}'{guard}"));
    if random.percent(10) {
        world.recorder.sql(&format!("DELETE FROM workspaces WHERE name = '{name}'"));
    }
}

/// Edits a mark.
fn ownership(world: &mut World<'_>, name: &str, random: &mut Random) {
    let edit = match random.below(4) {
        0 => "managed_by = NULL, environment = NULL, workspace = NULL, protected = 0, applied = NULL"
            .to_owned(),
        1 => "managed_by = 'someone-else'".to_owned(),
        2 => format!("managed_by = '{OWNER}' WHERE managed_by IS NOT NULL AND managed_by != '{OWNER}' --"),
        // An older Magus knew less of what it applied.
        _ => "applied = '{}'".to_owned(),
    };
    let place = if edit.ends_with("--") { String::new() } else { format!(" WHERE name = '{name}'") };
    world.recorder.sql(&format!("UPDATE workspaces SET {edit}{place}"));
}

/// Changes files in the code of a workspace, and leaves them uncommitted.
fn work(world: &mut World<'_>, snapshot: &Snapshot, name: &str, random: &mut Random) {
    let code = format!("store/workspaces/{name}/code");
    if snapshot.commit(name).is_none() {
        return;
    }
    world.names += 1;
    let text = format!("uncommitted {}", world.names);
    let path = match random.below(3) {
        0 => format!("{code}/utils/value.py"),
        1 => format!("{code}/pipelines/orders/new.py"),
        _ => format!("{code}/.git/COMMIT_EDITMSG"),
    };
    // Whoever overwrites a file has decided about what was in it.
    let old = std::fs::read_to_string(world.recorder.sandbox.file(&path)).unwrap_or_default();
    world.work.retain(|_, text| *text != old);
    world.recorder.write(&path, &text);
    world.work.insert(path, text);
}
