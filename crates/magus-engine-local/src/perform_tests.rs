//! Every action against a real store.

use std::{fs, os::unix::fs::PermissionsExt};

use magus_model::observed::RunState;

use super::*;
use crate::testing::{Place, field, mark, name, now, perform, resolver, secret, shown, step, text};

fn number(value: i64) -> Option<FieldValue> {
    Some(FieldValue::Plain(Value::Int(value)))
}

#[test]
fn create_update_and_delete_are_observed() {
    let (place, secrets) = (Place::new(), resolver(&[]));
    let store = place.open();
    let fields = [
        ("state", text("stopped")),
        ("env.A", text("1")),
        ("env.B", text("it's $b\n")),
        ("container_config.image", text("mageai/mageai:0.9.80")),
        ("container_config.nodeSelector[\"kubernetes.io/os\"]", text("linux")),
        ("storage_request_size", number(10)),
    ];
    perform(&store, &step(Action::Create, "a", &fields), &secrets).expect("created");
    let seen = place.workspace("a").expect("it is there");
    assert_eq!((seen.state, seen.mark.as_ref()), (RunState::Stopped, Some(&mark("a"))));
    let paths: Vec<&str> = seen.fields.iter().map(|field| field.path.as_str()).collect();
    let mut expected: Vec<&str> =
        fields.iter().map(|(path, _)| *path).filter(|path| *path != "state").collect();
    expected.sort_unstable();
    assert_eq!(paths, expected);
    for (path, value) in &fields[1..] {
        assert_eq!(shown(&seen, path), value.as_ref().map(ToString::to_string), "{path}");
    }
    let env = place.env("a").expect("a .env file");
    let remark = "# B: bash reads this value, python-dotenv another one\n";
    assert!(env.ends_with(&format!("A=1\n{remark}B=\"it's \\$b\n\"\n")), "{env}");

    let changes = [("env.A", text("2")), ("env.B", None), ("container_config.image", None)];
    perform(&store, &now(&place, step(Action::Update, "a", &changes)), &secrets).expect("updated");
    let later = place.workspace("a").expect("it is there");
    assert_ne!(later.revision, seen.revision);
    assert_eq!(later.state, RunState::Stopped, "an update neither starts nor stops");
    assert_eq!((shown(&later, "env.A").as_deref(), shown(&later, "env.B")), (Some("2"), None));
    assert_eq!(
        shown(&later, "storage_request_size").as_deref(),
        Some("10"),
        "what the step does not name stays"
    );
    assert!(place.env("a").expect("a .env file").ends_with("changed here\nA=2\n"));

    perform(&store, &now(&place, step(Action::Delete, "a", &[])), &secrets).expect("deleted");
    assert_eq!(place.workspace("a"), None);
    assert!(!place.path().join("workspaces/a").exists());
    drop(store);
    assert_eq!(place.observe().present.len(), 0, "and so it stays");
}

#[test]
fn only_the_owner_may_read() {
    let (place, secrets) = (Place::new(), resolver(&[("K", "v")]));
    let store = place.open();
    perform(&store, &step(Action::Create, "a", &[("env.K", field(&secret("K")))]), &secrets)
        .expect("created");
    let mode =
        |path: &str| fs::metadata(place.path().join(path)).expect("it is there").permissions().mode() & 0o777;
    for (path, expected) in [
        ("", 0o700),
        ("magus.db", 0o600),
        ("magus.db-wal", 0o600),
        ("magus.lock", 0o600),
        ("workspaces", 0o700),
        ("workspaces/a", 0o700),
        ("workspaces/a/.env", 0o600),
        ("staging", 0o700),
    ] {
        assert_eq!(mode(path), expected, "{path}");
    }
}

