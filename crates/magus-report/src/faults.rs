//! The faults that the checker finds in a plan, as sentences.

use magus_check::{Fault, Untouchable};

/// A fault as a sentence, to be escaped before it is shown.
pub fn sentence(fault: &Fault) -> String {
    match fault {
        Fault::FormatVersion { found } => format!("the plan has format version {found}"),
        Fault::Digest { stated, computed } => {
            format!("the plan states the digest `{stated}`, and its content has `{computed}`")
        }
        Fault::HasChanges => "`has_changes` does not say whether there are steps".to_owned(),
        Fault::Summary { stated, counted } => {
            format!("the summary states {stated:?}, and the plan has {counted:?}")
        }
        Fault::StepId { step, expected } => format!("step `{step}` should have the id `{expected}`"),
        Fault::DuplicateStep(step) => format!("two steps have the id `{step}`"),
        Fault::MissingNeed { step, need } => {
            format!("step `{step}` needs `{need}`, which does not come before it")
        }
        Fault::ForeignNeed { step, need } => format!("step `{step}` needs `{need}` of another workspace"),
        Fault::PreconditionMismatch { step, precondition } => {
            format!("step `{step}` cannot have the precondition {precondition:?}")
        }
        Fault::Order => "the steps are not in the order of promotion".to_owned(),
        Fault::Touches { step, workspace, why } => {
            format!("step `{step}` touches `{workspace}`, which is {}", untouchable(*why))
        }
        Fault::Marks { workspace, why } => {
            format!("the plan sets the mark of `{workspace}`, which is {}", untouchable(*why))
        }
        Fault::StepAndWithheld(step) => format!("`{step}` is a step and withheld"),
        Fault::Unprotected { step, environment } => {
            format!("step `{step}` deletes or replaces in the protected environment `{environment}`")
        }
        Fault::RecreatesWithoutFlag(step) => {
            format!("step `{step}` creates a workspace again without `--allow-replace`")
        }
        Fault::ManagedByOther { step, owner } => {
            format!("step `{step}` is on a workspace that `{owner}` manages")
        }
        Fault::WithoutMark(step) => {
            format!("step `{step}` deletes, replaces or forgets a workspace without a mark")
        }
        Fault::AdoptsWithoutFlag(step) => {
            format!("step `{step}` changes an unmanaged workspace without `--adopt`")
        }
        Fault::LosesProtection { step, environment } => {
            format!("step `{step}` takes the protection of `{environment}` without `--allow-unprotect`")
        }
        Fault::FieldOrder(step) => format!("the fields of step `{step}` are not in order"),
        Fault::SetsFields(step) => format!("step `{step}` sets fields, which its action does not do"),
        Fault::DeployMismatch(step) => {
            format!("step `{step}` deploys without code, or has code and does not deploy")
        }
        Fault::DeploysRunningCode(step) => format!("step `{step}` deploys the code that runs"),
        Fault::DeployWithoutSource(step) => {
            format!("step `{step}` does not say from which repository and directory it deploys")
        }
        Fault::ChangesNothing(step) => format!("step `{step}` changes nothing"),
        Fault::SecretNotSensitive { step, path } => {
            format!("`{path}` of step `{step}` is a secret and is not marked as one")
        }
        Fault::ShowsReplacedSecret { step, path } => {
            format!("step `{step}` shows the value of `{path}` that a secret replaces")
        }
        Fault::SendsKeptSecret { step, path } => format!("step `{step}` sends the kept secret `{path}`"),
        Fault::MarkOnDelete(step) => format!("step `{step}` deletes and leaves a mark"),
        Fault::UndeclaredWorkspace(step) => format!("step `{step}` is for a workspace that is not declared"),
        Fault::ForeignMark(step) => format!("step `{step}` leaves the mark of another owner"),
        Fault::ForeignEnvironment { step, declared } => {
            format!("step `{step}` names another environment than the declared `{declared}`")
        }
        Fault::UndeclaredCommit(step) => {
            format!("step `{step}` deploys another commit than the declared one")
        }
        Fault::UndeclaredSource(step) => {
            format!("step `{step}` deploys from another source than the declared one")
        }
        Fault::UndeclaredCode(step) => format!("step `{step}` deploys to a workspace that declares no code"),
        Fault::MarkOfOther(step) => format!("step `{step}` leaves the mark of another workspace"),
        Fault::MarkProtection(step) => {
            format!("step `{step}` leaves a mark with another protection than the declared one")
        }
        Fault::MarkWithoutSource(step) => {
            format!("step `{step}` leaves a mark without the declared source of the code")
        }
        Fault::MarkWithoutDigest { step, path } => {
            format!("step `{step}` leaves a mark without a digest of `{path}`")
        }
    }
}

fn untouchable(why: Untouchable) -> &'static str {
    match why {
        Untouchable::Unknown => "unknown",
        Untouchable::Unmanaged => "unmanaged",
        Untouchable::Conflict => "in conflict with its declaration",
    }
}
