//! Reads the workspaces of a server: one list, and a detail for each declared name that the list lacks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use magus_engine::{Declared, EngineError, EngineErrorKind, Observe};
use magus_model::{
    name::WorkspaceName,
    observed::{DigestKey, Observation, Work},
};
use serde_json::Value;

use crate::{
    Mage,
    api::{ApiErrorKind, InstanceType, Rights, Role, Server, request},
    capabilities::capabilities,
    code,
    container::Form,
    item::{self, Item, Known, Surroundings},
    running::Workloads,
    secrets,
};

/// How many questions are asked at once. Mage does one thing at a time: more would only wait there.
const AT_ONCE: usize = 8;

/// How long the servers of workspaces are asked for one thing: where they cannot be reached from here, each takes its time.
const SERVERS_OF_ALL: Duration = Duration::from_secs(60);

/// Why one of them was not asked.
const LATE: &str = "not asked, because asking the others took too long";

/// Of code that a deployment of Mage Pro puts there.
const UNTOLD: &str = "mage does not tell what became of its deployments";

/// What is shown without having been seen: Mage reads back what it stored.
const STORED_NOT_RUNNING: &str =
    "what is compared is what Mage has stored; whether the containers run with it, Mage does not tell";

impl Observe for Mage {
    fn observe(&self, declared: &[Declared]) -> Result<Observation, EngineError> {
        let server = self.client.server()?;
        let surroundings = self.surroundings()?;
        let (items, workloads) = self.lists(server.instance_type.as_ref())?;
        let workloads = workloads.as_ref();
        let asked: BTreeSet<_> = declared.iter().filter(|one| one.secrets).map(|one| &one.name).collect();
        let mut shown = BTreeSet::new();
        let mut unknown = BTreeMap::new();
        let mut found = Vec::new();
        let mut doubtful = Vec::new();
        for (name, item) in items {
            shown.insert(name.clone());
            let lacks = |item: &Item| workloads.is_some_and(|workloads| workloads.lacks(item));
            if item.as_ref().is_ok_and(lacks) {
                doubtful.push(name);
                continue;
            }
            match item.and_then(|item| understand(item, &surroundings, workloads)) {
                Ok(one) => found.push(one),
                Err(reason) => drop(unknown.insert(name, reason)),
            }
        }
        let is_declared: BTreeSet<_> = declared.iter().map(|one| &one.name).collect();
        // MAGE.md 4.12: the list leaves out who has no Service, declared or not.
        let not_shown = match (workloads, &self.kubernetes) {
            (Some(workloads), Some(cluster)) if cluster.has_namespace() => {
                workloads.not_shown(&|name| shown.contains(name) || is_declared.contains(name))
            }
            _ => Vec::new(),
        };
        let missing: Vec<_> = declared
            .iter()
            .map(|one| &one.name)
            .filter(|name| !shown.contains(*name))
            .chain(&doubtful)
            .chain(&not_shown)
            .collect();
        let details = at_once(&missing, |name| self.detail(name, &surroundings, workloads));
        for (name, detail) in missing.iter().copied().zip(details) {
            match detail {
                Ok(None) if !is_declared.contains(name) => {}
                Ok(Some(one)) => {
                    shown.insert(name.clone());
                    found.push(one);
                }
                // MAGE.md 4.8, 4.9: what a failed create or delete left keeps its name.
                Ok(None) => {
                    let left = workloads.and_then(|workloads| workloads.left_of(name));
                    left.map(|reason| unknown.insert(name.clone(), reason));
                }
                Err(reason) => {
                    shown.insert(name.clone());
                    unknown.insert(name.clone(), reason);
                }
            }
        }
        let is_stored = workloads.is_none() && !surroundings.are_tasks;
        let stored_not_running = is_stored.then(|| STORED_NOT_RUNNING.to_owned());
        let unseen = self.show_secrets(&mut found, &asked);
        let unread = self.show_code(&mut found, declared, &surroundings);
        let unread_pods = workloads.and_then(Workloads::unread_pods);
        let unread_parts = workloads.and_then(Workloads::unread);
        let unverifiable: Vec<String> = stored_not_running
            .into_iter()
            .chain(unread_parts)
            .chain(unread_pods)
            .chain(unseen)
            .chain(unread)
            .collect();
        let mut present = BTreeMap::new();
        for (_, known) in found {
            let name = known.workspace.name.clone();
            self.memorize(&known, &name);
            present.insert(name, known.workspace);
        }
        let orphans = match (workloads, &self.kubernetes) {
            (Some(workloads), Some(cluster)) if cluster.has_namespace() => {
                workloads.orphans(&|name| shown.contains(name))
            }
            // Other servers may have theirs in other namespaces.
            _ => Vec::new(),
        };
        Ok(Observation {
            cluster: self.cluster.clone(),
            capabilities: capabilities(server.instance_type.as_ref(), self.edition, workloads.is_some()),
            unverifiable: (!unverifiable.is_empty()).then(|| unverifiable.join("; ").into()),
            present,
            unknown,
            incomplete: None,
            orphans,
            key: server.project_uuid.as_ref().map(|uuid| DigestKey::new(uuid.as_bytes())),
        })
    }

