//! A plan for a terminal or a log.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

use anstyle::Style;
use magus_model::{
    plan::{Action, FieldChange, Orphan, Plan, PlanCluster, Refused, Restarts, Step, Unmanaged},
    value::{FieldValue, Value},
};

use super::{
    Detail, PlanOptions, apart, deploy, findings,
    groups::{self, Group, Groups},
    summary,
    value::{self, DiffLine, Shown},
};
use crate::{
    Styles,
    causes::{Cause, causes},
    escape,
    style::paint,
    words::{self, count},
};

/// Up to so many workspaces are created with every value shown.
const FEW_CREATES: usize = 3;

/// A plan on its way to text.
pub(super) struct Renderer<'a> {
    plan: &'a Plan,
    groups: Groups<'a>,
    every_value: bool,
    width: usize,
    styles: &'a Styles,
}

pub(super) fn render(plan: &Plan, options: &PlanOptions<'_>, styles: &Styles) -> String {
    let renderer = Renderer::new(plan, options, styles);
    let mut out = String::new();
    for cluster in groups::clusters(plan) {
        renderer.cluster(&mut out, cluster);
    }
    renderer.notes(&mut out);
    renderer.last_lines(&mut out, options);
    out
}

/// Steps of one environment that look the same but for the workspace.
struct Entry<'a> {
    step: &'a Step,
    names: Vec<&'a str>,
    body: String,
}

impl<'a> Renderer<'a> {
    pub(super) fn new(plan: &'a Plan, options: &PlanOptions<'_>, styles: &'a Styles) -> Self {
        let creates = plan.steps.iter().filter(|step| step.action == Action::Create).count();
        Self {
            plan,
            groups: groups::find(plan),
            every_value: options.detail == Detail::Full || creates <= FEW_CREATES,
            width: if options.width == 0 { 100 } else { options.width.max(40) },
            styles,
        }
    }

    /// A cluster that nothing happens to is not named.
    fn cluster(&self, out: &mut String, cluster: &PlanCluster) {
        let sections = self.sections(cluster);
        if sections.is_empty() {
            return;
        }
        let name = paint(self.styles.strong, escape::line(&cluster.name));
        let _ = writeln!(
            out,
            "{name} {}\n",
            paint(self.styles.dim, format!("({})", escape::line(&cluster.engine)))
        );
        for section in sections {
            out.push_str(&section);
            out.push('\n');
        }
    }

    /// What is in common, then each environment in order of promotion, then those that are declared no more.
    pub(super) fn sections(&self, cluster: &PlanCluster) -> Vec<String> {
        let groups = self.groups.groups.iter().filter(|group| group.cluster == cluster.name.as_str());
        let mut sections: Vec<String> = groups.map(|group| self.group(group)).collect();
        for (environment, steps) in groups::by_environment(self.plan, cluster) {
            let entries = self.entries(&steps);
            if entries.is_empty() {
                continue;
            }
            let mut section = format!("  {}\n", paint(self.styles.strong, escape::line(environment)));
            for entry in &entries {
                self.entry(&mut section, entry);
            }
            sections.push(section);
        }
        sections
    }

    /// A group: what its workspaces have in common, and their names.
    fn group(&self, group: &Group<'_>) -> String {
        let heading = groups::heading(self.plan, group);
        let mut out =
            format!("  {} {}\n", paint(self.styles.changed, "~"), paint(self.styles.strong, heading));
        for change in &group.changes {
            self.field(&mut out, change, Action::Update, "      ");
        }
        for (environment, names) in groups::names(self.plan, &group.steps) {
            let names: Vec<_> = names.into_iter().map(escape::line).collect();
            let heading = format!("{}:", escape::line(environment));
            let columns = heading.chars().count();
            let wrapped =
                words::wrap(names.iter().map(|name| &**name), self.width.saturating_sub(7 + columns).max(40));
            for (at, line) in wrapped.iter().enumerate() {
                let margin = if at == 0 { heading.clone() } else { " ".repeat(columns) };
                let _ = writeln!(out, "      {} {line}", paint(self.styles.dim, margin));
            }
        }
        out
    }

