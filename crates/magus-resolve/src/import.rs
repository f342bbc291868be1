//! From a workspace that exists to the smallest file that declares it as it is.
//!
//! What the environment's layers give already is left out, and what they give and the workspace has not is `null`.
//! A value that came from a secret, or looks like one, is written as a reference that keeps the running value.

use std::collections::{BTreeMap, BTreeSet};

use magus_load::Loaded;
use magus_model::{
    Text,
    desired::{DesiredState, Field, Layer},
    name::WorkspaceName,
    observed::{ObservedField, ObservedWorkspace, RunState},
    path::FieldPath,
    secrecy,
    value::{FieldValue, SecretReference, SecretSource, Value},
};

use crate::{
    directory::{Directory, Folder, settings},
    placeholder::{self, Variables},
    resolve::{default_state, reader},
    scope::{DEFAULT_WORKSPACE_NAME, Scope, inherit},
    stages, suggest,
};

/// A file to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// Its stem: the workspace's name in the declarations. No workspace of the environment has it.
    pub stem: Text,
    /// Its keys and their values, in the order in which people write them.
    pub keys: Vec<(Text, Value)>,
    /// The fields that are written as secrets whose running value is kept.
    pub kept: Vec<FieldPath>,
}

/// Why a workspace cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// There is no such environment.
    #[error("there is no environment `{name}`")]
    NoEnvironment {
        /// What was asked for.
        name: String,
        /// What would help.
        help: String,
    },
    /// The name could not be declared.
    #[error("`{name}` cannot be declared: a name is lower-case letters, digits and `-`")]
    Name {
        /// The name in the cluster.
        name: WorkspaceName,
    },
    /// It holds secrets where none can be declared, such as in arguments.
    #[error("{} of `{name}` may hold a secret, and only `env` and `secrets` can refer to one", listed(paths))]
    Secrets {
        /// The name in the cluster.
        name: WorkspaceName,
        /// The fields.
        paths: Vec<FieldPath>,
    },
    /// A file with its name declares another workspace.
    #[error("`{environment}/{stem}.yaml` is there already")]
    Taken {
        /// The environment.
        environment: String,
        /// The file's stem.
        stem: String,
    },
}

fn listed(paths: &[FieldPath]) -> String {
    paths.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ")
}

/// The smallest file in an environment that resolves to a workspace as it is. `same` says whether two values of a
/// field mean the same.
///
/// # Errors
/// Where the environment does not exist, or the name could not be declared in it.
pub fn import_layer(
    loaded: &Loaded,
    environment: &str,
    observed: &ObservedWorkspace,
    same: &dyn Fn(&FieldPath, &FieldValue, &FieldValue) -> bool,
) -> Result<Imported, ImportError> {
    let settings = settings(loaded);
    let directory = Directory::new(loaded, &settings);
    let Some(at) = directory.environments.iter().position(|folder| folder.name == environment) else {
        let known = directory.environments.iter().map(|folder| folder.name.as_str());
        return Err(ImportError::NoEnvironment {
            name: environment.to_owned(),
            help: suggest::help(environment, known, "no environment is declared"),
        });
    };
    let folder = &directory.environments[at];
    let stage = stages::order(&directory, &mut Vec::new()).swap_remove(at);
    let scope = Scope::new(&directory, Some(folder), stage);
    let (stem, needs_name) = stem(&scope, folder, &observed.name)?;
    let variables = scope.variables(folder, Some(&stem));
    let lower: Vec<Field> = inherit(&reader(&directory, scope.variables(folder, None)), &scope.layers(&[]))
        .iter()
        .map(|inherited| inherited.field(&reader(&directory, variables)))
        .collect();

    let mut tree = Tree::default();
    let mut kept = Vec::new();
    let mut undeclarable = Vec::new();
    for field in &observed.fields {
        let inherited = lower.iter().find(|lower| lower.path == field.path);
        if inherited.is_some_and(|lower| stands(&lower.value, field, same)) {
            continue;
        }
        let value = match keep(field, &observed.sensitive) {
            Some(reference) => {
                kept.push(field.path.clone());
                reference.to_value()
            }
            None if holds_secret(field) => {
                undeclarable.push(field.path.clone());
                continue;
            }
            None => written(field, &variables),
        };
        tree.set(&keys(&field.path), value);
    }
    for path in removed(&lower, &observed.fields) {
        tree.set(&path, Value::Null);
    }
    if let Some(state) = state(&lower, observed) {
        tree.set(&["state".to_owned()], Value::string(state.as_str()));
    }
    if needs_name {
        tree.set(&["name".to_owned()], Value::string(observed.name.as_str()));
    }
    if undeclarable.is_empty() {
        Ok(Imported { stem, keys: tree.into_keys(), kept })
    } else {
        Err(ImportError::Secrets { name: observed.name.clone(), paths: undeclarable })
    }
}

