//! A world on a real Mage server: what is there is read from Mage and from Kubernetes, and people act through Mage's API.

use std::{collections::BTreeMap, time::Duration};

use magus_tests::{
    mage::{Caller, Place, Shared, kubeconfig_for},
    proxy::{self, Proxy, Request},
};
use serde_json::{Map, Value, json};

use super::stand_in::{Fault, Workspace};

/// The variables that worlds and people set; all others are Mage's own.
const VARIABLES: [&str; 8] = ["A", "B", "ENV", "REGION", "LEVEL", "SIZE", "TOKEN", "OF"];
/// How long pods may take to be what they are to be.
const UP: Duration = Duration::from_secs(10);

/// A namespace on the shared server.
pub struct Real {
    shared: &'static Shared,
    /// The namespace, and what the names of its workspaces begin with.
    pub place: Place,
    /// Between Magus and Mage.
    pub proxy: Proxy,
    owner: Caller,
}

impl Real {
    /// A namespace in which nothing is yet.
    pub fn new(shared: &'static Shared) -> Self {
        let proxy = Proxy::start(&shared.mage.url());
        Self { place: shared.place(), proxy, owner: shared.mage.owner(), shared }
    }

    /// A kubeconfig for its cluster.
    pub fn kubeconfig(&self) -> String {
        kubeconfig_for(self.shared.kubernetes.http_url())
    }

    fn sets(&self) -> Vec<Value> {
        let path = format!("/apis/apps/v1/namespaces/{}/statefulsets", self.place.namespace);
        let list = self.shared.kubernetes.send("GET", &path, None).json;
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until all pods are up, and until Mage has done what it was sent before.
    pub fn settle(&self) {
        let begin = std::time::Instant::now();
        let is_up = |set: &Value| {
            let status = |key: &str| set["status"][key].as_u64().unwrap_or(0);
            let wanted = set["spec"]["replicas"].as_u64().unwrap_or(1);
            let is_seen = set["status"]["observedGeneration"] == set["metadata"]["generation"];
            is_seen
                && status("replicas") == wanted
                && status("availableReplicas") == wanted
                && status("updatedReplicas") == wanted
        };
        while !self.sets().iter().all(is_up) && begin.elapsed() < UP {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// The workspaces as they run, each with how often its StatefulSet has changed.
    pub fn workspaces(&self) -> BTreeMap<String, (Workspace, usize)> {
        let path = format!("/api/workspaces?namespace[]={}", self.place.namespace);
        let list = self.shared.mage.get(&self.owner, &path);
        let sets = self.sets();
        let mut all = BTreeMap::new();
        for item in list["workspaces"].as_array().expect("a list of workspaces") {
            let name = item["name"].as_str().unwrap_or_default();
            let Some(set) = sets.iter().find(|set| set["metadata"]["name"] == name) else { continue };
            let settings = ["storage_class_name", "storage_request_size", "ingress_name"];
            let settings = settings.into_iter().filter(|key| !item[*key].is_null());
            let settings: Map<String, Value> =
                settings.map(|key| (key.to_owned(), item[key].clone())).collect();
            let text = item["container_config"].as_str().unwrap_or_default().to_owned();
            let generation = set["metadata"]["generation"].as_u64().unwrap_or(0);
            let is_stopped = set["spec"]["replicas"] == 0;
            let workspace = Workspace::seen(text, runs(set), is_stopped, settings);
            all.insert(name.to_owned(), (workspace, usize::try_from(generation).unwrap_or(usize::MAX)));
        }
        all
    }

    /// The stored text of a workspace.
    pub fn text(&self, name: &str) -> Option<String> {
        let item = self.shared.mage.get(&self.owner, &format!("/api/workspaces/{name}"));
        item["workspace"]["container_config"].as_str().map(str::to_owned)
    }

    /// Asks Mage for an action.
    pub fn act(&self, name: &str, action: &Value) {
        let body = json!({ "workspace": action });
        self.shared.mage.send(&self.owner, "PUT", &format!("/api/workspaces/{name}"), Some(&body));
    }

    /// Deletes a workspace.
    pub fn delete(&self, name: &str) {
        self.shared.mage.send(&self.owner, "DELETE", &format!("/api/workspaces/{name}"), None);
    }

    /// Makes a workspace.
    pub fn create(&self, mut settings: Map<String, Value>) {
        settings.insert("namespace".to_owned(), json!(self.place.namespace));
        self.shared.mage.send(
            &self.owner,
            "POST",
            "/api/workspaces",
            Some(&json!({ "workspace": settings })),
        );
    }

    /// Makes faults happen to the requests of these numbers, from now on; to those that write if it says so.
    pub fn plan(&self, faults: Vec<(bool, usize, Fault)>) {
        let counts = std::sync::Mutex::new([0_usize; 2]);
        self.proxy.decide(move |request: &Request| {
            let mut counts = counts.lock().expect("no thread panics");
            let writes = request.method != "GET" && !request.path.ends_with("/sessions");
            let [any, written] = *counts;
            counts[0] += 1;
            counts[1] += usize::from(writes);
            let fault =
                faults.iter().find(
                    |(of_writes, number, _)| {
                        if *of_writes { writes && *number == written } else { *number == any }
                    },
                );
            fault.map_or(proxy::Fault::Pass, |(_, _, fault)| passed(*fault))
        });
    }
}

/// A fault as the proxy makes it.
fn passed(fault: Fault) -> proxy::Fault {
    match fault {
        Fault::CutBefore => proxy::Fault::CutBefore,
        Fault::CutAfter | Fault::GatewayAfter | Fault::ErrorAfter => proxy::Fault::CutAfter,
        Fault::HalfAnswer => proxy::Fault::HalfAnswer,
        Fault::Gateway => proxy::Fault::Status(503, "{}".to_owned()),
        Fault::Error => proxy::Fault::Status(500, "{}".to_owned()),
        Fault::EmptyList => proxy::Fault::EmptyList,
    }
}

/// The container of a StatefulSet without what Mage and Kubernetes add.
fn runs(set: &Value) -> Value {
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let entries = container["env"].as_array().cloned().unwrap_or_default();
    let of_world = |entry: &Value| {
        let name = entry["name"].as_str().unwrap_or_default();
        VARIABLES.contains(&name) || name.starts_with("BY_HAND")
    };
    let entries: Vec<Value> = entries.into_iter().filter(of_world).collect();
    let mut runs = json!({ "env": entries, "image": container["image"] });
    for key in ["args", "resources"] {
        if container[key].as_object().is_none_or(|map| !map.is_empty()) && !container[key].is_null() {
            runs[key] = container[key].clone();
        }
    }
    runs
}
