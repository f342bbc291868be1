//! The pipelines' repository of all worlds, made once. A world copies it and moves its branches.

use std::{fs, path::Path, process::Command};

/// Commits 1 to 6 follow each other; 7 and 8 follow 2; 9 and 10 are 7 and 8 again, rebased onto 4.
pub const COMMITS: usize = 10;
/// The parent of each commit, by its number.
const PARENTS: [usize; COMMITS] = [0, 1, 2, 3, 4, 5, 2, 7, 4, 9];

/// A bare repository without branches.
pub struct Template {
    folder: tempfile::TempDir,
    /// The ids of the commits, the first one first.
    pub commits: Vec<String>,
    /// The script that makes it.
    pub script: String,
}

impl Template {
    /// Makes the repository.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = script();
        let status = Command::new("sh")
            .args(["-ec", &script])
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .status()
            .expect("a shell starts");
        assert!(status.success(), "the repository is made");
        let marks = fs::read_to_string(folder.path().join("marks")).expect("the marks");
        let mut commits = vec![String::new(); COMMITS];
        for line in marks.lines() {
            let (mark, commit) = line.split_once(' ').expect("a mark and a commit");
            let number: usize = mark.trim_start_matches(':').parse().expect("a number");
            commits[number - 1] = commit.to_owned();
        }
        fs::remove_dir_all(folder.path().join("pipelines.git/hooks")).expect("removed");
        Self { folder, commits, script }
    }

    /// Copies the repository into a folder.
    pub fn copy_to(&self, folder: &Path) {
        copy(&self.folder.path().join("pipelines.git"), &folder.join("pipelines.git"));
    }
}

/// Whether a commit is another one, or comes before it; by their numbers from 1.
pub fn is_ancestor(ancestor: usize, mut commit: usize) -> bool {
    while commit > ancestor {
        commit = PARENTS[commit - 1];
    }
    commit == ancestor
}

/// A shell script that makes the repository with the same commits each time.
fn script() -> String {
    let mut stream = String::new();
    for number in 1..=COMMITS {
        let parent = PARENTS[number - 1];
        let from = if parent == 0 { String::new() } else { format!("from :{parent}\n") };
        let time = 1_767_225_600 + 60 * number;
        let (title, text) = (format!("commit {number}"), format!("VALUE = {number}"));
        stream.push_str(&format!(
            "commit refs/made/{number}\nmark :{number}\ncommitter Test <test@example.com> {time} +0000\n\
             data {}\n{title}\n{from}M 100644 inline mage/utils/value.py\ndata {}\n{text}\n\
             M 100644 inline mage/pipelines/orders/metadata.yaml\ndata 13\nname: orders\n\n\
             M 100644 inline other/pipelines/orders/metadata.yaml\ndata 13\nname: orders\n\n\
             M 100644 inline utils/value.py\ndata {}\n{text}\n\
             M 100644 inline pipelines/orders/metadata.yaml\ndata 13\nname: orders\n\n",
            title.len(),
            text.len(),
            text.len(),
        ));
    }
    format!(
        "git init --quiet --bare pipelines.git\n\
         git -C pipelines.git fast-import --quiet --export-marks=../marks <<'END'\n{stream}END\n\
         mkdir -p pipelines.git/refs/heads\n"
    )
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}
