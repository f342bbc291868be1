//! `magus import`: declarations for workspaces that exist and nobody manages. Writes files, and nothing else.
//!
//! The plan after it holds only adopt steps for what was imported; where it would hold anything else, no file stays.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use magus_model::{
    Text,
    desired::{Cluster, Environment},
    name::WorkspaceName,
    observed::ObservedWorkspace,
    plan::Action,
};
use magus_plan::Intent;
use magus_report::escape;
use magus_resolve::{Heads, ImportError, Imported, import_layer};

use crate::{
    arguments::{Global, Guards, Import},
    declarations::{self, Checked, Look},
    engines::Engines,
    error::{CommandError, Exit},
    output::Output,
    pipeline::{self, Planned, Wish},
    selection, yaml,
};

/// A file to be written.
struct Draft {
    cluster: Text,
    environment: Text,
    name: WorkspaceName,
    imported: Imported,
    path: PathBuf,
}

/// Runs the command.
pub fn run(global: &Global, arguments: &Import, output: &Output) -> Result<Exit, CommandError> {
    let everywhere = Global { environment: Vec::new(), workspace: Vec::new(), ..global.clone() };
    let engines = Engines::new(global);
    let look = Look::to_deploy(global, Heads::AsTheyAre).with_clusters(&engines);
    let checked = declarations::check_valid(&everywhere, None, look, output)?;
    check_environments(global, &checked)?;
    let wish = Wish::new(&everywhere, &Guards::default(), "import", Intent::Converge)?;
    let planned = pipeline::plan(&everywhere, &checked, &wish, &engines)?;
    pipeline::say_unreadable(&planned, output);
    if !planned.unreadable.is_empty() {
        return Err(CommandError::new(
            Exit::Unreachable,
            "nothing is imported while a cluster cannot be read",
        ));
    }
    let (drafts, left) = drafts(global, arguments, &checked, &planned)?;
    for error in &left {
        output.message(&error.describe());
    }
    let exit = left.iter().fold(Exit::Done, |exit, error| exit.or(error.exit));
    if drafts.is_empty() {
        if left.is_empty() {
            output.note("there is nothing to import: every workspace is managed or declared");
        }
        return Ok(exit);
    }
    let mut written = Vec::new();
    let outcome = write_all(&checked, &drafts, &mut written)
        .and_then(|()| prove(&everywhere, &drafts, &wish, &engines, output));
    if let Err(error) = outcome {
        for path in &written {
            let _ = fs::remove_file(path);
        }
        return Err(error);
    }
    let mut text = String::new();
    for draft in &drafts {
        text.push_str(&format!("wrote {}\n", escape::line(&draft.path.to_string_lossy())));
        for path in &draft.imported.kept {
            text.push_str(&format!(
                "  {}: a secret whose running value is kept; declare where it comes from to manage it\n",
                escape::line(path.as_str())
            ));
        }
    }
    output.result(&text)?;
    output.note(&format!("next: magus plan{}", pipeline::directory_flag(global)));
    Ok(exit)
}

/// Refuses environments that no folder declares: there is no place for their files.
fn check_environments(global: &Global, checked: &Checked) -> Result<(), CommandError> {
    let known: Vec<&str> = checked.resolution.environment_folders.iter().map(Text::as_str).collect();
    if known.is_empty() {
        let name = global.environment.first().map_or("development", String::as_str);
        let folder = checked.loaded.root.join(name);
        return Err(CommandError::new(Exit::Invalid, "no environment is declared")
            .hint(format!("make its folder first: mkdir {}", pipeline::quoted(&folder.to_string_lossy()))));
    }
    selection::unknown_name("environment", &global.environment, &known)
}

