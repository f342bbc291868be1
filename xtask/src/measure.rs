//! One program, measured: wall time, and the most memory that it ever held.
//!
//! The kernel keeps the peak over *all* children of a process, so each measurement is a process of its own.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::{TimeVal, TimeValLike},
};

use crate::Done;

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// From start to end.
    pub time: Duration,
    /// What its threads worked together, system calls included.
    pub cpu: Duration,
    /// Peak resident memory in KiB.
    pub memory: u64,
    /// The exit code; -1 where a signal ended it.
    pub code: i32,
}

/// The task: runs a program silently, and prints microseconds of time and of work, KiB, and the exit code.
pub fn run(words: &[String]) -> Done {
    let [program, arguments @ ..] = words else { return Err("nothing to run".to_owned()) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let since = Instant::now();
    let status = command.status().map_err(|error| format!("cannot run `{program}`: {error}"))?;
    let time = since.elapsed();
    let usage =
        getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| format!("cannot read usage: {error}"))?;
    // Linux counts KiB, macOS bytes.
    let unit = if cfg!(target_os = "macos") { 1024 } else { 1 };
    let micros = |time: TimeVal| time.num_microseconds();
    let cpu = micros(usage.user_time()) + micros(usage.system_time());
    println!("{} {cpu} {} {}", time.as_micros(), usage.max_rss() / unit, status.code().unwrap_or(-1));
    Ok(())
}

/// Measures a program in a process of its own.
pub fn measure(words: &[&str], environment: &[(&str, &str)]) -> Result<Measured, String> {
    let own = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let output = Command::new(own)
        .args(["measure", "--"])
        .args(words)
        .envs(environment.iter().copied())
        .current_dir(crate::root())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot measure: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<i64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    match numbers[..] {
        [time, cpu, memory, code] => {
            if code != 0 {
                eprint!("{errors}");
            }
            let micros = |micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0));
            Ok(Measured {
                time: micros(time),
                cpu: micros(cpu),
                memory: u64::try_from(memory).unwrap_or(0),
                code: i32::try_from(code).unwrap_or(-1),
            })
        }
        _ => Err(format!("cannot measure `{}`: {errors}", words.join(" "))),
    }
}
