//! `magus explain`: the effective configuration of a workspace, and where each value comes from.

use magus_report::explain::{ExplainEntry, ExplainView, OverriddenEntry};
use magus_resolve::{ExplainError, Explained, Overridden};

use crate::{
    arguments::{Explain, Format, Global},
    declarations,
    error::{CommandError, Exit},
    output::Output,
};

/// Runs the command. It works on declarations with errors as well: they may be what is looked for.
pub fn run(global: &Global, arguments: &Explain, output: &Output) -> Result<Exit, CommandError> {
    let checked = declarations::check(global, None, None)?;
    let explanation = magus_resolve::explain(
        &checked.resolution,
        &checked.loaded,
        &arguments.name,
        arguments.key.as_deref(),
    )
    .map_err(|error| {
        // A name that nothing has is a slip of the pen, as it is with `-w` and `magus diff`.
        let exit = if matches!(error, ExplainError::Broken { .. }) { Exit::Invalid } else { Exit::Usage };
        CommandError::new(exit, error.to_string()).hint(error.help())
    })?;
    let view = ExplainView {
        workspace: explanation.workspace,
        entries: explanation.entries.into_iter().map(entry).collect(),
    };
    output.result(&match global.format {
        Format::Json => magus_report::explain::json(&view),
        _ => magus_report::explain::text(&view, output.table_width, &output.styles()),
    })?;
    Ok(Exit::Done)
}

fn entry(explained: Explained) -> ExplainEntry {
    let Explained { path, value, layer, origin, overridden } = explained;
    let overridden = overridden
        .into_iter()
        .map(|Overridden { value, layer, origin }| OverriddenEntry {
            value,
            layer: layer.to_string().into(),
            origin,
        })
        .collect();
    ExplainEntry { path, value, layer: layer.to_string().into(), origin, overridden }
}
