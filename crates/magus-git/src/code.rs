//! What a repository has: branches, commits, and how they lie to one another.

use std::{
    collections::BTreeMap,
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use git2::{Commit, ErrorCode, FileMode, ObjectType, Oid, Repository, Tree, TreeEntry};
use magus_model::shell;

use crate::{
    branches::{self, Branch, Tracking},
    place::Unread,
    unknown::{Completeness, Unknown},
    walk::walk,
};

/// The shortest prefix of a commit that counts as one, as in git.
const SHORTEST: usize = 4;

/// The repository of the pipelines' code, as it was when it was opened.
pub struct Code {
    pub(crate) repository: Repository,
    branches: BTreeMap<String, Branch>,
    pub(crate) completeness: Completeness,
    /// A folder of the user's for what was found out about trees, which never change; `None` if there is no such folder.
    known: Option<PathBuf>,
}

/// What a tree has that a copy of its files would lack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lacking {
    /// The paths of submodules: their files are in another repository.
    pub submodules: Vec<String>,
    /// The paths of files that Git LFS holds: a pointer stands in their place.
    pub lfs: Vec<String>,
}

/// What an attribute file is called.
const ATTRIBUTES: &str = ".gitattributes";

/// The word that gives files to Git LFS, in an attribute file.
const LFS: &[u8] = b"filter=lfs";

/// How a pointer of Git LFS begins, and no pointer is larger in bytes
/// (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>).
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
const LARGEST_POINTER: usize = 1_024;

/// The first line of what is kept about a tree: how the rest is to be read.
const KNOWN: &str = "magus 3";
/// What is kept about a tree ends with this, so that half of it is nothing.
const WHOLE: &str = "whole";

impl Lacking {
    /// A line for each path.
    fn text(&self) -> String {
        let Self { submodules, lfs } = self;
        let lines =
            submodules.iter().map(|path| ("submodule", path)).chain(lfs.iter().map(|path| ("lfs", path)));
        let lines: String = lines.map(|(what, path)| format!("{what} {path:?}\n")).collect();
        format!("{KNOWN}\n{lines}{WHOLE}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_prefix(KNOWN)?.strip_prefix('\n')?.lines();
        if lines.next_back() != Some(WHOLE) {
            return None;
        }
        let mut lacking = Self::default();
        for line in lines {
            let (what, path) = line.split_once(' ')?;
            // A path that is written otherwise than it is called is looked for again.
            let path = path.strip_prefix('"')?.strip_suffix('"').filter(|path| !path.contains('\\'))?;
            match what {
                "submodule" => lacking.submodules.push(path.to_owned()),
                "lfs" => lacking.lfs.push(path.to_owned()),
                _ => return None,
            }
        }
        Some(lacking)
    }
}

/// Writes a file of the cache, as a whole or not at all.
fn keep(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    let unfinished = path.with_extension(std::process::id().to_string());
    fs::write(&unfinished, text)?;
    fs::rename(&unfinished, path)
}

/// Why a text names no commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotFound {
    /// No commit and no tag is called like that.
    Missing,
    /// Several commits begin like that.
    Ambiguous,
    /// The clone lacks it, but it may exist elsewhere.
    Unknown(Unknown),
}

/// Looks at what is in a folder.
struct Look<'r> {
    repository: &'r Repository,
    lacking: Lacking,
    /// Whether an attribute file gives files to Git LFS.
    uses_lfs: bool,
    /// Whether pointers are looked for, and everything else was found.
    for_pointers: bool,
    failed: Option<git2::Error>,
}

impl<'r> Look<'r> {
    fn new(repository: &'r Repository) -> Self {
        Self { repository, lacking: Lacking::default(), uses_lfs: false, for_pointers: false, failed: None }
    }

