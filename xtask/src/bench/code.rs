//! What code costs a plan: 1,000 workspaces that follow 200 branches of a repository with 5,000 files and 10,000 commits, next to
//! the same plan without any repository. Once with nothing new, and once where all of them are 500 commits behind.

use std::{fmt::Write as _, fs, io, os::unix::fs::symlink, path::Path, process::Command};

use super::{Row, Target, import_history, rows, seconds, show, table};
use crate::{Done, process::output, root};

const WORKSPACES: usize = 1_000;
const BRANCHES: usize = 200;
const COMMITS: usize = 10_000;
const PIPELINES: usize = 250;
const BLOCKS: usize = 19;

/// How far what runs is behind the branches.
const BEHIND: usize = 500;

/// Measures and prints.
pub fn run(runs: usize) -> Done {
    let folder = root().join("target/bench/code");
    eprintln!("generating a repository of {COMMITS} commits in {}", folder.display());
    generate(&folder).map_err(|error| format!("cannot write {}: {error}", folder.display()))?;
    let magus = show(&root().join("target/release/magus"));
    let plan = |directory: &str, code: &str| {
        let directory = show(&folder.join(directory));
        [
            "/bin/sh",
            "-c",
            "\"$0\" --dir \"$1\" --quiet plan --detailed-exitcode >/dev/null; test $? = \"$2\"",
            &magus,
            &directory,
            code,
        ]
        .map(str::to_owned)
        .to_vec()
    };
    let measured: Vec<Row> = rows(
        &[
            ("plan without a repository", plan("without", "0"), Target::None),
            ("nothing new", plan("settled", "0"), Target::Floors(2.0)),
            ("200 branches 500 ahead", plan("behind", "2"), Target::None),
        ],
        runs,
    )?;
    let floor = measured.first().map_or(f64::NAN, |row| seconds(row.measured));
    table(WORKSPACES, floor, &measured);
    Ok(())
}

fn generate(folder: &Path) -> io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    const REPOSITORY: &str = "repository: {url: ../pipelines.git}\n";
    for (directory, store, repository, deploy) in [
        ("without", "settled", "", "none"),
        ("settled", "settled", REPOSITORY, "head"),
        ("behind", "behind", REPOSITORY, "head"),
    ] {
        let directory = folder.join(directory).join("development");
        fs::create_dir_all(&directory)?;
        let cluster = format!("name: bench\nengine: {{local: {{path: ../stores/{store}}}}}\n{repository}");
        fs::write(folder.join(directory.parent().unwrap_or(folder)).join("cluster.yaml"), cluster)?;
        let environment = format!("branch: development\ndeploy: {deploy}\n");
        fs::write(directory.join("environment.yaml"), environment)?;
        for number in 0..WORKSPACES {
            let branch = number % BRANCHES;
            let text = format!("branch: feature/b{branch}\nenv: {{NUMBER: \"{number}\"}}\n");
            fs::write(directory.join(format!("ws{number}.yaml")), text)?;
        }
    }
    let repository = import_history(folder, &history())?;
    let failed = |why: String| io::Error::other(why);
    // What runs: the records are those of an apply without code, and the links say what was deployed.
    let mut apply = Command::new(root().join("target/release/magus"));
    apply.arg("--dir").arg(folder.join("without")).args(["--quiet", "apply", "--yes"]);
    output(apply).map_err(failed)?;
    let (settled, behind) = (folder.join("stores/settled"), folder.join("stores/behind"));
    fs::create_dir_all(&behind)?;
    fs::copy(settled.join("magus.db"), behind.join("magus.db"))?;
    for (store, back) in [(settled, 0), (behind, BEHIND)] {
        for branch in 0..BRANCHES {
            let old = format!("feature/b{branch}~{back}");
            let mut git = Command::new("git");
            git.arg("--git-dir").arg(&repository).args(["rev-parse", &old]);
            let commit = output(git).map_err(failed)?;
            let tree = format!("1-{}", commit.trim());
            for number in (branch..WORKSPACES).step_by(BRANCHES) {
                let workspace = store.join(format!("workspaces/ws{number}-development"));
                let trees = workspace.join("trees");
                fs::create_dir_all(trees.join(&tree))?;
                fs::write(trees.join(format!("{tree}.files")), "")?;
                symlink(Path::new("trees").join(&tree), workspace.join("code"))?;
            }
        }
    }
    Ok(())
}

/// One line of history, of which each commit changes one block, and branches near its end.
fn history() -> String {
    let mut out = String::with_capacity(4 << 20);
    let file = |out: &mut String, path: &str, text: &str| {
        let _ = write!(out, "M 100644 inline {path}\ndata {}\n{text}\n", text.len());
    };
    for number in 0..COMMITS {
        let title = format!("Change {number}");
        let time = 1_700_000_000 + number * 60;
        let _ = write!(
            out,
            "commit refs/heads/development\nmark :{}\ncommitter Ana <ana@acme.dev> {time} +0000\ndata {}\n{title}\n",
            number + 1,
            title.len()
        );
        if number > 0 {
            let _ = writeln!(out, "from :{number}");
            let block = number * 7 % (PIPELINES * BLOCKS);
            file(
                &mut out,
                &block_path(block / BLOCKS, block % BLOCKS),
                &format!("import os\nx = {number}\n"),
            );
            continue;
        }
        for pipeline in 0..PIPELINES {
            let mut metadata = String::from("blocks:\n");
            for block in 0..BLOCKS {
                let _ = writeln!(
                    metadata,
                    "- {{uuid: b{pipeline}_{block}, type: data_loader, language: python}}"
                );
                file(&mut out, &block_path(pipeline, block), "import os\n");
            }
            file(&mut out, &format!("pipelines/p{pipeline}/metadata.yaml"), &metadata);
        }
    }
    for branch in 0..BRANCHES {
        let _ = write!(out, "reset refs/heads/feature/b{branch}\nfrom :{}\n\n", COMMITS - branch * 10);
    }
    out
}

fn block_path(pipeline: usize, block: usize) -> String {
    format!("data_loaders/b{pipeline}_{block}.py")
}
