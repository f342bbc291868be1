//! What a Mage project consists of at a commit, and what its code refers to, from git objects: pipelines, their blocks and
//! triggers; variables, secrets and profiles with the place of each; and what lies between two commits in these words.
//!
//! The layout is that of Mage 0.9.80: a pipeline is a folder of `pipelines/` with a `metadata.yaml`, and possibly a
//! `triggers.yaml`; a block is a file in the folder of its type. What cannot be read is a fault at a place, and no error: people
//! deploy it nevertheless, and the rest is told as well as can be. Nothing is run, and nothing is guessed.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod cache;
pub mod cron;
mod jinja;
mod layout;
mod movement;
mod needs;
mod pipeline;
mod project;
mod providers;
mod python;
mod reach;
mod reference;
mod requirements;
mod scan;
mod template;
#[cfg(test)]
mod tests;
mod triggers;
mod words;

pub use layout::{Folder, Layout, layout};
pub use movement::Between;
pub use needs::{Found, Need, Needs, Undecidable};
pub use pipeline::Pipeline;
pub use project::{Place, Project, Projects};
pub use reference::{Fallback, Kind, Missing, Name, Reference};
pub use scan::{Fault, Profile, Scan, scan_file};
pub use triggers::{ENVS, Trigger, env_of};
