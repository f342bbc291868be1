//! What an apply did, as text and JSON, and the line for each step while it runs.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt::Write as _,
};

use anstyle::Style;
use magus_model::{
    plan::Action,
    report::{ApplyReport, ApplySummary, Outcome, StepResult},
};

use crate::{
    Styles,
    causes::{general, listed},
    escape, json,
    style::paint,
    words::thousands,
};

/// Which steps a report lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listing {
    /// Every step.
    #[default]
    Every,
    /// Those that were not applied, where the others have been shown while they ran.
    Problems,
}

/// A step that has ended, as progress and reports show it.
#[derive(Debug, Clone, Copy)]
pub struct StepLine<'a> {
    /// What was to be done.
    pub action: Action,
    /// The workspace.
    pub workspace: &'a str,
    /// The environment.
    pub environment: &'a str,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, where it was not applied; redacted.
    pub message: Option<&'a str>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

impl<'a> From<&'a StepResult> for StepLine<'a> {
    fn from(result: &'a StepResult) -> Self {
        Self {
            action: result.action,
            workspace: result.workspace.as_str(),
            environment: &result.environment,
            outcome: result.outcome,
            message: result.message.as_deref(),
            duration_ms: result.duration_ms,
        }
    }
}

/// `  ~ analytics-production (production)  updated in 1.2 s`, without a line end.
pub fn step_line(step: &StepLine<'_>, styles: &Styles) -> String {
    let style = style_of(step.outcome, styles);
    let ended = match step.outcome {
        Outcome::Applied => done(step.action).to_owned(),
        outcome => format!("{} {}", step.action.as_str(), outcome.as_str()),
    };
    let mut line = format!(
        "{} {} {}  {}",
        paint(style, format!("{:>3}", step.action.symbol())),
        escape::line(step.workspace),
        paint(styles.dim, format!("({})", escape::line(step.environment))),
        paint(style, ended),
    );
    if matches!(step.outcome, Outcome::Applied | Outcome::Failed | Outcome::Uncertain) {
        line.push_str(&paint(styles.dim, format!(" in {}", duration(step.duration_ms))).to_string());
    }
    if let Some(message) = step.message {
        let _ = write!(line, ": {}", escape::line(message));
    }
    line
}

fn style_of(outcome: Outcome, styles: &Styles) -> Style {
    match outcome {
        Outcome::Applied => styles.added,
        Outcome::Failed => styles.removed,
        Outcome::Uncertain => styles.warning,
        Outcome::Skipped | Outcome::NotStarted => styles.dim,
    }
}

/// The reasons that progress has told, so that it tells each once.
#[derive(Debug, Default)]
pub struct Reasons(HashMap<String, String>);

impl Reasons {
    /// The line of a step that has ended, with its reason the first time.
    pub fn step_line(&mut self, result: &StepResult, styles: &Styles) -> String {
        let name = result.workspace.as_str();
        let line = StepLine::from(result);
        let Some(message) = line.message else { return step_line(&line, styles) };
        match self.0.entry(general(message, name).into_owned()) {
            Entry::Vacant(new) => {
                new.insert(name.to_owned());
                step_line(&line, styles)
            }
            Entry::Occupied(told) => {
                let as_told = format!("for the same reason as `{}`", told.get());
                step_line(&StepLine { message: Some(&as_told), ..line }, styles)
            }
        }
    }
}

/// What a step has done, in one word.
fn done(action: Action) -> &'static str {
    match action {
        Action::Adopt => "adopted",
        Action::Create => "created",
        Action::Replace => "replaced",
        Action::Stop => "stopped",
        Action::Update => "updated",
        Action::Deploy => "deployed",
        Action::Start => "started",
        Action::Restart => "restarted",
        Action::Delete => "deleted",
        Action::Forget => "forgotten",
    }
}

