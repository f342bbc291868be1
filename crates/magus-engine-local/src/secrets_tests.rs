//! Values of secrets: where they go, where they never go, and when they are sent.

use std::{fs, os::unix::fs::PermissionsExt};

use magus_engine::{Perform, PerformError, Task};
use magus_model::{
    Text,
    path::FieldPath,
    plan::{Action, Step},
    value::{FieldValue, SecretReference, SecretSource, Value},
};
use magus_secrets::Resolver;

use crate::{
    Store,
    testing::{Place, field, name, now, perform, resolver, secret, step, text},
};

const CANARIES: [&str; 4] = ["canary-from-env", "canary-from-file", "canary\nof two lines", "canary-of-mage"];

/// Performs an update as it is done under `--refresh-secrets`.
fn refresh(store: &Store, update: &Step, secrets: &Resolver) -> Result<(), PerformError> {
    store.perform(&Task { refresh_secrets: true, ..Task::new(update, secrets) })
}

fn secrets_of_every_kind(root: &std::path::Path, of_k: &'static str) -> Resolver {
    fs::write(root.join("token"), "canary-from-file\n").expect("written");
    Resolver::new(
        root.to_owned(),
        Box::new(move |name| match name {
            "K" => Some(of_k.into()),
            "M" => Some("canary-of-mage".into()),
            _ => None,
        }),
    )
}

fn fields_of_every_kind() -> Vec<(&'static str, Option<FieldValue>)> {
    let of = |source| field(&SecretReference { source, version: None, keep: false });
    let words = ["printf", "canary\\nof two lines"].map(Text::from).to_vec();
    let value_from =
        std::collections::BTreeMap::from([(Text::from("valueFrom"), Value::Map(Default::default()))]);
    vec![
        ("env.A", text("plain")),
        ("env.ENV", of(SecretSource::Env("K".into()))),
        ("env.FILE", of(SecretSource::File("token".into()))),
        ("env.COMMAND", of(SecretSource::Command { words, folder: "".into() })),
        ("env.KUBERNETES", Some(FieldValue::Plain(Value::Map(value_from)))),
        ("secrets.slack", of(SecretSource::Env("M".into()))),
    ]
}

#[test]
fn a_value_is_in_the_env_file_and_nowhere_else() {
    let (place, root) = (Place::new(), tempfile::TempDir::new().expect("a folder"));
    let secrets = secrets_of_every_kind(root.path(), "canary-from-env");
    let store = place.open();
    let create = step(Action::Create, "a", &fields_of_every_kind());
    perform(&store, &create, &secrets).expect("created");
    let env = place.env("a").expect("a .env file");
    let expected = "A=plain\nCOMMAND='canary\nof two lines'\nENV=canary-from-env\nFILE=canary-from-file\n\
                    # KUBERNETES comes from {\"valueFrom\":{}}\nMAGE_SECRET_slack=canary-of-mage\n";
    assert!(env.ends_with(expected), "{env}");
    // An update that fails after its secrets were resolved, one that works, and a refresh.
    let mut broken = now(&place, step(Action::Update, "a", &[("env[\"X\\nY\"]", text("1"))]));
    let error = perform(&store, &broken, &secrets).expect_err("no such variable");
    broken.fields = step(Action::Update, "a", &[("env.B", text("2"))]).fields;
    perform(&store, &broken, &secrets).expect("updated");
    let again = now(&place, step(Action::Update, "a", &[("env.ENV", field(&secret("K")))]));
    let rotated = secrets_of_every_kind(root.path(), "canary-rotated");
    refresh(&store, &again, &rotated).expect("refreshed");
    assert!(place.env("a").expect("a .env file").contains("ENV=canary-rotated\n"));

    let clean = |bytes: &[u8], place: &str| {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains("canary-") && !text.contains("of two lines\n"), "a value is in {place}");
    };
    let debug = format!(
        "{store:?} {error:?} {secrets:?} {:?}",
        store.prepare(&Task {
            refresh_secrets: true,
            ..Task::new(&now(&place, step(Action::Update, "a", &fields_of_every_kind())), &secrets)
        })
    );
    clean(debug.as_bytes(), "Debug");
    for file in fs::read_dir(place.path().join("staging")).expect("a folder") {
        let mode = fs::metadata(file.expect("an entry").path()).expect("its mode").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "a file on its way is as private as in its place");
    }
    assert!(place.path().join("magus.db-wal").metadata().expect("a log").len() > 0);
    for (path, bytes) in place.files() {
        if path.ends_with(".env") {
            assert_eq!(fs::metadata(&path).expect("its mode").permissions().mode() & 0o777, 0o600);
        } else if !path.parent().is_some_and(|folder| folder.ends_with("staging")) {
            clean(&bytes, &path.display().to_string());
        }
    }
    drop(store);
    drop(place.open());
    for (path, bytes) in place.files() {
        assert!(!path.parent().is_some_and(|folder| folder.ends_with("staging")), "nothing stays on its way");
        if !path.ends_with(".env") {
            clean(&bytes, &path.display().to_string());
        }
    }
    assert!(CANARIES.iter().all(|canary| secrets.redact(canary) == "***"));
}

