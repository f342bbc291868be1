//! What a schema accepts its type accepts, and the reverse: near every place of every schema, and at random.
//!
//! Nothing is left out: patterns, formats, ranges and one-of are enforced by the types too.

use magus_model::{
    span::{FileId, Sources, Span},
    tree::{Entry, Node, NodeKind},
};
use proptest::prelude::*;
use serde_json::Value;

use crate::{
    SchemaKind, check_decode,
    place::follow,
    validate,
    validate::{compiled, is_valid},
};

/// Texts that mean something to one or another type, and some that almost do.
const TEXTS: [&str; 26] = [
    "",
    "text",
    "null",
    "true",
    "8080",
    "1e3",
    "30m",
    "30",
    "1h30m",
    "1000000s",
    "09:00",
    "9:00",
    "24:00",
    "2026-08-01T10:00:00Z",
    "2026-08-01 10:00:00+02:00",
    "2026-08-01T10:00:00",
    "2026-02-30T10:00:00Z",
    "2026-08-01",
    "2026-08-01T10:00:00Z[UTC]",
    "30%",
    "100%",
    "101%",
    "007%",
    "-1%",
    "10Gi",
    "ü",
];

const WHOLE: [i64; 13] = [
    i64::MIN,
    -1,
    0,
    1,
    2,
    100,
    101,
    65_535,
    65_536,
    i32::MAX as i64,
    i32::MAX as i64 + 1,
    u32::MAX as i64 + 1,
    i64::MAX,
];

const FLOATS: [f64; 8] = [1.0, -0.0, 0.5, -0.5, 1e18, 1e19, f64::INFINITY, f64::NAN];

fn node(kind: NodeKind) -> Node {
    Node { span: Span::new(FileId(0), 0, 1), kind }
}

fn text(text: &str) -> Node {
    node(NodeKind::String(text.into()))
}

fn map(entries: Vec<(String, Node)>) -> Node {
    let entry =
        |(key, value): (String, Node)| Entry { key: key.into(), key_span: Span::new(FileId(0), 0, 1), value };
    node(NodeKind::Map(entries.into_iter().map(entry).collect()))
}

/// The schema and the type agree; and where they refuse, something is said.
fn agree(kind: SchemaKind, root: &Node) -> Result<bool, String> {
    let accepted = is_valid(kind, root);
    let decodes = check_decode(kind, root).is_none();
    let findings = validate(kind, root, &Sources::default());
    match (accepted, decodes, findings.is_empty()) {
        (true, true, true) | (false, false, false) => Ok(accepted),
        (accepted, decodes, silent) => Err(format!(
            "{kind:?}: schema accepts: {accepted}, type accepts: {decodes}, nothing said: {silent}\n{:?}",
            root.to_value()
        )),
    }
}

/// Every value that is tried at every place.
fn values(schema: &Value) -> Vec<Node> {
    let words = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let bounds = ["minimum", "maximum"].iter().filter_map(|bound| schema[bound].as_i64());
    let around = bounds.flat_map(|bound| [bound.saturating_sub(1), bound, bound.saturating_add(1)]);
    let mut values = vec![node(NodeKind::Null), node(NodeKind::Bool(true)), node(NodeKind::List(Vec::new()))];
    values.extend(TEXTS.into_iter().chain(words).map(text));
    values.extend(WHOLE.into_iter().chain(around).map(|number| node(NodeKind::Int(number))));
    values.extend(FLOATS.map(|number| node(NodeKind::Float(number))));
    values.push(node(NodeKind::List(vec![text("a"), node(NodeKind::Null)])));
    values.push(node(NodeKind::List(vec![text("a"), text("b")])));
    values.push(map(Vec::new()));
    values.push(map(vec![("unknown".to_owned(), text("a"))]));
    values.push(least(&Value::Null, schema));
    values
}

/// The smallest value that a schema accepts.
fn least(root: &Value, schema: &Value) -> Node {
    let schema = follow(root, schema);
    let one = schema["type"].as_array().map_or(&schema["type"], |types| &types[0]);
    match one.as_str().unwrap_or("null") {
        "string" => text(match (&schema["enum"][0], &schema["examples"][0]) {
            (Value::String(word), _) | (_, Value::String(word)) => word,
            _ => "a",
        }),
        "integer" | "number" => node(NodeKind::Int(schema["minimum"].as_i64().unwrap_or(1))),
        "boolean" => node(NodeKind::Bool(true)),
        "array" => {
            let items = (0..schema["minItems"].as_u64().unwrap_or(0))
                .map(|_| least(root, &schema["items"]))
                .collect();
            node(NodeKind::List(items))
        }
        "object" => map(required(root, schema)),
        _ => node(NodeKind::Null),
    }
}

/// What a map needs, without which no other key can be tried.
fn required(root: &Value, schema: &Value) -> Vec<(String, Node)> {
    let keys = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut entries: Vec<(String, Node)> =
        keys.map(|key| (key.to_owned(), least(root, &schema["properties"][key]))).collect();
    if entries.is_empty() && schema.get("minProperties").is_some() {
        let (key, child) =
            schema["properties"].as_object().and_then(|keys| keys.iter().next()).expect("a key");
        entries.push((key.clone(), least(root, child)));
    }
    entries
}

