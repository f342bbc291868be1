//! What a repository has: branches, commits, and how they lie to one another.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use git2::{BranchType, ErrorCode, ObjectType, Oid, Repository, Tree, TreeWalkMode, TreeWalkResult};

use crate::place::Unread;

/// The shortest prefix of a commit that counts as one, as in git.
const SHORTEST: usize = 4;

/// The repository of the pipelines' code, as it was when it was opened.
pub struct Code {
    pub(crate) repository: Repository,
    branches: BTreeMap<String, Oid>,
    /// A folder of the user's for what was found out about trees, which never change.
    known: PathBuf,
}

/// What a tree has that a copy of its files would lack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lacking {
    /// The paths of submodules: their files are in another repository.
    pub submodules: Vec<String>,
    /// The paths of attribute files that give files to Git LFS: a pointer stands in their place.
    pub lfs: Vec<String>,
}

/// The word that gives files to Git LFS, in an attribute file.
const LFS: &[u8] = b"filter=lfs";

/// The first line of what is kept about a tree: how the rest is to be read.
const KNOWN: &str = "magus 1";
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotFound {
    /// No commit and no tag is called like that.
    Unknown,
    /// Several commits begin like that.
    Ambiguous,
}

impl Code {
    /// Reads the heads of all branches. What is found out about trees is kept in the cache, if that can be written.
    pub(crate) fn read(repository: Repository, cache: &Path) -> Result<Self, Unread> {
        // Only what is written into a workspace is held against its number again: that costs as much as reading it.
        git2::opts::strict_hash_verification(false);
        let failed = |error: git2::Error| Unread::Failed {
            message: format!("its branches cannot be read: {}", error.message().to_lowercase()),
            help: format!("`git -C '{}' branch` tells more", repository.path().display()),
        };
        let mut branches = BTreeMap::new();
        for branch in repository.branches(Some(BranchType::Local)).map_err(failed)? {
            let (branch, _) = branch.map_err(failed)?;
            // A branch whose name is no UTF-8 can be declared by nobody.
            let Ok(Some(name)) = branch.name().map(|name| name.map(str::to_owned)) else { continue };
            if let Ok(commit) = branch.get().peel(ObjectType::Commit) {
                branches.insert(name, commit.id());
            }
        }
        Ok(Self { repository, branches, known: cache.join("trees") })
    }

    /// The names of its branches.
    pub fn branches(&self) -> impl Iterator<Item = &str> {
        self.branches.keys().map(String::as_str)
    }

    /// Whether it has this branch.
    pub fn has_branch(&self, name: &str) -> bool {
        self.branches.contains_key(name)
    }

    /// The full number of the commit that a branch is at; nothing where it is not there.
    pub fn head(&self, branch: &str) -> Option<String> {
        self.branches.get(branch).map(ToString::to_string)
    }

    /// The git directory, for others that open it too.
    pub fn path(&self) -> &Path {
        self.repository.path()
    }

    /// The commit that a full or short number, or a tag, names: its full number.
    ///
    /// # Errors
    /// Where there is none, or more than one.
    pub fn commit(&self, text: &str) -> Result<String, NotFound> {
        let is_number = text.len() >= SHORTEST && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let by_number = is_number.then(|| self.repository.find_commit_by_prefix(text));
        match by_number {
            Some(Ok(commit)) => return Ok(commit.id().to_string()),
            Some(Err(error)) if error.code() == ErrorCode::Ambiguous => return Err(NotFound::Ambiguous),
            _ => {}
        }
        let tag = self.repository.find_reference(&format!("refs/tags/{text}"));
        let commit = tag.and_then(|tag| tag.peel(ObjectType::Commit));
        commit.map(|commit| commit.id().to_string()).map_err(|_| NotFound::Unknown)
    }

    /// Whether the head of a branch has a folder; true for the root. Nothing where the branch is not there.
    pub fn has_folder(&self, branch: &str, folder: &str) -> Option<bool> {
        let tree = self.tree(branch)?;
        Some(below(&self.repository, &tree, folder).is_some())
    }

    /// What a copy of a folder of a branch would lack; nothing where either is not there, or cannot be read.
    pub fn lacking_files(&self, branch: &str, folder: &str) -> Option<Lacking> {
        let tree = below(&self.repository, &self.tree(branch)?, folder)?;
        let known = self.known.join(tree.id().to_string());
        if let Some(lacking) = fs::read_to_string(&known).ok().and_then(|text| Lacking::parse(&text)) {
            return Some(lacking);
        }
        let mut lacking = Lacking::default();
        let walked = tree.walk(TreeWalkMode::PreOrder, |parent, entry| {
            // A name that is no UTF-8 is shown as well as can be.
            let path = || format!("{parent}{}", String::from_utf8_lossy(entry.name_bytes()));
            match entry.kind() {
                Some(ObjectType::Commit) => lacking.submodules.push(path()),
                Some(ObjectType::Blob) if entry.name_bytes() == b".gitattributes" => {
                    let blob = self.repository.find_blob(entry.id());
                    if blob.is_ok_and(|blob| gives_to_lfs(blob.content())) {
                        lacking.lfs.push(path());
                    }
                }
                _ => {}
            }
            TreeWalkResult::Ok
        });
        walked.ok()?;
        // Where it cannot be kept, it is found out again.
        let _ = keep(&known, &lacking.text());
        Some(lacking)
    }

