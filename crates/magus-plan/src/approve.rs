//! Approval: the only way from a plan to an apply.

use magus_model::plan::{FORMAT_VERSION, Plan};

use crate::{
    compare::{PlanDifference, compare},
    digest::digest,
};

/// A plan that may be applied. There is no other way to one than [`approve`].
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovedPlan(Plan);

impl ApprovedPlan {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.0
    }
}

/// The plan that was reviewed is not the one that would be applied now.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("guard `stale-plan`: the plan that was reviewed is not the current one")]
pub struct StalePlan {
    /// How they differ.
    pub difference: Box<PlanDifference>,
}

/// Approves the current plan: without an expectation as it is, else only where it decides the same.
///
/// The expectation's own digest is worked out from its content: a plan file is text that anybody may have edited.
///
/// # Errors
/// How the two differ, where they do.
pub fn approve(current: Plan, expectation: Option<&Plan>) -> Result<ApprovedPlan, StalePlan> {
    match expectation {
        Some(expected) => {
            let comparable = as_sealed(&current, expected);
            match decides_the_same(expected, &comparable) {
                true => Ok(ApprovedPlan(current)),
                false => Err(StalePlan { difference: Box::new(compare(expected, &comparable)) }),
            }
        }
        None => Ok(ApprovedPlan(current)),
    }
}

/// The current plan without the keyed digests that the reviewed one could not have yet, because the cluster got its key since. The
/// commit of the declarations then stands for the values, as in the reviewed one.
fn as_sealed(current: &Plan, expected: &Plan) -> Plan {
    let mut plan = current.clone();
    for step in &mut plan.steps {
        let Some(reviewed) = expected.steps.iter().find(|reviewed| reviewed.id == step.id) else { continue };
        for field in &mut step.fields {
            let reviewed = reviewed.fields.iter().find(|reviewed| reviewed.path == field.path);
            if reviewed.is_some_and(|reviewed| reviewed.unshown().is_some() && reviewed.sealed.is_none()) {
                field.sealed = None;
            }
        }
    }
    plan
}

fn decides_the_same(expected: &Plan, current: &Plan) -> bool {
    expected.format_version == FORMAT_VERSION && digest(expected) == digest(current)
}
