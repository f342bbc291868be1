//! Where variables and secrets are read, and which environments have them.

use std::{collections::BTreeMap, fmt::Write as _};

use magus_model::Text;
use serde::Serialize;

use crate::{
    Styles, escape, json,
    matrix::{Look, Matrix},
    style::paint,
    words::count,
};

/// The version of the JSON format.
pub const FORMAT_VERSION: u32 = 1;

/// So many workspaces are named at once.
const SHOWN: usize = 8;

/// What code refers to, by name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct References {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The environments, in order of promotion.
    pub environments: Vec<Text>,
    /// Variables, secrets and runtime variables, ordered by kind and name.
    pub names: Vec<Referenced>,
    /// The places that make a name while they run.
    pub undecidable: Vec<ReferencePlace>,
}

/// Something that is read or defined.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Referenced {
    /// `variable`, `secret`, `runtime variable` or `secret of another store`.
    pub kind: &'static str,
    /// Its name.
    pub name: Text,
    /// Whether it is something that workspaces define: runtime variables are given by triggers.
    pub defined_by_workspaces: bool,
    /// What holds in each environment that has workspaces with code.
    pub environments: Vec<InEnvironment>,
    /// Where it is read.
    pub places: Vec<ReferencePlace>,
}

/// How something stands in an environment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InEnvironment {
    /// The environment.
    pub environment: Text,
    /// The pipelines that need it there.
    pub read_by: Vec<Text>,
    /// Whether the code says what counts where it is missing.
    pub has_default: bool,
    /// The workspaces that have it, with where that is declared; nothing for what comes from elsewhere.
    pub defined: Vec<Definition>,
    /// The workspaces that lack it, although their code needs it.
    pub missing: Vec<Text>,
}

/// A workspace that has something.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Definition {
    /// The workspace.
    pub workspace: Text,
    /// `file:line`; nothing where it comes from elsewhere.
    pub at: Option<Text>,
}

/// A place of the code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ReferencePlace {
    /// The file, relative to the project.
    pub file: Text,
    /// The line of the name, from 1.
    pub line: u32,
    /// Its column in characters, from 1.
    pub column: u32,
    /// The expression, where the name is made while the code runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<Text>,
    /// Whether the code goes on without it: it has a default, or asks first.
    pub has_default: bool,
    /// What the code does without it: `fails`, `goes_on`, or `undecidable`.
    pub without: &'static str,
    /// The names that serve as well, where it fails only without all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Vec<Text>>,
    /// The pipelines that need it there.
    pub pipelines: Vec<Text>,
    /// The environments with code that has this place.
    pub environments: Vec<Text>,
}

/// As JSON.
pub fn json(references: &References) -> String {
    json::pretty(references)
}

/// As a page.
pub fn html(references: &References) -> String {
    matrix(references).html("Magus refs", &count(references.names.len(), "name"))
}

/// As a table of all names by environment.
pub fn text(references: &References, width: usize, styles: &Styles) -> String {
    if references.names.is_empty() {
        return "No code refers to anything, and nothing is defined.\n".to_owned();
    }
    let mut out = matrix(references).text(width, styles);
    for place in &references.undecidable {
        let expression = place.expression.as_deref().map(escape::line).unwrap_or_default();
        let line = format!("{} makes a name while it runs: {expression}", shown(place));
        let _ = writeln!(out, "  {}", paint(styles.dim, line));
    }
    out
}

/// Each name with every place: for one that was asked for.
pub fn detail(references: &References, styles: &Styles) -> String {
    let mut out = String::new();
    for referenced in &references.names {
        let heading = format!("{} ({})", escape::line(&referenced.name), referenced.kind);
        let _ = writeln!(out, "{}", paint(styles.strong, heading));
        for one in &referenced.environments {
            let (text, look) = cell(referenced, one);
            let style = match look {
                Look::Bad => styles.removed,
                Look::Doubtful => styles.warning,
                _ => styles.dim,
            };
            let _ = writeln!(out, "  {}: {}", escape::line(&one.environment), paint(style, text));
            for (at, workspaces) in by_place(&one.defined) {
                let at = at.map_or("from elsewhere", |at| at.as_str());
                let line = format!("{}: {}", escape::line(at), some(&workspaces));
                let _ = writeln!(out, "    {}", paint(styles.dim, line));
            }
            if !one.missing.is_empty() {
                let _ = writeln!(out, "    lacking: {}", some(&one.missing.iter().collect::<Vec<_>>()));
            }
        }
        for place in &referenced.places {
            let default = if place.has_default { ", with a default" } else { "" };
            let pipelines =
                if place.pipelines.is_empty() { "no pipeline".to_owned() } else { list(&place.pipelines) };
            let _ =
                writeln!(out, "  {}: {pipelines} in {}{default}", shown(place), list(&place.environments));
        }
    }
    out
}

