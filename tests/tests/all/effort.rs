//! Hostile texts cost no more than their length: each is doubled, and the steps that Magus counts in its scans may not grow to more than 2.5
//! times as many. Debug builds write the count to the file that `MAGUS_EFFORT` names.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Write as _},
    process::Stdio,
};

use magus_tests::Sandbox;

const CLUSTER: &str = "name: acme\nengine: {local: {path: ../store}}\n";
const WORKSPACE: &str = "environments/development/w.yaml";

/// A hostile directory: its name, how large the smaller one is, how many steps it takes at least, and the files of a size.
struct Hostile {
    name: &'static str,
    size: usize,
    least: u64,
    files: Box<dyn Fn(usize) -> Vec<(String, String)>>,
}

/// One workspace with one variable of this text.
fn variable(name: &'static str, piece: &'static str, end: &'static str) -> Hostile {
    let files = move |size: usize| {
        let text = format!("{}{end}", piece.repeat(size / piece.len()));
        let text = serde_json::Value::from(text).to_string();
        vec![(WORKSPACE.to_owned(), format!("env: {{A: {text}, B: x}}\n"))]
    };
    Hostile { name, size: 60_000, least: 60_000, files: Box::new(files) }
}

/// One workspace with so many lines below a head.
fn lines(name: &'static str, head: &'static str, line: &'static str) -> Hostile {
    let files = move |size: usize| {
        let mut text = head.to_owned();
        for number in 0..size {
            text.push_str(&line.replace("NEXT", &(number + 1).to_string()).replace('N', &number.to_string()));
        }
        vec![(WORKSPACE.to_owned(), text)]
    };
    Hostile { name, size: 1_500, least: 100, files: Box::new(files) }
}

fn texts() -> Vec<Hostile> {
    vec![
        variable("logins without an end", "://a:", ""),
        variable("logins with an end", "://a:b/", "@host"),
        variable("logins that are placeholders", "://a:<b>/", "example@host"),
        variable("open placeholders", "${", ""),
        variable("open placeholders and one end", "${a", "}"),
        variable("unknown placeholders", "${ab}", ""),
        variable("escaped placeholders", "$${", "}"),
        variable("beginnings of keys", "-----BEGIN ", ""),
        variable("beginnings of API keys", "sk-", ""),
        variable("beginnings of web tokens", "eyJ.", ""),
        variable("beginnings of storage keys", "AccountKey=", ""),
        variable("beginnings of Slack tokens", "xoxb-", ""),
        variable("beginnings of mail keys", "SG.", ""),
        variable("assignments", "PASSWORD=", ""),
        variable("open references", "$(", ""),
        variable("open references and one end", "$(B", ")"),
        variable("references", "$(B)", ""),
        variable("references to nothing", "$(C)", ""),
        variable("dollar signs", "$", ""),
        variable("quotes", "'", ""),
        variable("double quotes", "\"", ""),
        variable("backslashes", "\\", ""),
        variable("templates", "{{ env_var('A') }}", ""),
        variable("characters of several bytes", "漢", ""),
        variable("separators", "-_.:,", ""),
    ]
}

