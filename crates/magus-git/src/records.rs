//! Records on references of a remote: each is a commit with one file, and the reference moves by compare-and-swap alone.
//!
//! The repository is the user's own, with its remotes, credentials and settings; nothing of it changes but its objects and
//! the references that are named here.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use git2::{ErrorCode, Oid, Repository, Signature};
use magus_model::shell;
use magus_process::Limits;

use crate::{
    fetch::{LARGE, SMALL, failure, git, run, without_progress},
    place::untrusted,
    place::{Ssh, Unread},
    push::{Move, Pushed, move_reference},
};

/// How often a reference that others move is looked at.
const TRIES: usize = 10;
/// The name that the commits of records carry: who did what stands in the record.
const AUTHOR: &str = "magus";
/// No address: nobody answers there.
const EMAIL: &str = "magus@localhost";

/// A remote of a repository, as it is configured there.
pub struct Remote {
    repository: Repository,
    name: String,
    ssh: Ssh,
}

/// What is appended to a reference.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The name of its file.
    pub file: &'a str,
    /// What is in it.
    pub content: &'a str,
    /// One line for those who read the commits.
    pub title: &'a str,
    /// Seconds since 1970.
    pub time: i64,
}

impl Remote {
    /// The remote of this name of the repository that holds the folder.
    ///
    /// # Errors
    /// Where the folder is in no repository, or that has no such remote.
    pub fn of(folder: &Path, name: &str, ssh: Ssh) -> Result<Self, Unread> {
        let shown = folder.display();
        let repository = Repository::discover(folder).map_err(|error| match error.code() {
            ErrorCode::Owner => untrusted(folder),
            _ => Unread::Failed {
                message: format!("`{shown}` is in no git repository: {}", error.message().to_lowercase()),
                help: format!("`git -C {} status` tells more", shell::word(&shown.to_string())),
            },
        })?;
        // A URL would be taken for one by git: only what the user has configured is asked.
        if repository.find_remote(name).is_err() {
            return Err(Unread::Failed {
                message: format!("the repository of `{shown}` has no remote `{name}`"),
                help: format!(
                    "add it: `git -C {} remote add {} URL`",
                    shell::word(&shown.to_string()),
                    shell::word(name)
                ),
            });
        }
        Ok(Self { repository, name: name.to_owned(), ssh })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn git(&self) -> Command {
        let mut git = git(self.repository.path(), self.ssh);
        // Where a remote is a path that is not absolute, it starts at the work tree.
        git.current_dir(self.repository.workdir().unwrap_or(self.repository.path()));
        git
    }

    fn run(&self, arguments: &[&str], limits: Limits) -> Result<String, Unread> {
        let output = run(self.git().args(arguments), limits, &self.name, "read")?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(failure(&self.name, "read", &without_progress(&String::from_utf8_lossy(&output.stderr))))
    }

    /// What the references that begin like this are at, there.
    ///
    /// # Errors
    /// Where the remote is not reached.
    pub fn references(&self, pattern: &str) -> Result<Vec<(String, String)>, Unread> {
        let told = self.run(&["ls-remote", "--quiet", "--refs", "--", &self.name, pattern], SMALL)?;
        let lines = told.lines().filter_map(|line| line.split_once('\t'));
        Ok(lines.map(|(id, name)| (name.to_owned(), id.to_owned())).collect())
    }

    /// What a reference is at, there; nothing where it does not exist. Its commits are here afterwards.
    ///
    /// # Errors
    /// Where the remote is not reached, or the repository cannot be written.
    pub fn fetch(&self, reference: &str) -> Result<Option<String>, Unread> {
        let refspec = format!("+{reference}:{reference}");
        let mut last = None;
        for _ in 0..TRIES {
            let there = self.references(reference)?.into_iter().find(|(name, _)| name == reference);
            let Some((_, id)) = there else { return Ok(None) };
            if self.has(&id)? {
                return Ok(Some(id));
            }
            // Others move it meanwhile, or remove it: what counts is what is seen after it.
            let fetch = [
                "fetch",
                "--progress",
                "--no-tags",
                "--no-recurse-submodules",
                "--no-write-fetch-head",
                "--",
            ];
            last = self.run(&[&fetch[..], &[self.name.as_str(), &refspec]].concat(), LARGE).err();
        }
        Err(last.unwrap_or_else(|| Unread::Failed {
            message: format!("`{reference}` of `{}` moves all the time", self.name),
            help: "try again".to_owned(),
        }))
    }

    fn has(&self, id: &str) -> Result<bool, Unread> {
        match Oid::from_str(id).and_then(|id| self.repository.find_commit(id)) {
            Ok(_) => Ok(true),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(false),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    /// What a reference is at here, as it was fetched or pushed last.
    ///
    /// # Errors
    /// If the repository cannot be read.
    pub fn known(&self, reference: &str) -> Result<Option<String>, Unread> {
        match self.repository.refname_to_id(reference) {
            Ok(id) => Ok(Some(id.to_string())),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    /// Makes a record that follows `parent`; its commit. No reference moves.
    ///
    /// # Errors
    /// Where the repository cannot be written.
    pub fn write(&self, parent: Option<&str>, record: Record<'_>) -> Result<String, Unread> {
        let Record { file, content, title, time } = record;
        let made = || -> Result<Oid, git2::Error> {
            let repository = &self.repository;
            let mut tree = repository.treebuilder(None)?;
            tree.insert(file, repository.blob(content.as_bytes())?, 0o100_644)?;
            let tree = repository.find_tree(tree.write()?)?;
            let author = Signature::new(AUTHOR, EMAIL, &git2::Time::new(time, 0))?;
            let parent = parent.map(|id| repository.find_commit(Oid::from_str(id)?)).transpose()?;
            let parents: Vec<_> = parent.iter().collect();
            repository.commit(None, &author, &author, title, &tree, &parents)
        };
        made().map(|id| id.to_string()).map_err(|error| self.unwritten(&error))
    }

    /// Moves a reference there from what it was seen at; whether it was still there. Here it follows.
    ///
    /// # Errors
    /// Where the remote is not reached, or refuses it.
    pub fn swap(&self, reference: &str, from: Option<&str>, to: Option<&str>) -> Result<bool, Unread> {
        if move_reference(self.git(), &self.name, Move { reference, from, to }, SMALL)? == Pushed::Stale {
            return Ok(false);
        }
        // So that the objects stay, and are known where nobody asks the network.
        let followed = match to.map(Oid::from_str) {
            Some(Ok(id)) => self.repository.reference(reference, id, true, "magus").map(drop),
            Some(Err(error)) => Err(error),
            None => self.repository.find_reference(reference).and_then(|mut known| known.delete()),
        };
        // It is right there, which is what counts.
        let _ = followed;
        Ok(true)
    }

    /// The contents of the records up to this one, newest first; each is the only file of its commit.
    ///
    /// # Errors
    /// Where the repository does not have them.
    pub fn read(&self, last: &str) -> Result<Vec<String>, Unread> {
        let unread = |error: git2::Error| self.unreadable(&error);
        let mut records = Vec::new();
        let mut next = Some(Oid::from_str(last).map_err(unread)?);
        while let Some(id) = next {
            let commit = self.repository.find_commit(id).map_err(unread)?;
            let tree = commit.tree().map_err(unread)?;
            if let Some(entry) = tree.get(0) {
                let blob = self.repository.find_blob(entry.id()).map_err(unread)?;
                records.push(String::from_utf8_lossy(blob.content()).into_owned());
            }
            next = commit.parent_id(0).ok();
        }
        Ok(records)
    }

    fn place(&self) -> PathBuf {
        self.repository.workdir().unwrap_or(self.repository.path()).to_owned()
    }

    fn unwritten(&self, error: &git2::Error) -> Unread {
        let shown = self.place();
        Unread::Failed {
            message: format!("`{}` cannot be written: {}", shown.display(), error.message().to_lowercase()),
            help: "let the repository of the declarations be written".to_owned(),
        }
    }

    fn unreadable(&self, error: &git2::Error) -> Unread {
        let shown = self.place();
        Unread::Failed {
            message: format!(
                "a record in `{}` cannot be read: {}",
                shown.display(),
                error.message().to_lowercase()
            ),
            help: format!("`git -C {} fsck` tells more", shell::word(&shown.to_string_lossy())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: &str = "refs/magus/acme";

    fn record(content: &str) -> Record<'_> {
        Record { file: "entry.json", content, title: "t", time: 0 }
    }

    fn clone(folder: &Path, name: &str, bare: &Path) -> Remote {
        let path = folder.join(name);
        let repository = Repository::init(&path).unwrap();
        repository.remote("origin", bare.to_str().unwrap()).unwrap();
        Remote::of(&path, "origin", Ssh::Usual).unwrap()
    }

    #[test]
    fn a_reference_moves_only_from_where_it_was_seen() {
        let folder = tempfile::tempdir().unwrap();
        let bare = folder.path().join("a remote.git");
        Repository::init_bare(&bare).unwrap();
        let (ana, bo) = (clone(folder.path(), "ana", &bare), clone(folder.path(), "bo", &bare));
        assert_eq!(ana.fetch(ENTRIES).unwrap(), None);
        let first = ana.write(None, record("1")).unwrap();
        let other = bo.write(None, record("x")).unwrap();
        assert!(ana.swap(ENTRIES, None, Some(&first)).unwrap());
        // It exists by now.
        assert!(!bo.swap(ENTRIES, None, Some(&other)).unwrap());
        assert_eq!(bo.fetch(ENTRIES).unwrap().as_deref(), Some(first.as_str()));
        let second = bo.write(Some(&first), record("2")).unwrap();
        assert!(bo.swap(ENTRIES, Some(&first), Some(&second)).unwrap());
        assert!(!ana.swap(ENTRIES, Some(&first), None).unwrap());
        let at = ana.fetch(ENTRIES).unwrap().unwrap();
        assert_eq!(ana.read(&at).unwrap(), ["2", "1"]);
        assert_eq!(ana.known(ENTRIES).unwrap().as_deref(), Some(second.as_str()));
        assert!(ana.swap(ENTRIES, Some(&second), None).unwrap());
        assert_eq!(bo.references("refs/magus/*").unwrap(), []);
        assert_eq!(ana.known(ENTRIES).unwrap(), None);
    }

    #[test]
    fn reference_that_cannot_be_read_is_not_absent() {
        let folder = tempfile::tempdir().unwrap();
        let ana = clone(folder.path(), "ana", &folder.path().join("remote.git"));
        assert_eq!(ana.known(ENTRIES).unwrap(), None);
        let reference = folder.path().join("ana/.git").join(ENTRIES);
        std::fs::create_dir_all(reference.parent().unwrap()).unwrap();
        std::fs::write(reference, "damaged\n").unwrap();
        let unread = ana.known(ENTRIES).unwrap_err().to_string();
        assert!(unread.contains("cannot be read"), "{unread}");
    }

    #[test]
    fn only_a_remote_that_is_configured_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let none = Remote::of(folder.path(), "origin", Ssh::Usual).err().unwrap();
        assert!(none.to_string().contains("is in no git repository"), "{none}");
        Repository::init(folder.path()).unwrap();
        for name in ["origin", "--upload-pack=touch x", "ext::sh -c touch% x", "https://a.dev/b"] {
            let unknown = Remote::of(folder.path(), name, Ssh::Usual).err().unwrap();
            assert!(unknown.to_string().contains("has no remote"), "{unknown}");
        }
    }
}
