//! Findings: what is wrong or doubtful, where, and what would help.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    rules::Rule,
    span::{Sources, Span},
};

/// How much a finding matters. Ordered: a higher one matters more.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Hint,
    /// Probably not what was meant.
    Warning,
    /// Wrong: nothing is sent to a cluster while it is there.
    Error,
}

impl Severity {
    /// As it is written and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Hint => "hint",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// A finding while its sources are at hand. The severity is the rule's until the lint settings are applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// Which rule found it.
    pub rule: &'static Rule,
    /// How much it matters here.
    pub severity: Severity,
    /// The fact, in lower case, without a full stop, names in backticks. Never a secret.
    pub message: String,
    /// Where.
    pub span: Span,
    /// Other places that matter, each with what it has to do with it.
    pub related: Vec<(Span, String)>,
    /// What to do about it.
    pub help: Option<String>,
    /// A change of the text that mends it and alters nothing else.
    pub fix: Option<Fix>,
}

/// Changes of one file that mend a finding. They do not overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fix {
    /// Replace these ranges by these texts.
    Edit(Vec<(Span, String)>),
    /// Give the file this name, in the same folder.
    Rename(String),
}

impl Diagnostic {
    /// A finding with the rule's own severity.
    pub fn new(rule: &'static Rule, span: Span, message: impl Into<String>) -> Self {
        Self {
            rule,
            severity: rule.severity,
            message: message.into(),
            span,
            related: Vec::new(),
            help: None,
            fix: None,
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Points to another place.
    #[must_use]
    pub fn related(mut self, span: Span, what: impl Into<String>) -> Self {
        self.related.push((span, what.into()));
        self
    }

    /// Offers a change of the text.
    #[must_use]
    pub fn fix(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }

    /// The finding as it leaves the process, with lines and columns.
    pub fn locate(&self, sources: &Sources) -> LocatedDiagnostic {
        let file = sources.file(self.span.file);
        let (line, column) = file.map_or((1, 1), |file| file.line_column(self.span.start));
        let (end_line, end_column) =
            file.map_or((1, 1), |file| file.line_column(self.span.end.max(self.span.start)));
        LocatedDiagnostic {
            code: self.rule.code.into(),
            severity: self.severity,
            message: self.message.clone(),
            file: file.map_or_else(|| "".into(), |file| Arc::clone(&file.path)),
            line,
            column,
            end_line,
            end_column,
            help: self.help.clone(),
            url: self.rule.url(),
        }
    }
}

/// A finding as it leaves the process: DESIGN.md 4. Positions count from 1; the end is the first place after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocatedDiagnostic {
    /// `MG101`.
    pub code: String,
    /// How much it matters.
    pub severity: Severity,
    /// The fact.
    pub message: String,
    /// The path relative to the working directory, with `/`.
    pub file: Arc<str>,
    /// First line.
    pub line: u32,
    /// First column.
    pub column: u32,
    /// Last line.
    pub end_line: u32,
    /// First column after it.
    pub end_column: u32,
    /// What to do about it.
    pub help: Option<String>,
    /// The rule's page.
    pub url: String,
}

/// Sorts findings by file, place, rule and message, and drops what is there twice.
pub fn sort(diagnostics: &mut Vec<Diagnostic>, sources: &Sources) {
    let path =
        |diagnostic: &Diagnostic| sources.file(diagnostic.span.file).map(|file| Arc::clone(&file.path));
    diagnostics.sort_by(|a, b| {
        (path(a), a.span, a.rule.code, &a.message).cmp(&(path(b), b.span, b.rule.code, &b.message))
    });
    diagnostics.dedup_by(|a, b| (a.span, a.rule.code, &a.message) == (b.span, b.rule.code, &b.message));
}
