//! From files to the desired state: one pass over the settings, one in parallel over the workspaces.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use magus_load::{Comment, Document, File, Loaded, Role};
use magus_model::{
    Text,
    desired::{Cluster, Desired, DesiredState, Environment, Field, Layer, Workspace},
    diagnostic::Diagnostic,
    exact,
    name::WorkspaceName,
    rules as known,
    span::{FileId, Span},
    tree::Node,
    value::{FieldValue, Value},
};
use rayon::prelude::*;

use crate::{
    branches::{self, BranchFacts, OfBranches},
    deploy,
    directory::{Directory, Folder, settings},
    gates,
    layer::{self, OWN_KEYS, lay_over},
    lint::Lint,
    names,
    placeholder::{self, Variables},
    rules::{
        clusters,
        code::{DeclaredCode, Revision},
        databases, expansion, images, layers, server, texts, workspaces,
    },
    scope::{DEFAULT_WORKSPACE_NAME, Inherited, Scope, Spanned, field, inherit},
    stages::{self, Stage},
    suggest, sync,
    value::Reader,
};

/// The desired state, and everything that is wrong with the declarations as a whole.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// What should be. What could not be resolved is not in it, and there is a finding of severity error for it.
    pub desired: Desired,
    /// Every finding about texts and about what they say, with the rules' own severities.
    pub diagnostics: Vec<Diagnostic>,
    /// The comments that mean something to Magus, of the files that have any, in the order of the files.
    pub comments: Vec<FileComments>,
    /// The severities that `lint` sets.
    pub lint: Lint,
    /// Every environment that has a folder, even an empty one.
    pub environment_folders: Vec<Text>,
    /// The code of every environment with a repository, in the order of the environments.
    pub code: Vec<DeclaredCode>,
}

/// The comments of a file that mean something to Magus.
#[derive(Debug, Clone)]
pub struct FileComments {
    /// The file.
    pub file: FileId,
    /// Whether its text parses; where it does not, nobody knows what a comment would have silenced.
    pub parses: bool,
    /// The comments, in the order of the file.
    pub comments: Vec<Comment>,
}

/// An environment while it is resolved.
pub(crate) struct Environs<'d, 'a> {
    pub(crate) directory: &'d Directory<'a>,
    pub(crate) folder: &'d Folder<'a>,
    pub(crate) scope: Scope<'a>,
    /// The lower layers of its workspaces, by the templates that they use; each is made when it is first needed.
    lower: RwLock<BTreeMap<Vec<Text>, Arc<Vec<Inherited<'a>>>>>,
}

/// A workspace while it is resolved.
pub(crate) struct Resolved<'a> {
    pub(crate) environment: usize,
    pub(crate) file: &'a File,
    pub(crate) stem: &'a Text,
    /// Where its name in the cluster comes from.
    pub(crate) name_span: Span,
    pub(crate) workspace: Option<Workspace>,
    /// Its own branch and commit, where it may have them.
    pub(crate) revision: Option<Revision>,
}

