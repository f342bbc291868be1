//! Equal changes of several workspaces, found once and drawn once.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{Hash, Hasher},
};

use magus_model::plan::{Action, FieldChange, Plan, PlanCluster, Restarts, Step};

use crate::words::{count, thousands};

/// Changes that several update steps of one cluster have in common.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    /// The cluster.
    pub(crate) cluster: &'a str,
    /// The changes, in the order of their paths.
    pub(crate) changes: Vec<&'a FieldChange>,
    /// The steps that make them: indexes into `plan.steps`, in order.
    pub(crate) steps: Vec<usize>,
}

/// The groups of a plan, and which fields of which step they draw.
#[derive(Debug, Default)]
pub(crate) struct Groups<'a> {
    /// In the order of their clusters, the largest first.
    pub(crate) groups: Vec<Group<'a>>,
    /// Step and field, as indexes, that a group draws.
    drawn: HashSet<(usize, usize)>,
}

impl Groups<'_> {
    /// Whether a group draws this field of this step.
    pub(crate) fn draws(&self, step: usize, field: usize) -> bool {
        self.drawn.contains(&(step, field))
    }
}

/// Two changes are equal when they look alike and come from one place.
struct Alike<'a>(&'a str, &'a FieldChange);

impl Alike<'_> {
    fn key(&self) -> (&str, &str, Option<(&str, u32, u32)>) {
        let origin = self.1.origin.as_ref().map(|origin| (&*origin.file, origin.line, origin.column));
        (self.0, self.1.path.as_str(), origin)
    }
}

impl PartialEq for Alike<'_> {
    fn eq(&self, other: &Self) -> bool {
        // Who reads it may differ from environment to environment, and is no change.
        let FieldChange { path, before, after, sensitive, status, reason, sealed: _, origin, read_by: _ } =
            self.1;
        let one = (path, before, after, sensitive, status, reason, origin);
        let FieldChange { path, before, after, sensitive, status, reason, sealed: _, origin, read_by: _ } =
            other.1;
        self.0 == other.0 && one == (path, before, after, sensitive, status, reason, origin)
    }
}

impl Eq for Alike<'_> {}

impl Hash for Alike<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
        // The values too: one origin with a placeholder in it gives every workspace another value.
        for value in [&self.1.before, &self.1.after] {
            value.as_ref().map(ToString::to_string).hash(state);
        }
    }
}

/// Finds what at least two updates of a cluster have in common. Changes that the same workspaces have in common
/// make one group.
pub(crate) fn find(plan: &Plan) -> Groups<'_> {
    let mut alike: HashMap<Alike<'_>, Vec<(usize, usize)>> = HashMap::new();
    for (at, step) in plan.steps.iter().enumerate().filter(|(_, step)| step.action == Action::Update) {
        // What nobody wrote, and what is removed, has no origin to be named once.
        for (field_at, field) in step.fields.iter().enumerate().filter(|(_, field)| field.origin.is_some()) {
            alike.entry(Alike(&step.cluster, field)).or_default().push((at, field_at));
        }
    }
    let mut by_members: BTreeMap<Vec<usize>, Group<'_>> = BTreeMap::new();
    let mut drawn = HashSet::new();
    for (Alike(cluster, change), places) in alike {
        if places.len() < 2 {
            continue;
        }
        let steps: Vec<usize> = places.iter().map(|(step, _)| *step).collect();
        by_members
            .entry(steps.clone())
            .or_insert_with(|| Group { cluster, changes: Vec::new(), steps })
            .changes
            .push(change);
        drawn.extend(places);
    }
    let mut groups: Vec<_> = by_members.into_values().collect();
    for group in &mut groups {
        group.changes.sort_by(|a, b| Alike("", a).key().cmp(&Alike("", b).key()));
    }
    groups.sort_by(|a, b| {
        a.cluster.cmp(b.cluster).then(b.steps.len().cmp(&a.steps.len())).then_with(|| a.steps.cmp(&b.steps))
    });
    Groups { groups, drawn }
}

/// The clusters in the order in which their first steps begin, which is that of promotion; those without any come last.
pub(crate) fn clusters(plan: &Plan) -> Vec<&PlanCluster> {
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (at, step) in plan.steps.iter().enumerate() {
        first.entry(step.cluster.as_str()).or_insert(at);
    }
    let mut clusters: Vec<&PlanCluster> = plan.clusters.iter().collect();
    clusters.sort_by_key(|cluster| first.get(cluster.name.as_str()).copied().unwrap_or(usize::MAX));
    clusters
}

/// The steps of a cluster, as indexes, by environment: in order of promotion, and last those that are declared no
/// more.
pub(crate) fn by_environment<'a>(plan: &'a Plan, cluster: &PlanCluster) -> Vec<(&'a str, Vec<usize>)> {
    let place: HashMap<&str, usize> =
        cluster.environments.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    let mut steps: BTreeMap<(usize, &str), Vec<usize>> = BTreeMap::new();
    for (at, step) in plan.steps.iter().enumerate().filter(|(_, step)| step.cluster == cluster.name) {
        let environment = step.environment.as_str();
        steps
            .entry((place.get(environment).copied().unwrap_or(usize::MAX), environment))
            .or_default()
            .push(at);
    }
    steps.into_iter().map(|((_, environment), steps)| (environment, steps)).collect()
}

/// Names of workspaces by environment, in the order in which the steps name them.
pub(crate) fn names<'a>(plan: &'a Plan, steps: &[usize]) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut names: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut places = HashMap::new();
    for step in steps.iter().map(|at| &plan.steps[*at]) {
        let place = *places.entry(step.environment.as_str()).or_insert_with(|| {
            names.push((step.environment.as_str(), Vec::new()));
            names.len() - 1
        });
        names[place].1.push(step.workspace.as_str());
    }
    names
}

/// `58 workspaces, all restart`: how many make the changes of a group, and what that does to them.
pub(crate) fn heading(plan: &Plan, group: &Group<'_>) -> String {
    let (restarts, perhaps) = restarts(group.steps.iter().map(|at| &plan.steps[*at]));
    let mut heading = count(group.steps.len(), "workspace");
    match (restarts, perhaps) {
        (0, 0) => {}
        (all, 0) if all == group.steps.len() => heading.push_str(", all restart"),
        (some, 0) => heading.push_str(&format!(", {} restart", thousands(some))),
        (some, perhaps) => heading.push_str(&format!(", {} may restart", thousands(some + perhaps))),
    }
    heading
}

/// How many running workspaces these steps restart, and how many more they may.
pub(crate) fn restarts<'a>(steps: impl Iterator<Item = &'a Step>) -> (usize, usize) {
    // An update and a deploy may both restart one workspace.
    let (mut sure, mut perhaps) = (HashSet::new(), HashSet::new());
    for step in steps {
        let name = (&step.cluster, &step.workspace);
        match step.restarts {
            Restarts::Yes => drop(sure.insert(name)),
            Restarts::Unknown => drop(perhaps.insert(name)),
            Restarts::No => {}
        }
    }
    (sure.len(), perhaps.difference(&sure).count())
}
