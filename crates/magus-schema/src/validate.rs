//! Checks documents against the built-in schemas.

use std::sync::LazyLock;

use jsonschema::{Validator, error::ValidationErrorKind};
use magus_model::{
    diagnostic::Diagnostic,
    files::{ClusterFile, DATE_FORMAT, DATE_TIME_FORMAT, Date, EnvironmentFile, Timestamp, WorkspaceFile},
    rules,
    span::{Sources, Span},
    tree::{DecodeError, Node, decode},
};
use serde_json::Value;

use crate::{
    SchemaKind,
    explain::{self, MOST_EXPLAINED, Violation},
    instance::Tree,
    kinds,
    place::Place,
};

/// A schema, ready to be used by any number of threads.
pub(crate) struct Compiled {
    validator: Validator<Tree>,
    pub schema: Value,
}

/// The schema of a kind of file, compiled when it is first needed.
pub(crate) fn compiled(kind: SchemaKind) -> &'static Compiled {
    static CLUSTER: LazyLock<Compiled> = LazyLock::new(|| compile(SchemaKind::Cluster));
    static ENVIRONMENT: LazyLock<Compiled> = LazyLock::new(|| compile(SchemaKind::Environment));
    static WORKSPACE: LazyLock<Compiled> = LazyLock::new(|| compile(SchemaKind::Workspace));
    match kind {
        SchemaKind::Cluster => &CLUSTER,
        SchemaKind::Environment => &ENVIRONMENT,
        SchemaKind::Workspace => &WORKSPACE,
    }
}

fn compile(kind: SchemaKind) -> Compiled {
    let schema: Value = serde_json::from_str(kinds::text(kind)).expect("a built-in schema is JSON");
    let validator = jsonschema::options_for::<Tree>()
        .with_format(DATE_TIME_FORMAT, |text: &str| Timestamp::parse(text).is_some())
        .with_format(DATE_FORMAT, |text: &str| Date::parse(text).is_some())
        .should_validate_formats(true)
        .build(&schema)
        .expect("a built-in schema is a schema");
    Compiled { validator, schema }
}

/// Checks a document against the schema of its kind: all violations, in the order in which they stand in the file.
///
/// A document that the schema accepts has to decode; where it does not, that is a fault of ours (MG099). This is
/// asked of cluster and environment files always, and of workspaces in debug builds alone: there are many of them,
/// and a property test asks it of far more.
pub fn validate(kind: SchemaKind, root: &Node, sources: &Sources) -> Vec<Diagnostic> {
    let compiled = compiled(kind);
    if compiled.validator.is_valid(root) {
        return match kind {
            SchemaKind::Workspace if !cfg!(debug_assertions) => Vec::new(),
            SchemaKind::Cluster | SchemaKind::Environment | SchemaKind::Workspace => {
                check_decode(kind, root).into_iter().collect()
            }
        };
    }
    let errors: Vec<_> = compiled.validator.iter_errors(root).collect();
    let found: usize = errors.iter().map(|error| how_many(error.kind())).sum();
    let violations: Vec<Violation<'_>> = errors
        .iter()
        .take(MOST_EXPLAINED)
        .map(|error| Violation {
            place: Place::find(root, &compiled.schema, error.instance_path().as_str()),
            kind: error.kind(),
            dependency: error.schema_path().as_str().contains("/dependencies"),
        })
        .collect();
    let mut diagnostics = explain::explain(kind, &compiled.schema, &violations, sources);
    diagnostics.sort_by(|a, b| (a.span, a.rule.code, &a.message).cmp(&(b.span, b.rule.code, &b.message)));
    // Of two keys that cannot be beside each other, each one objects; and what several aliases bring is written
    // once, and mended once.
    diagnostics.dedup_by(|a, b| {
        let mended_at_once = a.fix.is_some() && a.fix == b.fix;
        a.span == b.span && a.rule == b.rule && (mended_at_once || a.message == b.message)
    });
    diagnostics.truncate(MOST_EXPLAINED);
    if found > MOST_EXPLAINED {
        let message =
            format!("more than {MOST_EXPLAINED} faults in this file, of which the rest is not shown");
        let help = "mend the first ones: they are probably all alike";
        diagnostics
            .push(Diagnostic::new(&rules::INVALID_VALUE, Span::start_of(root.span.file), message).help(help));
    }
    diagnostics
}

/// How many faults an error of the validator stands for.
fn how_many(kind: &Kind) -> usize {
    match kind {
        Kind::AdditionalProperties { unexpected } => unexpected.len(),
        _ => 1,
    }
}

/// Decodes a document that the schema accepts, and says where that fails.
pub fn check_decode(kind: SchemaKind, root: &Node) -> Option<Diagnostic> {
    let decoded = match kind {
        SchemaKind::Cluster => decode::<ClusterFile>(root).map(drop),
        SchemaKind::Environment => decode::<EnvironmentFile>(root).map(drop),
        SchemaKind::Workspace => decode::<WorkspaceFile>(root).map(drop),
    };
    // The error's own text may quote a value, and a value may be a secret.
    let DecodeError { span, message: _ } = decoded.err()?;
    let message = "the schema accepts this value, but Magus cannot read it";
    Some(
        Diagnostic::new(&rules::INTERNAL, span, message)
            .help("this is a fault of Magus: please report it with this part of the file, secrets left out"),
    )
}

/// Whether the schema accepts a document.
#[cfg(test)]
pub(crate) fn is_valid(kind: SchemaKind, root: &Node) -> bool {
    compiled(kind).validator.is_valid(root)
}

/// The kinds of violations that our schemas can cause; the rest of the validator's kinds never occurs.
pub(crate) type Kind = ValidationErrorKind;
