//! What the schemas say about whole documents.

mod agreement;
mod budget;
mod schemas;
mod violations;

use magus_load::parse;
use magus_model::{
    span::{FileId, SourceFile, Sources},
    tree::Node,
};

/// A document and its source.
fn document(yaml: &str) -> (Node, Sources) {
    let parsed = parse(FileId(0), yaml);
    assert!(parsed.diagnostics.is_empty(), "{:?}\n{yaml}", parsed.diagnostics);
    let root = parsed.root.expect("a test writes valid YAML");
    (root, Sources::new(vec![SourceFile::new("test.yaml", yaml)]))
}
