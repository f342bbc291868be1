//! The last lines of a plan: what it disrupts, and its counts.

use std::collections::BTreeSet;

use magus_model::{
    Text,
    plan::{Action, LockKind, Overrides, Plan, Restarts, Step, Summary},
};

use super::apart;
use crate::{
    escape,
    words::{count, thousands},
};

/// What the plan does to workspaces that people may be using.
pub(crate) struct Disruption<'a> {
    /// `Restarts 3 workspaces`: numbers and our own words.
    pub(crate) what: String,
    /// The workspaces that go away, where they are few enough to be named.
    names: Vec<&'a str>,
}

impl std::fmt::Display for Disruption<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)?;
        for (at, name) in self.names.iter().enumerate() {
            write!(f, "{} {}", if at == 0 { ":" } else { "," }, escape::line(name))?;
        }
        f.write_str(".")
    }
}

/// Up to so many workspaces that go away are named in the last lines too.
const FEW: usize = 8;

/// What the plan disrupts; nothing where it disturbs nobody.
pub(crate) fn disruptions(plan: &Plan) -> Vec<Disruption<'_>> {
    // A workspace counts once, whatever is done to it.
    let mut seen = BTreeSet::new();
    let mut find = |verb: &str, wanted: &dyn Fn(&Step) -> bool| {
        let touched =
            plan.steps.iter().filter(|step| wanted(step) && seen.insert((&step.cluster, &step.workspace)));
        let mut names: Vec<&str> = touched.map(|step| step.workspace.as_str()).collect();
        let what = format!("{verb} {}", count(names.len(), "workspace"));
        let disturbs = !names.is_empty();
        if names.len() > FEW || !verb.starts_with("Deletes") {
            names.clear();
        }
        disturbs.then_some(Disruption { what, names })
    };
    let restarts = |step: &Step, restarts| step.restarts == restarts && step.action != Action::Create;
    [
        find("Deletes", &|step| step.action == Action::Delete),
        find("Deletes and makes anew", &|step| step.action == Action::Replace),
        find("Restarts", &|step| restarts(step, Restarts::Yes)),
        find("May restart", &|step| restarts(step, Restarts::Unknown)),
        find("Stops", &|step| step.action == Action::Stop),
        find("Stops managing", &|step| step.action == Action::Forget),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `2 to create, 1 to update, 0 to replace, 0 to delete, 2 to deploy; 3 unchanged, 1 withheld`. These are always
/// there, so that a line can be searched for; what else has no number is left out, but for what is set apart.
pub(crate) fn totals(plan: &Plan) -> String {
    let Summary {
        create,
        update,
        replace,
        delete,
        adopt,
        unchanged,
        withheld,
        unknown,
        deploy,
        start,
        stop,
        restart,
        forget,
    } = plan.summary;
    let always = [
        (create, "create"),
        (update, "update"),
        (replace, "replace"),
        (delete, "delete"),
        (deploy, "deploy"),
    ];
    let rest = [(adopt, "adopt"), (start, "start"), (stop, "stop"), (restart, "restart"), (forget, "forget")];
    let doing: Vec<String> = always
        .into_iter()
        .chain(rest.into_iter().filter(|(number, _)| *number > 0))
        .map(|(number, verb)| format!("{} to {verb}", thousands(number)))
        .collect();
    let leaving: Vec<String> = [(unchanged, "unchanged"), (withheld, "withheld")]
        .into_iter()
        .chain(std::iter::once((unknown, "unknown")).filter(|(number, _)| *number > 0))
        .chain(plan.since.iter().map(|_| (apart::workspaces(plan), "set apart")))
        .map(|(number, what)| format!("{} {what}", thousands(number)))
        .collect();
    format!("{}; {}", doing.join(", "), leaving.join(", "))
}

/// The sentence for a plan in which there is nothing to do and nothing in doubt.
pub(crate) fn no_changes(plan: &Plan) -> Option<String> {
    if plan.has_changes || !plan.steps.is_empty() || !plan.withheld.is_empty() || !plan.unknown.is_empty() {
        return None;
    }
    let apart = apart::workspaces(plan);
    if apart > 0 {
        return Some(format!("No changes by these commits; {} set apart.", count(apart, "workspace")));
    }
    Some(match plan.summary.unchanged {
        0 => "No changes: no workspace is declared.".to_owned(),
        1 => "No changes: 1 workspace is as declared.".to_owned(),
        many => format!("No changes: {} workspaces are as declared.", thousands(many)),
    })
}

/// The clusters that nothing keeps two applies from changing at once; nothing where all have a lock, or nothing is done.
pub(crate) fn unlocked(plan: &Plan) -> Option<String> {
    let changed = |name: &Text| plan.steps.iter().any(|step| step.cluster == *name);
    let open =
        plan.clusters.iter().filter(|cluster| cluster.lock == LockKind::None && changed(&cluster.name));
    let names: Vec<String> = open.map(|cluster| format!("`{}`", escape::line(&cluster.name))).collect();
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        format!("No lock: nothing keeps two applies to {names} apart; `history: {{remote: origin}}` in cluster.yaml does.")
    })
}

/// The environments to which nothing is promoted, with the reason, a line each.
pub(crate) fn holds(plan: &Plan) -> impl Iterator<Item = String> {
    let holds = plan.clusters.iter().flat_map(|cluster| &cluster.holds);
    holds.map(|(environment, why)| {
        format!("Held: nothing is promoted to {}: {}", escape::line(environment), escape::line(why))
    })
}

/// Why the plan is for reading: `--assume` chose commits for branches.
pub(crate) fn assumed(plan: &Plan) -> Option<String> {
    let all: Vec<String> = plan
        .assumed
        .iter()
        .map(|(branch, commit)| format!("--assume {}={}", escape::line(branch), escape::line(commit)))
        .collect();
    (!all.is_empty()).then(|| format!("For reading: made with {}; an apply refuses this plan", all.join(" ")))
}

/// The flags that lifted guards, as they are given; nothing where none was.
pub(crate) fn overrides(overrides: &Overrides) -> Option<String> {
    let Overrides {
        allow_delete,
        allow_replace,
        allow_empty,
        allow_unprotect,
        adopt,
        allow_older,
        max_deletes,
        refresh_secrets,
        override_gate,
        discard_changes,
        reason,
    } = overrides;
    let mut flags = Vec::new();
    for (flag, environments) in [
        ("--allow-delete", allow_delete),
        ("--allow-replace", allow_replace),
        ("--allow-empty", allow_empty),
        ("--allow-unprotect", allow_unprotect),
        ("--adopt", adopt),
        ("--refresh-secrets", refresh_secrets),
        ("--override-gate", override_gate),
        ("--discard-changes", discard_changes),
    ] {
        flags.extend(environments.iter().map(|environment| format!("{flag} {}", escape::line(environment))));
    }
    flags.extend(allow_older.then(|| "--allow-older".to_owned()));
    flags.extend(max_deletes.iter().map(|limit| format!("--max-deletes {}", escape::line(limit))));
    if flags.is_empty() && reason.is_none() {
        return None;
    }
    let mut text = flags.join(", ");
    if let Some(reason) = reason {
        let gap = if text.is_empty() { "" } else { "; " };
        text.push_str(&format!("{gap}reason: {}", escape::line(reason)));
    }
    Some(text)
}
