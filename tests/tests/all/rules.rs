//! The pages of the rules: what each calls wrong yields its finding, and no other; what it puts instead yields none.
//!
//! A page has blocks before and after `Instead`. A block of YAML is `development/analytics.yaml`, unless a comment that is a
//! path begins another file: `# production/environment.yaml`. What comes after `Instead` is laid over what came before,
//! and `# PATH, removed …` removes. A block of text is a list of files, each with what is special about it, or else the
//! bytes of a file, with `→` for a tab and `<FC>`, `<CR>` and `<LF>` for what cannot be seen. A block of shell is run.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use magus_tests::{Sandbox, repository};
use serde_json::Value;

/// The file that a block is of which names none.
const DEFAULT: &str = "development/analytics.yaml";

/// The folder of the pipelines' repository in examples.
const CODE: &str = "pipelines.git";

/// Rules whose examples are about what is missing: nothing is added to these.
const WHOLE: &[&str] = &["MG022", "MG107"];

/// The one page that has no example, because a known one would be mended.
const WITHOUT: &str = "MG099";

/// What lies at a path of the directory.
#[derive(Debug, Clone)]
enum What {
    Bytes(Vec<u8>),
    Link(String),
}

type Files = BTreeMap<String, What>;

/// A fenced block.
struct Block {
    language: String,
    lines: Vec<String>,
}

/// The blocks of the example: those before `Instead`, and those after it.
fn examples(page: &str) -> (Vec<Block>, Vec<Block>) {
    let (_, example) = page.split_once("\n## Example\n").expect("an example");
    let (example, _) = example.split_once("\n## Silencing it\n").expect("how it is silenced");
    let (wrong, right) = example.split_once("\nInstead").expect("what to write instead");
    (blocks(wrong), blocks(right))
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let body = lines.by_ref().take_while(|line| *line != "```");
        blocks.push(Block { language: language.to_owned(), lines: body.map(str::to_owned).collect() });
    }
    blocks
}

/// The path in a comment that begins a file, and what is said of it.
fn heading(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("# ")?;
    let (path, said) = rest.split_once(", ").unwrap_or((rest, ""));
    let is_path =
        [".yaml", ".json", ".py", ".sql"].iter().any(|end| path.ends_with(end)) && !path.contains(' ');
    is_path.then_some((path, said))
}

