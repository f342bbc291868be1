//! Stores that are locked, damaged, foreign, newer, or left behind by an apply that was killed.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
};

use magus_engine::{EngineErrorKind, Perform};
use magus_model::{observed::ObservedWorkspace, plan::Action};

use super::*;
use crate::testing::{Place, field, mark, name, now, perform, resolver, secret, step, text};

/// A store with three workspaces, closed.
fn filled() -> Place {
    let place = Place::new();
    let (store, secrets) = (place.open(), resolver(&[("K", "canary")]));
    for workspace in ["a", "b", "c"] {
        let fields = [("env.A", text("old")), ("env.K", field(&secret("K")))];
        perform(&store, &step(Action::Create, workspace, &fields), &secrets).expect("created");
    }
    drop(store);
    place
}

#[test]
fn a_closed_store_is_one_file() {
    let place = filled();
    let files: Vec<String> = fs::read_dir(place.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|file| file.starts_with("magus."))
        .collect();
    assert_eq!(files.len(), 2, "{files:?}");
    assert_eq!(fs::read_to_string(place.path().join("magus.lock")).expect("the lock"), "", "nobody holds it");
}

#[test]
fn only_one_apply_at_a_time_and_the_other_learns_who() {
    let place = Place::new();
    let store = place.open();
    let error = place.try_open().expect_err("it is locked");
    let EngineErrorKind::Locked { holder } = &error.kind else { panic!("{error:?}") };
    let expected =
        format!("`magus apply` by ana@laptop, since 1970-01-01T00:00:00Z, process {}", std::process::id());
    assert_eq!(*holder, expected);
    let path = place.path();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || {
            Store::open(OpenRequest {
                path: &path,
                holder: Holder { actor: "ben".into(), host: "ci".into(), operation: "magus apply".into() },
                wait: Duration::from_secs(60),
                clock: Box::new(|| Timestamp::UNIX_EPOCH),
                reason: None,
            })
        });
        drop(store);
        waiting.join().expect("no panic").expect("the lock came free");
    });
}

#[test]
fn what_a_killed_holder_wrote_into_the_lock_keeps_nobody_out() {
    let place = filled();
    fs::write(place.path().join("magus.lock"), "`magus apply` by a ghost").expect("written");
    place.open();
}

/// Neither a plan nor an apply uses the store, both say the same, and no byte of it changes.
fn refused(place: &Place, kind: &EngineErrorKind, message: &str) {
    fs::write(place.path().join("magus.lock"), "").expect("written");
    let before = place.files();
    for error in [place.try_observe().expect_err("a plan"), place.try_open().map(drop).expect_err("an apply")]
    {
        assert_eq!(error.kind, *kind, "{error:?}");
        assert!(error.message.contains("magus.db` ") && error.message.contains(message), "{error:?}");
        assert!(error.help.is_some());
    }
    let mut after = place.files();
    after.retain(|path, _| !path.ends_with("magus.lock"));
    let mut before = before;
    before.retain(|path, _| !path.ends_with("magus.lock"));
    assert!(before == after, "the store is no longer as it was: {:?}", after.keys());
}

#[test]
fn damaged_databases_are_refused_and_left_alone() {
    let write = |bytes: &[u8]| {
        let place = filled();
        fs::write(place.path().join("magus.db"), bytes).expect("written");
        place
    };
    refused(&write(b""), &EngineErrorKind::Damaged, "");
    refused(&write(&[b'x'; 8192]), &EngineErrorKind::Damaged, "is not a database");
    refused(&write(b"short"), &EngineErrorKind::Damaged, "is not a database");
    let place = filled();
    let whole = fs::read(place.path().join("magus.db")).expect("the database");
    for length in [100, 4096, whole.len() - 4096, whole.len() - 1] {
        refused(&write(&whole[..length]), &EngineErrorKind::Damaged, "");
    }
    // Pages of zeroes in the middle: the header still looks good.
    let mut holes = whole.clone();
    holes[4096..].fill(0);
    refused(&write(&holes), &EngineErrorKind::Damaged, "is damaged");
}

