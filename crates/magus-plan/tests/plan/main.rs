//! Plans: one rule at a time, and as properties over random declarations and clusters.

mod belonging;
mod checker;
mod deploy;
mod gates;
mod guards;
mod missing;
mod properties;
mod review;
mod shared_branch;
mod simulate;
mod since;
mod steps;
mod world;
