//! A small directory of declarations on the local engine.

use magus_tests::Sandbox;

/// One cluster, three environments, two workspaces in each.
pub fn three_stages() -> Sandbox {
    let sandbox = Sandbox::with(&[
        (
            "environments/cluster.yaml",
            "name: acme\nengine: {local: {path: ../store}}\ndefaults:\n  container_config:\n    image: mageai/mageai:0.9.80\n",
        ),
        ("environments/development/environment.yaml", "defaults:\n  env: {ENV: dev}\n"),
        (
            "environments/staging/environment.yaml",
            "promotes_from: development\ndefaults:\n  env: {ENV: staging}\n",
        ),
        (
            "environments/production/environment.yaml",
            "promotes_from: staging\nprotected: true\ndefaults:\n  env: {ENV: prod}\n",
        ),
    ]);
    for environment in ["development", "staging", "production"] {
        for workspace in ["analytics", "ingest"] {
            sandbox.write(
                &format!("environments/{environment}/{workspace}.yaml"),
                format!("env:\n  DATABASE_URL: {environment}-warehouse.company.com\n  WORKERS: \"4\"\n"),
            );
        }
    }
    sandbox
}

/// Runs SQL on the store of [`three_stages`], as a person with `sqlite3` would.
pub fn sql(sandbox: &Sandbox, sql: &str) {
    let connection = rusqlite::Connection::open(sandbox.file("store/magus.db")).expect("the store opens");
    connection.busy_timeout(std::time::Duration::from_secs(10)).expect("a timeout");
    connection.execute_batch(sql).expect("the statement runs");
}
