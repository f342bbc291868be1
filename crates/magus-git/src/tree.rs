//! The files of a commit on disk: written as git has them, and compared with what somebody made of them since.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink},
    },
    path::{Component, Path, PathBuf},
};

use git2::{FileMode, ObjectType, Oid, Repository, Tree};
use ignore::WalkBuilder;
use rustix::fs::OFlags;

/// Why the files of a commit were not written.
#[derive(Debug, thiserror::Error)]
pub enum Unwritten {
    /// The repository does not have them.
    #[error("the commit `{commit}` cannot be read: {source}")]
    Unread {
        /// The commit.
        commit: String,
        /// What libgit2 said.
        source: git2::Error,
    },
    /// A file that must not be written.
    #[error("`{path}` {why}")]
    Refused {
        /// Its path in the code.
        path: String,
        /// The fact.
        why: &'static str,
    },
    /// The disk.
    #[error("`{path}` cannot be written: {source}")]
    Disk {
        /// Where.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

/// The files of a tree: what tells later whether somebody changed them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest(Vec<Entry>);

/// A file or a link.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    path: PathBuf,
    kind: Kind,
    content: Oid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Executable,
    Link,
}

/// What a file's first bits are called, as git writes them.
const KINDS: [(Kind, &str); 3] =
    [(Kind::File, "100644"), (Kind::Executable, "100755"), (Kind::Link, "120000")];

/// Writes a folder of a commit below `target`, which must not be there yet. A file that one of the trees `like` has as well becomes
/// a copy of that one where the file system can share what is in both (`FICLONE`), as long as nobody changes either.
///
/// # Errors
/// Where the commit or its folder is not there, a name or a link leads outside of the code, or the disk fails. What was
/// written until then is left.
pub fn write_tree(
    git: &Path,
    commit: &str,
    directory: &str,
    target: &Path,
    like: &[PathBuf],
) -> Result<Manifest, Unwritten> {
    let unread = |source| Unwritten::Unread { commit: commit.to_owned(), source };
    let repository = Repository::open(git).map_err(unread)?;
    // What runs is what has this number, whoever can write into the repository.
    git2::opts::strict_hash_verification(true);
    let found = Oid::from_str(commit).and_then(|id| repository.find_commit(id)).map_err(unread)?;
    let whole = found.tree().map_err(unread)?;
    let tree = crate::code::below(&repository, &whole, directory).map_err(unread)?.ok_or_else(|| {
        Unwritten::Refused { path: directory.to_owned(), why: "is not a folder of the commit" }
    })?;
    let mut writer =
        Writer { repository: &repository, commit, target, like, shares: true, entries: Vec::new() };
    writer.folder(Path::new(""))?;
    writer.tree(tree)?;
    Ok(Manifest(writer.entries))
}

/// Opens no link: what it leads to is no file of a tree.
const NO_FOLLOW: i32 = OFlags::NOFOLLOW.bits().cast_signed();

struct Writer<'a> {
    repository: &'a Repository,
    commit: &'a str,
    target: &'a Path,
    like: &'a [PathBuf],
    /// Whether the file system can share, as far as is known.
    shares: bool,
    entries: Vec<Entry>,
}

impl<'a> Writer<'a> {
    /// Writes what is in a tree. No recursion: the trees that are open lie in a list, and end where paths become too long for the disk.
    fn tree(&mut self, tree: Tree<'a>) -> Result<(), Unwritten> {
        let mut open = vec![(tree, 0, PathBuf::new())];
        while let Some((tree, next, parent)) = open.last_mut() {
            let Some(entry) = tree.get(*next) else {
                open.pop();
                continue;
            };
            *next += 1;
            let name = OsStr::from_bytes(entry.name_bytes());
            let path = parent.join(name);
            // What git itself would never add; a tree can be made by hand.
            let is_name = Path::new(name).components().eq([Component::Normal(name)])
                && !name.eq_ignore_ascii_case(".git");
            if !is_name {
                return Err(refused(&path, "is no name that a file of the code can have"));
            }
            if entry.kind() == Some(ObjectType::Blob) {
                self.blob(path, entry.filemode(), entry.id())?;
                continue;
            }
            // A submodule is an empty folder, as after a clone.
            self.folder(&path)?;
            if entry.kind() == Some(ObjectType::Tree) {
                let below = self.repository.find_tree(entry.id()).map_err(|source| self.unread(source))?;
                drop(entry);
                open.push((below, 0, path));
            }
        }
        Ok(())
    }

    fn blob(&mut self, path: PathBuf, mode: i32, content: Oid) -> Result<(), Unwritten> {
        let blob = self.repository.find_blob(content).map_err(|source| self.unread(source))?;
        let kind = if mode == i32::from(FileMode::Link) {
            Kind::Link
        } else if mode & 0o111 != 0 {
            Kind::Executable
        } else {
            Kind::File
        };
        if !self.share(&path, kind, content) {
            self.file(&path, kind, blob.content())?;
        }
        self.entries.push(Entry { path, kind, content });
        Ok(())
    }

    fn unread(&self, source: git2::Error) -> Unwritten {
        Unwritten::Unread { commit: self.commit.to_owned(), source }
    }

    fn folder(&self, path: &Path) -> Result<(), Unwritten> {
        DirBuilder::new().mode(0o755).create(self.target.join(path)).map_err(|error| disk(path, error))
    }

