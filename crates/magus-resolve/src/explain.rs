//! Where the values of one workspace come from.
//!
//! Computed anew for the one workspace that is asked about: the way that thousands take keeps no history.

use magus_load::{File, Loaded};
use magus_model::{
    Text,
    desired::{DesiredState, Field, Layer},
    name::WorkspaceName,
    path::FieldPath,
    span::{Origin, Span},
    tree::Node,
    value::{FieldValue, Value},
};
use serde::{Serialize, Serializer};

use crate::{
    Resolution, deploy,
    directory::{Directory, Folder, settings},
    layer::{self, Content, OWN_KEYS},
    placeholder,
    resolve::{Environs, default_state, effective, reader, used},
    scope::{DEFAULT_WORKSPACE_NAME, Scope},
    stages, suggest, sync,
};

/// The effective configuration of a workspace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The workspace as it is addressed: `ENVIRONMENT/WORKSPACE`.
    pub workspace: Text,
    /// Its values, ordered by path; its `name` in the cluster, `owner` and `state` are among them.
    pub entries: Vec<Explained>,
}

/// A value, and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// Its path.
    pub path: FieldPath,
    /// The value.
    pub value: FieldValue,
    /// The layer that gave it.
    #[serde(serialize_with = "as_text")]
    pub layer: Layer,
    /// Where it is written; nothing for what is built in.
    pub origin: Option<Origin>,
    /// What lower layers gave for the same path, the highest first. Not part of the JSON form.
    #[serde(skip)]
    pub overridden: Vec<Overridden>,
}

/// A value that a higher layer replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct Overridden {
    /// The value; nothing for a `null` that removed it.
    pub value: Option<FieldValue>,
    /// The layer that gave it.
    pub layer: Layer,
    /// Where it is written.
    pub origin: Option<Origin>,
}

fn as_text<S: Serializer>(layer: &Layer, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(layer)
}

/// Why nothing can be explained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// The address names no environment.
    #[error("there is no environment `{name}`")]
    NoEnvironment {
        /// What was asked for.
        name: String,
        /// What would help.
        help: String,
    },
    /// The environment has no such workspace.
    #[error("there is no workspace `{name}`")]
    NoWorkspace {
        /// What was asked for.
        name: String,
        /// What would help.
        help: String,
    },
    /// Several workspaces have the name.
    #[error("there is more than one workspace `{name}`")]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// What would help.
        help: String,
    },
    /// The workspace has no such value.
    #[error("`{workspace}` has no `{key}`")]
    NoKey {
        /// The workspace.
        workspace: Text,
        /// What was asked for.
        key: String,
        /// What would help.
        help: String,
    },
    /// The workspace's file does not parse.
    #[error("`{file}` cannot be read as a workspace")]
    Broken {
        /// The file.
        file: Text,
        /// What would help.
        help: String,
    },
}

impl ExplainError {
    /// What would help.
    pub fn help(&self) -> &str {
        match self {
            Self::NoEnvironment { help, .. }
            | Self::NoWorkspace { help, .. }
            | Self::Ambiguous { help, .. }
            | Self::NoKey { help, .. }
            | Self::Broken { help, .. } => help,
        }
    }
}

