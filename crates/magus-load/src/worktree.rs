//! The files of a directory as they lie on disk.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::{
    document::{LoadError, Loaded},
    load::{Directory, LARGEST_FILE, ReadFault, load, shown},
    walk::{Folders, Followed, Item, Kind, walk},
};

/// Reads the declarations of a directory as they lie on disk. A relative directory is one of the working directory.
///
/// # Errors
/// Where the directory itself cannot be read. Whatever is wrong inside it is a finding.
pub fn load_directory(directory: &Path, working_directory: &Path) -> Result<Loaded, LoadError> {
    let display = shown(directory, working_directory);
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => LoadError::NoDirectory(display.clone()),
        io::ErrorKind::NotADirectory => LoadError::NotADirectory(display.clone()),
        _ => LoadError::Unreadable { path: display.clone(), source },
    };
    let root = fs::canonicalize(working_directory.join(directory)).map_err(unreadable)?;
    // What follows loses the kind of the error.
    fs::read_dir(&root).map_err(unreadable)?;
    let disk = Disk { root };
    let walked = walk(&disk).map_err(|why| unreadable(io::Error::other(why)))?;
    let directory = Directory { root: directory.to_owned(), display: display.clone(), revision: None };
    Ok(load(directory, walked, || (), |(), place: &PathBuf| read(place)))
}

struct Disk {
    /// Absolute, without links.
    root: PathBuf,
}

impl Folders for Disk {
    type File = PathBuf;

    fn list(&self, place: &Path) -> Result<Vec<Item<PathBuf>>, String> {
        let mut items = Vec::new();
        for entry in fs::read_dir(self.root.join(place)).map_err(|error| reason(&error))? {
            let entry = entry.map_err(|error| reason(&error))?;
            let kind = match entry.file_type() {
                Ok(kind) if kind.is_file() => Kind::File(entry.path()),
                Ok(kind) if kind.is_dir() => Kind::Folder,
                Ok(kind) if kind.is_symlink() => Kind::Link,
                _ => Kind::Other,
            };
            let name = entry.file_name().into_string().map_err(|name| name.to_string_lossy().into_owned());
            items.push(Item { name, kind });
        }
        Ok(items)
    }

    fn follow(&self, place: &Path, name: &str) -> Followed<PathBuf> {
        let link = self.root.join(place).join(name);
        let target = match fs::canonicalize(&link) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Followed::Broken("what the link leads to cannot be read");
            }
            Err(_) => return Followed::Broken("the link leads nowhere, or in a circle"),
        };
        let Ok(metadata) = fs::metadata(&target) else { return Followed::Broken("the link leads nowhere") };
        let Ok(inside) = target.strip_prefix(&self.root) else {
            return Followed::Outside { folder: metadata.is_dir() };
        };
        if metadata.is_dir() {
            Followed::Folder(inside.to_owned())
        } else if metadata.is_file() {
            Followed::File(target)
        } else {
            Followed::Other
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ReadFault> {
    let unreadable = |error: io::Error| ReadFault::Unreadable(reason(&error));
    let file = File::open(path).map_err(unreadable)?;
    // Only a guess: the file may grow meanwhile, and some of /proc and of network file systems say 0.
    let length = file.metadata().map_err(unreadable)?.len().min(LARGEST_FILE);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_FILE { Err(ReadFault::TooLarge) } else { Ok(bytes) }
}

/// The reason alone, without the number of the system's error.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::Other | io::ErrorKind::InvalidData => error.to_string(),
        kind => kind.to_string(),
    }
}
