//! The files of a folder of a commit, read from git objects.

use std::{collections::VecDeque, ops::ControlFlow, path::Path};

use git2::{Blob, ErrorClass, ErrorCode, FileMode, ObjectType, Oid, Repository, Tree, TreeEntry};

use crate::{
    code::Code,
    tree::Unwritten,
    unknown::{Completeness, Unknown},
    walk::{self, DEEPEST, Unlisted, walk},
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
    /// Why some files are not in the list.
    pub unlisted: Option<Unlisted>,
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
    completeness: &'c Completeness,
    tree: Tree<'c>,
}

impl Code {
    /// The files below a folder of a commit; `None` if either does not exist.
    ///
    /// # Errors
    /// If the commit may exist elsewhere, or a folder cannot be read.
    pub fn files(&self, commit: &str, directory: &str) -> Result<Option<Files<'_>>, Unknown> {
        let Some(commit) = self.find(commit)? else { return Ok(None) };
        let whole = commit.tree().map_err(|error| self.completeness.unreadable(&error))?;
        let Some(tree) = self.below(&whole, directory)? else { return Ok(None) };
        Ok(Some(Files { repository: &self.repository, completeness: &self.completeness, tree }))
    }

    /// The files below a folder that differ between two commits; `None` if one of them does not exist. One that lacks the folder has
    /// no file in it.
    ///
    /// # Errors
    /// If a commit may exist elsewhere, or a folder cannot be read.
    pub fn changed(&self, from: &str, to: &str, directory: &str) -> Result<Option<Vec<Change>>, Unknown> {
        let unreadable = |error: git2::Error| self.completeness.unreadable(&error);
        let tree = |commit: git2::Commit<'_>| self.below(&commit.tree().map_err(unreadable)?, directory);
        let (Some(from), Some(to)) = (self.find(from)?, self.find(to)?) else { return Ok(None) };
        let (old, new) = (tree(from)?, tree(to)?);
        let changes = walk::changes(&self.repository, old, new).map_err(unreadable)?;
        changes.map(Some).map_err(|unlisted| self.completeness.too_large(&unlisted))
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
        let Some(entry) = entry_at(&tree, path)? else { return Ok(Vec::new()) };
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
                // Only some of the files are wanted, so that it does not matter if others are left out.
                let _unlisted = walk(&repository, &below, |folder, entry| {
                    if entry.kind() != Some(ObjectType::Blob) {
                        return ControlFlow::Continue(());
                    }
                    if left == 0 {
                        return ControlFlow::Break(());
                    }
                    left -= 1;
                    let name = String::from_utf8_lossy(entry.name_bytes());
                    failed = keep(format!("{path}/{folder}{name}"), entry.id());
                    if failed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                })?;
                failed?;
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
    ///
    /// # Errors
    /// If a folder or a link cannot be read.
    pub fn list(&self) -> Result<Listing, Unknown> {
        let (mut entries, mut links) = (Vec::new(), VecDeque::new());
        let unlisted = self.show(&self.tree, |path, entry| {
            match id(entry) {
                Some(id) => entries.push(Entry { path, id, linked: None }),
                None => links.push_back(Link { at: path.clone(), path, over: Vec::new() }),
            }
            ControlFlow::Continue(())
        });
        let unlisted = unlisted.map_err(|error| self.completeness.unreadable(&error))?;
        let (own, has_links, mut followed) = (entries.len(), !links.is_empty(), 0);
        while followed < LINKS_IN_ALL
            && entries.len() - own < LINKED
            && let Some(Link { path, at, over }) = links.pop_front()
        {
            followed += 1;
            let Some(to) = self.follow(&at)? else { continue };
            let is_round =
                |folder: &String| *folder == to || format!("{folder}/").starts_with(&format!("{to}/"));
            if to.is_empty() || is_round(&at) || over.iter().any(is_round) {
                continue;
            }
            let Some(entry) = self.entry(&to)? else { continue };
            if let Some(id) = id(&entry) {
                entries.push(Entry { path, id, linked: Some(to) });
            } else if entry.kind() == Some(ObjectType::Tree) {
                let over: Vec<String> = over.into_iter().chain([to.clone()]).collect();
                let folder = self.repository.find_tree(entry.id());
                let walked = folder.and_then(|folder| {
                    self.show(&folder, |below, entry| {
                        let (path, at) = (format!("{path}/{below}"), format!("{to}/{below}"));
                        match id(entry) {
                            Some(id) => entries.push(Entry { path, id, linked: Some(at) }),
                            None => links.push_back(Link { path, at, over: over.clone() }),
                        }
                        let is_full = entries.len() - own >= LINKED;
                        if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    })
                });
                // A folder that is too deep was named where it is.
                let _unlisted = walked.map_err(|error| self.completeness.unreadable(&error))?;
            }
        }
        Ok(Listing { entries, has_links, unlisted })
    }

    /// Shows every file and link below a folder, with its path.
    fn show(
        &self,
        folder: &Tree<'_>,
        mut show: impl FnMut(String, &TreeEntry<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Unlisted>, git2::Error> {
        // The repository gives the folders below, whatever it was that gave this one.
        let folder = self.repository.find_tree(folder.id())?;
        walk(self.repository, &folder, |folder, entry| match entry.kind() {
            Some(ObjectType::Blob) => {
                show(format!("{folder}{}", String::from_utf8_lossy(entry.name_bytes())), entry)
            }
            _ => ControlFlow::Continue(()),
        })
    }

    /// What is at a path; `None` if nothing is.
    fn entry(&self, path: &str) -> Result<Option<TreeEntry<'static>>, Unknown> {
        entry_at(&self.tree, path).map_err(|error| self.completeness.unreadable(&error))
    }

    /// Where a path leads, over links; `None` if that is outside of the folder, or nowhere. The folder itself has an empty path.
    fn follow(&self, path: &str) -> Result<Option<String>, Unknown> {
        let names = |path: &str| path.split('/').rev().map(str::to_owned).collect::<Vec<String>>();
        let (mut open, mut at, mut links) = (names(path), Vec::new(), 0);
        while let Some(name) = open.pop() {
            match name.as_str() {
                "" | "." => {}
                ".." if at.pop().is_none() => return Ok(None),
                ".." => {}
                _ => {
                    at.push(name);
                    if at.len() > DEEPEST {
                        return Ok(None);
                    }
                    let Some(entry) = self.entry(&at.join("/"))? else { return Ok(None) };
                    if entry.filemode() == i32::from(FileMode::Link) {
                        let link = self.blob(entry.id())?;
                        let Ok(to) = std::str::from_utf8(link.content()) else { return Ok(None) };
                        links += 1;
                        if links > LINKS || to.starts_with('/') {
                            return Ok(None);
                        }
                        at.pop();
                        open.extend(names(to));
                    }
                }
            }
        }
        Ok(Some(at.join("/")))
    }

    fn blob(&self, id: Oid) -> Result<Blob<'_>, Unknown> {
        self.repository.find_blob(id).map_err(|error| self.completeness.unreadable(&error))
    }

    /// The content of a listed file; `None` if it is larger.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn content(&self, id: [u8; 20], largest: usize) -> Result<Option<Vec<u8>>, Unknown> {
        let id = Oid::from_bytes(&id).map_err(|error| self.completeness.unreadable(&error))?;
        let blob = self.blob(id)?;
        Ok((blob.size() <= largest).then(|| blob.content().to_owned()))
    }

    /// Whether there is a file, a folder or a link at a path.
    ///
    /// # Errors
    /// If a folder on the way cannot be read.
    pub fn has(&self, path: &str) -> Result<bool, Unknown> {
        Ok(self.entry(path)?.is_some())
    }

    /// The content of a file; `None` if there is none, or it is too large to be read by people.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Unknown> {
        let Some(path) = self.follow(path)? else { return Ok(None) };
        let Some(id) = self.entry(&path)?.as_ref().and_then(id) else { return Ok(None) };
        self.content(id, LARGEST)
    }
}

/// What is at a path of a tree; `None` if nothing is. A folder on the way that the repository lacks is an error, with the same code
/// and another class.
fn entry_at(tree: &Tree<'_>, path: &str) -> Result<Option<TreeEntry<'static>>, git2::Error> {
    // libgit2 recurses over the path.
    if path.split('/').count() > DEEPEST {
        return Ok(None);
    }
    match tree.get_path(Path::new(path)) {
        Ok(entry) => Ok(Some(entry)),
        Err(error) if error.code() == ErrorCode::NotFound && error.class() == ErrorClass::Tree => Ok(None),
        Err(error) => Err(error),
    }
}

/// The number of a file's content; nothing for what is no file.
fn id(entry: &TreeEntry<'_>) -> Option<[u8; 20]> {
    let is_file = entry.kind() == Some(ObjectType::Blob) && entry.filemode() != i32::from(FileMode::Link);
    is_file.then(|| entry.id().as_bytes().try_into().ok()).flatten()
}
