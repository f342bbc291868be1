//! What differs in the clusters and was not changed by a declaration, as text and JSON.
//!
//! Drift is read from the differences themselves and not from a plan: a step that a guard withholds differs all the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use magus_diff::{Change, ChangeSet, Claim, ClusterChanges, Conflict, Update, WorkspaceChange};
use magus_model::{
    Text,
    name::WorkspaceName,
    observed::MissingPart,
    plan::{Action, FieldChange, Guard, Plan, Reason, Unknown},
};
use serde::Serialize;

use crate::{
    Styles,
    causes::causes,
    escape, json,
    plan::{self, deploy::short},
    style::paint,
    words::count,
};

/// The version of the JSON format.
pub const FORMAT_VERSION: u32 = 1;

/// The drift of all clusters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drift {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Whether there is any.
    pub has_drift: bool,
    /// The workspaces that drifted.
    pub workspaces: Vec<Drifted>,
    /// Workspaces whose environment or protection is declared otherwise than their marks say. This is declared, and no drift.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ownership: Vec<Ownership>,
    /// Workspaces whose state is unknown.
    pub unknown: Vec<Unknown>,
    /// What could not be compared by design, for each cluster that has such.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unverifiable: BTreeMap<Text, Text>,
}

/// A workspace that drifted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drifted {
    /// Its cluster.
    pub cluster: Text,
    /// Its environment.
    pub environment: Text,
    /// Its name in the cluster.
    pub workspace: WorkspaceName,
    /// What happened to it as a whole.
    pub status: Status,
    /// Who manages it, if another owner's mark is on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<Text>,
    /// The fields that differ; `before` is what is there, `after` what is declared.
    pub fields: Vec<FieldChange>,
    /// The code, if other code runs than the declared one.
    pub code: Option<DriftedCode>,
    /// The parts that it lacks in the cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingPart>,
}

/// What happened to a workspace as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It has our mark, and differs.
    Differs,
    /// It is declared and does not exist.
    Missing,
    /// Magus applied it, and its mark was removed since.
    MarkRemoved,
    /// It has no mark.
    Unmanaged,
    /// Another owner's mark is on it.
    ManagedByOther,
}

/// Code that was not deployed by a declaration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DriftedCode {
    /// The commit that is there; nothing if none is.
    pub before: Option<Text>,
    /// The commit that is declared.
    pub after: Text,
}

/// A workspace whose environment or protection is about to change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ownership {
    /// Its cluster.
    pub cluster: Text,
    /// Its environment, as declared.
    pub environment: Text,
    /// Its name in the cluster.
    pub workspace: WorkspaceName,
    /// `environment` and `protected`; `before` is what its mark says, `after` what is declared.
    pub fields: Vec<FieldChange>,
}

/// What drifted of all workspaces that the plan was asked for. The plan says what is unknown, and which workspaces of branches
/// may not exist yet.
pub fn drift(changes: &ChangeSet<'_>, plan: &Plan, selects: &dyn Fn(&WorkspaceChange<'_>) -> bool) -> Drift {
    let mut workspaces = Vec::new();
    let mut ownership = Vec::new();
    let held = plan.withheld.iter().filter(|held| held.guard == Guard::BranchLimit);
    let waits: BTreeSet<_> = held.map(|held| (&held.cluster, &held.workspace)).collect();
    for cluster in &changes.clusters {
        for change in cluster.workspaces.iter().filter(|change| selects(change)) {
            // The workspace of a branch that waits until another one is removed should not exist yet.
            if !waits.contains(&(&cluster.cluster.name, &change.workspace.name)) {
                workspaces.extend(drifted(cluster, change));
            }
            ownership.extend(owned(cluster, change));
        }
    }
    for field in workspaces.iter_mut().flat_map(|one: &mut Drifted| &mut one.fields) {
        plan::hide(field);
    }
    let unverifiable = plan.clusters.iter();
    let unverifiable = unverifiable.filter_map(|one| Some((one.name.clone(), one.unverifiable.clone()?)));
    Drift {
        format_version: FORMAT_VERSION,
        has_drift: !workspaces.is_empty(),
        workspaces,
        ownership,
        unknown: plan.unknown.clone(),
        unverifiable: unverifiable.collect(),
    }
}

