//! The tables of a store, and how an older store becomes a current one.

use std::path::Path;

use magus_engine::{EngineError, EngineErrorKind};
use rusqlite::{Connection, TransactionBehavior};

use crate::{access::QueryError, row, trouble};

/// `Mags`: what tells a store from any other SQLite database.
const APPLICATION_ID: i32 = 0x4d61_6773;

/// What leads from each version to the next; the first from nothing to version 1. Only additions, and never another
/// meaning for a column of [`crate::row::COLUMNS`]: a plan reads older stores as they are.
pub(crate) const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE workspaces (
        name TEXT NOT NULL PRIMARY KEY,
        record TEXT NOT NULL,
        managed_by TEXT,
        environment TEXT,
        workspace TEXT,
        protected INTEGER NOT NULL DEFAULT 0,
        applied TEXT
    ) STRICT;
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        workspace TEXT NOT NULL,
        action TEXT NOT NULL,
        outcome TEXT NOT NULL,
        reason TEXT NOT NULL,
        actor TEXT NOT NULL
    ) STRICT;
    CREATE INDEX events_of_workspace ON events (workspace, id);
    CREATE TABLE intents (
        id INTEGER PRIMARY KEY,
        workspace TEXT NOT NULL,
        renamed_from TEXT,
        staged TEXT,
        remove INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE fingerprints (
        workspace TEXT NOT NULL,
        path TEXT NOT NULL,
        fingerprint BLOB NOT NULL,
        PRIMARY KEY (workspace, path)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE keys (
        purpose TEXT NOT NULL PRIMARY KEY,
        key BLOB NOT NULL
    ) STRICT;
",
    "
    ALTER TABLE workspaces ADD COLUMN id TEXT;
    ALTER TABLE workspaces ADD COLUMN declarations TEXT;
    UPDATE workspaces SET id = lower(hex(randomblob(16)));
",
];

/// The columns of a row, in the version that a store has.
///
/// # Errors
/// Where the database cannot be read.
pub(crate) fn columns(connection: &Connection) -> rusqlite::Result<&'static str> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(if version > 1 { row::COLUMNS } else { row::COLUMNS_OF_VERSION_1 })
}

/// Makes sure that a database is a store that this Magus understands. Changes nothing.
pub(crate) fn check(connection: &Connection, database: &Path) -> Result<(), QueryError> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    if application != i64::from(APPLICATION_ID) || version < 1 {
        return Err(
            trouble::damaged(database, "is a database of another program, not a store of Magus").into()
        );
    }
    let known = MIGRATIONS.len() as i64;
    if version > known {
        let message = format!(
            "`{}` was made by a newer Magus: its version is {version}, and this one knows versions up to {known}",
            database.display()
        );
        return Err(EngineError::new(EngineErrorKind::NewerVersion, message)
            .help("use that newer Magus; the store was left as it is")
            .into());
    }
    Ok(())
}

/// Brings a database to the version after the last migration, all or nothing.
pub(crate) fn migrate(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut reached = version;
    for migration in migrations.iter().skip(version as usize) {
        transaction.execute_batch(migration)?;
        reached += 1;
    }
    if reached == version {
        return Ok(());
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", reached)?;
    transaction.commit()?;
    tracing::debug!(from = version, to = reached, "migrated the store");
    Ok(())
}
