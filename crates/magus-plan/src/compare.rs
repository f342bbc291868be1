//! How the plan that was reviewed and the current one differ, and which side moved.
//!
//! Two plans are all there is to go by. A precondition names the revision of a workspace, so another one says that
//! the cluster moved; other values to be set say that the declarations did. Where a step has come or gone and
//! nothing else of its workspace is in both plans, the revision of the declarations decides, if it can.

use std::collections::BTreeMap;

use magus_model::{
    Text,
    name::WorkspaceName,
    path::FieldPath,
    plan::{Deploy, FieldChange, Overrides, Plan, Precondition, Reason, Refused, Step, Withheld},
    source::{Deployment, ProjectSource},
    value::FieldValue,
};

/// How two plans differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlanDifference {
    /// One for each step, withheld step or override that differs.
    pub differences: Vec<Difference>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What differs: the id of a step, or the name of an override.
    pub subject: String,
    /// How, in words for people. No secret is in it.
    pub message: String,
    /// Which side moved.
    pub side: Side,
}

/// Which side moved since the review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The cluster.
    Cluster,
    /// The declarations.
    Declaration,
    /// Both did.
    Both,
    /// Two plans do not tell.
    Unknown,
    /// The command line: other flags were given.
    Command,
}

impl Side {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Cluster => "the cluster moved",
            Side::Declaration => "the declaration moved",
            Side::Both => "the cluster and the declaration moved",
            Side::Unknown => "the cluster or the declaration moved",
            Side::Command => "other flags were given",
        }
    }
}

impl PlanDifference {
    /// A line for each difference.
    pub fn lines(&self) -> Vec<String> {
        let line = |difference: &Difference| {
            let Difference { subject, message, side } = difference;
            format!("`{subject}`: {message} ({})", side.as_str())
        };
        self.differences.iter().map(line).collect()
    }
}

/// How the plan that was approved and the current one differ. Nothing differs where their digests are equal.
pub fn compare(approved: &Plan, current: &Plan) -> PlanDifference {
    let mut differences = Vec::new();
    if approved.format_version != current.format_version {
        differences.push(Difference {
            subject: "format_version".to_owned(),
            message: format!(
                "the plan has {}, and this Magus writes {}",
                approved.format_version, current.format_version
            ),
            side: Side::Command,
        });
    }
    let sides = Sides::new(approved, current);
    let before: BTreeMap<_, _> = approved.steps.iter().map(|step| (&step.id, step)).collect();
    let after: BTreeMap<_, _> = current.steps.iter().map(|step| (&step.id, step)).collect();
    for step in &approved.steps {
        match after.get(&step.id) {
            None => differences.push(Difference {
                subject: step.id.to_string(),
                message: no_more(step, current),
                side: sides.of(&step.cluster, &step.workspace),
            }),
            Some(now) => differences.extend(step_difference(step, now, &sides)),
        }
    }
    for step in current.steps.iter().filter(|step| !before.contains_key(&step.id)) {
        differences.push(Difference {
            subject: step.id.to_string(),
            message: format!("was not approved: {}", step.reason),
            side: sides.of(&step.cluster, &step.workspace),
        });
    }
    withheld(&approved.withheld, &current.withheld, &sides, &mut differences);
    refused(&approved.refused, &current.refused, &mut differences);
    overrides(&approved.overrides, &current.overrides, &mut differences);
    let order = |plan: &Plan| plan.steps.iter().map(|step| step.id.clone()).collect::<Vec<_>>();
    if differences.is_empty() && order(approved) != order(current) {
        differences.push(Difference {
            subject: "steps".to_owned(),
            message: "are done in another order".to_owned(),
            side: Side::Declaration,
        });
    }
    PlanDifference { differences }
}

/// Why an approved step is not one any more.
fn no_more(step: &Step, current: &Plan) -> String {
    let held = current.withheld.iter().find(|held| {
        (&held.cluster, &held.workspace, held.action) == (&step.cluster, &step.workspace, step.action)
    });
    match held {
        Some(held) => format!("was approved, and is withheld now: {}", held.message),
        None => "was approved, and is not to be done any more".to_owned(),
    }
}

fn step_difference(approved: &Step, current: &Step, sides: &Sides<'_>) -> Option<Difference> {
    let cluster_moved = approved.precondition != current.precondition;
    let mut words = field_differences(&approved.fields, &current.fields);
    let declaration_moved = !words.is_empty() && words.iter().any(|(_, declared)| *declared);
    let mut text: Vec<_> = words.drain(..).map(|(text, _)| text).collect();
    if approved.environment != current.environment {
        text.push(format!("environment was {}, is {}", approved.environment, current.environment));
    }
    if approved.renamed_from != current.renamed_from {
        text.push("renames another workspace".to_owned());
    }
    if approved.restarts != current.restarts {
        text.push("restarts differently".to_owned());
    }
    text.extend(deploy_differences(approved.deploy.as_ref(), current.deploy.as_ref()));
    if approved.needs != current.needs {
        text.push("waits for other steps".to_owned());
    }
    if text.is_empty() && cluster_moved {
        text.push("the workspace is not as it was when the plan was made".to_owned());
    }
    if text.is_empty() {
        return None;
    }
    let side = match (cluster_moved, declaration_moved) {
        (true, true) => Side::Both,
        (true, false) => Side::Cluster,
        (false, true) => Side::Declaration,
        (false, false) => sides.of(&approved.cluster, &approved.workspace),
    };
    Some(Difference { subject: approved.id.to_string(), message: text.join("; "), side })
}

