//! A Mage project at a commit: what its files refer to, and which of them each pipeline reaches.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    rc::Rc,
};

use magus_git::{Change, Code, Entry, Files, Listing, Unknown, Unlisted};
use magus_model::Text;
use rayon::prelude::*;

use crate::{
    cache::{Cache, Key},
    needs::Needs,
    reach::{self, Reach, Shape},
    reference::{Kind, Name, Reference},
    scan::{self, FileKind, Profile, Scan},
    triggers::Trigger,
};

/// Where Mage keeps its pipelines, and what a project as a whole depends on.
pub(crate) const PIPELINES: &str = "pipelines";
pub(crate) const IO_CONFIG: &str = "io_config.yaml";
pub(crate) const PROJECT: &str = "metadata.yaml";
pub(crate) const DBT: &str = "dbt";

/// So much is read of files before it is looked at, all threads together, in bytes.
const AT_ONCE: usize = 16 << 20;

/// So many projects are kept at hand.
const AT_HAND: usize = 8;

/// With more differences, a project is read whole.
const FEW: usize = 1_000;

/// A larger file is not read.
const LARGEST: usize = 8 << 20;

/// Reads projects. Each is read once; what its files hold is remembered by their content, over runs too.
#[derive(Debug, Default)]
pub struct Projects {
    cache: Option<Cache>,
    read: RefCell<HashMap<String, Rc<Project>>>,
    scans: RefCell<HashMap<Key, Rc<Scan>>>,
    needs: RefCell<HashMap<String, Rc<Needs>>>,
    last: RefCell<Option<Last>>,
}

/// A project at a commit.
#[derive(Debug, Default)]
pub struct Project {
    files: BTreeMap<Text, Rc<Scan>>,
    /// The paths of files that are links, or behind one, by where the file is.
    links: BTreeMap<Text, Vec<Text>>,
    /// Whether it has any link, wherever that leads.
    has_links: bool,
    /// Why some of its files were not read.
    unlisted: Option<Unlisted>,
    /// What its pipelines reach: most commits leave that as it was.
    shape: Rc<Shape>,
}

/// The project that was read last: most of the next one is the same.
#[derive(Debug)]
struct Last {
    repository: PathBuf,
    directory: String,
    commit: String,
    project: Rc<Project>,
}

/// A place of a project that refers to something.
#[derive(Debug, Clone, Copy)]
pub struct Place<'p> {
    /// The file, relative to the project.
    pub file: &'p Text,
    /// What it refers to, and where.
    pub reference: &'p Reference,
}

/// What the files give that the code of a pipeline reads into the environment.
#[derive(Debug)]
pub(crate) struct Loaded<'p> {
    /// What those give that are in git.
    pub(crate) names: HashSet<&'p str>,
    /// Whether there are others, which may give anything.
    pub(crate) is_elsewhere: bool,
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.reference.line)
    }
}

impl Projects {
    /// Remembers what it finds in a file of this folder of the user's.
    pub fn cached_in(folder: &Path) -> Self {
        Self { cache: Some(Cache::new(folder)), ..Self::default() }
    }

    /// The project in a folder of a commit; `None` if either does not exist.
    ///
    /// # Errors
    /// If the repository cannot say what is in it. Nothing is remembered then.
    pub fn project(
        &self,
        code: &Code,
        commit: &str,
        directory: &str,
    ) -> Result<Option<Rc<Project>>, Unknown> {
        let Some(files) = code.files(commit, directory)? else { return Ok(None) };
        // What is in the folder says what the project is, whichever commit it is of.
        let tree = files.tree_id();
        if let Some(known) = self.read.borrow().get(&tree) {
            return Ok(Some(Rc::clone(known)));
        }
        let project = self.read(code, &files, commit, directory)?;
        let mut read = self.read.borrow_mut();
        // Of many commits, few are asked for twice, and one after the other.
        if read.len() >= AT_HAND {
            read.clear();
        }
        read.insert(tree, Rc::clone(&project));
        Ok(Some(project))
    }

