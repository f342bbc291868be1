//! What holds for a whole environment: its cluster, its place in the order of promotion, its lower layers.

use std::{borrow::Cow, collections::BTreeMap, path::Path};

use magus_load::Document;
use magus_model::{
    Text,
    desired::{Edition, Engine, Field, KubernetesAccess, Layer, MageServer, MaxDeletes, Rollout, Verify},
    files::Duration,
    git,
    path::FieldPath,
    source,
    span::Span,
    tree::{Entry, Node, NodeKind},
};

use crate::{
    directory::{Directory, Folder},
    gates,
    layer::{self, Content, Leaf, lay_over},
    main_server::MainServer,
    placeholder::Variables,
    resolve::used,
    rules::code::DeclaredRepository,
    stages::Stage,
    value::{Reader, has_placeholder, relative_to},
};

/// The name of a workspace in the cluster where `workspace_name` says nothing else.
pub(crate) const DEFAULT_WORKSPACE_NAME: &str = "${workspace}-${environment}";

/// Text and where it was written.
pub(crate) type Spanned<'a> = (&'a Text, Span);

/// How a cluster is reached, as it is declared.
#[derive(Debug, Clone)]
pub(crate) struct DeclaredEngine {
    /// `local`, `mage` or `kubernetes`.
    pub(crate) kind: &'static str,
    /// What tells one such engine from another: folder, or address and namespace.
    pub(crate) identity: Text,
    /// The engine, where this version has it.
    pub(crate) engine: Option<Engine>,
    /// Where it is declared: its key.
    pub(crate) span: Span,
}

/// A leaf that lower layers gave to every workspace of an environment.
#[derive(Debug, Clone)]
pub(crate) struct Inherited<'a> {
    /// The field; its value is final unless `again` is there.
    pub(crate) field: Field,
    /// What to read again for each workspace, because it has placeholders.
    pub(crate) again: Option<layer::Setting<'a>>,
}

impl Inherited<'_> {
    /// The field in a workspace.
    pub(crate) fn field(&self, reader: &Reader<'_>) -> Field {
        match &self.again {
            Some(setting) => Field { value: reader.field_value(setting), ..self.field.clone() },
            None => self.field.clone(),
        }
    }
}

impl Leaf for Field {
    fn path(&self) -> &FieldPath {
        &self.path
    }
}

impl Leaf for Inherited<'_> {
    fn path(&self) -> &FieldPath {
        &self.field.path
    }
}

/// What holds for a whole environment.
pub(crate) struct Scope<'a> {
    /// The cluster's name.
    pub(crate) cluster: Option<Spanned<'a>>,
    /// The mark's owner.
    pub(crate) managed_by: Option<Spanned<'a>>,
    /// How the cluster is reached.
    pub(crate) engine: Option<DeclaredEngine>,
    /// What is known of the main server.
    pub(crate) server: Option<MainServer<'a>>,
    /// How a workspace is called in the cluster.
    pub(crate) workspace_name: Option<Spanned<'a>>,
    /// The branch from which alone the cluster is changed.
    pub(crate) declared_on: Option<Spanned<'a>>,
    /// How much may be deleted.
    pub(crate) max_deletes: MaxDeletes,
    /// The repository of the pipelines' code.
    pub(crate) repository: Option<DeclaredRepository>,
    /// What is declared of how workspaces fetch it themselves.
    pub(crate) sync: Option<&'a Node>,
    /// What is declared of deployments of Mage Pro.
    pub(crate) deployments: Option<&'a Node>,
    /// The branch that is deployed.
    pub(crate) branch: Option<Spanned<'a>>,
    /// The commit that is pinned.
    pub(crate) commit: Option<Spanned<'a>>,
    /// What is deployed, in a word.
    pub(crate) deploy: Option<Spanned<'a>>,
    /// Whether workspaces may set a branch of their own.
    pub(crate) allow_branch_override: bool,
    /// The remote that has history and lock.
    pub(crate) history: Option<Spanned<'a>>,
    /// What is declared of gates.
    pub(crate) gates: Option<&'a Node>,
    /// What is declared of workspaces that come with branches.
    pub(crate) branch_workspaces: Option<&'a Node>,
    /// What a verification runs.
    pub(crate) verify: Verify,
    /// Why nothing is promoted to it.
    pub(crate) hold: Option<Spanned<'a>>,
    /// Whether it is protected.
    pub(crate) protected: bool,
    /// How restarts are rolled out.
    pub(crate) rollout: Rollout,
    /// Its place in the order of promotion.
    pub(crate) stage: Stage,
    /// What every workspace has from elsewhere, as it is declared.
    pub(crate) provided: Vec<&'a Node>,
    /// The named layers; a nearer cluster.yaml's lies over the root's, an environment's shadows both.
    pub(crate) templates: BTreeMap<&'a str, Vec<&'a Node>>,
    /// The lowest layers, in order.
    pub(crate) defaults: Vec<(Layer, &'a Node)>,
}

