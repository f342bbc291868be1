//! Which step may begin next: `needs`, batches of running workspaces, and what a failure keeps from beginning.
//!
//! Plain bookkeeping over indexes of the plan's steps. It knows no engine, no thread and no clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use magus_model::{
    plan::{Action, Precondition, Step},
    report::Outcome,
};

use crate::waves::Environments;

/// A step that will not begin, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    pub(crate) step: usize,
    pub(crate) why: String,
}

/// The state of every step of a plan.
pub(crate) struct Schedule<'a> {
    steps: Vec<&'a Step>,
    states: Vec<State>,
    /// For each step, the later ones that need it.
    dependents: Vec<Vec<usize>>,
    lanes: Vec<Lane>,
    lane_of: Vec<usize>,
    /// For each step, the first step of its workspace, which stands for the workspace.
    workspace_of: Vec<usize>,
    /// For each workspace, by its first step, how many of its steps have not ended.
    open: Vec<usize>,
    /// For each step, whether it changes a workspace that runs.
    changes: Vec<bool>,
    wave: Range<usize>,
    ready: BTreeSet<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// How many of the steps that it needs are not done yet.
    Waits(usize),
    Running,
    Ended(Outcome),
}

/// An environment of a cluster: what its `rollout` limits.
struct Lane {
    batch: usize,
    stop_on_failure: bool,
    /// The running workspaces that are being changed: from the first step that changes one until its last step ended.
    changing: BTreeSet<usize>,
    /// Ready but for the batch.
    parked: BTreeSet<usize>,
    stopped: bool,
}

impl<'a> Schedule<'a> {
    /// A schedule in which no wave is open, and the steps that can never begin because what they need does not
    /// come before them in the plan.
    pub(crate) fn new(steps: &[&'a Step], environments: &Environments<'_>) -> (Self, Vec<Skip>) {
        let ids: BTreeMap<&str, usize> =
            steps.iter().enumerate().map(|(at, step)| (step.id.as_str(), at)).collect();
        let mut lanes = Vec::new();
        let mut lane_by_name = BTreeMap::new();
        let mut lane_of = Vec::with_capacity(steps.len());
        let mut dependents = vec![Vec::new(); steps.len()];
        let mut states = Vec::with_capacity(steps.len());
        let mut impossible = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            let lane = *lane_by_name
                .entry((step.cluster.as_str(), step.environment.as_str()))
                .or_insert_with(|| {
                    let rollout = environments
                        .get(&step.cluster, &step.environment)
                        .map(|environment| environment.rollout)
                        .unwrap_or_default();
                    lanes.push(Lane {
                        batch: rollout.batch.map_or(usize::MAX, |batch| batch.max(1) as usize),
                        stop_on_failure: rollout.stop_on_failure,
                        changing: BTreeSet::new(),
                        parked: BTreeSet::new(),
                        stopped: false,
                    });
                    lanes.len() - 1
                });
            lane_of.push(lane);
            let follows = match &step.precondition {
                Precondition::Follows(id) => Some(id),
                Precondition::Absent | Precondition::Revision(_) => None,
            };
            let needed: BTreeSet<&str> = step.needs.iter().chain(follows).map(|id| id.as_str()).collect();
            states.push(State::Waits(needed.len()));
            for id in needed {
                match ids.get(id) {
                    Some(&before) if before < at => dependents[before].push(at),
                    _ => impossible
                        .push((at, format!("needs `{id}`, which does not come before it in the plan"))),
                }
            }
        }
        let workspaces = Workspaces::of(steps);
        let mut schedule = Self {
            workspace_of: workspaces.first,
            open: workspaces.open,
            changes: workspaces.changes,
            steps: steps.to_vec(),
            states,
            dependents,
            lanes,
            lane_of,
            wave: 0..0,
            ready: BTreeSet::new(),
        };
        let mut skips = Vec::new();
        for (step, why) in impossible {
            schedule.skip(step, why, &mut skips);
        }
        (schedule, skips)
    }

    /// Lets the steps of a wave begin.
    pub(crate) fn open(&mut self, wave: Range<usize>) {
        self.ready = wave.clone().filter(|at| self.states[*at] == State::Waits(0)).collect();
        self.wave = wave;
    }

