//! The pipelines' repository: what is declared of its branches and commits, against real repositories of every kind.

use std::{
    fs::{self, File},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use magus_tests::{Run, Sandbox, mage::free_port, skip};

/// A directory of two stages over a repository at `pipelines.git` with the branches `development` and `main`.
fn sandbox(url: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    declare(&sandbox, url);
    sandbox.write("environments/development/environment.yaml", "branch: development\n");
    sandbox.write("environments/development/ana.yaml", "{}\n");
    sandbox.write("environments/production/environment.yaml", "promotes_from: development\nbranch: main\n");
    sandbox.git(&["init", "--quiet", "--bare", "pipelines.git"]);
    commit(&sandbox, "main", &[]);
    commit(&sandbox, "development", &["main"]);
    sandbox
}

fn declare(sandbox: &Sandbox, url: &str) {
    sandbox.write(
        "environments/cluster.yaml",
        format!("name: acme\nengine: {{local: {{path: ../.magus/acme}}}}\nrepository: {{url: \"{url}\"}}\n"),
    );
}

/// Makes a commit with these parents, and a branch at it; what it was before is gone.
fn commit(sandbox: &Sandbox, branch: &str, parents: &[&str]) -> String {
    let tree = project(sandbox);
    let message = format!("{branch} {parents:?}");
    let mut words = vec!["--git-dir", "pipelines.git", "commit-tree", tree.trim(), "-m", &message];
    parents.iter().for_each(|parent| words.extend(["-p", parent]));
    let made = sandbox.git(&words).trim().to_owned();
    sandbox.git(&["--git-dir", "pipelines.git", "branch", "--force", branch, &made]);
    made
}

/// The tree of a project with a pipeline that has no blocks.
fn project(sandbox: &Sandbox) -> String {
    let tree = |entry: &str| {
        sandbox.write("entry", entry);
        sandbox.git_with("entry", &["--git-dir", "pipelines.git", "mktree"]).trim().to_owned()
    };
    sandbox.write("entry", "uuid: orders\nblocks: []\n");
    let metadata = sandbox.git_with("entry", &["--git-dir", "pipelines.git", "hash-object", "-w", "--stdin"]);
    let orders = tree(&format!("100644 blob {}\tmetadata.yaml\n", metadata.trim()));
    let pipelines = tree(&format!("040000 tree {orders}\torders\n"));
    tree(&format!("040000 tree {pipelines}\tpipelines\n"))
}

/// What `lint` says, a line for each finding.
#[track_caller]
fn lint(sandbox: &Sandbox, code: i32, more: &[&str]) -> String {
    let mut words = vec!["lint", "--format", "concise"];
    words.extend(more);
    sandbox.expect(code, &words).stdout
}

#[test]
fn every_kind_of_repository_is_read() {
    let sandbox = sandbox("../pipelines.git");
    sandbox.git(&["clone", "--quiet", "--mirror", "pipelines.git", "a b/bare.git"]);
    sandbox.git(&["clone", "--quiet", "--branch", "development", "pipelines.git", "a b/tree"]);
    sandbox.git(&["-C", "a b/tree", "branch", "main", "origin/main"]);
    sandbox.git(&["--git-dir", "pipelines.git", "bundle", "create", "--quiet", "code.bundle", "--all"]);
    let absolute = sandbox.file("pipelines.git").display().to_string();
    let kinds = [
        "../pipelines.git".to_owned(),
        absolute.clone(),
        format!("file://{absolute}"),
        "../a b/bare.git".to_owned(),
        "../a b/tree".to_owned(),
        "../code.bundle".to_owned(),
    ];
    for url in &kinds {
        declare(&sandbox, url);
        sandbox.write("environments/development/environment.yaml", "branch: development\n");
        assert_eq!(lint(&sandbox, 0, &[]), "", "{url}");
        sandbox.write("environments/development/environment.yaml", "branch: developmnet\n");
        // A clone may lack a branch that exists.
        let (code, severity) = if url.ends_with("tree") { (0, "warning") } else { (1, "error") };
        let said = lint(&sandbox, code, &[]);
        let finding = format!("development/environment.yaml:1:9: {severity}[MG401]");
        assert!(said.contains(&finding), "{url}: {said}");
        let text = sandbox.expect(code, &["lint"]).all();
        assert!(text.contains("did you mean `development`?"), "{url}: {text}");
    }
    // A bundle is read as it is now.
    sandbox.git(&["--git-dir", "pipelines.git", "branch", "developmnet", "main"]);
    sandbox.git(&["--git-dir", "pipelines.git", "bundle", "create", "--quiet", "code.bundle", "--all"]);
    assert!(!lint(&sandbox, 0, &[]).contains("MG401"));
    // From another folder, the path is still the file's.
    let below = sandbox.file("environments/development");
    let run = sandbox.command(&["-C", "..", "lint"]).current_dir(below).output().expect("magus starts");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn commits_are_checked_and_nothing_is_planned_with_what_is_not_there() {
    let sandbox = sandbox("../pipelines.git");
    let production = |text: &str| {
        let environment = format!("promotes_from: development\n{text}");
        sandbox.write("environments/production/environment.yaml", environment);
    };
    let ahead = sandbox.git(&["--git-dir", "pipelines.git", "rev-parse", "development"]);
    let main = sandbox.git(&["--git-dir", "pipelines.git", "rev-parse", "main"]);
    production(&format!("branch: main\ndeploy: pinned\ncommit: \"{}\"\n", &main[..8]));
    assert_eq!(lint(&sandbox, 0, &[]), "");
    production(&format!("branch: main\ndeploy: pinned\ncommit: \"{}\"\n", ahead.trim()));
    let said = lint(&sandbox, 1, &[]);
    assert!(said.contains("MG403") && said.contains("is not on the branch `main`"), "{said}");
    for command in [&["plan"][..], &["apply", "--yes"], &["status"]] {
        let run = sandbox.expect(1, command);
        assert!(run.stderr.contains("MG403") && run.stderr.contains("nothing was sent"), "{}", run.stderr);
    }
    production("branch: main\ndeploy: pinned\ncommit: deadbeef\n");
    assert!(lint(&sandbox, 1, &[]).contains("no commit and no tag `deadbeef`"));
    // It is a finding like any other.
    production("branch: main\ndeploy: pinned\ncommit: deadbeef # magus: ignore[MG402] until it is pushed\n");
    assert_eq!(lint(&sandbox, 0, &[]), "");
    production("branch: main\n");

    // A hotfix that went to production alone.
    commit(&sandbox, "main", &["main"]);
    let said = lint(&sandbox, 0, &[]);
    assert!(
        said.contains("warning[MG405]") && said.contains("`main` has a commit that `development` lacks"),
        "{said}"
    );
    commit(&sandbox, "development", &["development", "main"]);
    assert_eq!(lint(&sandbox, 0, &[]), "");

    // A workspace of the first stage may have a branch of its own, and a commit of that one or of the environment's.
    let ana = |text: &str| sandbox.write("environments/development/ana.yaml", text);
    ana("branch: feature/x\n");
    assert!(lint(&sandbox, 1, &[]).contains("development/ana.yaml:1:9: error[MG401]"));
    let feature = commit(&sandbox, "feature/x", &["development"]);
    assert_eq!(lint(&sandbox, 0, &[]), "");
    ana(&format!("branch: feature/x\ndeploy: pinned\ncommit: \"{feature}\"\n"));
    assert_eq!(lint(&sandbox, 0, &[]), "");
    ana(&format!("deploy: pinned\ncommit: \"{feature}\"\n"));
    assert!(lint(&sandbox, 1, &[]).contains("is not on the branch `development`"));
}

/// `git daemon` over the folder of a sandbox, on a free port; it ends with this.
pub(crate) struct Daemon {
    process: Child,
    port: u16,
    log: PathBuf,
}

impl Daemon {
    /// Nothing where this git has none.
    pub(crate) fn start(sandbox: &Sandbox) -> Option<Self> {
        let folder = Command::new("git").arg("--exec-path").output().expect("git starts").stdout;
        let program =
            std::path::Path::new(String::from_utf8(folder).expect("a path").trim()).join("git-daemon");
        if !program.exists() {
            return None;
        }
        let port = free_port();
        let mut daemon = Command::new(program);
        daemon.args([
            "--listen=127.0.0.1",
            "--reuseaddr",
            "--verbose",
            "--export-all",
            &format!("--port={port}"),
        ]);
        daemon.arg(format!("--base-path={}", sandbox.path().display()));
        let log = sandbox.file("daemon.log");
        let file = File::create(&log).expect("a log");
        let process = daemon.stdout(Stdio::null()).stderr(file).spawn().expect("it starts");
        let mut daemon = Self { process, port, log };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(daemon.process.try_wait().expect("a state").is_none(), "it ended");
            assert!(Instant::now() < deadline, "nobody listens");
            std::thread::yield_now();
        }
        Some(daemon)
    }

    /// The URL of a repository in the folder.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("git://127.0.0.1:{}/{path}", self.port)
    }

    /// How many fetches it has answered.
    pub(crate) fn fetches(&self) -> usize {
        let log = fs::read_to_string(&self.log).expect("a log");
        log.lines().filter(|line| line.contains("Request upload-pack")).count()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop((self.process.kill(), self.process.wait()));
    }
}

