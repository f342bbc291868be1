//! Flags that name something: a name that nothing has is wrong usage.

use magus_model::{desired::Desired, plan::Overrides};

use crate::error::{CommandError, Exit};

/// `--adopt` names declared workspaces, by their names in the cluster.
pub fn check_adopted(desired: &Desired, overrides: &Overrides) -> Result<(), CommandError> {
    let environments = desired.clusters.iter().flat_map(|cluster| &cluster.environments);
    let workspaces = environments.flat_map(|environment| &environment.workspaces);
    let known: Vec<&str> = workspaces.map(|workspace| workspace.name.as_str()).collect();
    let Some(name) = overrides.adopt.iter().find(|name| !known.contains(&name.as_str())) else {
        return Ok(());
    };
    let message = format!("`--adopt` names `{name}`, and no workspace of that name is declared");
    Err(CommandError::new(Exit::Usage, message).hint(magus_model::suggest::help(
        name,
        known.iter().copied(),
        "`magus import` declares what exists",
    )))
}
