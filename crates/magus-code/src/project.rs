//! A Mage project at a commit: what its files refer to, and which of them each pipeline reaches.

use std::{
    cell::{OnceCell, RefCell},
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::Path,
    rc::Rc,
};

use magus_git::{Code, Entry};
use magus_model::Text;
use rayon::prelude::*;

use crate::{
    cache::{Cache, Key},
    needs::Needs,
    pipeline::Pipeline,
    providers,
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

/// A larger file is not read.
const LARGEST: usize = 8 << 20;

/// Reads projects. Each is read once; what its files hold is remembered by their content, over runs too.
#[derive(Debug, Default)]
pub struct Projects {
    cache: Option<Cache>,
    read: RefCell<HashMap<String, Option<Rc<Project>>>>,
    scans: RefCell<HashMap<Key, Rc<Scan>>>,
    needs: RefCell<HashMap<String, Rc<Needs>>>,
}

/// A project at a commit.
#[derive(Debug, Default)]
pub struct Project {
    files: BTreeMap<Text, Rc<Scan>>,
    pipelines: BTreeMap<Text, Reach>,
    /// By file, the pipelines that reach it; made when it is first asked for.
    reached: OnceCell<HashMap<Text, Vec<Text>>>,
    /// What the root has: folders, and Python files without their ending. Nothing else of the project can be imported by name.
    roots: HashSet<Text>,
}

/// What a pipeline reaches.
#[derive(Debug, Default)]
struct Reach {
    files: BTreeSet<Text>,
    runs_dbt: bool,
    /// The profiles that its blocks name; nothing where one of them makes the name while it runs.
    profiles: Option<BTreeSet<Text>>,
    /// The services whose settings its blocks read from a profile; nothing where nobody can say.
    services: Option<BTreeSet<&'static str>>,
}

/// A place of a project that refers to something.
#[derive(Debug, Clone, Copy)]
pub struct Place<'p> {
    /// The file, relative to the project.
    pub file: &'p Text,
    /// What it refers to, and where.
    pub reference: &'p Reference,
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

    /// The project in a folder of a commit; nothing where either is not there.
    pub fn project(&self, code: &Code, commit: &str, directory: &str) -> Option<Rc<Project>> {
        // What is in the folder says what the project is, whichever commit it is of.
        let tree = code.files(commit, directory)?.tree_id();
        if let Some(known) = self.read.borrow().get(&tree) {
            return known.clone();
        }
        let project = self.read(code, commit, directory).map(Rc::new);
        let mut read = self.read.borrow_mut();
        // Of many commits, few are asked for twice, and one after the other.
        if read.len() >= AT_HAND {
            read.clear();
        }
        read.insert(tree, project.clone());
        project
    }

    /// What the project in a folder of a commit needs; nothing where either is not there. One that was looked at in an earlier run
    /// costs nothing.
    pub fn needs(&self, code: &Code, commit: &str, directory: &str) -> Option<Rc<Needs>> {
        let tree = code.files(commit, directory)?.tree_id();
        if let Some(known) = self.needs.borrow().get(&tree) {
            return Some(Rc::clone(known));
        }
        let kept = self.cache.as_ref().and_then(|cache| cache.needs(&tree));
        let needs = match kept {
            Some(needs) => needs,
            None => {
                let needs = Needs::of(&self.read(code, commit, directory)?);
                if let Some(cache) = &self.cache {
                    cache.keep(&[], &[(&tree, &needs)]);
                }
                needs
            }
        };
        let needs = Rc::new(needs);
        self.needs.borrow_mut().insert(tree, Rc::clone(&needs));
        Some(needs)
    }

    fn read(&self, code: &Code, commit: &str, directory: &str) -> Option<Project> {
        let files = code.files(commit, directory)?;
        let entries = files.entries();
        let mut wanted: Vec<(Text, Key)> = Vec::new();
        for Entry { path, id } in entries {
            if let Some(kind) = FileKind::of(&path) {
                wanted.push((path.into(), (kind, id)));
            }
        }
        let mut scans = self.scans.borrow_mut();
        let mut new: Vec<Key> =
            wanted.iter().map(|(_, key)| *key).filter(|key| !scans.contains_key(key)).collect();
        new.sort_unstable();
        new.dedup();
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
                let content = files.content(key.1, LARGEST);
                size += content.as_ref().map_or(0, Vec::len);
                batch.push((key, content));
            }
            found.par_extend(batch.into_par_iter().map(|(key, content)| {
                let scan = content.map_or_else(scan::too_large, |content| scan::scan(key.0, &content));
                (key, scan)
            }));
        }
        if let Some(cache) = &self.cache {
            cache.keep(&found.iter().map(|(key, scan)| (*key, scan)).collect::<Vec<_>>(), &[]);
        }
        scans.extend(found.into_iter().map(|(key, scan)| (key, Rc::new(scan))));
        let files = wanted.into_iter().filter_map(|(path, key)| Some((path, Rc::clone(scans.get(&key)?))));
        Some(Project::of(files.collect()))
    }
}

