//! `magus history`: what was done to the clusters, newest first.

use magus_model::{
    Text,
    desired::{Cluster, Environment},
    history::Entry,
};

use crate::{
    arguments::{Format, Global, History},
    declarations::{self, Checked},
    error::{CommandError, Exit},
    history,
    output::Output,
    selection::unknown_name,
};

/// Runs the command.
pub fn run(global: &Global, arguments: &History, output: &Output) -> Result<Exit, CommandError> {
    let checked = declarations::check_clusters(global, output)?;
    let clusters = &checked.resolution.desired.clusters;
    check_names(global, &checked)?;
    let mut exit = Exit::Done;
    let mut entries: Vec<Entry> = Vec::new();
    for cluster in clusters {
        let read = history::open(global, cluster).map_err(Into::into);
        match read.and_then(|history| history.read(!global.offline)) {
            Ok(read) => entries.extend(read.into_iter().filter(|entry| is_wanted(global, entry))),
            Err(why) => {
                output.message(&history::unread(cluster, &why).describe());
                exit = exit.or(Exit::Unreachable);
            }
        }
    }
    // Stable: those of one cluster stay in their order, whatever clocks said.
    if clusters.len() > 1 {
        entries.sort_by(|a, b| a.at.cmp(&b.at));
    }
    entries.reverse();
    entries.truncate(arguments.limit.map_or(usize::MAX, |limit| limit as usize));
    if exit != Exit::Done && entries.is_empty() {
        // Nobody knows whether anything was recorded.
        return Ok(exit);
    }
    output.result(&match global.format {
        Format::Json => magus_report::history::json(&entries),
        _ => magus_report::history::text(&entries, output.table_width, &output.styles()),
    })?;
    Ok(exit)
}

/// Names that nothing has are a slip of the pen; what was declared once may be asked for.
fn check_names(global: &Global, checked: &Checked) -> Result<(), CommandError> {
    let known: Vec<&str> = checked.resolution.environment_folders.iter().map(Text::as_str).collect();
    unknown_name("environment", &global.environment, &known)
}

fn is_wanted(global: &Global, entry: &Entry) -> bool {
    let Global { environment, workspace, .. } = global;
    let named = |names: &[String], name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    if environment.is_empty() && workspace.is_empty() {
        return true;
    }
    let verified = entry.verification.as_ref().map(|one| &one.environment);
    entry
        .steps
        .iter()
        .any(|step| named(environment, &step.environment) && named(workspace, step.workspace.as_str()))
        || (workspace.is_empty() && verified.is_some_and(|name| named(environment, name)))
}

/// An environment, and the cluster that it is in.
pub fn stage_of<'a>(
    checked: &'a Checked,
    name: &str,
) -> Result<(&'a Cluster, &'a Environment), CommandError> {
    let clusters = &checked.resolution.desired.clusters;
    let stages =
        || clusters.iter().flat_map(|cluster| cluster.environments.iter().map(move |stage| (cluster, stage)));
    if let Some(found) = stages().find(|(_, stage)| stage.name == name) {
        return Ok(found);
    }
    let known: Vec<&str> = stages().map(|(_, stage)| stage.name.as_str()).collect();
    unknown_name("environment", &[name], &known)?;
    Err(CommandError::new(Exit::Usage, format!("there is no environment `{name}`")))
}
