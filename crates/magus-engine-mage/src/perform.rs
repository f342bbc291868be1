//! Does single steps: looks at the workspace, sends, and looks until what was asked for is there.

use std::{collections::BTreeMap, sync::PoisonError};

use magus_engine::{Perform, PerformError, Task};
use magus_engine_kubernetes::{Key, scheduling_of};
use magus_model::{
    Text,
    desired::Edition,
    name::WorkspaceName,
    observed::{Mark, RunState},
    path::FieldPath,
    plan::{Action, FieldChange, MarkRefresh, Precondition, Restarts, Step},
    value::{SecretReference, Value},
};
use magus_secrets::Resolver;

use crate::{
    Mage,
    api::{ApiError, Request, request},
    code,
    compose::{self, Before, Composed, Refresh, compose, creation},
    container::{self, Content, Form, Leaves},
    hidden::hide,
    item::{INGRESS, Item, Known, STORAGE, Surroundings},
    mark::{self, Stored, StoredCode, StoredSecret},
    running,
    runs::{self, Waited},
    secrets::{self, SECRETS},
};

impl Perform for Mage {
    fn perform(&self, task: &Task<'_>) -> Result<(), PerformError> {
        let outcome = self.step(task);
        // Kubernetes repeats what it refuses as Mage does.
        let outcome = outcome
            .map_err(|error| error.map_message(|text| self.client.redact(&task.secrets.redact(&text))));
        if let Err(error) = &outcome {
            tracing::info!(step = %task.step.id, %error, "not done");
        }
        outcome
    }

    fn refresh_mark(&self, refresh: &MarkRefresh) -> Result<(), PerformError> {
        let MarkRefresh { cluster: _, workspace, revision, mark } = refresh;
        if self.makes_tasks()? {
            return Ok(());
        }
        let found = self.expect_revision(workspace, revision)?;
        let before = found.known.stored.as_ref();
        let secrets = before.map(|stored| stored.secrets.clone()).unwrap_or_default();
        self.put_mark(&found, Stored::after(before, mark.clone(), secrets))
    }

    fn identity(&self, workspace: &WorkspaceName) -> Option<Text> {
        self.memory(workspace)?.identity
    }

    fn secret_changes(
        &self,
        workspace: &WorkspaceName,
        fields: &[(FieldPath, SecretReference)],
        secrets: &Resolver,
    ) -> Result<Vec<FieldPath>, PerformError> {
        let stored = self.remembered(workspace);
        let mut changed = Vec::new();
        for (path, reference) in fields {
            let Some(StoredSecret { reference: stored, check: check @ Some(_) }) = stored.get(path) else {
                continue;
            };
            let same = stored.source == reference.source && stored.version == reference.version;
            if reference.keep || !same {
                continue;
            }
            let value = compose::resolve(path, reference, secrets)?;
            if Some(mark::check(workspace, path, value.expose())) != *check {
                changed.push(path.clone());
            }
        }
        Ok(changed)
    }
}

/// A workspace as it is right before a step.
pub(crate) struct Found {
    pub(crate) item: Item,
    pub(crate) known: Known,
}

impl Found {
    pub(crate) fn name(&self) -> &WorkspaceName {
        &self.known.workspace.name
    }

    pub(crate) fn runs(&self) -> bool {
        self.known.workspace.state != RunState::Stopped
    }

    /// Which of its secrets came from where.
    pub(crate) fn secrets(&self) -> BTreeMap<FieldPath, StoredSecret> {
        self.known.stored.as_ref().map(|stored| stored.secrets.clone()).unwrap_or_default()
    }

    /// What is known of its code.
    pub(crate) fn code(&self) -> StoredCode {
        self.known.stored.as_ref().map(|stored| stored.code.clone()).unwrap_or_default()
    }

    /// What its mark says after a step.
    pub(crate) fn stored_by(
        &self,
        step: &Step,
        secrets: BTreeMap<FieldPath, StoredSecret>,
    ) -> Result<Stored, PerformError> {
        let mut stored = Stored::after(self.known.stored.as_ref(), mark_of(step)?, secrets);
        // Whatever runs may be worked in.
        stored.code.clean &= !self.runs() && step.action != Action::Start;
        let is_to_resume = self.known.stored.as_ref().is_some_and(|stored| stored.mark.resume);
        let settles = matches!(step.action, Action::Start | Action::Stop);
        stored.mark.resume |= is_to_resume && !self.runs() && !settles;
        Ok(stored)
    }
}

