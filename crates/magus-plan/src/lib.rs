//! From differences and policy to ordered steps, withheld steps and approval.
//!
//! A plan holds every choice, so that an apply only sends, waits and records. This crate is pure: it reaches no
//! file, no git, no network and no clock, and its dependencies show it; the time is an argument.
//!
//! - [`plan()`]: makes a plan from a [`PlanRequest`];
//! - [`approve()`]: the only way to an [`ApprovedPlan`], which is all that an apply takes;
//! - [`compare()`]: how two plans differ, and which side moved.

mod approve;
mod branches;
mod compare;
mod digest;
mod evidence;
mod finish;
mod gates;
mod guards;
mod missing;
mod orphans;
mod ownership;
mod planner;
mod request;
mod shared_branch;
mod since;
mod steps;
mod unblock;
mod waiting;
mod words;
mod work;

pub use approve::{ApprovedPlan, StalePlan, approve};
pub use compare::{Difference, PlanDifference, Side, compare};
pub use digest::digest;
pub use evidence::{
    Compared, Evidence, Kinship, NotRunning, Proof, Running, Runs, evidence, observed_running, running,
};
pub use gates::{Closed, Effect, Keeper};
pub use planner::{plan, stage};
pub use request::{Baseline, Filter, Intent, Move, Movements, Newer, PlanRequest, Project, Readers};
pub use unblock::in_order;