impl Project {
    fn of(files: BTreeMap<Text, Rc<Scan>>) -> Self {
        let roots = files.keys().map(|path| match path.split_once('/') {
            Some((folder, _)) => folder.into(),
            None => path.strip_suffix(".py").unwrap_or(path).into(),
        });
        let mut project = Self { roots: roots.collect(), files, ..Self::default() };
        for (path, scan) in &project.files {
            let (Some(pipeline), Some(name)) = (&scan.pipeline, pipeline_of(path)) else { continue };
            project.pipelines.insert(name.into(), project.reach(path, name, pipeline));
        }
        project
    }

    fn reached(&self) -> &HashMap<Text, Vec<Text>> {
        self.reached.get_or_init(|| {
            let mut reached: HashMap<Text, Vec<Text>> = HashMap::with_capacity(self.files.len());
            for (name, reach) in &self.pipelines {
                for file in &reach.files {
                    reached.entry(file.clone()).or_default().push(name.clone());
                }
            }
            reached
        })
    }

    /// The pipelines that reach a file, where only a few files are asked for.
    pub(crate) fn reaching(&self, file: &str) -> impl Iterator<Item = &Text> {
        self.pipelines.iter().filter(move |(_, reach)| reach.files.contains(file)).map(|(name, _)| name)
    }

    /// The files of a pipeline: its own, those of its blocks, and what they import, to the end.
    fn reach(&self, metadata: &Text, name: &str, pipeline: &Pipeline) -> Reach {
        let mut files: BTreeSet<Text> = BTreeSet::from([metadata.clone()]);
        let triggers = Text::from(format!("{PIPELINES}/{name}/triggers.yaml"));
        files.extend(self.files.contains_key(&triggers).then_some(triggers));
        // Those that are not looked at, such as notes and R, are files of it too.
        let mut open: Vec<Text> = pipeline.files.iter().cloned().collect();
        while let Some(file) = open.pop() {
            if !files.insert(file.clone()) {
                continue;
            }
            let imports = self.files.get(&file).map_or(&[][..], |scan| &scan.imports);
            open.extend(imports.iter().flat_map(|import| self.modules(&file, import)));
        }
        if pipeline.runs_dbt {
            let is_dbt = |file: &&Text| file.strip_prefix(DBT).is_some_and(|rest| rest.starts_with('/'));
            files.extend(self.files.keys().filter(is_dbt).cloned());
        }
        let runs_dbt = pipeline.runs_dbt;
        let mut reach =
            Reach { files, runs_dbt, profiles: Some(BTreeSet::new()), services: Some(BTreeSet::new()) };
        for (provider, profile) in &pipeline.providers {
            reach.read(profile, &[providers::of_provider(provider)]);
        }
        for scan in reach.files.clone().iter().filter_map(|file| self.files.get(file)) {
            if scan.pipeline.is_some() {
                continue;
            }
            let named = scan.references.iter().filter(|reference| reference.kind == Kind::Profile);
            let services: Vec<_> =
                scan.imports.iter().filter_map(|import| providers::of_import(import)).collect();
            for reference in named {
                match reference.name.literal() {
                    Some(profile) => reach.read(profile, &services),
                    None => reach.profiles = None,
                }
            }
        }
        reach
    }

