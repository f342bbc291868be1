//! The files of a directory by what they are for.

use std::collections::BTreeMap;

use magus_load::{Document, File, Loaded, Role};
use magus_model::{
    Text,
    span::{FileId, Span},
};

/// The files of a directory by what they are for: settings as documents, workspaces not parsed yet.
pub(crate) struct Directory<'a> {
    /// What was loaded.
    pub(crate) loaded: &'a Loaded,
    /// The `cluster.yaml` beside the environments.
    pub(crate) cluster: Option<&'a Document<'a>>,
    /// The environments, ordered by name.
    pub(crate) environments: Vec<Folder<'a>>,
    /// The folder of each file by its id, relative to the directory.
    pub(crate) folders: Vec<Text>,
}

/// The files of an environment.
pub(crate) struct Folder<'a> {
    /// The environment's name.
    pub(crate) name: &'a Text,
    /// Its own `cluster.yaml`.
    pub(crate) cluster: Option<&'a Document<'a>>,
    /// Its `environment.yaml`.
    pub(crate) environment: Option<&'a Document<'a>>,
    /// Its workspaces, ordered by path.
    pub(crate) workspaces: Vec<(&'a Text, &'a File)>,
}

/// Parses every `cluster.yaml` and `environment.yaml`.
pub(crate) fn settings(loaded: &Loaded) -> Vec<Document<'_>> {
    let settings = loaded.files.iter().filter(|file| !matches!(file.role, Role::Workspace { .. }));
    settings.map(|file| loaded.parse(file)).collect()
}

impl<'a> Directory<'a> {
    /// Sorts the files out; `settings` are those of [`settings`].
    pub(crate) fn new(loaded: &'a Loaded, settings: &'a [Document<'a>]) -> Self {
        let empty = |name| Folder { name, cluster: None, environment: None, workspaces: Vec::new() };
        let mut environments: BTreeMap<&Text, Folder<'a>> =
            loaded.environments.iter().map(|name| (name, empty(name))).collect();
        let mut cluster = None;
        let mut folders = vec![Text::default(); loaded.sources.files().len()];
        for file in &loaded.files {
            if let (Some(folder), Some((before, _))) =
                (folders.get_mut(file.id.0 as usize), file.path.rsplit_once('/'))
            {
                *folder = before.into();
            }
            if let Role::Workspace { environment: name, stem } = &file.role {
                environments.entry(name).or_insert_with(|| empty(name)).workspaces.push((stem, file));
            }
        }
        for document in settings {
            match &document.file.role {
                Role::Cluster { environment: None } => cluster = Some(document),
                Role::Cluster { environment: Some(name) } => {
                    environments.entry(name).or_insert_with(|| empty(name)).cluster = Some(document);
                }
                Role::Environment { environment: name } => {
                    environments.entry(name).or_insert_with(|| empty(name)).environment = Some(document);
                }
                Role::Workspace { .. } => {}
            }
        }
        Self { loaded, cluster, environments: environments.into_values().collect(), folders }
    }

    /// The cluster.yaml files that hold for an environment, the root's first; without an environment, the root's alone.
    pub(crate) fn clusters(
        &self,
        folder: Option<&Folder<'a>>,
    ) -> impl DoubleEndedIterator<Item = &'a Document<'a>> {
        [self.cluster, folder.and_then(|folder| folder.cluster)].into_iter().flatten()
    }

    /// The folder of a file, relative to the directory.
    pub(crate) fn folder_of(&self, file: FileId) -> &str {
        self.folders.get(file.0 as usize).map_or("", Text::as_str)
    }
}

impl Folder<'_> {
    /// Where an environment is declared: its own file, else the first in its folder.
    pub(crate) fn span(&self) -> Span {
        let settings = self.environment.or(self.cluster).map(|document| document.file);
        let first = || self.workspaces.first().map(|(_, file)| *file);
        settings.or_else(first).map_or(Span::BUILT_IN, |file| Span::start_of(file.id))
    }
}
