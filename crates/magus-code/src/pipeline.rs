//! A pipeline: its blocks and where their files are, as `metadata.yaml` has them.

use std::collections::{BTreeMap, BTreeSet};

use magus_model::{Text, tree::Node};
use serde::{Deserialize, Serialize};

use crate::{
    jinja,
    python::{Lines, ordered},
    reference::{Kind, Missing, Name, Reference},
    scan::Scan,
    template::{fault, parse, rendered, text_of},
};

/// What the metadata of a pipeline says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pipeline {
    /// The files of its blocks, relative to the project.
    pub files: BTreeSet<Text>,
    /// The files among them without which a block runs nothing, as far as Mage alone says where they are.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub own: BTreeSet<Text>,
    /// The data providers of the blocks that name one, each with the profile that it is read with.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub providers: BTreeSet<(Text, Text)>,
    /// The SQL blocks without a data provider, which run nothing, each with its profile.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub idle: BTreeMap<Text, Idle>,
    /// Whether a block of it runs dbt.
    pub runs_dbt: bool,
}

/// A block that runs nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idle {
    /// The profile that it loads nevertheless.
    pub profile: Text,
    /// Its line in the metadata.
    pub line: u32,
}

/// The lists of blocks: callbacks and conditionals have lists of their own.
const LISTS: [&str; 4] = ["blocks", "callbacks", "conditionals", "widgets"];

/// Those whose blocks run with the pipeline.
const RUNNING: [&str; 3] = ["blocks", "callbacks", "conditionals"];

/// The types of blocks that run what is in a file of their own. A block of dbt may run a whole project.
const OF_FILES: [&str; 7] =
    ["callback", "conditional", "custom", "data_exporter", "data_loader", "sensor", "transformer"];

/// The profile of a block that names none.
const DEFAULT_PROFILE: &str = "default";

/// Reads the metadata of a pipeline. What is no pipeline has none.
pub(crate) fn scan(text: &str) -> Scan {
    let lines = Lines::new(text);
    let template = jinja::read(text);
    let parsed = parse(&rendered(text, &template));
    let mut scan = Scan { fault: fault(&parsed, &lines), ..Scan::default() };
    let Some(root) =
        parsed.root.as_ref().filter(|root| matches!(root.kind, magus_model::tree::NodeKind::Map(_)))
    else {
        return scan;
    };
    let mut pipeline = Pipeline::default();
    let mut places = Vec::new();
    places.extend(root.get("executor_type"));
    // Extensions, such as tests of Great Expectations, have blocks of their own.
    let extensions = root.get("extensions").map_or(&[][..], Node::entries);
    let lists = LISTS.iter().filter_map(|list| root.get(list));
    let lists = lists.chain(extensions.iter().filter_map(|extension| extension.value.get("blocks")));
    for block in lists.flat_map(Node::items) {
        pipeline.add(block, &lines);
        places.extend(["executor_type", "configuration"].iter().filter_map(|key| block.get(key)));
        scan.references.extend(profile(block, &lines));
    }
    let running = RUNNING.iter().filter_map(|list| root.get(list)).flat_map(Node::items);
    pipeline.own = running.filter_map(own_file).collect();
    // Only these are rendered, and nothing of the file before it is parsed.
    for (at, kind, name, missing, fallback) in template.references {
        let is_in = |node: &&Node| (node.span.start as usize..node.span.end as usize).contains(&at);
        if places.iter().any(is_in) {
            let (line, column) = lines.place(at);
            scan.references.push(Reference {
                line,
                column,
                kind,
                name,
                missing,
                alternatives: Vec::new(),
                any_case: false,
                fallback,
                pattern: None,
                profile: None,
                key: None,
            });
        }
    }
    scan.references = ordered(scan.references);
    scan.pipeline = Some(pipeline);
    scan
}

/// The profile that the configuration of a block names.
fn profile(block: &Node, lines: &Lines<'_>) -> Option<Reference> {
    let node = block.get("configuration")?.get("data_provider_profile").filter(|node| !node.is_null())?;
    let name = node.as_str()?;
    let (line, column) = lines.place(node.span.start as usize);
    // Mage fills in variables of the pipeline.
    let name = if name.contains("{{") { Name::undecidable(name) } else { Name::Literal(name.into()) };
    Some(Reference {
        line,
        column,
        kind: Kind::Profile,
        name,
        missing: Missing::Fails,
        alternatives: Vec::new(),
        any_case: false,
        fallback: None,
        pattern: None,
        profile: None,
        key: None,
    })
}

impl Pipeline {
    fn add(&mut self, block: &Node, lines: &Lines<'_>) {
        let text = |key: &str| text_of(block, key).map(Text::as_str);
        let configuration = block.get("configuration");
        let configured = |key: &str| configuration.and_then(|configuration| text_of(configuration, key));
        let profile = configured("data_provider_profile").cloned();
        let profile = profile.unwrap_or(Text::new_static(DEFAULT_PROFILE));
        let runs_sql = text("language") == Some("sql") && text("type") != Some("dbt");
        match configured("data_provider").filter(|provider| !provider.is_empty()) {
            Some(provider) => drop(self.providers.insert((provider.clone(), profile))),
            // Mage loads the profile, and then does nothing (`execute_sql_code` in 0.9.80).
            None if runs_sql => {
                let (line, _) = lines.place(block.span.start as usize);
                self.idle.extend(text("uuid").map(|uuid| (Text::from(uuid), Idle { profile, line })));
            }
            None => {}
        }
        self.runs_dbt |= text("type") == Some("dbt");
        // A block may say where its file is, instead of being called like it.
        let source = configuration.and_then(|configuration| configuration.get("file_source"));
        let named = source.and_then(|source| text_of(source, "path")).or_else(|| configured("file_path"));
        if let Some(path) = named {
            self.files.insert(path.trim_start_matches("./").into());
        }
        self.files.extend(file_of(block));
    }
}

/// The file of a block that says nothing else about it.
fn file_of(block: &Node) -> Option<Text> {
    let text = |key: &str| text_of(block, key).map(Text::as_str);
    let (kind, uuid) = (text("type")?, text("uuid")?);
    // The folder of a type is its plural, but for two (`BlockType` and `Block.file_path` in Mage's source).
    let folder = match kind {
        "custom" | "dbt" => kind.to_owned(),
        kind => format!("{kind}s"),
    };
    let ending = match text("language").unwrap_or("python") {
        "python" => "py",
        "markdown" => "md",
        language => language,
    };
    Some(format!("{folder}/{uuid}.{ending}").into())
}

/// The file without which a block runs nothing; nothing where it has none, or the block says itself where it is.
fn own_file(block: &Node) -> Option<Text> {
    let is_of_file = text_of(block, "type").is_some_and(|kind| OF_FILES.contains(&kind.as_str()));
    let is_set = |node: Option<&Node>| node.is_some_and(|node| !node.is_null());
    let configuration = block.get("configuration");
    let configured = |key: &str| is_set(configuration.and_then(|configuration| configuration.get(key)));
    let is_elsewhere =
        is_set(block.get("replicated_block")) || configured("file_source") || configured("file_path");
    file_of(block).filter(|_| is_of_file && !is_elsewhere)
}
