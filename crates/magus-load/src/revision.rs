//! The files of a directory as a git revision has them, without a checkout; and which revision is checked out.
//!
//! Reads the local object store only. A declaration in a submodule is none: its commit is in another repository.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ffi::OsString,
    path::{Component, Path, PathBuf},
};

use git2::{Commit, ErrorCode, ObjectType, Oid, Repository, Status, StatusOptions, StatusShow, Tree};

use crate::{
    document::{LoadError, Loaded},
    load::{Directory, LARGEST_FILE, ReadFault, load, normal, shown},
    walk::{Folders, Followed, Item, Kind, extension, is_skipped, walk},
};

/// How many links a path may lead through, as on Linux.
const MOST_LINKS: usize = 40;

/// Reads the declarations of a directory as a revision of its repository has them.
///
/// # Errors
/// Where there is no repository, no such revision, or no such directory in it. Whatever is wrong inside the directory
/// is a finding.
pub fn load_revision(
    directory: &Path,
    working_directory: &Path,
    revision: &str,
) -> Result<Loaded, LoadError> {
    let display = shown(directory, working_directory);
    let Place { repository, path } = discover(&working_directory.join(directory), &display)?;
    let failed = |source: git2::Error| LoadError::Git { path: display.clone(), source };
    let commit = find_commit(&repository, revision, &display)?;
    let tree = commit.tree().map_err(failed)?;
    let absent = || LoadError::NotInRevision {
        path: if path.as_os_str().is_empty() { ".".into() } else { path.display().to_string() },
        revision: revision.to_owned(),
    };
    let objects = Objects { repository: &repository, tree, root: path.clone() };
    if !matches!(objects.resolve(&path), Some(Entry::Folder)) {
        return Err(absent());
    }
    let walked = walk(&objects).map_err(|_| absent())?;
    let git_directory = repository.path().to_owned();
    let directory = Directory {
        root: directory.to_owned(),
        display: display.clone(),
        revision: Some(commit.id().to_string()),
    };
    Ok(load(directory, walked, || Repository::open(&git_directory), read))
}

/// The commit that a revision names. It has to be an ancestor of what is read now, which is the revision `now` or else
/// the commit that is checked out: only then are there commits after it.
///
/// # Errors
/// Where there is no repository or no such revision, or where it is no ancestor.
pub fn ancestor(
    directory: &Path,
    working_directory: &Path,
    revision: &str,
    now: Option<&str>,
) -> Result<String, LoadError> {
    let display = shown(directory, working_directory);
    let Place { repository, path: _ } = discover(&working_directory.join(directory), &display)?;
    let then = find_commit(&repository, revision, &display)?.id();
    let now = find_commit(&repository, now.unwrap_or("HEAD"), &display)?.id();
    let failed = |source: git2::Error| LoadError::Git { path: display.clone(), source };
    if then == now || repository.graph_descendant_of(now, then).map_err(failed)? {
        return Ok(then.to_string());
    }
    Err(LoadError::NoAncestor {
        revision: revision.to_owned(),
        now: now.to_string(),
        base: base(&repository, then, now).map_err(failed)?.map(|base| base.to_string()),
    })
}

