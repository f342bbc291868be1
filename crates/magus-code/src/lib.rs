//! What a Mage project consists of at a commit, from git objects: pipelines, their blocks and triggers; and what lies between
//! two commits in these words.
//!
//! The layout is that of Mage 0.9.80: a pipeline is a folder of `pipelines/` with a `metadata.yaml`, and possibly a
//! `triggers.yaml`; a block is a file in the folder of its type. What cannot be read is no pipeline, and no error: people deploy
//! it nevertheless, and what is touched is told as well as can be.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod movement;
mod pipeline;
mod requirements;
#[cfg(test)]
mod tests;

pub use movement::Projects;
