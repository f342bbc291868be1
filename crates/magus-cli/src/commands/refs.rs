//! `magus refs`: where variables and secrets are read, and which environments have them.

use std::collections::{BTreeMap, BTreeSet};

use magus_code::{Kind, Missing, Name};
use magus_model::{Text, desired::Workspace, suggest};
use magus_report::refs::{
    Definition, FORMAT_VERSION, InEnvironment, ReferencePlace, Referenced, References, detail, html, json,
    text,
};
use magus_resolve::{Heads, Stage, UnreadCode};

use crate::{
    arguments::{Format, Global, Refs},
    declarations::{self, Checked, Look},
    error::{CommandError, Exit},
    output::Output,
    pipeline, selection,
};

/// What is read and what is defined, by kind and name.
type Names = BTreeMap<(Kind, Text), Referenced>;

/// Runs the command.
pub fn run(global: &Global, arguments: &Refs, output: &Output) -> Result<Exit, CommandError> {
    let checked = declarations::check_valid(global, None, Look::to_deploy(global, Heads::AsTheyAre), output)?;
    let stages = selected(global, &checked)?;
    let mut references = References {
        format_version: FORMAT_VERSION,
        environments: stages.iter().map(|stage| stage.environment.name.clone()).collect(),
        names: Vec::new(),
        undecidable: Vec::new(),
    };
    let mut names = Names::new();
    let mut undecidable: BTreeMap<(Text, u32, u32), ReferencePlace> = BTreeMap::new();
    for stage in &stages {
        places(&checked, stage, &mut names, &mut undecidable);
    }
    for stage in &stages {
        defined(stage, &mut names);
    }
    for ((kind, name), referenced) in &mut names {
        referenced.environments = stages.iter().map(|stage| standing(&checked, stage, *kind, name)).collect();
        let is_variable = referenced.defined_by_workspaces;
        for one in &mut referenced.environments {
            let is_here = |place: &&ReferencePlace| place.environments.contains(&one.environment);
            let here: Vec<&ReferencePlace> = referenced.places.iter().filter(is_here).collect();
            one.has_default = here.iter().all(|place| place.has_default);
            if !is_variable {
                let pipelines: BTreeSet<&Text> = here.iter().flat_map(|place| &place.pipelines).collect();
                one.read_by = pipelines.into_iter().cloned().collect();
            }
        }
    }
    references.names = names.into_values().collect();
    references.undecidable = undecidable.into_values().collect();
    if let Some(wanted) = &arguments.name {
        let known: BTreeSet<Text> = references.names.iter().map(|one| one.name.clone()).collect();
        references.names.retain(|one| one.name == wanted.as_str());
        references.undecidable.clear();
        if references.names.is_empty() && !is_unread(&checked, &stages) {
            return Err(CommandError::new(
                Exit::Invalid,
                format!("no code reads `{wanted}`, and nothing defines it"),
            )
            .hint(suggest::help(
                wanted,
                known.iter().map(Text::as_str),
                "no code that is deployed reads anything",
            )));
        }
    }
    if references.names.is_empty() && is_unread(&checked, &stages) && global.format == Format::Text {
        return Ok(unread(global, &checked, &stages, output));
    }
    output.result(&match (global.format, &arguments.name) {
        (Format::Json, _) => json(&references),
        (Format::Html, _) => html(&references),
        (_, Some(_)) => detail(&references, &output.styles()),
        (_, None) => text(&references, output.table_width, &output.styles()),
    })?;
    Ok(unread(global, &checked, &stages, output))
}

/// The environments that `-e` and `-w` select, with the workspaces that they select.
pub fn selected<'c>(global: &Global, checked: &'c Checked) -> Result<Vec<Stage<'c>>, CommandError> {
    let Checked { resolution, repositories, projects, .. } = checked;
    let filter = selection::filter(global);
    let known: Vec<&str> = resolution.environment_folders.iter().map(Text::as_str).collect();
    selection::unknown_name("environment", &filter.environments, &known)?;
    let mut stages =
        magus_resolve::stages(&resolution.desired, repositories, projects, &magus_resolve::declared_commit);
    for stage in &mut stages {
        let environment = &stage.environment.name;
        for running in &mut stage.running {
            running.workspaces.retain(|one| filter.selects(environment, &one.declared, &one.name));
        }
        if !filter.environments.is_empty() && !filter.environments.contains(environment) {
            stage.unread.clear();
        }
        stage.running.retain(|running| !running.workspaces.is_empty());
    }
    let is_wanted = |stage: &Stage<'_>| filter.environments.is_empty() || !stage.running.is_empty();
    stages.retain(is_wanted);
    Ok(stages)
}

