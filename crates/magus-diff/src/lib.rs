//! Desired, observed and last applied: what differs, by meaning, and why.
//!
//! Everything here is a plain function from data to data: no engine, no file, no clock, no policy. What is to
//! be done about a difference is the planner's business.
//!
//! - [`meaning`]: when two values are the same, and the digest that a mark remembers of one;
//! - [`change`]: the differences of a whole directory of declarations;
//! - [`diff()`]: finds them;
//! - [`lines`]: the difference of two texts, to be drawn;
//! - [`declared`]: two declared workspaces side by side.

pub mod change;
mod compare;
pub mod declared;
mod diff;
mod join;
pub mod lines;
pub mod meaning;
mod rename;

pub use change::{
    Change, ChangeSet, Claim, ClusterChanges, CodeChange, Conflict, HIDDEN, Removed, RenameHint, Update,
    WorkspaceChange,
};
pub use compare::{code_digest, code_path, expected_mark, observed_source};
pub use declared::{Row, compare_declared, same_declared};
pub use diff::{diff, diff_recalled};
pub use lines::{Hunk, HunkKind, line_diff};
pub use magus_model::secrecy::may_be_secret;
pub use meaning::{digest, is_more, keyed_digest, same};
