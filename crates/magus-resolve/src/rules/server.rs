//! Rules about workspaces on a Mage server, with all layers applied: MG117, MG302, MG710, MG711; and about what is said of
//! that server: MG708.

use std::collections::{BTreeSet, HashMap};

use magus_model::{
    desired::{Edition, Engine, Field, Layer, MageServer},
    diagnostic::{Diagnostic, Severity},
    mage,
    path::FieldPath,
    rules,
    span::Span,
    tree::Node,
    value::FieldValue,
};

use crate::resolve::Environs;

/// What has no meaning where all workspaces have their folders on one volume of the server's.
const OF_THE_VOLUME: &[&str] =
    &["pvc_retention_policy", "storage_access_mode", "storage_class_name", "storage_request_size"];

/// What only Mage Pro understands in `container_config`.
const OF_PRO: &[&str] =
    &["container_config.image_tag", "container_config.public_url", "container_config.volumes"];

/// Names the volume that Mage Pro puts all workspaces on.
const SHARED_VOLUME: &str = "WORKSPACE_PVC_NAME";

/// Checks what is said of main servers: MG708 where it makes no difference.
pub(crate) fn check_facts(environs: &[Environs<'_, '_>], findings: &mut Vec<Diagnostic>) {
    let mut seen = BTreeSet::new();
    for scope in environs.iter().map(|environs| &environs.scope) {
        let (Some(server), Some(engine)) = (scope.server, &scope.engine) else { continue };
        let mut without_effect = |span: Span, message: String, help: &str| {
            if seen.insert(span) {
                findings.push(Diagnostic::new(&rules::NO_EFFECT, span, message).help(help));
            }
        };
        match server.edition {
            Some(Edition::Pro) => {}
            None => {
                let message = format!(
                    "`server` has no effect: it is about a Mage server, and the engine is `{}`",
                    engine.kind
                );
                without_effect(server.entry.key_span, message, "remove it");
            }
            Some(Edition::Oss) => {
                let pro = "remove it; with Mage Pro, say so: `engine: {mage: {edition: pro}}`";
                if let Some(entry) = server.entry.value.entry("workspace_defaults") {
                    let message = "`workspace_defaults` has no effect: open-source Mage has none".to_owned();
                    without_effect(entry.key_span, message, pro);
                }
                let is_known = |name: &str| {
                    [mage::DATABASE_SECRET, mage::LOGIN_SECRET].contains(&name)
                        || mage::HANDED_ON.contains(&name)
                };
                for entry in server.env().map_or(&[][..], Node::entries).iter().filter(|e| !is_known(&e.key))
                {
                    let message =
                        format!("`{}` has no effect: open-source Mage does not hand it on", entry.key);
                    without_effect(entry.key_span, message, pro);
                }
            }
        }
    }
}

/// MG710: what is declared, and what the main server makes of it; both in the order of layers.
pub(crate) fn overridden(declared: &[Field], fields: &[Field], findings: &mut Vec<Diagnostic>) {
    let declared: HashMap<&FieldPath, &Field> = declared.iter().map(|own| (&own.path, own)).collect();
    for field in fields.iter().filter(|field| field.layer == Layer::ServerEnforced) {
        let Some(own) = declared.get(&field.path) else { continue };
        if own.value.to_string() != field.value.to_string() {
            findings.push(
                Diagnostic::new(
                    &rules::SERVER_OVERRIDES,
                    own.span,
                    format!("`{}` is set by the main server to something else", field.path),
                )
                .related(field.span, "the server enforces this value")
                .help("remove it here, or `enforce` on the server"),
            );
        }
    }
}

/// Checks the fields of one workspace, ordered by path, where it lives on a Mage server. `file` is where it is declared.
pub(crate) fn check_fields(
    fields: &[Field],
    file: Span,
    environs: &Environs<'_, '_>,
    findings: &mut Vec<Diagnostic>,
) {
    let declared = environs.scope.engine();
    let Some(Engine::Mage(MageServer { edition, kubernetes, .. })) = declared else { return };
    let server = environs.scope.server;
    let shared =
        server.and_then(|server| server.variable(SHARED_VOLUME)).filter(|_| *edition == Edition::Pro);
    let has = |keys: &[&str]| fields.iter().any(|field| keys.contains(&field.path.as_str()));
    // Where what runs is seen, it is sent again.
    if *edition == Edition::Pro
        && kubernetes.is_none()
        && !has(&["container_config.image", "container_config.image_tag"])
    {
        findings.push(
            Diagnostic::new(
                &rules::NO_IMAGE,
                file,
                "no image is declared: Mage Pro gives it that of the main server, with every update",
            )
            .help("declare `container_config: {image: …}`, here or for all in `defaults` of cluster.yaml"),
        );
    }
    let has_address = has(&["ingress_name"]);
    for field in fields {
        if let Some(volume) = shared
            && OF_THE_VOLUME.contains(&field.path.as_str())
        {
            findings.push(
                Diagnostic::new(
                    &rules::SERVER_OVERRIDES,
                    field.span,
                    format!(
                        "`{}` has no effect: the main server has one volume for all workspaces",
                        field.path
                    ),
                )
                .related(volume.span, "the server puts them there")
                .help("remove it"),
            );
        }
        if let Some(prefix) = mage::OF_THE_POD.iter().find(|prefix| field.path.is_within(prefix))
            && *edition == Edition::Oss
            && kubernetes.is_none()
        {
            findings.push(
                Diagnostic::new(
                    &rules::ENGINE_LIMIT,
                    field.span,
                    format!(
                        "open-source Mage drops `{prefix}`: it belongs to the pod, and not to the container"
                    ),
                )
                .help(
                    "let Magus set it, with `kubernetes: {context: NAME}` beside the server's `url`; with Mage Pro, say so: \
                     `edition: pro`",
                ),
            );
        }
        if let Some(key) = OF_PRO.iter().find(|key| field.path.is_within(key))
            && *edition == Edition::Oss
        {
            findings.push(
                Diagnostic::new(
                    &rules::ENGINE_LIMIT,
                    field.span,
                    format!("open-source Mage does not know `{key}`"),
                )
                .help("remove it; with Mage Pro, say so: `edition: pro`"),
            );
        }
        if field.path.is_within("secrets") && *edition == Edition::Oss && !has_address {
            findings.push(
                Diagnostic::new(
                    &rules::ENGINE_LIMIT,
                    field.span,
                    format!("`{}` cannot be set: the workspace's own server has no address", field.path),
                )
                .help("declare `ingress_name`, or give it as a variable: `env: {NAME: {valueFrom: …}}`"),
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
