//! What is known of a value: without which variables it is nothing.

use std::rc::Rc;

use magus_model::Text;

use super::groups::{Certainty, Groups};

/// What a value is where the variables it comes from are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Nothing {
    /// `None`: nothing can be done with it.
    #[default]
    None,
    /// An empty text: it can be used, and be asked for.
    Empty,
    /// A yes or no.
    Answer,
}

/// What the text of the file says a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Constant {
    #[default]
    Unknown,
    None,
    /// Another one that counts as no: `''`, `0`, `False`, `[]`.
    Empty,
    /// One that counts as yes.
    Full,
    /// One or the other, as the code goes.
    Either,
}

/// What is in a list, a tuple or a dictionary, with the key of each.
pub(super) type Members = Rc<Vec<(Option<Text>, Value)>>;

/// A value.
#[derive(Debug, Clone, Default)]
pub(super) struct Value {
    /// It counts as no without these.
    pub(super) absent: Groups,
    /// It counts as yes without these: `not x`.
    pub(super) present: Groups,
    pub(super) nothing: Nothing,
    pub(super) constant: Constant,
    /// The text, where it is one that is written out.
    pub(super) text: Option<Text>,
    /// What is in it and known, with the key of each.
    pub(super) members: Members,
    /// Whether there is more in it.
    pub(super) has_more: bool,
    /// Whether it depends on what a variable says.
    pub(super) depends: bool,
}

impl Value {
    pub(super) fn constant(constant: Constant) -> Self {
        Self { constant, ..Self::default() }
    }

    /// One that is `None` without these.
    pub(super) fn absent(absent: Groups, nothing: Nothing) -> Self {
        Self { absent, nothing, ..Self::default() }
    }

    /// Whether it says anything about variables.
    pub(super) fn is_known(&self) -> bool {
        !self.absent.is_empty() || !self.present.is_empty() || self.depends || !self.members.is_empty()
    }

    /// Whether, as a yes or no, it depends on what a variable says, and not only on whether it is there.
    pub(super) fn is_open(&self) -> bool {
        self.depends && self.nothing == Nothing::Answer
    }

    /// How much there is to look at in it.
    pub(super) fn weight(&self) -> usize {
        1 + self.members.iter().map(|(_, member)| member.weight()).sum::<usize>()
    }

    /// Whether the text of the file says that it counts as no.
    pub(super) fn is_falsy(&self) -> bool {
        matches!(self.constant, Constant::None | Constant::Empty)
    }

    /// The contrary.
    pub(super) fn negated(self) -> Self {
        let constant = match self.constant {
            Constant::None | Constant::Empty => Constant::Full,
            Constant::Full => Constant::Empty,
            other => other,
        };
        let depends = self.is_open();
        Self {
            absent: self.present,
            present: self.absent,
            nothing: Nothing::Answer,
            constant,
            depends,
            ..Self::default()
        }
    }

    /// As a yes or no.
    pub(super) fn answer(self) -> Self {
        Self { nothing: Nothing::Answer, text: None, members: Members::default(), ..self }
    }

    /// It, or, where it counts as no, another one.
    pub(super) fn or(self, other: Self) -> Self {
        if self.is_falsy() {
            return other;
        }
        if self.constant == Constant::Full {
            return self;
        }
        if other.constant == Constant::Full && other.absent.is_empty() {
            let depends = self.depends || other.depends;
            return Self { depends, ..Self::constant(Constant::Full) };
        }
        // Of what is not known it is not known either whether the other one counts.
        let is_unknown = !self.is_known() && matches!(self.constant, Constant::Unknown | Constant::Either);
        let absent = match (is_unknown, other.is_falsy()) {
            (true, _) => other.absent.possible(),
            (false, true) => self.absent.clone(),
            (false, false) => self.absent.and(&other.absent),
        };
        let nothing = match other.constant {
            Constant::Empty => Nothing::Empty,
            Constant::None => Nothing::None,
            _ => other.nothing,
        };
        let constant = either(self.constant, other.constant);
        let mut present = self.present;
        present.add(&other.present);
        let depends = self.depends || other.depends;
        Self { absent, present, nothing, constant, depends, ..Self::default() }
    }

    /// It, where it counts as no, and another one otherwise.
    pub(super) fn and(self, other: Self) -> Self {
        if self.is_falsy() {
            return self;
        }
        if self.constant == Constant::Full && other.constant == Constant::Full {
            return other;
        }
        let is_unknown = !self.is_known() && matches!(self.constant, Constant::Unknown | Constant::Either);
        let present = match (is_unknown, self.constant) {
            (true, _) => other.present.possible(),
            (false, Constant::Full) => other.present.clone(),
            (false, _) if self.present.is_empty() => other.present.possible(),
            (false, _) => self.present.and(&other.present),
        };
        let constant = either(self.constant, other.constant);
        let mut absent = self.absent;
        absent.add(&other.absent);
        let nothing = if self.nothing == Nothing::Answer { Nothing::Answer } else { other.nothing };
        let depends = self.depends || other.depends;
        Self { absent, present, nothing, constant, depends, ..Self::default() }
    }

    /// What one of several comes to, whichever it is.
    pub(super) fn joined(values: Vec<Self>) -> Self {
        let mut values = values.into_iter();
        let Some(mut all) = values.next() else { return Self::default() };
        for value in values {
            if all.absent.is_empty() || value.nothing == Nothing::None && !value.absent.is_empty() {
                all.nothing = value.nothing;
            }
            all.absent.add(&value.absent);
            all.present.add(&value.present);
            all.constant = match (all.constant, value.constant) {
                (one, other) if one == other => one,
                (Constant::Unknown, _) | (_, Constant::Unknown) => Constant::Unknown,
                _ => Constant::Either,
            };
            if all.text != value.text {
                all.text = None;
            }
            if all.members.is_empty() {
                all.members = value.members;
            }
            all.depends |= value.depends;
        }
        all
    }

    /// The same, where it is certain or not that it counts.
    pub(super) fn with(self, certainty: Certainty) -> Self {
        Self { absent: self.absent.with(certainty), present: self.present.with(certainty), ..self }
    }
}

/// What is known of two values together, of which one is not decided.
fn either(one: Constant, other: Constant) -> Constant {
    if one == Constant::Either || other == Constant::Either { Constant::Either } else { Constant::Unknown }
}
