use std::{fs, path::Path};

use super::movement::{LINK, commit, open};
use crate::{Place, Projects};

/// Two pipelines, a module that one of them reaches over another, and a block that nothing reaches.
const FILES: &[(&str, &str)] = &[
    ("metadata.yaml", "variables_dir: \"{{ env_var('VARIABLES') }}\"\n"),
    (
        "io_config.yaml",
        "default:\n  POSTGRES_HOST: \"{{ env_var('HOST') }}\"\n  AWS_REGION: \"{{ env_var('REGION') }}\"\n  OWN: \"{{ env_var('OWN') }}\"\n\
         unused:\n  POSTGRES_HOST: \"{{ env_var('OTHER') }}\"\n",
    ),
    (
        "pipelines/orders/metadata.yaml",
        "blocks:\n- {uuid: load, type: data_loader, language: python}\n\
         - {uuid: out, type: data_exporter, language: sql, configuration: {data_provider: postgres, data_provider_profile: default}}\n",
    ),
    (
        "pipelines/orders/triggers.yaml",
        "triggers:\n- {name: daily, schedule_type: time, schedule_interval: '@daily', start_time: 2026-01-01, status: active}\n",
    ),
    ("pipelines/customers/metadata.yaml", "blocks:\n- {uuid: c, type: custom}\n"),
    ("data_loaders/load.py", "import os\nfrom acme.utils.api import get\nos.environ['KEY']\n"),
    ("data_exporters/out.sql", "SELECT '{{ env_var('SCHEMA') }}'\n"),
    ("custom/c.py", "from utils import names\n"),
    ("utils/__init__.py", ""),
    ("utils/api.py", "import os\nfrom . import login\nos.getenv('API')\n"),
    ("utils/login.py", "import os\nos.getenv('LOGIN')\n"),
    ("utils/names.py", "import os\nos.getenv('NAMES')\n"),
    ("custom/nobody.py", "import os\nos.getenv('NOBODY')\n"),
    ("notes.txt", "os.getenv('TEXT')\n"),
    (".github/workflows/ci.yaml", "run: \"${{ env_var('CI') }}\"\n"),
];

fn read(folder: &Path, projects: &Projects) -> Vec<String> {
    let repository = git2::Repository::init(folder).unwrap();
    let id = commit(&repository, FILES);
    let project = projects.project(&open(folder), &id, ".").unwrap().unwrap();
    let one = |place: Place<'_>| {
        let name = place.reference.name.literal().unwrap().clone();
        let pipelines: Vec<&str> = project.needed_by(place).into_iter().map(|name| name.as_str()).collect();
        format!("{name} {place} {}", pipelines.join(","))
    };
    let mut told: Vec<String> =
        project.places().filter(|place| place.reference.kind != crate::Kind::Profile).map(one).collect();
    told.sort();
    told
}

const TOLD: &[&str] = &[
    "API utils/api.py:3 orders",
    "HOST io_config.yaml:2 orders",
    "KEY data_loaders/load.py:3 orders",
    "LOGIN utils/login.py:2 orders",
    "NAMES utils/names.py:2 customers",
    "NOBODY custom/nobody.py:2 ",
    "OTHER io_config.yaml:6 ",
    // A setting that the block's service does not have.
    "OWN io_config.yaml:4 ",
    // A setting of another service than the one that the block exports to.
    "REGION io_config.yaml:3 ",
    "SCHEMA data_exporters/out.sql:1 orders",
    "VARIABLES metadata.yaml:1 customers,orders",
];

#[test]
fn every_place_knows_the_pipelines_that_need_it() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(read(folder.path(), &Projects::default()), TOLD);
}

