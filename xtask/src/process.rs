//! Running other programs, from the repository's root, and saying clearly which one failed.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use crate::{Done, root};

/// A program with its arguments, to be run in the repository's root.
pub fn program(words: &[&str]) -> Command {
    let mut command = Command::new(words.first().unwrap_or(&""));
    command.args(words.iter().skip(1)).current_dir(root()).stdin(Stdio::null());
    command
}

/// Cargo with these arguments, none of which holds a space.
pub fn cargo(arguments: &str) -> Command {
    // Cargo tells its children which cargo they belong to; a nested one has to be the same.
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut words = vec![cargo.as_str()];
    words.extend(arguments.split_whitespace());
    program(&words)
}

/// Runs a program to its end, with its output where ours goes.
pub fn run(mut command: Command) -> Done {
    let status = command.status().map_err(|error| format!("cannot run {}: {error}", show(&command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", show(&command))) }
}

/// Runs a program to its end, passes each line of its output on, and shows it to `look`.
pub fn run_and_look(mut command: Command, mut look: impl FnMut(&str)) -> Done {
    let failed = |command: &Command, error: std::io::Error| format!("cannot run {}: {error}", show(command));
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| failed(&command, error))?;
    let (to_us, lines) = mpsc::channel();
    thread::scope(|scope| {
        if let Some(stdout) = child.stdout.take() {
            let to_us = to_us.clone();
            scope.spawn(move || each_line(stdout, |line| drop(to_us.send((Stream::Output, line)))));
        }
        if let Some(stderr) = child.stderr.take() {
            let to_us = to_us.clone();
            scope.spawn(move || each_line(stderr, |line| drop(to_us.send((Stream::Errors, line)))));
        }
        drop(to_us);
        for (stream, line) in lines {
            match stream {
                Stream::Output => println!("{line}"),
                Stream::Errors => eprintln!("{line}"),
            }
            look(&line);
        }
    });
    let status = child.wait().map_err(|error| failed(&command, error))?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", show(&command))) }
}

enum Stream {
    Output,
    Errors,
}

fn each_line(stream: impl Read, mut take: impl FnMut(String)) {
    for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
        take(String::from_utf8_lossy(&line).into_owned());
    }
}

/// Runs a program to its end and answers with its standard output.
pub fn output(mut command: Command) -> Result<String, String> {
    command.stderr(Stdio::inherit());
    let output = command.output().map_err(|error| format!("cannot run {}: {error}", show(&command)))?;
    if !output.status.success() {
        return Err(format!("{} ended with {}", show(&command), output.status));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| format!("{} wrote something that is not UTF-8", show(&command)))
}

/// Whether a program runs, and ends well.
pub fn works(mut command: Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn show(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    format!("`{}`", words.join(" "))
}
