//! MG501 to MG508: the code that workspaces run, held against what is declared for them.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    rc::Rc,
};

use magus_code::{Found, Kind, Missing, Need, Needs, Projects, Undecidable};
use magus_git::{Code, Unknown};
use magus_model::{
    Text,
    desired::{Cluster, Desired, Edition, Engine, Environment, Field, Layer, Workspace},
    diagnostic::{Diagnostic, Severity},
    effort, mage, pattern, rules,
    span::{Sources, Span},
    suggest,
    value::{FieldValue, Value},
};

use super::{
    in_git,
    needs::{Lack, Said, key_of, lacking, listed},
};

/// A project at a commit, as workspaces of an environment run it.
pub struct Running<'d> {
    /// What the code needs.
    pub needs: Rc<Needs>,
    /// The commit.
    pub commit: &'d Text,
    /// The workspaces.
    pub workspaces: Vec<&'d Workspace>,
}

/// An environment, and what its workspaces run.
pub struct Stage<'d> {
    /// The environment.
    pub environment: &'d Environment,
    /// The edition that its Mage server is said to be; nothing for the embedded engine.
    pub edition: Option<Edition>,
    /// What they run, by commit.
    pub running: Vec<Running<'d>>,
    /// The code that could not be read.
    pub unread: Vec<UnreadCode<'d>>,
}

/// A commit whose code could not be read.
pub struct UnreadCode<'d> {
    /// The commit.
    pub commit: &'d Text,
    /// Where the code of the first of its workspaces is declared.
    pub span: Span,
    /// The reason.
    pub why: Unknown,
}

/// What every environment runs, in the order of promotion. `commit` says which commit counts for a workspace of a cluster, if any
/// does.
pub fn stages<'d>(
    desired: &'d Desired,
    repositories: &BTreeMap<Text, Code>,
    projects: &Projects,
    commit: &dyn Fn(&'d Cluster, &'d Workspace) -> Option<&'d Text>,
) -> Vec<Stage<'d>> {
    let mut stages = Vec::new();
    for cluster in &desired.clusters {
        let edition = match &cluster.engine {
            Engine::Mage(server) => Some(server.edition),
            Engine::Local { .. } => None,
        };
        for environment in &cluster.environments {
            let mut by_commit: BTreeMap<(&Text, &Text, &Text), Vec<&Workspace>> = BTreeMap::new();
            for workspace in &environment.workspaces {
                if let (Some(code), Some(commit)) = (&workspace.code, commit(cluster, workspace)) {
                    by_commit
                        .entry((&code.repository, &code.source.directory, commit))
                        .or_default()
                        .push(workspace);
                }
            }
            let mut stage = Stage { environment, edition, running: Vec::new(), unread: Vec::new() };
            for ((repository, directory, commit), workspaces) in by_commit {
                let Some(code) = repositories.get(repository) else { continue };
                match projects.needs(code, commit, directory) {
                    Ok(Some(needs)) => stage.running.push(Running { needs, commit, workspaces }),
                    Ok(None) => {}
                    Err(why) => {
                        let span = span_of(&workspaces).unwrap_or(environment.span);
                        stage.unread.push(UnreadCode { commit, span, why });
                    }
                }
            }
            stages.push(stage);
        }
    }
    stages.sort_by(|a, b| {
        (a.environment.stage, &a.environment.name).cmp(&(b.environment.stage, &b.environment.name))
    });
    stages
}

/// The commit that a workspace is to run, for [`stages`].
pub fn declared_commit<'d>(_: &'d Cluster, workspace: &'d Workspace) -> Option<&'d Text> {
    workspace.code.as_ref()?.commit.as_ref().ok()
}

