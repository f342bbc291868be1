use git2::{Oid, Repository, Signature, Time};

use super::*;

/// A repository, and the folder of a workspace.
struct Bed {
    folder: tempfile::TempDir,
    repository: Repository,
}

impl Bed {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let repository = Repository::init_bare(folder.path().join("code.git")).expect("a repository");
        Self { folder, repository }
    }

    /// A commit with one file, `x`.
    fn commit(&self, content: &str) -> String {
        let blob = self.repository.blob(content.as_bytes()).expect("a blob");
        let tree = |name: &str, id: Oid, mode: i32| {
            let mut tree = self.repository.treebuilder(None).expect("a tree");
            tree.insert(name, id, mode).expect("an entry");
            tree.write().expect("a tree")
        };
        let tree = tree("p", tree("x", blob, 0o100_644), 0o040_000);
        let tree = self.repository.find_tree(tree).expect("a tree");
        let author = Signature::new("a", "a@example.com", &Time::new(1_700_000_000, 0)).expect("an author");
        self.repository.commit(None, &author, &author, content, &tree, &[]).expect("a commit").to_string()
    }

    fn workspace(&self) -> PathBuf {
        self.folder.path().join("ana dev")
    }

    fn deploy(&self, commit: &str) -> Result<(), String> {
        self.deploy_over(commit, Occupied::Keep)
    }

    fn deploy_over(&self, commit: &str, occupied: Occupied) -> Result<(), String> {
        let (git, directory) = (self.repository.path(), "p");
        deploy(&self.workspace(), DeployRequest { git, directory, commit, like: None, occupied }).map(drop)
    }

    fn observe(&self, thoroughly: bool) -> (Option<String>, Vec<String>) {
        let ObservedCode { commit, work } = observe(&self.workspace(), thoroughly);
        assert!(!matches!(work, Work::Unknown(_)), "{work:?}");
        (commit.map(String::from), work.paths().iter().map(ToString::to_string).collect())
    }

    fn read(&self) -> String {
        fs::read_to_string(self.workspace().join("code/x")).expect("code")
    }

    fn trees(&self) -> Vec<String> {
        let folder = self.workspace().join(TREES);
        let entries = fs::read_dir(folder).expect("trees").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().expect("a name")).collect();
        names.sort();
        names
    }
}

#[test]
fn the_link_says_what_runs_and_five_trees_stay() {
    let bed = Bed::new();
    assert_eq!(bed.observe(true), (None, vec![]));
    let commits: Vec<String> = (0..7).map(|number| bed.commit(&number.to_string())).collect();
    for (number, commit) in commits.iter().enumerate() {
        bed.deploy(commit).expect("deployed");
        assert_eq!(bed.read(), number.to_string());
        assert_eq!(bed.observe(true), (Some(commit.clone()), vec![]));
    }
    // Back to one whose tree is there: another tree, because somebody may be in the old one.
    bed.deploy(&commits[5]).expect("deployed");
    assert_eq!(bed.read(), "5");
    let kept = [(4, 3), (5, 4), (6, 5), (7, 6), (8, 5)];
    let names = |(number, commit): &(usize, usize)| format!("{number}-{}", commits[*commit]);
    let expect: Vec<String> = kept.iter().flat_map(|tree| [names(tree), names(tree) + ".files"]).collect();
    assert_eq!(bed.trees(), expect);
}

#[test]
fn work_is_seen_and_an_old_tree_with_work_stays() {
    let bed = Bed::new();
    let first = bed.commit("first");
    bed.deploy(&first).expect("deployed");
    fs::write(bed.workspace().join("code/x"), "mine").expect("written");
    fs::write(bed.workspace().join("code/new"), "mine").expect("written");
    assert_eq!(bed.observe(false), (Some(first.clone()), vec![]));
    assert_eq!(bed.observe(true), (Some(first.clone()), vec!["new".to_owned(), "x".to_owned()]));
    for number in 0..8 {
        let commit = bed.commit(&number.to_string());
        bed.deploy(&commit).expect("deployed");
    }
    let old = bed.workspace().join(TREES).join(format!("1-{first}"));
    assert_eq!(fs::read_to_string(old.join("x")).expect("still there"), "mine");
    assert_eq!(bed.trees().len(), 12);

    let last = bed.observe(true).0.expect("a commit");
    let manifest = bed.workspace().join(TREES).join(format!("9-{last}.files"));
    fs::write(&manifest, "nonsense").expect("written");
    assert_eq!(bed.observe(true), (Some(last.clone()), vec![".".to_owned()]), "nobody can say");
    fs::remove_file(manifest).expect("removed");
    assert_eq!(bed.observe(true), (Some(last), vec![".".to_owned()]));
}

