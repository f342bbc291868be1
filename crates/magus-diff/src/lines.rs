//! The difference of two texts, line by line, as something to be drawn.

use std::ops::Range;

use similar::{Algorithm, DiffTag, capture_diff_slices};

/// Lines that are the same are shown this far around a difference.
const CONTEXT: usize = 2;

/// Beyond so many lines that differ on one side, lines are not matched with each other any more: nobody reads
/// that, and matching costs the product of both.
const MOST_LINES: usize = 2_000;

/// A line, or a number of lines left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk {
    /// What became of it.
    pub kind: HunkKind,
    /// The line without its line end; the number of lines for [`HunkKind::Skipped`].
    pub text: String,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HunkKind {
    /// It is in both.
    Same,
    /// It is only in the first.
    Removed,
    /// It is only in the second.
    Added,
    /// So many lines that are in both are left out here.
    Skipped,
}

/// The difference of two texts, with two lines of context around each change.
pub fn line_diff(before: &str, after: &str) -> Vec<Hunk> {
    let (old, new) = (lines(before), lines(after));
    let start = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (old_rest, new_rest) = (&old[start..], &new[start..]);
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(old, new)| old == new).count();
    let (old_middle, new_middle) = (&old_rest[..old_rest.len() - end], &new_rest[..new_rest.len() - end]);

    let mut hunks: Vec<_> = old[..start].iter().map(|line| hunk(HunkKind::Same, line)).collect();
    let mut draw = |kind, lines: &[&str], range: Range<usize>| {
        hunks.extend(lines[range].iter().map(|line| hunk(kind, line)));
    };
    if old_middle.len().max(new_middle.len()) > MOST_LINES {
        draw(HunkKind::Removed, old_middle, 0..old_middle.len());
        draw(HunkKind::Added, new_middle, 0..new_middle.len());
    } else {
        for op in capture_diff_slices(Algorithm::Myers, old_middle, new_middle) {
            let (tag, old_range, new_range) = op.as_tag_tuple();
            if tag == DiffTag::Equal {
                draw(HunkKind::Same, old_middle, old_range);
            } else {
                draw(HunkKind::Removed, old_middle, old_range);
                draw(HunkKind::Added, new_middle, new_range);
            }
        }
    }
    hunks.extend(old_rest[old_rest.len() - end..].iter().map(|line| hunk(HunkKind::Same, line)));
    fold(hunks)
}

/// The lines of a text. A last line end shows as an empty last line, and a carriage return stays: where they are
/// all that differs, the difference would be empty without them.
fn lines(text: &str) -> Vec<&str> {
    text.split('\n').collect()
}

fn hunk(kind: HunkKind, text: &str) -> Hunk {
    Hunk { kind, text: text.to_owned() }
}

/// Leaves out what is the same and far from any change, unless only one line would be.
fn fold(hunks: Vec<Hunk>) -> Vec<Hunk> {
    let changed: Vec<_> = (0..hunks.len()).filter(|at| hunks[*at].kind != HunkKind::Same).collect();
    let near = |at: usize| {
        let next = changed.partition_point(|changed| *changed < at);
        let before = next.checked_sub(1).is_some_and(|previous| at - changed[previous] <= CONTEXT);
        before || changed.get(next).is_some_and(|next| next - at <= CONTEXT)
    };
    let keep: Vec<_> = (0..hunks.len()).map(near).collect();
    let mut folded = Vec::new();
    let mut skipped: Vec<Hunk> = Vec::new();
    let flush = |skipped: &mut Vec<Hunk>, folded: &mut Vec<Hunk>| match skipped.len() {
        0 => {}
        1 => folded.append(skipped),
        count => {
            skipped.clear();
            folded.push(hunk(HunkKind::Skipped, &count.to_string()));
        }
    };
    for (hunk, keep) in hunks.into_iter().zip(keep) {
        if keep {
            flush(&mut skipped, &mut folded);
            folded.push(hunk);
        } else {
            skipped.push(hunk);
        }
    }
    flush(&mut skipped, &mut folded);
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first and the last line differ, so that exactly these lines go into the comparison.
    #[test]
    fn lines_are_matched_up_to_the_limit_itself() {
        for (count, matched) in [(MOST_LINES - 1, true), (MOST_LINES, true), (MOST_LINES + 1, false)] {
            let text = |end: &str| {
                let inner = "same\n".repeat(count - 2);
                format!("first {end}\n{inner}last {end}")
            };
            let removed = line_diff(&text("before"), &text("after"))
                .iter()
                .filter(|hunk| hunk.kind == HunkKind::Removed)
                .count();
            assert_eq!(removed, if matched { 2 } else { count }, "{count} lines");
        }
    }
}
