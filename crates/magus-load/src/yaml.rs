//! From YAML text to a tree with spans. The only module that knows the parser, with its table of errors in
//! [`crate::syntax`].
//!
//! One pass over the events: aliases are expanded as they come, merge keys are merged and duplicates found when a
//! map ends. Nothing recurses over the input, and a tree is never deeper than [`DEEPEST`], so that whoever walks
//! or drops it needs no care.

use std::collections::HashMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, StructureStyle, Tag};
use magus_model::{
    Text,
    diagnostic::{Diagnostic, Fix},
    exact, rules,
    span::{FileId, Span},
    tree::{Entry, Node, NodeKind},
};

use crate::{
    comments::{self, Comment},
    maps::{self, Merge},
    scalar, syntax,
};

/// How deeply lists and maps may be nested.
pub const DEEPEST: usize = 64;

/// How many values the anchors and aliases of one file may add.
const MOST_ALIASED_VALUES: usize = 100_000;

/// How many bytes of text the aliases of one file may add.
const MOST_ALIASED_BYTES: usize = 10 << 20;

/// After so many broken documents nobody reads on.
const MOST_BROKEN_DOCUMENTS: usize = 16;

/// What a text says.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The first document; nothing where it does not parse or is empty.
    pub root: Option<Node>,
    /// The comments that mean something to Magus.
    pub comments: Vec<Comment>,
    /// What is wrong with the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses a text. At most 1 MiB: larger files are refused before.
pub fn parse(file: FileId, text: &str) -> Parsed {
    let mut builder = Builder::new(file, text);
    let mut options = Options::default();
    options.emit_unresolved_aliases = true;
    options.set_emit_comments(comments::may_hold(text));
    options.max_buffered_comment_events = usize::MAX;
    options.flow_nesting_limit = DEEPEST;
    options.block_nesting_limit = DEEPEST;
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut broken = 0;
    while let Some(next) = parser.next_event() {
        let held = match next {
            Ok((event, span)) => builder.event(event, &span),
            Err(error) => {
                builder.diagnostics.push(syntax::diagnostic(file, text, &error, builder.open_bracket()));
                Err(Abandoned)
            }
        };
        if held.is_err() {
            builder.abandon();
            broken += 1;
            if broken == MOST_BROKEN_DOCUMENTS || parser.proceed_next_document().is_err() {
                break;
            }
        }
    }
    builder.finish()
}

/// The current document cannot be read on; what is wrong was said.
struct Abandoned;

/// A list or map that is being read.
struct Frame {
    start: u32,
    /// Where its last part ends, as it is written.
    end: u32,
    anchor: usize,
    flow: bool,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<Key>, merges: Vec<Merge> },
}

/// A key whose value has not come yet.
enum Key {
    Text(Text, Span),
    Merge(Span),
    /// It was no text; its value goes the same way.
    Dropped,
}

/// A value with an anchor, and what an alias of it adds.
struct Anchored {
    node: Node,
    size: Size,
}

#[derive(Clone, Copy, Default)]
struct Size {
    values: usize,
    bytes: usize,
    depth: usize,
}

