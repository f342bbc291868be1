//! Rules about workspaces with all layers applied, alone and together: MG103, MG109 for `${branch}`, MG111, MG114,
//! MG202, MG702.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use magus_model::{
    Text,
    desired::Field,
    diagnostic::Diagnostic,
    quantity::Quantity,
    rules,
    span::Span,
    tree::{Node, NodeKind},
    value::{FieldValue, Value},
};

use super::container;
use crate::{
    layer::{Content, Leaf, Setting, tree_order},
    placeholder::{self, Variables},
    resolve::{AUTO_TERMINATION, Environs, Resolved},
    scope::DEFAULT_WORKSPACE_NAME,
};

/// Checks the fields of one workspace, ordered by path.
pub(crate) fn check_fields(fields: &[Field], environs: &Environs<'_, '_>, findings: &mut Vec<Diagnostic>) {
    requests(fields, findings);
    container::check(fields, findings);
    auto_termination(fields, environs, findings);
}

/// The fields below a prefix, each with the rest of its path.
pub(crate) fn below<'f>(fields: &'f [Field], prefix: &'f str) -> impl Iterator<Item = (&'f str, &'f Field)> {
    let from = fields.partition_point(|field| field.path.as_str() < prefix);
    fields[from..].iter().map_while(move |field| Some((field.path.as_str().strip_prefix(prefix)?, field)))
}

/// MG202: Kubernetes refuses a container whose request is larger than its limit.
fn requests(fields: &[Field], findings: &mut Vec<Diagnostic>) {
    let limits: HashMap<&str, &Field> = below(fields, "container_config.resources.limits").collect();
    for (resource, request) in below(fields, "container_config.resources.requests") {
        let Some(limit) = limits.get(resource).copied() else { continue };
        let (asked, allowed) = (request.value.to_string(), limit.value.to_string());
        if Quantity::compare(&asked, &allowed) != Some(std::cmp::Ordering::Greater) {
            continue;
        }
        let resource = resource.trim_start_matches(['.', '[', '"']).trim_end_matches(['"', ']']);
        // The higher layer is where the mistake was made: the other one was there before.
        let (here, other, what) = if request.layer >= limit.layer {
            (request, limit, "limit")
        } else {
            (limit, request, "request")
        };
        findings.push(
            Diagnostic::new(
                &rules::REQUESTS_OVER_LIMITS,
                here.span,
                format!("the request for {resource}, `{asked}`, is larger than its limit, `{allowed}`"),
            )
            .related(other.span, format!("the {what} is written here ({})", other.layer))
            .help("raise the limit, or lower the request: Kubernetes refuses the workspace as it is"),
        );
    }
}

/// MG702: in production, pipelines would stop with the workspace.
fn auto_termination(fields: &[Field], environs: &Environs<'_, '_>, findings: &mut Vec<Diagnostic>) {
    let Ok(at) = fields.binary_search_by(|field| field.path.as_str().cmp(AUTO_TERMINATION)) else { return };
    if fields[at].value != FieldValue::Plain(Value::Bool(true)) {
        return;
    }
    let name = environs.folder.name;
    let scope = &environs.scope;
    let why = if ["production", "prod"].contains(&name.as_str()) {
        format!("`{name}` is production")
    } else if scope.protected {
        format!("`{name}` is protected")
    } else if scope.stage.last {
        format!("`{name}` is the last stage")
    } else {
        return;
    };
    findings.push(
        Diagnostic::new(
            &rules::PRODUCTION_AUTO_TERMINATION,
            fields[at].span,
            format!("auto-termination is on in production: {why}"),
        )
        .related(environs.folder.span(), "the environment")
        .help("a stopped workspace runs no schedule: set `enable_auto_termination: false` there"),
    );
}

/// MG109: `${branch}` where there is none, in the settings of one layer.
pub(crate) fn branchless<'s>(
    settings: impl IntoIterator<Item = &'s Setting<'s>>,
    variables: &Variables<'_>,
    environment: &str,
    findings: &mut Vec<Diagnostic>,
) {
    if variables.branch.is_some() {
        return;
    }
    for setting in settings {
        let (Content::Leaf(node) | Content::Item(node)) = setting.content else { continue };
        if let Some(span) = branch_in(node) {
            findings.push(
                Diagnostic::new(
                    &rules::UNKNOWN_PLACEHOLDER,
                    span,
                    format!("`${{branch}}` stands for nothing: environment `{environment}` has no branch"),
                )
                .help(format!(
                    "set `branch` in `{environment}/environment.yaml`; a literal `${{branch}}` is written `$${{branch}}`"
                )),
            );
        }
    }
}

