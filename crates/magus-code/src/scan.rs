//! What is found in one file, by its content and what it is for.

use magus_model::Text;
use serde::{Deserialize, Serialize};

use crate::{
    pipeline::{self, Pipeline},
    python,
    reference::Reference,
    template,
    triggers::{self, Trigger},
    words,
};

/// What is kept was found by this version of the scanner; another one looks again.
pub(crate) const VERSION: u32 = 10;

/// No YAML file that somebody wrote is larger.
const LARGEST_YAML: u64 = magus_load::LARGEST_FILE;

/// What is found in a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scan {
    /// What it refers to, in the order of their places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    /// What it imports, as dotted paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<Text>,
    /// The files that it reads into the environment, such as `.env`; empty for one whose name it makes while it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) loads: Vec<Text>,
    /// The variables that it sets, where it is such a file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) sets: Vec<Text>,
    /// The keys of a profile that it names: `config['POSTGRES_HOST']`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) keys: Vec<Text>,
    /// Whether it gives a profile to something that may read any key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) hands_on_profile: bool,
    /// The numbers of the words in it that may be names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) words: Vec<u32>,
    /// Why it cannot be read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// The profiles, where it is an `io_config.yaml`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<Profile>,
    /// The pipeline, where it is the metadata of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<Pipeline>,
    /// The triggers, where it is a `triggers.yaml`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<Trigger>,
}

/// A place at which a file stops making sense.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is wrong, as the end of a sentence: `it is no valid Python`.
    pub what: Text,
}

/// A profile of an `io_config.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Its name.
    pub name: Text,
    /// Its line.
    pub line: u32,
}

/// What a file is for: that decides how it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum FileKind {
    Python,
    /// SQL: text that is rendered.
    Text,
    /// YAML that is rendered before it is parsed.
    Yaml,
    IoConfig,
    Pipeline,
    Triggers,
    /// What is looked through for words alone: R, shell, and YAML that Mage does not render.
    Words,
    /// Variables that code may read into its environment, as python-dotenv does.
    Dotenv,
}

/// The folders whose YAML files Mage renders: those of blocks, of dbt and of interactions.
const RENDERED: [&str; 11] = [
    "callbacks",
    "conditionals",
    "custom",
    "data_exporters",
    "data_loaders",
    "dbt",
    "extensions",
    "interactions",
    "scratchpads",
    "sensors",
    "transformers",
];

/// The endings of other files in which variables are read.
const OF_WORDS: [&str; 5] = [".r", ".R", ".sh", ".toml", ".cfg"];

/// What Mage renders in the root of a project (MAGE.md 7).
const OF_PROJECT: [&str; 3] = ["metadata.yaml", "settings.yaml", ".settings.yaml"];

impl FileKind {
    /// What the file at this path of a project is for; nothing for what is not looked at.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let (folder, name) = path.split_once('/').unwrap_or(("", path));
        let is_yaml = path.ends_with(".yaml") || path.ends_with(".yml");
        Some(match folder {
            "" if name == crate::project::IO_CONFIG => FileKind::IoConfig,
            "" if OF_PROJECT.contains(&name) => FileKind::Yaml,
            crate::project::PIPELINES if name.ends_with("/metadata.yaml") => FileKind::Pipeline,
            crate::project::PIPELINES if name.ends_with("/triggers.yaml") => FileKind::Triggers,
            // Notes, whatever they are called.
            "markdowns" => return None,
            _ if is_dotenv(path) => FileKind::Dotenv,
            _ if path.ends_with(".py") => FileKind::Python,
            _ if path.ends_with(".sql") => FileKind::Text,
            folder if is_yaml && RENDERED.contains(&folder) => FileKind::Yaml,
            _ if is_yaml || OF_WORDS.iter().any(|ending| path.ends_with(ending)) => FileKind::Words,
            _ => return None,
        })
    }

    /// A word for it, for what is kept.
    pub(crate) fn word(self) -> &'static str {
        match self {
            FileKind::Python => "python",
            FileKind::Text => "text",
            FileKind::Yaml => "yaml",
            FileKind::IoConfig => "io_config",
            FileKind::Pipeline => "pipeline",
            FileKind::Triggers => "triggers",
            FileKind::Words => "words",
            FileKind::Dotenv => "dotenv",
        }
    }
}

/// Whether a file is one of variables: `.env`, `.env.prod`, `prod.env`.
fn is_dotenv(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    name.starts_with(".env") || name.ends_with(".env")
}

/// The names that a file of variables sets.
fn sets(text: &str) -> Vec<Text> {
    let name = |line: &str| {
        let line = line.trim_start();
        let (name, _) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
        let name = name.trim();
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        (!name.is_empty() && name.bytes().all(is_part)).then(|| Text::from(name))
    };
    let mut names: Vec<Text> = text.lines().filter_map(name).collect();
    names.sort();
    names.dedup();
    names
}

/// Whether a file at this path of a project is looked at.
pub(crate) fn is_read(path: &str) -> bool {
    FileKind::of(path).is_some()
}

/// What is found in a file at this path of a project, with this content; nothing for what is not looked at.
pub fn scan_file(path: &str, content: &[u8]) -> Option<Scan> {
    FileKind::of(path).map(|kind| scan(kind, content))
}

/// Reads a file. Nothing that it holds makes this fail.
pub(crate) fn scan(kind: FileKind, content: &[u8]) -> Scan {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let is_code = matches!(kind, FileKind::Python | FileKind::Text | FileKind::Words | FileKind::Dotenv);
    if !is_code && content.len() as u64 > LARGEST_YAML {
        return too_large(kind);
    }
    let text = String::from_utf8_lossy(content);
    let mut scan = match kind {
        FileKind::Python => python::scan(&text),
        FileKind::Text => template::text(&text),
        FileKind::Yaml => template::yaml(&text),
        FileKind::IoConfig => template::io_config(&text),
        FileKind::Pipeline => pipeline::scan(&text),
        FileKind::Triggers => triggers::scan(&text),
        FileKind::Words => Scan::default(),
        FileKind::Dotenv => Scan { sets: sets(&text), ..Scan::default() },
    };
    if kind != FileKind::Python {
        scan.words = words::of(&text);
    }
    // What is only looked through may be anything.
    let is_looked_through = matches!(kind, FileKind::Words | FileKind::Dotenv);
    if let (std::borrow::Cow::Owned(_), false) = (&text, is_looked_through) {
        let good = content.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let (line, column) = python::Lines::new(good).place(good.len());
        scan.fault = Some(Fault { line, column, what: Text::new_static("it is not UTF-8") });
    }
    scan
}

/// What is said of a file that is too large to be read.
pub(crate) fn too_large(kind: FileKind) -> Scan {
    if matches!(kind, FileKind::Words | FileKind::Dotenv) {
        return Scan::default();
    }
    let fault = Fault { line: 1, column: 1, what: Text::new_static("it is too large to be read") };
    Scan { fault: Some(fault), ..Scan::default() }
}
