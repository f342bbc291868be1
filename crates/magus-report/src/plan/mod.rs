//! Plans as text, JSON, Markdown and HTML.
//!
//! All four show the same things: what would change and why, equal changes of many workspaces once, what was
//! withheld with the command that lifts it, what is unmanaged or unknown, what the plan disrupts, and its counts.
//! Nothing here plans, or knows the declarations: a plan that was read from a file is shown like a fresh one.

mod apart;
pub(crate) mod deploy;
mod findings;
pub(crate) mod groups;
pub(crate) mod html;
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
pub(crate) use text::write_field;

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
    /// The next command, ready to paste: what applies this plan, or shows the whole where this is a part. Nothing where
    /// there is no step.
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

/// The plan without observed plain values in sensitive fields. The planner leaves them out already; a plan that
/// was read from a file, or made by another planner, is not trusted to.
pub(crate) fn without_secrets(plan: &Plan) -> Cow<'_, Plan> {
    let steps = plan.steps.iter().flat_map(|step| &step.fields);
    let apart = plan.since.iter().flat_map(|since| &since.apart).flat_map(|apart| &apart.fields);
    if !steps.chain(apart).any(leaks) {
        return Cow::Borrowed(plan);
    }
    let mut plan = plan.clone();
    let steps = plan.steps.iter_mut().flat_map(|step| &mut step.fields);
    let apart = plan.since.iter_mut().flat_map(|since| &mut since.apart).flat_map(|apart| &mut apart.fields);
    steps.chain(apart).for_each(hide);
    Cow::Owned(plan)
}

/// Whether a field shows an observed value that it should hide.
fn leaks(field: &FieldChange) -> bool {
    let is_shown = |value: &FieldValue| matches!(value, FieldValue::Plain(value) if *value != hidden());
    field.sensitive && field.before.as_ref().is_some_and(is_shown)
}

/// Hides the observed value of a sensitive field.
pub(crate) fn hide(field: &mut FieldChange) {
    if leaks(field) {
        field.before = Some(FieldValue::Plain(hidden()));
    }
}

fn hidden() -> Value {
    Value::String(Text::new_static(magus_diff::HIDDEN))
}

#[cfg(test)]
mod apart_tests;
#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
