//! A plan as a comment on a pull request: never too long, complete in its summary, and harmless.
//!
//! Values, names and messages come from anybody who can open a pull request. Inside a fence nothing pings; outside
//! they stand in `<code>` with every character that means something to Markdown, to HTML or to a forge's own
//! references written as an entity.

use std::{collections::BTreeMap, fmt::Write as _};

use magus_model::plan::{Action, Plan, PlanCluster, Step};

use super::{
    Detail, PlanOptions,
    apart::{self, Together},
    findings, groups, summary, text,
};
use crate::{
    Styles,
    causes::causes,
    escape,
    words::{count, thousands},
};

/// The first line of every comment, by which the next run finds it and edits it in place.
pub const MARKER: &str = "<!-- magus plan -->";
/// The largest comment, in bytes: GitHub refuses more than 65,536 characters, and a workflow may add its own lines.
pub const MOST_BYTES: usize = 60_000;
/// Of the whole, what the list of touched workspaces may take, so that details follow.
const LIST: usize = 24_000;
/// Of the whole, what may be taken up to the end of what is set apart.
const APART: usize = LIST + 8_000;
/// Of the whole, what may be taken up to the end of the held environments.
const HOLDS: usize = 8_000;
/// What is kept for the end of a list that is cut: `- and 12 more`.
const END_OF_LIST: usize = 64;
/// Longest message, name or path that stands outside of a fence, in characters.
const LONGEST: usize = 300;
/// Longest command, in characters: what is to be pasted should be whole.
const LONGEST_COMMAND: usize = 1_000;

pub(super) fn render(plan: &Plan, options: &PlanOptions<'_>) -> String {
    let tail = last_lines(plan, options);
    let pointer = pointer(options);
    let mut comment = Comment {
        out: String::new(),
        cut: false,
        end: MOST_BYTES - pointer.len() - tail.len() - 2 * END_OF_LIST,
    };
    // Both are numbers and our own words.
    let headline = match summary::no_changes(plan) {
        Some(sentence) => sentence,
        None => format!("Plan: {}.", summary::totals(plan)),
    };
    comment.keep(&format!("{MARKER}\n### {headline}\n\n"));
    let disruptions = summary::disruptions(plan);
    if !disruptions.is_empty() {
        // The names follow in the list of what is touched.
        let disruptions: Vec<String> = disruptions.into_iter().map(|disruption| disruption.what).collect();
        comment.keep(&format!("**{}.**\n\n", disruptions.join(". ")));
    }
    if let Some(flags) = summary::overrides(&plan.overrides) {
        comment.keep(&format!("Guards lifted: {}\n\n", code(&flags)));
    }
    for line in summary::unlocked(plan).into_iter().chain(summary::assumed(plan)) {
        comment.keep(&format!("{}\n\n", prose(&line)));
    }
    holds(&mut comment, plan);
    for refused in &plan.refused {
        let unblock = code_up_to(&refused.unblock, LONGEST_COMMAND);
        comment.keep(&format!("**Refused:** {}. To lift it: {unblock}\n\n", prose(&refused.message)));
    }
    counts(&mut comment, plan);
    withheld(&mut comment, plan);
    touched(&mut comment, plan);
    set_apart(&mut comment, plan);
    notes(&mut comment, plan);
    details(&mut comment, plan, options);
    if comment.cut {
        comment.keep(&pointer);
    }
    comment.out + &tail
}

/// A comment that grows by whole pieces, as long as there is room.
struct Comment {
    out: String,
    cut: bool,
    /// Where the pointer to the rest and the last lines begin at the latest.
    end: usize,
}

impl Comment {
    /// Adds what is always there; its length is bounded by whoever calls.
    fn keep(&mut self, piece: &str) {
        self.out.push_str(piece);
    }

    /// Adds a piece if the comment stays below `limit` and its own end with it, and remembers that something is missing if not.
    fn offer(&mut self, piece: &str, limit: usize) -> bool {
        let fits = self.out.len() + piece.len() <= limit.min(self.end);
        if fits {
            self.out.push_str(piece);
        }
        self.cut |= !fits;
        fits
    }
}

