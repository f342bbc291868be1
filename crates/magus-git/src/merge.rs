//! Merges in memory: what one branch would become with all that another one has, without a work tree.

use std::ops::ControlFlow;

use git2::{ErrorCode, Index, IndexEntry, MergeOptions, Oid, Signature};

use crate::{code::Code, place::Unread, unknown::Unknown, walk::walk};

/// What merging one commit into another comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// The target has everything already.
    Nothing,
    /// The target only has to move on.
    FastForward,
    /// Both have something, and it goes together: the tree of both, to be committed.
    Tree(String),
    /// Both changed the same, differently.
    Conflicts(Vec<Conflict>),
}

/// A file that both sides changed, in three versions; a side that does not have it has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Its path.
    pub path: String,
    /// Where both come from.
    pub base: Option<Vec<u8>>,
    /// Of the target.
    pub target: Option<Vec<u8>>,
    /// Of the source.
    pub source: Option<Vec<u8>>,
}

impl Code {
    /// What merging the commit `source` into the commit `target` comes to.
    ///
    /// # Errors
    /// Where one of them is not there.
    pub fn merge(&self, source: &str, target: &str) -> Result<Merge, Unread> {
        let failed = |error: git2::Error| self.failed("cannot be merged", &error);
        let (from, into) = (Oid::from_str(source).map_err(failed)?, Oid::from_str(target).map_err(failed)?);
        let unknown = |why: Unknown| Unread::Failed { message: why.to_string(), help: why.help() };
        let (ahead, behind) = self.ahead_behind(from, into).map_err(unknown)?;
        if ahead == 0 {
            return Ok(Merge::Nothing);
        }
        if behind == 0 {
            return Ok(Merge::FastForward);
        }
        let commit = |id| self.repository.find_commit(id).map_err(failed);
        let (from, into) = (commit(from)?, commit(into)?);
        self.check_depth(&from)?;
        self.check_depth(&into)?;
        let mut index = self
            .repository
            .merge_commits(&into, &from, Some(MergeOptions::new().find_renames(true)))
            .map_err(|error| unknown(self.completeness.unreadable(&error)))?;
        if !index.has_conflicts() {
            let tree = index.write_tree_to(&self.repository).map_err(failed)?;
            return Ok(Merge::Tree(tree.to_string()));
        }
        let conflicts = self.conflicts(&index);
        conflicts.map(Merge::Conflicts).map_err(|error| unknown(self.completeness.unreadable(&error)))
    }

    /// Refuses a commit over whose folders libgit2 would recurse too deeply when it writes the merge.
    fn check_depth(&self, commit: &git2::Commit<'_>) -> Result<(), Unread> {
        let tree = commit.tree();
        let unlisted = tree.and_then(|tree| walk(&self.repository, &tree, |_, _| ControlFlow::Continue(())));
        let unlisted = unlisted.map_err(|error| {
            let why = self.completeness.unreadable(&error);
            Unread::Failed { message: why.to_string(), help: why.help() }
        })?;
        let Some(unlisted) = unlisted else { return Ok(()) };
        let path = self.repository.path().display();
        Err(Unread::Failed {
            message: format!("the commit `{}` cannot be merged: {unlisted}", commit.id()),
            help: format!("`git -C '{path}' ls-tree -r {}` lists its files", commit.id()),
        })
    }

    fn conflicts(&self, index: &Index) -> Result<Vec<Conflict>, git2::Error> {
        let content = |entry: &Option<IndexEntry>| -> Result<Option<Vec<u8>>, git2::Error> {
            let Some(entry) = entry else { return Ok(None) };
            self.repository.find_blob(entry.id).map(|blob| Some(blob.content().to_owned()))
        };
        let mut conflicts = Vec::new();
        for conflict in index.conflicts()? {
            let git2::IndexConflict { ancestor, our, their } = conflict?;
            let path = [&our, &their, &ancestor].into_iter().flatten().next();
            let path = path.map(|entry| String::from_utf8_lossy(&entry.path).into_owned());
            conflicts.push(Conflict {
                path: path.unwrap_or_default(),
                base: content(&ancestor)?,
                target: content(&our)?,
                source: content(&their)?,
            });
        }
        conflicts.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(conflicts)
    }

