//! A directory of declarations from texts, and findings as lines.

use magus_load::{Loaded, load_texts};
use magus_model::{
    desired::{Desired, Workspace},
    diagnostic::{self, Diagnostic},
};

use crate::{BranchFacts, Resolution, TakenNames};

/// A `cluster.yaml` that is enough.
pub(crate) const CLUSTER: (&str, &str) =
    ("cluster.yaml", "name: acme\nengine: {local: {path: ../.magus/acme}}\n");

/// The directory `environments/` with these files.
pub(crate) fn load(files: &[(&str, &str)]) -> Loaded {
    load_texts(files)
}

/// Findings as `production/ana.yaml:1:2 MG101 message`, in the order in which they are shown.
pub(crate) fn lines(diagnostics: &[Diagnostic], loaded: &Loaded) -> Vec<String> {
    let mut diagnostics = diagnostics.to_vec();
    diagnostic::sort(&mut diagnostics, &loaded.sources);
    diagnostics
        .iter()
        .map(|diagnostic| {
            let origin =
                loaded.sources.origin(diagnostic.span).map_or_else(String::new, |origin| origin.to_string());
            let origin = origin.strip_prefix("environments/").unwrap_or(&origin);
            format!("{origin} {} {}", diagnostic.rule.code, diagnostic.message)
        })
        .collect()
}

/// Resolves without looking at the schemas.
pub(crate) fn resolve(loaded: &Loaded) -> Resolution {
    let facts =
        BranchFacts { branches: &|_| Err("not looked for".into()), taken: &|_| TakenNames::default() };
    crate::resolve(loaded, |_| Vec::new(), facts)
}

/// Checks what is found in a directory.
#[track_caller]
pub(crate) fn check(files: &[(&str, &str)], expected: &[&str]) -> Resolution {
    let loaded = load(files);
    assert_eq!(loaded.diagnostics, [], "the files do not parse");
    let resolution = resolve(&loaded);
    let found = lines(&resolution.diagnostics, &loaded);
    assert_eq!(found, expected, "\nfound:\n{}\n", found.join("\n"));
    resolution
}

/// A workspace's fields as `path = value (layer)`.
pub(crate) fn fields(desired: &Desired, name: &str) -> Vec<String> {
    let workspace = find(desired, name);
    workspace
        .fields
        .iter()
        .map(|field| format!("{} = {} ({})", field.path, field.value, field.layer))
        .collect()
}

/// The workspace with this name in its cluster.
#[track_caller]
pub(crate) fn find<'d>(desired: &'d Desired, name: &str) -> &'d Workspace {
    desired
        .clusters
        .iter()
        .flat_map(|cluster| &cluster.environments)
        .flat_map(|environment| &environment.workspaces)
        .find(|workspace| workspace.name.as_str() == name)
        .unwrap_or_else(|| panic!("there is no workspace {name}"))
}
