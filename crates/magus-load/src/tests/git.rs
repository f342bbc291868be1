//! Declarations of a revision, and what is checked out, with real repositories.

use std::{
    fs,
    path::{Path, PathBuf},
};

use git2::{IndexAddOption, Repository, Signature};

use super::{
    files::{files, roles},
    located,
};
use crate::{LoadError, SourceRevision, load_directory, load_revision, source_revision};

struct Work {
    folder: tempfile::TempDir,
    repository: Repository,
}

impl Work {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init(folder.path().join("work tree")).unwrap();
        Self { folder, repository }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("work tree")
    }

    /// Commits everything that lies in the work tree.
    fn commit(&self) -> String {
        let mut index = self.repository.index().unwrap();
        index.add_all(["*"], IndexAddOption::DEFAULT, None).unwrap();
        index.update_all(["*"], None).unwrap();
        index.write().unwrap();
        let tree = self.repository.find_tree(index.write_tree().unwrap()).unwrap();
        let author = Signature::new("a", "a@example.com", &git2::Time::new(1_700_000_000, 0)).unwrap();
        let parent = self.repository.head().ok().and_then(|head| head.peel_to_commit().ok());
        let parents: Vec<_> = parent.iter().collect();
        let commit =
            self.repository.commit(Some("HEAD"), &author, &author, "change", &tree, &parents).unwrap();
        commit.to_string()
    }
}

#[test]
fn a_revision_is_read_like_the_work_tree() {
    let work = Work::new();
    files(
        &work.path(),
        &[
            ("environments/cluster.yaml", b"name: a\n"),
            ("environments/dev/environment.yaml", b"branch: dev\n"),
            ("environments/dev/people/ana.yaml", b"\xef\xbb\xbfa: 1\r\n"),
            ("environments/dev/bad.yaml", b"a: \xff\n"),
            ("environments/dev/old.yml", b"a: 1\n"),
            ("environments/dev/large.yaml", &vec![b'#'; (1 << 20) + 1]),
            ("environments/_secrets.enc.yaml", b"{"),
            ("environments/stray.yaml", b"a: 1\n"),
        ],
    );
    work.commit();
    let on_disk = load_directory(Path::new("environments"), &work.path()).unwrap();
    let in_git = load_revision(Path::new("environments"), &work.path(), "HEAD").unwrap();
    assert_eq!(located(&on_disk), located(&in_git));
    assert_eq!(located(&in_git).len(), 6, "{:?}", located(&in_git));
    assert_eq!(roles(&on_disk), roles(&in_git));
    assert_eq!(on_disk.environments, in_git.environments);
    assert_eq!(on_disk.files, in_git.files);
    for file in &on_disk.files {
        assert_eq!(on_disk.parse(file).root, in_git.parse(file).root);
    }
}

#[test]
fn an_old_revision_says_what_was() {
    let work = Work::new();
    files(&work.path(), &[("environments/dev/a.yaml", b"a: 1\n"), ("environments/prod/b.yaml", b"b: 1\n")]);
    let first = work.commit();
    fs::remove_dir_all(work.path().join("environments")).unwrap();
    files(&work.path(), &[("README.md", b"")]);
    let second = work.commit();
    for revision in ["HEAD~1", first.as_str(), &first[..10]] {
        let loaded = load_revision(Path::new("environments"), &work.path(), revision).unwrap();
        assert_eq!(roles(&loaded), ["dev/a.yaml workspace dev/a", "prod/b.yaml workspace prod/b"]);
        assert_eq!(loaded.revision.as_deref(), Some(first.as_str()));
    }
    let below = load_revision(Path::new("."), &work.path(), "HEAD~1").unwrap();
    assert_eq!(below.environments, ["environments"]);
    let error = load_revision(Path::new("environments"), &work.path(), "HEAD").unwrap_err();
    assert!(matches!(&error, LoadError::NotInRevision { path, .. } if path == "environments"), "{error}");
    let error = load_revision(Path::new("README.md"), &work.path(), &second).unwrap_err();
    assert!(matches!(error, LoadError::NotInRevision { .. }), "{error}");
    for revision in
        ["nowhere", "HEAD~5", "--help", "", "HEAD:environments", "0123456789012345678901234567890123456789"]
    {
        let error = load_revision(Path::new("environments"), &work.path(), revision).unwrap_err();
        assert!(matches!(&error, LoadError::NoRevision(name) if name == revision), "{revision:?} {error:?}");
    }
    let outside = tempfile::tempdir().unwrap();
    let error = load_revision(Path::new("environments"), outside.path(), "HEAD").unwrap_err();
    assert!(matches!(&error, LoadError::NoRepository(path) if path == "environments"), "{error:?}");
}

