//! Where the values of one workspace come from, as text and JSON.

use magus_model::{Text, path::FieldPath, secrecy, span::Origin, value::FieldValue};
use serde::Serialize;

use crate::{
    Styles, escape, json,
    plan::value,
    style::paint,
    table::{self, Cell},
};

/// The effective configuration of a workspace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainView {
    /// `ENVIRONMENT/WORKSPACE`.
    pub workspace: Text,
    /// Its values, in the order of their paths.
    pub entries: Vec<ExplainEntry>,
}

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainEntry {
    /// Its path.
    pub path: FieldPath,
    /// The value.
    pub value: FieldValue,
    /// The layer that gave it, as people call it.
    pub layer: Text,
    /// Where it was written; nothing for what is built in.
    pub origin: Option<Origin>,
    /// What lower layers gave, the highest first. Shown in text only.
    #[serde(skip)]
    pub overridden: Vec<OverriddenEntry>,
}

/// A value that a higher layer replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct OverriddenEntry {
    /// The value; nothing for a `null` that removed it.
    pub value: Option<FieldValue>,
    /// The layer that gave it.
    pub layer: Text,
    /// Where it was written.
    pub origin: Option<Origin>,
}

/// `{workspace, entries: [{path, value, layer, origin}]}`.
pub fn json(view: &ExplainView) -> String {
    json::pretty(&hidden(view))
}

/// A table of paths, values, layers and places; what a value replaced is below it.
pub fn text(view: &ExplainView, width: usize, styles: &Styles) -> String {
    let view = &hidden(view);
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let plain = anstyle::Style::new();
    for entry in &view.entries {
        rows.push(vec![
            (escape::line(entry.path.as_str()).into_owned(), plain),
            (value::show(&entry.value), styles.added),
            (escape::line(&entry.layer).into_owned(), plain),
            (place(entry.origin.as_ref()), styles.dim),
        ]);
        for over in &entry.overridden {
            let value = over.value.as_ref().map_or("null".to_owned(), value::show);
            rows.push(vec![
                (String::new(), plain),
                (format!("over {value}"), styles.dim),
                (escape::line(&over.layer).into_owned(), styles.dim),
                (place(over.origin.as_ref()), styles.dim),
            ]);
        }
    }
    let heading = paint(styles.strong, escape::line(&view.workspace));
    format!("{heading}\n{}", table::table(&["", "value", "layer", "written at"], &rows, width, styles))
}

/// The same without values that may be secret.
fn hidden(view: &ExplainView) -> ExplainView {
    let mut view = view.clone();
    for ExplainEntry { path, value, layer: _, origin: _, overridden } in &mut view.entries {
        let mut values: Vec<_> =
            overridden.iter_mut().filter_map(|over| over.value.as_mut()).chain([value]).collect();
        // What stands beside a reference is what the secret was, or was meant to replace.
        let is_secret = values.iter().any(|value| value.is_sensitive());
        for value in values.iter_mut().filter(|value| !value.is_sensitive()) {
            **value = if is_secret { secrecy::hidden() } else { secrecy::shown(path, value) };
        }
    }
    view
}

fn place(origin: Option<&Origin>) -> String {
    origin.map(|origin| escape::line(&origin.to_string()).into_owned()).unwrap_or_default()
}
