//! The marks that steps leave. The last step of a workspace leaves one that remembers everything that is declared.

use std::collections::{BTreeMap, BTreeSet};

use magus_model::{
    Text,
    desired::{Environment, Workspace, branch_of},
    observed::Mark,
    path::FieldPath,
    plan::{Action, Plan, Step},
    value::FieldValue,
};

use crate::{Declared, Fault, Name};

/// The digest of the code in a mark.
const CODE: &str = "code";

/// The digest of the state in a mark.
const STATE: &str = "state";

/// Checks the steps of declared workspaces. A plan that was read from a file has no marks.
pub(crate) fn check(plan: &Plan, declared: &Declared<'_>, faults: &mut Vec<Fault>) {
    let last: BTreeMap<Name<'_>, &Text> = plan.steps.iter().map(|step| (name(step), &step.id)).collect();
    let held: BTreeSet<Name<'_>> =
        plan.withheld.iter().map(|held| (held.cluster.as_str(), held.workspace.as_str())).collect();
    for step in &plan.steps {
        let id = || step.id.clone();
        let Some(mark) = &step.mark else { continue };
        if step.action == Action::Delete {
            faults.push(Fault::MarkOnDelete(id()));
            continue;
        }
        let Some((cluster, environment, workspace)) = declared.workspaces.get(&name(step)) else {
            if !stops_for_branch(step, mark, declared) {
                faults.push(Fault::UndeclaredWorkspace(id()));
            }
            continue;
        };
        if cluster.managed_by != mark.managed_by {
            faults.push(Fault::ForeignMark(id()));
        }
        if environment.name != step.environment {
            faults.push(Fault::ForeignEnvironment { step: id(), declared: environment.name.clone() });
        }
        code(step, workspace, faults);
        let is_last = last.get(&name(step)) == Some(&&step.id);
        let sets_nothing = step.action == Action::Restart && step.fields.is_empty();
        if is_last && !held.contains(&name(step)) && !sets_nothing {
            last_mark(step, mark, (environment, workspace), faults);
        }
    }
}

fn name(step: &Step) -> Name<'_> {
    (step.cluster.as_str(), step.workspace.as_str())
}

/// Whether a step stops a workspace that is not declared any more because its branch was deleted.
fn stops_for_branch(step: &Step, mark: &Mark, declared: &Declared<'_>) -> bool {
    step.action == Action::Stop
        && branch_of(&mark.workspace).is_some()
        && declared.of_branches.contains(&(step.cluster.as_str(), step.environment.as_str()))
}

/// A step deploys what is declared: the commit, from the repository and the directory.
fn code(step: &Step, workspace: &Workspace, faults: &mut Vec<Fault>) {
    let Some(deploy) = &step.deploy else { return };
    let Some(declared) = &workspace.code else {
        return faults.push(Fault::UndeclaredCode(step.id.clone()));
    };
    if declared.commit.as_ref() != Ok(&deploy.to) {
        faults.push(Fault::UndeclaredCommit(step.id.clone()));
    }
    if declared.source != deploy.source {
        faults.push(Fault::UndeclaredSource(step.id.clone()));
    }
}

fn last_mark(
    step: &Step,
    mark: &Mark,
    (environment, declared): (&Environment, &Workspace),
    faults: &mut Vec<Fault>,
) {
    let Mark {
        managed_by: _,
        environment: of_environment,
        workspace,
        protected,
        source,
        applied,
        resume: _,
        declarations: _,
    } = mark;
    let id = || step.id.clone();
    if *of_environment != environment.name || *workspace != declared.declared {
        faults.push(Fault::MarkOfOther(id()));
    }
    if *protected != environment.protected {
        faults.push(Fault::MarkProtection(id()));
    }
    let code = declared.code.as_ref().filter(|_| step.deploy.is_some());
    if code.is_some_and(|code| source.as_ref() != Some(&code.source)) {
        faults.push(Fault::MarkWithoutSource(id()));
    }
    // What the digests are is not the planner's to decide, and is not computed a second time here.
    let is_empty = |value: &FieldValue| matches!(value, FieldValue::Plain(value) if value.is_empty());
    let fields = declared.fields.iter().filter(|field| !is_empty(&field.value));
    let paths = fields.map(|field| field.path.clone());
    let wanted = paths.chain([FieldPath::key(STATE)]).chain(code.map(|_| FieldPath::key(CODE)));
    for path in wanted.filter(|path| applied.get(path).is_none_or(|digest| digest.is_empty())) {
        faults.push(Fault::MarkWithoutDigest { step: id(), path });
    }
}
