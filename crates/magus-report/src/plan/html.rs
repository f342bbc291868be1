//! A plan as one page of HTML: no request leaves it, it reads in light and dark, on paper and without JavaScript.
//!
//! The template escapes every value; what would not survive as text, control characters, is written out before.

use std::collections::HashMap;

use magus_model::plan::{Action, FieldChange, Plan, PlanCluster, Restarts, Step};
use minijinja::{Environment, context};
use serde::Serialize;

use super::{
    Detail, PlanOptions,
    apart::{self, Together},
    deploy,
    groups::{self, Groups},
    summary, text,
    value::{self, DiffLine, Shown},
};
use crate::{causes::causes, escape};

const TEMPLATE: &str = include_str!("page.html");
/// Up to so many workspaces are created with every value shown, folded.
const MANY_CREATES: usize = 200;

#[derive(Serialize)]
struct ClusterView {
    name: String,
    engine: String,
    groups: Vec<GroupView>,
    environments: Vec<EnvironmentView>,
}

#[derive(Serialize)]
struct GroupView {
    heading: String,
    fields: Vec<FieldView>,
    names: Vec<NamesView>,
}

#[derive(Serialize)]
struct NamesView {
    environment: String,
    names: Vec<String>,
}

#[derive(Serialize)]
struct EnvironmentView {
    name: String,
    entries: Vec<EntryView>,
}

/// Steps of one environment that look the same but for the workspace.
#[derive(Serialize)]
struct EntryView {
    action: &'static str,
    symbol: &'static str,
    restarts: &'static str,
    reason: String,
    renamed_from: Option<String>,
    names: Vec<String>,
    outline: Option<String>,
    code: Option<(String, String)>,
    between: Vec<String>,
    fields: Vec<FieldView>,
    in_common: usize,
    sent_again: usize,
}