fn directories() -> Vec<Hostile> {
    let one_line = |size: usize| {
        let all: String = (0..size).map(|number| format!("ü{number}: \"${{x}}\", ")).collect();
        vec![(WORKSPACE.to_owned(), format!("env: {{{all}}}\n"))]
    };
    let long_key = |size: usize| {
        let key = "a".repeat(size);
        vec![(
            WORKSPACE.to_owned(),
            format!("{key}: 1\nuse: [\"{key}\"]\nenv: {{A{key}: b, \"{key} \": c}}\n"),
        )]
    };
    let templates = |size: usize| {
        let all: String = (0..size).map(|number| format!("  t{number}: {{}}\n")).collect();
        let used: Vec<String> = (0..40).map(|number| format!("unknown{number}")).collect();
        vec![
            ("environments/cluster.yaml".to_owned(), format!("{CLUSTER}templates:\n{all}")),
            (WORKSPACE.to_owned(), format!("use: [{}]\n", used.join(", "))),
        ]
    };
    let both_forms = |size: usize| {
        let mut text = "env:\n".to_owned();
        (0..size).for_each(|number| writeln!(text, "  A{number}: x").expect("a string"));
        text.push_str("container_config:\n  env:\n");
        (0..size).for_each(|number| writeln!(text, "  - {{name: A{number}, value: x}}").expect("a string"));
        vec![(WORKSPACE.to_owned(), text)]
    };
    let resources = |size: usize| {
        let all: String = (0..size).map(|number| format!("x.com/r{number}: {number}, ")).collect();
        let text =
            format!("container_config:\n  resources:\n    requests: {{{all}}}\n    limits: {{{all}}}\n");
        vec![(WORKSPACE.to_owned(), text)]
    };
    let of = |name, size, files: fn(usize) -> Vec<(String, String)>| Hostile {
        name,
        size,
        // Few scanners look at a long key.
        least: if name == "a long key" { 1 } else { 1_000 },
        files: Box::new(files),
    };
    vec![
        of("many faults in one line", 1_500, one_line),
        of("a long key", 30_000, long_key),
        of("many templates", 1_500, templates),
        of("both forms of env", 1_500, both_forms),
        of("many resources", 1_500, resources),
        lines("a chain of references", "env:\n", "  VN: $(VNEXT)\n"),
        lines("many references to nothing", "env:\n", "  VN: $(WN)\n"),
        lines("ignores that silence nothing", "env:\n", "  VN: x # magus: ignore[MG701] why\n"),
        lines("ignores that silence", "env:\n", "  VN: ${x} # magus: ignore[MG109] why\n"),
        lines("codes that do not exist", "env:\n", "  VN: x # magus: ignore[MG99N] why\n"),
        lines("secrets", "env:\n", "  PASSWORD_N: q9X2mZ7rT4bV1nK8\n"),
        lines("anchors", "env:\n", "  AN: &aN x\n  BN: *aN\n"),
        lines("unknown keys", "", "keyN: 1\n"),
        lines("keys that are there twice", "env:\n", "  AN: x\n  AN: y\n"),
        lines("comments", "env: {}\n", "# magus: ignore\n"),
        lines("other documents", "env: {}\n", "---\na: [\n"),
        lines("removed variables", "env:\n", "  AN: null\n"),
    ]
}

/// A project with a file of this text, which templates and triggers are in.
fn project(name: &'static str, size: usize, file: &'static str, text: fn(usize) -> String) -> Hostile {
    let files = move |size: usize| vec![(format!("project/{file}"), text(size))];
    Hostile { name, size, least: 1_000, files: Box::new(files) }
}

fn projects() -> Vec<Hostile> {
    const IO: &str = "io_config.yaml";
    const TRIGGERS: &str = "pipelines/p/triggers.yaml";
    const TRIGGER: &str = "schedule_type: time, status: active, start_time: 2026-01-01, schedule_interval";
    vec![
        project("templates", 3_000, IO, |size| profile_of("{{ env_var('A') }}", size)),
        project("open templates", 3_000, IO, |size| profile_of("{{ ", size)),
        project("open tags", 3_000, IO, |size| profile_of("{% ", size)),
        project("open comments", 3_000, IO, |size| profile_of("{# ", size)),
        project("open quotes in templates", 3_000, IO, |size| profile_of("{{ ' ", size)),
        project("names in templates", 3_000, IO, |size| profile_of("{{ a.b.c | d }}", size)),
        project("parts of a day of the week", 3_000, TRIGGERS, |size| {
            format!("triggers:\n- {{name: t, {TRIGGER}: '0 0 30 2 {}1#5'}}\n", "1#5,l2,".repeat(size))
        }),
        project("parts of a minute", 3_000, TRIGGERS, |size| {
            format!("triggers:\n- {{name: t, {TRIGGER}: '{}1 0 30 2 *'}}\n", "*/1,".repeat(size))
        }),
        project("triggers that never run", 50, TRIGGERS, |size| {
            let one = |number: usize| format!("- {{name: t{number}, {TRIGGER}: '0 0 30 2 *'}}\n");
            format!("triggers:\n{}", (0..size).map(one).collect::<String>())
        }),
    ]
}

/// An io_config.yaml with a setting of so many pieces.
fn profile_of(piece: &str, size: usize) -> String {
    format!("default:\n  POSTGRES_HOST: \"{}\"\n", piece.repeat(size))
}

/// Commits the project, if there is one.
fn commit(sandbox: &Sandbox) {
    if !sandbox.file("project").exists() {
        return;
    }
    let git = |arguments: &[&str]| sandbox.git(&[&["-C", "project"], arguments].concat());
    if !sandbox.file("project/.git").exists() {
        sandbox.write("project/pipelines/p/metadata.yaml", "{uuid: p, blocks: []}\n");
        git(&["init", "--quiet", "--initial-branch", "main"]);
        let cluster = format!("{CLUSTER}repository: {{url: ../project}}\n");
        sandbox.write("environments/cluster.yaml", cluster);
        sandbox.write("environments/development/environment.yaml", "branch: main\n");
        sandbox.write(WORKSPACE, "{}\n");
    }
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "next"]);
}

