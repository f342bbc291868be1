//! Why a command ended as it did: one table of exit codes, and errors with what to do next.

use std::fmt::Write as _;

/// How a command ended. The order is that of DESIGN.md 3: of several, the first that holds is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 64: wrong usage.
    Usage,
    /// 1: invalid input, or findings of severity error; nothing was sent.
    Invalid,
    /// 3: something failed, is uncertain or was not started.
    Incomplete,
    /// 5: a cluster could not be read, or left something unknown.
    Unreachable,
    /// 4: refused by a guard.
    Refused,
    /// 2: changes present.
    Changes,
    /// 0: done, nothing wrong.
    Done,
}

impl Exit {
    /// The process' exit code.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Invalid => 1,
            Exit::Changes => 2,
            Exit::Incomplete => 3,
            Exit::Refused => 4,
            Exit::Unreachable => 5,
            Exit::Usage => 64,
        }
    }

    /// The one that is reported of two.
    #[must_use]
    pub fn or(self, other: Exit) -> Exit {
        self.min(other)
    }
}

/// A command that could not do its work.
#[derive(Debug)]
pub struct CommandError {
    /// Whose fault it is, as an exit code.
    pub exit: Exit,
    /// What happened: the fact, in lower case, without a full stop.
    pub message: String,
    /// Its cause, printed once, as a chain.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// What to do next; each a sentence or a whole command.
    pub hints: Vec<String>,
}

impl CommandError {
    /// An error without a cause.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), source: None, hints: Vec::new() }
    }

    /// An error whose cause says it all.
    pub fn from_error(exit: Exit, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let _ = write!(message, ": {cause}");
            source = cause.source();
        }
        Self::new(exit, message)
    }

    /// Names the cause.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The whole message for people, without styles and with every cause once.
    pub fn describe(&self) -> String {
        let mut text = format!("error: {}", self.message);
        let mut source: Option<&dyn std::error::Error> = self.source.as_deref().map(|e| e as _);
        while let Some(cause) = source {
            let _ = write!(text, "\n  caused by: {cause}");
            source = cause.source();
        }
        for hint in &self.hints {
            let _ = write!(text, "\n  help: {hint}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_holds_of_the_table_is_reported() {
        let order = [
            Exit::Usage,
            Exit::Invalid,
            Exit::Incomplete,
            Exit::Unreachable,
            Exit::Refused,
            Exit::Changes,
            Exit::Done,
        ];
        assert_eq!(order.map(Exit::code), [64, 1, 3, 5, 4, 2, 0]);
        assert!(
            order.windows(2).all(|pair| pair[0].or(pair[1]) == pair[0] && pair[1].or(pair[0]) == pair[0])
        );
    }
}
