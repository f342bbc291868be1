//! `magus diff A B`: two declared workspaces side by side.

use magus_report::side_by_side;

use crate::{
    arguments::{Diff, Format, Global},
    declarations::{self, Look},
    error::{CommandError, Exit},
    output::Output,
    selection,
};

/// Runs the command.
pub fn run(global: &Global, arguments: &Diff, output: &Output) -> Result<Exit, CommandError> {
    let checked = declarations::check_valid(global, None, Look::OFFLINE, output)?;
    let find = |name| selection::find_workspace(&checked.resolution.desired, name);
    let view = side_by_side::compare(
        (&arguments.left, find(&arguments.left)?),
        (&arguments.right, find(&arguments.right)?),
        &checked.loaded.sources,
    );
    output.result(&match global.format {
        Format::Json => side_by_side::json(&view),
        _ => side_by_side::text(&view, output.table_width, &output.styles()),
    })?;
    Ok(Exit::Done)
}
