//! Resolves references to secrets: the only crate that runs a declared command.
