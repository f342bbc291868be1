//! Rules about the pipelines' repository: MG401 to MG409. What it has is looked up by the caller's `open`, once for each.

use std::collections::BTreeMap;

use magus_git::{Code, Lacking, NotFound, Unread};
use magus_model::{
    Text,
    diagnostic::{Diagnostic, Severity},
    rules,
    span::Span,
    suggest,
};

use crate::Resolution;

/// The branches that production takes from, as Mage recommends (<https://docs.mage.ai/production/ci-cd>).
const OF_PRODUCTION: [&str; 2] = ["main", "master"];

/// What the environments for production are called.
const PRODUCTION: [&str; 2] = ["production", "prod"];

/// How many paths are named.
const SHOWN: usize = 3;

/// The repository of the pipelines' code, as it is declared.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredRepository {
    /// A URL, or a path that is absolute or relative to the working directory.
    pub url: Text,
    /// Where it is declared.
    pub url_span: Span,
    /// The folder of the Mage project in it, where one is declared.
    pub directory: Option<(Text, Span)>,
}

/// Which code an environment runs, as it is declared.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredCode {
    /// The repository.
    pub repository: DeclaredRepository,
    /// The environment.
    pub environment: Text,
    /// The stage before.
    pub promotes_from: Option<Text>,
    /// Whether it ends a chain of stages.
    pub last: bool,
    /// Its branch and commit.
    pub revision: Revision,
    /// Those of workspaces that may have their own.
    pub own: Vec<Revision>,
}

/// A branch and a commit of it, each with where it is declared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Revision {
    /// The branch.
    pub branch: Option<(Text, Span)>,
    /// The commit.
    pub commit: Option<(Text, Span)>,
}

/// Checks branches and commits. `open` gets each repository once.
pub fn check_code(resolution: &Resolution, open: impl Fn(&str) -> Result<Code, Unread>) -> Vec<Diagnostic> {
    let mut opened: BTreeMap<&Text, Option<Code>> = BTreeMap::new();
    let mut findings = Vec::new();
    shared_branches(&resolution.code, &mut findings);
    for declared in &resolution.code {
        production(declared, &mut findings);
        let repository = &declared.repository;
        let code = opened.entry(&repository.url).or_insert_with(|| {
            open(&repository.url).map_err(|why| findings.push(unread(repository, &why))).ok()
        });
        let Some(code) = code else { continue };
        let DeclaredCode { revision, own, .. } = declared;
        revisions(code, revision, None, &mut findings);
        for one in own {
            revisions(code, one, revision.branch.as_ref(), &mut findings);
        }
        behind(code, declared, &resolution.code, &mut findings);
        files(code, declared, &mut findings);
    }
    findings
}

/// MG408 and MG409: whether the head of the branch has the folder, and git everything in it.
fn files(code: &Code, declared: &DeclaredCode, findings: &mut Vec<Diagnostic>) {
    let DeclaredCode { repository, environment, revision, .. } = declared;
    let Some((branch, span)) = &revision.branch else { return };
    let folder = repository.directory.as_ref().map_or("", |(folder, _)| folder.as_str());
    if let Some((folder, place)) = &repository.directory
        && code.has_folder(branch, folder) == Some(false)
    {
        findings.push(
            Diagnostic::new(
                &rules::UNKNOWN_DIRECTORY,
                *place,
                format!("the branch `{branch}` has no folder `{folder}`"),
            )
            .related(*span, format!("`{environment}` deploys that branch"))
            .help("name the folder of the Mage project in the repository, or leave `directory` out where it is the whole one"),
        );
    }
    let Some(Lacking { submodules, lfs }) = code.lacking_files(branch, folder) else { return };
    for (what, paths, help) in [
        ("submodules", submodules, "copy what is needed into the repository: nobody fetches submodules"),
        (
            "files that Git LFS holds, by",
            lfs,
            "keep in git what pipelines need: nobody fetches the files behind its pointers",
        ),
    ] {
        if paths.is_empty() {
            continue;
        }
        let shown: Vec<String> = paths.iter().take(SHOWN).map(|path| format!("`{path}`")).collect();
        let more = match paths.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        findings.push(
            Diagnostic::new(
                &rules::NOT_IN_GIT,
                *span,
                format!("the branch `{branch}` has {what} {}{more}", shown.join(", ")),
            )
            .help(help),
        );
    }
}

/// MG407: production takes from `main` or `master` only.
fn production(declared: &DeclaredCode, findings: &mut Vec<Diagnostic>) {
    let DeclaredCode { environment, last, revision, .. } = declared;
    let Some((branch, span)) = &revision.branch else { return };
    if *last && PRODUCTION.contains(&environment.as_str()) && !OF_PRODUCTION.contains(&branch.as_str()) {
        findings.push(
            Diagnostic::new(
                &rules::PRODUCTION_BRANCH,
                *span,
                format!("`{environment}` takes from `{branch}`, and not from `main` or `master`"),
            )
            .help("release to `main` and deploy that; where another branch is meant: `lint: {MG407: off}`"),
        );
    }
}

