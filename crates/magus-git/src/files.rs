//! The files of a folder of a commit, read from git objects.

use std::{collections::VecDeque, path::Path};

use git2::{
    DiffOptions, FileMode, ObjectType, Oid, Repository, Tree, TreeEntry, TreeWalkMode, TreeWalkResult,
};

use crate::{
    code::{Code, below},
    tree::Unwritten,
};

/// A file that is larger is not read: it is no text that somebody wrote.
const LARGEST: usize = 1 << 20;

/// So many links are followed to a file, as Linux does (`path_resolution(7)`), and in a folder.
const LINKS: usize = 40;
const LINKS_IN_ALL: usize = 1_000;
/// With so many files that are there over links, no further one is followed.
const LINKED: usize = 100_000;

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path, relative to the folder.
    pub path: String,
    /// The number of its content.
    pub id: [u8; 20],
    /// Where it is, where its path is a link or leads over one.
    pub linked: Option<String>,
}

/// A path at which two commits differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path, relative to the folder.
    pub path: String,
    /// The number of the content in the later commit; nothing where there is no file.
    pub id: Option<[u8; 20]>,
    /// Whether there is a link in one of them.
    pub is_link: bool,
}

/// All files of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Each of them; submodules are none. Links are followed to what is in the folder too: what is outside of it, nobody can say of
    /// every machine.
    pub entries: Vec<Entry>,
    /// Whether there is any link, wherever it leads.
    pub has_links: bool,
}

/// A link that is to be followed.
struct Link {
    /// The path at which it is seen, and the one at which it is.
    path: String,
    at: String,
    /// The folders that links led to on the way.
    over: Vec<String>,
}

/// The files of a folder of a commit.
pub struct Files<'c> {
    repository: &'c Repository,
    tree: Tree<'c>,
}

impl Code {
    /// The files below a folder of a commit; nothing where either is not there.
    pub fn files(&self, commit: &str, directory: &str) -> Option<Files<'_>> {
        let commit = self.repository.find_commit(Oid::from_str(commit).ok()?).ok()?;
        let tree = below(&self.repository, &commit.tree().ok()?, directory)?;
        Some(Files { repository: &self.repository, tree })
    }

    /// The files below a folder that differ between two commits; nothing where one of them is not there. One that lacks the folder has
    /// no file in it.
    pub fn changed(&self, from: &str, to: &str, directory: &str) -> Option<Vec<Change>> {
        let tree = |id: &str| {
            let whole = self.repository.find_commit(Oid::from_str(id).ok()?).ok()?.tree().ok()?;
            Some(below(&self.repository, &whole, directory))
        };
        let (old, new) = (tree(from)?, tree(to)?);
        let mut options = DiffOptions::new();
        options.include_typechange(true);
        let diff = self.repository.diff_tree_to_tree(old.as_ref(), new.as_ref(), Some(&mut options)).ok()?;
        let change = |delta: git2::DiffDelta<'_>| {
            let (old, new) = (delta.old_file(), delta.new_file());
            let path = new.path_bytes().or_else(|| old.path_bytes())?;
            let is_file =
                matches!(new.mode(), FileMode::Blob | FileMode::BlobExecutable | FileMode::BlobGroupWritable);
            let id = is_file.then(|| new.id().as_bytes().try_into().ok()).flatten();
            let is_link = [old.mode(), new.mode()].contains(&FileMode::Link);
            Some(Change { path: String::from_utf8_lossy(path).into_owned(), id, is_link })
        };
        Some(diff.deltas().filter_map(change).collect())
    }
}

/// The files of a commit at a path or below it, with their content: so many at most, and none where there is nothing. Paths are
/// from the root of the repository, whose git directory is given.
///
/// # Errors
/// Where the repository cannot be read.
pub fn files_at(
    git: &Path,
    commit: &str,
    path: &str,
    most: usize,
) -> Result<Vec<(String, Vec<u8>)>, Unwritten> {
    let unread = |source| Unwritten::Unread { commit: commit.to_owned(), source };
    let repository = Repository::open(git).map_err(unread)?;
    let read = || -> Result<Vec<(String, Vec<u8>)>, git2::Error> {
        let tree = repository.find_commit(Oid::from_str(commit)?)?.tree()?;
        let Ok(entry) = tree.get_path(Path::new(path)) else { return Ok(Vec::new()) };
        let mut files = Vec::new();
        let mut keep = |path: String, id: Oid| -> Result<(), git2::Error> {
            files.push((path, repository.find_blob(id)?.content().to_owned()));
            Ok(())
        };
        match entry.kind() {
            Some(ObjectType::Blob) => keep(path.to_owned(), entry.id())?,
            Some(ObjectType::Tree) => {
                let mut failed = Ok(());
                let mut left = most;
                let below = repository.find_tree(entry.id())?;
                let walked = below.walk(TreeWalkMode::PreOrder, |folder, entry| {
                    if entry.kind() != Some(ObjectType::Blob) {
                        return TreeWalkResult::Ok;
                    }
                    if left == 0 {
                        return TreeWalkResult::Abort;
                    }
                    left -= 1;
                    let name = String::from_utf8_lossy(entry.name_bytes());
                    failed = keep(format!("{path}/{folder}{name}"), entry.id());
                    if failed.is_ok() { TreeWalkResult::Ok } else { TreeWalkResult::Abort }
                });
                failed?;
                // That it was ended early is no failure.
                let _ = walked;
            }
            _ => {}
        }
        Ok(files)
    };
    read().map_err(unread)
}

