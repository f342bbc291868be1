//! Rules about the pipelines' repository: MG401 to MG409. What it has is looked up by the caller's `open`, once for each.

use std::collections::{BTreeMap, HashMap};

use magus_git::{Code, Counts, Lacking, NotFound, Tracking, Unknown, Unread};
use magus_model::{
    Text,
    desired::CommitChoice,
    diagnostic::{Diagnostic, Severity},
    plan::Head,
    rules,
    span::Span,
    suggest,
};

use super::projects::MissingProjects;
use crate::Resolution;

/// The branches that production takes from, as Mage recommends (<https://docs.mage.ai/production/ci-cd>).
const OF_PRODUCTION: [&str; 2] = ["main", "master"];

/// What the environments for production are called.
const PRODUCTION: [&str; 2] = ["production", "prod"];

/// How many paths are named.
pub(super) const SHOWN: usize = 3;

/// The repository of the pipelines' code, as it is declared.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredRepository {
    /// A URL, or a path that is absolute or relative to the working directory.
    pub url: Text,
    /// The URL or path in the form in which repositories are compared.
    pub identity: Text,
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
    /// Whether the commit is what is deployed, and not the head of the branch.
    pub pinned: bool,
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

/// Which commit a branch is taken for.
#[derive(Debug, Clone, Copy)]
pub enum Heads<'a> {
    /// The one that it is at.
    AsTheyAre,
    /// For these branches a commit that may not be on them yet.
    Assumed(&'a BTreeMap<Text, Text>),
    /// Those of a plan that was reviewed, while they are on their branches.
    Reviewed(&'a [Head]),
}

/// What became of a look into the pipelines' repositories.
#[derive(Default)]
pub struct LookedUp {
    /// What is wrong with branches and commits.
    pub findings: Vec<Diagnostic>,
    /// The repositories that could be opened, by their declared URLs.
    pub repositories: BTreeMap<Text, Code>,
    /// Why the others could not.
    pub unread: BTreeMap<Text, Unread>,
}

/// Checks branches and commits, and finds out which commit each workspace is to run. `open` gets each repository once.
pub fn look_up_code(
    resolution: &mut Resolution,
    heads: Heads<'_>,
    open: impl Fn(&str) -> Result<Code, Unread>,
) -> LookedUp {
    let mut looked_up = LookedUp::default();
    let LookedUp { findings, repositories, unread: unreadable } = &mut looked_up;
    shared_branches(&resolution.code, findings);
    let mut projects = MissingProjects::default();
    for declared in &resolution.code {
        production(declared, findings);
        let repository = &declared.repository;
        let url = &repository.url;
        if !repositories.contains_key(url) && !unreadable.contains_key(url) {
            match open(url) {
                Ok(code) => drop(repositories.insert(url.clone(), code)),
                Err(why) => {
                    findings.push(unread(repository, &why));
                    unreadable.insert(url.clone(), why);
                }
            }
        }
        let Some(code) = repositories.get(url) else { continue };
        let DeclaredCode { revision, own, .. } = declared;
        revisions((repository, code), revision, None, findings);
        for one in own {
            revisions((repository, code), one, revision.branch.as_ref(), findings);
        }
        behind(code, declared, &resolution.code, findings);
        files(code, declared, findings);
        projects.look(code, declared);
    }
    projects.report(findings);
    for cluster in &mut resolution.desired.clusters {
        // Many workspaces run one branch.
        let mut known: HashMap<(Text, Text, Option<Text>), Result<Chosen, Text>> = HashMap::new();
        let workspaces = cluster.environments.iter_mut().flat_map(|environment| &mut environment.workspaces);
        for wanted in workspaces.filter_map(|workspace| workspace.code.as_mut()) {
            let key = (wanted.repository.clone(), wanted.branch.clone(), wanted.pinned.clone());
            let commit = known.entry(key).or_insert_with(|| match repositories.get(&wanted.repository) {
                Some(code) => commit(code, &cluster.name, wanted, heads),
                None => Err(match unreadable.get(&wanted.repository) {
                    Some(why) => format!("what it is to run is not known: {why}").into(),
                    None => Text::new_static("nobody looked into the repository"),
                }),
            });
            (wanted.commit, wanted.choice) = match commit.clone() {
                Ok((commit, choice)) => (Ok(commit), choice),
                Err(why) => (Err(why), CommitChoice::Declared),
            };
            if let Some(follows) = &mut wanted.follows {
                let repository = repositories.get(&wanted.repository);
                follows.from =
                    repository.and_then(|code| code.replaced_by_push(&follows.name)).map(Text::from);
            }
        }
    }
    looked_up
}

/// A commit, and what chose it.
type Chosen = (Text, CommitChoice);

/// The commit that is to run, or why nobody can say which.
fn commit(
    code: &Code,
    cluster: &Text,
    wanted: &magus_model::desired::Code,
    heads: Heads<'_>,
) -> Result<Chosen, Text> {
    let declared = |commit: Text| (commit, CommitChoice::Declared);
    let branch = &wanted.branch;
    if let Some(pinned) = &wanted.pinned {
        let commit = code.commit(pinned).map_err(|why| match why {
            NotFound::Missing | NotFound::Ambiguous => {
                Text::from(format!("the repository has no commit `{pinned}`"))
            }
            NotFound::Unknown(why) => format!("the commit `{pinned}` is unknown: {why}").into(),
        })?;
        return match code.is_on(&commit, branch) {
            Ok(true) => Ok(declared(commit.into())),
            Ok(false) => Err(format!("the commit `{pinned}` is not on the branch `{branch}`").into()),
            Err(why) => {
                Err(format!("whether the commit `{pinned}` is on the branch `{branch}` is unknown: {why}")
                    .into())
            }
        };
    }
    let head = || match code.head(branch) {
        Ok(Some(commit)) => Ok(declared(commit.into())),
        Ok(None) => Err(Text::from(format!("the repository has no branch `{branch}`"))),
        Err(why) => Err(format!("the branch `{branch}` is unknown: {why}").into()),
    };
    match heads {
        Heads::AsTheyAre => head(),
        Heads::Assumed(assumed) => match assumed.get(branch) {
            Some(text) => match code.commit(text) {
                Ok(commit) => Ok((commit.into(), CommitChoice::Assumed)),
                Err(NotFound::Missing) => {
                    Err(format!("the repository has no commit `{text}`, which `--assume` names").into())
                }
                Err(NotFound::Ambiguous) => {
                    Err(format!("several commits begin with `{text}`, which `--assume` names").into())
                }
                Err(NotFound::Unknown(why)) => {
                    Err(format!("the commit `{text}`, which `--assume` names, is unknown: {why}").into())
                }
            },
            None => head(),
        },
        Heads::Reviewed(reviewed) => {
            let reviewed = reviewed.iter().find(|head| head.cluster == *cluster && head.branch == *branch);
            match reviewed.filter(|head| code.is_on(&head.commit, branch) == Ok(true)) {
                Some(reviewed) => {
                    let head = code.head(branch).ok().flatten().map(Text::from);
                    let choice = match head.as_ref() == Some(&reviewed.commit) {
                        true => CommitChoice::Declared,
                        false => CommitChoice::Reviewed { head },
                    };
                    Ok((reviewed.commit.clone(), choice))
                }
                None => head(),
            }
        }
    }
}

/// MG406: which of a branch and its remote-tracking branch counts in a clone, if they differ.
fn tracking(
    repository: &DeclaredRepository,
    code: &Code,
    (branch, span): &(Text, Span),
    findings: &mut Vec<Diagnostic>,
) {
    let url = &repository.url;
    let Some(Tracking { name, counts }) = code.tracking(branch) else { return };
    let command = |words: String| format!("`git -C {} {words}`", magus_model::shell::word(url));
    let (message, help) = match counts {
        Counts::TrackingAlone => return,
        Counts::TrackingIsAhead => (
            format!("`{branch}` in `{url}` is behind `{name}`, and `{name}` is used"),
            format!("{} while `{branch}` is checked out makes both the same", command("pull".to_owned())),
        ),
        Counts::Local => (
            format!("`{branch}` in `{url}` has commits that `{name}` lacks, and `{branch}` is used"),
            command(format!("log --oneline {name}..{branch}")) + " lists them",
        ),
    };
    findings.push(Diagnostic {
        severity: Severity::Hint,
        ..Diagnostic::new(&rules::REPOSITORY_UNREAD, *span, message).help(help)
    });
}

/// MG406: what a clone cannot answer.
fn unanswered(span: Span, question: &str, why: &Unknown) -> Diagnostic {
    Diagnostic::new(&rules::REPOSITORY_UNREAD, span, format!("{question} is unknown: {why}")).help(why.help())
}

/// MG409: whether git has all files of the folder, at the head of the branch.
fn files(code: &Code, declared: &DeclaredCode, findings: &mut Vec<Diagnostic>) {
    let DeclaredCode { repository, revision, .. } = declared;
    let Some((branch, span)) = &revision.branch else { return };
    let folder = repository.directory.as_ref().map_or("", |(folder, _)| folder.as_str());
    let Lacking { submodules, lfs } = match code.lacking_files(branch, folder) {
        Ok(Some(lacking)) => lacking,
        Ok(None) => return,
        // A branch that is unknown has a finding already.
        Err(Unknown::Clone { .. } | Unknown::Shallow { .. }) => return,
        Err(why) => {
            findings.push(unanswered(*span, &format!("what the branch `{branch}` holds"), &why));
            return;
        }
    };
    for (what, paths, help) in [
        ("submodules", submodules, "copy what is needed into the repository: nobody fetches submodules"),
        (
            "files that Git LFS holds:",
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
    (repository, code): (&DeclaredRepository, &Code),
    revision: &Revision,
    of_environment: Option<&(Text, Span)>,
    findings: &mut Vec<Diagnostic>,
) {
    let Revision { branch: own, commit } = revision;
    if let Some((branch, span)) = own {
        let branches: Vec<&str> = code.branches().collect();
        let help = || suggest::help(branch, branches.iter().copied(), "it has no branch at all");
        match code.head(branch) {
            Ok(Some(_)) => tracking(repository, code, &(branch.clone(), *span), findings),
            Ok(None) => {
                let message = format!("the repository has no branch `{branch}`");
                findings.push(Diagnostic::new(&rules::UNKNOWN_BRANCH, *span, message).help(help()));
            }
            Err(why) => {
                let message = format!("whether the branch `{branch}` exists is unknown: {why}");
                let close = suggest::closest(branch, branches.iter().copied());
                let help = close.map_or_else(|| why.help(), |close| format!("did you mean `{close}`?"));
                findings.push(Diagnostic {
                    severity: Severity::Warning,
                    ..Diagnostic::new(&rules::UNKNOWN_BRANCH, *span, message).help(help)
                });
            }
        }
    }
    let Some((commit, span)) = commit else { return };
    let found = match code.commit(commit) {
        Ok(found) => found,
        Err(NotFound::Unknown(why)) => {
            findings.push(unanswered(*span, &format!("whether the commit `{commit}` exists"), &why));
            return;
        }
        Err(NotFound::Missing) => {
            let message = format!("the repository has no commit and no tag `{commit}`");
            let help = "push it, or name one that is there";
            findings.push(Diagnostic::new(&rules::UNKNOWN_COMMIT, *span, message).help(help));
            return;
        }
        Err(NotFound::Ambiguous) => {
            let message = format!("several commits begin with `{commit}`");
            let help = "write more digits of it";
            findings.push(Diagnostic::new(&rules::UNKNOWN_COMMIT, *span, message).help(help));
            return;
        }
    };
    let is_known = |name: &str| matches!(code.head(name), Ok(Some(_)));
    let Some((branch, _)) = own.as_ref().or(of_environment).filter(|(name, _)| is_known(name)) else {
        return;
    };
    let short = found.get(..10).unwrap_or(&found);
    match code.is_on(&found, branch) {
        Ok(true) => {}
        Ok(false) => findings.push(
            Diagnostic::new(
                &rules::COMMIT_NOT_ON_BRANCH,
                *span,
                format!("the commit `{short}` is not on the branch `{branch}`"),
            )
            .help(format!("merge it into `{branch}` first, or name a commit that is there")),
        ),
        Err(why) => findings.push(unanswered(
            *span,
            &format!("whether the commit `{short}` is on the branch `{branch}`"),
            &why,
        )),
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
    let count = match code.lacking(branch, earlier) {
        Ok(Some(count)) if count > 0 => count,
        Ok(_) | Err(Unknown::Clone { .. }) => return,
        Err(why) => {
            let question = format!("whether `{earlier}` lacks commits of `{branch}`");
            findings.push(Diagnostic { severity: Severity::Hint, ..unanswered(*span, &question, &why) });
            return;
        }
    };
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
