//! Where everything lies in a store, and how its files are made: for their owner alone.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use magus_model::name::{self, WorkspaceName};

/// The longest name of a file on the systems that Magus runs on, in bytes.
const LONGEST_FILE_NAME: usize = 255;

/// The paths of a store.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    root: PathBuf,
}

impl Folders {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The folder of the store.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The database.
    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("magus.db")
    }

    /// Where SQLite keeps what is committed and not yet in the database's own file.
    pub(crate) fn write_ahead_log(&self) -> PathBuf {
        self.root.join("magus.db-wal")
    }

    /// A database that is being made; renamed once it is complete, so that an incomplete one is never in use.
    pub(crate) fn unfinished_database(&self) -> PathBuf {
        self.root.join("magus.db.new")
    }

    /// What an apply holds.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("magus.lock")
    }

    /// The folders of the workspaces.
    pub(crate) fn workspaces(&self) -> PathBuf {
        self.root.join("workspaces")
    }

    /// `.env` files on their way into a workspace.
    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// The folder of a workspace; nothing for a name that people put into the store and that is no name of a folder.
    pub(crate) fn workspace(&self, name: &WorkspaceName) -> Option<PathBuf> {
        name::check(name.as_str(), LONGEST_FILE_NAME).ok()?;
        Some(self.workspaces().join(name.as_str()))
    }
}

/// Makes a folder and its parents, for the owner alone. One that is there stays as it is.
pub(crate) fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a new file for the owner alone.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)
}

/// Makes the names in a folder survive a power failure.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes a file or a whole folder, links in it unfollowed. What is not there is as good as removed.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let outcome = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Gives a copy of a read-only file back to its owner.
pub(crate) fn make_writable(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}
