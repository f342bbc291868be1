//! An independent checker of plans: what no plan may hold, whoever made it.
//!
//! It trusts nothing of the planner and shares none of its code, so that a mistake there is found before anything
//! is sent. Faults are sentences for people; none is the rule.

use std::collections::{BTreeMap, BTreeSet};

use magus_diff::HIDDEN;
use magus_model::{
    Text,
    desired::{Desired, Environment, Workspace},
    plan::{Action, FORMAT_VERSION, Guard, Plan, Precondition, Step, Summary, Withheld},
    value::{FieldValue, Value},
};

/// The faults of a plan for this desired state.
pub fn check(plan: &Plan, desired: &Desired) -> Vec<String> {
    let mut faults = Vec::new();
    if plan.format_version != FORMAT_VERSION {
        faults.push(format!("format_version is {}, not {FORMAT_VERSION}", plan.format_version));
    }
    if plan.digest != crate::digest::digest(plan) {
        faults.push("the digest is not that of the content".to_owned());
    }
    if plan.has_changes == plan.steps.is_empty() {
        faults.push("has_changes does not say whether there are steps".to_owned());
    }
    identities(plan, &mut faults);
    needs(plan, &mut faults);
    untouchable(plan, &mut faults);
    promotion(plan, desired, &mut faults);
    summary(plan, &mut faults);
    let declared = declarations(desired);
    for step in &plan.steps {
        protection(step, plan, &declared, &mut faults);
        content(step, &mut faults);
        mark(step, plan, desired, &declared, &mut faults);
    }
    faults
}

type Declarations<'a> = BTreeMap<(&'a Text, &'a str), (&'a Environment, &'a Workspace)>;

fn declarations(desired: &Desired) -> Declarations<'_> {
    let mut declarations = BTreeMap::new();
    for cluster in &desired.clusters {
        for environment in &cluster.environments {
            for workspace in &environment.workspaces {
                declarations.insert((&cluster.name, workspace.name.as_str()), (environment, workspace));
            }
        }
    }
    declarations
}

/// One step per workspace and action, each with the id of what it does.
fn identities(plan: &Plan, faults: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for step in &plan.steps {
        let id = format!("{}/{}/{}", step.cluster, step.workspace, step.action.as_str());
        if step.id != id.as_str() {
            faults.push(format!("step `{}` should have the id `{id}`", step.id));
        }
        if !seen.insert(&step.id) {
            faults.push(format!("step `{}` is there twice", step.id));
        }
    }
}

/// Every step comes after those that it needs, and these are of the same workspace.
fn needs(plan: &Plan, faults: &mut Vec<String>) {
    let mut before: BTreeMap<&Text, &Step> = BTreeMap::new();
    let mut last: BTreeMap<(&Text, &str), &Step> = BTreeMap::new();
    for step in &plan.steps {
        for need in &step.needs {
            match before.get(need) {
                None => {
                    faults.push(format!("step `{}` needs `{need}`, which does not come before it", step.id))
                }
                Some(needed) if needed.workspace != step.workspace || needed.cluster != step.cluster => {
                    faults.push(format!("step `{}` needs `{need}` of another workspace", step.id));
                }
                Some(_) => {}
            }
        }
        let previous = last.insert((&step.cluster, step.workspace.as_str()), step);
        match (&step.precondition, previous) {
            (Precondition::Follows(id), Some(previous)) if *id == previous.id && step.needs.contains(id) => {}
            (Precondition::Absent, None) if step.action == Action::Create => {}
            (Precondition::Revision(_), None) if step.action != Action::Create => {}
            (precondition, _) => {
                faults.push(format!(
                    "step `{}` has the precondition {precondition:?}, which does not fit",
                    step.id
                ));
            }
        }
        before.insert(&step.id, step);
    }
}

