//! Repositories for tests.

use git2::{Oid, Repository, Signature, Time};

use crate::code::Code;

/// A bare repository in a folder that goes with the test.
pub(crate) fn repository() -> (tempfile::TempDir, Repository) {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::init_bare(folder.path()).unwrap();
    (folder, repository)
}

/// What a repository has, with a cache beside its objects.
pub(crate) fn code(repository: Repository) -> Code {
    let path = repository.path().to_owned();
    Code::read(repository, &path, Some(&path.join("cache"))).unwrap()
}

pub(crate) fn commit(repository: &Repository, message: &str, parents: &[Oid]) -> Oid {
    let author = Signature::new("a", "a@example.com", &Time::new(1_700_000_000, 0)).unwrap();
    let tree = repository.treebuilder(None).unwrap().write().unwrap();
    let tree = repository.find_tree(tree).unwrap();
    let parents: Vec<_> = parents.iter().map(|id| repository.find_commit(*id).unwrap()).collect();
    let parents: Vec<_> = parents.iter().collect();
    repository.commit(None, &author, &author, message, &tree, &parents).unwrap()
}

pub(crate) fn branch(repository: &Repository, name: &str, at: Oid) {
    repository.reference(&format!("refs/heads/{name}"), at, true, "").unwrap();
}

/// A commit of these files: path, mode as git writes it, content.
pub(crate) fn commit_files(
    repository: &Repository,
    message: &str,
    parents: &[Oid],
    files: &[(&str, u32, &str)],
) -> Oid {
    let mut index = git2::Index::new().unwrap();
    for (path, mode, content) in files {
        let id = if *mode == 0o160_000 {
            Oid::from_str(content).unwrap()
        } else {
            repository.blob(content.as_bytes()).unwrap()
        };
        let zero = git2::IndexTime::new(0, 0);
        index
            .add(&git2::IndexEntry {
                ctime: zero,
                mtime: zero,
                dev: 0,
                ino: 0,
                mode: *mode,
                uid: 0,
                gid: 0,
                file_size: 0,
                id,
                flags: 0,
                flags_extended: 0,
                path: path.as_bytes().to_vec(),
            })
            .unwrap();
    }
    let tree = repository.find_tree(index.write_tree_to(repository).unwrap()).unwrap();
    let author = Signature::new("Ana", "ana@example.com", &Time::new(1_700_000_000, 0)).unwrap();
    let parents: Vec<_> = parents.iter().map(|id| repository.find_commit(*id).unwrap()).collect();
    let parents: Vec<_> = parents.iter().collect();
    repository.commit(None, &author, &author, message, &tree, &parents).unwrap()
}
