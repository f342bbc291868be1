//! What `repository.sync` comes to: the branch that workspaces on a Mage server follow, and the variables with which Mage's git
//! sync fetches it (`GIT_*`, `mage_ai/data_preparation/preferences.py` of 0.9.80).

use magus_model::{
    Text,
    desired::{Code, Edition, Engine, Field, Layer, MageServer},
    diagnostic::Diagnostic,
    git,
    name::WorkspaceName,
    path::FieldPath,
    plan::DeployBranch,
    rules,
    source::Deployment,
    span::Span,
    value::{FieldValue, Value},
};

use crate::{
    layer::{self, Content},
    scope::Scope,
    value::Reader,
};

/// Where Mage keeps the projects of workspaces (`cluster_manager/kubernetes/workload_manager.py`: the volume, and
/// `USER_CODE_PATH` below it).
const PROJECTS: &str = "/home/src";
/// Who a token belongs to is of no interest to most servers, but some name has to be given.
const USERNAME: &str = "magus";

/// The keys of `auth`, each with its variable.
const AUTH: [(&str, &str); 4] = [
    ("username", "GIT_USERNAME"),
    ("access_token", "GIT_ACCESS_TOKEN"),
    ("ssh_private_key", "GIT_SSH_PRIVATE_KEY"),
    ("ssh_public_key", "GIT_SSH_PUBLIC_KEY"),
];

/// Whether a branch is one of those that Magus moves.
pub(crate) fn is_deploy_branch(branch: &str) -> bool {
    branch.starts_with(DeployBranch::PREFIX)
}

/// Whether workspaces of the environment fetch their code themselves.
pub(crate) fn is_used(scope: &Scope<'_>) -> bool {
    let is_declared = scope.sync.is_some_and(|node| layer::text(node, "url").is_some());
    is_declared && is_mage(scope) && is_whole(scope) && !has_deployment(scope)
}

/// Whether Mage Pro deploys to the environment by itself.
pub(crate) fn has_deployment(scope: &Scope<'_>) -> bool {
    deployment(scope, "").is_some()
}

/// The deployment of Mage Pro that an environment declares; nothing where the server is another one.
pub(crate) fn deployment(scope: &Scope<'_>, environment: &str) -> Option<Deployment> {
    let node = scope.deployments.filter(|_| is_pro(scope))?;
    let text = |key: &str| layer::text(node, key).map(|(text, _)| text.clone());
    Some(Deployment {
        setting: text("setting")?,
        branch: text("branch")?,
        environment: environment.into(),
        target_directory: text("target_directory"),
    })
}

fn is_mage(scope: &Scope<'_>) -> bool {
    matches!(scope.engine(), Some(Engine::Mage(_)))
}

fn is_pro(scope: &Scope<'_>) -> bool {
    matches!(scope.engine(), Some(Engine::Mage(MageServer { edition: Edition::Pro, .. })))
}

/// Whether the project is the root of the repository: Mage's sync puts a whole repository where the project is.
fn is_whole(scope: &Scope<'_>) -> bool {
    let directory = scope.repository.as_ref().and_then(|repository| repository.directory.as_ref());
    directory.is_none_or(|(folder, _)| folder.split('/').all(|part| part.is_empty() || part == "."))
}

/// The branch that a workspace follows, which is its own: whatever becomes of the steps of others, it moves with its own step. Nothing
/// if the workspace fetches no code itself.
pub(crate) fn branch(scope: &Scope<'_>, environment: &str, name: &WorkspaceName) -> Option<DeployBranch> {
    is_used(scope).then(|| DeployBranch { name: DeployBranch::of(environment, name), from: None })
}

