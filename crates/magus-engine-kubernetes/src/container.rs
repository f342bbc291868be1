//! The container of a workspace: from what runs to the leaves that a stored text has.
//!
//! The form is that of `container_config` in a Mage server: variables as `env.NAME`, each a text or `{valueFrom: …}`, and the
//! other fields below `container_config`. What Mage writes itself is left out, and what the apiserver filled in stands
//! apart: nobody declared it, but who declares the same has what they declared.

use std::collections::{BTreeMap, BTreeSet};

use magus_model::{
    Text,
    expansion::{self, Piece},
    leaves::flatten,
    path::FieldPath,
    value::Value,
};

/// Values by the paths of their fields.
pub type Leaves = BTreeMap<FieldPath, Value>;

/// The key under which fields of the container stand.
pub(crate) const CONTAINER: &str = "container_config";
/// The key under which variables stand.
const ENV: &str = "env";

/// What Mage writes into every container; declared, it breaks the workspace (MAGE.md 4.6).
const MAGES_OWN: &[&str] = &["name", "ports", "volumeMounts"];

/// What the apiserver fills in once a probe is there (`SetDefaults_Probe` in Kubernetes' `pkg/apis/core/v1/defaults.go`).
const PROBE_DEFAULTS: &[(&str, i64)] =
    &[("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)];
/// The field of a probe that has no default, and is left out where it is 0.
const DELAY: &str = "initialDelaySeconds";
const PROBES: &[&str] = &["livenessProbe", "readinessProbe", "startupProbe"];

/// The container as it runs.
#[derive(Default)]
pub(crate) struct Container {
    /// What somebody set.
    pub(crate) leaves: Leaves,
    /// What the apiserver filled in, or would have.
    pub(crate) defaults: Leaves,
    /// Variables that stand in the list more than once.
    pub(crate) repeated: BTreeSet<Text>,
    /// Variables that stand before one that they refer to, with the text that they have in the pod.
    pub(crate) unexpanded: BTreeMap<Text, Text>,
}

/// Reads a container.
pub(crate) fn read(mut fields: BTreeMap<Text, Value>) -> Container {
    for key in MAGES_OWN {
        fields.remove(*key);
    }
    let mut container = Container { defaults: left_out(&fields), ..Container::default() };
    if let Some(Value::List(entries)) = fields.remove(ENV) {
        variables(entries, &mut container);
    }
    let mut rest = Vec::new();
    flatten(&FieldPath::key(CONTAINER), Value::Map(fields), &mut rest);
    let root = FieldPath::key(CONTAINER);
    for (path, value) in rest {
        let filled_in = if path == root.child("imagePullPolicy") {
            is_pull_policy(&value)
        } else {
            defaults().get(&path) == Some(&value)
        };
        let map = if filled_in { &mut container.defaults } else { &mut container.leaves };
        map.insert(path, value);
    }
    container
}

/// Values that Kubernetes does not write (`omitempty` of fields without a pointer, in `core/v1/types.go`): who declares one has
/// it where the field is not there.
fn left_out(fields: &BTreeMap<Text, Value>) -> Leaves {
    let root = FieldPath::key(CONTAINER);
    let flags = ["stdin", "stdinOnce", "tty"].into_iter().filter(|key| !fields.contains_key(*key));
    let mut leaves: Leaves = flags.map(|key| (root.child(key), Value::Bool(false))).collect();
    for probe in PROBES {
        if let Some(Value::Map(map)) = fields.get(*probe)
            && !map.contains_key(DELAY)
        {
            leaves.insert(root.child(probe).child(DELAY), Value::Int(0));
        }
    }
    leaves
}

/// Leaves of the pod that a workspace declares inside `container_config` (MAGE.md 6).
pub(crate) fn scheduling(fields: [(&str, Option<Value>); 3]) -> Leaves {
    let mut leaves = Vec::new();
    for (key, value) in fields {
        flatten(&FieldPath::key(CONTAINER).child(key), value.unwrap_or(Value::Null), &mut leaves);
    }
    leaves.into_iter().collect()
}

/// The variables. Of equal names the last one wins, as in the pod.
fn variables(entries: Vec<Value>, container: &mut Container) {
    // Kubernetes expands a reference only to what stands before it (MAGE.md 4.28).
    let (mut defined, mut places, mut texts) = (BTreeMap::<Text, usize>::new(), BTreeMap::new(), Vec::new());
    for (place, entry) in entries.into_iter().enumerate() {
        let Value::Map(mut entry) = entry else { continue };
        let Some(Value::String(name)) = entry.remove("name") else { continue };
        let value = match (entry.remove("value"), entry.remove("valueFrom")) {
            (_, Some(from)) => {
                reference_without_defaults(Value::Map(BTreeMap::from([("valueFrom".into(), from)])))
            }
            (Some(value), None) => value,
            // The apiserver leaves an empty value out.
            (None, None) => Value::string(""),
        };
        if let Some(text) = value.as_str() {
            texts.push((name.clone(), text.to_owned()));
        }
        defined.entry(name.clone()).or_insert(place);
        if container.leaves.insert(FieldPath::key(ENV).child(&name), value).is_some() {
            container.repeated.insert(name);
        } else {
            places.insert(name, place);
        }
    }
    for (name, text) in texts {
        let Some(own) = places.get(&name).filter(|_| !container.repeated.contains(&name)) else { continue };
        let is_late = |reference: &str| defined.get(reference).is_some_and(|place| place > own);
        if let Some(literal) = unexpanded(&text, is_late) {
            container.unexpanded.insert(name, literal.into());
        }
    }
}

/// A text in which references that Kubernetes does not expand are written as the plain text that they are; nothing where it
/// expands all that can be expanded.
fn unexpanded(text: &str, is_late: impl Fn(&str) -> bool) -> Option<String> {
    if !expansion::references(text).any(&is_late) {
        return None;
    }
    let mut literal = String::with_capacity(text.len() + 1);
    for piece in expansion::pieces(text) {
        match piece {
            Piece::Text(text) => literal.push_str(text),
            Piece::Escape => literal.push_str("$$"),
            Piece::Reference(name) => {
                let sign = if is_late(name) { "$$(" } else { "$(" };
                literal.extend([sign, name, ")"]);
            }
        }
    }
    Some(literal)
}

/// A `{valueFrom: …}` without what the apiserver fills in: `apiVersion: v1` of a field and `divisor: "0"` of a resource. For
/// a declared one too, because the two are compared as a whole.
#[must_use]
pub fn reference_without_defaults(mut value: Value) -> Value {
    if let Value::Map(variable) = &mut value
        && let Some(Value::Map(from)) = variable.get_mut("valueFrom")
    {
        for (kind, key, default) in [("fieldRef", "apiVersion", "v1"), ("resourceFieldRef", "divisor", "0")] {
            if let Some(Value::Map(reference)) = from.get_mut(kind)
                && reference.get(key).and_then(Value::as_str) == Some(default)
            {
                reference.remove(key);
            }
        }
    }
    value
}

/// What the apiserver writes where nothing is set (`pkg/apis/core/v1/defaults.go`), seen in version 1.36. Quantities are not
/// among it: in a template, unlike in a pod, requests are not filled in from limits.
fn defaults() -> &'static Leaves {
    static DEFAULTS: std::sync::LazyLock<Leaves> = std::sync::LazyLock::new(|| {
        let root = FieldPath::key(CONTAINER);
        let mut leaves = Leaves::from([
            (root.child("terminationMessagePath"), Value::string("/dev/termination-log")),
            (root.child("terminationMessagePolicy"), Value::string("File")),
        ]);
        let lifecycle = root.child("lifecycle");
        let mut handlers = vec![lifecycle.child("postStart"), lifecycle.child("preStop")];
        for probe in PROBES.iter().map(|key| root.child(key)) {
            leaves.extend(PROBE_DEFAULTS.iter().map(|(key, value)| (probe.child(key), Value::Int(*value))));
            handlers.push(probe);
        }
        for handler in handlers {
            leaves.insert(handler.child("httpGet").child("path"), Value::string("/"));
            leaves.insert(handler.child("httpGet").child("scheme"), Value::string("HTTP"));
            leaves.insert(handler.child("grpc").child("service"), Value::string(""));
        }
        leaves
    });
    &DEFAULTS
}

/// Whether the apiserver may have written this policy by itself. It does so when an image comes without one, by whether its
/// tag moves, and leaves what it wrote when the image changes: either may be left from an earlier image.
fn is_pull_policy(policy: &Value) -> bool {
    matches!(policy.as_str(), Some("Always" | "IfNotPresent"))
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
