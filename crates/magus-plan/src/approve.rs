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
        Some(expected) if !decides_the_same(expected, &current) => {
            Err(StalePlan { difference: Box::new(compare(expected, &current)) })
        }
        _ => Ok(ApprovedPlan(current)),
    }
}

fn decides_the_same(expected: &Plan, current: &Plan) -> bool {
    expected.format_version == FORMAT_VERSION && digest(expected) == digest(current)
}
