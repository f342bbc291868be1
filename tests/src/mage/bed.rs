//! Makes everything that tests with real servers need, before they run: told once, with the time that it took.

use std::{io::Write as _, process::ExitCode, time::Instant};

use magus_tests::{
    mage::{Missing, database, ecs_environment, environment, kube_apiserver},
    required,
};

fn main() -> ExitCode {
    let mut out = std::io::stdout().lock();
    let mut missing: Vec<Missing> = Vec::new();
    for (what, make) in [
        ("mage", environment as fn() -> _),
        ("its database", database),
        ("moto", ecs_environment),
        ("kube-apiserver", kube_apiserver),
    ] {
        let begin = Instant::now();
        match make() {
            Ok(path) => {
                let _ = writeln!(out, "{what}: {} ({} s)", path.display(), begin.elapsed().as_secs());
            }
            // One reason can keep several from being made.
            Err(why) if missing.contains(&why) => {}
            Err(why) => {
                let _ = writeln!(out, "{why}");
                missing.push(why);
            }
        }
    }
    // Where it is not required, the tests that need it are skipped by name.
    if missing.iter().any(|missing| required(missing.tool)) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