impl Mage {
    fn step(&self, task: &Task<'_>) -> Result<(), PerformError> {
        let Task { step, wait_for_runs, cancelled, .. } = *task;
        let Step { workspace: name, action, precondition, .. } = step;
        let are_tasks = self.makes_tasks()?;
        if *action == Action::Create {
            let code = StoredCode { made: true, at: None, clean: is_made_stopped(step) };
            return if are_tasks { self.create_task(task) } else { self.create(task, code) };
        }
        if let Precondition::Revision(revision) = precondition
            && let Some((namespace, uid)) = running::orphan(revision)
        {
            return self.remove_orphan(name, namespace, uid);
        }
        let mut found = self.expect(name, precondition)?;
        let interrupts = runs::interrupts(step) && !wait_for_runs.is_zero() || secrets::interrupts(step);
        if interrupts && self.wait_for_runs(&found, wait_for_runs, cancelled)? == Waited::Yes {
            found = self.expect(name, precondition)?;
        }
        self.keep_work(task, &found)?;
        if are_tasks {
            return self.change_task(task, &found);
        }
        let stored = || found.stored_by(step, found.secrets());
        match action {
            Action::Adopt => {
                let mut stored = stored()?;
                // Once the workspace is stopped, only its mark tells which code is in it.
                if stored.code.at.is_none() {
                    stored.code.at =
                        self.code_of(&found.item, &found.known).ok().and_then(|code| code.commit);
                }
                self.put_mark(&found, stored)
            }
            Action::Forget => self.forget(&found),
            Action::Stop => {
                self.send_write(&request::stop_workspace(name.as_str(), None))?;
                self.wait_until(name, RunState::Stopped, cancelled)?;
                let mut stored = stored()?;
                stored.code.clean = code::resets_at_start(&found.known);
                self.put_mark_later(&found, stored).map_err(|error| error.after("it was stopped"))
            }
            Action::Start => {
                self.send_write(&request::resume_workspace(name.as_str()))?;
                self.put_mark_later(&found, stored()?).map_err(|error| error.after("it was started"))?;
                self.wait_until(name, RunState::Running, cancelled)
            }
            Action::Restart => {
                self.stop_and_resume(&found, cancelled)?;
                self.put_mark_later(&found, stored()?).map_err(|error| error.after("it was restarted"))?;
                self.wait_until(name, RunState::Running, cancelled)
            }
            Action::Update if !step.restores.is_empty() => {
                let found = self.restore(step, &found)?;
                let rest = match step.fields.is_empty() && !task.refresh_secrets {
                    true => found
                        .stored_by(step, found.secrets())
                        .and_then(|stored| self.put_mark(&found, stored)),
                    false => self.update(task, &found),
                };
                rest.map_err(|error| error.after("the missing parts were restored"))
            }
            Action::Update => self.update(task, &found),
            Action::Replace => self.recreate(task, &found),
            Action::Delete => self.delete(&found),
            Action::Deploy => self.deploy(task, &found),
            Action::Create => {
                Err(PerformError::Failed(format!("Mage cannot {} a workspace", action.as_str())))
            }
        }
    }

    fn update(&self, task: &Task<'_>, found: &Found) -> Result<(), PerformError> {
        let Task { step, secrets, refresh_secrets, cancelled, .. } = *task;
        let Step { workspace: name, fields, .. } = step;
        let refresh = if refresh_secrets { Refresh::All(name) } else { Refresh::None };
        let before = Before {
            leaves: found.known.leaves.clone(),
            secrets: found.secrets(),
            repeated: found.known.seen.as_ref().map(|seen| seen.repeated.clone()).unwrap_or_default(),
            own: found.item.own_variables(),
            refresh,
            form: self.form()?,
        };
        let Composed { content, secrets, settings, own_secrets } = compose(name, before, fields, secrets)?;
        let mut stored = found.stored_by(step, secrets)?;
        stored.grown = stored.grown || settings.contains_key(&FieldPath::key(STORAGE));
        if own_secrets.is_empty() {
            return self.update_container(task, found, &content, stored, settings);
        }
        let has_others = refresh_secrets || fields.iter().any(|field| !field.path.is_within(SECRETS));
        if has_others {
            let early = secrets::without(&own_secrets, &stored, found.known.stored.as_ref());
            self.update_container(task, found, &content, early, settings)?;
        }
        self.write_secrets(name, &own_secrets, cancelled).map_err(|error| match has_others {
            true => PerformError::Uncertain(format!("the rest is as declared, and {}", error.message())),
            false => error,
        })?;
        self.put_mark(&self.look_after(name)?, stored)
            .map_err(|error| error.after("its secrets were written"))
    }