    /// Makes a file out of that of another tree; false where that is not possible, and nothing is there then. What is in it is
    /// looked at afterwards, whoever may have changed it meanwhile.
    fn share(&mut self, path: &Path, kind: Kind, content: Oid) -> bool {
        let place = self.target.join(path);
        let mode = if kind == Kind::Executable { 0o755 } else { 0o644 };
        for tree in self.like.iter().filter(|_| kind != Kind::Link) {
            if !self.shares {
                return false;
            }
            let options = OpenOptions::new().read(true).custom_flags(NO_FOLLOW).open(tree.join(path));
            let Some(source) = options.ok().filter(|file| file.metadata().is_ok_and(|file| file.is_file()))
            else {
                continue;
            };
            let Ok(file) = OpenOptions::new().write(true).create_new(true).mode(mode).open(&place) else {
                return false;
            };
            self.shares = rustix::fs::ioctl_ficlone(&file, &source).is_ok();
            if self.shares && Oid::hash_file(ObjectType::Blob, &place).is_ok_and(|found| found == content) {
                return true;
            }
            if fs::remove_file(&place).is_err() {
                return false;
            }
        }
        false
    }

    fn file(&self, path: &Path, kind: Kind, content: &[u8]) -> Result<(), Unwritten> {
        let place = self.target.join(path);
        let mode = match kind {
            Kind::Link => {
                let to = Path::new(OsStr::from_bytes(content));
                if !stays_inside(path, to) {
                    return Err(refused(path, "is a link that leads outside of the code"));
                }
                return symlink(to, place).map_err(|error| disk(path, error));
            }
            Kind::Executable => 0o755,
            Kind::File => 0o644,
        };
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(place);
        file.and_then(|mut file| file.write_all(content)).map_err(|error| disk(path, error))
    }
}

fn refused(path: &Path, why: &'static str) -> Unwritten {
    Unwritten::Refused { path: path.to_string_lossy().into_owned(), why }
}

fn disk(path: &Path, source: io::Error) -> Unwritten {
    Unwritten::Disk { path: path.to_string_lossy().into_owned(), source }
}

/// Whether a link in the code leads to a place in it, whatever other links are there: `..` is taken only at the beginning,
/// where it can be counted, because above a link it leads from where that link does.
fn stays_inside(link: &Path, to: &Path) -> bool {
    let mut depth = link.components().count().saturating_sub(1);
    let mut below = false;
    for part in to.components() {
        match part {
            Component::ParentDir if below || depth == 0 => return false,
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => below = true,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    !to.as_os_str().is_empty()
}

impl Manifest {
    /// What differs below a folder: files that are changed or gone, and new ones that no `.gitignore` of the folder names.
    /// Paths in it, ordered.
    ///
    /// # Errors
    /// Where something in the folder cannot be read.
    pub fn changed(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut changed = BTreeSet::new();
        for entry in &self.0 {
            if !entry.is_unchanged(folder)? {
                changed.insert(entry.path.clone());
            }
        }
        let known: BTreeSet<&Path> = self.0.iter().map(|entry| entry.path.as_path()).collect();
        let walk = WalkBuilder::new(folder)
            .standard_filters(false)
            .git_ignore(true)
            .require_git(false)
            .follow_links(false)
            .build();
        for found in walk {
            let found = found
                .map_err(|error| error.into_io_error().unwrap_or_else(|| io::Error::other("unreadable")))?;
            let is_folder = found.file_type().is_some_and(|kind| kind.is_dir());
            let path = found.path().strip_prefix(folder).unwrap_or(found.path());
            if !is_folder && !known.contains(path) {
                changed.insert(path.to_owned());
            }
        }
        Ok(changed.into_iter().map(|path| path.to_string_lossy().into_owned()).collect())
    }

    /// As it is kept beside the tree, in the form of `git ls-tree -z`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * 80);
        for Entry { path, kind, content } in &self.0 {
            let mode = KINDS.iter().find(|(known, _)| known == kind).map_or("", |(_, mode)| mode);
            bytes.extend(format!("{mode} blob {content}\t").into_bytes());
            bytes.extend(path.as_os_str().as_bytes());
            bytes.push(0);
        }
        bytes
    }

    /// Reads what [`Manifest::to_bytes`] wrote; nothing for anything else.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let lines = bytes.split(|byte| *byte == 0).filter(|line| !line.is_empty());
        lines.map(Entry::parse).collect::<Option<_>>().map(Self)
    }
}

impl Entry {
    fn parse(line: &[u8]) -> Option<Self> {
        let tab = line.iter().position(|byte| *byte == b'\t')?;
        let mut words = std::str::from_utf8(&line[..tab]).ok()?.split(' ');
        let (mode, "blob", content) = (words.next()?, words.next()?, words.next()?) else { return None };
        let kind = KINDS.iter().find(|(_, known)| *known == mode)?.0;
        let path = PathBuf::from(OsString::from_vec(line[tab + 1..].to_vec()));
        Some(Self { path, kind, content: Oid::from_str(content).ok()? })
    }

    fn is_unchanged(&self, folder: &Path) -> io::Result<bool> {
        let place = folder.join(&self.path);
        let metadata = match fs::symlink_metadata(&place) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let content = match self.kind {
            Kind::Link if metadata.is_symlink() => fs::read_link(&place)?.into_os_string().into_vec(),
            Kind::File | Kind::Executable if metadata.is_file() => {
                let is_executable = metadata.permissions().mode() & 0o100 != 0;
                if is_executable != (self.kind == Kind::Executable) {
                    return Ok(false);
                }
                fs::read(&place)?
            }
            _ => return Ok(false),
        };
        let found = Oid::hash_object(ObjectType::Blob, &content).map_err(io::Error::other)?;
        Ok(found == self.content)
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