#[test]
fn foreign_and_newer_databases_are_refused_and_left_alone() {
    let place = filled();
    place.sql("PRAGMA user_version = 99");
    refused(&place, &EngineErrorKind::NewerVersion, "was made by a newer Magus: its version is 99");
    let place = filled();
    place.sql("PRAGMA application_id = 1");
    refused(&place, &EngineErrorKind::Damaged, "another program");
    let place = filled();
    place.sql("DROP TABLE workspaces");
    let before = place.files();
    assert_eq!(place.try_observe().expect_err("no table").kind, EngineErrorKind::Damaged);
    assert!(before == place.files());
}

#[test]
fn a_store_whose_database_is_gone_is_not_empty() {
    let place = filled();
    fs::remove_file(place.path().join("magus.db")).expect("removed");
    refused(&place, &EngineErrorKind::Damaged, "is gone");
    assert!(place.env("a").is_some());
}

#[test]
fn an_older_store_becomes_a_current_one_with_all_that_it_holds() {
    let place = filled();
    let connection = || Connection::open(place.path().join("magus.db")).expect("a database");
    let version = || {
        connection().pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).expect("a number")
    };
    let current = schema::MIGRATIONS;
    assert_eq!(version(), current.len() as i64);
    let next = [current, &["ALTER TABLE workspaces ADD COLUMN note TEXT; UPDATE workspaces SET note = name"]]
        .concat();
    let broken = [next.clone(), vec!["CREATE TABLE extra (x); UPDATE nowhere SET x = 1"]].concat();
    schema::migrate(&mut connection(), &broken).expect_err("the last one fails");
    assert_eq!(version(), current.len() as i64, "all or nothing");
    schema::migrate(&mut connection(), &next).expect("migrated");
    schema::migrate(&mut connection(), &next).expect("nothing to do");
    assert_eq!(version(), next.len() as i64);
    let notes: String = connection()
        .query_row("SELECT group_concat(note) FROM (SELECT note FROM workspaces ORDER BY name)", [], |row| {
            row.get(0)
        })
        .expect("notes");
    assert_eq!(notes, "a,b,c");
    // Today's Magus refuses tomorrow's store.
    assert_eq!(place.try_observe().expect_err("newer").kind, EngineErrorKind::NewerVersion);
    // The columns that a plan reads are still where it looks for them.
    connection().pragma_update(None, "user_version", current.len() as i64).expect("set");
    assert_eq!(place.observe().present.len(), 3);
}

#[test]
fn a_database_that_was_not_finished_is_made_anew() {
    let place = Place::new();
    drop(place.open());
    for file in ["magus.db", "magus.db.new", "magus.db.new-wal"] {
        let _ = fs::remove_file(place.path().join(file));
        if file != "magus.db" {
            fs::write(place.path().join(file), "half").expect("written");
        }
    }
    assert_eq!(place.observe().present.len(), 0);
    drop(place.open());
    assert!(!place.path().join("magus.db.new-wal").exists());
}

/// The workspaces of a place without what is made at random for each: identities, and revisions, which are keyed.
fn nameless(place: &Place) -> BTreeMap<WorkspaceName, ObservedWorkspace> {
    let mut workspaces = place.observe().present;
    for workspace in workspaces.values_mut() {
        workspace.identity = None;
        workspace.revision = "".into();
    }
    workspaces
}

