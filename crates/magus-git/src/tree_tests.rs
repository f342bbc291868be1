use super::*;
use crate::testing::{commit_files, repository};

const FILE: u32 = 0o100_644;
const EXECUTABLE: u32 = 0o100_755;
const LINK: u32 = 0o120_000;

#[test]
fn a_tree_is_written_as_git_has_it_and_every_change_of_it_is_seen() {
    let (folder, repository) = repository();
    let head = commit_files(
        &repository,
        "x",
        &[],
        &[
            ("code/.gitignore", FILE, "*.pyc\n/logs/\n"),
            ("code/pipelines/a b/metadata.yaml", FILE, "name: a\r\n"),
            ("code/run.sh", EXECUTABLE, "#!/bin/sh\n"),
            ("code/latest", LINK, "pipelines/a b"),
            ("code/pipelines/up", LINK, "../run.sh"),
            ("code/empty", FILE, ""),
            ("other/x", FILE, "x"),
        ],
    );
    let target = folder.path().join("out");
    let manifest = write_tree(repository.path(), &head.to_string(), "./code/", &target, &[]).unwrap();
    let read = |path: &str| fs::read_to_string(target.join(path)).unwrap();
    assert_eq!(read("pipelines/a b/metadata.yaml"), "name: a\r\n");
    assert_eq!(read("latest/metadata.yaml"), "name: a\r\n");
    assert_eq!(fs::read_link(target.join("pipelines/up")).unwrap(), Path::new("../run.sh"));
    let mode = |path: &str| fs::metadata(target.join(path)).unwrap().permissions().mode() & 0o111;
    assert_eq!((mode("run.sh") != 0, mode("empty")), (true, 0));
    assert!(!target.join("x").exists());
    let changed = || manifest.changed(&target).unwrap();
    assert!(changed().is_empty());
    let bytes = manifest.to_bytes();
    assert_eq!(Manifest::parse(&bytes), Some(manifest.clone()));
    assert_eq!(Manifest::parse(b"100600 blob x\ty\0"), None);
    assert_eq!(Manifest::parse(b"100644 blob"), None);

    fs::write(target.join("x.pyc"), "").unwrap();
    fs::create_dir(target.join("logs")).unwrap();
    fs::write(target.join("logs/x"), "").unwrap();
    assert!(changed().is_empty(), "what git ignores is nobody's work");
    fs::write(target.join("pipelines/a b/metadata.yaml"), "name: b\r\n").unwrap();
    fs::set_permissions(target.join("empty"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(target.join("latest")).unwrap();
    symlink("pipelines", target.join("latest")).unwrap();
    fs::remove_file(target.join("run.sh")).unwrap();
    fs::create_dir(target.join("run.sh")).unwrap();
    fs::write(target.join("pipelines/new.py"), "").unwrap();
    symlink("/", target.join("root")).unwrap();
    assert_eq!(
        changed(),
        ["empty", "latest", "pipelines/a b/metadata.yaml", "pipelines/new.py", "root", "run.sh"]
    );
    fs::remove_dir_all(&target).unwrap();
    fs::write(&target, "").unwrap();
    assert!(changed().contains(&"run.sh".to_owned()), "a folder that became a file");
}

#[test]
fn nothing_is_written_outside_of_the_code() {
    let (folder, repository) = repository();
    let target = folder.path().join("out");
    let write = |name: &str, mode: u32, content: &str| {
        let head = commit_files(&repository, "x", &[], &[("a/x", FILE, "x"), (name, mode, content)]);
        let outcome = write_tree(repository.path(), &head.to_string(), ".", &target, &[]);
        let _ = fs::remove_dir_all(&target);
        outcome.map(drop).map_err(|error| error.to_string())
    };
    for to in ["/etc/passwd", "..", "../..", "../x", "a/../../x", ""] {
        assert_eq!(
            write("l", LINK, to),
            Err("`l` is a link that leads outside of the code".to_owned()),
            "{to}"
        );
    }
    assert_eq!(write("a/l", LINK, "../a/x"), Ok(()));
    assert_eq!(write("a/b/l", LINK, "../../a/./x"), Ok(()));
    assert!(write("a/b/l", LINK, "../../../x").is_err());
    assert!(write("a/b/l", LINK, "up/../x").is_err(), "`up` may be a link itself");

    let blob = repository.blob(b"x").unwrap();
    for name in [".git", "..", ".GIT"] {
        // No library makes such a tree; its bytes are what they are.
        let mut bytes = format!("100644 {name}\0").into_bytes();
        bytes.extend(blob.as_bytes());
        let odb = repository.odb().unwrap();
        let tree = odb.write(ObjectType::Tree, &bytes).unwrap();
        let text = format!("tree {tree}\nauthor a <a@b> 0 +0000\ncommitter a <a@b> 0 +0000\n\nx");
        let head = odb.write(ObjectType::Commit, text.as_bytes()).unwrap();
        let error = write_tree(repository.path(), &head.to_string(), ".", &target, &[]).unwrap_err();
        assert!(error.to_string().contains("no name that a file"), "{error}");
        fs::remove_dir_all(&target).unwrap();
    }
    let gone = write_tree(repository.path(), &blob.to_string(), ".", &target, &[]).unwrap_err();
    assert!(gone.to_string().contains("cannot be read"), "{gone}");
    assert!(!target.exists());
}

#[test]
fn a_submodule_is_an_empty_folder() {
    let (folder, repository) = repository();
    let id = "1234567890123456789012345678901234567890";
    let head = commit_files(&repository, "x", &[], &[("dbt", 0o160_000, id), ("x", FILE, "")]);
    let target = folder.path().join("out");
    let manifest = write_tree(repository.path(), &head.to_string(), "", &target, &[]).unwrap();
    assert_eq!(fs::read_dir(target.join("dbt")).unwrap().count(), 0);
    assert!(manifest.changed(&target).unwrap().is_empty());
}

/// Where `MAGUS_SHARING` names a folder on a file system that can share, there; else this shows what happens where it cannot.
#[test]
fn a_file_of_another_tree_is_shared_only_where_it_is_the_same() {
    let (folder, repository) = repository();
    let files = [
        ("a/same", FILE, "same"),
        ("a/edited", FILE, "as git has it"),
        ("run", EXECUTABLE, "#!"),
        ("l", LINK, "run"),
    ];
    let head = commit_files(&repository, "x", &[], &files).to_string();
    let place = std::env::var_os("MAGUS_SHARING").map(PathBuf::from);
    let beds = tempfile::tempdir_in(place.as_deref().unwrap_or(folder.path())).unwrap();
    let (one, two) = (beds.path().join("one"), beds.path().join("two"));
    write_tree(repository.path(), &head, "", &one, &[]).unwrap();
    fs::write(one.join("a/edited"), "somebody's").unwrap();
    fs::remove_file(one.join("run")).unwrap();
    symlink("a/edited", one.join("run")).unwrap();
    let like = [beds.path().join("nothing"), one.clone()];
    let manifest = write_tree(repository.path(), &head, "", &two, &like).unwrap();
    assert_eq!(manifest.changed(&two).unwrap(), Vec::<String>::new());
    // Each is its own.
    fs::write(two.join("a/same"), "mine").unwrap();
    assert_eq!(fs::read_to_string(one.join("a/same")).unwrap(), "same");
    if place.is_some() {
        let mut writer = Writer {
            repository: &repository,
            commit: &head,
            target: &two,
            like: &like,
            shares: true,
            entries: Vec::new(),
        };
        fs::remove_file(two.join("a/same")).unwrap();
        let content = repository.blob(b"same").unwrap();
        assert!(writer.share(Path::new("a/same"), Kind::File, content), "it can share");
        fs::remove_file(two.join("a/edited")).unwrap();
        let content = repository.blob(b"as git has it").unwrap();
        assert!(!writer.share(Path::new("a/edited"), Kind::File, content) && writer.shares);
        assert!(!two.join("a/edited").exists());
    }
}
