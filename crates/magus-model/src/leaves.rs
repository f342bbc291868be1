//! The two forms of a configuration: leaves ordered by path, and maps in maps.

use std::collections::BTreeMap;

use crate::{Text, path::FieldPath, value::Value};

/// Turns leaves into maps in maps; the reason where they do not fit into one another. Nothing is left out, `null`
/// included.
pub fn nest(fields: impl IntoIterator<Item = (FieldPath, Value)>) -> Result<BTreeMap<Text, Value>, String> {
    let mut root = BTreeMap::new();
    for (path, value) in fields {
        let keys = path.keys().ok_or_else(|| format!("`{path}` is no path of a field"))?;
        let Some((last, folders)) = keys.split_last() else { return Err("a field has no path".to_owned()) };
        let mut map = &mut root;
        for key in folders {
            let below = map.entry(Text::from(key)).or_insert_with(|| Value::Map(BTreeMap::new()));
            let Value::Map(below) = below else {
                return Err(format!("`{path}` is below a value that is no map"));
            };
            map = below;
        }
        if map.insert(Text::from(last), value).is_some() {
            return Err(format!("`{path}` is a value and a map at once"));
        }
    }
    Ok(root)
}

/// Appends the leaves of a value, in the order of its keys: scalars and lists, each with its path. Maps become paths,
/// and an empty map or `null` is nothing.
pub fn flatten(path: &FieldPath, value: Value, leaves: &mut Vec<(FieldPath, Value)>) {
    match value {
        Value::Null => {}
        Value::Map(map) => {
            for (key, value) in map {
                flatten(&path.child(&key), value, leaves);
            }
        }
        leaf => leaves.push((path.clone(), leaf)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let map = |entries: &[(&str, Value)]| {
            Value::Map(entries.iter().map(|(key, value)| (Text::from(*key), value.clone())).collect())
        };
        let value = map(&[
            ("a", map(&[("b.c", Value::Int(1)), ("d", Value::List(vec![Value::Null]))])),
            ("e", Value::string("x")),
        ]);
        let mut leaves = Vec::new();
        flatten(&FieldPath::default(), value.clone(), &mut leaves);
        let shown: Vec<String> = leaves.iter().map(|(path, value)| format!("{path}={value}")).collect();
        assert_eq!(shown, ["a[\"b.c\"]=1", "a.d=[null]", "e=x"]);
        assert_eq!(nest(leaves).map(Value::Map), Ok(value));
    }

    #[test]
    fn what_is_empty_is_no_leaf() {
        let mut leaves = Vec::new();
        flatten(&FieldPath::key("a"), Value::Map(BTreeMap::new()), &mut leaves);
        flatten(&FieldPath::key("b"), Value::Null, &mut leaves);
        assert_eq!(leaves, []);
    }

    #[test]
    fn leaves_that_do_not_fit_are_refused() {
        let leaf = |path: &str| (FieldPath::from(path), Value::Int(1));
        assert_eq!(nest([leaf("a"), leaf("a.b")]), Err("`a.b` is below a value that is no map".to_owned()));
        assert_eq!(nest([leaf("a.b"), leaf("a")]), Err("`a` is a value and a map at once".to_owned()));
        assert_eq!(nest([leaf("")]), Err("a field has no path".to_owned()));
    }
}
