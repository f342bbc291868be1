//! Walks trees of commits without recursion, so that no repository is too deep or too wide for the stack or the day.

use std::{collections::BTreeMap, ops::ControlFlow};

use git2::{FileMode, ObjectType, Oid, Repository, Tree, TreeEntry};

use crate::files::Change;

/// How deeply folders may be nested. A path of the file system ends at 4,096 bytes, and no folder of pipelines comes near.
pub(crate) const DEEPEST: usize = 256;

/// So many files and folders are looked at. A tree that refers to another one ten times, ten levels deep, has more.
const MOST_ENTRIES: usize = 1_000_000;

/// Why a folder of a commit is not listed to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unlisted {
    /// Folders are nested deeper than [`DEEPEST`] allows: the path of the first that is left out.
    TooDeep(String),
    /// There are more files and folders than [`MOST_ENTRIES`] allows.
    TooMany,
}

impl std::fmt::Display for Unlisted {
    /// Writes the fact as the end of a sentence about a folder.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unlisted::TooDeep(_) => write!(f, "folders are nested more than {DEEPEST} levels deep"),
            Unlisted::TooMany => write!(f, "there are more than {MOST_ENTRIES} files and folders"),
        }
    }
}

/// A folder that is being walked.
struct Open<'r> {
    tree: Tree<'r>,
    /// The next entry.
    next: usize,
    /// How much of the path leads to the folder.
    length: usize,
}

/// Shows every entry below a folder with the path of its folder, which is empty or ends in `/`; a folder before what is in it. Ends early
/// where `visit` breaks. Returns why something was left out; everything else was shown.
///
/// # Errors
/// If a folder cannot be read.
pub(crate) fn walk<'r>(
    repository: &'r Repository,
    folder: &Tree<'r>,
    mut visit: impl FnMut(&str, &TreeEntry<'_>) -> ControlFlow<()>,
) -> Result<Option<Unlisted>, git2::Error> {
    let mut unlisted = None;
    let mut path = String::new();
    let mut seen = 0_usize;
    let mut open = vec![Open { tree: folder.clone(), next: 0, length: 0 }];
    while let Some(Open { tree, next, length }) = open.last_mut() {
        path.truncate(*length);
        let Some(entry) = tree.get(*next) else {
            open.pop();
            continue;
        };
        *next += 1;
        seen += 1;
        if seen > MOST_ENTRIES {
            return Ok(Some(Unlisted::TooMany));
        }
        if visit(&path, &entry).is_break() {
            return Ok(unlisted);
        }
        if entry.kind() != Some(ObjectType::Tree) {
            continue;
        }
        path.push_str(&String::from_utf8_lossy(entry.name_bytes()));
        let id = entry.id();
        drop(entry);
        if open.len() > DEEPEST {
            unlisted.get_or_insert_with(|| Unlisted::TooDeep(path.clone()));
            continue;
        }
        let tree = repository.find_tree(id)?;
        path.push('/');
        open.push(Open { tree, next: 0, length: path.len() });
    }
    Ok(unlisted)
}

/// Two versions of a folder; one of them may have no such folder.
struct Versions<'r> {
    path: String,
    depth: usize,
    old: Option<Tree<'r>>,
    new: Option<Tree<'r>>,
}

/// The mode and the number of an entry.
type Version = (i32, Oid, Option<ObjectType>);

/// The paths at which two trees differ, ordered; or why they cannot be compared to the end.
///
/// # Errors
/// If a folder cannot be read.
pub(crate) fn changes(
    repository: &Repository,
    old: Option<Tree<'_>>,
    new: Option<Tree<'_>>,
) -> Result<Result<Vec<Change>, Unlisted>, git2::Error> {
    let mut changes = Vec::new();
    let mut seen = 0_usize;
    let mut open = vec![Versions { path: String::new(), depth: 0, old, new }];
    while let Some(Versions { path, depth, old, new }) = open.pop() {
        let mut entries: BTreeMap<Vec<u8>, [Option<Version>; 2]> = BTreeMap::new();
        for (side, tree) in [&old, &new].into_iter().enumerate() {
            for entry in tree.iter().flat_map(|tree| tree.iter()) {
                let version = (entry.filemode(), entry.id(), entry.kind());
                entries.entry(entry.name_bytes().to_vec()).or_default()[side] = Some(version);
            }
        }
        for (name, [old, new]) in entries {
            if old == new {
                continue;
            }
            seen += 1;
            if seen > MOST_ENTRIES {
                return Ok(Err(Unlisted::TooMany));
            }
            let path = format!("{path}{}", String::from_utf8_lossy(&name));
            let is_tree = |version: &Version| version.2 == Some(ObjectType::Tree);
            let file = |version: Option<Version>| version.filter(|version| !is_tree(version));
            if file(old).is_some() || file(new).is_some() {
                changes.push(change(path.clone(), file(old), file(new)));
            }
            let folder = |version: Option<Version>| match version.filter(is_tree) {
                Some((_, id, _)) => repository.find_tree(id).map(Some),
                None => Ok(None),
            };
            let (old, new) = (folder(old)?, folder(new)?);
            if old.is_none() && new.is_none() {
                continue;
            }
            if depth == DEEPEST {
                return Ok(Err(Unlisted::TooDeep(path)));
            }
            open.push(Versions { path: path + "/", depth: depth + 1, old, new });
        }
    }
    changes.sort_by(|a: &Change, b| a.path.cmp(&b.path));
    Ok(Ok(changes))
}

fn change(path: String, old: Option<Version>, new: Option<Version>) -> Change {
    let mode = |version: Option<Version>| version.map_or(0, |(mode, ..)| mode);
    let is = |version: Option<Version>, wanted: FileMode| mode(version) == i32::from(wanted);
    let is_file = [FileMode::Blob, FileMode::BlobExecutable, FileMode::BlobGroupWritable]
        .into_iter()
        .any(|wanted| is(new, wanted));
    let id = new.filter(|_| is_file).and_then(|(_, id, _)| id.as_bytes().try_into().ok());
    Change { path, id, is_link: is(old, FileMode::Link) || is(new, FileMode::Link) }
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
