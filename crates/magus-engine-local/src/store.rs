//! A store that is open for an apply: locked, repaired, and the place of every commit.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use jiff::Timestamp;
use magus_engine::{EngineError, PerformError};
use magus_model::{Text, name::WorkspaceName, path::FieldPath};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::{
    access,
    fingerprint::{Fingerprint, FingerprintKey},
    folders::{self, Folders},
    intents::{self, Intent},
    lock::{Holder, Lock},
    observe::{self, Observer},
    row::{COLUMNS, RawRow},
    schema,
    trouble::{self, failed},
};

/// How long a commit waits for another program that writes to the database, such as `sqlite3`.
const BUSY: Duration = Duration::from_secs(10);
/// Pages in the log (4 KiB each) after which SQLite moves them into the database.
const CHECKPOINT_PAGES: u32 = 4000;

/// Says what time it is.
pub type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// What is needed to open a store.
pub struct OpenRequest<'a> {
    /// The folder of the store; made if it is missing.
    pub path: &'a Path,
    /// Who applies: others that find the store locked are told.
    pub holder: Holder,
    /// How long to wait for the lock. Zero refuses at once.
    pub wait: Duration,
    /// The clock.
    pub clock: Clock,
    /// Why, where a person said so: recorded with every event.
    pub reason: Option<String>,
}

/// A store that is open for an apply. Nobody else can open it until it is dropped; everybody can read it.
pub struct Store {
    pub(crate) folders: Folders,
    pub(crate) key: FingerprintKey,
    /// For the names of staged files.
    pub(crate) staged: AtomicU64,
    connection: Mutex<Connection>,
    /// Intents that are fulfilled; the next commit forgets them.
    fulfilled: Mutex<Vec<i64>>,
    /// The revisions that this apply wrote; nothing for a workspace that it deleted.
    written: Mutex<HashMap<WorkspaceName, Option<Text>>>,
    /// A tree that this apply wrote, for each folder of a commit of a repository.
    pub(crate) trees: Mutex<HashMap<(PathBuf, Text, Text), PathBuf>>,
    actor: String,
    clock: Clock,
    given_reason: Option<String>,
    // Dropped last: the lock is held until the database is closed.
    _lock: Lock,
}

/// A change of one workspace that is ready to be committed.
#[derive(Debug)]
pub(crate) struct Change {
    /// The workspace's name afterwards.
    pub(crate) name: WorkspaceName,
    /// Its name until now, where it is another one.
    pub(crate) renamed_from: Option<WorkspaceName>,
    /// What the change rests on.
    pub(crate) before: Option<RawRow>,
    /// What it leads to; nothing where the workspace goes.
    pub(crate) after: Option<RawRow>,
    /// The file in the staging folder that becomes its `.env`.
    pub(crate) staged: Option<String>,
    /// Secrets whose values were sent, or are gone.
    pub(crate) fingerprints: FingerprintChange,
    /// For the event.
    pub(crate) action: &'static str,
    /// For the event.
    pub(crate) reason: String,
}

/// What happens to the fingerprints of a workspace.
#[derive(Debug, Default)]
pub(crate) struct FingerprintChange {
    /// All of them go first.
    pub(crate) clear: bool,
    /// These go.
    pub(crate) forget: Vec<FieldPath>,
    /// These are set.
    pub(crate) set: Vec<(FieldPath, Fingerprint)>,
}

/// What happened to a workspace, for the table `events`.
pub(crate) struct Event<'a> {
    pub(crate) workspace: &'a WorkspaceName,
    pub(crate) action: &'a str,
    pub(crate) outcome: &'a str,
    pub(crate) reason: &'a str,
}

impl Store {
    /// Reads the store in this folder as the cluster of this name. Needs no store: without one the cluster is empty.
    pub fn observer(cluster: &str, path: &Path) -> Observer {
        Observer::new(cluster, path)
    }

    /// Opens the store in a folder for an apply: makes it if it is missing, takes the lock, and finishes what an
    /// interrupted apply began.
    ///
    /// # Errors
    /// Where somebody else holds the lock, and where the store is damaged or newer: it is then as it was.
    pub fn open(request: OpenRequest<'_>) -> Result<Self, EngineError> {
        let OpenRequest { path, holder, wait, clock, reason } = request;
        let folders = Folders::new(path);
        // The lock is in there, and nothing else happens before it is held.
        folders::make(path).map_err(|error| trouble::disk(path, "cannot be made", error))?;
        let lock = Lock::take(&folders.lock(), &holder, clock(), wait)?;
        let database = folders.database();
        match access::read(&folders, |connection| {
            schema::check(connection, &database)?;
            quick_check(connection, &database)
        })? {
            Some(()) => {}
            None => {
                observe::refuse_lost_database(&folders)?;
                create(&folders)?;
            }
        }
        for folder in [folders.staging(), folders.workspaces()] {
            folders::make(&folder).map_err(|error| trouble::disk(&folder, "cannot be made", error))?;
        }
        let unusable = |error| trouble::unreadable(&database, error);
        let mut connection = Connection::open(&database).map_err(unusable)?;
        configure(&connection).map_err(unusable)?;
        schema::migrate(&mut connection, schema::MIGRATIONS).map_err(unusable)?;
        recover(&connection, &folders)?;
        let key = FingerprintKey::of_store(&connection).map_err(|error| {
            trouble::damaged(&database, "has no key for fingerprints, and none could be made")
                .caused_by(error)
        })?;
        Ok(Self {
            folders,
            key,
            staged: AtomicU64::new(0),
            connection: Mutex::new(connection),
            fulfilled: Mutex::default(),
            written: Mutex::default(),
            trees: Mutex::default(),
            actor: holder.actor,
            given_reason: reason,
            clock,
            _lock: lock,
        })
    }