    fn at(&mut self, parent: &str, entry: &TreeEntry<'_>) -> ControlFlow<()> {
        // A name that is not UTF-8 is shown as well as can be.
        let path = || format!("{parent}{}", String::from_utf8_lossy(entry.name_bytes()));
        let looked = match entry.kind() {
            Some(ObjectType::Commit) if !self.for_pointers => {
                self.lacking.submodules.push(path());
                Ok(())
            }
            Some(ObjectType::Blob) if self.for_pointers => {
                self.is_pointer(entry).map(|is_pointer| self.lacking.lfs.extend(is_pointer.then(path)))
            }
            Some(ObjectType::Blob) if entry.name_bytes() == ATTRIBUTES.as_bytes() => {
                let blob = self.repository.find_blob(entry.id());
                blob.map(|blob| self.uses_lfs |= gives_to_lfs(blob.content()))
            }
            _ => Ok(()),
        };
        match looked {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Whether a pointer of Git LFS stands in the place of a file. Nothing larger is read.
    fn is_pointer(&self, entry: &TreeEntry<'_>) -> Result<bool, git2::Error> {
        if entry.filemode() == i32::from(FileMode::Link) {
            return Ok(false);
        }
        let (size, _) = self.repository.odb()?.read_header(entry.id())?;
        if size > LARGEST_POINTER {
            return Ok(false);
        }
        Ok(self.repository.find_blob(entry.id())?.content().starts_with(POINTER))
    }
}

impl Code {
    /// Reads the heads of all branches. `path` is how messages call the repository. What is found out about trees is kept in the
    /// cache, if there is one.
    pub(crate) fn read(repository: Repository, path: &Path, cache: Option<&Path>) -> Result<Self, Unread> {
        // Only what is written into a workspace is held against its number again: that costs as much as reading it.
        git2::opts::strict_hash_verification(false);
        let branches = branches::read(&repository)?;
        let shown = path.display().to_string();
        let completeness = Completeness::of(&repository, shown.clone()).map_err(|error| Unread::Failed {
            message: format!("its remotes cannot be read: {}", error.message().to_lowercase()),
            help: format!("`git -C {} remote -v` tells more", shell::word(&shown)),
        })?;
        Ok(Self { repository, branches, completeness, known: cache.map(|cache| cache.join("trees")) })
    }

    /// The names of its branches; in a clone, also of those that its last fetch brought.
    pub fn branches(&self) -> impl Iterator<Item = &str> {
        self.branches.keys().map(String::as_str)
    }

    /// Whether a branch that is not among [`Code::branches`] does not exist.
    ///
    /// # Errors
    /// If it may exist elsewhere.
    pub fn has_all_branches(&self) -> Result<(), Unknown> {
        self.completeness.has_all_commits()
    }

    /// The full number of the commit that a branch is at; `None` if the branch does not exist.
    ///
    /// # Errors
    /// If the branch may exist elsewhere.
    pub fn head(&self, branch: &str) -> Result<Option<String>, Unknown> {
        Ok(self.branch(branch)?.map(|branch| branch.at.to_string()))
    }

    /// The full number of the commit that a push to the branch replaces; `None` if the repository itself has no such branch,
    /// whatever remote-tracking branches it has.
    pub fn replaced_by_push(&self, branch: &str) -> Option<String> {
        self.branches.get(branch)?.local.as_ref().map(ToString::to_string)
    }

    /// The remote-tracking branch that differs from a branch, and which of both counts.
    pub fn tracking(&self, branch: &str) -> Option<&Tracking> {
        self.branches.get(branch)?.tracking.as_ref()
    }

    fn branch(&self, name: &str) -> Result<Option<&Branch>, Unknown> {
        match self.branches.get(name) {
            Some(branch) if branch.is_undecided => self.completeness.shallow().map_or(Ok(Some(branch)), Err),
            Some(branch) => Ok(Some(branch)),
            None => self.completeness.has_all_commits().map(|()| None),
        }
    }

    /// The git directory, for others that open it too.
    pub fn path(&self) -> &Path {
        self.repository.path()
    }

    /// The commit that a full or short number, or a tag, names: its full number.
    ///
    /// # Errors
    /// If there is none, or more than one, or it may exist elsewhere.
    pub fn commit(&self, text: &str) -> Result<String, NotFound> {
        let is_number = text.len() >= SHORTEST && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let by_number = is_number.then(|| self.repository.find_commit_by_prefix(text));
        match by_number {
            Some(Ok(commit)) => return Ok(commit.id().to_string()),
            Some(Err(error)) if error.code() == ErrorCode::Ambiguous => return Err(NotFound::Ambiguous),
            // A tag of a tree or a file is no commit either.
            Some(Err(error)) if !matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => {
                return Err(NotFound::Unknown(self.completeness.unreadable(&error)));
            }
            Some(Err(_)) | None => {}
        }
        let tag = self.repository.find_reference(&format!("refs/tags/{text}"));
        if let Ok(tag) = tag {
            // A tag that is there names something, even if that cannot be read.
            let commit = tag.peel(ObjectType::Commit);
            let unreadable = |error| NotFound::Unknown(self.completeness.unreadable(&error));
            return commit.map(|commit| commit.id().to_string()).map_err(unreadable);
        }
        match self.completeness.has_all_commits() {
            Ok(()) => Err(NotFound::Missing),
            Err(why) => Err(NotFound::Unknown(why)),
        }
    }

    /// A commit by its full number; `None` if it does not exist.
    pub(crate) fn find(&self, commit: &str) -> Result<Option<Commit<'_>>, Unknown> {
        let found = Oid::from_str(commit).and_then(|id| self.repository.find_commit(id));
        match found {
            Ok(commit) => Ok(Some(commit)),
            Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::Invalid) => {
                self.completeness.has_all_commits().map(|()| None)
            }
            Err(error) => Err(self.completeness.unreadable(&error)),
        }
    }