/// Nothing is done to what is unknown, not ours or in conflict.
fn untouchable(plan: &Plan, faults: &mut Vec<String>) {
    let mut never: BTreeMap<(&Text, &str), &str> = BTreeMap::new();
    never.extend(
        plan.unknown.iter().map(|unknown| ((&unknown.cluster, unknown.workspace.as_str()), "unknown")),
    );
    never.extend(plan.unmanaged.iter().map(|other| ((&other.cluster, other.name.as_str()), "not ours")));
    let conflicts = plan.withheld.iter().filter(|held| held.guard == Guard::Conflict);
    never.extend(conflicts.map(|held| ((&held.cluster, held.workspace.as_str()), "in conflict")));
    for step in &plan.steps {
        let names = [Some(&step.workspace), step.renamed_from.as_ref()];
        for name in names.into_iter().flatten() {
            if let Some(why) = never.get(&(&step.cluster, name.as_str())) {
                faults.push(format!("step `{}` touches `{name}`, which is {why}", step.id));
            }
        }
        let is_held = |held: &&Withheld| {
            held.cluster == step.cluster && held.workspace == step.workspace && held.action == step.action
        };
        if matches!(step.action, Action::Delete | Action::Replace)
            && plan.withheld.iter().any(|held| is_held(&held))
        {
            faults.push(format!("step `{}` is withheld and a step", step.id));
        }
    }
    for refresh in &plan.marks {
        if let Some(why) = never.get(&(&refresh.cluster, refresh.workspace.as_str())) {
            faults.push(format!("the mark of `{}` would be set, which is {why}", refresh.workspace));
        }
    }
}

/// Stages in order, or all in reverse; deletes last in each.
fn promotion(plan: &Plan, desired: &Desired, faults: &mut Vec<String>) {
    let mut stages: BTreeMap<&Text, u32> = BTreeMap::new();
    for environment in desired.clusters.iter().flat_map(|cluster| &cluster.environments) {
        let stage = stages.entry(&environment.name).or_default();
        *stage = environment.stage.max(*stage);
    }
    let stage = |step: &Step| stages.get(&step.environment).copied().unwrap_or(u32::MAX);
    let only_deletes = plan.steps.iter().all(|step| step.action == Action::Delete);
    let rising = plan.steps.is_sorted_by_key(|step| (stage(step), step.action == Action::Delete));
    let falling = only_deletes && plan.steps.is_sorted_by(|a, b| stage(a) >= stage(b));
    if !rising && !falling {
        faults.push("the steps are not in the order of promotion".to_owned());
    }
}

fn summary(plan: &Plan, faults: &mut Vec<String>) {
    let workspaces = |action: Action| {
        let steps = plan.steps.iter().filter(|step| step.action == action);
        steps.map(|step| (&step.cluster, &step.workspace)).collect::<BTreeSet<_>>().len()
    };
    let withheld: BTreeSet<_> = plan.withheld.iter().map(|held| (&held.cluster, &held.workspace)).collect();
    let wanted = Summary {
        create: workspaces(Action::Create),
        update: workspaces(Action::Update),
        replace: workspaces(Action::Replace),
        delete: workspaces(Action::Delete),
        adopt: workspaces(Action::Adopt),
        unchanged: plan.summary.unchanged,
        withheld: withheld.len(),
        unknown: plan.unknown.len(),
        deploy: workspaces(Action::Deploy),
        start: workspaces(Action::Start),
        stop: workspaces(Action::Stop),
        restart: workspaces(Action::Restart),
    };
    if plan.summary != wanted {
        faults.push(format!("the summary says {:?}, and there is {wanted:?}", plan.summary));
    }
}

/// Nothing is deleted or replaced in a protected environment without its flag and a reason.
fn protection(step: &Step, plan: &Plan, declared: &Declarations<'_>, faults: &mut Vec<String>) {
    let allowed = match step.action {
        Action::Delete => &plan.overrides.allow_delete,
        Action::Replace => &plan.overrides.allow_replace,
        _ => return,
    };
    let environments = declared.values().map(|(environment, _)| *environment);
    let protected =
        environments.clone().any(|environment| environment.name == step.environment && environment.protected);
    let has_reason = plan.overrides.reason.as_deref().is_some_and(|reason| !reason.trim().is_empty());
    if protected && !(allowed.contains(&step.environment) && has_reason) {
        faults
            .push(format!("step `{}` destroys in the protected environment `{}`", step.id, step.environment));
    }
}

