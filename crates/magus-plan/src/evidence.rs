//! What is known of a commit on the stage before: whether it was verified there, and since when it runs there.
//!
//! What is looked at was read before: histories, observations, and how commits lie to one another.

use std::collections::BTreeMap;

use jiff::Timestamp;
use magus_model::{
    Text,
    desired::{Cluster, Code, Desired, Environment, Workspace},
    history::{Ending, Entry},
    observed::{Observation, Presence},
    report::Outcome,
};

/// What is known of commits on the stages before.
#[derive(Debug, Clone, Default)]
pub struct Evidence(BTreeMap<(Text, Text), Proof>);

/// What is known of a commit on the stage before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// When it was verified there last, and whether it passed.
    pub verified: Option<(Timestamp, bool)>,
    /// Whether it runs there.
    pub runs: Runs,
    /// Why the history was not read, where it was not: then nothing is known of what is in there.
    pub unread: Option<Text>,
}

/// Whether the workspaces of a stage run a commit, or one that follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// No workspace there gets its code from anybody.
    Nobody,
    /// This one does not.
    Not(Text),
    /// All do, since then as far as the history tells.
    Since(Option<Timestamp>),
}

/// How commits of a repository lie to one another.
pub struct Kinship<'a> {
    /// Whether two commits are the same, or have the same files: a merge that brings nothing else is what was merged.
    pub same: &'a dyn Fn(&Code, &str, &str) -> bool,
    /// Whether the first follows the second.
    pub follows: &'a dyn Fn(&Code, &str, &str) -> bool,
}

impl FromIterator<((Text, Text), Proof)> for Evidence {
    /// From what is known of a commit that is to be deployed to an environment: the environment's name first.
    fn from_iter<I: IntoIterator<Item = ((Text, Text), Proof)>>(known: I) -> Self {
        Self(known.into_iter().collect())
    }
}

impl Evidence {
    /// Why histories were not read, once for each commit that needs them.
    pub fn unread(&self) -> impl Iterator<Item = &Text> {
        self.0.values().filter_map(|proof| proof.unread.as_ref())
    }

    /// What is known of the commit that is to be deployed to an environment.
    pub fn of(&self, environment: &Text, commit: &Text) -> Option<&Proof> {
        self.0.get(&(environment.clone(), commit.clone()))
    }
}

/// Gathers what is known of every commit that is to run in an environment with gates that look at the stage before.
/// `histories` are those of the clusters, oldest entry first, or why one was not read.
pub fn evidence(
    desired: &Desired,
    observations: &[Observation],
    histories: &BTreeMap<Text, Result<Vec<Entry>, Text>>,
    kinship: &Kinship<'_>,
) -> Evidence {
    let environments = || {
        desired
            .clusters
            .iter()
            .flat_map(|cluster| cluster.environments.iter().map(move |environment| (cluster, environment)))
    };
    let mut known = BTreeMap::new();
    for (_, environment) in environments().filter(|(_, environment)| environment.gates.look_back()) {
        let before = environment.promotes_from.as_ref();
        let before = environments().find(|(_, stage)| before == Some(&stage.name));
        let Some((cluster, stage)) = before else { continue };
        let none = Ok(Vec::new());
        let (entries, unread) = match histories.get(&cluster.name).unwrap_or(&none) {
            Ok(entries) => (entries.as_slice(), None),
            Err(why) => (&[][..], Some(why.clone())),
        };
        let observation = observations.iter().find(|observation| observation.cluster == cluster.name);
        for code in environment.workspaces.iter().filter_map(|workspace| workspace.code.as_ref()) {
            let Ok(commit) = &code.commit else { continue };
            known.entry((environment.name.clone(), commit.clone())).or_insert_with(|| Proof {
                verified: verified(stage, entries, code, commit, kinship),
                runs: runs((cluster, stage), observation, entries, (code, commit), kinship),
                unread: unread.clone(),
            });
        }
    }
    known.into_iter().collect()
}

/// The newest verification of a commit in a stage.
fn verified(
    stage: &Environment,
    entries: &[Entry],
    code: &Code,
    commit: &Text,
    kinship: &Kinship<'_>,
) -> Option<(Timestamp, bool)> {
    entries.iter().rev().find_map(|entry| {
        let verification = entry.verification.as_ref().filter(|one| one.environment == stage.name)?;
        let same = (kinship.same)(code, &verification.commit, commit);
        same.then_some((entry.at.parse().ok()?, entry.result == Ending::Passed))
    })
}

fn runs(
    (_, stage): (&Cluster, &Environment),
    observation: Option<&Observation>,
    entries: &[Entry],
    (code, commit): (&Code, &Text),
    kinship: &Kinship<'_>,
) -> Runs {
    let carries = |runs: &str| (kinship.same)(code, runs, commit) || (kinship.follows)(code, runs, commit);
    let deployed = |workspace: &&Workspace| workspace.code.as_ref().is_some_and(|code| !code.once);
    let mut since: Option<Option<Timestamp>> = None;
    for workspace in stage.workspaces.iter().filter(deployed) {
        let observed = match observation.map(|observation| observation.presence(&workspace.name)) {
            Some(Presence::Present(observed)) => observed.code.commit.as_ref(),
            _ => None,
        };
        let Some(runs) = observed.filter(|runs| carries(runs)) else {
            return Runs::Not(Text::from(workspace.name.as_str()));
        };
        let began = began(stage, workspace, entries, runs, &carries);
        // Since when all do.
        since = Some(match since {
            None => began,
            Some(earlier) => earlier.zip(began).map(|(a, b)| a.max(b)),
        });
    }
    since.map_or(Runs::Nobody, Runs::Since)
}

/// When a workspace began to run what it runs, or what it ran before that carries the same commit.
fn began(
    stage: &Environment,
    workspace: &Workspace,
    entries: &[Entry],
    runs: &Text,
    carries: &dyn Fn(&str) -> bool,
) -> Option<Timestamp> {
    let mut since = None;
    for entry in entries.iter().rev() {
        let steps = entry.steps.iter().filter(|step| {
            step.environment == stage.name
                && step.workspace == workspace.name
                && step.outcome == Outcome::Applied
        });
        let Some(deployed) = steps.filter_map(|step| step.deployed.as_ref()).next_back() else { continue };
        // Somebody else has deployed since.
        let other = since.is_none() && deployed.to != *runs;
        if other || !carries(&deployed.to) {
            break;
        }
        since = entry.at.parse().ok();
    }
    since
}