#[test]
fn a_repository_on_the_network_is_read_as_it_was_fetched() {
    let sandbox = sandbox("x");
    let Some(daemon) = Daemon::start(&sandbox) else {
        return skip("a_repository_on_the_network_is_read_as_it_was_fetched", "git-daemon");
    };
    declare(&sandbox, &daemon.url("pipelines.git"));
    let cache = || magus_tests::files_below(&sandbox.file("home")).len();
    let said = lint(&sandbox, 0, &[]);
    assert!(said.contains("hint[MG406]") && said.contains("was not fetched"), "{said}");
    assert!(sandbox.expect(0, &["lint"]).all().contains("`magus lint --fetch` fetches it"));
    assert_eq!(cache(), 0, "nobody asked, and nothing was kept");
    // A plan that may not ask the network knows of nothing to deploy.
    sandbox.expect(5, &["plan", "--offline"]);
    assert_eq!(cache(), 0);

    std::thread::scope(|scope| {
        let both: Vec<_> = (0..4).map(|_| scope.spawn(|| lint(&sandbox, 0, &["--fetch"]))).collect();
        for one in both {
            assert_eq!(one.join().expect("a lint"), "", "several at once");
        }
    });
    assert_eq!(lint(&sandbox, 0, &[]), "");
    // Deleted and rewritten branches are those of the mirror after the next fetch, and not before.
    sandbox.git(&["--git-dir", "pipelines.git", "branch", "-D", "development"]);
    commit(&sandbox, "main", &[]);
    assert_eq!(lint(&sandbox, 0, &[]), "");
    let said = lint(&sandbox, 1, &["--fetch"]);
    assert!(said.contains("no branch `development`"), "{said}");
    commit(&sandbox, "development", &["main"]);
    assert_eq!(lint(&sandbox, 0, &["--fetch"]), "");

    // A repository whose first fetch failed was not read, and is not one without branches.
    declare(&sandbox, &daemon.url("missing.git"));
    for (more, says) in [(&["--fetch"][..], "cannot be fetched"), (&[], "was not fetched")] {
        let said = lint(&sandbox, 0, more);
        assert!(said.contains("MG406") && said.contains(says), "{said}");
    }
    declare(&sandbox, &daemon.url("pipelines.git"));

    // Gone: what was fetched before is good enough, and a fetch says why it is none.
    drop(daemon);
    assert_eq!(lint(&sandbox, 0, &[]), "");
    let run = sandbox.expect(0, &["lint", "--fetch"]);
    assert!(
        run.all().contains("cannot be fetched") && run.all().contains("check the network"),
        "{}",
        run.all()
    );
}

