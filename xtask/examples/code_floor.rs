//! The floor of every look into code: read all Python files of a branch from git objects and parse them, and nothing else.
//!
//! `cargo xtask bench` runs it next to the product, with the same parser, allocator and number of threads.

use std::process::ExitCode;

use magus_git::{Ask, Fetch, Place, Ssh};
use rayon::prelude::*;
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// No file of the corpus is larger.
const LARGEST: usize = 1 << 20;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (Some(repository), Some(branch)) = (words.next(), words.next()) else { return ExitCode::FAILURE };
    match parse_all(&repository, &branch) {
        Some(parsed) if parsed > 0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// How many files were parsed.
fn parse_all(repository: &str, branch: &str) -> Option<usize> {
    let ask = Ask { cache: None, fetch: Fetch::Never, ssh: Ssh::Usual };
    let code = Place::parse(repository).ok()?.open(ask).ok()?;
    let files = code.files(&code.head(branch).ok()??, ".").ok()??;
    let python = files.list().ok()?.entries.into_iter().filter(|entry| entry.path.ends_with(".py"));
    let texts: Vec<Vec<u8>> = python.filter_map(|entry| files.content(entry.id, LARGEST).ok()?).collect();
    let parsed = texts.par_iter().filter(|text| {
        let text = String::from_utf8_lossy(text);
        parse_unchecked(&text, ParseOptions::from(Mode::Module)).errors().is_empty()
    });
    Some(parsed.count())
}
