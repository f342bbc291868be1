//! Resolves references to secrets, and keeps their values out of every text.
//!
//! Only apply, after review, resolves anything: nothing that lints or plans depends on this crate. It is the only one
//! that may run a command that a declaration names. It knows no workspace, no engine and no plan; the environment of
//! the process comes in as a function.

mod command;
mod error;
mod redact;
mod resolver;
mod value;

pub use error::{Fault, SecretError};
pub use resolver::{Environment, Resolver};
pub use value::SecretValue;

/// The longest value, in bytes.
pub const LONGEST_VALUE: usize = 1024 * 1024;
