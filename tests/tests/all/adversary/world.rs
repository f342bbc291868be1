//! A world: what it declares. It is the truth that plans are held against, so it is kept here as plain data and never
//! read back from Magus.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    cluster::{Cluster, Snapshot},
    random::Random,
    recorder::Recorder,
    stand_in::{NAMESPACE, StandIn},
    template::{Template, is_ancestor},
};

/// The value of every secret; it may be nowhere but in the declared file and in `.env`.
pub const CANARY: &str = "kAnArY-7f3a-secret";
/// The owner of the declarations, which is also the name of the cluster.
pub const OWNER: &str = "acme";
/// The environments, in order of promotion, each with its branch.
pub const STAGES: [(&str, &str); 3] =
    [("development", "development"), ("staging", "staging"), ("production", "main")];

/// The image of all workspaces.
const IMAGE: &str = "mageai/mageai:0.9.80";
/// The Ingress that leads to workspaces of Mage.
const INGRESS: &str = "mage-ingress";
/// The repository as workspaces of Mage reach it.
const SYNC_URL: &str = "https://git.acme.test/pipelines.git";

/// What a world's workspaces run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The local engine.
    Local,
    /// A Mage server in memory.
    StandIn,
}

/// What a world declares, and the folder in which it does.
pub struct World<'a> {
    /// Where its workspaces are. It ends before the folder does.
    pub cluster: Cluster,
    /// The folder.
    pub recorder: Recorder,
    /// The pipelines' repository.
    pub template: &'a Template,
    /// Whether a repository is declared.
    pub has_code: bool,
    /// `repository.directory`.
    pub directory: &'static str,
    /// Variables of `cluster.defaults`.
    pub defaults: BTreeMap<String, String>,
    /// The memory of the template `large`.
    pub large: &'static str,
    /// `limits.max_deletes`.
    pub max_deletes: &'static str,
    /// The declared environments.
    pub environments: BTreeMap<String, Environment>,
    /// Environments whose folder was removed, to be restored.
    pub removed: BTreeMap<String, Environment>,
    /// The branches, each with the number of its commit.
    pub branches: BTreeMap<String, usize>,
    /// Whether the repository is not where it is declared to be.
    pub is_away: bool,
    /// Names that were given, so that no two are the same.
    pub names: usize,
    /// Uncommitted files: each with its text, which is in no other file.
    pub work: BTreeMap<String, String>,
    /// The cluster as Magus left it.
    pub left: Snapshot,
}

/// A declared environment.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Whether it is protected.
    pub protected: bool,
    /// Variables of its defaults.
    pub defaults: BTreeMap<String, String>,
    /// What is deployed.
    pub deploy: Deploy,
    /// A key with its value that holds something back, as YAML: a gate or a hold.
    pub gates: Option<&'static str>,
    /// What happens to workspaces of branches; nothing if there are none.
    pub branch_workspaces: Option<&'static str>,
    /// The workspaces, by the path of their file below the folder.
    pub workspaces: BTreeMap<String, Workspace>,
}

/// What an environment deploys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Deploy {
    /// The head of its branch.
    #[default]
    Head,
    /// This commit.
    Pinned(usize),
    /// The head, when a workspace is created.
    Once,
    /// Nothing.
    None,
}

impl Deploy {
    /// The same on an engine: Mage does not know `once`.
    pub fn on(self, engine: Engine) -> Self {
        match (self, engine) {
            (Self::Once, Engine::StandIn) => Self::None,
            (deploy, _) => deploy,
        }
    }
}

/// A declared workspace.
#[derive(Debug, Clone, Default)]
pub struct Workspace {
    /// Its name in the cluster, if it differs from `STEM-ENVIRONMENT`.
    pub name: Option<String>,
    /// Its variables; nothing removes an inherited one.
    pub env: BTreeMap<String, Option<String>>,
    /// The version of its secret `TOKEN`, if it has one.
    pub secret: Option<u32>,
    /// Whether it uses the template `large`.
    pub is_large: bool,
    /// `running`, `stopped` or `auto`.
    pub state: &'static str,
    /// A limit of its processors.
    pub cpu: Option<&'static str>,
    /// Its storage, in GB.
    pub storage: Option<u32>,
    /// Its storage class, which can only be set at creation.
    pub storage_class: Option<&'static str>,
    /// The name of its file before, if it was renamed.
    pub moved_from: Option<String>,
}