/// The pointer to the rest, for comments that had to be cut.
fn pointer(options: &PlanOptions<'_>) -> String {
    let rest = options.rest.unwrap_or("`magus plan` shows all of it");
    format!("> Cut: the plan is longer than a comment may be. The counts are complete; {}.\n\n", prose(rest))
}

/// The next command, and what the plan was made from.
fn last_lines(plan: &Plan, options: &PlanOptions<'_>) -> String {
    let mut out = String::new();
    if let Some(since) = &plan.since {
        let _ = writeln!(out, "{}.\n", prose(&apart::note(since)));
    }
    if let Some(next) = options.next.filter(|_| !plan.steps.is_empty()) {
        let _ = writeln!(out, "Next: {}\n", code_up_to(next, LONGEST_COMMAND));
    }
    let revision =
        plan.source.revision.as_deref().map(|revision| format!(" at {}", code_up_to(revision, 12)));
    let dirty = if plan.source.dirty { ", with changes that are not committed" } else { "" };
    let _ = writeln!(
        out,
        "<sub>{}{}{dirty} · {} · magus {}</sub>",
        code(&plan.source.path),
        revision.unwrap_or_default(),
        code(&plan.digest),
        code(&plan.magus_version),
    );
    out
}

/// The environments to which nothing is promoted.
fn holds(comment: &mut Comment, plan: &Plan) {
    let mut left_out = 0;
    for line in summary::holds(plan) {
        if left_out > 0 || !comment.offer(&format!("{}\n\n", prose(&line)), HOLDS) {
            left_out += 1;
        }
    }
    if left_out > 0 {
        let _ = writeln!(comment.out, "And {} more held.\n", count(left_out, "environment"));
    }
}

/// The steps by environment, in order of promotion.
fn environments(plan: &Plan) -> Vec<(&str, &str, Vec<&Step>)> {
    let mut environments: Vec<(&str, &str, Vec<&Step>)> = Vec::new();
    let mut places = BTreeMap::new();
    let declared = groups::clusters(plan)
        .into_iter()
        .flat_map(|cluster| cluster.environments.iter().map(|name| (&cluster.name, name)));
    let used = plan.steps.iter().map(|step| (&step.cluster, &step.environment));
    for (cluster, name) in declared.chain(used) {
        places.entry((cluster, name)).or_insert_with(|| {
            environments.push((cluster.as_str(), name.as_str(), Vec::new()));
            environments.len() - 1
        });
    }
    for step in &plan.steps {
        environments[places[&(&step.cluster, &step.environment)]].2.push(step);
    }
    environments.retain(|(.., steps)| !steps.is_empty());
    environments
}

/// The table of counts: a row an environment.
fn counts(comment: &mut Comment, plan: &Plan) {
    let environments = environments(plan);
    if environments.is_empty() {
        return;
    }
    comment.keep("| environment | create | update | replace | delete | other | restarts |\n|---|--:|--:|--:|--:|--:|--:|\n");
    let several = plan.clusters.len() > 1;
    let mut left_out = 0;
    for (cluster, name, steps) in &environments {
        let number = |action: Action| steps.iter().filter(|step| step.action == action).count();
        let main = [Action::Create, Action::Update, Action::Replace, Action::Delete].map(number);
        let (restarts, perhaps) =
            super::groups::restarts(steps.iter().filter(|step| step.action != Action::Create).copied());
        let name = if several { format!("{} / {}", code(cluster), code(name)) } else { code(name) };
        let other = steps.len() - main.iter().sum::<usize>();
        let cells = main.into_iter().chain([other]).map(|number| match number {
            0 => "·".to_owned(),
            number => thousands(number),
        });
        let restarts = match (restarts, perhaps) {
            (0, 0) => "·".to_owned(),
            (sure, 0) => thousands(sure),
            (sure, perhaps) => format!("{} to {}", thousands(sure), thousands(sure + perhaps)),
        };
        let row = format!("| {name} | {} | {restarts} |\n", cells.collect::<Vec<_>>().join(" | "));
        if left_out > 0 || !comment.offer(&row, LIST / 2) {
            left_out += 1;
        }
    }
    if left_out > 0 {
        let _ = writeln!(comment.out, "| and {} more | | | | | | |", thousands(left_out));
    }
    comment.keep("\n");
}