/// Resolves the layers of every workspace and checks the rules that need more than one file.
///
/// Every file is parsed here, shown to `validate` and forgotten, so that no more trees are in memory than there are
/// threads. What cannot be parsed is skipped; everything else is still checked. `branches` is asked where workspaces come with
/// branches.
pub fn resolve(
    loaded: &Loaded,
    validate: impl Fn(&Document<'_>) -> Vec<Diagnostic> + Sync,
    branches: BranchFacts<'_>,
) -> Resolution {
    let settings = settings(loaded);
    let directory = Directory::new(loaded, &settings);
    let mut findings = Vec::new();
    let mut comments = Vec::new();
    let stages = stages::order(&directory, &mut findings);
    let environs: Vec<Environs<'_, '_>> = directory
        .environments
        .iter()
        .zip(stages)
        .map(|(folder, stage)| Environs::new(&directory, folder, Scope::new(&directory, Some(folder), stage)))
        .collect();
    let jobs: Vec<(usize, &Text, &File)> = environs
        .iter()
        .enumerate()
        .flat_map(|(at, environs)| {
            environs.folder.workspaces.iter().map(move |(stem, file)| (at, *stem, *file))
        })
        .collect();
    let resolved: Vec<(Resolved<'_>, Option<FileComments>, Vec<Diagnostic>)> = jobs
        .into_par_iter()
        .map(|(at, stem, file)| {
            let mut document = loaded.parse(file);
            let mut found = std::mem::take(&mut document.diagnostics);
            found.extend(validate(&document));
            let resolved = workspace((at, &environs[at]), stem, &document, &mut found);
            (resolved, FileComments::of(&mut document), found)
        })
        .collect();
    let mut workspaces = Vec::with_capacity(resolved.len());
    for (workspace, of_file, found) in resolved {
        findings.extend(found);
        comments.extend(of_file);
        workspaces.push(workspace);
    }
    for document in &settings {
        findings.extend(document.diagnostics.iter().cloned());
        findings.extend(validate(document));
        comments.extend(FileComments::of(&mut document.clone()));
        settings_file(document, &mut findings);
    }
    for environs in &environs {
        environment(environs, &mut findings);
    }
    clusters::check(&directory, &environs, &mut findings);
    server::check_facts(&environs, &mut findings);
    workspaces::check_together(&workspaces, &environs, &mut findings);
    images::check(&workspaces, &environs, &mut findings);
    databases::check(&workspaces, &environs, &mut findings);
    workspaces::once(&mut findings);
    comments.sort_by_key(|comments| comments.file);
    let code = code(&environs, &workspaces);
    let of_branches = branches::workspaces(&environs, &workspaces, branches, &mut findings);
    Resolution {
        code,
        desired: desired(&directory, &environs, workspaces, of_branches),
        diagnostics: findings,
        comments,
        lint: Lint::new(&directory),
        environment_folders: loaded.environments.clone(),
    }
}

impl FileComments {
    fn of(document: &mut Document<'_>) -> Option<Self> {
        let Document { file, root, comments, diagnostics: _ } = document;
        let comments = std::mem::take(comments);
        (!comments.is_empty()).then(|| Self { file: file.id, parses: root.is_some(), comments })
    }
}

impl<'d, 'a> Environs<'d, 'a> {
    pub(crate) fn new(directory: &'d Directory<'a>, folder: &'d Folder<'a>, scope: Scope<'a>) -> Self {
        Self { directory, folder, scope, lower: RwLock::default() }
    }

    /// The lower layers of a workspace that uses these templates.
    fn lower(&self, used: &[Text]) -> Arc<Vec<Inherited<'a>>> {
        // A map that somebody panicked over holds whole entries only.
        if let Some(known) = self.lower.read().unwrap_or_else(PoisonError::into_inner).get(used) {
            return known.clone();
        }
        let reader = reader(self.directory, self.scope.variables(self.folder, None));
        let made = Arc::new(inherit(&reader, &self.scope.layers(used)));
        let mut lower = self.lower.write().unwrap_or_else(PoisonError::into_inner);
        lower.entry(used.to_vec()).or_insert(made).clone()
    }
}

pub(crate) fn reader<'r>(directory: &'r Directory<'_>, variables: Variables<'r>) -> Reader<'r> {
    Reader { sources: &directory.loaded.sources, folders: &directory.folders, variables }
}

/// The templates that a workspace uses.
pub(crate) fn used(root: &Node) -> Vec<Text> {
    let list = root.get("use").map_or(&[][..], Node::items);
    list.iter().filter_map(text_of).cloned().collect()
}

fn text_of(node: &Node) -> Option<&Text> {
    match &node.kind {
        magus_model::tree::NodeKind::String(text) => Some(text),
        _ => None,
    }
}

