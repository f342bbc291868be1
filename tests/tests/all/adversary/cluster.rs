//! What is in a cluster: the store of the local engine, read as `docs/local-engine.md` describes it, or what the stand-in
//! of a Mage server knows. It is compared by rules of this test alone: nothing here is shared with the code that it checks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use magus_tests::Sandbox;
use serde_json::Value;

use super::{
    expected::{Code, Expected},
    real::Real,
    recorder::STORE,
    stand_in::{self, StandIn, Workspace},
    world::{CANARY, OWNER, World},
};

/// Where the workspaces of a world are.
pub enum Cluster {
    /// In a store on this machine.
    Local,
    /// At a Mage server in memory.
    StandIn(StandIn),
    /// At a real Mage server.
    Real(Real),
}

/// A row of the table `workspaces`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The configuration as text.
    pub record: String,
    /// The owner in the mark.
    pub managed_by: Option<String>,
    /// The environment in the mark.
    pub environment: Option<String>,
    /// Whether the mark says that it is protected.
    pub protected: bool,
}

/// Everything that is in a store: compared before and after a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The rows by name.
    pub rows: BTreeMap<String, Row>,
    /// The files of each workspace's folder, by their paths; of a link, its target.
    pub folders: BTreeMap<String, BTreeMap<String, String>>,
    /// The branches that workspaces of Mage follow, each with its commit.
    pub branches: BTreeMap<String, String>,
    /// How often each workspace of Mage was stopped or restarted.
    pub interruptions: BTreeMap<String, usize>,
}

impl Snapshot {
    /// Reads a cluster.
    pub fn of(world: &World<'_>) -> Self {
        match &world.cluster {
            Cluster::Local => Self::of_store(&world.recorder.sandbox),
            Cluster::StandIn(stand_in) => Self::of_stand_in(world, stand_in),
            Cluster::Real(real) => Self::of_real(real),
        }
    }

    fn of_real(real: &Real) -> Self {
        let mut snapshot = Self::default();
        for (name, (workspace, changes)) in real.workspaces() {
            snapshot.rows.insert(name.clone(), row_of(&name, &workspace, workspace.runs.clone()));
            snapshot.interruptions.insert(name, changes);
        }
        snapshot
    }

    fn of_stand_in(world: &World<'_>, stand_in: &StandIn) -> Self {
        let state = stand_in.state();
        let mut snapshot = Self { interruptions: state.interruptions.clone(), ..Self::default() };
        for (name, workspace) in &state.workspaces {
            let stored = stand_in::container(&workspace.text).unwrap_or_default();
            snapshot.rows.insert(name.clone(), row_of(name, workspace, stored));
        }
        for (name, project) in &state.volumes {
            let mut files = BTreeMap::new();
            if let Some(commit) = project.commit() {
                files.insert("code".to_owned(), format!("link to trees/x-{commit}"));
                files.insert(format!("trees/x-{commit}.files"), "utils/value.py".to_owned());
            }
            for (path, text) in project.changed.iter().chain(&project.unknown) {
                files.insert(format!("work/{path}"), text.clone());
            }
            snapshot.folders.insert(name.clone(), files);
        }
        let heads = world.recorder.sandbox.file(&format!("{}/refs/heads/deploy", world.repository()));
        let files = if heads.is_dir() { magus_tests::files_below(&heads) } else { Vec::new() };
        for (path, bytes) in files {
            let branch = path.strip_prefix(&heads).expect("below").to_string_lossy().into_owned();
            snapshot.branches.insert(branch, String::from_utf8_lossy(&bytes).trim().to_owned());
        }
        snapshot
    }

    /// Reads a store.
    fn of_store(sandbox: &Sandbox) -> Self {
        let mut snapshot = Self::default();
        let database = sandbox.file(STORE);
        if database.exists() {
            let connection = rusqlite::Connection::open(database).expect("the store opens");
            let mut statement = connection
                .prepare("SELECT name, record, managed_by, environment, protected FROM workspaces")
                .expect("the table is as documented");
            let rows = statement.query_map([], |row| {
                let name: String = row.get(0)?;
                let row = Row {
                    record: row.get(1)?,
                    managed_by: row.get(2)?,
                    environment: row.get(3)?,
                    protected: row.get(4)?,
                };
                Ok((name, row))
            });
            snapshot.rows = rows.expect("rows").map(|row| row.expect("a row")).collect();
        }
        if let Ok(folders) = fs::read_dir(sandbox.file("store/workspaces")) {
            for folder in folders.map(|folder| folder.expect("a folder")) {
                let mut files = BTreeMap::new();
                read_folder(&folder.path(), "", &mut files);
                snapshot.folders.insert(folder.file_name().to_string_lossy().into_owned(), files);
            }
        }
        snapshot
    }

