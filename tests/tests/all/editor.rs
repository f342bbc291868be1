//! Editors: the real yaml-language-server on our files, with nothing but the modeline.
//!
//! The folder has a space in its path, the files lie in sub-folders, and no setting names a schema.

use std::{cell::RefCell, path::PathBuf};

use magus_tests::{
    Sandbox,
    language_server::{LanguageServer, install},
    repository, skip,
};
use serde_json::Value;

/// An editor on a folder with the schemas where `magus init` puts them.
struct Editor {
    sandbox: Sandbox,
    server: RefCell<LanguageServer>,
}

/// A file that is open, with the cursor somewhere in it.
struct Open<'e> {
    editor: &'e Editor,
    path: PathBuf,
    line: u32,
    character: u32,
    diagnostics: Vec<Value>,
}

impl Editor {
    /// Nothing where node is missing.
    fn start(test: &str) -> Option<Self> {
        let Some(program) = install() else {
            skip(test, "node");
            return None;
        };
        let sandbox = Sandbox::new();
        for kind in ["cluster", "environment", "workspace"] {
            let schema = std::fs::read_to_string(repository().join(format!("schemas/{kind}.json")));
            sandbox.write(&format!("environments/.schemas/{kind}.json"), schema.expect("a schema"));
        }
        assert!(sandbox.path().to_str().is_some_and(|path| path.contains(' ')), "the path has a space");
        let server = RefCell::new(LanguageServer::start(&program, sandbox.path()));
        Some(Self { sandbox, server })
    }

    /// Writes and opens a file. `¦` is the cursor, and is not written.
    fn open(&self, path: &str, text: &str) -> Open<'_> {
        let before = text.split('¦').next().unwrap_or_default();
        let line = before.matches('\n').count();
        let character = before.rsplit('\n').next().unwrap_or_default().chars().count();
        self.sandbox.write(path, text.replace('¦', ""));
        let path = self.sandbox.file(path);
        let diagnostics = self.server.borrow_mut().open(&path);
        let count = |count: usize| u32::try_from(count).expect("a small file");
        Open { editor: self, path, line: count(line), character: count(character), diagnostics }
    }

    /// Opens a workspace whose only configuration is its modeline.
    fn workspace(&self, name: &str, text: &str) -> Open<'_> {
        let modeline = "# yaml-language-server: $schema=../.schemas/workspace.json\n";
        self.open(&format!("environments/development/{name}.yaml"), &format!("{modeline}{text}"))
    }
}

impl Open<'_> {
    /// What is offered at the cursor: labels, each with its documentation.
    fn offers(&self) -> Vec<(String, String)> {
        let items = self.editor.server.borrow_mut().complete(&self.path, self.line, self.character);
        let text = |value: &Value| value["value"].as_str().or(value.as_str()).unwrap_or_default().to_owned();
        items.iter().map(|item| (text(&item["label"]), text(&item["documentation"]))).collect()
    }

    #[track_caller]
    fn check_offers(&self, expected: &[&str], unexpected: &[&str]) {
        let offers = self.offers();
        let has = |label: &str| offers.iter().any(|(offered, _)| offered == label);
        let missing: Vec<_> = expected.iter().filter(|label| !has(label)).collect();
        let wrong: Vec<_> = unexpected.iter().filter(|label| has(label)).collect();
        assert!(missing.is_empty() && wrong.is_empty(), "missing {missing:?}, wrong {wrong:?} in {offers:?}");
    }

    fn hover(&self) -> String {
        self.editor.server.borrow_mut().hover(&self.path, self.line, self.character)
    }

    /// `line:start-end message`, counted as editors show it: from 1.
    fn findings(&self) -> Vec<String> {
        let place = |range: &Value, end: &str, what: &str| range[end][what].as_u64().unwrap_or(0) + 1;
        let show = |found: &Value| {
            let range = &found["range"];
            let (line, start, end) = (
                place(range, "start", "line"),
                place(range, "start", "character"),
                place(range, "end", "character"),
            );
            format!("{line}:{start}-{end} {}", found["message"].as_str().unwrap_or_default())
        };
        self.diagnostics.iter().map(show).collect()
    }
}

#[test]
fn an_editor_completes_our_keys() {
    let Some(editor) = Editor::start("an_editor_completes_our_keys") else { return };
    let root = editor.workspace("root", "state: running\n¦\n");
    root.check_offers(
        &["container_config", "env", "lifecycle_config", "moved_from", "use"],
        &["state", "image"],
    );
    let documentation = root.offers().into_iter().find(|(label, _)| label == "owner").map(|(_, text)| text);
    assert!(
        documentation.is_some_and(|text| text.starts_with("A label for people")),
        "an offer is explained"
    );

    let container = editor.workspace("container", "container_config:\n  image: a:1\n  ¦\n");
    container.check_offers(
        &["resources", "livenessProbe", "nodeSelector"],
        &["image", "name", "ports", "volumeMounts"],
    );
    editor.workspace("word", "sta¦\n").check_offers(&["state"], &[]);
    let resources = editor.workspace("resources", "container_config:\n  resources:\n    ¦\n");
    resources.check_offers(&["requests", "limits"], &["image"]);
    let probe = editor.workspace("probe", "container_config:\n  livenessProbe:\n    httpGet:\n      ¦\n");
    probe.check_offers(&["path", "port", "scheme"], &["exec"]);

    editor
        .workspace("variable", "env:\n  A:\n    ¦\n")
        .check_offers(&["secret", "valueFrom", "version", "keep"], &[]);
    let secret = editor.workspace("secret", "env:\n  A:\n    secret:\n      ¦\n");
    secret.check_offers(&["env", "file", "command"], &["keep"]);
    let reference = editor.workspace("reference", "env:\n  A:\n    valueFrom:\n      ¦\n");
    reference.check_offers(&["secretKeyRef", "configMapKeyRef"], &[]);
    let entry = editor.workspace("entry", "container_config:\n  env:\n    - name: A\n      ¦\n");
    entry.check_offers(&["value", "valueFrom"], &["name"]);
}