    /// The connection; one thread at a time.
    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere rolled its transaction back, so that the connection is as good as before.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The revision that this apply left a workspace with: nothing where it did not touch it, `Some(None)` where it
    /// deleted it.
    pub(crate) fn written(&self, name: &WorkspaceName) -> Option<Option<Text>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Commits a change if everything is still as it rests on. From here on the change is decided; what is left to do
    /// in the folders is the intent.
    pub(crate) fn commit(&self, change: &Change) -> Result<Option<Intent>, PerformError> {
        let Change { name, renamed_from, before, after, staged, fingerprints, action, reason } = change;
        let mut fulfilled =
            std::mem::take(&mut *self.fulfilled.lock().unwrap_or_else(PoisonError::into_inner));
        let outcome = (|| -> Result<Option<Intent>, PerformError> {
            let mut connection = self.connection();
            let stopped = |error: rusqlite::Error| failed("the store did not take the change", &error);
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(stopped)?;
            let old_name = renamed_from.as_ref().unwrap_or(name);
            if row(&transaction, old_name).map_err(stopped)? != *before {
                return Err(moved(old_name));
            }
            if renamed_from.is_some() && row(&transaction, name).map_err(stopped)?.is_some() {
                return Err(taken(name));
            }
            write_row(&transaction, old_name, after.as_ref()).map_err(stopped)?;
            write_fingerprints(&transaction, change, fingerprints).map_err(stopped)?;
            let mut intent = None;
            if staged.is_some() || renamed_from.is_some() || after.is_none() {
                let mut planned = Intent {
                    id: 0,
                    workspace: name.clone(),
                    renamed_from: renamed_from.clone(),
                    staged: staged.clone(),
                    remove: after.is_none(),
                };
                planned.id = intents::insert(&transaction, &planned).map_err(stopped)?;
                intent = Some(planned);
            }
            let event = Event { workspace: name, action, outcome: "applied", reason };
            self.write_event(&transaction, &event).map_err(stopped)?;
            for id in &fulfilled {
                intents::forget(&transaction, *id).map_err(stopped)?;
            }
            transaction.commit().map_err(stopped)?;
            fulfilled.clear();
            Ok(intent)
        })();
        self.fulfilled.lock().unwrap_or_else(PoisonError::into_inner).append(&mut fulfilled);
        if outcome.is_ok() {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(old) = renamed_from {
                written.insert(old.clone(), None);
            }
            written.insert(name.clone(), after.as_ref().map(|row| row.revision(Some(&self.key))));
        }
        outcome
    }

    /// Does in the folders what was committed. A failure here is not lost: the next apply does the rest.
    pub(crate) fn finish(&self, intent: &Intent) -> Result<(), PerformError> {
        intents::fulfil(&self.folders, intent).map_err(|error| {
            let what =
                format!("the store has the change, but the folder of `{}` does not yet", intent.workspace);
            let failed = failed(what, &error);
            PerformError::Uncertain(format!("{}; the next `magus apply` finishes it", failed.message()))
        })?;
        self.fulfilled.lock().unwrap_or_else(PoisonError::into_inner).push(intent.id);
        Ok(())
    }

