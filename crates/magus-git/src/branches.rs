//! The branches of a repository: those of its own, and in a clone those that its last fetch brought.

use std::collections::BTreeMap;

use git2::{BranchType, Direction, ErrorCode, ObjectType, Oid, Reference, Repository};
use magus_model::shell;

use crate::{place::Unread, unknown};

/// A branch, and the commit that counts as its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Branch {
    /// The head.
    pub(crate) at: Oid,
    /// The branch itself; `None` if only a remote-tracking branch exists.
    pub(crate) local: Option<Oid>,
    /// The remote-tracking branch, unless it is where the branch itself is.
    pub(crate) tracking: Option<Tracking>,
    /// Whether the history is cut off that decides which of both counts.
    pub(crate) is_undecided: bool,
}

/// A remote-tracking branch that differs from the branch itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracking {
    /// Its name: `origin/main`.
    pub name: String,
    /// Which of both counts.
    pub counts: Counts,
}

/// Which of a branch and its remote-tracking branch counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// The remote-tracking branch: no local branch exists.
    TrackingAlone,
    /// The remote-tracking branch: it has every commit of the local branch, and more.
    TrackingIsAhead,
    /// The local branch: it has commits that the remote-tracking branch lacks.
    Local,
}

/// Reads the heads of all branches.
pub(crate) fn read(repository: &Repository) -> Result<BTreeMap<String, Branch>, Unread> {
    let failed = |error: git2::Error| Unread::Failed {
        message: format!("its branches cannot be read: {}", error.message().to_lowercase()),
        help: format!("`git -C {} branch` tells more", shell::word(&repository.path().to_string_lossy())),
    };
    let mut branches = BTreeMap::new();
    let mut tracked = tracked(repository).map_err(failed)?;
    for branch in repository.branches(Some(BranchType::Local)).map_err(failed)? {
        let (branch, _) = branch.map_err(failed)?;
        // A branch whose name is not UTF-8 cannot be declared.
        let Ok(Some(name)) = branch.name().map(|name| name.map(str::to_owned)) else { continue };
        let at = commit(branch.get()).map_err(failed)?;
        let upstream = upstream(&branch).map_err(failed)?;
        let upstream = upstream.as_ref().and_then(|upstream| upstream.name().ok().flatten());
        let others = tracked.remove(&name).unwrap_or_default();
        let other = chosen(&others, upstream).filter(|(_, other)| *other != at);
        let found = match other {
            None => Branch { at, local: Some(at), tracking: None, is_undecided: false },
            Some(tracked) => beside(repository, at, tracked).map_err(failed)?,
        };
        branches.insert(name, found);
    }
    for (name, others) in tracked {
        // If several remotes differ and none is `origin`, the head is unknown.
        if let Some((tracking, at)) = chosen(&others, None) {
            let tracking = Some(Tracking { name: tracking, counts: Counts::TrackingAlone });
            branches.insert(name, Branch { at, local: None, tracking, is_undecided: false });
        }
    }
    Ok(branches)
}

/// A branch whose remote-tracking branch is elsewhere.
fn beside(repository: &Repository, at: Oid, (name, other): Tracked) -> Result<Branch, git2::Error> {
    let descends = |one, other| match repository.graph_descendant_of(one, other) {
        // The walk met the place at which history is cut.
        Err(error) if error.code() == ErrorCode::NotFound && repository.is_shallow() => Ok(false),
        descends => descends,
    };
    let is_ahead = descends(other, at)?;
    let is_undecided = !is_ahead && repository.is_shallow() && !descends(at, other)?;
    let (head, counts) = if is_ahead { (other, Counts::TrackingIsAhead) } else { (at, Counts::Local) };
    Ok(Branch { at: head, local: Some(at), tracking: Some(Tracking { name, counts }), is_undecided })
}

/// A remote-tracking branch: its name without `refs/remotes/`, and the commit.
type Tracked = (String, Oid);

/// The remote-tracking branch that stands for a branch: its upstream, that of `origin`, or the one that all others agree with.
fn chosen(others: &[Tracked], upstream: Option<&str>) -> Option<Tracked> {
    let named = others.iter().find(|(name, _)| Some(name.as_str()) == upstream);
    let (first, rest) = others.split_first()?;
    let is_origin = first.0.starts_with("origin/");
    let agree = rest.iter().all(|(_, at)| *at == first.1);
    named.or_else(|| (is_origin || agree).then_some(first)).cloned()
}