/// The stem of the file, and whether the file has to name the workspace because `workspace_name` does not.
fn stem(scope: &Scope<'_>, folder: &Folder<'_>, name: &WorkspaceName) -> Result<(Text, bool), ImportError> {
    if WorkspaceName::parse(name.as_str()).is_err() {
        return Err(ImportError::Name { name: name.clone() });
    }
    let pattern = scope.workspace_name.map_or(DEFAULT_WORKSPACE_NAME, |(pattern, _)| pattern);
    let filled = |stem: &str| placeholder::fill(pattern, &scope.variables(folder, Some(stem))).into_owned();
    let taken = |stem: &str| folder.workspaces.iter().any(|(other, _)| *other == stem);
    // What stands before and after the name of the workspace.
    let mark = "\u{1}";
    let sample = filled(mark);
    let inner = sample.split_once(mark).and_then(|(before, after)| {
        let inner = name.as_str().strip_prefix(before)?.strip_suffix(after)?;
        (!inner.is_empty() && filled(inner) == name.as_str() && !taken(inner)).then(|| Text::from(inner))
    });
    // The stems of these two files have a meaning of their own.
    match inner.filter(|stem| !["cluster", "environment"].contains(&stem.as_str())) {
        Some(stem) => Ok((stem, false)),
        None if taken(name.as_str()) || ["cluster", "environment"].contains(&name.as_str()) => {
            Err(ImportError::Taken { environment: folder.name.to_string(), stem: name.to_string() })
        }
        None => Ok((name.as_str().into(), true)),
    }
}

/// Whether what lower layers give is what is there.
fn stands(
    lower: &FieldValue,
    observed: &ObservedField,
    same: &dyn Fn(&FieldPath, &FieldValue, &FieldValue) -> bool,
) -> bool {
    match lower {
        FieldValue::Secret(reference) if reference.keep => true,
        _ => same(&observed.path, lower, &observed.value),
    }
}

/// The reference under which a secret keeps its running value; nothing for what is no secret.
fn keep(field: &ObservedField, sensitive: &BTreeSet<FieldPath>) -> Option<SecretReference> {
    let keys = keys(&field.path);
    let [group, name] = &keys[..] else { return None };
    if group != "env" && group != "secrets" {
        return None;
    }
    let secret = match &field.value {
        FieldValue::Secret(_) => true,
        FieldValue::Plain(Value::List(_) | Value::Map(_)) => false,
        FieldValue::Plain(_) if sensitive.contains(&field.path) => true,
        FieldValue::Plain(value) => secrecy::may_be_secret(&field.path, value),
    };
    let variable: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    secret.then(|| SecretReference { source: SecretSource::Env(variable.into()), version: None, keep: true })
}

/// Whether a plain value may hold a secret that cannot be declared as a reference, such as an argument.
fn holds_secret(field: &ObservedField) -> bool {
    matches!(&field.value, FieldValue::Plain(value) if secrecy::may_be_secret(&field.path, value))
}

