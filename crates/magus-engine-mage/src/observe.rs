//! Reads the workspaces of a server: one list, and a detail for each declared name that the list lacks.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use magus_engine::{EngineError, EngineErrorKind, Observe};
use magus_model::{
    name::WorkspaceName,
    observed::{Observation, ObservedWorkspace},
};
use serde_json::Value;

use crate::{
    Mage,
    api::{ApiErrorKind, InstanceType, Rights, Role, request},
    capabilities::capabilities,
    item::{self, Item, Known, Surroundings},
};

/// How many details are asked for at once. Mage does one thing at a time: more would only wait there.
const DETAILS_AT_ONCE: usize = 8;

/// What is shown without having been seen: Mage reads back what it stored.
const STORED_NOT_RUNNING: &str =
    "what is compared is what Mage has stored; whether the containers run with it, Mage does not tell";

impl Observe for Mage {
    fn observe(&self, declared: &[WorkspaceName]) -> Result<Observation, EngineError> {
        let server = self.client.server()?;
        let surroundings = self.surroundings()?;
        let mut answer = self.client.send(&request::workspaces(self.namespaces()))?;
        let Value::Array(items) = answer["workspaces"].take() else {
            return Err(EngineError::new(EngineErrorKind::Damaged, "the list of workspaces is no list"));
        };
        let mut present = BTreeMap::new();
        let mut unknown = BTreeMap::new();
        for item in items {
            let Some(name) = item["name"].as_str().map(WorkspaceName::observed) else {
                return Err(EngineError::new(
                    EngineErrorKind::Damaged,
                    "the list has a workspace without a name",
                ));
            };
            match understand(item, &surroundings) {
                Ok(known) => {
                    self.memorize(&known, &name);
                    present.insert(name, known.workspace);
                }
                Err(reason) => drop(unknown.insert(name, reason)),
            }
        }
        let listed = |name: &WorkspaceName| present.contains_key(name) || unknown.contains_key(name);
        let missing: Vec<&WorkspaceName> = declared.iter().filter(|name| !listed(name)).collect();
        for (name, found) in missing.iter().zip(self.details(&missing, &surroundings)) {
            match found {
                Ok(Some(workspace)) => drop(present.insert((*name).clone(), workspace)),
                Ok(None) => {}
                Err(reason) => drop(unknown.insert((*name).clone(), reason)),
            }
        }
        Ok(Observation {
            cluster: self.cluster.clone(),
            capabilities: capabilities(server.instance_type.as_ref(), self.edition),
            unverifiable: Some(STORED_NOT_RUNNING),
            present,
            unknown,
            incomplete: None,
        })
    }

    fn about(&self) -> Result<Vec<(&'static str, String)>, EngineError> {
        let server = self.client.server()?;
        let instances = match &server.instance_type {
            Some(InstanceType::Kubernetes) => "kubernetes",
            Some(InstanceType::Ecs) => "ECS",
            Some(InstanceType::CloudRun) => "Cloud Run",
            Some(InstanceType::Other(name)) => name,
            None => "nothing",
        };
        let role = match self.client.rights()? {
            Rights::Unrestricted => "anybody may do everything: logins are off",
            Rights::Unknown => "a token, whose role mage does not tell",
            Rights::Role(Role::Owner) => "owner",
            Rights::Role(Role::Admin) => "admin",
            Rights::Role(Role::Editor) => "editor",
            Rights::Role(Role::Viewer) => "viewer",
            Rights::Role(Role::None) => "a user without a role",
        };
        Ok(vec![
            ("server", self.client.url().to_string()),
            ("mage", format!("{} ({})", self.client.version()?, self.edition.as_str())),
            ("workspaces on", instances.to_owned()),
            ("login", role.to_owned()),
        ])
    }
}

impl Mage {
    /// What a workspace that the list lacks is: nothing where Mage says that it does not have it, and the reason where
    /// nobody can say.
    pub(crate) fn detail(
        &self,
        name: &WorkspaceName,
        surroundings: &Surroundings,
    ) -> Result<Option<(Item, Known)>, String> {
        match self.client.send(&request::workspace(name.as_str())) {
            Ok(mut answer) => {
                let item = answer["workspace"].take();
                if !item::is_workspace(&item) {
                    return Err(
                        "a file in the folder `projects` of the main project has its name, and is of no \
                                workspace"
                            .to_owned(),
                    );
                }
                let item = Item::read(item)?;
                let known = item::understand(&item, surroundings)?;
                Ok(Some((item, known)))
            }
            Err(error) if error.kind == ApiErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The details of many, in their order.
    fn details(
        &self,
        names: &[&WorkspaceName],
        surroundings: &Surroundings,
    ) -> Vec<Result<Option<ObservedWorkspace>, String>> {
        let next = AtomicUsize::new(0);
        let found = Mutex::new(BTreeMap::new());
        thread::scope(|scope| {
            for _ in 0..names.len().min(DETAILS_AT_ONCE) {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(name) = names.get(at) else { return };
                        let detail = self.detail(name, surroundings);
                        let workspace = detail.map(|found| found.map(|(_, known)| known.workspace));
                        found.lock().unwrap_or_else(PoisonError::into_inner).insert(at, workspace);
                    }
                });
            }
        });
        found.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
    }

    /// What the server says about all its workspaces.
    pub(crate) fn surroundings(&self) -> Result<Surroundings, EngineError> {
        Ok(Surroundings { project: self.client.server()?.project_path })
    }
}

fn understand(item: Value, surroundings: &Surroundings) -> Result<Known, String> {
    item::understand(&Item::read(item)?, surroundings)
}
