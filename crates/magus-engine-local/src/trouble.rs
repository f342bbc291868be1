//! Errors of the database and the disk, put into words.

use std::{error::Error, io, path::Path};

use magus_engine::{EngineError, EngineErrorKind, PerformError};
use rusqlite::{Error as SqliteError, ErrorCode};

/// SQLite's extended code for a file that ends in the middle of a page.
const SHORT_READ: i32 = rusqlite::ffi::SQLITE_IOERR_SHORT_READ;

/// A database that cannot be read, in words.
pub(crate) fn unreadable(database: &Path, error: SqliteError) -> EngineError {
    let shown = database.display();
    let code = error.sqlite_error().map(|error| (error.code, error.extended_code));
    match code {
        Some((ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _)) => {
            EngineError::new(EngineErrorKind::Io, format!("`{shown}` is locked by another program"))
                .help("end the program that has it open, such as `sqlite3`, and run the command again")
        }
        Some((ErrorCode::NotADatabase, _)) => damaged(database, "is not a database"),
        Some((ErrorCode::DatabaseCorrupt, _) | (_, SHORT_READ)) => damaged(database, "is damaged"),
        Some((ErrorCode::Unknown, _)) | None => damaged(database, "does not have the tables of a store"),
        Some(_) => EngineError::new(EngineErrorKind::Io, format!("`{shown}` cannot be read"))
            .help("look at the permissions of the file and of its folder"),
    }
    .caused_by(error)
}

/// A database that must not be used, and was left as it is.
pub(crate) fn damaged(database: &Path, what: &str) -> EngineError {
    EngineError::new(EngineErrorKind::Damaged, format!("`{}` {what}", database.display())).help(
        "it was left as it is; put a copy from a backup in its place, or move the whole folder of the store away to \
         begin anew with `magus apply`",
    )
}

/// A file or folder that failed.
pub(crate) fn disk(path: &Path, what: &str, error: io::Error) -> EngineError {
    EngineError::new(EngineErrorKind::Io, format!("`{}` {what}", path.display()))
        .help("look at the permissions, and at the space that is left on the disk")
        .caused_by(error)
}

/// A step that was not done.
pub(crate) fn failed(what: impl std::fmt::Display, error: &(dyn Error + 'static)) -> PerformError {
    let mut message = what.to_string();
    let mut next = Some(error);
    while let Some(error) = next {
        message.push_str(": ");
        message.push_str(&error.to_string());
        next = error.source();
    }
    PerformError::Failed(message)
}
