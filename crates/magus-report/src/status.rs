//! How the workspaces are: state, drift and what is pending, as a table and as JSON.

use std::collections::BTreeMap;

use magus_model::{
    Text,
    desired::{Desired, Environment, Workspace},
    name::WorkspaceName,
    observed::{Observation, Presence},
    plan::{Action, Guard, Orphan, Plan, Reason},
};
use serde::Serialize;

use crate::{
    Styles, escape, json,
    style::paint,
    table::{self, Cell},
    words::{count, thousands},
};

/// The version of the JSON format.
pub const FORMAT_VERSION: u32 = 1;

/// How everything is that is declared or ours.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// What the clusters are, where somebody wants to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<ClusterStatus>,
    /// The workspaces, by cluster, in order of promotion.
    pub workspaces: Vec<WorkspaceStatus>,
    /// How many workspaces of the clusters are not ours.
    pub unmanaged: usize,
    /// What was left in the clusters by creates and deletes that failed half-way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<Orphan>,
}

/// What a cluster is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClusterStatus {
    /// Its name.
    pub name: Text,
    /// `local` or `mage`.
    pub engine: Text,
    /// What it says about itself, in the order in which it is shown.
    pub about: Vec<Fact>,
}

/// Something that a cluster says about itself, such as `version` and `0.9.80`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fact {
    /// What it is about.
    pub name: String,
    /// What is said.
    pub value: String,
}

/// How one workspace is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkspaceStatus {
    /// Its cluster.
    pub cluster: Text,
    /// Its environment.
    pub environment: Text,
    /// Its name in the cluster.
    pub workspace: WorkspaceName,
    /// `running`, `stopped`, `pending` or `failed`; `absent` or `unknown`.
    pub state: &'static str,
    /// How many fields differ that nobody declared.
    pub drift: usize,
    /// What an apply would do.
    pub pending: Vec<Action>,
    /// The guards that hold something back.
    pub withheld: Vec<Guard>,
}

/// Puts together what is declared and `selected`, what was observed and what is planned. The plan has to be of the same
/// selection: what it leaves out would look as if it were as declared.
pub fn status(
    desired: &Desired,
    observations: &[Observation],
    plan: &Plan,
    selected: &dyn Fn(&Environment, &Workspace) -> bool,
) -> Status {
    let mut workspaces: BTreeMap<(&str, usize, &str, &WorkspaceName), WorkspaceStatus> = BTreeMap::new();
    let place = |cluster: &str, environment: &str| {
        let declared = desired.clusters.iter().find(|known| known.name == cluster);
        let at = declared
            .and_then(|cluster| cluster.environments.iter().position(|known| known.name == environment));
        at.unwrap_or(usize::MAX)
    };
    let fresh = |cluster: &Text, environment: &Text, workspace: &WorkspaceName| WorkspaceStatus {
        cluster: cluster.clone(),
        environment: environment.clone(),
        workspace: workspace.clone(),
        state: state(observations, cluster, workspace),
        drift: 0,
        pending: Vec::new(),
        withheld: Vec::new(),
    };
    for cluster in &desired.clusters {
        for (at, environment) in cluster.environments.iter().enumerate() {
            for workspace in environment.workspaces.iter().filter(|one| selected(environment, one)) {
                let key = (cluster.name.as_str(), at, environment.name.as_str(), &workspace.name);
                workspaces.insert(key, fresh(&cluster.name, &environment.name, &workspace.name));
            }
        }
    }
    for step in &plan.steps {
        let key = (
            step.cluster.as_str(),
            place(&step.cluster, &step.environment),
            step.environment.as_str(),
            &step.workspace,
        );
        let entry =
            workspaces.entry(key).or_insert_with(|| fresh(&step.cluster, &step.environment, &step.workspace));
        entry.pending.push(step.action);
        entry.drift +=
            step.fields.iter().filter(|field| matches!(field.reason, Reason::Drift | Reason::Both)).count();
    }
    for held in &plan.withheld {
        let key = (
            held.cluster.as_str(),
            place(&held.cluster, &held.environment),
            held.environment.as_str(),
            &held.workspace,
        );
        let entry =
            workspaces.entry(key).or_insert_with(|| fresh(&held.cluster, &held.environment, &held.workspace));
        entry.withheld.push(held.guard);
    }
    Status {
        format_version: FORMAT_VERSION,
        clusters: Vec::new(),
        workspaces: workspaces.into_values().collect(),
        unmanaged: plan.unmanaged.len(),
        orphans: plan.orphans.clone(),
    }
}