struct Builder<'a> {
    file: FileId,
    text: &'a str,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    aliased: Size,
    has_aliases: bool,
    has_tabs: bool,
    /// Documents begun, the current one included.
    documents: usize,
    in_document: bool,
    /// The value of the current document.
    value: Option<Node>,
    /// The first document.
    root: Option<Node>,
    comments: Vec<Comment>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Builder<'a> {
    fn new(file: FileId, text: &'a str) -> Self {
        let mut diagnostics = Vec::new();
        if text.starts_with('\u{feff}') {
            let mark = Span::new(file, 0, 3);
            diagnostics.push(
                Diagnostic::new(&rules::BYTE_ORDER_MARK, mark, "the file begins with a byte order mark")
                    .help("`magus lint --fix` removes it")
                    .fix(Fix::Edit(vec![(mark, String::new())])),
            );
        }
        if text.contains('\r') {
            diagnostics.push(
                Diagnostic::new(&rules::CARRIAGE_RETURN, Span::start_of(file), "lines end in carriage returns")
                    .help("let the editor save the file with line feeds, and git keep them: `*.yaml text eol=lf` in .gitattributes"),
            );
        }
        Self {
            file,
            text,
            stack: Vec::with_capacity(8),
            anchors: HashMap::new(),
            aliased: Size::default(),
            has_aliases: text.contains('*'),
            has_tabs: text.contains('\t'),
            documents: 0,
            in_document: false,
            value: None,
            root: None,
            comments: Vec::new(),
            diagnostics,
        }
    }

    fn event(&mut self, event: Event<'_>, at: &granit_parser::Span) -> Result<(), Abandoned> {
        match event {
            Event::DocumentStart(..) => self.document_start(self.span(at)),
            Event::DocumentEnd => self.document_end(),
            Event::Scalar(value, style, anchor, tag) => {
                let span = self.scalar_span(at, style);
                let source = if span.start == span.end { "" } else { &*value };
                if self.expects_key() {
                    self.scalar_key(source, style, span, anchor, tag.as_deref(), at)?;
                } else {
                    let kind = self.scalar_kind(source, style, tag.as_deref(), at);
                    let span = self.null_span(span, &kind);
                    self.complete(Node { span, kind }, span, anchor)?;
                }
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.open(at, style, anchor, tag.as_deref(), "seq", Content::List(Vec::new()))?;
            }
            Event::MappingStart(style, anchor, tag) => {
                let content = Content::Map { entries: Vec::new(), key: None, merges: Vec::new() };
                self.open(at, style, anchor, tag.as_deref(), "map", content)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(self.span(at))?,
            Event::Alias(anchor) => self.alias(anchor, self.span(at))?,
            Event::UnresolvedAlias(name) => {
                let span = self.span(at);
                let message = format!("the alias `*{name}` names no anchor that stands before it");
                self.diagnostics.push(
                    Diagnostic::new(&rules::SYNTAX, span, message)
                        .help(format!("put `&{name}` before the value that is meant, or quote the text")),
                );
                self.complete(Node { span, kind: NodeKind::Null }, span, 0)?;
            }
            Event::Comment(..) => {
                let line = u32::try_from(at.start.line()).unwrap_or(u32::MAX);
                let comment = comments::read(self.text, self.span(at), line, &mut self.diagnostics);
                self.comments.extend(comment);
            }
            _ => {}
        }
        Ok(())
    }

    fn document_start(&mut self, span: Span) {
        self.documents += 1;
        self.in_document = true;
        if self.documents == 2 {
            let marker = self.text[span.start as usize..span.end as usize].starts_with("---");
            let span = if marker { span } else { Span { end: span.start, ..span } };
            self.diagnostics.push(
                Diagnostic::new(&rules::SEVERAL_DOCUMENTS, span, "a second document begins here")
                    .help("write it to a file of its own, or remove the `---`"),
            );
        }
    }

    fn document_end(&mut self) {
        self.in_document = false;
        let value = self.value.take();
        if self.documents == 1 {
            self.root = value;
        }
        self.anchors.clear();
    }

    /// Forgets the current document. One that broke before it began counts as one.
    fn abandon(&mut self) {
        if !self.in_document {
            self.documents += 1;
        }
        self.in_document = false;
        self.stack.clear();
        self.anchors.clear();
        self.value = None;
    }

    fn finish(mut self) -> Parsed {
        let empty = self.root.as_ref().is_some_and(|root| root.is_null() && root.span.start == root.span.end);
        if self.documents == 0 || (empty && self.documents == 1) {
            let span = Span::start_of(self.file);
            self.diagnostics.push(
                Diagnostic::new(&rules::EMPTY_FILE, span, "the file holds no document")
                    .help("write `{}` where nothing is to be said"),
            );
        }
        if empty {
            self.root = None;
        }
        comments::set_targets(self.text, &mut self.comments);
        Parsed { root: self.root, comments: self.comments, diagnostics: self.diagnostics }
    }

    /// Where the innermost bracket stands that is open. A `key: value` right inside a list is a map without one.
    fn open_bracket(&self) -> Option<u32> {
        let bracket = |start: &u32| matches!(self.text.as_bytes().get(*start as usize), Some(b'[' | b'{'));
        self.stack.iter().rev().filter(|frame| frame.flow).map(|frame| frame.start).find(bracket)
    }

    fn expects_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { content: Content::Map { key: None, .. }, .. }))
    }

    fn open(
        &mut self,
        at: &granit_parser::Span,
        style: StructureStyle,
        anchor: usize,
        tag: Option<&Tag>,
        fits: &str,
        content: Content,
    ) -> Result<(), Abandoned> {
        let span = self.span(at);
        if self.stack.len() == DEEPEST {
            self.diagnostics.push(syntax::too_deep(span));
            return Err(Abandoned);
        }
        if let Some(tag) = tag
            && !is_non_specific(tag)
            && tag.core_suffix() != Some(fits)
        {
            self.wrong_tag(tag, at);
        }
        let flow = style == StructureStyle::Flow;
        if self.has_tabs && !flow {
            self.check_indentation(span.start);
        }
        let start = match &content {
            Content::List(_) if !flow => self.first_dash(span.start),
            _ => span.start,
        };
        self.stack.push(Frame { start, end: span.end, anchor, flow, content });
        Ok(())
    }

    /// Where a list begins. Of one that is not indented below its key, the parser names what follows the first `-`.
    fn first_dash(&self, start: u32) -> u32 {
        let is_value =
            matches!(self.stack.last(), Some(Frame { content: Content::Map { key: Some(_), .. }, .. }));
        let before = self.text[..start as usize].trim_end();
        let dash = before.strip_suffix('-').filter(|before| {
            is_value && before.rsplit(['\n', '\r']).next().is_some_and(|line| line.trim().is_empty())
        });
        dash.map_or(start, |before| u32::try_from(before.len()).unwrap_or(start))
    }

    /// The parser lets a tab pass before the first key of a block.
    fn check_indentation(&mut self, start: u32) {
        let before = &self.text[..start as usize];
        let begins_line = |(_, c): &(usize, char)| matches!(c, '\n' | '\r' | '\u{feff}');
        let line = before.char_indices().rfind(begins_line).map_or(0, |(at, c)| at + c.len_utf8());
        let indentation = &before[line..];
        if indentation.bytes().all(|b| b == b' ' || b == b'\t')
            && let Some(tab) = indentation.find('\t')
        {
            self.diagnostics.push(syntax::tab(self.file, line + tab));
        }
    }

    fn close(&mut self, span: Span) -> Result<(), Abandoned> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let Frame { start, end, anchor, flow, content } = frame;
        // A block ends where its last part does: the parser's end lies after the blank lines and comments below.
        let whole = Span::new(self.file, start, if flow { span.end.max(end) } else { end });
        let kind = match content {
            Content::List(items) => NodeKind::List(items),
            Content::Map { mut entries, merges, .. } => {
                maps::drop_duplicates(&mut entries, &merges, &mut self.diagnostics);
                NodeKind::Map(exact(maps::merge(entries, merges, &mut self.diagnostics)))
            }
        };
        self.complete(Node { span: whole, kind }, whole, anchor)
    }

    /// Hands a value to what it is part of. `written` is where it stands, which for an alias is not its span.
    fn complete(&mut self, node: Node, written: Span, anchor: usize) -> Result<(), Abandoned> {
        if anchor != 0 && self.has_aliases {
            let mut size = Size::default();
            size.depth = measure(&node, &mut size);
            self.charge(size, written)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), size });
        }
        if self.expects_key() {
            let taken = self.key_from(node, written);
            if let Some(Frame { content: Content::Map { key, .. }, end, .. }) = self.stack.last_mut() {
                *key = Some(taken);
                *end = (*end).max(written.end);
            }
            return Ok(());
        }
        let Some(frame) = self.stack.last_mut() else {
            self.value = Some(node);
            return Ok(());
        };
        frame.end = frame.end.max(written.end);
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, key, merges } => match key.take() {
                Some(Key::Text(key, key_span)) => entries.push(Entry { key, key_span, value: node }),
                Some(Key::Merge(key)) => merges.push(Merge { at: entries.len(), key, written, node }),
                Some(Key::Dropped) | None => {}
            },
        }
        Ok(())
    }

    /// A key that is no scalar, or came through an alias.
    fn key_from(&mut self, node: Node, written: Span) -> Key {
        if let NodeKind::String(text) = node.kind {
            return Key::Text(text, written);
        }
        let message = format!("a key is text, and this is a {}", node.kind_name());
        let template = self.text[..written.start as usize].ends_with('{')
            && self.text[written.start as usize..].starts_with('{');
        let help = if template { "quote the text: `\"{{ … }}\"`" } else { "write a text as the key" };
        self.diagnostics.push(Diagnostic::new(&rules::KEY_TYPE, written, message).help(help));
        Key::Dropped
    }

    fn scalar_key(
        &mut self,
        source: &str,
        style: ScalarStyle,
        span: Span,
        anchor: usize,
        tag: Option<&Tag>,
        at: &granit_parser::Span,
    ) -> Result<(), Abandoned> {
        let plain = style == ScalarStyle::Plain && tag.is_none();
        if plain && source == "<<" {
            return self.set_key(Key::Merge(span), span, anchor, source);
        }
        let kind = self.scalar_kind(source, style, tag, at);
        let key = match kind {
            NodeKind::String(text) => Key::Text(text, span),
            _ if source.is_empty() => {
                self.diagnostics.push(
                    Diagnostic::new(&rules::KEY_TYPE, span, "a value without a key")
                        .help("write a key before the `:`, or remove the line"),
                );
                Key::Dropped
            }
            kind => {
                let name = Node { span, kind }.kind_name();
                let mut diagnostic = Diagnostic::new(
                    &rules::KEY_TYPE,
                    span,
                    format!("a key is text, and `{source}` is a {name}"),
                )
                .help(format!("quote it: `\"{source}\"`"));
                if plain {
                    diagnostic = diagnostic.fix(Fix::Edit(vec![(span, format!("\"{source}\""))]));
                }
                self.diagnostics.push(diagnostic);
                Key::Text(source.into(), span)
            }
        };
        self.set_key(key, span, anchor, source)
    }

    fn set_key(&mut self, taken: Key, span: Span, anchor: usize, source: &str) -> Result<(), Abandoned> {
        if anchor != 0 && self.has_aliases {
            let size = Size { values: 1, bytes: source.len(), depth: 0 };
            self.charge(size, span)?;
            self.anchors.insert(
                anchor,
                Anchored { node: Node { span, kind: NodeKind::String(source.into()) }, size },
            );
        }
        if let Some(Frame { content: Content::Map { key, .. }, end, .. }) = self.stack.last_mut() {
            *key = Some(taken);
            *end = (*end).max(span.end);
        }
        Ok(())
    }

    fn scalar_kind(
        &mut self,
        source: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        at: &granit_parser::Span,
    ) -> NodeKind {
        let untagged = |source: &str| match style {
            ScalarStyle::Plain => scalar::resolve(source),
            _ => NodeKind::String(source.into()),
        };
        let Some(tag) = tag else { return untagged(source) };
        if is_non_specific(tag) {
            return NodeKind::String(source.into());
        }
        let tagged = match tag.core_suffix() {
            Some("str") => Some(NodeKind::String(source.into())),
            Some("null") => scalar::is_null(source).then_some(NodeKind::Null),
            Some("bool") => scalar::boolean(source).map(NodeKind::Bool),
            Some("int") => scalar::integer(source).map(NodeKind::Int),
            Some("float") => match scalar::number(source) {
                #[expect(clippy::cast_precision_loss, reason = "the tag asks for a float")]
                Some(NodeKind::Int(whole)) => Some(NodeKind::Float(whole as f64)),
                float => float,
            },
            _ => None,
        };
        tagged.unwrap_or_else(|| {
            self.wrong_tag(tag, at);
            untagged(source)
        })
    }

    fn wrong_tag(&mut self, tag: &Tag, at: &granit_parser::Span) {
        let span = at.tag_span().map_or_else(|| self.span(at), |span| self.span(&span));
        let name = tag.original();
        let (message, help) = if tag.is_yaml_core_schema() {
            (
                format!("the tag `{name}` does not fit its value"),
                "remove the tag, or write a value that fits it",
            )
        } else {
            (
                format!("the tag `{name}` is not known"),
                "remove it: only the tags of the core schema are known, such as `!!str`, `!!int` and `!!map`",
            )
        };
        self.diagnostics.push(Diagnostic::new(&rules::TAG, span, message).help(help));
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Abandoned> {
        let Some(Anchored { node, size }) = self.anchors.get(&anchor) else {
            let message = "the alias refers to the value that it is part of";
            self.diagnostics.push(
                Diagnostic::new(&rules::ALIAS_BOMB, span, message)
                    .help("write the value itself in place of the alias"),
            );
            return self.complete(Node { span, kind: NodeKind::Null }, span, 0);
        };
        let (node, size) = (node.clone(), *size);
        if self.stack.len() + size.depth > DEEPEST {
            self.diagnostics.push(syntax::too_deep(span));
            return Err(Abandoned);
        }
        self.charge(size, span)?;
        self.complete(node, span, 0)
    }

    /// Counts what anchors and aliases add to the file.
    fn charge(&mut self, size: Size, span: Span) -> Result<(), Abandoned> {
        self.aliased.values += size.values;
        self.aliased.bytes += size.bytes;
        if self.aliased.values <= MOST_ALIASED_VALUES && self.aliased.bytes <= MOST_ALIASED_BYTES {
            return Ok(());
        }
        let message = format!(
            "the anchors and aliases of this file amount to more than {MOST_ALIASED_VALUES} values or {} MiB of text",
            MOST_ALIASED_BYTES >> 20
        );
        self.diagnostics.push(
            Diagnostic::new(&rules::ALIAS_BOMB, span, message)
                .help("move what is shared to `templates` or `defaults`"),
        );
        Err(Abandoned)
    }

    fn span(&self, at: &granit_parser::Span) -> Span {
        let offset = |marker: &granit_parser::Marker| {
            marker.byte_offset().and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX)
        };
        Span::new(self.file, offset(&at.start), offset(&at.end))
    }

    /// What is left out after a key is just after its colon.
    fn null_span(&self, span: Span, kind: &NodeKind) -> Span {
        let after_colon = span.start == span.end
            && *kind == NodeKind::Null
            && self.text.as_bytes().get(span.start as usize) == Some(&b':');
        if after_colon { Span::new(self.file, span.start + 1, span.start + 1) } else { span }
    }

    /// A block scalar's span is its content in the parser; here it begins at its `|` or `>`, and ends with its text.
    fn scalar_span(&self, at: &granit_parser::Span, style: ScalarStyle) -> Span {
        let span = self.span(at);
        if !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            return span;
        }
        let start = scalar::header_of_block(self.text, span.start as usize);
        let end = start + self.text[start..span.end as usize].trim_end().len();
        Span {
            start: u32::try_from(start).unwrap_or(span.start),
            end: u32::try_from(end).unwrap_or(span.end),
            ..span
        }
    }
}

/// `!` alone: whatever it stands before is text, a list or a map as it is written.
fn is_non_specific(tag: &Tag) -> bool {
    tag.parts() == ("", "!")
}

/// Adds up a value and everything in it; returns how deep it is.
fn measure(node: &Node, size: &mut Size) -> usize {
    size.values += 1;
    match &node.kind {
        NodeKind::String(text) => {
            size.bytes += text.len();
            0
        }
        NodeKind::List(items) => 1 + items.iter().map(|item| measure(item, size)).max().unwrap_or(0),
        NodeKind::Map(entries) => {
            size.bytes += entries.iter().map(|entry| entry.key.len()).sum::<usize>();
            1 + entries.iter().map(|entry| measure(&entry.value, size)).max().unwrap_or(0)
        }
        _ => 0,
    }
}
