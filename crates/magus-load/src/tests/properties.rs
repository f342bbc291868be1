//! Properties: nothing that anybody can write makes the parser panic or hang, and what serde_yaml writes is read as it
//! was meant.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use magus_model::{
    diagnostic::Diagnostic,
    span::{FileId, SourceFile, Sources, Span},
    tree::{Node, NodeKind},
};
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::{Index, select},
};

use crate::{DEEPEST, edit, load_texts, parse};

/// Texts with most of what YAML has in them.
const SEEDS: &[&str] = &[
    "# yaml-language-server: $schema=x.json\na: &x {b: 1, \"c\": [1, 2, 'd']}\ne: *x\nf:\n  <<: *x\n  g: |-\n    text\n     more\n\n  h: >+\n    folded\n\n",
    "---\n%TAG\n? a\n: - b\n  - - c\n    - d: ~\n# magus: ignore[MG301, MG702] why\n...\n---\nü: \"\\u00fc\\x41\\n\"\r\n",
    "env:\n  A: 1\n  B: {secret: {env: X}, version: 2} # magus: ignore[MG203]\n  C: !!str 012\n  1: x\n  true: y\ncontainer_config:\n\tbad: tab\n",
    "\u{feff}a: [x,\n  y, {z: }]\n'k': \"v\n  w\"\n? {a: b}\n: 1\n",
];

/// Everything that has to hold of a parsed text, whatever it is.
fn check(text: &str) {
    let started = Instant::now();
    let parsed = parse(FileId(0), text);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?} for {} bytes", started.elapsed(), text.len());
    let inside = |span: Span| {
        assert!(span.file == FileId(0) && span.start <= span.end, "{span:?}");
        assert!(text.get(span.start as usize..span.end as usize).is_some(), "{span:?} in {text:?}");
    };
    let sources = Sources::new(vec![SourceFile::new("a.yaml", text)]);
    for diagnostic in &parsed.diagnostics {
        inside(diagnostic.span);
        diagnostic.related.iter().for_each(|(span, _)| inside(*span));
        let at = diagnostic.locate(&sources);
        assert!((at.line, at.column) <= (at.end_line, at.end_column));
    }
    for comment in &parsed.comments {
        inside(comment.span);
        assert_eq!(sources.origin(comment.span).unwrap().line, comment.line, "{text:?}");
        assert!(comment.target >= comment.line);
    }
    if let Some(root) = &parsed.root {
        check_node(root, 0, &inside);
    } else {
        assert!(!parsed.diagnostics.is_empty(), "a text without a tree has a finding: {text:?}");
    }
    let findings: Vec<&Diagnostic> = parsed.diagnostics.iter().collect();
    // Refusing is fine; inventing is not.
    if let Ok(edited) = edit::apply(FileId(0), text, &findings) {
        let again = parse(FileId(0), &edited.text);
        assert_eq!(again.root.is_some(), parsed.root.is_some());
    }
}

fn check_node(node: &Node, depth: usize, inside: &dyn Fn(Span)) {
    assert!(depth <= DEEPEST);
    inside(node.span);
    let mut keys = std::collections::HashSet::new();
    for entry in node.entries() {
        inside(entry.key_span);
        assert!(keys.insert(&entry.key), "{} twice", entry.key);
        check_node(&entry.value, depth + 1, inside);
    }
    node.items().iter().for_each(|item| check_node(item, depth + 1, inside));
}

/// A change of a text that a hand or an accident makes.
#[derive(Debug, Clone)]
enum Mutation {
    Insert(Index, &'static str),
    Remove(Index, u8),
    Repeat(Index, u8),
    Replace(Index, char),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let pieces = &[
        ":", "- ", "[", "]", "{", "}", "*x", "&x ", "\n", "\t", "  ", "\"", "'", "#", " #", "<<: ", "|", ">",
        "? ", "!t ", "---\n", "...\n", "\r", "\u{feff}", "%", "@", "\0", ",", "~", "magus: ", "\\", "!!int ",
        "\u{85}", "\u{2028}", "ü",
    ];
    prop_oneof![
        (any::<Index>(), select(pieces)).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, length)| Mutation::Remove(at, length)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, length)| Mutation::Repeat(at, length)),
        (any::<Index>(), any::<char>()).prop_map(|(at, with)| Mutation::Replace(at, with)),
    ]
}

