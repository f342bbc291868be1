//! What a project needs of the workspace that runs it, in short: all that can be held against what is declared.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use magus_git::Unlisted;
use magus_model::Text;
use serde::{Deserialize, Serialize};

use crate::{
    project::{IO_CONFIG, Loaded, Place, Project, is_of_project, pipeline_of},
    reference::{Fallback, Kind, Missing, Name},
    scan::{Fault, is_read},
    triggers::Trigger,
};

/// What `mage init` writes into the `metadata.yaml` of every project, whether anybody wants to be told or not.
const PLACEHOLDERS: [&str; 2] = ["MAGE_SLACK_WEBHOOK_URL", "MAGE_TEAMS_WEBHOOK_URL"];

/// The settings that `mage init` writes into the profile `default`: if no block uses them, they are a template's, not a person's.
const STOCK: [&str; 6] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_TENANT_ID",
];

/// So many places of one name are told.
const PLACES: usize = 3;

/// What a project needs, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Needs {
    /// Every variable and every secret that the code names, ordered by kind and name.
    pub names: Vec<Need>,
    /// The places that make a name while they run.
    pub undecidable: Vec<Undecidable>,
    /// Whether the environment is read as a whole somewhere.
    pub reads_all: bool,
    /// The numbers of all words of the project that may be names.
    pub words: BTreeSet<u32>,
    /// The profiles that a block names and `io_config.yaml` does not have.
    pub unknown_profiles: Vec<Found<Text>>,
    /// Those that it has.
    pub profiles: Vec<Text>,
    /// Whether there is an `io_config.yaml`.
    pub has_profiles: bool,
    /// The SQL blocks without a data provider, which run nothing.
    pub idle: Vec<Found<Text>>,
    /// The files that cannot be read to their end.
    pub faults: Vec<Found<Fault>>,
    /// The files of blocks that are not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_files: Vec<Found<Text>>,
    /// The variables whose default in the code looks like a secret, each with what it looks like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_defaults: Vec<Found<(Text, Text)>>,
    /// The triggers, each with its pipeline.
    pub triggers: Vec<(Text, Trigger)>,
}

/// A variable or a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Which of them.
    pub kind: Kind,
    /// Its name.
    pub name: Text,
    /// The worst that happens where it is missing, over all places of pipelines.
    pub missing: Missing,
    /// The names that serve as well, where it is one of several: without all names of a list, something fails.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub alternatives: BTreeSet<Vec<Text>>,
    /// What the code has as its default, where it has one and fails nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// The pipelines that need it; none where no pipeline reaches a place of it.
    pub pipelines: BTreeSet<Text>,
    /// Where it is read: the places that would fail first, as `file:line`.
    pub places: Vec<Text>,
    /// Whether a file that the code reads into its environment may give it, such as `.env`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_file: bool,
    /// Whether one of this name in upper or lower case serves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_case: bool,
    /// Whether nothing but a profile that no block uses reads it.
    pub only_in_unused_profile: bool,
}

/// A place that makes a name while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undecidable {
    /// The name of what.
    pub kind: Kind,
    /// The expression.
    pub expression: Text,
    /// What its names look like, with `*` for what is not known.
    pub pattern: Text,
    /// `file:line`.
    pub place: Text,
    /// The pipelines that reach it.
    pub pipelines: BTreeSet<Text>,
}

/// Something in a file of the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found<T> {
    /// What.
    pub what: T,
    /// `file:line`.
    pub place: Text,
    /// The pipelines that reach it.
    pub pipelines: BTreeSet<Text>,
}

/// What is known of a name while its places are gone through.
#[derive(Default)]
struct Known<'p> {
    places: Vec<(Missing, &'p Text, u32)>,
    fallback: Option<&'p Fallback>,
    alternatives: BTreeSet<Vec<Text>>,
    alone: bool,
    pipelines: BTreeSet<&'p Text>,
    set_by: BTreeSet<&'p Text>,
    from_file: bool,
    any_case: bool,
    in_profile: bool,
    elsewhere: bool,
}

