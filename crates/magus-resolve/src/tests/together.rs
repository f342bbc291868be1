//! Rules that compare workspaces with each other: their images, and their databases.

use magus_model::diagnostic::Severity;

use super::builder::{CLUSTER, lines, load, resolve};

#[test]
fn the_last_stage_runs_what_was_tried_before() {
    let found = |development: &str, staging: &str, production: &str| {
        let image = |image: &str| match image {
            "" => "{}".to_owned(),
            image => format!("container_config: {{image: '{image}'}}\n"),
        };
        let (development, staging, production) = (image(development), image(staging), image(production));
        let loaded = load(&[
            CLUSTER,
            ("apart/x.yaml", "container_config: {image: 'm:3'}\n"),
            ("dev/environment.yaml", "branch: dev\n"),
            ("dev/x.yaml", &development),
            ("prod/environment.yaml", "promotes_from: stage\n"),
            ("prod/x.yaml", &production),
            ("stage/environment.yaml", "promotes_from: dev\n"),
            ("stage/x.yaml", &staging),
        ]);
        let mut found = lines(&resolve(&loaded).diagnostics, &loaded);
        found.retain(|line| line.contains("MG709"));
        found
    };
    for (development, staging, production) in [
        ("m:1", "", "m:1"),
        ("m:2", "", "m:1"),
        ("", "m:1", "m:1"),
        ("m:1", "s:1", "s:1"),
        ("", "", "m:1"),
        ("m:2", "", ""),
        ("a:x", "", "a:x"),
    ] {
        assert_eq!(found(development, staging, production), [""; 0], "{development} {staging} {production}");
    }
    for (development, staging, production) in
        [("m:1", "", "m:2"), ("m:1", "m:1", "n:1"), ("m:x", "", "m:y"), ("m:2", "", "m:3")]
    {
        assert_eq!(
            found(development, staging, production),
            [format!("prod/x.yaml:1:27 MG709 `prod` runs `{production}`, and no stage before it does")]
        );
    }
}

