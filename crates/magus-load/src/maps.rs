//! What happens when a map ends: keys that are there twice are reported, and merge keys merged.

use std::collections::{HashMap, HashSet};

use magus_model::{
    Text,
    diagnostic::Diagnostic,
    rules,
    span::Span,
    tree::{Entry, Node, NodeKind},
};

/// The value of a merge key, and the number of entries before it.
pub(crate) struct Merge {
    pub(crate) at: usize,
    pub(crate) key: Span,
    pub(crate) written: Span,
    pub(crate) node: Node,
}

/// Reports keys that are written twice. The first one stays.
pub(crate) fn drop_duplicates(entries: &mut Vec<Entry>, merges: &[Merge], diagnostics: &mut Vec<Diagnostic>) {
    for merge in merges.iter().skip(1) {
        diagnostics.push(duplicate("<<", merge.key, merges[0].key).help("merge a list: `<<: [*a, *b]`"));
    }
    let duplicates = duplicates(entries);
    for (again, first) in &duplicates {
        let (again, first) = (&entries[*again], &entries[*first]);
        diagnostics.push(duplicate(&again.key, again.key_span, first.key_span).help("remove one of the two"));
    }
    let mut dropped = duplicates.iter().map(|(again, _)| *again).peekable();
    let mut at = 0;
    entries.retain(|_| {
        at += 1;
        dropped.next_if_eq(&(at - 1)).is_none()
    });
}

/// Puts what merge keys bring in their places. The map's own keys win, then the earlier of several sources.
pub(crate) fn merge(own: Vec<Entry>, merges: Vec<Merge>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Entry> {
    if merges.is_empty() {
        return own;
    }
    let mut taken: HashSet<Text> = own.iter().map(|entry| entry.key.clone()).collect();
    let mut merged = Vec::with_capacity(own.len() + 8);
    let mut own = own.into_iter();
    let mut passed = 0;
    for Merge { at, written, node, .. } in merges {
        merged.extend(own.by_ref().take(at.saturating_sub(passed)));
        passed = at;
        let sources = match node.kind {
            NodeKind::List(items) => items,
            kind => vec![Node { span: node.span, kind }],
        };
        for source in sources {
            let name = source.kind_name();
            let NodeKind::Map(entries) = source.kind else {
                let message = format!("`<<` merges maps, and this is a {name}");
                diagnostics.push(
                    Diagnostic::new(&rules::MERGE_KEY, written, message)
                        .help("name a map, `<<: *name`, or a list of maps, `<<: [*one, *two]`"),
                );
                break;
            };
            merged.extend(entries.into_iter().filter(|entry| taken.insert(entry.key.clone())));
        }
    }
    merged.extend(own);
    merged
}

fn duplicate(key: &str, again: Span, first: Span) -> Diagnostic {
    Diagnostic::new(&rules::DUPLICATE_KEY, again, format!("the key `{key}` is written twice in one map"))
        .related(first, "first written here")
}

/// Each entry whose key was there before, with the first of that key, in the order of the entries.
fn duplicates(entries: &[Entry]) -> Vec<(usize, usize)> {
    if entries.len() <= 24 {
        let first = |at: usize| (0..at).find(|before| entries[*before].key == entries[at].key);
        return (1..entries.len()).filter_map(|at| Some((at, first(at)?))).collect();
    }
    let mut seen: HashMap<&str, usize> = HashMap::with_capacity(entries.len());
    let mut found = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let first = *seen.entry(&entry.key).or_insert(at);
        if first != at {
            found.push((at, first));
        }
    }
    found
}
