//! Which findings stay, and how much they matter: `lint` settings, `# magus: ignore[…]`, and the order.
//!
//! What a rule of the groups 0 and 1 finds was not read, or cannot be what was meant; without an error the rest would
//! be taken for everything that is declared, and what is missing for removed. These rules are therefore errors
//! whatever `lint` and comments say, but for the few of [`may_be_lowered`].

use std::collections::{BTreeMap, HashMap};

use magus_load::{Comment, CommentKind, Loaded};
use magus_model::{
    Text,
    diagnostic::{self, Diagnostic, Fix, Severity},
    effort,
    rules::{self, RULES, Rule},
    span::{FileId, SourceFile, Span},
};

use crate::{Resolution, suggest};

/// Findings as they are shown.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The findings that stay, with the severities that hold, in the order in which they are shown.
    pub diagnostics: Vec<Diagnostic>,
    /// The rules that `lint` makes matter less than they do by default, ordered by code.
    pub lowered: Vec<Lowered>,
}

/// A rule that `lint` makes matter less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lowered {
    /// The rule.
    pub rule: &'static Rule,
    /// Its default severity.
    pub from: Severity,
    /// What it is set to; nothing for `off`.
    pub to: Option<Severity>,
    /// Where that is written.
    pub span: Span,
}

/// Whether `lint` and comments count for a rule: see the module.
pub(crate) fn may_be_lowered(rule: &Rule) -> bool {
    let structural = rule.code.starts_with("MG0") || rule.code.starts_with("MG1");
    let harmless = [&rules::STAGE_GAP, &rules::OVERRIDE_NOT_ALLOWED, &rules::STRAY_FILE];
    !structural || harmless.contains(&rule)
}

/// Decides about the findings of loading, of the schemas and of [`crate::resolve`] together.
pub fn settle(diagnostics: Vec<Diagnostic>, loaded: &Loaded, resolution: &Resolution) -> Settled {
    let mut ignores: BTreeMap<FileId, Ignores<'_>> = BTreeMap::new();
    for file in &resolution.comments {
        let found: Vec<Ignore<'_>> = file.comments.iter().filter_map(Ignore::of).collect();
        if let Some(source) = loaded.sources.file(file.file).filter(|_| !found.is_empty()) {
            ignores.insert(file.file, Ignores::new(found, source));
        }
    }
    let setting = |diagnostic: &Diagnostic| {
        let settings = match loaded.files.binary_search_by_key(&diagnostic.span.file, |file| file.id) {
            Ok(at) => resolution.lint.of(&loaded.files[at].role),
            Err(_) => &resolution.lint.root,
        };
        settings.get(diagnostic.rule.code).map(|(severity, _)| *severity)
    };
    let decide = |mut diagnostic: Diagnostic| -> Option<Diagnostic> {
        match setting(&diagnostic) {
            Some(Some(severity)) if may_be_lowered(diagnostic.rule) => diagnostic.severity = severity,
            None | Some(Some(_)) => {}
            Some(None) if may_be_lowered(diagnostic.rule) => return None,
            Some(None) => {}
        }
        Some(diagnostic)
    };

    let mut kept: Vec<Diagnostic> = Vec::with_capacity(diagnostics.len());
    for diagnostic in diagnostics {
        let mut silenced = false;
        if let Some(file) = loaded.sources.file(diagnostic.span.file)
            && may_be_lowered(diagnostic.rule)
        {
            silenced =
                ignores.get_mut(&diagnostic.span.file).is_some_and(|all| all.silence(&diagnostic, file));
        }
        if !silenced {
            kept.extend(decide(diagnostic));
        }
    }
    let unparsed = |file: &FileId| {
        let at = resolution.comments.binary_search_by_key(file, |comments| comments.file);
        at.is_ok_and(|at| !resolution.comments[at].parses)
    };
    for (file, ignores) in &ignores {
        let Some(source) = loaded.sources.file(*file).filter(|_| !unparsed(file)) else { continue };
        kept.extend(ignores.all.iter().flat_map(|ignore| ignore.unused(source)).filter_map(decide));
    }
    diagnostic::sort(&mut kept, &loaded.sources);
    Settled { diagnostics: kept, lowered: lowered(resolution) }
}

fn lowered(resolution: &Resolution) -> Vec<Lowered> {
    let settings = std::iter::once(&resolution.lint.root).chain(resolution.lint.environments.values());
    let mut lowered: Vec<Lowered> = settings
        .flatten()
        .filter_map(|(code, (to, span))| {
            let rule = rules::find(code).filter(|rule| may_be_lowered(rule))?;
            (*to < Some(rule.severity)).then_some(Lowered { rule, from: rule.severity, to: *to, span: *span })
        })
        .collect();
    lowered.sort_by_key(|lowered| (lowered.rule.code, lowered.span));
    lowered.dedup();
    lowered
}

