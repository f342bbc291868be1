//! Says where the pod of a workspace may run. Open-source Mage cannot: it puts what a workspace declares of it into the
//! container, where the apiserver drops it.

use std::collections::BTreeMap;

use http::{HeaderValue, header::CONTENT_TYPE};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{
    Resource as _,
    core::{
        Request,
        params::{Patch, PatchParams},
    },
};
use magus_engine::PerformError;
use magus_model::{leaves::nest, mage::OF_THE_POD, path::FieldPath, value::Value};
use serde::de::IgnoredAny;
use serde_json::{Value as Json, json};

use crate::{
    Kubernetes,
    container::{CONTAINER, Leaves},
    failure::{Failure, Trouble},
    workload::Key,
};

/// Those of the leaves that say where the pod may run.
pub fn scheduling_of(leaves: &Leaves) -> Leaves {
    let is_one = |path: &FieldPath| OF_THE_POD.iter().any(|place| path.is_within(place));
    leaves
        .iter()
        .filter(|(path, _)| is_one(path))
        .map(|(path, value)| (path.clone(), value.clone()))
        .collect()
}

impl Kubernetes {
    /// Lets the pod of the StatefulSet of this `uid` run where `scheduling` says, in the form of
    /// [`Workload::scheduling`](crate::Workload::scheduling), and takes away what it does not say. The pod is replaced.
    ///
    /// # Errors
    /// [`PerformError::Moved`] where it is another one by now; [`PerformError::Failed`] where the cluster refuses;
    /// [`PerformError::Uncertain`] where it did not answer.
    pub fn schedule(&self, key: &Key, uid: &str, scheduling: &Leaves) -> Result<(), PerformError> {
        let Key { namespace, name } = key;
        let patch = patch(uid, scheduling).map_err(PerformError::Failed)?;
        let mut request = Request::new(StatefulSet::url_path(&(), Some(namespace.as_str()))).patch(
            name,
            &PatchParams::default(),
            &Patch::Merge(patch),
        );
        if let Ok(request) = &mut request {
            request
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json-patch+json"));
        }
        match self.server.write::<IgnoredAny>(request) {
            Ok(_) => Ok(()),
            // To Kubernetes, another uid is a field that cannot be changed.
            Err(Trouble { failure: Failure::Status { code, message, .. }, .. })
                if code == 404 || (code == 422 && message.contains("metadata.uid")) =>
            {
                Err(PerformError::Moved(format!(
                    "the StatefulSet `{name}` in `{namespace}` is not the one that was looked at; plan again"
                )))
            }
            Err(trouble) => Err(trouble.perform()),
        }
    }
}

/// A JSON patch that sets all three keys as a whole: a merge would keep what is there inside them.
fn patch(uid: &str, scheduling: &Leaves) -> Result<Json, String> {
    let mut root = nest(scheduling.iter().map(|(path, value)| (path.clone(), value.clone())))?;
    let mut given = match root.remove(CONTAINER) {
        Some(Value::Map(given)) => given,
        _ => BTreeMap::new(),
    };
    // Refused where it is not what it was.
    let mut operations = vec![json!({ "op": "replace", "path": "/metadata/uid", "value": uid })];
    for key in OF_THE_POD.iter().filter_map(|place| place.split_once('.').map(|(_, key)| key)) {
        let value = given.remove(key).unwrap_or(Value::Null);
        operations.push(json!({ "op": "add", "path": format!("/spec/template/spec/{key}"), "value": value }));
    }
    Ok(Json::Array(operations))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_sets_each_key_as_a_whole() {
        let leaves: Leaves = [
            ("container_config.image", Value::string("m")),
            ("container_config.nodeSelector[\"kubernetes.io/os\"]", Value::string("linux")),
            (
                "container_config.tolerations",
                Value::List(vec![Value::Map([("key".into(), Value::string("gpu"))].into())]),
            ),
            ("env.nodeSelector", Value::string("x")),
        ]
        .into_iter()
        .map(|(path, value)| (FieldPath::from(path), value))
        .collect();
        let of_pod = scheduling_of(&leaves);
        assert_eq!(of_pod.len(), 2);
        let shown = |leaves: &Leaves| -> Vec<String> {
            patch("u", leaves).unwrap().as_array().unwrap()[1..]
                .iter()
                .map(|one| one["value"].to_string())
                .collect()
        };
        assert_eq!(shown(&of_pod), ["null", r#"{"kubernetes.io/os":"linux"}"#, r#"[{"key":"gpu"}]"#]);
        assert_eq!(shown(&Leaves::new()), ["null", "null", "null"]);
    }
}
