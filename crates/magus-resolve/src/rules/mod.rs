//! The rules that need more than the schema: about layers, texts, whole files, and workspaces with all layers applied.
//!
//! A finding whose cause is in a shared layer is reported once, at that place.

pub(crate) mod clusters;
pub(crate) mod code;
pub(crate) mod compare;
pub(crate) mod container;
pub(crate) mod databases;
pub(crate) mod expansion;
pub(crate) mod files;
pub(crate) mod images;
mod in_git;
pub(crate) mod layers;
pub(crate) mod needs;
mod projects;
pub(crate) mod references;
pub(crate) mod server;
pub(crate) mod texts;
pub(crate) mod triggers;
mod version;
pub(crate) mod workspaces;