#[test]
fn start_stop_restart_and_adopt() {
    let (place, secrets) = (Place::new(), resolver(&[]));
    let store = place.open();
    place.sql("INSERT INTO workspaces (name, record) VALUES ('a', '{\"env\": {\"A\": \"1\"}}')");
    let before = place.workspace("a").expect("it is there");
    assert_eq!((before.state, &before.mark), (RunState::Running, &None));
    perform(&store, &now(&place, step(Action::Adopt, "a", &[])), &secrets).expect("adopted");
    let adopted = place.workspace("a").expect("it is there");
    assert_eq!((adopted.mark.as_ref(), &adopted.fields), (Some(&mark("a")), &before.fields));
    assert_eq!(place.env("a"), None, "nothing but the mark was written");

    perform(&store, &now(&place, step(Action::Stop, "a", &[("state", text("stopped"))])), &secrets)
        .expect("stopped");
    assert_eq!(place.workspace("a").expect("there").state, RunState::Stopped);
    perform(&store, &now(&place, step(Action::Start, "a", &[])), &secrets).expect("started");
    assert_eq!(place.workspace("a").expect("there").state, RunState::Running);
    let restart = step(Action::Restart, "a", &[("restarted_at", text("2026-08-01T10:00:00Z"))]);
    perform(&store, &now(&place, restart), &secrets).expect("restarted");
    let seen = place.workspace("a").expect("there");
    assert_eq!(shown(&seen, "restarted_at").as_deref(), Some("2026-08-01T10:00:00Z"));
    let mut marked = step(Action::Restart, "a", &[]);
    marked.mark = None;
    perform(&store, &now(&place, marked), &secrets).expect("restarted");
    assert_eq!(place.workspace("a").expect("there").mark, Some(mark("a")), "a step without a mark leaves it");
}

#[test]
fn a_step_that_the_world_overtook_is_moved_and_changes_nothing() {
    let (place, secrets) = (Place::new(), resolver(&[]));
    let store = place.open();
    let create = step(Action::Create, "a", &[("env.A", text("1"))]);
    perform(&store, &create, &secrets).expect("created");
    let files = || (place.workspace("a"), place.env("a"));
    let before = files();
    let moved = |step: &Step| {
        let error = perform(&store, step, &secrets).expect_err("it moved");
        assert!(matches!(error, PerformError::Moved(_)), "{error:?}");
    };
    moved(&create);
    moved(&step(Action::Update, "a", &[("env.A", text("2"))]));
    moved(&step(Action::Update, "b", &[("env.A", text("2"))]));
    let update = now(&place, step(Action::Update, "a", &[("env.A", text("2"))]));
    let delete = now(&place, step(Action::Delete, "a", &[]));
    assert_eq!(files(), before);
    place.sql("UPDATE workspaces SET record = json_set(record, '$.env.X', 'drift')");
    moved(&update);
    moved(&delete);
    assert_eq!(place.env("a"), before.1);
    assert_eq!(fs::read_dir(place.path().join("staging")).expect("a folder").count(), 0);
}

#[test]
fn every_part_of_a_row_changes_its_revision() {
    let (place, secrets) = (Place::new(), resolver(&[]));
    let store = place.open();
    perform(&store, &step(Action::Create, "a", &[("env.A", text("1"))]), &secrets).expect("created");
    let mut seen = std::collections::BTreeSet::from([place.workspace("a").expect("there").revision]);
    for change in [
        "record = json_set(record, '$.env.A', '2')",
        "record = json_set(record, '$.state', 'failed')",
        "managed_by = 'other'",
        "environment = 'other'",
        "workspace = 'other'",
        "protected = 0",
        "applied = NULL",
        "managed_by = NULL",
    ] {
        place.sql(&format!("UPDATE workspaces SET {change}"));
        assert!(seen.insert(place.workspace("a").expect("there").revision), "{change}");
    }
}

/// The revision stands in plan files.
#[test]
fn a_revision_is_keyed_or_leaves_out_what_may_be_secret() {
    let (place, secrets) = (Place::new(), resolver(&[]));
    let store = place.open();
    let fields = [("env.DB_PASS", text("one")), ("env.LEVEL", text("a"))];
    perform(&store, &step(Action::Create, "a", &fields), &secrets).expect("created");
    let revision = || place.workspace("a").expect("there").revision;
    let set = |path: &str, value: &str| {
        place.sql(&format!("UPDATE workspaces SET record = json_set(record, '$.env.{path}', '{value}')"));
    };
    let keyed = revision();
    assert!(keyed.starts_with("hmac-sha256:"), "{keyed}");
    set("DB_PASS", "two");
    assert_ne!(revision(), keyed);
    place.sql("DELETE FROM keys");
    let plain = revision();
    set("DB_PASS", "one");
    assert_eq!(revision(), plain, "a list of words finds nothing");
    set("LEVEL", "b");
    assert_ne!(revision(), plain);
    drop(store);
    // A step that was planned without a key is done by a store that has one by then.
    let update = now(&place, step(Action::Update, "a", &[("env.LEVEL", text("c"))]));
    perform(&place.open(), &update, &secrets).expect("updated");
}

