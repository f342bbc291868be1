//! Gates: what holds a deploy, or a change of a running workspace, back until its time has come. The time is an argument.

use jiff::{
    SignedDuration, Timestamp, ToSpan as _,
    civil::{Date, Time},
    tz::TimeZone,
};
use magus_model::{
    Text,
    desired::{Environment, Freeze, Verified, Window, WindowHolds},
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

/// What a step does to a running workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It changes the workspace, which goes on running, stops or is deleted.
    Changes,
    /// It restarts the workspace, or may.
    Restarts,
}

/// A commit that is to be deployed, and what is known of it in the stage before.
struct Asked<'a> {
    stage: &'a Text,
    /// The commit, short.
    commit: &'a str,
    proof: &'a Proof,
    /// Why the stage does not count as running it.
    elsewhere: Option<&'a str>,
}

impl Asked<'_> {
    fn unread(&self) -> String {
        let Proof { unread, incomparable, .. } = self.proof;
        let unread = unread.as_ref().map(|why| format!(" (its history was not read: {why})"));
        let incomparable =
            || Some(format!(" (a verification cannot be compared: {})", incomparable.as_ref()?));
        unread.or_else(incomparable).unwrap_or_default()
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
        let nothing = Proof {
            verified: None,
            runs: Runs::NotDeployed,
            ran_here: false,
            unread: None,
            incomparable: None,
        };
        let proof = self.evidence.of(&environment.name, commit).unwrap_or(&nothing);
        let elsewhere = words::not_running(&proof.runs, stage, words::short(commit));
        let asked = Asked { stage, commit: words::short(commit), proof, elsewhere: elsewhere.as_deref() };
        let mut all = Vec::new();
        let mut close = |gate: Guard, (message, opens_at): (String, Option<Timestamp>)| {
            all.push(Closed { gate, message: format!("gate `{}`: {message}", gate.as_str()), opens_at });
        };
        if let Some(why) = gates.verified.and_then(|verified| self.unverified(&asked, verified)) {
            close(Guard::Verified, (why, None));
        }
        if let Some(why) = gates.soak.and_then(|soak| self.unsoaked(&asked, soak)) {
            close(Guard::Soak, why);
        }
        if let Some(elsewhere) = elsewhere.clone().filter(|_| gates.runs_before) {
            close(Guard::RunsBefore, (elsewhere, None));
        }
        all.retain(|closed| !self.is_lifted(closed.gate));
        all
    }

    /// Why a commit does not count as verified in the stage before. A verification counts only while the stage runs it.
    fn unverified(&self, asked: &Asked<'_>, Verified { within }: Verified) -> Option<String> {
        let Asked { stage, commit, proof, elsewhere } = asked;
        let unread = asked.unread();
        match proof.verified {
            None => Some(format!("`{commit}` was not verified in `{stage}`{unread}: `magus verify {stage}`")),
            Some((at, false)) => {
                Some(format!("the last verification of `{commit}` in `{stage}` failed, at {at:.0}"))
            }
            Some((at, true)) => {
                let expired =
                    within.filter(|within| self.passed_since(at) > seconds(*within)).map(|within| {
                        let limit = words::duration(within);
                        format!("`{commit}` was verified in `{stage}` at {at:.0}, longer than {limit} ago")
                    });
                // What a stage runs to which nothing is deployed is known to the person who verified it.
                let elsewhere = elsewhere.filter(|_| proof.runs != Runs::NotDeployed);
                expired.or_else(|| {
                    elsewhere.map(|why| format!("the verification of `{commit}` does not count: {why}"))
                })
            }
        }
    }

    /// Why a commit has not run long enough in the stage before, and when it has.
    fn unsoaked(&self, asked: &Asked<'_>, soak: u64) -> Option<(String, Option<Timestamp>)> {
        let Asked { stage, commit, proof, elsewhere } = asked;
        let limit = words::duration(soak);
        if let Some(elsewhere) = elsewhere {
            return Some((format!("{elsewhere}, where it has to run for {limit}"), None));
        }
        let Runs::Since(Some(since)) = &proof.runs else {
            let unread = asked.unread();
            let why = format!(
                "the history does not show since when `{commit}` runs in `{stage}`, where it has to run for {limit}{unread}"
            );
            return Some((why, None));
        };
        let opens = since.checked_add(seconds(soak)).unwrap_or(Timestamp::MAX);
        (self.now < opens).then(|| {
            let why = format!(
                "`{commit}` has run in `{stage}` since {since:.0}; the {limit} soak ends at {opens:.0}"
            );
            (why, Some(opens))
        })
    }

    /// The gates that hold back a step that changes, stops or deletes a running workspace of the environment.
    pub fn change(&self, environment: &Environment, effect: Effect) -> Vec<Closed> {
        let gates = &environment.gates;
        let holds = |window: &&Window| effect == Effect::Restarts || window.holds == WindowHolds::Changes;
        let windows: Vec<Window> = match self.is_lifted(Guard::Windows) {
            true => Vec::new(),
            false => gates.windows.iter().filter(holds).cloned().collect(),
        };
        let freezes = if self.is_lifted(Guard::Freezes) { &[][..] } else { &gates.freezes };
        let mut all = Vec::new();
        let opens_at = next_opening(&windows, freezes, self.now);
        let until = opens_at.map_or_else(String::new, |at| format!(": until {at:.0}"));
        let name = &environment.name;
        if let Some(freeze) = freezes.iter().find(|freeze| thaws(freeze, self.now).is_some()) {
            let Freeze { from, to, zone: _, reason } = freeze;
            let reason = reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
            let message = format!(
                "gate `freezes`: no running workspace of `{name}` is changed from {from} to {to}{reason}{until}"
            );
            all.push(Closed { gate: Guard::Freezes, message, opens_at });
        }
        if !is_open(&windows, self.now) {
            let message =
                format!("gate `windows`: no running workspace of `{name}` is changed at this time{until}");
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
    let Window { days, from, to, zone, holds: _ } = window;
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
