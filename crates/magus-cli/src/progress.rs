//! What an apply is doing: a line that moves on a terminal, a line for each step in a log.

use std::{
    io::IsTerminal,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use magus_apply::Event;
use magus_model::report::Outcome;
use magus_report::{Styles, apply::Reasons};

use crate::output::Output;

/// Shows progress on standard error.
pub struct Progress {
    bar: Option<ProgressBar>,
    styles: Styles,
    quiet: bool,
    total: usize,
    done: AtomicUsize,
    reasons: Mutex<Reasons>,
}

impl Progress {
    /// Progress over so many steps.
    pub fn new(total: usize, output: &Output) -> Self {
        let terminal = std::io::stderr().is_terminal() && !output.quiet && total > 0;
        let bar = terminal.then(|| {
            let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len} {wide_msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            bar,
            styles: output.message_styles(),
            quiet: output.quiet,
            total,
            done: AtomicUsize::new(0),
            reasons: Mutex::default(),
        }
    }

    /// Shows what happened.
    pub fn tell(&self, event: &Event<'_>) {
        match event {
            Event::WaveStarted { environments, .. } => {
                let names: Vec<&str> =
                    environments.iter().map(|(_, environment)| environment.as_str()).collect();
                if let Some(bar) = &self.bar {
                    bar.set_message(magus_report::escape::line(&names.join(", ")).into_owned());
                }
            }
            Event::StepStarted { step } => {
                if let Some(bar) = &self.bar {
                    let what = format!("{} {}", step.action.symbol(), step.workspace);
                    bar.set_message(magus_report::escape::line(&what).into_owned());
                }
            }
            Event::StepFinished { result, .. } => {
                let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
                let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
                let line = reasons.step_line(result, &self.styles);
                drop(reasons);
                match &self.bar {
                    Some(bar) => {
                        bar.inc(1);
                        // What went well moves the bar; what did not stays on the screen.
                        if result.outcome != Outcome::Applied || self.total <= 50 {
                            bar.println(line);
                        }
                    }
                    None if !self.quiet => Output::say(&format!("[{done}/{}]{line}", self.total)),
                    None => {}
                }
            }
            _ => {}
        }
    }

    /// Takes the moving line away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
