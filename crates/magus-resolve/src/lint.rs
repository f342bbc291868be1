//! The severities that `lint` sets.

use std::collections::BTreeMap;

use magus_load::Role;
use magus_model::{
    Text,
    desired::LintSettings,
    diagnostic::{Diagnostic, Severity},
    rules::{self, RULES},
    tree::{Entry, Node, NodeKind},
};

use crate::{directory::Directory, settle::may_be_lowered, suggest};

/// The severities that `lint` sets: for everything, and for each environment with a cluster.yaml of its own.
#[derive(Debug, Clone, Default)]
pub struct Lint {
    /// The root cluster.yaml's.
    pub root: LintSettings,
    /// Those of each environment, the root's included.
    pub environments: BTreeMap<Text, LintSettings>,
}

impl Lint {
    pub(crate) fn new(directory: &Directory<'_>) -> Self {
        let read = |root: Option<&Node>, into: &mut LintSettings| {
            for entry in root.and_then(|root| root.get("lint")).map_or(&[][..], Node::entries) {
                if let Some(level) = level(&entry.value) {
                    into.insert(entry.key.as_str().into(), (level, entry.key_span));
                }
            }
        };
        let mut root = LintSettings::new();
        read(directory.cluster.and_then(|document| document.root.as_ref()), &mut root);
        let environments = directory
            .environments
            .iter()
            .map(|folder| {
                let mut settings = root.clone();
                read(folder.cluster.and_then(|document| document.root.as_ref()), &mut settings);
                (folder.name.clone(), settings)
            })
            .collect();
        Self { root, environments }
    }

    /// The settings that hold for a document.
    pub fn of(&self, role: &Role) -> &LintSettings {
        let environment = match role {
            Role::Cluster { environment } => environment.as_ref(),
            Role::Environment { environment } | Role::Workspace { environment, .. } => Some(environment),
        };
        environment.and_then(|name| self.environments.get(name)).unwrap_or(&self.root)
    }
}

/// What is wrong with one setting of `lint`.
pub(crate) fn check(entry: &Entry) -> Option<Diagnostic> {
    let Some(rule) = rules::find(&entry.key) else {
        let finding = Diagnostic::new(
            &rules::INVALID_VALUE,
            entry.key_span,
            format!("there is no rule `{}`", entry.key),
        );
        return Some(match suggest::closest(&entry.key, RULES.iter().map(|rule| rule.code)) {
            Some(close) => finding.help(format!("did you mean `{close}`?")),
            None => match RULES.iter().find(|rule| rule.name == entry.key) {
                Some(rule) => finding.help(format!("rules are set by their codes: `{}`", rule.code)),
                None => finding.help("`docs/rules/README.md` lists the rules"),
            },
        });
    };
    let lowers = level(&entry.value).is_some_and(|level| level < Some(rule.severity));
    (lowers && !may_be_lowered(rule)).then(|| {
        let message = format!("`{}` is always an error", rule.code);
        Diagnostic::new(&rules::INVALID_VALUE, entry.value.span, message)
            .help("while it is there, not everything that is declared is known: mend what it finds, and remove this")
    })
}

/// The level, where it is one; the inner nothing is `off`.
fn level(node: &Node) -> Option<Option<Severity>> {
    match &node.kind {
        NodeKind::String(level) => match level.as_str() {
            "off" => Some(None),
            "hint" => Some(Some(Severity::Hint)),
            "warning" => Some(Some(Severity::Warning)),
            "error" => Some(Some(Severity::Error)),
            _ => None,
        },
        _ => None,
    }
}
