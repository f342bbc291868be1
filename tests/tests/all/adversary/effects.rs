//! What an apply may do: the steps of its plan, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    cluster::{Row, Snapshot, leaves, normal},
    rounds::{Fault, ensure, list, text},
    world::{OWNER, World},
};

/// What a plan allows, by the name of the workspace.
pub struct Effects<'p> {
    steps: BTreeMap<String, Vec<&'p Value>>,
    outcomes: Option<BTreeMap<(String, String), String>>,
    besides: BTreeSet<String>,
}

/// The names that a plan's steps touch, old names among them.
pub fn touched(plan: &Value) -> BTreeSet<String> {
    Effects::new(plan, None).steps.into_keys().collect()
}

impl<'p> Effects<'p> {
    /// The effects of a plan; with the report of its apply, only those of steps that were begun.
    pub fn new(plan: &'p Value, report: Option<&Value>) -> Self {
        let mut steps: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
        for step in list(plan, "steps") {
            steps.entry(text(step, "workspace")).or_default().push(step);
            if let Some(from) = step["renamed_from"].as_str() {
                steps.entry(from.to_owned()).or_default().push(step);
            }
        }
        let outcomes = report.map(|report| {
            let results = list(report, "results").iter();
            results.map(|one| ((text(one, "workspace"), text(one, "action")), text(one, "outcome"))).collect()
        });
        Self { steps, outcomes, besides: BTreeSet::new() }
    }

    /// The same without workspaces that people changed meanwhile.
    pub fn besides(mut self, names: impl Iterator<Item = String>) -> Self {
        self.besides.extend(names);
        self
    }

    /// Whether a step may have changed something.
    fn has_begun(&self, step: &Value) -> bool {
        let Some(outcomes) = &self.outcomes else { return true };
        let outcome = outcomes.get(&(text(step, "workspace"), text(step, "action")));
        outcome.is_some_and(|outcome| outcome == "applied" || outcome == "uncertain")
    }

    /// Compares all workspaces with what they were.
    pub fn check(&self, world: &World<'_>, before: &Snapshot, flags: &[&str]) -> Result<(), Fault> {
        let after = Snapshot::of(world);
        let names: BTreeSet<&String> = before
            .rows
            .keys()
            .chain(after.rows.keys())
            .chain(before.folders.keys())
            .chain(after.folders.keys())
            .collect();
        for name in names {
            if self.besides.contains(name) {
                continue;
            }
            let begun: Vec<&Value> = self
                .steps
                .get(name)
                .into_iter()
                .flatten()
                .copied()
                .filter(|step| self.has_begun(step))
                .collect();
            self.row(name, &begun, before, &after)?;
            self.folder(name, &begun, before, &after)?;
            interrupted(name, &begun, before, &after)?;
        }
        self.branches(before, &after)?;
        stays_protected(world, before, &after, flags)
    }

    fn row(&self, name: &str, begun: &[&Value], before: &Snapshot, after: &Snapshot) -> Result<(), Fault> {
        let (old, new) = (before.rows.get(name), after.rows.get(name));
        let is = |action: &str| begun.iter().any(|step| text(step, "action") == action);
        let renames = begun.iter().any(|step| step["renamed_from"].is_string());
        let said = || format!("`{name}`: {old:#?}\nbecame {new:#?}\nwith {}", shown(begun));
        match (old, new) {
            (None, None) => Ok(()),
            (None, Some(_)) => {
                ensure(is("create") || is("replace") || renames, || format!("created: {}", said()))
            }
            (Some(_), None) => {
                ensure(is("delete") || is("replace") || renames, || format!("deleted: {}", said()))
            }
            (Some(old), Some(new)) => {
                let allowed: BTreeSet<String> = begun
                    .iter()
                    .flat_map(|step| list(step, "fields").iter().map(|field| text(field, "path")))
                    .collect();
                let replaced = is("replace") || renames;
                for path in changed_paths(old, new) {
                    let state = path == "state" && (is("stop") || is("start"));
                    ensure(replaced || state || allowed.contains(&path), || {
                        format!("`{path}` was changed: {}", said())
                    })?;
                }
                let marked = old.managed_by != new.managed_by || old.environment != new.environment;
                ensure(!marked || is("adopt") || !begun.is_empty(), || {
                    format!("the mark changed: {}", said())
                })
            }
        }
    }

    /// The branch of a workspace moves within its own step, and to what that step deploys.
    fn branches(&self, before: &Snapshot, after: &Snapshot) -> Result<(), Fault> {
        let all: BTreeSet<&String> = before.branches.keys().chain(after.branches.keys()).collect();
        for branch in all {
            let (was, is) = (before.branches.get(branch), after.branches.get(branch));
            let name = follower(branch).unwrap_or_default();
            if was == is {
                continue;
            }
            let steps = self.steps.get(name).into_iter().flatten();
            let begun: Vec<&&Value> = steps.filter(|step| self.has_begun(step)).collect();
            let planned: Vec<&Value> = self.steps.get(name).into_iter().flatten().copied().collect();
            let is_target = |step: &&Value| step["deploy"]["to"].as_str() == is.map(String::as_str);
            let is_planned = !begun.is_empty() && planned.iter().any(is_target);
            ensure(is_planned || self.besides.contains(name), || {
                format!("`deploy/{branch}` moved from {was:?} to {is:?} with {}", shown(&planned))
            })?;
        }
        Ok(())
    }

