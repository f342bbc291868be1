//! From a declared engine to the code that speaks with it.

use std::{collections::BTreeMap, os::unix::fs::MetadataExt, path::Path, time::Duration};

use jiff::Timestamp;
use magus_engine::{EngineError, Observe};
use magus_engine_local::{Holder, OpenRequest, Store};
use magus_model::{
    Text,
    desired::{Cluster, Engine},
};

/// The clusters that are open for writing.
#[derive(Default)]
pub struct Stores {
    /// Those that could be opened, by name.
    pub open: BTreeMap<Text, Store>,
    /// Whether any could not.
    pub failed: bool,
}

/// Reads a cluster.
pub fn observer(cluster: &Cluster) -> Box<dyn Observe> {
    match &cluster.engine {
        Engine::Local { path } => Box::new(Store::observer(&cluster.name, Path::new(path.as_str()))),
    }
}

/// Opens a cluster for writing, with its lock. `operation` is told to everybody who finds it locked, `reason` is recorded.
///
/// # Errors
/// Where somebody else holds the lock, or the cluster cannot be written.
pub fn open(cluster: &Cluster, operation: &str, reason: Option<&str>) -> Result<Store, EngineError> {
    match &cluster.engine {
        Engine::Local { path } => Store::open(OpenRequest {
            path: Path::new(path.as_str()),
            holder: Holder { actor: actor(), host: host(), operation: operation.into() },
            wait: Duration::ZERO,
            clock: Box::new(Timestamp::now),
            reason: reason.map(str::to_owned),
        }),
    }
}

/// Who runs this: what the system calls the user, for messages and events only.
fn actor() -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let number = || std::fs::metadata("/proc/self").map(|process| format!("uid {}", process.uid()));
    named.or_else(|| number().ok()).unwrap_or_else(|| "unknown".into())
}

fn host() -> String {
    ["/etc/hostname", "/proc/sys/kernel/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_else(|| "unknown".into())
}

/// How many steps are under way at once unless `--jobs` says otherwise.
pub fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(4, std::num::NonZero::get)
}