    /// The files that an import may mean: from the root of the project, or by the project's name, which is not known here.
    fn modules(&self, file: &str, import: &str) -> Vec<Text> {
        let dots = import.len() - import.trim_start_matches('.').len();
        let path = import[dots..].replace('.', "/");
        let mut places = Vec::new();
        if dots > 0 {
            let mut folder: Vec<&str> = file.split('/').collect();
            folder.truncate(folder.len().saturating_sub(dots));
            folder.extend(Some(path.as_str()).filter(|path| !path.is_empty()));
            places.push(folder.join("/"));
        } else {
            let is_here = |path: &str| self.roots.contains(path.split('/').next().unwrap_or(path));
            places.extend(
                path.split_once('/').map(|(_, below)| below.to_owned()).filter(|below| is_here(below)),
            );
            places.extend(Some(path).filter(|path| is_here(path)));
        }
        let files = places.iter().flat_map(|place| [format!("{place}.py"), format!("{place}/__init__.py")]);
        files.map(Text::from).filter(|file| self.files.contains_key(file)).collect()
    }

    /// The names of the pipelines.
    pub fn pipelines(&self) -> impl Iterator<Item = &Text> {
        self.pipelines.keys()
    }

    /// What was found in a file.
    pub fn file(&self, path: &str) -> Option<&Scan> {
        self.files.get(path).map(|scan| &**scan)
    }

    /// The pipelines with a block that runs dbt.
    pub(crate) fn running_dbt(&self) -> impl Iterator<Item = &Text> {
        self.pipelines.iter().filter(|(_, reach)| reach.runs_dbt).map(|(name, _)| name)
    }

    /// The pipelines that read a profile of `io_config.yaml`.
    pub(crate) fn reading_profiles(&self) -> impl Iterator<Item = &Text> {
        let reads = |reach: &Reach| reach.profiles.as_ref().is_none_or(|profiles| !profiles.is_empty());
        self.pipelines.iter().filter(move |(_, reach)| reads(reach)).map(|(name, _)| name)
    }

    /// The pipelines that reach a file.
    pub fn pipelines_of(&self, file: &str) -> impl Iterator<Item = &Text> {
        self.reached().get(file).into_iter().flatten()
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

    /// The pipelines that need what a place refers to. A setting in a profile is needed where a block reads that profile, and, as
    /// far as is known, the service that the setting is for.
    pub fn needed_by(&self, place: Place<'_>) -> BTreeSet<&Text> {
        let Place { file, reference } = place;
        if file.as_str() != IO_CONFIG {
            if is_of_project(file) {
                // Mage reads it whatever runs.
                return self.pipelines.keys().collect();
            }
            return self.pipelines_of(file).collect();
        }
        let Some(profile) = &reference.profile else { return self.pipelines.keys().collect() };
        let service = reference.key.as_deref().and_then(providers::of_key);
        let needs = |reach: &Reach| {
            let profile = reach.profiles.as_ref().is_none_or(|profiles| profiles.contains(profile));
            let serves = service.is_none_or(|service| {
                reach
                    .services
                    .as_ref()
                    .is_none_or(|services| services.iter().any(|used| providers::needs(used, service)))
            });
            profile && serves
        };
        self.pipelines.iter().filter(|(_, reach)| needs(reach)).map(|(name, _)| name).collect()
    }

    /// The pipelines that read a profile that is called like this, each at a place.
    pub fn profiles_read(&self) -> impl Iterator<Item = (Place<'_>, &Text)> {
        self.places().filter(|place| place.reference.kind == Kind::Profile).filter_map(|place| {
            let Name::Literal(name) = &place.reference.name else { return None };
            Some((place, name))
        })
    }
}

impl Reach {
    fn read(&mut self, profile: &Text, services: &[Option<&'static str>]) {
        if let Some(profiles) = &mut self.profiles {
            profiles.insert(profile.clone());
        }
        // Who reads a profile and names no service may use all that it holds.
        let known: Option<Vec<&'static str>> = services.iter().copied().collect();
        self.services = match (self.services.take(), known) {
            (Some(mut all), Some(known)) if !known.is_empty() => {
                all.extend(known);
                Some(all)
            }
            _ => None,
        };
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
