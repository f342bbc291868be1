//! The steps of one workspace: what each sets, whether it restarts, what it waits for, and the mark it leaves.

use std::{cmp::Ordering, collections::BTreeMap};

use magus_diff::{
    Change, ClusterChanges, CodeChange, Update, WorkspaceChange, code_digest, code_path, expected_mark,
    is_more, meaning::is_absent, same,
};
use magus_model::{
    Text,
    desired::{Code, CommitChoice, DesiredState, Environment, Workspace},
    image,
    name::WorkspaceName,
    observed::{
        Capabilities, FieldCapability, Mark, MissingPart, ObservedCode, ObservedWorkspace, PartKind, Refusal,
        RunState, Work,
    },
    path::FieldPath,
    plan::{Action, Deploy, FieldChange, FieldStatus, Movement, Precondition, Reason, Restarts, Step},
    secrecy,
    value::{FieldValue, Value},
};

use crate::{
    ownership,
    planner::step_id,
    request::{Move, Movements, Readers},
    shared_branch::Branch,
    unblock, words,
};

/// A declared workspace and where it belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub changes: &'a ClusterChanges<'a>,
    pub movements: &'a Movements,
    /// Which pipelines read what.
    pub readers: &'a Readers,
    pub environment: &'a Environment,
    pub workspace: &'a Workspace,
    /// The commit of the declarations, which goes into its mark.
    pub declarations: Option<&'a Text>,
}

/// What a step does, before it is known what it waits for.
#[derive(Debug)]
pub(crate) struct Part {
    pub action: Action,
    pub reason: String,
    pub restarts: Restarts,
    pub fields: Vec<FieldChange>,
    pub restores: Vec<MissingPart>,
    pub deploy: Option<Deploy>,
}

impl Part {
    /// A part that sets fields, or none.
    pub(crate) fn new(action: Action, reason: String, restarts: Restarts, fields: Vec<FieldChange>) -> Self {
        Self { action, reason, restarts, fields, restores: Vec::new(), deploy: None }
    }
}

/// The mark of a workspace that can only become as declared by being deleted and created.
pub(crate) fn is_replaced<'a>(
    changes: &'a ClusterChanges<'a>,
    change: &WorkspaceChange<'a>,
) -> Option<&'a Mark> {
    let Change::Update(update) = &change.change else { return None };
    let capabilities = &changes.observation?.capabilities;
    let create_only = update.fields.iter().any(|field| takes_creation(capabilities, update.observed, field));
    let renamed = update.renamed_from.is_some() && !capabilities.rename;
    if create_only || renamed || is_gone(update.missing) { update.observed.mark.as_ref() } else { None }
}

/// Whether a workspace without a mark can only become as declared by a replace, which needs the mark.
pub(crate) fn lacks_mark_to_replace(capabilities: &Capabilities, update: &Update<'_>) -> bool {
    let takes_creation = |field| takes_creation(capabilities, update.observed, field);
    update.observed.mark.is_none() && (is_gone(update.missing) || update.fields.iter().any(takes_creation))
}

/// Whether nothing of a workspace runs any more: it can only be created again.
pub(crate) fn is_gone(missing: &[MissingPart]) -> bool {
    missing.iter().any(|part| part.kind == PartKind::StatefulSet)
}

impl<'a> Place<'a> {
    /// A step that leaves this mark.
    pub(crate) fn step(&self, part: Part, precondition: Precondition, mark: Mark) -> Step {
        let Part { action, reason, restarts, mut fields, restores, deploy } = part;
        if matches!(action, Action::Update | Action::Replace) {
            for field in &mut fields {
                field.read_by = self.readers.of(self.workspace, &field.path);
            }
        }
        let cluster = &self.changes.cluster.name;
        Step {
            id: step_id(cluster, &self.workspace.name, action),
            cluster: cluster.clone(),
            environment: self.environment.name.clone(),
            workspace: self.workspace.name.clone(),
            action,
            reason,
            restarts,
            needs: Vec::new(),
            precondition,
            fields,
            restores,
            deploy,
            renamed_from: None,
            mark: Some(mark),
        }
    }