/// Explains the workspace at `ENVIRONMENT/WORKSPACE`, by its name in the declarations or in the cluster; the
/// environment may be left out where only one has such a workspace. With a key, only what is at or below it.
///
/// # Errors
/// Where the address or the key names nothing.
pub fn explain(
    resolution: &Resolution,
    loaded: &Loaded,
    address: &str,
    key: Option<&str>,
) -> Result<Explanation, ExplainError> {
    let settings = settings(loaded);
    let directory = Directory::new(loaded, &settings);
    let (at, stem, file) = find(&directory, resolution, address)?;
    let folder = &directory.environments[at];
    let workspace: Text = format!("{}/{stem}", folder.name).into();
    let document = loaded.parse(file);
    let Some(root) = &document.root else {
        let file = loaded.sources.file(file.id).map_or(file.path.as_str(), |file| &file.path);
        return Err(ExplainError::Broken {
            file: file.into(),
            help: "`magus lint` says what is wrong with it".to_owned(),
        });
    };
    let stage = stages::order(&directory, &mut Vec::new()).swap_remove(at);
    let environs = Environs::new(&directory, folder, Scope::new(&directory, Some(folder), stage));
    let reader = reader(&directory, environs.scope.variables_of(folder, stem, root));
    let mut fields = effective(&reader, &environs, root, &layer::settings(root, &OWN_KEYS), |_, _| {});
    let name = placeholder_name(&environs.scope, root, &reader.variables);
    if let Ok(name) = WorkspaceName::parse(&name) {
        let code = deploy::code(&environs.scope, folder.name, root, &name);
        sync::add_variables(&environs.scope, &reader, &name, code.as_ref(), &mut fields, &mut Vec::new());
    }
    let server = environs.scope.server.as_ref();
    let mut handed_on = server.map_or_else(Vec::new, |server| server.hands_on(&reader, &name, &fields));
    add_defaults(&mut fields, &environs.scope, root, &name);

    let mut layers = environs.scope.layers(&used(root));
    layers.push((Layer::Workspace, root));
    layers.extend(environs.scope.enforced());
    let settings: Vec<(Layer, Vec<layer::Setting<'_>>)> =
        layers.into_iter().map(|(layer, node)| (layer, layer::settings(node, &OWN_KEYS))).collect();
    let origin = |span| loaded.sources.origin(span);
    let explained = |Field { path, value, span, layer }, overridden| Explained {
        path,
        value,
        layer,
        origin: origin(span),
        overridden,
    };
    let mut entries: Vec<Explained> = fields
        .into_iter()
        .map(|field| {
            let given = settings.iter().rev().flat_map(|(layer, settings)| {
                settings
                    .iter()
                    .filter(|setting| setting.path == field.path)
                    .map(move |setting| (layer, setting))
            });
            let lower = given.skip_while(|(_, setting)| setting.span != field.span).skip(1);
            let mut overridden: Vec<Overridden> = lower
                .filter(|(_, setting)| !matches!(setting.content, Content::Empty))
                .map(|(layer, setting)| Overridden {
                    value: (!matches!(setting.content, Content::Removed))
                        .then(|| reader.field_value(setting)),
                    layer: layer.clone(),
                    origin: origin(setting.span),
                })
                .collect();
            let lowest = handed_on.extract_if(.., |handed| handed.path == field.path);
            overridden.extend(lowest.map(|Field { path: _, value, span, layer }| Overridden {
                value: Some(value),
                layer,
                origin: origin(span),
            }));
            explained(field, overridden)
        })
        .collect();
    if !handed_on.is_empty() {
        entries.extend(handed_on.into_iter().map(|field| explained(field, Vec::new())));
        entries.sort_by(|a, b| a.path.cmp(&b.path));
    }
    let Some(key) = key else { return Ok(Explanation { workspace, entries }) };
    let (found, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.path.is_within(key));
    if found.is_empty() {
        let known = others.iter().map(|entry| entry.path.as_str());
        let help = match suggest::closest(key, known) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("`magus explain {workspace}` shows all it has"),
        };
        return Err(ExplainError::NoKey { workspace, key: key.to_owned(), help });
    }
    Ok(Explanation { workspace, entries: found })
}

fn placeholder_name(scope: &Scope<'_>, root: &Node, variables: &placeholder::Variables<'_>) -> String {
    let pattern = layer::text(root, "name").or(scope.workspace_name);
    placeholder::fill(pattern.map_or(DEFAULT_WORKSPACE_NAME, |(pattern, _)| pattern), variables).into_owned()
}

