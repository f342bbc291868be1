//! The last of the checks: what is declared, held against the code at the commits that workspaces are to run.

use std::collections::BTreeMap;

use magus_code::Projects;
use magus_git::Code;
use magus_model::{Text, desired::Desired, diagnostic::Diagnostic, span::Sources};

use crate::rules::{compare, references, triggers};

/// Checks variables, secrets, profiles and triggers: MG305, MG306, MG5xx and MG6xx. What runs code that nobody could look into is
/// left out; there is a finding of its own for that.
pub fn check_code(
    desired: &Desired,
    repositories: &BTreeMap<Text, Code>,
    projects: &Projects,
    sources: &Sources,
) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    compare::check(desired, &mut findings);
    let stages = references::stages(desired, repositories, projects, &references::declared_commit);
    references::check(&stages, sources, &mut findings);
    triggers::check(&stages, &mut findings);
    findings
}