/// Checks a `cluster.yaml` or `environment.yaml` by itself.
fn settings_file(document: &Document<'_>, findings: &mut Vec<Diagnostic>) {
    let Some(root) = &document.root else { return };
    if matches!(document.file.role, Role::Cluster { .. }) {
        clusters::check_file(root, findings);
    }
    texts::check(texts::Kind::Settings, root, findings);
    let templates = root.get("templates").map_or(&[][..], Node::entries).iter().map(|entry| &entry.value);
    let of_server = root.get("server").and_then(|server| server.get("workspace_defaults"));
    for layer in root.get("defaults").into_iter().chain(templates).chain(of_server) {
        layers::check(layer, findings);
    }
}

/// Checks what holds for a whole environment.
fn environment(environs: &Environs<'_, '_>, findings: &mut Vec<Diagnostic>) {
    let Environs { directory: _, folder, scope, lower } = environs;
    findings.extend(names::pattern_fault(scope));
    if let Some((document, root)) = folder.environment.and_then(|found| Some((found, found.root.as_ref()?))) {
        deploy::check(&document.file.role, root, scope, findings);
        sync::check(scope, findings);
        gates::check(root, scope, findings);
    }
    let lower = lower.read().unwrap_or_else(PoisonError::into_inner);
    let again = lower.values().flat_map(|list| list.iter()).filter_map(|inherited| inherited.again.as_ref());
    workspaces::branchless(again, &scope.variables(folder, None), folder.name, findings);
}

fn workspace<'a>(
    (at, environs): (usize, &Environs<'_, 'a>),
    stem: &'a Text,
    document: &Document<'a>,
    findings: &mut Vec<Diagnostic>,
) -> Resolved<'a> {
    let Environs { directory, folder, scope, .. } = environs;
    let file = document.file;
    let mut resolved = Resolved {
        environment: at,
        file,
        stem,
        name_span: Span::start_of(file.id),
        workspace: None,
        revision: None,
    };
    let Some(root) = &document.root else { return resolved };
    let owned = |key| layer::text(root, key).map(|(text, span)| (text.clone(), span));
    resolved.revision = Some(Revision { branch: owned("branch"), commit: owned("commit") })
        .filter(|own| scope.allow_branch_override && *own != Revision::default());
    unknown_templates(root, scope, findings);
    layers::check(root, findings);
    texts::check(texts::Kind::Workspace, root, findings);
    deploy::check(&file.role, root, scope, findings);
    workspaces::overrides(root, environs, findings);

    let reader = reader(directory, scope.variables_of(folder, stem, root));
    let own = layer::settings(root, &OWN_KEYS);
    workspaces::branchless(&own, &reader.variables, folder.name, findings);
    workspaces::removes_nothing(&own, &environs.lower(&used(root)), findings);
    let mut fields = effective(&reader, environs, root, &own, |declared, enforced| {
        server::overridden(declared, enforced, findings);
    });
    let pattern = layer::text(root, "name").or(scope.workspace_name);
    if let Some((_, span)) = layer::text(root, "name") {
        resolved.name_span = span;
    }
    let name =
        placeholder::fill(pattern.map_or(DEFAULT_WORKSPACE_NAME, |(pattern, _)| pattern), &reader.variables);
    let parsed = WorkspaceName::parse(&name);
    let code = parsed.as_ref().ok().and_then(|name| deploy::code(scope, folder.name, root, name));
    if let Ok(name) = &parsed {
        sync::add_variables(scope, &reader, name, code.as_ref(), &mut fields, findings);
    }
    workspaces::check_fields(&fields, environs, findings);
    server::check_fields(&fields, root.span, environs, findings);
    let Apart { state, state_span, owner } = Apart::take(&mut fields);
    let provided = parsed
        .as_ref()
        .map_or_else(|_| Vec::new(), |name| scope.provided(&reader, root, name.as_str(), &fields));
    expansion::check(&fields, &provided, findings);
    match parsed {
        Ok(name) => {
            resolved.workspace = Some(Workspace {
                name,
                declared: stem.clone(),
                state,
                state_span,
                fields,
                moved_from: layer::text(root, "moved_from").map(|(name, span)| (name.clone(), span)),
                owner,
                code,
                provided,
                span: Span::start_of(file.id),
            });
        }
        Err(fault) => findings.extend(names::invalid_workspace(&name, fault, &resolved, scope)),
    }
    resolved
}

