//! The scanner of code against what Python does and what Mage brings.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    process::Command,
};

use magus_tests::{Sandbox, cases, mage::environment, repository, skip};
use serde_json::Value;

/// What Mage's own files refer to, read by hand in 0.9.80: file, line, kind, name.
const OF_MAGE: &[(&str, u64, &str, &str)] = &[
    ("io_config.yaml", 6, "variable", "AWS_ACCESS_KEY_ID"),
    ("io_config.yaml", 7, "variable", "AWS_SECRET_ACCESS_KEY"),
    ("io_config.yaml", 17, "variable", "AZURE_CLIENT_ID"),
    ("io_config.yaml", 18, "variable", "AZURE_CLIENT_SECRET"),
    ("io_config.yaml", 19, "variable", "AZURE_STORAGE_ACCOUNT_NAME"),
    ("io_config.yaml", 20, "variable", "AZURE_TENANT_ID"),
    ("metadata.yaml", 52, "variable", "MAGE_SLACK_WEBHOOK_URL"),
    ("metadata.yaml", 54, "variable", "MAGE_TEAMS_WEBHOOK_URL"),
];

/// A place that refers to something: file, line, kind and name.
type Place = (String, u64, String, String);

/// Runs one of our Python programs with the Python that Mage is installed for; nothing where it cannot be.
pub(super) fn python(test: &str, sandbox: &Sandbox, program: &str, folder: &str) -> Option<String> {
    let installed = match environment() {
        Ok(installed) => installed,
        Err(missing) => {
            missing.skip(test);
            return None;
        }
    };
    let run = Command::new(installed.join("bin/python"))
        .arg(repository().join("tests/mage").join(program))
        .arg(sandbox.file(folder))
        .env("HOME", sandbox.file("home"))
        .output()
        .expect("python starts");
    let errors = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success(), "{errors}");
    Some(String::from_utf8(run.stdout).expect("UTF-8"))
}

/// Commits a folder and declares one workspace that runs it.
pub(super) fn commit(sandbox: &Sandbox, folder: &str) {
    let path = sandbox.file(folder).display().to_string();
    sandbox.git(&["init", "--quiet", "--initial-branch=main", &path]);
    sandbox.git(&["-C", &path, "add", "--all", "--force"]);
    sandbox.git(&["-C", &path, "commit", "--quiet", "-m", "all"]);
    declare(sandbox, folder, ".");
}

/// Declares one workspace that runs the project in a folder of a repository, with every name provided.
fn declare(sandbox: &Sandbox, repository: &str, directory: &str) {
    let repository =
        format!("repository: {{url: ../{repository}, directory: {directory}}}\nprovided: [\"*\"]\n");
    let cluster = format!("name: acme\nengine: {{local: {{path: ../s}}}}\n{repository}");
    sandbox.write("environments/cluster.yaml", cluster);
    sandbox.write("environments/development/environment.yaml", "branch: main\ndeploy: head\n");
    sandbox.write("environments/development/a.yaml", "owner: ana@acme.dev\n");
}

/// Every place that `magus refs` names; and those with a name that is made while they run.
fn found(sandbox: &Sandbox) -> (BTreeSet<Place>, BTreeSet<Place>) {
    let refs = sandbox.expect(0, &["refs", "--format", "json"]).stdout;
    let refs: Value = serde_json::from_str(&refs).expect("JSON");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let at = |place: &Value, kind: &str, name: String| {
        (text(&place["file"]), place["line"].as_u64().expect("a line"), kind.to_owned(), name)
    };
    let mut all = BTreeSet::new();
    for name in refs["names"].as_array().expect("names") {
        for place in name["places"].as_array().expect("places") {
            all.insert(at(place, &text(&name["kind"]), text(&name["name"])));
        }
    }
    let undecidable = refs["undecidable"].as_array().expect("places").iter();
    (all, undecidable.map(|place| at(place, "undecidable", text(&place["expression"]))).collect())
}

