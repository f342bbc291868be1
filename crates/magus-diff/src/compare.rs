//! Compares one declared workspace with what it is.
//!
//! A field that differs gets its reason by three-way comparison with the digest of what was last applied (L), the
//! desired (D) and the observed value (O): D = O nothing; no L `differs`; D ≠ L, O = L `declared`; D = L, O ≠ L
//! `drift`; all different `both`. A path that L does not have, while it has others, was last applied as absent.
//! Where nothing is said, the server's default holds on all three sides.

use std::{borrow::Cow, collections::BTreeMap};

use magus_model::{
    Text,
    desired::{Cluster, Code, DesiredState, Environment, Field, GIT_BRANCH, Workspace, branch_of},
    observed::{Capabilities, FieldCapability, Mark, ObservedCode, ObservedWorkspace, Recalled, RunState},
    path::FieldPath,
    plan::{DeployBranch, ENVIRONMENT, FieldChange, FieldStatus, PROTECTED, Reason},
    secrecy,
    source::ProjectSource,
    span::Sources,
    value::{FieldValue, Value},
};

use crate::{
    change::{Change, Claim, CodeChange, Conflict, HIDDEN, Update},
    join::{Join, Triple},
    meaning::{digest, instant, is_absent, kept, same},
};

const STATE: &str = "state";
const RESTARTED_AT: &str = "restarted_at";

/// The path of a digest in a mark that is of no field: the commit that was last deployed.
const CODE: &str = "code";

/// The mark that a workspace carries once everything that is declared was applied.
pub fn expected_mark(cluster: &Cluster, environment: &Environment, workspace: &Workspace) -> Mark {
    let mut applied: BTreeMap<_, _> =
        present(workspace).map(|field| (field.path.clone(), digest(&field.path, &field.value))).collect();
    applied.insert(FieldPath::key(STATE), state_digest(workspace.state));
    let mut applied_source = None;
    if let Some(Code { once: false, commit: Ok(commit), source, .. }) = &workspace.code {
        applied.insert(code_path(), code_digest(commit));
        applied_source = Some(source.clone());
    }
    Mark {
        managed_by: cluster.managed_by.clone(),
        environment: environment.name.clone(),
        workspace: workspace.declared.clone(),
        protected: environment.protected,
        source: applied_source,
        applied,
        resume: false,
        declarations: None,
    }
}

/// The path under which a mark remembers the commit that was last deployed.
pub fn code_path() -> FieldPath {
    FieldPath::key(CODE)
}

/// The digest of a commit in a mark.
pub fn code_digest(commit: &str) -> Text {
    digest(&code_path(), &text(commit))
}

/// A declared workspace and all that its comparison needs.
pub(crate) struct Place<'a, 's> {
    pub cluster: &'a Cluster,
    pub environment: &'a Environment,
    pub workspace: &'a Workspace,
    pub capabilities: &'a Capabilities,
    /// Whether the engine can read every field back.
    pub all_readable: bool,
    pub sources: &'s Sources,
}

/// What comparing the fields gave.
struct Compared {
    fields: Vec<FieldChange>,
    state: Option<FieldChange>,
    restart: Option<FieldChange>,
    /// Whether the mark remembers other digests than those of what is declared.
    stale: bool,
}