    /// Writes an event.
    pub(crate) fn write_event(&self, connection: &Connection, event: &Event<'_>) -> rusqlite::Result<()> {
        let Event { workspace, action, outcome, reason } = event;
        let given = self.given_reason.as_ref().map(|given| format!("{reason}; {given}"));
        let reason = given.as_deref().unwrap_or(reason);
        connection
            .prepare_cached(
                "INSERT INTO events (at, workspace, action, outcome, reason, actor) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(((self.clock)().to_string(), workspace.as_str(), action, outcome, reason, &self.actor))
            .map(drop)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let connection = self.connection.get_mut().unwrap_or_else(PoisonError::into_inner);
        let fulfilled = self.fulfilled.get_mut().unwrap_or_else(PoisonError::into_inner);
        // What is not forgotten here is done once more, to no effect, when the store is opened again.
        for id in fulfilled.drain(..) {
            if let Err(error) = intents::forget(connection, id) {
                tracing::debug!(%error, "an intent was not forgotten");
            }
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("folders", &self.folders).finish_non_exhaustive()
    }
}

/// The row of a workspace.
pub(crate) fn row(connection: &Connection, name: &WorkspaceName) -> rusqlite::Result<Option<RawRow>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM workspaces WHERE name = ?1"))?
        .query_row([name.as_str()], RawRow::read)
        .optional()
}

/// Replaces the row of a name; the new row may have another one.
fn write_row(connection: &Connection, name: &WorkspaceName, row: Option<&RawRow>) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM workspaces WHERE name = ?1")?.execute([name.as_str()])?;
    if let Some(row) = row {
        connection
            .prepare_cached(&format!(
                "INSERT INTO workspaces ({COLUMNS}) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, coalesce(?8, lower(hex(randomblob(16)))), ?9)"
            ))?
            .execute(row.values())?;
    }
    Ok(())
}

fn write_fingerprints(
    connection: &Connection,
    change: &Change,
    fingerprints: &FingerprintChange,
) -> rusqlite::Result<()> {
    let FingerprintChange { clear, forget, set } = fingerprints;
    let name = change.name.as_str();
    if *clear || change.after.is_none() || change.renamed_from.is_some() {
        // Of a workspace that is gone, or whose name had another one before.
        connection.prepare_cached("DELETE FROM fingerprints WHERE workspace = ?1")?.execute([name])?;
    }
    if let Some(old) = &change.renamed_from {
        connection
            .prepare_cached("UPDATE fingerprints SET workspace = ?2 WHERE workspace = ?1")?
            .execute([old.as_str(), name])?;
    }
    for path in forget {
        connection
            .prepare_cached("DELETE FROM fingerprints WHERE workspace = ?1 AND path = ?2")?
            .execute([name, path.as_str()])?;
    }
    for (path, Fingerprint(bytes)) in set {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO fingerprints (workspace, path, fingerprint) VALUES (?1, ?2, ?3)",
            )?
            .execute((name, path.as_str(), &bytes[..]))?;
    }
    Ok(())
}

/// Somebody changed the workspace since the plan.
pub(crate) fn moved(name: &WorkspaceName) -> PerformError {
    PerformError::Moved(format!("`{name}` is no longer as it was when the plan was made; plan again"))
}

/// Somebody took the name since the plan.
pub(crate) fn taken(name: &WorkspaceName) -> PerformError {
    PerformError::Moved(format!("`{name}` exists since the plan was made; plan again"))
}

/// Looks for damage without changing anything.
fn quick_check(connection: &Connection, database: &Path) -> Result<(), access::QueryError> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(trouble::damaged(database, "is damaged").caused_by(verdict).into())
}

/// Makes the database beside its place, and puts it there once it is complete.
fn create(folders: &Folders) -> Result<(), EngineError> {
    let (unfinished, database) = (folders.unfinished_database(), folders.database());
    let unusable = |error: rusqlite::Error| trouble::unreadable(&unfinished, error);
    let disk = |error: io::Error| trouble::disk(&database, "cannot be made", error);
    for ending in ["", "-journal", "-wal", "-shm"] {
        let mut left = unfinished.clone().into_os_string();
        left.push(ending);
        folders::remove(left.as_ref()).map_err(disk)?;
    }
    folders::write_new(&unfinished, b"").map_err(disk)?;
    let mut connection = Connection::open(&unfinished).map_err(unusable)?;
    schema::migrate(&mut connection, schema::MIGRATIONS).map_err(unusable)?;
    connection.pragma_update(None, "journal_mode", "wal").map_err(unusable)?;
    connection.close().map_err(|(_, error)| unusable(error))?;
    fs::rename(&unfinished, &database).map_err(disk)?;
    folders::sync(folders.root()).map_err(disk)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // A power failure may take the last commits, and leaves a database as it was before them.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// Finishes what was committed, and drops what was not.
fn recover(connection: &Connection, folders: &Folders) -> Result<(), EngineError> {
    let database = folders.database();
    let unusable = |error| trouble::unreadable(&database, error);
    for intent in intents::pending(connection).map_err(unusable)? {
        intents::fulfil(folders, &intent).map_err(|error| {
            let what = "cannot be brought to what an interrupted apply committed";
            trouble::disk(&folders.workspaces().join(intent.workspace.as_str()), what, error)
        })?;
        intents::forget(connection, intent.id).map_err(unusable)?;
        tracing::info!(workspace = %intent.workspace, "finished what an interrupted apply began");
    }
    let staging = folders.staging();
    let disk = |error| trouble::disk(&staging, "cannot be emptied", error);
    for entry in fs::read_dir(&staging).map_err(disk)? {
        folders::remove(&entry.map_err(disk)?.path()).map_err(disk)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
