//! Any schedule is read in time, and what comes next comes later.
#![no_main]

use libfuzzer_sys::fuzz_target;
use magus_code::cron;

fuzz_target!(|text: &str| {
    if let Ok(interval) = cron::parse(text) {
        let now = "2026-11-29T12:30:15".parse().expect("a time");
        assert!(interval.next(now).is_none_or(|next| next > now));
    }
});
