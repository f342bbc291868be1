//! MG303 and MG304: workspaces that share a database of Mage's own, in which it keeps triggers, runs and users.

use std::collections::{BTreeMap, HashSet};

use magus_model::{
    Text,
    desired::{Engine, Field, Workspace},
    diagnostic::{Diagnostic, Severity},
    exact,
    name::WorkspaceName,
    rules,
    value::{FieldValue, SecretSource, Value},
};

use crate::resolve::{Environs, Resolved, reader};

const DATABASE: &str = "env.MAGE_DATABASE_CONNECTION_URL";
const CODE_PATH: &str = "env.USER_CODE_PATH";
const IMAGE: &str = "container_config.image";

/// Which database a workspace uses, as far as the declarations tell. Two that are equal are one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Database<'a> {
    /// The one with this address.
    At(&'a Text),
    /// The one whose address apply gets here.
    From(&'a SecretSource),
    /// The one whose address stands in a Secret of Kubernetes: its namespace, its name and the key.
    In(Option<&'a Text>, &'a str, &'a str),
    /// That of the main server, which hands on its own where it has one; nobody says whether.
    OfMainServer,
}

/// A workspace that uses a database.
struct Tenant<'a> {
    name: &'a WorkspaceName,
    code_path: Option<(&'a Field, &'a Text)>,
    image: Option<(&'a Field, &'a Text)>,
}

/// Checks the workspaces of each cluster against each other.
pub(crate) fn check(
    workspaces: &[Resolved<'_>],
    environs: &[Environs<'_, '_>],
    findings: &mut Vec<Diagnostic>,
) {
    let handed_on: Vec<Vec<Field>> =
        workspaces.iter().map(|resolved| handed_on(resolved, environs)).collect();
    let mut databases: BTreeMap<(Option<&Text>, Database<'_>), Vec<Tenant<'_>>> = BTreeMap::new();
    for (resolved, handed_on) in workspaces.iter().zip(&handed_on) {
        let Some(workspace) = &resolved.workspace else { continue };
        let scope = &environs[resolved.environment].scope;
        let engine = scope.engine();
        let field = |path: &str| {
            let handed_on = || handed_on.iter().find(|field| field.path.as_str() == path);
            workspace.field(path).or_else(handed_on)
        };
        let is_told = scope.server.as_ref().is_some_and(|server| server.env().is_some());
        let database = match field(DATABASE) {
            Some(field) => database(field, workspace),
            None => (matches!(engine, Some(Engine::Mage(_))) && !is_told).then_some(Database::OfMainServer),
        };
        let Some(database) = database else { continue };
        let tenant = Tenant {
            name: &workspace.name,
            code_path: field(CODE_PATH).and_then(text),
            image: workspace.field(IMAGE).and_then(text),
        };
        let cluster = scope.cluster.map(|(name, _)| name);
        databases.entry((cluster, database)).or_default().push(tenant);
    }
    for ((_, database), tenants) in &databases {
        let is_certain = *database != Database::OfMainServer;
        share_triggers(tenants, is_certain, findings);
        if is_certain {
            migrate_each_other(tenants, findings);
        }
    }
}

/// MG303: Mage looks triggers up by the path of the code (`orchestration/db/models/schedules.py` of 0.9.80).
fn share_triggers(tenants: &[Tenant<'_>], is_certain: bool, findings: &mut Vec<Diagnostic>) {
    let mut by_path: BTreeMap<&Text, Vec<(&WorkspaceName, &Field)>> = BTreeMap::new();
    for tenant in tenants {
        if let Some((field, path)) = tenant.code_path {
            by_path.entry(path).or_default().push((tenant.name, field));
        }
    }
    for (path, sharing) in by_path {
        let [(first, of_first), (second, of_second), others @ ..] = &sharing[..] else { continue };
        let names = match others.len() {
            0 => format!("`{first}` and `{second}`"),
            more => format!("`{first}`, `{second}` and {more} more"),
        };
        let (severity, message) = if is_certain {
            let message = format!(
                "{names} have one database and one `USER_CODE_PATH`, `{path}`: each runs the triggers of all"
            );
            (rules::SHARED_TRIGGERS.severity, message)
        } else {
            let message = format!(
                "{names} have one `USER_CODE_PATH`, `{path}`: where the main server hands on its own database, each runs \
                 the triggers of all"
            );
            (Severity::Warning, message)
        };
        let finding = Diagnostic::new(&rules::SHARED_TRIGGERS, of_second.span, message)
            .help("give each workspace a path of its own, or a `MAGE_DATABASE_CONNECTION_URL` of its own");
        let finding = if of_first.span == of_second.span {
            finding
        } else {
            finding.related(of_first.span, format!("`{first}` has it from here"))
        };
        findings.push(Diagnostic { severity, ..finding });
    }
}

/// MG304: a Mage that starts brings the tables of its database to its own version.
fn migrate_each_other(tenants: &[Tenant<'_>], findings: &mut Vec<Diagnostic>) {
    let mut first: Option<(&WorkspaceName, &Text)> = None;
    let mut seen: HashSet<&Text> = HashSet::new();
    for Tenant { name, image, .. } in tenants {
        let Some((field, image)) = image else { continue };
        if !seen.insert(image) {
            continue;
        }
        if let Some((first, other)) = first {
            let message = format!(
                "`{name}` runs `{image}` on the database of `{first}`, which runs `{other}`: a Mage that starts changes \
                 its tables to its own version"
            );
            findings.push(
                Diagnostic::new(&rules::SHARED_DATABASE, field.span, message)
                    .help("give each a `MAGE_DATABASE_CONNECTION_URL` of its own, or all of them one image"),
            );
        }
        first = first.or(Some((name, image)));
    }
}

/// What a workspace gets from the main server of what is compared here, as far as somebody says.
fn handed_on(resolved: &Resolved<'_>, environs: &[Environs<'_, '_>]) -> Vec<Field> {
    let Environs { directory, folder, scope, .. } = &environs[resolved.environment];
    let (Some(workspace), Some(server)) = (&resolved.workspace, &scope.server) else { return Vec::new() };
    let reader = reader(directory, scope.variables(folder, Some(resolved.stem)));
    let mut handed_on = server.hands_on(&reader, workspace.name.as_str(), &workspace.fields);
    handed_on.retain(|field| [DATABASE, CODE_PATH].contains(&field.path.as_str()));
    exact(handed_on)
}

/// Nothing where nobody can say.
fn database<'a>(field: &'a Field, workspace: &'a Workspace) -> Option<Database<'a>> {
    match &field.value {
        FieldValue::Plain(Value::String(address)) => Some(Database::At(address)),
        FieldValue::Plain(value) => {
            let reference = value.as_map()?.get("valueFrom")?.as_map()?.get("secretKeyRef")?.as_map()?;
            let namespace = workspace.field("namespace").and_then(text).map(|(_, namespace)| namespace);
            Some(Database::In(namespace, reference.get("name")?.as_str()?, reference.get("key")?.as_str()?))
        }
        FieldValue::Secret(reference) => (!reference.keep).then_some(Database::From(&reference.source)),
    }
}

fn text(field: &Field) -> Option<(&Field, &Text)> {
    match &field.value {
        FieldValue::Plain(Value::String(text)) => Some((field, text)),
        _ => None,
    }
}
