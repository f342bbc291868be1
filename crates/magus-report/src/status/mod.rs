//! How the workspaces are: state, drift and what is pending, as a table and as JSON.

mod html;

use std::collections::BTreeMap;

use jiff::Timestamp;
use magus_model::{
    Text,
    desired::{Desired, Workspace, branch_of},
    name::WorkspaceName,
    observed::{MissingPart, Observation, ObservedCode, Presence},
    plan::{Action, Commit, Guard, Orphan, Plan, Reason, Waiting, Withheld},
};
use serde::Serialize;

use crate::{
    Styles, escape, json,
    plan::deploy::short,
    style::paint,
    table::{self, Cell},
    words::{count, thousands},
};

pub use html::html;

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
    /// The environments that are held, or wait for gates, by cluster, in order of promotion.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvironmentStatus>,
    /// The workspaces, by cluster, in order of promotion.
    pub workspaces: Vec<WorkspaceStatus>,
    /// How many workspaces of the clusters are not ours.
    pub unmanaged: usize,
    /// What was left in the clusters by creates and deletes that failed half-way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<Orphan>,
    /// What began to change a cluster and has not ended, as far as the histories say: it runs, or its process was killed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<Running>,
}

/// Something that began to change a cluster and has not ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Running {
    /// The cluster.
    pub cluster: Text,
    /// The entry of the history.
    pub entry: Text,
    /// `apply`, `restart` and so on.
    pub operation: Text,
    /// Who began it.
    pub by: Text,
    /// When, RFC 3339 in UTC.
    pub at: Text,
}

/// What keeps an environment from getting on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EnvironmentStatus {
    /// Its cluster.
    pub cluster: Text,
    /// Its name.
    pub environment: Text,
    /// Why nothing is promoted to it; nothing where nobody holds it.
    pub hold: Option<Text>,
    /// What gates wait for, each once.
    pub gates: Vec<Waiting>,
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
    /// The code that runs; nothing where none is deployed to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeStatus>,
    /// How many fields differ that nobody declared.
    pub drift: usize,
    /// The parts that it lacks in the cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingPart>,
    /// What an apply would do.
    pub pending: Vec<Action>,
    /// The guards that hold something back.
    pub withheld: Vec<Guard>,
}

/// The code that a workspace runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CodeStatus {
    /// The branch that is declared.
    pub branch: Text,
    /// What runs, as far as the repository knows it; nothing where no code was deployed.
    pub commit: Option<Commit>,
    /// When the commit was made, RFC 3339; nothing where the repository does not know it.
    pub committed_at: Option<Text>,
    /// Why the repository could not be asked for the commit; nothing if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<Text>,
    /// How many commits of the branch, or up to what is pinned, it lacks; nothing where nobody can say.
    pub behind: Option<usize>,
    /// The uncommitted changes in it: paths.
    pub uncommitted: Vec<Text>,
    /// Why uncommitted changes could not be read; nothing if they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchecked: Option<Text>,
}

/// Says what is known of the code of a workspace that is there.
pub type CodeOf<'a> = dyn Fn(&Workspace, &ObservedCode) -> Option<CodeStatus> + 'a;

