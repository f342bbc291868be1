//! A main server of Mage in memory, with the servers of its workspaces: it does what `MAGE.md` says of 0.9.80, keeps what
//! it was asked, and makes the faults that it is told.
//!
//! Of each workspace it keeps two configurations: the text that the API shows, and the container that runs, which a patch
//! merges into as Kubernetes does. Volumes outlive their workspaces, and a pod that starts resets its project to its
//! branch if it is told to: what people lose by that is kept as well.

mod answers;
mod server;
mod yaml;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde_json::{Map, Value, json};

pub use server::StandIn;
pub use yaml::{MARK, container, mark, with_text};

/// The namespace of all workspaces.
pub const NAMESPACE: &str = "mage";

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed before Mage has seen it.
    CutBefore,
    /// Mage does it, and the connection is closed instead of answering.
    CutAfter,
    /// Mage does it, and half of the answer arrives.
    HalfAnswer,
    /// A gateway answers, and Mage has not seen it.
    Gateway,
    /// Mage does it, and a gateway answers that it took too long.
    GatewayAfter,
    /// Mage does not do it, and says so.
    Error,
    /// Mage does it, and then fails (`MAGE.md` section 5).
    ErrorAfter,
    /// Lists are empty.
    EmptyList,
}

/// To which request something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The request of this number from now on, whatever it is.
    Any(usize),
    /// The one of this number that writes.
    Write(usize),
    /// The look of this number at one workspace, or at what is changed in it.
    Look(usize),
}

/// What a person does while Magus works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Adds a variable to the configuration of the workspace that is looked at.
    Edit(String),
    /// Changes a file in the workspace that is looked at.
    Work(String),
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A fault of the network or of a server.
    Fault(Fault),
    /// A person acts right before it is answered.
    Act(Act),
}

/// A workspace, as Mage and Kubernetes know it.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Made by the server.
    pub uuid: String,
    /// The stored `container_config`.
    pub text: String,
    /// The container that runs.
    pub runs: Value,
    /// Whether it has no replica.
    pub is_stopped: bool,
    /// What only a creation sets.
    pub settings: Map<String, Value>,
    /// How many more looks show it on its way up.
    pending: usize,
}

impl Workspace {
    /// One as a real server shows it.
    pub fn seen(text: String, runs: Value, is_stopped: bool, settings: Map<String, Value>) -> Self {
        Self { uuid: String::new(), text, runs, is_stopped, settings, pending: 0 }
    }
}

/// The files in the volume of a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Project {
    /// Git's log: each commit with what was done.
    pub log: Vec<(String, String)>,
    /// Files that git knows, and that differ from the commit.
    pub changed: BTreeMap<String, String>,
    /// Files that git does not know.
    pub unknown: BTreeMap<String, String>,
}

impl Project {
    /// The commit that is checked out, and not only cloned.
    pub fn commit(&self) -> Option<&str> {
        let (commit, what) = self.log.last()?;
        (!what.starts_with("clone: ")).then_some(commit.as_str())
    }
}

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// What happened to it.
    pub event: Option<Event>,
}

impl Asked {
    /// Whether it changes something.
    pub fn writes(&self) -> bool {
        self.method != "GET"
    }
}

/// All that the server knows.
#[derive(Debug, Default)]
pub struct State {
    /// The workspaces by name.
    pub workspaces: BTreeMap<String, Workspace>,
    /// The volumes, by the name of their workspace.
    pub volumes: BTreeMap<String, Project>,
    /// What people have lost, and by which request.
    pub lost: Vec<String>,
    /// How often each workspace was stopped or restarted.
    pub interruptions: BTreeMap<String, usize>,
    /// What came, since it was last taken.
    pub asked: Vec<Asked>,
    /// What people did while Magus worked: the workspace, and what it has to have still.
    pub acts: Vec<(String, Act)>,
    /// The bare repository of the pipelines.
    repository: PathBuf,
    /// Its commits.
    commits: BTreeSet<String>,
    /// The address of the server.
    url: String,
    planned: Vec<(At, Event)>,
    counts: [usize; 3],
    uuids: usize,
}

impl State {
    /// Makes these things happen to the requests from now on, and forgets those that did not happen.
    pub fn plan(&mut self, events: Vec<(At, Event)>) {
        self.planned = events;
        self.counts = [0; 3];
    }

    /// What happens to a request, which is counted.
    fn event(&mut self, asked: &Asked, looks_at: Option<&str>) -> Option<Event> {
        let [any, write, look] = self.counts;
        let places = [
            Some(At::Any(any)),
            asked.writes().then_some(At::Write(write)),
            looks_at.map(|_| At::Look(look)),
        ];
        for (count, place) in self.counts.iter_mut().zip(&places) {
            *count += usize::from(place.is_some());
        }
        let planned = self.planned.iter().position(|(at, _)| places.contains(&Some(*at)))?;
        Some(self.planned.remove(planned).1)
    }

    /// A person acts in the workspace that is being read.
    fn act(&mut self, name: &str, act: Act) {
        let Some(workspace) = self.workspaces.get(name) else { return };
        match &act {
            // It would restart a workspace, and take away what others have changed in it.
            Act::Edit(_) if self.volumes.get(name).is_some_and(|project| self.has_work(project)) => return,
            Act::Edit(variable) => {
                let text = with_text(&workspace.text, |container| {
                    let entries = container.entry("env").or_insert_with(|| json!([]));
                    if let Some(entries) = entries.as_array_mut() {
                        entries.push(json!({"name": variable, "value": "by hand"}));
                    }
                });
                self.patch(name, &text).expect("a map");
            }
            Act::Work(text) => {
                let Some(project) = self.volumes.get_mut(name) else { return };
                if workspace.is_stopped || project.commit().is_none() {
                    return;
                }
                project.changed.insert("utils/value.py".to_owned(), text.clone());
            }
        }
        self.acts.push((name.to_owned(), act));
    }

