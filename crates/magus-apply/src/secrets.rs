//! Secrets of workspaces that the plan leaves alone: whether their values changed although nobody declared a new
//! `version`.
//!
//! A plan reads no secret, so only an apply can tell. What changed is noted; it is sent where `--refresh-secrets`
//! names the environment, and then has a result of its own like a step.

use std::collections::{BTreeMap, BTreeSet};

use magus_model::{
    Text,
    desired::{Desired, Environment, Workspace},
    name::WorkspaceName,
    path::FieldPath,
    plan::{Action, FieldChange, FieldStatus, Plan, Precondition, Reason, Restarts, Step},
    value::{FieldValue, SecretReference},
};

use crate::crew::Compared;

/// The secrets of one workspace.
pub(crate) struct Comparison {
    pub(crate) fields: Vec<(FieldPath, SecretReference)>,
    /// Whether what changed is to be sent.
    pub(crate) refresh: bool,
    pub(crate) stage: u32,
    /// What sending it again looks like to the reader of events and report.
    pub(crate) step: Step,
}

/// What there is to compare: every selected workspace that is declared, exists and has secrets that are not kept.
pub(crate) fn comparisons(
    plan: &Plan,
    desired: &Desired,
    selected: &dyn Fn(&Environment, &Workspace) -> bool,
) -> Vec<Comparison> {
    // A workspace that is created has just been given its secrets; one that is withheld or unknown is left alone.
    let fresh = plan.steps.iter().filter(|step| matches!(step.action, Action::Create | Action::Replace));
    let left_alone: BTreeSet<(&Text, &WorkspaceName)> = fresh
        .map(|step| (&step.cluster, &step.workspace))
        .chain(plan.withheld.iter().map(|withheld| (&withheld.cluster, &withheld.workspace)))
        .chain(plan.unknown.iter().map(|unknown| (&unknown.cluster, &unknown.workspace)))
        .collect();
    let mut comparisons = Vec::new();
    for cluster in &desired.clusters {
        for environment in &cluster.environments {
            let refresh = plan.overrides.refresh_secrets.contains(&environment.name);
            for workspace in &environment.workspaces {
                let fields: Vec<_> = workspace.fields.iter().filter_map(sent_secret).collect();
                let skipped = left_alone.contains(&(&cluster.name, &workspace.name));
                if !fields.is_empty() && !skipped && selected(environment, workspace) {
                    let step = step(&cluster.name, environment, workspace, &fields);
                    comparisons.push(Comparison { fields, refresh, stage: environment.stage, step });
                }
            }
        }
    }
    comparisons
}

fn sent_secret(field: &magus_model::desired::Field) -> Option<(FieldPath, SecretReference)> {
    match &field.value {
        FieldValue::Secret(reference) if !reference.keep => Some((field.path.clone(), reference.clone())),
        _ => None,
    }
}

fn step(
    cluster: &Text,
    environment: &Environment,
    workspace: &Workspace,
    fields: &[(FieldPath, SecretReference)],
) -> Step {
    let change = |(path, reference): &(FieldPath, SecretReference)| FieldChange {
        path: path.clone(),
        before: Some(FieldValue::Secret(reference.clone())),
        after: Some(FieldValue::Secret(reference.clone())),
        sensitive: true,
        status: FieldStatus::Unverifiable,
        reason: Reason::Differs,
        origin: None,
    };
    let id: Text = format!("{cluster}/{}/refresh-secrets", workspace.name).into();
    Step {
        id,
        cluster: cluster.clone(),
        environment: environment.name.clone(),
        workspace: workspace.name.clone(),
        action: Action::Update,
        reason: "the value of a secret changed without a new `version`".to_owned(),
        restarts: Restarts::Unknown,
        needs: Vec::new(),
        // The engine compares the references themselves right before it sends their values.
        precondition: Precondition::Revision(Text::default()),
        fields: fields.iter().map(change).collect(),
        deploy: None,
        renamed_from: None,
        mark: None,
    }
}

/// What comparing found, for people: one sentence for each secret and environment, however many workspaces use it.
pub(crate) fn notes(comparisons: &[Comparison], answers: &BTreeMap<usize, Compared>) -> Vec<String> {
    let mut changed: BTreeMap<(&Text, &FieldPath), Vec<&str>> = BTreeMap::new();
    let mut unresolved: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (at, answer) in answers {
        let Comparison { refresh, step, .. } = &comparisons[*at];
        if *refresh {
            continue;
        }
        for path in &answer.changed {
            changed.entry((&step.environment, path)).or_default().push(step.workspace.as_str());
        }
        for (_, why) in &answer.unresolved {
            unresolved.entry(why).or_default().insert(step.workspace.as_str());
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
