//! Workspaces that come and go with branches: one for each branch of the pipelines' repository that matches.

use std::collections::BTreeSet;

use magus_model::{
    Text,
    desired::{BranchWorkspaces, Workspace, declared_by_branch},
    diagnostic::{Diagnostic, Severity},
    files::Duration,
    name::{LONGEST_WORKSPACE_NAME, WorkspaceName},
    pattern, rules,
    span::Span,
    tree::{Node, NodeKind},
};
use sha2::{Digest as _, Sha256};

use crate::{
    deploy,
    layer::{self, OWN_KEYS},
    placeholder::{self, Variables},
    resolve::{Apart, Environs, Resolved, effective, reader, unknown_templates},
    rules::{layers, workspaces},
    scope::DEFAULT_WORKSPACE_NAME,
    sync,
};

/// How many digits of a hash tell two branches apart.
const DIGITS: usize = 6;

/// The branches of a repository, by its declared URL, or why nobody can say.
pub type Branches<'a> = dyn Fn(&str) -> Result<Vec<Text>, Text> + 'a;

/// The workspaces of an environment that come with branches.
pub(crate) struct OfBranches {
    pub(crate) declared: BranchWorkspaces,
    pub(crate) workspaces: Vec<Workspace>,
}

/// The workspaces that come with branches, for each environment in order.
pub(crate) fn workspaces(
    environs: &[Environs<'_, '_>],
    files: &[Resolved<'_>],
    branches: &Branches<'_>,
    findings: &mut Vec<Diagnostic>,
) -> Vec<Option<OfBranches>> {
    if environs.iter().all(|environs| environs.scope.branch_workspaces.is_none()) {
        return Vec::new();
    }
    // What an environment deploys is no feature of somebody.
    let deployed: BTreeSet<&Text> =
        environs.iter().filter_map(|environs| environs.scope.branch.map(|(branch, _)| branch)).collect();
    let mut taken: BTreeSet<WorkspaceName> =
        files.iter().filter_map(|file| file.workspace.as_ref()).map(|one| one.name.clone()).collect();
    environs.iter().map(|environs| environment(environs, branches, &deployed, &mut taken, findings)).collect()
}

fn environment(
    environs: &Environs<'_, '_>,
    branches: &Branches<'_>,
    deployed: &BTreeSet<&Text>,
    taken: &mut BTreeSet<WorkspaceName>,
    findings: &mut Vec<Diagnostic>,
) -> Option<OfBranches> {
    let node = environs.scope.branch_workspaces?;
    let repository = environs.scope.repository.as_ref().filter(|_| deploy::deploys(&environs.scope));
    let Some(repository) = repository else {
        findings.push(
            Diagnostic::new(
                &rules::NO_EFFECT,
                node.span,
                "`branch_workspaces` has no effect: no code is deployed to this cluster",
            )
            .help("it needs a `repository`, and on a Mage server its `sync`; remove it, or silence this with `# magus: ignore[MG708]`"),
        );
        return None;
    };
    let (matched, span) = layer::text(node, "match")?;
    let seconds = |key: &str| node.get(key)?.as_str().and_then(Duration::parse).map(Duration::seconds);
    let limit = match node.get("limit").map(|limit| &limit.kind) {
        Some(NodeKind::Int(limit)) => u32::try_from(*limit).ok(),
        _ => None,
    };
    let mut declared = BranchWorkspaces {
        unknown: None,
        limit,
        remove_after: seconds("remove_after"),
        delete: node.get("on_gone").and_then(Node::as_str) == Some("delete"),
    };
    let empty = Node::empty_map(span);
    let root = node.get("workspace").filter(|root| !root.is_null()).unwrap_or(&empty);
    unknown_templates(root, &environs.scope, findings);
    layers::check(root, findings);
    let mut all = match branches(&repository.url) {
        Ok(all) => all,
        Err(why) => {
            declared.unknown = Some(why);
            Vec::new()
        }
    };
    all.sort();
    let is_followed = |branch: &Text| environs.scope.sync.is_some() && sync::is_deploy_branch(branch);
    all.retain(|branch| {
        pattern::matches(matched, branch) && !deployed.contains(branch) && !is_followed(branch)
    });
    let mut made: Vec<Workspace> = Vec::new();
    for branch in &all {
        match workspace(environs, (root, span), branch, taken, findings) {
            Ok(workspace) => {
                if made.is_empty() {
                    workspaces::check_fields(&workspace.fields, environs, findings);
                }
                taken.insert(workspace.name.clone());
                made.push(workspace);
            }
            // A name that somebody gave a branch keeps nobody else from working.
            Err(message) => findings.push(Diagnostic {
                severity: Severity::Warning,
                ..Diagnostic::new(&rules::INVALID_NAME, span, message)
                    .help("give `branch_workspaces` another `name`, or the branch another one")
            }),
        }
    }
    Some(OfBranches { declared, workspaces: made })
}

/// The workspace of a branch, or why there can be none.
fn workspace(
    environs: &Environs<'_, '_>,
    (root, span): (&Node, Span),
    branch: &Text,
    taken: &BTreeSet<WorkspaceName>,
    findings: &mut Vec<Diagnostic>,
) -> Result<Workspace, String> {
    let Environs { directory, scope, .. } = environs;
    let own_name = scope.branch_workspaces.and_then(|node| layer::text(node, "name"));
    let pattern = own_name.or(scope.workspace_name).map_or(DEFAULT_WORKSPACE_NAME, |(pattern, _)| pattern);
    let of_environment = scope.variables(environs.folder, None);
    let named = |slug: &str| {
        let name = placeholder::fill(pattern, &of_branch(of_environment, branch, slug)).into_owned();
        WorkspaceName::parse(&name).ok().filter(|name| !taken.contains(name)).ok_or(name)
    };
    let plain = slug(branch);
    let (slug, name) = match named(&plain) {
        Ok(name) => (plain, name),
        Err(whole) => {
            let over = whole.len().saturating_sub(LONGEST_WORKSPACE_NAME);
            let hashed = hashed(&plain, branch, over);
            let name = named(&hashed).map_err(|name| {
                format!("the branch `{branch}` gets no workspace: `{name}` cannot be its name")
            })?;
            (hashed, name)
        }
    };
    let reader = reader(directory, of_branch(of_environment, branch, &slug));
    let own = layer::settings(root, &OWN_KEYS);
    let mut fields = effective(&reader, environs, root, &own, |_, _| ());
    let code = deploy::code_of_branch(scope, environs.folder.name, (branch, span), &name);
    sync::add_variables(scope, &reader, &name, code.as_ref(), &mut fields, findings);
    let Apart { state, state_span, owner } = Apart::take(&mut fields);
    let provided = scope.provided(&reader, root, name.as_str(), &fields);
    Ok(Workspace {
        name,
        declared: declared_by_branch(branch),
        state,
        state_span,
        fields,
        moved_from: None,
        owner,
        code,
        provided,
        span,
    })
}

/// What placeholders stand for in the workspace of a branch.
fn of_branch<'v>(of_environment: Variables<'v>, branch: &'v str, slug: &'v str) -> Variables<'v> {
    Variables { workspace: Some(slug), branch: Some(branch), branch_slug: Some(slug), ..of_environment }
}

