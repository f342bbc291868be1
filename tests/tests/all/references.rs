//! What the code needs, held against what is declared: what every command says of it.

use magus_tests::Sandbox;
use serde_json::Value;

/// The example of `init --demo`, whose feature branch reads what production does not define.
fn demo() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.expect(0, &["init", "--demo"]);
    sandbox
}

const REPOSITORY: &str = ".magus/pipelines.git";

/// Moves a branch of the pipelines to where another one is.
fn move_branch(sandbox: &Sandbox, branch: &str, to: &str) {
    let git = sandbox.file(REPOSITORY).display().to_string();
    sandbox.git(&[
        "--git-dir",
        &git,
        "update-ref",
        &format!("refs/heads/{branch}"),
        &format!("refs/heads/{to}"),
    ]);
}

/// Commits files to a branch of the pipelines.
fn commit(sandbox: &Sandbox, branch: &str, files: &[(&str, &str)]) {
    let (git, work) =
        (sandbox.file(REPOSITORY).display().to_string(), sandbox.file("work").display().to_string());
    sandbox.git(&["clone", "--quiet", "--branch", branch, &git, &work]);
    for (path, text) in files {
        sandbox.write(&format!("work/{path}"), text);
    }
    sandbox.git(&["-C", &work, "add", "--all"]);
    sandbox.git(&["-C", &work, "commit", "--quiet", "-m", "change"]);
    sandbox.git(&["-C", &work, "push", "--quiet", "origin", branch]);
    std::fs::remove_dir_all(sandbox.file("work")).expect("removed");
}

fn edit(sandbox: &Sandbox, path: &str, from: &str, to: &str) {
    let text = sandbox.read(path);
    assert!(text.contains(from), "{path} has no {from}");
    sandbox.write(path, text.replacen(from, to, 1));
}

const PRODUCTION: &str = "environments/production/environment.yaml";