/// What a guard holds back comes before everything that will happen: it is what the reader has to act on.
fn withheld(comment: &mut Comment, plan: &Plan) {
    if plan.withheld.is_empty() {
        return;
    }
    comment.keep(&format!("**Withheld: {}**\n\n", count(plan.withheld.len(), "step")));
    let mut left_out = 0;
    for held in &plan.withheld {
        let line = format!(
            "- {} {} in {}, by {}: {}. To lift it: {}\n",
            held.action.as_str(),
            code(held.workspace.as_str()),
            code(&held.environment),
            code(held.guard.as_str()),
            prose(&held.message),
            code_up_to(&held.unblock, LONGEST_COMMAND),
        );
        if left_out > 0 || !comment.offer(&line, LIST * 2 / 3) {
            left_out += 1;
        }
    }
    more(comment, left_out);
}

/// `- and 12 more`, and the end of a list, if there is one.
fn more(comment: &mut Comment, left_out: usize) {
    if left_out > 0 {
        let _ = writeln!(comment.out, "- and {} more", thousands(left_out));
    }
    if !comment.out.ends_with("\n\n") {
        comment.keep("\n");
    }
}

/// The touched workspaces by name: what goes away first, so that nothing can push it out.
fn touched(comment: &mut Comment, plan: &Plan) {
    let order = [
        Action::Forget,
        Action::Delete,
        Action::Replace,
        Action::Create,
        Action::Update,
        Action::Restart,
        Action::Stop,
        Action::Start,
        Action::Deploy,
        Action::Adopt,
    ];
    let environments = environments(plan);
    for action in order {
        for (cluster, environment, steps) in &environments {
            let names: Vec<&str> = steps
                .iter()
                .filter(|step| step.action == action)
                .map(|step| step.workspace.as_str())
                .collect();
            if names.is_empty() {
                continue;
            }
            let cluster =
                if plan.clusters.len() > 1 { format!("{} / ", code(cluster)) } else { String::new() };
            let number = thousands(names.len());
            let head = format!(
                "- {} {number} in {cluster}{}: ",
                code(&format!("{} {}", action.symbol(), action.as_str())),
                code(environment)
            );
            if !comment.offer(&head, LIST - END_OF_LIST) {
                continue;
            }
            let mut shown = 0;
            for name in &names {
                let gap = if shown == 0 { "" } else { ", " };
                if !comment.offer(&format!("{gap}{}", code(name)), LIST - END_OF_LIST) {
                    break;
                }
                shown += 1;
            }
            if shown < names.len() {
                let _ = write!(comment.out, " and {} more", thousands(names.len() - shown));
            }
            comment.keep("\n");
        }
    }
    more(comment, 0);
}

/// What these commits did not change: whoever reviews them should know of it, and not take it for their work.
fn set_apart(comment: &mut Comment, plan: &Plan) {
    let Some(since) = plan.since.as_ref().filter(|since| !since.apart.is_empty()) else { return };
    let number = count(apart::workspaces(plan), "workspace");
    comment.keep(&format!("**Set apart, not changed by these commits: {number}**\n\n"));
    let mut left_out = 0;
    for Together { first, names } in apart::together(since) {
        let shown: Vec<_> = names.iter().take(20).map(|name| code(name)).collect();
        let rest = match names.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {} more", thousands(more)),
        };
        let (names, environment) = (shown.join(", "), code(&first.environment));
        let line = format!("- {names}{rest} in {environment}, {}\n", prose(&apart::what(first)));
        if left_out > 0 || !comment.offer(&line, APART) {
            left_out += 1;
        }
    }
    more(comment, left_out);
}