    /// The steps, those that look the same together.
    fn entries(&self, steps: &[usize]) -> Vec<Entry<'a>> {
        let mut entries: Vec<Entry<'a>> = Vec::new();
        let mut places: HashMap<(Action, &str, String), usize> = HashMap::new();
        for &at in steps {
            let step = &self.plan.steps[at];
            let Some(body) = self.body(at, step) else { continue };
            let restarts = format!("{}{:?}{body}", step.symbol(), step.restarts);
            match places.entry((step.action, &step.reason, restarts)) {
                std::collections::hash_map::Entry::Occupied(place) => {
                    entries[*place.get()].names.push(step.workspace.as_str());
                }
                std::collections::hash_map::Entry::Vacant(place) => {
                    place.insert(entries.len());
                    entries.push(Entry { step, names: vec![step.workspace.as_str()], body });
                }
            }
        }
        // A deploy of many workspaces stands after all that makes them.
        entries.sort_by_key(|entry| entry.step.action == Action::Deploy && entry.names.len() > 1);
        entries
    }

    fn entry(&self, out: &mut String, entry: &Entry<'_>) {
        let step = entry.step;
        let style = self.style(step.action);
        let symbol = paint(style, format!("{:>3}", step.symbol()));
        let what = self.what(step);
        if let [name] = entry.names[..] {
            let name = paint(self.styles.strong, escape::line(name));
            let _ = writeln!(out, "  {symbol} {name}  {what}");
        } else {
            let number = paint(self.styles.strong, count(entry.names.len(), "workspace"));
            let _ = writeln!(out, "  {symbol} {number}  {what}");
            let names: Vec<_> = entry.names.iter().map(|name| escape::line(name)).collect();
            for line in words::wrap(names.iter().map(|name| &**name), self.width - 8) {
                let _ = writeln!(out, "        {line}");
            }
        }
        out.push_str(&entry.body);
    }

    /// `update, restarts: reason`.
    fn what(&self, step: &Step) -> String {
        let mut what = paint(self.style(step.action), step.action.as_str()).to_string();
        match step.restarts {
            // Creating starts what did not run, and nobody is surprised that a restart restarts.
            _ if matches!(step.action, Action::Create | Action::Restart | Action::Delete) => {}
            Restarts::Yes => what.push_str(", restarts"),
            Restarts::Unknown => what.push_str(", may restart"),
            Restarts::No => {}
        }
        if let Some(old) = &step.renamed_from {
            what.push_str(&format!(", renamed from {}", escape::line(old.as_str())));
        }
        if !step.reason.is_empty() {
            what.push_str(&paint(self.styles.dim, format!(": {}", escape::line(&step.reason))).to_string());
        }
        what
    }

    /// The lines below a step; nothing for a step that a group shows whole.
    fn body(&self, at: usize, step: &Step) -> Option<String> {
        let mut out = String::new();
        let mut drawn = 0;
        let compact = matches!(step.action, Action::Create) && !self.every_value;
        if step.action == Action::Delete {
            return Some(out);
        }
        if compact {
            let _ = writeln!(out, "        {}", outline(&step.fields));
        }
        let sent_again = step.fields.iter().filter(|field| value::is_sent_again(step.action, field)).count();
        for (field_at, field) in step.fields.iter().enumerate() {
            if value::is_sent_again(step.action, field) {
                continue;
            }
            if self.groups.draws(at, field_at) {
                drawn += 1;
            } else if !compact {
                self.field(&mut out, field, step.action, "        ");
            }
        }
        if let Some(deploy) = &step.deploy {
            let (from, to) = deploy::from_to(deploy);
            let _ = writeln!(out, "        code: {from} → {to}");
            for line in deploy::between(deploy) {
                let _ = writeln!(out, "          {}", paint(self.styles.dim, line));
            }
        }
        if sent_again > 0 {
            let more = format!("and {} sent again as before", count(sent_again, "value"));
            let _ = writeln!(out, "        {}", paint(self.styles.dim, more));
        }
        if drawn > 0 {
            if out.is_empty() && step.renamed_from.is_none() {
                return None;
            }
            let more = format!("and {} in common with others, above", count(drawn, "change"));
            let _ = writeln!(out, "        {}", paint(self.styles.dim, more));
        }
        Some(out)
    }

    fn field(&self, out: &mut String, field: &FieldChange, action: Action, indent: &str) {
        write_field(out, field, action, indent, self.styles);
    }

    fn style(&self, action: Action) -> Style {
        match action {
            Action::Create | Action::Adopt => self.styles.added,
            Action::Update | Action::Restart | Action::Stop => self.styles.changed,
            Action::Replace | Action::Delete | Action::Forget => self.styles.removed,
            Action::Deploy | Action::Start => self.styles.info,
        }
    }

    /// What was withheld, what is not ours, what is unknown, and findings.
    fn notes(&self, out: &mut String) {
        let Plan { withheld, refused, unknown, since, .. } = self.plan;
        for Refused { cluster: _, guard: _, message, unblock } in refused {
            let _ = writeln!(
                out,
                "{} {}\n        {} {}\n",
                paint(self.styles.warning, "Refused:"),
                escape::line(message),
                paint(self.styles.dim, "to lift it:"),
                escape::line(unblock)
            );
        }
        if !withheld.is_empty() {
            let _ = writeln!(
                out,
                "{}",
                paint(self.styles.warning, format!("Withheld: {}", words::thousands(withheld.len())))
            );
            // What one flag lifts is one refusal, however many workspaces it holds back.
            let mut together: Vec<(&_, Vec<&str>)> = Vec::new();
            let mut places = HashMap::new();
            for held in withheld {
                let key =
                    (&held.cluster, &held.environment, held.action, held.guard, &held.message, &held.unblock);
                let place = *places.entry(key).or_insert_with(|| {
                    together.push((held, Vec::new()));
                    together.len() - 1
                });
                together[place].1.push(held.workspace.as_str());
            }
            for (held, names) in together {
                let symbol = paint(self.styles.warning, format!("{:>3}", held.action.symbol()));
                let names: Vec<_> = names.into_iter().map(escape::line).collect();
                let environment = escape::line(&held.environment);
                let number = count(names.len(), "workspace");
                let (who, others) =
                    if let [name] = &names[..] { (&**name, &[][..]) } else { (&*number, &names[..]) };
                let _ = writeln!(out, "  {symbol} {who} ({environment})  {} withheld", held.action.as_str());
                // Each guard that holds it names itself.
                for (at, part) in held.message.split("; guard `").enumerate() {
                    let _ = writeln!(
                        out,
                        "        {}{}",
                        if at == 0 { "" } else { "guard `" },
                        escape::line(part)
                    );
                }
                for line in words::wrap(others.iter().map(|name| &**name), self.width - 8) {
                    let _ = writeln!(out, "        {line}");
                }
                let _ = writeln!(
                    out,
                    "        {} {}",
                    paint(self.styles.dim, "to lift it:"),
                    escape::line(&held.unblock)
                );
            }
            out.push('\n');
        }
        if let Some(since) = since.as_ref().filter(|since| !since.apart.is_empty()) {
            let heading = format!(
                "Set apart, not changed by these commits: {}",
                count(apart::workspaces(self.plan), "workspace")
            );
            let _ = writeln!(out, "{}", paint(self.styles.strong, heading));
            let _ = writeln!(out, "{}", apart::body(since, self.width, self.styles));
        }
        for (cluster, unseen) in not_seen(self.plan) {
            let heading = paint(self.styles.dim, format!("Not verified: {}", escape::line(cluster)));
            let _ = writeln!(out, "{heading}\n  {}\n", escape::line(unseen));
        }
        for (heading, names) in not_ours(self.plan) {
            let _ = writeln!(out, "{heading}");
            for line in words::wrap(names.iter().map(String::as_str), self.width - 2) {
                let _ = writeln!(out, "  {line}");
            }
            out.push('\n');
        }
        if !unknown.is_empty() {
            let _ = writeln!(
                out,
                "{}",
                paint(
                    self.styles.warning,
                    format!("Unknown, and left alone: {}", words::thousands(unknown.len()))
                )
            );
            for Cause { cluster, message, names } in causes(unknown) {
                let names: Vec<_> = names.into_iter().map(escape::line).collect();
                let _ = writeln!(out, "  {}: {}", escape::line(cluster), escape::line(&message));
                for line in words::wrap(names.iter().map(|name| &**name), self.width - 4) {
                    let _ = writeln!(out, "    {line}");
                }
            }
            out.push('\n');
        }
        let (shown, more) = findings::shown(self.plan);
        for found in &shown {
            out.push_str(&crate::lint::located_text(found, self.styles));
        }
        for line in &more {
            let _ = writeln!(out, "{line}");
        }
        if !shown.is_empty() {
            out.push('\n');
        }
    }

    fn last_lines(&self, out: &mut String, options: &PlanOptions<'_>) {
        let since = self.plan.since.as_ref();
        if let Some(sentence) = summary::no_changes(self.plan) {
            let _ = writeln!(out, "{}", paint(self.styles.strong, sentence));
            if let Some(since) = since.filter(|since| !since.apart.is_empty()) {
                let _ = writeln!(out, "{}.", apart::note(since));
            }
            return;
        }
        if let Some(flags) = summary::overrides(&self.plan.overrides) {
            let _ = writeln!(out, "Guards lifted: {flags}");
        }
        let disruptions: Vec<String> =
            summary::disruptions(self.plan).iter().map(ToString::to_string).collect();
        if !disruptions.is_empty() {
            let _ = writeln!(out, "{}", paint(self.styles.changed, disruptions.join(" ")));
        }
        if !self.every_value {
            let _ = writeln!(
                out,
                "{}",
                paint(self.styles.dim, "Add `-v` to see every value of what is created.")
            );
        }
        for hold in summary::holds(self.plan) {
            let _ = writeln!(out, "{}", paint(self.styles.warning, hold));
        }
        for notice in summary::unlocked(self.plan).into_iter().chain(summary::assumed(self.plan)) {
            let _ = writeln!(out, "{}", paint(self.styles.warning, notice));
        }
        let totals = format!("Plan: {}.", summary::totals(self.plan));
        let _ = writeln!(out, "{}", paint(self.styles.strong, totals));
        if let Some(since) = since {
            let _ = writeln!(out, "{}.", apart::note(since));
        }
        if let Some(next) = options.next.filter(|_| !self.plan.steps.is_empty()) {
            let _ = writeln!(out, "Next: {}", escape::line(next));
        }
    }
}