#[test]
fn what_is_hostile_or_secret_runs_nothing_and_is_shown_nowhere() {
    let mut sandbox = sandbox("x");
    let runs = |run: Run| -> String {
        assert!(!sandbox.file("touched").exists(), "{}", run.all());
        run.all()
    };
    for url in [
        "--upload-pack=touch touched",
        "-utouch touched",
        "ext::sh -c touch% touched",
        "fd::17",
        "evil://a/b",
        "a\\nb",
    ] {
        declare(&sandbox, url);
        let said = runs(sandbox.expect(1, &["lint", "--fetch"]));
        assert!(said.contains("MG406"), "{url}: {said}");
    }
    // A port that nobody listens on. Who writes a password into a file is told so (MG301).
    declare(&sandbox, "http://ana:canary-4410@127.0.0.1:1/x");
    let said = runs(sandbox.expect(1, &["-vv", "lint", "--fetch"]));
    assert!(said.contains("MG406") && said.contains("MG301") && said.contains("127.0.0.1:1/x"), "{said}");
    let json = sandbox.expect(1, &["lint", "--format", "json"]).stdout;
    assert!(!said.contains("canary-4410") && !json.contains("canary-4410"), "{said}{json}");
    declare(&sandbox, "ssh://-oProxyCommand=touch touched/x");
    runs(sandbox.expect(0, &["lint", "--fetch"]));
    // Something that is no repository, and a cache that cannot be written.
    sandbox.write("folder/file", "x");
    declare(&sandbox, "../folder");
    assert!(runs(sandbox.expect(0, &["lint"])).contains("is no git repository"));
    declare(&sandbox, "../folder/file");
    assert!(runs(sandbox.expect(0, &["lint"])).contains("cannot be fetched"));
    sandbox.git(&["--git-dir", "pipelines.git", "bundle", "create", "--quiet", "code.bundle", "--all"]);
    declare(&sandbox, "../code.bundle");
    let nowhere = sandbox.file("folder/file").display().to_string();
    sandbox.set("XDG_CACHE_HOME", &nowhere);
    let said = sandbox.expect(0, &["lint"]).all();
    assert!(said.contains("the mirror of") && said.contains("XDG_CACHE_HOME"), "{said}");

    // Names of branches are whatever somebody pushes.
    declare(&sandbox, "../pipelines.git");
    let evil = "development\u{202e}`;$(touch${IFS}touched)";
    let head = sandbox.git(&["--git-dir", "pipelines.git", "rev-parse", "main"]);
    sandbox.git(&["--git-dir", "pipelines.git", "update-ref", &format!("refs/heads/{evil}"), head.trim()]);
    sandbox.write("environments/development/environment.yaml", "branch: dvlopment-x\n");
    let said = sandbox.expect(1, &["lint"]).all();
    assert!(said.contains("MG401") && !said.contains('\u{202e}'), "{said}");
    assert!(!sandbox.file("touched").exists());
}

