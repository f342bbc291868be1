//! `magus rollback`: pins an environment to what it ran before, and holds promotions to it. Nothing is deployed by it: that is
//! what the next apply does.

use std::path::Path;

use jiff::Timestamp;
use magus_code::Between;
use magus_git::Code;
use magus_load::{Document, Role, edit};
use magus_model::{
    Text,
    desired::{self, Environment},
    history::Entry,
    report::Outcome,
};
use magus_report::rollback::{self, FORMAT_VERSION, Release};
use magus_resolve::Heads;

use crate::{
    arguments::{Format, Global, Rollback},
    commands::history::stage_of,
    declarations::{self, Checked, Look},
    error::{CommandError, Exit},
    history,
    output::Output,
    pipeline, repository,
};

/// Runs the command.
pub fn run(global: &Global, arguments: &Rollback, output: &Output) -> Result<Exit, CommandError> {
    let Rollback { environment, to, reason, yes } = arguments;
    let checked = declarations::check_valid(global, None, Look::to_deploy(global, Heads::AsTheyAre), output)?;
    let (cluster, stage) = stage_of(&checked, environment)?;
    let deployed = stage.workspaces.iter().find_map(|one| one.code.as_ref()).ok_or_else(|| {
        CommandError::new(Exit::Invalid, format!("nothing is deployed to `{environment}`"))
            .hint("a rollback is one of code: declare `repository` and `branch`")
    })?;
    let Some(code) = checked.repositories.get(&deployed.repository) else {
        return Err(CommandError::new(
            Exit::Unreachable,
            format!("repository `{}` was not read", deployed.repository),
        ));
    };
    let read = history::open(global, cluster).map_err(Into::into);
    let entries = read
        .and_then(|history| history.read(!global.offline))
        .map_err(|why| history::unread(cluster, &why))?;
    let releases = releases(&entries, stage, deployed);
    let current = releases.last().map(|release| release.commit.clone()).or(deployed.commit.clone().ok());
    let release = match to {
        Some(name) => named(global, &releases, code, name)?,
        None => before(global, &releases, stage)?,
    };
    check_commit(global, code, deployed, &release.commit)?;
    let projects = &checked.projects;
    let between = Between {
        from: current.as_deref(),
        to: &release.commit,
        directory: &deployed.source.directory,
        now: Timestamp::now(),
    };
    let unknown = |why| repository::unknown("what the rollback changes", &why);
    let movement = projects.movement(code, between).map_err(unknown)?;
    let needs = projects.needs(code, &release.commit, &deployed.source.directory).map_err(unknown)?;
    let missing = needs.map_or_else(Vec::new, |needs| magus_resolve::would_lack(stage, &needs));
    let why = reason.clone().unwrap_or_else(|| "rolled back".to_owned());
    let rollback = rollback::Rollback {
        format_version: FORMAT_VERSION,
        environment: stage.name.clone(),
        branch: deployed.branch.clone(),
        from: current,
        to: release,
        movement,
        missing,
        hold: why.as_str().into(),
        written: None,
    };
    let shown = |rollback: &rollback::Rollback| match global.format {
        Format::Json => rollback::json(rollback),
        _ => rollback::text(rollback, &output.styles()),
    };
    if global.format == Format::Text {
        output.result(&shown(&rollback))?;
    }
    if rollback.from.as_ref() == Some(&rollback.to.commit) && is_pinned(deployed, &rollback.to.commit) {
        output.message("it runs and is pinned already; nothing was changed");
        return Ok(Exit::Done);
    }
    if !yes && !output.ask("Roll back to this?", "pass `--yes` to roll back without asking")? {
        output.message("nothing was changed");
        return Ok(Exit::Done);
    }
    let path = write(&checked, stage, &rollback.to.commit, &why)?;
    if global.format == Format::Json {
        output.result(&shown(&rollback::Rollback { written: Some(path.clone()), ..rollback }))?;
    }
    output.message(&format!(
        "wrote `deploy: pinned`, `commit` and `hold` into `{path}`; who removes them again lets `{environment}` go on"
    ));
    let directory = pipeline::directory_flag(global);
    output.note(&format!("next: commit it, and magus apply{directory} -e {}", pipeline::quoted(environment)));
    Ok(Exit::Done)
}

