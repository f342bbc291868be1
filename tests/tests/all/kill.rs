//! `kill -9` at any moment of an apply: the store opens, and the next apply converges.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    time::{Duration, Instant},
};

use magus_tests::{Sandbox, cases};

const WORKSPACES: usize = 200;

/// One environment with many workspaces, each with a secret and a variable that changes from round to round.
fn many(sandbox: &Sandbox, round: usize) {
    for number in 0..WORKSPACES {
        sandbox.write(
            &format!("environments/development/ws-{number}.yaml"),
            format!(
                "env: {{ROUND: \"{round}\", TOKEN: {{secret: {{file: ../_token}}, version: {round}}}}}\n"
            ),
        );
    }
}

#[test]
fn killed_at_random_moments() {
    let sandbox = Sandbox::with(&[
        (
            "environments/cluster.yaml",
            "name: acme\nengine: {local: {path: ../store}}\nlimits: {max_deletes: 100%}\n",
        ),
        ("environments/development/environment.yaml", "{}\n"),
        ("environments/_token", "kAnArY-token\n"),
    ]);
    many(&sandbox, 0);
    // How long the steps of an undisturbed apply take, so that the moments are spread over all of them.
    let (_, mut whole) = applied_until(&sandbox, None);
    let wanted = cases(12, 50);
    let (mut killed, mut round) = (0, 0);
    while killed < wanted {
        round += 1;
        assert!(round <= 4 * wanted, "only {killed} of {round} applies were killed before their end");
        many(&sandbox, round);
        for number in (round * 7..WORKSPACES).step_by(41) {
            // Some are gone and come back, so that deletes and creates are interrupted as well.
            sandbox.remove(&format!("environments/development/ws-{number}.yaml"));
        }
        let moment = whole.mul_f64((round as f64 * 0.618_034).fract());
        match applied_until(&sandbox, Some(moment)) {
            (true, _) => killed += 1,
            // This one was faster than the last.
            (false, took) => whole = whole.min(took),
        }

        let plan = sandbox.plan(&[]);
        assert_eq!(plan["unknown"].as_array().map(Vec::len), Some(0), "after kill {round}: {plan:#}");
        assert_eq!(plan["unmanaged"].as_array().map(Vec::len), Some(0), "after kill {round}: {plan:#}");
        sandbox.expect(0, &["apply", "--yes"]);
        sandbox.expect(0, &["plan", "--detailed-exitcode"]);
        whole_folders(&sandbox, round);
    }
}

/// Applies, and kills the apply so long after its first step if it is still at work then. Whether it was killed, and
/// how long its steps took.
pub(crate) fn applied_until(sandbox: &Sandbox, moment: Option<Duration>) -> (bool, Duration) {
    let mut command = sandbox.command(&["apply", "--yes", "-j", "4"]);
    let mut apply = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("magus starts");
    // The clock starts with the first step, not with the process.
    let mut stderr = BufReader::new(apply.stderr.take().expect("piped"));
    let _ = stderr.read_line(&mut String::new());
    let begin = Instant::now();
    // What it says goes on being read, so that it never waits for us.
    let reader = std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    let mut killed = false;
    while apply.try_wait().expect("a status").is_none() {
        if moment.is_some_and(|moment| begin.elapsed() >= moment) {
            apply.kill().expect("killed");
            killed = true;
            break;
        }
        std::thread::park_timeout(Duration::from_micros(200));
    }
    apply.wait().expect("ended");
    reader.join().expect("read").expect("read");
    (killed, begin.elapsed())
}

/// Every workspace has one whole `.env` of this round, and nothing else lies about.
fn whole_folders(sandbox: &Sandbox, round: usize) {
    let folder = sandbox.file("store/workspaces");
    let mut found = 0;
    for entry in std::fs::read_dir(&folder).expect("workspaces") {
        let entry = entry.expect("an entry").path();
        let text = std::fs::read_to_string(entry.join(".env")).expect("variables");
        assert!(text.contains("kAnArY-token") && text.contains("TOKEN"), "{}: {text}", entry.display());
        assert!(text.contains(&round.to_string()), "{}: {text}", entry.display());
        for file in std::fs::read_dir(&entry).expect("a folder") {
            let name = file.expect("an entry").file_name();
            assert!(name == ".env" || name == "code", "left over: {}/{}", entry.display(), name.display());
        }
        found += 1;
    }
    let declared = std::fs::read_dir(sandbox.file("environments/development")).expect("declared").count() - 1;
    assert_eq!(found, declared);
}
