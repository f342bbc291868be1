//! What a repository has: branches, commits, and how they lie to one another.

use std::collections::BTreeMap;

use git2::{BranchType, ErrorCode, ObjectType, Oid, Repository};

use crate::place::Unread;

/// The shortest prefix of a commit that counts as one, as in git.
const SHORTEST: usize = 4;

/// The repository of the pipelines' code, as it was when it was opened.
pub struct Code {
    repository: Repository,
    branches: BTreeMap<String, Oid>,
}

/// Why a text names no commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotFound {
    /// No commit and no tag is called like that.
    Unknown,
    /// Several commits begin like that.
    Ambiguous,
}

impl Code {
    /// Reads the heads of all branches.
    pub(crate) fn read(repository: Repository) -> Result<Self, Unread> {
        let failed = |error: git2::Error| Unread::Failed {
            message: format!("its branches cannot be read: {}", error.message().to_lowercase()),
            help: format!("`git -C {} branch` tells more", repository.path().display()),
        };
        let mut branches = BTreeMap::new();
        for branch in repository.branches(Some(BranchType::Local)).map_err(failed)? {
            let (branch, _) = branch.map_err(failed)?;
            // A branch whose name is no UTF-8 can be declared by nobody.
            let Ok(Some(name)) = branch.name().map(|name| name.map(str::to_owned)) else { continue };
            if let Ok(commit) = branch.get().peel(ObjectType::Commit) {
                branches.insert(name, commit.id());
            }
        }
        Ok(Self { repository, branches })
    }

    /// The names of its branches.
    pub fn branches(&self) -> impl Iterator<Item = &str> {
        self.branches.keys().map(String::as_str)
    }

    /// Whether it has this branch.
    pub fn has_branch(&self, name: &str) -> bool {
        self.branches.contains_key(name)
    }

    /// The commit that a full or short number, or a tag, names: its full number.
    ///
    /// # Errors
    /// Where there is none, or more than one.
    pub fn commit(&self, text: &str) -> Result<String, NotFound> {
        let is_number = text.len() >= SHORTEST && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let by_number = is_number.then(|| self.repository.find_commit_by_prefix(text));
        match by_number {
            Some(Ok(commit)) => return Ok(commit.id().to_string()),
            Some(Err(error)) if error.code() == ErrorCode::Ambiguous => return Err(NotFound::Ambiguous),
            _ => {}
        }
        let tag = self.repository.find_reference(&format!("refs/tags/{text}"));
        let commit = tag.and_then(|tag| tag.peel(ObjectType::Commit));
        commit.map(|commit| commit.id().to_string()).map_err(|_| NotFound::Unknown)
    }

    /// Whether a commit is on a branch: its head, or before it. False where either is not there.
    pub fn is_on(&self, commit: &str, branch: &str) -> bool {
        let (Ok(commit), Some(head)) = (Oid::from_str(commit), self.branches.get(branch)) else {
            return false;
        };
        commit == *head || self.repository.graph_descendant_of(*head, commit).unwrap_or(false)
    }

    /// How many commits of one branch another one lacks; nothing where a branch is not there, or nobody can say.
    pub fn lacking(&self, branch: &str, lacks: &str) -> Option<usize> {
        let (of, other) = (self.branches.get(branch)?, self.branches.get(lacks)?);
        self.repository.graph_ahead_behind(*of, *other).ok().map(|(ahead, _)| ahead)
    }
}
