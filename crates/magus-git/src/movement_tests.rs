use git2::{Oid, Repository};

use super::*;
use crate::testing::{self, commit_files, repository};

const FILE: u32 = 0o100_644;

fn open(repository: &Repository) -> Code {
    testing::code(Repository::open(repository.path()).unwrap())
}

fn movement(repository: &Repository, from: Option<Oid>, to: Oid) -> Option<Movement> {
    open(repository).movement(from.map(|id| id.to_string()).as_deref(), &to.to_string()).unwrap()
}

#[test]
fn what_comes_and_what_goes_is_told() {
    let (_folder, repository) = repository();
    let first = commit_files(&repository, "first\n\nmore", &[], &[("a/x", FILE, "1"), ("b/y", FILE, "1")]);
    let second = commit_files(&repository, "second", &[first], &[("a/x", FILE, "2"), ("b/y", FILE, "1")]);
    let fix = commit_files(
        &repository,
        "fix",
        &[first],
        &[("a/x", FILE, "1"), ("b/y", FILE, "1"), ("a/requirements.txt", FILE, "pandas\n")],
    );
    let of = |from, to| {
        let Movement { ahead, behind, commits, .. } = movement(&repository, from, to).unwrap();
        let titles: Vec<_> = commits.iter().map(|commit| commit.title.to_string()).collect();
        (ahead, behind, titles.join(","))
    };
    let told = |text: &str| text.to_owned();
    assert_eq!(of(None, second), (0, 0, told("second")));
    assert_eq!(of(Some(first), second), (1, 0, told("second")));
    assert_eq!(of(Some(second), first), (0, 1, told("second")));
    assert_eq!(of(Some(second), fix), (1, 1, told("fix")));
    let changed = |from: Oid, to: Oid, directory| {
        let changed =
            open(&repository).changed(&from.to_string(), &to.to_string(), directory).unwrap().unwrap();
        changed.into_iter().map(|change| change.path).collect::<Vec<String>>()
    };
    assert_eq!(changed(second, fix, "a"), ["requirements.txt", "x"]);
    assert_eq!(changed(second, fix, ""), ["a/requirements.txt", "a/x"]);
    assert_eq!(changed(second, fix, "b"), [""; 0]);
    assert_eq!(changed(second, fix, "c"), [""; 0]);
    assert!(movement(&repository, Some(first), second).is_some_and(|one| !one.is_rollback()));
    assert!(movement(&repository, Some(second), first).is_some_and(|one| one.is_rollback()));
    let gone = Oid::from_str("1234567890123456789012345678901234567890").unwrap();
    assert_eq!(movement(&repository, Some(gone), first), None);
    assert_eq!(movement(&repository, None, gone), None);
}

#[test]
fn ten_commits_are_told_newest_first_and_no_title_is_too_long() {
    let (_folder, repository) = repository();
    let first = commit_files(&repository, "0", &[], &[]);
    let mut head = first;
    for number in 1..=11 {
        let title = if number == 11 { "é".repeat(LONGEST + 1) } else { number.to_string() };
        head = commit_files(&repository, &title, &[head], &[]);
    }
    let Movement { ahead, commits, .. } = movement(&repository, Some(first), head).unwrap();
    assert_eq!((ahead, commits.len()), (11, Movement::SHOWN));
    assert_eq!(commits[0].title, format!("{}…", "é".repeat(LONGEST)).as_str());
    assert_eq!((commits[1].title.as_str(), commits[1].author.as_str()), ("10", "Ana"));
}