#[derive(Serialize, Debug)]
struct FieldView {
    path: String,
    why: String,
    reason: &'static str,
    kind: &'static str,
    before: Option<String>,
    after: Option<String>,
    lines: Vec<(&'static str, String)>,
}

pub(super) fn render(plan: &Plan, options: &PlanOptions<'_>) -> String {
    let groups = groups::find(plan);
    let creates = plan.steps.iter().filter(|step| step.action == Action::Create).count();
    let every_value = options.detail == Detail::Full || creates <= MANY_CREATES;
    let clusters: Vec<ClusterView> = groups::clusters(plan)
        .into_iter()
        .map(|cluster| cluster_view(plan, cluster, &groups, every_value))
        .collect();
    let mut actions: Vec<Action> = plan.steps.iter().map(|step| step.action).collect();
    actions.sort_unstable();
    actions.dedup();
    let mut environments: Vec<String> = Vec::new();
    for cluster in groups::clusters(plan) {
        for (name, _) in groups::by_environment(plan, cluster) {
            let name = line(name);
            if !environments.contains(&name) {
                environments.push(name);
            }
        }
    }
    let counts = &plan.summary;
    let tiles: Vec<(&'static str, usize)> = [
        ("create", counts.create),
        ("update", counts.update),
        ("replace", counts.replace),
        ("delete", counts.delete),
        ("adopt", counts.adopt),
        ("deploy", counts.deploy),
        ("start", counts.start),
        ("stop", counts.stop),
        ("restart", counts.restart),
        ("forget", counts.forget),
        ("withheld", counts.withheld),
        ("unknown", counts.unknown),
        ("unchanged", counts.unchanged),
        ("set apart", apart::workspaces(plan)),
    ]
    .into_iter()
    .filter(|(what, number)| {
        *number > 0 || matches!(*what, "create" | "update" | "replace" | "delete" | "unchanged")
    })
    .collect();
    let withheld: Vec<_> = plan
        .withheld
        .iter()
        .map(|held| {
            context! {
                action => held.action.as_str(),
                symbol => held.action.symbol(),
                workspace => line(held.workspace.as_str()),
                environment => line(&held.environment),
                guard => held.guard.as_str(),
                message => line(&held.message),
                unblock => line(&held.unblock),
            }
        })
        .collect();
    let unknown: Vec<_> = causes(&plan.unknown)
        .iter()
        .map(|cause| {
            context! {
                cluster => line(cause.cluster),
                workspace => cause.listed(line),
                message => line(&cause.message),
            }
        })
        .collect();
    let findings: Vec<_> = plan
        .diagnostics
        .iter()
        .map(|found| {
            context! {
                severity => found.severity.as_str(),
                code => line(&found.code),
                message => line(&found.message),
                place => format!("{}:{}:{}", line(&found.file), found.line, found.column),
                help => found.help.as_deref().map(line),
            }
        })
        .collect();
    let page = context! {
        no_changes => summary::no_changes(plan),
        totals => summary::totals(plan),
        disruptions => summary::disruptions(plan).iter().map(ToString::to_string).collect::<Vec<_>>(),
        overrides => summary::overrides(&plan.overrides),
        notices => summary::holds(plan)
            .chain(summary::unlocked(plan))
            .chain(summary::assumed(plan))
            .chain(plan.refused.iter().map(|one| {
                format!("Refused: {}; to lift it: {}", line(&one.message), line(&one.unblock))
            }))
            .collect::<Vec<_>>(),
        next => options.next.filter(|_| !plan.steps.is_empty()).map(line),
        tiles,
        actions => actions.iter().map(|action| action.as_str()).collect::<Vec<_>>(),
        environments,
        clusters => minijinja::value::Serde(&clusters),
        withheld,
        unknown,
        findings,
        not_seen => text::not_seen(plan).map(|(cluster, unseen)| (line(cluster), line(unseen))).collect::<Vec<_>>(),
        part => plan.since.as_ref().map(apart::note),
        apart => minijinja::value::Serde(apart_view(plan)),
        not_ours => text::not_ours(plan),
        source => context! {
            path => line(&plan.source.path),
            revision => plan.source.revision.as_deref().map(|revision| escape::shorten(revision, 12)).as_deref().map(line),
            dirty => plan.source.dirty,
        },
        created_at => line(&plan.created_at),
        digest => line(&plan.digest),
        version => line(&plan.magus_version),
    };
    fill(TEMPLATE, page)
}

/// Fills in a page, whose values are escaped.
pub(crate) fn fill(template: &str, page: minijinja::Value) -> String {
    let mut templates = Environment::new();
    templates.add_filter("prose", prose);
    // The name's ending is what turns the escaping on. The template is ours and tested: it always parses and renders.
    let rendered = templates
        .add_template("page.html", template)
        .and_then(|()| templates.get_template("page.html")?.render(page));
    rendered.unwrap_or_default()
}

/// A sentence in which backticks quote: what they quote becomes `<code>`, and everything is escaped.
fn prose(text: &str) -> minijinja::Value {
    let mut html = String::with_capacity(text.len() + 16);
    let mut parts = text.split('`').peekable();
    let mut quoted = false;
    while let Some(part) = parts.next() {
        let part = minijinja::HtmlEscape(part);
        match (quoted, parts.peek().is_some()) {
            (false, _) => html.push_str(&part.to_string()),
            (true, true) => html.push_str(&format!("<code>{part}</code>")),
            // The last backtick has no partner.
            (true, false) => html.push_str(&format!("`{part}")),
        }
        quoted = !quoted;
    }
    minijinja::Value::from_safe_string(html)
}

fn line(text: &str) -> String {
    escape::line(text).into_owned()
}

fn cluster_view(plan: &Plan, cluster: &PlanCluster, groups: &Groups<'_>, every_value: bool) -> ClusterView {
    let ours = groups.groups.iter().filter(|group| group.cluster == cluster.name.as_str());
    ClusterView {
        name: line(&cluster.name),
        engine: line(&cluster.engine),
        groups: ours
            .map(|group| GroupView {
                heading: groups::heading(plan, group),
                fields: group.changes.iter().map(|change| field_view(change, Action::Update)).collect(),
                names: groups::names(plan, &group.steps)
                    .into_iter()
                    .map(|(environment, names)| NamesView {
                        environment: line(environment),
                        names: names.into_iter().map(line).collect(),
                    })
                    .collect(),
            })
            .collect(),
        environments: groups::by_environment(plan, cluster)
            .into_iter()
            .map(|(name, steps)| EnvironmentView {
                name: line(name),
                entries: entries(plan, &steps, groups, every_value),
            })
            .filter(|environment| !environment.entries.is_empty())
            .collect(),
    }
}

/// What is set apart.
#[derive(Serialize)]
struct ApartView {
    symbol: &'static str,
    environment: String,
    what: String,
    names: Vec<String>,
    outline: Option<String>,
    fields: Vec<FieldView>,
}

fn apart_view(plan: &Plan) -> Vec<ApartView> {
    let together = plan.since.iter().flat_map(apart::together);
    together
        .map(|Together { first, names }| {
            let is_create = first.action == Action::Create;
            let fields = first.fields.iter().filter(|_| !is_create);
            ApartView {
                symbol: first.action.symbol(),
                environment: line(&first.environment),
                what: line(&apart::what(first)),
                names: names.into_iter().map(line).collect(),
                outline: is_create.then(|| text::outline(&first.fields)),
                fields: fields.map(|field| field_view(field, first.action)).collect(),
            }
        })
        .collect()
}

/// The steps, those that look the same together.
fn entries(plan: &Plan, steps: &[usize], groups: &Groups<'_>, every_value: bool) -> Vec<EntryView> {
    let mut entries: Vec<EntryView> = Vec::new();
    let mut places = HashMap::new();
    for &at in steps {
        let step = &plan.steps[at];
        let Some(entry) = entry(at, step, groups, every_value) else { continue };
        let EntryView {
            action,
            symbol: _,
            restarts,
            reason,
            renamed_from,
            names: _,
            outline,
            code,
            between,
            fields,
            in_common,
            sent_again,
        } = &entry;
        let key = format!(
            "{action}{restarts}{reason:?}{renamed_from:?}{outline:?}{code:?}{between:?}{fields:?}{in_common}/{sent_again}"
        );
        let place = *places.entry(key).or_insert(entries.len());
        match entries.get_mut(place) {
            Some(same) => same.names.extend(entry.names),
            None => entries.push(entry),
        }
    }
    entries.sort_by_key(|entry| entry.action == Action::Deploy.as_str() && entry.names.len() > 1);
    entries
}

/// A step; nothing for one that a group shows whole.
fn entry(at: usize, step: &Step, groups: &Groups<'_>, every_value: bool) -> Option<EntryView> {
    let in_common = (0..step.fields.len()).filter(|field| groups.draws(at, *field)).count();
    let compact = step.action == Action::Create && !every_value;
    let fields: Vec<FieldView> = if compact || step.action == Action::Delete {
        Vec::new()
    } else {
        let own = step.fields.iter().enumerate().filter(|(field, _)| !groups.draws(at, *field));
        own.filter(|(_, field)| !value::is_sent_again(step.action, field))
            .map(|(_, field)| field_view(field, step.action))
            .collect()
    };
    if in_common > 0 && fields.is_empty() && step.renamed_from.is_none() && step.deploy.is_none() {
        return None;
    }
    Some(EntryView {
        action: step.action.as_str(),
        symbol: step.symbol(),
        restarts: match step.restarts {
            _ if matches!(step.action, Action::Create | Action::Restart | Action::Delete) => "",
            Restarts::Yes => "restarts",
            Restarts::Unknown => "may restart",
            Restarts::No => "",
        },
        reason: line(&step.reason),
        renamed_from: step.renamed_from.as_ref().map(|name| line(name.as_str())),
        names: vec![line(step.workspace.as_str())],
        outline: (step.action == Action::Create).then(|| text::outline(&step.fields)),
        code: step.deploy.as_ref().map(deploy::from_to),
        between: step.deploy.as_ref().map_or_else(Vec::new, deploy::between),
        fields,
        in_common,
        sent_again: step.fields.iter().filter(|field| value::is_sent_again(step.action, field)).count(),
    })
}

fn field_view(field: &FieldChange, action: Action) -> FieldView {
    let mut view = FieldView {
        path: line(field.path.as_str()),
        why: value::why(field, action),
        reason: if action == Action::Create { "" } else { field.reason.as_str() },
        kind: "changed",
        before: None,
        after: None,
        lines: Vec::new(),
    };
    match value::change(field) {
        Shown::Added(value) => (view.kind, view.after) = ("added", Some(value)),
        Shown::Removed(value) => (view.kind, view.before) = ("removed", Some(value)),
        Shown::Changed(before, after) => (view.before, view.after) = (Some(before), Some(after)),
        Shown::AddedLines(lines) => {
            view.kind = "added";
            view.lines = lines.into_iter().map(|text| ("added", format!("+ {text}"))).collect();
        }
        Shown::Lines(lines) => {
            view.lines = lines
                .into_iter()
                .map(|line| match line {
                    DiffLine::Same(text) => ("same", format!("  {text}")),
                    DiffLine::Removed(text) => ("removed", format!("- {text}")),
                    DiffLine::Added(text) => ("added", format!("+ {text}")),
                    DiffLine::Skipped(number) => ("skipped", format!("  … {number} unchanged")),
                })
                .collect();
        }
    }
    view
}