/// Whether code is missing from what is shown.
pub fn is_unread(checked: &Checked, stages: &[Stage<'_>]) -> bool {
    !checked.unread.is_empty() || stages.iter().any(|stage| !stage.unread.is_empty())
}

/// Says which repositories nobody could look into, whose code is missing from what is shown. Nothing is shown as if it were all where
/// it is nothing for that reason.
pub fn unread(global: &Global, checked: &Checked, stages: &[Stage<'_>], output: &Output) -> Exit {
    for (url, why) in &checked.unread {
        output.message(&format!(
            "warning: the code in `{}` is not shown: {why}",
            magus_report::escape::line(url)
        ));
    }
    let mut seen = BTreeSet::new();
    for UnreadCode { commit, span: _, why } in stages.iter().flat_map(|stage| &stage.unread) {
        if seen.insert(*commit) {
            let short = commit.get(..10).unwrap_or(commit);
            output.message(&format!(
                "warning: the code at {short} is not shown: {}",
                magus_report::escape::line(&why.to_string())
            ));
        }
    }
    if !is_unread(checked, stages) {
        return Exit::Done;
    }
    output.message(&format!("  help: magus lint{} says what to do", pipeline::directory_flag(global)));
    Exit::Unreachable
}

fn referenced(kind: Kind, name: &Text) -> Referenced {
    Referenced {
        kind: kind.as_str(),
        name: name.clone(),
        defined_by_workspaces: matches!(kind, Kind::Variable | Kind::Secret),
        environments: Vec::new(),
        places: Vec::new(),
    }
}

/// Adds the places in the code of an environment.
fn places(
    checked: &Checked,
    stage: &Stage<'_>,
    names: &mut Names,
    undecidable: &mut BTreeMap<(Text, u32, u32), ReferencePlace>,
) {
    let environment = &stage.environment.name;
    for running in &stage.running {
        let Some(code) = running.workspaces.first().and_then(|one| one.code.as_ref()) else { continue };
        let Some(repository) = checked.repositories.get(&code.repository) else { continue };
        let project = checked.projects.project(repository, running.commit, &code.source.directory);
        // Code that cannot be read has a finding of its own.
        let Ok(Some(project)) = project else { continue };
        for place in project.places() {
            let reference = place.reference;
            if matches!(reference.missing, Missing::Comment | Missing::Set) || reference.kind == Kind::Profile
            {
                continue;
            }
            let mut shown = ReferencePlace {
                file: place.file.clone(),
                line: reference.line,
                column: reference.column,
                expression: None,
                has_default: reference.missing == Missing::Default,
                without: without(reference.missing),
                alternatives: reference.alternatives.clone(),
                pipelines: project.needed_by(place).into_iter().cloned().collect(),
                environments: vec![environment.clone()],
            };
            let list = match &reference.name {
                Name::Any => continue,
                Name::Undecidable(expression) => {
                    shown.expression = Some(expression.clone());
                    let key = (shown.file.clone(), shown.line, shown.column);
                    undecidable.entry(key).and_modify(|known| merge(known, &shown)).or_insert(shown);
                    continue;
                }
                Name::Literal(name) => {
                    let kind = reference.kind;
                    &mut names.entry((kind, name.clone())).or_insert_with(|| referenced(kind, name)).places
                }
            };
            let is_same = |known: &&mut ReferencePlace| {
                (&known.file, known.line, known.column) == (&shown.file, shown.line, shown.column)
            };
            match list.iter_mut().find(is_same) {
                Some(known) => merge(known, &shown),
                None => list.push(shown),
            }
        }
    }
}

/// What code does without something, in a word.
fn without(missing: Missing) -> &'static str {
    match missing {
        Missing::Fails => "fails",
        Missing::Undecidable => "undecidable",
        Missing::Default | Missing::Comment | Missing::Set => "goes_on",
    }
}

/// One place in the code of several environments.
fn merge(known: &mut ReferencePlace, other: &ReferencePlace) {
    for (all, more) in
        [(&mut known.environments, &other.environments), (&mut known.pipelines, &other.pipelines)]
    {
        for name in more {
            if !all.contains(name) {
                all.push(name.clone());
            }
        }
    }
}

/// Adds what the workspaces of an environment define and no code reads.
fn defined(stage: &Stage<'_>, names: &mut Names) {
    for workspace in stage.running.iter().flat_map(|running| &running.workspaces) {
        for field in &workspace.fields {
            let Some((kind, name)) = magus_resolve::named(field) else { continue };
            let name = Text::from(name);
            names.entry((kind, name.clone())).or_insert_with(|| referenced(kind, &name));
        }
    }
}

/// How a name stands in an environment.
fn standing(checked: &Checked, stage: &Stage<'_>, kind: Kind, name: &Text) -> InEnvironment {
    let mut standing = InEnvironment {
        environment: stage.environment.name.clone(),
        read_by: Vec::new(),
        has_default: true,
        defined: Vec::new(),
        missing: Vec::new(),
    };
    let mut read_by: BTreeSet<Text> = BTreeSet::new();
    for running in &stage.running {
        let need = running.needs.need(kind, name).filter(|need| !need.pipelines.is_empty());
        read_by.extend(need.into_iter().flat_map(|need| need.pipelines.iter().cloned()));
        for workspace in &running.workspaces {
            if let Some(at) = definition(checked, workspace, kind, name) {
                standing.defined.push(at);
            } else if need.is_some() {
                standing.missing.push(workspace.name.as_str().into());
            }
        }
    }
    standing.read_by = read_by.into_iter().collect();
    standing
}

/// Where a workspace has a name from.
fn definition(checked: &Checked, workspace: &Workspace, kind: Kind, name: &Text) -> Option<Definition> {
    let named = workspace.name.as_str().into();
    let field = workspace.field(magus_resolve::path_of(kind, name).as_str());
    let origin = field.and_then(|field| checked.loaded.sources.origin(field.span));
    let at = origin.map(|origin| format!("{}:{}", origin.file, origin.line).into());
    magus_resolve::has(workspace, kind, name).then_some(Definition { workspace: named, at })
}