/// Adds the variables of a workspace that follows a branch. Those that decide what it fetches are what they have to be; of the
/// others a declared one counts.
pub(crate) fn add_variables(
    scope: &Scope<'_>,
    reader: &Reader<'_>,
    name: &WorkspaceName,
    code: Option<&Code>,
    fields: &mut Vec<Field>,
    findings: &mut Vec<Diagnostic>,
) {
    let Some((node, follows)) = scope.sync.zip(code.and_then(|code| code.follows.as_ref())) else { return };
    let Some((url, span)) = layer::text(node, "url") else { return };
    let text = |text: &str| FieldValue::Plain(Value::string(text));
    for (variable, value) in [
        ("GIT_REPO_LINK", text(url)),
        ("GIT_BRANCH", text(&follows.name)),
        ("GIT_AUTH_TYPE", text(if is_ssh(url) { "ssh" } else { "https" })),
        ("GIT_SYNC_ON_START", text("1")),
    ] {
        let field = field(variable, value, span);
        match fields.binary_search_by(|declared| declared.path.cmp(&field.path)) {
            Ok(at) => {
                findings.push(no_effect(&fields[at]));
                fields[at] = field;
            }
            Err(at) => fields.insert(at, field),
        }
    }
    let auth = node.get("auth");
    let given = AUTH.iter().filter_map(|(key, variable)| {
        let value = auth?.get(key).filter(|value| !value.is_null())?;
        let setting =
            layer::Setting { path: path(variable), span: value.span, content: Content::Leaf(value) };
        Some(field(variable, reader.field_value(&setting), value.span))
    });
    let usual = [
        field("GIT_REPO_PATH", text(&format!("{PROJECTS}/{name}")), span),
        field("GIT_USERNAME", text(USERNAME), span),
    ];
    for field in given.collect::<Vec<_>>().into_iter().chain(usual) {
        if let Err(at) = fields.binary_search_by(|declared| declared.path.cmp(&field.path)) {
            fields.insert(at, field);
        }
    }
}

fn no_effect(field: &Field) -> Diagnostic {
    let message = format!("`{}` has no effect: `repository.sync` decides what is fetched", field.path);
    Diagnostic::new(&rules::NO_EFFECT, field.span, message)
        .help("remove it, or write `deploy: none` where Magus is to keep off the code")
}

fn path(variable: &str) -> FieldPath {
    FieldPath::key("env").child(variable)
}

fn field(variable: &str, value: FieldValue, span: Span) -> Field {
    Field { path: path(variable), value, span, layer: Layer::Sync }
}

/// Whether git takes a URL to ssh.
fn is_ssh(url: &Text) -> bool {
    url.starts_with("ssh://") || !url.contains("://") && !git::is_path(url)
}

/// MG708: what is declared of a sync, or a deployment, that nothing uses.
pub(crate) fn check(scope: &Scope<'_>, findings: &mut Vec<Diagnostic>) {
    if let Some(node) = scope.deployments.filter(|_| !is_pro(scope)) {
        let message = "`deployments` has no effect: only Mage Pro has them";
        let help = "say `edition: pro` where the server is declared, or remove it";
        findings.push(Diagnostic::new(&rules::NO_EFFECT, node.span, message).help(help));
    }
    let Some(node) = scope.sync else { return };
    let (why, help) = match (is_mage(scope), is_whole(scope)) {
        (false, _) => ("it is about workspaces on a Mage server", "remove it"),
        (true, false) => (
            "Mage fetches whole repositories, and `directory` names a folder in this one",
            "give the project a repository of its own, or remove it",
        ),
        (true, true) => return,
    };
    findings.push(
        Diagnostic::new(&rules::NO_EFFECT, node.span, format!("`sync` has no effect: {why}")).help(help),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_through_ssh_says_so() {
        for (url, expect) in [
            ("https://git.acme.dev/pipelines.git", false),
            ("ssh://git@git.acme.dev/pipelines.git", true),
            ("git@git.acme.dev:acme/pipelines.git", true),
            ("/srv/git/pipelines.git", false),
            ("file:///srv/git/pipelines.git", false),
        ] {
            assert_eq!(is_ssh(&url.into()), expect, "{url}");
        }
    }
}