/// How what two steps deploy differs, in words. Movements follow from the commits, and are not compared.
fn deploy_differences(approved: Option<&Deploy>, current: Option<&Deploy>) -> Vec<String> {
    let (Some(approved), Some(current)) = (approved, current) else {
        let differs = approved.is_some() != current.is_some();
        return differs.then(|| "deploys code in one plan only".to_owned()).into_iter().collect();
    };
    let Deploy { branch, from, to, source, source_before, reason, follows, movement: _ } = approved;
    if *source == ProjectSource::default() && *source != current.source {
        let words = "the plan does not say which repository and directory the code comes from: an older Magus made it";
        return vec![words.to_owned()];
    }
    let mut words = Vec::new();
    let mut differs = |what: &str, was: &str, is: &str| {
        if was != is {
            words.push(format!("{what} was `{was}`, and now is `{is}`"));
        }
    };
    let or_nothing = |commit: &'_ Option<Text>| commit.clone().unwrap_or_else(|| "nothing".into());
    differs("the branch", branch, &current.branch);
    differs("the running commit", &or_nothing(from), &or_nothing(&current.from));
    differs("the commit to deploy", to, &current.to);
    let ProjectSource { repository, directory, deployment } = source;
    differs("the repository", repository, &current.source.repository);
    differs("the directory", directory, &current.source.directory);
    let setting = |deployment: &Option<Deployment>| {
        deployment.as_ref().map_or_else(|| "nothing".into(), |deployment| deployment.setting.clone())
    };
    differs("the deployment setting", &setting(deployment), &setting(&current.source.deployment));
    let others = [
        (*deployment != current.source.deployment, "deploys through another deployment"),
        (*source_before != current.source_before, "replaces code of another source"),
        (*reason != current.reason, "deploys for another reason"),
        (*follows != current.follows, "moves another branch, or from another commit"),
    ];
    if words.is_empty() {
        words.extend(others.into_iter().filter(|(differs, _)| *differs).map(|(_, word)| word.to_owned()));
    }
    words
}

/// What differs in words, each with whether the declaration has a part in it.
fn field_differences(approved: &[FieldChange], current: &[FieldChange]) -> Vec<(String, bool)> {
    let by_path = |fields: &'_ [FieldChange]| -> BTreeMap<FieldPath, FieldChange> {
        fields.iter().map(|field| (field.path.clone(), field.clone())).collect()
    };
    let (before, after) = (by_path(approved), by_path(current));
    let mut words = Vec::new();
    for (path, field) in &before {
        match after.get(path) {
            None => words.push((format!("`{path}` is not changed any more"), false)),
            Some(now) if field.after_shown() != now.after_shown() => {
                let sensitive = field.sensitive || now.sensitive;
                let (was, is) = (shown(&field.after, sensitive), shown(&now.after, sensitive));
                words.push((format!("`{path}` was to become {was}, and now {is}"), true));
            }
            Some(now) if field.sealed != now.sealed => {
                words.push((format!("the value of `{path}`, which is not shown, is another one"), true));
            }
            Some(now) if field.before_shown() != now.before_shown() => {
                let sensitive = field.sensitive || now.sensitive;
                let (was, is) = (shown(&field.before, sensitive), shown(&now.before, sensitive));
                words.push((format!("`{path}` was {was}, and now is {is}"), false));
            }
            Some(now)
                if (field.status, field.reason, field.sensitive)
                    != (now.status, now.reason, now.sensitive) =>
            {
                let (was, is) = (field.reason.as_str(), now.reason.as_str());
                words.push((format!("`{path}` changes for another reason: was {was}, is {is}"), false));
            }
            Some(_) => {}
        }
    }
    let new = after.iter().filter(|(path, _)| !before.contains_key(*path));
    words.extend(new.map(|(path, field)| {
        let declared = matches!(field.reason, Reason::Declared | Reason::Both);
        (format!("`{path}` is changed too, to {}", shown(&field.after, field.sensitive)), declared)
    }));
    words
}

/// A value as it may be shown.
fn shown(value: &Option<FieldValue>, sensitive: bool) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(value @ FieldValue::Secret(_)) => value.to_string(),
        Some(_) if sensitive => "a secret".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}

