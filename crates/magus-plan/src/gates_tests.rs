use magus_model::desired::{Gates, Rollout};
use magus_model::span::Span;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn window(days: &[jiff::civil::Weekday], from: i8, to: i8, zone: &str) -> Window {
    Window {
        days: days.to_vec(),
        from: Time::new(from, 0, 0, 0).unwrap(),
        to: Time::new(to, 0, 0, 0).unwrap(),
        zone: TimeZone::get(zone).unwrap(),
        holds: WindowHolds::Changes,
    }
}

fn freeze(from: &str, to: &str, zone: &str) -> Freeze {
    let zone = TimeZone::get(zone).unwrap();
    Freeze { from: from.parse().unwrap(), to: to.parse().unwrap(), zone, reason: Some("Christmas".into()) }
}

fn environment(gates: Gates) -> Environment {
    Environment {
        name: "production".into(),
        stage: 1,
        promotes_from: Some("staging".into()),
        protected: false,
        rollout: Rollout::default(),
        gates,
        verify: Default::default(),
        hold: None,
        branch_workspaces: None,
        workspaces: Vec::new(),
        span: Span::BUILT_IN,
    }
}

fn opening(windows: &[Window], freezes: &[Freeze], now: &str) -> String {
    next_opening(windows, freezes, at(now)).map_or_else(|| "never".to_owned(), |at| at.to_string())
}

#[test]
fn a_window_is_open_from_its_beginning_until_its_end() {
    use jiff::civil::Weekday::{Friday, Monday};
    let berlin = [window(&[Monday, Friday], 9, 17, "Europe/Berlin")];
    // 2026-11-27 is a Friday; Berlin is an hour ahead in winter.
    assert!(!is_open(&berlin, at("2026-11-27T07:59:59Z")));
    assert!(is_open(&berlin, at("2026-11-27T08:00:00Z")));
    assert!(is_open(&berlin, at("2026-11-27T15:59:59Z")));
    assert!(!is_open(&berlin, at("2026-11-27T16:00:00Z")));
    assert_eq!(opening(&berlin, &[], "2026-11-27T16:00:00Z"), "2026-11-30T08:00:00Z");
    assert_eq!(opening(&berlin, &[], "2026-11-27T09:00:00Z"), "2026-11-27T09:00:00Z");
    // Over midnight it belongs to the day on which it begins.
    let night = [window(&[Friday], 22, 4, "UTC")];
    assert!(is_open(&night, at("2026-11-28T03:59:00Z")));
    assert!(!is_open(&night, at("2026-11-27T03:00:00Z")));
    assert_eq!(opening(&night, &[], "2026-11-28T04:00:00Z"), "2026-12-04T22:00:00Z");
    // From and to the same: the whole day.
    let all_day = [window(&[Friday], 0, 0, "UTC")];
    assert!(is_open(&all_day, at("2026-11-27T23:59:59Z")));
    assert!(!is_open(&all_day, at("2026-11-28T00:00:00Z")));
    // On the other side of the date line, Friday has another beginning.
    let kiritimati = [window(&[Friday], 0, 12, "Pacific/Kiritimati")];
    assert!(is_open(&kiritimati, at("2026-11-26T10:00:00Z")));
    assert!(!is_open(&kiritimati, at("2026-11-27T10:00:00Z")));
}

#[test]
fn a_clock_that_is_changed_moves_a_window_with_it() {
    // Berlin: 2026-03-29 at 02:00 it becomes 03:00, 2026-10-25 at 03:00 it becomes 02:00.
    let night = [window(&[], 2, 4, "Europe/Berlin")];
    assert!(is_open(&night, at("2026-03-28T01:30:00Z")), "02:30 in winter");
    assert_eq!(opening(&night, &[], "2026-03-28T23:00:00Z"), "2026-03-29T01:00:00Z", "02:00 does not exist");
    assert!(is_open(&night, at("2026-03-29T01:59:00Z")), "03:59 in summer");
    assert!(!is_open(&night, at("2026-03-29T02:00:00Z")));
    // In autumn 02:30 comes twice, and both are inside.
    assert!(is_open(&night, at("2026-10-25T00:30:00Z")));
    assert!(is_open(&night, at("2026-10-25T01:30:00Z")));
    assert!(!is_open(&night, at("2026-10-24T23:59:00Z")));
    assert!(!is_open(&night, at("2026-10-25T03:00:00Z")), "04:00 in winter");
    let morning = [window(&[], 9, 17, "Europe/Berlin")];
    assert_eq!(opening(&morning, &[], "2026-10-24T15:00:00Z"), "2026-10-25T08:00:00Z");
    assert_eq!(opening(&morning, &[], "2026-03-28T16:00:00Z"), "2026-03-29T07:00:00Z");
    // A day without midnight: Santiago goes from 23:59 to 01:00 on 2026-09-06.
    let santiago = [freeze("2026-09-05", "2026-09-05", "America/Santiago")];
    assert_eq!(opening(&[], &santiago, "2026-09-05T12:00:00Z"), "2026-09-06T04:00:00Z");
}