#[test]
fn a_bare_repository_and_a_worktree_will_do() {
    let work = Work::new();
    files(&work.path(), &[("environments/dev/a.yaml", b"a: 1\n")]);
    work.commit();
    let bare = work.folder.path().join("bare.git");
    let url = work.path().join(".git");
    assert!(git(
        &["clone", "-q", "--bare", url.to_str().unwrap(), bare.to_str().unwrap()],
        work.folder.path()
    ));
    let loaded = load_revision(Path::new("environments"), &bare, "HEAD").unwrap();
    assert_eq!(roles(&loaded), ["dev/a.yaml workspace dev/a"]);
    let beside = work.folder.path().join("beside");
    assert!(git(&["worktree", "add", "-q", beside.to_str().unwrap(), "HEAD"], &work.path()));
    let loaded = load_revision(Path::new("environments"), &beside, "HEAD").unwrap();
    assert_eq!(roles(&loaded), ["dev/a.yaml workspace dev/a"]);
    assert!(!source_revision(&beside.join("environments")).unwrap().dirty);
}

fn git(arguments: &[&str], folder: &Path) -> bool {
    let mut git = std::process::Command::new("git");
    git.args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", folder);
    git.status().unwrap().success()
}

#[cfg(unix)]
#[test]
fn links_in_a_tree_follow_the_same_rule() {
    use std::os::unix::fs::symlink;
    let work = Work::new();
    files(
        &work.path(),
        &[
            ("outside.yaml", b"a: 1\n"),
            ("outside/a.yaml", b"a: 1\n"),
            ("notes.md", b""),
            ("environments/_shared/base.yaml", b"a: 1\n"),
            ("environments/_people/ana.yaml", b"a: 1\n"),
            ("environments/dev/own.yaml", b"a: 1\n"),
        ],
    );
    for (link, target) in [
        ("dev/base.yaml", "../_shared/base.yaml"),
        ("dev/chain.yaml", "base.yaml"),
        ("dev/people", "../_people"),
        ("dev/through.yaml", "people/ana.yaml"),
        ("dev/out.yaml", "../../outside.yaml"),
        ("dev/far.yaml", "../../../../outside.yaml"),
        ("dev/outs", "../../outside"),
        ("dev/notes.md", "../../notes.md"),
        ("dev/gone.yaml", "nowhere"),
        ("dev/self.yaml", "self.yaml"),
        ("dev/up", ".."),
        ("absolute.yaml", "/etc/hostname"),
    ] {
        symlink(target, work.path().join("environments").join(link)).unwrap();
    }
    work.commit();
    let on_disk = load_directory(Path::new("environments"), &work.path()).unwrap();
    let in_git = load_revision(Path::new("environments"), &work.path(), "HEAD").unwrap();
    assert_eq!(roles(&on_disk), roles(&in_git));
    assert_eq!(roles(&in_git).len(), 5, "{:?}", roles(&in_git));
    let mut on_disk = located(&on_disk);
    // On disk there is nothing above the repository; git cannot know that.
    for finding in &mut on_disk {
        if finding.starts_with("environments/dev/far.yaml") {
            *finding = "environments/dev/far.yaml:1:1 MG009".into();
        }
    }
    assert_eq!(on_disk, located(&in_git));
}

#[test]
fn names_that_are_not_utf8_and_submodules_do_not_stop_a_revision() {
    let work = Work::new();
    files(&work.path(), &[("environments/dev/a.yaml", b"a: 1\n")]);
    work.commit();
    let head = work.repository.head().unwrap().peel_to_commit().unwrap();
    let blob = work.repository.blob(b"a: 1\n").unwrap();
    let environments =
        head.tree().unwrap().get_name("environments").unwrap().to_object(&work.repository).unwrap();
    let dev = environments.as_tree().unwrap().get_name("dev").unwrap().to_object(&work.repository).unwrap();
    let mut builder = work.repository.treebuilder(dev.as_tree()).unwrap();
    builder.insert(&b"bad\xff.yaml"[..], blob, 0o100_644).unwrap();
    builder.insert("module.yaml", head.id(), 0o160_000).unwrap();
    builder.insert("module", head.id(), 0o160_000).unwrap();
    let dev = builder.write().unwrap();
    let mut builder = work.repository.treebuilder(environments.as_tree()).unwrap();
    builder.insert("dev", dev, 0o040_000).unwrap();
    let environments = builder.write().unwrap();
    let mut builder = work.repository.treebuilder(Some(&head.tree().unwrap())).unwrap();
    builder.insert("environments", environments, 0o040_000).unwrap();
    let tree = work.repository.find_tree(builder.write().unwrap()).unwrap();
    let author = head.author();
    work.repository.commit(Some("HEAD"), &author, &author, "x", &tree, &[&head]).unwrap();
    let loaded = load_revision(Path::new("environments"), &work.path(), "HEAD").unwrap();
    assert_eq!(located(&loaded), ["environments/dev/bad\u{fffd}.yaml:1:1 MG010"]);
    assert_eq!(roles(&loaded), ["dev/a.yaml workspace dev/a"]);
}

