//! Our tree as the validator reads it, so that no other tree is built on the way.
//!
//! Two things are stricter than JSON Schema: `1.0` is no integer, because YAML reads it as a floating point number;
//! and `.inf` and `.nan`, which JSON does not have, count as the most negative number, which no schema of ours allows.

use std::borrow::Cow;

use jsonschema::{
    JsonType,
    json::{Array, Json, JsonNumber, Node, NodeIdentity, Object},
};
use magus_model::{
    span::Span,
    tree::{self, Entry, NodeKind},
};
use serde_json::{Number, Value};

/// Our tree as a representation of JSON.
pub(crate) struct Tree;

/// A node made of a key, for keywords about keys.
pub(crate) struct KeyNode(tree::Node);

impl Default for KeyNode {
    fn default() -> Self {
        Self(tree::Node { span: Span::BUILT_IN, kind: NodeKind::Null })
    }
}

impl Json for Tree {
    type Node<'a> = &'a tree::Node;
    type PreparedKey = Box<str>;
    type StringBuffer = KeyNode;
    // Maps are short lists: reading one through costs about as much as two look-ups.
    const KEYS_PER_LOOKUP: usize = 4;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>(buffer: &mut KeyNode, string: &str, f: impl FnOnce(&tree::Node) -> T) -> T {
        buffer.0.kind = NodeKind::String(string.into());
        f(&buffer.0)
    }
}

impl<'a> Node<'a, Tree> for &'a tree::Node {
    type Object = Entries<'a>;
    type Array = Items<'a>;
    type Number = TreeNumber;

    fn as_object(&self) -> Option<Entries<'a>> {
        match &self.kind {
            NodeKind::Map(entries) => Some(Entries(entries)),
            _ => None,
        }
    }
    fn as_array(&self) -> Option<Items<'a>> {
        match &self.kind {
            NodeKind::List(items) => Some(Items(items)),
            _ => None,
        }
    }
    fn as_string(&self) -> Option<Cow<'a, str>> {
        tree::Node::as_str(self).map(Cow::Borrowed)
    }
    fn as_number(&self) -> Option<TreeNumber> {
        match self.kind {
            NodeKind::Int(number) => Some(TreeNumber::Int(number)),
            NodeKind::Float(number) if number.is_finite() => Some(TreeNumber::Float(number)),
            NodeKind::Float(_) => Some(TreeNumber::Float(f64::MIN)),
            _ => None,
        }
    }
    fn as_boolean(&self) -> Option<bool> {
        match self.kind {
            NodeKind::Bool(value) => Some(value),
            _ => None,
        }
    }
    fn is_null(&self) -> bool {
        tree::Node::is_null(self)
    }
    fn is_number(&self) -> bool {
        matches!(self.kind, NodeKind::Int(_) | NodeKind::Float(_))
    }
    fn is_string(&self) -> bool {
        matches!(self.kind, NodeKind::String(_))
    }
    fn json_type(&self) -> JsonType {
        match self.kind {
            NodeKind::Null => JsonType::Null,
            NodeKind::Bool(_) => JsonType::Boolean,
            NodeKind::Int(_) | NodeKind::Float(_) => JsonType::Number,
            NodeKind::String(_) => JsonType::String,
            NodeKind::List(_) => JsonType::Array,
            NodeKind::Map(_) => JsonType::Object,
        }
    }
    fn equals_value(&self, expected: &Value) -> bool {
        match (&self.kind, expected) {
            (NodeKind::String(text), Value::String(expected)) => text == expected,
            (NodeKind::Null, Value::Null) => true,
            (NodeKind::Bool(value), Value::Bool(expected)) => value == expected,
            // Our enums hold words and `null` alone; numbers, lists and maps equal none of them.
            _ => false,
        }
    }
    /// Asked for only to describe a fault, which we do from the tree: scalars are enough.
    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(match &self.kind {
            NodeKind::Null | NodeKind::List(_) | NodeKind::Map(_) => Value::Null,
            NodeKind::Bool(value) => Value::Bool(*value),
            NodeKind::Int(number) => (*number).into(),
            NodeKind::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
            NodeKind::String(text) => Value::String(text.to_string()),
        })
    }
    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref::<tree::Node>(self) as usize))
    }
}

/// The entries of a map.
pub(crate) struct Entries<'a>(&'a [Entry]);

impl<'a> Object<'a, Tree> for Entries<'a> {
    type Node = &'a tree::Node;
    type MemberName = &'a str;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        self.0.len()
    }
    fn get(&self, key: &Box<str>) -> Option<&'a tree::Node> {
        self.0.iter().find(|entry| entry.key == **key).map(|entry| &entry.value)
    }
    fn members(&self) -> Members<'a> {
        Members(self.0.iter())
    }
}

/// Walks over the entries of a map.
pub(crate) struct Members<'a>(std::slice::Iter<'a, Entry>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a tree::Node);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|entry| (entry.key.as_str(), &entry.value))
    }
}

/// The items of a list.
pub(crate) struct Items<'a>(&'a [tree::Node]);

impl<'a> Array<'a, Tree> for Items<'a> {
    type Node = &'a tree::Node;
    type ElementsIter = std::slice::Iter<'a, tree::Node>;

    fn len(&self) -> usize {
        self.0.len()
    }
    fn elements(&self) -> std::slice::Iter<'a, tree::Node> {
        self.0.iter()
    }
}

/// A number of the tree.
pub(crate) enum TreeNumber {
    Int(i64),
    Float(f64),
}

impl JsonNumber for TreeNumber {
    fn as_u64(&self) -> Option<u64> {
        self.as_i64().and_then(|number| number.try_into().ok())
    }
    fn as_i64(&self) -> Option<i64> {
        match self {
            TreeNumber::Int(number) => Some(*number),
            TreeNumber::Float(_) => None,
        }
    }
    fn as_f64(&self) -> Option<f64> {
        Some(match self {
            TreeNumber::Int(number) => *number as f64,
            TreeNumber::Float(number) => *number,
        })
    }
    fn as_str(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_number().to_string())
    }
    fn to_number(&self) -> Cow<'_, Number> {
        Cow::Owned(match self {
            TreeNumber::Int(number) => Number::from(*number),
            TreeNumber::Float(number) => Number::from_f64(*number).unwrap_or_else(|| Number::from(i64::MIN)),
        })
    }
    fn is_integer(&self) -> bool {
        matches!(self, TreeNumber::Int(_))
    }
    fn is_written_as_integer(&self) -> bool {
        self.is_integer()
    }
}
