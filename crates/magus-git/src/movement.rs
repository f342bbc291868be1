//! What lies between two commits, for people who have to decide.

use git2::{Commit, Oid, Sort};
use magus_model::plan::{self, Movement};

use crate::code::Code;

/// How many characters of a title or a name are told.
const LONGEST: usize = 100;

impl Code {
    /// A commit, for people; nothing where it is not there.
    pub fn told(&self, commit: &str) -> Option<plan::Commit> {
        Oid::from_str(commit).and_then(|id| self.repository.find_commit(id)).ok().map(|commit| told(&commit))
    }

    /// When a commit was made: seconds since 1970. Nothing where it is not there.
    pub fn committed_at(&self, commit: &str) -> Option<i64> {
        Some(self.repository.find_commit(Oid::from_str(commit).ok()?).ok()?.time().seconds())
    }

    /// How many commits one has that another one lacks, and the other way round; nothing where one is not there.
    pub fn apart(&self, one: &str, other: &str) -> Option<(usize, usize)> {
        let (one, other) = (Oid::from_str(one).ok()?, Oid::from_str(other).ok()?);
        self.repository.graph_ahead_behind(one, other).ok()
    }

    /// The commits that come and those that go when a workspace with the code of one commit, or none, gets that of another.
    /// Nothing where one of them is not there.
    pub fn movement(&self, from: Option<&str>, to: &str) -> Option<Movement> {
        let find = |id: &str| Oid::from_str(id).and_then(|id| self.repository.find_commit(id)).ok();
        let to = find(to)?;
        let Some(from) = from else {
            return Some(Movement { commits: vec![told(&to)], ..Movement::default() });
        };
        let from = find(from)?;
        let (ahead, behind) = self.repository.graph_ahead_behind(to.id(), from.id()).ok()?;
        let (newest, without) = if ahead > 0 { (&to, &from) } else { (&from, &to) };
        let mut walk = self.repository.revwalk().ok()?;
        walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME).ok()?;
        walk.push(newest.id()).ok()?;
        walk.hide(without.id()).ok()?;
        let commits = walk
            .take(Movement::SHOWN)
            .filter_map(|id| self.repository.find_commit(id.ok()?).ok().map(|commit| told(&commit)))
            .collect();
        Some(Movement { ahead, behind, commits, ..Movement::default() })
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
