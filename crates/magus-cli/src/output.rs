//! Standard output and standard error: the result on the one, everything else on the other.

use std::io::{BufRead as _, IsTerminal, Write};

use magus_report::Styles;

use crate::{
    arguments::{Color, Global},
    error::{CommandError, Exit},
    place,
};

/// Where a command writes.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Whether the result may have colours.
    pub color: bool,
    /// Whether messages may have colours.
    pub color_messages: bool,
    /// Whether notes and progress are kept back.
    pub quiet: bool,
    /// How much more to say.
    pub verbose: u8,
    /// The width of the terminal behind standard output, in columns; 100 without one.
    pub width: usize,
    /// The same for tables, which without a terminal are not folded: programs read them line by line.
    pub table_width: usize,
}

impl Output {
    /// Asks a person whether to go on. Commands ask last, when arguments, declarations and the cluster have been checked.
    ///
    /// # Errors
    /// Without a terminal, with `instead` as its help; or if the answer cannot be read.
    pub fn ask(&self, question: &str, instead: &str) -> Result<bool, CommandError> {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Err(
                CommandError::new(Exit::Usage, "there is no terminal to ask for approval").hint(instead)
            );
        }
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "\n{question} Only `yes` is taken as approval: ");
        let _ = stderr.flush();
        let mut answer = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|error| CommandError::new(Exit::Usage, "the answer cannot be read").source(error))?;
        Ok(answer.trim() == "yes")
    }

    /// Decides on colours and width once.
    pub fn new(global: &Global) -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let wanted = |terminal: bool| match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                if variable("NO_COLOR").is_some() {
                    false
                } else if variable("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
                    true
                } else {
                    terminal && variable("TERM").is_none_or(|term| term != "dumb")
                }
            }
        };
        let terminal =
            terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
        Self {
            color: wanted(std::io::stdout().is_terminal()),
            color_messages: wanted(std::io::stderr().is_terminal()),
            quiet: global.quiet,
            verbose: global.verbose,
            width: terminal.unwrap_or(100),
            table_width: terminal.unwrap_or(10_000),
        }
    }

    /// Writes the result. A reader that went away is no error.
    ///
    /// # Errors
    /// Standard output takes no more for another reason, such as a full disk.
    pub fn result(&self, text: &str) -> Result<(), CommandError> {
        let mut stdout = std::io::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| {
            if !text.is_empty() && !text.ends_with('\n') {
                stdout.write_all(b"\n")?;
            }
            stdout.flush()
        });
        match written {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(CommandError::new(Exit::Incomplete, "standard output cannot be written").source(error))
            }
            _ => Ok(()),
        }
    }

    /// The styles of the result.
    pub fn styles(&self) -> Styles {
        if self.color { Styles::colored() } else { Styles::plain() }
    }

    /// The styles of messages.
    pub fn message_styles(&self) -> Styles {
        if self.color_messages { Styles::colored() } else { Styles::plain() }
    }

    /// Says something that is not the result.
    pub fn message(&self, text: &str) {
        Self::say(text);
    }

    /// Writes a line to standard error. Nobody may be listening.
    pub fn say(text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{}", place::complete_helps(text));
    }

    /// Says something that `--quiet` keeps back.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.message(text);
        }
    }
}