impl<'a> Scope<'a> {
    /// Reads what holds for an environment; without one, for the cluster of the root's cluster.yaml. What is missing or of a
    /// wrong type is left out; the schema says so.
    pub(crate) fn new(directory: &Directory<'a>, folder: Option<&Folder<'a>>, stage: Stage) -> Self {
        let near_entry = |key: &str| -> Option<(&'a Document<'a>, &'a Entry)> {
            directory.clusters(folder).rev().find_map(|document| {
                let entry = document.root.as_ref()?.entry(key)?;
                (!entry.value.is_null()).then_some((document, entry))
            })
        };
        let near = |key: &str| near_entry(key).map(|(document, entry)| (document, &entry.value));
        let near_text = |key: &str| near(key).and_then(|(_, value)| spanned(value));
        let environment =
            folder.and_then(|folder| folder.environment).and_then(|document| document.root.as_ref());
        let own = |key: &str| environment.and_then(|root| root.get(key));
        let limits = near("limits").and_then(|(_, limits)| limits.get("max_deletes"));

        let engine =
            near("engine").and_then(|(document, engine)| declared_engine(directory, document, engine));
        let edition = match engine.as_ref().and_then(|declared| declared.engine.as_ref()) {
            Some(Engine::Mage(server)) => Some(server.edition),
            _ => None,
        };
        let server = near_entry("server").map(|(_, entry)| MainServer { entry, edition });

        let mut templates: BTreeMap<&'a str, Vec<&'a Node>> = BTreeMap::new();
        let mut defaults = Vec::new();
        defaults.extend(of_server(server.as_ref(), &Layer::ServerDefaults));
        for root in directory.clusters(folder).filter_map(|document| document.root.as_ref()) {
            for template in root.get("templates").map_or(&[][..], Node::entries) {
                templates.entry(&template.key).or_default().push(&template.value);
            }
            defaults.extend(root.get("defaults").map(|node| (Layer::ClusterDefaults, node)));
        }
        for template in own("templates").map_or(&[][..], Node::entries) {
            templates.insert(&template.key, vec![&template.value]);
        }
        defaults.extend(own("defaults").map(|node| (Layer::EnvironmentDefaults, node)));

        let of_clusters =
            directory.clusters(folder).filter_map(|document| document.root.as_ref()?.get("provided"));
        Self {
            provided: of_clusters.chain(own("provided")).collect(),
            cluster: near_text("name"),
            managed_by: near_text("managed_by"),
            engine,
            server,
            workspace_name: near_text("workspace_name"),
            declared_on: near("declarations").and_then(|(_, node)| spanned(node.get("branch")?)),
            max_deletes: limits.and_then(max_deletes).unwrap_or_default(),
            repository: near("repository").and_then(|(document, node)| repository(directory, document, node)),
            sync: near("repository").and_then(|(_, node)| node.get("sync")).filter(|node| !node.is_null()),
            deployments: own("deployments").filter(|node| !node.is_null()),
            branch: own("branch").and_then(spanned),
            commit: own("commit").and_then(spanned),
            deploy: own("deploy").and_then(spanned),
            allow_branch_override: own("allow_branch_override").and_then(boolean).unwrap_or(stage.depth == 0),
            history: near("history").and_then(|(_, node)| spanned(node.get("remote")?)),
            gates: own("gates"),
            verify: own("verify").map_or_else(Verify::default, gates::verify),
            branch_workspaces: own("branch_workspaces").filter(|node| !node.is_null()),
            hold: own("hold").and_then(spanned),
            protected: own("protected").and_then(boolean).unwrap_or(false),
            rollout: own("rollout").map_or_else(Rollout::default, rollout),
            stage,
            templates,
            defaults,
        }
    }

