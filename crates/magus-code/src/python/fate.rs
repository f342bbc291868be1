//! Decides for each read whether the code fails if the variable is missing. A file is evaluated once, in the order in which Python runs it,
//! with the variables without which each value is `None`, empty or false. A read is needed if the code fails then.
//!
//! Functions are evaluated at their calls, within a bound that is proportional to the file, and the others at the end. A
//! branch on what a variable says, and code after a conditional return, may run or not: what only fails there is undecidable.

use std::collections::{HashMap, HashSet};

use magus_model::{Text, effort};
use ruff_python_ast::{ModModule, StmtFunctionDef};
use ruff_text_size::TextRange;

use super::{
    groups::{Certainty, Group, Groups},
    libraries,
    names::Names,
    settings::Field,
    uses::{Gives, Read},
    value::{Constant, Nothing, Value},
};
use crate::reference::{Kind, Missing};

/// How deeply statements, expressions and calls are followed into one another.
pub(super) const DEEPEST: u32 = 90;
/// A file is evaluated at most so many times its own length, and at least so much.
const TIMES: u32 = 3;
const LEAST: u32 = 20_000;
/// So many lists of names that serve as well are kept for one read.
const ALTERNATIVES: usize = 4;

/// What becomes of a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) missing: Missing,
    /// The names that serve as well.
    pub(super) alternatives: Vec<Vec<Text>>,
}

/// How something fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure<'t> {
    /// A variable is not there: `KeyError`.
    Missing,
    /// Something is done with `None`, or a number is made of an empty text.
    Used,
    /// The program ends.
    Exit,
    /// The code raises this.
    Raised(&'t str),
}

/// When code runs.
#[derive(Debug, Clone)]
pub(super) enum When {
    /// Whatever variables there are.
    Always,
    /// Without these.
    Without(Groups),
    /// With some variable, or as one says.
    Depends,
}

/// A condition.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) when: When,
    /// It may also hold otherwise: `MODE == 'prod'` without `MODE`, or with another value.
    pub(super) depends: bool,
    /// What cannot be missing where it holds.
    pub(super) known: Groups,
}

impl Condition {
    pub(super) fn always() -> Self {
        Self { when: When::Always, depends: false, known: Groups::default() }
    }

    /// What holds where a value counts as yes.
    pub(super) fn of(value: &Value) -> Self {
        let when = match () {
            () if !value.present.is_empty() => When::Without(value.present.clone()),
            // Never.
            () if value.is_falsy() && value.absent.is_empty() => When::Without(Groups::default()),
            () if !value.absent.is_empty() || value.is_open() || value.constant == Constant::Either => {
                When::Depends
            }
            () => When::Always,
        };
        Self { when, depends: value.is_open(), known: value.absent.clone() }
    }

    /// Whether it never holds.
    pub(super) fn is_never(&self) -> bool {
        matches!(&self.when, When::Without(groups) if groups.is_empty())
    }

    /// Both hold, the other one after this.
    pub(super) fn and(&self, other: &Self) -> Self {
        let when = match (&self.when, &other.when) {
            (When::Always, when) | (when, When::Always) => when.clone(),
            (When::Without(one), When::Without(other)) => When::Without(one.and(other)),
            (When::Depends, When::Without(groups)) | (When::Without(groups), When::Depends) => {
                When::Without(groups.possible())
            }
            (When::Depends, When::Depends) => When::Depends,
        };
        let mut known = self.known.clone();
        known.add(&other.known);
        Self { when, depends: self.depends || other.depends, known }
    }
}

/// The conditions under which the evaluated code runs.
#[derive(Debug, Clone)]
pub(super) struct Path {
    /// Only without these, if any.
    pub(super) without: Option<Groups>,
    pub(super) certainty: Certainty,
    /// It may also run otherwise.
    pub(super) depends: bool,
}

impl Path {
    pub(super) fn start() -> Self {
        Self { without: None, certainty: Certainty::Certain, depends: false }
    }

