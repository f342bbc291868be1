//! A place of the code that refers to something outside of it.

use magus_model::{Text, secrecy};
use serde::{Deserialize, Serialize};

/// How much of an expression is quoted, in characters.
const QUOTED: usize = 60;

/// A place that refers to a variable, a secret or something else that the workspace has to have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    /// The line of the name's literal, from 1.
    pub line: u32,
    /// Its column, in characters from 1.
    pub column: u32,
    /// To what.
    pub kind: Kind,
    /// What it is called.
    pub name: Name,
    /// What happens where it is not there.
    pub missing: Missing,
    /// The names that serve as well, where it is one of several: it fails only without all of them. Each list is one such place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Vec<Text>>,
    /// Whether a variable of this name in upper or lower case is read as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_case: bool,
    /// What counts instead, where the code says it beside the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// What the name looks like where the code makes it, with `*` for what is not known; nothing where all of it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Text>,
    /// The profile of `io_config.yaml` that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Text>,
    /// The key of that profile whose value it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Text>,
}

/// To what a place refers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An environment variable.
    Variable,
    /// A secret of Mage's own.
    Secret,
    /// A variable of the pipeline, which its triggers may give.
    Runtime,
    /// A secret in the store of a cloud, or of another service.
    Store,
    /// A profile of `io_config.yaml`.
    Profile,
}

impl Kind {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Variable => "variable",
            Kind::Secret => "secret",
            Kind::Runtime => "runtime variable",
            Kind::Store => "secret of another store",
            Kind::Profile => "profile",
        }
    }
}

/// What the thing is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Name {
    /// As the code says.
    Literal(Text),
    /// The code makes the name while it runs; this expression does.
    Undecidable(Text),
    /// All that there are: the whole environment is read.
    Any,
}

impl Name {
    /// An expression, on one line and not too long.
    pub(crate) fn undecidable(expression: &str) -> Self {
        let mut text = String::new();
        for word in expression.split_whitespace() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
            if text.len() > QUOTED * 4 {
                // More than will be shown, whatever the characters are.
                break;
            }
        }
        if let Some((end, _)) = text.char_indices().nth(QUOTED) {
            text.truncate(end);
            text.push('…');
        }
        Name::Undecidable(text.into())
    }

    /// The name, where the code says it.
    pub fn literal(&self) -> Option<&Text> {
        match self {
            Name::Literal(name) => Some(name),
            Name::Undecidable(_) | Name::Any => None,
        }
    }
}

/// What happens where the thing is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// The code fails, or goes on with `None`.
    Fails,
    /// It cannot be decided: it depends on what the code does elsewhere, or on the value of something.
    Undecidable,
    /// The code says what counts then, or asks first.
    Default,
    /// Nothing: it stands in a comment of a file that is rendered before it is parsed.
    Comment,
    /// Nothing: the code sets it here itself.
    Set,
}

/// What code gives as a default, without its value: that may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fallback {
    /// An empty text.
    Empty,
    /// A text.
    Text,
    /// A number, or yes or no.
    Number,
    /// What comes out of an expression.
    Expression,
    /// A text that looks like this secret.
    Secret(Text),
}

impl Fallback {
    /// What a text is, as the default of a name.
    pub(crate) fn of_text(name: Option<&str>, text: &str) -> Self {
        if text.is_empty() {
            return Fallback::Empty;
        }
        secrecy::resemblance(name, text).map_or(Fallback::Text, |what| Fallback::Secret(what.into()))
    }

    /// As it is shown, with its article.
    pub fn as_str(&self) -> &'static str {
        match self {
            Fallback::Empty => "an empty text",
            Fallback::Text | Fallback::Secret(_) => "a text",
            Fallback::Number => "a number",
            Fallback::Expression => "an expression",
        }
    }
}

/// What Mage gives to every block (`enrich_global_vars` and `PipelineRun.get_variables` in 0.9.80).
const GIVEN: [&str; 18] = [
    "block_uuid",
    "configuration",
    "context",
    "ds",
    "env",
    "event",
    "execution_date",
    "execution_partition",
    "hr",
    "interval_end_datetime",
    "interval_seconds",
    "interval_start_datetime",
    "interval_start_datetime_previous",
    "logger",
    "pipeline_run_id",
    "pipeline_uuid",
    "repo_path",
    "trigger_name",
];

/// Whether Mage gives this variable to every block.
pub(crate) fn is_given(name: &str) -> bool {
    GIVEN.contains(&name)
}
