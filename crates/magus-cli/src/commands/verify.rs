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
};
use magus_plan::{Intent, NotRunning};
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
    pipeline::{self, Wish},
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
    if result.is_none() && stage.verify.pipelines.is_empty() {
        return Err(no_pipelines(&stage.name, "names no pipelines to be run"));
    }
    let named = commit.as_ref().map(|text| named(&checked, stage, text)).transpose()?;
    let may_pass = *result != Some(Verdict::Fail);
    if may_pass && !global.workspace.is_empty() {
        let message =
            format!("`-w` selects workspaces, and a verification is of the whole of `{}`", stage.name);
        return Err(CommandError::new(Exit::Usage, message)
            .hint(format!("verify all of it: magus verify {}", pipeline::quoted(&stage.name))));
    }
    // A pass counts for a commit that the whole stage runs. A failure is one wherever it was seen.
    let commit = match named {
        Some(commit) if !may_pass => commit,
        Some(commit) => running(global, &checked, cluster, stage, Some(&commit))?,
        None => running(global, &checked, cluster, stage, None)?,
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
            if ran.passed {
                // The stage may have changed while the pipelines ran.
                running(global, &checked, cluster, stage, Some(&commit))?;
            }
            Outcome { note: given.or(ran.note), ..ran }
        }
    };
    let Outcome { passed, urls, note } = outcome;
    let entry = Entry {
        result: if passed { Ending::Passed } else { Ending::Failed },
        verification: Some(Verification {
            environment: stage.name.clone(),
            commit: commit.clone(),
            source: stage.workspaces.iter().find_map(|one| Some(one.code.as_ref()?.source.clone())),
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

/// Nothing can be run in a stage.
fn no_pipelines(stage: &Text, what: &str) -> CommandError {
    CommandError::new(Exit::Invalid, format!("`{stage}` {what}"))
        .hint(format!("write `verify: {{pipelines: [NAME]}}` into the environment.yaml of `{stage}`"))
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
        let what = if workspaces.is_empty() { "runs no workspace" } else { "names no pipelines to be run" };
        return Err(no_pipelines(name, what));
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

/// The one commit that every workspace of a stage was observed running: the expected one, or one with the same files, if
/// one is expected.
fn running(
    global: &Global,
    checked: &Checked,
    cluster: &Cluster,
    stage: &Environment,
    expected: Option<&Text>,
) -> Result<Text, CommandError> {
    let name = &stage.name;
    let wish = Wish::new(global, &Guards::default(), "verify", Intent::Converge)?;
    let (observations, unreadable) =
        pipeline::observe(&checked.resolution.desired, &wish, &Engines::new(global));
    if let Some((unread, error)) = unreadable.iter().find(|(unread, _)| *unread == cluster.name) {
        return Err(CommandError::new(Exit::Unreachable, format!("cluster `{unread}`: {error}"))
            .hint("nothing was recorded; verify again once the cluster can be read"));
    }
    let observation = observations.iter().find(|one| one.cluster == cluster.name);
    let mut commits = BTreeSet::new();
    for workspace in &stage.workspaces {
        if let Err(why) = magus_plan::observed_running(workspace, observation) {
            return Err(incomplete(stage, workspace, &why));
        }
    }
    for workspace in stage.workspaces.iter().filter(|one| one.code.is_some()) {
        match magus_plan::running(workspace, observation) {
            Ok(running) => commits.insert(running.commit.clone()),
            Err(why) => return Err(incomplete(stage, workspace, &why)),
        };
    }
    let several: Vec<String> = commits.iter().map(|commit| format!("`{commit}`")).collect();
    let Some(commit) = commits.pop_first() else {
        // No code is deployed there: the person who verifies knows which commit it was.
        return expected.cloned().ok_or_else(|| {
            CommandError::new(Exit::Invalid, format!("nothing was recorded: no code is deployed to `{name}`"))
                .hint("name the commit that was verified: `--commit`")
        });
    };
    if several.len() > 1 {
        let message = format!(
            "nothing was recorded: the workspaces of `{name}` run several commits: {}",
            several.join(", ")
        );
        return Err(CommandError::new(Exit::Refused, message).hint(again(global, name)));
    }
    let same_files = |one: &str, other: &str| {
        let code = stage.workspaces.iter().find_map(|one| one.code.as_ref());
        let repository = code.and_then(|code| checked.repositories.get(&code.repository));
        let question = || format!("nothing was recorded: whether `{one}` and `{other}` have the same files");
        repository.map_or(Ok(false), |code| {
            code.have_same_files(one, other).map_err(|why| repository::unknown(&question(), &why))
        })
    };
    match expected {
        Some(expected) if *expected != commit && !same_files(expected, &commit)? => {
            let message = format!("nothing was recorded: `{name}` runs `{commit}`, not `{expected}`");
            Err(CommandError::new(Exit::Refused, message).hint(again(global, name)))
        }
        Some(expected) => Ok(expected.clone()),
        None => Ok(commit),
    }
}

/// Why a stage cannot be verified.
fn incomplete(stage: &Environment, workspace: &Workspace, why: &NotRunning) -> CommandError {
    let (name, stage_name) = (&workspace.name, &stage.name);
    let (exit, what) = match why {
        NotRunning::State(state) => (Exit::Refused, format!("is {}", state.as_str())),
        NotRunning::Missing => (Exit::Refused, "is not in the cluster".to_owned()),
        NotRunning::OtherCommit | NotRunning::OtherSource => {
            (Exit::Refused, "runs no deployed commit".to_owned())
        }
        NotRunning::Unknown(why) => (Exit::Unreachable, format!("is unknown: {why}")),
    };
    CommandError::new(exit, format!("nothing was recorded: `{name}` of `{stage_name}` {what}")).hint(format!(
        "every workspace of `{stage_name}` has to run the commit: magus status -e {stage_name}"
    ))
}

/// What completes a stage.
fn again(global: &Global, stage: &Text) -> String {
    let directory = pipeline::directory_flag(global);
    format!(
        "bring the stage to its commit, and verify again: magus apply{directory} -e {}",
        pipeline::quoted(stage)
    )
}
