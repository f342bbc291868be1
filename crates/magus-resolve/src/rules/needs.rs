//! What a workspace has, held against what the code needs that it runs.

use std::collections::BTreeSet;

use magus_code::{Kind, Missing, Need, Needs};
use magus_model::{
    Text,
    desired::Workspace,
    diagnostic::{Diagnostic, Severity},
    mage,
    path::FieldPath,
    pattern,
    rules::{self, Rule},
    secrecy,
    span::Span,
    suggest,
};

/// How many pipelines are named.
const SHOWN: usize = 3;

/// Something that the code needs and the workspace does not have.
#[derive(Debug, Clone, Copy)]
pub struct Lack<'n> {
    /// What.
    pub need: &'n Need,
    /// The names that would serve as well, and are not there either.
    pub alternatives: &'n [Text],
    /// How bad that is.
    pub severity: Severity,
    /// Whether it has something of that name, of the other kind.
    pub has_other_kind: bool,
    /// Whether it may come from where nobody can look.
    pub may_be_given: bool,
}

/// What a workspace lacks of what the code needs.
pub fn lacking<'n>(needs: &'n Needs, workspace: &Workspace) -> Vec<Lack<'n>> {
    // What a ConfigMap or a Secret of Kubernetes holds as a whole is not declared.
    let may_be_given =
        workspace.fields.iter().any(|field| field.path.as_str().starts_with("container_config.envFrom"));
    let of = |need: &'n Need| {
        let alternatives = match needed(need, workspace)? {
            Needed::Alone => &[][..],
            Needed::OneOf(others) => others,
        };
        let severity = match need.missing {
            Missing::Fails if may_be_given && need.kind == Kind::Variable => Severity::Hint,
            Missing::Fails => Severity::Error,
            // Code that goes on without it, or may do so, blocks nothing.
            Missing::Undecidable | Missing::Default => Severity::Hint,
            Missing::Comment if need.only_in_unused_profile => Severity::Hint,
            Missing::Comment | Missing::Set => return None,
        };
        if has_need(workspace, need) {
            return None;
        }
        let other = if need.kind == Kind::Variable { Kind::Secret } else { Kind::Variable };
        let has_other_kind = is_declared(workspace, other, &need.name);
        Some(Lack { need, alternatives, severity, has_other_kind, may_be_given })
    };
    needs.names.iter().filter_map(of).collect()
}

/// Whether a name is needed by itself.
enum Needed<'n> {
    Alone,
    OneOf(&'n [Text]),
}

/// Whether a name that is one of several is needed; nothing where another one serves, or is told with it.
fn needed<'n>(need: &'n Need, workspace: &Workspace) -> Option<Needed<'n>> {
    if need.alternatives.is_empty() {
        return Some(Needed::Alone);
    }
    let none_is_there = |others: &&Vec<Text>| others.iter().all(|other| !has(workspace, need.kind, other));
    let others = need.alternatives.iter().find(none_is_there)?;
    // The first of them stands for all.
    others.iter().all(|other| need.name < *other).then_some(Needed::OneOf(others))
}

/// Whether a workspace has a variable or a secret, from wherever.
pub fn has(workspace: &Workspace, kind: Kind, name: &str) -> bool {
    is_declared(workspace, kind, name)
        || workspace.provided.iter().any(|provided| pattern::matches(provided, name))
        || kind == Kind::Variable && mage::is_always_there(name)
}

/// Whether a workspace has what code reads, in upper or lower case where that is the same to the code.
fn has_need(workspace: &Workspace, need: &Need) -> bool {
    let has = |name: &str| has(workspace, need.kind, name);
    has(&need.name)
        || need.any_case && (has(&need.name.to_ascii_lowercase()) || has(&need.name.to_ascii_uppercase()))
}

/// The key of the layers that has variables, or secrets.
pub(crate) fn key_of(kind: Kind) -> &'static str {
    if kind == Kind::Secret { "secrets" } else { "env" }
}

/// The field that gives a variable or a secret.
pub fn path_of(kind: Kind, name: &str) -> FieldPath {
    FieldPath::key(key_of(kind)).child(name)
}

pub(crate) fn is_declared(workspace: &Workspace, kind: Kind, name: &str) -> bool {
    workspace.field(path_of(kind, name).as_str()).is_some()
}

/// What is said of something that is lacking.
pub(crate) struct Said<'a> {
    pub(crate) rule: &'static Rule,
    pub(crate) span: Span,
    /// Whose code needs it, where that is not what the workspace itself runs: `the code of ‘staging’`.
    pub(crate) whose: Option<String>,
    /// Where it is lacking, in backticks: the environment, or workspaces of it.
    pub(crate) place: &'a str,
    /// The file that it would be added to.
    pub(crate) file: &'a str,
    /// The environments that define it.
    pub(crate) defined_in: &'a BTreeSet<Text>,
    /// What is defined there.
    pub(crate) names: &'a BTreeSet<&'a str>,
    /// What the code reads that needs it.
    pub(crate) read: &'a Needs,
}

