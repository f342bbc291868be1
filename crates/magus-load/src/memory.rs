//! A directory of declarations that exists only in memory: for tests, and for texts that are not saved yet.

use std::path::{Path, PathBuf};

use crate::{
    document::Loaded,
    load::{Directory, LARGEST_FILE, ReadFault, load},
    walk::{Folders, Followed, Item, Kind, Walked, walk},
};

/// Loads files given as paths, relative to the directory and with `/`, and texts. The directory is shown as
/// `environments`.
pub fn load_texts(files: &[(&str, &str)]) -> Loaded {
    let memory = Memory(files);
    let walked = walk(&memory).unwrap_or(Walked { found: Vec::new(), environments: Vec::new() });
    let display = "environments".to_owned();
    let directory = Directory { root: PathBuf::from(&display), display, revision: None };
    load(
        directory,
        walked,
        || (),
        |(), at: &usize| {
            let text = files[*at].1.as_bytes();
            if text.len() as u64 > LARGEST_FILE { Err(ReadFault::TooLarge) } else { Ok(text.to_vec()) }
        },
    )
}

struct Memory<'a>(&'a [(&'a str, &'a str)]);

impl Folders for Memory<'_> {
    type File = usize;

    fn list(&self, place: &Path) -> Result<Vec<Item<usize>>, String> {
        let mut folders = std::collections::BTreeSet::new();
        let mut items = Vec::new();
        for (at, (path, _)) in self.0.iter().enumerate() {
            let Ok(below) = Path::new(path).strip_prefix(place) else { continue };
            let mut parts = below.iter().map(|part| part.to_string_lossy().into_owned());
            match (parts.next(), parts.next()) {
                (Some(folder), Some(_)) if folders.insert(folder.clone()) => {
                    items.push(Item { name: Ok(folder), kind: Kind::Folder });
                }
                (Some(name), None) => items.push(Item { name: Ok(name), kind: Kind::File(at) }),
                _ => {}
            }
        }
        Ok(items)
    }

    fn follow(&self, _: &Path, _: &str) -> Followed<usize> {
        Followed::Other
    }
}