/// Everything that is wrong between code and declarations.
pub(crate) fn check(stages: &[Stage<'_>], sources: &Sources, findings: &mut Vec<Diagnostic>) {
    unread(stages, findings);
    if stages.iter().all(|stage| stage.running.is_empty()) {
        return;
    }
    let defined = Defined::of(stages);
    for (at, stage) in stages.iter().enumerate() {
        let mut own: HashSet<(Kind, &Text)> = HashSet::new();
        for running in &stage.running {
            let read = &*running.needs;
            let found =
                Lacking { stage, sources, defined: &defined, rule: &rules::MISSING_NAME, whose: None, read };
            own.extend(found.report(read, &running.workspaces, findings));
        }
        ahead(stages, at, &own, &defined, sources, findings);
        for running in &stage.running {
            of_code(running, findings);
        }
    }
    profiles(stages, findings);
    idle(stages, findings);
    in_git::missing_files(stages, findings);
    in_git::secret_defaults(stages, findings);
    undecidable(stages, findings);
    never_read(stages, findings);
}

/// MG406: code that the repository could not show, once for each commit.
fn unread(stages: &[Stage<'_>], findings: &mut Vec<Diagnostic>) {
    let mut seen: HashSet<&Text> = HashSet::new();
    for UnreadCode { commit, span, why } in stages.iter().flat_map(|stage| &stage.unread) {
        if seen.insert(commit) {
            let short = commit.get(..10).unwrap_or(commit);
            let message = format!("the code at {short} is not checked: {why}");
            findings.push(Diagnostic::new(&rules::REPOSITORY_UNREAD, *span, message).help(why.help()));
        }
    }
}

/// MG503: what the code of the stages before needs, that will come here.
fn ahead(
    stages: &[Stage<'_>],
    at: usize,
    own: &HashSet<(Kind, &Text)>,
    defined: &Defined<'_>,
    sources: &Sources,
    findings: &mut Vec<Diagnostic>,
) {
    let stage = &stages[at];
    let workspaces: Vec<&Workspace> =
        stage.running.iter().flat_map(|running| &running.workspaces).copied().collect();
    let mut said: HashSet<(Kind, Text)> = own.iter().map(|(kind, name)| (*kind, (*name).clone())).collect();
    for before in before(stages, stage.environment) {
        for running in &before.running {
            let has_it = |need: &Need| {
                running.workspaces.iter().all(|one| super::needs::is_declared(one, need.kind, &need.name))
            };
            let coming: Vec<Need> = running
                .needs
                .names
                .iter()
                .filter(|need| !said.contains(&(need.kind, need.name.clone())) && has_it(need))
                .cloned()
                .collect();
            let needs = Needs { names: coming, ..Needs::default() };
            let short = running.commit.get(..10).unwrap_or(running.commit);
            let branch =
                running.workspaces.iter().find_map(|one| one.code.as_ref()).map_or("", |code| &code.branch);
            let whose = Some(format!("the code of `{}` (`{branch}` at {short})", before.environment.name));
            let read = &running.needs;
            let found = Lacking { stage, sources, defined, rule: &rules::MISSING_AHEAD, whose, read };
            said.extend(
                found
                    .report(&needs, &workspaces, findings)
                    .into_iter()
                    .map(|(kind, name)| (kind, name.clone())),
            );
        }
    }
}

/// The stages before an environment, the nearest first.
fn before<'s, 'd>(stages: &'s [Stage<'d>], environment: &Environment) -> Vec<&'s Stage<'d>> {
    let mut found: Vec<&Stage<'_>> = Vec::new();
    let mut wanted = environment.promotes_from.as_ref();
    while let Some(name) = wanted {
        let Some(stage) = stages.iter().find(|stage| stage.environment.name == *name) else { break };
        // A circle is an error of its own.
        if found.iter().any(|known| std::ptr::eq(*known, stage)) {
            break;
        }
        found.push(stage);
        wanted = stage.environment.promotes_from.as_ref();
    }
    found
}

/// Which environments define what.
struct Defined<'d>(BTreeMap<(Kind, &'d str), BTreeSet<Text>>);

