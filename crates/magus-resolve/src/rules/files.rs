//! Rules about the modeline of a file (MG703, MG704).

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use magus_load::{CommentKind, Loaded, Role};
use magus_model::{Text, diagnostic::Diagnostic, rules, span::Span};

use super::clusters::VERSION;
use crate::Resolution;

/// What a look at the schema that a modeline names gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaFile {
    /// There is no such file, or it cannot be read.
    Missing,
    /// There is one, written by this version of Magus; nothing where it says of none.
    Version(Option<String>),
}

/// Checks the schemas that modelines name. `look` gets each path once: absolute, or relative to the working
/// directory, as [`Loaded::root`] is. Addresses on the network are left alone.
pub fn check_modelines(
    loaded: &Loaded,
    resolution: &Resolution,
    look: impl Fn(&Path) -> SchemaFile,
) -> Vec<Diagnostic> {
    let mut seen: HashMap<(&str, &Text), (PathBuf, SchemaFile)> = HashMap::new();
    let mut findings = Vec::new();
    for comments in &resolution.comments {
        let Ok(at) = loaded.files.binary_search_by_key(&comments.file, |file| file.id) else { continue };
        let file = &loaded.files[at];
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for comment in &comments.comments {
            let CommentKind::Modeline { schema, span } = &comment.kind else { continue };
            let local = schema.strip_prefix("file://").unwrap_or(schema);
            if local.contains("://") || local == "none" {
                continue;
            }
            let (_, found) = seen.entry((folder, schema)).or_insert_with(|| {
                let path = loaded.root.join(folder).join(local);
                let found = look(&path);
                (path, found)
            });
            findings.extend(modeline(schema, *span, found, kind(&file.role)));
        }
    }
    findings
}

fn kind(role: &Role) -> &'static str {
    match role {
        Role::Cluster { .. } => "cluster",
        Role::Environment { .. } => "environment",
        Role::Workspace { .. } => "workspace",
    }
}

fn modeline(schema: &str, span: Span, found: &SchemaFile, kind: &str) -> Option<Diagnostic> {
    let write = format!(
        "`magus schema {kind} > FILE` writes it, with the file's own path; `magus init` writes all of them"
    );
    match found {
        SchemaFile::Missing => Some(
            Diagnostic::new(&rules::SCHEMA_MISSING, span, format!("the schema `{schema}` does not exist"))
                .help(write),
        ),
        // A schema that says of no version is somebody's own.
        SchemaFile::Version(None) => None,
        SchemaFile::Version(Some(version)) if version == VERSION => None,
        SchemaFile::Version(Some(version)) => Some(
            Diagnostic::new(
                &rules::SCHEMA_OUTDATED,
                span,
                format!("the schema `{schema}` is of Magus {version}, and this is {VERSION}"),
            )
            .help(write),
        ),
    }
}
