//! The documents of a directory by what they are for.

use std::collections::BTreeMap;

use magus_load::{Document, Loaded, Role};
use magus_model::{
    Text,
    span::{FileId, Span},
};

/// The documents of a directory by what they are for.
pub(crate) struct Directory<'a> {
    /// What was loaded.
    pub(crate) loaded: &'a Loaded,
    /// The `cluster.yaml` beside the environments.
    pub(crate) cluster: Option<&'a Document>,
    /// The environments, ordered by name.
    pub(crate) environments: Vec<Folder<'a>>,
    /// The folder of each file by its id, relative to the directory.
    pub(crate) folders: Vec<Text>,
}

/// The documents of an environment.
pub(crate) struct Folder<'a> {
    /// The environment's name.
    pub(crate) name: &'a Text,
    /// Its own `cluster.yaml`.
    pub(crate) cluster: Option<&'a Document>,
    /// Its `environment.yaml`.
    pub(crate) environment: Option<&'a Document>,
    /// Its workspaces, ordered by path.
    pub(crate) workspaces: Vec<(&'a Text, &'a Document)>,
}

impl<'a> Directory<'a> {
    /// Sorts the documents out.
    pub(crate) fn new(loaded: &'a Loaded) -> Self {
        let empty = |name| Folder { name, cluster: None, environment: None, workspaces: Vec::new() };
        let mut environments: BTreeMap<&Text, Folder<'a>> =
            loaded.environments.iter().map(|name| (name, empty(name))).collect();
        let mut cluster = None;
        let mut folders = vec![Text::default(); loaded.sources.files().len()];
        for document in &loaded.documents {
            if let (Some(folder), Some((before, _))) =
                (folders.get_mut(document.file.0 as usize), document.path.rsplit_once('/'))
            {
                *folder = before.into();
            }
            match &document.role {
                Role::Cluster { environment: None } => cluster = Some(document),
                Role::Cluster { environment: Some(name) } => {
                    environments.entry(name).or_insert_with(|| empty(name)).cluster = Some(document);
                }
                Role::Environment { environment: name } => {
                    environments.entry(name).or_insert_with(|| empty(name)).environment = Some(document);
                }
                Role::Workspace { environment: name, stem } => {
                    environments.entry(name).or_insert_with(|| empty(name)).workspaces.push((stem, document));
                }
            }
        }
        Self { loaded, cluster, environments: environments.into_values().collect(), folders }
    }

    /// The cluster.yaml files that hold for an environment, the root's first.
    pub(crate) fn clusters(&self, folder: &Folder<'a>) -> impl DoubleEndedIterator<Item = &'a Document> {
        [self.cluster, folder.cluster].into_iter().flatten()
    }

    /// The folder of a file, relative to the directory.
    pub(crate) fn folder_of(&self, file: FileId) -> &str {
        self.folders.get(file.0 as usize).map_or("", Text::as_str)
    }
}

impl Folder<'_> {
    /// Where an environment is declared: its own file, else the first in its folder.
    pub(crate) fn span(&self) -> Span {
        let first = self.workspaces.first().map(|(_, document)| *document);
        self.environment
            .or(self.cluster)
            .or(first)
            .map_or(Span::BUILT_IN, |document| Span::start_of(document.file))
    }
}