impl Workspace {
    /// One that runs.
    pub fn new() -> Self {
        Self { state: "running", ..Self::default() }
    }

    fn file(&self, depth: usize) -> Value {
        let mut env: Map<String, Value> =
            self.env.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        if let Some(version) = self.secret {
            let path = format!("{}_token", "../".repeat(depth));
            env.insert("TOKEN".to_owned(), json!({"secret": {"file": path}, "version": version}));
        }
        let mut file = json!({"env": env, "state": self.state});
        let optional = [
            ("name", self.name.as_ref().map(|name| json!(name))),
            ("use", self.is_large.then(|| json!(["large"]))),
            ("container_config", self.cpu.map(|cpu| json!({"resources": {"limits": {"cpu": cpu}}}))),
            ("storage_request_size", self.storage.map(|storage| json!(storage))),
            ("storage_class_name", self.storage_class.map(|class| json!(class))),
            ("moved_from", self.moved_from.as_ref().map(|from| json!(from))),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                file[key] = value;
            }
        }
        file
    }
}

/// The stem of a workspace's file.
pub fn stem(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The name in the cluster of a workspace that is declared at this path below an environment's folder.
pub fn name_of(environment: &str, path: &str, workspace: &Workspace) -> String {
    workspace.name.clone().unwrap_or_else(|| format!("{}-{environment}", stem(path)))
}

impl<'a> World<'a> {
    /// A new world: three stages with a few workspaces.
    pub fn new(template: &'a Template, engine: Engine, random: &mut Random) -> Self {
        let mut recorder = Recorder::new(&template.script);
        let cluster = match engine {
            Engine::Local => Cluster::Local,
            Engine::StandIn => {
                let repository = recorder.sandbox.file("pipelines.git");
                let stand_in = StandIn::start(repository, template.commits.iter().cloned().collect());
                recorder.sandbox.set("MAGE_URL", &stand_in.url());
                recorder.sandbox.set("MAGE_WORKSPACES_URL", &format!("{}/ws", stand_in.url()));
                Cluster::StandIn(stand_in)
            }
        };
        let mut world = World {
            cluster,
            recorder,
            template,
            has_code: random.percent(70),
            directory: "mage",
            defaults: BTreeMap::from([("REGION".to_owned(), "eu".to_owned())]),
            large: "2Gi",
            max_deletes: random.one(&["30%", "1", "100%"]),
            environments: BTreeMap::new(),
            removed: BTreeMap::new(),
            branches: BTreeMap::new(),
            is_away: false,
            names: 0,
            work: BTreeMap::new(),
            left: Snapshot::default(),
        };
        if world.has_code {
            template.copy_to(world.recorder.sandbox.path());
            for ((_, branch), commit) in STAGES.iter().zip([3, 2, 2]) {
                world.set_branch(branch, Some(commit));
            }
        }
        for (name, _) in STAGES {
            let mut environment = Environment {
                protected: random.percent(if name == "production" { 60 } else { 15 }),
                deploy: random.one(&[
                    Deploy::Head,
                    Deploy::Head,
                    Deploy::Once,
                    Deploy::Pinned(2),
                    Deploy::None,
                ]),
                ..Environment::default()
            };
            environment.deploy = environment.deploy.on(engine);
            environment.defaults.insert("ENV".to_owned(), name.to_owned());
            if world.has_code && name == "development" && random.percent(30) {
                environment.branch_workspaces =
                    Some(random.one(&["on_gone: delete", "limit: 1", "on_gone: stop"]));
            }
            for _ in 0..1 + random.below(3) {
                let path = world.fresh();
                let mut workspace = Workspace::new();
                workspace.is_large = random.percent(30);
                workspace.secret = random.percent(30).then_some(1);
                environment.workspaces.insert(path, workspace);
            }
            world.environments.insert(name.to_owned(), environment);
        }
        world.recorder.write("environments/_token", &format!("{CANARY}\n"));
        world.declare();
        world
    }

    /// The Mage server in memory, if its workspaces are there.
    pub fn stand_in(&self) -> Option<&StandIn> {
        match &self.cluster {
            Cluster::Local => None,
            Cluster::StandIn(stand_in) => Some(stand_in),
        }
    }

    /// The engine of its cluster.
    pub fn engine(&self) -> Engine {
        if self.stand_in().is_some() { Engine::StandIn } else { Engine::Local }
    }

    /// A name that no workspace has had.
    pub fn fresh(&mut self) -> String {
        self.names += 1;
        format!("ws{}", self.names)
    }

    /// Sets a branch, or deletes it.
    pub fn set_branch(&mut self, branch: &str, commit: Option<usize>) {
        let id = commit.map(|commit| self.template.commits[commit - 1].as_str());
        let path = format!("{}/refs/heads/{branch}", self.repository());
        match id {
            Some(id) => self.recorder.write(&path, &format!("{id}\n")),
            None => self.recorder.remove(&path),
        }
        match commit {
            Some(commit) => drop(self.branches.insert(branch.to_owned(), commit)),
            None => drop(self.branches.remove(branch)),
        }
    }

    /// The folder of the pipelines' repository.
    pub fn repository(&self) -> &'static str {
        if self.is_away { "away.git" } else { "pipelines.git" }
    }

    /// Takes the repository away, so that it cannot be read, or brings it back.
    pub fn take_away(&mut self) {
        let from = self.repository();
        self.is_away = !self.is_away;
        self.recorder.rename(from, self.repository());
    }

    /// Writes all declarations.
    pub fn declare(&mut self) {
        let mut files = BTreeMap::from([("environments/cluster.yaml".to_owned(), self.cluster_file())]);
        for (name, environment) in &self.environments {
            let folder = format!("environments/{name}");
            files.insert(format!("{folder}/environment.yaml"), self.environment_file(name, environment));
            for (path, workspace) in &environment.workspaces {
                let depth = 1 + path.matches('/').count();
                files.insert(format!("{folder}/{path}.yaml"), workspace.file(depth).to_string());
            }
        }
        let root = self.recorder.sandbox.file("environments");
        for (path, _) in magus_tests::files_below(&root) {
            let relative = path.strip_prefix(self.recorder.sandbox.path()).expect("below");
            let relative = relative.to_str().expect("text").to_owned();
            if relative.ends_with(".yaml") && !files.contains_key(&relative) {
                self.recorder.remove(&relative);
            }
        }
        for (path, text) in files {
            let text = format!("{text}\n");
            if std::fs::read_to_string(self.recorder.sandbox.file(&path)).is_ok_and(|old| old == text) {
                continue;
            }
            self.recorder.write(&path, &text);
        }
        for (name, _) in STAGES {
            if !self.environments.contains_key(name) {
                self.recorder.remove(&format!("environments/{name}"));
            }
        }
    }

    fn cluster_file(&self) -> String {
        // A number is written without quotes, a percentage as text.
        let limit =
            self.max_deletes.parse::<u32>().map_or_else(|_| json!(self.max_deletes), |limit| json!(limit));
        let mut file = json!({
            "name": OWNER,
            "engine": {"local": {"path": "../store"}},
            "limits": {"max_deletes": limit},
            "defaults": {"env": self.defaults, "container_config": {"image": IMAGE}},
            "templates": {"large": {
                "env": {"SIZE": "large"},
                "container_config": {"resources": {"limits": {"memory": self.large}}},
            }},
        });
        if self.has_code {
            file["repository"] = json!({"url": "../pipelines.git", "directory": self.directory});
        }
        if let Some(stand_in) = self.stand_in() {
            file["engine"] = json!({"mage": {"url": stand_in.url(), "namespace": NAMESPACE}});
            file["defaults"]["ingress_name"] = json!(INGRESS);
            if self.has_code {
                file["repository"] = json!({"url": "../pipelines.git", "sync": {"url": SYNC_URL}});
            }
        }
        file.to_string()
    }

    fn environment_file(&self, name: &str, environment: &Environment) -> String {
        let Environment { protected, defaults, deploy, gates, branch_workspaces, workspaces: _ } =
            environment;
        let mut text = format!("protected: {protected}\ndefaults: {}", json!({"env": defaults}));
        if let Some(before) = self.stage_before(name) {
            text.push_str(&format!("\npromotes_from: {before}"));
        }
        if self.has_code {
            text.push_str(&format!("\nbranch: {}", branch_of(name)));
            text.push_str(&match deploy {
                Deploy::Head => "\ndeploy: head".to_owned(),
                Deploy::Pinned(commit) => {
                    format!("\ndeploy: pinned\ncommit: \"{}\"", self.template.commits[commit - 1])
                }
                Deploy::Once => "\ndeploy: once".to_owned(),
                Deploy::None => "\ndeploy: none".to_owned(),
            });
            if let Some(then) = branch_workspaces {
                text.push_str(&format!(
                    "\nbranch_workspaces: {{match: \"feature/*\", name: \"dev-${{branch_slug}}\", {then}, \
                     workspace: {{env: {{OF: \"${{branch}}\"}}}}}}"
                ));
            }
        }
        if let Some(gates) = gates {
            text.push_str(&format!("\n{gates}"));
        }
        text
    }

    /// The declared environment before this one.
    pub fn stage_before(&self, name: &str) -> Option<&'static str> {
        let at = STAGES.iter().position(|(stage, _)| *stage == name)?;
        STAGES[..at]
            .iter()
            .rev()
            .map(|(stage, _)| *stage)
            .find(|stage| self.environments.contains_key(*stage))
    }

    /// Every declared workspace: its environment and the path of its file.
    pub fn workspaces(&self) -> Vec<(String, String)> {
        self.environments
            .iter()
            .flat_map(|(name, environment)| {
                environment.workspaces.keys().map(|path| (name.clone(), path.clone()))
            })
            .collect()
    }

    /// A declared workspace.
    pub fn workspace(&mut self, (environment, path): &(String, String)) -> &mut Workspace {
        self.environments
            .get_mut(environment)
            .and_then(|environment| environment.workspaces.get_mut(path))
            .expect("a declared workspace")
    }
}