    /// Commits the tree of a merge, on no branch yet: its full number. The author is who git says runs this.
    ///
    /// # Errors
    /// Where git does not say, or the repository cannot be written.
    pub fn commit_merge(
        &self,
        tree: &str,
        target: &str,
        source: &str,
        message: &str,
    ) -> Result<String, Unread> {
        let author = self.author()?;
        let failed = |error: git2::Error| self.failed("cannot be written", &error);
        let find = |id: &str| Oid::from_str(id).and_then(|id| self.repository.find_commit(id));
        let (target, source) = (find(target).map_err(failed)?, find(source).map_err(failed)?);
        let tree = Oid::from_str(tree).and_then(|id| self.repository.find_tree(id)).map_err(failed)?;
        let made = self.repository.commit(None, &author, &author, message, &tree, &[&target, &source]);
        made.map(|id| id.to_string()).map_err(failed)
    }

    fn author(&self) -> Result<Signature<'static>, Unread> {
        self.repository.signature().map_err(|error| match error.code() {
            ErrorCode::NotFound => Unread::Failed {
                message: "git does not know who commits the merge".to_owned(),
                help: "git config --global user.name NAME, and user.email ADDRESS".to_owned(),
            },
            _ => self.failed("does not say who commits", &error),
        })
    }

    fn failed(&self, what: &str, error: &git2::Error) -> Unread {
        let path = self.repository.path().display();
        Unread::Failed {
            message: format!("`{path}` {what}: {}", error.message().to_lowercase()),
            help: format!("`git -C '{path}' fsck` tells more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use git2::Repository;

    use super::*;
    use crate::testing::{self, commit_files, repository};

    const FILE: u32 = 0o100_644;

    #[test]
    fn branches_are_merged_without_a_work_tree() {
        let (_folder, repository) = repository();
        let files =
            |x: &'static str, y: &'static str| [("a/x", FILE, x), ("a/y", FILE, y), ("a/z", FILE, "z")];
        let base = commit_files(&repository, "base", &[], &files("1", "1"));
        let source = commit_files(&repository, "source", &[base], &files("2", "1"));
        let apart = commit_files(&repository, "apart", &[base], &files("1", "2"));
        let against = commit_files(&repository, "against", &[base], &files("3", "1"));
        let removed = commit_files(&repository, "removed", &[base], &files("1", "1")[1..]);
        let code = testing::code(Repository::open(repository.path()).unwrap());
        let merge = |from: Oid, into: Oid| code.merge(&from.to_string(), &into.to_string()).unwrap();
        assert_eq!(merge(base, source), Merge::Nothing);
        assert_eq!(merge(source, source), Merge::Nothing);
        assert_eq!(merge(source, base), Merge::FastForward);
        let bytes = |text: &str| Some(text.as_bytes().to_owned());
        let conflict = |target, source| Conflict { path: "a/x".to_owned(), base: bytes("1"), target, source };
        assert_eq!(merge(source, against), Merge::Conflicts(vec![conflict(bytes("3"), bytes("2"))]));
        assert_eq!(merge(source, removed), Merge::Conflicts(vec![conflict(None, bytes("2"))]));

        let Merge::Tree(tree) = merge(source, apart) else { panic!("it goes together") };
        let mut config = repository.config().unwrap();
        config.set_str("user.name", "Ana").unwrap();
        config.set_str("user.email", "ana@example.com").unwrap();
        let made = code.commit_merge(&tree, &apart.to_string(), &source.to_string(), "Both\n").unwrap();
        let made = repository.find_commit(Oid::from_str(&made).unwrap()).unwrap();
        assert_eq!((made.parent_id(0).unwrap(), made.parent_id(1).unwrap()), (apart, source));
        let of = |path: &str| {
            let tree = made.tree().unwrap();
            let entry = tree.get_path(std::path::Path::new(path)).unwrap();
            repository.find_blob(entry.id()).unwrap().content().to_owned()
        };
        assert_eq!((of("a/x"), of("a/y"), of("a/z")), (b"2".to_vec(), b"2".to_vec(), b"z".to_vec()));
        assert!(code.merge(&"1".repeat(40), &base.to_string()).is_err());
    }
}