/// Puts together what is declared and `selected`, what was observed and what is planned. The plan has to be of the same
/// selection: what it leaves out would look as if it were as declared.
pub fn status(
    desired: &Desired,
    observations: &[Observation],
    plan: &Plan,
    selected: &dyn Fn(&str, &str, &WorkspaceName) -> bool,
    code: &CodeOf<'_>,
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
        code: None,
        drift: 0,
        missing: match presence(observations, cluster, workspace) {
            Some(Presence::Present(observed)) => observed.missing.clone(),
            _ => Vec::new(),
        },
        pending: Vec::new(),
        withheld: Vec::new(),
    };
    for cluster in &desired.clusters {
        for (at, environment) in cluster.environments.iter().enumerate() {
            for workspace in environment
                .workspaces
                .iter()
                .filter(|one| selected(&environment.name, &one.declared, &one.name))
            {
                let key = (cluster.name.as_str(), at, environment.name.as_str(), &workspace.name);
                let fresh = fresh(&cluster.name, &environment.name, &workspace.name);
                let code = match presence(observations, &cluster.name, &workspace.name) {
                    Some(Presence::Present(observed)) => code(workspace, &observed.code),
                    _ => None,
                };
                workspaces.insert(key, WorkspaceStatus { code, ..fresh });
            }
        }
    }
    // What is ours and is kept although nothing declares it any more: the workspace of a branch that is gone.
    for cluster in &desired.clusters {
        let observation = observations.iter().find(|observation| observation.cluster == cluster.name);
        for observed in observation.into_iter().flat_map(|observation| observation.present.values()) {
            let Some(mark) = observed.mark.as_ref().filter(|mark| mark.managed_by == cluster.managed_by)
            else {
                continue;
            };
            let at = place(&cluster.name, &mark.environment);
            let key = (cluster.name.as_str(), at, mark.environment.as_str(), &observed.name);
            let is_kept = branch_of(&mark.workspace).is_some() && !workspaces.contains_key(&key);
            if is_kept && selected(&mark.environment, &mark.workspace, &observed.name) {
                workspaces.insert(key, fresh(&cluster.name, &mark.environment, &observed.name));
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
        environments: environments(desired, plan),
        workspaces: workspaces.into_values().collect(),
        unmanaged: plan.unmanaged.len(),
        orphans: plan.orphans.clone(),
        running: Vec::new(),
    }
}

/// The environments that are held, or wait.
fn environments(desired: &Desired, plan: &Plan) -> Vec<EnvironmentStatus> {
    let mut all = Vec::new();
    for cluster in &desired.clusters {
        for environment in &cluster.environments {
            let of_it = |held: &&Withheld| {
                held.cluster == cluster.name && held.environment == environment.name && held.guard.is_gate()
            };
            let mut gates: Vec<Waiting> = Vec::new();
            for Withheld { guard, message, opens_at, .. } in plan.withheld.iter().filter(of_it) {
                let gate = Waiting { gate: *guard, message: message.clone(), opens_at: opens_at.clone() };
                if !gates.contains(&gate) {
                    gates.push(gate);
                }
            }
            if environment.hold.is_some() || !gates.is_empty() {
                let (cluster, hold) = (cluster.name.clone(), environment.hold.clone());
                all.push(EnvironmentStatus { cluster, environment: environment.name.clone(), hold, gates });
            }
        }
    }
    all
}

fn presence<'a>(
    observations: &'a [Observation],
    cluster: &str,
    workspace: &WorkspaceName,
) -> Option<Presence<'a>> {
    let observation = observations.iter().find(|observation| observation.cluster == cluster)?;
    Some(observation.presence(workspace))
}

fn state(observations: &[Observation], cluster: &str, workspace: &WorkspaceName) -> &'static str {
    match presence(observations, cluster, workspace) {
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
pub fn text(status: &Status, now: Timestamp, width: usize, styles: &Styles) -> String {
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
        let has_code = cluster.iter().any(|workspace| workspace.code.is_some());
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
                let drift = drift(workspace);
                let mut row = vec![
                    (escape::line(name).into_owned(), styles.strong),
                    (escape::line(workspace.workspace.as_str()).into_owned(), plain),
                    (workspace.state.to_owned(), state),
                ];
                if has_code {
                    let [branch, commit, age, behind] =
                        workspace.code.as_ref().map(|code| code_cells(code, now)).unwrap_or_default();
                    row.extend([
                        (branch, plain),
                        (commit, styles.dim),
                        (age, styles.dim),
                        (behind, styles.warning),
                    ]);
                }
                row.extend([(drift, styles.warning), (pending(workspace), styles.changed)]);
                row
            })
            .collect();
        let of_code: &[&str] = if has_code { &["branch", "commit", "age", "code"] } else { &[] };
        let headings = [&["environment", "workspace", "state"], of_code, &["drift", "pending"]].concat();
        out.push_str(&table::table(&headings, &rows, width, styles));
        for stage in status.environments.iter().filter(|stage| stage.cluster == first.cluster) {
            out.push_str(&held(stage, styles));
        }
        out.push('\n');
    }
    let drifted = status.workspaces.iter().filter(|workspace| workspace.drift > 0).count();
    let pending = status.workspaces.iter().filter(|workspace| !workspace.pending.is_empty()).count();
    let held_back = status.workspaces.iter().filter(|workspace| !workspace.withheld.is_empty()).count();
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
        (held_back, "held back"),
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
    for running in &status.running {
        out.push_str(&format!("{}\n", running_line(running)));
    }
    for Orphan { cluster, workspace, place } in &status.orphans {
        let (cluster, name, place) =
            (escape::line(cluster), escape::line(workspace.as_str()), escape::line(place));
        out.push_str(&format!(
            "  {name} was left in {place} of {cluster}, and is known to no server: `magus plan --orphans`\n"
        ));
    }
    out
}

