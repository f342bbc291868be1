//! An independent checker of plans: what no plan may hold, whoever made it.
//!
//! It trusts nothing of the planner and shares none of its code, so that a mistake there is found before anything
//! is sent. Faults are sentences for people; none is the rule.

use std::collections::{BTreeMap, BTreeSet};

use magus_diff::HIDDEN;
use magus_model::{
    Text,
    desired::{Cluster, Desired, Environment, Workspace, branch_of},
    observed::{Mark, PartKind},
    path::FieldPath,
    plan::{Action, Deploy, FORMAT_VERSION, Guard, Plan, Precondition, Step, Summary},
    value::{FieldValue, Value},
};

/// The faults of a plan for this desired state.
pub fn check(plan: &Plan, desired: &Desired) -> Vec<String> {
    let mut faults = Vec::new();
    if plan.format_version != FORMAT_VERSION {
        faults.push(format!("format_version is {}, not {FORMAT_VERSION}", plan.format_version));
    }
    if plan.digest != crate::digest::digest(plan) {
        faults.push("the digest is not that of the content".to_owned());
    }
    if plan.has_changes == plan.steps.is_empty() {
        faults.push("has_changes does not say whether there are steps".to_owned());
    }
    identities(plan, &mut faults);
    needs(plan, &mut faults);
    untouchable(plan, &mut faults);
    promotion(plan, desired, &mut faults);
    summary(plan, &mut faults);
    let declared = Declared::new(desired);
    for step in &plan.steps {
        protection(step, plan, &declared, &mut faults);
        content(step, &mut faults);
    }
    marks(plan, &declared, &mut faults);
    faults
}

/// A cluster and a name in it.
type Name<'a> = (&'a Text, &'a str);

/// What is declared, by name.
struct Declared<'a> {
    /// The environments whose workspaces may go with their branches.
    of_branches: BTreeSet<Name<'a>>,
    workspaces: BTreeMap<Name<'a>, (&'a Cluster, &'a Environment, &'a Workspace)>,
    protected: BTreeSet<Name<'a>>,
}

impl<'a> Declared<'a> {
    fn new(desired: &'a Desired) -> Self {
        let mut declared =
            Self { of_branches: BTreeSet::new(), workspaces: BTreeMap::new(), protected: BTreeSet::new() };
        for cluster in &desired.clusters {
            for environment in &cluster.environments {
                if environment.branch_workspaces.is_some() {
                    declared.of_branches.insert((&cluster.name, environment.name.as_str()));
                }
                if environment.protected {
                    declared.protected.insert((&cluster.name, environment.name.as_str()));
                }
                for workspace in &environment.workspaces {
                    let name = (&cluster.name, workspace.name.as_str());
                    declared.workspaces.insert(name, (cluster, environment, workspace));
                }
            }
        }
        declared
    }

    /// Whether a step stops what is not declared any more because its branch is gone.
    fn goes_with_branch(&self, step: &Step, mark: &Mark) -> bool {
        step.action == Action::Stop
            && branch_of(&mark.workspace).is_some()
            && self.of_branches.contains(&(&step.cluster, step.environment.as_str()))
            && !self.workspaces.contains_key(&(&step.cluster, step.workspace.as_str()))
    }
}

/// One step per workspace and action, each with the id of what it does.
fn identities(plan: &Plan, faults: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for step in &plan.steps {
        let id = format!("{}/{}/{}", step.cluster, step.workspace, step.action.as_str());
        if step.id != id.as_str() {
            faults.push(format!("step `{}` should have the id `{id}`", step.id));
        }
        if !seen.insert(&step.id) {
            faults.push(format!("step `{}` is there twice", step.id));
        }
    }
}

/// Every step comes after those that it needs, and these are of the same workspace.
fn needs(plan: &Plan, faults: &mut Vec<String>) {
    let mut before: BTreeMap<&Text, &Step> = BTreeMap::new();
    let mut last: BTreeMap<(&Text, &str), &Step> = BTreeMap::new();
    for step in &plan.steps {
        for need in &step.needs {
            match before.get(need) {
                None => {
                    faults.push(format!("step `{}` needs `{need}`, which does not come before it", step.id))
                }
                Some(needed) if needed.workspace != step.workspace || needed.cluster != step.cluster => {
                    faults.push(format!("step `{}` needs `{need}` of another workspace", step.id));
                }
                Some(_) => {}
            }
        }
        let previous = last.insert((&step.cluster, step.workspace.as_str()), step);
        match (&step.precondition, previous) {
            (Precondition::Follows(id), Some(previous)) if *id == previous.id && step.needs.contains(id) => {}
            (Precondition::Absent, None) if step.action == Action::Create => {}
            (Precondition::Revision(_), None) if step.action != Action::Create => {}
            (precondition, _) => {
                faults.push(format!(
                    "step `{}` has the precondition {precondition:?}, which does not fit",
                    step.id
                ));
            }
        }
        before.insert(&step.id, step);
    }
}