#[test]
fn the_file_of_a_block_is_found_as_mage_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let repository = git2::Repository::init(folder.path()).unwrap();
    let metadata = "blocks:\n\
        - {uuid: a, type: custom, configuration: {file_path: acme/custom/renamed.py}}\n\
        - {uuid: b, type: custom, configuration: {file_path: /home/src/acme/custom/moved.py}}\n\
        - {uuid: c, type: custom, configuration: {file_path: custom/gone.py, file_source: {path: null}}}\n\
        extensions:\n  great_expectations:\n    blocks:\n    - {uuid: checks, type: extension, language: python}\n  other: null\n";
    let reads = "import os\nos.environ['A']\n";
    let files = [
        ("pipelines/orders/metadata.yaml", metadata),
        ("custom/renamed.py", reads),
        ("custom/moved.py", reads),
        ("custom/c.py", reads),
        ("gone.py", reads),
        ("extensions/checks.py", reads),
    ];
    let id = commit(&repository, &files);
    let project = Projects::default().project(&open(folder.path()), &id, ".").unwrap().unwrap();
    let needed = project.places().filter(|place| !project.needed_by(*place).is_empty());
    let files: Vec<String> = needed.map(|place| place.file.to_string()).collect();
    assert_eq!(files, ["custom/c.py", "custom/moved.py", "custom/renamed.py", "extensions/checks.py"]);
}

#[test]
fn a_block_without_its_file_is_told_with_its_pipelines() {
    let folder = tempfile::tempdir().unwrap();
    let repository = git2::Repository::init(folder.path()).unwrap();
    let metadata = "blocks:\n\
        - {uuid: there, type: custom}\n- {uuid: gone, type: data_loader}\n- {uuid: sub/gone, type: data_exporter, language: sql}\n\
        - {uuid: elsewhere, type: custom, configuration: {file_path: other/elsewhere.py}}\n\
        - {uuid: again, type: custom, replicated_block: there}\n\
        - {uuid: notes, type: markdown, language: markdown}\n- {uuid: tried, type: scratchpad}\n\
        - {uuid: product, type: global_data_product}\n- {uuid: model, type: dbt, language: sql}\n\
        - {uuid: statistics, type: custom, language: r}\n\
        callbacks:\n- {uuid: after, type: callback}\n\
        widgets:\n- {uuid: chart, type: chart}\n";
    let files = [
        ("m/pipelines/orders/metadata.yaml", metadata),
        ("m/pipelines/returns/metadata.yaml", "blocks:\n- {uuid: gone, type: data_loader}\n"),
        ("m/custom/there.py", "x = 1\n"),
        ("m/custom/statistics.r", "x <- 1\n"),
    ];
    let id = commit(&repository, &files);
    let needs = Projects::default().needs(&open(folder.path()), &id, "m").unwrap().unwrap();
    let told = needs.missing_files.iter().map(|found| {
        let pipelines: Vec<&str> = found.pipelines.iter().map(|name| name.as_str()).collect();
        format!("{} {} {}", found.what, found.place, pipelines.join(","))
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "callbacks/after.py pipelines/orders/metadata.yaml orders",
            "data_exporters/sub/gone.sql pipelines/orders/metadata.yaml orders",
            "data_loaders/gone.py pipelines/orders/metadata.yaml orders,returns",
        ]
    );
}

#[test]
fn a_cache_may_be_new_old_broken_or_not_writable() {
    let cache = tempfile::tempdir().unwrap();
    let file = cache.path().join("code.db");
    let read = || {
        let folder = tempfile::tempdir().unwrap();
        read(folder.path(), &Projects::cached_in(cache.path()))
    };
    assert_eq!(read(), TOLD);
    let written = fs::metadata(&file).unwrap().len();
    assert!(written > 0);
    assert_eq!(read(), TOLD);
    fs::write(&file, "this is no database, and long enough to be taken for one at first sight").unwrap();
    assert_eq!(read(), TOLD);
    assert_eq!(read(), TOLD);
    assert!(fs::read(&file).unwrap().starts_with(b"SQLite"), "it is made anew");
    fs::write(&file, "").unwrap();
    assert_eq!(read(), TOLD);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(read(), TOLD);
}

