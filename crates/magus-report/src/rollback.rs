//! What goes back when an environment is rolled back: as text and as JSON.

use std::fmt::Write as _;

use magus_model::{
    Text,
    plan::{Deploy, Movement, Reason},
    source::ProjectSource,
};
use serde::Serialize;

use crate::{
    Styles, escape, json,
    plan::deploy::{between, short},
    style::paint,
};

/// The version of the JSON format.
pub const FORMAT_VERSION: u32 = 1;

/// A rollback, before or after it was written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rollback {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The environment.
    pub environment: Text,
    /// Its branch, on which both commits are.
    pub branch: Text,
    /// The commit that was deployed last; nothing where nobody can say.
    pub from: Option<Text>,
    /// What it goes back to.
    pub to: Release,
    /// What lies between; nothing where the commit that was deployed last is not in the repository.
    pub movement: Option<Movement>,
    /// What the old code needs that is not defined any more: a sentence each.
    pub missing: Vec<String>,
    /// Why promotions are held from then on.
    pub hold: Text,
    /// The file that says so; nothing before that.
    pub written: Option<Text>,
}

/// What an environment ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Release {
    /// The entry of the history; nothing where a commit was named.
    pub entry: Option<Text>,
    /// When it was deployed.
    pub at: Option<Text>,
    /// The full number of its commit.
    pub commit: Text,
}

/// The rollback as JSON.
pub fn json(rollback: &Rollback) -> String {
    json::pretty(rollback)
}

/// The rollback as text.
pub fn text(rollback: &Rollback, styles: &Styles) -> String {
    let Rollback { environment, branch, from, to, movement, missing, hold, .. } = rollback;
    let from_text = from.as_deref().map_or_else(|| "what runs".to_owned(), short);
    let heading = format!("{}: {from_text} → {}", escape::line(environment), short(&to.commit));
    let mut out = format!("{}\n", paint(styles.strong, heading));
    if let (Some(entry), Some(at)) = (&to.entry, &to.at) {
        let release = format!("release {} of {}", escape::line(entry), escape::line(at));
        let _ = writeln!(out, "  {}", paint(styles.dim, release));
    }
    let deploy = Deploy {
        branch: branch.clone(),
        from: from.clone(),
        to: to.commit.clone(),
        source: ProjectSource::default(),
        source_before: None,
        reason: Reason::Declared,
        follows: None,
        movement: movement.clone(),
    };
    for line in between(&deploy) {
        let _ = writeln!(out, "  {line}");
    }
    for sentence in missing {
        let _ = writeln!(out, "  {}", paint(styles.warning, escape::line(sentence)));
    }
    let _ = writeln!(out, "\nPins it, and holds promotions: {}.", escape::line(hold));
    out
}
