//! The first half of the way, from files to declarations that were checked: load → validate → resolve.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use magus_code::Projects;
use magus_git::{Code, Fetch, Unread};
use magus_load::{Document, LoadError, Loaded, Role};
use magus_model::{
    Text,
    desired::{Cluster, Desired},
    diagnostic::{Diagnostic, LocatedDiagnostic, Severity},
};
use magus_report::lint::{LintFormat, LintReport, Place};
use magus_resolve::{BranchFacts, BranchNames, Heads, LookedUp, Resolution, SchemaFile, Settled, TakenNames};
use magus_schema::SchemaKind;

use crate::{
    VERSION,
    arguments::Global,
    engines::Engines,
    error::{CommandError, Exit},
    output::Output,
    pipeline::directory_flag,
    place, repository,
};

/// Declarations that were read and checked.
pub struct Checked {
    /// The files.
    pub loaded: Loaded,
    /// What they say together.
    pub resolution: Resolution,
    /// The findings that count.
    pub settled: Settled,
    /// The pipelines' repositories that were looked into, by their declared URLs.
    pub repositories: BTreeMap<Text, Code>,
    /// Why the others could not be.
    pub unread: BTreeMap<Text, Unread>,
    /// The projects in them, as far as they were looked at.
    pub projects: Projects,
}

/// How to look into the pipelines' repositories.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// When those on the network are asked for news.
    pub news: News,
    /// Which commit a branch is taken for.
    pub heads: Heads<'a>,
    /// How far is looked.
    pub depth: Depth,
    /// How clusters are asked which names their workspaces have; `None` for a command that asks no cluster.
    pub engines: Option<&'a Engines>,
}

/// How far is looked into a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// At its branches and commits.
    Commits,
    /// Into the code too, which is held against what is declared for it.
    Code,
}

impl<'a> Look<'a> {
    /// At what was fetched before.
    pub const OFFLINE: Self =
        Self { news: News::Never, heads: Heads::AsTheyAre, depth: Depth::Commits, engines: None };

    /// As a command looks that is about what is deployed.
    pub fn to_deploy(global: &Global, heads: Heads<'a>) -> Self {
        let news = if global.offline { News::Never } else { News::ToDeploy };
        Self { news, heads, depth: Depth::Commits, engines: None }
    }

    /// The same for a command that reads clusters: the workspaces of branches keep the names that they have there.
    #[must_use]
    pub fn with_clusters(self, engines: &'a Engines) -> Self {
        Self { engines: Some(engines), ..self }
    }

    /// The same, and into the code.
    #[must_use]
    pub fn into_code(self) -> Self {
        Self { depth: Depth::Code, ..self }
    }
}

/// When the repositories on the network are asked for news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Never: what was fetched before is good enough.
    Never,
    /// Where something is deployed.
    ToDeploy,
    /// Always.
    Always,
}

impl News {
    fn fetch(self, desired: &Desired) -> Fetch {
        let environments = || desired.clusters.iter().flat_map(|cluster| &cluster.environments);
        let deploys =
            || environments().flat_map(|environment| &environment.workspaces).any(|one| one.code.is_some());
        match self {
            News::Never => Fetch::Never,
            News::ToDeploy if !deploys() => Fetch::Never,
            News::ToDeploy | News::Always => Fetch::Now,
        }
    }
}

/// The repositories that were opened to see their branches. Each is fetched at most once.
#[derive(Default)]
struct Opened(RefCell<BTreeMap<String, Result<Code, Unread>>>);

impl Opened {
    /// The branches of a repository, or why they are unknown.
    fn branches(&self, url: &str, fetch: Fetch) -> Result<BranchNames, Text> {
        let mut opened = self.0.borrow_mut();
        let code = opened.entry(url.to_owned()).or_insert_with(|| repository::open(url, fetch));
        match code {
            Ok(code) => Ok(BranchNames {
                names: code.branches().map(Text::from).collect(),
                incomplete: code.has_all_branches().err().map(|why| format!("{why}; {}", why.help()).into()),
            }),
            Err(why) => Err(format!("which branches there are is not known: {why}").into()),
        }
    }

    /// A repository, to be kept.
    fn take(&self, url: &str, fetch: Fetch) -> Result<Code, Unread> {
        self.0.borrow_mut().remove(url).unwrap_or_else(|| repository::open(url, fetch))
    }
}

/// The working directory.
pub fn working_directory() -> Result<PathBuf, CommandError> {
    std::env::current_dir().map_err(|error| {
        CommandError::new(Exit::Invalid, "the working directory cannot be found").source(error)
    })
}