/// The branch of an environment.
pub fn branch_of(environment: &str) -> &'static str {
    STAGES.iter().find(|(stage, _)| *stage == environment).map_or("main", |(_, branch)| branch)
}

/// A workspace as it is declared, with every layer applied.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its environment.
    pub environment: String,
    /// Whether its environment is protected.
    pub is_protected: bool,
    /// The fields that the cluster has to have, by their paths; `state` is among them unless it is `auto`.
    pub fields: BTreeMap<String, Value>,
    /// The code that it has to run.
    pub code: Code,
    /// Whether that code is the directory `mage` of the repository, and not `other`.
    pub is_of_directory_mage: bool,
    /// Its name before, if it is to be renamed.
    pub moved_from: Option<String>,
}

/// The code of a declared workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// This commit.
    Commit(String),
    /// Any commit.
    Any,
    /// Magus deploys none.
    None,
    /// The branch does not exist, or the commit is not on it, so that it cannot be known.
    Unknown,
}

impl World<'_> {
    /// Every workspace that is declared, by its name in the cluster, with every layer applied.
    pub fn expected(&self) -> BTreeMap<String, Expected> {
        let mut all = BTreeMap::new();
        for (name, environment) in &self.environments {
            let code = self.code(name, environment);
            for (path, workspace) in &environment.workspaces {
                let moved_from = workspace.moved_from.as_ref().map(|from| format!("{from}-{name}"));
                let mut fields = self.fields(environment, workspace);
                let of_workspace = name_of(name, path, workspace);
                if self.has_code && matches!(environment.deploy, Deploy::Head | Deploy::Pinned(_)) {
                    self.add_sync(&mut fields, name, &of_workspace);
                }
                let expected = Expected {
                    environment: name.clone(),
                    is_protected: environment.protected,
                    fields,
                    code: code.clone(),
                    is_of_directory_mage: self.directory == "mage",
                    moved_from,
                };
                all.insert(of_workspace, expected);
            }
            // Which branches there are is not known without the repository.
            if environment.branch_workspaces.is_some() && !self.is_away {
                for (branch, commit) in
                    self.branches.iter().filter(|(branch, _)| branch.starts_with("feature/"))
                {
                    let mut workspace = Workspace::new();
                    workspace.env.insert("OF".to_owned(), Some(branch.clone()));
                    let mut fields = self.fields(environment, &workspace);
                    fields.remove("state");
                    let of_branch = format!("dev-{}", branch.replace('/', "-"));
                    self.add_sync(&mut fields, name, &of_branch);
                    let expected = Expected {
                        environment: name.clone(),
                        is_protected: environment.protected,
                        fields,
                        code: Code::Commit(self.template.commits[commit - 1].clone()),
                        is_of_directory_mage: self.directory == "mage",
                        moved_from: None,
                    };
                    all.insert(of_branch, expected);
                }
            }
        }
        all
    }

    /// The variables of a workspace of Mage that follows a branch of its own.
    fn add_sync(&self, fields: &mut BTreeMap<String, Value>, environment: &str, name: &str) {
        if self.stand_in().is_none() {
            return;
        }
        for (variable, value) in [
            ("GIT_AUTH_TYPE", "https".to_owned()),
            ("GIT_BRANCH", format!("deploy/{environment}+{name}")),
            ("GIT_REPO_LINK", SYNC_URL.to_owned()),
            ("GIT_REPO_PATH", format!("/home/src/{name}")),
            ("GIT_SYNC_ON_START", "1".to_owned()),
            ("GIT_USERNAME", "magus".to_owned()),
        ] {
            fields.insert(format!("env.{variable}"), json!(value));
        }
    }

    fn code(&self, name: &str, environment: &Environment) -> Code {
        let head = self.branches.get(branch_of(name));
        let commit = |number: usize| Code::Commit(self.template.commits[number - 1].clone());
        match (environment.deploy, head) {
            _ if !self.has_code => Code::None,
            (Deploy::None, _) => Code::None,
            // What runs once is not looked for again.
            (Deploy::Once, Some(_)) => Code::Any,
            _ if self.is_away => Code::Unknown,
            (Deploy::Head, Some(head)) => commit(*head),
            (Deploy::Pinned(pinned), Some(head)) if is_ancestor(pinned, *head) => commit(pinned),
            _ => Code::Unknown,
        }
    }

    fn fields(&self, environment: &Environment, workspace: &Workspace) -> BTreeMap<String, Value> {
        let mut env: BTreeMap<&str, Value> = BTreeMap::new();
        for (key, value) in self.defaults.iter().chain(&environment.defaults) {
            env.insert(key, json!(value));
        }
        let mut fields = BTreeMap::from([("container_config.image".to_owned(), json!(IMAGE))]);
        if self.stand_in().is_some() {
            fields.insert("ingress_name".to_owned(), json!(INGRESS));
        }
        if workspace.is_large {
            env.insert("SIZE", json!("large"));
            fields.insert("container_config.resources.limits.memory".to_owned(), json!(self.large));
        }
        for (key, value) in &workspace.env {
            match value {
                Some(value) => drop(env.insert(key, json!(value))),
                None => drop(env.remove(key.as_str())),
            }
        }
        if let Some(version) = workspace.secret {
            env.insert("TOKEN", json!({"secret": {"file": "_token"}, "version": version}));
        }
        fields.extend(env.into_iter().map(|(key, value)| (format!("env.{key}"), value)));
        if workspace.state != "auto" {
            fields.insert("state".to_owned(), json!(workspace.state));
        }
        if let Some(cpu) = workspace.cpu {
            fields.insert("container_config.resources.limits.cpu".to_owned(), json!(cpu));
        }
        if let Some(storage) = workspace.storage {
            fields.insert("storage_request_size".to_owned(), json!(storage));
        }
        if let Some(class) = workspace.storage_class {
            fields.insert("storage_class_name".to_owned(), json!(class));
        }
        fields
    }
}