    /// The commit that a workspace runs: that of the tree to which its link leads.
    pub fn commit(&self, name: &str) -> Option<&str> {
        let target = self.folders.get(name)?.get("code")?.strip_prefix("link to trees/")?;
        target.split_once('-').map(|(_, commit)| commit)
    }

    /// Whether the tree that a workspace runs was made from the directory `mage` of the repository.
    fn is_of_directory_mage(&self, name: &str) -> Option<bool> {
        let files = self.folders.get(name)?;
        let tree = files.get("code")?.strip_prefix("link to ")?;
        Some(files.get(&format!("{tree}.files"))?.contains("utils/value.py"))
    }

    /// What is different in another snapshot, in short.
    pub fn changes(&self, other: &Self) -> Vec<String> {
        fn of<T: PartialEq + std::fmt::Debug>(
            (was, is): (&BTreeMap<String, T>, &BTreeMap<String, T>),
            found: &mut Vec<String>,
        ) {
            let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
            let changed = names.into_iter().filter(|name| was.get(*name) != is.get(*name));
            found
                .extend(changed.map(|name| format!("{name}: {:?} became {:?}", was.get(name), is.get(name))));
        }
        let mut found = Vec::new();
        of((&self.rows, &other.rows), &mut found);
        of((&self.folders, &other.folders), &mut found);
        of((&self.branches, &other.branches), &mut found);
        of((&self.interruptions, &other.interruptions), &mut found);
        found
    }

    /// Takes over that a workspace of Mage was restarted, and the code of its branch, which it then fetches.
    pub fn allow_restart(&mut self, name: &str, after: &Self) {
        if let Some(count) = after.interruptions.get(name) {
            self.interruptions.insert(name.to_owned(), *count);
        }
    }

    /// The text of every file that is left of what people wrote.
    pub fn holds(&self, text: &str) -> bool {
        self.folders.values().flat_map(BTreeMap::values).any(|file| file.contains(text))
    }
}

/// A workspace of Mage with this container, in the form of a record of the local engine.
fn row_of(name: &str, workspace: &Workspace, mut container: Value) -> Row {
    let mark = stand_in::mark(name, &workspace.text);
    let entries = container.as_object_mut().and_then(|container| container.remove("env"));
    let mut env = serde_json::Map::new();
    for entry in entries.as_ref().and_then(Value::as_array).into_iter().flatten() {
        let name = entry["name"].as_str().unwrap_or_default();
        // A patch removes it, and the text that is stored is the one that was sent last.
        if entry["$patch"] == "delete" {
            continue;
        }
        // The reference of a secret stands in the mark; the value is the one that it led to.
        let reference = mark.get("secrets").map(|secrets| &secrets[format!("env.{name}")]["reference"]);
        let value = match reference {
            Some(reference) if entry["value"] == CANARY && !reference.is_null() => reference.clone(),
            _ => entry["value"].clone(),
        };
        env.insert(name.to_owned(), value);
    }
    let state = if workspace.is_stopped { "stopped" } else { "running" };
    let mut record = serde_json::json!({"env": env, "container_config": container, "state": state});
    for (key, value) in &workspace.settings {
        record[key] = value.clone();
    }
    let text = |key: &str| mark.get(key).and_then(Value::as_str).map(str::to_owned);
    Row {
        record: record.to_string(),
        managed_by: text("managed_by"),
        environment: text("environment"),
        protected: mark.get("protected") == Some(&Value::Bool(true)),
    }
}

fn read_folder(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.map(|entry| entry.expect("an entry")) {
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().expect("a type");
        if kind.is_symlink() {
            let target = fs::read_link(entry.path()).expect("a link");
            files.insert(path, format!("link to {}", target.display()));
        } else if kind.is_dir() {
            read_folder(&entry.path(), &format!("{path}/"), files);
        } else {
            let bytes = fs::read(entry.path()).expect("a file");
            files.insert(path, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
}

/// The leaves of a record, by their paths; nothing if it cannot be understood.
pub fn leaves(record: &str) -> Option<BTreeMap<String, Value>> {
    let value: Value = serde_json::from_str(record).ok()?;
    let mut leaves = BTreeMap::new();
    flatten("", value.as_object().map(|_| &value)?, &mut leaves);
    let state = leaves.get("state").and_then(Value::as_str).unwrap_or("running").to_owned();
    leaves.insert("state".to_owned(), state.into());
    Some(leaves)
}

fn flatten(path: &str, value: &Value, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Null => {}
        Value::Object(map) if !map.contains_key("secret") && !map.contains_key("valueFrom") => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, leaves);
            }
        }
        leaf => drop(leaves.insert(path.to_owned(), normal(path, leaf))),
    }
}

