//! Where something was written: byte ranges in source files, and the lines and columns that people read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::effort;

/// Index of a file in [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A byte range in a source file. Offsets count bytes of the file as it lies on disk, a byte order mark included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file, or [`Span::BUILT_IN`]'s.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// First byte after it.
    pub end: u32,
}

impl Span {
    /// The place of what nobody wrote: defaults that are built into Magus.
    pub const BUILT_IN: Span = Span { file: FileId(u32::MAX), start: 0, end: 0 };

    /// A range in a file.
    pub fn new(file: FileId, start: u32, end: u32) -> Self {
        Self { file, start, end }
    }

    /// The empty range at the start of a file: for findings about the file as a whole.
    pub fn start_of(file: FileId) -> Self {
        Self { file, start: 0, end: 0 }
    }

    /// Whether `other` lies inside this range of the same file.
    pub fn contains(self, other: Span) -> bool {
        self.file == other.file && self.start <= other.start && other.end <= self.end
    }
}

/// A place as people read it. Lines and columns count from 1, columns in Unicode scalar values; a byte order mark has no column.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// The path, relative to the working directory, with `/`.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A source file: its path as it is shown, its text, and where its lines begin.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// The path as it is shown: relative to the working directory, with `/`.
    pub path: Arc<str>,
    /// The whole text. For a file that is not UTF-8, its valid beginning.
    pub text: Arc<str>,
    /// Byte offset at which each line begins; the first is 0.
    line_starts: Vec<u32>,
    /// How many characters begin before each [`BLOCK`]; empty where every character is one byte.
    characters: Vec<u32>,
}

/// Bytes between two places at which the number of characters is known, so that a column far into a long line need not be counted from its
/// beginning.
const BLOCK: usize = 256;

impl SourceFile {
    /// Indexes the lines of a text. A line ends at `\n`, `\r\n` or a lone `\r`.
    pub fn new(path: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let bytes = text.as_bytes();
        let mut line_starts = vec![0];
        for (at, byte) in bytes.iter().enumerate() {
            let ends_line = *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
            if ends_line {
                line_starts.push(offset(at + 1));
            }
        }
        let characters = if text.is_ascii() { Vec::new() } else { characters(bytes) };
        Self { path: path.into(), text, line_starts, characters }
    }

    /// How many characters begin before a byte.
    fn characters_before(&self, at: usize) -> usize {
        let Some(known) = self.characters.get(at / BLOCK) else { return at };
        let bytes = &self.text.as_bytes()[at / BLOCK * BLOCK..at];
        effort::spend(bytes.len());
        *known as usize + bytes.iter().filter(|byte| begins_character(**byte)).count()
    }

    /// Line and column of a byte offset, both from 1. An offset past the end is the end.
    pub fn line_column(&self, at: u32) -> (u32, u32) {
        let line = self.line_starts.partition_point(|start| *start <= at).max(1) - 1;
        let start = self.line_starts[line] as usize;
        let mut end = (at as usize).min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let mark = usize::from(line == 0 && end > 0 && self.text.starts_with('\u{feff}'));
        let columns = self.characters_before(end.max(start)) - self.characters_before(start) - mark;
        effort::spend(1);
        (offset(line + 1), offset(columns + 1))
    }

    /// The text of a line (from 1) without its line end.
    pub fn line(&self, line: u32) -> &str {
        let at = (line as usize).saturating_sub(1);
        let Some(start) = self.line_starts.get(at).map(|start| *start as usize) else { return "" };
        let end = self.line_starts.get(at + 1).map_or(self.text.len(), |end| *end as usize);
        self.text.get(start..end).unwrap_or("").trim_end_matches(['\n', '\r'])
    }

    /// Number of lines, at least 1.
    pub fn line_count(&self) -> u32 {
        offset(self.line_starts.len())
    }

    /// Byte offset at which a line (from 1) begins; the end of the text for a line past the last.
    pub fn line_start(&self, line: u32) -> u32 {
        let at = (line as usize).saturating_sub(1);
        self.line_starts.get(at).copied().unwrap_or_else(|| offset(self.text.len()))
    }
}

/// How many characters begin before each block of a text, and before its end.
fn characters(bytes: &[u8]) -> Vec<u32> {
    let mut before = 0;
    let blocks = bytes.chunks(BLOCK).map(|block| {
        let known = before;
        before += block.iter().filter(|byte| begins_character(**byte)).count();
        offset(known)
    });
    let mut characters: Vec<u32> = blocks.collect();
    characters.push(offset(before));
    characters
}

fn begins_character(byte: u8) -> bool {
    byte & 0xc0 != 0x80
}

/// Files are refused above 1 MiB, so that every offset and count in one fits.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// All source files of a run, by [`FileId`].
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    /// The sources of a list of files; the first is `FileId(0)`.
    pub fn new(files: Vec<SourceFile>) -> Self {
        Self { files }
    }

    /// Adds a file and says which it is.
    pub fn add(&mut self, file: SourceFile) -> FileId {
        self.files.push(file);
        FileId(offset(self.files.len() - 1))
    }

    /// The file, unless the id is that of [`Span::BUILT_IN`].
    pub fn file(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    /// All files in order of their ids.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// The source text of a span; empty for what is built in.
    pub fn slice(&self, span: Span) -> &str {
        self.file(span.file)
            .and_then(|file| file.text.get(span.start as usize..span.end as usize))
            .unwrap_or("")
    }

    /// The place where a span begins; nothing for what is built in.
    pub fn origin(&self, span: Span) -> Option<Origin> {
        let file = self.file(span.file)?;
        let (line, column) = file.line_column(span.start);
        Some(Origin { file: Arc::clone(&file.path), line, column })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_any_line_end_and_columns_count_characters() {
        let file = SourceFile::new("a.yaml", "\u{feff}a: ü\r\nb: 1\rc\n");
        assert_eq!(file.line_column(3), (1, 1), "the byte order mark has no column");
        assert_eq!(file.line_column(8), (1, 5));
        assert_eq!(file.line_column(10), (2, 1));
        assert_eq!(file.line_column(15), (3, 1));
        assert_eq!(file.line_column(99), (4, 1));
        assert_eq!(
            (file.line(1), file.line(2), file.line(3), file.line(4)),
            ("\u{feff}a: ü", "b: 1", "c", "")
        );
    }

    #[test]
    fn columns_far_into_a_long_line_count_characters() {
        let long = "aü漢🎉".repeat(400);
        let file = SourceFile::new("a.yaml", format!("ü\n{long}"));
        for (columns, (at, _)) in long.char_indices().enumerate() {
            assert_eq!(file.line_column((at + 3) as u32), (2, columns as u32 + 1));
        }
        assert_eq!(file.line_column(file.text.len() as u32), (2, 1601));
    }
}