/// MG708: `null` in a workspace where no layer below it says anything. Both are in the order of layers.
pub(crate) fn removes_nothing<L: Leaf>(own: &[Setting<'_>], lower: &[L], findings: &mut Vec<Diagnostic>) {
    for setting in own.iter().filter(|setting| matches!(setting.content, Content::Removed)) {
        let path = setting.path.as_str();
        let at = lower.partition_point(|leaf| tree_order(leaf.path().as_str(), path).is_lt());
        let sets = lower.get(at).is_some_and(|leaf| leaf.path().is_within(path));
        // A value above it goes when a map takes its place.
        let mut above = path.match_indices(['.', '[']).map(|(at, _)| &path[..at]);
        let replaces =
            above.any(|above| lower.binary_search_by(|leaf| tree_order(leaf.path().as_str(), above)).is_ok());
        if sets || replaces {
            continue;
        }
        let help = match path.strip_prefix("env.") {
            Some(name) => format!("remove the line; an empty value is written `{name}: \"\"`"),
            None => "remove the line: `null` is for what `defaults` or a template gives".to_owned(),
        };
        findings.push(
            Diagnostic::new(
                &rules::NO_EFFECT,
                setting.span,
                format!("`null` removes nothing here: no lower layer sets `{path}`"),
            )
            .help(help),
        );
    }
}

/// The first text in a node that `${branch}` is filled into.
fn branch_in(node: &Node) -> Option<Span> {
    match &node.kind {
        NodeKind::String(text) => placeholder::uses(text, "branch").then_some(node.span),
        NodeKind::List(items) => items.iter().find_map(branch_in),
        NodeKind::Map(entries) => entries
            .iter()
            .filter(|entry| !(entry.key == "secret" && entry.value.get("command").is_some()))
            .find_map(|entry| branch_in(&entry.value)),
        _ => None,
    }
}

/// MG111: a branch, commit or deployment of its own where the environment does not allow one.
pub(crate) fn overrides(root: &Node, environs: &Environs<'_, '_>, findings: &mut Vec<Diagnostic>) {
    if environs.scope.allow_branch_override {
        return;
    }
    for key in ["branch", "commit", "deploy"] {
        let Some(entry) = root.entry(key).filter(|entry| !entry.value.is_null()) else { continue };
        findings.push(
            Diagnostic::new(
                &rules::OVERRIDE_NOT_ALLOWED,
                entry.key_span,
                format!("a workspace of `{}` cannot have its own `{key}`", environs.folder.name),
            )
            .related(environs.folder.span(), "the environment")
            .help(format!(
                "remove it, or set `allow_branch_override: true` in `{}/environment.yaml`",
                environs.folder.name
            )),
        );
    }
}

/// Checks workspaces against one another.
pub(crate) fn check_together(
    workspaces: &[Resolved<'_>],
    environs: &[Environs<'_, '_>],
    findings: &mut Vec<Diagnostic>,
) {
    let clusters = cluster_numbers(environs);
    let address = |resolved: &Resolved<'_>| {
        format!("`{}/{}`", environs[resolved.environment].folder.name, resolved.stem)
    };
    let mut by_name: HashMap<(usize, &str), &Resolved<'_>> = HashMap::with_capacity(workspaces.len());
    let mut by_stem: HashMap<(usize, &str), &Resolved<'_>> = HashMap::with_capacity(workspaces.len());
    for resolved in workspaces {
        let first_stem = *by_stem.entry((resolved.environment, resolved.stem)).or_insert(resolved);
        let name = resolved.workspace.as_ref().map(|workspace| &workspace.name);
        let first_name = name
            .map(|name| *by_name.entry((clusters[resolved.environment], name.as_str())).or_insert(resolved));
        if let (Some(name), Some(first)) = (name, first_name.filter(|first| !std::ptr::eq(*first, resolved)))
        {
            findings.push(
                Diagnostic::new(
                    &rules::DUPLICATE_NAME,
                    resolved.name_span,
                    format!("`{name}` is also the name of {} in the cluster", address(first)),
                )
                .related(first.name_span, format!("{} is declared here", address(first)))
                .help(
                    "give one of them another `name`, or change `workspace_name` so that it tells them apart",
                ),
            );
        } else if !std::ptr::eq(first_stem, resolved) {
            findings.push(
                Diagnostic::new(
                    &rules::DUPLICATE_NAME,
                    Span::start_of(resolved.file.id),
                    format!("{} is declared twice: in `{}` too", address(resolved), first_stem.file.path),
                )
                .related(Span::start_of(first_stem.file.id), "the other one")
                .help("sub-folders are for order only: rename one of the files"),
            );
        }
    }
    moves(workspaces, environs, &clusters, (&by_name, &by_stem), findings);
}

/// A number for each environment that says which cluster it is in: the engine decides, else the name.
fn cluster_numbers(environs: &[Environs<'_, '_>]) -> Vec<usize> {
    let mut numbers: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    environs
        .iter()
        .map(|environs| {
            let scope = &environs.scope;
            let key = match &scope.engine {
                Some(engine) => (engine.kind, engine.identity.as_str()),
                None => ("", scope.cluster.map_or("", |(name, _)| name.as_str())),
            };
            let next = numbers.len();
            *numbers.entry(key).or_insert(next)
        })
        .collect()
}

type ByName<'m, 'a> = HashMap<(usize, &'m str), &'m Resolved<'a>>;

/// MG114: `moved_from` has to name a workspace that is not declared any more, and only one may come from it.
fn moves<'m, 'a>(
    workspaces: &'m [Resolved<'a>],
    environs: &[Environs<'_, '_>],
    clusters: &[usize],
    (by_name, by_stem): (&ByName<'m, 'a>, &ByName<'m, 'a>),
    findings: &mut Vec<Diagnostic>,
) {
    let mut claimed: BTreeMap<(usize, Text), Span> = BTreeMap::new();
    for resolved in workspaces {
        let Some(workspace) = &resolved.workspace else { continue };
        let Some((from, span)) = &workspace.moved_from else { continue };
        let environment = resolved.environment;
        let Environs { folder, scope, .. } = &environs[environment];
        let pattern = scope.workspace_name.map_or(DEFAULT_WORKSPACE_NAME, |(pattern, _)| pattern);
        let old = placeholder::fill(pattern, &scope.variables(folder, Some(from)));
        let other = by_stem.get(&(environment, from.as_str())).or_else(|| {
            by_name
                .get(&(clusters[environment], from.as_str()))
                .or_else(|| by_name.get(&(clusters[environment], &old)))
        });
        let fault = match other {
            Some(other) if std::ptr::eq(*other, resolved) => {
                Some(("names the workspace itself".to_owned(), None, "remove it: it is for a rename"))
            }
            Some(other) => Some((
                "names a workspace that is still declared".to_owned(),
                Some((Span::start_of(other.file.id), "it is declared here")),
                "remove the old file in the same change, or remove `moved_from`",
            )),
            None => None,
        };
        let fault = fault.or_else(|| {
            let first = claimed.insert((clusters[environment], old.as_ref().into()), *span)?;
            let related = Some((first, "the other one"));
            Some((
                "is claimed by two workspaces".to_owned(),
                related,
                "only one can be the old one under a new name",
            ))
        });
        if let Some((what, related, help)) = fault {
            let mut finding =
                Diagnostic::new(&rules::MOVED_FROM, *span, format!("`moved_from: {from}` {what}")).help(help);
            finding.related.extend(related.map(|(span, what)| (span, what.to_owned())));
            findings.push(finding);
        }
    }
}

/// Leaves each finding of one rule at one place once; what comes later says the same of another workspace.
pub(crate) fn once(findings: &mut Vec<Diagnostic>) {
    let shared = [
        &rules::REQUESTS_OVER_LIMITS,
        &rules::PRODUCTION_AUTO_TERMINATION,
        &rules::UNKNOWN_PLACEHOLDER,
        &rules::UNTRIED_IMAGE,
        &rules::SERVER_OVERRIDES,
        &rules::UNEXPANDED_REFERENCE,
        &rules::REFUSED_RESOURCE,
        &rules::REFUSED_PROBE,
        &rules::FRACTION_OF_A_BYTE,
    ];
    let mut seen: BTreeSet<(&str, Span, Option<String>)> = BTreeSet::new();
    findings.retain(|finding| {
        if !shared.contains(&finding.rule) {
            return true;
        }
        // One place may have several faults, each with its own message.
        let has_several = [&rules::UNEXPANDED_REFERENCE, &rules::REFUSED_RESOURCE, &rules::REFUSED_PROBE]
            .contains(&finding.rule)
            || finding.rule == &rules::UNKNOWN_PLACEHOLDER && !finding.message.contains("${branch}");
        seen.insert((finding.rule.code, finding.span, has_several.then(|| finding.message.clone())))
    });
}
