//! Differences: what is the same by meaning, who moved, and who is whose.

mod clusters;
mod meaning;
mod reasons;
mod texts;
mod world;
