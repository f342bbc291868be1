//! An independent checker of plans: finds what no plan may hold, whoever made it.
//!
//! It shares no code with the planner, so that a mistake there is found before anything is sent. It depends on the plain
//! data of `magus-model` alone: it has its own digest of a plan and its own idea of what a step may do. It runs on every
//! plan in debug builds and in tests, and before every apply.

mod content;
mod digest;
mod fault;
mod marks;
mod order;
mod owners;
mod untouchable;

use std::collections::{BTreeMap, BTreeSet};

use magus_model::{
    Text,
    desired::{Cluster, Desired, Environment, Workspace},
    plan::{Action, FORMAT_VERSION, Plan, Summary},
};

pub use fault::{Fault, Untouchable};
pub use owners::check_owners;

/// The faults of a plan for this desired state; a plan without any may be applied.
pub fn check(plan: &Plan, desired: &Desired) -> Vec<Fault> {
    let mut faults = Vec::new();
    if plan.format_version != FORMAT_VERSION {
        faults.push(Fault::FormatVersion { found: plan.format_version });
    }
    let computed = digest::of(plan);
    if plan.digest != computed.as_str() {
        faults.push(Fault::Digest { stated: plan.digest.clone(), computed: computed.into() });
    }
    if plan.has_changes == plan.steps.is_empty() {
        faults.push(Fault::HasChanges);
    }
    let declared = Declared::new(desired);
    order::identities(plan, &mut faults);
    order::needs(plan, &mut faults);
    order::promotion(plan, desired, &mut faults);
    untouchable::check(plan, &mut faults);
    for step in &plan.steps {
        content::protection(step, plan, &declared, &mut faults);
        content::check(step, &mut faults);
    }
    marks::check(plan, &declared, &mut faults);
    summary(plan, &mut faults);
    faults
}

/// A cluster and a name in it.
type Name<'a> = (&'a str, &'a str);

/// What is declared, by name.
struct Declared<'a> {
    workspaces: BTreeMap<Name<'a>, (&'a Cluster, &'a Environment, &'a Workspace)>,
    protected: BTreeSet<Name<'a>>,
    /// The environments with workspaces that come and go with branches.
    of_branches: BTreeSet<Name<'a>>,
}

impl<'a> Declared<'a> {
    fn new(desired: &'a Desired) -> Self {
        let mut declared =
            Self { workspaces: BTreeMap::new(), protected: BTreeSet::new(), of_branches: BTreeSet::new() };
        for cluster in &desired.clusters {
            for environment in &cluster.environments {
                let name = (cluster.name.as_str(), environment.name.as_str());
                if environment.branch_workspaces.is_some() {
                    declared.of_branches.insert(name);
                }
                if environment.protected {
                    declared.protected.insert(name);
                }
                for workspace in &environment.workspaces {
                    let name = (cluster.name.as_str(), workspace.name.as_str());
                    declared.workspaces.insert(name, (cluster, environment, workspace));
                }
            }
        }
        declared
    }
}

fn summary(plan: &Plan, faults: &mut Vec<Fault>) {
    let workspaces = |action: Action| {
        let steps = plan.steps.iter().filter(|step| step.action == action);
        steps.map(|step| (&step.cluster, &step.workspace)).collect::<BTreeSet<_>>().len()
    };
    let withheld: BTreeSet<(&Text, &str)> =
        plan.withheld.iter().map(|held| (&held.cluster, held.workspace.as_str())).collect();
    let counted = Summary {
        create: workspaces(Action::Create),
        update: workspaces(Action::Update),
        replace: workspaces(Action::Replace),
        delete: workspaces(Action::Delete),
        adopt: workspaces(Action::Adopt),
        unchanged: plan.summary.unchanged,
        withheld: withheld.len(),
        unknown: plan.unknown.len(),
        deploy: workspaces(Action::Deploy),
        start: workspaces(Action::Start),
        stop: workspaces(Action::Stop),
        restart: workspaces(Action::Restart),
        forget: workspaces(Action::Forget),
    };
    if plan.summary != counted {
        faults.push(Fault::Summary { stated: plan.summary, counted });
    }
}
