//! Every command that Magus prints to lift a guard or to go on after an error is run as it is printed, by a shell and on a
//! terminal, and does what it promises.

use std::{collections::BTreeMap, process::Stdio};

use magus_model::plan::Guard;
use magus_tests::{Run, Sandbox};
use serde_json::Value;

use crate::{
    deploy::{self, push},
    fixture::{sql, three_stages},
    ownership::two_commits,
};

/// The words in printed commands that stand for what only a person knows, and what the tests fill in.
const PLACEHOLDERS: [(&str, &str); 5] = [
    ("WHY", "a test"),
    ("NAME", "ingest-staging"),
    ("ENV", "development"),
    ("FILE", "plan.json"),
    ("COMMIT", "$(git --git-dir pipelines.git rev-parse staging)"),
];

/// How a guard is lifted.
enum Lift {
    /// By the command that is printed.
    Command(&'static str),
    /// By an edit, which the printed sentence describes and the function makes.
    Edit(&'static str, fn(&Sandbox)),
    /// In a test of its own: the guard is an error and not part of a plan, or needs a real server.
    Elsewhere,
}

/// A situation in which a guard holds something back.
struct Scenario {
    make: fn() -> Sandbox,
    lift: Lift,
}

/// Runs a command line as it is printed, on a terminal of its own, and answers `yes`.
fn run_as_printed(sandbox: &Sandbox, command: &str) -> Run {
    let mut filled = command.to_owned();
    for (placeholder, value) in PLACEHOLDERS {
        filled = filled.replace(placeholder, value);
    }
    sandbox.write("answer", "yes\n");
    let folder = magus_tests::binary().parent().expect("the folder of the binary");
    let path = std::env::var("PATH").unwrap_or_default();
    let output = sandbox
        .program("script")
        .args(["-qec", &filled, "/dev/null"])
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("NO_COLOR", "1")
        .stdin(std::fs::File::open(sandbox.file("answer")).expect("the answer"))
        .stdout(Stdio::piped())
        .output()
        .expect("script starts");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    Run { code: output.status.code(), stdout, stderr: String::new() }
}

/// What the plan withholds, by guard: the commands or sentences that lift it.
fn withheld(sandbox: &Sandbox) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for held in sandbox.plan(&[])["withheld"].as_array().expect("a list") {
        let text = |key: &str| held[key].as_str().expect("text").to_owned();
        all.entry(text("guard")).or_default().push(text("unblock"));
    }
    all
}

/// The guards by the names that a plan has for them.
fn guards() -> Vec<String> {
    let error = serde_json::from_value::<Guard>(Value::from("no guard")).expect_err("no guard");
    let error = error.to_string();
    let (_, names) = error.split_once("expected one of ").expect("the names");
    names.split(", ").map(|name| name.trim_matches('`').to_owned()).collect()
}

fn applied() -> Sandbox {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox
}

/// Production behind a gate, with a commit that it does not have yet.
fn gated(gates: &str, change: fn(&Sandbox)) -> Sandbox {
    let sandbox = deploy::sandbox();
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.write(
        "environments/production/environment.yaml",
        format!("promotes_from: staging\nbranch: main\ngates: {gates}\n"),
    );
    change(&sandbox);
    sandbox
}

/// The day of the week in three days, at which no window is open now.
fn in_three_days() -> &'static str {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    // The first day of 1970 was a Thursday.
    let days = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"];
    days[(now.as_secs() / 86_400 + 3) as usize % days.len()]
}