fn state(observations: &[Observation], cluster: &str, workspace: &WorkspaceName) -> &'static str {
    match observations
        .iter()
        .find(|observation| observation.cluster == cluster)
        .map(|o| o.presence(workspace))
    {
        Some(Presence::Present(workspace)) => workspace.state.as_str(),
        Some(Presence::Absent) => "absent",
        Some(Presence::Unknown(_)) | None => "unknown",
    }
}

/// The status as JSON.
pub fn json(status: &Status) -> String {
    json::pretty(status)
}

/// A table for each cluster, and the counts.
pub fn text(status: &Status, width: usize, styles: &Styles) -> String {
    let mut out = String::new();
    let plain = anstyle::Style::new();
    for cluster in status.workspaces.chunk_by(|a, b| a.cluster == b.cluster) {
        let Some(first) = cluster.first() else { continue };
        out.push_str(&format!("{}\n", paint(styles.strong, escape::line(&first.cluster))));
        for about in status.clusters.iter().filter(|about| about.name == first.cluster) {
            for Fact { name, value } in &about.about {
                let name = paint(styles.dim, format!("{name}:"));
                out.push_str(&format!("  {name} {}\n", escape::line(value)));
            }
        }
        let mut environment = "";
        let rows: Vec<Vec<Cell>> = cluster
            .iter()
            .map(|workspace| {
                // An environment is named once.
                let name =
                    if environment == workspace.environment.as_str() { "" } else { &workspace.environment };
                environment = &workspace.environment;
                let state = match workspace.state {
                    "running" => styles.added,
                    "failed" | "unknown" => styles.removed,
                    _ => styles.dim,
                };
                let drift =
                    if workspace.drift == 0 { String::new() } else { count(workspace.drift, "field") };
                vec![
                    (escape::line(name).into_owned(), styles.strong),
                    (escape::line(workspace.workspace.as_str()).into_owned(), plain),
                    (workspace.state.to_owned(), state),
                    (drift, styles.warning),
                    (pending(workspace), styles.changed),
                ]
            })
            .collect();
        out.push_str(&table::table(
            &["environment", "workspace", "state", "drift", "pending"],
            &rows,
            width,
            styles,
        ));
        out.push('\n');
    }
    let drifted = status.workspaces.iter().filter(|workspace| workspace.drift > 0).count();
    let pending = status.workspaces.iter().filter(|workspace| !workspace.pending.is_empty()).count();
    let settled = status
        .workspaces
        .iter()
        .filter(|workspace| {
            workspace.pending.is_empty() && workspace.withheld.is_empty() && workspace.state != "unknown"
        })
        .count();
    let unknown = status.workspaces.iter().filter(|workspace| workspace.state == "unknown").count();
    let mut parts = vec![format!("{} as declared", thousands(settled))];
    for (number, what) in [
        (pending, "with pending changes"),
        (drifted, "drifted"),
        (unknown, "unknown"),
        (status.unmanaged, "not ours"),
        (status.orphans.len(), "left behind"),
    ] {
        if number > 0 {
            parts.push(format!("{} {what}", thousands(number)));
        }
    }
    out.push_str(&format!("{}: {}\n", count(status.workspaces.len(), "workspace"), parts.join(", ")));
    for Orphan { cluster, workspace, place } in &status.orphans {
        let (cluster, name, place) =
            (escape::line(cluster), escape::line(workspace.as_str()), escape::line(place));
        out.push_str(&format!(
            "  {name} was left in {place} of {cluster}, and is known to no server: `magus plan --orphans`\n"
        ));
    }
    out
}

fn pending(workspace: &WorkspaceStatus) -> String {
    let actions = workspace.pending.iter().map(|action| action.as_str().to_owned());
    let held = workspace.withheld.iter().map(|guard| format!("withheld by {}", guard.as_str()));
    actions.chain(held).collect::<Vec<_>>().join(", ")
}
