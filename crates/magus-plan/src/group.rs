//! Equal changes from one origin, to be drawn as one: "58 workspaces: image 0.9.79 → 0.9.80, cluster.yaml:12".

use std::collections::HashMap;

use magus_model::{
    plan::{Action, FieldChange, FieldStatus, Reason, Step},
    span::Origin,
    value::FieldValue,
};
use serde::Serialize;

/// A change that at least two updates make.
#[derive(Debug, Clone, PartialEq)]
pub struct Group<'a> {
    /// The change, as the first of them makes it.
    pub change: &'a FieldChange,
    /// Where it is made: the index of the step, and of the field in it. Ordered.
    pub members: Vec<(usize, usize)>,
}

/// What makes two changes equal.
#[derive(Serialize)]
struct Key<'a> {
    change: (&'a str, &'a Option<FieldValue>, &'a Option<FieldValue>),
    origin: &'a Option<Origin>,
    status: FieldStatus,
    reason: Reason,
}

/// The groups of a plan's updates, in the order of their first members. A field that is in no group stands alone.
pub fn groups(steps: &[Step]) -> Vec<Group<'_>> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<Group<'_>> = Vec::new();
    let updates = steps.iter().enumerate().filter(|(_, step)| step.action == Action::Update);
    for (at, step) in updates {
        for (field_at, change) in step.fields.iter().enumerate() {
            let FieldChange { path, before, after, sensitive: _, status, reason, origin } = change;
            let key =
                Key { change: (path.as_str(), before, after), origin, status: *status, reason: *reason };
            // What does not serialize cannot be compared, and stands alone.
            let Ok(key) = serde_json::to_string(&key) else { continue };
            let place = *places.entry(key).or_insert_with(|| {
                groups.push(Group { change, members: Vec::new() });
                groups.len() - 1
            });
            groups[place].members.push((at, field_at));
        }
    }
    groups.retain(|group| group.members.len() >= 2);
    groups
}
