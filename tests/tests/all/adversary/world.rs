//! A world: what it declares. It is the truth that plans are held against, so it is kept here as plain data and never
//! read back from Magus.

use std::collections::BTreeMap;

use magus_tests::mage::{Logins, OWNER_EMAIL, OWNER_PASSWORD, shared};
use serde_json::{Map, Value, json};

use super::{
    cluster::{Cluster, Snapshot},
    random::Random,
    real::Real,
    recorder::Recorder,
    stand_in::{NAMESPACE, StandIn},
    template::Template,
};

/// The value of every secret; it may be nowhere but in the declared file and in `.env`.
pub const CANARY: &str = "kAnArY-7f3a-secret";
/// The owner of the declarations, which is also the name of the cluster.
pub const OWNER: &str = "acme";
/// The environments, in order of promotion, each with its branch.
pub const STAGES: [(&str, &str); 3] =
    [("development", "development"), ("staging", "staging"), ("production", "main")];

/// The image of all workspaces.
pub const IMAGE: &str = "mageai/mageai:0.9.80";
/// The Ingress that leads to workspaces of Mage.
pub const INGRESS: &str = "mage-ingress";
/// The repository as workspaces of Mage reach it.
pub const SYNC_URL: &str = "https://git.acme.test/pipelines.git";

/// What a world's workspaces run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The local engine.
    Local,
    /// A Mage server in memory.
    StandIn,
    /// A real Mage server and its cluster, without code.
    Real,
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
            (Self::Once, Engine::StandIn | Engine::Real) => Self::None,
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
            Engine::Real => Cluster::Real(real(&mut recorder)),
        };
        let mut world = World {
            cluster,
            recorder,
            template,
            has_code: random.percent(70) && engine != Engine::Real,
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
        for (name, _) in STAGES.into_iter().filter(|stage| engine != Engine::Real || stage.0 != "staging") {
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
            // A real server takes seconds for what the others do in milliseconds.
            let most = if engine == Engine::Real { 1 } else { 3 };
            for _ in 0..1 + random.below(most) {
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
            Cluster::StandIn(stand_in) => Some(stand_in),
            Cluster::Local | Cluster::Real(_) => None,
        }
    }

    /// The real Mage server, if its workspaces are there.
    pub fn real(&self) -> Option<&Real> {
        match &self.cluster {
            Cluster::Real(real) => Some(real),
            Cluster::Local | Cluster::StandIn(_) => None,
        }
    }

    /// The engine of its cluster.
    pub fn engine(&self) -> Engine {
        match &self.cluster {
            Cluster::Local => Engine::Local,
            Cluster::StandIn(_) => Engine::StandIn,
            Cluster::Real(_) => Engine::Real,
        }
    }

    /// Whether its workspaces are at a Mage server.
    pub fn is_mage(&self) -> bool {
        self.engine() != Engine::Local
    }

    /// A name that no workspace has had.
    pub fn fresh(&mut self) -> String {
        self.names += 1;
        self.unique("ws")
    }

    /// A name with the number of the last one. On a shared server it is unique there.
    pub fn unique(&self, name: &str) -> String {
        let prefix = self.real().map_or("", |real| real.place.prefix.as_str());
        format!("{prefix}{name}{}", self.names)
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
        if self.is_mage() {
            // Workspaces have secrets that the server shows, so that worlds can look where they end up.
            file["lint"] = json!({"MG302": "off"});
        }
        if let Some(stand_in) = self.stand_in() {
            file["engine"] = json!({"mage": {"url": stand_in.url(), "namespace": NAMESPACE}});
            file["defaults"]["ingress_name"] = json!(INGRESS);
            if self.has_code {
                file["repository"] = json!({"url": "../pipelines.git", "sync": {"url": SYNC_URL}});
            }
        }
        if let Some(real) = self.real() {
            let kubernetes = json!({"context": "magus-test"});
            let (url, namespace) = (real.proxy.url(), &real.place.namespace);
            file["engine"] = json!({"mage": {"url": url, "namespace": namespace, "kubernetes": kubernetes}});
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

/// A place on the shared real server, with what Magus needs to reach it.
fn real(recorder: &mut Recorder) -> Real {
    let shared = shared(Logins::On).unwrap_or_else(|missing| panic!("{missing:?}"));
    let real = Real::new(shared);
    recorder.sandbox.write("kube config", real.kubeconfig());
    let path = recorder.sandbox.file("kube config");
    for (name, value) in [
        ("MAGE_URL", real.proxy.url().as_str()),
        ("MAGE_EMAIL", OWNER_EMAIL),
        ("MAGE_PASSWORD", OWNER_PASSWORD),
        ("KUBECONFIG", path.to_str().expect("a path")),
    ] {
        recorder.sandbox.set(name, value);
    }
    real
}

/// The branch of an environment.
pub fn branch_of(environment: &str) -> &'static str {
    STAGES.iter().find(|(stage, _)| *stage == environment).map_or("main", |(_, branch)| branch)
}
