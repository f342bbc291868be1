//! Texts line by line, and two declared workspaces side by side.

use magus_diff::{HunkKind, compare_declared, line_diff};
use magus_model::desired::DesiredState;

use crate::world::{kept, plain, secret, workspace};

fn drawn(before: &str, after: &str) -> String {
    let line = |hunk: &magus_diff::Hunk| {
        let sign = match hunk.kind {
            HunkKind::Same => ' ',
            HunkKind::Removed => '-',
            HunkKind::Added => '+',
            HunkKind::Skipped => '@',
        };
        format!("{sign}{}", hunk.text)
    };
    line_diff(before, after).iter().map(line).collect::<Vec<_>>().join("\n")
}

fn numbered(range: std::ops::RangeInclusive<usize>) -> String {
    range.map(|at| format!("{at}")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_change_has_two_lines_around_it() {
    let before = numbered(1..=9);
    assert_eq!(drawn(&before, &before.replace('5', "five")), "@2\n 3\n 4\n-5\n+five\n 6\n 7\n@2");
    assert_eq!(
        drawn(&before, &before.replace('4', "four")),
        " 1\n 2\n 3\n-4\n+four\n 5\n 6\n@3",
        "one line is not left out"
    );
    assert_eq!(drawn(&before, &before.replace('1', "one")), "-1\n+one\n 2\n 3\n@6");
    assert_eq!(drawn(&before, &before.replace('9', "nine")), "@6\n 7\n 8\n-9\n+nine");
    let both = before.replace('1', "one").replace('9', "nine");
    assert_eq!(drawn(&before, &both), "-1\n+one\n 2\n 3\n@3\n 7\n 8\n-9\n+nine");
}

#[test]
fn lines_come_and_go() {
    assert_eq!(drawn("a\nb", "a\nx\nb"), " a\n+x\n b");
    assert_eq!(drawn("a\nx\nb", "a\nb"), " a\n-x\n b");
    assert_eq!(drawn("a", "a\n"), " a\n+", "a last line end is a difference");
    assert_eq!(drawn("a\r\nb", "a\nb"), "-a\r\n+a\n b", "and so is a carriage return");
    assert_eq!(drawn("a\nb\nc\nd", "a\nc\nb\nd").matches(['+', '-']).count(), 2);
    assert_eq!(drawn("", "a"), "-\n+a");
    assert_eq!(drawn("same\nsame", "same\nsame"), "@2");
    assert_eq!(drawn("a\na\na", "a\na"), " a\n a\n-a");
}

#[test]
fn a_text_that_is_another_one_is_not_matched_line_by_line() {
    let shared = |count: usize, mark: &str| {
        (0..count).map(|at| format!("{mark}{at}\nshared")).collect::<Vec<_>>().join("\n")
    };
    let hunks = |lines: usize| {
        let (before, after) = (shared(lines, "a"), shared(lines, "b"));
        line_diff(&format!("{before}\nx"), &format!("{after}\nx"))
    };
    let same = |lines| hunks(lines).iter().filter(|hunk| hunk.kind == HunkKind::Same).count();
    // 2 × 1,000 lines differ, of which the last one is the same on both sides, and a common end.
    assert!(same(1_000) > 900);
    assert_eq!(same(1_001), 2, "beyond the limit only the ends are shared");
    assert_eq!(hunks(1_001).iter().filter(|hunk| hunk.kind == HunkKind::Removed).count(), 2_001);
}

#[test]
fn rows_have_every_path_of_both() {
    let mut left = workspace(
        "a",
        &[
            ("container_config.resources.limits.cpu", plain("1")),
            ("env.A", plain("1")),
            ("env.K", kept("K")),
            ("env.L", plain("1")),
            ("env.S", secret("S", None)),
            ("storage_class_name", plain("x")),
        ],
    );
    left.state = DesiredState::Stopped;
    let right = workspace(
        "b",
        &[
            ("container_config.resources.limits.cpu", plain("1000m")),
            ("env.A", plain("2")),
            ("env.B", plain("2")),
            ("env.K", secret("K", None)),
            ("env.S", secret("S", None)),
            ("storage_class_name", plain("x")),
        ],
    );
    let rows: Vec<_> = compare_declared(&left, &right)
        .into_iter()
        .map(|row| {
            let text = |value: Option<_>| {
                value
                    .map_or_else(|| "-".to_owned(), |value: magus_model::value::FieldValue| value.to_string())
            };
            format!("{} {} {} {}", row.path, text(row.left), text(row.right), row.same)
        })
        .collect();
    assert_eq!(
        rows,
        [
            "container_config.resources.limits.cpu 1 1000m true",
            "env.A 1 2 false",
            "env.B - 2 false",
            "env.K (secret from env K, kept) (secret from env K) false",
            "env.L 1 - false",
            "env.S (secret from env S) (secret from env S) true",
            "state stopped running false",
            "storage_class_name x x true",
        ]
    );
}