fn scenario(guard: &str) -> Option<Scenario> {
    let scenario = |make, lift| Some(Scenario { make, lift });
    match guard {
        "protected" => scenario(
            || {
                let sandbox = applied();
                sandbox.remove("environments/production/analytics.yaml");
                sandbox
            },
            Lift::Command("magus plan --allow-delete production --reason 'WHY'"),
        ),
        "environment-removed" => scenario(
            || {
                let sandbox = applied();
                sandbox.remove("environments/staging");
                let file = "environments/production/environment.yaml";
                sandbox.replace(file, "promotes_from: staging", "promotes_from: development");
                sandbox
            },
            Lift::Command("magus plan --allow-delete staging"),
        ),
        "max-deletes" => scenario(
            || {
                let sandbox = three_stages();
                let file = |number| format!("environments/development/extra-{number}.yaml");
                (0..10).for_each(|number| sandbox.write(&file(number), "env: {A: b}\n"));
                sandbox.expect(0, &["apply", "--yes"]);
                (0..5).for_each(|number| sandbox.remove(&file(number)));
                sandbox
            },
            Lift::Command("magus plan --max-deletes 5"),
        ),
        "empty-desired" => scenario(
            || {
                let sandbox = applied();
                sandbox.remove("environments/development/analytics.yaml");
                sandbox.remove("environments/development/ingest.yaml");
                sandbox
            },
            Lift::Command("magus plan --allow-empty development"),
        ),
        "conflict" => scenario(
            || {
                let sandbox = applied();
                sql(&sandbox, "UPDATE workspaces SET managed_by = 'ops' WHERE name = 'ingest-staging'");
                sandbox
            },
            Lift::Edit(
                "declare it where `ops` declares it, give this workspace another `name`, or, if both are the same, set \
                 `managed_by: ops` in cluster.yaml",
                |sandbox| {
                    let file = "environments/staging/ingest.yaml";
                    let text = sandbox.read(file);
                    sandbox.write(file, format!("name: ours\n{text}"));
                },
            ),
        ),
        "branch-limit" => scenario(
            || {
                let sandbox = deploy::sandbox();
                sandbox.write(
                    "environments/development/environment.yaml",
                    "branch: development\nbranch_workspaces: {match: \"feature/*\", limit: 1}\n",
                );
                push(&sandbox, "feature/a", "first", &[]);
                push(&sandbox, "feature/b", "second", &[]);
                sandbox
            },
            Lift::Edit(
                "delete a branch, or raise `branch_workspaces.limit` in the environment.yaml of `development`",
                |sandbox| {
                    sandbox.replace("environments/development/environment.yaml", "limit: 1", "limit: 2")
                },
            ),
        ),
        "verified" => scenario(
            || {
                gated("{verified: {}}", |sandbox| {
                    drop(push(sandbox, "main", "second", &[("mage/x.py", "1\n")]))
                })
            },
            Lift::Command("magus plan --override-gate verified --reason 'WHY'"),
        ),
        "soak" => scenario(
            || gated("{soak: 24h}", |sandbox| drop(push(sandbox, "main", "second", &[("mage/x.py", "1\n")]))),
            Lift::Command("magus plan --override-gate soak --reason 'WHY'"),
        ),
        "runs-before" => scenario(
            || {
                gated("{runs_before: true}", |sandbox| {
                    drop(push(sandbox, "main", "second", &[("mage/x.py", "1\n")]))
                })
            },
            Lift::Command("magus plan --override-gate runs-before --reason 'WHY'"),
        ),
        "windows" => scenario(
            || {
                let window =
                    format!("{{windows: [{{days: [{}], from: 12:00, to: 13:00}}]}}", in_three_days());
                gated(&window, |sandbox| {
                    sandbox.write("environments/production/ana.yaml", "env: {A: b}\n");
                })
            },
            Lift::Command("magus plan --override-gate windows --reason 'WHY'"),
        ),
        "freezes" => scenario(
            || {
                gated("{freezes: [{from: 2000-01-01, to: 2999-01-01}]}", |sandbox| {
                    sandbox.write("environments/production/ana.yaml", "env: {A: b}\n");
                })
            },
            Lift::Command("magus plan --override-gate freezes --reason 'WHY'"),
        ),
        "uncommitted-changes" => scenario(
            || {
                let sandbox = deploy::sandbox();
                sandbox.expect(0, &["apply", "--yes"]);
                sandbox.write("store/workspaces/ana-staging/code/mine.py", "1\n");
                push(&sandbox, "staging", "second", &[("mage/x.py", "1\n")]);
                sandbox
            },
            Lift::Command("magus plan --discard-changes ana-staging --reason 'WHY'"),
        ),
        // `mage::life` has what the engine refuses; tests below have the others.
        "engine" | "shared-branch" | "lock" | "stale-plan" | "older-declarations" => {
            scenario(Sandbox::new, Lift::Elsewhere)
        }
        _ => None,
    }
}

/// Other situations in which the same guard holds something else back.
fn other_scenarios(guard: &str) -> Vec<Scenario> {
    match guard {
        "protected" => vec![Scenario {
            make: || {
                let sandbox = applied();
                sandbox.replace(
                    "environments/production/environment.yaml",
                    "protected: true",
                    "protected: false",
                );
                sandbox
            },
            lift: Lift::Command("magus plan --allow-unprotect production --reason 'WHY'"),
        }],
        "conflict" => vec![Scenario {
            make: || {
                let sandbox = applied();
                sql(&sandbox, "UPDATE workspaces SET managed_by = NULL WHERE name = 'ingest-staging'");
                sandbox.remove("store/history.db");
                sandbox.replace("environments/staging/ingest.yaml", "WORKERS: \"4\"", "WORKERS: \"5\"");
                sandbox
            },
            lift: Lift::Command("magus plan --adopt ingest-staging"),
        }],
        _ => Vec::new(),
    }
}

