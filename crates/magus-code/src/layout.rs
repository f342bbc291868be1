//! Where a repository has Mage projects, for a folder that is said to be one.

use std::collections::BTreeSet;

use magus_git::{Code, Unknown};
use magus_model::{Text, source};

use crate::project::{PIPELINES, PROJECT};

/// The files with which Mage calls a folder a project, or a platform of several.
const OF_MAGE: [&str; 3] = [PROJECT, "settings.yaml", ".settings.yaml"];

/// What a folder of a commit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Folder {
    /// It does not exist.
    Absent,
    /// A project with pipelines.
    Project,
    /// It has Mage's settings and no pipelines: a new project, or a platform of several.
    WithoutPipelines,
    /// Something else.
    Other,
}

/// What a folder of a commit is, and where projects are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The folder.
    pub folder: Folder,
    /// The other folders that are projects with pipelines, in order; the root is `.`. Looked for only if the folder is none.
    pub projects: Vec<Text>,
}

/// What a folder of a commit is; `None` if the repository lacks the commit.
///
/// # Errors
/// If the commit may exist elsewhere, or a folder cannot be read.
pub fn layout(code: &Code, commit: &str, directory: &str) -> Result<Option<Layout>, Unknown> {
    let Some(whole) = code.files(commit, "")? else { return Ok(None) };
    let mut folder = Folder::Absent;
    if let Some(files) = code.files(commit, directory)? {
        folder = Folder::Other;
        let has_pipelines = files.has(PIPELINES)?;
        for name in OF_MAGE {
            if files.has(name)? {
                folder = if has_pipelines { Folder::Project } else { Folder::WithoutPipelines };
                break;
            }
        }
    }
    if folder == Folder::Project {
        return Ok(Some(Layout { folder, projects: Vec::new() }));
    }
    let paths = whole.list()?.entries;
    let mut projects: BTreeSet<&str> = paths.iter().filter_map(|entry| project_of(&entry.path)).collect();
    if projects.contains(source::directory(directory).as_str()) {
        folder = Folder::Project;
        projects.clear();
    }
    Ok(Some(Layout { folder, projects: projects.into_iter().map(Text::from).collect() }))
}

/// The project whose pipeline has its metadata at this path.
fn project_of(path: &str) -> Option<&str> {
    let pipeline = path.strip_suffix(PROJECT)?.strip_suffix('/')?;
    let below = format!("{PIPELINES}/");
    if pipeline.starts_with(&below) {
        return Some(".");
    }
    let (project, _) = pipeline.split_once(&format!("/{below}"))?;
    Some(project)
}
