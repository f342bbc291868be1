//! Which code a workspace runs, as its files and those of its environment say. What a branch or a commit is at the time is
//! looked up later ([`crate::look_up_code`]).

use magus_load::Role;
use magus_model::{
    Text,
    desired::{Code, CommitChoice, Engine},
    diagnostic::Diagnostic,
    files::DeployMode,
    name::WorkspaceName,
    rules,
    source::{Deployment, ProjectSource, directory},
    span::Span,
    tree::Node,
};

use crate::{layer, rules::code::DeclaredRepository, scope::Scope, sync};

/// The code of a workspace; nothing where nothing is deployed to it, or it does not say enough.
pub(crate) fn code(scope: &Scope<'_>, environment: &str, root: &Node, name: &WorkspaceName) -> Option<Code> {
    let repository = scope.repository.as_ref()?;
    if !deploys(scope) {
        return None;
    }
    let own = |key: &str| layer::text(root, key).filter(|_| scope.allow_branch_override);
    let (branch, branch_span) = own("branch").or(scope.branch)?;
    let declared = own("deploy").or(scope.deploy).and_then(|(word, _)| DeployMode::parse(word));
    let mode = declared.unwrap_or(if scope.stage.first { DeployMode::Once } else { DeployMode::Head });
    let is_own = ["branch", "commit", "deploy"].iter().any(|key| own(key).is_some());
    let pinned = own("commit").or(scope.commit).filter(|_| mode == DeployMode::Pinned);
    match mode {
        DeployMode::None => return None,
        DeployMode::Head | DeployMode::Pinned | DeployMode::Once if is_own && sync::has_deployment(scope) => {
            return None;
        }
        // What a server does by itself follows a branch: there is no way to leave it to people after the first time.
        DeployMode::Once if by_server(scope) => return None,
        DeployMode::Pinned if pinned.is_none() => return None,
        DeployMode::Head | DeployMode::Pinned | DeployMode::Once => {}
    }
    Some(Code {
        repository: repository.url.clone(),
        source: source(repository, sync::deployment(scope, environment)),
        branch: branch.clone(),
        pinned: pinned.map(|(commit, _)| commit.clone()),
        once: mode == DeployMode::Once,
        follows: sync::branch(scope, environment, name),
        commit: Err(Text::new_static("nobody looked into the repository")),
        choice: CommitChoice::Declared,
        span: pinned.map_or(branch_span, |(_, span)| span),
    })
}

/// The code of a workspace that comes with a branch; nothing where code is not deployed at all.
pub(crate) fn code_of_branch(
    scope: &Scope<'_>,
    environment: &str,
    (branch, span): (&Text, Span),
    name: &WorkspaceName,
) -> Option<Code> {
    // A deployment of Mage Pro is one for all workspaces of an environment.
    let repository = scope.repository.as_ref().filter(|_| deploys(scope) && !sync::has_deployment(scope))?;
    Some(Code {
        repository: repository.url.clone(),
        source: source(repository, None),
        branch: branch.clone(),
        pinned: None,
        once: false,
        follows: sync::branch(scope, environment, name),
        commit: Err(Text::new_static("nobody looked into the repository")),
        choice: CommitChoice::Declared,
        span,
    })
}

/// Where code comes from, in comparable form.
fn source(repository: &DeclaredRepository, deployment: Option<Deployment>) -> ProjectSource {
    let folder = repository.directory.as_ref().map_or("", |(folder, _)| folder.as_str());
    ProjectSource { repository: repository.identity.clone(), directory: directory(folder), deployment }
}

/// Whether this version of Magus puts code into workspaces of the cluster.
pub(crate) fn deploys(scope: &Scope<'_>) -> bool {
    matches!(scope.engine(), Some(Engine::Local { .. })) || by_server(scope)
}

/// Whether it is the Mage server that does it.
fn by_server(scope: &Scope<'_>) -> bool {
    sync::is_used(scope) || sync::has_deployment(scope)
}

/// MG401, MG402 and MG708: `deploy` without what it deploys, and what is declared for nothing.
pub(crate) fn check(role: &Role, root: &Node, scope: &Scope<'_>, findings: &mut Vec<Diagnostic>) {
    let is_own = matches!(role, Role::Workspace { .. });
    if is_own && !scope.allow_branch_override {
        return;
    }
    let own = |key: &str| layer::text(root, key);
    let or_environment = |of_environment| if is_own { of_environment } else { None };
    let branch = own("branch").or(or_environment(scope.branch));
    let commit = own("commit").or(or_environment(scope.commit));
    let deploy = own("deploy").or(or_environment(scope.deploy));
    let declared = deploy.and_then(|(word, _)| DeployMode::parse(word));
    let own_span =
        |key: &str| root.entry(key).filter(|entry| !entry.value.is_null()).map(|entry| entry.key_span);
    let no_effect = |span: Span, message: String, help: &str| {
        Diagnostic::new(&rules::NO_EFFECT, span, message).help(help)
    };
    if let (Some(span), Some(mode)) = (own_span("deploy"), declared.filter(|mode| *mode != DeployMode::None))
    {
        if scope.repository.is_none() {
            let help = "declare the `repository` in cluster.yaml, or remove it";
            findings.push(no_effect(
                span,
                "`deploy` has no effect: there is no `repository`".to_owned(),
                help,
            ));
        } else if !deploys(scope) {
            let message = match scope.sync {
                Some(_) => "`deploy` has no effect: `repository.sync` cannot be used",
                None => "`deploy` has no effect: how workspaces on a Mage server fetch code is not declared",
            };
            let help =
                "say with `sync: {url: …}` how they do, beside the `url` of the `repository`, or remove it";
            findings.push(no_effect(span, message.to_owned(), help));
        } else if is_own && sync::has_deployment(scope) {
            let message = "`deploy` has no effect: a deployment is one for the whole environment".to_owned();
            findings.push(no_effect(span, message, "remove it, or write `none`"));
        } else if mode == DeployMode::Once && by_server(scope) {
            let message = "`deploy: once` has no effect: what Mage fetches follows a branch".to_owned();
            findings.push(no_effect(span, message, "write `head`, or `none` where people do it in Mage"));
        } else if branch.is_none() {
            let message = "`deploy` needs a `branch`, and none is declared".to_owned();
            findings.push(
                Diagnostic::new(&rules::UNKNOWN_BRANCH, span, message)
                    .help("name the branch beside it, or write `deploy: none`"),
            );
        } else if mode == DeployMode::Pinned && commit.is_none() {
            let message = "`deploy: pinned` needs a `commit`, and none is declared".to_owned();
            findings.push(
                Diagnostic::new(&rules::UNKNOWN_COMMIT, span, message)
                    .help("name the commit or tag that is to run, or write `deploy: head`"),
            );
        }
    }
    if let Some(span) = own_span("commit").filter(|_| declared != Some(DeployMode::Pinned)) {
        findings.push(no_effect(
            span,
            "`commit` has no effect: only `deploy: pinned` deploys it".to_owned(),
            "write `deploy: pinned` beside it, or remove it",
        ));
    }
}
