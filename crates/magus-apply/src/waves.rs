//! Waves: the steps of one stage of promotion, over all clusters, that may be under way together.
//!
//! The plan's own order decides. Its steps are sorted by stage (a destroy has the stages reversed), so a wave is
//! a run of steps of one stage, and nothing here sorts again: what was reviewed is what runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use magus_model::{
    Text,
    desired::{Desired, Environment},
    plan::Step,
};

/// The declared environments by cluster and name.
pub(crate) struct Environments<'a>(BTreeMap<(&'a str, &'a str), &'a Environment>);

impl<'a> Environments<'a> {
    pub(crate) fn new(desired: &'a Desired) -> Self {
        let all = desired.clusters.iter().flat_map(|cluster| {
            let key = |environment: &'a Environment| (cluster.name.as_str(), environment.name.as_str());
            cluster.environments.iter().map(move |environment| (key(environment), environment))
        });
        Self(all.collect())
    }

    pub(crate) fn get(&self, cluster: &str, environment: &str) -> Option<&'a Environment> {
        self.0.get(&(cluster, environment)).copied()
    }

    /// The stage of an environment; nothing for one that is not declared any more. Those share waves of their own.
    pub(crate) fn stage(&self, cluster: &str, environment: &str) -> Option<u32> {
        self.get(cluster, environment).map(|environment| environment.stage)
    }
}

/// A run of steps of one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wave {
    pub(crate) steps: Range<usize>,
    pub(crate) stage: Option<u32>,
    /// Cluster and environment, each pair once, in the plan's order.
    pub(crate) environments: Vec<(Text, Text)>,
}

/// Cuts a plan's steps into waves. A stage without steps in which something else is to be done gets a wave without
/// steps, in the order of promotion.
pub(crate) fn waves(
    steps: &[Step],
    environments: &Environments<'_>,
    others: impl Iterator<Item = Option<u32>>,
) -> Vec<Wave> {
    let mut waves: Vec<Wave> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let stage = environments.stage(&step.cluster, &step.environment);
        if waves.last().is_none_or(|wave| wave.stage != stage) {
            waves.push(Wave { steps: at..at, stage, environments: Vec::new() });
        }
        let Some(wave) = waves.last_mut() else { continue };
        wave.steps.end = at + 1;
        let pair = (step.cluster.clone(), step.environment.clone());
        if !wave.environments.contains(&pair) {
            wave.environments.push(pair);
        }
    }
    // What is not declared any more comes last.
    let rank = |stage: Option<u32>| stage.map_or(u64::MAX, u64::from);
    for stage in others.collect::<BTreeSet<_>>() {
        if waves.iter().all(|wave| wave.stage != stage) {
            let at = waves.iter().position(|wave| rank(wave.stage) > rank(stage)).unwrap_or(waves.len());
            let begin = waves.get(at).map_or(steps.len(), |wave| wave.steps.start);
            waves.insert(at, Wave { steps: begin..begin, stage, environments: Vec::new() });
        }
    }
    waves
}
