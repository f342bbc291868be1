//! Differences that nobody declared: what somebody changed in a cluster, as text and JSON.

use std::fmt::Write as _;

use magus_model::{
    Text,
    name::WorkspaceName,
    observed::MissingPart,
    plan::{Action, FieldChange, Incomplete, Plan, Reason, Unknown},
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
    /// Workspaces of which nobody can say whether they drifted.
    pub unknown: Vec<Unknown>,
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
    /// The fields that differ; `before` is what is there, `after` what is declared.
    pub fields: Vec<FieldChange>,
    /// The code, where somebody put other code there.
    pub code: Option<DriftedCode>,
    /// The parts that it lacks in the cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingPart>,
}

/// Code that nobody declared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DriftedCode {
    /// The commit that is there; nothing where none is.
    pub before: Option<Text>,
    /// The commit that is declared.
    pub after: Text,
}

/// The fields of a plan that nobody declared, or that moved on both sides.
pub fn drift(plan: &Plan) -> Drift {
    let plan = plan::without_secrets(plan);
    let mut workspaces: Vec<Drifted> = Vec::new();
    for step in &plan.steps {
        let is_drift = |reason: Reason| matches!(reason, Reason::Drift | Reason::Both);
        let drifted = step.fields.iter().filter(|field| is_drift(field.reason));
        let fields: Vec<FieldChange> = drifted.cloned().collect();
        let deploy = step.deploy.as_ref().filter(|deploy| is_drift(deploy.reason));
        let code = deploy.map(|deploy| DriftedCode { before: deploy.from.clone(), after: deploy.to.clone() });
        if fields.is_empty() && code.is_none() {
            continue;
        }
        let same = |known: &&mut Drifted| known.cluster == step.cluster && known.workspace == step.workspace;
        // The steps of one workspace stand next to each other or far apart; there are few for each.
        match workspaces.last_mut().filter(same) {
            Some(known) => {
                known.fields.extend(fields);
                known.code = known.code.take().or(code);
            }
            None => workspaces.push(Drifted {
                cluster: step.cluster.clone(),
                environment: step.environment.clone(),
                workspace: step.workspace.clone(),
                fields,
                code,
                missing: Vec::new(),
            }),
        }
    }
    for Incomplete { cluster, environment, workspace, missing } in &plan.incomplete {
        let known = workspaces.iter_mut().find(|one| one.cluster == *cluster && one.workspace == *workspace);
        match known {
            Some(known) => known.missing.clone_from(missing),
            None => workspaces.push(Drifted {
                cluster: cluster.clone(),
                environment: environment.clone(),
                workspace: workspace.clone(),
                fields: Vec::new(),
                code: None,
                missing: missing.clone(),
            }),
        }
    }
    Drift {
        format_version: FORMAT_VERSION,
        has_drift: !workspaces.is_empty(),
        workspaces,
        unknown: plan.unknown.clone(),
    }
}

/// The drift as JSON.
pub fn json(drift: &Drift) -> String {
    json::pretty(drift)
}

/// Each workspace with its fields: what is there → what is declared.
pub fn text(drift: &Drift, styles: &Styles) -> String {
    let mut out = String::new();
    for workspace in &drift.workspaces {
        let place =
            format!("({}, {})", escape::line(&workspace.cluster), escape::line(&workspace.environment));
        let name = paint(styles.strong, escape::line(workspace.workspace.as_str()));
        let _ = writeln!(out, "{name} {}", paint(styles.dim, place));
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
    let fields = drift.workspaces.iter().map(|one| one.fields.len() + usize::from(one.code.is_some())).sum();
    let parts = drift.workspaces.iter().map(|one| one.missing.len()).sum();
    let sentence = match drift.workspaces.len() {
        0 if drift.unknown.is_empty() => "No drift: nothing differs that nobody declared.".to_owned(),
        0 => format!("No drift was found; {} unknown.", count(drift.unknown.len(), "workspace")),
        number => {
            let counts = [(fields, "field"), (parts, "missing part")];
            let counts = counts.iter().filter(|(many, _)| *many > 0).map(|(many, what)| count(*many, what));
            let counts = counts.collect::<Vec<_>>().join(", ");
            format!("Drift: {counts} of {}.", count(number, "workspace"))
        }
    };
    let _ = writeln!(out, "{}", paint(styles.strong, sentence));
    if drift.has_drift {
        out.push_str("Next: `magus apply` sets what is declared; to keep what is there, declare it\n");
    }
    out
}
