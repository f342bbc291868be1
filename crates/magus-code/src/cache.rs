//! What was found in files before, by what they are for and the number of their content. It may be deleted at any time, be
//! written by several processes, or not be writable at all: then files are looked at again.

use std::{
    cell::{RefCell, RefMut},
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use rayon::prelude::*;
use rusqlite::{Connection, OpenFlags, params};

use crate::{
    needs::Needs,
    scan::{FileKind, Scan, VERSION},
};

/// The file, in a folder of the user's.
const FILE: &str = "code.db";
/// How long another process that writes is waited for. What is not kept costs time and nothing else.
const BUSY: Duration = Duration::from_millis(500);
/// After so many files, and so many projects, the older half makes room.
const MOST: i64 = 200_000;
const MOST_PROJECTS: i64 = 2_000;

/// So many files are read through one connection.
const AT_ONCE: usize = 1_000;

/// The results of earlier runs.
#[derive(Debug)]
pub(crate) struct Cache {
    path: PathBuf,
    /// Opened when first needed: to read, and to write.
    reader: RefCell<Option<Connection>>,
    writer: RefCell<Option<Connection>>,
}

/// By kind and number of the content.
pub(crate) type Key = (FileKind, [u8; 20]);

impl Cache {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { path: folder.join(FILE), reader: RefCell::default(), writer: RefCell::default() }
    }

    /// What a project needs, by the number of its folder.
    pub(crate) fn needs(&self, tree: &str) -> Option<Needs> {
        let connection = self.open().ok()??;
        let row = "SELECT needs FROM projects WHERE tree = ?1 AND version = ?2";
        let text: String = connection.query_row(row, params![tree, VERSION], |row| row.get(0)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// What is known of these; nothing of what is not, or cannot be read.
    pub(crate) fn read(&self, keys: &[Key]) -> HashMap<Key, Scan> {
        // A connection belongs to one thread.
        let path = &self.path;
        keys.par_chunks(AT_ONCE).flat_map_iter(|keys| try_read(path, keys).unwrap_or_default()).collect()
    }

    /// The file, to be read; nothing where it is not there.
    fn open(&self) -> rusqlite::Result<Option<RefMut<'_, Connection>>> {
        let mut reader = self.reader.borrow_mut();
        if reader.is_none() && self.path.exists() {
            *reader = Some(open_to_read(&self.path)?);
        }
        Ok(RefMut::filter_map(reader, Option::as_mut).ok())
    }

    /// Keeps what was found in files, and what projects need. Whether that worked is nobody's business.
    pub(crate) fn keep(&self, found: &[(Key, &Scan)], projects: &[(&str, &Needs)]) {
        if found.is_empty() && projects.is_empty() || self.try_keep(found, projects).is_ok() {
            return;
        }
        *self.reader.borrow_mut() = None;
        *self.writer.borrow_mut() = None;
        // What is no database, or a broken one, is made anew the next time. One that is in use, or cannot be written, stays.
        let is_broken = open_to_read(&self.path)
            .and_then(|connection| connection.query_row("SELECT count(*) FROM scans", [], |_| Ok(())))
            .is_err_and(|error| {
                use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, Unknown};
                matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase | Unknown))
            });
        if is_broken && std::fs::remove_file(&self.path).is_ok() {
            let _ = self.try_keep(found, projects);
        }
    }

    fn try_keep(&self, found: &[(Key, &Scan)], projects: &[(&str, &Needs)]) -> rusqlite::Result<()> {
        let mut writer = self.writer.borrow_mut();
        if writer.is_none() {
            *writer = Some(self.open_to_write()?);
        }
        let Some(connection) = writer.as_mut() else { return Ok(()) };
        let transaction = connection.transaction()?;
        {
            let mut statement =
                transaction.prepare("INSERT OR REPLACE INTO scans VALUES (?1, ?2, ?3, ?4)")?;
            for ((kind, content), scan) in found {
                let Ok(text) = serde_json::to_string(scan) else { continue };
                statement.execute(params![kind.word(), content, VERSION, text])?;
            }
        }
        for (tree, needs) in projects {
            let Ok(text) = serde_json::to_string(needs) else { continue };
            let row = "INSERT OR REPLACE INTO projects VALUES (?1, ?2, ?3)";
            transaction.execute(row, params![tree, VERSION, text])?;
        }
        transaction.commit()
    }

    /// Makes the file where it is not there, and room in it.
    fn open_to_write(&self) -> rusqlite::Result<Connection> {
        if let Some(folder) = self.path.parent() {
            // Where it cannot be made, the next line says so.
            let _ = std::fs::create_dir_all(folder);
        }
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(BUSY)?;
        // What a power failure takes is found again.
        connection.execute_batch("PRAGMA synchronous = OFF")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS scans (
                kind TEXT NOT NULL, content BLOB NOT NULL, version INTEGER NOT NULL, scan TEXT NOT NULL,
                PRIMARY KEY (kind, content, version)
            ) STRICT;
            CREATE TABLE IF NOT EXISTS projects (
                tree TEXT NOT NULL, version INTEGER NOT NULL, needs TEXT NOT NULL, PRIMARY KEY (tree, version)
            ) STRICT",
        )?;
        for (table, most) in [("scans", MOST), ("projects", MOST_PROJECTS)] {
            let count = format!("SELECT count(*) FROM {table}");
            if connection.query_row(&count, [], |row| row.get::<_, i64>(0))? > most {
                let oldest = format!("SELECT rowid FROM {table} ORDER BY rowid LIMIT ?1");
                connection.execute(&format!("DELETE FROM {table} WHERE rowid IN ({oldest})"), [most / 2])?;
            }
            connection.execute(&format!("DELETE FROM {table} WHERE version < ?1"), [VERSION])?;
        }
        Ok(connection)
    }
}

fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

fn try_read(path: &Path, keys: &[Key]) -> rusqlite::Result<Vec<(Key, Scan)>> {
    let mut connection = open_to_read(path)?;
    // One transaction: a lock for each row would cost more than the rows.
    let transaction = connection.transaction()?;
    let mut statement =
        transaction.prepare("SELECT scan FROM scans WHERE kind = ?1 AND content = ?2 AND version = ?3")?;
    let mut found = Vec::with_capacity(keys.len());
    for key @ (kind, content) in keys {
        let mut rows = statement.query(params![kind.word(), content, VERSION])?;
        let Some(row) = rows.next()? else { continue };
        // What does not parse is looked at again.
        found.extend(serde_json::from_str(row.get_ref(0)?.as_str()?).ok().map(|scan| (*key, scan)));
    }
    Ok(found)
}
