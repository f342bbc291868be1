//! Violations in our own words: what is wrong, where, and what would help.
//!
//! No message quotes a value that may be a variable's or a secret's.

use std::collections::BTreeSet;

use magus_model::{
    diagnostic::{Diagnostic, Fix},
    rules,
    span::{Sources, Span},
    tree::NodeKind,
};
use serde_json::Value;

use crate::{
    SchemaKind, guess,
    place::{Place, known_keys},
    unknown,
    validate::Kind,
    wrong_type,
};

/// So many violations of one document are explained, and so many unknown keys of one map: explaining one means
/// looking around it, and a file of 1 MiB can hold 200,000. Nobody reads more.
pub(crate) const MOST_EXPLAINED: usize = 500;

/// A violation as the validator found it.
pub(crate) struct Violation<'a> {
    /// Where.
    pub place: Place<'a>,
    /// What.
    pub kind: &'a Kind,
    /// Whether it is about a key that asks for another, or for being alone.
    pub dependency: bool,
}

/// Explains all violations of a document. What follows from another one is left out: a value of the wrong type is
/// also none of the allowed words, and a key that was mistyped is also missing.
pub(crate) fn explain(
    kind: SchemaKind,
    schema: &Value,
    violations: &[Violation<'_>],
    sources: &Sources,
) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut wrong_types = BTreeSet::new();
    let mut meant = BTreeSet::new();
    for violation in violations {
        match violation.kind {
            Kind::Type { .. } => {
                wrong_types.insert(violation.place.last().node.span);
                diagnostics.push(wrong_type::explain(kind, violation, sources));
            }
            Kind::AdditionalProperties { unexpected } => {
                for key in unexpected.iter().take(MOST_EXPLAINED) {
                    let Some(found) = unknown::explain(kind, schema, &violation.place, key, sources) else {
                        continue;
                    };
                    diagnostics.push(found.diagnostic);
                    meant.extend(found.meant.map(|key| (violation.place.path(), key)));
                }
            }
            _ => {}
        }
    }
    for violation in violations {
        if !wrong_types.contains(&violation.place.last().node.span) {
            let is_meant = |key: &str| meant.contains(&(violation.place.path(), key.to_owned()));
            diagnostics.extend(one(schema, violation, &is_meant, sources));
        }
    }
    diagnostics
}

/// Explains a violation that is neither a wrong type nor an unknown key.
fn one(
    schema: &Value,
    violation: &Violation<'_>,
    is_meant: &dyn Fn(&str) -> bool,
    sources: &Sources,
) -> Option<Diagnostic> {
    let Violation { place, kind, dependency } = violation;
    let step = place.last();
    Some(match kind {
        Kind::Type { .. } | Kind::AdditionalProperties { .. } => return None,
        Kind::Required { .. } if *dependency => {
            // Beside `valueFrom` they are too many, which is said already.
            if step.node.get("valueFrom").is_some() {
                return None;
            }
            let entry = step.node.entries().iter().find(|entry| asks(step.schema, &entry.key))?;
            Diagnostic::new(&rules::MISSING_KEY, entry.key_span, format!("`{}` without `secret`", entry.key))
                .help("write the reference beside it, such as `secret: {env: NAME}`")
        }
        Kind::Required { property } => {
            let key = property.as_str()?;
            if is_meant(key) {
                return None;
            }
            let message = match place.path().as_str() {
                "" => format!("`{key}` is missing"),
                path => format!("`{path}` has no `{key}`"),
            };
            let description = known_keys(schema, step.schema).find(|(known, _)| *known == key);
            let described = description.and_then(|(_, schema)| schema["description"].as_str());
            with_help(
                Diagnostic::new(&rules::MISSING_KEY, place.span(), message),
                described.map(|described| format!("add `{key}`: {}", lower_first(described))),
            )
        }
        Kind::MinProperties { .. } => {
            let keys = list(choices(schema, step.schema), "or");
            let message = format!("`{}` is empty: exactly one of {keys} has to be given", place.path());
            Diagnostic::new(&rules::ONE_OF, place.span(), message)
        }
        Kind::MaxProperties { .. } => {
            let allowed = choices(schema, step.schema);
            let mut given = step.node.entries().iter().filter(|entry| allowed.contains(&entry.key.as_str()));
            let (first, second) = (given.next()?, given.next());
            // One known key beside an unknown one: that was said already.
            let second = match second {
                Some(second) => second,
                None => step.node.entries().iter().find(|entry| asks(step.schema, &entry.key))?,
            };
            let message = format!("`{}` beside `{}`, where only one can be given", second.key, first.key);
            let help = format!("give exactly one of {}", list(allowed.iter().copied(), "or"));
            Diagnostic::new(&rules::ONE_OF, second.key_span, message)
                .related(first.key_span, "the other one")
                .help(help)
        }
        Kind::Enum { options } => {
            let words: Vec<&str> = options.as_array()?.iter().filter_map(Value::as_str).collect();
            let written = step.node.as_str()?;
            let diagnostic = Diagnostic::new(
                &rules::INVALID_VALUE,
                place.span(),
                format!("`{}` is no value of `{}`", shorten(written), place.path()),
            );
            let all = format!("it is one of {}", list(words.iter().copied(), "or"));
            match guess::word(written, words.iter().copied()) {
                Some(word) => {
                    let help = format!("did you mean `{word}`? {all}");
                    with_fix(diagnostic.help(help), replace_word(step.node.span, written, word, sources))
                }
                None => diagnostic.help(all),
            }
        }
        Kind::Pattern { .. } | Kind::Format { .. } => {
            let written = step.node.as_str()?;
            let message = format!("`{}` is no value of `{}`", shorten(written), place.path());
            with_help(
                Diagnostic::new(&rules::INVALID_VALUE, place.span(), message),
                like_examples(step.schema),
            )
        }
        Kind::Minimum { .. } | Kind::Maximum { .. } => {
            let message = match (&step.node.kind, kind) {
                (NodeKind::Float(number), _) if !number.is_finite() => {
                    format!("`{}` is no finite number", place.path())
                }
                (_, Kind::Minimum { .. }) => format!("`{}` is too small", place.path()),
                _ => format!("`{}` is too large", place.path()),
            };
            let help = match (step.schema.get("minimum"), step.schema.get("maximum")) {
                // Beyond that it is the type's own end, which nobody meant to reach.
                (Some(minimum), Some(maximum)) if maximum.as_f64() < Some(f64::from(i32::MAX)) => {
                    format!("it may be from {} to {}", shown(minimum), shown(maximum))
                }
                (Some(minimum), _) => format!("it may be {} or more", shown(minimum)),
                (None, Some(maximum)) => format!("it may be {} or less", shown(maximum)),
                (None, None) => return None,
            };
            Diagnostic::new(&rules::INVALID_VALUE, place.span(), message).help(help)
        }
        Kind::MinItems { limit } => {
            let message = match limit {
                1 => format!("`{}` is empty", place.path()),
                limit => format!("`{}` has fewer than {limit} items", place.path()),
            };
            let help = step.schema["description"]
                .as_str()
                .map(|text| format!("give it items: {}", lower_first(text)));
            with_help(Diagnostic::new(&rules::INVALID_VALUE, place.span(), message), help)
        }
        // Our schemas use no other keyword; should one come, it is at least not hidden.
        other => {
            let message = format!("`{}` breaks the rule `{}` of the schema", place.path(), other.keyword());
            Diagnostic::new(&rules::INVALID_VALUE, place.span(), message)
        }
    })
}

