//! Deletes what Mage has made for a workspace and knows no more (MAGE.md 4.8, 4.9).

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, Service},
};
use kube::{
    Resource,
    core::{
        Request,
        params::{DeleteParams, Preconditions, PropagationPolicy},
    },
};
use magus_engine::PerformError;
use serde::de::IgnoredAny;

use crate::{Kubernetes, failure::Trouble, workload::Workload};

impl Kubernetes {
    /// Deletes the StatefulSet of this `uid`, which has to look like one that Mage made, and then its Service and the
    /// ConfigMap of its hooks. Its volume is left as its own policy says; a path in an Ingress is left.
    ///
    /// # Errors
    /// [`PerformError::Moved`] where it is another one by now, or none; [`PerformError::Uncertain`] where the cluster did not
    /// answer, or where only a part is gone.
    pub fn delete_workspace(&self, namespace: &str, name: &str, uid: &str) -> Result<(), PerformError> {
        let there = self.look(namespace, name).map_err(|trouble| {
            PerformError::Failed(format!("`{name}` cannot be read: {}", trouble.perform().message()))
        })?;
        if !there.is_some_and(|Workload { uid: now, is_workspace, .. }| is_workspace && now == uid) {
            return Err(PerformError::Moved(format!(
                "the StatefulSet `{name}` in `{namespace}` is not the one of the plan any more; plan again"
            )));
        }
        let only_this = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        self.delete::<StatefulSet>(namespace, name, Some(only_this)).map_err(Trouble::perform)?;
        self.delete_rest(namespace, name).map_err(|error| {
            PerformError::Uncertain(format!("its StatefulSet is deleted; {}", error.message()))
        })
    }

    /// Deletes what Mage makes for a workspace besides its StatefulSet: its Service and the ConfigMap of its hooks. Its volume
    /// stays.
    ///
    /// # Errors
    /// [`PerformError::Failed`] where the cluster refuses; [`PerformError::Uncertain`] where it did not answer.
    pub fn delete_rest(&self, namespace: &str, name: &str) -> Result<(), PerformError> {
        let rest = [
            ("Service", self.delete::<Service>(namespace, &format!("{name}-service"), None)),
            ("ConfigMap", self.delete::<ConfigMap>(namespace, &format!("{name}-hooks"), None)),
        ];
        for (kind, deleted) in rest {
            deleted.map_err(|trouble| {
                trouble.perform().map_message(|message| format!("its {kind} is not deleted: {message}"))
            })?;
        }
        Ok(())
    }

    /// Deletes an object; one that is not there is as good as deleted.
    fn delete<K>(
        &self,
        namespace: &str,
        name: &str,
        preconditions: Option<Preconditions>,
    ) -> Result<(), Trouble>
    where
        K: Resource<DynamicType = ()>,
    {
        let params = DeleteParams {
            preconditions,
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let request = Request::new(K::url_path(&(), Some(namespace))).delete(name, &params);
        match self.server.write::<IgnoredAny>(request) {
            Ok(_) => Ok(()),
            Err(trouble) if trouble.is_absence_of(name) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }
}