#[test]
fn what_is_kept_is_used() {
    let (cache, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_eq!(read(folder.path(), &Projects::cached_in(cache.path())), TOLD);
    let connection = rusqlite::Connection::open(cache.path().join("code.db")).unwrap();
    let changed = connection.execute("UPDATE scans SET scan = replace(scan, 'LOGIN', 'KEPT')", []).unwrap();
    assert!(changed > 5);
    let told = read(folder.path(), &Projects::cached_in(cache.path()));
    assert!(told.contains(&"KEPT utils/login.py:2 orders".to_owned()), "{told:?}");
}

#[test]
fn what_is_missing_is_as_bad_as_its_worst_place() {
    let folder = tempfile::tempdir().unwrap();
    let repository = git2::Repository::init(folder.path()).unwrap();
    let files = [
        FILES,
        &[
            ("metadata.yaml", "a: \"{{ env_var('MAGE_SLACK_WEBHOOK_URL') }}\"\nb: \"{{ env_var('VARIABLES') }}\"\n"),
            ("data_loaders/load.py", "import os\nos.environ['KEY']\nos.getenv('KEY', 'x')\nos.environ['OWN'] = '1'\nos.environ['OWN']\n"),
            ("custom/c.py", "import os\nos.getenv('KEY', 'x')\nos.getenv('SOFT', 'x')\n"),
        ],
    ]
    .concat();
    let id = commit(&repository, &files);
    let needs = Projects::default().needs(&open(folder.path()), &id, ".").unwrap().unwrap();
    let told: Vec<String> = needs
        .names
        .iter()
        .map(|need| {
            format!(
                "{} {:?} {}",
                need.name,
                need.missing,
                need.pipelines.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(",")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "API Comment ",
            "HOST Fails orders",
            "KEY Fails customers,orders",
            "LOGIN Comment ",
            "MAGE_SLACK_WEBHOOK_URL Comment ",
            "NAMES Comment ",
            "NOBODY Comment ",
            "OTHER Comment ",
            // The pipeline that sets it needs nobody for it.
            "OWN Comment ",
            "REGION Comment ",
            "SCHEMA Fails orders",
            "SOFT Default customers",
            "VARIABLES Default customers,orders",
        ]
    );
}

#[test]
fn a_project_that_is_made_from_the_one_before_is_the_same_as_one_that_is_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let repository = git2::Repository::init(folder.path()).unwrap();
    let module = "pipelines/customers/metadata.yaml";
    let changes: &[(&str, Option<&str>)] = &[
        ("utils/login.py", Some("import os\nos.getenv('OTHER_LOGIN')\n")),
        ("utils/api.py", Some("import os\nos.getenv('API')\n")),
        (
            "custom/c.py",
            Some(
                "from utils import api, login\nfrom mage_ai.io.config import ConfigFileLoader\nConfigFileLoader(p, 'unused')\n",
            ),
        ),
        ("utils/login.py", None),
        (module, Some("blocks:\n- {uuid: nobody, type: custom}\n")),
        (module, None),
        ("custom/new.py", Some("import os\nos.getenv('NEW')\n")),
        ("io_config.yaml", Some("default: {OWN: \"{{ env_var('OWN') }}\"}\n")),
        ("data_loaders/load.py", Some("def f(:\n")),
        ("notes.txt", None),
        ("pipelines/orders/triggers.yaml", None),
        // A link leads nowhere until something is there, and whoever changes that does not change the link.
        ("custom/new.py", Some("link to ../utils/later.py")),
        ("utils/later.py", Some("import os\nos.getenv('LATER')\n")),
        ("utils/later.py", Some("import os\nos.getenv('LATEST')\n")),
        ("custom/new.py", None),
    ];
    let mut files: std::collections::BTreeMap<&str, &str> = FILES.iter().copied().collect();
    let mut commits = vec![commit(&repository, FILES)];
    for (path, text) in changes {
        match text {
            Some(text) => drop(files.insert(path, text)),
            None => drop(files.remove(path)),
        }
        let now: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, *text)).collect();
        commits.push(commit(&repository, &now));
    }
    let code = open(folder.path());
    let in_turn = Projects::default();
    // There and back again, and in leaps.
    let back = commits.iter().rev().chain(commits.iter().step_by(3));
    for id in commits.iter().chain(back) {
        let alone = Projects::default();
        let told = |projects: &Projects| -> Vec<_> {
            let project = projects.project(&code, id, ".").unwrap().unwrap();
            project.places().map(|place| (place.to_string(), owned(project.needed_by(place)))).collect()
        };
        assert_eq!(told(&in_turn), told(&alone));
        assert_eq!(in_turn.needs(&code, id, "."), alone.needs(&code, id, "."));
    }
}

