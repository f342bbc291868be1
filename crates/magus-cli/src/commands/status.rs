//! `magus status`: what runs where, and what an apply would do.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
};

use jiff::Timestamp;
use magus_git::Code;
use magus_model::{
    Text,
    desired::{Cluster, Desired, Workspace},
    history::Ending,
    observed::{ObservedCode, Work},
    plan::Commit,
};
use magus_plan::Intent;
use magus_report::status::{ClusterStatus, CodeStatus, Fact, Running};
use magus_resolve::Heads;

use crate::{
    arguments::{Format, Global, Guards},
    declarations::{self, Look},
    engines::Engines,
    error::{CommandError, Exit},
    history,
    output::Output,
    pipeline::{self, Planned, Wish},
    place,
};

/// Runs the command. What a guard withholds is shown and is no failure: nothing was asked to change.
pub fn run(global: &Global, output: &Output) -> Result<Exit, CommandError> {
    let engines = Engines::new(global);
    let look = Look::to_deploy(global, Heads::AsTheyAre).with_clusters(&engines);
    let checked = declarations::check_valid(global, None, look, output)?;
    let wish =
        Wish { look_for_work: true, ..Wish::new(global, &Guards::default(), "status", Intent::Converge)? };
    let planned = pipeline::plan(global, &checked, &wish, &engines)?;
    let desired = &checked.resolution.desired;
    let mut status = magus_report::status::status(
        desired,
        &planned.observations,
        &planned.plan,
        &|environment, declared, name| wish.filter.selects(environment, declared, name),
        &code(&checked.repositories),
    );
    status.running = running(global, desired);
    if output.verbose > 0 {
        status.clusters = about(desired, &planned, &engines, output);
    }
    output.result(&match global.format {
        Format::Json => magus_report::status::json(&status),
        Format::Html => magus_report::status::html(&status, Timestamp::now()),
        _ => place::complete_report(magus_report::status::text(
            &status,
            Timestamp::now(),
            output.table_width,
            &output.styles(),
        )),
    })?;
    pipeline::say_unreadable(&planned, output);
    let unknown = !planned.unreadable.is_empty() || !planned.plan.unknown.is_empty();
    pipeline::leave((checked, planned));
    Ok(if unknown { Exit::Unreachable } else { Exit::Done })
}

/// What began to change a cluster and has not ended, as far as is known without asking the network.
fn running(global: &Global, desired: &Desired) -> Vec<Running> {
    let entries = desired.clusters.iter().flat_map(|cluster| {
        let read = history::open(global, cluster).map_err(Into::into).and_then(|history| history.read(false));
        read.unwrap_or_else(|why| {
            tracing::debug!(cluster = %cluster.name, %why, "the history was not read");
            Vec::new()
        })
    });
    let running = entries.filter(|entry| entry.result == Ending::Running).map(|entry| Running {
        cluster: entry.cluster,
        entry: entry.id,
        operation: entry.operation.as_str().into(),
        by: entry.by,
        at: entry.at,
    });
    running.collect()
}

/// Says what runs and what it lacks. Many workspaces run the same.
fn code(repositories: &BTreeMap<Text, Code>) -> impl Fn(&Workspace, &ObservedCode) -> Option<CodeStatus> {
    let known: RefCell<HashMap<(Text, Text), Option<usize>>> = RefCell::default();
    move |workspace, observed| {
        let declared = workspace.code.as_ref()?;
        let repository = repositories.get(&declared.repository);
        let told = |id: &Text| {
            let unknown = Commit { id: id.clone(), title: Text::default(), author: Text::default() };
            match repository.map(|repository| repository.told(id)) {
                None => (unknown, None, Some(Text::new_static("the repository was not read"))),
                Some(Err(why)) => (unknown, None, Some(why.to_string().into())),
                Some(Ok(None)) => (unknown, None, None),
                Some(Ok(Some((commit, at)))) => (commit, Timestamp::from_second(at).ok(), None),
            }
        };
        let (commit, committed_at, unread) =
            observed.commit.as_ref().map(told).map_or((None, None, None), |(commit, at, unread)| {
                (Some(commit), at.map(|at| at.to_string().into()), unread)
            });
        let behind =
            observed.commit.as_ref().zip(declared.commit.as_ref().ok()).and_then(|(runs, wanted)| {
                let lacks = || repository?.apart(wanted, runs).ok().flatten().map(|(ahead, _)| ahead);
                *known.borrow_mut().entry((runs.clone(), wanted.clone())).or_insert_with(lacks)
            });
        let (branch, uncommitted) = (declared.branch.clone(), observed.work.paths().to_vec());
        let unchecked = match &observed.work {
            Work::Unknown(reason) => Some(reason.clone()),
            Work::NotRead | Work::None | Work::Uncommitted(_) => None,
        };
        Some(CodeStatus { branch, commit, committed_at, unread, behind, uncommitted, unchecked })
    }
}

/// What every cluster is that could be read. One that does not tell is said, and is no failure.
fn about(desired: &Desired, planned: &Planned, engines: &Engines, output: &Output) -> Vec<ClusterStatus> {
    let readable =
        |cluster: &&Cluster| planned.unreadable.iter().all(|(unreadable, _)| *unreadable != cluster.name);
    let mut clusters = Vec::new();
    for cluster in desired.clusters.iter().filter(readable) {
        let about = engines.observer(cluster).and_then(|observer| observer.about()).unwrap_or_else(|error| {
            output.note(&format!("note: cluster `{}` does not say what it is: {error}", cluster.name));
            Vec::new()
        });
        clusters.push(ClusterStatus {
            name: cluster.name.clone(),
            engine: cluster.engine.kind().into(),
            about: about.into_iter().map(|(name, value)| Fact { name: name.to_owned(), value }).collect(),
        });
    }
    clusters
}
