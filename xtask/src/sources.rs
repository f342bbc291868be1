//! The repository's own files, as git lists them, and the part of a Rust file that is no test.

use std::path::{Path, PathBuf};

use crate::{
    process::{output, program},
    root,
};

/// A text file of the repository.
pub struct Source {
    /// Relative to the root, with `/`.
    pub path: String,
    pub text: String,
}

/// Every file that git tracks, or would track, and that is text.
pub fn sources() -> Result<Vec<Source>, String> {
    let words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = output(program(&words))?;
    let root = root();
    let mut sources = Vec::new();
    for path in listed.split_terminator('\0') {
        // A file that was deleted and not committed yet is still listed; one that is not UTF-8 is no text.
        if let Ok(text) = std::fs::read_to_string(root.join(path)) {
            sources.push(Source { path: path.to_owned(), text });
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources.dedup_by(|a, b| a.path == b.path);
    Ok(sources)
}

impl Source {
    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether it lies in this folder.
    pub fn is_within(&self, folder: &Path) -> bool {
        PathBuf::from(&self.path).starts_with(folder)
    }

    /// Whether it is part of what a crate is, and not of its tests, examples or benches.
    pub fn is_product(&self, folder: &Path) -> bool {
        let tests = ["/tests.rs", "_tests.rs"].iter().any(|end| self.path.ends_with(end))
            || self.path.contains("/tests/");
        self.is_rust() && !tests && self.is_within(&folder.join("src"))
    }

    /// The lines, numbered from 1, without comments and without the tests that end a file.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = lines.windows(2).position(|pair| {
            pair[0].trim() == "#[cfg(test)]"
                && pair[1].trim_start().starts_with("mod ")
                && pair[1].ends_with('{')
        });
        let end = tests.unwrap_or(lines.len());
        lines.into_iter().take(end).enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| {
            let line = line.trim_start();
            !line.starts_with("//")
        })
    }

    /// Whether any line of code, tests included, holds this word.
    pub fn names(&self, word: &str) -> bool {
        self.text.lines().any(|line| !line.trim_start().starts_with("//") && holds_word(line, word))
    }
}

/// Whether a line holds this text, and not as a part of longer names.
pub fn holds_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let mut from = 0;
    while let Some(at) = line[from..].find(word).map(|at| at + from) {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let ends_open = word.ends_with(':') || word.ends_with('!');
        if !before.is_some_and(part) && (ends_open || !after.is_some_and(part)) {
            return true;
        }
        from = at + word.len();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_only_as_a_whole() {
        assert!(holds_word("use std::fs;", "std::fs"));
        assert!(holds_word("println!(\"x\")", "println!"));
        assert!(!holds_word("eprintln!(\"x\")", "println!"));
        assert!(!holds_word("let serde_jsonx = 1;", "serde_json"));
        assert!(holds_word("serde_jsonx; serde_json::from_str", "serde_json"));
    }

    #[test]
    fn tests_and_comments_are_no_product() {
        let text = "//! std::env\nfn a() {}\n// std::env\n#[cfg(test)]\nmod tests {\n    use std::env;\n}\n";
        let source = Source { path: "crates/magus-plan/src/lib.rs".into(), text: text.into() };
        assert_eq!(source.code().collect::<Vec<_>>(), [(2, "fn a() {}")]);
        assert!(source.is_product("crates/magus-plan".as_ref()));
    }
}