/// A duration as people say it.
pub(crate) fn duration(milliseconds: u64) -> String {
    match milliseconds {
        ms if ms < 1_000 => format!("{ms} ms"),
        ms if ms < 60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        ms => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// The report for people. The last line has the counts; before it stands what to do about what went wrong.
pub fn text(report: &ApplyReport, listing: Listing, styles: &Styles) -> String {
    let mut out = String::new();
    let is_listed = |result: &&StepResult| listing == Listing::Every || result.outcome != Outcome::Applied;
    for group in groups(report.results.iter().filter(is_listed)) {
        match group.as_slice() {
            [only] => drop(writeln!(out, "{}", step_line(&(*only).into(), styles))),
            several => out.push_str(&several_lines(several, styles)),
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    for note in &report.notes {
        let _ = writeln!(out, "{} {}", paint(styles.info, "note:"), escape::line(note));
    }
    if report.interrupted {
        let why = "The apply was interrupted: what was under way ended, and no other step was begun.";
        let _ = writeln!(out, "{}", paint(styles.warning, why));
    }
    for help in helps(&report.summary) {
        let _ = writeln!(out, "{} {help}", paint(styles.info, "help:"));
    }
    let _ = writeln!(out, "{}", paint(styles.strong, totals(&report.summary)));
    out
}

/// The steps by what became of them and why, in their order: one cause is one message.
fn groups<'a>(results: impl Iterator<Item = &'a StepResult>) -> Vec<Vec<&'a StepResult>> {
    let mut groups: Vec<Vec<&StepResult>> = Vec::new();
    let mut known: HashMap<_, usize> = HashMap::new();
    for result in results {
        let Some(message) = &result.message else {
            groups.push(vec![result]);
            continue;
        };
        let why = general(message, result.workspace.as_str());
        let at = *known.entry((result.action, result.outcome, why)).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.push(result),
            None => groups.push(vec![result]),
        }
    }
    groups
}

/// Several steps that ended in the same way for the same reason.
fn several_lines(steps: &[&StepResult], styles: &Styles) -> String {
    let Some(first) = steps.first() else { return String::new() };
    let message = first.message.as_deref().unwrap_or_default();
    let style = style_of(first.outcome, styles);
    let names: Vec<&str> = steps.iter().map(|step| step.workspace.as_str()).collect();
    format!(
        "{} {} workspaces  {}: {}\n        {}\n",
        paint(style, format!("{:>3}", first.action.symbol())),
        thousands(steps.len()),
        paint(style, format!("{} {}", first.action.as_str(), first.outcome.as_str())),
        escape::line(&general(message, first.workspace.as_str())),
        listed(&names, |name| escape::line(name).into_owned()),
    )
}

/// What to do next, a sentence for each kind of trouble.
fn helps(summary: &ApplySummary) -> Vec<String> {
    let ApplySummary { applied: _, failed, uncertain, skipped, not_started } = *summary;
    let mut helps = Vec::new();
    if uncertain > 0 {
        helps.push("an uncertain step was sent and not seen to be done; `magus plan` looks again, and plans what is left".to_owned());
    }
    if failed > 0 {
        helps.push("mend what failed, then run `magus apply` again: it does only what is left".to_owned());
    } else if skipped + not_started > 0 {
        helps.push("run `magus apply` again for the steps that were not begun".to_owned());
    }
    helps
}

/// `Applied 5 steps; 1 failed, 2 skipped.`
fn totals(summary: &ApplySummary) -> String {
    let ApplySummary { applied, failed, uncertain, skipped, not_started } = *summary;
    let not: Vec<String> =
        [(failed, "failed"), (uncertain, "uncertain"), (skipped, "skipped"), (not_started, "not started")]
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{} {what}", thousands(number)))
            .collect();
    let steps = if applied == 1 { "step" } else { "steps" };
    match not.is_empty() {
        true if applied == 0 => "Applied nothing: there was nothing to do.".to_owned(),
        true => format!("Applied {} {steps}.", thousands(applied)),
        false => format!("Applied {} {steps}; {}.", thousands(applied), not.join(", ")),
    }
}

/// The report as JSON.
pub fn json(report: &ApplyReport) -> String {
    json::pretty(report)
}
