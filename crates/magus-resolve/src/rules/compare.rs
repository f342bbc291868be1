//! MG305 and MG306: values of one environment held against those of the others.

use std::collections::{BTreeMap, HashMap, HashSet};

use magus_model::{
    Text,
    desired::{Desired, Environment, Field, Workspace},
    diagnostic::Diagnostic,
    rules, secrecy,
    span::Span,
    value::{FieldValue, SecretSource, Value},
};

use super::references::named;

/// With fewer environments, one that is like another is no exception.
const ENOUGH: usize = 3;

/// Compares the environments of each cluster, and those of all of them.
pub(crate) fn check(desired: &Desired, findings: &mut Vec<Diagnostic>) {
    let mut all: Vec<(&Text, &Environment)> = desired
        .clusters
        .iter()
        .flat_map(|cluster| cluster.environments.iter().map(move |environment| (&cluster.name, environment)))
        .collect();
    all.sort_by_key(|(_, environment)| (environment.stage, &environment.name));
    shared_secrets(&all, findings);
    same_as_another(&all, findings);
}

/// What a secret is told by; what is not seen to be one, in a text, may be no secret.
#[derive(PartialEq, Eq, Hash)]
enum Secret<'d> {
    Reference(&'d SecretSource),
    /// The key of a Secret of Kubernetes, which is one of its cluster and namespace.
    Kubernetes([Option<&'d Text>; 4]),
    Text(&'d Text),
}

fn secret<'d>(cluster: &'d Text, workspace: &'d Workspace, field: &'d Field) -> Option<Secret<'d>> {
    let (_, name) = named(field)?;
    // The code is one repository, and its login may be one.
    if name.starts_with("GIT_") {
        return None;
    }
    match &field.value {
        FieldValue::Secret(reference) => Some(Secret::Reference(&reference.source)),
        FieldValue::Plain(Value::String(text)) => Some(Secret::Text(text)),
        FieldValue::Plain(Value::Map(map)) => {
            let inner = |value: &'d Value, key: &str| match value {
                Value::Map(map) => map.get(key),
                _ => None,
            };
            let text = |value: Option<&'d Value>| match value {
                Some(Value::String(text)) => Some(text),
                _ => None,
            };
            let reference = inner(map.get("valueFrom")?, "secretKeyRef")?;
            let namespace = workspace.field("namespace").and_then(|field| match &field.value {
                FieldValue::Plain(value) => text(Some(value)),
                FieldValue::Secret(_) => None,
            });
            let [named, key] = ["name", "key"].map(|key| text(inner(reference, key)));
            Some(Secret::Kubernetes([Some(cluster), namespace, named, key]))
        }
        FieldValue::Plain(_) => None,
    }
}

/// MG305: one secret in the last stage and elsewhere.
fn shared_secrets(all: &[(&Text, &Environment)], findings: &mut Vec<Diagnostic>) {
    let is_followed = |environment: &Environment| {
        all.iter().any(|(_, other)| other.promotes_from.as_ref() == Some(&environment.name))
    };
    let (last, others): (Vec<_>, Vec<_>) = all
        .iter()
        .flat_map(|(cluster, environment)| {
            environment.workspaces.iter().map(move |workspace| (*cluster, *environment, workspace))
        })
        .partition(|(_, environment, _)| environment.promotes_from.is_some() && !is_followed(environment));
    let mut of_last: BTreeMap<Span, (Secret<'_>, &Text, &Field)> = BTreeMap::new();
    for (cluster, environment, workspace) in last {
        for field in &workspace.fields {
            let Some(secret) = secret(cluster, workspace, field) else { continue };
            // A text is one where it looks like one, whoever else has it.
            let name = named(field).map(|(_, name)| name);
            if matches!(secret, Secret::Text(text) if secrecy::resemblance(name, text).is_none()) {
                continue;
            }
            of_last.entry(field.span).or_insert((secret, &environment.name, field));
        }
    }
    let mut elsewhere: HashMap<&Secret<'_>, Option<(&Text, Span)>> =
        of_last.values().map(|(secret, ..)| (secret, None)).collect();
    if elsewhere.is_empty() {
        return;
    }
    for (cluster, environment, workspace) in &others {
        for field in &workspace.fields {
            let Some(secret) = secret(cluster, workspace, field) else { continue };
            if let Some(place @ None) = elsewhere.get_mut(&secret) {
                *place = Some((&environment.name, field.span));
            }
        }
    }
    for (span, (secret, environment, field)) in &of_last {
        let Some(Some((other, place))) = elsewhere.get(secret) else { continue };
        let span = *span;
        let finding = Diagnostic::new(
            &rules::SHARED_SECRET,
            span,
            format!("`{}` is one secret in `{environment}` and in `{other}`", field.path),
        );
        let finding = if *place == span { finding } else { finding.related(*place, "the other place") };
        findings.push(finding.help(format!(
            "whoever works in `{other}` has what opens `{environment}`: give each its own, in the environment's `defaults`"
        )));
    }
}

/// A value of a variable: in which environment, and where it is written.
type Given<'d> = (&'d Environment, &'d Text, Span);

/// The variables of workspaces with their values, in the order of the workspaces.
fn values<'d>(workspaces: &[(&'d Environment, &'d Workspace)]) -> BTreeMap<&'d str, Vec<Given<'d>>> {
    let mut values: BTreeMap<&str, Vec<Given<'_>>> = BTreeMap::new();
    for (environment, workspace) in workspaces {
        for field in &workspace.fields {
            let Some(name) = field.path.as_str().strip_prefix("env.") else { continue };
            if let FieldValue::Plain(Value::String(text)) = &field.value {
                values.entry(name).or_default().push((environment, text, field.span));
            }
        }
    }
    values
}

/// MG306: every environment has a value of its own, but for one that has another's.
fn same_as_another(all: &[(&Text, &Environment)], findings: &mut Vec<Diagnostic>) {
    let mut everywhere: BTreeMap<&Text, Vec<(&Environment, &Workspace)>> = BTreeMap::new();
    for (_, environment) in all {
        for workspace in &environment.workspaces {
            everywhere.entry(&workspace.declared).or_default().push((environment, workspace));
        }
    }
    let mut said: HashSet<(Span, Span)> = HashSet::new();
    let enough = everywhere.into_values().filter(|workspaces| workspaces.len() >= ENOUGH);
    for (name, values) in enough.flat_map(|workspaces| values(&workspaces)) {
        let mut distinct: Vec<&Text> = values.iter().map(|(_, text, _)| *text).collect();
        distinct.sort();
        distinct.dedup();
        if values.len() < ENOUGH || distinct.len() + 1 != values.len() {
            continue;
        }
        let pair = values.iter().enumerate().find_map(|(at, (environment, text, span))| {
            let (other, _, place) = values[..at].iter().find(|(_, earlier, _)| earlier == text)?;
            Some((*environment, *span, *other, *place))
        });
        let Some((environment, span, other, place)) = pair else { continue };
        // One line for both is meant so.
        if span == place || !said.insert((span, place)) {
            continue;
        }
        findings.push(
            Diagnostic::new(
                &rules::SAME_AS_ANOTHER,
                span,
                format!(
                    "`{name}` differs in every environment, but `{}` has that of `{}`",
                    environment.name, other.name
                ),
            )
            .related(place, "the same value")
            .help("where both are meant to share it, say it once, in the cluster's `defaults`"),
        );
    }
}
