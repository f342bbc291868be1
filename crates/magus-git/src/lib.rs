//! The repository of the pipelines' code, read from git objects and without a work tree.
//!
//! A folder on this machine is read as it is. What git has to fetch, a bundle or a repository on the network, has one bare
//! mirror in the user's cache directory; only [`Place::open`] with [`Fetch::Now`] asks the network. Fetching runs the `git`
//! program, which knows everybody's credentials, proxies and keys. This crate knows no declaration and no environment: where
//! the cache is, is an argument.
//!
//! [`Remote`] is another repository, that of the declarations: records of what was done, on references of their own.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod branches;
mod code;
mod fetch;
mod files;
mod merge;
mod movement;
mod place;
mod push;
mod records;
#[cfg(test)]
mod testing;
mod tree;
mod unknown;
mod walk;

pub use branches::{Counts, Tracking};
pub use code::{Code, Lacking, NotFound};
pub use files::{Change, Entry, Files, Listing, files_at};
pub use merge::{Conflict, Merge};
pub use place::{Ask, Fetch, Place, Ssh, Unread, unbundle};
pub use push::{Lease, Unpushed, delete_branch, push};
pub use records::{Record, Remote};
pub use tree::{Manifest, Unwritten, write_tree};
pub use unknown::Unknown;
pub use walk::Unlisted;
