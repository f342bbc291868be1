//! Layers, names and cross-file rules: from documents to the desired state with origins.
//!
//! [`resolve`] lays the layers of every workspace over one another and checks what one file alone cannot tell;
//! [`explain`] shows where the values of one workspace come from. This crate reads no file, knows no YAML syntax and
//! no engine, and never reads a secret.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may fail by panicking"))]

mod directory;
mod explain;
mod layer;
mod lint;
mod names;
mod placeholder;
mod resolve;
mod rules;
mod scope;
mod settle;
mod stages;
mod suggest;
mod value;

#[cfg(test)]
mod resolve_tests;
#[cfg(test)]
mod testing;

pub use explain::{ExplainError, Explained, Explanation, Overridden, explain};
pub use lint::Lint;
pub use resolve::{Resolution, resolve};
pub use rules::files::{SchemaFile, check_modelines};
pub use settle::{Lowered, Settled, settle};
