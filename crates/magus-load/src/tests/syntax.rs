//! Every finding about a text, with its exact place.

use magus_model::{diagnostic::Fix, span::FileId};

use super::findings;
use crate::{DEEPEST, parse};

/// Each text with its findings. Every one is tried with line feeds, with CRLF, with a byte order mark, and with
/// both: the places have to be the same.
const TABLE: &[(&str, &[&str])] = &[
    ("a: 1\n", &[]),
    ("---\na: 1\n...\n", &[]),
    ("%YAML 1.2\n---\na: 1\n", &[]),
    ("# only\na: 1 # and\n", &[]),
    // MG001
    ("a: \"x\nb: 1\n", &["MG001 1:4-1:5"]),
    ("a: 'x\n", &["MG001 1:4-1:5"]),
    ("a: ü\nb: [1, 2\n", &["MG001 2:4-2:5"]),
    ("a: {b: 1\n", &["MG001 1:4-1:5"]),
    ("a: [}\n", &["MG001 1:4-1:5"]),
    ("a: [b]]\n", &["MG001 1:7-1:8"]),
    ("a: }\n", &["MG001 1:4-1:5"]),
    ("a: ü: c\n", &["MG001 1:5-1:6"]),
    ("a: 1\n b: 2\n", &["MG001 2:3-2:4"]),
    ("a: x\n  y: z\n", &["MG001 2:4-2:5"]),
    ("a: 1\nbcd\nc: 2\n", &["MG001 2:1-2:2"]),
    ("a: 'x' y\n", &["MG001 1:8-1:9"]),
    ("a: \"x\\q\"\n", &["MG001 1:6-1:7"]),
    ("a: \"ok\\n x \\xZZ\"\n", &["MG001 1:4-1:5"]),
    ("a: @x\n", &["MG001 1:4-1:5"]),
    ("a: `x`\n", &["MG001 1:4-1:5"]),
    ("a: %x\n", &["MG001 1:4-1:5"]),
    ("a: \u{1}\n", &["MG001 1:4-1:5"]),
    ("a: - b\n", &["MG001 1:4-1:5"]),
    ("k: 1\n-   b\n", &["MG001 2:1-2:2"]),
    ("a: {A: x, B: ${y}-z}\n", &["MG001 1:14-1:15"]),
    ("a: [${y}]\n", &["MG001 1:5-1:6"]),
    ("a: {{ y }}-b\n", &["MG001 1:11-1:12", "MG012 1:5-1:10"]),
    ("a: *nope\nb: *none\n", &["MG001 1:4-1:9", "MG001 2:4-2:9"]),
    ("a: & b\n", &["MG001 1:4-1:5"]),
    ("a: !e!x 1\n", &["MG001 1:4-1:5"]),
    ("%YAML 2.0\n---\na: 1\n", &["MG001 1:1-1:2"]),
    ("a: b\n\u{feff}c: d\n", &["MG001 2:1-2:2"]),
    // MG002
    ("a: 1\nb: 2\na: 3\n", &["MG002 3:1-3:2"]),
    ("a: 1\n\"a\": 2\n'a': 3\n", &["MG002 2:1-2:4", "MG002 3:1-3:4"]),
    ("x: {a: 1, a: 2}\n", &["MG002 1:11-1:12"]),
    ("x: &x {a: 1}\ny:\n  <<: *x\n  <<: *x\n", &["MG002 4:3-4:5"]),
    // MG003
    ("a: &a [*a]\n", &["MG003 1:8-1:10"]),
    ("a: &a\n  b: *a\n", &["MG003 2:6-2:8"]),
    // MG006
    ("a:\n\tb: 1\n", &["MG006 2:1-2:2"]),
    ("a: 1\n\tb: 2\n", &["MG006 2:1-2:2"]),
    ("\ta: 1\n", &["MG006 1:1-1:2"]),
    ("a:\n  - b\n \t- c\n", &["MG006 3:2-3:3"]),
    ("a: |\n\tx\n", &["MG006 2:1-2:2"]),
    ("a:\n  # fine\n\n\tb:\n\t\tc: 1\n", &["MG006 4:1-4:2"]),
    ("d: [\n\te]\n", &["MG006 2:1-2:2"]),
    ("a:\tb\nc: x\ty\n\t\nd: [\n  e,\tf]\n", &[]),
    ("{\n\t\"a\": [\n\t\t1\n\t]\n}\n", &[]),
    // MG007
    ("", &["MG007 1:1-1:1"]),
    ("\n\n", &["MG007 1:1-1:1"]),
    ("# nothing\n", &["MG007 1:1-1:1"]),
    ("---\n", &["MG007 1:1-1:1"]),
    ("---\n# nothing\n...\n", &["MG007 1:1-1:1"]),
    ("{}\n", &[]),
    ("null\n", &[]),
    // MG008
    ("a: 1\n---\nb: 1\n", &["MG008 2:1-2:4"]),
    ("a: 1\n---\n", &["MG008 2:1-2:4"]),
    ("a: 1\n...\nb: 1\n", &["MG008 3:1-3:1"]),
    ("---\n---\na: 1\n", &["MG008 2:1-2:4"]),
    ("a: 1\n---\nb: 1\n---\nc: 1\n", &["MG008 2:1-2:4"]),
    (
        "a: [\n---\nb: 1\nb: 2\n---\nc: @\n",
        &["MG001 1:4-1:5", "MG001 6:4-6:5", "MG002 4:1-4:2", "MG008 2:1-2:4"],
    ),
    // MG011
    ("<<: 1\na: 1\n", &["MG011 1:5-1:6"]),
    ("<<:\na: 1\n", &["MG011 1:4-1:4"]),
    ("x: &x 1\ny:\n  <<: *x\n", &["MG011 3:7-3:9"]),
    ("x: &x {a: 1}\ny:\n  <<: [*x, 1]\n", &["MG011 3:7-3:14"]),
    // MG012
    ("1: a\n", &["MG012 1:1-1:2"]),
    ("true: a\nx: 1\n", &["MG012 1:1-1:5"]),
    ("~: a\n", &["MG012 1:1-1:2"]),
    ("x: {1.5: a}\n", &["MG012 1:5-1:8"]),
    (": a\n", &["MG012 1:1-1:1"]),
    ("? [a, b]\n: 1\nc: 2\n", &["MG012 1:3-1:9"]),
    ("? {a: b}\n: 1\n", &["MG012 1:3-1:9"]),
    ("yes: a\non: b\nNO: c\n", &[]),
    // MG013
    ("a: !Ref x\n", &["MG013 1:4-1:8"]),
    ("a: !!binary aGk=\n", &["MG013 1:4-1:12"]),
    ("a: !!int x\n", &["MG013 1:4-1:9"]),
    ("a: !!map [b]\n", &["MG013 1:4-1:9"]),
    ("a: !Sub\n  b: 1\n", &["MG013 1:4-1:8"]),
    (
        "a: !!str 1\nb: !!int '1'\nc: !!seq [d]\ne: ! 1\nf: !!map {}\ng: !!float 1\nh: !!null ''\ni: !!bool \"true\"\n",
        &[],
    ),
];