    /// The mark of a workspace that is as declared. If no code is declared, or if it is deployed only once, the mark still
    /// knows the code that was deployed last: a later declaration is compared with it.
    pub(crate) fn expected_mark(&self, last: Option<&Mark>) -> Mark {
        let expected = expected_mark(self.changes.cluster, self.environment, self.workspace);
        let mut mark = Mark { declarations: self.declarations.cloned(), ..expected };
        if !mark.applied.contains_key(&code_path()) {
            remember_code(&mut mark, last);
        }
        mark
    }

    /// The mark of a workspace that is as declared but for its code, of which it remembers as much as before.
    fn mark_before_code(&self, last: Option<&Mark>) -> Mark {
        let mut mark = self.expected_mark(last);
        remember_code(&mut mark, last);
        mark
    }

    /// The mark of a workspace that is as declared, with the declared code in use.
    fn mark_with_code(&self, change: CodeChange<'_>) -> Mark {
        let mut mark = self.expected_mark(None);
        mark.applied.insert(code_path(), code_digest(change.to));
        mark.source = Some(change.declared.source.clone());
        mark
    }

    /// A create, and the code of the new workspace.
    pub(crate) fn create(&self, fields: &[FieldChange], hint: Option<&WorkspaceName>) -> Vec<Step> {
        const NOTHING: &ObservedCode = &ObservedCode { commit: None, work: Work::None };
        let part = Part::new(Action::Create, words::create(hint), Restarts::No, fields.to_vec());
        let create = self.step(part, Precondition::Absent, self.mark_before_code(None));
        let code = self.workspace.code.as_ref().filter(|_| self.capabilities().deploys);
        let change = code.and_then(|declared| {
            let to = declared.commit.as_ref().ok()?;
            let reason = Reason::Declared;
            Some(CodeChange { declared, to, observed: NOTHING, source_before: None, reason })
        });
        self.with_code(create, change, RunState::Stopped)
    }

    /// Why other code is put in use.
    pub(crate) fn deploy_reason(&self, change: CodeChange<'_>) -> String {
        self.deploy(change, RunState::Stopped).reason
    }

