//! Files with any names and texts load without a panic, and every finding has a place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use magus_load::load_texts;

fuzz_target!(|files: Vec<(&str, &str)>| {
    let loaded = load_texts(&files);
    for finding in &loaded.diagnostics {
        assert!(loaded.sources.origin(finding.span).is_some());
    }
    assert!(loaded.documents.windows(2).all(|pair| pair[0].path <= pair[1].path));
});