#[test]
fn every_guard_is_lifted_as_printed() {
    let all = guards().into_iter().flat_map(|guard| {
        let Some(first) = scenario(&guard) else { panic!("guard `{guard}` has no scenario in {}", file!()) };
        let others = other_scenarios(&guard).into_iter();
        [first].into_iter().chain(others).map(move |scenario| (guard.clone(), scenario)).collect::<Vec<_>>()
    });
    for (guard, Scenario { make, lift }) in all {
        let printed = match &lift {
            Lift::Command(printed) | Lift::Edit(printed, _) => *printed,
            Lift::Elsewhere => continue,
        };
        let sandbox = make();
        let held = withheld(&sandbox);
        let Some(unblock) = held.get(&guard) else { panic!("`{guard}` holds nothing back: {held:#?}") };
        assert!(unblock.iter().all(|one| one == printed), "guard `{guard}`: {unblock:#?}");
        match lift {
            Lift::Edit(_, edit) => edit(&sandbox),
            _ => {
                let run = run_as_printed(&sandbox, printed);
                let text = &run.stdout;
                assert!(!text.contains(&format!("guard `{guard}`")), "{text}");
                assert!(!text.contains(&format!("gate `{guard}`")), "{text}");
                // What apply prints lifts it for good.
                let shown = sandbox.magus(&["apply", "--yes"]).all();
                let command = printed.replace("magus plan", "magus apply");
                assert!(shown.contains(&command), "`{command}` is not in:\n{shown}");
                let run = run_as_printed(&sandbox, &command);
                assert_eq!(run.code, Some(0), "{command}\n{}", run.stdout);
            }
        }
        assert!(!withheld(&sandbox).contains_key(&guard), "`{guard}` still holds: {:#?}", withheld(&sandbox));
    }
}

#[test]
fn older_declarations_are_applied_as_printed() {
    let sandbox = two_commits();
    sandbox.git(&["checkout", "--quiet", "HEAD~1"]);
    let plan = sandbox.plan(&[]);
    let printed = plan["refused"][0]["unblock"].as_str().expect("a command");
    assert_eq!(printed, "magus plan --allow-older --reason 'WHY'");
    assert_eq!(run_as_printed(&sandbox, printed).code, Some(0));
    let apply = commands(&sandbox.expect(4, &["apply", "--yes"]).stderr);
    assert_eq!(apply, ["magus apply --allow-older --reason 'WHY'"]);
    assert_eq!(run_as_printed(&sandbox, &apply[0]).code, Some(0));
    assert!(sandbox.plan(&[]).get("refused").is_none());
}

#[test]
fn a_stale_plan_is_made_again_as_printed() {
    let sandbox = applied();
    sandbox.replace("environments/staging/ingest.yaml", "WORKERS: \"4\"", "WORKERS: \"5\"");
    sandbox.expect(0, &["plan", "--out", "plan.json"]);
    sandbox.replace("environments/staging/ingest.yaml", "WORKERS: \"5\"", "WORKERS: \"6\"");
    let run = sandbox.expect(4, &["apply", "plan.json", "--yes"]);
    let commands = commands(&run.stderr);
    assert_eq!(commands, ["magus plan --out FILE"]);
    assert_eq!(run_as_printed(&sandbox, &commands[0]).code, Some(0));
    sandbox.expect(0, &["apply", "plan.json", "--yes"]);
}