impl Needs {
    /// What a project needs.
    pub fn of(project: &Project) -> Self {
        let mut needs = Self::default();
        let mut names: BTreeMap<(Kind, &Text), Known<'_>> = BTreeMap::new();
        let profiles: Option<HashSet<&Text>> =
            project.profiles().map(|known| known.iter().map(|profile| &profile.name).collect());
        needs.has_profiles = project.file(IO_CONFIG).is_some();
        let mut unknown: BTreeMap<&Text, Found<Text>> = BTreeMap::new();
        let loaded = project.loaded();
        for place in project.places() {
            let reference = place.reference;
            match (&reference.name, reference.kind) {
                (_, Kind::Runtime | Kind::Store) | (Name::Undecidable(_), Kind::Profile) => {}
                (Name::Any, _) => needs.reads_all = true,
                (Name::Undecidable(expression), kind) => needs.undecidable.push(Undecidable {
                    kind,
                    expression: expression.clone(),
                    pattern: reference.pattern.clone().unwrap_or(Text::new_static("*")),
                    place: shown(place.file, reference.line),
                    pipelines: owned(project.needed_by(place)),
                }),
                (Name::Literal(profile), Kind::Profile) => {
                    let is_missing =
                        profiles.as_ref().map_or(!needs.has_profiles, |known| !known.contains(profile));
                    let pipelines = project.needed_by(place);
                    if is_missing && !pipelines.is_empty() {
                        let first = unknown.entry(profile).or_insert_with(|| Found {
                            what: profile.clone(),
                            place: shown(place.file, reference.line),
                            pipelines: BTreeSet::new(),
                        });
                        first.pipelines.extend(owned(pipelines));
                    }
                }
                (Name::Literal(name), kind) => {
                    if let Some(Fallback::Secret(looks_like)) = &reference.fallback {
                        needs.secret_defaults.push(Found {
                            what: (name.clone(), looks_like.clone()),
                            place: shown(place.file, reference.line),
                            pipelines: owned(project.needed_by(place)),
                        });
                    }
                    names.entry((kind, name)).or_default().add(place, &project.needed_by(place), &loaded);
                }
            }
        }
        needs.names = names.into_iter().map(|((kind, name), known)| known.need(kind, name.clone())).collect();
        needs.unknown_profiles = unknown.into_values().collect();
        needs.profiles =
            project.profiles().unwrap_or_default().iter().map(|profile| profile.name.clone()).collect();
        for (file, scan) in project.files() {
            needs.words.extend(&scan.words);
            let idle = scan.pipeline.iter().flat_map(|pipeline| &pipeline.idle);
            needs.idle.extend(idle.map(|(block, idle)| Found {
                what: block.clone(),
                place: shown(file, idle.line),
                pipelines: project.pipelines_of(file).cloned().collect(),
            }));
            let Some(fault) = &scan.fault else { continue };
            let pipelines = project.pipelines_of(file).cloned().collect();
            let place = shown(file, fault.line);
            needs.faults.push(Found { what: fault.clone(), place, pipelines });
        }
        needs.faults.extend(project.unlisted().map(unlisted));
        needs.missing_files = missing_files(project);
        needs.triggers =
            project.triggers().map(|(pipeline, _, trigger)| (pipeline.into(), trigger.clone())).collect();
        needs
    }

    /// Whether the code names this anywhere, in whatever way.
    pub fn names(&self, kind: Kind, name: &str) -> bool {
        self.names.binary_search_by(|need| (need.kind, need.name.as_str()).cmp(&(kind, name))).is_ok()
    }

    /// Whether this stands somewhere in the code, as a text or a word: it may be read there in a way that is not known.
    pub fn mentions(&self, name: &str) -> bool {
        crate::words::number(name).is_some_and(|number| self.words.contains(&number))
    }

    /// The variable or secret of this name.
    pub fn need(&self, kind: Kind, name: &str) -> Option<&Need> {
        let at =
            self.names.binary_search_by(|need| (need.kind, need.name.as_str()).cmp(&(kind, name))).ok()?;
        Some(&self.names[at])
    }
}

