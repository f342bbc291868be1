//! What loading gives: files with their roles and texts, everything that is wrong with them, and documents on demand.

use std::path::PathBuf;

use magus_model::{
    Text,
    diagnostic::Diagnostic,
    span::{FileId, Sources},
    tree::Node,
};

use crate::{
    comments::Comment,
    yaml::{Parsed, parse},
};

/// A directory of declarations, read. The trees are made file by file with [`Loaded::parse`], by whoever needs them
/// and for as long: those of ten thousand workspaces at once would be most of the memory of a run.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Every file that a document or a finding refers to.
    pub sources: Sources,
    /// The files that declare something, ordered by path.
    pub files: Vec<File>,
    /// Every environment's folder, even an empty one, sorted.
    pub environments: Vec<Text>,
    /// What is wrong with the files as files; what is wrong with their texts comes with the documents.
    pub diagnostics: Vec<Diagnostic>,
    /// The directory, as it was given: absolute, or relative to the working directory.
    pub root: PathBuf,
    /// The directory as it is shown: relative to the working directory, with `/`.
    pub display: Text,
    /// The commit that was read; nothing for the work tree.
    pub revision: Option<String>,
}

impl Loaded {
    /// Parses a file. One that could not be read gives a document without a tree, and its finding is in
    /// [`Loaded::diagnostics`].
    pub fn parse<'l>(&self, file: &'l File) -> Document<'l> {
        let nothing = || Parsed { root: None, comments: Vec::new(), diagnostics: Vec::new() };
        let source = self.sources.file(file.id).filter(|_| file.readable);
        let Parsed { root, comments, diagnostics } =
            source.map_or_else(nothing, |source| parse(file.id, &source.text));
        Document { file, root, comments, diagnostics }
    }
}

/// A file of the directory that declares something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its source.
    pub id: FileId,
    /// Its path relative to the directory, with `/`.
    pub path: Text,
    /// What it declares.
    pub role: Role,
    /// Whether it could be read, as UTF-8.
    pub readable: bool,
}

/// What a file says.
#[derive(Debug, Clone)]
pub struct Document<'l> {
    /// The file.
    pub file: &'l File,
    /// What it says; nothing where it could not be read or does not parse.
    pub root: Option<Node>,
    /// The comments in it that mean something to Magus, in the order of the file.
    pub comments: Vec<Comment>,
    /// What is wrong with its text.
    pub diagnostics: Vec<Diagnostic>,
}

/// What a file declares, by its place in the directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A `cluster.yaml`.
    Cluster {
        /// The environment that it is for; nothing for the root's.
        environment: Option<Text>,
    },
    /// An `environment.yaml`.
    Environment {
        /// The environment: the folder's name.
        environment: Text,
    },
    /// A workspace.
    Workspace {
        /// The environment that it is in.
        environment: Text,
        /// The file's stem: the name in the declarations.
        stem: Text,
    },
}

/// Why nothing at all could be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no such directory.
    #[error("there is no directory `{0}`")]
    NoDirectory(String),
    /// Something else has its name.
    #[error("`{0}` is not a directory")]
    NotADirectory(String),
    /// It cannot be read.
    #[error("the directory `{path}` cannot be read")]
    Unreadable {
        /// The directory.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// `--at` outside a repository.
    #[error("`{0}` is not in a git repository")]
    NoRepository(String),
    /// The repository belongs to somebody else, and git was not told to trust it.
    #[error("the git repository of `{path}` belongs to another user, and git was not told to trust it")]
    NotTrusted {
        /// The directory.
        path: String,
        /// What git has to be told to trust.
        repository: String,
    },
    /// No commit has this name.
    #[error("there is no revision `{0}` in the repository")]
    NoRevision(String),
    /// No commit that was fetched has this name, and not all were.
    #[error("there is no revision `{0}` in this shallow clone")]
    Shallow(String),
    /// A short name that several commits have.
    #[error("the revision `{0}` is ambiguous")]
    AmbiguousRevision(String),
    /// The directory is not in that commit.
    #[error("there is no directory `{path}` in revision `{revision}`")]
    NotInRevision {
        /// The directory, relative to the repository's root.
        path: String,
        /// The revision.
        revision: String,
    },
    /// There are no commits after a revision that lead to what is read.
    #[error("`{revision}` is no ancestor of `{now}`, so that there are no commits from the one to the other")]
    NoAncestor {
        /// The revision.
        revision: String,
        /// The commit that is read.
        now: String,
        /// The last commit that both have in their history.
        base: Option<String>,
    },
    /// The repository cannot be read.
    #[error("the git repository of `{path}` cannot be read")]
    Git {
        /// The directory.
        path: String,
        /// Why.
        #[source]
        source: git2::Error,
    },
}

impl LoadError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            LoadError::NoDirectory(_) => Some("name it with `--dir`, or let `magus init` write one".into()),
            LoadError::NotADirectory(_) => {
                Some("name the directory that holds the environments with `--dir`".into())
            }
            LoadError::NotTrusted { repository, .. } => {
                let path = magus_model::shell::word(repository);
                Some(format!("if you trust it: `git config --global --add safe.directory {path}`"))
            }
            LoadError::NoRevision(_) => Some(
                "name a branch, a tag or a commit that is in the local repository; `git fetch` brings more"
                    .into(),
            ),
            LoadError::Shallow(_) => {
                Some("`git fetch --unshallow` brings the whole history; in a workflow, `fetch-depth: 0` does".into())
            }
            LoadError::NoAncestor { base: Some(base), .. } => {
                Some(format!("name the commit where the two part: `--since {base}`"))
            }
            LoadError::NoAncestor { base: None, .. } => Some(
                "the two have no commit in common; in a shallow clone, `git fetch --unshallow` brings the history"
                    .into(),
            ),
            LoadError::AmbiguousRevision(_) => Some("write more of the commit".into()),
            LoadError::NoRepository(_)
            | LoadError::NotInRevision { .. }
            | LoadError::Unreadable { .. }
            | LoadError::Git { .. } => None,
        }
    }
}
