//! The files of a folder of a commit, read from git objects.

use std::path::Path;

use git2::{DiffOptions, FileMode, ObjectType, Oid, Repository, Tree, TreeWalkMode, TreeWalkResult};

use crate::{
    code::{Code, below},
    tree::Unwritten,
};

/// A file that is larger is not read: it is no text that somebody wrote.
const LARGEST: usize = 1 << 20;

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path, relative to the folder.
    pub path: String,
    /// The number of its content.
    pub id: [u8; 20],
}

/// A path at which two commits differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path, relative to the folder.
    pub path: String,
    /// The number of the content in the later commit; nothing where there is no file.
    pub id: Option<[u8; 20]>,
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
            Some(Change { path: String::from_utf8_lossy(path).into_owned(), id })
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

    /// Every file in it, to the end, ordered; links and submodules are none.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let walked = self.tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
            let is_file =
                entry.kind() == Some(ObjectType::Blob) && entry.filemode() != i32::from(FileMode::Link);
            if is_file && let Ok(id) = entry.id().as_bytes().try_into() {
                let name = String::from_utf8_lossy(entry.name_bytes());
                entries.push(Entry { path: format!("{folder}{name}"), id });
            }
            TreeWalkResult::Ok
        });
        // What cannot be walked to its end is told as far as it was.
        let _ = walked;
        entries
    }

    /// The content with this number; nothing where it is not there, or larger.
    pub fn content(&self, id: [u8; 20], largest: usize) -> Option<Vec<u8>> {
        let blob = self.repository.find_blob(Oid::from_bytes(&id).ok()?).ok()?;
        (blob.size() <= largest).then(|| blob.content().to_owned())
    }

    /// The names of the folders in a folder.
    pub fn folders(&self, path: &str) -> Vec<String> {
        let Some(tree) = below(self.repository, &self.tree, path) else { return Vec::new() };
        let folders = tree.iter().filter(|entry| entry.kind() == Some(ObjectType::Tree));
        folders.map(|entry| String::from_utf8_lossy(entry.name_bytes()).into_owned()).collect()
    }

    /// What tells the content of a file from every other; nothing where it is not there.
    pub fn id(&self, path: &str) -> Option<String> {
        self.tree.get_path(Path::new(path)).ok().map(|entry| entry.id().to_string())
    }

    /// The content of a file; nothing where it is not there, no file, or too large to be read by people.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        let entry = self.tree.get_path(Path::new(path)).ok()?;
        let blob = self.repository.find_blob(entry.id()).ok()?;
        (blob.size() <= LARGEST).then(|| blob.content().to_owned())
    }
}