/// The steps of `lint` over a directory.
fn steps(sandbox: &mut Sandbox, hostile: &Hostile, size: usize) -> u64 {
    if !sandbox.file("project").exists() {
        sandbox.write("environments/cluster.yaml", CLUSTER);
        sandbox.write("environments/development/environment.yaml", "{}\n");
    }
    for (path, text) in (hostile.files)(size) {
        assert!(text.len() <= 1 << 20, "{}: a larger file is not read", hostile.name);
        sandbox.write(&path, text);
    }
    commit(sandbox);
    let file = sandbox.file("effort");
    sandbox.set("MAGUS_EFFORT", file.to_str().expect("a path"));
    sandbox.magus(&["lint", "--format", "json"]);
    let counted = std::fs::read_to_string(&file).expect("a debug build counts");
    std::fs::remove_file(&file).expect("it is there");
    counted.parse().expect("a number")
}

fn check(all: Vec<Hostile>) {
    let mut grown = Vec::new();
    for hostile in all {
        let mut sandbox = Sandbox::new();
        let small = steps(&mut sandbox, &hostile, hostile.size);
        let large = steps(&mut sandbox, &hostile, 2 * hostile.size);
        assert!(small >= hostile.least, "{}: only {small} steps are counted", hostile.name);
        if large * 2 > small * 5 {
            grown.push(format!("{}: {small} steps, doubled {large}", hostile.name));
        }
    }
    assert!(grown.is_empty(), "{grown:#?}");
}

#[test]
fn hostile_texts_cost_no_more_than_their_length() {
    check(texts());
}

#[test]
fn hostile_projects_cost_no_more_than_their_size() {
    check(projects());
}

#[test]
fn hostile_directories_cost_no_more_than_their_size() {
    check(directories());
}

/// Makes a tree below so many others, with git's own plumbing; the number of the outermost.
fn nested(sandbox: &Sandbox, inner: &str, depth: usize) -> String {
    let mut child = std::process::Command::new("git")
        .args(["--git-dir", sandbox.file("pipelines.git").to_str().expect("a path"), "mktree", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git runs");
    let mut to = child.stdin.take().expect("piped");
    let mut from = BufReader::new(child.stdout.take().expect("piped"));
    let mut id = inner.to_owned();
    for _ in 0..depth {
        write!(to, "040000 tree {id}\ta\n\n").expect("git reads");
        to.flush().expect("git reads");
        id.clear();
        from.read_line(&mut id).expect("git answers");
        id.truncate(id.trim_end().len());
    }
    drop(to);
    assert!(child.wait().expect("git ends").success());
    id
}

#[test]
fn a_repository_with_a_hundred_thousand_levels_is_read_to_a_bound() {
    let sandbox = Sandbox::with(&[
        (
            "environments/cluster.yaml",
            "name: acme\nengine: {local: {path: ../store}}\nrepository: {url: ../pipelines.git}\n",
        ),
        ("environments/production/environment.yaml", "branch: main\n"),
        ("environments/production/ana.yaml", "env: {A: b}\n"),
    ]);
    sandbox.git(&["init", "--quiet", "--bare", "pipelines.git"]);
    let git = |arguments: &[&str]| {
        let mut all = vec!["--git-dir", "pipelines.git"];
        all.extend(arguments);
        sandbox.git(&all).trim().to_owned()
    };
    let with = |input: &str, arguments: &[&str]| {
        sandbox.write("input", input);
        let mut all = vec!["--git-dir", "pipelines.git"];
        all.extend(arguments);
        sandbox.git_with("input", &all)
    };
    let blob = with("x = 1\n", &["hash-object", "-w", "--stdin"]);
    let file = format!("100644 blob {blob}\tx.py\n");
    let inner = with(&file, &["mktree"]);
    let deep = nested(&sandbox, &inner, 100_000);
    let whole = with(&format!("{file}040000 tree {deep}\tdeep\n"), &["mktree"]);
    let first = git(&["commit-tree", &inner, "-m", "first"]);
    let second = git(&["commit-tree", &whole, "-p", &first, "-m", "second"]);
    git(&["branch", "main", &first]);
    sandbox.expect(0, &["apply", "--yes"]);
    git(&["branch", "--force", "main", &second]);
    let lint = sandbox.expect(0, &["lint", "--format", "concise"]);
    let found = lint.stdout.lines().find(|line| line.contains("MG507")).expect("a finding");
    assert!(found.contains("folders are nested more than 256 levels deep"), "{found}");
    // A plan ends, and an apply says what it could not write, if it could not.
    let plan = sandbox.magus(&["plan"]);
    assert!(plan.code == Some(0) || plan.code == Some(5), "{}", plan.all());
    let apply = sandbox.magus(&["apply", "--yes"]);
    assert!([Some(0), Some(3), Some(5)].contains(&apply.code), "{}", apply.all());
}
