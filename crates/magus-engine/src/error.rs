//! Why a cluster could not be read, and how a step can end other than well.

use std::error::Error;

use magus_model::{Text, name::WorkspaceName};

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

    /// The same after the step has written something: the step is begun, whatever kept it from its end. `done` says what it did.
    #[must_use]
    pub fn after(self, done: &str) -> Self {
        match self {
            PerformError::Uncertain(message) => PerformError::Uncertain(message),
            PerformError::Failed(message)
            | PerformError::Moved(message)
            | PerformError::NotStarted(message) => {
                PerformError::Uncertain(format!("{done}, and then: {message}"))
            }
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

/// A step that is refused because it would lose uncommitted changes that its plan does not know of.
pub fn uncommitted(workspace: &WorkspaceName, paths: &[Text]) -> PerformError {
    let first = paths.first().map(Text::as_str).unwrap_or_default();
    let more = match paths.len().saturating_sub(1) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    PerformError::Moved(format!(
        "uncommitted changes in `{workspace}` would be lost: `{first}`{more}; commit and push them there, or plan again with \
         `--discard-changes {workspace}`"
    ))
}

/// A step that is refused because it may lose uncommitted changes, which cannot be read.
pub fn unchecked(workspace: &WorkspaceName, reason: &str) -> PerformError {
    PerformError::NotStarted(format!(
        "uncommitted changes in `{workspace}` cannot be checked: {reason}; plan again, or accept their loss with \
         `--discard-changes {workspace}`"
    ))
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
    fn after_a_write_no_error_says_that_nothing_changed() {
        for error in [PerformError::Failed("x".into()), PerformError::Moved("x".into())] {
            assert_eq!(error.after("stopped"), PerformError::Uncertain("stopped, and then: x".into()));
        }
        let uncertain = PerformError::Uncertain("x".into());
        assert_eq!(uncertain.clone().after("stopped"), uncertain);
    }

    #[test]
    fn a_changed_message_keeps_its_kind() {
        let moved = PerformError::Moved("a".into()).map_message(|text| text + "b");
        assert_eq!(moved, PerformError::Moved("ab".into()));
        assert_eq!(moved.message(), "ab");
    }
}
