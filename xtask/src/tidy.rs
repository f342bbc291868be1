//! The rules of the house that no compiler checks.
//!
//! Each check is a function from what the repository holds to findings; all findings come in one run. What a
//! check wants is a table right above it.

use std::collections::BTreeSet;

use crate::{
    Done,
    manifests::{Member, members, read},
    root,
    sources::{Source, holds_word, sources},
};

/// The longest a source file may be.
const LONGEST_FILE: usize = 600;

/// Who may depend on whom of ours, tests and examples left aside. What is not here is not allowed: the planner
/// cannot reach an engine, and nothing that lints or plans can reach what runs a declared command.
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("magus-model", &[]),
    ("magus-load", &["magus-model"]),
    ("magus-schema", &["magus-model"]),
    ("magus-process", &[]),
    ("magus-git", &["magus-model", "magus-process"]),
    ("magus-resolve", &["magus-code", "magus-git", "magus-load", "magus-model", "magus-schema"]),
    ("magus-diff", &["magus-model"]),
    ("magus-check", &["magus-model"]),
    ("magus-plan", &["magus-check", "magus-diff", "magus-model"]),
    ("magus-report", &["magus-check", "magus-diff", "magus-model"]),
    ("magus-secrets", &["magus-model", "magus-process"]),
    ("magus-engine", &["magus-model", "magus-secrets"]),
    ("magus-history", &["magus-git", "magus-model"]),
    ("magus-code", &["magus-git", "magus-load", "magus-model"]),
    ("magus-engine-local", &["magus-engine", "magus-git", "magus-model", "magus-secrets"]),
    ("magus-engine-kubernetes", &["magus-engine", "magus-model", "magus-process"]),
    (
        "magus-engine-mage",
        &[
            "magus-diff",
            "magus-engine",
            "magus-engine-kubernetes",
            "magus-git",
            "magus-model",
            "magus-process",
            "magus-secrets",
        ],
    ),
    ("magus-apply", &["magus-engine", "magus-model", "magus-plan", "magus-secrets"]),
    (
        "magus-cli",
        &[
            "magus-apply",
            "magus-check",
            "magus-code",
            "magus-diff",
            "magus-engine",
            "magus-engine-local",
            "magus-engine-mage",
            "magus-git",
            "magus-history",
            "magus-load",
            "magus-model",
            "magus-plan",
            "magus-process",
            "magus-report",
            "magus-resolve",
            "magus-schema",
            "magus-secrets",
        ],
    ),
    ("magus-tests", &["magus-model"]),
    ("xtask", &["magus-cli", "magus-model", "magus-schema"]),
];

/// Crates from elsewhere that reach the outside world, and who may use them.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("ctrlc", &["magus-cli"]),
    ("git2", &["magus-git", "magus-load"]),
    ("indicatif", &["magus-cli"]),
    ("k8s-openapi", &["magus-engine-kubernetes"]),
    ("kube", &["magus-engine-kubernetes"]),
    ("reqwest", &[]),
    ("rusqlite", &["magus-code", "magus-engine-local", "magus-history"]),
    ("tokio", &["magus-engine-kubernetes"]),
    ("ureq", &["magus-engine-mage"]),
];

/// Stages that go from data to data: no file, no process, no network.
const PURE: &[&str] =
    &["magus-model", "magus-schema", "magus-diff", "magus-check", "magus-plan", "magus-report"];

/// What no pure stage calls.
const IMPURE_CALLS: &[&str] = &["std::fs", "fs::", "std::net", "std::process", "std::thread", "File::open"];

/// What no library calls: the environment, the clock and the user's home are arguments.
const SURROUNDINGS: &[&str] = &[
    "std::env",
    "env::var",
    "env::current_dir",
    "env::temp_dir",
    "home_dir",
    "SystemTime::now",
    "Timestamp::now",
    "Zoned::now",
];

/// Who may look at its surroundings.
const EDGE: &[&str] = &["magus-cli", "magus-tests", "xtask"];

/// Who may print.
const PRINTERS: &[&str] = &["magus-cli", "xtask"];

/// Who may start programs.
const STARTERS: &[&str] =
    &["magus-engine-kubernetes", "magus-git", "magus-process", "magus-secrets", "magus-tests", "xtask"];

/// The task.
pub fn run() -> Done {
    let members = members()?;
    let sources = sources()?;
    let root_manifest = read(&root().join("Cargo.toml"))?;
    let mut findings = Vec::new();
    directions(&members, &mut findings);
    inheritance(&members, &mut findings);
    unused(&members, &sources, &root_manifest, &mut findings);
    calls(&members, &sources, &mut findings);
    files(&sources, &mut findings);
    machine(&sources, &mut findings);
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err("tidy found one thing".to_owned()),
        count => Err(format!("tidy found {count} things")),
    }
}

/// Dependencies point one way.
fn directions(members: &[Member], findings: &mut Vec<String>) {
    for member in members {
        let name = &member.name;
        let Some((_, allowed)) = DIRECTIONS.iter().find(|(of, _)| of == name) else {
            findings.push(format!("{name}: not in the table of directions (xtask/src/tidy.rs)"));
            continue;
        };
        for dependency in member.dependencies.iter().filter(|dependency| !dependency.dev) {
            let other = dependency.name.as_str();
            if dependency.ours && !allowed.contains(&other) {
                findings.push(format!("{name}: must not depend on {other}"));
            }
            if OUTSIDE.iter().any(|(of, users)| *of == other && !users.contains(&name.as_str())) {
                findings.push(format!("{name}: must not depend on {other}, which reaches the outside world"));
            }
        }
    }
}