/// Whether a key asks for another one beside it.
fn asks(schema: &Value, key: &str) -> bool {
    schema["dependencies"].get(key).is_some_and(Value::is_array)
}

/// The keys of which one has to be given: those that neither ask for another nor come with one.
fn choices<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a str> {
    let required =
        |key: &str| schema["required"].as_array().is_some_and(|keys| keys.iter().any(|k| k == key));
    known_keys(root, schema).map(|(key, _)| key).filter(|key| !asks(schema, key) && !required(key)).collect()
}

/// How a value is written, where the schema has examples.
pub(crate) fn like_examples(schema: &Value) -> Option<String> {
    let examples: Vec<String> = schema["examples"].as_array()?.iter().map(shown).collect();
    Some(format!("write it like {}", list(examples.iter().map(String::as_str), "or")))
}

/// `` `a`, `b` or `c` ``.
pub(crate) fn list<'w>(words: impl IntoIterator<Item = &'w str>, conjunction: &str) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} {conjunction} {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// A change that puts a word in the place of another, where the source shows that word and nothing else, quoted or
/// not: not where it came through an alias or a tag.
pub(crate) fn replace_word(span: Span, written: &str, word: &str, sources: &Sources) -> Option<Fix> {
    let source = sources.slice(span);
    let quoted =
        |quote| source.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) == Some(written);
    (source == written || quoted('"') || quoted('\'')).then(|| Fix::Edit(vec![(span, word.to_owned())]))
}

pub(crate) fn with_fix(diagnostic: Diagnostic, fix: Option<Fix>) -> Diagnostic {
    match fix {
        Some(fix) => diagnostic.fix(fix),
        None => diagnostic,
    }
}

pub(crate) fn with_help(diagnostic: Diagnostic, help: Option<String>) -> Diagnostic {
    match help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

/// The kind of a value in words.
pub(crate) fn kind_of(kind: &NodeKind) -> &'static str {
    match kind {
        NodeKind::Null => "nothing",
        NodeKind::Bool(_) => "a boolean",
        NodeKind::Int(_) => "a whole number",
        NodeKind::Float(_) => "a number",
        NodeKind::String(_) => "text",
        NodeKind::List(_) => "a list",
        NodeKind::Map(_) => "a map",
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The beginning of a value: enough to know it by.
fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    match line.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// A description as the end of a sentence: without its capital and its full stop, and only its first sentence.
fn lower_first(description: &str) -> String {
    let sentence = description.split(". ").next().unwrap_or("").trim_end_matches('.');
    let mut chars = sentence.chars();
    let first = chars.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    first + chars.as_str()
}