    /// How the cluster is reached, where this version can.
    pub(crate) fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()?.engine.as_ref()
    }

    /// What a workspace of this name has from elsewhere: what every layer says, and what the main server hands on.
    pub(crate) fn provided(
        &self,
        reader: &Reader<'_>,
        root: &Node,
        name: &str,
        fields: &[Field],
    ) -> Vec<Text> {
        let layers = self.layers(&used(root));
        let nodes =
            self.provided.iter().copied().chain(layers.iter().filter_map(|(_, layer)| layer.get("provided")));
        let listed = nodes.chain(root.get("provided")).flat_map(Node::items).filter_map(Node::as_str);
        let mut provided: Vec<Text> = listed.map(Text::from).collect();
        let handed_on = self.server.map_or_else(Vec::new, |server| server.hands_on(reader, name, fields));
        provided.extend(
            handed_on.iter().filter_map(|field| field.path.as_str().strip_prefix("env.")).map(Text::from),
        );
        provided
    }

    /// The layers below a workspace's own, in order: the defaults, and the templates that it uses.
    pub(crate) fn layers(&self, used: &[Text]) -> Vec<(Layer, &'a Node)> {
        let mut layers = self.defaults.clone();
        for name in used {
            for node in self.templates.get(name.as_str()).into_iter().flatten() {
                layers.push((Layer::Template(name.clone()), node));
            }
        }
        layers
    }

    /// The layer above a workspace's own: what the main server gives it, whatever is declared.
    pub(crate) fn enforced(&self) -> Option<(Layer, &'a Node)> {
        of_server(self.server.as_ref(), &Layer::ServerEnforced)
    }

    /// What placeholders stand for in a workspace; without one, what is the same for all of the environment.
    pub(crate) fn variables(&self, folder: &Folder<'a>, workspace: Option<&'a str>) -> Variables<'a> {
        Variables {
            workspace,
            environment: Some(folder.name),
            cluster: self.cluster.map(|(name, _)| name.as_str()),
            branch: self.branch.map(|(name, _)| name.as_str()),
            branch_slug: None,
        }
    }
}

impl<'a> Scope<'a> {
    /// What placeholders stand for in a workspace, whose own `branch` counts where it may.
    pub(crate) fn variables_of(&self, folder: &Folder<'a>, stem: &'a str, root: &'a Node) -> Variables<'a> {
        let mut variables = self.variables(folder, Some(stem));
        if let Some((branch, _)) = layer::text(root, "branch").filter(|_| self.allow_branch_override) {
            variables.branch = Some(branch);
        }
        variables
    }
}

/// What the main server gives to every workspace, where it is this layer.
fn of_server<'a>(server: Option<&MainServer<'a>>, wanted: &Layer) -> Option<(Layer, &'a Node)> {
    server.and_then(MainServer::defaults).filter(|(layer, _)| layer == wanted)
}

