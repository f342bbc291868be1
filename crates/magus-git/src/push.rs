//! Moves one reference of a repository that others see, if it is still where it was seen.

use std::{path::Path, process::Command};

use magus_process::Limits;

use crate::{
    fetch::{LARGE, failure, git, run, without_progress},
    place::{Place, Ssh, Unread},
};

/// A branch that is to move.
#[derive(Debug, Clone, Copy)]
pub struct Lease<'a> {
    /// Its name.
    pub branch: &'a str,
    /// The full number of the commit that it was seen at: it moves from there, and from nowhere else. Nothing where it did not
    /// exist.
    pub from: Option<&'a str>,
    /// The full number of the commit that it moves to.
    pub to: &'a str,
}

/// Why a branch did not move.
#[derive(Debug, thiserror::Error)]
pub enum Unpushed {
    /// It is not where it was seen.
    #[error("the branch `{0}` was moved meanwhile")]
    Moved(String),
    /// A bundle is a file.
    #[error("a bundle cannot be pushed to")]
    Bundle,
    /// The repository refused it, or was not reached.
    #[error(transparent)]
    Failed(#[from] Unread),
}

/// A reference that is to move. Nothing on a side means that it does not exist there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Move<'a> {
    /// Its whole name.
    pub reference: &'a str,
    /// The full number of what it was seen at.
    pub from: Option<&'a str>,
    /// The full number of what it is to be at.
    pub to: Option<&'a str>,
}

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It moved.
    Done,
    /// It is not where it was seen.
    Stale,
}

/// Pushes a commit that the git directory has. Nothing else moves, and nothing is overwritten. A branch that is there already is
/// where it should be.
///
/// # Errors
/// Where the branch is elsewhere, and where git cannot push.
pub fn push(directory: &Path, place: &Place, lease: Lease<'_>, ssh: Ssh) -> Result<(), Unpushed> {
    let Lease { branch, from, to } = lease;
    let destination = place.destination()?.ok_or(Unpushed::Bundle)?;
    let reference = format!("refs/heads/{branch}");
    let lease = Move { reference: &reference, from, to: Some(to) };
    match move_reference(git(directory, ssh), &destination, lease, LARGE)? {
        Pushed::Done => Ok(()),
        Pushed::Stale => Err(Unpushed::Moved(branch.to_owned())),
    }
}

/// Deletes a branch, if it is still at the commit where it was seen. A branch that was already deleted is no error.
///
/// # Errors
/// If the branch is elsewhere, and if git cannot push.
pub fn delete_branch(
    directory: &Path,
    place: &Place,
    branch: &str,
    from: &str,
    ssh: Ssh,
) -> Result<(), Unpushed> {
    let destination = place.destination()?.ok_or(Unpushed::Bundle)?;
    let reference = format!("refs/heads/{branch}");
    let lease = Move { reference: &reference, from: Some(from), to: None };
    match move_reference(git(directory, ssh), &destination, lease, LARGE)? {
        Pushed::Done => Ok(()),
        Pushed::Stale => Err(Unpushed::Moved(branch.to_owned())),
    }
}

/// Moves one reference of the destination from where it was seen, and from nowhere else.
pub(crate) fn move_reference(
    mut git: Command,
    destination: &str,
    lease: Move<'_>,
    limits: Limits,
) -> Result<Pushed, Unread> {
    let Move { reference, from, to } = lease;
    git.args([
        "push",
        "--progress",
        "--porcelain",
        "--no-follow-tags",
        "--no-recurse-submodules",
        "--no-verify",
    ]);
    // An empty side: it must not exist, or is to go (git-push, "--force-with-lease" and "<refspec>").
    git.arg(format!("--force-with-lease={reference}:{}", from.unwrap_or_default()));
    git.args(["--", destination, &format!("{}:{reference}", to.unwrap_or_default())]);
    let output = run(&mut git, limits, destination, "pushed to")?;
    if output.status.success() {
        return Ok(Pushed::Done);
    }
    // `! FROM:TO  [rejected] (stale info)`: the lease does not hold (git-push, "OUTPUT").
    let told = String::from_utf8_lossy(&output.stdout);
    let stale = [
        "(stale info)",
        "(fetch first)",
        "(non-fast-forward)",
        "(already exists)",
        "cannot lock ref",
        "failed to update ref",
        "reference already exists",
        "incorrect old value",
    ];
    let errors = String::from_utf8_lossy(&output.stderr);
    if stale.iter().any(|reason| told.contains(reason) || errors.contains(reason)) {
        return Ok(Pushed::Stale);
    }
    let refused = told.lines().filter(|line| line.starts_with('!'));
    let errors = without_progress(&errors);
    let said: Vec<&str> = refused.chain(errors.lines()).collect();
    Err(failure(destination, "pushed to", &said.join("\n")))
}

#[cfg(test)]
mod tests {
    use git2::Repository;

    use super::*;
    use crate::testing::{branch, commit, repository};

    #[test]
    fn a_branch_moves_only_from_where_it_was_seen() {
        let (folder, mine) = repository();
        let first = commit(&mine, "first", &[]);
        let second = commit(&mine, "second", &[first]);
        let theirs = folder.path().join("their s.git");
        let other = Repository::init_bare(&theirs).unwrap();
        let lone = commit(&other, "theirs", &[]);
        branch(&other, "main", lone);
        let place = Place::parse(theirs.to_str().unwrap()).unwrap();
        let (first, second, lone) = (first.to_string(), second.to_string(), lone.to_string());
        let lease = |branch: &str, from: Option<&str>, to: &str| {
            push(mine.path(), &place, Lease { branch, from, to }, Ssh::Usual)
        };
        let push = |from: &str, to: &str| lease("main", Some(from), to);
        let at = || other.find_reference("refs/heads/main").unwrap().target().unwrap().to_string();
        assert!(matches!(push(&first, &second), Err(Unpushed::Moved(name)) if name == "main"));
        assert_eq!(at(), lone);
        push(&lone, &first).unwrap();
        assert_eq!(at(), first);
        push(&first, &second).unwrap();
        assert_eq!(at(), second);
        // Who comes late to what he wanted has nothing to do.
        push(&first, &second).unwrap();

        // One that does not exist yet is made once.
        lease("deploy/a", None, &first).unwrap();
        assert!(matches!(lease("deploy/a", None, &second), Err(Unpushed::Moved(_))));
        lease("deploy/a", None, &first).unwrap();

        // It goes only from where it was seen.
        let delete = |from: &str| delete_branch(mine.path(), &place, "deploy/a", from, Ssh::Usual);
        assert!(matches!(delete(&second), Err(Unpushed::Moved(_))));
        delete(&first).unwrap();
        assert!(other.find_reference("refs/heads/deploy/a").is_err());

        let bundle = folder.path().join("x.bundle");
        std::fs::write(&bundle, "").unwrap();
        let bundle = Place::parse(bundle.to_str().unwrap()).unwrap();
        let lease = Lease { branch: "main", from: Some(&first), to: &second };
        assert!(matches!(super::push(mine.path(), &bundle, lease, Ssh::Usual), Err(Unpushed::Bundle)));
        std::fs::remove_dir_all(&theirs).unwrap();
        assert!(matches!(push(&second, &first), Err(Unpushed::Failed(_))));
    }
}
