use jiff::civil::DateTime;

use crate::cron::{Interval, parse};

#[test]
fn what_mages_library_accepts_is_accepted() {
    // Each was asked of croniter, as mage-ai 0.9.80 brings it.
    for (text, valid) in [
        ("0 5 * * *", true),
        ("@daily", true),
        ("@once", true),
        ("@always_on", true),
        ("@midnight", true),
        ("@annually", true),
        ("0 5 * * 7", true),
        ("*/5 * * * *", true),
        ("0 5 * *", false),
        ("0 0 5 * * *", true),
        ("0 5 * * 1#2", true),
        ("0 5 L * *", true),
        ("0 5 * * mon", true),
        ("60 5 * * *", false),
        ("0 0 31 2 *", true),
        ("@every 5m", false),
        ("H 5 * * *", false),
        ("0 5 ? * *", true),
        ("0 5 15W * *", false),
        ("0 5 * * 5L", false),
        ("0 5 * * L5", true),
        ("*/0 * * * *", false),
        ("5-1 * * * *", true),
        ("0 5 1,2,x * *", false),
        ("0 0 5 * * * 2027", true),
        ("  0 5 * * *  ", true),
        ("0 22-3 * * *", true),
        ("0 5 * jan *", true),
        ("0 5 * * mon-fri", true),
        ("0 5 * * sun-mon", true),
        ("", false),
        ("* * * * * * * *", false),
    ] {
        assert_eq!(parse(text).is_ok(), valid, "{text}: {:?}", parse(text));
    }
}

#[test]
fn the_next_time_is_the_first_one_after() {
    let after: DateTime = "2026-11-29T12:30:15".parse().unwrap();
    for (text, next) in [
        ("0 5 * * *", "2026-11-30T05:00:00"),
        ("30 12 * * *", "2026-11-30T12:30:00"),
        ("31 12 * * *", "2026-11-29T12:31:00"),
        ("*/15 * * * *", "2026-11-29T12:45:00"),
        ("@hourly", "2026-11-29T13:00:00"),
        ("@weekly", "2026-12-06T00:00:00"),
        ("@monthly", "2026-12-01T00:00:00"),
        ("0 0 29 2 *", "2028-02-29T00:00:00"),
        ("0 5 * * 7", "2026-12-06T05:00:00"),
        ("0 5 L * *", "2026-11-30T05:00:00"),
        ("0 5 * * L5", "2026-12-25T05:00:00"),
        ("0 5 * * 1#2", "2026-12-14T05:00:00"),
        ("0 22-3 * * *", "2026-11-29T22:00:00"),
        ("* * * * * 20", "2026-11-29T12:30:20"),
        // A day of the month or of the week is enough where both are named.
        ("0 0 15 * 1", "2026-11-30T00:00:00"),
        ("0 0 1 1 * 0 2030", "2030-01-01T00:00:00"),
    ] {
        let Ok(Interval::Cron(cron)) = parse(text) else { panic!("{text}") };
        assert_eq!(cron.next(after).map(|at| at.to_string()).as_deref(), Some(next), "{text}");
    }
    let Ok(Interval::Cron(never)) = parse("0 0 31 2 *") else { panic!() };
    assert_eq!(never.next(after), None);
    assert_eq!(parse("@once"), Ok(Interval::AtOnce));
}