/// Lays the files of a block of YAML over those that are there.
fn lay_yaml(block: &Block, files: &mut Files) {
    let mut path = DEFAULT.to_owned();
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for line in &block.lines {
        match heading(line) {
            Some((removed, said)) if said.starts_with("removed") => {
                files.remove(removed).expect("what is removed was there");
            }
            Some((named, said)) => {
                // Code that is on one branch alone has that in its path.
                path = match said.strip_prefix("on ") {
                    Some(branch) => named.replace(CODE, &format!("{CODE}@{branch}")),
                    None => named.to_owned(),
                };
            }
            None => {
                let text = texts.entry(path.clone()).or_default();
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    files.extend(texts.into_iter().map(|(path, text)| (path, What::Bytes(text.into_bytes()))));
}

/// The files of a block of text.
fn lay_text(block: &Block, files: &mut Files) {
    const FOLDER: &str = "environments/";
    if !block.lines.iter().any(|line| line.starts_with(FOLDER)) {
        files.insert(
            DEFAULT.to_owned(),
            What::Bytes(block.lines.iter().flat_map(|line| bytes(line)).collect()),
        );
        return;
    }
    files.clear();
    for line in &block.lines {
        let rest = line.strip_prefix(FOLDER).unwrap_or_else(|| panic!("`{line}` is no path"));
        let (path, said) = rest.split_once(' ').unwrap_or((rest, ""));
        let said = said.trim();
        let what = if let Some(target) = said.strip_prefix("-> ") {
            What::Link(target.split_whitespace().next().expect("a target").to_owned())
        } else if let Some(size) = said.strip_suffix(" MiB") {
            let size = size.parse::<f64>().expect("a size") * f64::from(1 << 20);
            What::Bytes(vec![b'#'; size as usize])
        } else {
            What::Bytes(b"{}\n".to_vec())
        };
        files.insert(path.to_owned(), what);
    }
}

/// A line with what cannot be seen in it.
fn bytes(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut ends = true;
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let hidden = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'));
        let codes = hidden.and_then(|(names, _)| names.split(' ').map(code).collect::<Option<Vec<u8>>>());
        match (codes, hidden) {
            (Some(codes), Some((_, after))) => {
                ends = !codes.ends_with(b"\n");
                bytes.extend(codes);
                rest = after;
            }
            _ => {
                let first = if first == '→' { '\t' } else { first };
                bytes.extend(first.to_string().bytes());
                let mut chars = rest.chars();
                chars.next();
                rest = chars.as_str();
            }
        }
    }
    if ends {
        bytes.push(b'\n');
    }
    bytes
}

fn code(name: &str) -> Option<u8> {
    match name {
        "CR" => Some(b'\r'),
        "LF" => Some(b'\n'),
        hexadecimal if hexadecimal.len() == 2 => u8::from_str_radix(hexadecimal, 16).ok(),
        _ => None,
    }
}

/// Runs `magus … > FILE`.
fn run(block: &Block, sandbox: &Sandbox) {
    for line in &block.lines {
        let (command, file) = line.split_once(" > ").expect("a command and its file");
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(words[0], "magus", "{line}");
        sandbox.write(file, sandbox.expect(0, &words[1..]).stdout);
    }
}

/// What every directory needs, where an example leaves it out.
fn completed(path: &str, bytes: &[u8], has_code: bool) -> Vec<u8> {
    let mut needed: Vec<(&str, &str)> = match path {
        "cluster.yaml" => vec![("name", "acme"), ("engine", "{local: {path: ../.magus/acme}}")],
        "development/environment.yaml" if has_code => vec![],
        "staging/environment.yaml" => vec![("promotes_from", "development")],
        "production/environment.yaml" => vec![("promotes_from", "staging")],
        _ => return bytes.to_vec(),
    };
    if has_code {
        needed.push(match path {
            "cluster.yaml" => ("repository", "{url: ../pipelines.git}"),
            "production/environment.yaml" => ("branch", "main"),
            path => ("branch", path.split_once('/').map_or(path, |(environment, _)| environment)),
        });
    }
    let text = std::str::from_utf8(bytes).expect("text").replace("{}\n", "");
    let missing =
        needed.iter().filter(|(key, _)| !text.lines().any(|line| line.starts_with(&format!("{key}:"))));
    let lines: String = missing.map(|(key, value)| format!("{key}: {value}\n")).collect();
    (text + &lines).into_bytes()
}

/// A directory with three stages, a workspace and the editor's schema, and an example in it.
fn directory(rule: &str, files: &Files) -> Sandbox {
    let sandbox = Sandbox::new();
    let has_code = files.keys().any(|path| path.starts_with(CODE));
    if has_code {
        commit_code(&sandbox, files);
    } else if rule.starts_with("MG4") {
        pipelines(&sandbox);
    }
    let mut all: Files = BTreeMap::new();
    // A page is about the one that is missing.
    if rule != "MG108" {
        all.insert("cluster.yaml".into(), What::Bytes(Vec::new()));
    }
    for environment in ["development", "staging", "production"] {
        all.insert(format!("{environment}/environment.yaml"), What::Bytes(b"{}\n".to_vec()));
    }
    all.insert("production/ingest.yaml".into(), What::Bytes(b"{}\n".to_vec()));
    let schema = std::fs::read(repository().join("schemas/workspace.json")).expect("a schema");
    all.insert(".schemas/workspace.json".into(), What::Bytes(schema));
    let is_whole = |path: &String| WHOLE.contains(&rule) && files.contains_key(path);
    all.extend(files.clone());
    all.retain(|path, _| !path.starts_with(CODE));
    for (path, what) in &all {
        let place = format!("environments/{path}");
        match what {
            What::Bytes(bytes) if is_whole(path) => sandbox.write(&place, bytes),
            What::Bytes(bytes) => sandbox.write(&place, completed(path, bytes, has_code)),
            What::Link(target) => {
                let link = sandbox.file(&place);
                let folder = link.parent().expect("a folder");
                std::fs::create_dir_all(folder).expect("folders");
                // What leads out leads to something; what stays in leads to whatever the example has.
                if target.starts_with("../../") {
                    std::fs::write(folder.join(target), "{}\n").expect("the target");
                }
                std::os::unix::fs::symlink(target, link).expect("a link");
            }
        }
    }
    sandbox
}

/// The pipelines' repository of the pages: each of `main`, `staging` and `development` has one commit more than the one before;
/// `master` is `main` with a hotfix, and `release` is `staging` with that merged.
fn pipelines(sandbox: &Sandbox) {
    let bare = sandbox.file("pipelines.git").display().to_string();
    sandbox.git(&["init", "--quiet", "--bare", &bare]);
    let tree = |entry: &str| {
        sandbox.write("tree", entry);
        sandbox.git_with("tree", &["--git-dir", &bare, "mktree"])
    };
    sandbox.write("blob", "uuid: orders\nblocks: []\n");
    let blob = sandbox.git_with("blob", &["--git-dir", &bare, "hash-object", "-w", "--stdin"]);
    let orders = tree(&format!("100644 blob {}\tmetadata.yaml\n", blob.trim()));
    let pipelines = tree(&format!("040000 tree {orders}\torders\n"));
    let pipelines = format!("040000 tree {pipelines}\tpipelines\n");
    let project = tree(&pipelines);
    let commit_of = |tree: &str, branch: &str, parents: &[&str]| {
        let mut words = vec!["--git-dir", &bare, "commit-tree", tree, "-m", branch];
        parents.iter().for_each(|parent| words.extend(["-p", parent]));
        let made = sandbox.git(&words).trim().to_owned();
        sandbox.git(&["--git-dir", &bare, "branch", branch, &made]);
        made
    };
    let commit = |branch: &str, parents: &[&str]| commit_of(&project, branch, parents);
    let module = commit("main", &[]);
    let with_submodule = tree(&format!("160000 commit {module}\tlibrary\n{pipelines}"));
    commit_of(&with_submodule, "with-submodule", &["main"]);
    commit("staging", &["main"]);
    commit("development", &["staging"]);
    commit("master", &["main"]);
    commit("release", &["staging", "master"]);
    sandbox.git(&["--git-dir", &bare, "tag", "v1.0", "main"]);
    sandbox.git(&["--git-dir", &bare, "tag", "v2.0-rc1", "development"]);
}

/// The pipelines' repository of an example: every file on all of `main`, `staging` and `development`, but for those that are on one
/// of them alone.
fn commit_code(sandbox: &Sandbox, files: &Files) {
    let folder = sandbox.file(CODE).display().to_string();
    sandbox.git(&["init", "--quiet", "--initial-branch=main", &folder]);
    for branch in ["main", "staging", "development"] {
        if branch != "main" {
            sandbox.git(&["-C", &folder, "checkout", "--quiet", "-b", branch]);
        }
        for (path, what) in files {
            let Some(rest) = path.strip_prefix(CODE) else { continue };
            let (on, path) = rest.split_once('/').expect("a file");
            let (What::Bytes(bytes), true) = (what, on.is_empty() || &on[1..] == branch) else { continue };
            sandbox.write(&format!("{CODE}/{path}"), bytes);
        }
        // A project has this, wherever the example has it.
        let is_own = |path: &String| path.ends_with("/metadata.yaml") && !path.contains("/pipelines/");
        if !files.keys().any(is_own) {
            sandbox.write(&format!("{CODE}/metadata.yaml"), "project_type: standalone\n");
        }
        sandbox.git(&["-C", &folder, "add", "--all"]);
        sandbox.git(&["-C", &folder, "commit", "--quiet", "--allow-empty", "-m", branch]);
    }
}

/// The codes of all findings.
fn findings(sandbox: &Sandbox) -> (BTreeSet<String>, Value) {
    let run = sandbox.magus(&["lint", "--format", "json"]);
    let report: Value =
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.all()));
    let codes = report["diagnostics"].as_array().expect("findings").iter();
    (codes.map(|found| found["code"].as_str().expect("a code").to_owned()).collect(), report)
}

