//! A secret reaches `.env` with mode 0600, and nothing else.

use std::os::unix::fs::PermissionsExt;

use magus_tests::{Sandbox, files_below};

use crate::fixture::three_stages;

const CANARY: [&str; 4] =
    ["kAnArY-env-7f3a9", "kAnArY-file-2b8c1", "kAnArY-command-5d6e4", "kAnArY-mage-9a1b2"];

fn with_secrets() -> Sandbox {
    let mut sandbox = three_stages();
    sandbox.write("environments/production/_canary.txt", format!("{}\n", CANARY[1]));
    sandbox.write("environments/production/_mage.txt", CANARY[3]);
    sandbox.write("environments/production/_print.sh", format!("#!/bin/sh\necho {}\n", CANARY[2]));
    sandbox.write(
        "environments/production/ingest.yaml",
        "env:\n  \
           FROM_ENV: {secret: {env: CANARY}}\n  \
           FROM_FILE: {secret: {file: _canary.txt}}\n  \
           FROM_COMMAND: {secret: {command: [sh, _print.sh]}, version: 1}\n\
         secrets: {slack_webhook: {secret: {file: _mage.txt}}}\n",
    );
    sandbox.set("CANARY", CANARY[0]);
    sandbox
}

#[track_caller]
fn no_canary(what: &str, text: &str) {
    for canary in CANARY {
        assert!(!text.contains(canary), "{canary} in {what}:\n{text}");
    }
}

#[test]
fn a_canary_is_found_in_the_env_file_alone() {
    let sandbox = with_secrets();
    for arguments in [
        &["lint"][..],
        &["-vv", "plan", "--out", "plan.json"],
        &["plan", "--format", "json"],
        &["plan", "--format", "markdown"],
        &["plan", "--format", "html"],
        &["explain", "production/ingest"],
        &["-vv", "apply", "plan.json", "--yes"],
        &["-vv", "apply", "--yes"],
        &["apply", "--yes", "--format", "json"],
        &["status"],
        &["drift"],
    ] {
        let run = sandbox.expect(0, arguments);
        no_canary(&arguments.join(" "), &run.all());
    }
    no_canary("the plan file", &sandbox.read("plan.json"));
    let env = sandbox.file("store/workspaces/ingest-production/.env");
    let text = std::fs::read_to_string(&env).expect("the variables");
    assert!(CANARY.iter().all(|canary| text.contains(canary)), "{text}");
    assert_eq!(std::fs::metadata(&env).expect("metadata").permissions().mode() & 0o777, 0o600);
    for (path, bytes) in files_below(&sandbox.file("store")) {
        if path != env {
            let text = String::from_utf8_lossy(&bytes);
            no_canary(&path.display().to_string(), &text);
        }
    }
}

#[test]
fn lint_and_plan_run_nothing() {
    let sandbox = with_secrets();
    sandbox.write("environments/production/_print.sh", "#!/bin/sh\ntouch was-run\necho x\n");
    sandbox.expect(0, &["lint"]);
    sandbox.expect(0, &["plan"]);
    assert!(!sandbox.file("environments/production/was-run").exists());
    sandbox.expect(0, &["apply", "--yes"]);
    assert!(sandbox.file("environments/production/was-run").exists());
}

#[test]
fn nothing_is_sent_if_a_secret_does_not_resolve_and_every_failure_is_listed() {
    let sandbox = with_secrets();
    sandbox.write(
        "environments/production/_print.sh",
        format!("#!/bin/sh\necho {} >&2\necho {}\nexit 7\n", CANARY[0], CANARY[2]),
    );
    sandbox.remove("environments/production/_mage.txt");
    sandbox.replace("environments/production/ingest.yaml", "{env: CANARY}", "{env: MISSING}");
    sandbox.write("environments/development/ingest.yaml", "env: {ALSO: {secret: {env: MISSING}}}\n");
    let run = sandbox.expect(1, &["apply", "--yes"]);
    no_canary("a failed apply", &run.all());
    let error = run.stderr.split("error: ").nth(1).expect("an error");
    assert_eq!(
        error,
        "3 secrets cannot be resolved; nothing was sent\n  \
           environment variable `MISSING` is not set, needed for `env.ALSO` of `ingest-development` and 1 more\n  \
           command `sh _print.sh` failed with exit status: 7; the 17 bytes that it wrote to stderr are not shown, because they may \
         hold secrets, needed for `env.FROM_COMMAND` of `ingest-production`\n  \
           file `production/_mage.txt` does not exist, needed for `secrets.slack_webhook` of `ingest-production`\n  \
           help: run it by hand in the folder of the file that names it, to see what it says\n  \
           help: set it where `magus apply` runs\n  \
           help: the path is relative to the directory of the declarations, and read where `magus apply` runs\n"
    );
    assert!(
        !sandbox.file("store/workspaces").exists()
            || std::fs::read_dir(sandbox.file("store/workspaces")).expect("a folder").next().is_none()
    );
}

#[test]
fn a_declared_command_runs_once_however_many_steps_need_it() {
    let sandbox = with_secrets();
    sandbox.write("environments/production/_print.sh", "#!/bin/sh\necho run >> runs\necho x-value\n");
    sandbox.write(
        "environments/production/other.yaml",
        "env: {A: {secret: {command: [sh, _print.sh]}}, B: {secret: {command: [sh, _print.sh]}, version: 2}}\n",
    );
    sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(sandbox.read("environments/production/runs"), "run\n");
}

#[test]
fn a_value_that_changed_without_a_version_is_reported_and_sent_on_request() {
    let sandbox = with_secrets();
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.write("environments/production/_canary.txt", "kAnArY-new-value-31c7\n");
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    let run = sandbox.expect(0, &["apply", "--yes"]);
    assert!(run.all().contains("env.FROM_FILE") && run.all().contains("--refresh-secrets"), "{}", run.all());
    let env = || sandbox.read("store/workspaces/ingest-production/.env");
    assert!(env().contains(CANARY[1]));
    let run = sandbox.expect(0, &["apply", "--yes", "--refresh-secrets", "production"]);
    assert!(!run.all().contains("kAnArY"), "{}", run.all());
    assert!(env().contains("kAnArY-new-value-31c7"));
    let run = sandbox.expect(0, &["apply", "--yes"]);
    assert!(!run.all().contains("--refresh-secrets"), "{}", run.all());
    // A new version is how a rotation is declared.
    sandbox.write("environments/production/_print.sh", "#!/bin/sh\necho kAnArY-rotated-77\n");
    sandbox.replace("environments/production/ingest.yaml", "version: 1", "version: 2");
    let plan = sandbox.plan(&[]);
    assert_eq!(plan["steps"][0]["fields"][0]["sensitive"], serde_json::json!(true), "{plan:#}");
    sandbox.expect(0, &["apply", "--yes"]);
    assert!(env().contains("kAnArY-rotated-77"));
}
