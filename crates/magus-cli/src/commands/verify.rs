//! `magus verify`: records how a commit did in a stage, for the gates of the next one.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use magus_engine::PerformError;
use magus_history::Recorded;
use magus_model::{
    Text,
    desired::{Cluster, DesiredState, Environment, Workspace},
    history::{Ending, Entry, Operation, Verification},
    observed::Presence,
};
use magus_plan::Intent;
use magus_resolve::Heads;

use crate::{
    arguments::{Format, Global, Guards, Verdict, Verify},
    commands::{apply, history::stage_of},
    declarations::{self, Checked, Look},
    engines::Engines,
    entries,
    error::{CommandError, Exit},
    history,
    output::Output,
    pipeline::{self, Planned, Wish},
    repository,
};

/// How a verification ended.
struct Outcome {
    passed: bool,
    urls: Vec<Text>,
    note: Option<Text>,
}

/// Runs the command.
pub fn run(global: &Global, arguments: &Verify, output: &Output) -> Result<Exit, CommandError> {
    let Verify { environment, result, run: _, commit, url, note } = arguments;
    let engines = Engines::new(global);
    let look = Look::to_deploy(global, Heads::AsTheyAre).with_clusters(&engines);
    let checked = declarations::check_valid(global, None, look, output)?;
    let (cluster, stage) = stage_of(&checked, environment)?;
    let commit = match commit {
        Some(text) => named(&checked, stage, text)?,
        None => running(global, &checked, &cluster.name, stage)?,
    };
    let given = note.as_ref().map(Text::from);
    let outcome = match result {
        Some(verdict) => Outcome {
            passed: *verdict == Verdict::Pass,
            urls: url.iter().map(Text::from).collect(),
            note: given,
        },
        None => {
            let ran = run_pipelines(global, cluster, stage, output)?;
            Outcome { note: given.or(ran.note), ..ran }
        }
    };
    let Outcome { passed, urls, note } = outcome;
    let entry = Entry {
        result: if passed { Ending::Passed } else { Ending::Failed },
        verification: Some(Verification {
            environment: stage.name.clone(),
            commit: commit.clone(),
            urls,
            note,
        }),
        ..entries::entry(cluster, Operation::Verify)
    };
    let opened = history::open(global, cluster).map_err(|why| history::unread(cluster, &why.into()))?;
    let (entry, added) = opened.add(entry).map_err(|why| history::unread(cluster, &why))?;
    output.result(&match global.format {
        Format::Json => magus_report::history::json(&[entry]),
        _ => magus_report::history::verified(&stage.name, &commit, passed),
    })?;
    // That a validation which Magus ran itself failed is what CI has to hear.
    let failed = if passed || result.is_some() { Exit::Done } else { Exit::Incomplete };
    match added {
        Recorded::Everywhere => Ok(failed),
        // What nobody else can see opens no gate.
        Recorded::Here(why) => {
            output.message(&history::unread(cluster, &why).describe());
            Ok(failed.or(Exit::Unreachable))
        }
    }
}

