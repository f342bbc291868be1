//! The guards over what destroys: deletes and replaces.
//!
//! Each guard counts and judges over everything that the clusters and declarations say, whatever a filter selects.
//! Which flags lift a guard is decided here too, so that a message cannot promise what does not hold.

use std::collections::BTreeMap;

use magus_diff::ClusterChanges;
use magus_model::{
    Text,
    desired::{Cluster, Environment, MaxDeletes},
    observed::{Mark, MissingPart},
    plan::{Action, Guard, Overrides},
};

use crate::{
    request::Intent,
    unblock::Flag,
    words::{self, plural},
};

/// From so many managed workspaces on, a share of them is a limit.
const SHARE_COUNTS_FROM: usize = 10;

/// Something that would destroy a workspace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Danger<'a> {
    /// [`Action::Delete`] or [`Action::Replace`].
    pub action: Action,
    /// The environment of the step.
    pub environment: &'a Text,
    /// The mark that the workspace carries.
    pub mark: &'a Mark,
}

/// What a guard says about a step that it holds back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub guard: Guard,
    pub message: String,
    pub flags: Vec<Flag>,
}

/// How many are managed and how many of them would be destroyed.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    managed: usize,
    deleted: usize,
    destroyed: usize,
}

/// The guards of one cluster.
pub(crate) struct Guards<'a> {
    cluster: &'a Cluster,
    overrides: &'a Overrides,
    intent: Intent,
    limit: MaxDeletes,
    /// What `--max-deletes` has to be so that it stops nothing anywhere.
    enough: usize,
    whole: Count,
    environments: BTreeMap<&'a Text, Count>,
}