    /// What lies between two commits; nothing where the repository does not have the first.
    pub(crate) fn movement(&self, code: &Code, from: Option<&Text>, to: &Text) -> Option<&'a Movement> {
        self.movements.of(&Move {
            repository: code.repository.clone(),
            directory: code.source.directory.clone(),
            from: from.cloned(),
            to: to.clone(),
        })
    }

    /// The part that puts other code in use.
    fn deploy(&self, change: CodeChange<'_>, state: RunState) -> Part {
        let CodeChange { declared, to, observed, source_before, reason } = change;
        let from = observed.commit.clone();
        // The commits between two heads do not tell how two folders differ.
        let is_same_folder = source_before.is_none_or(|before| before.directory == declared.source.directory);
        let commits = self.movement(declared, from.as_ref(), to);
        let movement = commits.filter(|_| is_same_folder).cloned();
        let restarts = match &movement {
            _ if state == RunState::Stopped || from.is_none() => Restarts::No,
            Some(movement) if movement.requirements.is_empty() => Restarts::No,
            // Nobody knows which packages it has.
            Some(_) | None => Restarts::Yes,
        };
        let mut words = match &declared.follows {
            _ if source_before.is_some() && from.as_ref() == Some(to) => words::same_commit(declared),
            Some(follows) if from.as_ref() == Some(to) && reason == Reason::Declared => {
                words::own_branch(follows)
            }
            Some(follows) if from.as_ref() == Some(to) => words::followed_elsewhere(follows),
            _ => words::deploy(declared, reason, from.is_some(), commits),
        };
        if let Some(before) = source_before {
            words.push_str(&words::other_source(before, &declared.source));
        }
        if state == RunState::Stopped && declared.follows.is_some() && from.is_some() {
            words.push_str(words::AT_NEXT_START);
        }
        if let Some(deployment) = &declared.source.deployment {
            words.push_str(&words::by_deployment(&deployment.setting));
        }
        let (branch, follows) = (declared.branch.clone(), declared.follows.clone());
        let (source, source_before) = (declared.source.clone(), source_before.cloned());
        let deploy =
            Deploy { branch, from, to: to.clone(), source, source_before, reason, follows, movement };
        Part { deploy: Some(deploy), ..Part::new(Action::Deploy, words, restarts, Vec::new()) }
    }

    /// Adopts a workspace that is as declared.
    pub(crate) fn adopt(&self, observed: &ObservedWorkspace) -> Step {
        let part = Part::new(
            Action::Adopt,
            "as declared, and unmanaged until now".to_owned(),
            Restarts::No,
            Vec::new(),
        );
        self.step(part, revision(observed), self.expected_mark(None))
    }

    /// A step, and after it the one that puts other code in use, if there is any.
    fn with_code(&self, first: Step, code: Option<CodeChange<'_>>, state: RunState) -> Vec<Step> {
        let Some(change) = code else { return vec![first] };
        let follows = Precondition::Follows(first.id.clone());
        let needs = vec![first.id.clone()];
        let deploy = self.step(self.deploy(change, state), follows, self.mark_with_code(change));
        vec![first, Step { needs, ..deploy }]
    }

    /// A replace carries everything: also what is as declared is lost with the old workspace, and sent again. The volume with
    /// its code stays.
    pub(crate) fn replace(&self, update: &Update<'_>) -> Vec<Step> {
        let Update {
            observed,
            claim: _,
            renamed_from,
            fields: changed,
            state,
            restart,
            code,
            missing,
            ownership,
        } = update;
        let capabilities = self.capabilities();
        let create_only: Vec<_> =
            changed.iter().filter(|field| takes_creation(capabilities, observed, field)).cloned().collect();
        let reason =
            if is_gone(missing) { words::recreate(missing) } else { words::replace(&create_only, update) };

        let mut fields: Vec<_> =
            changed.iter().chain(restart).chain(state).chain(ownership).cloned().collect();
        if state.is_none() {
            let kept = match (self.workspace.state, observed.state) {
                (DesiredState::Stopped, _) | (DesiredState::Auto, RunState::Stopped) => "stopped",
                (DesiredState::Running | DesiredState::Auto, _) => "running",
            };
            fields.push(sent_again(&FieldPath::key("state"), FieldValue::Plain(Value::string(kept))));
        }
        fields.sort_by(|a, b| a.path.cmp(&b.path));
        let mut unchanged = Vec::new();
        for field in &self.workspace.fields {
            let is_there = fields.binary_search_by(|changed| changed.path.cmp(&field.path)).is_ok();
            if !is_there && !is_absent(&field.path, &field.value) {
                unchanged.push(sent_again(&field.path, field.value.clone()));
            }
        }
        fields.extend(unchanged);
        fields.sort_by(|a, b| a.path.cmp(&b.path));
        let restarts = if observed.state == RunState::Stopped { Restarts::No } else { Restarts::Yes };
        let part =
            Part { restores: missing.to_vec(), ..Part::new(Action::Replace, reason, restarts, fields) };
        let mark = match code {
            None => self.expected_mark(observed.mark.as_ref()),
            Some(_) => self.mark_before_code(observed.mark.as_ref()),
        };
        let replace =
            Step { renamed_from: renamed_from.cloned(), ..self.step(part, revision(observed), mark) };
        self.with_code(replace, *code, RunState::Stopped)
    }

    /// Stop, update, start and restart, as far as they are needed. A change that only a creation can make is left
    /// out: it is here only where the replace is held back.
    pub(crate) fn update(&self, update: &Update<'_>, branch: Branch, refresh_secrets: bool) -> Vec<Step> {
        let Update {
            observed,
            claim,
            renamed_from,
            fields: changed,
            state,
            restart,
            code,
            missing,
            ownership,
        } = update;
        let capabilities = self.capabilities();
        let renamed_from = renamed_from.cloned();
        if renamed_from.is_some() && !capabilities.rename || is_gone(missing) {
            return Vec::new();
        }
        let restores: Vec<_> = missing.iter().filter(|part| part.by_hand.is_none()).cloned().collect();
        let changed = self.without_switch(changed, branch);
        let mut fields: Vec<_> =
            changed.filter(|field| !takes_creation(capabilities, observed, field)).cloned().collect();
        if refresh_secrets {
            fields.extend(self.secrets(&fields));
            fields.sort_by(|a, b| a.path.cmp(&b.path));
        }
        let stops = state.as_ref().filter(|_| self.workspace.state == DesiredState::Stopped);
        let starts = state.as_ref().filter(|_| self.workspace.state != DesiredState::Stopped);
        let runs = observed.state != RunState::Stopped;
        // A stop spares the workspace the restart, unless it has to be renamed before it can be stopped by its name.
        let stops_first = stops.is_some() && renamed_from.is_none();
        let mut restarts = if runs && !stops_first { restarts(capabilities, &fields) } else { Restarts::No };
        if renamed_from.is_some() && runs && capabilities.of(&FieldPath::key("name")).restarts {
            restarts = Restarts::Yes;
        }
        // What restarts anyway, starts, or ends up stopped, takes the time of the restart along.
        let is_absorbed = !runs || stops.is_some() || restarts == Restarts::Yes;
        if let Some(absorbed) = restart.as_ref().filter(|_| is_absorbed) {
            let at = fields.partition_point(|field| field.path < absorbed.path);
            fields.insert(at, absorbed.clone());
        }

        fields.extend(ownership.iter().cloned());
        fields.sort_by(|a, b| a.path.cmp(&b.path));

        let is_to_resume = observed.mark.as_ref().is_some_and(|mark| mark.resume);
        let of_state = |action, change: &FieldChange| {
            let reason = match action {
                Action::Start if is_to_resume => words::NOT_RESUMED.to_owned(),
                _ => words::state(change),
            };
            Part::new(action, reason, Restarts::No, vec![change.clone()])
        };
        let mut parts: Vec<_> = stops.map(|change| of_state(Action::Stop, change)).into_iter().collect();
        if !fields.is_empty() || renamed_from.is_some() || !restores.is_empty() {
            let mut reason = words::update(&fields, renamed_from.as_ref(), &restores);
            let is_of_mark = !fields.is_empty() && fields.iter().all(FieldChange::is_of_mark);
            if is_of_mark && renamed_from.is_none() && restores.is_empty() {
                reason.push_str("; nothing restarts");
            }
            if restarts == Restarts::Yes && observed.state == RunState::Failed {
                reason.push_str(words::IS_DOWN);
            }
            if fields.iter().any(is_older_image) {
                reason.push_str(words::OLDER_IMAGE);
            }
            let at = if stops_first { parts.len() } else { 0 };
            parts.insert(at, Part { restores, ..Part::new(Action::Update, reason, restarts, fields) });
        }
        if let Some(change) = code.filter(|_| branch == Branch::Declared) {
            let state = if stops.is_some() { RunState::Stopped } else { observed.state };
            parts.push(self.deploy(change, state));
        }
        parts.extend(starts.map(|change| of_state(Action::Start, change)));
        if let Some(change) = restart.as_ref().filter(|_| !is_absorbed) {
            let reason = "`restarted_at` is later than the last restart".to_owned();
            let fields = vec![change.clone()];
            parts.push(Part::new(Action::Restart, reason, Restarts::Yes, fields));
        }
        if let Some(reason) = ownership::reason(*claim) {
            self.take(update, reason, &mut parts);
        }
        self.chain(update, parts, renamed_from)
    }

    /// Lets the mark of a workspace that has none be the first thing that is written.
    fn take(&self, update: &Update<'_>, mut reason: String, parts: &mut Vec<Part>) {
        let capabilities = self.capabilities();
        let later = update.fields.iter().filter(|field| takes_creation(capabilities, update.observed, field));
        let later: Vec<_> = later.map(|field| field.path.clone()).collect();
        if !later.is_empty() {
            let paths = words::paths(&later);
            reason.push_str(&format!(
                "; {paths} can only be set by a replace, which needs the mark: plan again"
            ));
        }
        match parts.first_mut().filter(|_| capabilities.refused.contains_key(&Action::Adopt)) {
            // The mark goes along with what is changed anyway.
            Some(first) => first.reason = format!("{reason}; {}", first.reason),
            None => parts.insert(0, Part::new(Action::Adopt, reason, Restarts::No, Vec::new())),
        }
    }

    /// An update that sends the secrets of a workspace again, though nothing says that they changed.
    pub(crate) fn refresh_secrets(&self, observed: &ObservedWorkspace) -> Option<Step> {
        let fields = self.secrets(&[]);
        if fields.is_empty() {
            return None;
        }
        let capabilities = self.capabilities();
        let restarts =
            if observed.state == RunState::Stopped { Restarts::No } else { restarts(capabilities, &fields) };
        let reason = "its secrets are sent again where their values changed".to_owned();
        let part = Part::new(Action::Update, reason, restarts, fields);
        Some(self.step(part, revision(observed), self.expected_mark(observed.mark.as_ref())))
    }

    /// The secrets that are sent and not among these changes.
    fn secrets(&self, changed: &[FieldChange]) -> Vec<FieldChange> {
        let is_sent = |value: &FieldValue| matches!(value, FieldValue::Secret(secret) if !secret.keep);
        let secrets = self.workspace.fields.iter().filter(|field| is_sent(&field.value));
        secrets
            .filter(|field| changed.iter().all(|changed| changed.path != field.path))
            .map(|field| FieldChange {
                status: FieldStatus::Unverifiable,
                ..sent_again(&field.path, field.value.clone())
            })
            .collect()
    }

    /// Strings the parts of a workspace's change together. Each leaves a mark that remembers only what is done by
    /// then, so that whoever looks after a step that failed still sees what was declared and what drifted.
    fn chain(&self, update: &Update<'_>, parts: Vec<Part>, renamed_from: Option<WorkspaceName>) -> Vec<Step> {
        let expected = match update.code {
            Some(change) => self.mark_with_code(change),
            None => self.expected_mark(update.claim.mark()),
        };
        let mut mark = expected.clone();
        if !update.ownership.is_empty() {
            ownership::keep(&mut mark, update.claim.ownership());
        }
        let last = update.claim.applied();
        let pending = update.fields.iter().chain(&update.state).chain(&update.restart);
        for path in pending.map(|change| &change.path) {
            match last.and_then(|last| last.get(path)) {
                Some(digest) => mark.applied.insert(path.clone(), digest.clone()),
                None => mark.applied.remove(path),
            };
        }
        if update.code.is_some() {
            remember_code(&mut mark, update.claim.mark());
        }
        let mut steps: Vec<Step> = Vec::new();
        for part in parts {
            if part.deploy.is_some() {
                remember_code(&mut mark, Some(&expected));
            }
            if part.fields.iter().any(FieldChange::is_of_mark) {
                ownership::keep(&mut mark, Some(ownership::of(&expected)));
            }
            for done in part.fields.iter().map(|change| &change.path) {
                match expected.applied.get(done) {
                    Some(digest) => mark.applied.insert(done.clone(), digest.clone()),
                    None => mark.applied.remove(done),
                };
            }
            let previous = steps.last().map(|step| step.id.clone());
            let precondition =
                previous.clone().map_or_else(|| revision(update.observed), Precondition::Follows);
            let renamed_from = renamed_from.clone().filter(|_| part.action == Action::Update);
            let needs = previous.into_iter().collect();
            steps.push(Step { needs, renamed_from, ..self.step(part, precondition, mark.clone()) });
        }
        steps
    }

    /// Why a step may not deploy the reviewed commit: the branch moved since the review, and the commit is not newer than
    /// what runs.
    pub(crate) fn outdated(&self, step: &Step) -> Option<String> {
        let deploy = step.deploy.as_ref()?;
        let CommitChoice::Reviewed { head } = &self.workspace.code.as_ref()?.choice else { return None };
        let from = deploy.from.as_ref().filter(|from| **from != deploy.to)?;
        let movement = self.movement(self.workspace.code.as_ref()?, Some(from), &deploy.to);
        let is_newer = movement.is_some_and(|movement| movement.ahead > 0 && movement.behind == 0);
        let movement = movement.cloned();
        (!is_newer).then(|| words::older_than_reviewed(&Deploy { movement, ..deploy.clone() }, head.as_ref()))
    }

    /// Why the engine does not do this, where it does not.
    pub(crate) fn refusal(&self, action: Action) -> Option<Refusal> {
        self.capabilities().refused.get(&action).copied()
    }

    pub(crate) fn capabilities(&self) -> &'a Capabilities {
        const NONE: &Capabilities = &Capabilities {
            rename: false,
            deploys: false,
            starts_from_branch: false,
            fields: Vec::new(),
            defaults: BTreeMap::new(),
            refused: BTreeMap::new(),
        };
        self.changes.observation.map_or(NONE, |observation| &observation.capabilities)
    }
}

