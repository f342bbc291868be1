//! What a step says: it says something, and only what its action may say.

use magus_model::{
    observed::PartKind,
    plan::{Action, Deploy, FieldChange, Plan, Step},
    value::{FieldValue, Value},
};

use crate::{Declared, Fault};

/// Stands for a value that may not be shown.
const HIDDEN: &str = "(hidden)";

/// Nothing is deleted or replaced in a protected environment without its flag and a reason.
pub(crate) fn protection(step: &Step, plan: &Plan, declared: &Declared<'_>, faults: &mut Vec<Fault>) {
    let allowed = match step.action {
        Action::Delete => &plan.overrides.allow_delete,
        Action::Replace => &plan.overrides.allow_replace,
        Action::Adopt
        | Action::Create
        | Action::Stop
        | Action::Update
        | Action::Deploy
        | Action::Start
        | Action::Restart
        | Action::Forget => return,
    };
    let is_gone = step.restores.iter().any(|part| part.kind == PartKind::StatefulSet);
    if step.action == Action::Replace && is_gone && !allowed.contains(&step.environment) {
        faults.push(Fault::RecreatesWithoutFlag(step.id.clone()));
    }
    let is_protected = declared.protected.contains(&(&step.cluster, step.environment.as_str()));
    let has_reason = plan.overrides.reason.as_deref().is_some_and(|reason| !reason.trim().is_empty());
    if is_protected && !(allowed.contains(&step.environment) && has_reason) {
        let (step, environment) = (step.id.clone(), step.environment.clone());
        faults.push(Fault::Unprotected { step, environment });
    }
}

/// The fields and the code of a step.
pub(crate) fn check(step: &Step, faults: &mut Vec<Fault>) {
    let id = || step.id.clone();
    if !step.fields.is_sorted_by(|a, b| a.path < b.path) {
        faults.push(Fault::FieldOrder(id()));
    }
    let sets_none = matches!(step.action, Action::Delete | Action::Adopt | Action::Deploy | Action::Forget);
    if sets_none && !step.fields.is_empty() {
        faults.push(Fault::SetsFields(id()));
    }
    if step.deploy.is_some() != (step.action == Action::Deploy) {
        faults.push(Fault::DeployMismatch(id()));
    }
    if let Some(deploy) = &step.deploy {
        if is_running(deploy) {
            faults.push(Fault::DeploysRunningCode(id()));
        }
        if deploy.source.repository.is_empty() || deploy.source.directory.is_empty() {
            faults.push(Fault::DeployWithoutSource(id()));
        }
    }
    let says_nothing = step.fields.is_empty() && step.renamed_from.is_none() && step.restores.is_empty();
    if step.action == Action::Update && says_nothing {
        faults.push(Fault::ChangesNothing(id()));
    }
    step.fields.iter().for_each(|field| secret(step, field, faults));
}

/// Whether a workspace runs the commit, from the same source, and would take it at its next start too.
fn is_running(deploy: &Deploy) -> bool {
    let is_followed = deploy.follows.as_ref().is_none_or(|branch| branch.from.as_ref() == Some(&deploy.to));
    let is_other_source = deploy.source_before.as_ref().is_some_and(|before| *before != deploy.source);
    deploy.from.as_ref() == Some(&deploy.to) && is_followed && !is_other_source
}

fn secret(step: &Step, field: &FieldChange, faults: &mut Vec<Fault>) {
    let FieldChange { path, before, after, sensitive, .. } = field;
    let (step_id, path) = (step.id.clone(), path.clone());
    let is_secret = |value: &Option<FieldValue>| matches!(value, Some(FieldValue::Secret(_)));
    if (is_secret(before) || is_secret(after)) && !sensitive {
        faults.push(Fault::SecretNotSensitive { step: step_id.clone(), path: path.clone() });
    }
    let shows = matches!(before, Some(FieldValue::Plain(value)) if *value != Value::string(HIDDEN));
    if is_secret(after) && shows {
        faults.push(Fault::ShowsReplacedSecret { step: step_id.clone(), path: path.clone() });
    }
    let is_kept = matches!(after, Some(FieldValue::Secret(secret)) if secret.keep);
    if is_kept && step.action == Action::Update {
        faults.push(Fault::SendsKeptSecret { step: step_id, path });
    }
}
