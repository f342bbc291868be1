//! What nobody meant to write: it ends in time, and is a fault or nothing.

use super::*;

const KINDS: [FileKind; 6] = [
    FileKind::Python,
    FileKind::Text,
    FileKind::Yaml,
    FileKind::IoConfig,
    FileKind::Pipeline,
    FileKind::Triggers,
];

#[test]
fn deep_nesting_and_long_files_end() {
    let deep = |open: &str, close: &str| format!("x = {}{}\n", open.repeat(50_000), close.repeat(50_000));
    let texts = [
        deep("(", ")"),
        deep("[", "]"),
        "(".repeat(100_000),
        "{{ ".repeat(50_000),
        "{% raw %}".repeat(20_000),
        "{# ".repeat(50_000),
        "'".repeat(100_000),
        format!("os.environ[{}'A'{}]\n", "(".repeat(500), ")".repeat(500)),
        format!("x = {}os.environ\n", "a = ".repeat(2_000)),
        format!("x = 'A'{}\nos.environ[x]\n", " + 'A'".repeat(5_000)),
        "if x:\n".to_owned() + &" if y:\n".repeat(1_000),
        "a: ".repeat(10_000),
        "- ".repeat(10_000),
        format!("x = a{}\n", ".b".repeat(500_000)),
        format!("x = a{}\n", "()".repeat(500_000)),
        format!("x = {}1\n", "not ".repeat(100_000)),
        format!("x = {}1\n", "lambda: ".repeat(100_000)),
        format!("x = {}1\n", "a if b else ".repeat(100_000)),
        format!("x = a{}\n", "**b".repeat(100_000)),
        format!("match x:\n    case {}1{}:\n        pass\n", "[".repeat(5_000), "]".repeat(5_000)),
        format!("if x:\n pass\n{}", "elif y:\n pass\n".repeat(50_000)),
        format!("triggers:\n{}", "- {name: a, envs: [a]}\n".repeat(20_000)),
    ];
    for text in texts {
        for kind in KINDS {
            scan(kind, text.as_bytes());
        }
    }
}

#[test]
fn a_file_of_five_megabytes_is_read() {
    let block = "import os\n\n\ndef load(rows):\n    return [row['value'] * 2 for row in rows if row]\n\n\n";
    let mut text = block.repeat((5 << 20) / block.len());
    text.push_str("x = os.environ['AT_THE_END']\n");
    let found = scan(FileKind::Python, text.as_bytes());
    assert_eq!(found.fault, None);
    assert!(shown(&found)[0].ends_with("env AT_THE_END"), "{:?}", shown(&found));
}

#[test]
fn what_is_no_utf8_is_a_fault_and_is_read_nevertheless() {
    let found = scan(FileKind::Python, b"import os\nos.environ['A']\nx = '\xe4'\n");
    let fault = found.fault.as_ref().unwrap();
    assert_eq!((fault.line, fault.column, &*fault.what), (3, 6, "it is not UTF-8"));
    assert_eq!(shown(&found), ["2:12 env A"]);
    check(FileKind::Python, "\u{feff}import os\nos.environ['A']\n", &["2:12 env A"]);
}
