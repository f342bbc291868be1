//! Workspaces that come and go with branches: one for each branch of the pipelines' repository that matches.

use std::collections::{BTreeMap, BTreeSet};

use magus_model::{
    Text,
    desired::{BranchWorkspaces, Cluster, Workspace, branch_of, declared_by_branch},
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

/// The branches of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BranchNames {
    /// Those that exist.
    pub names: Vec<Text>,
    /// Why a branch that is not among them may exist all the same; `None` if these are all.
    pub incomplete: Option<Text>,
}

/// The names that workspaces have in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TakenNames {
    /// The environment and the name in the declarations that the mark of each managed workspace says.
    pub marked: BTreeMap<WorkspaceName, (Text, Text)>,
    /// Those that may be in the cluster, with a mark that could not be read.
    pub unknown: BTreeSet<WorkspaceName>,
}

/// The facts that workspaces of branches are made from.
#[derive(Clone, Copy)]
pub struct BranchFacts<'a> {
    /// The branches of a repository by its declared URL, or why they are unknown.
    pub branches: &'a dyn Fn(&str) -> Result<BranchNames, Text>,
    /// The names that are taken in a cluster, which is given without its environments.
    pub taken: &'a dyn Fn(&Cluster) -> TakenNames,
}

/// The workspaces of an environment that come with branches.
pub(crate) struct OfBranches {
    pub(crate) declared: BranchWorkspaces,
    pub(crate) workspaces: Vec<Workspace>,
}

