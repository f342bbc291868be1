//! Every way in which a reference gives a value or does not.

use std::{
    os::unix::{ffi::OsStringExt, fs::PermissionsExt},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use magus_model::Text;
use tempfile::TempDir;

use super::*;

fn reference(source: SecretSource) -> SecretReference {
    SecretReference { source, version: None, keep: false }
}

fn env(name: &str) -> SecretReference {
    reference(SecretSource::Env(name.into()))
}

fn file(path: &str) -> SecretReference {
    reference(SecretSource::File(path.into()))
}

fn command(words: &[&str], folder: &str) -> SecretReference {
    let words = words.iter().map(|word| Text::from(*word)).collect();
    reference(SecretSource::Command { words, folder: folder.into() })
}

fn shell(script: &str) -> SecretReference {
    command(&["sh", "-c", script], "")
}

/// A resolver for a folder of its own, with a few variables.
fn resolver() -> (TempDir, Resolver) {
    let root = TempDir::new().expect("a temporary folder");
    let environment: Environment = Box::new(|name| match name {
        "API_KEY" => Some("canary-1".into()),
        "EMPTY" => Some("".into()),
        "LINE" => Some("with a line end\n".into()),
        "BINARY" => Some(OsString::from_vec(vec![0xff, 0xfe])),
        _ => None,
    });
    let resolver = Resolver::new(root.path().to_owned(), environment);
    (root, resolver)
}

fn value(resolver: &Resolver, reference: &SecretReference) -> String {
    resolver.resolve(reference).expect("a value").expose().to_owned()
}

fn fault_of(resolver: &Resolver, reference: &SecretReference) -> Fault {
    resolver.resolve(reference).expect_err("a fault").fault
}

#[test]
fn variables() {
    let (_root, resolver) = resolver();
    assert_eq!(value(&resolver, &env("API_KEY")), "canary-1");
    assert_eq!(value(&resolver, &env("LINE")), "with a line end\n", "a variable is taken as it is");
    assert_eq!(fault_of(&resolver, &env("MISSING")), Fault::NotSet);
    assert_eq!(fault_of(&resolver, &env("EMPTY")), Fault::Empty);
    assert_eq!(fault_of(&resolver, &env("BINARY")), Fault::NotText);
    let error = resolver.resolve(&env("MISSING")).expect_err("not set");
    assert_eq!(error.explain(), "environment variable `MISSING` is not set; set it where `magus apply` runs");
}

#[test]
fn files() {
    let (root, resolver) = resolver();
    let write = |name: &str, bytes: &[u8]| fs::write(root.path().join(name), bytes).expect("written");
    write("unix", b"one\ntwo\n");
    write("dos", b"one\r\n");
    write("two ends", b"one\n\n");
    write("carriage", b"one\r");
    write("binary", &[0xff, 0xfe]);
    write("nul", b"a\0b");
    write("only a line end", b"\n");
    write("limit", &vec![b'a'; LONGEST_VALUE]);
    write("long", &vec![b'a'; LONGEST_VALUE + 1]);
    fs::create_dir(root.path().join("folder")).expect("made");
    assert_eq!(value(&resolver, &file("unix")), "one\ntwo");
    assert_eq!(value(&resolver, &file("dos")), "one");
    assert_eq!(value(&resolver, &file("two ends")), "one\n");
    assert_eq!(value(&resolver, &file("carriage")), "one\r");
    assert_eq!(value(&resolver, &file("limit")).len(), LONGEST_VALUE);
    assert_eq!(fault_of(&resolver, &file("long")), Fault::TooLong);
    assert_eq!(fault_of(&resolver, &file("binary")), Fault::NotText);
    assert_eq!(fault_of(&resolver, &file("nul")), Fault::Nul);
    assert_eq!(fault_of(&resolver, &file("only a line end")), Fault::Empty);
    assert_eq!(fault_of(&resolver, &file("missing")), Fault::NoFile);
    assert_eq!(fault_of(&resolver, &file("folder")), Fault::NotRegular);
}

#[test]
fn commands_run_without_a_shell_in_their_folder_without_input() {
    let (root, resolver) = resolver();
    fs::create_dir(root.path().join("a folder")).expect("made");
    let script = root.path().join("a folder/get");
    let text = root.path().join("text");
    fs::write(&text, "#!/bin/sh\npwd; echo \"$1\"; cat").expect("written");
    fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).expect("executable");
    // Nobody may run what this program has open for writing, and what other tests start at this moment has it open too.
    assert!(Command::new("cp").arg(&text).arg(&script).status().expect("cp starts").success());
    let expected = root.path().canonicalize().expect("a path").join("a folder");
    let seen = value(&resolver, &command(&["./get", "$HOME; `id` *"], "a folder"));
    assert_eq!(seen, format!("{}\n$HOME; `id` *", expected.display()));
}