/// An apply that ends at every place where it can, followed by the next one.
#[test]
fn an_interrupted_step_leaves_the_old_or_the_new() {
    let secrets = resolver(&[("K", "canary"), ("L", "canary-two")]);
    let update: Vec<_> = vec![("env.A", text("new")), ("env.L", field(&secret("L")))];
    let mut rename = step(Action::Update, "z", &update);
    rename.renamed_from = Some(name("a"));
    for (kind, template) in [
        ("create", step(Action::Create, "n", &update)),
        ("update", step(Action::Update, "a", &update)),
        ("replace", step(Action::Replace, "a", &update)),
        ("rename", rename),
        ("delete", step(Action::Delete, "a", &[])),
    ] {
        for end in 0..4 {
            let place = filled();
            let state = || {
                let workspaces = nameless(&place);
                let envs: Vec<_> = ["a", "n", "z"].iter().map(|name| place.env(name)).collect();
                let staged = fs::read_dir(place.path().join("staging")).expect("a folder").count();
                (workspaces, envs, staged)
            };
            let old = state();
            let step = now(&place, template.clone());
            let task = magus_engine::Task::new(&step, &secrets);
            let new = {
                let place = filled();
                let step = now(&place, template.clone());
                place.open().perform(&magus_engine::Task { step: &step, ..task }).expect("done");
                let envs: Vec<_> = ["a", "n", "z"].iter().map(|name| place.env(name)).collect();
                (nameless(&place), envs, 0)
            };
            let store = place.open();
            let change = store.prepare(&task).expect("prepared");
            if end >= 1 {
                let intent = store.commit(&change).expect("committed").expect("something is left to do");
                if end == 2 {
                    // Half of what is to be done.
                    let half = Intent { staged: None, ..intent.clone() };
                    intents::fulfil(&store.folders, &half).expect("half done");
                }
                if end == 3 {
                    // Everything, but nobody wrote down that it is done.
                    intents::fulfil(&store.folders, &intent).expect("done");
                }
            }
            drop(store);
            drop(place.open());
            assert_eq!(state(), if end == 0 { old } else { new }, "{kind} ended at {end}");
            drop(place.open());
            let left: i64 = Connection::open(place.path().join("magus.db"))
                .and_then(|connection| {
                    connection.query_row("SELECT count(*) FROM intents", [], |row| row.get(0))
                })
                .expect("a number");
            assert_eq!(left, 0);
        }
    }
}

#[test]
fn a_folder_that_fails_is_uncertain_and_finished_by_the_next_apply() {
    let place = filled();
    let secrets = resolver(&[]);
    let store = place.open();
    // A folder in the place of the file: it cannot be replaced by one.
    let env = place.path().join("workspaces/a/.env");
    fs::rename(&env, place.path().join("saved")).expect("moved");
    fs::create_dir(&env).expect("made");
    fs::write(env.join("x"), "").expect("written");
    let step = now(&place, step(Action::Update, "a", &[("env.A", text("new")), ("env.K", None)]));
    let error = perform(&store, &step, &secrets).expect_err("it cannot be done");
    assert!(matches!(error, PerformError::Uncertain(_)), "{error:?}");
    drop(store);
    assert_eq!(place.try_open().map(drop).expect_err("it still cannot").kind, EngineErrorKind::Io);
    fs::remove_dir_all(&env).expect("removed");
    drop(place.open());
    assert!(place.env("a").expect("a .env file").ends_with("A=new\n"));
}

#[test]
fn a_full_stop_of_the_database_is_a_failure_and_leaves_nothing_staged() {
    let place = filled();
    let store = place.open();
    store.connection().busy_timeout(Duration::from_millis(50)).expect("set");
    let other = Connection::open(place.path().join("magus.db")).expect("a database");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked by another program");
    let step = now(&place, step(Action::Update, "a", &[("env.A", text("new"))]));
    let error = perform(&store, &step, &resolver(&[("K", "canary")])).expect_err("locked");
    assert!(matches!(&error, PerformError::Failed(message) if message.contains("locked")), "{error:?}");
    other.execute_batch("ROLLBACK").expect("released");
    assert_eq!(fs::read_dir(place.path().join("staging")).expect("a folder").count(), 0);
    assert!(place.env("a").expect("a .env file").contains("A=old"));
    perform(&store, &step, &resolver(&[])).expect("it goes on");
}

#[test]
fn a_store_that_cannot_be_made_says_where() {
    let place = Place::new();
    File::create(place.path()).expect("a file in the place of the folder");
    let error = place.try_open().expect_err("no folder");
    assert_eq!(error.kind, EngineErrorKind::Io);
    assert!(error.message.contains("a store"), "{error:?}");
    assert_eq!(place.try_observe().expect_err("no folder").kind, EngineErrorKind::Io);
}

