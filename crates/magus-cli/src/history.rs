//! Where the history of a cluster and its lock are, on this machine and by this user; and what goes into it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::Duration,
};

use jiff::Timestamp;
use magus_git::{Code, Remote, Unknown, Unread};
use magus_history::{Claim, History, HistoryError, Lock, LockError, Store};
use magus_model::{
    Text,
    desired::{self, Cluster, Desired, Engine, Gates},
    history::Entry,
    observed::Observation,
};
use magus_plan::{Compared, Evidence, Kinship};

use crate::{
    arguments::Global,
    engines::{actor, host},
    error::{CommandError, Exit},
    output::Output,
    repository,
};

/// The file of the history in the folder of the embedded engine.
const FILE: &str = "history.db";

/// The remote that the declarations name for a cluster, where they name one.
pub fn remote(global: &Global, cluster: &Cluster) -> Result<Option<Remote>, Unread> {
    cluster.history.as_ref().map(|name| Remote::of(&global.dir, name, repository::ssh())).transpose()
}

/// The history of a cluster, in its places.
pub fn open(global: &Global, cluster: &Cluster) -> Result<History, Unread> {
    Ok(History::new(cluster.name.clone(), store(cluster).map(Store::new), remote(global, cluster)?))
}

/// The file of the history on this machine; nothing where no folder of the user's is known.
fn store(cluster: &Cluster) -> Option<PathBuf> {
    let server = match &cluster.engine {
        Engine::Local { path } => return Some(Path::new(path.as_str()).join(FILE)),
        Engine::Mage(server) => server,
    };
    // Clusters of the same name may be many; the server tells them apart.
    let host: String = server.url.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = format!("{}-{host}.db", cluster.name);
    Some(repository::user_folder("XDG_STATE_HOME", ".local/state")?.join("magus").join("history").join(name))
}

/// Every entry of each cluster, oldest first, or why they were not read.
pub fn read_all(global: &Global, desired: &Desired) -> BTreeMap<Text, Result<Vec<Entry>, Text>> {
    let read = |cluster: &Cluster| -> Result<Vec<Entry>, HistoryError> {
        open(global, cluster)?.read(!global.offline)
    };
    let clusters = desired.clusters.iter();
    clusters
        .map(|cluster| (cluster.name.clone(), read(cluster).map_err(|why| why.to_string().into())))
        .collect()
}

/// The commits of which evidence is asked for, each with the environment that it is to be deployed to.
#[derive(Default)]
pub struct Asked {
    /// All of them.
    pub wanted: BTreeSet<(Text, Text)>,
    /// Those that are older than what runs: the history says whether they ran there before.
    pub back: BTreeSet<(Text, Text)>,
}

/// What is known, on the stage before, of the commits that are to be deployed to an environment. Nothing is looked for unless
/// gates look there.
pub fn evidence(
    global: &Global,
    desired: &Desired,
    Asked { mut wanted, back }: Asked,
    repositories: &BTreeMap<Text, Code>,
    observations: &[Observation],
) -> Evidence {
    let environments = desired.clusters.iter().flat_map(|cluster| &cluster.environments);
    let gates: BTreeMap<&Text, &Gates> = environments
        .map(|environment| (&environment.name, &environment.gates))
        .filter(|(_, gates)| gates.look_back())
        .collect();
    wanted.retain(|(environment, _)| gates.contains_key(environment));
    if wanted.is_empty() {
        return Evidence::default();
    }
    let asks = |target: &(Text, Text)| {
        let of_time =
            gates.get(&target.0).is_some_and(|gates| gates.verified.is_some() || gates.soak.is_some());
        of_time || back.contains(target)
    };
    let histories = if wanted.iter().any(asks) { read_all(global, desired) } else { BTreeMap::new() };
    let compare = |code: &desired::Code, compare: &dyn Fn(&Code) -> Result<bool, Unknown>| -> Compared {
        let repository = repositories.get(&code.repository).ok_or("the repository was not read")?;
        compare(repository).map_err(|why| why.to_string().into())
    };
    let kinship = Kinship {
        same: &|code, one, other| {
            Ok(one == other || compare(code, &|repository| repository.have_same_files(one, other))?)
        },
        follows: &|code, one, other| {
            compare(code, &|repository| {
                Ok(repository.apart(other, one)?.is_some_and(|(lacks, _)| lacks == 0))
            })
        },
    };
    magus_plan::evidence(desired, &wanted, observations, &histories, &kinship)
}

/// Takes the lock of a cluster on its remote, where it has one. Once it is lost, nothing else is begun.
pub fn lock(
    global: &Global,
    cluster: &Cluster,
    operation: &str,
    wait: Duration,
) -> Result<Option<Lock>, LockError> {
    let Some(remote) = remote(global, cluster)? else { return Ok(None) };
    let claim = Claim {
        cluster: cluster.name.clone(),
        owner: actor().into(),
        host: host().into(),
        operation: operation.into(),
        wait,
        clock: Timestamp::now,
    };
    let lost = |why: &str| {
        if !crate::commands::apply::INTERRUPTED.swap(true, Ordering::SeqCst) {
            Output::say(&format!("error: {why}: finishing running steps; no new step will start"));
        }
    };
    Lock::take(remote, claim, lost).map(Some)
}

/// Who runs this.
pub fn author() -> Text {
    format!("{}@{}", actor(), host()).into()
}

/// A history that could not be read or written, as an error of the command.
pub fn unread(cluster: &Cluster, why: &HistoryError) -> CommandError {
    let error =
        CommandError::new(Exit::Unreachable, format!("the history of cluster `{}`: {why}", cluster.name));
    match why {
        HistoryError::Remote(Unread::Failed { help, .. }) => error.hint(help.clone()),
        HistoryError::Nowhere(_) => error.hint("set `HOME` or `XDG_STATE_HOME` to a folder that is yours"),
        _ => error,
    }
}
