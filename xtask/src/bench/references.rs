//! What a look into code costs: 5,000 Python blocks, 10 MB, that nobody looked at before; the same again; and a second commit
//! that changes ten of them. Next to reading and parsing them and nothing else.

use std::{fmt::Write as _, fs, io, path::Path};

use super::{Row, Target, import_history, rows, seconds, show, table};
use crate::{Done, root};

const PIPELINES: usize = 250;
const BLOCKS: usize = 20;
const CHANGED: usize = 10;

/// How many bytes a block has, about.
const SIZE: usize = 2_000;

/// What all of it may hold in memory, in MB.
const MEMORY: f64 = 300.0;

/// Measures and prints.
pub fn run(runs: usize) -> Done {
    let folder = root().join("target/bench/references");
    eprintln!("generating a repository of {} blocks in {}", PIPELINES * BLOCKS, folder.display());
    generate(&folder).map_err(|error| format!("cannot write {}: {error}", folder.display()))?;
    let magus = show(&root().join("target/release/magus"));
    let floor = show(&root().join("target/release/examples/code_floor"));
    let (place, cache) = (show(&folder), show(&folder.join("cache")));
    // Each begins with what is known after `known`: nothing, or what a look at the first commit left.
    let lint = |known: &str, directory: &str| {
        let script = "rm -rf \"$1/cache\"; test \"$2\" = nothing || cp -r \"$1/$2\" \"$1/cache\"; \
                      XDG_CACHE_HOME=\"$1/cache\" \"$0\" --dir \"$1/$3\" --quiet lint >/dev/null";
        ["/bin/sh", "-c", script, &magus, &place, known, directory].map(str::to_owned).to_vec()
    };
    rows(&[("once, for what it keeps", lint("nothing", "first"), Target::None)], 1)?;
    fs::rename(&cache, folder.join("known")).map_err(|error| format!("nothing was kept: {error}"))?;
    let repository = show(&folder.join("pipelines.git"));
    let measured: Vec<Row> = rows(
        &[
            ("floor: read, parse", vec![floor, repository, "first".to_owned()], Target::None),
            ("lint of code never seen", lint("nothing", "first"), Target::FloorsAndMemory(2.0, MEMORY)),
            ("the same again", lint("known", "first"), Target::None),
            ("ten files changed", lint("known", "second"), Target::None),
        ],
        runs,
    )?;
    let floor = measured.first().map_or(f64::NAN, |row| seconds(row.measured));
    table(PIPELINES * BLOCKS, floor, &measured);
    let between = seconds(measured[3].measured) - seconds(measured[2].measured);
    println!("ten files changed: {:.0} ms more than nothing new (at most 50)", between * 1_000.0);
    Ok(())
}

fn generate(folder: &Path) -> io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    for branch in ["first", "second"] {
        let directory = folder.join(branch).join("development");
        fs::create_dir_all(&directory)?;
        let cluster = "name: bench\nengine: {local: {path: ../store}}\nrepository: {url: ../pipelines.git}\nprovided: [\"*\"]\n";
        fs::write(folder.join(branch).join("cluster.yaml"), cluster)?;
        fs::write(directory.join("environment.yaml"), format!("branch: {branch}\ndeploy: head\n"))?;
        fs::write(directory.join("ws.yaml"), "owner: ana@acme.dev\n")?;
    }
    import_history(folder, &history())?;
    Ok(())
}

/// Two commits, each with its branch.
fn history() -> String {
    let mut out = String::with_capacity(24 << 20);
    let file = |out: &mut String, path: &str, text: &str| {
        let _ = write!(out, "M 100644 inline {path}\ndata {}\n{text}\n", text.len());
    };
    let commit = |out: &mut String, branch: &str| {
        let _ = write!(
            out,
            "commit refs/heads/{branch}\ncommitter Ana <ana@acme.dev> 1700000000 +0000\ndata {}\n{branch}\n",
            branch.len()
        );
    };
    commit(&mut out, "first");
    for pipeline in 0..PIPELINES {
        let mut metadata = String::from("blocks:\n");
        for number in 0..BLOCKS {
            let _ =
                writeln!(metadata, "- {{uuid: b{pipeline}_{number}, type: data_loader, language: python}}");
            file(&mut out, &path(pipeline, number), &block(pipeline, number, ""));
        }
        file(&mut out, &format!("pipelines/p{pipeline}/metadata.yaml"), &metadata);
    }
    commit(&mut out, "second");
    out.push_str("from refs/heads/first\n");
    for changed in 0..CHANGED {
        file(&mut out, &path(changed * 17, changed), &block(changed * 17, changed, "# changed\n"));
    }
    out
}

fn path(pipeline: usize, number: usize) -> String {
    format!("data_loaders/b{pipeline}_{number}.py")
}

/// A block as people write them: imports, a few functions, and what it reads.
fn block(pipeline: usize, number: usize, head: &str) -> String {
    let mut text = format!(
        "{head}import os\n\nimport pandas as pd\n\nif 'data_loader' not in globals():\n    from mage_ai.data_preparation.decorators import data_loader\n\n\
         KEY = os.environ['KEY_{number}']\nURL = os.getenv('URL_{pipeline}', 'https://api.acme.dev')\n\n"
    );
    let mut at = 0;
    while text.len() < SIZE {
        let _ = write!(
            text,
            "\ndef step_{at}(rows, *args, **kwargs):\n    \"\"\"Keeps what has a value.\"\"\"\n    kept = []\n    for row in rows:\n        \
             if row.get('value_{at}') is not None and row['amount'] > {number}:\n            kept.append({{**row, 'source': f'{{URL}}/{{row[\"id\"]}}'}})\n    \
             return pd.DataFrame(kept).drop_duplicates(subset=['id', 'day'])\n"
        );
        at += 1;
    }
    text.push_str("\n\n@data_loader\ndef load(*args, **kwargs):\n    return step_0([{'id': 1, 'limit': kwargs.get('limit')}])\n");
    text
}
