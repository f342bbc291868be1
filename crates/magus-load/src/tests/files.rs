//! Which files count, as what, and what is said about those that do not.

use std::{fs, path::Path};

use magus_model::diagnostic::Fix;

use super::located;
use crate::{LoadError, Loaded, Role, load_directory, load_texts};

/// Writes files below a folder.
pub(super) fn files(folder: &Path, files: &[(&str, &[u8])]) {
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// The documents as `path role`.
pub(super) fn roles(loaded: &Loaded) -> Vec<String> {
    let show = |file: &crate::File| {
        let role = match &file.role {
            Role::Cluster { environment: None } => "cluster".to_owned(),
            Role::Cluster { environment: Some(environment) } => format!("cluster of {environment}"),
            Role::Environment { environment } => format!("environment {environment}"),
            Role::Workspace { environment, stem } => format!("workspace {environment}/{stem}"),
        };
        format!("{} {role}", file.path)
    };
    loaded.files.iter().map(show).collect()
}

#[test]
fn every_file_has_the_role_of_its_place() {
    let loaded = load_texts(&[
        ("cluster.yaml", "name: a\n"),
        ("README.md", ""),
        ("_shared/x.yaml", "{"),
        (".schemas/cluster.json", ""),
        ("secrets.enc.yaml", "{"),
        ("development/environment.yaml", "{}\n"),
        ("development/analytics.yaml", "{}\n"),
        ("development/people/ana.yaml", "{}\n"),
        ("development/people/deep/er/bob.yaml", "{}\n"),
        ("development/people/_draft.yaml", "{"),
        ("development/_drafts/c.yaml", "{"),
        ("development/secrets.enc.yaml", "{"),
        ("development/notes.txt", ""),
        ("production/cluster.yaml", "{}\n"),
        ("production/README.md", ""),
        ("empty/.gitkeep", ""),
    ]);
    assert_eq!(located(&loaded), Vec::<String>::new());
    assert_eq!(
        roles(&loaded),
        [
            "cluster.yaml cluster",
            "development/analytics.yaml workspace development/analytics",
            "development/environment.yaml environment development",
            "development/people/ana.yaml workspace development/ana",
            "development/people/deep/er/bob.yaml workspace development/bob",
            "production/cluster.yaml cluster of production",
        ]
    );
    assert_eq!(loaded.environments, ["development", "empty", "production"]);
    let shown: Vec<_> = loaded.sources.files().iter().map(|file| &*file.path).collect();
    assert_eq!(shown[1], "environments/development/analytics.yaml");
}

#[test]
fn files_in_wrong_places_are_named() {
    let loaded = load_texts(&[
        ("environment.yaml", "{}\n"),
        ("analytics.yaml", "{}\n"),
        ("other.yml", "{}\n"),
        ("a/sub/cluster.yaml", "{}\n"),
        ("a/sub/environment.yaml", "{}\n"),
        ("a/one.yml", "{}\n"),
        ("a/two.yaml", "{}\n"),
        ("a/two.yml", "{}\n"),
        ("a/three.YAML", "{}\n"),
        ("a/four.enc.yml", "{}\n"),
        ("cluster.yml", "{}\n"),
    ]);
    assert_eq!(
        located(&loaded),
        [
            "environments/a/one.yml:1:1 MG102",
            "environments/a/sub/cluster.yaml:1:1 MG112",
            "environments/a/sub/environment.yaml:1:1 MG112",
            "environments/a/three.YAML:1:1 MG102",
            "environments/a/two.yml:1:1 MG102",
            "environments/analytics.yaml:1:1 MG112",
            "environments/cluster.yml:1:1 MG102",
            "environments/environment.yaml:1:1 MG112",
            "environments/other.yml:1:1 MG112",
        ]
    );
    let fixes: Vec<_> = loaded.diagnostics.iter().filter_map(|found| found.fix.clone()).collect();
    assert_eq!(
        fixes,
        [
            Fix::Rename("one.yaml".into()),
            Fix::Rename("three.yaml".into()),
            Fix::Rename("cluster.yaml".into())
        ]
    );
    assert_eq!(
        roles(&loaded),
        [
            "a/one.yml workspace a/one",
            "a/three.YAML workspace a/three",
            "a/two.yaml workspace a/two",
            "cluster.yml cluster"
        ]
    );
}

#[test]
fn one_bad_file_keeps_no_other_from_being_read() {
    let folder = tempfile::tempdir().unwrap();
    let large = vec![b'#'; (1 << 20) + 1];
    let mut fits = vec![b'#'; (1 << 20) - 5];
    fits.extend(b"\na: 1");
    files(
        folder.path(),
        &[
            ("environments/cluster.yaml", b"name: [\n"),
            ("environments/dev/bytes.yaml", b"a: 1\nb: \xc3\xbc\xff\n"),
            ("environments/dev/fits.yaml", &fits),
            ("environments/dev/good.yaml", b"a: 1\n"),
            ("environments/dev/large.yaml", &large),
            ("environments/dev/latin.yaml", b"a: caf\xe9\n"),
            ("environments/dev/utf16.yaml", b"\xff\xfea\0:\0"),
            ("environments/dev/zero.yaml", b"a: \0\n"),
        ],
    );
    let loaded = load_directory(Path::new("environments"), folder.path()).unwrap();
    assert_eq!(
        located(&loaded),
        [
            "environments/cluster.yaml:1:7 MG001",
            "environments/dev/bytes.yaml:2:5 MG005",
            "environments/dev/large.yaml:1:1 MG004",
            "environments/dev/latin.yaml:1:7 MG005",
            "environments/dev/utf16.yaml:1:1 MG005",
            "environments/dev/zero.yaml:1:4 MG001",
        ]
    );
    assert_eq!(loaded.files.len(), 8, "broken ones are there without a tree");
    let whole = loaded.files.iter().filter(|file| loaded.parse(file).root.is_some()).count();
    assert_eq!(whole, 2);
    assert!(loaded.diagnostics[3].message.contains("UTF-16"));
}

#[cfg(unix)]
#[test]
fn links_are_followed_inside_the_directory_only() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("environments");
    files(
        folder.path(),
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
        ("dev/people", "../_people"),
        ("dev/out.yaml", "../../outside.yaml"),
        ("dev/outs", "../../outside"),
        ("dev/notes.md", "../../notes.md"),
        ("dev/gone.yaml", "nowhere"),
        ("dev/gone.txt", "nowhere"),
        ("dev/self.yaml", "self.yaml"),
        ("dev/up", ".."),
        ("dev/here", "."),
        ("_people/back", "../dev"),
        ("staging", "dev"),
        ("absolute.yaml", "/etc/hostname"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    let loaded = load_directory(Path::new("environments"), folder.path()).unwrap();
    assert_eq!(
        located(&loaded).iter().filter(|found| !found.contains("/staging/")).collect::<Vec<_>>(),
        [
            "environments/absolute.yaml:1:1 MG009",
            "environments/dev/gone.yaml:1:1 MG010",
            "environments/dev/here:1:1 MG010",
            "environments/dev/out.yaml:1:1 MG009",
            "environments/dev/outs:1:1 MG009",
            "environments/dev/people/back:1:1 MG010",
            "environments/dev/self.yaml:1:1 MG010",
            "environments/dev/up:1:1 MG010",
        ]
    );
    let of_dev: Vec<_> = roles(&loaded).into_iter().filter(|role| role.starts_with("dev/")).collect();
    assert_eq!(
        of_dev,
        [
            "dev/base.yaml workspace dev/base",
            "dev/own.yaml workspace dev/own",
            "dev/people/ana.yaml workspace dev/ana"
        ]
    );
    assert_eq!(loaded.environments, ["dev", "staging"]);
}

#[cfg(unix)]
#[test]
fn links_that_multiply_come_to_an_end() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    for one in 0..9 {
        fs::create_dir_all(folder.path().join(format!("e{one}"))).unwrap();
        for other in (0..9).filter(|other| *other != one) {
            symlink(format!("../e{other}"), folder.path().join(format!("e{one}/l{other}"))).unwrap();
        }
    }
    let loaded = load_directory(folder.path(), folder.path()).unwrap();
    assert!(!loaded.diagnostics.is_empty());
    assert!(loaded.sources.files().len() < 20_000);
}

#[cfg(unix)]
#[test]
fn strange_names_and_things_are_no_reason_to_stop() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = tempfile::tempdir().unwrap();
    files(folder.path(), &[("dev/a.yaml", b"a: 1\n"), ("dev/with space/\u{fc} \u{1F600}.yaml", b"a: @\n")]);
    let bad = |name: &[u8]| folder.path().join("dev").join(std::ffi::OsStr::from_bytes(name));
    fs::write(bad(b"bad\xff.yaml"), "a: 1\n").unwrap();
    fs::write(bad(b"bad\xff.txt"), "").unwrap();
    fs::create_dir(bad(b"dir\xff")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("dev/socket.yaml")).unwrap();
    let pipe = folder.path().join("dev/pipe.yaml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::os::unix::fs::symlink("pipe.yaml", folder.path().join("dev/to-pipe.yaml")).unwrap();
    let loaded = load_directory(Path::new("."), folder.path()).unwrap();
    assert_eq!(
        located(&loaded),
        [
            "dev/bad\u{fffd}.yaml:1:1 MG010",
            "dev/dir\u{fffd}:1:1 MG010",
            "dev/with space/\u{fc} \u{1F600}.yaml:1:4 MG001"
        ]
    );
    assert_eq!(loaded.files.len(), 2);
}

#[cfg(unix)]
#[test]
fn what_may_not_be_read_is_said() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    files(folder.path(), &[("dev/a.yaml", b"a: 1\n"), ("dev/b.yaml", b"a: 1\n"), ("prod/c.yaml", b"a: 1\n")]);
    let closed = fs::Permissions::from_mode(0o000);
    fs::set_permissions(folder.path().join("dev/b.yaml"), closed.clone()).unwrap();
    fs::set_permissions(folder.path().join("prod"), closed).unwrap();
    if fs::read(folder.path().join("dev/b.yaml")).is_ok() {
        // Root reads everything.
        return;
    }
    let loaded = load_directory(Path::new("."), folder.path()).unwrap();
    assert_eq!(located(&loaded), ["dev/b.yaml:1:1 MG010", "prod:1:1 MG010"]);
    fs::set_permissions(folder.path().join("prod"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn paths_are_shown_from_the_working_directory() {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path(), &[("x/environments/cluster.yaml", b"a: @\n"), ("y/z/keep", b"")]);
    let base = folder.path();
    let absolute = base.join("x/environments");
    for (directory, working_directory, expected) in [
        (Path::new("x/environments"), base.to_owned(), "x/environments/cluster.yaml".to_owned()),
        (Path::new("./x/../x/environments/"), base.to_owned(), "x/environments/cluster.yaml".to_owned()),
        (&absolute, base.to_owned(), "x/environments/cluster.yaml".to_owned()),
        (Path::new("."), absolute.clone(), "cluster.yaml".to_owned()),
        (Path::new("../../x/environments"), base.join("y/z"), "../../x/environments/cluster.yaml".to_owned()),
        (&absolute, base.join("y"), format!("{}/cluster.yaml", absolute.display())),
    ] {
        let loaded = load_directory(directory, &working_directory).unwrap();
        assert_eq!(located(&loaded), [format!("{expected}:1:4 MG001")], "{}", directory.display());
        assert_eq!(loaded.root, directory);
    }
}

#[test]
fn without_a_directory_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path(), &[("file", b"")]);
    let error = load_directory(Path::new("none"), folder.path()).unwrap_err();
    assert!(matches!(&error, LoadError::NoDirectory(path) if path == "none"), "{error:?}");
    let error = load_directory(Path::new("file"), folder.path()).unwrap_err();
    assert!(matches!(&error, LoadError::NotADirectory(path) if path == "file"), "{error:?}");
    let loaded = load_directory(Path::new("."), folder.path()).unwrap();
    assert!(loaded.files.is_empty() && loaded.environments.is_empty());
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for at in 0..200 {
        let content = if at % 3 == 0 { "a: @\n" } else { "a: 1\na: 2\n" };
        files(folder.path(), &[(format!("e{}/w{at}.yaml", at % 4).as_str(), content.as_bytes())]);
    }
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let loaded = pool.install(|| load_directory(Path::new("."), folder.path()).unwrap());
        (located(&loaded), roles(&loaded))
    };
    assert_eq!(with(1), with(4));
}
