//! The code of a workspace: `code`, a link to one of the trees beside it.
//!
//! The link is the truth: a tree is written as a whole beside the others, and one rename of the link puts it in use. Whoever is
//! killed before it leaves the old code, and a folder that the next deploy clears away. A tree is called by its number and its
//! commit, `7-3f2a…`, and its manifest lies beside it.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use magus_git::{Manifest, write_tree};
use magus_model::{
    Text,
    observed::{ObservedCode, Work},
};

use crate::folders;

/// The link.
pub(crate) const CODE: &str = "code";

/// The folder of the trees.
const TREES: &str = "trees";

/// Where a tree is written before it is one.
const UNFINISHED: &str = ".new";

/// A tree on its way out.
const OLD: &str = ".old";

/// The link before it takes the place of the old one.
const NEXT: &str = ".link";

/// What the name of a manifest ends with.
const MANIFEST: &str = ".files";

/// How many trees stay, the one in use among them.
const KEPT: usize = 5;

/// How many files of people are told.
const TOLD: usize = 20;

/// A tree, by the name of its folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Tree {
    number: u64,
    commit: String,
}

impl Tree {
    fn parse(name: &str) -> Option<Self> {
        let (number, commit) = name.split_once('-')?;
        let is_commit = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(Self { number: number.parse().ok()?, commit: is_commit.then(|| commit.to_owned())? })
    }

    fn name(&self) -> String {
        format!("{}-{}", self.number, self.commit)
    }

    fn path(&self, workspace: &Path) -> PathBuf {
        workspace.join(TREES).join(self.name())
    }

    /// Whether its folder is there; an error if that cannot be seen.
    fn exists(&self, workspace: &Path) -> io::Result<bool> {
        match fs::metadata(self.path(workspace)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn manifest(&self, workspace: &Path) -> PathBuf {
        workspace.join(TREES).join(format!("{}{MANIFEST}", self.name()))
    }

    /// The uncommitted changes in it. Without a readable manifest, all of it counts.
    fn changed(&self, workspace: &Path) -> io::Result<Vec<String>> {
        let path = self.path(workspace);
        if !self.exists(workspace)? {
            return Ok(Vec::new());
        }
        match fs::read(self.manifest(workspace)).ok().and_then(|bytes| Manifest::parse(&bytes)) {
            Some(manifest) => manifest.changed(&path),
            None => Ok(vec![".".to_owned()]),
        }
    }
}

/// The code in the folder of a workspace. Uncommitted changes are looked for if `thoroughly` says so; what cannot be read makes them
/// unknown.
pub(crate) fn observe(workspace: &Path, thoroughly: bool) -> ObservedCode {
    let unknown = |commit, error: io::Error| {
        let reason = format!("`{}` cannot be read: {error}", workspace.join(CODE).display());
        ObservedCode { commit, work: Work::Unknown(reason.into()) }
    };
    let tree = match link(workspace) {
        Ok(Link::Tree(tree)) => tree,
        Ok(Link::Nothing) => return ObservedCode { commit: None, work: Work::None },
        Ok(Link::Other) => return ObservedCode { commit: None, work: Work::found(vec![CODE.into()]) },
        Err(error) => return unknown(None, error),
    };
    let commit = || Some(Text::from(tree.commit.as_str()));
    let changed = || -> io::Result<ObservedCode> {
        let commit = if tree.exists(workspace)? { commit() } else { None };
        if !thoroughly {
            return Ok(ObservedCode { commit, work: Work::NotRead });
        }
        let changed = tree.changed(workspace)?;
        let paths = changed.iter().take(TOLD).map(|path| path.as_str().into()).collect();
        Ok(ObservedCode { commit, work: Work::found(paths) })
    };
    changed().unwrap_or_else(|error| unknown(commit(), error))
}

/// What stands where the code is to be.
enum Link {
    /// Nothing, or an empty folder.
    Nothing,
    /// The link to a tree that was deployed.
    Tree(Tree),
    /// A folder with files, or a link to elsewhere: made by a person.
    Other,
}

fn link(workspace: &Path) -> io::Result<Link> {
    let link = workspace.join(CODE);
    let metadata = match fs::symlink_metadata(&link) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Link::Nothing);
        }
        Err(error) => return Err(error),
    };
    let tree = if metadata.is_symlink() { in_use(workspace)? } else { None };
    match tree {
        Some(tree) => Ok(Link::Tree(tree)),
        None if metadata.is_dir() && fs::read_dir(&link)?.next().is_none() => Ok(Link::Nothing),
        None => Ok(Link::Other),
    }
}