#[test]
fn steps_that_follow_steps_of_this_apply() {
    let (place, secrets) = (Place::new(), resolver(&[]));
    let store = place.open();
    let follows = |action, fields: &[(&str, Option<FieldValue>)]| {
        let mut step = step(action, "a", fields);
        step.precondition = Precondition::Follows("acme/a/update".into());
        step
    };
    let error = perform(&store, &follows(Action::Start, &[]), &secrets).expect_err("it follows nothing");
    assert!(matches!(error, PerformError::Moved(_)));
    perform(&store, &step(Action::Create, "a", &[]), &secrets).expect("created");
    perform(&store, &follows(Action::Stop, &[]), &secrets).expect("stopped");
    perform(&store, &follows(Action::Start, &[]), &secrets).expect("started");
    place.sql("UPDATE workspaces SET record = json_set(record, '$.env.X', 'drift')");
    let error = perform(&store, &follows(Action::Stop, &[]), &secrets).expect_err("somebody came between");
    assert!(matches!(error, PerformError::Moved(_)));
}

#[test]
fn a_rename_keeps_everything() {
    let (place, secrets) = (Place::new(), resolver(&[("K", "canary")]));
    let store = place.open();
    let fields = [("env.A", text("1")), ("env.K", field(&secret("K"))), ("env.P", text("p"))];
    perform(&store, &step(Action::Create, "old", &fields), &secrets).expect("created");
    fs::write(place.path().join("workspaces/old/notes"), "kept").expect("written");
    let rename = |from: &str, to: &str, fields: &[(&str, Option<FieldValue>)]| {
        let mut step = step(Action::Update, to, fields);
        step.renamed_from = Some(name(from));
        now(&place, step)
    };
    // The value can no longer be resolved, so that it has to come along.
    let secrets = resolver(&[]);
    perform(&store, &rename("old", "new", &[("env.A", text("2"))]), &secrets).expect("renamed");
    assert_eq!(place.workspace("old"), None);
    assert!(!place.path().join("workspaces/old").exists());
    assert!(place.env("new").expect("a .env file").ends_with("A=2\nK=canary\nP=p\n"));
    assert!(place.path().join("workspaces/new/notes").exists());
    perform(&store, &rename("new", "newer", &[]), &secrets).expect("renamed without a change");
    assert!(place.env("newer").expect("a .env file").contains("K=canary"));
    let known = [(FieldPath::from("env.K"), secret("K"))];
    let changed =
        store.secret_changes(&name("newer"), &known, &resolver(&[("K", "other")])).expect("resolved");
    assert_eq!(changed.len(), 1, "the fingerprint came along");

    perform(&store, &step(Action::Create, "other", &[]), &secrets).expect("created");
    let error = perform(&store, &rename("newer", "other", &[]), &secrets).expect_err("the name is taken");
    assert!(matches!(error, PerformError::Moved(_)));
    fs::create_dir(place.path().join("workspaces/orphan")).expect("made");
    let error = perform(&store, &rename("newer", "orphan", &[]), &secrets).expect_err("the folder is taken");
    assert!(error.message().contains("move it away"), "{error}");
    assert!(place.env("newer").is_some());
}

#[test]
fn a_replacement_takes_over_what_it_does_not_name() {
    let (place, secrets) = (Place::new(), resolver(&[("K", "canary")]));
    let store = place.open();
    let fields = [("env.K", field(&secret("K"))), ("storage_class_name", text("slow"))];
    perform(&store, &step(Action::Create, "a", &fields), &secrets).expect("created");
    let replace = step(Action::Replace, "a", &[("storage_class_name", text("fast"))]);
    perform(&store, &now(&place, replace), &secrets).expect("replaced");
    let seen = place.workspace("a").expect("it is there");
    assert_eq!(shown(&seen, "storage_class_name").as_deref(), Some("fast"));
    assert!(place.env("a").expect("a .env file").contains("K=canary"));
}