#[test]
fn of_mages_own_files_nothing_is_missed_and_nothing_invented() {
    let sandbox = Sandbox::new();
    let test = "of_mages_own_files_nothing_is_missed_and_nothing_invented";
    let Some(written) = python(test, &sandbox, "blocks.py", "project") else { return };
    let count = written.lines().last().and_then(|line| line.trim().parse::<usize>().ok()).expect("a number");
    assert!(count > 80, "only {count} templates were written");
    commit(&sandbox, "project");
    let (all, undecidable) = found(&sandbox);
    let variables: BTreeSet<_> =
        all.into_iter().filter(|(_, _, kind, _)| kind != "runtime variable").collect();
    let owned = |(file, line, kind, name): &(&str, u64, &str, &str)| {
        ((*file).to_owned(), *line, (*kind).to_owned(), (*name).to_owned())
    };
    assert_eq!(variables, OF_MAGE.iter().map(owned).collect());
    assert_eq!(undecidable, BTreeSet::new());
    // Who has just begun is not told off for what Mage wrote.
    let cluster = sandbox.read("environments/cluster.yaml").replace("provided: [\"*\"]\n", "");
    sandbox.write("environments/cluster.yaml", cluster);
    let begun = sandbox.expect(0, &["lint", "--fail-on", "warning"]);
    assert!(begun.stdout.contains("no findings"), "{}", begun.stdout);
    // And what Mage writes, Magus can read: templates are whole Python.
    let lint: Value =
        serde_json::from_str(&sandbox.magus(&["lint", "--format", "json"]).stdout).expect("JSON");
    let findings = lint["diagnostics"].as_array().expect("findings").iter();
    let unreadable: Vec<_> = findings.filter(|one| one["code"] == "MG507").collect();
    assert!(unreadable.is_empty(), "{unreadable:#?}");
}

/// Fetches a commit of one of Mage's public repositories, as the branch `main` of a repository in the sandbox. Says whether that worked.
fn fetch(sandbox: &Sandbox, name: &str, commit: &str) -> bool {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.arg("-C").arg(sandbox.file(name)).args(arguments);
        git.env("GIT_TERMINAL_PROMPT", "0").output().is_ok_and(|output| output.status.success())
    };
    sandbox.git(&["init", "--quiet", "--bare", &sandbox.file(name).display().to_string()]);
    let url = format!("https://github.com/mage-ai/{name}");
    git(&["-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=20", "fetch", "--depth=1", &url, commit])
        && git(&["update-ref", "refs/heads/main", commit])
}

#[test]
fn of_mages_public_projects_nothing_is_missed_and_nothing_invented() {
    let test = "of_mages_public_projects_nothing_is_missed_and_nothing_invented";
    let read_by_hand = repository().join("tests/fixtures/public-projects/references.tsv");
    let read_by_hand = std::fs::read_to_string(read_by_hand).expect("the list");
    let mut projects: Vec<(Vec<&str>, BTreeSet<Place>)> = Vec::new();
    for line in read_by_hand.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        match (&columns[..], projects.last_mut()) {
            (["", file, line, kind, name], Some((_, places))) => {
                let line = line.parse().expect("a line");
                places.insert(((*file).to_owned(), line, (*kind).to_owned(), (*name).to_owned()));
            }
            _ => projects.push((columns, BTreeSet::new())),
        }
    }
    assert!(projects.len() > 10, "{projects:?}");
    let sandbox = Sandbox::new();
    for (project, expected) in projects {
        let [name, commit, directory] = project[..] else { panic!("{project:?}") };
        if !sandbox.file(name).exists() && !fetch(&sandbox, name, commit) {
            return skip(test, "github");
        }
        declare(&sandbox, name, directory);
        let (mut all, undecidable) = found(&sandbox);
        all.extend(undecidable);
        let missed: Vec<_> = expected.difference(&all).collect();
        let invented: Vec<_> = all.difference(&expected).collect();
        assert!(missed.is_empty() && invented.is_empty(), "{project:?}: {missed:#?} {invented:#?}");
    }
}

/// A generator of blocks: numbers from a seed, and lines.
struct Blocks {
    state: u64,
    text: String,
    count: usize,
}

impl Blocks {
    fn below(&mut self, bound: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % bound
    }

    fn line(&mut self, depth: usize, line: &str) {
        let _ = writeln!(self.text, "{}{line}", "    ".repeat(depth));
    }