/// Makes a mark remember the same code as another one: its commit and its source.
fn remember_code(mark: &mut Mark, other: Option<&Mark>) {
    let path = code_path();
    match other.and_then(|other| other.applied.get(&path)) {
        Some(digest) => mark.applied.insert(path, digest.clone()),
        None => mark.applied.remove(&path),
    };
    mark.source = other.and_then(|other| other.source.clone());
}

/// What becomes of a step where the one before it is not done.
pub(crate) fn rest_on(step: &mut Step, held: &Step, last: Option<&Mark>) {
    if step.precondition == Precondition::Follows(held.id.clone()) {
        step.precondition = held.precondition.clone();
    }
    if let Some(at) = step.needs.iter().position(|needed| *needed == held.id) {
        step.needs.splice(at..=at, held.needs.iter().cloned());
    }
    // The mark remembers of what was not done as much as before.
    let Some(mark) = &mut step.mark else { return };
    if held.deploy.is_some() {
        remember_code(mark, last);
    }
    if held.fields.iter().any(FieldChange::is_of_mark) {
        ownership::keep(mark, last.map(ownership::of));
    }
    for path in held.fields.iter().map(|change| &change.path) {
        match last.and_then(|last| last.applied.get(path)) {
            Some(digest) => mark.applied.insert(path.clone(), digest.clone()),
            None => mark.applied.remove(path),
        };
    }
}