    /// What the project in a folder of a commit needs; `None` if either does not exist. One that was looked at in an earlier run
    /// costs nothing.
    ///
    /// # Errors
    /// If the repository cannot say what is in it. Nothing is remembered then.
    pub fn needs(&self, code: &Code, commit: &str, directory: &str) -> Result<Option<Rc<Needs>>, Unknown> {
        let Some(files) = code.files(commit, directory)? else { return Ok(None) };
        let tree = files.tree_id();
        if let Some(known) = self.needs.borrow().get(&tree) {
            return Ok(Some(Rc::clone(known)));
        }
        let kept = self.cache.as_ref().and_then(|cache| cache.needs(&tree));
        let needs = match kept {
            Some(needs) => needs,
            None => {
                let needs = Needs::of(&*self.read(code, &files, commit, directory)?);
                if let Some(cache) = &self.cache {
                    cache.keep(&[], &[(&tree, &needs)]);
                }
                needs
            }
        };
        let needs = Rc::new(needs);
        self.needs.borrow_mut().insert(tree, Rc::clone(&needs));
        Ok(Some(needs))
    }

    fn read(
        &self,
        code: &Code,
        files: &Files<'_>,
        commit: &str,
        directory: &str,
    ) -> Result<Rc<Project>, Unknown> {
        let project = match self.next(code, files, commit, directory)? {
            Some(project) => project,
            None => self.whole(files)?,
        };
        let project = Rc::new(project);
        *self.last.borrow_mut() = Some(Last {
            repository: code.path().to_owned(),
            directory: directory.to_owned(),
            commit: commit.to_owned(),
            project: Rc::clone(&project),
        });
        Ok(project)
    }

    /// A project from all its files.
    fn whole(&self, files: &Files<'_>) -> Result<Project, Unknown> {
        let mut links: BTreeMap<Text, Vec<Text>> = BTreeMap::new();
        let keyed = |Entry { path, id, linked }: Entry| {
            let (path, kind) = (Text::from(path.as_str()), FileKind::of(&path)?);
            if let Some(place) = linked {
                links.entry(place.into()).or_default().push(path.clone());
            }
            Some((path, (kind, id)))
        };
        let Listing { entries, has_links, unlisted } = files.list()?;
        let wanted: Vec<(Text, Key)> = entries.into_iter().filter_map(keyed).collect();
        self.look(files, wanted.iter().map(|(_, key)| *key).collect())?;
        let scans = self.scans.borrow();
        let found = wanted.into_iter().filter_map(|(path, key)| Some((path, Rc::clone(scans.get(&key)?))));
        Ok(Project { links, has_links, unlisted, ..Project::of(found.collect()) })
    }

    /// A project from the one that was read last and what differs; `None` if that would be no less work.
    fn next(
        &self,
        code: &Code,
        files: &Files<'_>,
        commit: &str,
        directory: &str,
    ) -> Result<Option<Project>, Unknown> {
        let last = self.last.borrow();
        let last = last.as_ref().filter(|last| last.repository == code.path() && last.directory == directory);
        let Some(last) = last else { return Ok(None) };
        // If what differs is unknown, the project may be readable as a whole.
        let Ok(Some(changed)) = code.changed(&last.commit, commit, directory) else { return Ok(None) };
        let has_links = last.project.has_links || changed.iter().any(|change| change.is_link);
        if has_links || changed.len() > FEW || last.project.unlisted.is_some() {
            return Ok(None);
        }
        let keyed =
            |Change { path, id, .. }: Change| Some((Text::from(path.as_str()), FileKind::of(&path)?, id));
        let changed: Vec<(Text, FileKind, Option<[u8; 20]>)> =
            changed.into_iter().filter_map(keyed).collect();
        self.look(files, changed.iter().filter_map(|(_, kind, id)| Some((*kind, (*id)?))).collect())?;
        let scans = self.scans.borrow();
        let scan = |(path, kind, id): (Text, FileKind, Option<[u8; 20]>)| {
            (path, id.and_then(|id| scans.get(&(kind, id)).map(Rc::clone)))
        };
        Ok(Some(last.project.with(changed.into_iter().map(scan).collect())))
    }