/// The workspaces that come with branches, for each environment in order.
pub(crate) fn workspaces(
    environs: &[Environs<'_, '_>],
    files: &[Resolved<'_>],
    facts: BranchFacts<'_>,
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
    let folders: BTreeSet<&Text> = environs.iter().map(|environs| environs.folder.name).collect();
    environs
        .iter()
        .map(|environs| environment(environs, facts, (&deployed, &folders), &mut taken, findings))
        .collect()
}

fn environment(
    environs: &Environs<'_, '_>,
    facts: BranchFacts<'_>,
    (deployed, folders): (&BTreeSet<&Text>, &BTreeSet<&Text>),
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
    let mut all = match (facts.branches)(&repository.url) {
        Ok(BranchNames { names, incomplete }) => {
            declared.unknown = incomplete;
            names
        }
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
    let of_cluster = match crate::resolve::cluster(&environs.scope) {
        Some((cluster, _)) if !all.is_empty() => (facts.taken)(&cluster),
        _ => TakenNames::default(),
    };
    let naming = Naming { environs, folders, of_cluster: &of_cluster };
    let mut made: Vec<Workspace> = Vec::new();
    for (branch, named) in naming.names(&all, taken) {
        match named.map(|named| workspace(environs, (root, span), branch, named, findings)) {
            Ok(workspace) => {
                if made.is_empty() {
                    workspaces::check_fields(&workspace.fields, environs, findings);
                }
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

/// A name for the workspace of a branch, and the slug that it is made with.
type Named = (String, WorkspaceName);

/// Gives the workspaces of an environment's branches their names.
struct Naming<'a, 'd, 'n> {
    environs: &'a Environs<'d, 'n>,
    /// The environments that are declared.
    folders: &'a BTreeSet<&'a Text>,
    of_cluster: &'a TakenNames,
}

impl Naming<'_, '_, '_> {
    /// The name for each branch, or why it gets none. A workspace keeps the branch that its mark names: a newcomer with the same slug
    /// gets a name with a hash, whether the older branch still exists or not.
    fn names<'b>(
        &self,
        branches: &'b [Text],
        taken: &mut BTreeSet<WorkspaceName>,
    ) -> Vec<(&'b Text, Result<Named, String>)> {
        let mut kept: BTreeMap<&Text, Named> = BTreeMap::new();
        for branch in branches {
            let own =
                self.candidates(branch).into_iter().flatten().find(|(_, name)| self.is_of(name, branch));
            if let Some((slug, name)) = own.filter(|(_, name)| !taken.contains(name)) {
                taken.insert(name.clone());
                kept.insert(branch, (slug, name));
            }
        }
        let mut named = Vec::with_capacity(branches.len());
        for branch in branches {
            let name = kept.remove(branch).map_or_else(|| self.new_name(branch, taken), Ok);
            if let Ok((_, name)) = &name {
                taken.insert(name.clone());
            }
            named.push((branch, name));
        }
        named
    }

    /// The name for a branch that has no workspace yet.
    fn new_name(&self, branch: &Text, taken: &BTreeSet<WorkspaceName>) -> Result<Named, String> {
        let [plain, hashed] = self.candidates(branch);
        let is_free = |name: &WorkspaceName| {
            !taken.contains(name) && (self.is_of(name, branch) || !self.of_cluster.marked.contains_key(name))
        };
        if let Ok((slug, name)) = plain {
            if is_free(&name) {
                return Ok((slug, name));
            }
            if self.of_cluster.unknown.contains(&name) {
                return Err(format!(
                    "the branch `{branch}` gets no workspace for now: whether `{name}` is its workspace is unknown"
                ));
            }
        }
        let invalid =
            |name: &str| format!("the branch `{branch}` gets no workspace: `{name}` cannot be its name");
        match hashed {
            Ok((slug, name)) if is_free(&name) => Ok((slug, name)),
            Ok((_, name)) => Err(invalid(name.as_str())),
            Err(name) => Err(invalid(&name)),
        }
    }

    /// Whether the mark of a workspace names this branch. An environment that is not declared any more was renamed.
    fn is_of(&self, name: &WorkspaceName, branch: &Text) -> bool {
        self.of_cluster.marked.get(name).is_some_and(|(environment, declared)| {
            branch_of(declared) == Some(branch.as_str())
                && (environment == self.environs.folder.name || !self.folders.contains(environment))
        })
    }

    /// The name that the slug of a branch makes, and the one with a hash; or a text that cannot be a name.
    fn candidates(&self, branch: &Text) -> [Result<Named, String>; 2] {
        let Environs { scope, folder, .. } = self.environs;
        let own_name = scope.branch_workspaces.and_then(|node| layer::text(node, "name"));
        let pattern =
            own_name.or(scope.workspace_name).map_or(DEFAULT_WORKSPACE_NAME, |(pattern, _)| pattern);
        let variables = scope.variables(folder, None);
        let named = |slug: String| {
            let name = placeholder::fill(pattern, &of_branch(variables, branch, &slug)).into_owned();
            WorkspaceName::parse(&name).map(|parsed| (slug, parsed)).map_err(|_| name)
        };
        let slug = slug(branch);
        let plain = named(slug.clone());
        let length = plain.as_ref().map_or_else(String::len, |(_, name)| name.as_str().len());
        // The hash and its dash are more characters.
        let over = (length + DIGITS + 1).saturating_sub(LONGEST_WORKSPACE_NAME);
        let over = if plain.is_err() { length.saturating_sub(LONGEST_WORKSPACE_NAME) } else { over };
        [plain, named(hashed(&slug, branch, over))]
    }
}

/// The workspace of a branch.
fn workspace(
    environs: &Environs<'_, '_>,
    (root, span): (&Node, Span),
    branch: &Text,
    (slug, name): Named,
    findings: &mut Vec<Diagnostic>,
) -> Workspace {
    let Environs { directory, scope, .. } = environs;
    let of_environment = scope.variables(environs.folder, None);
    let reader = reader(directory, of_branch(of_environment, branch, &slug));
    let own = layer::settings(root, &OWN_KEYS);
    let mut fields = effective(&reader, environs, root, &own, |_, _| ());
    let code = deploy::code_of_branch(scope, environs.folder.name, (branch, span), &name);
    sync::add_variables(scope, &reader, &name, code.as_ref(), &mut fields, findings);
    let Apart { state, state_span, owner } = Apart::take(&mut fields);
    let provided = scope.provided(&reader, root, name.as_str(), &fields);
    Workspace {
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
    }
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