    /// A statement, or a few that belong together. All of it runs. Names that the code says begin with `N`, those that it makes
    /// while it runs with `D`.
    fn statement(&mut self, depth: usize) {
        self.count += 1;
        let id = self.count;
        let (name, made) = (format!("N{}", self.below(40)), format!("D{}", self.below(40)));
        match self.below(26) {
            0 => self.line(depth, &format!("x = os.environ['{name}']")),
            1 => self.line(depth, &format!("x = os.environ.get(\"{name}\")")),
            2 => self.line(depth, &format!("x = os.getenv('{name}', 'none')")),
            3 => self.line(depth, &format!("x = os.getenv(default='none', key='{name}')")),
            4 => self.line(depth, &format!("from os import environ as e{id}; x = e{id}['{name}']")),
            5 => self.line(depth, &format!("import os as o{id}; x = o{id}.getenv('{name}')")),
            6 => self.line(depth, &format!("g{id} = os.environ.get; x = g{id}('{name}')")),
            7 => self.line(depth, &format!("C{id} = '{name}'; x = os.environ[C{id}]")),
            8 => self.line(depth, &format!("C{id} = '{made}'; C{id} = '{made}_2'; x = os.environ[C{id}]")),
            9 => self.line(depth, &format!("p{id} = '{made}'; x = os.environ[f'{{p{id}!s}}_F']")),
            10 => self.line(depth, &format!("x = [os.environ[n] for n in ['{name}']]")),
            11 => self.line(depth, &format!("x = [os.environ['{name}'] for _ in range(2)]")),
            12 => self.line(depth, &format!("x = '{name}' in os.environ")),
            13 => self.line(depth, &format!("x = '{name}' not in os.environ.keys()")),
            14 => self.line(depth, &format!("x = os.environ.pop('{name}', None)")),
            15 => self.line(depth, &format!("x = os.environ.setdefault('{name}', 'y')")),
            16 => self.line(depth, &format!("os.environ['S{id}'] = os.environ['{name}']")),
            17 => self.line(depth, &format!("x = (lambda: os.environ['{name}'])()")),
            18 => {
                self.line(depth, &format!("def f{id}(environ, os):"));
                self.line(depth + 1, &format!("return environ['X{id}'], os['Y{id}']"));
                self.line(depth, &format!("f{id}({{'X{id}': 1}}, {{'Y{id}': 2}})"));
            }
            19 => {
                self.line(depth, &format!("class K{id}:"));
                self.line(depth + 1, &format!("A = '{name}'"));
                self.line(depth + 1, "x = os.environ[A]");
            }
            20 => {
                self.line(depth, &format!("# os.environ['COMMENT_{id}']"));
                self.line(depth, &format!("x = \"os.getenv('TEXT_{id}')\""));
            }
            21 => {
                self.line(depth, "x = os.environ[");
                self.line(depth + 1, &format!("'{name}'  # which"));
                self.line(depth, "]");
            }
            22 => self.line(depth, &format!("x = {{'k': os.environ['{name}'], **{{}}}}['k']")),
            23 => {
                let line = format!(
                    "y{id} = ''; x = f\"{{os.environ['{name}']}}/{{os.getenv('{made}' + y{id}[:0])}}\""
                );
                self.line(depth, &line);
            }
            24 if depth < 3 => {
                self.line(depth, &format!("def f{id}(*args, **kwargs):"));
                self.line(depth + 1, &format!("\"\"\"os.environ['DOC_{id}']\"\"\""));
                for _ in 0..=self.below(3) {
                    self.statement(depth + 1);
                }
                self.line(depth, &format!("f{id}()"));
            }
            25 if depth < 3 => {
                self.line(depth, "try:");
                self.statement(depth + 1);
                self.line(depth, "except KeyError:");
                self.line(depth + 1, "raise");
            }
            _ => self
                .line(depth, &format!("if os.environ.get('{name}') or True: x = os.environ['{name}' '_2']")),
        }
    }
}

#[test]
fn what_python_reads_is_what_is_found() {
    let sandbox = Sandbox::new();
    let files = cases(200, 2_000) as u64;
    let mut blocks: BTreeMap<String, String> = BTreeMap::new();
    let mut metadata = "blocks:\n".to_owned();
    for number in 0..files {
        let text = "import os\n".to_owned();
        let mut made = Blocks { state: 0x9e37_79b9_7f4a_7c15 ^ (number + 1), text, count: 0 };
        for _ in 0..12 {
            made.statement(0);
        }
        let file = format!("b{number}.py");
        sandbox.write(&format!("project/data_loaders/{file}"), &made.text);
        let _ = writeln!(metadata, "- {{uuid: b{number}, type: data_loader, language: python}}");
        blocks.insert(file, made.text);
    }
    sandbox.write("project/pipelines/all/metadata.yaml", metadata);
    let ran = python("what_python_reads_is_what_is_found", &sandbox, "names.py", "project/data_loaders");
    let Some(ran) = ran else { return };
    let ran: BTreeMap<String, BTreeSet<String>> = serde_json::from_str(&ran).expect("names");
    commit(&sandbox, "project");
    let (all, undecidable) = found(&sandbox);
    for (file, text) in &blocks {
        let path = format!("data_loaders/{file}");
        let of_file = all.iter().filter(|(at, _, kind, _)| *at == path && kind == "variable");
        let found: BTreeSet<&str> = of_file.map(|(.., name)| name.as_str()).collect();
        let (made, said): (BTreeSet<&str>, BTreeSet<&str>) =
            ran[file].iter().map(String::as_str).partition(|name| name.starts_with('D'));
        assert_eq!(found, said, "{file}:\n{text}");
        let is_undecidable = undecidable.iter().any(|(at, ..)| *at == path);
        assert_eq!(is_undecidable, !made.is_empty(), "{file}: {made:?}\n{text}");
    }
}
