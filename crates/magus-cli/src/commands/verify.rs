//! `magus verify`: records how a commit did in a stage, for the gates of the next one.

use std::collections::BTreeSet;

use magus_git::NotFound;
use magus_history::Recorded;
use magus_model::{
    Text,
    desired::Environment,
    history::{Ending, Entry, Operation, Verification},
    observed::Presence,
};
use magus_plan::Intent;
use magus_resolve::Heads;

use crate::{
    arguments::{Format, Global, Guards, Verdict, Verify},
    commands::history::cluster_of,
    declarations::{self, Checked, Look},
    engines::Engines,
    error::{CommandError, Exit},
    history,
    output::Output,
    pipeline::{self, Planned, Wish},
};

/// Runs the command.
pub fn run(global: &Global, arguments: &Verify, output: &Output) -> Result<Exit, CommandError> {
    let Verify { environment, result, commit, url, note } = arguments;
    let checked = declarations::check_valid(global, None, Look::to_deploy(global, Heads::AsTheyAre), output)?;
    let cluster = cluster_of(&checked, environment)?;
    let stage = cluster.environments.iter().find(|known| known.name == *environment);
    let Some(stage) = stage else {
        return Err(CommandError::new(Exit::Usage, format!("there is no environment `{environment}`")));
    };
    let commit = match commit {
        Some(text) => named(&checked, stage, text)?,
        None => running(global, &checked, &cluster.name, stage)?,
    };
    let entry = Entry {
        result: match result {
            Verdict::Pass => Ending::Passed,
            Verdict::Fail => Ending::Failed,
        },
        verification: Some(Verification {
            environment: stage.name.clone(),
            commit: commit.clone(),
            urls: url.iter().map(Text::from).collect(),
            note: note.as_ref().map(Text::from),
        }),
        ..history::entry(cluster, Operation::Verify)
    };
    let opened = history::open(global, cluster).map_err(|why| history::unread(cluster, &why.into()))?;
    let (entry, added) = opened.add(entry).map_err(|why| history::unread(cluster, &why))?;
    output.result(&match global.format {
        Format::Json => magus_report::history::json(&[entry]),
        _ => magus_report::history::verified(&stage.name, &commit, *result == Verdict::Pass),
    })?;
    match added {
        Recorded::Everywhere => Ok(Exit::Done),
        // What nobody else can see opens no gate.
        Recorded::Here(why) => {
            output.message(&history::unread(cluster, &why).describe());
            Ok(Exit::Unreachable)
        }
    }
}

/// The commit that was named, of the repository whose code the stage runs.
fn named(checked: &Checked, stage: &Environment, text: &str) -> Result<Text, CommandError> {
    let urls: BTreeSet<&Text> =
        stage.workspaces.iter().filter_map(|one| one.code.as_ref()).map(|code| &code.repository).collect();
    let Some(code) = urls.first().and_then(|url| checked.repositories.get(*url)) else {
        let message = format!("nobody can look for `{text}`: nothing is deployed to `{}`", stage.name);
        return Err(CommandError::new(Exit::Unreachable, message)
            .hint("its `repository` and `branch` have to be declared, and the repository has to be there"));
    };
    code.commit(text).map(Text::from).map_err(|why| {
        let message = match why {
            NotFound::Unknown => format!("the repository has no commit `{text}`"),
            NotFound::Ambiguous => format!("several commits begin with `{text}`"),
        };
        CommandError::new(Exit::Invalid, message).hint("name it in full: `git rev-parse HEAD`")
    })
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
            let message = format!("no workspace of `{}` runs any commit", stage.name);
            Err(CommandError::new(Exit::Invalid, message).hint("name the one that was verified: `--commit`"))
        }
    }
}