impl Files<'_> {
    /// What tells this folder and all that is in it from every other.
    pub fn tree_id(&self) -> String {
        self.tree.id().to_string()
    }

    /// Every file in it, to the end.
    pub fn list(&self) -> Listing {
        let (mut entries, mut links) = (Vec::new(), VecDeque::new());
        walk(&self.tree, |path, entry| match id(entry) {
            Some(id) => entries.push(Entry { path, id, linked: None }),
            None => links.push_back(Link { at: path.clone(), path, over: Vec::new() }),
        });
        let (own, has_links, mut followed) = (entries.len(), !links.is_empty(), 0);
        while followed < LINKS_IN_ALL
            && entries.len() - own < LINKED
            && let Some(Link { path, at, over }) = links.pop_front()
        {
            followed += 1;
            let Some(to) = self.follow(&at) else { continue };
            let is_round =
                |folder: &String| *folder == to || format!("{folder}/").starts_with(&format!("{to}/"));
            if to.is_empty() || is_round(&at) || over.iter().any(is_round) {
                continue;
            }
            let Ok(entry) = self.tree.get_path(Path::new(&to)) else { continue };
            if let Some(id) = id(&entry) {
                entries.push(Entry { path, id, linked: Some(to) });
            } else if let Ok(folder) = self.repository.find_tree(entry.id()) {
                let over: Vec<String> = over.into_iter().chain([to.clone()]).collect();
                walk(&folder, |below, entry| {
                    let (path, at) = (format!("{path}/{below}"), format!("{to}/{below}"));
                    match id(entry) {
                        Some(id) => entries.push(Entry { path, id, linked: Some(at) }),
                        None => links.push_back(Link { path, at, over: over.clone() }),
                    }
                });
            }
        }
        Listing { entries, has_links }
    }

    /// Where a path leads, over links; nothing where that is outside of the folder, or nowhere. The folder itself has an empty path.
    fn follow(&self, path: &str) -> Option<String> {
        let names = |path: &str| path.split('/').rev().map(str::to_owned).collect::<Vec<String>>();
        let (mut open, mut at, mut links) = (names(path), Vec::new(), 0);
        while let Some(name) = open.pop() {
            match name.as_str() {
                "" | "." => {}
                ".." => drop(at.pop()?),
                _ => {
                    at.push(name);
                    let entry = self.tree.get_path(Path::new(&at.join("/"))).ok()?;
                    if entry.filemode() == i32::from(FileMode::Link) {
                        let link = self.repository.find_blob(entry.id()).ok()?;
                        let to = std::str::from_utf8(link.content()).ok()?;
                        links += 1;
                        if links > LINKS || to.starts_with('/') {
                            return None;
                        }
                        at.pop();
                        open.extend(names(to));
                    }
                }
            }
        }
        Some(at.join("/"))
    }

    /// The content with this number; nothing where it is not there, or larger.
    pub fn content(&self, id: [u8; 20], largest: usize) -> Option<Vec<u8>> {
        let blob = self.repository.find_blob(Oid::from_bytes(&id).ok()?).ok()?;
        (blob.size() <= largest).then(|| blob.content().to_owned())
    }

    /// The content of a file; nothing where it is not there, no file, or too large to be read by people.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        let entry = self.tree.get_path(Path::new(&self.follow(path)?)).ok()?;
        self.content(id(&entry)?, LARGEST)
    }
}

/// The number of a file's content; nothing for what is no file.
fn id(entry: &TreeEntry<'_>) -> Option<[u8; 20]> {
    let is_file = entry.kind() == Some(ObjectType::Blob) && entry.filemode() != i32::from(FileMode::Link);
    is_file.then(|| entry.id().as_bytes().try_into().ok()).flatten()
}

/// Shows every file and link below a folder, with its path. What cannot be walked to its end is shown as far as it was.
fn walk(folder: &Tree<'_>, mut show: impl FnMut(String, &TreeEntry<'_>)) {
    let walked = folder.walk(TreeWalkMode::PreOrder, |folder, entry| {
        if entry.kind() == Some(ObjectType::Blob) {
            show(format!("{folder}{}", String::from_utf8_lossy(entry.name_bytes())), entry);
        }
        TreeWalkResult::Ok
    });
    let _ = walked;
}