/// Nothing is done to what is unknown, not ours or in conflict.
fn untouchable(plan: &Plan, faults: &mut Vec<String>) {
    let mut never: BTreeMap<(&Text, &str), &str> = BTreeMap::new();
    never.extend(
        plan.unknown.iter().map(|unknown| ((&unknown.cluster, unknown.workspace.as_str()), "unknown")),
    );
    never.extend(plan.unmanaged.iter().map(|other| ((&other.cluster, other.name.as_str()), "not ours")));
    let conflicts = plan.withheld.iter().filter(|held| held.guard == Guard::Conflict);
    never.extend(conflicts.map(|held| ((&held.cluster, held.workspace.as_str()), "in conflict")));
    let destroying: BTreeSet<_> =
        plan.withheld.iter().map(|held| (&held.cluster, held.workspace.as_str(), held.action)).collect();
    for step in &plan.steps {
        let names = [Some(&step.workspace), step.renamed_from.as_ref()];
        for name in names.into_iter().flatten() {
            if let Some(why) = never.get(&(&step.cluster, name.as_str())) {
                faults.push(format!("step `{}` touches `{name}`, which is {why}", step.id));
            }
        }
        if destroying.contains(&(&step.cluster, step.workspace.as_str(), step.action)) {
            faults.push(format!("step `{}` is withheld and a step", step.id));
        }
    }
    for refresh in &plan.marks {
        if let Some(why) = never.get(&(&refresh.cluster, refresh.workspace.as_str())) {
            faults.push(format!("the mark of `{}` would be set, which is {why}", refresh.workspace));
        }
    }
}

/// Stages in order, or all in reverse; deletes last in each.
fn promotion(plan: &Plan, desired: &Desired, faults: &mut Vec<String>) {
    let mut stages: BTreeMap<&Text, u32> = BTreeMap::new();
    for environment in desired.clusters.iter().flat_map(|cluster| &cluster.environments) {
        let stage = stages.entry(&environment.name).or_default();
        *stage = environment.stage.max(*stage);
    }
    let stage = |step: &Step| stages.get(&step.environment).copied().unwrap_or(u32::MAX);
    let only_deletes = plan.steps.iter().all(|step| step.action == Action::Delete);
    let rising = plan.steps.is_sorted_by_key(|step| (stage(step), step.action == Action::Delete));
    let falling = only_deletes && plan.steps.is_sorted_by(|a, b| stage(a) >= stage(b));
    if !rising && !falling {
        faults.push("the steps are not in the order of promotion".to_owned());
    }
}

fn summary(plan: &Plan, faults: &mut Vec<String>) {
    let workspaces = |action: Action| {
        let steps = plan.steps.iter().filter(|step| step.action == action);
        steps.map(|step| (&step.cluster, &step.workspace)).collect::<BTreeSet<_>>().len()
    };
    let withheld: BTreeSet<_> = plan.withheld.iter().map(|held| (&held.cluster, &held.workspace)).collect();
    let wanted = Summary {
        create: workspaces(Action::Create),
        update: workspaces(Action::Update),
        replace: workspaces(Action::Replace),
        delete: workspaces(Action::Delete),
        adopt: workspaces(Action::Adopt),
        unchanged: plan.summary.unchanged,
        withheld: withheld.len(),
        unknown: plan.unknown.len(),
        deploy: workspaces(Action::Deploy),
        start: workspaces(Action::Start),
        stop: workspaces(Action::Stop),
        restart: workspaces(Action::Restart),
        forget: workspaces(Action::Forget),
    };
    if plan.summary != wanted {
        faults.push(format!("the summary says {:?}, and there is {wanted:?}", plan.summary));
    }
}

/// Nothing is deleted or replaced in a protected environment without its flag and a reason.
fn protection(step: &Step, plan: &Plan, declared: &Declared<'_>, faults: &mut Vec<String>) {
    let allowed = match step.action {
        Action::Delete => &plan.overrides.allow_delete,
        Action::Replace => &plan.overrides.allow_replace,
        _ => return,
    };
    let is_gone = step.restores.iter().any(|part| part.kind == PartKind::StatefulSet);
    if step.action == Action::Replace && is_gone && !allowed.contains(&step.environment) {
        faults.push(format!("step `{}` creates a workspace again that nobody allowed to replace", step.id));
    }
    let protected = declared.protected.contains(&(&step.cluster, step.environment.as_str()));
    let has_reason = plan.overrides.reason.as_deref().is_some_and(|reason| !reason.trim().is_empty());
    if protected && !(allowed.contains(&step.environment) && has_reason) {
        faults
            .push(format!("step `{}` destroys in the protected environment `{}`", step.id, step.environment));
    }
}

