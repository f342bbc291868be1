//! The embedded engine: a SQLite store and a folder for every workspace, on this machine.
//!
//! [`Store::observer`] reads and leaves no trace, not even on a writable disk; [`Store::open`] locks the store, repairs
//! what an interrupted apply left, and performs steps. `docs/local-engine.md` describes the store for people.
//!
//! It knows no plan and no order of steps. Values of secrets are in the `.env` files of the workspaces and nowhere
//! else; the environment, the clock and who applies come in as arguments.

mod access;
mod capabilities;
mod code;
mod dotenv;
mod fingerprint;
mod folders;
mod intents;
mod lock;
mod observe;
mod perform;
mod record;
mod row;
mod schema;
#[cfg(test)]
mod secrets_tests;
mod store;
#[cfg(test)]
mod testing;
mod trouble;
mod variables;

pub use lock::Holder;
pub use observe::Observer;
pub use store::{Clock, OpenRequest, Store};
