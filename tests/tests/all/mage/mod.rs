//! The Mage engine against a real Mage server on a real kube-apiserver.
//!
//! Every test has a namespace and names of its own on the shared server. A cluster for tests has no pods that take time:
//! where a step waits for a rollout, a test either makes it visible with a rule for pods or waits for a second only.

mod adversary;
mod canaries;
mod container;
mod deploy;
mod docker;
mod down;
mod ecs;
mod faults;
mod half;
mod kubernetes;
mod life;
mod needed;
mod ownership;
mod parts;
mod references;
mod runs;
mod safety;
mod secrets;
mod verdicts;
mod verify;

use std::collections::BTreeMap;

use magus_tests::{
    Run, Sandbox,
    mage::{Caller, Logins, OWNER_EMAIL, OWNER_PASSWORD, Place, Shared, shared},
    proxy::Proxy,
};
use serde_json::{Value, json};

/// The Ingress that workspaces of a test are led to by, where it makes one.
const INGRESS: &str = "mage-ingress";

/// A place on the shared server, and a directory of declarations for it.
struct Bed {
    shared: &'static Shared,
    place: Place,
    /// Between Magus and Mage.
    proxy: Proxy,
    owner: Caller,
    sandbox: Sandbox,
}

impl Bed {
    /// Two environments without a workspace; nothing where the server cannot be started here.
    fn new(test: &str) -> Option<Self> {
        let shared = match shared(Logins::On) {
            Ok(shared) => shared,
            Err(missing) => {
                missing.skip(test);
                return None;
            }
        };
        let place = shared.place();
        let proxy = Proxy::start(&shared.mage.url());
        let mut sandbox = Sandbox::new();
        let Place { namespace, prefix } = &place;
        let url = proxy.url();
        sandbox.write(
            "environments/cluster.yaml",
            format!(
                "name: acme\nengine: {{mage: {{url: \"{url}\", namespace: {namespace}}}}}\n\
                 workspace_name: {prefix}${{workspace}}-${{environment}}\n\
                 defaults:\n  container_config: {{image: \"mageai/mageai:0.9.80\"}}\n"
            ),
        );
        sandbox.write("environments/development/environment.yaml", "defaults:\n  env: {ENV: dev}\n");
        sandbox.write(
            "environments/production/environment.yaml",
            "promotes_from: development\nprotected: true\ndefaults:\n  env: {ENV: prod}\n",
        );
        for (name, value) in
            [("MAGE_URL", url.as_str()), ("MAGE_EMAIL", OWNER_EMAIL), ("MAGE_PASSWORD", OWNER_PASSWORD)]
        {
            sandbox.set(name, value);
        }
        Some(Self { owner: shared.mage.owner(), shared, place, proxy, sandbox })
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.place.prefix)
    }

    fn declare(&self, environment: &str, workspace: &str, text: &str) {
        self.sandbox.write(&format!("environments/{environment}/{workspace}.yaml"), text);
    }

    /// Applies without waiting for what nobody can see here; the exit code is asked of the caller.
    #[track_caller]
    fn apply(&self, code: i32, more: &[&str]) -> Run {
        let mut arguments = vec!["apply", "--yes", "--timeout", "1"];
        arguments.extend(more);
        self.sandbox.expect(code, &arguments)
    }

    /// `SYMBOL NAME` of every step, without the prefix.
    fn steps(&self) -> Vec<String> {
        let plan = self.sandbox.plan(&[]);
        let steps = plan["steps"].as_array().expect("steps");
        steps
            .iter()
            .map(|step| {
                let name = step["workspace"].as_str().expect("a name");
                let name = name.strip_prefix(&self.place.prefix).unwrap_or(name);
                format!("{} {name}", step["action"].as_str().expect("an action"))
            })
            .collect()
    }

    fn set_path(&self, name: &str) -> String {
        format!("/apis/apps/v1/namespaces/{}/statefulsets/{}", self.place.namespace, self.name(name))
    }

    /// The StatefulSet as it is; nothing where there is none.
    fn set(&self, name: &str) -> Option<Value> {
        let answer = self.shared.kubernetes.send("GET", &self.set_path(name), None);
        (answer.status == 200).then_some(answer.json)
    }

    fn container(&self, name: &str) -> Value {
        self.set(name).expect("a StatefulSet")["spec"]["template"]["spec"]["containers"][0].clone()
    }

    /// The variables of the running template, by name: the whole entry without its name.
    fn env(&self, name: &str) -> BTreeMap<String, Value> {
        let container = self.container(name);
        let entries = container["env"].as_array().expect("variables");
        let pair = |entry: &Value| {
            let mut entry = entry.clone();
            let name = entry.as_object_mut().expect("an entry").remove("name").expect("a name");
            (name.as_str().expect("text").to_owned(), entry)
        };
        entries.iter().map(pair).collect()
    }

    fn generation(&self, name: &str) -> Value {
        self.set(name).expect("a StatefulSet")["metadata"]["generation"].clone()
    }

    /// What Mage shows of a workspace.
    fn detail(&self, name: &str) -> Value {
        self.shared.mage.get(&self.owner, &format!("/api/workspaces/{}", self.name(name)))["workspace"]
            .clone()
    }

    /// Patches a workspace as a person does in Mage's own page.
    fn edit(&self, name: &str, change: impl Fn(&str) -> String) {
        let text = self.detail(name)["container_config"].as_str().expect("a text").to_owned();
        let body = json!({ "workspace": { "action": "patch", "container_config": change(&text) } });
        let path = format!("/api/workspaces/{}", self.name(name));
        let answer = self.shared.mage.send(&self.owner, "PUT", &path, Some(&body)).json;
        assert!(answer.get("error").is_none(), "{answer}");
    }

    /// Makes a workspace as a person does.
    fn create(&self, name: &str, mut workspace: Value) {
        workspace["name"] = self.name(name).into();
        workspace["namespace"] = self.place.namespace.clone().into();
        self.shared.mage.create_workspace(&self.owner, &workspace);
    }

    /// Makes an Ingress whose only path leads to nothing of a workspace.
    fn make_ingress(&self) {
        let ingress = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": { "name": INGRESS },
            "spec": leads("/main", "main"),
        });
        let path = format!("/apis/networking.k8s.io/v1/namespaces/{}/ingresses", self.place.namespace);
        let answer = self.shared.kubernetes.send("POST", &path, Some(&ingress));
        assert_eq!(answer.status, 201, "{}", answer.json);
    }

    fn ingress_path(&self) -> String {
        format!("/apis/networking.k8s.io/v1/namespaces/{}/ingresses/{INGRESS}", self.place.namespace)
    }

    /// Lets a workspace answer at the root of the host: its own server in these tests is one without a base path.
    fn lead_to(&self, name: &str) {
        let spec = leads("/", &format!("{}-service", self.name(name)));
        let answer = self.shared.kubernetes.patch(&self.ingress_path(), &json!({ "spec": spec }));
        assert_eq!(answer.status, 200, "{}", answer.json);
        assert_eq!(self.detail(name)["url"], "http://workspaces.acme.test/");
    }
}

/// What an Ingress says that leads a path to a service.
fn leads(path: &str, service: &str) -> Value {
    let backend = json!({ "service": { "name": service, "port": { "number": 6789 } } });
    let paths = json!([{ "path": path, "pathType": "Prefix", "backend": backend }]);
    json!({ "rules": [{ "host": "workspaces.acme.test", "http": { "paths": paths } }] })
}
