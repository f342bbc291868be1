//! Unknown keys, and where they belong.

use magus_model::{
    diagnostic::Diagnostic,
    invisible, rules,
    span::Sources,
    tree::{Entry, Node},
};
use serde_json::Value;

use crate::{
    SchemaKind,
    explain::{list, replace_word, with_fix},
    guess,
    place::{Place, known_keys},
    validate::compiled,
};

/// Above this many, known keys are not listed, and those of a file are not searched.
const MOST_LISTED: usize = 12;

/// Further down, a key means something else to most people.
const DEEPEST_GUESS: usize = 3;

/// An unknown key explained.
pub(crate) struct Unknown {
    pub diagnostic: Diagnostic,
    /// The key of the same map that was probably meant.
    pub meant: Option<String>,
}

/// Explains a key that a map must not have.
pub(crate) fn explain(
    kind: SchemaKind,
    schema: &Value,
    place: &Place<'_>,
    key: &str,
    sources: &Sources,
) -> Option<Unknown> {
    let map = place.last();
    let entry = map.node.entry(key)?;
    let message = match place.path().as_str() {
        "" => format!("unknown key `{key}`"),
        path => format!("unknown key `{key}` in `{path}`"),
    };
    let diagnostic = Diagnostic::new(&rules::UNKNOWN_KEY, entry.key_span, message);

    let known: Vec<&str> = known_keys(schema, map.schema).map(|(known, _)| known).collect();
    if let Some(unknown) = invisible_in(&diagnostic, entry, &known, sources) {
        return Some(unknown);
    }
    if map.entry.is_some_and(|entry| entry.key == "container_config")
        && let Some((_, help)) = OF_THE_POD.iter().find(|(of_the_pod, _)| *of_the_pod == key)
    {
        return Some(Unknown { diagnostic: diagnostic.help(*help), meant: None });
    }
    let same = known.iter().copied().find(|known| guess::is_same(key, known));
    if same.is_none()
        && let Some(elsewhere) = elsewhere(kind, schema, place, key)
    {
        return Some(Unknown { diagnostic: diagnostic.help(elsewhere), meant: None });
    }
    if let Some(word) = same.or_else(|| guess::word(key, known.iter().copied())) {
        let diagnostic = match map.node.entry(word) {
            Some(Entry { key_span, .. }) => diagnostic
                .related(*key_span, "already here")
                .help(format!("did you mean `{word}`, which is already there?")),
            None => with_fix(
                diagnostic.help(format!("did you mean `{word}`?")),
                replace_word(entry.key_span, key, word, sources),
            ),
        };
        return Some(Unknown { diagnostic, meant: Some(word.to_owned()) });
    }
    let help = match likely_below(schema, map.schema, key) {
        Some((home, word)) => format!("did you mean `{word}` in `{home}`?"),
        None if known.is_empty() || known.len() > MOST_LISTED => {
            format!("run `magus schema {}` for all keys that are known", kind.name())
        }
        None => format!("known here: {}", list(known, "and")),
    };
    Some(Unknown { diagnostic: diagnostic.help(help), meant: None })
}