fn drifted(cluster: &ClusterChanges<'_>, change: &WorkspaceChange<'_>) -> Option<Drifted> {
    let mut drifted = Drifted {
        cluster: cluster.cluster.name.clone(),
        environment: change.environment.name.clone(),
        workspace: change.workspace.name.clone(),
        status: Status::Differs,
        managed_by: None,
        fields: Vec::new(),
        code: None,
        missing: Vec::new(),
    };
    match &change.change {
        Change::Unchanged { .. } | Change::Unknown(_) => return None,
        Change::Create(_) => drifted.status = Status::Missing,
        Change::Adopt { .. } => drifted.status = Status::Unmanaged,
        Change::Conflict { observed: _, conflict, adoption } => {
            match conflict {
                Conflict::ManagedBy(owner) => {
                    drifted.status = Status::ManagedByOther;
                    drifted.managed_by = Some((*owner).clone());
                }
                Conflict::Differs(_) | Conflict::Unverifiable(_) => drifted.status = Status::Unmanaged,
                // What is there under its old name, or under its name, is another workspace.
                Conflict::MovedFrom | Conflict::OfBranch(_) => drifted.status = Status::Missing,
            }
            if let Some(update) = adoption {
                differs(update, &mut drifted);
            }
        }
        Change::Update(update) => {
            differs(update, &mut drifted);
            drifted.missing = update.missing.to_vec();
            let is_same = drifted.fields.is_empty() && drifted.code.is_none() && drifted.missing.is_empty();
            if matches!(update.claim, Claim::Recalled(_)) {
                drifted.status = Status::MarkRemoved;
            } else if is_same {
                return None;
            }
        }
    }
    Some(drifted)
}

/// The fields and the code of a managed workspace that no declaration changed.
fn differs(update: &Update<'_>, drifted: &mut Drifted) {
    let Update { claim, fields, state, restart, code, .. } = update;
    // A mark that remembers nothing does not say who changed a field.
    let remembers = claim.applied().is_some_and(|applied| !applied.is_empty());
    let is_drift = |reason: Reason| match reason {
        Reason::Drift | Reason::Both => true,
        Reason::Differs => !remembers,
        Reason::Declared => false,
    };
    let all = fields.iter().chain(state).chain(restart);
    drifted.fields = all.filter(|field| is_drift(field.reason)).cloned().collect();
    drifted.fields.sort_by(|a, b| a.path.cmp(&b.path));
    drifted.code = code
        .filter(|code| is_drift(code.reason))
        .map(|code| DriftedCode { before: code.observed.commit.clone(), after: code.to.clone() });
}

fn owned(cluster: &ClusterChanges<'_>, change: &WorkspaceChange<'_>) -> Option<Ownership> {
    let Change::Update(update) = &change.change else { return None };
    (!update.ownership.is_empty()).then(|| Ownership {
        cluster: cluster.cluster.name.clone(),
        environment: change.environment.name.clone(),
        workspace: change.workspace.name.clone(),
        fields: update.ownership.clone(),
    })
}

/// The drift as JSON.
pub fn json(drift: &Drift) -> String {
    json::pretty(drift)
}