/// The fields of a workspace with all layers applied, ordered by path; `state` and `owner` are still among them. Where
/// the main server has a layer above all others, `overridden` is shown the fields without it and with it.
pub(crate) fn effective(
    reader: &Reader<'_>,
    environs: &Environs<'_, '_>,
    root: &Node,
    own: &[layer::Setting<'_>],
    overridden: impl FnOnce(&[Field], &[Field]),
) -> Vec<Field> {
    let lower = environs.lower(&used(root));
    let mut fields = Vec::with_capacity(lower.len() + own.len());
    lay_over(
        &lower,
        own,
        &mut fields,
        |inherited: &Inherited<'_>| inherited.field(reader),
        |setting| field(reader, &Layer::Workspace, setting),
    );
    if let Some((layer, node)) = environs.scope.enforced() {
        let declared = std::mem::take(&mut fields);
        let settings = layer::settings(node, &OWN_KEYS);
        lay_over(&declared, &settings, &mut fields, Field::clone, |setting| field(reader, &layer, setting));
        overridden(&declared, &fields);
    }
    if !fields.is_sorted_by(|a, b| a.path < b.path) {
        fields.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    }
    exact(fields)
}

pub(crate) fn unknown_templates(root: &Node, scope: &Scope<'_>, findings: &mut Vec<Diagnostic>) {
    for item in root.get("use").map_or(&[][..], Node::items) {
        let Some(name) = item.as_str().filter(|name| !scope.templates.contains_key(name)) else { continue };
        findings.push(
            Diagnostic::new(&known::UNKNOWN_TEMPLATE, item.span, format!("there is no template `{name}`"))
                .help(suggest::help(name, scope.templates.keys().copied(), "no template is declared here")),
        );
    }
}

/// What layers say of a workspace that is no part of its configuration.
pub(crate) struct Apart {
    pub(crate) state: DesiredState,
    /// Where the state was written; built in where nobody wrote it.
    pub(crate) state_span: Span,
    pub(crate) owner: Option<Text>,
}

impl Apart {
    /// Takes it out of the fields.
    pub(crate) fn take(fields: &mut Vec<Field>) -> Self {
        let (state, state_span) = take(fields, "state")
            .and_then(|field| Some((state(&field.value)?, field.span)))
            .unwrap_or_else(|| (default_state(fields), Span::BUILT_IN));
        let owner = take(fields, "owner").and_then(|field| match field.value {
            FieldValue::Plain(Value::String(owner)) => Some(owner),
            _ => None,
        });
        Self { state, state_span, owner }
    }
}

fn take(fields: &mut Vec<Field>, path: &str) -> Option<Field> {
    let at = fields.binary_search_by(|field| field.path.as_str().cmp(path)).ok()?;
    Some(fields.remove(at))
}

fn state(value: &FieldValue) -> Option<DesiredState> {
    match value {
        FieldValue::Plain(Value::String(state)) => match state.as_str() {
            "running" => Some(DesiredState::Running),
            "stopped" => Some(DesiredState::Stopped),
            "auto" => Some(DesiredState::Auto),
            _ => None,
        },
        _ => None,
    }
}

/// The path of the switch of auto-termination.
pub(crate) const AUTO_TERMINATION: &str = "lifecycle_config.termination_policy.enable_auto_termination";

/// A workspace that stops by itself is not started again by whoever applies next.
pub(crate) fn default_state(fields: &[Field]) -> DesiredState {
    let switch = fields.binary_search_by(|field| field.path.as_str().cmp(AUTO_TERMINATION));
    match switch.map(|at| &fields[at].value) {
        Ok(FieldValue::Plain(Value::Bool(true))) => DesiredState::Auto,
        _ => DesiredState::Running,
    }
}

/// The code of every environment with a repository.
fn code(environs: &[Environs<'_, '_>], workspaces: &[Resolved<'_>]) -> Vec<DeclaredCode> {
    let owned = |(text, span): Spanned<'_>| (text.clone(), span);
    let of = |(at, Environs { folder, scope, .. }): (usize, &Environs<'_, '_>)| {
        let repository = scope.repository.clone()?;
        let own = workspaces.iter().filter(|resolved| resolved.environment == at);
        Some(DeclaredCode {
            repository,
            environment: folder.name.clone(),
            promotes_from: scope.stage.promotes_from.clone(),
            last: scope.stage.last,
            pinned: scope.deploy.is_some_and(|(word, _)| word == "pinned"),
            revision: Revision { branch: scope.branch.map(owned), commit: scope.commit.map(owned) },
            own: own.filter_map(|resolved| resolved.revision.clone()).collect(),
        })
    };
    environs.iter().enumerate().filter_map(of).collect()
}

/// The cluster of an environment without any environment, and what tells it from another of the same name; `None` if this version
/// cannot reach it.
pub(crate) fn cluster(scope: &Scope<'_>) -> Option<(Cluster, Text)> {
    let (name, span) = scope.cluster?;
    let declared = scope.engine.as_ref()?;
    let cluster = Cluster {
        name: name.clone(),
        managed_by: scope.managed_by.map_or_else(|| name.clone(), |(owner, _)| owner.clone()),
        engine: declared.engine.clone()?,
        declared_on: scope.declared_on.map(|(branch, _)| branch.clone()),
        history: scope.history.map(|(remote, _)| remote.clone()),
        max_deletes: scope.max_deletes,
        environments: Vec::new(),
        span,
    };
    Some((cluster, declared.identity.clone()))
}

/// Puts the workspaces into their environments, and those into the clusters that this version can reach. Without any
/// environment the cluster is still there: it may have workspaces that are not declared any more.
fn desired(
    directory: &Directory<'_>,
    environs: &[Environs<'_, '_>],
    workspaces: Vec<Resolved<'_>>,
    mut of_branches: Vec<Option<OfBranches>>,
) -> Desired {
    let mut by_environment: Vec<Vec<Workspace>> = environs.iter().map(|_| Vec::new()).collect();
    for resolved in workspaces {
        by_environment[resolved.environment].extend(resolved.workspace);
    }
    let mut clusters: BTreeMap<(Text, Text), Cluster> = BTreeMap::new();
    if environs.is_empty()
        && let Some((made, identity)) = cluster(&Scope::new(directory, None, Stage::default()))
    {
        clusters.insert((made.name.clone(), identity), made);
    }
    of_branches.resize_with(environs.len(), || None);
    for ((Environs { folder, scope, .. }, mut workspaces), of_branches) in
        environs.iter().zip(by_environment).zip(of_branches)
    {
        let Some((made, identity)) = cluster(scope) else { continue };
        let branch_workspaces = of_branches.map(|OfBranches { declared, workspaces: more }| {
            workspaces.extend(more);
            declared
        });
        workspaces.sort_by(|a, b| a.name.cmp(&b.name));
        let cluster = clusters.entry((made.name.clone(), identity)).or_insert(made);
        cluster.environments.push(Environment {
            name: folder.name.clone(),
            stage: scope.stage.depth,
            promotes_from: scope.stage.promotes_from.clone(),
            protected: scope.protected,
            rollout: scope.rollout,
            gates: scope.gates.map(gates::gates).unwrap_or_default(),
            verify: scope.verify.clone(),
            hold: scope.hold.map(|(reason, _)| reason.clone()),
            branch_workspaces,
            workspaces,
            span: folder.span(),
        });
    }
    let mut clusters: Vec<Cluster> = clusters.into_values().collect();
    for cluster in &mut clusters {
        cluster.environments.sort_by(|a, b| (a.stage, &a.name).cmp(&(b.stage, &b.name)));
    }
    Desired { clusters }
}