    /// Changes everything but the secrets that the workspace's own server holds.
    fn update_container(
        &self,
        task: &Task<'_>,
        found: &Found,
        content: &Content,
        stored: Stored,
        mut settings: BTreeMap<FieldPath, Value>,
    ) -> Result<(), PerformError> {
        let Task { step: Step { workspace: name, restarts, .. }, cancelled, .. } = *task;
        (task.move_branch)().map_err(PerformError::Failed)?;
        let mut done = Done::default();
        if let Some(size) = settings.remove(&FieldPath::key(STORAGE)) {
            self.grow(found, &size)?;
            done.0.push("its volume grew");
        }
        if settings.remove(&FieldPath::key(INGRESS)).is_some() {
            self.add_to_ingress(found).map_err(|error| done.error(error))?;
            done.0.push("its ingress leads to it again");
        }
        hide(&self.client, &content.leaves, &stored.secrets);
        hide(&self.client, &settings, &stored.secrets);
        if self.schedule(found, &content.leaves).map_err(|error| done.error(error))? == Sent::Yes {
            done.0.push("where its pod may run was changed");
        }
        self.patch(found, content, stored.clone(), settings).map_err(|error| done.error(error))?;
        if *restarts == Restarts::No || !found.runs() {
            return Ok(());
        }
        // A pod that has failed is not replaced by a better one (MAGE.md 4.21); one that is on its way up is, once it is up.
        if found.known.workspace.state == RunState::Failed {
            let sent = |error: PerformError| error.after("the change was sent");
            let found = self.look_after(name)?;
            self.stop_and_resume(&found, cancelled).map_err(sent)?;
            self.put_mark_later(&found, stored).map_err(sent)?;
            return self.wait_until(name, RunState::Running, cancelled);
        }
        self.wait_for_rollout(name, cancelled)
    }

    /// Says where the pod may run, which open-source Mage cannot. Before anything is sent to Mage: a login that may not do
    /// this leaves all as it was.
    fn schedule(&self, found: &Found, leaves: &Leaves) -> Result<Sent, PerformError> {
        let (Some(cluster), Some(seen), Edition::Oss) = (&self.kubernetes, &found.known.seen, self.edition)
        else {
            return Ok(Sent::No);
        };
        let wanted = scheduling_of(leaves);
        if wanted == seen.scheduling {
            return Ok(Sent::No);
        }
        cluster.kubernetes().schedule(&seen.key, &seen.uid, &wanted).map(|()| Sent::Yes)
    }

    /// Leads the Ingress to the workspace again. Mage adds a path each time that it is asked (MAGE.md 4.10): it is asked once,
    /// where there was none a moment ago.
    fn add_to_ingress(&self, found: &Found) -> Result<(), PerformError> {
        let name = found.name();
        if found.known.workspace.lost.is_empty() {
            return Err(PerformError::Failed(format!("Mage has no way to change `{INGRESS}`")));
        }
        self.send_write(&request::add_to_ingress(name.as_str()))?;
        match self.look_after(name)?.known.workspace.lost.is_empty() {
            true => Ok(()),
            false => Err(PerformError::Uncertain("sent, but its ingress does not lead to it".to_owned())),
        }
    }

