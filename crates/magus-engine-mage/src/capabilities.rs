//! What can be done with workspaces through Mage's API, and how it treats their fields.

use std::collections::BTreeMap;

use magus_model::{
    desired::Edition,
    observed::{Capabilities, FieldCapability, Refusal},
    path::FieldPath,
    plan::Action,
    value::Value,
};

use crate::{
    api::InstanceType,
    container::{CONTAINER, ENV},
    item::{INGRESS, SET_AT_CREATION, STORAGE},
    secrets::SECRETS,
};

/// What a replace would cost: Mage gives the new workspace another `project_uuid`, and permissions are by it (MAGE.md 4.11).
const NO_REPLACE: Refusal = Refusal {
    reason: "deleting it and creating it again would lose the permissions that people have on it",
    instead: "delete it in Mage and run `magus apply`, or declare what it runs with; a volume alone can grow in place, where \
              `kubernetes` is declared beside the `url` of the server",
};

const READ_ONLY: Refusal = Refusal {
    reason: "this version of Magus only reads workspaces of this kind",
    instead: "change it in Mage",
};

/// What to do with a workspace that cannot be changed.
const MAKE_AGAIN: &str = "delete it in Mage and run `magus apply`, which makes it again";

/// Of workspaces on ECS and Cloud Run (`cluster_manager/workspace/ecs.py`, `cloud_run.py`).
const NEVER_CHANGED: Refusal = Refusal {
    reason: "Mage cannot change a workspace there once it is made, nor can it take a mark",
    instead: MAKE_AGAIN,
};

/// Of workspaces on Docker, where a mark would be the only change.
const NOT_ADOPTED: Refusal =
    Refusal { reason: "it is unknown whether a mark restarts a workspace on Docker", instead: MAKE_AGAIN };

/// Of a mark that would be removed there.
const NOT_FORGOTTEN: Refusal = Refusal {
    reason: "it is unknown whether removing a mark restarts a workspace on Docker",
    instead: "remove the line `# magus: …` from its container_config in Mage, when it may restart",
};

const ONLY_MADE: Refusal = Refusal {
    reason: "all that Mage can do on Cloud Run is to make a workspace",
    instead: "do it in Google's console",
};

/// What changes a workspace.
const CHANGES: &[Action] = &[
    Action::Adopt,
    Action::Create,
    Action::Replace,
    Action::Stop,
    Action::Update,
    Action::Deploy,
    Action::Start,
    Action::Restart,
    Action::Delete,
    Action::Forget,
];

/// What can be done with workspaces that run on this, by a server of this edition; `runs` where what runs is seen too.
pub(crate) fn capabilities(instances: Option<&InstanceType>, edition: Edition, runs: bool) -> Capabilities {
    let all = |refusal: Refusal, actions: &[Action]| actions.iter().map(|one| (*one, refusal)).collect();
    let never_changed: BTreeMap<_, _> =
        all(NEVER_CHANGED, &[Action::Adopt, Action::Replace, Action::Update, Action::Forget]);
    let refused = match instances {
        Some(InstanceType::Kubernetes) => all(NO_REPLACE, &[Action::Replace]),
        Some(InstanceType::Docker) => {
            let not_marked = [(Action::Adopt, NOT_ADOPTED), (Action::Forget, NOT_FORGOTTEN)];
            not_marked.into_iter().chain([(Action::Replace, NO_REPLACE)]).collect()
        }
        Some(InstanceType::Ecs) => never_changed,
        Some(InstanceType::CloudRun) => {
            let mut refused = never_changed;
            let only_made = [Action::Stop, Action::Start, Action::Restart, Action::Delete];
            refused.extend(only_made.map(|action| (action, ONLY_MADE)));
            refused
        }
        _ => all(READ_ONLY, CHANGES),
    };
    if instances.is_some_and(InstanceType::are_tasks) {
        return Capabilities {
            rename: false,
            deploys: false,
            starts_from_branch: false,
            fields: nothing(),
            defaults: BTreeMap::new(),
            refused,
        };
    }
    let mut fields = fields(edition);
    if instances == Some(&InstanceType::Docker) {
        fields.extend(not_on_docker());
    }
    if runs {
        // That of the main server, where none is declared (MAGE.md 4.5).
        let image = FieldPath::key(CONTAINER).child("image");
        fields.push((image, FieldCapability { chosen_by_server: true, ..FieldCapability::default() }));
        let storage = FieldPath::key(STORAGE);
        let volume =
            FieldCapability { create_only: true, grows: true, restarts: false, ..FieldCapability::default() };
        fields.retain(|(path, _)| *path != storage);
        fields.push((storage, volume));
    }
    // A workspace's own server fetches its code (`GIT_SYNC_ON_START`).
    let syncs = instances == Some(&InstanceType::Kubernetes);
    Capabilities {
        rename: false,
        deploys: syncs,
        starts_from_branch: syncs,
        fields,
        defaults: defaults(),
        refused,
    }
}

/// Every field, where none can be set.
fn nothing() -> Vec<(FieldPath, FieldCapability)> {
    let none =
        FieldCapability { settable: false, readable: false, restarts: false, ..FieldCapability::default() };
    let others = [CONTAINER, ENV, "lifecycle_config", "restarted_at", SECRETS];
    others.iter().chain(SET_AT_CREATION).map(|key| (FieldPath::key(key), none)).collect()
}