#[test]
fn a_lock_is_released_as_printed() {
    let sandbox = three_stages();
    sandbox.git(&["init", "--quiet"]);
    sandbox.git(&["init", "--quiet", "--bare", "remote.git"]);
    sandbox.git(&["remote", "add", "origin", "../remote.git"]);
    sandbox.git(&["remote", "set-url", "origin", &sandbox.file("remote.git").display().to_string()]);
    let cluster = sandbox.read("environments/cluster.yaml");
    sandbox.write("environments/cluster.yaml", format!("{cluster}history: {{remote: origin}}\n"));
    // An apply that waits in its first step, and is killed there.
    sandbox.write("environments/development/_wait.sh", "echo > begun\nwhile :; do sleep 1; done\n");
    sandbox
        .write("environments/development/ingest.yaml", "env: {TOKEN: {secret: {command: [sh, _wait.sh]}}}\n");
    let mut apply = sandbox.command(&["apply", "--yes"]);
    let mut apply = apply.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("magus starts");
    let begun = sandbox.file("environments/development/begun");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while !begun.exists() {
        assert!(std::time::Instant::now() < deadline, "the apply begins");
        std::thread::yield_now();
    }
    apply.kill().expect("killed");
    apply.wait().expect("ended");
    sandbox.write("environments/development/_wait.sh", "echo value\n");
    let run = sandbox.expect(4, &["apply", "--yes"]);
    assert!(run.stderr.contains("guard `lock`"), "{}", run.stderr);
    let commands = commands(&run.stderr);
    assert_eq!(commands, ["magus plan", "magus lock release acme"]);
    for command in &commands {
        let run = run_as_printed(&sandbox, command);
        assert_eq!(run.code, Some(0), "{command}: {}", run.stdout);
    }
    sandbox.expect(0, &["apply", "--yes"]);
}

/// The commands in the help of an error: in backticks, or after a colon up to the end of the line.
fn commands(stderr: &str) -> Vec<String> {
    let mut found = Vec::new();
    for help in stderr.lines().filter_map(|line| line.trim_start().strip_prefix("help: ")) {
        let mut rest = help;
        while let Some(at) = rest.find("magus ") {
            let (before, command) = rest.split_at(at);
            let end = match before.chars().next_back() {
                Some('`') => command.find('`').expect("a backtick"),
                None => command.len(),
                Some(_) => {
                    assert!(
                        before.ends_with(": "),
                        "a command that cannot be told from the sentence: {help}"
                    );
                    command.len()
                }
            };
            found.push(command[..end].to_owned());
            rest = &command[end..];
        }
    }
    found
}

/// An error, with the commands of its help and the code with which each of them ends.
struct Error {
    make: fn() -> Sandbox,
    arguments: &'static [&'static str],
    code: i32,
    commands: &'static [(&'static str, i32)],
}

fn errors() -> Vec<Error> {
    let broken = || {
        let sandbox = applied();
        sandbox.write("environments/development/broken.yaml", "env: {A: b\n");
        sandbox
    };
    let error = |make, code, arguments, commands| Error { make, arguments, code, commands };
    vec![
        error(broken, 1, &["plan"], &[("magus lint", 1)]),
        error(broken, 1, &["apply"], &[("magus lint", 1)]),
        error(applied, 64, &["restart", "--yes"], &[("magus restart -w NAME", 0)]),
        error(applied, 64, &["destroy", "--yes"], &[("magus destroy -e ENV", 0)]),
        error(applied, 1, &["apply", "environments/cluster.yaml", "--yes"], &[("magus plan --out FILE", 0)]),
        error(
            deploy::sandbox,
            1,
            &["rollback", "staging", "--yes"],
            &[("magus rollback staging --to COMMIT", 0)],
        ),
        error(
            deploy::sandbox,
            64,
            &["promote", "staging", "development"],
            &[("magus promote development staging", 0)],
        ),
        error(
            deploy::sandbox,
            64,
            &["promote", "production", "development"],
            &[("magus promote development staging", 0)],
        ),
        error(
            deploy::sandbox,
            64,
            &["promote", "development", "production"],
            &[("magus promote staging production", 0)],
        ),
        error(deploy::sandbox, 64, &["promote", "development", "development"], &[]),
        error(deploy::sandbox, 64, &["promote", "stagin", "production"], &[]),
        error(applied, 64, &["verify", "stagin", "--result", "pass"], &[]),
    ]
}

#[test]
fn every_command_in_the_help_of_an_error_works() {
    for (directory, flags) in [("environments", &[][..]), ("my envs", &["-C", "my envs"][..])] {
        for Error { make, arguments, code, commands: wanted } in errors() {
            let sandbox = make();
            if directory != "environments" {
                std::fs::rename(sandbox.file("environments"), sandbox.file(directory)).expect("renamed");
            }
            let mut words = flags.to_vec();
            words.extend(
                arguments.iter().map(|word| word.strip_prefix("environments/").map_or(*word, |_| "answer")),
            );
            sandbox.write("answer", "no plan\n");
            let run = sandbox.magus(&words);
            assert_eq!(run.code, Some(code), "{words:?}: {}", run.all());
            let printed = commands(&run.stderr);
            let with_directory = |command: &str| match directory {
                "environments" => command.to_owned(),
                _ => {
                    let mut parts = command.splitn(3, ' ');
                    let (program, verb) =
                        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                    let rest = parts.next().map_or_else(String::new, |rest| format!(" {rest}"));
                    format!("{program} {verb} -C 'my envs'{rest}")
                }
            };
            let expected: Vec<String> = wanted.iter().map(|(command, _)| with_directory(command)).collect();
            assert_eq!(printed, expected, "{words:?}: {}", run.stderr);
            for (command, (_, code)) in printed.iter().zip(wanted) {
                let run = run_as_printed(&sandbox, command);
                assert_eq!(run.code, Some(*code), "{command}: {}", run.stdout);
            }
        }
    }
}

