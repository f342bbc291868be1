//! Branches of code: each is evaluated, and the code after them starts from all that reach it.

use std::collections::{HashMap, HashSet};

use super::{
    fate::{Bound, Condition, Flow, When},
    groups::Certainty,
    value::Value,
};

/// How code ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// What follows it runs.
    Falls,
    /// It returns, or leaves a loop.
    Leaves,
    /// It raises, or ends the program.
    Fails,
}

/// One of several ways that code takes.
pub(super) struct Branch<'t> {
    pub(super) condition: Condition,
    pub(super) exit: Exit,
    pub(super) changes: HashMap<Bound<'t>, Value>,
    /// What cannot be missing after it, by the numbers of names.
    known: HashSet<Vec<u32>>,
}

impl Branch<'_> {
    /// One in which nothing happens.
    pub(super) fn skipped(condition: Condition) -> Self {
        Self { condition, exit: Exit::Falls, changes: HashMap::new(), known: HashSet::new() }
    }
}

impl<'t> Flow<'_, 't> {
    /// Goes one way, and takes back what it changes.
    pub(super) fn branch(&mut self, condition: Condition, run: impl FnOnce(&mut Self) -> Exit) -> Branch<'t> {
        let path = self.path.clone();
        let (trail, known) = (self.trail.len(), self.known_trail.len());
        self.path = self.path.and(&condition);
        self.assume(&condition.known);
        let exit = run(self);
        let mut changes: HashMap<Bound<'t>, Value> = HashMap::new();
        while self.trail.len() > trail {
            let Some((name, before)) = self.trail.pop() else { break };
            let after = match before {
                Some(before) => self.values.insert(name, before),
                None => self.values.remove(&name),
            };
            if let Some(after) = after
                && !changes.contains_key(&name)
            {
                let after = self.settled(after, &condition);
                changes.insert(name, after);
            }
        }
        let known_after = self.known_trail[known..].iter().cloned().collect();
        self.forget(known);
        self.path = path;
        Branch { condition, exit, changes, known: known_after }
    }

    /// Goes on after several ways, of which one was taken.
    pub(super) fn merge(&mut self, mut branches: Vec<Branch<'t>>) -> Exit {
        for branch in &mut branches {
            if let When::Without(groups) = &branch.condition.when {
                branch.condition.when = When::Without(self.possible(groups));
            }
        }
        let (falling, ending): (Vec<_>, Vec<_>) = branches
            .into_iter()
            .filter(|branch| !branch.condition.is_never())
            .partition(|branch| branch.exit == Exit::Falls);
        let leaves = ending.iter().any(|branch| branch.exit == Exit::Leaves);
        if falling.is_empty() {
            return if leaves { Exit::Leaves } else { Exit::Fails };
        }
        self.known_in_all(&falling);
        let names: HashSet<Bound<'t>> =
            falling.iter().flat_map(|branch| branch.changes.keys().copied()).collect();
        for name in names {
            let mut values = Vec::new();
            for branch in &falling {
                let value = match branch.changes.get(&name) {
                    Some(value) => value.clone(),
                    None => self.unchanged(name, &branch.condition),
                };
                values.push(value);
            }
            self.bind(name, Value::joined(values));
        }
        if let [only] = &falling[..]
            && !ending.is_empty()
        {
            self.assume(&only.condition.known);
            // After a failure, what follows needs the same as without it.
            if leaves {
                self.path = self.path.and(&only.condition);
            }
        } else if leaves && falling.iter().any(|branch| !matches!(branch.condition.when, When::Always)) {
            self.path.certainty = Certainty::Possible;
        }
        Exit::Falls
    }

    /// What cannot be missing after either branch cannot be missing after them: one asks for it, and the other sets it.
    fn known_in_all(&mut self, branches: &[Branch<'t>]) {
        let mut all = branches.iter().map(|branch| {
            let mut known = branch.known.clone();
            known.extend(self.numbers_of(&branch.condition.known));
            known
        });
        let Some(first) = all.next() else { return };
        let known = all.fold(first, |all, one| all.into_iter().filter(|known| one.contains(known)).collect());
        self.assume_numbers(known);
    }

    /// What a name that a branch does not bind is after it.
    fn unchanged(&mut self, name: Bound<'t>, condition: &Condition) -> Value {
        let Some(value) = self.values.get(&name).cloned() else { return Value::default() };
        let mark = self.known_trail.len();
        self.assume(&condition.known);
        let value = self.settled(value, condition);
        self.forget(mark);
        value
    }

    /// Both ways of a test.
    pub(super) fn conditions(test: Value) -> (Condition, Condition) {
        (Condition::of(&test), Condition::of(&test.negated()))
    }

    /// Goes on after several ways. Where code was left within one of them, what follows may run or not.
    pub(super) fn merge_and_leave(&mut self, branches: Vec<Branch<'t>>, left: u32) -> Exit {
        let is_left = self.left > left;
        let several = branches.iter().filter(|branch| branch.exit == Exit::Falls).count() > 1;
        let exit = self.merge(branches);
        if is_left && several {
            self.path.certainty = Certainty::Possible;
        }
        exit
    }
}
