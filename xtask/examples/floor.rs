//! The floor of every command: walk a directory, read its files and parse them to spanned trees, and nothing else.
//!
//! `cargo xtask bench` runs it next to the product, with the same parser, allocator and number of threads.

use std::{fs, io, path::Path, path::PathBuf, process::ExitCode, sync::Arc};

use magus_model::span::FileId;
use rayon::prelude::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1) else { return ExitCode::FAILURE };
    let mut files = Vec::new();
    if walk(Path::new(&directory), &mut files).is_err() {
        return ExitCode::FAILURE;
    }
    files.sort();
    // All trees are kept until the end: parsing them is the floor, not giving their memory back.
    let trees: Vec<_> = files
        .par_iter()
        .enumerate()
        .filter_map(|(at, file)| {
            let text: Arc<str> = fs::read_to_string(file).ok()?.into();
            let root = magus_load::parse(FileId(u32::try_from(at).ok()?), &text).root?;
            Some((text, root))
        })
        .collect();
    if trees.len() == files.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), files)?;
        } else if entry.path().extension().is_some_and(|extension| extension == "yaml") {
            files.push(entry.path());
        }
    }
    Ok(())
}