fn withheld(
    approved: &[Withheld],
    current: &[Withheld],
    sides: &Sides<'_>,
    differences: &mut Vec<Difference>,
) {
    let key = |held: &Withheld| (held.cluster.clone(), held.workspace.clone(), held.action);
    let index = |all: &'_ [Withheld]| -> BTreeMap<_, _> {
        all.iter().map(|held| (key(held), held.clone())).collect()
    };
    let (before, after) = (index(approved), index(current));
    let subject = |held: &Withheld| format!("{}/{}/{}", held.cluster, held.workspace, held.action.as_str());
    let mut push = |held: &Withheld, message: String| {
        let side = sides.of(&held.cluster, &held.workspace);
        differences.push(Difference { subject: subject(held), message, side });
    };
    for (key, held) in &before {
        match after.get(key) {
            None => push(held, format!("was withheld by `{}`, and is not any more", held.guard.as_str())),
            Some(now) if now.guard != held.guard => {
                push(
                    held,
                    format!("was withheld by `{}`, and now by `{}`", held.guard.as_str(), now.guard.as_str()),
                );
            }
            Some(now) if now.environment != held.environment => {
                push(held, format!("was withheld in {}, and now in {}", held.environment, now.environment));
            }
            Some(_) => {}
        }
    }
    for (_, held) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
        push(held, format!("is withheld by `{}`, and was not", held.guard.as_str()));
    }
}

fn refused(approved: &[Refused], current: &[Refused], differences: &mut Vec<Difference>) {
    let has = |all: &[Refused], one: &Refused| {
        all.iter().any(|other| (&other.cluster, other.guard) == (&one.cluster, one.guard))
    };
    let mut push = |one: &Refused, message: String| {
        let subject = one.cluster.to_string();
        differences.push(Difference { subject, message, side: Side::Unknown });
    };
    for one in approved.iter().filter(|one| !has(current, one)) {
        push(one, format!("was refused by `{}`, and is not any more", one.guard.as_str()));
    }
    for one in current.iter().filter(|one| !has(approved, one)) {
        push(one, format!("is refused by `{}`, and was not", one.guard.as_str()));
    }
}

fn overrides(approved: &Overrides, current: &Overrides, differences: &mut Vec<Difference>) {
    let list = |names: &[Text]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    let one = |value: &Option<Text>| value.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let rows = |overrides: &Overrides| {
        let Overrides {
            allow_delete,
            allow_replace,
            allow_empty,
            allow_unprotect,
            adopt,
            allow_older,
            max_deletes,
            refresh_secrets,
            override_gate,
            discard_changes,
            reason,
        } = overrides;
        [
            ("--allow-delete", list(allow_delete)),
            ("--allow-replace", list(allow_replace)),
            ("--allow-empty", list(allow_empty)),
            ("--allow-unprotect", list(allow_unprotect)),
            ("--adopt", list(adopt)),
            ("--allow-older", if *allow_older { "given".to_owned() } else { "nothing".to_owned() }),
            ("--max-deletes", one(max_deletes)),
            ("--refresh-secrets", list(refresh_secrets)),
            ("--override-gate", list(override_gate)),
            ("--discard-changes", list(discard_changes)),
            ("--reason", one(reason)),
        ]
    };
    for ((flag, was), (_, is)) in rows(approved).into_iter().zip(rows(current)) {
        if was != is {
            let message = format!("was {was}, and now is {is}");
            differences.push(Difference { subject: flag.to_owned(), message, side: Side::Command });
        }
    }
}

/// What both plans say about who moved.
struct Sides<'a> {
    /// The preconditions of each workspace's first steps, in the approved and in the current plan.
    seen: BTreeMap<(&'a Text, &'a WorkspaceName), [Option<&'a Precondition>; 2]>,
    /// Whether both plans rest on the same commit, without changes beside it.
    same_declaration: bool,
}

impl<'a> Sides<'a> {
    fn new(approved: &'a Plan, current: &'a Plan) -> Self {
        let mut seen: BTreeMap<_, [Option<&Precondition>; 2]> = BTreeMap::new();
        for (at, plan) in [approved, current].into_iter().enumerate() {
            let first = |step: &&Step| !matches!(step.precondition, Precondition::Follows(_));
            for step in plan.steps.iter().filter(first) {
                seen.entry((&step.cluster, &step.workspace)).or_default()[at] = Some(&step.precondition);
            }
        }
        let (a, b) = (&approved.source, &current.source);
        let same_declaration = a.revision.is_some() && a.revision == b.revision && !a.dirty && !b.dirty;
        Self { seen, same_declaration }
    }

    fn of(&self, cluster: &Text, workspace: &WorkspaceName) -> Side {
        if self.same_declaration {
            return Side::Cluster;
        }
        match self.seen.get(&(cluster, workspace)) {
            Some([Some(before), Some(now)]) if before == now => Side::Declaration,
            // The workspace is another one, and what is declared may be another thing too.
            Some([Some(_), Some(_)]) => Side::Cluster,
            _ => Side::Unknown,
        }
    }
}
