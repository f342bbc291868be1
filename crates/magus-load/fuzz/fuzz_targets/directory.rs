//! Files with any names and texts load without a panic, and every finding has a place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use magus_load::load_texts;

fuzz_target!(|files: Vec<(&str, &str)>| {
    let loaded = load_texts(&files);
    let of_texts: Vec<_> = loaded.files.iter().flat_map(|file| loaded.parse(file).diagnostics).collect();
    for finding in loaded.diagnostics.iter().chain(&of_texts) {
        assert!(loaded.sources.origin(finding.span).is_some());
    }
    assert!(loaded.files.windows(2).all(|pair| pair[0].path <= pair[1].path));
});
