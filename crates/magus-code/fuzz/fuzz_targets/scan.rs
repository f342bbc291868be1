//! Any content is read as a file of every kind without a panic, and what is found lies in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use magus_code::scan_file;

const PATHS: [&str; 6] = [
    "data_loaders/a.py",
    "data_exporters/a.sql",
    "data_loaders/a.yaml",
    "io_config.yaml",
    "pipelines/a/metadata.yaml",
    "pipelines/a/triggers.yaml",
];

fuzz_target!(|content: &[u8]| {
    let lines = content.iter().filter(|byte| **byte == b'\n').count() + 1;
    for path in PATHS {
        let scan = scan_file(path, content).expect("a kind that is looked at");
        for reference in &scan.references {
            assert!((1..=lines).contains(&(reference.line as usize)));
        }
    }
});
