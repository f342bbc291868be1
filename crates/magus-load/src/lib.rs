//! From files, in a work tree or a git revision, to documents with spans; and edits that keep comments.
//!
//! All that knows YAML is here. This crate does not know what a key means: it finds the files of a directory of
//! declarations ([`load_directory`], [`load_revision`]), says what each is for ([`Role`]), parses it when asked
//! ([`Loaded::parse`]) and reports what is wrong with it as a file. One bad file never keeps another from being read.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may fail by panicking"))]

mod comments;
mod document;
pub mod edit;
mod load;
mod maps;
mod memory;
mod revision;
mod scalar;
mod syntax;
mod walk;
mod worktree;
mod yaml;

pub use comments::{Comment, CommentKind};
pub use document::{Document, File, LoadError, Loaded, Role};
pub use load::LARGEST_FILE;
pub use memory::load_texts;
pub use revision::{
    SourceRevision, Standing, ancestor, load_revision, merge_base, off_branch, source_revision, standings,
};
pub use worktree::load_directory;
pub use yaml::{DEEPEST, Parsed, parse};

#[cfg(test)]
mod tests;
