//! What lies between two commits, in the words of a Mage project: pipelines, triggers and packages.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use magus_git::{Code, Unknown};
use magus_model::{
    Text,
    plan::{Difference, Movement, Schedule},
};

use crate::{
    Project, Projects, cron,
    project::{DBT, IO_CONFIG, PIPELINES, PROJECT, pipeline_of},
    requirements,
    triggers::Trigger,
};

/// The packages that a project asks for.
const REQUIREMENTS: &str = "requirements.txt";

/// Two commits of a project, and the time from which the next runs are seen.
#[derive(Debug, Clone, Copy)]
pub struct Between<'a> {
    /// The commit that runs; nothing where none does.
    pub from: Option<&'a str>,
    /// The one that is to run.
    pub to: &'a str,
    /// The folder of the project.
    pub directory: &'a str,
    /// The time.
    pub now: Timestamp,
}

impl Projects {
    /// What is added and removed between two commits, of which the first may be none. `None` if one does not exist.
    ///
    /// # Errors
    /// If the repository lacks the history between them.
    pub fn movement(&self, code: &Code, between: Between<'_>) -> Result<Option<Movement>, Unknown> {
        let Between { from, to, directory, now } = between;
        let Some(mut movement) = code.movement(from, to)? else { return Ok(None) };
        let Some(from) = from else { return Ok(Some(movement)) };
        let Some(changed) = code.changed(from, to, directory)? else { return Ok(None) };
        let changed: Vec<String> = changed.into_iter().map(|change| change.path).collect();
        movement.files = changed.len();
        if changed.iter().any(|path| path == REQUIREMENTS) {
            let packages = |commit| -> Result<_, Unknown> {
                let text = match code.files(commit, directory)? {
                    Some(files) => files.read(REQUIREMENTS)?.unwrap_or_default(),
                    None => Vec::new(),
                };
                Ok(requirements::parse(&String::from_utf8_lossy(&text)))
            };
            movement.requirements = differences("", &packages(from)?, &packages(to)?);
        }
        let (old, new) = (self.project(code, from, directory)?, self.project(code, to, directory)?);
        let mut touched: BTreeSet<Text> = BTreeSet::new();
        for project in [&old, &new].into_iter().flatten() {
            if !movement.requirements.is_empty() || changed.iter().any(|path| path == PROJECT) {
                touched.extend(project.pipelines().cloned());
            } else {
                changed.iter().for_each(|path| touch(project, path, &mut touched));
            }
        }
        for path in &changed {
            let Some(name) = pipeline_of(path).filter(|_| path.ends_with("/triggers.yaml")) else { continue };
            let of = |project: &Option<_>| triggers(project.as_deref(), path);
            movement.triggers.extend(differences(&format!("{name}/"), &of(&old), &of(&new)));
        }
        movement.schedules = new.map_or_else(Vec::new, |new| schedules(old.as_deref(), &new, &touched, now));
        movement.pipelines = touched.into_iter().collect();
        Ok(Some(movement))
    }
}

/// The pipelines of a project that a file belongs to, or is used by, under whichever of its paths.
fn touch(project: &Project, path: &str, touched: &mut BTreeSet<Text>) {
    if let Some(below) = path.strip_prefix(PIPELINES).and_then(|path| path.strip_prefix('/')) {
        let folders = below.match_indices('/').map(|(at, _)| &below[..at]);
        touched.extend(folders.filter_map(|folder| project.pipeline(folder)).cloned());
    } else if path == IO_CONFIG {
        touched.extend(project.reading_profiles().cloned());
    } else if path.strip_prefix(DBT).is_some_and(|rest| rest.starts_with('/')) {
        touched.extend(project.running_dbt().cloned());
    }
    touched.extend(project.pipelines_of(path).cloned());
    project.links_to(path).iter().for_each(|link| touch(project, link, touched));
}

/// When these pipelines run by themselves.
fn schedules(
    old: Option<&Project>,
    new: &Project,
    pipelines: &BTreeSet<Text>,
    now: Timestamp,
) -> Vec<Schedule> {
    let before =
        |path: &str, name: &str| old?.file(path)?.triggers.iter().find(|trigger| trigger.name == name);
    let of = |(pipeline, path, trigger): (&str, &Text, &Trigger)| {
        let interval = trigger.interval.as_ref().filter(|_| trigger.active && trigger.unread.is_none())?;
        pipelines.contains(pipeline).then(|| Schedule {
            name: format!("{pipeline}/{}", trigger.name).into(),
            when: interval.clone(),
            envs: trigger.envs.clone(),
            next: cron::parse(interval).ok().and_then(|interval| interval.next_after(now)),
            at_once: trigger.starts_at_once(before(path, &trigger.name)),
        })
    };
    new.triggers().filter_map(of).collect()
}

/// The triggers of a file by name, each with when it runs.
fn triggers(project: Option<&Project>, path: &str) -> BTreeMap<String, String> {
    let scan = project.and_then(|project| project.file(path));
    let triggers = scan.into_iter().flat_map(|scan| &scan.triggers);
    triggers.map(|trigger| (trigger.name.to_string(), trigger.when().to_string())).collect()
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