/// Keys of the pod, or of what makes pods, and where the same is declared for a workspace.
const OF_THE_POD: &[(&str, &str)] = &[
    (
        "containers",
        "`container_config` is the container itself: write the keys of the container right below it",
    ),
    ("initContainers", IN_NO_KEY),
    ("ephemeralContainers", IN_NO_KEY),
    ("serviceAccount", "it belongs to the pod: write `service_account_name` beside `container_config`"),
    ("serviceAccountName", "it belongs to the pod: write `service_account_name` beside `container_config`"),
    ("nodeName", "it belongs to the pod: choose nodes by their labels, with `nodeSelector`"),
    ("namespace", "it belongs to the pod: write `namespace` beside `container_config`"),
    (
        "replicas",
        "it belongs to the StatefulSet: write `state: running` or `state: stopped` beside `container_config`",
    ),
    (
        "volumeClaimTemplates",
        "it belongs to the StatefulSet: write `storage_request_size` and `storage_class_name` beside `container_config`",
    ),
    (
        "persistentVolumeClaimRetentionPolicy",
        "it belongs to the StatefulSet: write `pvc_retention_policy` beside `container_config`",
    ),
    ("metadata", IN_NO_KEY),
    ("spec", "`container_config` is the container itself: write the keys of the container right below it"),
    (
        "template",
        "`container_config` is the container itself: write the keys of the container right below it",
    ),
    ("labels", IN_NO_KEY),
    ("annotations", IN_NO_KEY),
    ("hostNetwork", IN_NO_KEY),
    ("hostPID", IN_NO_KEY),
    ("hostIPC", IN_NO_KEY),
    ("hostAliases", IN_NO_KEY),
    ("hostname", IN_NO_KEY),
    ("subdomain", IN_NO_KEY),
    ("dnsPolicy", IN_NO_KEY),
    ("dnsConfig", IN_NO_KEY),
    ("priority", IN_NO_KEY),
    ("priorityClassName", IN_NO_KEY),
    ("preemptionPolicy", IN_NO_KEY),
    ("runtimeClassName", IN_NO_KEY),
    ("schedulerName", IN_NO_KEY),
    ("schedulingGates", IN_NO_KEY),
    ("resourceClaims", IN_NO_KEY),
    ("readinessGates", IN_NO_KEY),
    ("topologySpreadConstraints", IN_NO_KEY),
    ("shareProcessNamespace", IN_NO_KEY),
    ("automountServiceAccountToken", IN_NO_KEY),
    ("enableServiceLinks", IN_NO_KEY),
    ("activeDeadlineSeconds", IN_NO_KEY),
    ("terminationGracePeriodSeconds", IN_NO_KEY),
    ("overhead", IN_NO_KEY),
    ("os", IN_NO_KEY),
];

/// What is said of keys that Mage hands on nowhere.
const IN_NO_KEY: &str =
    "remove it: it belongs to the pod, which Mage makes itself, and Mage hands it on from nowhere";

/// A known key with characters in it that cannot be seen.
fn invisible_in(
    diagnostic: &Diagnostic,
    entry: &Entry,
    known: &[&str],
    sources: &Sources,
) -> Option<Unknown> {
    let found = invisible::first(&entry.key)?;
    let clean = invisible::without(&entry.key);
    let place = if entry.key.starts_with(found.0) { "begins with" } else { "holds" };
    let character = invisible::describe(found);
    let message = format!("the key `{clean}` {place} the invisible character {character}");
    let diagnostic = Diagnostic { message, ..diagnostic.clone() };
    let word = known.iter().copied().find(|known| guess::is_same(&clean, known));
    let diagnostic = match word {
        Some(word) => with_fix(
            diagnostic.help(format!("write `{word}` without it")),
            replace_word(entry.key_span, &entry.key, word, sources),
        ),
        None => diagnostic.help("remove it"),
    };
    Some(Unknown { diagnostic, meant: word.map(str::to_owned) })
}

/// A key one level down that is much like this one, and the key that it belongs to.
fn likely_below<'a>(schema: &'a Value, map: &'a Value, key: &str) -> Option<(&'a str, &'a str)> {
    let below: Vec<(&str, &str)> = known_keys(schema, map)
        .flat_map(|(home, child)| known_keys(schema, child).map(move |(word, _)| (home, word)))
        .collect();
    let word = guess::word(key, below.iter().map(|(_, word)| *word))?;
    below.into_iter().find(|(_, candidate)| *candidate == word)
}

/// Whether a map knows this very key. One without a type belongs to Mage, and is at home nowhere.
fn is_home(schema: &Value, map: &Value, key: &str) -> bool {
    known_keys(schema, map).any(|(known, value)| known == key && value.get("type").is_some())
}