#[test]
fn every_finding_has_its_exact_place_with_any_line_end_and_mark() {
    for (text, expected) in TABLE {
        let ends_lines = text.contains('\n');
        for (mark, cr) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut variant = if cr { text.replace('\n', "\r\n") } else { (*text).to_owned() };
            let mut expected: Vec<String> = expected.iter().map(|finding| (*finding).to_owned()).collect();
            if cr && ends_lines {
                expected.push("MG707 1:1-1:1".into());
            }
            if mark {
                variant.insert(0, '\u{feff}');
                expected.push("MG706 1:1-1:1".into());
            }
            expected.sort();
            assert_eq!(findings(&variant), expected, "{variant:?}");
        }
    }
}

#[test]
fn lone_carriage_returns_end_lines_too() {
    assert_eq!(findings("a: 1\rb: @\r"), ["MG001 2:4-2:5", "MG707 1:1-1:1"]);
}

#[test]
fn messages_are_in_our_style_and_name_no_value() {
    for (text, _) in TABLE {
        for diagnostic in parse(FileId(0), &text.replace("x", "hunter2")).diagnostics {
            let message = &diagnostic.message;
            let first = message.chars().next().unwrap();
            assert!(!first.is_uppercase() && !message.ends_with('.'), "{message}");
            assert!(!message.is_empty() && !message.contains('\n'), "{message}");
            let about_names = ["MG002", "MG012", "MG013"].contains(&diagnostic.rule.code);
            assert!(about_names || !message.contains("hunter2"), "{message}");
            assert_ne!(message, "this is not valid YAML", "{text:?}");
        }
    }
}

