//! What a deploy brings and takes away, in lines.

use magus_model::plan::{Commit, Deploy, Movement};

use crate::{escape, words::count};

/// How many digits of a commit are shown.
const DIGITS: usize = 10;

/// A commit, short.
pub(crate) fn short(commit: &str) -> String {
    escape::line(commit.get(..DIGITS).unwrap_or(commit)).into_owned()
}

/// A commit, in a line.
pub(crate) fn commit_line(symbol: &str, Commit { id, title, author }: &Commit) -> String {
    format!("{symbol} {} {} ({})", short(id), escape::line(title), escape::line(author))
}

/// From which code to which.
pub(super) fn from_to(deploy: &Deploy) -> (String, String) {
    (deploy.from.as_deref().map_or("nothing".to_owned(), short), short(&deploy.to))
}

/// What lies between, a line each, ready to be shown.
pub(super) fn between(deploy: &Deploy) -> Vec<String> {
    let Some(Movement { ahead, behind, commits, files, requirements }) = &deploy.movement else {
        return Vec::new();
    };
    let (symbol, all) = if *ahead == 0 && *behind > 0 { ("-", *behind) } else { ("+", (*ahead).max(1)) };
    let mut lines: Vec<String> = commits.iter().map(|commit| commit_line(symbol, commit)).collect();
    let more = all.saturating_sub(commits.len());
    if more > 0 {
        lines.push(format!("{symbol} and {more} more"));
    }
    if *ahead > 0 && *behind > 0 {
        lines.push(format!("- {} of what runs", count(*behind, "commit")));
    }
    if deploy.from.is_some() {
        if *files == 0 {
            lines.push("no file differs".to_owned());
            return lines;
        }
        let differ = if *files == 1 { "differs" } else { "differ" };
        let packages = if *requirements { ", `requirements.txt` among them" } else { "" };
        lines.push(format!("{} {differ}{packages}", count(*files, "file")));
    }
    lines
}
