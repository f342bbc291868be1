//! What the server does with a request, and how it answers: shapes and texts are those of mage-ai 0.9.80.

use serde_json::{Map, Value, json};

use super::{NAMESPACE, Project, State, Workspace};

/// A status with a body.
pub type Answer = (u16, Value);

impl State {
    /// Does what a request asks for.
    pub(super) fn answer(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        if let Some((name, path)) = path.strip_prefix("/ws/").and_then(|rest| rest.split_once('/')) {
            return self.answer_of(name, method, path);
        }
        let path = path.strip_prefix("/api/").unwrap_or_default();
        match (method, path, path.strip_prefix("workspaces/")) {
            ("GET", "statuses", _) => (200, statuses("main", "main")),
            ("GET", "projects", _) => (200, json!({"projects": [{"version": "0.9.80"}]})),
            ("GET", "workspaces", _) => {
                let names: Vec<String> = self.workspaces.keys().cloned().collect();
                let items: Vec<Value> = names.iter().filter_map(|name| self.look(name)).collect();
                (200, json!({ "workspaces": items }))
            }
            ("POST", "workspaces", _) => {
                let settings = body["workspace"].as_object().cloned().unwrap_or_default();
                let name = settings.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                match self.create(&name, settings) {
                    Ok(()) => (200, json!({"workspace": {"success": true}})),
                    Err(reason) => refused(400, "invalid_resource", &reason),
                }
            }
            ("GET", _, Some(name)) => match self.look(name) {
                Some(item) => (200, json!({ "workspace": item })),
                None => not_found(),
            },
            ("PUT", _, Some(name)) => self.put(name, &body["workspace"]),
            ("DELETE", _, Some(name)) => match self.item(name) {
                Some(item) => {
                    self.delete(name);
                    (200, json!({ "workspace": item }))
                }
                None => not_found(),
            },
            _ => not_found(),
        }
    }

    /// Every reply shows the state before the action.
    fn put(&mut self, name: &str, asked: &Value) -> Answer {
        let Some(item) = self.item(name) else { return not_found() };
        match asked["action"].as_str() {
            Some("stop") => self.stop(name),
            Some("resume") => self.resume(name),
            Some("patch") => {
                if let Some(text) = asked["container_config"].as_str()
                    && let Err(reason) = self.patch(name, text)
                {
                    return refused(400, "invalid_resource", &reason);
                }
            }
            Some(_) => {}
            None => return refused(400, "invalid_resource", "'action'"),
        }
        (200, json!({ "workspace": item }))
    }

    /// The same for a look, each of which sees it further on its way up.
    fn look(&mut self, name: &str) -> Option<Value> {
        let item = self.item(name)?;
        let pending = &mut self.workspaces.get_mut(name)?.pending;
        *pending = pending.saturating_sub(1);
        Some(item)
    }

    /// A workspace as lists and details show it.
    fn item(&self, name: &str) -> Option<Value> {
        let address = format!("{}/ws/{name}", self.url);
        let Workspace { uuid, text, is_stopped, settings, pending, .. } = self.workspaces.get(name)?;
        let status = match (*is_stopped, *pending) {
            (true, _) => "STOPPED",
            (false, 0) => "RUNNING",
            (false, _) => "PENDING",
        };
        let mut item: Map<String, Value> = [
            "lifecycle_config",
            "ingress_name",
            "pvc_retention_policy",
            "service_account_name",
            "storage_access_mode",
            "storage_class_name",
            "storage_request_size",
        ]
        .into_iter()
        .map(|key| (key.to_owned(), Value::Null))
        .collect();
        item.extend(settings.clone());
        let url = settings.get("ingress_name").map(|_| address);
        let rest = json!({
            "name": name,
            "project_uuid": uuid,
            "namespace": NAMESPACE,
            "container_config": text,
            "instance": {"name": name, "type": "k8s", "status": status, "ip": "10.0.0.1"},
            "url": url,
        });
        item.extend(rest.as_object().cloned().unwrap_or_default());
        Some(Value::Object(item))
    }

    /// The server of a workspace itself.
    fn answer_of(&mut self, name: &str, method: &str, path: &str) -> Answer {
        let Some(workspace) = self.workspaces.get(name) else { return not_found() };
        if workspace.is_stopped || workspace.pending > 0 {
            return (404, json!("default backend - 404"));
        }
        let uuid = workspace.uuid.clone();
        let project = self.volumes.get(name).cloned().unwrap_or_default();
        match (method, path, path.strip_prefix("api/git_files/")) {
            ("GET", "api/statuses", _) => (200, statuses("sub", &uuid)),
            ("GET", "api/git_branches/current", _) => (200, branch(&project)),
            ("GET", _, Some(file)) => {
                let file = file.replace("%2F", "/");
                let content = match file.as_str() {
                    ".git/logs/HEAD" => Some(reflog(&project)),
                    _ => project.changed.get(&file).or_else(|| project.unknown.get(&file)).cloned(),
                };
                (200, json!({"git_file": {"filename": file, "content": content}}))
            }
            ("PUT", "api/syncs/git", _) => {
                self.sync(name);
                (200, json!({"sync": {"branch": "main"}}))
            }
            _ => not_found(),
        }
    }
}

fn statuses(kind: &str, uuid: &str) -> Value {
    json!({"statuses": [{
        "project_type": kind,
        "instance_type": "k8s",
        "require_user_authentication": false,
        "project_uuid": uuid,
        "repo_path_root": format!("/home/src/{kind}"),
        "active_pipeline_run_count": 0,
    }]})
}

fn branch(project: &Project) -> Value {
    let changed: Vec<&String> = project.changed.keys().collect();
    let unknown: Vec<&String> = project.unknown.keys().collect();
    json!({"git_branch": {
        "name": "main",
        "modified_files": changed,
        "staged_files": [],
        "untracked_files": unknown,
    }})
}

fn reflog(project: &Project) -> String {
    let line = |(commit, what): &(String, String)| {
        format!("{} {commit} a b <a@b.test> 1795907529 +0000\t{what}\n", "0".repeat(40))
    };
    project.log.iter().map(line).collect()
}

/// An error with the status that `_http_error_codes` asks for.
pub(super) fn refused(code: u16, kind: &str, message: &str) -> Answer {
    (code, json!({"error": {"code": code, "type": kind, "message": message}}))
}

fn not_found() -> Answer {
    refused(404, "record_not_found", "Record not found.")
}