#[test]
fn a_secret_that_cannot_be_resolved_fails_the_step_and_changes_nothing() {
    let place = Place::new();
    let store = place.open();
    let fields = [("env.A", text("1")), ("env.K", field(&secret("MISSING")))];
    let error = perform(&store, &step(Action::Create, "a", &fields), &resolver(&[])).expect_err("not set");
    let PerformError::Failed(message) = error else { panic!("{error:?}") };
    assert_eq!(
        message,
        "`env.K`: environment variable `MISSING` is not set; set it where `magus apply` runs"
    );
    assert_eq!((place.observe().present.len(), place.env("a")), (0, None));
}

#[test]
fn unchanged_secrets_are_carried_over_and_not_asked_for_again() {
    let place = Place::new();
    let store = place.open();
    let fields = [("env.A", text("1")), ("env.K", field(&secret("K"))), ("secrets.s", field(&secret("K")))];
    perform(&store, &step(Action::Create, "a", &fields), &resolver(&[("K", "it's \"one\" $1 \\ ü\r\n")]))
        .expect("created");
    let update = now(&place, step(Action::Update, "a", &[("env.A", text("2"))]));
    perform(&store, &update, &resolver(&[])).expect("updated");
    let env = place.env("a").expect("a .env file");
    let value = "\"it's \\\"one\\\" \\$1 \\\\ ü\r\n\"\n";
    let remark = |name: &str| format!("# {name}: bash reads this value, python-dotenv another one\n");
    let (of_k, of_s) = (remark("K"), remark("MAGE_SECRET_s"));
    assert!(env.ends_with(&format!("A=2\n{of_k}K={value}{of_s}MAGE_SECRET_s={value}")), "{env}");
    // Where the file is gone, the reference says where to get the value.
    fs::remove_file(place.path().join("workspaces/a/.env")).expect("removed");
    let update = now(&place, step(Action::Update, "a", &[("env.A", text("3"))]));
    perform(&store, &update, &resolver(&[])).expect_err("it is nowhere");
    perform(&store, &update, &resolver(&[("K", "again")])).expect("updated");
    assert!(place.env("a").expect("a .env file").ends_with("A=3\nK=again\nMAGE_SECRET_s=again\n"));
    // Where the file is none any more, nothing is guessed.
    fs::write(place.path().join("workspaces/a/.env"), "A=1\nK='canary").expect("written");
    let update = now(&place, step(Action::Update, "a", &[("env.A", text("4"))]));
    let error = perform(&store, &update, &resolver(&[("K", "again")])).expect_err("not a .env file");
    assert!(error.message().contains("line 2") && !error.message().contains("canary"), "{error}");
}

#[test]
fn kept_values_stay_and_come_from_their_source_where_there_is_none() {
    let place = Place::new();
    let store = place.open();
    let keep = SecretReference { keep: true, ..secret("K") };
    let create = step(Action::Create, "a", &[("env.K", field(&keep))]);
    let error = perform(&store, &create, &resolver(&[])).expect_err("no value anywhere");
    assert!(error.message().contains("`env.K`"), "{error}");
    let other = step(Action::Create, "b", &[("env.K", field(&keep))]);
    perform(&store, &other, &resolver(&[("K", "new")])).expect("created");
    assert!(place.env("b").expect("a .env file").ends_with("K=new\n"));
    perform(&store, &step(Action::Create, "a", &[("env.K", text("literal"))]), &resolver(&[]))
        .expect("created");
    let update = now(&place, step(Action::Update, "a", &[("env.K", field(&keep)), ("env.A", text("1"))]));
    refresh(&store, &update, &resolver(&[("K", "new")])).expect("updated");
    assert!(place.env("a").expect("a .env file").ends_with("A=1\nK=literal\n"));
    let known = [(FieldPath::from("env.K"), keep)];
    assert_eq!(store.secret_changes(&name("a"), &known, &resolver(&[])), Ok(vec![]), "never asked for");
}

