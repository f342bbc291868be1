//! The digest of a plan, computed a second time.
//!
//! A digest is `sha256:` and the SHA-256, in hexadecimal, of a sequence of items. An item is the number of its bytes in
//! decimal, a colon, the bytes and a comma. The sequence is:
//!
//! - `magus plan 3`, and the format version;
//! - the number of steps, and for each its id, cluster, environment, workspace, action, restarts (`true`, `false`,
//!   `unknown`), needs, precondition, fields, restored parts (kind, name, by hand), deploy and old name;
//! - the number of withheld steps, and for each its cluster, environment, workspace, action and guard;
//! - the number of refusals of the whole plan, and for each its cluster and guard;
//! - the overrides that are given, and the branches for which a commit is assumed.
//!
//! A list is its length and its elements. What may be missing is a list of none or one. A precondition is its kind and,
//! unless it is `absent`, its text. A field is its path, before and after as they may be shown, `sensitive`, status, reason,
//! the keyed digest of an after that is not shown, and, where that has none, revision and `dirty` of the source. A deploy is its
//! branch, from, to, source, source before, reason and followed branch (name and from). A source is its repository,
//! directory and deployment (setting, branch, environment and target directory). An override is its name and the list of its
//! values, in the order of the names. A value is `null`, `bool`, `int`, `float`, `string`, `list` or `map`, and its content: a
//! word, a decimal number, the bits of a number in decimal, text, the elements, or the keys and values in the order of the keys.
//! A secret is the value of its reference.

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