impl<'a> Place<'a, '_> {
    /// Everything that a new workspace is given.
    pub(crate) fn create(&self) -> Change<'a> {
        if let Some(Code { commit: Err(reason), .. }) = &self.workspace.code
            && self.capabilities.deploys
        {
            return Change::Unknown(Cow::Borrowed(reason));
        }
        let mut fields: Vec<_> = present(self.workspace)
            .map(|field| self.change(&field.path, Some(field), None, Reason::Declared))
            .collect();
        if self.workspace.state != DesiredState::Auto {
            let state = self.state_change(None, self.workspace.state, Reason::Declared);
            let at = fields.partition_point(|field| field.path < state.path);
            fields.insert(at, state);
        }
        Change::Create(fields)
    }

    /// What became of a workspace that exists under its own or its old name.
    pub(crate) fn compare(
        &self,
        observed: &'a ObservedWorkspace,
        recalled: Option<&'a Recalled>,
    ) -> Change<'a> {
        let claim = match (&observed.mark, recalled) {
            (Some(mark), _) if mark.managed_by != self.cluster.managed_by => {
                let conflict = Conflict::ManagedBy(&mark.managed_by);
                return Change::Conflict { observed, conflict, adoption: None };
            }
            (Some(mark), _) => Claim::Mark(mark),
            (None, Some(recalled)) => Claim::Recalled(recalled),
            (None, None) => Claim::Unmanaged,
        };
        if let Claim::Mark(mark) = claim
            && let (Some(own), Some(other)) =
                (branch_of(&self.workspace.declared), branch_of(&mark.workspace))
            && own != other
        {
            let conflict = Conflict::OfBranch(other);
            return Change::Conflict { observed, conflict, adoption: None };
        }
        let (update, stale) = match self.update(observed, claim) {
            Ok(compared) => compared,
            Err(reason) => return Change::Unknown(Cow::Borrowed(reason)),
        };
        match claim {
            Claim::Unmanaged => unmanaged(update),
            Claim::Mark(mark) if update.is_empty() => {
                let is_other = |expected| mark.source.as_ref() != Some(expected);
                let stale = stale
                    || mark.resume
                    || self.expected_source().is_some_and(is_other)
                    || mark.workspace != self.workspace.declared;
                Change::Unchanged { observed, stale }
            }
            Claim::Mark(_) | Claim::Recalled(_) => Change::Update(Box::new(update)),
        }
    }

    /// Everything that differs, and whether the mark remembers other digests than those of what is declared; or why that is
    /// unknown.
    fn update(
        &self,
        observed: &'a ObservedWorkspace,
        claim: Claim<'a>,
    ) -> Result<(Update<'a>, bool), &'a str> {
        const NOTHING: &BTreeMap<FieldPath, Text> = &BTreeMap::new();
        let applied = claim.applied().unwrap_or(NOTHING);
        let code = self.code(observed, claim.mark())?;
        let Compared { fields, state, restart, stale } = self.fields(observed, applied);
        let renamed_from = (observed.name != self.workspace.name).then_some(&observed.name);
        let ownership = claim.ownership().map(|(marked, protected)| self.ownership(marked, protected));
        let ownership = ownership.unwrap_or_default();
        let missing = &observed.missing[..];
        let mut update =
            Update { observed, claim, renamed_from, fields, state, restart, code, missing, ownership };
        if matches!(claim, Claim::Recalled(_)) && claim.applied().is_none() {
            // It was as declared when it was applied, so that what differs now counts as drift.
            let differing = update.fields.iter_mut().chain(&mut update.state).chain(&mut update.restart);
            for field in differing.filter(|field| field.reason == Reason::Differs) {
                field.reason = Reason::Drift;
            }
            for code in update.code.iter_mut().filter(|code| code.reason == Reason::Differs) {
                code.reason = Reason::Drift;
            }
        }
        Ok((update, stale))
    }

    /// What is declared otherwise than a mark says of the environment and its protection. The mark tells what holds until
    /// then, so that the difference is a change like any other.
    fn ownership(&self, marked: &Text, was_protected: bool) -> Vec<FieldChange> {
        let Environment { name, protected, .. } = self.environment;
        let truth = |is: bool| FieldValue::Plain(Value::Bool(is));
        let change = |path: &'static str, before: FieldValue, after: FieldValue| FieldChange {
            path: FieldPath::key(path),
            before: Some(before),
            after: Some(after),
            sensitive: false,
            status: FieldStatus::Change,
            reason: Reason::Declared,
            origin: None,
            sealed: None,
            read_by: Vec::new(),
        };
        let moved = (marked != name).then(|| change(ENVIRONMENT, text(marked), text(name)));
        let protection =
            (was_protected != *protected).then(|| change(PROTECTED, truth(was_protected), truth(*protected)));
        moved.into_iter().chain(protection).collect()
    }

    /// The difference of the code; or why nobody can say what it should be.
    fn code(
        &self,
        observed: &'a ObservedWorkspace,
        mark: Option<&'a Mark>,
    ) -> Result<Option<CodeChange<'a>>, &'a str> {
        let Some(declared) = self.workspace.code.as_ref().filter(|_| self.capabilities.deploys) else {
            return Ok(None);
        };
        let follows_another =
            declared.follows.as_ref().is_some_and(|branch| follows_another(observed, branch));
        let observed = &observed.code;
        let is_there = observed.commit.is_some() || observed.work.may_exist();
        if declared.once && is_there {
            return Ok(None);
        }
        let to = declared.commit.as_ref().map_err(Text::as_str)?;
        let is_followed = declared.follows.as_ref().is_none_or(|branch| branch.from.as_ref() == Some(to));
        let source_before = observed_source(observed, mark).filter(|source| **source != declared.source);
        let is_same_commit = observed.commit.as_ref() == Some(to);
        if is_same_commit && is_followed && source_before.is_none() {
            return Ok(None);
        }
        let last = mark.and_then(|mark| mark.applied.get(&code_path()));
        let found = observed.commit.as_ref().map(|commit| code_digest(commit));
        let reason = match (last, &found) {
            // Only Magus records a source, so that the declaration is what changed.
            _ if is_same_commit && source_before.is_some() => Reason::Declared,
            // It runs what it should, and does not follow its branch yet.
            _ if is_same_commit && follows_another => Reason::Declared,
            // It runs what it should, and the branch that it follows is elsewhere.
            _ if is_same_commit => Reason::Drift,
            (None, None) => Reason::Declared,
            // It is left to people until now, or was taken over.
            (None, Some(_)) => Reason::Differs,
            (Some(last), found) => three_way(*last == code_digest(to), Some(last) == found.as_ref()),
        };
        let reason = match reason {
            Reason::Drift if source_before.is_some() => Reason::Both,
            reason => reason,
        };
        Ok(Some(CodeChange { declared, to, observed, source_before, reason }))
    }

    /// The source that the mark remembers once the declared code was deployed; nothing if no code is deployed.
    fn expected_source(&self) -> Option<&'a ProjectSource> {
        match &self.workspace.code {
            Some(Code { once: false, commit: Ok(_), source, .. }) => Some(source),
            _ => None,
        }
    }

    fn fields(&self, observed: &ObservedWorkspace, applied: &BTreeMap<FieldPath, Text>) -> Compared {
        // Without any digest nothing is remembered, which is not to remember that everything was absent.
        let known = !applied.is_empty();
        let mut compared = Compared { fields: Vec::new(), state: None, restart: None, stale: !known };
        for triple in Join::new(&self.workspace.fields, &observed.fields, applied.iter()) {
            match triple.path.as_str() {
                STATE | CODE => continue,
                RESTARTED_AT => compared.restart = self.restart(&triple, known),
                _ => compared.fields.extend(self.difference(&triple, known)),
            }
            compared.stale = compared.stale || is_stale(&triple);
        }
        for field in compared.fields.iter_mut().filter(|field| observed.sensitive.contains(&field.path)) {
            hide(field);
        }
        let last = applied.get(&FieldPath::key(STATE));
        if let Some(Code { once: false, commit: Ok(commit), .. }) = &self.workspace.code {
            compared.stale = compared.stale || applied.get(&code_path()) != Some(&code_digest(commit));
        }
        compared.stale =
            compared.stale || last.is_none_or(|last| *last != state_digest(self.workspace.state));
        compared.state = self.state(observed, last, known);
        compared
    }

    /// The difference of one field, if any.
    fn difference(&self, triple: &Triple<'_>, known: bool) -> Option<FieldChange> {
        let Triple { path, desired, observed, applied } = *triple;
        // Most engines read everything back: then this is one look at a flag for each field.
        let readable = self.all_readable || self.capabilities.of(path).readable;
        if let (Some(desired), Some(observed)) = (desired, observed)
            && readable
            && same(path, &desired.value, observed)
        {
            return None;
        }
        // A kept secret is never sent to a workspace that exists, whatever it runs with.
        if matches!(desired, Some(Field { value: FieldValue::Secret(secret), .. }) if secret.keep) {
            return None;
        }
        let default = self.capabilities.defaults.get(path).map(|value| FieldValue::Plain(value.clone()));
        let or_default = |value: Option<&FieldValue>| -> Option<FieldValue> {
            value.filter(|value| !is_absent(path, value)).or(default.as_ref()).cloned()
        };
        let desired_is_absent = desired.is_none_or(|field| is_absent(path, &field.value));
        if desired_is_absent {
            let FieldCapability { chosen_by_server, keeps_unmanaged, .. } = self.capabilities.of(path);
            if chosen_by_server || keeps_unmanaged && applied.is_none() {
                return None;
            }
        }
        let wanted = or_default(desired.map(|field| &field.value));
        let found = or_default(observed);
        let desired = desired.filter(|field| !is_absent(path, &field.value));
        let digest_of = |value: &Option<FieldValue>| value.as_ref().map(|value| digest(path, value));
        let last = applied.cloned().or_else(|| digest_of(&default));
        if !readable {
            let reason = match known {
                true if digest_of(&wanted) == last => return None,
                true => Reason::Declared,
                false if desired.is_none() => return None,
                false => Reason::Differs,
            };
            let change = self.change(path, desired, None, reason);
            return Some(FieldChange { status: FieldStatus::Unverifiable, ..change });
        }
        match (&wanted, &found) {
            (None, None) => return None,
            (Some(wanted), Some(found)) if same(path, wanted, found) => return None,
            _ => {}
        }
        let reason = if known {
            let last_was_kept = last.as_ref() == Some(&kept());
            let same_as_last = |value| last_was_kept || digest_of(value) == last;
            three_way(digest_of(&wanted) == last, same_as_last(&found))
        } else {
            Reason::Differs
        };
        let observed = observed.filter(|value| !is_absent(path, value));
        Some(self.change(path, desired, observed, reason))
    }

    /// A later time than the observed one asks for a restart; an earlier one, or none, asks for nothing.
    fn restart(&self, triple: &Triple<'_>, known: bool) -> Option<FieldChange> {
        let Triple { path, desired, observed, applied } = *triple;
        let desired = desired.filter(|field| !is_absent(path, &field.value))?;
        let wanted = digest(path, &desired.value);
        if !self.capabilities.of(path).readable {
            let reason = match known {
                true if applied == Some(&wanted) => return None,
                true => Reason::Declared,
                false => Reason::Differs,
            };
            let change = self.change(path, Some(desired), None, reason);
            return Some(FieldChange { status: FieldStatus::Unverifiable, ..change });
        }
        if let Some(observed) = observed {
            let later = match (instant(&desired.value), instant(observed)) {
                (Some(desired), Some(observed)) => desired > observed,
                _ => !same(path, &desired.value, observed),
            };
            if !later {
                return None;
            }
        }
        let found = observed.map(|observed| digest(path, observed));
        let reason = match known {
            true => three_way(applied == Some(&wanted), applied == found.as_ref()),
            false => Reason::Differs,
        };
        Some(self.change(path, Some(desired), observed, reason))
    }

    /// A workspace that is on its way up, or fails to come up, is one that should run; so is one that a step stopped and did not
    /// start again, unless it is declared stopped.
    fn state(&self, observed: &ObservedWorkspace, last: Option<&Text>, known: bool) -> Option<FieldChange> {
        let found = match observed.state {
            RunState::Stopped => DesiredState::Stopped,
            RunState::Running | RunState::Pending | RunState::Failed => DesiredState::Running,
        };
        let is_to_resume = observed.mark.as_ref().is_some_and(|mark| mark.resume);
        let wanted = match self.workspace.state {
            DesiredState::Auto if is_to_resume => DesiredState::Running,
            declared => declared,
        };
        if wanted == DesiredState::Auto || wanted == found {
            return None;
        }
        // There are two states and they differ, so either L is the desired one, or the declaration moved: also
        // from `auto`, which is at peace with both.
        let reason = match known {
            true if last == Some(&state_digest(self.workspace.state)) => Reason::Drift,
            true => Reason::Declared,
            false => Reason::Differs,
        };
        Some(self.state_change(Some(observed.state), wanted, reason))
    }

    fn state_change(&self, observed: Option<RunState>, wanted: DesiredState, reason: Reason) -> FieldChange {
        FieldChange {
            path: FieldPath::key(STATE),
            before: observed.map(|state| text(state.as_str())),
            after: Some(text(wanted.as_str())),
            sensitive: false,
            status: FieldStatus::Change,
            reason,
            origin: self.sources.origin(self.workspace.state_span),
            sealed: None,
            read_by: Vec::new(),
        }
    }

    fn change(
        &self,
        path: &FieldPath,
        desired: Option<&Field>,
        observed: Option<&FieldValue>,
        reason: Reason,
    ) -> FieldChange {
        let may_be_secret = |value: &FieldValue| match value {
            FieldValue::Plain(value) => secrecy::may_be_secret(path, value),
            FieldValue::Secret(_) => true,
        };
        let secret = desired.is_some_and(|field| may_be_secret(&field.value));
        let hide = observed.is_some_and(|value| !value.is_sensitive() && (secret || may_be_secret(value)));
        FieldChange {
            path: path.clone(),
            before: if hide { Some(text(HIDDEN)) } else { observed.cloned() },
            after: desired.map(|field| field.value.clone()),
            sensitive: hide || secret || observed.is_some_and(FieldValue::is_sensitive),
            status: FieldStatus::Change,
            reason,
            origin: desired.and_then(|field| self.sources.origin(field.span)),
            sealed: None,
            read_by: Vec::new(),
        }
    }
}

