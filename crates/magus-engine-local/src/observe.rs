//! Reads every workspace of a store at once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::Path,
    sync::mpsc,
};

use magus_engine::{Declared, EngineError, Observe};
use magus_model::{
    Text,
    name::WorkspaceName,
    observed::{Observation, ObservedWorkspace, Work},
    path::FieldPath,
};
use rusqlite::Connection;

use crate::{
    access::{self, QueryError},
    capabilities::capabilities,
    code,
    fingerprint::FingerprintKey,
    folders::Folders,
    row::RawRow,
    schema, trouble,
};

/// Rows that are parsed at once: enough to keep a thread busy, few enough to share the work.
const CHUNK: usize = 128;
/// Chunks that wait to be parsed.
const AHEAD: usize = 4;

/// Reads a store and leaves no trace.
#[derive(Debug)]
pub struct Observer {
    cluster: Text,
    folders: Folders,
}

/// A row as it was understood, or its name and why it was not.
type Parsed = Result<ObservedWorkspace, (WorkspaceName, String)>;

impl Observer {
    pub(crate) fn new(cluster: &str, path: &Path) -> Self {
        Self { cluster: cluster.into(), folders: Folders::new(path) }
    }
}

impl Observer {
    /// Adds the code, where it is declared or may be lost. Of all others nobody asks: ten thousand looks into folders are more
    /// work than everything else.
    fn with_code(
        &self,
        mut workspace: ObservedWorkspace,
        declared: &HashMap<&WorkspaceName, &Declared>,
    ) -> ObservedWorkspace {
        let declared = declared.get(&workspace.name);
        let looks = declared.is_none_or(|declared| declared.look_for_work);
        let wanted = declared.and_then(|declared| declared.code.as_ref());
        if !looks && wanted.is_none() {
            return workspace;
        }
        let Some(folder) = self.folders.workspace(&workspace.name) else { return workspace };
        let source = workspace.mark.as_ref().and_then(|mark| mark.source.as_ref());
        let is_other_source =
            wanted.is_some_and(|wanted| source.is_some_and(|source| *source != wanted.source));
        let found = code::observe(&folder, looks);
        workspace.code = match wanted {
            Some(wanted) if !looks && (is_other_source || wanted.commit != found.commit) => {
                code::observe(&folder, true)
            }
            _ => found,
        };
        workspace
    }
}

/// The workspaces that are to be created with code, and whose folders hold uncommitted changes, each with the reason why its
/// state is unknown. The database lost their rows, so that a create would take their folders over.
fn abandoned(
    folders: &Folders,
    declared: &HashMap<&WorkspaceName, &Declared>,
    present: &BTreeMap<WorkspaceName, ObservedWorkspace>,
) -> BTreeMap<WorkspaceName, String> {
    let absent = declared.iter().filter(|(name, declared)| {
        declared.code.is_some() && !present.contains_key(**name) && folders.workspaces().exists()
    });
    let reason = |name: &WorkspaceName| {
        let folder = folders.workspace(name)?;
        let has = match code::observe(&folder, true).work {
            Work::None | Work::NotRead => return None,
            Work::Uncommitted(paths) => {
                let paths: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
                format!("has uncommitted changes: {}", paths.join(", "))
            }
            Work::Unknown(reason) => format!("cannot be checked for uncommitted changes: {reason}"),
        };
        let folder = folder.display();
        Some(format!("the store has no row of it, but its folder `{folder}` {has}; move the folder away"))
    };
    absent.filter_map(|(name, _)| Some(((*name).clone(), reason(name)?))).collect()
}

