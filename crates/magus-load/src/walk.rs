//! Which files of a directory of declarations count, and as what: DESIGN.md 2.
//!
//! Knows no file system and no git: [`Folders`] lists folders and follows links, wherever they are.

use std::{collections::BTreeSet, path::Path, path::PathBuf};

use magus_model::{
    Text, effort,
    rules::{self, Rule},
};

use crate::document::Role;

/// How deeply folders may lie in one another.
const DEEPEST_FOLDER: usize = 32;

/// How many folders are walked through links: links that lead to each other would otherwise multiply.
const MOST_LINKED_FOLDERS: usize = 1_000;

/// How many files and folders are looked at: in a git tree, a folder may be in many places and cost nothing there.
const MOST_ENTRIES: usize = 500_000;

/// Where the folders are.
pub(crate) trait Folders {
    /// What a file is read by.
    type File;

    /// What is in a folder, named by its real place relative to the directory; the reason where it cannot be read.
    fn list(&self, place: &Path) -> Result<Vec<Item<Self::File>>, String>;

    /// What a link in a folder leads to.
    fn follow(&self, place: &Path, name: &str) -> Followed<Self::File>;
}

/// Something in a folder.
pub(crate) struct Item<F> {
    /// Its name; with replacement characters where it is not UTF-8.
    pub(crate) name: Result<String, String>,
    pub(crate) kind: Kind<F>,
}

/// What something in a folder is.
pub(crate) enum Kind<F> {
    File(F),
    Folder,
    Link,
    /// A socket, a pipe, a device, a submodule: never opened.
    Other,
}

/// What a link leads to.
pub(crate) enum Followed<F> {
    File(F),
    /// A folder, by its real place.
    Folder(PathBuf),
    /// Something outside the directory; whether that may be a folder.
    Outside {
        folder: bool,
    },
    /// Nothing, or itself.
    Broken(&'static str),
    Other,
}

/// A file or folder that counts, or that is wrong.
pub(crate) struct Found<F> {
    /// Its path relative to the directory, with `/`.
    pub(crate) path: String,
    pub(crate) what: What<F>,
}

/// What was found.
pub(crate) enum What<F> {
    /// A document; with the name that it should have where it ends in `.yml`.
    Document { role: Role, file: F, rename: Option<String> },
    /// Something that is not read.
    Fault(Fault),
}

/// What is wrong with something that is not read.
pub(crate) struct Fault {
    pub(crate) rule: &'static Rule,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// Everything that counts, ordered by path, and the environments.
pub(crate) struct Walked<F> {
    pub(crate) found: Vec<Found<F>>,
    pub(crate) environments: Vec<Text>,
}

/// Walks the directory. The reason where it cannot be listed itself.
pub(crate) fn walk<T: Folders>(folders: &T) -> Result<Walked<T::File>, String> {
    let mut walker =
        Walker { folders, found: Vec::new(), environments: BTreeSet::new(), linked: 0, entries: 0 };
    let items = folders.list(Path::new(""))?;
    walker.folder(&Here { path: "", environment: None, depth: 0, places: &[PathBuf::new()] }, items);
    walker.found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Walked { found: walker.found, environments: walker.environments.into_iter().collect() })
}

/// The folder that is being walked.
struct Here<'a> {
    path: &'a str,
    environment: Option<&'a Text>,
    depth: usize,
    /// The real places of this folder and of those above it.
    places: &'a [PathBuf],
}

struct Walker<'a, T: Folders> {
    folders: &'a T,
    found: Vec<Found<T::File>>,
    environments: BTreeSet<Text>,
    linked: usize,
    /// How many files and folders were looked at.
    entries: usize,
}