/// The places of each code among the ignores: for a line, or for the whole file if there is none. A place is that of the
/// ignore, and that of the code in it.
type CodePlaces<'a> = HashMap<(Option<u32>, &'a str), Vec<(usize, usize)>>;

/// The comments of a file that silence, by what they speak about and the code.
struct Ignores<'a> {
    all: Vec<Ignore<'a>>,
    /// The places in `all` of each code, and in the comment: for a line, or for the file as a whole.
    by_code: CodePlaces<'a>,
}

impl<'a> Ignores<'a> {
    fn new(all: Vec<Ignore<'a>>, file: &SourceFile) -> Self {
        let mut by_code: CodePlaces<'a> = HashMap::new();
        let top = last_line_of_comments(file);
        for (at, ignore) in all.iter().enumerate() {
            for (place, (code, ..)) in ignore.codes.iter().enumerate() {
                let mut add = |line| by_code.entry((line, code.as_str())).or_default().push((at, place));
                add(Some(ignore.comment.target));
                if ignore.comment.line <= top {
                    add(None);
                }
            }
        }
        // Of a code that is there twice in one comment, the second is unused.
        for places in by_code.values_mut() {
            places.dedup_by_key(|(at, _)| *at);
        }
        Self { all, by_code }
    }

    /// Whether one of them silences a finding of its file. Each that does is remembered, so that none that means this finding counts as
    /// unused.
    fn silence(&mut self, diagnostic: &Diagnostic, file: &SourceFile) -> bool {
        let whole_file = diagnostic.span == Span::start_of(diagnostic.span.file);
        let line = (!whole_file).then(|| file.line_column(diagnostic.span.start).0);
        let Some(places) = self.by_code.get_mut(&(line, diagnostic.rule.code)) else { return false };
        // What was remembered once need not be again.
        for (at, place) in std::mem::take(places) {
            effort::spend(1);
            self.all[at].codes[place].2 = true;
        }
        true
    }
}

/// A comment that silences.
struct Ignore<'a> {
    comment: &'a Comment,
    /// The codes, each with whether it silenced anything.
    codes: Vec<(&'a Text, Span, bool)>,
}

impl<'a> Ignore<'a> {
    fn of(comment: &'a Comment) -> Option<Self> {
        match &comment.kind {
            CommentKind::Ignore { codes, .. } => {
                let codes = codes.iter().map(|(code, span)| (code, *span, false)).collect();
                Some(Self { comment, codes })
            }
            CommentKind::Modeline { .. } => None,
        }
    }

    fn unused(&self, file: &SourceFile) -> Vec<Diagnostic> {
        let all = self.codes.iter().all(|(_, _, used)| !used);
        let unused = self.codes.iter().filter(|(_, _, used)| !used);
        unused
            .map(|(code, span, _)| {
                let rule = rules::find(code);
                let message = match rule {
                    None => format!("there is no rule `{code}`"),
                    Some(rule) if !may_be_lowered(rule) => format!("`{code}` cannot be silenced"),
                    Some(_) => format!("`{code}` finds nothing here"),
                };
                let finding = Diagnostic::new(&rules::UNUSED_IGNORE, *span, message);
                let finding = match rule {
                    None => match suggest::closest(code, RULES.iter().map(|rule| rule.code)) {
                        Some(close) => finding.help(format!("did you mean `{close}`?")),
                        None => finding.help("`docs/rules/README.md` lists the rules"),
                    },
                    Some(rule) if !may_be_lowered(rule) => {
                        finding.help("while it is there, not everything that is declared is known: mend it")
                    }
                    Some(_) => finding.help("remove it; `magus lint --fix` does"),
                };
                if all && rule.is_some_and(may_be_lowered) {
                    finding.fix(Fix::Edit(vec![(removal(self.comment.span, file), String::new())]))
                } else {
                    finding
                }
            })
            .collect()
    }
}

/// The last line before which nothing but comments stands: a comment there may speak about the file as a whole.
fn last_line_of_comments(file: &SourceFile) -> u32 {
    let first_content = (1..=file.line_count()).find(|line| {
        let line = file.line(*line).trim_start_matches('\u{feff}').trim_start();
        !(line.is_empty() || line.starts_with('#') || line.trim_end() == "---")
    });
    first_content.unwrap_or(u32::MAX)
}

/// What to delete so that a comment is gone: its line where nothing else is on it, else the blanks before it too.
fn removal(comment: Span, file: &SourceFile) -> Span {
    let text = &file.text;
    let (line, _) = file.line_column(comment.start);
    let (begin, end) = (file.line_start(line), file.line_start(line + 1));
    let before = text.get(begin as usize..comment.start as usize).unwrap_or("");
    if before.trim().is_empty() {
        return Span::new(comment.file, begin, end);
    }
    let blanks = before.len() - before.trim_end().len();
    Span::new(comment.file, comment.start - u32::try_from(blanks).unwrap_or(0), comment.end)
}
