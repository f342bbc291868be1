//! `magus triggers`: which triggers run where, and when next.

use std::collections::BTreeMap;

use jiff::Timestamp;
use magus_code::{Trigger, cron};
use magus_model::Text;
use magus_report::triggers::{FORMAT_VERSION, TriggerInEnvironment, TriggerRow, Triggers, html, json, text};
use magus_resolve::{Heads, Stage};

use super::refs::{is_unread, selected, unread};
use crate::{
    arguments::{Format, Global},
    declarations::{self, Look},
    error::{CommandError, Exit},
    output::Output,
};

/// Runs the command.
pub fn run(global: &Global, output: &Output) -> Result<Exit, CommandError> {
    let checked = declarations::check_valid(global, None, Look::to_deploy(global, Heads::AsTheyAre), output)?;
    let stages = selected(global, &checked)?;
    let now = Timestamp::now();
    let mut rows: BTreeMap<(Text, Text), Vec<TriggerInEnvironment>> = BTreeMap::new();
    for stage in &stages {
        for running in &stage.running {
            for (pipeline, trigger) in &running.needs.triggers {
                let workspaces = running.workspaces.iter().filter(|one| magus_resolve::runs_in(trigger, one));
                let workspaces = workspaces.map(|one| Text::from(one.name.as_str())).collect();
                let here = rows.entry((pipeline.clone(), trigger.name.clone())).or_default();
                here.push(standing(stage, trigger, workspaces, now));
            }
        }
    }
    let row = |((pipeline, trigger), environments)| TriggerRow { pipeline, trigger, environments };
    let triggers = Triggers {
        format_version: FORMAT_VERSION,
        environments: stages.iter().map(|stage| stage.environment.name.clone()).collect(),
        triggers: rows.into_iter().map(row).collect(),
    };
    if triggers.triggers.is_empty() && is_unread(&checked, &stages) && global.format == Format::Text {
        return Ok(unread(global, &checked, &stages, output));
    }
    output.result(&match global.format {
        Format::Json => json(&triggers),
        Format::Html => html(&triggers),
        _ => text(&triggers, output.table_width, &output.styles()),
    })?;
    Ok(unread(global, &checked, &stages, output))
}

fn standing(
    stage: &Stage<'_>,
    trigger: &Trigger,
    workspaces: Vec<Text>,
    now: Timestamp,
) -> TriggerInEnvironment {
    let interval = trigger.interval.as_deref().map(cron::parse);
    let problem = match (&trigger.unread, &interval) {
        (Some(why), _) => Some(why.clone()),
        (None, Some(Err(why))) => Some(why.into()),
        (None, Some(Ok(interval))) if interval.never_comes() => {
            Some(Text::new_static("no such day is in any year"))
        }
        _ => None,
    };
    let next = interval.and_then(Result::ok).filter(|_| trigger.active && !workspaces.is_empty());
    TriggerInEnvironment {
        environment: stage.environment.name.clone(),
        kind: trigger.kind.clone(),
        schedule: trigger.interval.clone(),
        active: trigger.active,
        envs: trigger.envs.clone(),
        workspaces,
        next: next.and_then(|interval| interval.next_after(now)),
        at_once: trigger.at_once.clone(),
        problem,
    }
}
