//! What a text says, and where each part of it is.

use magus_model::{
    span::{FileId, Span},
    tree::{Node, NodeKind},
};

use super::tree;
use crate::{CommentKind, parse};

/// Every value and key of a tree with the text that its span covers.
fn parts(text: &str, node: &Node) -> Vec<String> {
    let slice = |span: Span| text[span.start as usize..span.end as usize].to_owned();
    let mut parts = vec![slice(node.span)];
    for entry in node.entries() {
        parts.push(slice(entry.key_span));
        parts.extend(self::parts(text, &entry.value));
    }
    for item in node.items() {
        parts.extend(self::parts(text, item));
    }
    parts
}

fn json(text: &str) -> String {
    fn value(node: &Node) -> String {
        match &node.kind {
            NodeKind::List(items) => format!("[{}]", items.iter().map(value).collect::<Vec<_>>().join(",")),
            NodeKind::Map(entries) => {
                let entries: Vec<_> =
                    entries.iter().map(|entry| format!("{}:{}", entry.key, value(&entry.value))).collect();
                format!("{{{}}}", entries.join(","))
            }
            NodeKind::String(text) => format!("{text:?}"),
            NodeKind::Null => "null".into(),
            NodeKind::Bool(value) => value.to_string(),
            NodeKind::Int(value) => value.to_string(),
            NodeKind::Float(value) => format!("{value:?}"),
        }
    }
    value(&tree(text))
}

#[test]
fn spans_cover_what_is_written() {
    for mark in ["", "\u{feff}"] {
        for (text, expected) in [
            ("a: 1\n", &["a: 1", "a", "1"][..]),
            ("a: \"b\"\n'c': 'ü''d'  # e\n\n", &["a: \"b\"\n'c': 'ü''d'", "a", "\"b\"", "'c'", "'ü''d'"]),
            ("a:\n  b: c\n\n# d\ne: f\n", &["a:\n  b: c\n\n# d\ne: f", "a", "b: c", "b", "c", "e", "f"]),
            ("a: [b, {c: d}, ]\n", &["a: [b, {c: d}, ]", "a", "[b, {c: d}, ]", "b", "{c: d}", "c", "d"]),
            (
                "a:\n- b\n- c: d\n  e: f\n",
                &[
                    "a:\n- b\n- c: d\n  e: f",
                    "a",
                    "- b\n- c: d\n  e: f",
                    "b",
                    "c: d\n  e: f",
                    "c",
                    "d",
                    "e",
                    "f",
                ],
            ),
            ("a: |\n  b\n  c\n\nd: e\n", &["a: |\n  b\n  c\n\nd: e", "a", "|\n  b\n  c", "d", "e"]),
            ("a: &x !!str >- # | c\n\n  b\n", &["a: &x !!str >- # | c\n\n  b", "a", ">- # | c\n\n  b"]),
            ("a: |\nb: c\n", &["a: |\nb: c", "a", "|", "b", "c"]),
            ("a: b\n  c\n", &["a: b\n  c", "a", "b\n  c"]),
            ("a:\n  |\n  b\n", &["a:\n  |\n  b", "a", "|\n  b"]),
            ("[a: b]\n", &["[a: b]", "a: b", "a", "b"]),
        ] {
            let text = format!("{mark}{text}");
            let root = parse(FileId(0), &text).root.unwrap();
            assert_eq!(parts(&text, &root), expected, "{text:?}");
            let crlf = text.replace('\n', "\r\n");
            let root = parse(FileId(0), &crlf).root.unwrap();
            let expected: Vec<_> = expected.iter().map(|part| part.replace('\n', "\r\n")).collect();
            assert_eq!(parts(&crlf, &root), expected, "{crlf:?}");
        }
    }
}

