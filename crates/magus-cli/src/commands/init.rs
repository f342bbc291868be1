//! `magus init`: the files that a repository starts with.

use magus_schema::SchemaKind;

use crate::{
    arguments::{Global, Init},
    declarations,
    error::{CommandError, Exit},
    init::{Example, InitRequest, Schemas, init},
    output::Output,
    pipeline,
};

/// Runs the command.
pub fn run(global: &Global, arguments: &Init, output: &Output) -> Result<Exit, CommandError> {
    let working_directory = declarations::working_directory()?;
    let report = init(&InitRequest {
        working_directory: &working_directory,
        directory: &global.dir,
        example: if arguments.demo { Example::Demo } else { Example::Commented },
        schemas: Schemas {
            cluster: magus_schema::text(SchemaKind::Cluster),
            environment: magus_schema::text(SchemaKind::Environment),
            workspace: magus_schema::text(SchemaKind::Workspace),
        },
    })
    .map_err(|error| CommandError::from_error(Exit::Invalid, error))?;
    let mut text = String::new();
    for (what, files) in
        [("wrote    ", &report.written), ("unchanged", &report.unchanged), ("kept     ", &report.kept)]
    {
        for file in files {
            text.push_str(&format!("{what} {}\n", magus_report::escape::line(file)));
        }
    }
    output.result(&text)?;
    for advice in &report.advice {
        output.note(&format!("note: {advice}"));
    }
    output.note(&format!("next: magus plan{}", pipeline::directory_flag(global)));
    Ok(Exit::Done)
}