    /// Whether the head of a branch has a folder; true for the root. `None` if the branch does not exist.
    ///
    /// # Errors
    /// If the branch may exist elsewhere, or a folder cannot be read.
    pub fn has_folder(&self, branch: &str, folder: &str) -> Result<Option<bool>, Unknown> {
        let Some(tree) = self.tree(branch)? else { return Ok(None) };
        Ok(Some(self.below(&tree, folder)?.is_some()))
    }

    /// What a copy of a folder of a branch would lack; `None` if either does not exist.
    ///
    /// # Errors
    /// If the branch may exist elsewhere, or a file of it cannot be read. Nothing is kept then.
    pub fn lacking_files(&self, branch: &str, folder: &str) -> Result<Option<Lacking>, Unknown> {
        let Some(whole) = self.tree(branch)? else { return Ok(None) };
        let Some(tree) = self.below(&whole, folder)? else { return Ok(None) };
        let uses_lfs = self.uses_lfs(&whole, folder)?;
        // The files of a folder are pointers or not, whatever gives them to LFS; but they are looked at only if something does.
        let name = if uses_lfs { format!("{}-lfs", tree.id()) } else { tree.id().to_string() };
        let known = self.known.as_ref().map(|known| known.join(name));
        let kept = known.as_ref().and_then(|known| fs::read_to_string(known).ok());
        if let Some(lacking) = kept.and_then(|text| Lacking::parse(&text)) {
            return Ok(Some(lacking));
        }
        let unreadable = |error: git2::Error| self.completeness.unreadable(&error);
        let mut look = Look::new(&self.repository);
        let mut unlisted = walk(&self.repository, &tree, |parent, entry| look.at(parent, entry));
        if unlisted.is_ok() && (uses_lfs || look.uses_lfs) {
            look.for_pointers = true;
            unlisted = walk(&self.repository, &tree, |parent, entry| look.at(parent, entry));
        }
        let Look { lacking, failed, .. } = look;
        let unlisted = failed.map_or(unlisted, Err).map_err(unreadable)?;
        if let Some(known) = known.filter(|_| unlisted.is_none()) {
            // If it cannot be kept, it is found out again.
            let _ = keep(&known, &lacking.text());
        }
        Ok(Some(lacking))
    }

    /// Whether an attribute file above a folder gives files to Git LFS.
    fn uses_lfs(&self, whole: &Tree<'_>, folder: &str) -> Result<bool, Unknown> {
        let unreadable = |error: git2::Error| self.completeness.unreadable(&error);
        let mut above = self.repository.find_tree(whole.id()).map_err(unreadable)?;
        for name in folder.split('/').filter(|part| !matches!(*part, "" | ".")) {
            let attributes =
                above.get_name(ATTRIBUTES).filter(|entry| entry.kind() == Some(ObjectType::Blob));
            if let Some(id) = attributes.map(|entry| entry.id()) {
                let blob = self.repository.find_blob(id).map_err(unreadable)?;
                if gives_to_lfs(blob.content()) {
                    return Ok(true);
                }
            }
            let below = above.get_name(name).map(|entry| entry.id());
            let Some(below) = below else { return Ok(false) };
            above = self.repository.find_tree(below).map_err(unreadable)?;
        }
        Ok(false)
    }