/// The commit where two parted; `None` if they have none in common.
fn base(repository: &Repository, one: Oid, other: Oid) -> Result<Option<Oid>, git2::Error> {
    match repository.merge_base(one, other) {
        Ok(base) => Ok(Some(base)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The commit where what is checked out and a revision part.
///
/// # Errors
/// Where the revision is not there, or the two have no commit in common.
pub fn merge_base(directory: &Path, working_directory: &Path, revision: &str) -> Result<String, LoadError> {
    let display = shown(directory, working_directory);
    let Place { repository, path: _ } = discover(&working_directory.join(directory), &display)?;
    let other = find_commit(&repository, revision, &display)?.id();
    let now = find_commit(&repository, "HEAD", &display)?.id();
    let failed = |source: git2::Error| LoadError::Git { path: display.clone(), source };
    let base = base(&repository, other, now).map_err(failed)?.map(|base| base.to_string());
    base.ok_or_else(|| LoadError::NoAncestor {
        revision: revision.to_owned(),
        now: now.to_string(),
        base: None,
    })
}

/// How a commit stands to what is read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is among the commits of what is read now.
    Contained,
    /// It descends from what is read now, which is older.
    Newer,
    /// Neither descends from the other.
    Apart,
    /// The repository does not have it.
    Missing,
    /// The repository lacks commits, so that it cannot be told.
    Untold,
}

/// How commits stand to the revision `now` of the repository of a directory.
///
/// # Errors
/// Where there is no repository, or no such revision.
pub fn standings(
    directory: &Path,
    now: &str,
    commits: &BTreeSet<String>,
) -> Result<BTreeMap<String, Standing>, LoadError> {
    let display = directory.display().to_string();
    let absolute = std::path::absolute(directory)
        .map_err(|source| LoadError::Unreadable { path: display.clone(), source })?;
    let Place { repository, path: _ } = discover(&absolute, &display)?;
    let now = find_commit(&repository, now, &display)?.id();
    let standing = |commit: &str| {
        let commit = match Oid::from_str(commit).and_then(|id| repository.find_commit(id)) {
            Ok(commit) => commit.id(),
            Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::Invalid) => {
                return Standing::Missing;
            }
            Err(_) => return Standing::Untold,
        };
        let descends = |from: Oid, of: Oid| match from == of {
            true => Ok(true),
            false => repository.graph_descendant_of(from, of),
        };
        match (descends(now, commit), descends(commit, now)) {
            (Ok(true), _) => Standing::Contained,
            (_, Ok(true)) => Standing::Newer,
            (Ok(false), Ok(false)) if !repository.is_shallow() => Standing::Apart,
            _ => Standing::Untold,
        }
    };
    Ok(commits.iter().map(|commit| (commit.clone(), standing(commit))).collect())
}

fn find_commit<'a>(
    repository: &'a Repository,
    revision: &str,
    display: &str,
) -> Result<Commit<'a>, LoadError> {
    let object = repository.revparse_single(revision).map_err(|error| match error.code() {
        ErrorCode::NotFound | ErrorCode::InvalidSpec | ErrorCode::UnbornBranch if repository.is_shallow() => {
            LoadError::Shallow(revision.to_owned())
        }
        ErrorCode::NotFound | ErrorCode::InvalidSpec | ErrorCode::UnbornBranch => {
            LoadError::NoRevision(revision.to_owned())
        }
        ErrorCode::Ambiguous => LoadError::AmbiguousRevision(revision.to_owned()),
        _ => LoadError::Git { path: display.to_owned(), source: error },
    })?;
    object.peel_to_commit().map_err(|_| LoadError::NoRevision(revision.to_owned()))
}

/// What the declarations in a work tree were made from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceRevision {
    /// The commit that is checked out; nothing outside a repository, and before the first commit.
    pub revision: Option<String>,
    /// Whether the directory differs from that commit: changed, added or removed files in it.
    pub dirty: bool,
}

/// The commit that is checked out around a directory, and whether the declarations differ from it.
///
/// # Errors
/// Where there is a repository that cannot be read, or that git was not told to trust.
pub fn source_revision(directory: &Path) -> Result<SourceRevision, LoadError> {
    let display = directory.display().to_string();
    let absolute = std::path::absolute(directory)
        .map_err(|source| LoadError::Unreadable { path: display.clone(), source })?;
    let Place { repository, path } = match discover(&absolute, &display) {
        Ok(place) => place,
        Err(LoadError::NoRepository(_)) => return Ok(SourceRevision::default()),
        Err(error) => return Err(error),
    };
    let failed = |source: git2::Error| LoadError::Git { path: display.clone(), source };
    let revision = match repository.head().and_then(|head| head.peel_to_commit()) {
        Ok(commit) => Some(commit.id().to_string()),
        Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => None,
        Err(error) => return Err(failed(error)),
    };
    if repository.is_bare() {
        return Ok(SourceRevision { revision, dirty: false });
    }
    let mut options = StatusOptions::new();
    options
        .show(StatusShow::IndexAndWorkdir)
        .include_untracked(true)
        .recurse_untracked_dirs(true)
        // What git ignores and Magus reads is not in the commit either.
        .include_ignored(true)
        .recurse_ignored_dirs(true)
        .exclude_submodules(true)
        .disable_pathspec_match(true);
    if !path.as_os_str().is_empty() {
        options.pathspec(&path);
    }
    let statuses = repository.statuses(Some(&mut options)).map_err(failed)?;
    let dirty = statuses.iter().any(|entry| {
        let status = entry.status();
        status != Status::CURRENT && (!status.contains(Status::IGNORED) || counts(entry.path_bytes(), &path))
    });
    Ok(SourceRevision { revision, dirty })
}