/// A change of a field: one line, or a line diff.
pub(crate) fn write_field(
    out: &mut String,
    field: &FieldChange,
    action: Action,
    indent: &str,
    styles: &Styles,
) {
    let path = escape::line(field.path.as_str());
    let why = value::why(field, action);
    let why = if why.is_empty() { why } else { format!("  {}", paint(styles.dim, format!("({why})"))) };
    let _ = match value::change(field) {
        Shown::Added(value) => {
            writeln!(out, "{indent}{} {path}: {}{why}", paint(styles.added, "+"), paint(styles.added, value))
        }
        Shown::Removed(value) => {
            writeln!(
                out,
                "{indent}{} {path}: {}{why}",
                paint(styles.removed, "-"),
                paint(styles.removed, value)
            )
        }
        Shown::Changed(before, after) => writeln!(
            out,
            "{indent}{} {path}: {} → {}{why}",
            paint(styles.changed, "~"),
            paint(styles.removed, before),
            paint(styles.added, after),
        ),
        Shown::AddedLines(lines) => {
            let _ = writeln!(out, "{indent}{} {path}:{why}", paint(styles.added, "+"));
            lines.iter().try_for_each(|line| {
                writeln!(out, "{indent}    {}", paint(styles.added, format!("+ {line}").trim_end()))
            })
        }
        Shown::Lines(lines) => {
            let _ = writeln!(out, "{indent}{} {path}:{why}", paint(styles.changed, "~"));
            lines.iter().try_for_each(|line| writeln!(out, "{indent}    {}", diff_line(line, styles)))
        }
    };
}