/// Every crate has the workspace's settings and lints, and lies in a folder of its own name.
fn inheritance(members: &[Member], findings: &mut Vec<String>) {
    for member in members {
        let lines: BTreeSet<&str> = member.manifest.lines().map(str::trim).collect();
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            if !lines.contains(format!("{key}.workspace = true").as_str()) {
                findings.push(format!("{}: `{key}` is not the workspace's", member.name));
            }
        }
        if !member.manifest.contains("[lints]\nworkspace = true") {
            findings.push(format!("{}: the lints are not the workspace's", member.name));
        }
        let folder =
            member.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if folder != member.name && format!("magus-{folder}") != member.name {
            findings.push(format!("{}: its folder is called `{folder}`", member.name));
        }
    }
}

/// Every dependency that a manifest names is used by that crate, and every shared one by some crate.
fn unused(members: &[Member], sources: &[Source], root_manifest: &str, findings: &mut Vec<String>) {
    let mut named = BTreeSet::new();
    for member in members {
        let rust: Vec<_> =
            sources.iter().filter(|source| source.is_rust() && source.is_within(&member.folder)).collect();
        for dependency in &member.dependencies {
            named.insert(dependency.name.as_str());
            let word = dependency.name.replace('-', "_");
            if !rust.iter().any(|source| source.names(&word)) {
                findings.push(format!("{}: depends on {} and never names it", member.name, dependency.name));
            }
        }
    }
    let shared = root_manifest
        .lines()
        .skip_while(|line| line.trim() != "[workspace.dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('=').map(|(name, _)| name.trim()));
    for name in shared.filter(|name| !name.is_empty() && !name.starts_with('#') && !named.contains(name)) {
        findings.push(format!("Cargo.toml: no crate uses the shared dependency {name}"));
    }
}

/// Forbidden calls, crate by crate.
fn calls(members: &[Member], sources: &[Source], findings: &mut Vec<String>) {
    for member in members {
        let name = member.name.as_str();
        let mut forbidden: Vec<(&str, &str)> = Vec::new();
        if PURE.contains(&name) {
            forbidden.extend(IMPURE_CALLS.iter().map(|call| (*call, "this stage goes from data to data")));
        }
        if !EDGE.contains(&name) {
            forbidden.extend(SURROUNDINGS.iter().map(|call| (*call, "a library is handed its surroundings")));
        }
        if !PRINTERS.contains(&name) {
            let prints = ["println!", "eprintln!", "print!", "eprint!"];
            forbidden.extend(prints.map(|call| (call, "only the command line prints")));
        }
        if !STARTERS.contains(&name) {
            forbidden.push(("process::Command", "only magus-secrets starts programs"));
        }
        for source in sources.iter().filter(|source| source.is_product(&member.folder)) {
            for (number, line) in source.code() {
                for (call, why) in forbidden.iter().filter(|(call, _)| holds_word(line, call)) {
                    findings.push(format!("{}:{number}: `{call}`: {why}", source.path));
                }
            }
        }
    }
}

/// Files are short, and lints are expected with a reason and never just allowed.
fn files(sources: &[Source], findings: &mut Vec<String>) {
    // Put together here, so that this file does not hold what it looks for.
    let allows = [concat!("#[", "allow("), concat!("#![", "allow(")];
    for source in sources.iter().filter(|source| source.is_rust()) {
        let lines = source.text.lines().count();
        if lines > LONGEST_FILE {
            findings
                .push(format!("{}: {lines} lines, more than {LONGEST_FILE}: split it by idea", source.path));
        }
        for (number, line) in source.text.lines().enumerate() {
            if allows.iter().any(|allow| line.contains(allow)) {
                let number = number + 1;
                findings.push(format!(
                    "{}:{number}: use `expect` with a reason in place of `allow`",
                    source.path
                ));
            }
        }
    }
}

/// Nothing tells on which machine it was written: no folder of this checkout or this user, no other registry.
fn machine(sources: &[Source], findings: &mut Vec<String>) {
    let mut folders = vec![root().display().to_string()];
    folders.extend(std::env::var("HOME"));
    // A folder right below the root, such as `/src`, says nothing and is found everywhere.
    folders.retain(|folder| folder.matches('/').count() > 1 || folder == "/root");
    for source in sources {
        for (number, line) in source.text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
            let place =
                |folder: &String| line.contains(&format!("{folder}/")) || line.ends_with(folder.as_str());
            if folders.iter().any(place) {
                findings.push(format!("{}:{number}: names a folder of this machine", source.path));
            }
        }
        let (key, home) = match source.path.rsplit('/').next() {
            Some("Cargo.lock") => ("source = ", "https://github.com/rust-lang/crates.io-index"),
            Some("package-lock.json") => ("\"resolved\": ", "https://registry.npmjs.org/"),
            _ => continue,
        };
        for (number, line) in source.text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
            if line.trim_start().starts_with(key) && !line.contains(home) {
                findings.push(format!("{}:{number}: comes from another registry than {home}", source.path));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_in_the_wrong_direction_is_found() {
        let dependency =
            |name: &str, dev| crate::manifests::Dependency { name: name.into(), dev, ours: true };
        let member = Member {
            name: "magus-plan".into(),
            folder: "crates/magus-plan".into(),
            manifest: String::new(),
            dependencies: vec![dependency("magus-secrets", false), dependency("magus-load", true)],
        };
        let mut findings = Vec::new();
        directions(&[member], &mut findings);
        assert_eq!(findings, ["magus-plan: must not depend on magus-secrets"]);
    }
}
