//! Secrets: those of steps, and those of workspaces that the plan leaves alone.

use magus_model::plan::{FieldChange, FieldStatus, Guard, Reason, Withheld};

use super::*;

const CANARY: &str = "canary-0a1b2c3d4e5f";

fn secret_change(reference: SecretReference) -> FieldChange {
    FieldChange {
        path: "env.API_KEY".into(),
        before: None,
        after: Some(FieldValue::from(reference)),
        sensitive: true,
        status: FieldStatus::Change,
        reason: Reason::Declared,
        origin: None,
        sealed: None,
        read_by: Vec::new(),
    }
}

/// A workspace in development and one in staging, both with the secret of the variable KEY.
fn scene(value: &'static str) -> Scene<'static> {
    let mut scene = Scene { variables: [("KEY", value)].into(), ..Scene::default() };
    with_secret(&mut scene.desired, 0, "a", from_env("KEY"));
    with_secret(&mut scene.desired, 1, "b", from_env("KEY"));
    scene
}

fn running(value: &str) -> Memory {
    let of = |name: &str| ((WorkspaceName::observed(name), FieldPath::from("env.API_KEY")), value.to_owned());
    Memory { running: [of("a"), of("b")].into(), ..Memory::default() }
}

#[test]
fn a_secret_that_does_not_resolve_fails_its_step_before_anything_is_sent() {
    let mut steps = updates(&["development/a", "development/b"]);
    steps[0].fields.push(secret_change(from_env("MISSING")));
    let engine = Memory::default();
    let (report, _) = Scene::default().run(&plan(steps), &engine);
    assert_eq!(outcomes(&report), [Outcome::Failed, Outcome::Applied]);
    assert!(message(&report, 0).contains("`env.API_KEY`") && message(&report, 0).contains("`MISSING`"));
    assert_eq!(*engine.asked.lock().unwrap(), ["acme/b/update"]);
}

#[test]
fn a_secret_that_is_kept_is_not_resolved() {
    let mut steps = updates(&["development/a"]);
    steps[0].fields.push(secret_change(SecretReference { keep: true, ..from_env("MISSING") }));
    let mut scene = Scene::default();
    with_secret(&mut scene.desired, 0, "b", SecretReference { keep: true, ..from_env("MISSING") });
    let (report, _) = scene.run(&plan(steps), &Memory::default());
    assert_eq!(outcomes(&report), [Outcome::Applied]);
    assert_eq!(report.notes, [""; 0]);
}

#[test]
fn a_value_that_changed_without_a_new_version_is_noted_and_not_sent() {
    let engine = running("old-value-of-it");
    let (report, _) = scene(CANARY).run(&plan(Vec::new()), &engine);
    assert_eq!(report.results, []);
    let note = |name: &str, environment: &str| {
        format!(
            "the value of the secret `env.API_KEY` changed without a new `version` and was not sent to `{name}`; \
             `--refresh-secrets {environment}` sends it"
        )
    };
    assert_eq!(report.notes, [note("a", "development"), note("b", "staging")]);
    assert!(!format!("{report:?}").contains(CANARY));

    let (report, _) = scene("old-value-of-it").run(&plan(Vec::new()), &running("old-value-of-it"));
    assert_eq!(report.notes, [""; 0]);
}

#[test]
fn where_secrets_are_refreshed_the_steps_are_told_so_and_nothing_is_compared() {
    let engine = running("old-value-of-it");
    let mut plan = plan(updates(&["staging/b"]));
    plan.overrides.refresh_secrets.push("staging".into());
    let (report, _) = scene(CANARY).run(&plan, &engine);
    assert_eq!(*engine.refreshing.lock().unwrap(), ["acme/b/update"]);
    assert_eq!(report.notes.len(), 1, "the other environment is only told of");
    assert!(report.notes[0].contains("`--refresh-secrets development`"));
}

#[test]
fn secrets_of_a_stage_that_was_not_reached_are_not_compared() {
    let plan = plan(updates(&["development/c"]));
    let engine =
        Memory { faults: [("acme/c/update".into(), Fault::Fails)].into(), ..running("old-value-of-it") };
    let (report, _) = scene(CANARY).run(&plan, &engine);
    assert_eq!(report.notes, [""; 0]);
}

#[test]
fn a_secret_that_cannot_be_compared_is_noted() {
    let mut scene = scene(CANARY);
    scene.variables.clear();
    let (report, _) = scene.run(&plan(Vec::new()), &running("x"));
    assert_eq!(report.notes.len(), 2, "once for each stage");
    assert!(report.notes[0].starts_with("whether a secret changed for `a` is not known: "));
}

#[test]
fn an_engine_that_cannot_compare_is_noted() {
    let engine =
        Memory { faults: [("compare/a".into(), Fault::Panics)].into(), ..running("old-value-of-it") };
    let (report, _) = scene("old-value-of-it").run(&plan(Vec::new()), &engine);
    let note =
        "whether the secrets of `a` changed is not known: the engine panicked, which is a fault of Magus";
    assert_eq!(report.notes, [note]);
}

#[test]
fn what_was_just_created_or_is_withheld_is_not_compared() {
    let mut plan = plan(vec![step("acme", "development", "a", Action::Create)]);
    plan.withheld.push(Withheld {
        cluster: "acme".into(),
        environment: "staging".into(),
        workspace: WorkspaceName::observed("b"),
        action: Action::Replace,
        guard: Guard::Protected,
        message: String::new(),
        unblock: String::new(),
        opens_at: None,
    });
    let (report, _) = scene(CANARY).run(&plan, &running("old-value-of-it"));
    assert_eq!(report.notes, [""; 0]);
}

#[test]
fn a_cluster_that_could_not_be_opened_is_not_compared() {
    let mut scene = scene(CANARY);
    scene.desired.clusters[0].name = "closed".into();
    let (report, _) = scene.run(&plan(Vec::new()), &running("old-value-of-it"));
    assert_eq!(report.notes, [""; 0]);
}

#[test]
fn values_do_not_leave_through_the_message_of_an_engine() {
    struct Leaks;
    impl Perform for Leaks {
        fn perform(&self, task: &Task<'_>) -> Result<(), PerformError> {
            let FieldValue::Secret(reference) = task.step.fields[0].after.as_ref().unwrap() else { panic!() };
            Err(PerformError::Failed(format!(
                "server said: {}",
                task.secrets.resolve(reference).unwrap().expose()
            )))
        }
        fn refresh_mark(&self, _: &MarkRefresh) -> Result<(), PerformError> {
            Ok(())
        }
        fn secret_changes(
            &self,
            _: &WorkspaceName,
            _: &[(FieldPath, SecretReference)],
            _: &Resolver,
        ) -> Result<Vec<FieldPath>, PerformError> {
            Ok(Vec::new())
        }
    }
    let mut steps = updates(&["development/a"]);
    steps[0].fields.push(secret_change(from_env("KEY")));
    let engine: &dyn Perform = &Leaks;
    let secrets = Resolver::new(PathBuf::from("/nowhere"), Box::new(|_| Some(CANARY.into())));
    let report = apply_plan(
        &plan(steps),
        &ApplyRequest {
            engines: &BTreeMap::from([("acme".into(), engine)]),
            desired: &desired(Rollout::default()),
            secrets: &secrets,
            repositories: &BTreeMap::new(),
            move_branch: &|_| Ok(()),
            selected: &|_, _| false,
            jobs: 1,
            may_go_on: &|| Ok(()),
            cancelled: &false.into(),
            clock: &|| Timestamp::UNIX_EPOCH,
            events: &|_| (),
        },
    );
    assert_eq!(message(&report, 0), "server said: ***");
}
