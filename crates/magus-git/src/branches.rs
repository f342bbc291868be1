//! The branches of a repository: those of its own, and in a clone those that its last fetch brought.

use std::collections::BTreeMap;

use git2::{BranchType, Direction, ObjectType, Oid, Reference, Repository};

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
        help: format!(
            "`git -C {} branch` tells more",
            unknown::shell_word(&repository.path().to_string_lossy())
        ),
    };
    let mut branches = BTreeMap::new();
    let mut tracked = tracked(repository).map_err(failed)?;
    for branch in repository.branches(Some(BranchType::Local)).map_err(failed)? {
        let (branch, _) = branch.map_err(failed)?;
        // A branch whose name is not UTF-8 cannot be declared.
        let Ok(Some(name)) = branch.name().map(|name| name.map(str::to_owned)) else { continue };
        let Some(at) = commit(branch.get()) else { continue };
        let upstream = branch.upstream().ok();
        let upstream = upstream.as_ref().and_then(|upstream| upstream.name().ok().flatten());
        let others = tracked.remove(&name).unwrap_or_default();
        let other = chosen(&others, upstream).filter(|(_, other)| *other != at);
        let found = match other {
            None => Branch { at, local: Some(at), tracking: None },
            Some((name, other)) => {
                let is_ahead = repository.graph_descendant_of(other, at).unwrap_or(false);
                let (at_head, counts) =
                    if is_ahead { (other, Counts::TrackingIsAhead) } else { (at, Counts::Local) };
                Branch { at: at_head, local: Some(at), tracking: Some(Tracking { name, counts }) }
            }
        };
        branches.insert(name, found);
    }
    for (name, others) in tracked {
        // If several remotes differ and none is `origin`, the head is unknown.
        if let Some((tracking, at)) = chosen(&others, None) {
            let tracking = Some(Tracking { name: tracking, counts: Counts::TrackingAlone });
            branches.insert(name, Branch { at, local: None, tracking });
        }
    }
    Ok(branches)
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
    for remote in unknown::remotes(repository) {
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
            let (Some(branch), Some(at), Some(_)) = (branch, commit(&reference), reference.target()) else {
                continue;
            };
            let short = name.strip_prefix("refs/remotes/").unwrap_or(name);
            tracked.entry(branch.to_owned()).or_default().push((short.to_owned(), at));
        }
    }
    Ok(tracked)
}

fn commit(reference: &Reference<'_>) -> Option<Oid> {
    reference.peel(ObjectType::Commit).ok().map(|commit| commit.id())
}
