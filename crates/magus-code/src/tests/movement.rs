use std::{fs, path::Path};

use git2::{IndexAddOption, Repository, Signature, Time};
use magus_git::{Ask, Code, Fetch, Place, Ssh};
use magus_model::plan::{Difference, Movement};

use crate::{
    Between, Projects,
    scan::{FileKind, scan},
    triggers::Trigger,
};

/// Two commits of the project in `m`, seen on a day.
fn between<'a>(from: Option<&'a str>, to: &'a str) -> Between<'a> {
    Between { from, to, directory: "m", now: "2026-11-29T12:00:00Z".parse().unwrap() }
}

/// What begins like this is a link, and then says where to.
pub(super) const LINK: &str = "link to ";

/// A commit of these files, and of nothing else.
pub(super) fn commit(repository: &Repository, files: &[(&str, &str)]) -> String {
    let folder = repository.workdir().unwrap();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_file() {
            fs::remove_file(entry).unwrap();
        } else if !entry.ends_with(".git") {
            fs::remove_dir_all(entry).unwrap();
        }
    }
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match content.strip_prefix(LINK) {
            Some(to) => std::os::unix::fs::symlink(to, path).unwrap(),
            None => fs::write(path, content).unwrap(),
        }
    }
    let mut index = repository.index().unwrap();
    index.clear().unwrap();
    index.add_all(["*"], IndexAddOption::FORCE, None).unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    let author = Signature::new("Ana", "ana@example.com", &Time::new(1_700_000_000, 0)).unwrap();
    repository.commit(None, &author, &author, "x", &tree, &[]).unwrap().to_string()
}

pub(super) fn open(path: &Path) -> Code {
    let ask = Ask { cache: Some(path), fetch: Fetch::Never, ssh: Ssh::Usual };
    Place::parse(path.to_str().unwrap()).unwrap().open(ask).unwrap()
}

/// Orders with every kind of file that belongs to a pipeline; customers with none of them; dbt alone.
const PROJECT: &[(&str, &str)] = &[
    ("m/metadata.yaml", "project_type: standalone\n"),
    ("m/io_config.yaml", "default: {}\n"),
    ("m/requirements.txt", "pandas==2.1\nrequests\n"),
    (
        "m/pipelines/orders/metadata.yaml",
        "blocks:\n- {uuid: load, type: data_loader, language: python}\n- {uuid: sub/export, type: data_exporter, language: sql}\n\
         callbacks:\n- {uuid: warn, type: callback}\n",
    ),
    (
        "m/pipelines/orders/triggers.yaml",
        "triggers:\n- {name: daily, schedule_interval: '0 5 * * *', status: active}\n",
    ),
    (
        "m/pipelines/customers/metadata.yaml",
        "blocks:\n- {uuid: c, type: custom, configuration: {file_source: {path: ./custom/deep/c.py}}}\n",
    ),
    ("m/pipelines/models/metadata.yaml", "blocks:\n- {uuid: dbt/all, type: dbt, language: yaml}\n"),
    ("m/pipelines/broken/metadata.yaml", "blocks: [\n"),
    ("m/pipelines/notes.txt", ""),
    ("m/data_loaders/load.py", "import os\nfrom utils.api import get\n"),
    ("m/data_exporters/sub/export.sql", "SELECT 1\n"),
    ("m/callbacks/warn.py", ""),
    ("m/custom/deep/c.py", "import m.helpers.x as x, json\nimport shared.y\n"),
    ("m/shared", "link to extensions/shared"),
    ("m/extensions/shared/y.py", ""),
    ("m/utils/api.py", ""),
    ("m/helpers/x.py", ""),
    ("m/dbt/models/a.sql", ""),
    ("README.md", ""),
];

/// What changing one file touches.
fn touched(path: &str, content: &str) -> Movement {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::init(folder.path()).unwrap();
    let from = commit(&repository, PROJECT);
    let mut files = PROJECT.to_vec();
    files.retain(|(known, _)| *known != path);
    files.push((path, content));
    let to = commit(&repository, &files);
    Projects::default().movement(&open(folder.path()), between(Some(&from), &to)).unwrap().unwrap()
}