/// Every step says something that it may say.
fn content(step: &Step, faults: &mut Vec<String>) {
    if !step.fields.is_sorted_by(|a, b| a.path < b.path) {
        faults.push(format!("the fields of step `{}` are not in order", step.id));
    }
    let bare = matches!(step.action, Action::Delete | Action::Adopt | Action::Deploy);
    if bare && !step.fields.is_empty() {
        faults.push(format!("step `{}` sets fields", step.id));
    }
    if step.action == Action::Update && step.fields.is_empty() && step.renamed_from.is_none() {
        faults.push(format!("step `{}` changes nothing", step.id));
    }
    for field in &step.fields {
        let path = &field.path;
        let is_secret = |value: &Option<FieldValue>| value.as_ref().is_some_and(FieldValue::is_sensitive);
        if (is_secret(&field.before) || is_secret(&field.after)) && !field.sensitive {
            faults.push(format!("`{path}` of step `{}` is a secret and not marked so", step.id));
        }
        let hidden = match &field.before {
            Some(FieldValue::Plain(value)) => *value == Value::string(HIDDEN),
            _ => true,
        };
        if is_secret(&field.after) && !hidden {
            faults.push(format!("`{path}` of step `{}` shows what a secret replaces", step.id));
        }
        let kept = matches!(&field.after, Some(FieldValue::Secret(secret)) if secret.keep);
        if kept && step.action == Action::Update {
            faults.push(format!("`{path}` of step `{}` sends a secret that is to be kept", step.id));
        }
    }
}

/// The last step of a workspace leaves a mark with a digest of everything that is declared, and no other step
/// leaves one on what is not declared.
fn mark(step: &Step, plan: &Plan, desired: &Desired, declared: &Declarations<'_>, faults: &mut Vec<String>) {
    let id = &step.id;
    let Some(mark) = &step.mark else {
        // Marks are not part of a plan file.
        return;
    };
    if step.action == Action::Delete {
        return faults.push(format!("step `{id}` deletes and leaves a mark"));
    }
    let Some((environment, workspace)) = declared.get(&(&step.cluster, step.workspace.as_str())) else {
        return faults.push(format!("step `{id}` is for a workspace that nobody declares"));
    };
    let cluster = desired.clusters.iter().find(|cluster| cluster.name == step.cluster);
    if cluster.is_none_or(|cluster| cluster.managed_by != mark.managed_by) {
        faults.push(format!("step `{id}` marks with another owner"));
    }
    if environment.name != step.environment {
        faults
            .push(format!("step `{id}` names another environment than the declared `{}`", environment.name));
    }
    let same_workspace = |other: &Step| other.cluster == step.cluster && other.workspace == step.workspace;
    let is_last =
        plan.steps.iter().rev().find(|other| same_workspace(other)).is_some_and(|last| last.id == *id);
    let is_held =
        plan.withheld.iter().any(|held| held.cluster == step.cluster && held.workspace == step.workspace);
    let asked_for = step.action == Action::Restart && step.fields.is_empty();
    if !is_last || is_held || asked_for {
        return;
    }
    if *mark.environment != environment.name || mark.workspace != workspace.declared {
        faults.push(format!("step `{id}` leaves the mark of another workspace"));
    }
    if mark.protected != environment.protected {
        faults.push(format!("step `{id}` leaves a mark with another protection"));
    }
    let mut missing = workspace.fields.iter().filter(|field| {
        let empty = matches!(&field.value, FieldValue::Plain(value) if value.is_empty());
        let digest = magus_diff::digest(&field.path, &field.value);
        !empty && mark.applied.get(&field.path) != Some(&digest)
    });
    if let Some(field) = missing.next() {
        faults.push(format!("step `{id}` leaves a mark without the digest of `{}`", field.path));
    }
    if !mark.applied.keys().any(|path| path.as_str() == "state") {
        faults.push(format!("step `{id}` leaves a mark without the digest of `state`"));
    }
}
