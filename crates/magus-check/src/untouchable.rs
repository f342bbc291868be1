//! Nothing is done to a workspace that is unknown, unmanaged or in conflict, and nothing that is withheld is done.

use std::collections::{BTreeMap, BTreeSet};

use magus_model::plan::{Action, Guard, Plan, Withheld};

use crate::{Fault, Name, Untouchable};

pub(crate) fn check(plan: &Plan, faults: &mut Vec<Fault>) {
    let mut never: BTreeMap<Name<'_>, Untouchable> = BTreeMap::new();
    for unknown in &plan.unknown {
        never.insert((&unknown.cluster, unknown.workspace.as_str()), Untouchable::Unknown);
    }
    for unmanaged in &plan.unmanaged {
        never.insert((&unmanaged.cluster, unmanaged.name.as_str()), Untouchable::Unmanaged);
    }
    // A replace waits for the mark that the other steps restore; any other conflict is about the workspace as a whole.
    let is_conflict = |held: &&Withheld| held.guard == Guard::Conflict && held.action != Action::Replace;
    for held in plan.withheld.iter().filter(is_conflict) {
        never.insert((&held.cluster, held.workspace.as_str()), Untouchable::Conflict);
    }
    let withheld: BTreeSet<_> =
        plan.withheld.iter().map(|held| (&held.cluster, held.workspace.as_str(), held.action)).collect();
    for step in &plan.steps {
        for name in [Some(&step.workspace), step.renamed_from.as_ref()].into_iter().flatten() {
            if let Some(why) = never.get(&(step.cluster.as_str(), name.as_str())) {
                let (step, workspace) = (step.id.clone(), name.clone());
                faults.push(Fault::Touches { step, workspace, why: *why });
            }
        }
        if withheld.contains(&(&step.cluster, step.workspace.as_str(), step.action)) {
            faults.push(Fault::StepAndWithheld(step.id.clone()));
        }
    }
    for refresh in &plan.marks {
        if let Some(why) = never.get(&(refresh.cluster.as_str(), refresh.workspace.as_str())) {
            faults.push(Fault::Marks { workspace: refresh.workspace.clone(), why: *why });
        }
    }
}