/// Commits these files to a branch of a new repository at `pipelines.git`.
fn with_files(branches: &[(&str, &[(&str, &str)])]) -> Sandbox {
    let sandbox = Sandbox::new();
    declare(&sandbox, "../pipelines.git");
    sandbox.git(&["init", "--quiet", "pipelines.git"]);
    for (branch, files) in branches {
        sandbox.git(&["-C", "pipelines.git", "checkout", "--quiet", "--orphan", branch]);
        sandbox.git(&["-C", "pipelines.git", "rm", "-rq", "--force", "--ignore-unmatch", "."]);
        files.iter().for_each(|(path, text)| sandbox.write(&format!("pipelines.git/{path}"), text));
        sandbox.git(&["-C", "pipelines.git", "add", "--all", "--force"]);
        sandbox.git(&["-C", "pipelines.git", "commit", "--quiet", "--allow-empty", "-m", branch]);
        let file = format!("environments/{branch}/environment.yaml");
        sandbox.write(&file, format!("branch: {branch}\ndeploy: head\n"));
        sandbox.write(&format!("environments/{branch}/ana.yaml"), "{}\n");
    }
    sandbox
}

#[test]
fn a_project_that_is_in_another_folder_is_an_error_with_the_edit_that_finds_it() {
    let orders = ("etl/acme/pipelines/orders/metadata.yaml", "uuid: orders\nblocks: []\n");
    let returns = ("other/pipelines/returns/metadata.yaml", "uuid: returns\nblocks: []\n");
    // One finding for all branches with the same remedy.
    let sandbox = with_files(&[("staging", &[orders]), ("development", &[orders])]);
    let lint = || sandbox.magus(&["lint", "--format", "json"]);
    let found: serde_json::Value = serde_json::from_str(&lint().stdout).expect("JSON");
    let all: Vec<_> = found["diagnostics"].as_array().expect("findings").iter().collect();
    let about: Vec<_> = all.iter().filter(|found| found["code"] == "MG408").collect();
    assert_eq!(about.len(), 1, "{all:?}");
    assert_eq!(about[0]["severity"], "error");
    assert_eq!(
        about[0]["message"],
        "no Mage project was checked: the branch `development`, the branch `staging` have no pipeline in `pipelines/`"
    );
    let help =
        "the project is in `etl/acme`: write `directory: etl/acme` beside the `url` of the `repository`";
    assert_eq!(about[0]["help"], help);
    let run = sandbox.expect(1, &["plan"]);
    assert!(run.all().contains("MG408"), "{}", run.all());
    // The edit works, and a wrong one says what to write instead.
    for (directory, code, expect) in [
        ("etl/acme", 0, ""),
        ("etl", 1, "the project is in `etl/acme`: write `directory: etl/acme`"),
        ("elt", 1, "have no folder `elt`"),
    ] {
        let cluster = sandbox.read("environments/cluster.yaml");
        let line = format!("{{url: \"../pipelines.git\", directory: {directory}}}");
        sandbox.write("environments/cluster.yaml", cluster.replace("{url: \"../pipelines.git\"}", &line));
        let run = sandbox.expect(code, &["lint"]);
        assert_eq!(run.all().contains("MG408"), code == 1, "{}", run.all());
        assert!(run.all().contains(expect), "{}", run.all());
        sandbox.write("environments/cluster.yaml", cluster);
    }
    // A commit that is pinned counts, and not the head of its branch.
    let first = sandbox.git(&["-C", "pipelines.git", "rev-parse", "development"]);
    sandbox.git(&["-C", "pipelines.git", "mv", "etl/acme/pipelines", "pipelines"]);
    sandbox.git(&["-C", "pipelines.git", "commit", "--quiet", "-m", "moved"]);
    std::fs::remove_dir_all(sandbox.file("environments/staging")).expect("removed");
    sandbox.expect(0, &["lint"]);
    let pinned = format!("branch: development\ndeploy: pinned\ncommit: \"{}\"\n", first.trim());
    sandbox.write("environments/development/environment.yaml", pinned);
    let run = sandbox.expect(1, &["lint"]);
    assert!(
        run.all().contains(&format!("the commit `{}` has no pipeline in", first.trim())),
        "{}",
        run.all()
    );
    // Several, and none at all.
    let sandbox = with_files(&[("development", &[orders, returns])]);
    let run = sandbox.expect(1, &["lint"]);
    assert!(
        run.all().contains("`etl/acme`, `other` have pipelines: write `directory: etl/acme`"),
        "{}",
        run.all()
    );
    let sandbox = with_files(&[("development", &[("README.md", "x\n")])]);
    let run = sandbox.expect(0, &["lint"]);
    assert!(run.all().contains("no folder of it has `pipelines/`"), "{}", run.all());
    assert!(!run.all().contains("No findings"), "{}", run.all());
}