/// The remote-tracking branches by the branch of the remote; those of `origin` first.
fn tracked(repository: &Repository) -> Result<BTreeMap<String, Vec<Tracked>>, git2::Error> {
    let mut tracked: BTreeMap<String, Vec<Tracked>> = BTreeMap::new();
    for remote in unknown::remotes(repository)? {
        let remote = repository.find_remote(&remote)?;
        let refspecs: Vec<_> =
            remote.refspecs().filter(|refspec| refspec.direction() == Direction::Fetch).collect();
        for reference in repository.references_glob("refs/remotes/*")? {
            let reference = reference?;
            let Ok(name) = reference.name() else { continue };
            let Some(refspec) = refspecs.iter().find(|refspec| refspec.dst_matches(name)) else { continue };
            let there = refspec.rtransform(name)?;
            let branch = std::str::from_utf8(&there).ok().and_then(|there| there.strip_prefix("refs/heads/"));
            // `origin/HEAD` names another one.
            let (Some(branch), Some(_)) = (branch, reference.target()) else { continue };
            let at = commit(&reference)?;
            let short = name.strip_prefix("refs/remotes/").unwrap_or(name);
            tracked.entry(branch.to_owned()).or_default().push((short.to_owned(), at));
        }
    }
    Ok(tracked)
}

/// The commit of a branch. A branch whose commit cannot be read exists all the same.
fn commit(reference: &Reference<'_>) -> Result<Oid, git2::Error> {
    Ok(reference.peel(ObjectType::Commit)?.id())
}

/// The remote-tracking branch that a branch follows. The remote of some is a URL, which has none.
fn upstream<'a>(branch: &git2::Branch<'a>) -> Result<Option<git2::Branch<'a>>, git2::Error> {
    match branch.upstream() {
        Ok(upstream) => Ok(Some(upstream)),
        Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::{
        code::Code,
        testing::{self, branch, repository},
        unknown::Unknown,
    };

    const MISSING: &str = "1234567890123456789012345678901234567890";

    #[test]
    fn branch_whose_commit_cannot_be_read_is_not_absent() {
        let (folder, repository) = repository();
        let head = testing::commit(&repository, "first", &[]);
        branch(&repository, "main", head);
        for reference in ["refs/heads/people", "refs/remotes/origin/people"] {
            let _ = repository.remote("origin", "https://example.com/x");
            let path = folder.path().join(reference);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("{MISSING}\n")).unwrap();
            let unread = Code::read(Repository::open_bare(folder.path()).unwrap(), folder.path(), None);
            let unread = unread.err().unwrap().to_string();
            assert!(unread.contains("its branches cannot be read"), "{unread}");
            fs::remove_file(path).unwrap();
        }
        // A name for another reference may lead nowhere: `git remote set-head` is needed after a rename.
        fs::write(folder.path().join("refs/remotes/origin/HEAD"), "ref: refs/remotes/origin/gone\n").unwrap();
        let code = Code::read(Repository::open_bare(folder.path()).unwrap(), folder.path(), None).unwrap();
        assert_eq!(code.branches().collect::<Vec<_>>(), ["main"]);
    }

    #[test]
    fn upstream_that_is_a_url_is_no_error() {
        let (_folder, repository) = repository();
        let head = testing::commit(&repository, "first", &[]);
        branch(&repository, "fork", head);
        let mut config = repository.config().unwrap();
        config.set_str("branch.fork.remote", "https://example.com/fork.git").unwrap();
        config.set_str("branch.fork.merge", "refs/heads/fork").unwrap();
        assert_eq!(testing::code(repository).head("fork").unwrap(), Some(head.to_string()));
    }

    #[test]
    fn head_is_unknown_if_the_history_is_cut_that_decides_which_branch_is_ahead() {
        let (folder, repository) = repository();
        let first = testing::commit(&repository, "first", &[]);
        let second = testing::commit(&repository, "second", &[first]);
        let third = testing::commit(&repository, "third", &[second]);
        repository.remote("origin", "https://example.com/x").unwrap();
        branch(&repository, "main", first);
        repository.reference("refs/remotes/origin/main", third, true, "").unwrap();
        let open = |path: &Path| testing::code(Repository::open_bare(path).unwrap());
        assert_eq!(open(folder.path()).head("main").unwrap(), Some(third.to_string()));
        let id = second.to_string();
        let object = folder.path().join("objects").join(&id[..2]).join(&id[2..]);
        let kept = fs::read(&object).unwrap();
        fs::remove_file(&object).unwrap();
        fs::write(folder.path().join("shallow"), format!("{third}\n")).unwrap();
        assert!(matches!(open(folder.path()).head("main"), Err(Unknown::Shallow { .. })));
        fs::write(&object, kept).unwrap();
        // One that is only ahead of what was fetched is known.
        branch(&repository, "main", third);
        repository.reference("refs/remotes/origin/main", second, true, "").unwrap();
        fs::write(folder.path().join("shallow"), format!("{second}\n")).unwrap();
        assert_eq!(open(folder.path()).head("main").unwrap(), Some(third.to_string()));
    }
}
