//! A Kubernetes cluster for a test: the real kube-apiserver of `tests/kube`, on loopback.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    environment::{Missing, kube_apiserver},
    http::{Answer, send},
    process::{Kept, Program, new_folder},
};

/// The pod in which a Mage server believes to run: Mage reads it before every create.
pub const MAIN_POD: &str = "mage-main-0";

/// The namespace of [`MAIN_POD`].
pub const MAIN_NAMESPACE: &str = "default";

/// A running cluster; dropping it ends it.
pub struct KubernetesServer {
    kept: Kept,
    addresses: Value,
    namespaces: AtomicU32,
}

impl KubernetesServer {
    /// Starts an empty cluster that has Mage's main pod.
    ///
    /// # Errors
    /// Where it cannot be built here.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start() -> Result<Self, Missing> {
        let binary = kube_apiserver()?;
        let folder = new_folder("kubernetes");
        let data = folder.join("data");
        let main_pod = format!("{MAIN_NAMESPACE}/{MAIN_POD}");
        let program = Program {
            words: vec![binary.into(), "--dir".into(), data.into(), "--main-pod".into(), main_pod.into()],
            variables: vec![("HOME".into(), OsString::from(&folder))],
        };
        let kept = Kept::start(folder, &program);
        let output = kept.folder().join("output");
        let addresses = kept.wait("the kube-apiserver gets ready", || first_line(&output));
        Ok(Self { kept, addresses, namespaces: AtomicU32::new(0) })
    }

    fn address(&self, name: &str) -> &str {
        self.addresses[name].as_str().expect("an address")
    }

    /// The apiserver itself: https, with a bearer token.
    pub fn url(&self) -> &str {
        self.address("url")
    }

    /// The same server as an administrator, over plain HTTP and without a login.
    pub fn http_url(&self) -> &str {
        self.address("http")
    }

    /// A kubeconfig for [`KubernetesServer::url`].
    pub fn kubeconfig(&self) -> &Path {
        Path::new(self.address("kubeconfig"))
    }

    /// A kubeconfig for [`KubernetesServer::http_url`].
    pub fn http_kubeconfig(&self) -> &Path {
        Path::new(self.address("http_kubeconfig"))
    }

    /// Sends a request as an administrator, with a body as JSON.
    ///
    /// # Panics
    /// Where the server does not answer.
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.request(self.http_url(), (method, path), "application/json", body)
    }

    /// Changes an object by a merge patch.
    ///
    /// # Panics
    /// Where the server does not answer.
    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        self.request(self.http_url(), ("PATCH", path), "application/merge-patch+json", Some(body))
    }

    /// Tells what becomes of the pods whose names begin so: `running`, `pending`, `crash` and the other states of
    /// `tests/kube/podstatus.go`.
    ///
    /// # Panics
    /// Where there is no such state.
    pub fn rule(&self, namespace: &str, pod: &str, state: &str) {
        self.add_rule(&json!({ "namespace": namespace, "pod": pod, "state": state }));
    }

    /// Tells what becomes of the pods whose image contains this: a rule that the pods of the next template leave behind.
    ///
    /// # Panics
    /// Where there is no such state.
    pub fn rule_for_image(&self, namespace: &str, image: &str, state: &str) {
        self.add_rule(&json!({ "namespace": namespace, "image": image, "state": state }));
    }

    fn add_rule(&self, rule: &Value) {
        let control = self.address("control");
        let answer = self.request(control, ("POST", "/rules"), "application/json", Some(rule));
        assert_eq!(answer.status, 200, "{rule}");
    }

    /// A new namespace; with a service account, so that pods can be made in it.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn namespace(&self) -> String {
        let name = format!("test-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        let made = self.send("POST", "/api/v1/namespaces", Some(&json!({ "metadata": { "name": name } })));
        assert_eq!(made.status, 201, "{}", made.json);
        let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        self.kept.wait("a namespace gets its service account", || {
            (self.send("GET", &account, None).status == 200).then_some(())
        });
        name
    }

    /// Waits until a look finds what is waited for.
    ///
    /// # Panics
    /// Where that does not happen.
    pub fn wait<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        self.kept.wait(what, look)
    }

    fn request(
        &self,
        url: &str,
        (method, path): (&str, &str),
        content_type: &str,
        body: Option<&Value>,
    ) -> Answer {
        let address = url.strip_prefix("http://").expect("plain HTTP");
        let fields = [("Content-Type", content_type), ("Accept", "application/json")];
        send(address, (method, path), &fields, body, Duration::from_secs(60))
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }
}

/// A kubeconfig for a plain HTTP address, so that a proxy can stand between Mage and Kubernetes.
pub fn kubeconfig_for(url: &str) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "magus-test",
        "contexts": [{ "name": "magus-test", "context": { "cluster": "magus-test", "user": "magus-test" } }],
        "clusters": [{ "name": "magus-test", "cluster": { "server": url } }],
        "users": [{ "name": "magus-test", "user": {} }],
    });
    config.to_string()
}

/// The line of JSON that a server prints when it is ready.
pub(super) fn first_line(output: &PathBuf) -> Option<Value> {
    let text = std::fs::read_to_string(output).ok()?;
    let (line, _) = text.split_once('\n')?;
    serde_json::from_str(line).ok()
}