/// The shortest way down to a map in the file that knows this very key and has room for it, dotted. A map of which only one
/// key may be given is full with one. Only so many keys are looked at that a large file costs no more than others.
fn written(schema: &Value, map: (&Node, &Value), key: &str) -> Option<String> {
    let mut level = vec![(String::new(), map)];
    for _ in 0..DEEPEST_GUESS {
        let below = level.iter().flat_map(|(path, (node, map))| {
            let separator = if path.is_empty() { "" } else { "." };
            let child = |name: &str| known_keys(schema, map).find(|(known, _)| *known == name);
            node.entries().iter().take(MOST_LISTED).filter_map(move |entry| {
                let (name, schema) = child(&entry.key)?;
                Some((format!("{path}{separator}{name}"), (&entry.value, schema)))
            })
        });
        level = below.take(MOST_LISTED).collect();
        let is_full = |node: &Node, map: &Value| {
            let is_one_of = map["dependencies"].get(key).is_some_and(|other| other["maxProperties"] == 1);
            is_one_of && !node.entries().is_empty()
        };
        let found = level.iter().find(|(_, (node, map))| is_home(schema, map, key) && !is_full(node, map));
        if let Some((path, _)) = found {
            return Some(path.clone());
        }
    }
    None
}

/// The shortest way down to a map that knows this very key, dotted. Only maps whose keys are all known are entered:
/// everybody names what is in the others.
fn deeper<'a>(schema: &'a Value, map: &'a Value, key: &str) -> Option<String> {
    let mut level: Vec<(String, &Value)> = vec![(String::new(), map)];
    for _ in 0..DEEPEST_GUESS {
        level = level
            .iter()
            .flat_map(|(path, map)| {
                let separator = if path.is_empty() { "" } else { "." };
                known_keys(schema, map).map(move |(name, child)| (format!("{path}{separator}{name}"), child))
            })
            .collect();
        let found = level.iter().find(|(_, child)| is_home(schema, child, key));
        if let Some((path, _)) = found {
            return Some(path.clone());
        }
    }
    None
}

/// Where the very same key is known: one level down, up on the way to the root, or in another kind of file.
fn elsewhere(kind: SchemaKind, schema: &Value, place: &Place<'_>, key: &str) -> Option<String> {
    let knows = |map: &Value| is_home(schema, map, key);
    let map = place.last();
    if let Some(home) = written(schema, (map.node, map.schema), key) {
        return Some(format!("`{key}` belongs in `{home}`"));
    }
    let below = known_keys(schema, map.schema).find(|(_, child)| knows(child)).map(|(below, _)| below);
    let is_root = place.path().is_empty();
    if let Some(below) = below.filter(|_| !is_root) {
        return Some(format!("`{key}` belongs in `{below}`"));
    }
    for (step, child) in place.above().zip(std::iter::once(map).chain(place.above())) {
        if knows(step.schema)
            && let Some(beside) = child.entry
        {
            return Some(format!("`{key}` belongs beside `{}`, not in it", beside.key));
        }
    }
    if let Some(home) = deeper(schema, map.schema, key).filter(|_| below.is_none()) {
        return Some(format!("`{key}` belongs in `{home}`"));
    }
    if !is_root {
        return None;
    }
    let files = SchemaKind::ALL
        .into_iter()
        .filter(|other| *other != kind)
        .filter(|other| compiled(*other).schema["properties"].get(key).is_some())
        .map(|other| match other {
            SchemaKind::Cluster => "cluster.yaml",
            SchemaKind::Environment => "environment.yaml",
            SchemaKind::Workspace => "a workspace's file",
        });
    let below = below.map(|below| format!("`{below}`"));
    let mut homes: Vec<String> = below.into_iter().chain(files.map(str::to_owned)).collect();
    let last = homes.pop()?;
    Some(match homes.is_empty() {
        true => format!("`{key}` belongs in {last}"),
        false => format!("`{key}` belongs in {} or {last}", homes.join(", ")),
    })
}
