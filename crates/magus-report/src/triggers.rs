//! Which triggers run where, and when next.

use magus_model::Text;
use serde::Serialize;

use crate::{
    Styles, escape, json,
    matrix::{Look, Matrix},
    words::count,
};

/// The version of the JSON format.
pub const FORMAT_VERSION: u32 = 1;

/// The triggers of all pipelines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Triggers {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The environments, in order of promotion.
    pub environments: Vec<Text>,
    /// The triggers, ordered by pipeline and name.
    pub triggers: Vec<TriggerRow>,
}

/// A trigger.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TriggerRow {
    /// The pipeline.
    pub pipeline: Text,
    /// What it is called.
    pub trigger: Text,
    /// How it stands in the environments whose code has it.
    pub environments: Vec<TriggerInEnvironment>,
}

/// A trigger in an environment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TriggerInEnvironment {
    /// The environment.
    pub environment: Text,
    /// `time`, `api` or `event`.
    pub kind: Text,
    /// `@daily` or a cron expression; nothing for one that does not run by itself.
    pub schedule: Option<Text>,
    /// Whether it is switched on.
    pub active: bool,
    /// The `ENV`s that it is for; every one where there are none.
    pub envs: Vec<Text>,
    /// The workspaces in which it runs.
    pub workspaces: Vec<Text>,
    /// The next time, in UTC.
    pub next: Option<Text>,
    /// Why it starts as soon as it is deployed to a workspace that does not have it.
    pub at_once: Option<Text>,
    /// Why it never runs, where it is switched on nevertheless.
    pub problem: Option<Text>,
}

/// As JSON.
pub fn json(triggers: &Triggers) -> String {
    json::pretty(triggers)
}

/// As a page.
pub fn html(triggers: &Triggers) -> String {
    matrix(triggers).html("Magus triggers", &count(triggers.triggers.len(), "trigger"))
}

/// As a table.
pub fn text(triggers: &Triggers, width: usize, styles: &Styles) -> String {
    if triggers.triggers.is_empty() {
        return "No pipeline has a trigger.\n".to_owned();
    }
    matrix(triggers).text(width, styles)
}

fn matrix(triggers: &Triggers) -> Matrix {
    let mut headings = vec!["pipeline".to_owned(), "trigger".to_owned()];
    headings.extend(triggers.environments.iter().map(|name| escape::line(name).into_owned()));
    let row = |row: &TriggerRow| {
        let mut cells = vec![
            (escape::line(&row.pipeline).into_owned(), Look::Plain),
            (escape::line(&row.trigger).into_owned(), Look::Plain),
        ];
        cells.extend(triggers.environments.iter().map(|environment| {
            let mut here = row.environments.iter().filter(|one| one.environment == *environment);
            // Where workspaces run several commits, what runs comes first.
            let shown = here.clone().find(|one| !one.workspaces.is_empty()).or_else(|| here.next());
            shown.map_or((String::new(), Look::Soft), cell)
        }));
        cells
    };
    Matrix { headings, rows: triggers.triggers.iter().map(row).collect() }
}

fn cell(one: &TriggerInEnvironment) -> (String, Look) {
    let TriggerInEnvironment { kind, schedule, active, envs, workspaces, next, problem, .. } = one;
    let when = match schedule {
        Some(schedule) => escape::line(schedule).into_owned(),
        None => format!("by {}", escape::line(kind)),
    };
    if !active {
        return (format!("{when}, inactive"), Look::Soft);
    }
    if let Some(problem) = problem {
        return (format!("{when}, never: {}", escape::line(problem)), Look::Bad);
    }
    if workspaces.is_empty() {
        let envs: Vec<_> = envs.iter().map(|env| escape::line(env)).collect();
        return (format!("{when}, only where ENV is {}", envs.join(", ")), Look::Soft);
    }
    let next = next.as_deref().map_or_else(String::new, |next| format!(", next {}", escape::line(next)));
    let several = if workspaces.len() > 1 && schedule.is_some() {
        format!(", in {} workspaces", workspaces.len())
    } else {
        String::new()
    };
    (format!("{when}{next}{several}"), Look::Good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trigger_says_when_it_runs_where() {
        let one = |environment: &str, active: bool, workspaces: &[&str]| TriggerInEnvironment {
            environment: environment.into(),
            kind: "time".into(),
            schedule: Some("0 5 * * *".into()),
            active,
            envs: vec!["prod".into()],
            workspaces: workspaces.iter().map(|name| (*name).into()).collect(),
            next: Some("2026-11-30T05:00:00Z".into()),
            at_once: None,
            problem: None,
        };
        let broken =
            TriggerInEnvironment { problem: Some("`61` is no minute".into()), ..one("staging", true, &[]) };
        let triggers = Triggers {
            format_version: FORMAT_VERSION,
            environments: vec!["staging".into(), "production".into()],
            triggers: vec![
                TriggerRow {
                    pipeline: "orders".into(),
                    trigger: "daily".into(),
                    environments: vec![one("staging", true, &[]), one("production", true, &["a", "b"])],
                },
                TriggerRow {
                    pipeline: "orders".into(),
                    trigger: "off\u{1b}".into(),
                    environments: vec![broken, one("production", false, &[])],
                },
            ],
        };
        assert_eq!(
            text(&triggers, 140, &Styles::plain()),
            "  pipeline  trigger    staging                              production
  orders    daily      0 5 * * *, only where ENV is prod    0 5 * * *, next 2026-11-30T05:00:00Z, in 2 workspaces
  orders    off\\u{1b}  0 5 * * *, never: `61` is no minute  0 5 * * *, inactive
"
        );
        assert!(html(&triggers).contains("<td class=\"failed\">"));
        let read: serde_json::Value = serde_json::from_str(&json(&triggers)).expect("JSON");
        assert_eq!(read["triggers"][0]["environments"][1]["workspaces"][1], "b");
    }
}