/// What is unknown or not ours, and findings.
fn notes(comment: &mut Comment, plan: &Plan) {
    const NOTES: usize = APART + 8_000;
    let mut left_out = 0;
    let mut line = |comment: &mut Comment, line: String| {
        if left_out > 0 || !comment.offer(&line, NOTES) {
            left_out += 1;
        }
    };
    for cause in causes(&plan.unknown) {
        let (names, cluster) = (cause.listed(code), code(cause.cluster));
        let message = prose(&cause.message);
        line(comment, format!("- unknown, and left alone: {names} in {cluster}: {message}\n"));
    }
    for (cluster, unseen) in text::not_seen(plan) {
        line(comment, format!("- not verified in {}: {}\n", code(cluster), prose(unseen)));
    }
    for (heading, names) in text::not_ours(plan) {
        let names: Vec<_> = names.iter().take(20).map(|name| code(name)).collect();
        line(comment, format!("- {}: {}\n", prose(&heading), names.join(", ")));
    }
    let (shown, more_findings) = findings::shown(plan);
    for found in shown {
        let place = code(&format!("{}:{}:{}", found.file, found.line, found.column));
        let (severity, rule) = (found.severity.as_str(), code(&found.code));
        line(comment, format!("- {severity} {rule} at {place}: {}\n", prose(&found.message)));
    }
    for more in more_findings {
        line(comment, format!("- {}\n", prose(&more)));
    }
    more(comment, left_out);
}

/// Above so many workspaces nobody expects every value of what is created.
const MOST_IN_FULL: usize = 500;

/// Every change, folded, an environment or group each: with every value where that fits. Cut between lines, and the
/// fence is always closed.
fn details(comment: &mut Comment, plan: &Plan, options: &PlanOptions<'_>) {
    let limit = comment.end;
    let sections = |detail| -> Vec<Section> {
        let options = PlanOptions { detail, width: 100, ..*options };
        let styles = Styles::plain();
        let renderer = text::Renderer::new(plan, &options, &styles);
        let several = plan.clusters.len() > 1;
        let of = |cluster: &PlanCluster| {
            let name = if several { format!("{} / ", cluster.name) } else { String::new() };
            renderer.sections(cluster).into_iter().map(move |section| Section::new(&name, &section))
        };
        let apart = plan.since.iter().filter(|since| !since.apart.is_empty()).map(|since| {
            Section::new("", &format!("  set apart\n{}", apart::body(since, options.width, &styles)))
        });
        groups::clusters(plan).into_iter().flat_map(of).chain(apart).collect()
    };
    let in_full = (plan.steps.len() <= MOST_IN_FULL).then(|| sections(Detail::Full));
    let fits = |sections: &Vec<Section>| {
        comment.out.len() + sections.iter().map(Section::len).sum::<usize>() <= limit
    };
    for section in in_full.filter(fits).unwrap_or_else(|| sections(Detail::Normal)) {
        let room = limit.saturating_sub(section.close.len());
        let first = section.body.split_inclusive('\n').next().unwrap_or("");
        if comment.out.len() + section.open.len() + first.len() > room {
            comment.cut = true;
            return;
        }
        comment.keep(&section.open);
        for line in section.body.split_inclusive('\n') {
            if !comment.offer(line, room) {
                break;
            }
        }
        comment.keep(&section.close);
        if comment.cut {
            return;
        }
    }
}

/// A folded part of the comment.
struct Section {
    open: String,
    body: String,
    close: String,
}

impl Section {
    /// The first line is the title.
    fn new(cluster: &str, section: &str) -> Self {
        let section: String =
            section.split_inclusive('\n').map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
        let (title, body) = section.split_once('\n').unwrap_or((&section, ""));
        // No line of the text can close this fence.
        let longest = body.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat((longest + 1).max(3));
        Self {
            open: format!(
                "<details><summary>{}</summary>\n\n{fence}text\n",
                code(&format!("{cluster}{title}"))
            ),
            body: body.to_owned(),
            close: format!("{fence}\n\n</details>\n\n"),
        }
    }

