//! What failed creates and deletes left in a cluster: removed on request.

use magus_diff::ClusterChanges;
use magus_model::{
    Text,
    observed::ObservedOrphan,
    plan::{Action, NO_ENVIRONMENT},
};

use crate::{
    planner::{Draft, deletion},
    work::{self, Loss},
};

impl Draft<'_> {
    /// What was left behind has no mark, no environment and no declaration: the request is enough.
    pub(crate) fn remove_orphans(&mut self, changes: &ClusterChanges<'_>) {
        let cluster = &changes.cluster.name;
        for ObservedOrphan { name, place, revision } in orphans(changes) {
            let environment = Text::new_static(NO_ENVIRONMENT);
            if !self.request.filter.selects(&environment, name.as_str(), name) {
                continue;
            }
            let loss = Loss::Unknown(work::ORPHAN);
            if let Some(held) = loss.held(name.as_str(), self.overrides) {
                self.withhold(changes, &environment, name, Action::Delete, vec![held]);
                continue;
            }
            let reason = format!("left in {place}, and known to no server{}", loss.accepted());
            let step = deletion(cluster, &environment, (name, revision), reason);
            self.steps.push(step);
        }
    }
}

/// What the cluster still runs and no workspace is known for.
pub(crate) fn orphans<'a>(
    changes: &ClusterChanges<'a>,
) -> impl Iterator<Item = &'a ObservedOrphan> + use<'a> {
    changes.observation.into_iter().flat_map(|observation| &observation.orphans)
}