#[test]
fn what_is_no_tree_is_somebodys_own() {
    let bed = Bed::new();
    let (workspace, commit) = (bed.workspace(), bed.commit("x"));
    let code = workspace.join(CODE);
    let own = (None, vec![CODE.to_owned()]);
    fs::create_dir_all(&code).expect("made");
    assert_eq!(bed.observe(false), (None, vec![]), "an empty folder is nothing");
    fs::write(code.join("x.py"), "").expect("written");
    assert_eq!(bed.observe(false), own);
    fs::remove_file(code.join("x.py")).expect("removed");
    bed.deploy(&commit).expect("deployed in place of an empty folder");
    assert_eq!(bed.read(), "x");
    for target in ["/etc", "trees", "trees/8-x", "trees/x/y", "other/1-x", "trees/.."] {
        fs::remove_file(&code).expect("removed");
        symlink(target, &code).expect("linked");
        assert_eq!(bed.observe(true), own, "{target}");
    }
    // A tree that somebody removed is no code at all.
    fs::remove_file(&code).expect("removed");
    symlink(format!("trees/1-{commit}"), &code).expect("linked");
    fs::remove_dir_all(workspace.join(format!("trees/1-{commit}"))).expect("removed");
    assert_eq!(bed.observe(true), (None, vec![]));
}

#[test]
fn what_a_killed_deploy_left_is_cleared_away_and_a_failed_one_changes_nothing() {
    let bed = Bed::new();
    let (first, second) = (bed.commit("1"), bed.commit("2"));
    bed.deploy(&first).expect("deployed");
    let trees = bed.workspace().join(TREES);
    fs::create_dir(trees.join(UNFINISHED)).expect("made");
    fs::write(trees.join(UNFINISHED).join("x"), "half").expect("written");
    fs::write(trees.join(format!("2-{second}.files")), "half").expect("written");
    symlink("nowhere", trees.join(".link")).expect("linked");
    let error = bed.deploy(&"0".repeat(40)).expect_err("no such commit");
    assert!(error.contains("cannot be read"), "{error}");
    assert_eq!((bed.read().as_str(), bed.observe(true)), ("1", (Some(first), vec![])));
    bed.deploy(&second).expect("deployed");
    assert_eq!((bed.read().as_str(), bed.observe(true)), ("2", (Some(second), vec![])));
    assert_eq!(bed.trees().len(), 4);
}

#[test]
fn a_folder_of_a_person_goes_only_if_the_plan_discards_it() {
    let bed = Bed::new();
    let commit = bed.commit("1");
    fs::create_dir_all(bed.workspace().join(CODE)).expect("a folder");
    fs::write(bed.workspace().join(CODE).join("mine.py"), "mine").expect("a file");
    bed.deploy(&commit).expect_err("it is a person's");
    assert_eq!(bed.observe(true), (None, vec!["code".to_owned()]));
    bed.deploy_over(&commit, Occupied::Discard).expect("deployed");
    assert_eq!((bed.read().as_str(), bed.observe(true)), ("1", (Some(commit), vec![])));
}

#[test]
fn code_that_cannot_be_read_is_unknown() {
    let bed = Bed::new();
    let commit = bed.commit("1");
    bed.deploy(&commit).expect("deployed");
    // Whoever tests may be root, who reads everything: a loop of links is unreadable to everybody.
    let tree = bed.workspace().join(TREES).join(format!("1-{commit}"));
    fs::remove_dir_all(&tree).expect("removed");
    std::os::unix::fs::symlink(&tree, &tree).expect("linked");
    for thoroughly in [false, true] {
        let found = observe(&bed.workspace(), thoroughly);
        assert_eq!(found.commit.as_deref(), Some(commit.as_str()));
        assert!(matches!(&found.work, Work::Unknown(why) if why.contains("cannot be read")), "{found:?}");
    }
}
