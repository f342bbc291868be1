//! Two declared workspaces side by side: what `magus diff A B` shows.

use magus_model::{
    Text,
    desired::Workspace,
    path::FieldPath,
    secrecy,
    span::{Origin, Sources},
    value::FieldValue,
};
use serde::Serialize;

use crate::{
    Styles, escape, json,
    plan::value,
    table::{self, Cell},
    words::count,
};

/// The version of the JSON format.
pub const FORMAT_VERSION: u32 = 1;

/// Two workspaces.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SideBySide {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The first, as it was named.
    pub left: Text,
    /// The second.
    pub right: Text,
    /// Every path that one of them has, in order.
    pub rows: Vec<Row>,
}

/// One path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The path.
    pub path: FieldPath,
    /// Whether both mean the same.
    pub same: bool,
    /// The first's value; nothing where it has none.
    pub left: Option<FieldValue>,
    /// The second's value.
    pub right: Option<FieldValue>,
    /// Where the first's value was written.
    pub left_origin: Option<Origin>,
    /// Where the second's value was written.
    pub right_origin: Option<Origin>,
}

/// Puts two workspaces side by side. The names are those under which they were asked for.
pub fn compare(left: (&str, &Workspace), right: (&str, &Workspace), sources: &Sources) -> SideBySide {
    let origin = |workspace: &Workspace, path: &FieldPath| match path.as_str() {
        "state" => sources.origin(workspace.state_span),
        path => workspace.field(path).and_then(|field| sources.origin(field.span)),
    };
    let rows = magus_diff::compare_declared(left.1, right.1)
        .into_iter()
        .map(|row| Row {
            left_origin: row.left.as_ref().and_then(|_| origin(left.1, &row.path)),
            right_origin: row.right.as_ref().and_then(|_| origin(right.1, &row.path)),
            same: row.same,
            left: row.left.as_ref().map(|value| shown(&row, value)),
            right: row.right.as_ref().map(|value| shown(&row, value)),
            path: row.path,
        })
        .collect();
    SideBySide { format_version: FORMAT_VERSION, left: left.0.into(), right: right.0.into(), rows }
}

/// A value as it may be shown: not beside a reference to a secret, and not if it may be a secret itself.
fn shown(row: &magus_diff::Row, value: &FieldValue) -> FieldValue {
    let is_secret = [&row.left, &row.right].into_iter().flatten().any(FieldValue::is_sensitive);
    if is_secret && !value.is_sensitive() { secrecy::hidden() } else { secrecy::shown(&row.path, value) }
}

/// Everything, what is the same too.
pub fn json(view: &SideBySide) -> String {
    json::pretty(view)
}

/// What differs as a table, and how much is the same.
pub fn text(view: &SideBySide, width: usize, styles: &Styles) -> String {
    let cell = |value: &Option<FieldValue>, style| match value {
        Some(value) => (value::show(value), style),
        None => ("(none)".to_owned(), styles.dim),
    };
    let rows: Vec<Vec<Cell>> = view
        .rows
        .iter()
        .filter(|row| !row.same)
        .map(|row| {
            vec![
                (escape::line(row.path.as_str()).into_owned(), anstyle::Style::new()),
                cell(&row.left, styles.removed),
                cell(&row.right, styles.added),
            ]
        })
        .collect();
    let same = view.rows.len() - rows.len();
    if rows.is_empty() {
        return format!("No differences: {} are the same.\n", count(same, "value"));
    }
    let (left, right) = (escape::line(&view.left), escape::line(&view.right));
    let mut out = table::table(&["", &left, &right], &rows, width, styles);
    let verb = if rows.len() == 1 { "differs" } else { "differ" };
    out.push_str(&format!("\n{} {verb}, {same} the same.\n", count(rows.len(), "value")));
    out
}
