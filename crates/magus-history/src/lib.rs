//! What was done to a cluster, entry after entry, and the lock that keeps two from changing it at once.
//!
//! Entries are kept on this machine in a [`Store`] and, where the declarations name a remote of their repository, on a
//! reference of it, `refs/magus/CLUSTER`: one commit an entry, appended by compare-and-swap. The lock is a reference beside
//! it, `refs/magus-locks/CLUSTER`. Nothing that Magus decides about workspaces rests on either: a history may be lost, and
//! what gates look for in it is then not there.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod history;
mod lock;
mod store;

pub use history::{History, HistoryError, Recorded};
pub use lock::{Claim, Lock, LockError, locks, release};
pub use store::{Store, StoreError};

/// Where the entries of a cluster are, on a remote. Names of clusters are names of references (MG101).
fn entries(cluster: &str) -> String {
    format!("refs/magus/{cluster}")
}

/// Where the lock of a cluster is, on a remote: not below its entries, where no other reference can be.
fn lock_of(cluster: &str) -> String {
    format!("refs/magus-locks/{cluster}")
}
