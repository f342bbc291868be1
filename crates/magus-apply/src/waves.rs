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

/// The declared environments.
pub(crate) struct Environments<'a> {
    by_cluster: BTreeMap<(&'a str, &'a str), &'a Environment>,
    stages: BTreeMap<&'a str, u32>,
}

impl<'a> Environments<'a> {
    pub(crate) fn new(desired: &'a Desired) -> Self {
        let mut by_cluster = BTreeMap::new();
        let mut stages = BTreeMap::new();
        for cluster in &desired.clusters {
            for environment in &cluster.environments {
                let name = environment.name.as_str();
                by_cluster.insert((cluster.name.as_str(), name), environment);
                stages.entry(name).or_insert_with(|| magus_plan::stage(desired, name));
            }
        }
        Self { by_cluster, stages }
    }

    pub(crate) fn get(&self, cluster: &str, environment: &str) -> Option<&'a Environment> {
        self.by_cluster.get(&(cluster, environment)).copied()
    }

    /// The stage by which the plan is ordered. Environments that are not declared any more share the last one.
    pub(crate) fn stage(&self, environment: &str) -> u32 {
        self.stages.get(environment).copied().unwrap_or(u32::MAX)
    }
}

/// A run of steps of one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wave {
    pub(crate) steps: Range<usize>,
    pub(crate) stage: u32,
    /// Cluster and environment, each pair once, in the plan's order.
    pub(crate) environments: Vec<(Text, Text)>,
}

/// Cuts a plan's steps into waves. A stage without steps in which something else is to be done gets a wave without
/// steps, in the order of promotion.
pub(crate) fn waves(
    steps: &[Step],
    environments: &Environments<'_>,
    others: impl Iterator<Item = u32>,
) -> Vec<Wave> {
    let mut waves: Vec<Wave> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let stage = environments.stage(&step.environment);
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
    for stage in others.collect::<BTreeSet<_>>() {
        if waves.iter().all(|wave| wave.stage != stage) {
            let at = waves.iter().position(|wave| wave.stage > stage).unwrap_or(waves.len());
            let begin = waves.get(at).map_or(steps.len(), |wave| wave.steps.start);
            waves.insert(at, Wave { steps: begin..begin, stage, environments: Vec::new() });
        }
    }
    waves
}
