//! Layers of configuration as sorted lists, and laying one over another as a merge join.
//!
//! A layer is flattened to its [`Setting`]s: leaves, `null`s that remove, and empty maps. Maps merge deeply because
//! their leaves have paths of their own; a list, a `{secret: …}` and a `{valueFrom: …}` are one leaf and replace as
//! a whole. What a placeholder stands for and whether a value makes sense is not known here.

use std::cmp::Ordering;

use magus_model::{
    Text,
    path::{FieldPath, push_key},
    span::Span,
    tree::{Node, NodeKind},
};

/// Keys beside a layer that are no configuration: how a workspace is called, and what it is made from; what it has from
/// elsewhere; and when the main server's defaults hold.
pub(crate) const OWN_KEYS: [&str; 9] =
    ["name", "use", "moved_from", "branch", "commit", "deploy", "enabled", "enforce", "provided"];

/// One thing that a layer says about one path.
#[derive(Debug, Clone)]
pub(crate) struct Setting<'a> {
    /// The path.
    pub(crate) path: FieldPath,
    /// Where it is written: the value.
    pub(crate) span: Span,
    /// What it says.
    pub(crate) content: Content<'a>,
}

/// What a layer says about a path.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content<'a> {
    /// The value.
    Leaf(&'a Node),
    /// A variable of `container_config.env`: the item of the list, without its `name`.
    Item(&'a Node),
    /// An empty map: whatever scalar lower layers gave is gone.
    Empty,
    /// `null`: what lower layers gave is gone.
    Removed,
}

/// Flattens a layer, ordered by [`tree_order`], without a path twice. The map's own keys in `skip` are left out.
pub(crate) fn settings<'a>(layer: &'a Node, skip: &[&str]) -> Vec<Setting<'a>> {
    let mut found = Vec::with_capacity(layer.entries().len() * 6);
    let mut path = String::with_capacity(64);
    for entry in layer.entries() {
        if skip.contains(&entry.key.as_str()) {
            continue;
        }
        if entry.key == "container_config" {
            container(&entry.value, &mut found, &mut path);
        } else {
            at_key(&entry.key, &entry.value, &mut found, &mut path);
        }
    }
    found.sort_by(|a, b| tree_order(a.path.as_str(), b.path.as_str()));
    found.dedup_by(|a, b| a.path == b.path);
    found
}

/// `container_config`, whose `env` is in the form of Kubernetes and becomes the workspace's `env`.
fn container<'a>(node: &'a Node, found: &mut Vec<Setting<'a>>, path: &mut String) {
    let listed = |key: &str, value: &Node| key == "env" && matches!(value.kind, NodeKind::List(_));
    let NodeKind::Map(entries) = &node.kind else { return at_key("container_config", node, found, path) };
    if entries.is_empty() {
        return at_key("container_config", node, found, path);
    }
    for entry in entries {
        if listed(&entry.key, &entry.value) {
            for item in entry.value.items() {
                if let Some((name, content, span)) = variable(item) {
                    let path = FieldPath::key("env").child(name);
                    found.push(Setting { path, span, content });
                }
            }
        } else {
            path.push_str("container_config");
            at_key(&entry.key, &entry.value, found, path);
            path.clear();
        }
    }
}

/// The name, value and place of an item of `container_config.env`; nothing where it has no name.
pub(crate) fn variable(item: &Node) -> Option<(&str, Content<'_>, Span)> {
    let name = item.get("name")?.as_str()?;
    Some(match item.get("value") {
        Some(value) if !value.is_null() => (name, Content::Leaf(value), value.span),
        _ => (name, Content::Item(item), item.span),
    })
}

fn at_key<'a>(key: &str, node: &'a Node, found: &mut Vec<Setting<'a>>, path: &mut String) {
    let length = path.len();
    push_key(path, key);
    flatten(node, found, path);
    path.truncate(length);
}

fn flatten<'a>(node: &'a Node, found: &mut Vec<Setting<'a>>, path: &mut String) {
    let content = match &node.kind {
        NodeKind::Null => Content::Removed,
        NodeKind::Map(entries) if entries.is_empty() => Content::Empty,
        NodeKind::Map(entries) if !is_whole(node) => {
            for entry in entries {
                at_key(&entry.key, &entry.value, found, path);
            }
            return;
        }
        _ => Content::Leaf(node),
    };
    found.push(Setting { path: FieldPath::shared(path), span: node.span, content });
}

/// Whether a map is a reference, which layers replace as a whole: `{secret: {…}}` or `{valueFrom: {…}}`.
pub(crate) fn is_whole(node: &Node) -> bool {
    ["secret", "valueFrom"]
        .iter()
        .any(|key| matches!(node.get(key), Some(Node { kind: NodeKind::Map(_), .. })))
}

/// The order in which everything below a path follows it without a gap: that of the texts, but `.` and `[` before
/// any other character.
pub(crate) fn tree_order(a: &str, b: &str) -> Ordering {
    let rank = |byte: Option<&u8>| match byte {
        None => 0,
        Some(b'.') => 1,
        Some(b'[') => 2,
        Some(byte) => u16::from(*byte) + 3,
    };
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    rank(a.get(same)).cmp(&rank(b.get(same)))
}

/// What has a path, and can be laid under a layer.
pub(crate) trait Leaf {
    /// Its path.
    fn path(&self) -> &FieldPath;
}

/// Lays a layer over leaves that lower layers gave, both in [`tree_order`]: `keep` gets each lower leaf that stays,
/// `set` each of the layer's own values, in order.
pub(crate) fn lay_over<'l, 's, 'a, L: Leaf, T>(
    lower: &'l [L],
    layer: &'s [Setting<'a>],
    out: &mut Vec<T>,
    mut keep: impl FnMut(&'l L) -> T,
    mut set: impl FnMut(&'s Setting<'a>) -> T,
) {
    let mut rest = lower;
    for setting in layer {
        let path = setting.path.as_str();
        while let Some((leaf, after)) = rest.split_first() {
            let below = leaf.path().as_str();
            if tree_order(below, path) != Ordering::Less {
                break;
            }
            // A map, even one that holds nothing but `null`, takes the place of a scalar.
            if !setting.path.is_within(below) {
                out.push(keep(leaf));
            }
            rest = after;
        }
        let gone = rest.partition_point(|leaf| match setting.content {
            Content::Empty => leaf.path() == &setting.path,
            _ => leaf.path().is_within(path),
        });
        rest = &rest[gone..];
        if matches!(setting.content, Content::Leaf(_) | Content::Item(_)) {
            out.push(set(setting));
        }
    }
    out.extend(rest.iter().map(keep));
}

/// The text of a key of a map, where the value is a string.
pub(crate) fn text<'a>(node: &'a Node, key: &str) -> Option<(&'a Text, Span)> {
    let value = node.get(key)?;
    match &value.kind {
        NodeKind::String(text) => Some((text, value.span)),
        _ => None,
    }
}