/// Tries every value at every place below a schema; `wrap` puts a value where the schema is.
fn walk(root: &Value, schema: &Value, wrap: &dyn Fn(Node) -> Node, check: &mut dyn FnMut(Node)) {
    let schema = follow(root, schema);
    for value in values(schema) {
        check(wrap(value));
    }
    let beside = |key: &str| {
        let mut entries = match (&schema["dependencies"][key], schema.get("minProperties")) {
            (Value::Array(asked), _) => {
                let asked = asked.iter().filter_map(Value::as_str);
                asked.map(|key| (key.to_owned(), least(root, &schema["properties"][key]))).collect()
            }
            (_, Some(_)) => Vec::new(),
            (_, None) => required(root, schema),
        };
        entries.retain(|(other, _)| other != key);
        entries
    };
    for (key, child) in schema["properties"].as_object().into_iter().flatten() {
        let put = |value| {
            let mut entries = beside(key);
            entries.push((key.clone(), value));
            wrap(map(entries))
        };
        walk(root, child, &put, check);
        for (second, other) in
            schema["properties"].as_object().into_iter().flatten().filter(|(k, _)| *k != key)
        {
            let mut entries = beside(key);
            entries.retain(|(other, _)| other != second);
            entries.push((key.clone(), least(root, child)));
            entries.push((second.clone(), least(root, other)));
            check(wrap(map(entries)));
        }
        let mut with_unknown = beside(key);
        with_unknown.push((key.clone(), least(root, child)));
        with_unknown.push(("unknown".to_owned(), text("a")));
        check(wrap(map(with_unknown)));
    }
    if schema["additionalProperties"].is_object() {
        walk(root, &schema["additionalProperties"], &|value| wrap(map(vec![("X".to_owned(), value)])), check);
    }
    if schema["items"].is_object() {
        let list = |value| wrap(node(NodeKind::List(vec![value])));
        walk(root, &schema["items"], &list, check);
    }
}

#[test]
fn the_schema_and_the_type_agree_at_every_place() {
    for kind in SchemaKind::ALL {
        let schema = &compiled(kind).schema;
        let (mut accepted, mut refused) = (0, 0);
        walk(schema, schema, &|value| value, &mut |root| match agree(kind, &root) {
            Ok(true) => accepted += 1,
            Ok(false) => refused += 1,
            Err(disagreement) => panic!("{disagreement}"),
        });
        assert!(accepted > 2_000 && refused > 5_000, "{kind:?}: {accepted} accepted, {refused} refused");
    }
}

/// Numbers to choose by; fewer of them shrink to smaller documents.
struct Choices<'a> {
    rest: std::slice::Iter<'a, u32>,
}

impl Choices<'_> {
    fn below(&mut self, end: usize) -> usize {
        self.rest.next().map_or(0, |choice| *choice as usize % end.max(1))
    }

    fn once_in(&mut self, times: usize) -> bool {
        times > 0 && self.below(times) == times - 1
    }

    /// A document near a schema: once in `wrong` places, something stands there that does not belong.
    fn document(&mut self, root: &Value, schema: &Value, wrong: usize, depth: usize) -> Node {
        let schema = follow(root, schema);
        let values = values(schema);
        if self.once_in(wrong) {
            return values[self.below(values.len())].clone();
        }
        let named = schema["type"].as_array().map_or(std::slice::from_ref(&schema["type"]), Vec::as_slice);
        match named[self.below(named.len())].as_str() {
            Some("object") if depth > 0 => self.map(root, schema, wrong, depth - 1),
            Some("array") if depth > 0 => {
                let length = self.below(4);
                let items =
                    (0..length).map(|_| self.document(root, &schema["items"], wrong, depth - 1)).collect();
                node(NodeKind::List(items))
            }
            Some("boolean") => node(NodeKind::Bool(self.below(2) == 0)),
            Some("null") | None => node(NodeKind::Null),
            Some("string") if schema.get("enum").is_none() && schema.get("examples").is_none() => {
                text(TEXTS[self.below(TEXTS.len())])
            }
            Some(_) => least(root, schema),
        }
    }

    fn map(&mut self, root: &Value, schema: &Value, wrong: usize, depth: usize) -> Node {
        let mut entries = Vec::new();
        let one_of = schema.get("minProperties").is_some();
        let properties: Vec<_> = schema["properties"].as_object().into_iter().flatten().collect();
        let needed =
            |key: &str| schema["required"].as_array().is_some_and(|keys| keys.iter().any(|k| k == key));
        let chosen = self.below(properties.len());
        for (index, (key, child)) in properties.into_iter().enumerate() {
            let wanted = needed(key) || if one_of { index == chosen } else { self.below(4) == 1 };
            if wanted && !self.once_in(wrong) {
                entries.push((key.clone(), self.document(root, child, wrong, depth)));
            }
        }
        if schema["additionalProperties"].is_object() {
            for key in ["A", "", "8080", "a/b~c", "MG702"] {
                if self.below(3) == 1 {
                    let value = self.document(root, &schema["additionalProperties"], wrong, depth);
                    entries.retain(|(other, _)| other != key);
                    entries.push((key.to_owned(), value));
                }
            }
        }
        if self.once_in(wrong) {
            entries.push(("unknown".to_owned(), text("a")));
        }
        map(entries)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_schema_and_the_type_agree_at_random(
        choices in prop::collection::vec(any::<u32>(), 0..600),
        wrong in prop::sample::select(vec![0_usize, 8, 60, 300]),
    ) {
        for kind in SchemaKind::ALL {
            let schema = &compiled(kind).schema;
            let root = Choices { rest: choices.iter() }.document(schema, schema, wrong, 12);
            agree(kind, &root).map_err(TestCaseError::fail)?;
        }
    }
}
