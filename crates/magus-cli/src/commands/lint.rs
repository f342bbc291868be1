//! `magus lint`: everything that can be known offline, in one run.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use magus_load::{File, Role, edit};
use magus_model::{
    diagnostic::{Diagnostic, Fix, Severity},
    name::WorkspaceName,
    span::FileId,
};
use magus_plan::Filter;
use magus_report::lint::{LintFormat, LintReport, Place};

use crate::{
    VERSION,
    arguments::{FailOn, Format, Global, Lint},
    declarations::{self, Checked, Look, News},
    error::{CommandError, Exit},
    output::Output,
    pipeline, selection,
};

/// Runs the command.
pub fn run(global: &Global, lint: &Lint, output: &Output) -> Result<Exit, CommandError> {
    let news = if lint.fetch { News::Always } else { News::Never };
    let mut checked = declarations::check(global, None, Some(Look { news, ..Look::OFFLINE }.into_code()))?;
    let paths = [below(&checked, &lint.paths)?, selected(&checked, global)?];
    if lint.fix && fix(&checked, &shown(&checked, &paths), output) {
        checked = declarations::check(global, None, Some(Look::OFFLINE.into_code()))?;
    }
    let diagnostics = shown(&checked, &paths);
    let working_directory = declarations::working_directory()?;
    let root = working_directory.ancestors().find(|folder| folder.join(".git").exists());
    let root = root.unwrap_or(&working_directory).to_string_lossy();
    let report = LintReport {
        diagnostics: &diagnostics,
        sources: &checked.loaded.sources,
        files: checked.loaded.files.len(),
        magus_version: VERSION,
        width: output.width,
        place: Place { working_directory: &working_directory.to_string_lossy(), root: &root },
    };
    output.result(&magus_report::lint::render(format(global.format), &report, &output.styles()))?;
    let fails = match lint.fail_on {
        FailOn::Hint => Severity::Hint,
        FailOn::Warning => Severity::Warning,
        FailOn::Error => Severity::Error,
    };
    let failed = diagnostics.iter().any(|found| found.severity >= fails);
    pipeline::leave(checked);
    Ok(if failed { Exit::Invalid } else { Exit::Done })
}

fn format(format: Format) -> LintFormat {
    match format {
        Format::Concise => LintFormat::Concise,
        Format::Json => LintFormat::Json,
        Format::JsonLines => LintFormat::JsonLines,
        Format::Github => LintFormat::Github,
        Format::Gitlab => LintFormat::Gitlab,
        Format::Junit => LintFormat::Junit,
        Format::Sarif => LintFormat::Sarif,
        Format::Text | Format::Markdown | Format::Html => LintFormat::Text,
    }
}

/// The paths as the sources show them, each checked to lie in the directory.
fn below(checked: &Checked, paths: &[PathBuf]) -> Result<Vec<PathBuf>, CommandError> {
    let canonical = |path: &Path| {
        path.canonicalize().map_err(|error| {
            CommandError::new(Exit::Invalid, format!("`{}` cannot be read", path.display())).source(error)
        })
    };
    let root = canonical(&checked.loaded.root)?;
    paths
        .iter()
        .map(|path| {
            let place = canonical(path)?;
            let below = place.strip_prefix(&root).map_err(|_| {
                CommandError::new(
                    Exit::Invalid,
                    format!("`{}` is not in `{}`", path.display(), checked.loaded.display),
                )
                .hint(format!("name the directory: magus lint -C DIR {}", path.display()))
            })?;
            Ok(Path::new(checked.loaded.display.as_str()).join(below))
        })
        .collect()
}

