//! MG709: the last stage runs an image that no stage before it has tried.

use std::{cmp::Ordering, collections::BTreeSet};

use magus_model::{
    desired::{Field, Workspace},
    diagnostic::Diagnostic,
    image, rules,
    value::{FieldValue, Value},
};

use crate::resolve::{Environs, Resolved};

/// Checks the images of each last stage against those of the stages that lead to it.
pub(crate) fn check(
    workspaces: &[Resolved<'_>],
    environs: &[Environs<'_, '_>],
    findings: &mut Vec<Diagnostic>,
) {
    for (at, last) in environs.iter().enumerate().filter(|(_, environs)| environs.scope.stage.last) {
        let before = stages_before(last, environs);
        let tried: BTreeSet<&str> = workspaces
            .iter()
            .filter(|resolved| before.contains(&resolved.environment))
            .filter_map(|resolved| image_of(resolved.workspace.as_ref()?))
            .map(|(_, image)| image)
            .collect();
        if tried.is_empty() {
            continue;
        }
        // An older one has been tried before the newer one took its place.
        let was_tried = |image: &str| {
            let is_newer = |tried: &&str| image::compare(tried, image) == Some(Ordering::Greater);
            tried.contains(image) || tried.iter().any(is_newer)
        };
        let own = workspaces.iter().filter(|resolved| resolved.environment == at);
        for (field, image) in own.filter_map(|resolved| image_of(resolved.workspace.as_ref()?)) {
            if !was_tried(image) {
                let name = last.folder.name;
                findings.push(
                    Diagnostic::new(
                        &rules::UNTRIED_IMAGE,
                        field.span,
                        format!("`{name}` runs `{image}`, and no stage before it does"),
                    )
                    .help("let the stage before run it first, or declare the image once, for all stages"),
                );
            }
        }
    }
}

/// The environments that lead to this one.
fn stages_before(last: &Environs<'_, '_>, environs: &[Environs<'_, '_>]) -> BTreeSet<usize> {
    let mut before = BTreeSet::new();
    let mut stage = &last.scope.stage;
    while let Some(name) = &stage.promotes_from {
        let Some(at) = environs.iter().position(|environs| environs.folder.name == name.as_str()) else {
            break;
        };
        if !before.insert(at) {
            break;
        }
        stage = &environs[at].scope.stage;
    }
    before
}

fn image_of(workspace: &Workspace) -> Option<(&Field, &str)> {
    let field = workspace.field("container_config.image")?;
    match &field.value {
        FieldValue::Plain(Value::String(image)) => Some((field, image.as_str())),
        _ => None,
    }
}
