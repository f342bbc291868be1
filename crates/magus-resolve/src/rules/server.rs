//! Rules about workspaces on a Mage server, with all layers applied: MG117, MG302.

use magus_model::{
    desired::{Edition, Engine, Field, MageServer},
    diagnostic::{Diagnostic, Severity},
    rules,
    value::FieldValue,
};

use crate::resolve::Environs;

/// What belongs to a pod. Open source hands it to Kubernetes inside the container, where it is dropped without a word.
const OF_THE_POD: &[&str] =
    &["container_config.affinity", "container_config.nodeSelector", "container_config.tolerations"];

/// Checks the fields of one workspace, ordered by path, where it lives on a Mage server.
pub(crate) fn check_fields(fields: &[Field], environs: &Environs<'_, '_>, findings: &mut Vec<Diagnostic>) {
    let declared = environs.scope.engine.as_ref().and_then(|declared| declared.engine.as_ref());
    let Some(Engine::Mage(MageServer { edition, .. })) = declared else { return };
    for field in fields {
        if let Some(prefix) = OF_THE_POD.iter().find(|prefix| field.path.is_within(prefix))
            && *edition == Edition::Oss
        {
            findings.push(
                Diagnostic::new(
                    &rules::ENGINE_LIMIT,
                    field.span,
                    format!(
                        "open-source Mage drops `{prefix}`: it belongs to the pod, and not to the container"
                    ),
                )
                .help("take it out; with Mage Pro, say so: `engine: {mage: {edition: pro}}`"),
            );
        }
        if field.path.is_within("secrets") {
            findings.push(
                Diagnostic::new(
                    &rules::ENGINE_LIMIT,
                    field.span,
                    format!("`{}`: this version of Magus does not write Mage's own secrets on a server", field.path),
                )
                .help("set it in Mage, or give it to the workspace as a variable: `env: {NAME: {valueFrom: …}}`"),
            );
        }
        if field.path.is_within("env") && matches!(field.value, FieldValue::Secret(_)) {
            readable(field, environs, findings);
        }
    }
}

/// MG302: what is resolved stands in container_config, which Mage shows to everybody who may look at workspaces.
fn readable(field: &Field, environs: &Environs<'_, '_>, findings: &mut Vec<Diagnostic>) {
    let protected = environs.scope.protected;
    let severity = if protected { Severity::Error } else { rules::READABLE_SECRET.severity };
    findings.push(Diagnostic {
        severity,
        ..Diagnostic::new(
            &rules::READABLE_SECRET,
            field.span,
            format!("every viewer of the server can read the value of `{}`", field.path),
        )
        .help("let Kubernetes hold it: `{valueFrom: {secretKeyRef: {name: NAME, key: KEY}}}`")
    });
}
