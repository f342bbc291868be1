//! `magus lock`: who changes a cluster at the time, and how to go on where somebody did not give the lock back.

use magus_git::Unread;
use magus_model::{Text, desired::Cluster, history::LockRecord};

use crate::{
    arguments::{Format, Global, LockCommand},
    declarations,
    error::{CommandError, Exit},
    history,
    output::Output,
    pipeline,
    selection::unknown_name,
};

/// Runs the command.
pub fn run(global: &Global, command: &LockCommand, output: &Output) -> Result<Exit, CommandError> {
    let checked = declarations::check_clusters(global, output)?;
    let clusters = &checked.resolution.desired.clusters;
    match command {
        LockCommand::List => list(global, clusters, output),
        LockCommand::Release { cluster, yes } => {
            let known: Vec<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
            unknown_name("cluster", &[cluster], &known)?;
            let Some(cluster) = clusters.iter().find(|known| known.name == *cluster) else {
                return Err(CommandError::new(Exit::Usage, format!("there is no cluster `{cluster}`")));
            };
            release(global, cluster, *yes, output)
        }
    }
}

fn list(global: &Global, clusters: &[Cluster], output: &Output) -> Result<Exit, CommandError> {
    let mut exit = Exit::Done;
    let mut held = Vec::new();
    let mut without: Vec<&Text> = Vec::new();
    for cluster in clusters {
        match locks(global, cluster) {
            Ok(Some(found)) => held.extend(found),
            Ok(None) => without.push(&cluster.name),
            Err(why) => {
                output.message(&why.describe());
                exit = exit.or(Exit::Unreachable);
            }
        }
    }
    output.result(&match global.format {
        Format::Json => magus_report::history::locks_json(&held),
        _ => magus_report::history::locks_text(&held, output.table_width, &output.styles()),
    })?;
    for name in without {
        output.note(&format!(
            "note: cluster `{name}` has no lock on a remote: `history: {{remote: origin}}` in cluster.yaml makes one"
        ));
    }
    Ok(exit)
}

/// The lock of a cluster on its remote; nothing where it has none.
fn locks(global: &Global, cluster: &Cluster) -> Result<Option<Vec<LockRecord>>, CommandError> {
    let unread = |why: Unread| history::unread(cluster, &why.into());
    let Some(remote) = history::remote(global, cluster).map_err(unread)? else { return Ok(None) };
    magus_history::locks(&remote, &[&cluster.name]).map(Some).map_err(unread)
}

fn release(global: &Global, cluster: &Cluster, yes: bool, output: &Output) -> Result<Exit, CommandError> {
    let unread = |why: Unread| history::unread(cluster, &why.into());
    let Some(remote) = history::remote(global, cluster).map_err(unread)? else {
        let message = format!("cluster `{}` has no lock on a remote", cluster.name);
        return Err(CommandError::new(Exit::Invalid, message)
            .hint("the lock of the embedded engine goes with the process that holds it"));
    };
    let held = magus_history::locks(&remote, &[&cluster.name]).map_err(unread)?;
    let Some(seen) = held.first() else {
        output.message("nobody holds the lock");
        return Ok(Exit::Done);
    };
    output.result(&magus_report::history::locks_text(&held, output.table_width, &output.styles()))?;
    let question = "The command that holds it stops before its next step. Release it?";
    if !yes && !output.ask(question, "pass `--yes` to release the lock without asking")? {
        output.message("nothing was released");
        return Ok(Exit::Done);
    }
    if magus_history::release(&remote, seen).map_err(unread)? {
        output.message(&format!("released the lock of cluster `{}`", cluster.name));
        Ok(Exit::Done)
    } else {
        Err(CommandError::new(Exit::Refused, "the lock is no longer the one that was shown")
            .hint(format!("magus lock list{}", pipeline::directory_flag(global))))
    }
}