#[test]
fn what_production_lacks_is_said_long_before_it_is_there() {
    let sandbox = demo();
    let says = "needs the variable `ARCHIVE_BUCKET`, read by `orders_backfill` (data_loaders/load_archive.py:9), not defined in `production`";
    // While it is a feature of somebody: lint and plan, and nothing is held up.
    for arguments in [&["lint"][..], &["plan"]] {
        let run = sandbox.expect(0, arguments);
        assert!(run.all().contains(says), "{}", run.all());
        let help = "add `env: {ARCHIVE_BUCKET: …}` to `defaults` of environments/production/environment.yaml";
        assert!(run.all().contains(help) || arguments == ["plan"], "{}", run.all());
    }
    sandbox.expect(0, &["apply", "--yes"]);
    // On its way: each promotion says it, in every form.
    move_branch(&sandbox, "development", "feature/orders-backfill");
    let promote = sandbox.expect(0, &["promote", "development", "staging", "--yes"]).stdout;
    assert!(promote.contains(says), "{promote}");
    let request = sandbox.expect(0, &["promote", "staging", "production", "--pull-request"]).stdout;
    assert!(request.contains("**Missing**") && request.contains("ARCHIVE_BUCKET"), "{request}");
    let promote =
        sandbox.expect(0, &["promote", "staging", "production", "--yes", "--format", "json"]).stdout;
    let promote: Value = serde_json::from_str(&promote).expect("JSON");
    assert_eq!(promote["missing"][0], says);
    // Where it has arrived, nothing is sent before it is there.
    let plan = sandbox.expect(1, &["plan"]);
    assert!(plan.all().contains("error[MG501]") && plan.all().contains(says), "{}", plan.all());
    sandbox.expect(1, &["apply", "--yes"]);
    edit(
        &sandbox,
        PRODUCTION,
        "    SOURCE_BUCKET:",
        "    ARCHIVE_BUCKET: acme-prod-archive\n    SOURCE_BUCKET:",
    );
    sandbox.expect(0, &["lint", "--fail-on", "hint"]);
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn a_step_names_who_reads_what_it_changes_and_what_runs_when() {
    let sandbox = demo();
    sandbox.expect(0, &["apply", "--yes"]);
    edit(&sandbox, PRODUCTION, "acme-prod-landing", "acme-prod-landing-2");
    move_branch(&sandbox, "main", "staging");
    commit(
        &sandbox,
        "staging",
        &[(
            "pipelines/orders/triggers.yaml",
            "triggers:\n- {name: daily, schedule_type: time, schedule_interval: '0 6 * * *', start_time: 2026-01-01, status: active, envs: [prod], last_enabled_at: 2026-01-02}\n",
        )],
    );
    let lint = sandbox.expect(0, &["lint"]).stdout;
    let may_start = "warning[MG603]: the trigger `orders/daily` (pipelines/orders/triggers.yaml:2) may start in `production` as soon as it is promoted: \
                     its schedule changes, and its `last_enabled_at` is in the past";
    assert!(lint.contains(may_start), "{lint}");
    move_branch(&sandbox, "main", "staging");
    let plan = sandbox.expect(0, &["plan", "-e", "production"]).stdout;
    assert!(plan.contains("read by customers"), "{plan}");
    assert!(plan.contains("trigger orders/daily: 0 5 * * * → 0 6 * * *"), "{plan}");
    let at_once = "orders/daily (0 6 * * *) runs where ENV is prod next: at once: its schedule changes, and its `last_enabled_at` is in the past";
    assert!(plan.contains(at_once), "{plan}");
    let plan: Value =
        serde_json::from_str(&sandbox.expect(0, &["plan", "-e", "production", "--format", "json"]).stdout)
            .expect("JSON");
    let steps = plan["steps"].as_array().expect("steps");
    let field =
        steps.iter().flat_map(|step| step["fields"].as_array().expect("fields")).next().expect("a field");
    assert_eq!(field["read_by"], serde_json::json!(["customers"]), "{field}");
    let schedule = &steps.iter().find(|step| !step["deploy"].is_null()).expect("a deploy")["deploy"]["movement"]
        ["schedules"][0];
    assert!(schedule["next"].as_str().is_some_and(|next| next.ends_with("T06:00:00Z")), "{schedule}");
    // Who reads it is no part of what was reviewed.
    sandbox.expect(0, &["plan", "--out", "plan.json"]);
    let reviewed = sandbox.read("plan.json");
    sandbox.write("plan.json", reviewed.replace("\"customers\"", "\"somebody\""));
    sandbox.expect(0, &["apply", "plan.json", "--yes"]);
}

#[test]
fn going_back_says_what_the_old_code_needs_and_nobody_defines_any_more() {
    let sandbox = demo();
    sandbox.expect(0, &["apply", "--yes"]);
    commit(&sandbox, "main", &[("data_loaders/load_customers.py", "def load_customers():\n    return []\n")]);
    sandbox.expect(0, &["apply", "--yes", "-e", "production"]);
    edit(&sandbox, PRODUCTION, "    SOURCE_BUCKET: acme-prod-landing\n", "");
    sandbox.expect(0, &["apply", "--yes", "-e", "production"]);
    let rollback = sandbox.expect(0, &["rollback", "production", "--yes"]).stdout;
    let says = "needs the variable `SOURCE_BUCKET`, read by `customers` (data_loaders/load_customers.py:9), not defined in `production`";
    assert!(rollback.contains(says), "{rollback}");
    // It is written nevertheless, and the plan holds it against what is declared.
    let plan = sandbox.expect(1, &["plan", "-e", "production"]);
    assert!(plan.all().contains("error[MG501]"), "{}", plan.all());
}

#[test]
fn what_runs_for_now_is_held_against_what_is_declared_too() {
    let sandbox = demo();
    sandbox.expect(0, &["apply", "--yes"]);
    // The next commit needs the bucket no more, and a gate holds it back: the one that runs still does.
    commit(&sandbox, "main", &[("data_loaders/load_customers.py", "def load_customers():\n    return []\n")]);
    edit(&sandbox, PRODUCTION, "protected: true", "protected: true\ngates: {verified: {within: 24h}}");
    edit(&sandbox, PRODUCTION, "    SOURCE_BUCKET: acme-prod-landing\n", "");
    let says = "needs the variable `SOURCE_BUCKET`, read by `customers` (data_loaders/load_customers.py:9), not defined in `production`";
    let held = sandbox.expect(0, &["plan"]).stdout;
    assert!(
        held.contains("gate `verified`") && held.contains("the code that runs there for now ("),
        "{held}"
    );
    assert!(held.contains(says), "{held}");
    let lifted = sandbox.expect(0, &["plan", "--override-gate", "verified", "--reason", "tried"]).stdout;
    assert!(lifted.contains("to deploy") && !lifted.contains("the code that runs there for now"), "{lifted}");
}

#[test]
fn refs_and_triggers_are_told_by_environment() {
    let sandbox = demo();
    let refs = sandbox.expect(0, &["refs"]).stdout;
    let line = |name: &str| {
        refs.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_default().to_owned()
    };
    let words: Vec<String> = line("SOURCE_BUCKET").split_whitespace().map(str::to_owned).collect();
    assert_eq!(words.join(" "), "SOURCE_BUCKET variable read, defined read, defined read, defined", "{refs}");
    assert!(line("year").contains("runtime variable  read"), "{refs}");
    let one = sandbox.expect(0, &["refs", "ARCHIVE_BUCKET"]).stdout;
    assert!(one.contains("data_loaders/load_archive.py:9:36: orders_backfill in development"), "{one}");
    assert!(one.contains("environments/staging/environment.yaml:9"), "{one}");
    let json: Value =
        serde_json::from_str(&sandbox.expect(0, &["refs", "API_KEY", "--format", "json"]).stdout)
            .expect("JSON");
    assert_eq!(json["names"][0]["places"][0]["file"], "data_loaders/load_orders.py");
    assert_eq!(json["names"][0]["places"][0]["column"], 22);
    let html = sandbox.expect(0, &["refs", "--format", "html"]).stdout;
    assert!(html.contains("<td class=\"running\">read, defined</td>"), "{html}");
    let wrong = sandbox.expect(1, &["refs", "API_KEI"]);
    assert!(wrong.stderr.contains("did you mean `API_KEY`?"), "{}", wrong.stderr);
    let narrowed = sandbox.expect(0, &["refs", "-e", "production"]).stdout;
    assert!(!narrowed.contains("development") && !narrowed.contains("ARCHIVE_BUCKET"), "{narrowed}");

    let triggers = sandbox.expect(0, &["triggers"]).stdout;
    assert!(
        triggers.contains("0 5 * * *, next ") && triggers.contains("T05:00:00Z, in 2 workspaces"),
        "{triggers}"
    );
    let json: Value =
        serde_json::from_str(&sandbox.expect(0, &["triggers", "--format", "json"]).stdout).expect("JSON");
    let daily = &json["triggers"][0];
    assert_eq!((&daily["pipeline"], &daily["trigger"]), (&"orders".into(), &"daily".into()));
    let html = sandbox.expect(0, &["triggers", "--format", "html"]).stdout;
    assert!(html.contains("<title>Magus triggers</title>"), "{html}");
    sandbox.expect(64, &["triggers", "--format", "markdown"]);

    // What nobody could look into is not shown as nothing.
    edit(&sandbox, "environments/cluster.yaml", ".magus/pipelines.git", ".magus/pipelnes.git");
    for arguments in [&["refs"][..], &["refs", "API_KEY"], &["triggers"]] {
        let run = sandbox.expect(5, arguments);
        assert_eq!(run.stdout, "", "{arguments:?}");
        assert!(run.stderr.contains("help: magus lint says what to do"), "{}", run.stderr);
    }
}

#[test]
fn what_comes_from_elsewhere_is_declared_wherever_that_is_known() {
    let sandbox = demo();
    let reads = "import os\n\n\ndef load_customers():\n    return os.environ['FROM_ELSEWHERE'], os.environ['SOURCE_BUCKET']\n";
    for branch in ["development", "staging", "main", "feature/orders-backfill"] {
        commit(&sandbox, branch, &[("data_loaders/load_customers.py", reads)]);
    }
    let missing = |expected: usize| {
        let run = sandbox.magus(&["lint", "--format", "json"]);
        let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
        let found = report["diagnostics"].as_array().expect("findings").iter();
        let found: Vec<_> = found
            .filter(|one| one["message"].as_str().is_some_and(|text| text.contains("FROM_ELSEWHERE")))
            .collect();
        assert_eq!(found.len(), expected, "{}", run.stdout);
    };
    // Development runs two commits, the other stages one.
    missing(4);
    let cluster = sandbox.read("environments/cluster.yaml");
    sandbox.write("environments/cluster.yaml", format!("{cluster}provided: [\"FROM_*\"]\n"));
    missing(0);
    sandbox.write("environments/cluster.yaml", &cluster);
    let production = sandbox.read(PRODUCTION);
    sandbox.write(PRODUCTION, format!("{production}provided: [FROM_ELSEWHERE]\n"));
    missing(3);
    edit(
        &sandbox,
        "environments/development/people/ben.yaml",
        "owner:",
        "provided: [FROM_ELSEWHERE]\nowner:",
    );
    missing(2);
    edit(
        &sandbox,
        "environments/staging/environment.yaml",
        "defaults:\n",
        "defaults:\n  provided: [FROM_ELSEWHERE]\n",
    );
    missing(1);
    // What a ConfigMap gives as a whole, nobody can say; what it may be is a hint.
    edit(
        &sandbox,
        "environments/development/environment.yaml",
        "defaults:\n",
        "defaults:\n  container_config: {envFrom: [{configMapRef: {name: shared}}]}\n",
    );
    let hint = sandbox.expect(0, &["lint"]).stdout;
    assert!(hint.contains("hint[MG501]") && hint.contains("where `envFrom` gives it"), "{hint}");
    // And it is nothing that the cluster would ever see.
    let explained = sandbox.expect(0, &["explain", "staging/analytics"]).stdout;
    assert!(!explained.contains("FROM_ELSEWHERE"), "{explained}");
}

#[test]
fn no_default_and_no_literal_of_the_code_is_shown() {
    let sandbox = demo();
    let canary = "canary-7f3a9b2c";
    let code = format!(
        "import os\n\nTOKEN = '{canary}'\nkey = os.environ.get('SHOP_TOKEN', '{canary}')\nother = os.environ['SHOP_' + TOKEN[0]]\n"
    );
    commit(&sandbox, "development", &[("data_loaders/load_customers.py", &code)]);
    for arguments in [
        &["lint"][..],
        &["lint", "--format", "json"],
        &["plan"],
        &["plan", "--format", "json"],
        &["refs"],
        &["refs", "SHOP_TOKEN"],
        &["refs", "--format", "json"],
        &["promote", "development", "staging", "--pull-request"],
    ] {
        let run = sandbox.magus(arguments);
        assert!(!run.all().contains(canary), "{arguments:?}: {}", run.all());
    }
    let lint = sandbox.magus(&["lint"]).stdout;
    assert!(lint.contains("SHOP_TOKEN") && lint.contains("hint[MG504]"), "{lint}");
    let kept = std::fs::read(sandbox.file("home/.cache/magus/code.db")).expect("what was found is kept");
    assert!(String::from_utf8_lossy(&kept).contains("SHOP_TOKEN"));
    assert!(!String::from_utf8_lossy(&kept).contains(canary));
}

/// A project in a repository of its own, and one workspace that runs it with these keys.
fn project(files: &[(&str, &str)], workspace: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    for (path, text) in files {
        sandbox.write(&format!("project/{path}"), text);
    }
    let path = sandbox.file("project").display().to_string();
    sandbox.git(&["init", "--quiet", "--initial-branch=main", &path]);
    sandbox.git(&["-C", &path, "add", "--all", "--force"]);
    sandbox.git(&["-C", &path, "commit", "--quiet", "-m", "all"]);
    let cluster = "name: acme\nengine: {local: {path: ../s}}\nrepository: {url: ../project}\n";
    sandbox.write("environments/cluster.yaml", cluster);
    sandbox.write("environments/development/environment.yaml", "branch: main\ndeploy: head\n");
    sandbox.write("environments/development/a.yaml", workspace);
    sandbox
}

/// The findings of a rule: severity and message.
fn findings(sandbox: &Sandbox, code: &str) -> Vec<String> {
    let lint: Value =
        serde_json::from_str(&sandbox.magus(&["lint", "--format", "json"]).stdout).expect("JSON");
    let all = lint["diagnostics"].as_array().expect("findings").iter().filter(|one| one["code"] == code);
    let text = |one: &Value, key: &str| one[key].as_str().expect("text").to_owned();
    all.map(|one| format!("{}: {}", text(one, "severity"), text(one, "message"))).collect()
}

#[test]
fn a_name_that_stands_anywhere_in_the_code_is_not_said_to_be_unread() {
    let pipeline = "blocks:\n- {uuid: load, type: data_loader, language: python}\n";
    let files = [
        ("pipelines/orders/metadata.yaml", pipeline),
        ("data_loaders/load.py", "from settings import Settings\nKEYS = {'IN_PYTHON': 1}\n"),
        ("data_loaders/score.r", "key <- Sys.getenv(\"IN_R\")\n"),
        ("data_exporters/out.sql", "select '${IN_SQL}' -- a value\n"),
        ("config/app.yaml", "# IN_COMMENT\nkey: ${IN_YAML}\n"),
    ];
    let names = ["IN_PYTHON", "IN_R", "IN_SQL", "IN_YAML", "IN_COMMENT", "NOWHERE"];
    let workspace = format!("env: {{{}}}\n", names.map(|name| format!("{name}: x")).join(", "));
    let sandbox = project(&files, &workspace);
    let unread = |name: &str| format!("warning: no code reads the variable `{name}`");
    assert_eq!(findings(&sandbox, "MG502"), [unread("IN_COMMENT"), unread("NOWHERE")]);
}

#[test]
fn a_name_that_may_be_made_is_a_hint_and_others_stay_warnings() {
    let pipeline = "blocks:\n- {uuid: load, type: data_loader, language: python}\n";
    let code = "import os\nfrom shop import region\nname = 'KEY_' + region\nx = os.environ[name]\n";
    let files = [("pipelines/orders/metadata.yaml", pipeline), ("data_loaders/load.py", code)];
    let sandbox = project(&files, "env: {KEY_EU: x, OTHER: y}\n");
    let made = "hint: `orders` makes the name of a variable while it runs (data_loaders/load.py:4): `'KEY_' + region`";
    assert_eq!(findings(&sandbox, "MG504"), [made]);
    let unread = |severity: &str, name: &str| format!("{severity}: no code reads the variable `{name}`");
    assert_eq!(findings(&sandbox, "MG502"), [unread("hint", "KEY_EU"), unread("warning", "OTHER")]);
}

#[test]
fn what_goes_on_without_a_variable_is_a_hint_and_one_of_several_is_enough() {
    let pipeline = "blocks:\n- {uuid: load, type: data_loader, language: python}\n";
    let code = "import os\nhost = os.getenv('HOST_A') or os.getenv('HOST_B')\nprint(len(host))\n\
                port = os.getenv('PORT_A', '1')\nif os.getenv('MODE_A') == 'x':\n    key = os.environ['KEY_A']\n";
    let files = [("pipelines/orders/metadata.yaml", pipeline), ("data_loaders/load.py", code)];
    let sandbox = project(&files, "owner: ana@acme.dev\n");
    let at =
        |line: u32| format!("read by `orders` (data_loaders/load.py:{line}), not defined in `development/a`");
    let mut said = findings(&sandbox, "MG501");
    said.sort();
    assert_eq!(
        said,
        [
            format!("error: the code needs one of the variables `HOST_A` or `HOST_B`, {}", at(2)),
            format!("hint: the code may need the variable `KEY_A`, {}", at(6)),
            format!("hint: the code reads, but does not need, the variable `MODE_A`, {}", at(5)),
            format!(
                "hint: the code reads, but does not need, the variable `PORT_A`, {}; its default is a text",
                at(4)
            ),
        ]
    );
    // One of them is enough, and code that goes on blocks nothing.
    sandbox.write("environments/development/a.yaml", "env: {HOST_B: x}\n");
    assert!(findings(&sandbox, "MG501").iter().all(|one| one.starts_with("hint: ")));
    sandbox.expect(0, &["apply", "--yes"]);
    // An environment says of a default what its places say, also where no pipeline reads it.
    let refs: Value =
        serde_json::from_str(&sandbox.magus(&["refs", "--format", "json"]).stdout).expect("JSON");
    for name in refs["names"].as_array().expect("names") {
        let places = name["places"].as_array().expect("places");
        let all = places.iter().all(|place| place["has_default"] == true);
        assert_eq!(name["environments"][0]["has_default"], all, "{name:#}");
    }
}
