//! The embedded engine: a SQLite store and a folder for every workspace.