impl<'d> Defined<'d> {
    fn of(stages: &[Stage<'d>]) -> Self {
        let mut defined: BTreeMap<_, BTreeSet<Text>> = BTreeMap::new();
        for stage in stages {
            for field in stage.environment.workspaces.iter().flat_map(|workspace| &workspace.fields) {
                if let Some(key) = named(field) {
                    let environments = defined.entry(key).or_default();
                    if !environments.contains(&stage.environment.name) {
                        environments.insert(stage.environment.name.clone());
                    }
                }
            }
        }
        Self(defined)
    }
}

/// The variable or secret that a field gives.
pub fn named(field: &Field) -> Option<(Kind, &str)> {
    let path = field.path.as_str();
    let variable = path.strip_prefix("env.").map(|name| (Kind::Variable, name));
    variable.or_else(|| path.strip_prefix("secrets.").map(|name| (Kind::Secret, name)))
}

/// What workspaces of an environment lack, told once where all of them do.
struct Lacking<'a, 'd> {
    stage: &'a Stage<'d>,
    sources: &'a Sources,
    defined: &'a Defined<'d>,
    rule: &'static rules::Rule,
    whose: Option<String>,
    /// All that the code reads.
    read: &'a Needs,
}

impl Lacking<'_, '_> {
    fn report<'n>(
        &self,
        needs: &'n Needs,
        workspaces: &[&Workspace],
        findings: &mut Vec<Diagnostic>,
    ) -> Vec<(Kind, &'n Text)> {
        let mut by_name: BTreeMap<(Kind, &'n Text), Vec<(&Workspace, Lack<'n>)>> = BTreeMap::new();
        for workspace in workspaces {
            for lack in lacking(needs, workspace) {
                by_name.entry((lack.need.kind, &lack.need.name)).or_default().push((workspace, lack));
            }
        }
        for ((kind, name), lacking) in &by_name {
            let none = BTreeSet::new();
            let defined_in = self.defined.0.get(&(*kind, name.as_str())).unwrap_or(&none);
            let environment = &self.stage.environment.name;
            // What several lack is told once, where the environment says what they run.
            let (workspace, lack) = &lacking[0];
            let several = lacking.len() > 1;
            let span = match &workspace.code {
                Some(code) if several => code.span,
                _ => workspace.span,
            };
            let file = self.sources.file(span.file).map_or_else(String::new, |file| file.path.to_string());
            let inside = if file.ends_with("environment.yaml") { "`defaults` of " } else { "" };
            let labels = lacking.iter().map(|(workspace, _)| format!("{environment}/{}", label(workspace)));
            let place = match lacking.len() == workspaces.len() && several {
                true => format!("`{environment}`"),
                false => listed(labels.collect::<Vec<_>>().iter().map(String::as_str)),
            };
            let said = Said {
                rule: self.rule,
                span,
                whose: self.whose.clone(),
                place: &place,
                file: &format!("{inside}{file}"),
                defined_in,
                names: &names_of(workspace, *kind),
                read: self.read,
            };
            findings.push(said.finding(*lack));
        }
        by_name.into_keys().collect()
    }
}

/// A workspace as people call it in an environment.
fn label(workspace: &Workspace) -> &str {
    magus_model::desired::branch_of(&workspace.declared).unwrap_or(&workspace.declared)
}

fn names_of(workspace: &Workspace, kind: Kind) -> BTreeSet<&str> {
    let named = workspace.fields.iter().filter_map(named);
    named.filter(|(of, _)| *of == kind).map(|(_, name)| name).collect()
}

