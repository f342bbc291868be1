//! Which keys of a YAML file two branches changed differently.

use std::collections::{BTreeMap, BTreeSet};

use magus_git::Conflict;
use serde_yaml::Value;

/// How many are named.
const SHOWN: usize = 10;

/// A file that is larger is named, and not looked into.
const LARGEST: usize = 1 << 20;

/// The paths of the keys in conflict; none for what is no YAML, or that one side does not have.
pub fn keys(conflict: &Conflict) -> Vec<String> {
    let is_yaml = [".yaml", ".yml"].iter().any(|ending| conflict.path.ends_with(ending));
    let read = |bytes: &Option<Vec<u8>>| {
        let bytes = bytes.as_ref().filter(|bytes| bytes.len() <= LARGEST)?;
        let value = serde_yaml::from_slice(bytes).ok()?;
        let mut leaves = BTreeMap::new();
        flatten(&value, &mut String::new(), &mut leaves);
        Some(leaves)
    };
    let (Some(base), Some(target), Some(source)) =
        (read(&conflict.base), read(&conflict.target), read(&conflict.source))
    else {
        return Vec::new();
    };
    if !is_yaml {
        return Vec::new();
    }
    let paths: BTreeSet<&String> = base.keys().chain(target.keys()).chain(source.keys()).collect();
    let differ = |path: &&&String| {
        let (base, target, source) = (base.get(**path), target.get(**path), source.get(**path));
        target != source && target != base && source != base
    };
    let mut found: Vec<String> = paths.iter().filter(differ).map(|path| (*path).clone()).collect();
    if found.len() > SHOWN {
        let more = found.len() - SHOWN;
        found.truncate(SHOWN);
        found.push(format!("and {more} more"));
    }
    found
}

/// Every scalar with its path. An item of a list is called by its `uuid` or `name`, as Mage's blocks and triggers are, so that
/// one that comes before it changes no path.
fn flatten(value: &Value, path: &mut String, leaves: &mut BTreeMap<String, String>) {
    let length = path.len();
    let mut below = |key: &str, value: &Value, leaves: &mut BTreeMap<String, String>| {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
        flatten(value, path, leaves);
        path.truncate(length);
    };
    match value {
        Value::Mapping(map) if !map.is_empty() => {
            for (key, value) in map {
                let key = key.as_str().map_or_else(|| format!("{key:?}"), str::to_owned);
                below(&key, value, leaves);
            }
        }
        Value::Sequence(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                let name = ["uuid", "name"].iter().find_map(|key| item.get(*key)?.as_str());
                below(&name.map_or_else(|| at.to_string(), str::to_owned), item, leaves);
            }
        }
        leaf => drop(leaves.insert(path.clone(), format!("{leaf:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflict(path: &str, base: &str, target: &str, source: &str) -> Vec<String> {
        let bytes = |text: &str| Some(text.as_bytes().to_vec());
        keys(&Conflict { path: path.into(), base: bytes(base), target: bytes(target), source: bytes(source) })
    }

    #[test]
    fn keys_that_both_changed_differently_are_named() {
        let triggers = |daily: &str, first: &str| {
            format!("triggers:\n{first}- {{name: daily, schedule: \"{daily}\", envs: [prod]}}\n")
        };
        assert_eq!(
            conflict(
                "t.yaml",
                &triggers("1", ""),
                &triggers("2", "- {name: new, x: 1}\n"),
                &triggers("3", "")
            ),
            ["triggers.daily.schedule"]
        );
        assert_eq!(conflict("t.yml", "a: 1\nb: 1\n", "a: 2\nb: 2\n", "a: 3\nb: 2\nc: 1\n"), ["a"]);
        assert_eq!(conflict("t.yml", "a: [1]\n", "a: [2]\n", "a: {x: 1}\n"), ["a.0"]);
        assert_eq!(conflict("t.yml", "{}\n", "a: 1\n", "a: 2\n"), ["a"]);
    }

    #[test]
    fn what_cannot_be_read_has_no_keys() {
        assert_eq!(conflict("t.py", "a: 1\n", "a: 2\n", "a: 3\n"), [""; 0]);
        assert_eq!(conflict("t.yaml", "a: 1\n", "a: [\n", "a: 3\n"), [""; 0]);
        let gone = Conflict { path: "t.yaml".into(), base: None, target: Some(vec![]), source: None };
        assert_eq!(keys(&gone), [""; 0]);
        let many = |value: &str| (0..12).map(|at| format!("k{at}: {value}\n")).collect::<String>();
        let found = conflict("t.yaml", &many("1"), &many("2"), &many("3"));
        assert_eq!((found.len(), found.last().map(String::as_str)), (11, Some("and 2 more")));
    }
}
