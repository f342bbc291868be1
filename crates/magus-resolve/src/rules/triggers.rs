//! MG601 to MG606: which triggers run where, and when.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use magus_code::{ENVS, Trigger, cron, env_of};
use magus_model::{
    Text,
    desired::{DesiredState, Edition, Workspace},
    diagnostic::Diagnostic,
    rules,
    span::Span,
    value::{FieldValue, Value},
};

use super::{
    needs::listed,
    references::{Running, Stage},
};

/// Everything that is wrong with triggers.
pub(crate) fn check(stages: &[Stage<'_>], findings: &mut Vec<Diagnostic>) {
    let mut envs: BTreeSet<&str> = BTreeSet::new();
    let mut raw: BTreeSet<String> = BTreeSet::new();
    for workspace in stages.iter().flat_map(|stage| &stage.running).flat_map(|running| &running.workspaces) {
        // What nobody declares, or Kubernetes gives, may be anything.
        match env(workspace) {
            Env::Known(env) => {
                raw.extend(env.map(str::to_owned));
                envs.insert(env_of(env.unwrap_or_default()));
            }
            Env::Unknown => envs.extend(ENVS),
        }
    }
    let mut seen: HashSet<(&Text, &Trigger)> = HashSet::new();
    for stage in stages {
        everywhere(stage, stages, findings);
        twice(stage, findings);
        starts_at_once(stage, stages, findings);
        for running in &stage.running {
            let Some(span) = running.workspaces.first().and_then(|one| Some(one.code.as_ref()?.span)) else {
                continue;
            };
            for (pipeline, trigger) in &running.needs.triggers {
                if trigger.active && seen.insert((pipeline, trigger)) {
                    one(
                        stage.edition,
                        (pipeline, trigger, span),
                        &|env| envs.contains(env) || raw.contains(env),
                        findings,
                    );
                }
            }
        }
    }
}

/// What a workspace is called to triggers.
enum Env<'w> {
    Known(Option<&'w str>),
    Unknown,
}

fn env(workspace: &Workspace) -> Env<'_> {
    match workspace.field("env.ENV").map(|field| &field.value) {
        None => Env::Known(None),
        Some(FieldValue::Plain(Value::String(env))) => Env::Known(Some(env)),
        Some(_) => Env::Unknown,
    }
}

/// Whether a trigger starts runs by itself in a workspace.
pub fn runs_in(trigger: &Trigger, workspace: &Workspace) -> bool {
    let is_meant = match env(workspace) {
        Env::Known(env) => {
            trigger.is_for(env_of(env.unwrap_or_default())) || env.is_some_and(|env| trigger.is_for(env))
        }
        Env::Unknown => trigger.envs.is_empty(),
    };
    trigger.active && trigger.unread.is_none() && is_meant
}

/// MG602, MG605 and MG606: what is wrong with one trigger.
fn one(
    edition: Option<Edition>,
    (pipeline, trigger, span): (&Text, &Trigger, Span),
    has_env: &dyn Fn(&str) -> bool,
    findings: &mut Vec<Diagnostic>,
) {
    let name = format!("`{pipeline}/{}`", trigger.name);
    let place = format!("pipelines/{pipeline}/triggers.yaml:{}", trigger.line);
    if let Some(why) = &trigger.unread {
        // What Mage Pro knows besides is not known here.
        if edition != Some(Edition::Pro) || !why.contains("does not know") {
            let message = format!("the trigger {name} ({place}) is left out by Mage, without a word: {why}");
            findings.push(
                Diagnostic::new(&rules::UNREAD_TRIGGER, span, message)
                    .help("a trigger needs `name`, `schedule_type`, `schedule_interval` and `start_time`, each possibly `null`"),
            );
        }
        return;
    }
    let unknown = trigger.envs.iter().find(|env| !ENVS.contains(&env.as_str()));
    if let Some(env) = unknown.filter(|_| edition != Some(Edition::Pro)) {
        let message = format!(
            "the trigger {name} ({place}) is for `{env}`, which Mage does not know: it leaves the trigger out everywhere"
        );
        let help = format!(
            "`envs` may hold {}; a workspace with `ENV: production` is `prod`, with any other one `dev`",
            listed_all(&ENVS)
        );
        findings.push(Diagnostic::new(&rules::UNKNOWN_ENV, span, message).help(help));
        return;
    }
    if !trigger.envs.is_empty() && !trigger.envs.iter().any(|env| has_env(env)) {
        let message = format!(
            "the trigger {name} ({place}) is for {}, and no workspace has such an `ENV`",
            listed(trigger.envs.iter().map(Text::as_str))
        );
        findings.push(
            Diagnostic::new(&rules::UNKNOWN_ENV, span, message)
                .help("set `env: {ENV: …}` where it is to run, or name another `ENV` in its `envs`"),
        );
    }
    if let Some(interval) = &trigger.interval {
        let why = match cron::parse(interval) {
            Err(why) => why,
            Ok(interval) if interval.never_comes() => "no such day is in any year".to_owned(),
            Ok(_) => return,
        };
        let message = format!("the trigger {name} ({place}) never runs: `{interval}` is no schedule, {why}");
        findings.push(Diagnostic::new(&rules::INVALID_CRON, span, message).help(
            "write minute, hour, day, month and day of the week, such as `0 5 * * mon-fri`, or `@daily`",
        ));
    }
}

