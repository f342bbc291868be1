//! What the local engine can do, and how it treats fields: as Mage on Kubernetes would, so that what works here
//! works there.

use std::collections::BTreeMap;

use magus_model::{
    observed::{Capabilities, FieldCapability},
    path::FieldPath,
    value::Value,
};

/// Fixed when the volume and the StatefulSet are made.
const CREATE_ONLY: &[&str] = &["namespace", "storage_class_name", "storage_access_mode"];

/// Nothing in the running container depends on these. `restarted_at` is an action of its own.
const WITHOUT_RESTART: &[&str] =
    &["lifecycle_config", "restarted_at", "pvc_retention_policy", "ingress_name", "secrets"];

/// The probes of a container, which share their defaults.
const PROBES: &[&str] = &["livenessProbe", "readinessProbe", "startupProbe"];

pub(crate) fn capabilities() -> Capabilities {
    let create_only = CREATE_ONLY.iter().map(|key| {
        (FieldPath::key(key), FieldCapability { create_only: true, ..FieldCapability::default() })
    });
    let without_restart = WITHOUT_RESTART
        .iter()
        .map(|key| (FieldPath::key(key), FieldCapability { restarts: false, ..FieldCapability::default() }));
    Capabilities {
        rename: true,
        deploys: true,
        starts_from_branch: false,
        fields: create_only.chain(without_restart).collect(),
        defaults: defaults(),
        refused: BTreeMap::new(),
    }
}

/// What Kubernetes fills into a container (its API reference, `Container v1 core` and `Probe v1 core`). The policy for
/// pulling images is not here: it depends on the image's tag.
fn defaults() -> BTreeMap<FieldPath, Value> {
    let container = FieldPath::key("container_config");
    let mut defaults = BTreeMap::from([
        (container.child("terminationMessagePath"), Value::string("/dev/termination-log")),
        (container.child("terminationMessagePolicy"), Value::string("File")),
        (container.child("stdin"), Value::Bool(false)),
        (container.child("stdinOnce"), Value::Bool(false)),
        (container.child("tty"), Value::Bool(false)),
    ]);
    for probe in PROBES {
        let probe = container.child(probe);
        for (key, value) in
            [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
        {
            defaults.insert(probe.child(key), Value::Int(value));
        }
        defaults.insert(probe.child("initialDelaySeconds"), Value::Int(0));
        defaults.insert(probe.child("httpGet").child("scheme"), Value::string("HTTP"));
    }
    defaults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_treated_as_documented() {
        let capabilities = capabilities();
        let of = |path: &str| {
            let FieldCapability { create_only, readable, restarts, .. } =
                capabilities.of(&FieldPath::from(path));
            (create_only, readable, restarts)
        };
        assert_eq!(of("env.A"), (false, true, true));
        assert_eq!(of("container_config.image"), (false, true, true));
        assert_eq!(of("storage_class_name"), (true, true, true));
        assert_eq!(of("storage_request_size"), (false, true, true));
        assert_eq!(of("secrets.slack"), (false, true, false));
        assert_eq!(of("lifecycle_config.termination_policy.max_idle_seconds"), (false, true, false));
        assert!(capabilities.rename);
        let key = FieldPath::from("container_config.livenessProbe.periodSeconds");
        assert_eq!(capabilities.defaults.get(&key), Some(&Value::Int(10)));
    }
}
