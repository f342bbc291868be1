//! The digest of a plan: what was decided, and nothing of when, where and in which words.
//!
//! The digest is the SHA-256 of the decisions in one unambiguous form, which `magus-check` describes and computes a second
//! time from its own code. Nothing here can fail: there is no value of which a plan has no digest.

use magus_model::{
    Text,
    observed::MissingPart,
    plan::{
        Deploy, DeployBranch, FieldChange, FieldStatus, Overrides, Plan, Precondition, Refused, Restarts,
        Source, Step, Withheld,
    },
    source::{Deployment, ProjectSource},
    value::{FieldValue, Value},
};
use sha2::{Digest as _, Sha256};

/// The version of the form that is hashed.
const FORM: &str = "magus plan 3";

/// `sha256:…` over steps without their origins and words, withheld steps, preconditions, overrides and assumed commits. It
/// is worked out from the content; the digest that a plan carries is not looked at.
pub fn digest(plan: &Plan) -> Text {
    let Plan {
        format_version,
        steps,
        withheld,
        refused,
        overrides,
        assumed,
        magus_version: _,
        clusters: _,
        source: from,
        created_at: _,
        digest: _,
        has_changes: _,
        summary: _,
        unmanaged: _,
        unknown: _,
        heads: _,
        orphans: _,
        diagnostics: _,
        since: _,
        incomplete: _,
        marks: _,
    } = plan;
    let mut form = Vec::new();
    text(&mut form, FORM);
    text(&mut form, &format_version.to_string());
    length(&mut form, steps.len());
    steps.iter().for_each(|one| step(&mut form, one, from));
    length(&mut form, withheld.len());
    withheld.iter().for_each(|one| held(&mut form, one));
    length(&mut form, refused.len());
    for Refused { cluster, guard, message: _, unblock: _ } in refused {
        text(&mut form, cluster);
        text(&mut form, guard.as_str());
    }
    let given = given(overrides);
    length(&mut form, given.len());
    for (name, values) in given {
        text(&mut form, name);
        texts(&mut form, values);
    }
    length(&mut form, assumed.len());
    for (branch, commit) in assumed {
        text(&mut form, branch);
        text(&mut form, commit);
    }
    let mut digest = String::from("sha256:");
    for byte in Sha256::digest(&form) {
        digest.push_str(&format!("{byte:02x}"));
    }
    digest.into()
}

fn text(form: &mut Vec<u8>, text: &str) {
    form.extend_from_slice(text.len().to_string().as_bytes());
    form.push(b':');
    form.extend_from_slice(text.as_bytes());
    form.push(b',');
}

fn length(form: &mut Vec<u8>, length: usize) {
    text(form, &length.to_string());
}

fn texts(form: &mut Vec<u8>, all: &[Text]) {
    length(form, all.len());
    all.iter().for_each(|one| text(form, one));
}

fn optional<T>(form: &mut Vec<u8>, value: &Option<T>, write: impl FnOnce(&mut Vec<u8>, &T)) {
    length(form, usize::from(value.is_some()));
    if let Some(value) = value {
        write(form, value);
    }
}

fn optional_text(form: &mut Vec<u8>, value: &Option<Text>) {
    optional(form, value, |form, value| text(form, value));
}

fn step(form: &mut Vec<u8>, step: &Step, from: &Source) {
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
        deploy: deployed,
        renamed_from,
        mark: _,
    } = step;
    let restarts = match restarts {
        Restarts::Yes => "true",
        Restarts::No => "false",
        Restarts::Unknown => "unknown",
    };
    for word in [id, cluster, environment, workspace.as_str(), action.as_str(), restarts] {
        text(form, word);
    }
    texts(form, needs);
    match precondition {
        Precondition::Absent => text(form, "absent"),
        Precondition::Revision(revision) => {
            ["revision", revision].into_iter().for_each(|word| text(form, word))
        }
        Precondition::Follows(before) => ["follows", before].into_iter().for_each(|word| text(form, word)),
    }
    length(form, fields.len());
    fields.iter().for_each(|one| field(form, one, from));
    length(form, restores.len());
    for MissingPart { kind, name, by_hand } in restores {
        text(form, kind.as_str());
        text(form, name);
        optional_text(form, by_hand);
    }
    optional(form, deployed, deploy);
    optional(form, renamed_from, |form, name| text(form, name.as_str()));
}

