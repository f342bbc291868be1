//! Gates: what holds a deploy or a restart back until its time has come. The time is an argument.

use jiff::{
    SignedDuration, Timestamp, ToSpan as _,
    civil::{Date, Time},
    tz::TimeZone,
};
use magus_model::{
    Text,
    desired::{Environment, Freeze, Verified, Window},
    plan::{Guard, Overrides},
};

use crate::{
    evidence::{Evidence, Proof, Runs},
    guards::has_reason,
    unblock::Flag,
    words,
};

/// How many closed times are passed over to find the next open one: more than a year of days with a freeze each.
const LONGEST_SEARCH: usize = 1000;
/// How many days ahead a window is looked for: one that is open on no day of a week never is.
const WEEK: i64 = 8;

/// Decides what gates hold back at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Keeper<'a> {
    now: Timestamp,
    evidence: &'a Evidence,
    overrides: &'a Overrides,
}

/// A gate that is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The gate.
    pub gate: Guard,
    /// What it waits for.
    pub message: String,
    /// When it opens by itself, as far as anybody can tell.
    pub opens_at: Option<Timestamp>,
}

impl Closed {
    /// The flags that lift it, and that are not given yet.
    pub(crate) fn flags(&self, overrides: &Overrides) -> Vec<Flag> {
        let mut flags = Vec::new();
        if !overrides.override_gate.iter().any(|given| given == self.gate.as_str()) {
            flags.push(Flag::OverrideGate(self.gate.as_str()));
        }
        if !has_reason(overrides) {
            flags.push(Flag::Reason);
        }
        flags
    }
}

impl<'a> Keeper<'a> {
    /// Who decides at this moment, with what is known and what flags lift.
    pub fn new(now: Timestamp, evidence: &'a Evidence, overrides: &'a Overrides) -> Self {
        Self { now, evidence, overrides }
    }

    fn is_lifted(&self, gate: Guard) -> bool {
        has_reason(self.overrides) && self.overrides.override_gate.iter().any(|given| given == gate.as_str())
    }

    /// The gates that hold the deploy of a commit back.
    pub fn deploy(&self, environment: &Environment, commit: &Text) -> Vec<Closed> {
        let gates = &environment.gates;
        let (Some(stage), true) = (&environment.promotes_from, gates.look_back()) else { return Vec::new() };
        let nothing = Proof { verified: None, runs: Runs::Nobody, unread: None };
        let proof = self.evidence.of(&environment.name, commit).unwrap_or(&nothing);
        let unread = proof
            .unread
            .as_ref()
            .map_or_else(String::new, |why| format!(" (its history was not read: {why})"));
        let short = words::short(commit);
        let closed = |gate: Guard, (message, opens_at): (String, Option<Timestamp>)| Closed {
            gate,
            message: format!("gate `{}`: {message}", gate.as_str()),
            opens_at,
        };
        let mut all = Vec::new();
        if let Some(Verified { within }) = gates.verified {
            let why = match proof.verified {
                None => {
                    Some(format!("`{short}` was not verified in `{stage}`{unread}: `magus verify {stage}`"))
                }
                Some((at, false)) => {
                    Some(format!("the last verification of `{short}` in `{stage}` failed, at {at:.0}"))
                }
                Some((at, true)) => {
                    within.filter(|within| self.passed_since(at) > seconds(*within)).map(|within| {
                        let limit = words::duration(within);
                        format!("`{short}` was verified in `{stage}` at {at:.0}, longer than {limit} ago")
                    })
                }
            };
            all.extend(why.map(|why| closed(Guard::Verified, (why, None))));
        }
        let elsewhere = match &proof.runs {
            Runs::Nobody => Some(format!("no workspace of `{stage}` is deployed to")),
            Runs::Not(workspace) => Some(format!("`{workspace}` of `{stage}` does not run `{short}`")),
            Runs::Since(_) => None,
        };
        if let Some(soak) = gates.soak {
            let limit = words::duration(soak);
            let why = match (&elsewhere, &proof.runs) {
                (Some(elsewhere), _) => Some((format!("{elsewhere}, where it has to run for {limit}"), None)),
                (None, Runs::Since(Some(since))) => {
                    let opens = since.checked_add(seconds(soak)).unwrap_or(Timestamp::MAX);
                    (self.now < opens).then(|| {
                        let why = format!(
                            "`{short}` runs in `{stage}` since {since:.0}, and has to for {limit}: until {opens:.0}"
                        );
                        (why, Some(opens))
                    })
                }
                (None, _) => Some((
                    format!(
                        "nobody knows since when `{short}` runs in `{stage}`, where it has to for {limit}{unread}"
                    ),
                    None,
                )),
            };
            all.extend(why.map(|why| closed(Guard::Soak, why)));
        }
        if let Some(elsewhere) = elsewhere.filter(|_| gates.runs_before) {
            all.push(closed(Guard::RunsBefore, (elsewhere, None)));
        }
        all.retain(|closed| !self.is_lifted(closed.gate));
        all
    }

