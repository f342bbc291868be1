//! Rules about texts wherever they stand in a file: MG109 placeholders, MG301 secrets.

use std::collections::BTreeSet;

use magus_model::{
    diagnostic::Diagnostic,
    rules, secrecy,
    span::Span,
    tree::{Node, NodeKind},
};

use crate::{
    placeholder::{BRANCH_SLUG, KNOWN, Piece, has_any, pieces},
    suggest,
};

/// What `${…}` is in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fill {
    /// A placeholder of Magus, or a mistake.
    Values,
    /// A placeholder of Magus, or something of the shell's.
    Commands,
    /// Nothing of Magus.
    Raw,
}

/// Which of a file's own keys are filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `cluster.yaml` and `environment.yaml`: the layers in it, what the main server gives, and `workspace_name`.
    Settings,
    /// A workspace: everything but what names other things.
    Workspace,
}

impl Kind {
    fn fills(self, key: &str) -> Fill {
        let filled = match self {
            Kind::Settings => {
                ["branch_workspaces", "defaults", "server", "templates", "workspace_name"].contains(&key)
            }
            Kind::Workspace => !["use", "moved_from", "commit", "deploy"].contains(&key),
        };
        if filled { Fill::Values } else { Fill::Raw }
    }
}

/// Checks every text of a file.
pub(crate) fn check(kind: Kind, root: &Node, findings: &mut Vec<Diagnostic>) {
    for entry in root.entries() {
        let slug = kind == Kind::Settings && entry.key == "branch_workspaces";
        let place = Place { name: Some(&entry.key), item: false, fill: kind.fills(&entry.key), slug };
        walk(&entry.value, place, findings);
    }
}

/// Where a text stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The variable or key that holds it.
    name: Option<&'a str>,
    /// Whether it is an item of a list under that key.
    item: bool,
    fill: Fill,
    /// Whether `${branch_slug}` stands for something.
    slug: bool,
}

fn walk(node: &Node, place: Place<'_>, findings: &mut Vec<Diagnostic>) {
    match &node.kind {
        NodeKind::String(text) => {
            secret(text, node.span, place, findings);
            if place.fill == Fill::Values && has_any(text) {
                placeholders(text, node.span, place, findings);
            }
        }
        NodeKind::List(items) => {
            let mut flag = None;
            for item in items {
                // `--password`, and then the password.
                let (name, is_item) = flag.take().map_or((place.name, true), |flag| (Some(flag), false));
                walk(item, Place { name, item: is_item, ..place }, findings);
                flag = item.as_str().filter(|text| secrecy::is_flag(text));
            }
        }
        NodeKind::Map(entries) => {
            // An item of `container_config.env`: the name of the variable says what its value is.
            let variable = node.get("name").and_then(Node::as_str);
            for entry in entries {
                let name = variable.filter(|_| entry.key == "value").unwrap_or(&entry.key);
                let fill = match (place.fill, entry.key.as_str()) {
                    (Fill::Raw, _) => Fill::Raw,
                    (_, "command") if place.name == Some("secret") => Fill::Raw,
                    (_, "command" | "args") => Fill::Commands,
                    (fill, _) => fill,
                };
                walk(&entry.value, Place { name: Some(name), item: false, fill, ..place }, findings);
            }
        }
        NodeKind::Null | NodeKind::Bool(_) | NodeKind::Int(_) | NodeKind::Float(_) => {}
    }
}

fn secret(text: &str, span: Span, place: Place<'_>, findings: &mut Vec<Diagnostic>) {
    let Some(what) = secrecy::resemblance(place.name, text) else { return };
    let holder = match place.name {
        Some(name) if place.item => format!("an item of `{name}`"),
        Some(name) => format!("`{name}`"),
        None => "a text".to_owned(),
    };
    let reference = match place.name {
        Some(name) if !place.item && is_variable(name) => format!("`{name}: {{secret: {{env: {name}}}}}`"),
        _ => "`{secret: {env: NAME}}` in a variable".to_owned(),
    };
    findings.push(Diagnostic::new(&rules::SECRET_LITERAL, span, format!("{holder} holds what looks like {what}")).help(
        format!(
            "refer to it instead: {reference}, or `valueFrom` for a secret in Kubernetes; and replace it where it came \
             from, because git keeps it"
        ),
    ));
}

fn is_variable(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// So many placeholders of one text are named.
const MOST_PLACEHOLDERS: usize = 10;

fn placeholders(text: &str, span: Span, place: Place<'_>, findings: &mut Vec<Diagnostic>) {
    let hidden = place.name.is_some_and(|name| secrecy::kind_of_name(name).is_some());
    let mut messages: BTreeSet<String> = BTreeSet::new();
    let mut more = 0_usize;
    for piece in pieces(text) {
        let (message, help) = match piece {
            Piece::Text(_) => continue,
            Piece::Placeholder { name, .. } if KNOWN.contains(&name) => continue,
            Piece::Placeholder { name: BRANCH_SLUG, .. } if place.slug => continue,
            Piece::Placeholder { name, .. } if is_plain(name) && !hidden => (
                format!("there is no placeholder `${{{name}}}`"),
                match suggest::closest(name, KNOWN) {
                    Some(close) => format!(
                        "did you mean `${{{close}}}`? a literal `${{{name}}}` is written `$${{{name}}}`"
                    ),
                    None => format!(
                        "a literal `${{{name}}}` is written `$${{{name}}}`; the placeholders are {}",
                        known()
                    ),
                },
            ),
            Piece::Placeholder { .. } => (
                "there is no such placeholder as this `${…}`".to_owned(),
                format!("a literal `${{` is written `$${{`; the placeholders are {}", known()),
            ),
            Piece::Open(_) => {
                ("a placeholder `${` is not closed".to_owned(), "a literal `${` is written `$${`".to_owned())
            }
        };
        if messages.contains(&message) {
            continue;
        }
        if messages.len() == MOST_PLACEHOLDERS {
            more += 1;
            continue;
        }
        messages.insert(message.clone());
        findings.push(Diagnostic::new(&rules::UNKNOWN_PLACEHOLDER, span, message).help(help));
    }
    if more > 0 {
        let message = format!("this text has {more} more unknown placeholders");
        findings.push(
            Diagnostic::new(&rules::UNKNOWN_PLACEHOLDER, span, message)
                .help("fix the first ones: they are probably all alike"),
        );
    }
}

fn known() -> String {
    KNOWN.map(|name| format!("`${{{name}}}`")).join(", ")
}

fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (1..=40).contains(&name.len()) && name.bytes().all(plain)
}