/// A value in one form: quantities as a number of their smallest unit.
pub fn normal(path: &str, value: &Value) -> Value {
    let is_quantity = path.contains("limits.") || path.contains("requests.");
    let text = match value {
        Value::String(text) if is_quantity => text.clone(),
        Value::Number(number) if is_quantity => number.to_string(),
        other => return other.clone(),
    };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "m" => 1,
        "" => 1000,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        other => panic!("the tests do not know the unit `{other}`"),
    };
    digits.parse::<u64>().map_or_else(|_| value.clone(), |number| (number * factor).into())
}

/// How each workspace differs from what is declared, by its name: nothing of those that are as declared.
pub fn differences(world: &World<'_>, snapshot: &Snapshot) -> BTreeMap<String, Vec<String>> {
    let expected = world.expected();
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut renamed = BTreeSet::new();
    let ours =
        |name: &str| snapshot.rows.get(name).is_some_and(|row| row.managed_by.as_deref() == Some(OWNER));
    for (name, expected) in &expected {
        let from =
            expected.moved_from.as_ref().filter(|from| !snapshot.rows.contains_key(name) && ours(from));
        renamed.extend(from.cloned());
        let found = match from {
            Some(from) => vec![format!("to be renamed from {from}")],
            None => differs(expected, name, snapshot),
        };
        if !found.is_empty() {
            all.insert(name.clone(), found);
        }
    }
    for name in snapshot.rows.keys().filter(|name| ours(name)) {
        if expected.contains_key(name) || renamed.contains(name) {
            continue;
        }
        // Whether its branch was deleted is not known without the repository.
        let is_unknown = world.is_away && name.starts_with("dev-feature-");
        if !is_unknown && !is_kept_for_its_branch(world, name, &snapshot.rows[name]) {
            all.insert(name.clone(), vec!["managed, and not declared".to_owned()]);
        }
    }
    all
}

/// Whether a workspace is stopped because its branch was deleted, and stays.
fn is_kept_for_its_branch(world: &World<'_>, name: &str, row: &Row) -> bool {
    let environment = row.environment.as_ref().and_then(|name| world.environments.get(name));
    let keeps =
        environment.and_then(|one| one.branch_workspaces).is_some_and(|then| then != "on_gone: delete");
    let state = leaves(&row.record).and_then(|leaves| leaves.get("state").cloned());
    name.starts_with("dev-feature-") && keeps && state == Some("stopped".into())
}

fn differs(expected: &Expected, name: &str, snapshot: &Snapshot) -> Vec<String> {
    let Some(row) = snapshot.rows.get(name) else { return vec!["missing".to_owned()] };
    let Some(observed) = leaves(&row.record) else { return vec!["its record cannot be read".to_owned()] };
    let mut found = Vec::new();
    if row.managed_by.as_deref() != Some(OWNER) {
        found.push(format!("managed by {:?}", row.managed_by));
    } else {
        if row.environment.as_deref() != Some(&expected.environment) {
            found.push(format!("marked as one of {:?}", row.environment));
        }
        if row.protected != expected.is_protected {
            found.push(format!("marked as protected: {}", row.protected));
        }
    }
    let paths: BTreeSet<&String> = expected.fields.keys().chain(observed.keys()).collect();
    for path in paths {
        let (wanted, is) = (expected.fields.get(path).map(|value| normal(path, value)), observed.get(path));
        // A state that is not declared is nobody's concern.
        if wanted.as_ref() != is && !(path == "state" && wanted.is_none()) {
            found.push(format!("{path} is {is:?} and has to be {wanted:?}"));
        }
    }
    let branch = snapshot.branches.get(&format!("{}+{name}", expected.environment));
    if let (Code::Commit(commit), Some(head)) = (&expected.code, branch)
        && commit != head
    {
        found.push(format!("its branch is at {head}"));
    }
    match (&expected.code, snapshot.commit(name)) {
        (Code::Unknown, _) => found.push("its commit cannot be known".to_owned()),
        (Code::Any, None) => found.push("no code".to_owned()),
        (Code::Commit(commit), is) if is != Some(commit) => found.push(format!("runs {is:?}, not {commit}")),
        (Code::Commit(_), _)
            if snapshot.is_of_directory_mage(name) != Some(expected.is_of_directory_mage) =>
        {
            found.push("runs the code of another directory".to_owned());
        }
        (Code::Commit(_) | Code::Any | Code::None, _) => {}
    }
    found
}
