//! The triggers of a pipeline, as `triggers.yaml` has them (`data_preparation/models/triggers/__init__.py`).

use magus_model::{
    Text,
    tree::{Node, NodeKind},
};
use serde::{Deserialize, Serialize};

use crate::{
    python::Lines,
    scan::Scan,
    template::{fault, parse, text_of},
};

/// A trigger.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Trigger {
    /// What it is called.
    pub name: Text,
    /// Its line.
    pub line: u32,
    /// `time`, `api` or `event`; what is written.
    pub kind: Text,
    /// When it runs: `@hourly` and the like, or a cron expression. Nothing for one that does not run by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Text>,
    /// Whether it runs at all.
    pub active: bool,
    /// In which workspaces, by their `ENV`; in every one where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub envs: Vec<Text>,
    /// Why it starts as soon as it is deployed to a workspace that did not have it, or had it with another schedule, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<Text>,
    /// Why Mage leaves it out without a word, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<Text>,
}

/// The keys that a trigger has to have (`Trigger`, whose fields these are), even where they are `null`.
const REQUIRED: [&str; 4] = ["name", "schedule_type", "start_time", "schedule_interval"];

/// Those that it may have besides.
const OPTIONAL: [&str; 10] = [
    "description",
    "envs",
    "last_enabled_at",
    "pipeline_uuid",
    "repo_path",
    "settings",
    "sla",
    "status",
    "token",
    "variables",
];

/// What `ENV` may be called in `envs` (`shared/constants.py`).
pub const ENVS: [&str; 5] = ["dev", "prod", "staging", "test", "test_mage"];

/// Reads a `triggers.yaml`.
pub(crate) fn scan(text: &str) -> Scan {
    let lines = Lines::new(text);
    let parsed = parse(text);
    let mut scan = Scan { fault: fault(&parsed, &lines), ..Scan::default() };
    let listed = parsed.root.as_ref().and_then(|root| root.get("triggers"));
    scan.triggers =
        listed.map_or(&[][..], Node::items).iter().filter_map(|node| trigger(node, &lines)).collect();
    scan
}

fn trigger(node: &Node, lines: &Lines<'_>) -> Option<Trigger> {
    let (line, _) = lines.place(node.span.start as usize);
    let kind = text_of(node, "schedule_type").cloned().unwrap_or_default();
    let interval = text_of(node, "schedule_interval").cloned();
    let is_text = |node: &Node| match &node.kind {
        NodeKind::String(text) => Some(text.clone()),
        _ => None,
    };
    Some(Trigger {
        name: text_of(node, "name")?.clone(),
        line,
        active: text_of(node, "status").is_some_and(|status| status == "active"),
        envs: node.get("envs").map_or(&[][..], Node::items).iter().filter_map(is_text).collect(),
        at_once: at_once(node),
        unread: unread(node),
        interval: interval.filter(|_| kind != "api" && kind != "event"),
        kind,
    })
}

/// Why Mage leaves a trigger out. It makes one of the keys as they are, and what it cannot make it only logs.
fn unread(node: &Node) -> Option<Text> {
    if let Some(key) = REQUIRED.iter().find(|key| node.get(key).is_none()) {
        return Some(format!("it has no `{key}`").into());
    }
    if node.get("envs").is_some_and(Node::is_null) {
        return Some(Text::new_static("its `envs` is `null` and no list"));
    }
    let known = |key: &str| REQUIRED.contains(&key) || OPTIONAL.contains(&key);
    let unknown = node.entries().iter().find(|entry| !known(&entry.key));
    unknown.map(|entry| format!("it has a key `{}`, which Mage does not know", entry.key).into())
}

/// Why a trigger starts as soon as it is deployed (`should_schedule` in `orchestration/db/models/schedules.py`, and seen on 0.9.80).
/// One that the commit does not say to have been enabled is enabled when it comes, and waits for its time. Mage enables one anew whose
/// schedule changes, and writes that into the file; the next sync resets the file, and the trigger starts (issue 5954).
fn at_once(node: &Node) -> Option<Text> {
    let interval = text_of(node, "schedule_interval")?;
    if matches!(interval.as_str(), "@once" | "@always_on") {
        return Some(format!("its schedule is `{interval}`").into());
    }
    let settings = node.get("settings").and_then(|settings| settings.get("create_initial_pipeline_run"));
    if settings.is_some_and(|set| matches!(set.kind, NodeKind::Bool(true))) {
        return Some(Text::new_static("its settings say `create_initial_pipeline_run`"));
    }
    let enabled = node.get("last_enabled_at").is_some_and(|at| !at.is_null());
    enabled.then_some(Text::new_static("its `last_enabled_at` is in the past"))
}

/// What Mage takes an `ENV` for (`shared/environments.py`): whatever it does not know is `dev`.
pub fn env_of(env: &str) -> &'static str {
    match env {
        "test_mage" => "test_mage",
        "test" => "test",
        "production" | "prod" => "prod",
        "staging" => "staging",
        _ => "dev",
    }
}

impl Trigger {
    /// When it runs, as it is shown.
    pub fn when(&self) -> Text {
        let when = match &self.interval {
            Some(interval) => interval.clone(),
            None if self.kind.is_empty() => Text::new_static("by nothing"),
            None => format!("by {}", self.kind).into(),
        };
        if self.active { when } else { format!("{when}, inactive").into() }
    }

    /// Why it starts as soon as it is deployed where it was as `before`, or was not.
    pub fn starts_at_once(&self, before: Option<&Trigger>) -> Option<Text> {
        let why = self.at_once.as_ref().filter(|_| self.active && self.unread.is_none())?;
        match before.filter(|before| before.active) {
            None => Some(why.clone()),
            Some(before) if before.interval != self.interval => {
                Some(format!("its schedule changes, and {why}").into())
            }
            Some(_) => None,
        }
    }

    /// Whether it may run in a workspace with this `ENV`, as Mage calls it.
    pub fn is_for(&self, env: &str) -> bool {
        self.envs.is_empty() || self.envs.iter().any(|one| one == env)
    }
}