impl<'p> Known<'p> {
    fn add(&mut self, place: Place<'p>, pipelines: &[&'p Text], loaded: &BTreeMap<&Text, Loaded<'_>>) {
        let missing = place.reference.missing;
        if missing == Missing::Set {
            self.set_by.extend(pipelines);
            return;
        }
        let in_profile = place.file.as_str() == IO_CONFIG && place.reference.profile.is_some();
        self.any_case |= place.reference.any_case;
        let is_stock = place.reference.profile.as_deref() == Some("default")
            && place.reference.key.as_deref().is_some_and(|key| {
                STOCK.contains(&key)
                    && place.reference.name.literal().is_some_and(|name| name.as_str() == key)
            });
        self.in_profile |= in_profile && missing != Missing::Comment && !is_stock;
        self.elsewhere |= !in_profile;
        let named = |names: &[&str]| {
            place.reference.name.literal().is_some_and(|name| names.contains(&name.as_str()))
        };
        let missing = match missing {
            // What no pipeline reaches, and what stands in a comment, fails nowhere.
            _ if pipelines.is_empty() => Missing::Comment,
            _ if is_of_project(place.file) && named(&PLACEHOLDERS) => Missing::Comment,
            // No pipeline fails for what is missing in the settings of the project.
            Missing::Fails if is_of_project(place.file) => Missing::Default,
            Missing::Fails if place.reference.kind == Kind::Variable => {
                self.without(place, pipelines, loaded)
            }
            missing => missing,
        };
        if missing != Missing::Comment {
            self.pipelines.extend(pipelines);
        }
        if missing == Missing::Fails && !place.reference.alternatives.is_empty() {
            self.alternatives.extend(place.reference.alternatives.iter().cloned());
        } else {
            self.alone |= missing == Missing::Fails;
        }
        if missing == Missing::Default {
            self.fallback = self.fallback.or(place.reference.fallback.as_ref());
        }
        self.places.push((missing, place.file, place.reference.line));
    }

    /// What happens where a variable is not declared that files such as `.env` may give.
    fn without(
        &mut self,
        place: Place<'p>,
        pipelines: &[&'p Text],
        loaded: &BTreeMap<&Text, Loaded<'_>>,
    ) -> Missing {
        let name = place.reference.name.literal().map_or("", |name| name.as_str());
        let of = |pipeline: &&Text| match loaded.get(pipeline) {
            Some(loaded) if loaded.names.contains(name) => Missing::Default,
            Some(Loaded { is_elsewhere: true, .. }) => Missing::Undecidable,
            _ => Missing::Fails,
        };
        let worst = pipelines.iter().map(of).min().unwrap_or(Missing::Fails);
        self.from_file |= worst == Missing::Undecidable;
        worst
    }

    fn need(self, kind: Kind, name: Text) -> Need {
        let Self {
            mut places,
            fallback,
            alternatives,
            alone,
            mut pipelines,
            set_by,
            from_file,
            any_case,
            in_profile,
            elsewhere,
        } = self;
        // A pipeline that sets it itself needs nobody for it.
        pipelines.retain(|pipeline| !set_by.contains(pipeline));
        places.sort();
        places.dedup();
        let worst = places.first().map_or(Missing::Set, |(missing, ..)| *missing);
        Need {
            kind,
            name,
            missing: if pipelines.is_empty() { Missing::Comment } else { worst },
            from_file: from_file && worst == Missing::Undecidable,
            any_case,
            only_in_unused_profile: pipelines.is_empty() && in_profile && !elsewhere,
            fallback: fallback.filter(|_| worst == Missing::Default).cloned(),
            // What fails for itself needs no other name.
            alternatives: if alone { BTreeSet::new() } else { alternatives },
            pipelines: owned(pipelines),
            places: places.into_iter().take(PLACES).map(|(_, file, line)| shown(file, line)).collect(),
        }
    }
}

/// The files of blocks that a project lacks, in order. If it was not read to its end, none is known to be missing.
fn missing_files(project: &Project) -> Vec<Found<Text>> {
    if project.unlisted().is_some() {
        return Vec::new();
    }
    let mut missing: BTreeMap<&Text, (Text, BTreeSet<Text>)> = BTreeMap::new();
    for (path, scan) in project.files() {
        let (Some(pipeline), Some(name)) = (&scan.pipeline, pipeline_of(path)) else { continue };
        for file in pipeline.own.iter().filter(|file| project.file(file).is_none() && is_read(file)) {
            let known = missing.entry(file).or_insert_with(|| (path.clone(), BTreeSet::new()));
            known.1.insert(name.into());
        }
    }
    let found = |(file, (place, pipelines)): (&Text, _)| Found { what: file.clone(), place, pipelines };
    missing.into_iter().map(found).collect()
}

/// Longest path of a folder that is too deep, in characters.
const LONGEST_FOLDER: usize = 80;

/// What is told of files that were not read.
fn unlisted(unlisted: &Unlisted) -> Found<Fault> {
    let place = match unlisted {
        Unlisted::TooDeep(path) => {
            let shown: String = path.chars().take(LONGEST_FOLDER).collect();
            let more = if shown.len() < path.len() { "…" } else { "" };
            format!("{shown}{more}").into()
        }
        Unlisted::TooMany => Text::new_static("."),
    };
    let what = format!("{unlisted}, and what is there was not read").into();
    Found { what: Fault { line: 1, column: 1, what }, place, pipelines: BTreeSet::new() }
}

fn shown(file: &Text, line: u32) -> Text {
    format!("{file}:{line}").into()
}

fn owned<'p>(pipelines: impl IntoIterator<Item = &'p Text>) -> BTreeSet<Text> {
    pipelines.into_iter().cloned().collect()
}
