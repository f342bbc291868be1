//! A plan against what was observed: no workspace without our mark is changed, and none loses its protection, without the flag
//! that allows it.

use std::collections::BTreeMap;

use magus_model::{
    Text,
    desired::{Cluster, Desired},
    observed::{Observation, ObservedWorkspace, Recollection},
    plan::{Action, Plan, Step},
};

use crate::{Declared, Fault};

/// The faults of a plan for what was observed: whose a workspace is stands there alone, in its mark. `recollection` are the
/// workspaces without a mark that something else shows to be ours.
pub fn check_owners(
    plan: &Plan,
    desired: &Desired,
    observations: &[Observation],
    recollection: &Recollection,
) -> Vec<Fault> {
    let clusters: BTreeMap<&Text, &Cluster> =
        desired.clusters.iter().map(|cluster| (&cluster.name, cluster)).collect();
    let observed: BTreeMap<&Text, &Observation> =
        observations.iter().map(|observation| (&observation.cluster, observation)).collect();
    let owners = Owners { plan, declared: Declared::new(desired), recollection };
    let mut faults = Vec::new();
    for step in &plan.steps {
        let name = step.renamed_from.as_ref().unwrap_or(&step.workspace);
        let present = observed.get(&step.cluster).and_then(|one| one.present.get(name));
        if let (Some(cluster), Some(observed)) = (clusters.get(&step.cluster), present) {
            faults.extend(owners.check(step, cluster, observed));
        }
    }
    faults
}

struct Owners<'a> {
    plan: &'a Plan,
    declared: Declared<'a>,
    recollection: &'a Recollection,
}

impl Owners<'_> {
    fn check(&self, step: &Step, cluster: &Cluster, observed: &ObservedWorkspace) -> Option<Fault> {
        match &observed.mark {
            Some(mark) if mark.managed_by == cluster.managed_by => {
                self.protection(step, (&mark.environment, mark.protected))
            }
            Some(mark) => {
                Some(Fault::ManagedByOther { step: step.id.clone(), owner: mark.managed_by.clone() })
            }
            None => {
                let recalled = self.recollection.get(&cluster.name).and_then(|all| all.get(&observed.name));
                match recalled {
                    Some(recalled) => self
                        .without_mark(step)
                        .or_else(|| self.protection(step, (&recalled.environment, recalled.protected))),
                    None => self.without_mark(step).or_else(|| self.adoption(step)),
                }
            }
        }
    }

    /// What is deleted has to carry the mark itself.
    fn without_mark(&self, step: &Step) -> Option<Fault> {
        let destroys = matches!(step.action, Action::Delete | Action::Replace | Action::Forget);
        destroys.then(|| Fault::WithoutMark(step.id.clone()))
    }

    /// An unmanaged workspace is changed only if `--adopt` names it; in a protected environment, with a reason. One that is as
    /// declared is adopted without the flag.
    fn adoption(&self, step: &Step) -> Option<Fault> {
        let is_named = self.plan.overrides.adopt.iter().any(|name| name == step.workspace.as_str());
        let is_as_declared = step.action == Action::Adopt && !self.changes(step);
        let is_protected = self.declared.protected.contains(&(&step.cluster, step.environment.as_str()));
        let is_allowed = if is_named { !is_protected || self.has_reason() } else { is_as_declared };
        (!is_allowed).then(|| Fault::AdoptsWithoutFlag(step.id.clone()))
    }

    /// Whether a step on the same workspace changes more than who manages it.
    fn changes(&self, step: &Step) -> bool {
        let same = |other: &&Step| other.cluster == step.cluster && other.workspace == step.workspace;
        let mut steps = self.plan.steps.iter().filter(same);
        steps.any(|other| other.action != Action::Adopt)
    }

    /// A workspace of a protected environment stays in it and protected, unless a person allowed it and said why.
    fn protection(&self, step: &Step, (environment, protected): (&Text, bool)) -> Option<Fault> {
        // A delete has flags of its own, and a restart leaves the mark as it is.
        if matches!(step.action, Action::Delete | Action::Restart) {
            return None;
        }
        let cluster = step.cluster.as_str();
        let is_protected =
            |environment: &Text| self.declared.protected.contains(&(cluster, environment.as_str()));
        let declared = self.declared.workspaces.get(&(cluster, step.workspace.as_str()));
        let (stays, keeps) = declared
            .filter(|_| step.action != Action::Forget)
            .map_or((false, false), |(_, declared, _)| (declared.name == *environment, declared.protected));
        let was_protected = protected || (!stays && is_protected(environment));
        let is_allowed = self.plan.overrides.allow_unprotect.contains(environment) && self.has_reason();
        (was_protected && !(stays && keeps) && !is_allowed)
            .then(|| Fault::LosesProtection { step: step.id.clone(), environment: environment.clone() })
    }

    fn has_reason(&self) -> bool {
        self.plan.overrides.reason.as_deref().is_some_and(|reason| !reason.trim().is_empty())
    }
}
