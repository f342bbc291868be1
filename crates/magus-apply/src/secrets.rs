//! Secrets whose values changed although nobody declared a new `version`.
//!
//! A plan reads no secret, so only an apply can tell. It says so and sends nothing: sending them again is a step of
//! a plan that was made with `--refresh-secrets`.

use std::collections::{BTreeMap, BTreeSet};

use magus_engine::Perform;
use magus_model::{
    Text,
    desired::{Cluster, Desired, Environment, Field, Workspace},
    name::WorkspaceName,
    path::FieldPath,
    plan::{Action, Plan},
    value::{FieldValue, SecretReference},
};

use crate::crew::Compared;

/// The secrets of one workspace.
pub(crate) struct Comparison<'a> {
    pub(crate) cluster: &'a Text,
    pub(crate) environment: &'a Text,
    pub(crate) workspace: &'a WorkspaceName,
    pub(crate) fields: Vec<(FieldPath, SecretReference)>,
}

/// What there is to compare: every selected workspace of an opened cluster that is declared,
/// exists and has secrets that are not kept.
pub(crate) fn comparisons<'a>(
    plan: &Plan,
    desired: &'a Desired,
    opened: &BTreeMap<Text, &dyn Perform>,
    selected: &dyn Fn(&Environment, &Workspace) -> bool,
) -> Vec<Comparison<'a>> {
    // A workspace that is created has just been given its secrets; one that is withheld or unknown is left alone.
    let fresh = plan.steps.iter().filter(|step| matches!(step.action, Action::Create | Action::Replace));
    let left_alone: BTreeSet<(&Text, &WorkspaceName)> = fresh
        .map(|step| (&step.cluster, &step.workspace))
        .chain(plan.withheld.iter().map(|withheld| (&withheld.cluster, &withheld.workspace)))
        .chain(plan.unknown.iter().map(|unknown| (&unknown.cluster, &unknown.workspace)))
        .collect();
    let mut comparisons = Vec::new();
    let opened = desired.clusters.iter().filter(|cluster| opened.contains_key(&cluster.name));
    for Cluster { name: cluster, environments, .. } in opened {
        // Where they are refreshed, each was sent by a step of its own.
        let refreshed = &plan.overrides.refresh_secrets;
        for environment in environments.iter().filter(|environment| !refreshed.contains(&environment.name)) {
            for workspace in &environment.workspaces {
                let fields: Vec<_> = workspace.fields.iter().filter_map(sent_secret).collect();
                let skipped = left_alone.contains(&(cluster, &workspace.name));
                if !fields.is_empty() && !skipped && selected(environment, workspace) {
                    let (environment, workspace) = (&environment.name, &workspace.name);
                    comparisons.push(Comparison { cluster, environment, workspace, fields });
                }
            }
        }
    }
    comparisons
}

fn sent_secret(field: &Field) -> Option<(FieldPath, SecretReference)> {
    match &field.value {
        FieldValue::Secret(reference) if !reference.keep => Some((field.path.clone(), (**reference).clone())),
        _ => None,
    }
}

/// What comparing found, for people: one sentence for each secret and environment, however many workspaces use it.
pub(crate) fn notes(answers: &[(&Comparison<'_>, &Compared)]) -> Vec<String> {
    let mut changed: BTreeMap<(&Text, &FieldPath), Vec<&str>> = BTreeMap::new();
    let mut unresolved: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (Comparison { environment, workspace, .. }, answer) in answers {
        for path in &answer.changed {
            changed.entry((environment, path)).or_default().push(workspace.as_str());
        }
        for why in &answer.unresolved {
            unresolved.entry(why).or_default().insert(workspace.as_str());
        }
    }
    let changed = changed.into_iter().map(|((environment, path), workspaces)| {
        format!(
            "the value of the secret `{path}` changed without a new `version` and was not sent to {}; \
             `--refresh-secrets {environment}` sends it",
            several(&workspaces)
        )
    });
    let unresolved = unresolved.into_iter().map(|(why, workspaces)| {
        let workspaces: Vec<_> = workspaces.into_iter().collect();
        format!("whether a secret changed for {} is not known: {why}", several(&workspaces))
    });
    changed.chain(unresolved).collect()
}

fn several(workspaces: &[&str]) -> String {
    match workspaces {
        [one] => format!("`{one}`"),
        [first, second] => format!("`{first}` and `{second}`"),
        [first, second, rest @ ..] => format!("`{first}`, `{second}` and {} more", rest.len()),
        [] => String::new(),
    }
}