/// Why a workspace cannot be made as it is declared, and what to do instead: the cluster has no way to give it a field.
pub(crate) fn unsettable(
    step: &Step,
    capabilities: &Capabilities,
    command: &[String],
) -> Option<(String, String)> {
    let fields = if step.action == Action::Create { &step.fields[..] } else { &[] };
    let path = &fields.iter().find(|field| !capabilities.of(&field.path).settable)?.path;
    let declared = step.mark.as_ref().map_or(step.workspace.as_str(), |mark| &mark.workspace);
    let show = unblock::same_place(
        command,
        &["explain", &format!("{}/{declared}", step.environment), path.as_str()],
    );
    Some((
        format!("no workspace of this cluster can be given `{path}`"),
        format!("take it out where it is declared: `{show}` says where"),
    ))
}

/// Whether a change goes back to an earlier version of an image.
fn is_older_image(change: &FieldChange) -> bool {
    let text = |value: &Option<FieldValue>| match value {
        Some(FieldValue::Plain(Value::String(text))) => Some(text.clone()),
        _ => None,
    };
    change.path.as_str() == "container_config.image"
        && text(&change.after)
            .zip(text(&change.before))
            .is_some_and(|(after, before)| image::compare(&after, &before) == Some(Ordering::Less))
}

/// Whether only a creation can make this change.
pub(crate) fn takes_creation(
    capabilities: &Capabilities,
    observed: &ObservedWorkspace,
    change: &FieldChange,
) -> bool {
    let FieldCapability { create_only, grows, .. } = capabilities.of(&change.path);
    let grown = |before, after| grows && is_more(&change.path, after, before);
    let lost = observed.lost.iter().find(|lost| lost.path == change.path);
    let comes_back = lost.is_some_and(|lost| {
        change.after.as_ref().is_some_and(|after| same(&change.path, after, &lost.value))
    });
    create_only
        && !comes_back
        && !matches!((&change.before, &change.after), (Some(before), Some(after)) if grown(before, after))
}

fn revision(observed: &ObservedWorkspace) -> Precondition {
    Precondition::Revision(observed.revision.clone())
}

/// Whether a running workspace restarts when these fields are set. Where only fields change that cannot be read
/// back, they may be what they are to be, and then nothing restarts.
pub(crate) fn restarts(capabilities: &Capabilities, fields: &[FieldChange]) -> Restarts {
    let mut answer = Restarts::No;
    for field in fields.iter().filter(|field| capabilities.of(&field.path).restarts) {
        match field.status {
            FieldStatus::Change => return Restarts::Yes,
            FieldStatus::Unverifiable => answer = Restarts::Unknown,
        }
    }
    answer
}

/// A field that is as declared and sent nevertheless.
fn sent_again(path: &FieldPath, value: FieldValue) -> FieldChange {
    FieldChange {
        path: path.clone(),
        sensitive: match &value {
            FieldValue::Plain(value) => secrecy::may_be_secret(path, value),
            FieldValue::Secret(_) => true,
        },
        before: Some(value.clone()),
        after: Some(value),
        status: FieldStatus::Change,
        reason: Reason::Declared,
        origin: None,
        sealed: None,
        read_by: Vec::new(),
    }
}
