//! Plans, reports and diagnostics as text, JSON, Markdown, HTML, SARIF and the other formats.
//!
//! Every function here takes data and returns text. Nothing is printed, read or asked for, and whether there are
//! colours is decided by the caller with [`Styles`]. Whatever comes out of a declaration, a cluster or a commit is
//! hostile until [`escape::line`], or the escape of its format, has seen it: names, values and messages can neither
//! move a cursor nor close a fence, ping a person or begin a tag.
//!
//! What is absent: engines, git, the file system, the clock, and any value of a secret.

pub mod apply;
mod causes;
pub mod drift;
pub mod escape;
pub mod explain;
pub mod faults;
pub mod history;
mod json;
pub mod lint;
mod matrix;
pub mod plan;
pub mod promote;
pub mod refs;
pub mod rollback;
pub mod side_by_side;
pub mod stale;
pub mod status;
pub mod style;
mod table;
pub mod triggers;
mod words;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use style::Styles;