fn listed_all(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// MG601: what runs in the last stage because nobody says where it runs.
fn everywhere(stage: &Stage<'_>, stages: &[Stage<'_>], findings: &mut Vec<Diagnostic>) {
    let environment = stage.environment;
    let goes_on =
        stages.iter().any(|other| other.environment.promotes_from.as_ref() == Some(&environment.name));
    if goes_on || environment.promotes_from.is_none() {
        return;
    }
    for Running { needs, workspaces, .. } in &stage.running {
        let is_meant = |trigger: &Trigger| {
            trigger.envs.is_empty()
                && trigger.interval.is_some()
                && workspaces.iter().any(|one| runs_in(trigger, one))
        };
        let names: Vec<String> = needs
            .triggers
            .iter()
            .filter(|(_, trigger)| is_meant(trigger))
            .map(|(pipeline, one)| format!("{pipeline}/{}", one.name))
            .collect();
        let Some(span) =
            workspaces.first().and_then(|one| Some(one.code.as_ref()?.span)).filter(|_| !names.is_empty())
        else {
            continue;
        };
        let (noun, verb) = if names.len() == 1 { ("trigger", "runs") } else { ("triggers", "run") };
        let message = format!(
            "the {noun} {} {verb} in `{}` too, as in every environment: {} no `envs`",
            listed(names.iter().map(String::as_str)),
            environment.name,
            if names.len() == 1 { "it has" } else { "they have" },
        );
        findings.push(
            Diagnostic::new(&rules::TRIGGER_EVERYWHERE, span, message)
                .help("say in triggers.yaml where each is to run: `envs: [prod]`, or all that are meant"),
        );
    }
}

/// MG603: what a promotion would start right when it is deployed.
fn starts_at_once(stage: &Stage<'_>, stages: &[Stage<'_>], findings: &mut Vec<Diagnostic>) {
    let mut workspaces = stage.running.iter().flat_map(|running| &running.workspaces);
    let all: Vec<&Workspace> = workspaces.by_ref().copied().collect();
    let Some(span) = all.first().and_then(|one| Some(one.code.as_ref()?.span)) else { return };
    let here = |pipeline: &Text, trigger: &Trigger| {
        let mut here = stage.running.iter().flat_map(|running| &running.needs.triggers);
        here.find(|(name, one)| name == pipeline && one.name == trigger.name).map(|(_, one)| one)
    };
    let before =
        stages.iter().filter(|one| stage.environment.promotes_from.as_ref() == Some(&one.environment.name));
    let mut seen: HashSet<(&Text, &Text)> = HashSet::new();
    for (pipeline, trigger) in
        before.flat_map(|before| &before.running).flat_map(|running| &running.needs.triggers)
    {
        let Some(why) = trigger.starts_at_once(here(pipeline, trigger)) else { continue };
        if !all.iter().any(|workspace| runs_in(trigger, workspace)) || !seen.insert((pipeline, &trigger.name))
        {
            continue;
        }
        let message = format!(
            "the trigger `{pipeline}/{}` (pipelines/{pipeline}/triggers.yaml:{}) may start in `{}` as soon as it is promoted: {why}",
            trigger.name, trigger.line, stage.environment.name
        );
        findings.push(Diagnostic::new(&rules::STARTS_AT_ONCE, span, message).help(
            "so that it waits for its time, leave `last_enabled_at`, `create_initial_pipeline_run` and `@once` out of triggers.yaml",
        ));
    }
}

/// MG604: what runs once for each workspace of an environment.
fn twice(stage: &Stage<'_>, findings: &mut Vec<Diagnostic>) {
    let mut where_it_runs: BTreeMap<String, Vec<&Workspace>> = BTreeMap::new();
    for Running { needs, workspaces, .. } in &stage.running {
        for (pipeline, trigger) in needs.triggers.iter().filter(|(_, trigger)| trigger.interval.is_some()) {
            let running =
                workspaces.iter().filter(|one| one.state != DesiredState::Stopped && runs_in(trigger, one));
            where_it_runs.entry(format!("{pipeline}/{}", trigger.name)).or_default().extend(running);
        }
    }
    let mut by_workspaces: BTreeMap<Vec<&str>, (Vec<String>, Span)> = BTreeMap::new();
    for (trigger, workspaces) in where_it_runs.into_iter().filter(|(_, workspaces)| workspaces.len() > 1) {
        let Some(code) = &workspaces[0].code else { continue };
        let names = workspaces.iter().map(|workspace| workspace.declared.as_str()).collect();
        by_workspaces.entry(names).or_insert((Vec::new(), code.span)).0.push(trigger);
    }
    for (workspaces, (triggers, span)) in by_workspaces {
        let (noun, verb) = if triggers.len() == 1 { ("trigger", "runs") } else { ("triggers", "run") };
        let message = format!(
            "the {noun} {} {verb} in each of {} in `{}`",
            listed(triggers.iter().map(String::as_str)),
            listed(workspaces.iter().copied()),
            stage.environment.name,
        );
        findings.push(Diagnostic::new(&rules::TRIGGER_TWICE, span, message).help(
            "let one of them run it: give the others another `ENV` than the trigger's `envs`; where all are meant: `# magus: ignore[MG604] …`",
        ));
    }
}
