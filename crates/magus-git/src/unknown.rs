//! What a repository cannot answer: a clone may lack branches, history or objects that exist elsewhere.

use std::{collections::BTreeSet, fs, path::Path};

use git2::{Direction, ErrorCode, Oid, Remote, Repository};
use magus_model::shell;

use crate::{place::shown, walk::Unlisted};

/// Why an answer is unknown. What a clone lacks is not absent: it may exist in the repository that it was cloned from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// The clone has the branches, tags and commits of its last fetch, and no others.
    #[error("`{path}` is a clone that has only what its last fetch from `{remote}` brought")]
    Clone {
        /// The repository.
        path: String,
        /// The remote that it was cloned from.
        remote: String,
        /// The URL of the remote, without a password.
        url: String,
    },
    /// The history is cut.
    #[error("`{path}` is a shallow clone, and its history is cut")]
    Shallow {
        /// The repository.
        path: String,
    },
    /// Objects are missing that git would fetch when it needs them.
    #[error("`{path}` is a partial clone, and objects are missing")]
    Partial {
        /// The repository.
        path: String,
        /// What a full fetch names: a remote, and what of it.
        fetch: String,
    },
    /// An object cannot be read.
    #[error("an object of `{path}` cannot be read: {why}")]
    Unreadable {
        /// The repository.
        path: String,
        /// The reason.
        why: String,
    },
}

impl Unknown {
    /// How the answer becomes known.
    pub fn help(&self) -> String {
        match self {
            Self::Clone { path, remote, url } => format!(
                "`git -C {} fetch --prune {}` updates it; with `repository: {{url: {}}}` Magus fetches itself",
                shell::word(path),
                shell::word(remote),
                shell::word(url)
            ),
            Self::Shallow { path } => format!("`git -C {} fetch --unshallow`", shell::word(path)),
            Self::Partial { path, fetch } => {
                format!("`git -C {} fetch --refetch --no-filter {fetch}`", shell::word(path))
            }
            Self::Unreadable { path, .. } => format!("`git -C {} fsck` tells more", shell::word(path)),
        }
    }
}

/// The ways in which a repository is incomplete.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Completeness {
    /// The repository, for messages.
    path: String,
    /// The remote whose branches it tracks, and its URL; `None` for a repository that has only branches of its own, or mirrors
    /// another.
    tracks: Option<(String, String)>,
    /// The commits whose parents are cut off.
    cut: Option<BTreeSet<Oid>>,
    /// What a full fetch names, if objects may be missing.
    partial: Option<String>,
}

impl Completeness {
    /// Looks at the configuration of a repository, which a message calls `path`.
    ///
    /// # Errors
    /// If the configuration cannot be read: what the repository lacks is unknown then.
    pub(crate) fn of(repository: &Repository, path: String) -> Result<Self, git2::Error> {
        let mut tracked = None;
        let mut partial = None;
        for name in remotes(repository)? {
            let remote = repository.find_remote(&name)?;
            if tracked.is_none() && tracks(&remote) {
                tracked = Some((name.clone(), remote.url().map(shown).unwrap_or_default()));
            }
            if partial.is_none() && is_promisor(repository, &name)? {
                let heads = if repository.is_bare() { " '+refs/heads/*:refs/heads/*'" } else { "" };
                partial = Some(format!("{}{heads}", shell::word(&name)));
            }
        }
        let cut = repository.is_shallow().then(|| cut_commits(repository.commondir())).transpose()?;
        Ok(Self { path, tracks: tracked, cut, partial })
    }

    /// Whether a branch, tag or commit that is not here does not exist.
    ///
    /// # Errors
    /// If it may exist elsewhere. What a partial clone leaves out is neither a reference nor a commit.
    pub(crate) fn has_all_commits(&self) -> Result<(), Unknown> {
        let path = self.path.clone();
        match &self.tracks {
            _ if self.cut.is_some() => Err(Unknown::Shallow { path }),
            Some((remote, url)) => Err(Unknown::Clone { path, remote: remote.clone(), url: url.clone() }),
            None => Ok(()),
        }
    }

    /// Why an object that should be there cannot be read.
    pub(crate) fn unreadable(&self, error: &git2::Error) -> Unknown {
        let path = self.path.clone();
        match &self.partial {
            Some(fetch) if error.code() == ErrorCode::NotFound => {
                Unknown::Partial { path, fetch: fetch.clone() }
            }
            _ => Unknown::Unreadable { path, why: error.message().to_lowercase() },
        }
    }

