//! The entries that commands write into histories: one before the first step of an apply, and one that ends it.
//!
//! What was killed in between leaves its first entry, which says which steps were to be done. The next command that takes the lock
//! of the cluster ends it.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use jiff::Timestamp;
use magus_engine::Perform;
use magus_history::{HistoryError, Recorded};
use magus_model::{
    Text,
    desired::{Cluster, Engine},
    history::{Deployed, Ending, Entry, EntryStep, FORMAT_VERSION, Operation},
    plan::{Plan, Step},
    report::{ApplyReport, Outcome},
};

use crate::{
    arguments::Global,
    declarations::Checked,
    engines::host,
    history::{self, author},
    output::Output,
    pipeline::Planned,
};

/// The entries of an apply that has begun.
pub struct Entries<'a> {
    global: &'a Global,
    checked: &'a Checked,
    operation: Operation,
    /// The entry that says that it runs, for each cluster that it has steps for.
    begun: BTreeMap<Text, Text>,
}

impl<'a> Entries<'a> {
    /// Ends what others left, and says in the history of each cluster that has steps that they begin. A history that cannot be
    /// written keeps nothing from being done: [`Entries::end`] says so.
    pub fn begin(
        global: &'a Global,
        checked: &'a Checked,
        operation: Operation,
        plan: &Plan,
        opened: &BTreeMap<Text, Arc<dyn Perform>>,
    ) -> Self {
        let clusters = checked.resolution.desired.clusters.iter();
        let mut begun = BTreeMap::new();
        for cluster in clusters.filter(|cluster| opened.contains_key(&cluster.name)) {
            if let Err(why) = close_interrupted(global, cluster) {
                tracing::debug!(cluster = %cluster.name, %why, "what was interrupted was not looked for");
            }
            let steps: Vec<EntryStep> = plan
                .steps
                .iter()
                .filter(|step| step.cluster == cluster.name)
                .map(|step| recorded(step, Outcome::NotStarted))
                .collect();
            if steps.is_empty() {
                continue;
            }
            let entry = Entry {
                result: Ending::Running,
                process: Some(std::process::id()),
                steps,
                ..planned(cluster, operation, plan)
            };
            match add(global, cluster, entry) {
                Ok((entry, _)) => drop(begun.insert(cluster.name.clone(), entry.id)),
                Err(why) => tracing::debug!(cluster = %cluster.name, %why, "its beginning was not recorded"),
            }
        }
        Self { global, checked, operation, begun }
    }

    /// Records what was done, in the history of each cluster that it had steps for. It has been done whatever becomes of the
    /// record, so that a failure is only said.
    pub fn end(
        self,
        made: &Planned,
        report: &ApplyReport,
        engines: &BTreeMap<Text, &dyn Perform>,
        output: &Output,
    ) {
        let Self { global, checked, operation, begun } = self;
        let plan = &made.plan;
        let steps: HashMap<&Text, &Step> = plan.steps.iter().map(|step| (&step.id, step)).collect();
        for cluster in &checked.resolution.desired.clusters {
            let name = &cluster.name;
            let results = report.results.iter().filter(|result| result.cluster == *name);
            let done: Vec<EntryStep> = results
                .filter_map(|result| Some((steps.get(&result.step)?, result.outcome)))
                .map(|(step, outcome)| {
                    let seen = made.observations.iter().find(|one| one.cluster == *name);
                    let seen = seen.and_then(|one| one.present.get(&step.workspace)?.identity.clone());
                    let left = engines.get(name).and_then(|engine| engine.identity(&step.workspace));
                    EntryStep { identity: left.or(seen), ..recorded(step, outcome) }
                })
                .collect();
            if done.is_empty() {
                continue;
            }
            let complete = done.iter().all(|step| step.outcome == Outcome::Applied);
            let entry = Entry {
                result: if complete { Ending::Done } else { Ending::Incomplete },
                closes: begun.get(name).cloned(),
                steps: done,
                ..planned(cluster, operation, plan)
            };
            match add(global, cluster, entry) {
                Ok((_, Recorded::Everywhere)) => {}
                Ok((_, Recorded::Here(why))) => output.note(&format!(
                    "note: the history of cluster `{name}` is on this machine alone, and goes along with the next entry: {why}"
                )),
                Err(why) => {
                    output.note(&format!("note: what was done is not in the history of cluster `{name}`: {why}"));
                }
            }
        }
    }
}

/// Ends the entries of commands that were killed. The caller has the lock of the cluster, so that nothing else runs.
fn close_interrupted(global: &Global, cluster: &Cluster) -> Result<(), HistoryError> {
    let history = history::open(global, cluster)?;
    let entries = history.read(!global.offline)?;
    let interrupted =
        entries.iter().filter(|entry| entry.result == Ending::Running && !may_run(cluster, entry));
    for entry in interrupted {
        let steps = entry.steps.iter().map(|step| EntryStep { outcome: Outcome::Uncertain, ..step.clone() });
        history.add(Entry {
            id: Text::default(),
            at: Timestamp::now().to_string().into(),
            result: Ending::Interrupted,
            process: None,
            closes: Some(entry.id.clone()),
            steps: steps.collect(),
            ..entry.clone()
        })?;
    }
    Ok(())
}

/// Whether the process of an entry may still be at work: only where the cluster has no lock, and only on this machine.
fn may_run(cluster: &Cluster, entry: &Entry) -> bool {
    let has_lock = cluster.history.is_some() || matches!(cluster.engine, Engine::Local { .. });
    let is_here = entry.by.ends_with(&format!("@{}", host()));
    let lives = |process: u32| Path::new("/proc").join(process.to_string()).exists();
    !has_lock && is_here && entry.process.is_some_and(lives)
}

fn add(global: &Global, cluster: &Cluster, entry: Entry) -> Result<(Entry, Recorded), HistoryError> {
    history::open(global, cluster).map_err(HistoryError::from).and_then(|history| history.add(entry))
}

fn recorded(step: &Step, outcome: Outcome) -> EntryStep {
    EntryStep {
        environment: step.environment.clone(),
        workspace: step.workspace.clone(),
        action: step.action,
        outcome,
        deployed: step.deploy.as_ref().map(|deploy| Deployed {
            branch: deploy.branch.clone(),
            from: deploy.from.clone(),
            to: deploy.to.clone(),
            source: Some(deploy.source.clone()),
        }),
        identity: None,
        protected: step.mark.as_ref().is_some_and(|mark| mark.protected),
    }
}

fn planned(cluster: &Cluster, operation: Operation, plan: &Plan) -> Entry {
    Entry {
        reason: plan.overrides.reason.clone(),
        revision: plan.source.revision.clone(),
        dirty: plan.source.dirty,
        plan_digest: Some(plan.digest.clone()),
        overrides: plan.overrides.clone(),
        ..entry(cluster, operation)
    }
}

/// An entry of now and of this user.
pub fn entry(cluster: &Cluster, operation: Operation) -> Entry {
    Entry {
        format_version: FORMAT_VERSION,
        id: Text::default(),
        cluster: cluster.name.clone(),
        operation,
        at: Timestamp::now().to_string().into(),
        by: author(),
        result: Ending::Done,
        reason: None,
        revision: None,
        dirty: false,
        plan_digest: None,
        overrides: magus_model::plan::Overrides::default(),
        steps: Vec::new(),
        verification: None,
        managed_by: Some(cluster.managed_by.clone()),
        process: None,
        closes: None,
    }
}