/// What Mage takes out of a text for Docker, and the fields that mean nothing there (MAGE.md 3, 6).
fn not_on_docker() -> impl Iterator<Item = (FieldPath, FieldCapability)> {
    let usual = FieldCapability::default();
    let none = FieldCapability { settable: false, chosen_by_server: true, ..usual };
    let container = FieldPath::key(CONTAINER);
    let known = ["image", "image_tag", "public_url", "volumes"].map(|key| (container.child(key), usual));
    let others =
        [CONTAINER, SECRETS].iter().chain(SET_AT_CREATION).map(move |key| (FieldPath::key(key), none));
    known.into_iter().chain(others)
}

fn fields(edition: Edition) -> Vec<(FieldPath, FieldCapability)> {
    let usual = FieldCapability::default();
    let fixed = FieldCapability { create_only: true, ..usual };
    let others = SET_AT_CREATION.iter().filter(|key| **key != INGRESS);
    let mut fields: Vec<_> = others.map(|key| (FieldPath::key(key), fixed)).collect();
    // Where its path is lost, it is given again without a restart.
    fields.push((FieldPath::key(INGRESS), FieldCapability { restarts: false, ..fixed }));
    // Whatever namespace the server runs in, unless one is declared.
    fields.push((FieldPath::key("namespace"), FieldCapability { chosen_by_server: true, ..fixed }));
    fields.push((
        FieldPath::key("lifecycle_config"),
        FieldCapability {
            // Pro's documentation has it in a patch (MAGE.md 6); open source answers 200 and ignores it (MAGE.md 3).
            create_only: edition == Edition::Oss,
            restarts: false,
            ..usual
        },
    ));
    // On the workspace's own server, where people make some too.
    let secret = FieldCapability { restarts: false, keeps_unmanaged: true, ..usual };
    fields.push((FieldPath::key(SECRETS), secret));
    // Mage knows no time of a restart: the mark remembers it.
    fields.push((FieldPath::key("restarted_at"), FieldCapability { readable: false, ..usual }));
    fields
}

/// What Mage fills in (`mage_ai/cluster_manager/config.py`). The defaults of storage and service account are those of the
/// main server's own environment, which nobody can see.
fn defaults() -> BTreeMap<FieldPath, Value> {
    let policy = FieldPath::key("lifecycle_config").child("termination_policy");
    BTreeMap::from([
        (policy.child("enable_auto_termination"), Value::Bool(false)),
        (policy.child("max_idle_seconds"), Value::Int(0)),
        (FieldPath::key("pvc_retention_policy"), Value::string("Retain")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fixed_depends_on_the_edition() {
        let of = |edition, path: &str| {
            let kubernetes = Some(&InstanceType::Kubernetes);
            capabilities(kubernetes, edition, true).of(&FieldPath::from(path))
        };
        let idle = "lifecycle_config.termination_policy.max_idle_seconds";
        assert!(of(Edition::Oss, idle).create_only && !of(Edition::Pro, idle).create_only);
        assert!(!of(Edition::Oss, idle).restarts);
        for edition in [Edition::Oss, Edition::Pro] {
            assert!(of(edition, "storage_request_size").create_only);
            let image = of(edition, "container_config.image");
            assert!(!image.create_only && image.readable && image.restarts && image.chosen_by_server);
            let namespace = of(edition, "namespace");
            assert!(namespace.create_only && namespace.chosen_by_server);
            assert!(!of(edition, "restarted_at").readable);
        }
    }

    #[test]
    fn what_can_be_done_depends_on_what_workspaces_run_on() {
        let refused = |instances: Option<&InstanceType>| -> Vec<Action> {
            capabilities(instances, Edition::Oss, false).refused.into_keys().collect()
        };
        assert_eq!(refused(Some(&InstanceType::Kubernetes)), [Action::Replace]);
        assert_eq!(refused(Some(&InstanceType::Docker)), [Action::Adopt, Action::Replace, Action::Forget]);
        let on_ecs = [Action::Adopt, Action::Replace, Action::Update, Action::Forget];
        assert_eq!(refused(Some(&InstanceType::Ecs)), on_ecs);
        assert_eq!(refused(Some(&InstanceType::CloudRun)).len(), 8);
        for other in [None, Some(&InstanceType::Other("emr".into()))] {
            assert_eq!(refused(other).len(), CHANGES.len());
        }
        for instances in [InstanceType::Kubernetes, InstanceType::Ecs, InstanceType::CloudRun] {
            let all = capabilities(Some(&instances), Edition::Oss, false);
            for path in
                ["env.A", "container_config.image", "storage_request_size", "secrets.a", "restarted_at"]
            {
                let settable = all.of(&FieldPath::from(path)).settable;
                assert_eq!(settable, instances == InstanceType::Kubernetes, "{path}");
            }
        }
        let docker = capabilities(Some(&InstanceType::Docker), Edition::Pro, false);
        let settable = |path: &str| docker.of(&FieldPath::from(path)).settable;
        for path in ["env.A", "container_config.image", "container_config.volumes[\"/a\"].bind", "state"] {
            assert!(settable(path), "{path}");
        }
        for path in ["container_config.resources.limits.cpu", "ingress_name", "secrets.a"] {
            assert!(!settable(path), "{path}");
        }
    }
}
