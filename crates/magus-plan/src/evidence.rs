//! What is known of a commit on the stage before: whether it was verified there, and since when it runs there.
//!
//! What is looked at was read before: histories, observations, and how commits lie to one another.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use magus_diff::observed_source;
use magus_model::{
    Text,
    desired::{Code, Desired, Environment, Workspace},
    history::{Deployed, Ending, Entry},
    name::WorkspaceName,
    observed::{Observation, ObservedWorkspace, Presence, RunState, Work},
    report::Outcome,
    source::ProjectSource,
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
    /// Whether the history shows that it ran in the environment itself before.
    pub ran_here: bool,
    /// Why the history was not read, where it was not: then nothing is known of what is in there.
    pub unread: Option<Text>,
    /// Why something that the history says of a commit cannot be compared with this one.
    pub incomparable: Option<Text>,
}

/// Whether the workspaces of a stage run a commit, or one that follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// No code is deployed to any workspace there, and all of them run: only a verification can tell what they run.
    NotDeployed,
    /// This workspace was not observed running it.
    Not {
        /// The workspace.
        workspace: Text,
        /// What was observed.
        why: NotRunning,
    },
    /// All do, since then as far as the history tells.
    Since(Option<Timestamp>),
}

/// Why a workspace does not count as running a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRunning {
    /// It runs another commit, or none.
    OtherCommit,
    /// It runs the code of another repository or directory.
    OtherSource,
    /// It does not run.
    State(RunState),
    /// It is not in the cluster.
    Missing,
    /// Its state is unknown; the reason.
    Unknown(Text),
}

/// The code that a workspace was observed running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running<'a> {
    /// The full number of the commit.
    pub commit: &'a Text,
    /// Where the code came from; the declared source if that was not recorded.
    pub source: &'a ProjectSource,
}

/// A workspace that was observed running, whatever it runs.
///
/// # Errors
/// Why it does not count as running.
pub fn observed_running<'a>(
    workspace: &Workspace,
    observation: Option<&'a Observation>,
) -> Result<&'a ObservedWorkspace, NotRunning> {
    let unread = || NotRunning::Unknown(Text::new_static("its cluster was not read"));
    match observation.ok_or_else(unread)?.presence(&workspace.name) {
        Presence::Present(observed) if observed.state == RunState::Running => Ok(observed),
        Presence::Present(observed) => Err(NotRunning::State(observed.state)),
        Presence::Absent => Err(NotRunning::Missing),
        Presence::Unknown(why) => Err(NotRunning::Unknown(why.into())),
    }
}

/// The code that a workspace was observed running. What was only recorded of it does not count.
///
/// # Errors
/// Why it does not count as running any.
pub fn running<'a>(
    workspace: &'a Workspace,
    observation: Option<&'a Observation>,
) -> Result<Running<'a>, NotRunning> {
    let observed = observed_running(workspace, observation)?;
    // The code was not read: its commit is only what was recorded last.
    if let Work::Unknown(why) = &observed.code.work {
        return Err(NotRunning::Unknown(why.clone()));
    }
    let commit = observed.code.commit.as_ref().ok_or(NotRunning::OtherCommit)?;
    let recorded = observed_source(&observed.code, observed.mark.as_ref());
    let source =
        recorded.or(workspace.code.as_ref().map(|code| &code.source)).ok_or(NotRunning::OtherCommit)?;
    Ok(Running { commit, source })
}

/// An answer about two commits, or why it is unknown.
pub type Compared = Result<bool, Text>;

/// How commits of a repository lie to one another.
pub struct Kinship<'a> {
    /// Whether two commits are the same, or have the same files: a merge that brings nothing else is what was merged.
    pub same: &'a dyn Fn(&Code, &str, &str) -> Compared,
    /// Whether the first follows the second.
    pub follows: &'a dyn Fn(&Code, &str, &str) -> Compared,
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

/// Gathers what is known of each commit that is to be deployed to an environment with gates that look at the stage before:
/// `wanted`, the environment's name first. `histories` are those of the clusters, oldest entry first, or why one was not read.
pub fn evidence(
    desired: &Desired,
    wanted: &BTreeSet<(Text, Text)>,
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
    let find = |name: &Text| environments().find(|(_, environment)| environment.name == *name);
    let mut known = BTreeMap::new();
    for of_one in wanted.iter().collect::<Vec<_>>().chunk_by(|a, b| a.0 == b.0) {
        let Some((name, _)) = of_one.first() else { continue };
        let own = find(name);
        let own_history = own.and_then(|(cluster, _)| histories.get(&cluster.name));
        let (own_entries, own_unread) = entries_of(own_history);
        let before = own.and_then(|(_, environment)| environment.promotes_from.as_ref());
        let Some((cluster, stage)) = before.and_then(find) else { continue };
        let (entries, unread) = entries_of(histories.get(&cluster.name));
        let stage = Stage {
            stage,
            entries,
            observation: observations.iter().find(|observation| observation.cluster == cluster.name),
            deployed: deployed(stage, entries),
        };
        for (name, commit) in of_one {
            let code = find(name).into_iter().flat_map(|(_, environment)| &environment.workspaces);
            let mut code = code.filter_map(|workspace| workspace.code.as_ref());
            let Some(code) = code.find(|code| code.commit.as_ref() == Ok(commit)) else { continue };
            let verified = stage.verified(code, commit, kinship);
            let proof = Proof {
                incomparable: verified.as_ref().err().cloned(),
                verified: verified.unwrap_or_default(),
                runs: stage.runs(code, commit, kinship),
                ran_here: ran(own_entries, name, (commit, &code.source)),
                unread: unread.or(own_unread).cloned(),
            };
            known.insert((name.clone(), commit.clone()), proof);
        }
    }
    known.into_iter().collect()
}