/// The largest number of workspaces that would be destroyed in one cluster.
pub(crate) fn enough(dangers: &[Vec<Danger<'_>>]) -> usize {
    dangers.iter().map(Vec::len).max().unwrap_or_default()
}

impl<'a> Guards<'a> {
    /// Counts what there is and what would be destroyed.
    pub(crate) fn new(
        changes: &'a ClusterChanges<'a>,
        dangers: &[Danger<'a>],
        enough: usize,
        overrides: &'a Overrides,
        intent: Intent,
    ) -> Self {
        let cluster = changes.cluster;
        let mut whole = Count::default();
        let mut environments: BTreeMap<&Text, Count> = BTreeMap::new();
        let present = changes.observation.iter().flat_map(|observation| observation.present.values());
        let marks = present.filter_map(|observed| observed.mark.as_ref());
        for mark in marks.filter(|mark| mark.managed_by == cluster.managed_by) {
            whole.managed += 1;
            environments.entry(&mark.environment).or_default().managed += 1;
        }
        for danger in dangers {
            for count in [&mut whole, environments.entry(&danger.mark.environment).or_default()] {
                count.destroyed += 1;
                count.deleted += usize::from(danger.action == Action::Delete);
            }
        }
        let given = overrides.max_deletes.as_deref().and_then(MaxDeletes::parse);
        let limit = given.unwrap_or(cluster.max_deletes);
        Self { cluster, overrides, intent, limit, enough, whole, environments }
    }

    /// Whether the cluster still declares an environment.
    pub(crate) fn declares(&self, environment: &Text) -> bool {
        self.declaration(environment).is_some()
    }

    /// Whether the cluster declares an environment as protected.
    pub(crate) fn protects(&self, environment: &Text) -> bool {
        self.declaration(environment).is_some_and(|declared| declared.protected)
    }

    /// The flags that were given.
    pub(crate) fn overrides(&self) -> &'a Overrides {
        self.overrides
    }

    fn declaration(&self, environment: &Text) -> Option<&'a Environment> {
        self.cluster.environments.iter().find(|declared| declared.name == *environment)
    }

    /// Every guard that holds a step back, the strongest first.
    pub(crate) fn holding(&self, danger: &Danger<'_>) -> Vec<Held> {
        let declared = self.declaration(danger.environment);
        let mut held = Vec::new();
        held.extend(self.protected(danger, declared));
        if danger.action == Action::Delete && self.intent == Intent::Converge {
            match declared {
                None => held.extend(self.environment_removed(danger)),
                Some(environment) => held.extend(self.empty_desired(environment)),
            }
        }
        held.extend(self.max_deletes(danger));
        held
    }

    /// Holds back a replace of a workspace that lost its StatefulSet: it loses more than was declared.
    pub(crate) fn recreate(&self, environment: &Text, missing: &[MissingPart]) -> Option<Held> {
        if self.overrides.allow_replace.contains(environment) {
            return None;
        }
        let (why, needs) = (words::recreate(missing), words::recreate_needs(environment));
        let flags = vec![Flag::AllowReplace(environment.clone())];
        Some(Held { guard: Guard::Engine, message: format!("guard `engine`: {why}; {needs}"), flags })
    }

    /// The strongest guard that holds a step back.
    pub(crate) fn first(&self, danger: &Danger<'_>) -> Option<Guard> {
        self.holding(danger).first().map(|held| held.guard)
    }

    fn protected(&self, danger: &Danger<'_>, declared: Option<&Environment>) -> Option<Held> {
        let is_declared = declared.is_some_and(|environment| environment.protected);
        if !is_declared && !danger.mark.protected {
            return None;
        }
        // The protection that is lifted is that of the environment which has it.
        let environment = if is_declared { danger.environment } else { &danger.mark.environment };
        let (allowed, option, flag) = match danger.action {
            Action::Replace => {
                (&self.overrides.allow_replace, "--allow-replace", Flag::AllowReplace(environment.clone()))
            }
            _ => (&self.overrides.allow_delete, "--allow-delete", Flag::AllowDelete(environment.clone())),
        };
        let is_allowed = allowed.contains(environment);
        let has_reason = has_reason(self.overrides);
        let mut flags = Vec::new();
        if !is_allowed {
            flags.push(flag);
        }
        if !has_reason {
            flags.push(Flag::Reason);
        }
        if flags.is_empty() {
            return None;
        }
        let source = if is_declared {
            format!("`protected: true` in the environment.yaml of `{environment}`")
        } else {
            "the workspace is marked as protected in the cluster, whatever is declared now".to_owned()
        };
        let needs = match (is_allowed, has_reason) {
            (false, true) => format!("needs `{option} {environment}`"),
            (true, _) => format!("`{option} {environment}` needs `--reason` too"),
            (false, false) => format!("needs `{option} {environment}` and `--reason`"),
        };
        let message = format!(
            "guard `protected`: `{environment}` is protected, and nothing is {} there ({source}); {needs}",
            past(danger.action)
        );
        Some(Held { guard: Guard::Protected, message, flags })
    }

    fn environment_removed(&self, danger: &Danger<'_>) -> Option<Held> {
        let environment = danger.environment;
        if self.overrides.allow_delete.contains(environment) {
            return None;
        }
        let managed = self.count(environment).managed;
        let message = format!(
            "guard `environment-removed`: the folder of `{environment}` is gone from the declarations of cluster `{}`, \
             and it has {} there; needs `--allow-delete {environment}`, or the folder again",
            self.cluster.name,
            plural(managed, "managed workspace"),
        );
        let flags = vec![Flag::AllowDelete(environment.clone())];
        Some(Held { guard: Guard::EnvironmentRemoved, message, flags })
    }

    fn empty_desired(&self, environment: &Environment) -> Option<Held> {
        let name = &environment.name;
        let Count { managed, deleted, .. } = self.count(name);
        let declared = environment.workspaces.len();
        // Where all that is managed would go though others are declared, the folder was copied or swapped.
        let all_go = deleted >= managed;
        if (declared > 0 && !all_go) || self.overrides.allow_empty.contains(name) {
            return None;
        }
        let saw = if declared == 0 {
            format!(
                "`{name}` declares no workspace any more, and {} would be deleted",
                plural(deleted, "workspace")
            )
        } else {
            format!(
                "`{name}` declares {}, and none of the {} there is among them: was the folder copied, swapped or renamed?",
                plural(declared, "workspace"),
                plural(managed, "managed one"),
            )
        };
        let message =
            format!("guard `empty-desired`: {saw}; needs `--allow-empty {name}`, or the declarations again");
        Some(Held { guard: Guard::EmptyDesired, message, flags: vec![Flag::AllowEmpty(name.clone())] })
    }

    fn max_deletes(&self, danger: &Danger<'_>) -> Option<Held> {
        let environment = &danger.mark.environment;
        let scopes = [
            (format!("cluster `{}`", self.cluster.name), self.whole),
            (format!("environment `{environment}`"), self.count(environment)),
        ];
        let (scope, count) = scopes.into_iter().find(|(_, count)| exceeds(self.limit, *count))?;
        let Count { managed, deleted, destroyed } = count;
        let what = if deleted == destroyed { "deleted" } else { "deleted or replaced" };
        let message = format!(
            "guard `max-deletes`: {destroyed} of {managed} managed workspaces of {scope} would be {what}, and the limit \
             is {}; needs `--max-deletes {}`, or a higher `limits.max_deletes` in cluster.yaml",
            self.limit, self.enough,
        );
        Some(Held { guard: Guard::MaxDeletes, message, flags: vec![Flag::MaxDeletes(self.enough)] })
    }

    fn count(&self, environment: &Text) -> Count {
        self.environments.get(environment).copied().unwrap_or_default()
    }
}

/// Whether a person said why.
pub(crate) fn has_reason(overrides: &Overrides) -> bool {
    overrides.reason.as_ref().is_some_and(|reason| !reason.trim().is_empty())
}

fn exceeds(limit: MaxDeletes, count: Count) -> bool {
    match limit {
        MaxDeletes::Count(most) => count.destroyed > most as usize,
        MaxDeletes::Percent(percent) => {
            count.managed >= SHARE_COUNTS_FROM && count.destroyed * 100 > count.managed * percent as usize
        }
    }
}

fn past(action: Action) -> &'static str {
    if action == Action::Replace { "replaced" } else { "deleted" }
}
