//! Makes everything that tests with real servers need, before they run: told once, with the time that it took.

use std::{io::Write as _, process::ExitCode, time::Instant};

use magus_tests::mage::{database, ecs_environment, environment, kube_apiserver};

fn main() -> ExitCode {
    let mut out = std::io::stdout().lock();
    for (what, make) in [
        ("mage", environment as fn() -> _),
        ("its database", database),
        ("moto", ecs_environment),
        ("kube-apiserver", kube_apiserver),
    ] {
        let begin = Instant::now();
        // The tests that need it say the rest: skipped by name, or failed where it is required.
        let _ = match make() {
            Ok(path) => writeln!(out, "{what}: {} ({} s)", path.display(), begin.elapsed().as_secs()),
            Err(missing) => writeln!(out, "{missing}"),
        };
    }
    ExitCode::SUCCESS
}