/// What was declared at a revision.
pub struct Since {
    /// The revision, as it was given.
    pub revision: Text,
    /// Its commit.
    pub commit: Text,
    /// What was declared.
    pub desired: Desired,
}

/// Reads and checks the declarations, as they lie there or as of a git revision. Without `look`, nobody looks into the
/// pipelines' repository.
pub fn check(global: &Global, at: Option<&str>, look: Option<Look<'_>>) -> Result<Checked, CommandError> {
    Ok(settle(load(global, at)?.map_err(load_error)?, at, look))
}

fn load(global: &Global, at: Option<&str>) -> Result<Result<Loaded, LoadError>, CommandError> {
    let working_directory = working_directory()?;
    Ok(match at {
        None => magus_load::load_directory(&global.dir, &working_directory),
        Some(revision) => magus_load::load_revision(&global.dir, &working_directory, revision),
    })
}

/// Validates and resolves what was loaded.
fn settle(loaded: Loaded, at: Option<&str>, look: Option<Look<'_>>) -> Checked {
    let opened = Opened::default();
    let branches = |url: &str| {
        let news = look.map_or(News::Never, |look| look.news);
        opened.branches(url, if news == News::Never { Fetch::Never } else { Fetch::Now })
    };
    let engines = look.and_then(|look| look.engines);
    let known = RefCell::new(BTreeMap::new());
    let taken = |cluster: &Cluster| {
        let name = (cluster.name.clone(), cluster.managed_by.clone());
        known.borrow_mut().entry(name).or_insert_with(|| taken_names(engines, cluster)).clone()
    };
    let facts = BranchFacts { branches: &branches, taken: &taken };
    let mut resolution = magus_resolve::resolve(&loaded, validate(&loaded), facts);
    let mut diagnostics = loaded.diagnostics.clone();
    if at.is_none() {
        // A schema lies in the work tree, whatever revision the declarations are read from.
        diagnostics.extend(magus_resolve::check_modelines(&loaded, &resolution, schema_file));
    }
    let LookedUp { findings, repositories, unread } =
        look.map_or_else(LookedUp::default, |Look { news, heads, depth: _, engines: _ }| {
            let fetch = news.fetch(&resolution.desired);
            magus_resolve::look_up_code(&mut resolution, heads, |url| opened.take(url, fetch))
        });
    diagnostics.extend(findings);
    let projects = repository::projects();
    if look.is_some_and(|look| look.depth == Depth::Code) {
        let Loaded { sources, .. } = &loaded;
        diagnostics.extend(magus_resolve::check_code(&resolution.desired, &repositories, &projects, sources));
    }
    diagnostics.extend(resolution.diagnostics.iter().cloned());
    let mut settled = magus_resolve::settle(diagnostics, &loaded, &resolution);
    for help in settled.diagnostics.iter_mut().filter_map(|finding| finding.help.as_mut()) {
        *help = place::complete(help).into_owned();
    }
    Checked { loaded, resolution, settled, repositories, unread, projects }
}

/// The names that the workspaces of a cluster have. If the cluster cannot be read, the plan says so, and none of its workspaces
/// changes.
fn taken_names(engines: Option<&Engines>, cluster: &Cluster) -> TakenNames {
    let observed = engines.and_then(|engines| engines.observer(cluster).ok()?.observe(&[]).ok());
    let Some(observation) = observed else { return TakenNames::default() };
    let marked = observation.present.into_iter().filter_map(|(name, observed)| {
        let mark = observed.mark.filter(|mark| mark.managed_by == cluster.managed_by)?;
        Some((name, (mark.environment, mark.workspace)))
    });
    TakenNames { marked: marked.collect(), unknown: observation.unknown.into_keys().collect() }
}

/// The same, where nothing but valid declarations will do: their findings are said, and errors end the command.
pub fn check_valid(
    global: &Global,
    at: Option<&str>,
    look: Look<'_>,
    output: &Output,
) -> Result<Checked, CommandError> {
    let checked = check(global, at, Some(look))?;
    let errors = checked.errors();
    if errors.is_empty() {
        return Ok(checked);
    }
    Err(invalid(global, &checked, &errors, at, output))
}

/// The same for a command that asks only which clusters there are: it has to work too while something in them is declared
/// wrongly.
pub fn check_clusters(global: &Global, output: &Output) -> Result<Checked, CommandError> {
    let checked = check(global, None, None)?;
    let errors = checked.errors();
    if checked.resolution.desired.clusters.is_empty() && !errors.is_empty() {
        return Err(invalid(global, &checked, &errors, None, output));
    }
    if !errors.is_empty() {
        output.note(&format!(
            "note: the declarations have errors, and what they are in may be left out; magus lint{} shows them",
            directory_flag(global)
        ));
    }
    Ok(checked)
}

