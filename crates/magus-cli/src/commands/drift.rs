//! `magus drift`: only the differences that no declaration made.

use magus_plan::Intent;
use magus_resolve::Heads;

use crate::{
    arguments::{Format, Global, Guards},
    declarations::{self, Look},
    engines::Engines,
    error::{CommandError, Exit},
    output::Output,
    pipeline::{self, Wish},
    place,
};

/// Runs the command.
pub fn run(global: &Global, output: &Output) -> Result<Exit, CommandError> {
    let engines = Engines::new(global);
    let look = Look::to_deploy(global, Heads::AsTheyAre).with_clusters(&engines);
    let checked = declarations::check_valid(global, None, look, output)?;
    // What waits for its time has drifted all the same.
    let wish = Wish::new(global, &Guards::default(), "drift", Intent::Converge)?.through_gates();
    let planned = pipeline::plan(global, &checked, &wish, &engines)?;
    let drift = &planned.drift;
    output.result(&match global.format {
        Format::Json => magus_report::drift::json(drift),
        _ => place::complete_helps(&magus_report::drift::text(drift, &output.styles())).into_owned(),
    })?;
    pipeline::say_unreadable(&planned, output);
    let unknown = if drift.unknown.is_empty() && planned.unreadable.is_empty() {
        Exit::Done
    } else {
        Exit::Unreachable
    };
    let exit = unknown.or(if drift.has_drift { Exit::Changes } else { Exit::Done });
    pipeline::leave((checked, planned));
    Ok(exit)
}
