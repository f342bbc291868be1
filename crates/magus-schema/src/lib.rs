//! The JSON Schemas of our files, made from the model's types, and what a document does against them.
//!
//! The schemas are draft-07 without `oneOf`, `anyOf` and `allOf`, so that editors complete, explain and complain
//! precisely. They lie in `schemas/`, are built into the binary, and are checked against the types by a test.
//! This crate knows one document at a time: no layers, no other files, no file system.

mod explain;
mod generate;
mod guess;
mod instance;
mod kinds;
mod place;

mod unknown;
mod validate;
mod wrong_type;

pub use generate::generate;
pub use kinds::{SchemaKind, text, version};
pub use validate::{check_decode, validate};

#[cfg(test)]
mod tests;