/// MG404: two environments of one repository on one branch.
fn shared_branches(all: &[DeclaredCode], findings: &mut Vec<Diagnostic>) {
    let mut seen: BTreeMap<(&Text, &Text), (&Text, Span)> = BTreeMap::new();
    for DeclaredCode { repository: DeclaredRepository { url, .. }, environment, revision, .. } in all {
        let Some((branch, span)) = &revision.branch else { continue };
        match seen.get(&(url, branch)) {
            None => drop(seen.insert((url, branch), (environment, *span))),
            Some((first, place)) => findings.push(
                Diagnostic::new(
                    &rules::SHARED_BRANCH,
                    *span,
                    format!("`{environment}` deploys `{branch}`, and so does `{first}`"),
                )
                .related(*place, "the other environment")
                .help("give each a branch of its own: what is merged for one is then not deployed to both"),
            ),
        }
    }
}

/// MG406: nobody looked into a repository.
fn unread(repository: &DeclaredRepository, why: &Unread) -> Diagnostic {
    let (severity, help) = match why {
        Unread::NotFetched(_) => (Severity::Hint, "`magus lint --fetch` fetches it".to_owned()),
        Unread::Missing(_) => (
            Severity::Warning,
            "name the repository of the pipelines' code; a path is relative to this file".to_owned(),
        ),
        Unread::Refused { .. } => (Severity::Error, "write a URL or a path that git can fetch".to_owned()),
        Unread::Failed { help, .. } => (Severity::Warning, help.clone()),
    };
    let message = format!("branches and commits are not checked: {why}");
    Diagnostic {
        severity,
        ..Diagnostic::new(&rules::REPOSITORY_UNREAD, repository.url_span, message).help(help)
    }
}

/// MG401, MG402, MG403: whether the branch and the commit are there, and the one on the other. What has no branch of its own has
/// that of its environment.
fn revisions(
    code: &Code,
    revision: &Revision,
    of_environment: Option<&(Text, Span)>,
    findings: &mut Vec<Diagnostic>,
) {
    let Revision { branch: own, commit } = revision;
    if let Some((branch, span)) = own
        && !code.has_branch(branch)
    {
        let branches: Vec<&str> = code.branches().collect();
        findings.push(
            Diagnostic::new(
                &rules::UNKNOWN_BRANCH,
                *span,
                format!("the repository has no branch `{branch}`"),
            )
            .help(suggest::help(branch, branches.iter().copied(), "it has no branch at all")),
        );
    }
    let Some((commit, span)) = commit else { return };
    let found = match code.commit(commit) {
        Ok(found) => found,
        Err(why) => {
            let (message, help) = match why {
                NotFound::Unknown => (
                    format!("the repository has no commit and no tag `{commit}`"),
                    "push it, or name one that is there",
                ),
                NotFound::Ambiguous => {
                    (format!("several commits begin with `{commit}`"), "write more digits of it")
                }
            };
            findings.push(Diagnostic::new(&rules::UNKNOWN_COMMIT, *span, message).help(help));
            return;
        }
    };
    let Some((branch, _)) = own.as_ref().or(of_environment).filter(|(name, _)| code.has_branch(name)) else {
        return;
    };
    if !code.is_on(&found, branch) {
        let short = found.get(..10).unwrap_or(&found);
        findings.push(
            Diagnostic::new(
                &rules::COMMIT_NOT_ON_BRANCH,
                *span,
                format!("the commit `{short}` is not on the branch `{branch}`"),
            )
            .help(format!("merge it into `{branch}` first, or name a commit that is there")),
        );
    }
}

/// MG405: the stage before lacks commits that are here.
fn behind(code: &Code, declared: &DeclaredCode, all: &[DeclaredCode], findings: &mut Vec<Diagnostic>) {
    let DeclaredCode { repository, environment, promotes_from: Some(before), revision, .. } = declared else {
        return;
    };
    let before =
        all.iter().find(|other| other.repository.url == repository.url && other.environment == *before);
    let Some((before, (earlier, _))) = before.and_then(|one| Some((one, one.revision.branch.as_ref()?)))
    else {
        return;
    };
    let Some((branch, span)) = &revision.branch else { return };
    let Some(count) = code.lacking(branch, earlier).filter(|count| *count > 0) else { return };
    let commits = if count == 1 { "a commit".to_owned() } else { format!("{count} commits") };
    findings.push(
        Diagnostic::new(
            &rules::STAGE_BEHIND,
            *span,
            format!(
                "`{branch}` has {commits} that `{earlier}` lacks: `{environment}` runs what `{}` never did",
                before.environment
            ),
        )
        .help(format!("merge `{branch}` into `{earlier}`, as after a hotfix")),
    );
}