#[test]
fn files_of_lfs_are_named_only_if_git_has_a_pointer_in_their_place() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    let orders = ("pipelines/orders/metadata.yaml", "uuid: orders\nblocks: []\n");
    let rule = (".gitattributes", "*.parquet filter=lfs diff=lfs merge=lfs -text\n");
    let sandbox = with_files(&[("development", &[orders, rule])]);
    let run = sandbox.expect(0, &["lint"]);
    assert!(!run.all().contains("MG409"), "{}", run.all());
    let sandbox = with_files(&[("development", &[orders, rule, ("data/old.parquet", pointer)])]);
    let run = sandbox.expect(0, &["lint"]);
    let says = "the branch `development` has files that Git LFS holds: `data/old.parquet`";
    assert!(run.all().contains(says), "{}", run.all());
}

#[test]
fn what_a_main_server_may_hand_on_is_not_there_without_a_word() {
    let names = ["DB_USER", "DB_PASS", "REDIS_URL", "SENTRY_DSN", "GOOGLE_CLIENT_ID", "LOGIN"];
    let reads: String = names.iter().map(|name| format!("os.environ['{name}']\n")).collect();
    let code = format!("import os\nos.environ['HOME']\nos.environ['PATH']\n{reads}");
    let sandbox = with_files(&[(
        "development",
        &[
            ("pipelines/orders/metadata.yaml", "uuid: orders\nblocks:\n- {uuid: load, type: data_loader}\n"),
            ("data_loaders/load.py", &code),
        ],
    )]);
    let found = lint(&sandbox, 1, &[]);
    for name in names {
        assert!(
            found.lines().any(|line| line.contains("MG501") && line.contains(&format!("`{name}`"))),
            "{found}"
        );
    }
    assert_eq!(found.lines().filter(|line| line.contains("MG501")).count(), names.len(), "{found}");
}
