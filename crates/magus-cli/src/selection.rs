//! Names that a command is given: what `-e` and `-w` select, and which of them are known.

use std::collections::BTreeSet;

use magus_model::{
    Text,
    desired::{Desired, Workspace},
    name::WorkspaceName,
    observed::Observation,
};
use magus_plan::Filter;

use crate::{
    arguments::Global,
    error::{CommandError, Exit},
};

/// What `-e` and `-w` select.
pub fn filter(global: &Global) -> Filter {
    Filter { environments: texts(&global.environment), workspaces: texts(&global.workspace) }
}

/// Names that were given, each once.
pub fn texts(names: &[String]) -> Vec<Text> {
    let mut names: Vec<Text> = names.iter().map(Text::from).collect();
    names.sort();
    names.dedup();
    names
}

/// Refuses a name that selects nothing: it is misspelled.
pub fn check_filter(
    desired: &Desired,
    observations: &[Observation],
    filter: &Filter,
) -> Result<(), CommandError> {
    let environments = || desired.clusters.iter().flat_map(|cluster| &cluster.environments);
    let marks =
        || observations.iter().flat_map(|one| one.present.values()).filter_map(|one| one.mark.as_ref());
    let mut known: Vec<&str> = environments().map(|environment| environment.name.as_str()).collect();
    known.extend(marks().map(|mark| mark.environment.as_str()));
    unknown_name("environment", &filter.environments, &known)?;
    let workspaces = || environments().flat_map(|environment| &environment.workspaces);
    let mut known: Vec<&str> = workspaces().map(|workspace| workspace.declared.as_str()).collect();
    known.extend(workspaces().map(|workspace| workspace.name.as_str()));
    known.extend(observations.iter().flat_map(|one| one.present.keys()).map(WorkspaceName::as_str));
    known.extend(marks().map(|mark| mark.workspace.as_str()));
    known.extend(observations.iter().flat_map(|one| &one.orphans).map(|orphan| orphan.name.as_str()));
    unknown_name("workspace", &filter.workspaces, &known)?;
    let declared = environments().flat_map(|environment| {
        environment.workspaces.iter().map(|one| (&environment.name, &one.declared, &one.name))
    });
    let marked = observations.iter().flat_map(|one| one.present.values()).filter_map(|one| {
        let mark = one.mark.as_ref()?;
        Some((&mark.environment, &mark.workspace, &one.name))
    });
    let any =
        || declared.chain(marked).any(|(environment, one, name)| filter.selects(environment, one, name));
    // Alone, an environment may be empty, and a workspace may have no mark.
    if filter.environments.is_empty() || filter.workspaces.is_empty() || any() {
        return Ok(());
    }
    let names = |names: &[Text]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let message =
        format!("there is no workspace {} in {}", names(&filter.workspaces), names(&filter.environments));
    Err(CommandError::new(Exit::Usage, message).hint("`-e` and `-w` together select what both select"))
}

/// Refuses names that are not known, with the closest one or a list of them.
pub fn unknown_name(what: &str, wanted: &[impl AsRef<str>], known: &[&str]) -> Result<(), CommandError> {
    let mut wanted = wanted.iter().map(AsRef::as_ref);
    let Some(name) = wanted.find(|name| !known.contains(name)) else { return Ok(()) };
    let error = CommandError::new(Exit::Usage, format!("there is no {what} `{name}`"));
    Err(match magus_model::suggest::closest(name, known.iter().copied()) {
        Some(close) => error.hint(format!("did you mean `{close}`?")),
        None => error.hint(known_names(known)),
    })
}

/// How many known names a message lists.
const LISTED: usize = 10;

/// The names that a command knows, for an error about one that it does not.
fn known_names(known: &[&str]) -> String {
    let known: BTreeSet<&str> = known.iter().copied().collect();
    let listed: Vec<String> = known.iter().take(LISTED).map(|name| format!("`{name}`")).collect();
    match known.len() {
        0 => "none is known".to_owned(),
        count if count > LISTED => format!("one of {} and {} more", listed.join(", "), count - LISTED),
        _ => format!("one of {}", listed.join(", ")),
    }
}

/// The declared workspace that `ENV/WORKSPACE` names, by its name in the declarations or in the cluster.
pub fn find_workspace<'a>(desired: &'a Desired, name: &str) -> Result<&'a Workspace, CommandError> {
    let mut known = Vec::new();
    for environment in desired.clusters.iter().flat_map(|cluster| &cluster.environments) {
        for workspace in &environment.workspaces {
            let declared = format!("{}/{}", environment.name, workspace.declared);
            if declared == name || format!("{}/{}", environment.name, workspace.name) == name {
                return Ok(workspace);
            }
            known.push(declared);
        }
    }
    unknown_name("workspace", &[name], &known.iter().map(String::as_str).collect::<Vec<_>>())
        .and_then(|()| Err(CommandError::new(Exit::Usage, format!("there is no workspace `{name}`"))))
}
