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
    pub(crate) profiles: Option<BTreeSet<Text>>,
    /// The files that its code reads into the environment; an empty name for one that it makes while it runs.
    pub(crate) loads: BTreeSet<Text>,
    /// The services whose settings its blocks read from a profile; nothing where nobody can say.
    pub(crate) services: Option<BTreeSet<&'static str>>,
}

/// Whether what pipelines reach is the same with one file or the other at a path.
pub(crate) fn is_alike(one: &Scan, other: &Scan) -> bool {
    let profiles = |scan: &Scan| -> Vec<_> {
        let named = scan.references.iter().filter(|reference| reference.kind == Kind::Profile);
        named.map(|reference| reference.name.clone()).collect()
    };
    (&one.pipeline, &one.imports, &one.loads) == (&other.pipeline, &other.imports, &other.loads)
        && profiles(one) == profiles(other)
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
        let services = |scan: &Scan| -> Vec<Option<&'static str>> {
            scan.imports.iter().filter_map(|import| providers::of_import(import)).collect()
        };
        let mut reach = Reach {
            runs_dbt: pipeline.runs_dbt,
            profiles: Some(BTreeSet::new()),
            services: Some(BTreeSet::new()),
            ..Reach::default()
        };
        for (provider, profile) in &pipeline.providers {
            reach.read(profile, &[providers::of_provider(provider)]);
        }
        for scan in files.iter().filter_map(|file| self.files.get(file)) {
            if scan.pipeline.is_some() {
                continue;
            }
            reach.loads.extend(scan.loads.iter().cloned());
            let named = scan.references.iter().filter(|reference| reference.kind == Kind::Profile);
            for reference in named {
                match reference.name.literal() {
                    Some(profile) => reach.read(profile, &services(scan)),
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
