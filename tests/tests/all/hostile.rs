//! Ordinary bad days: files, folders and outputs that are not as they should be.

use std::{
    io::Read,
    os::unix::fs::{PermissionsExt, symlink},
    process::Stdio,
};

use magus_tests::Sandbox;

use crate::fixture::three_stages;

#[test]
fn every_broken_file_is_named_in_one_run() {
    let sandbox = three_stages();
    let files: &[(&str, &[u8], &str)] = &[
        ("syntax", b"env: {A: b\n", "MG001"),
        ("twice", b"env: {}\nenv: {}\n", "MG002"),
        ("bomb", b"env:\n  A: &a [x,x,x,x,x,x,x,x,x,x]\n  B: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n  C: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n  D: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n  E: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n  F: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n", "MG003"),
        ("latin", b"env:\n  A: b\n  CITY: M\xfcnchen\n", "MG005"),
        ("tabs", b"env:\n\tA: b\n", "MG006"),
        ("empty", b"# nothing\n", "MG007"),
        ("several", b"env: {}\n---\nenv: {}\n", "MG008"),
        ("unknown", b"container-config: {}\n", "MG020"),
        ("type", b"env: [1]\n", "MG021"),
    ];
    for (name, bytes, _) in files {
        sandbox.write(&format!("environments/development/{name}.yaml"), bytes);
    }
    sandbox.write("environments/development/large.yaml", format!("# {}\nenv: {{}}\n", "x".repeat(1 << 20)));
    sandbox.write("outside.yaml", "env: {}\n");
    symlink("../../outside.yaml", sandbox.file("environments/development/link.yaml")).expect("a link");
    sandbox.write("environments/development/old.yml", "env: {}\n");
    let run = sandbox.expect(1, &["lint", "--format", "concise"]);
    for (name, _, code) in files.iter().chain(&[("large", &b""[..], "MG004"), ("link", &b""[..], "MG009")]) {
        let line = run
            .stdout
            .lines()
            .find(|line| line.contains(&format!("development/{name}.yaml:")) && line.contains(code));
        assert!(line.is_some(), "{name} {code}:\n{}", run.stdout);
    }
    assert!(run.stdout.contains("latin.yaml:3:10"), "the first bad byte: {}", run.stdout);
    assert!(run.stdout.contains("MG102"), "{}", run.stdout);
    let unknown = run.stdout.lines().find(|line| line.contains("MG020")).expect("a line");
    assert!(sandbox.magus(&["lint"]).stdout.contains("container_config"), "did you mean: {unknown}");
    // Plan and apply refuse, and say the same.
    assert!(sandbox.expect(1, &["apply", "--yes"]).all().contains("MG001"));
    assert!(!sandbox.file("store").exists());
}

#[test]
fn carriage_returns_and_a_byte_order_mark_are_ordinary() {
    let sandbox = three_stages();
    sandbox.write("environments/development/ingest.yaml", "\u{feff}env:\r\n  A: b\r\n  PORT: 80\r\n");
    let run = sandbox.expect(1, &["lint", "--format", "concise"]);
    assert!(run.stdout.contains("ingest.yaml:3:9: error[MG203]"), "{}", run.stdout);
    sandbox.expect(0, &["lint", "--fix"]);
    assert_eq!(
        sandbox.read("environments/development/ingest.yaml").trim_start_matches('\u{feff}'),
        "env:\r\n  A: b\r\n  PORT: \"80\"\r\n"
    );
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn a_missing_directory_says_what_to_do() {
    let sandbox = Sandbox::new();
    for command in ["lint", "plan", "status", "drift"] {
        let run = sandbox.expect(1, &[command]);
        assert!(run.stderr.contains("environments") && run.stderr.contains("magus init"), "{}", run.stderr);
    }
    let run = sandbox.expect(64, &["plna"]);
    assert!(run.stderr.contains("plan"), "{}", run.stderr);
    sandbox.expect(64, &["plan", "--format", "sarif"]);
    sandbox.expect(64, &["plan", "--jobs", "0"]);
    sandbox.expect(64, &["plan", "--max-deletes", "many"]);
    sandbox.expect(0, &["--version"]);
    sandbox.expect(0, &["--help"]);
}

#[test]
fn hostile_names_and_values_do_not_reach_the_terminal_raw() {
    let sandbox = three_stages();
    sandbox.write(
        "environments/development/ingest.yaml",
        "env: {EVIL: \"\\e[2J\\e]0;pwned\\a\\u202e\", \"A\\e[31m\": x}\n",
    );
    for arguments in
        [&["lint"][..], &["plan"], &["plan", "--format", "markdown"], &["explain", "development/ingest"]]
    {
        let run = sandbox.magus(arguments);
        assert!(
            !run.all().contains('\u{1b}') && !run.all().contains('\u{202e}'),
            "{arguments:?}: {:?}",
            run.all()
        );
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let sandbox = three_stages();
    for number in 0..400 {
        sandbox.write(&format!("environments/development/ws-{number}.yaml"), "env: {A: \"1\"}\n");
    }
    let mut child = sandbox
        .command(&["plan", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut first = [0; 10];
    child.stdout.take().expect("piped").read_exact(&mut first).expect("some output");
    let output = child.wait_with_output().expect("ends");
    assert_eq!(
        (output.status.code(), output.stderr.len()),
        (Some(0), 0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_read_only_store_can_be_planned() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    let folder = sandbox.file("store");
    let set = |mode: u32| {
        for (path, _) in magus_tests::files_below(&folder) {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o666))
                .expect("permissions");
        }
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).expect("permissions");
    };
    set(0o555);
    let run = sandbox.magus(&["plan", "--detailed-exitcode"]);
    set(0o755);
    assert_eq!(run.code, Some(0), "{}", run.all());
}

#[test]
fn colours_only_where_they_are_wanted() {
    let mut sandbox = three_stages();
    assert!(!sandbox.magus(&["plan"]).stdout.contains('\u{1b}'));
    assert!(sandbox.magus(&["plan", "--color", "always"]).stdout.contains('\u{1b}'));
    sandbox.set("CLICOLOR_FORCE", "1");
    assert!(sandbox.magus(&["plan"]).stdout.contains('\u{1b}'));
    sandbox.set("NO_COLOR", "1");
    assert!(!sandbox.magus(&["plan"]).stdout.contains('\u{1b}'));
}
