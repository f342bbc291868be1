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

/// Reads projects. What a file says is remembered by its content, because most of a project is the same at every commit.
#[derive(Debug, Default)]
pub struct Projects {
    pipelines: RefCell<HashMap<String, Option<Rc<Pipeline>>>>,
    sources: RefCell<HashMap<String, Rc<Source>>>,
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
        let mut movement = code.movement(from, to, directory)?;
        let Some(from) = from else { return Some(movement) };
        let (old, new) = (code.files(from, directory), code.files(to, directory));
        let changed = code.changed(from, to, directory)?;
        let read = |files: &Option<Files<'_>>, path: &str| files.as_ref().and_then(|files| files.read(path));
        let text = |files, path| String::from_utf8_lossy(&read(files, path).unwrap_or_default()).into_owned();
        movement.requirements = differences(
            "",
            &requirements::parse(&text(&old, REQUIREMENTS)),
            &requirements::parse(&text(&new, REQUIREMENTS)),
        );
        let mut touched: BTreeSet<String> = BTreeSet::new();
        let has_packages = !movement.requirements.is_empty();
        for files in [&old, &new].into_iter().flatten() {
            for name in files.folders(PIPELINES) {
                let folder = format!("{PIPELINES}/{name}/");
                let Some(pipeline) = self.pipeline(files, &folder) else { continue };
                let is_touched = has_packages
                    || changed.iter().any(|path| {
                        path.starts_with(&folder) || path == PROJECT || self.uses(files, &pipeline, path)
                    });
                if is_touched {
                    touched.insert(name);
                }
            }
        }
        for path in &changed {
            let Some(name) =
                path.strip_prefix("pipelines/").and_then(|rest| rest.strip_suffix("/triggers.yaml"))
            else {
                continue;
            };
            let of = |files| triggers(&read(files, path).unwrap_or_default());
            movement.triggers.extend(differences(&format!("{name}/"), &of(&old), &of(&new)));
        }
        movement.pipelines = touched.into_iter().map(Text::from).collect();
        Some(movement)
    }

    fn pipeline(&self, files: &Files<'_>, folder: &str) -> Option<Rc<Pipeline>> {
        let path = format!("{folder}metadata.yaml");
        let id = files.id(&path)?;
        if let Some(known) = self.pipelines.borrow().get(&id) {
            return known.clone();
        }
        let read = files.read(&path).and_then(|text| parse(&text)).map(Rc::new);
        self.pipelines.borrow_mut().insert(id, read.clone());
        read
    }

    /// Whether a pipeline uses a file outside of its own folder.
    fn uses(&self, files: &Files<'_>, pipeline: &Pipeline, path: &str) -> bool {
        if pipeline.files.contains(path) {
            return true;
        }
        let sources = || pipeline.files.iter().filter_map(|file| self.source(files, file));
        match path.split_once('/') {
            None => path == IO_CONFIG && (pipeline.has_profile || sources().any(|one| one.reads_profiles)),
            Some((DBT, _)) => pipeline.runs_dbt,
            // A folder that a block imports from.
            Some((folder, _)) => path.ends_with(".py") && sources().any(|one| one.imports.contains(folder)),
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