/// The value as it is declared: a literal `${` escaped where it would be filled in.
fn written(field: &ObservedField, variables: &Variables<'_>) -> Value {
    fn escaped(value: &Value, variables: &Variables<'_>, command: bool) -> Value {
        match value {
            Value::String(text) if command && placeholder::fill(text, variables) == text.as_str() => {
                value.clone()
            }
            Value::String(text) => Value::String(placeholder::escape(text).into()),
            Value::List(items) => {
                Value::List(items.iter().map(|item| escaped(item, variables, command)).collect())
            }
            Value::Map(map) => Value::Map(
                map.iter()
                    .map(|(key, value)| {
                        let command = command || ["command", "args"].contains(&key.as_str());
                        (key.clone(), escaped(value, variables, command))
                    })
                    .collect(),
            ),
            _ => value.clone(),
        }
    }
    let command = keys(&field.path).iter().any(|key| ["command", "args"].contains(&key.as_str()));
    escaped(&Value::from(field.value.clone()), variables, command)
}

/// The paths to be removed: the highest ones below which nothing is there.
fn removed(lower: &[Field], observed: &[ObservedField]) -> Vec<Vec<String>> {
    let there: Vec<Vec<String>> = observed.iter().map(|field| keys(&field.path)).collect();
    let mut removed: Vec<Vec<String>> = Vec::new();
    for field in lower {
        let path = keys(&field.path);
        let own_rules = matches!(path.first().map(String::as_str), Some("state" | "owner"));
        // A value at, above or below the path takes its place by itself.
        let replaced = there.iter().any(|other| other.starts_with(&path) || path.starts_with(other));
        if own_rules || replaced {
            continue;
        }
        let highest =
            (1..=path.len()).find(|length| !there.iter().any(|other| other.starts_with(&path[..*length])));
        let highest = path[..highest.unwrap_or(path.len())].to_vec();
        if !removed.contains(&highest) {
            removed.push(highest);
        }
    }
    removed
}

/// The state to be written; nothing where what is declared already leaves the workspace as it is.
fn state(lower: &[Field], observed: &ObservedWorkspace) -> Option<DesiredState> {
    let inherited =
        lower.iter().find(|field| field.path.as_str() == "state").map(|field| field.value.to_string());
    let declared = match inherited.as_deref() {
        Some("running") => DesiredState::Running,
        Some("stopped") => DesiredState::Stopped,
        Some("auto") => DesiredState::Auto,
        _ => {
            let fields: Vec<Field> = observed
                .fields
                .iter()
                .map(|ObservedField { path, value }| Field {
                    path: path.clone(),
                    value: value.clone(),
                    span: magus_model::span::Span::BUILT_IN,
                    layer: Layer::BuiltIn,
                })
                .collect();
            default_state(&fields)
        }
    };
    let wanted = match observed.state {
        RunState::Stopped => DesiredState::Stopped,
        RunState::Running | RunState::Pending | RunState::Failed => DesiredState::Running,
    };
    (declared != DesiredState::Auto && declared != wanted).then_some(wanted)
}

/// The keys of a path; one that does not parse is a key by itself.
fn keys(path: &FieldPath) -> Vec<String> {
    path.keys().unwrap_or_else(|| vec![path.to_string()])
}

/// Nested maps from paths.
#[derive(Default)]
struct Tree(BTreeMap<Text, Value>);

/// The order of a workspace's keys; the rest follows by name.
const ORDER: [&str; 7] = ["name", "owner", "state", "env", "secrets", "container_config", "lifecycle_config"];

impl Tree {
    fn set(&mut self, path: &[String], value: Value) {
        let Some((last, above)) = path.split_last() else { return };
        let mut map = &mut self.0;
        for key in above {
            let below = map.entry(key.as_str().into()).or_insert_with(|| Value::Map(BTreeMap::new()));
            if !matches!(below, Value::Map(_)) {
                *below = Value::Map(BTreeMap::new());
            }
            let Value::Map(next) = below else { return };
            map = next;
        }
        map.insert(last.as_str().into(), value);
    }

    fn into_keys(self) -> Vec<(Text, Value)> {
        let rank = |key: &str| ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len());
        let mut keys: Vec<(Text, Value)> = self.0.into_iter().collect();
        keys.sort_by_key(|(key, _)| rank(key));
        keys
    }
}
