//! Rules about clusters and environments: names, MG022, MG108, MG113, MG115, MG116, and `lint` itself.

use std::collections::{BTreeMap, BTreeSet};

use magus_load::Document;
use magus_model::{
    Text,
    diagnostic::Diagnostic,
    rules,
    span::Span,
    tree::{Node, NodeKind},
};

use super::version;
use crate::{directory::Directory, layer, lint, names, resolve::Environs};

/// The version of Magus that `requires` is held against.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Checks one `cluster.yaml`.
pub(crate) fn check_file(root: &Node, findings: &mut Vec<Diagnostic>) {
    if let Some((name, span)) = layer::text(root, "name") {
        findings.extend(names::invalid_scope("a cluster", name, span));
    }
    if let Some((wanted, span)) = layer::text(root, "requires") {
        findings.extend(requires(wanted, span));
    }
    findings.extend(root.get("lint").map_or(&[][..], Node::entries).iter().filter_map(lint::check));
    for engine in root.get("engine").map_or(&[][..], Node::entries) {
        if engine.key.as_str() == "mage"
            && let Some((url, span)) = layer::text(&engine.value, "url")
            && !["https://", "http://"]
                .iter()
                .any(|scheme| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
        {
            findings.push(
                Diagnostic::new(&rules::INVALID_VALUE, span, format!("`{url}` is no address of a server"))
                    .help("write it as people open it in a browser: `url: https://mage.example.com`"),
            );
        }
        if engine.key.as_str() == "kubernetes" {
            findings.push(
                Diagnostic::new(
                    &rules::ENGINE_UNAVAILABLE,
                    engine.key_span,
                    format!("the engine `{}` is not in this version of Magus", engine.key),
                )
                .help(format!(
                    "Magus {VERSION} has `mage`, for the Mage server of that cluster, and `local`, for this machine"
                )),
            );
        }
    }
}

fn requires(wanted: &str, span: Span) -> Option<Diagnostic> {
    match version::satisfies(wanted, VERSION) {
        Some(true) => None,
        Some(false) => Some(
            Diagnostic::new(
                &rules::REQUIRES,
                span,
                format!("this directory needs Magus `{wanted}`, and this is {VERSION}"),
            )
            .help("install a version that fits, or change `requires`"),
        ),
        None => Some(
            Diagnostic::new(
                &rules::INVALID_VALUE,
                span,
                format!("`{wanted}` is no requirement of a version"),
            )
            .help("write `>=0.1`, or several with commas: `>=0.1, <0.3`"),
        ),
    }
}

/// Checks what every environment has of a cluster, and clusters against one another.
pub(crate) fn check(
    directory: &Directory<'_>,
    environs: &[Environs<'_, '_>],
    findings: &mut Vec<Diagnostic>,
) {
    let mut reported = BTreeSet::new();
    for environs in environs {
        let folder = environs.folder;
        if folder.span() != Span::BUILT_IN {
            findings.extend(names::invalid_scope("an environment", folder.name, folder.span()));
        }
        let files: Vec<&Document<'_>> = directory.clusters(Some(folder)).collect();
        let Some(nearest) = files.last() else {
            if folder.span() != Span::BUILT_IN {
                findings.push(
                    Diagnostic::new(
                        &rules::NO_CLUSTER,
                        folder.span(),
                        format!("environment `{}` has no cluster", folder.name),
                    )
                    .help(format!(
                        "write `cluster.yaml` beside the environments, or `{}/cluster.yaml`",
                        folder.name
                    )),
                );
            }
            continue;
        };
        let broken =
            files.iter().any(|file| !matches!(&file.root, Some(Node { kind: NodeKind::Map(_), .. })));
        for key in ["name", "engine"] {
            let given = files.iter().any(|file| file.root.as_ref().and_then(|root| root.get(key)).is_some());
            if !given && !broken && reported.insert((key, nearest.file.id)) {
                findings.push(missing(key, Span::start_of(nearest.file.id), environs.folder.name));
            }
        }
    }
    if let (Some(root), true) = (directory.cluster, environs.is_empty())
        && let Some(NodeKind::Map(_)) = root.root.as_ref().map(|node| &node.kind)
    {
        for key in ["name", "engine"] {
            if root.root.as_ref().and_then(|node| node.get(key)).is_none() {
                findings.push(
                    Diagnostic::new(
                        &rules::MISSING_KEY,
                        Span::start_of(root.file.id),
                        format!("the cluster has no `{key}`"),
                    )
                    .help(help_for(key)),
                );
            }
        }
    }
    shared(directory, environs, findings);
}

fn missing(key: &str, span: Span, environment: &str) -> Diagnostic {
    let message = format!("the cluster of environment `{environment}` has no `{key}`");
    Diagnostic::new(&rules::MISSING_KEY, span, message).help(help_for(key))
}

fn help_for(key: &str) -> &'static str {
    match key {
        "engine" => "say how it is reached: `engine: {local: {path: ../.magus/NAME}}`",
        _ => "give it a name: `name: NAME`",
    }
}