#[test]
fn a_value_that_changed_without_a_new_version_is_noticed_and_sent_on_request() {
    let place = Place::new();
    let store = place.open();
    let versioned = SecretReference { version: Some(1), ..secret("L") };
    let fields =
        [("env.K", field(&secret("K"))), ("env.L", field(&versioned)), ("secrets.s", field(&secret("K")))];
    let before = resolver(&[("K", "one"), ("L", "same")]);
    let after = || resolver(&[("K", "two"), ("L", "same")]);
    perform(&store, &step(Action::Create, "a", &fields), &before).expect("created");
    let known: Vec<(FieldPath, SecretReference)> =
        [("env.K", secret("K")), ("env.L", versioned), ("secrets.s", secret("K"))]
            .map(|(path, reference)| (FieldPath::from(path), reference))
            .to_vec();
    let changes = |store: &Store, secrets: &Resolver| {
        let paths = store.secret_changes(&name("a"), &known, secrets).expect("resolved");
        paths.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(changes(&store, &before).is_empty());
    assert_eq!(changes(&store, &after()), ["env.K", "secrets.s"]);
    drop(store);
    let store = place.open();
    assert_eq!(changes(&store, &after()), ["env.K", "secrets.s"], "the key stays with the store");

    // Unrelated updates send nothing of it.
    let update = now(&place, step(Action::Update, "a", &[("env.A", text("1"))]));
    perform(&store, &update, &after()).expect("updated");
    assert!(place.env("a").expect("a .env file").contains("K=one\n"));
    let revision = place.workspace("a").expect("there").revision;
    // The same references once more, which is all that a refresh plans where nothing else changes.
    let again = now(&place, step(Action::Update, "a", &fields));
    refresh(&store, &again, &after()).expect("refreshed");
    assert!(place.env("a").expect("a .env file").ends_with("A=1\nK=two\nL=same\nMAGE_SECRET_s=two\n"));
    assert!(changes(&store, &after()).is_empty());
    assert_eq!(place.workspace("a").expect("there").revision, revision, "no difference for the next plan");

    // With an update that happens anyway, all at once.
    let third = resolver(&[("K", "three"), ("L", "same")]);
    assert_eq!(changes(&store, &third), ["env.K", "secrets.s"]);
    let update = now(&place, step(Action::Update, "a", &[("env.A", text("2"))]));
    refresh(&store, &update, &third).expect("updated");
    let env = place.env("a").expect("a .env file");
    assert!(env.ends_with("A=2\nK=three\nL=same\nMAGE_SECRET_s=three\n"), "{env}");
    assert!(changes(&store, &third).is_empty());
    let error = refresh(&store, &again, &after()).expect_err("it was planned for another state");
    assert!(matches!(error, PerformError::Moved(_)), "{error:?}");
    assert_eq!(place.env("a"), Some(env), "nothing was sent");

    // A file that lost its content, as after a power failure, is noticed too.
    fs::write(place.path().join("workspaces/a/.env"), "").expect("emptied");
    assert_eq!(changes(&store, &third), ["env.K", "env.L", "secrets.s"]);
    refresh(&store, &now(&place, again), &third).expect("refreshed");
    assert!(changes(&store, &third).is_empty());

    // A reference that the workspace does not hold is no change of a value.
    let newer = [(FieldPath::from("env.K"), SecretReference { version: Some(2), ..secret("K") })];
    assert_eq!(store.secret_changes(&name("a"), &newer, &resolver(&[])), Ok(vec![]));
    assert_eq!(store.secret_changes(&name("nobody"), &newer, &resolver(&[])), Ok(vec![]));
}

#[test]
fn a_new_version_is_sent_and_a_removed_secret_is_forgotten() {
    let place = Place::new();
    let store = place.open();
    perform(
        &store,
        &step(Action::Create, "a", &[("env.K", field(&secret("K")))]),
        &resolver(&[("K", "one")]),
    )
    .expect("created");
    let second = SecretReference { version: Some(2), ..secret("K") };
    let update = now(&place, step(Action::Update, "a", &[("env.K", field(&second))]));
    perform(&store, &update, &resolver(&[("K", "two")])).expect("updated");
    assert!(place.env("a").expect("a .env file").ends_with("K=two\n"));
    let known = [(FieldPath::from("env.K"), second)];
    assert_eq!(store.secret_changes(&name("a"), &known, &resolver(&[("K", "two")])), Ok(vec![]));
    let count = || -> i64 {
        store
            .connection()
            .query_row("SELECT count(*) FROM fingerprints", [], |row| row.get(0))
            .expect("a number")
    };
    assert_eq!(count(), 1);
    perform(&store, &now(&place, step(Action::Update, "a", &[("env.K", text("plain"))])), &resolver(&[]))
        .expect("updated");
    assert_eq!(count(), 0);
    assert!(place.env("a").expect("a .env file").ends_with("K=plain\n"));
}
