//! Rules about one layer by itself, wherever it is written: MG110, MG201, MG204, MG205, MG206, MG701.

use std::collections::HashMap;

use magus_model::{
    diagnostic::Diagnostic,
    invisible,
    quantity::Quantity,
    rules,
    span::Span,
    tree::{Entry, Node},
};

use crate::placeholder::{self, Variables};

/// Checks a layer: `defaults`, a template, or a workspace's own file.
pub(crate) fn check(layer: &Node, findings: &mut Vec<Diagnostic>) {
    for entry in layer.entries() {
        match entry.key.as_str() {
            "env" => {
                for variable in entry.value.entries().iter().filter(|variable| !variable.value.is_null()) {
                    variable_name(&variable.key, variable.key_span, findings);
                }
            }
            "container_config" => container(&entry.value, layer.get("env"), findings),
            "storage_request_size" => findings.extend(quantity("storage_request_size", &entry.value)),
            _ => {}
        }
    }
}

/// The container's keys that are Mage's own, and why.
const OF_MAGE: [(&str, &str); 3] = [
    ("name", "Mage finds its container by the name that it gave it"),
    ("ports", "they replace Mage's own, and the workspace is no longer reachable"),
    ("volumeMounts", "they replace Mage's own, and the workspace loses its volume at /home/src"),
];

fn container(node: &Node, env: Option<&Node>, findings: &mut Vec<Diagnostic>) {
    for entry in node.entries() {
        if entry.value.is_null() {
            continue;
        }
        match entry.key.as_str() {
            "env" => listed_variables(entry, env, findings),
            "image" => findings.extend(image(&entry.value, node.get("image_tag"))),
            "image_tag" => findings.extend(image_tag(&entry.value)),
            "resources" => {
                for amounts in ["requests", "limits"].iter().filter_map(|key| entry.value.get(key)) {
                    findings.extend(amounts.entries().iter().filter_map(|e| quantity(&e.key, &e.value)));
                }
            }
            key => {
                let Some((key, why)) = OF_MAGE.iter().find(|(of_mage, _)| *of_mage == key) else { continue };
                findings.push(
                    Diagnostic::new(
                        &rules::CONTAINER_KEY,
                        entry.key_span,
                        format!("`{key}` in `container_config` breaks the workspace"),
                    )
                    .help(format!("remove it: {why}")),
                );
            }
        }
    }
}

/// `container_config.env` becomes `env`, so that a variable in both has two values.
fn listed_variables(list: &Entry, env: Option<&Node>, findings: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    let of_env: HashMap<&str, Span> =
        env.map_or(&[][..], Node::entries).iter().map(|entry| (entry.key.as_str(), entry.key_span)).collect();
    for item in list.value.items() {
        let Some(node) = item.get("name") else { continue };
        let Some(name) = node.as_str() else { continue };
        variable_name(name, node.span, findings);
        if let Some(span) = of_env.get(name) {
            findings.push(
                Diagnostic::new(
                    &rules::ENV_TWICE,
                    node.span,
                    format!("`{name}` is written in `env` and in `container_config.env`"),
                )
                .related(*span, "it is also written here")
                .help("keep the one in `env`"),
            );
        } else if let Some(first) = seen.insert(name, node.span) {
            findings.push(
                Diagnostic::new(
                    &rules::ENV_TWICE,
                    node.span,
                    format!("`{name}` is written twice in `container_config.env`"),
                )
                .related(first, "it is first written here")
                .help("keep one of them, best as `env`, which is a map"),
            );
        }
    }
}

/// Variables that Mage gives every workspace itself, and what another value breaks. Mage appends what is declared
/// after its own without removing any (MAGE.md 4.7), so that the declared one wins. `USER_CODE_PATH` is not among
/// them: Mage tells people to set it.
const RESERVED: &[(&str, &str)] = &[
    ("KUBE_NAMESPACE", "Mage creates the workspace's own jobs in the namespace that it names"),
    ("PROJECT_TYPE", "Mage sets it so that the workspace does not take itself for the main project"),
    ("PROJECT_UUID", "permissions belong to the project that it names; Mage makes it for each workspace"),
    ("MAGE_BASE_PATH", "the ingress path of the workspace is made from it"),
    ("INITIAL_METADATA", "Mage writes the project's first metadata.yaml from it"),
    ("CLUSTER_TYPE", "Mage chooses by it how workspaces are managed"),
    ("HOSTNAME", "Kubernetes sets it to the pod's name, by which Mage finds itself"),
];