#[test]
fn a_broken_record_is_unknown_and_the_others_are_read() {
    let place = filled();
    place.sql("UPDATE workspaces SET record = '{\"env\": oops' WHERE name = 'b'");
    let seen = place.observe();
    assert_eq!(seen.present.keys().map(WorkspaceName::as_str).collect::<Vec<_>>(), ["a", "c"]);
    assert!(seen.unknown[&name("b")].starts_with("its record is not valid"), "{:?}", seen.unknown);
    for (change, reason) in [
        ("applied = '{'", "its column `applied`"),
        ("applied = '[]'", "its column `applied`"),
        ("environment = NULL", "its column `environment`"),
    ] {
        let place = filled();
        place.sql(&format!("UPDATE workspaces SET {change} WHERE name = 'b'"));
        let seen = place.observe();
        assert!(seen.unknown[&name("b")].starts_with(reason), "{change}: {:?}", seen.unknown);
    }
    // Nothing is done to what cannot be read, but it can be deleted.
    let store = place.open();
    let mut update = step(Action::Update, "b", &[("env.A", text("new"))]);
    let row = row(&store.connection(), &name("b")).expect("read").expect("a row");
    update.precondition = magus_model::plan::Precondition::Revision(row.revision(Some(&store.key)));
    let error = perform(&store, &update, &resolver(&[])).expect_err("it cannot be read");
    assert!(matches!(error, PerformError::Failed(_)), "{error:?}");
    let delete = magus_model::plan::Step {
        precondition: update.precondition.clone(),
        ..step(Action::Delete, "b", &[])
    };
    perform(&store, &delete, &resolver(&[])).expect("deleted");
    assert_eq!(mark("a").workspace, "a");
}

#[test]
fn reading_leaves_no_trace() {
    let place = Place::new();
    assert_eq!(place.observe().present.len(), 0, "no store is an empty cluster");
    assert!(place.files().is_empty() && !place.path().exists(), "and stays none");
    let place = filled();
    let before = place.files();
    assert_eq!(place.observe().present.len(), 3);
    assert!(before == place.files());
}

#[test]
fn a_store_is_read_while_it_is_applied_to_and_after_the_apply_was_killed() {
    let place = filled();
    let store = place.open();
    perform(&store, &step(Action::Create, "d", &[]), &resolver(&[])).expect("created");
    let before: Vec<_> = place.files().into_keys().collect();
    assert_eq!(place.observe().present.len(), 4, "what is committed is seen");
    assert_eq!(before, place.files().into_keys().collect::<Vec<_>>());
    // As a killed apply leaves it: with its log, and with or without the index of it.
    let killed = Place::new();
    folders::make(&killed.path()).expect("made");
    for file in ["magus.db", "magus.db-wal", "magus.db-shm"] {
        fs::copy(place.path().join(file), killed.path().join(file)).expect("copied");
    }
    for file in ["magus.db-wal", "magus.db-shm"] {
        let before = killed.files();
        assert_eq!(killed.observe().present.len(), 4);
        assert!(before == killed.files(), "reading changed the store");
        let _ = file;
        let _ = fs::remove_file(killed.path().join("magus.db-shm"));
    }
    drop(killed.open());
    assert_eq!(killed.observe().present.len(), 4, "the next apply starts with what was committed");
    // A log whose end did not reach the disk loses that end, and nothing else.
    let torn = Place::new();
    folders::make(&torn.path()).expect("made");
    for file in ["magus.db", "magus.db-wal"] {
        fs::copy(place.path().join(file), torn.path().join(file)).expect("copied");
    }
    let log = OpenOptions::new().write(true).open(torn.path().join("magus.db-wal")).expect("the log");
    log.set_len(log.metadata().expect("its length").len() - 1000).expect("cut");
    assert_eq!(torn.observe().present.len(), 3);
    drop(torn.open());
    assert_eq!(torn.observe().present.len(), 3);
}