/// What was deployed to an environment from its branch, oldest first.
fn releases(entries: &[Entry], stage: &Environment, code: &desired::Code) -> Vec<Release> {
    let of_entry = |entry: &Entry| {
        let steps = entry.steps.iter().rev();
        let mut steps =
            steps.filter(|step| step.environment == stage.name && step.outcome == Outcome::Applied);
        let deployed = steps
            .find_map(|step| step.deployed.as_ref().filter(|deployed| deployed.branch == code.branch))?;
        let (entry, at) = (Some(entry.id.clone()), Some(entry.at.clone()));
        Some(Release { entry, at, commit: deployed.to.clone() })
    };
    entries.iter().filter_map(of_entry).collect()
}

/// The newest release that is another commit than the last one.
fn before(global: &Global, releases: &[Release], stage: &Environment) -> Result<Release, CommandError> {
    let last = releases.last();
    let other = |release: &&Release| last.is_some_and(|last| last.commit != release.commit);
    releases.iter().rev().find(other).cloned().ok_or_else(|| {
        let environment = &stage.name;
        CommandError::new(
            Exit::Invalid,
            format!("the history has no release of `{environment}` before the one that runs"),
        )
        .hint(format!(
            "name a commit: magus rollback{} {} --to COMMIT",
            pipeline::directory_flag(global),
            pipeline::quoted(environment)
        ))
    })
}

/// The release that an entry of the history names, or a commit.
fn named(global: &Global, releases: &[Release], code: &Code, name: &str) -> Result<Release, CommandError> {
    let matches = |release: &&Release| release.entry.as_ref().is_some_and(|entry| entry.starts_with(name));
    if let Some(release) = releases.iter().rev().find(matches) {
        return Ok(release.clone());
    }
    let commit = repository::commit(code, name).map_err(|error| {
        let message = format!("`{name}` is no release in the history, and no commit: {}", error.message);
        CommandError::new(Exit::Invalid, message)
            .hint(format!("to list the releases: magus history{}", pipeline::directory_flag(global)))
    })?;
    Ok(Release { entry: None, at: None, commit })
}

/// Only what is on the branch is deployed.
fn check_commit(
    global: &Global,
    code: &Code,
    deployed: &desired::Code,
    commit: &str,
) -> Result<(), CommandError> {
    let branch = &deployed.branch;
    let is_on = code.is_on(commit, branch);
    if is_on.map_err(|why| repository::unknown(&format!("whether `{commit}` is on `{branch}`"), &why))? {
        return Ok(());
    }
    let message = format!("`{commit}` is not on `{branch}` any more, and nothing else is deployed there");
    Err(CommandError::new(Exit::Invalid, message).hint(format!(
        "to roll back to another release, list them: magus history{}; or bring the commit back to the branch",
        pipeline::directory_flag(global)
    )))
}

fn is_pinned(deployed: &desired::Code, commit: &str) -> bool {
    deployed.pinned.is_some() && deployed.commit.as_deref() == Ok(commit)
}

/// Writes the pin and the hold into the environment.yaml; its path. Comments and layout stay.
fn write(checked: &Checked, stage: &Environment, commit: &str, why: &str) -> Result<Text, CommandError> {
    let loaded = &checked.loaded;
    let is_settings =
        |role: &Role| matches!(role, Role::Environment { environment } if *environment == stage.name);
    let file = loaded.files.iter().find(|file| is_settings(&file.role)).ok_or_else(|| {
        CommandError::new(Exit::Invalid, format!("`{}` has no environment.yaml", stage.name))
    })?;
    let Document { file, .. } = loaded.parse(file);
    let source = loaded.sources.file(file.id).ok_or_else(|| {
        CommandError::new(Exit::Invalid, format!("the environment.yaml of `{}` was not read", stage.name))
    })?;
    let keys = [("deploy", "pinned"), ("commit", commit), ("hold", why)];
    edit::set(file.id, &source.text, "branch", &keys)
        .and_then(|text| edit::write(Path::new(&*source.path), &source.text, &text))
        .map_err(|error| {
            CommandError::from_error(Exit::Incomplete, error).hint(format!(
                "write `deploy: pinned`, `commit: \"{commit}\"` and `hold` into `{}` yourself",
                source.path
            ))
        })?;
    Ok(Text::from(&*source.path))
}
