//! MG307: variables that refer to others, `$(NAME)`, of which Kubernetes expands only those that stand before them.

use std::collections::{BTreeMap, BTreeSet};

use magus_model::{
    Text,
    desired::Field,
    diagnostic::Diagnostic,
    expansion, mage, pattern, rules,
    value::{FieldValue, Value},
};

use crate::suggest;

/// Checks the variables of one workspace, ordered by path. `provided` is what it has from elsewhere, as patterns.
pub(crate) fn check(fields: &[Field], provided: &[Text], findings: &mut Vec<Diagnostic>) {
    let variables: BTreeMap<&str, &Field> =
        fields.iter().filter_map(|field| Some((field.path.as_str().strip_prefix("env.")?, field))).collect();
    let references: BTreeMap<&str, Vec<&str>> =
        variables.iter().map(|(name, field)| (*name, references(field))).collect();
    if references.values().all(Vec::is_empty) {
        return;
    }
    for (name, references) in &references {
        let mut told = BTreeSet::new();
        for reference in references.iter().filter(|reference| !variables.contains_key(*reference)) {
            let is_given = mage::comes_first(reference)
                || mage::may_come_first(reference)
                || provided.iter().any(|provided| pattern::matches(provided, reference));
            if !is_given && told.insert(reference) {
                findings.push(unknown(name, reference, variables[name], &variables));
            }
        }
    }
    for circle in expansion::order(&references).circles {
        findings.push(circular(&circle, &variables));
    }
}

fn references(field: &Field) -> Vec<&str> {
    match &field.value {
        FieldValue::Plain(Value::String(text)) => expansion::references(text).collect(),
        FieldValue::Plain(_) | FieldValue::Secret(_) => Vec::new(),
    }
}

fn unknown(name: &str, reference: &str, field: &Field, variables: &BTreeMap<&str, &Field>) -> Diagnostic {
    if mage::is_always_there(reference) {
        return Diagnostic::new(
            &rules::UNEXPANDED_REFERENCE,
            field.span,
            format!("`$({reference})` in `{name}` is not expanded: the image sets `{reference}`, and Kubernetes does not know it"),
        )
        .help(format!("write out the value of `{reference}`, or write `$$({reference})` for the text itself"));
    }
    let known = variables.keys().copied().filter(|known| *known != name);
    let help = match suggest::closest(reference, known) {
        Some(close) => format!("did you mean `$({close})`?"),
        None => format!("define `{reference}` in `env`, or write `$$({reference})` for the text itself"),
    };
    Diagnostic::new(
        &rules::UNEXPANDED_REFERENCE,
        field.span,
        format!("`$({reference})` in `{name}` refers to a variable that the workspace does not have"),
    )
    .help(help)
}

/// So many names of a circle are told.
const SHOWN: usize = 8;

fn circular(circle: &[&str], variables: &BTreeMap<&str, &Field>) -> Diagnostic {
    let first = circle.first().copied().unwrap_or_default();
    let message = if circle.len() == 1 {
        format!("`{first}` refers to itself")
    } else {
        let mut names: Vec<String> = circle.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
        names.extend((circle.len() > SHOWN).then(|| "…".to_owned()));
        names.push(format!("`{first}`"));
        format!("variables refer to one another in a circle: {}", names.join(" → "))
    };
    let finding = Diagnostic::new(&rules::UNEXPANDED_REFERENCE, variables[first].span, message);
    circle.iter().skip(1).take(SHOWN).fold(finding, |finding, name| {
        finding.related(variables[name].span, format!("`{name}` is defined here"))
    })
    .help("write out one of the values: Kubernetes expands a reference only to a variable that stands before it")
}
