//! What stands in the `.env` of a workspace: its variables, and Mage's own secrets under a prefix.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs, io,
    path::Path,
    sync::Arc,
};

use magus_engine::PerformError;
use magus_model::{
    expansion,
    path::FieldPath,
    value::{FieldValue, SecretReference, Value},
};
use magus_secrets::{Resolver, SecretValue};
use zeroize::Zeroizing;

use crate::{
    dotenv,
    fingerprint::{Fingerprint, FingerprintKey},
};

/// Before the names of Mage's own secrets.
const MAGE_SECRET: &str = "MAGE_SECRET_";

/// A file that is to be written, and what is kept of the values that were sent with it.
pub(crate) struct EnvFile {
    pub(crate) text: Zeroizing<String>,
    pub(crate) fingerprints: Vec<(FieldPath, Fingerprint)>,
}

/// What a file is made from.
pub(crate) struct EnvRequest<'a> {
    /// The configuration that the workspace will have.
    pub(crate) fields: &'a BTreeMap<FieldPath, FieldValue>,
    /// The file as it is.
    pub(crate) current: &'a Path,
    /// Whether the value of a secret is to be resolved, and not to be carried over.
    pub(crate) send: &'a dyn Fn(&FieldPath) -> bool,
    pub(crate) secrets: &'a Resolver,
    pub(crate) key: &'a FingerprintKey,
}

/// A line of the file.
enum Line<'a> {
    Text(String),
    /// `valueFrom`: whoever runs the workspace gets the value.
    Elsewhere(&'a Value),
    Secret(&'a SecretReference),
}

/// Whether a field is part of the file.
pub(crate) fn concerns(path: &FieldPath) -> bool {
    path.is_within("env") || path.is_within("secrets")
}

/// The file, with every secret that it needs resolved or carried over.
pub(crate) fn env_file(request: &EnvRequest<'_>) -> Result<EnvFile, PerformError> {
    let EnvRequest { fields, current, send, secrets, key } = *request;
    let lines = lines(fields)?;
    let mut values: HashMap<&str, Arc<SecretValue>> = HashMap::new();
    let mut fingerprints = Vec::new();
    let mut carried = None;
    for (name, (path, line)) in &lines {
        let Line::Secret(reference) = line else { continue };
        if reference.keep || !send(path) {
            let carried = match &mut carried {
                Some(carried) => carried,
                None => carried.insert(read(current)?),
            };
            if let Some(value) = carried.get(name.as_str()) {
                values.insert(name, Arc::new(SecretValue::new(value.to_string())));
                continue;
            }
        }
        // Where nothing runs that has a value, also one that is to be kept comes from its source.
        let value = resolve(path, reference, secrets)?;
        fingerprints.push(((*path).clone(), key.fingerprint(path, &value)));
        values.insert(name, value);
    }
    let expanded = expanded(&lines, &values)?;
    Ok(EnvFile { text: text(&lines, &values, &expanded), fingerprints })
}

/// Resolves the secret of a field.
pub(crate) fn resolve(
    path: &FieldPath,
    reference: &SecretReference,
    secrets: &Resolver,
) -> Result<Arc<SecretValue>, PerformError> {
    secrets.resolve(reference).map_err(|error| PerformError::Failed(format!("`{path}`: {}", error.explain())))
}

/// The secrets that a file should have and has not; all of them where it cannot be read.
pub(crate) fn missing(fields: &BTreeMap<FieldPath, FieldValue>, current: &Path) -> BTreeSet<FieldPath> {
    let values = read(current).unwrap_or_default();
    let lines = lines(fields).unwrap_or_default();
    let secrets = lines.into_iter().filter(|(_, (_, line))| matches!(line, Line::Secret(_)));
    secrets.filter(|(name, _)| !values.contains_key(name)).map(|(_, (path, _))| path.clone()).collect()
}

/// The lines by the names of their variables.
fn lines(
    fields: &BTreeMap<FieldPath, FieldValue>,
) -> Result<BTreeMap<String, (&FieldPath, Line<'_>)>, PerformError> {
    let mut lines = BTreeMap::new();
    for (path, value) in fields.iter().filter(|(path, _)| concerns(path)) {
        let keys = path.keys().unwrap_or_default();
        // Deeper or shallower ones are no variables; people may have put them into the record.
        let [section, name] = keys.as_slice() else { continue };
        let name = if section == "secrets" { format!("{MAGE_SECRET}{name}") } else { name.clone() };
        if !dotenv::is_name(&name) {
            return Err(PerformError::Failed(format!(
                "`{path}`: a variable's name consists of letters, digits, `_`, `-` and `.`, and does not begin with a digit"
            )));
        }
        let line = match value {
            FieldValue::Secret(reference) => Line::Secret(reference),
            FieldValue::Plain(value @ Value::Map(_)) => Line::Elsewhere(value),
            FieldValue::Plain(Value::String(text)) => Line::Text(text.to_string()),
            FieldValue::Plain(other) => Line::Text(other.to_string()),
        };
        if let Line::Text(text) = &line
            && text.contains('\0')
        {
            return Err(PerformError::Failed(format!("`{path}` has a NUL byte in it")));
        }
        if lines.insert(name, (path, line)).is_some() {
            return Err(PerformError::Failed(format!(
                "`{path}` and a variable of `env` have the same name in `.env`"
            )));
        }
    }
    Ok(lines)
}

/// The longest value that references may make of a variable, in bytes. Linux starts no process with one of 128 KiB.
const LONGEST: usize = 128 << 10;

/// The values of variables that refer to others, expanded as Kubernetes expands them.
fn expanded<'l>(
    lines: &'l BTreeMap<String, (&FieldPath, Line<'_>)>,
    values: &HashMap<&str, Arc<SecretValue>>,
) -> Result<HashMap<&'l str, Zeroizing<String>>, PerformError> {
    let template = |name: &str| match lines.get(name) {
        Some((path, Line::Text(text))) if path.is_within("env") => Some((*path, text.as_str())),
        _ => None,
    };
    let references: BTreeMap<&str, Vec<&str>> = lines
        .keys()
        .filter_map(|name| Some((name.as_str(), expansion::references(template(name)?.1).collect())))
        .collect();
    let mut expanded: HashMap<&str, Zeroizing<String>> = HashMap::new();
    for name in expansion::order(&references).names {
        let Some(((path, text), (name, _))) = template(name).zip(lines.get_key_value(name)) else { continue };
        let known = |reference: &str| {
            let secret = || values.get(reference).map(|value| value.expose());
            expanded.get(reference).map(|value| value.as_str()).or_else(secret)
        };
        let length: usize = references
            .get(name.as_str())
            .map_or(0, |references| references.iter().filter_map(|one| known(one)).map(str::len).sum());
        if length > LONGEST {
            return Err(PerformError::Failed(format!(
                "`{path}` refers to more than {} KiB of other variables",
                LONGEST >> 10
            )));
        }
        let value = Zeroizing::new(expansion::expand(text, known).into_owned());
        expanded.insert(name.as_str(), value);
    }
    Ok(expanded)
}

