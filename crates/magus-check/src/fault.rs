//! What can be wrong with a plan.

use magus_model::{
    Text,
    name::WorkspaceName,
    path::FieldPath,
    plan::{Precondition, Summary},
};

/// A fault of a plan. Steps are named by their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The plan has another format version than this Magus.
    FormatVersion {
        /// The version.
        found: u32,
    },
    /// The digest is not that of the content.
    Digest {
        /// The digest that the plan states.
        stated: Text,
        /// The digest of its content.
        computed: Text,
    },
    /// `has_changes` does not say whether there are steps.
    HasChanges,
    /// The summary does not say how many steps there are.
    Summary {
        /// The counts that the plan states.
        stated: Summary,
        /// The counts of its content.
        counted: Summary,
    },
    /// A step has another id than its content has.
    StepId {
        /// The id that the step states.
        step: Text,
        /// The id of its content.
        expected: Text,
    },
    /// Two steps have the same id.
    DuplicateStep(Text),
    /// A step needs one that does not come before it.
    MissingNeed {
        /// The step.
        step: Text,
        /// The step that it needs.
        need: Text,
    },
    /// A step needs one of another workspace.
    ForeignNeed {
        /// The step.
        step: Text,
        /// The step that it needs.
        need: Text,
    },
    /// The precondition does not fit the action or the step before.
    PreconditionMismatch {
        /// The step.
        step: Text,
        /// Its precondition.
        precondition: Precondition,
    },
    /// The steps are not in the order of promotion.
    Order,
    /// A step touches a workspace that may not be touched.
    Touches {
        /// The step.
        step: Text,
        /// The workspace.
        workspace: WorkspaceName,
        /// Why it may not be touched.
        why: Untouchable,
    },
    /// A mark would be set on a workspace that may not be touched.
    Marks {
        /// The workspace.
        workspace: WorkspaceName,
        /// Why it may not be touched.
        why: Untouchable,
    },
    /// The same action on the same workspace is a step and withheld.
    StepAndWithheld(Text),
    /// A step deletes or replaces in a protected environment without the flag and the reason that allow it.
    Unprotected {
        /// The step.
        step: Text,
        /// The environment.
        environment: Text,
    },
    /// A step creates a workspace again without the flag that allows it.
    RecreatesWithoutFlag(Text),
    /// A step is on a workspace that is managed by another `managed_by`.
    ManagedByOther {
        /// The step.
        step: Text,
        /// Who manages it.
        owner: Text,
    },
    /// A step deletes, replaces or forgets a workspace without a mark.
    WithoutMark(Text),
    /// A step changes an unmanaged workspace that `--adopt` does not name, or without a reason where one is needed.
    AdoptsWithoutFlag(Text),
    /// A step takes the protection of a workspace, or moves it out of its protected environment, without `--allow-unprotect`
    /// and a reason.
    LosesProtection {
        /// The step.
        step: Text,
        /// The environment that the workspace belonged to.
        environment: Text,
    },
    /// The fields of a step are not in order.
    FieldOrder(Text),
    /// A step sets fields whose action sets none.
    SetsFields(Text),
    /// A step deploys and does not say what, or says what and does not deploy.
    DeployMismatch(Text),
    /// A step deploys what runs.
    DeploysRunningCode(Text),
    /// A step does not say from which repository and directory it deploys.
    DeployWithoutSource(Text),
    /// An update changes nothing.
    ChangesNothing(Text),
    /// A secret is not marked as one.
    SecretNotSensitive {
        /// The step.
        step: Text,
        /// The field.
        path: FieldPath,
    },
    /// The value that a secret replaces is shown.
    ShowsReplacedSecret {
        /// The step.
        step: Text,
        /// The field.
        path: FieldPath,
    },
    /// An update sends a secret that is to be kept.
    SendsKeptSecret {
        /// The step.
        step: Text,
        /// The field.
        path: FieldPath,
    },
    /// A delete leaves a mark.
    MarkOnDelete(Text),
    /// A step is for a workspace that is not declared.
    UndeclaredWorkspace(Text),
    /// A step leaves the mark of another owner.
    ForeignMark(Text),
    /// A step names another environment than the declared one.
    ForeignEnvironment {
        /// The step.
        step: Text,
        /// The declared environment.
        declared: Text,
    },
    /// A step deploys another commit than the declared one.
    UndeclaredCommit(Text),
    /// A step deploys from another repository, directory or deployment than the declared one.
    UndeclaredSource(Text),
    /// A step deploys to a workspace that declares no code.
    UndeclaredCode(Text),
    /// The last step of a workspace leaves the mark of another workspace.
    MarkOfOther(Text),
    /// The last step of a workspace leaves a mark with another protection than the declared one.
    MarkProtection(Text),
    /// The last step of a workspace leaves a mark that does not remember the declared source of the code.
    MarkWithoutSource(Text),
    /// The last step of a workspace leaves a mark without a digest of a declared field.
    MarkWithoutDigest {
        /// The step.
        step: Text,
        /// The field.
        path: FieldPath,
    },
}

/// Why a workspace may not be touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Untouchable {
    /// Its state is unknown.
    Unknown,
    /// It is not managed by us.
    Unmanaged,
    /// It is in conflict with its declaration.
    Conflict,
}