#[test]
fn approval_is_asked_for_last() {
    // Without a terminal, and without `--yes`: each finds what is wrong, and not that nobody can be asked.
    let sandbox = deploy::sandbox();
    for (arguments, code, wrong) in [
        (&["apply", "-e", "nowhere"][..], 64, "there is no environment `nowhere`"),
        (&["apply", "--max-deletes", "x"], 64, "`x`"),
        (&["apply", "no-file"], 1, "`no-file` cannot be read"),
        (&["destroy", "-e", "nowhere"], 64, "there is no environment `nowhere`"),
        (&["restart", "-w", "nothing"], 64, "there is no workspace `nothing`"),
        (&["promote", "development", "production"], 64, "`production` is not promoted from `development`"),
        (&["rollback", "nowhere"], 64, "there is no environment `nowhere`"),
        (&["rollback", "staging", "--to", "nothing"], 1, "`nothing` is no release"),
        (&["lock", "release", "nowhere"], 64, "there is no cluster `nowhere`"),
        (&["apply"], 64, "there is no terminal to ask for approval"),
    ] {
        let run = sandbox.expect(code, arguments);
        assert!(run.stderr.contains(wrong), "{arguments:?}: {}", run.stderr);
        assert!(!sandbox.file("store").exists());
    }
    sandbox.write("environments/staging/ana.yaml", "env: {A: b\n");
    for arguments in [
        &["apply"][..],
        &["destroy", "-e", "staging"],
        &["restart", "-w", "ana-staging"],
        &["promote", "development", "staging"],
        &["rollback", "staging"],
        &["verify", "staging", "--result", "pass"],
    ] {
        let run = sandbox.expect(1, arguments);
        assert!(run.stderr.contains("MG001"), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn commands_keep_the_directory_and_the_order_of_flags() {
    let sandbox = three_stages();
    let above = |arguments: &[&str], code: i32| {
        let run = sandbox.expect(code, &[&["-C", "./environments"], arguments].concat());
        format!("{}{}", run.stdout, run.stderr)
    };
    let said = above(&["explain", "analytics-production", "env.DATABASE_URI_OF_ALL"], 64);
    assert!(said.contains("`magus explain -C ./environments production/analytics`"), "{said}");
    let said = above(&["plan", "--max-deletes", "lots"], 64);
    assert!(
        said.contains("invalid value `lots` for `--max-deletes`: expected a number or a percentage"),
        "{said}"
    );
    sandbox.write("environments/staging/ingest.yaml", "env: {WORKERS: 4}\n");
    let said = above(&["lint"], 1);
    assert!(said.contains("`magus lint -C ./environments --fix`"), "{said}");
    sandbox.write("environments/staging/ingest.yaml", "env: {WORKERS: \"4\"}\n");

    // What lifts guards comes in one order, whoever prints the command.
    above(&["apply", "--yes"], 0);
    sql(&sandbox, "INSERT INTO workspaces (name, record) SELECT 'odd', record FROM workspaces LIMIT 1");
    let said = above(&["import", "odd"], 64);
    assert!(said.contains("magus import -C ./environments odd -e ENV"), "{said}");
    sandbox.remove("environments/production/ingest.yaml");
    let given = ["plan", "--reason", "a test", "--max-deletes", "1", "--discard-changes", "ingest-staging"];
    let plan: Value =
        serde_json::from_str(&above(&[&given[..], &["--format", "json"]].concat(), 4)).expect("JSON");
    let unblock = plan["withheld"][0]["unblock"].as_str().expect("a command");
    let flags = "-C ./environments --allow-delete production --max-deletes 1 --discard-changes ingest-staging --reason 'a test'";
    assert_eq!(unblock, format!("magus plan {flags}"));
    let shown = run_as_printed(&sandbox, unblock).stdout;
    assert!(shown.contains(&format!("Next: magus apply {flags}")), "{shown}");
}