/// Every step says something that it may say.
fn content(step: &Step, faults: &mut Vec<String>) {
    if !step.fields.is_sorted_by(|a, b| a.path < b.path) {
        faults.push(format!("the fields of step `{}` are not in order", step.id));
    }
    let bare = matches!(step.action, Action::Delete | Action::Adopt | Action::Deploy | Action::Forget);
    if bare && !step.fields.is_empty() {
        faults.push(format!("step `{}` sets fields", step.id));
    }
    if step.deploy.is_some() != (step.action == Action::Deploy) {
        faults.push(format!("step `{}` does not say which code it deploys, or should not", step.id));
    }
    let is_there = |deploy: &Deploy| {
        let follows = deploy.follows.as_ref().is_none_or(|branch| branch.from.as_ref() == Some(&deploy.to));
        deploy.from.as_ref() == Some(&deploy.to) && follows && deploy.source_before.is_none()
    };
    if step.deploy.as_ref().is_some_and(is_there) {
        faults.push(format!("step `{}` deploys what runs", step.id));
    }
    let restores = !step.restores.is_empty();
    if step.action == Action::Update && step.fields.is_empty() && step.renamed_from.is_none() && !restores {
        faults.push(format!("step `{}` changes nothing", step.id));
    }
    for field in &step.fields {
        let path = &field.path;
        let is_secret = |value: &Option<FieldValue>| value.as_ref().is_some_and(FieldValue::is_sensitive);
        if (is_secret(&field.before) || is_secret(&field.after)) && !field.sensitive {
            faults.push(format!("`{path}` of step `{}` is a secret and not marked so", step.id));
        }
        let hidden = match &field.before {
            Some(FieldValue::Plain(value)) => *value == Value::string(HIDDEN),
            _ => true,
        };
        if is_secret(&field.after) && !hidden {
            faults.push(format!("`{path}` of step `{}` shows what a secret replaces", step.id));
        }
        let kept = matches!(&field.after, Some(FieldValue::Secret(secret)) if secret.keep);
        if kept && step.action == Action::Update {
            faults.push(format!("`{path}` of step `{}` sends a secret that is to be kept", step.id));
        }
    }
}

/// The last step of a workspace leaves a mark with a digest of everything that is declared, and only what is
/// declared gets a mark. A plan that was read from a file has no marks.
fn marks(plan: &Plan, declared: &Declared<'_>, faults: &mut Vec<String>) {
    let name = |step: &'_ Step| (step.cluster.clone(), step.workspace.clone());
    let last: BTreeMap<_, _> = plan.steps.iter().map(|step| (name(step), &step.id)).collect();
    let held: BTreeSet<_> =
        plan.withheld.iter().map(|held| (&held.cluster, held.workspace.as_str())).collect();
    for step in &plan.steps {
        let id = &step.id;
        let Some(mark) = &step.mark else { continue };
        if step.action == Action::Delete {
            faults.push(format!("step `{id}` deletes and leaves a mark"));
            continue;
        }
        let place = (&step.cluster, step.workspace.as_str());
        if declared.goes_with_branch(step, mark) {
            continue;
        }
        let Some((cluster, environment, workspace)) = declared.workspaces.get(&place) else {
            faults.push(format!("step `{id}` is for a workspace that nobody declares"));
            continue;
        };
        if cluster.managed_by != mark.managed_by {
            faults.push(format!("step `{id}` marks with another owner"));
        }
        if environment.name != step.environment {
            faults.push(format!(
                "step `{id}` names another environment than the declared `{}`",
                environment.name
            ));
        }
        let is_last = last.get(&name(step)) == Some(&id);
        let changes_nothing = step.action == Action::Restart && step.fields.is_empty();
        let code = workspace.code.as_ref();
        if let (Some(deploy), Some(code)) = (&step.deploy, code)
            && code.commit.as_ref() != Ok(&deploy.to)
        {
            faults.push(format!("step `{id}` deploys another commit than the declared one"));
        }
        if step.deploy.is_some() && code.is_none() {
            faults.push(format!("step `{id}` deploys where nothing is to be deployed"));
        }
        if is_last && !held.contains(&place) && !changes_nothing {
            last_mark(id, mark, environment, workspace, faults);
        }
    }
}

fn last_mark(
    id: &str,
    mark: &Mark,
    environment: &Environment,
    workspace: &Workspace,
    faults: &mut Vec<String>,
) {
    let Mark {
        managed_by: _,
        environment: of_environment,
        workspace: of_workspace,
        protected,
        source,
        applied,
        resume: _,
        declarations: _,
    } = mark;
    if *of_environment != environment.name || *of_workspace != workspace.declared {
        faults.push(format!("step `{id}` leaves the mark of another workspace"));
    }
    if *protected != environment.protected {
        faults.push(format!("step `{id}` leaves a mark with another protection"));
    }
    let declared = workspace.code.as_ref().filter(|code| !code.once && code.commit.is_ok());
    if declared.is_some_and(|code| source.as_ref() != Some(&code.source)) {
        faults.push(format!("step `{id}` leaves a mark without the declared source of the code"));
    }
    let mut missing = workspace.fields.iter().filter(|field| {
        let is_empty = matches!(&field.value, FieldValue::Plain(value) if value.is_empty());
        !is_empty && applied.get(&field.path) != Some(&magus_diff::digest(&field.path, &field.value))
    });
    if let Some(field) = missing.next() {
        faults.push(format!("step `{id}` leaves a mark without the digest of `{}`", field.path));
    }
    if !applied.contains_key(&FieldPath::key("state")) {
        faults.push(format!("step `{id}` leaves a mark without the digest of `state`"));
    }
}
