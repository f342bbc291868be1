//! Which code a workspace runs, as its files and those of its environment say. What a branch or a commit is at the time is
//! looked up later ([`crate::look_up_code`]).

use magus_load::Role;
use magus_model::{
    Text,
    desired::{Code, Engine},
    diagnostic::Diagnostic,
    files::DeployMode,
    rules,
    span::Span,
    tree::Node,
};

use crate::{layer, scope::Scope};

/// The code of a workspace; nothing where nothing is deployed to it, or it does not say enough.
pub(crate) fn code(scope: &Scope<'_>, root: &Node) -> Option<Code> {
    let repository = scope.repository.as_ref()?;
    if !deploys(scope) {
        return None;
    }
    let own = |key: &str| layer::text(root, key).filter(|_| scope.allow_branch_override);
    let (branch, branch_span) = own("branch").or(scope.branch)?;
    let declared = own("deploy").or(scope.deploy).and_then(|(word, _)| DeployMode::parse(word));
    let mode = declared.unwrap_or(if scope.stage.first { DeployMode::Once } else { DeployMode::Head });
    let pinned = own("commit").or(scope.commit).filter(|_| mode == DeployMode::Pinned);
    let whole = Text::new_static(".");
    match mode {
        DeployMode::None => return None,
        DeployMode::Pinned if pinned.is_none() => return None,
        DeployMode::Head | DeployMode::Pinned | DeployMode::Once => {}
    }
    Some(Code {
        repository: repository.url.clone(),
        directory: repository.directory.as_ref().map_or(whole, |(folder, _)| folder.clone()),
        branch: branch.clone(),
        pinned: pinned.map(|(commit, _)| commit.clone()),
        once: mode == DeployMode::Once,
        commit: Err(Text::new_static("nobody looked into the repository")),
        span: pinned.map_or(branch_span, |(_, span)| span),
    })
}

/// The code of a workspace that comes with a branch; nothing where code is not deployed at all.
pub(crate) fn code_of_branch(scope: &Scope<'_>, branch: &Text, span: Span) -> Option<Code> {
    let repository = scope.repository.as_ref().filter(|_| deploys(scope))?;
    Some(Code {
        repository: repository.url.clone(),
        directory: repository.directory.as_ref().map_or(Text::new_static("."), |(folder, _)| folder.clone()),
        branch: branch.clone(),
        pinned: None,
        once: false,
        commit: Err(Text::new_static("nobody looked into the repository")),
        span,
    })
}

/// Whether this version of Magus puts code into workspaces of the cluster.
pub(crate) fn deploys(scope: &Scope<'_>) -> bool {
    matches!(scope.engine.as_ref().and_then(|declared| declared.engine.as_ref()), Some(Engine::Local { .. }))
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
            let message = "`deploy` has no effect: code is deployed on the local engine alone".to_owned();
            let help =
                "leave it for a later version, and silence this with `# magus: ignore[MG708]`, or remove it";
            findings.push(no_effect(span, message, help));
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