/// A branch as a part of a name: in lower case, every run of other characters a `-`, and a letter first.
fn slug(branch: &str) -> String {
    let mut slug = String::with_capacity(branch.len());
    for c in branch.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

/// A slug that is shorter by so many characters, with a hash of the whole branch at its end.
fn hashed(slug: &str, branch: &str, over: usize) -> String {
    let digits: String = Sha256::digest(branch).iter().map(|byte| format!("{byte:02x}")).collect();
    let hash = &digits[..DIGITS];
    // A name begins with a letter, which a slug need not.
    let letter = if slug.starts_with(|c: char| c.is_ascii_lowercase()) { "" } else { "b-" };
    let kept = slug.len().saturating_sub(if over > 0 { over + DIGITS + 1 + letter.len() } else { 0 });
    let kept = slug[..kept].trim_end_matches('-');
    let dash = if kept.is_empty() { "" } else { "-" };
    format!("{letter}{kept}{dash}{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_becomes_a_part_of_a_name() {
        for (branch, expect) in [
            ("feature/orders-backfill", "feature-orders-backfill"),
            ("Feature/JIRA-12__x", "feature-jira-12-x"),
            ("--x//y..", "x-y"),
            ("ÜBER/ß", "ber"),
            ("/", ""),
        ] {
            assert_eq!(slug(branch), expect, "{branch}");
        }
        let long = slug(&"very-long-".repeat(10));
        let cut = hashed(&long, "x", long.len() + 12 - 52);
        assert_eq!(cut.len() + 12, 52);
        assert!(cut.starts_with("very-long-") && !cut.contains("--"), "{cut}");
        assert_eq!(hashed("12-x", "12/x", 0).find("b-12-x-"), Some(0));
        assert!(hashed("", "ü", 0).starts_with("b-"));
    }
}
