//! Why a cluster could not be read, and how a step can end other than well.

use std::error::Error;

/// A cluster, or its store, cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// What kind of trouble it is: decides the exit code.
    pub kind: EngineErrorKind,
    /// The fact: lower case, no full stop, without the text of the source.
    pub message: String,
    /// What to do, with the next command where there is one.
    pub help: Option<String>,
    /// What the system said.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// What keeps a cluster from being used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineErrorKind {
    /// It did not answer.
    Unreachable,
    /// It refused the login, or the permission.
    Refused,
    /// What it holds cannot be trusted. It was left as it is.
    Damaged,
    /// A newer Magus made it. It was left as it is.
    NewerVersion,
    /// Somebody else is applying.
    Locked {
        /// Who, as far as is known.
        holder: String,
    },
    /// The machine failed: a full disk, a folder without permission.
    Io,
}

impl EngineError {
    /// An error without a source.
    pub fn new(kind: EngineErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), help: None, source: None }
    }

    /// The same with what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with what the system said.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// How a step ended that is not known to be done. The messages are redacted, and complete: they have no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PerformError {
    /// It was not done, and nothing changed.
    #[error("{0}")]
    Failed(String),
    /// It was begun and not seen to be done: the next run looks again.
    #[error("{0}")]
    Uncertain(String),
    /// It was not begun: its precondition no longer holds.
    #[error("{0}")]
    Moved(String),
    /// It was not begun, because it has to wait for something that takes longer than it may wait. Nothing is wrong with
    /// it, and a later run may do it.
    #[error("{0}")]
    NotStarted(String),
}

impl PerformError {
    /// The message.
    pub fn message(&self) -> &str {
        match self {
            PerformError::Failed(message)
            | PerformError::Uncertain(message)
            | PerformError::Moved(message)
            | PerformError::NotStarted(message) => message,
        }
    }

    /// The same with another message, such as a redacted one.
    #[must_use]
    pub fn map_message(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            PerformError::Failed(message) => PerformError::Failed(change(message)),
            PerformError::Uncertain(message) => PerformError::Uncertain(change(message)),
            PerformError::Moved(message) => PerformError::Moved(change(message)),
            PerformError::NotStarted(message) => PerformError::NotStarted(change(message)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_source_is_not_in_the_message() {
        let error = EngineError::new(EngineErrorKind::Io, "`a` cannot be read")
            .help("look at it")
            .caused_by(std::io::Error::other("disk on fire"));
        assert_eq!(error.to_string(), "`a` cannot be read");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("disk on fire"));
    }

    #[test]
    fn a_changed_message_keeps_its_kind() {
        let moved = PerformError::Moved("a".into()).map_message(|text| text + "b");
        assert_eq!(moved, PerformError::Moved("ab".into()));
        assert_eq!(moved.message(), "ab");
    }
}
