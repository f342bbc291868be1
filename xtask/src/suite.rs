//! Everything that has to pass, in one command: `cargo xtask test`.
//!
//! Every part runs even where one before it failed, each under a heading of its own; the last line counts.
//! A part, or a test, whose tools are not on this machine is skipped by name. `CI=true` and `--require` turn
//! such a skip into a failure.

use std::collections::BTreeSet;

use clap::{Args, builder::PossibleValuesParser};

use crate::{
    Done, codegen,
    process::{cargo, program, run as run_program, run_and_look, works},
    root, tidy,
};

/// Tools that tests need and not every machine has.
const TOOLS: &[&str] = &["cargo-deny", "kube", "mage", "node"];

#[derive(Args)]
pub struct Options {
    /// With the large counts of random cases
    #[arg(long)]
    full: bool,
    /// Tools whose absence is a failure and no reason to skip; with CI=true all of them
    #[arg(long, value_delimiter = ',', value_name = "TOOL", value_parser = PossibleValuesParser::new(TOOLS))]
    require: Vec<String>,
}

/// How many of everything.
#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: Vec<String>,
    failures: Vec<String>,
}

/// The task.
pub fn run(options: &Options) -> Done {
    let required = required(options);
    let mut counts = Counts::default();
    counts.part("cargo fmt --all --check", || run_program(cargo("fmt --all --check")));
    counts.part("codegen --check", codegen::check);
    counts.part("tidy", tidy::run);
    counts.part("cargo clippy --workspace --all-targets -- -D warnings", || {
        run_program(cargo("clippy --workspace --all-targets --quiet -- --deny warnings"))
    });
    deny(&required, &mut counts);
    // The integration tests run the program itself.
    counts.part("cargo build", || run_program(cargo("build --quiet --package magus-cli")));
    bed(&required, &mut counts);
    tests(options, &required, &mut counts);
    counts.close()
}

fn required(options: &Options) -> BTreeSet<String> {
    let mut required: BTreeSet<String> = options.require.iter().cloned().collect();
    if required.is_empty() && std::env::var("CI").is_ok_and(|value| value == "true") {
        required.extend(TOOLS.iter().map(|tool| (*tool).to_owned()));
    }
    required
}

/// The required tools as tests read them.
fn list(required: &BTreeSet<String>) -> String {
    required.iter().map(String::as_str).collect::<Vec<_>>().join(",")
}

/// Licences, sources and bans always; advisories where their database is at hand or can be fetched.
fn deny(required: &BTreeSet<String>, counts: &mut Counts) {
    if !works(cargo("deny --version")) {
        counts.missing("cargo-deny", required.contains("cargo-deny"));
        return;
    }
    counts.part("cargo deny check bans licenses sources", || {
        run_program(cargo("deny check --hide-inclusion-graph bans licenses sources"))
    });
    if works(cargo("deny fetch db")) {
        counts.part("cargo deny check advisories", || {
            run_program(cargo("deny check --disable-fetch advisories"))
        });
    } else {
        // No tool is missing: the database of advisories lives on a host that is not always reachable.
        counts.skip("cargo deny check advisories: its database cannot be fetched here");
    }
}

/// Mage, AWS and Kubernetes for tests: made under target/ the first time, which takes minutes, and the cluster tested.
fn bed(required: &BTreeSet<String>, counts: &mut Counts) {
    counts.part("real servers for tests", || {
        let mut command = cargo("run --quiet --package magus-tests --bin magus-test-bed");
        command.env("MAGUS_REQUIRE", list(required));
        run_program(command)
    });
    if !works(program(&["go", "version"])) {
        counts.missing("kube", required.contains("kube"));
        return;
    }
    counts.part("go vet and go test in tests/kube", || {
        let kube = root().join("tests/kube");
        // Testing would vet again, with other checks than vet and as slowly: everything that the server is made of.
        for words in [&["go", "vet", "./..."][..], &["go", "test", "-vet=off", "./..."]] {
            let mut go = program(words);
            go.current_dir(&kube);
            run_program(go)?;
        }
        Ok(())
    });
}

fn tests(options: &Options, required: &BTreeSet<String>, counts: &mut Counts) {
    let mut command = cargo("test --workspace --no-fail-fast");
    if options.full {
        command.env("MAGUS_CASES", "full");
    }
    // A count that somebody has set stays as it is.
    if std::env::var_os("PROPTEST_CASES").is_none() {
        command.env("PROPTEST_CASES", if options.full { "2048" } else { "128" });
    }
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        command.env("RUST_TEST_THREADS", threads().to_string());
    }
    command.env("MAGUS_REQUIRE", list(required));
    let (mut passed, mut failed, mut ignored) = (0, 0, 0);
    let mut skipped = BTreeSet::new();
    heading("cargo test --workspace");
    let done = run_and_look(command, |line| {
        if let Some([more_passed, more_failed, more_ignored]) = summary(line) {
            passed += more_passed;
            failed += more_failed;
            ignored += more_ignored;
        }
        skipped.extend(line.strip_prefix("skipped: ").map(str::to_owned));
    });
    // A test that misses a program says so and ends; the test runner takes that for passed.
    counts.passed += passed - skipped.len().min(passed);
    counts.failed += failed;
    if ignored > 0 {
        counts.skip(&format!("{ignored} tests that are marked as ignored"));
    }
    for skip in skipped {
        counts.skip(&skip);
    }
    if let Err(why) = done {
        // Where no test failed, something did not build.
        counts.failed += usize::from(failed == 0);
        counts.failures.push(why);
    }
}

/// How many tests run at once. Those with servers wait more than they work.
fn threads() -> usize {
    const FEWEST: usize = 4;
    std::thread::available_parallelism().map_or(FEWEST, |processors| processors.get().max(FEWEST))
}

/// The numbers of `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn summary(line: &str) -> Option<[usize; 3]> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut parts = numbers.split("; ");
    let mut next = |word: &str| parts.next()?.strip_suffix(word)?.trim().parse().ok();
    Some([next("passed")?, next("failed")?, next("ignored")?])
}

fn heading(title: &str) {
    println!("\n==> {title}");
}

impl Counts {
    fn part(&mut self, title: &str, part: impl FnOnce() -> Done) {
        heading(title);
        match part() {
            Ok(()) => self.passed += 1,
            Err(why) => {
                println!("{why}");
                self.failed += 1;
                self.failures.push(format!("{title}: {why}"));
            }
        }
    }

    fn missing(&mut self, tool: &str, required: bool) {
        if required {
            self.part(tool, || Err(format!("{tool} is required and not on this machine")));
        } else {
            self.skip(&format!("{tool}: not on this machine"));
        }
    }

    fn skip(&mut self, what: &str) {
        println!("\n==> skipped: {what}");
        self.skipped.push(what.to_owned());
    }

    fn close(self) -> Done {
        println!();
        for skipped in &self.skipped {
            println!("skipped: {skipped}");
        }
        for failure in &self.failures {
            println!("failed: {failure}");
        }
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped.len());
        if self.failed == 0 { Ok(()) } else { Err("not everything passed".to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_a_test_program_is_read() {
        let line =
            "test result: ok. 12 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(summary(line), Some([12, 1, 2]));
        assert_eq!(
            summary("test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured"),
            Some([1, 3, 0])
        );
        assert_eq!(summary("test tidy::tests::a ... ok"), None);
    }
}