#[test]
fn workspaces_on_one_database_have_code_paths_of_their_own_and_one_version() {
    const MAGE: &str = "mage: {url: 'https://m.test'}";
    const LOCAL: &str = "local: {path: x}";
    const TEXT: &str = "postgresql://db.test/mage";
    const SECRET: &str = "{secret: {env: DB}}";
    const REFERENCE: &str = "{valueFrom: {secretKeyRef: {name: db, key: url}}}";
    let found = |engine: &str, [one, two]: [(&str, &str, &str, &str); 2]| {
        let workspace = |(database, path, image, more): (&str, &str, &str, &str)| {
            let variable = |name: &str, value: &str| match value {
                "" => String::new(),
                value => format!("  {name}: {value}\n"),
            };
            let database = variable("MAGE_DATABASE_CONNECTION_URL", database);
            let path = variable("USER_CODE_PATH", path);
            format!("env:\n  A: a\n{database}{path}container_config: {{image: '{image}'}}\n{more}")
        };
        let loaded = load(&[
            ("cluster.yaml", &format!("name: acme\nengine: {{{engine}}}\n")),
            ("dev/environment.yaml", "branch: dev\n"),
            ("dev/a.yaml", &workspace(one)),
            ("dev/b.yaml", &workspace(two)),
        ]);
        let mut found = lines(&resolve(&loaded).diagnostics, &loaded);
        found.retain(|line| line.contains("MG303") || line.contains("MG304"));
        found
    };
    // A path of one's own, a database of one's own, or one whose address nobody knows.
    for (engine, one, two) in [
        (MAGE, (TEXT, "p", "m:1", ""), (TEXT, "q", "m:1", "")),
        (MAGE, (TEXT, "p", "m:1", ""), ("postgresql://db.test/other", "p", "m:2", "")),
        (MAGE, (TEXT, "p", "m:1", ""), ("", "p", "m:2", "")),
        (MAGE, (SECRET, "p", "m:1", ""), ("{secret: {env: OTHER}}", "p", "m:2", "")),
        (MAGE, (SECRET, "p", "m:1", ""), ("{secret: {env: DB}, keep: true}", "p", "m:2", "")),
        (MAGE, (REFERENCE, "p", "m:1", ""), (REFERENCE, "p", "m:2", "namespace: other\n")),
        (
            MAGE,
            (REFERENCE, "p", "m:1", ""),
            ("{valueFrom: {secretKeyRef: {name: db, key: other}}}", "p", "m:2", ""),
        ),
        (MAGE, (TEXT, "", "m:1", ""), (TEXT, "", "m:1", "")),
        (MAGE, ("", "", "m:1", ""), ("", "", "m:2", "")),
        (LOCAL, ("", "p", "m:1", ""), ("", "p", "m:2", "")),
    ] {
        assert_eq!(found(engine, [one, two]), [""; 0], "{one:?} {two:?}");
    }
    for engine in [MAGE, LOCAL] {
        for database in [TEXT, SECRET, REFERENCE] {
            assert_eq!(
                found(engine, [(database, "p", "m:1", ""), (database, "p", "m:2", "")]),
                [
                    "dev/b.yaml:4:19 MG303 `a-dev` and `b-dev` have one database and one `USER_CODE_PATH`, `p`: each runs \
                     the triggers of all",
                    "dev/b.yaml:5:27 MG304 `b-dev` runs `m:2` on the database of `a-dev`, which runs `m:1`: a Mage that \
                     starts changes its tables to its own version",
                ],
                "{engine} {database}"
            );
        }
    }
    // Each of two places is shown.
    let own = "env: {MAGE_DATABASE_CONNECTION_URL: 'x://db', USER_CODE_PATH: p}\n";
    let loaded = load(&[CLUSTER, ("dev/environment.yaml", "{}\n"), ("dev/a.yaml", own), ("dev/b.yaml", own)]);
    let diagnostics = resolve(&loaded).diagnostics;
    assert_eq!(diagnostics.iter().map(|found| found.related.len()).collect::<Vec<_>>(), [1]);
    // Whether the main server has a database to hand on, nobody says.
    assert_eq!(
        found(MAGE, [("", "p", "m:1", ""), ("", "p", "m:2", "")]),
        [
            "dev/b.yaml:3:19 MG303 `a-dev` and `b-dev` have one `USER_CODE_PATH`, `p`: where the main server hands on its own \
          database, each runs the triggers of all"
        ]
    );
}

#[test]
fn a_database_shared_by_a_default_is_reported_once_where_it_is_written() {
    let loaded = load(&[
        (
            "cluster.yaml",
            "name: acme\nengine: {mage: {url: 'https://m.test'}}\ndefaults:\n  env:\n    USER_CODE_PATH: p\n",
        ),
        ("dev/environment.yaml", "branch: dev\n"),
        ("dev/a.yaml", "{}\n"),
        ("dev/b.yaml", "{}\n"),
        ("dev/c.yaml", "{}\n"),
        ("prod/cluster.yaml", "name: other\nengine: {mage: {url: 'https://n.test'}}\n"),
        ("prod/environment.yaml", "promotes_from: dev\n"),
        ("prod/a.yaml", "{}\n"),
    ]);
    let diagnostics = resolve(&loaded).diagnostics;
    let shared: Vec<_> = diagnostics.iter().filter(|found| found.rule.code == "MG303").collect();
    let [found] = shared[..] else { panic!("{shared:?}") };
    assert_eq!((found.severity, found.related.len()), (Severity::Warning, 0), "one place says it all");
    assert_eq!(
        found.message,
        "`a-dev`, `b-dev` and 1 more have one `USER_CODE_PATH`, `p`: where the main server hands on its own database, each \
         runs the triggers of all"
    );
}
