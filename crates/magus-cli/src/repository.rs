//! Where the repository of the pipelines' code is looked for, on this machine and by this user.

use std::{collections::BTreeMap, path::PathBuf};

use magus_apply::BranchMove;
use magus_code::Projects;
use magus_git::{Ask, Code, Fetch, Lease, NotFound, Place, Ssh, Unknown, Unpushed, Unread};
use magus_model::Text;

use crate::error::{CommandError, Exit};

/// Opens the repository of the pipelines' code. What git fetches of it lies in the user's cache directory.
pub fn open(url: &str, fetch: Fetch) -> Result<Code, Unread> {
    let place = Place::parse(url)?;
    let cache = user_folder("XDG_CACHE_HOME", ".cache").map(|cache| cache.join("magus"));
    place.open(Ask { cache: cache.as_deref(), fetch, ssh: ssh() })
}

/// What reads the projects in repositories. What it finds is kept in the user's cache directory, if there is one.
pub fn projects() -> Projects {
    let cache = user_folder("XDG_CACHE_HOME", ".cache");
    cache.map_or_else(Projects::default, |cache| Projects::cached_in(&cache.join("magus")))
}

/// The full number of the commit that somebody named, by number or tag.
pub fn commit(code: &Code, text: &str) -> Result<Text, CommandError> {
    code.commit(text).map(Text::from).map_err(|why| {
        let message = match &why {
            NotFound::Missing => format!("the repository has no commit `{text}`"),
            NotFound::Ambiguous => format!("several commits begin with `{text}`"),
            NotFound::Unknown(why) => {
                return CommandError::new(
                    Exit::Unreachable,
                    format!("the commit `{text}` is unknown: {why}"),
                )
                .hint(why.help());
            }
        };
        CommandError::new(Exit::Invalid, message).hint("name it in full: `git rev-parse HEAD`")
    })
}

/// What a repository cannot answer, as an error of the command.
pub fn unknown(question: &str, why: &Unknown) -> CommandError {
    CommandError::new(Exit::Unreachable, format!("{question} is unknown: {why}")).hint(why.help())
}

/// Moves a branch of the repository, if it is still where it was seen.
pub fn push(url: &str, code: &Code, lease: Lease<'_>) -> Result<(), Unpushed> {
    magus_git::push(code.path(), &Place::parse(url)?, lease, ssh())
}

/// Moves the deploy branch of a workspace; why it did not move. `directories` are the git directories by their declared URLs.
pub fn move_deploy_branch(
    directories: &BTreeMap<Text, PathBuf>,
    branch: BranchMove<'_>,
) -> Result<(), String> {
    let BranchMove { repository, branch, from, to } = branch;
    let directory = directories.get(repository).ok_or("the repository was not read")?;
    let place = Place::parse(repository).map_err(|error| error.to_string())?;
    let moved = match (from, to) {
        (Some(from), None) => magus_git::delete_branch(directory, &place, branch, from, ssh()),
        (_, Some(to)) => {
            let lease = Lease { branch, from: from.map(Text::as_str), to };
            magus_git::push(directory, &place, lease, ssh())
        }
        (None, None) => Ok(()),
    };
    moved.map_err(|why| match why {
        Unpushed::Moved(_) => format!("{why}; plan again"),
        Unpushed::Bundle | Unpushed::Failed(_) => format!("`{branch}` cannot be moved: {why}"),
    })
}

/// A folder of the user's: the one that a variable names, or a place below the home directory.
pub fn user_folder(variable: &str, below_home: &str) -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder(variable).or_else(|| Some(folder("HOME")?.join(below_home)))
}

/// Who says how git runs ssh.
pub fn ssh() -> Ssh {
    let own = ["GIT_SSH_COMMAND", "GIT_SSH"].iter().any(|name| std::env::var_os(name).is_some());
    if own { Ssh::OfTheUser } else { Ssh::Usual }
}
