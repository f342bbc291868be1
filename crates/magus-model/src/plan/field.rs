//! How a field of a step is written, and what of it may be shown.

use std::borrow::Cow;

use serde::Serialize;

use super::{FieldChange, FieldStatus, Reason};
use crate::{Text, path::FieldPath, secrecy, span::Origin, value::FieldValue};

impl FieldChange {
    /// The observed value as it may be shown.
    pub fn before_shown(&self) -> Option<Cow<'_, FieldValue>> {
        self.before.as_ref().map(|value| shown(value, self))
    }

    /// The desired value as it may be shown.
    pub fn after_shown(&self) -> Option<Cow<'_, FieldValue>> {
        self.after.as_ref().map(|value| shown(value, self))
    }
}

impl FieldChange {
    /// The desired value where it is not shown.
    pub fn unshown(&self) -> Option<&FieldValue> {
        self.after.as_ref().filter(|value| self.sensitive && matches!(value, FieldValue::Plain(_)))
    }
}

/// A reference is shown; of a sensitive field, no other value is.
fn shown<'a>(value: &'a FieldValue, field: &FieldChange) -> Cow<'a, FieldValue> {
    match value {
        FieldValue::Plain(_) if field.sensitive => Cow::Owned(secrecy::hidden()),
        value => Cow::Borrowed(value),
    }
}

/// The written form of a [`FieldChange`].
#[derive(Serialize)]
pub(super) struct Written {
    path: FieldPath,
    before: Option<FieldValue>,
    after: Option<FieldValue>,
    sensitive: bool,
    status: FieldStatus,
    reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<Text>,
    origin: Option<Origin>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    read_by: Vec<Text>,
}

impl From<FieldChange> for Written {
    fn from(change: FieldChange) -> Self {
        let before = change.before_shown().map(Cow::into_owned);
        let after = change.after_shown().map(Cow::into_owned);
        let FieldChange { path, before: _, after: _, sensitive, status, reason, sealed, origin, read_by } =
            change;
        Self { path, before, after, sensitive, status, reason, sealed, origin, read_by }
    }
}