fn variable_name(name: &str, span: Span, findings: &mut Vec<Diagnostic>) {
    if let Some(fault) = name_fault(name) {
        let shown: String = name.chars().flat_map(char::escape_default).take(80).collect();
        let message = if name.is_empty() {
            "a variable without a name".to_owned()
        } else {
            format!("`{shown}` cannot be a variable's name: it {fault}")
        };
        findings.push(
            Diagnostic::new(&rules::VARIABLE_NAME, span, message)
                .help("Kubernetes takes letters, digits, `_`, `-` and `.`, and no digit first"),
        );
    } else if let Some((_, why)) = RESERVED.iter().find(|(reserved, _)| *reserved == name) {
        findings.push(
            Diagnostic::new(
                &rules::RESERVED_VARIABLE,
                span,
                format!("`{name}` is a variable that Mage sets itself"),
            )
            .help(format!("remove it: {why}")),
        );
    }
}

/// What keeps a text from being a variable's name, by Kubernetes' `IsEnvVarName`.
fn name_fault(name: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(fits) {
        return None;
    }
    if let Some(found) = invisible::first(name) {
        return Some(format!("has the invisible character {}", invisible::describe(found)));
    }
    let first = name.chars().next();
    match name.chars().find(|c| !fits(*c)) {
        _ if first.is_none() => Some("is empty".to_owned()),
        Some('=') => Some("has a `=`".to_owned()),
        Some('\0') => Some("has a NUL character".to_owned()),
        Some(c) if c.is_whitespace() => Some("has a space or line break".to_owned()),
        Some(c) if c.is_control() => Some(format!("has the character U+{:04X}", u32::from(c))),
        Some(c) => Some(format!("has a `{c}`")),
        None if first.is_some_and(|c| c.is_ascii_digit()) => Some("begins with a digit".to_owned()),
        None if name == "." || name.starts_with("..") => Some("begins like a path".to_owned()),
        None => None,
    }
}

fn quantity(key: &str, node: &Node) -> Option<Diagnostic> {
    let text = node.as_str().filter(|text| !placeholder::has_any(text))?;
    let fault = match Quantity::parse(text) {
        None => "is no amount",
        Some(amount) if amount.is_negative() => "is less than nothing",
        Some(_) => return None,
    };
    let finding = Diagnostic::new(&rules::INVALID_QUANTITY, node.span, format!("`{key}: {text}` {fault}"));
    Some(finding.help(match mended(text) {
        Some(mended) if fault == "is no amount" => format!("did you mean `{mended}`?"),
        _ => "an amount is a number with a suffix such as `m`, `Mi` or `Gi`: `500m`, `2`, `4Gi`".to_owned(),
    }))
}

/// What was probably meant: `4GB`, `4 Gi`, `512mb`, `4gi`.
fn mended(text: &str) -> Option<String> {
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let digits = compact.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|at| *at > 0)?;
    let (number, unit) = compact.split_at(digits);
    let unit = match unit.to_ascii_lowercase().as_str() {
        "kb" | "kib" | "ki" | "kbi" => "Ki",
        "mb" | "mib" | "mi" | "mbi" => "Mi",
        "gb" | "gib" | "gi" | "g" | "gbi" => "Gi",
        "tb" | "tib" | "ti" | "t" => "Ti",
        "cpu" | "cpus" | "core" | "cores" => "",
        "mcpu" => "m",
        _ => return None,
    };
    let mended = format!("{number}{unit}");
    Quantity::parse(&mended).map(|_| mended)
}

/// The tag of an image, nothing where there is none; a digest counts as a tag that never moves.
fn image(node: &Node, separate: Option<&Node>) -> Option<Diagnostic> {
    let text = node.as_str().filter(|text| !text.is_empty())?;
    let sample = Variables {
        workspace: Some("a"),
        environment: Some("a"),
        cluster: Some("a"),
        branch: Some("a"),
        branch_slug: Some("a"),
    };
    let filled = placeholder::fill(text, &sample);
    if filled.contains('@') || separate.is_some_and(|tag| !tag.is_null()) {
        return None;
    }
    let last = filled.rsplit('/').next().unwrap_or(&filled);
    match last.split_once(':') {
        Some((_, "latest")) => {
            Some(moving(node.span, &format!("the image `{text}` is whatever was pushed last")))
        }
        Some((_, tag)) if !tag.is_empty() => None,
        _ => Some(moving(node.span, &format!("the image `{text}` has no tag"))),
    }
}

fn image_tag(node: &Node) -> Option<Diagnostic> {
    (node.as_str() == Some("latest"))
        .then(|| moving(node.span, "the image's tag `latest` is whatever was pushed last"))
}

fn moving(span: Span, message: &str) -> Diagnostic {
    Diagnostic::new(&rules::IMAGE_TAG, span, message).help(
        "name a version, such as `mageai/mageai:0.9.80`, or a digest: else a restart may bring another Mage",
    )
}