/// The workspaces that have something from one place.
fn by_place(defined: &[Definition]) -> BTreeMap<Option<&Text>, Vec<&Text>> {
    let mut places: BTreeMap<_, Vec<&Text>> = BTreeMap::new();
    for Definition { workspace, at } in defined {
        places.entry(at.as_ref()).or_default().push(workspace);
    }
    places
}

/// The first few names, and how many more.
fn some(names: &[&Text]) -> String {
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| escape::line(name)).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn shown(place: &ReferencePlace) -> String {
    format!("{}:{}:{}", escape::line(&place.file), place.line, place.column)
}

fn list(names: &[Text]) -> String {
    names.iter().map(|name| escape::line(name).into_owned()).collect::<Vec<_>>().join(", ")
}

fn matrix(references: &References) -> Matrix {
    let mut headings = vec!["name".to_owned(), "kind".to_owned()];
    headings.extend(references.environments.iter().map(|name| escape::line(name).into_owned()));
    let row = |referenced: &Referenced| {
        let mut row = vec![
            (escape::line(&referenced.name).into_owned(), Look::Plain),
            (referenced.kind.to_owned(), Look::Soft),
        ];
        row.extend(references.environments.iter().map(|environment| {
            let here = referenced.environments.iter().find(|one| one.environment == *environment);
            here.map_or((String::new(), Look::Soft), |here| cell(referenced, here))
        }));
        row
    };
    Matrix { headings, rows: references.names.iter().map(row).collect() }
}

/// How something stands in an environment, in words.
fn cell(referenced: &Referenced, one: &InEnvironment) -> (String, Look) {
    let InEnvironment { read_by, has_default, defined, missing, .. } = one;
    if !referenced.defined_by_workspaces {
        return match read_by.is_empty() {
            true => (String::new(), Look::Soft),
            false => ("read".to_owned(), Look::Plain),
        };
    }
    match (read_by.is_empty(), missing.len()) {
        (true, _) if defined.is_empty() => ("-".to_owned(), Look::Soft),
        (true, _) => ("defined, not read".to_owned(), Look::Soft),
        (false, 0) => ("read, defined".to_owned(), Look::Good),
        (false, lacking) => {
            let all = lacking + defined.len();
            let of = if lacking == all { String::new() } else { format!(" in {lacking} of {all}") };
            match has_default {
                true => (format!("default{of}"), Look::Doubtful),
                false => (format!("missing{of}"), Look::Bad),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references() -> References {
        let place = ReferencePlace {
            file: "data_loaders/pay.py".into(),
            line: 14,
            column: 22,
            expression: None,
            has_default: false,
            without: "fails",
            alternatives: Vec::new(),
            pipelines: vec!["orders".into()],
            environments: vec!["staging".into(), "production".into()],
        };
        let one = |environment: &str, defined: &[&str], missing: &[&str]| InEnvironment {
            environment: environment.into(),
            read_by: vec!["orders".into()],
            has_default: false,
            defined: defined
                .iter()
                .map(|name| Definition { workspace: (*name).into(), at: Some("a.yaml:3".into()) })
                .collect(),
            missing: missing.iter().map(|name| (*name).into()).collect(),
        };
        References {
            format_version: FORMAT_VERSION,
            environments: vec!["staging".into(), "production".into()],
            names: vec![Referenced {
                kind: "variable",
                name: "PAY\u{1b}[31m".into(),
                defined_by_workspaces: true,
                environments: vec![one("staging", &["a"], &[]), one("production", &["b"], &["<i>"])],
                places: vec![place.clone()],
            }],
            undecidable: vec![ReferencePlace { expression: Some("f'{x}_KEY'".into()), ..place }],
        }
    }

    #[test]
    fn what_is_missing_is_seen_and_nothing_breaks_out() {
        let styles = Styles::plain();
        assert_eq!(
            text(&references(), 100, &styles),
            "  name           kind      staging        production
  PAY\\u{1b}[31m  variable  read, defined  missing in 1 of 2
  data_loaders/pay.py:14:22 makes a name while it runs: f'{x}_KEY'
"
        );
        assert_eq!(
            detail(&references(), &styles),
            "PAY\\u{1b}[31m (variable)
  staging: read, defined
    a.yaml:3: a
  production: missing in 1 of 2
    a.yaml:3: b
    lacking: <i>
  data_loaders/pay.py:14:22: orders in staging, production
"
        );
        let page = html(&references());
        assert!(
            page.contains("<td class=\"failed\">missing in 1 of 2</td>") && !page.contains("\u{1b}"),
            "{page}"
        );
        let read: serde_json::Value = serde_json::from_str(&json(&references())).expect("JSON");
        assert_eq!(read["names"][0]["environments"][1]["missing"][0], "<i>");
    }
}