fn owned(names: Vec<&magus_model::Text>) -> Vec<String> {
    names.into_iter().map(ToString::to_string).collect()
}

#[test]
fn links_are_followed_to_what_is_in_the_project_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let repository = git2::Repository::init(folder.path()).unwrap();
    let id = commit(
        &repository,
        &[
            ("outside.py", "import os\nos.getenv('OUTSIDE')\n"),
            (
                "m/pipelines/orders/metadata.yaml",
                "blocks:\n- {uuid: over_two, type: custom}\n- {uuid: out, type: custom}\n- {uuid: deep/in/it, type: custom}\n",
            ),
            ("m/extensions/one.py", "import os\nfrom utils import names\nos.getenv('ONE')\n"),
            ("m/custom/over_two.py", "link to over_one.py"),
            ("m/custom/over_one.py", "link to ./../extensions//one.py"),
            ("m/custom/deep", "link to ../extensions/folder"),
            ("m/extensions/folder/in/it.py", "import os\nos.getenv('IN_FOLDER')\n"),
            ("m/extensions/folder/names.py", "import os\nos.getenv('NAMES')\n"),
            ("m/extensions/folder/up", "link to .."),
            ("m/extensions/folder/itself", "link to ../folder"),
            ("m/utils", "link to extensions/folder"),
            // Out of the project, of the repository, of everything; in a circle; to nowhere; to what is no file.
            ("m/custom/out.py", "link to ../../outside.py"),
            ("m/custom/far.py", "link to ../../../../../../etc/passwd"),
            ("m/custom/root.py", "link to /etc/passwd"),
            ("m/custom/round.py", "link to round_again.py"),
            ("m/custom/round_again.py", "link to round.py"),
            ("m/custom/nowhere.py", "link to nothing.py"),
            ("m/custom/folder.py", "link to ../pipelines"),
            ("m/custom/self", "link to ."),
            ("m/everything", "link to ."),
        ],
    );
    let project = Projects::default().project(&open(folder.path()), &id, "m").unwrap().unwrap();
    let one = |place: Place<'_>| {
        let pipelines: Vec<&str> = project.needed_by(place).into_iter().map(|name| name.as_str()).collect();
        format!("{place} {}", pipelines.join(","))
    };
    let told: Vec<String> = project.places().map(one).collect();
    assert_eq!(
        told,
        [
            "custom/deep/in/it.py:2 orders",
            "custom/deep/names.py:2 ",
            "custom/over_one.py:3 ",
            "custom/over_two.py:3 orders",
            "extensions/folder/in/it.py:2 ",
            "extensions/folder/names.py:2 ",
            "extensions/one.py:3 ",
            "utils/in/it.py:2 ",
            "utils/names.py:2 orders",
        ]
    );
}