fn field(form: &mut Vec<u8>, field: &FieldChange, from: &Source) {
    let is_unsealed = field.unshown().is_some() && field.sealed.is_none();
    let FieldChange { path, before: _, after: _, sensitive, status, reason, sealed, origin: _, read_by: _ } =
        field;
    text(form, path.as_str());
    // A digest of a value that may be secret could be tried against a list of words.
    for side in [field.before_shown(), field.after_shown()] {
        optional(form, &side, |form, side| match &**side {
            FieldValue::Plain(plain) => value(form, plain),
            FieldValue::Secret(reference) => value(form, &reference.to_value()),
        });
    }
    text(form, if *sensitive { "true" } else { "false" });
    text(
        form,
        match status {
            FieldStatus::Change => "change",
            FieldStatus::Unverifiable => "unverifiable",
        },
    );
    text(form, reason.as_str());
    optional_text(form, sealed);
    // The commit of the declarations stands for a value that nothing else says anything about.
    optional(form, &is_unsealed.then_some(from), |form, Source { path: _, revision, dirty }| {
        optional_text(form, revision);
        text(form, if *dirty { "true" } else { "false" });
    });
}

/// What lies between two commits follows from them.
fn deploy(form: &mut Vec<u8>, deploy: &Deploy) {
    let Deploy { branch, from, to, source: after, source_before, reason, follows, movement: _ } = deploy;
    text(form, branch);
    optional_text(form, from);
    text(form, to);
    source(form, after);
    optional(form, source_before, source);
    text(form, reason.as_str());
    optional(form, follows, |form, DeployBranch { name, from }| {
        text(form, name);
        optional_text(form, from);
    });
}

fn source(form: &mut Vec<u8>, source: &ProjectSource) {
    let ProjectSource { repository, directory, deployment } = source;
    text(form, repository);
    text(form, directory);
    optional(form, deployment, |form, deployment| {
        let Deployment { setting, branch, environment, target_directory } = deployment;
        [setting, branch, environment].into_iter().for_each(|word| text(form, word));
        optional_text(form, target_directory);
    });
}

fn held(form: &mut Vec<u8>, held: &Withheld) {
    let Withheld { cluster, environment, workspace, action, guard, message: _, unblock: _, opens_at: _ } =
        held;
    for word in [cluster, environment, workspace.as_str(), action.as_str(), guard.as_str()] {
        text(form, word);
    }
}

fn value(form: &mut Vec<u8>, plain: &Value) {
    let scalar = |form: &mut Vec<u8>, kind: &str, content: &str| {
        text(form, kind);
        text(form, content);
    };
    match plain {
        Value::Null => text(form, "null"),
        Value::Bool(value) => scalar(form, "bool", if *value { "true" } else { "false" }),
        Value::Int(number) => scalar(form, "int", &number.to_string()),
        Value::Float(number) => scalar(form, "float", &number.to_bits().to_string()),
        Value::String(content) => scalar(form, "string", content),
        Value::List(items) => {
            scalar(form, "list", &items.len().to_string());
            items.iter().for_each(|item| value(form, item));
        }
        Value::Map(entries) => {
            scalar(form, "map", &entries.len().to_string());
            for (key, item) in entries {
                text(form, key);
                value(form, item);
            }
        }
    }
}

/// The overrides that are given, by name.
fn given(overrides: &Overrides) -> Vec<(&'static str, &[Text])> {
    let Overrides {
        allow_delete,
        allow_replace,
        allow_empty,
        max_deletes,
        refresh_secrets,
        override_gate,
        discard_changes,
        allow_unprotect,
        adopt,
        allow_older,
        reason,
    } = overrides;
    const YES: &[Text] = &[Text::new_static("true")];
    let mut given = vec![
        ("adopt", adopt.as_slice()),
        ("allow_delete", allow_delete.as_slice()),
        ("allow_empty", allow_empty.as_slice()),
        ("allow_older", if *allow_older { YES } else { &[] }),
        ("allow_replace", allow_replace.as_slice()),
        ("allow_unprotect", allow_unprotect.as_slice()),
        ("discard_changes", discard_changes.as_slice()),
        ("max_deletes", max_deletes.as_slice()),
        ("override_gate", override_gate.as_slice()),
        ("reason", reason.as_slice()),
        ("refresh_secrets", refresh_secrets.as_slice()),
    ];
    given.retain(|(_, values)| !values.is_empty());
    given
}
