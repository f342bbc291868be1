//! Plain data that every stage of Magus shares.
//!
//! This crate knows no file system, no YAML syntax, no engine and no clock. It names things: where a value
//! was written ([`span`]), what a document says ([`tree`], [`files`]), what should be ([`desired`]), what is
//! ([`observed`]), what would be done ([`plan`]), what was done ([`report`]) and what is wrong ([`diagnostic`]).

pub mod desired;
pub mod diagnostic;
pub mod files;
pub mod name;
pub mod observed;
pub mod path;
pub mod plan;
pub mod quantity;
pub mod report;
pub mod rules;
pub mod span;
pub mod suggest;
pub mod tree;
pub mod value;

/// Short, cheaply cloned text: keys, names and most values fit without an allocation.
pub use smol_str::SmolStr as Text;
