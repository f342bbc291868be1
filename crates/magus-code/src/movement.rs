//! What lies between two commits, in the words of a Mage project: pipelines, triggers and packages.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};

use magus_git::{Code, Files};
use magus_model::{
    Text,
    plan::{Difference, Movement},
};

use crate::{
    pipeline::{Pipeline, imports, parse, triggers},
    requirements,
};

/// Where Mage keeps its pipelines, and what a project as a whole depends on.
const PIPELINES: &str = "pipelines";
const REQUIREMENTS: &str = "requirements.txt";
const IO_CONFIG: &str = "io_config.yaml";
const PROJECT: &str = "metadata.yaml";
const DBT: &str = "dbt";

/// Reads projects. What a file says is remembered by its content, and all pipelines together by that of their folder, because
/// most of a project is the same at every commit.
#[derive(Debug, Default)]
pub struct Projects {
    pipelines: RefCell<HashMap<String, Option<Rc<Pipeline>>>>,
    projects: RefCell<HashMap<String, Rc<Project>>>,
    sources: RefCell<HashMap<String, Rc<Source>>>,
}

/// The pipelines of a project.
#[derive(Debug, Default)]
struct Project {
    pipelines: BTreeMap<String, Rc<Pipeline>>,
    /// By the file of a block, the pipelines that have it.
    by_file: HashMap<String, Vec<String>>,
}

/// What is known of the file of a block.
#[derive(Debug)]
struct Source {
    imports: BTreeSet<String>,
    reads_profiles: bool,
}

impl Projects {
    /// What comes and what goes between two commits, of which the first may be none. Nothing where one is not there.
    pub fn movement(&self, code: &Code, from: Option<&str>, to: &str, directory: &str) -> Option<Movement> {
        let mut movement = code.movement(from, to)?;
        let Some(from) = from else { return Some(movement) };
        let (old, new) = (code.files(from, directory), code.files(to, directory));
        let changed = code.changed(from, to, directory)?;
        movement.files = changed.len();
        let read = |files: &Option<Files<'_>>, path: &str| files.as_ref().and_then(|files| files.read(path));
        if changed.iter().any(|path| path == REQUIREMENTS) {
            let packages = |files| {
                let text = read(files, REQUIREMENTS).unwrap_or_default();
                requirements::parse(&String::from_utf8_lossy(&text))
            };
            movement.requirements = differences("", &packages(&old), &packages(&new));
        }
        let mut touched = BTreeSet::new();
        for files in [&old, &new].into_iter().flatten() {
            let project = self.project(files);
            if !movement.requirements.is_empty() || changed.iter().any(|path| path == PROJECT) {
                touched.extend(project.pipelines.keys().cloned());
            } else {
                self.touch(files, &project, &changed, &mut touched);
            }
        }
        for path in &changed {
            let Some(name) = below_pipelines(path).and_then(|rest| rest.strip_suffix("/triggers.yaml"))
            else {
                continue;
            };
            let of = |files| triggers(&read(files, path).unwrap_or_default());
            movement.triggers.extend(differences(&format!("{name}/"), &of(&old), &of(&new)));
        }
        movement.pipelines = touched.into_iter().map(Text::from).collect();
        Some(movement)
    }

    fn project(&self, files: &Files<'_>) -> Rc<Project> {
        let Some(id) = files.id(PIPELINES) else { return Rc::default() };
        if let Some(known) = self.projects.borrow().get(&id) {
            return Rc::clone(known);
        }
        let mut project = Project::default();
        for name in files.folders(PIPELINES) {
            let Some(pipeline) = self.pipeline(files, &name) else { continue };
            for file in &pipeline.files {
                project.by_file.entry(file.clone()).or_default().push(name.clone());
            }
            project.pipelines.insert(name, pipeline);
        }
        let project = Rc::new(project);
        self.projects.borrow_mut().insert(id, Rc::clone(&project));
        project
    }

    fn pipeline(&self, files: &Files<'_>, name: &str) -> Option<Rc<Pipeline>> {
        let path = format!("{PIPELINES}/{name}/metadata.yaml");
        let id = files.id(&path)?;
        if let Some(known) = self.pipelines.borrow().get(&id) {
            return known.clone();
        }
        let read = files.read(&path).and_then(|text| parse(&text)).map(Rc::new);
        self.pipelines.borrow_mut().insert(id, read.clone());
        read
    }

    /// The pipelines of a project that these files belong to, or are used by.
    fn touch(
        &self,
        files: &Files<'_>,
        project: &Project,
        changed: &[String],
        touched: &mut BTreeSet<String>,
    ) {
        // What is no pipeline's own: the folders that a block may import from, and what all share.
        let (mut modules, mut profiles, mut dbt) = (BTreeSet::new(), false, false);
        for path in changed {
            if let Some(name) = below_pipelines(path).and_then(|rest| rest.split('/').next()) {
                touched.extend(project.pipelines.contains_key(name).then(|| name.to_owned()));
            } else if let Some(names) = project.by_file.get(path) {
                touched.extend(names.iter().cloned());
            } else {
                match path.split_once('/') {
                    None => profiles |= path == IO_CONFIG,
                    Some((DBT, _)) => dbt = true,
                    Some((folder, _)) if path.ends_with(".py") => drop(modules.insert(folder)),
                    Some(_) => {}
                }
            }
        }
        if !profiles && !dbt && modules.is_empty() {
            return;
        }
        for (name, pipeline) in
            project.pipelines.iter().filter(|(name, _)| !touched.contains(*name)).collect::<Vec<_>>()
        {
            let uses = |source: &Source| {
                profiles && source.reads_profiles
                    || modules.iter().any(|folder| source.imports.contains(*folder))
            };
            let is_touched = profiles && pipeline.has_profile
                || dbt && pipeline.runs_dbt
                || (profiles || !modules.is_empty())
                    && pipeline
                        .files
                        .iter()
                        .filter_map(|file| self.source(files, file))
                        .any(|one| uses(&one));
            if is_touched {
                touched.insert(name.clone());
            }
        }
    }

    fn source(&self, files: &Files<'_>, path: &str) -> Option<Rc<Source>> {
        let id = files.id(path)?;
        if let Some(known) = self.sources.borrow().get(&id) {
            return Some(Rc::clone(known));
        }
        let text = files.read(path).unwrap_or_default();
        let source = Rc::new(Source {
            imports: if path.ends_with(".py") { imports(&text) } else { BTreeSet::new() },
            reads_profiles: path.ends_with(".sql") || String::from_utf8_lossy(&text).contains("io_config"),
        });
        self.sources.borrow_mut().insert(id, Rc::clone(&source));
        Some(source)
    }
}

/// The path below the folder of the pipelines, for what is there.
fn below_pipelines(path: &str) -> Option<&str> {
    path.strip_prefix(PIPELINES)?.strip_prefix('/')
}

/// What one map has that the other has otherwise, by name.
fn differences(
    prefix: &str,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> Vec<Difference> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differ = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    differ
        .map(|name| Difference {
            name: format!("{prefix}{name}").into(),
            before: old.get(name).map(Text::from),
            after: new.get(name).map(Text::from),
        })
        .collect()
}
