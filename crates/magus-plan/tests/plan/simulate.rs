//! An engine in memory: what applying a step does to a cluster.

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
};

use magus_model::{
    Text,
    name::WorkspaceName,
    observed::{Capabilities, Observation, ObservedCode, ObservedField, ObservedWorkspace, RunState, Work},
    path::FieldPath,
    plan::{Action, MarkRefresh, Precondition, Step},
    value::{FieldValue, Value},
};

/// Applies steps in their order. Each step's precondition is looked at first.
pub fn apply(observations: &mut [Observation], steps: &[Step]) -> Result<(), String> {
    let mut done = BTreeSet::new();
    for step in steps {
        let observation = observations
            .iter_mut()
            .find(|observation| observation.cluster == step.cluster)
            .ok_or_else(|| format!("{}: no such cluster", step.id))?;
        if let Some(need) = step.needs.iter().find(|need| !done.contains(*need)) {
            return Err(format!("{} needs {need}", step.id));
        }
        perform(observation, step, &done).map_err(|why| format!("{}: {why}", step.id))?;
        done.insert(step.id.clone());
    }
    Ok(())
}

/// Refreshes marks.
pub fn refresh(observations: &mut [Observation], marks: &[MarkRefresh]) {
    for refresh in marks {
        for observation in
            observations.iter_mut().filter(|observation| observation.cluster == refresh.cluster)
        {
            if let Some(observed) = observation.present.get_mut(&refresh.workspace) {
                assert_eq!(observed.revision, refresh.revision, "a mark for another revision");
                observed.mark = Some(refresh.mark.clone());
                observed.revision = revision(observed);
            }
        }
    }
}

fn perform(observation: &mut Observation, step: &Step, done: &BTreeSet<Text>) -> Result<(), String> {
    let capabilities = observation.capabilities.clone();
    let present = &mut observation.present;
    let name = step.renamed_from.as_ref().unwrap_or(&step.workspace);
    match &step.precondition {
        Precondition::Absent if present.contains_key(name) => return Err("it exists".to_owned()),
        Precondition::Revision(wanted)
            if present.get(name).map(|observed| &observed.revision) != Some(wanted) =>
        {
            return Err("it is another revision".to_owned());
        }
        Precondition::Follows(id) if !done.contains(id) => return Err(format!("{id} was not done")),
        _ => {}
    }
    if step.renamed_from.is_some() && present.contains_key(&step.workspace) {
        return Err("the new name is taken".to_owned());
    }
    let mut observed = match step.action {
        Action::Delete => {
            return present.remove(name).map(drop).ok_or_else(|| "nothing to delete".to_owned());
        }
        Action::Create => blank(&step.workspace, &capabilities),
        Action::Replace => {
            let old = present.remove(name).ok_or("nothing to replace")?;
            ObservedWorkspace { code: old.code, ..blank(&step.workspace, &capabilities) }
        }
        _ => present.remove(name).ok_or("it does not exist")?,
    };
    observed.name = step.workspace.clone();
    for field in step.fields.iter().filter(|field| !field.is_of_mark()) {
        if field.path.as_str() == "state" {
            observed.state = match field.after.as_ref().map(ToString::to_string).as_deref() {
                Some("stopped") => RunState::Stopped,
                Some("running") => RunState::Running,
                other => return Err(format!("state {other:?}")),
            };
        } else {
            let changes =
                matches!(step.action, Action::Update | Action::Start | Action::Stop | Action::Restart);
            if changes && capabilities.of(&field.path).create_only {
                return Err(format!("{} cannot be changed", field.path));
            }
            set(&mut observed, &field.path, field.after.clone());
        }
    }
    if let Some(deploy) = &step.deploy {
        if observed.code.commit != deploy.from || observed.code.work.may_exist() {
            return Err(format!("{} has other code: {:?}", step.workspace, observed.code));
        }
        observed.code.commit = Some(deploy.to.clone());
    }
    observed.missing.retain(|part| !step.restores.contains(part));
    fill_in(&mut observed, &capabilities);
    observed.mark = step.mark.clone();
    observed.revision = revision(&observed);
    present.insert(step.workspace.clone(), observed);
    Ok(())
}

fn blank(name: &WorkspaceName, capabilities: &Capabilities) -> ObservedWorkspace {
    let mut observed = ObservedWorkspace {
        name: name.clone(),
        state: RunState::Running,
        fields: Vec::new(),
        lost: Vec::new(),
        sensitive: Default::default(),
        missing: Vec::new(),
        code: ObservedCode { commit: None, work: Work::None },
        identity: None,
        copy: None,
        mark: None,
        revision: Text::default(),
    };
    fill_in(&mut observed, capabilities);
    observed
}

/// The server fills in its defaults, and does not tell what it cannot.
fn fill_in(observed: &mut ObservedWorkspace, capabilities: &Capabilities) {
    for (path, value) in &capabilities.defaults {
        if observed.fields.iter().all(|field| field.path != *path) {
            set(observed, path, Some(FieldValue::Plain(value.clone())));
        }
    }
    observed.fields.retain(|field| capabilities.of(&field.path).readable);
}

/// Sets or removes a field.
pub fn set(observed: &mut ObservedWorkspace, path: &FieldPath, value: Option<FieldValue>) {
    observed.fields.retain(|field| field.path != *path);
    if let Some(value) = value.filter(|value| !matches!(value, FieldValue::Plain(Value::Null))) {
        let at = observed.fields.partition_point(|field| field.path < *path);
        observed.fields.insert(at, ObservedField { path: path.clone(), value });
    }
}

/// Changes whenever anything of a workspace changes.
pub fn revision(observed: &ObservedWorkspace) -> Text {
    let ObservedWorkspace {
        name,
        state,
        fields,
        lost,
        missing,
        code,
        mark,
        sensitive: _,
        revision: _,
        identity: _,
        copy: _,
    } = observed;
    let mut hasher = std::hash::DefaultHasher::new();
    format!("{name} {state:?} {fields:?} {lost:?} {missing:?} {code:?} {mark:?}").hash(&mut hasher);
    format!("{:x}", hasher.finish()).into()
}