    /// The gates that hold back whatever restarts.
    pub fn restart(&self, environment: &Environment) -> Vec<Closed> {
        let gates = &environment.gates;
        let (freezes, windows) = (&gates.freezes[..], &gates.windows[..]);
        let freezes = if self.is_lifted(Guard::Freezes) { &[] } else { freezes };
        let windows = if self.is_lifted(Guard::Windows) { &[] } else { windows };
        let mut all = Vec::new();
        let opens_at = next_opening(windows, freezes, self.now);
        let until = opens_at.map_or_else(String::new, |at| format!(": until {at:.0}"));
        if let Some(freeze) = freezes.iter().find(|freeze| thaws(freeze, self.now).is_some()) {
            let Freeze { from, to, zone: _, reason } = freeze;
            let reason = reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
            let message = format!("gate `freezes`: nothing restarts here from {from} to {to}{reason}{until}");
            all.push(Closed { gate: Guard::Freezes, message, opens_at });
        }
        if !is_open(windows, self.now) {
            let environment = &environment.name;
            let message = format!("gate `windows`: `{environment}` restarts nothing at this time{until}");
            all.push(Closed { gate: Guard::Windows, message, opens_at });
        }
        all
    }

    fn passed_since(&self, at: Timestamp) -> SignedDuration {
        self.now.duration_since(at)
    }
}

fn seconds(seconds: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// The first moment from now on at which every gate of time is open; nothing where none comes.
fn next_opening(windows: &[Window], freezes: &[Freeze], now: Timestamp) -> Option<Timestamp> {
    let mut at = now;
    for _ in 0..LONGEST_SEARCH {
        if let Some(thaws) = freezes.iter().filter_map(|freeze| thaws(freeze, at)).max() {
            at = thaws;
        } else if is_open(windows, at) {
            return Some(at);
        } else {
            at = windows.iter().filter_map(|window| opens(window, at)).min()?;
        }
    }
    None
}

/// The end of a freeze that holds at a moment.
fn thaws(freeze: &Freeze, at: Timestamp) -> Option<Timestamp> {
    let midnight = |date: Date| moment(date, Time::midnight(), &freeze.zone);
    let (from, to) = (midnight(freeze.from)?, midnight(freeze.to.checked_add(1.day()).ok()?)?);
    (from <= at && at < to).then_some(to)
}

fn is_open(windows: &[Window], at: Timestamp) -> bool {
    windows.is_empty()
        || windows.iter().any(|window| around(window, at, -1, 0).any(|(from, to)| from <= at && at < to))
}

/// When a window begins next.
fn opens(window: &Window, at: Timestamp) -> Option<Timestamp> {
    around(window, at, 0, WEEK).map(|(from, _)| from).find(|from| *from > at)
}

/// The times of a window that begin so many days before and after a moment. Where the clock is put forward over its
/// beginning, it begins that much later; where it is put back, the first time counts.
fn around(
    window: &Window,
    at: Timestamp,
    first: i64,
    last: i64,
) -> impl Iterator<Item = (Timestamp, Timestamp)> + use<'_> {
    let Window { days, from, to, zone } = window;
    let today = zone.to_datetime(at).date();
    (first..=last).filter_map(move |days_on| {
        let day = today.checked_add(days_on.days()).ok()?;
        if !days.is_empty() && !days.contains(&day.weekday()) {
            return None;
        }
        let end = if to > from { day } else { day.checked_add(1.day()).ok()? };
        Some((moment(day, *from, zone)?, moment(end, *to, zone)?))
    })
}

fn moment(day: Date, time: Time, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_timestamp(day.to_datetime(time)).ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#[path = "gates_tests.rs"]
mod tests;