    /// Lets the volume grow, which Mage cannot.
    fn grow(&self, found: &Found, size: &Value) -> Result<(), PerformError> {
        let (Some(cluster), Some(seen)) = (&self.kubernetes, &found.known.seen) else {
            return Err(PerformError::Failed(format!("Mage has no way to change `{STORAGE}`")));
        };
        let Key { namespace, name } = &seen.key;
        cluster.kubernetes().grow_volume(namespace, name, compose::gibibytes(size)?).map(drop)
    }

    /// Creates a workspace; `code` is what is known of the code in the volume that it takes.
    pub(crate) fn create(&self, task: &Task<'_>, code: StoredCode) -> Result<(), PerformError> {
        let Task { step, secrets, cancelled, .. } = *task;
        let Step { workspace: name, fields, .. } = step;
        if self.look(name)?.is_some() {
            return Err(PerformError::Moved(format!("`{name}` exists by now; plan again")));
        }
        let Composed { content, secrets, mut settings, own_secrets } =
            compose(name, Before { form: self.form()?, ..Before::default() }, fields, secrets)?;
        let stored = Stored { mark: mark_of(step)?, secrets, grown: false, code, key: mark::new_key() };
        hide(&self.client, &content.leaves, &stored.secrets);
        hide(&self.client, &settings, &stored.secrets);
        let text = self.text(name, &secrets::without(&own_secrets, &stored, None), &content)?;
        let namespace = settings.remove(&FieldPath::key("namespace"));
        let namespace = namespace.as_ref().and_then(Value::as_str).map(Text::from);
        let namespace = namespace.as_ref().or(self.namespace.as_ref());
        if let Some(cluster) = &self.kubernetes {
            let there = cluster.workloads_of(name, namespace);
            let there = there.map_err(|error| PerformError::Failed(error.to_string()))?;
            if let Some(left) = there.left_of(name) {
                return Err(PerformError::Moved(left));
            }
        }
        let body = creation(name, namespace, &text, settings)?;
        (task.move_branch)().map_err(PerformError::Failed)?;
        if let Err(error) = self.client.send(&request::create_workspace(body)) {
            self.after_failed_create(name, &text, error)?;
        }
        let found = self.read_back(name, &text)?;
        self.remember(name, &found);
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        self.keep_copy(&found, Some(&stored));
        self.schedule(&found, &content.leaves).map_err(|error| {
            PerformError::Uncertain(format!("created, but it may run anywhere: {}", error.message()))
        })?;
        if !own_secrets.is_empty() {
            self.wait_until(name, RunState::Running, cancelled)?;
            self.write_secrets(name, &own_secrets, cancelled)
                .map_err(|error| PerformError::Uncertain(format!("created, and {}", error.message())))?;
            let found = self.look_after(name)?;
            self.put_mark(&found, stored).map_err(|error| error.after("created, with its secrets"))?;
        }
        if is_made_stopped(step) {
            let stopped = self.send_write(&request::stop_workspace(name.as_str(), None));
            stopped.map_err(|error| error.after("created, and it runs"))?;
            return self.wait_until(name, RunState::Stopped, cancelled);
        }
        self.wait_until(name, RunState::Running, cancelled)
    }

    /// A create whose answer was an error: done all the same where the workspace is there as it was sent.
    fn after_failed_create(
        &self,
        name: &WorkspaceName,
        text: &str,
        error: ApiError,
    ) -> Result<(), PerformError> {
        if !error.uncertain {
            return Err(error.into());
        }
        let now = self.look(name).map_err(|unread| unread.after(&format!("perhaps created: {error}")))?;
        if now.is_some_and(|found| found.item.text().is_ok_and(|now| now == text)) {
            return Ok(());
        }
        let namespace = self.namespace.as_deref().unwrap_or("NAMESPACE");
        // MAGE.md 4.8: what was made before the failure stays, and every retry then fails on it.
        Err(PerformError::Uncertain(format!(
            "{error}; parts of it may be left: `kubectl -n {namespace} get statefulset/{name} service/{name}-service \
             configmap/{name}-hooks` shows them, and `kubectl delete` removes them"
        )))
    }