/// The name in the cluster, and the state where nobody wrote one.
fn add_defaults(fields: &mut Vec<Field>, scope: &Scope<'_>, root: &Node, name: &str) {
    let (span, layer) = match (layer::text(root, "name"), scope.workspace_name) {
        (Some((_, span)), _) => (span, Layer::Workspace),
        (None, Some((_, span))) => (span, Layer::ClusterDefaults),
        (None, None) => (Span::BUILT_IN, Layer::BuiltIn),
    };
    let value = |text: &str| FieldValue::Plain(Value::string(text));
    fields.push(Field { path: FieldPath::key("name"), value: value(name), span, layer });
    if !fields.iter().any(|field| field.path.as_str() == "state") {
        let state: DesiredState = default_state(fields);
        fields.push(Field {
            path: FieldPath::key("state"),
            value: value(state.as_str()),
            span: Span::BUILT_IN,
            layer: Layer::BuiltIn,
        });
    }
    fields.sort_by(|a, b| a.path.cmp(&b.path));
}

/// The place of an environment in the directory, and the workspace in it.
type Found<'a> = (usize, &'a Text, &'a File);

fn find<'a>(
    directory: &Directory<'a>,
    resolution: &Resolution,
    address: &str,
) -> Result<Found<'a>, ExplainError> {
    let (environment, name) = match address.trim_end_matches(".yaml").split_once('/') {
        Some((environment, name)) => (Some(environment), name.rsplit('/').next().unwrap_or(name)),
        None => (None, address),
    };
    let wanted: Vec<(usize, &Folder<'a>)> = directory
        .environments
        .iter()
        .enumerate()
        .filter(|(_, folder)| environment.is_none_or(|environment| folder.name == environment))
        .collect();
    if let (Some(environment), true) = (environment, wanted.is_empty()) {
        let known = directory.environments.iter().map(|folder| folder.name.as_str());
        return Err(ExplainError::NoEnvironment {
            name: environment.to_owned(),
            help: suggest::help(environment, known, "no environment is declared"),
        });
    }
    let workspaces = |folder: &Folder<'a>| folder.workspaces.clone();
    let by_stem = |at: usize, folder: &Folder<'a>| -> Vec<Found<'a>> {
        workspaces(folder)
            .into_iter()
            .filter(|(stem, _)| *stem == name)
            .map(|(stem, file)| (at, stem, file))
            .collect()
    };
    let mut found: Vec<Found<'a>> = wanted.iter().flat_map(|(at, folder)| by_stem(*at, folder)).collect();
    if found.is_empty() {
        let in_cluster = |folder: &Folder<'a>| {
            let environments = resolution.desired.clusters.iter().flat_map(|cluster| &cluster.environments);
            let mut workspaces = environments
                .filter(|e| e.name == *folder.name)
                .flat_map(|environment| &environment.workspaces);
            workspaces.find(|workspace| workspace.name.as_str() == name).map(|workspace| workspace.span.file)
        };
        found = wanted
            .iter()
            .filter_map(|(at, folder)| {
                let file = in_cluster(folder)?;
                workspaces(folder)
                    .into_iter()
                    .find(|(_, d)| d.id == file)
                    .map(|(stem, file)| (*at, stem, file))
            })
            .collect();
    }
    match found[..] {
        [one] => Ok(one),
        [] => {
            let stems: Vec<&str> = wanted
                .iter()
                .flat_map(|(_, folder)| &folder.workspaces)
                .map(|(stem, _)| stem.as_str())
                .collect();
            let help = suggest::help(name, stems.iter().copied(), "no workspace is declared here");
            Err(ExplainError::NoWorkspace { name: address.to_owned(), help })
        }
        _ => {
            let addresses: Vec<String> = found
                .iter()
                .map(|(at, stem, file)| match environment {
                    None => format!("`{}/{stem}`", directory.environments[*at].name),
                    Some(_) => format!("`{}`", file.path),
                })
                .collect();
            Err(ExplainError::Ambiguous {
                name: address.to_owned(),
                help: format!("there are {}", addresses.join(", ")),
            })
        }
    }
}