#[test]
fn a_missing_object_is_a_finding_of_its_file() {
    let work = Work::new();
    files(&work.path(), &[("environments/dev/a.yaml", b"a: 1\n"), ("environments/dev/b.yaml", b"b: 1\n")]);
    work.commit();
    let blob = git2::Oid::hash_object(git2::ObjectType::Blob, b"b: 1\n").unwrap().to_string();
    fs::remove_file(work.path().join(".git/objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    let loaded = load_revision(Path::new("environments"), &work.path(), "HEAD").unwrap();
    assert_eq!(located(&loaded), ["environments/dev/b.yaml:1:1 MG010"]);
    assert_eq!(loaded.files.len(), 2);
}

#[test]
fn dirty_is_about_the_declarations_alone() {
    let work = Work::new();
    let environments = work.path().join("environments");
    files(
        &work.path(),
        &[("environments/dev/a.yaml", b"a: 1\n"), ("other/b.txt", b"b"), (".gitignore", b"*.log\nmine/\n")],
    );
    let state = || source_revision(&environments).unwrap();
    assert_eq!(state(), SourceRevision { revision: None, dirty: true }, "before the first commit");
    let commit = work.commit();
    let clean = SourceRevision { revision: Some(commit.clone()), dirty: false };
    let dirty = SourceRevision { revision: Some(commit), dirty: true };
    assert_eq!(state(), clean);
    files(
        &work.path(),
        &[("other/b.txt", b"changed"), ("other/c.txt", b"new"), ("environments/dev/run.log", b"ignored")],
    );
    assert_eq!(state(), clean);
    files(&work.path(), &[("environments/dev/a.yaml", b"a: 2\n")]);
    assert_eq!(state(), dirty);
    files(&work.path(), &[("environments/dev/a.yaml", b"a: 1\n")]);
    assert_eq!(state(), clean);
    files(&work.path(), &[("environments/staging/new.yaml", b"a: 1\n")]);
    assert_eq!(state(), dirty);
    fs::remove_dir_all(environments.join("staging")).unwrap();
    assert_eq!(state(), clean);
    files(&work.path(), &[("environments/dev/mine/x.yaml", b"a: 1\n")]);
    assert_eq!(state(), dirty, "git ignores it, and Magus reads it");
    fs::remove_dir_all(environments.join("dev/mine")).unwrap();
    fs::remove_file(environments.join("dev/a.yaml")).unwrap();
    assert_eq!(state(), dirty);
}

#[test]
fn a_directory_named_like_a_pattern_is_taken_literally() {
    let work = Work::new();
    files(&work.path(), &[("e*/dev/a.yaml", b"a: 1\n"), ("ex/b.yaml", b"b: 1\n")]);
    work.commit();
    files(&work.path(), &[("ex/b.yaml", b"b: 2\n")]);
    assert!(!source_revision(&work.path().join("e*")).unwrap().dirty);
    assert!(source_revision(&work.path().join("ex")).unwrap().dirty);
    assert!(source_revision(&work.path()).unwrap().dirty);
}

#[test]
fn outside_a_repository_nothing_is_known() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(source_revision(folder.path()).unwrap(), SourceRevision::default());
}

#[cfg(unix)]
#[test]
fn a_repository_of_somebody_else_is_named() {
    use std::os::unix::fs::chown;
    let work = Work::new();
    files(&work.path(), &[("environments/dev/a.yaml", b"a: 1\n")]);
    work.commit();
    let give_away = |path: &Path| chown(path, Some(12_345), Some(12_345)).is_ok();
    if !give_away(&work.path()) || !give_away(&work.path().join(".git")) {
        // Only root can give a folder away.
        return;
    }
    let real = work.path().canonicalize().unwrap().display().to_string();
    for error in [
        load_revision(Path::new("environments"), &work.path(), "HEAD").map(|_| ()).unwrap_err(),
        source_revision(&work.path().join("environments")).map(|_| ()).unwrap_err(),
    ] {
        assert!(
            matches!(&error, LoadError::NotTrusted { repository, .. } if *repository == real),
            "{error:?}"
        );
        assert!(error.help().unwrap().contains("safe.directory"), "{error:?}");
    }
    let loaded = load_directory(Path::new("environments"), &work.path()).unwrap();
    assert_eq!(loaded.files.len(), 1, "reading the files needs no git");
}

#[test]
fn tree_that_holds_itself_many_times_is_read_to_a_bound() {
    let work = Work::new();
    files(&work.path(), &[("environments/dev/a.yaml", b"a: 1\n")]);
    work.commit();
    let repository = Repository::open(work.path()).unwrap();
    // Ten levels of ten equal folders: ten thousand million of them, in eleven objects.
    let mut tree = repository.treebuilder(None).unwrap().write().unwrap();
    for _ in 0..10 {
        let mut level = repository.treebuilder(None).unwrap();
        for name in 0..10 {
            level.insert(format!("f{name}"), tree, 0o040_000).unwrap();
        }
        tree = level.write().unwrap();
    }
    let mut root = repository.treebuilder(None).unwrap();
    root.insert("environments", tree, 0o040_000).unwrap();
    let root = repository.find_tree(root.write().unwrap()).unwrap();
    let author = Signature::now("a", "a@example.com").unwrap();
    let commit = repository.commit(None, &author, &author, "bomb", &root, &[]).unwrap();
    let loaded = load_revision(Path::new("environments"), &work.path(), &commit.to_string()).unwrap();
    let messages: Vec<&str> = loaded.diagnostics.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(messages, ["there are more than 500000 files and folders"], "said once");
}