    /// The first step, in the plan's order, that may begin now. It counts as running from here on.
    pub(crate) fn begin(&mut self) -> Option<usize> {
        while let Some(at) = self.ready.pop_first() {
            let workspace = self.workspace_of[at];
            let lane = &mut self.lanes[self.lane_of[at]];
            if self.changes[at] && !lane.changing.contains(&workspace) {
                if lane.changing.len() >= lane.batch {
                    lane.parked.insert(at);
                    continue;
                }
                lane.changing.insert(workspace);
            }
            self.states[at] = State::Running;
            return Some(at);
        }
        None
    }

    /// Records how a running step ended, and answers with the steps that will not begin because of it.
    pub(crate) fn end(&mut self, at: usize, outcome: Outcome) -> Vec<Skip> {
        self.states[at] = State::Ended(outcome);
        self.close(at);
        let mut skips = Vec::new();
        if outcome == Outcome::Applied {
            for next in self.dependents[at].clone() {
                if let State::Waits(open) = &mut self.states[next] {
                    *open -= 1;
                    if *open == 0 && self.wave.contains(&next) {
                        self.ready.insert(next);
                    }
                }
            }
            return skips;
        }
        self.skip_dependents(at, outcome, &mut skips);
        let lane = &mut self.lanes[self.lane_of[at]];
        if lane.stop_on_failure && !lane.stopped {
            lane.stopped = true;
            let Step { id, environment, .. } = self.steps[at];
            for other in self.wave.clone() {
                if self.lane_of[other] == self.lane_of[at] && matches!(self.states[other], State::Waits(_)) {
                    let how = describe(outcome);
                    let why = format!("`{id}` {how}, and `{environment}` has `rollout.stop_on_failure`");
                    self.skip(other, why, &mut skips);
                }
            }
        }
        skips
    }

    /// The steps of a range that have neither begun nor been skipped.
    pub(crate) fn left(&self, range: Range<usize>) -> Vec<usize> {
        range.filter(|at| matches!(self.states[*at], State::Waits(_))).collect()
    }

    /// How a step ended; nothing while it has not.
    pub(crate) fn outcome(&self, at: usize) -> Option<Outcome> {
        match self.states[at] {
            State::Ended(outcome) => Some(outcome),
            State::Waits(_) | State::Running => None,
        }
    }

    /// Keeps a step, and all that need it, from beginning.
    pub(crate) fn skip(&mut self, at: usize, why: String, skips: &mut Vec<Skip>) {
        if !matches!(self.states[at], State::Waits(_)) {
            return;
        }
        self.states[at] = State::Ended(Outcome::Skipped);
        self.ready.remove(&at);
        self.lanes[self.lane_of[at]].parked.remove(&at);
        self.close(at);
        skips.push(Skip { step: at, why });
        self.skip_dependents(at, Outcome::Skipped, skips);
    }

    /// Counts a step as ended. With the last one of a workspace, a place in the batch is free again, and the first in the
    /// plan that waits for one gets it.
    fn close(&mut self, at: usize) {
        let workspace = self.workspace_of[at];
        self.open[workspace] -= 1;
        let lane = &mut self.lanes[self.lane_of[at]];
        if self.open[workspace] == 0 && lane.changing.remove(&workspace) {
            self.ready.extend(lane.parked.pop_first());
        }
    }

    fn skip_dependents(&mut self, at: usize, outcome: Outcome, skips: &mut Vec<Skip>) {
        for next in self.dependents[at].clone() {
            self.skip(next, format!("needs `{}`, which {}", self.steps[at].id, describe(outcome)), skips);
        }
    }
}

/// The steps of a plan by workspace.
struct Workspaces {
    first: Vec<usize>,
    open: Vec<usize>,
    changes: Vec<bool>,
}

impl Workspaces {
    fn of(steps: &[&Step]) -> Self {
        let mut firsts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let first: Vec<usize> = steps
            .iter()
            .enumerate()
            .map(|(at, step)| *firsts.entry((&step.cluster, step.workspace.as_str())).or_insert(at))
            .collect();
        let mut open = vec![0; steps.len()];
        first.iter().for_each(|workspace| open[*workspace] += 1);
        // A plan does not say whether a workspace runs. One that does not counts too: that only takes more time.
        let changes = |at: usize| {
            let is_new = steps[first[at]].action == Action::Create;
            !is_new && !matches!(steps[at].action, Action::Adopt | Action::Create | Action::Start)
        };
        Self { changes: (0..steps.len()).map(changes).collect(), first, open }
    }
}

/// What became of a step, as the end of a sentence.
pub(crate) fn describe(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "was applied",
        Outcome::Failed => "failed",
        Outcome::Uncertain => "is uncertain",
        Outcome::Skipped => "was skipped",
        Outcome::NotStarted => "was not started",
    }
}