/// One engine has one name and one owner, and one name one engine: MG115.
fn shared(directory: &Directory<'_>, environs: &[Environs<'_, '_>], findings: &mut Vec<Diagnostic>) {
    struct Declared<'a> {
        name: (&'a Text, Span),
        owner: Option<(&'a Text, Span)>,
        engine: (&'static str, &'a Text, Span),
    }
    let root = directory.cluster.map(|document| document.file.id);
    let mut declared: Vec<Declared<'_>> = environs
        .iter()
        .filter_map(|environs| {
            let engine = environs.scope.engine.as_ref()?;
            let (kind, identity, span) = (engine.kind, &engine.identity, engine.span);
            Some(Declared {
                name: environs.scope.cluster?,
                owner: environs.scope.managed_by,
                engine: (kind, identity, span),
            })
        })
        .collect();
    // What the root says is taken as given, and what an environment says of its own as the exception.
    let own = |span: Span| Some(span.file) != root;
    declared.sort_by_key(|cluster| {
        (own(cluster.name.1), own(cluster.engine.2), cluster.owner.is_some_and(|(_, span)| own(span)))
    });
    let mut by_engine: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
    let mut reported = BTreeSet::new();
    for (at, cluster) in declared.iter().enumerate() {
        let engine = (cluster.engine.0, cluster.engine.1.as_str());
        let name = cluster.name.0.as_str();
        let first = &declared[*by_engine.entry(engine).or_insert(at)];
        if first.name.0 != cluster.name.0 {
            if reported.insert(cluster.name.1) {
                findings.push(
                    Diagnostic::new(
                        &rules::SAME_CLUSTER,
                        cluster.name.1,
                        format!("`{name}` and `{}` are one cluster: they share an engine", first.name.0),
                    )
                    .related(first.name.1, format!("`{}` is named here", first.name.0))
                    .related(cluster.engine.2, "the engine that they share")
                    .help("one cluster has one name; give each its own engine, or both the same name"),
                );
            }
            continue;
        }
        let same_name = &declared[*by_name.entry(name).or_insert(at)];
        if same_name.engine.1 != cluster.engine.1 || same_name.engine.0 != cluster.engine.0 {
            if reported.insert(cluster.engine.2) {
                findings.push(
                    Diagnostic::new(
                        &rules::SAME_CLUSTER,
                        cluster.engine.2,
                        format!("`{name}` has two engines"),
                    )
                    .related(same_name.engine.2, "its other engine")
                    .help("one name stands for one cluster: give this one a name of its own"),
                );
            }
            continue;
        }
        let owner =
            |cluster: &Declared<'_>| cluster.owner.map_or(cluster.name.0.clone(), |(owner, _)| owner.clone());
        if owner(first) != owner(cluster) {
            let span = cluster.owner.map_or(cluster.name.1, |(_, span)| span);
            let other = first.owner.map_or(first.name.1, |(_, span)| span);
            if reported.insert(span) {
                findings.push(
                    Diagnostic::new(
                        &rules::SAME_CLUSTER,
                        span,
                        format!("`{name}` is managed by `{}` and by `{}`", owner(first), owner(cluster)),
                    )
                    .related(other, "the other owner")
                    .help("one cluster has one `managed_by` in a directory"),
                );
            }
        }
    }
}
