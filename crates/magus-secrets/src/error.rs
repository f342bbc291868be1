//! Why a secret could not be resolved. No part of a value, and nothing that a command wrote, is in here.

use std::{io, sync::Arc, time::Duration};

use crate::LONGEST_VALUE;

/// A secret could not be resolved.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{subject} {fault}")]
pub struct SecretError {
    /// Where the value should have come from: "environment variable `API_KEY`".
    pub subject: String,
    /// What is wrong with it.
    pub fault: Fault,
    /// What the system said.
    pub source: Option<Arc<io::Error>>,
}

/// What is wrong with the source of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The environment has no such variable.
    NotSet,
    /// There is no such file.
    NoFile,
    /// A folder, a pipe or a device stands where a file should be.
    NotRegular,
    /// The file cannot be read.
    Unreadable,
    /// The command has no words.
    NoProgram,
    /// There is no such program.
    ProgramNotFound,
    /// The folder in which the command should run does not exist.
    NoFolder(String),
    /// The system did not start the program.
    NotStarted,
    /// The program ended with a failure.
    Exit {
        /// How it ended: `exit status: 1`, `signal: 9 (SIGKILL)`.
        status: String,
        /// How many bytes it wrote to stderr. They may hold secrets, so that nobody sees them.
        stderr_bytes: usize,
    },
    /// The program did not end in time, and was stopped.
    TimedOut(Duration),
    /// The value is longer than [`LONGEST_VALUE`].
    TooLong,
    /// The value is empty. In CI that is what a secret that does not exist looks like.
    Empty,
    /// The value is not UTF-8.
    NotText,
    /// There is a NUL byte in the value, which no environment variable can hold.
    Nul,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::NotSet => f.write_str("is not set"),
            Fault::NoFile => f.write_str("does not exist"),
            Fault::NotRegular => f.write_str("is not a regular file"),
            Fault::Unreadable => f.write_str("cannot be read"),
            Fault::NoProgram => f.write_str("names no program"),
            Fault::ProgramNotFound => f.write_str("was not found"),
            Fault::NoFolder(folder) => write!(f, "cannot run, because its folder `{folder}` does not exist"),
            Fault::NotStarted => f.write_str("could not be started"),
            Fault::Exit { status, stderr_bytes: 0 } => {
                write!(f, "failed with {status} and wrote nothing to stderr")
            }
            Fault::Exit { status, stderr_bytes } => write!(
                f,
                "failed with {status}; the {stderr_bytes} bytes that it wrote to stderr are not shown, because \
                 they may hold secrets"
            ),
            Fault::TimedOut(limit) => {
                write!(f, "did not end within {} s and was stopped", limit.as_secs_f32())
            }
            Fault::TooLong => write!(f, "gave more than {LONGEST_VALUE} bytes"),
            Fault::Empty => f.write_str("gave an empty value"),
            Fault::NotText => f.write_str("gave a value that is not UTF-8"),
            Fault::Nul => f.write_str("gave a value with a NUL byte in it"),
        }
    }
}

impl SecretError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self.fault {
            Fault::NotSet => "set it where `magus apply` runs",
            Fault::NoFile | Fault::NotRegular | Fault::Unreadable => {
                "the path is relative to the directory of the declarations, and read where `magus apply` runs"
            }
            Fault::NoProgram => "give the program as the first word: `command: [sops, -d, secrets.enc.yaml]`",
            Fault::ProgramNotFound | Fault::NotStarted => {
                "install the program where `magus apply` runs; a name without `/` is looked up in PATH, and no shell reads it"
            }
            Fault::NoFolder(_) => "a command runs in the folder of the file that names it",
            Fault::Exit { .. } => {
                "run it by hand in the folder of the file that names it, to see what it says"
            }
            Fault::TimedOut(_) => "a command must not ask for anything: it has no input and no terminal",
            Fault::TooLong | Fault::NotText | Fault::Nul => {
                "a secret is one text; encode what is not, for instance as base64"
            }
            Fault::Empty => "give it a value; CI passes an empty one where its own secret does not exist",
        }
    }

    /// The fact, and what the system said.
    pub fn fact(&self) -> String {
        match &self.source {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }

    /// Fact, what the system said, and what to do, in one line.
    pub fn explain(&self) -> String {
        format!("{}; {}", self.fact(), self.help())
    }
}
