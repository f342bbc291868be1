//! What a plan of only some commits sets apart: shown under a heading of its own, and never taken for a step.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
};

use magus_model::plan::{Action, Apart, Plan, Since};

use super::text;
use crate::{
    Styles, escape,
    style::paint,
    words::{self, count},
};

/// Workspaces of which the same is set apart, for the same reason.
pub(super) struct Together<'a> {
    /// One of them.
    pub(super) first: &'a Apart,
    /// All their names.
    pub(super) names: Vec<&'a str>,
}

/// How many workspaces have something set apart.
pub(super) fn workspaces(plan: &Plan) -> usize {
    let apart = plan.since.iter().flat_map(|since| &since.apart);
    apart.map(|apart| (&apart.cluster, &apart.workspace)).collect::<BTreeSet<_>>().len()
}

/// Why the plan is not the one that an apply does. Backticks quote the revision.
pub(super) fn note(since: &Since) -> String {
    let revision = escape::line(&since.revision);
    format!(
        "Only what the commits after `{}` change, for review: an apply does the whole plan",
        escape::shorten(&revision, 80)
    )
}

/// What is set apart, in its order; what looks the same but for the workspace is one.
pub(super) fn together(since: &Since) -> Vec<Together<'_>> {
    let mut all: Vec<Together<'_>> = Vec::new();
    let mut places = HashMap::new();
    for apart in &since.apart {
        let Apart { cluster, environment, workspace, action, reason, fields: _, guard } = apart;
        let key = (cluster, environment, action, reason, guard, fields(apart, &Styles::plain()));
        let place = *places.entry(key).or_insert(all.len());
        match all.get_mut(place) {
            Some(same) => same.names.push(workspace.as_str()),
            None => all.push(Together { first: apart, names: vec![workspace.as_str()] }),
        }
    }
    all
}

/// `update: 1 field drifted`, and the guard that holds it back anyway. Backticks quote.
pub(super) fn what(apart: &Apart) -> String {
    let mut what = format!("{}: {}", apart.action.as_str(), apart.reason);
    if let Some(guard) = apart.guard {
        let _ = write!(what, "; withheld by `{}` in the whole plan too", guard.as_str());
    }
    what
}

/// The lines below a heading.
pub(super) fn body(since: &Since, width: usize, styles: &Styles) -> String {
    let mut out = String::new();
    for Together { first, names } in together(since) {
        let symbol = paint(styles.dim, format!("{:>3}", first.action.symbol()));
        let names: Vec<_> = names.into_iter().map(escape::line).collect();
        let number = count(names.len(), "workspace");
        let (who, others) = if let [name] = &names[..] { (&**name, &[][..]) } else { (&*number, &names[..]) };
        let _ = writeln!(
            out,
            "  {symbol} {who} ({})  {}",
            escape::line(&first.environment),
            paint(styles.dim, escape::line(&what(first)))
        );
        for line in words::wrap(others.iter().map(|name| &**name), width.saturating_sub(8)) {
            let _ = writeln!(out, "        {line}");
        }
        out.push_str(&fields(first, styles));
    }
    out
}

/// What differs; of a workspace that does not exist only an outline.
fn fields(apart: &Apart, styles: &Styles) -> String {
    let mut out = String::new();
    if apart.action == Action::Create {
        let _ = writeln!(out, "        {}", text::outline(&apart.fields));
        return out;
    }
    for field in &apart.fields {
        text::write_field(&mut out, field, apart.action, "        ", styles);
    }
    out
}