impl<T: Folders> Walker<'_, T> {
    fn folder(&mut self, here: &Here<'_>, items: Vec<Item<T::File>>) {
        let place = here.places.last().map_or(Path::new(""), PathBuf::as_path);
        // Only a name that is to be changed asks for its neighbours.
        let neighbours: BTreeSet<String> = if items.iter().any(|item| is_misspelt(&item.name)) {
            items.iter().filter_map(|item| item.name.clone().ok()).collect()
        } else {
            BTreeSet::new()
        };
        for Item { name, kind } in items {
            let name = match name {
                Ok(name) => name,
                Err(lossy) => {
                    if !is_skipped(&lossy) && (extension(&lossy).is_some() || matches!(kind, Kind::Folder)) {
                        self.fault(
                            here,
                            &lossy,
                            unreadable("the name is not UTF-8", "give it a name in UTF-8"),
                        );
                    }
                    continue;
                }
            };
            if is_skipped(&name) {
                continue;
            }
            match kind {
                Kind::File(file) => self.file(here, &name, file, &neighbours),
                Kind::Folder => {
                    let below = place.join(&name);
                    self.below(here, &name, below);
                }
                Kind::Link => self.link(here, place, &name, &neighbours),
                Kind::Other => {}
            }
        }
    }

    fn link(&mut self, here: &Here<'_>, place: &Path, name: &str, neighbours: &BTreeSet<String>) {
        // A link whose name says that it is some other kind of file is as little a matter of ours as such a file.
        let could_count = extension(name).is_some() || !name.contains('.');
        match self.folders.follow(place, name) {
            Followed::File(file) => self.file(here, name, file, neighbours),
            Followed::Folder(target) if here.places.iter().any(|above| above.starts_with(&target)) => {
                let fault = unreadable("the link leads to a folder that holds it", "remove the link");
                self.fault(here, name, fault);
            }
            Followed::Folder(target) => {
                self.linked += 1;
                if self.linked <= MOST_LINKED_FOLDERS {
                    self.below(here, name, target);
                } else {
                    let message =
                        format!("more than {MOST_LINKED_FOLDERS} folders are reached through links");
                    self.fault(here, name, unreadable(message, "remove links that lead to each other"));
                }
            }
            Followed::Outside { folder } if folder || extension(name).is_some() => {
                self.fault(
                    here,
                    name,
                    Fault {
                        rule: &rules::OUTSIDE_SYMLINK,
                        message: "the link leads out of the directory, and is not followed".into(),
                        help: Some("put what it leads to into the directory".into()),
                    },
                );
            }
            Followed::Broken(why) if could_count => {
                self.fault(here, name, unreadable(why, "mend the link or remove it"));
            }
            Followed::Outside { .. } | Followed::Broken(_) | Followed::Other => {}
        }
    }

    fn below(&mut self, here: &Here<'_>, name: &str, place: PathBuf) {
        let path = join(here.path, name);
        if here.depth == DEEPEST_FOLDER {
            let message = format!("more than {DEEPEST_FOLDER} folders lie in one another");
            self.fault(here, name, unreadable(message, "move the files up"));
            return;
        }
        let environment: Text = here.environment.cloned().unwrap_or_else(|| name.into());
        if here.environment.is_none() {
            self.environments.insert(environment.clone());
        }
        if self.entries > MOST_ENTRIES {
            return;
        }
        match self.folders.list(&place) {
            Ok(items) if self.is_too_much(items.len()) => {
                let message = format!("there are more than {MOST_ENTRIES} files and folders");
                self.fault(
                    here,
                    name,
                    unreadable(message, "move what is no declaration out of the directory"),
                );
            }
            Ok(items) => {
                let mut places = here.places.to_vec();
                places.push(place);
                let below = Here {
                    path: &path,
                    environment: Some(&environment),
                    depth: here.depth + 1,
                    places: &places,
                };
                self.folder(&below, items);
            }
            Err(why) => {
                self.fault(
                    here,
                    name,
                    unreadable(format!("the folder cannot be read: {why}"), "check its permissions"),
                );
            }
        }
    }

    /// Counts what is in a folder; whether it is more than is looked at.
    fn is_too_much(&mut self, entries: usize) -> bool {
        effort::spend(entries + 1);
        self.entries = self.entries.saturating_add(entries);
        self.entries > MOST_ENTRIES
    }

    fn file(&mut self, here: &Here<'_>, name: &str, file: T::File, neighbours: &BTreeSet<String>) {
        let Some((stem, extension)) = name.rsplit_once('.').filter(|_| extension(name).is_some()) else {
            return;
        };
        if stem.contains('.') {
            return;
        }
        let role = match (here.environment, stem) {
            (None, "cluster") => Role::Cluster { environment: None },
            (None, _) => return self.fault(here, name, stray(stem)),
            (Some(environment), "cluster") if here.depth == 1 => {
                Role::Cluster { environment: Some(environment.clone()) }
            }
            (Some(environment), "environment") if here.depth == 1 => {
                Role::Environment { environment: environment.clone() }
            }
            (Some(_), "cluster" | "environment") => return self.fault(here, name, stray(stem)),
            (Some(environment), stem) => {
                Role::Workspace { environment: environment.clone(), stem: stem.into() }
            }
        };
        let path = join(here.path, name);
        if extension == "yaml" {
            return self.found.push(Found { path, what: What::Document { role, file, rename: None } });
        }
        let right = format!("{stem}.yaml");
        if neighbours.contains(&right) {
            let fault = Fault {
                rule: &rules::YML_EXTENSION,
                message: format!("the file ends in `.{extension}`, and `{right}` is there too"),
                help: Some("remove one of the two".into()),
            };
            return self.fault(here, name, fault);
        }
        self.found.push(Found { path, what: What::Document { role, file, rename: Some(right) } });
    }

    fn fault(&mut self, here: &Here<'_>, name: &str, fault: Fault) {
        self.found.push(Found { path: join(here.path, name), what: What::Fault(fault) });
    }
}

pub(crate) fn unreadable(message: impl Into<String>, help: &str) -> Fault {
    Fault { rule: &rules::UNREADABLE, message: message.into(), help: Some(help.to_owned()) }
}

fn stray(stem: &str) -> Fault {
    let (message, help) = match stem {
        "cluster" => (
            "a `cluster.yaml` in a sub-folder of an environment",
            "move it up into the environment's own folder, or to the root of the directory",
        ),
        "environment" => (
            "an `environment.yaml` that is not in the folder of an environment",
            "move it directly into the folder of its environment",
        ),
        _ => (
            "a file outside the environments",
            "move it into the folder of an environment, or begin its name with `_` if it is no workspace",
        ),
    };
    Fault { rule: &rules::STRAY_FILE, message: message.into(), help: Some(help.into()) }
}

/// Names that are no business of ours.
pub(crate) fn is_skipped(name: &str) -> bool {
    name.starts_with(['_', '.'])
}

/// The extension of a name, where it says that the file is YAML, however it is written.
pub(crate) fn extension(name: &str) -> Option<&str> {
    let (_, extension) = name.rsplit_once('.')?;
    (extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml")).then_some(extension)
}

fn is_misspelt(name: &Result<String, String>) -> bool {
    name.as_ref().is_ok_and(|name| extension(name).is_some_and(|extension| extension != "yaml"))
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
