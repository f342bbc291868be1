//! The entries of a cluster on this machine: one SQLite file.

use std::{
    fs::{DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use magus_model::history::Entry;
use rusqlite::{Connection, ErrorCode, OpenFlags};

/// How long to wait for another process that writes.
const BUSY: Duration = Duration::from_secs(10);
/// The version of the tables.
const VERSION: i64 = 1;
/// The tables, as version 1 has them.
const TABLES: &str = "CREATE TABLE entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    at TEXT NOT NULL,
    entry TEXT NOT NULL,
    pushed INTEGER NOT NULL DEFAULT 0
) STRICT;";

/// The entries of a cluster on this machine.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
}

/// Why the store was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file or its folder.
    #[error("the history in `{path}` cannot be {what}: {why}")]
    Failed {
        /// The file.
        path: String,
        /// `read` or `written`.
        what: &'static str,
        /// What the system or SQLite said.
        why: String,
    },
    /// A later version wrote it.
    #[error("the history in `{0}` was written by a later Magus")]
    Newer(String),
}

/// An entry, and whether it is on the remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) entry: Entry,
    pub(crate) pushed: bool,
}

impl Store {
    /// The store in this file, which the first entry makes.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, what: &'static str, why: &impl ToString) -> StoreError {
        StoreError::Failed { path: self.path.display().to_string(), what, why: why.to_string() }
    }

    /// Every entry, oldest first. Makes nothing: where there is no file there are none.
    pub(crate) fn read(&self) -> Result<Vec<Kept>, StoreError> {
        let unread = |error: rusqlite::Error| self.failed("read", &error);
        let connection = match Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY) {
            Ok(connection) => connection,
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::CannotOpen) && !self.path.exists() => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(unread(error)),
        };
        connection.busy_timeout(BUSY).map_err(unread)?;
        match self.version(&connection, "read")? {
            // Killed between making the file and making its table.
            0 => return Ok(Vec::new()),
            VERSION => {}
            _ => return Err(StoreError::Newer(self.path.display().to_string())),
        }
        let mut query =
            connection.prepare("SELECT entry, pushed FROM entries ORDER BY number").map_err(unread)?;
        let rows = query
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?)))
            .map_err(unread)?;
        let mut entries = Vec::new();
        for row in rows {
            let (text, pushed) = row.map_err(unread)?;
            let entry = serde_json::from_str(&text).map_err(|error| self.failed("read", &error))?;
            entries.push(Kept { entry, pushed });
        }
        Ok(entries)
    }

    fn version(&self, connection: &Connection, what: &'static str) -> Result<i64, StoreError> {
        connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(|error| self.failed(what, &error))
    }

    /// Opens the store for writing, and makes it where there is none.
    fn open(&self) -> Result<Connection, StoreError> {
        let unwritten = |error: rusqlite::Error| self.failed("written", &error);
        let disk = |error: io::Error| self.failed("written", &error);
        if let Some(folder) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(disk)?;
        }
        // For its owner alone, and so is what SQLite puts beside it.
        OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path).map_err(disk)?;
        let mut connection = Connection::open(&self.path).map_err(unwritten)?;
        connection.busy_timeout(BUSY).map_err(unwritten)?;
        let transaction = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(unwritten)?;
        match self.version(&transaction, "written")? {
            0 => {
                transaction.execute_batch(TABLES).map_err(unwritten)?;
                transaction.pragma_update(None, "user_version", VERSION).map_err(unwritten)?;
            }
            VERSION => {}
            _ => return Err(StoreError::Newer(self.path.display().to_string())),
        }
        transaction.commit().map_err(unwritten)?;
        Ok(connection)
    }

    /// Adds an entry. The same one twice is one.
    pub(crate) fn add(&self, entry: &Entry, pushed: bool) -> Result<(), StoreError> {
        let text = serde_json::to_string(entry).map_err(|error| self.failed("written", &error))?;
        self.open()?
            .execute(
                "INSERT OR IGNORE INTO entries (id, at, entry, pushed) VALUES (?1, ?2, ?3, ?4)",
                (entry.id.as_str(), entry.at.as_str(), text, pushed),
            )
            .map(drop)
            .map_err(|error| self.failed("written", &error))
    }

    /// Remembers that these entries are on the remote.
    pub(crate) fn pushed(&self, ids: &[&str]) -> Result<(), StoreError> {
        let connection = self.open()?;
        for id in ids {
            connection
                .execute("UPDATE entries SET pushed = 1 WHERE id = ?1", [id])
                .map_err(|error| self.failed("written", &error))?;
        }
        Ok(())
    }
}
