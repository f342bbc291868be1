//! Findings as JUnit XML: a test suite a file, a test case a finding, and one that passes for each clean file.
//!
//! A finding of severity error is a failure. Warnings and hints are passing cases with their text as output, so that
//! the test report is red exactly when `lint` is.

use std::{collections::BTreeMap, fmt::Write as _};

use magus_model::diagnostic::{LocatedDiagnostic, Severity};

use super::LintReport;
use crate::escape;

pub(super) fn render(report: &LintReport<'_>) -> String {
    let located: Vec<LocatedDiagnostic> = report.located().collect();
    let mut suites: BTreeMap<&str, Vec<&LocatedDiagnostic>> =
        report.sources.files().iter().map(|file| (&*file.path, Vec::new())).collect();
    for found in &located {
        suites.entry(&found.file).or_default().push(found);
    }
    let (tests, failures) =
        suites.values().map(|found| counts(found)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuites name=\"magus lint\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\">"
    );
    for (path, found) in &suites {
        suite(&mut out, path, found);
    }
    out.push_str("</testsuites>\n");
    out
}

/// Test cases and failures of a suite.
fn counts(found: &[&LocatedDiagnostic]) -> (usize, usize) {
    (found.len().max(1), found.iter().filter(|found| found.severity == Severity::Error).count())
}

fn suite(out: &mut String, path: &str, found: &[&LocatedDiagnostic]) {
    let (tests, failures) = counts(found);
    let path = xml(path);
    let _ = writeln!(
        out,
        "  <testsuite name=\"{path}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\" time=\"0\">"
    );
    if found.is_empty() {
        let _ = writeln!(out, "    <testcase name=\"no findings\" classname=\"{path}\" time=\"0\"/>");
    }
    for found in found {
        case(out, &path, found);
    }
    out.push_str("  </testsuite>\n");
}

fn case(out: &mut String, path: &str, found: &LocatedDiagnostic) {
    let (line, column) = (found.line, found.column);
    let code = xml(&found.code);
    let message = xml(&found.message);
    let help = found.help.as_deref().map(|help| format!("\nhelp: {}", xml(help))).unwrap_or_default();
    let body = format!("{path}:{line}:{column}: {message}{help}\n{}", xml(&found.url));
    let _ =
        writeln!(out, "    <testcase name=\"{code} at {line}:{column}\" classname=\"{path}\" time=\"0\">");
    let _ = match found.severity {
        Severity::Error => {
            writeln!(out, "      <failure type=\"{code}\" message=\"{message}\">{body}</failure>")
        }
        Severity::Warning | Severity::Hint => {
            writeln!(out, "      <system-out>{}: {body}</system-out>", found.severity.as_str())
        }
    };
    out.push_str("    </testcase>\n");
}

/// Text or an attribute's value. What XML 1.0 cannot hold at all has been written out before, but for two characters.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in escape::line(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}
