//! What was done to the clusters, and who holds their locks: as tables and as JSON.

use std::collections::BTreeMap;

use magus_model::{
    Text,
    history::{Ending, Entry, FORMAT_VERSION, LockRecord},
    report::Outcome,
};
use serde::Serialize;

use crate::{
    Styles, escape, json,
    plan::deploy::short,
    table::{self, Cell},
    words::count,
};

/// Entries as JSON, newest first.
pub fn json(entries: &[Entry]) -> String {
    #[derive(Serialize)]
    struct Entries<'a> {
        format_version: u32,
        entries: &'a [Entry],
    }
    json::pretty(&Entries { format_version: FORMAT_VERSION, entries })
}

/// Locks as JSON.
pub fn locks_json(locks: &[LockRecord]) -> String {
    #[derive(Serialize)]
    struct Locks<'a> {
        format_version: u32,
        locks: &'a [LockRecord],
    }
    json::pretty(&Locks { format_version: FORMAT_VERSION, locks })
}

/// Entries as a table, newest first.
pub fn text(entries: &[Entry], width: usize, styles: &Styles) -> String {
    if entries.is_empty() {
        return "Nothing was recorded.\n".to_owned();
    }
    let plain = anstyle::Style::new();
    let several = entries.windows(2).any(|pair| pair[0].cluster != pair[1].cluster);
    let rows: Vec<Vec<Cell>> = entries
        .iter()
        .map(|entry| {
            let result = match entry.result {
                Ending::Done | Ending::Passed => styles.added,
                Ending::Incomplete | Ending::Failed | Ending::Interrupted => styles.removed,
                Ending::Running => styles.changed,
                Ending::Other => plain,
            };
            let cluster = if several { escape::line(&entry.cluster).into_owned() } else { String::new() };
            vec![
                (escape::line(&entry.id).into_owned(), styles.strong),
                (minute(&entry.at), plain),
                (cluster, plain),
                (escape::line(&entry.by).into_owned(), plain),
                (entry.operation.as_str().to_owned(), plain),
                (entry.result.as_str().to_owned(), result),
                (what(entry), plain),
                (
                    entry.reason.as_deref().map_or_else(String::new, |why| escape::line(why).into_owned()),
                    styles.dim,
                ),
            ]
        })
        .collect();
    let heading = ["entry", "when (UTC)", "cluster", "who", "what", "result", "in", "reason"];
    table::table(&heading, &rows, width, styles)
}

/// `2026-11-28T10:12:13.123Z` as people read it.
fn minute(at: &str) -> String {
    let text: String = at.chars().take("2026-11-28T10:12".len()).collect();
    escape::line(&text.replace('T', " ")).into_owned()
}

/// What an entry did, by environment: `staging: 2 deploy 3f2a91c (main), 1 update, 1 failed`.
fn what(entry: &Entry) -> String {
    if let Some(verification) = &entry.verification {
        let note = verification.note.iter().chain(&verification.urls);
        let note: Vec<_> = note.map(|text| escape::line(text)).collect();
        let note = if note.is_empty() { String::new() } else { format!(" ({})", note.join(", ")) };
        let environment = escape::line(&verification.environment);
        return format!("{environment}: {}{note}", short(&verification.commit));
    }
    let mut environments: Vec<(&Text, BTreeMap<String, usize>, usize)> = Vec::new();
    for step in &entry.steps {
        if environments.last().is_none_or(|(name, _, _)| **name != step.environment) {
            environments.push((&step.environment, BTreeMap::new(), 0));
        }
        let Some((_, counts, not)) = environments.last_mut() else { continue };
        if step.outcome != Outcome::Applied {
            *not += 1;
            continue;
        }
        let code = step.deployed.as_ref().map_or_else(String::new, |deployed| {
            format!(" {} ({})", short(&deployed.to), escape::line(&deployed.branch))
        });
        *counts.entry(format!("{}{code}", step.action.as_str())).or_default() += 1;
    }
    let shown = environments.into_iter().map(|(name, counts, not)| {
        let counts = counts.into_iter().map(|(what, number)| format!("{number} {what}"));
        let not = (not > 0).then(|| format!("{} not done", count(not, "step")));
        format!("{}: {}", escape::line(name), counts.chain(not).collect::<Vec<_>>().join(", "))
    });
    shown.collect::<Vec<_>>().join("; ")
}

/// The locks that are held, as a table.
pub fn locks_text(locks: &[LockRecord], width: usize, styles: &Styles) -> String {
    if locks.is_empty() {
        return "Nobody holds a lock.\n".to_owned();
    }
    let plain = anstyle::Style::new();
    let rows: Vec<Vec<Cell>> = locks
        .iter()
        .map(|lock| {
            let LockRecord { cluster, owner, host, process, operation, started_at, expires_at, .. } = lock;
            vec![
                (escape::line(cluster).into_owned(), styles.strong),
                (escape::line(&format!("{owner}@{host}, process {process}")).into_owned(), plain),
                (escape::line(operation).into_owned(), plain),
                (minute(started_at), plain),
                (minute(expires_at), plain),
            ]
        })
        .collect();
    table::table(&["cluster", "held by", "for", "since (UTC)", "until (UTC)"], &rows, width, styles)
}

/// One line about a verification that was recorded.
pub fn verified(environment: &str, commit: &str, passed: bool) -> String {
    let (environment, how) = (escape::line(environment), if passed { "passed" } else { "failed" });
    format!("Recorded: {} {how} in {environment}.\n", short(commit))
}
