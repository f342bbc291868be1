//! Findings in eight formats: two for people, two for programs, four for the services that show them.
//!
//! Nothing here decides what a finding is or how much it matters.

mod ci;
mod junit;
mod sarif;
mod snippet;
mod text;

use magus_model::{
    Text,
    diagnostic::{Diagnostic, LocatedDiagnostic, Severity},
    span::Sources,
};
use serde::{Deserialize, Serialize};

use crate::{
    Styles,
    json::{compact, pretty},
};

/// The version of the JSON format.
pub const FORMAT_VERSION: u32 = 1;

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LintFormat {
    /// For people: the source line, related places and help.
    Text,
    /// For people and editors: one line each.
    Concise,
    /// One JSON document.
    Json,
    /// One JSON document a finding, each on its line.
    JsonLines,
    /// Workflow commands of GitHub Actions: annotations on the files of a pull request.
    Github,
    /// GitLab's Code Quality report.
    Gitlab,
    /// JUnit XML: a test suite a file.
    Junit,
    /// SARIF 2.1.0.
    Sarif,
}

/// What is to be written.
#[derive(Debug, Clone, Copy)]
pub struct LintReport<'a> {
    /// The findings, sorted, with the severities that count.
    pub diagnostics: &'a [Diagnostic],
    /// The files that they are about.
    pub sources: &'a Sources,
    /// How many files were looked at.
    pub files: usize,
    /// The version of Magus, for the formats that name their tool.
    pub magus_version: &'a str,
    /// Columns of the terminal; long source lines are cut around the place that matters.
    pub width: usize,
    /// Where the run took place.
    pub place: Place<'a>,
}

/// Where a run took place. Services look for files from the root of the repository, and findings name them from the working directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place<'a> {
    /// The working directory, as an absolute path; empty if paths stay as they are.
    pub working_directory: &'a str,
    /// The root of the repository, as an absolute path; without one, the working directory.
    pub root: &'a str,
}

impl Place<'_> {
    /// Returns a path from the root of the repository; absolute if it leads out of the repository.
    fn relative_to_root(self, path: &str) -> String {
        let Self { working_directory, root } = self;
        if path.is_empty() || working_directory.is_empty() {
            return path.to_owned();
        }
        let mut parts: Vec<&str> = Vec::new();
        let below = if path.starts_with('/') { "" } else { working_directory };
        for part in below.split('/').chain(path.split('/')) {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let root: Vec<&str> = root.split('/').filter(|part| !part.is_empty()).collect();
        match parts.strip_prefix(&root[..]) {
            Some(inside) if !inside.is_empty() => inside.join("/"),
            _ => format!("/{}", parts.join("/")),
        }
    }
}

/// Counts of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LintSummary {
    /// Findings of severity error.
    pub errors: usize,
    /// Findings of severity warning.
    pub warnings: usize,
    /// Findings of severity hint.
    pub hints: usize,
    /// Files that were looked at.
    pub files: usize,
}

/// The JSON document of `lint`, and of everything else that has nothing but findings to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LintDocument {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The findings.
    pub diagnostics: Vec<LocatedDiagnostic>,
    /// Their counts.
    pub summary: LintSummary,
}

impl LintReport<'_> {
    /// The counts.
    pub fn summary(&self) -> LintSummary {
        let count = |severity| self.diagnostics.iter().filter(|found| found.severity == severity).count();
        LintSummary {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            hints: count(Severity::Hint),
            files: self.files,
        }
    }

    fn located(&self) -> impl Iterator<Item = LocatedDiagnostic> {
        self.diagnostics.iter().map(|found| found.locate(self.sources))
    }

    /// The findings with the paths of their files from the root of the repository.
    fn located_from_root(&self) -> impl Iterator<Item = LocatedDiagnostic> {
        self.located()
            .map(|found| LocatedDiagnostic { file: self.place.relative_to_root(&found.file).into(), ..found })
    }
}

/// Writes findings. The text ends with a line end unless it is empty.
pub fn render(format: LintFormat, report: &LintReport<'_>, styles: &Styles) -> String {
    match format {
        LintFormat::Text => text::full(report, styles),
        LintFormat::Concise => text::concise(report, styles),
        LintFormat::Json => pretty(&LintDocument {
            format_version: FORMAT_VERSION,
            diagnostics: report.located().collect(),
            summary: report.summary(),
        }),
        LintFormat::JsonLines => report.located().map(|found| compact(&found) + "\n").collect(),
        LintFormat::Github => ci::github(report),
        LintFormat::Gitlab => ci::gitlab(report),
        LintFormat::Junit => junit::render(report),
        LintFormat::Sarif => sarif::render(report),
    }
}

/// One finding as people read it, without its source: `error[MG101]: message`, the place and the help.
pub fn located_text(found: &LocatedDiagnostic, styles: &Styles) -> String {
    text::located(found, styles)
}

/// Identities of findings that stay when lines move; two equal findings of a file have different ones.
fn fingerprints(located: &[LocatedDiagnostic]) -> Vec<Text> {
    use sha2::{Digest, Sha256};
    let mut seen = std::collections::HashMap::<[u8; 32], u32>::new();
    let digest = |found: &LocatedDiagnostic, again: u32| -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [found.code.as_str(), &found.file, &found.message] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(again.to_le_bytes());
        hash.finalize().into()
    };
    located
        .iter()
        .map(|found| {
            let again = seen.entry(digest(found, 0)).or_default();
            *again += 1;
            let hex: String =
                digest(found, *again).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
            Text::from(hex)
        })
        .collect()
}

#[cfg(test)]
mod tests;
