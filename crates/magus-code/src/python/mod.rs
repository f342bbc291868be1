//! What Python code refers to. Parsed by ruff's parser, which goes on after an error; names are looked up as Python does, so that
//! `from os import environ as e` counts and a parameter called `environ` does not.
//!
//! Nothing is run and nothing is guessed: a name that the code makes while it runs is quoted.

mod branches;
mod calls;
mod expressions;
mod fate;
mod groups;
mod libraries;
mod literals;
mod names;
mod paths;
mod settings;
mod statements;
mod uses;
mod value;

use magus_model::Text;
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};

use crate::{
    reference::Reference,
    scan::{Fault, Scan},
};
use names::Names;

/// What is wrong with a file that nobody wrote by hand.
const TOO_DEEP: Text = Text::new_static("it is nested too deeply");

/// How many brackets may be open: since a line that begins a statement of the file, and in all, as far as a look at the signs alone
/// can tell.
const OPEN: u32 = 1_000;
const OPEN_IN_ALL: u32 = 20_000;
/// How many signs may stand before one another, as in `--1`.
const SIGNS: u32 = 20_000;
/// How many words a file may have that nest what follows them.
const NESTING_WORDS: usize = 100_000;

/// The byte at which a file is deeper than the parser should follow: it goes as deep as it is asked to, and each step costs memory.
/// No file that somebody wrote comes near; Python itself ends at 200 brackets.
fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_nesting = |byte: &&u8| matches!(byte, b'(' | b'[' | b'{' | b'+' | b'-' | b'~');
    if bytes.len() < NESTING_WORDS && bytes.iter().filter(is_nesting).count() < OPEN as usize {
        return None;
    }
    let (mut open, mut in_all, mut signs) = (0_u32, 0_u32, 0_u32);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => (open, in_all) = (open + 1, in_all + 1),
            b')' | b']' | b'}' => (open, in_all) = (open.saturating_sub(1), in_all.saturating_sub(1)),
            b'\n' if bytes.get(at + 1).is_some_and(|next| next.is_ascii_alphabetic() || *next == b'@') => {
                open = 0
            }
            _ => {}
        }
        match byte {
            b'+' | b'-' | b'~' => signs += 1,
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => signs = 0,
        }
        if open > OPEN || in_all > OPEN_IN_ALL || signs > SIGNS {
            return Some(at);
        }
    }
    let words = ["not ", "lambda", "await ", "else ", "**"]
        .iter()
        .map(|word| text.matches(word).count())
        .sum::<usize>();
    (words > NESTING_WORDS).then_some(0)
}

/// Reads a file.
pub(crate) fn scan(text: &str) -> Scan {
    let lines = Lines::new(text);
    if let Some(at) = too_deep(text) {
        let (line, column) = lines.place(at);
        return Scan { fault: Some(Fault { line, column, what: TOO_DEEP }), ..Scan::default() };
    }
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
    let found = uses::uses(module, &names, &lines);
    scan.words = crate::words::ordered([names.words.clone(), found.words].concat());
    scan.imports.extend(found.imports);
    scan.imports.sort();
    scan.imports.dedup();
    scan.loads = found.loads;
    scan.keys = found.keys;
    scan.hands_on_profile = found.hands_on_profile;
    scan.references = found.references;
    if let Some(too_deep) = names.too_deep {
        scan.fault = fault(too_deep.start().to_usize(), TOO_DEEP);
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

/// A longer line, in bytes, is none that somebody reads.
pub(crate) const LONGEST_LINE: usize = 16 << 10;

/// Where lines begin.
pub(crate) struct Lines<'t> {
    text: &'t str,
    is_ascii: bool,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, is_ascii: text.is_ascii(), starts: std::iter::once(0).chain(ends).collect() }
    }

    /// The line and the column in characters of a byte, both from 1.
    pub(crate) fn place(&self, byte: usize) -> (u32, u32) {
        let line = self.starts.partition_point(|start| *start <= byte).max(1);
        let start = self.starts[line - 1];
        let before = self.text.get(start..byte).unwrap_or_default();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        // In a line that nobody reads, bytes are good enough: counting from its start for each place would not end.
        let column =
            if self.is_ascii || before.len() > LONGEST_LINE { before.len() } else { before.chars().count() };
        (number(line), number(column + 1))
    }
}

/// Orders references and drops what is there twice.
pub(crate) fn ordered(mut references: Vec<Reference>) -> Vec<Reference> {
    references.sort();
    references.dedup();
    references
}
