//! An annotation of a StatefulSet. It is outside the pod template, so setting it restarts nothing.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{
    Resource as _,
    core::{
        Request,
        params::{Patch, PatchParams},
    },
};
use magus_engine::PerformError;
use serde::de::IgnoredAny;
use serde_json::{Value as Json, json};

use crate::{
    Kubernetes,
    failure::{Failure, Trouble},
    workload::Key,
};

/// The annotation that holds the second copy of a mark.
pub const MARK_ANNOTATION: &str = "magus.dev/mark";

impl Kubernetes {
    /// Sets [`MARK_ANNOTATION`] of the StatefulSet with this `uid`, or removes it.
    ///
    /// # Errors
    /// [`PerformError::Moved`] if it is another one by now, or none; [`PerformError::Uncertain`] if the cluster did not answer.
    pub fn annotate_mark(&self, key: &Key, uid: &str, mark: Option<&str>) -> Result<(), PerformError> {
        let Key { namespace, name } = key;
        let path = StatefulSet::url_path(&(), Some(namespace.as_str()));
        let request =
            Request::new(path).patch(name, &PatchParams::default(), &Patch::Merge(patch(uid, mark)));
        match self.server.write::<IgnoredAny>(request) {
            Ok(_) => Ok(()),
            Err(Trouble { failure: Failure::Status { code, message, .. }, .. })
                if code == 404 || (matches!(code, 409 | 422) && message.contains("metadata.uid")) =>
            {
                Err(PerformError::Moved(format!(
                    "the StatefulSet `{name}` in `{namespace}` is not the one that was looked at; plan again"
                )))
            }
            Err(trouble) => Err(trouble.perform()),
        }
    }
}

/// A merge patch of the metadata alone. A foreign `uid` in it is refused (MAGE.md 4.27).
fn patch(uid: &str, mark: Option<&str>) -> Json {
    json!({ "metadata": { "uid": uid, "annotations": { MARK_ANNOTATION: mark } } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_names_the_object_and_nothing_of_its_template() {
        assert_eq!(
            patch("u", Some("# magus: {}")),
            json!({"metadata": {"uid": "u", "annotations": {"magus.dev/mark": "# magus: {}"}}})
        );
        assert_eq!(patch("u", None)["metadata"]["annotations"]["magus.dev/mark"], Json::Null);
    }
}
