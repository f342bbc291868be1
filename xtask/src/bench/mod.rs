//! `cargo xtask bench`: whole processes over many workspaces, next to the floor measured in the same run.
//!
//! It prints a table and never fails because something was slow: a machine under load is no fault of the code.

mod code;
mod corpus;
mod mage;
mod peers;
mod references;
mod standin;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use clap::Args;

use crate::{
    Done,
    measure::{Measured, measure},
    process::{cargo, output, run as run_program},
    root,
};

#[derive(Args)]
pub struct Options {
    /// How many workspaces
    #[arg(long, default_value_t = 10_000)]
    workspaces: usize,
    /// How often each is measured; the median counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Ten times as many as well
    #[arg(long)]
    full: bool,
    /// Only what code costs that is looked into
    #[arg(long)]
    references: bool,
    /// The validators that people use today as well, where they can be installed
    #[arg(long)]
    peers: bool,
}

/// What an empty plan may hold in memory, in MB for 10,000 workspaces.
const PLAN_MEMORY: f64 = 250.0;

/// How long the first apply of 10,000 may take.
const FIRST_APPLY: Duration = Duration::from_secs(60);

/// Two threads, whatever the machine has: so numbers of different machines can be compared.
const THREADS: &[(&str, &str)] = &[("RAYON_NUM_THREADS", "2")];

/// What was measured over one corpus.
struct Row {
    name: String,
    measured: Measured,
    /// What it should be at most.
    target: Target,
}

#[derive(Clone, Copy)]
enum Target {
    /// So many times the floor.
    Floors(f64),
    /// So many times the floor, within so many MB.
    FloorsAndMemory(f64, f64),
    /// So long.
    Time(Duration),
    /// Only to compare with.
    None,
}

/// The task.
pub fn run(options: &Options) -> Done {
    run_program(cargo("build --release --quiet --package magus-cli"))?;
    run_program(cargo("build --release --quiet --package xtask --examples"))?;
    if options.references {
        return references::run(options.runs);
    }
    let small = corpus(options.workspaces, options.runs)?;
    let floor = |rows: &[Row]| rows.first().map_or(f64::NAN, |row| seconds(row.measured));
    table(options.workspaces, floor(&small), &small);
    mage::run(options.runs)?;
    code::run(options.runs)?;
    references::run(options.runs)?;
    if options.peers {
        let directory = directory(options.workspaces).join("environments");
        let peers = peers::measure_all(&directory)?;
        table(options.workspaces, floor(&small), &peers);
    }
    if options.full {
        let many = options.workspaces.saturating_mul(10);
        let large = corpus(many, options.runs.min(3))?;
        table(many, floor(&large), &large);
        println!("\n{:<30} {:>10}   target", "ten times as many", "ratio");
        for (few, many) in small.iter().zip(&large) {
            let ratio = seconds(many.measured) / seconds(few.measured);
            let target = match few.target {
                Target::Floors(_) | Target::FloorsAndMemory(..) => {
                    format!("at most 11×{}", met(ratio <= 11.0))
                }
                Target::Time(_) | Target::None => String::new(),
            };
            println!("{:<30} {ratio:>9.1}×   {target}", few.name);
        }
    }
    Ok(())
}

fn directory(workspaces: usize) -> std::path::PathBuf {
    root().join("target/bench").join(workspaces.to_string())
}