    /// Whether a reset takes something away.
    fn has_work(&self, project: &Project) -> bool {
        let is_unpushed = project.commit().is_some_and(|commit| !self.commits.contains(commit));
        is_unpushed || !project.changed.is_empty()
    }

    /// Makes a workspace; the volume of an older one of its name is taken.
    pub fn create(&mut self, name: &str, mut settings: Map<String, Value>) -> Result<(), String> {
        if self.workspaces.contains_key(name) {
            return Err(format!("Project with name {name} already exists"));
        }
        let text = settings.remove("container_config").unwrap_or_default();
        let text = text.as_str().unwrap_or_default().to_owned();
        let runs = if text.is_empty() { json!({}) } else { container(&text).ok_or("no map")? };
        settings.retain(|key, value| key != "name" && key != "namespace" && !value.is_null());
        self.uuids += 1;
        let uuid = format!("{:032x}", self.uuids);
        let runs = yaml::merged(&json!({}), &runs);
        let workspace = Workspace { uuid, text, runs, is_stopped: false, settings, pending: 0 };
        self.workspaces.insert(name.to_owned(), workspace);
        self.begin(name, 1);
        Ok(())
    }

    /// Merges a text into what runs, and stores it. The pod restarts if that changed anything.
    pub fn patch(&mut self, name: &str, text: &str) -> Result<(), String> {
        let patch = container(text).ok_or("the container_config is no map")?;
        let workspace = self.workspaces.get_mut(name).ok_or("gone")?;
        let runs = yaml::merged(&workspace.runs, &patch);
        let is_changed = runs != workspace.runs;
        workspace.runs = runs;
        workspace.text = text.to_owned();
        if is_changed && !workspace.is_stopped {
            self.interrupted(name);
            // Magus wants to see that it goes away and comes back.
            self.begin(name, 2);
        }
        Ok(())
    }

    /// Stops a workspace.
    pub fn stop(&mut self, name: &str) {
        let Some(workspace) = self.workspaces.get_mut(name) else { return };
        if !workspace.is_stopped {
            workspace.is_stopped = true;
            self.interrupted(name);
        }
    }

    /// Starts a workspace that is stopped.
    pub fn resume(&mut self, name: &str) {
        let Some(workspace) = self.workspaces.get_mut(name) else { return };
        if workspace.is_stopped {
            workspace.is_stopped = false;
            self.begin(name, 1);
        }
    }

    /// Deletes a workspace. Its volume stays, unless it is to go with it.
    pub fn delete(&mut self, name: &str) {
        let Some(workspace) = self.workspaces.remove(name) else { return };
        self.interrupted(name);
        if workspace.settings.get("pvc_retention_policy") == Some(&json!("Delete")) {
            let project = self.volumes.remove(name).unwrap_or_default();
            self.lose(name, &project, "its volume was deleted");
        }
    }

    /// Lets every workspace come up that is on its way.
    pub fn settle(&mut self) {
        self.workspaces.values_mut().for_each(|workspace| workspace.pending = 0);
    }

    fn interrupted(&mut self, name: &str) {
        *self.interruptions.entry(name.to_owned()).or_default() += 1;
    }

    /// A pod starts, and so many looks show it on its way up: its project is set up, and reset to its branch if it follows one.
    fn begin(&mut self, name: &str, looks: usize) {
        let Some(workspace) = self.workspaces.get_mut(name) else { return };
        workspace.pending = looks;
        let syncs = variable(&workspace.runs, "GIT_SYNC_ON_START").is_some();
        let project = self.volumes.entry(name.to_owned()).or_default();
        if syncs && project.log.is_empty() {
            let first = self.commits.first().cloned().unwrap_or_default();
            project.log.push((first, "clone: from the repository".to_owned()));
        }
        if syncs {
            self.sync(name);
        }
    }

    /// Resets a project to the branch of its workspace; nothing if the branch does not exist.
    fn sync(&mut self, name: &str) {
        let branch = self.workspaces.get(name).and_then(|one| variable(&one.runs, "GIT_BRANCH"));
        let Some(branch) = branch else { return };
        let head = self.repository.join("refs/heads").join(&branch);
        let Ok(commit) = std::fs::read_to_string(head) else { return };
        let project = self.volumes.entry(name.to_owned()).or_default();
        let before = project.clone();
        let what = format!("reset: moving to mage-repo/{branch}");
        project.log.push((commit.trim().to_owned(), what));
        project.changed.clear();
        self.lose(name, &before, &format!("it was reset to `{branch}`"));
    }

    /// Notes what people have lost.
    fn lose(&mut self, name: &str, before: &Project, why: &str) {
        let unpushed = before.commit().filter(|commit| !self.commits.contains(*commit));
        let lost = before.changed.values().map(String::as_str).chain(unpushed);
        let request = self.asked.last().map(|asked| format!("{} {}", asked.method, asked.path));
        for text in lost {
            self.lost.push(format!("`{name}` lost `{text}`: {why}, with {request:?}"));
        }
    }
}

/// A variable of a container.
pub fn variable(container: &Value, name: &str) -> Option<String> {
    let entries = container["env"].as_array()?;
    let entry = entries.iter().find(|entry| entry["name"] == name)?;
    Some(entry["value"].as_str().unwrap_or_default().to_owned())
}