    pub(super) fn and(&self, condition: &Condition) -> Self {
        let mut path = self.clone();
        match &condition.when {
            When::Always => {}
            When::Depends => path.certainty = Certainty::Possible,
            When::Without(groups) => {
                path.without = Some(match &path.without {
                    Some(known) => known.and(groups),
                    None => groups.clone(),
                });
                path.depends |= condition.depends;
            }
        }
        path
    }

    /// Whether it says anything about variables.
    pub(super) fn is_conditional(&self) -> bool {
        self.without.is_some() || self.certainty == Certainty::Possible
    }
}

/// Catches failures: a `try`, or a function that is evaluated for a call.
#[derive(Debug)]
pub(super) struct Catcher<'t> {
    /// The texts of what is caught; nothing catches all.
    pub(super) kinds: Option<Vec<Option<&'t str>>>,
    pub(super) caught: Vec<(Failure<'t>, Groups)>,
}

impl<'t> Catcher<'t> {
    fn catches(&self, failure: Failure<'t>) -> bool {
        let Some(kinds) = &self.kinds else { return true };
        kinds.iter().any(|kind| catches(*kind, failure))
    }
}

/// Whether an `except` with this text catches a failure.
pub(super) fn catches(kind: Option<&str>, failure: Failure<'_>) -> bool {
    let Some(kind) = kind else { return true };
    let mut words = kind.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.any(|word| match (word, failure) {
        ("BaseException", _) => true,
        ("Exception", failure) => failure != Failure::Exit,
        ("KeyError" | "LookupError", Failure::Missing) => true,
        ("TypeError" | "AttributeError" | "ValueError", Failure::Used) => true,
        ("SystemExit", Failure::Exit) => true,
        (word, Failure::Raised(name)) => {
            word == name && !word.is_empty()
                || word == "LookupError" && name == "KeyError"
                || libraries::is_caught(word, name)
        }
        _ => false,
    })
}

/// What was seen to happen without a read.
#[derive(Debug, Clone, Default)]
struct Seen {
    fails: bool,
    may_fail: bool,
    groups: Vec<Vec<u32>>,
}

/// What a function comes to.
#[derive(Debug, Clone)]
pub(super) struct Summary<'t> {
    pub(super) value: Value,
    pub(super) failures: Vec<(Failure<'t>, Groups)>,
    /// What cannot be missing after it, by the numbers of names.
    pub(super) known: Vec<Vec<u32>>,
}

/// A name in a scope.
pub(super) type Bound<'t> = (usize, &'t str);

/// Goes through a file.
pub(super) struct Flow<'n, 't> {
    pub(super) names: &'n Names<'t>,
    pub(super) reads: &'n [Read<'t>],
    pub(super) reads_at: HashMap<TextRange, Vec<u32>>,
    /// The number of each read's name: reads of one name have one.
    numbers: Vec<u32>,
    seen: Vec<Seen>,
    pub(super) values: HashMap<Bound<'t>, Value>,
    /// What values were before, to take branches back.
    pub(super) trail: Vec<(Bound<'t>, Option<Value>)>,
    /// The names that are read somewhere, and the attributes.
    pub(super) loaded: HashSet<Bound<'t>>,
    pub(super) fields: HashMap<&'t str, Value>,
    pub(super) loaded_fields: HashSet<&'t str>,
    /// What cannot be missing here, by the numbers of its names.
    known: HashMap<Vec<u32>, u32>,
    pub(super) known_trail: Vec<Vec<u32>>,
    pub(super) path: Path,
    pub(super) catchers: Vec<Catcher<'t>>,
    pub(super) scope: usize,
    pub(super) depth: u32,
    /// Whether what is gone through is only shown to people: within how many calls that do so.
    pub(super) shown: u32,
    pub(super) budget: u32,
    /// The values that the evaluated function returns.
    pub(super) returns: Vec<Value>,
    /// How often code was left under a condition about variables.
    pub(super) left: u32,
    /// What made a loop end early.
    pub(super) broke: bool,
    /// What the handler handles that is gone through, and how it calls it: `raise` alone raises it again.
    pub(super) handled: Option<(Failure<'t>, Option<&'t str>)>,
    /// Within how many loops it is.
    pub(super) loops: u32,
    /// The reads of several names that were evaluated.
    pub(super) looped: Vec<u32>,
    pub(super) running: Vec<usize>,
    pub(super) summaries: HashMap<usize, Summary<'t>>,
}

