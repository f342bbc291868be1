//! What lies between two commits, for people who have to decide.

use git2::{Commit, Sort};
use magus_model::plan::{self, Movement};

use crate::{code::Code, unknown::Unknown};

/// How many characters of a title or a name are told.
const LONGEST: usize = 100;

impl Code {
    /// A commit, for people, and when it was made in seconds since 1970; `None` if it does not exist.
    ///
    /// # Errors
    /// If it may exist elsewhere, or cannot be read.
    pub fn told(&self, commit: &str) -> Result<Option<(plan::Commit, i64)>, Unknown> {
        Ok(self.find(commit)?.map(|commit| (told(&commit), commit.time().seconds())))
    }

    /// How many commits one has that another one lacks, and the other way round; `None` if one does not exist.
    ///
    /// # Errors
    /// If one may exist elsewhere, or the history that would tell is not there.
    pub fn apart(&self, one: &str, other: &str) -> Result<Option<(usize, usize)>, Unknown> {
        let (Some(one), Some(other)) = (self.find(one)?, self.find(other)?) else { return Ok(None) };
        self.ahead_behind(one.id(), other.id()).map(Some)
    }

    /// The commits that are added and removed when a workspace with the code of one commit, or none, gets that of another.
    /// `None` if one of them does not exist.
    ///
    /// # Errors
    /// If one may exist elsewhere, or the history between them is not there.
    pub fn movement(&self, from: Option<&str>, to: &str) -> Result<Option<Movement>, Unknown> {
        let unreadable = |error: git2::Error| self.completeness.unreadable(&error);
        let Some(to) = self.find(to)? else { return Ok(None) };
        let Some(from) = from else {
            return Ok(Some(Movement { commits: vec![told(&to)], ..Movement::default() }));
        };
        let Some(from) = self.find(from)? else { return Ok(None) };
        let (ahead, behind) = self.ahead_behind(to.id(), from.id())?;
        let (newest, without) = if ahead > 0 { (&to, &from) } else { (&from, &to) };
        let mut walk = self.repository.revwalk().map_err(unreadable)?;
        walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME)
            .and_then(|()| walk.push(newest.id()))
            .and_then(|()| walk.hide(without.id()))
            .map_err(unreadable)?;
        let commits = walk
            .take(Movement::SHOWN)
            .map(|id| self.repository.find_commit(id?).map(|commit| told(&commit)))
            .collect::<Result<_, _>>()
            .map_err(unreadable)?;
        Ok(Some(Movement { ahead, behind, commits, ..Movement::default() }))
    }
}

fn told(commit: &Commit<'_>) -> plan::Commit {
    let line = |bytes: &[u8]| {
        let whole = String::from_utf8_lossy(bytes);
        let line = whole.lines().next().unwrap_or_default().trim();
        let mut told: String = line.chars().take(LONGEST).collect();
        if told.len() < line.len() {
            told.push('…');
        }
        told.into()
    };
    plan::Commit {
        id: commit.id().to_string().into(),
        title: line(commit.message_bytes()),
        author: line(commit.author().name_bytes()),
    }
}

#[cfg(test)]
#[path = "movement_tests.rs"]
mod tests;