/// What is to be imported, and into which file each goes; and why some stay where they are, where nobody named any: one
/// that cannot be declared keeps no other from being imported.
fn drafts(
    global: &Global,
    arguments: &Import,
    checked: &Checked,
    planned: &Planned,
) -> Result<(Vec<Draft>, Vec<CommandError>), CommandError> {
    let mut candidates: Vec<(&Cluster, &ObservedWorkspace)> = Vec::new();
    for cluster in &checked.resolution.desired.clusters {
        let observation = planned.observations.iter().find(|observation| observation.cluster == cluster.name);
        candidates.extend(
            observation.iter().flat_map(|one| one.present.values()).map(|workspace| (cluster, workspace)),
        );
    }
    let wanted: Vec<_> = if arguments.names.is_empty() {
        let free = |(cluster, workspace): &(&Cluster, &ObservedWorkspace)| {
            workspace.mark.is_none() && declaration(cluster, &workspace.name).is_none()
        };
        candidates.into_iter().filter(free).collect()
    } else {
        let mut wanted = Vec::new();
        for name in &arguments.names {
            let found: Vec<_> = candidates.iter().filter(|(_, one)| one.name.as_str() == name).collect();
            if found.is_empty() {
                let unknown = planned
                    .observations
                    .iter()
                    .find_map(|one| one.unknown.iter().find(|(unknown, _)| unknown.as_str() == name));
                if let Some((name, reason)) = unknown {
                    let name = escape::line(name.as_str());
                    let message = format!("nobody can say how `{name}` is: {}", escape::line(reason));
                    return Err(CommandError::new(Exit::Unreachable, message));
                }
                let known = candidates.iter().map(|(_, one)| one.name.as_str());
                return Err(CommandError::new(
                    Exit::Invalid,
                    format!("there is no workspace `{}` in the cluster", escape::line(name)),
                )
                .hint(magus_model::suggest::help(name, known, "the cluster has none")));
            }
            wanted.extend(found.into_iter().copied());
        }
        wanted
    };
    let mut drafts = Vec::new();
    let mut left = Vec::new();
    for (cluster, workspace) in wanted {
        match draft(global, checked, cluster, workspace) {
            Ok(draft) => drafts.push(draft),
            Err(error) if arguments.names.is_empty() => left.push(error),
            Err(error) => return Err(error),
        }
    }
    drafts.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((drafts, left))
}

/// `ENV/WORKSPACE` of the declaration that has this name in the cluster, and its environment.
fn declaration<'a>(cluster: &'a Cluster, name: &WorkspaceName) -> Option<(&'a Environment, String)> {
    cluster.environments.iter().find_map(|environment| {
        let declared = environment.workspaces.iter().find(|workspace| workspace.name == *name)?;
        Some((environment, format!("{}/{}", environment.name, declared.declared)))
    })
}

fn draft(
    global: &Global,
    checked: &Checked,
    cluster: &Cluster,
    workspace: &ObservedWorkspace,
) -> Result<Draft, CommandError> {
    let shown = escape::line(workspace.name.as_str()).into_owned();
    if let Some(mark) = &workspace.mark {
        let owner = escape::line(&mark.managed_by).into_owned();
        return Err(CommandError::new(Exit::Refused, format!("`{shown}` is managed by `{owner}` already")));
    }
    if let Some((environment, declared)) = declaration(cluster, &workspace.name) {
        let message = format!("`{shown}` is declared already: it is `{declared}`");
        let (name, place) = (pipeline::quoted(&shown), pipeline::directory_flag(global));
        let reason = if environment.protected { " --reason 'WHY'" } else { "" };
        return Err(CommandError::new(Exit::Invalid, message)
            .hint(format!("magus plan{place} --adopt {name}{reason}")));
    }
    let environments: Vec<&Text> = cluster
        .environments
        .iter()
        .map(|environment| &environment.name)
        .filter(|name| global.environment.is_empty() || global.environment.iter().any(|one| *name == one))
        .collect();
    let mut fitting = Vec::new();
    let mut fault = None;
    for environment in environments {
        match import_layer(&checked.loaded, environment, workspace, &magus_diff::same) {
            Ok(imported) => fitting.push((environment, imported)),
            Err(error) => fault = Some(error),
        }
    }
    // The environment whose names look like this one, or the only one that was named.
    let natural = |(_, imported): &(&Text, Imported)| !imported.keys.iter().any(|(key, _)| key == "name");
    if fitting.len() > 1 && fitting.iter().filter(|one| natural(one)).count() == 1 {
        fitting.retain(natural);
    }
    match (fitting.len(), fault) {
        (1, _) => {
            let (environment, imported) = fitting.swap_remove(0);
            let file = format!("{environment}/{}.yaml", imported.stem);
            Ok(Draft {
                cluster: cluster.name.clone(),
                environment: environment.clone(),
                name: workspace.name.clone(),
                imported,
                path: checked.loaded.root.join(file),
            })
        }
        (0, Some(error)) => {
            let hint = match &error {
                ImportError::NoEnvironment { help, .. } => help.clone(),
                ImportError::Name { .. } => {
                    "it can only be managed under another name: create that one, move its data, delete this one".into()
                }
                ImportError::Secrets { .. } => {
                    "move each secret to a variable of the workspace in Mage, then import it again".into()
                }
                ImportError::Taken { .. } => {
                    "write what it runs with into that file, or rename the file; `magus plan` shows what differs".into()
                }
            };
            Err(CommandError::from_error(Exit::Invalid, error).hint(hint))
        }
        (0, None) => {
            Err(CommandError::new(Exit::Usage, format!("cluster `{}` has no such environment", cluster.name)))
        }
        _ => Err(CommandError::new(
            Exit::Usage,
            format!("the name `{shown}` does not say which environment it belongs to"),
        )
        .hint(format!("name it: magus import {} -e ENV", pipeline::quoted(&shown)))),
    }
}

