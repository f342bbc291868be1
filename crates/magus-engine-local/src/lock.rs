//! One apply at a time: a lock on a file that the system lets go with the process, and the name of its holder for the
//! message to everybody else.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use magus_engine::{EngineError, EngineErrorKind};

use crate::trouble;

/// How often a lock that somebody holds is tried again.
const POLL: Duration = Duration::from_millis(50);

/// Who applies, and what.
#[derive(Debug, Clone)]
pub struct Holder {
    /// The person or machine: `ana`.
    pub actor: String,
    /// The machine.
    pub host: String,
    /// The command: `magus apply`.
    pub operation: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = |text: &str| text.chars().filter(|c| !c.is_control()).take(200).collect::<String>();
        write!(f, "`{}` by {}@{}", line(&self.operation), line(&self.actor), line(&self.host))
    }
}

/// A lock that is held as long as this lives.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock, waiting for it at most so long.
    pub(crate) fn take(
        path: &Path,
        holder: &Holder,
        now: Timestamp,
        wait: Duration,
    ) -> Result<Self, EngineError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| trouble::disk(path, "cannot be written", error))?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if started.elapsed() < wait => thread::sleep(POLL),
                Err(TryLockError::WouldBlock) => return Err(locked(path)),
                Err(TryLockError::Error(error)) => {
                    return Err(trouble::disk(path, "cannot be locked", error));
                }
            }
        }
        let text = format!("{holder}, since {now:.0}, process {}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(|error| trouble::disk(path, "cannot be written", error))?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    /// The text is only there while somebody holds the lock. The system would let it go with the last copy of the
    /// open file, which a program that is just being started has too.
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

fn locked(path: &Path) -> EngineError {
    let holder = fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let holder = if holder.is_empty() { "another apply".to_owned() } else { holder };
    let message = format!("`{}` is held by {holder}", path.display());
    EngineError::new(EngineErrorKind::Locked { holder }, message)
        .help("wait until it has ended, and run the command again")
}
