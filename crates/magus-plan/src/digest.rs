//! The digest of a plan: what was decided, and nothing of when, where and in which words.

use std::borrow::Cow;

use magus_model::{
    Text,
    name::WorkspaceName,
    observed::MissingPart,
    path::FieldPath,
    plan::{
        Action, Deploy, DeployBranch, FieldChange, FieldStatus, Guard, Overrides, Plan, Precondition, Reason,
        Restarts, Step, Withheld,
    },
    source::ProjectSource,
    value::FieldValue,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

#[derive(Serialize)]
struct Decisions<'a> {
    format_version: u32,
    steps: Vec<DecidedStep<'a>>,
    withheld: Vec<DecidedWithheld<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<(&'a Text, Guard)>,
    overrides: &'a Overrides,
}

#[derive(Serialize)]
struct DecidedStep<'a> {
    id: &'a Text,
    cluster: &'a Text,
    environment: &'a Text,
    workspace: &'a WorkspaceName,
    action: Action,
    restarts: Restarts,
    needs: &'a [Text],
    precondition: &'a Precondition,
    fields: Vec<DecidedField<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    restores: &'a Vec<MissingPart>,
    deploy: Option<DecidedDeploy<'a>>,
    renamed_from: &'a Option<WorkspaceName>,
}

#[derive(Serialize)]
struct DecidedDeploy<'a> {
    branch: &'a Text,
    from: &'a Option<Text>,
    to: &'a Text,
    source: &'a ProjectSource,
    source_before: &'a Option<ProjectSource>,
    reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    follows: Option<&'a DeployBranch>,
}

#[derive(Serialize)]
struct DecidedField<'a> {
    path: &'a FieldPath,
    before: Option<Cow<'a, FieldValue>>,
    after: Option<Cow<'a, FieldValue>>,
    sensitive: bool,
    status: FieldStatus,
    reason: Reason,
}

#[derive(Serialize)]
struct DecidedWithheld<'a> {
    cluster: &'a Text,
    environment: &'a Text,
    workspace: &'a WorkspaceName,
    action: Action,
    guard: Guard,
}

/// `sha256:…` over steps without their origins and words, withheld steps, preconditions and overrides. It is worked
/// out from the content; the digest that a plan carries is not looked at.
pub fn digest(plan: &Plan) -> Text {
    let decisions = Decisions {
        format_version: plan.format_version,
        steps: plan.steps.iter().map(decided_step).collect(),
        withheld: plan.withheld.iter().map(decided_withheld).collect(),
        refused: plan.refused.iter().map(|refused| (&refused.cluster, refused.guard)).collect(),
        overrides: &plan.overrides,
    };
    let mut hash = Hasher(Sha256::new());
    // Writing to a hash cannot fail, and there are no keys that are not text.
    if serde_json::to_writer(&mut hash, &decisions).is_err() {
        return Text::default();
    }
    let mut text = String::from("sha256:");
    for byte in hash.0.finalize() {
        text.push_str(&format!("{byte:02x}"));
    }
    text.into()
}

struct Hasher(Sha256);

impl std::io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn decided_step(step: &Step) -> DecidedStep<'_> {
    let Step {
        id,
        cluster,
        environment,
        workspace,
        action,
        reason: _,
        restarts,
        needs,
        precondition,
        fields,
        restores,
        deploy,
        renamed_from,
        mark: _,
    } = step;
    DecidedStep {
        id,
        cluster,
        environment,
        workspace,
        action: *action,
        restarts: *restarts,
        needs,
        precondition,
        fields: fields.iter().map(decided_field).collect(),
        restores,
        deploy: deploy.as_ref().map(decided_deploy),
        renamed_from,
    }
}

/// What lies between two commits follows from them.
fn decided_deploy(deploy: &Deploy) -> DecidedDeploy<'_> {
    let Deploy { branch, from, to, source, source_before, reason, follows, movement: _ } = deploy;
    DecidedDeploy { branch, from, to, source, source_before, reason: *reason, follows: follows.as_ref() }
}

fn decided_field(field: &FieldChange) -> DecidedField<'_> {
    let FieldChange { path, before: _, after: _, sensitive, status, reason, origin: _, read_by: _ } = field;
    // A digest of a value that may be secret could be tried against a list of words.
    let (before, after) = (field.before_shown(), field.after_shown());
    DecidedField { path, before, after, sensitive: *sensitive, status: *status, reason: *reason }
}

fn decided_withheld(withheld: &Withheld) -> DecidedWithheld<'_> {
    let Withheld { cluster, environment, workspace, action, guard, message: _, unblock: _, opens_at: _ } =
        withheld;
    DecidedWithheld { cluster, environment, workspace, action: *action, guard: *guard }
}
