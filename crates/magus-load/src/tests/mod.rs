//! Tests of loading as a whole; tables where a table says it.

mod edits;
mod files;
mod git;
mod properties;
mod syntax;
mod tree;

use magus_model::span::{FileId, SourceFile, Sources};

use crate::{Loaded, Parsed, parse};

/// The findings of a text as `CODE line:column-line:column`, ordered.
fn findings(text: &str) -> Vec<String> {
    let parsed = parse(FileId(0), text);
    let sources = Sources::new(vec![SourceFile::new("a.yaml", text)]);
    let mut found: Vec<_> = parsed
        .diagnostics
        .iter()
        .map(|diagnostic| {
            let at = diagnostic.locate(&sources);
            format!("{} {}:{}-{}:{}", at.code, at.line, at.column, at.end_line, at.end_column)
        })
        .collect();
    found.sort();
    found
}

/// The tree of a text that is expected to parse without a finding.
fn tree(text: &str) -> magus_model::tree::Node {
    let Parsed { root, diagnostics, .. } = parse(FileId(0), text);
    assert!(diagnostics.is_empty(), "{text:?}: {diagnostics:?}");
    root.unwrap()
}

/// The findings of a directory and of its texts as `file:line:column CODE`, in the order of the files.
fn located(loaded: &Loaded) -> Vec<String> {
    let show = |diagnostic: &magus_model::diagnostic::Diagnostic| {
        let at = diagnostic.locate(&loaded.sources);
        format!("{}:{}:{} {}", at.file, at.line, at.column, at.code)
    };
    let mut found = loaded.diagnostics.clone();
    found.extend(loaded.files.iter().flat_map(|file| loaded.parse(file).diagnostics));
    found.sort_by_key(|diagnostic| diagnostic.span.file);
    found.iter().map(show).collect()
}