fn text(
    lines: &BTreeMap<String, (&FieldPath, Line<'_>)>,
    values: &HashMap<&str, Arc<SecretValue>>,
    expanded: &HashMap<&str, Zeroizing<String>>,
) -> Zeroizing<String> {
    // Enough for everything in quotes and its remarks, so that no copy is left behind where the text outgrows its memory.
    let secrets: usize = values.values().map(|value| 2 * value.expose().len()).sum();
    let texts: usize = expanded.values().map(|text| 2 * text.len()).sum();
    let others: usize = lines
        .iter()
        .map(|(name, (_, line))| {
            8 * name.len() + 256 + if let Line::Text(text) = line { 2 * text.len() } else { 0 }
        })
        .sum();
    let mut out = Zeroizing::new(String::with_capacity(secrets + texts + others + 256));
    dotenv::push_comment(&mut out, "written by magus; the next apply overwrites what is changed here");
    for (name, (_, line)) in lines {
        match line {
            Line::Text(text) => {
                let text = expanded.get(name.as_str()).map_or(text.as_str(), |text| text.as_str());
                dotenv::push_variable(&mut out, name, text);
            }
            Line::Elsewhere(value) => dotenv::push_comment(&mut out, &format!("{name} comes from {value}")),
            Line::Secret(_) => {
                let value = values.get(name.as_str()).map_or("", |value| value.expose());
                dotenv::push_variable(&mut out, name, value);
            }
        }
    }
    out
}

/// The values of a file; none where there is no file. Nothing of its content is in an error.
fn read(path: &Path) -> Result<HashMap<String, Zeroizing<String>>, PerformError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => {
            return Err(crate::trouble::failed(format!("`{}` cannot be read", path.display()), &error));
        }
    };
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| PerformError::Failed(format!("`{}` is not UTF-8", path.display())))?;
    let values = dotenv::parse(text).map_err(|line| {
        PerformError::Failed(format!(
            "`{}`, line {line}, is no variable; repair it or remove the file",
            path.display()
        ))
    })?;
    Ok(values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