#[test]
fn a_duplicate_points_to_the_first() {
    let parsed = parse(FileId(0), "a: 1\nb: 2\na: 3\na: 4\n");
    let firsts: Vec<_> = parsed.diagnostics.iter().map(|found| found.related[0].0.start).collect();
    assert_eq!(firsts, [0, 0]);
    assert_eq!(parsed.root.unwrap().entries().len(), 2, "the first stays");
}

#[test]
fn an_unclosed_bracket_is_pointed_to() {
    let parsed = parse(FileId(0), "a: [1, 2\nb: 3\n");
    assert_eq!(parsed.diagnostics.len(), 1);
    assert_eq!(parsed.diagnostics[0].related[0].0.start, 3);
}

#[test]
fn fixes_of_a_text_are_offered() {
    let fix = |text: &str| parse(FileId(0), text).diagnostics[0].fix.clone();
    let Some(Fix::Edit(edits)) = fix("\u{feff}a: 1\n") else { panic!() };
    assert_eq!((edits[0].0.start, edits[0].0.end, edits[0].1.as_str()), (0, 3, ""));
    let Some(Fix::Edit(edits)) = fix("a:\n  012: x\n") else { panic!() };
    assert_eq!((edits[0].0.start, edits[0].0.end, edits[0].1.as_str()), (5, 8, "\"012\""));
}

#[test]
fn bombs_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("a{level}: &a{level} [{items}]\n");
    }
    let parsed = parse(FileId(0), &bomb);
    assert!(parsed.root.is_none());
    assert_eq!(parsed.diagnostics.iter().map(|found| found.rule.code).collect::<Vec<_>>(), ["MG003"]);

    let text = "x".repeat(100_000);
    let aliases = "  - *a\n".repeat(200);
    let parsed = parse(FileId(0), &format!("a: &a {text}\nb:\n{aliases}"));
    assert_eq!(parsed.diagnostics.iter().map(|found| found.rule.code).collect::<Vec<_>>(), ["MG003"]);
}

#[test]
fn nesting_has_a_limit_however_it_is_written() {
    let flow = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let map = |depth: usize| format!("{}x{}", "{a: ".repeat(depth), "}".repeat(depth));
    let block =
        |depth: usize| (0..depth).map(|level| format!("{}a:\n", " ".repeat(level))).collect::<String>();
    let list = |depth: usize| format!("{}a\n", "- ".repeat(depth));
    for make in [&flow as &dyn Fn(usize) -> String, &map, &block, &list] {
        assert_eq!(findings(&make(DEEPEST)), Vec::<String>::new());
        for depth in [DEEPEST + 1, 1_000, 100_000] {
            if depth > 1_000 && make(2).contains("\n ") {
                // Its indentation alone would be larger than a file may be.
                continue;
            }
            let text = make(depth);
            let found = findings(&text);
            assert_eq!(found.len(), 1, "{depth}: {found:?}");
            assert!(found[0].starts_with("MG014 "), "{depth}: {found:?}");
        }
    }
    assert_eq!(findings(&flow(DEEPEST + 1)), ["MG014 1:65-1:66"]);
    // An alias deep down brings its own depth along.
    let aliased = format!("a: &a {}\nb: {}*a{}\n", flow(40), "[".repeat(40), "]".repeat(40));
    assert_eq!(findings(&aliased), ["MG014 2:44-2:46"]);
}

#[test]
fn many_broken_documents_end_the_reading() {
    let found = findings(&"a: @\n---\n".repeat(1_000));
    assert_eq!(found.len(), 17, "16 errors and the second document");
}