    fn tree(&self, branch: &str) -> Result<Option<Tree<'_>>, Unknown> {
        let Some(branch) = self.branch(branch)? else { return Ok(None) };
        let tree = self.repository.find_commit(branch.at).and_then(|commit| commit.tree());
        tree.map(Some).map_err(|error| self.completeness.unreadable(&error))
    }

    /// A folder of a tree; `None` if the tree does not have it.
    pub(crate) fn below(&self, tree: &Tree<'_>, folder: &str) -> Result<Option<Tree<'_>>, Unknown> {
        below(&self.repository, tree, folder).map_err(|error| self.completeness.unreadable(&error))
    }

    /// Whether two commits have the same files; false if either does not exist.
    ///
    /// # Errors
    /// If one may exist elsewhere, or cannot be read.
    pub fn have_same_files(&self, one: &str, other: &str) -> Result<bool, Unknown> {
        let (Some(one), Some(other)) = (self.find(one)?, self.find(other)?) else { return Ok(false) };
        Ok(one.tree_id() == other.tree_id())
    }

    /// Whether a commit is on a branch: its head, or before it. False if either does not exist.
    ///
    /// # Errors
    /// If the history that would tell is not there.
    pub fn is_on(&self, commit: &str, branch: &str) -> Result<bool, Unknown> {
        let Some(branch) = self.branch(branch)? else { return Ok(false) };
        let Some(commit) = self.find(commit)? else { return Ok(false) };
        if commit.id() == branch.at || self.descends(branch.at, commit.id())? {
            return Ok(true);
        }
        self.completeness.shallow().map_or(Ok(false), Err)
    }

    /// Whether the history of a commit that is there leads to another one.
    fn descends(&self, commit: Oid, ancestor: Oid) -> Result<bool, Unknown> {
        let descends = self.repository.graph_descendant_of(commit, ancestor);
        descends.map_err(|error| self.completeness.unreadable(&error))
    }

    /// How many commits of one branch another one lacks; `None` if a branch does not exist.
    ///
    /// # Errors
    /// If a branch may exist elsewhere, or the history that would tell is not there.
    pub fn lacking(&self, branch: &str, lacks: &str) -> Result<Option<usize>, Unknown> {
        let (Some(of), Some(other)) = (self.branch(branch)?, self.branch(lacks)?) else { return Ok(None) };
        Ok(Some(self.ahead_behind(of.at, other.at)?.0))
    }

    /// How many commits one has that another one lacks, and the other way round.
    ///
    /// # Errors
    /// If the history that would tell is not there.
    pub(crate) fn ahead_behind(&self, one: Oid, other: Oid) -> Result<(usize, usize), Unknown> {
        let unreadable = |error: git2::Error| self.completeness.unreadable(&error);
        if let Some(why) = self.completeness.shallow() {
            // If both walks end where the other commit's history begins, they met no place at which history is cut.
            for (from, without) in [(one, other), (other, one)] {
                let mut walk = self.repository.revwalk().map_err(unreadable)?;
                walk.push(from).and_then(|()| walk.hide(without)).map_err(unreadable)?;
                for commit in walk {
                    if self.completeness.is_cut(commit.map_err(unreadable)?) {
                        return Err(why);
                    }
                }
            }
        }
        self.repository.graph_ahead_behind(one, other).map_err(unreadable)
    }
}

/// A folder of a tree, written as declared: `.`, `pipelines/`, `a/b`; `None` if the tree does not have it.
pub(crate) fn below<'r>(
    repository: &'r Repository,
    tree: &Tree<'_>,
    folder: &str,
) -> Result<Option<Tree<'r>>, git2::Error> {
    let mut below = repository.find_tree(tree.id())?;
    for name in folder.split('/').filter(|part| !matches!(*part, "" | ".")) {
        let found = below.get_name(name).filter(|entry| entry.kind() == Some(ObjectType::Tree));
        let Some(id) = found.map(|entry| entry.id()) else { return Ok(None) };
        below = repository.find_tree(id)?;
    }
    Ok(Some(below))
}