    /// Why a folder that is there is not read to its end.
    pub(crate) fn too_large(&self, unlisted: &Unlisted) -> Unknown {
        Unknown::Unreadable { path: self.path.clone(), why: unlisted.to_string() }
    }

    /// Whether the parents of this commit are cut off.
    pub(crate) fn is_cut(&self, commit: Oid) -> bool {
        self.cut.as_ref().is_some_and(|cut| cut.contains(&commit))
    }

    /// Why questions about history are unknown; `None` if all history is there.
    pub(crate) fn shallow(&self) -> Option<Unknown> {
        self.cut.as_ref().map(|_| Unknown::Shallow { path: self.path.clone() })
    }
}

/// The commits that `shallow` lists, one a line (`git help gitrepository-layout`, "shallow").
fn cut_commits(directory: &Path) -> Result<BTreeSet<Oid>, git2::Error> {
    let path = directory.join("shallow");
    let unreadable = |error| git2::Error::from_str(&format!("`{}` cannot be read: {error}", path.display()));
    let text = fs::read_to_string(&path).map_err(unreadable)?;
    text.lines().map(|line| Oid::from_str(line.trim())).collect()
}

/// The names of the remotes: `origin` first, then by name.
pub(crate) fn remotes(repository: &Repository) -> Result<Vec<String>, git2::Error> {
    let names = repository.remotes()?;
    let mut names: Vec<String> = names.iter().flatten().flatten().map(str::to_owned).collect();
    names.sort_by(|a, b| (a != "origin", a).cmp(&(b != "origin", b)));
    Ok(names)
}

/// Whether a fetch from a remote moves remote-tracking branches.
fn tracks(remote: &Remote<'_>) -> bool {
    remote.refspecs().any(|refspec| {
        refspec.direction() == Direction::Fetch
            && refspec.dst().is_ok_and(|dst| dst.starts_with("refs/remotes/"))
    })
}

/// Whether git may have left out objects of a remote (`git help partial-clone`, "promisor remote").
fn is_promisor(repository: &Repository, remote: &str) -> Result<bool, git2::Error> {
    let config = repository.config()?;
    let is_named = if_set(config.get_string("extensions.partialclone"))?.is_some_and(|name| name == remote);
    Ok(is_named || if_set(config.get_bool(&format!("remote.{remote}.promisor")))? == Some(true))
}

/// A setting; `None` if it is not set.
fn if_set<T>(read: Result<T, git2::Error>) -> Result<Option<T>, git2::Error> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, repository};

    #[test]
    fn settings_that_cannot_be_read_conclude_nothing() {
        let (folder, repository) = repository();
        repository.remote("origin", "https://example.com/x").unwrap();
        assert!(Completeness::of(&repository, String::new()).is_ok());
        repository.config().unwrap().set_str("remote.origin.promisor", "perhaps").unwrap();
        assert!(Completeness::of(&repository, String::new()).is_err());
        fs::create_dir(folder.path().join("shallow")).unwrap();
        assert!(cut_commits(folder.path()).is_err());
        fs::remove_dir(folder.path().join("shallow")).unwrap();
        fs::write(folder.path().join("shallow"), "no number\n").unwrap();
        assert!(cut_commits(folder.path()).is_err());
    }

    #[test]
    fn commit_that_cannot_be_read_is_neither_missing_nor_different() {
        let (folder, repository) = repository();
        let first = testing::commit(&repository, "first", &[]);
        let second = testing::commit(&repository, "second", &[first]);
        let (first, second) = (first.to_string(), second.to_string());
        let code = testing::code(repository);
        assert_eq!(code.have_same_files(&first, &second), Ok(true));
        assert_eq!(code.have_same_files(&first, &"1".repeat(40)), Ok(false));
        let object = folder.path().join("objects").join(&first[..2]).join(&first[2..]);
        fs::remove_file(&object).unwrap();
        fs::write(&object, "damaged").unwrap();
        let code = testing::code(Repository::open_bare(folder.path()).unwrap());
        let unreadable = |unknown: &Unknown| matches!(unknown, Unknown::Unreadable { .. });
        assert!(code.have_same_files(&first, &second).is_err_and(|why| unreadable(&why)));
        assert!(code.told(&first).is_err_and(|why| unreadable(&why)));
        assert!(matches!(code.commit(&first), Err(crate::NotFound::Unknown(why)) if unreadable(&why)));
    }
}
