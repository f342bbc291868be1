//! Reads whose absence together has an effect: what code does without a variable is a list of such groups.

/// So many groups are told apart, and so many reads are in one.
const MOST: usize = 128;
const LARGEST: usize = 8;

/// Whether something is sure to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Certainty {
    Certain,
    Possible,
}

/// Reads that have an effect if all of them find nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// In ascending order.
    pub(super) reads: Vec<u32>,
    pub(super) certainty: Certainty,
}

impl Group {
    fn and(&self, other: &Self) -> Self {
        let mut reads: Vec<u32> = self.reads.iter().chain(&other.reads).copied().collect();
        reads.sort_unstable();
        reads.dedup();
        let is_large = reads.len() > LARGEST;
        let certainty = if is_large { Certainty::Possible } else { self.certainty.max(other.certainty) };
        reads.truncate(LARGEST);
        Self { reads, certainty }
    }
}

/// The groups that have an effect, each for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Groups(Vec<Group>);

impl Groups {
    /// Each of these reads for itself.
    pub(super) fn each(reads: &[u32]) -> Self {
        let one = |read: &u32| Group { reads: vec![*read], certainty: Certainty::Certain };
        Self(reads.iter().take(MOST).map(one).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.0.iter()
    }

    /// Those for which something holds.
    pub(super) fn only(&self, wanted: impl Fn(&Group) -> bool) -> Self {
        Self(self.0.iter().filter(|group| wanted(group)).cloned().collect())
    }

    /// Either has the effect.
    pub(super) fn add(&mut self, others: &Self) {
        for group in &others.0 {
            if self.0.len() >= MOST {
                return;
            }
            if !self.0.contains(group) {
                self.0.push(group.clone());
            }
        }
    }

    /// Both together have the effect.
    pub(super) fn and(&self, other: &Self) -> Self {
        let mut both = Self::default();
        for one in &self.0 {
            for other in &other.0 {
                if both.0.len() >= MOST {
                    return self.possible();
                }
                let group = one.and(other);
                if !both.0.contains(&group) {
                    both.0.push(group);
                }
            }
        }
        both
    }

    /// All of them together.
    pub(super) fn together(&self) -> Self {
        let mut groups = self.0.iter();
        let Some(first) = groups.next() else { return Self::default() };
        Self(vec![groups.fold(first.clone(), |all, group| all.and(group))])
    }

    /// Whether one of them has all reads of a group.
    pub(super) fn has_reads_of(&self, group: &Group) -> bool {
        self.0.iter().any(|own| group.reads.iter().all(|read| own.reads.contains(read)))
    }

    /// They may have the effect.
    pub(super) fn possible(&self) -> Self {
        let possible = |group: &Group| Group { certainty: Certainty::Possible, ..group.clone() };
        Self(self.0.iter().map(possible).collect())
    }

    pub(super) fn with(&self, certainty: Certainty) -> Self {
        if certainty == Certainty::Possible { self.possible() } else { self.clone() }
    }
}