/// The entries of a history, or why it was not read. One that was not asked for is empty.
fn entries_of(history: Option<&Result<Vec<Entry>, Text>>) -> (&[Entry], Option<&Text>) {
    match history {
        None => (&[], None),
        Some(Ok(entries)) => (entries, None),
        Some(Err(why)) => (&[], Some(why)),
    }
}

/// Whether a history shows that this code ran in an environment.
fn ran(entries: &[Entry], environment: &Text, (commit, source): (&Text, &ProjectSource)) -> bool {
    let steps = entries.iter().flat_map(|entry| &entry.steps);
    let mut applied =
        steps.filter(|step| step.environment == *environment && step.outcome == Outcome::Applied);
    applied.any(|step| {
        step.deployed.as_ref().is_some_and(|deployed| {
            deployed.to == *commit && is_same_project(deployed.source.as_ref(), source)
        })
    })
}

/// Whether recorded code is of the same project. An entry of a Magus that recorded no source counts.
fn is_same_project(recorded: Option<&ProjectSource>, source: &ProjectSource) -> bool {
    recorded.is_none_or(|recorded| recorded.is_same_project(source))
}

/// The stage before an environment, and what is known of it.
struct Stage<'a> {
    stage: &'a Environment,
    entries: &'a [Entry],
    observation: Option<&'a Observation>,
    /// What was deployed to each of its workspaces and when, newest first.
    deployed: HashMap<&'a WorkspaceName, Vec<(Option<Timestamp>, &'a Deployed)>>,
}

/// What was deployed to each workspace of a stage, newest first.
fn deployed<'a>(
    stage: &Environment,
    entries: &'a [Entry],
) -> HashMap<&'a WorkspaceName, Vec<(Option<Timestamp>, &'a Deployed)>> {
    let mut all: HashMap<_, Vec<_>> = HashMap::new();
    for entry in entries.iter().rev() {
        let at = entry.at.parse().ok();
        let steps = entry.steps.iter().rev();
        for step in steps.filter(|step| step.environment == stage.name && step.outcome == Outcome::Applied) {
            if let Some(deployed) = &step.deployed {
                all.entry(&step.workspace).or_default().push((at, deployed));
            }
        }
    }
    all
}

impl Stage<'_> {
    /// The newest verification of a commit.
    ///
    /// # Errors
    /// Why one is unknown to be of this commit: an older one says nothing then.
    fn verified(
        &self,
        code: &Code,
        commit: &Text,
        kinship: &Kinship<'_>,
    ) -> Result<Option<(Timestamp, bool)>, Text> {
        for entry in self.entries.iter().rev() {
            let verification = entry.verification.as_ref().filter(|one| one.environment == self.stage.name);
            let Some(verification) = verification else { continue };
            if !is_same_project(verification.source.as_ref(), &code.source)
                || !(kinship.same)(code, &verification.commit, commit)?
            {
                continue;
            }
            let at = entry.at.parse().map_err(|error| {
                Text::from(format!("the time of entry `{}` cannot be read: {error}", entry.id))
            })?;
            return Ok(Some((at, entry.result == Ending::Passed)));
        }
        Ok(None)
    }

    fn runs(&self, code: &Code, commit: &Text, kinship: &Kinship<'_>) -> Runs {
        let carries = |runs: &str| -> Compared {
            Ok((kinship.same)(code, runs, commit)? || (kinship.follows)(code, runs, commit)?)
        };
        let is_deployed = |workspace: &&Workspace| workspace.code.as_ref().is_some_and(|code| !code.once);
        let not = |workspace: &Workspace, why: NotRunning| Runs::Not {
            workspace: Text::from(workspace.name.as_str()),
            why,
        };
        for workspace in &self.stage.workspaces {
            if let Err(why) = observed_running(workspace, self.observation) {
                return not(workspace, why);
            }
        }
        let mut since: Option<Option<Timestamp>> = None;
        for workspace in self.stage.workspaces.iter().filter(is_deployed) {
            let Running { commit: runs, source } = match running(workspace, self.observation) {
                Ok(running) => running,
                Err(why) => return not(workspace, why),
            };
            if !source.is_same_project(&code.source) {
                return not(workspace, NotRunning::OtherSource);
            }
            match carries(runs) {
                Ok(true) => {}
                Ok(false) => return not(workspace, NotRunning::OtherCommit),
                Err(why) => return not(workspace, NotRunning::Unknown(why)),
            }
            // What cannot be compared ends the time for which it ran, as far as is known.
            let carries = |deployed: &Deployed| {
                is_same_project(deployed.source.as_ref(), &code.source) && carries(&deployed.to) == Ok(true)
            };
            let began = self.began(workspace, runs, &carries);
            // Since when all do.
            since = Some(match since {
                None => began,
                Some(earlier) => earlier.zip(began).map(|(a, b)| a.max(b)),
            });
        }
        since.map_or(Runs::NotDeployed, Runs::Since)
    }

    /// When a workspace began to run what it runs, or what it ran before that carries the same commit.
    fn began(
        &self,
        workspace: &Workspace,
        runs: &Text,
        carries: &dyn Fn(&Deployed) -> bool,
    ) -> Option<Timestamp> {
        let deployed = self.deployed.get(&workspace.name)?;
        // Otherwise other code was deployed outside Magus.
        deployed.first().filter(|(_, newest)| newest.to == *runs)?;
        let unbroken = deployed.iter().take_while(|(_, deployed)| carries(deployed));
        unbroken.last().and_then(|(at, _)| *at)
    }
}