/// What becomes of each read of a file.
pub(super) fn fates<'t>(module: &'t ModModule, names: &Names<'t>, reads: &[Read<'t>]) -> Vec<Fate> {
    let is_traced = |read: &Read<'_>| !matches!(read.gives, Gives::Known(_) | Gives::Set);
    let mut flow = Flow::new(names, reads);
    // Code that is too deep for Python is not evaluated.
    let is_traceable = names.too_deep.is_none() && reads.iter().any(is_traced);
    if is_traceable {
        flow.module(module);
    }
    let fate = |(number, read): (usize, &Read<'t>)| match read.gives {
        Gives::Known(missing) => Fate { missing, alternatives: Vec::new() },
        Gives::Set => Fate { missing: Missing::Set, alternatives: Vec::new() },
        _ if is_traceable => flow.fate(number),
        Gives::Field(Field { is_required: true, .. }) => {
            Fate { missing: Missing::Fails, alternatives: Vec::new() }
        }
        Gives::Raises | Gives::Refuses(_) | Gives::Default(None) => {
            Fate { missing: Missing::Fails, alternatives: Vec::new() }
        }
        _ => Fate { missing: Missing::Default, alternatives: Vec::new() },
    };
    reads.iter().enumerate().map(fate).collect()
}

impl<'n, 't> Flow<'n, 't> {
    fn new(names: &'n Names<'t>, reads: &'n [Read<'t>]) -> Self {
        let mut numbers: HashMap<(Kind, &Text), u32> = HashMap::new();
        let mut reads_at: HashMap<TextRange, Vec<u32>> = HashMap::new();
        let mut number_of = Vec::with_capacity(reads.len());
        for (index, read) in (0_u32..).zip(reads) {
            reads_at.entry(read.expression).or_default().push(index);
            let next = u32::try_from(reads.len()).unwrap_or(u32::MAX).saturating_add(index);
            number_of.push(match read.name.literal() {
                Some(name) => *numbers.entry((read.kind, name)).or_insert(index),
                None => next,
            });
        }
        let length = u32::try_from(names.length()).unwrap_or(u32::MAX / TIMES);
        Self {
            names,
            reads,
            reads_at,
            numbers: number_of,
            seen: vec![Seen::default(); reads.len()],
            values: HashMap::new(),
            trail: Vec::new(),
            loaded: HashSet::new(),
            fields: HashMap::new(),
            loaded_fields: HashSet::new(),
            known: HashMap::new(),
            known_trail: Vec::new(),
            path: Path::start(),
            catchers: Vec::new(),
            scope: 0,
            depth: 0,
            shown: 0,
            budget: length.saturating_mul(TIMES).saturating_add(LEAST),
            returns: Vec::new(),
            left: 0,
            broke: false,
            handled: None,
            loops: 0,
            looped: Vec::new(),
            running: Vec::new(),
            summaries: HashMap::new(),
        }
    }

    fn module(&mut self, module: &'t ModModule) {
        self.block(&module.body);
        // A function without a call here is called from elsewhere.
        self.path = Path::start();
        let names = self.names;
        for function in &names.functions {
            if !self.summaries.contains_key(&function.scope) {
                let value = self.function(*function, Vec::new());
                self.use_value(&value);
            }
        }
        self.settings_elsewhere();
        self.escaping();
    }

    /// Settings of which this file makes no object are made elsewhere.
    fn settings_elsewhere(&mut self) {
        let is_elsewhere =
            |read: &&Read<'_>| matches!(read.gives, Gives::Field(Field { is_elsewhere: true, .. }));
        let mut classes: Vec<TextRange> =
            self.reads.iter().filter(is_elsewhere).map(|read| read.expression).collect();
        classes.dedup();
        for class in classes {
            let reads = self.reads_at.get(&class).cloned().unwrap_or_default();
            self.settings(&reads);
        }
    }

    /// What is kept in names of the module, or in attributes, and is not read here, is read elsewhere.
    fn escaping(&mut self) {
        let is_kept = |(scope, _): &&Bound<'t>| *scope == 0;
        let names: Vec<Bound<'t>> = self.values.keys().filter(is_kept).copied().collect();
        for name in names {
            if !self.loaded.contains(&name)
                && let Some(value) = self.values.get(&name).cloned()
            {
                self.use_value(&value);
            }
        }
        let fields: Vec<&'t str> = self.fields.keys().copied().collect();
        for field in fields {
            if !self.loaded_fields.contains(field)
                && let Some(value) = self.fields.get(field).cloned()
            {
                self.use_value(&value);
            }
        }
    }

    fn fate(&self, read: usize) -> Fate {
        let seen = &self.seen[read];
        let missing = match seen {
            Seen { fails: true, .. } => Missing::Fails,
            Seen { may_fail: true, .. } => Missing::Undecidable,
            Seen { groups, .. } if !groups.is_empty() => Missing::Fails,
            _ => Missing::Default,
        };
        let mut alternatives: Vec<Vec<Text>> = Vec::new();
        if missing == Missing::Fails && !seen.fails {
            let own = self.numbers[read];
            for group in &seen.groups {
                let others = group.iter().filter(|number| **number != own);
                let name = |number: &u32| self.reads.get(*number as usize)?.name.literal().cloned();
                alternatives.push(others.filter_map(name).collect());
            }
            alternatives.sort();
            alternatives.dedup();
        }
        Fate { missing, alternatives }
    }

    /// The numbers of the names of a group.
    pub(super) fn numbers(&self, group: &Group) -> Vec<u32> {
        let mut numbers: Vec<u32> = group.reads.iter().map(|read| self.numbers[*read as usize]).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Whether all of a group can be missing here.
    fn is_possible(&self, group: &Group) -> bool {
        if self.known.is_empty() {
            return true;
        }
        let numbers = self.numbers(group);
        let is_known = |numbers: &[u32]| self.known.contains_key(numbers);
        !is_known(&numbers) && !numbers.iter().any(|number| is_known(&[*number]))
    }

    /// From here on these are not missing.
    pub(super) fn assume(&mut self, groups: &Groups) {
        let numbers = self.numbers_of(groups);
        self.assume_numbers(numbers);
    }

    pub(super) fn numbers_of(&self, groups: &Groups) -> Vec<Vec<u32>> {
        groups.iter().map(|group| self.numbers(group)).collect()
    }

    pub(super) fn assume_numbers(&mut self, known: impl IntoIterator<Item = Vec<u32>>) {
        for numbers in known {
            *self.known.entry(numbers.clone()).or_default() += 1;
            self.known_trail.push(numbers);
        }
    }

    /// Takes back what was assumed since.
    pub(super) fn forget(&mut self, mark: usize) {
        while self.known_trail.len() > mark {
            let Some(numbers) = self.known_trail.pop() else { return };
            if let Some(count) = self.known.get_mut(&numbers) {
                *count -= 1;
                if *count == 0 {
                    self.known.remove(&numbers);
                }
            }
        }
    }

    /// The groups that can be missing here.
    pub(super) fn possible(&self, groups: &Groups) -> Groups {
        if self.known.is_empty() { groups.clone() } else { groups.only(|group| self.is_possible(group)) }
    }

    /// Without these, something fails here.
    pub(super) fn fail(&mut self, groups: &Groups, failure: Failure<'t>) {
        let groups = self.possible(groups);
        if groups.is_empty() {
            return;
        }
        let mut failing = match &self.path.without {
            Some(without) => self.possible(&groups.and(without)),
            None => groups.clone(),
        };
        failing = failing.with(self.path.certainty);
        if self.path.depends {
            failing.add(&groups.possible());
        }
        self.failed(failing, failure);
    }

    /// Whenever the code gets here, something fails.
    pub(super) fn fail_here(&mut self, failure: Failure<'t>) {
        let Some(without) = &self.path.without else { return };
        let failing = self.possible(without).with(self.path.certainty);
        self.failed(failing, failure);
    }

    pub(super) fn failed(&mut self, failing: Groups, failure: Failure<'t>) {
        if failing.is_empty() {
            return;
        }
        if let Some(catcher) = self.catchers.iter_mut().rev().find(|catcher| catcher.catches(failure)) {
            match catcher.caught.iter_mut().find(|(known, _)| *known == failure) {
                Some((_, known)) => known.add(&failing),
                None => catcher.caught.push((failure, failing)),
            }
            return;
        }
        for group in failing.iter() {
            effort::spend(group.reads.len());
            let numbers = self.numbers(group);
            let is_literal = |read: &u32| self.reads[*read as usize].name.literal().is_some();
            let is_certain = group.certainty == Certainty::Certain && group.reads.iter().all(is_literal);
            for read in &group.reads {
                let seen = &mut self.seen[*read as usize];
                match (is_certain, numbers.len()) {
                    (false, _) => seen.may_fail = true,
                    (true, 1) => seen.fails = true,
                    (true, _) if seen.groups.contains(&numbers) => {}
                    (true, _) if seen.groups.len() < ALTERNATIVES => seen.groups.push(numbers.clone()),
                    (true, _) => seen.may_fail = true,
                }
            }
        }
    }

    /// Something is done with a value.
    pub(super) fn use_value(&mut self, value: &Value) {
        if value.nothing == Nothing::None && !value.absent.is_empty() {
            self.fail(&value.absent, Failure::Used);
        }
        for (_, member) in value.members.iter() {
            effort::spend(1);
            self.use_value(member);
        }
    }

    /// A value as it is where a condition held.
    pub(super) fn settled(&self, value: Value, condition: &Condition) -> Value {
        let (absent, present) = (self.possible(&value.absent), self.possible(&value.present));
        let is_falsy = value.is_falsy() && absent.is_empty();
        // What can only be missing where this does not run is there.
        let is_there = !value.absent.is_empty() && absent.is_empty() && present.is_empty();
        if is_there || value.constant == Constant::Full && absent.is_empty() {
            return Value { absent, present, constant: Constant::Full, ..value };
        }
        match &condition.when {
            When::Always => Value { absent, present, ..value },
            When::Depends => {
                let constant = Constant::Unknown;
                Value { absent, present, constant, ..value }.with(Certainty::Possible)
            }
            When::Without(groups) if is_falsy => {
                let nothing = if value.constant == Constant::None { Nothing::None } else { Nothing::Empty };
                let mut absent = self.possible(groups);
                if condition.depends {
                    absent.add(&groups.possible());
                }
                Value { absent, nothing, constant: Constant::Unknown, ..value }
            }
            When::Without(groups) => {
                let groups = self.possible(groups);
                Value { absent: absent.and(&groups), present: present.and(&groups), ..value }
            }
        }
    }

    /// Whether a function may be evaluated once more.
    pub(super) fn spend(&mut self, function: &StmtFunctionDef) -> bool {
        let length = function.range.len().to_u32();
        effort::spend(length as usize);
        match self.budget.checked_sub(length) {
            Some(rest) => {
                self.budget = rest;
                true
            }
            None => false,
        }
    }
}