#[test]
fn nothing_is_just_after_the_colon() {
    for (text, path, at) in [
        ("a:\nb: 1\n", "a", 2),
        ("a:   # c\n\nb: 1\n", "a", 2),
        ("x: {a: , b: 1}\n", "a", 6),
        ("x: {a, b: 1}\n", "a", 5),
        ("a: ~\n", "a", 3),
        ("a: &x\nb: *x\n", "a", 5),
    ] {
        let root = tree(text);
        let node = root.get(path).or_else(|| root.at(&["x", path])).unwrap();
        assert!(node.is_null() && node.span.start == at, "{text:?} {node:?}");
    }
    assert_eq!(tree("-\n- a\n").items()[0].span.start, 1);
}

#[test]
fn values_are_those_of_the_core_schema() {
    for (text, expected) in [
        ("a: NO\n", r#"{a:"NO"}"#),
        ("a: '1'\nb: \"true\"\nc: 012\nd: 0o14\n", r#"{a:"1",b:"true",c:12,d:12}"#),
        ("a: !!str 1\nb: ! 2\nc: !!int '3'\nd: !!float 4\n", r#"{a:"1",b:"2",c:3,d:4.0}"#),
        ("a: |\n  x\n   y\n\nb: >\n  x\n  y\n", r#"{a:"x\n y\n",b:"x y\n"}"#),
        ("a: \"x\\u00fc\\n\"\n", r#"{a:"xü\n"}"#),
        ("z: 1\ny: 2\nx: 3\n", "{z:1,y:2,x:3}"),
        ("\"<<\": a\n", r#"{<<:"a"}"#),
        ("- a\n- - b\n", r#"["a",["b"]]"#),
        ("a:\n", "{a:null}"),
        ("{}", "{}"),
        ("text", r#""text""#),
    ] {
        assert_eq!(json(text), expected, "{text:?}");
    }
    let crlf = tree_of_crlf("a: |\r\n  x\r\n  y\r\nb: \"p\r\n  q\"\r\n");
    assert_eq!(crlf.get("a").unwrap().as_str(), Some("x\ny\n"));
    assert_eq!(crlf.get("b").unwrap().as_str(), Some("p q"));
}

fn tree_of_crlf(text: &str) -> Node {
    parse(FileId(0), text).root.unwrap()
}

#[test]
fn merge_keys_are_merged_and_own_keys_win() {
    for (text, expected) in [
        ("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\n", "{x:{a:1,b:2},y:{a:1,b:3}}"),
        ("x: &x {a: 1, b: 2}\ny:\n  b: 3\n  <<: *x\n  c: 4\n", "{x:{a:1,b:2},y:{b:3,a:1,c:4}}"),
        (
            "x: &x {a: 1}\nz: &z {a: 2, b: 2}\ny: {<<: [*x, *z], c: 1}\n",
            "{x:{a:1},z:{a:2,b:2},y:{a:1,b:2,c:1}}",
        ),
        ("y:\n  <<: {a: 1}\n", "{y:{a:1}}"),
        ("y:\n  <<: []\n  a: 1\n", "{y:{a:1}}"),
        ("x: &x {p: {q: 1}}\ny: {<<: *x, p: {r: 2}}\n", "{x:{p:{q:1}},y:{p:{r:2}}}"),
        ("x: &x {a: 1}\ny: &y {<<: *x, b: 2}\nz: {<<: *y}\n", "{x:{a:1},y:{a:1,b:2},z:{a:1,b:2}}"),
    ] {
        assert_eq!(json(text), expected, "{text:?}");
    }
}

#[test]
fn what_comes_through_an_alias_is_where_it_was_written() {
    let root = tree("a: &x [1, {b: c}]\nd: *x\ne: 1\n");
    assert_eq!(root.get("a"), root.get("d"));
    assert_eq!(root.get("d").unwrap().span, Span::new(FileId(0), 6, 17));
    assert_eq!(root.span, Span::new(FileId(0), 0, 28), "the map reaches to its own last part");
    let root = tree("a: &x 1\nb: *x\n");
    assert_eq!(root.span.end, 13, "the end of the alias, not of what it names");
    assert_eq!(json("&k a: 1\nb: *k\n*k : 2\n".replace("*k : 2\n", "").as_str()), r#"{a:1,b:"a"}"#);
    assert_eq!(json("a: &k x\n*k : 2\n"), r#"{a:"x",x:2}"#);
}

#[test]
fn broken_files_have_no_tree_and_doubtful_ones_do() {
    for text in
        ["a: [", "", "---\n", "a: &a [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["]
    {
        assert!(parse(FileId(0), text).root.is_none(), "{text:?}");
    }
    for text in ["a: 1\na: 2\n", "1: a\n", "a: !Ref x\n", "a: 1\n---\nb: [\n", "a: *b\n", "a: 1\n---\nb: 1\n"]
    {
        assert!(parse(FileId(0), text).root.is_some(), "{text:?}");
    }
    assert_eq!(parse(FileId(0), "a: 1\n---\nb: 1\n").root.unwrap().entries()[0].key, "a");
    let keys = parse(FileId(0), "1: a\n? [x]\n: y\ntrue: b\nc: d\n").root.unwrap();
    let keys: Vec<_> = keys.entries().iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["1", "true", "c"]);
}

#[test]
fn large_maps_are_read_in_time() {
    let mut text = String::new();
    for key in 0..60_000 {
        text += &format!("k{key}: {key}\n");
    }
    text += "k7: again\n";
    let parsed = parse(FileId(0), &text);
    assert_eq!(parsed.root.unwrap().entries().len(), 60_000);
    assert_eq!(parsed.diagnostics.len(), 1);
}

#[test]
fn comments_that_matter_are_read() {
    let text = "# yaml-language-server: $schema=../.schemas/workspace.json\n# plain\nenv:\n  # magus: ignore[MG301, MG203] a test\n  # another\n\n  A: 1\n  B: 2 # magus: ignore[MG203]\n  C: \"# magus: ignore[MG301]\"\n";
    for text in [text.to_owned(), text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
        let parsed = parse(FileId(0), &text);
        let comments: Vec<_> = parsed.comments.iter().map(|comment| (comment.line, comment.target)).collect();
        assert_eq!(comments, [(1, 3), (4, 7), (8, 8)]);
        let slice = |span: Span| &text[span.start as usize..span.end as usize];
        let CommentKind::Modeline { schema, span } = &parsed.comments[0].kind else { panic!() };
        assert_eq!(
            (schema.as_str(), slice(*span)),
            ("../.schemas/workspace.json", "../.schemas/workspace.json")
        );
        let CommentKind::Ignore { codes, reason } = &parsed.comments[1].kind else { panic!() };
        let codes: Vec<_> = codes.iter().map(|(code, span)| (code.as_str(), slice(*span))).collect();
        assert_eq!(codes, [("MG301", "MG301"), ("MG203", "MG203")]);
        assert_eq!(reason, "a test");
        assert_eq!(slice(parsed.comments[2].span), "# magus: ignore[MG203]");
    }
    let stacked = parse(
        FileId(0),
        "# magus: ignore[MG301] x\n# magus: ignore[MG203] y\na: 1\n# magus: ignore[MG301]\n",
    );
    let targets: Vec<_> = stacked.comments.iter().map(|comment| comment.target).collect();
    assert_eq!(targets, [3, 3, 5]);
}

#[test]
fn a_comment_that_cannot_be_read_is_said() {
    for (text, is_read) in [
        ("# magus: ignore[MG301]\na: 1\n", true),
        ("# magus: ignore MG301\na: 1\n", false),
        ("# magus: ignore[]\na: 1\n", false),
        ("# magus: ignore[MG301\na: 1\n", false),
        ("# magus: allow[MG301]\na: 1\n", false),
        ("#magus:ignore[MG301]\na: 1\n", true),
        ("# about magus: it is fine\na: 1\n", true),
        ("# yaml-language-server: nothing\na: 1\n", true),
    ] {
        let codes: Vec<_> = parse(FileId(0), text).diagnostics.iter().map(|found| found.rule.code).collect();
        assert_eq!(codes, if is_read { vec![] } else { vec!["MG705"] }, "{text:?}");
    }
}