    fn folder(&self, name: &str, begun: &[&Value], before: &Snapshot, after: &Snapshot) -> Result<(), Fault> {
        let is = |actions: &[&str]| begun.iter().any(|step| actions.contains(&text(step, "action").as_str()));
        let renames = begun.iter().any(|step| step["renamed_from"].is_string());
        let empty = BTreeMap::new();
        let (old, new) =
            (before.folders.get(name).unwrap_or(&empty), after.folders.get(name).unwrap_or(&empty));
        if renames || is(&["create", "replace", "delete"]) {
            return Ok(());
        }
        let changed: BTreeSet<&String> =
            old.keys().chain(new.keys()).filter(|path| old.get(*path) != new.get(*path)).collect();
        // A workspace of Mage fetches its code when it starts as well.
        let starts = is(&["start", "restart", "update"]) && !after.branches.is_empty();
        let allowed = |path: &str| {
            let is_code = path == "code" || path.starts_with("trees/");
            (is_code && (is(&["deploy", "adopt"]) || starts)) || (path == ".env" && !begun.is_empty())
        };
        for path in changed {
            ensure(allowed(path), || {
                format!(
                    "`{path}` of `{name}` was changed: {:?} became {:?}\nwith {}",
                    old.get(path),
                    new.get(path),
                    shown(begun),
                )
            })?;
        }
        let target = begun.iter().find_map(|step| step["deploy"]["to"].as_str());
        let (was, is) = (before.commit(name), after.commit(name));
        let follows = starts.then(|| branch_of(name, after)).flatten();
        ensure(was == is || is == target || is == follows, || {
            format!("`{name}` runs {is:?}, and {target:?} was planned")
        })
    }
}

/// The commit of the branch that a workspace of Mage follows.
fn branch_of<'s>(name: &str, snapshot: &'s Snapshot) -> Option<&'s str> {
    let mut branches = snapshot.branches.iter();
    let (_, commit) = branches.find(|(branch, _)| follower(branch) == Some(name))?;
    Some(commit)
}

/// The workspace that follows a branch.
fn follower(branch: &str) -> Option<&str> {
    branch.split_once('+').map(|(_, name)| name)
}

/// A workspace of Mage is stopped or restarted only by a step that says so.
fn interrupted(name: &str, begun: &[&Value], before: &Snapshot, after: &Snapshot) -> Result<(), Fault> {
    let says_so = |step: &&Value| {
        let always = ["stop", "restart", "replace", "delete"].contains(&text(step, "action").as_str());
        // Mage starts whatever it makes.
        let is_made_stopped = text(step, "action") == "create"
            && list(step, "fields")
                .iter()
                .any(|field| field["path"] == "state" && field["after"] == "stopped");
        always || is_made_stopped || step["restarts"] == true || step["renamed_from"].is_string()
    };
    let (was, is) = (before.interruptions.get(name), after.interruptions.get(name));
    // A real server counts every change of a StatefulSet.
    let is_down = before.rows.get(name).is_none_or(|row| {
        let leaves = leaves(&row.record).unwrap_or_default();
        leaves.get("state").is_some_and(|state| state == "stopped")
    });
    let is_allowed = begun.iter().any(says_so) || is_down && !begun.is_empty();
    ensure(was == is || is_allowed, || {
        format!("`{name}` was stopped or restarted ({was:?}, {is:?}) with {}", shown(begun))
    })
}

/// The steps in short.
fn shown(steps: &[&Value]) -> String {
    let step = |step: &&Value| {
        let fields: Vec<String> = list(step, "fields").iter().map(|field| text(field, "path")).collect();
        let (action, restarts, code) = (text(step, "action"), &step["restarts"], &step["deploy"]["to"]);
        format!("{action} of {fields:?} (restarts: {restarts}, code: {code})")
    };
    format!("the steps {:#?}", steps.iter().map(step).collect::<Vec<_>>())
}

fn changed_paths(old: &Row, new: &Row) -> Vec<String> {
    let (Some(old), Some(new)) = (leaves(&old.record), leaves(&new.record)) else {
        return if old.record == new.record { Vec::new() } else { vec!["record".to_owned()] };
    };
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    paths.into_iter().filter(|path| old.get(*path) != new.get(*path)).cloned().collect()
}