    fn delete(&self, found: &Found) -> Result<(), PerformError> {
        let name = found.name();
        let Err(error) = self.client.send(&request::delete_workspace(name.as_str())) else {
            return match self.look(name).map_err(|error| error.after("deleted"))? {
                None => self.check_gone(found),
                Some(_) => Err(PerformError::Uncertain(format!(
                    "mage said that `{name}` is deleted, and still shows it"
                ))),
            };
        };
        match self.look(name) {
            Ok(None) => {}
            Ok(Some(_)) => return Err(error.into()),
            Err(unread) => return Err(unread.after(&format!("perhaps deleted: {error}"))),
        }
        // MAGE.md 4.9: Mage forgets a workspace also where kubernetes did not delete it.
        let namespace = found.item.namespace.as_deref().or(self.namespace.as_deref()).unwrap_or("NAMESPACE");
        if let Some(removed) = self.remove_rest(name, namespace) {
            return removed;
        }
        Err(PerformError::Uncertain(format!(
            "{error}; mage does not know `{name}` any more, but it may still run: `kubectl -n {namespace} delete \
             statefulset/{name} service/{name}-service configmap/{name}-hooks` removes what is left"
        )))
    }

    /// Whether Kubernetes has deleted, or is deleting, what Mage has forgotten.
    fn check_gone(&self, found: &Found) -> Result<(), PerformError> {
        let (Some(cluster), Some(seen)) = (&self.kubernetes, &found.known.seen) else { return Ok(()) };
        let Key { namespace, name } = &seen.key;
        match cluster.kubernetes().workload(namespace, name) {
            Ok(None) => Ok(()),
            Ok(Some(workload)) if workload.deleting || workload.uid != seen.uid => Ok(()),
            Ok(Some(_)) => Err(PerformError::Uncertain(format!(
                "mage has deleted `{name}`, and its StatefulSet still runs: `kubectl -n {namespace} delete \
                 statefulset/{name}` removes it"
            ))),
            Err(error) => Err(PerformError::Uncertain(format!("deleted, and then not seen: {error}"))),
        }
    }

    /// Removes what Mage does not know, as long as it does not.
    fn remove_orphan(&self, name: &WorkspaceName, namespace: &str, uid: &str) -> Result<(), PerformError> {
        let Some(cluster) = &self.kubernetes else { return Err(moved(name)) };
        if self.look(name)?.is_some() {
            return Err(PerformError::Moved(format!("mage knows `{name}` by now; plan again")));
        }
        cluster.kubernetes().delete_workspace(namespace, name.as_str(), uid)
    }

    fn patch(
        &self,
        found: &Found,
        content: &Content,
        stored: Stored,
        settings: BTreeMap<FieldPath, Value>,
    ) -> Result<(), PerformError> {
        let name = found.name();
        let lifecycle = compose::lifecycle(settings)?;
        let clean = self.text(name, &stored, &content.clean())?;
        let mut done = Done::default();
        if content.takes_away() && self.form()? == Form::Kubernetes {
            // A text without a value leaves it in the running container; only a patch that says so takes it away
            // (MAGE.md 4.1). The clean text comes after it, because what was sent is what Mage stores.
            let removing = self.text(name, &stored, content)?;
            self.send_write(&request::patch_workspace(name.as_str(), &removing, lifecycle.as_ref()))?;
            done.0.push("the change was sent");
        }
        // What the main server hands on comes back where a declared value of it went.
        let is_handed_on = |path: &FieldPath| {
            running::is_mages_own(path)
                && !content.leaves.contains_key(path)
                && !content.restored.contains_key(path)
        };
        let patch = if content.removed.iter().any(is_handed_on) {
            request::patch_workspace_with_settings
        } else {
            request::patch_workspace
        };
        let patched = self.send_write(&patch(name.as_str(), &clean, lifecycle.as_ref()));
        patched.map_err(|error| done.error(error))?;
        self.left(name, &clean, Some(&stored))
    }

    /// The workspace, if it is as the step expects it.
    pub(crate) fn expect(
        &self,
        name: &WorkspaceName,
        precondition: &Precondition,
    ) -> Result<Found, PerformError> {
        match precondition {
            Precondition::Absent => {
                Err(PerformError::Failed(format!("`{name}` is to be absent and changed")))
            }
            Precondition::Revision(revision) => self.expect_revision(name, revision),
            // The step before is one of this apply, so that what it left is known.
            Precondition::Follows(_) => match self.revision_left(name) {
                Some(revision) => self.expect_revision(name, &revision),
                None => Err(moved(name)),
            },
        }
    }