/// Whether a line that is no comment gives files to Git LFS.
fn gives_to_lfs(attributes: &[u8]) -> bool {
    let is_rule = |line: &&[u8]| !line.trim_ascii_start().starts_with(b"#");
    let gives = |line: &[u8]| line.split(u8::is_ascii_whitespace).any(|word| word == LFS);
    attributes.split(|byte| *byte == b'\n').filter(is_rule).any(gives)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use git2::{Signature, Time};

    use super::*;
    use crate::testing::{self, branch, commit, repository};

    #[test]
    fn what_is_on_a_branch_and_what_is_not() {
        let (_folder, repository) = repository();
        let first = commit(&repository, "first", &[]);
        let fix = commit(&repository, "fix", &[first]);
        let other = commit(&repository, "other", &[first]);
        let third = commit(&repository, "third", &[other]);
        branch(&repository, "main", fix);
        branch(&repository, "team/staging", third);
        repository.tag_lightweight("v1", repository.find_commit(first).unwrap().as_object(), false).unwrap();
        let tagger = Signature::new("a", "a@example.com", &Time::new(1_700_000_000, 0)).unwrap();
        let tagged = repository.find_commit(third).unwrap().into_object();
        repository.tag("v2", &tagged, &tagger, "with a text", false).unwrap();
        drop(tagged);
        let code = testing::code(repository);
        assert_eq!(code.branches().collect::<Vec<_>>(), ["main", "team/staging"]);
        assert!(code.head("team/staging").unwrap().is_some());
        assert_eq!((code.head("staging"), code.head("v1")), (Ok(None), Ok(None)));
        let (first, fix, third) = (first.to_string(), fix.to_string(), third.to_string());
        for (text, expect) in [
            (first.as_str(), Ok(&first)),
            (&fix[..7], Ok(&fix)),
            (&fix.to_uppercase()[..12], Ok(&fix)),
            ("v1", Ok(&first)),
            ("v2", Ok(&third)),
            ("main", Err(NotFound::Missing)),
            ("HEAD", Err(NotFound::Missing)),
            ("v1~0", Err(NotFound::Missing)),
            ("0000000", Err(NotFound::Missing)),
            ("", Err(NotFound::Missing)),
            (&fix[..3], Err(NotFound::Missing)),
        ] {
            assert_eq!(code.commit(text).as_ref(), expect.as_ref().map(|id| *id), "{text}");
        }
        for (commit, branch, on) in [
            (&first, "main", true),
            (&fix, "main", true),
            (&third, "main", false),
            (&fix, "team/staging", false),
            (&first, "gone", false),
        ] {
            assert_eq!(code.is_on(commit, branch), Ok(on), "{commit} {branch}");
        }
        assert_eq!(code.lacking("main", "team/staging"), Ok(Some(1)));
        assert_eq!(code.lacking("team/staging", "main"), Ok(Some(2)));
        assert_eq!(code.lacking("main", "main"), Ok(Some(0)));
        assert_eq!(code.lacking("main", "gone"), Ok(None));
    }

    #[test]
    fn a_beginning_that_several_commits_have_names_none() {
        let (_folder, repository) = repository();
        let mut seen = HashMap::new();
        let twice = (0..).find_map(|at| {
            let id = commit(&repository, &at.to_string(), &[]).to_string();
            seen.insert(id[..SHORTEST].to_owned(), id.clone()).map(|other| (id, other))
        });
        let (one, other) = twice.unwrap();
        let code = testing::code(repository);
        assert_eq!(code.commit(&one[..SHORTEST]), Err(NotFound::Ambiguous));
        let apart = (SHORTEST..40).find(|at| one[..*at] != other[..*at]).unwrap();
        assert_eq!(code.commit(&one[..apart]), Ok(one.clone()));
        assert_eq!(code.commit(&other), Ok(other.clone()));
    }

    #[test]
    fn folders_are_found_and_what_no_copy_would_have_is_named() {
        let (_folder, repository) = repository();
        let blob = |text: &str| repository.blob(text.as_bytes()).unwrap();
        let tree = |entries: &[(&str, Oid, i32)]| {
            let mut tree = repository.treebuilder(None).unwrap();
            entries.iter().for_each(|(name, id, mode)| drop(tree.insert(name, *id, *mode).unwrap()));
            tree.write().unwrap()
        };
        let (file, folder, module) = (0o100_644, 0o040_000, 0o160_000);
        let other = commit(&repository, "other", &[]);
        let lfs = blob("# *.a filter=lfs\n*.bin\tfilter=lfs diff=lfs\r\n");
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        let inner = tree(&[
            (".gitattributes", lfs, file),
            ("dbt", other, module),
            // It was committed before it was given to LFS: git has all of it.
            ("old.bin", blob("x"), file),
            ("x.bin", blob(pointer), file),
            ("x.py", blob("x"), file),
        ]);
        let none = blob("#filter=lfs\n*.a xfilter=lfs\n");
        let root = tree(&[("a", tree(&[("b", inner, folder)]), folder), (".gitattributes", none, file)]);
        let author = Signature::new("a", "a@example.com", &Time::new(1_700_000_000, 0)).unwrap();
        let whole = repository.find_tree(root).unwrap();
        let head = repository.commit(None, &author, &author, "x", &whole, &[]).unwrap();
        branch(&repository, "main", head);
        drop(whole);
        let code = testing::code(repository);
        for (folder, expect) in [
            ("", true),
            (".", true),
            ("a", true),
            ("./a/b/", true),
            ("b", false),
            ("a/b/x.py", false),
            ("a/b/dbt", false),
            ("../a", false),
            ("/a", true),
        ] {
            assert_eq!(code.has_folder("main", folder), Ok(Some(expect)), "{folder}");
        }
        assert_eq!(code.has_folder("gone", ""), Ok(None));
        let lacking = |folder: &str| {
            code.lacking_files("main", folder).unwrap().map(|found| (found.submodules, found.lfs))
        };
        let named = |text: &str| vec![text.to_owned()];
        assert_eq!(lacking("a/b"), Some((named("dbt"), named("x.bin"))));
        assert_eq!(lacking(""), Some((named("a/b/dbt"), named("a/b/x.bin"))));
        assert_eq!(lacking("b"), None);
        // What is known of a tree is not looked for again, and half of it is nothing.
        let known: Vec<_> = fs::read_dir(code.path().join("cache/trees")).unwrap().collect();
        assert_eq!(known.len(), 2);
        for file in known {
            let file = file.unwrap().path();
            let text = fs::read_to_string(&file).unwrap();
            fs::write(&file, text.replace("dbt", "known")).unwrap();
        }
        assert_eq!(lacking("a/b").map(|(submodules, _)| submodules), Some(named("known")));
        for half in ["magus 3\n", "magus 3\nsubmodule \"x\"", "magus 2\nwhole\n", ""] {
            for file in fs::read_dir(code.path().join("cache/trees")).unwrap() {
                fs::write(file.unwrap().path(), half).unwrap();
            }
            assert_eq!(lacking("a/b").map(|(submodules, _)| submodules), Some(named("dbt")), "{half}");
        }
    }

    #[test]
    fn files_of_lfs_are_those_that_an_attribute_file_above_or_below_gives_to_it() {
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        let rule = "*.bin filter=lfs diff=lfs merge=lfs -text\n";
        for (attributes, expect) in [
            (".gitattributes", vec!["data/x.bin".to_owned()]),
            ("mage/.gitattributes", vec!["data/x.bin".to_owned()]),
            ("other/.gitattributes", Vec::new()),
        ] {
            let (_folder, repository) = repository();
            let files = [
                (attributes, 0o100_644, rule),
                ("mage/data/x.bin", 0o100_644, pointer),
                ("mage/data/link.bin", 0o120_000, pointer),
                ("mage/pipelines/p/metadata.yaml", 0o100_644, "uuid: p\n"),
            ];
            let head = testing::commit_files(&repository, "x", &[], &files);
            branch(&repository, "main", head);
            let code = testing::code(repository);
            let found = code.lacking_files("main", "mage").unwrap().map(|found| found.lfs);
            assert_eq!(found, Some(expect), "{attributes}");
        }
    }

    #[test]
    fn a_repository_without_a_commit_has_no_branch() {
        let (_folder, repository) = repository();
        let code = testing::code(repository);
        assert_eq!(code.branches().count(), 0);
        assert_eq!(code.commit("abcdef"), Err(NotFound::Missing));
    }
}