fn write_all(checked: &Checked, drafts: &[Draft], written: &mut Vec<PathBuf>) -> Result<(), CommandError> {
    let modeline = checked.loaded.root.join(".schemas/workspace.json").is_file();
    for draft in drafts {
        let mut text = String::new();
        if modeline {
            text.push_str("# yaml-language-server: $schema=../.schemas/workspace.json\n");
        }
        let failed = |error: &dyn std::fmt::Display| {
            CommandError::new(Exit::Invalid, format!("`{}` cannot be written: {error}", draft.path.display()))
        };
        let yaml = yaml::write(&draft.imported.keys).map_err(|error| failed(&error))?;
        text.push_str(&yaml);
        create(&draft.path, &text).map_err(|error| failed(&error))?;
        written.push(draft.path.clone());
    }
    Ok(())
}

/// Never overwrites.
fn create(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Plans again with the new files: each of them has to be adopted as it is.
fn prove(
    global: &Global,
    drafts: &[Draft],
    wish: &Wish<'_>,
    engines: &Engines,
    output: &Output,
) -> Result<(), CommandError> {
    let look = Look::OFFLINE.with_clusters(engines);
    let checked = declarations::check_valid(global, None, look, output).map_err(|_| {
        CommandError::new(
            Exit::Invalid,
            "what runs there cannot be declared as it is: it has the errors above",
        )
        .hint("no file was written; change it in the cluster, or import the others by their names")
    })?;
    let plan = pipeline::plan(global, &checked, wish, engines)?.plan;
    for draft in drafts {
        let ours = |cluster: &Text, name: &WorkspaceName| *cluster == draft.cluster && *name == draft.name;
        let actions: Vec<Action> = plan
            .steps
            .iter()
            .filter(|step| ours(&step.cluster, &step.workspace))
            .map(|step| step.action)
            .collect();
        if actions == [Action::Adopt] {
            continue;
        }
        let held = plan.withheld.iter().find(|held| ours(&held.cluster, &held.workspace));
        let why = match (held, actions.is_empty()) {
            (Some(held), _) => held.message.clone(),
            (None, true) => "no step would adopt it".to_owned(),
            (None, false) => {
                format!(
                    "the plan would also {}",
                    actions.iter().map(|a| a.as_str()).collect::<Vec<_>>().join(" and ")
                )
            }
        };
        let (name, environment) = (escape::line(draft.name.as_str()), &draft.environment);
        let message =
            format!("`{name}` cannot be imported into `{environment}` as it is: {}", escape::line(&why));
        return Err(CommandError::new(Exit::Invalid, message).hint("no file was written"));
    }
    Ok(())
}