fn mutated(seed: &str, mutations: &[Mutation]) -> String {
    let mut chars: Vec<char> = seed.chars().collect();
    for mutation in mutations {
        let length = chars.len();
        match mutation {
            Mutation::Insert(at, piece) => {
                let at = at.index(length + 1);
                chars.splice(at..at, piece.chars());
            }
            Mutation::Remove(at, count) if length > 0 => {
                let at = at.index(length);
                chars.drain(at..(at + usize::from(*count % 16)).min(length));
            }
            Mutation::Repeat(at, count) if length > 0 => {
                let at = at.index(length);
                let piece = chars[at..(at + usize::from(*count % 32)).min(length)].to_vec();
                chars.splice(at..at, piece);
            }
            Mutation::Replace(at, with) if length > 0 => {
                let at = at.index(length);
                chars[at] = *with;
            }
            Mutation::Remove(..) | Mutation::Repeat(..) | Mutation::Replace(..) => {}
        }
    }
    chars.into_iter().collect()
}

/// A value that YAML can say with text keys.
fn value() -> impl Strategy<Value = serde_yaml::Value> {
    use serde_yaml::Value;
    let word = select(&[
        "yes",
        "NO",
        "null",
        "~",
        "012",
        "1.0",
        "0x1F",
        "",
        " a ",
        "a: b",
        "- x",
        "# c",
        "<<",
        "*a",
        "&b",
        "\u{feff}x",
        "line\nline\n",
        "\ttab",
    ]);
    let text = prop_oneof![word.prop_map(str::to_owned), "\\PC{0,12}", "[ -~\n]{0,20}"]
        // YAML 1.1, which serde_yaml writes, breaks lines at these three; YAML 1.2 does not.
        .prop_map(|text| text.replace(['\u{85}', '\u{2028}', '\u{2029}'], ""));
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1.0e12f64..1.0e12).prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            // serde_yaml writes a key `<<` bare, which is then a merge key.
            btree_map(text.clone().prop_filter("a merge key", |key| key != "<<"), inner, 0..5).prop_map(
                |map| {
                    Value::Mapping(map.into_iter().map(|(key, value)| (Value::from(key), value)).collect())
                }
            ),
        ]
    })
}

