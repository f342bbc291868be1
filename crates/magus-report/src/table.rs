//! Tables in plain text: columns as wide as they have to be, long cells broken over lines.

use anstyle::Style;

use crate::{Styles, style::paint};

/// A cell: harmless text and how it looks.
pub(crate) type Cell = (String, Style);

/// The narrowest a column is made, in characters.
const NARROWEST: usize = 12;

/// The rows below a heading, in lines of about `width` characters. Columns that are empty throughout are left out.
pub(crate) fn table(heading: &[&str], rows: &[Vec<Cell>], width: usize, styles: &Styles) -> String {
    let columns: Vec<usize> = (0..heading.len())
        .filter(|at| rows.iter().any(|row| row.get(*at).is_some_and(|cell| !cell.0.is_empty())))
        .collect();
    let length = |text: &str| text.chars().count();
    let mut widths: Vec<usize> = columns
        .iter()
        .map(|at| {
            rows.iter()
                .filter_map(|row| row.get(*at))
                .map(|cell| length(&cell.0))
                .chain([length(heading[*at])])
                .max()
        })
        .map(Option::unwrap_or_default)
        .collect();
    // The widest column gives way until the line fits, or until all are narrow.
    let room = width.saturating_sub(2 * columns.len());
    while widths.iter().sum::<usize>() > room {
        let over = widths.iter().sum::<usize>() - room;
        let Some(widest) = widths.iter_mut().max_by_key(|width| **width) else { break };
        if *widest <= NARROWEST {
            break;
        }
        *widest = widest.saturating_sub(over.div_ceil(4)).max(NARROWEST);
    }
    let mut out = String::new();
    let heading: Vec<Cell> = heading.iter().map(|text| ((*text).to_owned(), styles.dim)).collect();
    for row in std::iter::once(&heading).chain(rows) {
        let cells: Vec<(Vec<String>, Style)> = columns
            .iter()
            .zip(&widths)
            .map(|(at, width)| {
                row.get(*at).map_or((Vec::new(), Style::new()), |cell| (pieces(&cell.0, *width), cell.1))
            })
            .collect();
        for line in 0..cells.iter().map(|(pieces, _)| pieces.len()).max().unwrap_or(0) {
            let last =
                cells.iter().rposition(|(pieces, _)| pieces.get(line).is_some_and(|piece| !piece.is_empty()));
            for (at, ((pieces, style), width)) in
                cells.iter().zip(&widths).enumerate().take(last.map_or(0, |last| last + 1))
            {
                let piece = pieces.get(line).map_or("", String::as_str);
                out.push_str(if at == 0 { "  " } else { "" });
                out.push_str(&paint(*style, piece).to_string());
                if Some(at) != last {
                    out.extend(std::iter::repeat_n(' ', width + 2 - length(piece)));
                }
            }
            out.push('\n');
        }
    }
    out
}

/// A text in pieces of at most `width` characters, broken at a space where there is one in the second half.
fn pieces(text: &str, width: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest: Vec<char> = text.chars().collect();
    while rest.len() > width {
        let space = rest[..=width].iter().rposition(|c| *c == ' ').filter(|at| *at > width / 2);
        let tail = rest.split_off(space.unwrap_or(width));
        pieces.push(rest.into_iter().collect());
        rest = tail.into_iter().skip(usize::from(space.is_some())).collect();
    }
    pieces.push(rest.into_iter().collect());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(row: &[&str]) -> Vec<Cell> {
        row.iter().map(|text| ((*text).to_owned(), Style::new())).collect()
    }

    #[test]
    fn columns_line_up_and_long_cells_break() {
        let rows = [cells(&["a", "", "short"]), cells(&["longer", "", "some words that do not fit in here"])];
        assert_eq!(
            table(&["one", "none", "two"], &rows, 32, &Styles::plain()),
            "  one     two\n  a       short\n  longer  some words that do not\n          fit in here\n"
        );
        let rows = [cells(&["x", &"y".repeat(30)])];
        let text = table(&["a", "b"], &rows, 20, &Styles::plain());
        assert!(text.lines().all(|line| line.chars().count() <= 20), "{text}");
        assert_eq!(text.matches('y').count(), 30);
    }
}
