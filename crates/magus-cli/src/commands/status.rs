//! `magus status`: what runs where, and what an apply would do.

use magus_plan::Intent;

use crate::{
    arguments::{Format, Global, Guards},
    error::{CommandError, Exit},
    output::Output,
    pipeline::{self, Wish},
};

/// Runs the command. What a guard withholds is shown and is no failure: nothing was asked to change.
pub fn run(global: &Global, output: &Output) -> Result<Exit, CommandError> {
    let checked = pipeline::check_valid(global, None, output)?;
    let wish = Wish::new(global, &Guards::default(), "status", Intent::Converge)?;
    let planned = pipeline::plan(global, &checked, &wish)?;
    let status =
        magus_report::status::status(&checked.resolution.desired, &planned.observations, &planned.plan);
    output.result(&match global.format {
        Format::Json => magus_report::status::json(&status),
        _ => magus_report::status::text(&status, output.table_width, &output.styles()),
    })?;
    pipeline::say_unreadable(&planned, output);
    let unknown = !planned.unreadable.is_empty() || !planned.plan.unknown.is_empty();
    pipeline::leave((checked, planned));
    Ok(if unknown { Exit::Unreachable } else { Exit::Done })
}
