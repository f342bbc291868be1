//! Findings for the services that run the checks: GitHub's workflow commands and GitLab's Code Quality report.

use std::fmt::Write as _;

use magus_model::diagnostic::{LocatedDiagnostic, Severity};
use serde::Serialize;

use super::{LintReport, fingerprints};
use crate::{escape, json};

/// One workflow command a line; GitHub turns them into annotations on the changed files.
pub(super) fn github(report: &LintReport<'_>) -> String {
    let mut out = String::new();
    for found in report.located_from_root() {
        let command = match found.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Hint => "notice",
        };
        let _ = write!(out, "::{command} ");
        if !found.file.is_empty() {
            let _ =
                write!(out, "file={},line={},endLine={},", property(&found.file), found.line, found.end_line);
            // GitHub refuses columns for an annotation of several lines.
            if found.line == found.end_line {
                let _ = write!(out, "col={},endColumn={},", found.column, found.end_column);
            }
        }
        let _ = write!(out, "title={}::{}", property(&found.code), data(&found.message));
        if let Some(help) = &found.help {
            let _ = write!(out, "%0Ahelp: {}", data(help));
        }
        out.push('\n');
    }
    out
}

/// The message of a command. Line ends inside are written out before, so that only `%` needs GitHub's own escape.
fn data(text: &str) -> String {
    escape::line(text).replace('%', "%25")
}

/// A property of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// An entry of a Code Quality report.
#[derive(Serialize)]
struct Issue<'a> {
    description: String,
    check_name: &'a str,
    fingerprint: &'a str,
    severity: &'static str,
    location: Location<'a>,
}

#[derive(Serialize)]
struct Location<'a> {
    path: &'a str,
    lines: Lines,
}

#[derive(Serialize)]
struct Lines {
    begin: u32,
}

/// One JSON list, as GitLab wants it in the artifact `codequality`.
pub(super) fn gitlab(report: &LintReport<'_>) -> String {
    let located: Vec<LocatedDiagnostic> = report.located_from_root().collect();
    let fingerprints = fingerprints(&located);
    let issues = located.iter().zip(&fingerprints).map(|(found, fingerprint)| Issue {
        description: match &found.help {
            Some(help) => format!("{}; help: {}", escape::line(&found.message), escape::line(help)),
            None => escape::line(&found.message).into_owned(),
        },
        check_name: &found.code,
        fingerprint,
        severity: match found.severity {
            Severity::Error => "major",
            Severity::Warning => "minor",
            Severity::Hint => "info",
        },
        // GitLab leaves out an issue without a path.
        location: Location {
            path: if found.file.is_empty() { "." } else { &found.file },
            lines: Lines { begin: found.line },
        },
    });
    json::pretty(&issues.collect::<Vec<_>>())
}