/// What was declared at a revision, for plans of only what changed since. The directory need not have been there: then
/// nothing was declared.
pub fn baseline(
    global: &Global,
    revision: &str,
    at: Option<&str>,
    output: &Output,
) -> Result<Since, CommandError> {
    let commit =
        magus_load::ancestor(&global.dir, &working_directory()?, revision, at).map_err(load_error)?;
    let desired = match load(global, Some(&commit))? {
        Err(LoadError::NotInRevision { .. }) => {
            output.note(&format!(
                "note: there is no `{}` at `{revision}`: everything that is declared counts as new",
                global.dir.display()
            ));
            Desired::default()
        }
        Err(error) => return Err(load_error(error)),
        Ok(loaded) => {
            let checked = settle(loaded, Some(&commit), None);
            let errors = checked.errors();
            if !errors.is_empty() {
                return Err(invalid(global, &checked, &errors, Some(revision), output));
            }
            checked.resolution.desired
        }
    };
    Ok(Since { revision: revision.into(), commit: commit.into(), desired })
}

/// The refusal of declarations that have errors, which are said.
fn invalid(
    global: &Global,
    checked: &Checked,
    errors: &[Diagnostic],
    at: Option<&str>,
    output: &Output,
) -> CommandError {
    let report = LintReport {
        diagnostics: errors,
        sources: &checked.loaded.sources,
        files: checked.loaded.files.len(),
        magus_version: VERSION,
        width: output.width,
        place: Place::default(),
    };
    output
        .message(magus_report::lint::render(LintFormat::Text, &report, &output.message_styles()).trim_end());
    match at {
        None => CommandError::new(Exit::Invalid, "the declarations have errors; nothing was sent")
            .hint(format!("to see every finding: magus lint{}", directory_flag(global))),
        Some(revision) => CommandError::new(
            Exit::Invalid,
            format!("the declarations at `{revision}` have errors; nothing was sent"),
        )
        .hint("the places are those of that revision; name one whose declarations are valid"),
    }
}

impl Checked {
    /// Forgets which code the workspaces are to run, for a command that is about something else: it has to work too while
    /// nobody can read the repository.
    pub fn deploy_nothing(&mut self) {
        let clusters = self.resolution.desired.clusters.iter_mut();
        let environments = clusters.flat_map(|cluster| &mut cluster.environments);
        environments
            .flat_map(|environment| &mut environment.workspaces)
            .for_each(|workspace| workspace.code = None);
    }

    fn errors(&self) -> Vec<Diagnostic> {
        self.settled.diagnostics.iter().filter(|found| found.severity == Severity::Error).cloned().collect()
    }

    /// Every finding as it leaves the process, and the severities that the declarations lower.
    pub fn located(&self) -> Vec<LocatedDiagnostic> {
        let sources = &self.loaded.sources;
        let lowered = self.settled.lowered.iter().map(|lowered| {
            let to = lowered.to.map_or("off", Severity::as_str);
            let from = lowered.from.as_str();
            Diagnostic {
                severity: Severity::Hint,
                ..Diagnostic::new(
                    lowered.rule,
                    lowered.span,
                    format!(
                        "`{}` is lowered from {from} to {to}: {}",
                        lowered.rule.code, lowered.rule.summary
                    ),
                )
            }
            .locate(sources)
        });
        lowered.chain(self.settled.diagnostics.iter().map(|found| found.locate(sources))).collect()
    }
}

pub fn load_error(error: LoadError) -> CommandError {
    let help = error.help();
    let error = CommandError::from_error(Exit::Invalid, error);
    match help {
        Some(help) => error.hint(help),
        None => error,
    }
}

fn schema_file(path: &Path) -> SchemaFile {
    match std::fs::read_to_string(path) {
        Ok(text) => SchemaFile::Version(magus_schema::version(&text)),
        Err(_) => SchemaFile::Missing,
    }
}

/// Holds documents against the schemas.
fn validate(loaded: &Loaded) -> impl Fn(&Document<'_>) -> Vec<Diagnostic> + Sync {
    |document| {
        let Some(root) = &document.root else { return Vec::new() };
        let kind = match document.file.role {
            Role::Cluster { .. } => SchemaKind::Cluster,
            Role::Environment { .. } => SchemaKind::Environment,
            Role::Workspace { .. } => SchemaKind::Workspace,
        };
        magus_schema::validate(kind, root, &loaded.sources)
    }
}