impl Said<'_> {
    /// The finding.
    pub(crate) fn finding(&self, lack: Lack<'_>) -> Diagnostic {
        let Lack { need, alternatives, severity, has_other_kind, may_be_given } = lack;
        let Need { kind, name, .. } = need;
        let kind_name = kind.as_str();
        let whose = self.whose.as_ref().map_or_else(|| "the code".to_owned(), Clone::clone);
        let (rule, message) = match (has_other_kind, kind) {
            (true, Kind::Variable) => (
                &rules::WRONG_KIND,
                format!(
                    "`{name}` is a secret of Mage's in {}, and {} reads a variable of that name",
                    self.place,
                    reader(need)
                ),
            ),
            (true, _) => (
                &rules::WRONG_KIND,
                format!(
                    "`{name}` is a variable in {}, and {} reads a secret of that name",
                    self.place,
                    reader(need)
                ),
            ),
            (false, _) => (
                self.rule,
                format!(
                    "{whose} {} {}, read by {}, not defined in {}{}",
                    verb(need),
                    wanted(kind_name, name, alternatives),
                    reader(need),
                    self.place,
                    default(need)
                ),
            ),
        };
        // An earlier stage's code runs nowhere here yet.
        let severity = if rule.severity < severity { rule.severity } else { severity };
        let help = match (has_other_kind, kind) {
            (true, Kind::Variable) => {
                format!("read it with `get_secret_value('{name}')`, or move it from `secrets` to `env`")
            }
            (true, _) => format!("read it with `os.environ['{name}']`, or move it from `env` to `secrets`"),
            (false, _) => self.help(need, may_be_given),
        };
        Diagnostic { severity, ..Diagnostic::new(rule, self.span, message).help(help) }
    }

    fn help(&self, need: &Need, may_be_given: bool) -> String {
        let Need { kind, name, .. } = need;
        let mut help = String::new();
        // What is read under its own name is hardly meant for another one.
        let may_be_meant = |known: &&str| !self.read.names(*kind, known) || suggest::is_slip(name, known);
        if let Some(close) = suggest::closest(name, self.names.iter().copied().filter(may_be_meant)) {
            help.push_str(&format!("`{close}` is defined; was that meant? Otherwise "));
        }
        let value = if *kind == Kind::Secret || secrecy::kind_of_name(name).is_some() {
            format!("{{secret: {{env: {}}}}}", name.to_ascii_uppercase())
        } else {
            "…".to_owned()
        };
        help.push_str(&format!("add `{}: {{{name}: {value}}}` to {}", key_of(*kind), self.file));
        if !self.defined_in.is_empty() {
            let environments: Vec<String> = self.defined_in.iter().map(|name| format!("`{name}`")).collect();
            let verb = if environments.len() == 1 { "has" } else { "have" };
            help.push_str(&format!(", as {} {verb} it", environments.join(" and ")));
        }
        if need.from_file {
            help.push_str("; a file that the code loads, such as `.env`, may give it, and is not in git");
        }
        help.push_str(&if may_be_given {
            format!("; where `envFrom` gives it: `provided: [{name}]`")
        } else {
            format!("; where it comes from elsewhere: `provided: [{name}]`")
        });
        help
    }
}

/// How code depends on what it reads.
fn verb(need: &Need) -> &'static str {
    match need.missing {
        Missing::Undecidable => "may need",
        Missing::Default => "reads, but does not need,",
        Missing::Fails | Missing::Comment | Missing::Set => "needs",
    }
}

/// What the code has instead, without its value.
fn default(need: &Need) -> String {
    need.fallback.as_ref().map_or_else(String::new, |kind| format!("; its default is {}", kind.as_str()))
}

/// What code needs: a name, or one of several.
fn wanted(kind: &str, name: &Text, alternatives: &[Text]) -> String {
    let Some((last, others)) = alternatives.split_last() else { return format!("the {kind} `{name}`") };
    let others: String = others.iter().map(|other| format!(", `{other}`")).collect();
    format!("one of the {kind}s `{name}`{others} or `{last}`")
}

/// Who reads it, and where: `orders` (data_loaders/pay.py:14).
pub(crate) fn reader(need: &Need) -> String {
    let Need { pipelines, places, .. } = need;
    let place = places.first().map_or("", |place| place.as_str());
    if pipelines.is_empty() {
        return format!("a profile that no block uses ({place})");
    }
    format!("{} ({place})", listed(pipelines.iter().map(Text::as_str)))
}

/// Names in backticks, the first few and how many more.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
