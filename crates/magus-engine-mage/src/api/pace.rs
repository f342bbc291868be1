//! How fast: how many requests at once, and how long to wait before asking again.

use std::{
    num::NonZeroUsize,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use jiff::{Timestamp, fmt::rfc2822};

/// How often a request that may be repeated is sent at most.
pub(super) const ATTEMPTS: u32 = 5;
/// The longest wait before the second attempt. It doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest that a server can make us wait with `Retry-After`.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Says what time it is.
type Now = Box<dyn Fn() -> Timestamp + Send + Sync>;
/// Waits.
type Sleep = Box<dyn Fn(Duration) + Send + Sync>;

/// Time, as an argument: what it is, and how it is waited for.
pub struct Clock {
    now: Now,
    sleep: Sleep,
}

impl Clock {
    /// A clock that waits for real, until everything is stopped.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { now: Box::new(now), sleep: Box::new(magus_process::sleep) }
    }

    /// The same with another way to wait.
    #[must_use]
    pub fn with_sleep(mut self, sleep: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.sleep = Box::new(sleep);
        self
    }

    pub(super) fn sleep(&self, time: Duration) {
        (self.sleep)(time);
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// How long to wait after an attempt (the first is 1) that failed: what the server asks for, else a random time below a
/// bound that doubles. Many clients that failed at once then do not come back at once.
pub(super) fn wait(attempt: u32, retry_after: Option<&str>, clock: &Clock) -> Duration {
    match retry_after.and_then(|text| asked_for(text, (clock.now)())) {
        Some(asked) => asked.min(LONGEST_WAIT),
        None => jitter(FIRST_WAIT.saturating_mul(1 << attempt.saturating_sub(1).min(10))),
    }
}

/// A time below a bound.
fn jitter(bound: Duration) -> Duration {
    // Without randomness everybody waits for the whole time, which is still a wait.
    let random = getrandom::u32().unwrap_or(u32::MAX);
    bound.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// `Retry-After`: a number of seconds, or a date.
fn asked_for(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = rfc2822::parse(text).ok()?.timestamp();
    // What is over is no wait at all.
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

/// Lets so many through at once.
pub(super) struct Gate {
    free: Mutex<usize>,
    left: Condvar,
}

impl Gate {
    pub(super) fn new(places: NonZeroUsize) -> Self {
        Self { free: Mutex::new(places.get()), left: Condvar::new() }
    }

    /// Waits for a place, which is free again when what is returned is dropped.
    pub(super) fn enter(&self) -> Place<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.left.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Place(self)
    }
}

/// A place behind a [`Gate`].
pub(super) struct Place<'a>(&'a Gate);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        Clock::new(|| "2026-11-24T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn what_the_server_asks_for_is_honoured_within_bounds() {
        for (text, seconds) in [
            ("0", 0),
            (" 7 ", 7),
            ("86400", 30),
            ("Tue, 24 Nov 2026 12:00:12 GMT", 12),
            ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
            ("Tue, 24 Nov 2026 13:00:00 GMT", 30),
        ] {
            assert_eq!(wait(1, Some(text), &clock()), Duration::from_secs(seconds), "{text}");
        }
    }

    #[test]
    fn without_a_wish_the_bound_doubles_and_the_time_below_it_is_random() {
        let clock = clock();
        for (attempt, bound) in [(1, 500), (2, 1000), (3, 2000), (4, 4000)] {
            let bound = Duration::from_millis(bound);
            let times: Vec<_> = (0..200).map(|_| wait(attempt, Some("soon"), &clock)).collect();
            assert!(times.iter().all(|time| *time <= bound), "{attempt}");
            // Of 200 times, all in one half of the range has a chance of 2 to the power of -199.
            assert!(times.iter().any(|time| *time > bound / 2) && times.iter().any(|time| *time < bound / 2));
        }
    }
}
