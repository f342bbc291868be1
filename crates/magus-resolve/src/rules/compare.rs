//! MG305 and MG306: values of one environment held against those of the others.

use std::collections::{BTreeMap, HashMap, HashSet};

use magus_model::{
    Text,
    desired::{Desired, Environment, Field, Workspace},
    diagnostic::Diagnostic,
    rules,
    span::Span,
    value::{FieldValue, Value},
};

use super::literal;

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

/// What a secret is told by, where it is one: the reference, or a digest of nothing but the value itself, which stays here.
fn secret(cluster: &Text, workspace: &Workspace, field: &Field) -> Option<String> {
    let path = field.path.as_str();
    let name = path.strip_prefix("env.").or_else(|| path.strip_prefix("secrets."))?;
    // The code is one repository, and its login may be one.
    if name.starts_with("GIT_") {
        return None;
    }
    match &field.value {
        FieldValue::Secret(reference) => Some(format!("{:?}", reference.source)),
        FieldValue::Plain(Value::Map(map)) => {
            let from = map.get("valueFrom")?;
            let Value::Map(from) = from else { return None };
            // A Secret of Kubernetes is one of its cluster and namespace.
            let namespace = workspace.field("namespace").map(|field| format!("{:?}", field.value));
            let reference = from.get("secretKeyRef")?;
            Some(format!("{cluster} {namespace:?} {reference:?}"))
        }
        FieldValue::Plain(Value::String(text)) => {
            literal::resemblance(Some(name), text).map(|_| format!("literal {text}"))
        }
        FieldValue::Plain(_) => None,
    }
}

/// MG305: one secret in the last stage and elsewhere.
fn shared_secrets(all: &[(&Text, &Environment)], findings: &mut Vec<Diagnostic>) {
    let is_followed = |environment: &Environment| {
        all.iter().any(|(_, other)| other.promotes_from.as_ref() == Some(&environment.name))
    };
    let mut elsewhere: HashMap<String, (&Text, Span)> = HashMap::new();
    let mut of_last: BTreeMap<Span, (String, &Text, &Field)> = BTreeMap::new();
    for (cluster, environment) in all {
        let is_last = environment.promotes_from.is_some() && !is_followed(environment);
        for workspace in &environment.workspaces {
            for field in &workspace.fields {
                let Some(secret) = secret(cluster, workspace, field) else { continue };
                if is_last {
                    of_last.entry(field.span).or_insert((secret, &environment.name, field));
                } else {
                    elsewhere.entry(secret).or_insert((&environment.name, field.span));
                }
            }
        }
    }
    for (span, (secret, environment, field)) in of_last {
        let Some((other, place)) = elsewhere.get(&secret) else { continue };
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

/// MG306: every environment has a value of its own, but for one that has another's.
fn same_as_another(all: &[(&Text, &Environment)], findings: &mut Vec<Diagnostic>) {
    let mut values: BTreeMap<(&Text, &str), Vec<Given<'_>>> = BTreeMap::new();
    for (_, environment) in all {
        for workspace in &environment.workspaces {
            for field in &workspace.fields {
                let Some(name) = field.path.as_str().strip_prefix("env.") else { continue };
                if let FieldValue::Plain(Value::String(text)) = &field.value {
                    values.entry((&workspace.declared, name)).or_default().push((
                        environment,
                        text,
                        field.span,
                    ));
                }
            }
        }
    }
    let mut said: HashSet<(Span, Span)> = HashSet::new();
    for ((_, name), values) in values {
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