/// Lays layers over one another, in [`layer::tree_order`].
pub(crate) fn inherit<'a>(reader: &Reader<'_>, layers: &[(Layer, &'a Node)]) -> Vec<Inherited<'a>> {
    let mut lower: Vec<Inherited<'a>> = Vec::new();
    for (layer, node) in layers {
        let settings = layer::settings(node, &layer::OWN_KEYS);
        let mut merged = Vec::with_capacity(lower.len() + settings.len());
        lay_over(&lower, &settings, &mut merged, Clone::clone, |setting| inherited(reader, layer, setting));
        lower = merged;
    }
    lower
}

fn inherited<'a>(reader: &Reader<'_>, layer: &Layer, setting: &layer::Setting<'a>) -> Inherited<'a> {
    let again = match setting.content {
        Content::Leaf(node) | Content::Item(node) => has_placeholder(node),
        Content::Empty | Content::Removed => false,
    };
    Inherited { field: field(reader, layer, setting), again: again.then(|| setting.clone()) }
}

/// The field that a setting gives.
pub(crate) fn field(reader: &Reader<'_>, layer: &Layer, setting: &layer::Setting<'_>) -> Field {
    Field {
        path: setting.path.clone(),
        value: reader.field_value(setting),
        span: setting.span,
        layer: layer.clone(),
    }
}

fn spanned(node: &Node) -> Option<Spanned<'_>> {
    match &node.kind {
        NodeKind::String(text) => Some((text, node.span)),
        _ => None,
    }
}

pub(crate) fn boolean(node: &Node) -> Option<bool> {
    match node.kind {
        NodeKind::Bool(value) => Some(value),
        _ => None,
    }
}

/// The limit of `limits.max_deletes`: a number, or text such as `30%`.
pub(crate) fn max_deletes(node: &Node) -> Option<MaxDeletes> {
    match &node.kind {
        NodeKind::Int(count) => u32::try_from(*count).ok().map(MaxDeletes::Count),
        NodeKind::String(text) => MaxDeletes::parse(text),
        _ => None,
    }
}

fn rollout(node: &Node) -> Rollout {
    let batch = match node.get("batch").map(|batch| &batch.kind) {
        Some(NodeKind::Int(batch)) => u32::try_from(*batch).ok().filter(|batch| *batch > 0),
        _ => None,
    };
    Rollout {
        batch,
        wait_for_runs: node
            .get("wait_for_runs")
            .and_then(Node::as_str)
            .and_then(Duration::parse)
            .map_or(0, Duration::seconds),
        stop_on_failure: node.get("stop_on_failure").and_then(boolean).unwrap_or(false),
    }
}

/// The engine that is declared; nothing unless exactly one is, with what it needs.
fn declared_engine(
    directory: &Directory<'_>,
    document: &Document<'_>,
    node: &Node,
) -> Option<DeclaredEngine> {
    let [entry] = node.entries() else { return None };
    let identity = |keys: [&str; 2]| -> Option<Text> {
        let first = entry.value.get(keys[0])?.as_str()?;
        let second = entry.value.get(keys[1]).and_then(Node::as_str).unwrap_or("");
        Some(format!("{} {second}", first.trim_end_matches('/')).into())
    };
    let (kind, identity, engine) = match entry.key.as_str() {
        "local" => {
            let path = entry.value.get("path")?.as_str()?;
            let path = relative_to_directory(&place_of(directory, document), path);
            ("local", path.clone(), Some(Engine::Local { path }))
        }
        "mage" => {
            let text = |node: &Node, key: &str| node.get(key).and_then(Node::as_str).map(Text::from);
            let namespace = text(&entry.value, "namespace");
            let kubernetes = entry.value.get("kubernetes").and_then(|node| {
                Some(KubernetesAccess { context: text(node, "context")?, namespace: text(node, "namespace") })
            });
            let edition = match entry.value.get("edition").and_then(Node::as_str) {
                Some("pro") => Edition::Pro,
                _ => Edition::Oss,
            };
            let url = entry.value.get("url")?.as_str()?.into();
            let server = MageServer { url, namespace, edition, kubernetes };
            ("mage", identity(["url", "namespace"])?, Some(Engine::Mage(server)))
        }
        "kubernetes" => ("kubernetes", identity(["context", "namespace"])?, None),
        _ => return None,
    };
    Some(DeclaredEngine { kind, identity, engine, span: entry.key_span })
}

/// The repository, with its path from the working directory where it is one.
fn repository(directory: &Directory<'_>, document: &Document<'_>, node: &Node) -> Option<DeclaredRepository> {
    let (url, url_span) = spanned(node.get("url")?)?;
    // Paths are compared relative to the declarations: the working directory, and the place of a checkout, do not count.
    let (url, identity) = match git::is_path(url) {
        true => (
            relative_to_directory(&place_of(directory, document), url),
            source::repository(&relative_to(directory.folder_of(document.file.id), url)),
        ),
        false => (url.clone(), source::repository(url)),
    };
    let folder = node.get("directory").and_then(spanned);
    let directory = folder.map(|(folder, span)| (folder.clone(), span));
    Some(DeclaredRepository { url, identity, url_span, directory })
}

/// The folder of a file: absolute, or relative to the working directory.
fn place_of<'d>(directory: &'d Directory<'_>, document: &Document<'_>) -> Cow<'d, str> {
    match (directory.loaded.root.to_string_lossy(), directory.folder_of(document.file.id)) {
        (root, "") => root,
        (root, folder) if root.is_empty() => Cow::Borrowed(folder),
        (root, folder) => Cow::Owned(Path::new(&*root).join(folder).to_string_lossy().into_owned()),
    }
}

/// Like [`relative_to`], for a folder that may be absolute itself.
fn relative_to_directory(folder: &str, path: &str) -> Text {
    match folder.strip_prefix('/') {
        Some(_) if !path.starts_with('/') => relative_to("", &format!("{folder}/{path}")),
        _ => relative_to(folder, path),
    }
}