/// A plan takes nothing from a protected environment without its flag.
pub fn lawful(world: &World<'_>, before: &Snapshot, plan: &Value, flags: &[&str]) -> Result<(), Fault> {
    for step in list(plan, "steps") {
        let action = text(step, "action");
        let flag = match action.as_str() {
            "delete" => "--allow-delete",
            "replace" => "--allow-replace",
            _ => continue,
        };
        // What is replaced under another name has its old one until then.
        let name = step["renamed_from"].as_str().map_or_else(|| text(step, "workspace"), str::to_owned);
        let row = before.rows.get(&name);
        let environment = row.and_then(|row| row.environment.clone()).unwrap_or_default();
        let is_declared = world.environments.get(&environment).is_some_and(|one| one.protected);
        let is_protected = is_declared || row.is_some_and(|row| row.protected);
        let is_ours = row.is_some_and(|row| row.managed_by.as_deref() == Some(OWNER));
        ensure(is_ours, || format!("`{name}` is not ours, and the plan would {action} it"))?;
        let is_allowed = flags.windows(2).any(|pair| pair[0] == flag && pair[1] == environment);
        ensure(!is_protected || is_allowed, || {
            format!("`{name}` is protected, and the plan would {action} it without `{flag} {environment}`")
        })?;
    }
    Ok(())
}

/// What was protected is there, in its environment, and protected.
fn stays_protected(
    world: &World<'_>,
    before: &Snapshot,
    after: &Snapshot,
    flags: &[&str],
) -> Result<(), Fault> {
    let renamed: BTreeMap<String, String> = world
        .expected()
        .into_iter()
        .filter_map(|(name, expected)| Some((expected.moved_from?, name)))
        .collect();
    for (name, old) in &before.rows {
        if !old.protected || old.managed_by.as_deref() != Some(OWNER) {
            continue;
        }
        let environment = old.environment.clone().unwrap_or_default();
        let allows = |flag: &str| flags.windows(2).any(|pair| pair[0] == flag && pair[1] == environment);
        let new = after.rows.get(name).or_else(|| after.rows.get(renamed.get(name)?));
        let Some(new) = new else {
            let is_allowed = allows("--allow-delete") || allows("--allow-replace");
            ensure(is_allowed, || format!("`{name}` was protected, and was deleted"))?;
            continue;
        };
        let stays = new.protected && new.environment == old.environment;
        ensure(stays || allows("--allow-unprotect"), || {
            format!("`{name}` was protected: {old:#?}\nand became {new:#?}")
        })?;
    }
    Ok(())
}

/// What `magus destroy -e ENVIRONMENT` may have done: nothing to other environments, and nothing to what is protected.
pub fn destroyed(
    world: &World<'_>,
    environment: &str,
    before: &Snapshot,
    flags: &[&str],
) -> Result<(), Fault> {
    let after = Snapshot::of(world);
    for (name, old) in &before.rows {
        let is_of =
            old.environment.as_deref() == Some(environment) && old.managed_by.as_deref() == Some(OWNER);
        let is_gone = !after.rows.contains_key(name);
        ensure(is_of || !is_gone, || format!("`{name}` was destroyed with `{environment}`: {old:#?}"))?;
        let is_same =
            after.rows.get(name) == Some(old) && after.folders.get(name) == before.folders.get(name);
        ensure(is_gone || is_same, || format!("`{name}` was changed by a destroy"))?;
        let is_declared = world.environments.get(environment).is_some_and(|one| one.protected);
        let is_allowed = flags.windows(2).any(|pair| pair[0] == "--allow-delete" && pair[1] == environment);
        ensure(!is_gone || is_allowed || !(is_declared || old.protected), || {
            format!("`{name}` was protected, and was destroyed")
        })?;
    }
    Ok(())
}

/// What differs in the cluster from what Magus left there, by the rules of this test.
pub fn drifted(world: &World<'_>, now: &Snapshot, plan: &Value) -> Vec<String> {
    // The workspace of a branch that waits until another one is removed should not exist yet.
    let waits = |name: &String| {
        list(plan, "withheld")
            .iter()
            .any(|held| text(held, "workspace") == *name && text(held, "guard") == "branch-limit")
    };
    let mut found = Vec::new();
    for (name, expected) in world.expected() {
        let Some(left) = world.left.rows.get(&name) else { continue };
        if left.managed_by.as_deref() != Some(OWNER) || waits(&name) {
            continue;
        }
        match now.rows.get(&name) {
            None => found.push(format!("`{name}` was deleted")),
            Some(row) if row.managed_by != left.managed_by => found.push(format!("`{name}` lost its mark")),
            Some(row) => {
                let is = leaves(&row.record).unwrap_or_default();
                for path in changed_paths(left, row) {
                    let wanted = expected.fields.get(&path).map(|value| normal(&path, value));
                    let is_free = path == "state" && wanted.is_none();
                    if is.get(&path) != wanted.as_ref() && !is_free {
                        found.push(format!("`{name}`: `{path}` is {:?}", is.get(&path)));
                    }
                }
            }
        }
    }
    found
}