#[test]
fn an_editor_completes_words() {
    let Some(editor) = Editor::start("an_editor_completes_words") else { return };
    let state = editor.workspace("state", "state: ¦\n");
    state.check_offers(&["running", "stopped", "auto"], &[]);
    let documentation = state.offers().into_iter().find(|(label, _)| label == "auto").map(|(_, text)| text);
    assert!(documentation.is_some_and(|text| text.starts_with("Left as it is")), "a word is explained");
    let pull = editor.workspace("pull", "container_config:\n  imagePullPolicy: ¦\n");
    pull.check_offers(&["Always", "IfNotPresent", "Never"], &[]);
}

#[test]
fn an_editor_knows_the_other_files() {
    let Some(editor) = Editor::start("an_editor_knows_the_other_files") else { return };
    let cluster = |text: &str| format!("# yaml-language-server: $schema=.schemas/cluster.json\n{text}");
    editor
        .open("environments/cluster.yaml", &cluster("engine:\n  ¦\n"))
        .check_offers(&["local", "mage"], &["url"]);
    let lint = editor
        .open("environments/a/cluster.yaml", &cluster("lint:\n  ¦\n").replace(".schemas", "../.schemas"));
    lint.check_offers(&["MG301", "MG702"], &[]);
    let environment =
        "# yaml-language-server: $schema=../.schemas/environment.json\nname: x\ndeploy: ¦head\n";
    let environment = editor.open("environments/staging/environment.yaml", environment);
    assert_eq!(environment.findings(), ["2:1-5 Property name is not allowed."]);
    assert!(environment.hover().contains("`pinned`: The commit or tag that"), "{}", environment.hover());
    // Two folders down, as people's own workspaces are.
    let deeper = "# yaml-language-server: $schema=../../.schemas/workspace.json\nimge: x\n¦\n";
    let deeper = editor.open("environments/development/our people/ana.yaml", deeper);
    assert_eq!(deeper.findings(), ["2:1-5 Property imge is not allowed."]);
    deeper.check_offers(&["container_config"], &[]);
}

#[test]
fn an_editor_shows_our_texts() {
    let Some(editor) = Editor::start("an_editor_shows_our_texts") else { return };
    for (name, text, shown) in [
        ("key", "own¦er: x\n", "A label for people: who is asked about the workspace."),
        ("enum", "sta¦te: auto\n", "Left as it is; the default where auto-termination is on."),
        ("container", "container_config:\n  ima¦ge: x\n", "The image, with a tag or digest"),
        ("shared", "container_config:\n  readiness¦Probe: {}\n", "Keeps traffic away where it fails."),
        ("variable", "env:\n  A: {sec¦ret: {env: X}}\n", "Where apply gets the value"),
        ("ref", "env:\n  A: {value¦From: {fieldRef: {fieldPath: x}}}\n", "Where Kubernetes gets the value"),
    ] {
        let hover = editor.workspace(name, text).hover();
        assert!(hover.contains(shown), "{text}: {hover}");
    }
}

#[test]
fn an_editor_marks_what_is_wrong_and_nothing_else() {
    let Some(editor) = Editor::start("an_editor_marks_what_is_wrong_and_nothing_else") else { return };
    for (name, text, expected) in [
        ("unknown", "container_config:\n  imge: x\n", &["3:3-7 Property imge is not allowed."][..]),
        ("type", "use: large\n", &["2:6-11 Incorrect type. Expected one of array, null."]),
        ("number", "env:\n  PORT: 8080\n", &["3:9-13 Incorrect type. Expected one of string, object, null."]),
        ("moment", "restarted_at: yesterday\n", &["2:15-24 String is not a RFC3339 date-time."]),
        ("missing", "secrets:\n  a: {version: 1}\n", &["3:3-4 Missing property \"secret\"."]),
        (
            "both",
            "env:\n  A: {secret: {env: A}, valueFrom: {fieldRef: {fieldPath: x}}}\n",
            &["3:6-63 Object has more properties than limit of 1."],
        ),
        (
            "of-mage",
            "container_config:\n  ports: []\n",
            &["3:3-12 belongs to Mage: setting it breaks the workspace (MG201)"],
        ),
    ] {
        assert_eq!(editor.workspace(name, text).findings(), expected, "{text}");
    }
    let good = "\
use: [large]
owner: data@acme.dev
state: auto
env:
  ENV: development
  OLD: null
  PORT: \"8080\"
  DB_PASSWORD: {valueFrom: {secretKeyRef: {name: warehouse, key: password}}}
  API_KEY: {secret: {env: PROD_API_KEY}, version: 2}
  TS_AUTHKEY: {secret: {env: TS_AUTHKEY}, keep: true}
secrets: {slack: {secret: {command: [sops, -d, _secrets.enc.yaml]}}}
container_config:
  image: mageai/mageai:0.9.80
  resources: {requests: {cpu: 1, memory: 2Gi}, limits: {cpu: \"2\", memory: 4Gi}}
  env: [{name: A, value: b}]
lifecycle_config:
  termination_policy: {enable_auto_termination: true, max_idle_seconds: 1800}
storage_request_size: 10
restarted_at: 2026-08-01T10:00:00Z
";
    assert_eq!(editor.workspace("good", good).findings(), Vec::<String>::new());
}
