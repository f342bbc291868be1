//! Counts the work of scans over text that others wrote, so that a test can show that it grows no faster than the text.
//!
//! A step is a byte, a key or a candidate that is looked at. Release builds count nothing.

#[cfg(debug_assertions)]
mod counter {
    use std::sync::atomic::{AtomicU64, Ordering};

    static STEPS: AtomicU64 = AtomicU64::new(0);

    /// Counts so many steps.
    pub fn spend(steps: usize) {
        STEPS.fetch_add(steps as u64, Ordering::Relaxed);
    }

    /// Returns the steps of this process so far.
    pub fn spent() -> u64 {
        STEPS.load(Ordering::Relaxed)
    }
}

#[cfg(debug_assertions)]
pub use counter::{spend, spent};

/// Counts so many steps, in debug builds alone.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn spend(_steps: usize) {}