/// The tree that the link leads to; nothing where it leads elsewhere.
fn in_use(workspace: &Path) -> io::Result<Option<Tree>> {
    let target = fs::read_link(workspace.join(CODE))?;
    let mut parts = target.iter().map(|part| part.to_str());
    Ok(match (parts.next(), parts.next(), parts.next()) {
        (Some(Some(TREES)), Some(Some(name)), None) => Tree::parse(name),
        _ => None,
    })
}

/// The code that is put in use.
pub(crate) struct DeployRequest<'a> {
    /// The git directory of the repository.
    pub(crate) git: &'a Path,
    /// The folder of the project in it.
    pub(crate) directory: &'a str,
    /// The full number of the commit.
    pub(crate) commit: &'a str,
    /// A tree whose files it may share.
    pub(crate) like: Option<PathBuf>,
    /// What becomes of a folder that a person made in its place.
    pub(crate) occupied: Occupied,
}

/// What becomes of a folder with files that is where the link to the code has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occupied {
    /// It stays, and nothing is deployed.
    Keep,
    /// It is removed.
    Discard,
}

/// Puts a commit of a repository in use: the tree that it is now. Its files are shared with those of the one before, and of one like
/// it, where the file system can.
///
/// # Errors
/// Where it cannot be read or written: the code is then as it was.
pub(crate) fn deploy(workspace: &Path, request: DeployRequest<'_>) -> Result<PathBuf, String> {
    let DeployRequest { git, directory, commit, like, occupied } = request;
    let folder = workspace.join(TREES);
    let disk = |path: &Path, error: io::Error| format!("`{}` cannot be written: {error}", path.display());
    let at = |path: PathBuf| move |error| disk(&path, error);
    folders::make(&folder).map_err(at(folder.clone()))?;
    let unfinished = folder.join(UNFINISHED);
    let mut trees = clear(&folder).map_err(at(folder.clone()))?;
    let number = trees.last().map_or(1, |last| last.number + 1);
    let tree = Tree { number, commit: commit.to_owned() };
    let used = in_use(workspace).ok().flatten().map(|tree| tree.path(workspace));
    let like: Vec<PathBuf> = like.into_iter().chain(used).collect();
    let manifest =
        write_tree(git, commit, directory, &unfinished, &like).map_err(|error| error.to_string())?;
    let beside = tree.manifest(workspace);
    folders::write_new(&beside, &manifest.to_bytes()).map_err(at(beside.clone()))?;
    let place = tree.path(workspace);
    fs::rename(&unfinished, &place).map_err(at(place.clone()))?;
    folders::sync(&folder).map_err(at(folder.clone()))?;

    let link = workspace.join(CODE);
    let next = folder.join(NEXT);
    symlink(Path::new(TREES).join(tree.name()), &next).map_err(at(next.clone()))?;
    if link.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        // A link cannot take the place of a folder.
        match (fs::remove_dir(&link), occupied) {
            (Err(_), Occupied::Discard) => {
                let old = folder.join(OLD);
                fs::rename(&link, &old).map_err(at(link.clone()))?;
                folders::remove(&old).map_err(at(old.clone()))?;
            }
            (removed, _) => removed.map_err(at(link.clone()))?,
        }
    }
    fs::rename(&next, &link).map_err(at(link.clone()))?;
    trees.push(tree);
    forget(workspace, &trees);
    Ok(place)
}

/// Clears away what a killed deploy left. The trees that were finished, oldest first.
fn clear(folder: &Path) -> io::Result<Vec<Tree>> {
    let mut trees = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        trees.extend(Tree::parse(name));
        let of_no_tree = name.strip_suffix(MANIFEST).is_some_and(|tree| !folder.join(tree).exists());
        if [UNFINISHED, NEXT, OLD].contains(&name) || of_no_tree {
            folders::remove(&entry.path())?;
        }
    }
    trees.sort();
    Ok(trees)
}

/// Removes what is older than the trees that stay, but for what somebody worked in. The deploy is done: what cannot be removed
/// now is tried again after the next one.
fn forget(workspace: &Path, trees: &[Tree]) {
    for tree in trees.iter().rev().skip(KEPT) {
        if tree.changed(workspace).is_ok_and(|changed| changed.is_empty()) {
            let removed = remove(workspace, tree);
            if let Err(error) = removed {
                tracing::debug!(tree = tree.name(), %error, "an old tree was not removed");
            }
        }
    }
}

/// Removes a tree. It loses its name first, so that nobody takes what is left of it after a `kill` for somebody's work.
fn remove(workspace: &Path, tree: &Tree) -> io::Result<()> {
    let nameless = workspace.join(TREES).join(OLD);
    folders::remove(&nameless)?;
    fs::rename(tree.path(workspace), &nameless)?;
    folders::remove(&tree.manifest(workspace))?;
    folders::remove(&nameless)
}

#[cfg(test)]
#[path = "code_tests.rs"]
mod tests;
