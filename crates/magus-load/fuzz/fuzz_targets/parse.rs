//! Any text parses without a panic, its findings lie inside it, and fixing them invents nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use magus_load::{edit, parse};
use magus_model::span::FileId;

fuzz_target!(|text: &str| {
    let file = FileId(0);
    let parsed = parse(file, text);
    for finding in &parsed.diagnostics {
        assert!(text.get(finding.span.start as usize..finding.span.end as usize).is_some());
    }
    assert!(parsed.root.is_some() || !parsed.diagnostics.is_empty());
    let findings: Vec<_> = parsed.diagnostics.iter().collect();
    if let Ok(edited) = edit::apply(file, text, &findings) {
        assert_eq!(parse(file, &edited.text).root.is_some(), parsed.root.is_some());
    }
});
