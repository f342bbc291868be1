//! Commands in messages, made complete: they are pasted from where the user stands, who may have given `-C`.

use std::{borrow::Cow, sync::OnceLock};

/// ` -C DIR`, if the user gave a directory.
static DIRECTORY: OnceLock<String> = OnceLock::new();

/// How a command in a message begins.
const MAGUS: &str = "magus ";

/// Remembers what this run was given: ` -C DIR`, or nothing.
pub fn remember(directory_flag: String) {
    // Only the first run of a process is asked for.
    let _ = DIRECTORY.set(directory_flag);
}

/// The commands of a help with the directory of this run.
pub fn complete(help: &str) -> Cow<'_, str> {
    complete_with(help, DIRECTORY.get().map_or("", String::as_str))
}

/// The same for the lines of a message that say what to do, and for no others: the rest may quote other text.
pub fn complete_helps(message: &str) -> Cow<'_, str> {
    // Spaces and colours may come before.
    let says_what_to_do = |line: &str| {
        ["help:", "next:", "Next:"].iter().any(|start| line.find(start).is_some_and(|at| at < 12))
    };
    if !message.contains(MAGUS) || !message.lines().any(says_what_to_do) {
        return Cow::Borrowed(message);
    }
    let lines = message.split_inclusive('\n');
    Cow::Owned(
        lines.map(|line| if says_what_to_do(line) { complete(line) } else { Cow::Borrowed(line) }).collect(),
    )
}

/// The commands of reports that stand among what others wrote.
const IN_REPORTS: [&str; 2] = ["`magus plan --orphans`", "`magus lint` shows all"];

/// A report with the directory of this run in its own commands. What it quotes stays as it is.
pub fn complete_report(report: String) -> String {
    IN_REPORTS.iter().fold(report, |report, command| match report.contains(command) {
        true => report.replace(command, &complete(command)),
        false => report,
    })
}

fn complete_with<'t>(help: &'t str, directory_flag: &str) -> Cow<'t, str> {
    if directory_flag.is_empty() || !help.contains(MAGUS) {
        return Cow::Borrowed(help);
    }
    let mut whole = String::with_capacity(help.len() + directory_flag.len());
    let mut rest = help;
    while let Some(at) = rest.find(MAGUS) {
        let (before, command) = rest.split_at(at + MAGUS.len());
        whole.push_str(before);
        let verb = command.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(command.len());
        let is_quoted = before.ends_with("`magus ");
        // A path may have the word too.
        let is_command = is_quoted || whole.trim_start() == MAGUS || before.ends_with(": magus ");
        let end = command.find(if is_quoted { '`' } else { '\n' }).unwrap_or(command.len());
        whole.push_str(&command[..verb]);
        if is_command && verb > 0 && !command[..end].contains(" -C ") && !command[..end].contains(" --dir") {
            whole.push_str(directory_flag);
        }
        rest = &command[verb..];
    }
    whole.push_str(rest);
    Cow::Owned(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_get_the_directory_that_was_given() {
        for (help, whole) in [
            ("magus history", "magus history -C envs"),
            ("`magus lint --fix` removes it", "`magus lint -C envs --fix` removes it"),
            ("name it: magus import a -e ENV", "name it: magus import -C envs a -e ENV"),
            ("magus plan -C envs -e dev", "magus plan -C envs -e dev"),
            (
                "`magus plan -C envs` shows it, `magus apply` does it",
                "`magus plan -C envs` shows it, `magus apply -C envs` does it",
            ),
            ("Magus says `git fetch`", "Magus says `git fetch`"),
            ("magus", "magus"),
            ("`git -C '/a magus test/b' fsck` tells more", "`git -C '/a magus test/b' fsck` tells more"),
        ] {
            assert_eq!(complete_with(help, " -C envs"), whole);
            assert_eq!(complete_with(help, ""), help);
        }
    }

    #[test]
    fn only_lines_that_say_what_to_do_are_commands() {
        DIRECTORY.get_or_init(|| " -C envs".to_owned());
        let message = "error: it is being changed by `magus apply`\n  help: magus lock list\n";
        let whole = "error: it is being changed by `magus apply`\n  help: magus lock -C envs list\n";
        assert_eq!(complete_helps(message), whole);
    }
}