fn diff_line(line: &DiffLine, styles: &Styles) -> String {
    match line {
        DiffLine::Same(text) => format!("  {text}").trim_end().to_owned(),
        DiffLine::Removed(text) => paint(styles.removed, format!("- {text}").trim_end()).to_string(),
        DiffLine::Added(text) => paint(styles.added, format!("+ {text}").trim_end()).to_string(),
        DiffLine::Skipped(number) => {
            paint(styles.dim, format!("  … {} unchanged", count(*number, "line"))).to_string()
        }
    }
}

/// The clusters of which something was taken for true without having been seen, and what.
pub(super) fn not_seen(plan: &Plan) -> impl Iterator<Item = (&str, &str)> {
    plan.clusters.iter().filter_map(|cluster| Some((cluster.name.as_str(), cluster.unverifiable.as_deref()?)))
}

/// `In acme and left alone, not managed: 2 workspaces`, and the names; and the same of what was left behind.
pub(super) fn not_ours(plan: &Plan) -> Vec<(String, Vec<String>)> {
    let mut left: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for Orphan { cluster, workspace, place } in &plan.orphans {
        left.entry((cluster, place)).or_default().push(escape::line(workspace.as_str()).into_owned());
    }
    let left = left.into_iter().map(|((cluster, place), names)| {
        let (cluster, place) = (escape::line(cluster), escape::line(place));
        let number = count(names.len(), "workspace");
        let heading = format!(
            "In {cluster}, left in {place} and known to no server: {number}; `magus plan --orphans` shows what would be removed"
        );
        (heading, names)
    });
    unmanaged(&plan.unmanaged).into_iter().chain(left).collect()
}

