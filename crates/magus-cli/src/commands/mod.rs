//! One module a command; the short ones stand here.

pub mod apply;
mod conflict;
pub mod diff;
pub mod drift;
pub mod explain;
pub mod history;
pub mod import;
pub mod init;
pub mod lint;
pub mod lock;
pub mod plan;
pub mod promote;
pub mod refs;
pub mod rollback;
pub mod status;
pub mod triggers;
pub mod verify;

use magus_schema::SchemaKind;

use crate::{
    arguments::{Completions, Schema, SchemaName},
    error::{CommandError, Exit},
    output::Output,
};

/// `magus schema`.
pub fn schema(schema: &Schema, output: &Output) -> Result<Exit, CommandError> {
    let kind = match schema.kind {
        SchemaName::Cluster => SchemaKind::Cluster,
        SchemaName::Environment => SchemaKind::Environment,
        SchemaName::Workspace => SchemaKind::Workspace,
    };
    output.result(magus_schema::text(kind))?;
    Ok(Exit::Done)
}

/// `magus completions`.
pub fn completions(completions: &Completions, output: &Output) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut crate::command(), "magus", &mut script);
    output.result(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// `magus man`: the page of the program, then one of each command.
pub fn man(output: &Output) -> Result<Exit, CommandError> {
    let mut page = Vec::new();
    let mut root = crate::command();
    root.build();
    let commands =
        root.get_subcommands().filter(|command| command.get_name() != "help").cloned().collect::<Vec<_>>();
    let rendered = clap_mangen::Man::new(root).render(&mut page).and_then(|()| {
        commands.into_iter().try_for_each(|command| clap_mangen::Man::new(command).render(&mut page))
    });
    rendered.map_err(|error| {
        CommandError::new(Exit::Incomplete, "the manual page cannot be written").source(error)
    })?;
    output.result(&String::from_utf8_lossy(&page))?;
    Ok(Exit::Done)
}