/// Where the code that runs came from. A mark knows that of the commit that was last deployed, and of no other.
pub fn observed_source<'a>(observed: &ObservedCode, mark: Option<&'a Mark>) -> Option<&'a ProjectSource> {
    let mark = mark?;
    let runs = observed.commit.as_ref().map(|commit| code_digest(commit))?;
    mark.source.as_ref().filter(|_| mark.applied.get(&code_path()) == Some(&runs))
}

/// Hides what was observed of a field that came from a secret.
fn hide(field: &mut FieldChange) {
    if matches!(field.before, Some(FieldValue::Plain(_))) {
        field.before = Some(text(HIDDEN));
    }
    field.sensitive = true;
}

/// An unmanaged workspace is adopted by itself only if it is as declared, and can be seen to be.
fn unmanaged(update: Update<'_>) -> Change<'_> {
    let observed = update.observed;
    let with = |status: FieldStatus| -> Vec<_> {
        let all = update.fields.iter().chain(&update.state).chain(&update.restart);
        all.filter(|field| field.status == status).map(|field| field.path.clone()).collect()
    };
    let (mut changed, unverifiable) = (with(FieldStatus::Change), with(FieldStatus::Unverifiable));
    changed.extend(update.code.is_some().then(code_path));
    let conflict = match (changed.is_empty(), unverifiable.is_empty()) {
        (true, true) => return Change::Adopt { observed },
        (true, false) => Conflict::Unverifiable(unverifiable),
        (false, _) => Conflict::Differs(changed),
    };
    Change::Conflict { observed, conflict, adoption: Some(Box::new(update)) }
}

/// The fields that say something.
fn present(workspace: &Workspace) -> impl Iterator<Item = &Field> {
    workspace.fields.iter().filter(|field| !is_absent(&field.path, &field.value))
}

/// Whether the mark remembers another digest of a field than [`expected_mark`] holds.
fn is_stale(triple: &Triple<'_>) -> bool {
    let desired = triple.desired.filter(|field| !is_absent(&field.path, &field.value));
    match (desired, triple.applied) {
        (Some(field), Some(last)) => *last != digest(&field.path, &field.value),
        (None, None) => false,
        _ => true,
    }
}

fn three_way(desired_is_last: bool, observed_is_last: bool) -> Reason {
    match (desired_is_last, observed_is_last) {
        (false, true) => Reason::Declared,
        (true, false) => Reason::Drift,
        // Both cannot be the last one while they differ.
        _ => Reason::Both,
    }
}

/// Whether a workspace fetches its code from another branch than this one.
fn follows_another(observed: &ObservedWorkspace, branch: &DeployBranch) -> bool {
    let path = FieldPath::key("env").child(GIT_BRANCH);
    observed.fields.iter().any(|field| field.path == path && !field.value.is_text(&branch.name))
}

fn state_digest(state: DesiredState) -> Text {
    digest(&FieldPath::key(STATE), &text(state.as_str()))
}

fn text(text: &str) -> FieldValue {
    FieldValue::Plain(Value::string(text))
}