#[test]
fn links_that_multiply_end() {
    let folder = tempfile::tempdir().unwrap();
    let repository = git2::Repository::init(folder.path()).unwrap();
    let mut files = vec![("end/a.py".to_owned(), "import os\nos.getenv('A')\n".to_owned())];
    for number in 0..30 {
        let next = if number == 29 { "end".to_owned() } else { format!("folder{}", number + 1) };
        for name in ["one", "two"] {
            files.push((format!("folder{number}/{name}"), format!("{LINK}../{next}")));
        }
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let id = commit(&repository, &files);
    let project = Projects::default().project(&open(folder.path()), &id, ".").unwrap().unwrap();
    assert!((1..=1_000).contains(&project.places().count()));
}

#[test]
fn a_file_that_code_loads_gives_its_names_or_may_give_any() {
    let block = "import os\nfrom utils.env import load\nload()\na, b = os.environ['A'], os.environ['B']\n";
    let load = "from dotenv import load_dotenv\ndef load():\n    load_dotenv()\n";
    let other = "import os\nos.environ['A']\n";
    let needed = |more: &[(&str, &str)], load: &str| {
        let folder = tempfile::tempdir().unwrap();
        let repository = git2::Repository::init(folder.path()).unwrap();
        let mut files = vec![
            ("pipelines/orders/metadata.yaml", "blocks:\n- {uuid: b, type: custom}\n"),
            ("custom/b.py", block),
            ("utils/env.py", load),
        ];
        files.extend(more);
        let id = commit(&repository, &files);
        let needs = Projects::default().needs(&open(folder.path()), &id, ".").unwrap().unwrap();
        let one = |need: &crate::Need| format!("{} {:?} {}", need.name, need.missing, need.from_file);
        needs.names.iter().map(one).collect::<Vec<_>>()
    };
    // It is not in git: whether it is there is not known.
    assert_eq!(needed(&[], load), ["A Undecidable true", "B Undecidable true"]);
    // It is in git, and says what it gives.
    let file = (".env", "# x\nexport A=1\nC = '2'\n");
    assert_eq!(needed(&[file], load), ["A Default false", "B Fails false"]);
    // No code loads it.
    assert_eq!(needed(&[file], "def load(): ...\n"), ["A Fails false", "B Fails false"]);
    // Another file, and one whose name is made.
    let named = load.replace("()\n", "('conf/prod.env')\n").replace("load('conf/prod.env'):", "load():");
    assert_eq!(needed(&[file, ("conf/prod.env", "B=1\n")], &named), ["A Fails false", "B Default false"]);
    let made = load.replace("load_dotenv()", "load_dotenv(path())");
    assert_eq!(needed(&[file], &made), ["A Undecidable true", "B Undecidable true"]);
    // Another pipeline does not load it.
    let alone =
        [file, ("pipelines/x/metadata.yaml", "blocks:\n- {uuid: c, type: custom}\n"), ("custom/c.py", other)];
    assert_eq!(needed(&alone, load), ["A Fails false", "B Fails false"]);
}

#[test]
fn a_profile_needs_what_its_readers_read() {
    let config = "default:\n  POSTGRES_HOST: \"{{ env_var('HOST') }}\"\n  POSTGRES_PORT: \"{{ env_var('PORT') }}\"\n  AWS_REGION: \"{{ env_var('REGION') }}\"\n  OWN: \"{{ env_var('OWN') }}\"\n\
        other:\n  POSTGRES_HOST: \"{{ env_var('OTHER') }}\"\nold:\n  PostgreSQL:\n    host: \"{{ env_var('OLD') }}\"\n";
    let needed = |code: &str, metadata: &str| {
        let folder = tempfile::tempdir().unwrap();
        let repository = git2::Repository::init(folder.path()).unwrap();
        let files =
            [("io_config.yaml", config), ("pipelines/orders/metadata.yaml", metadata), ("custom/b.py", code)];
        let id = commit(&repository, &files);
        let needs = Projects::default().needs(&open(folder.path()), &id, ".").unwrap().unwrap();
        let used = needs.names.iter().filter(|need| !need.pipelines.is_empty());
        used.map(|need| need.name.to_string()).collect::<Vec<_>>()
    };
    let block = "blocks:\n- {uuid: b, type: custom}\n";
    let load =
        "from mage_ai.io.config import ConfigFileLoader, ConfigKey\nc = ConfigFileLoader(p, 'default')\n";
    for (code, expected) in [
        // A client reads the settings of its service.
        ("from mage_ai.io.postgres import Postgres\nPostgres.with_config(c)\n", &["HOST", "PORT"][..]),
        // Keys are read one by one.
        ("x = c['POSTGRES_HOST']\n", &["HOST"]),
        ("x = c[ConfigKey.POSTGRES_HOST]\ny = c.get('OWN')\n", &["HOST", "OWN"]),
        ("for k in ['OWN', 'AWS_REGION']:\n    c.get(k)\n", &["OWN", "REGION"]),
        (
            "from mage_ai.io.postgres import Postgres\nPostgres.with_config(c)\nx = c['OWN']\n",
            &["HOST", "OWN", "PORT"],
        ),
        // What else may be read is not known.
        ("connect(c)\n", &["HOST", "OWN", "PORT", "REGION"]),
        ("x = c[ConfigKey.POSTGRES_HOST]\nconnect(c)\n", &["HOST", "OWN", "PORT", "REGION"]),
        ("x = c[name]\n", &["HOST", "OWN", "PORT", "REGION"]),
    ] {
        assert_eq!(needed(&format!("{load}{code}"), block), expected, "{code}");
    }
    assert_eq!(
        needed(
            "from mage_ai.io.config import ConfigFileLoader\nConfigFileLoader(p, 'old')['POSTGRES_HOST']\n",
            block
        ),
        ["OLD"]
    );
    let sql = |configuration: &str| {
        format!(
            "blocks:\n- {{uuid: b, type: data_loader, language: sql, configuration: {{{configuration}}}}}\n"
        )
    };
    assert_eq!(needed("", &sql("data_provider: postgres, data_provider_profile: other")), ["OTHER"]);
    assert_eq!(needed("", &sql("data_provider: postgres, data_provider_profile: old")), ["OLD"]);
    // Without a provider it runs nothing.
    assert_eq!(needed("", &sql("data_provider_profile: default")), [""; 0]);
}

#[test]
fn the_profile_of_a_new_project_is_silent_and_what_is_missing_is_told_once() {
    let stock = "version: 0.1.1\ndefault:\n  AWS_ACCESS_KEY_ID: \"{{ env_var('AWS_ACCESS_KEY_ID') }}\"\n  AZURE_TENANT_ID: \"{{ env_var('AZURE_TENANT_ID') }}\"\n  AWS_REGION: \"{{ env_var('OWN') }}\"\n";
    let read = "from mage_ai.io.config import ConfigFileLoader\nConfigFileLoader(p, 'x')['A']\n";
    let needs = |config: &[(&str, &str)]| {
        let folder = tempfile::tempdir().unwrap();
        let repository = git2::Repository::init(folder.path()).unwrap();
        let metadata = "blocks:\n- {uuid: b, type: custom}\n- {uuid: c, type: custom}\n- {uuid: s, type: custom, language: sql}\n";
        let mut files =
            vec![("pipelines/orders/metadata.yaml", metadata), ("custom/b.py", read), ("custom/c.py", read)];
        files.extend(config);
        let id = commit(&repository, &files);
        Projects::default().needs(&open(folder.path()), &id, ".").unwrap().unwrap()
    };
    let found = needs(&[("io_config.yaml", stock)]);
    let unused = found.names.iter().filter(|need| need.only_in_unused_profile);
    assert_eq!(unused.map(|need| need.name.as_str()).collect::<Vec<_>>(), ["OWN"]);
    let told = |found: &crate::Needs| {
        found.unknown_profiles.iter().map(|one| format!("{} {}", one.what, one.place)).collect::<Vec<_>>()
    };
    assert_eq!(told(&found), ["x custom/b.py:2"]);
    let idle = &found.idle[..];
    assert_eq!(
        idle.iter().map(|one| format!("{} {}", one.what, one.place)).collect::<Vec<_>>(),
        ["s pipelines/orders/metadata.yaml:4"]
    );
    let found = needs(&[]);
    assert!(!found.has_profiles);
    assert_eq!(told(&found), ["x custom/b.py:2"]);
}

#[test]
fn a_module_that_is_imported_by_a_call_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let repository = git2::Repository::init(folder.path()).unwrap();
    let block = "import importlib\nm = importlib.import_module('utils.a')\nn = __import__('utils.b')\nimportlib.import_module(name)\n";
    let read = "import os\nos.environ['A']\n";
    let files = [
        ("pipelines/orders/metadata.yaml", "blocks:\n- {uuid: b, type: custom}\n"),
        ("custom/b.py", block),
        ("utils/a.py", read),
        ("utils/b.py", read),
        ("utils/c.py", read),
    ];
    let id = commit(&repository, &files);
    let project = Projects::default().project(&open(folder.path()), &id, ".").unwrap().unwrap();
    let needed = project.places().filter(|place| !project.needed_by(*place).is_empty());
    assert_eq!(needed.map(|place| place.file.to_string()).collect::<Vec<_>>(), ["utils/a.py", "utils/b.py"]);
}