#[test]
fn commands_that_fail_say_so_and_nothing_else() {
    let (root, resolver) = resolver();
    fs::write(root.path().join("plain"), "no program").expect("written");
    assert_eq!(fault_of(&resolver, &command(&[], "")), Fault::NoProgram);
    assert_eq!(fault_of(&resolver, &command(&["magus-no-such-program"], "")), Fault::ProgramNotFound);
    assert_eq!(fault_of(&resolver, &command(&["./missing"], "")), Fault::ProgramNotFound);
    assert_eq!(fault_of(&resolver, &command(&["./plain"], "")), Fault::NotStarted);
    assert!(matches!(fault_of(&resolver, &command(&["true"], "nowhere")), Fault::NoFolder(_)));
    assert_eq!(fault_of(&resolver, &shell("true")), Fault::Empty);
    assert_eq!(fault_of(&resolver, &shell("echo")), Fault::Empty);
    assert_eq!(fault_of(&resolver, &shell("printf 'a\\000b'")), Fault::Nul);
    assert_eq!(fault_of(&resolver, &shell("printf '\\377'")), Fault::NotText);
    let words = shell("echo canary-out; echo canary-err >&2; exit 3");
    let error = resolver.resolve(&words).expect_err("it fails");
    assert_eq!(error.fault, Fault::Exit { status: "exit status: 3".into(), stderr_bytes: 11 });
    // The words of the command stand in the declaration; what it wrote is nowhere.
    let shown = format!("{error:?} {}", error.explain()).replace("echo canary-err >&2", "");
    assert!(!shown.contains("canary-err"), "{shown}");
    assert!(
        matches!(fault_of(&resolver, &shell("kill -9 $$")), Fault::Exit { status, .. } if status.contains('9'))
    );
}

#[test]
fn output_is_bounded() {
    let (_root, resolver) = resolver();
    let started = Instant::now();
    assert_eq!(fault_of(&resolver, &shell("yes")), Fault::TooLong);
    assert_eq!(value(&resolver, &shell("head -c 300000 /dev/zero | tr '\\0' e >&2; echo ok")), "ok");
    assert!(started.elapsed() < Duration::from_secs(30), "neither waits for the time limit");
}

#[test]
fn a_command_that_hangs_is_stopped_with_all_that_it_started() {
    let (root, resolver) = resolver();
    let resolver = resolver.with_command_timeout(Duration::from_millis(300));
    let pids = root.path().join("pids");
    let script = format!("sleep 600 & echo $! > '{}'; wait", pids.display());
    assert_eq!(fault_of(&resolver, &shell(&script)), Fault::TimedOut(Duration::from_millis(300)));
    let pid = fs::read_to_string(&pids).expect("the pid").trim().to_owned();
    let deadline = Instant::now() + Duration::from_secs(20);
    let gone = || match fs::read_to_string(format!("/proc/{pid}/stat")) {
        // An orphan that nobody collected yet has ended all the same.
        Ok(stat) => stat.contains(") Z "),
        Err(_) => true,
    };
    while !gone() {
        assert!(Instant::now() < deadline, "the child of the command still runs");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Output that has ended does not hide a program that has not.
    assert!(matches!(fault_of(&resolver, &shell("echo a; exec >&-; sleep 600")), Fault::TimedOut(_)));
}

#[test]
fn each_source_is_asked_once_by_however_many_threads() {
    let root = TempDir::new().expect("a temporary folder");
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let environment: Environment = Box::new(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        None
    });
    let resolver = Resolver::new(root.path().to_owned(), environment);
    let log = root.path().join("log");
    let once = shell(&format!("echo run >> '{}'; echo value", log.display()));
    let other_version = SecretReference { version: Some(2), ..once.clone() };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                assert_eq!(value(&resolver, &once), "value");
                assert_eq!(value(&resolver, &other_version), "value");
                assert_eq!(
                    fault_of(&resolver, &env("MISSING")),
                    Fault::NotSet,
                    "a failure is remembered too"
                );
            });
        }
    });
    assert_eq!(fs::read_to_string(&log).expect("the log"), "run\n");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn what_was_resolved_is_redacted_and_never_debugged() {
    let (_root, resolver) = resolver();
    assert_eq!(resolver.redact("canary-1"), "canary-1", "not resolved yet");
    let value = resolver.resolve(&env("API_KEY")).expect("a value");
    assert_eq!(resolver.redact("key canary-1 refused"), "key *** refused");
    assert!(!format!("{value:?} {resolver:?}").contains("canary"));
}