#[test]
fn a_freeze_lasts_to_the_end_of_its_last_day_and_windows_wait_for_it() {
    let freezes = [
        freeze("2026-12-24", "2026-12-26", "Europe/Berlin"),
        freeze("2026-12-27", "2026-12-31", "Europe/Berlin"),
    ];
    assert_eq!(opening(&[], &freezes, "2026-12-23T22:59:59Z"), "2026-12-23T22:59:59Z");
    assert_eq!(opening(&[], &freezes, "2026-12-23T23:00:00Z"), "2026-12-31T23:00:00Z");
    let windows = [window(&[jiff::civil::Weekday::Monday], 9, 17, "Europe/Berlin")];
    assert_eq!(opening(&windows, &freezes, "2026-12-24T12:00:00Z"), "2027-01-04T08:00:00Z");
    let gates = Gates { windows: windows.to_vec(), freezes: freezes.to_vec(), ..Gates::default() };
    let none = Overrides::default();
    let evidence = Evidence::default();
    let production = environment(gates);
    let closed =
        Keeper::new(at("2026-12-24T12:00:00Z"), &evidence, &none).change(&production, Effect::Changes);
    let messages: Vec<&str> = closed.iter().map(|closed| closed.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "gate `freezes`: no running workspace of `production` is changed from 2026-12-24 to 2026-12-26 (Christmas): until 2027-01-04T08:00:00Z",
            "gate `windows`: no running workspace of `production` is changed at this time: until 2027-01-04T08:00:00Z",
        ]
    );
    // A window that lies in a freeze of every day never opens; nobody looks for it forever.
    let always: Vec<_> = (0..2000)
        .map(|day| {
            let date: Date = "2026-01-01".parse().unwrap();
            let date = date.checked_add(i64::from(day).days()).unwrap().to_string();
            freeze(&date, &date, "UTC")
        })
        .collect();
    assert_eq!(opening(&windows, &always, "2026-01-01T12:00:00Z"), "never");
    // Lifted with a reason, and not without.
    for (reason, left) in [(None, 2), (Some(" "), 2), (Some("outage"), 1)] {
        let overrides = Overrides {
            override_gate: vec!["windows".into()],
            reason: reason.map(Text::from),
            ..Overrides::default()
        };
        let keeper = Keeper::new(at("2026-12-29T12:00:00Z"), &evidence, &overrides);
        assert_eq!(keeper.change(&production, Effect::Changes).len(), left, "{reason:?}");
    }
}

#[test]
fn a_window_that_holds_restarts_lets_other_changes_through() {
    let mut restarts = window(&[jiff::civil::Weekday::Monday], 9, 17, "UTC");
    restarts.holds = WindowHolds::Restarts;
    let evidence = Evidence::default();
    let none = Overrides::default();
    // 2026-11-27 is a Friday.
    let keeper = Keeper::new(at("2026-11-27T12:00:00Z"), &evidence, &none);
    let gates = Gates { windows: vec![restarts.clone()], ..Gates::default() };
    assert_eq!(keeper.change(&environment(gates.clone()), Effect::Changes), []);
    assert_eq!(keeper.change(&environment(gates.clone()), Effect::Restarts)[0].gate, Guard::Windows);
    // Beside a window that holds every change, it is one more time for restarts.
    let friday = window(&[jiff::civil::Weekday::Friday], 18, 20, "UTC");
    let both = environment(Gates { windows: vec![restarts, friday], ..gates.clone() });
    let opens = |effect: Effect| keeper.change(&both, effect)[0].opens_at.map(|at| at.to_string());
    assert_eq!(opens(Effect::Changes).as_deref(), Some("2026-11-27T18:00:00Z"));
    // A freeze holds every change.
    let frozen = Gates { freezes: vec![freeze("2026-11-27", "2026-11-27", "UTC")], ..gates };
    assert_eq!(keeper.change(&environment(frozen), Effect::Changes)[0].gate, Guard::Freezes);
}