impl Observe for Observer {
    fn observe(&self, declared: &[Declared]) -> Result<Observation, EngineError> {
        let database = self.folders.database();
        let rows = access::read(&self.folders, |connection| {
            schema::check(connection, &database)?;
            let key = FingerprintKey::read(connection)?;
            let of_plans = key.as_ref().map(FingerprintKey::of_plans);
            Ok((read_all(connection, key.as_ref())?, fingerprinted(connection)?, of_plans))
        })?;
        let (rows, fingerprinted, key) = match rows {
            Some(found) => found,
            None => {
                refuse_lost_database(&self.folders)?;
                Default::default()
            }
        };
        let (mut present, mut unknown) = (Vec::with_capacity(rows.len()), BTreeMap::new());
        let declared: HashMap<_, _> = declared.iter().map(|declared| (&declared.name, declared)).collect();
        for row in rows {
            match row.map(|workspace| self.with_code(workspace, &declared)) {
                Ok(mut workspace) => {
                    if let Some(paths) = fingerprinted.get(workspace.name.as_str()) {
                        workspace.sensitive.clone_from(paths);
                    }
                    present.push((workspace.name.clone(), workspace));
                }
                Err((name, reason)) => {
                    unknown.insert(name, reason);
                }
            }
        }
        let present = present.into_iter().collect();
        for (name, reason) in abandoned(&self.folders, &declared, &present) {
            unknown.entry(name).or_insert(reason);
        }
        Ok(Observation {
            cluster: self.cluster.clone(),
            capabilities: capabilities(),
            present,
            unknown,
            key,
            ..Observation::default()
        })
    }

    fn about(&self) -> Result<Vec<(&'static str, String)>, EngineError> {
        Ok(vec![
            ("store", self.folders.database().display().to_string()),
            ("version of the store", schema::MIGRATIONS.len().to_string()),
        ])
    }
}

/// The fields of each workspace that were last sent with the value of a secret.
fn fingerprinted(connection: &Connection) -> Result<HashMap<String, BTreeSet<FieldPath>>, QueryError> {
    let mut statement = connection.prepare("SELECT workspace, path FROM fingerprints")?;
    let mut rows = statement.query([])?;
    let mut found: HashMap<String, BTreeSet<FieldPath>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let path: String = row.get(1)?;
        found.entry(row.get(0)?).or_default().insert(FieldPath::shared(&path));
    }
    Ok(found)
}

/// All rows: this thread reads, the others parse what it has read so far.
fn read_all(connection: &Connection, key: Option<&FingerprintKey>) -> Result<Vec<Parsed>, QueryError> {
    let mut statement =
        connection.prepare(&format!("SELECT {} FROM workspaces", schema::columns(connection)?))?;
    let (sender, receiver) = mpsc::channel::<Vec<Parsed>>();
    let mut parsed = Vec::new();
    rayon::in_place_scope(|scope| -> Result<(), QueryError> {
        let mut ahead = 0;
        let mut hand_over = |chunk: Vec<RawRow>, parsed: &mut Vec<Parsed>| {
            let sender = sender.clone();
            scope.spawn(move |_| {
                // The receiver outlives the scope.
                let _ = sender.send(chunk.into_iter().map(|row| parse(row, key)).collect());
            });
            // Reading is faster than parsing, and rows that wait are memory.
            ahead += 1;
            if ahead > AHEAD
                && let Ok(done) = receiver.recv()
            {
                parsed.extend(done);
                ahead -= 1;
            }
        };
        let mut rows = statement.query([])?;
        let mut chunk = Vec::with_capacity(CHUNK);
        while let Some(row) = rows.next()? {
            chunk.push(RawRow::read(row)?);
            if chunk.len() == CHUNK {
                hand_over(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK)), &mut parsed);
            }
        }
        hand_over(chunk, &mut parsed);
        Ok(())
    })?;
    drop(sender);
    // In any order: names are unique, and whoever asks gets them sorted.
    parsed.extend(receiver.into_iter().flatten());
    Ok(parsed)
}

fn parse(row: RawRow, key: Option<&FingerprintKey>) -> Parsed {
    row.parse(key).map_err(|reason| (row.name(), reason))
}

/// Folders of workspaces without a database are no empty cluster, but one whose database is gone.
pub(crate) fn refuse_lost_database(folders: &Folders) -> Result<(), EngineError> {
    let workspaces = folders.workspaces();
    let count = match fs::read_dir(&workspaces) {
        Ok(entries) => entries.filter_map(Result::ok).filter(|entry| entry.path().is_dir()).count(),
        Err(_) => 0,
    };
    if count == 0 {
        return Ok(());
    }
    let what = format!("is gone, but `{}` still holds folders of workspaces: {count}", workspaces.display());
    Err(trouble::damaged(&folders.database(), &what))
}
