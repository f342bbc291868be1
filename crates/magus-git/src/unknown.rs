//! What a repository cannot answer: a clone may lack branches, history or objects that exist elsewhere.

use std::{collections::BTreeSet, fs, path::Path};

use git2::{Direction, ErrorCode, Oid, Remote, Repository};

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
                shell_word(path),
                shell_word(remote),
                shell_word(url)
            ),
            Self::Shallow { path } => format!("`git -C {} fetch --unshallow`", shell_word(path)),
            Self::Partial { path, fetch } => {
                format!("`git -C {} fetch --refetch --no-filter {fetch}`", shell_word(path))
            }
            Self::Unreadable { path, .. } => format!("`git -C {} fsck` tells more", shell_word(path)),
        }
    }
}

/// A word for a shell.
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@~+%=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
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
    pub(crate) fn of(repository: &Repository, path: String) -> Self {
        let names = remotes(repository);
        let tracks = names.iter().filter_map(|name| repository.find_remote(name).ok()).find(tracks);
        let tracks = tracks.and_then(|remote| {
            let url = remote.url().map(shown).unwrap_or_default();
            Some((remote.name().ok().flatten()?.to_owned(), url))
        });
        let cut = repository.is_shallow().then(|| cut_commits(repository.commondir()));
        let partial = names.iter().find(|name| is_promisor(repository, name)).map(|name| {
            let heads = if repository.is_bare() { " '+refs/heads/*:refs/heads/*'" } else { "" };
            format!("{}{heads}", shell_word(name))
        });
        Self { path, tracks, cut, partial }
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
fn cut_commits(directory: &Path) -> BTreeSet<Oid> {
    let text = fs::read_to_string(directory.join("shallow")).unwrap_or_default();
    text.lines().filter_map(|line| Oid::from_str(line.trim()).ok()).collect()
}

/// The names of the remotes: `origin` first, then by name.
pub(crate) fn remotes(repository: &Repository) -> Vec<String> {
    let Ok(names) = repository.remotes() else { return Vec::new() };
    let mut names: Vec<String> = names.iter().flatten().flatten().map(str::to_owned).collect();
    names.sort_by(|a, b| (a != "origin", a).cmp(&(b != "origin", b)));
    names
}

/// Whether a fetch from a remote moves remote-tracking branches.
fn tracks(remote: &Remote<'_>) -> bool {
    remote.refspecs().any(|refspec| {
        refspec.direction() == Direction::Fetch
            && refspec.dst().is_ok_and(|dst| dst.starts_with("refs/remotes/"))
    })
}

/// Whether git may have left out objects of a remote (`git help partial-clone`, "promisor remote").
fn is_promisor(repository: &Repository, remote: &str) -> bool {
    let Ok(config) = repository.config() else { return false };
    config.get_bool(&format!("remote.{remote}.promisor")).unwrap_or(false)
        || config.get_string("extensions.partialclone").is_ok_and(|name| name == remote)
}
