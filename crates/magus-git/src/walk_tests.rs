use super::*;
use crate::testing::{self, branch, repository};

const FOLDER: i32 = 0o040_000;
const FILE: i32 = 0o100_644;

fn tree(repository: &Repository, entries: &[(&str, Oid, i32)]) -> Oid {
    let mut builder = repository.treebuilder(None).unwrap();
    for (name, id, mode) in entries {
        builder.insert(*name, *id, *mode).unwrap();
    }
    builder.write().unwrap()
}

fn commit(repository: &Repository, tree: Oid) -> Oid {
    let author = git2::Signature::new("a", "a@example.com", &git2::Time::new(1_700_000_000, 0)).unwrap();
    let tree = repository.find_tree(tree).unwrap();
    repository.commit(None, &author, &author, "x", &tree, &[]).unwrap()
}

/// A repository that keeps new objects in memory, with a folder below so many others.
fn nested(depth: usize) -> (tempfile::TempDir, Repository, Oid, Oid) {
    let (folder, repository) = repository();
    let odb = repository.odb().unwrap();
    odb.add_new_mempack_backend(1_000).unwrap();
    drop(odb);
    let blob = repository.blob(b"import os\nos.environ['DEEP']\n").unwrap();
    let mut deep = tree(&repository, &[("x.py", blob, FILE)]);
    for _ in 0..depth {
        deep = tree(&repository, &[("a", deep, FOLDER)]);
    }
    let plain = tree(&repository, &[("x.py", blob, FILE)]);
    let whole = tree(&repository, &[("deep", deep, FOLDER), ("top", plain, FOLDER)]);
    (folder, repository, whole, plain)
}

#[test]
fn trees_of_a_hundred_thousand_levels_are_walked_to_a_bound_and_named() {
    let (_folder, repository, whole, plain) = nested(100_000);
    let deep = commit(&repository, whole);
    let top = commit(&repository, tree(&repository, &[("top", plain, FOLDER)]));
    branch(&repository, "main", deep);
    let code = testing::code(repository);
    let (deep, top) = (deep.to_string(), top.to_string());
    let listing = code.files(&deep, "").unwrap().unwrap().list().unwrap();
    assert_eq!(listing.entries.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(), ["top/x.py"]);
    let Some(Unlisted::TooDeep(path)) = listing.unlisted else { panic!("{:?}", listing.unlisted) };
    assert_eq!(path, format!("deep{}", "/a".repeat(DEEPEST)));
    let below = format!("deep{}", "/a".repeat(99_999));
    assert_eq!(code.has_folder("main", &below), Ok(Some(true)));
    assert_eq!(code.files(&deep, "").unwrap().unwrap().read(&format!("{below}/a/x.py")), Ok(None));
    assert!(matches!(code.changed(&top, &deep, ""), Err(crate::Unknown::Unreadable { .. })));
    assert_eq!(code.changed(&deep, &deep, ""), Ok(Some(Vec::new())));
    assert!(code.lacking_files("main", "").unwrap().is_some());
    assert!(code.merge(&deep, &top).is_err());
}

#[test]
fn a_tree_that_refers_to_itself_many_times_over_is_walked_to_a_bound() {
    let (_folder, repository) = repository();
    let blob = repository.blob(b"x").unwrap();
    let names: Vec<String> = (0..10).map(|number| format!("n{number}")).collect();
    let mut bomb = blob;
    for level in 0..10 {
        let mode = if level == 0 { FILE } else { FOLDER };
        let entries: Vec<(&str, Oid, i32)> = names.iter().map(|name| (name.as_str(), bomb, mode)).collect();
        bomb = tree(&repository, &entries);
    }
    let empty = commit(&repository, tree(&repository, &[]));
    let bomb = commit(&repository, bomb);
    let code = testing::code(repository);
    let listing = code.files(&bomb.to_string(), "").unwrap().unwrap().list().unwrap();
    assert_eq!(listing.unlisted, Some(Unlisted::TooMany));
    assert!(code.changed(&empty.to_string(), &bomb.to_string(), "").is_err());
}
