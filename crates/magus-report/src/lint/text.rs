//! Findings for people.

use std::{collections::BTreeSet, fmt::Write as _};

use annotate_snippets::{
    AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet, renderer::DecorStyle,
};
use magus_model::{
    diagnostic::{Diagnostic, LocatedDiagnostic, Severity},
    span::Span,
};

use super::{
    LintReport,
    snippet::{Blots, Window},
};
use crate::{
    Styles, escape,
    style::paint,
    words::{self, count},
};

/// Lines between two places that are still shown in one piece.
const NEAR: u32 = 6;
/// Lines of one place that are shown; a finding about a whole block shows its beginning.
const MOST_LINES: u32 = 8;
/// Bytes of source above which only the place is named.
const LONGEST_WINDOW: usize = 16 << 10;

/// The findings with their source lines, and the summary.
pub(super) fn full(report: &LintReport<'_>, styles: &Styles) -> String {
    let renderer = if styles.colored { Renderer::styled() } else { Renderer::plain() }
        .decor_style(DecorStyle::Ascii)
        .term_width(report.width.clamp(40, 400));
    let blots = Blots::new(report.diagnostics);
    let mut out = String::new();
    for found in report.diagnostics {
        out.push_str(&renderer.render(&[group(found, report, &blots)]));
        out.push_str("\n\n");
    }
    out.push_str(&summary(report, styles));
    out
}

fn group<'a>(found: &'a Diagnostic, report: &'a LintReport<'_>, blots: &Blots) -> Group<'a> {
    let level = match found.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Hint => Level::INFO.with_name("hint"),
    };
    let title = level.primary_title(escape::line(&found.message)).id(found.rule.code);
    let mut group = Group::with_title(title);
    for piece in pieces(found, report) {
        group = group.element(piece.element(report, blots));
    }
    if let Some(help) = &found.help {
        group = group.element(Level::HELP.message(escape::line(help)));
    }
    group
}

/// Neighbouring places of one file, to be shown together.
struct Piece<'a> {
    lines: std::ops::Range<u32>,
    places: Vec<Place<'a>>,
}

struct Place<'a> {
    span: Span,
    kind: AnnotationKind,
    label: Option<&'a str>,
}

/// The finding's own place first, then the related ones; places that are near each other become one piece.
fn pieces<'a>(found: &'a Diagnostic, report: &LintReport<'_>) -> Vec<Piece<'a>> {
    let mut pieces: Vec<Piece<'a>> = Vec::new();
    let main = Place { span: found.span, kind: AnnotationKind::Primary, label: None };
    let related = found.related.iter().map(|(span, label)| Place {
        span: *span,
        kind: AnnotationKind::Context,
        label: Some(label),
    });
    for place in std::iter::once(main).chain(related) {
        let Some(file) = report.sources.file(place.span.file) else { continue };
        let first = file.line_column(place.span.start).0;
        let last =
            file.line_column(place.span.end.max(place.span.start)).0.clamp(first, first + MOST_LINES - 1);
        let near = pieces.iter_mut().find(|piece| {
            piece.places.iter().all(|other| other.span.file == place.span.file)
                && first <= piece.lines.end + NEAR
                && piece.lines.start <= last + NEAR
        });
        match near {
            Some(piece) => {
                piece.lines = piece.lines.start.min(first)..piece.lines.end.max(last);
                piece.places.push(place);
            }
            None => pieces.push(Piece { lines: first..last, places: vec![place] }),
        }
    }
    pieces
}

impl<'a> Piece<'a> {
    fn element(self, report: &LintReport<'_>, blots: &Blots) -> Element<'a> {
        let Some((id, file)) = self
            .places
            .first()
            .and_then(|place| Some((place.span.file, report.sources.file(place.span.file)?)))
        else {
            return Element::from(Level::NOTE.message("built into Magus"));
        };
        let path = escape::line(&file.path).into_owned();
        // A file that cannot be read, or is empty, has no line to show, and a minified one none that helps.
        let length = file.line_start(self.lines.end.saturating_add(1)) - file.line_start(self.lines.start);
        let window =
            (length as usize <= LONGEST_WINDOW).then(|| Window::new(file, id, self.lines.clone(), blots));
        let Some(window) = window.filter(|window| !window.text.trim().is_empty()) else {
            let (line, column) =
                self.places.first().map_or((1, 1), |place| file.line_column(place.span.start));
            return Element::from(Origin::path(path).line(line as usize).char_column(column as usize));
        };
        let annotations = self.places.into_iter().map(|place| {
            let label = place.label.map(|label| escape::line(label).into_owned());
            place.kind.span(window.range(place.span)).label(label)
        });
        let annotations: Vec<_> = annotations.collect();
        Snippet::source(window.text)
            .line_start(window.first_line as usize)
            .path(path)
            .annotations(annotations)
            .into()
    }
}

/// One line each: `file:line:column: error[MG101]: message`.
pub(super) fn concise(report: &LintReport<'_>, styles: &Styles) -> String {
    let mut out = String::new();
    for found in report.located() {
        if !found.file.is_empty() {
            let _ = write!(out, "{}:{}:{}: ", escape::line(&found.file), found.line, found.column);
        }
        let _ = writeln!(out, "{}", title(&found, styles));
    }
    out
}

fn title(found: &LocatedDiagnostic, styles: &Styles) -> String {
    let style = match found.severity {
        Severity::Error => styles.removed.bold(),
        Severity::Warning => styles.changed.bold(),
        Severity::Hint => styles.info.bold(),
    };
    // A bold plain style would still write an escape sequence.
    let style = if styles.colored { style } else { anstyle::Style::new() };
    let kind = format!("{}[{}]", found.severity.as_str(), escape::line(&found.code));
    format!("{}: {}", paint(style, kind), escape::line(&found.message))
}

/// A finding without its source, as plans carry it.
pub(super) fn located(found: &LocatedDiagnostic, styles: &Styles) -> String {
    let mut out = title(found, styles);
    if !found.file.is_empty() {
        let place = format!(" --> {}:{}:{}", escape::line(&found.file), found.line, found.column);
        let _ = write!(out, "\n {}", paint(styles.dim, place));
    }
    if let Some(help) = &found.help {
        let _ = write!(out, "\n  {} {}", paint(styles.dim, "= help:"), escape::line(help));
    }
    out.push('\n');
    out
}

/// `2 errors, 1 warning in 3 of 12 files`, and how many of them `--fix` mends.
fn summary(report: &LintReport<'_>, styles: &Styles) -> String {
    let counts = report.summary();
    if report.diagnostics.is_empty() {
        return format!("no findings in {}\n", count(report.files, "file"));
    }
    let parts = [
        (counts.errors, "error", styles.removed),
        (counts.warnings, "warning", styles.changed),
        (counts.hints, "hint", styles.info),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, noun, style)| paint(style, count(number, noun)).to_string())
        .collect();
    let with: BTreeSet<_> = report.diagnostics.iter().map(|found| found.span.file).collect();
    let files = match with.len() {
        with if with >= report.files => count(with, "file"),
        with => format!("{} of {}", words::thousands(with), count(report.files, "file")),
    };
    let mut out = format!("{} in {files}\n", parts.join(", "));
    match report.diagnostics.iter().filter(|found| found.fix.is_some()).count() {
        0 => {}
        1 => out.push_str("1 of them is mended by `magus lint --fix`\n"),
        fixable => {
            let _ = writeln!(out, "{} of them are mended by `magus lint --fix`", words::thousands(fixable));
        }
    }
    out
}
