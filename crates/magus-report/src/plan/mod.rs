//! Plans as text, JSON, Markdown and HTML.
//!
//! All four show the same things: what would change and why, equal changes of many workspaces once, what was
//! withheld with the command that lifts it, what is unmanaged or unknown, what the plan disrupts, and its counts.
//! Nothing here plans, or knows the declarations: a plan that was read from a file is shown like a fresh one.

pub(crate) mod groups;
mod html;
mod markdown;
pub(crate) mod summary;
mod text;
pub(crate) mod value;

use std::borrow::Cow;

use magus_model::{
    Text,
    plan::{FieldChange, Plan},
    value::{FieldValue, Value},
};

use crate::{Styles, json};

pub use markdown::{MARKER, MOST_BYTES};

/// How much a text shows of workspaces that are created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detail {
    /// Every value while few are created; the values that matter where many are.
    #[default]
    Normal,
    /// Every value of every step.
    Full,
}

/// What a rendering needs besides the plan.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlanOptions<'a> {
    /// How much is shown.
    pub detail: Detail,
    /// Columns of the terminal; 0 for a hundred.
    pub width: usize,
    /// The next command, ready to paste: what applies this plan. Nothing where there is no step.
    pub next: Option<&'a str>,
    /// Where the whole plan is, for renderings that have to be cut: a sentence without a full stop.
    pub rest: Option<&'a str>,
}

/// The plan for a terminal or a log.
pub fn text(plan: &Plan, options: &PlanOptions<'_>, styles: &Styles) -> String {
    text::render(plan, options, styles)
}

/// The plan as DESIGN.md 4 says. Values behind secrets that a cluster holds in the clear are left out.
pub fn json(plan: &Plan) -> String {
    json::pretty(&*without_secrets(plan))
}

/// The plan as a comment on a pull request: GitHub's Markdown, at most [`MOST_BYTES`] long, with [`MARKER`] first.
pub fn markdown(plan: &Plan, options: &PlanOptions<'_>) -> String {
    markdown::render(plan, options)
}

/// The plan as one page of HTML that needs nothing else.
pub fn html(plan: &Plan, options: &PlanOptions<'_>) -> String {
    html::render(plan, options)
}

/// What stands in for a value that must not be shown.
const HIDDEN: &str = "(hidden)";

/// The plan without plain values in sensitive fields: a variable that somebody typed into the cluster, and that is
/// declared as a secret now, must not show up in a plan file.
fn without_secrets(plan: &Plan) -> Cow<'_, Plan> {
    let shows = |value: &Option<FieldValue>| matches!(value, Some(FieldValue::Plain(value)) if value != &Value::Null);
    let leaks = |field: &FieldChange| field.sensitive && (shows(&field.before) || shows(&field.after));
    if !plan.steps.iter().flat_map(|step| &step.fields).any(leaks) {
        return Cow::Borrowed(plan);
    }
    let mut plan = plan.clone();
    for field in plan.steps.iter_mut().flat_map(|step| &mut step.fields).filter(|field| field.sensitive) {
        for value in [&mut field.before, &mut field.after] {
            if shows(value) {
                *value = Some(FieldValue::Plain(Value::String(Text::new_static(HIDDEN))));
            }
        }
    }
    Cow::Owned(plan)
}


#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