/// Runs the pipelines of a stage in each of its workspaces, one after the other, up to the first that fails.
fn run_pipelines(
    global: &Global,
    cluster: &Cluster,
    stage: &Environment,
    output: &Output,
) -> Result<Outcome, CommandError> {
    let wish = Wish::new(global, &Guards::default(), "verify", Intent::Converge)?;
    let wanted = |workspace: &&Workspace| {
        workspace.state != DesiredState::Stopped
            && wish.filter.selects(&stage.name, &workspace.declared, &workspace.name)
    };
    let workspaces: Vec<&Workspace> = stage.workspaces.iter().filter(wanted).collect();
    let name = &stage.name;
    if stage.verify.pipelines.is_empty() || workspaces.is_empty() {
        let message = match workspaces.is_empty() {
            true => format!("no workspace of `{name}` runs"),
            false => format!("`{name}` names no pipelines to be run"),
        };
        return Err(CommandError::new(Exit::Invalid, message)
            .hint(format!("write `verify: {{pipelines: [NAME]}}` into the environment.yaml of `{name}`")));
    }
    let unreachable = |why: String| CommandError::new(Exit::Unreachable, why);
    let validator =
        Engines::new(global).validator(cluster).map_err(|error| unreachable(error.to_string()))?;
    let Some(validator) = validator else {
        let message = format!("cluster `{}` runs no Mage, and so no pipeline", cluster.name);
        return Err(CommandError::new(Exit::Invalid, message).hint(format!(
            "run them elsewhere, and record it: magus verify{} {} --result pass",
            pipeline::directory_flag(global),
            pipeline::quoted(name)
        )));
    };
    apply::finish_steps_on_signal();
    let until = Instant::now() + Duration::from_secs(stage.verify.timeout);
    let mut urls = Vec::new();
    for workspace in workspaces {
        for pipeline in &stage.verify.pipelines {
            let told = |text: &str| output.note(text);
            let ran = validator.run_pipeline(&workspace.name, pipeline, until, &apply::INTERRUPTED, &told);
            match ran {
                Ok(run) if run.passed => urls.push(run.url),
                Ok(run) => {
                    urls.push(run.url);
                    let note = Some(format!("{pipeline} in {}: {}", workspace.name, run.status).into());
                    return Ok(Outcome { passed: false, urls, note });
                }
                // It began, and has not ended: that is how it did.
                Err(PerformError::Uncertain(why)) if Instant::now() >= until => {
                    return Ok(Outcome { passed: false, urls, note: Some(why.into()) });
                }
                Err(error) => {
                    return Err(unreachable(error.message().to_owned())
                        .hint("nothing was recorded; verify again once it can run"));
                }
            }
        }
    }
    Ok(Outcome { passed: true, urls, note: None })
}

/// The commit that was named, of the repository whose code the stage runs.
fn named(checked: &Checked, stage: &Environment, text: &str) -> Result<Text, CommandError> {
    let declared = checked.resolution.code.iter().find(|declared| declared.environment == stage.name);
    let Some(code) = declared.and_then(|declared| checked.repositories.get(&declared.repository.url)) else {
        let message =
            format!("nobody can look for `{text}`: `{}` has no repository that is read", stage.name);
        return Err(CommandError::new(Exit::Unreachable, message)
            .hint("the `repository` has to be declared in cluster.yaml, and to be there"));
    };
    repository::commit(code, text)
}

/// The one commit that all workspaces of a stage run.
fn running(
    global: &Global,
    checked: &Checked,
    cluster: &str,
    stage: &Environment,
) -> Result<Text, CommandError> {
    let wish = Wish::new(global, &Guards::default(), "verify", Intent::Converge)?;
    let Planned { observations, unreadable, .. } =
        pipeline::plan(global, checked, &wish, &Engines::new(global))?;
    if let Some((name, error)) = unreadable.iter().find(|(name, _)| name == cluster) {
        return Err(CommandError::new(Exit::Unreachable, format!("cluster `{name}`: {error}"))
            .hint("name the commit: `--commit`"));
    }
    let observation = observations.iter().find(|one| one.cluster == cluster);
    let mut commits = BTreeSet::new();
    for workspace in stage.workspaces.iter().filter(|one| one.code.is_some()) {
        if let Some(Presence::Present(observed)) = observation.map(|one| one.presence(&workspace.name)) {
            commits.extend(observed.code.commit.clone());
        }
    }
    let several: Vec<String> = commits.iter().map(|commit| format!("`{commit}`")).collect();
    match (commits.pop_first(), several.len()) {
        (Some(commit), 1) => Ok(commit),
        (Some(_), _) => {
            let message =
                format!("the workspaces of `{}` run several commits: {}", stage.name, several.join(", "));
            Err(CommandError::new(Exit::Invalid, message).hint("name the one that was verified: `--commit`"))
        }
        (None, _) => {
            let message = format!("no workspace of `{}` is known to run any commit", stage.name);
            Err(CommandError::new(Exit::Invalid, message).hint("name the one that was verified: `--commit`"))
        }
    }
}
