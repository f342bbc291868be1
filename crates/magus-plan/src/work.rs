//! Uncommitted changes: which step would lose them, and the guard that holds such a step back.
//!
//! Changes that could not be read are assumed to exist. `--discard-changes` accepts the loss of both.

use magus_diff::{CodeChange, code_digest, code_path};
use magus_model::{
    Text,
    desired::SYNC_ON_START,
    observed::{ObservedWorkspace, RunState, Work},
    path::FieldPath,
    plan::{Action, Guard, Overrides, Reason, Restarts, Step},
};

use crate::{guards::Held, steps::Place, unblock::Flag, words};

/// Why uncommitted changes were not looked for although a step may lose them.
const NOT_READ: &str = "they were not looked for";

/// Why nothing is known of what an orphan holds.
pub(crate) const ORPHAN: Text = Text::new_static("no server knows it any more");

/// What a step would lose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Loss {
    /// These paths, and commits that the repository lacks.
    Changes(Vec<Text>),
    /// Changes that could not be read; the reason.
    Unknown(Text),
}

impl Loss {
    /// What is lost with everything in a workspace.
    pub(crate) fn of(work: &Work) -> Option<Self> {
        match work {
            Work::NotRead | Work::None => None,
            Work::Uncommitted(paths) => Some(Self::Changes(paths.clone())),
            Work::Unknown(reason) => Some(Self::Unknown(reason.clone())),
        }
    }

    /// The guard, if flags do not accept the loss.
    pub(crate) fn held(&self, workspace: &str, overrides: &Overrides) -> Option<Held> {
        let is_named = overrides.discard_changes.iter().any(|given| given == workspace);
        let has_reason = overrides.reason.as_ref().is_some_and(|reason| !reason.trim().is_empty());
        let mut flags = Vec::new();
        if !is_named {
            flags.push(Flag::DiscardChanges(workspace.into()));
        }
        if !has_reason {
            flags.push(Flag::Reason);
        }
        if flags.is_empty() {
            return None;
        }
        let why = match self {
            Self::Changes(paths) => words::would_be_lost(paths),
            Self::Unknown(reason) => words::unchecked(reason),
        };
        let needs = if is_named { "; `--discard-changes` needs `--reason` too" } else { "" };
        let guard = Guard::UncommittedChanges;
        Some(Held { guard, message: format!("guard `{}`: {why}{needs}", guard.as_str()), flags })
    }

    /// What the plan says of a loss that flags accept.
    pub(crate) fn accepted(&self) -> String {
        match self {
            Self::Changes(paths) => words::discards(paths),
            Self::Unknown(reason) => words::discards_unseen(reason),
        }
    }
}

/// Whether a workspace resets its code to its deploy branch whenever it starts.
pub(crate) fn resets_at_start(observed: &ObservedWorkspace) -> bool {
    observed.fields.iter().any(|field| field.path == sync_on_start())
}

fn sync_on_start() -> FieldPath {
    FieldPath::key("env").child(SYNC_ON_START)
}

impl Place<'_> {
    /// What a step of this workspace would lose.
    pub(crate) fn loss(&self, step: &Step, observed: &ObservedWorkspace) -> Option<Loss> {
        let resets = resets_at_start(observed);
        let begins_to_reset = !resets && self.workspace.field(sync_on_start().as_str()).is_some();
        let follows = self.workspace.code.as_ref().is_some_and(|code| code.follows.is_some());
        match step.action {
            Action::Create | Action::Adopt | Action::Forget => None,
            Action::Deploy => self.lost_by_deploy(observed),
            Action::Delete | Action::Replace => Loss::of(&observed.code.work),
            // The first start afterwards resets the code.
            Action::Update if begins_to_reset => self.lost_at_start(observed),
            Action::Update if step.restarts == Restarts::No => None,
            Action::Update | Action::Restart | Action::Stop | Action::Start => {
                (resets || follows).then(|| self.lost_at_start(observed)).flatten()
            }
        }
    }

    /// What a deploy of the declared commit would lose.
    pub(crate) fn lost_by_deploy(&self, observed: &ObservedWorkspace) -> Option<Loss> {
        // A stopped workspace resets its code when it starts, to whatever commit.
        if observed.state == RunState::Stopped && resets_at_start(observed) {
            return None;
        }
        let loss = self.lost_at_reset(observed);
        let not_read = || Loss::Unknown(Text::new_static(NOT_READ));
        loss.or_else(|| (observed.code.work == Work::NotRead).then(not_read))
    }

    /// What the next start would lose, if this engine resets code there.
    fn lost_at_start(&self, observed: &ObservedWorkspace) -> Option<Loss> {
        if self.capabilities().starts_from_branch { self.lost_at_reset(observed) } else { None }
    }

    /// Uncommitted changes, and a commit that is neither ours nor in the repository.
    fn lost_at_reset(&self, observed: &ObservedWorkspace) -> Option<Loss> {
        let mut paths = match Loss::of(&observed.code.work) {
            Some(Loss::Changes(paths)) => paths,
            None => Vec::new(),
            unknown => return unknown,
        };
        let declared = self.workspace.code.as_ref();
        let declared = declared.and_then(|declared| Some((declared, declared.commit.as_ref().ok()?)));
        if let Some((declared, to)) = declared {
            let change = CodeChange {
                declared,
                to,
                observed: &observed.code,
                source_before: None,
                reason: Reason::Declared,
            };
            paths.splice(..0, self.unpushed(&change, observed));
        }
        (!paths.is_empty()).then_some(Loss::Changes(paths))
    }

    /// The commit that runs, if a sync would leave no way back to it.
    fn unpushed(&self, change: &CodeChange<'_>, observed: &ObservedWorkspace) -> Option<Text> {
        let CodeChange { declared, to, observed: code, source_before: _, reason: _ } = change;
        let from = code.commit.as_ref().filter(|from| declared.follows.is_some() && from != to)?;
        let last = observed.mark.as_ref().and_then(|mark| mark.applied.get(&code_path()));
        let is_ours = last == Some(&code_digest(from));
        let is_lost = !is_ours && self.movement(declared, Some(from), to).is_none();
        is_lost.then(|| format!("commit {}", words::short(from)).into())
    }
}