    fn about(&self) -> Result<Vec<(&'static str, String)>, EngineError> {
        let server = self.client.server()?;
        let instances = server.instance_type.as_ref().map_or("nothing", InstanceType::as_str);
        let role = match self.client.rights()? {
            Rights::Unrestricted => "anybody may do everything: logins are off",
            Rights::Unknown => "a token, whose role mage does not tell",
            Rights::Role(Role::Owner) => "owner",
            Rights::Role(Role::Admin) => "admin",
            Rights::Role(Role::Editor) => "editor",
            Rights::Role(Role::Viewer) => "viewer",
            Rights::Role(Role::None) => "a user without a role",
        };
        let mut about = vec![
            ("server", self.client.url().to_string()),
            ("mage", format!("{} ({})", self.client.version()?, self.edition.as_str())),
            ("workspaces on", instances.to_owned()),
            ("login", role.to_owned()),
        ];
        if let Some(cluster) = &self.kubernetes {
            let kubernetes = cluster.kubernetes();
            about.push(("kubernetes", format!("{} at {}", kubernetes.version()?, kubernetes.url())));
        }
        Ok(about)
    }
}

impl Mage {
    /// The workspaces that Mage shows, and what runs where Kubernetes is asked as well: both lists at the same time.
    fn lists(
        &self,
        instances: Option<&InstanceType>,
    ) -> Result<(Vec<Listed>, Option<Workloads>), EngineError> {
        let list = || -> Result<Vec<Listed>, EngineError> {
            let damaged = |message: &str| EngineError::new(EngineErrorKind::Damaged, message);
            let answer = self.client.send(&request::workspaces(self.namespaces()))?["workspaces"].take();
            let Value::Array(items) = answer else {
                return Err(damaged("the list of workspaces is no list"));
            };
            let listed = |item: Value| {
                let name = item["name"].as_str().map(WorkspaceName::observed);
                let name = name.ok_or_else(|| damaged("the list has a workspace without a name"))?;
                Ok((name, Item::read(item)))
            };
            items.into_iter().map(listed).collect()
        };
        let Some(cluster) = &self.kubernetes else { return Ok((list()?, None)) };
        if let Some(other) = instances.filter(|instances| **instances != InstanceType::Kubernetes) {
            let (url, other) = (self.client.url(), other.as_str());
            return Err(EngineError::new(
                EngineErrorKind::Refused,
                format!("the workspaces of `{url}` run on {other}, and not on kubernetes"),
            )
            .help("take `kubernetes` out, where the cluster is declared"));
        }
        let (items, workloads) = thread::scope(|scope| {
            let workloads = scope.spawn(|| cluster.workloads());
            (list(), workloads.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let (items, workloads) = (items?, workloads?);
        let known = || items.iter().filter_map(|(_, item)| item.as_ref().ok());
        let unreached = known().filter_map(Item::unreached_ingress).collect();
        let workloads = workloads.with_stuck(cluster).with_parts(cluster, unreached)?;
        Ok((items, Some(workloads)))
    }

    /// What a workspace is that the list lacks, or that was not listed: nothing where Mage says that it does not have it, and
    /// the reason where nobody can say. Without `workloads`, Kubernetes is asked for its own.
    pub(crate) fn detail(
        &self,
        name: &WorkspaceName,
        surroundings: &Surroundings,
        workloads: Option<&Workloads>,
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
                // What a list lacks is asked for by its name: only then it is certain.
                let workloads = workloads.filter(|workloads| !workloads.lacks(&item));
                let own = match (workloads, &self.kubernetes) {
                    (None, Some(cluster)) => {
                        let own = cluster.workloads_of(name, item.namespace.as_ref());
                        let own = own.map_err(|error| error.to_string())?;
                        let unreached = item.unreached_ingress().into_iter().collect();
                        let own = own.with_stuck(cluster).with_parts(cluster, unreached);
                        Some(own.map_err(|error| error.to_string())?)
                    }
                    _ => None,
                };
                let known = item::understand(&item, surroundings, workloads.or(own.as_ref()))?;
                Ok(Some((item, known)))
            }
            Err(error) if error.kind == ApiErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Adds the secrets of those that have or declare some, each known to its own server alone. What could not be seen, for
    /// people.
    fn show_secrets(&self, found: &mut [(Item, Known)], asked: &BTreeSet<&WorkspaceName>) -> Option<String> {
        let wanted = |(_, known): &(Item, Known)| {
            asked.contains(&known.workspace.name) || secrets::is_keeper(known.stored.as_ref())
        };
        let mut keepers: Vec<&mut (Item, Known)> = found.iter_mut().filter(|one| wanted(one)).collect();
        let deadline = Instant::now() + SERVERS_OF_ALL;
        let names = at_once(&keepers, |(item, known)| match Instant::now() < deadline {
            true => self.names_of_secrets(item, known.workspace.state),
            false => Err(LATE.to_owned()),
        });
        let mut unseen = Vec::new();
        for ((_, known), names) in keepers.iter_mut().zip(names) {
            let Known { workspace, stored, .. } = known;
            if let Err(reason) = &names {
                unseen.push(format!("`{}`: {reason}", workspace.name));
            }
            secrets::show(workspace, stored.as_ref(), names.ok().as_ref());
        }
        told("the secrets of", &unseen)
    }

    /// Adds the code of those that declare some, and of those whose uncommitted changes a step may lose. What could not be read,
    /// for people.
    fn show_code(
        &self,
        found: &mut [(Item, Known)],
        declared: &[Declared],
        surroundings: &Surroundings,
    ) -> Option<String> {
        let declared: BTreeMap<_, _> = declared.iter().map(|one| (&one.name, one)).collect();
        let wanted = |(_, known): &&mut (Item, Known)| match declared.get(&known.workspace.name) {
            Some(declared) if declared.code.is_some() || code::resets_at_start(known) => true,
            Some(declared) => declared.look_for_work && code::is_lost_with(known, surroundings),
            // What has no mark is never deleted.
            None => known.stored.is_some() && code::is_lost_with(known, surroundings),
        };
        let mut keepers: Vec<&mut (Item, Known)> = found.iter_mut().filter(wanted).collect();
        let deadline = Instant::now() + SERVERS_OF_ALL;
        let untold = |known: &Known| {
            let declared = declared.get(&known.workspace.name).and_then(|declared| declared.code.as_ref());
            declared.is_some_and(|code| code.untold)
        };
        let seen = at_once(&keepers, |(item, known)| match Instant::now() < deadline {
            true => self.code_of(item, known),
            false => Err(LATE.to_owned()),
        });
        let mut unread = Vec::new();
        for ((_, known), seen) in keepers.iter_mut().zip(seen) {
            let (name, stored) = (&known.workspace.name, known.stored.as_ref());
            if untold(known) {
                unread.push(format!("`{name}`: {UNTOLD}"));
            } else if let Err(reason) = &seen {
                unread.push(format!("`{name}`: {reason}"));
            }
            known.workspace.code = match seen {
                Ok(seen) if untold(known) => code::remembered(stored, seen.work),
                Ok(seen) => seen,
                Err(reason) => code::remembered(stored, Work::Unknown(reason.into())),
            };
        }
        told("the code of", &unread)
    }

    /// What the server says about all its workspaces.
    pub(crate) fn surroundings(&self) -> Result<Surroundings, EngineError> {
        let Server { project_path: project, instance_type, .. } = self.client.server()?;
        let instances = instance_type.as_ref();
        let are_tasks = instances.is_some_and(InstanceType::are_tasks);
        Ok(Surroundings { project, are_tasks, form: Form::of(instances) })
    }
}

/// A workspace in the list, and the reason where nobody understands what is said of it.
type Listed = (WorkspaceName, Result<Item, String>);

/// The first of what could not be seen, and how many more there are.
fn told(what: &str, unseen: &[String]) -> Option<String> {
    let first = unseen.first()?;
    let more = match unseen.len() - 1 {
        0 => String::new(),
        more => format!(", and those of {more} more"),
    };
    Some(format!("{what} {first}{more}"))
}

fn understand(
    item: Item,
    surroundings: &Surroundings,
    workloads: Option<&Workloads>,
) -> Result<(Item, Known), String> {
    let known = item::understand(&item, surroundings, workloads)?;
    Ok((item, known))
}

/// Asks about many, some at once; the answers in their order.
fn at_once<T: Sync, A: Send>(all: &[T], ask: impl Fn(&T) -> A + Sync) -> Vec<A> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..all.len().min(AT_ONCE) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(one) = all.get(at) else { return };
                    let answer = ask(one);
                    answers.lock().unwrap_or_else(PoisonError::into_inner).insert(at, answer);
                }
            });
        }
    });
    answers.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}