/// Where a directory is instead of on a branch of its repository, for people; nothing where it is on it. A commit that is
/// checked out without a branch, as in CI, is on every branch that has it, here or as it was fetched.
///
/// # Errors
/// Where there is no repository, or it cannot be read.
pub fn off_branch(directory: &Path, branch: &str) -> Result<Option<String>, LoadError> {
    let display = directory.display().to_string();
    let absolute = std::path::absolute(directory)
        .map_err(|source| LoadError::Unreadable { path: display.clone(), source })?;
    let Place { repository, path: _ } = discover(&absolute, &display)?;
    let failed = |source: git2::Error| LoadError::Git { path: display.clone(), source };
    let head = match repository.head() {
        Ok(head) => head,
        Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {
            return Ok(Some("a branch without a commit".to_owned()));
        }
        Err(error) => return Err(failed(error)),
    };
    if head.is_branch() {
        let name = String::from_utf8_lossy(head.shorthand_bytes()).into_owned();
        return Ok((name != branch).then(|| format!("the branch `{name}`")));
    }
    let commit = head.peel_to_commit().map_err(failed)?.id();
    let ending = format!("/{branch}");
    for reference in repository.references().map_err(failed)? {
        let reference = reference.map_err(failed)?;
        let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
        // `refs/remotes/REMOTE/BRANCH`; nobody's remote has a slash in its name, and branches do.
        let is_it = name == format!("refs/heads/{branch}")
            || name
                .strip_prefix("refs/remotes/")
                .is_some_and(|rest| rest.strip_suffix(&ending).is_some_and(|remote| !remote.contains('/')));
        if !is_it {
            continue;
        }
        let tip = reference.peel_to_commit().map_err(failed)?.id();
        let has = match repository.graph_descendant_of(tip, commit) {
            // The walk met the place at which history is cut: nothing shows that the branch has it.
            Err(_) if repository.is_shallow() => false,
            has => has.map_err(failed)?,
        };
        if tip == commit || has {
            return Ok(None);
        }
    }
    Ok(Some(format!("the commit `{commit}`")))
}

/// Whether a path of the repository could be a document of the directory.
fn counts(path: &[u8], directory: &Path) -> bool {
    let path = String::from_utf8_lossy(path);
    let Ok(inside) = Path::new(path.as_ref()).strip_prefix(directory) else { return false };
    let hidden = inside.iter().any(|part| is_skipped(&part.to_string_lossy()));
    !hidden && extension(&path).is_some()
}

/// A repository, and the path of a directory in it.
struct Place {
    repository: Repository,
    path: PathBuf,
}

/// Finds the repository of a directory, which need not exist in the work tree.
fn discover(directory: &Path, display: &str) -> Result<Place, LoadError> {
    let directory = normal(directory);
    let none = || LoadError::NoRepository(display.to_owned());
    let (existing, absolute) =
        directory.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?))).ok_or_else(none)?;
    let missing = directory.strip_prefix(existing).map_err(|_| none())?;
    let repository = Repository::discover(&absolute).map_err(|error| match error.code() {
        ErrorCode::NotFound => none(),
        ErrorCode::Owner => LoadError::NotTrusted {
            path: display.to_owned(),
            repository: absolute
                .ancestors()
                .find(|above| above.join(".git").exists())
                .unwrap_or(&absolute)
                .display()
                .to_string(),
        },
        _ => LoadError::Git { path: display.to_owned(), source: error },
    })?;
    let base = repository.workdir().unwrap_or_else(|| repository.path());
    let base = base.canonicalize().unwrap_or_else(|_| base.to_owned());
    let path = absolute.strip_prefix(&base).map_err(|_| none())?.join(missing);
    Ok(Place { repository, path })
}

fn read(repository: &mut Result<Repository, git2::Error>, blob: &Oid) -> Result<Vec<u8>, ReadFault> {
    let unreadable = |error: &git2::Error| ReadFault::Unreadable(error.message().to_lowercase());
    let repository = repository.as_ref().map_err(unreadable)?;
    let odb = repository.odb().map_err(|error| unreadable(&error))?;
    let (length, _) = odb.read_header(*blob).map_err(|error| unreadable(&error))?;
    if length as u64 > LARGEST_FILE {
        return Err(ReadFault::TooLarge);
    }
    Ok(odb.read(*blob).map_err(|error| unreadable(&error))?.data().to_vec())
}

