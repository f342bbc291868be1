//! One cluster and its main server for all tests of a binary.
//!
//! What they share they must not disturb: each test takes a [`Place`], with a namespace and names of its own, and makes
//! faults between Mage and Kubernetes only for that namespace.

use std::sync::{
    Arc, OnceLock, PoisonError, RwLock,
    atomic::{AtomicU32, Ordering},
};

use super::{KubernetesServer, Logins, MageServer, Missing, Mode, Options, kubeconfig_for};
use crate::proxy::{Exchange, Fault, Proxy, Request};

/// A cluster and its main server, with a proxy between them.
pub struct Shared {
    /// The cluster.
    pub kubernetes: &'static KubernetesServer,
    /// Its main server.
    pub mage: MageServer,
    proxy: Proxy,
    faults: Arc<Faults>,
}

/// Who decides about the requests of a namespace; the later one counts.
type Faults = RwLock<Vec<(String, Arc<dyn Fn(&Request) -> Fault + Send + Sync>)>>;

/// A place for one test.
pub struct Place {
    /// A namespace that nobody else uses.
    pub namespace: String,
    /// What the names of this test's workspaces begin with: names are unique in a Mage server, not in a namespace.
    pub prefix: String,
}

impl Place {
    /// Whether a request to Kubernetes is about this namespace.
    pub fn is_in(&self, request: &Request) -> bool {
        about(request, &self.namespace)
    }
}

fn about(request: &Request, namespace: &str) -> bool {
    let mut segments = request.path.split('/').skip_while(|segment| *segment != "namespaces");
    segments.nth(1) == Some(namespace)
}

impl Shared {
    /// A namespace and a prefix of its own for a test.
    ///
    /// # Panics
    /// Where the namespace cannot be made.
    pub fn place(&self) -> Place {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("t{}-", COUNT.fetch_add(1, Ordering::Relaxed));
        Place { namespace: self.kubernetes.namespace(), prefix }
    }

    /// Decides about what Mage asks Kubernetes for in one namespace, from now on.
    pub fn decide(&self, place: &Place, decide: impl Fn(&Request) -> Fault + Send + Sync + 'static) {
        let mut faults = self.faults.write().unwrap_or_else(PoisonError::into_inner);
        faults.push((place.namespace.clone(), Arc::new(decide)));
    }

    /// What passed between Mage and Kubernetes in one namespace.
    pub fn exchanges(&self, place: &Place) -> Vec<Exchange> {
        let mut exchanges = self.proxy.exchanges();
        exchanges.retain(|exchange| place.is_in(&exchange.request));
        exchanges
    }
}

/// The shared cluster, started when the first test asks for it.
///
/// # Errors
/// Where Kubernetes cannot be built here.
pub fn shared_kubernetes() -> Result<&'static KubernetesServer, Missing> {
    static SHARED: OnceLock<Result<KubernetesServer, Missing>> = OnceLock::new();
    SHARED.get_or_init(KubernetesServer::start).as_ref().map_err(Missing::clone)
}

/// The shared main server on [`shared_kubernetes`]: one with logins, one without.
///
/// # Errors
/// Where Mage or Kubernetes cannot be installed here.
pub fn shared(logins: Logins) -> Result<&'static Shared, Missing> {
    static OFF: OnceLock<Result<Shared, Missing>> = OnceLock::new();
    static ON: OnceLock<Result<Shared, Missing>> = OnceLock::new();
    let shared = match logins {
        Logins::Off => &OFF,
        Logins::On => &ON,
    };
    shared.get_or_init(|| start(logins)).as_ref().map_err(Missing::clone)
}

fn start(logins: Logins) -> Result<Shared, Missing> {
    super::environment()?;
    let kubernetes = shared_kubernetes()?;
    let proxy = Proxy::start(kubernetes.http_url());
    let faults = Arc::new(Faults::default());
    let deciding = Arc::clone(&faults);
    proxy.decide(move |request| {
        let faults = deciding.read().unwrap_or_else(PoisonError::into_inner);
        let decide = faults.iter().rev().find(|(namespace, _)| about(request, namespace));
        let decide = decide.map(|(_, decide)| Arc::clone(decide));
        drop(faults);
        decide.map_or(Fault::Pass, |decide| decide(request))
    });
    let kubeconfig = kubeconfig_for(&proxy.url());
    let options = Options { logins, ..Options::default() };
    let mage = MageServer::start(&Mode::MainKubernetes { kubeconfig: &kubeconfig }, &options)?;
    Ok(Shared { kubernetes, mage, proxy, faults })
}