    /// Looks at files that were not looked at yet. Those that cannot be read are not kept.
    fn look(&self, files: &Files<'_>, mut new: Vec<Key>) -> Result<(), Unknown> {
        let mut scans = self.scans.borrow_mut();
        new.retain(|key| !scans.contains_key(key));
        new.sort_unstable();
        new.dedup();
        if new.is_empty() {
            return Ok(());
        }
        if let Some(cache) = &self.cache {
            scans.extend(cache.read(&new).into_iter().map(|(key, scan)| (key, Rc::new(scan))));
            new.retain(|key| !scans.contains_key(key));
        }
        let mut found: Vec<(Key, Scan)> = Vec::with_capacity(new.len());
        let mut keys = new.into_iter().peekable();
        while keys.peek().is_some() {
            // Only one thread reads objects; all of them look at what was read.
            let (mut batch, mut size) = (Vec::new(), 0);
            while size < AT_ONCE
                && let Some(key) = keys.next()
            {
                let content = files.content(key.1, LARGEST)?;
                size += content.as_ref().map_or(0, Vec::len);
                batch.push((key, content));
            }
            found.par_extend(batch.into_par_iter().map(|(key, content)| {
                let scan =
                    content.map_or_else(|| scan::too_large(key.0), |content| scan::scan(key.0, &content));
                (key, scan)
            }));
        }
        if let Some(cache) = &self.cache {
            cache.keep(&found.iter().map(|(key, scan)| (*key, scan)).collect::<Vec<_>>(), &[]);
        }
        scans.extend(found.into_iter().map(|(key, scan)| (key, Rc::new(scan))));
        Ok(())
    }
}

impl Project {
    fn of(files: BTreeMap<Text, Rc<Scan>>) -> Self {
        let shape = Rc::new(Shape::of(&files));
        Self { files, shape, ..Self::default() }
    }

    /// The same with other files at these paths; nothing where one is there no more. What pipelines reach is worked out again only
    /// where it may be something else.
    fn with(&self, changed: Vec<(Text, Option<Rc<Scan>>)>) -> Self {
        let mut files = self.files.clone();
        let mut is_same = true;
        for (path, scan) in changed {
            let before = match &scan {
                Some(scan) => files.insert(path, Rc::clone(scan)),
                None => files.remove(&path),
            };
            is_same &= match (before, scan) {
                (Some(before), Some(after)) => reach::is_alike(&before, &after),
                (None, None) => true,
                _ => false,
            };
        }
        if is_same {
            Self { files, shape: Rc::clone(&self.shape), ..Self::default() }
        } else {
            Self::of(files)
        }
    }

    /// Why some of its files were not read.
    pub fn unlisted(&self) -> Option<&Unlisted> {
        self.unlisted.as_ref()
    }

    /// The other paths of a file, over links.
    pub(crate) fn links_to(&self, file: &str) -> &[Text] {
        self.links.get(file).map_or(&[], Vec::as_slice)
    }

    /// The names of the pipelines.
    pub fn pipelines(&self) -> impl Iterator<Item = &Text> {
        self.shape.pipelines.keys()
    }

    /// The name of a pipeline, if it is one.
    pub(crate) fn pipeline(&self, name: &str) -> Option<&Text> {
        self.shape.pipelines.get_key_value(name).map(|(name, _)| name)
    }

    /// What was found in a file.
    pub fn file(&self, path: &str) -> Option<&Scan> {
        self.files.get(path).map(|scan| &**scan)
    }

    /// The pipelines with a block that runs dbt.
    pub(crate) fn running_dbt(&self) -> impl Iterator<Item = &Text> {
        self.shape.pipelines.iter().filter(|(_, reach)| reach.runs_dbt).map(|(name, _)| name)
    }

    /// The pipelines that read a profile of `io_config.yaml`.
    pub(crate) fn reading_profiles(&self) -> impl Iterator<Item = &Text> {
        let reads = |reach: &Reach| reach.profiles.as_ref().is_none_or(|profiles| !profiles.is_empty());
        self.shape.pipelines.iter().filter(move |(_, reach)| reads(reach)).map(|(name, _)| name)
    }