    fn len(&self) -> usize {
        self.open.len() + self.body.len() + self.close.len()
    }
}

/// Text as it is, in `<code>`: forges ping nobody and link nothing in there.
fn code(text: &str) -> String {
    code_up_to(text, LONGEST)
}

fn code_up_to(text: &str, most: usize) -> String {
    let mut out = String::from("<code>");
    entities(&mut out, escape::shorten(&escape::line(text), most).as_ref());
    out.push_str("</code>");
    out
}

/// A sentence of ours, in which backticks quote. What they quote becomes `<code>`; nothing else is Markdown.
fn prose(text: &str) -> String {
    let text = escape::line(text);
    let text = escape::shorten(&text, LONGEST);
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split('`').peekable();
    let mut quoted = false;
    while let Some(part) = parts.next() {
        if quoted && parts.peek().is_some() {
            out.push_str("<code>");
            entities(&mut out, part);
            out.push_str("</code>");
        } else {
            if quoted {
                out.push_str("&#96;");
            }
            unlinked(&mut out, part);
        }
        quoted = !quoted;
    }
    out
}

/// Every character that means something to Markdown, HTML or a forge as an entity.
fn entities(out: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || !c.is_ascii() || " ,;.-/=()?".contains(c) {
            out.push(c);
        } else {
            let _ = write!(out, "&#{};", u32::from(c));
        }
    }
}

/// The same for text outside of `<code>`, where forges look for names, numbers, addresses and emoji after entities are
/// resolved: an invisible break behind each sign that could begin one, in `www.`, and between the letters and the number of `GH-1`.
fn unlinked(out: &mut String, text: &str) {
    let mut before = ['\0'; 3];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '.' && before.iter().all(|before| before.eq_ignore_ascii_case(&'w')) {
            out.push_str(BREAK);
        }
        entities(out, c.encode_utf8(&mut [0; 4]));
        let next = chars.peek();
        let is_ticket = c == '-' && before[2].is_ascii_alphabetic() && next.is_some_and(char::is_ascii_digit);
        if is_ticket || "@#!~%&$:^".contains(c) && next.is_some_and(|next| !next.is_whitespace()) {
            out.push_str(BREAK);
        }
        before = [before[1], before[2], c];
    }
}

/// A space without width.
const BREAK: &str = "&#8203;";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_body_closes_its_fence() {
        let section = Section::new("", "title\n```\n````\n");
        assert!(
            section.open.ends_with("`````text\n") && section.close.starts_with("`````\n"),
            "{}",
            section.open
        );
        assert!(Section::new("", "title\nplain\n").close.starts_with("```\n"));
    }

    #[test]
    fn what_backticks_quote_is_code_and_nothing_else_is_anything() {
        assert_eq!(prose("see `a|b` @you"), "see <code>a&#124;b</code> &#64;&#8203;you");
        assert_eq!(prose("one ` alone <b>"), "one &#96; alone &#60;b&#62;");
        assert_eq!(prose("a: b #12"), "a&#58; b &#35;&#8203;12");
    }

    #[test]
    fn addresses_and_numbers_of_issues_do_not_become_links() {
        for (text, shown) in [
            ("see www.x.y and WWW.x.y", "see www&#8203;.x.y and WWW&#8203;.x.y"),
            ("GH-1, PROJ-12 and eu-west-1", "GH-&#8203;1, PROJ-&#8203;12 and eu-west-&#8203;1"),
            ("3-1 a-b x.y", "3-1 a-b x.y"),
            ("https://x.y a@x.y", "https&#58;&#8203;//x.y a&#64;&#8203;x.y"),
            ("ana/repo#1 @ana !1", "ana/repo&#35;&#8203;1 &#64;&#8203;ana &#33;&#8203;1"),
        ] {
            assert_eq!(prose(text), shown);
        }
    }
}
