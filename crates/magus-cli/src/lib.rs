//! The command line: arguments, wiring, exit codes.
//!
//! Everything that a command decides is decided in the crates below; this one reads the environment, the clock and
//! the terminal, hands them down as arguments, and prints what comes back.

mod arguments;
mod commands;
mod declarations;
mod engines;
mod entries;
mod error;
mod flags;
mod history;
mod init;
mod output;
mod pipeline;
mod place;
mod progress;
mod recall;
mod repository;
mod selection;
mod yaml;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::{
    arguments::{Arguments, Command, Format, Global, LockCommand},
    error::{CommandError, Exit},
    output::Output,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The version of Magus.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The command line as a tree, for the reference, the manual page and the completions.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    hide_panic_payloads();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Exit::Usage.code() } else { Exit::Done.code() });
        }
    };
    let output = Output::new(&arguments.global);
    place::remember(pipeline::directory_flag(&arguments.global));
    start_log(&arguments.global);
    if let Err(error) = commands::apply::handle_signals() {
        output.message(&error.describe());
        return ExitCode::from(error.exit.code());
    }
    let exit = run(&arguments, &output).unwrap_or_else(|error| {
        output.message(&error.describe());
        error.exit
    });
    record_effort();
    ExitCode::from(exit.code())
}

/// Writes how many steps the scans of this run took to the file that `MAGUS_EFFORT` names. Only debug builds count, for tests.
fn record_effort() {
    #[cfg(debug_assertions)]
    if let Some(path) = std::env::var_os("MAGUS_EFFORT") {
        // A test that finds no file fails.
        let _ = std::fs::write(path, magus_model::effort::spent().to_string());
    }
}

/// Runs one command.
fn run(arguments: &Arguments, output: &Output) -> Result<Exit, CommandError> {
    let global = &arguments.global;
    check_format(global.format, &arguments.command)?;
    if let Some(jobs) = global.jobs {
        // A second pool in one process happens only in tests of this library, and then the first one serves.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(usize::from(jobs)).build_global();
    }
    match &arguments.command {
        Command::Init(init) => commands::init::run(global, init, output),
        Command::Lint(lint) => commands::lint::run(global, lint, output),
        Command::Schema(schema) => commands::schema(schema, output),
        Command::Explain(explain) => commands::explain::run(global, explain, output),
        Command::Diff(diff) => commands::diff::run(global, diff, output),
        Command::Plan(plan) => commands::plan::run(global, plan, output),
        Command::Apply(apply) => commands::apply::run(global, apply, output),
        Command::Drift => commands::drift::run(global, output),
        Command::Status => commands::status::run(global, output),
        Command::Import(import) => commands::import::run(global, import, output),
        Command::Restart(restart) => commands::apply::restart(global, restart, output),
        Command::Destroy(destroy) => commands::apply::destroy(global, destroy, output),
        Command::Forget(forget) => commands::apply::forget(global, forget, output),
        Command::Promote(promote) => commands::promote::run(global, promote, output),
        Command::Rollback(rollback) => commands::rollback::run(global, rollback, output),
        Command::Verify(verify) => commands::verify::run(global, verify, output),
        Command::History(history) => commands::history::run(global, history, output),
        Command::Lock(lock) => commands::lock::run(global, lock, output),
        Command::Refs(refs) => commands::refs::run(global, refs, output),
        Command::Triggers => commands::triggers::run(global, output),
        Command::Completions(completions) => commands::completions(completions, output),
        Command::Man => commands::man(output),
    }
}

/// Refuses a format that the command does not have.
fn check_format(format: Format, command: &Command) -> Result<(), CommandError> {
    let (name, formats): (&str, &[Format]) = match command {
        Command::Lint(_) => (
            "lint",
            &[
                Format::Text,
                Format::Concise,
                Format::Json,
                Format::JsonLines,
                Format::Github,
                Format::Gitlab,
                Format::Junit,
                Format::Sarif,
            ],
        ),
        Command::Plan(_) => ("plan", &[Format::Text, Format::Json, Format::Markdown, Format::Html]),
        Command::Explain(_) => ("explain", &[Format::Text, Format::Json]),
        Command::Diff(_) => ("diff", &[Format::Text, Format::Json]),
        Command::Apply(_) => ("apply", &[Format::Text, Format::Json]),
        Command::Drift => ("drift", &[Format::Text, Format::Json]),
        Command::Status => ("status", &[Format::Text, Format::Json, Format::Html]),
        Command::Restart(_) => ("restart", &[Format::Text, Format::Json]),
        Command::Destroy(_) => ("destroy", &[Format::Text, Format::Json]),
        Command::Forget(_) => ("forget", &[Format::Text, Format::Json]),
        Command::Promote(_) => ("promote", &[Format::Text, Format::Json]),
        Command::Rollback(_) => ("rollback", &[Format::Text, Format::Json]),
        Command::Verify(_) => ("verify", &[Format::Text, Format::Json]),
        Command::History(_) => ("history", &[Format::Text, Format::Json]),
        Command::Lock(LockCommand::List) => ("lock list", &[Format::Text, Format::Json]),
        Command::Lock(LockCommand::Release { .. }) => ("lock release", &[Format::Text]),
        Command::Refs(_) => ("refs", &[Format::Text, Format::Json, Format::Html]),
        Command::Triggers => ("triggers", &[Format::Text, Format::Json, Format::Html]),
        Command::Init(_) => ("init", &[Format::Text]),
        Command::Schema(_) => ("schema", &[Format::Text, Format::Json]),
        Command::Import(_) => ("import", &[Format::Text]),
        Command::Completions(_) => ("completions", &[Format::Text]),
        Command::Man => ("man", &[Format::Text]),
    };
    if formats.contains(&format) {
        return Ok(());
    }
    let known: Vec<_> = formats.iter().map(|format| format!("`{}`", format.name())).collect();
    Err(CommandError::new(Exit::Usage, format!("`magus {name}` has no format `{}`", format.name()))
        .hint(format!("it has {}", known.join(", "))))
}

/// `-v` logs what is done, `-vv` in detail; both to standard error. Nothing that is logged holds a secret.
fn start_log(global: &Global) {
    let level = match global.verbose {
        0 => return,
        1 => "magus=info",
        _ => "magus=debug",
    };
    let filter = tracing_subscriber::EnvFilter::new(
        ["apply", "cli", "engine_local", "engine_mage", "load", "resolve", "secrets"]
            .map(|name| level.replace("magus", &format!("magus_{name}")))
            .join(","),
    );
    // Fails only where a log was started before, as in tests of this library.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .try_init();
}

/// A panic says where, and never what: its payload may hold a value that was being looked at.
fn hide_panic_payloads() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        Output::say(&format!(
            "error: magus {VERSION} has a fault{place}\n  help: please report it with this line and the command; nothing of your declarations is in it"
        ));
    }));
}