/// Why a page is not as it should be.
fn faults(rule: &str, page: &str) -> Vec<String> {
    let (wrong, right) = examples(page);
    let mut files = Files::new();
    let mut faults = Vec::new();
    for block in &wrong {
        lay(block, &mut files);
    }
    let sandbox = directory(rule, &files);
    let (codes, report) = findings(&sandbox);
    if codes != BTreeSet::from([rule.to_owned()]) {
        faults.push(format!("{rule}: what is wrong yields {codes:?}: {report:#}"));
    }
    if right.is_empty() || wrong.is_empty() {
        faults.push(format!("{rule}: there is nothing before or after `Instead`"));
    }
    for block in &right {
        lay(block, &mut files);
    }
    let sandbox = directory(rule, &files);
    right.iter().filter(|block| block.language == "sh").for_each(|block| run(block, &sandbox));
    let (codes, report) = findings(&sandbox);
    if !codes.is_empty() {
        faults.push(format!("{rule}: what is put instead yields {codes:?}: {report:#}"));
    }
    faults
}

fn lay(block: &Block, files: &mut Files) {
    match block.language.as_str() {
        "yaml" | "python" => lay_yaml(block, files),
        "text" => lay_text(block, files),
        "sh" => {}
        other => panic!("nobody knows what a block of `{other}` is"),
    }
}

#[test]
fn every_example_is_what_its_page_says() {
    let folder = repository().join("docs/rules");
    let mut pages: Vec<_> =
        std::fs::read_dir(&folder).expect("pages").map(|page| page.expect("one").path()).collect();
    pages.sort();
    let mut all = Vec::new();
    let mut seen = 0;
    for page in pages {
        let rule = page.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        let text = std::fs::read_to_string(Path::new(&page)).expect("a page");
        match rule.as_str() {
            "README" => {}
            WITHOUT => assert!(text.contains("There is no example")),
            rule => {
                seen += 1;
                all.extend(faults(rule, &text));
            }
        }
    }
    assert!(seen > 40, "only {seen} pages were read");
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn what_cannot_be_seen_is_written_out() {
    for (line, expected) in [
        ("a<FC>b", &b"a\xfcb\n"[..]),
        ("<EF BB BF>a", b"\xef\xbb\xbfa\n"),
        ("a:<CR><LF>", b"a:\r\n"),
        ("→a", b"\ta\n"),
        ("<b>", b"<b>\n"),
        ("a < b", b"a < b\n"),
    ] {
        assert_eq!(bytes(line), expected, "{line}");
    }
}
