//! From declared engines to the code that speaks with them.

use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use magus_engine::{EngineError, Observe, Perform, Validate};
use magus_engine_local::{Holder, OpenRequest, Store};
use magus_engine_mage::{Connect, Mage, Patience};
use magus_model::{
    Text,
    desired::{Cluster, Engine, MageServer},
};

use crate::arguments::Global;

/// The engines of one command. A server is connected to once, however often it is read and changed.
pub struct Engines {
    ca_file: Option<PathBuf>,
    patience: Patience,
    servers: Mutex<BTreeMap<Text, Arc<Mage>>>,
}

impl Engines {
    /// No engine is spoken with yet.
    pub fn new(global: &Global) -> Self {
        Self { ca_file: global.ca_file.clone(), patience: Patience::default(), servers: Mutex::default() }
    }

    /// The same with steps that wait for so many seconds.
    #[must_use]
    pub fn with_timeout(mut self, seconds: Option<u32>) -> Self {
        if let Some(ready) = seconds.map(u64::from).map(Duration::from_secs) {
            self.patience = Patience { ready, gone: self.patience.gone.min(ready), ..self.patience };
        }
        self
    }

    /// Reads a cluster.
    ///
    /// # Errors
    /// Where the environment does not say how to reach it.
    pub fn observer(&self, cluster: &Cluster) -> Result<Arc<dyn Observe>, EngineError> {
        Ok(match &cluster.engine {
            Engine::Local { path } => Arc::new(Store::observer(&cluster.name, Path::new(path.as_str()))),
            Engine::Mage(server) => self.server(&cluster.name, server)?,
        })
    }

    /// What runs pipelines in a cluster; nothing where no Mage is there to run them.
    ///
    /// # Errors
    /// Where the environment does not say how to reach it.
    pub fn validator(&self, cluster: &Cluster) -> Result<Option<Arc<dyn Validate>>, EngineError> {
        Ok(match &cluster.engine {
            Engine::Local { .. } => None,
            Engine::Mage(server) => Some(self.server(&cluster.name, server)?),
        })
    }

    /// Opens a cluster for writing, with its lock where the engine has one. `operation` is told to everybody who finds it
    /// locked, `reason` is recorded; `wait` is how long to wait for the lock.
    ///
    /// # Errors
    /// Where somebody else holds the lock, or the cluster cannot be written.
    pub fn open(
        &self,
        cluster: &Cluster,
        operation: &str,
        reason: Option<&str>,
        wait: Duration,
    ) -> Result<Arc<dyn Perform>, EngineError> {
        Ok(match &cluster.engine {
            Engine::Local { path } => Arc::new(Store::open(OpenRequest {
                path: Path::new(path.as_str()),
                holder: Holder { actor: actor(), host: host(), operation: operation.into() },
                wait,
                clock: Box::new(Timestamp::now),
                reason: reason.map(str::to_owned),
            })?),
            Engine::Mage(server) => {
                let server = self.server(&cluster.name, server)?;
                server.check_rights()?;
                server
            }
        })
    }

    fn server(&self, cluster: &Text, server: &MageServer) -> Result<Arc<Mage>, EngineError> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connected) = servers.get(cluster) {
            return Ok(Arc::clone(connected));
        }
        let connected = Arc::new(Mage::connect(Connect {
            cluster,
            server,
            variable: &|name| std::env::var_os(name),
            ca_file: self.ca_file.clone(),
            patience: self.patience,
            now: Timestamp::now,
        })?);
        servers.insert(cluster.clone(), Arc::clone(&connected));
        Ok(connected)
    }
}

/// Who runs this: what CI or the system calls the user, for messages, events and the history only.
pub fn actor() -> String {
    // In CI, the account of the machine says nothing.
    let named = ["GITHUB_ACTOR", "GITLAB_USER_LOGIN", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok());
    let number = || std::fs::metadata("/proc/self").map(|process| format!("uid {}", process.uid()));
    named.or_else(|| number().ok()).unwrap_or_else(|| "unknown".into())
}

/// The machine that this runs on, for messages and events only.
pub fn host() -> String {
    ["/etc/hostname", "/proc/sys/kernel/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_else(|| "unknown".into())
}

/// How many steps are under way at once unless `--jobs` says otherwise. They wait for servers more than for processors.
pub fn default_jobs() -> usize {
    const FEWEST: usize = 8;
    std::thread::available_parallelism().map_or(FEWEST, |processors| processors.get().max(FEWEST))
}