/// Root writes into any folder, whatever its mode; that nothing was made is then what shows that nothing had to be.
#[test]
fn a_store_on_a_medium_that_cannot_be_written_is_read() {
    use std::os::unix::fs::PermissionsExt;
    let place = filled();
    let modes = |mode: u32, file_mode: u32| {
        for file in ["magus.db", "magus.db-wal", "magus.db-shm"] {
            let _ = fs::set_permissions(place.path().join(file), fs::Permissions::from_mode(file_mode));
        }
        fs::set_permissions(place.path(), fs::Permissions::from_mode(mode)).expect("set");
    };
    let reads = |expected: usize, why: &str| {
        modes(0o500, 0o400);
        let before = place.files();
        assert_eq!(place.observe().present.len(), expected, "{why}");
        assert!(before == place.files(), "{why}");
        modes(0o700, 0o600);
    };
    reads(3, "a closed store");
    // The same with the log of an apply that was killed: its index can neither be made nor repaired in place.
    let other = filled();
    let store = other.open();
    perform(&store, &step(Action::Create, "d", &[]), &resolver(&[])).expect("created");
    for file in ["magus.db", "magus.db-wal"] {
        fs::copy(other.path().join(file), place.path().join(file)).expect("copied");
    }
    reads(4, "a log without its index");
    fs::copy(other.path().join("magus.db-shm"), place.path().join("magus.db-shm")).expect("copied");
    reads(4, "a log with an index");
    fs::write(place.path().join("magus.db-shm"), vec![0xa5; 32768]).expect("written");
    reads(4, "a log with an index that is nonsense");
}

#[test]
fn what_changes_between_preparation_and_commit_is_moved() {
    let (place, secrets) = (filled(), resolver(&[("K", "canary")]));
    let store = place.open();
    let update = now(&place, step(Action::Update, "a", &[("env.A", text("new"))]));
    let mut rename = now(&place, step(Action::Update, "b", &[]));
    (rename.workspace, rename.renamed_from) = (name("z"), Some(name("b")));
    let create = step(Action::Create, "n", &[]);
    let prepared = [&update, &rename, &create].map(|step| {
        let task = magus_engine::Task::new(step, &secrets);
        store.prepare(&task).expect("prepared")
    });
    place.sql(
        "UPDATE workspaces SET protected = 0 WHERE name = 'a';
         INSERT INTO workspaces (name, record) VALUES ('z', '{}'), ('n', '{}')",
    );
    let before = place.observe().present;
    for change in &prepared {
        let error = store.commit(change).expect_err("it moved");
        assert!(matches!(error, PerformError::Moved(_)), "{error:?}");
    }
    assert_eq!(place.observe().present, before);
}

#[test]
fn intents_are_forgotten_with_the_next_commit_and_at_the_end() {
    let (place, secrets) = (filled(), resolver(&[]));
    let count = || -> i64 {
        Connection::open(place.path().join("magus.db"))
            .and_then(|connection| connection.query_row("SELECT count(*) FROM intents", [], |row| row.get(0)))
            .expect("a number")
    };
    assert_eq!(count(), 0, "the apply before ended well");
    let store = place.open();
    for _ in 0..3 {
        perform(&store, &now(&place, step(Action::Delete, "a", &[])), &secrets).expect("deleted");
        perform(&store, &step(Action::Create, "a", &[]), &secrets).expect("created");
        assert_eq!(count(), 1, "an old one would remove what came after it");
    }
}

#[test]
fn a_store_that_changes_while_it_is_read_is_read_again() {
    let place = filled();
    let folders = Folders::new(&place.path());
    let runs = std::cell::Cell::new(0);
    let found = access::read(&folders, |connection| {
        let count: i64 = connection.query_row("SELECT count(*) FROM workspaces", [], |row| row.get(0))?;
        if runs.replace(runs.get() + 1) == 0 {
            place.sql("INSERT INTO workspaces (name, record) VALUES ('late', '{}')");
        }
        Ok(count)
    });
    assert_eq!((found.expect("read"), runs.get()), (Some(4), 2));
    // One that never rests is given up, and the message says why.
    let error = access::read(&folders, |_| {
        place.sql("UPDATE workspaces SET protected = NOT protected");
        Ok(())
    });
    assert!(error.expect_err("it never rests").message.contains("faster than it can be read"));
}
