//! One pass over the declared, the observed and the last applied fields of a workspace, which are all ordered by path.

use std::{collections::btree_map, iter::Peekable, slice};

use magus_model::{Text, desired::Field, observed::ObservedField, path::FieldPath, value::FieldValue};

/// What the three sides say about one path. At least one says something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Triple<'a> {
    pub path: &'a FieldPath,
    pub desired: Option<&'a Field>,
    pub observed: Option<&'a FieldValue>,
    pub applied: Option<&'a Text>,
}

/// The join; what it yields is ordered by path.
pub(crate) struct Join<'a> {
    desired: Peekable<slice::Iter<'a, Field>>,
    observed: Peekable<slice::Iter<'a, ObservedField>>,
    applied: Peekable<btree_map::Iter<'a, FieldPath, Text>>,
}

impl<'a> Join<'a> {
    pub(crate) fn new(
        desired: &'a [Field],
        observed: &'a [ObservedField],
        applied: btree_map::Iter<'a, FieldPath, Text>,
    ) -> Self {
        Self {
            desired: desired.iter().peekable(),
            observed: observed.iter().peekable(),
            applied: applied.peekable(),
        }
    }
}

impl<'a> Iterator for Join<'a> {
    type Item = Triple<'a>;

    fn next(&mut self) -> Option<Triple<'a>> {
        let desired = self.desired.peek().map(|field| &field.path);
        let observed = self.observed.peek().map(|field| &field.path);
        let applied = self.applied.peek().map(|(path, _)| *path);
        // Nearly always all three say something about the same path, and equality is cheaper than order.
        if desired.is_some() && desired == observed && observed == applied {
            let desired = self.desired.next()?;
            let (_, digest) = self.applied.next()?;
            let observed = self.observed.next().map(|field| &field.value);
            return Some(Triple {
                path: &desired.path,
                desired: Some(desired),
                observed,
                applied: Some(digest),
            });
        }
        let path = [desired, observed, applied].into_iter().flatten().min()?;
        Some(Triple {
            path,
            desired: self.desired.next_if(|field| field.path == *path),
            observed: self.observed.next_if(|field| field.path == *path).map(|field| &field.value),
            applied: self.applied.next_if(|(at, _)| *at == path).map(|(_, digest)| digest),
        })
    }
}
