//! MG101: names that the cluster would refuse.

use magus_model::{
    diagnostic::Diagnostic,
    name::{self, LONGEST_WORKSPACE_NAME, NameFault},
    rules,
    span::Span,
};

use crate::{
    placeholder::{self, Variables},
    resolve::Resolved,
    scope::{DEFAULT_WORKSPACE_NAME, Scope},
};

/// The longest name of an environment or a cluster: both stand in labels, which hold 63 characters.
pub(crate) const LONGEST_SCOPE_NAME: usize = 63;

/// What is wrong with a text as a name: which character or length, and where.
fn describe(text: &str, fault: NameFault, longest: usize) -> String {
    match fault {
        NameFault::Empty => "it is empty".to_owned(),
        NameFault::TooLong => format!("it has {} characters, and {longest} fit", text.chars().count()),
        NameFault::Character(_) => {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let first = |c: char| !c.is_ascii_lowercase();
            let wrong = match text.chars().next() {
                Some(c) if first(c) => Some((0, c)),
                _ => text.chars().enumerate().find(|(_, c)| !fits(*c)),
            };
            match wrong {
                Some((0, c)) => format!("it begins with {}", quoted(c)),
                Some((at, c)) => format!("{} stands at character {}", quoted(c), at + 1),
                None => "it ends with `-`".to_owned(),
            }
        }
    }
}

fn quoted(c: char) -> String {
    match c {
        ' ' => "a space".to_owned(),
        c if c.is_control() || c.is_whitespace() => format!("U+{:04X}", u32::from(c)),
        c => format!("`{c}`"),
    }
}

/// A name as near as possible that fits; nothing where too little is left.
fn mended(text: &str, longest: usize) -> Option<String> {
    let mut name: String = text
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .skip_while(|c| !c.is_ascii_lowercase())
        .take(longest)
        .collect();
    name.truncate(name.trim_end_matches('-').len());
    name::check(&name, longest).is_ok().then_some(name)
}

/// The rule, as a help.
const RULE: &str =
    "a name is lower-case letters, digits and `-`, begins with a letter and does not end with `-`";

/// The finding for a workspace's name in the cluster; nothing where `workspace_name` itself is at fault.
pub(crate) fn invalid_workspace(
    name: &str,
    fault: NameFault,
    resolved: &Resolved<'_>,
    scope: &Scope<'_>,
) -> Option<Diagnostic> {
    let file = Span::start_of(resolved.file.id);
    let own = resolved.name_span != file;
    if !own && pattern_fault(scope).is_some() {
        return None;
    }
    let message =
        format!("`{name}` cannot be a workspace's name: {}", describe(name, fault, LONGEST_WORKSPACE_NAME));
    let finding = Diagnostic::new(&rules::INVALID_NAME, resolved.name_span, message);
    let finding = match scope.workspace_name {
        Some((pattern, span)) if !own => finding.related(span, format!("the name is made by `{pattern}`")),
        _ => finding,
    };
    Some(match mended(name, LONGEST_WORKSPACE_NAME) {
        Some(mended) if own => finding.help(format!("{RULE}: `name: {mended}` would do")),
        Some(mended) => {
            finding.help(format!("{RULE}: rename the file, or give it a name of its own, `name: {mended}`"))
        }
        None => finding.help(RULE),
    })
}

/// What is wrong with `workspace_name` whatever is filled in.
pub(crate) fn pattern_fault(scope: &Scope<'_>) -> Option<Diagnostic> {
    let (pattern, span) = scope.workspace_name?;
    let sample = Variables {
        workspace: Some("a"),
        environment: Some("a"),
        cluster: Some("a"),
        branch: Some("a"),
        branch_slug: Some("a"),
    };
    let filled = placeholder::fill(pattern, &sample);
    let fault = name::check(&filled, LONGEST_WORKSPACE_NAME).err()?;
    let unknown = placeholder::has_any(&filled);
    (!unknown).then(|| {
        let what = describe(pattern, fault, LONGEST_WORKSPACE_NAME);
        let what = if pattern.is_empty() { what } else { describe(&filled, fault, LONGEST_WORKSPACE_NAME) };
        let message = format!("`{pattern}` makes names that the cluster refuses: filled in with `a`, {what}");
        Diagnostic::new(&rules::INVALID_NAME, span, message)
            .help(format!("{RULE}; the default is `{DEFAULT_WORKSPACE_NAME}`"))
    })
}

/// The finding for the name of an environment or a cluster.
pub(crate) fn invalid_scope(what: &str, name: &str, span: Span) -> Option<Diagnostic> {
    let fault = name::check(name, LONGEST_SCOPE_NAME).err()?;
    let message = format!("`{name}` cannot be {what}'s name: {}", describe(name, fault, LONGEST_SCOPE_NAME));
    let finding = Diagnostic::new(&rules::INVALID_NAME, span, message);
    Some(match mended(name, LONGEST_SCOPE_NAME) {
        Some(mended) => finding.help(format!("{RULE}: `{mended}` would do")),
        None => finding.help(RULE),
    })
}