#[test]
fn a_file_touches_the_pipelines_that_use_it() {
    let all: &[&str] = &["customers", "models", "orders"];
    for (path, pipelines) in [
        ("m/data_loaders/load.py", &["orders"][..]),
        ("m/data_exporters/sub/export.sql", &["orders"]),
        ("m/callbacks/warn.py", &["orders"]),
        ("m/custom/deep/c.py", &["customers"]),
        ("m/utils/api.py", &["orders"]),
        ("m/helpers/x.py", &["customers"]),
        ("m/helpers/x.txt", &[]),
        // Over a link, under the name that the pipeline knows.
        ("m/extensions/shared/y.py", &["customers"]),
        ("m/dbt/models/a.sql", &["models"]),
        ("m/io_config.yaml", &["orders"]),
        ("m/metadata.yaml", all),
        ("m/requirements.txt", all),
        ("m/pipelines/orders/new.txt", &["orders"]),
        ("m/pipelines/new/metadata.yaml", &["new"]),
        ("m/charts/x.py", &[]),
        ("README.md", &[]),
    ] {
        let content = if path.ends_with("metadata.yaml") { "{a: 1}\n" } else { "# other\n" };
        let found: Vec<_> = touched(path, content).pipelines.iter().map(ToString::to_string).collect();
        assert_eq!(found, pipelines, "{path}");
    }
}

#[test]
fn triggers_and_packages_are_told_with_what_they_were() {
    let one = |name: &str, before: Option<&str>, after: Option<&str>| Difference {
        name: name.into(),
        before: before.map(Into::into),
        after: after.map(Into::into),
    };
    let path = "m/pipelines/orders/triggers.yaml";
    let moved = touched(
        path,
        "triggers:\n- {name: daily, schedule_interval: '@hourly', status: active}\n- {name: api, schedule_type: api}\n",
    );
    assert_eq!(
        moved.triggers,
        [
            one("orders/api", None, Some("by api, inactive")),
            one("orders/daily", Some("0 5 * * *"), Some("@hourly")),
        ]
    );
    // Tokens and times that Mage writes there are nothing that runs otherwise.
    let same = "triggers:\n- {name: daily, schedule_interval: '0 5 * * *', status: active, token: x}\n";
    assert_eq!(touched(path, same).triggers, []);
    assert_eq!(touched(path, "[").triggers, [one("orders/daily", Some("0 5 * * *"), None)]);
    let moved = touched("m/requirements.txt", "Pandas==2.2 # newer\npolars\n");
    assert_eq!(
        moved.requirements,
        [
            one("pandas", Some("==2.1"), Some("==2.2")),
            one("polars", None, Some("")),
            one("requests", Some(""), None)
        ]
    );
    assert_eq!(touched("m/requirements.txt", "# why\nrequests\npandas==2.1\n").requirements, []);
}

#[test]
fn a_first_deploy_and_a_commit_that_is_gone_touch_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::init(folder.path()).unwrap();
    let to = commit(&repository, PROJECT);
    let code = open(folder.path());
    let projects = Projects::default();
    let first = projects.movement(&code, between(None, &to)).unwrap().unwrap();
    assert_eq!((first.commits.len(), first.pipelines.len()), (1, 0));
    assert_eq!(projects.movement(&code, between(Some(&"1".repeat(40)), &to)), Ok(None));
    // A folder that was not there before has no file that could have changed.
    let moved =
        projects.movement(&code, between(Some(&commit(&repository, &[("x", "")])), &to)).unwrap().unwrap();
    assert_eq!(moved.pipelines, ["customers", "models", "orders"]);
}

#[test]
fn a_trigger_starts_at_once_where_it_is_new_or_its_schedule_changes() {
    let trigger = |schedule: &str, more: &str| {
        let text = format!(
            "triggers:\n- {{name: t, schedule_type: time, schedule_interval: '{schedule}', start_time: 2026-01-01{more}}}\n"
        );
        scan(FileKind::Triggers, text.as_bytes()).triggers.remove(0)
    };
    let active = ", status: active";
    let enabled = ", status: active, last_enabled_at: 2026-01-02";
    let first = ", status: active, settings: {create_initial_pipeline_run: true}";
    let one = trigger("@daily", enabled);
    let why = |trigger: Trigger, before: Option<&Trigger>| {
        trigger.starts_at_once(before).map(|why| why.to_string())
    };
    let past = "its `last_enabled_at` is in the past";
    assert_eq!(why(one.clone(), None).as_deref(), Some(past));
    assert_eq!(why(one.clone(), Some(&one)), None);
    assert_eq!(why(one.clone(), Some(&trigger("@daily", ", status: inactive"))).as_deref(), Some(past));
    let changes = format!("its schedule changes, and {past}");
    assert_eq!(why(trigger("@hourly", enabled), Some(&one)), Some(changes));
    // What the commit does not say to have been enabled waits, and what is switched off does not run.
    assert_eq!(why(trigger("@hourly", active), Some(&one)), None);
    assert_eq!(why(trigger("@hourly", active), None), None);
    assert_eq!(why(trigger("@daily", ", status: inactive, last_enabled_at: 2026-01-02"), None), None);
    assert!(
        why(trigger("@hourly", first), None).is_some_and(|why| why.contains("create_initial_pipeline_run"))
    );
    assert_eq!(why(trigger("@once", active), None).as_deref(), Some("its schedule is `@once`"));
}