/// Each workspace with its fields: what is there → what is declared.
pub fn text(drift: &Drift, styles: &Styles) -> String {
    let mut out = String::new();
    for workspace in &drift.workspaces {
        heading(&mut out, (&workspace.cluster, &workspace.environment, &workspace.workspace), styles);
        if let Some(status) = told(workspace) {
            let _ = writeln!(out, "    {status}");
        }
        for field in &workspace.fields {
            plan::write_field(&mut out, field, Action::Update, "    ", styles);
        }
        if let Some(DriftedCode { before, after }) = &workspace.code {
            let before = before.as_deref().map_or_else(|| "nothing".to_owned(), short);
            let _ = writeln!(out, "    ~ code: {before} → {}", short(after));
        }
        for MissingPart { kind, name, by_hand: _ } in &workspace.missing {
            let _ = writeln!(out, "    - {} {}: missing", kind.as_str(), escape::line(name));
        }
        out.push('\n');
    }
    for Ownership { cluster, environment, workspace, fields } in &drift.ownership {
        heading(&mut out, (cluster, environment, workspace), styles);
        out.push_str("    declared, and not applied yet:\n");
        for field in fields {
            plan::write_field(&mut out, field, Action::Update, "    ", styles);
        }
        out.push('\n');
    }
    for cause in causes(&drift.unknown) {
        let unknown = paint(styles.warning, "unknown:");
        let names = cause.listed(|name| format!("`{}`", escape::line(name)));
        let message = escape::line(&cause.message);
        let _ = match cause.names.len() {
            1 => writeln!(out, "{unknown} {names}: {message}"),
            number => {
                writeln!(out, "{unknown} {}: {message}\n    {names}", count(number, "workspace"))
            }
        };
    }
    for (cluster, reason) in &drift.unverifiable {
        let _ = writeln!(out, "unverifiable: cluster `{}`: {}", escape::line(cluster), escape::line(reason));
    }
    let _ = writeln!(out, "{}", paint(styles.strong, sentence(drift)));
    if drift.has_drift {
        out.push_str("Next: `magus plan` shows how an apply restores what is declared; to keep what is there, declare it\n");
    }
    out
}

fn heading(out: &mut String, (cluster, environment, name): (&Text, &Text, &WorkspaceName), styles: &Styles) {
    let place = format!("({}, {})", escape::line(cluster), escape::line(environment));
    let name = paint(styles.strong, escape::line(name.as_str()));
    let _ = writeln!(out, "{name} {}", paint(styles.dim, place));
}

/// What happened to a workspace as a whole; nothing if only its fields differ.
fn told(drifted: &Drifted) -> Option<String> {
    match drifted.status {
        Status::Differs => None,
        Status::Missing => Some("missing: declared, and not in the cluster".to_owned()),
        Status::MarkRemoved => {
            Some("mark removed: Magus applied it, and the next apply restores the mark".to_owned())
        }
        Status::Unmanaged => Some("unmanaged: declared, and without a mark in the cluster".to_owned()),
        Status::ManagedByOther => Some(format!(
            "managed by `{}`: declared here, and marked by another owner",
            escape::line(drifted.managed_by.as_deref().unwrap_or_default())
        )),
    }
}

fn sentence(drift: &Drift) -> String {
    let unknown = match drift.unknown.len() {
        0 => String::new(),
        number => format!("; {} unknown", count(number, "workspace")),
    };
    let number = drift.workspaces.len();
    if number == 0 {
        return match drift.unknown.len() {
            0 => "No drift.".to_owned(),
            _ => format!("No drift was found{unknown}."),
        };
    }
    let of = count(number, "workspace");
    if drift.workspaces.iter().any(|one| one.status != Status::Differs) {
        return format!("Drift: {of}{unknown}.");
    }
    let fields = drift.workspaces.iter().map(|one| one.fields.len() + usize::from(one.code.is_some())).sum();
    let parts = drift.workspaces.iter().map(|one| one.missing.len()).sum();
    let counts = [(fields, "field"), (parts, "missing part")];
    let counts = counts.iter().filter(|(many, _)| *many > 0).map(|(many, what)| count(*many, what));
    format!("Drift: {} of {of}{unknown}.", counts.collect::<Vec<_>>().join(", "))
}
