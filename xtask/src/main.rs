//! Work on the project itself: generated files, rules of the house, all tests in one command, measurements.
//!
//! `cargo xtask help` lists the commands. Nothing here is part of the product.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

mod bench;
mod codegen;
mod manifests;
mod measure;
mod pipelines;
mod process;
mod sources;
mod suite;
mod tidy;

#[derive(Parser)]
#[command(about = "Work on the project itself")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write what is generated: schemas/, docs/CLI.md, docs/rules/README.md and the pipelines of the example
    Codegen {
        /// Write nothing; fail where a file is not what would be written
        #[arg(long)]
        check: bool,
    },
    /// Check the rules of the house: directions between crates, forbidden calls, inherited settings
    Tidy,
    /// Run everything that has to pass: format, generated files, tidy, clippy, cargo-deny, all tests
    Test(suite::Options),
    /// Measure lint, plan and apply over many workspaces, next to the floor of reading and parsing them
    Bench(bench::Options),
    /// Run one program and print how long it took and how much memory it held: used by `bench`
    #[command(hide = true)]
    Measure {
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

/// A task's answer: nothing, or what is wrong in words for people.
type Done = Result<(), String>;

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Codegen { check: false } => codegen::write(),
        Task::Codegen { check: true } => codegen::check(),
        Task::Tidy => tidy::run(),
        Task::Test(options) => suite::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Measure { words } => measure::run(&words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root.
fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}