fn unmanaged(unmanaged: &[Unmanaged]) -> Vec<(String, Vec<String>)> {
    let mut by_owner: BTreeMap<(&str, Option<&str>), Vec<String>> = BTreeMap::new();
    for workspace in unmanaged {
        by_owner
            .entry((&workspace.cluster, workspace.managed_by.as_deref()))
            .or_default()
            .push(escape::line(workspace.name.as_str()).into_owned());
    }
    by_owner
        .into_iter()
        .map(|((cluster, owner), names)| {
            let owner = owner
                .map_or("not managed".to_owned(), |owner| format!("managed by `{}`", escape::line(owner)));
            let heading = format!(
                "In {} and left alone, {owner}: {}",
                escape::line(cluster),
                count(names.len(), "workspace")
            );
            (heading, names)
        })
        .collect()
}

/// The values of a new workspace that matter most, on one line.
pub(super) fn outline(fields: &[FieldChange]) -> String {
    let value = |path: &str| {
        let field = fields.iter().find(|field| field.path.as_str() == path && !field.sensitive)?;
        match field.after.as_ref()? {
            FieldValue::Plain(
                value @ (Value::String(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_)),
            ) => Some(escape::line(&value.to_string()).into_owned()),
            _ => None,
        }
    };
    let mut parts = Vec::new();
    let mut named = 0;
    for (path, label) in [
        ("container_config.image", ""),
        ("state", ""),
        ("container_config.resources.requests.cpu", "cpu "),
        ("container_config.resources.requests.memory", "memory "),
        ("container_config.resources.limits.cpu", "cpu limit "),
        ("container_config.resources.limits.memory", "memory limit "),
        ("storage_request_size", "storage "),
    ] {
        if let Some(value) = value(path) {
            parts.push(format!("{label}{}", escape::shorten(&value, 80)));
            named += 1;
        }
    }
    let is_variable = |field: &&FieldChange| field.path.is_within("env");
    let secrets = fields.iter().filter(|field| field.sensitive).count();
    let variables = fields.iter().filter(is_variable).filter(|field| !field.sensitive).count();
    let others = fields.len() - secrets - variables - named;
    for (number, noun) in [(variables, "variable"), (secrets, "secret"), (others, "other value")] {
        if number > 0 {
            parts.push(count(number, noun));
        }
    }
    parts.join(", ")
}
