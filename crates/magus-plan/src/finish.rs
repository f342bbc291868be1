//! The end of a plan: everything in the order in which it may begin, and counted.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use magus_diff::keyed_digest;
use magus_model::{
    Text,
    desired::{Desired, Engine},
    plan::{
        Action, FORMAT_VERSION, Head, LockKind, Plan, PlanCluster, Since, Step, Summary, Unknown, Withheld,
    },
};

use crate::{
    digest::digest,
    ownership,
    planner::{Draft, baseline, stage},
    request::{Baseline, Intent, PlanRequest},
};

impl Draft<'_> {
    /// Brings everything in order and counts it.
    pub(crate) fn finish(self) -> Plan {
        let Self {
            request,
            overrides,
            mut steps,
            mut withheld,
            mut unmanaged,
            mut orphans,
            mut unknown,
            mut marks,
            mut apart,
            mut incomplete,
            unchanged,
        } = self;
        let desired = request.desired;
        let stages: HashMap<Text, u32> = steps
            .iter()
            .map(|step| &step.environment)
            .chain(withheld.iter().map(|withheld| &withheld.environment))
            .chain(apart.iter().map(|apart| &apart.environment))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|environment| (environment.clone(), stage(desired, environment)))
            .collect();
        let place = |environment: &Text| {
            let stage = stages.get(environment).copied().unwrap_or(u32::MAX);
            // One of both is the same for all, and the other decides.
            match request.intent {
                Intent::Destroy => (0, Reverse(stage)),
                Intent::Converge | Intent::Restart | Intent::Orphans | Intent::Forget => (stage, Reverse(0)),
            }
        };
        // Stable: the steps of one workspace stay in the order in which they were made.
        steps.sort_by(|a, b| {
            let is_delete = |step: &Step| step.action == Action::Delete;
            place(&a.environment).cmp(&place(&b.environment)).then_with(|| {
                let of_a = (is_delete(a), &a.cluster, &a.environment, &a.workspace);
                of_a.cmp(&(is_delete(b), &b.cluster, &b.environment, &b.workspace))
            })
        });
        withheld.sort_by(|a, b| {
            place(&a.environment).cmp(&place(&b.environment)).then_with(|| {
                let of_a = (&a.cluster, &a.environment, &a.workspace);
                of_a.cmp(&(&b.cluster, &b.environment, &b.workspace))
            })
        });
        apart.sort_by(|a, b| {
            place(&a.environment).cmp(&place(&b.environment)).then_with(|| {
                let of_a = (&a.cluster, &a.environment, &a.workspace);
                of_a.cmp(&(&b.cluster, &b.environment, &b.workspace))
            })
        });
        unmanaged.sort();
        orphans.sort();
        incomplete.sort();
        unknown.sort_by(|a, b| (&a.cluster, &a.workspace).cmp(&(&b.cluster, &b.workspace)));
        marks.sort_by(|a, b| (&a.cluster, &a.workspace).cmp(&(&b.cluster, &b.workspace)));

        let since = baseline(request).map(|Baseline { revision, commit, desired: _ }| {
            // A part is not applied, so that it leaves no mark that would say that the whole was.
            steps.iter_mut().for_each(|step| step.mark = None);
            marks.clear();
            Since { revision: revision.clone(), commit: commit.clone(), apart }
        });
        let mut clusters: Vec<_> = desired
            .clusters
            .iter()
            .map(|cluster| {
                let mut environments: Vec<_> = cluster.environments.iter().collect();
                environments.sort_by_key(|environment| (environment.stage, &environment.name));
                PlanCluster {
                    name: cluster.name.clone(),
                    engine: cluster.engine.kind().into(),
                    lock: match &cluster.engine {
                        _ if cluster.history.is_some() => LockKind::Remote,
                        Engine::Local { .. } => LockKind::Store,
                        Engine::Mage(_) => LockKind::None,
                    },
                    holds: cluster
                        .environments
                        .iter()
                        .filter_map(|one| Some((one.name.clone(), one.hold.clone()?)))
                        .collect(),
                    unverifiable: unverifiable(request, &cluster.name),
                    environments: environments
                        .into_iter()
                        .map(|environment| environment.name.clone())
                        .collect(),
                }
            })
            .collect();
        clusters.sort_by(|a, b| a.name.cmp(&b.name));
        let summary = summary(&steps, &withheld, &unknown, unchanged);
        let refused = ownership::refused(request, overrides, &steps);
        // Nothing is written for declarations that are older than those that were applied.
        marks.retain(|mark| request.newer.iter().all(|newer| newer.cluster != mark.cluster));
        let mut plan = Plan {
            format_version: FORMAT_VERSION,
            magus_version: request.magus_version.clone(),
            clusters,
            source: request.source.clone(),
            created_at: request.now.to_string().into(),
            digest: Text::default(),
            has_changes: !steps.is_empty(),
            summary,
            overrides: overrides.clone(),
            steps,
            withheld,
            refused,
            unmanaged,
            heads: heads(desired),
            orphans,
            incomplete,
            unknown,
            diagnostics: request.diagnostics.clone(),
            since,
            assumed: request.assumed.clone(),
            marks,
        };
        seal(request, &mut plan.steps);
        plan.digest = digest(&plan);
        debug_assert_eq!(magus_check::check(&plan, desired), [], "the plan breaks a rule of plans");
        plan
    }
}

/// Gives a keyed digest to every desired value that the plan does not show.
fn seal(request: &PlanRequest<'_>, steps: &mut [Step]) {
    for step in steps {
        let changes = request.changes.clusters.iter().find(|changes| changes.cluster.name == step.cluster);
        let Some(key) = changes.and_then(|changes| changes.observation?.key.as_ref()) else { continue };
        for field in &mut step.fields {
            field.sealed = field.unshown().map(|value| keyed_digest(key, &field.path, value));
        }
    }
}

/// The branches that are deployed, each with the commit that it is taken for.
fn heads(desired: &Desired) -> Vec<Head> {
    let mut heads = BTreeSet::new();
    for cluster in &desired.clusters {
        let workspaces = cluster.environments.iter().flat_map(|environment| &environment.workspaces);
        for code in workspaces.filter_map(|workspace| workspace.code.as_ref()) {
            if let (None, Ok(commit)) = (&code.pinned, &code.commit) {
                heads.insert(Head {
                    cluster: cluster.name.clone(),
                    branch: code.branch.clone(),
                    commit: commit.clone(),
                });
            }
        }
    }
    heads.into_iter().collect()
}

/// What a cluster's observation shows without having seen it.
fn unverifiable(request: &PlanRequest<'_>, cluster: &Text) -> Option<Text> {
    let changes = request.changes.clusters.iter().find(|changes| changes.cluster.name == *cluster)?;
    changes.observation?.unverifiable.clone()
}

fn summary(steps: &[Step], withheld: &[Withheld], unknown: &[Unknown], unchanged: usize) -> Summary {
    let count = |action: Action| steps.iter().filter(|step| step.action == action).count();
    let held: BTreeSet<_> =
        withheld.iter().map(|withheld| (&withheld.cluster, &withheld.workspace)).collect();
    Summary {
        create: count(Action::Create),
        update: count(Action::Update),
        replace: count(Action::Replace),
        delete: count(Action::Delete),
        adopt: count(Action::Adopt),
        unchanged,
        withheld: held.len(),
        unknown: unknown.len(),
        deploy: count(Action::Deploy),
        start: count(Action::Start),
        stop: count(Action::Stop),
        restart: count(Action::Restart),
        forget: count(Action::Forget),
    }
}
