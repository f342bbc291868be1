//! The paths of an Ingress that lead to workspaces.

use std::collections::BTreeSet;

use k8s_openapi::api::networking::v1::Ingress;
use magus_engine::EngineError;
use magus_model::Text;

use crate::{Kubernetes, failure::Trouble};

impl Kubernetes {
    /// The Services that the first rule of an Ingress leads to, the only one that Mage looks at (`get_url_from_ingress` in
    /// `cluster_manager/kubernetes/workload_manager.py` of 0.9.80). Nothing where there is no such Ingress.
    ///
    /// # Errors
    /// Where the cluster does not say.
    pub fn ingress_services(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<BTreeSet<Text>>, EngineError> {
        let ingress: Option<Ingress> =
            self.server.get::<Ingress, _>(Some(namespace), name).map_err(Trouble::engine)?;
        Ok(ingress.map(|ingress| {
            let rule = ingress.spec.and_then(|spec| spec.rules?.into_iter().next());
            let paths = rule.and_then(|rule| rule.http).map(|http| http.paths).unwrap_or_default();
            paths.into_iter().filter_map(|path| Some(path.backend.service?.name.into())).collect()
        }))
    }
}
