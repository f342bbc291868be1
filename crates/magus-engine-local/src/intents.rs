//! What is still to be done in the folders after the database has committed.
//!
//! The commit decides: a step that did not come so far leaves nothing behind but a staged file that nobody names, and
//! everything after it can be done again from here, however often it was interrupted.

use std::{fs, io};

use magus_model::name::WorkspaceName;
use rusqlite::Connection;

use crate::folders::{self, Folders};

/// What is to be done in the folder of one workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intent {
    /// Its key in the table; 0 before it is in it.
    pub(crate) id: i64,
    /// The workspace.
    pub(crate) workspace: WorkspaceName,
    /// Whose folder becomes this workspace's.
    pub(crate) renamed_from: Option<WorkspaceName>,
    /// The staged file that becomes its `.env`.
    pub(crate) staged: Option<String>,
    /// Whether the folder goes.
    pub(crate) remove: bool,
}

/// Writes an intent, as part of the transaction that makes it necessary.
pub(crate) fn insert(connection: &Connection, intent: &Intent) -> rusqlite::Result<i64> {
    let Intent { id: _, workspace, renamed_from, staged, remove } = intent;
    connection
        .prepare_cached(
            "INSERT INTO intents (workspace, renamed_from, staged, remove) VALUES (?1, ?2, ?3, ?4)",
        )?
        .insert((workspace.as_str(), renamed_from.as_ref().map(WorkspaceName::as_str), staged, remove))
}

/// Forgets an intent that is fulfilled.
pub(crate) fn forget(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM intents WHERE id = ?1")?.execute([id]).map(drop)
}

/// What an interrupted apply left, oldest first.
pub(crate) fn pending(connection: &Connection) -> rusqlite::Result<Vec<Intent>> {
    let mut statement =
        connection.prepare("SELECT id, workspace, renamed_from, staged, remove FROM intents ORDER BY id")?;
    let intents = statement.query_map([], |row| {
        Ok(Intent {
            id: row.get(0)?,
            workspace: WorkspaceName::observed(row.get::<_, String>(1)?),
            renamed_from: row.get::<_, Option<String>>(2)?.map(WorkspaceName::observed),
            staged: row.get(3)?,
            remove: row.get(4)?,
        })
    })?;
    intents.collect()
}

/// Does what an intent says, or the rest of it.
pub(crate) fn fulfil(folders: &Folders, intent: &Intent) -> io::Result<()> {
    let Intent { id: _, workspace, renamed_from, staged, remove } = intent;
    let folder_of = |name: &WorkspaceName| {
        folders.workspace(name).ok_or_else(|| io::Error::other(format!("`{name}` is no name of a folder")))
    };
    let folder = folder_of(workspace)?;
    if *remove {
        return folders::remove(&folder);
    }
    if let Some(old) = renamed_from {
        let old = folder_of(old)?;
        if old.exists() && !folder.exists() {
            fs::rename(old, &folder)?;
        }
    }
    if let Some(staged) = staged {
        let staged = folders.staging().join(staged);
        if staged.exists() {
            folders::make(&folder)?;
            fs::rename(staged, folder.join(".env"))?;
        }
    }
    Ok(())
}
