//! Two declared workspaces side by side.

use magus_model::{
    desired::Workspace,
    path::FieldPath,
    value::{FieldValue, Value},
};

use crate::meaning::same;

/// One path of two workspaces.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The path.
    pub path: FieldPath,
    /// The value of the first; nothing where it has none.
    pub left: Option<FieldValue>,
    /// The value of the second; nothing where it has none.
    pub right: Option<FieldValue>,
    /// Whether both mean the same.
    pub same: bool,
}

/// Puts two declared workspaces side by side: every path that one of them has, `state` among them, ordered by path.
pub fn compare_declared(left: &Workspace, right: &Workspace) -> Vec<Row> {
    let entries = |workspace: &Workspace| {
        let state = FieldValue::Plain(Value::string(workspace.state.as_str()));
        let mut entries: Vec<_> =
            workspace.fields.iter().map(|field| (field.path.clone(), field.value.clone())).collect();
        let at = entries.partition_point(|(path, _)| path.as_str() < "state");
        entries.insert(at, (FieldPath::key("state"), state));
        entries
    };
    let mut left = entries(left).into_iter().peekable();
    let mut right = entries(right).into_iter().peekable();
    let mut rows = Vec::new();
    while let Some(path) = left.peek().into_iter().chain(right.peek()).map(|(path, _)| path.clone()).min() {
        let left = left.next_if(|(at, _)| *at == path).map(|(_, value)| value);
        let right = right.next_if(|(at, _)| *at == path).map(|(_, value)| value);
        let same = match (&left, &right) {
            (Some(left), Some(right)) => same_declared(&path, left, right),
            _ => false,
        };
        rows.push(Row { path, left, right, same });
    }
    rows
}

/// Whether two declared values ask for the same.
pub fn same_declared(path: &FieldPath, left: &FieldValue, right: &FieldValue) -> bool {
    match (left, right) {
        // To keep what runs is not to send the same.
        (FieldValue::Secret(left), FieldValue::Secret(right)) => left == right,
        (FieldValue::Plain(_), FieldValue::Plain(_)) => same(path, left, right),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use magus_model::{
        desired::{DesiredState, Field, Layer},
        name::WorkspaceName,
        span::Span,
        value::{SecretReference, SecretSource},
    };

    use super::*;

    fn secret(keep: bool) -> FieldValue {
        FieldValue::from(SecretReference { source: SecretSource::Env("KEY".into()), version: None, keep })
    }

    fn workspace(value: FieldValue) -> Workspace {
        Workspace {
            name: WorkspaceName::observed("a"),
            declared: "a".into(),
            state: DesiredState::Running,
            state_span: Span::BUILT_IN,
            fields: vec![Field {
                path: FieldPath::from("env.KEY"),
                value,
                span: Span::BUILT_IN,
                layer: Layer::Workspace,
            }],
            moved_from: None,
            code: None,
            provided: Vec::new(),
            owner: None,
            span: Span::BUILT_IN,
        }
    }

    /// What is kept is no difference from what runs, but it is one from what is declared elsewhere.
    #[test]
    fn what_is_kept_is_the_same_as_nothing_else_that_is_declared() {
        let plain = FieldValue::Plain(Value::string("x"));
        for (left, right, expected) in [
            (plain.clone(), plain.clone(), true),
            (secret(true), secret(true), true),
            (secret(true), plain.clone(), false),
            (plain.clone(), secret(true), false),
            (secret(false), plain.clone(), false),
            (secret(true), secret(false), false),
        ] {
            let rows = compare_declared(&workspace(left), &workspace(right));
            let row = rows.iter().find(|row| row.path.as_str() == "env.KEY").expect("a row");
            assert_eq!(row.same, expected, "{row:?}");
        }
    }
}
