//! A plan that is not the one that was reviewed: what differs, and which side moved.

use std::fmt::Write as _;

use crate::{Styles, escape, style::paint, words::thousands};

/// One difference between the approved plan and the current one.
#[derive(Debug, Clone, Copy)]
pub struct Moved<'a> {
    /// Which side moved, in words: `the cluster moved`.
    pub side: &'a str,
    /// What differs.
    pub message: &'a str,
}

/// The differences that are listed; the rest is counted.
const MOST: usize = 50;

/// A line for each difference. The text ends with a line end unless there is no difference.
pub fn text(moved: &[Moved<'_>], styles: &Styles) -> String {
    let mut out = String::new();
    for difference in moved.iter().take(MOST) {
        let side = format!("{}:", escape::line(difference.side));
        let _ = writeln!(out, "  {} {}", paint(styles.warning, side), escape::line(difference.message));
    }
    if let Some(more) = moved.len().checked_sub(MOST).filter(|more| *more > 0) {
        let _ =
            writeln!(out, "  and {} more difference{}", thousands(more), if more == 1 { "" } else { "s" });
    }
    out
}
