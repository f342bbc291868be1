//! Reads a database without a trace: nothing is created, locked for writing or changed, on any kind of medium.
//!
//! SQLite's own read-only mode is not enough for a database with a write-ahead log: it makes `-wal` and `-shm` files
//! where it can, and fails where it cannot. There are three cases instead:
//! - Without a log everything is in the one file, which is read as if it could not change; where it did change
//!   meanwhile, it is read again.
//! - With a log, because somebody is applying or was killed, SQLite reads both and keeps its index to itself.
//! - With a log without its index on a medium that cannot be written, a private copy is read.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    thread,
    time::Duration,
};

use magus_engine::EngineError;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::{folders::Folders, trouble};

/// How often a database that changes while it is read is read again.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// Why a query gave nothing.
#[derive(Debug)]
pub(crate) enum QueryError {
    /// SQLite said so.
    Sqlite(rusqlite::Error),
    /// What SQLite gave is no store.
    Store(EngineError),
}

impl From<rusqlite::Error> for QueryError {
    fn from(error: rusqlite::Error) -> Self {
        QueryError::Sqlite(error)
    }
}

impl From<EngineError> for QueryError {
    fn from(error: EngineError) -> Self {
        QueryError::Store(error)
    }
}

/// What a query finds in the database of a store; nothing where there is no database. The query runs in one read
/// transaction, possibly several times.
pub(crate) fn read<T>(
    folders: &Folders,
    query: impl Fn(&Connection) -> Result<T, QueryError>,
) -> Result<Option<T>, EngineError> {
    let database = folders.database();
    let stamp = |path: &Path| Stamp::of(path).map_err(|error| trouble::disk(path, "cannot be read", error));
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            thread::sleep(PAUSE);
        }
        let Some(before) = stamp(&database)? else { return Ok(None) };
        let log = stamp(&folders.write_ahead_log())?.filter(|log| log.length > 0);
        let outcome = match log {
            None => refuse_cut_off(&database).and_then(|()| run(&database, "immutable=1", &query)),
            Some(_) => run(&database, "mode=ro&readonly_shm=1", &query),
        };
        match outcome {
            // A log is read under SQLite's own locks, so that what it gives is one state.
            Ok(found) if log.is_some() => return Ok(Some(found)),
            Err(QueryError::Sqlite(error)) if log.is_some() && cannot_share(&error) => {
                match run_on_copy(folders, &before, log.as_ref(), &query) {
                    Ok(Some(found)) => return Ok(Some(found)),
                    Ok(None) => tracing::debug!("the store changed while it was copied"),
                    Err(error) => return Err(into_engine_error(&database, error)),
                }
            }
            outcome => {
                if stamp(&database)?.as_ref() == Some(&before) {
                    return outcome.map(Some).map_err(|error| into_engine_error(&database, error));
                }
                tracing::debug!(attempt, "the store changed while it was read");
            }
        }
    }
    Err(EngineError::new(
        magus_engine::EngineErrorKind::Io,
        format!("`{}` changes faster than it can be read", database.display()),
    )
    .help("wait for the apply that is under way, and run the command again"))
}

fn into_engine_error(database: &Path, error: QueryError) -> EngineError {
    match error {
        QueryError::Sqlite(error) => trouble::unreadable(database, error),
        QueryError::Store(error) => error,
    }
}

/// SQLite reads a file that lost its end as long as nothing there is asked for. The header says how long it was: the
/// size of a page at byte 16, their number at byte 28 (SQLite's file format, 1.3).
fn refuse_cut_off(database: &Path) -> Result<(), QueryError> {
    let unreadable = |error| QueryError::Store(trouble::disk(database, "cannot be read", error));
    let mut header = [0; 32];
    let mut file = File::open(database).map_err(unreadable)?;
    match file.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(trouble::damaged(database, "is not a database").into());
        }
        Err(error) => return Err(unreadable(error)),
    }
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let pages = u32::from_be_bytes([header[28], header[29], header[30], header[31]]);
    let length = file.metadata().map_err(unreadable)?.len();
    if header.starts_with(b"SQLite format 3\0") && length < page * u64::from(pages) {
        return Err(trouble::damaged(database, "is damaged: its end is missing").into());
    }
    Ok(())
}

/// What tells that a file was not written between two looks.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(Self {
                device: metadata.dev(),
                inode: metadata.ino(),
                length: metadata.len(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn run<T>(
    database: &Path,
    parameters: &str,
    query: impl Fn(&Connection) -> Result<T, QueryError>,
) -> Result<T, QueryError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(uri(database, parameters), flags)?;
    let transaction = connection.transaction()?;
    query(&transaction)
}

/// A `file:` URI, as SQLite reads it: bytes that mean something in it are encoded.
fn uri(path: &Path, parameters: &str) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut uri = String::from("file://");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                uri.push((*byte).into())
            }
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri.push('?');
    uri.push_str(parameters);
    uri
}

/// Whether the log cannot be read in its place: its index is missing, being made, or in need of repair.
fn cannot_share(error: &rusqlite::Error) -> bool {
    use ErrorCode::{CannotOpen, DatabaseBusy, FileLockingProtocolFailed, ReadOnly};
    error
        .sqlite_error_code()
        .is_some_and(|code| matches!(code, CannotOpen | DatabaseBusy | FileLockingProtocolFailed | ReadOnly))
}

/// Reads a copy in a private temporary folder; nothing where the files changed while they were copied.
fn run_on_copy<T>(
    folders: &Folders,
    database_stamp: &Stamp,
    log_stamp: Option<&Stamp>,
    query: impl Fn(&Connection) -> Result<T, QueryError>,
) -> Result<Option<T>, QueryError> {
    let (database, log) = (folders.database(), folders.write_ahead_log());
    let io_error =
        |error: io::Error| QueryError::Store(trouble::disk(&database, "cannot be copied to be read", error));
    let private = tempfile::tempdir().map_err(io_error)?;
    let copy = Folders::new(private.path());
    for (from, to) in [(&database, copy.database()), (&log, copy.write_ahead_log())] {
        match fs::copy(from, &to) {
            Ok(_) => crate::folders::make_writable(&to).map_err(io_error)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(error)),
        }
    }
    let unchanged = Stamp::of(&database).map_err(io_error)?.as_ref() == Some(database_stamp)
        && Stamp::of(&log).map_err(io_error)?.as_ref() == log_stamp;
    if !unchanged {
        return Ok(None);
    }
    let mut connection = Connection::open(copy.database())?;
    let transaction = connection.transaction()?;
    query(&transaction).map(Some)
}
