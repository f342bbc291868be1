//! The ids, needs and order of steps.

use std::collections::{BTreeMap, BTreeSet};

use magus_model::{
    desired::Desired,
    plan::{Action, Plan, Precondition, Step},
};

use crate::{Fault, Name};

/// One step for each workspace and action, each with the id of what it does.
pub(crate) fn identities(plan: &Plan, faults: &mut Vec<Fault>) {
    let mut seen = BTreeSet::new();
    for step in &plan.steps {
        let expected = format!("{}/{}/{}", step.cluster, step.workspace, step.action.as_str());
        if step.id != expected.as_str() {
            faults.push(Fault::StepId { step: step.id.clone(), expected: expected.into() });
        }
        if !seen.insert(&step.id) {
            faults.push(Fault::DuplicateStep(step.id.clone()));
        }
    }
}

/// Every step comes after those that it needs, and these are of the same workspace. The first step of a workspace rests
/// on what was observed, each later one on the step before it.
pub(crate) fn needs(plan: &Plan, faults: &mut Vec<Fault>) {
    let mut before: BTreeMap<&str, &Step> = BTreeMap::new();
    let mut last: BTreeMap<Name<'_>, &Step> = BTreeMap::new();
    for step in &plan.steps {
        let id = || step.id.clone();
        for need in &step.needs {
            match before.get(need.as_str()) {
                None => faults.push(Fault::MissingNeed { step: id(), need: need.clone() }),
                Some(needed) if (&needed.cluster, &needed.workspace) != (&step.cluster, &step.workspace) => {
                    faults.push(Fault::ForeignNeed { step: id(), need: need.clone() });
                }
                Some(_) => {}
            }
        }
        let previous = last.insert((&step.cluster, step.workspace.as_str()), step);
        let fits = match (&step.precondition, previous) {
            (Precondition::Follows(earlier), Some(previous)) => {
                *earlier == previous.id && step.needs.contains(earlier)
            }
            (Precondition::Absent, None) => step.action == Action::Create,
            (Precondition::Revision(_), None) => step.action != Action::Create,
            (Precondition::Follows(_), None)
            | (Precondition::Absent | Precondition::Revision(_), Some(_)) => false,
        };
        if !fits {
            faults.push(Fault::PreconditionMismatch { step: id(), precondition: step.precondition.clone() });
        }
        before.insert(&step.id, step);
    }
}

/// Stages come in order, or all in reverse if there are only deletes; deletes come last in each.
pub(crate) fn promotion(plan: &Plan, desired: &Desired, faults: &mut Vec<Fault>) {
    let mut stages: BTreeMap<&str, u32> = BTreeMap::new();
    for environment in desired.clusters.iter().flat_map(|cluster| &cluster.environments) {
        let stage = stages.entry(&environment.name).or_default();
        *stage = environment.stage.max(*stage);
    }
    // An environment that no cluster declares any more comes last.
    let stage = |step: &Step| stages.get(step.environment.as_str()).copied().unwrap_or(u32::MAX);
    let is_delete = |step: &Step| step.action == Action::Delete;
    let rising = plan.steps.is_sorted_by_key(|step| (stage(step), is_delete(step)));
    let falling = plan.steps.iter().all(is_delete) && plan.steps.is_sorted_by(|a, b| stage(a) >= stage(b));
    if !rising && !falling {
        faults.push(Fault::Order);
    }
}
