//! Makes everything that tests with real servers need, before they run: told once, with the time that it took.

use std::{io::Write as _, process::ExitCode, time::Instant};

use magus_tests::{
    mage::{database, ecs_environment, environment, kube_apiserver},
    required,
};

fn main() -> ExitCode {
    let mut out = std::io::stdout().lock();
    let mut code = ExitCode::SUCCESS;
    for (what, make) in [
        ("mage", environment as fn() -> _),
        ("its database", database),
        ("moto", ecs_environment),
        ("kube-apiserver", kube_apiserver),
    ] {
        let begin = Instant::now();
        let _ = match make() {
            Ok(path) => writeln!(out, "{what}: {} ({} s)", path.display(), begin.elapsed().as_secs()),
            Err(missing) => {
                // Where it is not, the tests that need it are skipped by name.
                if required(missing.tool) {
                    code = ExitCode::FAILURE;
                }
                writeln!(out, "{missing}")
            }
        };
    }
    code
}
