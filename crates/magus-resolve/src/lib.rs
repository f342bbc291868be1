//! Layers, names and cross-file rules: from documents to the desired state with origins.
//!
//! [`resolve`] lays the layers of every workspace over one another and checks what one file alone cannot tell;
//! [`settle`] decides which findings stay, [`explain`] shows where the values of one workspace come from, and
//! [`import_layer`] goes the other way, from a workspace to its declaration. This crate reads no file but the time zones of the
//! system, knows no YAML syntax and no engine, and never reads a secret.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may fail by panicking"))]

mod branches;
mod check_code;
mod deploy;
mod directory;
mod explain;
mod gates;
mod import;
mod layer;
mod lint;
mod main_server;
mod names;
mod placeholder;
mod resolve;
mod rules;
mod scope;
mod settle;
mod stages;
mod sync;
mod value;

#[cfg(test)]
mod tests;

use magus_model::suggest;

pub use branches::{BranchFacts, BranchNames, TakenNames};
pub use check_code::check_code;
pub use explain::{ExplainError, Explained, Explanation, Overridden, explain};
pub use import::{ImportError, Imported, import_layer};
pub use lint::Lint;
pub use resolve::{FileComments, Resolution, resolve};
pub use rules::{
    code::{DeclaredCode, DeclaredRepository, Heads, LookedUp, Revision, look_up_code},
    files::{SchemaFile, check_modelines},
    needs::{has, lacking, path_of},
    references::{Running, Stage, UnreadCode, declared_commit, lacking_now, named, stages, would_lack},
    triggers::runs_in,
};
pub use settle::{Lowered, Settled, settle};