/// The digest of the content of a plan.
pub(crate) fn of(plan: &Plan) -> String {
    let mut items = Items(Sha256::new());
    items.put("magus plan 3");
    items.put(&plan.format_version.to_string());
    items.each(&plan.steps, |items, step| items.step(step, &plan.source));
    items.each(&plan.withheld, Items::withheld);
    items.each(&plan.refused, |items, Refused { cluster, guard, message: _, unblock: _ }| {
        items.put(cluster);
        items.put(guard.as_str());
    });
    let overrides = overrides(&plan.overrides);
    items.each(&overrides, |items, (name, values)| {
        items.put(name);
        items.each(values, |items, value| items.put(value));
    });
    let assumed: Vec<_> = plan.assumed.iter().collect();
    items.each(&assumed, |items, (branch, commit)| {
        items.put(branch);
        items.put(commit);
    });
    let hex: String = items.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

struct Items(Sha256);

impl Items {
    fn put(&mut self, text: &str) {
        self.0.update(format!("{}:", text.len()));
        self.0.update(text);
        self.0.update(",");
    }

    fn each<T>(&mut self, list: &[T], mut put: impl FnMut(&mut Self, &T)) {
        self.put(&list.len().to_string());
        for element in list {
            put(self, element);
        }
    }

    fn maybe<T>(&mut self, value: Option<&T>, put: impl FnMut(&mut Self, &T)) {
        self.each(value.map_or(&[], std::slice::from_ref), put);
    }

    fn maybe_text(&mut self, text: Option<impl AsRef<str>>) {
        self.maybe(text.as_ref(), |items, text| items.put(text.as_ref()));
    }

    fn step(&mut self, step: &Step, source: &Source) {
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
        [id, cluster, environment].into_iter().for_each(|text| self.put(text));
        self.put(workspace.as_str());
        self.put(action.as_str());
        self.put(match restarts {
            Restarts::Yes => "true",
            Restarts::No => "false",
            Restarts::Unknown => "unknown",
        });
        self.each(needs, |items, need| items.put(need));
        match precondition {
            Precondition::Absent => self.put("absent"),
            Precondition::Revision(revision) => {
                self.put("revision");
                self.put(revision);
            }
            Precondition::Follows(step) => {
                self.put("follows");
                self.put(step);
            }
        }
        self.each(fields, |items, field| items.field(field, source));
        self.each(restores, |items, MissingPart { kind, name, by_hand }| {
            items.put(kind.as_str());
            items.put(name);
            items.maybe_text(by_hand.as_ref());
        });
        self.maybe(deploy.as_ref(), Self::deploy);
        self.maybe_text(renamed_from.as_ref().map(|name| name.as_str()));
    }

    fn field(&mut self, field: &FieldChange, source: &Source) {
        let FieldChange { path, before: _, after, sensitive, status, reason, sealed, origin: _, read_by: _ } =
            field;
        self.put(path.as_str());
        for value in [field.before_shown(), field.after_shown()] {
            self.maybe(value.as_ref(), |items, value| items.value(&to_value(value)));
        }
        self.put(if *sensitive { "true" } else { "false" });
        self.put(match status {
            FieldStatus::Change => "change",
            FieldStatus::Unverifiable => "unverifiable",
        });
        self.put(reason.as_str());
        self.maybe_text(sealed.as_ref());
        let is_hidden = *sensitive && matches!(after, Some(FieldValue::Plain(_)));
        let unsealed = (is_hidden && sealed.is_none()).then_some(source);
        self.maybe(unsealed, |items, Source { path: _, revision, dirty }| {
            items.maybe_text(revision.as_ref());
            items.put(if *dirty { "true" } else { "false" });
        });
    }

    fn deploy(&mut self, deploy: &Deploy) {
        let Deploy { branch, from, to, source, source_before, reason, follows, movement: _ } = deploy;
        self.put(branch);
        self.maybe_text(from.as_ref());
        self.put(to);
        self.source(source);
        self.maybe(source_before.as_ref(), Self::source);
        self.put(reason.as_str());
        self.maybe(follows.as_ref(), |items, DeployBranch { name, from }| {
            items.put(name);
            items.maybe_text(from.as_ref());
        });
    }

    fn source(&mut self, source: &ProjectSource) {
        let ProjectSource { repository, directory, deployment } = source;
        self.put(repository);
        self.put(directory);
        self.maybe(deployment.as_ref(), |items, deployment| {
            let Deployment { setting, branch, environment, target_directory } = deployment;
            items.put(setting);
            items.put(branch);
            items.put(environment);
            items.maybe_text(target_directory.as_ref());
        });
    }

    fn withheld(&mut self, withheld: &Withheld) {
        let Withheld { cluster, environment, workspace, action, guard, message: _, unblock: _, opens_at: _ } =
            withheld;
        self.put(cluster);
        self.put(environment);
        self.put(workspace.as_str());
        self.put(action.as_str());
        self.put(guard.as_str());
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.put("null"),
            Value::Bool(value) => {
                self.put("bool");
                self.put(if *value { "true" } else { "false" });
            }
            Value::Int(number) => {
                self.put("int");
                self.put(&number.to_string());
            }
            Value::Float(number) => {
                self.put("float");
                self.put(&number.to_bits().to_string());
            }
            Value::String(text) => {
                self.put("string");
                self.put(text);
            }
            Value::List(elements) => {
                self.put("list");
                self.each(elements, Self::value);
            }
            Value::Map(map) => {
                self.put("map");
                let entries: Vec<_> = map.iter().collect();
                self.each(&entries, |items, (key, value)| {
                    items.put(key);
                    items.value(value);
                });
            }
        }
    }
}

fn to_value(value: &FieldValue) -> Value {
    match value {
        FieldValue::Plain(value) => value.clone(),
        FieldValue::Secret(reference) => reference.to_value(),
    }
}

/// The overrides that are given, in the order of their names.
fn overrides(overrides: &Overrides) -> Vec<(&'static str, Vec<String>)> {
    let Overrides {
        allow_delete,
        allow_replace,
        allow_empty,
        max_deletes,
        refresh_secrets,
        override_gate,
        discard_changes,
        adopt,
        allow_unprotect,
        allow_older,
        reason,
    } = overrides;
    let all = |names: &[Text]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let one = |value: &Option<Text>| value.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut given = vec![
        ("adopt", all(adopt)),
        ("allow_older", allow_older.then(|| "true".to_owned()).into_iter().collect()),
        ("allow_unprotect", all(allow_unprotect)),
        ("allow_delete", all(allow_delete)),
        ("allow_empty", all(allow_empty)),
        ("allow_replace", all(allow_replace)),
        ("discard_changes", all(discard_changes)),
        ("max_deletes", one(max_deletes)),
        ("override_gate", all(override_gate)),
        ("reason", one(reason)),
        ("refresh_secrets", all(refresh_secrets)),
    ];
    given.retain(|(_, values)| !values.is_empty());
    given.sort_unstable();
    given
}
