//! A pipeline: its blocks, where their files are, and its triggers.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::Value;

/// What the `metadata.yaml` of a pipeline says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Pipeline {
    /// The files of its blocks, relative to the project.
    pub files: BTreeSet<String>,
    /// Whether a block of it reads a profile of `io_config.yaml` by its configuration.
    pub has_profile: bool,
    /// Whether a block of it runs dbt.
    pub runs_dbt: bool,
}

/// Reads a `metadata.yaml`; nothing for what is none.
pub(crate) fn parse(text: &[u8]) -> Option<Pipeline> {
    let root: Value = serde_yaml::from_slice(text).ok()?;
    let mut pipeline = Pipeline::default();
    // Callbacks and conditionals are lists of their own beside the blocks.
    for key in ["blocks", "callbacks", "conditionals", "widgets"] {
        for block in root.get(key).and_then(Value::as_sequence).into_iter().flatten() {
            pipeline.add(block);
        }
    }
    root.is_mapping().then_some(pipeline)
}

impl Pipeline {
    fn add(&mut self, block: &Value) {
        let text = |key: &str| block.get(key).and_then(Value::as_str);
        let configuration = block.get("configuration");
        let configured = |key: &str| configuration.and_then(|configuration| configuration.get(key));
        self.has_profile |= configured("data_provider").is_some_and(|provider| !provider.is_null());
        self.runs_dbt |= text("type") == Some("dbt");
        // A block may say where its file is, instead of being called like it.
        let named = configured("file_source").and_then(|source| source.get("path"));
        let named = named.or_else(|| configured("file_path")).and_then(Value::as_str);
        if let Some(path) = named {
            self.files.insert(path.trim_start_matches("./").to_owned());
        }
        let (Some(kind), Some(uuid)) = (text("type"), text("uuid")) else { return };
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
        self.files.insert(format!("{folder}/{uuid}.{ending}"));
    }
}

/// The triggers of a `triggers.yaml` by name, each with when it runs; nothing for one that does not run by itself.
pub(crate) fn triggers(text: &[u8]) -> BTreeMap<String, String> {
    let Ok(root) = serde_yaml::from_slice::<Value>(text) else { return BTreeMap::new() };
    let triggers = root.get("triggers").and_then(Value::as_sequence).into_iter().flatten();
    let one = |trigger: &Value| {
        let text = |key: &str| trigger.get(key).and_then(Value::as_str);
        let when = match text("schedule_interval") {
            Some(interval) => interval.to_owned(),
            None => format!("by {}", text("schedule_type").unwrap_or("nothing")),
        };
        let active = text("status") == Some("active");
        Some((text("name")?.to_owned(), if active { when } else { format!("{when}, inactive") }))
    };
    triggers.filter_map(one).collect()
}

/// The top-level names that a Python file imports, and those below a first one, which may be the project's own name.
pub(crate) fn imports(text: &[u8]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in String::from_utf8_lossy(text).lines() {
        let line = line.trim_start();
        let Some(rest) = line.strip_prefix("from ").or_else(|| line.strip_prefix("import ")) else {
            continue;
        };
        for module in rest.split(" import ").next().unwrap_or_default().split(',') {
            let module = module.split_whitespace().next().unwrap_or_default();
            names.extend(module.split('.').take(2).filter(|name| !name.is_empty()).map(str::to_owned));
        }
    }
    names
}
