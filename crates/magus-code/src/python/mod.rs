//! What Python code refers to. Parsed by ruff's parser, which goes on after an error; names are looked up as Python does, so that
//! `from os import environ as e` counts and a parameter called `environ` does not.
//!
//! Nothing is run and nothing is guessed: a name that the code makes while it runs is quoted.

mod names;
mod uses;

use magus_model::Text;
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};

use crate::{
    reference::Reference,
    scan::{Fault, Scan},
};
use names::Names;

/// How far an expression is followed to what it comes to.
const FURTHEST: u32 = 32;

/// Reads a file.
pub(crate) fn scan(text: &str) -> Scan {
    let lines = Lines::new(text);
    let parsed = parse_unchecked(text, ParseOptions::from(Mode::Module));
    let fault = |at: usize, what: Text| {
        let (line, column) = lines.place(at);
        Some(Fault { line, column, what })
    };
    let mut scan = Scan::default();
    let first = parsed.errors().iter().min_by_key(|error| error.location.start());
    if let Some(error) = first {
        scan.fault = fault(
            error.location.start().to_usize(),
            format!("it is no valid Python, {}", reason(error)).into(),
        );
    }
    let Some(module) = parsed.syntax().as_module() else { return scan };
    let names = Names::read(module, text);
    scan.imports = names.imports();
    scan.references = uses::references(&names, &lines);
    if let Some(too_deep) = names.too_deep {
        scan.fault = fault(too_deep.start().to_usize(), Text::new_static("it is nested too deeply"));
        // Giving such a tree back would recurse over all of it.
        std::mem::forget(parsed);
    }
    scan
}

/// What the parser says, as the end of a sentence.
fn reason(error: &ruff_python_parser::ParseError) -> String {
    let text = error.error.to_string();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
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
