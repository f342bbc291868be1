//! Desired, observed and last applied: what differs, by meaning, and why.
