//! The part of a source file that a finding shows: a few lines, harmless, with probable secrets blotted out.

use std::{collections::HashMap, ops::Range};

use magus_model::{
    diagnostic::Diagnostic,
    effort, rules,
    span::{FileId, SourceFile, Span},
};

use crate::escape;

/// What stands in for each character of a probable secret.
const BLOT: char = '*';

/// Places that no output may show, by file and in order.
#[derive(Debug, Default)]
pub(super) struct Blots(HashMap<FileId, Vec<Range<usize>>>);

impl Blots {
    /// The places of all findings that found a literal secret: other findings may show the same line.
    pub(super) fn new(diagnostics: &[Diagnostic]) -> Self {
        let mut blots = HashMap::<FileId, Vec<Range<usize>>>::new();
        for found in diagnostics.iter().filter(|found| found.rule.code == rules::SECRET_LITERAL.code) {
            let range = found.span.start as usize..found.span.end as usize;
            blots.entry(found.span.file).or_default().push(range);
        }
        for ranges in blots.values_mut() {
            ranges.sort_by_key(|range| (range.start, range.end));
            // Ranges that touch become one, so that they end in the order in which they begin.
            ranges.dedup_by(|next, kept| {
                let touches = next.start <= kept.end;
                kept.end = if touches { kept.end.max(next.end) } else { kept.end };
                touches
            });
        }
        Self(blots)
    }

    fn of(&self, file: FileId) -> &[Range<usize>] {
        self.0.get(&file).map_or(&[], Vec::as_slice)
    }
}

/// Some whole lines of a file.
#[derive(Debug)]
pub(super) struct Window {
    /// The number of the first line.
    pub(super) first_line: u32,
    /// The lines, joined by `\n`.
    pub(super) text: String,
    /// Where the text and the file go apart: byte in the file, byte in the text. In order.
    steps: Vec<(usize, usize)>,
}

impl Window {
    /// The lines `lines` (from 1, the end is included) of a file.
    pub(super) fn new(file: &SourceFile, id: FileId, lines: Range<u32>, blots: &Blots) -> Self {
        let mut window = Self { first_line: lines.start, text: String::new(), steps: Vec::new() };
        let start = file.line_start(lines.start) as usize;
        let end = file.line_start(lines.end.saturating_add(1)) as usize;
        let blots = blots.of(id);
        let from = blots.partition_point(|blot| blot.end <= start);
        let to = blots.partition_point(|blot| blot.start < end).max(from);
        let blots = &blots[from..to];
        for line in lines.start..=lines.end.min(file.line_count()) {
            if line > lines.start {
                window.text.push('\n');
            }
            window.push_line(file.line(line), file.line_start(line) as usize, blots);
        }
        window
    }

    fn push_line(&mut self, line: &str, start: usize, blots: &[Range<usize>]) {
        self.steps.push((start, self.text.len()));
        effort::spend(line.len());
        let mut blots = blots;
        for (at, c) in line.char_indices() {
            let at = start + at;
            while let [first, after @ ..] = blots
                && first.end <= at
            {
                blots = after;
            }
            // One character for one, so that columns are still those of the file.
            let shown = if blots.first().is_some_and(|blot| blot.contains(&at)) {
                Some(BLOT)
            } else if c == '\u{feff}' && at == 0 {
                None
            } else if c != '\t' && escape::is_dangerous(c) {
                Some(char::REPLACEMENT_CHARACTER)
            } else {
                Some(c)
            };
            self.text.extend(shown);
            if shown != Some(c) {
                self.steps.push((at + c.len_utf8(), self.text.len()));
            }
        }
        // The line end, of one or two bytes, is the end of the line.
        let end = start + line.len();
        self.steps.extend([(end, self.text.len()), (end + 1, self.text.len())]);
    }

    /// The range in the text that a span of the file has.
    pub(super) fn range(&self, span: Span) -> Range<usize> {
        let start = self.offset(span.start as usize);
        start..self.offset(span.end as usize).max(start)
    }

    fn offset(&self, at: usize) -> usize {
        let next = self.steps.partition_point(|(from, _)| *from <= at);
        let Some((from, to)) = next.checked_sub(1).and_then(|step| self.steps.get(step)) else { return 0 };
        let end = self.steps.get(next).map_or(self.text.len(), |(_, to)| *to);
        let mut offset = if next == self.steps.len() { *to } else { (to + (at - from)).min(end) };
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_survive_what_is_blotted_and_replaced() {
        let file = SourceFile::new("a.yaml", "\u{feff}x: \u{1b}\u{9b}y\r\nkey: hunter2 # ü\r\nlast: 1\n");
        let text = file.text.clone();
        let span = |part: &str| {
            let start = text.find(part).expect("part of the text");
            Span::new(FileId(0), start as u32, (start + part.len()) as u32)
        };
        let secret = Diagnostic::new(&rules::SECRET_LITERAL, span("hunter2"), "a literal");
        let window = Window::new(&file, FileId(0), 1..3, &Blots::new(&[secret]));
        assert_eq!(window.text, "x: ��y\nkey: ******* # ü\nlast: 1");
        for (part, shown) in [
            ("y\r", "y"),
            ("hunter2", "*******"),
            ("# ü", "# ü"),
            ("last", "last"),
            ("unter", "*****"),
            ("x", "x"),
        ] {
            assert_eq!(&window.text[window.range(span(part))], shown, "{part}");
        }
        assert_eq!(window.range(Span::new(FileId(0), 9_999, 9_999)).end, window.text.len());
    }

    #[test]
    fn a_secret_of_many_lines_is_blotted_in_each() {
        let file = SourceFile::new("a.yaml", "key: |\n  BEGIN\n  aaaa\nother: 1\n");
        let secret = Diagnostic::new(&rules::SECRET_LITERAL, Span::new(FileId(0), 5, 21), "a literal");
        let window = Window::new(&file, FileId(0), 1..4, &Blots::new(&[secret]));
        assert_eq!(window.text, "key: *\n*******\n******\nother: 1");
    }
}
