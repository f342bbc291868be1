//! Typed values from a tree, with the place of what does not fit.

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor,
    value::BorrowedStrDeserializer,
};

use super::{Entry, Node, NodeKind};
use crate::span::Span;

/// Why a tree does not decode, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// What does not fit. It may quote the value.
    pub message: String,
    /// The value or key that does not fit.
    pub span: Span,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

/// Decodes a tree.
///
/// # Errors
/// The first value or key that the type does not accept.
pub fn decode<T: DeserializeOwned>(node: &Node) -> Result<T, DecodeError> {
    T::deserialize(Decoder(node))
        .map_err(|Unplaced { message, span }| DecodeError { message, span: span.unwrap_or(node.span) })
}

/// An error that has not yet come past the node that it is about.
#[derive(Debug)]
struct Unplaced {
    message: String,
    span: Option<Span>,
}

impl Unplaced {
    /// The innermost place wins.
    fn at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }
}

impl std::fmt::Display for Unplaced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Unplaced {}

impl de::Error for Unplaced {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), span: None }
    }
}

#[derive(Clone, Copy)]
struct Decoder<'a>(&'a Node);

impl<'de> de::Deserializer<'de> for Decoder<'de> {
    type Error = Unplaced;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unplaced> {
        match &self.0.kind {
            NodeKind::Null => visitor.visit_unit(),
            NodeKind::Bool(value) => visitor.visit_bool(*value),
            NodeKind::Int(value) => visitor.visit_i64(*value),
            NodeKind::Float(value) => visitor.visit_f64(*value),
            NodeKind::String(text) => visitor.visit_borrowed_str(text),
            NodeKind::List(items) => visitor.visit_seq(Items(items.iter())),
            NodeKind::Map(entries) => visitor.visit_map(Entries { rest: entries.iter(), last: None }),
        }
        .map_err(|error| error.at(self.0.span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unplaced> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unplaced> {
        visitor.visit_newtype_struct(self)
    }

    /// Only enums of plain words occur in our files.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unplaced> {
        match self.0.as_str() {
            Some(word) => visitor.visit_enum(IntoDeserializer::<Unplaced>::into_deserializer(word)),
            None => Err(de::Error::custom(format_args!(
                "expected one of `{}`, found {}",
                words.join("`, `"),
                self.0.kind_name()
            ))),
        }
        .map_err(|error: Unplaced| error.at(self.0.span))
    }

    /// serde's structs would read a list as their fields in order.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unplaced> {
        match self.0.kind {
            NodeKind::Map(_) => self.deserialize_any(visitor),
            _ => Err(Unplaced {
                message: format!("expected a map, found {}", self.0.kind_name()),
                span: Some(self.0.span),
            }),
        }
    }

    // What a value is decides, not what a type hopes for: `1.0` is no whole number, and `8080` no text.
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Unplaced;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unplaced> {
        self.0
            .next()
            .map(|node| seed.deserialize(Decoder(node)).map_err(|error| error.at(node.span)))
            .transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Entries<'de> {
    rest: std::slice::Iter<'de, Entry>,
    last: Option<&'de Entry>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Unplaced;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unplaced> {
        let Some(entry) = self.rest.next() else { return Ok(None) };
        self.last = Some(entry);
        let key = BorrowedStrDeserializer::<Unplaced>::new(&entry.key);
        seed.deserialize(key).map(Some).map_err(|error| error.at(entry.key_span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unplaced> {
        let Some(entry) = self.last.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        seed.deserialize(Decoder(&entry.value)).map_err(|error| error.at(entry.value.span))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{files::ClusterFile, span::FileId};

    fn node(at: u32, kind: NodeKind) -> Node {
        Node { span: Span::new(FileId(0), at, at + 1), kind }
    }

    fn map(at: u32, entries: Vec<(&str, Node)>) -> Node {
        let entry = |(key, value): (&str, Node)| Entry {
            key: key.into(),
            key_span: Span::new(FileId(0), value.span.start + 100, value.span.end + 100),
            value,
        };
        node(at, NodeKind::Map(entries.into_iter().map(entry).collect()))
    }

    #[test]
    fn an_error_has_the_innermost_place() {
        let wrong = map(
            1,
            vec![("engine", map(2, vec![("local", map(3, vec![("path", node(4, NodeKind::Int(1)))]))]))],
        );
        assert_eq!(decode::<ClusterFile>(&wrong).expect_err("a number is no path").span.start, 4);
        let unknown = map(1, vec![("engine", map(2, vec![("docker", map(3, vec![]))]))]);
        assert_eq!(decode::<ClusterFile>(&unknown).expect_err("no such engine").span.start, 103);
        let missing = map(1, vec![("engine", map(2, vec![("local", map(3, vec![]))]))]);
        assert_eq!(decode::<ClusterFile>(&missing).expect_err("no path").span.start, 3);
        let level = map(1, vec![("lint", map(2, vec![("MG101", node(3, NodeKind::String("loud".into())))]))]);
        assert_eq!(decode::<ClusterFile>(&level).expect_err("no such level").span.start, 3);
    }

    #[test]
    fn a_document_decodes() {
        let tree = map(
            1,
            vec![
                ("name", node(2, NodeKind::String("acme".into()))),
                (
                    "engine",
                    map(3, vec![("local", map(4, vec![("path", node(5, NodeKind::String("x".into())))]))]),
                ),
                ("defaults", node(6, NodeKind::Null)),
            ],
        );
        let file: ClusterFile = decode(&tree).expect("a cluster");
        assert_eq!(file.name.as_deref(), Some("acme"));
        assert_eq!(file.engine.and_then(|engine| engine.local).map(|local| local.path), Some("x".into()));
        assert_eq!(file.defaults, None);
    }
}