/// The objects of one revision.
struct Objects<'a> {
    repository: &'a Repository,
    tree: Tree<'a>,
    /// The directory in the tree.
    root: PathBuf,
}

/// What is at a path of the tree.
enum Entry {
    File(Oid),
    Folder,
    Link(Oid),
    Other,
}

impl Objects<'_> {
    /// What is at a path of the tree, links not followed.
    fn resolve(&self, path: &Path) -> Option<Entry> {
        if path.as_os_str().is_empty() {
            return Some(Entry::Folder);
        }
        let entry = self.tree.get_path(path).ok()?;
        Some(kind(entry.kind(), entry.filemode(), entry.id()))
    }

    /// Follows the links of a path, as the file system would, inside the tree.
    fn real(&self, path: &Path) -> Result<PathBuf, Followed<Oid>> {
        let outside = || Followed::Outside { folder: path.extension().is_none() };
        let mut ahead: VecDeque<OsString> = path.iter().map(OsString::from).collect();
        let mut real = PathBuf::new();
        let mut links = 0;
        while let Some(part) = ahead.pop_front() {
            match Path::new(&part).components().next() {
                Some(Component::Normal(name)) => real.push(name),
                Some(Component::ParentDir) if real.pop() => continue,
                Some(Component::ParentDir | Component::RootDir | Component::Prefix(_)) => {
                    return Err(outside());
                }
                Some(Component::CurDir) | None => continue,
            }
            match self.resolve(&real) {
                None => return Err(Followed::Broken("the link leads nowhere, or in a circle")),
                Some(Entry::Link(blob)) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Followed::Broken("the link leads nowhere, or in a circle"));
                    }
                    let target = self.repository.find_blob(blob).ok();
                    let target = target.as_ref().and_then(|blob| std::str::from_utf8(blob.content()).ok());
                    let target = Path::new(target.ok_or(Followed::Broken("the link cannot be read"))?);
                    real.pop();
                    for part in target.iter().rev() {
                        ahead.push_front(part.to_owned());
                    }
                }
                Some(_) => {}
            }
        }
        Ok(real)
    }
}

impl Folders for Objects<'_> {
    type File = Oid;

    fn list(&self, place: &Path) -> Result<Vec<Item<Oid>>, String> {
        let unreadable = |error: git2::Error| error.message().to_lowercase();
        let path = self.root.join(place);
        let below;
        let tree = if path.as_os_str().is_empty() {
            &self.tree
        } else {
            let entry = self.tree.get_path(&path).map_err(unreadable)?;
            below = self.repository.find_tree(entry.id()).map_err(unreadable)?;
            &below
        };
        let items = tree.iter().map(|entry| {
            let name = String::from_utf8(entry.name_bytes().to_vec())
                .map_err(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
            let kind = match kind(entry.kind(), entry.filemode(), entry.id()) {
                Entry::File(blob) => Kind::File(blob),
                Entry::Folder => Kind::Folder,
                Entry::Link(_) => Kind::Link,
                Entry::Other => Kind::Other,
            };
            Item { name, kind }
        });
        Ok(items.collect())
    }

    fn follow(&self, place: &Path, name: &str) -> Followed<Oid> {
        let real = match self.real(&self.root.join(place).join(name)) {
            Ok(real) => real,
            Err(followed) => return followed,
        };
        let entry = self.resolve(&real);
        let Ok(inside) = real.strip_prefix(&self.root) else {
            return Followed::Outside { folder: matches!(entry, Some(Entry::Folder)) };
        };
        match entry {
            Some(Entry::File(blob)) => Followed::File(blob),
            Some(Entry::Folder) => Followed::Folder(inside.to_owned()),
            _ => Followed::Other,
        }
    }
}

fn kind(kind: Option<ObjectType>, mode: i32, id: Oid) -> Entry {
    const LINK: i32 = 0o120_000;
    match kind {
        Some(ObjectType::Tree) => Entry::Folder,
        Some(ObjectType::Blob) if mode == LINK => Entry::Link(id),
        Some(ObjectType::Blob) => Entry::File(id),
        _ => Entry::Other,
    }
}