    fn expect_revision(&self, name: &WorkspaceName, revision: &Text) -> Result<Found, PerformError> {
        let found = self.look(name)?.ok_or_else(|| moved(name))?;
        if found.known.workspace.revision == *revision { Ok(found) } else { Err(moved(name)) }
    }

    /// The workspace now; nothing where Mage does not have it.
    pub(crate) fn look(&self, name: &WorkspaceName) -> Result<Option<Found>, PerformError> {
        let failed = |reason: String| PerformError::Failed(format!("`{name}` cannot be read: {reason}"));
        let surroundings = self.surroundings().map_err(|error| failed(error.to_string()))?;
        let found = self.detail(name, &surroundings, None).map_err(failed)?;
        Ok(found.map(|(item, known)| {
            let none = BTreeMap::new();
            let secrets = known.stored.as_ref().map_or(&none, |stored| &stored.secrets);
            hide(&self.client, &known.leaves, secrets);
            hide(&self.client, &item.flat_settings(), secrets);
            Found { item, known }
        }))
    }

    /// Looks whether Mage has stored what was sent. Its answers show what was before (MAGE.md 3).
    pub(crate) fn read_back(&self, name: &WorkspaceName, text: &str) -> Result<Found, PerformError> {
        let uncertain = |why: &str| PerformError::Uncertain(format!("sent, but {why}"));
        let found = self.look(name).map_err(|error| uncertain(error.message()))?;
        let found = found.ok_or_else(|| uncertain("mage does not show the workspace"))?;
        match found.item.text() {
            Ok(stored) if stored == text => Ok(found),
            _ => Err(uncertain("mage shows another container_config than the one that was sent")),
        }
    }

    /// The text with its mark.
    pub(crate) fn text(
        &self,
        name: &WorkspaceName,
        stored: &Stored,
        content: &Content,
    ) -> Result<String, PerformError> {
        let line = mark::write(name, stored).map_err(PerformError::Failed)?;
        container::write(Some(&line), content, self.form()?).map_err(PerformError::Failed)
    }

    /// What the server says about all its workspaces.
    pub(crate) fn surroundings_of_step(&self) -> Result<Surroundings, PerformError> {
        self.surroundings().map_err(|error| PerformError::Failed(error.to_string()))
    }

    /// How the texts of this server's workspaces are written.
    pub(crate) fn form(&self) -> Result<Form, ApiError> {
        Ok(Form::of(self.client.server()?.instance_type.as_ref()))
    }

    pub(crate) fn send_write(&self, request: &Request) -> Result<(), PerformError> {
        self.client.send(request).map(drop).map_err(PerformError::from)
    }
}

/// Whether a creation is of a workspace that is not to run.
pub(crate) fn is_made_stopped(step: &Step) -> bool {
    let stopped = |field: &FieldChange| field.after.as_ref().is_some_and(|after| after.is_text("stopped"));
    step.fields.iter().any(|field| field.path.as_str() == "state" && stopped(field))
}

/// The mark that a step leaves.
pub(crate) fn mark_of(step: &Step) -> Result<Mark, PerformError> {
    step.mark.clone().ok_or_else(|| PerformError::Failed("the step has no mark".to_owned()))
}

pub(crate) fn moved(name: &WorkspaceName) -> PerformError {
    PerformError::Moved(format!("`{name}` is not as it was when the plan was made; plan again"))
}

/// What a step has done so far, for people.
#[derive(Default)]
struct Done(Vec<&'static str>);

impl Done {
    /// The error that ends the step.
    fn error(&self, error: PerformError) -> PerformError {
        if self.0.is_empty() { error } else { error.after(&self.0.join(", ")) }
    }
}

/// Whether something had to be sent.
#[derive(PartialEq, Eq)]
enum Sent {
    Yes,
    No,
}

/// What an apply remembers of a workspace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    /// Its revision after the last step.
    pub(crate) revision: Text,
    /// Its secrets.
    pub(crate) secrets: BTreeMap<FieldPath, StoredSecret>,
    /// Which workspace it is.
    pub(crate) identity: Option<Text>,
}
