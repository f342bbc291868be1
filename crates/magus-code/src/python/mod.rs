//! What Python code refers to. Parsed by tree-sitter, which goes on after an error; names are looked up as Python does, so that
//! `from os import environ as e` counts and a parameter called `environ` does not.
//!
//! Nothing is run and nothing is guessed: a name that the code makes while it runs is quoted.

mod names;
mod uses;

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use magus_model::Text;
use tree_sitter::{Node, ParseOptions, ParseState, Parser, Tree};

use crate::{
    reference::Reference,
    scan::{Fault, Scan},
};
use names::Names;

/// A file that takes longer to parse is none that somebody wrote.
const LONGEST: Duration = Duration::from_secs(10);

/// How deeply an expression is followed.
const DEEPEST: u32 = 32;

/// Reads a file.
pub(crate) fn scan(text: &str) -> Scan {
    let mut scan = Scan::default();
    let Some(tree) = parse(text) else {
        scan.fault = Some(Fault { line: 1, column: 1, what: Text::new_static("it takes too long to parse") });
        return scan;
    };
    let lines = Lines::new(text);
    let root = tree.root_node();
    if root.has_error() {
        let node = first_error(root);
        let (line, column) = lines.place(node.start_byte());
        scan.fault = Some(Fault { line, column, what: Text::new_static("it is no valid Python") });
    }
    let names = Names::read(root, text);
    scan.imports = names.imports();
    scan.references = uses::references(&names, &lines);
    scan
}

fn parse(text: &str) -> Option<Tree> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_python::LANGUAGE.into()).ok()?;
    let begin = Instant::now();
    let mut watch = |_: &ParseState| {
        if begin.elapsed() > LONGEST { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let bytes = text.as_bytes();
    let mut read = |at: usize, _| bytes.get(at..).unwrap_or_default();
    parser.parse_with_options(&mut read, None, Some(ParseOptions::new().progress_callback(&mut watch)))
}

/// The first place that is no Python, or lacks something.
fn first_error(root: Node<'_>) -> Node<'_> {
    let mut node = root;
    while !node.is_error() && !node.is_missing() {
        let mut cursor = node.walk();
        let Some(next) = node.children(&mut cursor).find(|child| child.has_error() || child.is_missing())
        else {
            break;
        };
        node = next;
    }
    node
}

/// Where lines begin.
pub(crate) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(ends).collect() }
    }

    /// The line and the column in characters of a byte, both from 1.
    pub(crate) fn place(&self, byte: usize) -> (u32, u32) {
        let line = self.starts.partition_point(|start| *start <= byte).max(1);
        let start = self.starts[line - 1];
        let before = self.text.get(start..byte).unwrap_or_default();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        (number(line), number(before.chars().count() + 1))
    }
}

/// Orders references and drops what is there twice.
pub(crate) fn ordered(mut references: Vec<Reference>) -> Vec<Reference> {
    references.sort();
    references.dedup();
    references
}
