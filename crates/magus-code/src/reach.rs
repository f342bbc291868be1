//! What the pipelines of a project reach: the files of their blocks, what these import, and the profiles that they read.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    rc::Rc,
};

use magus_model::Text;

use crate::{
    pipeline::Pipeline,
    project::{DBT, PIPELINES, pipeline_of},
    providers,
    reference::Kind,
    scan::Scan,
};

/// What all pipelines of a project reach.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    pub(crate) pipelines: BTreeMap<Text, Reach>,
    /// By file, the pipelines that reach it; made when it is first asked for.
    reached: OnceCell<HashMap<Text, Vec<Text>>>,
}

/// What a pipeline reaches.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    pub(crate) files: BTreeSet<Text>,
    pub(crate) runs_dbt: bool,
    /// The profiles that its blocks name; nothing where one of them makes the name while it runs.
    pub(crate) profiles: Option<BTreeMap<Text, Used>>,
    /// The files that its code reads into the environment; an empty name for one that it makes while it runs.
    pub(crate) loads: BTreeSet<Text>,
}

/// What is read of a profile.
#[derive(Debug, Default)]
pub(crate) struct Used {
    /// Whether it may be all of it.
    is_all: bool,
    services: BTreeSet<&'static str>,
    keys: BTreeSet<Text>,
}

impl Used {
    /// Whether a setting of the profile is read.
    pub(crate) fn has(&self, key: Option<&str>) -> bool {
        let Some(key) = key.filter(|_| !self.is_all) else { return true };
        let of_service = providers::of_key(key)
            .is_some_and(|service| self.services.iter().any(|used| providers::needs(used, service)));
        of_service || self.keys.contains(key) || self.keys.iter().any(|used| providers::is_within(used, key))
    }
}

/// Whether what pipelines reach is the same with one file or the other at a path.
pub(crate) fn is_alike(one: &Scan, other: &Scan) -> bool {
    let profiles = |scan: &Scan| -> Vec<_> {
        let named = scan.references.iter().filter(|reference| reference.kind == Kind::Profile);
        named.map(|reference| reference.name.clone()).collect()
    };
    let of = |scan: &Scan| {
        (
            scan.pipeline.clone(),
            scan.imports.clone(),
            scan.loads.clone(),
            scan.keys.clone(),
            scan.hands_on_profile,
        )
    };
    of(one) == of(other) && profiles(one) == profiles(other)
}

impl Shape {
    pub(crate) fn of(files: &BTreeMap<Text, Rc<Scan>>) -> Self {
        let roots = files.keys().map(|path| match path.split_once('/') {
            Some((folder, _)) => folder.into(),
            None => path.strip_suffix(".py").unwrap_or(path).into(),
        });
        let project = Files { files, roots: roots.collect() };
        let mut shape = Self::default();
        for (path, scan) in files {
            let (Some(pipeline), Some(name)) = (&scan.pipeline, pipeline_of(path)) else { continue };
            shape.pipelines.insert(name.into(), project.reach(path, name, pipeline));
        }
        shape
    }

    pub(crate) fn reached(&self) -> &HashMap<Text, Vec<Text>> {
        self.reached.get_or_init(|| {
            let mut reached: HashMap<Text, Vec<Text>> = HashMap::new();
            for (name, reach) in &self.pipelines {
                for file in &reach.files {
                    reached.entry(file.clone()).or_default().push(name.clone());
                }
            }
            reached
        })
    }
}

/// The files of a project, and what can be imported from them.
struct Files<'f> {
    files: &'f BTreeMap<Text, Rc<Scan>>,
    /// What the root has: folders, and Python files without their ending. Nothing else of the project can be imported by name.
    roots: HashSet<Text>,
}

