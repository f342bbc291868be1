//! What a world declares, with every layer applied: computed by rules of this test alone.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    template::is_ancestor,
    world::{Deploy, Environment, IMAGE, INGRESS, SYNC_URL, Workspace, World, branch_of, name_of},
};

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