fn says(node: &Node, value: &serde_yaml::Value) -> bool {
    use serde_yaml::Value;
    match (&node.kind, value) {
        (NodeKind::Null, Value::Null) => true,
        (NodeKind::Bool(a), Value::Bool(b)) => a == b,
        (NodeKind::Int(a), Value::Number(b)) => b.as_i64() == Some(*a),
        (NodeKind::Float(a), Value::Number(b)) => b.as_i64().is_none() && b.as_f64() == Some(*a),
        (NodeKind::String(a), Value::String(b)) => a == b,
        (NodeKind::List(a), Value::Sequence(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| says(a, b))
        }
        (NodeKind::Map(a), Value::Mapping(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, (key, b))| key.as_str() == Some(&a.key) && says(&a.value, b))
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_yaml_like_text_never_panics(text in "[ab:\\-\\[\\]{},#&*!|>'\"%@`?~<=\\. \t\r\n\u{feff}ü\\\\01]{0,120}") {
        check(&text);
    }

    #[test]
    fn mutated_documents_never_panic(seed in select(SEEDS), mutations in vec(mutation(), 0..8)) {
        check(&mutated(seed, &mutations));
    }

    #[test]
    fn a_broken_file_breaks_no_other(seed in select(SEEDS), mutations in vec(mutation(), 0..8)) {
        let broken = mutated(seed, &mutations);
        let loaded = load_texts(&[("a/broken.yaml", &broken), ("a/good.yaml", "a: 1\n")]);
        prop_assert!(loaded.parse(&loaded.files[1]).root.is_some());
    }

    #[test]
    fn what_is_written_is_read(value in value(), mark in any::<bool>(), cr in any::<bool>()) {
        let mut text = serde_yaml::to_string(&value).unwrap();
        // A carriage return inside a value would become part of the line end.
        if cr && !text.contains('\r') {
            text = text.replace('\n', "\r\n");
        }
        if mark {
            text.insert(0, '\u{feff}');
        }
        let parsed = parse(FileId(0), &text);
        let null = matches!(value, serde_yaml::Value::Null);
        let root = parsed.root.unwrap_or_else(|| {
            panic!("{value:?} as {text:?}: {:?}", parsed.diagnostics)
        });
        prop_assert!(null || says(&root, &value), "{value:?} as {text:?} gave {:?}", root.to_value());
        // Anything but the hints about the mark and the line ends.
        let found: Vec<_> =
            parsed.diagnostics.iter().filter(|found| !["MG706", "MG707"].contains(&found.rule.code)).collect();
        prop_assert!(found.is_empty(), "{text:?}: {found:?}");
        check(&text);
    }

    #[test]
    fn merged_maps_are_what_a_plain_fold_gives(
        own in btree_map("[a-f]", 0..9i64, 0..4),
        sources in vec(btree_map("[a-f]", 10..99i64, 0..4), 1..4),
    ) {
        let mut text = String::new();
        for (at, source) in sources.iter().enumerate() {
            let entries: Vec<_> = source.iter().map(|(key, value)| format!("{key}: {value}")).collect();
            writeln!(text, "s{at}: &s{at} {{{}}}", entries.join(", ")).unwrap();
        }
        let names: Vec<_> = (0..sources.len()).map(|at| format!("*s{at}")).collect();
        writeln!(text, "m:\n  <<: [{}]", names.join(", ")).unwrap();
        for (key, value) in &own {
            writeln!(text, "  {key}: {value}").unwrap();
        }
        let mut expected = own;
        for source in sources {
            for (key, value) in source {
                expected.entry(key).or_insert(value);
            }
        }
        let root = parse(FileId(0), &text).root.unwrap();
        let merged: std::collections::BTreeMap<_, _> = root
            .get("m")
            .unwrap()
            .entries()
            .iter()
            .map(|entry| match entry.value.kind {
                NodeKind::Int(value) => (entry.key.to_string(), value),
                _ => panic!(),
            })
            .collect();
        prop_assert_eq!(merged, expected);
    }
}

/// Shapes that make parsers slow: each near the largest size of a file.
#[test]
fn no_shape_takes_long() {
    let size = 1 << 20;
    let repeated = |piece: &str| piece.repeat(size / piece.len());
    for piece in [
        "[",
        "{",
        "- ",
        "? ",
        "a: ",
        "a: {",
        "&a ",
        "*a ",
        "!a ",
        "'",
        "\"",
        "#\n",
        "# magus: ignore[MG301]\n",
        "a\n",
        "\n",
        "\t",
        " ",
        "|\n",
        "---\n",
        "...\n",
        "a: 1\n",
        "? a\n",
        "<<: *a\n",
        "\r",
        "%A\n",
        "[a]: ",
        "a: [1, 2, 3]\n",
        "x: &a [*a]\n",
        ", ",
        ": ",
        "\"\\q\"\n",
        "@\n---\n",
        "- &a x\n",
        "- *a\n",
        "\u{feff}",
        "- - ",
        "-\n",
        "{a: b, ",
        "[a, ",
        "\"a\": ",
    ] {
        let text = repeated(piece);
        let started = Instant::now();
        let parsed = parse(FileId(0), &text);
        drop(parsed);
        // Generous for unoptimised builds under load; anything quadratic takes minutes.
        assert!(started.elapsed() < Duration::from_secs(20), "{piece:?} took {:?}", started.elapsed());
    }
}