impl Files<'_> {
    /// The files of a pipeline: its own, those of its blocks, and what they import, to the end.
    fn reach(&self, metadata: &Text, name: &str, pipeline: &Pipeline) -> Reach {
        let mut files: BTreeSet<Text> = BTreeSet::from([metadata.clone()]);
        let triggers = Text::from(format!("{PIPELINES}/{name}/triggers.yaml"));
        files.extend(self.files.contains_key(&triggers).then_some(triggers));
        // Those that are not looked at, such as notes and R, are files of it too.
        let mut open: Vec<Text> = pipeline.files.iter().map(|file| self.block_file(file)).collect();
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
        let mut reach =
            Reach { runs_dbt: pipeline.runs_dbt, profiles: Some(BTreeMap::new()), ..Reach::default() };
        for (provider, profile) in &pipeline.providers {
            reach.used(profile).service(providers::of_provider(provider));
        }
        for idle in pipeline.idle.values() {
            reach.used(&idle.profile);
        }
        for scan in files.iter().filter_map(|file| self.files.get(file)) {
            reach.loads.extend(scan.loads.iter().cloned());
            if scan.pipeline.is_some() {
                continue;
            }
            let named = scan.references.iter().filter(|reference| reference.kind == Kind::Profile);
            for reference in named {
                match reference.name.literal() {
                    Some(profile) => reach.used(profile).code(scan),
                    None => reach.profiles = None,
                }
            }
        }
        Reach { files, ..reach }
    }

    /// Where the file of a block is. People write the name of the project before it, or where it was on their machine.
    fn block_file(&self, file: &Text) -> Text {
        let mut paths =
            std::iter::successors(Some(file.as_str()), |path| path.split_once('/').map(|(_, below)| below));
        let found = paths.find(|path| path.contains('/') && self.files.contains_key(*path));
        found.map_or_else(|| file.clone(), Text::from)
    }

    /// The files that an import may mean: from the root of the project, or by the project's name, which is not known here.
    fn modules(&self, file: &str, import: &str) -> Vec<Text> {
        let module = import.trim_start_matches('.');
        let dots = import.len() - module.len();
        let mut places = Vec::new();
        if dots > 0 {
            let mut folder: Vec<&str> = file.split('/').collect();
            folder.truncate(folder.len().saturating_sub(dots));
            folder.extend(module.split('.').filter(|name| !name.is_empty()));
            places.push(folder.join("/"));
        } else {
            let is_here = |module: &&str| self.roots.contains(module.split('.').next().unwrap_or(module));
            let below = module.split_once('.').map(|(_, below)| below);
            let here = below.into_iter().chain([module]).filter(is_here);
            places.extend(here.map(|module| module.replace('.', "/")));
        }
        let files = places.iter().flat_map(|place| [format!("{place}.py"), format!("{place}/__init__.py")]);
        files.map(Text::from).filter(|file| self.files.contains_key(file)).collect()
    }
}

impl Reach {
    /// What is used of a profile.
    fn used(&mut self, profile: &Text) -> Entry<'_> {
        Entry(self.profiles.as_mut().map(|profiles| profiles.entry(profile.clone()).or_default()))
    }
}

/// What is used of a profile, while it is found out; nothing where any profile may be read.
struct Entry<'r>(Option<&'r mut Used>);

impl Entry<'_> {
    /// All settings of a service; of who names none that is known, all that the profile holds.
    fn service(self, service: Option<&'static str>) {
        let Some(used) = self.0 else { return };
        match service {
            Some(service) => drop(used.services.insert(service)),
            None => used.is_all = true,
        }
    }

    /// What Python code reads that loads the profile: the settings of the clients that it imports, and the keys that it names.
    fn code(self, scan: &Scan) {
        let Some(used) = self.0 else { return };
        let clients: Vec<_> = scan.imports.iter().filter_map(|import| providers::of_import(import)).collect();
        used.keys.extend(scan.keys.iter().cloned());
        // Without a client, and where no key is named, whatever the profile is given to may read all of it.
        used.is_all |= scan.hands_on_profile && clients.is_empty();
        used.is_all |= clients.is_empty() && scan.keys.is_empty();
        for client in clients {
            match client {
                Some(service) => drop(used.services.insert(service)),
                None => used.is_all = true,
            }
        }
    }
}