    fn tree(&self, branch: &str) -> Option<Tree<'_>> {
        self.repository.find_commit(*self.branches.get(branch)?).ok()?.tree().ok()
    }

    /// Whether two commits have the same files. False where either is not there.
    pub fn have_same_files(&self, one: &str, other: &str) -> bool {
        let tree = |id: &str| {
            self.repository.find_commit(Oid::from_str(id).ok()?).ok().map(|commit| commit.tree_id())
        };
        tree(one).zip(tree(other)).is_some_and(|(one, other)| one == other)
    }

    /// Whether a commit is on a branch: its head, or before it. False where either is not there.
    pub fn is_on(&self, commit: &str, branch: &str) -> bool {
        let (Ok(commit), Some(head)) = (Oid::from_str(commit), self.branches.get(branch)) else {
            return false;
        };
        commit == *head || self.repository.graph_descendant_of(*head, commit).unwrap_or(false)
    }

    /// How many commits of one branch another one lacks; nothing where a branch is not there, or nobody can say.
    pub fn lacking(&self, branch: &str, lacks: &str) -> Option<usize> {
        let (of, other) = (self.branches.get(branch)?, self.branches.get(lacks)?);
        self.repository.graph_ahead_behind(*of, *other).ok().map(|(ahead, _)| ahead)
    }
}

/// A folder of a tree, written as declared: `.`, `pipelines/`, `a/b`.
pub(crate) fn below<'r>(repository: &'r Repository, tree: &Tree<'r>, folder: &str) -> Option<Tree<'r>> {
    let parts: Vec<&str> = folder.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.is_empty() {
        return Some(tree.clone());
    }
    let entry = tree.get_path(Path::new(&parts.join("/"))).ok()?;
    repository.find_tree(entry.id()).ok()
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
        assert!(code.has_branch("team/staging") && !code.has_branch("staging") && !code.has_branch("v1"));
        let (first, fix, third) = (first.to_string(), fix.to_string(), third.to_string());
        for (text, expect) in [
            (first.as_str(), Ok(&first)),
            (&fix[..7], Ok(&fix)),
            (&fix.to_uppercase()[..12], Ok(&fix)),
            ("v1", Ok(&first)),
            ("v2", Ok(&third)),
            ("main", Err(NotFound::Unknown)),
            ("HEAD", Err(NotFound::Unknown)),
            ("v1~0", Err(NotFound::Unknown)),
            ("0000000", Err(NotFound::Unknown)),
            ("", Err(NotFound::Unknown)),
            (&fix[..3], Err(NotFound::Unknown)),
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
            assert_eq!(code.is_on(commit, branch), on, "{commit} {branch}");
        }
        assert_eq!(code.lacking("main", "team/staging"), Some(1));
        assert_eq!(code.lacking("team/staging", "main"), Some(2));
        assert_eq!(code.lacking("main", "main"), Some(0));
        assert_eq!(code.lacking("main", "gone"), None);
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
        let inner = tree(&[(".gitattributes", lfs, file), ("dbt", other, module), ("x.py", blob("x"), file)]);
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
            assert_eq!(code.has_folder("main", folder), Some(expect), "{folder}");
        }
        assert_eq!(code.has_folder("gone", ""), None);
        let lacking =
            |folder: &str| code.lacking_files("main", folder).map(|found| (found.submodules, found.lfs));
        let named = |text: &str| vec![text.to_owned()];
        assert_eq!(lacking("a/b"), Some((named("dbt"), named(".gitattributes"))));
        assert_eq!(lacking(""), Some((named("a/b/dbt"), named("a/b/.gitattributes"))));
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
        for half in ["magus 1\n", "magus 1\nsubmodule \"x\"", "magus 2\nwhole\n", ""] {
            for file in fs::read_dir(code.path().join("cache/trees")).unwrap() {
                fs::write(file.unwrap().path(), half).unwrap();
            }
            assert_eq!(lacking("a/b").map(|(submodules, _)| submodules), Some(named("dbt")), "{half}");
        }
    }

    #[test]
    fn a_repository_without_a_commit_has_no_branch() {
        let (_folder, repository) = repository();
        let code = testing::code(repository);
        assert_eq!(code.branches().count(), 0);
        assert_eq!(code.commit("abcdef"), Err(NotFound::Unknown));
    }
}
