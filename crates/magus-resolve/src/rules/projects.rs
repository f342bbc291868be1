//! MG408: whether the folder that is declared is a Mage project, in every commit that is deployed.

use std::collections::BTreeMap;

use magus_code::{Folder, Layout, layout};
use magus_git::Code;
use magus_model::{
    Text,
    diagnostic::{Diagnostic, Severity},
    rules,
    source::directory,
    span::Span,
};

use super::{
    code::{DeclaredCode, DeclaredRepository, Revision, SHOWN},
    needs::listed,
};

/// The folders of repositories that are no projects: one finding for all commits with the same remedy.
#[derive(Default)]
pub(super) struct MissingProjects<'d>(BTreeMap<Cause<'d>, Missing<'d>>);

/// Where a project is missing, and what is there instead.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Cause<'d> {
    url: &'d Text,
    /// The folder in comparable form.
    directory: Text,
    folder: Folder,
    /// The folders that have pipelines.
    projects: Vec<Text>,
}

/// A project that is missing.
struct Missing<'d> {
    repository: &'d DeclaredRepository,
    /// The branches and commits without it.
    revisions: Vec<String>,
    /// Where they are declared, and for which environment.
    places: Vec<(Span, &'d Text)>,
}

impl<'d> MissingProjects<'d> {
    /// Looks at what an environment deploys, and workspaces of it with a branch of their own.
    pub(super) fn look(&mut self, code: &Code, declared: &'d DeclaredCode) {
        let DeclaredCode { repository, environment, pinned, revision, own, .. } = declared;
        let commit = revision.commit.as_ref().filter(|_| *pinned);
        self.revision(code, repository, environment, revision.branch.as_ref(), commit);
        for Revision { branch, commit } in own {
            let branch = branch.as_ref().or(revision.branch.as_ref());
            self.revision(code, repository, environment, branch, commit.as_ref());
        }
    }

    fn revision(
        &mut self,
        code: &Code,
        repository: &'d DeclaredRepository,
        environment: &'d Text,
        branch: Option<&'d (Text, Span)>,
        commit: Option<&'d (Text, Span)>,
    ) {
        let (id, name, span) = match (commit, branch) {
            (Some((text, span)), _) => (code.commit(text).ok(), format!("the commit `{text}`"), *span),
            (None, Some((branch, span))) => {
                (code.head(branch).ok().flatten(), format!("the branch `{branch}`"), *span)
            }
            (None, None) => return,
        };
        let declared = repository.directory.as_ref().map_or("", |(folder, _)| folder.as_str());
        // What cannot be read has a finding of its own.
        let Some(Ok(Some(Layout { folder, projects }))) = id.map(|id| layout(code, &id, declared)) else {
            return;
        };
        // A project may have no pipelines yet.
        if folder == Folder::Project || folder == Folder::WithoutPipelines && projects.is_empty() {
            return;
        }
        let cause = Cause { url: &repository.url, directory: directory(declared), folder, projects };
        let missing = Missing { repository, revisions: Vec::new(), places: Vec::new() };
        let missing = self.0.entry(cause).or_insert(missing);
        if !missing.revisions.contains(&name) {
            missing.revisions.push(name);
        }
        if !missing.places.contains(&(span, environment)) {
            missing.places.push((span, environment));
        }
    }

    /// Adds the findings.
    pub(super) fn report(self, findings: &mut Vec<Diagnostic>) {
        findings.extend(self.0.into_iter().map(|(cause, missing)| finding(&cause, missing)));
    }
}

fn finding(cause: &Cause<'_>, missing: Missing<'_>) -> Diagnostic {
    let Missing { repository, revisions, places } = missing;
    let Cause { directory, folder, projects, .. } = cause;
    let shown = revisions.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let more = match revisions.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let verb = if revisions.len() == 1 { "has" } else { "have" };
    let lacks = match (folder, directory.as_str()) {
        (Folder::Absent, _) => format!("no folder `{directory}`"),
        (_, ".") => "no pipeline in `pipelines/`".to_owned(),
        _ => format!("no pipeline in `{directory}/pipelines/`"),
    };
    let severity = match folder {
        Folder::Absent => Severity::Error,
        // A platform of several projects, or a repository before its first pipeline.
        Folder::WithoutPipelines => Severity::Warning,
        Folder::Other | Folder::Project if projects.is_empty() => Severity::Warning,
        Folder::Other | Folder::Project => Severity::Error,
    };
    let span = repository.directory.as_ref().map_or(repository.url_span, |(_, span)| *span);
    let message = format!("no Mage project was checked: {shown}{more} {verb} {lacks}");
    let mut finding =
        Diagnostic::new(&rules::UNKNOWN_DIRECTORY, span, message).help(help(repository, projects));
    finding.severity = severity;
    for (span, environment) in places {
        finding = finding.related(span, format!("`{environment}` deploys it"));
    }
    finding
}

/// The edit to make.
fn help(repository: &DeclaredRepository, projects: &[Text]) -> String {
    let place = match &repository.directory {
        Some(_) => "",
        None => " beside the `url` of the `repository`",
    };
    let write = |project: &Text| match (project.as_str(), &repository.directory) {
        (".", Some(_)) => "remove `directory`".to_owned(),
        _ => format!("write `directory: {}`{place}", written(project)),
    };
    match projects {
        [] => {
            "no folder of it has `pipelines/`: commit the project, or name the branch that has it".to_owned()
        }
        [one] if one.as_str() == "." => {
            format!("the project is at the root of the repository: {}", write(one))
        }
        [one] => format!("the project is in `{one}`: {}", write(one)),
        [first, ..] => format!(
            "{} have pipelines: {}, or the folder that is meant",
            listed(projects.iter().map(Text::as_str)),
            write(first)
        ),
    }
}

/// A path as a value of YAML.
fn written(path: &Text) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '_' | '-' | '.');
    let is_word = matches!(path.as_str(), "true" | "false" | "null");
    let is_name =
        !is_word && path.chars().next().is_some_and(char::is_alphabetic) && path.chars().all(is_plain);
    if is_name { path.to_string() } else { format!("{:?}", path.as_str()) }
}