/// Generates a corpus and measures the product over it.
fn corpus(workspaces: usize, runs: usize) -> Result<Vec<Row>, String> {
    let directory = directory(workspaces);
    let environments = directory.join("environments");
    eprintln!("generating {workspaces} workspaces in {}", environments.display());
    corpus::generate(&environments, workspaces)
        .map_err(|error| format!("cannot write {}: {error}", environments.display()))?;
    let store = directory.join("store");
    if store.exists() {
        fs::remove_dir_all(&store).map_err(|error| format!("cannot empty {}: {error}", store.display()))?;
    }
    let environments = show(&environments);
    let floor = show(&root().join("target/release/examples/floor"));
    let magus = show(&root().join("target/release/magus"));
    let with = |words: &[&str]| -> Vec<String> {
        [magus.as_str(), "--dir", environments.as_str()]
            .iter()
            .chain(words)
            .map(ToString::to_string)
            .collect()
    };
    eprintln!("measuring");
    // Per so many as the limits are meant for; a process has a floor of its own, so that fewer are given as much.
    let share = (workspaces as f64 / 10_000.0).max(1.0);
    let memory = PLAN_MEMORY * share;
    let apply = with(&["--quiet", "apply", "--yes"]);
    let apply = rows(&[("first magus apply", apply, Target::Time(FIRST_APPLY.mul_f64(share)))], 1)?;
    let mut all = rows(
        &[
            ("floor: walk, read, parse", vec![floor, environments.clone()], Target::None),
            ("magus lint", with(&["--quiet", "lint"]), Target::Floors(1.6)),
            (
                "empty magus plan",
                with(&["--quiet", "plan", "--detailed-exitcode"]),
                Target::FloorsAndMemory(2.2, memory),
            ),
        ],
        runs,
    )?;
    all.extend(apply);
    Ok(all)
}

/// Measures programs several times in turns, so that a machine that is busy for a while slows all of them down. For
/// each, the run of median time counts, and the highest memory.
fn rows(programs: &[(&str, Vec<String>, Target)], runs: usize) -> Result<Vec<Row>, String> {
    let mut measured = vec![Vec::new(); programs.len()];
    for _ in 0..runs.max(1) {
        for ((name, words, _), measured) in programs.iter().zip(&mut measured) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let one = measure(&words, THREADS)?;
            if one.code != 0 {
                let line: String = words.join(" ").chars().take(300).collect();
                return Err(format!("{name}: `{line}` ended with {}", one.code));
            }
            measured.push(one);
        }
    }
    let row = |((name, _, target), mut all): (&(&str, Vec<String>, Target), Vec<Measured>)| {
        all.sort_by_key(|measured| measured.time);
        let mut measured = all[all.len() / 2];
        measured.memory = all.iter().map(|measured| measured.memory).max().unwrap_or(0);
        Row { name: (*name).to_owned(), measured, target: *target }
    };
    Ok(programs.iter().zip(measured).map(row).collect())
}

fn table(workspaces: usize, floor: f64, rows: &[Row]) {
    let title = format!("{workspaces} workspaces");
    println!("\n{title:<30} {:>10} {:>8} {:>10} {:>10}   target", "median", "floors", "work", "memory");
    for Row { name, measured, target } in rows {
        let (time, memory) = (seconds(*measured), megabytes(*measured));
        let floors = time / floor;
        let target = match target {
            Target::Floors(most) => format!("at most {most} floors{}", met(floors <= *most)),
            Target::FloorsAndMemory(most, mb) => {
                format!("at most {most} floors{}, {mb} MB{}", met(floors <= *most), met(memory <= *mb))
            }
            Target::Time(most) => format!("at most {} s{}", most.as_secs(), met(measured.time <= *most)),
            Target::None => String::new(),
        };
        let work = measured.cpu.as_secs_f64() * 1000.0;
        println!(
            "{name:<30} {:>7.0} ms {floors:>7.2}× {work:>7.0} ms {memory:>7.0} MB   {target}",
            time * 1000.0
        );
    }
}

fn met(met: bool) -> &'static str {
    if met { " ✓" } else { " ✗ missed" }
}

fn seconds(measured: Measured) -> f64 {
    measured.time.as_secs_f64()
}

fn megabytes(measured: Measured) -> f64 {
    Duration::from_millis(measured.memory).as_secs_f64() * 1.024
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

/// Makes a bare repository in `pipelines.git` of a folder from the history that `git fast-import` reads; its path.
fn import_history(folder: &Path, history: &str) -> std::io::Result<std::path::PathBuf> {
    let repository = folder.join("pipelines.git");
    let git = |words: &[&str]| {
        let mut git = Command::new("git");
        git.arg("--git-dir").arg(&repository).args(words);
        git
    };
    output(git(&["init", "--quiet", "--bare"])).map_err(std::io::Error::other)?;
    fs::write(folder.join("history"), history)?;
    let mut import = git(&["fast-import", "--quiet"]);
    import.stdin(Stdio::from(fs::File::open(folder.join("history"))?));
    output(import).map_err(std::io::Error::other)?;
    Ok(repository)
}