/// MG506: once for each profile, however many environments and blocks read it; and once in all where the file is missing.
fn profiles(stages: &[Stage<'_>], findings: &mut Vec<Diagnostic>) {
    let mut seen: HashSet<Option<&Text>> = HashSet::new();
    for running in stages.iter().flat_map(|stage| &stage.running) {
        let Some(span) = span_of(&running.workspaces) else { continue };
        let needs = &*running.needs;
        for Found { what, place, pipelines } in &needs.unknown_profiles {
            if !seen.insert(needs.has_profiles.then_some(what)) {
                continue;
            }
            let reader = shown(pipelines);
            let (message, help) = if needs.has_profiles {
                let known = needs.profiles.iter().map(Text::as_str);
                (
                    format!(
                        "{reader} reads the profile `{what}` ({place}), which `io_config.yaml` does not have"
                    ),
                    suggest::help(what, known, "it has no profile at all"),
                )
            } else {
                (
                    format!(
                        "{reader} reads the profile `{what}` ({place}), and no `io_config.yaml` is in git"
                    ),
                    format!(
                        "add `io_config.yaml` with `{what}:` next to `pipelines/`, with `{{{{ env_var('NAME') }}}}` in place of passwords"
                    ),
                )
            };
            findings.push(Diagnostic::new(&rules::UNKNOWN_PROFILE, span, message).help(help));
        }
    }
}

/// MG508: SQL blocks that run nothing, once for each project.
fn idle(stages: &[Stage<'_>], findings: &mut Vec<Diagnostic>) {
    let mut seen: HashSet<(&Text, &Text)> = HashSet::new();
    for running in stages.iter().flat_map(|stage| &stage.running) {
        let Some(span) = span_of(&running.workspaces) else { continue };
        let new: Vec<&Found<Text>> =
            running.needs.idle.iter().filter(|found| seen.insert((&found.what, &found.place))).collect();
        let Some(Found { what, place, pipelines }) = new.first() else { continue };
        let more = match new.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let message = format!(
            "the SQL block `{what}` of {} ({place}) has no `data_provider` and runs nothing{more}",
            shown(pipelines)
        );
        let help = "add `data_provider` to the `configuration` of the block, such as `postgres`, or remove the block";
        findings.push(Diagnostic::new(&rules::NO_PROVIDER, span, message).help(help));
    }
}

/// MG507: what is wrong with the code itself.
fn of_code(running: &Running<'_>, findings: &mut Vec<Diagnostic>) {
    let Running { needs, workspaces, .. } = running;
    let Some(span) = span_of(workspaces) else { return };
    for Found { what, place, pipelines } in &needs.faults {
        let finding = Diagnostic::new(
            &rules::UNREADABLE_CODE,
            span,
            format!("`{place}` cannot be read: {}", what.what),
        );
        findings.push(if pipelines.is_empty() {
            Diagnostic { severity: Severity::Hint, ..finding }
        } else {
            finding.help(format!("{} runs it; what it needs after that place is not known", shown(pipelines)))
        });
    }
}

/// Where the code of workspaces is declared.
pub(super) fn span_of(workspaces: &[&Workspace]) -> Option<Span> {
    Some(workspaces.first()?.code.as_ref()?.span)
}

pub(crate) fn shown(pipelines: &BTreeSet<Text>) -> String {
    listed(pipelines.iter().map(Text::as_str))
}

/// MG504: once for each place, however many environments run it.
fn undecidable(stages: &[Stage<'_>], findings: &mut Vec<Diagnostic>) {
    let mut seen: HashSet<(&Text, &Text)> = HashSet::new();
    for running in stages.iter().flat_map(|stage| &stage.running) {
        let Some(span) = span_of(&running.workspaces) else { continue };
        for Undecidable { kind, expression, place, pipelines, pattern: _ } in &running.needs.undecidable {
            if pipelines.is_empty() || !seen.insert((place, expression)) {
                continue;
            }
            let message = format!(
                "{} makes the name of a {} while it runs ({place}): `{expression}`",
                shown(pipelines),
                kind.as_str()
            );
            let help = "whether it is there cannot be checked; a name that is written out can";
            findings.push(Diagnostic::new(&rules::UNDECIDABLE_NAME, span, message).help(help));
        }
    }
}

/// What became of a value that is declared once and given to workspaces.
struct Given<'d> {
    kind: Kind,
    name: &'d str,
    own: bool,
    read: bool,
    decidable: bool,
}

/// MG502: what is declared and named nowhere. What any stage's code reads is on its way, or on its way out.
fn never_read(stages: &[Stage<'_>], findings: &mut Vec<Diagnostic>) {
    let mut given: HashMap<Span, Given<'_>> = HashMap::new();
    let all: Vec<&Needs> =
        stages.iter().flat_map(|stage| &stage.running).map(|running| &*running.needs).collect();
    let made: BTreeSet<(Kind, &Text)> =
        all.iter().flat_map(|needs| &needs.undecidable).map(|one| (one.kind, &one.pattern)).collect();
    // Code that could not be read may read anything.
    let is_unread = stages.iter().any(|stage| !stage.unread.is_empty());
    if is_unread || all.iter().any(|needs| needs.reads_all) {
        return;
    }
    let mut is_read: HashMap<(Kind, &str), bool> = HashMap::new();
    for stage in stages {
        let running: HashSet<*const Workspace> = stage
            .running
            .iter()
            .flat_map(|one| &one.workspaces)
            .map(|one| std::ptr::from_ref(*one))
            .collect();
        for workspace in &stage.environment.workspaces {
            let is_known = running.contains(&std::ptr::from_ref(workspace));
            let mentions = OnceCell::new();
            for (at, field) in workspace.fields.iter().enumerate() {
                let Some((kind, name)) = named(field) else { continue };
                let own = match &field.layer {
                    Layer::Workspace => true,
                    Layer::ClusterDefaults | Layer::EnvironmentDefaults | Layer::Template(_) => false,
                    Layer::BuiltIn
                    | Layer::MainServer
                    | Layer::Sync
                    | Layer::ServerDefaults
                    | Layer::ServerEnforced => continue,
                };
                let by_code = *is_read.entry((kind, name)).or_insert_with(|| {
                    all.iter().any(|needs| needs.names(kind, name) || needs.mentions(name))
                });
                if by_code {
                    continue;
                }
                let entry = given.entry(field.span).or_insert_with(|| {
                    let may_be_it =
                        |(of, pattern): &(Kind, &Text)| *of == kind && pattern::matches(pattern, name);
                    let decidable = !made.iter().any(may_be_it);
                    Given { kind, name, own, read: false, decidable }
                });
                // Where nobody knows what a workspace runs, nobody knows what it reads.
                entry.read |= !is_known
                    || kind == Kind::Variable && mage::may_be_read_by_others(name)
                    || mentions.get_or_init(|| Mentions::of(workspace)).has_elsewhere(at, name);
            }
        }
    }
    for (span, Given { kind, name, own, read, decidable }) in given {
        if read {
            continue;
        }
        let message = format!("no code reads the {} `{name}`", kind.as_str());
        let severity = if own && decidable { rules::NEVER_READ.severity } else { Severity::Hint };
        let close = suggest::closest(
            name,
            all.iter()
                .flat_map(|needs| &needs.names)
                .filter(|need| need.kind == kind)
                .map(|need| need.name.as_str()),
        );
        let help = match close {
            Some(close) => {
                format!("`{close}` is read; was that meant? Otherwise remove it from `{}`", key_of(kind))
            }
            None => format!(
                "remove it from `{}`, or, where something else than code reads it, say so: `# magus: ignore[MG502] …`",
                key_of(kind)
            ),
        };
        findings
            .push(Diagnostic { severity, ..Diagnostic::new(&rules::NEVER_READ, span, message).help(help) });
    }
}

/// The words in the values of a workspace, as a command of its life cycle names a variable: by the place of the only field with the word,
/// or nothing if several have it.
struct Mentions<'w>(HashMap<&'w str, Option<usize>>);

impl<'w> Mentions<'w> {
    fn of(workspace: &'w Workspace) -> Self {
        let mut mentions = Self(HashMap::new());
        for (at, field) in workspace.fields.iter().enumerate() {
            if let FieldValue::Plain(value) = &field.value {
                mentions.add_value(at, value);
            }
        }
        mentions
    }

    fn add_value(&mut self, at: usize, value: &'w Value) {
        match value {
            Value::String(text) => self.add_text(at, text),
            Value::List(items) => items.iter().for_each(|item| self.add_value(at, item)),
            Value::Map(map) => {
                for (key, value) in map {
                    self.add_text(at, key);
                    self.add_value(at, value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
        }
    }

    /// Adds the words of a text, with `-` and `.` as parts of them and without.
    fn add_text(&mut self, at: usize, text: &'w str) {
        effort::spend(text.len());
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let narrow = text.split(move |c: char| !is_part(c));
        let wide = text.split(move |c: char| !(is_part(c) || matches!(c, '-' | '.')));
        for word in narrow.chain(wide).filter(|word| !word.is_empty()) {
            let known = self.0.entry(word).or_insert(Some(at));
            *known = known.filter(|known| *known == at);
        }
    }

    /// Whether another field than this one has a word.
    fn has_elsewhere(&self, at: usize, word: &str) -> bool {
        self.0.get(word).is_some_and(|only| *only != Some(at))
    }
}

/// What workspaces lack of the code that runs in them for now, where that is another than the one that is declared and stays for the
/// time: a warning, because what is to run may need it no more.
pub fn lacking_now(stage: &Stage<'_>, sources: &Sources) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    let defined = Defined(BTreeMap::new());
    for Running { needs, commit, workspaces } in &stage.running {
        let names = needs.names.iter().filter(|need| need.missing == Missing::Fails).cloned().collect();
        let failing = Needs { names, ..Needs::default() };
        let short = commit.get(..10).unwrap_or(commit);
        let whose = Some(format!("the code that runs there for now ({short})"));
        let read = needs;
        let found = Lacking { stage, sources, defined: &defined, rule: &rules::MISSING_NAME, whose, read };
        found.report(&failing, workspaces, &mut findings);
    }
    for finding in &mut findings {
        finding.severity = finding.severity.min(Severity::Warning);
    }
    findings
}

/// What an environment's workspaces would lack of the code of a commit, in sentences: for a promotion, and for going back.
pub fn would_lack(environment: &Environment, needs: &Needs) -> Vec<String> {
    let mut by_name: BTreeMap<(Kind, &Text), (Lack<'_>, Vec<&str>)> = BTreeMap::new();
    for workspace in &environment.workspaces {
        for lack in lacking(needs, workspace).into_iter().filter(|lack| lack.severity >= Severity::Warning) {
            let known = by_name.entry((lack.need.kind, &lack.need.name)).or_insert((lack, Vec::new()));
            known.1.push(label(workspace));
        }
    }
    let sentence = |(lack, workspaces): (Lack<'_>, Vec<&str>)| {
        let Need { kind, name, .. } = lack.need;
        let place = if workspaces.len() == environment.workspaces.len() {
            format!("`{}`", environment.name)
        } else {
            listed(
                workspaces
                    .iter()
                    .map(|name| format!("{}/{name}", environment.name))
                    .collect::<Vec<_>>()
                    .iter()
                    .map(String::as_str),
            )
        };
        let default = if lack.severity == Severity::Error { "" } else { "; the code has a default" };
        let sentence = format!(
            "needs the {} `{name}`, read by {}, not defined in {place}{default}",
            kind.as_str(),
            super::needs::reader(lack.need)
        );
        sentence
    };
    by_name.into_values().map(sentence).collect()
}