#[test]
fn marks_are_refreshed_alone() {
    let (place, secrets) = (Place::new(), resolver(&[]));
    let store = place.open();
    perform(&store, &step(Action::Create, "a", &[("env.A", text("1"))]), &secrets).expect("created");
    let before = place.workspace("a").expect("there");
    let other = magus_model::observed::Mark { protected: false, ..mark("a") };
    let refresh = |revision| MarkRefresh {
        cluster: "acme".into(),
        workspace: name("a"),
        revision,
        mark: other.clone(),
    };
    store.refresh_mark(&refresh(before.revision.clone())).expect("refreshed");
    let seen = place.workspace("a").expect("there");
    assert_eq!((seen.mark.as_ref(), &seen.fields), (Some(&other), &before.fields));
    let error = store.refresh_mark(&refresh(before.revision)).expect_err("it moved");
    assert!(matches!(error, PerformError::Moved(_)));
}

#[test]
fn what_no_store_can_hold_is_refused_before_anything_is_written() {
    let (place, secrets) = (Place::new(), resolver(&[]));
    let store = place.open();
    for (workspace, path, value) in [
        ("../evil", "env.A", text("1")),
        ("a/b", "env.A", text("1")),
        ("a", "env[\"A=1\\nB\"]", text("1")),
        ("a", "env.A", text("\0")),
        ("a", "env[\"\"]", text("1")),
        ("a", "env.A", Some(FieldValue::Plain(Value::Float(f64::NAN)))),
        ("a", "env..A", text("1")),
    ] {
        let error = perform(&store, &step(Action::Create, workspace, &[(path, value)]), &secrets);
        assert!(matches!(error, Err(PerformError::Failed(_))), "{workspace} {path}: {error:?}");
    }
    let both = [("env.MAGE_SECRET_x", text("1")), ("secrets.x", text("1"))];
    let error =
        perform(&store, &step(Action::Create, "a", &both), &secrets).expect_err("the same name twice");
    assert!(error.message().contains("same name"), "{error}");
    assert_eq!(place.observe().present.len(), 0);
    assert!(!place.folder.path().join("evil").exists() && !place.path().join("evil").exists());
}

#[test]
fn events_say_what_was_done_and_what_was_not() {
    let (place, secrets) = (Place::new(), resolver(&[]));
    let store = place.open();
    let create = step(Action::Create, "a", &[]);
    perform(&store, &create, &secrets).expect("created");
    perform(&store, &create, &secrets).expect_err("it is there");
    let connection = store.connection();
    let mut statement =
        connection.prepare("SELECT at, workspace, action, outcome, actor FROM events").expect("SQL");
    let rows = statement.query_map([], |row| {
        Ok(format!(
            "{} {} {} {} {}",
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, String>(3)?,
            row.get::<_, String>(4)?
        ))
    });
    let events: Vec<String> = rows.expect("rows").map(|row| row.expect("a row")).collect();
    assert_eq!(
        events,
        ["1970-01-01T00:00:00Z a create applied ana", "1970-01-01T00:00:00Z a create moved ana"]
    );
}

#[test]
fn many_threads_perform_at_once_while_others_read() {
    let (place, secrets) = (Place::new(), resolver(&[("K", "canary")]));
    let store = place.open();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, secrets) = (&store, &secrets);
            scope.spawn(move || {
                for at in 0..25 {
                    let fields = [("env.A", text("1")), ("env.K", field(&secret("K")))];
                    let create = step(Action::Create, &format!("w{thread}-{at}"), &fields);
                    perform(store, &create, secrets).expect("created");
                }
            });
        }
        scope.spawn(|| {
            let mut most = 0;
            while most < 100 {
                let seen = place.observe();
                assert!(
                    seen.unknown.is_empty() && seen.present.len() >= most,
                    "workspaces do not come and go"
                );
                most = seen.present.len();
            }
        });
    });
    drop(store);
    assert_eq!(place.observe().present.len(), 100);
    assert!(
        (0..4).all(|thread| place.env(&format!("w{thread}-24")).is_some_and(|env| env.contains("K=canary")))
    );
}

#[test]
fn variables_that_refer_to_others_are_expanded_in_the_file() {
    let place = Place::new();
    let store = place.open();
    let fields = [
        ("env.A_URL", text("x://$(USER):$(KEY)@h?q=$$(USER)$(GONE)")),
        ("env.KEY", field(&secret("K"))),
        ("env.USER", text("ana")),
    ];
    let secrets = resolver(&[("K", "a$(USER)")]);
    perform(&store, &step(Action::Create, "a", &fields), &secrets).expect("created");
    let env = place.env("a").expect("a .env file");
    assert!(
        env.ends_with("A_URL='x://ana:a$(USER)@h?q=$(USER)$(GONE)'\nKEY='a$(USER)'\nUSER=ana\n"),
        "{env}"
    );
}