/// What the workspaces are made from that `-e` and `-w` select: their files, and those whose layers they have. Nothing where
/// neither is given.
fn selected(checked: &Checked, global: &Global) -> Result<Vec<PathBuf>, CommandError> {
    let filter = selection::filter(global);
    if filter == Filter::default() {
        return Ok(Vec::new());
    }
    let loaded = &checked.loaded;
    let folders: Vec<&str> = loaded.environments.iter().map(|name| name.as_str()).collect();
    selection::unknown_name("environment", &filter.environments, &folders)?;
    let clusters = &checked.resolution.desired.clusters;
    let declared = clusters.iter().flat_map(|cluster| &cluster.environments).flat_map(|one| &one.workspaces);
    let names: BTreeMap<FileId, &WorkspaceName> = declared.map(|one| (one.span.file, &one.name)).collect();
    let mut known: Vec<&str> = names.values().map(|name| name.as_str()).collect();
    let mut environments: BTreeSet<&str> = BTreeSet::new();
    let mut files: Vec<&File> = Vec::new();
    for file in &loaded.files {
        let Role::Workspace { environment, stem } = &file.role else { continue };
        known.push(stem);
        // One that does not parse has no name in the cluster.
        let own = WorkspaceName::observed(stem.as_str());
        if filter.selects(environment, stem, names.get(&file.id).copied().unwrap_or(&own)) {
            environments.insert(environment);
            files.push(file);
        }
    }
    selection::unknown_name("workspace", &filter.workspaces, &known)?;
    let display = Path::new(loaded.display.as_str());
    if filter.workspaces.is_empty() {
        // Whole folders, with what lies there and declares nothing.
        let mut paths: Vec<PathBuf> =
            filter.environments.iter().map(|name| display.join(name.as_str())).collect();
        paths.push(display.join("cluster.yaml"));
        return Ok(paths);
    }
    let is_layer = |file: &&File| match &file.role {
        Role::Cluster { environment: None } => true,
        Role::Cluster { environment: Some(environment) } | Role::Environment { environment } => {
            environments.contains(environment.as_str())
        }
        Role::Workspace { .. } => false,
    };
    files.extend(loaded.files.iter().filter(is_layer));
    Ok(files.iter().map(|file| display.join(file.path.as_str())).collect())
}

/// The findings that lie in each of these sets of paths; one without any holds all.
fn shown(checked: &Checked, sets: &[Vec<PathBuf>]) -> Vec<Diagnostic> {
    let within = |found: &&Diagnostic| {
        let file = checked.loaded.sources.file(found.span.file);
        let lies_in = |paths: &Vec<PathBuf>| {
            file.is_some_and(|file| paths.iter().any(|path| Path::new(&*file.path).starts_with(path)))
        };
        sets.iter().all(|paths| paths.is_empty() || lies_in(paths))
    };
    checked.settled.diagnostics.iter().filter(within).cloned().collect()
}

/// Mends what can be mended, and says whether anything was. A file that cannot be written is named and left alone.
fn fix(checked: &Checked, diagnostics: &[Diagnostic], output: &Output) -> bool {
    let sources = &checked.loaded.sources;
    let mut by_file: BTreeMap<FileId, Vec<&Diagnostic>> = BTreeMap::new();
    for found in diagnostics.iter().filter(|found| found.fix.is_some()) {
        by_file.entry(found.span.file).or_default().push(found);
    }
    let (mut findings, mut files) = (0, 0);
    for (id, found) in by_file {
        let Some(file) = sources.file(id) else { continue };
        let path = Path::new(&*file.path);
        let mended = edit::apply(id, &file.text, &found).and_then(|edited| {
            if !edited.mended.is_empty() {
                edit::write(path, &file.text, &edited.text)?;
            }
            let mut mended = edited.mended.len();
            // The name changes last: the edits were made for the file under its old one.
            for name in found.iter().filter_map(|one| match &one.fix {
                Some(Fix::Rename(name)) => Some(name),
                _ => None,
            }) {
                edit::rename(path, name)?;
                mended += 1;
            }
            Ok(mended)
        });
        match mended {
            Ok(mended) => {
                findings += mended;
                files += usize::from(mended > 0);
            }
            Err(error) => output.message(
                &CommandError::from_error(Exit::Invalid, error).describe().replacen("error:", "warning:", 1),
            ),
        }
    }
    if findings > 0 {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        output.note(&format!(
            "mended {findings} finding{} in {files} file{}",
            plural(findings),
            plural(files)
        ));
    }
    findings > 0
}
