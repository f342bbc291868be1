//! How the plan that was reviewed and the current one differ, and which side moved.

use magus_model::plan::Plan;

/// How two plans differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlanDifference {
    /// One for each step, withheld step or override.
    pub differences: Vec<Difference>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which side moved.
    pub side: Side,
    /// What differs.
    pub message: String,
}

/// Which side moved since the review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The cluster.
    Cluster,
    /// The declarations.
    Declaration,
    /// Both, or it cannot be told.
    Both,
}

/// How the approved plan and the current one differ.
pub fn compare(_approved: &Plan, _current: &Plan) -> PlanDifference {
    PlanDifference::default()
}