    /// What each pipeline may get from files that its code reads into the environment, such as `.env`.
    pub(crate) fn loaded(&self) -> BTreeMap<&Text, Loaded<'_>> {
        let mut loaded = BTreeMap::new();
        for (pipeline, reach) in self.shape.pipelines.iter().filter(|(_, reach)| !reach.loads.is_empty()) {
            let mut of = Loaded { names: HashSet::new(), is_elsewhere: false };
            for load in &reach.loads {
                let file = self.files.get(load);
                of.is_elsewhere |= file.is_none();
                of.names.extend(file.iter().flat_map(|scan| &scan.sets).map(Text::as_str));
            }
            loaded.insert(pipeline, of);
        }
        loaded
    }

    /// The pipelines that reach a file.
    pub fn pipelines_of(&self, file: &str) -> impl Iterator<Item = &Text> {
        self.shape.reached().get(file).into_iter().flatten()
    }

    /// Every file with what was found in it.
    pub fn files(&self) -> impl Iterator<Item = (&Text, &Scan)> {
        self.files.iter().map(|(path, scan)| (path, &**scan))
    }

    /// The triggers, each with the name of its pipeline and its file.
    pub fn triggers(&self) -> impl Iterator<Item = (&str, &Text, &Trigger)> {
        self.files.iter().flat_map(|(path, scan)| {
            let pipeline = pipeline_of(path).unwrap_or_default();
            scan.triggers.iter().map(move |trigger| (pipeline, path, trigger))
        })
    }

    /// The profiles of `io_config.yaml`; nothing where there is no such file, or it cannot be read.
    pub fn profiles(&self) -> Option<&[Profile]> {
        let scan = self.files.get(IO_CONFIG)?;
        scan.fault.is_none().then_some(&scan.profiles)
    }

    /// Every place that refers to something, in the order of files and lines.
    pub fn places(&self) -> impl Iterator<Item = Place<'_>> {
        self.files
            .iter()
            .flat_map(|(file, scan)| scan.references.iter().map(move |reference| Place { file, reference }))
    }

    /// The pipelines that need what a place refers to, in the order of their names. A setting in a profile is needed where a block
    /// reads that profile, and, as far as is known, the service that the setting is for.
    pub fn needed_by(&self, place: Place<'_>) -> Vec<&Text> {
        let Place { file, reference } = place;
        if file.as_str() != IO_CONFIG {
            if is_of_project(file) {
                // Mage reads it whatever runs.
                return self.shape.pipelines.keys().collect();
            }
            return self.pipelines_of(file).collect();
        }
        let Some(profile) = &reference.profile else { return self.shape.pipelines.keys().collect() };
        let needs = |reach: &Reach| {
            let key = reference.key.as_deref();
            reach
                .profiles
                .as_ref()
                .is_none_or(|profiles| profiles.get(profile).is_some_and(|used| used.has(key)))
        };
        self.shape.pipelines.iter().filter(|(_, reach)| needs(reach)).map(|(name, _)| name).collect()
    }

    /// The pipelines that read a profile that is called like this, each at a place.
    pub fn profiles_read(&self) -> impl Iterator<Item = (Place<'_>, &Text)> {
        self.places().filter(|place| place.reference.kind == Kind::Profile).filter_map(|place| {
            let Name::Literal(name) = &place.reference.name else { return None };
            Some((place, name))
        })
    }
}

/// Whether a file says something about the project as a whole.
pub(crate) fn is_of_project(file: &str) -> bool {
    !file.contains('/') && file != IO_CONFIG && !file.ends_with(".py") && !file.ends_with(".sql")
}

/// The pipeline whose folder a file is in.
pub(crate) fn pipeline_of(path: &str) -> Option<&str> {
    let below = path.strip_prefix(PIPELINES)?.strip_prefix('/')?;
    below.rsplit_once('/').map(|(name, _)| name)
}