/// Why an environment does not get on, a line each.
fn held(stage: &EnvironmentStatus, styles: &Styles) -> String {
    let environment = escape::line(&stage.environment);
    let hold = stage.hold.iter().map(|why| format!("{environment} is held: {}", escape::line(why)));
    let gates =
        stage.gates.iter().map(|gate| format!("{environment} waits: {}", escape::line(&gate.message)));
    hold.chain(gates).map(|line| format!("  {}\n", paint(styles.warning, line))).collect()
}

/// How long ago something was, in its largest unit: `3d`.
fn age(then: &str, now: Timestamp) -> String {
    const UNITS: [(i64, &str); 3] = [(24 * 60 * 60, "d"), (60 * 60, "h"), (60, "m")];
    let Ok(then) = then.parse::<Timestamp>() else { return String::new() };
    let seconds = now.duration_since(then).as_secs().max(0);
    let unit = UNITS.iter().find(|(unit, _)| seconds >= *unit);
    unit.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

/// The branch, what runs, how old that is, and how it lies to the branch.
fn code_cells(code: &CodeStatus, now: Timestamp) -> [String; 4] {
    const TITLE: usize = 40;
    let CodeStatus { branch, commit, committed_at, unread, behind, uncommitted, unchecked } = code;
    let shown = commit.as_ref().map_or_else(String::new, |commit| {
        format!("{} {}", short(&commit.id), escape::line(&escape::shorten(&commit.title, TITLE)))
    });
    let mut lies = Vec::new();
    match (commit, behind) {
        (_, Some(0)) => {}
        (_, Some(number)) => lies.push(format!("{} behind", thousands(*number))),
        (Some(_), None) if unread.is_some() => lies.push("cannot be compared".to_owned()),
        // What the repository does not have was pushed nowhere.
        (Some(_), None) if committed_at.is_none() => lies.push("not in the repository".to_owned()),
        (Some(_), None) => lies.push("not known".to_owned()),
        (None, None) if uncommitted.is_empty() => lies.push("nothing deployed".to_owned()),
        (None, None) => {}
    }
    if !uncommitted.is_empty() {
        lies.push(format!("{} not committed", count(uncommitted.len(), "file")));
    }
    if unchecked.is_some() {
        lies.push("uncommitted changes not checked".to_owned());
    }
    let age = committed_at.as_ref().map_or_else(String::new, |at| age(at, now));
    [escape::line(branch).into_owned(), shown, age, lies.join(", ")]
}

/// `2 fields, no Service`.
fn drift(workspace: &WorkspaceStatus) -> String {
    let fields = (workspace.drift > 0).then(|| count(workspace.drift, "field"));
    let missing = workspace.missing.iter().map(|part| format!("no {}", part.kind.as_str()));
    fields.into_iter().chain(missing).collect::<Vec<_>>().join(", ")
}

fn pending(workspace: &WorkspaceStatus) -> String {
    let actions = workspace.pending.iter().map(|action| action.as_str().to_owned());
    let held = workspace.withheld.iter().map(|guard| format!("withheld by {}", guard.as_str()));
    actions.chain(held).collect::<Vec<_>>().join(", ")
}

/// What an entry of the history says that is not closed.
fn running_line(running: &Running) -> String {
    let Running { cluster, entry, operation, by, at } = running;
    let [cluster, entry, operation, by, at] =
        [cluster, entry, operation, by, at].map(|text| escape::line(text));
    format!("running or killed: {operation} of cluster `{cluster}` by {by} since {at} (entry `{entry}`)")
}
